"""MLflow: one client, short patience, and errors that say whether a retry can help."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from include.contracts.errors import InfraError, ModelError

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULTS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
MENDABLE = {"INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED", "DEADLINE_EXCEEDED", "ABORTED"}


def client() -> "MlflowClient":
    """A client of the MLflow that the settings name."""
    from include.settings import settings

    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import mlflow  # here: the variables above are read on import

    uri = settings().mlflow_uri
    with mlflow_errors("connecting"):
        mlflow.set_tracking_uri(uri)
        mlflow.set_registry_uri(uri)
        return mlflow.MlflowClient(uri, registry_uri=uri)


@contextmanager
def mlflow_errors(doing: str) -> Iterator[None]:
    """Turn MLflow's errors into ours.

    Args:
        doing: What was pending, such as `promotion`; named in the error.

    Raises:
        InfraError: If MLflow cannot be reached or failed; trying again can help.
        ModelError: If MLflow refused the request.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        collided = "IntegrityError" in str(error)  # MLflow's name for two writers at once is BAD_REQUEST
        if collided or error.error_code in MENDABLE:
            raise _pending(doing, error) from error
        raise ModelError("MLflow", f"{doing}: {error}", "compare with the MLflow server's log") from error
    except OSError as error:
        raise _pending(doing, error) from error
    except Exception as error:
        if type(error).__module__.startswith("sqlalchemy"):  # by name: a pod's slim MLflow brings no SQLAlchemy
            raise _pending(doing, error) from error
        raise


def _pending(doing: str, error: Exception) -> InfraError:
    cause = (str(error).splitlines() or [type(error).__name__])[0]
    return InfraError("MLflow", f"{doing} pending: {cause[:300]}", "check EVERGREEN_MLFLOW_URI and the server; retry")


def experiment(mlflow: "MlflowClient", name: str) -> str:
    """Id of the experiment `name`, created on first use; two at once get the same one."""
    from mlflow.exceptions import MlflowException

    from include.settings import settings

    with mlflow_errors("experiment"):
        found = mlflow.get_experiment_by_name(name)
        if found is None:
            place = settings().mlflow_artifacts
            try:
                return str(mlflow.create_experiment(name, artifact_location=f"{place}/{name}" if place else None))
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
                found = mlflow.get_experiment_by_name(name)
        if found is None or found.lifecycle_stage != "active":
            raise ModelError("MLflow", f"experiment {name} was deleted", f"restore the experiment {name} in MLflow")
        return str(found.experiment_id)
