"""What each step read and wrote: from its arguments, its result, the ledger and the lake."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from include.contracts.data import DatasetSnapshot, LandedBatch, TableVersion, TrainingSet, data_version
from include.contracts.errors import DataError
from include.contracts.record import Kind
from include.contracts.training import Artifact, TrainingManifest
from include.lineage import datasets
from include.lineage.datasets import Named
from include.lineage.observation import Observation

if TYPE_CHECKING:
    from include.lake import Lake
    from include.ledger import Ledger

Json = dict[str, Any]
Flow = tuple[list[Named], list[Named]]
"""Inputs and outputs."""


def flow(seen: Observation, result: Json) -> Flow:
    """What a step that returned `result` read and wrote.

    Raises:
        DataError: If ledger and result do not agree on what was read.
    """
    return FLOWS[seen.step](seen, result)


def _commit(seen: Observation, result: Json) -> Flow:
    landed = LandedBatch.model_validate(seen.arguments["landed"])
    files = [datasets.file(each.uri, each.digest, each.size) for each in landed.files]
    return files, _tables([DatasetSnapshot.model_validate(result)])


def _build_features(seen: Observation, result: Json) -> Flow:
    built = DatasetSnapshot.model_validate(result)
    records = _ledger().find(seen.use_case, Kind.BATCH_COMMITTED)
    raw = [DatasetSnapshot.model_validate(r.payload) for r in records if r.payload["digest"] in built.made_of]
    if {each.digest for each in raw} != set(built.made_of):
        cause = f"{built.batch} was made of {len(built.made_of)} raw snapshots, the ledger knows {len(raw)} of them"
        raise DataError("lineage", cause, "commit the batch through this ledger, then build its features again")
    return _tables(raw), _tables([built])


def _materialize(seen: Observation, result: Json) -> Flow:
    from include.settings import settings

    features = DatasetSnapshot.model_validate(seen.arguments["snapshot"])
    read = [table for table in features.tables if table.name.startswith("features/")]
    online = datasets.online_store(settings().feast_online, seen.use_case, result["rows"])
    return [datasets.table([(features.batch, table)]) for table in read], [online]


def _build_training_set(seen: Observation, result: Json) -> Flow:
    from include.ledger.featured import featured

    built = TrainingSet.model_validate(result)
    batches = featured(_ledger(), seen.use_case, seen.as_of)
    if data_version(batches) != built.data_version:
        cause = f"the ledger's data version is no longer {built.data_version[:12]}, from which the set was built"
        raise DataError("lineage", cause, "ask for another retrain where the walk to the raw files matters")
    return _as_they_are(seen.use_case, batches), [datasets.training_set(built)]


def _train(_: Observation, result: Json) -> Flow:
    manifest = TrainingManifest.model_validate(result)
    files = [datasets.file(each.uri, each.digest, each.size) for _, each in sorted(manifest.artifacts.items())]
    digest = _model(manifest).digest
    logged = datasets.logged_model(manifest.use_case, manifest.mlflow_model_id, digest)
    return [datasets.training_set(manifest.training_set)], [*files, logged]


def _promote(seen: Observation, result: Json) -> Flow:
    from include.models.manifest import read_manifest

    found = _model(read_manifest(seen.arguments["verdict"]["manifest_uri"]))
    return [datasets.file(found.uri, found.digest, found.size)], [datasets.model(seen.use_case, result["version"])]


def _score(seen: Observation, result: Json) -> Flow:
    scored = {each["batch"]: each for each in result["scored"]}
    if not scored:
        return [], []
    snapshots = [_featured(seen.use_case, batch, each["data_version"]) for batch, each in scored.items()]
    models = sorted({each["model_version"] for each in scored.values()})
    written = _lake(seen.use_case).written("predictions")
    read = _as_they_are(seen.use_case, snapshots)
    predictions = datasets.table((batch, written[batch]) for batch in scored)
    return [*read, *(datasets.model(seen.use_case, version) for version in models)], [predictions]


def _featured(use_case: str, batch: str, digest: str) -> DatasetSnapshot:
    record = _ledger().get(use_case, Kind.FEATURES_BUILT, f"{batch}@{digest[:12]}")
    if record is None:
        cause = f"the ledger knows no features of {batch}, and yet it was scored"
        raise DataError("lineage", cause, "look who else writes to the ledger")
    return DatasetSnapshot.model_validate(record.payload)


def _model(manifest: TrainingManifest) -> Artifact:
    from include.models.manifest import MODEL, artifact

    return artifact(manifest, MODEL)


def _tables(snapshots: Iterable[DatasetSnapshot]) -> list[Named]:
    """The tables of snapshots, each once, in the versions that the snapshots name."""
    parts: dict[str, dict[str, TableVersion]] = {}
    for snapshot in snapshots:
        for table in snapshot.tables:
            parts.setdefault(table.name, {})[snapshot.batch] = table
    return [datasets.table(found.items()) for _, found in sorted(parts.items())]


def _as_they_are(use_case: str, snapshots: Iterable[DatasetSnapshot]) -> list[Named]:
    """The tables of snapshots as the lake holds their batches now: what is read is the table, not an old version.

    A batch that was written before the table's log was cleaned up has the version that its snapshot names.
    """
    now = lru_cache(_lake(use_case).written)
    return _tables(
        snapshot.model_copy(
            update={"tables": [now(table.name).get(snapshot.batch, table) for table in snapshot.tables]}
        )
        for snapshot in snapshots
    )


def _ledger() -> "Ledger":
    from include.ledger import Ledger  # here: a pod has none
    from include.settings import settings

    return Ledger.at(settings().ledger_url)


def _lake(use_case: str) -> "Lake":
    from include.lake import Lake
    from include.settings import settings

    return Lake(settings().lake, use_case)


FLOWS: dict[str, Callable[[Observation, Json], Flow]] = {
    "ingestion.commit": _commit,
    "features.build_features": _build_features,
    "features.materialize": _materialize,
    "features.build_training_set": _build_training_set,
    "training.train": _train,
    "promotion.promote": _promote,
    "scoring.score": _score,
}
