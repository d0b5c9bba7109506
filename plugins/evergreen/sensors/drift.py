"""Waits until the retraining policy says "retrain"."""

from typing import Any

from airflow.sdk import BaseSensorOperator

from evergreen.triggers.drift import DriftTrigger, decision_now
from include.contracts.decision import RetrainDecision
from include.settings import settings

Json = dict[str, Any]


class DriftSensor(BaseSensorOperator):
    """Succeeds with the decision (`RetrainDecision` as JSON) as soon as the policy asks for a retrain.

    It waits deferred: no worker, and in the triggerer one small query every few seconds.

    Args:
        use_case: Name of the use case.
        poll_seconds: Time between two looks at the ledger; EVERGREEN_WATCH_SECONDS by default.
        deferrable: False polls in a worker, for an Airflow without a triggerer.
    """

    ui_color = "#e3f4e1"

    def __init__(
        self, *, use_case: str, poll_seconds: float | None = None, deferrable: bool = True, **arguments: Any
    ) -> None:
        seconds = poll_seconds or settings().watch_seconds
        super().__init__(poke_interval=seconds, **arguments)
        self.use_case = use_case
        self.poll_seconds = seconds
        self.deferrable = deferrable

    def execute(self, context: Any) -> Json:
        """The decision, if it is due already; otherwise wait for it."""
        decision = decision_now(self.use_case)
        while not decision.retrain:
            if self.deferrable:
                self.defer(trigger=DriftTrigger(self.use_case, self.poll_seconds), method_name="resume")
            decision = self._poll(context)
        return self._announced(decision)

    def resume(self, context: Any, event: Json) -> Json:  # noqa: ARG002 - Airflow's signature
        """Go on with the decision that the trigger found."""
        return self._announced(RetrainDecision.model_validate(event))

    def _poll(self, _: Any) -> RetrainDecision:
        import time

        time.sleep(self.poll_seconds)
        return decision_now(self.use_case)

    def _announced(self, decision: RetrainDecision) -> Json:
        self.log.info("%s: retrain (%s): %s", self.use_case, decision.rule, decision.reason)
        return decision.model_dump(mode="json")
