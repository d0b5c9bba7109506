"""The features of `flights`: pure functions from raw tables to frames, each row stamped with when it is known.

Three instants matter. A flight's prediction is asked at its *scheduled departure*. That it *left*, and how late, is
known from its actual departure on, at the earliest a minute after the scheduled one, so that a flight that leaves
early never speaks for itself. That it *landed*, and how late, is known from the landing on.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import polars as pl

from include.use_cases.flights.use_case import USE_CASE
from include.use_cases.flights.windows import ROLLING, rolling

LOOKBACK = timedelta(days=9)
"""The longest window (7 days) and the longest way from scheduled departure to landing (33 hours in 2013)."""

LATE_MINUTES = 15
LONGEST_WAIT = timedelta(hours=3)
"""A flight that has not left by then no longer counts as waiting: it may be cancelled, and nobody says when."""

TIME = pl.Datetime("us", "UTC")
HOME_ZONE = "America/New_York"
MISSING_ZONES = {
    "BQN": "America/Puerto_Rico",
    "PSE": "America/Puerto_Rico",
    "SJU": "America/Puerto_Rico",
    "STT": "America/St_Thomas",
}
"""Destinations that the register of airports does not have."""

ZONES = (
    HOME_ZONE,
    "America/Chicago",
    "America/Denver",
    "America/Phoenix",
    "America/Los_Angeles",
    "America/Anchorage",
    "America/Vancouver",
    "America/Puerto_Rico",
    "America/St_Thomas",
    "Asia/Chongqing",
    "Pacific/Honolulu",
)
"""Time zones that an airport may have."""


def build(tables: Mapping[str, pl.LazyFrame], as_of: datetime) -> dict[str, pl.LazyFrame]:
    """The spine and the feature views.

    Args:
        tables: `flights`, `weather`, `planes`, `airports` as `source.py` declares them.
        as_of: Nothing that became known later is in a feature view.
    """
    flights = with_instants(tables["flights"], tables["airports"])
    views = {
        "flights_weather": weather(tables["weather"]),
        "flights_plane": planes(tables["planes"]),
        "flights_tail": tails(flights),
        "flights_route": rolling(landings(flights), "route", ROLLING["route"]),
        "flights_carrier": rolling(landings(flights), "carrier", ROLLING["carrier"]),
        "flights_origin": origins(flights),
    }
    known = pl.col("event_timestamp") <= pl.lit(as_of, TIME)
    return {"spine": spine(flights), **{name: view.filter(known) for name, view in views.items()}}


def with_instants(flights: pl.LazyFrame, airports: pl.LazyFrame) -> pl.LazyFrame:
    """Flights with keys and instants in UTC: `scheduled_departure`, `scheduled_arrival`, `left`, `landed`."""
    zones = airports.select(dest="faa", zone="tzone").unique("dest", keep="first", maintain_order=True)
    departure = pl.col("scheduled_departure")
    return (
        flights.join(zones, on="dest", how="left", maintain_order="left")
        .with_columns(
            zone=pl.coalesce(
                pl.col("dest").replace_strict(MISSING_ZONES, default=None, return_dtype=pl.String), "zone"
            ),
            scheduled_departure=pl.col("time_hour").cast(TIME) + pl.duration(minutes="minute"),
            tailnum=pl.col("tailnum").fill_null("unknown"),
            route=pl.concat_str("origin", "dest", separator="-"),
            flight_id=pl.concat_str(
                pl.date("year", "month", "day").cast(pl.String), "carrier", "flight", "origin", separator="-"
            ),
        )
        .with_columns(scheduled_arrival=_next_clock(departure, pl.col("sched_arr_time"), pl.col("zone")))
        .with_columns(
            left=departure + pl.duration(minutes=pl.col("dep_delay").clip(lower_bound=1)),
            landed=pl.col("scheduled_arrival") + pl.duration(minutes="arr_delay"),
        )
    )


def _next_clock(departure: pl.Expr, clock: pl.Expr, zone: pl.Expr) -> pl.Expr:
    """First instant after `departure` at which the clocks of `zone` show `clock` (hours x 100 + minutes)."""
    minutes = clock // 100 * 60 + clock % 100
    arrival = pl.lit(None, TIME)
    for name in ZONES:
        local = departure.dt.convert_time_zone(name).dt.replace_time_zone(None)
        today = local.dt.truncate("1d") + pl.duration(minutes=minutes)
        wall = pl.when(today > local).then(today).otherwise(today + pl.duration(days=1))
        instant = wall.dt.replace_time_zone(name, ambiguous="earliest", non_existent="null")
        arrival = pl.when(zone == name).then(instant.dt.convert_time_zone("UTC")).otherwise(arrival)
    return arrival


def spine(flights: pl.LazyFrame) -> pl.LazyFrame:
    """One row a flight: keys, the instant of the prediction, what is known by the timetable, the label."""
    local = pl.col("scheduled_departure").dt.convert_time_zone(HOME_ZONE)
    landed = pl.col("landed").is_not_null()
    return flights.select(
        *USE_CASE.entity_keys,
        "scheduled_departure",
        "dest",
        pl.col("distance").cast(pl.Float64),
        scheduled_duration=_minutes(pl.col("scheduled_arrival") - pl.col("scheduled_departure")),
        departure_minute=pl.col("hour") * 60 + pl.col("minute"),
        arrival_minute=pl.col("sched_arr_time") // 100 * 60 + pl.col("sched_arr_time") % 100,
        day_of_week=local.dt.weekday().cast(pl.Int64),
        late=pl.when(landed).then((pl.col("arr_delay") > LATE_MINUTES).cast(pl.Int64)),
        label_time=pl.col("landed") + USE_CASE.label_delay,
    )


def weather(weather: pl.LazyFrame) -> pl.LazyFrame:
    """The observation of an hour at an origin, known when the hour is over."""
    speed = pl.col("wind_speed")
    return weather.select(
        "origin",
        "temp",
        "dewp",
        "humid",
        "wind_dir",
        wind_speed=pl.when(speed < 150).then(speed),  # February 2013 has 1,048 mph at Newark
        wind_gust=pl.col("wind_gust").fill_null(0.0),
        precip="precip",
        pressure="pressure",
        visib="visib",
        event_timestamp=pl.col("time_hour").cast(TIME) + pl.duration(hours=1),
    )


def planes(planes: pl.LazyFrame) -> pl.LazyFrame:
    """What the register says about a plane, known from the day of the copy on."""
    maker = pl.col("manufacturer")
    return planes.select(
        "tailnum",
        age=(pl.col("snapshot").dt.year() - pl.col("year")).cast(pl.Float64),
        seats=pl.col("seats").cast(pl.Float64),
        engines=pl.col("engines").cast(pl.Float64),
        manufacturer=pl.when(maker.str.starts_with("AIRBUS"))
        .then(pl.lit("AIRBUS"))
        .when(maker.str.starts_with("MCDONNELL"))
        .then(pl.lit("MCDONNELL DOUGLAS"))
        .otherwise(maker),
        event_timestamp=pl.col("snapshot").cast(TIME),
    )


def landings(flights: pl.LazyFrame) -> pl.LazyFrame:
    """One event a landing."""
    return flights.filter(pl.col("landed").is_not_null()).select(
        "origin",
        "carrier",
        "route",
        "tailnum",
        "flight_id",
        event_timestamp="landed",
        late=(pl.col("arr_delay") > LATE_MINUTES).cast(pl.Float64),
        arrival_delay=pl.col("arr_delay").cast(pl.Float64),
    )


def departures(flights: pl.LazyFrame) -> pl.LazyFrame:
    """One event a departure."""
    return flights.filter(pl.col("left").is_not_null()).select(
        "origin", "carrier", "flight_id", event_timestamp="left", departure_delay=pl.col("dep_delay").cast(pl.Float64)
    )


def queue(flights: pl.LazyFrame) -> pl.LazyFrame:
    """One event of +1 where a flight is overdue by a minute, one of -1 where it leaves or has waited too long."""
    overdue = pl.col("scheduled_departure") + pl.duration(minutes=1)
    gone = pl.min_horizontal("left", pl.col("scheduled_departure") + LONGEST_WAIT)
    both = flights.select("origin", "flight_id", overdue=overdue, gone=gone)
    waited = both.filter(pl.col("gone") > pl.col("overdue"))
    keys = ("origin", "flight_id")
    return pl.concat(
        [
            waited.select(*keys, event_timestamp="overdue", change=pl.lit(1.0)),
            waited.select(*keys, event_timestamp="gone", change=pl.lit(-1.0)),
        ]
    )


def origins(flights: pl.LazyFrame) -> pl.LazyFrame:
    """Lateness of the flights from an origin: landed, left, and waiting to leave."""
    events = pl.concat([landings(flights), departures(flights), queue(flights)], how="diagonal")
    change = pl.col("change").fill_null(0.0)
    level = events.sort("origin", "event_timestamp", "flight_id").with_columns(waiting=change.cum_sum().over("origin"))
    return rolling(level, "origin", ROLLING["origin"])


def tails(flights: pl.LazyFrame) -> pl.LazyFrame:
    """How the plane's last flight from here went, known when it landed."""
    return (
        landings(flights)
        .filter(pl.col("tailnum") != "unknown")
        .sort("tailnum", "event_timestamp", "flight_id")
        .unique(["tailnum", "event_timestamp"], keep="last", maintain_order=True)
        .select("tailnum", "event_timestamp", tail_arrival_delay="arrival_delay")
    )


def _minutes(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_minutes().cast(pl.Float64)
