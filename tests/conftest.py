"""What every test shares: a generator of its own, and the promise to leave the global one alone."""

import os
import zlib
from collections.abc import Iterator

import numpy as np
import pytest

os.environ["MPLBACKEND"] = "Agg"

collect_ignore = ["benchmarks"]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """A generator seeded by the test's name: the same in every run, in any order."""
    return np.random.default_rng(zlib.crc32(request.node.nodeid.encode()))


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone() -> Iterator[None]:
    before = _global_random_state()
    yield
    assert _global_random_state() == before, "the test changed numpy's global random state"


def _global_random_state() -> tuple:
    name, keys, *rest = np.random.get_state()  # noqa: NPY002
    return name, keys.tobytes(), *rest
