"""Finds the use cases: every folder here with a `use_case.py`. A broken one is an error of its own."""

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from include.contracts.errors import PolicyError
from include.contracts.use_case import UseCase
from include.use_cases.explain import DeclarationError, explain

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
    """A use case with its modules, each imported when it is first asked for: `expectations.py` alone costs seconds.

    Each raises PolicyError where it cannot be imported.
    """

    use_case: UseCase

    @property
    def source(self) -> ModuleType:
        """`source.py`."""
        return load(self.use_case.name, "source")

    @property
    def expectations(self) -> ModuleType:
        """`expectations.py`."""
        return load(self.use_case.name, "expectations")

    @property
    def features(self) -> ModuleType:
        """`features.py`."""
        return load(self.use_case.name, "features")


def names() -> list[str]:
    """Folders with a `use_case.py`, sound or not, sorted."""
    return sorted(path.parent.name for path in FOLDER.glob("*/use_case.py"))


def catalogue() -> Catalogue:
    """Import every declaration; only `use_case.py` files, so that it is cheap at DAG parse time."""
    use_cases: dict[str, UseCase] = {}
    broken: dict[str, PolicyError] = {}
    for name in names():
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
    if name not in names():
        raise DeclarationError.missing(name, names())
    module = load(name, "use_case")
    found = getattr(module, "USE_CASE", None)
    if not isinstance(found, UseCase):
        got = "nothing of that name" if found is None else f"a {type(found).__name__}"
        raise DeclarationError.of(name, "use_case", "USE_CASE", f"got {got}, expected USE_CASE = UseCase(...)")
    if found.name != name:
        cause = f'got "{found.name}", expected "{name}", the name of its folder'
        raise DeclarationError.of(name, "use_case", "UseCase.name", cause)
    return found


def parts(name: str) -> Parts:
    """The use case with its modules.

    Raises:
        PolicyError: If the declaration is missing or broken.
    """
    return Parts(declaration(name))


def load(name: str, module: str) -> ModuleType:
    """Import one module of a use case.

    Raises:
        PolicyError: Whatever went wrong in it, said in terms of its file.
    """
    try:
        return importlib.import_module(f"{__package__}.{name}.{module}")
    except (Exception, SystemExit) as error:  # user land: any mistake there stays one error here
        raise explain(error, name, module) from error
