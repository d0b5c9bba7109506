"""The stack's images: pulled where a registry is reachable, else stand-ins of the same names; ours are built."""

import io
import os
import shutil
import subprocess
import sys
import tarfile
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.images.docker import ROOT, SLIM, Docker, NotHereError, base, wanted_for_a_build

HERE = Path(__file__).parent / "images"
STANDIN_BASE = "evergreen-standin-base"
PACKAGES = "ca-certificates,postgresql-15,redis-server,prometheus,prometheus-alertmanager,busybox"
STATSD = "github.com/prometheus/statsd_exporter@v0.28.0"
STAGES = {
    "postgres": "postgres",
    "valkey/valkey": "valkey",
    "chrislusf/seaweedfs": "seaweedfs",
    "prom/prometheus": "prometheus",
    "prom/alertmanager": "alertmanager",
    "prom/statsd-exporter": "statsd-exporter",
}
"""Stage of the stand-ins' Dockerfile by the image's name."""
OURS = "evergreen:test"


@dataclass
class Images:
    """What was found.

    Attributes:
        pulled: Names of official images.
        standins: Names of stand-ins.
        missing: Names that cannot be had: their services are not started.
    """

    pulled: list[str]
    standins: list[str]
    missing: list[str]


def images(found: Docker) -> Images:
    """Every image that docker-compose.yaml names, and ours.

    Raises:
        NotHereError: If ours cannot be built.
    """
    declared = yaml.safe_load((ROOT / "docker-compose.yaml").read_text())["services"].values()
    wanted = sorted({str(service["image"]) for service in declared} - {"${EVERGREEN_IMAGE:-evergreen:dev}"})
    got = Images([], [], [])
    reachable = True
    for name in wanted:
        if (found.has(name) and not _is_standin(found, name)) or (reachable and _pulled(found, name)):
            got.pulled.append(name)
        elif (stage := STAGES.get(name.split(":")[0])) is not None:
            reachable = False
            _standin(found, stage, name)
            got.standins.append(name)
        else:
            got.missing.append(name)
    build_ours(found)
    return got


def build_ours(found: Docker) -> None:
    """Build our image by the target that people use."""
    given = [f"STACK_IMAGE={OURS}", f"BASE={base(found)}"]
    given += wanted_for_a_build()
    env = {**found.env, "PATH": _with_buildkit(found)}
    done = subprocess.run(["make", "image", *given], cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotHereError(f"our image cannot be built:\n{done.stderr[-3000:]}")


def _with_buildkit(found: Docker) -> str:
    """A PATH whose `docker` builds with BuildKit: newer ones need the buildx plugin for it, Debian's 20.10 does not."""
    path = found.env["PATH"]
    debian = Path("/usr/bin/docker")
    return f"/usr/bin:{path}" if found.run("buildx", "version").returncode and debian.exists() else path


def _pulled(found: Docker, name: str) -> bool:
    return found.run("pull", "--quiet", name, seconds=300).returncode == 0


def _is_standin(found: Docker, name: str) -> bool:
    label = '{{index .Config.Labels "evergreen.standin"}}'
    return found.run("image", "inspect", "--format", label, name).stdout.strip() == "yes"


def _standin(found: Docker, stage: str, name: str) -> None:
    if not found.has(STANDIN_BASE):
        _base(found)
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w", format=tarfile.GNU_FORMAT) as tar:
        tar.add(HERE, ".")
        if stage == "seaweedfs":
            tar.add(Path(sys.executable).with_name("weed"), "weed")
        if stage == "statsd-exporter":
            tar.add(_statsd_exporter(), "statsd_exporter")
    arguments = ["build", "--quiet", "--target", stage, "--label", "evergreen.standin=yes", "--tag", name, "-"]
    quiet = Docker({**found.env, "PATH": _with_buildkit(found), "DOCKER_BUILDKIT": "1"})
    done = quiet.run(*arguments, stdin=context.getvalue())
    if done.returncode:
        raise NotHereError(f"the stand-in of {name}: {done.stderr[-2000:]}")


def _base(found: Docker) -> None:
    if not shutil.which("mmdebstrap"):
        raise NotHereError("no image registry is reachable, and stand-ins take mmdebstrap: apt-get install mmdebstrap")
    command = ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={PACKAGES}", *SLIM, "bookworm", "-"]
    done = subprocess.run(command, capture_output=True, timeout=900, check=False)
    if done.returncode or found.run("import", "-", STANDIN_BASE, stdin=done.stdout).returncode:
        raise NotHereError(f"mmdebstrap: {done.stderr.decode().strip()[-500:]}")


def _statsd_exporter() -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "evergreen-tests" / STATSD.split("@")[1]
    if not (folder / "statsd_exporter").exists():
        if not shutil.which("go"):
            raise NotHereError("the stand-in of statsd-exporter takes Go")
        env = {**os.environ, "GOBIN": str(folder), "CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod"}
        subprocess.run(["go", "install", STATSD], env=env, cwd="/", capture_output=True, timeout=600, check=True)
    return folder / "statsd_exporter"
