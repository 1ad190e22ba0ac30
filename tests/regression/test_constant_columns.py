"""Constant columns, and those next to it: the flat intercept explains them, they say nothing."""

import numpy as np
import pytest
from scipy import stats
from sklearn.preprocessing import SplineTransformer

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis, SigmoidBasis
from skgen._regression.conjugate import Statistic

BASES = {
    "auto": "auto",
    "gaussian": "gaussian",
    "gaussian with a domain": GaussianBasis(9, domain=(0, 2)),
    "gaussian of learned width": GaussianBasis(9, width="evidence"),
    "sigmoid": "sigmoid",
    "sigmoid with a domain": SigmoidBasis(9, domain=(0, 2)),
    "fourier": FourierBasis(20, length_scale=None, random_state=0),
    "learned fourier": FourierBasis(20, ranks=True, linear=True, random_state=0),
    "polynomial": "polynomial",
    "identity": "identity",
    "splines": SplineTransformer(),
}
DEVIATIONS = (0.0, 2e-16, 1e-14, 1e-13, 1e-12, 1e-9)


@pytest.fixture
def y(rng):
    return 3 + 2 * rng.normal(size=40)


def t_std(y):
    """Standard deviation of a new observation, mean and variance unknown under flat priors."""
    df = len(y) - 1
    return y.std(ddof=1) * np.sqrt(1 + 1 / len(y)) * stats.t(df).std()


@pytest.mark.parametrize("rule", ["evidence", "ard"])
@pytest.mark.parametrize("basis", BASES)
def test_at_a_constant_x_the_prediction_is_that_of_y_alone(basis, rule, y):
    for value in (1.0, 0.1, 1e6, 0.0, 1e-150, 1e-200):
        X = np.full((40, 1), value)
        model = BayesianBasisRegressor(BASES[basis], prior_precision=rule).fit(X, y)
        mean, std = model.predict(X[:1], return_std=True)
        assert mean[0] == pytest.approx(y.mean(), rel=1e-9)
        assert std[0] == pytest.approx(t_std(y), rel=1e-4)  # columns up to 1e12, and their rounding


@pytest.mark.parametrize("basis", BASES)
def test_next_to_a_constant_x_the_spread_is_that_of_y(basis, y, rng):
    for deviation in DEVIATIONS:
        X = 1 + deviation * rng.normal(size=(40, 1))
        model = BayesianBasisRegressor(BASES[basis]).fit(X, y)
        std = model.predict(np.vstack([np.ones((1, 1)), X]), return_std=True)[1]
        assert np.median(std) == pytest.approx(y.std(), rel=0.15)
        assert std.max() < 2 * y.std()


@pytest.mark.parametrize("rule", ["evidence", "ard"])
@pytest.mark.parametrize("basis", ["gaussian with a domain", "sigmoid", "polynomial", "identity"])
def test_next_to_a_constant_x_a_flat_intercept_leaves_no_mean_residual(basis, rule):
    """The weights that "ard" sets to 0 once had a share in the mean, which the intercept lacked."""
    for seed, deviation in enumerate((1e-14, 1e-12, 1e-10, 1e-8)):
        rng = np.random.default_rng(seed)
        X = 1 + deviation * rng.normal(size=(40, 1))
        y = 5 + rng.normal(size=40)
        model = BayesianBasisRegressor(BASES[basis], prior_precision=rule).fit(X, y)
        assert np.mean(model.predict(X) - y) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("basis", [name for name in BASES if name != "splines"])
def test_another_x_is_as_uncertain_as_the_prior_and_no_more(basis, y):
    model = BayesianBasisRegressor(BASES[basis]).fit(np.ones((40, 1)), y)
    mean, std = model.predict([[2.0]], return_std=True)
    assert mean[0] == pytest.approx(y.mean(), rel=1e-9)
    assert y.std() < std[0] < 10 * y.std()


@pytest.mark.parametrize("basis", [name for name in BASES if name != "splines"])
def test_weighted_rows_are_repeated_rows_elsewhere_too(basis, y, rng):
    weights = rng.integers(0, 4, size=40)
    X = np.ones((40, 1))
    weighted = BayesianBasisRegressor(BASES[basis]).fit(X, y, weights)
    repeated = BayesianBasisRegressor(BASES[basis]).fit(
        np.repeat(X, weights, axis=0), np.repeat(y, weights)
    )
    for found, expected in zip(
        weighted.predict([[1.0], [2.0]], return_std=True),
        repeated.predict([[1.0], [2.0]], return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.parametrize("basis", ["gaussian with a domain", "sigmoid with a domain", "identity"])
def test_a_stream_may_start_with_one_x(basis, y, rng):
    """And have any x later, as in one fit with all rows."""
    X = np.r_[np.ones(20), rng.uniform(0, 2, size=20)][:, None]
    stream = BayesianBasisRegressor(BASES[basis]).partial_fit(X[:20], y[:20])
    mean, std = stream.predict(X[:1], return_std=True)
    assert mean[0] == pytest.approx(y[:20].mean(), rel=1e-9)
    assert std[0] == pytest.approx(t_std(y[:20]), rel=1e-6)
    stream.partial_fit(X[20:], y[20:])
    whole = BayesianBasisRegressor(BASES[basis]).fit(X, y)
    np.testing.assert_allclose(
        stream.predict(X, return_std=True), whole.predict(X, return_std=True), rtol=1e-7
    )


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e9])
def test_a_constant_column_beside_others_changes_nothing(scale, y, rng):
    X = rng.normal(size=(40, 2))
    y = y + X[:, 0]
    both = np.column_stack([np.full(40, 0.1 * scale), X])
    expected = BayesianBasisRegressor("identity").fit(X, y)
    found = BayesianBasisRegressor("identity").fit(both, y)
    np.testing.assert_allclose(found.coef_, np.r_[0, expected.coef_], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        found.predict(both, return_std=True), expected.predict(X, return_std=True), rtol=1e-9
    )
    assert found.log_marginal_likelihood_ == pytest.approx(
        expected.log_marginal_likelihood_, rel=1e-9
    )


def test_squares_that_underflow_are_nothing(rng):
    """Rows of 1e-200 once ended in an IndexError."""
    for X in ([[1e-200]] * 3, [[1e-200], [2e-200], [3e-200]]):
        for y in ([1.0, 2.0, 4.0], [1e-200, 2e-200, 5e-200]):
            model = BayesianBasisRegressor("identity").fit(X, y)
            assert np.all(np.isfinite(model.coef_))
            assert model.intercept_ == pytest.approx(np.mean(y))


def test_only_columns_below_rounding_are_dropped(rng):
    """A column that varies by 1e-9 of its value keeps what it says of y."""
    x = rng.normal(size=50)
    X = 5 + 1e-9 * x[:, None]
    model = BayesianBasisRegressor("identity").fit(X, x + 0.1 * rng.normal(size=50))
    assert model.coef_[0] * 1e-9 == pytest.approx(1.0, rel=0.1)
    Phi = np.column_stack([np.ones(50), X, 5 + 1e-15 * x])
    factor = Statistic.empty(3, 1).append(Phi.copy(), x[:, None].copy(), 50.0)
    cleaned = factor.without_rounding().factor
    assert np.all(cleaned[1:, 2] == 0)
    np.testing.assert_array_equal(cleaned[:, :2], factor.factor[:, :2])


# -- columns that leave most weights undetermined -------------------------------------------------


@pytest.mark.parametrize("basis", ["auto", "identity", "fourier", "gaussian", "sigmoid"])
@pytest.mark.parametrize("n_rows", [4, 40])
def test_between_two_values_of_x_the_spread_is_that_of_y(basis, n_rows, rng):
    """The data determine one weight; the variance of the others was infinite but for rounding."""
    X = np.repeat([[0.0], [1.0]], n_rows // 2, axis=0)
    y = X[:, 0] + 0.5 * rng.normal(size=n_rows)
    model = BayesianBasisRegressor(basis).fit(X, y)
    _, std = model.predict([[0.0], [0.25], [0.5], [1.0], [2.0]], return_std=True)
    scale = t_std(y)
    assert (std < 5 * scale).all()
    assert (std > 0.4 * y.std()).all()


def test_where_two_equal_columns_differ_the_spread_is_that_of_y(rng):
    x = rng.uniform(size=(50, 1))
    y = x[:, 0] + 0.3 * rng.normal(size=50)
    for W in (np.hstack([x, x]), np.hstack([x, 1 - x])):
        for basis in ("auto", "identity"):
            model = BayesianBasisRegressor(basis).fit(W, y)
            _, std = model.predict([[0.2, 0.8], [0.5, 0.1], [0.9, 0.9]], return_std=True)
            assert (std < 5 * y.std()).all()
