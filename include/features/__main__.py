"""Features: build them from the raw tables, bring them online, join them to labels."""

import logging
import os
from datetime import datetime
from typing import TYPE_CHECKING, Any

from include.jobs import main

if TYPE_CHECKING:
    from include.contracts.data import DatasetSnapshot
    from include.contracts.record import Kind
    from include.lake import Lake

Json = dict[str, Any]


def build_features(use_case: str, as_of: str, batch: str, snapshot: Json) -> Json:
    """Build the feature tables and the spine of a batch from its raw tables.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch.
        snapshot: DatasetSnapshot of the raw tables.

    Returns:
        DatasetSnapshot of the feature tables, with the raw one's digest.
    """
    from include.contracts.record import Kind
    from include.features.build import build_features as build
    from include.features.build import reaching
    from include.ledger import Ledger
    from include.settings import settings
    from include.use_cases.catalogue import declaration, load

    raw, moment = _snapshot(batch, snapshot), datetime.fromisoformat(as_of)
    declared, features = declaration(use_case), load(use_case, "features")  # no more: expectations take seconds
    earlier = reaching(Ledger.at(settings().ledger_url), use_case, raw, features.LOOKBACK)
    built = build(declared, features, _lake(use_case), raw, earlier, moment)
    _record(use_case, Kind.FEATURES_BUILT, built, moment, built.model_dump(mode="json"))
    return built.model_dump(mode="json")


def materialize(use_case: str, as_of: str, batch: str, snapshot: Json) -> Json:
    """Write a batch's newest feature values to the online store, and read a sample back.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        batch: Key of the batch.
        snapshot: DatasetSnapshot of the feature tables.

    Returns:
        `keys` written, `rows` found online, `checked` keys, `starts` and `ends`.
    """
    from include.contracts.record import Kind
    from include.features.lock import exclusive
    from include.features.materialize import materialize as write
    from include.features.store import open_store
    from include.use_cases.catalogue import declaration

    features, moment = _snapshot(batch, snapshot), datetime.fromisoformat(as_of)
    with exclusive(f"feast_online.{use_case}"):
        written = write(open_store(declaration(use_case)), features, moment)
    _record(use_case, Kind.FEATURES_MATERIALIZED, features, moment, written)
    return written


def build_training_set(use_case: str, as_of: str, request: str, data_version: str = "") -> Json:
    """Join features to every label known by `as_of`, point in time, and write the rows once.

    Args:
        use_case: Name of the use case.
        as_of: Instant that the step is about, ISO 8601, UTC.
        request: Id of the retrain request that asks for it.
        data_version: Version of the data that the request was made for; empty takes what is known by `as_of`.

    Returns:
        TrainingSet.
    """
    from include.contracts.data import data_version as version_of
    from include.contracts.errors import PolicyError
    from include.features.training_set import build_training_set as build
    from include.ledger import Ledger
    from include.ledger.featured import featured
    from include.settings import settings
    from include.use_cases.catalogue import declaration

    moment = datetime.fromisoformat(as_of)
    batches = featured(Ledger.at(settings().ledger_url), use_case, moment)
    found = version_of(batches)
    if data_version not in {"", found}:
        cause = f"the data changed after the request: it named version {data_version[:12]}, now it is {found[:12]}"
        raise PolicyError("training set", cause, "ask for a retrain again; the policy does so by itself")
    built = build(declaration(use_case), _lake(use_case), settings().artifacts, batches, moment)
    logging.getLogger("evergreen").info("training set for %s: %d rows in %s", request, built.rows, built.uri)
    return built.model_dump(mode="json")


def _snapshot(batch: str, snapshot: Json) -> "DatasetSnapshot":
    from include.contracts.data import DatasetSnapshot
    from include.contracts.errors import PolicyError

    found = DatasetSnapshot.model_validate(snapshot)
    if found.batch != batch:
        raise PolicyError("features", f"asked for batch {batch}, got the snapshot of {found.batch}", "pass its own")
    return found


def _lake(use_case: str) -> "Lake":
    from include.lake import Lake
    from include.settings import settings

    return Lake(settings().lake, use_case)


def _record(use_case: str, kind: "Kind", snapshot: "DatasetSnapshot", as_of: datetime, payload: Json) -> None:
    from include.contracts.record import Record
    from include.ledger import Ledger
    from include.settings import settings

    key = f"{snapshot.batch}@{snapshot.digest[:12]}"
    run_id = os.environ.get("EVERGREEN_RUN_ID", "")
    record = Record(use_case=use_case, kind=kind, key=key, as_of=as_of, payload=payload, run_id=run_id)
    Ledger.at(settings().ledger_url).append(record)


if __name__ == "__main__":
    raise SystemExit(main("features"))
