"""Rows of the training set: held in memory, or left in the file and read in batches where memory is too small."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.errors import DataError
from include.contracts.training import TrainingSpec

if TYPE_CHECKING:
    import pyarrow.parquet as pq

HELD = 8
"""Memory that training on held rows takes at its peak, in sizes of the same rows as float32.

The frame, its splits and its bins live at once; float64 columns are twice as large to begin with.
"""
BATCH_SHARE, BATCH_BYTES = 64, 64 << 20
"""A batch as float64 is this share of the memory, and never larger than so many bytes."""


class Part(Protocol):
    """One part of the training set: features, label and event time, as they are in the file."""

    @property
    def rows(self) -> int:
        """Count of rows."""

    @property
    def label(self) -> NDArray[np.float64]:
        """The label of every row."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in the order of the label, in one frame or several."""

    def sample(self, count: int, seed: int) -> pl.DataFrame:
        """About `count` of the rows."""


@dataclass(frozen=True)
class Held:
    """Rows in memory."""

    frame: pl.DataFrame
    label: NDArray[np.float64]

    @property
    def rows(self) -> int:
        """Count of rows."""
        return self.frame.height

    def frames(self) -> Iterator[pl.DataFrame]:
        """All rows at once."""
        yield self.frame

    def sample(self, count: int, seed: int) -> pl.DataFrame:
        """`count` of the rows, or all."""
        return self.frame.sample(min(count, self.rows), seed=seed)


@dataclass(frozen=True)
class Stored:
    """Rows in a Parquet file, between two instants; the file's statistics say which row groups are read at all.

    Attributes:
        begins: First instant, None from the file's first row.
        ends: First instant after, None to the file's last row.
        batch: Rows read at once.
        share: Which of `shares` equal shares of the rows is kept: one for each of several workers.
    """

    path: Path
    columns: tuple[str, ...]
    name: str
    time: str
    batch: int
    begins: datetime | None = None
    ends: datetime | None = None
    share: int = 0
    shares: int = 1

    @cached_property
    def label(self) -> NDArray[np.float64]:
        """The label of every row; the one column that is kept."""
        found = [_label(frame, self.name) for frame in self._read((self.name,))]
        return np.concatenate(found) if found else np.empty(0)

    @property
    def rows(self) -> int:
        """Count of rows."""
        return int(self.label.size)

    def frames(self) -> Iterator[pl.DataFrame]:
        """The rows in batches."""
        return self._read(self.columns)

    def sample(self, count: int, seed: int) -> pl.DataFrame:
        """About `count` of the rows, from every batch alike."""
        share = min(1.0, count / max(1, self.rows))
        return pl.concat([frame.sample(fraction=share, seed=seed) for frame in self.frames()])

    def split(self, shares: int) -> list["Stored"]:
        """The same rows in `shares` parts."""
        return [replace(self, share=share, shares=shares) for share in range(shares)]

    def _read(self, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        import pyarrow.parquet as pq  # here and below: rows in memory never need Arrow, which is large

        wanted = list(dict.fromkeys([*columns, self.time]))
        file = pq.ParquetFile(self.path)
        for batch in file.iter_batches(self.batch, row_groups=self._groups(file), columns=wanted, use_threads=False):
            frame = pl.DataFrame(pl.from_arrow(batch)).select(wanted)  # Parquet's order is the file's
            kept = frame.filter(between(frame.schema[self.time], self.time, self.begins, self.ends))
            kept = kept.select(columns).gather_every(self.shares, self.share)
            if kept.height:
                yield kept

    def _groups(self, file: "pq.ParquetFile") -> list[int]:
        place = file.schema_arrow.names.index(self.time)
        return [g for g in range(file.num_row_groups) if self._may_hold(file.metadata.row_group(g).column(place))]

    def _may_hold(self, column: Any) -> bool:
        found = column.statistics
        if found is None or not found.has_min_max:
            return True
        lowest, highest = _utc(found.min), _utc(found.max)
        return (self.ends is None or lowest < self.ends) and (self.begins is None or highest >= self.begins)


def streamed(spec: TrainingSpec) -> bool:
    """Whether the rows stay in the file: they would not fit into memory, or several workers read their own share."""
    given = spec.training_set
    return spec.resources.gpu > 1 or too_large(given.rows, len(given.features), spec.resources.memory_bytes)


def too_large(rows: int, columns: int, memory: int) -> bool:
    """Whether training on held rows would take more than `memory` bytes."""
    return rows * columns * np.dtype(np.float32).itemsize * HELD > memory


def stored(spec: TrainingSpec, path: Path) -> Stored:
    """All rows of the training set at `path`.

    Raises:
        DataError: If the file is no Parquet or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    given = spec.training_set
    columns = (*given.features, given.label, given.event_time)
    size = min(BATCH_BYTES, spec.resources.memory_bytes // BATCH_SHARE)
    batch = max(1, size // (8 * len(columns)))
    try:
        schema = pq.ParquetFile(path).schema_arrow
    except (OSError, ValueError) as error:
        raise DataError("training set", f"{given.uri}: {error}", "build it again") from error
    if missing := [name for name in columns if name not in schema.names]:
        raise DataError("training set", f"missing columns: {', '.join(missing)}", "compare with the feature service")
    if not pa.types.is_timestamp(schema.field(given.event_time).type):
        raise DataError("training set", f"{given.event_time} is no time", "look at the spine")
    return Stored(path, columns, given.label, given.event_time, batch)


def between(kind: pl.DataType, name: str, begins: datetime | None, ends: datetime | None) -> pl.Expr:
    """Rows whose time `name`, of type `kind`, lies in `[begins, ends)`; a time without a zone is UTC."""
    at = pl.col(name)
    at = at if getattr(kind, "time_zone", None) else at.dt.replace_time_zone("UTC")
    return (at >= begins if begins else pl.lit(True)) & (at < ends if ends else pl.lit(True))


def held(frame: pl.DataFrame, name: str) -> Held:
    """Rows in memory with the label `name`."""
    return Held(frame, _label(frame, name))


def joined(one: Part, other: Part) -> Part:
    """Two parts that follow each other, as one."""
    if isinstance(one, Stored) and isinstance(other, Stored):
        return replace(one, ends=other.ends)
    frames = pl.concat([*one.frames(), *other.frames()])
    return Held(frames, np.concatenate([one.label, other.label]))


def _label(frame: pl.DataFrame, name: str) -> NDArray[np.float64]:
    return frame.get_column(name).cast(pl.Float64, strict=False).to_numpy()


def _utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
