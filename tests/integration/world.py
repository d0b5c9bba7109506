"""A copy of the project with a second use case, made from docs/own-model.md alone, and an Airflow that runs it."""

import importlib.util
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from include.contracts.record import Kind, Record
from include.contracts.use_case import Cadence
from include.ledger import Ledger
from include.local.api import Api
from include.settings import PROJECT

ENDED = {"success", "failed"}
ROOMS = ("dags", "plugins", "include", "feature_repo", "docs", "pyproject.toml")


def copy_with_demand(target: Path) -> Path:
    """What git would hand out, and the use case `demand` as the page makes it."""
    listed = ["git", "ls-files", "-co", "--exclude-standard", "--", *ROOMS]
    for name in subprocess.run(listed, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines():
        if (PROJECT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(PROJECT / name, target / name)
    page = (target / "docs" / "own-model.md").read_text()
    command = re.search(r"^\$ python (-m include.use_cases new demand .*)$", page, re.MULTILINE)
    program = re.search(r"<!-- drop_demand.py -->\n```python\n(.*?)```", page, re.DOTALL)
    if not command or not program:
        raise AssertionError("docs/own-model.md has lost its command or its program")
    subprocess.run([sys.executable, *shlex.split(command[1])], cwd=target, check=True, capture_output=True)
    (target / "drop_demand.py").write_text(program[1])
    return target


def until(condition: Callable[[], Any], seconds: float = 90.0, every: float = 0.2) -> Any:
    """What `condition` returns, as soon as it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s"
        time.sleep(every)
    return found


@dataclass(frozen=True)
class Shops:
    """The upstream job of `demand`, and whoever watches what comes of it.

    Args:
        landing: Landing zone.
        api: Airflow's REST API.
        ledger: What the loop writes.
        weeks: The page's program, which makes a week's data.
    """

    landing: Path
    api: Api
    ledger: Ledger
    weeks: ModuleType

    @staticmethod
    def program(project: Path) -> ModuleType:
        """The page's program as a module."""
        spec = importlib.util.spec_from_file_location("drop_demand", project / "drop_demand.py")
        if spec is None or spec.loader is None:
            raise AssertionError("drop_demand.py is gone")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def data(self, week: int) -> pl.DataFrame:
        """A week's rows as the page makes them."""
        frame: pl.DataFrame = self.weeks.week(week)
        return frame

    def drop(self, week: int, content: pl.DataFrame | bytes) -> str:
        """Put a week's file into the landing zone; its key."""
        key = f"2024-W{week:02d}"
        folder = self.landing / "demand" / key
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            (folder / "events.parquet").write_bytes(content)
        else:
            content.write_parquet(folder / "events.parquet")
        return key

    def send(self, key: str, run_id: str = "") -> bool:
        """Call the REST API as the upstream job does, two days after the week's end."""
        conf = {"batch": key, "as_of": self.as_of(key), "reason": "weekly export"}
        return self.api.trigger("demand_ingest", run_id or f"ingest-{key}", conf)

    @staticmethod
    def as_of(key: str) -> str:
        """Two days after the week's end: its labels are known."""
        return (Cadence.WEEKLY.ends(key, ZoneInfo("UTC")) + timedelta(days=2)).isoformat()

    def live(self, week: int) -> None:
        """A week arrives; returns when the policy has decided and every retrain is closed."""
        key = self.drop(week, self.data(week))
        assert self.send(key)
        until(lambda: self.find(Kind.DECIDED, f"{key}@") and self.at_rest(), 150)

    def at_rest(self) -> bool:
        """Whether no retrain is wanted or open."""
        wanted = {record.payload["request"] for record in self.find(Kind.DECIDED) if record.payload["retrain"]}
        asked = {record.key for record in self.find(Kind.RETRAIN_REQUESTED)}
        return wanted | asked <= {record.key for record in self.find(Kind.RETRAIN_CLOSED)}

    def find(self, kind: Kind, prefix: str = "") -> list[Record]:
        """The ledger's records."""
        return self.ledger.find("demand", kind, prefix=prefix)

    def endings(self) -> list[str]:
        """How the retrains ended, oldest first."""
        return [record.payload["outcome"] for record in self.find(Kind.RETRAIN_CLOSED)]

    def version(self) -> int | None:
        """Version of the champion."""
        champion = self.ledger.champion("demand")
        return champion.version if champion else None

    def ended(self, dag: str, run_id: str, seconds: float = 90.0) -> str:
        """The state in which a run ended."""
        return str(until(lambda: (s := self.api.run(dag, run_id)["state"]) in ENDED and s, seconds))
