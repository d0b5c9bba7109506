"""Who may import whom: the contracts of import-linter, and what only a running interpreter can tell."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
HEAVY = {
    "deltalake",
    "evidently",
    "feast",
    "great_expectations",
    "matplotlib",
    "mlflow",
    "openlineage",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "sklearn",
    "xgboost",
}
"""Libraries that cost seconds or hundreds of megabytes; nothing that Airflow parses may load them."""

DAGS = sorted((PROJECT / "dags").glob("*.py"))
USE_CASES = sorted((PROJECT / "include" / "use_cases").glob("*/use_case.py"))
PLUGINS = sorted((PROJECT / "plugins").rglob("*.py"))
FEATURE_REPO = sorted((PROJECT / "feature_repo").glob("*.py"))

LOADED = """
import importlib.util, json, sys
path = sys.argv[1]
before = set(sys.modules)
if path.endswith(".py"):
    spec = importlib.util.spec_from_file_location("looked_at", path)
    spec.loader.exec_module(importlib.util.module_from_spec(spec))
else:
    importlib.import_module(path)
print(json.dumps(sorted(name for name in sys.modules if name not in before)))
"""


def loaded_by(target: str, home: Path) -> set[str]:
    """Every module that importing `target` (a file or a module) loads in a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}", "AIRFLOW_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", LOADED, target], cwd=home, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def tops(modules: set[str]) -> set[str]:
    """The packages that modules belong to."""
    return {module.partition(".")[0] for module in modules}


def imported(tree: ast.AST, *, everywhere: bool) -> Iterator[str]:
    """Modules named by imports: at module level, or everywhere; imports for type checkers do not count."""
    for node in ast.walk(tree) if everywhere else at_module_level(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module)


def at_module_level(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes that run when the module is imported."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from at_module_level(node)


def parsed(path: Path) -> ast.AST:
    """The syntax tree of a file."""
    return ast.parse(path.read_text())


def foreign(names: Iterator[str], allowed: tuple[str, ...]) -> list[str]:
    """Modules that are neither in the standard library nor in one of the `allowed` packages."""
    return sorted(
        name
        for name in names
        if name.partition(".")[0] not in sys.stdlib_module_names
        and not any(name == package or name.startswith(f"{package}.") for package in allowed)
    )


def test_import_linter_keeps_its_contracts() -> None:
    environment = {**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'plugins'}"}
    lint = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [str(lint), "--no-cache"], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_there_is_something_to_look_at() -> None:
    assert len(DAGS) >= 6
    assert USE_CASES
    assert PLUGINS
    assert FEATURE_REPO


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_parsing_a_dag_loads_nothing_heavy(path: Path, tmp_path: Path) -> None:
    loaded = loaded_by(str(path), tmp_path)
    assert "airflow" in tops(loaded) or path.name == "declarations.py"
    assert tops(loaded) & HEAVY == set()


def test_parsing_the_plugin_loads_nothing_heavy(tmp_path: Path) -> None:
    loaded = loaded_by(str(PROJECT / "plugins" / "evergreen_plugin.py"), tmp_path)
    assert tops(loaded) & HEAVY == set()


@pytest.mark.parametrize("path", DAGS, ids=lambda path: path.name)
def test_a_dag_file_imports_only_its_rooms(path: Path) -> None:
    rooms = ("airflow", "evergreen", "include.contracts", "include.settings", "include.use_cases")
    assert foreign(imported(parsed(path), everywhere=False), rooms) == []


@pytest.mark.parametrize("path", PLUGINS, ids=lambda path: str(path.relative_to(PROJECT)))
def test_a_plugin_imports_stages_only_inside_methods(path: Path) -> None:
    rooms = ("airflow", "evergreen", "include.contracts", "include.settings", "pydantic", "fastapi", "starlette")
    rooms = (*rooms, "kubernetes", "urllib3")  # the provider's own client, whose errors the pod operator tells apart
    assert foreign(imported(parsed(path), everywhere=False), rooms) == []
    assert [name for name in imported(parsed(path), everywhere=True) if name.partition(".")[0] == "dags"] == []


@pytest.mark.parametrize("path", FEATURE_REPO, ids=lambda path: path.name)
def test_the_feature_repository_imports_feast_only(path: Path) -> None:
    assert foreign(imported(parsed(path), everywhere=True), ("feast",)) == []


@pytest.mark.parametrize("path", USE_CASES, ids=lambda path: path.parent.name)
def test_a_declaration_imports_contracts_only(path: Path) -> None:
    assert foreign(imported(parsed(path), everywhere=True), ("include.contracts",)) == []


@pytest.mark.parametrize("path", USE_CASES, ids=lambda path: path.parent.name)
def test_a_use_case_knows_no_other_and_no_stage(path: Path) -> None:
    own = f"include.use_cases.{path.parent.name}"
    for file in path.parent.rglob("*.py"):
        inside = [name for name in imported(parsed(file), everywhere=True) if name.partition(".")[0] == "include"]
        rooms = ("include.contracts", own, *(("include.lake", "include.settings") if file.stem == "upstream" else ()))
        assert foreign(iter(inside), rooms) == [], file


def test_the_catalogue_loads_contracts_and_pydantic_only(tmp_path: Path) -> None:
    allowed = {"annotated_types", "include", "pydantic", "pydantic_core", "typing_extensions", "typing_inspection"}
    for module in ("include.contracts", "include.use_cases.catalogue"):
        loaded = loaded_by(module, tmp_path)
        strangers = {name for name in tops(loaded) if name not in sys.stdlib_module_names} - allowed
        assert {name for name in strangers if not name.startswith("_")} == set(), module


@pytest.mark.parametrize("path", sorted((PROJECT / "include" / "contracts").glob("*.py")), ids=lambda path: path.name)
def test_a_contract_imports_the_standard_library_and_pydantic(path: Path) -> None:
    rooms = ("include.contracts", "pydantic", "pydantic_core")
    assert foreign(imported(parsed(path), everywhere=True), rooms) == []
