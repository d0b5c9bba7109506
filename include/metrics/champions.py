"""Champions: which, since when, how, and how long it took from the reason to the promotion."""

from datetime import datetime

from include.contracts.monitoring import WindowState
from include.contracts.record import Kind, Record
from include.contracts.verdict import Champion
from include.metrics.definitions import Samples

HOWS = ("gate", "override", "rollback")


class Champions:
    """Folds promotions, and what led to them."""

    kinds = frozenset({Kind.PROMOTED, Kind.DECIDED, Kind.RETRAIN_REQUESTED, Kind.WINDOW_MONITORED})

    def __init__(self) -> None:
        self.row: Champion | None = None
        self._promotions = dict.fromkeys(HOWS, 0)
        self._decided: dict[str, datetime] = {}
        self._requested: dict[str, datetime] = {}
        self._drifted: datetime | None = None
        self._took: dict[str, float] = {}

    def fold(self, record: Record) -> None:
        """Take one record in."""
        written = record.created_at or record.as_of
        if record.kind is Kind.PROMOTED:
            self._promoted(Champion.model_validate(record.payload), written)
        elif record.kind is Kind.RETRAIN_REQUESTED:
            self._requested[record.key] = written
        elif record.kind is Kind.DECIDED and record.payload["retrain"]:
            self._decided.setdefault(record.payload["request"], written)
        elif record.kind is Kind.WINDOW_MONITORED and record.payload["state"] == WindowState.DRIFTED.value:
            self._drifted = self._drifted or written

    def samples(self, clock: datetime) -> Samples:
        """What is known, at the time `clock`."""
        for how, count in self._promotions.items():
            yield "evergreen_promotions_total", {"how": how}, count
        if self.row is None:
            return
        previous = str(self.row.previous or "")
        labels = {"version": str(self.row.version), "previous": previous, "how": made(self.row)}
        yield "evergreen_champion_info", labels, 1
        yield "evergreen_champion_version", {}, self.row.version
        yield "evergreen_champion_since_timestamp_seconds", {}, self.row.since.timestamp()
        yield "evergreen_champion_age_seconds", {}, max(0.0, (clock - self.row.since).total_seconds())
        yield "evergreen_champion_metric", {}, self.row.metric
        for since, seconds in self._took.items():
            yield "evergreen_time_to_champion_seconds", {"since": since}, seconds

    def _promoted(self, row: Champion, written: datetime) -> None:
        how = made(row)
        self._promotions[how] += 1
        self.row = row
        if how == "gate":
            request = row.evaluation.rpartition("/")[0]
            began = {
                "drift": self._drifted,
                "decision": self._decided.get(request),
                "request": self._requested.get(request),
            }
            self._took = {since: (written - at).total_seconds() for since, at in began.items() if at}
        self._drifted, self._decided, self._requested = None, {}, {}


def made(row: Champion) -> str:
    """How a row became champion: by the gate's verdict, by a person's override, or by a rollback."""
    if not row.reason:
        return "gate"
    return "rollback" if row.reason.startswith("rollback") else "override"
