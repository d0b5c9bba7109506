"""Reads the ledger into what the policy may know."""

from datetime import datetime

from include.contracts.decision import History, RetrainRequest
from include.contracts.monitoring import DriftReport
from include.contracts.record import Kind, Record
from include.contracts.verdict import Champion
from include.ledger import Ledger
from include.ledger.featured import featured


def history(ledger: Ledger, use_case: str, as_of: datetime) -> History:
    """The ledger as it stood at `as_of`, oldest first.

    Args:
        ledger: The record of what happened.
        use_case: Name of the use case.
        as_of: Facts about later times are left out, so that a decision of the past can be made again.
    """
    records = [
        record
        for record in ledger.find(
            use_case,
            Kind.WINDOW_MONITORED,
            Kind.RETRAIN_REQUESTED,
            Kind.RETRAIN_CLOSED,
            Kind.PROMOTED,
        )
        if record.as_of <= as_of
    ]
    promoted = _of(records, Kind.PROMOTED)
    return History(
        champion=Champion.model_validate(promoted[-1].payload) if promoted else None,
        batches=tuple(featured(ledger, use_case, as_of)),
        windows=_windows(_of(records, Kind.WINDOW_MONITORED)),
        requests=_requests(_of(records, Kind.RETRAIN_REQUESTED), _of(records, Kind.RETRAIN_CLOSED)),
    )


def _windows(records: list[Record]) -> tuple[DriftReport, ...]:
    reports = (DriftReport.model_validate(record.payload) for record in records)
    newest = {(report.model_version, report.batch, report.starts): report for report in reports}
    return tuple(sorted(newest.values(), key=lambda report: report.starts))


def _requests(asked: list[Record], closed: list[Record]) -> tuple[RetrainRequest, ...]:
    endings = {record.key: record for record in closed}
    return tuple(_request(record, endings.get(record.key)) for record in asked)


def _request(asked: Record, closed: Record | None) -> RetrainRequest:
    ending = {"outcome": closed.payload["outcome"], "closed_as_of": closed.as_of} if closed else {}
    return RetrainRequest.model_validate({**asked.payload, **ending})


def _of(records: list[Record], kind: Kind) -> list[Record]:
    return [record for record in records if record.kind is kind]
