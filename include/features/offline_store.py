"""A Feast offline store over the lake's Delta tables: read by delta-rs, joined by Polars.

Feast's own stores do not serve here: `dask` drops entity rows that share a key and an instant, `duckdb` needs an
extension from the network to read Delta.
"""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.data_format import DeltaFormat
from feast.data_source import DataSource
from feast.feature_view import DUMMY_ENTITY_ID, DUMMY_ENTITY_VAL, FeatureView
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pydantic import StrictStr

from include.contracts.errors import DataError, PolicyError
from include.features.point_in_time import CREATED, KEY, TIME, UTC_MICROSECONDS, ViewRows, join, newest_last
from include.lake.tables import storage_options


class DeltaOfflineStoreConfig(FeastConfigBaseModel):  # type: ignore[misc]
    """The store's part of `feature_store.yaml`.

    Attributes:
        lake: Root of the Delta tables; the paths of file sources are relative to it.
    """

    type: StrictStr = "include.features.offline_store.DeltaOfflineStore"
    lake: StrictStr


class DeltaRetrievalJob(RetrievalJob):  # type: ignore[misc]
    """A retrieval that runs when its result is asked for."""

    def __init__(
        self,
        evaluate: Callable[[], pl.DataFrame],
        full_feature_names: bool = False,
        on_demand_feature_views: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._evaluate = evaluate
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = on_demand_feature_views or []
        self._metadata = metadata

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002
        frame = self._evaluate().rechunk()
        # one chunk: Feast's local engine materializes only the first
        return frame.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    @property
    def full_feature_names(self) -> bool:
        """Whether features are named `view__feature`."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """Views that Feast computes from the result."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked for."""
        return self._metadata

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool = False, timeout: int | None = None) -> None:
        """Not offered: the training set is the saved data set."""
        raise NotImplementedError("DeltaOfflineStore does not persist retrievals; write `to_arrow()` where you need it")


class DeltaOfflineStore(OfflineStore):  # type: ignore[misc]
    """Point-in-time features from Delta tables."""

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,
        **_: Any,
    ) -> RetrievalJob:
        """Join the features to `entity_df`: every row is kept, in its order.

        Raises:
            PolicyError: If `entity_df` is not a pandas frame.
        """
        if not isinstance(entity_df, pd.DataFrame):
            raise PolicyError(
                "feature retrieval",
                f"entity_df is {type(entity_df).__name__}: this store needs the entity rows themselves",
                "pass a pandas frame with the entity keys and an event_timestamp",
            )
        time = infer_event_timestamp_from_entity_df(dict(entity_df.dtypes))
        entities = pl.from_pandas(entity_df)
        entities = entities.with_columns(_utc(time, entities.schema[time]))
        moments = entities.get_column(time)

        def evaluate() -> pl.DataFrame:
            views = [_view_rows(config, view, feature_refs, full_feature_names) for view in feature_views]
            return join(entities, time, views)

        return DeltaRetrievalJob(
            evaluate,
            full_feature_names,
            OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            RetrievalMetadata(feature_refs, [c for c in entities.columns if c != time], moments.min(), moments.max()),
        )

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """The newest row of each key in [start_date, end_date]; ties as in the join."""

        def evaluate() -> pl.DataFrame:
            created = created_timestamp_column or None
            keys = _keys(join_key_columns)
            columns = _unique(keys, feature_name_columns, [timestamp_field], [created] if created else [])
            rows = _between(_scan(config, data_source), timestamp_field, start_date, end_date).select(columns)
            frame = newest_last(rows.drop_nulls(keys).collect(engine="streaming"), keys, timestamp_field, created)
            latest = frame.unique(keys, keep="last", maintain_order=True) if keys else frame.tail(1)
            return _with_dummy(latest, keys)

        return DeltaRetrievalJob(evaluate)

    @staticmethod
    def pull_all_from_table_or_query(
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """All rows with a key in [start_date, end_date], the newest last; all columns where no feature is named."""

        def evaluate() -> pl.DataFrame:
            created = created_timestamp_column or None
            keys = _keys(join_key_columns)
            rows = _between(_scan(config, data_source), timestamp_field, start_date, end_date)
            if feature_name_columns:
                rows = rows.select(_unique(keys, feature_name_columns, [timestamp_field], [created] if created else []))
            frame = rows.drop_nulls(keys).collect(engine="streaming")
            return _with_dummy(newest_last(frame, keys, timestamp_field, created), keys)

        return DeltaRetrievalJob(evaluate)

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Check a source; a table that nobody wrote yet is accepted.

        Raises:
            PolicyError: If the source is not a FileSource in Delta format.
            DataError: If the table lacks a time column that the source names.
        """
        table = _open(config, data_source)
        if table is None:
            return
        names = {field.name for field in table.schema().fields}
        wanted = {data_source.timestamp_field, data_source.created_timestamp_column} - {"", None}
        if missing := wanted - names:
            raise _no_columns(_uri(config, data_source), missing, names)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns of the table, with Arrow's names of their types."""
        schema = (
            _scan(config, data_source).collect_schema().to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        )
        return [(field.name, str(field.type)) for field in schema]


def _view_rows(config: RepoConfig, view: FeatureView, feature_refs: list[str], full_names: bool) -> ViewRows:
    source = view.batch_source
    prefix = f"{view.projection.name_to_use()}:"
    features = [ref.removeprefix(prefix) for ref in feature_refs if ref.startswith(prefix)]
    alias = view.projection.name_alias or view.name
    named = {f: f"{alias}__{f}" if full_names else f for f in features}
    keys = _keys([column.name for column in view.entity_columns])
    original = {new: old for old, new in source.field_mapping.items()}
    wanted = {f"{KEY}{n}": original.get(key, key) for n, key in enumerate(keys)}
    wanted |= {TIME: original.get(source.timestamp_field, source.timestamp_field)}
    if source.created_timestamp_column:
        wanted |= {CREATED: original.get(source.created_timestamp_column, source.created_timestamp_column)}
    wanted |= {name: original.get(feature, feature) for feature, name in named.items()}
    rows = _scan(config, source)
    schema = rows.collect_schema()
    if missing := set(wanted.values()) - set(schema):
        raise _no_columns(_uri(config, source), missing, set(schema))
    rows = rows.select(pl.col(old).alias(new) for new, old in wanted.items())
    return ViewRows(
        name=view.name,
        rows=rows.with_columns(_utc(TIME, schema[wanted[TIME]])),
        keys=tuple(view.projection.join_key_map.get(key, key) for key in keys),
        features=tuple(named.values()),
        ttl=view.ttl or None,
    )


def _scan(config: RepoConfig, source: DataSource) -> pl.LazyFrame:
    table = _open(config, source)
    if table is None:
        raise DataError(
            "feature retrieval", f"no table at {_uri(config, source)}", "build the features of a batch first"
        )
    return pl.scan_delta(table, storage_options=storage_options(config.offline_store.lake) or None)


def _open(config: RepoConfig, source: DataSource) -> Any:
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


def _uri(config: RepoConfig, source: FileSource) -> str:
    if "://" in source.path or Path(source.path).is_absolute():
        return str(source.path)
    return f"{config.offline_store.lake.rstrip('/')}/{source.path}"


def _between(rows: pl.LazyFrame, time: str, start: datetime | None, end: datetime | None) -> pl.LazyFrame:
    rows = rows.with_columns(_utc(time, rows.collect_schema()[time]))
    if start is not None:
        rows = rows.filter(pl.col(time) >= pl.lit(_aware(start), UTC_MICROSECONDS))
    if end is not None:
        rows = rows.filter(pl.col(time) <= pl.lit(_aware(end), UTC_MICROSECONDS))
    return rows


def _utc(column: str, dtype: pl.DataType) -> pl.Expr:
    """The column as UTC microseconds; a naive time is UTC, as everywhere in Feast."""
    if dtype == pl.String:
        return pl.col(column).str.to_datetime(time_unit="us", time_zone="UTC")
    if isinstance(dtype, pl.Datetime) and dtype.time_zone:
        return pl.col(column).cast(UTC_MICROSECONDS)
    return pl.col(column).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def _aware(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _keys(join_keys: list[str]) -> list[str]:
    return [key for key in join_keys if key != DUMMY_ENTITY_ID]


def _with_dummy(rows: pl.DataFrame, keys: list[str]) -> pl.DataFrame:
    """A view without entities has one key of Feast's own."""
    return rows if keys else rows.with_columns(pl.lit(DUMMY_ENTITY_VAL).alias(DUMMY_ENTITY_ID))


def _unique(*groups: list[str]) -> list[str]:
    return list(dict.fromkeys(name for group in groups for name in group))


def _no_columns(uri: str, missing: set[str], there: set[str]) -> DataError:
    return DataError(
        "feature retrieval",
        f"{uri} has no column {', '.join(sorted(missing))}; it has {', '.join(sorted(there))}",
        "make features.py and the feature repository agree, then build the features again",
    )
