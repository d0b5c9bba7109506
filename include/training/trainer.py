"""From a spec to a manifest: load, tune, fit, predict, draw, record, and the manifest last."""

import importlib.metadata
import logging
import math
import platform
import resource
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import ValidationError

from include.contracts.errors import ModelError
from include.contracts.training import Artifact, Cost, TrainingManifest, TrainingSpec
from include.lake import object_store
from include.models import scores
from include.models.manifest import MANIFEST, MODEL, REFERENCE, check_digests
from include.training import reference
from include.training.attempt import Attempt, attempt
from include.training.checkpoints import Checkpoints
from include.training.data import Splits, load
from include.training.device import choose
from include.training.engine import Parameters, engine
from include.training.fit import Fitted, Quantised, declared, fit, gain, predictions, quantise, refit

log = logging.getLogger("evergreen")

PACKAGES = ("xgboost", "numpy", "polars", "pyarrow", "mlflow", "mlflow-skinny", "optuna")


def run(spec: TrainingSpec) -> TrainingManifest:
    """Train what `spec` says, or find it finished.

    Raises:
        DataError: If the training set is missing, changed or unfit.
        ModelError: If no sound model comes out.
        InfraError: If a GPU, MLflow or the object store is missing; a retry can help.
    """
    if found := finished(spec):
        return found
    clock = _Clock()
    device = choose(spec)
    with tempfile.TemporaryDirectory(prefix="training-") as name:
        manifest, kept = _train(spec, device, Path(name), clock)
    return _publish(spec, manifest, kept)


def _train(spec: TrainingSpec, device: str, scratch: Path, clock: "_Clock") -> tuple[TrainingManifest, Checkpoints]:
    splits = load(spec, scratch)
    with attempt(spec) as opened, engine(spec, device, scratch) as grower:
        kept = Checkpoints(spec, device, opened.number)
        data = quantise(spec, splits, grower)
        parameters, trials = _parameters(spec, data)
        fitted = fit(spec, data, parameters, kept)
        validation = predictions(spec, fitted.booster, splits.validation, data)  # now: a refit has seen these rows
        if spec.trainer.refit:
            fitted, data = refit(spec, splits, fitted, data, parameters, kept)
        done = _Done(splits, data, fitted, validation, parameters, trials, device, kept.resumed_from)
        return _record(spec, opened, done, clock), kept


@dataclass(frozen=True)
class _Done:
    """What an attempt has made, before it is written anywhere."""

    splits: Splits
    data: Quantised
    fitted: Fitted
    validation: NDArray[np.float32]
    parameters: Parameters
    trials: list[dict[str, object]]
    device: str
    resumed_from: int


def finished(spec: TrainingSpec) -> TrainingManifest | None:
    """The manifest of an earlier attempt at the same spec, if every artifact is still what it says."""
    uri = f"{spec.output_uri}/{MANIFEST}"
    if not object_store(uri).exists(uri):
        return None
    try:
        found = TrainingManifest.model_validate_json(object_store(uri).read(uri))
        with tempfile.TemporaryDirectory() as folder:
            check_digests(found, Path(folder))
    except (ValidationError, ModelError) as error:
        log.warning("training: %s is not sound, training again: %s", uri, error)
        return None
    return found if found.spec_digest == spec.digest else None


def _parameters(spec: TrainingSpec, data: Quantised) -> tuple[Parameters, list[dict[str, object]]]:
    if not spec.trainer.tuning.trials:
        return declared(spec), []
    from include.training.tuning import tune  # here: Optuna costs a second that most trainings never pay

    return tune(spec, data)


def _record(spec: TrainingSpec, opened: Attempt, done: _Done, clock: "_Clock") -> TrainingManifest:
    """Write the artifacts, log the attempt, and return the manifest, not yet written."""
    from include.training.pictures import draw

    splits, data, fitted, validation = done.splits, done.data, done.fitted, done.validation
    fresh = predictions(spec, fitted.booster, splits.fresh, data)
    shares = gain(fitted.booster, spec.training_set.features)
    versions = packages()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = folder / "mlflow"
        pictures.mkdir()
        draw(spec, fitted, data, splits.validation, validation, shares, pictures)
        (pictures / "spec.json").write_text(spec.model_dump_json(indent=1))
        if done.trials:
            pl.DataFrame([{**t.pop("parameters"), **t} for t in done.trials]).write_csv(pictures / "trials.csv")  # type: ignore[dict-item]
        fitted.booster.save_model(folder / MODEL)
        reference.write(splits, validation, fresh, folder / REFERENCE)
        model_id = opened.log_model(fitted.booster, set(spec.training_set.categorical), versions)
        artifacts = _upload([folder / MODEL, folder / REFERENCE, *sorted(pictures.iterdir())], spec, opened.run_id)
        manifest = TrainingManifest(
            spec_digest=spec.digest,
            use_case=spec.use_case,
            request=spec.request,
            as_of=spec.as_of,
            training_set=spec.training_set,
            mlflow_run_id=opened.run_id,
            mlflow_model_id=model_id,
            artifacts=artifacts,
            rows=splits.rows,
            metrics=_metrics(spec, splits, fitted, validation, fresh),
            parameters={**done.parameters, "rounds": spec.trainer.rounds, "seed": spec.trainer.seed},
            features=spec.training_set.features,
            categories=data.categories,
            gain=shares,
            packages=versions,
            device=done.device,
            resumed_from_round=done.resumed_from,
            git_commit=spec.git_commit,
            cost=clock.cost(),
            finished_at=datetime.now(UTC),
        )
        _log(opened, manifest, fitted, pictures)
    return manifest


def _metrics(
    spec: TrainingSpec, splits: Splits, fitted: Fitted, validation: NDArray[np.float32], fresh: NDArray[np.float32]
) -> dict[str, float]:
    name = spec.task.metric
    others = (scores.brier, scores.log_loss) if spec.task.kind == "binary" else (scores.rmse,)
    found = {"rounds_kept": float(fitted.booster.num_boosted_rounds())}
    for part, rows, predicted in (("validation", splits.validation, validation), ("fresh", splits.fresh, fresh)):
        if rows.rows:
            exact = predicted.astype(np.float64)
            found[f"{part}_{name}"] = scores.score(name, rows.label, exact)
            found |= {f"{part}_{other.__name__}": other(rows.label, exact) for other in others}
    return {metric: value for metric, value in found.items() if math.isfinite(value)}


def _upload(files: list[Path], spec: TrainingSpec, run_id: str) -> dict[str, Artifact]:
    """Upload into a folder of the attempt's own, so that two attempts at once never mix their files."""
    artifacts = {}
    for path in files:
        uri = f"{spec.output_uri}/{run_id}/{path.name}"
        digest = object_store(uri).upload(path, uri)
        artifacts[path.name] = Artifact(uri=uri, digest=digest, size=path.stat().st_size)
    return artifacts


def _log(opened: Attempt, manifest: TrainingManifest, fitted: Fitted, pictures: Path) -> None:
    (pictures / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    counts = {f"rows_{name}": float(count) for name, count in manifest.rows.items()}
    curves = {f"{name}_per_round": values for name, values in fitted.curves.items()}
    tags = {
        "evergreen.model_digest": manifest.artifacts[MODEL].digest,
        "evergreen.device": manifest.device,
        "evergreen.resumed_from_round": str(manifest.resumed_from_round),
        **{f"package.{name}": version for name, version in manifest.packages.items()},
    }
    opened.log_all(
        {**manifest.parameters}, {**manifest.metrics, **counts, **manifest.cost.model_dump()}, curves, pictures, tags
    )


def _publish(spec: TrainingSpec, manifest: TrainingManifest, kept: Checkpoints) -> TrainingManifest:
    """Write the manifest, unless another attempt at the same spec was first; then that one counts."""
    if earlier := finished(spec):
        return earlier
    uri = f"{spec.output_uri}/{MANIFEST}"
    object_store(uri).write(uri, manifest.model_dump_json(indent=1).encode())
    kept.clear()
    log.info("training: finished in %.1f s, %s", manifest.cost.seconds, uri)
    return manifest


def packages() -> dict[str, str]:
    """Versions of what took part, by name; Python's among them."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # a pod's slim image carries what it needs, not more
    return found


class _Clock:
    """What this process used since the clock was made, with its children."""

    def __init__(self) -> None:
        self.started, self.used = time.monotonic(), self._cpu()

    @staticmethod
    def _cpu() -> float:
        own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
        return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime

    def cost(self) -> Cost:
        """Until now."""
        return Cost(
            seconds=time.monotonic() - self.started,
            cpu_seconds=self._cpu() - self.used,
            peak_bytes=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )
