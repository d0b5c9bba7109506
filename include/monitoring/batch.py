"""Monitors one batch: every window's drift once, its performance as labels come."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import polars as pl

from include.contracts.errors import DataError
from include.contracts.monitoring import DriftReport
from include.contracts.record import Kind, Record
from include.contracts.scoring import Scored
from include.contracts.use_case import UseCase
from include.contracts.verdict import Champion
from include.lake import Lake
from include.ledger import Ledger
from include.monitoring.compare import Thresholds, compare
from include.monitoring.evidently_report import Evidently
from include.monitoring.pending import Task
from include.monitoring.performance import Labels, labels, performance
from include.monitoring.reference import Reference, describe
from include.monitoring.windows import Window, cut

Publish = Callable[..., list[DriftReport]]


@dataclass(frozen=True)
class Bench:
    """What monitoring works with.

    Attributes:
        publish: Puts the reports where people look; gives them back with their place.
        run_id: DAG run on whose behalf it is done.
    """

    use_case: UseCase
    lake: Lake
    ledger: Ledger
    as_of: datetime
    publish: Publish
    run_id: str = ""


def monitor_batch(
    bench: Bench, task: Task, champion: Champion, reference: Reference, thresholds: Thresholds
) -> list[DriftReport]:
    """Compare every window of a batch with the reference, measure it, publish and record it.

    Args:
        bench: What monitoring works with.
        task: The batch.
        champion: Who predicted it.
        reference: What that model was trained on.
        thresholds: Its calibration.

    Returns:
        The windows as recorded.
    """
    found = _labels(bench, task.scored)
    scorer, snapshots, reports = Evidently(), {}, []
    for position, window in enumerate(cut(task.scored.starts, task.scored.ends, bench.use_case.monitoring.window)):
        rows = _within(bench.use_case, found.rows, window)
        scorer.last = None
        compared = compare(rows, reference, bench.use_case.monitoring, thresholds, scorer)
        if scorer.last is not None:
            snapshots[position] = scorer.last
        metric, labelled = performance(bench.use_case, rows)
        report = DriftReport(
            use_case=bench.use_case.name,
            batch=task.scored.batch,
            starts=window[0],
            ends=window[1],
            as_of=bench.as_of,
            model_version=champion.version,
            state=compared.state,
            rows=rows.height,
            labelled=labelled,
            columns=compared.columns,
            drifted_importance=compared.drifted_importance,
            prediction_drift=compared.prediction,
            metric=metric,
            baseline=champion.metric,
            problems=compared.problems,
        )
        reports.append(report)
    published = bench.publish(task.key, reports, snapshots, describe(reference))
    return _record(bench, task, published, found)


def add_labels(bench: Bench, task: Task) -> list[DriftReport]:
    """Measure a monitored batch again where labels have come since; its drift stays as it was found.

    Returns:
        The windows that changed.
    """
    found = _labels(bench, task.scored)
    if found.known == (task.before or {})["labelled"]:
        if _complete(bench, found):
            _record(bench, task, [], found, suffix=f"/complete-{found.known}")
        return []
    changed = []
    for window in cut(task.scored.starts, task.scored.ends, bench.use_case.monitoring.window):
        metric, labelled = performance(bench.use_case, _within(bench.use_case, found.rows, window))
        before = _newest(bench.ledger, bench.use_case.name, task.window_key(window[0]))
        if labelled != before.labelled:
            news = {"metric": metric, "labelled": labelled, "as_of": bench.as_of}
            changed.append(before.model_copy(update=news))
    return _record(bench, task, changed, found, suffix=f"/{found.known}")


def _record(
    bench: Bench, task: Task, reports: Sequence[DriftReport], found: Labels, suffix: str = ""
) -> list[DriftReport]:
    """Windows first, the batch last: a batch on record has all its windows."""
    written = []
    for report in reports:
        key = task.window_key(report.starts) + (f"/{report.labelled}" if suffix else "")
        written.append(_append(bench, Kind.WINDOW_MONITORED, key, report.model_dump(mode="json")))
    summary = {
        "batch": task.scored.batch,
        "windows": len(reports),
        "model_version": task.scored.model_version,
        "labelled": found.known,
        "complete": _complete(bench, found),
        "mlflow_run_id": reports[0].mlflow_run_id if reports else "",
    }
    _append(bench, Kind.BATCH_MONITORED, task.key + suffix, summary)
    return [DriftReport.model_validate(payload) for payload in written]


def _append(bench: Bench, kind: Kind, key: str, payload: dict[str, Any]) -> dict[str, Any]:
    record = Record(
        use_case=bench.use_case.name, kind=kind, key=key, as_of=bench.as_of, payload=payload, run_id=bench.run_id
    )
    return bench.ledger.append(record).payload


def _labels(bench: Bench, scored: Scored) -> Labels:
    rows = bench.lake.scan("predictions", [scored.batch], scored.table_version)
    if rows is None:
        raise DataError("monitoring", f"{scored.uri} is gone", "score the batch again")
    return labels(bench.use_case, bench.lake, scored, rows.collect(), bench.as_of)


def _within(use_case: UseCase, rows: pl.DataFrame, window: Window) -> pl.DataFrame:
    time, kind = pl.col(use_case.event_time), pl.Datetime("us", "UTC")
    return rows.filter(time >= pl.lit(window[0], kind), time < pl.lit(window[1], kind))


def _complete(bench: Bench, found: Labels) -> bool:
    return found.due is None or found.due <= bench.as_of


def _newest(ledger: Ledger, use_case: str, key: str) -> DriftReport:
    records = [r for r in ledger.find(use_case, Kind.WINDOW_MONITORED, prefix=key) if _is(r.key, key)]
    return DriftReport.model_validate(records[-1].payload)


def _is(key: str, base: str) -> bool:
    return key == base or key.startswith(f"{base}/")
