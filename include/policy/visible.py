"""A history as it looked at an earlier time."""

from datetime import datetime

from include.contracts.decision import History, RetrainRequest


def visible(history: History, as_of: datetime) -> History:
    """What of `history` was known at `as_of`.

    A request that ended later is open, a champion that came later is not there.
    """
    champion = history.champion
    return History(
        champion=champion if champion and champion.since <= as_of else None,
        batches=tuple(batch for batch in history.batches if batch.starts < as_of),
        windows=tuple(window for window in history.windows if window.as_of <= as_of),
        requests=tuple(_then(request, as_of) for request in history.requests if request.as_of <= as_of),
    )


def _then(request: RetrainRequest, as_of: datetime) -> RetrainRequest:
    if request.closed_as_of is None or request.closed_as_of <= as_of:
        return request
    return request.model_copy(update={"outcome": None, "closed_as_of": None})
