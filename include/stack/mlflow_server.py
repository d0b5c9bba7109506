"""What MLflow's server needs before it starts with `--app-name basic-auth`: its settings, and the admin's password."""

import os
import sys
from pathlib import Path
from typing import NoReturn

from include.local.credentials import write_private
from include.stack.mlflow_accounts import ADMIN
from include.stack.passwords import password

QUIET = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 1.2 GB for jobs that nobody asks for
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ALLOW_MODEL_CODE_EXECUTION": "false",
    "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",  # a page without a rule is closed
}
CACHE_SECONDS = "60"
"""How long a password that was right is not worked out again; without, every request costs a third of a second."""


def prepare_server(database: str, path: Path) -> None:
    """Write the auth plugin's settings, and make the admin's password what the environment says.

    MLflow looks at the admin's password only once, when there is no admin yet; here it can be rotated.

    Args:
        database: SQLAlchemy URL of the accounts; its tables are made where they are missing.
        path: The ini file for `MLFLOW_AUTH_CONFIG_PATH`, readable by its owner only, for the URL holds a password.

    Raises:
        PolicyError: If MLFLOW_ADMIN_PASSWORD is missing or too short.
    """
    secret = password("MLFLOW_ADMIN_PASSWORD")
    settings = {
        "default_permission": "NO_PERMISSIONS",
        "database_uri": database,
        "admin_username": ADMIN,
        "auth_cache_ttl_seconds": CACHE_SECONDS,
    }
    lines = (f"{name} = {value.replace('%', '%%')}\n" for name, value in settings.items())  # configparser's escape
    write_private(path, "[mlflow]\n" + "".join(lines))
    _set_admin(database, secret)


def _set_admin(database: str, secret: str) -> None:
    from mlflow.server.auth.sqlalchemy_store import SqlAlchemyStore

    store = SqlAlchemyStore()
    store.init_db(database)
    if not store.has_user(ADMIN):
        store.create_user(ADMIN, secret, is_admin=True)
    elif not store.authenticate_user(ADMIN, secret):
        store.update_user(ADMIN, password=secret)


def serve() -> NoReturn:
    """Become MLflow's server: accounts asked for, artifacts left to S3, as the MLFLOW_* variables of the stack say."""
    accounts, database = os.environ["MLFLOW_AUTH_DATABASE_URL"], os.environ["MLFLOW_DATABASE_URL"]
    settings = Path("/tmp/mlflow-auth.ini")  # noqa: S108 - the container's own, and written 0600
    prepare_server(accounts, settings)
    os.environ |= QUIET | {"MLFLOW_AUTH_CONFIG_PATH": str(settings)}
    stores = ["--backend-store-uri", database, "--default-artifact-root", os.environ["MLFLOW_DEFAULT_ARTIFACT_ROOT"]]
    where = ["--host", "0.0.0.0", "--port", "5000", "--workers", "1"]  # noqa: S104 - inside a container
    doors = ["--app-name", "basic-auth", "--no-serve-artifacts", "--allowed-hosts", os.environ["MLFLOW_ALLOWED_HOSTS"]]
    doors += ["--enable-workspaces"]  # without, every account may make experiments and models of its own
    os.execvp(sys.executable, [sys.executable, "-m", "mlflow", "server", *stores, *where, *doors])  # noqa: S606
