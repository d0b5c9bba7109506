"""A ledger that has lived: champions, a rollback, rejections, a failure, a request in flight, a batch in quarantine."""

from datetime import UTC, datetime, timedelta
from typing import Any

from include.contracts.data import DatasetSnapshot, ExpectationOutcome, ValidationReport
from include.contracts.decision import Outcome, RetrainDecision, RetrainRequest, Rule
from include.contracts.frozen import Frozen
from include.contracts.monitoring import ColumnDrift, DriftReport, WindowState
from include.contracts.record import Kind, Record
from include.contracts.scoring import Scored
from include.contracts.training import Cost
from include.contracts.verdict import Champion, Check, GateVerdict, Interval
from include.ledger import Ledger

NAME = "flights"
DAY = timedelta(days=1)
WEEK = timedelta(days=7)
STAGES = ("features", "training", "evaluation", "promotion")


class Life:
    """Writes what the stages write.

    Args:
        ledger: Where.
        now: The time that the newest fact is about.
    """

    def __init__(self, ledger: Ledger, now: datetime | None = None) -> None:
        self.ledger, self.now = ledger, now or datetime.now(UTC)

    def live(self) -> None:
        """Everything, in the order of time."""
        for week in range(3):
            self.batch(week)
        self.retrain("r1", 1, accepted=True, rule=Rule.FIRST_CHAMPION)
        self.window(0, WindowState.STABLE, 0.79)
        self.window(1, WindowState.DRIFTED, 0.71)
        self.decided(Rule.PERFORMANCE_DECAY, "r2")
        self.retrain("r2", 2, accepted=True)
        self.rolled_back(3)
        for request in ("r3", "r4", "r5"):
            self.retrain(request, 3, accepted=False)
        self.decided(None, "", breaker_open=True)
        self.window(2, WindowState.DRIFTED, 0.70)
        self.quarantined("w9")
        self.request("r6", Rule.REQUESTED)
        self.cost("training", "step", 0.001, "r6")
        self.closed("r6", Outcome.FAILED, "train: the pod was evicted")
        self.request("r7", Rule.REQUESTED)

    def write(self, kind: Kind, key: str, payload: Frozen | dict[str, Any], run_id: str = "") -> Record:
        """One record."""
        told = payload.model_dump(mode="json") if isinstance(payload, Frozen) else payload
        record = Record(use_case=NAME, kind=kind, key=key, as_of=self.now, payload=told, run_id=run_id)
        return self.ledger.append(record)

    def batch(self, week: int) -> None:
        """A batch that comes in and is scored."""
        key, starts = f"w{week}@d{week}", self.now - (4 - week) * WEEK
        common = {"batch": f"w{week}", "starts": starts, "ends": starts + WEEK}
        snapshot = DatasetSnapshot(tables=(), digest=f"d{week}", **common)
        self.write(Kind.BATCH_VALIDATED, f"raw/{key}", self.report(f"w{week}", "raw", True))
        self.write(Kind.BATCH_COMMITTED, key, snapshot)
        self.write(Kind.FEATURES_BUILT, key, snapshot)
        self.write(Kind.BATCH_VALIDATED, f"features/{key}", self.report(f"w{week}", "features", True))
        self.write(Kind.FEATURES_MATERIALIZED, key, {"keys": 10, "checked": 10, "rows": 10})
        scored = {"data_version": "d", "model_version": 1, "model_digest": "m", "uri": "u", "table_version": week}
        self.write(Kind.BATCH_SCORED, key, Scored(rows=5_000, **scored, **common))
        self.cost("scoring", "score", 2.0)

    def report(self, batch: str, suite: str, success: bool) -> ValidationReport:
        """How a batch was judged."""
        failure = ExpectationOutcome(table="flights", expectation="not null", column="tailnum", success=False)
        failures = () if success else (failure,)
        return ValidationReport(
            batch=batch, suite=suite, declared=3, evaluated=3, success=success, failures=failures, report_uri="r.md"
        )

    def quarantined(self, batch: str, digest: str = "bad") -> Record:
        """A batch that did not pass."""
        return self.write(Kind.BATCH_QUARANTINED, f"raw/{batch}@{digest}", self.report(batch, "raw", False))

    def window(self, week: int, state: WindowState, metric: float | None) -> None:
        """A monitored window of the newest champion."""
        starts, drifted = self.now - (4 - week) * WEEK, state is WindowState.DRIFTED
        score = 0.4 if drifted else 0.05
        column = ColumnDrift(column="temp", method="w", score=score, threshold=0.2, drifted=drifted, importance=0.3)
        calm = ColumnDrift(column="dewp", method="w", score=0.1, threshold=0.2, drifted=False, importance=0.2)
        report = DriftReport(
            use_case=NAME,
            batch=f"w{week}",
            starts=starts,
            ends=starts + WEEK,
            as_of=self.now,
            model_version=1,
            state=state,
            rows=5_000,
            labelled=0 if metric is None else 4_900,
            columns=(column, calm),
            drifted_importance=0.3 if drifted else 0.0,
            prediction_drift=column,
            metric=metric,
            baseline=0.80,
        )
        labels = "" if metric is None else "/labelled"
        self.write(Kind.WINDOW_MONITORED, f"w{week}@d{week}/{starts.isoformat()}/v1{labels}", report)

    def decided(self, rule: Rule | None, request: str, breaker_open: bool = False) -> None:
        """What the policy said."""
        decision = RetrainDecision(
            use_case=NAME,
            as_of=self.now,
            retrain=bool(request),
            rule=rule,
            reason="the breaker is open" if breaker_open else "because",
            request=request,
            data_version="d",
            champion_version=1,
            breaker_open=breaker_open,
        )
        self.write(Kind.DECIDED, f"decision {request or self.ledger.position(NAME)}", decision)

    def request(self, request: str, rule: Rule) -> None:
        """A request to retrain."""
        asked = RetrainRequest(
            id=request, rule=rule, automatic=True, as_of=self.now, data_version="d", reason="because"
        )
        self.write(Kind.RETRAIN_REQUESTED, request, asked)

    def closed(self, request: str, outcome: Outcome, reason: str) -> None:
        """How it ended."""
        self.write(Kind.RETRAIN_CLOSED, request, {"outcome": outcome.value, "reason": reason, "version": None})

    def retrain(self, request: str, version: int, accepted: bool, rule: Rule = Rule.PERFORMANCE_DECAY) -> None:
        """A retrain from request to ending."""
        self.request(request, rule)
        for stage in STAGES:
            self.cost(stage, "step", 0.001, request)
        row = self.ledger.champion(NAME)
        revision = row.revision if row else 0
        verdict = self.verdict(request, accepted, row)
        self.write(Kind.JUDGED, f"{request}/{revision}", verdict)
        if accepted:
            assert self.ledger.swap_champion(self.row(version, revision + 1, f"{request}/{revision}"))
        self.closed(request, Outcome.PROMOTED if accepted else Outcome.REJECTED, "the gate's verdict")

    def verdict(self, request: str, accepted: bool, row: Champion | None) -> GateVerdict:
        """What the gate said."""
        return GateVerdict(
            use_case=NAME,
            request=request,
            as_of=self.now,
            manifest_uri="m.json",
            model_digest="m",
            champion_version=row.version if row else None,
            champion_revision=row.revision if row else 0,
            rows=9_000,
            fresh_from=self.now - WEEK,
            fresh_to=self.now,
            metric_name="roc_auc",
            metric=Interval(estimate=0.8, low=0.79, high=0.81),
            champion_metric=None,
            gain=Interval(estimate=0.01, low=-0.01, high=0.03) if row else None,
            checks=(
                Check(name="quality", passed=accepted, value="+0.01", bound="low > 0"),
                Check(name="calibration", passed=True, value="0.01", bound="0.05"),
            ),
            accepted=accepted,
        )

    def row(self, version: int, revision: int, evaluation: str, reason: str = "") -> Champion:
        """A champion row."""
        return Champion(
            use_case=NAME,
            version=version,
            revision=revision,
            model_uri="m.ubj",
            model_digest="m",
            manifest_uri="m.json",
            metric=0.8,
            evaluation=evaluation,
            previous=version - 1 or None,
            since=self.now - DAY,
            reason=reason,
        )

    def rolled_back(self, revision: int) -> None:
        """Version 1 comes back."""
        assert self.ledger.swap_champion(self.row(1, revision, "r1/0", "rollback: it was too eager"))

    def cost(self, stage: str, step: str, seconds: float, run_id: str = "") -> None:
        """What a step used."""
        used = Cost(seconds=seconds, cpu_seconds=2 * seconds, peak_bytes=1 << 30)
        number = self.ledger.position(NAME)
        told = {"stage": stage, "step": step, **used.model_dump()}
        self.write(Kind.STAGE_COST, f"{stage}.{step}/{number}", told, run_id)
