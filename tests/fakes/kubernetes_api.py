"""A Kubernetes API server for tests: real HTTP, one imagined node, containers as processes of this machine.

It speaks what the provider and its two clients call: pods (create, get, list, patch, delete, evict), their logs, events
and their watch. Every pod is held against the restricted standard. Faults that a cluster makes by itself come from what
the pod asks for (a GPU that is not there, an unknown image, a deadline); the others are methods and attributes.
"""

import json
import secrets as random
import signal
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from include.settings import PROJECT
from tests.fakes.kubernetes_http import Handler, RefusedError
from tests.fakes.pod_process import NoKeyError, PodProcess, now
from tests.fakes.pod_security import invalid, quantity, violations

Json = dict[str, Any]


class KubernetesApi:
    """The server and its node.

    Args:
        folder: For its kubeconfig and what pods write.
        images: Images that can be pulled.
        project: What stands in every image.
        secrets: Values by key by Secret.
        capacity: What the node has.
        namespace: The one namespace; it enforces the restricted standard.

    Attributes:
        made: Every pod that was accepted, as it was posted.
        calls: Method and path of every request.
        log_seconds: A log stream is cut after so many seconds.
        expired: Watches answer 410.
        forgetful: A pod that succeeded is gone at once.
        down: Connections end without an answer.
    """

    def __init__(
        self,
        folder: Path,
        images: Iterable[str] = ("evergreen/training:test",),
        project: Path = PROJECT,
        secrets: Mapping[str, Mapping[str, str]] | None = None,
        capacity: Mapping[str, str] | None = None,
        namespace: str = "evergreen",
    ) -> None:
        self.folder, self.images, self.project = folder, set(images), project
        self.secrets = secrets or {}
        self.capacity = {"cpu": "16", "memory": "64Gi", "nvidia.com/gpu": "1", **(capacity or {})}
        self.namespace = namespace
        self.token = random.token_hex(16)
        self.pods: dict[str, PodProcess] = {}
        self.events: list[Json] = []
        self.made: list[Json] = []
        self.calls: list[str] = []
        self.log_seconds: float | None = None
        self.expired = self.forgetful = self.down = False
        self._lock = threading.RLock()
        self._version = 1
        self._server: ThreadingHTTPServer | None = None

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.api = self  # type: ignore[attr-defined]
        threading.Thread(target=self._server.serve_forever, args=(0.1,), daemon=True).start()
        self.folder.mkdir(parents=True, exist_ok=True)
        self.kubeconfig.write_text(json.dumps(self._configuration()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for pod in list(self.pods.values()):
            pod.delete(0, forced=True)
        if self._server:
            self._server.shutdown()
            self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def kubeconfig(self) -> Path:
        """How clients find it."""
        return self.folder / "kubeconfig.json"

    def pod(self, name: str) -> PodProcess:
        """A pod by name.

        Raises:
            RefusedError: 404 where there is none.
        """
        try:
            return self.pods[name]
        except KeyError:
            raise RefusedError(404, "NotFound", f'pods "{name}" not found') from None

    def create(self, namespace: str, document: Json) -> Json:
        """Admit a pod and put it on the node.

        Raises:
            RefusedError: As the API server would.
        """
        if namespace != self.namespace:
            raise RefusedError(404, "NotFound", f'namespaces "{namespace}" not found')
        name = document["metadata"]["name"]
        if broken := invalid(document):
            raise RefusedError(422, "Invalid", f'Pod "{name}" is invalid: {", ".join(broken)}')
        if broken := violations(document["spec"]):
            rules = ", ".join(broken)
            raise RefusedError(
                403, "Forbidden", f'pods "{name}" is forbidden: violates PodSecurity "restricted:latest": {rules}'
            )
        with self._lock:
            if name in self.pods:
                raise RefusedError(409, "AlreadyExists", f'pods "{name}" already exists')
            self.made.append(json.loads(json.dumps(document)))
            known = {"uid": str(uuid.uuid4()), "creationTimestamp": now(), "resourceVersion": self.version()}
            document["metadata"].update(namespace=namespace, **known)
            pod = PodProcess(
                document, self.folder / name, self.project, self.secrets, lambda: self.pods.pop(name, None)
            )
            self.pods[name] = pod
        threading.Thread(target=self._run, args=(name, pod), daemon=True).start()
        return pod.seen()

    def version(self) -> str:
        """The next resource version."""
        with self._lock:
            self._version += 1
            return str(self._version)

    def tell(self, name: str, reason: str, message: str, kind: str = "Normal") -> None:
        """Make an event of a pod."""
        metadata = {"name": f"{name}.{uuid.uuid4().hex[:8]}", "namespace": self.namespace, "uid": str(uuid.uuid4())}
        involved = {"kind": "Pod", "name": name, "namespace": self.namespace}
        event = {
            "metadata": {**metadata, "resourceVersion": self.version(), "creationTimestamp": now()},
            "involvedObject": involved,
            "reason": reason,
            "message": message,
            "type": kind,
            "firstTimestamp": now(),
            "lastTimestamp": now(),
            "count": 1,
        }
        self.events.append(event)

    def evict(self, name: str) -> None:
        """As the eviction API does, such as for a drained node: marked, then deleted."""
        self._disrupt(name, "EvictionByEvictionAPI", "Eviction API: evicting")

    def preempt(self, name: str) -> None:
        """As the scheduler does for a pod of higher priority: marked, then deleted."""
        words = "default-scheduler: preempting to accommodate a higher priority pod"
        self._disrupt(name, "PreemptionByScheduler", words)
        self.tell(name, "Preempted", "Preempted by a pod on node node1")

    def evict_by_kubelet(self, name: str, message: str = "The node was low on resource: memory.") -> None:
        """As a kubelet does whose node runs out of something: failed, and left there."""
        pod = self.pod(name)
        with pod.lock:
            pod.condition("DisruptionTarget", "True", "TerminationByKubelet", message)
        pod.end(signal.SIGKILL, {"reason": "Evicted", "message": message})

    def out_of_memory(self, name: str) -> None:
        """As the kernel does with a container that reaches its limit."""
        self.pod(name).end(signal.SIGKILL, None, {"reason": "OOMKilled", "exitCode": 137})

    def lose_node(self, name: str) -> None:
        """As it looks where a node no longer answers: the pod is to be deleted and never is."""
        pod = self.pod(name)
        with pod.lock:
            pod.condition(
                "DisruptionTarget", "True", "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"
            )
            pod.document["metadata"]["deletionTimestamp"] = now()
            pod.lost = True

    def wait_running(self, seconds: float = 60.0) -> str:
        """The name of a pod that has said something, as soon as there is one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for name, pod in list(self.pods.items()):
                if pod.phase == "Running" and pod.process is not None:
                    return name
            time.sleep(0.02)
        raise AssertionError(f"no pod ran within {seconds:.0f} s: {[pod.seen() for pod in self.pods.values()]}")

    def _disrupt(self, name: str, reason: str, message: str) -> None:
        pod = self.pod(name)
        with pod.lock:
            pod.condition("DisruptionTarget", "True", reason, message)
        pod.delete(pod.document["spec"].get("terminationGracePeriodSeconds", 30))

    def _run(self, name: str, pod: PodProcess) -> None:
        if lacking := self._lacking(pod):
            nodes = ", ".join(f"1 Insufficient {each}" for each in lacking)
            words = (
                f"0/1 nodes are available: {nodes}. preemption: 0/1 nodes are available: 1 No preemption victims found."
            )
            with pod.lock:
                pod.condition("PodScheduled", "False", "Unschedulable", words)
            self.tell(name, "FailedScheduling", words, "Warning")
            return
        with pod.lock:
            pod.condition("PodScheduled", "True")
            pod.document["spec"]["nodeName"] = "node1"
            pod.status["startTime"] = now()
        self.tell(name, "Scheduled", f"Successfully assigned {self.namespace}/{name} to node1")
        pod.wait_for("ContainerCreating")
        image = pod.container["image"]
        if image not in self.images:
            words = (
                f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {image}: not found'
            )
            pod.wait_for("ErrImagePull", words)
            self.tell(name, "Failed", f'Failed to pull image "{image}": {words}', "Warning")
            return
        try:
            pod.start()
        except NoKeyError as error:
            pod.wait_for("CreateContainerConfigError", str(error))
            return
        except OSError as error:
            with pod.lock:
                pod.status.update(phase="Failed")
                ended = {"exitCode": 128, "reason": "StartError", "message": str(error), "finishedAt": now()}
                pod._container_is({"terminated": ended})
            return
        self.tell(name, "Started", "Started container base")

    def _lacking(self, pod: PodProcess) -> list[str]:
        wanted = (pod.container.get("resources") or {}).get("requests") or {}
        return [name for name, value in wanted.items() if quantity(value) > quantity(self.capacity.get(name, "0"))]

    def _configuration(self) -> Json:
        context = {"cluster": "fake", "user": "tests", "namespace": self.namespace}
        return {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": self.url}}],
            "users": [{"name": "tests", "user": {"token": self.token}}],
            "contexts": [{"name": "fake", "context": context}],
            "current-context": "fake",
        }
