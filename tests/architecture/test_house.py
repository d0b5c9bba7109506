"""The house stays in order: what stands at the top level, what files are called, what they say about themselves."""

import ast
import re
import statistics
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
TOP_LEVEL = {
    ".ci",
    ".dockerignore",
    ".github",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "Makefile",
    "README.md",
    "dags",
    "docker-compose.yaml",
    "docs",
    "feature_repo",
    "include",
    "plugins",
    "pyproject.toml",
    "requirements.txt",
    "tests",
}
ROOMS = ("dags", "feature_repo", "include", "plugins", "tests")
NAMELESS = {"common", "helper", "helpers", "misc", "util", "utils"}
MACHINE = re.compile(r"/(?:work|root)/\w|/home/\w|/Users/\w")
"""Paths that exist on one machine only."""

INDEX = re.compile(r"^\s*(?:--(?:extra-)?index-url|-i\s|--find-links|--trusted-host|index-url\s*=)", re.MULTILINE)
"""An index belongs to the reader's own configuration."""


def files() -> list[Path]:
    """What git would hand out: tracked and new files, nothing ignored."""
    command = ["git", "ls-files", "-co", "--exclude-standard"]
    listed = subprocess.run(command, cwd=PROJECT, check=True, capture_output=True, text=True).stdout.splitlines()
    return [PROJECT / name for name in listed if (PROJECT / name).is_file()]


FILES = files()
SOURCES = [path for path in FILES if path.suffix == ".py" and path.relative_to(PROJECT).parts[0] in ROOMS]


def name(path: Path) -> str:
    """The file's name within the project."""
    return str(path.relative_to(PROJECT))


def test_nothing_else_stands_at_the_top_level() -> None:
    assert {path.relative_to(PROJECT).parts[0] for path in FILES} - TOP_LEVEL == set()


def test_every_file_is_named_for_what_it_is_about() -> None:
    assert [name(path) for path in SOURCES if NAMELESS & {path.stem, *path.relative_to(PROJECT).parts}] == []


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_module_says_what_it_is(path: Path) -> None:
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree) or not tree.body, "no module docstring"


def test_no_text_names_a_machine_or_a_package_index() -> None:
    found = []
    for path in FILES:
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue
        if path != Path(__file__).resolve() and (MACHINE.search(text) or INDEX.search(text)):
            found.append(name(path))
    assert found == []


def test_no_test_of_ours_mocks_our_own_code() -> None:
    mocks = [name(path) for path in SOURCES if "unittest.mock" in path.read_text() and path != Path(__file__).resolve()]
    assert mocks == []


def test_report_of_the_style_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    library = [path for path in SOURCES if path.relative_to(PROJECT).parts[0] != "tests"]
    lengths = sorted(len(path.read_text().splitlines()) for path in library)
    functions = [node for path in library for node in ast.walk(ast.parse(path.read_text())) if _is_function(node)]
    bodies = sorted(_body_length(node) for node in functions)
    with capsys.disabled():
        for what, numbers, aim in (("files", lengths, (120, 300)), ("function bodies", bodies, (8, 25))):
            ninth = numbers[int(len(numbers) * 0.9)]
            median = statistics.median(numbers)
            print(
                f"\n  {what}: {len(numbers)}, lines median {median:.0f} (aim {aim[0]}), p90 {ninth} (aim {aim[1]})",
                end="",
            )
    assert lengths
    assert bodies


def _is_function(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _body_length(node: ast.AST) -> int:
    """Lines of a function below its docstring."""
    assert isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    body = node.body[1:] if ast.get_docstring(node) else node.body
    return int(body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
