"""A training tells its own lineage: from the spec and the manifest alone, and also when it fails."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from include import jobs
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import XGBoost
from include.settings import PROJECT
from tests.lineage_world import api
from tests.model_world import rows, spec, world, written
from tests.openlineage_spec import problems

Json = dict[str, Any]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(tmp_path_factory.mktemp("lineage")) as place:
        yield place


def train(home: Path, given: TrainingSpec, target: str) -> int:
    env = {**os.environ, "EVERGREEN_LINEAGE": target, "NO_PROXY": "127.0.0.1"}
    command = [sys.executable, "-m", "include.training", "--spec", str(written(home, given))]
    return subprocess.run(command, cwd=PROJECT, env=env, capture_output=True, check=False, timeout=120).returncode


def told(path: Path) -> list[Json]:
    events = [json.loads(line) for line in path.read_text().splitlines()]
    assert [found for event in events for found in problems(event)] == []
    return events


def test_the_process_tells_an_api_and_needs_no_ledger(home: Path) -> None:
    given = spec(home, rows(600), request="api")
    with api() as server:
        assert train(home, given, f"http://127.0.0.1:{server.server_port}") == 0
    start, end = (event for _, _, event in server.got)
    assert (start["eventType"], end["eventType"]) == ("START", "COMPLETE")
    assert problems(end) == []
    (read,) = end["inputs"]
    assert read["facets"]["version"]["datasetVersion"] == given.training_set.digest
    assert [field["name"] for field in read["facets"]["schema"]["fields"]] == ["at", "target", "a", "b", "c", "kind"]
    assert read["inputFacets"]["inputStatistics"]["rowCount"] == 600
    manifest = TrainingManifest.model_validate_json(Path(given.output_uri, "manifest.json").read_text())
    versions = {d["name"]: d["facets"]["version"]["datasetVersion"] for d in end["outputs"]}
    model = manifest.artifacts["model.ubj"]
    assert versions[model.uri] == versions[f"toy/{manifest.mlflow_model_id}"] == model.digest
    assert not (home / "ledger.db").exists()


def test_called_as_a_step_it_is_the_same_run(home: Path) -> None:
    given = spec(home, rows(600), request="twice")
    target = home / "twice.jsonl"
    assert train(home, given, str(target)) == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERGREEN_LINEAGE", str(target))
        jobs.run("training", "train", {"use_case": "toy", "spec_uri": str(written(home, given))})
    events = told(target)
    assert [event["eventType"] for event in events] == ["START", "COMPLETE"] * 2
    assert len({event["run"]["runId"] for event in events}) == 1
    assert events[1]["outputs"] == events[3]["outputs"]
    assert events[0]["run"]["facets"]["tags"]["tags"][0]["value"] == "twice"


def test_a_training_that_fails_says_so(home: Path) -> None:
    given = spec(home, rows(600), request="gone")
    Path(given.training_set.uri).unlink()
    target = home / "gone.jsonl"
    assert train(home, given, str(target)) == 65
    assert [event["eventType"] for event in told(target)] == ["START", "FAIL"]
    assert "exit code 65" in told(target)[1]["run"]["facets"]["errorMessage"]["message"]


@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "stopped"])
def test_one_that_can_say_nothing_more_is_spoken_for(home: Path, sign: signal.Signals) -> None:
    endless = XGBoost(max_depth=4, rounds=100_000, early_stopping=100_000)
    given = spec(home, rows(), request=sign.name, trainer=endless)
    target = home / f"{sign.name}.jsonl"
    command = [sys.executable, "-m", "include.training", "--spec", str(written(home, given))]
    env = {**os.environ, "EVERGREEN_LINEAGE": str(target)}
    with subprocess.Popen(command, cwd=PROJECT, env=env, stderr=subprocess.PIPE, text=True) as process:
        next(line for line in process.stderr or () if "round 1 of" in line)
        (child,) = psutil.Process(process.pid).children()
        child.send_signal(sign)
    assert [event["eventType"] for event in told(target)] == ["START", "FAIL" if sign == signal.SIGKILL else "ABORT"]


def test_an_api_that_is_away_does_not_stop_it(home: Path) -> None:
    given = spec(home, rows(600), request="away")
    assert train(home, given, "http://127.0.0.1:9") == 0
    assert Path(given.output_uri, "manifest.json").exists()
