"""How far apart the reference is from itself, at a window's size: what a column must exceed to have drifted.

Moving-block bootstrap: a pseudo-window is two stretches of the reference, each half a window long, so that what belongs
together in time (a cold week) stays together. It is compared with the rest of the reference. The threshold of a column
is its mean distance plus `c` standard deviations, where `c` is the (1 - family error) quantile of the largest
standardised distance over the counted columns (max-t): so many columns together raise the alarm no more often than one.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.use_case import Monitoring
from include.monitoring.distances import Codes, Floats, jensen_shannon, scale, wasserstein
from include.monitoring.reference import SEED, Sample

DRAWS = 1_000
AXIS = 512
"""Points of the axis on which numbers are counted; finer changes thresholds in the third digit."""
CELLS = 4_000_000
"""Most counts held at once."""


@dataclass(frozen=True)
class Draw:
    """A pseudo-window.

    Attributes:
        rows: Its rows, at most as many as a window has.
        stretches: All rows of its two stretches; the rest of the reference is what it is compared with.
    """

    rows: NDArray[np.intp]
    stretches: NDArray[np.intp]


def bucket(rows: int) -> int:
    """Window sizes that share a calibration: powers of the square root of two, rounded down (the careful side)."""
    return int(2 ** (np.floor(2 * np.log2(max(rows, 1))) / 2))


def calibrate(sample: Sample, size: int, monitoring: Monitoring, counted: Collection[str]) -> dict[str, float]:
    """Threshold by column.

    Args:
        sample: The reference.
        size: Rows of a window.
        monitoring: Window length, family error, effect floor.
        counted: Columns that may raise the alarm.

    Returns:
        A threshold for each column with values, never below the effect floor.
    """
    drawn = draws(sample.seconds, size, monitoring.window.total_seconds())
    distances = {
        column.name: _distances(column, column.name in sample.categorical, drawn)
        for column in sample.frame
        if column.null_count() < len(column)
    }
    means = {name: float(found.mean()) for name, found in distances.items()}
    spreads = {name: float(found.std()) for name, found in distances.items()}
    standard = [(distances[n] - means[n]) / spreads[n] for n in distances if n in counted and spreads[n] > 0]
    reach = float(np.quantile(np.max(standard, axis=0), 1 - monitoring.family_error)) if standard else 0.0
    return {name: max(monitoring.effect_floor, means[name] + reach * spreads[name]) for name in distances}


def draws(seconds: Floats, size: int, window: float, count: int = DRAWS) -> list[Draw]:
    """Pseudo-windows of the reference, the same for every column.

    Args:
        seconds: Time of each row of the reference, ascending.
        size: Rows of a window.
        window: Length of a window in seconds.
        count: How many.
    """
    random = np.random.default_rng(SEED)
    half = min(window / 2, float(seconds[-1] - seconds[0]) / 8)
    starts = _starts(random, float(seconds[0]), float(seconds[-1]) - half, half, count)
    edges = np.searchsorted(seconds, np.stack([starts, starts + half], axis=-1))
    found = [np.concatenate([np.arange(*first), np.arange(*second)]) for first, second in edges]
    usual = float(np.median([len(rows) for rows in found]))
    full = [rows for rows in found if len(rows) and len(rows) >= usual / 2]  # not those that fell into a gap
    return [Draw(random.permutation(rows)[:size], rows) for rows in full]


def _starts(random: np.random.Generator, first: float, last: float, half: float, count: int) -> Floats:
    """Two starts a draw, at least `half` apart."""
    starts = random.uniform(first, last, (count, 2))
    while (near := np.abs(starts[:, 0] - starts[:, 1]) < half).any() and half > 0:
        starts[near] = random.uniform(first, last, (int(near.sum()), 2))
    return starts


def _distances(column: pl.Series, categorical: bool, drawn: list[Draw]) -> Floats:
    codes, axis = encode(column) if categorical else digitize(column)
    unit = 0.0 if categorical else scale(column.drop_nulls().to_numpy())
    width = len(axis)
    whole = _count(codes, width)
    found = []
    for part in _parts(drawn, max(1, CELLS // width)):
        window = np.stack([_count(codes[draw.rows], width) for draw in part])
        rest = whole - np.stack([_count(codes[draw.stretches], width) for draw in part])
        found.append(jensen_shannon(window, rest) if categorical else wasserstein(window, rest, axis, unit))
    return np.concatenate(found)


def encode(column: pl.Series) -> tuple[Codes, Floats]:
    """Code of each row's category, 0 where missing, and an axis of the categories."""
    codes = column.cast(pl.Categorical).to_physical().cast(pl.Int32).rank("dense").fill_null(0)
    return codes.to_numpy().astype(np.int32), np.arange(column.drop_nulls().n_unique(), dtype=np.float64)


def digitize(column: pl.Series) -> tuple[Codes, Floats]:
    """Position of each row's number on an axis of quantiles, 0 where missing, and the axis."""
    values = column.to_numpy()
    valid = np.isfinite(values)
    axis = np.unique(values[valid])
    if len(axis) > AXIS:
        axis = np.unique(np.quantile(values[valid], np.linspace(0, 1, AXIS)))
    codes = np.where(valid, np.searchsorted(axis, values, side="right").clip(1, len(axis)), 0)
    return codes.astype(np.int32), axis


def _count(codes: Codes, width: int) -> Floats:
    return np.bincount(codes, minlength=width + 1)[1:].astype(np.float64)


def _parts(drawn: list[Draw], length: int) -> Iterator[list[Draw]]:
    for start in range(0, len(drawn), length):
        yield drawn[start : start + length]
