"""Nothing that we start outlives us, however we go."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from include.local.process import Process, free_ports, stop_all
from include.settings import PROJECT

pytestmark = pytest.mark.integration

STUBBORN = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        open(sys.argv[1] + "/grandchild", "w").write(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
open(sys.argv[1] + "/child", "w").write(str(os.getpid()))
time.sleep(600)
"""
"""Ignores SIGTERM, and has a child that left its session and lost its parent."""

PARENT = """
import os, sys, time
from pathlib import Path
from include.local.process import Process
program, folder = sys.argv[1:]
command = [sys.executable, "-c", program, folder]
process = Process("stubborn", command, Path(folder, "log"), os.environ, Path(folder), 0.5)
time.sleep(600)
"""


def stubborn(folder: Path) -> Process:
    return Process("stubborn", [sys.executable, "-c", STUBBORN, str(folder)], folder / "log", os.environ, folder, 0.5)


def pids(folder: Path) -> list[int]:
    """Of the child and the grandchild, once both are there."""
    until = time.monotonic() + 20
    found = [folder / "child", folder / "grandchild"]
    while not all(path.exists() and path.read_text() for path in found):
        assert time.monotonic() < until
        time.sleep(0.02)
    return [int(path.read_text()) for path in found]


def gone(pid: int, seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True


def test_stop_ends_the_program_and_what_left_it(tmp_path: Path) -> None:
    process = stubborn(tmp_path)
    found = pids(tmp_path)
    began = time.monotonic()
    process.stop()
    assert time.monotonic() - began < 3
    assert all(gone(pid, 0.5) for pid in found)
    assert process.code == 137


def test_several_are_stopped_in_the_time_of_one(tmp_path: Path) -> None:
    folders = [tmp_path / str(number) for number in range(4)]
    for folder in folders:
        folder.mkdir()
    processes = [stubborn(folder) for folder in folders]
    found = [pid for folder in folders for pid in pids(folder)]
    began = time.monotonic()
    stop_all(processes)
    assert time.monotonic() - began < 3
    assert all(gone(pid, 0.5) for pid in found)


def test_a_crash_of_the_program_takes_its_children_along(tmp_path: Path) -> None:
    process = stubborn(tmp_path)
    child, grandchild = pids(tmp_path)
    assert process.pid == child
    process.kill()
    assert gone(grandchild)
    assert process.code == 137


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_a_parent_that_is_killed(tmp_path: Path, how: signal.Signals) -> None:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    parent = subprocess.Popen([sys.executable, "-c", PARENT, STUBBORN, str(tmp_path)], env=environment, cwd=tmp_path)
    try:
        found = pids(tmp_path)
    finally:
        parent.send_signal(how)
        parent.wait()
    assert all(gone(pid) for pid in found)


def test_a_program_that_ends_by_itself_says_how(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "print('last words'); raise SystemExit(7)"]
    process = Process("short", command, tmp_path / "log", os.environ, tmp_path)
    process.wait(20)
    assert process.code == 7
    assert process.tail() == "last words"


def test_a_program_that_is_not_there_says_so(tmp_path: Path) -> None:
    process = Process("missing", ["/no/such/program"], tmp_path / "log", os.environ, tmp_path)
    process.wait(20)
    assert process.code == 127
    assert "/no/such/program" in process.tail()


def test_ports_are_different(tmp_path: Path) -> None:
    assert len(set(free_ports(20))) == 20
