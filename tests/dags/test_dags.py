"""The drawings: which DAGs there are, what they ask for, what they say about themselves."""

import json
import os
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from include.settings import PROJECT
from include.use_cases import catalogue

KINDS = ("ingest", "score", "monitor", "watch", "retrain", "rollback")

DRAWN = {
    "flights_ingest": ["land", "validate", "commit", "build_features", "validate_features", "materialize"],
    "flights_score": ["score"],
    "flights_monitor": ["monitor", "decide"],
    "flights_watch": ["wait_for_decision", "trigger_retrain", "record_request"],
    "flights_retrain": ["plan", "build_training_set", "train", "verify", "evaluate", "promote", "close"],
    "flights_rollback": ["rollback"],
}

PARSED = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
print(json.dumps({"dags": sorted(bag.dags), "errors": bag.import_errors}))
"""


def dag(bag: Any, dag_id: str) -> Any:
    return bag.dags[dag_id]


def test_these_dags_and_no_others(bag: Any) -> None:
    assert bag.import_errors == {}
    assert set(bag.dags) == set(DRAWN)


def test_every_use_case_has_every_kind(bag: Any) -> None:
    assert set(bag.dags) == {f"{name}_{kind}" for name in catalogue().use_cases for kind in KINDS}


@pytest.mark.parametrize(("dag_id", "tasks"), DRAWN.items())
def test_the_steps_follow_each_other_in_one_line(bag: Any, dag_id: str, tasks: list[str]) -> None:
    found = dag(bag, dag_id)
    assert [task.task_id for task in found.topological_sort()] == tasks
    for before, after in pairwise(tasks):
        assert before in found.get_task(after).get_flat_relative_ids(upstream=True), f"{after} may run before {before}"


@pytest.mark.parametrize("dag_id", DRAWN)
def test_each_says_what_it_is(bag: Any, dag_id: str) -> None:
    found = dag(bag, dag_id)
    kind = dag_id.removeprefix("flights_")
    assert found.tags == {"flights", "evergreen", kind}
    for words in ("**In:**", "**Out:**", "**When it is red:**"):
        assert words in found.doc_md
    assert "{name}" not in found.doc_md
    assert found.description
    assert found.max_active_runs == 1
    assert found.catchup is False
    for task in found.tasks:
        assert task.owner == catalogue().use_cases["flights"].owner


@pytest.mark.parametrize("dag_id", DRAWN)
def test_each_parameter_is_explained_and_optional(bag: Any, dag_id: str) -> None:
    for name, param in dag(bag, dag_id).params.items():
        assert param.schema.get("title"), f"{name} has no title"
        assert param.description, f"{name} has no description"
        assert param.value in (None, False, "requested"), f"{name} has to be filled in"


@pytest.mark.parametrize(
    ("dag_id", "known"),
    [
        ("flights_ingest", {"batch", "reason", "as_of"}),
        ("flights_score", {"reason", "as_of"}),
        ("flights_monitor", {"reason", "as_of"}),
        ("flights_watch", set()),
        ("flights_retrain", {"reason", "as_of", "rule", "force"}),
        ("flights_rollback", {"reason", "as_of", "to_version"}),
    ],
)
def test_known_parameters(bag: Any, dag_id: str, known: set[str]) -> None:
    assert set(dag(bag, dag_id).params) == known


@pytest.mark.parametrize("batch", ["2013-5", "2013-05; rm -rf /", "../2013-05", "{{ 7 * 7 }}", "", 201305])
def test_a_batch_key_that_is_none_is_refused(bag: Any, batch: Any) -> None:
    from airflow.sdk.exceptions import ParamValidationError

    param = dag(bag, "flights_ingest").params.get_param("batch")
    with pytest.raises(ParamValidationError):
        param.resolve(batch)


@pytest.mark.parametrize("batch", ["2013-05", None])
def test_a_batch_key_is_taken(bag: Any, batch: str | None) -> None:
    assert dag(bag, "flights_ingest").params.get_param("batch").resolve(batch) == batch


@pytest.mark.parametrize("dag_id", DRAWN)
def test_only_what_a_retry_can_mend_is_tried_again(bag: Any, dag_id: str) -> None:
    from airflow.sdk import RetryAction

    from include.contracts.errors import DataError, InfraError, ModelError, PolicyError

    for task in dag(bag, dag_id).tasks:
        assert task.retries >= 2
        for error in (DataError, ModelError, PolicyError):
            decision = task.retry_policy.evaluate(error("a", "b", "c"), 1, task.retries)
            assert decision.action is RetryAction.FAIL, f"{task.task_id} tries a {error.__name__} again"
        decision = task.retry_policy.evaluate(InfraError("a", "b", "c"), 1, task.retries)
        assert decision.action is not RetryAction.FAIL


def test_the_sensor_survives_stale_events(bag: Any) -> None:
    assert dag(bag, "flights_watch").get_task("wait_for_decision").retries >= 3


def test_a_retrain_is_asked_for_by_its_cause(bag: Any) -> None:
    trigger = dag(bag, "flights_watch").get_task("trigger_retrain")
    assert trigger.trigger_dag_id == "flights_retrain"
    assert "['request']" in trigger.trigger_run_id
    assert trigger.logical_date is None
    assert trigger.skip_when_already_exists
    assert not trigger.wait_for_completion
    assert set(trigger.conf) <= set(dag(bag, "flights_retrain").params), "the watch sends what the retrain refuses"


def test_a_retrain_is_closed_whatever_happened(bag: Any) -> None:
    assert dag(bag, "flights_retrain").get_task("close").trigger_rule == "all_done"


def test_scoring_and_monitoring_hear_what_comes_before(bag: Any) -> None:
    outlets = {task.task_id: {asset.name for asset in task.outlets} for task in dag(bag, "flights_ingest").tasks}
    assert outlets["materialize"] == {"flights_features"}
    heard = {
        dag_id: [asset.name for asset in dag(bag, dag_id).timetable.asset_condition.objects]
        for dag_id in ("flights_score", "flights_monitor")
    }
    assert heard == {"flights_score": ["flights_features"], "flights_monitor": ["flights_predictions"]}
    assert [asset.name for asset in dag(bag, "flights_score").get_task("score").outlets] == ["flights_predictions"]


@pytest.mark.parametrize("dag_id", DRAWN)
def test_each_survives_the_way_through_the_database(bag: Any, dag_id: str) -> None:
    from airflow.serialization.serialized_objects import DagSerialization

    found = DagSerialization.from_dict(json.loads(json.dumps(DagSerialization.to_dict(dag(bag, dag_id)))))
    assert set(found.task_dict) == set(DRAWN[dag_id])


def test_a_broken_declaration_is_one_error_and_leaves_the_others(tmp_path: Path) -> None:
    copy = tmp_path / "project"
    for folder in ("dags", "plugins", "include", "feature_repo"):
        shutil.copytree(PROJECT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    churn = copy / "include" / "use_cases" / "churn"
    churn.mkdir()
    (churn / "use_case.py").write_text(
        'from include.contracts.use_case import UseCase\n\nUSE_CASE = UseCase(name="churn")\n'
    )
    environment = {**os.environ, "PYTHONPATH": f"{copy}:{copy / 'plugins'}", "AIRFLOW_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", PARSED, str(copy / "dags")],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["dags"] == sorted(DRAWN)
    assert [Path(name).name for name in found["errors"]] == ["declarations.py"]
    (text,) = found["errors"].values()
    assert "include/use_cases/churn/use_case.py" in text
    assert "python -m include.use_cases check churn" in text
