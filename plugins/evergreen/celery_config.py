"""Celery's configuration for workers: Airflow's own, and a warm start.

Named by `AIRFLOW__CELERY__CELERY_CONFIG_OPTIONS`. A worker imports what EVERGREEN_PRELOAD names before it forks; each
task is a fork of a fork of it and imports none of that again, as `evergreen.listeners.preload` has it for a
LocalExecutor.
"""

import os

from airflow.providers.celery.executors.default_celery import DEFAULT_CELERY_CONFIG

CELERY_CONFIG = {
    **DEFAULT_CELERY_CONFIG,
    "imports": tuple(name for name in os.environ.get("EVERGREEN_PRELOAD", "").split(",") if name),
}
