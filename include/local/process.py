"""A program under guard: it ends when told, and when we end, however we end."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

GUARD = Path(__file__).with_name("guard.py")
GRACE = 4.0
LOOPBACK = "127.0.0.1"
"""The address that only this machine can reach."""


class Process:
    """One program with all that it starts.

    Args:
        name: For messages and the log file.
        command: Program and arguments.
        log: File that its output is appended to.
        env: Its whole environment.
        cwd: Folder in which it runs.
        grace: Seconds between SIGTERM and SIGKILL.
    """

    def __init__(
        self, name: str, command: Sequence[str], log: Path, env: Mapping[str, str], cwd: Path, grace: float = GRACE
    ) -> None:
        self.name = name
        self.log = log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            self._from = output.tell()
            self._guard = subprocess.Popen(
                [sys.executable, "-S", "-E", str(GUARD), str(grace), *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,  # Ctrl-C reaches us, and we tell the guard
            )

    @property
    def pid(self) -> int:
        """The program itself, or the guard where the program is gone."""
        children = Path(f"/proc/{self._guard.pid}/task/{self._guard.pid}/children")
        found = children.read_text().split() if children.exists() else []
        return int(found[0]) if found else self._guard.pid

    @property
    def code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._guard.poll()

    def wait(self, seconds: float) -> None:
        """Wait until it ends by itself, `seconds` at most."""
        with suppress(subprocess.TimeoutExpired):
            self._guard.wait(seconds)

    def ask_to_stop(self) -> None:
        """Begin to end it; returns at once."""
        if self._guard.stdin and not self._guard.stdin.closed:
            self._guard.stdin.close()

    def stop(self) -> None:
        """End it and everything below it; returns when nothing is left."""
        self.ask_to_stop()
        self._guard.wait()

    def kill(self) -> None:
        """SIGKILL the program now, as a crash would; the guard removes what is below it."""
        os.kill(self.pid, signal.SIGKILL)
        self._guard.wait()

    def tail(self, lines: int = 15) -> str:
        """The end of what it has written since it was started."""
        with self.log.open("rb") as file:
            file.seek(self._from)
            return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def stop_all(processes: Iterable[Process]) -> None:
    """End several at once, waiting for the slowest only."""
    found = list(processes)
    for process in found:
        process.ask_to_stop()
    for process in found:
        process.stop()


def free_ports(count: int, host: str = LOOPBACK) -> list[int]:
    """Ports of `host`, an address of this machine, that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((host, 0))
        return [each.getsockname()[1] for each in sockets]
