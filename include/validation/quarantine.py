"""The quarantine: batches that failed, with a readable report, until a person rules on them.

    python -m include.validation.quarantine list flights
    python -m include.validation.quarantine show flights 2013-03
    python -m include.validation.quarantine release flights 2013-03 --reason "the storm was real"
    python -m include.validation.quarantine drop flights 2013-03 --reason "export was broken"

A ruling is on exactly one content. A release lets that content pass when it is ingested again; a corrected file is
another content and needs none. `2013-03@1f2e3d4c5b6a` names an older content of the batch.
"""

import argparse
import getpass
import sys
from datetime import UTC, datetime
from enum import StrEnum

from include.contracts.data import ValidationReport
from include.contracts.errors import EvergreenError, PolicyError
from include.contracts.record import Kind, Record
from include.jobs import EXIT
from include.lake import object_store
from include.ledger import Ledger
from include.settings import settings
from include.validation.report import sentence
from include.validation.suite import is_unreadable


class Ruling(StrEnum):
    """What a person said about a content."""

    RELEASED = "released"
    DROPPED = "dropped"


def ruling(ledger: Ledger, use_case: str, key: str) -> Record | None:
    """The newest ruling on the content `key` (suite/batch@digest)."""
    return next(iter(reversed(ledger.find(use_case, Kind.QUARANTINE_RULED, prefix=f"{key}/"))), None)


def is_held(ledger: Ledger, use_case: str, key: str) -> bool:
    """Whether the content `key` is in quarantine, with no release and no later success."""
    if ledger.get(use_case, Kind.BATCH_QUARANTINED, key) is None:
        return False
    said = ruling(ledger, use_case, key)
    if said is not None:
        return bool(said.payload["ruling"] == Ruling.DROPPED)
    return ledger.get(use_case, Kind.BATCH_VALIDATED, key) is None


def rule(ledger: Ledger, use_case: str, batch: str, said: Ruling, reason: str, as_of: datetime) -> Record:
    """Record what a person says about the newest quarantined content of `batch`.

    Raises:
        PolicyError: If there is none, no reason is given, or a content that cannot be read is to be released.
    """
    held = newest(ledger, use_case, batch)
    if not reason.strip():
        raise PolicyError("quarantine", "no reason given", 'say why: --reason "..."')
    if said is Ruling.RELEASED and is_unreadable(ValidationReport.model_validate(held.payload)):
        raise PolicyError("quarantine", f"{held.key} cannot be read at all", "drop a corrected file and ingest again")
    earlier = ledger.find(use_case, Kind.QUARANTINE_RULED, prefix=f"{held.key}/")
    payload = {"ruling": said.value, "reason": reason, "by": getpass.getuser()}
    key = f"{held.key}/{len(earlier) + 1}"
    record = Record(use_case=use_case, kind=Kind.QUARANTINE_RULED, key=key, as_of=as_of, payload=payload)
    written = ledger.append(record)
    if said is Ruling.DROPPED:
        _delete_copies(str(held.payload["report_uri"]).rsplit("/", 1)[0])
    return written


def newest(ledger: Ledger, use_case: str, batch: str) -> Record:
    """The newest quarantine record of `batch`, which may name a content: `2013-03@1f2e3d4c5b6a`.

    Raises:
        PolicyError: If nothing of that batch is in quarantine.
    """
    records = ledger.find(use_case, Kind.BATCH_QUARANTINED)
    wanted = [record for record in records if _content(record) == batch or _content(record).split("@")[0] == batch]
    if not wanted:
        known = ", ".join(sorted({_content(record) for record in records})) or "nothing"
        cause = f"no batch {batch} of {use_case} in quarantine; there is: {known}"
        raise PolicyError("quarantine", cause, f"python -m include.validation.quarantine list {use_case}")
    return wanted[-1]


def main(argv: list[str] | None = None) -> int:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m include.validation.quarantine", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("action", choices=["list", "show", "release", "drop"])
    parser.add_argument("use_case")
    parser.add_argument("batch", nargs="?", default="")
    parser.add_argument("--reason", default="")
    given = parser.parse_args(argv)
    if given.action != "list" and not given.batch:
        parser.error(f"{given.action} needs a batch, such as 2013-03")
    ledger = Ledger.at(settings().ledger_url)
    try:
        print(_act(ledger, given))
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return EXIT[type(error).__name__]
    return 0


def _act(ledger: Ledger, given: argparse.Namespace) -> str:
    if given.action == "list":
        records = ledger.find(given.use_case, Kind.BATCH_QUARANTINED)
        return "\n".join(_line(ledger, record) for record in records) or f"nothing of {given.use_case} in quarantine"
    if given.action == "show":
        uri = newest(ledger, given.use_case, given.batch).payload["report_uri"]
        return object_store(uri).read(uri).decode()
    said = Ruling.RELEASED if given.action == "release" else Ruling.DROPPED
    record = rule(ledger, given.use_case, given.batch, said, given.reason, datetime.now(UTC))
    content = record.key.rsplit("/", 1)[0]
    after = f"; ingest {given.batch} again" if said is Ruling.RELEASED else ""
    return f"{content} {said}{after}"


def _line(ledger: Ledger, record: Record) -> str:
    said = ruling(ledger, record.use_case, record.key)
    passed = ledger.get(record.use_case, Kind.BATCH_VALIDATED, record.key)
    state = said.payload["ruling"] if said else "passed since" if passed else "held"
    report = ValidationReport.model_validate(record.payload)
    first = sentence(report.failures[0]) if report.failures else "not all expectations were evaluated"
    return f"{record.key:<34} {state:<12} {len(report.failures)} not met; {first}"


def _content(record: Record) -> str:
    return record.key.split("/", 1)[1]


def _delete_copies(folder: str) -> None:
    store = object_store(folder)
    for uri in store.list(folder):
        if not uri.rsplit("/", 1)[1].startswith("report-"):
            store.delete(uri)


if __name__ == "__main__":
    sys.exit(main())
