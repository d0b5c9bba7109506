"""The ledger on a real SQLite file: facts are written once, the champion row changes by compare-and-swap."""

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

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


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")


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


def test_of_many_concurrent_swaps_exactly_one_wins(ledger: Ledger, tmp_path: Path) -> None:
    ledger.swap_champion(champion(1, 1))
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        won = pool.starmap(_swap, [(url, version) for version in range(2, 14)])
    assert sum(won) == 1
    kept = ledger.champion("flights")
    assert kept is not None
    assert kept.version == 2 + won.index(True)


def _open(url: str) -> int:
    return Ledger.at(url).position("flights")


def test_of_many_that_open_a_new_ledger_at_once_none_fails(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        for number in range(5):
            assert pool.map(_open, [f"sqlite:///{tmp_path / f'{number}.db'}"] * 4, chunksize=1) == [0] * 4


def test_a_refusal_for_another_reason_than_the_key_is_not_swallowed(ledger: Ledger) -> None:
    from sqlalchemy import text

    with ledger.engine.begin() as connection:
        connection.execute(text("CREATE TRIGGER deny BEFORE INSERT ON record BEGIN SELECT RAISE(ABORT, 'full'); END"))
    with pytest.raises(LookupError, match="another reason"):
        ledger.append(record())
