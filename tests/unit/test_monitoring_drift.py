"""Windows, distances, calibration and the verdict on one window, on made data."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from include.contracts.data import TrainingSet
from include.contracts.monitoring import WindowState
from include.contracts.training import Cost, TrainingManifest
from include.contracts.use_case import Monitoring
from include.monitoring.calibration import bucket, calibrate, draws, measure
from include.monitoring.compare import Comparison, compare
from include.monitoring.evidently_report import Evidently
from include.monitoring.reference import PREDICTION, Reference, Sample
from include.monitoring.scores import exact
from include.monitoring.thresholds import calibrated
from include.monitoring.windows import cut

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 60
ROWS_A_DAY = 200
NUMBERS = tuple(f"x{i}" for i in range(8))
CATEGORIES = ("carrier", "origin")
FEATURES = (*NUMBERS, *CATEGORIES)
GAIN = dict.fromkeys(FEATURES, 1 / len(FEATURES))
MONITORING = Monitoring()


def rows(days: int, seed: int, weather: float = 0.0, shift: float = 0.0, shifted: int = 0) -> pl.DataFrame:
    """`days` of rows; `weather` is the strength of a day's own mean, which the day before has in part."""
    random = np.random.default_rng(seed)
    count = days * ROWS_A_DAY
    frame: dict[str, np.ndarray] = {}
    for place, name in enumerate(NUMBERS):
        daily = np.zeros(days)
        for day in range(days):
            daily[day] = 0.7 * daily[day - 1] * (day > 0) + random.normal() * weather
        frame[name] = random.normal(size=count) + np.repeat(daily, ROWS_A_DAY) + shift * (place < shifted)
    frame["carrier"] = random.choice(list("ABCDEFGH"), count, p=[0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05])
    frame["origin"] = random.choice(["EWR", "JFK", "LGA"], count)
    return pl.DataFrame(frame).with_columns(pl.Series(PREDICTION, random.beta(2, 6, count)))


def sample(frame: pl.DataFrame) -> Sample:
    seconds = np.arange(frame.height) * 86_400 / ROWS_A_DAY
    return Sample(frame, seconds, frozenset(CATEGORIES), frame.height)


def manifest() -> TrainingManifest:
    end = START + timedelta(days=DAYS)
    training_set = TrainingSet(
        uri="unused",
        digest="unused",
        rows=DAYS * ROWS_A_DAY,
        label="late",
        event_time="departure",
        features=FEATURES,
        categorical=CATEGORIES,
        starts=START,
        validation_from=end,
        fresh_from=end,
        ends=end,
        as_of=end,
        data_version="d",
    )
    return TrainingManifest(
        spec_digest="s",
        use_case="flights",
        request="r",
        as_of=end,
        training_set=training_set,
        mlflow_run_id="",
        mlflow_model_id="",
        artifacts={},
        rows={},
        metrics={},
        parameters={},
        features=FEATURES,
        categories={"carrier": tuple("ABCDEFGH"), "origin": ("EWR", "JFK", "LGA")},
        gain=GAIN,
        packages={},
        device="cpu",
        git_commit="",
        cost=Cost(seconds=1, cpu_seconds=1, peak_bytes=1),
        finished_at=end,
    )


@cache
def reference(weather: float = 0.0) -> Reference:
    frame = rows(DAYS, seed=0, weather=weather)
    return Reference(sample(frame.select(FEATURES)), sample(frame.select(PREDICTION)[-20 * ROWS_A_DAY :]), manifest())


@cache
def thresholds(weather: float, size: int) -> dict[str, float]:
    return calibrated(reference(weather), MONITORING, bucket(size))


def judged(window: pl.DataFrame, weather: float = 0.0, monitoring: Monitoring = MONITORING) -> Comparison:
    return compare(window, reference(weather), monitoring, partial(thresholds, weather), exact)


def test_cut() -> None:
    week = timedelta(days=7)

    def lengths(days: float) -> list[float]:
        windows = cut(START, START + timedelta(days=days), week)
        assert windows[0][0] == START
        assert windows[-1][1] == START + timedelta(days=days)
        assert all(one[1] == other[0] for one, other in pairwise(windows))
        return [(end - start) / timedelta(days=1) for start, end in windows]

    assert lengths(28) == [7, 7, 7, 7]
    assert lengths(31) == [7, 7, 7, 10]
    assert lengths(32) == [7, 7, 7, 7, 4]
    assert lengths(1) == [1]


@pytest.fixture(scope="module")
def evidently() -> Evidently:
    return Evidently()


def test_fast_scores_are_evidentlys(evidently: Evidently) -> None:
    one = rows(20, seed=1).with_columns(
        pl.when(pl.col("x1") > 1).then(None).otherwise(pl.col("x1")).alias("x1"),
        (pl.col("x2") * 4).round().alias("x2"),
        pl.lit(3.0).alias("x3"),
    )
    other = rows(7, seed=2, shift=0.4, shifted=3).with_columns(
        pl.when(pl.col("origin") == "JFK").then(pl.lit("new")).otherwise(pl.col("origin")).alias("origin"),
        pl.when(pl.col("carrier") == "A").then(None).otherwise(pl.col("carrier")).alias("carrier"),
        pl.lit(3.0).alias("x3"),
    )
    limits = {name: 0.05 + 0.03 * place for place, name in enumerate((*FEATURES, PREDICTION))}
    theirs = evidently(one, other, limits, frozenset(CATEGORIES))
    ours = exact(one, other, limits, frozenset(CATEGORIES))
    assert {n: s.value for n, s in ours.items()} == pytest.approx({n: s.value for n, s in theirs.items()}, abs=1e-9)
    assert {n: s.drifted for n, s in ours.items()} == {n: s.drifted for n, s in theirs.items()}
    assert {True, False} == {s.drifted for s in ours.values()}
    assert "ValueDrift" in evidently.last.json()


def test_counting_on_an_axis_is_as_good_as_sorting() -> None:
    whole = reference(0.3).features
    drawn = draws(whole.seconds, 1024, 7 * 86_400.0, 20)
    for name in FEATURES:
        theirs = []
        for draw in drawn:
            rest = whole.frame[np.setdiff1d(np.arange(whole.rows), draw.stretch)]
            theirs.append(exact(rest, whole.frame[draw.rows], {name: 1.0}, frozenset(CATEGORIES))[name].value)
        unit = 1.0 if name in CATEGORIES else float(whole.frame[name].std(ddof=0))
        ours = measure(whole.frame[name], name in CATEGORIES, drawn)
        rest_unit = unit if name in CATEGORIES else float(rest[name].std(ddof=0))
        assert ours == pytest.approx(np.array(theirs) * rest_unit / unit, rel=0.05, abs=0.005), name


def test_calibration_is_repeatable_and_honest_about_size() -> None:
    plain = MONITORING.model_copy(update={"effect_floor": 1e-6})
    small, large = (calibrate(reference().features, size, plain, GAIN) for size in (256, 1024))
    assert small == calibrate(reference().features, 256, plain, GAIN)
    assert all(small[name] > large[name] for name in FEATURES)
    floored = calibrate(reference().features, 1024, MONITORING, GAIN)
    assert all(floored[name] == max(0.1, large[name]) for name in FEATURES)


@pytest.mark.parametrize("weather", [0.0, 0.3], ids=["independent rows", "days that hang together"])
def test_windows_without_drift_are_stable(weather: float) -> None:
    windows = [rows(7, seed, weather) for seed in range(1, 126)]
    states = [judged(window, weather).state for window in windows]
    assert set(states) <= {WindowState.STABLE, WindowState.DRIFTED}
    assert states.count(WindowState.DRIFTED) <= 0.02 * len(states)


@pytest.mark.parametrize("weather", [0.0, 0.05])
def test_half_a_sigma_in_a_third_of_the_columns_is_found(weather: float) -> None:
    def found(seed: int) -> bool:
        three = [judged(rows(7, 1000 * seed + week, weather, shift=0.5, shifted=3), weather) for week in range(3)]
        return sum(window.state is WindowState.DRIFTED for window in three) >= 2

    assert sum(found(seed) for seed in range(1, 21)) >= 19


def test_drift_counts_by_what_the_model_leans_on() -> None:
    window = rows(7, seed=5, shift=1.0, shifted=2)
    found = judged(window)
    assert (found.state, found.drifted_importance) == (WindowState.STABLE, pytest.approx(0.2))
    assert {c.column for c in found.columns if c.drifted} == {"x0", "x1"}
    assert found.prediction is not None
    assert not found.prediction.drifted
    assert judged(window, monitoring=Monitoring(importance_floor=0.15)).state is WindowState.DRIFTED
    ignored = judged(window, monitoring=Monitoring(importance_floor=0.15, ignore=("x0",)))
    assert ignored.state is WindowState.STABLE
    assert next(c for c in ignored.columns if c.column == "x0").drifted


def test_shifted_predictions_are_reported_and_alone_are_no_drift() -> None:
    found = judged(rows(7, seed=5).with_columns(pl.col(PREDICTION) * 2))
    assert found.prediction is not None
    assert found.prediction.drifted
    assert found.state is WindowState.STABLE


def test_too_few_rows_are_insufficient() -> None:
    found = judged(rows(7, seed=5, shift=3, shifted=8).head(999))
    assert found.state is WindowState.INSUFFICIENT
    assert found.problems == ("999 rows < 1,000",)
    assert judged(rows(7, seed=5).clear()).state is WindowState.INSUFFICIENT
    small = judged(rows(7, seed=5), monitoring=Monitoring(minimum_reference=20_000))
    assert small.problems[0] == "the reference has 12,000 rows < 20,000"


def test_empty_column_is_bad_data_and_never_drift() -> None:
    shifted = rows(7, seed=5, shift=3, shifted=8)
    for window in (
        shifted.with_columns(pl.lit(None, pl.Float64).alias("x7")),
        shifted.with_columns(pl.lit(float("nan")).alias("x7")),
        shifted.with_columns(pl.when(pl.int_range(pl.len()) % 10 == 0).then(pl.col("x7")).alias("x7")),
        shifted.with_columns(pl.col("origin").str.to_lowercase()),
    ):
        found = judged(window)
        assert found.state is WindowState.BAD_DATA, found.problems
        assert found.problems[0].startswith(("x7: ", "origin: 100%"))


def test_column_that_was_always_sparse_is_no_problem_and_not_counted() -> None:
    thin = pl.when(pl.int_range(pl.len()) % 20 == 0).then(pl.col("x7") * 9).alias("x7")
    whole = Reference(
        sample(reference().features.frame.with_columns(thin)), reference().predictions, reference().manifest
    )
    found = compare(rows(7, 5).with_columns(thin), whole, MONITORING, partial(thresholds, 0.0), exact)
    assert found.state is WindowState.STABLE
    assert found.problems == ("x7: 70 valid rows < 1,000, not counted",)


def test_one_infinite_value_is_reported_and_changes_nothing() -> None:
    window = rows(7, seed=5)
    spoiled = window.with_columns(pl.when(pl.int_range(pl.len()) == 7).then(float("inf")).otherwise("x0").alias("x0"))
    clean, found = judged(window), judged(spoiled)
    assert found.problems == ("x0: 1 infinite values, taken as missing",)
    assert found.state is clean.state is WindowState.STABLE
    scores = {c.column: c.score for c in clean.columns}
    assert {c.column: c.score for c in found.columns} == pytest.approx(scores, abs=0.01)


def test_evidently_gives_the_same_verdict(evidently: Evidently) -> None:
    window = rows(7, seed=5, shift=0.5, shifted=3).with_columns(pl.lit(None, pl.Float64).alias("x7"))

    def verdict(scorer: Evidently | None) -> Mapping[str, bool]:
        found = compare(window, reference(), MONITORING, partial(thresholds, 0.0), scorer or exact)
        return {column.column: column.drifted for column in found.columns}

    assert verdict(evidently) == verdict(None)
    assert verdict(None) == {name: name in {"x0", "x1", "x2"} for name in FEATURES if name != "x7"}
