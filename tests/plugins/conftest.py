"""An AIRFLOW_HOME of the tests' own, set before anything imports Airflow."""

import os
import tempfile

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="evergreen-airflow-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"
