"""A Feast offline store over the lake's Delta tables: read by delta-rs, joined by Polars.

Feast's own stores do not serve here: `dask` drops entity rows that share a key and an instant, `duckdb` needs an
extension from the network to read Delta.
"""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

import pandas as pd
import polars as pl
import pyarrow as pa
from feast.data_source import DataSource
from feast.feature_view import FeatureView
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import infer_event_timestamp_from_entity_df
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel, RepoConfig
from feast.saved_dataset import SavedDatasetStorage
from pydantic import StrictStr

from include.contracts.errors import PolicyError
from include.features.point_in_time import join
from include.features.sources import check_times, scan, source_rows, utc, view_rows


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
        entities = entities.with_columns(utc(time, entities.schema[time]))
        moments = entities.get_column(time)

        def evaluate() -> pl.DataFrame:
            views = [view_rows(config, view, feature_refs, full_feature_names) for view in feature_views]
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
        between = (start_date, end_date)
        columns = (join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column or None)
        return DeltaRetrievalJob(lambda: source_rows(config, data_source, *columns, between, newest=True))

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
        between = (start_date, end_date)
        columns = (join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column or None)
        return DeltaRetrievalJob(lambda: source_rows(config, data_source, *columns, between, newest=False))

    def validate_data_source(self, config: RepoConfig, data_source: DataSource) -> None:
        """Check a source; a table that nobody wrote yet is accepted.

        Raises:
            PolicyError: If the source is not a FileSource in Delta format.
            DataError: If the table lacks a time column that the source names.
        """
        check_times(config, data_source)

    def get_table_column_names_and_types_from_data_source(
        self, config: RepoConfig, data_source: DataSource
    ) -> Iterable[tuple[str, str]]:
        """Columns of the table, with Arrow's names of their types."""
        schema = (
            scan(config, data_source).collect_schema().to_frame().to_arrow(compat_level=pl.CompatLevel.oldest()).schema
        )
        return [(field.name, str(field.type)) for field in schema]
