"""What waits in Airflow's triggerer."""

from evergreen.triggers.drift import DriftTrigger

__all__ = ["DriftTrigger"]
