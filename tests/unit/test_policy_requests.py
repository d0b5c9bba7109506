"""Requests, their endings, the history and the clock, on a real ledger."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from include.contracts.data import DatasetSnapshot
from include.contracts.decision import Outcome, Rule
from include.contracts.errors import PolicyError
from include.contracts.record import Kind, Record
from include.contracts.use_case import BinaryClassification, UseCase, XGBoost
from include.contracts.verdict import Champion
from include.ledger import Ledger
from include.policy import __main__ as steps
from include.policy.clock import clock
from include.policy.history import history
from include.policy.requests import ask, end

AS_OF = datetime(2013, 3, 2, tzinfo=UTC)
USE_CASE = UseCase(
    name="flights",
    owner="ops",
    description="late?",
    task=BinaryClassification(label="late"),
    entity_keys=("flight_id",),
    event_time="departure",
    feature_service="flights_v1",
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    ledger = Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")
    for month in (1, 2):
        features_built(ledger, month)
    return ledger


def features_built(
    ledger: Ledger, month: int, digest: str = "first", as_of: datetime | None = None, validated: bool = True
) -> None:
    starts, ends = datetime(2013, month, 1, tzinfo=UTC), datetime(2013, month + 1, 1, tzinfo=UTC)
    name = f"2013-{month:02}"
    snapshot = DatasetSnapshot(batch=name, starts=starts, ends=ends, tables=(), digest=f"{digest}{month}" * 8)
    key = f"{name}@{snapshot.digest[:12]}"
    append(ledger, Kind.FEATURES_BUILT, key, as_of or ends, snapshot.model_dump(mode="json"))
    if validated:
        append(ledger, Kind.BATCH_VALIDATED, f"features/{key}", as_of or ends, {})


def append(ledger: Ledger, kind: Kind, key: str, as_of: datetime, payload: dict[str, Any]) -> Record:
    return ledger.append(Record(use_case="flights", kind=kind, key=key, as_of=as_of, payload=payload))


def asked(ledger: Ledger, name: str, use_case: UseCase = USE_CASE, force: bool = False) -> dict[str, Any]:
    return ask(ledger, use_case, AS_OF, name, Rule.REQUESTED, False, "because", force)


def test_same_data_asked_again_is_a_duplicate(ledger: Ledger) -> None:
    assert asked(ledger, "a")["accepted"]
    second = asked(ledger, "b")
    assert (second["accepted"], second["duplicate_of"]) == (False, "a")
    closed = ledger.get("flights", Kind.RETRAIN_CLOSED, "b")
    assert closed is not None
    assert closed.payload["outcome"] == "skipped"
    assert closed.payload["reason"] == "duplicate of a"
    assert asked(ledger, "b") == second, "asking again with the same id changes nothing"
    assert asked(ledger, "a")["accepted"]


@pytest.mark.parametrize(("outcome", "accepted"), [("promoted", False), ("rejected", False), ("failed", True)])
def test_only_failed_trainings_may_be_repeated(ledger: Ledger, outcome: str, accepted: bool) -> None:
    asked(ledger, "a")
    end(ledger, "flights", AS_OF, "a", Outcome(outcome), "so it ended")
    assert asked(ledger, "b")["accepted"] is accepted
    assert asked(ledger, "c", force=True)["accepted"]


def test_other_data_or_declaration_is_no_duplicate(ledger: Ledger) -> None:
    asked(ledger, "a")
    deeper = USE_CASE.model_copy(update={"trainer": XGBoost(max_depth=9)})
    assert asked(ledger, "b", deeper)["accepted"]
    moved = USE_CASE.model_copy(update={"owner": "somebody else"})
    assert asked(ledger, "c", moved)["duplicate_of"] == "a"
    features_built(ledger, 2, "corrected")
    assert asked(ledger, "d")["accepted"]


def test_twenty_at_once_are_one_training(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda number: asked(ledger, f"run{number}"), range(20)))
    assert sum(answer["accepted"] for answer in answers) == 1


def test_first_ending_stands(ledger: Ledger) -> None:
    asked(ledger, "a")
    first = end(ledger, "flights", AS_OF, "a", Outcome.PROMOTED, "better", 2)
    assert end(ledger, "flights", AS_OF, "a", Outcome.FAILED, "late news") == first
    assert [request.outcome for request in history(ledger, "flights", AS_OF).requests] == [Outcome.PROMOTED]


def test_unknown_request_is_not_closed(ledger: Ledger) -> None:
    with pytest.raises(PolicyError, match="no request 'ghost'"):
        end(ledger, "flights", AS_OF, "ghost", Outcome.FAILED, "x")


def test_nothing_to_train_on(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="no batch with features"):
        asked(Ledger.at(f"sqlite:///{tmp_path / 'empty.db'}"), "a")


def test_history_sees_the_newest_content_and_nothing_of_the_future(ledger: Ledger) -> None:
    features_built(ledger, 1, "corrected", AS_OF)
    features_built(ledger, 3)
    holder = Champion(
        use_case="flights",
        version=1,
        revision=1,
        model_uri="m",
        model_digest="d",
        manifest_uri="u",
        metric=0.7,
        evaluation="e",
        since=AS_OF,
    )
    assert ledger.swap_champion(holder)
    assert ledger.swap_champion(
        holder.model_copy(update={"version": 2, "revision": 2, "since": AS_OF.replace(month=5)})
    )
    known = history(ledger, "flights", AS_OF)
    assert [batch.digest[:9] for batch in known.batches] == ["corrected", "first2fir"]
    assert known.champion == holder


def test_features_are_data_only_once_they_are_validated(ledger: Ledger) -> None:
    features_built(ledger, 3, as_of=AS_OF, validated=False)
    assert [batch.batch for batch in history(ledger, "flights", AS_OF).batches] == ["2013-01", "2013-02"]
    append(ledger, Kind.BATCH_QUARANTINED, "features/2013-03@first3first3", AS_OF, {})
    assert [batch.batch for batch in history(ledger, "flights", AS_OF).batches] == ["2013-01", "2013-02"]
    append(ledger, Kind.BATCH_VALIDATED, "features/2013-03@first3first3", AS_OF, {})
    assert [batch.batch for batch in history(ledger, "flights", AS_OF).batches] == ["2013-01", "2013-02", "2013-03"]


def test_clock(tmp_path: Path) -> None:
    ledger, now = Ledger.at(f"sqlite:///{tmp_path / 'clock.db'}"), datetime.now(UTC)
    assert clock(ledger, "flights", now) == now
    features_built(ledger, 2)
    features_built(ledger, 1)
    append(ledger, Kind.STAGE_COST, "cost", now, {})
    assert clock(ledger, "flights", now) == datetime(2013, 3, 1, tzinfo=UTC), "a late batch does not turn it back"
    append(ledger, Kind.BATCH_LANDED, "live", now - timedelta(hours=2), {})
    assert clock(ledger, "flights", now) == now


@pytest.fixture
def stage(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", str(ledger.engine.url))
    return ledger


def test_steps(stage: Ledger) -> None:
    as_of = AS_OF.isoformat()
    poll = steps.decide("flights", as_of)
    assert (poll["retrain"], poll["rule"]) == (True, "first_champion")
    assert stage.find("flights", Kind.DECIDED) == []
    decision = steps.decide("flights", as_of, batch="2013-02")
    assert [record.key for record in stage.find("flights", Kind.DECIDED)] == ["2013-02@first2first2"]
    request = decision["request"]
    assert steps.request("flights", as_of, request, decision["rule"], True, decision["reason"])["accepted"]
    assert steps.decide("flights", as_of, batch="2013-02") == decision, "decided before, at the same time"
    assert not steps.decide("flights", "2013-03-03T00:00:00Z", batch="2013-02")["retrain"]
    assert len(stage.find("flights", Kind.DECIDED)) == 2
    assert steps.close("flights", as_of, request, "promoted", "better", 1)["outcome"] == "promoted"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: steps.request("flights", AS_OF.isoformat(), "a", rule="whim"), "unknown rule 'whim'; known: first_"),
        (lambda: steps.close("flights", AS_OF.isoformat(), "a", "lost", "x"), "unknown outcome 'lost'"),
        (lambda: steps.decide("flights", "2013-03-02T00:00:00"), "has no time zone"),
        (
            lambda: steps.decide("flights", AS_OF.isoformat(), batch="2013-09"),
            "batch 2013-09 of flights has no sound feat",
        ),
    ],
)
def test_wrong_calls(stage: Ledger, call: Any, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        call()


def test_light_to_import() -> None:
    heavy = "{'pandas', 'polars', 'mlflow', 'numpy', 'pyarrow', 'airflow', 'deltalake', 'alembic'}"
    code = f"import sys, include.policy.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
