"""The loop with its training in pods on a real cluster: to a promoted champion, by itself."""

from pathlib import Path

import pytest

from include.contracts.record import Kind
from include.contracts.training import TrainingManifest
from include.lake import object_store
from tests.integration.world import Shops, until
from tests.kubernetes.ground import Ground, gone

pytestmark = pytest.mark.kubernetes


def test_the_first_champion_comes_from_a_pod(place: Ground) -> None:
    until(lambda: "demand_ingest" in place.airflow.api.dags())
    project = place.airflow.project
    landing = Path(project / "home" / "landing")
    shops = Shops(landing, place.airflow.api, place.ledger, Shops.program(project))
    for week in range(1, 6):
        shops.drop(week, shops.data(week))
        assert shops.send(f"2024-W{week:02d}")
    shops.live(6)
    assert shops.endings() == ["promoted"]
    assert shops.version() == 1

    (trained,) = shops.find(Kind.RETRAIN_REQUESTED)
    assert shops.ended("demand_retrain", trained.key) == "success"
    uri = place.airflow.api.result("demand_retrain", trained.key, "train")["manifest_uri"]
    manifest = TrainingManifest.model_validate_json(object_store(uri).read(uri))
    champion = place.ledger.champion("demand")
    assert champion is not None
    assert champion.model_digest == manifest.artifacts["model.ubj"].digest
    assert len(place.watch.of(trained.key)) == 1
    assert gone(lambda: place.left(trained.key))
