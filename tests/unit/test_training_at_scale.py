"""Training beyond one lifetime, one memory and one GPU: checkpoints, rows read in batches, several workers."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest

from include.contracts.errors import DataError, InfraError
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import Resources, XGBoost
from include.models.manifest import MODEL, REFERENCE
from include.models.probe import prove
from include.training.data import load
from include.training.device import choose, gpus
from include.training.rows import Stored, stored, too_large
from include.training.trainer import run
from tests.model_world import START, rows, spec, world, written

ROOT = Path(__file__).parents[2]
SMALL = Resources(cpu=1, memory="1Mi")
"""Too little for `MANY` rows: they are read in batches (in a function of this process nothing else is limited)."""
MANY = 12_000


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(tmp_path_factory.mktemp("scale")) as place:
        yield place


def killed(path: Path, stage: str) -> None:
    """A training process that was killed with SIGKILL after its first checkpoint of `stage`."""
    given = TrainingSpec.model_validate_json(path.read_text())
    point = Path(given.output_uri, "checkpoints", f"{stage}.json")
    command = [sys.executable, "-m", "include.training", "--spec", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not point.exists():
        assert process.poll() is None, "it ended before its first checkpoint"
        assert time.monotonic() < until
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not Path(given.output_uri, "manifest.json").exists()


def finished(path: Path) -> tuple[TrainingManifest, str]:
    command = [sys.executable, "-m", "include.training", "--spec", str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return TrainingManifest.model_validate_json(done.stdout), done.stderr


def long(**changes: Any) -> XGBoost:
    return XGBoost(**{"max_depth": 4, "rounds": 500, "learning_rate": 0.02, "early_stopping": 60, **changes})


@pytest.fixture(scope="module")
def uninterrupted(home: Path) -> TrainingManifest:
    manifest = run(spec(home, rows(), request="uninterrupted", trainer=long()))
    assert 25 < manifest.metrics["rounds_kept"] < 500, "early stopping has to take part in this"
    assert manifest.resumed_from_round == 0
    return manifest


@pytest.mark.parametrize("stage", ["fit", "refit"])
def test_killed_training_goes_on_from_its_checkpoint_to_the_same_bytes(
    home: Path, uninterrupted: TrainingManifest, stage: str
) -> None:
    given = spec(home, rows(), request=f"killed-in-{stage}", trainer=long())
    path = written(home, given)
    killed(path, stage)
    manifest, said = finished(path)
    assert manifest.artifacts[MODEL].digest == uninterrupted.artifacts[MODEL].digest
    assert manifest.metrics == uninterrupted.metrics
    assert manifest.resumed_from_round >= 25
    assert f"goes on from round {manifest.resumed_from_round} of" in said
    assert f"of {stage}" in said
    assert not list(Path(given.output_uri, "checkpoints").glob("*")), "a finished training needs none"


def test_without_a_refit_best_round_and_patience_survive_too(home: Path) -> None:
    whole = run(spec(home, rows(), request="stopped-whole", trainer=long(refit=False)))
    path = written(home, spec(home, rows(), request="stopped-killed", trainer=long(refit=False)))
    killed(path, "fit")
    manifest, _ = finished(path)
    assert manifest.resumed_from_round >= 25
    assert manifest.artifacts[MODEL].digest == whole.artifacts[MODEL].digest


def test_sampled_rows_start_again_and_say_so(home: Path) -> None:
    trainer = long(rounds=150, early_stopping=150, subsample=0.7)
    path = written(home, spec(home, rows(), request="sampled", trainer=trainer))
    command = [sys.executable, "-m", "include.training", "--spec", str(path)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    for line in process.stderr:
        if "round 50 of" in line:
            break
    process.kill()
    process.wait()
    manifest, said = finished(path)
    assert manifest.resumed_from_round == 0
    assert "attempt 2 starts from the first round: subsample below 1" in said


@pytest.mark.parametrize("how", ["damaged", "foreign", "cut"])
def test_a_checkpoint_that_is_not_this_trainings_is_not_used(
    home: Path, uninterrupted: TrainingManifest, how: str
) -> None:
    given = spec(home, rows(), request=f"checkpoint-{how}", trainer=long())
    path = written(home, given)
    killed(path, "fit")
    folder = Path(given.output_uri, "checkpoints")
    pointer = folder / "fit.json"
    point = json.loads(pointer.read_text())
    model = folder / f"{point['digest']}.ubj"
    if how == "damaged":
        model.write_bytes(model.read_bytes()[:-1])
    elif how == "foreign":
        pointer.write_text(json.dumps({**point, "inputs": "another"}))
    else:
        pointer.write_text(pointer.read_text()[:-20])
    manifest = run(given)
    assert manifest.resumed_from_round == 0
    assert manifest.artifacts[MODEL].digest == uninterrupted.artifacts[MODEL].digest


def test_rows_are_held_only_where_memory_is_large_enough() -> None:
    assert not too_large(1_000_000, 30, 4 << 30)
    assert too_large(10_000_000, 30, 4 << 30)
    assert too_large(10_000_000, 30, 4 << 30) == too_large(30_000_000, 10, 4 << 30)
    assert not too_large(0, 30, 1 << 20)


def test_batches_say_the_same_as_held_rows(home: Path) -> None:
    frame = rows(MANY)
    held = run(spec(home, frame, request="held"))
    read = run(spec(home, frame, request="read", resources=SMALL))
    assert read.rows == held.rows
    assert read.categories == held.categories
    for name in ("validation_roc_auc", "fresh_roc_auc", "validation_brier"):
        assert read.metrics[name] == pytest.approx(held.metrics[name], abs=1e-3)
    one, other = (pl.read_parquet(m.artifacts[REFERENCE].uri) for m in (held, read))
    assert one.drop("prediction").equals(other.drop("prediction"))
    assert prove(read)["difference"] < 1e-6


def test_only_the_row_groups_of_the_time_are_read(home: Path) -> None:
    given = spec(home, rows(), request="groups", resources=SMALL)
    path = home / "groups.parquet"
    rows().write_parquet(path, row_group_size=100)
    all_rows = stored(given, path)
    late = Stored(**{**vars_of(all_rows), "begins": given.training_set.fresh_from})
    file = pq.ParquetFile(path)
    assert file.num_row_groups == 30
    assert len(late._groups(file)) < 12
    fresh = pl.read_parquet(path).filter(pl.col("at") >= given.training_set.fresh_from)
    assert pl.concat(late.frames()).equals(fresh.select(late.columns))
    assert late.label.tolist() == fresh["target"].to_list()


def vars_of(part: Stored) -> dict[str, Any]:
    return {name: getattr(part, name) for name in part.__dataclass_fields__}


def test_batches_in_a_file_without_order_are_split_alike(home: Path, tmp_path: Path) -> None:
    frame = rows(MANY).sample(fraction=1.0, shuffle=True, seed=3)
    held = load(spec(home, frame, request="disorder"), tmp_path)
    (tmp_path / "read").mkdir()
    read = load(spec(home, frame, request="disorder", resources=SMALL), tmp_path / "read")
    for name in ("train", "validation", "fresh"):
        one, other = getattr(held, name), getattr(read, name)
        assert pl.concat(one.frames()).equals(pl.concat(other.frames()))
        assert one.label.tolist() == other.label.tolist()


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (rows(MANY).with_columns(target=pl.lit(None, pl.Int8)), "without a finite target"),
        (rows(30_000).filter(pl.col("at") > START + timedelta(days=40)), "train split: 0 rows"),
        (rows(MANY).drop("a"), "missing columns: a"),
        (rows(MANY).with_columns(at=pl.lit("noon")), "no time"),
        (rows(MANY).with_columns(a=pl.lit(float("inf"))), "infinite"),
    ],
)
def test_batches_that_cannot_teach_are_refused(home: Path, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        run(spec(home, frame, request="unfit", resources=SMALL))


PEAK = """
import sys, tempfile
from pathlib import Path
from include.training.checkpoints import Checkpoints
from include.training.data import load
from include.training.engine import Single
from include.training.fit import declared, fit, quantise, refit
from include.training.spec import read_spec
spec = read_spec(sys.argv[1])
with tempfile.TemporaryDirectory() as name:
    splits = load(spec, Path(name))
    data = quantise(spec, splits, Single(spec, "cpu", Path(name)))
    fitted = fit(spec, data, declared(spec))
    fitted, data = refit(spec, splits, fitted, data, declared(spec), Checkpoints(spec, "cpu"))
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(line for line in lines if line.startswith("VmHWM"))  # ru_maxrss would be that of who started us
    print(fitted.best, int(peak.split()[1]) * 1024)
"""


def measured(path: Path) -> tuple[float, int]:
    """Score and peak memory of loading and fitting in a process of its own."""
    env = {**os.environ, "POLARS_MAX_THREADS": "1"}
    command = [sys.executable, "-c", PEAK, str(path)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    score, peak = done.stdout.split()
    return float(score), int(peak)


def test_memory_stays_bounded_where_rows_are_read_in_batches(home: Path) -> None:
    from tests.benchmarks.bench_gpu import written_rows

    path = home / "large.parquet"
    given = spec(home, rows(600), request="large", trainer=XGBoost(max_depth=3, rounds=3))
    given = written_rows(given, path, 1_500_000, 30)
    (held, held_peak), (read, read_peak) = (
        measured(
            written(home, given.model_copy(update={"request": name, "resources": Resources(cpu=2, memory=memory)}))
        )
        for name, memory in (("large-held", "16Gi"), ("large-read", "1Gi"))
    )
    print(f"\n  1,500,000 x 30 rows: peak {held_peak >> 20} MiB held, {read_peak >> 20} MiB in batches")
    assert read == pytest.approx(held, abs=1e-3)
    assert held_peak - read_peak > 150 << 20
    assert read_peak < 900 << 20


def test_several_workers_are_declared_and_say_the_same(home: Path) -> None:
    """Two workers on the CPU stand for two GPUs: the same code, but for the device."""
    frame = rows(2_000)
    one = run(spec(home, frame, request="one", resources=Resources(cpu=2)))
    two = run(spec(home, frame, request="two", resources=Resources(cpu=2, gpu=2)))
    assert two.rows == one.rows
    assert two.features == one.features
    assert two.metrics["validation_roc_auc"] == pytest.approx(one.metrics["validation_roc_auc"], abs=0.01)
    assert prove(two)["difference"] < 1e-6


@pytest.mark.skipif(gpus() > 0, reason="this machine has a GPU")
def test_a_gpu_that_nobody_requires_may_be_missing(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert choose(spec(home, rows(600), request="any", device="cuda")) == "cpu"
    assert "training on the CPU" in caplog.text
    with pytest.raises(InfraError, match="GPU"):
        choose(spec(home, rows(600), request="two", device="cuda", require_gpu=True, resources=Resources(gpu=2)))
