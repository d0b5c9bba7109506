"""The buttons: where they lead, and that they lead nowhere rather than to a broken page."""

from types import SimpleNamespace
from typing import Any

import pytest


def told(results: dict[str, Any]) -> Any:
    """A task instance whose run has these results."""
    return SimpleNamespace(xcom_pull=lambda task_ids, key: results.get(task_ids) if key == "return_value" else None)


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_MLFLOW_UI", "http://mlflow.example:5000/")


@pytest.mark.usefixtures("pages")
def test_to_the_run_that_the_task_names() -> None:
    from evergreen.links import MlflowRunLink

    link = MlflowRunLink().get_link(SimpleNamespace(task_id="train"), ti_key=told({"train": {"mlflow_run_id": "abc"}}))
    assert link == "http://mlflow.example:5000/#/runs/abc"


@pytest.mark.usefixtures("pages")
def test_to_the_newest_window_of_monitoring() -> None:
    from evergreen.links import MlflowRunLink

    found = {"monitor": {"batches": 1, "windows": [{"mlflow_run_id": "old"}, {"mlflow_run_id": "new"}]}}
    link = MlflowRunLink().get_link(SimpleNamespace(task_id="monitor"), ti_key=told(found))
    assert link == "http://mlflow.example:5000/#/runs/new"


@pytest.mark.usefixtures("pages")
def test_to_the_verdict_beside_the_challenger() -> None:
    from evergreen.links import VerdictLink

    ti = told({"train": {"mlflow_run_id": "abc"}, "evaluate": {"champion_revision": 3}})
    link = VerdictLink().get_link(SimpleNamespace(task_id="evaluate"), ti_key=ti)
    assert link == "http://mlflow.example:5000/get-artifact?run_uuid=abc&path=verdict-3.txt"


@pytest.mark.parametrize("result", [None, {}, {"mlflow_run_id": ""}, {"windows": []}])
@pytest.mark.usefixtures("pages")
def test_nowhere_where_the_task_names_no_run(result: Any) -> None:
    from evergreen.links import MlflowRunLink

    assert MlflowRunLink().get_link(SimpleNamespace(task_id="t"), ti_key=told({"t": result})) == ""


def test_nowhere_without_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    from evergreen.links import MlflowRunLink

    monkeypatch.delenv("EVERGREEN_MLFLOW_UI", raising=False)
    found = told({"train": {"mlflow_run_id": "abc"}})
    assert MlflowRunLink().get_link(SimpleNamespace(task_id="train"), ti_key=found) == ""
