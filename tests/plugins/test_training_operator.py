"""The training operator with a real, small training in a real process."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from include.contracts.errors import DataError, InfraError, ModelError
from include.contracts.record import Kind
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import BinaryClassification, Resources, UseCase, XGBoost
from include.ledger import Ledger
from include.settings import settings
from tests.model_world import FEATURES, rows, spec, world


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    with world(tmp_path) as home:
        yield home


class Notes(dict[str, Any]):
    """Keeps what a task pushes."""

    def xcom_push(self, key: str, value: Any) -> None:
        """As a task instance takes it."""
        self[key] = value


def use_case(**changes: Any) -> UseCase:
    return UseCase(
        name="toy",
        owner="tests",
        description="A toy.",
        task=BinaryClassification(label="target"),
        entity_keys=("id",),
        event_time="at",
        feature_service="toy_v1",
        **{"trainer": XGBoost(max_depth=3, rounds=20, early_stopping=5), "resources": Resources(cpu=1), **changes},
    )


def context(run_id: str = "r1") -> dict[str, Any]:
    return {"run_id": run_id, "ti": Notes(), "params": {"as_of": "2013-03-02T00:00:00Z"}}


def operator(home: Path, declared: UseCase | None = None, **changes: Any) -> Any:
    from evergreen.operators import training_operator

    given = spec(home, rows(1_500), **changes).training_set.model_dump(mode="json")
    return training_operator(declared or use_case(), settings(), task_id="train", training_set=given)


def descendants() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "include.training" in child.cmdline()]


def test_it_trains_and_finds_its_finished_work_again(home: Path) -> None:
    done = operator(home).execute(context())
    manifest = TrainingManifest.model_validate_json(Path(done["manifest_uri"]).read_text())
    assert manifest.request == "r1"
    assert manifest.features == FEATURES
    assert done["mlflow_run_id"] == manifest.mlflow_run_id
    (cost,) = Ledger.at(settings().ledger_url).find("toy", Kind.STAGE_COST)
    assert cost.payload["seconds"] == manifest.cost.seconds

    assert operator(home).execute(context()) == done
    assert TrainingManifest.model_validate_json(Path(done["manifest_uri"]).read_text()) == manifest
    assert len(Ledger.at(settings().ledger_url).find("toy", Kind.STAGE_COST)) == 1


def test_the_childs_error_comes_back_with_its_class_and_words(home: Path) -> None:
    task, told = operator(home), context()
    Path(task.training_set["uri"]).unlink()
    with pytest.raises(DataError) as error:
        task.execute(told)
    assert task.training_set["uri"] in error.value.cause
    assert error.value.next_step
    assert told["ti"]["error"] == str(error.value)


def test_too_little_memory_is_a_model_error(home: Path) -> None:
    with pytest.raises(ModelError, match="memory"):
        operator(home, use_case(resources=Resources(cpu=1, memory="90Mi"))).execute(context())


def test_a_killed_training_is_tried_again_and_ends_well(home: Path) -> None:
    task = operator(home, use_case(trainer=XGBoost(max_depth=6, rounds=20_000, early_stopping=20_000)))

    def kill() -> None:
        while not (found := descendants()):
            time.sleep(0.05)
        time.sleep(1.0)
        for process in found:
            os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with pytest.raises(InfraError, match="SIGKILL"):
        task.execute(context())
    killer.join()
    assert not descendants()
    assert not list((home / "artifacts").rglob("manifest.json"))
    assert operator(home).execute(context())["manifest_uri"]


def test_a_task_that_is_killed_takes_its_training_along(home: Path) -> None:
    task = operator(home, use_case(trainer=XGBoost(max_depth=6, rounds=20_000, early_stopping=20_000)))

    def stop() -> None:
        while not descendants():
            time.sleep(0.05)
        task.on_kill()

    stopper = threading.Thread(target=stop)
    stopper.start()
    with pytest.raises(InfraError):
        task.execute(context())
    stopper.join()
    assert not descendants()


def test_a_good_end_without_a_manifest_is_no_training(home: Path) -> None:
    from evergreen.operators.training import TrainingOperator

    class Liar(TrainingOperator):
        """Says that it trained."""

        def carry_out(self, spec: TrainingSpec, spec_uri: str) -> None:
            """Does nothing, successfully."""

    given = spec(home, rows(1_500)).training_set.model_dump(mode="json")
    with pytest.raises(InfraError, match=r"manifest\.json is not there"):
        Liar(task_id="train", use_case=use_case(), training_set=given).execute(context())


def test_the_manifest_of_another_spec_is_refused(home: Path) -> None:
    from evergreen.operators.training import TrainingOperator

    first = Path(operator(home).execute(context("r1"))["manifest_uri"])

    class Copier(TrainingOperator):
        """Puts somebody else's manifest in the place of its own."""

        def carry_out(self, spec: TrainingSpec, _: str) -> None:
            """Copy it."""
            Path(spec.output_uri, "manifest.json").write_bytes(first.read_bytes())

    given = spec(home, rows(1_500)).training_set.model_dump(mode="json")
    with pytest.raises(ModelError, match="manifest of spec"):
        Copier(task_id="train", use_case=use_case(), training_set=given).execute(context("r2"))
