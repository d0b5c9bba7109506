"""Is a training complete, and is every file of it what its manifest says?"""

import tempfile
from pathlib import Path

from pydantic import ValidationError

from include.contracts.errors import ModelError
from include.contracts.training import Artifact, TrainingManifest, TrainingSpec
from include.models.manifest import artifact, download, read_manifest
from include.models.probe import prove

SPEC = "spec.json"


def verify_training(use_case: str, manifest_uri: str) -> tuple[TrainingManifest, dict[str, float]]:
    """Prove a training from its manifest on.

    The manifest exists and is sound; it belongs to the use case and to the spec beside it; the training set and every
    artifact have the digests that it names; the model loads in a clean, memory-limited process and predicts there
    what its training predicted.

    Returns:
        The manifest, and what the clean process saw.

    Raises:
        ModelError: At the first thing that is not so.
    """
    manifest = read_manifest(manifest_uri)
    if manifest.use_case != use_case:
        raise ModelError("verification", f"{manifest_uri} is of {manifest.use_case}, not {use_case}", "name another")
    spec = _spec(manifest)
    seen = prove(manifest, spec.resources.memory_bytes)
    return manifest, seen


def _spec(manifest: TrainingManifest) -> TrainingSpec:
    given = manifest.training_set
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        download(Artifact(uri=given.uri, digest=given.digest, size=0), folder / "training_set.parquet")
        text = download(artifact(manifest, SPEC), folder / SPEC).read_text()
    try:
        spec = TrainingSpec.model_validate_json(text)
    except ValidationError as error:
        raise ModelError("verification", f"{SPEC} is not a training spec: {error}", "train again") from error
    for name, told, done in (
        ("spec digest", spec.digest, manifest.spec_digest),
        ("training set", spec.training_set, manifest.training_set),
        ("request", spec.request, manifest.request),
        ("features", spec.training_set.features, manifest.features),
    ):
        if told != done:
            raise ModelError("verification", f"{name} of the spec and of the manifest differ", "train again")
    return spec
