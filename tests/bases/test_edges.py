"""Functions that let a trend turn beyond the rows of the fit."""

import numpy as np
import pandas as pd
import pytest
from sklearn.gaussian_process.kernels import RBF

from skgen import BayesianBasisRegressor, FourierBasis
from skgen.bases._edges import Edges

LENGTHS, SHARES = np.array([[2.0, 0.3], [0.5, 0.1]]), np.array([0.7, 0.3])


@pytest.fixture
def edges(rng):
    return Edges(*np.sort(rng.normal(size=(2, 2)), axis=0))


def test_functions_are_zero_at_the_rows(rng):
    X = rng.normal(size=(30, 3))
    edges = Edges(X.min(axis=0), X.max(axis=0))
    assert not edges.functions(X, np.ones((1, 3)), np.ones(1)).any()


def test_rows_inside_are_as_beside_one_that_is_outside(edges, rng):
    """All rows inside take a shorter way."""
    inside = rng.uniform(edges.low, edges.high, size=(5, 2))
    X, gradient = np.vstack([inside, edges.high + 1]), rng.normal(size=(6, 4))
    found = edges.functions(inside, LENGTHS, SHARES)
    np.testing.assert_array_equal(found, edges.functions(X, LENGTHS, SHARES)[:5])
    whole = edges.vjp(X, LENGTHS, SHARES, gradient)
    outside = edges.vjp(X[5:], LENGTHS, SHARES, gradient[5:])
    for total, *parts in zip(
        whole, edges.vjp(inside, LENGTHS, SHARES, gradient[:5]), outside, strict=True
    ):
        assert total.shape == parts[0].shape
        np.testing.assert_allclose(total, sum(parts), rtol=1e-12)


@pytest.mark.parametrize("end", [0, 1], ids=["low", "high"])
@pytest.mark.parametrize("feature", [0, 1])
def test_the_slope_at_an_end_has_the_variance_of_the_kernels_slopes(edges, feature, end):
    """That of a stationary process is the negative second derivative of its kernel at 0."""
    step = 1e-4
    x = np.array([[edges.low, edges.high][end]])
    x[0, feature] += [-step, step][end]
    found = edges.functions(x, LENGTHS, SHARES)[0, 2 * end + feature] / step
    kernels = [RBF(length)([[0.0]], [[step]])[0, 0] for length in LENGTHS[:, feature]]
    expected = 2 * (1 - SHARES @ kernels) / step**2
    assert found**2 == pytest.approx(expected, rel=1e-5)


def test_far_away_their_variance_is_that_of_the_process(edges):
    far = np.array([[1e30, -1e30]])
    found = edges.functions(far, LENGTHS, SHARES)
    np.testing.assert_allclose(found, [[0.0, 1.0, 1.0, 0.0]], rtol=1e-12)


def test_categories_have_none():
    frame = pd.DataFrame({"a": np.arange(30.0), "b": list("xyz") * 10})
    model = BayesianBasisRegressor().fit(frame, np.arange(30.0))
    assert model.basis_._n_edges == 2


@pytest.mark.parametrize("linear", [False, True])
def test_without_linear_terms_there_are_none(linear, rng):
    basis = FourierBasis(20, linear=linear, random_state=0).fit(rng.normal(size=(30, 2)))
    assert basis.transform(np.zeros((1, 2))).shape[1] == 20 + linear * (2 + 4)
