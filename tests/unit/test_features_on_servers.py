"""From feature tables to the online store on a team's servers: ledger and registry on Postgres, values on Redis."""

import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from redis import Redis
from sqlalchemy import create_engine, text

from include import jobs
from include.contracts.errors import InfraError
from include.contracts.record import Kind
from include.features.lock import exclusive
from include.features.store import open_store
from include.lake import Lake
from include.ledger import Ledger
from include.settings import settings
from include.use_cases import parts
from tests import feature_world as shop
from tests.postgres import Postgres


@pytest.fixture(autouse=True)
def _world(tmp_path: Path, postgres: Postgres, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    Redis.from_url(redis_url).flushall()
    with shop.world(tmp_path):
        monkeypatch.setenv("EVERGREEN_LEDGER_URL", postgres.database())
        monkeypatch.setenv("EVERGREEN_FEAST_REGISTRY", postgres.database())
        monkeypatch.setenv("EVERGREEN_FEAST_ONLINE", redis_url)
        yield


def step(name: str, **arguments: Any) -> dict[str, Any]:
    return jobs.run("features", name, {"use_case": "shop", **arguments})


def end(month: str) -> str:
    return shop.MONTHS[month][1].isoformat()


def build(month: str) -> dict[str, Any]:
    snapshot = shop.ingest(month).model_dump(mode="json")
    built = step("build_features", as_of=end(month), batch=month, snapshot=snapshot)
    shop.validated(month, built["digest"])
    return built


def materialize(month: str, snapshot: dict[str, Any]) -> dict[str, Any]:
    return step("materialize", as_of=end(month), batch=month, snapshot=snapshot)


def online(*customers: int) -> list[Any]:
    store = open_store(parts("shop").use_case)
    rows = [{"customer_id": customer} for customer in customers]
    return list(store.get_online_features(["shop_customer:spent"], rows).to_dict()["spent"])


def latest(until: datetime) -> dict[int, float]:
    """The newest `spent` of each customer, by plain Polars."""
    frame = Lake(settings().lake, "shop").scan("features/shop_customer")
    assert frame is not None
    rows = frame.filter(pl.col("event_timestamp") <= until).drop_nulls("customer_id").sort("event_timestamp").collect()
    return dict(rows.group_by("customer_id").agg(pl.col("spent").last()).iter_rows())


def test_the_newest_values_are_written_and_read_back() -> None:
    written = materialize("2024-01", build("2024-01"))
    expected = latest(shop.MONTHS["2024-01"][1])
    assert written["rows"] == written["keys"] == written["checked"] == len(expected) + 3  # the customers and the cities
    assert online(*expected) == pytest.approx(list(expected.values()), abs=1e-9)
    record = Ledger.at(settings().ledger_url).newest("shop", Kind.FEATURES_MATERIALIZED)
    assert record is not None
    assert record.payload == written


def test_the_newest_value_wins_in_whatever_order_batches_come() -> None:
    first, second = build("2024-01"), build("2024-02")
    expected = latest(shop.MONTHS["2024-02"][1])
    for month, snapshot in (("2024-02", second), ("2024-01", first), ("2024-02", second)):
        materialize(month, snapshot)
        assert online(*expected) == pytest.approx(list(expected.values()), abs=1e-9), month


def test_a_value_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, redis_url: str) -> None:
    from feast import FeatureStore

    def careless(store: FeatureStore, *arguments: Any) -> None:
        write(store, *arguments)
        cache = Redis.from_url(redis_url)
        cache.delete(min(cache.keys()))

    write = FeatureStore.materialize
    monkeypatch.setattr(FeatureStore, "materialize", careless)
    built = build("2024-01")
    with pytest.raises(InfraError, match=r"shop_(city: 2 of 3|customer: 38 of 39) keys are online"):
        materialize("2024-01", built)


def test_training_and_registry_use_the_servers_and_leave_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_LINEAGE", "off")
    materialize("2024-01", build("2024-01"))
    built = step("build_training_set", as_of="2024-02-02T00:00:00+00:00", request="r")
    assert built["rows"] > 0
    with create_engine(settings().feast_registry).connect() as connection:
        assert connection.execute(text("select count(*) from feature_views")).scalar() == 2
    left = {path.name for path in (tmp_path / "home").iterdir()}
    assert left == {"lake", "artifacts"}  # no database, no lock: those are on the servers


@pytest.mark.parametrize("name", ["feast_registry", "feast_online.shop"])
def test_who_writes_elsewhere_is_waited_for(name: str) -> None:
    built, ledger = build("2024-01"), Ledger.at(settings().ledger_url)
    here = threading.Thread(target=materialize, args=["2024-01", built])
    with exclusive(name):
        here.start()
        here.join(3)
        assert here.is_alive()
        assert ledger.newest("shop", Kind.FEATURES_MATERIALIZED) is None
    here.join(60)
    assert ledger.newest("shop", Kind.FEATURES_MATERIALIZED) is not None
