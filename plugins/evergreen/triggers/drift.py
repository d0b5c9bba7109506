"""Waits in the triggerer until the retraining policy says "retrain"."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from include.contracts.decision import RetrainDecision


class DriftTrigger(BaseTrigger):
    """Looks at the ledger's position, one indexed query, and asks the policy only when it moved or an hour began.

    A level, not an edge: it compares what the ledger says with what the policy wants, so nothing that happened before
    it began to wait, or while the triggerer was down, is lost.

    Args:
        use_case: Name of the use case.
        poll_seconds: Time between two looks.
    """

    def __init__(self, use_case: str, poll_seconds: float) -> None:
        super().__init__()
        self.use_case = use_case
        self.poll_seconds = poll_seconds

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """How another triggerer makes it again."""
        arguments = {"use_case": self.use_case, "poll_seconds": self.poll_seconds}
        return f"{type(self).__module__}.{type(self).__qualname__}", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the decision, as JSON, once it is "retrain"."""
        seen: tuple[int, datetime] | None = None
        said = ""
        while True:
            mark = await asyncio.to_thread(_mark, self.use_case)  # read first: a change while deciding moves it again
            if mark != seen:
                decision = await asyncio.to_thread(decision_now, self.use_case)
                if decision.retrain:
                    yield TriggerEvent(decision.model_dump(mode="json"))
                    return
                if decision.reason != said:
                    said = decision.reason
                    self.log.info("%s: no retrain: %s", self.use_case, said)
                seen = mark
            await asyncio.sleep(self.poll_seconds)


def decision_now(use_case: str) -> RetrainDecision:
    """What the policy says now, in the time that the ledger lives in. Writes nothing."""
    from include.ledger import Ledger
    from include.policy.clock import clock
    from include.policy.decide import decide
    from include.policy.history import history
    from include.settings import settings
    from include.use_cases.catalogue import declaration

    ledger = Ledger.at(settings().ledger_url)
    as_of = clock(ledger, use_case, datetime.now(UTC))
    return decide(declaration(use_case), history(ledger, use_case, as_of), as_of)


def _mark(use_case: str) -> tuple[int, datetime]:
    from include.ledger import Ledger
    from include.settings import settings

    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return Ledger.at(settings().ledger_url).position(use_case), hour
