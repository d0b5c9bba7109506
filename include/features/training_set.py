"""The point-in-time training set: written once as Parquet, found again by the digest of its inputs."""

import tempfile
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl

from include.contracts.data import DatasetSnapshot, TrainingSet, data_version
from include.contracts.digest import digest_of
from include.contracts.errors import DataError
from include.contracts.use_case import UseCase
from include.features.retrieval import features_of, inputs
from include.features.store import declaration_digest, open_store
from include.lake import Lake, object_store

INSTANT = timedelta(microseconds=1)
LABEL_TIME = "label_time"
DECIDING = {"name", "task", "entity_keys", "event_time", "gate", "trainer", "categorical"}
"""Fields of the declaration that decide what is in a training set."""


def build_training_set(
    use_case: UseCase, lake: Lake, artifacts: str, featured: Sequence[DatasetSnapshot], as_of: datetime
) -> TrainingSet:
    """Join features to every spine row whose label is known by `as_of`, and write the rows once.

    Args:
        use_case: The declaration.
        lake: Holds spine and features.
        artifacts: Root of the artifacts.
        featured: Batches whose features are in the lake, in the order of time.
        as_of: Labels that become known later are not used.

    Raises:
        DataError: If there are too few labelled rows to train on or to judge by.
    """
    if not featured:
        raise DataError("training set", f"{use_case.name} has no batch with features", "ingest a batch first")
    store = open_store(use_case)
    features = inputs(store, use_case)
    folder = f"{artifacts}/{use_case.name}/training_sets"
    name = digest_of(
        {
            "use_case": use_case.model_dump(mode="json", include=DECIDING),
            "features": features,
            "feature_repo": declaration_digest(use_case),
            "tables": _contents(lake, featured),
            "as_of": as_of.isoformat(),
        }
    )
    objects = object_store(artifacts)
    done = f"{folder}/{name}.json"
    if objects.exists(done):
        return TrainingSet.model_validate_json(objects.read(done))
    rows = _labelled(use_case, lake, featured, as_of)
    cuts = _cuts(use_case, rows.get_column(use_case.event_time))
    rows = features_of(store, use_case, rows)
    uri = f"{folder}/{name}.parquet"
    columns = dict.fromkeys([*use_case.entity_keys, use_case.event_time, use_case.task.label, *features])
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "rows.parquet"
        rows.select(*columns).write_parquet(path, compression="zstd", statistics=True)
        digest = objects.upload(path, uri)
    training_set = TrainingSet(
        uri=uri,
        digest=digest,
        rows=rows.height,
        label=use_case.task.label,
        event_time=use_case.event_time,
        features=features,
        categorical=use_case.categorical,
        **cuts,
        as_of=as_of,
        data_version=data_version(featured),
    )
    objects.write(done, training_set.model_dump_json(indent=2).encode())
    return training_set


def _contents(lake: Lake, featured: Sequence[DatasetSnapshot]) -> dict[str, dict[str, str]]:
    """What the tables hold of the batches, by content, so that a later batch changes nothing here."""
    batches = {snapshot.batch for snapshot in featured}
    tables = sorted({table.name for snapshot in featured for table in snapshot.tables})
    return {
        table: {batch: digest for batch, digest in lake.contents(table).items() if batch in batches} for table in tables
    }


def _labelled(use_case: UseCase, lake: Lake, featured: Sequence[DatasetSnapshot], as_of: datetime) -> pl.DataFrame:
    """Spine rows whose label is known, in the order of time and then of their keys."""
    spine = lake.scan("spine", [snapshot.batch for snapshot in featured])
    if spine is None:
        raise DataError("training set", f"{lake.uri('spine')} is gone", "build the features of a batch first")
    known = pl.col(use_case.task.label).is_not_null() & (pl.col(LABEL_TIME) <= pl.lit(as_of, pl.Datetime("us", "UTC")))
    order = dict.fromkeys([use_case.event_time, *use_case.entity_keys])
    rows = spine.filter(known).collect(engine="streaming").sort(*order, maintain_order=True)
    if rows.is_empty():
        raise DataError("training set", f"no row of {use_case.name} has a label known by {as_of}", "wait for labels")
    return rows


def _cuts(use_case: UseCase, times: pl.Series) -> dict[str, datetime]:
    """Where the splits begin and end. `times` are the rows' event times, in order."""
    starts, ends = times[0], times[-1] + INSTANT
    fresh_from = ends - use_case.gate.fresh
    seen = times.filter(times < fresh_from)
    fresh = len(times) - len(seen)
    if fresh < use_case.gate.minimum_rows:
        raise DataError(
            "training set",
            f"{fresh} labelled rows from {fresh_from} on, the gate needs {use_case.gate.minimum_rows}",
            "wait for more labels, or lengthen gate.fresh",
        )
    training = int(len(seen) * (1 - use_case.trainer.validation_share))
    if training == 0 or seen[training] == starts:
        raise DataError(
            "training set",
            f"{len(seen)} labelled rows before {fresh_from}: nothing is left to train on",
            "ingest more batches, or shorten gate.fresh",
        )
    return {"starts": starts, "validation_from": seen[training], "fresh_from": fresh_from, "ends": ends}
