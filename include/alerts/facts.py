"""Which records of the ledger people are told of, and in which words."""

from datetime import datetime

from include.alerts.message import Message, Severity
from include.contracts.data import ValidationReport
from include.contracts.decision import Outcome, RetrainDecision
from include.contracts.record import Kind, Record
from include.contracts.verdict import Champion
from include.ledger import Ledger

SAID = (Kind.BATCH_QUARANTINED, Kind.RETRAIN_CLOSED, Kind.PROMOTED)


def facts(ledger: Ledger, use_case: str, written_after: datetime) -> list[Message]:
    """What people should know, of all that was written after a wall-clock time, UTC, oldest first."""
    words = [_words(record) for record in ledger.recent(use_case, written_after, *SAID)]
    return [message for message in (*words, _breaker(ledger, use_case, written_after)) if message]


def _words(record: Record) -> Message | None:
    says = {Kind.BATCH_QUARANTINED: _quarantined, Kind.RETRAIN_CLOSED: _failed, Kind.PROMOTED: _champion}
    return says[record.kind](record)


def _message(record: Record, severity: Severity, title: str, text: str) -> Message:
    return Message(f"{record.kind}/{record.id}", record.as_of, severity, title, text)


def _quarantined(record: Record) -> Message:
    report = ValidationReport.model_validate(record.payload)
    failed = "\n".join(f"- {one.table}: {one.expectation} {one.observed}".rstrip() for one in report.failures[:5])
    text = (
        f"{len(report.failures)} expectations were not met ({report.suite}).\n{failed}\nReport: {report.report_uri}\n"
        f"Rule on it: python -m include.validation.quarantine show {record.use_case} {report.batch}"
    )
    return _message(record, Severity.WORRYING, f"{record.use_case}: batch {report.batch} is in quarantine", text)


def _failed(record: Record) -> Message | None:
    if record.payload["outcome"] != Outcome.FAILED.value:
        return None
    text = f"Request {record.key}\n{record.payload['reason']}\nThe champion is unchanged."
    return _message(record, Severity.BAD, f"{record.use_case}: a retrain failed", text)


def _champion(record: Record) -> Message:
    row = Champion.model_validate(record.payload)
    before = f"It follows v{row.previous}." if row.previous else "It is the first of its line."
    if row.reason.startswith("rollback"):
        title = f"{row.use_case}: rolled back to v{row.version}"
        return _message(record, Severity.WORRYING, title, row.reason)
    how = f"By a person's word: {row.reason}" if row.reason else "By the gate's verdict."
    text = f"{how} {before} Metric in its evaluation: {row.metric:.4f}."
    return _message(record, Severity.GOOD, f"{row.use_case}: v{row.version} is champion", text)


def _breaker(ledger: Ledger, use_case: str, written_after: datetime) -> Message | None:
    """The breaker is a finding of decisions; the rejection that opened it is what makes it one fact."""
    decided = ledger.newest(use_case, Kind.DECIDED)
    if decided is None or decided.created_at is None or decided.created_at <= written_after:
        return None
    decision = RetrainDecision.model_validate(decided.payload)
    closed = ledger.find(use_case, Kind.RETRAIN_CLOSED) if decision.breaker_open else []
    rejected = [one.id for one in closed if one.payload["outcome"] == Outcome.REJECTED.value and one.id < decided.id]
    if not rejected:
        return None
    text = (
        f"{decision.reason}\nNothing is retrained by itself until then. Read the verdicts, then trigger "
        f"{use_case}_retrain with a reason."
    )
    title = f"{use_case}: the breaker is open"
    return Message(f"breaker/{rejected[-1]}", decided.as_of, Severity.WORRYING, title, text)
