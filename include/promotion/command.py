"""What a person types: overrule a verdict, roll back, repair the aliases."""

import argparse
import json
import logging
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from include.contracts.errors import EvergreenError
from include.jobs import EXIT, call

Step = Callable[..., dict[str, Any]]


def command(steps: dict[str, Step], argv: list[str]) -> int:
    """`promote VERSION --reason TEXT`, `rollback --reason TEXT [--to VERSION]`, `reconcile`.

    Args:
        steps: `override`, `rollback` and `reconcile`.
        argv: Arguments.

    Returns:
        0, or the exit code of the error's class.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    given = _parser().parse_args(argv)
    arguments: dict[str, Any] = {"use_case": given.use_case, "as_of": given.as_of}
    if given.command == "promote":
        step, arguments = steps["override"], {**arguments, "version": given.version, "reason": given.reason}
    elif given.command == "rollback":
        step, arguments = steps["rollback"], {**arguments, "reason": given.reason, "to_version": given.to}
    else:
        step = steps["reconcile"]
    try:
        print(json.dumps(call(step, "promotion", arguments)))
    except EvergreenError as error:
        return EXIT[type(error).__name__]
    return 0


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--use-case", required=True, help="name of the use case, such as flights")
    now = datetime.now(UTC).isoformat()
    common.add_argument("--as-of", default=now, help="time that it is about, ISO with zone (default: now)")
    parser = argparse.ArgumentParser(prog="python -m include.promotion", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    promote = commands.add_parser(
        "promote", parents=[common], help="make a judged version champion, whatever its verdict"
    )
    promote.add_argument("version", type=int)
    promote.add_argument("--reason", required=True)
    rollback = commands.add_parser("rollback", parents=[common], help="put an earlier champion back")
    rollback.add_argument("--reason", required=True)
    rollback.add_argument("--to", type=int, help="version that was champion once (default: the previous one)")
    commands.add_parser("reconcile", parents=[common], help="set MLflow's aliases to what the ledger says")
    return parser
