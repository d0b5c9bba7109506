"""Batches: how far each stage has come, what is in quarantine, what was predicted and how fast."""

from datetime import datetime

from include.contracts.data import DatasetSnapshot
from include.contracts.record import Kind, Record
from include.contracts.scoring import Scored
from include.metrics.definitions import Samples

STAGES = {
    Kind.BATCH_COMMITTED: "committed",
    Kind.FEATURES_BUILT: "featured",
    Kind.FEATURES_MATERIALIZED: "materialized",
    Kind.BATCH_SCORED: "scored",
}


class Batches:
    """Folds what happened to batches."""

    kinds = frozenset({*STAGES, Kind.BATCH_QUARANTINED, Kind.BATCH_VALIDATED, Kind.QUARANTINE_RULED, Kind.STAGE_COST})

    def __init__(self) -> None:
        self._ends: dict[str, datetime] = {}
        self._built: dict[str, datetime] = {}
        self._held: dict[str, str] = {}
        self._predicted = 0
        self._waiting = 0
        self._speed: float | None = None

    def fold(self, record: Record) -> None:
        """Take one record in."""
        if record.kind in STAGES:
            self._came(record)
        elif record.kind is Kind.BATCH_QUARANTINED:
            self._held[record.key.partition("@")[0]] = record.key
        elif record.kind is Kind.BATCH_VALIDATED:  # this content, or a better file of the same batch
            self._held.pop(record.key.partition("@")[0], None)
        elif record.kind is Kind.QUARANTINE_RULED:
            content = record.key.rpartition("/")[0]
            self._held = {batch: held for batch, held in self._held.items() if held != content}
        elif record.payload["stage"] == "scoring" and self._waiting:
            seconds = record.payload["seconds"]
            self._speed = self._waiting / seconds if seconds > 0 else None
            self._waiting = 0

    def samples(self, clock: datetime) -> Samples:
        """What is known, at the time `clock`."""
        for stage, ends in self._ends.items():
            yield "evergreen_batch_ends_timestamp_seconds", {"stage": stage}, ends.timestamp()
            yield "evergreen_batch_age_seconds", {"stage": stage}, max(0.0, (clock - ends).total_seconds())
        yield "evergreen_quarantined_batches", {}, len(self._held)
        yield "evergreen_predictions_total", {}, self._predicted
        if self._speed is not None:
            yield "evergreen_scoring_rows_per_second", {}, self._speed

    def _came(self, record: Record) -> None:
        if record.kind is Kind.BATCH_SCORED:
            scored = Scored.model_validate(record.payload)
            self._predicted += scored.rows
            self._waiting += scored.rows
            ends: datetime | None = scored.ends
        elif record.kind is Kind.FEATURES_MATERIALIZED:
            ends = self._built.pop(record.key, None)  # the record itself does not say when its batch ends
        else:
            ends = DatasetSnapshot.model_validate(record.payload).ends
            if record.kind is Kind.FEATURES_BUILT:
                self._built[record.key] = ends
        stage = STAGES[record.kind]
        if ends and (stage not in self._ends or ends > self._ends[stage]):
            self._ends[stage] = ends
