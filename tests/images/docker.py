"""Docker for tests: the daemon that runs here, or Debian's own started for the tests and ended after them."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from include.local.process import Process

ROOT = Path(__file__).parents[2]
START = "EVERGREEN_START_DOCKER"
STATE = Path(os.environ.get("EVERGREEN_DOCKER_STATE", Path(tempfile.gettempdir()) / "evergreen-docker"))
"""Images of a daemon that we start are kept here, so that the next run finds its layers."""
SLIM = [f"--dpkgopt=path-exclude=/usr/share/{what}/*" for what in ("doc", "man", "locale")]
DEBIAN = {(3, 11): "bookworm", (3, 13): "trixie"}
"""Debian's release by its Python."""


class NotHereError(Exception):
    """Docker does not run here; the text says why, and what to do."""


@dataclass(frozen=True)
class Docker:
    """A Docker daemon.

    Attributes:
        env: Environment in which the `docker` command finds it.
    """

    env: Mapping[str, str]

    def run(
        self, *arguments: str, stdin: bytes | None = None, seconds: float = 900
    ) -> subprocess.CompletedProcess[str]:
        """A `docker` command; its output as text."""
        done = subprocess.run(
            ["docker", *arguments],
            cwd=ROOT,
            env=self.env,
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())

    def has(self, image: str) -> bool:
        """Whether `image` is here."""
        return self.run("image", "inspect", image).returncode == 0


@contextmanager
def docker(bridges: bool = False) -> Iterator[Docker]:
    """The daemon that answers, or one of our own.

    Args:
        bridges: Whether containers need networks of their own; without, one of ours touches no network of others.

    Raises:
        NotHereError: If none answers and none can be started.
    """
    if sys.platform != "linux":
        raise NotHereError("the container test needs the host network of Linux")
    if not shutil.which("docker"):
        raise NotHereError("no docker command here; Debian has it in docker.io")
    found = Docker(dict(os.environ))
    if found.run("version", seconds=30).returncode == 0:
        yield found
        return
    if os.environ.get(START) != "1":
        raise NotHereError("no Docker daemon answers; `make test-images` starts one from Debian's docker.io")
    if not shutil.which("dockerd") or os.geteuid() != 0:
        raise NotHereError("no Docker daemon answers, and none can be started: that takes dockerd and root")
    with _daemon(bridges) as started:
        yield started


@contextmanager
def _daemon(bridges: bool) -> Iterator[Docker]:
    STATE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dockerd-") as name:
        socket = f"unix://{name}/docker.sock"
        command = ["dockerd", "--data-root", str(STATE), "--exec-root", f"{name}/exec", "--pidfile", f"{name}/pid"]
        network = [] if bridges else ["--bridge=none", "--iptables=false", "--ip6tables=false"]
        path = f"/usr/sbin:/sbin:{os.environ['PATH']}"
        process = Process(
            "dockerd",
            [*command, *network, "-H", socket],
            Path(name) / "dockerd.log",
            {**os.environ, "PATH": path},
            ROOT,
            20.0,
        )
        found = Docker({**os.environ, "DOCKER_HOST": socket})
        try:
            _wait(process, found)
            yield found
        finally:
            process.stop()
            left = f"{name}/exec/netns/default"  # the mount that a daemon leaves for the host's network
            subprocess.run(["umount", "--lazy", left], capture_output=True, check=False)


def _wait(process: Process, found: Docker) -> None:
    until = time.monotonic() + 60
    while found.run("version", seconds=30).returncode:
        if process.code is not None or time.monotonic() > until:
            raise NotHereError(f"dockerd does not start here:\n{process.tail(5)}")
        time.sleep(0.3)


def base(found: Docker) -> str:
    """The base image for the Python that runs us; made from Debian's packages where no registry can be reached.

    Raises:
        NotHereError: If it can be had neither way.
    """
    version = sys.version_info[:2]
    name = f"python:{version[0]}.{version[1]}-slim-bookworm"
    if found.has(name) or found.run("pull", "--quiet", name, seconds=120).returncode == 0:
        return name
    if not shutil.which("mmdebstrap") or version not in DEBIAN:
        raise NotHereError(f"{name} cannot be pulled, nor made: that takes mmdebstrap and Python 3.11 or 3.13")
    made = _debian(DEBIAN[version])
    if found.run("import", "-", name, stdin=made).returncode:
        raise NotHereError(f"{name} cannot be imported")
    return name


def _debian(release: str) -> bytes:
    packages = "--include=ca-certificates,python3-venv"
    command: Sequence[str] = ["mmdebstrap", "--quiet", "--variant=minbase", packages, *SLIM, release, "-"]
    done = subprocess.run(command, capture_output=True, timeout=600, check=False)
    if done.returncode:
        raise NotHereError(f"mmdebstrap: {done.stderr.decode().strip().splitlines()[-1]}")
    return done.stdout


def wanted_for_a_build() -> list[str]:
    """What the Makefile's image targets must be told here: who needs a CA or an index needs it in a build too."""
    ca = os.environ.get("CA") or os.environ.get("SSL_CERT_FILE")
    index = os.environ.get("INDEX_URL")
    return [*([f"CA={ca}"] if ca else []), *([f"INDEX_URL={index}"] if index else [])]
