"""Months of flights for tests: cut from the package once a process."""

from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pyarrow as pa

from include.ingestion.zone import LandingZone
from include.use_cases.flights import source
from include.use_cases.flights.upstream import write_month

MONTHS = tuple(f"2013-{month:02}" for month in range(1, 13))
STARTS = datetime(2013, 1, 1, 5, tzinfo=UTC)
ENDS = datetime(2013, 2, 1, 5, tzinfo=UTC)


@lru_cache(maxsize=12)
def tables(month: str) -> dict[str, pa.Table]:
    """The raw tables of a month, through the landing zone and the Source."""
    with TemporaryDirectory() as landing:
        write_month(month, landing)
        batch = next(iter(source.batches(LandingZone(landing))))
        return source.read({name: Path(uri) for name, uri in batch.files.items()})


def frames(*months: str) -> dict[str, pl.LazyFrame]:
    """The raw tables of some months, lazily."""
    found = [tables(month) for month in months]
    return {name: pl.concat([pl.DataFrame(each[name]) for each in found]).lazy() for name in found[0]}
