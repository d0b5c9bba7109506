"""Judges one window: quality first, then drift, weighed by what the model leans on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import polars as pl

from include.contracts.monitoring import ColumnDrift, WindowState
from include.contracts.use_case import Monitoring
from include.monitoring.columns import tidy
from include.monitoring.quality import inspect
from include.monitoring.reference import PREDICTION, SEED, Reference
from include.monitoring.scores import Score, Scorer, method
from include.monitoring.thresholds import counted

WINDOW_ROWS = 20_000
"""Most rows of a window that are compared; a larger one is sampled."""

Thresholds = Callable[[int], Mapping[str, float]]
"""From a window's size to the threshold by column."""


@dataclass(frozen=True)
class Comparison:
    """What was found about one window, before its performance.

    Attributes:
        drifted_importance: Share of the model's gain that the drifted, counted columns carry.
        prediction: Drift of the predictions. It is reported and does not make a window drifted by itself: predictions
            follow the inputs, those that are not counted too, and a sound model answers known inputs with known shifts.
    """

    state: WindowState
    columns: tuple[ColumnDrift, ...]
    drifted_importance: float
    prediction: ColumnDrift | None
    problems: tuple[str, ...]


def compare(
    window: pl.DataFrame, reference: Reference, monitoring: Monitoring, thresholds: Thresholds, scorer: Scorer
) -> Comparison:
    """Compare a window with the reference.

    Args:
        window: Features and `prediction` of its rows.
        reference: What the champion was trained on.
        monitoring: The declaration.
        thresholds: Calibrated for the window's size.
        scorer: Measures the distances.
    """
    frame = tidy(window, [*reference.manifest.features, PREDICTION], reference.manifest.categories)
    quality = inspect(window, frame.drop(PREDICTION), reference)
    if lacking := _lacking(window.height, reference, monitoring):
        return Comparison(WindowState.INSUFFICIENT, (), 0.0, None, (lacking, *quality.bad, *quality.notes))
    if frame.height > WINDOW_ROWS:
        frame = frame.sample(WINDOW_ROWS, seed=SEED)
    limits = {name: limit for name, limit in thresholds(frame.height).items() if _valid(frame, name)}
    scores = scorer(_sampled(reference), frame, limits, frozenset(reference.manifest.categories))
    weighed = counted(reference, monitoring)
    drifts = [_drift(name, scores[name], limits[name], reference, name in weighed) for name in limits]
    sparse = [name for name in limits if _valid(frame, name) < monitoring.minimum_rows]
    columns = [d.model_copy(update={"counted": False}) if d.column in sparse else d for d in drifts]
    carried = sum(c.importance for c in columns if c.drifted and c.counted)
    notes = [
        f"{name}: {_valid(frame, name):,} valid rows < {monitoring.minimum_rows:,}, not counted" for name in sparse
    ]
    return Comparison(
        state=_state(quality.bad, carried, columns, monitoring),
        columns=tuple(c for c in columns if c.column != PREDICTION),
        drifted_importance=min(carried, 1.0),
        prediction=next((c for c in columns if c.column == PREDICTION), None),
        problems=(*quality.bad, *quality.notes, *notes),
    )


def _lacking(rows: int, reference: Reference, monitoring: Monitoring) -> str:
    if rows < monitoring.minimum_rows:
        return f"{rows:,} rows < {monitoring.minimum_rows:,}"
    if reference.features.rows < monitoring.minimum_reference:
        return f"the reference has {reference.features.rows:,} rows < {monitoring.minimum_reference:,}"
    return ""


def _state(bad: tuple[str, ...], carried: float, columns: list[ColumnDrift], monitoring: Monitoring) -> WindowState:
    if bad:
        return WindowState.BAD_DATA
    any_drifted = any(column.drifted and column.counted for column in columns)
    drifted = any_drifted and carried >= monitoring.importance_floor
    return WindowState.DRIFTED if drifted else WindowState.STABLE


def _drift(name: str, score: Score, limit: float, reference: Reference, weighed: bool) -> ColumnDrift:
    return ColumnDrift(
        column=name,
        method=method(name, frozenset(reference.manifest.categories)),
        score=score.value,
        threshold=limit,
        drifted=score.drifted,
        importance=reference.manifest.gain.get(name, 0.0),
        counted=weighed,
    )


def _valid(frame: pl.DataFrame, name: str) -> int:
    return frame.height - frame.get_column(name).null_count()


def _sampled(reference: Reference) -> pl.DataFrame:
    """Features and predictions side by side; the shorter is filled up with missing values, which are not compared."""
    return pl.concat([reference.features.small, reference.predictions.small], how="horizontal_extend")
