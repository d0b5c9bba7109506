"""Load a model only after its digest matches, and predict with it."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from include.contracts.errors import DataError, ModelError
from include.contracts.training import Artifact, TrainingManifest
from include.models.manifest import MODEL, artifact, download

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import xgboost


def load_booster(uri: str, digest: str, threads: int = 2) -> "xgboost.Booster":
    """The model at `uri`; its bytes are held to `digest` first.

    XGBoost itself loads most models with a flipped byte without a word, and can take all memory on a cut one.

    Raises:
        ModelError: If the file is missing, its SHA-256 differs, or XGBoost cannot read it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = download(Artifact(uri=uri, digest=digest, size=0), Path(folder) / MODEL)
        return read_booster(path, threads)


def load_model(manifest: TrainingManifest, threads: int = 2) -> "xgboost.Booster":
    """The model of a manifest, held to its digest first."""
    found = artifact(manifest, MODEL)
    return load_booster(found.uri, found.digest, threads)


def read_booster(path: Path, threads: int = 2) -> "xgboost.Booster":
    """Read a model file whose digest was checked.

    Raises:
        ModelError: If XGBoost cannot read it.
    """
    import xgboost

    try:
        return xgboost.Booster({"nthread": threads}, model_file=str(path))
    except xgboost.core.XGBoostError as error:
        raise ModelError("model file", f"{path.name}: {str(error).splitlines()[-1]}", "train again") from error


def predict(booster: "xgboost.Booster", frame: "pl.DataFrame", manifest: TrainingManifest) -> "np.ndarray":
    """One prediction a row: the probability of 1, or the number.

    Args:
        booster: The manifest's model.
        frame: Rows with the manifest's features.
        manifest: Names features and categories.

    Raises:
        DataError: If the rows do not fit the model's inputs.
    """
    import numpy as np
    import xgboost

    from include.models.inputs import matrix

    if frame.is_empty():
        return np.empty(0, dtype=np.float32)
    try:
        rows = matrix(frame, manifest.features, manifest.categories)
        return np.asarray(booster.predict(rows))
    except (ValueError, xgboost.core.XGBoostError) as error:
        raise DataError("prediction", str(error).splitlines()[0], "compare the rows with the model's inputs") from error
