"""Bring a batch's newest values into Feast's online store, and read a sample back."""

import include.features.lean  # noqa: F401  (before feast)

# isort: split
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
from feast import FeatureStore, FeatureView
from feast.types import Float32

from include.contracts.data import DatasetSnapshot
from include.contracts.errors import InfraError
from include.features.sources import original_names, source_rows
from include.features.store import quiet

Json = dict[str, Any]

SAMPLE = 200
CHUNK = 1_000
TOLERANCE = 1e-9


def materialize(store: FeatureStore, batch: DatasetSnapshot, as_of: datetime) -> Json:
    """Write the newest value of each key in the batch to the online store, and read them back.

    All keys are looked for, the values of `SAMPLE` keys of each view are compared. The caller sees to it that there is
    one writer. The online store keeps what was written last, not what is newest. So the end never falls behind that of
    an earlier call: an older batch that comes again is written as it stands by then, and newer values stay.

    Args:
        store: Open feature store of the use case.
        batch: The batch's feature tables.
        as_of: No later value is written.

    Returns:
        `starts`, `ends`, `keys` to be written, `rows` found online, `checked` keys.

    Raises:
        InfraError: If a value online is not the newest offline value; names view, key and both.
    """
    ends = min(batch.ends - timedelta(microseconds=1), as_of)
    views = [view for view in store.list_feature_views() if view.online]
    ends = max([ends, *(view.most_recent_end_time for view in views if view.most_recent_end_time)])
    counts = {"keys": 0, "rows": 0, "checked": 0}
    with quiet():
        if views and ends >= batch.starts:
            store.materialize(batch.starts, ends, [view.name for view in views])
            for view in views:
                for name, count in _check(store, view, batch, ends).items():
                    counts[name] += count
    return {"batch": batch.batch, "starts": batch.starts.isoformat(), "ends": ends.isoformat(), **counts}


def _check(store: FeatureStore, view: FeatureView, batch: DatasetSnapshot, ends: datetime) -> dict[str, int]:
    """Look for every key that was to be written, and compare the values of a sample."""
    latest = _latest(store, view, batch.starts, ends)
    keys = [column.name for column in view.entity_columns]
    features = [feature.name for feature in view.features]
    order = pl.int_range(latest.height, eager=True)
    sampled = set(order.sample(min(SAMPLE, latest.height), seed=int(batch.digest[:8], 16)))
    there = 0
    for first in range(0, latest.height, CHUNK):
        chunk = latest.sort(keys).slice(first, CHUNK)
        online = _online(store, view, chunk.select(keys).to_dicts())
        for place, (expected, found) in enumerate(zip(chunk.iter_rows(named=True), online, strict=True), first):
            if found is not None:
                there += 1
                if place in sampled:
                    _compare(view.name, keys, features, expected, found)
    if there < latest.height:
        cause = f"{view.name}: {there} of {latest.height} keys are online"
        raise InfraError("materialize", cause, f"run the step again for {batch.batch}")
    return {"keys": latest.height, "rows": there, "checked": len(sampled)}


def _compare(view: str, keys: list[str], features: list[str], expected: Json, found: Json) -> None:
    for feature in features:
        if not _same(expected[feature], found[feature]):
            key = ", ".join(f"{name}={expected[name]!r}" for name in keys)
            raise InfraError(
                "materialize",
                f"{view}.{feature} of {key} is {found[feature]!r} online, {expected[feature]!r} in the lake",
                "run the step again; if it stays, look for another writer to the online store",
            )


def _latest(store: FeatureStore, view: FeatureView, starts: datetime, ends: datetime) -> pl.DataFrame:
    """The newest offline values in [starts, ends], one row a key, in the types that the view declares."""
    source, original = view.batch_source, original_names(view.batch_source)
    latest = source_rows(
        store.config,
        source,
        [original.get(column.name, column.name) for column in view.entity_columns],
        [original.get(feature.name, feature.name) for feature in view.features],
        original.get(source.timestamp_field, source.timestamp_field),
        original.get(source.created_timestamp_column, source.created_timestamp_column) or None,
        between=(starts, ends),
        newest=True,
    ).rename(source.field_mapping, strict=False)
    return latest.with_columns(pl.col(f.name).cast(pl.Float32) for f in view.features if f.dtype == Float32)


def _online(store: FeatureStore, view: FeatureView, keys: Sequence[Json]) -> list[Json | None]:
    """What is online for `keys`; None where nothing is. However old: Feast's online stores do not heed the TTL."""
    features = [feature.name for feature in view.features]
    answer = store.get_online_features([f"{view.name}:{feature}" for feature in features], list(keys))
    columns = answer.to_dict(include_event_timestamps=True)
    values = zip(*(columns[feature] for feature in features), strict=True)
    return [
        dict(zip(features, row, strict=True)) if time else None
        for row, time in zip(values, columns[f"{features[0]}__ts"], strict=True)
    ]


def _same(one: Any, other: Any) -> bool:
    one, other = _plain(one), _plain(other)
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    return bool(one == other)


def _plain(value: Any) -> Any:
    """NaN is no value; an instant is compared in UTC."""
    if isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value
