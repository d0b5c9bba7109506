"""User land at the command line: see the use cases, check one, begin a new one."""

import argparse
import sys

from include.contracts.errors import PolicyError
from include.contracts.use_case import Cadence
from include.use_cases.catalogue import catalogue, names
from include.use_cases.generate import TASKS, Choices, new

EXAMPLE = """example:
  python -m include.use_cases new demand --entity store_id --label units --cadence weekly --task regression
  python -m include.use_cases check demand

The page docs/own-model.md leads from there to a running loop."""


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 where a use case is broken; 2 where the request is.
    """
    given = _parser().parse_args(argv)
    try:
        return int(given.run(given))
    except PolicyError as error:
        print(error, file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        prog="python -m include.use_cases", description=__doc__, epilog=EXAMPLE, formatter_class=formatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    listing = commands.add_parser("list", help="one line for each use case")
    listing.set_defaults(run=_list)
    checking = commands.add_parser("check", help="look at the files of one use case, or of all")
    checking.add_argument("name", nargs="?", help="use case; all where left out")
    checking.set_defaults(run=_check)
    making = commands.add_parser(
        "new", help="write the files of a new use case", epilog=EXAMPLE, formatter_class=formatter
    )
    making.add_argument("name", help="of the model: small letters, digits and _; folder, DAG prefix, registered model")
    making.add_argument("--entity", required=True, metavar="KEY", help="column that says who a prediction is about")
    making.add_argument("--label", required=True, metavar="LABEL", help="column to be predicted")
    making.add_argument("--cadence", required=True, choices=[c.value for c in Cadence], help="how often a batch comes")
    making.add_argument("--task", required=True, choices=sorted(TASKS), help="binary: label is 0 or 1")
    making.add_argument("--inputs", default="", metavar="A,B", help="numeric columns known at event_time, if any")
    making.set_defaults(run=_new)
    return parser


def _list(_: argparse.Namespace) -> int:
    found = catalogue()
    for name, use_case in found.use_cases.items():
        print(f"{name:<20} {use_case.task.kind:<11} {use_case.cadence:<8} {use_case.description}")
    for name, error in found.broken.items():
        print(f"{name:<20} broken\n{error}")
    return 1 if found.broken else 0


def _check(given: argparse.Namespace) -> int:
    from include.use_cases.check import check  # imports polars, great_expectations and feast

    reports = [check(name) for name in ([given.name] if given.name else names())]
    print("\n".join(report.text() for report in reports))
    return 0 if all(report.sound for report in reports) else 1


def _new(given: argparse.Namespace) -> int:
    inputs = tuple(column for column in given.inputs.split(",") if column)
    written = new(Choices(given.name, given.entity, given.label, Cadence(given.cadence), given.task, inputs))
    print("\n".join(f"wrote {path}" for path in written))
    print(f"Next: read them in this order, then: python -m include.use_cases check {given.name}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
