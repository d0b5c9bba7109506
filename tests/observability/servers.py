"""Real servers on this machine, with the configuration of the stack: only addresses and waiting times are others."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from include.local.process import LOOPBACK, Process, free_ports, stop_all
from tests.observability.queries import DEPLOY

HERE = {"metrics:9464": "metrics", "statsd-exporter:9102": "statsd", "alertmanager:9093": "alertmanager"}
APT = "apt-get install prometheus prometheus-alertmanager"
SECONDS = 30.0


@dataclass(frozen=True)
class Watched:
    """A running set of servers.

    Attributes:
        ports: By server: `metrics`, `prometheus`, `alertmanager`; `statsd` is where its metrics are to be served.
    """

    ports: dict[str, int]

    def url(self, server: str) -> str:
        """Address of one."""
        return f"http://{LOOPBACK}:{self.ports[server]}"


def program(*names: str) -> str:
    """Path of the first that is installed; without any the test is skipped, saying how to get it."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip(f"{names[0]} is not here: {APT}")
    return found


def until(condition: Callable[[], Any], seconds: float = SECONDS) -> Any:
    """What `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(0.1)
    return found


@contextmanager
def watched(folder: Path, environment: dict[str, str]) -> Iterator[Watched]:
    """The metrics service, Prometheus and Alertmanager.

    Args:
        folder: Where they keep what they write.
        environment: Variables of the metrics service beside ours.
    """
    prometheus, alertmanager = program("prometheus"), program("prometheus-alertmanager", "alertmanager")
    names = ("metrics", "statsd", "prometheus", "alertmanager")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    _configure(folder, ports)
    commands = {
        "metrics": [sys.executable, "-m", "include.metrics", "serve", "--port", str(ports["metrics"])],
        "prometheus": [
            prometheus,
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/prometheus",
            f"--web.listen-address={LOOPBACK}:{ports['prometheus']}",
        ],
        "alertmanager": [
            alertmanager,
            f"--config.file={folder}/alertmanager.yml",
            f"--storage.path={folder}/alertmanager",
            f"--web.listen-address={LOOPBACK}:{ports['alertmanager']}",
            "--cluster.listen-address=",
        ],
    }
    whole = {**os.environ, **environment}
    running = [
        Process(name, command, folder / f"{name}.log", whole, DEPLOY.parents[1]) for name, command in commands.items()
    ]
    try:
        here = Watched(ports)
        for process, path in zip(running, ("/healthz", "/-/ready", "/-/ready"), strict=True):
            until(lambda process=process, path=path: _answers(here.url(process.name) + path, process))
        yield here
    finally:
        stop_all(running)


def _answers(url: str, process: Process) -> bool:
    assert process.code is None, process.tail()
    try:
        return requests.get(url, timeout=2).ok
    except requests.ConnectionError:
        return False


def _configure(folder: Path, ports: dict[str, int]) -> None:
    """Write the stack's own files with this machine's addresses, and without the patience of a stack."""
    addresses = {name: f"{LOOPBACK}:{ports[server]}" for name, server in HERE.items()}
    addresses["localhost:9090"] = f"{LOOPBACK}:{ports['prometheus']}"
    for name in ("prometheus/prometheus.yml", "prometheus/alerts.yml", "alertmanager/alertmanager.yml"):
        text = (DEPLOY / name).read_text()
        for address, here in addresses.items():
            text = text.replace(address, here)
        config = yaml.safe_load(text)
        config.get("global", {}).update(scrape_interval="1s", evaluation_interval="1s")
        for group in config.get("groups", []):
            for rule in group["rules"]:
                rule.pop("for", None)
        config.get("route", {}).update(group_wait="1s", group_interval="1s")
        (folder / Path(name).name).write_text(yaml.safe_dump(config))
