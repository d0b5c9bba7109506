"""A real Prometheus scrapes a ledger that has lived; every question has an answer, and an alert arrives as a mail."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from include.ledger import Ledger
from include.local.process import LOOPBACK, Process, free_ports
from tests.observability.conftest import Mailbox
from tests.observability.lived import NAME, Life
from tests.observability.queries import DEPLOY, alerts, answer, queries
from tests.observability.servers import Watched, until, watched

pytestmark = pytest.mark.integration
AIRFLOW = "airflow_"
TAGS = {"dag_id": f"{NAME}_ingest", "task_id": "land", "run_type": "manual"}

FIRING = {"QuarantinedBatch", "RetrainFailed", "BreakerOpen", "ModelDecayed", "ScrapeDown", "SchedulerSilent"}
"""What that life, and the lack of an Airflow, set off."""


@pytest.fixture
def here(ledger: Ledger, mailbox: Mailbox, tmp_path: Path) -> Iterator[Watched]:
    Life(ledger).live()
    with watched(tmp_path, {"EVERGREEN_ALERTS": mailbox.url}) as running:
        yield running


@pytest.fixture
def statsd(here: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Airflow's own client, configured as the stack's, which sends to a real exporter with our mapping."""
    exporter = shutil.which("statsd_exporter") or shutil.which("prometheus-statsd-exporter")
    if exporter is None:
        pytest.skip("statsd_exporter is not here: go install github.com/prometheus/statsd_exporter@latest")
    (port,) = free_ports(1)
    command = [
        exporter,
        f"--statsd.mapping-config={DEPLOY}/prometheus/statsd.yml",
        f"--web.listen-address={LOOPBACK}:{here.ports['statsd']}",
        f"--statsd.listen-udp={LOOPBACK}:{port}",
        "--statsd.listen-tcp=",
    ]
    running = Process("statsd", command, tmp_path / "statsd.log", dict(os.environ), tmp_path)
    sending = {
        "STATSD_ON": "True",
        "STATSD_HOST": LOOPBACK,
        "STATSD_PORT": str(port),
        "STATSD_INFLUXDB_ENABLED": "True",
    }
    for name, value in sending.items():
        monkeypatch.setenv(f"AIRFLOW__METRICS__{name}", value)
    from airflow.observability.metrics.statsd_logger import get_statsd_logger

    yield get_statsd_logger()
    running.stop()


def unanswered(prometheus: str, airflow: bool) -> list[tuple[str, str]]:
    """Questions without an answer."""
    asked = [(where, query) for where, query in queries() if (AIRFLOW in query) == airflow]
    assert len(asked) > 10
    return [(where, query) for where, query in asked if not answer(prometheus, query)]


def firing(prometheus: str) -> set[str]:
    """Names of the alerts that fire."""
    return {one["metric"]["alertname"] for one in answer(prometheus, 'ALERTS{alertstate="firing"}')}


def test_every_question_about_the_trade_has_an_answer_and_an_alert_arrives(here: Watched, mailbox: Mailbox) -> None:
    prometheus = here.url("prometheus")
    until(lambda: not unanswered(prometheus, airflow=False))
    for _, expression in alerts():
        answer(prometheus, expression)
    until(lambda: firing(prometheus) >= FIRING)
    assert "StaleModel" not in firing(prometheus)

    def mails() -> str:
        return "\n".join(mailbox.mails).replace("=\n", "").replace("=\r\n", "")

    until(lambda: "airflow does not answer (firing)" in mails())
    until(lambda: f"{NAME}: batch w9 is in quarantine" in mails())
    until(lambda: "below what it had when it was made" in mails())
    assert mails().count("batch w9 is in quarantine") == 1


def test_every_question_about_airflow_has_an_answer(here: Watched, statsd: Any) -> None:
    prometheus = here.url("prometheus")

    def told() -> bool:
        """What Airflow 3.3 sends, again and again as it does."""
        for name in ("scheduler_heartbeat", "triggerer_heartbeat", "dag_processor_heartbeat", "asset.updates"):
            statsd.incr(name)
        statsd.incr("ti.finish", tags={**TAGS, "state": "success"})
        for name in ("dagrun.duration.success", "task.duration", "task.scheduled_duration"):
            statsd.timing(name, 1_500.0, tags=TAGS)
        statsd.timing("scheduler.scheduler_loop_duration", 20.0)
        for name in ("executor.open_slots", "executor.queued_tasks", "executor.running_tasks"):
            statsd.gauge(name, 3, tags={"executor_class_name": "LocalExecutor"})
        statsd.gauge("pool.open_slots", 128, tags={"pool_name": "default_pool"})
        statsd.gauge("dag_processing.import_errors", 0)
        statsd.gauge("dag_processing.last_num_of_db_queries.some_file", 7)
        return not unanswered(prometheus, airflow=True)

    until(told)
    (mean,) = answer(prometheus, "airflow_task_duration_seconds_sum / airflow_task_duration_seconds_count")
    assert float(mean["value"][1]) == pytest.approx(1.5)
    assert mean["metric"]["dag_id"] == f"{NAME}_ingest"
    assert answer(prometheus, '{__name__=~"airflow_.*db_queries.*"}') == []
    until(lambda: not any(name.endswith("Silent") for name in firing(prometheus)))
