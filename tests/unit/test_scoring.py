"""Scoring on a real model, lake and ledger."""

from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import xgboost

import include.features.retrieval
from include.contracts.data import DatasetSnapshot, TrainingSet
from include.contracts.errors import DataError, ModelError
from include.contracts.record import Kind, Record
from include.contracts.training import Artifact, Cost, TrainingManifest
from include.contracts.use_case import BinaryClassification, UseCase
from include.contracts.verdict import Champion
from include.lake import Lake, object_store
from include.ledger import Ledger
from include.scoring import __main__ as steps
from include.scoring.pending import split, unscored
from include.scoring.predictions import load, predict_batch

MARCH = datetime(2013, 3, 1, tzinfo=UTC)
MONTH = timedelta(days=31)
FEATURES = ("distance", "carrier", "humid")
USE_CASE = UseCase(
    name="flights",
    owner="ops",
    description="late?",
    task=BinaryClassification(label="late"),
    entity_keys=("flight_id", "carrier"),
    event_time="departure",
    feature_service="flights_v1",
    request_features=("distance", "carrier"),
    categorical=("carrier",),
)


class World:
    """A lake, a ledger and a champion in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lake = Lake(str(folder / "lake"), "flights")
        self.ledger = Ledger.at(f"sqlite:///{folder / 'ledger.db'}")

    def batch(self, key: str, starts: datetime, digest: str = "a", rows: int = 300) -> DatasetSnapshot:
        """A batch with its spine, on record as featured."""
        random = np.random.default_rng(1)
        spine = pl.DataFrame(
            {
                "flight_id": [f"{key}-{i}" for i in range(rows)],
                "carrier": random.choice(["AA", "UA", "ZZ"], rows),
                "distance": random.uniform(100, 3000, rows),
                "departure": [starts + timedelta(minutes=10 * i) for i in range(rows)],
                "late": random.integers(0, 2, rows),
            }
        ).with_columns((pl.col("departure") + timedelta(days=1)).alias("label_time"))
        table = self.lake.commit("spine", key, digest, spine.to_arrow())
        snapshot = DatasetSnapshot(
            batch=key, starts=starts, ends=starts + MONTH, tables=(table,), digest=f"{digest}{key}" * 8
        )
        self.append(Kind.FEATURES_BUILT, f"{key}@{snapshot.digest[:12]}", starts + MONTH, snapshot)
        self.append(Kind.BATCH_VALIDATED, f"features/{key}@{snapshot.digest[:12]}", starts + MONTH, snapshot)
        return snapshot

    def append(self, kind: Kind, key: str, as_of: datetime, payload: Any) -> None:
        """Put a contract on record."""
        content = payload.model_dump(mode="json")
        self.ledger.append(Record(use_case="flights", kind=kind, key=key, as_of=as_of, payload=content))

    def champion(self, version: int = 1, ends: datetime = MARCH, features: tuple[str, ...] = FEATURES) -> Champion:
        """Train, write and promote a model."""
        random = np.random.default_rng(version)
        codes = {"carrier": (0, 2), "distance": (100, 3000)}
        inputs = np.column_stack([random.uniform(*codes.get(name, (0, 100)), 500) for name in features])
        inputs[:, features.index("carrier")] //= 1
        types = ["c" if name == "carrier" else "q" for name in features]
        label = (inputs[:, 0] > 1500).astype(int)
        data = xgboost.DMatrix(inputs, label, feature_names=features, feature_types=types, enable_categorical=True)
        booster = xgboost.train({"objective": "binary:logistic", "nthread": 1}, data, 5)
        place = self.folder / f"training{version}"
        place.mkdir()
        booster.save_model(place / "model.ubj")
        store = object_store(str(place))
        digest = store.upload(place / "model.ubj", str(place / "model.ubj"))
        manifest = _manifest(ends, features, Artifact(uri=str(place / "model.ubj"), digest=digest, size=1))
        store.write(str(place / "manifest.json"), manifest.model_dump_json().encode())
        champion = Champion(
            use_case="flights",
            version=version,
            revision=version,
            model_uri="models:/x",
            model_digest=digest,
            manifest_uri=str(place / "manifest.json"),
            metric=0.7,
            evaluation="e",
            since=ends,
        )
        assert self.ledger.swap_champion(champion)
        return champion

    def predictions(self, batch: str) -> pl.DataFrame:
        """What was predicted for a batch."""
        found = self.lake.scan("predictions", [batch])
        assert found is not None
        return found.collect()


def _manifest(ends: datetime, features: tuple[str, ...], model: Artifact) -> TrainingManifest:
    starts = datetime(2013, 1, 1, tzinfo=UTC)
    training_set = TrainingSet(
        uri="",
        digest="",
        rows=1,
        label="late",
        event_time="departure",
        features=features,
        categorical=("carrier",),
        starts=starts,
        validation_from=starts,
        fresh_from=starts,
        ends=ends,
        as_of=ends,
        data_version="d",
    )
    return TrainingManifest(
        spec_digest="s",
        use_case="flights",
        request="r",
        as_of=ends,
        training_set=training_set,
        mlflow_run_id="",
        mlflow_model_id="",
        artifacts={"model.ubj": model},
        rows={},
        metrics={},
        parameters={},
        features=features,
        categories={"carrier": ("AA", "UA")},
        gain={},
        packages={},
        device="cpu",
        git_commit="",
        cost=Cost(seconds=1, cpu_seconds=1, peak_bytes=1),
        finished_at=ends,
    )


def retrieved(_: UseCase, spine: pl.DataFrame) -> pl.DataFrame:
    """Stands for Feast, which the tests of the features stage run for real."""
    return spine.with_columns((pl.col("distance") % 100).alias("humid"), pl.lit(3).alias("wind"))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("EVERGREEN_HOME", str(tmp_path))
    monkeypatch.setattr(include.features.retrieval, "retrieve", retrieved)
    monkeypatch.setattr(import_module("include.use_cases.catalogue"), "declaration", lambda _: USE_CASE)
    return World(tmp_path)


APRIL = (MARCH + MONTH).isoformat()


def test_without_a_champion_nothing_is_scored(world: World) -> None:
    assert steps.score("flights", APRIL) == {"scored": [], "skipped": []}
    world.batch("2013-03", MARCH)
    skipped = [{"batch": "2013-03", "reason": "no champion yet"}]
    assert steps.score("flights", APRIL) == {"scored": [], "skipped": skipped}


def test_waiting_batches_are_scored_once(world: World) -> None:
    world.batch("2013-02", datetime(2013, 2, 1, tzinfo=UTC))
    march = world.batch("2013-03", MARCH)
    champion = world.champion()
    found = steps.score("flights", APRIL)
    assert found["skipped"] == [{"batch": "2013-02", "reason": "seen in training"}]
    assert [(s["batch"], s["rows"], s["data_version"]) for s in found["scored"]] == [("2013-03", 300, march.digest)]
    rows = world.predictions("2013-03")
    assert set(rows.columns) == {
        *("flight_id", "carrier", "departure", "label_time", *FEATURES),
        *("prediction", "model_version", "model_digest", "scored_as_of"),
    }
    assert rows["prediction"].is_between(0, 1).all()
    assert rows["prediction"].n_unique() > 1
    assert rows["model_digest"].unique().to_list() == [champion.model_digest]
    assert steps.score("flights", APRIL)["scored"] == []


def test_later_champion_leaves_old_predictions_alone_unless_the_data_change(world: World) -> None:
    world.batch("2013-03", MARCH)
    world.champion()
    steps.score("flights", APRIL)
    world.champion(2)
    assert steps.score("flights", APRIL)["scored"] == []
    world.batch("2013-03", MARCH, digest="corrected")
    assert [s["model_version"] for s in steps.score("flights", APRIL)["scored"]] == [2]
    assert world.predictions("2013-03")["model_version"].unique().to_list() == [2]


def test_later_batches_are_not_seen(world: World) -> None:
    world.batch("2013-03", MARCH)
    assert unscored(world.ledger, "flights", MARCH + timedelta(days=30)) == []
    (snapshot,) = unscored(world.ledger, "flights", MARCH + MONTH)
    assert split([snapshot], MARCH + timedelta(microseconds=1))[0] == []
    assert split([snapshot], MARCH)[0] == [snapshot]


def test_a_champion_with_other_features_goes_on_scoring(world: World) -> None:
    world.batch("2013-03", MARCH)
    world.champion()
    steps.score("flights", APRIL)
    world.batch("2013-04", MARCH + MONTH)
    world.champion(2, features=("distance", "carrier", "wind"))
    assert len(steps.score("flights", (MARCH + 2 * MONTH).isoformat())["scored"]) == 1
    assert world.predictions("2013-04")["wind"].null_count() == 0
    assert world.predictions("2013-03")["humid"].null_count() == 0


def test_changed_model_is_refused_before_it_is_loaded(world: World) -> None:
    world.batch("2013-03", MARCH)
    champion = world.champion()
    path = world.folder / "training1" / "model.ubj"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(ModelError, match="was not loaded"):
        steps.score("flights", APRIL)
    other = champion.model_copy(update={"model_digest": "another"})
    manifest = _manifest(MARCH, FEATURES, Artifact(uri=str(path), digest=champion.model_digest, size=1))
    with pytest.raises(ModelError, match="champion v1 has SHA-256 another"):
        load(other, manifest)
    assert world.ledger.find("flights", Kind.BATCH_SCORED) == []


def test_infinite_value_is_missing_to_the_model_and_kept_for_monitoring(world: World) -> None:
    snapshot = world.batch("2013-03", MARCH)
    champion = world.champion()
    manifest = TrainingManifest.model_validate_json(Path(champion.manifest_uri).read_bytes())

    def spoiled(use_case: UseCase, spine: pl.DataFrame) -> pl.DataFrame:
        first = pl.int_range(pl.len()) == 0
        rows = retrieved(use_case, spine)
        return rows.with_columns(pl.when(first).then(float("inf")).otherwise("humid").alias("humid"))

    booster = load(champion, manifest)
    predict_batch(USE_CASE, world.lake, snapshot, champion, manifest, booster, spoiled, MARCH)
    rows = world.predictions("2013-03")
    assert rows["humid"].is_infinite().sum() == 1
    assert rows["prediction"].is_finite().all()


def test_lost_rows_are_an_error(world: World) -> None:
    snapshot = world.batch("2013-03", MARCH)
    champion = world.champion()
    manifest = TrainingManifest.model_validate_json(Path(champion.manifest_uri).read_bytes())
    booster = load(champion, manifest)
    with pytest.raises(DataError, match="300 rows of batch 2013-03 went in, 10 came out"):
        predict_batch(
            USE_CASE, world.lake, snapshot, champion, manifest, booster, lambda u, s: retrieved(u, s).head(10), MARCH
        )
