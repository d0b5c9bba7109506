"""Fit gradient-boosted trees by histogram, stopped early by the validation split, then grown on both."""

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import xgboost
from numpy.typing import NDArray

from include.contracts.errors import ModelError
from include.contracts.training import TrainingSpec
from include.models.inputs import categories_of, feature_types, prepare
from include.training.data import Part, Splits

log = logging.getLogger("evergreen")

Parameters = dict[str, float | int | str]
TUNABLE = ("max_depth", "learning_rate", "subsample", "colsample_bytree", "min_child_weight", "reg_lambda")
EVERY = 50


@dataclass(frozen=True)
class Quantised:
    """Train and validation rows in XGBoost's bins, made once and used by every trial."""

    train: xgboost.QuantileDMatrix
    validation: xgboost.QuantileDMatrix
    categories: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        curves: Metric per round, by `train` and `validation`.
        best: Validation metric of the kept round.
    """

    booster: xgboost.Booster
    curves: dict[str, list[float]]
    best: float


def quantise(spec: TrainingSpec, splits: Splits) -> Quantised:
    """Bin the rows; the categories are those of the train split, and any other is missing."""
    categories = categories_of(splits.train.frame, spec.training_set.categorical)
    train = _bins(spec, splits.train, categories)
    return Quantised(train, _bins(spec, splits.validation, categories, ref=train), categories)


def _bins(
    spec: TrainingSpec, part: Part, categories: dict[str, tuple[str, ...]], ref: xgboost.DMatrix | None = None
) -> xgboost.QuantileDMatrix:
    features = spec.training_set.features
    return xgboost.QuantileDMatrix(
        prepare(part.frame, features, categories),
        part.label.astype(np.float32),
        feature_types=feature_types(features, categories),
        enable_categorical=True,
        nthread=spec.resources.cpu,
        ref=ref,
    )


def declared(spec: TrainingSpec) -> Parameters:
    """The parameters that the use case declares."""
    return {name: getattr(spec.trainer, name) for name in TUNABLE}


def fit(spec: TrainingSpec, data: Quantised, parameters: Parameters, device: str, quiet: bool = False) -> Fitted:
    """Grow trees until the validation metric stops gaining.

    Raises:
        ModelError: If XGBoost fails, out of memory among others.
    """
    curves: dict[str, dict[str, list[float]]] = {}
    metric = spec.task.eval_metric
    with _xgboost_errors():
        booster = xgboost.train(
            {**parameters, **_fixed(spec, device)},
            data.train,
            num_boost_round=spec.trainer.rounds,
            evals=[(data.train, "train"), (data.validation, "validation")],
            evals_result=curves,
            verbose_eval=False,
            callbacks=[
                xgboost.callback.EarlyStopping(rounds=spec.trainer.early_stopping, save_best=True),
                *([] if quiet else [_Progress(spec.trainer.rounds, metric)]),
            ],
        )
    return Fitted(booster, {name: list(by[metric]) for name, by in curves.items()}, float(booster.best_score))


def refit(
    spec: TrainingSpec, splits: Splits, stopped: Fitted, parameters: Parameters, device: str
) -> tuple[Fitted, Quantised]:
    """Grow the rounds that early stopping kept again, on training and validation rows together.

    Returns:
        The model, with the curves and the score of the stopped one, and what it was grown on.

    Raises:
        ModelError: If XGBoost fails, out of memory among others.
    """
    both = Part(
        pl.concat([splits.train.frame, splits.validation.frame]),
        np.concatenate([splits.train.label, splits.validation.label]),
    )
    categories = categories_of(both.frame, spec.training_set.categorical)
    rows, rounds = _bins(spec, both, categories), stopped.booster.num_boosted_rounds()
    log.info("training: %d rounds again, on all %d rows that may teach", rounds, both.rows)
    with _xgboost_errors():
        booster = xgboost.train({**parameters, **_fixed(spec, device)}, rows, num_boost_round=rounds)
    return Fitted(booster, stopped.curves, stopped.best), Quantised(rows, rows, categories)


@contextmanager
def _xgboost_errors() -> Iterator[None]:
    try:
        yield
    except xgboost.core.XGBoostError as error:
        raise ModelError("training", f"XGBoost: {str(error).strip().splitlines()[-1]}", _mend(str(error))) from error


def _mend(said: str) -> str:
    short = any(word in said.lower() for word in ("alloc", "memory"))
    return "raise UseCase.resources.memory, or train on fewer rows" if short else "look at the data and the parameters"


def _fixed(spec: TrainingSpec, device: str) -> dict[str, Any]:
    return {
        "objective": spec.task.objective,
        "eval_metric": spec.task.eval_metric,
        "tree_method": "hist",
        "device": device,
        "nthread": spec.resources.cpu,
        "seed": spec.trainer.seed,
    }


def gain(booster: xgboost.Booster, features: tuple[str, ...]) -> dict[str, float]:
    """Share of the model's total gain by feature; sums to 1, all 0 where no tree split."""
    found = booster.get_score(importance_type="total_gain")
    total = sum(float(np.sum(value)) for value in found.values())
    return {name: float(np.sum(found.get(name, 0.0))) / total if total else 0.0 for name in features}


def predictions(spec: TrainingSpec, booster: xgboost.Booster, part: Part, data: Quantised) -> NDArray[np.float32]:
    """Predictions of one part of the training set."""
    if not part.rows:
        return np.empty(0, dtype=np.float32)
    features = spec.training_set.features
    rows = xgboost.DMatrix(
        prepare(part.frame, features, data.categories),
        feature_types=feature_types(features, data.categories),
        enable_categorical=True,
        nthread=spec.resources.cpu,
    )
    return np.asarray(booster.predict(rows), dtype=np.float32)


class _Progress(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """A line every few rounds, so that people see that it lives."""

    def __init__(self, rounds: int, metric: str) -> None:
        self.rounds, self.metric, self.started = rounds, metric, time.monotonic()

    def after_iteration(
        self,
        model: Any,  # noqa: ARG002
        epoch: int,
        evals_log: dict[str, dict[str, list[float]]],
    ) -> bool:
        """Called by XGBoost after each round; False goes on."""
        done = epoch + 1
        if done == 1 or done % EVERY == 0 or done == self.rounds:
            said = "  ".join(f"{name} {self.metric} {by[self.metric][-1]:.4f}" for name, by in evals_log.items())
            log.info("training: round %d of at most %d  %s  %.1f s", done, self.rounds, said, self._seconds())
        return False

    def _seconds(self) -> float:
        return time.monotonic() - self.started
