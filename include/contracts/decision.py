"""The retraining policy's input and answer."""

from enum import StrEnum

from pydantic import NonNegativeInt

from include.contracts.data import DatasetSnapshot
from include.contracts.frozen import Frozen, Utc
from include.contracts.monitoring import DriftReport
from include.contracts.verdict import Champion


class Rule(StrEnum):
    """Why a retrain is asked for."""

    FIRST_CHAMPION = "first_champion"
    PERFORMANCE_DECAY = "performance_decay"
    DRIFT = "drift"
    AGE = "age"
    REQUESTED = "requested"


class Outcome(StrEnum):
    """How a retrain request ended. Exactly one for each accepted request."""

    PROMOTED = "promoted"
    REJECTED = "rejected"
    SKIPPED = "skipped"
    FAILED = "failed"


class RetrainRequest(Frozen):
    """An accepted request to retrain.

    Attributes:
        id: The DAG run id.
        rule: Why.
        automatic: Asked by the policy, not by a person or an upstream job.
        data_version: Digest of the featured batches when it was asked.
        declaration: Digest of the part of the declaration that decides a training.
        outcome: None while it is open.
    """

    id: str
    rule: Rule
    automatic: bool
    as_of: Utc
    data_version: str
    reason: str
    declaration: str = ""
    outcome: Outcome | None = None
    closed_as_of: Utc | None = None


class History(Frozen):
    """What the policy may know: a plain picture of the ledger, oldest first."""

    champion: Champion | None
    batches: tuple[DatasetSnapshot, ...]
    windows: tuple[DriftReport, ...]
    requests: tuple[RetrainRequest, ...]


class RetrainDecision(Frozen):
    """The policy's answer.

    Attributes:
        retrain: Whether to ask for a retrain now.
        rule: Why; None where nothing speaks for it.
        reason: One sentence with the numbers.
        request: Id derived from the cause: the same cause twice is the same id. Empty where `retrain` is false.
        considered: Every rule that was looked at, with its finding.
        breaker_open: So many challengers were rejected in a row that only a person may ask.
    """

    use_case: str
    as_of: Utc
    retrain: bool
    rule: Rule | None
    reason: str
    request: str
    data_version: str
    champion_version: int | None
    considered: tuple[str, ...] = ()
    batches: NonNegativeInt = 0
    breaker_open: bool = False
