"""The time at which the policy looks: the wall clock, or the time that a replay has reached."""

from datetime import datetime, timedelta

from include.contracts.record import Kind
from include.ledger import Ledger

REPLAY = timedelta(days=1)
"""A record whose `as_of` is further than this from its writing was made by a replay."""

_FACTS = tuple(kind for kind in Kind if kind not in {Kind.STAGE_COST, Kind.DECIDED})


def clock(ledger: Ledger, use_case: str, now: datetime) -> datetime:
    """The `as_of` of a decision made now.

    Args:
        ledger: The record of what happened.
        use_case: Name of the use case.
        now: Wall clock, UTC.

    Returns:
        `now`, unless the newest fact was written by a replay: then the latest `as_of` that any fact has reached,
        so that a single late or backfilled batch does not turn the clock back.
    """
    newest = ledger.newest(use_case, *_FACTS)
    if newest is None or newest.created_at is None or abs(newest.created_at - newest.as_of) <= REPLAY:
        return now
    return ledger.latest(use_case, *_FACTS) or now
