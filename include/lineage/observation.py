"""What is known of a step's run before it runs: enough to name its job and its run."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from include.contracts.digest import digest_of
from include.contracts.training import TrainingSpec

Json = dict[str, Any]

DAGS = {
    "ingestion.commit": "ingest",
    "features.build_features": "ingest",
    "features.materialize": "ingest",
    "features.build_training_set": "retrain",
    "training.train": "retrain",
    "promotion.promote": "retrain",
    "scoring.score": "score",
}
"""The steps that have lineage, and the kind of DAG that they belong to."""


@dataclass(frozen=True)
class Observation:
    """A step that is about to run.

    Attributes:
        step: `stage.step`, a key of `DAGS`.
        arguments: Keyword arguments of the step; for training, `spec`.
        as_of: Time that the step is about.
        request: DAG run on whose behalf it runs; empty where a person runs it by hand.
        identity: What tells this run from others of the same step and DAG run; the same in every attempt.
    """

    use_case: str
    step: str
    arguments: Json = field(repr=False)
    as_of: datetime
    request: str
    identity: str

    @property
    def dag(self) -> str:
        """Name of the DAG, such as `flights_ingest`."""
        return f"{self.use_case}_{DAGS[self.step]}"

    @property
    def job(self) -> str:
        """Name of the job as the naming rules have it for Airflow: DAG and task."""
        return f"{self.dag}.{self.step.partition('.')[2]}"


def observation(step: str, arguments: Json, as_of: datetime, request: str) -> Observation:
    """The observation of a step that is called with `arguments`."""
    if step == "training.train":
        from include.lake import object_store

        return of_training(
            TrainingSpec.model_validate_json(object_store(arguments["spec_uri"]).read(arguments["spec_uri"]))
        )
    return Observation(arguments["use_case"], step, arguments, as_of, request, digest_of(arguments))


def of_training(spec: TrainingSpec) -> Observation:
    """The observation of a training: the same wherever it runs, since the spec is all that a pod has."""
    return Observation(spec.use_case, "training.train", {"spec": spec}, spec.as_of, spec.request, spec.digest)
