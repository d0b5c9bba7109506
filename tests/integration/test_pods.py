"""The loop with its training in pods, through a real Airflow, the real provider and an API server of the tests' own."""

from collections.abc import Iterator
from dataclasses import dataclass

import psutil
import pytest

from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.ledger import Ledger
from include.local.airflow import Airflow
from include.local.environment import PRELOAD
from include.local.seaweedfs import SeaweedFS
from tests.fakes.kubernetes_api import KubernetesApi
from tests.integration.world import Shops, copy_with_demand, until

pytestmark = pytest.mark.integration

BUCKET = "evergreen"
IMAGE = "registry.example/evergreen/training:1.2.3"
SECRET = "evergreen-training"  # noqa: S105 - its name
OPERATOR = "airflow.providers.cncf.kubernetes.operators.pod"


@dataclass
class World:
    """Airflow, the shops, and the cluster."""

    airflow: Airflow
    shops: Shops
    api: KubernetesApi


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """An Airflow that trains in pods; its artifacts are on a real S3 server."""
    project = copy_with_demand(tmp_path_factory.mktemp("project"))
    home = project / "home"
    with SeaweedFS(home / "s3") as s3, pytest.MonkeyPatch.context() as patch:
        s3.create_bucket(BUCKET)
        for name, value in s3.environment().items():
            patch.setenv(name, value)
        keys = {name: value for name, value in s3.environment().items() if "KEY" in name}
        with KubernetesApi(home / "kubernetes", {IMAGE}, project, {SECRET: keys}) as api:
            settings = {
                "KUBECONFIG": str(api.kubeconfig),
                "EVERGREEN_TRAINER": "kubernetes",
                "EVERGREEN_TRAINING_IMAGE": IMAGE,
                "EVERGREEN_TRAINING_SECRET": SECRET,
                "EVERGREEN_ARTIFACTS": f"s3://{BUCKET}/artifacts",
                "EVERGREEN_WATCH_SECONDS": "0.5",
                "EVERGREEN_PRELOAD": f"{PRELOAD},{OPERATOR}",
            }
            with Airflow(home, settings, project=project) as airflow:
                until(lambda: "demand_ingest" in airflow.api.dags())
                ledger = Ledger.at(f"sqlite:///{home / 'ledger.db'}")
                yield World(airflow, Shops(home / "landing", airflow.api, ledger, Shops.program(project)), api)


@pytest.fixture(autouse=True)
def alive(place: World) -> None:
    """No component has ended."""
    place.airflow.check()


def test_the_first_champion_comes_out_of_a_pod(place: World) -> None:
    shops = place.shops
    for week in range(1, 7):
        shops.drop(week, shops.data(week))
        assert shops.send(f"2024-W{week:02d}")
    until(shops.endings, 400)
    assert shops.endings() == ["promoted"]
    champion = shops.ledger.champion("demand")
    assert champion is not None
    assert champion.version == 1
    assert champion.manifest_uri.startswith(f"s3://{BUCKET}/")

    from include.lake import object_store

    (asked,) = shops.find(Kind.RETRAIN_REQUESTED)
    manifest = TrainingManifest.model_validate_json(object_store(champion.manifest_uri).read(champion.manifest_uri))
    assert manifest.request == asked.key
    assert manifest.artifacts["model.ubj"].digest == champion.model_digest
    (made,) = place.api.made
    assert made["metadata"]["labels"]["evergreen/use-case"] == "demand"
    assert not place.api.pods, "the pod is gone"


def test_a_preempted_training_ends_well_in_a_new_pod(place: World) -> None:
    before = len(place.api.made)
    as_of = "2024-02-15T00:00:00+00:00"
    assert place.shops.api.trigger("demand_retrain", "by-hand", {"reason": "preempted", "force": True, "as_of": as_of})
    place.api.preempt(place.api.wait_running())
    assert place.shops.ended("demand_retrain", "by-hand", 240) == "success"
    tasks = {task["task_id"]: task for task in place.shops.api.tasks("demand_retrain", "by-hand")}
    assert tasks["train"]["try_number"] == 2
    first, second = place.api.made[before:]
    assert first["metadata"]["name"] != second["metadata"]["name"]
    (closed,) = place.shops.find(Kind.RETRAIN_CLOSED, "by-hand")
    assert closed.payload["outcome"] in {"promoted", "rejected"}


def test_a_killed_task_finds_its_pod_again(place: World) -> None:
    """SIGKILL takes the task's process; the pod trains on, and the next try follows it."""
    before = len(place.api.made)
    as_of = "2024-02-16T00:00:00+00:00"
    assert place.shops.api.trigger("demand_retrain", "killed", {"reason": "killed", "force": True, "as_of": as_of})
    place.api.wait_running()
    (task,) = [each for each in place.shops.api.tasks("demand_retrain", "killed") if each["task_id"] == "train"]
    psutil.Process(task["pid"]).kill()
    assert place.shops.ended("demand_retrain", "killed", 240) == "success"
    tasks = {each["task_id"]: each for each in place.shops.api.tasks("demand_retrain", "killed")}
    assert tasks["train"]["try_number"] == 2
    assert len(place.api.made) == before + 1
    assert not place.api.pods
