"""Airflow's four components as processes of our own.

`airflow standalone` leaves its scheduler and api-server behind when it is told SIGTERM; these end with us.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import requests

from include.contracts.errors import InfraError
from include.local.api import Api
from include.local.credentials import USER, credentials, passwords_file
from include.local.environment import PRELOAD, Ports, airflow_environment
from include.local.process import Process, free_ports, stop_all
from include.settings import PROJECT

COMPONENTS = ("api-server", "execution-api", "scheduler", "dag-processor", "triggerer")
BEATING = COMPONENTS[2:]
STALE_SECONDS = 5
"""Heartbeats are a little older than the answer that reports them."""


class Airflow:
    """A whole Airflow on this machine: SQLite, LocalExecutor, free ports, generated secrets.

    Args:
        home: Folder for everything; AIRFLOW_HOME is `home/airflow`.
        settings: Further variables: `EVERGREEN_*`, and `AIRFLOW__*` ones that win over the runner's.
        parallelism: Tasks that run at the same time.
        project: Folder of `dags`, `plugins` and `include`.
    """

    def __init__(
        self, home: Path, settings: Mapping[str, str] | None = None, parallelism: int = 3, project: Path = PROJECT
    ) -> None:
        self.project = project
        self.folder = home.resolve() / "airflow"
        self.secrets = credentials(self.folder)
        self.ports = Ports(**dict(zip(("api", "execution", "worker_logs", "trigger_logs"), free_ports(4), strict=True)))
        given = {"EVERGREEN_HOME": str(home.resolve()), **(settings or {})}
        self.env = airflow_environment(project, self.folder, self.ports, self.secrets, given, parallelism)
        self.processes: dict[str, Process] = {}
        self._started = 0.0

    @property
    def url(self) -> str:
        """Of the UI and the API."""
        return f"http://127.0.0.1:{self.ports.api}"

    @property
    def user(self) -> str:
        """Who may log in."""
        return USER

    @property
    def passwords_file(self) -> Path:
        """Where the password stands."""
        return passwords_file(self.folder)

    @cached_property
    def api(self) -> Api:
        """A client of the REST API, logged in when it is first used."""
        return Api(self.url, USER, self.secrets.password)

    def start(self, deadline: float = 180.0) -> Self:
        """Start all of them and wait until they are healthy.

        Raises:
            InfraError: If one ends, or they are not healthy after `deadline` seconds; everything is stopped then.
        """
        try:
            self._migrate(deadline)
            self._started = time.time()
            for component in COMPONENTS:
                self.start_component(component)
            self.wait_until_healthy(deadline)
        except BaseException:
            self.stop()
            raise
        return self

    def start_component(self, component: str) -> None:
        """Start one of `COMPONENTS`, such as after a crash."""
        preload = {"EVERGREEN_PRELOAD": PRELOAD} if component == "scheduler" else {}
        # Two processes for the two APIs: people's requests write to the database in the server's event loop, and on
        # SQLite wait there for a task's transaction, which could not end in the same, waiting loop.
        command = {
            "api-server": ["api-server", "--apps", "core"],
            "execution-api": ["api-server", "--apps", "execution", "--port", str(self.ports.execution)],
        }.get(component, [component])
        self.processes[component] = self._process(component, command, preload)

    def wait_until_healthy(self, deadline: float = 180.0) -> None:
        """Wait until both APIs answer and the others have a fresh heartbeat.

        Raises:
            InfraError: If one ends, or they are not healthy after `deadline` seconds.
        """
        until = time.monotonic() + deadline
        while sick := self.sick():
            self.check()
            if time.monotonic() > until:
                raise self._failure(sick[0], f"not healthy after {deadline:.0f} s (nor: {', '.join(sick[1:]) or '-'})")
            time.sleep(0.25)

    def check(self) -> None:
        """See that all of them still run.

        Raises:
            InfraError: If one has ended.
        """
        for name, process in self.processes.items():
            if process.code is not None:
                raise self._failure(name, f"ended with exit code {process.code}")

    def sick(self) -> list[str]:
        """Components without a fresh heartbeat."""
        health = self._get(self.ports.api, "/api/v2/monitor/health")
        if health is None:
            return list(COMPONENTS)
        if (
            self._get(self.ports.execution, "/execution/health") is None
        ):  # builds it, 4 s that the first task would wait
            return ["execution-api"]
        return [name for name in BEATING if not self._fresh(health.get(name.replace("-", "_")) or {}, name)]

    def stop(self) -> None:
        """Stop all of them with their workers; returns when nothing is left."""
        stop_all(self.processes.values())
        self.processes.clear()

    @staticmethod
    def _get(port: int, path: str) -> dict[str, Any] | None:
        url = f"http://127.0.0.1:{port}{path}"
        try:
            found: dict[str, Any] = requests.get(url, timeout=30, proxies={"http": ""}).json()
        except requests.RequestException:
            return None
        return found

    def _fresh(self, health: Mapping[str, Any], name: str) -> bool:
        from datetime import datetime

        beat = health.get(f"latest_{name.replace('-', '_')}_heartbeat")
        healthy = health.get("status") == "healthy" and bool(beat)
        return healthy and datetime.fromisoformat(str(beat)).timestamp() > self._started - STALE_SECONDS

    def _migrate(self, deadline: float) -> None:
        marker = self.folder / "migrated.json"
        wanted = json.dumps({"airflow": version("apache-airflow-core")})
        if marker.exists() and marker.read_text() == wanted:
            return
        process = self._process("db-migrate", ["db", "migrate"])
        try:
            process.wait(deadline)
        finally:
            process.stop()
        if process.code != 0:
            raise self._failure_of(process, f"ended with exit code {process.code}")
        with closing(sqlite3.connect(self.folder / "airflow.db")) as database:
            database.execute("PRAGMA journal_mode = WAL")  # it stays with the file: readers no longer stop a writer
        marker.write_text(wanted)

    def _process(self, name: str, arguments: list[str], more: Mapping[str, str] | None = None) -> Process:
        command = [sys.executable, "-m", "airflow", *arguments]
        return Process(
            name, command, self.folder / "components" / f"{name}.log", {**(more or {}), **self.env}, self.project
        )

    def _failure(self, component: str, cause: str) -> InfraError:
        return self._failure_of(self.processes[component], cause)

    @staticmethod
    def _failure_of(process: Process, cause: str) -> InfraError:
        return InfraError(f"airflow {process.name}", f"{cause}\n{process.tail()}", f"read {process.log}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
