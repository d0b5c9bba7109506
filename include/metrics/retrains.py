"""Decisions, requests, verdicts and endings of retrains."""

from collections import Counter
from datetime import UTC, datetime

from include.contracts.decision import History, Outcome, RetrainRequest, Rule
from include.contracts.record import Kind, Record
from include.contracts.use_case import UseCase
from include.contracts.verdict import GateVerdict
from include.metrics.definitions import Samples
from include.policy.limits import breaker


class Retrains:
    """Folds the way from a decision to an ending."""

    kinds = frozenset({Kind.DECIDED, Kind.RETRAIN_REQUESTED, Kind.RETRAIN_CLOSED, Kind.JUDGED})

    def __init__(self) -> None:
        self._decisions = Counter[tuple[str, bool]]()
        self._requests: dict[str, RetrainRequest] = {}
        self._open: dict[str, datetime] = {}
        self._rules = Counter[str]()
        self._outcomes = Counter[str]()
        self._last = ""
        self._verdicts = Counter[bool]()
        self._failed = Counter[str]()
        self._newest: GateVerdict | None = None

    def fold(self, record: Record) -> None:
        """Take one record in."""
        if record.kind is Kind.DECIDED:
            self._decisions[record.payload["rule"] or "none", bool(record.payload["retrain"])] += 1
        elif record.kind is Kind.RETRAIN_REQUESTED:
            request = RetrainRequest.model_validate(record.payload)
            self._requests[record.key] = request
            self._rules[request.rule.value] += 1
            self._open[record.key] = record.created_at or record.as_of
        elif record.kind is Kind.RETRAIN_CLOSED:
            self._last = record.payload["outcome"]
            self._outcomes[self._last] += 1
            self._open.pop(record.key, None)
            ending = {"outcome": Outcome(self._last), "closed_as_of": record.as_of}
            if record.key in self._requests:
                self._requests[record.key] = self._requests[record.key].model_copy(update=ending)
        else:
            self._judged(GateVerdict.model_validate(record.payload))

    def samples(self, _: datetime) -> Samples:
        """What is known."""
        for rule in (*(rule.value for rule in Rule), "none"):
            for retrain in (False, True):
                labels = {"rule": rule, "retrain": str(retrain).lower()}
                yield "evergreen_decisions_total", labels, self._decisions[rule, retrain]
        for rule in Rule:
            yield "evergreen_retrain_requests_total", {"rule": rule.value}, self._rules[rule.value]
        for outcome in Outcome:
            yield "evergreen_retrains_total", {"outcome": outcome.value}, self._outcomes[outcome.value]
            yield "evergreen_retrain_last_outcome", {"outcome": outcome.value}, self._last == outcome.value
        yield "evergreen_requests_in_flight", {}, len(self._open)
        oldest = min(self._open.values(), default=None)
        yield "evergreen_request_age_seconds", {}, (datetime.now(UTC) - oldest).total_seconds() if oldest else 0.0
        for accepted in (False, True):
            labels = {"accepted": str(accepted).lower()}
            yield "evergreen_gate_verdicts_total", labels, self._verdicts[accepted]
        for check, count in self._failed.items():
            yield "evergreen_gate_failed_checks_total", {"check": check}, count
        if self._newest and self._newest.gain:
            for bound, value in self._newest.gain.model_dump().items():
                yield "evergreen_gate_gain", {"bound": bound}, value

    def is_breaker_open(self, use_case: UseCase, clock: datetime) -> bool:
        """What the policy would say of its breaker now."""
        history = History(champion=None, batches=(), windows=(), requests=tuple(self._requests.values()))
        return breaker(use_case, history, clock).fires

    def _judged(self, verdict: GateVerdict) -> None:
        self._verdicts[verdict.accepted] += 1
        self._failed.update(check.name for check in verdict.checks)  # so that a check that never failed is a 0
        self._failed.subtract(check.name for check in verdict.checks if check.passed)
        self._newest = verdict
