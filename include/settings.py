"""Where things are: read from the environment (prefix `EVERGREEN_`) on each call, with laptop defaults."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Deployment values. The defaults need no service; a team sets URIs.

    Attributes:
        home: Folder for everything that has no URI of its own.
        lake: Root of the Delta tables: a folder or `s3://bucket/prefix`.
        landing: Where upstream jobs drop files: a folder or `s3://bucket/prefix`.
        artifacts: Training sets, manifests, models, reports, quarantine: a folder or `s3://bucket/prefix`.
        ledger_url: SQLAlchemy URL of the ledger.
        mlflow_uri: MLflow tracking and registry URI.
        mlflow_artifacts: Where MLflow keeps artifacts of new experiments; empty for the server's own choice.
        mlflow_ui: URL of MLflow's pages, for the buttons in Airflow; empty for none.
        feast_registry: SQLAlchemy URL of Feast's SQL registry.
        feast_online: Path of Feast's SQLite online store, or `redis://host:port/db`.
        feature_repo: Folder of `feature_store.yaml` and the use cases' Feast declarations.
        trainer: Where training runs.
        device: `cpu` or `cuda`.
        threads: Threads of one task.
        git_commit: Commit of the project, kept with every model that it trains.
        watch_seconds: Time between two looks of the drift watch at the ledger.
    """

    model_config = SettingsConfigDict(env_prefix="EVERGREEN_", frozen=True)

    home: Path = PROJECT / ".evergreen"
    lake: str = ""
    landing: str = ""
    artifacts: str = ""
    ledger_url: str = ""
    mlflow_uri: str = ""
    mlflow_artifacts: str = ""
    mlflow_ui: str = ""
    feast_registry: str = ""
    feast_online: str = ""
    feature_repo: Path = PROJECT / "feature_repo"
    trainer: Literal["process", "kubernetes"] = "process"
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=2, ge=1)
    git_commit: str = "unknown"
    watch_seconds: float = Field(default=3.0, gt=0)

    def model_post_init(self, _: object) -> None:
        """Derive what was not given from `home`."""
        defaults = {
            "lake": str(self.home / "lake"),
            "landing": str(self.home / "landing"),
            "artifacts": str(self.home / "artifacts"),
            "ledger_url": f"sqlite:///{self.home / 'ledger.db'}",
            "mlflow_uri": f"sqlite:///{self.home / 'mlflow.db'}",
            "mlflow_artifacts": "" if self.mlflow_uri else str(self.home / "mlflow"),
            "feast_registry": f"sqlite:///{self.home / 'feast_registry.db'}",
            "feast_online": str(self.home / "feast_online.db"),
        }
        for name, value in defaults.items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)


def settings() -> Settings:
    """The settings as the environment says now."""
    found = Settings()
    if any(str(found.home) in str(place) for name, place in found if name != "home"):
        found.home.mkdir(parents=True, exist_ok=True)
    return found
