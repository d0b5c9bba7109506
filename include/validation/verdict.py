"""What follows from a report: a record of success, or quarantine and an error that says what to do."""

import logging
from collections.abc import Iterable
from datetime import datetime

from include.contracts.data import LandedFile, ValidationReport
from include.contracts.errors import DataError
from include.contracts.record import Kind, Record
from include.lake import object_store
from include.ledger import Ledger
from include.validation.quarantine import Ruling, ruling
from include.validation.report import brief, commands, markdown
from include.validation.suite import is_unreadable

log = logging.getLogger("evergreen")


class Verdict:
    """Writes down how one content of a batch was judged.

    Args:
        artifacts: Root of the artifacts.
        suite: `raw` or `features`.
        digest: Identity of the content.
    """

    def __init__(self, ledger: Ledger, artifacts: str, use_case: str, suite: str, batch: str, digest: str) -> None:
        self.ledger, self.use_case, self.suite, self.batch, self.digest = ledger, use_case, suite, batch, digest
        self.key = f"{suite}/{batch}@{digest[:12]}"
        self.root = f"{artifacts.rstrip('/')}/{use_case}"

    def passed(self) -> ValidationReport | None:
        """The report of an earlier success with this content.

        Raises:
            DataError: If a person dropped this content.
        """
        said = ruling(self.ledger, self.use_case, self.key)
        if said and said.payload["ruling"] == Ruling.DROPPED:
            cause = f"{self.key} was dropped by {said.payload['by']}: {said.payload['reason']}"
            raise DataError("validation", cause, "drop a corrected file into the landing zone and ingest again")
        record = self.ledger.get(self.use_case, Kind.BATCH_VALIDATED, self.key)
        return ValidationReport.model_validate(record.payload) if record else None

    def settle(self, report: ValidationReport, as_of: datetime, files: Iterable[LandedFile] = ()) -> ValidationReport:
        """Record `report`; quarantine the batch where it is no success and nobody released this content.

        Raises:
            DataError: The batch is in quarantine.
        """
        said = ruling(self.ledger, self.use_case, self.key)
        if report.success:
            return self._record(Kind.BATCH_VALIDATED, self._written(report, "reports/validation"), as_of)
        written = self._written(report, "quarantine")
        if said and said.payload["ruling"] == Ruling.RELEASED and not is_unreadable(report):
            reason = f"released by {said.payload['by']}: {said.payload['reason']}"
            log.warning("%s passes by override %s (%s)\n  %s", self.key, said.key, reason, brief(report))
            return self._record(Kind.BATCH_VALIDATED, written.model_copy(update={"override": reason}), as_of)
        self._copy(files)
        self._record(Kind.BATCH_QUARANTINED, written, as_of)
        release, drop = commands(self.use_case, self.batch)
        raise DataError(
            f"validation of {self.use_case} {self.batch} ({self.suite}), in quarantine",
            brief(report),
            f"read {written.report_uri}; drop a corrected file and ingest again, or\n             {release}"
            f"\n             {drop}",
        )

    def _place(self, area: str) -> str:
        return f"{self.root}/{area}/{self.batch}/{self.digest[:12]}"

    def _written(self, report: ValidationReport, area: str) -> ValidationReport:
        uri = f"{self._place(area)}/report-{self.suite}.md"
        written = report.model_copy(update={"report_uri": uri})
        store = object_store(uri)
        store.write(uri, markdown(self.use_case, written, self.digest).encode())
        store.write(f"{uri.removesuffix('.md')}.json", written.model_dump_json(indent=1).encode())
        return written

    def _copy(self, files: Iterable[LandedFile]) -> None:
        for file in files:
            store = object_store(file.uri)
            store.write(f"{self._place('quarantine')}/{file.uri.rsplit('/', 1)[1]}", store.read(file.uri))

    def _record(self, kind: Kind, report: ValidationReport, as_of: datetime) -> ValidationReport:
        payload = report.model_dump(mode="json")
        record = Record(use_case=self.use_case, kind=kind, key=self.key, as_of=as_of, payload=payload)
        return ValidationReport.model_validate(self.ledger.append(record).payload)
