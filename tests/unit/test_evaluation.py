"""The gate on real models: what it lets through, what it refuses, and what it cannot tell."""

import hashlib
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from include.contracts.errors import DataError, EvergreenError, ModelError, PolicyError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import BinaryClassification, Gate, Regression, XGBoost
from include.contracts.verdict import GateVerdict
from include.evaluation.proof import verify_training
from include.evaluation.stage import evaluate_manifest
from include.ledger import Ledger
from include.models.manifest import MODEL
from include.models.tracking import client
from include.training.trainer import run
from tests.model_world import DAYS, START, crowned, flip, rows, spec, world

GATE = Gate(bootstraps=300, maximum_calibration_error=0.08)
TASK = BinaryClassification(label="target", floor=0.7)
NOW = START + timedelta(days=DAYS)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with world(tmp_path_factory.mktemp("evaluation")) as place:
        yield place


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.at(f"sqlite:///{tmp_path / 'ledger.db'}")


def uri(given: TrainingSpec) -> str:
    return f"{given.output_uri}/manifest.json"


def trained(home: Path, frame: pl.DataFrame, request: str, **changes: object) -> tuple[TrainingManifest, str]:
    given = spec(home, frame, request=request, **changes)
    return run(given), uri(given)


@pytest.fixture(scope="module")
def good(home: Path) -> tuple[TrainingManifest, str]:
    return trained(home, rows(), "good")


@pytest.fixture(scope="module")
def poor(home: Path) -> tuple[TrainingManifest, str]:
    """A model that sees one feature only."""
    return trained(home, rows(), "poor", training_set={"features": ("b",), "categorical": ()})


def judged(ledger: Ledger, manifest_uri: str, gate: Gate = GATE, task: object = TASK) -> GateVerdict:
    return evaluate_manifest(ledger, "toy", gate, task, manifest_uri, NOW)


def failed(verdict: GateVerdict) -> set[str]:
    return {check.name for check in verdict.checks if not check.passed}


def test_a_sound_training_is_proved_in_a_clean_process(good: tuple[TrainingManifest, str]) -> None:
    manifest, seen = verify_training("toy", good[1])
    assert manifest == good[0]
    assert seen["rows"] == 200
    assert seen["difference"] < 1e-5
    assert 0 <= seen["lowest"] < seen["highest"] <= 1


def test_no_manifest_nothing_is_judged(home: Path, ledger: Ledger) -> None:
    with pytest.raises(ModelError, match="nothing was evaluated"):
        judged(ledger, str(home / "nowhere" / "manifest.json"))
    assert ledger.find("toy", Kind.JUDGED) == []


def test_every_damaged_byte_and_every_cut_is_refused_before_load(home: Path, ledger: Ledger) -> None:
    manifest, where = trained(home, rows(600), "damaged")
    path = Path(manifest.artifacts[MODEL].uri)
    sound = path.read_bytes()
    chance = random.Random(0)  # noqa: S311
    damaged = [sound[: len(sound) - max(1, len(sound) // 1000)]]
    for _ in range(30):
        content = bytearray(sound)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        damaged.append(bytes(content))
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(ModelError, match="SHA-256"):
            verify_training("toy", where)
    with pytest.raises(ModelError, match="was not loaded"):
        judged(ledger, where)
    assert ledger.find("toy", Kind.JUDGED) == []


def test_a_cut_model_with_a_matching_digest_ends_in_the_limited_process(home: Path) -> None:
    """Somebody who can write manifests too: the clean process meets the loader, and this one does not."""
    given = spec(home, rows(600), request="forged")
    manifest = run(given)
    path = Path(manifest.artifacts[MODEL].uri)
    path.write_bytes(path.read_bytes()[:-20])
    forged = manifest.artifacts[MODEL].model_copy(update={"digest": digest(path)})
    changed = manifest.model_copy(update={"artifacts": {**manifest.artifacts, MODEL: forged}})
    Path(uri(given)).write_text(changed.model_dump_json())
    with pytest.raises(ModelError, match="does not load clean"):
        verify_training("toy", uri(given))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_another_model_under_the_manifest_is_noticed(home: Path, good: tuple[TrainingManifest, str]) -> None:
    other = run(spec(home, rows(600, seed=9), request="other"))
    swapped = good[0].model_copy(update={"artifacts": {**good[0].artifacts, MODEL: other.artifacts[MODEL]}})
    place = home / "swapped.json"
    place.write_text(swapped.model_dump_json())
    with pytest.raises(ModelError, match="otherwise than its training"):
        verify_training("toy", str(place))


@pytest.mark.parametrize(("field", "value"), [("spec_digest", "0" * 64), ("request", "another")])
def test_a_manifest_of_another_spec_is_refused(
    home: Path, good: tuple[TrainingManifest, str], field: str, value: str
) -> None:
    place = home / f"{field}.json"
    place.write_text(good[0].model_copy(update={field: value}).model_dump_json())
    with pytest.raises(ModelError, match="differ"):
        verify_training("toy", str(place))
    with pytest.raises(ModelError, match="not another_use_case"):
        verify_training("another_use_case", good[1])


def test_the_first_model_is_held_to_floors(ledger: Ledger, good: tuple[TrainingManifest, str]) -> None:
    verdict = judged(ledger, good[1])
    assert verdict.accepted, verdict.text()
    assert (verdict.champion_version, verdict.champion_revision, verdict.gain) == (None, 0, None)
    assert verdict.metric.low > TASK.floor
    assert {"slices", "fairness", "approval"} <= set(verdict.not_checked)
    assert "absolute floors (first model)" in verdict.text()
    assert ledger.get("toy", Kind.JUDGED, "good/0") is not None
    folder = Path(good[1]).parent / "verdicts"
    assert GateVerdict.model_validate_json((folder / "0.json").read_text()) == verdict
    assert "ACCEPTED" in (folder / "0.txt").read_text()
    assert client().get_run(good[0].mlflow_run_id).data.tags["evergreen.verdict"] == "accepted"


def test_a_first_model_below_the_floor_is_rejected(ledger: Ledger, poor: tuple[TrainingManifest, str]) -> None:
    verdict = judged(ledger, poor[1])
    assert not verdict.accepted
    assert "floor" in failed(verdict)


def test_a_better_challenger_is_accepted(
    ledger: Ledger, good: tuple[TrainingManifest, str], poor: tuple[TrainingManifest, str]
) -> None:
    crowned(ledger, *poor)
    verdict = judged(ledger, good[1])
    assert verdict.accepted, verdict.text()
    assert verdict.gain.low > 0.1
    assert verdict.champion_metric.estimate < verdict.metric.estimate


def test_a_worse_challenger_is_rejected_and_the_champion_stays(
    ledger: Ledger, good: tuple[TrainingManifest, str], poor: tuple[TrainingManifest, str]
) -> None:
    champion = crowned(ledger, *good)
    verdict = judged(ledger, poor[1])
    assert not verdict.accepted
    assert "quality" in failed(verdict)
    assert "REJECTED" in verdict.title
    assert ledger.champion("toy") == champion


def test_an_equal_challenger_is_rejected(home: Path, ledger: Ledger, good: tuple[TrainingManifest, str]) -> None:
    crowned(ledger, *good)
    assert failed(judged(ledger, trained(home, rows(), "equal")[1])) == {"quality"}


@pytest.mark.parametrize("share", [0.1, 0.2])
def test_poisoned_labels_are_rejected(
    home: Path, ledger: Ledger, good: tuple[TrainingManifest, str], share: float
) -> None:
    crowned(ledger, *good)
    poisoned = trained(home, flip(rows(), share), f"poisoned-{share}")
    assert "quality" in failed(judged(ledger, poisoned[1]))


def test_too_few_rows_carry_no_acceptance(home: Path, ledger: Ledger, good: tuple[TrainingManifest, str]) -> None:
    verdict = judged(ledger, good[1], gate=GATE.model_copy(update={"minimum_rows": 5_000}))
    assert failed(verdict) == {"rows"}


def test_rows_that_the_champion_was_trained_on_do_not_judge(
    home: Path, ledger: Ledger, good: tuple[TrainingManifest, str]
) -> None:
    later = START + timedelta(days=52)
    champion = good[0].training_set.model_copy(update={"fresh_from": later})
    place = home / "later.json"
    place.write_text(good[0].model_copy(update={"training_set": champion}).model_dump_json())
    crowned(ledger, good[0], str(place))
    verdict = judged(ledger, trained(home, rows(), "younger")[1])
    assert verdict.fresh_from == later
    assert verdict.rows == rows().filter(pl.col("at") >= later).height


def test_a_champion_whose_inputs_are_not_there_is_an_error_not_a_win(
    home: Path, ledger: Ledger, good: tuple[TrainingManifest, str]
) -> None:
    crowned(ledger, *good)
    changed = {"features": ("a", "b", "kind"), "categorical": ("kind",)}
    _, where = trained(home, rows().drop("c"), "narrow", training_set=changed)
    with pytest.raises(DataError, match="missing columns: c"):
        judged(ledger, where)
    assert ledger.find("toy", Kind.JUDGED) == []


def test_the_same_question_gets_the_same_verdict(ledger: Ledger, good: tuple[TrainingManifest, str]) -> None:
    first = judged(ledger, good[1])
    assert judged(ledger, good[1], gate=Gate(minimum_rows=10_000)) == first
    assert len(ledger.find("toy", Kind.JUDGED)) == 1
    with pytest.raises(PolicyError, match="answers good"):
        evaluate_manifest(ledger, "toy", GATE, TASK, good[1], NOW, request="another")


def test_two_models_under_one_request_are_refused(
    home: Path, ledger: Ledger, good: tuple[TrainingManifest, str]
) -> None:
    judged(ledger, good[1])
    other = spec(home / "second", rows(600), request="good", trainer=XGBoost(rounds=5))
    second = run(other)
    assert second.artifacts[MODEL].digest != good[0].artifacts[MODEL].digest
    with pytest.raises(PolicyError, match="already judged"):
        judged(ledger, uri(other))


def test_regression_is_judged_by_r2(home: Path, ledger: Ledger) -> None:
    task = Regression(label="target", floor=0.3)
    narrow = {"features": ("a",), "categorical": ()}
    first = trained(home, rows(regression=True), "number-1", training_set=narrow)
    crowned(ledger, *first)
    verdict = judged(ledger, trained(home, rows(regression=True), "number-2")[1], task=task)
    assert verdict.accepted, verdict.text()
    assert "calibration" in verdict.not_checked
    assert "R²" in verdict.text()


def test_errors_of_the_gate_are_never_a_verdict(home: Path, ledger: Ledger) -> None:
    manifest, where = trained(home, rows(600), "vanishing")
    Path(manifest.training_set.uri).unlink()
    with pytest.raises(EvergreenError):
        judged(ledger, where)
    assert ledger.find("toy", Kind.JUDGED) == []
