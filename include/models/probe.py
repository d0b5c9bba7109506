"""Prove in a clean process, under a memory limit, that a model loads and predicts what its training predicted.

`python -m include.models.probe MANIFEST FOLDER MEMORY_BYTES` is the clean process; `probe` starts it.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from include.contracts.errors import InfraError, ModelError
from include.contracts.training import TrainingManifest
from include.models.limits import die_with_parent, limit_memory, without_sklearn
from include.models.manifest import MANIFEST, MODEL, REFERENCE, check_digests

ROWS = 200
TOLERANCE = 1e-4
MEMORY = 4 << 30
TIMEOUT = 300


def prove(manifest: TrainingManifest, memory_bytes: int = MEMORY) -> dict[str, float]:
    """Hold every artifact to its digest, then load the model in a clean process and predict a few known rows.

    Args:
        manifest: What training wrote.
        memory_bytes: Limit of the clean process.

    Returns:
        What the clean process saw: `rows`, `lowest`, `highest`, `difference` to the predictions of the training.

    Raises:
        ModelError: If a digest differs, the model does not load, or it predicts something else.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        check_digests(manifest, folder)
        (folder / MANIFEST).write_text(manifest.model_dump_json())
        return _ask(folder, memory_bytes)


def _ask(folder: Path, memory_bytes: int) -> dict[str, float]:
    command = [sys.executable, "-m", "include.models.probe", str(folder), str(memory_bytes), str(os.getpid())]
    root = Path(__file__).resolve().parents[2]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=TIMEOUT, check=False)
    except subprocess.TimeoutExpired as error:
        raise ModelError("model", f"it did not load within {TIMEOUT} s in a clean process", "train again") from error
    except OSError as error:
        raise InfraError("model", f"no clean process could be started: {error}", "look at the machine") from error
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise ModelError(
            "model",
            f"it does not load clean under {memory_bytes / 2**30:.1f} GiB (exit {done.returncode}): {said}",
            "train again, or raise UseCase.resources.memory where the model is that large",
        )
    return {name: float(value) for name, value in json.loads(done.stdout).items()}


def main(folder: Path) -> dict[str, float]:
    """Body of the clean process.

    Raises:
        ModelError: If the inputs differ from the manifest's, or predictions are not finite, constant or not the
            training's.
    """
    import numpy as np
    import polars as pl

    from include.models.booster import predict, read_booster

    manifest = TrainingManifest.model_validate_json((folder / MANIFEST).read_text())
    booster = read_booster(folder / MODEL, threads=1)
    if tuple(booster.feature_names or ()) != manifest.features:
        raise ModelError("model", "its inputs are not the manifest's features", "train again")
    given = manifest.training_set
    fresh = pl.col(given.event_time) >= given.fresh_from  # the rows whose prediction is this very model's
    rows = pl.scan_parquet(folder / REFERENCE).filter(fresh).head(ROWS).collect()
    found = np.asarray(predict(booster, rows, manifest), dtype=np.float64)
    if not found.size or not np.isfinite(found).all():
        raise ModelError("model", f"it predicts no finite numbers on {found.size} rows", "train again")
    if found.size > 1 and np.ptp(found) == 0:
        raise ModelError("model", f"it predicts {found[0]:.6g} for every row", "look at the features; train again")
    known = rows.get_column("prediction").cast(pl.Float64).to_numpy()
    difference = float(np.abs(found - known).max() / max(1.0, float(np.abs(known).max())))
    if difference > TOLERANCE:
        raise ModelError("model", f"it predicts otherwise than its training did (by {difference:.2g})", "train again")
    return {
        "rows": float(found.size),
        "lowest": float(found.min()),
        "highest": float(found.max()),
        "difference": difference,
    }


if __name__ == "__main__":
    die_with_parent(int(sys.argv[3]))
    limit_memory(int(sys.argv[2]))
    without_sklearn()
    try:
        print(json.dumps(main(Path(sys.argv[1]))))
    except ModelError as error:
        raise SystemExit(error.cause) from error
