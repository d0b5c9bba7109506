"""What clusters do to pods, and what befalls Airflow meanwhile: a real Airflow gets its training done all the same."""

import os
import subprocess
import time

import psutil
import pytest

from include.contracts.record import Kind
from tests.integration.world import until
from tests.kubernetes.ground import Ground, every, gone

pytestmark = pytest.mark.kubernetes

OUTAGE = 60.0
"""Seconds for which the API server is away."""
STOP, START = "EVERGREEN_TEST_STOP_API", "EVERGREEN_TEST_START_API"


@pytest.fixture(autouse=True)
def alive(place: Ground) -> None:
    """No component has ended, and the wire is whole."""
    place.wire.come_back()
    place.airflow.check()
    until(lambda: "pods_well" in place.airflow.api.dags(), 120)


def failed(place: Ground, run: str, tries: int = 0, seconds: float = 240) -> str:
    """The words of a run that was to fail, after so many tries, with nothing left of it."""
    assert place.ended(run, seconds) == "failed"
    assert tries in (0, place.task(run)["try_number"])
    assert gone(lambda: place.left(run)), place.left(run)
    return place.words(run)


def trained(place: Ground, run: str, pods: int, seconds: float = 300) -> None:
    """The run ended well, from so many pods, with nothing left of it and its cost in the ledger."""
    state = place.ended(run, seconds)
    assert state == "success", place.log(run)
    assert place.manifest(run).request == run
    assert len(place.watch.of(run)) == pods
    assert gone(lambda: place.left(run)), place.left(run)
    costs = place.ledger.find(place.started[run], Kind.STAGE_COST)
    assert [cost.payload["seconds"] for cost in costs if cost.run_id == run] == [place.manifest(run).cost.seconds]


def test_a_training_ends_well(place: Ground) -> None:
    place.start("well", "airflow-well")
    trained(place, "airflow-well", pods=1)
    (pod,) = place.watch.of("airflow-well")
    assert pod["spec"]["automountServiceAccountToken"] is False
    assert "volumeMounts" in pod["spec"]["containers"][0]
    assert not [m for m in pod["spec"]["containers"][0]["volumeMounts"] if "serviceaccount" in m["mountPath"]]


def test_a_gpu_is_used_or_its_absence_is_an_error(place: Ground) -> None:
    nodes = place.cluster.core.list_node().items
    if not any(int((node.status.allocatable or {}).get("nvidia.com/gpu", 0)) for node in nodes):
        pytest.skip("no node advertises nvidia.com/gpu")
    place.start("gpu", "airflow-gpu")
    if place.ended("airflow-gpu") == "success":
        assert place.manifest("airflow-gpu").device == "cuda"
    else:
        assert "no GPU is visible" in place.words("airflow-gpu")


def test_an_eviction_through_the_api(place: Ground) -> None:
    place.start("steady", "airflow-evicted")
    name = place.running("airflow-evicted")["metadata"]["name"]
    body = {"metadata": {"name": name, "namespace": place.cluster.namespace}}
    place.cluster.core.create_namespaced_pod_eviction(name, place.cluster.namespace, body)
    trained(place, "airflow-evicted", pods=2)
    assert place.task("airflow-evicted")["try_number"] == 2


def test_an_eviction_by_the_kubelet(place: Ground) -> None:
    from kubernetes.stream import stream

    place.start("endless", "airflow-scratch", {"EVERGREEN_TRAINING_SCRATCH": "10Mi"})
    name = place.running("airflow-scratch")["metadata"]["name"]
    fill = ["python", "-c", "open('/tmp/fill', 'wb').write(bytes(30 << 20))"]
    core = place.cluster.core
    stream(core.connect_get_namespaced_pod_exec, name, place.cluster.namespace, command=fill, stdout=True, stderr=True)
    words = failed(place, "airflow-scratch", tries=1)
    assert "EVERGREEN_TRAINING_SCRATCH" in words


def test_a_log_stream_that_breaks_again_and_again(place: Ground) -> None:
    place.start("steady", "airflow-cut")
    place.running("airflow-cut")
    before = place.wire.cuts
    with every(5, place.wire.cut):
        assert place.ended("airflow-cut") == "success", place.log("airflow-cut")
    assert place.wire.cuts > before + 1
    trained(place, "airflow-cut", pods=1)


def test_a_killed_task_is_followed_by_one_that_finds_the_same_pod(place: Ground) -> None:
    place.start("steady", "airflow-killed")
    place.running("airflow-killed")
    pid = until(lambda: place.task("airflow-killed")["pid"])
    psutil.Process(pid).kill()
    trained(place, "airflow-killed", pods=1)
    assert place.task("airflow-killed")["try_number"] == 2


def test_a_killed_triggerer_is_followed_by_one_that_goes_on(place: Ground) -> None:
    place.start("deferred", "airflow-deferred")
    place.running("airflow-deferred")
    until(lambda: place.task("airflow-deferred")["state"] == "deferred")
    place.airflow.processes["triggerer"].kill()
    time.sleep(5)
    place.airflow.start_component("triggerer")
    place.airflow.wait_until_healthy()
    trained(place, "airflow-deferred", pods=1, seconds=400)


@pytest.mark.parametrize("case", ["steady", "long", "deferred"])
def test_an_api_server_out_of_reach_for_a_minute(place: Ground, case: str) -> None:
    """`steady` may end while nobody can be asked, `long` ends after that."""
    run = f"airflow-unreachable-{case}"
    place.start(case, run)
    place.running(run)
    if case == "deferred":
        until(lambda: place.task(run)["state"] == "deferred")
    place.wire.go_away()
    time.sleep(OUTAGE)
    place.wire.come_back()
    trained(place, run, pods=1, seconds=400)


def test_an_api_server_that_is_stopped_for_a_minute(place: Ground) -> None:
    if not os.environ.get(STOP) or not os.environ.get(START):
        pytest.skip(f"{STOP} and {START} name no commands that stop and start this cluster's API server")
    place.start("long", "airflow-stopped")
    place.running("airflow-stopped")
    subprocess.run(os.environ[STOP], shell=True, check=True)  # noqa: S602 - the tester's own command
    try:
        time.sleep(OUTAGE)
    finally:
        subprocess.run(os.environ[START], shell=True, check=True)  # noqa: S602
    trained(place, "airflow-stopped", pods=1, seconds=400)


def test_nothing_is_left_of_any_of_them(place: Ground) -> None:
    assert gone(lambda: [name for run in place.started for name in place.left(run)])
