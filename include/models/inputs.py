"""From a frame of features to what XGBoost reads: numbers as float32, categories as the codes of the manifest."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import polars as pl

from include.contracts.errors import DataError

if TYPE_CHECKING:
    import xgboost

Categories = Mapping[str, Sequence[str]]


def categories_of(frame: pl.DataFrame, categorical: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """The categories of each categorical column, sorted: their position is their code."""
    return {name: tuple(as_text(frame.get_column(name)).drop_nulls().unique().sort().to_list()) for name in categorical}


def as_text(column: pl.Series) -> pl.Series:
    """Categories as text; whole numbers alike whether they came as integers or as floats (which nulls make of them)."""
    if column.dtype.is_float():
        whole = column.fill_nan(None)
        if (whole.drop_nulls() == whole.drop_nulls().round()).all():
            return whole.cast(pl.Int64).cast(pl.String)
    return column.cast(pl.String)


def prepare(frame: pl.DataFrame, features: Sequence[str], categories: Categories) -> pl.DataFrame:
    """The model's inputs in order: float32, and int32 codes where a category that training never saw is missing.

    Args:
        frame: Rows with at least the columns of `features`.
        features: Inputs in the model's order.
        categories: Categories by categorical input, in the order of their codes.

    Raises:
        DataError: If a column is missing, holds infinite values, or is neither a number nor a declared category.
    """
    missing = [name for name in features if name not in frame.columns]
    if missing:
        raise DataError("model inputs", f"missing columns: {', '.join(missing)}", "compare with the feature service")
    return pl.DataFrame([_column(frame.get_column(name), categories.get(name)) for name in features])


def _column(column: pl.Series, categories: Sequence[str] | None) -> pl.Series:
    if categories is not None:
        codes = pl.Enum(categories)
        return as_text(column).cast(codes, strict=False).to_physical().cast(pl.Int32).alias(column.name)
    if not (column.dtype.is_numeric() or column.dtype in (pl.Boolean, pl.Null)):
        raise DataError(
            "model inputs",
            f"{column.name} is {column.dtype}, neither a number nor declared as a category",
            "name it in UseCase.categorical, or make a number of it in features.py",
        )
    numbers = column.cast(pl.Float32)
    if numbers.is_infinite().any():
        raise DataError("model inputs", f"{column.name} holds infinite values", "replace them in features.py")
    return numbers


def feature_types(features: Iterable[str], categories: Categories) -> list[str]:
    """XGBoost's type of each input: `c` a category, `q` a number."""
    return ["c" if name in categories else "q" for name in features]


def matrix(
    frame: pl.DataFrame, features: Sequence[str], categories: Categories, threads: int = 2, **more: Any
) -> "xgboost.DMatrix":
    """A DMatrix of the rows, ready to predict; `more` goes to `xgboost.DMatrix`."""
    import xgboost

    return xgboost.DMatrix(
        prepare(frame, features, categories),
        feature_types=feature_types(features, categories),
        enable_categorical=True,
        nthread=threads,
        **more,
    )
