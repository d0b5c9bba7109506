"""From a task to the verdict of the gate."""

from typing import Any

from airflow.sdk import BaseOperatorLink

from evergreen.links.mlflow_run import run_url


class VerdictLink(BaseOperatorLink):
    """Opens the verdict among the artifacts of the challenger's MLflow run."""

    @property
    def name(self) -> str:
        """Text on the button."""
        return "Verdict"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:  # noqa: ARG002 - Airflow's signature
        """URL of the artifacts of the challenger's run, as the task `train` named it."""
        trained = ti_key.xcom_pull(task_ids="train", key="return_value")
        return run_url(trained.get("mlflow_run_id", ""), "/artifacts") if isinstance(trained, dict) else ""
