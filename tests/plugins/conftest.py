"""An AIRFLOW_HOME of the tests' own, set before anything imports Airflow."""

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="evergreen-airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
os.environ["AIRFLOW__WORKERS__API_RETRY_WAIT_MIN"] = "0.2"  # an API server that is away is given up sooner
os.environ["AIRFLOW__WORKERS__API_RETRY_WAIT_MAX"] = "1"
