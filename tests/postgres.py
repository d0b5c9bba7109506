"""A Postgres server of our own: a temporary folder, a free port of 127.0.0.1, a password that needs escaping."""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from sqlalchemy import URL, NullPool, create_engine, text
from sqlalchemy.exc import OperationalError

from include.local.process import LOOPBACK, Process, free_ports

PACKAGE = "apt-get install postgresql"
START_SECONDS = 60
ZONE = "Asia/Kolkata"
"""The server's time zone: what comes back must be UTC all the same."""


class Postgres:
    """A running server.

    Args:
        process: The server.
        url: Of its superuser.
    """

    def __init__(self, process: Process, url: URL) -> None:
        self.process = process
        self._url = url

    def database(self) -> str:
        """SQLAlchemy URL of a new, empty database."""
        name = f"test_{secrets.token_hex(6)}"
        self.ask(f"CREATE DATABASE {name}")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def ask(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as superuser, outside a transaction; the rows that it gives."""
        engine = create_engine(self._url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            done = connection.execute(text(statement))
            return [tuple(row) for row in done] if done.returns_rows else []


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A server for all tests of the session; they are skipped where the package is absent."""
    binaries = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not binaries:
        pytest.skip(f"no Postgres on this machine: {PACKAGE}")
    folder = Path(mkdtemp(prefix="evergreen-postgres-"))
    try:
        running = _start(binaries[-1], folder)
        try:
            yield running
        finally:
            running.process.kill()
    finally:
        shutil.rmtree(folder)


def _start(binaries: Path, folder: Path) -> Postgres:
    password, port, data = "p@ss/w:%,=" + secrets.token_urlsafe(12), free_ports(1)[0], folder / "data"
    (folder / "password").write_text(password)
    user = _user(folder)
    command = [*user, str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-N", "-A", "scram-sha-256"]
    subprocess.run([*command, f"--pwfile={folder / 'password'}"], cwd="/", check=True, stdout=subprocess.DEVNULL)
    given = {"listen_addresses": LOOPBACK, "unix_socket_directories": "", "fsync": "off", "TimeZone": ZONE}
    options = [part for name, value in given.items() for part in ("-c", f"{name}={value}")]
    command = [*user, str(binaries / "postgres"), "-D", str(data), "-p", str(port), *options]
    process = Process("postgres", command, folder / "log", {"LC_ALL": "C.UTF-8"}, Path("/"), grace=1)
    url = URL.create("postgresql+psycopg2", "postgres", password, LOOPBACK, port, "postgres")
    running = Postgres(process, url)
    _wait(running)
    return running


def _user(folder: Path) -> list[str]:
    """The server refuses to run as root, so root lends its folder to the package's user."""
    if os.geteuid():
        return []
    for path in (folder, *folder.iterdir()):
        shutil.chown(path, "postgres", "postgres")
    return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]


def _wait(running: Postgres) -> None:
    until = time.monotonic() + START_SECONDS
    while True:
        try:
            running.ask("SELECT 1")
        except OperationalError:
            if running.process.code is not None or time.monotonic() > until:
                raise RuntimeError(f"Postgres did not start: {running.process.tail()}") from None
            time.sleep(0.1)
        else:
            return
