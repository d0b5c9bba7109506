"""Runs a step of a stage inside a task: checks the request first, gives the step its time, keeps the error's words."""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import get_current_context

from include.contracts.errors import PolicyError

log = logging.getLogger(__name__)
Json = dict[str, Any]
CLOCK_SKEW = timedelta(minutes=5)
"""How far an upstream job's clock may be ahead of ours."""
ERROR = "error"
"""XCom key under which a failed step leaves its words for whoever closes the run."""


def step(use_case: str, stage: str, name: str, **arguments: Any) -> Json:
    """Run a step of a stage on behalf of the current task.

    Args:
        use_case: Name of the use case.
        stage: Package under `include`.
        name: Public function of its `__main__`.
        arguments: The step's further arguments; `as_of` is the run's where it is not among them.

    Returns:
        What the step returned.

    Raises:
        PolicyError: If the run's conf has a key that the DAG does not declare.
    """
    from include.jobs import run

    context: Any = get_current_context()
    with words_kept(context):
        check_conf(context)
        given = {"use_case": use_case, "as_of": as_of(context).isoformat(), **arguments}
        os.environ["EVERGREEN_RUN_ID"] = context["run_id"]  # this process is this task's alone
        return run(stage, name, given, run_id=context["run_id"])


@contextmanager
def words_kept(context: Mapping[str, Any]) -> Iterator[None]:
    """Leave an error's words in the task's XCom `error`, for whoever closes the run, and let the error pass."""
    try:
        yield
    except Exception as error:
        context["ti"].xcom_push(key=ERROR, value=str(error) or repr(error))
        raise


def announced(**facts: Any) -> Json:
    """What an asset event says: the time in which this run lives, and `facts`."""
    context: Any = get_current_context()
    return {"as_of": as_of(context).isoformat(), **facts}


def heard(context: Mapping[str, Any], fact: str) -> list[Any]:
    """What the asset events that started this run say about `fact`, oldest first."""
    events = [event for group in (context.get("triggering_asset_events") or {}).values() for event in group]
    return [event.extra[fact] for event in sorted(events, key=lambda event: event.timestamp) if fact in event.extra]


def check_conf(context: Mapping[str, Any]) -> None:
    """Refuse what the DAG does not declare: Airflow checks declared parameters only, and lets every other key through.

    Raises:
        PolicyError: If there is such a key; names it and the known ones.
    """
    known = list(context["dag"].params)
    unknown = [key for key in context["dag_run"].conf or {} if key not in known]
    if unknown:
        names = "unknown key" + "s" * (len(unknown) > 1) + " " + ", ".join(repr(key[:40]) for key in unknown[:5])
        raise _logged(PolicyError("request", f"{names}; known: {', '.join(known)}", "send the request without it"))


def as_of(context: Mapping[str, Any]) -> datetime:
    """The time in which the run lives: the request's, or that of the newest asset event that started it, or now.

    "Now" is the time at which the run was due, so that every task and every retry of a run sees the same.
    """
    asked = context["params"].get("as_of")
    if not asked:
        due: datetime = context["dag_run"].run_after
        return max(map(_moment, heard(context, "as_of")), default=due.astimezone(UTC))
    moment, now = _moment(asked), datetime.now(UTC)
    if moment > now + CLOCK_SKEW:  # one record from 2099 would hold every cooldown and every window until then
        cause = f"as_of {asked!r} is later than now, {now.isoformat(timespec='seconds')}"
        raise _logged(PolicyError("request", cause, "leave as_of out, or send a time that has been"))
    return moment


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        cause = f"as_of is {text!r}, no ISO 8601 time with a zone"
        raise _logged(PolicyError("request", cause, "write it such as 2013-03-01T00:00:00Z"))
    return moment.astimezone(UTC)


def _logged(error: PolicyError) -> PolicyError:
    log.error("%s", error)
    return error
