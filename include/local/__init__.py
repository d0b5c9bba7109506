"""Airflow and MLflow on one machine, as processes of our own. Nothing here is imported by a stage or a DAG."""
