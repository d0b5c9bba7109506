"""Scores of a window's columns: the exact distances in NumPy; what Evidently says is in `evidently_report`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from include.monitoring.calibration import encode
from include.monitoring.distances import jensen_shannon, scale, wasserstein

NUMERIC = "wasserstein"
CATEGORICAL = "jensenshannon"


@dataclass(frozen=True)
class Score:
    """Distance of one column, and whether it reaches its threshold."""

    value: float
    drifted: bool


Scorer = Callable[[pl.DataFrame, pl.DataFrame, Mapping[str, float], frozenset[str]], dict[str, Score]]
"""From reference, window, threshold by column and the categorical columns to the scores."""


def method(name: str, categorical: frozenset[str]) -> str:
    """Evidently's name of the distance of a column."""
    return CATEGORICAL if name in categorical else NUMERIC


def exact(
    reference: pl.DataFrame, window: pl.DataFrame, limits: Mapping[str, float], categorical: frozenset[str]
) -> dict[str, Score]:
    """The same scores as Evidently's, without its report."""
    found = {}
    for name, limit in limits.items():
        one, other = reference.get_column(name).drop_nulls(), window.get_column(name).drop_nulls()
        value = _categories(one, other) if name in categorical else _numbers(one, other)
        found[name] = Score(value, value >= limit)
    return found


def _numbers(one: pl.Series, other: pl.Series) -> float:
    first, second = one.to_numpy(), other.to_numpy()
    axis, codes = np.unique(np.concatenate([first, second]), return_inverse=True)
    counts = [np.bincount(part, minlength=len(axis))[None, :].astype(np.float64) for part in _halves(codes, first.size)]
    return float(wasserstein(counts[1], counts[0], axis, scale(first))[0])


def _categories(one: pl.Series, other: pl.Series) -> float:
    codes, axis = encode(pl.concat([one, other]))
    counts = [
        np.bincount(part, minlength=len(axis) + 1)[None, 1:].astype(np.float64) for part in _halves(codes, len(one))
    ]
    return float(jensen_shannon(counts[1], counts[0])[0])


def _halves(codes: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    return codes[:size], codes[size:]
