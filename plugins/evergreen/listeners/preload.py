"""Imports the heavy libraries once in the scheduler, before it forks its workers.

Each task of a LocalExecutor is a fork of a fork of the scheduler: what the scheduler has imported, no task imports
again (feast, Great Expectations, Evidently and MLflow are ten seconds of CPU). Off unless EVERGREEN_PRELOAD names
modules; the local runner sets it for the scheduler alone. Only libraries belong in it, never code of the project: a
task is to see the project as it is now. Importing these libraries starts no thread pool; using them does, and a fork
does not take it along, so nothing is called here.
"""

import importlib
import logging
import os
import sys
import time
import warnings
from typing import Any

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)


@hookimpl
def on_starting(component: Any) -> None:  # noqa: ARG001 - Airflow calls it with this name
    """Import what EVERGREEN_PRELOAD names; a library that is missing is said, and costs speed only."""
    started = time.monotonic()
    wanted = os.environ.get("EVERGREEN_PRELOAD", "").split(",")
    names = [name for name in wanted if name and name not in sys.modules]  # in a task, everything is there already
    for name in names:
        try:
            with warnings.catch_warnings(action="ignore"):
                importlib.import_module(name)
        except ImportError as error:
            log.warning("EVERGREEN_PRELOAD: %s: %s; tasks will import it themselves", name, error)
    if names:
        log.info("preloaded %d libraries for the workers in %.1f s", len(names), time.monotonic() - started)
