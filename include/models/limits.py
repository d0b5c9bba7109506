"""Limits of the running process: its memory, and its life with its parent. Linux; elsewhere they do nothing."""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def limit_memory(limit: int) -> None:
    """Refuse this process and its children more than `limit` bytes of data; `limit` 0 lifts nothing and sets nothing."""
    if limit and sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def die_with_parent(parent: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Let the kernel send this process `how` when its parent ends, whatever way.

    Args:
        parent: The parent's id, read before; where it is gone already, this process ends now.
        how: The signal.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(how), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), how)
