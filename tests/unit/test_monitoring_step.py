"""The monitoring step with a real lake, ledger, Evidently and MLflow."""

import json
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from include.contracts.data import TrainingSet
from include.contracts.errors import ModelError
from include.contracts.monitoring import DriftReport, WindowState
from include.contracts.record import Kind, Record
from include.contracts.scoring import Scored
from include.contracts.training import Artifact, Cost, TrainingManifest
from include.contracts.use_case import BinaryClassification, Monitoring, UseCase
from include.contracts.verdict import Champion
from include.lake import Lake, object_store
from include.ledger import Ledger
from include.models.scores import roc_auc
from include.monitoring import __main__ as steps

JANUARY = datetime(2013, 1, 1, tzinfo=UTC)
MARCH, MAY = datetime(2013, 3, 1, tzinfo=UTC), datetime(2013, 5, 1, tzinfo=UTC)
FEATURES = ("x0", "x1", "x2", "x3", "carrier")
A_DAY = 100
USE_CASE = UseCase(
    name="flights",
    owner="ops",
    description="late?",
    task=BinaryClassification(label="late"),
    entity_keys=("flight_id", "tailnum"),
    event_time="departure",
    feature_service="flights_v1",
    categorical=("carrier",),
    monitoring=Monitoring(minimum_rows=500),
)


def rows(starts: datetime, days: int, seed: int, shift: float = 0.0) -> pl.DataFrame:
    """Predicted and labelled rows; the first two columns shift from the second week on."""
    random, count = np.random.default_rng(seed), days * A_DAY
    late = np.arange(count) >= 7 * A_DAY
    prediction = random.beta(2, 5, count)
    return pl.DataFrame(
        {
            "flight_id": [f"{seed}-{number}" for number in range(count)],
            "tailnum": [None if number % 7 == 0 else f"N{number % 50}" for number in range(count)],
            "departure": [starts + timedelta(days=1 / A_DAY) * number for number in range(count)],
            **{f"x{i}": random.normal(size=count) + shift * late * (i < 2) for i in range(4)},
            "carrier": random.choice(["AA", "UA", "DL"], count),
            "prediction": prediction,
            "late": (random.uniform(size=count) < prediction).astype(int),
        }
    ).with_columns((pl.col("departure") + timedelta(days=1)).alias("label_time"))


class World:
    """A champion and its scored batches in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(str(folder / "lake"), "flights")
        self.ledger = Ledger.at(f"sqlite:///{folder / 'ledger.db'}")

    def champion(self, version: int = 1) -> None:
        """Put a model's references on disk and make it champion."""
        place = self.folder / f"training{version}"
        place.mkdir()
        frame = rows(JANUARY, 59, seed=1)
        frame.select("departure", *FEATURES, "late").write_parquet(place / "set.parquet")
        frame.select("departure", *FEATURES, "late", "prediction")[-2000:].write_parquet(place / "reference.parquet")
        files = {name: _artifact(place / name) for name in ("set.parquet", "reference.parquet")}
        manifest = _manifest(files)
        (place / "manifest.json").write_text(manifest.model_dump_json())
        champion = Champion(
            use_case="flights",
            version=version,
            revision=version,
            model_uri="m",
            model_digest="d",
            manifest_uri=str(place / "manifest.json"),
            metric=0.70,
            evaluation="e",
            since=MARCH,
        )
        assert self.ledger.swap_champion(champion)

    def score(self, batch: str, frame: pl.DataFrame, starts: datetime, days: int, digest: str = "a") -> None:
        """Write spine and predictions, and the record that they are there."""
        self.lake.commit("spine", batch, digest, frame.drop("prediction").to_arrow())
        written = self.lake.commit("predictions", batch, digest, frame.drop("late").to_arrow(), new_columns=True)
        scored = Scored(
            batch=batch,
            starts=starts,
            ends=starts + timedelta(days=days),
            data_version=digest,
            model_version=1,
            model_digest="d",
            rows=written.rows,
            uri=written.uri,
            table_version=written.version,
        )
        as_of, payload = starts + timedelta(days=days), scored.model_dump(mode="json")
        key = f"{batch}@{digest}"
        self.ledger.append(Record(use_case="flights", kind=Kind.BATCH_SCORED, key=key, as_of=as_of, payload=payload))

    def reports(self) -> list[DriftReport]:
        """Every window on record."""
        records = self.ledger.find("flights", Kind.WINDOW_MONITORED)
        return [DriftReport.model_validate(record.payload) for record in records]


def _artifact(path: Path) -> Artifact:
    content = path.read_bytes()
    return Artifact(uri=str(path), digest=object_store(str(path)).write(str(path), content), size=len(content))


def _manifest(files: dict[str, Artifact]) -> TrainingManifest:
    training_set = TrainingSet(
        uri=files["set.parquet"].uri,
        digest=files["set.parquet"].digest,
        rows=59 * A_DAY,
        label="late",
        event_time="departure",
        features=FEATURES,
        categorical=("carrier",),
        starts=JANUARY,
        validation_from=MARCH,
        fresh_from=MARCH,
        ends=MARCH,
        as_of=MARCH,
        data_version="d",
    )
    return TrainingManifest(
        spec_digest=files["set.parquet"].digest,
        use_case="flights",
        request="r",
        as_of=MARCH,
        training_set=training_set,
        mlflow_run_id="",
        mlflow_model_id="",
        artifacts={"reference.parquet": files["reference.parquet"]},
        rows={},
        metrics={},
        parameters={},
        features=FEATURES,
        categories={"carrier": ("AA", "DL", "UA")},
        gain=dict.fromkeys(FEATURES, 0.2),
        packages={},
        device="cpu",
        git_commit="",
        cost=Cost(seconds=1, cpu_seconds=1, peak_bytes=1),
        finished_at=MARCH,
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One MLflow for all tests here: its database takes seconds to make."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def world(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    for name, value in {"HOME": tmp_path, "MLFLOW_URI": f"sqlite:///{home / 'mlflow.db'}"}.items():
        monkeypatch.setenv(f"EVERGREEN_{name}", str(value))
    monkeypatch.setenv("EVERGREEN_MLFLOW_ARTIFACTS", str(home / "mlflow"))
    monkeypatch.setattr(import_module("include.use_cases.catalogue"), "declaration", lambda _: USE_CASE)
    made = World(tmp_path)
    made.champion()
    return made


def monitor(as_of: datetime) -> dict[str, Any]:
    return steps.monitor("flights", as_of.isoformat())


def test_windows_of_a_batch(world: World) -> None:
    frame = rows(MARCH, 21, seed=2, shift=1.0)
    world.score("2013-03", frame, MARCH, 21)
    found = monitor(MAY)
    assert found["batches"] == 1
    assert [(w["state"], w["rows"], w["drifted"]) for w in found["windows"]] == [
        ("stable", 700, []),
        ("drifted", 700, ["x0", "x1"]),
        ("drifted", 700, ["x0", "x1"]),
    ]
    assert found["windows"][1]["drifted_importance"] == pytest.approx(0.4)
    reports = world.reports()
    first = frame[:700]
    auc = roc_auc(first["late"].to_numpy().astype(float), first["prediction"].to_numpy())
    assert (reports[0].metric, reports[0].baseline, reports[0].labelled) == (pytest.approx(auc), 0.70, 700)
    assert [record.key for record in world.ledger.find("flights", Kind.BATCH_MONITORED)] == ["2013-03@a/v1"]
    assert monitor(MAY) == {"batches": 0, "windows": []}


def test_mlflow_run_holds_the_reports(world: World) -> None:
    world.score("2013-03b", rows(MARCH, 14, seed=3, shift=1.0), MARCH, 14)
    monitor(MAY)
    reports = world.reports()
    place = Path(reports[0].report_uri).parents[1]
    assert {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()} == {
        "summary.md",
        "drift.svg",
        "worst-window-2013-03-08T00.html",
        "windows/2013-03-01T00.json",
        "windows/2013-03-08T00.json",
    }
    content = json.loads(Path(reports[1].report_uri).read_text())
    scores = {metric["config"]["column"]: metric["value"] for metric in content["evidently"]["metrics"]}
    assert {c.column: c.score for c in reports[1].columns} == pytest.approx({name: scores[name] for name in FEATURES})
    assert "| 2013-03-08..03-15 | 700 | drifted | x0, x1 | 40% |" in (place / "summary.md").read_text()
    assert (place / "drift.svg").read_text().count("▲") == 2


def test_late_labels_are_measured_when_they_come(world: World) -> None:
    world.score("2013-03", rows(MARCH, 14, seed=4), MARCH, 14)
    ends = MARCH + timedelta(days=14)
    first = monitor(ends)["windows"]
    assert [(w["labelled"], w["metric"] is None) for w in first] == [(700, False), (601, False)]
    assert monitor(ends)["windows"] == []
    second = monitor(ends + timedelta(days=2))["windows"]
    assert [(w["starts"], w["labelled"]) for w in second] == [("2013-03-08T00:00:00Z", 700)]
    assert second[0]["report_uri"] == first[1]["report_uri"]
    assert monitor(ends + timedelta(days=3)) == {"batches": 0, "windows": []}
    keys = [record.key for record in world.ledger.find("flights", Kind.WINDOW_MONITORED)]
    assert keys[-1] == "2013-03@a/2013-03-08T00:00Z/v1/700"


def test_no_metric_before_labels(world: World) -> None:
    frame = rows(MARCH, 7, seed=5).with_columns(pl.lit(MAY).cast(pl.Datetime("us", "UTC")).alias("label_time"))
    world.score("2013-03", frame, MARCH, 7)
    (window,) = monitor(MARCH + timedelta(days=8))["windows"]
    assert (window["metric"], window["labelled"], window["state"]) == (None, 0, "stable")
    (window,) = monitor(MAY)["windows"]
    assert window["labelled"] == 700
    assert window["metric"] is not None


def test_bad_and_thin_data_are_named_and_cost_no_evidently(world: World) -> None:
    frame = rows(MARCH, 14, seed=6, shift=2.0)
    emptied = frame.with_columns(pl.when(pl.col("departure") < MARCH + timedelta(days=7)).then("x3").alias("x3"))
    thinned = emptied.filter((pl.col("departure") >= MARCH + timedelta(days=7)) | (pl.int_range(pl.len()) < 499))
    world.score("2013-03", thinned, MARCH, 14)
    windows = monitor(MAY)["windows"]
    assert [w["state"] for w in windows] == ["insufficient data", "bad data"]
    assert windows[0]["problems"] == ["499 rows < 500"]
    assert windows[1]["problems"] == ["x3: 100% missing, in the reference 0%"]
    assert windows[1]["metric"] is not None


def test_changed_reference_is_refused(world: World) -> None:
    world.score("2013-03", rows(MARCH, 7, seed=7), MARCH, 7)
    path = world.folder / "training1" / "set.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match="SHA-256"):
        monitor(MAY)
    assert world.reports() == []


def test_calibration_is_kept(world: World) -> None:
    world.score("2013-03", rows(MARCH, 7, seed=8), MARCH, 7)
    world.score("2013-04", rows(MARCH + timedelta(days=31), 7, seed=9), MARCH + timedelta(days=31), 7)
    assert monitor(MAY)["batches"] == 2
    kept = list((world.folder / "artifacts" / "flights" / "reports" / "calibration").iterdir())
    assert [path.name.split("-")[1] for path in kept] == ["512.json"]
    assert set(json.loads(kept[0].read_text())) == {*FEATURES, "prediction"}
    assert {report.state for report in world.reports()} == {WindowState.STABLE}
