"""People are told once, through a real mail server; what fails is tried again, and never breaks a step."""

import json
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import update

from include.alerts.__main__ import main
from include.alerts.alertmanager import heard
from include.alerts.message import Severity
from include.alerts.places import places
from include.alerts.tell import ATTEMPTS, CLAIM, NEWS, tell
from include.contracts.decision import Outcome, Rule
from include.contracts.errors import DataError, PolicyError
from include.contracts.record import Kind
from include.jobs import call
from include.ledger import Ledger
from include.ledger.schema import RECORD
from tests.observability.conftest import Mailbox
from tests.observability.lived import NAME, Life

SECRET = "hunter2"  # noqa: S105 - what must not show


def alert(**fields: Any) -> dict[str, Any]:
    found = {"status": "firing", "labels": {"alertname": "X"}, "startsAt": "2026-01-01T00:00:00Z", "fingerprint": "ab1"}
    return {**found, **fields}


def body(*alerts: dict[str, Any]) -> bytes:
    return json.dumps({"version": "4", "alerts": alerts, "groupKey": "{}:{}"}).encode()


def older(ledger: Ledger, by: timedelta, *kinds: Kind) -> None:
    """Let time pass for records of some kinds."""
    for record in ledger.find(NAME, *kinds):
        assert record.created_at
        moved = update(RECORD).where(RECORD.c.id == record.id).values(created_at=record.created_at - by)
        with ledger.engine.begin() as connection:
            connection.execute(moved)


def test_a_life_is_told_in_one_mail_and_once(ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    Life(ledger).live()
    assert tell(ledger, NAME)
    assert tell(ledger, NAME)
    (mail,) = mailbox.mails
    for words in (
        "flights: v1 is champion",
        "flights: v2 is champion",
        "flights: rolled back to v1",
        "it was too eager",
        "flights: batch w9 is in quarantine",
        "flights: a retrain failed",
        "the pod was evicted",
        "flights: the breaker is open",
    ):
        assert words in mail.replace("=\r\n", "").replace("=\n", ""), words


def test_the_breaker_is_one_fact_until_another_ending(
    ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    life = Life(ledger)
    life.retrain("r1", 1, accepted=False)
    for _ in range(3):
        life.decided(None, "", breaker_open=True)
        tell(ledger, NAME)
    assert sum("the breaker is open" in mail for mail in mailbox.mails) == 1
    life.request("r2", Rule.REQUESTED)
    life.closed("r2", Outcome.FAILED, "no pod")
    life.decided(None, "", breaker_open=True)
    tell(ledger, NAME)
    assert sum("the breaker is open" in mail for mail in mailbox.mails) == 1, "a failure opens nothing"
    mailbox.mails.clear()
    life.retrain("r3", 1, accepted=False)
    tell(ledger, NAME)
    assert mailbox.mails == []
    life.decided(None, "", breaker_open=True)
    tell(ledger, NAME)
    assert len(mailbox.mails) == 1


def test_eight_at_once_say_it_once(ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    Life(ledger).quarantined("w1")
    threads = [threading.Thread(target=tell, args=(ledger, NAME)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(mailbox.mails) == 1


def test_what_was_refused_is_tried_again_after_the_claim_and_not_for_ever(
    ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    Life(ledger).quarantined("w1")
    mailbox.refuses = True
    assert not tell(ledger, NAME)
    assert "mailto-1 did not take the message" in caplog.text
    assert ledger.find(NAME, Kind.ALERTED) == []
    mailbox.refuses = False
    assert not tell(ledger, NAME), "another may be sending it"
    older(ledger, CLAIM, Kind.ALERT_CLAIMED)
    assert tell(ledger, NAME)
    assert len(mailbox.mails) == 1

    Life(ledger).quarantined("w2")
    mailbox.refuses = True
    for _ in range(ATTEMPTS + 3):
        tell(ledger, NAME)
        older(ledger, CLAIM, Kind.ALERT_CLAIMED)
    assert len(ledger.find(NAME, Kind.ALERT_CLAIMED)) == 2 + ATTEMPTS


def test_old_facts_are_no_news(ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    Life(ledger).live()
    older(ledger, NEWS, *Kind)
    assert tell(ledger, NAME)
    assert mailbox.mails == []


def test_a_place_that_fails_does_not_silence_the_other(
    ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = f"mailto://user:{SECRET}@127.0.0.1:1/?from=a@example.org&to=b@example.org&mode=insecure"
    monkeypatch.setenv("EVERGREEN_ALERTS", f"{dead}, {mailbox.url}")
    Life(ledger).quarantined("w1")
    assert not tell(ledger, NAME)
    assert len(mailbox.mails) == 1


def quarantines(use_case: str) -> dict[str, Any]:
    from include.settings import settings

    Life(Ledger.at(settings().ledger_url)).quarantined("w1")
    return {"done": True}


def test_a_step_tells_and_is_not_hurt_by_it(
    ledger: Ledger, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    assert call(quarantines, "validation", {"use_case": NAME}) == {"done": True}
    assert len(mailbox.mails) == 1
    monkeypatch.setenv("EVERGREEN_ALERTS", f"{SECRET} is no URL")
    assert call(quarantines, "validation", {"use_case": NAME}) == {"done": True}
    assert "nobody was told" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("url", [f"nosuch://me:{SECRET}@example.org", f"mailto://me:{SECRET}@127.0.0.1:1"])
def test_the_command_says_what_is_wrong_and_no_secret(tmp_path: Path, url: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "include.alerts", "test"],
        env={"PATH": "/usr/bin:/bin", "EVERGREEN_ALERTS": url, "HOME": str(tmp_path), "EVERGREEN_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert url.partition(":")[0] in done.stderr
    assert SECRET not in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


def test_the_command_sends(
    mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("EVERGREEN_ALERTS", mailbox.url)
    assert main(["test"]) == 0
    assert capsys.readouterr().out == "mailto-1: sent\n"
    assert "alerts arrive here" in mailbox.mails[0]
    monkeypatch.setenv("EVERGREEN_ALERTS", "")
    assert main(["test"]) == 1


def test_several_urls_and_commas_within_one() -> None:
    found = places(SecretStr("mailto://u:p@h?to=a@x.org,b@x.org, slack://T/A/B\n mailtos://x"))
    assert [place.name for place in found] == ["mailto-1", "slack-1", "mailtos-1"]
    assert found[0].url.get_secret_value().endswith("b@x.org")
    assert "u:p" not in repr(found)
    with pytest.raises(PolicyError, match="no URL"):
        places(SecretStr(SECRET))


def test_alertmanager_is_heard_in_full() -> None:
    marked = alert(labels={"alertname": "QuarantinedBatch", "use_case": NAME, "told_by": "loop"})
    ended = alert(status="resolved", annotations={"summary": "it was slow"})
    found = heard(body(alert(), ended, marked))
    assert found.use_cases() == [NAME]
    first, second = found.messages()
    assert first.key != second.key
    assert (second.title, second.severity) == ("it was slow (resolved)", Severity.GOOD)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"version": "4"}',
        b'{"version": "3", "alerts": []}',
        b"[" * 100_000,
        body(alert(fingerprint="../../x")),
        body(alert(startsAt="yesterday")),
        body(alert(startsAt="0001-01-01T00:00:00+14:00")),
        body(alert(labels={"a": "x" * 5_000})),
        body(alert(labels={"a": 1})),
        body(alert(status="drop table")),
        body(*[alert()] * 501),
    ],
)
def test_what_alertmanager_would_not_say_is_refused(hostile: bytes) -> None:
    with pytest.raises(DataError, match="format 4"):
        heard(hostile)
