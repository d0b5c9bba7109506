"""Where events go: an OpenLineage API, or a file of JSON lines that several processes append to."""

from pathlib import Path
from urllib.parse import urlsplit

from openlineage.client.event_v2 import RunEvent
from openlineage.client.transport.file import FileConfig, FileTransport
from openlineage.client.transport.http import ApiKeyTokenProvider, HttpConfig, HttpTransport, TokenProvider

from include.contracts.errors import PolicyError
from include.settings import Settings

PATIENCE = 1.0
"""Seconds for a connection, and for an answer: an API that is away may cost a step two of them, no more."""


def send(event: RunEvent, where: Settings) -> None:
    """Send an event to where the settings say; it is not tried again.

    Raises:
        OSError: If the API cannot be reached, or refuses the event.
        RuntimeError: If the file cannot be written.
        PolicyError: If the address holds a password.
    """
    transport = http(where) if where.lineage.startswith("http") else _file(where.lineage)
    try:
        transport.emit(event)
    finally:
        transport.close()


def http(where: Settings) -> HttpTransport:
    """The way to an OpenLineage API."""
    if urlsplit(where.lineage).username or urlsplit(where.lineage).password:
        cause = "EVERGREEN_LINEAGE holds a user or a password, which logs would show"
        raise PolicyError("lineage", cause, "put the token into EVERGREEN_LINEAGE_API_KEY")
    key = where.lineage_api_key.get_secret_value()
    auth = ApiKeyTokenProvider({"api_key": key}) if key else TokenProvider({})
    return HttpTransport(HttpConfig(url=where.lineage, timeout=PATIENCE, auth=auth, retry={"total": 0}))


def _file(path: str) -> FileTransport:
    """One `write` of one whole line with O_APPEND: lines of several processes do not mix on a local disk."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    return FileTransport(FileConfig(log_file_path=path, append=True))
