"""A pod whose container is a process of this machine, with the status that a kubelet would report."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Json = dict[str, Any]
SCRATCH = "/tmp"  # noqa: S108
MESSAGE_LINES, MESSAGE_BYTES = 80, 2048


def now() -> str:
    """The time as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class NoKeyError(Exception):
    """A Secret that the pod needs is not there."""


class PodProcess:
    """One pod.

    Args:
        document: The pod as it was posted, with its metadata completed.
        folder: Stands for the writable part of its file system.
        project: Folder that `python -m include...` finds; it stands for the image.
        secrets: Values by key by Secret.
        on_gone: Called when the pod is to leave the API.

    Attributes:
        lost: Its node no longer answers: nothing ends it, and only force takes it out of the API.
    """

    def __init__(
        self,
        document: Json,
        folder: Path,
        project: Path,
        secrets: Mapping[str, Mapping[str, str]],
        on_gone: Callable[[], None],
    ) -> None:
        self.document = document
        self.lock = threading.Condition()
        self.lines: list[tuple[datetime, str]] = []
        self.lost = False
        self.process: subprocess.Popen[str] | None = None
        self._folder, self._project, self._secrets, self._on_gone = folder, project, secrets, on_gone
        self._ending: Json = {}
        self._deleted = False
        self.document["status"] = {"phase": "Pending", "qosClass": "Burstable", "conditions": []}

    @property
    def container(self) -> Json:
        """The one container's spec."""
        found: Json = self.document["spec"]["containers"][0]
        return found

    @property
    def status(self) -> Json:
        """The pod's status; hold the lock to change it."""
        found: Json = self.document["status"]
        return found

    @property
    def phase(self) -> str:
        """Pending, Running, Succeeded or Failed."""
        return str(self.status["phase"])

    def seen(self) -> Json:
        """A copy for an answer."""
        with self.lock:
            return deepcopy(self.document)

    def condition(self, kind: str, value: str, reason: str = "", message: str = "") -> None:
        """Set a condition."""
        kept = [each for each in self.status["conditions"] if each["type"] != kind]
        new = {"type": kind, "status": value, "lastTransitionTime": now(), "reason": reason, "message": message}
        self.status["conditions"] = [*kept, {key: text for key, text in new.items() if text}]

    def wait_for(self, reason: str, message: str = "") -> None:
        """The container waits."""
        self._container_is({"waiting": {"reason": reason, "message": message}})

    def start(self) -> None:
        """Run the container's command.

        Raises:
            NoKeyError: If a Secret is missing.
        """
        env, command = self._environment(), [*self.container["command"], *(self.container.get("args") or [])]
        if Path(command[0]).name in ("python", "python3"):
            command[0] = sys.executable
        self._folder.mkdir(parents=True, exist_ok=True)
        with self.lock:
            if self._deleted:
                return
            self.process = subprocess.Popen(
                command,
                env=env,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            self.status.update(phase="Running", startTime=self.status.get("startTime", now()))
            self._container_is({"running": {"startedAt": now()}})
            for kind in ("Ready", "ContainersReady"):
                self.condition(kind, "True")
        threading.Thread(target=self._follow, daemon=True).start()
        if seconds := self.document["spec"].get("activeDeadlineSeconds"):
            words = "Pod was active on the node longer than the specified deadline"
            timer = threading.Timer(
                seconds, self.end, [signal.SIGTERM, {"reason": "DeadlineExceeded", "message": words}]
            )
            timer.daemon = True
            timer.start()

    def end(self, sign: int = signal.SIGKILL, ending: Json | None = None, terminated: Json | None = None) -> None:
        """End the process as a cluster does.

        Args:
            sign: How.
            ending: What goes into the pod's status then.
            terminated: What goes into the container's ended state.
        """
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                return
            self._ending = {"status": ending or {}, "terminated": terminated or {}}
        self._signal(sign)

    def delete(self, grace: int, forced: bool = False) -> None:
        """Begin to delete it: SIGTERM, and SIGKILL after `grace` seconds; forced, it leaves the API at once."""
        with self.lock:
            self._deleted = True
            self.document["metadata"].setdefault("deletionTimestamp", now())
            self.document["metadata"]["deletionGracePeriodSeconds"] = grace
            alive = self.process is not None and self.process.poll() is None
        if self.lost and not forced:
            return
        if alive:
            self._signal(signal.SIGTERM)
            timer = threading.Timer(grace, self._signal, [signal.SIGKILL])
            timer.daemon = True
            timer.start()
        if forced or not alive:
            self._signal(signal.SIGKILL)
            self._on_gone()

    def _signal(self, sign: int) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, sign)
            except ProcessLookupError:
                return

    def _follow(self) -> None:
        process = self.process
        assert process is not None
        for line in process.stdout or ():
            with self.lock:
                self.lines.append((datetime.now(UTC), line.rstrip("\n")))
                self.lock.notify_all()
        code = process.wait()
        with self.lock:
            self._ended(code if code >= 0 else 128 - code)
            self.lock.notify_all()
            deleted = self._deleted
        if deleted:
            self._on_gone()

    def _ended(self, code: int) -> None:
        started = self.status["containerStatuses"][0]["state"]["running"]["startedAt"]
        said = "\n".join(text for _, text in self.lines[-MESSAGE_LINES:])[-MESSAGE_BYTES:]
        falls_back = self.container.get("terminationMessagePolicy") == "FallbackToLogsOnError"
        ended = {
            "exitCode": code,
            "reason": "Completed" if code == 0 else "Error",
            "startedAt": started,
            "finishedAt": now(),
            **({"message": said} if code and falls_back else {}),
            **self._ending.get("terminated", {}),
        }
        failed = code or self._ending.get("status")
        self.status.update(phase="Failed" if failed else "Succeeded", **self._ending.get("status", {}))
        self._container_is({"terminated": ended})
        for kind in ("Ready", "ContainersReady"):
            self.condition(kind, "False", "PodFailed" if failed else "PodCompleted")

    def _container_is(self, state: Json) -> None:
        with self.lock:
            image = self.container["image"]
            named = {"name": self.container["name"], "image": image, "imageID": image, "restartCount": 0}
            ready = {"ready": "running" in state, "started": "running" in state}
            self.status["containerStatuses"] = [{**named, **ready, "lastState": {}, "state": state}]
            self.lock.notify_all()

    def _environment(self) -> dict[str, str]:
        env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(self._project), "KUBERNETES_SERVICE_HOST": "10.96.0.1"}
        for each in self.container.get("env") or []:
            value = each.get("value", "").replace("$$(", "$(")
            if chosen := (each.get("valueFrom") or {}).get("secretKeyRef"):
                found = self._secrets.get(chosen["name"], {}).get(chosen["key"])
                if found is None and not chosen.get("optional"):
                    raise NoKeyError(f'secret "{chosen["name"]}" not found')
                if found is None:
                    continue
                value = found
            env[each["name"]] = str(self._folder) if value == SCRATCH else value
        return env
