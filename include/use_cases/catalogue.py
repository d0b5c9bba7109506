"""Finds the use cases: every folder here with a `use_case.py`. A broken one is an error of its own."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from include.contracts.errors import PolicyError
from include.contracts.use_case import UseCase

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Catalogue:
    """What was found.

    Attributes:
        use_cases: The sound declarations, by name.
        broken: One error for each broken declaration, by folder name.
    """

    use_cases: dict[str, UseCase]
    broken: dict[str, PolicyError]


@dataclass(frozen=True)
class Parts:
    """A use case with its modules: `source.py`, `expectations.py`, `features.py`."""

    use_case: UseCase
    source: ModuleType
    expectations: ModuleType
    features: ModuleType


def catalogue() -> Catalogue:
    """Import every declaration; only `use_case.py` files, so that it is cheap at DAG parse time."""
    use_cases: dict[str, UseCase] = {}
    broken: dict[str, PolicyError] = {}
    for path in sorted(FOLDER.glob("*/use_case.py")):
        name = path.parent.name
        try:
            use_cases[name] = declaration(name)
        except PolicyError as error:
            broken[name] = error
    return Catalogue(use_cases, broken)


def declaration(name: str) -> UseCase:
    """The declaration of the use case `name`.

    Raises:
        PolicyError: If it is missing or broken; names file, field and mend.
    """
    raise NotImplementedError


def parts(name: str) -> Parts:
    """The use case with its modules, imported now (heavy: call it inside a task)."""
    modules = {m: importlib.import_module(f"{__package__}.{name}.{m}") for m in ("source", "expectations", "features")}
    return Parts(declaration(name), **modules)
