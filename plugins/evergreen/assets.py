"""The assets that tie a use case's DAGs together. An event is a hint: whoever hears it compares levels."""

from airflow.sdk import Asset


def features(use_case: str) -> Asset:
    """New feature rows are in the lake and online; written by ingestion, heard by scoring."""
    return Asset(f"{use_case}_features", uri=f"evergreen://{use_case}/features", group="evergreen")


def predictions(use_case: str) -> Asset:
    """Scoring has looked at every batch; heard by monitoring."""
    return Asset(f"{use_case}_predictions", uri=f"evergreen://{use_case}/predictions", group="evergreen")
