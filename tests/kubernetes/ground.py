"""A whole Evergreen whose training runs in pods: Airflow here, S3 and MLflow where pods reach them, a cut-able wire."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
            except Exception:  # noqa: BLE001, S112 - an API server that is away is what some tests are about
                continue
            for pod in found:
                seen = core.api_client.sanitize_for_serialization(pod)
                run = (pod.metadata.labels or {}).get(RUN, "")
                self._seen.setdefault(run, {})[pod.metadata.uid] = seen


@dataclass
class Ground:
    """What the tests stand on."""

    cluster: Cluster
    wire: Wire
    airflow: Airflow
    ledger: Ledger
    watch: PodWatch
    artifacts: str
    training_set: Json
    started: dict[str, str] = field(default_factory=dict)

    def start(self, case: str, run: str, settings: Mapping[str, str] | None = None) -> str:
        """Ask for the training `pods_<case>`; the DAG's id."""
        dag = f"pods_{case}"
        as_of = self.training_set["as_of"]
        conf = {"training_set": self.training_set, "settings": dict(settings or {}), "as_of": as_of}
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
def ground(folder: Path, image: str, host: str, settings: Mapping[str, str]) -> Iterator[Ground]:
    """Start everything; nothing is left behind, in the cluster or here."""
    cluster = Cluster(namespace=f"evergreen-test-{os.getpid()}")
    host = host or cluster.host()
    os.environ["NO_PROXY"] = ",".join(filter(None, [os.environ.get("NO_PROXY"), host]))
    project = copy_with_demand(folder / "project")
    (project / "dags" / "pods_of_the_tests.py").write_text(Path(__file__).with_name("training_dags.py").read_text())
    home = project / "home"
    with SeaweedFS(folder / "s3", host) as s3:
        s3.create_bucket(BUCKET)
        os.environ.update(s3.environment())
        places = {"EVERGREEN_ARTIFACTS": f"s3://{BUCKET}/artifacts", "EVERGREEN_MLFLOW_ARTIFACTS": f"s3://{BUCKET}/ml"}
        store = f"sqlite:///{folder / 'mlflow.db'}"
        mlflow = MlflowServer(folder, store, places["EVERGREEN_MLFLOW_ARTIFACTS"], s3.environment(), host)
        with mlflow, Wire(cluster.server) as wire:
            mlflow.wait_until_ready()
            cluster.prepare(s3.environment())
            try:
                env = {
                    **s3.environment(),
                    **places,
                    "EVERGREEN_MLFLOW_URI": mlflow.url,
                    "EVERGREEN_TRAINER": "kubernetes",
                    "EVERGREEN_TRAINING_IMAGE": image,
                    "EVERGREEN_TRAINING_SECRET": SECRET,
                    "EVERGREEN_KUBERNETES_NAMESPACE": cluster.namespace,
                    "KUBECONFIG": str(cluster.write_kubeconfig(folder / "kubeconfig.yaml", wire.url)),
                    **settings,
                }
                with Airflow(home, env, project=project) as airflow, PodWatch(cluster) as watch:
                    ledger = Ledger.at(f"sqlite:///{home / 'ledger.db'}")
                    given = training_set(folder)
                    yield Ground(cluster, wire, airflow, ledger, watch, places["EVERGREEN_ARTIFACTS"], given)
            finally:
                cluster.remove()


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
