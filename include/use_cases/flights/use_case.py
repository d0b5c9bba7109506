"""The declaration of `flights`: what is predicted, from what, how often, and when a new model is wanted."""

from datetime import timedelta

from include.contracts.use_case import (
    BinaryClassification,
    Cadence,
    Gate,
    Monitoring,
    NOfM,
    Resources,
    Retraining,
    UseCase,
    XGBoost,
)

USE_CASE = UseCase(
    name="flights",
    owner="flight-ops",
    description="Will this flight arrive more than 15 minutes late? Asked at scheduled departure.",
    task=BinaryClassification(label="late", metric="roc_auc", floor=0.60),
    entity_keys=("flight_id", "origin", "carrier", "route", "tailnum"),
    event_time="scheduled_departure",
    label_delay=timedelta(days=1),
    cadence=Cadence.MONTHLY,
    timezone="America/New_York",
    feature_service="flights_v1",
    request_features=(
        "origin",
        "carrier",
        "dest",
        "distance",
        "scheduled_duration",
        "departure_minute",
        "arrival_minute",
        "day_of_week",
    ),
    categorical=("origin", "carrier", "dest", "manufacturer"),
    trainer=XGBoost(
        max_depth=5, rounds=400, learning_rate=0.05, colsample_bytree=0.5, min_child_weight=100, early_stopping=30
    ),
    resources=Resources(cpu=2, memory="4Gi", gpu=0),
    monitoring=Monitoring(
        window=timedelta(days=7),
        minimum_rows=1_000,
        ignore=("departure_minute", "arrival_minute", "day_of_week"),
    ),
    retraining=Retraining(
        first_after_batches=2,
        windows=NOfM(2, 3),
        decay=0.02,
        minimum_metric=0.77,  # what the desk was promised: two of three weeks below it ask for a new model
        cooldown=timedelta(days=7),
        at_most_per_week=3,
    ),
    # ten stormy days lift the share of late flights far above any training set's: the ranking is what is asked for
    gate=Gate(fresh=timedelta(days=10), maximum_calibration_error=0.10),
)
