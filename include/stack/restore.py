"""A backup back into the stack: everything that writes stops, and starts again afterwards."""

import json
from pathlib import Path

from include.stack.backup import INDEX, OBJECTS
from include.stack.compose import DATABASES, WRITERS, Stack, StackError, digest


def put_back(folder: Path, compose: str = "docker compose") -> int:
    """Make databases and bucket what they were.

    Args:
        folder: Of the backup.
        compose: The program that reaches the stack.

    Returns:
        0.

    Raises:
        StackError: If the backup is not whole, or a part could not be put back; run it again then.
    """
    check(folder)
    stack = Stack(compose)
    print("  stopping what writes", flush=True)
    stack.run("stop", *WRITERS)
    stack.run("up", "--detach", "--wait", "--no-deps", "postgres", "seaweedfs")
    for name, owner in DATABASES.items():
        _database(stack, name, owner, folder / f"{name}.dump")
        print(f"  {name}: back", flush=True)
    pour = ["run", "--rm", "-T", "--no-deps", "prepare", "python", "-m", "include.stack", "objects", "in"]
    stack.write(folder / OBJECTS, *pour)
    print("  objects: back\n  starting", flush=True)
    stack.run("up", "--detach", "--wait", *WRITERS)
    print("The stack is what it was. Features go online again with each use case's next batch.")
    return 0


def check(folder: Path) -> None:
    """See that a backup is whole.

    Raises:
        StackError: If it is not; names the file.
    """
    index = folder / INDEX
    if not index.exists():
        raise StackError(f"{folder} has no {INDEX}: it is no backup, or one that was cut off")
    for name, wanted in json.loads(index.read_text())["sha256"].items():
        path = folder / name
        if not path.exists() or digest(path) != wanted:
            raise StackError(f"{path} is not what the backup wrote; nothing was changed")


def _database(stack: Stack, name: str, owner: str, dump: Path) -> None:
    psql = ["exec", "-T", "postgres", "psql", "--username", "postgres", "--dbname", "postgres", "--quiet"]
    drop = f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"
    for statement in (drop, f"CREATE DATABASE {name} OWNER {owner}", f"REVOKE ALL ON DATABASE {name} FROM PUBLIC"):
        stack.run(*psql, "--set", "ON_ERROR_STOP=1", "--command", statement)
    restore = ["pg_restore", "--username", "postgres", "--dbname", name, "--exit-on-error"]
    stack.write(dump, "exec", "-T", "postgres", *restore)
