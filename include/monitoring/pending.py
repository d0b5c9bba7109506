"""Which scored batches are to be monitored, and which only wait for labels."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from include.contracts.errors import ModelError
from include.contracts.record import Kind, Record
from include.contracts.scoring import Scored
from include.contracts.verdict import Champion
from include.ledger import Ledger


@dataclass(frozen=True)
class Task:
    """A scored batch to look at.

    Attributes:
        content: `batch@digest`.
        scored: Its predictions.
        before: What was recorded about it last; None the first time.
    """

    content: str
    scored: Scored
    before: dict[str, Any] | None

    @property
    def key(self) -> str:
        """The ledger's key of the batch as one model version predicted it."""
        return f"{self.content}/v{self.scored.model_version}"

    def window_key(self, starts: datetime) -> str:
        """The ledger's key of one window."""
        return f"{self.content}/{starts:%Y-%m-%dT%H:%MZ}/v{self.scored.model_version}"


def pending(ledger: Ledger, use_case: str, as_of: datetime) -> list[Task]:
    """The newest predictions of each batch that were not monitored yet, or not with all their labels; oldest first."""
    newest: dict[str, Record] = {}
    for record in ledger.find(use_case, Kind.BATCH_SCORED):
        if record.as_of <= as_of:
            newest[record.payload["batch"]] = record
    tasks = [_task(ledger, record) for record in newest.values()]
    waiting = [task for task in tasks if task.before is None or not task.before["complete"]]
    return sorted(waiting, key=lambda task: task.scored.starts)


def predictor(ledger: Ledger, use_case: str, scored: Scored) -> Champion:
    """The champion that made the predictions, as it was promoted.

    Raises:
        ModelError: If the ledger knows no promotion of that version.
    """
    found = [Champion.model_validate(record.payload) for record in ledger.find(use_case, Kind.PROMOTED)]
    champion = next((one for one in reversed(found) if one.version == scored.model_version), None)
    if champion is None:
        cause = f"batch {scored.batch} was predicted by v{scored.model_version}, which was never promoted"
        raise ModelError("monitoring", cause, "look at the ledger's promotions; score the batch again")
    return champion


def _task(ledger: Ledger, record: Record) -> Task:
    scored = Scored.model_validate(record.payload)
    task = Task(record.key, scored, None)
    monitored = ledger.find(record.use_case, Kind.BATCH_MONITORED, prefix=task.key)
    own = [found for found in monitored if found.key == task.key or found.key.startswith(f"{task.key}/")]
    return Task(record.key, scored, own[-1].payload if own else None)
