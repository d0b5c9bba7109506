"""What XGBoost calls after each round: early stopping that survives an interruption, and a sign of life."""

import logging
import time
from typing import Any

import xgboost

from include.training.engine import Curves

log = logging.getLogger("evergreen")

EVERY = 50
"""Rounds between two lines."""


class Stop(xgboost.callback.EarlyStopping):  # type: ignore[misc]
    """Early stopping that knows the rounds of an earlier attempt: it stops where that one would have stopped."""

    def __init__(self, rounds: int, metric: str, past: Curves) -> None:
        super().__init__(rounds=rounds, save_best=True)
        self.metric, self.past = metric, past

    def before_training(self, model: Any) -> Any:
        """Called by XGBoost first: live through the past rounds, so that best round and patience are right."""
        model = super().before_training(model)
        grown = model.num_boosted_rounds()
        self.starting_round = 0
        for epoch in range(grown):
            then = {name: {self.metric: values[epoch : epoch + 1]} for name, values in self.past.items()}
            super().after_iteration(model, epoch, then)
        self.starting_round = grown
        return model


class Progress(xgboost.callback.TrainingCallback):  # type: ignore[misc]
    """A line every few rounds, so that people see that it lives."""

    def __init__(self, done: int, rounds: int, metric: str) -> None:
        self.done, self.rounds, self.metric, self.started = done, rounds, metric, time.monotonic()

    def after_iteration(
        self,
        model: Any,  # noqa: ARG002
        epoch: int,
        evals_log: dict[str, dict[str, list[float]]],
    ) -> bool:
        """Called by XGBoost after each round; False goes on."""
        done = self.done + epoch + 1
        if xgboost.collective.get_rank() == 0 and (epoch == 0 or done % EVERY == 0 or done == self.rounds):
            said = "  ".join(f"{name} {self.metric} {by[self.metric][-1]:.4f}" for name, by in evals_log.items())
            log.info("training: round %d of at most %d  %s  %.1f s", done, self.rounds, said, self._seconds())
        return False

    def _seconds(self) -> float:
        return time.monotonic() - self.started
