"""The one file that Airflow scans: what Evergreen offers to Airflow."""

from airflow.plugins_manager import AirflowPlugin

from evergreen.links import MlflowRunLink, VerdictLink
from evergreen.listeners import preload


class EvergreenPlugin(AirflowPlugin):
    """Buttons on tasks, and a warm start for the workers."""

    name = "evergreen"
    operator_extra_links = [MlflowRunLink(), VerdictLink()]  # noqa: RUF012 - Airflow's own shape
    listeners = [preload]  # noqa: RUF012
