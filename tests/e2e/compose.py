"""Docker Compose for tests: the plugin that is here, or Compose 5 built with Go, or Debian's docker-compose."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.images.docker import NotHereError

VERSION = "v5.6.0"
MODULE = "github.com/docker/compose/v5"
BUILT = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "evergreen-tests" / f"docker-compose-{VERSION}"
BUILD_SECONDS = 900
TOOLS = f'//go:build tools\n\npackage tools\n\nimport _ "{MODULE}/cmd"\n'


@dataclass(frozen=True)
class Compose:
    """One project of Compose.

    Attributes:
        command: The program with its first arguments.
        folder: Where `docker-compose.yaml` is.
        project: Name.
        env: Environment: how to reach Docker.
        env_file: What the file's variables stand for.
    """

    command: tuple[str, ...]
    folder: Path
    project: str
    env: Mapping[str, str]
    env_file: Path
    files: tuple[str, ...] = field(default=("docker-compose.yaml",))

    @property
    def line(self) -> list[str]:
        """The command line before the verb."""
        files = [part for name in self.files for part in ("--file", name)]
        return [*self.command, "--project-name", self.project, "--env-file", str(self.env_file), *files]

    def run(
        self, *arguments: str, stdin: bytes | None = None, seconds: float = 900, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a verb.

        Raises:
            AssertionError: If it failed; says what it wrote.
        """
        done = subprocess.run(
            [*self.line, *arguments],
            cwd=self.folder,
            env=dict(self.env),
            input=stdin,
            capture_output=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise AssertionError(f"compose {' '.join(arguments)}: {done.returncode}\n{done.stderr.decode()[-6000:]}")
        return done

    def containers(self) -> list[dict[str, str]]:
        """`Service`, `Name`, `State`, `Health`, `ExitCode` of every container of the project."""
        text = self.run("ps", "--all", "--format", "json").stdout.decode().strip()
        return json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]


def compose_command(env: Mapping[str, str]) -> tuple[tuple[str, ...], str]:
    """The program, and what to call it in a report.

    Raises:
        NotHereError: If there is none, and none can be built.
    """
    if _answers(("docker", "compose"), env):
        return ("docker", "compose"), _version(("docker", "compose"), env)
    if not BUILT.exists() and shutil.which("go"):
        _build(BUILT)
    if BUILT.exists():
        return (str(BUILT),), _version((str(BUILT),), env) + ", built with Go"
    if _answers(("docker-compose",), env):
        return ("docker-compose",), _version(("docker-compose",), env) + ", Debian's"
    raise NotHereError("no Compose: install docker-compose-plugin, Go, or Debian's docker-compose")


def _answers(command: tuple[str, ...], env: Mapping[str, str]) -> bool:
    if not shutil.which(command[0]):
        return False
    return subprocess.run([*command, "version"], env=dict(env), capture_output=True, check=False).returncode == 0


def _version(command: tuple[str, ...], env: Mapping[str, str]) -> str:
    found = subprocess.run([*command, "version", "--short"], env=dict(env), capture_output=True, check=False)
    return f"Compose {found.stdout.decode().strip()}"


def _build(target: Path) -> None:
    """Compose's own module excludes others, which `go install` refuses: a module of ours repeats its exclusions."""
    folder = target.with_name(f"{target.name}.src")
    folder.mkdir(parents=True, exist_ok=True)
    env = {**os.environ, "GOFLAGS": "-mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    told = subprocess.run(
        ["go", "mod", "download", "-json", f"{MODULE}@{VERSION}"], env=env, cwd="/", capture_output=True, check=True
    )
    (folder / "go.mod").write_text(_module(Path(json.loads(told.stdout)["GoMod"]).read_text()))
    (folder / "tools.go").write_text(TOOLS)
    flags = f"-s -w -X {MODULE}/internal.Version={VERSION}"
    for command in (
        ["go", "get", f"{MODULE}/cmd@{VERSION}"],
        ["go", "build", "-trimpath", "-ldflags", flags, "-o", str(target), f"{MODULE}/cmd"],
    ):
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, timeout=BUILD_SECONDS, check=False
        )
        if done.returncode:
            raise NotHereError(f"{' '.join(command[:2])}: {done.stderr[-1000:]}")


def _module(theirs: str) -> str:
    kept, inside = ["module compose-for-tests", "go 1.25.0"], False
    for line in theirs.splitlines():
        starts = line.startswith(("exclude", "replace"))
        if starts or inside:
            kept.append(line)
            inside = (inside or line.endswith("(")) and line != ")"
    return "\n".join(kept) + "\n"
