"""A small use case in a temporary folder, for tests of the features: a shop, its customers, three months."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import include.use_cases
from include.contracts.data import DatasetSnapshot
from include.contracts.digest import digest_of
from include.contracts.record import Kind, Record
from include.lake import Lake
from include.ledger import Ledger
from include.settings import PROJECT, settings

MONTHS = {
    "2024-01": (datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)),
    "2024-02": (datetime(2024, 2, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)),
    "2024-03": (datetime(2024, 3, 1, tzinfo=UTC), datetime(2024, 4, 1, tzinfo=UTC)),
}
CUSTOMERS = 40
VISITS = 600

USE_CASE = """
from datetime import timedelta
from include.contracts.use_case import BinaryClassification, Cadence, Gate, UseCase

USE_CASE = UseCase(
    name="shop",
    owner="shop",
    description="Will this visit end with a purchase?",
    task=BinaryClassification(label="bought"),
    entity_keys=("customer_id", "city"),
    event_time="asked_at",
    cadence=Cadence.MONTHLY,
    feature_service="shop_v1",
    request_features=("city", "basket"),
    categorical=("city",),
    gate=Gate(fresh=timedelta(days=10), minimum_rows=50),
)
"""

FEATURES = """
from collections.abc import Mapping
from datetime import datetime, timedelta
import polars as pl

LOOKBACK = timedelta(days=7)

def build(tables: Mapping[str, pl.LazyFrame], as_of: datetime) -> dict[str, pl.LazyFrame]:
    visits = tables["visits"].sort("customer_id", "at")
    paid = visits.select("customer_id", "amount", event_timestamp=pl.col("at") + pl.duration(hours=6))
    return {
        "spine": visits.select(
            "customer_id", "city", asked_at="at", basket="basket", bought="bought",
            label_time=pl.col("at") + pl.duration(days=1),
        ),
        "shop_customer": paid.with_columns(
            spent=pl.col("amount").rolling_sum_by("event_timestamp", window_size="7d").over("customer_id"),
            visits=pl.col("amount").is_not_null().cast(pl.Int64).cum_sum().over("customer_id"),
        ),
        "shop_city": tables["cities"].select("city", "size", event_timestamp="at"),
    }
"""

REPO = """
from datetime import timedelta
from feast import Entity, FeatureService, FeatureView, Field, FileSource, ValueType
from feast.data_format import DeltaFormat
from feast.types import Float64, Int64, String

customer = Entity(name="customer", join_keys=["customer_id"], value_type=ValueType.INT64)
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)

def source(view):
    return FileSource(
        name=view, path=f"shop/features/{view}", timestamp_field="event_timestamp", file_format=DeltaFormat()
    )

shop_customer = FeatureView(
    name="shop_customer",
    entities=[customer],
    ttl=timedelta(days=7),
    schema=[Field(name="spent", dtype=Float64), Field(name="visits", dtype=Int64)],
    source=source("shop_customer"),
)
shop_city = FeatureView(
    name="shop_city",
    entities=[city],
    ttl=timedelta(0),
    schema=[Field(name="size", dtype=String)],
    source=source("shop_city"),
)
shop_v1 = FeatureService(name="shop_v1", features=[shop_customer, shop_city])
"""


@contextmanager
def world(folder: Path) -> Iterator[Path]:
    """Settings, use case and feature repository below `folder`; the use case is found by its name."""
    cases, repo = folder / "use_cases", folder / "feature_repo"
    for path, text in {
        cases / "shop" / "__init__.py": "",
        cases / "shop" / "use_case.py": USE_CASE,
        cases / "shop" / "features.py": FEATURES,
        cases / "shop" / "source.py": "",
        cases / "shop" / "expectations.py": "",
        repo / "shop.py": REPO,
        repo / "feature_store.yaml": (PROJECT / "feature_repo" / "feature_store.yaml").read_text(),
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKE", "ARTIFACTS", "LEDGER_URL", "FEAST_REGISTRY", "FEAST_ONLINE"):
            patch.delenv(f"EVERGREEN_{name}", raising=False)
        patch.setenv("EVERGREEN_HOME", str(folder / "home"))
        patch.setenv("EVERGREEN_FEATURE_REPO", str(repo))
        patch.setattr(sys.modules["include.use_cases.catalogue"], "FOLDER", cases)
        patch.setattr(include.use_cases, "__path__", [*include.use_cases.__path__, str(cases)])
        forget()
        yield folder
        forget()


def forget() -> None:
    """Let the use case be imported anew."""
    for name in [name for name in sys.modules if name.startswith("include.use_cases.shop")]:
        del sys.modules[name]


def visits(month: str, seed: int = 0) -> pl.DataFrame:
    """Visits of a month: some customers are unknown, the last days have no label yet."""
    starts, ends = MONTHS[month]
    rng = np.random.default_rng([seed, int(month[-2:])])
    seconds = np.sort(rng.integers(0, int((ends - starts).total_seconds()), VISITS))
    customers = [None if c == 0 else int(c) for c in rng.integers(0, CUSTOMERS, VISITS)]
    return pl.DataFrame(
        {
            "customer_id": customers,
            "city": [None if c % 17 == 0 else f"city-{c % 3}" for c in range(VISITS)],
            "at": [starts + timedelta(seconds=int(s)) for s in seconds],
            "basket": rng.integers(1, 9, VISITS),
            "amount": rng.normal(20, 5, VISITS),
            "bought": [None if b == 2 else int(b) for b in rng.integers(0, 3, VISITS)],
        },
        schema_overrides={"at": pl.Datetime("us", "UTC"), "customer_id": pl.Int64, "bought": pl.Int64},
    )


def cities(month: str) -> pl.DataFrame:
    """What is known of the cities from the first of the month on."""
    names = [f"city-{n}" for n in range(3)]
    return pl.DataFrame(
        {"city": names, "size": [f"{name} in {month}" for name in names], "at": [MONTHS[month][0]] * 3},
        schema_overrides={"at": pl.Datetime("us", "UTC")},
    )


def ingest(month: str, seed: int = 0) -> DatasetSnapshot:
    """Commit the raw tables of a month and say so in the ledger, as ingestion does."""
    lake = Lake(settings().lake, "shop")
    digest = digest_of([month, seed])
    tables = {"raw/visits": visits(month, seed), "raw/cities": cities(month)}
    versions = [lake.commit(name, month, digest, frame.to_arrow()) for name, frame in tables.items()]
    starts, ends = MONTHS[month]
    snapshot = DatasetSnapshot(batch=month, starts=starts, ends=ends, tables=tuple(versions), digest=digest)
    record = Record(
        use_case="shop",
        kind=Kind.BATCH_COMMITTED,
        key=f"{month}@{digest[:12]}",
        as_of=ends,
        payload=snapshot.model_dump(mode="json"),
    )
    Ledger.at(settings().ledger_url).append(record)
    return snapshot


def validated(month: str, digest: str) -> None:
    """Put on record that the month's features passed their expectations."""
    key = f"features/{month}@{digest[:12]}"
    record = Record(use_case="shop", kind=Kind.BATCH_VALIDATED, key=key, as_of=MONTHS[month][1], payload={})
    Ledger.at(settings().ledger_url).append(record)
