"""Plays Airflow for one use case: every step of the loop in the order of the DAGs, batch after batch.

Run in a copy of the project: python live_through.py USE_CASE FIRST_BATCH LAST_BATCH. Prints one JSON line a batch.
"""

import json
import sys
from datetime import datetime, timedelta
from typing import Any

from include.contracts.data import TrainingSet
from include.contracts.training import TrainingSpec
from include.contracts.use_case import UseCase
from include.jobs import run
from include.lake import object_store
from include.ledger import Ledger
from include.settings import settings
from include.use_cases.catalogue import declaration

Json = dict[str, Any]


def step(use_case: UseCase, as_of: datetime, stage: str, name: str, **arguments: Any) -> Json:
    """One step of a stage, as a task calls it."""
    return run(stage, name, {"use_case": use_case.name, "as_of": as_of.isoformat(), **arguments})


def ingest(use_case: UseCase, as_of: datetime, batch: str) -> None:
    """What `<use_case>_ingest` does."""
    landed = step(use_case, as_of, "ingestion", "land", batch=batch)
    step(use_case, as_of, "validation", "validate", batch=batch, landed=landed)
    raw = step(use_case, as_of, "ingestion", "commit", batch=batch, landed=landed)
    built = step(use_case, as_of, "features", "build_features", batch=batch, snapshot=raw)
    step(use_case, as_of, "validation", "validate_features", batch=batch, snapshot=built)
    step(use_case, as_of, "features", "materialize", batch=batch, snapshot=built)


def retrain(use_case: UseCase, as_of: datetime, decision: Json) -> Json:
    """What `<use_case>_retrain` does."""
    request = decision["request"]
    asked = {"rule": decision["rule"], "automatic": True, "reason": decision["reason"]}
    accepted = step(use_case, as_of, "policy", "request", request=request, **asked)
    if not accepted["accepted"]:
        raise AssertionError(f"the policy asked for a duplicate: {accepted}")
    rows = step(use_case, as_of, "features", "build_training_set", request=request)
    manifest = f"{train(use_case, as_of, request, rows)}/manifest.json"
    step(use_case, as_of, "evaluation", "verify", manifest_uri=manifest)
    verdict = step(use_case, as_of, "evaluation", "evaluate", manifest_uri=manifest, request=request)
    done = step(use_case, as_of, "promotion", "promote", verdict=verdict, request=request)
    outcome = "promoted" if verdict["accepted"] else "rejected"
    step(use_case, as_of, "policy", "close", request=request, outcome=outcome, reason=str(done.get("reason", outcome)))
    return {
        "rule": decision["rule"],
        "accepted": verdict["accepted"],
        "gain": verdict["gain"],
        "checks": verdict["checks"],
    }


def train(use_case: UseCase, as_of: datetime, request: str, rows: Json) -> str:
    """Write the spec and train; the folder of the manifest."""
    folder = f"{settings().artifacts}/{use_case.name}/training/{request}"
    spec = TrainingSpec(
        use_case=use_case.name,
        request=request,
        as_of=as_of,
        task=use_case.task,
        trainer=use_case.trainer,
        resources=use_case.resources,
        training_set=TrainingSet.model_validate(rows),
        output_uri=folder,
    )
    object_store(folder).write(f"{folder}/spec.json", spec.model_dump_json().encode())
    step(use_case, as_of, "training", "train", spec_uri=f"{folder}/spec.json")
    return folder


def live(use_case: UseCase, batch: str) -> Json:
    """One batch, two days after its end."""
    as_of = use_case.cadence.ends(batch, use_case.zone) + timedelta(days=2)
    ingest(use_case, as_of, batch)
    scored = step(use_case, as_of, "scoring", "score")["scored"]
    step(use_case, as_of, "monitoring", "monitor")
    decision = step(use_case, as_of, "policy", "decide", batch=batch)
    retrained = retrain(use_case, as_of, decision) if decision["retrain"] else None
    champion = Ledger.at(settings().ledger_url).champion(use_case.name)
    return {
        "batch": batch,
        "scored": [found["batch"] for found in scored],
        "decision": decision["reason"],
        "considered": decision["considered"],
        "retrained": retrained,
        "champion": champion.version if champion else None,
        "metric": champion.metric if champion else None,
    }


if __name__ == "__main__":
    declared = declaration(sys.argv[1])
    for batch in sys.argv[2:]:
        print(json.dumps(live(declared, batch)), flush=True)
