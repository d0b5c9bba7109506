"""Monitored windows: the newest, the newest with labels, and how many there are of each state."""

from collections import Counter
from datetime import datetime

from include.contracts.monitoring import DriftReport, WindowState
from include.contracts.record import Kind, Record
from include.metrics.definitions import Samples


class Windows:
    """Folds reports of windows; a window that is seen again, with its labels, replaces its earlier report."""

    kinds = frozenset({Kind.WINDOW_MONITORED})

    def __init__(self) -> None:
        self._states: dict[tuple[int, str, datetime], WindowState] = {}
        self._newest: DriftReport | None = None
        self._labelled: DriftReport | None = None

    def fold(self, record: Record) -> None:
        """Take one record in."""
        report = DriftReport.model_validate(record.payload)
        self._states[report.model_version, report.batch, report.starts] = report.state
        if self._newest is None or report.starts >= self._newest.starts:
            self._newest = report
        if report.metric is not None and (self._labelled is None or report.starts >= self._labelled.starts):
            self._labelled = report

    def samples(self, _: datetime) -> Samples:
        """What is known."""
        count = Counter(self._states.values())
        for state in WindowState:
            yield "evergreen_windows", {"state": state.value}, count[state]
        if self._newest is not None:
            yield from _drift(self._newest)
        if self._labelled is not None and self._labelled.metric is not None:
            yield "evergreen_window_metric", {}, self._labelled.metric
            yield "evergreen_window_labelled_rows", {}, self._labelled.labelled
            if self._labelled.baseline is not None:
                yield "evergreen_window_baseline", {}, self._labelled.baseline


def _drift(report: DriftReport) -> Samples:
    for state in WindowState:
        yield "evergreen_window_state", {"state": state.value}, report.state is state
    yield "evergreen_window_rows", {}, report.rows
    yield "evergreen_window_ends_timestamp_seconds", {}, report.ends.timestamp()
    counted = [column for column in report.columns if column.counted]
    drifted = sum(column.drifted for column in counted)
    yield "evergreen_window_drifted_columns", {}, drifted
    yield "evergreen_window_drift_ratio", {}, drifted / len(counted) if counted else 0.0
    yield "evergreen_window_drifted_importance_ratio", {}, report.drifted_importance
    for column in report.columns:
        if column.threshold > 0:
            yield "evergreen_window_column_drift_ratio", {"column": column.column}, column.score / column.threshold
    predicted = report.prediction_drift
    if predicted and predicted.threshold > 0:
        yield "evergreen_window_prediction_drift_ratio", {}, predicted.score / predicted.threshold
