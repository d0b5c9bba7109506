"""The dashboard "Pipeline": data, retrains, steps and Airflow."""

from include.deploy.grafana.charts import Chart, quantile

COMPONENTS = ("scheduler", "triggerer", "dag_processor")

PIPELINE: dict[str, tuple[Chart, ...]] = {
    "Data": (
        Chart(
            "Age of the newest batch",
            "The use case's clock less its end, by how far it came.",
            {"{{use_case}} {{stage}}": "evergreen_batch_age_seconds{OF}"},
            "s",
        ),
        Chart(
            "Predictions a second",
            "Rows that champions predict.",
            {"{{use_case}}": "rate(evergreen_predictions_total{OF}[$__rate_interval])"},
            "none",
        ),
        Chart(
            "Speed of scoring",
            "Rows by wall clock of the newest scoring.",
            {"{{use_case}}": "evergreen_scoring_rows_per_second{OF}"},
            "none",
            "stat",
        ),
    ),
    "Retrains": (
        Chart(
            "Time to a new champion",
            "Wall clock of the newest promotion since the first drifted window, the decision, the request.",
            {"{{use_case}} since {{since}}": "evergreen_time_to_champion_seconds{OF}"},
            "s",
            "bars",
        ),
        Chart(
            "Newest retrain",
            "Wall clock from request to ending, and what of it no step used.",
            {
                "{{use_case}} in all": "evergreen_retrain_seconds{OF}",
                "{{use_case}} waiting": "evergreen_retrain_overhead_seconds{OF}",
            },
            "s",
            "bars",
        ),
        Chart(
            "In flight",
            "Seconds since the open request was recorded; 0 for none.",
            {"{{use_case}}": "evergreen_request_age_seconds{OF}"},
            "s",
            limits=(3600, 21600),
        ),
        Chart(
            "CPU by stage",
            "User and system time of the newest retrain.",
            {"{{use_case}} {{stage}}": "evergreen_retrain_stage_cpu_seconds{OF}"},
            "s",
            "bars",
        ),
        Chart(
            "Wall clock by stage",
            "Of the newest retrain.",
            {"{{use_case}} {{stage}}": "evergreen_retrain_stage_seconds{OF}"},
            "s",
            "bars",
        ),
        Chart(
            "Memory by stage",
            "Highest resident memory in the newest retrain.",
            {"{{use_case}} {{stage}}": "evergreen_retrain_stage_peak_bytes{OF}"},
            "bytes",
            "bars",
        ),
    ),
    "Steps": (
        Chart(
            "Seconds a run",
            "Mean wall clock of a step since the ledger began.",
            {
                "{{stage}}.{{step}}": "sum by (stage, step) (evergreen_stage_seconds_total{OF})"
                " / sum by (stage, step) (evergreen_stage_runs_total{OF})"
            },
            "s",
            "bars",
            width=12,
        ),
        Chart(
            "Cores in use",
            "CPU seconds of finished steps a second.",
            {"{{stage}}": "sum by (stage) (rate(evergreen_stage_cpu_seconds_total{OF}[$__rate_interval]))"},
            "none",
            width=12,
        ),
    ),
    "Airflow": (
        Chart(
            "Heartbeats a minute",
            "A line at 0 is a component that is gone.",
            {name: f"60 * sum(rate(airflow_{name}_heartbeat_total[$__rate_interval]))" for name in COMPONENTS},
            "none",
        ),
        Chart(
            "Duration of runs",
            "95th percentile by DAG.",
            {"{{dag_id}}": quantile("airflow_dagrun_duration_seconds")},
            "s",
        ),
        Chart(
            "Duration of tasks",
            "95th percentile by DAG.",
            {"{{dag_id}}": quantile("airflow_task_duration_seconds")},
            "s",
        ),
        Chart(
            "Tasks wait for a slot",
            "95th percentile by DAG, from scheduled to queued; of the time until it runs Airflow 3.3 sends nothing.",
            {"{{dag_id}}": quantile("airflow_task_scheduled_duration_seconds")},
            "s",
            limits=(30, 300),
        ),
        Chart(
            "Tasks that ended",
            "By state, a second.",
            {"{{state}}": "sum by (state) (rate(airflow_ti_finish_total{DAG}[$__rate_interval]))"},
            "none",
        ),
        Chart(
            "Executor",
            "Tasks that run, and that wait for a slot.",
            {
                "running": "sum(airflow_executor_running_tasks)",
                "queued": "sum(airflow_executor_queued_tasks)",
                "open slots": "sum(airflow_executor_open_slots)",
            },
            "none",
        ),
        Chart("Pools", "Open slots; 0 holds tasks up.", {"{{pool_name}}": "airflow_pool_open_slots"}, "none"),
        Chart(
            "Scheduler's loop",
            "95th percentile.",
            {
                "p95": "histogram_quantile(0.95, sum by (le) "
                "(rate(airflow_scheduler_loop_duration_seconds_bucket[$__rate_interval])))"
            },
            "s",
        ),
        Chart(
            "DAG files that cannot be imported",
            "Their DAGs are gone.",
            {"files": "airflow_dag_processing_import_errors"},
            "none",
            "stat",
            (1,),
        ),
    ),
}
