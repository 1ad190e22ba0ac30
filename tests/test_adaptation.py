"""Learnt basis parameters: slopes by differences of the evidence, optima by other searches.

The second way to the evidence is the public one: a basis of given parameters, frozen, in a
regressor whose precisions are given as numbers.
"""

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import joblib
import numpy as np
import pytest
from bad_calls import snapshot
from conftest import assert_digits
from scipy import stats
from scipy.spatial.distance import cdist
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, DotProduct, Matern, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._adaptation import SEARCH_ROWS, distinct
from skgen._design import Design, Rows
from skgen._objective import ByColumns, ByKernel, objective_of
from skgen._spreads import left_out, n_determined, tail
from skgen.bases import exact_kernel, is_learnable, resolve_basis, understudy

N_COLUMNS = 8
FOURIER = {
    f"{kernel}, {sampling}{', ranks' * ranks}": FourierBasis(
        N_COLUMNS, kernel=kernel, ranks=ranks, sampling=sampling, random_state=0
    )
    for kernel in ("rbf", "matern32", "matern52")
    for sampling in ("halton", "random")
    for ranks in (False, True)
}
GAUSSIAN = {
    "gaussian": GaussianBasis(N_COLUMNS, width="evidence"),
    "gaussian with linear": GaussianBasis(N_COLUMNS, width="evidence", linear=True),
    "gaussian without linear": GaussianBasis(N_COLUMNS, width="evidence", linear=False),
    "gaussian, even": GaussianBasis(N_COLUMNS, width="evidence", centers="even", overlap=1.5),
    "gaussian, domain": GaussianBasis(N_COLUMNS, width="evidence", domain=(-2, 3), linear=True),
}
LINEAR = {
    f"fourier, linear{', ranks' * ranks}": FourierBasis(
        N_COLUMNS, ranks=ranks, linear=True, random_state=0
    )
    for ranks in (False, True)
}
LEARNABLE = FOURIER | LINEAR | GAUSSIAN


def table(rng, n_rows, n_features):
    """Features of several spreads, with some equal values."""
    return np.round(rng.normal(size=(n_rows, n_features)) * [1.0, 3.0, 0.5][:n_features], 1)


def moved(basis, X, rng):
    """The basis fitted, at parameters of no special kind."""
    basis = clone(basis).fit(X)
    basis.theta_ = basis.theta_ + rng.normal(scale=0.3, size=basis.theta_.shape)
    return basis


def with_theta(basis, theta):
    basis = copy.deepcopy(basis)
    basis.theta_ = theta
    return basis


def slopes(function, x, step=1e-3):
    """Central differences of fourth order, one for each element of x."""
    return np.array(
        [
            (8 * (function(x + d) - function(x - d)) - function(x + 2 * d) + function(x - 2 * d))
            / (12 * step)
            for d in step * np.eye(len(x))
        ]
    )


# -- a basis' own gradient ------------------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("name", LEARNABLE)
def test_pull_back_is_the_slope_of_the_basis_functions(name, n_features, rng):
    basis = moved(LEARNABLE[name], X := table(rng, 40, n_features), rng)
    Phi = basis.transform(X)
    share = rng.normal(size=Phi.shape)
    pulled = basis.pull_back(X, Phi, share)
    expected = slopes(lambda t: (share * with_theta(basis, t).transform(X)).sum(), basis.theta_)
    assert_digits(pulled, expected, 9)


@pytest.mark.parametrize("name", LEARNABLE)
def test_pull_back_leaves_all_as_it_is(name, rng):
    basis = moved(LEARNABLE[name], X := table(rng, 40, 2), rng)
    Phi = basis.transform(X)
    given = (basis, X, Phi, rng.normal(size=Phi.shape))
    before = snapshot(given)
    basis.pull_back(*given[1:])
    assert snapshot(given) == before


@pytest.mark.parametrize("name", LEARNABLE)
def test_a_basis_follows_its_theta_and_back(name, rng):
    basis = clone(LEARNABLE[name]).fit(X := table(rng, 40, 2))
    theta = rng.normal(size=basis.theta_.shape)
    other = with_theta(basis, theta)
    np.testing.assert_allclose(other.theta_, theta, rtol=0, atol=1e-14)
    assert not np.allclose(other.transform(X), basis.transform(X))
    back = with_theta(other, basis.theta_).transform(X)
    np.testing.assert_allclose(back, basis.transform(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LEARNABLE)
def test_theta_relevances_and_lengths_say_the_same(name, rng):
    basis = moved(LEARNABLE[name], table(rng, 40, 2), rng)
    length = basis.width_ if isinstance(basis, GaussianBasis) else basis.length_scale_
    np.testing.assert_allclose(length, basis.scale_ * np.exp(basis.theta_[:2]), rtol=1e-13)
    if name in LINEAR:
        assert basis.slope_ == pytest.approx(np.exp(basis.theta_[-1]), rel=1e-14)
    lengths = basis.theta_[:-1] if name in LINEAR else basis.theta_
    squares = np.exp(-2 * lengths).reshape(-1, 2).sum(axis=0)
    np.testing.assert_allclose(basis.relevance_, np.sqrt(squares), rtol=1e-12)


FIXED = [
    FourierBasis(N_COLUMNS, length_scale=None, ranks=True),
    FourierBasis(N_COLUMNS, length_scale=2.0),
    GaussianBasis(N_COLUMNS),
    GaussianBasis(N_COLUMNS, width=[0.5, 2.0]),
    FrozenEstimator(GaussianBasis(N_COLUMNS, width="evidence").fit(np.eye(2))),
    make_pipeline(StandardScaler(), GaussianBasis(N_COLUMNS)),
    make_pipeline(FourierBasis(N_COLUMNS), StandardScaler()),
]


@pytest.mark.parametrize("basis", FIXED, ids=str)
def test_fixed_lengths_are_not_learnable(basis, rng):
    assert not is_learnable(clone(basis).fit(table(rng, 20, 2), None))


@pytest.mark.parametrize("name", LEARNABLE)
def test_lengths_of_the_evidence_are_learnable(name, rng):
    X = table(rng, 20, 2)
    for basis in (clone(LEARNABLE[name]), make_pipeline(StandardScaler(), clone(LEARNABLE[name]))):
        assert is_learnable(basis.fit(X))


def test_an_understudy_has_other_frequencies_that_are_the_same_at_every_fit(rng):
    X = table(rng, 20, 2)
    first, second = (FourierBasis(N_COLUMNS, random_state=0).fit(X) for _ in range(2))
    trial = understudy(first)
    assert not np.allclose(trial.frequencies_, first.frequencies_)
    assert np.array_equal(trial.frequencies_, understudy(second).frequencies_)
    assert np.array_equal(first.frequencies_, second.frequencies_)


# -- the gradient of the evidence -----------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Parameters of a regressor, and the numbers that fix its precisions at a ratio of them."""

    given: dict[str, Any]
    known: Callable[[float], dict[str, Any]] | None = None  # None: they are numbers already


def jeffreys(ratio):
    """Noise integrated out under Jeffreys' prior: the best noise's evidence plus a constant."""
    return {"prior_precision": ratio, "noise_precision": "gamma", "intercept_precision": 0.0}


def proper(ratio):
    return {"prior_precision": ratio, "intercept_precision": 0.0}


def of_noise(ratio):
    return {"prior_precision": 4.0 * ratio, "intercept_precision": 0.0}


def variance(ratio):
    """If the prior is a number, the ratio is the variance of the noise."""
    return {"noise_precision": 1 / ratio}


class Exact(TransformerMixin, BaseEstimator):
    """As many basis functions as rows, whose products are the kernel that waves stand for.

    They are scikit-learn's kernel between a row and those of the fit, times the inverse root of
    that among the latter.
    """

    def __init__(self, waves):
        self.waves = waves

    def fit(self, X, y=None):
        self.waves.fit(X)
        self.inputs_ = self.waves._inputs(X)
        return self

    @property
    def theta_(self):
        return self.waves.theta_

    @theta_.setter
    def theta_(self, theta):
        self.waves.theta_ = theta

    def transform(self, X):
        lengths = np.exp(self.theta_[: self.inputs_.shape[1]])
        known, new = self.inputs_ / lengths, self.waves._inputs(X) / lengths
        kernel = KERNELS[self.waves.kernel]
        if self.waves.linear:
            kernel += ConstantKernel(np.exp(2 * self.theta_[-1])) * DotProduct(0)
        values, vectors = np.linalg.eigh(kernel(known))
        inverse = np.where(values > 1e-12, 1 / np.sqrt(np.maximum(values, 1e-12)), 0)
        return kernel(new, known) @ (vectors * inverse)


KERNELS = {"rbf": RBF(), "matern32": Matern(nu=1.5), "matern52": Matern(nu=2.5)}
GAMMA = {"noise_precision": "gamma", "noise_shape": 2.0, "noise_rate": 0.3}
EACH = {"prior_precision": np.linspace(0.5, 3, N_COLUMNS)}
RULES = {
    "learnt": Rule({}, jeffreys),
    "learnt without intercept": Rule({"fit_intercept": False}, jeffreys),
    "learnt around a mean": Rule({"prior_mean": np.linspace(-1, 1, N_COLUMNS)}, jeffreys),
    "ard": Rule({"prior_precision": "ard"}, jeffreys),
    "noise given": Rule({"noise_precision": 4.0}, of_noise),
    "gamma": Rule(GAMMA, proper),
    "prior given": Rule({"prior_precision": 2.0}, variance),
    "prior given, flat intercept": Rule(
        {"prior_precision": 2.0, "intercept_precision": 0.0}, variance
    ),
    "prior of each given, and a mean": Rule({**EACH, "prior_mean": 0.3}, variance),
    "prior of each given, no intercept": Rule({**EACH, "fit_intercept": False}, variance),
    "both given": Rule(
        {"prior_precision": 2.0, "noise_precision": 9.0, "intercept_precision": 0.1}
    ),
    "conjugate": Rule({"prior_precision": 2.0, "prior_mean": -0.5, **GAMMA}),
}


@dataclass
class Problem:
    """A basis, a rule and data, and the log evidence of them by two ways.

    A position is theta followed by the log ratio of precisions, where that is free.
    """

    basis: Any
    rule: Rule
    X: np.ndarray
    Y: np.ndarray
    weights: np.ndarray | None

    @classmethod
    def of(cls, basis, rule, rng, n_rows, n_features=3, n_outputs=1, weighted=False):
        X = table(rng, n_rows, n_features)
        waves = np.sin(X[:, :1] + np.arange(n_outputs)) + X[:, -1:]
        Y = waves + 0.3 * rng.normal(size=(n_rows, n_outputs))
        weights = rng.uniform(0.5, 3.0, size=n_rows) if weighted else None
        return cls(moved(basis, X, rng), rule, X, Y, weights)

    def positions(self, rng, count):
        n_free = len(self.basis.theta_) + (self.rule.known is not None)
        start = np.append(self.basis.theta_, -1.5)[:n_free]
        return start + rng.normal(scale=0.3, size=(count, n_free))

    def climbed(self, position):
        """Value and gradient by the search."""
        n_theta = len(self.basis.theta_)
        model = BayesianBasisRegressor(self.basis, **self.rule.given)
        design = Design.of(copy.deepcopy(self.basis), self.X, model.fit_intercept)
        rows, prior = Rows(self.X, self.Y, self.weights), model._prior(design)
        if isinstance(self.basis, Exact):
            kernel = exact_kernel(self.basis.waves, self.X)
            function = ByKernel(kernel, design, rows, prior)
        else:
            function = ByColumns(copy.deepcopy(self.basis), design, rows, prior)
        value, slope = function.evaluate(position[:n_theta], np.append(position, 0.0)[n_theta])
        return value, slope[: len(position)]

    def log_evidence(self, position):
        """The value by the public way, in nats."""
        n_theta = len(self.basis.theta_)
        known = self.rule.known(np.exp(position[-1])) if self.rule.known is not None else {}
        frozen = FrozenEstimator(with_theta(self.basis, position[:n_theta]))
        model = BayesianBasisRegressor(frozen, **{**self.rule.given, **known})
        return model.fit(self.X, self.Y, self.weights).log_marginal_likelihood_

    def check(self, rng):
        positions = self.positions(rng, 3)
        values = [self.climbed(position)[0] for position in positions]
        expected = [self.log_evidence(position) for position in positions]
        assert_digits(np.diff(values), np.diff(expected), 8)
        position = positions[0]
        assert_digits(self.climbed(position)[1], slopes(self.log_evidence, position), 6)


FEW, MANY = 6, 40


@pytest.mark.parametrize("n_rows", [FEW, MANY])
@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("name", LEARNABLE)
def test_the_evidence_of_each_basis_and_its_slope(name, n_features, n_rows, rng):
    Problem.of(LEARNABLE[name], RULES["learnt"], rng, n_rows, n_features).check(rng)


@pytest.mark.parametrize(("n_outputs", "weighted"), [(1, False), (1, True), (2, True)])
@pytest.mark.parametrize("n_rows", [FEW, MANY])
@pytest.mark.parametrize("rule", RULES)
def test_the_evidence_of_each_prior_and_its_slope(rule, n_rows, n_outputs, weighted, rng):
    basis = FOURIER["matern52, halton, ranks"]
    Problem.of(basis, RULES[rule], rng, n_rows, 2, n_outputs, weighted).check(rng)


@pytest.mark.parametrize("rule", ["learnt", "prior given", "both given"])
def test_the_evidence_of_a_basis_with_linear_terms_and_its_slope(rule, rng):
    basis = GAUSSIAN["gaussian with linear"]
    Problem.of(basis, RULES[rule], rng, MANY, 3, 2, weighted=True).check(rng)


@pytest.mark.parametrize("rule", ["learnt", "learnt without intercept", "prior given"])
@pytest.mark.parametrize("n_rows", range(3, N_COLUMNS + 4))
def test_the_evidence_of_about_as_many_rows_as_columns_and_its_slope(n_rows, rule, rng):
    """Where one form of the algebra takes over from the other."""
    Problem.of(FOURIER["rbf, halton"], RULES[rule], rng, n_rows, 2).check(rng)


OF_ONE_SIZE = [
    name for name, rule in RULES.items()
    if np.ndim(rule.given.get("prior_precision", 0)) == 0 and "prior_mean" not in rule.given
]  # fmt: skip


@pytest.mark.parametrize("n_rows", [FEW, MANY])
@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("name", FOURIER | LINEAR)
def test_the_evidence_of_each_kernel_and_its_slope(name, n_features, n_rows, rng):
    Problem.of(Exact(LEARNABLE[name]), RULES["learnt"], rng, n_rows, n_features).check(rng)


@pytest.mark.parametrize(("n_outputs", "weighted"), [(1, False), (1, True), (2, True)])
@pytest.mark.parametrize("rule", OF_ONE_SIZE)
def test_the_evidence_of_each_prior_by_the_kernel_and_its_slope(rule, n_outputs, weighted, rng):
    basis = Exact(LINEAR["fourier, linear, ranks"])
    Problem.of(basis, RULES[rule], rng, MANY, 2, n_outputs, weighted).check(rng)


@pytest.mark.parametrize(
    ("basis", "prior", "n_rows", "expected"),
    [
        (FourierBasis(20), {}, 40, ByKernel),
        (FourierBasis(20, kernel="matern32", ranks=True), GAMMA, 10, ByKernel),
        (FourierBasis(20), {"prior_precision": 2.0, "noise_precision": 3.0}, 40, ByKernel),
        (FourierBasis(20), {}, 41, ByColumns),  # they are cheaper
        (FourierBasis(20), {"prior_mean": 0.5}, 10, ByColumns),
        (FourierBasis(20), {"prior_precision": np.arange(1.0, 21)}, 10, ByColumns),
        (GaussianBasis(20, width="evidence"), {}, 10, ByColumns),
    ],
)
def test_few_rows_are_searched_by_the_kernel_where_there_is_one(
    basis, prior, n_rows, expected, rng
):
    X, Y = rng.normal(size=(n_rows, 2)), rng.normal(size=(n_rows, 1))
    model = BayesianBasisRegressor(basis, **prior)
    design = Design.of(clone(basis).fit(X), X, fit_intercept=True)
    assert type(objective_of(design, Rows(X, Y), model._prior(design))) is expected


# -- what the search finds ------------------------------------------------------------------------


def at_start(basis):
    """The same basis with the lengths that the search starts from."""
    name = "width" if isinstance(basis, GaussianBasis) else "length_scale"
    return clone(basis).set_params(**{name: None})


def waves(rng, n_rows=60, n_features=3):
    X = rng.normal(size=(n_rows, n_features))
    return X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=n_rows)


def of_iris(rng):
    columns = load_iris().data
    return columns[:, :3], columns[:, 3]


def of_one_feature(rng):
    X = rng.normal(size=(40, 1))
    return X, np.sin(5 * X[:, 0]) + 0.1 * rng.normal(size=40)


def of_duplicates(rng):
    X, y = waves(rng, 20)
    return np.repeat(X, 4, axis=0), np.repeat(y, 4) + 0.1 * rng.normal(size=80)


def of_one_place(rng):
    return np.ones((10, 3)), rng.normal(size=10)


def of_a_constant_feature(rng):
    X, y = waves(rng)
    X[:, 1] = 5.0
    return X, y


def of_two_outputs(rng):
    X, y = waves(rng)
    return X, np.column_stack([y, 5 * X[:, 1] ** 2 + rng.normal(size=60)])


DATA = {
    "diabetes": lambda rng: load_diabetes(return_X_y=True),
    "iris": of_iris,
    "friedman": lambda rng: make_friedman1(80, noise=0.5, random_state=0),
    "waves": waves,
    "one feature": of_one_feature,
    "noise": lambda rng: (rng.normal(size=(60, 3)), rng.normal(size=60)),
    "a line": lambda rng: ((X := rng.normal(size=(30, 3))), X @ [1.0, 2.0, 3.0]),
    "one row": lambda rng: (np.ones((1, 3)), np.ones(1)),
    "two rows": lambda rng: (np.eye(3)[:2], np.array([1.0, 3.0])),
    "three rows": lambda rng: (np.eye(3), np.array([1.0, 3.0, 2.0])),
    "duplicates": of_duplicates,
    "one place": of_one_place,
    "a constant feature": of_a_constant_feature,
    "two outputs": of_two_outputs,
}
SEARCHED = {
    "fourier": FourierBasis(30, random_state=0),
    "fourier, ranks": FourierBasis(100, ranks=True, random_state=0),
    "gaussian": GaussianBasis(20, width="evidence"),
}
PRIORS = {
    "learnt": {},
    "proper gamma": GAMMA,
    "noise given": {"noise_precision": 4.0},
    "prior given": {"prior_precision": 2.0},
    "both given": {"prior_precision": 2.0, "noise_precision": 4.0},
}


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("basis", SEARCHED)
@pytest.mark.parametrize("data", DATA)
def test_what_is_learnt_has_no_less_evidence_than_the_start(data, basis, prior, rng):
    X, y = DATA[data](rng)
    basis, prior = SEARCHED[basis], PRIORS[prior]
    learnt = BayesianBasisRegressor(basis, **prior).fit(X, y)
    start = BayesianBasisRegressor(at_start(basis), **prior).fit(X, y)
    assert learnt.log_marginal_likelihood_ >= start.log_marginal_likelihood_ - 1e-6
    assert np.all(np.isfinite(learnt.basis_.theta_))
    assert np.all(np.isfinite(learnt.predict(X)))


@pytest.mark.parametrize("basis", SEARCHED)
@pytest.mark.parametrize("data", ["diabetes", "friedman", "waves", "one feature"])
def test_where_there_is_something_to_learn_it_is(data, basis, rng):
    X, y = DATA[data](rng)
    learnt = BayesianBasisRegressor(SEARCHED[basis]).fit(X, y)
    start = BayesianBasisRegressor(at_start(SEARCHED[basis])).fit(X, y)
    assert learnt.log_marginal_likelihood_ > start.log_marginal_likelihood_ + 1


@pytest.mark.parametrize("basis", SEARCHED)
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_a_constant_target_is_learnt_as_it_is(value, basis, rng):
    X = rng.normal(size=(30, 3))
    model = BayesianBasisRegressor(SEARCHED[basis]).fit(X, np.full(30, value))
    np.testing.assert_allclose(model.predict(rng.normal(size=(9, 3))), value, rtol=0, atol=1e-6)


@pytest.mark.parametrize("factor", [1e-3, 1e3])
@pytest.mark.parametrize("basis", SEARCHED)
def test_the_search_has_no_unit(basis, factor, rng):
    X, y = waves(rng)
    plain = BayesianBasisRegressor(SEARCHED[basis]).fit(X, y).basis_.theta_
    scaled = BayesianBasisRegressor(SEARCHED[basis]).fit(factor * X + 1, factor * y - 7)
    assert_digits(scaled.basis_.theta_, plain, 4)


@pytest.mark.parametrize("unit", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("prior", [1.0, 100.0])
def test_with_a_given_prior_the_unit_of_the_target_leads_nowhere_worse(prior, unit):
    """The best noise may be far from what the size of the basis functions suggests."""
    X, y = make_friedman1(100, n_features=5, noise=0.5, random_state=0)
    basis = FourierBasis(60, random_state=0)
    free = BayesianBasisRegressor(basis).fit(X, unit * y).basis_
    model = BayesianBasisRegressor(basis, prior_precision=prior).fit(X, unit * y)
    other = BayesianBasisRegressor(FrozenEstimator(free), prior_precision=prior).fit(X, unit * y)
    penalty = 0.5 * np.sum((free.theta_ - np.log(np.sqrt(5))) ** 2)
    assert model.log_marginal_likelihood_ > other.log_marginal_likelihood_ - penalty - 1


def objective(basis, theta, X, y, **prior):
    """The log evidence at theta, of the best precisions, and the log prior of theta."""
    frozen = FrozenEstimator(with_theta(basis, theta))
    model = BayesianBasisRegressor(frozen, **prior).fit(X, y)
    off = theta - clone(basis).fit(X).theta_
    return model.log_marginal_likelihood_ - 0.5 * off @ off


@pytest.mark.parametrize("prior", [{}, GAMMA, {"noise_precision": 100.0}], ids=str)
@pytest.mark.parametrize("n_features", [1, 3])
def test_the_learnt_widths_have_the_most_evidence_around(n_features, prior, rng):
    """Gaussians are the same in the search and after it, so nothing nearby is better.

    Farther off there may be: the evidence has several maxima.
    """
    X, y = waves(rng, 80, n_features)
    basis = GaussianBasis(15, width="evidence")
    found = BayesianBasisRegressor(basis, **prior).fit(X, y).basis_
    best = objective(found, found.theta_, X, y, **prior)
    for scale in (0.01, 0.03, 0.1):
        for _ in range(8):
            theta = found.theta_ + rng.normal(scale=scale, size=found.theta_.shape)
            assert objective(found, theta, X, y, **prior) < best + 0.05


def test_a_grid_of_widths_finds_hardly_more_evidence(rng):
    """Hardly: over wide grids the evidence has several maxima, about a nat apart."""
    X, y = waves(rng, 80, 1)
    found = BayesianBasisRegressor(GaussianBasis(15, width="evidence")).fit(X, y).basis_
    grid = found.theta_ + np.linspace(-2, 2, 41)[:, None]
    most = max(objective(found, theta, X, y) for theta in grid)
    assert most < objective(found, found.theta_, X, y) + 2


def test_a_search_that_would_leave_the_floats_stays_within(rng):
    """Shorter lengths bring the largest X that a basis takes nearer; the start takes these rows."""
    X = rng.normal(size=(50, 2)) * [1e-38, 1e61]
    y = np.sin(4e38 * X[:, 0])
    basis = FourierBasis(100, random_state=0)
    BayesianBasisRegressor(at_start(basis)).fit(X, y)
    model = BayesianBasisRegressor(basis).fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))


# -- relevance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", [FourierBasis(200, ranks=ranks, random_state=0)
                                   for ranks in (False, True)], ids=str)  # fmt: skip
def test_the_five_features_that_matter_are_the_five_most_relevant(basis):
    X, y = make_friedman1(400, noise=0.5, random_state=0)
    relevance = BayesianBasisRegressor(basis).fit(X, y).basis_.relevance_
    assert relevance[:5].min() > 1.3 * relevance[5:].max()


@pytest.mark.parametrize(
    "basis", [FourierBasis(100, random_state=0), GaussianBasis(60, width="evidence")], ids=str
)
def test_the_relevance_of_what_does_not_matter_shrinks(basis, rng):
    X, y = waves(rng, 150)
    learnt = BayesianBasisRegressor(basis).fit(X, y).basis_.relevance_
    start = clone(basis).fit(X).relevance_
    assert np.all(learnt[1:] < start[1:] / 2)
    assert learnt[0] > 3 * learnt[1:].max()


LENGTHS = np.array([0.4, 2.0])
NOISE = 0.1


@pytest.fixture(scope="module")
def draw_of_a_process():
    """Rows of a Gaussian process with a length scale for each of two features, and noise."""
    rng = np.random.default_rng(5)
    X = rng.uniform(-1.5, 1.5, size=(200, 2))
    kernel = np.exp(-0.5 * cdist(X / LENGTHS, X / LENGTHS, "sqeuclidean"))
    values = np.linalg.cholesky(kernel + 1e-9 * np.eye(200)) @ rng.normal(size=200)
    return X, values + NOISE * rng.normal(size=200)


@pytest.fixture(scope="module")
def learnt_of_a_process(draw_of_a_process):
    return BayesianBasisRegressor(FourierBasis(400, random_state=0)).fit(*draw_of_a_process)


def test_the_length_scales_of_a_process_are_found(learnt_of_a_process):
    assert np.all(np.abs(np.log(learnt_of_a_process.basis_.length_scale_ / LENGTHS)) < np.log(1.4))
    assert learnt_of_a_process.noise_precision_**-0.5 == pytest.approx(NOISE, rel=0.2)


def test_the_length_scales_of_a_process_are_those_of_scikit_learn(
    draw_of_a_process, learnt_of_a_process
):
    """Maximum likelihood there, with a weak prior here, so they differ by a few percent."""
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0]) + WhiteKernel(0.01)
    exact = GaussianProcessRegressor(kernel, normalize_y=True).fit(*draw_of_a_process)
    lengths = exact.kernel_.k1.k2.length_scale
    assert np.all(np.abs(np.log(learnt_of_a_process.basis_.length_scale_ / lengths)) < np.log(1.15))


# -- weights, order, repetition -------------------------------------------------------------------

FITTED = {
    "default": "auto",
    "gaussian": GaussianBasis(12, width="evidence"),
    "few fourier": FourierBasis(20, kernel="matern32", random_state=0),
}


def fitted(basis, *data, **prior):
    return BayesianBasisRegressor(FITTED[basis], **prior).fit(*data)


@pytest.mark.parametrize("basis", FITTED)
def test_a_weight_counts_as_so_many_rows(basis, rng):
    X, y = waves(rng)
    counts = rng.integers(0, 4, size=60)
    weighted = fitted(basis, X, y, counts)
    repeated = fitted(basis, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert np.array_equal(weighted.basis_.theta_, repeated.basis_.theta_)
    assert joblib.hash(weighted.basis_) == joblib.hash(repeated.basis_)
    X_new = rng.normal(size=(9, 3))
    assert_digits(weighted.predict(X_new), repeated.predict(X_new), 7)


@pytest.mark.parametrize("basis", FITTED)
def test_the_order_of_rows_does_not_matter(basis, rng):
    X, y = waves(rng, 100)
    order = rng.permutation(100)
    one, other = fitted(basis, X, y), fitted(basis, X[order], y[order])
    assert np.array_equal(one.basis_.theta_, other.basis_.theta_)
    assert joblib.hash(one.basis_) == joblib.hash(other.basis_)


@pytest.mark.parametrize("basis", FITTED)
def test_every_fit_learns_the_same(basis, rng):
    X, y = waves(rng)
    one, other = (fitted(basis, X, y) for _ in range(2))
    assert joblib.hash(one.basis_) == joblib.hash(other.basis_)
    again = one.fit(X, y)  # what was learnt before is forgotten
    assert np.array_equal(again.basis_.theta_, other.basis_.theta_)
    assert np.array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize("convert", [np.float32, np.asfortranarray, np.ndarray.tolist])
@pytest.mark.parametrize("basis", FITTED)
def test_the_same_numbers_in_another_form_teach_the_same(basis, convert, rng):
    X, y = waves(rng)
    X = X.astype(np.float32).astype(np.float64)
    assert np.array_equal(
        fitted(basis, X, y).basis_.theta_, fitted(basis, convert(X), y).basis_.theta_
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("basis", FITTED)
def test_a_copy_of_a_fitted_model_predicts_the_same_and_learns_on(basis, copied, rng):
    X, y = waves(rng)
    model = fitted(basis, X, y)
    other = copied(model)
    for _ in range(2):
        for one, two in zip(
            model.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
        ):
            assert np.array_equal(one, two)
        model.partial_fit(X[:9], y[:9])
        other.partial_fit(X[:9], y[:9])


@pytest.mark.parametrize("basis", FITTED)
def test_a_clone_is_unfitted_and_learns_the_same(basis, rng):
    X, y = waves(rng)
    model = fitted(basis, X, y)
    other = clone(model)
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert np.array_equal(other.fit(X, y).basis_.theta_, model.basis_.theta_)


def test_fits_side_by_side_learn_what_fits_in_turn_do(rng):
    X, y = waves(rng, 90)
    model = BayesianBasisRegressor(make_pipeline(StandardScaler(), FITTED["few fourier"]))
    one = cross_val_score(model, X, y, cv=3)
    with joblib.parallel_config("threading"):
        assert np.array_equal(cross_val_score(model, X, y, cv=3, n_jobs=3), one)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("noise_precision", [4.0, "evidence"])
@pytest.mark.parametrize("basis", SEARCHED)
def test_parameters_that_the_data_determine_are_counted(basis, noise_precision, weighted, rng):
    """By the covariance of weights and parameters together, of the model that is linear in both."""
    X = table(rng, 50, 2)
    Y = np.sin(X[:, :1] + X[:, 1:] / 3) * [1.0, 20.0] + 0.2 * rng.normal(size=(50, 2))
    weights = rng.uniform(0.5, 3, size=50) if weighted else None
    model = BayesianBasisRegressor(SEARCHED[basis], noise_precision=noise_precision)
    posteriors = model.fit(X, Y, weights)._stream.posteriors
    design = model._stream.design
    Phi = design.rows(X)
    n_columns, n_theta = Phi.shape[1], len(design.basis.theta_)
    information = np.zeros((2 * n_columns + n_theta, 2 * n_columns + n_theta))
    information[-n_theta:, -n_theta:] = np.eye(n_theta)
    for output, posterior in enumerate(posteriors):
        places = np.r_[output * n_columns : (output + 1) * n_columns, -n_theta:0]
        moves = [
            design.basis.pull_back(X, Phi[:, 1:], np.outer(row, posterior.mean[1:, 0]))
            for row in np.eye(50)
        ]
        columns = np.hstack([Phi, moves]) / np.sqrt(posterior.noise_variance[0])
        if weighted:
            columns *= np.sqrt(weights)[:, None]
        part = columns.T @ columns
        diagonal = np.arange(n_columns)
        part[diagonal, diagonal] += posterior.precision / posterior.noise_variance[0]
        information[np.ix_(places, places)] += part
    own = np.linalg.inv(information)[-n_theta:, -n_theta:]
    found = n_determined(design, Rows(X, Y, weights), posteriors)
    np.testing.assert_allclose(found, n_theta - np.trace(own), rtol=1e-3)
    assert 0 < found < n_theta
    np.testing.assert_allclose(design.learnt.n_params, found, rtol=1e-3)


@pytest.mark.parametrize("basis", SEARCHED)
def test_spreads_stay_numbers_however_little_the_rows_weigh(basis, rng):
    X, y = waves(rng, 20)
    light = BayesianBasisRegressor(SEARCHED[basis]).fit(X, y, np.full(20, 0.11))
    forgetful = BayesianBasisRegressor(SEARCHED[basis], forgetting=0.5).partial_fit(X, y)
    exact = BayesianBasisRegressor(SEARCHED[basis]).fit(X, X @ np.ones(X.shape[1]))
    sure = BayesianBasisRegressor(SEARCHED[basis], noise_precision="gamma").partial_fit(X, y)
    sure.set_params(prior_precision=1e90, noise_precision="evidence").partial_fit(X, y)
    for model in (light, forgetful.partial_fit(X, y), exact, sure):
        _, std = model.predict(X, return_std=True)
        assert np.isfinite(std).all()
        assert (std > 0).all()
        assert np.isfinite(model.log_predictive_density(X, y)).all()


@pytest.mark.parametrize("n_rows", [60, 300])
def test_what_is_linear_is_learnt_as_linear(n_rows, rng):
    """Nearly as well as by least squares, and beyond the data far better than by waves alone."""
    X = rng.normal(size=(n_rows + 200, 12))
    X[-100:] *= 3
    signal = X @ rng.normal(size=12)
    y = signal + 0.01 * rng.normal(size=len(X))
    waves = BayesianBasisRegressor(FourierBasis(ranks=True, random_state=0))
    models = LinearRegression(), BayesianBasisRegressor(), waves
    errors = [
        [root_mean_squared_error(signal[part], model.predict(X[part]))
         for part in (slice(n_rows, n_rows + 100), slice(n_rows + 100, None))]
        for model in (model.fit(X[:n_rows], y[:n_rows]) for model in models)
    ]  # fmt: skip
    line, ours, without = np.array(errors)
    assert ours[0] < 4 * line[0]
    assert ours[1] < without[1] / 4


# -- rows that are left out -----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("basis", SEARCHED)
def test_deviations_are_those_of_fits_to_all_other_rows(basis, weighted, rng):
    X, y = table(rng, 30, 2), rng.normal(size=30)
    weights = rng.uniform(0.5, 3, size=30) if weighted else np.ones(30)
    frozen = FrozenEstimator(clone(SEARCHED[basis]).fit(X))
    model = BayesianBasisRegressor(frozen, prior_precision=2.0, noise_precision=4.0)
    posteriors = model.fit(X, y, weights)._stream.posteriors
    design = model._stream.design
    found, their_weights = left_out(design, Rows(X, y[:, None], weights), posteriors)
    assert np.array_equal(their_weights, weights)
    for row in range(30):
        others = np.arange(30) != row
        mean, std = (
            clone(model).fit(X[others], y[others], weights[others])
            .predict(X[[row]], return_std=True)
        )  # fmt: skip
        assert found[row, 0] == pytest.approx((y[row] - mean[0]) / std[0], rel=1e-9)


def test_rows_that_determine_their_own_prediction_are_not_left_out(rng):
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    X[0] = 1e8
    model = BayesianBasisRegressor("identity", prior_precision=1e-9, noise_precision=1.0).fit(X, y)
    stream = model._stream
    found, weights = left_out(stream.design, Rows(X, y[:, None], np.ones(20)), stream.posteriors)
    assert found.shape == (19, 1)
    assert len(weights) == 19


@pytest.mark.parametrize("df", [5.0, 10.0, 1e9])
@pytest.mark.parametrize("scale", [0.7, 1.3])
def test_tails_are_those_of_the_distribution(df, scale, rng):
    deviations = np.abs(scale * stats.t.rvs(df, size=20_000, random_state=rng))
    found, widening = tail(deviations, np.ones(20_000))
    assert 1 / found == pytest.approx(1 / df, abs=0.02)
    spread = scale / np.sqrt(1 - 2 / df)
    assert widening == pytest.approx(max(1.0, spread), rel=0.05)
    if widening > 1:
        half = widening * np.sqrt(1 - 2 / found) * stats.t.ppf(0.975, found)
        assert np.mean(deviations <= half * (1 + 1e-12)) == 0.95


def test_deviations_weigh_as_many_of_them(rng):
    deviations, counts = np.abs(rng.standard_t(4, size=200)), rng.integers(1, 5, size=200)
    repeated = np.repeat(deviations, counts)
    expected = tail(repeated, np.ones(len(repeated)))
    assert_digits(tail(deviations, counts * 1.0), expected, 6)


@pytest.mark.parametrize("deviations", [np.full(19, 9.0), np.zeros(50), np.empty(0)], ids=len)
def test_few_or_no_deviations_say_nothing(deviations):
    assert tail(deviations, np.ones(len(deviations))) == (np.inf, 1.0)


def test_heavy_tails_are_learnt(rng):
    """Student-t noise of 5 degrees of freedom: more density than a normal of the same spread."""
    X = rng.normal(size=(2000, 3))
    y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.standard_t(5, size=2000)
    model = BayesianBasisRegressor(FITTED["few fourier"]).fit(X[:1000], y[:1000])
    assert 4 <= model.degrees_of_freedom_ < 9
    mean, std = model.predict(X[1000:], return_std=True)
    normal = stats.norm.logpdf(y[1000:], mean, std)
    assert model.log_predictive_density(X[1000:], y[1000:]).mean() > normal.mean() + 0.01
    half = std * np.sqrt(1 - 2 / model.degrees_of_freedom_)
    for level in (0.5, 0.9, 0.95):
        reach = stats.t.ppf((1 + level) / 2, model.degrees_of_freedom_) * half
        assert np.mean(np.abs(y[1000:] - mean) < reach) == pytest.approx(level, abs=0.04)


@pytest.mark.parametrize("prior", [{"noise_precision": 4.0}, GAMMA], ids=str)
def test_noise_whose_distribution_is_given_has_no_other_tails(prior, rng):
    X, y = waves(rng)
    learnt = BayesianBasisRegressor(FITTED["few fourier"], **prior).fit(X, y)._stream.design.learnt
    assert learnt.df == np.inf
    assert learnt.widening == 1


def test_a_basis_that_is_given_takes_nothing_from_the_data(rng):
    X, y = waves(rng)
    for basis in (FourierBasis(30, length_scale=1.0, random_state=0), "identity"):
        assert BayesianBasisRegressor(basis).fit(X, y)._stream.design.learnt is None


def test_the_search_looks_at_few_rows_and_the_posterior_at_all(rng):
    n_rows = SEARCH_ROWS + 500
    X, y = waves(rng, n_rows)
    model = fitted("gaussian", X, y)
    assert len(distinct(Rows(X, y[:, None]))) <= SEARCH_ROWS
    assert model.n_samples_seen_ == n_rows
    twin = BayesianBasisRegressor(FrozenEstimator(model.basis_)).fit(X, y)
    assert twin.log_marginal_likelihood_ == model.log_marginal_likelihood_
    assert not np.array_equal(model.basis_.theta_, clone(FITTED["gaussian"]).fit(X).theta_)


def test_distinct_rows_are_sorted_and_weigh_what_all_rows_do(rng):
    X, Y = rng.integers(3, size=(50, 2)) / 2, rng.integers(2, size=(50, 2)) * 1.0
    weights = rng.integers(1, 4, size=50) * 1.0
    found = distinct(Rows(X, Y, weights))
    both = np.hstack([found.X, found.Y])
    expected, counts = np.unique(
        np.repeat(np.hstack([X, Y]), weights.astype(int), axis=0), axis=0, return_counts=True
    )
    assert np.array_equal(both, expected)
    assert np.array_equal(found.weights, counts)


# -- any basis with theta_ and pull_back ----------------------------------------------------------


class Waves(TransformerMixin, BaseEstimator):
    """A sine and a cosine, and a log period to be learnt."""

    def __init__(self, period=1.0):
        self.period = period

    def fit(self, X, y=None):
        self.theta_ = np.log([self.period])
        return self

    def transform(self, X):
        phase = 2 * np.pi * np.asarray(X) / np.exp(self.theta_)
        return np.hstack([np.sin(phase), np.cos(phase)])

    def pull_back(self, X, Phi, gradient):
        phase = 2 * np.pi * X[:, 0] / np.exp(self.theta_)
        return np.array([phase @ (gradient[:, 1] * Phi[:, 0] - gradient[:, 0] * Phi[:, 1])])


@pytest.fixture
def periodic(rng):
    X = rng.uniform(0, 4, size=(60, 1))
    return X, 3 + np.sin(2 * np.pi * X[:, 0] / 1.7 + 0.4) + 0.05 * rng.normal(size=60)


@pytest.mark.parametrize("n_rows", [12, 60])
@pytest.mark.parametrize("start", [1.4, 2.1])
def test_a_basis_of_ones_own_is_learnt(start, n_rows, periodic):
    X, y = periodic
    model = BayesianBasisRegressor(Waves(start)).fit(X[:n_rows], y[:n_rows])
    assert np.exp(model.basis_.theta_).item() == pytest.approx(1.7, rel=0.02)
    assert model.noise_precision_**-0.5 == pytest.approx(0.05, rel=0.5)


def test_a_basis_of_ones_own_in_a_pipeline_is_learnt(periodic):
    X, y = periodic
    model = BayesianBasisRegressor(make_pipeline(StandardScaler(), Waves(1.7 / X.std() * 1.2)))
    period = np.exp(model.fit(X, y).basis_[-1].theta_).item() * X.std()
    assert period == pytest.approx(1.7, rel=0.02)


def test_a_basis_of_ones_own_that_is_frozen_is_not(periodic):
    basis = Waves(1.4).fit(None)
    BayesianBasisRegressor(FrozenEstimator(basis)).fit(*periodic)
    assert basis.theta_.tolist() == [np.log(1.4)]


IN_PIPELINES = {
    "after a scaler": lambda basis: make_pipeline(StandardScaler(), basis),
    "after nothing": lambda basis: make_pipeline("passthrough", basis),
    "alone": make_pipeline,
    "nested": lambda basis: make_pipeline(StandardScaler(), make_pipeline("passthrough", basis)),
    "alone and nested": lambda basis: make_pipeline(make_pipeline(basis)),
    "with frames": lambda basis: make_pipeline(StandardScaler(), basis).set_output(
        transform="pandas"
    ),
}


@pytest.mark.parametrize("name", IN_PIPELINES)
def test_the_last_step_of_a_pipeline_is_learnt(name, rng):
    """On standardised rows, so that every pipeline here comes to the same."""
    X, y = waves(rng)
    X = StandardScaler().fit_transform(X)
    basis = FourierBasis(20, random_state=0)
    alone = BayesianBasisRegressor(basis).fit(X, y)
    piped = BayesianBasisRegressor(IN_PIPELINES[name](basis)).fit(X, y)
    last = piped.basis_
    while hasattr(last, "steps"):
        last = last[-1]
    np.testing.assert_allclose(last.theta_, alone.basis_.theta_, rtol=0, atol=1e-6)
    assert_digits(piped.predict(X), alone.predict(X), 6)


# -- what is left alone, and what goes on ---------------------------------------------------------


@pytest.mark.parametrize("name", LEARNABLE)
def test_a_frozen_basis_is_left_as_it_was(name, rng):
    X, y = waves(rng)
    basis = clone(LEARNABLE[name]).fit(X)
    before = joblib.hash(basis)
    for frozen in (FrozenEstimator(basis), make_pipeline("passthrough", FrozenEstimator(basis))):
        model = BayesianBasisRegressor(frozen)
        assert model.fit(X, y) is model.partial_fit(X, y)
    assert joblib.hash(basis) == before


@pytest.mark.parametrize("fit_first", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_the_basis_that_was_passed_is_left_as_it_was(method, fit_first, rng):
    X, y = waves(rng)
    basis = FourierBasis(20, random_state=0)
    if fit_first:
        basis.fit(X)
    before = snapshot(basis)
    model = BayesianBasisRegressor(basis)
    getattr(model, method)(X, y)
    assert snapshot(basis) == before
    assert model.basis is basis
    assert model.basis_ is not basis


@pytest.mark.parametrize("basis", FITTED)
def test_partial_fit_learns_at_the_first_call_and_then_keeps(basis, rng):
    X, y = waves(rng, 90)
    model = BayesianBasisRegressor(FITTED[basis]).partial_fit(X[:60], y[:60])
    learnt = model.basis_.theta_
    assert np.array_equal(learnt, fitted(basis, X[:60], y[:60]).basis_.theta_)
    model.partial_fit(X[60:], y[60:], sample_weight=np.full(30, 2.0))
    assert np.array_equal(model.basis_.theta_, learnt)
    assert model.n_samples_seen_ == 90


def test_frozen_twins_merge_and_models_that_learnt_for_themselves_do_not(rng):
    X, y = waves(rng, 90)
    whole = fitted("few fourier", X, y)
    frozen = FrozenEstimator(whole.basis_)
    left, right = (
        BayesianBasisRegressor(frozen).fit(X[rows], y[rows]) for rows in (np.s_[:40], np.s_[40:])
    )
    assert_digits(left.merge(right).predict(X), whole.predict(X), 9)
    left, right = (fitted("few fourier", X[rows], y[rows]) for rows in (np.s_[:40], np.s_[40:]))
    with pytest.raises(ValueError, match="`other`"):
        left.merge(right)


FREE_PRIOR = {"prior_precision": 1.0, "noise_precision": 4.0}


@pytest.mark.parametrize(
    "basis",
    ["auto", "fourier", GaussianBasis(9, domain=(-2, 2), width="evidence"),
     FourierBasis(20, random_state=0), FourierBasis(20, ranks=True, length_scale=1.0)],
    ids=str,
)  # fmt: skip
def test_what_is_to_be_learnt_has_no_prior_to_draw_from(basis, rng):
    model = BayesianBasisRegressor(basis, **FREE_PRIOR)
    with pytest.raises(NotFittedError, match="follows the data"):
        model.sample_y(rng.normal(size=(5, 2)), random_state=0)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(
    "basis",
    [GaussianBasis(9, domain=(-2, 2)), FourierBasis(20, length_scale=1.0, random_state=0)],
    ids=str,
)
def test_what_is_fixed_has_a_prior_to_draw_from(basis, rng):
    model = BayesianBasisRegressor(basis, **FREE_PRIOR)
    assert model.sample_y(rng.normal(size=(5, 2)), 3, random_state=0).shape == (5, 3)


# -- a flat prior ---------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["evidence", "gamma", 4.0])
@pytest.mark.parametrize("precision", [0, 0.0, np.r_[0.0, np.ones(7)]], ids=str)
@pytest.mark.parametrize("basis", [*FITTED, "in a pipeline"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_flat_prior_cannot_teach_a_basis(method, basis, precision, noise, rng):
    X, y = waves(rng, 30)
    basis = FITTED.get(basis, make_pipeline(StandardScaler(), FourierBasis(8, random_state=0)))
    if np.ndim(precision):
        basis = FourierBasis(8, random_state=0)
    model = BayesianBasisRegressor(basis, prior_precision=precision, noise_precision=noise)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="`prior_precision` must be > 0"):
        getattr(model, method)(X, y)
    assert vars(model) == before


def test_a_flat_prior_leaves_a_fitted_model_as_it_was(rng):
    X, y = waves(rng)
    model = fitted("few fourier", X, y)
    expected = model.predict(X)
    model.set_params(prior_precision=0.0)
    with pytest.raises(ValueError, match="`prior_precision` must be > 0"):
        model.fit(X[:, :2], y)
    assert model.n_features_in_ == 3
    assert np.array_equal(model.predict(X), expected)


def test_a_flat_prior_suits_fixed_lengths(rng):
    X, y = waves(rng)
    basis = FourierBasis(8, length_scale=None, random_state=0)
    model = BayesianBasisRegressor(basis, prior_precision=0.0).fit(X, y)
    Phi = np.column_stack([np.ones(60), model.basis_.transform(X)])
    expected = Phi @ np.linalg.lstsq(Phi, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-9)


# -- the default, and scikit-learn's tools --------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 2])
def test_the_default_is_what_it_stands_for(n_features, rng):
    X, y = waves(rng, 40, n_features)
    named = BayesianBasisRegressor(resolve_basis("auto", n_features)).fit(X, y)
    assert np.array_equal(BayesianBasisRegressor().fit(X, y).predict(X), named.predict(X))


def test_a_grid_search_chooses_kernel_and_ranks(rng):
    X = rng.lognormal(sigma=2, size=(80, 2))
    y = np.sin(2 * np.log(X[:, 0])) + 0.1 * rng.normal(size=80)
    model = make_pipeline(
        StandardScaler(), BayesianBasisRegressor(FourierBasis(40, random_state=0))
    )
    name = "bayesianbasisregressor__basis__"
    grid = {name + "kernel": ["rbf", "matern52"], name + "ranks": [False, True]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.best_params_[name + "ranks"]
    assert search.predict(X).shape == (80,)
