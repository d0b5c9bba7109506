"""The rows that judge: fresh, labelled, and seen by neither model's training."""

import tempfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.data import TrainingSet
from include.contracts.errors import DataError
from include.contracts.training import Artifact
from include.models.manifest import download


@dataclass(frozen=True)
class JudgingRows:
    """What the gate looks at.

    Attributes:
        fresh: Rows that judge, with all columns of the training set.
        label: Their labels.
        seen: Rows that the challenger's training saw, for the baseline.
        seen_label: Their labels.
        starts: First instant that counts as fresh for both models.
    """

    fresh: pl.DataFrame
    label: NDArray[np.float64]
    seen: pl.DataFrame
    seen_label: NDArray[np.float64]
    starts: datetime


def judging_rows(given: TrainingSet, champion: TrainingSet | None) -> JudgingRows:
    """Read the fresh part of the challenger's training set.

    A row counts as unseen by the champion from the champion's own `fresh_from` on: those rows chose the champion, but
    no tree was grown or stopped by them.

    Raises:
        ModelError: If the file is missing or its SHA-256 differs.
        DataError: If no row is left.
    """
    starts = max(given.fresh_from, champion.fresh_from) if champion else given.fresh_from
    with tempfile.TemporaryDirectory() as folder:
        path = download(Artifact(uri=given.uri, digest=given.digest, size=0), Path(folder) / "training_set.parquet")
        frame = pl.read_parquet(path)
    zoned = frame.schema[given.event_time]
    at = pl.col(given.event_time)
    if isinstance(zoned, pl.Datetime) and zoned.time_zone is None:
        at = at.dt.replace_time_zone("UTC")
    fresh, seen = frame.filter(at >= starts), frame.filter(at < given.fresh_from)
    if fresh.is_empty():
        raise DataError(
            "evaluation", f"no row after {starts:%Y-%m-%d %H:%M}", "wait for newer labelled rows, or shorten Gate.fresh"
        )
    return JudgingRows(fresh, _label(given, fresh), seen, _label(given, seen), starts)


def _label(given: TrainingSet, frame: pl.DataFrame) -> NDArray[np.float64]:
    label = frame.get_column(given.label).cast(pl.Float64).to_numpy()
    if not np.isfinite(label).all():
        raise DataError("evaluation", f"rows without a finite {given.label}", "build the training set again")
    return np.asarray(label)
