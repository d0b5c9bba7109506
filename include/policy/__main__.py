"""Policy: decide whether to retrain, record a request, record how it ended."""

import os
from datetime import UTC, datetime
from typing import Any

from include.contracts.data import DatasetSnapshot
from include.contracts.decision import Outcome, RetrainDecision, Rule
from include.contracts.errors import PolicyError
from include.contracts.record import Kind, Record
from include.jobs import main
from include.ledger import Ledger
from include.ledger.featured import featured
from include.policy.decide import decide as decided
from include.policy.history import history
from include.policy.requests import ask, end
from include.settings import settings
from include.use_cases.catalogue import declaration


def decide(use_case: str, as_of: str, batch: str | None = None) -> dict[str, Any]:
    """Whether to ask for a retrain now, and why.

    Args:
        use_case: Name of the use case.
        as_of: Time of the decision, ISO 8601.
        batch: Batch that the decision follows; None for a poll, which is not recorded.

    Returns:
        A RetrainDecision; for a batch and time that were decided before, the decision made then.
    """
    ledger, moment = Ledger.at(settings().ledger_url), _moment(as_of)
    decision = decided(declaration(use_case), history(ledger, use_case, moment), moment)
    return (_recorded(ledger, decision, batch) if batch else decision).model_dump(mode="json")


def request(
    use_case: str,
    as_of: str,
    request: str,
    rule: str = Rule.REQUESTED.value,
    automatic: bool = False,
    reason: str = "",
    force: bool = False,
) -> dict[str, Any]:
    """Record a request to retrain, or find that it is a duplicate.

    Args:
        use_case: Name of the use case.
        as_of: Time of the request, ISO 8601.
        request: Its id, the DAG run id.
        rule: Why: a value of `Rule`.
        automatic: Asked by the policy, not by a person or an upstream job.
        reason: Why, in words.
        force: Train although the same data and declaration were trained before.

    Returns:
        `accepted`, `duplicate_of` and the request.
    """
    ledger = Ledger.at(settings().ledger_url)
    chosen = Rule(_known(rule, [member.value for member in Rule], "rule"))
    return ask(ledger, declaration(use_case), _moment(as_of), request, chosen, automatic, reason, force)


def close(
    use_case: str, as_of: str, request: str, outcome: str, reason: str, version: int | None = None
) -> dict[str, Any]:
    """Record how a request ended; the first ending stands.

    Args:
        use_case: Name of the use case.
        as_of: Time of the ending, ISO 8601.
        request: Id of the request.
        outcome: A value of `Outcome`.
        reason: In words.
        version: Model version that was promoted or rejected, if one was registered.

    Returns:
        The ending that stands in the ledger.
    """
    ledger = Ledger.at(settings().ledger_url)
    chosen = Outcome(_known(outcome, [member.value for member in Outcome], "outcome"))
    return end(ledger, use_case, _moment(as_of), request, chosen, reason, version)


def _recorded(ledger: Ledger, decision: RetrainDecision, batch: str) -> RetrainDecision:
    snapshot = _snapshot(ledger, decision, batch)
    key = f"{batch}@{snapshot.digest[:12]}"
    first = ledger.get(decision.use_case, Kind.DECIDED, key)
    if first and first.as_of != decision.as_of:
        key = f"{key}/{decision.as_of.isoformat()}"  # the same batch looked at again later is a decision of its own
    record = ledger.append(
        Record(
            use_case=decision.use_case,
            kind=Kind.DECIDED,
            key=key,
            as_of=decision.as_of,
            payload=decision.model_dump(mode="json"),
            run_id=os.environ.get("EVERGREEN_RUN_ID", ""),
        )
    )
    return RetrainDecision.model_validate(record.payload)


def _snapshot(ledger: Ledger, decision: RetrainDecision, batch: str) -> DatasetSnapshot:
    found = [one for one in featured(ledger, decision.use_case, decision.as_of) if one.batch == batch]
    if not found:
        cause = f"batch {batch} of {decision.use_case} has no sound features as of {decision.as_of.isoformat()}"
        raise PolicyError("policy.decide", cause, f"ingest it first ({decision.use_case}_ingest)")
    return found[0]


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise PolicyError("policy", f"as_of {text!r} has no time zone", f"write it with one, such as {text}+00:00")
    return moment.astimezone(UTC)


def _known(value: str, known: list[str], what: str) -> str:
    if value not in known:
        raise PolicyError("policy", f"unknown {what} {value!r}; known: {', '.join(known)}", f"send a known {what}")
    return value


if __name__ == "__main__":
    raise SystemExit(main("policy"))
