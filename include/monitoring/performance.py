"""How good the predictions were, as they were made, once labels are known."""

import math
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from include.contracts.scoring import Scored
from include.contracts.use_case import UseCase
from include.lake import Lake
from include.models.scores import score

LABEL_TIME = "label_time"
ENOUGH = 0.5
"""A metric stands on at least this share of a window's minimum rows."""


@dataclass(frozen=True)
class Labels:
    """Labels of a batch.

    Attributes:
        rows: Predictions with the label where it is known by `as_of`, else null.
        known: How many are known.
        due: When the last label becomes known; None where no row says.
    """

    rows: pl.DataFrame
    known: int
    due: datetime | None


def labels(use_case: UseCase, lake: Lake, scored: Scored, predictions: pl.DataFrame, as_of: datetime) -> Labels:
    """Join the labels that are known by `as_of` to the predictions as they were made.

    Args:
        use_case: The declaration.
        lake: Where the spine is.
        scored: The batch.
        predictions: Its rows.
        as_of: Labels that become known later are not seen.
    """
    label, keys = use_case.task.label, list(dict.fromkeys([*use_case.entity_keys, use_case.event_time]))
    spine = lake.scan("spine", [scored.batch])
    if spine is None:
        return Labels(predictions.with_columns(pl.lit(None, pl.Float64).alias(label)), 0, None)
    there = spine.select(*keys, pl.col(label).cast(pl.Float64), LABEL_TIME).collect()
    then = pl.lit(as_of, pl.Datetime("us", "UTC"))
    known = there.filter(pl.col(label).is_not_null(), pl.col(LABEL_TIME) <= then).drop(LABEL_TIME)
    unique = known.unique(subset=keys, keep="first", maintain_order=True)
    rows = predictions.join(unique, on=keys, how="left", nulls_equal=True, maintain_order="left")
    due = there.filter(pl.col(label).is_not_null()).get_column(LABEL_TIME).max()
    return Labels(rows, rows.height - rows.get_column(label).null_count(), due if isinstance(due, datetime) else None)


def performance(use_case: UseCase, rows: pl.DataFrame) -> tuple[float | None, int]:
    """The deciding metric on the labelled rows, and their number.

    Returns:
        None where too few labels are in, or the metric is undefined on them (one class only).
    """
    labelled = rows.filter(pl.col(use_case.task.label).is_not_null())
    if labelled.height < max(1.0, ENOUGH * use_case.monitoring.minimum_rows):
        return None, labelled.height
    found = score(
        use_case.task.metric,
        labelled.get_column(use_case.task.label).to_numpy(),
        labelled.get_column("prediction").to_numpy(),
    )
    return (found if math.isfinite(found) else None), labelled.height
