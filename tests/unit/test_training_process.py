"""Training as a process: how it ends when it is told to stop, killed, left alone, or short of memory."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import Resources, XGBoost
from include.models.probe import prove
from include.models.tracking import client
from include.training.process import guarded
from tests.model_world import rows, spec, world, written

ROOT = Path(__file__).parents[2]
LONG = XGBoost(max_depth=4, rounds=1_200, early_stopping=1_200)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(tmp_path_factory.mktemp("process")) as place:
        yield place


def command(path: Path) -> list[str]:
    return [sys.executable, "-m", "include.training", "--spec", str(path)]


def finish(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(path), cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def started(path: Path, **env: str) -> "subprocess.Popen[str]":
    """A training process that has grown its first tree."""
    process = subprocess.Popen(command(path), cwd=ROOT, stderr=subprocess.PIPE, text=True, env={**os.environ, **env})
    assert process.stderr
    for line in process.stderr:
        if "round 1 of" in line:
            return process
    raise AssertionError(f"it ended with {process.wait()} before the first round")


def gone(pids: list[int]) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        if not [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie"]:
            return True
        time.sleep(0.05)
    return False


def statuses(given: TrainingSpec) -> list[str]:
    mlflow = client()
    place = mlflow.get_experiment_by_name("toy").experiment_id
    found = mlflow.search_runs([place], f"tags.`evergreen.spec` = '{given.digest}'", order_by=["start_time"])
    return [run.info.status for run in found]


def manifest_of(given: TrainingSpec) -> Path:
    return Path(given.output_uri, "manifest.json")


def test_it_prints_the_manifest_and_ends_with_0(home: Path) -> None:
    given = spec(home, rows(600), request="plain")
    done = finish(written(home, given))
    assert done.returncode == 0, done.stderr
    assert TrainingManifest.model_validate_json(done.stdout).spec_digest == given.digest
    assert "round 1 of at most 60" in done.stderr
    assert not Path(home, "ledger.db").exists()


def test_killed_at_random_points_then_retried(home: Path) -> None:
    """A kill -9 of the process that the operator holds: its child dies with it, and the retry ends well."""
    given = spec(home, rows(), request="killed", trainer=LONG)
    path = written(home, given)
    process = started(path)
    family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
    time.sleep(0.3)
    process.kill()
    process.wait()
    assert len(family) == 2
    assert gone(family)
    assert not manifest_of(given).exists()
    done = finish(path)
    assert done.returncode == 0, done.stderr
    assert prove(TrainingManifest.model_validate_json(manifest_of(given).read_text()))["rows"] > 0
    assert statuses(given) == ["KILLED", "FINISHED"]


def test_told_to_stop_it_ends_cleanly_without_a_manifest(home: Path) -> None:
    given = spec(home, rows(), request="stopped", trainer=LONG)
    process = started(written(home, given))
    process.terminate()
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert not manifest_of(given).exists()
    assert statuses(given) == ["KILLED"]


def test_the_killed_child_is_explained(home: Path) -> None:
    given = spec(home, rows(), request="oom", trainer=LONG)
    process = started(written(home, given))
    (child,) = psutil.Process(process.pid).children()
    child.kill()
    assert process.wait(timeout=20) == 75
    assert process.stderr
    assert "OOM killer" in process.stderr.read()


def test_it_dies_with_the_parent_that_asked_for_it(home: Path) -> None:
    given = spec(home, rows(), request="orphan", trainer=LONG)
    start = f"p = subprocess.Popen({command(written(home, given))!r})"
    code = f"import subprocess; {start}; print(p.pid, flush=True); p.wait()"
    parent = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "EVERGREEN_DIE_WITH_PARENT": "1"},
    )
    assert parent.stdout
    pid = int(parent.stdout.readline())
    time.sleep(1.5)
    family = [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
    parent.kill()
    parent.wait()
    assert gone(family)
    assert not manifest_of(given).exists()


def test_out_of_memory_is_a_model_error(home: Path) -> None:
    given = spec(home, rows(600), request="small", resources=Resources(cpu=1, memory="260Mi"))
    done = finish(written(home, given))
    assert done.returncode == 66
    assert "memory" in done.stderr
    assert "260Mi" in done.stderr
    assert not manifest_of(given).exists()


def test_c_code_that_fails_without_a_word_is_out_of_memory(caplog: pytest.LogCaptureFixture) -> None:
    """What CPython says where an import found no memory even for its exception."""

    def starved() -> None:
        raise SystemError("error return without exception set")

    assert guarded(starved, "260Mi") == 66
    assert "memory of 260Mi" in caplog.text


def test_too_slow_is_a_model_error(home: Path) -> None:
    slow = XGBoost(max_depth=4, rounds=100_000, early_stopping=100_000)
    given = spec(home, rows(), request="slow", trainer=slow, resources=Resources(cpu=1, seconds=4))
    done = finish(written(home, given))
    assert done.returncode == 66
    assert "UseCase.resources.seconds" in done.stderr
    assert statuses(given) in (["FAILED"], [])


def test_exit_codes_say_whether_a_retry_helps(home: Path) -> None:
    missing = finish(home / "nowhere.json")
    assert missing.returncode == 66
    assert "next step" in missing.stderr
    given = spec(home, rows(600), request="gone")
    Path(given.training_set.uri).unlink()
    assert finish(written(home, given)).returncode == 65
    broken = json.loads(written(home, given).read_text()) | {"surprise": 1}
    (home / "broken.json").write_text(json.dumps(broken))
    assert "surprise" in finish(home / "broken.json").stderr


def test_a_library_that_finds_no_memory_for_a_thread_is_a_model_error(home: Path) -> None:
    """Glibc then leaves the process with 127, after whatever it said before."""
    program = (
        "import os, sys; from include.training.process import supervise; from include.training.spec import read_spec\n"
        "raise SystemExit(supervise(read_spec(sys.argv[1]), lambda _: os._exit(127)))"
    )
    path = written(home, spec(home, rows(200), "threadless"))
    ended = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 66
    assert "ModelError" in ended.stderr
