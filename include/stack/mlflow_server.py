"""What MLflow's server needs before it starts with `--app-name basic-auth`: its settings, and the admin's password."""

from pathlib import Path

from include.local.credentials import write_private
from include.stack.mlflow_accounts import ADMIN
from include.stack.passwords import password

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
