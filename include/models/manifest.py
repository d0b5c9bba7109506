"""Read a training's manifest, and hold every file it names to its digest."""

from pathlib import Path

from pydantic import ValidationError

from include.contracts.errors import ModelError
from include.contracts.training import Artifact, TrainingManifest
from include.lake import object_store

MODEL = "model.ubj"
REFERENCE = "reference.parquet"
MANIFEST = "manifest.json"


def read_manifest(uri: str) -> TrainingManifest:
    """The manifest at `uri`.

    Raises:
        ModelError: If there is none (the training did not finish) or it is not a manifest.
    """
    try:
        content = object_store(uri).read(uri)
    except FileNotFoundError as error:
        raise ModelError(
            "training manifest",
            f"{uri} does not exist: the training did not finish, so nothing was evaluated",
            "read the log of the train task; run it again",
        ) from error
    try:
        return TrainingManifest.model_validate_json(content)
    except ValidationError as error:
        raise ModelError(
            "training manifest", f"{uri} is not a sound manifest: {error}", "delete it and train again"
        ) from error


def artifact(manifest: TrainingManifest, name: str) -> Artifact:
    """One artifact of a manifest by name.

    Raises:
        ModelError: If the manifest does not name it.
    """
    if name not in manifest.artifacts:
        known = ", ".join(sorted(manifest.artifacts)) or "none"
        raise ModelError("training manifest", f"it names no artifact {name}; it names {known}", "train again")
    return manifest.artifacts[name]


def download(found: Artifact, path: Path) -> Path:
    """Copy an artifact to `path`, and refuse it where its bytes are not the ones that were written.

    Raises:
        ModelError: If it is missing or its SHA-256 differs.
    """
    try:
        digest = object_store(found.uri).download(found.uri, path)
    except FileNotFoundError as error:
        raise ModelError("artifact", f"{found.uri} does not exist", "train again") from error
    if digest != found.digest:
        raise ModelError(
            "artifact",
            f"{found.uri} has SHA-256 {digest[:12]}.. in place of {found.digest[:12]}.. ({path.stat().st_size:,} bytes "
            f"in place of {found.size:,}): it was changed or cut after training, and was not loaded",
            "train again; find out who writes to that folder",
        )
    return path


def check_digests(manifest: TrainingManifest, folder: Path) -> None:
    """Download every artifact into `folder` and hold it to its digest.

    Raises:
        ModelError: At the first that is missing or differs.
    """
    artifact(manifest, MODEL)
    artifact(manifest, REFERENCE)
    for name, found in sorted(manifest.artifacts.items()):
        download(found, folder / name)
