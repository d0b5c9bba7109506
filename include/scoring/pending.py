"""Which batches wait for predictions."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from include.contracts.data import DatasetSnapshot
from include.contracts.record import Kind
from include.ledger import Ledger
from include.ledger.featured import featured

NO_CHAMPION = "no champion yet"
SEEN = "seen in training"


@dataclass(frozen=True)
class Skipped:
    """A batch that gets no predictions, and why."""

    batch: str
    reason: str


def key(snapshot: DatasetSnapshot) -> str:
    """The ledger's key of a batch's content."""
    return f"{snapshot.batch}@{snapshot.digest[:12]}"


def unscored(ledger: Ledger, use_case: str, as_of: datetime) -> list[DatasetSnapshot]:
    """The newest featured content of each batch that was never scored, oldest first.

    A level, not an edge: a lost event costs nothing, the next run finds the batch.
    """
    scored = {record.key for record in ledger.find(use_case, Kind.BATCH_SCORED)}
    return [snapshot for snapshot in featured(ledger, use_case, as_of) if key(snapshot) not in scored]


def split(
    waiting: Iterable[DatasetSnapshot], seen_until: datetime | None
) -> tuple[list[DatasetSnapshot], list[Skipped]]:
    """Divide the waiting batches into those that the champion may predict, and the others.

    Args:
        waiting: Batches without predictions.
        seen_until: End of what the champion's training and evaluation saw; None without a champion.
    """
    if seen_until is None:
        return [], [Skipped(snapshot.batch, NO_CHAMPION) for snapshot in waiting]
    unseen: list[DatasetSnapshot] = []
    skipped: list[Skipped] = []
    for snapshot in waiting:
        if snapshot.starts < seen_until:
            skipped.append(Skipped(snapshot.batch, SEEN))
        else:
            unseen.append(snapshot)
    return unseen, skipped
