"""One precision per weight: slopes by differences, maxima by scans, coverage by simulation."""

import warnings

import numpy as np
import pytest
from scipy import stats
from sklearn.linear_model import ARDRegression

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression import relevance
from skgen._regression.conjugate import Gamma
from skgen._regression.relevance import EnergyTerm, Relevances, SparseModel

NOISES = {"known": 4.0, "gamma": Gamma(2.0, 3.0), "jeffreys": Gamma(0.0, 0.0), "learnt": "evidence"}
IRRELEVANT = 1e10  # precision, relative to that of the noise, of weights that are out


def ard(basis="identity", **parameters):
    return BayesianBasisRegressor(basis, prior_precision="ard", **parameters)


def common(basis="identity", **parameters):
    return BayesianBasisRegressor(basis, **parameters)


def table(n_rows, n_columns, rng, n_relevant=None, noise=1.0):
    """Normal columns, of which some matter, and the same number of test rows and 40."""
    X = rng.normal(size=(n_rows + 40, n_columns))
    weights = rng.normal(size=n_columns)
    weights[n_relevant:] = 0
    y = X @ weights + 3 + noise * rng.normal(size=len(X))
    return X[:n_rows], y[:n_rows], X[n_rows:], y[n_rows:]


def sparse_model(rng, noise):
    factor = rng.normal(size=(12, 6)) * np.geomspace(0.1, 10, 6)
    target = factor @ [9.0, 0, 3.0, 0, -2.0, 0.3] + 0.5 * rng.normal(size=12)
    return SparseModel(factor, target, 2.0, EnergyTerm.of(NOISES[noise], 16.0), 1.0, 1.0)


# -- the evidence and its derivatives --------------------------------------------------------------


@pytest.mark.parametrize("noise", NOISES)
def test_newtons_step_is_that_of_central_differences(noise, rng):
    """Near a maximum, where it leads to that of a function with the same two derivatives."""
    found = relevance.search(sparse_model(rng, noise), 16.0)
    found = found.move(0.05 * rng.normal(size=len(found.indices)))
    h, n = 1e-4, len(found.indices)

    def value(step):
        return found.move(step).log_evidence

    unit = h * np.eye(n)
    slope = [(value(e) - value(-e)) / (2 * h) for e in unit]
    hessian = [
        [(value(d + e) - value(d - e) - value(e - d) + value(-d - e)) / (4 * h * h) for d in unit]
        for e in unit
    ]
    step, promise = found.newton_step()
    np.testing.assert_allclose(step, -np.linalg.solve(hessian, slope), rtol=1e-3, atol=1e-6)
    assert promise == pytest.approx(np.dot(slope, step), rel=1e-3)


@pytest.mark.parametrize("noise", [None, 4.0])
@pytest.mark.parametrize("n_columns", [4, 12, 40])
def test_the_evidence_is_scipys_density_of_y_at_the_learned_precisions(n_columns, noise, rng):
    X, y, _, _ = table(20, n_columns, rng, n_relevant=2)
    known = {} if noise is None else {"noise_precision": noise}
    model = ard(fit_intercept=False, **known).fit(X, y)
    covariance = (X / model.prior_precision_) @ X.T + np.eye(20) / model.noise_precision_
    expected = stats.multivariate_normal(cov=covariance).logpdf(y)
    assert model.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("shape", [(40, 5), (30, 12), (20, 30)])
@pytest.mark.parametrize("noise", NOISES)
def test_no_other_precision_of_one_weight_has_more_evidence(noise, shape, rng):
    """A scan over the precision of each; for those that are out, more by less than their cost."""
    X, y, _, _ = table(*shape, rng, n_relevant=3, noise=0.5)
    Z, t = X - X.mean(axis=0), y - y.mean()
    term = EnergyTerm.of(NOISES[noise], len(t) - 1.0)
    found = relevance.search(SparseModel(Z, t, 1e-12, term, 1.0, 1.0), len(t) - 1.0)
    assert len(found.indices) < shape[1]
    cost = found.model.cost_of_one_more(len(found.indices))
    for index in range(shape[1]):
        inside = np.isfinite(found.precision[index])
        for factor in np.geomspace(1e-6, 1e6, 60):
            precision = found.precision.copy()
            precision[index] = factor * (precision[index] if inside else 1.0)
            other = Relevances(found.model, precision)
            allowance = 1e-9 if inside else cost + 1e-6
            assert other.log_evidence <= found.log_evidence + allowance


@pytest.mark.parametrize("noise", NOISES)
def test_gains_of_single_weights_are_differences_of_the_evidence(noise, rng):
    own = Relevances(sparse_model(rng, noise), np.array([0.3, np.inf, 2.0, np.inf, 5.0, 0.1]))
    removal = own.removal_gains()
    n_in, cost = len(own.indices), own.model.set_cost
    costs = own.model.precision_cost(own.precision[own.indices], own.energy)
    for position, index in enumerate(own.indices):
        precision = own.precision.copy()
        precision[index] = np.inf
        expected = Relevances(own.model, precision).log_evidence - own.log_evidence
        expected += cost(n_in) - cost(n_in - 1) + costs[position]
        if removal[position] > relevance.CERTAIN / 2:  # best out, whatever the prior
            expected += relevance.CERTAIN
        assert removal[position] == pytest.approx(expected, rel=1e-9, abs=1e-9)


# -- against the common precision ------------------------------------------------------------------

SHAPES = [(4, 3), (12, 4), (20, 18), (20, 30), (40, 60), (60, 5), (200, 20)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("noise", ["evidence", "gamma", 4.0])
def test_the_evidence_is_at_least_that_of_a_common_precision(shape, noise, rng):
    for n_relevant in (0, 1, 3, None):
        for size in (1e-6, 0.1, 1.0):
            X, y, _, _ = table(*shape, rng, n_relevant, size)
            own, one = (rule(noise_precision=noise).fit(X, y) for rule in (ard, common))
            least = one.log_marginal_likelihood_
            assert own.log_marginal_likelihood_ >= least - 1e-8 * abs(least)


def test_noise_of_a_millionth_of_the_signal_is_found(rng):
    X, y, x, z = table(300, 20, rng, n_relevant=5, noise=1e-6)
    own, one = ard().fit(X, y), common().fit(X, y)
    assert own.log_marginal_likelihood_ > one.log_marginal_likelihood_ + 15 * 10
    assert own.noise_precision_**-0.5 == pytest.approx(1e-6, rel=0.15)
    assert np.count_nonzero(own.coef_[5:]) <= 3
    mean, std = own.predict(x, return_std=True)
    assert np.mean(np.abs(z - mean) < 1.96 * std) > 0.85


@pytest.mark.parametrize("basis", ["identity", "gaussian", "fourier"])
def test_the_order_of_rows_does_not_matter(basis, rng):
    X = rng.normal(size=(25, 1 if basis == "gaussian" else 30))
    basis = GaussianBasis(60) if basis == "gaussian" else basis
    basis = FourierBasis(200, length_scale=3.0, random_state=0) if basis == "fourier" else basis
    y = np.sin(2 * X[:, 0]) + 0.2 * rng.normal(size=25)
    expected = ard(basis).fit(X, y).predict(X, return_std=True)
    for order in (np.arange(25)[::-1], rng.permutation(25)):
        found = ard(basis).fit(X[order], y[order]).predict(X, return_std=True)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


def test_units_of_the_columns_do_not_matter(rng):
    """For columns in the same order of size; a common precision would not do that."""
    X, y, x, _ = table(60, 8, rng, n_relevant=3)
    units = np.geomspace(0.5, 2, 8)
    expected, found = ard().fit(X, y), ard().fit(X * units, y)
    np.testing.assert_allclose(found.coef_ * units, expected.coef_, rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(found.predict(x * units), expected.predict(x), rtol=1e-6)


def test_irrelevant_weights_are_zero_and_their_prior_mean_else(rng):
    X, y, _, _ = table(100, 10, rng, n_relevant=2, noise=0.1)
    model = ard().fit(X, y)
    np.testing.assert_array_equal(model.coef_[2:], 0.0)
    assert np.all(model.prior_precision_[2:] > IRRELEVANT * model.noise_precision_)
    shifted = ard(prior_mean=0.5).fit(X, y + 0.5 * X.sum(axis=1))
    np.testing.assert_array_equal(shifted.coef_[2:], 0.5)
    np.testing.assert_allclose(shifted.coef_[:2] - 0.5, model.coef_[:2], rtol=1e-6)


def test_a_column_next_to_zero_at_the_data_is_not_chosen_by_chance(rng):
    """One whose weight would have to be enormous, and the prediction far from the data with it."""
    factor = rng.normal(size=(20, 10))
    factor[:, 9] *= 1e-9
    target = factor[:, 0] + 4e8 * factor[:, 9] + rng.normal(size=20)
    own = SparseModel(factor, target, 1e-12, EnergyTerm(20.0), 1.0, 1.0)
    precision = np.full(10, np.inf)
    precision[9] = 1e-18
    (cost,) = own.precision_cost(precision[9:], 20.0)
    assert cost > 7
    assert relevance.search(own, 20.0).precision[9] == np.inf


# -- quality ---------------------------------------------------------------------------------------


def coverage(model, sets):
    """Share of new observations in intervals of 95 %."""
    covered = []
    for X, y, x, z in sets:
        lower, upper = model.fit(X, y).predict_interval(x).T
        covered.append(np.mean((lower < z) & (z < upper)))
    return float(np.mean(covered))


def sines(n_sets, rng):
    for _ in range(n_sets):
        x = rng.uniform(size=(65, 1))
        y = np.sin(2 * np.pi * x[:, 0]) + 0.2 * rng.normal(size=65)
        yield x[:25], y[:25], x[25:], y[25:]


DESIGNS = {
    "40 rows, 60 columns": (40, 60, 3),
    "20 rows, 30 columns": (20, 30, None),
    "20 rows, 18 columns": (20, 18, None),
    "20 rows, 30 columns, 3 matter": (20, 30, 3),
    "20 rows, 18 columns, 3 matter": (20, 18, 3),
    "20 rows, 30 columns, none matters": (20, 30, 0),
    "100 rows, 30 columns": (100, 30, None),
}


@pytest.mark.parametrize("n_sets", [40, pytest.param(400, marks=pytest.mark.slow)])
@pytest.mark.parametrize("design", [*DESIGNS, "sine"])
def test_intervals_cover(design, n_sets):
    rng = np.random.default_rng(0)
    if design == "sine":
        model, sets = ard(GaussianBasis(60)), sines(n_sets, rng)
    else:
        n_rows, n_columns, n_relevant = DESIGNS[design]
        model = ard()
        sets = (table(n_rows, n_columns, rng, n_relevant) for _ in range(n_sets))
    assert 0.9 <= coverage(model, sets) <= 0.98


def test_without_a_prior_of_the_set_it_would_not_cover(monkeypatch):
    monkeypatch.setattr(SparseModel, "set_cost", lambda self, n_in: 0.0)
    monkeypatch.setattr(Relevances, "deviations", lambda self: np.zeros((len(self.precision), 0)))
    rng = np.random.default_rng(0)
    assert coverage(ard(), (table(40, 60, rng, 3) for _ in range(20))) < 0.7


def test_it_predicts_better_than_a_common_precision_and_scikit_learns_ard(rng):
    """Where 3 of 60 columns matter to 40 rows."""
    errors = []
    for _ in range(15):
        X, y, x, z = table(40, 60, rng, n_relevant=3)
        with warnings.catch_warnings(action="ignore"):
            models = [model.fit(X, y) for model in (ard(), common(), ARDRegression())]
        errors.append([np.mean((z - model.predict(x)) ** 2) for model in models])
    own, one, peer = np.mean(errors, axis=0)
    assert own < 1.4
    assert own < 0.7 * min(one, peer)


def test_repeated_columns_share_nothing_and_break_nothing(rng):
    X, y, x, _ = table(100, 4, rng, n_relevant=2, noise=0.1)
    single, double = ard().fit(X, y), ard().fit(np.hstack([X, X]), y)
    np.testing.assert_allclose(double.predict(np.hstack([x, x])), single.predict(x), rtol=1e-6)
    assert np.count_nonzero(double.coef_) == np.count_nonzero(single.coef_)
