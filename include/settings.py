"""Where things are: read from the environment (prefix `EVERGREEN_`) on each call, with laptop defaults."""

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PROJECT = Path(__file__).resolve().parent.parent


class Settings(BaseSettings):
    """Deployment values. The defaults need no service; a team sets URIs.

    Attributes:
        home: Folder for everything that has no URI of its own.
        lake: Root of the Delta tables: a folder or `s3://bucket/prefix`.
        landing: Where upstream jobs drop files: a folder or `s3://bucket/prefix`.
        artifacts: Training sets, manifests, models, reports, quarantine: a folder or `s3://bucket/prefix`.
        ledger_url: SQLAlchemy URL of the ledger; on Postgres, the locks of all machines are there too.
        mlflow_uri: MLflow tracking and registry URI.
        mlflow_artifacts: Where MLflow keeps artifacts of new experiments; empty for the server's own choice.
        mlflow_ui: URL of MLflow's pages, for the buttons in Airflow; empty for none.
        feast_registry: SQLAlchemy URL of Feast's SQL registry.
        feast_online: Path of Feast's SQLite online store, or `redis://:password@host:port/db`, `rediss://` for TLS.
        feature_repo: Folder of `feature_store.yaml` and the use cases' Feast declarations.
        trainer: Where training runs.
        kubernetes_namespace: Namespace of the training pods.
        kubernetes_conn_id: Airflow connection to the cluster; empty for `KUBECONFIG`, else Airflow's own cluster.
        training_image: Image of the training pods, by digest or exact tag.
        training_secret: Secret in the namespace with the pods' keys to S3, MLflow and lineage; empty for none.
        training_node_selector: Labels that a node must have.
        training_tolerations: Taints that training may run on, as Kubernetes writes tolerations.
        training_spot_labels: Labels of spot nodes: preferred, and their taints of the same name tolerated.
        training_priority_class: PriorityClass of the pods; empty for the cluster's default.
        training_scratch: Size of `/tmp`, the only place that a pod can write.
        training_schedule_timeout: Seconds until a node, with its GPU, must be found.
        training_start_timeout: Seconds from then until the container must run, image pull included.
        training_defer_after: A training whose deadline is longer than this many seconds waits in the triggerer.
        pod_s3_endpoint: S3 endpoint as pods see it; empty for this machine's `AWS_ENDPOINT_URL`.
        pod_mlflow_uri: MLflow's URI as pods see it; empty for `mlflow_uri`.
        lineage: Where OpenLineage events go: the URL of an OpenLineage API, a file that they are appended to, or `off`.
        lineage_api_key: Bearer token of that API; empty for none.
        device: `cpu` or `cuda`.
        threads: Threads of one task.
        git_commit: Commit of the project, kept with every model that it trains.
        alerts: Where people are told: apprise URLs, with their passwords, divided by commas or spaces; empty: nowhere.
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
    kubernetes_namespace: str = "evergreen"
    kubernetes_conn_id: str = ""
    training_image: str = ""
    training_secret: str = ""
    training_node_selector: dict[str, str] = {}
    training_tolerations: tuple[dict[str, Any], ...] = ()
    training_spot_labels: dict[str, str] = {}
    training_priority_class: str = ""
    training_scratch: str = Field(default="10Gi", pattern=r"^[0-9]+(Mi|Gi)$")
    training_schedule_timeout: int = Field(default=1800, ge=1)
    training_start_timeout: int = Field(default=600, ge=1)
    training_defer_after: int = Field(default=7200, ge=0)
    pod_s3_endpoint: str = ""
    pod_mlflow_uri: str = ""
    lineage: str = Field(default="", pattern=r"^(https?://.+|[^:]*)$")
    lineage_api_key: SecretStr = SecretStr("")
    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = Field(default=2, ge=1)
    git_commit: str = "unknown"
    alerts: SecretStr = SecretStr("")
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
            "lineage": str(self.home / "lineage.jsonl"),
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
