"""The features of given spine rows, as they were known at each row's instant."""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
import polars as pl
from feast import FeatureStore
from feast.on_demand_feature_view import OnDemandFeatureView

from include.contracts.errors import InfraError, PolicyError
from include.contracts.use_case import UseCase
from include.features.store import feature_names, open_store, quiet, service

EVENT = "event_timestamp"


def retrieve(use_case: UseCase, spine: pl.DataFrame) -> pl.DataFrame:
    """Add the features of the use case's service to `spine`, point in time: for training and scoring alike.

    Args:
        use_case: The declaration.
        spine: Entity keys, event time and request features, as `features.py` makes them.

    Returns:
        The same rows in the same order, with the service's features behind.
    """
    return features_of(open_store(use_case), use_case, spine)


def inputs(store: FeatureStore, use_case: UseCase) -> tuple[str, ...]:
    """The model's inputs in their order: the request features, then those of the service.

    Raises:
        PolicyError: If two inputs have the same name, or a categorical one is none of them.
    """
    names = (*use_case.request_features, *feature_names(service(store, use_case)))
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PolicyError("features", f"{', '.join(twice)} comes from spine and service", "rename it in one of the two")
    if unknown := sorted(set(use_case.categorical) - set(names)):
        raise PolicyError("use_case.py", f"categorical {unknown} is no input", f"choose among {', '.join(names)}")
    return names


def features_of(store: FeatureStore, use_case: UseCase, spine: pl.DataFrame) -> pl.DataFrame:
    """`retrieve` with a store that is open already."""
    wanted = service(store, use_case)
    names = feature_names(wanted)
    columns = dict.fromkeys(
        [*use_case.entity_keys, *_request_data(store, {v.name for v in wanted.feature_view_projections})]
    )
    columns.pop(use_case.event_time, None)
    entities = spine.select(*columns, pl.col(use_case.event_time).alias(EVENT))
    with quiet():
        job = store.get_historical_features(entities.to_pandas(use_pyarrow_extension_array=True), wanted)
        found = pl.DataFrame(pl.from_arrow(job.to_arrow()))
    if found.height != spine.height:
        raise InfraError("feature retrieval", f"{spine.height} rows went in, {found.height} came out", "report this")
    return spine.hstack(found.select(names))


def _request_data(store: FeatureStore, views: set[str]) -> list[str]:
    """Columns that the service's on-demand views ask of the caller."""
    found: list[OnDemandFeatureView] = [view for view in store.list_on_demand_feature_views() if view.name in views]
    return [column for view in found for column in view.get_request_data_schema()]
