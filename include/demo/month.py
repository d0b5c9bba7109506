"""One month of the demo: drop the files, call the REST API, then only watch until the loop is at rest."""

import time
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from include.contracts.data import DatasetSnapshot
from include.contracts.errors import InfraError
from include.contracts.record import Kind, Record
from include.contracts.use_case import UseCase
from include.contracts.verdict import GateVerdict
from include.demo.screen import Screen
from include.ledger import Ledger

POLL_SECONDS = 0.5


class Airflow(Protocol):
    """What the demo asks of Airflow's REST API, as any upstream job would."""

    def trigger(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> bool:
        """Start a run; False where a run of that id was there before."""

    def failed_runs(self) -> list[str]:
        """`dag_id/run_id` of every failed run."""


@dataclass(frozen=True)
class Lived:
    """What one month brought.

    Attributes:
        request: Id of the newest retrain request of the month; empty where none was made.
        seconds: From the call until the loop came to rest.
    """

    key: str
    request: str
    seconds: float


@dataclass
class Month:
    """Drives and watches one batch.

    Args:
        use_case: The declaration.
        key: Batch, such as `2013-03`.
        deadline: Seconds until the loop must have come to rest.
    """

    use_case: UseCase
    key: str
    airflow: Airflow
    ledger: Ledger
    screen: Screen
    deadline: float = 420.0

    @property
    def as_of(self) -> datetime:
        """The moment of the upstream job's call: a day after the month's last labels are known."""
        ends = self.use_case.cadence.ends(self.key, self.use_case.zone)
        return ends + self.use_case.label_delay + timedelta(days=1)

    def live(self) -> Lived:
        """Play the upstream job's call, then watch.

        Returns:
            What the loop did, once it had come to rest.

        Raises:
            InfraError: If a DAG run failed or the deadline passed.
        """
        started, before = time.monotonic(), self.ledger.position(self.use_case.name)
        seen = before
        conf = {"batch": self.key, "reason": f"monthly export {self.key}", "as_of": self.as_of.isoformat()}
        self.screen.now(f"{self.key}: ingestion")
        self.airflow.trigger(f"{self.use_case.name}_ingest", f"ingest-{self.key}", conf)
        while not self._at_rest():
            for record in self._news(seen):
                seen = record.id
                self._show(record)
            self._check(started)
            time.sleep(POLL_SECONDS)
        for record in self._news(seen):
            self._show(record)
        self.screen.month_done()
        asked = [record.key for record in self._since(before, Kind.RETRAIN_REQUESTED)]
        return Lived(self.key, asked[-1] if asked else "", time.monotonic() - started)

    def _at_rest(self) -> bool:
        """The policy has decided on this batch, and every retrain that was asked for is closed."""
        name = self.use_case.name
        decided = self.ledger.find(name, Kind.DECIDED, prefix=f"{self.key}@")
        if not decided:
            return False
        wanted = {record.key for record in self.ledger.find(name, Kind.RETRAIN_REQUESTED)}
        wanted |= {record.payload["request"] for record in decided if record.payload["retrain"]}
        return wanted <= {record.key for record in self.ledger.find(name, Kind.RETRAIN_CLOSED)}

    def _since(self, position: int, *kinds: Kind) -> list[Record]:
        return [record for record in self.ledger.find(self.use_case.name, *kinds) if record.id > position]

    def _news(self, after: int) -> list[Record]:
        return self._since(
            after,
            Kind.FEATURES_MATERIALIZED,
            Kind.BATCH_QUARANTINED,
            Kind.BATCH_SCORED,
            Kind.BATCH_MONITORED,
            Kind.DECIDED,
            Kind.RETRAIN_REQUESTED,
            Kind.TRAINED,
            Kind.JUDGED,
            Kind.RETRAIN_CLOSED,
        )

    def _check(self, started: float) -> None:
        failed = self.airflow.failed_runs()
        if failed:
            raise InfraError(
                "demo", f"failed in Airflow: {', '.join(failed)}", "open its red task's log in the Airflow UI"
            )
        if time.monotonic() - started > self.deadline:
            cause = f"{self.key}: the loop did not come to rest within {self.deadline:.0f} s"
            raise InfraError("demo", cause, "look at the running tasks in the Airflow UI; start again with KEEP=1")

    def _show(self, record: Record) -> None:
        said = record.payload
        match record.kind:
            case Kind.FEATURES_MATERIALIZED:
                self._ingested(record)
            case Kind.BATCH_QUARANTINED:
                self.screen.line(self.key, f"quarantined, see {said['report_uri']}", "red")
            case Kind.BATCH_SCORED:
                self.screen.line("", f"score ✓ {said['rows']:,} flights by v{said['model_version']}")
            case Kind.BATCH_MONITORED:
                self._monitored(record)
            case Kind.DECIDED if not said["retrain"]:  # a retrain is shown once it has been asked for
                self.screen.line("", f"watch: no retrain ({said['reason']})")
            case Kind.RETRAIN_REQUESTED:
                self.screen.line("", f"watch: RETRAIN, {said['reason']}", "yellow")
                self.screen.now(f"{self.key}: retraining")
            case Kind.TRAINED:
                self.screen.now(f"{self.key}: verify, gate")
            case Kind.JUDGED:
                self._judged(GateVerdict.model_validate(said))
            case Kind.RETRAIN_CLOSED:
                self.screen.line("", f"retrain {said['outcome']}: {said['reason']}", "green")

    def _ingested(self, record: Record) -> None:
        name = self.use_case.name
        snapshot = DatasetSnapshot.model_validate(
            self.ledger.find(name, Kind.FEATURES_BUILT, prefix=f"{self.key}@")[-1].payload
        )
        report = self.ledger.find(name, Kind.BATCH_VALIDATED, prefix="raw/" + self.key)[-1].payload
        rows = next(table.rows for table in snapshot.tables if table.name == "spine")
        views = sum(table.name.startswith("features/") for table in snapshot.tables)
        self.screen.line(
            self.key,
            f"ingest ✓ {rows:,} flights   validate ✓ {report['evaluated']}/{report['declared']}   "
            f"features ✓ {views} views   materialize ✓ {record.payload['checked']} keys read back",
        )
        self.screen.now(f"{self.key}: scoring, monitoring")

    def _monitored(self, record: Record) -> None:
        windows = self.ledger.find(self.use_case.name, Kind.WINDOW_MONITORED, prefix=record.key.split("/")[0])
        drifted = sum(window.payload["state"] == "drifted" for window in windows)
        self.screen.line("", f"monitor ✓ {len(windows)} windows, {drifted} drifted")

    def _judged(self, verdict: GateVerdict) -> None:
        passed = sum(check.passed for check in verdict.checks)
        measured = verdict.gain or verdict.metric
        sign = "+" if verdict.gain else ""
        self.screen.line(
            "",
            f"gate {'✓' if verdict.accepted else '✗'} {passed}/{len(verdict.checks)}: {verdict.metric_name} "
            f"{measured.estimate:{sign}.3f} [{measured.low:.3f}, {measured.high:.3f}] on {verdict.rows:,} fresh rows",
        )
