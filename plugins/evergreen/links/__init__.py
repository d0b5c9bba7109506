"""Buttons on tasks in the Airflow UI."""

from evergreen.links.attach import attach
from evergreen.links.mlflow_run import MlflowRunLink
from evergreen.links.verdict import VerdictLink

__all__ = ["MlflowRunLink", "VerdictLink", "attach"]
