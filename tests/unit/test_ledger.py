"""The ledger on SQLite and on Postgres: facts are written once, the champion row changes by compare-and-swap."""

import itertools
import multiprocessing
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Connection, event, text

from include.contracts.record import Kind, Record
from include.contracts.verdict import Champion
from include.ledger import Ledger

AS_OF = datetime(2013, 3, 1, tzinfo=UTC)


def record(key: str = "a", **fields: object) -> Record:
    return Record.model_validate(
        {"use_case": "flights", "kind": Kind.DECIDED, "key": key, "as_of": AS_OF, "payload": {"n": 1}, **fields}
    )


def champion(revision: int, version: int) -> Champion:
    return Champion(
        use_case="flights",
        version=version,
        revision=revision,
        model_uri="model.ubj",
        model_digest="0" * 64,
        manifest_uri="manifest.json",
        metric=0.7,
        evaluation="e",
        since=AS_OF,
    )


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of an empty database at each call."""
    if request.param == "postgres":
        database: Callable[[], str] = request.getfixturevalue("postgres").database
        return database
    numbers = itertools.count()
    return lambda: f"sqlite:///{tmp_path / f'{next(numbers)}.db'}"


@pytest.fixture
def url(new_url: Callable[[], str]) -> str:
    return new_url()


@pytest.fixture
def ledger(url: str) -> Ledger:
    return Ledger.at(url)


def test_a_fact_is_written_once_and_the_first_wins(ledger: Ledger) -> None:
    first = ledger.append(record(payload={"n": 1}))
    again = ledger.append(record(payload={"n": 2}))
    assert again == first
    assert [r.payload for r in ledger.find("flights", Kind.DECIDED)] == [{"n": 1}]


def test_times_come_back_in_utc(ledger: Ledger) -> None:
    kept = ledger.append(record())
    assert kept.as_of == AS_OF
    assert kept.as_of.tzinfo is UTC
    assert kept.created_at is not None


def test_find_knows_kinds_prefixes_and_order(ledger: Ledger) -> None:
    for key in ("2013-01@x", "2013-02@x", "2013-01@y"):
        ledger.append(record(key))
    assert [r.key for r in ledger.find("flights", Kind.DECIDED, prefix="2013-01@")] == ["2013-01@x", "2013-01@y"]
    assert ledger.newest("flights", Kind.DECIDED).key == "2013-01@y"  # type: ignore[union-attr]
    assert ledger.find("flights", Kind.JUDGED) == []
    assert ledger.find("other", Kind.DECIDED) == []


def test_a_percent_sign_in_a_prefix_is_a_percent_sign(ledger: Ledger) -> None:
    ledger.append(record("2013-01@x"))
    assert ledger.find("flights", Kind.DECIDED, prefix="%") == []


def test_position_moves_with_each_record(ledger: Ledger) -> None:
    assert ledger.position("flights") == 0
    first = ledger.append(record("a")).id
    assert ledger.position("flights") == first
    ledger.append(record("a"))
    assert ledger.position("flights") == first


def test_the_champion_changes_only_from_the_revision_that_was_seen(ledger: Ledger) -> None:
    assert ledger.champion("flights") is None
    assert ledger.swap_champion(champion(1, 1))
    assert not ledger.swap_champion(champion(1, 2))
    assert ledger.swap_champion(champion(2, 3))
    assert not ledger.swap_champion(champion(2, 4))
    assert ledger.champion("flights") == champion(2, 3)
    assert [r.payload["version"] for r in ledger.find("flights", Kind.PROMOTED)] == [1, 3]


def _swap(url: str, version: int) -> bool:
    return Ledger.at(url).swap_champion(champion(2, version))


def test_of_many_concurrent_swaps_exactly_one_wins(ledger: Ledger, url: str) -> None:
    ledger.swap_champion(champion(1, 1))
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        won = pool.starmap(_swap, [(url, version) for version in range(2, 14)])
    assert sum(won) == 1
    kept = ledger.champion("flights")
    assert kept is not None
    assert kept.version == 2 + won.index(True)


def _open(url: str) -> int:
    return Ledger.at(url).position("flights")


def test_of_many_that_open_a_new_ledger_at_once_none_fails(new_url: Callable[[], str]) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for _ in range(5):
            assert pool.map(_open, [new_url()] * 4, chunksize=1) == [0] * 4


def _append(url: str, number: int) -> tuple[int, int]:
    kept = Ledger.at(url).append(record("same", payload={"n": number}))
    return kept.id, kept.payload["n"]


def test_of_many_that_write_a_fact_at_once_all_get_the_one_that_was_kept(ledger: Ledger, url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        kept = pool.starmap(_append, [(url, number) for number in range(12)], chunksize=1)
    assert len(set(kept)) == 1
    assert [(r.id, r.payload["n"]) for r in ledger.find("flights", Kind.DECIDED)] == [kept[0]]


def test_no_record_comes_to_light_behind_the_position(ledger: Ledger, url: str) -> None:
    """A slow writer took the smaller id: a quick one must not be seen before it."""
    slow = Ledger.at(url)
    inserted, go_on = threading.Event(), threading.Event()

    def pause(_: Connection) -> None:
        if threading.current_thread() is first:
            inserted.set()
            go_on.wait(20)

    event.listen(slow.engine, "commit", pause)
    first = threading.Thread(target=slow.append, args=[record("slow")])
    second = threading.Thread(target=ledger.append, args=[record("quick")])
    try:
        first.start()
        assert inserted.wait(20)
        second.start()
        second.join(1)
        assert ledger.position("flights") == 0
    finally:
        go_on.set()
        first.join(20)
        second.join(20)
        event.remove(slow.engine, "commit", pause)
    assert [r.key for r in ledger.find("flights", Kind.DECIDED)] == ["slow", "quick"]


def test_an_instant_is_the_same_whatever_the_zone_of_the_server(ledger: Ledger) -> None:
    ledger.append(record())
    latest = ledger.latest("flights", Kind.DECIDED)
    assert latest is not None
    assert latest.isoformat() == AS_OF.isoformat()


DENY = {
    "sqlite": "CREATE TRIGGER deny BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END",
    "postgresql": "ALTER TABLE record ADD CONSTRAINT deny CHECK (kind = 'full')",
}


def test_a_refusal_for_another_reason_than_the_key_is_not_swallowed(ledger: Ledger) -> None:
    with ledger.engine.begin() as connection:
        connection.execute(text(DENY[ledger.engine.dialect.name]))
    with pytest.raises(LookupError, match="another reason"):
        ledger.append(record())
