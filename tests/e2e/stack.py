"""The team's stack, up on this machine for a test: on ports and a project name of its own, with secrets of its own."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from include.contracts.errors import InfraError
from include.local.api import Api
from include.local.process import free_ports
from include.stack.secrets import read, use_case_names, write_secrets
from tests.e2e.compose import Compose, compose_command
from tests.e2e.images import OURS, Images, images
from tests.e2e.patience import PatientLedger, patiently
from tests.images.docker import ROOT, Docker, docker

PORTS = ("AIRFLOW_PORT", "MLFLOW_PORT", "S3_PORT", "PROMETHEUS_PORT")
UP_SECONDS = 600
ONCE = {"prepare", "airflow-init"}
"""Services that do their work and end."""


@dataclass
class Stack:
    """A running stack.

    Attributes:
        compose: Its project.
        docker: The daemon.
        values: What `.env` says.
        images: What its images are.
        services: What was started.
        report: Lines for the end.
    """

    compose: Compose
    docker: Docker
    values: dict[str, str]
    images: Images
    services: list[str]
    report: list[str] = field(default_factory=list)

    @property
    def airflow(self) -> str:
        """URL of Airflow."""
        return f"http://127.0.0.1:{self.values['AIRFLOW_PORT']}"

    @property
    def prometheus(self) -> str:
        """URL of Prometheus."""
        return f"http://127.0.0.1:{self.values['PROMETHEUS_PORT']}"

    def api(self, user: str) -> Api:
        """Airflow's API as `admin`, `viewer`, `operator`, `approver`, or an upstream job such as `flights-upstream`."""
        given = self.values.get(f"AIRFLOW_{user.upper()}_PASSWORD")
        triggers = json.loads(self.values["AIRFLOW_TRIGGER_PASSWORDS"])
        return Api(self.airflow, user, given or triggers[user.removesuffix("-upstream")])

    @cached_property
    def admin(self) -> Api:
        """Airflow's API as its admin."""
        return self.api("admin")

    def ledger(self) -> PatientLedger:
        """The ledger, whose network the host reaches and nobody else does."""
        word = self.values["LEDGER_DB_PASSWORD"]
        at = f"postgresql+psycopg2://ledger:{word}@"
        return patiently(lambda: PatientLedger.at(f"{at}{self.address('postgres')}/ledger"))

    def s3_environment(self, account: str) -> dict[str, str]:
        """What a client of the S3 server needs, as one of its accounts."""
        return {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.values['S3_PORT']}",
            "AWS_ACCESS_KEY_ID": self.values[f"S3_{account}_ACCESS_KEY"],
            "AWS_SECRET_ACCESS_KEY": self.values[f"S3_{account}_SECRET_KEY"],
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ALLOW_HTTP": "true",
        }

    def inspect(self, service: str) -> dict[str, Any]:
        """Docker's word on a service's container."""
        name = f"{self.compose.project}-{service}-1"
        found: dict[str, Any] = json.loads(self.docker.run("inspect", name).stdout)[0]
        return found

    def address(self, service: str) -> str:
        """A container's address in the data network.

        Raises:
            InfraError: If it has none now, since it is being restarted.
        """
        networks = self.inspect(service)["NetworkSettings"]["Networks"]
        found = str(networks[f"{self.compose.project}_data"]["IPAddress"])
        if not found:
            raise InfraError("stack", f"{service} has no address", "wait until it has been restarted")
        return found

    def crash(self, service: str) -> None:
        """SIGKILL the container's first process, as the kernel would; its restart is Docker's business."""
        os.kill(int(self.inspect(service)["State"]["Pid"]), signal.SIGKILL)

    def well(self, service: str) -> bool:
        """Whether a container runs and, where it has a health check, is healthy."""
        state = self.inspect(service)["State"]
        return bool(state["Running"]) and state.get("Health", {"Status": "healthy"})["Status"] == "healthy"

    def recovered(self, service: str, restarts: int, seconds: float = 240) -> float:
        """Seconds until a container has been restarted so often, and is well again."""
        began = time.monotonic()
        while self.inspect(service)["RestartCount"] < restarts or not self.well(service):
            assert time.monotonic() - began < seconds, f"{service} did not come back within {seconds:.0f} s"
            time.sleep(0.5)
        return time.monotonic() - began

    def up(self) -> float:
        """Start everything; seconds until all is healthy."""
        began = time.monotonic()
        self.compose.run("up", "--detach", "--wait", "--no-build", *self.services, seconds=UP_SECONDS)
        return time.monotonic() - began

    def down(self) -> None:
        """Stop everything and forget its volumes."""
        self.compose.run("down", "--volumes", "--timeout", "30")

    def memory(self) -> dict[str, float]:
        """MiB by service, as Docker counts them."""
        line = "{{.Name}} {{.MemUsage}}"
        names = [f"{self.compose.project}-{service}-1" for service in self.services if service not in ONCE]
        shown = self.docker.run("stats", "--no-stream", "--format", line, *names).stdout
        return {
            words[0].removeprefix(f"{self.compose.project}-").removesuffix("-1"): _mib(words[1])
            for words in (found.split() for found in shown.splitlines())
        }


@contextmanager
def running_stack(folder: Path) -> Iterator[Stack]:
    """Bring it up; whatever happens, nothing of it is left."""
    with docker(bridges=True) as daemon:
        command, version = compose_command(daemon.env)
        found = images(daemon)
        compose, values = _project(folder, command, daemon)
        stack = Stack(compose, daemon, values, found, _services(compose, found))
        stack.report.append(f"{version}; {_words(found)}")
        try:
            stack.report.append(f"up and healthy after {stack.up():.0f} s")
            yield stack
        except BaseException:
            logs = stack.compose.run("logs", "--no-color", "--tail", "300", check=False).stdout
            (folder / "stack.log").write_bytes(logs)
            print(f"\nThe containers' last words: {folder / 'stack.log'}")
            raise
        finally:
            stack.down()
            print("\n" + "\n".join(stack.report))


def _project(folder: Path, command: tuple[str, ...], daemon: Docker) -> tuple[Compose, dict[str, str]]:
    env_file = folder / ".env"
    write_secrets(env_file, use_case_names(ROOT / "include" / "use_cases"))
    chosen = {
        **dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True)),
        "EVERGREEN_IMAGE": OURS,
        "EVERGREEN_WATCH_SECONDS": "2",
        "COMPOSE_PROFILES": "observability",
    }
    with env_file.open("a") as file:
        file.writelines(f"{name}={value}\n" for name, value in chosen.items())
    compose = Compose(command, ROOT, f"evergreen-test-{os.getpid()}", daemon.env, env_file)
    return compose, read(env_file.read_text())


def _services(compose: Compose, found: Images) -> list[str]:
    """All but those whose image cannot be had."""
    declared = json.loads(compose.run("config", "--format", "json").stdout)["services"]
    return sorted(name for name, service in declared.items() if service["image"] not in found.missing)


def _words(found: Images) -> str:
    parts = {"official": found.pulled, "stand-ins": found.standins, "not to be had here, not started": found.missing}
    return "; ".join(f"{kind}: {', '.join(names)}" for kind, names in parts.items() if names)


def _mib(text: str) -> float:
    units = {"KiB": 1 / 1024, "MiB": 1.0, "GiB": 1024.0}
    unit = next(unit for unit in units if text.endswith(unit))
    return float(text.removesuffix(unit)) * units[unit]
