"""Whoever looks on while servers are killed asks again: an upstream job and a person would too."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError

from include.contracts.errors import InfraError
from include.contracts.record import Record
from include.ledger import Ledger

T = TypeVar("T")
SECONDS = 180.0


def patiently(ask: Callable[[], T]) -> T:
    """What `ask` says, as soon as whoever it asks is there again.

    Raises:
        Exception: What it still raises after three minutes.
    """
    until = time.monotonic() + SECONDS
    while True:
        try:
            return ask()
        except (InfraError, DBAPIError):
            if time.monotonic() > until:
                raise
            time.sleep(1)


class PatientLedger(Ledger):
    """A ledger whose database may be away for a moment."""

    def _read(self, query: "Select[Any]") -> list[Record]:
        return patiently(lambda: super(PatientLedger, self)._read(query))

    def position(self, use_case: str) -> int:
        """Id of the newest record."""
        return patiently(lambda: super(PatientLedger, self).position(use_case))
