"""The loop through a real Airflow, on the use case of docs/own-model.md: drift in, a better champion out.

The tests of this file are one story and run in its order.
"""

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import psutil
import pytest

from include.contracts.record import Kind
from include.ledger import Ledger
from include.lineage.walk import events, walk
from include.local.airflow import Airflow
from tests.integration.world import Shops, copy_with_demand, until
from tests.openlineage_spec import problems

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    """An Airflow on a copy of the project that has a second use case."""
    project = copy_with_demand(tmp_path_factory.mktemp("project"))
    with Airflow(project / "home", {"EVERGREEN_WATCH_SECONDS": "0.5"}, project=project) as running:
        yield running


@pytest.fixture(scope="module")
def shops(airflow: Airflow) -> Shops:
    """The upstream job's side."""
    home = airflow.project / "home"
    until(lambda: "demand_ingest" in airflow.api.dags())
    ledger = Ledger.at(f"sqlite:///{home / 'ledger.db'}")
    return Shops(home / "landing", airflow.api, ledger, Shops.program(airflow.project))


@pytest.fixture(autouse=True)
def alive(airflow: Airflow) -> None:
    """No component has ended."""
    airflow.check()


def test_the_first_champion_comes_by_itself(shops: Shops) -> None:
    for week in range(1, 6):
        shops.drop(week, shops.data(week))
        assert shops.send(f"2024-W{week:02d}")
    shops.live(6)
    (request,) = shops.find(Kind.RETRAIN_REQUESTED)
    assert request.payload["rule"] == "first_champion"
    assert shops.endings() == ["promoted"]
    assert shops.version() == 1


def test_the_champion_leads_back_through_the_dag_runs_to_what_was_dropped(shops: Shops, airflow: Airflow) -> None:
    home = airflow.project / "home"
    told = [json.loads(line) for line in (home / "lineage.jsonl").read_text().splitlines()]
    assert [found for event in told for found in problems(event)] == []
    runs = {step.run: step for step in walk(events(home / "lineage.jsonl"), "demand", 1).steps()}
    assert [part for step in runs.values() for part in step.gaps] == []
    (request,) = shops.find(Kind.RETRAIN_REQUESTED)
    assert {step.request for step in runs.values() if step.job.startswith("demand_retrain.")} == {request.key}
    commits = [step for step in runs.values() if step.job == "demand_ingest.commit"]
    assert len({step.request for step in commits}) == len(commits) == 6
    read = {part.version for step in commits for part in step.files}
    assert read == {hashlib.sha256(path.read_bytes()).hexdigest() for path in (home / "landing").rglob("*.parquet")}


def test_without_a_change_nothing_is_retrained(shops: Shops) -> None:
    shops.live(7)
    shops.live(8)
    assert len(shops.find(Kind.RETRAIN_REQUESTED)) == 1
    assert [record.payload["model_version"] for record in shops.find(Kind.BATCH_SCORED)] == [1, 1]


def test_the_same_call_twice_is_one_run(shops: Shops) -> None:
    before = shops.find(Kind.BATCH_COMMITTED)
    assert not shops.send("2024-W08"), "409"
    assert shops.send("2024-W08", "another-id"), "another id is another run, which finds its work done"
    assert shops.ended("demand_ingest", "another-id") == "success"
    assert shops.find(Kind.BATCH_COMMITTED) == before
    until(shops.at_rest)
    assert len(shops.find(Kind.RETRAIN_REQUESTED)) == 1


SPOILT = {
    "empty": lambda frame: frame.clear(),
    "all-null": lambda frame: frame.with_columns(price=pl.lit(None, pl.Float64)),
    "wrong-schema": lambda frame: frame.drop("promo"),
    "corrupt": lambda frame: as_bytes(frame)[:-200],
}
SAID = {"empty": "0", "all-null": "price", "wrong-schema": "promo", "corrupt": "events.parquet"}


def as_bytes(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", SPOILT)
def test_a_spoilt_batch_is_quarantined_and_changes_nothing(shops: Shops, kind: str) -> None:
    held_before = len(shops.find(Kind.BATCH_QUARANTINED))
    key = shops.drop(9, SPOILT[kind](shops.data(9)))
    assert shops.send(key, kind)
    assert shops.ended("demand_ingest", kind) == "failed"
    log = shops.api.log("demand_ingest", kind, "validate")
    assert "DataError" in log
    assert SAID[kind] in log
    assert "next step" in log
    held = shops.find(Kind.BATCH_QUARANTINED, f"raw/{key}@")
    assert len(held) == held_before + 1
    assert Path(held[-1].payload["report_uri"]).is_file()
    assert shops.find(Kind.BATCH_COMMITTED, f"{key}@") == []
    assert len(shops.find(Kind.RETRAIN_REQUESTED)) == 1
    assert shops.version() == 1


def test_a_change_brings_exactly_one_retrain_and_a_better_champion(shops: Shops) -> None:
    shops.live(9)
    assert len(shops.find(Kind.RETRAIN_REQUESTED)) == 1, "one window is not enough"
    shops.live(10)
    asked = shops.find(Kind.RETRAIN_REQUESTED)
    assert [record.payload["rule"] for record in asked] == ["first_champion", "performance_decay"]
    assert shops.endings() == ["promoted", "promoted"]
    verdict = shops.find(Kind.JUDGED)[-1].payload
    assert verdict["accepted"]
    assert verdict["gain"]["low"] > 0
    assert shops.version() == 2


def test_the_aliases_of_mlflow_say_what_the_ledger_says(shops: Shops, airflow: Airflow) -> None:
    from mlflow import MlflowClient

    uri = f"sqlite:///{airflow.project / 'home' / 'mlflow.db'}"
    registry = MlflowClient(uri, registry_uri=uri)  # else that of whoever spoke with MLflow before in this process
    champion = shops.ledger.champion("demand")
    assert champion is not None
    assert int(registry.get_model_version_by_alias("demand", "champion").version) == champion.version
    assert int(registry.get_model_version_by_alias("demand", "previous").version) == champion.previous == 1


def test_a_killed_training_is_tried_again_and_a_model_that_is_no_better_changes_nothing(shops: Shops) -> None:
    asked = {"reason": "killed", "force": True, "as_of": shops.as_of("2024-W10")}
    assert shops.api.trigger("demand_retrain", "by-hand", asked)
    for process in until(_training_processes, every=0.02):
        process.kill()
    assert shops.ended("demand_retrain", "by-hand", 180) == "success"
    tasks = {task["task_id"]: task for task in shops.api.tasks("demand_retrain", "by-hand")}
    assert tasks["train"]["try_number"] > 1
    (closed,) = shops.find(Kind.RETRAIN_CLOSED, "by-hand")
    assert closed.payload["outcome"] == "rejected", "the same rows give the same model, which gains nothing"
    assert shops.version() == 2
    assert until(lambda: not _training_processes())


def test_the_same_data_again_are_a_duplicate(shops: Shops) -> None:
    asked = {"reason": "impatience", "as_of": shops.as_of("2024-W10")}
    assert shops.api.trigger("demand_retrain", "again", asked)
    assert shops.ended("demand_retrain", "again") == "success"
    (closed,) = shops.find(Kind.RETRAIN_CLOSED, "again")
    assert closed.payload["outcome"] == "skipped"
    assert "duplicate of" in closed.payload["reason"]


def test_a_killed_triggerer_costs_no_retrain(shops: Shops, airflow: Airflow) -> None:
    airflow.processes["triggerer"].kill()
    airflow.start_component("triggerer")
    airflow.wait_until_healthy()
    shops.live(11)
    asked = [record.key for record in shops.find(Kind.RETRAIN_REQUESTED)]
    assert len(asked) == len(set(asked))
    assert {record.key for record in shops.find(Kind.RETRAIN_CLOSED)} == set(asked)


def test_rollback_puts_the_previous_champion_back(shops: Shops) -> None:
    before = shops.ledger.champion("demand")
    assert before is not None
    conf = {"reason": "the shops complain", "as_of": "2024-03-28T00:00:00+00:00"}
    assert shops.api.trigger("demand_rollback", "back", conf)
    assert shops.ended("demand_rollback", "back") == "success"
    assert shops.version() == before.previous


def _training_processes() -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if "include.training" in (process.info["cmdline"] or []):
            found.append(process)
    return found
