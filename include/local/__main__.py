"""Airflow and MLflow on this machine, to stay: `python -m include.local up|status|down [--home FOLDER]`."""

import argparse
import os
import signal
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from include.contracts.errors import EvergreenError, InfraError
from include.contracts.frozen import Frozen
from include.local.airflow import Airflow
from include.local.credentials import write_private
from include.local.mlflow_server import MlflowServer
from include.settings import Settings


class Running(Frozen):
    """What an `up` says about itself to `status` and `down`."""

    pid: int
    airflow: str
    user: str
    passwords_file: str
    mlflow: str

    def alive(self) -> bool:
        """Whether that `up` still runs."""
        try:
            command = Path(f"/proc/{self.pid}/cmdline").read_bytes()
        except OSError:
            return False
        return b"include.local" in command

    def text(self) -> str:
        """What a person wants to know."""
        return (
            f"  Airflow   {self.airflow}   user {self.user}, password in {os.path.relpath(self.passwords_file)}\n"
            f"  MLflow    {self.mlflow}"
        )


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 where it failed, or where nothing is up.
    """
    parser = argparse.ArgumentParser(prog="python -m include.local", description=__doc__)
    parser.add_argument("command", choices=("up", "status", "down"))
    parser.add_argument("--home", type=Path, default=None, help="folder of all state (default: EVERGREEN_HOME)")
    given = parser.parse_args(argv)
    home: Path = (given.home or Settings().home).resolve()
    try:
        return {"up": up, "status": status, "down": down}[given.command](home)
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return 1


def up(home: Path) -> int:
    """Start both and stay until Ctrl-C or SIGTERM; nothing is left behind."""
    if found := _running(home):
        raise InfraError("local", f"process {found.pid} is up in {home}", f"look at {found.airflow}, or end it: down")
    os.environ["EVERGREEN_HOME"] = str(home)
    home.mkdir(parents=True, exist_ok=True)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell's background jobs begin deaf to SIGINT
        signal.signal(number, _interrupt)
    where, began = Settings(), time.monotonic()
    try:
        with ExitStack() as stack:
            mlflow = MlflowServer(home, where.mlflow_uri, where.mlflow_artifacts or str(home / "mlflow"))
            airflow = Airflow(home, {"EVERGREEN_MLFLOW_UI": mlflow.url})
            stack.enter_context(airflow)
            stack.enter_context(mlflow)
            mlflow.wait_until_ready()
            running = Running(
                pid=os.getpid(),
                airflow=airflow.url,
                user=airflow.user,
                passwords_file=str(airflow.passwords_file),
                mlflow=mlflow.url,
            )
            write_private(_file(home), running.model_dump_json())
            stack.callback(_file(home).unlink, missing_ok=True)
            print(f"Evergreen is up after {time.monotonic() - began:.0f} s; Ctrl-C ends it", flush=True)
            print(running.text(), flush=True)
            while True:
                airflow.check()
                time.sleep(1)
    except KeyboardInterrupt:
        print("stopped; nothing is left behind")
    return 0


def status(home: Path) -> int:
    """Say what is up."""
    found = _running(home)
    print(found.text() if found else f"nothing is up in {home}")
    return 0 if found else 1


def down(home: Path) -> int:
    """End an `up` in another terminal."""
    found = _running(home)
    if found is None:
        print(f"nothing is up in {home}")
        return 1
    os.kill(found.pid, signal.SIGTERM)
    while found.alive():
        time.sleep(0.1)
    print("stopped; nothing is left behind")
    return 0


def _file(home: Path) -> Path:
    return home / "running.json"


def _running(home: Path) -> Running | None:
    if not _file(home).exists():
        return None
    found = Running.model_validate_json(_file(home).read_text())
    return found if found.alive() else None


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    raise SystemExit(main())
