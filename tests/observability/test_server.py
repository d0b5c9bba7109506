"""The metrics service as a process: its doors, hostile callers, and a clean end."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from include.alerts.alertmanager import NAME as ALERTMANAGER
from include.contracts.record import Kind
from include.ledger import Ledger
from include.local.process import LOOPBACK
from include.metrics.server import LARGEST_BODY
from tests.observability.conftest import Mailbox
from tests.observability.lived import NAME, Life


@pytest.fixture
def service(ledger: Ledger, mailbox: Mailbox) -> Iterator[str]:
    """Address of a running service over a ledger that has lived."""
    Life(ledger).live()
    command = [sys.executable, "-m", "include.metrics", "serve", "--port", "0"]
    environment = {**os.environ, "EVERGREEN_ALERTS": mailbox.url}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout
        yield run.stdout.readline().removeprefix("serving ").strip().removesuffix("/metrics")
        run.send_signal(signal.SIGTERM)
        output = run.communicate(timeout=10)
        assert run.returncode == 0, output
        assert "Traceback" not in output[1]
        assert "example.org" not in output[1]


def call(status: str = "firing", **labels: str) -> bytes:
    """What Alertmanager sends."""
    told = {
        "status": status,
        "labels": {"alertname": "ScrapeDown", **labels},
        "annotations": {"summary": "airflow does not answer"},
        "startsAt": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        "fingerprint": "c0ffee",
    }
    return json.dumps({"version": "4", "alerts": [told]}).encode()


def test_the_doors(service: str, ledger: Ledger, mailbox: Mailbox) -> None:
    page = requests.get(f"{service}/metrics", timeout=10)
    assert page.status_code == 200
    assert f'evergreen_champion_version{{use_case="{NAME}"}} 1.0' in page.text
    assert "process_resident_memory_bytes" in page.text
    assert requests.get(f"{service}/healthz", timeout=10).text == "ok\n"
    assert requests.get(f"{service}/", timeout=10).status_code == 404
    assert requests.get(f"{service}/alerts", timeout=10).status_code == 405

    for body, status in ((call(), 200), (call(), 200), (b"{}", 400), (b"\xff" * 100, 400), (call("resolved"), 200)):
        assert requests.post(f"{service}/alerts", data=body, timeout=10).status_code == status
    assert len(mailbox.mails) == 2
    assert "airflow does not answer (firing)" in mailbox.mails[0]
    assert len(ledger.find(ALERTMANAGER, Kind.ALERTED)) == 2

    quarantine = call(alertname="QuarantinedBatch", told_by="loop", use_case=NAME)
    for _ in range(2):
        assert requests.post(f"{service}/alerts", data=quarantine, timeout=20).status_code == 200
    assert len(mailbox.mails) == 3, "the loop's own words, with the details, and once"
    assert "batch w9 is in quarantine" in mailbox.mails[2].replace("=\n", "").replace("=\r\n", "")

    mailbox.refuses = True
    another = call().replace(b"c0ffee", b"abc")
    assert requests.post(f"{service}/alerts", data=another, timeout=20).status_code == 503

    too_large = requests.post(f"{service}/alerts", data=b" " * (LARGEST_BODY + 1), timeout=10)
    assert too_large.status_code == 413
    assert answered(service, b"POST /alerts HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n") == "411"
    assert answered(service, b"POST /alerts HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n") == "411"
    assert requests.get(f"{service}/healthz", timeout=10).status_code == 200


def test_a_ledger_that_does_not_answer_is_said_and_survived(service: str, tmp_path: Path) -> None:
    file, away = tmp_path / "ledger.db", tmp_path / "away.db"
    file.rename(away)
    for door in ("metrics", "healthz"):
        answer = requests.get(f"{service}/{door}", timeout=10)
        assert (answer.status_code, answer.text) == (503, "the ledger does not answer: OperationalError\n")
    assert requests.post(f"{service}/alerts", data=call(), timeout=10).status_code == 503
    away.replace(file)
    assert requests.get(f"{service}/metrics", timeout=10).status_code == 200


def test_a_ledger_that_is_not_there_at_the_start_is_said_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql+psycopg2://evergreen:hunter2@{LOOPBACK}:1/ledger"
    environment = {**os.environ, "EVERGREEN_HOME": str(tmp_path), "EVERGREEN_LEDGER_URL": url}
    command = [sys.executable, "-m", "include.metrics", "serve", "--port", "0"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 75
    assert "the ledger does not answer: OperationalError" in done.stderr
    assert "hunter2" not in done.stderr
    assert "Traceback" not in done.stderr


def answered(service: str, raw: bytes) -> str:
    """Status code of an answer to bytes that no HTTP library would send."""
    place = urlsplit(service)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        connection.sendall(raw)
        return connection.recv(1_000).decode().split()[1]
