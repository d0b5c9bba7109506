"""One writer at a time, on this machine by a file and on many by the ledger's Postgres."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from include.contracts.errors import InfraError
from include.features.lock import exclusive
from tests.postgres import Postgres

SPAWN = multiprocessing.get_context("spawn")
PATIENCE = 30


@pytest.fixture(params=["sqlite", "postgres"], autouse=True)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    home = tmp_path / "home"
    sqlite = f"sqlite:///{tmp_path / 'ledger.db'}"
    url = request.getfixturevalue("postgres").database() if request.param == "postgres" else sqlite
    monkeypatch.setenv("EVERGREEN_HOME", str(home))
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", url)
    return url


def _hold(name: str, said: Connection) -> None:
    with exclusive(name):
        said.send(time.monotonic())
        said.recv()
        said.send(time.monotonic())


@contextmanager
def another(name: str) -> Iterator[tuple[BaseProcess, Connection]]:
    """A process that takes the lock, says so, and frees it when told."""
    ours, theirs = SPAWN.Pipe()
    process = SPAWN.Process(target=_hold, args=(name, theirs))
    process.start()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join(PATIENCE)


def test_who_waits_gets_it_when_the_holder_is_done() -> None:
    with another("one") as (_, first), another("one") as (_, second):
        holder, waiter = (first, second) if first.poll(PATIENCE) and not second.poll(1) else (second, first)
        holder.recv()
        assert not waiter.poll(1)
        holder.send("done")
        assert holder.poll(PATIENCE)
        freed = holder.recv()
        assert waiter.poll(PATIENCE)
        assert waiter.recv() >= freed


def test_waiting_is_bounded_and_the_error_says_what_is_held() -> None:
    with another("one") as (_, said):
        assert said.poll(PATIENCE)
        began = time.monotonic()
        with (
            pytest.raises(InfraError, match=r"one(\.lock)? is held by another process for 0.3 s"),
            exclusive("one", 0.3),
        ):
            pass
        assert 0.3 <= time.monotonic() - began < 5
        with exclusive("another", 0.3):
            pass


def test_a_killed_holder_holds_nothing() -> None:
    with another("one") as (process, said):
        assert said.poll(PATIENCE)
        process.kill()
        with exclusive("one", PATIENCE):
            pass


def test_an_error_under_the_lock_is_the_callers_and_frees_it() -> None:
    with pytest.raises(ValueError, match="ours"), exclusive("one"):
        raise ValueError("ours")
    with exclusive("one", 0.3):
        pass


@pytest.mark.parametrize("ledger_url", ["postgres"], indirect=True)
def test_a_lock_that_the_server_took_away_is_said(postgres: Postgres) -> None:
    with pytest.raises(InfraError, match="the lock one was lost"), exclusive("one"):
        postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
