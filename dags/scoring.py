"""Draws `<use_case>_score` for every use case."""

from typing import Any

from airflow.sdk import DAG, task

from evergreen import assets
from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import announced, heard, step
from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
ingest --(asset event)--> score --(asset event)--> monitor
```
- **In:** every batch that has features and no predictions yet; the event only says that it is time to look, so a lost
  event costs nothing: the next run scores what is left.
- **Out:** predictions of the champion in the lake, never made again, and an event of the asset `{name}_predictions`,
  also when there is no champion yet.
- **When it is red:** read component, cause and next step at the top of the log, then clear the task. Nothing is scored
  twice. Scoring goes on with the old champion whatever happens to a retrain.
"""


def scoring(use_case: UseCase) -> DAG:
    """The champion predicts what is new."""
    name, predictions = use_case.name, assets.predictions(use_case.name)
    params = {"reason": reason_param(), "as_of": as_of_param()}
    schedule = [assets.features(name)]
    with pipeline(use_case, "score", "the champion predicts", DOC, schedule=schedule, params=params) as dag:

        @task(outlets=[predictions])
        def score(outlet_events: Any, **context: Any) -> Json:
            """Score every batch that is not scored yet."""
            done = step(name, "scoring", "score")
            batches = sorted({*heard(context, "batch"), *(scored["batch"] for scored in done["scored"])})
            outlet_events[predictions].extra = announced(batches=batches)
            return done

        score()
    return dag


for declared in catalogue().use_cases.values():
    scoring(declared)
