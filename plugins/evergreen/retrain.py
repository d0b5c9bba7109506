"""The two ends of a retrain request in Airflow's words: that its run exists, and how its run ended."""

from collections.abc import Mapping
from typing import Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException

from evergreen.steps import ERROR, step
from include.contracts.decision import Outcome

Json = dict[str, Any]


def accept(use_case: str, dag_id: str, decision: Mapping[str, Any]) -> Json:
    """Record the policy's request, once the run that it asked for is seen to exist.

    A green trigger proves nothing: it also ends well where Airflow's answer was neither a run nor a conflict. Recorded
    without a run, the request would count as in flight for ever; not recorded, the next look asks again under the same
    id.

    Args:
        use_case: Name of the use case.
        dag_id: The DAG that retrains.
        decision: The `RetrainDecision` that was acted upon.

    Returns:
        What `policy.request` says.
    """
    context: Any = get_current_context()
    state = context["ti"].get_dagrun_state(dag_id, decision["request"])  # raises where there is no such run
    found = step(
        use_case,
        "policy",
        "request",
        as_of=decision["as_of"],
        request=decision["request"],
        rule=decision["rule"],
        reason=decision["reason"],
        automatic=True,
    )
    return {**found, "state": str(state)}


def close(use_case: str, first: str, last: str) -> Json:
    """Write how the current run's request ended; fails itself where the run failed, so that the run is red.

    Args:
        use_case: Name of the use case.
        first: Task that takes the request; skipped where it was a duplicate and is closed already.
        last: Task whose result says `outcome`, and perhaps `reason` and `version`.

    Raises:
        AirflowFailException: If a task of the run failed.
    """
    context: Any = get_current_context()
    ti, run_id = context["ti"], context["run_id"]
    states: Mapping[str, str] = ti.get_task_states(dag_id=ti.dag_id, run_ids=[run_id])[run_id]
    result = ti.xcom_pull(task_ids=last) if states.get(last) == "success" else None
    ending = ended({task: str(state) for task, state in states.items()}, first, result, ti.xcom_pull)
    if ending is None:
        return {"outcome": Outcome.SKIPPED.value, "reason": "closed when it was asked for: a duplicate"}
    if states.get(first) == "failed" and not _asked(use_case, run_id):
        raise AirflowFailException(ending["reason"])  # refused before it was a request: there is nothing to close
    closed = step(use_case, "policy", "close", request=run_id, **ending)
    if ending["outcome"] == Outcome.FAILED.value:
        raise AirflowFailException(ending["reason"])
    return closed


def _asked(use_case: str, request: str) -> bool:
    from include.contracts.record import Kind
    from include.ledger import Ledger
    from include.settings import settings

    return Ledger.at(settings().ledger_url).get(use_case, Kind.RETRAIN_REQUESTED, request) is not None


def ended(states: Mapping[str, str], first: str, result: Json | None, pull: Any) -> Json | None:
    """How a retrain ended, from the states of its tasks; None for a duplicate.

    Args:
        states: State by task id.
        first: Task that takes the request.
        result: What the last task returned; None where it did not succeed.
        pull: Reads the words that a failed task left.
    """
    if states.get(first) == "skipped":
        return None
    if result:
        return {
            "outcome": result["outcome"],
            "reason": result.get("reason") or f"the gate's verdict: {result['outcome']}",
            "version": result.get("version"),
        }
    broken = [task for task, state in states.items() if state == "failed"]
    words = [f"{task}: {pull(task_ids=task, key=ERROR) or 'it ended without a word, read its log'}" for task in broken]
    reason = "\n".join(words) or f"no task failed, and yet there is no outcome: {dict(states)}"
    return {"outcome": Outcome.FAILED.value, "reason": reason, "version": None}
