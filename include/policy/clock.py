"""The time at which the policy looks: the wall clock, or the time that a replay has reached."""

from datetime import datetime, timedelta

from include.contracts.record import Kind, Record
from include.ledger import Ledger

REPLAY = timedelta(days=1)
"""A record whose `as_of` is further than this from its writing was made by a replay."""

FACTS = tuple(kind for kind in Kind if kind not in {Kind.STAGE_COST, Kind.DECIDED, Kind.ALERT_CLAIMED, Kind.ALERTED})
"""What moves the clock; the others are about facts, and follow them."""


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
    newest = ledger.newest(use_case, *FACTS)
    if newest is None or not is_replay(newest):
        return now
    return ledger.latest(use_case, *FACTS) or now


def is_replay(record: Record) -> bool:
    """Whether a record was written far from the time that it is about."""
    return record.created_at is not None and abs(record.created_at - record.as_of) > REPLAY
