"""The scores of a model, from labels and predictions; higher is better unless it says otherwise."""

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]


def score(name: str, label: Numbers, prediction: Numbers) -> float:
    """The deciding metric `name`: `roc_auc` or `r2`."""
    return {"roc_auc": roc_auc, "r2": r2}[name](label, prediction)


def roc_auc(label: Numbers, prediction: Numbers) -> float:
    """Chance that a random 1 is ranked above a random 0, ties counting half; NaN where a class is missing."""
    positive = label > 0.5
    ones = int(positive.sum())
    zeros = positive.size - ones
    if not ones or not zeros:
        return float("nan")
    _, inverse, counts = np.unique(prediction, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    rank = (ends - (counts - 1) / 2)[inverse]
    return float((rank[positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def r2(label: Numbers, prediction: Numbers) -> float:
    """Share of the label's variance that is explained; NaN where the label is constant."""
    total = float(((label - label.mean()) ** 2).sum())
    return 1.0 - float(((label - prediction) ** 2).sum()) / total if total > 0 else float("nan")


def rmse(label: Numbers, prediction: Numbers) -> float:
    """Root of the mean squared error; lower is better."""
    return float(np.sqrt(((label - prediction) ** 2).mean()))


def brier(label: Numbers, prediction: Numbers) -> float:
    """Mean squared error of the probabilities; lower is better."""
    return float(((label - prediction) ** 2).mean())


def log_loss(label: Numbers, prediction: Numbers) -> float:
    """Mean negative log-likelihood; lower is better."""
    sure = np.clip(prediction, 1e-7, 1 - 1e-7)
    return float(-(label * np.log(sure) + (1 - label) * np.log(1 - sure)).mean())


def calibration_error(label: Numbers, prediction: Numbers, bins: int = 10) -> float:
    """Expected calibration error over `bins` bins of equally many rows; lower is better."""
    order = np.argsort(prediction, kind="stable")
    parts = [part for part in np.array_split(order, bins) if part.size]
    gaps = [abs(float(label[part].mean() - prediction[part].mean())) * part.size for part in parts]
    return float(sum(gaps) / label.size)
