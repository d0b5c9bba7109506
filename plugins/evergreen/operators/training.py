"""Training as a task: one spec in, one manifest out, wherever it runs."""

from abc import abstractmethod
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from evergreen.links import MlflowRunLink
from evergreen.steps import as_of, words_kept
from include.contracts.data import TrainingSet
from include.contracts.errors import PolicyError
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import UseCase
from include.settings import Settings

if TYPE_CHECKING:
    from include.lake.objects import ObjectStore

Json = dict[str, Any]


class TrainingOperator(BaseOperator):
    """Writes the spec, has it carried out, and believes the manifest only: neither an exit code nor a green pod.

    Args:
        use_case: The declaration.
        training_set: `TrainingSet` as JSON, mostly the output of the task before.
    """

    template_fields = ("training_set",)
    operator_extra_links = (MlflowRunLink(),)
    ui_color = "#e8def8"

    def __init__(self, *, use_case: UseCase, training_set: Any, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.use_case = use_case
        self.training_set = training_set

    @abstractmethod
    def carry_out(self, spec: TrainingSpec, spec_uri: str) -> None:
        """Train as the spec says; returns when it is over.

        Raises:
            EvergreenError: If it failed; the class says whether a retry can help.
        """

    def execute(self, context: Any) -> Json:
        """Train, or find the finished training.

        Returns:
            `manifest_uri`, `mlflow_run_id`, `spec_digest`, `rows`, `metrics`.
        """
        with words_kept(context):
            spec = self._spec(context)
            store, spec_uri = _store(spec.output_uri), f"{spec.output_uri}/spec.json"
            store.write(spec_uri, spec.model_dump_json(indent=1).encode())
            self.carry_out(spec, spec_uri)
            manifest = _manifest(store, spec)
            _record_cost(manifest, spec, context["run_id"])
        return {
            "manifest_uri": f"{spec.output_uri}/manifest.json",
            **manifest.model_dump(mode="json", include={"mlflow_run_id", "spec_digest", "rows", "metrics"}),
        }

    def _spec(self, context: Any) -> TrainingSpec:
        from include.settings import settings

        where = settings()
        draft = TrainingSpec(
            use_case=self.use_case.name,
            request=context["run_id"],
            as_of=as_of(context),
            task=self.use_case.task,
            trainer=self.use_case.trainer,
            resources=self.use_case.resources,
            training_set=TrainingSet.model_validate(self.training_set),
            output_uri=f"{where.artifacts}/{self.use_case.name}/training",
            device=where.device,
            require_gpu=self.use_case.resources.gpu > 0,
            git_commit=where.git_commit,
        )
        return draft.model_copy(update={"output_uri": f"{draft.output_uri}/{draft.digest}"})


def training_operator(use_case: UseCase, settings: Settings, **arguments: Any) -> TrainingOperator:
    """The operator for the trainer that the settings name.

    Raises:
        PolicyError: If there is none for it yet.
    """
    from evergreen.operators.training_process import TrainingProcessOperator

    if settings.trainer == "process":
        return TrainingProcessOperator(use_case=use_case, **arguments)
    cause = f"EVERGREEN_TRAINER is {settings.trainer}, and training in a pod is not built yet"
    raise PolicyError("training", cause, "set EVERGREEN_TRAINER=process")


def _store(uri: str) -> "ObjectStore":
    from include.lake import object_store

    return object_store(uri)


def _manifest(store: "ObjectStore", spec: TrainingSpec) -> TrainingManifest:
    from include.contracts.errors import InfraError, ModelError

    uri = f"{spec.output_uri}/manifest.json"
    try:
        manifest = TrainingManifest.model_validate_json(store.read(uri))
    except FileNotFoundError as error:
        cause = f"the training ended well, but {uri} is not there"
        raise InfraError(
            "training", cause, "nothing was evaluated; read the log above, then clear this task"
        ) from error
    except ValueError as error:
        raise ModelError("training", f"{uri} is no manifest: {error}", "delete it, then clear this task") from error
    if manifest.spec_digest != spec.digest:
        cause = f"{uri} is the manifest of spec {manifest.spec_digest[:12]}, not of {spec.digest[:12]}"
        raise ModelError("training", cause, "delete it, then clear this task")
    return manifest


def _record_cost(manifest: TrainingManifest, spec: TrainingSpec, run_id: str) -> None:
    """Put the training's cost into the ledger; training itself knows no ledger."""
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
