"""Training in a pod, on an API server of the tests' own: real HTTP, real provider, real training, no cluster."""

import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from include.contracts.errors import InfraError, ModelError
from include.local.seaweedfs import SeaweedFS
from include.settings import PROJECT
from tests.fakes.kubernetes_api import KubernetesApi
from tests.kubernetes.faults import *  # noqa: F403 - each fault is a test here too
from tests.kubernetes.faults import ENDLESS, Cluster, Notes, context, deferred, disturbed
from tests.model_world import rows, spec, world
from tests.openlineage_spec import problems

IMAGE = "registry.example/evergreen/training:1.2.3"
BUCKET = "evergreen"
SECRET = "evergreen-training"  # noqa: S105 - its name


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("s3")) as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def api(tmp_path: Path, s3: SeaweedFS) -> Iterator[KubernetesApi]:
    keys = {name: value for name, value in s3.environment().items() if "KEY" in name}
    project = Path(os.environ.get("EVERGREEN_TEST_PROJECT", PROJECT))
    with KubernetesApi(tmp_path / "kubernetes", {IMAGE}, project, {SECRET: keys}) as server:
        yield server


@pytest.fixture
def cluster(tmp_path: Path, s3: SeaweedFS, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    from kubernetes import client, config

    with world(tmp_path / "home") as home:
        settings = {
            **s3.environment(),
            "KUBECONFIG": str(api.kubeconfig),
            "EVERGREEN_TRAINER": "kubernetes",
            "EVERGREEN_TRAINING_IMAGE": IMAGE,
            "EVERGREEN_TRAINING_SECRET": SECRET,
            "EVERGREEN_ARTIFACTS": f"s3://{BUCKET}/{tmp_path.name}",
        }
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        made = spec(home, rows(1_500), "toy").training_set
        uri = f"s3://{BUCKET}/{tmp_path.name}/toy.parquet"
        from include.lake import object_store

        object_store(uri).upload(Path(made.uri), uri)
        given: dict[str, Any] = made.model_copy(update={"uri": uri}).model_dump(mode="json")
        core = client.CoreV1Api(config.new_client_from_config(str(api.kubeconfig)))
        yield Cluster(core, api.namespace, given)


def test_a_bad_pod_is_refused_by_the_server_as_by_a_real_one(cluster: Cluster) -> None:
    from kubernetes.client.exceptions import ApiException

    bad = {"metadata": {"name": "bad"}, "spec": {"containers": [{"name": "bad", "image": IMAGE}]}}
    with pytest.raises(ApiException, match="violates PodSecurity"):
        cluster.core.create_namespaced_pod(cluster.namespace, bad)


def test_a_broken_log_stream_does_not_matter(cluster: Cluster, api: KubernetesApi) -> None:
    api.log_seconds = 0.3
    assert cluster.operator().execute(context("cut"))["manifest_uri"]
    assert len(api.made) == 1
    assert sum(call.endswith("/log") for call in api.calls) > 1, "the stream was never cut"


def test_what_a_pod_cannot_write_into_a_file_the_worker_writes(
    cluster: Cluster, api: KubernetesApi, tmp_path: Path
) -> None:
    assert cluster.operator().execute(context("told"))["manifest_uri"]
    (env,) = (made["spec"]["containers"][0]["env"] for made in api.made)
    assert {"name": "EVERGREEN_LINEAGE", "value": "off"} in env
    told = [json.loads(line) for line in (tmp_path / "home" / "lineage.jsonl").read_text().splitlines()]
    assert [event["eventType"] for event in told] == ["START", "COMPLETE"]
    assert [found for event in told for found in problems(event)] == []
    assert told[1]["inputs"][0]["facets"]["version"]["datasetVersion"] == cluster.training_set["digest"]
    assert all(output["namespace"] in {f"s3://{BUCKET}", "mlflow"} for output in told[1]["outputs"])


def test_a_green_pod_without_a_manifest_is_a_failure(cluster: Cluster, api: KubernetesApi, tmp_path: Path) -> None:
    image = tmp_path / "image" / "include" / "training"
    image.mkdir(parents=True)
    (image / "__main__.py").write_text("print('trained, honestly')")
    api.project = tmp_path / "image"
    with pytest.raises(InfraError, match="left no manifest"):
        cluster.operator().execute(context("liar"))
    cluster.gone("liar")


@pytest.mark.parametrize("later", [False, True], ids=["sync", "deferred"])
def test_a_pod_that_is_forgotten_after_its_success_did_succeed(
    cluster: Cluster, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch, later: bool
) -> None:
    api.forgetful, told = True, context("forgotten")
    if later:
        monkeypatch.setenv("EVERGREEN_TRAINING_DEFER_AFTER", "60")
        event = deferred(cluster.operator(), told)
        done = cluster.operator().trigger_reentry(told, event)
    else:
        done = cluster.operator().execute(told)
    assert told["ti"]["return_value"] == done
    assert len(api.made) == 1


def test_an_expired_watch_does_not_matter(
    cluster: Cluster, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERGREEN_TRAINING_DEFER_AFTER", "60")
    api.expired, told = True, context("expired")
    event = deferred(cluster.operator(), told)
    assert cluster.operator().trigger_reentry(told, event)["manifest_uri"]


def test_a_preempted_pod_is_followed_by_a_new_one(cluster: Cluster, api: KubernetesApi) -> None:
    store = Notes()
    error = disturbed(cluster, "preempted", api.preempt, store)
    assert isinstance(error, InfraError), error
    assert "reempt" in error.cause
    assert cluster.operator().execute(context("preempted", store, 2))["manifest_uri"]
    assert len({made["metadata"]["name"] for made in api.made}) == 2


def test_a_pod_that_its_kubelet_evicts_is_tried_again(cluster: Cluster, api: KubernetesApi) -> None:
    error = disturbed(cluster, "pressed", api.evict_by_kubelet)
    assert isinstance(error, InfraError), error
    assert "low on resource: memory" in error.cause
    cluster.gone("pressed")


def test_the_kernels_oom_killer_is_a_model_error(cluster: Cluster, api: KubernetesApi) -> None:
    error = disturbed(cluster, "oom", api.out_of_memory)
    assert isinstance(error, ModelError), error
    assert "OOMKilled" in error.cause
    cluster.gone("oom")


def test_an_api_that_is_away_for_a_while_costs_nothing(cluster: Cluster, api: KubernetesApi) -> None:
    """Longer than the provider's own patience, which the tests' settings make short."""
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(cluster.operator().execute, context("moment"))
        cluster.running("moment")
        api.down = True
        time.sleep(8)
        api.down = False
        assert task.result(120)["manifest_uri"]
    assert len(api.made) == 1


PATIENT = """
import os, pathlib, sys, time
while not pathlib.Path({flag!r}).exists():
    time.sleep(0.1)
os.environ["PYTHONPATH"] = {project!r}
os.execv(sys.executable, [sys.executable, "-m", "include.training", *sys.argv[1:]])
"""


def test_an_api_that_is_away_when_the_training_ends_is_waited_for(
    cluster: Cluster, api: KubernetesApi, tmp_path: Path
) -> None:
    flag, image = tmp_path / "go-on", tmp_path / "image" / "include" / "training"
    image.mkdir(parents=True)
    (image / "__main__.py").write_text(PATIENT.format(flag=str(flag), project=str(api.project)))
    api.project, operator, told = tmp_path / "image", cluster.operator(), context("ends-alone")
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(operator.execute, told)
        cluster.running("ends-alone")
        api.down = True
        flag.touch()
        cluster.until(lambda: operator._given.is_done, 60)
        time.sleep(8)
        api.down = False
        assert task.result(120)["manifest_uri"]
    assert len(api.made) == 1
    assert not cluster.pods("ends-alone")


def test_an_api_that_stays_away_leaves_the_pod_to_the_next_try(
    cluster: Cluster, api: KubernetesApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen.operators import training_pod

    monkeypatch.setattr(training_pod, "PATIENCE", 1)
    flag, image = tmp_path / "go-on", tmp_path / "image" / "include" / "training"
    image.mkdir(parents=True)
    (image / "__main__.py").write_text(PATIENT.format(flag=str(flag), project=str(api.project)))
    api.project, store = tmp_path / "image", Notes()
    with ThreadPoolExecutor(1) as pool:
        task = pool.submit(cluster.operator().execute, context("away", store))
        cluster.running("away")
        api.down = True
        error: Any = task.exception(180)
    assert isinstance(error, InfraError), error
    api.down = False
    flag.touch()
    assert cluster.operator().execute(context("away", store, 2))["manifest_uri"]
    assert len(api.made) == 1


def test_a_pod_on_a_silent_node_is_forgotten_by_force(
    cluster: Cluster, api: KubernetesApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evergreen.operators import training_pod

    monkeypatch.setattr(training_pod, "GRACE", -9)
    store = Notes()
    child = os.fork()
    if child == 0:
        cluster.operator(trainer=ENDLESS).execute(context("silent", store))
        os._exit(0)
    pod = cluster.running("silent")
    os.kill(child, 9)
    os.waitpid(child, 0)
    api.lose_node(pod.metadata.name)
    assert cluster.operator().execute(context("silent", store, 2))["manifest_uri"]
    cluster.gone("silent")


def test_every_pod_names_what_it_works_for(cluster: Cluster, api: KubernetesApi) -> None:
    cluster.operator().execute(context("named", attempt=3))
    (made,) = api.made
    labels = made["metadata"]["labels"]
    assert (labels["evergreen/use-case"], labels["evergreen/run"], labels["evergreen/attempt"]) == ("toy", "named", "3")
    wanted = made["spec"]
    assert (wanted["automountServiceAccountToken"], wanted["enableServiceLinks"]) == (False, False)
    assert (wanted["activeDeadlineSeconds"], wanted["restartPolicy"]) == (600, "Never")
    (container,) = wanted["containers"]
    assert container["resources"]["limits"] == {"cpu": "1", "memory": "2Gi"}
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
