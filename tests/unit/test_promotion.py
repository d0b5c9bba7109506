"""Promotion on a real ledger and a real MLflow: who wins, what a crash leaves, how one goes back."""

import json
import multiprocessing
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from include.contracts.errors import InfraError, ModelError, PolicyError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.contracts.use_case import BinaryClassification, Gate
from include.contracts.verdict import GateVerdict
from include.evaluation.gate import judge
from include.evaluation.journal import earlier, keep
from include.evaluation.stage import evaluate_manifest
from include.ledger import Ledger
from include.models.manifest import MODEL, read_manifest
from include.models.tracking import client
from include.promotion.promote import promote_verdict
from include.promotion.registry import mirror, register, versions
from include.promotion.rollback import overrule, roll_back
from include.settings import settings
from include.training.trainer import run
from tests.model_world import DAYS, START, empty_mlflow, rows, spec, world

ROOT = Path(__file__).parents[2]
GATE = Gate(bootstraps=100, maximum_calibration_error=0.2)
TASK = BinaryClassification(label="target", floor=0.5)
NOW = START + timedelta(days=DAYS)
TRAININGS = {"weak": ("kind",), "fair": ("b", "c"), "strong": ("a", "b", "c", "kind")}


def inputs(features: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return {"features": features, "categorical": ("kind",) if "kind" in features else ()}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """Three trained models, each better than the one before, and the MLflow that knows them."""
    place = tmp_path_factory.mktemp("promotion")
    with world(place):
        uris = {}
        for name, features in TRAININGS.items():
            given = spec(place, rows(), request=name, training_set=inputs(features))
            run(given)
            uris[name] = f"{given.output_uri}/manifest.json"
        yield place, uris


@pytest.fixture
def uris(template: tuple[Path, dict[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Each test gets a ledger and a registry of its own; the trained models are shared."""
    place, found = template
    copy = tmp_path / "mlflow.db"
    copy.write_bytes((place / "mlflow.db").read_bytes())
    monkeypatch.setenv("EVERGREEN_MLFLOW_URI", f"sqlite:///{copy}")
    monkeypatch.setenv("EVERGREEN_LEDGER_URL", f"sqlite:///{tmp_path / 'ledger.db'}")
    return found


@pytest.fixture
def ledger(uris: dict[str, str]) -> Ledger:
    return Ledger.at(settings().ledger_url)


def judged(ledger: Ledger, uri: str) -> GateVerdict:
    """A kept verdict, without the clean process that test_evaluation pays for."""
    manifest, champion = read_manifest(uri), ledger.champion("toy")
    digest = manifest.artifacts[MODEL].digest
    found = earlier(ledger, "toy", manifest.request, champion.revision if champion else 0, digest)
    return found or keep(ledger, manifest, judge(GATE, TASK, uri, champion, NOW, 0))


def promoted(ledger: Ledger, uri: str) -> int:
    answer = promote_verdict(ledger, judged(ledger, uri))
    assert answer["outcome"] == "promoted", answer
    return int(answer["version"])


def aliases() -> dict[str, int]:
    return {name: int(version) for name, version in client().get_registered_model("toy").aliases.items()}


def test_better_models_are_promoted_one_after_the_other(ledger: Ledger, uris: dict[str, str]) -> None:
    assert [promoted(ledger, uris[name]) for name in TRAININGS] == [1, 2, 3]
    champion = ledger.champion("toy")
    assert (champion.version, champion.previous, champion.revision) == (3, 2, 3)
    assert champion.evaluation == "strong/2"
    assert aliases() == {"champion": 3, "previous": 2}
    assert len(ledger.find("toy", Kind.PROMOTED)) == 3


def test_a_worse_challenger_is_registered_as_such_and_changes_nothing(ledger: Ledger, uris: dict[str, str]) -> None:
    promoted(ledger, uris["strong"])
    before = ledger.champion("toy")
    answer = promote_verdict(ledger, judged(ledger, uris["weak"]))
    assert (answer["outcome"], answer["version"], answer["champion_version"]) == ("rejected", 2, 1)
    assert "quality" in answer["reason"]
    assert ledger.champion("toy") == before
    assert aliases() == {"champion": 1, "challenger": 2}
    assert versions(client(), "toy")[1].tags["evergreen.verdict"] == "rejected"


def test_promoting_again_is_harmless(ledger: Ledger, uris: dict[str, str]) -> None:
    verdict = judged(ledger, uris["weak"])
    first = promote_verdict(ledger, verdict)
    assert promote_verdict(ledger, verdict) == first
    assert evaluate_manifest(ledger, "toy", GATE, TASK, uris["weak"], NOW) == verdict
    assert len(versions(client(), "toy")) == len(ledger.find("toy", Kind.PROMOTED)) == 1


def test_crash_after_register_is_completed(ledger: Ledger, uris: dict[str, str]) -> None:
    verdict = judged(ledger, uris["weak"])
    manifest = TrainingManifest.model_validate_json(Path(verdict.manifest_uri).read_text())
    assert register(client(), manifest, verdict.manifest_uri, "accepted") == 1
    assert ledger.champion("toy") is None
    assert promote_verdict(ledger, verdict)["outcome"] == "promoted"
    assert len(versions(client(), "toy")) == 1


def test_crash_between_swap_and_alias_is_completed(
    ledger: Ledger, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = judged(ledger, uris["weak"])
    swap = Ledger.swap_champion

    def swap_and_crash(self: Ledger, *given: object) -> bool:
        swap(self, *given)
        raise KeyboardInterrupt

    with monkeypatch.context() as failpoint:
        failpoint.setattr(Ledger, "swap_champion", swap_and_crash)
        with pytest.raises(KeyboardInterrupt):
            promote_verdict(ledger, verdict)
    assert ledger.champion("toy").version == 1
    assert "champion" not in aliases()
    assert promote_verdict(ledger, verdict)["outcome"] == "promoted"
    assert aliases() == {"champion": 1}
    assert ledger.champion("toy").revision == 1


def test_aliases_are_repaired_from_the_ledger(ledger: Ledger, uris: dict[str, str]) -> None:
    promoted(ledger, uris["weak"])
    promoted(ledger, uris["fair"])
    mlflow = client()
    mlflow.set_registered_model_alias("toy", "champion", "1")
    mlflow.delete_registered_model_alias("toy", "previous")
    mlflow.set_registered_model_alias("toy", "challenger", "1")
    assert mirror(mlflow, ledger, "toy") == {"champion": 2, "previous": 1, "challenger": None}
    assert mirror(mlflow, ledger, "toy") == {}
    assert aliases() == {"champion": 2, "previous": 1}


def test_a_stale_verdict_is_evaluated_again(ledger: Ledger, uris: dict[str, str]) -> None:
    early = judged(ledger, uris["weak"])
    promoted(ledger, uris["strong"])
    answer = promote_verdict(ledger, early)
    assert (answer["outcome"], answer["champion_version"]) == ("stale", 1)
    again = judged(ledger, uris["weak"])
    assert (again.champion_revision, again.accepted) == (1, False)
    assert promote_verdict(ledger, again)["outcome"] == "rejected"


def test_of_two_at_once_exactly_one_wins(ledger: Ledger, uris: dict[str, str]) -> None:
    promoted(ledger, uris["weak"])
    verdicts = [judged(ledger, uris[name]) for name in ("fair", "strong")]
    barrier = threading.Barrier(2)
    answers: list[dict[str, object]] = []

    def promote(verdict: GateVerdict) -> None:
        barrier.wait()
        answers.append(promote_verdict(Ledger.at(settings().ledger_url), verdict))

    threads = [threading.Thread(target=promote, args=(verdict,)) for verdict in verdicts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(str(answer["outcome"]) for answer in answers) == ["promoted", "stale"]
    row = ledger.champion("toy")
    assert row.revision == 2
    assert aliases()["champion"] == row.version


def test_processes_that_race_to_register_get_one_version(ledger: Ledger, uris: dict[str, str]) -> None:
    manifest = TrainingManifest.model_validate_json(Path(uris["weak"]).read_text())
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        found = pool.starmap(_register, [(manifest.model_dump_json(), uris["weak"])] * 4)
    assert len(set(found)) == 1
    assert [int(version.version) for version in versions(client(), "toy")] == [found[0]]


def _register(manifest: str, uri: str) -> int:
    return register(client(), TrainingManifest.model_validate_json(manifest), uri, "accepted")


def test_a_verdict_that_is_not_in_the_ledger_promotes_nothing(ledger: Ledger, uris: dict[str, str]) -> None:
    verdict = judged(ledger, uris["weak"])
    forged = verdict.model_copy(update={"request": "forged"})
    turned = verdict.model_copy(update={"rows": verdict.rows + 1})
    for wrong in (forged, turned):
        with pytest.raises(PolicyError, match="no such verdict"):
            promote_verdict(ledger, wrong)
    assert ledger.champion("toy") is None


def test_digests_are_checked_again_before_promotion(ledger: Ledger, uris: dict[str, str]) -> None:
    verdict = judged(ledger, uris["weak"])
    path = Path(TrainingManifest.model_validate_json(Path(uris["weak"]).read_text()).artifacts[MODEL].uri)
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-1])
        with pytest.raises(ModelError, match="SHA-256"):
            promote_verdict(ledger, verdict)
    finally:
        path.write_bytes(sound)
    assert ledger.champion("toy") is None


def test_a_changed_copy_in_mlflow_is_not_registered(
    ledger: Ledger, uris: dict[str, str], template: tuple[Path, dict[str, str]]
) -> None:
    verdict = judged(ledger, uris["weak"])
    model_id = TrainingManifest.model_validate_json(Path(uris["weak"]).read_text()).mlflow_model_id
    (path,) = template[0].glob(f"mlflow/**/{model_id}/**/{MODEL}")
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-1])
        with pytest.raises(ModelError, match="MLflow's copy"):
            promote_verdict(ledger, verdict)
    finally:
        path.write_bytes(sound)
    assert versions(client(), "toy") == []


def test_mlflow_down_leaves_the_champion_and_asks_for_a_retry(
    ledger: Ledger, uris: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    verdict = judged(ledger, uris["weak"])
    with monkeypatch.context() as down:
        down.setenv("EVERGREEN_MLFLOW_URI", "http://127.0.0.1:9")
        down.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        with pytest.raises(InfraError, match="pending"):
            promote_verdict(ledger, verdict)
        assert ledger.champion("toy") is None
    assert promote_verdict(ledger, verdict)["outcome"] == "promoted"


def test_rollback_goes_back_and_never_forth_again(ledger: Ledger, uris: dict[str, str]) -> None:
    for name in TRAININGS:
        promoted(ledger, uris[name])
    answer = roll_back(ledger, "toy", NOW, "v3 is odd at night", request="run-1")
    assert (answer["outcome"], answer["version"], answer["revision"]) == ("rolled back", 2, 4)
    assert roll_back(ledger, "toy", NOW, "v3 is odd at night", request="run-1") == answer
    assert aliases() == {"champion": 2, "previous": 1}
    assert roll_back(ledger, "toy", NOW, "still odd")["version"] == 1
    with pytest.raises(PolicyError, match="no previous champion"):
        roll_back(ledger, "toy", NOW, "still odd")
    assert roll_back(ledger, "toy", NOW, "it was the data", to_version=3)["version"] == 3
    row = ledger.champion("toy")
    assert (row.previous, row.evaluation, row.reason) == (2, "strong/2", "rollback: it was the data")
    assert [record.key for record in ledger.find("toy", Kind.PROMOTED)] == list("123456")


def test_rollback_needs_a_former_champion(ledger: Ledger, uris: dict[str, str]) -> None:
    with pytest.raises(PolicyError, match="no previous champion"):
        roll_back(ledger, "toy", NOW, "why not")
    promoted(ledger, uris["strong"])
    assert promote_verdict(ledger, judged(ledger, uris["weak"]))["version"] == 2
    with pytest.raises(PolicyError, match="v2 was never champion"):
        roll_back(ledger, "toy", NOW, "why not", to_version=2)
    with pytest.raises(PolicyError, match="champion already"):
        roll_back(ledger, "toy", NOW, "why not", to_version=1)


def test_rollback_to_a_damaged_model_is_refused(ledger: Ledger, uris: dict[str, str]) -> None:
    promoted(ledger, uris["weak"])
    promoted(ledger, uris["fair"])
    path = Path(TrainingManifest.model_validate_json(Path(uris["weak"]).read_text()).artifacts[MODEL].uri)
    sound = path.read_bytes()
    try:
        path.write_bytes(sound[:-1])
        with pytest.raises(ModelError, match="SHA-256"):
            roll_back(ledger, "toy", NOW, "why not")
    finally:
        path.write_bytes(sound)
    assert ledger.champion("toy").version == 2


def test_a_person_may_overrule_and_it_is_recorded(ledger: Ledger, uris: dict[str, str]) -> None:
    promoted(ledger, uris["strong"])
    promote_verdict(ledger, judged(ledger, uris["weak"]))
    with pytest.raises(PolicyError, match="with a reason"):
        overrule(ledger, "toy", NOW, 2, " ")
    with pytest.raises(PolicyError, match="v7 is not in the registry"):
        overrule(ledger, "toy", NOW, 7, "because")
    command = [
        sys.executable,
        "-m",
        "include.promotion",
        "promote",
        "2",
        "--use-case",
        "toy",
        "--reason",
        "explainable",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["champion_version"] == 2
    row = ledger.champion("toy")
    assert (row.version, row.previous, row.evaluation, row.reason) == (2, 1, "weak/1", "overruled: explainable")
    assert aliases() == {"champion": 2, "previous": 1}


def test_steps_are_called_by_spec_file(ledger: Ledger, uris: dict[str, str], tmp_path: Path) -> None:
    verdict = judged(ledger, uris["weak"])
    arguments = {"use_case": "toy", "as_of": NOW.isoformat(), "verdict": verdict.model_dump(mode="json")}
    file = tmp_path / "promote.json"
    file.write_text(json.dumps(arguments))
    command = [sys.executable, "-m", "include.promotion", "promote", "--spec", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["outcome"] == "promoted"
    file.write_text(json.dumps({**arguments, "request": "another"}))
    assert subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 67


def test_an_empty_registry_has_nothing_to_repair(ledger: Ledger) -> None:
    assert empty_mlflow().exists()
    assert mirror(client(), ledger, "toy") == {}
