"""A lock by name in a Postgres database: for everyone who reaches the database, on whatever machine."""

import hashlib

from sqlalchemy import Connection, func, select

DEAD_AFTER = {"tcp_keepalives_idle": 30, "tcp_keepalives_interval": 10, "tcp_keepalives_count": 3}
"""With these the server notices within a minute that the holder's machine is gone (seconds, seconds, times)."""


def lock(connection: Connection, name: str, seconds: float) -> None:
    """Take the lock until the connection's transaction ends, however it ends.

    The lock is the transaction's and not the session's, so that it also holds behind a pooler that hands out sessions
    by the transaction. Who waits is served in the order of asking.

    Args:
        connection: Of a Postgres database, in the transaction that shall hold the lock.
        name: What is locked; others that say the same name wait.
        seconds: How long to wait for the holder.

    Raises:
        sqlalchemy.exc.OperationalError: If it is still held after `seconds`, or the database is gone.
    """
    given = {"lock_timeout": max(1, int(seconds * 1000)), "idle_in_transaction_session_timeout": 0, **DEAD_AFTER}
    connection.execute(select(*(func.set_config(name, str(value), True) for name, value in given.items())))
    connection.execute(select(func.pg_advisory_xact_lock(lock_key(name))))


def lock_key(name: str) -> int:
    """The 64-bit number that stands for `name` in the server."""
    return int.from_bytes(hashlib.sha256(f"evergreen/{name}".encode()).digest()[:8], signed=True)
