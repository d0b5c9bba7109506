"""What each role may do, in FAB's words: an action on a resource. Nothing is implied, and nothing else is kept."""

from collections.abc import Iterable

from airflow.providers.fab.www.security import permissions as fab

Right = tuple[str, str]
Rights = frozenset[Right]

VIEWER = "Evergreen viewer"
OPERATOR = "Evergreen operator"
APPROVER = "Evergreen approver"
UPSTREAM = "-upstream"
"""How the name of a trigger account, and of its role, ends."""

ENTRANCE: Rights = frozenset({(fab.ACTION_CAN_READ, fab.RESOURCE_WEBSITE)})
"""FAB gives it to every role each time the API server starts; Airflow asks for it nowhere."""

PAGES = (
    fab.RESOURCE_ASSET,
    fab.RESOURCE_BROWSE_MENU,
    fab.RESOURCE_CLUSTER_ACTIVITY,
    fab.RESOURCE_DAG,
    fab.RESOURCE_DAG_DEPENDENCIES,
    fab.RESOURCE_DAG_RUN,
    fab.RESOURCE_DOCS,
    fab.RESOURCE_DOCS_MENU,
    fab.RESOURCE_HITL_DETAIL,
    fab.RESOURCE_JOB,
    fab.RESOURCE_TASK_INSTANCE,
)
"""Entries of the menu."""

READABLE = (
    fab.RESOURCE_ASSET,
    fab.RESOURCE_ASSET_ALIAS,
    fab.RESOURCE_AUDIT_LOG,
    fab.RESOURCE_BACKFILL,
    fab.RESOURCE_CLUSTER_ACTIVITY,
    fab.RESOURCE_DAG,
    fab.RESOURCE_DAG_CODE,
    fab.RESOURCE_DAG_DEPENDENCIES,
    fab.RESOURCE_DAG_RUN,
    fab.RESOURCE_DAG_VERSION,
    fab.RESOURCE_DAG_WARNING,
    fab.RESOURCE_HITL_DETAIL,
    fab.RESOURCE_IMPORT_ERROR,
    fab.RESOURCE_JOB,
    fab.RESOURCE_PLUGIN,
    fab.RESOURCE_POOL,
    fab.RESOURCE_PROVIDER,
    fab.RESOURCE_TASK_INSTANCE,
    fab.RESOURCE_TASK_LOG,
    fab.RESOURCE_XCOM,
)
"""All but connections, variables, the configuration, and accounts."""

READS: Rights = (
    ENTRANCE
    | {(fab.ACTION_CAN_READ, resource) for resource in READABLE}
    | {(fab.ACTION_CAN_ACCESS_MENU, resource) for resource in PAGES}
)
OPERATES: Rights = frozenset(
    {
        (fab.ACTION_CAN_EDIT, fab.RESOURCE_DAG),  # pause, and one half of everything below
        (fab.ACTION_CAN_CREATE, fab.RESOURCE_DAG_RUN),
        (fab.ACTION_CAN_EDIT, fab.RESOURCE_DAG_RUN),
        (fab.ACTION_CAN_EDIT, fab.RESOURCE_TASK_INSTANCE),
    }
)
ANSWERS: Rights = frozenset({(fab.ACTION_CAN_EDIT, fab.RESOURCE_HITL_DETAIL)})


def declared(use_cases: Iterable[str]) -> dict[str, Rights]:
    """Every role of ours with exactly its rights.

    Args:
        use_cases: Their names; each has a role of its own for its upstream jobs.
    """
    names = sorted(use_cases)
    rollbacks = frozenset(right for name in names for right in _starts(f"{name}_rollback"))
    return {
        VIEWER: READS,
        OPERATOR: READS | OPERATES,
        APPROVER: READS | ANSWERS | rollbacks,
        **{f"{name}{UPSTREAM}": ENTRANCE | _starts(f"{name}_ingest") | _follows(f"{name}_ingest") for name in names},
    }


def _starts(dag: str) -> Rights:
    return frozenset({(fab.ACTION_CAN_CREATE, fab.resource_name(dag, fab.RESOURCE_DAG_RUN))})


def _follows(dag: str) -> Rights:
    """Reading the state of the DAG's runs takes reading the DAG."""
    resources = (fab.RESOURCE_DAG, fab.RESOURCE_DAG_RUN)
    return frozenset((fab.ACTION_CAN_READ, fab.resource_name(dag, resource)) for resource in resources)
