"""Everything that is known about one use case, folded record by record."""

import math
from collections import Counter
from datetime import UTC, datetime

from include.contracts.record import Kind, Record
from include.contracts.use_case import Cadence, UseCase
from include.metrics.batches import Batches
from include.metrics.champions import Champions
from include.metrics.costs import Costs
from include.metrics.definitions import Samples
from include.metrics.retrains import Retrains
from include.metrics.windows import Windows
from include.policy.clock import FACTS, is_replay

DAY = 86_400
CADENCE_SECONDS = {Cadence.DAILY: DAY, Cadence.WEEKLY: 7 * DAY, Cadence.MONTHLY: 31 * DAY}


class Life:
    """One use case. Its clock is the policy's: the wall clock, or what a replay has reached."""

    def __init__(self) -> None:
        self._retrains = Retrains()
        self._folds = (Champions(), Windows(), Batches(), self._retrains, Costs())
        self._kinds = Counter[Kind]()
        self._newest: Record | None = None
        self._latest = datetime.min.replace(tzinfo=UTC)

    def fold(self, record: Record) -> None:
        """Take one record in; each is to come once."""
        self._kinds[record.kind] += 1
        if record.kind in FACTS:
            self._newest = record
            self._latest = max(self._latest, record.as_of)
        for fold in self._folds:
            if record.kind in fold.kinds:
                fold.fold(record)

    def samples(self, now: datetime, use_case: UseCase | None) -> Samples:
        """All metrics.

        Args:
            now: Wall clock, UTC.
            use_case: The declaration; None where it is broken or gone.
        """
        replay = self._newest is not None and is_replay(self._newest)
        clock = self._latest if replay else now
        yield "evergreen_replay", {}, replay
        yield "evergreen_clock_timestamp_seconds", {}, clock.timestamp()
        for kind, count in self._kinds.items():
            yield "evergreen_records_total", {"kind": kind.value}, count
        for fold in self._folds:
            yield from fold.samples(clock)
        if use_case is not None:
            yield from self._declared(use_case, clock)

    def _declared(self, use_case: UseCase, clock: datetime) -> Samples:
        yield "evergreen_cadence_seconds", {}, CADENCE_SECONDS[use_case.cadence]
        yield "evergreen_breaker_open", {}, self._retrains.is_breaker_open(use_case, clock)
        yield "evergreen_policy_decay", {}, use_case.retraining.decay
        limit = use_case.retraining.maximum_age
        yield "evergreen_policy_maximum_age_seconds", {}, limit.total_seconds() if limit else math.inf
