"""What every DAG of a use case has in common: names, owner, tags, docs, parameters, and when a retry helps."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, ExceptionRetryPolicy, Param, RetryAction, RetryRule

from include.contracts.errors import DataError, ModelError, PolicyError
from include.contracts.use_case import UseCase

LOOP = ("ingest", "score", "monitor", "watch", "retrain", "rollback")
"""The kinds of DAG, in the order of the loop."""

RETRY_WHERE_IT_HELPS = ExceptionRetryPolicy(
    rules=[
        RetryRule(exception=DataError, action=RetryAction.FAIL, reason="the same data fail again"),
        RetryRule(exception=ModelError, action=RetryAction.FAIL, reason="the same model fails again"),
        RetryRule(exception=PolicyError, action=RetryAction.FAIL, reason="a rule does not change by waiting"),
    ]
)
"""Only errors of machines, networks and services are tried again."""

ARGUMENTS = {
    "retries": 2,
    "retry_delay": timedelta(seconds=5),
    "max_retry_delay": timedelta(minutes=2),
    "retry_exponential_backoff": 2.0,
    "retry_policy": RETRY_WHERE_IT_HELPS,
    "show_return_value_in_logs": False,  # it is in XCom; the log is for what a person wants to know
}


def pipeline(use_case: UseCase, kind: str, title: str, doc: str, **arguments: Any) -> DAG:
    """The DAG `<use_case>_<kind>`, to be filled in a `with` block.

    Args:
        use_case: The declaration.
        kind: One of `LOOP`.
        title: What it does, in a few words.
        doc: Markdown: drawing, inputs, outputs, what to do when it is red; `{name}` becomes the use case's.
        arguments: Further arguments of `DAG`, such as `schedule` and `params`.
    """
    text = doc.replace("{name}", use_case.name)
    return DAG(
        dag_id=f"{use_case.name}_{kind}",
        dag_display_name=f"{use_case.name} {LOOP.index(kind) + 1} {kind}",  # sorted, the list reads as the loop
        description=title,
        doc_md=f"# {use_case.name}: {title}\n\n{use_case.description} *Ask {use_case.owner}.*\n\n{text}",
        tags={use_case.name, "evergreen", kind},
        default_args={**ARGUMENTS, "owner": use_case.owner},
        start_date=datetime(2013, 1, 1, tzinfo=UTC),
        catchup=False,
        max_active_runs=1,
        **arguments,
    )


def reason_param() -> Param:
    """Why somebody asks; it is kept with whatever comes of it."""
    return Param(
        None,
        type=["null", "string"],
        maxLength=500,
        title="Reason",
        description="Why this run is asked for, for whoever reads the record later.",
    )


def as_of_param() -> Param:
    """The time in which the run lives."""
    return Param(
        None,
        type=["null", "string"],
        pattern=r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?(Z|[+-]\d{2}:\d{2})$",
        title="As of",
        description="Live at this time (ISO 8601 with a zone, such as 2013-03-01T00:00:00Z) instead of now: "
        "windows, label delays and cooldowns are computed from it.",
    )
