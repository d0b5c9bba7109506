"""What goes into a training and what comes out of it."""

from pydantic import Field, NonNegativeFloat, NonNegativeInt

from include.contracts.data import TrainingSet
from include.contracts.digest import digest_of
from include.contracts.frozen import Frozen, Utc
from include.contracts.use_case import Resources, Task, XGBoost


class TrainingSpec(Frozen):
    """Everything that decides a training; its digest names the place of the outcome.

    Attributes:
        request: Id of the retrain request (the DAG run id).
        output_uri: Folder for the artifacts and, last, `manifest.json`.
        device: `cpu` or `cuda`.
        require_gpu: A missing GPU is an InfraError, never a silent run on the CPU.
    """

    use_case: str
    request: str
    as_of: Utc
    task: Task
    trainer: XGBoost
    resources: Resources
    training_set: TrainingSet
    output_uri: str
    device: str = Field(default="cpu", pattern="^(cpu|cuda)$")
    require_gpu: bool = False
    git_commit: str = "unknown"

    @property
    def digest(self) -> str:
        """Identity of the spec."""
        return digest_of(self.model_dump(mode="json"))


class Artifact(Frozen):
    """One file that training wrote."""

    uri: str
    digest: str
    size: NonNegativeInt


class Cost(Frozen):
    """What a stage used.

    Attributes:
        seconds: Wall clock.
        cpu_seconds: User and system, with children.
        peak_bytes: Highest resident memory.
    """

    seconds: NonNegativeFloat
    cpu_seconds: NonNegativeFloat
    peak_bytes: NonNegativeInt


class TrainingManifest(Frozen):
    """Proof that a training is complete: written last, atomically. Without it nothing is evaluated.

    Attributes:
        artifacts: By name: `model.ubj` the model; `reference.parquet` the features, label and out-of-sample
            prediction (column `prediction`) of the validation and fresh rows, which monitoring compares with.
        rows: Rows by split: `train`, `validation`, `fresh`.
        metrics: By name, such as `validation_roc_auc`.
        gain: Share of the model's total gain by feature; sums to 1.
        categories: For each categorical feature, the categories in the order of their codes.
        mlflow_model_id: LoggedModel id in MLflow.
        resumed_from_round: The highest round of an interrupted attempt that this one went on from; 0 where all
            trees are its own.
    """

    spec_digest: str
    use_case: str
    request: str
    as_of: Utc
    training_set: TrainingSet
    mlflow_run_id: str
    mlflow_model_id: str
    artifacts: dict[str, Artifact]
    rows: dict[str, int]
    metrics: dict[str, float]
    parameters: dict[str, float | int | str]
    features: tuple[str, ...]
    categories: dict[str, tuple[str, ...]]
    gain: dict[str, float]
    packages: dict[str, str]
    device: str
    resumed_from_round: NonNegativeInt = 0
    git_commit: str
    cost: Cost
    finished_at: Utc
