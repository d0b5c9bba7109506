"""One body, three ways to call it: a function, an Airflow task, `python -m include.<stage> STEP --spec FILE`.

The public functions of `include/<stage>/__main__.py` are the stage's steps: they take and return plain JSON values.
This file finds them, measures what they use, writes it into the ledger, says what they read and wrote, and turns errors
into three lines.
"""

import argparse
import importlib
import inspect
import json
import logging
import os
import resource
import sys
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

from include.contracts.errors import EvergreenError, PolicyError
from include.contracts.frozen import to_utc
from include.contracts.record import Kind, Record
from include.contracts.training import Cost
from include.lineage.observe import observed

log = logging.getLogger("evergreen")

Json = dict[str, Any]
EXIT = {"DataError": 65, "ModelError": 66, "PolicyError": 67, "InfraError": 75}
"""Exit codes by class of error; 75 (EX_TEMPFAIL) is the one that a retry may mend."""


def run(stage: str, step: str, arguments: Json, run_id: str = "") -> Json:
    """Run one step of a stage and put its cost into the ledger.

    Args:
        stage: Package under `include`, such as `ingestion`.
        step: Public function of its `__main__`, such as `land`.
        arguments: Keyword arguments of the step; `use_case` is always among them.
        run_id: DAG run on whose behalf it runs.

    Returns:
        What the step returned.
    """
    return call(_steps(importlib.import_module(f"include.{stage}.__main__"))[step], stage, arguments, run_id)


def call(step: Callable[..., Json], stage: str, arguments: Json, run_id: str = "") -> Json:
    """Call a step, measured; an error is logged in three lines before anything else."""
    started, used = time.monotonic(), _cpu_seconds()
    as_of = datetime.now(UTC)
    run_id = run_id or os.environ.get("EVERGREEN_RUN_ID", "")
    try:
        if arguments.get("as_of"):
            as_of = _utc(arguments["as_of"])  # so that no step has to ask in which zone it lives
            arguments = {**arguments, "as_of": as_of.isoformat()}
        with observed(f"{stage}.{step.__name__}", arguments, as_of, run_id) as done:
            result = step(**arguments)
            done(result)
            return result
    except EvergreenError as error:
        log.error("%s", error)
        raise
    finally:
        cost = Cost(
            seconds=time.monotonic() - started,
            cpu_seconds=_cpu_seconds() - used,
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
        _record_cost(stage, step.__name__, arguments["use_case"], as_of, cost, run_id)
        _tell(arguments["use_case"])


def main(stage: str, argv: list[str] | None = None) -> int:
    """Command line of a stage.

    Returns:
        0, or the exit code of the error's class.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    module = sys.modules["__main__"]
    steps = _steps(module)
    parser = argparse.ArgumentParser(prog=f"python -m include.{stage}", description=module.__doc__)
    for name, step in steps.items():
        parser.add_argument_group(f"step {name}", inspect.getdoc(step))
    optional = "?" if len(steps) == 1 else None
    parser.add_argument("step", choices=sorted(steps), nargs=optional, default=next(iter(steps)))
    parser.add_argument("--spec", required=True, type=Path, help="JSON file with the step's arguments")
    given = parser.parse_args(argv)
    try:
        print(json.dumps(call(steps[given.step], stage, json.loads(given.spec.read_text()))))
    except EvergreenError as error:
        return next(EXIT[kind.__name__] for kind in type(error).__mro__ if kind.__name__ in EXIT)
    return 0


def _utc(text: str) -> datetime:
    try:
        return to_utc(datetime.fromisoformat(text))
    except (TypeError, ValueError) as error:
        raise PolicyError("as_of", f"{text!r}: {error}", "write it such as 2013-03-01T00:00:00+00:00") from error


def _steps(module: ModuleType) -> dict[str, Callable[..., Json]]:
    return {
        name: member
        for name, member in vars(module).items()
        if inspect.isfunction(member) and member.__module__ == module.__name__ and not name.startswith("_")
    }


def _cpu_seconds() -> float:
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _record_cost(stage: str, step: str, use_case: str, as_of: datetime, cost: Cost, run_id: str) -> None:
    from include.ledger import Ledger
    from include.settings import settings

    record = Record(
        use_case=use_case,
        kind=Kind.STAGE_COST,
        key=f"{stage}.{step}/{uuid.uuid4().hex}",
        as_of=as_of,
        payload={"stage": stage, "step": step, **cost.model_dump()},
        run_id=run_id,
    )
    Ledger.at(settings().ledger_url).append(record)


def _tell(use_case: str) -> None:
    """Tell people what is new in the ledger; whatever goes wrong there is not the step's failure."""
    try:
        from include.alerts.tell import tell
        from include.ledger import Ledger
        from include.settings import settings

        tell(Ledger.at(settings().ledger_url), use_case)
    except Exception as error:  # noqa: BLE001 - a step that is done stays done, whoever cannot be told of it
        cause = error.cause if isinstance(error, EvergreenError) else type(error).__name__  # other words may hold a URL
        log.warning("nobody was told what is new about %s: %s", use_case, cause)
