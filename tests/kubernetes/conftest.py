"""The cluster that KUBECONFIG names. Nothing here makes a pod unless EVERGREEN_TEST_KUBERNETES=1 says that it may."""

import os
from collections.abc import Iterator

import pytest

from tests.kubernetes.ground import Ground, ground

ASKED = "EVERGREEN_TEST_KUBERNETES"
WANTED = {"EVERGREEN_TEST_IMAGE": "the training image, as the cluster's nodes have or can pull it"}


def pytest_configure(config: pytest.Config) -> None:
    """Name the marker of these tests."""
    config.addinivalue_line("markers", "kubernetes: makes pods on the cluster that KUBECONFIG names")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave alone whatever cluster somebody's KUBECONFIG happens to name."""
    here = os.path.dirname(__file__)  # noqa: PTH120
    reason = ""
    if os.environ.get(ASKED) != "1":
        reason = "makes pods on a cluster: make test-kubernetes IMAGE=NAME:TAG, with KUBECONFIG set"
    for item in items:
        if str(item.path).startswith(here) and reason:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Airflow, S3, MLflow, a namespace of our own: everything that training in pods needs."""
    for name, meaning in WANTED.items():
        if not os.environ.get(name):
            pytest.fail(f"{name} is not set: {meaning}")
    settings = {
        "EVERGREEN_TRAINING_SCHEDULE_TIMEOUT": "20",
        "EVERGREEN_TRAINING_START_TIMEOUT": "60",
        "EVERGREEN_TRAINING_SCRATCH": "1Gi",
        "EVERGREEN_TRAINING_DEFER_AFTER": "3600",
        "EVERGREEN_WATCH_SECONDS": "1",
    }
    image, host = os.environ["EVERGREEN_TEST_IMAGE"], os.environ.get("EVERGREEN_TEST_HOST", "")
    with ground(tmp_path_factory.mktemp("ground"), image, host, settings) as made:
        yield made
