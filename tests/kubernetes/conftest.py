"""The cluster that KUBECONFIG names. Nothing here makes a pod unless EVERGREEN_TEST_KUBERNETES=1 says that it may."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kubernetes.faults import Cluster
from tests.kubernetes.ground import Ground, Servers, ground, servers

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
def pods(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """S3, MLflow and a namespace of our own."""
    for name, meaning in WANTED.items():
        if not os.environ.get(name):
            pytest.fail(f"{name} is not set: {meaning}")
    image, host = os.environ["EVERGREEN_TEST_IMAGE"], os.environ.get("EVERGREEN_TEST_HOST", "")
    with servers(tmp_path_factory.mktemp("servers"), image, host) as found:
        yield found


@pytest.fixture
def cluster(pods: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """For the faults that any cluster has: the operator in this process, with no Airflow around it."""
    for name, value in {**pods.env, "EVERGREEN_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    pods.wire.come_back()
    return Cluster(pods.cluster.core, pods.cluster.namespace, dict(pods.training_set))


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory, pods: Servers) -> Iterator[Ground]:
    """A whole Airflow that has its training done in pods."""
    with ground(tmp_path_factory.mktemp("ground"), pods) as made:
        yield made
