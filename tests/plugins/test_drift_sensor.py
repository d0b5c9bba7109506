"""The sensor and its trigger on a real ledger: they fire when the policy says so, and are quiet otherwise."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from include.contracts.data import DatasetSnapshot
from include.contracts.record import Kind, Record
from include.ledger import Ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    for name in ("LEDGER_URL", "LAKE"):
        monkeypatch.delenv(f"EVERGREEN_{name}", raising=False)
    return Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")


def features_of(ledger: Ledger, month: int) -> None:
    """A month of 2013 has arrived; the first champion is due after two."""
    starts, ends = datetime(2013, month, 1, tzinfo=UTC), datetime(2013, month + 1, 1, tzinfo=UTC)
    batch, digest = f"2013-{month:02d}", f"{month:064d}"
    snapshot = DatasetSnapshot(batch=batch, starts=starts, ends=ends, tables=(), digest=digest)
    key, payload = f"{batch}@{digest[:12]}", snapshot.model_dump(mode="json")
    for kind, name in ((Kind.FEATURES_BUILT, key), (Kind.BATCH_VALIDATED, f"features/{key}")):
        ledger.append(Record(use_case="flights", kind=kind, key=name, as_of=ends, payload=payload))


async def first_event(trigger: Any, seconds: float) -> Any:
    """The payload of the trigger's event; None where it is quiet for so long."""
    try:
        async with asyncio.timeout(seconds):
            async for event in trigger.run():
                return event.payload
    except TimeoutError:
        return None


def test_it_is_quiet_while_the_policy_wants_nothing(ledger: Ledger) -> None:
    from evergreen.triggers import DriftTrigger

    features_of(ledger, 1)
    assert asyncio.run(first_event(DriftTrigger("flights", 0.05), 1.5)) is None


def test_it_fires_for_what_was_true_before_it_began_to_wait(ledger: Ledger) -> None:
    from evergreen.triggers import DriftTrigger

    features_of(ledger, 1)
    features_of(ledger, 2)
    decision = asyncio.run(first_event(DriftTrigger("flights", 0.05), 10))
    assert decision["retrain"]
    assert decision["rule"] == "first_champion"
    assert decision["as_of"] == "2013-03-01T00:00:00Z", "it lives in the time that the ledger has reached"


def test_it_fires_when_the_ledger_moves(ledger: Ledger) -> None:
    from evergreen.triggers import DriftTrigger

    features_of(ledger, 1)

    async def meanwhile() -> Any:
        waiting = asyncio.create_task(first_event(DriftTrigger("flights", 0.05), 10))
        await asyncio.sleep(0.5)
        assert not waiting.done()
        await asyncio.to_thread(features_of, ledger, 2)
        return await waiting

    assert asyncio.run(meanwhile())["retrain"]


def test_it_is_quiet_once_the_request_is_recorded(ledger: Ledger) -> None:
    from evergreen.triggers import DriftTrigger
    from include.policy.__main__ import request

    features_of(ledger, 1)
    features_of(ledger, 2)
    decision = asyncio.run(first_event(DriftTrigger("flights", 0.05), 10))
    told = {key: decision[key] for key in ("as_of", "request", "rule", "reason")}
    assert request("flights", automatic=True, **told)["accepted"]
    assert asyncio.run(first_event(DriftTrigger("flights", 0.05), 1.5)) is None


def test_the_same_cause_has_the_same_run_id(ledger: Ledger) -> None:
    from evergreen.triggers import DriftTrigger

    features_of(ledger, 1)
    features_of(ledger, 2)
    first, second = (asyncio.run(first_event(DriftTrigger("flights", 0.05), 10)) for _ in range(2))
    assert first["request"] == second["request"]


def test_a_trigger_is_made_again_from_what_it_says(ledger: Ledger) -> None:
    from airflow.sdk.module_loading import import_string

    from evergreen.triggers import DriftTrigger

    path, arguments = DriftTrigger("flights", 2.5).serialize()
    again = import_string(path)(**arguments)
    assert (again.use_case, again.poll_seconds) == ("flights", 2.5)


def test_the_sensor_waits_deferred(ledger: Ledger) -> None:
    from airflow.sdk.exceptions import TaskDeferred

    from evergreen.sensors import DriftSensor

    features_of(ledger, 1)
    with pytest.raises(TaskDeferred) as deferred:
        DriftSensor(task_id="wait", use_case="flights").execute({})
    assert deferred.value.method_name == "resume"
    assert deferred.value.timeout is None


def test_the_sensor_does_not_wait_for_what_is_due(ledger: Ledger) -> None:
    from evergreen.sensors import DriftSensor

    features_of(ledger, 1)
    features_of(ledger, 2)
    sensor = DriftSensor(task_id="wait", use_case="flights")
    decision = sensor.execute({})
    assert decision["retrain"]
    assert sensor.resume({}, decision) == decision


def test_without_a_triggerer_it_polls(ledger: Ledger) -> None:
    import threading

    from evergreen.sensors import DriftSensor

    features_of(ledger, 1)
    threading.Timer(0.3, features_of, (ledger, 2)).start()
    sensor = DriftSensor(task_id="wait", use_case="flights", poll_seconds=0.1, deferrable=False)
    assert sensor.execute({})["retrain"]
