"""The training set: held to its digest, guarded against leaks, split by time."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.errors import DataError
from include.contracts.training import TrainingSpec
from include.lake import object_store
from include.models.inputs import as_text

NEVER_FEATURES = frozenset({"label_time", "event_timestamp", "created", "created_at", "prediction"})
"""Columns that say when or what, never why: as inputs they leak or mean nothing."""
LEAK = 0.9999
KEY_LIKE = 1_000


@dataclass(frozen=True)
class Part:
    """One part of the training set.

    Attributes:
        frame: Features, label and event time, as they were in the file.
    """

    frame: pl.DataFrame
    label: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """Count of rows."""
        return self.frame.height


@dataclass(frozen=True)
class Splits:
    """The training set by time: `train` teaches, `validation` stops, `fresh` is only predicted here."""

    train: Part
    validation: Part
    fresh: Part

    @property
    def rows(self) -> dict[str, int]:
        """Count of rows by split."""
        return {"train": self.train.rows, "validation": self.validation.rows, "fresh": self.fresh.rows}


def load(spec: TrainingSpec) -> Splits:
    """Download the training set, hold it to its digest, and split it.

    Raises:
        DataError: If the file is missing or changed, a column is missing or leaks, or a split cannot teach.
    """
    _guard_names(spec)
    with tempfile.TemporaryDirectory() as folder:
        splits = split(spec, _read(spec, Path(folder) / "training_set.parquet"))
    _guard_values(spec, splits.train)
    return splits


def _guard_names(spec: TrainingSpec) -> None:
    given = spec.training_set
    forbidden = {given.label, given.event_time, *NEVER_FEATURES} & set(given.features)
    if forbidden:
        raise _leak(", ".join(sorted(forbidden)), "is the label, a time or a prediction")
    if given.label != spec.task.label:
        raise DataError("training set", f"its label is {given.label}, the task's {spec.task.label}", "build it again")
    undeclared = set(given.categorical) - set(given.features)
    if undeclared or not given.features:
        said = f"categorical columns that are no features: {sorted(undeclared)}" if undeclared else "it has no features"
        raise DataError("training set", said, "look at the feature service and at UseCase.categorical")


def _read(spec: TrainingSpec, path: Path) -> pl.DataFrame:
    given = spec.training_set
    try:
        digest = object_store(given.uri).download(given.uri, path)
    except FileNotFoundError as error:
        raise DataError("training set", f"{given.uri} does not exist", "run build_training_set again") from error
    if digest != given.digest:
        raise DataError(
            "training set",
            f"{given.uri} has SHA-256 {digest[:12]}.. in place of {given.digest[:12]}..: it was changed or cut",
            "run build_training_set again; find out who writes to that folder",
        )
    columns = [*given.features, given.label, given.event_time]
    try:
        return pl.read_parquet(path, columns=columns)
    except pl.exceptions.PolarsError as error:
        raise DataError("training set", f"{given.uri}: {error}", "compare with the feature service") from error


def split(spec: TrainingSpec, frame: pl.DataFrame) -> Splits:
    """Split the rows by event time as the training set says."""
    given = spec.training_set
    if frame.height != given.rows:
        raise DataError("training set", f"{frame.height} rows in place of {given.rows}", "build it again")
    if not isinstance(frame.schema[given.event_time], pl.Datetime):
        raise DataError("training set", f"{given.event_time} is no time", "look at the spine")
    at = pl.col(given.event_time)
    at = at if frame.schema[given.event_time].time_zone else at.dt.replace_time_zone("UTC")  # type: ignore[attr-defined]
    before, fresh = at < given.validation_from, at >= given.fresh_from
    parts = [_part(spec, frame.filter(which)) for which in (before, ~before & ~fresh, fresh)]
    splits = Splits(*parts)
    for name in ("train", "validation"):
        part: Part = getattr(splits, name)
        if part.rows < 2 or np.ptp(part.label) == 0:
            said = f"{part.rows} rows" if part.rows < 2 else f"the label is {part.label[0]:g} in all {part.rows} rows"
            raise DataError("training set", f"{name} split: {said}", "wait for more batches, or look at the label")
    return splits


def _part(spec: TrainingSpec, frame: pl.DataFrame) -> Part:
    name = spec.training_set.label
    label = frame.get_column(name).cast(pl.Float64, strict=False).to_numpy()
    bad = int((~np.isfinite(label)).sum())
    if bad:
        raise DataError("training set", f"{bad} rows without a finite {name}", "look at the label in features.py")
    if spec.task.kind == "binary" and not np.isin(label, (0.0, 1.0)).all():
        raise DataError("training set", f"{name} holds other values than 0 and 1", "look at the label in features.py")
    return Part(frame, label)


def _guard_values(spec: TrainingSpec, train: Part) -> None:
    """Refuse an input that is the label in disguise, or a key."""
    for name in spec.training_set.features:
        column = train.frame.get_column(name)
        if name in spec.training_set.categorical:
            distinct = as_text(column).n_unique()
            if distinct > KEY_LIKE and distinct > train.rows / 2:
                raise _leak(name, f"has {distinct:,} categories in {train.rows:,} rows: it is a key")
        elif column.dtype.is_numeric() and abs(_correlation(column, train.label)) > LEAK:
            raise _leak(name, f"correlates with {spec.training_set.label} by more than {LEAK}: it is the label")


def _correlation(column: pl.Series, label: NDArray[np.float64]) -> float:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = np.isfinite(values)
    if known.sum() < 100 or np.ptp(values[known]) == 0 or np.ptp(label[known]) == 0:
        return 0.0
    return float(np.corrcoef(values[known], label[known])[0, 1])


def _leak(name: str, why: str) -> DataError:
    return DataError("training set", f"feature {name} {why}", "take it out of the feature service")
