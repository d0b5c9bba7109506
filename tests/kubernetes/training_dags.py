"""DAGs of the tests on a cluster: one training in a pod each, for each way in which a pod can be asked for."""

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG, Param

from evergreen.operators import training_operator
from evergreen.pipeline import ARGUMENTS, as_of_param
from include.contracts.use_case import BinaryClassification, Resources, Tuning, UseCase, XGBoost
from include.settings import settings

QUICK = XGBoost(max_depth=3, rounds=30, early_stopping=10)
SLOW = QUICK.model_copy(update={"tuning": Tuning(trials=1_000, sampler="random"), "rounds": 200, "early_stopping": 200})
"""Far longer than any test waits: for the pods that are to be stopped."""
TRIALS = int(os.environ.get("EVERGREEN_TEST_TRIALS", "60"))
STEADY = SLOW.model_copy(update={"tuning": Tuning(trials=TRIALS, sampler="random")})
"""Half a minute and more: time to disturb it, and to see it end well."""
LONG = SLOW.model_copy(update={"tuning": Tuning(trials=4 * TRIALS, sampler="random")})
"""Longer than an API server is away."""

CASES = {
    "well": (QUICK, Resources(cpu=1, memory="2Gi", seconds=600)),
    "steady": (STEADY, Resources(cpu=1, memory="2Gi", seconds=900)),
    "long": (LONG, Resources(cpu=1, memory="2Gi", seconds=900)),
    "deferred": (STEADY, Resources(cpu=1, memory="2Gi", seconds=7_200)),
    "endless": (SLOW, Resources(cpu=1, memory="2Gi", seconds=900)),
    "gpu": (QUICK, Resources(cpu=1, memory="2Gi", gpu=1, seconds=600)),
}


def changed(context: Any) -> None:
    """Settings that a run wants for itself."""
    os.environ.update(context["params"]["settings"])


for name, (trainer, resources) in CASES.items():
    case = UseCase(
        name=f"pods_{name}",
        owner="tests",
        description="A toy.",
        task=BinaryClassification(label="target"),
        entity_keys=("id",),
        event_time="at",
        feature_service="toy_v1",
        trainer=trainer,
        resources=resources,
    )
    with DAG(
        dag_id=case.name,
        schedule=None,
        start_date=datetime(2013, 1, 1, tzinfo=UTC),
        catchup=False,
        render_template_as_native_obj=True,
        default_args={**ARGUMENTS, "owner": "tests"},
        params={
            "training_set": Param({}, type="object"),
            "settings": Param({}, type="object"),
            "as_of": as_of_param(),
        },
    ):
        training_operator(
            case,
            settings(),
            task_id="train",
            training_set="{{ params.training_set }}",
            pre_execute=changed,
            **({"retries": 1} if name == "gpu" else {}),
        )
