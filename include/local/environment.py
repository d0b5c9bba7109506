"""The environment in which a local Airflow runs: every setting that differs from Airflow's own default."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from include.contracts.frozen import Frozen
from include.local.credentials import USER, Credentials, passwords_file

PRELOAD = (
    "numpy,pandas,scipy.stats,sklearn.metrics,xgboost,mlflow,feast,great_expectations,evidently,boto3,"
    "openlineage.client"
)
"""Imported once by the scheduler before it forks its workers: imports that each task would pay again."""


class Ports(Frozen):
    """Ports of 127.0.0.1 that Airflow listens on."""

    api: int
    execution: int
    worker_logs: int
    trigger_logs: int


def airflow_environment(
    project: Path, folder: Path, ports: Ports, secrets: Credentials, settings: Mapping[str, str], parallelism: int
) -> dict[str, str]:
    """The whole environment of the four components.

    Args:
        project: Folder of `dags`, `plugins` and `include`.
        folder: AIRFLOW_HOME.
        ports: What it listens on.
        secrets: What its components share.
        settings: `EVERGREEN_*` variables, and `AIRFLOW__*` ones that win over those here.
        parallelism: Tasks that run at the same time.
    """
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("AIRFLOW") and key != "PYTHONDONTWRITEBYTECODE"  # imports are 2-3x slower with it
    }
    url = f"http://127.0.0.1:{ports.api}"
    return {
        **inherited,
        **_python(project, inherited),
        "AIRFLOW_HOME": str(folder),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(project / "plugins"),
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": str(parallelism),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{ports.execution}/execution/",
        "AIRFLOW__CORE__FERNET_KEY": secrets.fernet,
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords_file(folder)),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}?timeout=10",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports.api),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API__SECRET_KEY": secrets.api,
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.jwt,
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder / "logs"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(ports.worker_logs),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(ports.trigger_logs),
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.15",  # the default, 1 s, is most of a task's latency
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",  # a task whose end its supervisor just misses waits this long
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "30",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "EVERGREEN_GIT_COMMIT": _commit(project),
        **settings,
    }


def _commit(project: Path) -> str:
    found = subprocess.run(["git", "rev-parse", "HEAD"], cwd=project, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def _python(project: Path, inherited: Mapping[str, str]) -> dict[str, str]:
    local = ",".join(filter(None, [inherited.get("NO_PROXY", ""), "127.0.0.1,localhost"]))
    return {
        "PYTHONPATH": os.pathsep.join([str(project), str(project / "plugins")]),
        "PYTHONUNBUFFERED": "1",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "POLARS_MAX_THREADS": "2",
        "NO_PROXY": local,
        "no_proxy": local,
        "DO_NOT_TRACK": "true",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "FEAST_USAGE": "False",
        "GIT_PYTHON_REFRESH": "quiet",
    }
