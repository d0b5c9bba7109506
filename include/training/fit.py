"""Fit gradient-boosted trees by histogram, stopped early by the validation split, then grown on both."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost
from numpy.typing import NDArray

from include.contracts.errors import ModelError
from include.contracts.training import TrainingSpec
from include.models.inputs import as_text, categories_of, matrix
from include.training.callbacks import Progress, Stop
from include.training.checkpoints import Checkpoint, Checkpoints, after
from include.training.data import Splits
from include.training.engine import Curves, Engine, Parameters
from include.training.rows import Held, Part, joined

log = logging.getLogger("evergreen")

TUNABLE = ("max_depth", "learning_rate", "subsample", "colsample_bytree", "min_child_weight", "reg_lambda")


@dataclass(frozen=True)
class Quantised:
    """Train and validation rows in XGBoost's bins, made once and used by every trial."""

    engine: Engine
    train: Any
    validation: Any
    categories: dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Fitted:
    """A fitted model.

    Attributes:
        curves: Metric per round, by `train` and `validation`.
        best: Validation metric of the kept round.
    """

    booster: xgboost.Booster
    curves: Curves
    best: float


def quantise(spec: TrainingSpec, splits: Splits, engine: Engine) -> Quantised:
    """Bin the rows; the categories are those of the train split, and any other is missing."""
    categories = _categories(spec, splits.train)
    train = engine.bins(splits.train, categories)
    return Quantised(engine, train, engine.bins(splits.validation, categories, train), categories)


def _categories(spec: TrainingSpec, part: Part) -> dict[str, tuple[str, ...]]:
    names = spec.training_set.categorical
    if isinstance(part, Held):
        return categories_of(part.frame, names)
    found: dict[str, set[str]] = {name: set() for name in names}
    for frame in part.frames() if names else ():
        for name in names:
            found[name] |= set(as_text(frame.get_column(name)).drop_nulls().unique().to_list())
    return {name: tuple(sorted(values)) for name, values in found.items()}


def declared(spec: TrainingSpec) -> Parameters:
    """The parameters that the use case declares."""
    return {name: getattr(spec.trainer, name) for name in TUNABLE}


def fit(spec: TrainingSpec, data: Quantised, parameters: Parameters, checkpoints: Checkpoints | None = None) -> Fitted:
    """Grow trees until the validation metric stops gaining.

    Args:
        spec: What is trained.
        data: Binned rows.
        parameters: Of the trees.
        checkpoints: Where an interrupted attempt left off; None for one trial among many, which is also quiet.

    Raises:
        ModelError: If XGBoost fails, out of memory among others.
    """
    past, model = _past(checkpoints, "fit", parameters)
    done, rounds, metric = past.round if past else 0, spec.trainer.rounds, spec.task.eval_metric
    stop = Stop(spec.trainer.early_stopping, metric, past.curves if past else {})
    if checkpoints is None:
        more: list[Any] = []
    else:
        more = [Progress(done, rounds, metric), *checkpoints.keep("fit", parameters, past)]
    with _xgboost_errors():
        evals = [(data.train, "train"), (data.validation, "validation")]
        booster, curves = data.engine.grow(
            {**parameters, **_fixed(spec)}, data.train, rounds - done, evals, [stop, *more], model
        )
    return Fitted(booster, after(past.curves if past else {}, curves), float(booster.best_score))


def refit(
    spec: TrainingSpec, splits: Splits, stopped: Fitted, data: Quantised, parameters: Parameters, kept: Checkpoints
) -> tuple[Fitted, Quantised]:
    """Grow the rounds that early stopping kept again, on training and validation rows together.

    Returns:
        The model, with the curves and the score of the stopped one, and what it was grown on.

    Raises:
        ModelError: If XGBoost fails, out of memory among others.
    """
    both = joined(splits.train, splits.validation)
    categories = _categories(spec, both)
    rows, rounds = data.engine.bins(both, categories), stopped.booster.num_boosted_rounds()
    log.info("training: %d rounds again, on all %d rows that may teach", rounds, both.rows)
    past, model = _past(kept, "refit", parameters)
    callbacks = kept.keep("refit", parameters, past)
    with _xgboost_errors():
        booster, _ = data.engine.grow(
            {**parameters, **_fixed(spec)}, rows, rounds - (past.round if past else 0), (), callbacks, model
        )
    return Fitted(booster, stopped.curves, stopped.best), Quantised(data.engine, rows, rows, categories)


def _past(
    checkpoints: Checkpoints | None, stage: str, parameters: Parameters
) -> tuple[Checkpoint | None, bytes | None]:
    found = checkpoints.last(stage, parameters) if checkpoints else None
    return found if found else (None, None)


@contextmanager
def _xgboost_errors() -> Iterator[None]:
    try:
        yield
    except xgboost.core.XGBoostError as error:
        raise ModelError("training", f"XGBoost: {str(error).strip().splitlines()[-1]}", _mend(str(error))) from error


def _mend(said: str) -> str:
    short = any(word in said.lower() for word in ("alloc", "memory"))
    return "raise UseCase.resources.memory, or train on fewer rows" if short else "look at the data and the parameters"


def _fixed(spec: TrainingSpec) -> dict[str, Any]:
    return {
        "objective": spec.task.objective,
        "eval_metric": spec.task.eval_metric,
        "tree_method": "hist",
        "seed": spec.trainer.seed,
    }


def gain(booster: xgboost.Booster, features: tuple[str, ...]) -> dict[str, float]:
    """Share of the model's total gain by feature; sums to 1, all 0 where no tree split."""
    found = booster.get_score(importance_type="total_gain")
    total = sum(float(np.sum(value)) for value in found.values())
    return {name: float(np.sum(found.get(name, 0.0))) / total if total else 0.0 for name in features}


def predictions(spec: TrainingSpec, booster: xgboost.Booster, part: Part, data: Quantised) -> NDArray[np.float32]:
    """Predictions of one part of the training set."""
    features, threads = spec.training_set.features, spec.resources.cpu
    found = [
        np.asarray(booster.predict(matrix(frame, features, data.categories, threads)), dtype=np.float32)
        for frame in part.frames()
        if frame.height
    ]
    return np.concatenate(found) if found else np.empty(0, dtype=np.float32)
