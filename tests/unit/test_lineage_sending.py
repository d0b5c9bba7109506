"""Where events go: an API that takes, refuses or never answers them; a file that many processes append to."""

import json
import logging
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from socket import socket
from typing import Any

import pytest

from include.lineage.observe import observed
from include.settings import PROJECT
from tests.lineage_world import api, landed, snapshot
from tests.openlineage_spec import problems

Json = dict[str, Any]
KEY = "k-3f9a27"
WRITER = """
import sys
from datetime import UTC, datetime
from include.contracts.data import TableVersion
from include.lineage import datasets
from include.lineage.events import completed
from include.lineage.observation import observation
from include.lineage.send import send
from include.settings import settings
parts = [(f"b{n:04}", TableVersion(name="t", uri="s3://b/t", version=n, rows=n, digest="d" * 64)) for n in range(400)]
for number in range(40):
    step = observation("ingestion.commit", {"use_case": sys.argv[1], "n": number}, datetime.now(UTC), "r")
    send(completed(step, [], [datasets.table(parts)]), settings())
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    return tmp_path


def step() -> Json:
    """A step that takes no time; what it returned."""
    arguments = {"use_case": "toy", "batch": "2013-01", "landed": landed("2013-01")}
    with observed("ingestion.commit", arguments, datetime.now(UTC), "r1") as done:
        done(snapshot("2013-01"))
    return snapshot("2013-01")


def test_an_api_gets_both_events_with_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with api() as server:
        monkeypatch.setenv("EVERGREEN_LINEAGE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("EVERGREEN_LINEAGE_API_KEY", KEY)
        step()
    assert [path for path, _, _ in server.got] == ["/api/v1/lineage"] * 2
    assert {key for _, key, _ in server.got} == {f"Bearer {KEY}"}
    assert [event["eventType"] for _, _, event in server.got] == ["START", "COMPLETE"]
    assert [found for _, _, event in server.got for found in problems(event)] == []


def test_without_a_key_none_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    with api() as server:
        monkeypatch.setenv("EVERGREEN_LINEAGE", f"http://127.0.0.1:{server.server_port}")
        step()
    assert [key for _, key, _ in server.got] == ["", ""]


def test_a_refusal_is_a_warning_tried_once_and_shows_no_key(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with api(503) as server:
        monkeypatch.setenv("EVERGREEN_LINEAGE", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("EVERGREEN_LINEAGE_API_KEY", KEY)
        assert step()
    assert len(server.got) == 2
    assert caplog.text.count("an event of ingestion.commit is lost") == 2
    assert "503" in caplog.text
    assert KEY not in caplog.text


@pytest.mark.parametrize("listening", [True, False], ids=["silent", "away"])
def test_an_api_that_does_not_answer_costs_a_couple_of_seconds(
    listening: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with socket() as place:
        place.bind(("127.0.0.1", 0))
        if listening:
            place.listen()
        monkeypatch.setenv("EVERGREEN_LINEAGE", f"http://127.0.0.1:{place.getsockname()[1]}")
        import openlineage.client  # noqa: F401 - its import is no part of the waiting

        began = time.monotonic()
        assert step()
        assert time.monotonic() - began < 3.5
    assert caplog.text.count("an event of ingestion.commit is lost") == 2


def test_a_password_in_the_address_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with api() as server:
        monkeypatch.setenv("EVERGREEN_LINEAGE", f"http://me:{KEY}@127.0.0.1:{server.server_port}")
        step()
    assert server.got == []
    assert "put the token into EVERGREEN_LINEAGE_API_KEY" in caplog.text
    assert KEY not in caplog.text


def test_lines_of_several_processes_do_not_mix(home: Path) -> None:
    names = ("one", "two", "three", "four")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, name], cwd=PROJECT) for name in names]
    assert [writer.wait(timeout=120) for writer in writers] == [0] * len(names)
    events = [json.loads(line) for line in (home / "lineage.jsonl").read_text().splitlines()]
    assert (home / "lineage.jsonl").stat().st_size > 160 * 30_000
    jobs = [event["job"]["name"] for event in events]
    assert {name: jobs.count(f"{name}_ingest.commit") for name in names} == dict.fromkeys(names, 40)
