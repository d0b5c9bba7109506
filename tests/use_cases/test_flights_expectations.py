"""A good month meets every expectation; each way to spoil it is found, and the column named."""

from collections.abc import Callable
from functools import cache

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from include.contracts.data import ValidationReport
from include.use_cases.flights import expectations
from include.validation.suite import judge
from tests.use_cases.flights_world import ENDS, STARTS, tables

Change = Callable[[pa.Table], pa.Table]


def put(name: str, make: Callable[[pa.ChunkedArray], pa.Array]) -> Change:
    return lambda t: t.set_column(t.column_names.index(name), name, make(t[name]))


def some(name: str, value: object, rows: int) -> Change:
    def make(column: pa.ChunkedArray) -> pa.Array:
        values = column.to_pylist()
        values[:rows] = [value] * rows
        return pa.array(values, column.type)

    return put(name, make)


@cache
def good() -> ValidationReport:
    return judge("raw", "2013-01", tables("2013-01"), expectations.raw(STARTS, ENDS))


def test_a_good_month_meets_them_all() -> None:
    assert good().success, good().failures
    assert good().evaluated == good().declared > 90
    assert good().rows == {"airports": 1_458, "flights": 27_004, "planes": 3_322, "weather": 2_226}


SPOILT: dict[str, tuple[str, Change, str]] = {
    "no rows": ("flights", lambda t: t.slice(0, 0), "expect_table_row_count_to_be_between"),
    "half the rows": ("flights", lambda t: t.slice(0, 13_000), "expect_table_row_count_to_be_between"),
    "all null": ("weather", put("temp", lambda c: pa.nulls(len(c), c.type)), "temp"),
    "nine of ten null": ("flights", some("dep_delay", None, 24_300), "dep_delay"),
    "a null key": ("flights", some("carrier", None, 1), "carrier"),
    "twice the same flight": ("flights", lambda t: pa.concat_tables([t, t.slice(0, 1)]), "year, month, day"),
    "minutes as seconds": ("flights", put("arr_delay", lambda c: pc.multiply(c, 60)), "arr_delay"),
    "distance x 100": ("flights", put("distance", lambda c: pc.multiply(c, 100)), "distance"),
    "pressure x 100": ("weather", put("pressure", lambda c: pc.multiply(c, 100.0)), "pressure"),
    "one inf": ("weather", some("wind_speed", float("inf"), 1), "every number is finite"),
    "a flight of 2099": ("flights", some("time_hour", ENDS.replace(year=2099), 1), "time_hour"),
    "a flight of next month": ("flights", some("time_hour", ENDS, 1), "time_hour"),
    "an unknown origin": ("flights", some("origin", "XXX", 1), "origin"),
    "a long text": ("flights", some("tailnum", "N" * 100_000, 1), "tailnum"),
    "a carrier a row": ("flights", put("carrier", lambda c: pa.array(map(str, range(len(c))))), "carrier"),
    "the same plane twice": ("planes", lambda t: pa.concat_tables([t, t.slice(0, 1)]), "tailnum"),
    "an unknown time zone": ("airports", some("tzone", "Mars/Base", 1), "tzone"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_spoilt_month_is_found(how: str) -> None:
    name, change, named = SPOILT[how]
    report = judge(
        "raw", "2013-01", {name: change(tables("2013-01")[name])}, {name: expectations.raw(STARTS, ENDS)[name]}
    )
    assert not report.success
    assert any(named in f"{failure.column} {failure.expectation}" for failure in report.failures), report.failures
    assert all(len(row) < 600 for failure in report.failures for row in failure.offending)
