"""Evidently measures a window: its scores are the verdict's, its report is what people open."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from include.monitoring.scores import Score, method


@dataclass
class Evidently:
    """A `Scorer` that keeps the report of the last window it measured.

    Attributes:
        last: Evidently's snapshot of that window; None before the first.
    """

    last: Any = field(default=None, init=False)

    def __call__(
        self,
        reference: pl.DataFrame,
        window: pl.DataFrame,
        limits: Mapping[str, float],
        categorical: frozenset[str],
    ) -> dict[str, Score]:
        """Measure every column of `limits`; a column drifted where Evidently's own test fails."""
        os.environ.setdefault("DO_NOT_TRACK", "1")
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

        metrics = [ValueDrift(column=n, method=method(n, categorical), threshold=t) for n, t in limits.items()]
        definition = DataDefinition(
            numerical_columns=[name for name in limits if name not in categorical],
            categorical_columns=[name for name in limits if name in categorical],
        )
        sides = [
            Dataset.from_pandas(f.select(*limits).to_pandas(), data_definition=definition) for f in (window, reference)
        ]
        self.last = Report(metrics, include_tests=True).run(*sides)
        return _scores(self.last.dict())


def _scores(report: dict[str, Any]) -> dict[str, Score]:
    failed = {t["metric_config"]["params"]["column"]: t["status"].value == "FAIL" for t in report["tests"]}
    values = {metric["config"]["column"]: float(metric["value"]) for metric in report["metrics"]}
    return {name: Score(value, failed[name]) for name, value in values.items()}
