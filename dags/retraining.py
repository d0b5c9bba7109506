"""Draws `<use_case>_retrain` for every use case."""

from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from evergreen import retrain
from evergreen.links import VerdictLink, attach
from evergreen.operators import training_operator
from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import step
from include.contracts.decision import Rule
from include.contracts.errors import InfraError
from include.contracts.use_case import UseCase
from include.settings import settings
from include.use_cases import catalogue

Json = dict[str, Any]
ATTEMPTS = 3

DOC = """
```
plan >> build_training_set >> train >> verify >> evaluate >> promote >> close
```
- **In:** a request: from the watch (its run id is derived from the cause), from the form, or by REST; the run id is the
  request's id, and the same id again answers 409. A request for data and a declaration that were trained before is
  skipped as a duplicate, unless `force` is set.
- **Out:** a model in MLflow, a verdict with every check (the buttons in the details of *train* and *evaluate*), perhaps
  a new champion, and exactly one ending in the ledger: promoted, rejected, skipped or failed, with its reason. A
  challenger that the gate finds worse leaves the champion as it was: that is a green run.
- **When it is red:** *close* repeats the words of the task that failed; the champion is unchanged. Mend the cause, then
  ask again under a new run id.

Training is done when its manifest, written last, says so; digests are checked before a model is judged and again before
it is promoted.
"""


def retraining(use_case: UseCase) -> DAG:
    """Trains a challenger, judges it against the champion, and promotes the better one."""
    name = use_case.name
    rule = Param(
        Rule.REQUESTED.value,
        enum=[rule.value for rule in Rule],
        title="Rule",
        description="Why: the watch names its rule; a person or an upstream job leaves it as it is.",
    )
    force = Param(False, type="boolean", title="Force", description="Train although the same was trained before.")
    params = {"reason": reason_param(), "as_of": as_of_param(), "rule": rule, "force": force}
    with pipeline(use_case, "retrain", "train, judge, promote", DOC, schedule=None, params=params) as dag:

        @task
        def plan(params: Json, run_id: str) -> Json:
            """Take the request, or find that it is a duplicate."""
            asked = step(
                name,
                "policy",
                "request",
                request=run_id,
                rule=params["rule"],
                automatic=params["rule"] != Rule.REQUESTED,
                reason=params["reason"] or "asked for without a reason",
                force=params["force"],
            )
            if not asked["accepted"]:
                raise AirflowSkipException(f"duplicate of {asked['duplicate_of']}")
            request: Json = asked["request"]
            return request

        @task
        def build_training_set(request: Json) -> Json:
            """Join labels with features as they were known at prediction time, once, under a digest."""
            return step(name, "features", "build_training_set", request=request["id"])

        @task
        def verify(trained: Json) -> Json:
            """Hold every file of the training against its digest."""
            return step(name, "evaluation", "verify", manifest_uri=trained["manifest_uri"])

        @task
        def evaluate(trained: Json, run_id: str) -> Json:
            """Judge challenger and champion on the same fresh labelled rows."""
            return step(name, "evaluation", "evaluate", manifest_uri=trained["manifest_uri"], request=run_id)

        @task
        def promote(verdict: Json, run_id: str) -> Json:
            """Make an accepted challenger the champion; judge again where the champion changed meanwhile."""
            for _ in range(ATTEMPTS):
                done = step(name, "promotion", "promote", verdict=verdict, request=run_id)
                if done["outcome"] != "stale":
                    return done
                verdict = step(name, "evaluation", "evaluate", manifest_uri=verdict["manifest_uri"], request=run_id)
            raise InfraError("promotion", f"the champion changed {ATTEMPTS} times meanwhile", "clear this task")

        @task(trigger_rule="all_done", retries=5)
        def close() -> Json:
            """Write down how the request ended, whatever happened."""
            return retrain.close(name, first="plan", last="promote")

        training_set = build_training_set(plan())
        train = training_operator(use_case, settings(), task_id="train", training_set=training_set)
        verified = verify(train.output)
        verdict = attach(evaluate(train.output), VerdictLink())
        verified >> verdict
        promote(verdict) >> close()
    return dag


for declared in catalogue().use_cases.values():
    retraining(declared)
