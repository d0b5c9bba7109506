"""What Feast's sources stand for: tables of the lake, read by delta-rs into Polars."""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.repo_config import RepoConfig

from include.contracts.errors import DataError, PolicyError
from include.features.point_in_time import CREATED, KEY, TIME, UTC_MICROSECONDS, ViewRows, newest_last
from include.lake.tables import storage_options

if TYPE_CHECKING:
    from deltalake import DeltaTable


def view_rows(config: RepoConfig, view: FeatureView, feature_refs: list[str], full_names: bool) -> ViewRows:
    """The rows of a view as the join wants them.

    Raises:
        DataError: If the table, or a column of it, is not there.
    """
    source, original = view.batch_source, original_names(view.batch_source)
    prefix = f"{view.projection.name_to_use()}:"
    alias = view.projection.name_alias or view.name
    features = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
    named = {feature: f"{alias}__{feature}" if full_names else feature for feature in features}
    keys = _keys(column.name for column in view.entity_columns)
    wanted: dict[str, str] = {f"{KEY}{n}": key for n, key in enumerate(keys)} | {TIME: source.timestamp_field}
    if source.created_timestamp_column:
        wanted[CREATED] = source.created_timestamp_column
    wanted |= {name: feature for feature, name in named.items()}
    rows = scan(config, source)
    columns = {name: original.get(column, column) for name, column in wanted.items()}
    _refuse_missing(config, source, rows, columns.values())
    dtype = rows.collect_schema()[columns[TIME]]
    return ViewRows(
        name=view.name,
        rows=rows.select(pl.col(old).alias(new) for new, old in columns.items()).with_columns(utc(TIME, dtype)),
        keys=tuple(view.projection.join_key_map.get(key, key) for key in keys),
        features=tuple(named.values()),
        ttl=view.ttl or None,
    )


def source_rows(
    config: RepoConfig,
    source: DataSource,
    join_keys: Iterable[str],
    features: Iterable[str],
    time: str,
    created: str | None,
    between: tuple[datetime | None, datetime | None],
    newest: bool,
) -> pl.DataFrame:
    """Rows with a key in the closed span `between`, the newest last.

    Args:
        config: Of the feature store.
        source: Where the rows are; all columns are named as there.
        join_keys: Columns of the key.
        features: Columns wanted beside keys and times; all columns where none is named.
        time: Column of the event time.
        created: Column of the time of creation, which decides among rows of one event time.
        between: First and last event time; None is open.
        newest: Only the newest row of each key.

    Raises:
        DataError: If the table, or a column of it, is not there.
    """
    keys, features = _keys(join_keys), list(features)
    rows = scan(config, source)
    columns = list(dict.fromkeys([*keys, *features, time, *([created] if created else [])]))
    _refuse_missing(config, source, rows, columns)
    rows = rows.with_columns(utc(time, rows.collect_schema()[time])).drop_nulls(keys)
    for bound, inside in zip(between, (pl.Expr.ge, pl.Expr.le), strict=True):
        if bound is not None:
            rows = rows.filter(inside(pl.col(time), pl.lit(_aware(bound), UTC_MICROSECONDS)))
    frame = (rows.select(columns) if features else rows).collect(engine="streaming")
    frame = newest_last(frame, keys, time, created)
    if newest:
        frame = frame.unique(keys, keep="last", maintain_order=True) if keys else frame.tail(1)
    # a view without entities has one key of Feast's own
    return frame if keys else frame.with_columns(pl.lit(DUMMY_ENTITY_VAL).alias(DUMMY_ENTITY_ID))


def scan(config: RepoConfig, source: DataSource) -> pl.LazyFrame:
    """The table of a source.

    Raises:
        DataError: If nobody wrote it yet.
    """
    table = open_table(config, source)
    if table is None:
        raise DataError(
            "feature retrieval", f"no table at {_uri(config, source)}", "build the features of a batch first"
        )
    return pl.scan_delta(table, storage_options=storage_options(config.offline_store.lake) or None)


def open_table(config: RepoConfig, source: DataSource) -> "DeltaTable | None":
    """The table of a source, or None where nobody wrote it yet.

    Raises:
        PolicyError: If the source is not a FileSource in Delta format.
    """
    from deltalake import DeltaTable
    from deltalake.exceptions import TableNotFoundError

    if not isinstance(source, FileSource) or not isinstance(source.file_format, DeltaFormat):
        raise PolicyError(
            "feature repository",
            f"source {source.name} is not a table of the lake",
            'declare it as FileSource(path="<use case>/features/<view>", file_format=DeltaFormat(), ...)',
        )
    try:
        return DeltaTable(_uri(config, source), storage_options=storage_options(config.offline_store.lake))
    except TableNotFoundError:
        return None


def check_times(config: RepoConfig, source: DataSource) -> None:
    """See that a table, where there is one, has the time columns that its source names.

    Raises:
        DataError: If one is missing.
    """
    if open_table(config, source) is not None:
        times = [name for name in (source.timestamp_field, source.created_timestamp_column) if name]
        _refuse_missing(config, source, scan(config, source), times)


def original_names(source: DataSource) -> dict[Any, Any]:
    """The table's column by Feast's name, where the two differ."""
    return {new: old for old, new in source.field_mapping.items()}


def utc(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as UTC microseconds; a naive time is UTC, as everywhere in Feast."""
    if dtype == pl.String:
        return pl.col(column).str.to_datetime(time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return pl.col(column).cast(UTC_MICROSECONDS)
    return pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _keys(names: Iterable[str]) -> list[str]:
    return [name for name in names if name != DUMMY_ENTITY_ID]


def _uri(config: RepoConfig, source: FileSource) -> str:
    if "://" in source.path or Path(source.path).is_absolute():
        return str(source.path)
    return f"{config.offline_store.lake.rstrip('/')}/{source.path}"


def _refuse_missing(config: RepoConfig, source: DataSource, rows: pl.LazyFrame, columns: Iterable[str]) -> None:
    there = rows.collect_schema().names()
    if missing := sorted(set(columns) - set(there)):
        raise DataError(
            "feature retrieval",
            f"{_uri(config, source)} has no column {', '.join(missing)}; it has {', '.join(sorted(there))}",
            "make features.py and the feature repository agree, then build the features again",
        )
