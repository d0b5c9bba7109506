"""One real Airflow for the integration tests: four processes, its own home, its own ports."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from include.ledger import Ledger
from include.local.airflow import Airflow
from include.local.api import Api


@pytest.fixture(scope="session")
def evergreen_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """EVERGREEN_HOME of the tests and of the Airflow that they share."""
    home = tmp_path_factory.mktemp("evergreen")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LAKE", "LANDING", "ARTIFACTS", "LEDGER_URL", "MLFLOW_URI", "MLFLOW_ARTIFACTS", "FEAST_REGISTRY"):
            patch.delenv(f"EVERGREEN_{name}", raising=False)
        patch.setenv("EVERGREEN_HOME", str(home))
        yield home


@pytest.fixture(scope="session")
def airflow(evergreen_home: Path) -> Iterator[Airflow]:
    """A healthy Airflow; ended, with everything below it, when the session is."""
    with Airflow(evergreen_home, {"EVERGREEN_WATCH_SECONDS": "1"}) as running:
        yield running


@pytest.fixture
def api(airflow: Airflow) -> Api:
    """A client of its REST API."""
    airflow.check()
    return airflow.api


@pytest.fixture(scope="session")
def ledger(evergreen_home: Path) -> Ledger:
    """The ledger that its tasks write."""
    return Ledger.at(f"sqlite:///{evergreen_home / 'ledger.db'}")
