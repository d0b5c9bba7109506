"""Around a step: say that it starts, what it read and wrote, or how it failed; and never stand in its way."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.contracts.training import TrainingSpec
from include.lineage.observation import DAGS, Observation, observation, of_training

if TYPE_CHECKING:
    from openlineage.client.event_v2 import RunEvent

log = logging.getLogger("evergreen")
Json = dict[str, Any]
OFF = "off"
STOPPED = 128 + signal.SIGTERM
"""Exit code of a training that was told to stop."""


@contextmanager
def observed(step: str, arguments: Json, as_of: datetime, request: str) -> Iterator[Callable[[Json], None]]:
    """Say what a step does, where it is one that has lineage.

    Args:
        step: `stage.step`.
        arguments: The step's keyword arguments.
        as_of: Time that it is about.
        request: DAG run on whose behalf it runs.

    Yields:
        To be called with the step's result.
    """
    seen = _seen(step, lambda: observation(step, arguments, as_of, request))
    if seen is None:
        yield lambda _: None
        return
    try:
        yield lambda result: _completed(seen, result)
    except BaseException as error:
        _failed(seen, str(error) or repr(error), aborted=not isinstance(error, Exception))
        raise


def observed_training(spec: TrainingSpec, body: Callable[[Callable[[], None]], int]) -> int:
    """Say what a training does, from the process that watches over it: that one outlives whatever kills the training.

    Args:
        spec: What is trained. With the manifest it is all that is needed: a pod has no ledger.
        body: Trains in a process of its own, and calls what it is given as soon as that one runs: what is loaded to say
            so is then no part of the training's memory, and the training does not wait for it.

    Returns:
        Exit code of `body`.
    """
    found: list[Observation | None] = []
    code = body(lambda: found.append(_seen("training.train", lambda: of_training(spec))))
    seen = found[0] if found else None
    if seen and code:
        _failed(seen, f"the training ended with exit code {code}; its log says why", aborted=code == STOPPED)
    elif seen:
        _completed(seen, None)
    return code


def trained_elsewhere(spec: TrainingSpec) -> None:
    """Say what a training did that could not say so itself, once its manifest is there."""
    seen = _seen("training.train", lambda: of_training(spec))
    if seen:
        _completed(seen, None)


def _seen(step: str, look: Callable[[], Observation]) -> Observation | None:
    """What is to be observed, with its START sent; None where it is not to be observed."""
    from include.settings import settings

    if step not in DAGS or settings().lineage == OFF:
        return None
    found: list[Observation] = []

    def start() -> "RunEvent":
        from include.lineage.events import started

        found.append(look())
        return started(found[0])

    _say(step, start)
    return found[0] if found else None


def _completed(seen: Observation, result: Json | None) -> None:
    def event() -> "RunEvent":
        from include.lineage.events import completed
        from include.lineage.steps import flow

        return completed(seen, *flow(seen, _manifest(seen) if result is None else result))

    _say(seen.step, event)


def _failed(seen: Observation, words: str, aborted: bool) -> None:
    def event() -> "RunEvent":
        from include.lineage.events import failed

        return failed(seen, words, aborted)

    _say(seen.step, event)


def _manifest(seen: Observation) -> Json:
    from include.models.manifest import MANIFEST, read_manifest

    return read_manifest(f"{seen.arguments['spec'].output_uri}/{MANIFEST}").model_dump(mode="json")


def _say(step: str, event: Callable[[], "RunEvent"]) -> None:
    """Make an event and send it; a step that could not be written about is said in a warning, and goes on."""
    try:
        from include.lineage.send import send
        from include.settings import settings

        send(event(), settings())
    except Exception as error:  # noqa: BLE001 - whatever it is, it must not be the step's failure
        log.warning("lineage: an event of %s is lost: %s: %s", step, type(error).__name__, error)
