"""The offline store behind Feast's public API, on Delta tables in a temporary lake."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from include.contracts.errors import DataError, PolicyError
from include.features import offline_store  # first: it imports feast the lean way
from include.lake import Lake

# isort: split
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RequestSource, ValueType
from feast.data_format import DeltaFormat, ParquetFormat
from feast.on_demand_feature_view import on_demand_feature_view
from feast.repo_config import RepoConfig
from feast.types import Float64, Int64, String

START = datetime(2013, 1, 1, tzinfo=UTC)
TTL = timedelta(hours=6)


def source(name: str, **given: Any) -> FileSource:
    return FileSource(
        name=name,
        path=f"uc/features/{name}",
        timestamp_field="event_timestamp",
        file_format=DeltaFormat(),
        **given,
    )


ORIGIN = Entity(name="origin", join_keys=["origin"], value_type=ValueType.STRING)
WEATHER = FeatureView(
    name="weather",
    entities=[ORIGIN],
    ttl=TTL,
    schema=[Field(name="temp", dtype=Float64), Field(name="sky", dtype=String)],
    source=source("weather", created_timestamp_column="created", field_mapping={"raw_sky": "sky"}),
)
AGE = FeatureView(
    name="age",
    entities=[Entity(name="tail", value_type=ValueType.INT64)],
    schema=[Field(name="years", dtype=Int64)],
    source=source("age"),
)
WORLD = FeatureView(name="world", entities=[], schema=[Field(name="fuel", dtype=Float64)], source=source("world"))


@on_demand_feature_view(
    sources=[WEATHER, RequestSource(name="asked", schema=[Field(name="minutes", dtype=Int64)])],
    schema=[Field(name="heat", dtype=Float64)],
)
def heat(inputs: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame({"heat": inputs["temp"].astype(float) * inputs["minutes"]})


SERVICE = FeatureService(name="all", features=[WEATHER, AGE, WORLD])
WITH_HEAT = FeatureService(name="with_heat", features=[WEATHER, heat])
ARRIVAL = FeatureService(
    name="arrival", features=[WEATHER.with_name("weather_there").with_join_key_map({"origin": "dest"})]
)


def features(seed: int) -> dict[str, pl.DataFrame]:
    """Feature tables with ties in (key, time), null keys, and times that fall together with the entities'."""
    rng = np.random.default_rng(seed)

    def hours(count: int) -> list[datetime]:
        return [START + timedelta(hours=int(h)) for h in rng.integers(0, 72, count)]

    return {
        "weather": pl.DataFrame(
            {
                "origin": [["JFK", "EWR", "LGA", None][k] for k in rng.integers(0, 4, 150)],
                "event_timestamp": hours(150),
                "created": hours(150),
                "temp": [None if t < 5 else float(t) for t in rng.integers(0, 90, 150)],
                "raw_sky": [["clear", "cloudy"][s] for s in rng.integers(0, 2, 150)],
            }
        ),
        "age": pl.DataFrame({"tail": rng.integers(0, 9, 40), "event_timestamp": hours(40), "years": range(40)}),
        "world": pl.DataFrame({"event_timestamp": hours(9), "fuel": rng.normal(size=9)}),
    }


def entities(seed: int, count: int = 300) -> pd.DataFrame:
    rng = np.random.default_rng(seed + 1000)
    frame = pd.DataFrame(
        {
            "origin": [["JFK", "EWR", "LGA", None, "XXX"][k] for k in rng.integers(0, 5, count)],
            "tail": [None if t == 9 else float(t) for t in rng.integers(0, 10, count)],
            "event_timestamp": [START + timedelta(hours=int(h)) for h in rng.integers(0, 80, count)],
            "row": range(count),
        }
    )
    return pd.concat([frame, frame.head(20)], ignore_index=True)


def open_store(folder: Path, objects: list[Any], tables: dict[str, pl.DataFrame]) -> FeatureStore:
    lake = Lake(str(folder / "lake"), "uc")
    for name, frame in tables.items():
        lake.commit(f"features/{name}", "all", "1", frame.to_arrow())
    store = FeatureStore(
        config=RepoConfig(
            project="uc",
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
            offline_store={"type": "include.features.offline_store.DeltaOfflineStore", "lake": str(folder / "lake")},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
        )
    )
    store.apply(objects)
    return store


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    tail = Entity(name="tail", value_type=ValueType.INT64)
    objects = [ORIGIN, tail, WEATHER, AGE, WORLD, heat, SERVICE, WITH_HEAT, ARRIVAL]
    return open_store(tmp_path_factory.mktemp("store"), objects, features(0))


def brute_force(row: dict[str, Any], rows: list[dict[str, Any]], keys: dict[str, str], ttl: timedelta | None) -> Any:
    known = [
        r
        for r in rows
        if all(row[mine] is not None and r[theirs] == row[mine] for theirs, mine in keys.items())
        and r["event_timestamp"] <= row["event_timestamp"]
        and (ttl is None or r["event_timestamp"] >= row["event_timestamp"] - ttl)
    ]
    return max(known, key=lambda r: (r["event_timestamp"], r.get("created", START)), default=None)


def plain(value: Any) -> Any:
    return None if value is None or value != value else value


def test_every_row_keeps_its_place_and_gets_what_was_known(store: FeatureStore) -> None:
    given, tables = entities(0), {name: frame.to_dicts() for name, frame in features(0).items()}
    tables["weather"] = [r for r in tables["weather"] if r["origin"] is not None]
    found = store.get_historical_features(given, SERVICE).to_df()
    assert found["row"].tolist() == given["row"].tolist()
    assert found.columns.tolist() == [*given.columns, "temp", "sky", "years", "fuel"]
    hits = 0
    for row, got in zip(given.to_dict("records"), found.to_dict("records"), strict=True):
        row = {name: plain(value) for name, value in row.items()}
        weather = brute_force(row, tables["weather"], {"origin": "origin"}, TTL)
        ties = [
            r
            for r in tables["weather"]
            if weather and all(r[c] == weather[c] for c in ("origin", "event_timestamp", "created"))
        ]
        age, world = (
            brute_force(row, tables["age"], {"tail": "tail"}, None),
            brute_force(row, tables["world"], {}, None),
        )
        assert (plain(got["temp"]), got["sky"]) in ([(t["temp"], t["raw_sky"]) for t in ties] or [(None, None)])
        ages = [
            r["years"]
            for r in tables["age"]
            if age and r["tail"] == age["tail"] and r["event_timestamp"] == age["event_timestamp"]
        ]
        assert plain(got["years"]) in (ages or [None])
        assert (
            plain(got["fuel"])
            in [r["fuel"] for r in tables["world"] if world and r["event_timestamp"] == world["event_timestamp"]]
            or world is None
        )
        hits += weather is not None
    assert 50 < hits < len(given)


def test_times_come_back_in_utc_to_the_microsecond(store: FeatureStore) -> None:
    given = entities(0).drop(columns="tail")
    given["event_timestamp"] = given["event_timestamp"].dt.tz_convert("America/New_York")
    table = store.get_historical_features(given, ["weather:temp"]).to_arrow()
    assert str(table.schema.field("event_timestamp").type) == "timestamp[us, tz=UTC]"
    usual = store.get_historical_features(entities(0), ["weather:temp"]).to_arrow()
    assert table["temp"].to_pylist() == usual["temp"].to_pylist()


def test_full_names_and_mapped_join_keys(store: FeatureStore) -> None:
    given = entities(0).rename(columns={"origin": "dest"})
    found = store.get_historical_features(given, ARRIVAL, full_feature_names=True).to_df()
    usual = store.get_historical_features(entities(0), ["weather:temp", "weather:sky"]).to_df()
    assert found["weather_there__temp"].equals(usual["temp"])
    assert found["weather_there__sky"].equals(usual["sky"])


def test_on_demand_views_are_computed_from_the_joined_rows(store: FeatureStore) -> None:
    given = entities(0).assign(minutes=2)
    found = store.get_historical_features(given, WITH_HEAT).to_df()
    assert found["heat"].notna().sum() > 50
    assert np.allclose(found["heat"], found["temp"] * 2, equal_nan=True)


def test_materialize_brings_the_newest_of_each_key_online(store: FeatureStore) -> None:
    end = START + timedelta(hours=48)
    store.materialize(START, end, ["weather", "age", "world"])
    tables = {name: frame.to_dicts() for name, frame in features(0).items()}
    for tail in range(9):
        known = [r for r in tables["age"] if r["tail"] == tail and r["event_timestamp"] <= end]
        newest = max((r["event_timestamp"] for r in known), default=None)
        online = store.get_online_features(["age:years", "world:fuel"], [{"tail": tail}]).to_dict()
        assert online["years"][0] in [r["years"] for r in known if r["event_timestamp"] == newest] or not known
        fuels = [r for r in tables["world"] if r["event_timestamp"] <= end]
        last = max(r["event_timestamp"] for r in fuels)
        assert online["fuel"][0] == max(r["fuel"] for r in fuels if r["event_timestamp"] == last)
    assert store.get_online_features(["weather:sky"], [{"origin": "JFK"}]).to_dict()["sky"][0] in {"clear", "cloudy"}


def test_metadata_say_what_was_asked(store: FeatureStore) -> None:
    given = entities(0)
    job = store.get_historical_features(given, ["age:years"])
    assert job.metadata.features == ["age:years"]
    assert job.metadata.keys == ["origin", "tail", "row"]
    assert job.metadata.min_event_timestamp == given["event_timestamp"].min()
    with pytest.raises(NotImplementedError, match="does not persist"):
        job.persist(None)


def test_what_it_cannot_do_it_says(store: FeatureStore) -> None:
    with pytest.raises(PolicyError, match="entity_df is NoneType"):
        store.get_historical_features(None, ["age:years"], start_date=START, end_date=START)
    with pytest.raises(PolicyError, match="entity_df is str"):
        store.get_historical_features("select 1", ["age:years"])
    with pytest.raises(NotImplementedError, match="filter_by_created_timestamp"):
        store.get_historical_features(entities(0), ["age:years"], filter_by_created_timestamp=True)


def test_a_table_that_is_missing_or_lacks_a_column_is_named(tmp_path: Path) -> None:
    view = FeatureView(name="age", entities=[ORIGIN], schema=[Field(name="years", dtype=Int64)], source=source("age"))
    store = open_store(tmp_path, [ORIGIN, view], {})
    with pytest.raises(DataError, match=r"no table at .*uc/features/age"):
        store.get_historical_features(entities(0), ["age:years"]).to_df()
    frame = pl.DataFrame({"origin": ["JFK"], "event_timestamp": [START]})
    Lake(str(tmp_path / "lake"), "uc").commit("features/age", "all", "1", frame.to_arrow())
    with pytest.raises(DataError, match="has no column years; it has batch, event_timestamp, origin"):
        store.get_historical_features(entities(0), ["age:years"]).to_df()


def test_sources_are_validated(store: FeatureStore) -> None:
    check = offline_store.DeltaOfflineStore().validate_data_source
    check(store.config, source("age"))
    check(store.config, source("nobody_wrote_this_yet"))
    with pytest.raises(DataError, match="has no column made_at"):
        check(store.config, source("age", created_timestamp_column="made_at"))
    with pytest.raises(PolicyError, match="is not a table of the lake"):
        check(store.config, FileSource(name="x", path="x", timestamp_field="t", file_format=ParquetFormat()))


def test_a_schema_may_be_left_to_the_table(tmp_path: Path) -> None:
    bare = FeatureView(name="weather", entities=[ORIGIN], ttl=TTL, source=source("weather"))
    store = open_store(tmp_path, [ORIGIN, bare], {"weather": features(0)["weather"]})
    names = {field.name for field in store.get_feature_view("weather").features}
    assert {"temp", "raw_sky"} <= names
