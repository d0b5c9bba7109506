"""What the champion was trained on, as monitoring compares with it."""

import tempfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.errors import ModelError
from include.contracts.training import Artifact, TrainingManifest
from include.models.manifest import REFERENCE, artifact, download
from include.monitoring.columns import tidy

PREDICTION = "prediction"
CALIBRATION_ROWS = 200_000
"""Most rows that thresholds are calibrated on."""
SAMPLE_ROWS = 10_000
"""Rows that Evidently compares a window with."""
SEED = 0


@dataclass(frozen=True)
class Sample:
    """Rows in the order of time.

    Attributes:
        frame: Tidy columns.
        seconds: Time of each row, ascending.
        categorical: Which columns are categories.
        rows: Rows that there were before sampling.
    """

    frame: pl.DataFrame
    seconds: NDArray[np.float64]
    categorical: frozenset[str]
    rows: int

    @cached_property
    def small(self) -> pl.DataFrame:
        """A seeded sample of at most `SAMPLE_ROWS` rows."""
        count = min(SAMPLE_ROWS, self.frame.height)
        return self.frame.sample(count, seed=SEED)

    @cached_property
    def missing(self) -> dict[str, float]:
        """Share of missing values by column."""
        count = max(self.frame.height, 1)
        return {name: column.null_count() / count for name, column in zip(self.frame.columns, self.frame, strict=True)}


@dataclass(frozen=True)
class Reference:
    """Reference of one model.

    Attributes:
        features: Its training set.
        predictions: Its out-of-sample predictions (validation and fresh rows).
        manifest: Its manifest.
    """

    features: Sample
    predictions: Sample
    manifest: TrainingManifest


def read(manifest: TrainingManifest) -> Reference:
    """The reference of a model, each file held to its digest first.

    Raises:
        ModelError: If a file is gone or changed, or holds no predictions.
    """
    training_set = manifest.training_set
    categorical = frozenset(manifest.categories)
    whole = Artifact(uri=training_set.uri, digest=training_set.digest, size=0)
    features = _read(whole, [training_set.event_time, *manifest.features])
    judged = _read(artifact(manifest, REFERENCE), None)
    if PREDICTION not in judged.columns:
        raise ModelError("monitoring reference", f"{REFERENCE} has no column {PREDICTION}", "train again")
    return Reference(
        features=_sample(features, training_set.event_time, manifest.features, categorical),
        predictions=_sample(judged, training_set.event_time, (PREDICTION,), frozenset()),
        manifest=manifest,
    )


def _read(found: Artifact, columns: list[str] | None) -> pl.DataFrame:
    with tempfile.TemporaryDirectory() as folder:
        path = download(found, Path(folder) / "rows.parquet")
        return pl.read_parquet(path, columns=list(dict.fromkeys(columns)) if columns else None)


def _sample(rows: pl.DataFrame, time: str, columns: tuple[str, ...], categorical: frozenset[str]) -> Sample:
    count = rows.height
    if count > CALIBRATION_ROWS:
        rows = rows.sample(CALIBRATION_ROWS, seed=SEED)
    if time in rows.columns:
        rows = rows.sort(time, maintain_order=True)
        seconds = rows.get_column(time).dt.epoch("us").to_numpy() / 1e6
    else:
        seconds = np.arange(rows.height, dtype=np.float64)
    return Sample(tidy(rows, columns, categorical), np.asarray(seconds, np.float64), categorical, count)


def describe(reference: Reference) -> dict[str, Any]:
    """Sizes of the reference, for the report."""
    return {
        "reference_rows": reference.features.rows,
        "calibration_rows": reference.features.frame.height,
        "compared_rows": min(SAMPLE_ROWS, reference.features.frame.height),
        "reference_predictions": reference.predictions.rows,
    }
