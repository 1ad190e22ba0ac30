"""Evidence as a function of basis parameters: values and gradients by other methods.

The second way to the evidence is the public one: a basis of given parameters, frozen, in a
regressor whose precisions are given as numbers. Slopes are differences of that.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from conftest import assert_digits, representatives
from learnable import (
    FOURIER,
    GAMMA,
    GAUSSIAN,
    LEARNABLE,
    LINEAR,
    N_COLUMNS,
    moved,
    slopes,
    table,
    with_theta,
)
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process.kernels import RBF, Matern

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.design import Design
from skgen._regression.marginal_likelihood import DesignObjective, KernelObjective, make_objective
from skgen._regression.rows import Rows

# -- the gradient of the evidence -----------------------------------------------------------------


@dataclass(frozen=True)
class Rule:
    """Parameters of a regressor, and the numbers that fix its precisions at a ratio of them."""

    given: dict[str, Any]
    known: Callable[[float], dict[str, Any]] | None = None  # None: they are numbers already


def jeffreys(ratio):
    """Under Jeffreys' prior of the noise the evidence is that of the best noise plus a constant."""
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
        self.inputs_, self.lines_ = self.waves._inputs(X), self._lines(X)
        return self

    def _lines(self, X):
        return self.waves._lines(X) if self.waves.linear else np.zeros((len(X), 1))

    @property
    def theta_(self):
        return self.waves.theta_

    @theta_.setter
    def theta_(self, theta):
        self.waves.theta_ = theta

    def transform(self, X):
        lengths = np.exp(self.theta_[: self.inputs_.shape[1]])
        slope = np.exp(self.theta_[-1])
        known, new = self.inputs_ / lengths, self.waves._inputs(X) / lengths
        kernel = KERNELS[self.waves.kernel]
        slope = slope / lengths / np.sqrt(np.mean(lengths**-2)) if self.waves.linear else 0.0
        lines = [slope * table @ (slope * self.lines_).T for table in (self._lines(X), self.lines_)]
        values, vectors = np.linalg.eigh(kernel(known) + lines[1])
        inverse = np.where(values > 1e-12, 1 / np.sqrt(np.maximum(values, 1e-12)), 0)
        return (kernel(new, known) + lines[0]) @ (vectors * inverse)


KERNELS = {"rbf": RBF(), "matern32": Matern(nu=1.5), "matern52": Matern(nu=2.5)}
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
    noise_scale: np.ndarray | None

    @classmethod
    def of(cls, basis, rule, rng, n_rows, n_features=3, n_outputs=1, weighted=False):
        X = table(rng, n_rows, n_features)
        waves = np.sin(X[:, :1] + np.arange(n_outputs)) + X[:, -1:]
        Y = waves + 0.3 * rng.normal(size=(n_rows, n_outputs))
        weights = rng.uniform(0.5, 3.0, size=n_rows) if weighted else None
        noise_scale = rng.uniform(0.5, 3.0, size=n_rows) if weighted else None
        return cls(moved(basis, X, rng), rule, X, Y, weights, noise_scale)

    def positions(self, rng, count):
        n_free = len(self.basis.theta_) + (self.rule.known is not None)
        start = np.append(self.basis.theta_, -1.5)[:n_free]
        return start + rng.normal(scale=0.3, size=(count, n_free))

    def evaluate(self, position):
        """Value and gradient by the objective of the search."""
        n_theta = len(self.basis.theta_)
        model = BayesianBasisRegressor(self.basis, **self.rule.given)
        design = Design.of(copy.deepcopy(self.basis), self.X, model.fit_intercept)
        rows = Rows(self.X, self.Y, self.weights, self.noise_scale)
        prior = model._prior(design)
        if isinstance(self.basis, Exact):
            kernel = self.basis.waves.exact_kernel(self.X)
            function = KernelObjective(kernel, design, rows, prior)
        else:
            function = DesignObjective(copy.deepcopy(self.basis), design, rows, prior)
        value, slope, _ = function.evaluate(position[:n_theta], np.append(position, 0.0)[n_theta])
        return value, slope[: len(position)]

    def log_evidence(self, position):
        """Value by the public interface, in nats."""
        n_theta = len(self.basis.theta_)
        known = self.rule.known(np.exp(position[-1])) if self.rule.known is not None else {}
        frozen = FrozenEstimator(with_theta(self.basis, position[:n_theta]))
        model = BayesianBasisRegressor(frozen, **{**self.rule.given, **known})
        model.fit(self.X, self.Y, self.weights, noise_scale=self.noise_scale)
        return model.log_marginal_likelihood_

    def check(self, rng):
        positions = self.positions(rng, 3)
        values = [self.evaluate(position)[0] for position in positions]
        expected = [self.log_evidence(position) for position in positions]
        assert_digits(np.diff(values), np.diff(expected), 8)
        position = positions[0]
        assert_digits(self.evaluate(position)[1], slopes(self.log_evidence, position), 6)


FEW, MANY = 6, 40


@pytest.mark.parametrize(
    ("name", "n_features", "n_rows"), representatives(LEARNABLE, [1, 3], [FEW, MANY])
)
def test_evidence_and_gradient_with_each_basis(name, n_features, n_rows, rng):
    Problem.of(LEARNABLE[name], RULES["learnt"], rng, n_rows, n_features).check(rng)


@pytest.mark.parametrize(
    ("rule", "n_rows", "n_outputs", "weighted"),
    representatives(RULES, [FEW, MANY], [(1, False), (1, True), (2, True)]),
)
def test_evidence_and_gradient_with_each_prior(rule, n_rows, n_outputs, weighted, rng):
    basis = FOURIER["matern52, halton, ranks"]
    Problem.of(basis, RULES[rule], rng, n_rows, 2, n_outputs, weighted).check(rng)


@pytest.mark.parametrize("rule", ["learnt", "prior given", "both given"])
def test_evidence_and_gradient_with_linear_terms(rule, rng):
    basis = GAUSSIAN["gaussian with linear"]
    Problem.of(basis, RULES[rule], rng, MANY, 3, 2, weighted=True).check(rng)


@pytest.mark.parametrize("rule", ["learnt", "learnt without intercept", "prior given"])
@pytest.mark.parametrize("n_rows", range(3, N_COLUMNS + 4))
def test_evidence_and_gradient_with_about_as_many_rows_as_columns(n_rows, rule, rng):
    """Around the number of rows at which the algebra switches between two forms."""
    Problem.of(FOURIER["rbf, halton"], RULES[rule], rng, n_rows, 2).check(rng)


OF_ONE_SIZE = [
    name for name, rule in RULES.items()
    if np.ndim(rule.given.get("prior_precision", 0)) == 0 and "prior_mean" not in rule.given
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "n_features", "n_rows"), representatives(FOURIER | LINEAR, [1, 3], [FEW, MANY])
)
def test_evidence_and_gradient_with_each_kernel(name, n_features, n_rows, rng):
    Problem.of(Exact(LEARNABLE[name]), RULES["learnt"], rng, n_rows, n_features).check(rng)


@pytest.mark.parametrize(
    ("rule", "n_outputs", "weighted"),
    representatives(OF_ONE_SIZE, [(1, False), (1, True), (2, True)]),
)
def test_evidence_and_gradient_by_the_kernel_with_each_prior(rule, n_outputs, weighted, rng):
    basis = Exact(LINEAR["fourier, linear, ranks"])
    Problem.of(basis, RULES[rule], rng, MANY, 2, n_outputs, weighted).check(rng)


@pytest.mark.parametrize(
    ("basis", "prior", "n_rows", "expected"),
    [
        (FourierBasis(20), {}, 40, KernelObjective),
        (FourierBasis(20, kernel="matern32", ranks=True), GAMMA, 10, KernelObjective),
        (FourierBasis(20), {"prior_precision": 2.0, "noise_precision": 3.0}, 40, KernelObjective),
        (FourierBasis(20), {}, 41, DesignObjective),  # they are cheaper
        (FourierBasis(20), {"prior_mean": 0.5}, 10, DesignObjective),
        (FourierBasis(20), {"prior_precision": np.arange(1.0, 21)}, 10, DesignObjective),
        (GaussianBasis(20, width="evidence"), {}, 10, DesignObjective),
    ],
)
def test_kernel_objective_is_used_for_few_rows(basis, prior, n_rows, expected, rng):
    X, Y = rng.normal(size=(n_rows, 2)), rng.normal(size=(n_rows, 1))
    model = BayesianBasisRegressor(basis, **prior)
    design = Design.of(clone(basis).fit(X), X, fit_intercept=True)
    assert type(make_objective(design, Rows(X, Y), model._prior(design))) is expected
