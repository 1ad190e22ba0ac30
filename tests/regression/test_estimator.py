"""Laws of the regressor: exact values, independence of batching and order, exact evidence."""

import copy
import json
import pickle
import subprocess
import sys
from functools import cache
from io import BytesIO
from pathlib import Path

import joblib
import mpmath
import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import assert_digits, assert_draws_repeat, representatives
from scipy import integrate, optimize, stats
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.linear_model import ARDRegression, BayesianRidge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)
from threadpoolctl import threadpool_limits

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    SigmoidBasis,
    mean_log_predictive_density,
)


def waves(X):
    return np.cos(4 * X)


DATA_FREE = {
    "gaussian": GaussianBasis(9, domain=(0, 1)),
    "sigmoid": SigmoidBasis(5, domain=(0, 1)),
    "fourier": FourierBasis(10, length_scale=0.2, random_state=0),
    "polynomial": "polynomial",
    "identity": "identity",
    "spline": FrozenEstimator(  # unfitted, it does not take a single row to start with
        SplineTransformer(include_bias=False).fit([[0.0, 0.0], [1.0, 1.0]])
    ),
    "pipeline": make_pipeline(
        FunctionTransformer(waves), PolynomialFeatures(2, include_bias=False)
    ),
}
FOLLOWING = {
    "default": "gaussian",
    "gaussian following": GaussianBasis(15),
    "sigmoid following": "sigmoid",
    "fourier following": FourierBasis(20, length_scale=None, random_state=0),
    "sparse spline": SplineTransformer(sparse_output=True),
    "nystroem": Nystroem(n_components=12, random_state=0),
    "standardised": make_pipeline(StandardScaler(), RBFSampler(n_components=20, random_state=0)),
    "frozen": FrozenEstimator(
        GaussianBasis(12).fit(np.random.default_rng(0).uniform(size=(50, 2)))
    ),
}
BASES = DATA_FREE | FOLLOWING
COUNTING_ROWS = ("nystroem", "standardised")  # these take a row's copies, but not its weight

# Precisions and means are given one per weight by functions of the number of basis functions.
OPTIONS = {
    "numbers": {"prior_precision": 2.0, "noise_precision": 25.0},
    "one per weight": {
        "prior_precision": lambda n: np.geomspace(0.5, 9, n),
        "noise_precision": 25.0,
        "intercept_precision": 0.7,
    },
    "prior mean": {
        "prior_precision": 2.0,
        "noise_precision": 25.0,
        "prior_mean": lambda n: np.linspace(-1, 2, n),
        "intercept_precision": 0.7,
    },
    "flat intercept": {
        "prior_precision": 2.0,
        "noise_precision": 25.0,
        "intercept_precision": 0.0,
    },
    "no intercept": {"prior_precision": 2.0, "noise_precision": 25.0, "fit_intercept": False},
    "learnt": {},
    "learnt without intercept": {"fit_intercept": False, "prior_mean": 0.3},
    "learnt prior": {"noise_precision": 25.0},
    "learnt noise": {"prior_precision": lambda n: np.geomspace(0.5, 9, n), "prior_mean": 0.3},
    "gamma": {
        "prior_precision": 2.0,
        "noise_precision": "gamma",
        "noise_shape": 2.5,
        "noise_rate": 0.3,
    },
    "jeffreys": {"prior_precision": 2.0, "noise_precision": "gamma"},
    "learnt prior, gamma": {"noise_precision": "gamma", "noise_shape": 2.5, "noise_rate": 0.3},
    "ard": {"prior_precision": "ard"},
    "ard, gamma": {"prior_precision": "ard", "noise_precision": "gamma"},
    "ard, known noise": {"prior_precision": "ard", "noise_precision": 25.0},
}
# Every basis with the main options, and every option with one basis.
CASES = [(basis, option) for basis in BASES for option in ("numbers", "learnt", "gamma")] + [
    ("gaussian", option) for option in OPTIONS if option not in ("numbers", "learnt", "gamma")
]
PROPER = ("numbers", "one per weight", "prior mean", "no intercept", "gamma")
FITTED = (
    "coef_", "intercept_", "covariance_", "prior_precision_", "noise_precision_",
    "log_marginal_likelihood_", "n_effective_params_",
)  # fmt: skip


def model_of(option, basis, X, **more):
    """A regressor with a basis and an option, by their names."""
    basis = BASES[basis]
    n_basis = clone(BayesianBasisRegressor(basis, **OPTIONS["numbers"])).fit(X, X[:, 0]).coef_.size
    params = {
        name: value(n_basis) if callable(value) else value
        for name, value in OPTIONS[option].items()
    }
    return BayesianBasisRegressor(basis, **(params | more))


def is_ard(model):
    return isinstance(model.prior_precision, str) and model.prior_precision == "ard"


def design_matrix(model, X):
    Phi = model.basis_.transform(X)
    Phi = Phi.toarray() if hasattr(Phi, "toarray") else Phi
    return np.column_stack([np.ones(len(X)), Phi]) if model.fit_intercept else Phi


def prior_of(model):
    """Precision and mean of each weight, from the parameters as documented."""
    n_basis = model.coef_.shape[-1]
    precision = np.broadcast_to(model.prior_precision_, n_basis)
    mean = np.broadcast_to(model.prior_mean, n_basis)
    if not model.fit_intercept:
        return precision, mean
    own = model.intercept_precision
    if own is None:
        own = 0.0 if isinstance(model.prior_precision, str) else model.prior_precision
        own = own if np.ndim(own) == 0 else 0.0
    return np.r_[own, precision], np.r_[0.0, mean]


def assert_same_model(model, other, X, digits=12, seen=True):
    """Compare all public results; those of "ard" to the tolerance of its search."""
    if is_ard(model):
        assert_digits(model.log_marginal_likelihood_, other.log_marginal_likelihood_, 9)
        digits, names = 3, ("coef_", "intercept_")
    else:
        names = FITTED
    for name in names:
        assert_digits(getattr(model, name), getattr(other, name), digits)
    for found, expected in zip(
        model.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
    ):
        assert_digits(found, expected, digits)
    assert not seen or model.n_samples_seen_ == other.n_samples_seen_


def assert_bitwise(model, other, X):
    for name in FITTED:
        assert np.array_equal(getattr(model, name), getattr(other, name)), name
    for found, expected in zip(
        model.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
    ):
        assert np.array_equal(found, expected)


@pytest.fixture
def X(rng):
    return rng.uniform(size=(60, 2))


@pytest.fixture
def y(X, rng):
    return np.sin(6 * X[:, 0]) + X[:, 1] ** 2 + 0.2 * rng.normal(size=len(X))


@pytest.fixture
def Y(X, y, rng):
    return np.column_stack([y, np.cos(5 * X[:, 1]) + 0.1 * rng.normal(size=len(X)), 3 * y - 1])


# -- exact: the lecture's cases -------------------------------------------------------------------


def lecture(case, n_rows):
    """x, y, rows of the design matrix as functions, and a basis: Bishop's figures 3.7 and 3.8."""
    rng = np.random.default_rng(20)
    if case == "a line":
        x = rng.uniform(-1, 1, n_rows)
        y = -0.3 + 0.5 * x + rng.normal(scale=0.2, size=n_rows)
        return x, y, [lambda v: mpmath.mpf(1), lambda v: v], "identity"
    x = rng.uniform(0, 1, n_rows)
    y = np.sin(2 * np.pi * x) + rng.normal(scale=0.2, size=n_rows)
    width = mpmath.mpf(3) / 16

    def bump(center):
        return lambda v: mpmath.exp(-(((v - center) / width) ** 2) / 2)

    bumps = [bump(mpmath.mpf(index) / 8) for index in range(9)]
    return x, y, [lambda v: mpmath.mpf(1), *bumps], GaussianBasis(9, width=3 / 16, domain=(0, 1))


@pytest.mark.parametrize(
    ("case", "n_rows"),
    [("a line", n) for n in (1, 2, 20)] + [("nine Gaussians", n) for n in (1, 2, 4, 25)],
)
@pytest.mark.parametrize("batches", ["fit", "row by row"])
def test_the_lectures_cases_to_12_digits_of_mpmath(batches, case, n_rows):
    x, y, functions, basis = lecture(case, n_rows)
    new = np.array([-0.5, 0.0, 0.1, 0.77, 1.5])
    a, b = 2, 25
    with mpmath.workdps(50):

        def design(points):
            return mpmath.matrix([[f(mpmath.mpf(float(v))) for f in functions] for v in points])

        Phi, Phi_new, targets = design(x), design(new), mpmath.matrix(y.tolist())
        covariance = (a * mpmath.eye(len(functions)) + b * Phi.T * Phi) ** -1
        mean = b * covariance * (Phi.T * targets)
        predictive = list(Phi_new * mean)
        variances = Phi_new * covariance * Phi_new.T
        std = [mpmath.sqrt(mpmath.mpf(1) / b + variances[i, i]) for i in range(len(new))]
        C = Phi * Phi.T / a + mpmath.eye(n_rows) / b
        log_evidence = (
            -(
                n_rows * mpmath.log(2 * mpmath.pi)
                + mpmath.log(mpmath.det(C))
                + (targets.T * C**-1 * targets)[0]
            )
            / 2
        )
    model = BayesianBasisRegressor(basis, prior_precision=2.0, noise_precision=25.0)
    if batches == "fit":
        model.fit(x[:, None], y)
    else:
        for row in range(n_rows):
            model.partial_fit(x[[row], None], y[[row]])
    assert_digits(model.coef_, list(mean)[1:])
    assert_digits(model.intercept_, mean[0])
    assert_digits(model.covariance_, covariance.tolist())
    found_mean, found_std = model.predict(new[:, None], return_std=True)
    assert_digits(found_mean, predictive)
    assert_digits(found_std, std)
    assert_digits(model.log_marginal_likelihood_, log_evidence)


@pytest.mark.parametrize(("basis", "option"), representatives(DATA_FREE, PROPER))
def test_draws_before_any_data_are_from_the_prior(basis, option, X):
    """The case of 0 points in the lecture."""
    model = model_of(option, basis, X)
    x, n_draws = X[:4], 20_000
    fitted = clone(model).fit(X, X[:, 0])
    Phi, (precision, mean) = design_matrix(fitted, x), prior_of(fitted)
    variance = 1 / 25.0
    if (
        option == "gamma"
    ):  # the prior is in units of the noise, whose variance is rate / (shape - 1)
        variance = 0.3 / 1.5
        precision = precision / variance
    covariance = (Phi / precision) @ Phi.T
    for noise in (True, False):
        draws = model.sample_y(x, n_draws, observation_noise=noise, random_state=1)
        assert draws.shape == (4, n_draws)
        assert_moments(draws, Phi @ mean, covariance + noise * variance * np.eye(4))


@pytest.mark.parametrize("option", ["learnt", "learnt noise", "jeffreys", "flat intercept", "ard"])
def test_no_draws_from_an_improper_prior(option, X):
    with pytest.raises((NotFittedError, ValueError)):
        model_of(option, "gaussian", X).sample_y(X)


@pytest.mark.parametrize("basis", [name for name in FOLLOWING if name != "frozen"])
def test_no_prior_draws_with_a_basis_that_depends_on_the_data(basis, X):
    with pytest.raises(NotFittedError):
        model_of("numbers", basis, X).sample_y(X)


def test_y_without_columns_is_named(X):
    with pytest.raises(ValueError, match="`y` must have at least one output"):
        BayesianBasisRegressor("identity").fit(X, np.empty((len(X), 0)))


@pytest.mark.parametrize("method", ["predict", "log_predictive_density", "coef_", "merge"])
def test_error_if_not_fitted(method, X, y):
    model = BayesianBasisRegressor()
    arguments = {"predict": (X,), "log_predictive_density": (X, y), "merge": (model,)}
    with pytest.raises(NotFittedError):
        getattr(model, method)(*arguments[method])


# -- law 1: fit = any order and chunks = merged shards --------------------------------------------


def chunks(name, n_rows):
    """Index arrays that together hold every row once."""
    order = np.random.default_rng(3).permutation(n_rows)
    cuts = {"singles": np.arange(1, n_rows), "mixed": [1, 2, 20, 21, 40], "halves": [n_rows // 2]}
    return np.split(order, cuts[name])


@pytest.mark.parametrize(("basis", "option"), representatives(DATA_FREE, OPTIONS))
def test_any_order_and_chunks_are_one_fit(basis, option, X, y):
    model = model_of(option, basis, X)
    whole = clone(model).fit(X, y)
    for way in ("singles", "mixed", "halves"):
        parts = clone(model)
        for rows in chunks(way, len(X)):
            parts.partial_fit(X[rows], y[rows])
        assert_same_model(parts, whole, X)
    lists = clone(model)
    for rows in chunks("mixed", len(X)):
        lists.partial_fit(X[rows].tolist(), y[rows].tolist())
    assert_same_model(lists, whole, X)


@pytest.mark.parametrize(("basis", "option"), representatives(DATA_FREE, OPTIONS))
def test_any_chunks_of_weighted_rows_are_one_weighted_fit(basis, option, X, Y, rng):
    weights = rng.gamma(2.0, size=len(X))
    model = model_of(option, basis, X)
    whole = clone(model).fit(X, Y, weights)
    for way in ("singles", "mixed"):
        parts = clone(model)
        for rows in chunks(way, len(X)):
            parts.partial_fit(X[rows], Y[rows], weights[rows])
        assert_same_model(parts, whole, X)


@pytest.mark.parametrize(("basis", "option"), representatives(DATA_FREE, OPTIONS))
def test_merged_shards_are_one_fit(basis, option, X, Y):
    model = model_of(option, basis, X)
    whole = clone(model).fit(X, Y)
    first, second, third = (
        clone(model).partial_fit(X[rows], Y[rows]) for rows in np.split(np.arange(60), [15, 40])
    )
    second.partial_fit(X[:1], Y[:1])  # waits in the buffer
    whole.partial_fit(X[:1], Y[:1])
    before = second.n_samples_seen_, second.covariance_
    assert_same_model(first.merge(second).merge(third), whole, X)
    assert second.n_samples_seen_ == before[0]
    assert np.array_equal(second.covariance_, before[1])


@pytest.mark.parametrize("basis", [*FOLLOWING, "gaussian"])
def test_partial_fit_keeps_the_basis_of_the_first_call(basis, X, y):
    """Later chunks give the result of a fit with that basis, frozen."""
    parts = BayesianBasisRegressor(BASES[basis])
    for rows in np.split(np.arange(60), [30, 31, 45]):
        parts.partial_fit(X[rows], y[rows])
    frozen = BayesianBasisRegressor(FrozenEstimator(parts.basis_)).fit(X, y)
    assert_same_model(parts, frozen, X, digits=10)
    assert joblib.hash(parts.basis_) == joblib.hash(clone(parts).fit(X[:30], y[:30]).basis_)


@pytest.mark.parametrize(("basis", "option"), CASES)
def test_several_outputs_are_each_output_alone(basis, option, X, Y):
    model = model_of(option, basis, X)
    together = clone(model).fit(X, Y)
    alone = [clone(model).fit(X, column) for column in Y.T]
    digits = 3 if is_ard(model) else 11 if basis in FOLLOWING else 12
    for name in ("coef_", "intercept_", "covariance_"):
        assert_digits(getattr(together, name), [getattr(one, name) for one in alone], digits)
    total = sum(one.log_marginal_likelihood_ for one in alone)
    assert together.log_marginal_likelihood_ == pytest.approx(total, rel=1e-9)
    mean, std = together.predict(X, return_std=True)
    _, cov = together.predict(X[:5], return_cov=True)
    for index, one in enumerate(alone):
        assert_digits(mean[:, index], one.predict(X), digits)
        assert_digits(std[:, index], one.predict(X, return_std=True)[1], digits)
        assert_digits(cov[..., index], one.predict(X[:5], return_cov=True)[1], digits)
    one_column = clone(model).fit(X, Y[:, :1])
    assert one_column.predict(X).shape == (60, 1)
    assert_digits(one_column.predict(X)[:, 0], alone[0].predict(X), digits)


@pytest.mark.parametrize(
    ("basis", "option"), [case for case in CASES if case[0] not in COUNTING_ROWS]
)
def test_a_row_of_weight_k_is_k_rows_and_of_weight_0_none(basis, option, X, y, rng):
    weights = rng.integers(0, 4, size=len(X))
    model = model_of(option, basis, X)
    weighted = clone(model).fit(X, y, sample_weight=weights)
    repeated = clone(model).fit(np.repeat(X, weights, axis=0), np.repeat(y, weights))
    assert_same_model(weighted, repeated, X, 12 if basis in DATA_FREE else 10, seen=False)
    left_out = clone(model).fit(X[weights > 0], y[weights > 0], weights[weights > 0])
    assert_bitwise(weighted, left_out, X)
    assert weighted.n_samples_seen_ == np.count_nonzero(weights)


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("forgetting", [0.9, 0.99])
def test_forgetting_is_a_weight_by_age_and_the_prior_is_not_forgotten(forgetting, option, X, Y):
    model = model_of(option, "gaussian", X)
    weights = forgetting ** np.arange(len(X))[::-1]
    weighted = clone(model).fit(X, Y, weights)
    for cuts in ([], range(1, 60), [1, 2, 20, 59]):
        forgetful = clone(model).set_params(forgetting=forgetting)
        for rows in np.split(np.arange(60), cuts):
            forgetful.partial_fit(X[rows], Y[rows])
        assert_same_model(forgetful, weighted, X, 11)


def test_long_forgotten_rows_leave_the_prior(X, y):
    model = model_of("prior mean", "identity", X, forgetting=0.5)
    model.partial_fit(X, y)
    for _ in range(3):
        model.partial_fit(np.zeros((500, 2)), np.zeros(500))
    assert_digits(model.coef_, model.prior_mean)
    assert_digits(model.covariance_[1:, 1:], np.eye(2) / 2.0)


def test_fit_discards_a_previous_fit(X, Y):
    used = BayesianBasisRegressor().fit(X[:, :1], 5 - Y)
    used.partial_fit(X[:3, :1], Y[:3])
    assert_bitwise(used.fit(X, Y[:, 0]), BayesianBasisRegressor().fit(X, Y[:, 0]), X)


@pytest.mark.parametrize(
    "other",
    [
        BayesianBasisRegressor(GaussianBasis(8, domain=(0, 1))),
        BayesianBasisRegressor(GaussianBasis(9, domain=(0, 2))),
        BayesianBasisRegressor(GaussianBasis(9, domain=(0, 1)), fit_intercept=False),
        BayesianBasisRegressor("identity"),
    ],
    ids=["number", "domain", "intercept", "kind"],
)
def test_models_of_different_bases_do_not_merge(other, X, y):
    model = BayesianBasisRegressor(GaussianBasis(9, domain=(0, 1))).fit(X, y)
    before = model.covariance_
    with pytest.raises(ValueError, match="other"):
        model.merge(other.fit(X, y))
    with pytest.raises(ValueError, match="other"):
        model.merge(clone(model).fit(X, y[:, None]))
    assert np.array_equal(model.covariance_, before)


def test_changed_parameters_apply_from_the_next_call(X, y):
    model = model_of("numbers", "gaussian", X).fit(X[:50], y[:50])
    model.set_params(prior_precision=7.0, noise_precision="gamma")
    model.partial_fit(X[50:], y[50:])
    assert_same_model(model, clone(model).fit(X, y), X)


# -- law 2: evidence ------------------------------------------------------------------------------


def log_density_of_y(model, X, y):
    """By scipy: y is normal, or Student-t, with covariance Phi Phi' / a + I / b."""
    Phi, (precision, mean) = design_matrix(model, X), prior_of(model)
    flat = precision == 0
    residual = y - Phi[:, ~flat] @ mean[~flat]
    spread = (Phi[:, ~flat] / precision[~flat]) @ Phi[:, ~flat].T
    gamma = model.noise_precision == "gamma"
    cov = np.eye(len(y)) + spread if gamma else np.eye(len(y)) / model.noise_precision_ + spread
    jacobian = 0.0
    if flat.any():  # restricted likelihood: the density of contrasts that the intercept leaves
        contrasts = stats.ortho_group(len(y), seed=0).rvs()
        contrasts[0] = 1
        contrasts = np.linalg.qr(contrasts.T)[0][:, 1:].T
        residual, cov = contrasts @ residual, contrasts @ cov @ contrasts.T
        jacobian = -0.5 * np.log(len(y))
    if gamma:
        ratio = model.noise_rate / model.noise_shape
        marginal = stats.multivariate_t(shape=ratio * cov, df=2 * model.noise_shape)
    else:
        marginal = stats.multivariate_normal(cov=cov)
    return marginal.logpdf(residual) + jacobian


def has_proper_noise(option):
    params = OPTIONS[option]
    return params.get("noise_precision") != "gamma" or "noise_shape" in params


@pytest.mark.parametrize(("basis", "option"), [case for case in CASES if has_proper_noise(case[1])])
def test_the_evidence_is_scipys_density_of_all_targets(basis, option, X, y):
    model = model_of(option, basis, X).fit(X[:25], y[:25])
    expected = log_density_of_y(model, X[:25], y[:25])
    assert model.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_flat_intercept_is_integrated_out(X, y):
    X, y = X[:8], y[:8]
    model = model_of("flat intercept", "gaussian", X).fit(X, y)
    Phi = design_matrix(model, X)[:, 1:]
    marginal = stats.multivariate_normal(cov=Phi @ Phi.T / 2.0 + np.eye(8) / 25.0)
    mass, _ = integrate.quad(lambda w: np.exp(marginal.logpdf(y - w)), -10, 10, epsabs=0, limit=200)
    assert model.log_marginal_likelihood_ == pytest.approx(np.log(mass), rel=1e-9)


@pytest.mark.parametrize("intercept_precision", [None, 0.0])
def test_jeffreys_noise_is_integrated_out(intercept_precision, X, y):
    X, y = X[:8], y[:8]
    model = model_of("jeffreys", "gaussian", X, intercept_precision=intercept_precision).fit(X, y)

    def given(log_noise):
        noise = np.exp(log_noise)
        conjugate = clone(model).set_params(prior_precision=2.0 * noise, noise_precision=noise)
        return np.exp(conjugate.fit(X, y).log_marginal_likelihood_)

    mass, _ = integrate.quad(given, -15, 15, epsabs=0, limit=200)
    assert model.log_marginal_likelihood_ == pytest.approx(np.log(mass), rel=1e-8)


@pytest.mark.parametrize(("basis", "option"), CASES)
def test_the_evidence_at_the_fitted_precisions_is_the_attribute(basis, option, X, Y):
    model = model_of(option, basis, X).fit(X, Y)
    expected = pytest.approx(model.log_marginal_likelihood_, rel=1e-12)
    assert model.log_marginal_likelihood() == expected


@pytest.mark.parametrize("option", ["numbers", "learnt", "prior mean", "flat intercept", "ard"])
def test_the_evidence_elsewhere_is_that_of_a_fit_there(option, X, y):
    model = model_of(option, "gaussian", X).fit(X, y)
    own = 0.0 if prior_of(model)[0][0] == 0 else model.intercept_precision
    for prior, noise in ((0.3, 4.0), (np.geomspace(0.1, 5, 9), 30.0)):
        there = clone(model).set_params(
            prior_precision=prior, noise_precision=noise,
            intercept_precision=own if own is not None or np.ndim(prior) == 0 else 2.0,
        )  # fmt: skip
        if own is None and np.ndim(prior):
            continue  # the intercept shared a prior that is now one per weight
        expected = there.fit(X, y).log_marginal_likelihood_
        assert model.log_marginal_likelihood(prior, noise) == pytest.approx(expected, rel=1e-12)


LEARNT = [option for option in OPTIONS if "learnt" in option or "ard" in option]


@pytest.mark.parametrize(("basis", "option"), [case for case in CASES if case[1] in LEARNT])
def test_no_other_precisions_have_more_evidence(basis, option, X, y, rng):
    model = model_of(option, basis, X).fit(X, y)
    best, gamma = model.log_marginal_likelihood_, model.noise_precision == "gamma"
    for step in (1e-3, 0.1, 1.0):
        for _ in range(5):
            size = np.shape(model.prior_precision_)
            if np.size(model.prior_precision_) > 1 and np.ptp(model.prior_precision_) == 0:
                size = ()  # "ard" found no reason for different ones
            prior = model.prior_precision_ * np.exp(step * rng.normal(size=size))
            noise = model.noise_precision_ * np.exp(step * rng.normal())
            known = None if gamma or model.noise_precision == 25.0 else noise
            if option == "learnt noise":
                prior = None
            assert model.log_marginal_likelihood(prior, known) <= best + 1e-9 * abs(best)


@pytest.mark.parametrize("basis", BASES)
def test_scipys_search_over_the_evidence_finds_no_better_precisions(basis, X, y):
    model = BayesianBasisRegressor(BASES[basis]).fit(X, y)
    best = -np.inf
    for start in ([0.0, 0.0], [3.0, 3.0], [-3.0, 3.0]):
        found = optimize.minimize(
            lambda u: -model.log_marginal_likelihood(*np.exp(np.clip(u, -30, 30))),
            start, method="Nelder-Mead", options={"xatol": 1e-6, "fatol": 1e-10},
        )  # fmt: skip
        best = max(best, -found.fun)
    assert model.log_marginal_likelihood_ == pytest.approx(best, abs=1e-7)


def peer_data(name):
    """Standardized features with few or many rows, informative or not."""
    rng = np.random.default_rng(5)
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
        return StandardScaler().fit_transform(X), y
    n_rows, n_features = {"small": (12, 4), "wide": (15, 30), "tall": (300, 8)}[name]
    X = rng.normal(size=(n_rows, n_features))
    y = 3 + X[:, :3] @ [1.0, -2.0, 0.5] + rng.normal(size=n_rows)
    return StandardScaler().fit_transform(X), y


# With more weights than rows, "ard" has many maxima, and either library may find the better one.
@pytest.mark.parametrize(
    ("rule", "data"),
    [("evidence", data) for data in ("small", "wide", "tall", "diabetes")]
    + [("ard", data) for data in ("small", "tall", "diabetes")],
)
def test_scikit_learns_precisions_have_no_more_evidence(rule, data):
    X, y = peer_data(data)
    peer = {
        "evidence": BayesianRidge(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0, tol=1e-10,
                                  max_iter=3000),
        "ard": ARDRegression(alpha_1=0, alpha_2=0, lambda_1=0, lambda_2=0),
    }[rule].fit(X, y)  # fmt: skip
    model = BayesianBasisRegressor("identity", prior_precision=rule).fit(X, y)
    theirs = model.log_marginal_likelihood(np.minimum(peer.lambda_, 1e90), peer.alpha_)
    assert model.log_marginal_likelihood_ >= theirs - 1e-8 * abs(theirs)


@pytest.mark.parametrize(("basis", "option"), representatives(DATA_FREE, PROPER))
def test_the_evidence_is_the_sum_of_densities_of_each_row_given_those_before(basis, option, X, y):
    model = model_of(option, basis, X)
    total = clone(model).fit(X[:1], y[:1]).log_marginal_likelihood_
    assert total == pytest.approx(
        log_density_of_y(clone(model).fit(X[:1], y[:1]), X[:1], y[:1]), rel=1e-12
    )
    for row in range(60):
        if row:
            total += model.log_predictive_density(X[[row]], y[[row]]).item()
        model.partial_fit(X[[row]], y[[row]])
    assert model.log_marginal_likelihood_ == pytest.approx(total, rel=1e-12)


# -- law 3: draws and the predictive distribution -------------------------------------------------


def assert_moments(draws, mean, cov):
    """Mean and covariance of draws (n_rows, n_draws), within 6 standard errors."""
    n_draws, std = draws.shape[-1], np.sqrt(np.diag(cov))
    assert np.all(np.abs(draws.mean(axis=-1) - mean) <= 6 * std / np.sqrt(n_draws))
    deviation = (draws - mean[:, None]) / std[:, None]
    products = deviation[:, None] * deviation
    error = products.std(axis=-1) / np.sqrt(n_draws)
    correlation = cov / np.outer(std, std)
    assert np.all(np.abs(products.mean(axis=-1) - correlation) <= 6 * error)


@pytest.mark.parametrize(
    ("basis", "option"), [case for case in CASES if case[0] in ("gaussian", "sparse spline")]
)
def test_draws_have_the_moments_of_the_prediction(basis, option, X, Y):
    model = model_of(option, basis, X).fit(X, Y)
    x, n_draws = np.vstack([X[:3], X[:1]]), 20_000
    mean, cov = model.predict(x, return_cov=True)
    Phi = design_matrix(model, x)
    with_noise = model.sample_y(x, n_draws, random_state=0)
    without = model.sample_y(x, n_draws, observation_noise=False, random_state=1)
    assert with_noise.shape == without.shape == (4, 3, n_draws)
    for index in range(3):
        assert_moments(with_noise[:, index], mean[:, index], cov[..., index])
        smooth = Phi @ model.covariance_[index] @ Phi.T
        assert_moments(without[:, index], mean[:, index], smooth)
    np.testing.assert_allclose(without[0], without[3], rtol=1e-9)
    assert not np.any(with_noise[0] == with_noise[3])
    one = clone(model).fit(X, Y[:, 0]).sample_y(x, 7, random_state=0)
    assert one.shape == (4, 7)


@pytest.mark.parametrize(("basis", "option"), CASES)
def test_std_is_the_root_of_the_covariances_diagonal(basis, option, X, y):
    model = model_of(option, basis, X).fit(X[:30], y[:30])
    mean, std = model.predict(X, return_std=True)
    mean_again, cov = model.predict(X, return_cov=True)
    assert_digits(std, np.sqrt(np.diag(cov)))
    assert_digits(mean_again, mean)
    assert np.array_equal(model.predict(X), mean)
    assert np.array_equal(cov, cov.T)
    Phi = design_matrix(model, X)
    spread = Phi @ model.covariance_ @ Phi.T
    noise = np.diag(cov - spread)
    assert_digits(cov, spread + np.diag(noise), 11)
    assert np.all(noise > 0)
    assert_digits(mean, Phi @ np.r_[[model.intercept_] * model.fit_intercept, model.coef_], 11)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_predictive_density_is_normal_or_student_t(option, X, Y):
    model = model_of(option, "gaussian", X).fit(X[:30], Y[:30])
    mean, std = model.predict(X, return_std=True)
    df = model.degrees_of_freedom_
    if not isinstance(model.prior_precision, str) and model.noise_precision != "evidence":
        gamma = model.noise_precision == "gamma"
        np.testing.assert_allclose(df, 2 * model.noise_shape + 30 if gamma else np.inf)
    expected = stats.t(df, mean, std * np.sqrt(1 - 2 / df)).logpdf(Y)
    assert_digits(model.log_predictive_density(X, Y), expected.sum(axis=1))


def test_student_t_draws_have_their_tails(X, y):
    model = model_of("gamma", "gaussian", X, noise_shape=0.5).fit(X[:3], y[:3])
    mean, std = model.predict(X[:1], return_std=True)
    df = 2 * 0.5 + 3
    scale = std * np.sqrt((df - 2) / df)
    draws = model.sample_y(X[:1], 20_000, random_state=0)[0]
    assert stats.kstest((draws - mean) / scale, stats.t(df).cdf).pvalue > 1e-3
    assert stats.kstest((draws - mean) / scale, stats.norm.cdf).pvalue < 1e-6


@pytest.mark.parametrize("fitted", [True, False])
def test_random_states(fitted, X, y):
    model = model_of("numbers", "gaussian", X)
    if fitted:
        model.fit(X, y)

    def draw(random_state):
        return model.sample_y(X, 2, random_state=random_state)

    assert_draws_repeat(draw)
    for wrong, error in ((-1, ValueError), (0.5, TypeError), ("seed", TypeError)):
        with pytest.raises(error, match="random_state"):
            draw(wrong)


# -- NIST's reference data ------------------------------------------------------------------------

NIST = json.loads((Path(__file__).parents[1] / "data" / "nist_strd.json").read_text())
NIST_DIGITS = {
    "Longley": 11, "Filip": 7, "Norris": 12, "NoInt1": 14,
    "Wampler1": 9, "Wampler2": 9, "Wampler3": 9,
}  # fmt: skip


def nist_fit(name, way):
    """Regressor, certified parameters and certified standard errors."""
    certified, table = NIST[name], np.array(NIST[name]["data"])
    y, X = table[:, 0], table[:, 1:]
    degree = 1 if name == "Longley" else len(certified["params"]) - ("B0" in certified["params"])
    basis = PolynomialFeatures(degree, include_bias=False) if degree > 1 else "identity"
    model = BayesianBasisRegressor(
        basis, prior_precision=0, fit_intercept="B0" in certified["params"]
    )
    if way == "fit":
        model.fit(X, y)
    for row in range(len(X) if way != "fit" else 0):
        model.partial_fit(X[[row]], y[[row]])
        if way == "read after every row" and row >= len(certified["params"]):
            _ = model.coef_
    return model, np.array([*certified["params"].values()]), np.array([*certified["sd"].values()])


def correct_digits(found, certified):
    with np.errstate(divide="ignore"):
        return -np.log10(np.abs(found - certified) / np.abs(certified)).min()


@pytest.mark.parametrize("way", ["fit", "row by row"])
@pytest.mark.parametrize("name", NIST_DIGITS)
def test_certified_coefficients(name, way):
    model, params, sd = nist_fit(name, way)
    found = np.r_[[model.intercept_] * model.fit_intercept, model.coef_]
    assert correct_digits(found, params) >= NIST_DIGITS[name]
    if np.any(sd):
        assert correct_digits(np.sqrt(np.diag(model.covariance_)), sd) >= 6


# -- law 7: reproducible, portable ----------------------------------------------------------------


@pytest.mark.parametrize(("basis", "option"), CASES)
def test_a_fit_is_reproducible_to_the_bit(basis, option, X, Y):
    model = model_of(option, basis, X)
    first = clone(model).fit(X, Y)
    second = clone(first).fit(X, Y)
    assert_bitwise(first, second, X)
    assert_bitwise(first, second.fit(X, Y), X)


ROUND_TRIPS = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": lambda model: (
        joblib.dump(model, file := BytesIO()),
        file.seek(0),
        joblib.load(file),
    )[2],
    "deepcopy": copy.deepcopy,
}


@pytest.mark.parametrize(("basis", "waiting", "trip"), representatives(BASES, [0, 7], ROUND_TRIPS))
def test_round_trips_are_exact(basis, waiting, trip, X, Y):
    model = BayesianBasisRegressor(BASES[basis]).fit(X, Y)
    for row in range(waiting):
        model.partial_fit(X[[row]], Y[[row]])
    arrived = ROUND_TRIPS[trip](model)
    assert_bitwise(arrived, model, X)
    assert arrived.n_samples_seen_ == model.n_samples_seen_ == 60 + waiting
    for one in (model, arrived):
        one.partial_fit(X[:5], Y[:5])
    assert_bitwise(arrived, model, X)


def test_copy_and_original_are_independent(X, y):
    model = model_of("numbers", "gaussian", X).fit(X[:50], y[:50])
    model.partial_fit(X[50:51], y[50:51])
    twin = copy.deepcopy(model)
    twin.partial_fit(X[51:], y[51:])
    assert_same_model(model, clone(model).fit(X[:51], y[:51]), X)
    assert_same_model(twin, clone(model).fit(X, y), X)


def test_a_grid_search_scores_alike_in_processes_and_threads(X, y):
    def scores(n_jobs, backend):
        search = GridSearchCV(
            BayesianBasisRegressor(),
            {"basis": ["gaussian", FourierBasis(20, random_state=0), SplineTransformer()]},
            scoring=mean_log_predictive_density, cv=3, n_jobs=n_jobs,
        )  # fmt: skip
        with joblib.parallel_config(backend, n_jobs=n_jobs):
            return search.fit(X, y).cv_results_["mean_test_score"]

    alone = scores(1, "loky")
    assert np.all(np.isfinite(alone))
    for backend in ("loky", "threading"):
        np.testing.assert_allclose(scores(2, backend), alone, rtol=1e-12)


@pytest.mark.parametrize("option", ["numbers", "learnt", "gamma"])
@pytest.mark.parametrize("basis", ["gaussian", "gaussian following", "sparse spline"])
def test_one_and_two_blas_threads_give_the_same(basis, option, rng):
    X = rng.uniform(size=(1500, 2))
    y = np.sin(6 * X[:, 0]) + 0.2 * rng.normal(size=1500)
    model = model_of(option, basis, X)
    models = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            models.append(clone(model).fit(X, y))
            models[-1].predictions = models[-1].predict(X, return_std=True)
    for one, two in zip(models[0].predictions, models[1].predictions, strict=True):
        assert_digits(two, one)
    assert_digits(models[1].log_marginal_likelihood_, models[0].log_marginal_likelihood_)


# -- law 10: units and origins --------------------------------------------------------------------

MAPS = [(1e-6, 0.0), (1e6, 0.0), (1.0, 1e6), (1e6, 1e6)]


@cache
def raw_data(n_features):
    """Rows, of which 80 are to be fitted, and predictions for all of them."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(120, n_features))
    y = np.sin(2 * X[:, 0]) + 0.3 * X[:, -1] + 0.2 * rng.normal(size=120)
    return X, y, BayesianBasisRegressor().fit(X[:80], y[:80]).predict(X, return_std=True)


@pytest.mark.parametrize(
    ("n_features", "scale", "shift", "which"), representatives([1, 3], MAPS, ["X", "y", "both"])
)
def test_units_and_origins_do_not_matter(n_features, scale, shift, which):
    X, y, expected = raw_data(n_features)
    mapped_X = X * scale + shift if which != "y" else X
    y_scale, y_shift = (scale, shift) if which != "X" else (1.0, 0.0)
    model = BayesianBasisRegressor().fit(mapped_X[:80], y[:80] * y_scale + y_shift)
    mean, std = model.predict(mapped_X, return_std=True)
    np.testing.assert_allclose((mean - y_shift) / y_scale, expected[0], rtol=0, atol=1e-6 * y.std())
    # Of one feature the kernel matrix of the rows is nearly singular, which costs digits.
    np.testing.assert_allclose(std / y_scale, expected[1], rtol=1e-6 if n_features > 1 else 1e-5)


# -- solvers --------------------------------------------------------------------------------------


@cache
def large_case(kind):
    """Predictions by each solver from 30000 rows and 100 basis functions."""
    rng = np.random.default_rng(9)
    X = rng.uniform(size=(30_000, 3 if kind == "good" else 1))
    y = np.sin(6 * X[:, 0]) + X[:, -1] + 0.1 * rng.normal(size=len(X))
    basis = GaussianBasis(100) if kind == "good" else GaussianBasis(100, domain=(0, 1))
    return {
        solver: BayesianBasisRegressor(basis, solver=solver).fit(X, y)
        .predict(X[:2000], return_std=True)
        for solver in ("qr", "auto", "cholesky")
    }  # fmt: skip


@pytest.mark.parametrize("solver", ["auto", "cholesky"])
def test_every_solver_predicts_the_same_where_the_condition_is_good(solver):
    for found, expected in zip(large_case("good")[solver], large_case("good")["qr"], strict=True):
        assert_digits(found, expected, 9)


def test_auto_takes_qr_where_the_condition_is_bad():
    case = large_case("bad")
    for found, expected in zip(case["auto"], case["qr"], strict=True):
        assert_digits(found, expected)


# -- frames ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", BASES)
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_frames_are_their_numbers_and_names(frame, basis, X, y):
    table, target = frame({"a": X[:, 0], "b": X[:, 1]}), frame({"y": y})["y"]
    expected = BayesianBasisRegressor(BASES[basis]).fit(X[:40], y[:40]).partial_fit(X[40:], y[40:])
    model = BayesianBasisRegressor(BASES[basis])
    model.fit(table[:40], target[:40]).partial_fit(table[40:], target[40:])
    assert model.feature_names_in_.tolist() == ["a", "b"]
    for found, wanted in zip(
        model.predict(table, return_std=True), expected.predict(X, return_std=True), strict=True
    ):
        assert_digits(found, wanted, 13)
    swapped = frame({"b": X[:, 1], "a": X[:, 0]})
    for call in (
        lambda: model.predict(swapped),
        lambda: model.partial_fit(swapped, target),
        lambda: model.sample_y(swapped),
        lambda: model.log_predictive_density(swapped, target),
    ):
        with pytest.raises(ValueError, match="feature names"):
            call()


# -- memory ---------------------------------------------------------------------------------------

MEMORY = """
import sys
import numpy as np
from skgen import BayesianBasisRegressor, GaussianBasis

def peak_and_now():
    status = dict(line.split(":") for line in open("/proc/self/status") if line.startswith("Vm"))
    return [int(status[name].split()[0]) / 1024 for name in ("VmHWM", "VmRSS")]

def growth(call):
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    before = peak_and_now()[1]
    call()
    return peak_and_now()[0] - before

rng = np.random.default_rng(0)
X = rng.normal(size=(1_000_000, 10))
y = X[:, 0] + rng.normal(size=len(X))
model = BayesianBasisRegressor(GaussianBasis(300), prior_precision=1.0, noise_precision=25.0)
model.fit(X[:5000], y[:5000]).predict(X[:5000], return_std=True)
print(growth(lambda: model.fit(X, y)), growth(lambda: model.predict(X, return_std=True)))
"""


@pytest.mark.slow
def test_fit_and_predict_stay_within_64_megabytes_above_the_input():
    done = subprocess.run(
        [sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True
    )
    fit, predict = map(float, done.stdout.split())
    assert fit < 64
    assert predict < 64


# -- messages -------------------------------------------------------------------------------------


@pytest.mark.parametrize("y", [[10**400] * 5, np.full(5, 1e300), list("abcde"), None], ids=str)
def test_a_score_of_targets_that_no_fit_would_take_is_refused(y):
    X = np.arange(5.0)[:, None]
    model = BayesianBasisRegressor("identity").fit(X, X[:, 0])
    with pytest.raises(ValueError, match="`y` must"):
        model.score(X, y)


def test_classes_are_not_to_be_encoded():
    frame = pd.DataFrame({"size": np.arange(5.0), "kind": list("ababa")})
    model = BayesianBasisRegressor("identity")
    with pytest.raises(ValueError, match=r"`y` must hold numbers; got text.* use a classifier\."):
        model.fit(frame[["size"]], frame["kind"])
    with pytest.raises(ValueError, match=r"`X` .* text in .* dtype object; .* column 'kind'\."):
        model.fit(frame.astype({"kind": object}), frame["size"])


def test_a_basis_that_selects_columns_gives_their_indices():
    """A sparse result is as good as a dense one; names are there in a pipeline."""
    frame = pd.DataFrame({"a": np.linspace(0, 1, 30), "b": np.linspace(2, 5, 30) ** 2})
    y = np.sin(3 * frame["a"].to_numpy())
    bins = KBinsDiscretizer(4, strategy="uniform")
    by_name, by_index = (
        ColumnTransformer([("bins", bins, columns)], remainder="passthrough", sparse_threshold=1.0)
        for columns in (["a"], [0])
    )
    sparse = BayesianBasisRegressor(by_index).fit(frame, y)
    dense = BayesianBasisRegressor(clone(by_index).set_params(sparse_threshold=0.0)).fit(frame, y)
    assert np.array_equal(sparse.predict(frame), dense.predict(frame))
    with pytest.raises(
        ValueError, match=r"(?s)`basis` must name columns by index.* in a pipeline\."
    ):
        BayesianBasisRegressor(by_name).fit(frame, y)
    by_name.set_params(sparse_threshold=0.0)
    pipeline = make_pipeline(by_name, BayesianBasisRegressor("identity")).fit(frame, y)
    np.testing.assert_allclose(pipeline.predict(frame), dense.predict(frame))
