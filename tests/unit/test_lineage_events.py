"""What is said about a step: its run, its DAG run, what it read and wrote, how it failed; checked against the spec."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include import jobs
from include.contracts.data import TableVersion
from include.contracts.errors import DataError
from include.lineage import datasets
from include.settings import PROJECT
from tests.lineage_world import AS_OF, SHA, landed, snapshot
from tests.openlineage_spec import problems

Json = dict[str, Any]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.delenv("EVERGREEN_LINEAGE", raising=False)
    return tmp_path


def commit(use_case: str, as_of: str, batch: str, landed: Json) -> Json:
    if batch == "bad":
        raise DataError("ingestion", "the file is cut", "drop it again")
    if batch == "stopped":
        raise SystemExit(143)
    return snapshot(batch)


def call(batch: str, run_id: str = "", step: Callable[..., Json] = commit, as_of: str = AS_OF) -> Json:
    arguments = {"use_case": "toy", "as_of": as_of, "batch": batch, "landed": landed(batch)}
    return jobs.call(step, "ingestion", arguments, run_id)


def told(home: Path) -> list[Json]:
    events = [json.loads(line) for line in (home / "lineage.jsonl").read_text().splitlines()]
    assert [found for event in events for found in problems(event)] == []
    return events


def test_a_step_says_what_it_read_and_wrote(home: Path) -> None:
    assert call("2013-01") == snapshot("2013-01")
    start, end = told(home)
    assert [start["eventType"], end["eventType"]] == ["START", "COMPLETE"]
    assert start["run"]["runId"] == end["run"]["runId"]
    assert (end["job"]["namespace"], end["job"]["name"]) == ("evergreen", "toy_ingest.commit")
    (read,), (written,) = end["inputs"], end["outputs"]
    assert (read["namespace"], read["name"]) == ("s3://drop", "toy/2013-01/trips.parquet")
    assert read["facets"]["version"]["datasetVersion"] == SHA
    assert read["inputFacets"]["inputStatistics"]["size"] == 99
    assert (written["namespace"], written["name"]) == ("s3://lake", "toy/raw/trips")
    assert written["facets"]["version"]["datasetVersion"] == "4"
    assert written["outputFacets"]["outputStatistics"]["rowCount"] == 12
    assert written["facets"]["evergreen_batches"]["batches"] == [
        {"batch": "2013-01", "version": 4, "digest": "d1", "rows": 12}
    ]


def test_the_same_work_is_the_same_run_in_every_attempt(home: Path) -> None:
    call("2013-01", "r1")
    call("2013-01", "r1")
    call("2013-02", "r1")
    call("2013-01", "r2")
    first, again, other_batch, other_run = (event["run"]["runId"] for event in told(home)[::2])
    assert first == again
    assert len({first, other_batch, other_run}) == 3


def test_the_dag_run_is_the_parent(home: Path) -> None:
    call("2013-01", "manual__1")
    call("2013-02", "manual__1")
    call("2013-01", "manual__2")
    facets = [event["run"]["facets"] for event in told(home)]
    assert facets[0]["parent"]["job"]["name"] == "toy_ingest"
    assert facets[0]["tags"]["tags"][0]["value"] == "manual__1"
    first, second, third = (facet["parent"]["run"]["runId"] for facet in facets[::2])
    assert first == second != third


def test_by_hand_there_is_no_parent(home: Path) -> None:
    call("2013-01")
    assert "parent" not in told(home)[0]["run"]["facets"]


def test_a_failure_is_told_in_the_words_of_the_log(home: Path) -> None:
    with pytest.raises(DataError):
        call("bad")
    start, end = told(home)
    assert (start["eventType"], end["eventType"]) == ("START", "FAIL")
    assert "the file is cut" in end["run"]["facets"]["errorMessage"]["message"]


def test_what_was_told_to_stop_is_aborted(home: Path) -> None:
    with pytest.raises(SystemExit):
        call("stopped")
    assert told(home)[1]["eventType"] == "ABORT"


def test_a_step_without_lineage_says_nothing(home: Path) -> None:
    def look(**_: object) -> Json:
        return {}

    call("2013-01", step=look)
    assert not (home / "lineage.jsonl").exists()


def test_off_is_off_and_loads_nothing(home: Path) -> None:
    program = (
        "import sys; from include import jobs\n"
        "def commit(use_case): return {}\n"
        "jobs.call(commit, 'ingestion', {'use_case': 'toy'})\n"
        "assert 'openlineage' not in sys.modules"
    )
    env = {**os.environ, "EVERGREEN_LINEAGE": "off", "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", program], cwd=PROJECT, env=env, check=True)
    assert not (home / "lineage.jsonl").exists()


def test_an_event_that_cannot_be_written_is_a_warning(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "taken").write_text("a file, no folder")
    monkeypatch.setenv("EVERGREEN_LINEAGE", str(home / "taken" / "lineage.jsonl"))
    assert call("2013-01") == snapshot("2013-01")
    assert caplog.text.count("an event of ingestion.commit is lost") == 2


def test_a_result_that_says_nothing_sound_is_a_warning(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    def commit(**_: object) -> Json:
        return {"surprise": 1}

    assert call("2013-01", step=commit) == {"surprise": 1}
    assert "an event of ingestion.commit is lost: ValidationError" in caplog.text


def test_places_have_the_names_that_the_rules_give_them(tmp_path: Path) -> None:
    assert datasets.place("s3://bucket/a/b.parquet") == ("s3://bucket", "a/b.parquet")
    assert datasets.place(str(tmp_path / "b")) == ("file", str(tmp_path / "b"))
    assert datasets.place("redis://me:secret@cache:6379/2") == ("redis://cache:6379", "2")


def test_a_table_is_meant_in_its_newest_version() -> None:
    versions = {
        batch: TableVersion(name="spine", uri="s3://lake/toy/spine", version=number, rows=10, digest=batch)
        for batch, number in (("2013-02", 1), ("2013-01", 5), ("2013-03", 3))
    }
    found = datasets.table(versions.items()).written()
    assert found.facets["version"].datasetVersion == "5"  # type: ignore[index,attr-defined]
    assert found.outputFacets["outputStatistics"].rowCount == 30  # type: ignore[index,attr-defined]
    assert [b["batch"] for b in found.facets["evergreen_batches"].batches] == ["2013-01", "2013-02", "2013-03"]  # type: ignore[index,attr-defined]


def test_the_check_of_events_finds_what_is_wrong(home: Path) -> None:
    call("2013-01", "r1")
    good = told(home)[1]
    broken: list[tuple[Callable[[Json], Any], str]] = [
        (lambda e: e.pop("producer"), "producer"),
        (lambda e: e["run"].update(runId="r1"), "runId"),
        (lambda e: e.update(eventTime="today"), "eventTime"),
        (lambda e: e["inputs"][0]["facets"]["version"].pop("_schemaURL"), "_schemaURL"),
        (lambda e: e["outputs"][0]["outputFacets"]["outputStatistics"].update(rowCount="12"), "rowCount"),
        (lambda e: e["inputs"].append(e["inputs"][0]), "twice"),
    ]
    for breaking, word in broken:
        event = json.loads(json.dumps(good))
        breaking(event)
        assert word in " ".join(problems(event)), word


def test_the_time_is_told_in_utc(home: Path) -> None:
    call("2013-01", as_of="2013-02-02T19:00:00-05:00")
    start = told(home)[0]
    assert start["run"]["facets"]["nominalTime"]["nominalStartTime"] == AS_OF
    assert abs((datetime.now(UTC) - datetime.fromisoformat(start["eventTime"])).total_seconds()) < 60
