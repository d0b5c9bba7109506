"""Ask the ledger: `python -m include.ledger costs USE_CASE` prints what each retrain cost, stage by stage."""

import argparse
import json
import sys
from collections import defaultdict

from include.contracts.frozen import Frozen
from include.contracts.record import Kind
from include.ledger import Ledger
from include.settings import settings


class RetrainCost(Frozen):
    """What one retrain request cost in all its attempts.

    Attributes:
        request: Its id, which is the DAG run's.
        outcome: How it ended; `open` where it has not.
        seconds: Wall clock of its stages, by `stage.step`; waiting for a pod or a task is not in it.
        cpu_seconds: User and system, all stages.
        peak_bytes: Highest resident memory of any stage.
    """

    request: str
    outcome: str
    seconds: dict[str, float]
    cpu_seconds: float
    peak_bytes: int

    @property
    def training_seconds(self) -> float:
        """Of the successful attempt, as its manifest says: what a GPU was held for at least."""
        return self.seconds.get("training.train", 0.0)


def retrain_costs(ledger: Ledger, use_case: str) -> list[RetrainCost]:
    """What each retrain cost, in the order in which they were asked for."""
    spent = defaultdict(list)
    for record in ledger.find(use_case, Kind.STAGE_COST):
        spent[record.run_id].append(record.payload)
    endings = {record.key: str(record.payload["outcome"]) for record in ledger.find(use_case, Kind.RETRAIN_CLOSED)}
    found = []
    for record in ledger.find(use_case, Kind.RETRAIN_REQUESTED):
        seconds: dict[str, float] = defaultdict(float)
        for cost in spent[record.key]:
            seconds[f"{cost['stage']}.{cost['step']}"] += cost["seconds"]
        found.append(
            RetrainCost(
                request=record.key,
                outcome=endings.get(record.key, "open"),
                seconds={step: round(taken, 2) for step, taken in seconds.items()},
                cpu_seconds=round(sum(cost["cpu_seconds"] for cost in spent[record.key]), 2),
                peak_bytes=max((cost["peak_bytes"] for cost in spent[record.key]), default=0),
            )
        )
    return found


def main(argv: list[str] | None = None) -> int:
    """Print the costs.

    Returns:
        0; 1 where the ledger knows no retrain of the use case.
    """
    parser = argparse.ArgumentParser(prog="python -m include.ledger", description=__doc__)
    parser.add_argument("question", choices=("costs",))
    parser.add_argument("use_case")
    parser.add_argument("--json", action="store_true", help="one JSON object a line, with every stage")
    given = parser.parse_args(argv)
    costs = retrain_costs(Ledger.at(settings().ledger_url), given.use_case)
    if not costs:
        print(f"the ledger knows no retrain of {given.use_case}", file=sys.stderr)
        return 1
    if given.json:
        for cost in costs:
            print(json.dumps(cost.model_dump(mode="json")))
        return 0
    print(f"{'request':<44} {'outcome':<10} {'training s':>10} {'all s':>8} {'CPU s':>8} {'peak MiB':>9}")
    for cost in costs:
        print(
            f"{cost.request[:44]:<44} {cost.outcome:<10} {cost.training_seconds:>10.1f} "
            f"{sum(cost.seconds.values()):>8.1f} {cost.cpu_seconds:>8.1f} {cost.peak_bytes >> 20:>9}"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
