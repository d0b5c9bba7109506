"""What people look at: curves, importances, the SHAP summary, and how good the validation predictions are."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import xgboost
from matplotlib.figure import Figure
from numpy.typing import NDArray

from include.contracts.training import TrainingSpec
from include.models.inputs import matrix
from include.training.fit import Fitted, Quantised
from include.training.rows import Part

SHAP_ROWS = 500
TOP = 15


def draw(
    spec: TrainingSpec,
    fitted: Fitted,
    data: Quantised,
    validation: Part,
    predicted: NDArray[Any],
    gain: dict[str, float],
    folder: Path,
) -> None:
    """Write `curves.png`, `importance.{csv,json,png}`, `shap.png` and `quality.png` into `folder`."""
    _curves(spec, fitted).savefig(folder / "curves.png")
    _importance(gain, folder)
    _shap(spec, fitted, data, validation).savefig(folder / "shap.png")
    binary = spec.task.kind == "binary"
    (_classified if binary else _residuals)(validation.label, predicted).savefig(folder / "quality.png")


def _figure(width: float = 7, height: float = 4, columns: int = 1) -> tuple[Figure, Any]:
    figure = Figure(figsize=(width, height), dpi=100, layout="constrained")
    return figure, figure.subplots(1, columns)


def _curves(spec: TrainingSpec, fitted: Fitted) -> Figure:
    figure, axes = _figure()
    for name, values in fitted.curves.items():
        axes.plot(range(1, len(values) + 1), values, label=name)
    axes.axvline(fitted.booster.num_boosted_rounds(), color="grey", linestyle=":", label="kept")
    axes.set(xlabel="round", ylabel=spec.task.eval_metric, title="Learning curves")
    axes.legend()
    return figure


def _importance(gain: dict[str, float], folder: Path) -> None:
    ranked = sorted(gain.items(), key=lambda item: -item[1])
    (folder / "importance.json").write_text(json.dumps(dict(ranked), indent=1))
    with (folder / "importance.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("feature", "share_of_gain"), *ranked])
    names, shares = zip(*reversed(ranked[:TOP]), strict=True)
    figure, axes = _figure(height=1 + 0.3 * len(names))
    axes.barh(names, shares)
    axes.set(xlabel="share of total gain", title="Feature importance")
    figure.savefig(folder / "importance.png")


def _shap(spec: TrainingSpec, fitted: Fitted, data: Quantised, part: Part) -> Figure:
    features = spec.training_set.features
    rows = part.sample(SHAP_ROWS, spec.trainer.seed)
    inputs = matrix(rows, features, data.categories, spec.resources.cpu)
    values = np.asarray(fitted.booster.predict(inputs, pred_contribs=True))[:, :-1]
    colours = _ranks(inputs)
    order = np.argsort(np.abs(values).mean(axis=0))[-TOP:]
    figure, axes = _figure(height=1 + 0.35 * len(order))
    jitter = np.random.default_rng(0).uniform(-0.3, 0.3, rows.height)
    for place, index in enumerate(order):
        axes.scatter(values[:, index], place + jitter, c=colours[:, index], cmap="coolwarm", s=5, vmin=0, vmax=1)
    axes.axvline(0, color="grey", linewidth=0.5)
    axes.set_yticks(range(len(order)), [features[index] for index in order])
    axes.set(xlabel="SHAP value (margin); blue: low, red: high", title=f"SHAP summary, {rows.height} validation rows")
    return figure


def _ranks(inputs: xgboost.DMatrix) -> NDArray[Any]:
    """Each column's values (missing as 0) as ranks in 0..1: the colours."""
    dense = inputs.get_data().toarray()
    return np.apply_along_axis(lambda column: np.argsort(np.argsort(column)) / max(1, column.size - 1), 0, dense)


def _classified(label: NDArray[Any], predicted: NDArray[Any]) -> Figure:
    """ROC, precision and recall, and calibration."""
    order = np.argsort(-predicted, kind="stable")
    hits = np.cumsum(label[order])
    ranks = np.arange(1, label.size + 1)
    figure, (roc, precision, calibration) = _figure(13, 4, 3)
    roc.plot((ranks - hits) / max(1, label.size - hits[-1]), hits / hits[-1])
    roc.plot([0, 1], [0, 1], color="grey", linestyle=":")
    roc.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC, validation")
    precision.plot(hits / hits[-1], hits / ranks)
    precision.set(xlabel="recall", ylabel="precision", title="Precision and recall, validation")
    parts = [part for part in np.array_split(order, 10) if part.size]
    calibration.plot([predicted[p].mean() for p in parts], [label[p].mean() for p in parts], marker="o")
    calibration.axline((0, 0), slope=1, color="grey", linestyle=":")
    calibration.set(xlabel="predicted", ylabel="observed", title="Calibration, validation")
    return figure


def _residuals(label: NDArray[Any], predicted: NDArray[Any]) -> Figure:
    figure, (scatter, histogram) = _figure(10, 4, 2)
    scatter.scatter(predicted, label, s=3, alpha=0.4)
    scatter.axline((float(label.mean()), float(label.mean())), slope=1, color="grey", linestyle=":")
    scatter.set(xlabel="predicted", ylabel="observed", title="Validation")
    histogram.hist(label - predicted, bins=60)
    histogram.set(xlabel="observed - predicted", title="Residuals, validation")
    return figure
