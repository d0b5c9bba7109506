"""The point-in-time join, in Polars: for each entity row, each view's newest values that were known by then."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from include.contracts.errors import DataError

UTC_MICROSECONDS = pl.Datetime("us", "UTC")
TIME, CREATED, KEY = "__time", "__created", "__key"


@dataclass(frozen=True)
class ViewRows:
    """The rows of one feature view.

    Attributes:
        name: Of the view, for messages.
        rows: Columns `__key0`.., `__time` (UTC, microseconds), `__created` where the source has one, and the features
            under the names that they have in the result.
        keys: Entity columns that the keys are matched with, in order.
        features: Names in the result.
        ttl: A value older than this is not known any more; exactly as old still is. None for ever.
    """

    name: str
    rows: pl.LazyFrame
    keys: tuple[str, ...]
    features: tuple[str, ...]
    ttl: timedelta | None


def join(entities: pl.DataFrame, time: str, views: Sequence[ViewRows]) -> pl.DataFrame:
    """Add the features of `views` to `entities`: every row is kept, in its place, duplicates too.

    Args:
        entities: Entity rows, with the keys of every view.
        time: Column of `entities`, UTC: features with a later time are not seen.
        views: Where the features come from.

    Raises:
        DataError: If a time is missing, or a key has another type than the view's.
    """
    if entities.get_column(time).null_count():
        raise DataError("feature retrieval", f"{time} is null in some entity rows", "give every entity row a time")
    order = entities.get_column(time).arg_sort()
    back = order.arg_sort()
    ordered = entities.select(time, *sorted({key for view in views for key in view.keys} - {time}))[order]
    columns = [_features(ordered, time, view).select(pl.all().gather(back)) for view in views]
    return pl.concat([entities, *columns], how="horizontal")


def newest_last(rows: pl.DataFrame, keys: Sequence[str], time: str, created: str | None) -> pl.DataFrame:
    """Sort by time, then by creation; rows equal in key and both by value: the last is always the same."""
    by = [time, *([created] if created else [])]
    if rows.select(pl.struct(*keys, *by).is_duplicated().any()).item():
        by += [column for column in sorted(rows.columns) if column not in {*by, *keys}]
    return rows.sort(by, nulls_last=False, maintain_order=True)


def _features(ordered: pl.DataFrame, time: str, view: ViewRows) -> pl.DataFrame:
    """The features of `view` for entity rows that are in the order of time."""
    schema = view.rows.collect_schema()
    names = [f"{KEY}{n}" for n in range(len(view.keys))]
    left = ordered.select(
        pl.col(time).alias(TIME),
        *(
            _as_key(ordered.get_column(key), schema[name], view.name).alias(name)
            for key, name in zip(view.keys, names, strict=True)
        ),
    )
    rows = view.rows.filter(_within(left.get_column(TIME), view.ttl)).drop_nulls([TIME, *names])
    if names:
        rows = rows.join(left.lazy().select(names).unique(), on=names, how="semi")
    right = newest_last(rows.collect(engine="streaming"), names, TIME, CREATED if CREATED in schema else None)
    joined = left.join_asof(
        right,
        on=TIME,
        by=names or None,
        strategy="backward",
        tolerance=view.ttl,
        check_sortedness=False,  # both sides were sorted just now
    )
    return joined.select(view.features)


def _within(times: pl.Series, ttl: timedelta | None) -> pl.Expr:
    first, last = times.min(), times.max()
    known = pl.col(TIME) <= pl.lit(last, UTC_MICROSECONDS)
    if ttl is None:
        return known
    return known & (pl.col(TIME) >= pl.lit(first, UTC_MICROSECONDS) - ttl)


def _as_key(column: pl.Series, dtype: pl.DataType, view: str) -> pl.Series:
    """`column` in the type of the view's key; what that type cannot hold is null, since no row can match it."""
    if column.dtype == dtype:
        return column
    if column.dtype == pl.Null or (column.dtype.is_integer() and dtype.is_integer()):
        return column.cast(dtype, strict=False)
    if column.dtype.is_float() and dtype.is_integer():  # pandas writes integers with gaps as floats
        return column.set(column != column.floor(), None).cast(dtype, strict=False)
    if isinstance(column.dtype, pl.Categorical | pl.Enum) and dtype == pl.String:
        return column.cast(pl.String)
    if column.dtype.is_temporal() and dtype.is_temporal():
        return column.cast(dtype)
    raise DataError(
        "feature retrieval",
        f"entity column {column.name} is {column.dtype}, the key of feature view {view} is {dtype}",
        f"give {column.name} the type {dtype}",
    )
