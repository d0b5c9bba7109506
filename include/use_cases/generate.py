"""Writes the folder of a new use case: a skeleton that runs as it is, to be changed step by step."""

import importlib.util
import keyword
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template

from include.contracts.errors import PolicyError
from include.contracts.use_case import Cadence

FOLDER = Path(__file__).parent
PROJECT = FOLDER.parent.parent
FILES = ("__init__", "use_case", "source", "features", "expectations")
TASKS = {"binary": "BinaryClassification", "regression": "Regression"}
TAKEN = {"event_time", "label_time", "event_timestamp", "batch", "weekday", "hour", "prediction", "use_cases"}
NAME = re.compile(r"[a-z][a-z0-9_]{1,39}")


@dataclass(frozen=True)
class Choices:
    """What the person said on the command line.

    Attributes:
        entity: Column that says who a prediction is about.
        label: Column to be predicted.
        inputs: Numeric columns of the file that are known at event time.
    """

    name: str
    entity: str
    label: str
    cadence: Cadence
    task: str
    inputs: tuple[str, ...] = ()


def new(choices: Choices, project: Path = PROJECT) -> list[Path]:
    """Write the files of a new use case; an existing file is never touched.

    Returns:
        What was written, relative to the project.

    Raises:
        PolicyError: If a name is taken, or is none.
    """
    _refuse_bad_names(choices, project)
    folder = project / "include" / "use_cases" / choices.name
    targets = {folder / f"{file}.py": file for file in FILES}
    targets[project / "feature_repo" / f"{choices.name}.py"] = "feature_repo"
    texts = {path: _render(file, choices) for path, file in targets.items()}
    for path, text in texts.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x") as file:
            file.write(text)
    return [path.relative_to(project) for path in texts]


def _refuse_bad_names(choices: Choices, project: Path) -> None:
    columns = (choices.entity, choices.label, *choices.inputs)
    for word in (choices.name, *columns):
        if not NAME.fullmatch(word) or keyword.iskeyword(word):
            raise _refused(
                f'"{word}" is not a name', "use 2 to 40 small letters, digits and _, beginning with a letter"
            )
        if word in TAKEN:
            raise _refused(f'"{word}" has a meaning of its own here', "choose another name")
    if len(set(columns)) < len(columns):
        raise _refused(f"{', '.join(columns)}: one name twice", "entity, label and inputs are different columns")
    folder = project / "include" / "use_cases"
    for path in (folder / choices.name, folder / f"{choices.name}.py", project / "feature_repo" / f"{choices.name}.py"):
        if path.exists():
            raise _refused(f"{path.relative_to(project)} exists", "choose another name; nothing is ever overwritten")
    if importlib.util.find_spec(choices.name):
        raise _refused(f'"{choices.name}" is the name of a Python package', "choose another name")


def _refused(cause: str, next_step: str) -> PolicyError:
    return PolicyError("generator of use cases", cause, next_step)


def _render(file: str, choices: Choices) -> str:
    return Template((FOLDER / "skeleton" / f"{file}.py.txt").read_text()).substitute(_values(choices))


def _values(choices: Choices) -> dict[str, str]:
    binary, inputs = choices.task == "binary", choices.inputs
    asked = "how likely is" if binary else "how much is"
    labels = f'gxe.ExpectColumnValuesToBeInSet(column="{choices.label}", value_set=[0, 1]),'
    return {
        "name": choices.name,
        "entity": choices.entity,
        "label": choices.label,
        "task_class": TASKS[choices.task],
        "imports": ", ".join(
            sorted(["Cadence", "Gate", "Monitoring", "Retraining", "UseCase", "XGBoost", TASKS[choices.task]])
        ),
        "question": f"For a {choices.entity}: {asked} {choices.label}? Asked at event_time.",
        "floor": "0.6" if binary else "0.0",
        "cadence_member": choices.cadence.name,
        "example_key": {"daily": "2024-01-31", "weekly": "2024-W05", "monthly": "2024-01"}[choices.cadence],
        "request_features": ", ".join(f'"{column}"' for column in ("weekday", "hour", *inputs)),
        "first_after": {"daily": "28", "weekly": "6", "monthly": "2"}[choices.cadence],
        "fresh_days": {"daily": "7", "weekly": "7", "monthly": "10"}[choices.cadence],
        "label_values": ", 0 or 1" if binary else "",
        "input_lines": "".join(f"    {column}: an input, a number known at event_time.\n" for column in inputs),
        "input_columns": "".join(f'    "{column}": pa.float64(),\n' for column in inputs),
        "spine_inputs": "".join(f'        "{column}",\n' for column in inputs),
        "label_expectation": labels if binary else f"# a range that {choices.label} never leaves belongs here",
        "input_expectations": "".join(
            f'            gxe.ExpectColumnValuesToNotBeNull(column="{column}", mostly=0.9),\n' for column in inputs
        ),
    }
