"""What every test shares: a generator of its own, and the promise to leave the global one alone."""

import os
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from itertools import product

import numpy as np
import pytest

os.environ["MPLBACKEND"] = "Agg"

collect_ignore = ["benchmarks"]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> np.random.Generator:
    """Generator seeded by the names of the test and its file, in whichever folder that is."""
    name = f"tests/{request.path.name}::{request.node.nodeid.split('::', 1)[1]}"
    return np.random.default_rng(zlib.crc32(name.encode()))


@pytest.fixture(autouse=True)
def _global_random_state_is_left_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    before = np.random.get_state()  # noqa: NPY002
    yield
    after = np.random.get_state()  # noqa: NPY002
    np.random.set_state(before)  # noqa: NPY002
    if request.node.get_closest_marker("draws_globally") is None:
        same = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
        assert same, "the test changed numpy's global random state"


@pytest.fixture(scope="session")
def one_torch_thread() -> None:
    """One thread for torch, here and in all tests that follow: small networks lose by more."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def seeded_weights() -> Iterator[None]:
    """The first weights of networks are the same for any order of tests."""
    from skgen.networks import seed_torch

    with seed_torch(0):
        yield


def without_addresses(value: object) -> str:
    """A name for a case that is the same in every process."""
    return re.sub(r" at 0x\w+", "", str(value))


def representatives(*axes: Iterable) -> list:
    """Parameters of the product of axes; in the default suite each value is in one case or more.

    All other cases are slow. The values of a tuple are those of as many arguments.
    """
    values = [list(axis) for axis in axes]
    length = max(map(len, values))
    default = {tuple(axis[index % len(axis)] for axis in values) for index in range(length)}
    return [
        pytest.param(*_flatten(case), marks=() if case in default else pytest.mark.slow)
        for case in product(*values)
    ]


def _flatten(case: tuple) -> list:
    return [part for value in case for part in (value if isinstance(value, tuple) else (value,))]


def examples(parts: dict[str, type]) -> dict[str, object]:
    """Examples of registered parts by name; the last of each part has the part's own name."""
    return {
        f"{name} {index}" if index < len(cls._examples()) else name: example
        for name, cls in parts.items()
        for index, example in enumerate(cls._examples(), start=1)
    }


def assert_digits(actual, expected, digits=12):
    """Equal to so many digits of the largest element of ``expected``."""
    np.testing.assert_allclose(
        np.asarray(actual, float),
        expected := np.asarray(expected, float),
        rtol=0,
        atol=10.0**-digits * max(np.abs(expected).max(), 1e-300),
    )


def assert_draws_repeat(draw: Callable[[object], np.ndarray]) -> None:
    """Draws depend on ``random_state`` as they should; ``draw`` takes it."""
    assert np.array_equal(draw(0), draw(0))
    assert not np.array_equal(draw(0), draw(1))
    assert not np.array_equal(draw(None), draw(None))
    for make in (np.random.default_rng, np.random.RandomState):
        one, other = make(0), make(0)
        first = draw(one)
        assert np.array_equal(first, draw(other))
        assert not np.array_equal(first, draw(one))
