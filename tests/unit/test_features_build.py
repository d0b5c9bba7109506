"""Feature tables of a batch: cut to it, reaching back, written once."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include import jobs
from include.contracts.errors import DataError, PolicyError
from include.contracts.record import Kind
from include.lake import Lake
from include.ledger import Ledger
from include.settings import settings
from tests import feature_world as shop


@pytest.fixture(autouse=True)
def _world(tmp_path: Path) -> Iterator[None]:
    with shop.world(tmp_path):
        yield


def build(month: str, seed: int = 0) -> dict[str, Any]:
    snapshot = shop.ingest(month, seed).model_dump(mode="json")
    as_of = shop.MONTHS[month][1].isoformat()
    return jobs.run(
        "features", "build_features", {"use_case": "shop", "as_of": as_of, "batch": month, "snapshot": snapshot}
    )


def table(name: str, *months: str) -> pl.DataFrame:
    frame = Lake(settings().lake, "shop").scan(name, months or None)
    assert frame is not None
    return frame.collect()


def test_all_tables_are_committed_with_rows_of_the_batch_only() -> None:
    built = build("2024-01")
    assert [t["name"] for t in built["tables"]] == ["spine", "features/shop_customer", "features/shop_city"]
    starts, ends = shop.MONTHS["2024-01"]
    customers = table("features/shop_customer")
    late = shop.visits("2024-01").filter(pl.col("at") + timedelta(hours=6) >= ends).height
    assert late > 0  # what becomes known after the batch belongs to the next one
    assert customers.height == shop.VISITS - late
    assert customers["event_timestamp"].is_between(starts, ends, closed="left").all()
    assert customers.schema["event_timestamp"] == pl.Datetime("us", "UTC")
    assert table("spine").height == shop.VISITS


def test_the_next_batch_looks_back_into_the_one_before() -> None:
    first = build("2024-01")
    second = build("2024-02")
    assert first["made_of"] == [first["digest"]]
    assert second["made_of"] == [first["digest"], second["digest"]]
    every = pl.concat([shop.visits("2024-01"), shop.visits("2024-02")])
    every = every.with_columns(known=pl.col("at") + timedelta(hours=6))
    reached = 0
    for row in table("features/shop_customer", "2024-02").drop_nulls("customer_id").iter_rows(named=True):
        before = row["event_timestamp"] - timedelta(days=7)
        window = every.filter(
            pl.col("customer_id") == row["customer_id"],
            pl.col("known").is_between(before, row["event_timestamp"], closed="right"),
        )
        reached += window.filter(pl.col("at") < shop.MONTHS["2024-02"][0]).height
        assert row["spent"] == pytest.approx(window["amount"].sum())
    assert reached > 0


def test_the_same_batch_again_writes_nothing_and_another_content_replaces_it() -> None:
    first, again = build("2024-01"), build("2024-01")
    assert again == first
    other = build("2024-01", seed=1)
    assert other["digest"] != first["digest"]
    assert [t["version"] for t in other["tables"]] == [t["version"] + 1 for t in first["tables"]]
    assert table("spine").height == shop.VISITS
    records = Ledger.at(settings().ledger_url).find("shop", Kind.FEATURES_BUILT)
    assert [r.payload["digest"] for r in records] == [first["digest"], other["digest"]]


def test_changed_feature_code_builds_again(tmp_path: Path) -> None:
    first = build("2024-01")
    path = tmp_path / "use_cases" / "shop" / "features.py"
    path.write_text(path.read_text().replace('window_size="7d"', 'window_size="3d"'))
    shop.forget()
    again = build("2024-01")
    assert [t["version"] for t in again["tables"]] == [t["version"] + 1 for t in first["tables"]]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"spine": visits', '"spin": visits', "returns no 'spine'"),
        ("bought=", "sold=", "the spine has no bought"),
        ('event_timestamp="at"', 'known="at"', "shop_city.event_timestamp is None"),
        ('event_timestamp="at"', 'event_timestamp=pl.col("at").dt.replace_time_zone(None)', "in UTC"),
    ],
)
def test_a_mistake_in_features_py_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "use_cases" / "shop" / "features.py"
    path.write_text(path.read_text().replace(old, new))
    shop.forget()
    with pytest.raises(PolicyError, match=message):
        build("2024-01")


def test_a_spine_without_rows_in_the_batch_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "use_cases" / "shop" / "features.py"
    path.write_text(path.read_text().replace('asked_at="at"', 'asked_at=pl.col("at") + pl.duration(days=99)'))
    shop.forget()
    with pytest.raises(DataError, match="the spine of 2024-01 has 0 rows"):
        build("2024-01")


def test_another_batch_than_the_snapshot_is_refused() -> None:
    snapshot = shop.ingest("2024-01").model_dump(mode="json")
    arguments = {"use_case": "shop", "as_of": "2024-03-01T00:00:00Z", "batch": "2024-02", "snapshot": snapshot}
    with pytest.raises(PolicyError, match="asked for batch 2024-02"):
        jobs.run("features", "build_features", arguments)
