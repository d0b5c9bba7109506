"""A walk as a tree that people read."""

from pathlib import PurePosixPath

from rich.text import Text
from rich.tree import Tree

from include.lineage.datasets import MLFLOW
from include.lineage.walk import Part, Step

SHORT = 12
"""Digits of a digest that are enough to tell two apart."""


def tree(top: Step) -> Tree:
    """The walk as a tree; a run that was met before is named, not drawn again."""
    root = Tree(Text(f"{top.wrote[0].name} v{top.wrote[0].version}"), guide_style="")
    _draw(root, top, set())
    return root


def _draw(above: Tree, step: Step, met: set[str]) -> None:
    met.add(step.run)
    here = above.add(Text(f"{step.job}  {_name(step)}"))
    for part in step.wrote:
        if part.namespace != MLFLOW:
            here.add(Text(_line(part)))
    for part in step.files:
        here.add(Text(f"raw file  {part.size:,} bytes  sha256 {part.version}  {_place(part)}"))
    for part in step.gaps:
        here.add(Text(f"{_line(part)}  NO EVENT SAYS WHO MADE IT", style="red"))
    if drawn := [_name(before) for before in step.made_by if before.run in met]:
        here.add(Text(f"and what is above of {', '.join(drawn)}"))
    for before in step.made_by:
        if before.run not in met:
            _draw(here, before, met)


def _name(step: Step) -> str:
    """A run in as few letters as find it again: in Airflow, otherwise in the events."""
    return f"DAG run {step.request}" if step.request else f"run {step.run}"


def _line(part: Part) -> str:
    rows = f"  {part.rows:,} rows" if part.rows is not None else ""
    if part.batch:
        table = "/".join(PurePosixPath(part.name).parts[-2:])
        return f"{table}  batch {part.batch}  version {part.version}{rows}  digest {part.digest[:SHORT]}"
    return f"{PurePosixPath(part.name).suffix[1:]} file{rows}  sha256 {part.version[:SHORT]}  {_place(part)}"


def _place(part: Part) -> str:
    return part.name if part.namespace == "file" else f"{part.namespace}/{part.name}"
