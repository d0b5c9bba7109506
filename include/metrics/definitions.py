"""Every metric with its meaning; docs/observability.md is held against this table."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Sample = tuple[str, dict[str, str], float]
"""Name of a metric, its labels without the use case, its value."""

Samples = Iterator[Sample]


@dataclass(frozen=True)
class Metric:
    """One metric.

    Attributes:
        labels: Beside `use_case`, which every metric has unless `whole`.
        whole: It is about the ledger as a whole.
    """

    name: str
    kind: Literal["gauge", "counter"]
    meaning: str
    labels: tuple[str, ...] = ()
    whole: bool = False


METRICS = (
    Metric("evergreen_ledger_position", "gauge", "Id of the newest record that was read", whole=True),
    Metric("evergreen_declaration_broken", "gauge", "1 where the declaration cannot be read: nothing of it runs"),
    Metric("evergreen_records_total", "counter", "Records of the ledger", ("kind",)),
    Metric("evergreen_replay", "gauge", "1 while a replay goes on: ages follow the latest as_of, not the wall clock"),
    Metric("evergreen_clock_timestamp_seconds", "gauge", "The time in which the use case lives: ages are up to it"),
    Metric("evergreen_champion_info", "gauge", "1; the champion", ("version", "previous", "how")),
    Metric("evergreen_champion_version", "gauge", "Model version of the champion"),
    Metric("evergreen_champion_since_timestamp_seconds", "gauge", "as_of of its promotion"),
    Metric("evergreen_champion_age_seconds", "gauge", "The use case's clock less that time"),
    Metric("evergreen_champion_metric", "gauge", "Deciding metric in the evaluation that made it champion"),
    Metric("evergreen_promotions_total", "counter", "Changes of the champion: gate, override, rollback", ("how",)),
    Metric("evergreen_time_to_champion_seconds", "gauge", "Wall clock to the newest promotion by the gate", ("since",)),
    Metric("evergreen_windows", "gauge", "Monitored windows, as they were seen last", ("state",)),
    Metric("evergreen_window_state", "gauge", "1 for the state of the newest window", ("state",)),
    Metric("evergreen_window_rows", "gauge", "Rows of the newest window"),
    Metric("evergreen_window_ends_timestamp_seconds", "gauge", "End of the newest window"),
    Metric("evergreen_window_drifted_columns", "gauge", "Drifted columns of the newest window that count"),
    Metric("evergreen_window_drift_ratio", "gauge", "Their share of the columns that count"),
    Metric("evergreen_window_drifted_importance_ratio", "gauge", "Share of the model's gain that they carry"),
    Metric(
        "evergreen_window_column_drift_ratio",
        "gauge",
        "Score by threshold: drifted above 1",
        ("column",),
    ),
    Metric("evergreen_window_prediction_drift_ratio", "gauge", "Score of the predictions by its threshold"),
    Metric("evergreen_window_metric", "gauge", "Deciding metric of the newest labelled window"),
    Metric("evergreen_window_baseline", "gauge", "The champion's own metric, to compare that window with"),
    Metric("evergreen_window_labelled_rows", "gauge", "Labelled rows of that window"),
    Metric("evergreen_batch_ends_timestamp_seconds", "gauge", "End of the newest batch that came so far", ("stage",)),
    Metric("evergreen_batch_age_seconds", "gauge", "The use case's clock less that time", ("stage",)),
    Metric("evergreen_cadence_seconds", "gauge", "Length of a batch, as declared"),
    Metric("evergreen_quarantined_batches", "gauge", "Batches in quarantine that wait for a person or a better file"),
    Metric("evergreen_predictions_total", "counter", "Rows that champions have predicted"),
    Metric(
        "evergreen_scoring_rows_per_second",
        "gauge",
        "Rows by wall clock of the newest scoring of anything",
    ),
    Metric("evergreen_decisions_total", "counter", "Decisions of the policy", ("rule", "retrain")),
    Metric("evergreen_retrain_requests_total", "counter", "Requests to retrain, with duplicates", ("rule",)),
    Metric("evergreen_retrains_total", "counter", "Requests that ended", ("outcome",)),
    Metric("evergreen_retrain_last_outcome", "gauge", "1 for the outcome of the newest ending", ("outcome",)),
    Metric("evergreen_requests_in_flight", "gauge", "Requests without an ending"),
    Metric("evergreen_request_age_seconds", "gauge", "Wall clock since the oldest of them was recorded; 0 for none"),
    Metric("evergreen_breaker_open", "gauge", "1 where only a person may ask for a retrain"),
    Metric("evergreen_policy_maximum_age_seconds", "gauge", "Age at which a champion is replaced; +Inf for never"),
    Metric("evergreen_policy_decay", "gauge", "Loss of the metric that counts as decay"),
    Metric("evergreen_gate_verdicts_total", "counter", "Verdicts of the gate", ("accepted",)),
    Metric("evergreen_gate_failed_checks_total", "counter", "Checks that a challenger did not pass", ("check",)),
    Metric("evergreen_gate_gain", "gauge", "Challenger less champion in the newest verdict", ("bound",)),
    Metric("evergreen_stage_runs_total", "counter", "Runs of a step, failed ones among them", ("stage", "step")),
    Metric("evergreen_stage_seconds_total", "counter", "Their wall clock", ("stage", "step")),
    Metric("evergreen_stage_cpu_seconds_total", "counter", "Their CPU time, with children", ("stage", "step")),
    Metric("evergreen_stage_peak_bytes", "gauge", "Highest resident memory of the newest run", ("stage", "step")),
    Metric("evergreen_retrain_seconds", "gauge", "Wall clock of the newest finished retrain, from request to ending"),
    Metric("evergreen_retrain_overhead_seconds", "gauge", "That, less its steps: tasks and pods that wait and start"),
    Metric("evergreen_retrain_stage_seconds", "gauge", "Wall clock of its steps", ("stage",)),
    Metric("evergreen_retrain_stage_cpu_seconds", "gauge", "User and system time of its steps", ("stage",)),
    Metric("evergreen_retrain_stage_peak_bytes", "gauge", "Highest resident memory of its steps", ("stage",)),
)
