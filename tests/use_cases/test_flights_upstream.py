"""The upstream job: drops a month, asks for its ingestion once, and keeps the password to itself."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import DataError, InfraError
from include.use_cases.flights import upstream

RIGHT = "right"
Request = tuple[str, str, dict[str, Any]]


class Airflow(HTTPServer):
    """Answers as Airflow's REST API does: a token for the right password, 409 for a run that is there."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[Request] = []
        self.runs: set[str] = set()

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """The two endpoints that the upstream job calls."""

    server: Airflow

    def do_POST(self) -> None:
        """Remember and answer."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization", ""), body))
        status, answer = self._answer(body)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(answer).encode())

    def _answer(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.path == "/auth/token":
            return (201, {"access_token": "T"}) if body["password"] == RIGHT else (401, {"detail": "no"})
        known = body["dag_run_id"] in self.server.runs
        self.server.runs.add(body["dag_run_id"])
        return (409, {"detail": "there"}) if known else (200, {"state": "queued"})

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def airflow() -> Iterator[Airflow]:
    server = Airflow()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def call(airflow: Airflow, tmp_path: Path, password: str, *more: str) -> int:
    file = tmp_path / "password"
    file.write_text(f"{password}\n")
    place = ["--landing", str(tmp_path / "landing"), "--trigger", airflow.url, "--password-file", str(file)]
    return upstream.main(["2013-02", *place, *more])


def test_a_month_is_dropped_and_its_ingestion_asked_for(
    airflow: Airflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    as_of = "2013-03-03T05:00:00+00:00"
    assert call(airflow, tmp_path, RIGHT, "--reason", "export 8841", "--as-of", as_of) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["rows"]["flights"], written["accepted"]) == (24_951, "now")
    assert {Path(uri).name for uri in written["files"].values()} == {
        p.name for p in (tmp_path / "landing" / "flights" / "2013-02").iterdir()
    }
    path, token, body = airflow.seen[-1]
    assert (path, token) == ("/api/v2/dags/flights_ingest/dagRuns", "Bearer T")
    conf = {"batch": "2013-02", "reason": "export 8841", "as_of": as_of}
    assert body == {"dag_run_id": "ingest-2013-02", "logical_date": None, "conf": conf}


def test_asking_again_counts_as_accepted(airflow: Airflow, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(airflow, tmp_path, RIGHT) == call(airflow, tmp_path, RIGHT) == 0
    assert [json.loads(line)["accepted"] for line in capsys.readouterr().out.splitlines()] == ["now", "before"]


def test_a_wrong_password_is_an_error_that_does_not_show_it(airflow: Airflow, tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="401") as raised:
        call(airflow, tmp_path, "wrong-and-secret")
    assert "wrong-and-secret" not in str(raised.value)


def test_no_airflow_is_an_error_that_can_be_tried_again(tmp_path: Path) -> None:
    with pytest.raises(InfraError, match="check that Airflow is up"):
        upstream.trigger("http://127.0.0.1:9", "admin", "x", {"batch": "2013-02", "reason": "x"})


def test_a_month_without_flights_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no flights in 2014-01"):
        upstream.write_month("2014-01", str(tmp_path))
    assert not list(tmp_path.rglob("flights.parquet"))
