"""From an observation to RunEvents of the OpenLineage specification 2-0-2."""

from datetime import UTC, datetime

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    JobFacet,
    RunFacet,
    error_message_run,
    job_type_job,
    nominal_time_run,
    parent_run,
    tags_run,
)
from openlineage.client.uuid import generate_static_uuid

from include.contracts.digest import digest_of
from include.lineage.datasets import PRODUCER, Named
from include.lineage.observation import Observation

NAMESPACE = "evergreen"
"""Namespace of the jobs: the scheduler that they belong to."""
DAG_RUN = "dag_run"
"""Tag of a run with the id that Airflow gave the DAG run: the parent facet has room for a UUID only."""


def started(seen: Observation) -> RunEvent:
    """The step begins; what it reads is said when it is over and known."""
    return _event(seen, RunState.START)


def completed(seen: Observation, read: list[Named], written: list[Named]) -> RunEvent:
    """The step ended well."""
    event = _event(seen, RunState.COMPLETE)
    event.inputs = [each.read() for each in read]
    event.outputs = [each.written() for each in written]
    return event


def failed(seen: Observation, words: str, aborted: bool = False) -> RunEvent:
    """The step did not end well.

    Args:
        seen: The step.
        words: Why, as the log says it.
        aborted: It was told to stop; nothing was wrong.
    """
    event = _event(seen, RunState.ABORT if aborted else RunState.FAIL)
    said = error_message_run.ErrorMessageRunFacet(message=words, programmingLanguage="Python", producer=PRODUCER)
    (event.run.facets or {})["errorMessage"] = said
    return event


def run_uuid(seen: Observation) -> str:
    """Id of the step's run: every attempt at the same work has the same one."""
    return _uuid(seen.as_of, NAMESPACE, seen.job, seen.request, seen.identity)


def _uuid(as_of: datetime, *names: str) -> str:
    return str(generate_static_uuid(as_of, digest_of(list(names)).encode()))


def _event(seen: Observation, state: RunState) -> RunEvent:
    kind = job_type_job.JobTypeJobFacet(
        processingType="BATCH", integration="EVERGREEN", jobType="TASK", producer=PRODUCER
    )
    facets: dict[str, JobFacet] = {"jobType": kind}
    return RunEvent(
        eventType=state,
        eventTime=datetime.now(UTC).isoformat(),
        run=Run(run_uuid(seen), _run_facets(seen)),
        job=Job(NAMESPACE, seen.job, facets),
        producer=PRODUCER,
    )


def _run_facets(seen: Observation) -> dict[str, RunFacet]:
    about = nominal_time_run.NominalTimeRunFacet(nominalStartTime=seen.as_of.isoformat(), producer=PRODUCER)
    facets: dict[str, RunFacet] = {"nominalTime": about}
    if seen.request:
        run = parent_run.Run(_uuid(seen.as_of, NAMESPACE, seen.dag, seen.request))
        facets["parent"] = parent_run.ParentRunFacet(
            run=run, job=parent_run.Job(NAMESPACE, seen.dag), producer=PRODUCER
        )
        tag = tags_run.TagsRunFacetFields(key=DAG_RUN, value=seen.request, source="EVERGREEN")
        facets["tags"] = tags_run.TagsRunFacet(tags=[tag], producer=PRODUCER)
    return facets
