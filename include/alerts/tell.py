"""Says each fact once at each place, whoever asks and however often: the ledger knows what was said.

A sender first claims the fact (one record, by its unique key only one of several wins), sends, and then records that it
was said. Who dies between the two leaves a claim that runs out: the fact is said again rather than never. A place that
does not take it is tried again, `ATTEMPTS` times at most.
"""

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from include.alerts.facts import facts
from include.alerts.message import Message, Severity, cut
from include.alerts.places import Place, places
from include.contracts.errors import EvergreenError
from include.contracts.record import Kind, Record
from include.ledger import Ledger
from include.settings import settings

log = logging.getLogger("evergreen")

NEWS = timedelta(days=1)
"""Facts written longer ago are no news: a place that is named for the first time does not get the whole history."""

CLAIM = timedelta(seconds=60)
"""How long a claim holds; longer than any apprise time-out."""

ATTEMPTS = 10
AT_ONCE = 20
"""Facts in one message at most; the rest goes with the next."""

_LOUDEST = (Severity.BAD, Severity.WORRYING, Severity.GOOD)


def tell(ledger: Ledger, use_case: str) -> bool:
    """Tell all places what is new about a use case; a place that fails is said in a warning and tried again later.

    Returns:
        False where something is left that another attempt may deliver.

    Raises:
        PolicyError: If the setting cannot be read.
    """
    found = places(settings().alerts)
    return not found or deliver(ledger, use_case, found, facts(ledger, use_case, datetime.now(UTC) - NEWS))


def deliver(ledger: Ledger, use_case: str, to: Iterable[Place], messages: list[Message]) -> bool:
    """Say at each place what was not said there yet.

    Args:
        ledger: Knows what was said.
        use_case: Name under which it is recorded.
        to: Places.
        messages: Facts; those with the same key are one.

    Returns:
        False where something is left that another attempt may deliver.
    """
    said = ledger.find(use_case, Kind.ALERTED, Kind.ALERT_CLAIMED)
    done = {record.key for record in said if record.kind is Kind.ALERTED}
    claims: dict[str, list[Record]] = defaultdict(list)
    for record in said:
        if record.kind is Kind.ALERT_CLAIMED:
            claims[record.key.rpartition("/")[0]].append(record)
    complete = True
    for place in to:
        new = {f"{message.key}>{place.name}": message for message in messages}
        left = {key: message for key, message in new.items() if key not in done and len(claims[key]) < ATTEMPTS}
        mine = {
            key: left[key] for key in list(left)[:AT_ONCE] if _claimed(ledger, use_case, key, left[key], claims[key])
        }
        sent = not mine or _sent(ledger, use_case, place, mine)
        complete = complete and sent and len(mine) == len(left)
    return complete


def _claimed(ledger: Ledger, use_case: str, key: str, message: Message, earlier: list[Record]) -> bool:
    newest = max((record.created_at for record in earlier if record.created_at), default=None)
    if newest and datetime.now(UTC) - newest < CLAIM:
        return False
    mine = uuid.uuid4().hex
    number = f"{key}/{len(earlier) + 1}"
    claim = Record(use_case=use_case, kind=Kind.ALERT_CLAIMED, key=number, as_of=message.as_of, payload={"by": mine})
    return bool(ledger.append(claim).payload["by"] == mine)


def _sent(ledger: Ledger, use_case: str, place: Place, messages: dict[str, Message]) -> bool:
    several = list(messages.values())
    title = several[0].title if len(several) == 1 else f"{several[0].title} (and {len(several) - 1} more)"
    text = several[0].text if len(several) == 1 else "\n\n".join(f"{one.title}\n{one.text}" for one in several)
    loudest = next(severity for severity in _LOUDEST if any(one.severity is severity for one in several))
    try:
        place.send(f"Evergreen: {title}", cut(text, 20_000), loudest)
    except EvergreenError as error:
        log.warning("%d alerts are not said at %s: %s", len(several), place.name, error.cause)
        return False
    for key, message in messages.items():
        payload = {"title": message.title}
        ledger.append(Record(use_case=use_case, kind=Kind.ALERTED, key=key, as_of=message.as_of, payload=payload))
    return True
