"""Puts a batch's reports into an MLflow run of the experiment `<use case>-monitoring`."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from include.contracts.monitoring import DriftReport
from include.models.tracking import client, experiment, mlflow_errors
from include.monitoring.picture import heat_map, summary, worst

KEY = "evergreen.key"


def publish(
    key: str, reports: Sequence[DriftReport], snapshots: Mapping[int, Any], sizes: dict[str, int]
) -> list[DriftReport]:
    """Log the windows of one batch as one run; the same key finds its run again.

    Args:
        key: Batch, content and model version.
        reports: The windows in order.
        snapshots: Evidently's snapshot by position of the window.
        sizes: Rows that were compared.

    Returns:
        The reports with run id and the place of their report. Every compared window has Evidently's JSON; its HTML
        (4.4 MB, nearly all of it plotly) is kept for the worst window of the batch.
    """
    mlflow = client()
    use_case, version = reports[0].use_case, reports[0].model_version
    with mlflow_errors("monitoring"):
        run_id, place = _run(mlflow, experiment(mlflow, f"{use_case}-monitoring"), key, reports[0])
        named = [
            report.model_copy(update={"mlflow_run_id": run_id, "report_uri": f"{place}/windows/{_name(report)}.json"})
            for report in reports
        ]
        heaviest = worst(named)
        with tempfile.TemporaryDirectory() as folder:
            _write(Path(folder), named, snapshots, sizes, named.index(heaviest) if heaviest else None)
            mlflow.log_artifacts(run_id, folder)
        _log(mlflow, run_id, named, {"batch": reports[0].batch, "model_version": str(version)})
        mlflow.set_terminated(run_id)
    return named


def _run(mlflow: Any, experiment_id: str, key: str, report: DriftReport) -> tuple[str, str]:
    found = mlflow.search_runs([experiment_id], filter_string=f"tags.`{KEY}` = '{key}'", max_results=1)
    name = f"{report.batch} v{report.model_version}"
    run = found[0] if found else mlflow.create_run(experiment_id, run_name=name, tags={KEY: key})
    return run.info.run_id, run.info.artifact_uri


def _write(
    folder: Path,
    reports: Sequence[DriftReport],
    snapshots: Mapping[int, Any],
    sizes: dict[str, int],
    heaviest: int | None,
) -> None:
    (folder / "windows").mkdir()
    for position, report in enumerate(reports):
        found = snapshots.get(position)
        evidently = json.loads(found.json()) if found else None
        content = {"report": report.model_dump(mode="json"), "evidently": evidently}
        (folder / "windows" / f"{_name(report)}.json").write_text(json.dumps(content, indent=1))
        if found and position == heaviest:
            found.save_html(str(folder / f"worst-window-{_name(report)}.html"))
    (folder / "summary.md").write_text(summary(reports, sizes))
    (folder / "drift.svg").write_text(heat_map(reports))


def _log(mlflow: Any, run_id: str, reports: Sequence[DriftReport], tags: dict[str, str]) -> None:
    from mlflow.entities import Metric, RunTag

    values = [
        Metric(name, float(value), int(report.as_of.timestamp() * 1000), step)
        for step, report in enumerate(reports)
        for name, value in _metrics(report).items()
    ]
    states = {f"window.{report.starts:%Y-%m-%d}": report.state.value for report in reports}
    mlflow.log_batch(run_id, metrics=values, tags=[RunTag(name, value) for name, value in (tags | states).items()])


def _metrics(report: DriftReport) -> dict[str, float]:
    found = {"rows": report.rows, "labelled": report.labelled, "drifted_importance": report.drifted_importance}
    if report.metric is not None:
        found["metric"] = report.metric
    if report.prediction_drift:
        found["prediction_drift"] = report.prediction_drift.score
    return found


def _name(report: DriftReport) -> str:
    return f"{report.starts:%Y-%m-%dT%H}"
