"""One writer at a time: on this machine, or on all machines that share a ledger on Postgres."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from include.contracts.errors import InfraError
from include.ledger import Ledger
from include.ledger.advisory import lock
from include.settings import settings

NOT_AVAILABLE = "55P03"
"""What Postgres answers when `lock_timeout` is over."""


@contextmanager
def exclusive(name: str, seconds: float = 600) -> Iterator[None]:
    """Hold the lock `name`; it is free again however the process ends.

    Workers on several machines have the ledger in common, so that is where the lock is. A ledger on SQLite is of one
    machine, and there the kernel keeps it, on a file in the home.

    Args:
        name: What only one may do at a time.
        seconds: How long to wait for the holder.

    Raises:
        InfraError: If the lock is still held after `seconds`, or was lost on the way.
    """
    found = settings()
    engine = Ledger.at(found.ledger_url).engine
    postgres = engine.dialect.name == "postgresql"
    with _in_database(engine, name, seconds) if postgres else _in_file(found.home / f"{name}.lock", seconds):
        yield


@contextmanager
def _in_database(engine: Engine, name: str, seconds: float) -> Iterator[None]:
    with engine.connect() as connection:
        try:
            lock(connection, name, seconds)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) == NOT_AVAILABLE:
                raise _held(name, seconds) from error
            raise InfraError("features", f"no lock {name}: {error.orig}", "look at the ledger's database") from error
        yield
        try:
            connection.commit()
        except DBAPIError as error:  # then the server freed it early, and another may have written meanwhile
            raise InfraError("features", f"the lock {name} was lost: {error.orig}", "run the step again") from error


@contextmanager
def _in_file(path: Path, seconds: float) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("a") as file:
        while not _taken(file.fileno()):
            if time.monotonic() >= deadline:
                raise _held(str(path), seconds)
            time.sleep(0.05)
        yield


def _held(name: str, seconds: float) -> InfraError:
    return InfraError("features", f"{name} is held by another process for {seconds:g} s", "try again later")


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
