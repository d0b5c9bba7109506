"""The stack as containers. Nothing here starts one unless EVERGREEN_TEST_STACK=1 says so: `make test-stack`."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stack import Stack, running_stack
from tests.images.docker import NotHereError

ASKED = "EVERGREEN_TEST_STACK"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Minutes and gigabytes: only where asked for."""
    if os.environ.get(ASKED) == "1":
        return
    here = os.path.dirname(__file__)  # noqa: PTH120
    for item in items:
        if str(item.path).startswith(here) and item.get_closest_marker("stack"):
            item.add_marker(pytest.mark.skip(reason="starts the whole stack as containers: make test-stack"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The stack, up, and taken down with its volumes at the end."""
    try:
        with running_stack(Path(tmp_path_factory.mktemp("stack"))) as found:
            yield found
    except NotHereError as why:
        pytest.skip(str(why))
