"""Paired bootstrap: the same resampled rows for both models, and linear work for each resample.

A resample is a count for each row. AUC needs the scores sorted once; then each resample is a few sums over groups of
equal scores. So a thousand resamples of ten thousand rows take a second. Sums, not dot products: BLAS would wake its
threads for each, and on busy cores these wait for each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from include.contracts.errors import DataError
from include.contracts.verdict import Interval
from include.models.scores import score

Numbers = NDArray[np.float64]
Weighted = Callable[[Numbers], float]


@dataclass(frozen=True)
class Comparison:
    """Challenger, champion and their paired difference; the latter two None where there is no champion."""

    challenger: Interval
    champion: Interval | None
    gain: Interval | None


def compare(
    metric: str, label: Numbers, challenger: Numbers, champion: Numbers | None, resamples: int, seed: int = 0
) -> Comparison:
    """Score both models on the same rows, with 95 % intervals over the same resamples.

    Args:
        metric: `roc_auc` or `r2`.
        label: One value a row.
        challenger: Its predictions.
        champion: Its predictions; None for a first model.
        resamples: How often the rows are drawn again.
        seed: Of the draws.

    Raises:
        DataError: If the rows are too few or too alike to score.
    """
    models = [challenger] if champion is None else [challenger, champion]
    weighted = [_weighted(metric, label, predicted) for predicted in models]
    drawn = _draw(weighted, label.size, resamples, seed)
    points = [score(metric, label, predicted) for predicted in models]
    if not np.isfinite(drawn).all() or not np.isfinite(points).all():
        raise DataError(
            "evaluation",
            f"{label.size} fresh rows are too few or too alike for {metric}",
            "wait for more labelled rows",
        )
    intervals = [_interval(point, values) for point, values in zip(points, drawn, strict=True)]
    if champion is None:
        return Comparison(intervals[0], None, None)
    return Comparison(intervals[0], intervals[1], _interval(points[0] - points[1], drawn[0] - drawn[1]))


def _draw(weighted: list[Weighted], size: int, resamples: int, seed: int) -> Numbers:
    rng = np.random.default_rng(seed)
    drawn = np.empty((len(weighted), resamples))
    for index in range(resamples):
        counts = np.bincount(rng.integers(0, size, size), minlength=size).astype(np.float64)
        drawn[:, index] = [model(counts) for model in weighted]
    return drawn


def _interval(estimate: float, values: Numbers) -> Interval:
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(estimate=estimate, low=float(low), high=float(high))


def _weighted(metric: str, label: Numbers, predicted: Numbers) -> Weighted:
    return {"roc_auc": _weighted_auc, "r2": _weighted_r2}[metric](label, predicted)


def _weighted_auc(label: Numbers, predicted: Numbers) -> Weighted:
    order = np.argsort(predicted, kind="stable")
    ranked = predicted[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    ones = label[order]

    def weighted(counts: Numbers) -> float:
        weight = counts[order]
        positive = np.add.reduceat(weight * ones, starts)
        negative = np.add.reduceat(weight, starts) - positive
        below = np.cumsum(negative) - negative / 2
        pairs = positive.sum() * negative.sum()
        return float((positive * below).sum() / pairs) if pairs else float("nan")

    return weighted


def _weighted_r2(label: Numbers, predicted: Numbers) -> Weighted:
    centred = label - label.mean()  # r2 does not change with the label's origin, and small numbers keep their digits
    square, error = centred**2, (label - predicted) ** 2

    def weighted(counts: Numbers) -> float:
        total = (counts * square).sum() - (counts * centred).sum() ** 2 / counts.sum()
        return float(1 - (counts * error).sum() / total) if total > 0 else float("nan")

    return weighted
