"""Draws `<use_case>_ingest` for every use case."""

from typing import Any

from airflow.sdk import DAG, Param, task
from airflow.sdk.exceptions import AirflowSkipException

from evergreen import assets
from evergreen.pipeline import as_of_param, pipeline, reason_param
from evergreen.steps import announced, step
from include.contracts.use_case import UseCase
from include.use_cases import catalogue

Json = dict[str, Any]

DOC = """
```
land >> validate >> commit >> build_features >> validate_features >> materialize --(asset event)--> score
```
- **In:** one batch in the landing zone: the one that the request names, otherwise the oldest that is not ingested yet.
- **Out:** raw and feature tables in the lake, features online, an event of the asset `{name}_features`.
- **When it is red:** the log of the red task begins with component, cause and next step. *validate* red: the batch is
  in quarantine with a report that names expectation and rows; drop a corrected file and run again with the same
  `batch`. Everything else: clear the red task; a step finds its own finished work and does nothing twice.
"""


def ingestion(use_case: UseCase) -> DAG:
    """From files in the landing zone to features that a model can be asked with."""
    name, features = use_case.name, assets.features(use_case.name)
    batch = Param(
        None,
        type=["null", "string"],
        pattern=use_case.cadence.pattern,
        title="Batch",
        description=f"Key of one {use_case.cadence.value} batch; empty takes the oldest that is not ingested yet.",
    )
    params = {"batch": batch, "reason": reason_param(), "as_of": as_of_param()}
    with pipeline(use_case, "ingest", "new data in", DOC, schedule=use_case.schedule, params=params) as dag:

        @task
        def land(params: Json) -> Json:
            """Copy the batch from the source, under the digest of its content."""
            landed = step(name, "ingestion", "land", batch=params["batch"])
            if landed["batch"] is None:
                raise AirflowSkipException(landed["reason"])
            return landed

        @task
        def validate(landed: Json) -> Json:
            """Hold the files against the expectations; a failing batch goes into quarantine."""
            return step(name, "validation", "validate", batch=landed["batch"], landed=landed)

        @task
        def commit(landed: Json) -> Json:
            """Write the raw tables; their version is the data version."""
            return step(name, "ingestion", "commit", batch=landed["batch"], landed=landed)

        @task
        def build_features(raw: Json) -> Json:
            """Compute the feature tables and the spine, each row as it could be known at its time."""
            return step(name, "features", "build_features", batch=raw["batch"], snapshot=raw)

        @task
        def validate_features(built: Json) -> Json:
            """Hold the feature tables against their expectations."""
            return step(name, "validation", "validate_features", batch=built["batch"], snapshot=built)

        @task(outlets=[features])
        def materialize(built: Json, outlet_events: Any) -> Json:
            """Bring the features online and read a sample back."""
            done = step(name, "features", "materialize", batch=built["batch"], snapshot=built)
            outlet_events[features].extra = announced(batch=built["batch"], data_version=built["digest"])
            return done

        landed = land()
        valid = validate(landed)
        raw = commit(landed)
        built = build_features(raw)
        valid >> raw
        validate_features(built) >> materialize(built)
    return dag


for declared in catalogue().use_cases.values():
    ingestion(declared)
