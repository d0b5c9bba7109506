"""A copy of the project as a stranger has it after `git clone`, to add use cases to."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., "subprocess.CompletedProcess[str]"]
PROJECT = Path(__file__).resolve().parents[2]


def copy_of_project(target: Path) -> Path:
    """Copy what git would hand out (tracked and new files, nothing ignored) to `target`."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", "include", "feature_repo", "docs", "pyproject.toml"],
        cwd=PROJECT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    return target


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A fresh copy of the project."""
    return copy_of_project(tmp_path / "project")


@pytest.fixture
def use_cases(project: Path) -> Command:
    """Runs `python -m include.use_cases ...` in the copy."""

    def call(*arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = {**os.environ, "COLUMNS": "120", "PYTHONPATH": "", "EVERGREEN_HOME": str(project / ".evergreen")}
        return subprocess.run(
            [sys.executable, "-m", "include.use_cases", *arguments],
            cwd=project,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )

    return call
