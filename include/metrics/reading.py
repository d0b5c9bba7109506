"""Reads the ledger once, and after that only what is new."""

import logging
from collections import defaultdict

from include.ledger import Ledger
from include.metrics.life import Life

log = logging.getLogger("evergreen")

LOOK_BACK = 256
"""Ids read again each time: a transaction may show its smaller id after a larger one."""

PAGE = 1_000


class Reading:
    """What the ledger says, by use case, as far as it was read.

    Attributes:
        position: Id of the newest record that was read.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.lives: dict[str, Life] = defaultdict(Life)
        self.position = 0
        self._seen: set[int] = set()

    def catch_up(self) -> None:
        """Read what was written since the last call; from the beginning where the ledger is another one."""
        page = self._ledger.after(max(0, self.position - LOOK_BACK), PAGE)
        if self.position and self.position not in {record.id for record in page}:
            log.warning("record %d is gone from the ledger: it is read from the beginning", self.position)
            self.lives, self.position, self._seen = defaultdict(Life), 0, set()
            page = self._ledger.after(0, PAGE)
        while page:
            for record in page:
                if record.id not in self._seen:
                    self._seen.add(record.id)
                    self.lives[record.use_case].fold(record)
            self.position = page[-1].id
            page = self._ledger.after(self.position, PAGE) if len(page) == PAGE else []
        self._seen = {number for number in self._seen if number > self.position - LOOK_BACK}
