"""Prepares columns for comparison: finite numbers as floats, categories as text, never both."""

from collections.abc import Iterable

import polars as pl

from include.models.inputs import as_text


def tidy(frame: pl.DataFrame, columns: Iterable[str], categorical: Iterable[str]) -> pl.DataFrame:
    """The columns as they are compared: NaN and infinity are missing, like null.

    Args:
        frame: Rows with at least `columns`.
        columns: What is compared.
        categorical: Which of them are categories.
    """
    categories = set(categorical)
    return frame.select(
        as_text(frame.get_column(name)) if name in categories else _finite(frame.get_column(name)) for name in columns
    )


def infinite(frame: pl.DataFrame, columns: Iterable[str]) -> dict[str, int]:
    """Count of infinite values by column, where there are any."""
    floats = [name for name in columns if frame.schema[name].is_float()]
    counts = {name: int(frame.get_column(name).is_infinite().sum()) for name in floats}
    return {name: count for name, count in counts.items() if count}


def _finite(column: pl.Series) -> pl.Series:
    numbers = column.cast(pl.Float64)
    return numbers.to_frame().select(pl.when(pl.first().is_finite()).then(pl.first())).to_series().alias(column.name)
