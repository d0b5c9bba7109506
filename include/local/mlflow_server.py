"""MLflow's pages on this machine."""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import requests

from include.contracts.errors import InfraError
from include.local.process import LOOPBACK, Process, free_ports
from include.settings import PROJECT


class MlflowServer:
    """`mlflow server` on 127.0.0.1 unless told otherwise, on the store that the settings name.

    Args:
        home: Folder for its log.
        uri: Backend store, such as `sqlite:////somewhere/mlflow.db`.
        artifacts: Where artifacts are; the server shows them from there.
        env: Further variables, such as the keys of an S3 server.
        host: Address of this machine that it listens on; it asks nobody who they are.
    """

    def __init__(
        self, home: Path, uri: str, artifacts: str, env: Mapping[str, str] | None = None, host: str = LOOPBACK
    ) -> None:
        self.host = host
        self.log = home / "mlflow-server.log"
        self.uri, self.artifacts = uri, artifacts
        self.port = free_ports(1, host)[0]
        self._env = {**os.environ, **(env or {})}
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """Of the pages."""
        return f"http://{self.host}:{self.port}"

    def start(self) -> Self:
        """Begin to start it; `wait_until_ready` waits for its first answer."""
        options = ["--host", self.host, "--port", str(self.port), "--workers", "1", "--serve-artifacts"]
        if self.host != LOOPBACK:
            options += ["--allowed-hosts", f"{self.host}:{self.port}"]  # a name that is not private is refused else
        stores = ["--backend-store-uri", self.uri, "--artifacts-destination", self.artifacts]
        command = [sys.executable, "-m", "mlflow", "server", *options, *stores]
        env = {name: value for name, value in self._env.items() if name != "PYTHONDONTWRITEBYTECODE"}
        quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        self._process = Process("mlflow", command, self.log, {**env, **quiet}, PROJECT)
        return self

    def wait_until_ready(self, deadline: float = 120.0) -> None:
        """Wait for the first answer.

        Raises:
            InfraError: If it ends, or does not answer within `deadline` seconds.
        """
        until = time.monotonic() + deadline
        while not self._answers():
            process = self._process
            if process is None or process.code is not None or time.monotonic() > until:
                tail = process.tail() if process else "it was not started"
                raise InfraError("mlflow server", f"it does not answer at {self.url}\n{tail}", f"read {self.log}")
            time.sleep(0.25)

    def stop(self) -> None:
        """Stop it with its workers."""
        if self._process:
            self._process.stop()
            self._process = None

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/health", timeout=5, proxies={"http": ""}).ok
        except requests.RequestException:
            return False

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
