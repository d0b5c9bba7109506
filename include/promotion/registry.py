"""The MLflow registry as a mirror: one version for each model, and aliases that follow the ledger's row."""

import logging
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from include.contracts.errors import InfraError, ModelError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.contracts.verdict import Champion
from include.lake.objects import sha256
from include.ledger import Ledger
from include.models.manifest import MODEL, artifact
from include.models.tracking import mlflow_errors

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger("evergreen")

DIGEST = "evergreen.model_digest"
MANIFEST_URI = "evergreen.manifest_uri"
VERDICT = "evergreen.verdict"


def register(mlflow: "MlflowClient", manifest: TrainingManifest, manifest_uri: str, verdict: str) -> int:
    """The model's version in the registry, made where it has none; the same model never gets two.

    Args:
        mlflow: Client.
        manifest: The model.
        manifest_uri: Where the manifest is; kept as a tag.
        verdict: `accepted` or `rejected`; kept as a tag.

    Raises:
        ModelError: If MLflow's copy of the model is not the one that training wrote.
    """
    digest = artifact(manifest, MODEL).digest
    tags = {
        DIGEST: digest,
        MANIFEST_URI: manifest_uri,
        VERDICT: verdict,
        "evergreen.request": manifest.request,
        "evergreen.data_version": manifest.training_set.data_version,
    }
    with mlflow_errors("promotion"):
        _ensure_model(mlflow, manifest.use_case)
        version = _version_of(mlflow, manifest.use_case, manifest.mlflow_run_id, digest)
        if version is None:
            _check_copy(mlflow, manifest, digest)
            version = _create(mlflow, manifest, digest, tags)
        mlflow.set_model_version_tag(manifest.use_case, str(version), VERDICT, verdict)
    return version


def versions(mlflow: "MlflowClient", use_case: str) -> "list[ModelVersion]":
    """Every registered version, oldest first."""
    with mlflow_errors("reading the registry"):
        found = mlflow.search_model_versions(f"name = '{use_case}'", max_results=10_000)
    return sorted(found, key=lambda version: int(version.version))


def mirror(mlflow: "MlflowClient", ledger: Ledger, use_case: str) -> dict[str, int | None]:
    """Set the aliases `champion`, `previous` and `challenger` to what the ledger says.

    The challenger is the newest version where it was never champion.

    Returns:
        The aliases that were changed, None where one was removed.

    Raises:
        InfraError: If MLflow does not take them, also at the last of a few looks.
    """
    for pause in (0.2, 0.6):
        try:
            return _mirrored(mlflow, ledger, use_case)
        except InfraError as error:  # two at once collide on MLflow's unique key; the next look finds it done
            log.warning("promotion: %s; looking again", error.cause)
            time.sleep(pause)
    return _mirrored(mlflow, ledger, use_case)


def _mirrored(mlflow: "MlflowClient", ledger: Ledger, use_case: str) -> dict[str, int | None]:
    wanted = _wanted(mlflow, ledger, use_case)
    with mlflow_errors("aliases"):
        if not versions(mlflow, use_case):
            return {}
        found = {name: int(version) for name, version in mlflow.get_registered_model(use_case).aliases.items()}
        changed = {name: version for name, version in wanted.items() if found.get(name) != version}
        for name, version in changed.items():
            if version is None:
                mlflow.delete_registered_model_alias(use_case, name)
            else:
                mlflow.set_registered_model_alias(use_case, name, str(version))
    return changed


def _wanted(mlflow: "MlflowClient", ledger: Ledger, use_case: str) -> dict[str, int | None]:
    row = ledger.champion(use_case)
    ever = {Champion.model_validate(r.payload).version for r in ledger.find(use_case, Kind.PROMOTED)}
    registered = versions(mlflow, use_case)
    newest = int(registered[-1].version) if registered else None
    return {
        "champion": row.version if row else None,
        "previous": row.previous if row else None,
        "challenger": newest if newest not in ever else None,
    }


def _ensure_model(mlflow: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        mlflow.get_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        try:
            mlflow.create_registered_model(name)
        except MlflowException as other:
            if other.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _version_of(mlflow: "MlflowClient", name: str, run_id: str, digest: str) -> int | None:
    found = mlflow.search_model_versions(f"name = '{name}' and run_id = '{run_id}'")
    return min((int(version.version) for version in found if version.tags.get(DIGEST) == digest), default=None)


def _create(mlflow: "MlflowClient", manifest: TrainingManifest, digest: str, tags: dict[str, str]) -> int:
    created = int(
        mlflow.create_model_version(
            manifest.use_case,
            f"models:/{manifest.mlflow_model_id}",
            run_id=manifest.mlflow_run_id,
            model_id=manifest.mlflow_model_id,
            tags=tags,
        ).version
    )
    first = _version_of(mlflow, manifest.use_case, manifest.mlflow_run_id, digest)
    if first is not None and first != created:  # two at once: the lower number stays
        _take_back(mlflow, manifest.use_case, created)
        return first
    return created


def _take_back(mlflow: "MlflowClient", name: str, version: int) -> None:
    """Delete a second version of the same model; it does no harm where this account may delete none."""
    from mlflow.exceptions import MlflowException

    try:
        mlflow.delete_model_version(name, str(version))
    except MlflowException as error:
        if error.error_code != "PERMISSION_DENIED":
            raise
        log.warning("promotion: version %d of %s repeats an earlier one and stays: no right to delete", version, name)


def _check_copy(mlflow: "MlflowClient", manifest: TrainingManifest, digest: str) -> None:
    """MLflow registers an empty folder without a word; so its copy is held to the digest first."""
    from mlflow.artifacts import download_artifacts

    place = mlflow.get_logged_model(manifest.mlflow_model_id).artifact_location
    with tempfile.TemporaryDirectory() as folder:
        path = download_artifacts(artifact_uri=f"{place}/{MODEL}", dst_path=folder)
        found = sha256([Path(path).read_bytes()])
    if found != digest:
        raise ModelError(
            "promotion",
            f"MLflow's copy {manifest.mlflow_model_id} has SHA-256 {found[:12]}.. in place of {digest[:12]}..",
            "train again; find out who writes to MLflow's artifacts",
        )
