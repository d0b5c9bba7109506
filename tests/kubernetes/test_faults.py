"""The faults that the fake API server makes too, on a real cluster: the same functions."""

import pytest

from tests.kubernetes.faults import *  # noqa: F403 - the tests themselves

pytestmark = pytest.mark.kubernetes
