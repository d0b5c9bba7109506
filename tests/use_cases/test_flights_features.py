"""No feature row uses a flight that landed later: by brute force, and by changing the future."""

from datetime import UTC, datetime, timedelta
from functools import cache
from statistics import fmean
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from include.use_cases.flights import features
from include.use_cases.flights.use_case import USE_CASE
from include.use_cases.flights.windows import ROLLING, Window
from tests.use_cases.flights_world import MONTHS, frames

FUTURE = datetime(2020, 1, 1, tzinfo=UTC)
NEW_YORK = ZoneInfo("America/New_York")
HOURS = {"2h": 2, "24h": 24, "7d": 168}
KEYS = {"flights_route": "route", "flights_carrier": "carrier", "flights_origin": "origin"}
Flight = dict[str, object]


@cache
def january() -> dict[str, pl.DataFrame]:
    return {name: frame.collect() for name, frame in features.build(frames("2013-01"), FUTURE).items()}


def next_clock(departure: datetime, clock: int, zone: ZoneInfo) -> datetime:
    """Minute by minute, as a person would."""
    instant = departure + timedelta(minutes=1)
    while (local := instant.astimezone(zone)).hour * 100 + local.minute != clock % 2400:
        instant += timedelta(minutes=1)
    return instant


@cache
def flights() -> list[Flight]:
    """January's flights with their instants, computed without the code under test."""
    raw = frames("2013-01")
    zones = dict(raw["airports"].select("faa", "tzone").collect().iter_rows())
    zones |= {"SJU": "America/Puerto_Rico", "BQN": "America/Puerto_Rico", "PSE": "America/Puerto_Rico"}
    zones |= {"STT": "America/St_Thomas"}
    found = []
    for row in raw["flights"].collect().iter_rows(named=True):
        hour, minute = divmod(row["sched_dep_time"], 100)
        departure = datetime(row["year"], row["month"], row["day"], hour, minute, tzinfo=NEW_YORK).astimezone(UTC)
        arrival = next_clock(departure, row["sched_arr_time"], ZoneInfo(zones[row["dest"]]))
        found.append(row | {"route": f"{row['origin']}-{row['dest']}", "departure": departure, "arrival": arrival})
    return found


@cache
def events() -> list[Flight]:
    """What becomes known, and when."""
    found: list[Flight] = []
    for row in flights():
        keys = {key: row[key] for key in KEYS.values()}
        departure, delay = row["departure"], row["dep_delay"]
        overdue, given_up = departure + timedelta(minutes=1), departure + timedelta(hours=3)
        if row["arr_delay"] is not None:
            landed = row["arrival"] + timedelta(minutes=row["arr_delay"])
            late = float(row["arr_delay"] > 15)
            found.append(keys | {"time": landed, "late": late, "arrival_delay": float(row["arr_delay"])})
        left = None if delay is None else max(departure + timedelta(minutes=delay), overdue)
        if left:
            found.append(keys | {"time": left, "departure_delay": float(delay)})
        gone = min(left or given_up, given_up)
        if gone > overdue:
            found += [keys | {"time": overdue}, keys | {"time": gone}]
            found[-2]["waits"] = (overdue, gone)
    return found


@cache
def concerning(key: str, value: object, asked: datetime) -> list[Flight]:
    """What was known of `value` when it was asked; only origins have departures and waiting."""
    known = [event for event in events() if event[key] == value and event["time"] <= asked]
    return known if key == "origin" else [event for event in known if "late" in event]


def by_hand(window: Window, key: str, value: object, asked: datetime) -> float | None:
    """One rolling feature for one prediction, from the definition."""
    concerned = concerning(key, value, asked)
    row = max(event["time"] for event in concerned)
    if window.name == "origin_waiting":
        waits = [event["waits"] for event in concerned if "waits" in event]
        return float(sum(begin <= row < end for begin, end in waits))
    first = row - timedelta(hours=HOURS[window.length])
    seen = [event[window.event] for event in concerned if window.event in event and first < event["time"] <= row]
    if window.how == "count":
        return float(len(seen))
    return fmean(seen) if seen else None


@pytest.mark.parametrize("view", sorted(KEYS))
def test_rolling_features_are_those_of_a_person_with_a_clock(view: str) -> None:
    key, built = KEYS[view], january()
    asked = built["spine"].filter(pl.col("scheduled_departure") > datetime(2013, 1, 9, tzinfo=UTC))
    sample = asked.sample(12, seed=7).sort("scheduled_departure")
    joined = sample.join_asof(
        built[view].sort("event_timestamp"),
        left_on="scheduled_departure",
        right_on="event_timestamp",
        by=key,
        check_sortedness=False,
    )
    for row in joined.iter_rows(named=True):
        for window in ROLLING[key]:
            expected = by_hand(window, key, row[key], row["scheduled_departure"])
            assert row[window.name] == (None if expected is None else pytest.approx(expected)), window.name


def test_arrival_is_the_first_instant_after_departure_with_that_clock() -> None:
    spine = dict(january()["spine"].select("flight_id", "scheduled_duration").iter_rows())
    for row in flights()[::13]:
        flight = f"{row['year']}-{row['month']:02}-{row['day']:02}-{row['carrier']}-{row['flight']}-{row['origin']}"
        assert spine[flight] == (row["arrival"] - row["departure"]).total_seconds() / 60


@pytest.mark.parametrize(
    ("departure", "clock", "zone", "expected"),
    [
        ("2013-11-03T03:59:00+00:00", 230, "America/New_York", "2013-11-03T07:30:00+00:00"),  # the clocks go back
        ("2013-03-10T04:59:00+00:00", 330, "America/New_York", "2013-03-10T07:30:00+00:00"),  # and forth
        ("2013-07-01T14:00:00+00:00", 1000, "Pacific/Honolulu", "2013-07-01T20:00:00+00:00"),
    ],
)
def test_arrival_over_a_change_of_clocks(departure: str, clock: int, zone: str, expected: str) -> None:
    raw = frames("2013-01")
    begins = datetime.fromisoformat(departure)
    minute = pl.lit(begins.minute, pl.Int64)
    one = (
        raw["flights"]
        .head(1)
        .with_columns(
            time_hour=pl.lit(begins.replace(minute=0)),
            minute=minute,
            sched_arr_time=pl.lit(clock, pl.Int64),
            dest=pl.lit("X"),
        )
    )
    airport = raw["airports"].head(1).with_columns(faa=pl.lit("X"), tzone=pl.lit(zone))
    found = features.with_instants(one, airport).select("scheduled_arrival").collect().item()
    assert found == datetime.fromisoformat(expected)


def test_nothing_about_a_flight_is_known_at_its_own_scheduled_departure() -> None:
    raw = frames(*MONTHS)
    flown = features.with_instants(raw["flights"], raw["airports"]).collect()
    assert flown.height == flown["flight_id"].n_unique() == 336_776
    assert flown.filter(pl.col("scheduled_arrival").is_null()).is_empty()
    for known in ("left", "landed"):
        assert flown.filter(pl.col(known) <= pl.col("scheduled_departure")).is_empty()
    assert (flown["landed"] - flown["scheduled_departure"]).max() < features.LOOKBACK - timedelta(days=7)


@pytest.mark.parametrize("cut", [datetime(2013, 1, 10, 17, 3, tzinfo=UTC), datetime(2013, 1, 31, 23, 30, tzinfo=UTC)])
def test_changing_the_future_changes_no_row_of_the_past(cut: datetime) -> None:
    raw = frames("2013-01")
    known = features.with_instants(raw["flights"], raw["airports"]).select("scheduled_departure", "left", "landed")
    flown = pl.concat([raw["flights"].collect(), known.collect()], how="horizontal")
    recent = pl.col("scheduled_departure") > cut - timedelta(days=3)
    open_end = {
        delay: pl.when(recent & (pl.col(known_at) > cut).fill_null(True))
        .then(pl.col(delay).fill_null(0) + 5_000)
        .otherwise(delay)
        for delay, known_at in (("dep_delay", "left"), ("arr_delay", "landed"))
    }
    future = flown.filter(pl.col("scheduled_departure") <= cut).with_columns(**open_end)
    changed = raw | {"flights": future.drop(known.collect_schema().names()).lazy()}
    before, after = january(), features.build(changed, FUTURE)
    assert future.height < flown.height
    moved = 0
    for view in (name for name in before if name != "spine"):
        past = pl.col("event_timestamp") <= cut
        assert_frame_equal(before[view].filter(past), after[view].collect().filter(past))
        moved += not before[view].equals(after[view].collect())
    assert moved >= 4  # the future did change


def test_nothing_later_than_as_of_is_in_a_view() -> None:
    as_of = datetime(2013, 1, 20, tzinfo=UTC)
    for name, frame in features.build(frames("2013-01"), as_of).items():
        if name != "spine":
            assert frame.select(pl.col("event_timestamp").max()).collect().item() <= as_of


def test_a_month_with_its_look_back_gives_the_rows_of_the_whole_year() -> None:
    whole, month = features.build(frames(*MONTHS[:4]), FUTURE), features.build(frames("2013-02", "2013-03"), FUTURE)
    starts, ends = datetime(2013, 3, 1, 5, tzinfo=UTC), datetime(2013, 4, 1, 4, tzinfo=UTC)
    for name in whole:
        time = pl.col("scheduled_departure" if name == "spine" else "event_timestamp")
        here = (time >= starts) & (time < ends)
        assert_frame_equal(whole[name].filter(here).collect(), month[name].filter(here).collect())


def test_cancelled_flights_have_no_label_and_the_others_know_it_a_day_after_landing() -> None:
    spine = january()["spine"]
    assert spine["late"].null_count() == spine["label_time"].null_count() == 606
    assert spine["late"].mean() == pytest.approx(0.2273, abs=1e-4)
    assert set(USE_CASE.request_features) | set(USE_CASE.entity_keys) < set(spine.columns)


def test_a_model_of_january_and_february_ranks_the_flights_of_march() -> None:
    import xgboost as xgb
    from sklearn.metrics import roc_auc_score

    built = {name: frame.collect() for name, frame in features.build(frames(*MONTHS[:3]), FUTURE).items()}
    rows = built["spine"].sort("scheduled_departure")
    for name, view in built.items():
        if name != "spine":
            rows = rows.join_asof(
                view.sort("event_timestamp"),
                left_on="scheduled_departure",
                right_on="event_timestamp",
                by=view.columns[0] if view.columns[0] != "event_timestamp" else view.columns[1],
                check_sortedness=False,
            ).drop("event_timestamp", strict=False)
    rows = rows.drop_nulls("late")
    inputs = [name for name, kind in rows.schema.items() if kind.is_numeric() and name != "late"]
    march = rows["scheduled_departure"] >= datetime(2013, 3, 1, 5, tzinfo=UTC)
    known = xgb.DMatrix(rows.filter(~march).select(inputs).to_pandas(), rows.filter(~march)["late"].to_numpy())
    booster = xgb.train({"objective": "binary:logistic", "max_depth": 5, "nthread": 2}, known, 40)
    asked = booster.predict(xgb.DMatrix(rows.filter(march).select(inputs).to_pandas()))
    assert 0.70 < roc_auc_score(rows.filter(march)["late"].to_numpy(), asked) < 0.85  # above: a leak
