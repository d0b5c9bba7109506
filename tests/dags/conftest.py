"""An AIRFLOW_HOME of the tests' own, set before anything imports Airflow."""

import os
import tempfile
from typing import Any

import pytest

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="evergreen-airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"


@pytest.fixture(scope="session")
def bag() -> Any:
    """Every DAG of the project, parsed as Airflow parses it."""
    from airflow.dag_processing.dagbag import DagBag

    from include.settings import PROJECT

    return DagBag(str(PROJECT / "dags"))
