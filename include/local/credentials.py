"""Secrets of a local Airflow: made once a home, readable by their owner only."""

import base64
import json
import os
import secrets
from pathlib import Path

from include.contracts.frozen import Frozen

USER = "admin"


class Credentials(Frozen):
    """What Airflow's components share.

    Attributes:
        password: Of the user `admin`.
        jwt: Signs the tokens of API and tasks.
        api: Signs the sessions of the UI.
        fernet: Encrypts connections in the database.
    """

    password: str
    jwt: str
    api: str
    fernet: str


def credentials(folder: Path) -> Credentials:
    """The secrets in `folder`, made where there are none."""
    path = folder / "secrets.json"
    if not path.exists():
        made = Credentials(
            password=secrets.token_urlsafe(18),
            jwt=secrets.token_urlsafe(64),
            api=secrets.token_urlsafe(32),
            fernet=base64.urlsafe_b64encode(os.urandom(32)).decode(),
        )
        write_private(path, made.model_dump_json())
    found = Credentials.model_validate_json(path.read_text())
    write_private(passwords_file(folder), json.dumps({USER: found.password}))
    return found


def passwords_file(folder: Path) -> Path:
    """Where the UI's password stands, as the SimpleAuthManager reads it."""
    return folder / "passwords.json"


def write_private(path: Path, text: str) -> None:
    """Write `text` to `path` for the owner's eyes only, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    draft.replace(path)
