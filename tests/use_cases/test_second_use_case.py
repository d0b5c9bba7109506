"""Nothing but docs/own-model.md leads from nothing to a closed loop, for another entity, cadence and task."""

import hashlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from include.lineage.walk import Step, events, walk
from tests.openlineage_spec import problems, unended

PAGE = Path(__file__).resolve().parents[2] / "docs" / "own-model.md"
DRIVER = Path(__file__).parent / "live_through.py"
CHANGE = 9
WEEKS = 12


def commands(text: str) -> list[list[str]]:
    """The command lines of the page's console blocks that begin with `python`."""
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines() if line.startswith("$ python ")]
    return [shlex.split(line) for line in lines]


def shown(text: str, command: str) -> str:
    """What the page says that a command answers."""
    found = re.search(rf"```console\n\$ {re.escape(command)}[^\n]*\n(.*?)```", text, re.DOTALL)
    assert found, command
    return found[1]


def called(project: Path, *command: str) -> str:
    """Run a command in the copy, as the page says; its output."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EVERGREEN_")}
    environment |= {"PYTHONPATH": str(project), "OMP_WAIT_POLICY": "PASSIVE", "DO_NOT_TRACK": "true"}
    done = subprocess.run(
        [sys.executable, *command], cwd=project, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return done.stdout


@pytest.fixture
def followed(project: Path) -> Path:
    """A copy of the project in which somebody followed the page up to "Trigger"."""
    text = PAGE.read_text()
    program = re.search(r"<!-- (drop_demand\.py) -->\n```python\n(.*?)```", text, re.DOTALL)
    assert program
    (project / program[1]).write_text(program[2])
    new, check, drop, *_ = commands(text)
    assert called(project, *new[1:]) == shown(text, "python -m include.use_cases new demand")
    assert called(project, *check[1:]) == shown(text, "python -m include.use_cases check demand")
    called(project, *drop[1:])
    return project


def test_the_page_names_every_field_of_the_declaration() -> None:
    from include.contracts.use_case import UseCase

    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text().split("## The declaration")[1], re.MULTILINE)
    assert sorted(rows) == sorted(UseCase.model_fields)


LEAK = """
from datetime import datetime, timedelta, UTC
from pathlib import Path
import polars as pl
from include.use_cases.catalogue import parts

found, now = parts("demand"), datetime(2024, 1, 5, tzinfo=UTC)
read = found.source.read({"events": Path(".evergreen/landing/demand/2024-W01/events.parquet")})
events = pl.DataFrame(pl.from_arrow(read["events"]))
known = pl.col("label_time") <= now
other = events.with_columns(pl.when(known).then("units").otherwise(pl.col("units") * -7 - 1).alias("units"))
views = [
    found.features.build({"events": frame.lazy()}, now + timedelta(days=9))["demand_history"].collect()
    for frame in (events, other)
]
before, after = ([v.filter(seen).sort("store_id", "event_timestamp") for v in views]
    for seen in (pl.col("event_timestamp") <= now, pl.col("event_timestamp") > now))
assert before[0].height and before[0].equals(before[1]), "a feature used a label that became known later"
assert after[0].height and not after[0].equals(after[1]), "the test changed nothing"
assert views[0]["event_timestamp"].min() >= events["event_time"].min() + timedelta(days=1)
early = found.features.build({"events": events.lazy()}, now)
assert early["demand_history"].collect()["event_timestamp"].max() <= now
assert early["spine"].collect()["event_time"].max() <= now
"""


def test_the_generated_features_see_no_future(followed: Path) -> None:
    called(followed, "-c", LEAK)


@pytest.mark.integration
def test_a_second_use_case_lives_through_the_loop(followed: Path) -> None:
    weeks = [f"2024-W{number:02d}" for number in range(1, WEEKS + 1)]
    answer = called(followed, str(DRIVER), "demand", *weeks)
    lived = [json.loads(line) for line in answer.splitlines() if line.startswith('{"batch"')]
    assert [week["batch"] for week in lived] == weeks

    first = next(index for index, week in enumerate(lived) if week["retrained"])
    assert lived[first]["retrained"]["rule"] == "first_champion"
    assert lived[first]["batch"] == "2024-W06"
    assert lived[first]["champion"] == 1

    quiet = [week for week in lived[first + 1 :] if week["batch"] < f"2024-W{CHANGE:02d}"]
    assert quiet
    assert [week["retrained"] for week in quiet] == [None] * len(quiet)

    changed, better, waiting, best = (next(w for w in lived if w["batch"] == f"2024-W{n:02d}") for n in (9, 10, 11, 12))
    assert changed["retrained"] is waiting["retrained"] is None
    for week in (better, best):
        assert week["retrained"]["rule"] == "performance_decay"
        assert week["retrained"]["accepted"]
        assert week["retrained"]["gain"]["low"] > 0
    assert 1 < better["champion"] == waiting["champion"] < best["champion"]
    assert all(week["scored"] == [week["batch"]] for week in lived[first + 1 :])
    every_step_told_what_it_did(followed / ".evergreen")
    the_champion_leads_back_to_what_was_dropped(followed, best["champion"])


def every_step_told_what_it_did(home: Path) -> None:
    """Each event is what the specification asks for, and each run has an end."""
    told = [json.loads(line) for line in (home / "lineage.jsonl").read_text().splitlines()]
    assert [found for event in told for found in problems(event)] == []
    assert unended(told) == set()
    counts = dict.fromkeys(("commit", "build_features", "materialize", "score"), 0)
    for event in told:
        assert event["eventType"] in {"START", "COMPLETE"}
        task = event["job"]["name"].partition(".")[2]
        counts[task] = counts.get(task, 0) + (event["eventType"] == "COMPLETE" and bool(event["outputs"]))
    trainings = counts.pop("train")
    assert trainings > 1
    assert counts.pop("build_training_set") == counts.pop("promote") == trainings
    assert counts.pop("score") < WEEKS
    assert counts == dict.fromkeys(("commit", "build_features", "materialize"), WEEKS)


def the_champion_leads_back_to_what_was_dropped(project: Path, version: int) -> None:
    """The walk ends at exactly the files that were known to its training set, byte for byte."""
    home = project / ".evergreen"
    top = walk(events(home / "lineage.jsonl"), "demand", version)
    runs: dict[str, Step] = {step.run: step for step in top.steps()}
    assert [part for step in runs.values() for part in step.gaps] == []
    files = {part.name: part.version for step in runs.values() for part in step.files}
    assert {name: sha256(Path(name)) for name in files} == files
    dropped = {sha256(path) for path in (home / "landing" / "demand").rglob("*.parquet")}
    assert set(files.values()) == dropped
    assert len(files) == WEEKS
    (trained,) = (step for step in runs.values() if step.job == "demand_retrain.train")
    (model,) = trained.wrote
    assert sha256(Path(model.name)) == model.version
    (rows,) = trained.made_by[0].wrote
    assert sha256(Path(rows.name)) == rows.version
    printed = called(project, "-m", "include.lineage", "trace", "demand")
    assert all(digest in printed for digest in dropped)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
