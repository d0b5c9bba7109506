"""Which batches may be used: their features are built, and have passed their expectations."""

from datetime import datetime

from include.contracts.data import DatasetSnapshot
from include.contracts.record import Kind
from include.ledger.ledger import Ledger

SUITE = "features/"


def featured(ledger: Ledger, use_case: str, as_of: datetime) -> list[DatasetSnapshot]:
    """The newest content of each batch whose features are built and validated, in the order of time.

    A batch whose newest content was not validated yet, or failed, is left out until it passes or is released.

    Args:
        ledger: The record of what happened.
        use_case: Name of the use case.
        as_of: Batches that came later are not seen.
    """
    records = ledger.find(use_case, Kind.FEATURES_BUILT)
    newest = {record.payload["batch"]: record for record in records if record.as_of <= as_of}
    passed = {r.key.removeprefix(SUITE) for r in ledger.find(use_case, Kind.BATCH_VALIDATED, prefix=SUITE)}
    sound = [record for record in newest.values() if record.key in passed]
    return sorted((DatasetSnapshot.model_validate(r.payload) for r in sound), key=lambda snapshot: snapshot.starts)
