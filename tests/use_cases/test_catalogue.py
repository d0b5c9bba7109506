"""A mistake in a declaration is one error with file, field and mend, and stays with its own use case."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from include.contracts.use_case import Gate, Monitoring, NOfM, Retraining, UseCase
from include.use_cases.catalogue import catalogue, declaration

Command = Callable[..., "subprocess.CompletedProcess[str]"]
HEAD = """from datetime import timedelta
from include.contracts.use_case import *
"""


def declared(name: str, **changes: str) -> str:
    fields = {
        "name": f'"{name}"',
        "owner": '"me"',
        "description": '"?"',
        "task": 'Regression(label="units")',
        "entity_keys": '("store_id",)',
        "event_time": '"event_time"',
        "feature_service": '"v1"',
        **changes,
    }
    return HEAD + f"USE_CASE = UseCase({', '.join(f'{k}={v}' for k, v in fields.items() if v)})\n"


def field(name: str, where: str, cause: str) -> str:
    return f"include/use_cases/{name}/use_case.py: {where}\n  {cause}"


TIMEDELTA = "expected a timedelta, such as timedelta(days=7)"
BROKEN = {
    "churn": (
        declared("churn", retraining='Retraining(cooldown="7 days")'),
        field("churn", "UseCase.retraining.cooldown", f'got "7 days", {TIMEDELTA}'),
    ),
    "seconds": (declared("seconds", label_delay="7"), field("seconds", "UseCase.label_delay", f"got 7, {TIMEDELTA}")),
    "misspelt": (
        declared("misspelt", retraining="Retraining(cooldwn=timedelta(days=7))"),
        field("misspelt", "UseCase.retraining.cooldwn", "got an unknown field; did you mean cooldown?"),
    ),
    "yearly": (
        declared("yearly", cadence='"yearly"'),
        field(
            "yearly",
            "UseCase.cadence",
            'got "yearly", expected one of Cadence.DAILY, Cadence.WEEKLY, Cadence.MONTHLY',
        ),
    ),
    "flat": (
        declared("flat", trainer="XGBoost(max_depth=0)"),
        field("flat", "UseCase.trainer.max_depth", "got 0, expected a value greater than 0"),
    ),
    "windows": (
        declared("windows", retraining="Retraining(windows=NOfM(3, 2))"),
        field(
            "windows",
            "UseCase.retraining.windows",
            "got {'n': 3, 'm': 2}: n=3 is more than m=2; such as NOfM(2, 3)",
        ),
    ),
    "ownerless": (
        declared("ownerless", owner=""),
        field("ownerless", "UseCase.owner", 'got nothing, expected text in quotes, such as "flights"'),
    ),
    "keys": (
        declared("keys", entity_keys='"store_id"'),
        field("keys", "UseCase.entity_keys", 'got "store_id", expected a tuple, such as ("store_id",)'),
    ),
    "clock": (
        declared("clock", timezone='"Mars/Olympus"'),
        field(
            "clock",
            "UseCase.timezone",
            'got "Mars/Olympus": expected a zone of the IANA list, such as Europe/Berlin',
        ),
    ),
    "moved": (
        declared("elsewhere"),
        field("moved", "UseCase.name", 'got "elsewhere", expected "moved", the name of its folder'),
    ),
    "syntax": ("USE_CASE = (\n", field("syntax", "line 1", "'(' was never closed: USE_CASE = (")),
    "unknown": (
        "from include.contracts.use_case import Regresion\n",
        field(
            "unknown",
            "line 1",
            "ImportError: cannot import name 'Regresion' from 'include.contracts.use_case'; did you mean Regression?",
        ),
    ),
    "unnamed": (
        HEAD + "x = Gte()\n",
        field("unnamed", "line 3", "NameError: name 'Gte' is not defined; did you mean Gate?"),
    ),
    "absent": ("", field("absent", "USE_CASE", "got nothing of that name, expected USE_CASE = UseCase(...)")),
    "number": ("USE_CASE = 3\n", field("number", "USE_CASE", "got a int, expected USE_CASE = UseCase(...)")),
    "leaver": ("raise SystemExit(3)\n", field("leaver", "line 1", "SystemExit: 3")),
}

CATALOGUE = """
import json
from include.use_cases.catalogue import catalogue
found = catalogue()
print(json.dumps([sorted(found.use_cases), {name: str(error) for name, error in found.broken.items()}]))
"""


def loaded(project: Path) -> tuple[list[str], dict[str, str]]:
    """The catalogue of a copy of the project, as another process sees it."""
    done = subprocess.run(
        [sys.executable, "-c", CATALOGUE],
        cwd=project,
        env={**os.environ, "PYTHONPATH": ""},
        check=True,
        capture_output=True,
        text=True,
    )
    sound, broken = json.loads(done.stdout)
    return sound, broken


def write(project: Path, name: str, text: str) -> None:
    folder = project / "include" / "use_cases" / name
    folder.mkdir()
    (folder / "use_case.py").write_text(text)


def test_the_shipped_declarations_are_sound() -> None:
    found = catalogue()
    assert not found.broken
    assert found.use_cases["flights"] == declaration("flights")


def test_a_broken_declaration_reads_as_documented_and_spares_flights(project: Path) -> None:
    write(project, "churn", BROKEN["churn"][0])
    sound, broken = loaded(project)
    assert sound == ["flights"]
    assert broken == {
        "churn": "include/use_cases/churn/use_case.py: UseCase.retraining.cooldown\n"
        '  got "7 days", expected a timedelta, such as timedelta(days=7)\n'
        "  flights is not affected. Check again with: python -m include.use_cases check churn"
    }


def test_every_mistake_names_file_field_and_mend(project: Path) -> None:
    for name, (text, _) in BROKEN.items():
        write(project, name, text)
    write(project, "sound", declared("sound"))
    sound, broken = loaded(project)
    assert sound == ["flights", "sound"]
    assert {name: text.rpartition("\n")[0] for name, text in broken.items()} == {
        name: text for name, (_, text) in BROKEN.items()
    }
    assert all(text.endswith(f"python -m include.use_cases check {name}") for name, text in broken.items())


def test_a_missing_use_case_says_what_there_is(project: Path, use_cases: Command) -> None:
    done = use_cases("check", "flight")
    assert done.returncode == 1
    assert "include/use_cases/flight/use_case.py" in done.stdout
    assert "did you mean flights?" in done.stdout


@pytest.mark.parametrize("value", ["7 days", "P7D", 7, 7.0])
@pytest.mark.parametrize("kind", [Monitoring, Retraining, Gate])
def test_only_a_timedelta_is_a_length_of_time(kind: type, value: object) -> None:
    field = {Monitoring: "window", Retraining: "cooldown", Gate: "fresh"}[kind]
    with pytest.raises(ValidationError, match="timedelta"):
        kind(**{field: value})


def test_a_declaration_survives_json() -> None:
    flights = declaration("flights")
    assert UseCase.model_validate_json(flights.model_dump_json()) == flights
    assert Retraining(windows=NOfM(2, 3), cooldown=timedelta(days=7)).windows == NOfM(n=2, m=3)
