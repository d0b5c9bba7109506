"""The reference that monitoring compares with: rows the model was not grown on, and what was predicted for them."""

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.training.data import Splits


def write(splits: Splits, validation: NDArray[np.float32], fresh: NDArray[np.float32], path: Path) -> None:
    """Write validation and fresh rows with the column `prediction`, a batch at a time."""
    import pyarrow.parquet as pq

    first = next(splits.validation.frames())
    schema = _predicted(first, validation).to_arrow().schema
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for part, predicted in ((splits.validation, validation), (splits.fresh, fresh)):
            done = 0
            for frame in part.frames():
                writer.write_table(_predicted(frame, predicted[done:]).to_arrow().cast(schema))
                done += frame.height


def _predicted(frame: pl.DataFrame, predictions: NDArray[np.float32]) -> pl.DataFrame:
    return frame.with_columns(pl.Series("prediction", predictions[: frame.height], dtype=pl.Float32))
