"""What the team's stack needs beside its servers.

    python -m include.stack secrets          write .env, or complete it (`make secrets`)
    python -m include.stack backup FOLDER    databases and objects of the running stack into a folder
    python -m include.stack restore FOLDER   put them back

In the stack's own containers: `prepare` makes bucket, ledger and MLflow accounts; `mlflow` is MLflow's server.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from include.stack.compose import StackError

Command = Callable[[argparse.Namespace], int]


def main(argv: list[str] | None = None) -> int:
    """Run one command.

    Returns:
        0; 1 where it failed.
    """
    given = _arguments(argv)
    command: Command = given.run
    expected = (OSError, StackError) if command in (secrets, backup, restore) else _errors()
    try:
        return command(given)
    except expected as error:
        print(error, file=sys.stderr)
        return 1


def _errors() -> tuple[type[Exception], ...]:
    """What a command in a container may say; on a team's machine not even pydantic is there."""
    from include.contracts.errors import EvergreenError

    return (EvergreenError,)


def secrets(given: argparse.Namespace) -> int:
    """Write the stack's `.env`, or complete it."""
    from include.stack.secrets import use_case_names, write_secrets

    made = write_secrets(given.file, use_case_names(Path("include/use_cases")))
    print(f"{given.file}: {len(made)} value(s) made, readable by you alone" if made else f"{given.file} is complete")
    print("Next: docker compose up --detach --wait")
    return 0


def prepare(given: argparse.Namespace) -> int:
    """Make what the servers do not make by themselves; running it again is harmless."""
    from include.ledger import Ledger
    from include.settings import settings
    from include.stack.bucket import make_bucket
    from include.stack.mlflow_accounts import make_accounts
    from include.use_cases import catalogue

    print(f"bucket {given.bucket}: {'made' if make_bucket(given.bucket) else 'there'}", flush=True)
    Ledger.at(settings().ledger_url)
    print("ledger: ready", flush=True)
    make_accounts(catalogue().use_cases)
    print("MLflow's accounts: ready", flush=True)
    return 0


def mlflow(_: argparse.Namespace) -> int:
    """Become MLflow's server."""
    from include.stack.mlflow_server import serve

    serve()


def backup(given: argparse.Namespace) -> int:
    """Copy databases and objects of the running stack into a folder."""
    from include.stack.backup import back_up

    return back_up(given.folder, given.compose)


def restore(given: argparse.Namespace) -> int:
    """Put a backup back."""
    from include.stack.restore import put_back

    return put_back(given.folder, given.compose)


def objects(given: argparse.Namespace) -> int:
    """Pour the bucket's objects into standard output as a tar, or back from standard input."""
    from include.stack.objects import pour_in, pour_out

    count = pour_out(given.bucket, sys.stdout.buffer) if given.way == "out" else pour_in(given.bucket, sys.stdin.buffer)
    print(f"{count} objects", file=sys.stderr)
    return 0


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    form = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m include.stack", description=__doc__, formatter_class=form)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Command) -> argparse.ArgumentParser:
        added = commands.add_parser(command.__name__, help=command.__doc__, description=command.__doc__)
        added.set_defaults(run=command)
        return added

    add(secrets).add_argument("--file", type=Path, default=Path(".env"), help="default: .env")
    add(prepare).add_argument("--bucket", default="evergreen", help="default: evergreen")
    add(mlflow)
    for command in (backup, restore):
        added = add(command)
        added.add_argument("folder", type=Path, help="of the backup")
        added.add_argument("--compose", default="docker compose", help="default: docker compose")
    moved = add(objects)
    moved.add_argument("way", choices=("out", "in"))
    moved.add_argument("--bucket", default="evergreen", help="default: evergreen")
    return parser.parse_args(argv)


if __name__ == "__main__":
    raise SystemExit(main())
