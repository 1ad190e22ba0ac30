"""Calibration: what holds on average over worlds that are drawn from the prior.

Draw weights and noise from the prior and data from the likelihood: given the data, the truth is
one more draw from the posterior, so its rank among the posterior's draws is uniform for every
test quantity (simulation-based calibration [1]_ [2]_), and so is the predictive distribution
function at the next observation (probability integral transform, PIT). Each law is shown to be
broken by every fault planted in the algebra, at the level at which the sound code passes.

References
----------
.. [1] S. Talts et al., Validating Bayesian inference algorithms with simulation-based
   calibration, arXiv:1804.06788, 2018.
.. [2] M. Modrak et al., Simulation-based calibration checking for Bayesian computation: the
   choice of test quantities shapes sensitivity, Bayesian Analysis, 2023.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats
from sklearn.linear_model import BayesianRidge

import skgen._regression.loo
import skgen._regression.precisions
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.conjugate import Posterior, condition
from skgen._regression.predictive import Predictive

Rng = np.random.Generator
Array = NDArray[np.float64]
Fault = Callable[[pytest.MonkeyPatch], None]

N_DRAWS = 99
N_BINS = 20
N_PROBES = 50
N_OUTPUTS = 1000
MOST_ROWS = 8
LEVELS = (0.5, 0.9, 0.95)
FEW_SETS, FEW_OBSERVATIONS = 100, 3000
"""So many are enough to find every planted fault; the slow tests look for smaller ones."""


@dataclass(frozen=True)
class World:
    """A proper prior over data sets on the unit cube, and the model that knows it."""

    basis: Any
    n_basis: int
    n_features: int
    parameters: dict[str, Any] = field(default_factory=dict)
    is_stream: bool = False

    @property
    def n_columns(self) -> int:
        return 1 + self.n_basis

    def features(self, n_rows: int, rng: Rng) -> Array:
        return rng.uniform(size=(n_rows, self.n_features))

    def design(self, X: Array) -> Array:
        Phi = X if self.basis == "identity" else self.basis.fit_transform(X)
        return np.column_stack([np.ones(len(X)), Phi])

    def truths(self, n_sets: int, rng: Rng) -> tuple[Array, Array]:
        """Weights (n_columns, n_sets) and standard deviations of the noise (n_sets,)."""
        known = self.parameters
        mean = np.r_[0.0, np.broadcast_to(known.get("prior_mean", 0.0), self.n_basis)]
        precision = np.r_[
            known["intercept_precision"], np.broadcast_to(known["prior_precision"], self.n_basis)
        ]
        if known["noise_precision"] == "gamma":
            noise = rng.gamma(known["noise_shape"], 1 / known["noise_rate"], n_sets)
            relative = noise
        else:
            noise, relative = np.full(n_sets, known["noise_precision"]), np.ones(n_sets)
        deviations = rng.standard_normal((self.n_columns, n_sets))
        return mean[:, None] + deviations / np.sqrt(np.outer(precision, relative)), noise**-0.5

    def degrees(self, n_rows: int) -> float:
        """Degrees of freedom of the posterior, and infinity where it is normal."""
        return 2 * self.parameters.get("noise_shape", np.inf) + n_rows

    def learnt(self, X: Array, y: Array) -> BayesianBasisRegressor:
        model = BayesianBasisRegressor(self.basis, **self.parameters)
        if not self.is_stream:
            return model.fit(X, y)
        for row in range(len(X)):
            model.partial_fit(X[row : row + 1], y[row : row + 1])
            _ = model.coef_  # whoever reads in the middle does no harm
        return model


KNOWN = {"noise_precision": 4.0, "intercept_precision": 0.5}
GAMMA = {
    "noise_precision": "gamma", "noise_shape": 1.5, "noise_rate": 0.8, "intercept_precision": 0.3,
}  # fmt: skip
WORLDS = {
    "known": World(
        "identity", 3, 3, {**KNOWN, "prior_precision": [0.5, 2, 1], "prior_mean": [2, -1, 0.5]}
    ),
    "gamma": World("identity", 3, 3, {**GAMMA, "prior_precision": 0.4, "prior_mean": [1, 0, -2]}),
    "stream": World(
        GaussianBasis(3, domain=(0, 1)), 3, 1, {**GAMMA, "prior_precision": 0.7}, is_stream=True
    ),
    "nine": World(
        GaussianBasis(9, domain=(0, 1)), 9, 1,
        {"noise_precision": 25.0, "intercept_precision": 2.0, "prior_precision": 2.0},
    ),
}  # fmt: skip

# Bonferroni: each world has so many p-values of ranks and of PITs, in a slow and in a quick test.
N_TESTS = 2 * sum(world.n_columns + 4 + 2 + len(LEVELS) for world in WORLDS.values())
ALARM = 1e-3 / N_TESTS


def p_uniform(u: Array) -> float:
    """P-value of uniformity on (0, 1): chi-squared for the shape, Kolmogorov for a drift."""
    counts, _ = np.histogram(u, bins=N_BINS, range=(0, 1))
    p_values = stats.chisquare(counts).pvalue, stats.kstest(u, "uniform").pvalue
    return float(min(1.0, 2 * min(p_values)))


def alarms(p_values: dict[str, float]) -> dict[str, float]:
    """The p-values that would be this small once in a thousand runs of all tests."""
    return {name: p_value for name, p_value in p_values.items() if p_value < ALARM}


# -- ranks ---------------------------------------------------------------------------------------


def rank_p_values(world: World, n_sets: int, rng: Rng) -> dict[str, float]:
    """P-values of the ranks of test quantities, each data set with features and a fit of its own.

    Posterior draws come by way of ``sample_y``: functions at a few probes give the weights,
    and what the same seed adds with ``observation_noise`` is the noise.
    """
    probes = world.features(N_PROBES, rng)
    weights_of = np.linalg.pinv(world.design(probes))
    uniforms = []
    for _ in range(n_sets):
        n_rows = int(rng.integers(1, MOST_ROWS, endpoint=True))
        X = world.features(n_rows, rng)
        Phi = world.design(X)
        truth, std = world.truths(1, rng)
        y = Phi @ truth[:, 0] + std * rng.standard_normal(n_rows)
        model = world.learnt(X, y)
        seed = int(rng.integers(2**31))
        functions = model.sample_y(probes, N_DRAWS, observation_noise=False, random_state=seed)
        noise = model.sample_y(probes, N_DRAWS, random_state=seed) - functions
        # The truth is the first of 1 + N_DRAWS draws that nothing tells apart.
        weights = np.hstack([truth, weights_of @ functions])
        noise = np.hstack([std * rng.standard_normal((N_PROBES, 1)), noise])
        quantities = quantities_of(world, weights, noise, Phi, y)
        rank = (quantities[:, 1:] < quantities[:, :1]).sum(axis=1)
        uniform = (rank + rng.uniform(size=len(rank))) / (1 + N_DRAWS)
        uniforms.append([*uniform, share_nearer_the_mean(world, model, truth[:, 0], n_rows)])
    names = [f"w{column}" for column in range(world.n_columns)]
    names += ["w0 * wM", "log-likelihood", "noise", "coef_ and covariance_"]
    return {name: p_uniform(u) for name, u in zip(names, np.transpose(uniforms), strict=True)}


def quantities_of(world: World, weights: Array, noise: Array, Phi: Array, y: Array) -> Array:
    """Each weight, the first times the last, the log-likelihood of the data, the noise's square.

    Where the noise is to be learnt, its variance in the likelihood is that square.
    """
    mean_square = (noise**2).mean(axis=0)
    known = world.parameters["noise_precision"]
    variance = np.maximum(mean_square, 1e-99) if known == "gamma" else 1 / known
    misfit = ((y[:, None] - Phi @ weights) ** 2).sum(axis=0)
    log_likelihood = -0.5 * (len(y) * np.log(variance) + misfit / variance)
    return np.vstack([weights, weights[0] * weights[-1], log_likelihood, mean_square])


def share_nearer_the_mean(
    world: World, model: BayesianBasisRegressor, truth: Array, n_rows: int
) -> float:
    """Posterior probability of the ellipsoid about the mean on which the truth lies."""
    deviation = truth - np.r_[model.intercept_, model.coef_]
    distance = deviation @ np.linalg.solve(model.covariance_, deviation)
    size, df = world.n_columns, world.degrees(n_rows)
    if np.isinf(df):
        return float(stats.chi2.cdf(distance, size))
    return float(stats.f.cdf(distance / (size * (1 - 2 / df)), size, df))


@pytest.mark.parametrize("n_sets", [FEW_SETS, pytest.param(2000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("world", WORLDS)
def test_the_truth_ranks_anywhere_among_posterior_draws(world: str, n_sets: int, rng: Rng) -> None:
    assert not alarms(rank_p_values(WORLDS[world], n_sets, rng))


# -- predictions ---------------------------------------------------------------------------------


def prediction_p_values(world: World, n_sets: int, rng: Rng) -> dict[str, float]:
    """P-values of the PIT of a third observation given two, and of the intervals about its mean.

    Each data set is one of the thousand outputs of a fit. The distribution is that of ``predict``,
    and once more that of the draws of ``sample_y``.
    """
    df = world.degrees(2)
    by_moments, by_draws = [], []
    for _ in range(n_sets // N_OUTPUTS):
        X = world.features(3, rng)
        weights, std = world.truths(N_OUTPUTS, rng)
        Y = world.design(X) @ weights + std * rng.standard_normal((3, N_OUTPUTS))
        model = world.learnt(X[:2], Y[:2])
        mean, spread = model.predict(X[2:], return_std=True)
        by_moments.append(stats.t.cdf((Y[2:] - mean) / spread / np.sqrt(1 - 2 / df), df)[0])
        draws = model.sample_y(X[2:], N_DRAWS, random_state=rng)
        rank = (draws < Y[2:, :, None]).sum(axis=-1)[0]
        by_draws.append((rank + rng.uniform(size=len(rank))) / (1 + N_DRAWS))
    pit = np.concatenate(by_moments)
    p_values = {"predict": p_uniform(pit), "sample_y": p_uniform(np.concatenate(by_draws))}
    for level in LEVELS:
        inside = int((np.abs(2 * pit - 1) < level).sum())
        p_values[f"{level:.0%} intervals"] = stats.binomtest(inside, pit.size, level).pvalue
    return p_values


@pytest.mark.parametrize(
    "n_sets", [FEW_OBSERVATIONS, pytest.param(100_000, marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("world", WORLDS)
def test_the_next_observation_falls_anywhere_in_its_predictive_distribution(
    world: str, n_sets: int, rng: Rng
) -> None:
    assert not alarms(prediction_p_values(WORLDS[world], n_sets, rng))


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_log_predictive_density_is_of_that_distribution(world: World, rng: Rng) -> None:
    """The distribution whose PIT is uniform is the one whose density is given."""
    X, df = world.features(5, rng), world.degrees(2)
    model = world.learnt(X[:2], rng.standard_normal((2, 3)))
    mean, spread = model.predict(X, return_std=True)
    Y = mean + 3 * rng.standard_normal(mean.shape)
    expected = stats.t.logpdf(Y, df, mean, spread * np.sqrt(1 - 2 / df)).sum(axis=1)
    np.testing.assert_allclose(model.log_predictive_density(X, Y), expected, rtol=1e-12)


# -- planted faults ------------------------------------------------------------------------------


def prior_counted_twice(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        skgen._regression.precisions, "condition",
        lambda statistic, precision, *rest: condition(statistic, 2 * precision, *rest),
    )  # fmt: skip


def variance_for_standard_deviation(patch: pytest.MonkeyPatch) -> None:
    build = Predictive.from_leverage

    def squared(*args: Any) -> Predictive:
        predictive = build(*args)
        return replace(predictive, scale=predictive.scale**2)

    patch.setattr(Predictive, "from_leverage", squared)

    def draw(weights: Array, scale: Array, mean: Array) -> tuple[Array, Array]:
        return mean + scale * (weights - mean), scale**2

    after_drawing(patch, draw)


def noise_left_out(patch: pytest.MonkeyPatch) -> None:
    leverage = Posterior.leverage
    patch.setattr(Posterior, "leverage", lambda self, Phi: leverage(self, Phi) - 1)
    after_drawing(patch, lambda weights, scale, mean: (weights, 0 * scale))


def normal_for_student_t(patch: pytest.MonkeyPatch) -> None:
    """The normal distributions of the very same means and covariances."""
    after_conditioning(
        patch, lambda exact: replace(exact, df=np.inf, squared_scale=exact.noise_variance)
    )


def factor_transposed(patch: pytest.MonkeyPatch) -> None:
    after_conditioning(patch, lambda exact: replace(exact, root=exact.root.T))


def after_conditioning(patch: pytest.MonkeyPatch, fault: Callable[[Posterior], Posterior]) -> None:
    patch.setattr(
        skgen._regression.precisions, "condition", lambda *given: fault(condition(*given))
    )


def after_drawing(patch: pytest.MonkeyPatch, fault: Callable[..., tuple[Array, Array]]) -> None:
    draw = Posterior.draw
    patch.setattr(
        Posterior, "draw",
        lambda self, *args: fault(*draw(self, *args), self.mean[:, :, None]),
    )  # fmt: skip


# Each in a world where both kinds of test can see it.
FAULTS = {
    prior_counted_twice: "nine",
    variance_for_standard_deviation: "known",
    noise_left_out: "stream",
    normal_for_student_t: "gamma",
    factor_transposed: "stream",
}


@pytest.mark.parametrize(("fault", "world"), FAULTS.items())
def test_ranks_raise_the_alarm(
    fault: Fault, world: str, rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    assert alarms(rank_p_values(WORLDS[world], FEW_SETS, rng))


@pytest.mark.parametrize(("fault", "world"), FAULTS.items())
def test_predictions_raise_the_alarm(
    fault: Fault, world: str, rng: Rng, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault(monkeypatch)
    assert alarms(prediction_p_values(WORLDS[world], FEW_OBSERVATIONS, rng))


def coverage_at_eight_rows(estimator: Any, noise: float, n_sets: int) -> float:
    """Share of new observations in intervals of 1.96 standard deviations: 8 rows, 4 weights."""
    rng, covered = np.random.default_rng(0), []
    for _ in range(n_sets):
        X = rng.normal(size=(18, 3))
        y = rng.normal() + X @ rng.normal(size=3) + noise * rng.normal(size=18)
        mean, std = estimator.fit(X[:8], y[:8]).predict(X[8:], return_std=True)
        covered.append(np.abs(y[8:] - mean) < stats.norm.ppf(0.975) * std)
    print(f"{type(estimator).__name__}, noise {noise}: {np.mean(covered):.1%}")  # with -s
    return float(np.mean(covered))


SETS_OF_EIGHT_ROWS = [
    (0.3, 600), *(pytest.param(s, 2000, marks=pytest.mark.slow) for s in (0.1, 0.3, 1.0, 3.0)),
]  # fmt: skip


@pytest.mark.parametrize(("noise", "n_sets"), SETS_OF_EIGHT_ROWS)
def test_intervals_cover_at_eight_rows(noise, n_sets):
    assert 0.93 < coverage_at_eight_rows(BayesianBasisRegressor("identity"), noise, n_sets) < 0.97


def coverage_of_learned_length_scales(basis: Any, shape: tuple[int, int], n_sets: int) -> float:
    """Coverage on Gaussian processes whose length scales are drawn, and then learned."""
    rng, covered = np.random.default_rng(0), []
    n_rows, n_features = shape
    for seed in range(n_sets):
        X = rng.normal(size=(n_rows + 50, n_features))
        lengths = np.exp(rng.normal(0.35, 0.7, size=n_features))
        waves = FourierBasis(400, length_scale=lengths, random_state=seed).fit_transform(X)
        y = waves @ rng.normal(size=400) + 0.3 * rng.normal(size=len(X))
        model = BayesianBasisRegressor(basis).fit(X[:n_rows], y[:n_rows])
        lower, upper = model.predict_interval(X[n_rows:]).T
        covered.append((lower < y[n_rows:]) & (y[n_rows:] < upper))
    return float(np.mean(covered))


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "n_sets"), [((8, 2), 100), ((30, 3), 100)])
def test_intervals_cover_where_length_scales_are_learned(shape, n_sets, monkeypatch):
    basis = FourierBasis(200, random_state=0)
    assert 0.93 < coverage_of_learned_length_scales(basis, shape, n_sets) < 0.98
    monkeypatch.setattr(
        skgen._regression.loo.DualFit, "effective_number_of_basis_parameters", lambda *given: 0.0
    )
    assert coverage_of_learned_length_scales(basis, shape, n_sets) < 0.925


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [8, 15, 30, 60])
def test_intervals_of_the_default_cover_at_few_rows(n_rows):
    shapes = [(n_rows, 2), (n_rows, 3)]
    shares = [coverage_of_learned_length_scales("auto", shape, 50) for shape in shapes]
    assert 0.92 < np.mean(shares) < 0.98


@pytest.mark.parametrize(("noise", "n_sets"), SETS_OF_EIGHT_ROWS)
def test_precisions_plugged_in_would_not_cover_at_eight_rows(noise, n_sets):
    assert coverage_at_eight_rows(BayesianRidge(), noise, n_sets) < 0.88
