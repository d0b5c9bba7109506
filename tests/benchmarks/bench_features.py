"""How long features take: Feast's import, the point-in-time join beside plain Polars, bringing values online.

    python -m tests.benchmarks.bench_features
    python -m tests.benchmarks.bench_features --entities 1000000 --rows 5000000 --keys 100000

Each line gives wall-clock seconds, CPU seconds, and the highest memory of the process so far.
"""

import argparse
import contextlib
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

START = datetime(2013, 1, 1, tzinfo=UTC)
SPAN = timedelta(days=90)
TTL = timedelta(days=7)
FEATURES = [f"f{n}" for n in range(5)]


def main(argv: list[str] | None = None) -> None:
    """Run all measurements and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--entities", type=int, default=100_000, help="entity rows to join to")
    parser.add_argument("--rows", type=int, default=500_000, help="feature rows in the view")
    parser.add_argument("--keys", type=int, default=3_300, help="different keys")
    parser.add_argument("--online", type=int, default=3_300, help="most keys to bring online; 0 leaves it out")
    given = parser.parse_args(argv)
    for lean in (False, True):
        measure_import(lean)
    with tempfile.TemporaryDirectory() as folder:
        features, entities = data(given.rows, given.keys, 0), data(given.entities, given.keys, 1).select("key", "time")
        store = open_store(Path(folder), features)
        with measured(f"plain Polars, {given.entities:,} x {given.rows:,}"):
            expected = plain(Path(folder), entities)
        frame = entities.rename({"time": "event_timestamp"}).to_pandas(use_pyarrow_extension_array=True)
        with measured(f"get_historical_features, {given.entities:,} x {given.rows:,}"):
            references = [f"view:{name}" for name in FEATURES]
            found = pl.DataFrame(pl.from_arrow(store.get_historical_features(frame, references).to_arrow()))
        if not found.select(FEATURES).equals(expected.select(FEATURES)):
            raise SystemExit("the two joins differ")
        if 0 < given.keys <= given.online:
            quiet = contextlib.redirect_stdout(io.StringIO())
            with measured(f"materialize, {given.keys:,} keys x {len(FEATURES)} features"), quiet:
                store.materialize(START, START + SPAN)


@contextlib.contextmanager
def measured(title: str) -> Iterator[None]:
    """Print what the block used."""
    began, used = time.perf_counter(), time.process_time()
    yield
    report(title, time.perf_counter() - began, time.process_time() - used, resource.RUSAGE_SELF)


def report(title: str, seconds: float, cpu: float, who: int) -> None:
    """Print one line."""
    peak = resource.getrusage(who).ru_maxrss / 1024
    print(f"{title:<52} {seconds:7.2f} s  {cpu:7.2f} CPU-s  {peak:7.0f} MB", flush=True)


def measure_import(lean: bool) -> None:
    """Import Feast in a process of its own."""
    module = "include.features.lean" if lean else "feast"
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([sys.executable, "-c", f"import {module}"], check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    report(f"import {module}", time.perf_counter() - began, cpu, resource.RUSAGE_CHILDREN)


def data(count: int, keys: int, seed: int) -> pl.DataFrame:
    """Rows at random keys and times, with five numbers, in the order of time."""
    rng = np.random.default_rng(seed)
    micros = np.sort(rng.integers(0, int(SPAN.total_seconds() * 1e6), count))
    time = pl.Series("time", micros + int(START.timestamp() * 1e6)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    columns = {"key": rng.integers(0, keys, count), "time": time}
    return pl.DataFrame(columns | {name: rng.normal(size=count) for name in FEATURES})


def open_store(folder: Path, features: pl.DataFrame) -> Any:
    """A Feast store with one view over a Delta table in three batches."""
    import include.features.lean  # noqa: F401, I001  (before feast)
    from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.data_format import DeltaFormat
    from feast.types import Float64

    from include.lake import Lake

    for number, part in enumerate(np.array_split(np.arange(features.height), 3)):
        rows = features.slice(int(part[0]), len(part)).to_arrow(compat_level=pl.CompatLevel.oldest())
        Lake(str(folder), "bench").commit("features/view", str(number), "digest", rows)
    source = FileSource(name="view", path="bench/features/view", timestamp_field="time", file_format=DeltaFormat())
    entity = Entity(name="key", value_type=ValueType.INT64)
    schema = [Field(name=name, dtype=Float64) for name in FEATURES]
    store = FeatureStore(
        config=RepoConfig(
            project="bench",
            provider="local",
            registry={"registry_type": "sql", "path": f"sqlite:///{folder / 'registry.db'}"},
            offline_store={"type": "include.features.offline_store.DeltaOfflineStore", "lake": str(folder)},
            online_store={"type": "sqlite", "path": str(folder / "online.db")},
            entity_key_serialization_version=3,
            materialization={"pull_latest_features": True, "online_write_batch_size": 10_000},
        )
    )
    store.apply([entity, FeatureView(name="view", entities=[entity], ttl=TTL, schema=schema, source=source)])
    return store


def plain(folder: Path, entities: pl.DataFrame) -> pl.DataFrame:
    """The same join without Feast: read all, sort, join."""
    rows = pl.scan_delta(str(folder / "bench" / "features" / "view")).collect().sort("time")
    left = entities.with_row_index().sort("time")
    joined = left.join_asof(rows, on="time", by="key", strategy="backward", tolerance=TTL, check_sortedness=False)
    return joined.sort("index")


if __name__ == "__main__":
    main()
