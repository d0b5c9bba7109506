"""Thresholds of a model, calibrated once for each size of window and kept among the artifacts."""

import json

from include.contracts.digest import digest_of
from include.contracts.use_case import Monitoring
from include.lake import object_store
from include.monitoring.calibration import bucket, calibrate
from include.monitoring.reference import CALIBRATION_ROWS, PREDICTION, Reference

METHOD = 1
"""Raised when the calibration changes, so that thresholds of the old one are not found."""


def counted(reference: Reference, monitoring: Monitoring) -> set[str]:
    """Columns that may make a window drifted: the model's features but those that drift by nature."""
    return set(reference.manifest.features) - set(monitoring.ignore)


def thresholds(reference: Reference, monitoring: Monitoring, folder: str, rows: int) -> dict[str, float]:
    """Threshold by column, and that of the predictions as `prediction`.

    Args:
        reference: What the model was trained on.
        monitoring: The declaration.
        folder: Where calibrations are kept.
        rows: Rows of the window.
    """
    size = bucket(rows)
    name = digest_of([METHOD, CALIBRATION_ROWS, reference.manifest.spec_digest, monitoring.model_dump(mode="json")])
    uri = f"{folder}/{name[:20]}-{size}.json"
    store = object_store(uri)
    if store.exists(uri):
        return dict(json.loads(store.read(uri)))
    found = calibrated(reference, monitoring, size)
    store.write(uri, json.dumps(found, indent=1).encode())
    return found


def calibrated(reference: Reference, monitoring: Monitoring, size: int) -> dict[str, float]:
    """Calibrate features and, on their own, predictions."""
    weights = {name: reference.manifest.gain.get(name, 0.0) for name in counted(reference, monitoring)}
    features = calibrate(reference.features, size, monitoring, weights)
    return features | calibrate(reference.predictions, size, monitoring, {PREDICTION: 1.0})
