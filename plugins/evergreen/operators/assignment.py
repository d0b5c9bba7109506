"""One training as it is given out and comes back: a spec in the object store, a manifest beside it."""

from typing import TYPE_CHECKING, Any, Self

from evergreen.steps import as_of
from include.contracts.data import TrainingSet
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import UseCase

if TYPE_CHECKING:
    from include.lake.objects import ObjectStore

Json = dict[str, Any]


class Assignment:
    """What every way of training has in common, wherever it runs.

    Args:
        spec: What is to be trained.
    """

    def __init__(self, spec: TrainingSpec) -> None:
        self.spec = spec
        self.spec_uri = f"{spec.output_uri}/spec.json"
        self.manifest_uri = f"{spec.output_uri}/manifest.json"

    @classmethod
    def of(cls, use_case: UseCase, training_set: Any, context: Any) -> Self:
        """The assignment of a run.

        Args:
            use_case: The declaration.
            training_set: `TrainingSet` as JSON.
            context: The task's context.
        """
        from include.settings import settings

        where = settings()
        draft = TrainingSpec(
            use_case=use_case.name,
            request=context["run_id"],
            as_of=as_of(context),
            task=use_case.task,
            trainer=use_case.trainer,
            resources=use_case.resources,
            training_set=TrainingSet.model_validate(training_set),
            output_uri=f"{where.artifacts}/{use_case.name}/training",
            device=where.device,
            require_gpu=use_case.resources.gpu > 0,
            git_commit=where.git_commit,
        )
        return cls(draft.model_copy(update={"output_uri": f"{draft.output_uri}/{draft.digest}"}))

    @classmethod
    def at(cls, spec_uri: str) -> Self:
        """An assignment that was given out before."""
        return cls(TrainingSpec.model_validate_json(_store(spec_uri).read(spec_uri)))

    def give_out(self) -> None:
        """Write the spec to where the training reads it."""
        self._store.write(self.spec_uri, self.spec.model_dump_json(indent=1).encode())

    @property
    def is_done(self) -> bool:
        """Whether there is a manifest, good or bad."""
        return self._store.exists(self.manifest_uri)

    def result(self, run_id: str) -> Json:
        """Judge the manifest and record the training's cost; training itself knows no ledger.

        Returns:
            `manifest_uri`, `mlflow_run_id`, `spec_digest`, `rows`, `metrics`.

        Raises:
            InfraError: If there is none.
            ModelError: If it is no manifest, or another spec's.
        """
        manifest = self._manifest()
        _record_cost(manifest, self.spec, run_id)
        return {
            "manifest_uri": self.manifest_uri,
            **manifest.model_dump(mode="json", include={"mlflow_run_id", "spec_digest", "rows", "metrics"}),
        }

    @property
    def _store(self) -> "ObjectStore":
        return _store(self.spec_uri)

    def _manifest(self) -> TrainingManifest:
        from include.contracts.errors import InfraError, ModelError

        uri = self.manifest_uri
        try:
            manifest = TrainingManifest.model_validate_json(self._store.read(uri))
        except FileNotFoundError as error:
            cause = f"the training ended well, but {uri} is not there"
            raise InfraError(
                "training", cause, "nothing was evaluated; read the log above, then clear this task"
            ) from error
        except ValueError as error:
            raise ModelError("training", f"{uri} is no manifest: {error}", "delete it, then clear this task") from error
        if manifest.spec_digest != self.spec.digest:
            cause = f"{uri} is the manifest of spec {manifest.spec_digest[:12]}, not of {self.spec.digest[:12]}"
            raise ModelError("training", cause, "delete it, then clear this task")
        return manifest


def _store(uri: str) -> "ObjectStore":
    from include.lake import object_store

    return object_store(uri)


def _record_cost(manifest: TrainingManifest, spec: TrainingSpec, run_id: str) -> None:
    from include.contracts.record import Kind, Record
    from include.ledger import Ledger
    from include.settings import settings

    ledger = Ledger.at(settings().ledger_url)
    ledger.append(
        Record(
            use_case=spec.use_case,
            kind=Kind.STAGE_COST,
            key=f"training.train/{spec.digest}",
            as_of=spec.as_of,
            payload={"stage": "training", "step": "train", **manifest.cost.model_dump()},
            run_id=run_id,
        )
    )
