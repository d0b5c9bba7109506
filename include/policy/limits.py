"""What stands against an automatic retrain."""

from collections.abc import Callable
from datetime import datetime, timedelta

from include.contracts.decision import History, Outcome, RetrainRequest
from include.contracts.use_case import UseCase
from include.policy.finding import Finding

Limit = Callable[[UseCase, History, datetime], Finding]

WEEK = timedelta(days=7)
_STAMP = "%Y-%m-%d %H:%M"


def in_flight(_: UseCase, history: History, __: datetime) -> Finding:
    """One retrain at a time."""
    request = next((request for request in history.requests if request.outcome is None), None)
    text = f"request {request.id} is in flight" if request else "no request is open"
    return Finding("in flight", request is not None, text, always=True)


def breaker(use_case: UseCase, history: History, _: datetime) -> Finding:
    """After some rejected challengers in a row, only a person may ask."""
    allowed, count = use_case.retraining.breaker, _rejected_in_a_row(history.requests)
    text = f"{count} rejected in a row, {allowed} open the breaker"
    if count >= allowed:
        text = f"the breaker is open: {count} challengers in a row were rejected, only a person may ask now"
    return Finding("breaker", count >= allowed, text, always=True)


def cooldown(use_case: UseCase, history: History, as_of: datetime) -> Finding:
    """A pause after each automatic retrain; the first champion need not wait."""
    last = max((request.as_of for request in history.requests if request.automatic), default=None)
    if last is None:
        return Finding("cooldown", False, "no automatic retrain yet", spares_first=True)
    until = last + use_case.retraining.cooldown
    text = f"cooldown until {until:{_STAMP}} after the automatic retrain of {last:{_STAMP}}"
    return Finding("cooldown", as_of < until, text, spares_first=True)


def budget(use_case: UseCase, history: History, as_of: datetime) -> Finding:
    """A number of automatic retrains in any seven days."""
    used = sum(request.automatic and request.as_of > as_of - WEEK for request in history.requests)
    allowed = use_case.retraining.at_most_per_week
    return Finding("budget", used >= allowed, f"{used} of {allowed} automatic retrains used in seven days")


def already_asked(history: History, request: str, version: str) -> Finding:
    """The same cause, or the same data judged before: training again would give the same model."""
    asked = next((r for r in history.requests if r.id == request), None) or next(
        (r for r in history.requests if r.data_version == version and r.outcome in _JUDGED), None
    )
    if asked is None:
        return Finding("already asked", False, "not asked before")
    text = f"already asked by {asked.id}, which ended {asked.outcome or 'not yet'}; new data may ask again"
    return Finding("already asked", True, text)


LIMITS: tuple[Limit, ...] = (in_flight, breaker, cooldown, budget)
"""In the order in which they are named as the reason."""

_JUDGED = {Outcome.PROMOTED, Outcome.REJECTED}


def _rejected_in_a_row(requests: tuple[RetrainRequest, ...]) -> int:
    judged = [request for request in requests if request.outcome in _JUDGED]
    judged.sort(key=lambda request: request.closed_as_of or request.as_of)
    count = 0
    for request in judged:
        count = count + 1 if request.outcome is Outcome.REJECTED else 0
    return count
