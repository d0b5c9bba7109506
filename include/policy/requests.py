"""Retrain requests in the ledger: each accepted one ends in exactly one terminal record."""

from datetime import datetime
from typing import Any

from include.contracts.data import data_version
from include.contracts.decision import Outcome, RetrainRequest, Rule
from include.contracts.errors import PolicyError
from include.contracts.record import Kind, Record
from include.contracts.use_case import UseCase
from include.ledger import Ledger
from include.policy.history import history
from include.policy.identity import declaration


def ask(
    ledger: Ledger,
    use_case: UseCase,
    as_of: datetime,
    request: str,
    rule: Rule,
    automatic: bool,
    reason: str,
    force: bool = False,
) -> dict[str, Any]:
    """Record a request; one that would train the same again is closed at once as a duplicate.

    Args:
        ledger: Where it is recorded.
        use_case: The declaration.
        as_of: Time of the request.
        request: Its id, the DAG run id. Asking again with the same id changes nothing.
        rule: Why.
        automatic: Asked by the policy, not by a person or an upstream job.
        reason: Why, in words.
        force: A person wants the training although the same was trained before.

    Returns:
        `accepted`, `duplicate_of` (None where accepted) and the request as recorded.

    Raises:
        PolicyError: If there is nothing to train on.
    """
    batches = history(ledger, use_case.name, as_of).batches
    if not batches:
        cause = f"{use_case.name} has no batch with features as of {as_of.isoformat()}"
        raise PolicyError("policy.request", cause, f"ingest a batch first ({use_case.name}_ingest), then ask again")
    asked = RetrainRequest(
        id=request,
        rule=rule,
        automatic=automatic,
        as_of=as_of,
        data_version=data_version(batches),
        reason=reason,
        declaration=declaration(use_case),
    )
    record = ledger.append(
        Record(
            use_case=use_case.name,
            kind=Kind.RETRAIN_REQUESTED,
            key=request,
            as_of=as_of,
            payload=asked.model_dump(mode="json"),
            run_id=request,
        )
    )
    twin = None if force else _twin(ledger, record)
    if twin:
        end(ledger, use_case.name, as_of, request, Outcome.SKIPPED, f"duplicate of {twin}", duplicate_of=twin)
    closed = ledger.get(use_case.name, Kind.RETRAIN_CLOSED, request)
    duplicate_of = closed.payload.get("duplicate_of") if closed else None
    return {"accepted": duplicate_of is None, "duplicate_of": duplicate_of, "request": record.payload}


def end(
    ledger: Ledger,
    use_case: str,
    as_of: datetime,
    request: str,
    outcome: Outcome,
    reason: str,
    version: int | None = None,
    duplicate_of: str | None = None,
) -> dict[str, Any]:
    """Write how a request ended; the first ending stands, a later one changes nothing.

    Raises:
        PolicyError: If nobody asked for `request`.
    """
    if ledger.get(use_case, Kind.RETRAIN_REQUESTED, request) is None:
        cause = f"no request {request!r} of {use_case} is in the ledger"
        raise PolicyError("policy.close", cause, "close only what was requested; check the id (it is the DAG run id)")
    payload = {"outcome": outcome.value, "reason": reason, "version": version, "duplicate_of": duplicate_of}
    record = ledger.append(
        Record(
            use_case=use_case,
            kind=Kind.RETRAIN_CLOSED,
            key=request,
            as_of=as_of,
            payload=payload,
            run_id=request,
        )
    )
    return {"request": request, **record.payload}


def _twin(ledger: Ledger, record: Record) -> str | None:
    """An earlier request for the same data and declaration that runs or was judged.

    Earlier by position in the ledger, so that of two that arrive together exactly one is the duplicate.
    """
    endings = {closed.key: closed.payload["outcome"] for closed in ledger.find(record.use_case, Kind.RETRAIN_CLOSED)}
    same = ("data_version", "declaration")
    for earlier in ledger.find(record.use_case, Kind.RETRAIN_REQUESTED):
        if earlier.id >= record.id:
            return None
        alike = all(earlier.payload[name] == record.payload[name] for name in same)
        if alike and endings.get(earlier.key) in {None, Outcome.PROMOTED, Outcome.REJECTED}:
            return earlier.key
    return None
