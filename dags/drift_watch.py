"""Draws `<use_case>_watch` for every use case."""

from typing import Any

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import DAG, task

from evergreen import retrain
from evergreen.pipeline import pipeline
from evergreen.sensors import DriftSensor
from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
wait_for_decision (deferred) >> trigger_retrain >> record_request --> the next run waits again
```
- **In:** the ledger and the time: the retraining policy is a pure function of both. One run is always waiting.
- **Out:** as soon as the policy says "retrain", a run of `{name}_retrain` under an id that is derived from the cause,
  so that the same cause twice is the same run. The request is recorded only after that run exists: a crash in between
  costs one more look, never a retrain and never a second one.
- **When it is red:** read component, cause and next step at the top of the log. The next run looks at the same levels
  again, so nothing needs to be cleared.
"""


def drift_watch(use_case: UseCase) -> DAG:
    """Waits until the policy wants a retrain, and asks for it."""
    name, retrain_dag = use_case.name, f"{use_case.name}_retrain"
    decision = "ti.xcom_pull('wait_for_decision')"
    with pipeline(use_case, "watch", "waits for a reason to retrain", DOC, schedule="@continuous") as dag:
        wait = DriftSensor(task_id="wait_for_decision", use_case=name, retries=5)  # stale executor events fail it
        trigger = TriggerDagRunOperator(
            task_id="trigger_retrain",
            trigger_dag_id=retrain_dag,
            trigger_run_id=f"{{{{ {decision}['request'] }}}}",
            conf={key: f"{{{{ {decision}['{key}'] }}}}" for key in ("rule", "reason", "as_of")},
            logical_date=None,
            skip_when_already_exists=True,
            wait_for_completion=False,
            deferrable=False,
        )

        @task(trigger_rule="none_failed")
        def record_request(decision: Json) -> Json:
            """See that the retrain's run exists, then record the request: the policy sees it as in flight."""
            return retrain.accept(name, retrain_dag, decision)

        wait >> trigger >> record_request(wait.output)
    return dag


for declared in catalogue().use_cases.values():
    drift_watch(declared)
