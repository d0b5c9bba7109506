"""A small world for tests of training, evaluation and promotion: synthetic rows, specs, an MLflow of its own."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from include.contracts.data import TrainingSet
from include.contracts.training import TrainingManifest, TrainingSpec
from include.contracts.use_case import BinaryClassification, Regression, Resources, XGBoost
from include.contracts.verdict import Champion
from include.ledger import Ledger

START = datetime(2013, 1, 1, tzinfo=UTC)
DAYS = 60
NUMBERS = ("a", "b", "c")
FEATURES = (*NUMBERS, "kind")
KINDS = ("k0", "k1", "k2", "k3")


@contextmanager
def world(home: Path) -> Iterator[Path]:
    """Settings that keep everything below `home`, with an MLflow database copied ready-made."""
    home.mkdir(parents=True, exist_ok=True)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKE", "LANDING", "ARTIFACTS", "LEDGER_URL", "MLFLOW_URI", "MLFLOW_ARTIFACTS"):
            patch.delenv(f"EVERGREEN_{name}", raising=False)
        patch.setenv("EVERGREEN_HOME", str(home))
        patch.setenv("OMP_WAIT_POLICY", "PASSIVE")
        shutil.copy(empty_mlflow(), home / "mlflow.db")
        yield home


@cache
def empty_mlflow() -> Path:
    """A migrated, empty MLflow database: seconds to make, milliseconds to copy."""
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    folder = Path(tempfile.mkdtemp(prefix="evergreen-mlflow-"))
    store = SqlAlchemyStore(f"sqlite:///{folder / 'empty.db'}", str(folder))
    store.engine.dispose()
    return folder / "empty.db"


def rows(count: int = 3_000, seed: int = 0, regression: bool = False, signal: float = 1.5) -> pl.DataFrame:
    """Rows over sixty days: three numbers (one with gaps), one category, and a label that hangs on them."""
    rng = np.random.default_rng(seed)
    a, b, c = rng.normal(size=(3, count))
    kind = rng.integers(0, len(KINDS), count)
    score = signal * (a + np.where(b > 0, c, -c) + 0.8 * (kind == 2))
    noise = rng.normal(size=count) if regression else rng.logistic(size=count)
    times = [START + timedelta(seconds=float(s)) for s in np.sort(rng.uniform(0, DAYS * 86_400, count))]
    return pl.DataFrame(
        {
            "a": a,
            "b": b,
            "c": pl.Series(c).set(pl.Series(rng.random(count) < 0.05), None),
            "kind": [KINDS[k] for k in kind],
            "at": pl.Series(times, dtype=pl.Datetime("us", "UTC")),
            "target": score + noise if regression else (score + noise > 0).astype(np.int8),
        }
    )


def flip(frame: pl.DataFrame, share: float, seed: int = 1) -> pl.DataFrame:
    """Poison: the label of a share of the rows before the fresh part is turned round."""
    chosen = np.random.default_rng(seed).random(frame.height) < share
    old = pl.col("at") < START + timedelta(days=45)
    return frame.with_columns(
        pl.when(old & pl.Series(chosen)).then(1 - pl.col("target")).otherwise(pl.col("target")).alias("target")
    )


def spec(home: Path, frame: pl.DataFrame, request: str = "r1", **changes: Any) -> TrainingSpec:
    """A spec on `frame`, written with its training set below `home`; `changes` go to the spec or its training set."""
    path = home / "sets" / f"{request}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)
    regression = frame.schema["target"].is_float()
    given = TrainingSet(
        uri=str(path),
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        rows=frame.height,
        label="target",
        event_time="at",
        **{"features": FEATURES, "categorical": ("kind",), **changes.pop("training_set", {})},
        starts=START,
        validation_from=START + timedelta(days=36),
        fresh_from=START + timedelta(days=45),
        ends=START + timedelta(days=DAYS),
        as_of=START + timedelta(days=DAYS),
        data_version="d" * 64,
    )
    fields: dict[str, Any] = {
        "task": Regression(label="target") if regression else BinaryClassification(label="target"),
        "trainer": XGBoost(max_depth=4, rounds=60, early_stopping=10),
        "resources": Resources(cpu=1, memory="4Gi"),
    }
    return TrainingSpec(
        use_case="toy",
        request=request,
        as_of=given.as_of,
        training_set=given,
        output_uri=str(home / "artifacts" / "toy" / "training" / request),
        **{**fields, **changes},
    )


def written(home: Path, made: TrainingSpec) -> Path:
    """The spec as a file."""
    path = home / f"{made.request}.spec.json"
    path.write_text(made.model_dump_json())
    return path


def crowned(ledger: Ledger, manifest: TrainingManifest, uri: str, version: int = 1, revision: int = 1) -> Champion:
    """Make a trained model champion without any gate."""
    champion = Champion(
        use_case=manifest.use_case,
        version=version,
        revision=revision,
        model_uri=manifest.artifacts["model.ubj"].uri,
        model_digest=manifest.artifacts["model.ubj"].digest,
        manifest_uri=uri,
        metric=0.8,
        evaluation="by the test",
        since=manifest.as_of,
    )
    assert ledger.swap_champion(champion)
    return champion
