"""Decides whether to ask for a retrain. Pure: the same history and `as_of` give the same answer."""

from datetime import datetime

from include.contracts.data import data_version
from include.contracts.decision import History, RetrainDecision
from include.contracts.use_case import UseCase
from include.policy.causes import CAUSES
from include.policy.finding import Finding
from include.policy.identity import request_id
from include.policy.limits import LIMITS, already_asked, breaker
from include.policy.visible import visible


def decide(use_case: UseCase, history: History, as_of: datetime) -> RetrainDecision:
    """Look at every rule; ask for a retrain if a cause speaks for it and no limit against it.

    Args:
        use_case: The declaration.
        history: What the ledger knows.
        as_of: Time of the decision; anything later in `history` is not seen.

    Returns:
        The answer with every rule's finding. A request id is derived from its cause: the same cause is the same id.
    """
    seen = visible(history, as_of)
    limits = [limit(use_case, seen, as_of) for limit in LIMITS]
    causes = [cause(use_case, seen, as_of) for cause in CAUSES]
    cause = next((finding for finding in causes if finding.fires), None)
    version = data_version(seen.batches)
    champion = seen.champion.version if seen.champion else None
    request = request_id(use_case.name, cause.rule, champion, version) if cause and cause.rule else ""
    if request:
        limits.append(already_asked(seen, request, version))
    stop = _stop(limits, cause)
    retrain = cause is not None and stop is None
    return RetrainDecision(
        use_case=use_case.name,
        as_of=as_of,
        retrain=retrain,
        rule=cause.rule if cause else None,
        reason=_reason(cause, stop, causes),
        request=request if retrain else "",
        data_version=version,
        champion_version=champion,
        considered=tuple(str(finding) for finding in limits + causes),
        batches=len(seen.batches),
        breaker_open=limits[LIMITS.index(breaker)].fires,
    )


def _stop(limits: list[Finding], cause: Finding | None) -> Finding | None:
    return next((limit for limit in limits if limit.fires and limit.concerns(cause)), None)


def _reason(cause: Finding | None, stop: Finding | None, causes: list[Finding]) -> str:
    if stop and cause:
        return f"{stop.text}; what speaks for a retrain: {cause.text}"
    if stop:
        return stop.text
    if cause:
        return cause.text
    quiet = [finding.text for finding in causes if finding.speaks]
    return f"nothing speaks for a retrain: {'; '.join(quiet)}" if quiet else "nothing speaks for a retrain"
