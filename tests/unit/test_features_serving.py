"""From feature tables to the online store and to the training set, as the steps do it."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from include import jobs
from include.contracts.data import DatasetSnapshot, TrainingSet, data_version
from include.contracts.errors import DataError, InfraError, PolicyError
from include.contracts.record import Kind
from include.features.retrieval import inputs, retrieve
from include.features.store import environment, open_store
from include.lake import Lake
from include.lake.objects import sha256
from include.ledger import Ledger
from include.settings import settings
from include.use_cases import parts
from tests import feature_world as shop


@pytest.fixture(autouse=True)
def _world(tmp_path: Path) -> Iterator[None]:
    with shop.world(tmp_path):
        yield


def step(name: str, **arguments: Any) -> dict[str, Any]:
    return jobs.run("features", name, {"use_case": "shop", **arguments})


def build(month: str) -> dict[str, Any]:
    snapshot = shop.ingest(month).model_dump(mode="json")
    built = step("build_features", as_of=end(month), batch=month, snapshot=snapshot)
    shop.validated(month, built["digest"])
    return built


def end(month: str) -> str:
    return shop.MONTHS[month][1].isoformat()


def materialize(month: str, snapshot: dict[str, Any], as_of: str | None = None) -> dict[str, Any]:
    return step("materialize", as_of=as_of or end(month), batch=month, snapshot=snapshot)


def online(*customers: int) -> dict[str, list[Any]]:
    store = open_store(parts("shop").use_case)
    rows = [{"customer_id": customer} for customer in customers]
    return store.get_online_features(["shop_customer:spent", "shop_customer:visits"], rows).to_dict()


def latest(until: datetime) -> dict[int, float]:
    """The newest `spent` of each customer, by plain Polars."""
    frame = Lake(settings().lake, "shop").scan("features/shop_customer")
    assert frame is not None
    rows = frame.filter(pl.col("event_timestamp") <= until).drop_nulls("customer_id").sort("event_timestamp").collect()
    return dict(rows.group_by("customer_id").agg(pl.col("spent").last()).iter_rows())


def test_materialize_writes_the_newest_values_and_reads_them_back() -> None:
    built = build("2024-01")
    written = materialize("2024-01", built)
    expected = latest(shop.MONTHS["2024-01"][1])
    assert written["keys"] == len(expected) + 3  # the customers and the cities
    assert written["rows"] == written["keys"]
    assert written["checked"] == written["keys"]
    assert written["ends"] == "2024-01-31T23:59:59.999999+00:00"
    assert online(*expected)["spent"] == pytest.approx(list(expected.values()), abs=1e-9)
    record = Ledger.at(settings().ledger_url).newest("shop", Kind.FEATURES_MATERIALIZED)
    assert record is not None
    assert record.payload == written


def test_nothing_later_than_as_of_goes_online() -> None:
    built = build("2024-01")
    written = materialize("2024-01", built, as_of="2024-01-10T00:00:00+00:00")
    assert written["ends"] == "2024-01-10T00:00:00+00:00"
    expected = latest(datetime.fromisoformat("2024-01-10T00:00:00+00:00"))
    assert online(*expected)["spent"] == pytest.approx(list(expected.values()), abs=1e-9)


@pytest.mark.parametrize("change", ["", "days=8", 'Field(name="amount", dtype=Float64)'])
def test_an_older_batch_that_comes_again_does_not_overwrite_newer_values(tmp_path: Path, change: str) -> None:
    first, second = build("2024-01"), build("2024-02")
    materialize("2024-02", second)
    path = tmp_path / "feature_repo" / "shop.py"
    old = "schema=[" if "Field" in change else "days=7"
    new = f"schema=[{change}, " if "Field" in change else change or old
    path.write_text(path.read_text().replace(old, new, 1))  # a changed declaration is applied anew
    expected = latest(shop.MONTHS["2024-02"][1])
    written = materialize("2024-01", first)
    assert written["ends"] == "2024-02-29T23:59:59.999999+00:00"
    assert online(*expected)["spent"] == pytest.approx(list(expected.values()), abs=1e-9)


def test_half_a_batch_first_does_not_hide_what_the_whole_one_brought_online() -> None:
    first, second = build("2024-01"), build("2024-02")
    materialize("2024-02", second, as_of="2024-02-10T00:00:00+00:00")
    materialize("2024-02", second)
    materialize("2024-01", first)
    expected = latest(shop.MONTHS["2024-02"][1])
    assert online(*expected)["spent"] == pytest.approx(list(expected.values()), abs=1e-9)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            "delete from shop_shop_customer where entity_key = (select min(entity_key) from shop_shop_customer)",
            "shop_customer: 38 of 39 keys are online",
        ),
        (
            "update shop_shop_city set value = x'120178' where feature_name = 'size'",  # the text "x"
            r"shop_city.size of city='city-0' is 'x' online, 'city-0 in 2024-01' in the lake",
        ),
    ],
)
def test_a_value_that_did_not_arrive_is_named(monkeypatch: pytest.MonkeyPatch, damage: str, message: str) -> None:
    from feast import FeatureStore

    def careless(store: FeatureStore, *arguments: Any) -> None:
        write(store, *arguments)
        with sqlite3.connect(settings().feast_online) as connection:
            connection.execute(damage)

    write = FeatureStore.materialize
    monkeypatch.setattr(FeatureStore, "materialize", careless)
    built = build("2024-01")
    with pytest.raises(InfraError, match=message):
        materialize("2024-01", built)
    assert Ledger.at(settings().ledger_url).newest("shop", Kind.FEATURES_MATERIALIZED) is None


def test_the_store_is_applied_once_and_again_when_the_declaration_changes(tmp_path: Path) -> None:
    use_case = parts("shop").use_case
    first = open_store(use_case).get_feature_view("shop_customer").last_updated_timestamp
    assert open_store(use_case).get_feature_view("shop_customer").last_updated_timestamp == first
    path = tmp_path / "feature_repo" / "shop.py"
    path.write_text(path.read_text().replace("ttl=timedelta(days=7)", "ttl=timedelta(days=30)"))
    assert open_store(use_case).get_feature_view("shop_customer").ttl == timedelta(days=30)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name="shop_v1"', 'name="shop_v2"', r"declares no FeatureService 'shop_v1'; it has \['shop_v2'\]"),
        ("import timedelta", "import timedeltas", "cannot import name 'timedeltas'"),
    ],
)
def test_a_mistake_in_the_feature_repository_is_named(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "feature_repo" / "shop.py"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(PolicyError, match=message) as caught:
        open_store(parts("shop").use_case)
    assert caught.value.component == str(path)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://cache:6380/2", "cache:6380,db=2"),
        ("rediss://cache", "cache:6379,db=0,ssl=true"),
        ("redis://me:a%2Cb%3D%22@cache", r'cache:6379,db=0,username="me",password="a\u002cb=\""'),
        ("redis://:123@cache", 'cache:6379,db=0,password="123"'),
    ],
)
def test_redis_is_chosen_by_its_url(monkeypatch: pytest.MonkeyPatch, url: str, expected: str) -> None:
    monkeypatch.setenv("EVERGREEN_FEAST_ONLINE", url)
    online = json.loads(environment("shop")["EVERGREEN_FEAST_ONLINE_STORE"])
    assert online == {"type": "redis", "connection_string": expected}


def test_feasts_own_commands_work_with_the_exported_variables(tmp_path: Path) -> None:
    from click.testing import CliRunner
    from feast.cli.cli import cli

    open_store(parts("shop").use_case)
    arguments = ["--chdir", str(tmp_path / "feature_repo"), "feature-services", "list"]
    listed = CliRunner().invoke(cli, arguments, env=environment("shop"))
    assert listed.exit_code == 0, listed.output
    assert "shop_v1" in listed.output


def brute_force(row: dict[str, Any], rows: list[dict[str, Any]], key: str, ttl: timedelta | None) -> dict[str, Any]:
    known = [
        r
        for r in rows
        if row[key] is not None
        and r[key] == row[key]
        and r["event_timestamp"] <= row["asked_at"]
        and (ttl is None or r["event_timestamp"] >= row["asked_at"] - ttl)
    ]
    return max(known, key=lambda r: r["event_timestamp"], default={})


def training_set(as_of: str, **given: Any) -> TrainingSet:
    return TrainingSet.model_validate(step("build_training_set", as_of=as_of, request="r", **given))


def test_the_training_set_is_point_in_time_and_split_by_time() -> None:
    build("2024-01")
    build("2024-02")
    built = training_set("2024-03-01T00:00:00+00:00")
    frame = pl.read_parquet(built.uri)
    assert frame.columns == ["customer_id", "city", "asked_at", "bought", "basket", "spent", "visits", "size"]
    assert built.features == ("city", "basket", "spent", "visits", "size")
    assert built.digest == sha256([Path(built.uri).read_bytes()])
    assert frame.schema["city"] == pl.String
    every = pl.concat([shop.visits("2024-01"), shop.visits("2024-02")])
    cut = datetime.fromisoformat("2024-02-29T00:00:00+00:00")
    labelled = every.filter(pl.col("bought").is_not_null(), pl.col("at") <= cut)
    assert frame.height == built.rows == labelled.height
    lake = Lake(settings().lake, "shop")
    customers, cities = (lake.scan(f"features/shop_{name}").collect().to_dicts() for name in ("customer", "city"))
    for row in frame.sample(150, seed=0).iter_rows(named=True):
        customer = brute_force(row, customers, "customer_id", timedelta(days=7))
        assert (row["spent"], row["visits"]) == (customer.get("spent"), customer.get("visits"))
        assert row["size"] == brute_force(row, cities, "city", None).get("size")
    assert built.starts == labelled["at"].min()
    assert built.ends == labelled["at"].max() + timedelta(microseconds=1)
    assert built.fresh_from == built.ends - timedelta(days=10)
    seen = frame.filter(pl.col("asked_at") < built.fresh_from)
    assert seen.filter(pl.col("asked_at") >= built.validation_from).height == pytest.approx(seen.height * 0.2, abs=1)


def test_the_same_inputs_give_the_same_file_and_are_found_again() -> None:
    build("2024-01")
    first = training_set("2024-02-02T00:00:00+00:00")
    written = Path(first.uri).stat().st_mtime_ns
    assert training_set("2024-02-02T00:00:00+00:00") == first
    assert Path(first.uri).stat().st_mtime_ns == written
    for path in Path(first.uri).parent.iterdir():
        path.unlink()
    assert training_set("2024-02-02T00:00:00+00:00") == first  # the same bytes


def test_data_that_changed_after_the_request_are_not_trained_on_in_its_name() -> None:
    as_of = "2024-03-01T00:00:00+00:00"
    requested = data_version([DatasetSnapshot.model_validate(build("2024-01"))])
    first = training_set(as_of, data_version=requested)
    assert first.data_version == requested
    build("2024-02")
    assert training_set(as_of).rows > first.rows
    with pytest.raises(PolicyError, match="the data changed after the request"):
        training_set(as_of, data_version=requested)


def test_too_few_labels_are_an_error() -> None:
    with pytest.raises(DataError, match="has no batch with features"):
        training_set("2024-02-02T00:00:00+00:00")
    build("2024-01")
    with pytest.raises(DataError, match="has no batch with features"):  # as_of: nobody knew the batch yet
        training_set("2024-01-02T00:00:00+00:00")


def test_too_few_fresh_rows_are_an_error(tmp_path: Path) -> None:
    path = tmp_path / "use_cases" / "shop" / "use_case.py"
    path.write_text(path.read_text().replace("minimum_rows=50", "minimum_rows=5000"))
    shop.forget()
    build("2024-01")
    with pytest.raises(DataError, match="the gate needs 5000"):
        training_set("2024-02-02T00:00:00+00:00")


def test_retrieval_for_scoring_is_that_of_training() -> None:
    build("2024-01")
    built = training_set("2024-02-02T00:00:00+00:00")
    spine = Lake(settings().lake, "shop").scan("spine").collect().sample(200, seed=1, shuffle=True)
    scored = retrieve(parts("shop").use_case, spine)
    assert scored.select(spine.columns).equals(spine)
    assert scored.columns == [*spine.columns, "spent", "visits", "size"]
    keys = ["customer_id", "city", "asked_at", "basket"]
    trained = pl.read_parquet(built.uri)
    both = scored.join(trained, on=keys, how="inner", nulls_equal=True, suffix="_trained")
    assert both.height > 50
    for name in ("spent", "visits", "size"):
        assert both[name].equals(both[f"{name}_trained"])


def test_an_input_that_comes_twice_is_refused() -> None:
    use_case = parts("shop").use_case
    store = open_store(use_case)
    assert inputs(store, use_case) == ("city", "basket", "spent", "visits", "size")
    with pytest.raises(PolicyError, match="spent comes from spine and service"):
        inputs(store, use_case.model_copy(update={"request_features": ("spent",)}))
    with pytest.raises(PolicyError, match="categorical"):
        inputs(store, use_case.model_copy(update={"categorical": ("colour",)}))
