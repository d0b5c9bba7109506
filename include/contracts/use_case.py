"""The declaration of one model: everything a use case says about itself, typed and with defaults."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Field, PositiveFloat, PositiveInt, field_validator, model_validator

from include.contracts.frozen import Frozen

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{1,39}$")]
"""A name that is safe in paths, DAG ids, table names and URLs."""

Share = Annotated[float, Field(ge=0, le=1)]

Duration = Annotated[timedelta, Field(strict=True, ge=timedelta(0))]
"""A timedelta in Python; ISO 8601 in JSON. Strict, or `cooldown=7` would quietly mean seven seconds."""

Length = Annotated[timedelta, Field(strict=True, gt=timedelta(0))]
"""A `Duration` longer than nothing."""


class BinaryClassification(Frozen):
    """Predict the probability that `label` is 1.

    Attributes:
        label: Column of the training set, 0 or 1.
        metric: Score that decides, higher is better.
        floor: Lowest score that a first champion may have.
    """

    kind: Literal["binary"] = "binary"
    label: Name
    metric: Literal["roc_auc"] = "roc_auc"
    floor: float = 0.6

    @property
    def objective(self) -> str:
        """XGBoost objective."""
        return "binary:logistic"

    @property
    def eval_metric(self) -> str:
        """XGBoost metric for early stopping."""
        return "auc"


class Regression(Frozen):
    """Predict the number `label`.

    Attributes:
        label: Column of the training set.
        metric: Score that decides, higher is better (r2).
        floor: Lowest score that a first champion may have.
    """

    kind: Literal["regression"] = "regression"
    label: Name
    metric: Literal["r2"] = "r2"
    floor: float = 0.0

    @property
    def objective(self) -> str:
        """XGBoost objective."""
        return "reg:squarederror"

    @property
    def eval_metric(self) -> str:
        """XGBoost metric for early stopping."""
        return "rmse"


Task = Annotated[BinaryClassification | Regression, Field(discriminator="kind")]


class Cadence(StrEnum):
    """How long one batch lasts, which also fixes how its key is written."""

    DAILY = "daily"
    WEEKLY = "weekly"
    MONTHLY = "monthly"

    @property
    def pattern(self) -> str:
        """Regular expression that every batch key matches."""
        return {
            Cadence.DAILY: r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$",
            Cadence.WEEKLY: r"^[0-9]{4}-W[0-9]{2}$",
            Cadence.MONTHLY: r"^[0-9]{4}-[0-9]{2}$",
        }[self]

    def starts(self, key: str, zone: ZoneInfo) -> datetime:
        """First instant of the batch `key` in `zone`.

        Raises:
            ValueError: If `key` is not a date of this cadence.
        """
        text, form = {
            Cadence.DAILY: (key, "%Y-%m-%d"),
            Cadence.WEEKLY: (f"{key}-1", "%G-W%V-%u"),
            Cadence.MONTHLY: (key, "%Y-%m"),
        }[self]
        return datetime.strptime(text, form).replace(tzinfo=zone)

    def ends(self, key: str, zone: ZoneInfo) -> datetime:
        """First instant after the batch `key` in `zone`."""
        start = self.starts(key, zone)
        if self is Cadence.MONTHLY:
            return start.replace(year=start.year + start.month // 12, month=start.month % 12 + 1)
        return start + timedelta(days=1 if self is Cadence.DAILY else 7)


class Resources(Frozen):
    """What training may use.

    Attributes:
        cpu: Threads.
        memory: Limit as Kubernetes writes it, such as `4Gi`.
        gpu: Number of GPUs.
        seconds: Deadline of one attempt.
    """

    cpu: PositiveInt = 2
    memory: str = Field(default="4Gi", pattern=r"^[0-9]+(Mi|Gi)$")
    gpu: int = Field(default=0, ge=0)
    seconds: PositiveInt = 3600

    @property
    def memory_bytes(self) -> int:
        """The limit in bytes."""
        return int(self.memory[:-2]) * (1 << 20 if self.memory.endswith("Mi") else 1 << 30)


class Tuning(Frozen):
    """Hyperparameter search by Optuna.

    Attributes:
        trials: Fixed budget; 0 trains with the declared parameters.
        sampler: `grid`, `random` or `tpe`.
    """

    trials: int = Field(default=0, ge=0, le=1000)
    sampler: Literal["grid", "random", "tpe"] = "tpe"


class XGBoost(Frozen):
    """The stock trainer: gradient-boosted trees by histogram.

    Attributes:
        early_stopping: Rounds without gain on the validation split before training stops.
        validation_share: Newest share of the training rows, held back for early stopping.
        refit: Whether the rounds that early stopping found are then grown on training and validation rows together:
            the newest rows that may teach are the ones that resemble what comes.
    """

    max_depth: PositiveInt = 6
    rounds: PositiveInt = 300
    learning_rate: PositiveFloat = 0.1
    subsample: Annotated[float, Field(gt=0, le=1)] = 1.0
    colsample_bytree: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_child_weight: float = Field(default=1.0, ge=0)
    reg_lambda: float = Field(default=1.0, ge=0)
    early_stopping: PositiveInt = 30
    validation_share: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    refit: bool = True
    seed: int = 0
    tuning: Tuning = Tuning()


class Monitoring(Frozen):
    """How new data are compared with the champion's training set.

    Attributes:
        window: Length of one window.
        minimum_rows: Below it, a window's state is "insufficient data".
        minimum_reference: Rows that the reference must have.
        effect_floor: Smallest drift score that counts, whatever the sample size says
            (normalised Wasserstein distance; Jensen-Shannon distance for categories).
        family_error: Chance that a window without drift is called drifted.
        importance_floor: Share of the model's gain that the drifted columns must carry.
        ignore: Columns that drift by nature (a calendar) and are reported, never counted.
    """

    window: Length = timedelta(days=7)
    minimum_rows: PositiveInt = 1_000
    minimum_reference: PositiveInt = 5_000
    effect_floor: PositiveFloat = 0.1
    family_error: Annotated[float, Field(gt=0, lt=0.5)] = 0.01
    importance_floor: Share = 0.25
    ignore: tuple[str, ...] = ()


class NOfM(Frozen):
    """`n` of the newest `m` windows."""

    n: PositiveInt
    m: PositiveInt

    def __init__(self, n: int, m: int) -> None:
        BaseModel.__init__(self, n=n, m=m)

    @model_validator(mode="after")
    def _n_within_m(self) -> "NOfM":
        if self.n > self.m:
            raise ValueError(f"n={self.n} is more than m={self.m}; such as NOfM(2, 3)")
        return self


class Retraining(Frozen):
    """When the policy asks for a retrain.

    Attributes:
        first_after_batches: Committed batches before the first champion is trained.
        windows: How many of the newest windows must agree.
        decay: Loss of the deciding metric against the champion's own evaluation that counts as decay.
        minimum_metric: A window below it counts as decayed, whatever the champion's evaluation was.
        drift: Whether input drift alone may ask for a retrain.
        clear: Hysteresis: a window clears at `clear` x the drift threshold.
        cooldown: Shortest time between two automatic retrains.
        at_most_per_week: Budget of automatic retrains in any seven days.
        breaker: Rejected challengers in a row after which only a person may ask.
        maximum_age: A champion older than this is retrained; None never.
    """

    first_after_batches: PositiveInt = 2
    windows: NOfM = NOfM(2, 3)
    decay: PositiveFloat = 0.02
    minimum_metric: float | None = None
    drift: bool = True
    clear: Share = 0.7
    cooldown: Length = timedelta(days=1)
    at_most_per_week: PositiveInt = 3
    breaker: PositiveInt = 3
    maximum_age: Length | None = None

    @field_validator("cooldown")
    @classmethod
    def _at_least_a_day(cls, cooldown: timedelta) -> timedelta:
        if cooldown < timedelta(days=1):
            raise ValueError("a cooldown is at least timedelta(days=1)")
        return cooldown


class Gate(Frozen):
    """What a challenger must show on fresh, labelled rows.

    Attributes:
        fresh: Length of the newest labelled period, kept away from training.
        minimum_rows: Fewest labelled rows on which a verdict may stand.
        margin: How far the lower 95 % bound of the gain must lie above zero.
        maximum_calibration_error: Highest expected calibration error (binary tasks).
        bootstraps: Resamples of the paired bootstrap.
    """

    fresh: Length = timedelta(days=10)
    minimum_rows: PositiveInt = 500
    margin: float = Field(default=0.0, ge=0)
    maximum_calibration_error: PositiveFloat = 0.05
    bootstraps: PositiveInt = 1_000


class UseCase(Frozen):
    """One model: the whole declaration.

    Attributes:
        name: Name of the folder, prefix of the DAG ids, registered model name.
        owner: Who is asked when it is red.
        description: The question that the model answers.
        task: What is predicted and how it is scored.
        entity_keys: Join keys of the feature service, present in the spine.
        event_time: Column of the spine: the instant of the prediction.
        label_delay: Time from the event until the label is known.
        cadence: Length of a batch.
        timezone: Zone in which a batch begins and ends.
        feature_service: Feast FeatureService that defines the model's inputs.
        request_features: Columns of the spine itself, known at prediction time, used as inputs.
        categorical: Inputs that are categories.
        schedule: Cron of the ingestion DAG; None waits for REST and the UI.
    """

    name: Name
    owner: str
    description: str
    task: Task
    entity_keys: tuple[str, ...] = Field(min_length=1)
    event_time: str
    label_delay: Duration = timedelta(days=1)
    cadence: Cadence = Cadence.DAILY
    timezone: str = "UTC"
    feature_service: str
    request_features: tuple[str, ...] = ()
    categorical: tuple[str, ...] = ()
    trainer: XGBoost = XGBoost()
    resources: Resources = Resources()
    monitoring: Monitoring = Monitoring()
    retraining: Retraining = Retraining()
    gate: Gate = Gate()
    schedule: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, timezone: str) -> str:
        try:
            ZoneInfo(timezone)
        except (KeyError, ValueError) as error:  # ZoneInfoNotFoundError is a KeyError: pydantic would let it through
            raise ValueError("expected a zone of the IANA list, such as Europe/Berlin") from error
        return timezone

    @property
    def zone(self) -> ZoneInfo:
        """The zone of the batches."""
        return ZoneInfo(self.timezone)
