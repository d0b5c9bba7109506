"""Monitoring: data quality, drift and measured performance of every scored batch, window by window."""

import os
from datetime import datetime
from functools import partial
from typing import Any

from include.jobs import main


def monitor(use_case: str, as_of: str) -> dict[str, Any]:
    """Monitor the batches that wait for it, and measure those again whose labels have come.

    Args:
        use_case: Name of the use case.
        as_of: Time of the look, ISO 8601 with zone; later labels and batches are not seen.

    Returns:
        `batches`: how many were looked at; `windows`: what was found, in short.
    """
    from include.ledger import Ledger
    from include.monitoring.pending import pending
    from include.settings import settings

    ledger, moment = Ledger.at(settings().ledger_url), datetime.fromisoformat(as_of)
    tasks = pending(ledger, use_case, moment)
    if not tasks:
        return {"batches": 0, "windows": []}
    windows = _look(use_case, ledger, moment, tasks)
    return {"batches": len(tasks), "windows": [_short(report) for report in windows]}


def _look(use_case: str, ledger: Any, moment: datetime, tasks: list[Any]) -> list[Any]:
    from include.lake import Lake
    from include.models.manifest import read_manifest
    from include.monitoring.batch import Bench, add_labels, monitor_batch
    from include.monitoring.pending import predictor
    from include.monitoring.publish import publish
    from include.monitoring.reference import Reference, read
    from include.monitoring.thresholds import thresholds
    from include.settings import settings
    from include.use_cases.catalogue import declaration

    found = settings()
    declared, run_id = declaration(use_case), os.environ.get("EVERGREEN_RUN_ID", "")
    bench = Bench(declared, Lake(found.lake, use_case), ledger, moment, publish, run_id)
    folder = f"{found.artifacts}/{use_case}/reports/calibration"
    references: dict[str, Reference] = {}
    windows = []
    for task in tasks:
        if task.before is not None:
            windows += add_labels(bench, task)
            continue
        champion = predictor(ledger, use_case, task.scored)
        if champion.manifest_uri not in references:
            references[champion.manifest_uri] = read(read_manifest(champion.manifest_uri))
        reference = references[champion.manifest_uri]
        limits = partial(thresholds, reference, declared.monitoring, folder)
        windows += monitor_batch(bench, task, champion, reference, limits)
    return windows


def _short(report: Any) -> dict[str, Any]:
    return {
        **report.model_dump(
            mode="json",
            include={
                "batch",
                "starts",
                "ends",
                "model_version",
                "state",
                "rows",
                "labelled",
                "drifted_importance",
                "metric",
                "baseline",
                "problems",
                "report_uri",
                "mlflow_run_id",
            },
        ),
        "drifted": [column.column for column in report.columns if column.drifted and column.counted],
    }


if __name__ == "__main__":
    raise SystemExit(main("monitoring"))
