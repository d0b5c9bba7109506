"""Predicts a batch and writes the table `predictions`."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from include.contracts.data import DatasetSnapshot
from include.contracts.digest import digest_of
from include.contracts.errors import DataError, ModelError
from include.contracts.scoring import Scored
from include.contracts.training import TrainingManifest
from include.contracts.use_case import UseCase
from include.contracts.verdict import Champion
from include.lake import Lake
from include.models.manifest import MODEL, artifact

if TYPE_CHECKING:
    import polars as pl
    import xgboost

SPINE = "spine"
TABLE = "predictions"
LABEL_TIME = "label_time"

Retrieve = Callable[[UseCase, "pl.DataFrame"], "pl.DataFrame"]
"""Adds the features to spine rows, as they were known at each row's instant."""


def load(champion: Champion, manifest: TrainingManifest) -> "xgboost.Booster":
    """The champion's model; its bytes are held to the digest first.

    Raises:
        ModelError: If the manifest is not the champion's, or the bytes are not the manifest's.
    """
    from include.models.booster import load_booster

    found = artifact(manifest, MODEL)
    if found.digest != champion.model_digest:
        raise ModelError(
            "scoring",
            f"champion v{champion.version} has SHA-256 {champion.model_digest[:12]}.., its manifest "
            f"{champion.manifest_uri} names {found.digest[:12]}..",
            "run include.promotion reconcile, or roll back",
        )
    return load_booster(found.uri, champion.model_digest)


def predict_batch(
    use_case: UseCase,
    lake: Lake,
    snapshot: DatasetSnapshot,
    champion: Champion,
    manifest: TrainingManifest,
    booster: "xgboost.Booster",
    retrieve: Retrieve,
    as_of: datetime,
) -> Scored:
    """Predict every row of a batch's spine and commit the predictions with the features that made them.

    Args:
        use_case: The declaration.
        lake: Where spine and predictions are.
        snapshot: The batch's feature tables.
        champion: Whose predictions they are.
        manifest: Names the model's features.
        booster: The model.
        retrieve: Adds the features to the spine.
        as_of: When it was scored.

    Returns:
        What was written; the label is not among it.

    Raises:
        DataError: If the spine is gone, or features came back for other rows than asked.
    """
    spine = _spine(lake, snapshot)
    rows = retrieve(use_case, spine)
    if rows.height != spine.height:
        cause = f"{spine.height} rows of batch {snapshot.batch} went in, {rows.height} came out"
        raise DataError("scoring features", cause, "look for duplicate entity keys in the feature tables")
    scored = _predicted(use_case, rows, champion, manifest, booster, as_of)
    digest = digest_of([snapshot.digest, _versions(snapshot), champion.model_digest])
    written = lake.commit(TABLE, snapshot.batch, digest, scored.to_arrow(), new_columns=True)
    return Scored(
        batch=snapshot.batch,
        starts=snapshot.starts,
        ends=snapshot.ends,
        data_version=snapshot.digest,
        model_version=champion.version,
        model_digest=champion.model_digest,
        rows=written.rows,
        uri=written.uri,
        table_version=written.version,
    )


def _spine(lake: Lake, snapshot: DatasetSnapshot) -> "pl.DataFrame":
    version = next((table.version for table in snapshot.tables if table.name == SPINE), None)
    rows = lake.scan(SPINE, [snapshot.batch], version) if version is not None else None
    if rows is None:
        raise DataError("scoring", f"batch {snapshot.batch} has no spine in the lake", "build its features again")
    return rows.collect()


def _predicted(
    use_case: UseCase,
    rows: "pl.DataFrame",
    champion: Champion,
    manifest: TrainingManifest,
    booster: "xgboost.Booster",
    as_of: datetime,
) -> "pl.DataFrame":
    import polars as pl
    import polars.selectors as cs

    from include.models.booster import predict

    # an infinite value is a missing one to the model, and stays in the table, where monitoring reports it
    finite = rows.with_columns(cs.float().replace([float("inf"), float("-inf")], None))
    columns = dict.fromkeys([*use_case.entity_keys, use_case.event_time, LABEL_TIME, *manifest.features])
    columns.pop(use_case.task.label, None)
    return rows.select(*columns).with_columns(
        pl.Series("prediction", predict(booster, finite, manifest), dtype=pl.Float64),
        pl.lit(champion.version, pl.Int64).alias("model_version"),
        pl.lit(champion.model_digest).alias("model_digest"),
        pl.lit(as_of, pl.Datetime("us", "UTC")).alias("scored_as_of"),
    )


def _versions(snapshot: DatasetSnapshot) -> list[list[str]]:
    return [[table.name, table.digest] for table in snapshot.tables]
