"""What monitoring found in one window."""

from enum import StrEnum

from pydantic import NonNegativeInt

from include.contracts.frozen import Frozen, Utc


class WindowState(StrEnum):
    """State of a window, the worst first."""

    BAD_DATA = "bad data"
    INSUFFICIENT = "insufficient data"
    DRIFTED = "drifted"
    STABLE = "stable"


class ColumnDrift(Frozen):
    """Drift of one column in one window.

    Attributes:
        score: Distance to the reference.
        threshold: Calibrated on the reference against itself at the window's size, never below the effect floor.
        importance: Share of the champion's gain.
        counted: False for columns that drift by nature.
    """

    column: str
    method: str
    score: float
    threshold: float
    drifted: bool
    importance: float
    counted: bool = True


class DriftReport(Frozen):
    """One window of one batch against the champion's training set.

    Attributes:
        model_version: Version whose predictions are in the window.
        drifted_importance: Share of the model's gain that the drifted, counted columns carry.
        prediction_drift: Drift of the predictions; None where nothing was predicted.
        metric: Deciding metric of the predictions as they were made; None until labels are in.
        baseline: The champion's metric when it was promoted.
        problems: Data quality problems, in words.
    """

    use_case: str
    batch: str
    starts: Utc
    ends: Utc
    as_of: Utc
    model_version: int
    state: WindowState
    rows: NonNegativeInt
    labelled: NonNegativeInt
    columns: tuple[ColumnDrift, ...]
    drifted_importance: float
    prediction_drift: ColumnDrift | None
    metric: float | None
    baseline: float | None
    problems: tuple[str, ...] = ()
    report_uri: str = ""
    mlflow_run_id: str = ""
