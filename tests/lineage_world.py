"""What tests of lineage share: a batch of one file, and an OpenLineage API of their own."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from include.contracts.data import LandedBatch, LandedFile

Json = dict[str, Any]
AS_OF = "2013-02-03T00:00:00+00:00"
SHA = "a" * 64


def snapshot(batch: str) -> Json:
    """What a commit of the batch returns."""
    table = {"name": "raw/trips", "uri": "s3://lake/toy/raw/trips", "version": 4, "rows": 12, "digest": "d1"}
    return {"batch": batch, "starts": AS_OF, "ends": AS_OF, "tables": [table], "digest": "d2"}


def landed(batch: str) -> Json:
    """What a landing of the batch returns: one file."""
    moment = datetime.fromisoformat(AS_OF)
    file = LandedFile(name="trips", uri=f"s3://drop/toy/{batch}/trips.parquet", digest=SHA, size=99)
    return LandedBatch(batch=batch, starts=moment, ends=moment, files=(file,), digest="d1").model_dump(mode="json")


class Server(ThreadingHTTPServer):
    """An OpenLineage API that keeps what it gets, and answers `status`."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.got: list[tuple[str, str, Json]] = []


class Handler(BaseHTTPRequestHandler):
    """Takes events."""

    server: Server

    def do_POST(self) -> None:
        """Keep path, key and event."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.got.append((self.path, self.headers.get("Authorization", ""), body))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextmanager
def api(status: int = 201) -> Iterator[Server]:
    with Server(status) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
