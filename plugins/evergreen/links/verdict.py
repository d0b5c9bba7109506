"""From a task to the verdict of the gate."""

from typing import Any
from urllib.parse import urlencode

from airflow.sdk import BaseOperatorLink


class VerdictLink(BaseOperatorLink):
    """Opens the verdict, as people read it, among the files of the challenger's MLflow run."""

    @property
    def name(self) -> str:
        """Text on the button."""
        return "Verdict"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """URL of the text; empty where there is no verdict or no MLflow pages are configured."""
        from include.settings import settings

        pages = settings().mlflow_ui.rstrip("/")
        verdict = ti_key.xcom_pull(task_ids=operator.task_id, key="return_value") or {}
        run = (ti_key.xcom_pull(task_ids="train", key="return_value") or {}).get("mlflow_run_id")
        if not pages or not run or "champion_revision" not in verdict:
            return ""
        named = {"run_uuid": run, "path": f"verdict-{verdict['champion_revision']}.txt"}
        return f"{pages}/get-artifact?{urlencode(named)}"
