"""Training in a process of its own on the worker's machine."""

import os
import re
import signal
import subprocess
import sys
from collections import deque
from datetime import timedelta
from typing import Any

from evergreen.operators.training import TrainingOperator
from include.contracts.errors import DataError, EvergreenError, InfraError, ModelError, PolicyError
from include.contracts.training import TrainingSpec
from include.contracts.use_case import UseCase
from include.settings import PROJECT

GRACE = 5
"""Seconds between SIGTERM and SIGKILL; also how much longer than the child's own deadline this task waits."""
CLASSES: dict[str, type[EvergreenError]] = {c.__name__: c for c in (DataError, ModelError, PolicyError, InfraError)}
FIELD = re.compile(r"^  (component|cause|next step)\s+(.*)$")


class TrainingProcessOperator(TrainingOperator):
    """Runs `python -m include.training --spec URI` in its own session, with its log in the task's log.

    The process ends with this task, however the task ends; its memory and its time are limited by the declaration.
    """

    def __init__(self, *, use_case: UseCase, **arguments: Any) -> None:
        limit = timedelta(seconds=use_case.resources.seconds + 6 * GRACE)
        super().__init__(use_case=use_case, **{"execution_timeout": limit, **arguments})
        self._process: subprocess.Popen[str] | None = None

    def carry_out(self, spec: TrainingSpec, spec_uri: str) -> None:
        """Run the process to its end.

        Raises:
            EvergreenError: Of the class that its exit code says; InfraError where it was killed.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "include.training", "--spec", spec_uri],
            env=self._environment(spec),
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        last: deque[str] = deque(maxlen=5)
        said: dict[str, str] = {}
        try:
            for line in self._process.stderr or ():
                if line.rstrip() in last:
                    continue  # a library that finds no memory says so hundreds of times
                self.log.info(line.rstrip())
                last.append(line.rstrip())
                if match := FIELD.match(line.rstrip()):
                    said[match[1]] = match[2]
            code = self._process.wait()
        finally:
            self.on_kill()
        if code != 0:
            raise failure_of(code, said, list(last))

    def on_kill(self) -> None:
        """End the process and everything in its session."""
        if self._process is None:
            return
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
            except ProcessLookupError:
                return
            try:
                self._process.wait(GRACE)
            except subprocess.TimeoutExpired:
                continue

    @staticmethod
    def _environment(spec: TrainingSpec) -> dict[str, str]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW")}
        return {
            **inherited,
            "EVERGREEN_DIE_WITH_PARENT": "1",
            "EVERGREEN_RUN_ID": spec.request,
            "OMP_NUM_THREADS": str(spec.resources.cpu),
            "PYTHONPATH": str(PROJECT),
        }


def failure_of(code: int, said: dict[str, str], last: list[str]) -> EvergreenError:
    """The error that the process named, or the best that can be said without it."""
    from include.jobs import EXIT

    found = {number: name for name, number in EXIT.items()}.get(code)
    if found:
        cause = said.get("cause") or f"exit code {code} without a word"
        return CLASSES[found](said.get("component", "training"), cause, said.get("next step", "read the log above"))
    ended = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    words = "\n".join(last) or "it wrote nothing"
    return InfraError("training", f"the process {ended}:\n{words}", "read the log above; it is tried again by itself")
