"""The features with lake and artifacts on a real S3 server."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from include import jobs
from include.contracts.data import TrainingSet
from include.lake import object_store
from include.local.seaweedfs import SeaweedFS
from tests import feature_world as shop

AS_OF = "2024-02-02T00:00:00+00:00"


@pytest.fixture
def _s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with SeaweedFS(tmp_path / "s3") as server, shop.world(tmp_path):
        server.create_bucket("evergreen")
        for name, value in server.environment().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("EVERGREEN_LAKE", "s3://evergreen/lake")
        monkeypatch.setenv("EVERGREEN_ARTIFACTS", "s3://evergreen/artifacts")
        yield


@pytest.mark.integration
@pytest.mark.usefixtures("_s3")
def test_build_materialize_and_training_set_on_s3() -> None:
    raw = shop.ingest("2024-01").model_dump(mode="json")
    batch = {"use_case": "shop", "as_of": AS_OF, "batch": "2024-01"}
    built = jobs.run("features", "build_features", {**batch, "snapshot": raw})
    assert built["tables"][0]["uri"] == "s3://evergreen/lake/shop/spine"
    assert jobs.run("features", "build_features", {**batch, "snapshot": raw}) == built
    shop.validated("2024-01", built["digest"])
    written = jobs.run("features", "materialize", {**batch, "snapshot": built})
    assert written["rows"] == written["keys"] > 3
    wanted = {"use_case": "shop", "as_of": AS_OF, "request": "r"}
    found = TrainingSet.model_validate(jobs.run("features", "build_training_set", wanted))
    assert found.uri.startswith("s3://evergreen/artifacts/shop/training_sets/")
    assert hashlib.sha256(object_store(found.uri).read(found.uri)).hexdigest() == found.digest
