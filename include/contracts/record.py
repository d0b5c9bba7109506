"""The ledger's records."""

from enum import StrEnum
from typing import Any

from include.contracts.frozen import Frozen, Utc


class Kind(StrEnum):
    """What a record says; its key and payload are named beside it."""

    BATCH_LANDED = "batch_landed"  # key: batch@digest; LandedBatch
    BATCH_VALIDATED = "batch_validated"  # key: suite/batch@digest; ValidationReport
    BATCH_QUARANTINED = "batch_quarantined"  # key: suite/batch@digest; ValidationReport
    QUARANTINE_RULED = "quarantine_ruled"  # key: suite/batch@digest/n; {"ruling": "released", "reason": .., "by": ..}
    BATCH_COMMITTED = "batch_committed"  # key: batch@digest; DatasetSnapshot of the raw tables
    FEATURES_BUILT = "features_built"  # key: batch@digest; DatasetSnapshot, digest of the raw one
    FEATURES_MATERIALIZED = "features_materialized"  # key: batch@digest; {"keys": .., "checked": .., "rows": ..}
    BATCH_SCORED = "batch_scored"  # key: batch@digest; Scored
    WINDOW_MONITORED = "window_monitored"  # key: batch@digest/start/vN; DriftReport
    BATCH_MONITORED = "batch_monitored"  # key: batch@digest/vN; {"batch": .., "windows": n, "model_version": N, ..}
    DECIDED = "decided"  # key: batch@digest; RetrainDecision
    RETRAIN_REQUESTED = "retrain_requested"  # key: request id; RetrainRequest with outcome None
    RETRAIN_CLOSED = "retrain_closed"  # key: request id; {"outcome": Outcome, "reason": .., "version": int | None}
    TRAINED = "trained"  # key: spec digest; {"manifest_uri": .., "request": ..}
    JUDGED = "judged"  # key: request/revision; GateVerdict
    PROMOTED = "promoted"  # key: revision; Champion
    STAGE_COST = "stage_cost"  # key: unique; {"stage": .., "step": .., Cost}
    ALERT_CLAIMED = "alert_claimed"  # key: fact>place/n; {"by": who tries to send it for the nth time}
    ALERTED = "alerted"  # key: fact>place; {"title": what was said}


class Record(Frozen):
    """One line of the ledger. (use_case, kind, key) is unique: the same fact is written once.

    Attributes:
        id: Position in the ledger; 0 before it is written.
        as_of: The time that the fact is about, UTC.
        created_at: When it was written, wall clock, UTC.
        run_id: DAG run that wrote it.
    """

    use_case: str
    kind: Kind
    key: str
    as_of: Utc
    payload: dict[str, Any]
    run_id: str = ""
    id: int = 0
    created_at: Utc | None = None
