"""The training process: it ends with its parent, keeps to its memory, and says in words how it ended."""

import logging
import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from include.contracts.errors import EvergreenError, InfraError, ModelError
from include.contracts.training import TrainingSpec
from include.jobs import EXIT
from include.models.limits import die_with_parent, limit_memory

log = logging.getLogger("evergreen")

TERMINATED = 128 + signal.SIGTERM
NO_THREAD = 127
"""How glibc leaves a process in which it finds no memory for a thread; our child has no other use for 127."""


def supervise(
    spec: TrainingSpec, body: Callable[[TrainingSpec], None], running: Callable[[], None] = lambda: None
) -> int:
    """Run `body` in a child under the spec's limits, and turn however it ends into an exit code and three lines.

    A native library that finds no memory aborts without a word; only a parent can still say what happened.

    Args:
        spec: What is trained.
        body: Trains.
        running: Called in this process once the child runs.

    Returns:
        0, the code of the error's class, or 143 after SIGTERM.
    """
    parent = os.getpid()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os._exit(_child(parent, spec, body))
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: os.kill(child, signal.SIGTERM))
    running()
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        code = os.WEXITSTATUS(status)
        return _starved(spec, f"exit code {code}") if code == NO_THREAD else code
    return _explain(spec, os.WTERMSIG(status))


def _explain(spec: TrainingSpec, sign: int) -> int:
    if sign == signal.SIGTERM:
        return TERMINATED
    name = signal.Signals(sign).name
    if sign == signal.SIGKILL:
        return say(
            InfraError(
                "training", "the process was killed (SIGKILL)", "look in dmesg for the kernel's OOM killer; retry"
            )
        )
    return _starved(spec, name)


def _starved(spec: TrainingSpec, how: str) -> int:
    return say(
        ModelError(
            "training",
            f"the process ended by {how}; most often it ran out of its memory of {spec.resources.memory}",
            "raise UseCase.resources.memory, or train on fewer rows",
        )
    )


def _child(parent: int, spec: TrainingSpec, body: Callable[[TrainingSpec], None]) -> int:
    die_with_parent(parent)
    limit_memory(spec.resources.memory_bytes)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to both; the parent passes it on as SIGTERM
    signal.signal(signal.SIGTERM, _terminated)
    signal.signal(signal.SIGALRM, _late)
    signal.alarm(spec.resources.seconds)
    try:
        code = guarded(lambda: body(spec), spec.resources.memory)
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return code


def guarded(body: Callable[[], None], memory: str) -> int:
    """Call `body`; an error becomes three lines and its exit code."""
    try:
        body()
    except MemoryError:
        return say(
            ModelError(
                "training", f"out of memory: the limit is {memory}", "raise UseCase.resources.memory, or use fewer rows"
            )
        )
    except SystemError as error:  # C code that found no memory, even for an exception, such as half-way in an import
        cause = f"{error}; most often it ran out of its memory of {memory}"
        return say(ModelError("training", cause, "raise UseCase.resources.memory, or train on fewer rows"))
    except EvergreenError as error:
        return say(error)
    return 0


def say(error: EvergreenError) -> int:
    """Log an error and return the exit code of its class."""
    log.error("%s", error)
    return EXIT[type(error).__name__]


def _terminated(sign: int, _: FrameType | None) -> None:
    signal.signal(sign, signal.SIG_IGN)
    log.error("training: told to stop (SIGTERM); no manifest is written")
    raise SystemExit(TERMINATED)


def _late(_sign: int, _frame: FrameType | None) -> None:
    raise ModelError("training", "it took longer than UseCase.resources.seconds", "raise it, or use fewer rows")
