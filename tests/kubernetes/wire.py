"""The wire between Airflow and the API server, which the tests can cut."""

import socket
import threading
from contextlib import suppress
from typing import Self
from urllib.parse import urlsplit

CHUNK = 1 << 16


class Wire:
    """Passes bytes on to an API server, TLS and all; cuts what is open, or lets nobody through.

    Args:
        server: URL of the API server.
    """

    def __init__(self, server: str) -> None:
        parts = urlsplit(server)
        self._target = (parts.hostname or "", parts.port or 443)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._away = False
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        """What a kubeconfig names in place of the API server's own."""
        return f"https://127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Break every open connection; new ones get through."""
        with self._lock:
            found, self._open = self._open, set()
        self.cuts += bool(found)
        for each in found:
            _end(each)

    def go_away(self) -> None:
        """Let nobody through, as a stopped API server does."""
        self._away = True
        self.cut()

    def come_back(self) -> None:
        """Let everybody through again."""
        self._away = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if self._away:
                _end(near)
                continue
            try:
                far = socket.create_connection(self._target, 10)
            except OSError:
                _end(near)
                continue
            far.settimeout(None)
            with self._lock:
                self._open |= {near, far}
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(source, sink), daemon=True).start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while chunk := source.recv(CHUNK):
                sink.sendall(chunk)
        for each in (source, sink):
            _end(each)
        with self._lock:
            self._open -= {source, sink}


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    with suppress(OSError):
        connection.close()
