"""Several GPUs of one node: XGBoost's distributed training on Dask, a worker for each GPU."""

import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import polars as pl
import xgboost
import xgboost.dask
from distributed import Client, Nanny, Scheduler, SpecCluster

from include.contracts.errors import ModelError
from include.contracts.training import TrainingSpec
from include.models.inputs import feature_types, prepare
from include.training.engine import Categories, Curves, flat, numbers
from include.training.rows import Part, Stored

LOCAL = "127.0.0.1"


class Several:
    """Workers on this machine; each reads its own share of the rows from the file.

    Args:
        spec: What is trained; `resources.gpu` says how many workers.
        device: `cpu` or `cuda`.
        client: Of the workers.
    """

    def __init__(self, spec: TrainingSpec, device: str, client: Client) -> None:
        self.spec, self.device, self.client = spec, device, client

    def bins(self, part: Part, categories: Categories, ref: Any = None) -> Any:
        """A DaskQuantileDMatrix, a share of the rows with each worker."""
        if not isinstance(part, Stored):
            raise ModelError("training", "several workers read from a file only", "report this: it is our mistake")
        features = self.spec.training_set.features
        shares = [dask.delayed(_matrix, nout=2)(each, features, categories) for each in _shares(part, self.spec)]
        wide, column = (np.nan, len(features)), (np.nan,)
        inputs = [dask.array.from_delayed(each[0], wide, np.float32) for each in shares]
        labels = [dask.array.from_delayed(each[1], column, np.float32) for each in shares]
        return xgboost.dask.DaskQuantileDMatrix(
            self.client,
            *self.client.persist(
                [
                    dask.array.concatenate(inputs, allow_unknown_chunksizes=True),
                    dask.array.concatenate(labels, allow_unknown_chunksizes=True),
                ]
            ),
            feature_names=list(features),
            feature_types=feature_types(features, categories),
            enable_categorical=True,
            ref=ref,
        )

    def grow(
        self,
        parameters: Mapping[str, Any],
        rows: Any,
        rounds: int,
        evals: Sequence[tuple[Any, str]] = (),
        callbacks: Sequence[xgboost.callback.TrainingCallback] = (),
        start: bytes | None = None,
    ) -> tuple[xgboost.Booster, Curves]:
        """Grow `rounds` trees with all workers; there is no going on from `start` here."""
        if start:
            raise ModelError("training", "several workers go on from no checkpoint", "report this: it is our mistake")
        done = xgboost.dask.train(
            self.client,
            {**parameters, "device": self.device},
            rows,
            rounds,
            evals=list(evals),
            verbose_eval=False,
            callbacks=list(callbacks),
        )
        return done["booster"], flat(done["history"])


def _shares(part: Stored, spec: TrainingSpec) -> list[Stored]:
    count = spec.resources.gpu
    return [replace(part, share=share, shares=count) for share in range(count)]


def _matrix(part: Stored, features: tuple[str, ...], categories: Categories) -> tuple[Any, Any]:
    """On a worker: its share of the rows, and their labels."""
    found = [
        (numbers(prepare(frame, features, categories)), frame.get_column(part.name).cast(pl.Float32).to_numpy())
        for frame in part.frames()
    ]
    empty = (np.empty((0, len(features)), np.float32), np.empty(0, np.float32))
    inputs, labels = zip(*(found or [empty]), strict=True)
    return np.concatenate(inputs), np.concatenate(labels)


@contextmanager
def several(spec: TrainingSpec, device: str, folder: Path) -> Iterator[Several]:
    """Start a worker for each GPU, which sees no other; all are gone on leaving."""
    count = spec.resources.gpu
    os.environ.setdefault("DASK_LOGGING__DISTRIBUTED", "warning")  # for the workers, which read it as they start
    logging.getLogger("distributed").setLevel(logging.WARNING)
    common = {
        "nthreads": max(1, spec.resources.cpu // count),
        "memory_limit": 0,  # the pod's or the process's limit holds, not Dask's guess
        "local_directory": str(folder),
        "host": LOCAL,
        "dashboard": False,
    }
    workers = {
        number: {"cls": Nanny, "options": {**common, "env": {"CUDA_VISIBLE_DEVICES": gpu}}}
        for number, gpu in enumerate(_visible(count))
    }
    scheduler = {"cls": Scheduler, "options": {"host": LOCAL, "port": 0, "dashboard": False}}
    with SpecCluster(workers, scheduler, name="training") as cluster, Client(cluster) as client:
        client.wait_for_workers(count, timeout=60)
        client.run(_speak)
        yield Several(spec, device, client)


def _visible(count: int) -> list[str]:
    named = [name for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name]
    return (named or [str(number) for number in range(count)])[:count]


def _speak() -> None:
    """On a worker: let our own lines be seen."""
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("evergreen").setLevel(logging.INFO)
