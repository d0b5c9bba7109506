"""How far apart the reference is from itself, at a window's size: what a column must exceed to have drifted.

Moving-block bootstrap: a pseudo-window is a stretch of the reference as long as a window, so that what belongs together
in time (a cold week) stays together; it is compared with the rest of the reference, all columns at once. The threshold
of a column is its mean distance plus `reach` standard deviations. `reach` is as large as it must be for the verdict
itself to err no more often than the family error: in no more than that share of the draws do columns beyond it carry
the importance that makes a window drifted. It is never less than Student's quantile for as many separate windows as the
reference has: eight weeks cannot show what a rare week looks like.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import stdtrit

from include.contracts.use_case import Monitoring
from include.monitoring.distances import Codes, Floats, jensen_shannon, scale, wasserstein
from include.monitoring.reference import SEED, Sample

DRAWS = 500
LARGEST = 4_096
"""Windows beyond it share its calibration: what sampling adds there is far below any effect floor worth having."""
AXIS = 512
"""Points of the axis on which numbers are counted; finer changes thresholds in the third digit."""
CELLS = 4_000_000
"""Most counts held at once."""


@dataclass(frozen=True)
class Draw:
    """A pseudo-window.

    Attributes:
        rows: Its rows, at most as many as a window has.
        stretch: All rows of its stretch; the rest of the reference is what it is compared with.
    """

    rows: NDArray[np.intp]
    stretch: NDArray[np.intp]


def bucket(rows: int) -> int:
    """Window sizes that share a calibration: powers of two, rounded down (the careful side), up to `LARGEST`."""
    return min(LARGEST, 1 << (max(rows, 1).bit_length() - 1))


def calibrate(sample: Sample, size: int, monitoring: Monitoring, weights: Mapping[str, float]) -> dict[str, float]:
    """Threshold by column.

    Args:
        sample: The reference.
        size: Rows of a window.
        monitoring: Window length, family error, importance floor, effect floor.
        weights: Importance of the columns that may raise the alarm.

    Returns:
        A threshold for each column with values, never below the effect floor.
    """
    window = monitoring.window.total_seconds()
    drawn = draws(sample.seconds, size, window)
    distances = {
        column.name: measure(column, column.name in sample.categorical, drawn)
        for column in sample.frame
        if column.null_count() < len(column)
    }
    means = {name: float(found.mean()) for name, found in distances.items()}
    spreads = {name: float(found.std()) for name, found in distances.items()}
    moving = [name for name in distances if name in weights and spreads[name] > 0]
    standard = np.array([(distances[name] - means[name]) / spreads[name] for name in moving])
    carried = np.array([weights[name] for name in moving])
    tail = float(stdtrit(separate(sample.seconds, window) - 1, 1 - monitoring.family_error))
    reach = max(tail, _reach(standard, carried, monitoring)) if moving else tail
    return {name: max(monitoring.effect_floor, means[name] + reach * spreads[name]) for name in distances}


def separate(seconds: Floats, window: float) -> float:
    """How many windows stand side by side in the reference; at least four, for which shorter stretches are drawn."""
    return max(4.0, float(seconds[-1] - seconds[0]) / window)


def draws(seconds: Floats, size: int, window: float, count: int = DRAWS) -> list[Draw]:
    """Pseudo-windows of the reference, the same for every column.

    Args:
        seconds: Time of each row of the reference, ascending.
        size: Rows of a window.
        window: Length of a window in seconds.
        count: How many.
    """
    random = np.random.default_rng(SEED)
    first, last = float(seconds[0]), float(seconds[-1])
    length = (last - first) / separate(seconds, window)
    starts = random.uniform(first, last - length, count)
    edges = np.searchsorted(seconds, np.stack([starts, starts + length], axis=-1))
    usual = float(np.median(edges[:, 1] - edges[:, 0]))
    full = [np.arange(*edge) for edge in edges if edge[1] - edge[0] >= max(1.0, usual / 2)]  # not those in a gap
    return [Draw(random.permutation(rows)[:size], rows) for rows in full]


def _reach(standard: Floats, carried: Floats, monitoring: Monitoring) -> float:
    """Height that the heaviest-needed column reaches in all but the family error's share of the draws."""
    order = np.argsort(-standard, axis=0)
    enough = np.cumsum(carried[order], axis=0) >= monitoring.importance_floor - 1e-9
    heights = np.where(enough, np.take_along_axis(standard, order, axis=0), -np.inf).max(axis=0)
    return float(np.quantile(np.maximum(heights, 0.0), 1 - monitoring.family_error))


def measure(column: pl.Series, categorical: bool, drawn: list[Draw]) -> Floats:
    """Distance of each pseudo-window to the rest of the reference, in one column."""
    codes, axis = encode(column) if categorical else digitize(column)
    unit = 0.0 if categorical else scale(column.drop_nulls().to_numpy())
    width = len(axis)
    whole = _count(codes, width)
    found = []
    for part in _parts(drawn, max(1, CELLS // width)):
        window = np.stack([_count(codes[draw.rows], width) for draw in part])
        rest = whole - np.stack([_count(codes[draw.stretch], width) for draw in part])
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
