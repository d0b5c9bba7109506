"""One attempt in MLflow: opened before the work, closed after it whatever way it ends."""

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from include.contracts.errors import EvergreenError, InfraError
from include.contracts.training import TrainingSpec
from include.models.tracking import client, experiment, mlflow_errors

if TYPE_CHECKING:
    import xgboost
    from mlflow import MlflowClient

log = logging.getLogger("evergreen")

BATCH = 1_000
"""MLflow takes at most so many metrics a call."""


class Attempt:
    """The MLflow run of one attempt.

    Args:
        mlflow: Client.
        spec: What is trained.
        run_id: The run.
        number: Which attempt it is, from 1.
    """

    def __init__(self, mlflow: "MlflowClient", spec: TrainingSpec, run_id: str, number: int) -> None:
        self.mlflow, self.spec, self.run_id, self.number = mlflow, spec, run_id, number

    def log_model(self, booster: "xgboost.Booster", categorical: set[str], packages: dict[str, str]) -> str:
        """Log the model as native UBJ, with its signature and explicit requirements.

        Returns:
            Id of the LoggedModel.
        """
        import mlflow
        from mlflow.models import ModelSignature
        from mlflow.types import ColSpec, Schema

        columns = [
            ColSpec("string" if name in categorical else "double", name, required=False)
            for name in self.spec.training_set.features
        ]
        with mlflow_errors("logging the model"), mlflow.start_run(run_id=self.run_id):
            info = mlflow.xgboost.log_model(
                booster,
                name="model",
                model_format="ubj",
                signature=ModelSignature(Schema(columns), Schema([ColSpec("double")])),
                pip_requirements=[f"{name}=={packages[name]}" for name in ("xgboost", "numpy")],
            )
        return str(info.model_id)

    def log_all(
        self,
        parameters: dict[str, float | int | str],
        metrics: dict[str, float],
        curves: dict[str, list[float]],
        folder: Path,
        tags: dict[str, str],
    ) -> None:
        """Log parameters, metrics, curves and tags in as few calls as MLflow allows, and the files of `folder`."""
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * 1000)
        points = [Metric(name, value, now, 0) for name, value in metrics.items()]
        points += [Metric(name, v, now, step) for name, values in curves.items() for step, v in enumerate(values)]
        params = [Param(name, str(value)) for name, value in parameters.items()]
        labels = [RunTag(name, value) for name, value in tags.items()]
        with mlflow_errors("logging the training"):
            for start in range(0, len(points), BATCH):
                first = start == 0
                self.mlflow.log_batch(
                    self.run_id,
                    metrics=points[start : start + BATCH],
                    params=params if first else (),
                    tags=labels if first else (),
                )
            self.mlflow.log_inputs(self.run_id, [self._dataset()])
            self.mlflow.log_artifacts(self.run_id, str(folder))

    def _dataset(self) -> Any:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        given = self.spec.training_set
        source = f'{{"uri": "{given.uri}"}}'
        data = Dataset("training_set", given.digest[:36], "s3" if given.uri.startswith("s3:") else "local", source)
        return DatasetInput(data, [InputTag("mlflow.data.context", "training")])


@contextmanager
def attempt(spec: TrainingSpec) -> Iterator[Attempt]:
    """Open an MLflow run for one attempt; earlier attempts that were killed are closed as such.

    The run ends FINISHED, FAILED (an error) or KILLED (SIGTERM, Ctrl-C).
    """
    mlflow = client()
    place = experiment(mlflow, spec.use_case)
    with mlflow_errors("opening the run"):
        number = _close_killed(mlflow, place, spec) + 1
        run = mlflow.create_run(
            place, run_name=f"{spec.use_case} {spec.request} attempt {number}"[:250], tags=_tags(spec, number)
        )
    opened = Attempt(mlflow, spec, run.info.run_id, number)
    try:
        yield opened
    except BaseException as error:
        _terminate(opened, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    with mlflow_errors("closing the run"):
        mlflow.set_terminated(opened.run_id, "FINISHED")


def _tags(spec: TrainingSpec, number: int) -> dict[str, str]:
    return {
        "evergreen.spec": spec.digest,
        "evergreen.request": spec.request,
        "evergreen.attempt": str(number),
        "evergreen.data_version": spec.training_set.data_version,
        "evergreen.training_set": spec.training_set.digest,
        "mlflow.source.name": "include.training",
        "mlflow.source.type": "JOB",
        "mlflow.source.git.commit": spec.git_commit,
        "mlflow.user": os.environ.get("USER", "evergreen"),
    }


def _close_killed(mlflow: "MlflowClient", place: str, spec: TrainingSpec) -> int:
    runs = mlflow.search_runs([place], f"tags.`evergreen.spec` = '{spec.digest}'", max_results=BATCH)
    for run in runs:
        if run.info.status == "RUNNING":  # kill -9 leaves no chance to say so oneself
            mlflow.set_terminated(run.info.run_id, "KILLED")
    return len(runs)


def _terminate(opened: Attempt, status: str) -> None:
    """Close a run that failed; MLflow's own failure must not hide the error that is on its way."""
    try:
        with mlflow_errors("closing the run"):
            opened.mlflow.set_terminated(opened.run_id, status)
    except (EvergreenError, InfraError) as error:
        log.warning("training: the MLflow run %s stays open: %s", opened.run_id, error.cause)
