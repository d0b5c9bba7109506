"""Draws `<use_case>_rollback` for every use case."""

from typing import Any

from airflow.sdk import DAG, task
from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import step

from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
rollback
```
**In:** nothing but a reason. **Out:** the champion before this one is champion again, in the ledger by
compare-and-swap and in the aliases of MLflow; its files are held against their digests first. Scoring uses it from the
next batch on.

**When it is red:** the champion is unchanged; read component, cause and next step at the top of the log.
"""


def rollback_dag(use_case: UseCase) -> DAG:
    """Puts the previous champion back."""
    name = use_case.name
    params = {"reason": reason_param(), "as_of": as_of_param()}
    with pipeline(use_case, "rollback", "put the previous champion back", DOC, schedule=None, params=params) as dag:

        @task
        def rollback(params: Json) -> Json:
            """Make the previous champion the champion."""
            return step(name, "promotion", "rollback", reason=params["reason"] or "asked for without a reason")

        rollback()
    return dag


for declared in catalogue().use_cases.values():
    rollback_dag(declared)
