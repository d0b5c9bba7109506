"""Training as a task: one spec in, one manifest out, wherever it runs."""

from abc import abstractmethod
from typing import Any

from airflow.sdk import BaseOperator

from evergreen.links import MlflowRunLink
from evergreen.operators.assignment import Assignment
from evergreen.steps import words_kept
from include.contracts.training import TrainingSpec
from include.contracts.use_case import UseCase
from include.settings import Settings

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
            assignment = Assignment.of(self.use_case, self.training_set, context)
            assignment.give_out()
            self.carry_out(assignment.spec, assignment.spec_uri)
            return assignment.result(context["run_id"])


def training_operator(use_case: UseCase, settings: Settings, **arguments: Any) -> BaseOperator:
    """The operator for the trainer that the settings name; both take a training set and return the same.

    The pod's is imported only where it is asked for: every task reads its DAG file again, and would wait for it.
    """
    if settings.trainer == "kubernetes":
        from evergreen.operators.training_pod import TrainingPodOperator

        return TrainingPodOperator(use_case=use_case, **arguments)
    from evergreen.operators.training_process import TrainingProcessOperator

    return TrainingProcessOperator(use_case=use_case, **arguments)
