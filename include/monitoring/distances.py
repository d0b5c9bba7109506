"""The two distances, on counts over a shared axis: Wasserstein for numbers, Jensen-Shannon for categories.

They are Evidently's `wasserstein` and `jensenshannon`, written so that a thousand resamples cost one sort.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int32]

SMALLEST_SCALE = 0.001
"""Evidently divides by no less."""


def scale(values: Floats) -> float:
    """What normalises the Wasserstein distance: the reference's standard deviation."""
    return max(float(np.std(values)), SMALLEST_SCALE)


def wasserstein(one: Floats, other: Floats, axis: Floats, unit: float) -> Floats:
    """First Wasserstein distance over `unit`, row by row.

    Args:
        one: Counts over `axis`, one sample a row.
        other: Likewise, as many rows or one.
        axis: The values that are counted, ascending.
        unit: Standard deviation of the reference.
    """
    gap = np.abs(_cumulative(one) - _cumulative(other))[:, :-1]
    return np.asarray(gap @ np.diff(axis) / unit)


def jensen_shannon(one: Floats, other: Floats) -> Floats:
    """Jensen-Shannon distance (natural logarithm), row by row.

    Args:
        one: Counts of each category, one sample a row.
        other: Likewise, as many rows or one.
    """
    p, q = _shares(one), _shares(other)
    middle = (p + q) / 2
    divergence = (_relative_entropy(p, middle) + _relative_entropy(q, middle)) / 2
    return np.asarray(np.sqrt(np.maximum(divergence, 0.0)))


def _shares(counts: Floats) -> Floats:
    return np.asarray(counts / np.maximum(counts.sum(axis=1, keepdims=True), 1.0))


def _cumulative(counts: Floats) -> Floats:
    return np.asarray(np.cumsum(_shares(counts), axis=1))


def _relative_entropy(p: Floats, q: Floats) -> Floats:
    ratio = np.divide(p, q, out=np.ones(np.broadcast_shapes(p.shape, q.shape)), where=(q > 0) & (p > 0))
    return np.asarray((p * np.log(ratio)).sum(axis=1))
