"""The gate's checks: each is a small function from what was measured to one line of the verdict."""

import numpy as np
from numpy.typing import NDArray

from include.contracts.use_case import Gate, Task
from include.contracts.verdict import Check, Interval
from include.evaluation.bootstrap import Comparison
from include.models.scores import brier, calibration_error

Numbers = NDArray[np.float64]

BRIER_TOLERANCE = 0.003
LATENCY_MS = 250.0
"""Generous: it catches a model that is a hundred times too large, not a busy machine."""

METRIC = {"roc_auc": "AUC", "r2": "R²"}
NOT_CHECKED = ("slices", "fairness", "shadow", "canary", "approval", "dependence between rows of one day")


def enough_rows(gate: Gate, rows: int) -> Check:
    """Enough labelled rows to stand on."""
    return Check(
        name="rows", passed=rows >= gate.minimum_rows, value=f"{rows:,} labelled", bound=f"≥ {gate.minimum_rows:,}"
    )


def quality(gate: Gate, task: Task, found: Comparison) -> Check:
    """Better than the champion, or above the floor where there is none."""
    name = METRIC[task.metric]
    if found.gain is None:
        said = f"{name} {_interval(found.challenger, '.4f')}"
        return Check(
            name="floor", passed=found.challenger.low > task.floor, value=said, bound=f"low > {task.floor:.4f}"
        )
    said = f"{name} {_interval(found.gain, '+.4f')}"
    return Check(name="quality", passed=found.gain.low > gate.margin, value=said, bound=f"low > {gate.margin:g}")


def _interval(of: Interval, form: str) -> str:
    return f"{of.estimate:{form}}  [{of.low:{form}}, {of.high:{form}}]"


def calibration(gate: Gate, label: Numbers, challenger: Numbers, champion: Numbers | None) -> Check:
    """Probabilities that mean what they say, no worse than the champion's."""
    error, own = calibration_error(label, challenger), brier(label, challenger)
    most = brier(label, champion) + BRIER_TOLERANCE if champion is not None else brier(label, _constant(label))
    return Check(
        name="calibration",
        passed=error <= gate.maximum_calibration_error and own <= most,
        value=f"Brier {own:.4f}   ECE {error:.4f}",
        bound=f"≤ {most:.4f}   ≤ {gate.maximum_calibration_error:.4f}",
    )


def _constant(label: Numbers) -> Numbers:
    return np.full(label.size, label.mean())


def beats_baseline(task: Task, metric: float, baseline: float, name: str) -> Check:
    """Better than a simple model."""
    gain = metric - baseline
    said = f"{METRIC[task.metric]} {gain:+.4f} over {name} ({baseline:.4f})"
    return Check(name="baseline", passed=gain > 0, value=said, bound="> 0")


def sound(rows: float) -> Check:
    """Digests, signature and a clean load were proved; a failure there is an error and never reaches a verdict."""
    return Check(
        name="artifacts",
        passed=True,
        value=f"digests, signature, loads clean ({rows:.0f} rows)",
        bound="all",
    )


def finite(task: Task, predicted: Numbers) -> Check:
    """Every prediction is a number, and a probability where one was asked for."""
    known = bool(np.isfinite(predicted).all())
    lowest, highest = (float(predicted.min()), float(predicted.max())) if known else (float("nan"), float("nan"))
    binary = task.kind == "binary"
    within = known and (not binary or (lowest >= 0 and highest <= 1))
    bound = "finite, within 0..1" if binary else "finite"
    return Check(name="predictions", passed=within, value=f"{lowest:.4g} .. {highest:.4g}", bound=bound)


def latency(milliseconds: float) -> Check:
    """CPU time to predict a thousand rows, inputs prepared from a frame."""
    return Check(
        name="latency",
        passed=milliseconds <= LATENCY_MS,
        value=f"{milliseconds:.1f} CPU-ms / 1,000 rows",
        bound=f"≤ {LATENCY_MS:.0f} CPU-ms",
    )
