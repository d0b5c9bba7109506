"""The gate: challenger against champion on the same rows. It fails closed: what cannot be measured is an error."""

import time
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from include.contracts.errors import ModelError
from include.contracts.training import TrainingManifest
from include.contracts.use_case import Gate, Task
from include.contracts.verdict import Champion, Check, GateVerdict
from include.evaluation import checks
from include.evaluation.baseline import linear_baseline
from include.evaluation.bootstrap import Comparison, compare
from include.evaluation.rows import JudgingRows, judging_rows
from include.models.booster import load_model, predict
from include.models.manifest import MODEL, artifact, read_manifest
from include.models.scores import score

Numbers = NDArray[np.float64]
TRIES = 3


def judge(
    gate: Gate, task: Task, manifest_uri: str, champion: Champion | None, as_of: datetime, proved_rows: float
) -> GateVerdict:
    """Judge the model of a manifest that was verified before.

    Args:
        gate: What it must show.
        task: What it predicts.
        manifest_uri: The challenger.
        champion: The champion row; None judges by absolute floors.
        as_of: Time of the verdict.
        proved_rows: Rows on which the clean process proved the model.

    Raises:
        DataError: If the rows cannot carry a verdict.
        ModelError: If a model or a file is not what its manifest says.
    """
    challenger = read_manifest(manifest_uri)
    rival = _manifest_of(champion) if champion else None
    rows = judging_rows(challenger.training_set, rival.training_set if rival else None)
    predicted, milliseconds = _timed(challenger, rows.fresh)
    rivals = _timed(rival, rows.fresh)[0] if rival else None
    predictable = checks.finite(task, predicted)
    if not predictable.passed:
        raise ModelError("evaluation", f"predictions are {predictable.value}", "look at the features; train again")
    found = compare(task.metric, rows.label, predicted, rivals, gate.bootstraps)
    lines = [
        checks.enough_rows(gate, rows.label.size),
        checks.quality(gate, task, found),
        *([checks.calibration(gate, rows.label, predicted, rivals)] if task.kind == "binary" else []),
        _baseline(task, challenger, rows, found.challenger.estimate),
        predictable,
        checks.sound(proved_rows),
        checks.latency(milliseconds),
    ]
    return _verdict(challenger, manifest_uri, champion, as_of, rows, task, found, tuple(lines))


def _manifest_of(champion: Champion) -> TrainingManifest:
    manifest = read_manifest(champion.manifest_uri)
    if artifact(manifest, MODEL).digest != champion.model_digest:
        raise ModelError(
            "evaluation",
            f"champion v{champion.version}: its manifest names another model than the ledger",
            "roll back to a sound version, then evaluate again",
        )
    return manifest


def _timed(manifest: TrainingManifest, rows: pl.DataFrame) -> tuple[Numbers, float]:
    """Predictions, and milliseconds of CPU for a thousand rows: a busy machine must not speak against a model."""
    booster = load_model(manifest)
    best = float("inf")
    for _ in range(TRIES):  # the first warms up
        started = time.process_time()
        predicted = predict(booster, rows, manifest)
        best = min(best, (time.process_time() - started) * 1e6 / rows.height)
    return np.asarray(predicted, dtype=np.float64), best


def _baseline(task: Task, manifest: TrainingManifest, rows: JudgingRows, metric: float) -> Check:
    numbers = [name for name in manifest.features if name not in manifest.categories]
    predicted = linear_baseline(rows.seen, rows.seen_label, rows.fresh, numbers)
    name = "linear regression" if numbers else "a constant"
    return checks.beats_baseline(task, metric, score(task.metric, rows.label, predicted), name)


def _verdict(
    challenger: TrainingManifest,
    manifest_uri: str,
    champion: Champion | None,
    as_of: datetime,
    rows: JudgingRows,
    task: Task,
    found: Comparison,
    lines: tuple[Check, ...],
) -> GateVerdict:
    newest = rows.fresh.get_column(challenger.training_set.event_time).max()
    return GateVerdict(
        use_case=challenger.use_case,
        request=challenger.request,
        as_of=as_of,
        manifest_uri=manifest_uri,
        model_digest=artifact(challenger, MODEL).digest,
        champion_version=champion.version if champion else None,
        champion_revision=champion.revision if champion else 0,
        rows=rows.label.size,
        fresh_from=rows.starts,
        fresh_to=newest if isinstance(newest, datetime) and newest.tzinfo else challenger.training_set.ends,
        metric_name=task.metric,
        metric=found.challenger,
        champion_metric=found.champion,
        gain=found.gain,
        checks=lines,
        accepted=all(check.passed for check in lines),
        not_checked=checks.NOT_CHECKED + (() if task.kind == "binary" else ("calibration",)),
    )
