"""Limits of the running process (Linux): its memory, its imports, its life with its parent."""

import ctypes
import os
import resource
import signal
import sys

PR_SET_PDEATHSIG = 1


def limit_memory(limit: int) -> None:
    """Refuse this process and its children more than `limit` bytes of data each; 0 sets no limit."""
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


def without_sklearn() -> None:
    """Let XGBoost import without scikit-learn, whose wrappers it loads where it can: 1.3 s saved."""
    sys.modules.setdefault("sklearn", None)  # type: ignore[arg-type]
