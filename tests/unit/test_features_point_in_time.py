"""The point-in-time join against a brute-force one, on small random frames."""

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from include.contracts.errors import DataError
from include.features.point_in_time import UTC_MICROSECONDS, ViewRows, join, newest_last

EPOCH = datetime(2013, 1, 1, tzinfo=UTC)
SECONDS = st.integers(0, 8)
KEYS = st.sampled_from(["a", "b", None])
NUMBERS = st.sampled_from([1, 2, None])


def moment(seconds: int | None) -> datetime | None:
    return None if seconds is None else EPOCH + timedelta(seconds=seconds)


def entities_of(rows: list[tuple[str | None, int | None, int]]) -> pl.DataFrame:
    return pl.DataFrame(
        {"k": [r[0] for r in rows], "n": [r[1] for r in rows], "t": [moment(r[2]) for r in rows]},
        schema={"k": pl.String, "n": pl.Int64, "t": UTC_MICROSECONDS},
    )


def features_of(rows: list[tuple[str | None, int | None, int, int, float | None]]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "__key0": [r[0] for r in rows],
            "__key1": [r[1] for r in rows],
            "__time": [moment(r[2]) for r in rows],
            "__created": [moment(r[3]) for r in rows],
            "value": [r[4] for r in rows],
        },
        schema={
            "__key0": pl.String,
            "__key1": pl.Int64,
            "__time": UTC_MICROSECONDS,
            "__created": UTC_MICROSECONDS,
            "value": pl.Float64,
        },
    )


def brute_force(entities: pl.DataFrame, features: pl.DataFrame, ttl: timedelta | None) -> list[float | None]:
    """The definition, row by row: among the known, not outdated rows of the key, the newest, then the last created."""
    found = []
    for entity in entities.iter_rows(named=True):
        known = [
            row
            for row in features.iter_rows(named=True)
            if None not in (entity["k"], entity["n"])
            and (row["__key0"], row["__key1"]) == (entity["k"], entity["n"])
            and row["__time"] <= entity["t"]
            and (ttl is None or row["__time"] >= entity["t"] - ttl)
        ]
        lowest = float("-inf")
        newest = max(
            known,
            key=lambda r: (r["__time"], r["__created"], lowest if r["value"] is None else r["value"]),
            default=None,
        )
        found.append(newest["value"] if newest else None)
    return found


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(KEYS, NUMBERS, SECONDS), min_size=1, max_size=12),
    st.lists(st.tuples(KEYS, NUMBERS, SECONDS, st.integers(0, 2), st.sampled_from([None, 1.0, 2.0, 3.0])), max_size=25),
    st.sampled_from([None, 1, 2, 5]),
)
def test_join_is_what_the_definition_says(entities: list[Any], features: list[Any], seconds: int | None) -> None:
    left, right = entities_of(entities), features_of(features)
    ttl = None if seconds is None else timedelta(seconds=seconds)
    joined = join(left, "t", [ViewRows("view", right.lazy(), ("k", "n"), ("value",), ttl)])
    assert joined.drop("value").equals(left)
    assert joined["value"].to_list() == brute_force(left, right, ttl)


def test_a_value_as_old_as_its_ttl_is_still_known_and_not_a_microsecond_longer() -> None:
    right = features_of([("a", 1, 0, 0, 7.0)])
    left = pl.DataFrame(
        {
            "k": ["a", "a"],
            "n": [1, 1],
            "t": [EPOCH + timedelta(seconds=5), EPOCH + timedelta(seconds=5, microseconds=1)],
        },
        schema={"k": pl.String, "n": pl.Int64, "t": UTC_MICROSECONDS},
    )
    view = ViewRows("view", right.lazy(), ("k", "n"), ("value",), timedelta(seconds=5))
    assert join(left, "t", [view])["value"].to_list() == [7.0, None]


def test_views_of_other_keys_do_not_disturb_each_other() -> None:
    left = entities_of([("b", 2, 5), ("a", 1, 1), ("b", 1, 3), ("a", 1, 1)])
    by_key = features_of([("a", 0, 0, 0, 1.0), ("b", 0, 4, 0, 2.0)]).drop("__key1").rename({"value": "x"})
    by_number = features_of([("-", 1, 2, 0, 3.0)]).drop("__key0").rename({"__key1": "__key0", "value": "y"})
    everywhere = features_of([("-", 0, 3, 0, 4.0)]).drop("__key0", "__key1").rename({"value": "z"})
    views = [
        ViewRows("by_key", by_key.lazy(), ("k",), ("x",), None),
        ViewRows("by_number", by_number.lazy(), ("n",), ("y",), None),
        ViewRows("everywhere", everywhere.lazy(), (), ("z",), None),
    ]
    joined = join(left, "t", views)
    assert joined["x"].to_list() == [2.0, 1.0, None, 1.0]
    assert joined["y"].to_list() == [None, None, 3.0, None]
    assert joined["z"].to_list() == [4.0, None, 4.0, None]


@pytest.mark.parametrize(
    ("keys", "found"),
    [
        (pl.Series("n", [1.0, None, 1.5, 300.0]), [9.0, None, None, None]),  # integers with gaps, as pandas gives them
        (pl.Series("n", [1, 2, 300, None], dtype=pl.Int64), [9.0, None, None, None]),
        (pl.Series("n", [None, None, None, None], dtype=pl.Null), [None, None, None, None]),
    ],
)
def test_keys_of_a_wider_type_match_by_value(keys: pl.Series, found: list[float | None]) -> None:
    left = pl.DataFrame([keys, pl.Series("t", [EPOCH] * 4, dtype=UTC_MICROSECONDS)])
    right = features_of([("-", 1, 0, 0, 9.0)]).drop("__key0").rename({"__key1": "__key0"})
    rows = right.with_columns(pl.col("__key0").cast(pl.Int8)).lazy()
    assert join(left, "t", [ViewRows("view", rows, ("n",), ("value",), None)])["value"].to_list() == found


def test_keys_of_another_kind_are_refused() -> None:
    left = pl.DataFrame({"n": ["1"], "t": [EPOCH]}, schema_overrides={"t": UTC_MICROSECONDS})
    right = features_of([("-", 1, 0, 0, 9.0)]).drop("__key0").rename({"__key1": "__key0"}).lazy()
    with pytest.raises(DataError, match="entity column n is String, the key of feature view view is Int64"):
        join(left, "t", [ViewRows("view", right, ("n",), ("value",), None)])


def test_an_entity_row_without_a_time_is_refused() -> None:
    left = entities_of([("a", 1, 1)]).with_columns(t=pl.lit(None, UTC_MICROSECONDS))
    with pytest.raises(DataError, match="t is null"):
        join(left, "t", [])


def test_rows_equal_in_key_and_time_end_in_the_same_order_whatever_order_they_came_in() -> None:
    rows = features_of([("a", 1, 1, 1, 3.0), ("a", 1, 1, 1, 2.0), ("a", 1, 1, 0, 9.0), ("b", 1, 1, 0, 1.0)])
    keys = ["__key0", "__key1"]
    one = newest_last(rows, keys, "__time", "__created")
    other = newest_last(rows.reverse(), keys, "__time", "__created")
    last = pl.col("value").last()
    assert one.group_by(keys).agg(last).sort(keys).equals(other.group_by(keys).agg(last).sort(keys))
    assert one.filter(pl.col("__key0") == "a")["value"].to_list() == [9.0, 2.0, 3.0]
