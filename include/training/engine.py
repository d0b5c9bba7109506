"""Where trees grow: in this process, or in one process for each of several GPUs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import polars as pl
import xgboost

from include.contracts.training import TrainingSpec
from include.models.inputs import feature_types, prepare
from include.training.rows import Part, Stored

Categories = Mapping[str, tuple[str, ...]]
Parameters = dict[str, float | int | str]
Curves = dict[str, list[float]]
"""Metric of each round, by the name of the rows it was taken on."""


class Engine(Protocol):
    """Bins rows and grows trees on them."""

    def bins(self, part: Part, categories: Categories, ref: Any = None) -> Any:
        """The rows of `part` in XGBoost's bins; those of `ref` where it is given."""

    def grow(
        self,
        parameters: Mapping[str, Any],
        rows: Any,
        rounds: int,
        evals: Sequence[tuple[Any, str]] = (),
        callbacks: Sequence[xgboost.callback.TrainingCallback] = (),
        start: bytes | None = None,
    ) -> tuple[xgboost.Booster, Curves]:
        """Grow `rounds` trees, after those of the model `start`."""


class Single:
    """This process: the bins in memory, or in files below `folder` where the rows are read in batches.

    Args:
        spec: What is trained.
        device: `cpu` or `cuda`.
        folder: Scratch space on disk.
    """

    def __init__(self, spec: TrainingSpec, device: str, folder: Path) -> None:
        self.spec, self.device, self.folder = spec, device, folder

    def bins(self, part: Part, categories: Categories, ref: Any = None) -> Any:
        """A QuantileDMatrix, or an ExtMemQuantileDMatrix where the rows are read in batches."""
        features, threads = self.spec.training_set.features, self.spec.resources.cpu
        more = {"enable_categorical": True, "nthread": threads, "ref": ref}
        if not isinstance(part, Stored):
            (frame,) = part.frames()
            inputs, kinds = prepare(frame, features, categories), feature_types(features, categories)
            return xgboost.QuantileDMatrix(inputs, part.label.astype(np.float32), feature_types=kinds, **more)
        batches = _Batches(part, features, categories, self.folder, self.device)
        if self.device == "cuda" and not batches.on_device:
            return xgboost.QuantileDMatrix(batches, **more)  # a byte a value: only the bins are held
        return xgboost.ExtMemQuantileDMatrix(batches, **more)

    def grow(
        self,
        parameters: Mapping[str, Any],
        rows: Any,
        rounds: int,
        evals: Sequence[tuple[Any, str]] = (),
        callbacks: Sequence[xgboost.callback.TrainingCallback] = (),
        start: bytes | None = None,
    ) -> tuple[xgboost.Booster, Curves]:
        """Grow `rounds` trees, after those of the model `start`."""
        curves: dict[str, dict[str, list[float]]] = {}
        booster = xgboost.train(
            {**parameters, "device": self.device, "nthread": self.spec.resources.cpu},
            rows,
            rounds,
            evals=list(evals),
            evals_result=curves,
            verbose_eval=False,
            callbacks=list(callbacks),
            xgb_model=bytearray(start) if start else None,
        )
        return booster, flat(curves)


def flat(curves: Mapping[str, Mapping[str, list[float]]]) -> Curves:
    """XGBoost's curves of one metric, by the name of the rows."""
    return {name: list(next(iter(by.values()))) for name, by in curves.items()}


class _Batches(xgboost.DataIter):  # type: ignore[misc]
    """Batches of a stored part for XGBoost, which keeps their bins in files below `folder`."""

    def __init__(
        self, part: Stored, features: tuple[str, ...], categories: Categories, folder: Path, device: str
    ) -> None:
        super().__init__(cache_prefix=str(folder / f"bins-{id(self)}"), on_host=device == "cuda")
        self.part, self.features, self.categories = part, features, categories
        self.arrays = _cupy() if device == "cuda" else None
        self.frames = part.frames()

    @property
    def on_device(self) -> bool:
        """Whether the batches are put on the GPU, which XGBoost's external memory on a GPU asks for."""
        return self.arrays is not None

    def reset(self) -> None:
        """Called by XGBoost before each pass."""
        self.frames = self.part.frames()

    def next(self, input_data: Any) -> bool:
        """Called by XGBoost for each batch; False ends the pass."""
        frame = next(self.frames, None)
        if frame is None:
            return False
        inputs: Any = prepare(frame, self.features, self.categories)
        if self.arrays is not None:
            inputs = self.arrays.asarray(numbers(inputs))
        input_data(
            data=inputs,
            label=frame.get_column(self.part.name).cast(pl.Float32).to_numpy(),
            feature_names=list(self.features),
            feature_types=feature_types(self.features, self.categories),
        )
        return True


def numbers(inputs: pl.DataFrame) -> Any:
    """Prepared inputs as one float32 matrix: the codes of categories as numbers, NaN where a value is missing."""
    return inputs.cast(pl.Float32).fill_null(float("nan")).to_numpy(order="c")


def _cupy() -> Any:
    try:
        import cupy
    except ImportError:
        return None
    return cupy


@contextmanager
def engine(spec: TrainingSpec, device: str, folder: Path) -> Iterator[Engine]:
    """What grows the trees of `spec`; ended with its processes on leaving."""
    if spec.resources.gpu < 2:
        yield Single(spec, device, folder)
        return
    from include.training.several import several  # here: Dask costs a second that one GPU never pays

    with several(spec, device, folder) as found:
        yield found
