"""What must hold of a month of flights before anything is built on it (Great Expectations)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import great_expectations.expectations as gxe

from include.use_cases.flights.features import ZONES
from include.use_cases.flights.source import SCHEMAS

MINIMUM_A_DAY = {"flights": 500, "weather": 48}
"""Rows a day; 2013 had at least 628 flights and, but for the last day, 63 observations."""

ORIGINS = ["EWR", "JFK", "LGA"]
Expectations = dict[str, list[Any]]


def raw(starts: datetime, ends: datetime) -> Expectations:
    """Expectations on the raw tables of the month [starts, ends)."""
    days = round((ends - starts) / timedelta(days=1))
    return {
        "flights": [*_table("flights", MINIMUM_A_DAY["flights"] * days), *_flights(starts, ends)],
        "weather": [*_table("weather", MINIMUM_A_DAY["weather"] * days), *_weather(starts, ends)],
        "planes": [*_table("planes", 1_000), *_planes(ends)],
        "airports": [*_table("airports", 100), *_airports()],
    }


def features(starts: datetime, ends: datetime) -> Expectations:
    """Expectations on the spine and the feature views of the month [starts, ends)."""
    days = round((ends - starts) / timedelta(days=1))
    flights = MINIMUM_A_DAY["flights"] * days
    return {
        "spine": [
            _rows(flights),
            *_filled("flight_id", "origin", "carrier", "route", "tailnum", "scheduled_departure", "scheduled_duration"),
            gxe.ExpectColumnValuesToBeUnique(column="flight_id"),
            _during("scheduled_departure", starts, ends),
            _between("scheduled_duration", 20, 900),
            _between("day_of_week", 1, 7),
            gxe.ExpectColumnValuesToBeInSet(column="late", value_set=[0, 1]),
            gxe.ExpectColumnValuesToNotBeNull(column="late", mostly=0.8),
            gxe.ExpectColumnMeanToBeBetween(column="late", min_value=0.03, max_value=0.7),
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A="label_time", column_B="scheduled_departure", ignore_row_if="either_value_is_missing"
            ),
        ],
        "flights_weather": _view("origin", MINIMUM_A_DAY["weather"] * days, starts, ends, "temp", "precip", "visib"),
        "flights_plane": _view("tailnum", 1_000, starts, ends, "seats", "engines", "manufacturer"),
        "flights_tail": _view("tailnum", flights // 2, starts, ends, "tail_arrival_delay"),
        "flights_route": [
            *_view("route", flights // 2, starts, ends, "route_late_share_7d"),
            *_shares("route_late_share_24h", "route_late_share_7d"),
        ],
        "flights_carrier": [
            *_view("carrier", flights // 2, starts, ends, "carrier_late_share_7d"),
            *_shares("carrier_late_share_24h", "carrier_late_share_7d"),
        ],
        "flights_origin": [
            *_view("origin", flights // 2, starts, ends, "origin_waiting"),
            *_shares("origin_late_share_2h", "origin_late_share_24h"),
            _between("origin_waiting", 0, 500),
        ],
    }


def _flights(starts: datetime, ends: datetime) -> Iterable[Any]:
    timetable = ("sched_dep_time", "sched_arr_time", "carrier", "flight", "origin", "dest", "distance", "time_hour")
    yield from _filled("year", "month", "day", "hour", "minute", *timetable)
    for column in ("tailnum", "dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"):
        yield gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=0.8)
    yield _during("time_hour", starts, ends)
    yield gxe.ExpectCompoundColumnsToBeUnique(column_list=["year", "month", "day", "carrier", "flight", "origin"])
    yield gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=ORIGINS)
    yield from _texts({"carrier": 2, "dest": 3, "tailnum": 6})
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column="carrier", min_value=2, max_value=50)
    yield gxe.ExpectColumnUniqueValueCountToBeBetween(column="dest", min_value=10, max_value=500)
    for column in ("sched_dep_time", "sched_arr_time", "dep_time", "arr_time"):
        yield _between(column, 0, 2400)
    yield _between("minute", 0, 59)
    yield _between("distance", 10, 6_000)
    yield _between("air_time", 10, 1_000)
    yield _between("dep_delay", -120, 2_880)
    yield _between("arr_delay", -180, 2_880)
    for column in ("dep_delay", "arr_delay"):
        yield gxe.ExpectColumnMeanToBeBetween(column=column, min_value=-30, max_value=90)
    yield gxe.ExpectColumnMeanToBeBetween(column="distance", min_value=300, max_value=2_000)


def _weather(starts: datetime, ends: datetime) -> Iterable[Any]:
    yield from _filled("origin", "time_hour", "hour")
    yield gxe.ExpectColumnValuesToBeInSet(column="origin", value_set=ORIGINS)
    yield gxe.ExpectCompoundColumnsToBeUnique(column_list=["origin", "time_hour"])
    yield _during("time_hour", starts, ends)
    for column in ("temp", "dewp", "humid", "wind_dir", "wind_speed", "precip", "pressure", "visib"):
        yield gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=0.7)
    yield _between("temp", -40, 130)
    yield _between("dewp", -60, 100)
    yield _between("humid", 0, 100)
    yield _between("wind_dir", 0, 360)
    yield _between("wind_speed", 0, 150, mostly=0.99)  # one reading of 1,048 mph is known, and no reason to stop
    yield gxe.ExpectColumnMeanToBeBetween(column="wind_speed", min_value=1, max_value=40)
    yield _between("precip", 0, 5)
    yield _between("pressure", 900, 1_100)
    yield _between("visib", 0, 20)


def _planes(ends: datetime) -> Iterable[Any]:
    yield from _filled("tailnum", "manufacturer", "engines", "seats", "snapshot")
    yield gxe.ExpectColumnValuesToBeUnique(column="tailnum")
    yield from _texts({"tailnum": 6, "manufacturer": 100})
    yield _between("year", 1930, ends.year)
    yield gxe.ExpectColumnValuesToNotBeNull(column="year", mostly=0.9)
    yield _between("engines", 1, 8)
    yield _between("seats", 1, 900)


def _airports() -> Iterable[Any]:
    yield from _filled("faa", "lat", "lon")
    yield gxe.ExpectColumnValuesToBeUnique(column="faa")
    yield from _texts({"faa": 3})
    yield gxe.ExpectColumnValuesToBeInSet(column="tzone", value_set=list(ZONES))
    yield gxe.ExpectColumnValuesToNotBeNull(column="tzone", mostly=0.98)


def _table(name: str, rows: int) -> Iterable[Any]:
    yield _rows(rows)
    yield gxe.ExpectTableColumnsToMatchSet(column_set=SCHEMAS[name].names, exact_match=True)


def _view(key: str, rows: int, starts: datetime, ends: datetime, *filled: str) -> list[Any]:
    return [
        _rows(rows),
        *_filled(key, "event_timestamp"),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column, mostly=0.95) for column in filled),
        _during("event_timestamp", starts, ends),
        gxe.ExpectCompoundColumnsToBeUnique(column_list=[key, "event_timestamp"]),
    ]


def _rows(minimum: int) -> Any:
    return gxe.ExpectTableRowCountToBeBetween(min_value=minimum, max_value=10_000_000)


def _filled(*columns: str) -> list[Any]:
    return [gxe.ExpectColumnValuesToNotBeNull(column=column) for column in columns]


def _texts(longest: dict[str, int]) -> list[Any]:
    return [
        gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=1, max_value=length)
        for column, length in longest.items()
    ]


def _shares(*columns: str) -> list[Any]:
    return [_between(column, 0, 1) for column in columns]


def _between(column: str, least: float, most: float, mostly: float = 1.0) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=least, max_value=most, mostly=mostly)


def _during(column: str, starts: datetime, ends: datetime) -> Any:
    return gxe.ExpectColumnValuesToBeBetween(column=column, min_value=starts, max_value=ends, strict_max=True)
