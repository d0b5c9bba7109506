"""The real Airflow: it is up, knows our DAGs, and refuses what it should."""

import time
from typing import Any

import psutil
import pytest
import requests

from include.contracts.errors import PolicyError
from include.contracts.record import Kind
from include.ledger import Ledger
from include.local.airflow import COMPONENTS, Airflow
from include.local.api import Api

pytestmark = pytest.mark.integration

FLIGHTS = [f"flights_{kind}" for kind in ("ingest", "monitor", "retrain", "rollback", "score", "watch")]
ENDED = {"success", "failed"}


def until(condition: Any, seconds: float = 60.0) -> Any:
    """What `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.2)
    return found


def ended(api: Api, dag: str, run_id: str) -> str:
    """The state in which a run ended."""
    until(lambda: api.run(dag, run_id)["state"] in ENDED)
    return str(api.run(dag, run_id)["state"])


def test_the_six_dags_are_there(api: Api) -> None:
    until(lambda: api.dags() == FLIGHTS)
    assert api.import_errors() == {}


def test_nobody_gets_in_without_the_password(airflow: Airflow) -> None:
    wrong = requests.post(f"{airflow.url}/auth/token", json={"username": "admin", "password": "admin"}, timeout=30)
    assert wrong.status_code == 401
    assert requests.get(f"{airflow.url}/api/v2/dags", timeout=30).status_code == 401


def test_its_secrets_are_its_owners(airflow: Airflow) -> None:
    for path in (airflow.passwords_file, airflow.folder / "secrets.json"):
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("batch", ["2013-5; rm -rf", "../2013-05", 201305, "{{ 7 * 7 }}"])
def test_a_wrong_batch_is_400_and_starts_nothing(api: Api, batch: Any) -> None:
    answer = api.call("POST", "/dags/flights_ingest/dagRuns", {"logical_date": None, "conf": {"batch": batch}})
    assert answer.status_code == 400
    assert "batch" in answer.text
    with pytest.raises(PolicyError, match="400"):
        api.trigger("flights_ingest", "wrong", {"batch": batch})


def test_an_unknown_key_ends_in_the_first_task(api: Api) -> None:
    assert api.trigger("flights_ingest", "unknown-key", {"image": "evil", "batch": "2013-01"})
    assert ended(api, "flights_ingest", "unknown-key") == "failed"
    tasks = {task["task_id"]: task for task in api.tasks("flights_ingest", "unknown-key")}
    assert tasks["land"]["state"] == "failed"
    assert tasks["land"]["try_number"] == 1, "a PolicyError is not tried again"
    assert tasks["validate"]["state"] == "upstream_failed"
    log = api.log("flights_ingest", "unknown-key", "land")
    assert "unknown key 'image'; known: batch, reason, as_of" in log
    assert "next step" in log


def test_the_same_run_id_twice_is_one_run(api: Api) -> None:
    assert api.trigger("flights_rollback", "twice", {"reason": "once"})
    assert not api.trigger("flights_rollback", "twice", {"reason": "again"})
    body = {"dag_run_id": "twice", "logical_date": None, "conf": {}}
    assert api.call("POST", "/dags/flights_rollback/dagRuns", body).status_code == 409
    assert api.run("flights_rollback", "twice")["conf"]["reason"] == "once"
    assert ended(api, "flights_rollback", "twice") == "failed", "there is nothing to roll back to"


def test_a_template_in_a_reason_stays_text(api: Api) -> None:
    api.trigger("flights_retrain", "template", {"reason": "{{ 7 * 191 }} $(id)"})
    assert ended(api, "flights_retrain", "template") == "failed", "there is nothing to train on"
    for task in ("plan", "close"):
        assert "1337" not in api.log("flights_retrain", "template", task)


def test_a_request_that_was_refused_leaves_no_request(api: Api, ledger: Ledger) -> None:
    api.trigger("flights_retrain", "nothing-there", {})
    assert ended(api, "flights_retrain", "nothing-there") == "failed"
    assert "ingest a batch first" in api.log("flights_retrain", "nothing-there", "plan")
    assert ledger.get("flights", Kind.RETRAIN_REQUESTED, "nothing-there") is None


def test_one_sensor_always_waits_in_the_triggerer(api: Api) -> None:
    def waiting() -> bool:
        runs = api.runs("flights_watch", state="running")
        tasks = api.tasks("flights_watch", runs[0]["dag_run_id"]) if len(runs) == 1 else []
        return any(task["task_id"] == "wait_for_decision" and task["state"] == "deferred" for task in tasks)

    until(waiting)


@pytest.mark.parametrize("component", ["triggerer", "dag-processor"])
def test_a_killed_component_is_noticed_and_comes_back(airflow: Airflow, component: str) -> None:
    process = airflow.processes[component]
    below = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    assert not [child for child in below if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    with pytest.raises(Exception, match=f"airflow {component}"):
        airflow.check()
    airflow.start_component(component)
    airflow.wait_until_healthy()
    assert set(airflow.processes) == set(COMPONENTS)
