"""Import this before `feast`: it keeps Feast's import from costing seconds and leaving folders behind.

Feast decorates its declarations with `typeguard.typechecked`, which reads and recompiles their source on every import:
2 of 3.7 seconds in each task. Python's own `-O` switches it off in the same way. And `feast.metrics` makes a folder in
the temporary directory for every process, which a forked task never removes.
"""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

PROMETHEUS = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")


@contextmanager
def _no_type_checks() -> Iterator[None]:
    import typeguard

    checked, typeguard.typechecked = typeguard.typechecked, _unchecked
    try:
        yield
    finally:
        typeguard.typechecked = checked


def _unchecked(target: Any = None, **_: object) -> Any:
    return _unchecked if target is None else target


@contextmanager
def _no_folder() -> Iterator[None]:
    import prometheus_client  # noqa: F401  (before the variables are set: its counters then stay in memory)

    given = {name: os.environ[name] for name in PROMETHEUS if name in os.environ}
    os.environ.update({name: tempfile.gettempdir() for name in PROMETHEUS} | given)
    try:
        yield
    finally:
        for name in set(PROMETHEUS) - set(given):
            os.environ.pop(name, None)


if "feast" not in sys.modules:
    os.environ.setdefault("FEAST_USAGE", "False")
    with _no_type_checks(), _no_folder():
        import feast
        import feast.metrics  # noqa: F401
