"""Training as a function: what it writes, what it refuses, and that it finds its own finished work."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from include.contracts.errors import DataError, InfraError, ModelError
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import Tuning, XGBoost
from include.models.booster import load_booster, load_model, predict
from include.models.inputs import as_text, prepare
from include.models.manifest import MODEL, REFERENCE, read_manifest
from include.models.probe import prove
from include.models.scores import roc_auc
from include.models.tracking import client
from include.training.device import gpus
from include.training.trainer import run
from tests.model_world import START, rows, spec, world


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(tmp_path_factory.mktemp("training")) as place:
        yield place


@pytest.fixture(scope="module")
def made(home: Path) -> tuple[TrainingSpec, TrainingManifest]:
    given = spec(home, rows())
    return given, run(given)


def test_manifest_says_what_was_trained(made: tuple[TrainingSpec, TrainingManifest]) -> None:
    given, manifest = made
    assert read_manifest(f"{given.output_uri}/manifest.json") == manifest
    assert manifest.spec_digest == given.digest
    assert sum(manifest.rows.values()) == given.training_set.rows
    assert manifest.metrics["validation_roc_auc"] > 0.8
    assert sum(manifest.gain.values()) == pytest.approx(1.0)
    assert manifest.categories == {"kind": ("k0", "k1", "k2", "k3")}
    assert manifest.cost.cpu_seconds > 0
    assert manifest.cost.peak_bytes > 1 << 20


def test_reference_holds_what_the_model_says_of_rows_it_was_not_grown_on(
    made: tuple[TrainingSpec, TrainingManifest],
) -> None:
    given, manifest = made
    reference = pl.read_parquet(manifest.artifacts[REFERENCE].uri)
    assert reference.height == manifest.rows["validation"] + manifest.rows["fresh"]
    assert reference["at"].min() >= given.training_set.validation_from
    fresh = reference.filter(pl.col("at") >= given.training_set.fresh_from)
    again = predict(load_model(manifest), fresh, manifest)
    assert abs(again - fresh["prediction"].to_numpy()).max() < 1e-6
    validation = reference.filter(pl.col("at") < given.training_set.fresh_from)
    grown_on = predict(load_model(manifest), validation, manifest)
    assert roc_auc(validation["target"].to_numpy(), grown_on) > roc_auc(
        validation["target"].to_numpy(), validation["prediction"].to_numpy()
    ), "the prediction on record is that of a model which had not seen the row"


def test_without_a_refit_the_stopped_model_is_the_model(home: Path) -> None:
    given = spec(home, rows(600), request="stopped", trainer=XGBoost(max_depth=3, rounds=15, refit=False))
    manifest = run(given)
    reference = pl.read_parquet(manifest.artifacts[REFERENCE].uri)
    again = predict(load_model(manifest), reference, manifest)
    assert abs(again - reference["prediction"].to_numpy()).max() < 1e-6


def test_finished_work_is_found_again(made: tuple[TrainingSpec, TrainingManifest]) -> None:
    given, manifest = made
    assert run(given) == manifest


def test_finished_work_with_a_changed_artifact_is_done_again(home: Path) -> None:
    given = spec(home, rows(600), request="changed")
    first = run(given)
    path = Path(first.artifacts[MODEL].uri)
    path.write_bytes(path.read_bytes()[:-1])
    second = run(given)
    assert second.mlflow_run_id != first.mlflow_run_id
    assert prove(second)["difference"] < 1e-6


def test_same_rows_and_spec_give_the_same_bytes(home: Path, made: tuple[TrainingSpec, TrainingManifest]) -> None:
    again = run(spec(home, rows(), request="same"))
    assert again.artifacts[MODEL].digest == made[1].artifacts[MODEL].digest


def test_mlflow_run_tells_the_story(made: tuple[TrainingSpec, TrainingManifest]) -> None:
    given, manifest = made
    mlflow = client()
    found = mlflow.get_run(manifest.mlflow_run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["max_depth"] == "4"
    assert found.data.metrics["validation_roc_auc"] == pytest.approx(manifest.metrics["validation_roc_auc"])
    assert {"cpu_seconds", "peak_bytes", "rows_train"} <= found.data.metrics.keys()
    assert found.data.tags["evergreen.attempt"] == "1"
    assert found.data.tags["package.xgboost"] == manifest.packages["xgboost"]
    assert found.inputs.dataset_inputs[0].dataset.digest == given.training_set.digest[:36]
    assert len(mlflow.get_metric_history(manifest.mlflow_run_id, "validation_per_round")) > 10
    files = {item.path for item in mlflow.list_artifacts(manifest.mlflow_run_id)}
    assert {"shap.png", "curves.png", "quality.png", "importance.csv", "importance.json", "manifest.json"} <= files


def test_logged_model_has_a_signature_and_no_pickle(made: tuple[TrainingSpec, TrainingManifest]) -> None:
    from mlflow.artifacts import download_artifacts
    from mlflow.models import get_model_info

    uri = f"models:/{made[1].mlflow_model_id}"
    files = [path.name for path in Path(download_artifacts(artifact_uri=uri)).rglob("*")]
    assert "model.ubj" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib"))]
    signature = get_model_info(uri).signature
    assert signature.inputs.input_names() == list(made[1].features)


def test_regression_is_trained_too(home: Path) -> None:
    manifest = run(spec(home, rows(1_500, regression=True), request="regression"))
    assert manifest.metrics["validation_r2"] > 0.4
    assert "validation_rmse" in manifest.metrics


def test_a_category_that_training_never_saw_is_missing(made: tuple[TrainingSpec, TrainingManifest]) -> None:
    manifest = made[1]
    frame = pl.DataFrame({"a": [0.5, 0.5], "b": [1.0, 1.0], "c": [0.1, 0.1], "kind": ["never", None]})
    first, second = predict(load_model(manifest), frame, manifest)
    assert first == second


def test_whole_numbers_are_one_category_as_integers_and_as_floats() -> None:
    assert as_text(pl.Series([1, 2])).to_list() == as_text(pl.Series([1.0, 2.0])).to_list() == ["1", "2"]


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (pl.DataFrame({"b": [1.0]}), "missing columns: a"),
        (pl.DataFrame({"a": ["x"]}), "neither a number"),
        (pl.DataFrame({"a": [float("inf")]}), "infinite"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        prepare(frame, ("a",), {})


@pytest.mark.parametrize("sampler", ["grid", "random", "tpe"])
def test_tuning_keeps_the_budget_and_its_seed(home: Path, sampler: str) -> None:
    trainer = XGBoost(max_depth=3, rounds=15, early_stopping=5, tuning=Tuning(trials=3, sampler=sampler))
    manifest = run(spec(home, rows(600), request=f"tuned-{sampler}", trainer=trainer))
    again = run(spec(home, rows(600), request=f"tuned-{sampler}-again", trainer=trainer))
    assert manifest.parameters == again.parameters
    trials = pl.read_csv(manifest.artifacts["trials.csv"].uri)
    assert trials.height == 3
    assert trials["value"].max() == pytest.approx(manifest.metrics["validation_roc_auc"], abs=1e-6)


def test_without_tuning_optuna_stays_away(home: Path) -> None:
    code = (
        "import sys; from include.training.trainer import run; from include.training.spec import read_spec\n"
        "assert not {'optuna', 'airflow', 'feast', 'include.ledger'} & set(sys.modules), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])


def test_changed_training_set_is_refused_before_it_is_read(home: Path) -> None:
    given = spec(home, rows(600), request="poisoned")
    path = Path(given.training_set.uri)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match="SHA-256"):
        run(given)
    assert not Path(given.output_uri, "manifest.json").exists()


@pytest.mark.parametrize("feature", ["target", "at", "label_time", "prediction"])
def test_label_and_times_are_no_features(home: Path, feature: str) -> None:
    with pytest.raises(DataError, match=feature):
        run(spec(home, rows(600), request="leak", training_set={"features": ("a", feature), "categorical": ()}))


def test_the_label_in_disguise_is_no_feature(home: Path) -> None:
    frame = rows(600).with_columns((pl.col("target") * 3 - 1).cast(pl.Float64).alias("a"))
    with pytest.raises(DataError, match="it is the label"):
        run(spec(home, frame, request="disguise"))


def test_a_key_is_no_category(home: Path) -> None:
    frame = rows(3_000).with_columns(pl.int_range(3_000).cast(pl.String).alias("kind"))
    with pytest.raises(DataError, match="it is a key"):
        run(spec(home, frame, request="key"))


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (rows(600).with_columns(target=pl.lit(1)), "the label is 1"),
        (rows(600).with_columns(target=pl.lit(None, pl.Int8)), "without a finite target"),
        (rows(600).with_columns(target=pl.lit(7)), "other values than 0 and 1"),
        (rows(600).filter(pl.col("at") > START + timedelta(days=40)), "train split: 0 rows"),
        (rows(600).drop("a"), "a"),
    ],
)
def test_a_set_that_cannot_teach_is_refused(home: Path, frame: pl.DataFrame, said: str) -> None:
    with pytest.raises(DataError, match=said):
        run(spec(home, frame, request="unfit"))


@pytest.mark.skipif(gpus() > 0, reason="this machine has a GPU")
def test_a_required_gpu_that_is_missing_is_no_silent_run_on_the_cpu(home: Path) -> None:
    with pytest.raises(InfraError, match="no GPU"):
        run(spec(home, rows(600), request="gpu", device="cuda", require_gpu=True))


@pytest.mark.parametrize("how", ["cut", "flipped", "missing"])
def test_a_model_that_is_not_what_was_written_is_never_loaded(home: Path, how: str) -> None:
    """In this very process: a loader that saw such a file could take all memory or load another model."""
    path = home / "damaged.ubj"
    content = bytearray(b"any bytes that are long enough to cut and flip" * 50)
    path.write_bytes(bytes(content))
    digest = hashlib.sha256(content).hexdigest()
    if how == "missing":
        path.unlink()
    elif how == "cut":
        path.write_bytes(bytes(content[: -max(1, len(content) // 1000)]))
    else:
        content[len(content) // 3] ^= 4
        path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match=r"SHA-256|does not exist"):
        load_booster(str(path), digest)


def test_no_manifest_nothing_evaluated(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nothing was evaluated"):
        read_manifest(str(tmp_path / "manifest.json"))


def test_a_failed_attempt_is_closed_in_mlflow(home: Path) -> None:
    frame = rows(600).with_columns(a=pl.when(pl.int_range(600) == 5).then(float("inf")).otherwise(pl.col("a")))
    given = spec(home, frame, request="infinite")
    with pytest.raises(DataError, match="infinite"):
        run(given)
    mlflow = client()
    (found,) = mlflow.search_runs(
        [mlflow.get_experiment_by_name("toy").experiment_id], f"tags.`evergreen.spec` = '{given.digest}'"
    )
    assert found.info.status == "FAILED"
