"""Draws `<use_case>_monitor` for every use case."""

from typing import Any

from airflow.sdk import DAG, task
from airflow.sdk.exceptions import AirflowSkipException

from evergreen import assets
from evergreen.links import MlflowRunLink, attach
from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import heard, step
from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
score --(asset event)--> monitor >> decide
```
- **In:** every scored batch that is not monitored yet.
- **Out:** for each window of it data quality, drift of features and predictions against the champion's training data,
  and its real performance once labels are in: in the ledger, and as pages in an MLflow run (the button in the details
  of *monitor*). *decide* writes down what the retraining policy says to the newest batch; it starts nothing, the watch
  does.
- **When it is red:** read component, cause and next step at the top of the log, then clear the task.
"""


def monitoring(use_case: UseCase) -> DAG:
    """Is the champion still right?"""
    name = use_case.name
    params = {"reason": reason_param(), "as_of": as_of_param()}
    schedule = [assets.predictions(name)]
    with pipeline(use_case, "monitor", "is the champion still right?", DOC, schedule=schedule, params=params) as dag:

        @task
        def monitor() -> Json:
            """Look at every window of every scored batch that is not monitored yet."""
            return step(name, "monitoring", "monitor")

        @task
        def decide(**context: Any) -> Json:
            """Record the policy's decision for the newest batch."""
            batches = [batch for batches in heard(context, "batches") for batch in batches]
            if not batches:
                raise AirflowSkipException("no event names a batch: there is nothing new to decide about")
            return step(name, "policy", "decide", batch=max(batches))

        attach(monitor(), MlflowRunLink()) >> decide()
    return dag


for declared in catalogue().use_cases.values():
    monitoring(declared)
