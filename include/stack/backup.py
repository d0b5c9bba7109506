"""Databases and objects of the running stack into a folder; nothing has to stop for it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from include.stack.compose import DATABASES, Stack

INDEX = "backup.json"
OBJECTS = "objects.tar"


def back_up(folder: Path, compose: str = "docker compose") -> int:
    """Copy the databases, then the objects.

    In this order, because a record names only objects that are there before it: whatever the copied ledger speaks of
    is among the copied objects. What is written meanwhile is left out, or is an object that nobody speaks of yet.

    Args:
        folder: New or empty; 0700.
        compose: The program that reaches the stack.

    Returns:
        0.

    Raises:
        StackError: If a part could not be copied.
        FileExistsError: If the folder holds a backup.
    """
    stack = Stack(compose)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if (folder / INDEX).exists():
        raise FileExistsError(f"{folder} holds a backup already; name another folder")
    began, digests = datetime.now(UTC), {}
    for name in DATABASES:
        target = folder / f"{name}.dump"
        dump = ["pg_dump", "--username", "postgres", "--format", "custom", name]
        digests[target.name] = stack.read(target, "exec", "-T", "postgres", *dump)
        _say(target)
    pour = ["run", "--rm", "-T", "--no-deps", "prepare", "python", "-m", "include.stack", "objects", "out"]
    digests[OBJECTS] = stack.read(folder / OBJECTS, *pour)
    _say(folder / OBJECTS)
    index = {"began": began.isoformat(), "ended": datetime.now(UTC).isoformat(), "sha256": digests}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n")  # last: without it, it is no backup
    print(f"{folder} is complete. Keep .env with it: the keys in it open what Airflow has encrypted.")
    return 0


def _say(path: Path) -> None:
    print(f"  {path.name:<14} {path.stat().st_size / 1e6:>10,.2f} MB", flush=True)
