"""The generator writes files that are sound as they are, and never touches one that is there."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from include.contracts.use_case import Cadence
from include.use_cases.generate import Choices, new

Command = Callable[..., "subprocess.CompletedProcess[str]"]
NEW = ("--entity", "store_id", "--label", "units", "--cadence", "weekly", "--task", "regression")
WRITTEN = [
    "include/use_cases/demand/__init__.py",
    "include/use_cases/demand/use_case.py",
    "include/use_cases/demand/source.py",
    "include/use_cases/demand/features.py",
    "include/use_cases/demand/expectations.py",
    "feature_repo/demand.py",
]


def test_what_it_writes_is_sound_formatted_and_typed(project: Path, use_cases: Command) -> None:
    made = use_cases("new", "demand", *NEW, "--inputs", "price,promo")
    assert made.returncode == 0, made.stderr
    assert [line.removeprefix("wrote ") for line in made.stdout.splitlines()[:-1]] == WRITTEN
    other = use_cases(
        "new", "churn", "--entity", "customer_id", "--label", "churned", "--cadence", "daily", "--task=binary"
    )
    assert other.returncode == 0, other.stderr
    checked = use_cases("check")
    assert checked.stdout.count("  sound\n") >= 2, checked.stdout + checked.stderr
    written = [name.replace("demand", use_case) for use_case in ("demand", "churn") for name in WRITTEN]
    for tool in (["ruff", "check"], ["ruff", "format", "--check"], ["mypy"]):
        command = [sys.executable, "-m", *tool, *written]
        done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_each_listed_use_case_is_one_line(use_cases: Command) -> None:
    assert use_cases("new", "demand", *NEW).returncode == 0
    lines = use_cases("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["demand", "flights"]


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("flights", {}, "include/use_cases/flights exists"),
        ("catalogue", {}, "include/use_cases/catalogue.py exists"),
        ("pandas", {}, '"pandas" is the name of a Python package'),
        ("Demand", {}, '"Demand" is not a name'),
        ("../demand", {}, '"../demand" is not a name'),
        ("class", {}, '"class" is not a name'),
        ("demand", {"--label": "store_id"}, "one name twice"),
        ("demand", {"--label": "event_time"}, "has a meaning of its own"),
        ("demand", {"--entity": 'x"; import os'}, "is not a name"),
    ],
)
def test_bad_and_taken_names_are_refused(
    project: Path, use_cases: Command, name: str, changes: dict[str, str], said: str
) -> None:
    before = sorted(str(path) for path in project.rglob("*.py"))
    options = {**dict(zip(NEW[::2], NEW[1::2], strict=True)), **changes}
    done = use_cases("new", name, *(word for pair in options.items() for word in pair))
    assert done.returncode == 2
    assert said in done.stderr
    assert sorted(str(path) for path in project.rglob("*.py")) == before


def test_an_existing_file_is_never_overwritten(project: Path, use_cases: Command) -> None:
    assert use_cases("new", "demand", *NEW).returncode == 0
    written = {path: (project / path).read_text() for path in WRITTEN}
    assert use_cases("new", "demand", *NEW).returncode == 2
    assert {path: (project / path).read_text() for path in WRITTEN} == written


MISTAKES = [
    (
        "include/use_cases/{name}/source.py",
        "def read(files:",
        "def read(paths:",
        "got def read(paths), expected def read(files)",
    ),
    ("include/use_cases/{name}/features.py", "LOOKBACK = ", "BACK = ", "LOOKBACK"),
    (
        "include/use_cases/{name}/features.py",
        "def build(",
        "def built(",
        "got nothing of that name, expected def build(tables, as_of)",
    ),
    (
        "include/use_cases/{name}/expectations.py",
        "gxe.ExpectTableRowCountToBeBetween(min_value=1),",
        "",
        'no row-count minimum on "{name}_history"',
    ),
    ("include/use_cases/{name}/expectations.py", "gxe.ExpectColumn", "gxe.ExpctColumn", "ExpctColumn"),
    (
        "include/use_cases/{name}/use_case.py",
        "categorical=()",
        'categorical=("colour",)',
        "got colour, which are not inputs",
    ),
    ("include/use_cases/{name}/use_case.py", '"{name}_v1"', '"two"', 'no service "two"; there is: {name}_v1'),
    (
        "include/use_cases/{name}/use_case.py",
        'entity_keys=("store_id",)',
        'entity_keys=("shop",)',
        "join keys store_id are not in",
    ),
    ("feature_repo/{name}.py", 'path="{name}/', 'path="other/', 'expected "{name}/features/{name}_history"'),
    ("feature_repo/{name}.py", 'name="units_last"', 'name="units"', "neither the label nor a time"),
]


def test_check_finds_each_mistake(project: Path, use_cases: Command) -> None:
    for number, (file, was, becomes, _) in enumerate(MISTAKES):
        name = f"demand_{number}"
        new(Choices(name, "store_id", "units", Cadence.WEEKLY, "regression"), project)
        path = project / file.format(name=name)
        assert was.format(name=name) in path.read_text()
        path.write_text(path.read_text().replace(was.format(name=name), becomes))
    done = use_cases("check")
    assert done.returncode == 1
    reports = {report.split("\n")[0]: report for report in done.stdout.split("to mend\n")}
    for number, (*_, said) in enumerate(MISTAKES):
        assert said.format(name=f"demand_{number}") in reports[f"demand_{number}"]
