"""What clusters do to training pods, as test functions for any cluster: the operator without Airflow around it.

Import them into a test module that has a fixture `cluster`; the fake API server and a real cluster run the same.
"""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from include.contracts.errors import DataError, InfraError, ModelError, PolicyError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.contracts.use_case import BinaryClassification, Resources, Tuning, UseCase, XGBoost
from include.ledger import Ledger
from include.settings import settings

Json = dict[str, Any]
QUICK = XGBoost(max_depth=3, rounds=20, early_stopping=5)
ENDLESS = XGBoost(max_depth=3, rounds=200, early_stopping=200, tuning=Tuning(trials=1_000, sampler="random"))
ROOM = Resources(cpu=1, memory="2Gi", seconds=600)


class Notes(dict[str, Any]):
    """A task instance, or its state store, as far as the operator looks at them."""

    dag_id, task_id, map_index, try_number, max_tries, start_date = "toy_retrain", "train", -1, 1, 3, None

    def xcom_push(self, key: str, value: Any) -> None:
        """Keep what a task pushes."""
        self[key] = value

    set = xcom_push


@dataclass
class Cluster:
    """A cluster to test on; the settings in the environment point at it.

    Args:
        core: Its API, as somebody who may delete and evict pods.
        namespace: Where the pods are.
        training_set: The toy training set, where pods can read it.
        use_case: Name for the declarations.
    """

    core: Any
    namespace: str
    training_set: Json
    use_case: str = "toy"

    def declared(self, **changes: Any) -> UseCase:
        """A use case."""
        return UseCase(
            name=self.use_case,
            owner="tests",
            description="A toy.",
            task=BinaryClassification(label="target"),
            entity_keys=("id",),
            event_time="at",
            feature_service="toy_v1",
            **{"trainer": QUICK, "resources": ROOM, **changes},
        )

    def operator(self, **changes: Any) -> Any:
        """The operator, fresh as each try of a task has it."""
        from evergreen.operators import training_operator

        made = training_operator(
            self.declared(**changes), settings(), task_id="train", training_set=self.training_set, poll_interval=0.5
        )
        made.base_container_status_polling_interval = 0.3  # type: ignore[attr-defined]
        made.startup_check_interval_seconds = 0.3  # type: ignore[attr-defined]
        return made

    def pods(self, run: str) -> list[Any]:
        """The run's pods."""
        return list(self.core.list_namespaced_pod(self.namespace, label_selector=f"evergreen/run={run}").items)

    def running(self, run: str, seconds: float = 60.0) -> Any:
        """The run's pod, once it runs."""
        return self.until(lambda: next((pod for pod in self.pods(run) if pod.status.phase == "Running"), None), seconds)

    def gone(self, run: str, seconds: float = 60.0) -> None:
        """Nothing is left of a run."""
        self.until(lambda: not self.pods(run), seconds)

    @staticmethod
    def until(look: Callable[[], Any], seconds: float) -> Any:
        """What `look` returns, as soon as it is true."""
        end = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < end, f"not within {seconds:.0f} s"
            time.sleep(0.1)
        return found


def context(run: str, store: Notes | None = None, attempt: int = 1) -> Json:
    """What Airflow hands a task, as far as it is looked at."""
    ti = Notes()
    ti.try_number = attempt
    params = {"as_of": "2013-03-02T00:00:00Z"}
    return {
        "run_id": run,
        "ti": ti,
        "params": params,
        "dag": SimpleNamespace(),
        "task_state_store": Notes() if store is None else store,
    }


def disturbed(
    cluster: Cluster, run: str, disturb: Callable[[str], Any], store: Notes | None = None
) -> Exception | None:
    """Run an endless training, disturb its pod once it runs; the error that comes of it."""
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(cluster.operator(trainer=ENDLESS).execute, context(run, store))
        name = cluster.running(run).metadata.name
        time.sleep(0.5)
        disturb(name)
        error: Any = task.exception(120)
    return error  # type: ignore[no-any-return]


def deferred(task: Any, told: Json, during: Callable[[], Any] | None = None) -> Any:
    """Run a task that defers, and its trigger, as Airflow's processes do."""
    from airflow.sdk.exceptions import TaskDeferred

    told["ti"].start_date = datetime.now(UTC)
    with pytest.raises(TaskDeferred) as waiting:
        task.execute(told)

    async def wait() -> Any:
        disturbance = asyncio.create_task(asyncio.to_thread(during)) if during else None
        async for event in waiting.value.trigger.run():
            if disturbance:
                await disturbance
            return event
        return None

    return asyncio.run(wait()).payload


def test_a_training_ends_well(cluster: Cluster) -> None:
    told = context("well")
    done = cluster.operator().execute(told)
    from include.lake import object_store

    manifest = TrainingManifest.model_validate_json(object_store(done["manifest_uri"]).read(done["manifest_uri"]))
    assert manifest.request == "well"
    assert told["ti"]["return_value"] == done
    (cost,) = [
        c for c in Ledger.at(settings().ledger_url).find(cluster.use_case, Kind.STAGE_COST) if c.run_id == "well"
    ]
    assert cost.payload["seconds"] == manifest.cost.seconds
    cluster.gone("well")
    assert cluster.operator().execute(context("well")) == done, "found again, without a pod"


def test_a_deferred_training_ends_well(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_DEFER_AFTER", "60")
    told = context("deferred")
    event = deferred(cluster.operator(), told)
    assert event["status"] == "success"
    done = cluster.operator().trigger_reentry(told, event)
    assert told["ti"]["return_value"] == done
    cluster.gone("deferred")


def test_a_gpu_that_is_never_free(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_SCHEDULE_TIMEOUT", "3")
    with pytest.raises(InfraError, match=r"no GPU.*Insufficient nvidia.com/gpu"):
        cluster.operator(resources=ROOM.model_copy(update={"gpu": 512})).execute(context("no-gpu"))
    cluster.gone("no-gpu")


def test_a_gpu_that_is_never_free_for_a_deferred_task(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_SCHEDULE_TIMEOUT", "3")
    monkeypatch.setenv("EVERGREEN_TRAINING_DEFER_AFTER", "60")
    told, wanted = context("no-gpu-deferred"), ROOM.model_copy(update={"gpu": 512})
    event = deferred(cluster.operator(resources=wanted), told)
    assert event["status"] == "timeout"
    with pytest.raises(InfraError, match="no GPU"):
        cluster.operator(resources=wanted).trigger_reentry(told, event)
    cluster.gone("no-gpu-deferred")


def test_an_image_that_is_not_there(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_IMAGE", "localhost/no-such:1")
    with pytest.raises((PolicyError, InfraError), match="localhost/no-such:1 cannot be pulled"):
        cluster.operator().execute(context("no-image"))
    cluster.gone("no-image")


def test_a_secret_that_is_not_there_is_no_secret(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_SECRET", "no-such-secret")
    with pytest.raises((DataError, InfraError)) as found:  # its keys are optional: a pod's own identity may do
        cluster.operator().execute(context("no-secret"))
    assert "gone" not in found.value.cause
    cluster.gone("no-secret")


def test_a_namespace_that_is_not_there(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERGREEN_KUBERNETES_NAMESPACE", "no-such-namespace")
    with pytest.raises(PolicyError, match="no-such-namespace"):
        cluster.operator().execute(context("nowhere"))


def test_too_little_memory(cluster: Cluster) -> None:
    with pytest.raises(ModelError, match="memory"):
        cluster.operator(resources=ROOM.model_copy(update={"memory": "96Mi"})).execute(context("hungry"))
    cluster.gone("hungry")


def test_a_deadline(cluster: Cluster) -> None:
    late = ROOM.model_copy(update={"seconds": 8})
    with pytest.raises(ModelError, match=r"resources\.seconds"):
        cluster.operator(trainer=ENDLESS, resources=late).execute(context("late"))
    cluster.gone("late")


def test_the_trainings_own_error(cluster: Cluster) -> None:
    cluster.training_set = {**cluster.training_set, "digest": "0" * 64}
    told = context("spoilt")
    with pytest.raises(DataError) as found:
        cluster.operator().execute(told)
    assert "0" * 12 in found.value.cause
    assert told["ti"]["error"] == str(found.value)
    cluster.gone("spoilt")


def test_a_pod_that_is_deleted_while_it_trains(cluster: Cluster) -> None:
    store = Notes()
    error = disturbed(
        cluster, "deleted", lambda name: cluster.core.delete_namespaced_pod(name, cluster.namespace), store
    )
    assert isinstance(error, InfraError), error
    assert cluster.operator().execute(context("deleted", store, 2))["manifest_uri"], "a new pod"
    cluster.gone("deleted")


def test_a_pod_that_is_evicted_by_the_api(cluster: Cluster) -> None:
    def evict(name: str) -> None:
        body = {"metadata": {"name": name, "namespace": cluster.namespace}}
        cluster.core.create_namespaced_pod_eviction(name, cluster.namespace, body)

    error = disturbed(cluster, "evicted", evict)
    assert isinstance(error, InfraError), error
    cluster.gone("evicted")


def test_a_task_that_is_stopped_takes_its_pod_along(cluster: Cluster) -> None:
    task = cluster.operator(trainer=ENDLESS)
    with ThreadPoolExecutor(1) as pool:
        told = pool.submit(task.execute, context("stopped"))
        cluster.running("stopped")
        cluster.until(lambda: task.pod, 10)
        task.on_kill()
        assert isinstance(told.exception(90), InfraError)
    cluster.gone("stopped")


def test_a_killed_tasks_pod_is_found_again(cluster: Cluster, tmp_path: Path) -> None:
    """The first try dies by SIGKILL; the second follows the same pod to its end."""
    store = Notes()
    child = os.fork()
    if child == 0:
        try:
            cluster.operator().execute(context("killed", _Written(tmp_path / "pod")))
        finally:
            os._exit(0)
    pod = cluster.until(lambda: next(iter(cluster.pods("killed")), None), 60)
    cluster.until((tmp_path / "pod").is_file, 10)
    os.kill(child, 9)
    os.waitpid(child, 0)
    store["pod_identifier"] = {"name": pod.metadata.name, "namespace": cluster.namespace}
    told = context("killed", store, 2)
    assert cluster.operator().execute(told)["manifest_uri"]
    assert told["ti"]["pod_name"] == pod.metadata.name
    cluster.gone("killed")


def test_what_earlier_tries_left_is_swept(cluster: Cluster) -> None:
    """A pod of the same run that works on another spec would train into nowhere."""
    from evergreen.operators.training_pod import Assignment, pod_spec

    told = context("swept")
    old = Assignment.of(cluster.declared(trainer=ENDLESS), cluster.training_set, told)
    old.give_out()
    left = pod_spec(old.spec, old.spec_uri, 1, settings())
    left["metadata"]["name"] = f"{cluster.use_case}-left"
    left["metadata"]["labels"] |= {"try_number": "1", "dag_id": "toy_retrain", "task_id": "train", "run_id": "swept"}
    cluster.core.create_namespaced_pod(cluster.namespace, left)
    cluster.running("swept")
    assert cluster.operator().execute(told)["manifest_uri"]
    assert told["ti"]["pod_name"] != left["metadata"]["name"]
    cluster.gone("swept")


def test_an_ended_pod_of_an_earlier_run_is_swept(cluster: Cluster) -> None:
    """Its judge could not reach the API to the last."""
    from evergreen.operators.training_pod import Assignment, pod_spec

    old = Assignment.of(cluster.declared(), cluster.training_set, context("earlier"))
    old.give_out()
    left = pod_spec(old.spec, old.spec_uri, 1, settings())
    left["metadata"]["name"] = f"{cluster.use_case}-earlier"
    cluster.core.create_namespaced_pod(cluster.namespace, left)
    cluster.until(lambda: cluster.pods("earlier")[0].status.phase == "Succeeded", 120)
    assert cluster.operator().execute(context("after"))["manifest_uri"]
    cluster.gone("earlier")
    cluster.gone("after")


class _Written(Notes):
    """A state store whose writing can be seen from outside."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def set(self, key: str, value: Any) -> None:
        """Keep, and leave a mark."""
        self[key] = value
        self._path.write_text(str(value))
