"""What the metrics say about a life, read in one go or record by record, by one reader or after a restart."""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter

import pytest
from sqlalchemy import delete, insert

from include.contracts.decision import Outcome, Rule
from include.contracts.monitoring import WindowState
from include.contracts.record import Kind
from include.ledger import Ledger
from include.ledger.schema import RECORD
from include.metrics.collector import LedgerCollector
from include.metrics.definitions import METRICS
from tests.observability.lived import DAY, NAME, WEEK, Life

Values = dict[tuple[str, tuple[tuple[str, str], ...]], float]
MOVING = {"evergreen_clock_timestamp_seconds", "evergreen_champion_age_seconds", "evergreen_batch_age_seconds"} | {
    "evergreen_request_age_seconds"
}
LONG = 100_000


def values(collector: LedgerCollector) -> Values:
    """Every value, by metric and sorted labels."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in collector.collect()
        for sample in family.samples
    }


def of(found: Values, name: str, **labels: str) -> float:
    """One value of the use case."""
    return found[name, tuple(sorted({"use_case": NAME, **labels}.items()))]


def still(found: Values) -> Values:
    """What does not move with the wall clock."""
    return {key: value for key, value in found.items() if key[0] not in MOVING}


def test_a_life_in_numbers(ledger: Ledger) -> None:
    Life(ledger).live()
    found = values(LedgerCollector(ledger))
    assert of(found, "evergreen_champion_version") == 1
    assert of(found, "evergreen_champion_info", version="1", previous="", how="rollback") == 1
    assert of(found, "evergreen_champion_age_seconds") == pytest.approx(DAY.total_seconds(), abs=60)
    assert of(found, "evergreen_promotions_total", how="gate") == 2
    assert of(found, "evergreen_promotions_total", how="rollback") == 1
    for since in ("drift", "decision", "request"):
        assert 0 <= of(found, "evergreen_time_to_champion_seconds", since=since) < 60
    assert of(found, "evergreen_windows", state="drifted") == 2
    assert of(found, "evergreen_window_drift_ratio") == 0.5
    assert of(found, "evergreen_window_column_drift_ratio", column="temp") == 2
    assert of(found, "evergreen_window_metric") == 0.70
    assert of(found, "evergreen_batch_age_seconds", stage="scored") == pytest.approx(WEEK.total_seconds(), abs=60)
    assert of(found, "evergreen_batch_ends_timestamp_seconds", stage="materialized") == of(
        found, "evergreen_batch_ends_timestamp_seconds", stage="scored"
    )
    assert of(found, "evergreen_quarantined_batches") == 1
    assert of(found, "evergreen_predictions_total") == 15_000
    assert of(found, "evergreen_scoring_rows_per_second") == 2_500
    assert of(found, "evergreen_decisions_total", rule="performance_decay", retrain="true") == 1
    assert of(found, "evergreen_retrains_total", outcome="rejected") == 3
    assert of(found, "evergreen_retrain_last_outcome", outcome="failed") == 1
    assert of(found, "evergreen_requests_in_flight") == 1
    assert of(found, "evergreen_gate_failed_checks_total", check="quality") == 3
    assert of(found, "evergreen_gate_failed_checks_total", check="calibration") == 0
    assert of(found, "evergreen_breaker_open") == 1
    assert of(found, "evergreen_policy_maximum_age_seconds") == math.inf
    assert of(found, "evergreen_stage_runs_total", stage="training", step="step") == 6
    assert {name for name, _ in found} == {metric.name for metric in METRICS}


def test_reading_bit_by_bit_is_reading_at_once(ledger: Ledger) -> None:
    growing = LedgerCollector(ledger)
    life = Life(ledger)
    for week in range(3):
        life.batch(week)
        values(growing)
    life.retrain("r1", 1, accepted=True)
    values(growing)
    life.window(0, WindowState.DRIFTED, None)
    values(growing)
    life.window(0, WindowState.DRIFTED, 0.7)
    assert still(values(growing)) == still(values(LedgerCollector(ledger)))
    assert of(values(growing), "evergreen_windows", state="drifted") == 1


def test_a_retrain_costs_what_its_own_steps_cost(ledger: Ledger) -> None:
    life = Life(ledger)
    life.request("r1", Rule.REQUESTED)
    life.cost("training", "train", 0.002, "r1")
    life.cost("ingestion", "land", 500.0, "another run")
    life.closed("r1", Outcome.REJECTED, "no")
    life.request("r2", Rule.REQUESTED)
    life.cost("training", "train", 900.0, "r2")
    found = values(LedgerCollector(ledger))
    assert of(found, "evergreen_retrain_stage_seconds", stage="training") == 0.002
    assert of(found, "evergreen_retrain_stage_cpu_seconds", stage="training") == 0.004
    took = of(found, "evergreen_retrain_seconds")
    assert of(found, "evergreen_retrain_overhead_seconds") == pytest.approx(max(0, took - 0.002))


def test_a_better_file_or_a_person_empties_the_quarantine(ledger: Ledger) -> None:
    life, collector = Life(ledger), LedgerCollector(ledger)
    life.quarantined("w1")
    life.quarantined("w1", "bad again")
    life.quarantined("w2")
    assert of(values(collector), "evergreen_quarantined_batches") == 2
    life.write(Kind.BATCH_VALIDATED, "raw/w1@good", life.report("w1", "raw", True))
    assert of(values(collector), "evergreen_quarantined_batches") == 1
    life.write(Kind.QUARANTINE_RULED, "raw/w2@bad/1", {"ruling": "dropped", "reason": "broken", "by": "me"})
    assert of(values(collector), "evergreen_quarantined_batches") == 0


def test_a_replay_is_as_old_as_it_says_and_not_as_the_calendar(ledger: Ledger) -> None:
    then = datetime(2013, 6, 1, tzinfo=UTC)
    Life(ledger, then).live()
    found = values(LedgerCollector(ledger))
    assert of(found, "evergreen_replay") == 1
    assert of(found, "evergreen_champion_age_seconds") == DAY.total_seconds()
    assert of(found, "evergreen_clock_timestamp_seconds") == then.timestamp()
    Life(ledger).batch(3)
    found = values(LedgerCollector(ledger))
    assert of(found, "evergreen_replay") == 0
    assert of(found, "evergreen_champion_age_seconds") > 10 * 365 * DAY.total_seconds()


def test_a_record_that_shows_late_is_not_lost(ledger: Ledger) -> None:
    life, collector = Life(ledger), LedgerCollector(ledger)
    life.cost("training", "train", 1.0)
    row = insert(RECORD).values(
        id=4,
        use_case=NAME,
        kind=Kind.STAGE_COST.value,
        key="early bird",
        as_of=life.now,
        created_at=life.now,
        run_id="",
        payload={"stage": "training", "step": "train", "seconds": 1.0, "cpu_seconds": 1.0, "peak_bytes": 1},
    )
    with ledger.engine.begin() as connection:
        connection.execute(row)
    assert of(values(collector), "evergreen_stage_runs_total", stage="training", step="train") == 2
    with ledger.engine.begin() as connection:
        connection.execute(row.values(id=3, key="late bird"))
    assert of(values(collector), "evergreen_stage_runs_total", stage="training", step="train") == 3
    assert of(values(collector), "evergreen_stage_runs_total", stage="training", step="train") == 3


def test_another_ledger_is_read_from_its_beginning(ledger: Ledger, caplog: pytest.LogCaptureFixture) -> None:
    life, collector = Life(ledger), LedgerCollector(ledger)
    life.live()
    values(collector)
    with ledger.engine.begin() as connection:
        connection.execute(delete(RECORD))
    life.quarantined("w1")
    found = values(collector)
    assert of(found, "evergreen_quarantined_batches") == 1
    assert of(found, "evergreen_predictions_total") == 0
    assert "from the beginning" in caplog.text


def test_a_declared_use_case_without_a_past_is_there(ledger: Ledger) -> None:
    found = values(LedgerCollector(ledger))
    assert of(found, "evergreen_declaration_broken") == 0
    assert of(found, "evergreen_requests_in_flight") == 0
    assert ("evergreen_champion_version", (("use_case", NAME),)) not in found


def test_a_long_ledger_is_read_once(ledger: Ledger) -> None:
    now = datetime.now(UTC)
    with ledger.engine.begin() as connection:
        for some in batched(range(LONG), 5_000):
            connection.execute(insert(RECORD), [row(number, now) for number in some])
    collector = LedgerCollector(ledger)
    values(collector)
    began = perf_counter()
    assert of(values(collector), "evergreen_stage_runs_total", stage="training", step="train") == LONG
    assert perf_counter() - began < 1.0


def row(number: int, now: datetime) -> dict[str, object]:
    payload = {"stage": "training", "step": "train", "seconds": 1.0, "cpu_seconds": 1.0, "peak_bytes": 1}
    common = {"use_case": NAME, "kind": "stage_cost", "run_id": "", "payload": payload}
    return {**common, "key": str(number), "as_of": now, "created_at": now - timedelta(seconds=1)}


def batched(numbers: range, size: int) -> Iterable[range]:
    return (numbers[start : start + size] for start in range(0, len(numbers), size))


def test_the_page_names_every_metric_and_no_other() -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "observability.md").read_text()
    lines = [line.split(" | ") for line in page.splitlines() if line.startswith("| `evergreen_")]
    documented = {line[0].strip("| `"): (line[1].replace("`", ""), line[2].strip(" |")) for line in lines}
    assert documented == {metric.name: (", ".join(metric.labels), metric.meaning) for metric in METRICS}
