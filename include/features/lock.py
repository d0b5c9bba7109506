"""One writer at a time on this machine."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from include.contracts.errors import InfraError


@contextmanager
def exclusive(path: Path, seconds: float = 600) -> Iterator[None]:
    """Hold the lock file `path`; the kernel releases it however the process ends.

    Args:
        path: Of the lock file; made where it is missing.
        seconds: How long to wait for the holder.

    Raises:
        InfraError: If the lock is still held after `seconds`.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + seconds
    with path.open("a") as file:
        while not _taken(file.fileno()):
            if time.monotonic() >= deadline:
                raise InfraError("features", f"{path} is held by another process for {seconds:g} s", "try again later")
            time.sleep(0.05)
        yield


def _taken(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
