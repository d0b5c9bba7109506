"""Search for better parameters: Optuna, a fixed budget of trials, seeded. The fresh rows take no part."""

import logging
from typing import Any

import optuna

from include.contracts.training import TrainingSpec
from include.training.engine import Parameters
from include.training.fit import Quantised, declared, fit

log = logging.getLogger("evergreen")

GRID: dict[str, list[float | int]] = {"max_depth": [4, 6, 8], "learning_rate": [0.05, 0.1, 0.2]}


def tune(spec: TrainingSpec, data: Quantised) -> tuple[Parameters, list[dict[str, Any]]]:
    """Try parameters and keep the best by the validation metric; the declared ones are the first trial.

    Returns:
        The best parameters, and every trial with its parameters and value.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    direction = "maximize" if spec.task.eval_metric == "auc" else "minimize"
    study = optuna.create_study(sampler=_sampler(spec), direction=direction)
    if spec.trainer.tuning.sampler != "grid":
        study.enqueue_trial(declared(spec))

    def objective(trial: optuna.Trial) -> float:
        parameters = {**declared(spec), **_suggest(trial, spec.trainer.tuning.sampler)}
        value = fit(spec, data, parameters).best
        log.info("tuning: trial %d of %d  %.4f", trial.number + 1, spec.trainer.tuning.trials, value)
        return value

    study.optimize(objective, n_trials=spec.trainer.tuning.trials)
    trials = [{"trial": t.number, "value": t.value, "parameters": t.params} for t in study.trials]
    return {**declared(spec), **study.best_params}, trials


def _sampler(spec: TrainingSpec) -> optuna.samplers.BaseSampler:
    seed = spec.trainer.seed
    name = spec.trainer.tuning.sampler
    if name == "grid":
        return optuna.samplers.GridSampler(GRID, seed=seed)
    return optuna.samplers.RandomSampler(seed=seed) if name == "random" else optuna.samplers.TPESampler(seed=seed)


def _suggest(trial: optuna.Trial, sampler: str) -> Parameters:
    if sampler == "grid":
        return {name: trial.suggest_categorical(name, values) for name, values in GRID.items()}
    return {
        "max_depth": trial.suggest_int("max_depth", 3, 10),
        "learning_rate": trial.suggest_float("learning_rate", 0.02, 0.3, log=True),
        "subsample": trial.suggest_float("subsample", 0.6, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.5, 1.0),
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20.0, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 0.1, 10.0, log=True),
    }
