"""What steps used, and what a retrain used in all."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from datetime import datetime

from include.contracts.record import Kind, Record
from include.metrics.definitions import Samples


@dataclass
class _Spent:
    """One retrain; sums by stage."""

    asked: datetime
    took: float | None = None
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    peak_bytes: dict[str, int] = field(default_factory=lambda: defaultdict(int))


class Costs:
    """Folds what steps used; a step belongs to the retrain whose DAG run it ran for."""

    kinds = frozenset({Kind.STAGE_COST, Kind.RETRAIN_REQUESTED, Kind.RETRAIN_CLOSED})

    def __init__(self) -> None:
        self._runs = Counter[tuple[str, str]]()
        self._seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._cpu_seconds: dict[tuple[str, str], float] = defaultdict(float)
        self._peak_bytes: dict[tuple[str, str], int] = {}
        self._retrains: dict[str, _Spent] = {}
        self._newest: _Spent | None = None

    def fold(self, record: Record) -> None:
        """Take one record in."""
        if record.kind is Kind.STAGE_COST:
            self._used(record)
        elif record.kind is Kind.RETRAIN_REQUESTED:
            self._retrains[record.key] = _Spent(record.created_at or record.as_of)
        elif record.key in self._retrains:
            spent = self._retrains[record.key]
            spent.took = ((record.created_at or record.as_of) - spent.asked).total_seconds()
            self._newest = spent
            self._retrains = {key: one for key, one in self._retrains.items() if one is spent or one.took is None}

    def samples(self, _: datetime) -> Samples:
        """What is known."""
        for (stage, step), count in self._runs.items():
            labels = {"stage": stage, "step": step}
            yield "evergreen_stage_runs_total", labels, count
            yield "evergreen_stage_seconds_total", labels, self._seconds[stage, step]
            yield "evergreen_stage_cpu_seconds_total", labels, self._cpu_seconds[stage, step]
            yield "evergreen_stage_peak_bytes", labels, self._peak_bytes[stage, step]
        if self._newest is None or self._newest.took is None:
            return
        yield "evergreen_retrain_seconds", {}, self._newest.took
        if self._newest.seconds:  # whoever ran its steps said for which request
            steps = sum(self._newest.seconds.values())
            yield "evergreen_retrain_overhead_seconds", {}, max(0.0, self._newest.took - steps)
        for stage, seconds in self._newest.seconds.items():
            yield "evergreen_retrain_stage_seconds", {"stage": stage}, seconds
            yield "evergreen_retrain_stage_cpu_seconds", {"stage": stage}, self._newest.cpu_seconds[stage]
            yield "evergreen_retrain_stage_peak_bytes", {"stage": stage}, self._newest.peak_bytes[stage]

    def _used(self, record: Record) -> None:
        cost = record.payload
        name = (cost["stage"], cost["step"])
        self._runs[name] += 1
        self._seconds[name] += cost["seconds"]
        self._cpu_seconds[name] += cost["cpu_seconds"]
        self._peak_bytes[name] = cost["peak_bytes"]
        spent = self._retrains.get(record.run_id)
        if spent and name != ("policy", "close"):  # what ends it is written before its own cost is
            spent.seconds[name[0]] += cost["seconds"]
            spent.cpu_seconds[name[0]] += cost["cpu_seconds"]
            spent.peak_bytes[name[0]] = max(spent.peak_bytes[name[0]], cost["peak_bytes"])
