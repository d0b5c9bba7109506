"""Each alert fires on what it is about, after its patience, and on nothing else (promtool's rule tests)."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.observability.queries import ALERTS, alerts
from tests.observability.servers import APT

DAY = 86_400
OF = '{use_case="flights"}'
SILENT = {"scheduler": "SchedulerSilent", "triggerer": "TriggererSilent", "dag_processor": "DagProcessorSilent"}

HEALTHY = {
    'evergreen_retrain_last_outcome{use_case="flights", outcome="failed"}': "0x1600",
    f"evergreen_breaker_open{OF}": "0x1600",
    f"evergreen_request_age_seconds{OF}": "0x1600",
    f"evergreen_window_metric{OF}": "0.79x1600",
    f"evergreen_window_baseline{OF}": "0.80x1600",
    f"evergreen_policy_decay{OF}": "0.02x1600",
    f"evergreen_champion_age_seconds{OF}": f"{30 * DAY}x1600",
    f"evergreen_policy_maximum_age_seconds{OF}": f"{90 * DAY}x1600",
    f"evergreen_declaration_broken{OF}": "0x1600",
    f"evergreen_quarantined_batches{OF}": "0x1600",
    'evergreen_batch_age_seconds{use_case="flights", stage="scored"}': f"{2 * DAY}x1600",
    f"evergreen_cadence_seconds{OF}": f"{DAY}x1600",
    'up{job="evergreen"}': "1x1600",
    **{f"airflow_{name}_heartbeat_total": "0+10x1600" for name in SILENT},
    "airflow_dag_processing_import_errors": "0x1600",
    'airflow_ti_finish_total{dag_id="flights_ingest", state="failed"}': "3x1600",
    "airflow_executor_queued_tasks": "2x1600",
    "airflow_executor_running_tasks": "1x1600",
    "alertmanager_notifications_failed_total": "7x1600",
}
"""Values once a minute for 26 hours."""

ILL = {
    "RetrainFailed": {'evergreen_retrain_last_outcome{use_case="flights", outcome="failed"}': "1x1600"},
    "BreakerOpen": {f"evergreen_breaker_open{OF}": "1x1600"},
    "RetrainStuck": {f"evergreen_request_age_seconds{OF}": f"{7 * 3600}x1600"},
    "ModelDecayed": {f"evergreen_window_metric{OF}": "0.77x1600"},
    "StaleModel": {f"evergreen_policy_maximum_age_seconds{OF}": f"{20 * DAY}x1600"},
    "DeclarationBroken": {f"evergreen_declaration_broken{OF}": "1x1600"},
    "QuarantinedBatch": {f"evergreen_quarantined_batches{OF}": "2x1600"},
    "StaleData": {'evergreen_batch_age_seconds{use_case="flights", stage="scored"}': f"{4 * DAY}x1600"},
    "ScrapeDown": {'up{job="evergreen"}': "0x1600"},
    **{alert: {f"airflow_{name}_heartbeat_total": "50x1600"} for name, alert in SILENT.items()},
    "ImportErrors": {"airflow_dag_processing_import_errors": "1x1600"},
    "TasksFail": {'airflow_ti_finish_total{dag_id="flights_ingest", state="failed"}': "0+1x1600"},
    "QueueStuck": {"airflow_executor_running_tasks": "0x1600"},
    "AlertsUndelivered": {"alertmanager_notifications_failed_total": "0+1x1600"},
}
"""What differs, for each alert."""

PATIENT = 25
"""Hours after which the most patient alert fires."""


def judged(folder: Path, series: dict[str, str], expected: dict[str, int], hours: int = 2) -> str:
    """What promtool finds wrong: nothing where exactly the alerts of `expected` fire after some hours."""
    if shutil.which("promtool") is None:
        pytest.skip(f"promtool is not here: {APT}")
    samples = [{"labels": f'{{alertname="{name}"}}', "value": count} for name, count in expected.items()]
    question = 'count by (alertname) (ALERTS{alertstate="firing"})'
    test: dict[str, Any] = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": question, "eval_time": f"{hours}h", "exp_samples": samples}],
    }
    path = folder / "test.yml"
    path.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": [test]}))
    done = subprocess.run(["promtool", "test", "rules", str(path)], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_nothing_fires_where_all_is_well(tmp_path: Path) -> None:
    assert judged(tmp_path, HEALTHY, {}, PATIENT) == ""


@pytest.mark.parametrize("name", ILL)
def test_an_alert_fires_alone(tmp_path: Path, name: str) -> None:
    hours = PATIENT if name in {"ModelDecayed", "StaleModel"} else 2
    assert judged(tmp_path, {**HEALTHY, **ILL[name]}, {name: 1}, hours) == ""


def test_every_alert_is_tried() -> None:
    assert list(ILL) == [name for name, _ in alerts()]


def test_an_airflow_that_never_spoke_is_silent_too(tmp_path: Path) -> None:
    quiet = {name: values for name, values in HEALTHY.items() if "heartbeat" not in name}
    assert judged(tmp_path, quiet, dict.fromkeys(SILENT.values(), 1)) == ""
