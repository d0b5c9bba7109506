"""The stack's `.env`: random values, made once, for their owner's eyes. Standard library only: no set-up needed."""

import base64
import json
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

BYTES = 24
"""Of randomness in a password; it is 32 characters long then."""
LONG = 64
TRIGGERS = "AIRFLOW_TRIGGER_PASSWORDS"


def password() -> str:
    """A password that needs no quoting in URLs, shells and YAML."""
    return secrets.token_urlsafe(BYTES)


def _key() -> str:
    return secrets.token_hex(10).upper()


def _long() -> str:
    return secrets.token_urlsafe(LONG)


def _fernet() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


PEOPLE = ("ADMIN", "VIEWER", "OPERATOR", "APPROVER")
DATABASES = ("AIRFLOW", "MLFLOW", "FEAST", "LEDGER", "MARQUEZ")
KEYS = ("ADMIN", "LOOP", "MLFLOW", "TRAINER", "UPSTREAM")
ACCOUNTS = ("ADMIN", "TRAINER", "PROMOTER", "VIEWER")

VALUES: dict[str, dict[str, Callable[[], str]]] = {
    "Airflow: who logs in, and what its components share": {
        **{f"AIRFLOW_{person}_PASSWORD": password for person in PEOPLE},
        "AIRFLOW_FERNET_KEY": _fernet,
        "AIRFLOW_JWT_SECRET": _long,
        "AIRFLOW_API_SECRET_KEY": _long,
    },
    "Postgres: its superuser, and the owner of each database": {
        "POSTGRES_PASSWORD": password,
        **{f"{name}_DB_PASSWORD": password for name in DATABASES},
    },
    "Valkey: Celery's broker and Feast's online store": {"VALKEY_PASSWORD": password},
    "S3: the owner of the bucket, the loop, MLflow's server, training pods, and upstream jobs": {
        **{f"S3_{account}_ACCESS_KEY": _key for account in KEYS},
        **{f"S3_{account}_SECRET_KEY": password for account in KEYS},
    },
    "MLflow: its accounts, and what signs its sessions": {
        **{f"MLFLOW_{account}_PASSWORD": password for account in ACCOUNTS},
        "MLFLOW_SECRET_KEY": _long,
    },
    "Grafana": {"GRAFANA_ADMIN_PASSWORD": password},
}
"""By each group's meaning: how each of its values is made."""

SETTINGS = """
# --- What you may choose. See docs/team.md.
# COMPOSE_PROFILES=observability,lineage
# AIRFLOW_PORT=8080
# MLFLOW_PORT=5000
# GRAFANA_PORT=3000
# EVERGREEN_ALERTS=mailto://user:password@smtp.example.com?to=ml-team@example.com
"""


def write_secrets(path: Path, use_cases: list[str]) -> list[str]:
    """Complete the file at `path`: values that are there stay, missing ones are made.

    Args:
        path: Of the file; made with mode 0600 where it is missing, and brought to it where it is not.
        use_cases: Names; each gets an account for its upstream job.

    Returns:
        Names of the values that were made.
    """
    text = (
        path.read_text() if path.exists() else "# Made by `make secrets`. Keep it out of git, and a copy in a safe.\n"
    )
    there = read(text)
    lines, made = [], []
    for comment, values in VALUES.items():
        missing = [name for name in values if not there.get(name)]
        if missing:
            lines += ["", f"# {comment}", *(f"{name}={values[name]()}" for name in missing)]
            made += missing
    accounts = json.loads(there.get(TRIGGERS) or "{}")
    new = [name for name in use_cases if not accounts.get(name)]
    if new:
        text = "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{TRIGGERS}="))
        accounts |= {name: password() for name in new}
        lines += ["", "# Airflow: one account for each use case's upstream job", f"{TRIGGERS}='{json.dumps(accounts)}'"]
        made.append(TRIGGERS)
    if not path.exists():
        lines.append(SETTINGS.rstrip())
    if lines:
        _write(path, text + "\n".join(lines) + "\n")
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return made


def read(text: str) -> dict[str, str]:
    """Values of an `.env` file by name, quotes taken off."""
    lines = [line.strip() for line in text.splitlines()]
    pairs = (line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    return {name: _unquoted(value) for name, value in pairs}


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


def use_case_names(folder: Path) -> list[str]:
    """Folders below `folder` that declare a use case."""
    return sorted(found.parent.name for found in folder.glob("*/use_case.py"))


def _write(path: Path, text: str) -> None:
    draft = path.with_name(path.name + ".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
