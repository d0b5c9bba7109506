"""Ingestion: land what an upstream job dropped, commit what was found good."""

import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.jobs import main

if TYPE_CHECKING:
    from collections.abc import Iterable

    from include.contracts.source import Batch
    from include.contracts.use_case import UseCase
    from include.ledger import Ledger

log = logging.getLogger("evergreen")

Json = dict[str, Any]


def land(use_case: str, as_of: str, batch: str | None = None) -> Json:
    """Copy a batch from the landing zone.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch; None takes the oldest one that is over and neither committed nor in quarantine.

    Returns:
        LandedBatch; `{"batch": None, "reason": ..}` where None was asked for and nothing waits.
    """
    from include.contracts.record import Kind, Record
    from include.ingestion.land import check_key, copy, find
    from include.ingestion.zone import LandingZone
    from include.ledger import Ledger
    from include.settings import settings
    from include.use_cases import parts

    found, moment, zone = parts(use_case), datetime.fromisoformat(as_of), LandingZone(settings().landing)
    ledger = Ledger.at(settings().ledger_url)
    if batch is None:
        waiting = _oldest(found.use_case, ledger, found.source.batches(zone), moment)
        if waiting is None:
            return {"batch": None, "reason": f"nothing waits in {zone.root}/{use_case}"}
    else:
        check_key(found.use_case, batch, moment)
        waiting = find(found.use_case, batch, found.source.batches(zone), zone)
    landed = copy(found.use_case, waiting, settings().artifacts, moment)
    payload = landed.model_dump(mode="json")
    key = f"{landed.batch}@{landed.digest[:12]}"
    ledger.append(Record(use_case=use_case, kind=Kind.BATCH_LANDED, key=key, as_of=moment, payload=payload))
    return payload


def commit(use_case: str, as_of: str, batch: str, landed: Json) -> Json:
    """Make a landed and validated batch a version of the raw tables.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch.
        landed: LandedBatch.

    Returns:
        DatasetSnapshot of the raw tables.
    """
    from include.contracts.data import LandedBatch
    from include.contracts.errors import PolicyError
    from include.contracts.record import Kind, Record
    from include.ingestion.commit import commit as write
    from include.lake import Lake
    from include.ledger import Ledger
    from include.settings import settings
    from include.use_cases import parts

    given, ledger = LandedBatch.model_validate(landed), Ledger.at(settings().ledger_url)
    content = f"{given.batch}@{given.digest[:12]}"
    if given.batch != batch:
        raise PolicyError("ingestion", f"batch is {batch!r}, landed is {given.batch!r}", "commit what was landed")
    if ledger.get(use_case, Kind.BATCH_VALIDATED, f"raw/{content}") is None:
        raise PolicyError("ingestion", f"{content} was not validated", "run the step validate on it first")
    earlier = ledger.find(use_case, Kind.BATCH_COMMITTED, prefix=f"{batch}@")
    if given.digest in [record.payload["tables"][0]["digest"] for record in earlier[:-1]] and (
        given.digest != earlier[-1].payload["tables"][0]["digest"]
    ):
        cause = f"{content} was committed before and has been corrected since"
        raise PolicyError("ingestion", cause, "drop the content that is to count as a new export")
    snapshot = write(given, parts(use_case).source.read, Lake(settings().lake, use_case))
    record = Record(
        use_case=use_case,
        kind=Kind.BATCH_COMMITTED,
        key=f"{batch}@{snapshot.digest[:12]}",
        as_of=datetime.fromisoformat(as_of),
        payload=snapshot.model_dump(mode="json"),
    )
    return ledger.append(record).payload


def _oldest(use_case: "UseCase", ledger: "Ledger", given: "Iterable[Batch]", as_of: datetime) -> "Batch | None":
    from include.contracts.errors import PolicyError
    from include.contracts.record import Kind
    from include.ingestion.land import check_key, content_digest
    from include.validation.quarantine import is_held

    done = {record.payload["batch"] for record in ledger.find(use_case.name, Kind.BATCH_COMMITTED)}
    for batch in sorted(given, key=lambda each: each.key):
        if batch.key in done:
            continue
        try:
            check_key(use_case, batch.key, as_of)
        except PolicyError as error:
            log.info("%s is passed over: %s", batch.key[:80], error.cause)
            continue
        if not is_held(ledger, use_case.name, f"raw/{batch.key}@{content_digest(batch)[:12]}"):
            return batch
    return None


if __name__ == "__main__":
    raise SystemExit(main("ingestion"))
