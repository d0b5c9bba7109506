"""What a retrain cost, as the ledger adds it up."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from include.contracts.record import Kind, Record
from include.ledger import Ledger
from include.ledger.__main__ import main, retrain_costs

AS_OF = datetime(2013, 3, 2, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", url)
    return Ledger.at(url)


def write(ledger: Ledger, kind: Kind, key: str, payload: dict[str, object], run_id: str = "") -> None:
    ledger.append(Record(use_case="toy", kind=kind, key=key, as_of=AS_OF, payload=payload, run_id=run_id))


def cost(ledger: Ledger, key: str, stage: str, seconds: float, run_id: str) -> None:
    used = {"seconds": seconds, "cpu_seconds": 2 * seconds, "peak_bytes": int(seconds * (1 << 20))}
    write(ledger, Kind.STAGE_COST, key, {"stage": stage, "step": "train", **used}, run_id)


def test_stages_are_added_up_for_each_request(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    for request in ("r1", "r2"):
        write(ledger, Kind.RETRAIN_REQUESTED, request, {})
    cost(ledger, "a", "training", 30.0, "r1")
    cost(ledger, "b", "evaluation", 2.0, "r1")
    cost(ledger, "c", "evaluation", 3.0, "r1")
    cost(ledger, "d", "ingestion", 500.0, "another run")
    write(ledger, Kind.RETRAIN_CLOSED, "r1", {"outcome": "promoted", "reason": "better", "version": 1})

    first, second = retrain_costs(ledger, "toy")
    assert (first.outcome, first.training_seconds) == ("promoted", 30.0)
    assert first.seconds == {"training.train": 30.0, "evaluation.train": 5.0}
    assert first.cpu_seconds == 70.0
    assert first.peak_bytes == 30 << 20
    assert (second.outcome, second.seconds, second.peak_bytes) == ("open", {}, 0)

    assert main(["costs", "toy"]) == 0
    assert [line.split()[:2] for line in capsys.readouterr().out.splitlines()[1:]] == [
        ["r1", "promoted"],
        ["r2", "open"],
    ]
    assert main(["costs", "toy", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["seconds"]["evaluation.train"] == 5.0


def test_an_unknown_use_case_is_said(ledger: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["costs", "nobody"]) == 1
    assert "no retrain of nobody" in capsys.readouterr().err
