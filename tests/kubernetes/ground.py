"""A whole Evergreen whose training runs in pods: Airflow here, S3 and MLflow where pods reach them, a cut-able wire."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from include.contracts.training import TrainingManifest
from include.ledger import Ledger
from include.local.airflow import Airflow
from include.local.cluster import SECRET, Cluster
from include.local.mlflow_server import MlflowServer
from include.local.seaweedfs import SeaweedFS
from tests.integration.world import ENDED, copy_with_demand, until
from tests.kubernetes.wire import Wire
from tests.model_world import rows, spec

Json = dict[str, Any]
BUCKET = "evergreen"
RUN = "evergreen/run"


class PodWatch:
    """Every pod that the namespace ever had, by the run that it worked for."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._seen: dict[str, dict[str, Json]] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def of(self, run: str) -> list[Json]:
        """The run's pods as they were last seen, oldest first."""
        return list(self._seen.get(run, {}).values())

    def __enter__(self) -> "PodWatch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        core = self._cluster.core
        while not self._stop.wait(0.3):
            try:
                found = core.list_namespaced_pod(self._cluster.namespace, _request_timeout=5).items
            except (ApiException, HTTPError):  # an API server that is away is what some tests are about
                continue
            for pod in found:
                seen = core.api_client.sanitize_for_serialization(pod)
                run = (pod.metadata.labels or {}).get(RUN, "")
                self._seen.setdefault(run, {})[pod.metadata.uid] = seen


@dataclass(frozen=True)
class Servers:
    """What pods need: a namespace, S3 and MLflow, and the environment that says where they are."""

    cluster: Cluster
    wire: Wire
    watch: PodWatch
    env: dict[str, str]
    training_set: Json


@dataclass
class Ground:
    """The servers, and an Airflow that has its training done there."""

    servers: Servers
    airflow: Airflow
    ledger: Ledger
    started: dict[str, str] = field(default_factory=dict)

    @property
    def cluster(self) -> Cluster:
        """The namespace, as its owner."""
        return self.servers.cluster

    @property
    def wire(self) -> Wire:
        """Between Airflow and the API server."""
        return self.servers.wire

    @property
    def watch(self) -> PodWatch:
        """Every pod that there ever was."""
        return self.servers.watch

    def start(self, case: str, run: str, settings: Mapping[str, str] | None = None) -> str:
        """Ask for the training `pods_<case>`; the DAG's id."""
        dag = f"pods_{case}"
        given = self.servers.training_set
        conf = {"training_set": given, "settings": dict(settings or {}), "as_of": given["as_of"]}
        assert self.airflow.api.trigger(dag, run, conf)
        self.started[run] = dag
        return dag

    def ended(self, run: str, seconds: float = 240) -> str:
        """The state in which the run ended."""
        dag = self.started[run]
        return str(until(lambda: (s := self.airflow.api.run(dag, run)["state"]) in ENDED and s, seconds))

    def task(self, run: str) -> Json:
        """The training task of a run."""
        (found,) = self.airflow.api.tasks(self.started[run], run)
        return found

    def log(self, run: str, attempt: int | None = None) -> str:
        """The log of a try, by default of the newest."""
        tried = attempt or self.task(run)["try_number"]
        return self.airflow.api.log(self.started[run], run, "train", tried)

    def words(self, run: str) -> str:
        """What the newest failed try left."""
        path = f"/dags/{self.started[run]}/dagRuns/{run}/taskInstances/train/xcomEntries/error"
        return str(self.airflow.api.get(path)["value"])

    def manifest(self, run: str) -> TrainingManifest:
        """What the training brought back."""
        from include.lake import object_store

        uri = self.airflow.api.result(self.started[run], run, "train")["manifest_uri"]
        return TrainingManifest.model_validate_json(object_store(uri).read(uri))

    def running(self, run: str, since: int = 0, seconds: float = 90) -> Json:
        """The run's newest pod, after `since` earlier ones, once its container runs."""

        def look() -> Json | None:
            found = self.watch.of(run)[since:]
            running = found and found[-1]["status"].get("phase") == "Running"
            return found[-1] if running and not found[-1]["metadata"].get("deletionTimestamp") else None

        pod: Json = until(look, seconds)
        return pod

    def left(self, run: str) -> list[str]:
        """Names of the pods of a run that are still there and not on their way out."""
        found = self.cluster.core.list_namespaced_pod(self.cluster.namespace, label_selector=f"{RUN}={run}").items
        return [pod.metadata.name for pod in found if not pod.metadata.deletion_timestamp]


@contextmanager
def servers(folder: Path, image: str, host: str) -> Iterator[Servers]:
    """Start what pods need; nothing is left behind, in the cluster or here."""
    cluster = Cluster(namespace=f"evergreen-test-{os.getpid()}")
    host = host or cluster.host()
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), host]))
    with SeaweedFS(folder / "s3", host) as s3:
        s3.create_bucket(BUCKET)
        os.environ.update(s3.environment())
        store, place = f"sqlite:///{folder / 'mlflow.db'}", f"s3://{BUCKET}/mlflow"
        with MlflowServer(folder, store, place, s3.environment(), host) as mlflow, Wire(cluster.server) as wire:
            mlflow.wait_until_ready()
            cluster.prepare(s3.environment())
            env = {
                **s3.environment(),
                "EVERGREEN_ARTIFACTS": f"s3://{BUCKET}/artifacts",
                "EVERGREEN_MLFLOW_ARTIFACTS": place,
                "EVERGREEN_MLFLOW_URI": mlflow.url,
                "EVERGREEN_TRAINER": "kubernetes",
                "EVERGREEN_TRAINING_IMAGE": image,
                "EVERGREEN_TRAINING_SECRET": SECRET,
                "EVERGREEN_TRAINING_SCRATCH": "1Gi",
                "EVERGREEN_KUBERNETES_NAMESPACE": cluster.namespace,
                "KUBECONFIG": str(cluster.write_kubeconfig(folder / "kubeconfig.yaml", wire.url)),
            }
            try:
                with PodWatch(cluster) as watch:
                    yield Servers(cluster, wire, watch, env, training_set(folder))
            finally:
                cluster.remove()


@contextmanager
def ground(folder: Path, found: Servers) -> Iterator[Ground]:
    """An Airflow on a copy of the project that has the tests' DAGs and a second use case."""
    project = copy_with_demand(folder / "project")
    (project / "dags" / "pods_of_the_tests.py").write_text(Path(__file__).with_name("training_dags.py").read_text())
    settings = {
        "EVERGREEN_TRAINING_SCHEDULE_TIMEOUT": "30",
        "EVERGREEN_TRAINING_START_TIMEOUT": "60",
        "EVERGREEN_TRAINING_DEFER_AFTER": "3600",
        "EVERGREEN_WATCH_SECONDS": "1",
    }
    home = project / "home"
    with Airflow(home, {**found.env, **settings}, project=project) as airflow:
        yield Ground(found, airflow, Ledger.at(f"sqlite:///{home / 'ledger.db'}"))


def training_set(folder: Path) -> Json:
    """The toy training set, where pods can read it."""
    from include.lake import object_store

    made = spec(folder, rows(12_000), "toy").training_set
    uri = f"s3://{BUCKET}/sets/toy.parquet"
    object_store(uri).upload(Path(made.uri), uri)
    return made.model_copy(update={"uri": uri}).model_dump(mode="json")


@contextmanager
def every(seconds: float, action: Callable[[], None]) -> Iterator[None]:
    """Do something again and again beside the block."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.wait(seconds):
            action()

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def gone(look: Callable[[], list[str]], seconds: float = 60) -> bool:
    """Whether nothing is left within `seconds`."""
    deadline = time.monotonic() + seconds
    while look():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    return True
