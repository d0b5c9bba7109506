"""Walk from a model back to the raw files that it was trained on: `python -m include.lineage trace flights`."""

import argparse
import logging
import sys
from pathlib import Path

from include.contracts.errors import DataError, EvergreenError, PolicyError
from include.jobs import EXIT

WIDE = 1000
"""Columns where the output is no terminal: there a line stays one line, however long the path in it."""


def main(argv: list[str] | None = None) -> int:
    """Print the walk.

    Returns:
        0; 1 where a link of the walk is missing; otherwise the exit code of the error's class.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    given = _parser().parse_args(argv)
    try:
        return _trace(given.use_case, given.version, given.events)
    except EvergreenError as error:
        print(error, file=sys.stderr)
        return EXIT[type(error).__name__]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m include.lineage", description=__doc__)
    trace = parser.add_subparsers(dest="command", required=True).add_parser(
        "trace", help="what a model was made of", description=__doc__
    )
    trace.add_argument("use_case", help="name of the use case, such as flights")
    trace.add_argument("--version", type=int, help="version in the MLflow registry (default: the champion)")
    trace.add_argument("--events", type=Path, help="file of events (default: the one that EVERGREEN_LINEAGE names)")
    return parser


def _trace(use_case: str, version: int | None, path: Path | None) -> int:
    from rich.console import Console

    from include.lineage.tree import tree
    from include.lineage.walk import events, walk

    top = walk(events(path or _file(use_case)), use_case, version or _champion(use_case))
    Console(highlight=False, width=None if sys.stdout.isatty() else WIDE).print(tree(top))
    if gaps := {part.key for step in top.steps() for part in step.gaps}:
        print(f"{len(gaps)} datasets came from runs of which no event is there", file=sys.stderr)
    return 1 if gaps else 0


def _file(use_case: str) -> Path:
    from include.lineage.observe import OFF
    from include.settings import settings

    target = settings().lineage
    if target == OFF:
        raise PolicyError("lineage", "EVERGREEN_LINEAGE is off: no events are kept", "set it to a file, then run steps")
    if target.startswith("http"):
        marquez = f"{target.rstrip('/')}/api/v1/lineage?nodeId=dataset:mlflow:{use_case}"
        cause = f"the events are at {target}, not in a file"
        raise PolicyError("lineage", cause, f"look there at dataset {use_case} of mlflow; Marquez: {marquez}")
    return Path(target)


def _champion(use_case: str) -> int:
    from include.ledger import Ledger
    from include.settings import settings

    row = Ledger.at(settings().ledger_url).champion(use_case)
    if row is None:
        raise DataError("lineage", f"{use_case} has no champion", "name a version with --version, or train one")
    return row.version


if __name__ == "__main__":
    raise SystemExit(main())
