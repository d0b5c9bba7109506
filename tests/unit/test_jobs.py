"""One body, three callers: the function, `include.jobs.run`, the command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from include.contracts.errors import PolicyError
from include.contracts.record import Kind
from include.jobs import call
from include.ledger import Ledger
from include.settings import settings


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    return tmp_path


def doubled(use_case: str, number: int) -> dict[str, object]:
    if number < 0:
        raise PolicyError("arithmetic", f"{number} is negative", "send a positive number")
    return {"number": 2 * number}


def test_what_a_step_used_is_in_the_ledger() -> None:
    assert call(doubled, "arithmetic", {"use_case": "flights", "number": 2}, run_id="r1") == {"number": 4}
    cost = Ledger.at(settings().ledger_url).newest("flights", Kind.STAGE_COST)
    assert cost is not None
    assert (cost.payload["stage"], cost.payload["step"], cost.run_id) == ("arithmetic", "doubled", "r1")
    assert cost.payload["peak_bytes"] > 10_000_000


def test_an_error_is_three_lines_and_its_cost_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(PolicyError):
        call(doubled, "arithmetic", {"use_case": "flights", "number": -1})
    assert "component  arithmetic" in caplog.text
    assert "cause      -1 is negative" in caplog.text
    assert "next step  send a positive number" in caplog.text
    assert Ledger.at(settings().ledger_url).newest("flights", Kind.STAGE_COST) is not None


def test_the_command_line_runs_the_same_step(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"use_case": "flights", "as_of": "2013-02-03T00:00:00+00:00"}))
    done = subprocess.run(
        [sys.executable, "-m", "include.policy", "decide", "--spec", str(spec)],
        capture_output=True,
        text=True,
        env={**os.environ, "EVERGREEN_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["retrain"] is False


def test_the_command_line_says_what_is_wrong_and_how(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({"use_case": "nobody", "as_of": "2013-02-03T00:00:00+00:00"}))
    done = subprocess.run(
        [sys.executable, "-m", "include.policy", "decide", "--spec", str(spec)], capture_output=True, text=True
    )
    assert done.returncode == 67
    assert "Make it with: python -m include.use_cases new nobody" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["2013-02-03T00:00:00", "yesterday"])
def test_a_time_without_a_zone_is_refused_before_the_step(text: str) -> None:
    with pytest.raises(PolicyError, match="write it such as"):
        call(at, "arithmetic", {"use_case": "flights", "as_of": text})


def test_every_step_lives_in_utc() -> None:
    told = call(at, "arithmetic", {"use_case": "flights", "as_of": "2013-02-02T19:00:00-05:00"})
    assert told == {"as_of": "2013-02-03T00:00:00+00:00"}


def at(use_case: str, as_of: str) -> dict[str, object]:
    return {"as_of": as_of}
