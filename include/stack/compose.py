"""The running stack, spoken to through Compose. Standard library only: a team's machine needs Docker and no set-up."""

import hashlib
import shlex
import subprocess
from pathlib import Path

DATABASES = {"airflow": "airflow", "mlflow": "mlflow", "mlflow_auth": "mlflow", "feast": "feast", "ledger": "ledger"}
"""Owner by database."""
WRITERS = (
    "airflow-apiserver",
    "airflow-scheduler",
    "airflow-dag-processor",
    "airflow-triggerer",
    "airflow-worker",
    "metrics",
    "mlflow",
)
"""Services that write to databases or objects, or read them all the time."""


class StackError(Exception):
    """A command of Compose that failed, and what it said."""


class Stack:
    """One project of Compose.

    Args:
        command: The program with its options, such as `docker compose`.
    """

    def __init__(self, command: str) -> None:
        self._command = shlex.split(command)

    def run(self, *arguments: str) -> None:
        """Run a verb.

        Raises:
            StackError: If it failed.
        """
        done = subprocess.run([*self._command, *arguments], capture_output=True, text=True, check=False)
        _checked(arguments, done.returncode, done.stderr)

    def read(self, target: Path, *arguments: str) -> str:
        """Run a verb and keep what it writes, whole or not at all.

        Returns:
            SHA-256 of the file.

        Raises:
            StackError: If it failed.
        """
        draft = target.with_name(target.name + ".draft")
        with draft.open("wb") as output:
            done = subprocess.run([*self._command, *arguments], stdout=output, stderr=subprocess.PIPE, check=False)
        _checked(arguments, done.returncode, done.stderr.decode(errors="replace"))
        draft.replace(target)
        return digest(target)

    def write(self, source: Path, *arguments: str) -> None:
        """Run a verb that reads `source`.

        Raises:
            StackError: If it failed.
        """
        with source.open("rb") as content:
            done = subprocess.run([*self._command, *arguments], stdin=content, capture_output=True, check=False)
        _checked(arguments, done.returncode, done.stderr.decode(errors="replace"))


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _checked(arguments: tuple[str, ...], code: int, said: str) -> None:
    if code:
        raise StackError(f"compose {' '.join(arguments)[:200]}: exit code {code}\n{said.strip()[-2000:]}")
