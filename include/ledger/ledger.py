"""Append, find, and change the champion row by compare-and-swap (SQLAlchemy; SQLite or Postgres)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    NullPool,
    RowMapping,
    Select,
    create_engine,
    event,
    func,
    insert,
    inspect,
    select,
    update,
)
from sqlalchemy.exc import DBAPIError, IntegrityError

from include.contracts.record import Kind, Record
from include.contracts.verdict import Champion
from include.ledger.advisory import lock
from include.ledger.schema import CHAMPION, RECORD

CREATION_SECONDS = 10.0
WRITING_SECONDS = 30.0
"""How long a writer waits for the others: SQLite's `busy_timeout`, Postgres's `lock_timeout`."""


class Ledger:
    """The record of every decision.

    Args:
        engine: Engine of a migrated database; `Ledger.at` makes one from a URL.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def at(cls, url: str) -> "Ledger":
        """The ledger at a SQLAlchemy URL, created on first use."""
        return cls(_engine(url))

    def append(self, record: Record) -> Record:
        """Write a record once.

        Returns:
            The record as it stands in the ledger: the earlier one where (use case, kind, key) was already written.
        """
        row = {
            **record.model_dump(mode="json", include={"use_case", "key", "run_id", "payload"}),
            "kind": record.kind.value,
            "as_of": record.as_of,
            "created_at": datetime.now(UTC),
        }
        try:
            with self._writing() as connection:
                connection.execute(insert(RECORD).values(row))
        except IntegrityError:  # the unique key holds: somebody wrote this fact before
            pass
        found = self.get(record.use_case, record.kind, record.key)
        if found is None:
            raise LookupError(f"{record.kind} {record.key} was refused by the ledger for another reason than its key")
        return found

    def get(self, use_case: str, kind: Kind, key: str) -> Record | None:
        """One record by its key."""
        query = _records(use_case, kind).where(RECORD.c.key == key)
        return next(iter(self._read(query)), None)

    def find(self, use_case: str, *kinds: Kind, prefix: str = "") -> list[Record]:
        """All records of `kinds` whose key begins with `prefix`, oldest first."""
        query = _records(use_case, *kinds)
        if prefix:
            query = query.where(RECORD.c.key.startswith(prefix, autoescape=True))
        return self._read(query)

    def recent(self, use_case: str, written_after: datetime, *kinds: Kind) -> list[Record]:
        """All records of `kinds` that were written after a wall-clock time, UTC, oldest first."""
        return self._read(_records(use_case, *kinds).where(RECORD.c.created_at > written_after))

    def after(self, position: int, limit: int) -> list[Record]:
        """The first `limit` records of all use cases whose id is greater than `position`, in the order of ids.

        On Postgres a smaller id may become visible after a larger one, by the length of a transaction: a reader that
        goes on from where it was looks some ids back.
        """
        return self._read(select(RECORD).where(RECORD.c.id > position).order_by(RECORD.c.id).limit(limit))

    def newest(self, use_case: str, *kinds: Kind) -> Record | None:
        """The newest record of `kinds`."""
        query = _records(use_case, *kinds).order_by(None).order_by(RECORD.c.id.desc()).limit(1)
        return next(iter(self._read(query)), None)

    def latest(self, use_case: str, *kinds: Kind) -> datetime | None:
        """The latest `as_of` among the records of `kinds`."""
        names = [kind.value for kind in kinds]
        query = select(func.max(RECORD.c.as_of)).where(RECORD.c.use_case == use_case, RECORD.c.kind.in_(names))
        with self.engine.connect() as connection:
            found = connection.execute(query).scalar()
        return _utc(found) if found else None

    def position(self, use_case: str) -> int:
        """Id of the newest record: a cheap answer to "has anything happened?"."""
        query = select(func.max(RECORD.c.id)).where(RECORD.c.use_case == use_case)
        with self.engine.connect() as connection:
            return connection.execute(query).scalar() or 0

    def champion(self, use_case: str) -> Champion | None:
        """The champion row, or None before the first promotion."""
        query = select(CHAMPION.c.payload).where(CHAMPION.c.use_case == use_case)
        with self.engine.connect() as connection:
            payload = connection.execute(query).scalar()
        return Champion.model_validate(payload) if payload else None

    def swap_champion(self, champion: Champion, run_id: str = "") -> bool:
        """Make `champion` the row if the row still is at the revision before, and record the change with it.

        Returns:
            False where somebody else changed the row first; nothing is written then.
        """
        values = {"revision": champion.revision, "payload": champion.model_dump(mode="json")}
        try:
            with self._writing() as connection:
                if champion.revision == 1:
                    connection.execute(insert(CHAMPION).values(use_case=champion.use_case, **values))
                else:
                    matched = connection.execute(
                        update(CHAMPION)
                        .where(CHAMPION.c.use_case == champion.use_case, CHAMPION.c.revision == champion.revision - 1)
                        .values(**values)
                    )
                    if matched.rowcount != 1:
                        return False
                connection.execute(
                    insert(RECORD).values(
                        use_case=champion.use_case,
                        kind=Kind.PROMOTED.value,
                        key=str(champion.revision),
                        as_of=champion.since,
                        created_at=datetime.now(UTC),
                        run_id=run_id,
                        payload=values["payload"],
                    )
                )
        except IntegrityError:
            return False
        return True

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """A transaction in which ids are given in the order in which records become visible.

        SQLite has one writer anyway. Postgres has many, and a record with a smaller id that came to light after a
        greater one would be missed by everyone who asks for what is new since a `position`.
        """
        with self.engine.begin() as connection:
            if connection.dialect.name == "postgresql":
                lock(connection, "record", WRITING_SECONDS)
            yield connection

    def _read(self, query: "Select[Any]") -> list[Record]:
        with self.engine.connect() as connection:
            return [_record(row) for row in connection.execute(query).mappings()]


def _records(use_case: str, *kinds: Kind) -> "Select[Any]":
    names = [kind.value for kind in kinds]
    return select(RECORD).where(RECORD.c.use_case == use_case, RECORD.c.kind.in_(names)).order_by(RECORD.c.id)


def _record(row: RowMapping) -> Record:
    return Record.model_validate({**row, "as_of": _utc(row["as_of"]), "created_at": _utc(row["created_at"])})


def _utc(time: datetime) -> datetime:
    """SQLite gives back naive times, all of them written in UTC; Postgres those of the session's zone."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


@lru_cache(maxsize=8)
def _engine(url: str) -> Engine:
    engine = create_engine(url, poolclass=NullPool)  # tasks fork and live for seconds: nothing to pool
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _tune_sqlite)
    if not inspect(engine).has_table(CHAMPION.name):
        _create(engine)
    return engine


def _create(engine: Engine) -> None:
    """Make the tables; of several processes that open a new ledger at once, one does and the others wait for it."""
    from include.ledger.migrate import migrate  # here: alembic is 0.2 s that a finished ledger never pays

    until = time.monotonic() + CREATION_SECONDS
    while not inspect(engine).has_table(CHAMPION.name):  # it is made last
        try:
            if engine.dialect.name == "sqlite":
                with engine.connect() as connection:
                    connection.exec_driver_sql("PRAGMA journal_mode = WAL")  # it stays with the file
            migrate(engine)
        except DBAPIError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)


def _tune_sqlite(connection: Any, _: object) -> None:
    connection.execute(f"PRAGMA busy_timeout = {WRITING_SECONDS * 1000:.0f}")
    connection.execute("PRAGMA synchronous = NORMAL")
