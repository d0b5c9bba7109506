"""HTTP of the fake Kubernetes API: routes, selectors, answers, streams."""

import json
import re
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from tests.fakes.kubernetes_api import KubernetesApi
    from tests.fakes.pod_process import PodProcess

Json = dict[str, Any]
PODS = re.compile(r"^/api/v1/namespaces/([^/]+)/(pods|events)(?:/([^/]+)(?:/(log|eviction|status))?)?$")


class RefusedError(Exception):
    """An answer that is an error.

    Args:
        code: HTTP status.
        reason: One word, as the API's machines read it.
        message: As people read it.
    """

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message

    @property
    def document(self) -> Json:
        """The API's Status."""
        said = {"status": "Failure", "message": self.message, "reason": self.reason, "code": self.code}
        return {"kind": "Status", "apiVersion": "v1", "metadata": {}, **said}


class CutError(Exception):
    """The connection is to end without a proper end."""


def selects(selector: str, labels: Json) -> bool:
    """Whether labels satisfy a selector: `a=b`, `a==b`, `a!=b`, `a`, `!a`."""
    return all(_holds(each.strip(), labels) for each in selector.split(",") if each.strip())


def _holds(rule: str, labels: Json) -> bool:
    if rule.startswith("!"):
        return rule[1:] not in labels
    if "!=" in rule:
        key, value = rule.split("!=", 1)
        return labels.get(key) != value
    if "=" in rule:
        key, value = rule.replace("==", "=").split("=", 1)
        return bool(labels.get(key) == value)
    return rule in labels


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    @property
    def api(self) -> "KubernetesApi":
        """The server's state."""
        found: KubernetesApi = self.server.api  # type: ignore[attr-defined]
        return found

    def log_message(self, format: str, *args: Any) -> None:
        """Quietly."""

    def do_GET(self) -> None:
        """Read."""
        self._answer(self._get)

    def do_POST(self) -> None:
        """Create or evict."""
        self._answer(self._post)

    def do_PATCH(self) -> None:
        """Merge labels and annotations."""
        self._answer(self._patch)

    def do_DELETE(self) -> None:
        """Delete a pod."""
        self._answer(self._delete)

    def _answer(self, act: Callable[[], Json | None]) -> None:
        parts = urlsplit(self.path)
        # Python's clients write booleans as `True`
        self.query = {key: values[-1] for key, values in parse_qs(parts.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        self.body: Json = json.loads(self.rfile.read(length) or b"{}") if length else {}
        self.api.calls.append(f"{self.command} {parts.path}")
        try:
            if self.api.down:
                raise CutError
            if self.headers.get("Authorization") != f"Bearer {self.api.token}":
                raise RefusedError(401, "Unauthorized", "Unauthorized")
            found = PODS.match(parts.path)
            if not found:
                raise RefusedError(404, "NotFound", f"the server could not find {parts.path}")
            self.namespace, self.kind, self.name, self.part = (part or "" for part in found.groups())
            document = act()
            if document is not None:
                self._send(201 if self.command == "POST" else 200, document)
        except RefusedError as refusal:
            self._send(refusal.code, refusal.document)
        except (CutError, BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _send(self, code: int, document: Json) -> None:
        content = json.dumps(document).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _flag(self, name: str) -> bool:
        return self.query.get(name, "").lower() in ("true", "1")

    def _get(self) -> Json | None:
        if self.kind == "events":
            return self._events()
        if self.part == "log":
            return self._log(self.api.pod(self.name))
        if self.name:
            return self._read()
        found = [pod.seen() for pod in list(self.api.pods.values()) if self.namespace == self.api.namespace]
        chosen = [p for p in found if selects(self.query.get("labelSelector", ""), p["metadata"].get("labels") or {})]
        return {"kind": "PodList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": chosen}

    def _read(self) -> Json:
        pod = self.api.pod(self.name)
        if self.api.forgetful and pod.phase == "Succeeded":
            self.api.pods.pop(self.name, None)
        return {"kind": "Pod", "apiVersion": "v1", **self.api.pod(self.name).seen()}

    def _post(self) -> Json:
        if self.part == "eviction":
            self.api.evict(self.name)
            return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
        return self.api.create(self.namespace, self.body)

    def _patch(self) -> Json:
        pod = self.api.pod(self.name)
        with pod.lock:
            for key in ("labels", "annotations"):
                wanted = (self.body.get("metadata") or {}).get(key) or {}
                pod.document["metadata"].setdefault(key, {})
                pod.document["metadata"][key] = {**(pod.document["metadata"][key] or {}), **wanted}
        return pod.seen()

    def _delete(self) -> Json:
        pod = self.api.pod(self.name)
        usual = pod.document["spec"].get("terminationGracePeriodSeconds", 30)
        asked = self.query.get("gracePeriodSeconds", self.body.get("gracePeriodSeconds"))
        grace = usual if asked is None else int(asked)
        pod.delete(grace, forced=grace == 0)
        return pod.seen()

    def _events(self) -> Json | None:
        wanted = dict(each.split("=", 1) for each in self.query.get("fieldSelector", "").split(",") if each)
        name = wanted.get("involvedObject.name")
        found = [event for event in self.api.events if name in (None, event["involvedObject"]["name"])]
        if not self._flag("watch"):
            metadata = {"resourceVersion": str(len(self.api.events) or 1)}
            return {"kind": "EventList", "apiVersion": "v1", "metadata": metadata, "items": found}
        if self.api.expired:
            gone = RefusedError(410, "Expired", "too old resource version")
            self._stream([json.dumps({"type": "ERROR", "object": gone.document}) + "\n"])
            return None
        self._stream(json.dumps({"type": "ADDED", "object": event}) + "\n" for event in found)
        return None

    def _log(self, pod: "PodProcess") -> None:
        if pod.process is None:
            waiting = (
                f'container "base" in pod "{pod.document["metadata"]["name"]}" is waiting to start: ContainerCreating'
            )
            raise RefusedError(400, "BadRequest", waiting)
        self._stream(self._lines(pod))

    def _lines(self, pod: "PodProcess") -> Iterable[str]:
        since = self.query.get("sinceSeconds")
        oldest = datetime.now(UTC) - timedelta(seconds=int(since)) if since else datetime.min.replace(tzinfo=UTC)
        stamped, follow = self._flag("timestamps"), self._flag("follow")
        until = time.monotonic() + self.api.log_seconds if self.api.log_seconds else float("inf")
        sent = 0 if "tailLines" not in self.query else max(0, len(pod.lines) - int(self.query["tailLines"]))
        while True:
            with pod.lock:
                if sent >= len(pod.lines) and follow and pod.phase == "Running":
                    pod.lock.wait(0.1)
                new, over = pod.lines[sent:], pod.phase != "Running"
            sent += len(new)
            for when, text in new:
                if when >= oldest:
                    yield f"{when.isoformat().replace('+00:00', 'Z')} {text}\n" if stamped else f"{text}\n"
            if not new and (over or not follow):
                return
            if time.monotonic() > until:
                raise CutError

    def _stream(self, chunks: Iterable[str]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if self._flag("watch") else "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for chunk in chunks:
            content = chunk.encode()
            self.wfile.write(f"{len(content):x}\r\n".encode() + content + b"\r\n")
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")
