"""The training set: held to its digest, guarded against leaks, split by time."""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.errors import DataError
from include.contracts.training import TrainingSpec
from include.lake import object_store
from include.models.inputs import as_text
from include.training.rows import Part, Stored, between, held, stored, streamed

log = logging.getLogger("evergreen")

NEVER_FEATURES = frozenset({"label_time", "event_timestamp", "created", "created_at", "prediction"})
"""Columns that say when or what, never why: as inputs they leak or mean nothing."""
LEAK = 0.9999
KEY_LIKE = 1_000


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


def load(spec: TrainingSpec, folder: Path) -> Splits:
    """Download the training set into `folder`, hold it to its digest, and split it.

    Rows that do not fit into the memory of the spec are left in the file, which must then stay where it is.

    Raises:
        DataError: If the file is missing or changed, a column is missing or leaks, or a split cannot teach.
    """
    _guard_names(spec)
    path = folder / "training_set.parquet"
    _download(spec, path)
    if streamed(spec):
        log.info("training: %d rows are read in batches, not held in memory", spec.training_set.rows)
        splits = _split_stored(spec, stored(spec, path))
    else:
        splits = split(spec, _read(spec, path))
        path.unlink()
    for name, part in (("train", splits.train), ("validation", splits.validation), ("fresh", splits.fresh)):
        _guard_label(spec, name, part.label)
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


def _download(spec: TrainingSpec, path: Path) -> None:
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


def _read(spec: TrainingSpec, path: Path) -> pl.DataFrame:
    given = spec.training_set
    columns = [*given.features, given.label, given.event_time]
    try:
        return pl.read_parquet(path, columns=columns)
    except pl.exceptions.PolarsError as error:
        raise DataError("training set", f"{given.uri}: {error}", "compare with the feature service") from error


def split(spec: TrainingSpec, frame: pl.DataFrame) -> Splits:
    """Split the rows by event time as the training set says."""
    given = spec.training_set
    kind = frame.schema[given.event_time]
    _guard_count(spec, frame.height)
    if not isinstance(kind, pl.Datetime):
        raise DataError("training set", f"{given.event_time} is no time", "look at the spine")
    bounds = ((None, given.validation_from), (given.validation_from, given.fresh_from), (given.fresh_from, None))
    parts = [frame.filter(between(kind, given.event_time, *bound)) for bound in bounds]
    return Splits(*(held(part, given.label) for part in parts))


def _split_stored(spec: TrainingSpec, rows: Stored) -> Splits:
    given = spec.training_set
    splits = Splits(
        replace(rows, ends=given.validation_from),
        replace(rows, begins=given.validation_from, ends=given.fresh_from),
        replace(rows, begins=given.fresh_from),
    )
    _guard_count(spec, sum(splits.rows.values()))
    return splits


def _guard_count(spec: TrainingSpec, rows: int) -> None:
    if rows != spec.training_set.rows:
        raise DataError("training set", f"{rows} rows in place of {spec.training_set.rows}", "build it again")


def _guard_label(spec: TrainingSpec, split: str, label: NDArray[np.float64]) -> None:
    name = spec.training_set.label
    bad = int((~np.isfinite(label)).sum())
    if bad:
        raise DataError("training set", f"{bad} rows without a finite {name}", "look at the label in features.py")
    if spec.task.kind == "binary" and not np.isin(label, (0.0, 1.0)).all():
        raise DataError("training set", f"{name} holds other values than 0 and 1", "look at the label in features.py")
    if split != "fresh" and (label.size < 2 or np.ptp(label) == 0):
        said = f"{label.size} rows" if label.size < 2 else f"the label is {label[0]:g} in all {label.size} rows"
        raise DataError("training set", f"{split} split: {said}", "wait for more batches, or look at the label")


def _guard_values(spec: TrainingSpec, train: Part) -> None:
    """Refuse an input that is the label in disguise, or a key; where rows are read in batches, the first stands."""
    frame = next(train.frames())
    for name in spec.training_set.features:
        column = frame.get_column(name)
        if name in spec.training_set.categorical:
            distinct = as_text(column).n_unique()
            if distinct > KEY_LIKE and distinct > frame.height / 2:
                raise _leak(name, f"has {distinct:,} categories in {frame.height:,} rows: it is a key")
        elif column.dtype.is_numeric() and abs(_correlation(column, train.label[: frame.height])) > LEAK:
            raise _leak(name, f"correlates with {spec.training_set.label} by more than {LEAK}: it is the label")


def _correlation(column: pl.Series, label: NDArray[np.float64]) -> float:
    values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
    known = np.isfinite(values)
    if known.sum() < 100 or np.ptp(values[known]) == 0 or np.ptp(label[known]) == 0:
        return 0.0
    return float(np.corrcoef(values[known], label[known])[0, 1])


def _leak(name: str, why: str) -> DataError:
    return DataError("training set", f"feature {name} {why}", "take it out of the feature service")
