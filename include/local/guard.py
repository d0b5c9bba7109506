"""Runs one program so that nothing of it outlives whoever started it. Standard library only: it is run by its path.

    python -S -E guard.py GRACE PROGRAM [ARGUMENT ...]

The guard ends everything below itself when its standard input closes (its parent is gone, however it went), when it is
told SIGTERM or SIGINT, or when PROGRAM ends: first SIGTERM to PROGRAM, after GRACE seconds SIGKILL to every descendant,
also to those that moved to a session of their own (the guard is their subreaper, so they cannot leave it).
"""

import ctypes
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


def main(grace: float, command: list[str]) -> int:
    """Run `command` until it ends or is to end.

    Returns:
        The exit code of `command`, 128 + n where signal n ended it.
    """
    wake, waker = os.pipe()
    os.set_blocking(waker, False)
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    for number in (*SIGNALS, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    child = _start(command)
    code = _wait(child, wake, None, watch_parent=True)
    if code is None:
        _signal_group(child, signal.SIGTERM)
        code = _wait(child, wake, time.monotonic() + grace, watch_parent=False)
    _end_descendants()
    return 128 + signal.SIGKILL if code is None else code


def _start(command: list[str]) -> int:
    child = os.fork()
    if child:
        return child
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)  # a killed guard takes its program along
    os.setsid()
    for number in (*SIGNALS, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        os.execvp(command[0], command)  # noqa: S606 - the whole point, and there is no shell in it
    except OSError as error:
        os.write(2, f"{command[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _wait(child: int, wake: int, deadline: float | None, *, watch_parent: bool) -> int | None:
    """Exit code of `child`; None where it is to end (told so, or the parent is gone) or the deadline passed."""
    while True:
        code = _reap(child)
        if code is not None:
            return code
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select([wake, *([0] if watch_parent else [])], [], [], left)
        told = wake in ready and any(number in SIGNALS for number in os.read(wake, 512))
        orphaned = 0 in ready and not os.read(0, 512)
        if not ready or (watch_parent and (told or orphaned)):
            return _reap(child)


def _reap(child: int) -> int | None:
    """Collect whatever ended; the exit code of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            ended = os.waitstatus_to_exitcode(status)
            code = ended if ended >= 0 else 128 - ended


def _end_descendants() -> None:
    while pids := _descendants():
        for pid in pids:
            _signal(pid, signal.SIGKILL)
        _reap(0)
        time.sleep(0.02)


def _descendants() -> list[int]:
    """Everything below this process that is not a zombie of somebody else's to collect."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it ended while we looked
            continue
        parents[int(stat.parent.name)] = int(fields[1])
    below, found = {os.getpid()}, set[int]()
    while below:
        below = {pid for pid, parent in parents.items() if parent in below}
        found |= below
    return sorted(found)


def _signal_group(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, number)


def _signal(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


if __name__ == "__main__":
    sys.exit(main(float(sys.argv[1]), sys.argv[2:]))
