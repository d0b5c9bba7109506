"""From a task to the MLflow run that it wrote."""

from typing import Any

from airflow.sdk import BaseOperatorLink


class MlflowRunLink(BaseOperatorLink):
    """Opens the MLflow run that the task's result names as `mlflow_run_id`, itself or in its newest window."""

    @property
    def name(self) -> str:
        """Text on the button."""
        return "MLflow run"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """URL of the run; empty where the task named none or no MLflow pages are configured."""
        found = ti_key.xcom_pull(task_ids=operator.task_id, key="return_value")
        windows = found.get("windows") if isinstance(found, dict) else None
        named = windows[-1] if windows else found
        return run_url(named.get("mlflow_run_id", "")) if isinstance(named, dict) else ""


def run_url(run_id: str) -> str:
    """URL of an MLflow run's page, empty where there is none."""
    from include.settings import settings

    pages = settings().mlflow_ui.rstrip("/")
    return f"{pages}/#/runs/{run_id}" if pages and run_id else ""
