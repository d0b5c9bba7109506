"""Live through flights of 2013 in minutes: months arrive by REST, Airflow closes the loop, the demo looks on."""

import argparse
import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from include.contracts.errors import EvergreenError, InfraError
from include.contracts.use_case import UseCase
from include.demo.memory import MemoryWatch
from include.demo.month import Lived, Month
from include.demo.places import places
from include.demo.screen import Screen
from include.ledger import Ledger
from include.local.airflow import Airflow
from include.settings import PROJECT, Settings
from include.use_cases import catalogue

FOLDER = PROJECT / "demo"
YEAR = 2013


def main(argv: list[str] | None = None) -> int:
    """Run the demo.

    Returns:
        0 where the loop closed, 1 where it did not or something failed, 130 after Ctrl-C.
    """
    given = _arguments(argv)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _live(given)
    except KeyboardInterrupt:
        print("\ninterrupted; everything that was started is stopped", file=sys.stderr)
        return 130
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return 1


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m include.demo", description=__doc__)
    parser.add_argument("--months", type=int, default=6, choices=range(3, 13), metavar="3..12", help="months to live")
    parser.add_argument("--s3", action="store_true", help="keep every file on an S3 server that the demo starts")
    parser.add_argument("--trainer", choices=("process", "kubernetes"), default="process", help="where training runs")
    parser.add_argument("--image", default="", help="training image of the pods (default: EVERGREEN_TRAINING_IMAGE)")
    parser.add_argument("--host", default="", help="address of this machine that pods reach (default: a guess)")
    parser.add_argument("--keep", action="store_true", help="leave Airflow up at the end, until Ctrl-C")
    parser.add_argument("--home", type=Path, default=FOLDER, help="folder of state and results (default: demo)")
    return parser.parse_args(argv)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _live(given: argparse.Namespace) -> int:
    home: Path = given.home.resolve()
    _only_one(home)
    state = home / "state"
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    use_case = catalogue().use_cases["flights"]
    with ExitStack() as stack:
        (home / "pid").write_text(str(os.getpid()))
        stack.callback((home / "pid").unlink, missing_ok=True)
        screen = stack.enter_context(Screen(given.months))
        memory = stack.enter_context(MemoryWatch())
        screen.console.print(
            f"[bold]Evergreen demo[/bold]: flights of {YEAR}, {given.months} months, on this machine "
            f"({os.cpu_count()} cores, no service needed)"
        )
        started = time.monotonic()
        env = places(state, given, stack, screen)
        airflow = _airflow(state, env, stack, screen)
        lived = _months(use_case, given.months, airflow, screen)
        screen.progress.stop()
        return _finish(use_case, lived, home, airflow, memory, screen, time.monotonic() - started, keep=given.keep)


def _only_one(home: Path) -> None:
    pid = home / "pid"
    if pid.exists() and Path(f"/proc/{pid.read_text()}").exists():
        raise InfraError("demo", f"a demo runs in {home} (process {pid.read_text()})", "end it with Ctrl-C, or wait")


def _airflow(state: Path, env: dict[str, str], stack: ExitStack, screen: Screen) -> Airflow:
    screen.now("starting Airflow")
    began = time.monotonic()
    airflow = Airflow(state, env)
    stack.callback(airflow.stop)
    airflow.start()
    screen.line(
        "Airflow",
        f"api-server, scheduler, dag-processor, triggerer up in {time.monotonic() - began:.0f} s   {airflow.url}   "
        f"(user {airflow.user}, password in {os.path.relpath(airflow.passwords_file)})",
    )
    return airflow


class _Watched:
    """Airflow's REST API as the demo uses it; a component that ended is an error at once."""

    def __init__(self, airflow: Airflow) -> None:
        self._airflow = airflow

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Start a run, as an upstream job does."""
        return self._airflow.api.trigger(dag_id, run_id, conf)

    def failed_runs(self) -> list[str]:
        """Every failed run so far."""
        self._airflow.check()
        return [f"{run['dag_id']}/{run['dag_run_id']}" for run in self._airflow.api.runs(state="failed")]


def _months(use_case: UseCase, count: int, airflow: Airflow, screen: Screen) -> list[Lived]:
    from include.use_cases.flights.upstream import write_month

    ledger, landing = Ledger.at(Settings().ledger_url), Settings().landing
    lived = []
    for number in range(1, count + 1):
        key = f"{YEAR}-{number:02d}"
        write_month(key, landing)
        lived.append(Month(use_case, key, _Watched(airflow), ledger, screen).live())
    return lived


def _finish(
    use_case: UseCase,
    lived: list[Lived],
    home: Path,
    airflow: Airflow,
    memory: MemoryWatch,
    screen: Screen,
    seconds: float,
    *,
    keep: bool,
) -> int:
    from include.demo.summary import Report, conclude, draw, show, write_json
    from include.lake import Lake

    where = Settings()
    report = Report(use_case, Ledger.at(where.ledger_url), Lake(where.lake, use_case.name))
    rows = [report.row(month) for month in lived]
    conclusion = conclude(rows)
    used = {"seconds": round(seconds, 1), "peak_memory_gib": round(memory.peak_bytes / (1 << 30), 2)}
    write_json(rows, conclusion, used, home / "summary.json")
    draw(rows, home / "auc.png")
    screen.console.print()
    show(rows, screen.console)
    closed = bool(conclusion["closed"])
    shown = [os.path.relpath(home / name) for name in ("auc.png", "summary.json")]
    screen.console.print(
        f"\n{'Closed the loop' if closed else 'The loop did NOT close:'} {conclusion['closed']} time(s) "
        f"({conclusion['retrains_by_watch']} retrains by the watch DAG, {conclusion['promotions']} promotions). "
        f"{_gained(conclusion)}\nPicture: {shown[0]}  Details: {shown[1]}  "
        f"({seconds:.0f} s, peak memory {used['peak_memory_gib']} GiB)"
    )
    if keep:
        screen.console.print(f"Airflow stays up at {airflow.url}; Ctrl-C ends it")
        signal.pause()
    else:
        on_s3 = where.lake.startswith("s3://")  # its server ends with the demo
        up = f"make up HOME_DIR={os.path.relpath(home / 'state')} starts Airflow and MLflow on what was made"
        screen.console.print(f"Look around: {'make demo S3=1 KEEP=1 leaves it up' if on_s3 else up}")
    return 0 if closed else 1


def _gained(conclusion: Mapping[str, Any]) -> str:
    champion, first = conclusion["champion_mean_auc"], conclusion["first_model_mean_auc"]
    if champion is None:
        return "No month was scored after the first retrain: a longer MONTHS= shows what it was worth."
    return f"Mean AUC after the first retrain {champion}, first model kept {first}."


if __name__ == "__main__":
    raise SystemExit(main())
