"""Draws `<use_case>_rollback` for every use case."""

from typing import Any

from airflow.sdk import DAG, Param, task

from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import step
from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
rollback
```
- **In:** a reason, and perhaps the version to go back to.
- **Out:** the champion before this one is champion again, in the ledger by compare-and-swap and in the aliases of
  MLflow; its files are held against their digests first. Scoring uses it from the next batch on.
- **When it is red:** the champion is unchanged; read component, cause and next step at the top of the log.
"""


def rollback_dag(use_case: UseCase) -> DAG:
    """Puts the previous champion back."""
    name = use_case.name
    version = Param(
        None,
        type=["null", "integer"],
        minimum=1,
        title="To version",
        description="A version that was champion once; empty takes the one before.",
    )
    params = {"reason": reason_param(), "to_version": version, "as_of": as_of_param()}
    with pipeline(use_case, "rollback", "put the previous champion back", DOC, schedule=None, params=params) as dag:

        @task
        def rollback(params: Json, run_id: str) -> Json:
            """Make an earlier champion the champion."""
            reason = params["reason"] or "asked for without a reason"
            given = {"reason": reason, "to_version": params["to_version"], "request": run_id}
            return step(name, "promotion", "rollback", **given)

        rollback()
    return dag


for declared in catalogue().use_cases.values():
    rollback_dag(declared)
