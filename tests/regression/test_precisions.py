"""Learnt precisions: values by other formulas, slopes by differences, maxima by other searches."""

from dataclasses import replace

import numpy as np
import pytest
from scipy import optimize, special, stats

from skgen import BayesianBasisRegressor
from skgen._regression import spectrum
from skgen._regression.conjugate import Gamma, Statistic, condition
from skgen._regression.precisions import LinearModelSpec, SimplerModel
from skgen._regression.spectrum import ProjectedData

NOISES = {"known": 4.0, "gamma": Gamma(2.0, 3.0), "jeffreys": Gamma(0.0, 0.0), "learnt": "evidence"}
WEIGHTINGS = {
    "all": np.ones(5),
    "first flat": np.array([0.0, 1, 1, 1, 1]),
    "each its own": np.array([0.5, 1, 2, 4, 8.0]),
    "third flat": np.array([1.0, 1, 0, 1, 1]),
}
N_ROWS = 40


@pytest.fixture
def data(rng):
    """A design matrix whose last two columns matter little, and targets."""
    Phi = rng.normal(size=(N_ROWS, 5)) * [1, 2, 0.5, 1, 3]
    Phi[:, 0] = 1
    return Phi, Phi @ [1.0, -0.7, 1.5, 0.05, 0.0] + rng.normal(size=N_ROWS) * 0.5


def statistic_of(Phi, y):
    return Statistic.empty(Phi.shape[1], 1).append(Phi.copy(), y[:, None].copy(), float(len(y)))


def log_evidence(Phi, y, precision, mean, noise):
    """By scipy's distributions of y; flat columns by the density of contrasts that they leave.

    ``precision`` is relative to the noise precision; ``noise`` a number or a proper Gamma prior.
    """
    flat = precision == 0
    residual = y - Phi[:, ~flat] @ mean[~flat]
    shape = np.eye(len(y)) + (Phi[:, ~flat] / precision[~flat]) @ Phi[:, ~flat].T
    jacobian = 0.0
    if flat.any():
        orthogonal, triangle = np.linalg.qr(Phi[:, flat], mode="complete")
        contrasts = orthogonal[:, flat.sum() :].T
        residual, shape = contrasts @ residual, contrasts @ shape @ contrasts.T
        jacobian = -np.log(np.abs(np.diag(triangle))).sum()
    if isinstance(noise, Gamma):
        ratio = noise.rate / noise.shape
        marginal = stats.multivariate_t(shape=ratio * shape, df=2 * noise.shape)
    else:
        marginal = stats.multivariate_normal(cov=shape / noise)
    return marginal.logpdf(residual) + jacobian


def objective(data, noise, weighting, mean):
    """The evidence that the maximizer climbs, and its slope, by the log ratio of precisions."""
    terms = ProjectedData.of(statistic_of(*data), weighting, mean)
    spectrum, fit = (
        terms.spectrum(),
        LinearModelSpec("evidence", np.zeros(1), noise).data_term(terms.weight),
    )

    def evidence(log_ratio):
        energy, energy_slope, log_det, log_det_slope = spectrum.terms(log_ratio)
        value, by_energy, by_ratio = fit(energy, log_ratio)
        return value + log_det, by_energy * energy_slope + by_ratio + log_det_slope

    return evidence


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("noise", ["known", "gamma"])
def test_what_is_climbed_is_the_evidence_up_to_a_constant(noise, weighting, data, rng):
    weighting, noise, mean = WEIGHTINGS[weighting], NOISES[noise], rng.normal(size=5)
    evidence = objective(data, noise, weighting, mean)
    ratios = np.array([1e-3, 0.1, 1.0, 30.0])
    climbed = [evidence(np.log(ratio))[0] for ratio in ratios]
    expected = [log_evidence(*data, ratio * weighting, mean, noise) for ratio in ratios]
    np.testing.assert_allclose(np.diff(climbed), np.diff(expected), rtol=1e-9)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
def test_with_noise_learnt_what_is_climbed_is_the_evidence_of_the_best_noise(weighting, data, rng):
    weighting, mean = WEIGHTINGS[weighting], rng.normal(size=5)
    evidence = objective(data, "evidence", weighting, mean)

    def best_over_noise(ratio):
        return -optimize.minimize_scalar(
            lambda u: -log_evidence(*data, ratio * weighting, mean, np.exp(u)),
            bounds=(-8, 8), method="bounded", options={"xatol": 1e-9},
        ).fun  # fmt: skip

    ratios = np.array([1e-3, 0.1, 1.0, 30.0])
    climbed = [evidence(np.log(ratio))[0] for ratio in ratios]
    expected = [best_over_noise(ratio) for ratio in ratios]
    np.testing.assert_allclose(np.diff(climbed), np.diff(expected), rtol=1e-8)


@pytest.mark.parametrize("weighting", WEIGHTINGS)
@pytest.mark.parametrize("noise", NOISES)
def test_the_slope_by_the_ratio_is_that_of_central_differences(noise, weighting, data, rng):
    evidence = objective(data, NOISES[noise], WEIGHTINGS[weighting], rng.normal(size=5))
    for log_ratio in np.linspace(-8, 6, 8):
        step = 1e-4
        difference = (evidence(log_ratio + step)[0] - evidence(log_ratio - step)[0]) / (2 * step)
        assert evidence(log_ratio)[1] == pytest.approx(difference, rel=1e-6, abs=1e-7)


def climbed_by(monkeypatch, name, prior, statistic):
    """The function that ``prior`` hands to the search ``name`` of scipy on its way."""
    handed = []
    search = getattr(spectrum, name)

    def recorder(function, *args, **kwargs):
        handed.append(function)
        return search(function, *args, **kwargs)

    monkeypatch.setattr(spectrum, name, recorder)
    prior.posteriors(statistic)
    return handed[-1]


def test_the_slope_by_the_noise_is_that_of_central_differences(monkeypatch, data):
    precision, mean = WEIGHTINGS["each its own"], np.full(5, 0.3)
    prior = LinearModelSpec(precision, mean, "evidence")
    slope = climbed_by(monkeypatch, "brentq", prior, statistic_of(*data))

    def value(log_variance):
        noise = np.exp(-log_variance)
        return log_evidence(*data, precision / noise, mean, noise)

    for log_variance in (-3.0, -1.0, 0.0, 2.0):
        step = 1e-4
        difference = (value(log_variance + step) - value(log_variance - step)) / (2 * step)
        assert slope(log_variance) == pytest.approx(difference, rel=1e-6, abs=1e-6)


PRIORS = {
    (rule, noise, flat_first): LinearModelSpec(rule, np.full(5, 0.1), NOISES[noise], flat_first)
    for rule in ("evidence", "ard")
    for noise in NOISES
    for flat_first in (False, True)
}


@pytest.mark.parametrize("case", PRIORS, ids=str)
def test_no_other_precisions_have_more_evidence(case, data, rng):
    prior, statistic = PRIORS[case], statistic_of(*data)
    (learnt,) = prior.posteriors(statistic)
    known = prior.noise if isinstance(prior.noise, Gamma) else learnt.noise_precision
    for step in (1e-3, 1e-1, 1.0):
        for _ in range(10):
            size = 5 if prior.precision == "ard" else 1
            precision = learnt.precision * np.exp(step * rng.normal(size=size))
            noise = known
            if prior.noise == "evidence":
                noise = known * np.exp(step * rng.normal())
            other = condition(statistic, precision, prior.mean, noise)
            assert other.log_evidence[0] <= learnt.log_evidence[0] + 1e-9


@pytest.mark.parametrize("noise", ["known", "gamma", "learnt"])
@pytest.mark.parametrize("flat_first", [False, True])
def test_a_search_over_scipys_distributions_finds_the_same_precisions(flat_first, noise, data):
    prior = LinearModelSpec("evidence", np.full(5, 0.1), NOISES[noise], flat_first)
    (learnt,) = prior.posteriors(statistic_of(*data))
    weighting = np.ones(5)
    weighting[0] = not flat_first

    def loss(unknowns):
        noise = np.exp(unknowns[1]) if prior.noise == "evidence" else prior.noise
        return -log_evidence(*data, np.exp(unknowns[0]) * weighting, prior.mean, noise)

    found = optimize.minimize(
        loss, np.zeros(1 + (noise == "learnt")), method="Nelder-Mead",
        options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 2000},
    )  # fmt: skip
    assert learnt.log_evidence[0] == pytest.approx(-found.fun, abs=1e-8)
    assert np.log(learnt.precision[-1]) == pytest.approx(found.x[0], abs=1e-4)
    if noise == "learnt":
        assert np.log(learnt.noise_precision[0]) == pytest.approx(found.x[1], abs=1e-4)


def test_learnt_precisions_solve_mackays_equations(data):
    """Bishop eqs 3.92 and 3.95."""
    Phi, y = data
    (learnt,) = LinearModelSpec("evidence", np.zeros(5), "evidence").posteriors(
        statistic_of(Phi, y)
    )
    weights, noise = learnt.mean[:, 0], learnt.noise_precision[0]
    prior_precision = learnt.precision[0] * noise
    gamma = np.sum((values := np.linalg.eigvalsh(noise * Phi.T @ Phi)) / (prior_precision + values))
    assert prior_precision == pytest.approx(gamma / (weights @ weights), rel=1e-10)
    assert 1 / noise == pytest.approx(
        np.sum((y - Phi @ weights) ** 2) / (N_ROWS - gamma), rel=1e-10
    )


def test_learnt_relevances_solve_their_equations(data):
    """Bishop eq. 7.87, for every weight that stays relevant."""
    Phi, y = data
    (learnt,) = LinearModelSpec("ard", np.zeros(5), 4.0).posteriors(statistic_of(Phi, y))
    precision = 4.0 * learnt.precision
    variances = np.diag(np.linalg.inv(np.diag(precision) + 4.0 * Phi.T @ Phi))
    gamma = 1 - precision * variances
    relevant = gamma > 0.5
    assert relevant.sum() >= 3
    weights = learnt.mean[relevant, 0]
    np.testing.assert_allclose(precision[relevant], gamma[relevant] / weights**2, rtol=1e-7)


def test_relevances_switch_off_what_does_not_matter(rng):
    Phi = rng.normal(size=(200, 8))
    y = Phi[:, 0] - Phi[:, 1] + 0.1 * rng.normal(size=200)
    (learnt,) = LinearModelSpec("ard", np.zeros(8), "evidence").posteriors(statistic_of(Phi, y))
    assert np.all(np.abs(learnt.mean[:2, 0]) > 0.9)
    assert np.all(np.abs(learnt.mean[2:, 0]) < 0.03)
    assert learnt.precision[2:].max() > 1e4 * learnt.precision[:2].max()


@pytest.mark.parametrize("case", PRIORS, ids=str)
def test_outputs_are_learnt_each_alone(case, data, rng):
    Phi, y = data
    Y = np.column_stack([y, 3 * y + rng.normal(size=N_ROWS), rng.normal(size=N_ROWS)])
    together = Statistic.empty(5, 3).append(Phi.copy(), Y.copy(), float(N_ROWS))
    for index, posterior in enumerate(PRIORS[case].posteriors(together)):
        (alone,) = PRIORS[case].posteriors(statistic_of(Phi, Y[:, index]))
        digits = 1e-12 if case[0] == "evidence" else 1e-4  # the search's tolerance
        np.testing.assert_allclose(
            posterior.mean, alone.mean, rtol=0, atol=digits * np.abs(alone.mean).max()
        )
        assert posterior.log_evidence[0] == pytest.approx(alone.log_evidence[0], rel=1e-9)


@pytest.mark.parametrize("noise", ["evidence", "gamma", "known"])
@pytest.mark.parametrize("n_rows", [4, 8, 40])
def test_spreads_are_averages_over_the_posterior_of_the_precisions(n_rows, noise, rng):
    """Against sums over a fine grid of log ratios, each with its posterior in closed form."""
    X = rng.normal(size=(n_rows, 3))
    y = X @ [1.0, -0.5, 0.2] + 3 + 0.7 * rng.normal(size=n_rows)
    parameters = {
        "evidence": {},
        "gamma": {"noise_precision": "gamma", "noise_shape": 2.0, "noise_rate": 1.0},
        "known": {"noise_precision": 2.0},
    }[noise]
    shape, rate = {"gamma": (2.0, 1.0)}.get(noise, (0.0, 0.0))
    model = BayesianBasisRegressor("identity", **parameters).fit(X, y)
    x = rng.normal(size=(5, 3))
    mean, std = model.predict(x, return_std=True)

    Z, target = X - X.mean(axis=0), y - y.mean()
    rows, df = x - X.mean(axis=0), n_rows - 1
    largest = np.linalg.eigvalsh(Z.T @ Z).max()
    log_weights, squares, variances = [], [], []
    for ratio in largest * np.logspace(-14, 8, 4000):
        covariance = np.linalg.inv(Z.T @ Z + ratio * np.eye(3))
        weights = covariance @ Z.T @ target
        energy = target @ (target - Z @ weights)
        log_det = 0.5 * (3 * np.log(ratio) + np.linalg.slogdet(covariance)[1])
        if noise == "known":
            log_weights.append(log_det - energy)
            variance = 0.5
        else:
            log_weights.append(log_det - (shape + df / 2) * np.log(rate + energy / 2))
            degrees = 2 * shape + df
            variance = (2 * rate + energy) / max(degrees - 2, degrees / 3)
        # Before the data the ratio is log-uniform, except that large signals are less probable.
        noise_variance = 0.5 if noise == "known" else (2 * rate + energy) / (2 * shape + df)
        signal = np.trace(Z.T @ Z) * noise_variance / ratio
        log_weights[-1] -= np.log1p(signal / (10 * target @ target))
        leverage = 1 / n_rows + np.einsum("ij,jk,ik->i", rows, covariance, rows)
        squares.append(variance * (1 + leverage) + (y.mean() + rows @ weights - mean) ** 2)
        variances.append(variance)
    expected = np.average(squares, axis=0, weights=special.softmax(log_weights))
    np.testing.assert_allclose(std**2, expected, rtol=2e-3)

    # The fourth moment of the noise; a Student-t of up to four degrees of freedom has none.
    df = np.inf if noise == "known" else 2 * shape + df
    kurtosis = 3 * (1 if df == np.inf else (df - 2) / (df - 4) if df > 4 else np.inf)
    shares = special.softmax(log_weights)
    kurtosis *= shares @ np.square(variances) / (shares @ variances) ** 2
    found = model.degrees_of_freedom_
    expected = 3.0 if found == np.inf else np.inf if found == 4 else 3 * (found - 2) / (found - 4)
    np.testing.assert_allclose(expected, kurtosis, rtol=5e-3)
    if noise == "evidence":
        plug_in = BayesianBasisRegressor(
            "identity", prior_precision=model.prior_precision_, intercept_precision=0.0,
            noise_precision=model.noise_precision_,
        ).fit(X, y)  # fmt: skip
        plug_in_mean, plug_in_std = plug_in.predict(x, return_std=True)
        np.testing.assert_allclose(mean, plug_in_mean)
        assert std.mean() > plug_in_std.mean()


def test_where_one_decomposition_fails_another_takes_its_place(monkeypatch, rng):
    """LAPACK's divide and conquer does so on some matrices of small rank, by platform."""
    X = rng.normal(size=(20, 3))
    X = np.hstack([X, X * (1 + 1e-13 * rng.normal(size=X.shape))])  # too close for eigenvalues
    y = X @ np.arange(6.0) + rng.normal(size=20)
    expected = BayesianBasisRegressor("identity").fit(X, y)
    svd, calls = spectrum.svd, []

    def fails(matrix, lapack_driver="gesdd"):
        calls.append(lapack_driver)
        if lapack_driver == "gesdd":
            raise np.linalg.LinAlgError("SVD did not converge")
        return svd(matrix, lapack_driver=lapack_driver)

    monkeypatch.setattr(spectrum, "svd", fails)
    found = BayesianBasisRegressor("identity").fit(X, y)
    assert calls == ["gesdd", "gesvd"]
    np.testing.assert_allclose(found.predict(X), expected.predict(X), rtol=1e-9)
    assert found.noise_precision_ == pytest.approx(expected.noise_precision_, rel=1e-9)


# -- the average with a simpler model -------------------------------------------------------------


@pytest.fixture
def average(rng):
    """A statistic, and a prior with a model of two of its weights."""
    Phi = np.column_stack([np.ones(N_ROWS), rng.standard_normal((N_ROWS, 4))])
    y = Phi @ [2.0, 1.0, -1.0, 0.2, 0.0] + 0.5 * rng.standard_normal(N_ROWS)
    statistic = Statistic.empty(5, 1).append(Phi, y[:, None], N_ROWS)
    simpler = SimplerModel(np.array([1, 2]), np.array([1.0, 4.0]), n_params=3)
    return statistic, LinearModelSpec("evidence", np.zeros(5), "evidence", True, 0, 0, simpler)


def _alone(statistic, spec, columns, relative_precision):
    """Evidence, mean, covariance and noise variance of the model of some columns, each alone."""
    unit = np.append(1.0, 1 / np.sqrt(relative_precision))
    part = replace(statistic, factor=statistic.factor[:, np.append(0, columns)] * unit)
    rotation, factor = np.linalg.qr(part.factor)
    target = rotation.T @ statistic.targets
    rest = np.sum(statistic.targets**2) - np.sum(target**2)
    part = replace(part, factor=factor, targets=target, residual=statistic.residual + rest)
    spec = replace(spec, mean=np.zeros(len(unit)), simpler=None)
    (best,), (found,) = spec.best(part), spec.posteriors(part)
    mean, covariance = np.zeros(5), np.zeros((5, 5))
    inside = np.append(0, columns)
    mean[inside] = found.mean[:, 0] * unit
    covariance[np.ix_(inside, inside)] = found.covariance[0] * np.outer(unit, unit)
    return float(best.log_evidence[0]), mean, covariance, float(found.noise_variance[0])


def test_the_average_of_two_models_has_the_moments_of_their_mixture(average):
    statistic, spec = average
    large = _alone(statistic, spec, np.arange(1, 5), np.ones(4))
    small = _alone(statistic, spec, spec.simpler.columns, spec.simpler.precision)
    share = special.expit((large[0] - small[0]) / (1 + spec.simpler.n_params) - 1)
    assert 0.01 < share < 0.99
    mean = share * large[1] + (1 - share) * small[1]
    covariance = sum(
        weight * (each[2] + np.outer(each[1] - mean, each[1] - mean))
        for weight, each in ((share, large), (1 - share, small))
    )
    (found,) = spec.posteriors(statistic)
    np.testing.assert_allclose(found.mean[:, 0], mean, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.covariance[0][1:, 1:], covariance[1:, 1:], rtol=1e-8)
    noise = share * large[3] + (1 - share) * small[3]
    np.testing.assert_allclose(found.noise_variance, noise, rtol=1e-9)


def test_a_model_that_is_far_more_probable_stands_alone(average):
    statistic, spec = average
    certain = replace(spec, simpler=replace(spec.simpler, columns=np.array([3, 4]), n_params=0))
    (found,) = certain.posteriors(statistic)
    (alone,) = replace(spec, simpler=None).posteriors(statistic)
    np.testing.assert_allclose(found.mean, alone.mean, rtol=1e-9)
    np.testing.assert_allclose(found.covariance, alone.covariance, rtol=1e-9)


@pytest.mark.parametrize("target", [lambda X: X @ [0.6, -0.4, 0.0] + 2.0, lambda X: X[:, 0]])
def test_an_exact_linear_relation_is_found_despite_equal_rows(rng, target):
    """Rounding of y bounds the noise if rows are equal, but not that of the linear model."""
    X = np.round(rng.uniform(0, 5, (80, 3)), 1)
    X[1] = X[0]
    y = target(X)
    new = np.round(rng.uniform(0, 5, (20, 3)), 1)
    mean = BayesianBasisRegressor().fit(X, y).predict(new)
    assert np.abs(mean - target(new)).max() < 1e-6 * y.std()


def test_batches_after_a_fit_keep_the_average(rng):
    X = rng.random((60, 2))
    y = X[:, 0] + 0.1 * rng.standard_normal(60)
    model = BayesianBasisRegressor().fit(X, y)
    before = model._stream.prior
    model.partial_fit(X[:5], y[:5])
    assert before.simpler is not None
    assert model._stream.prior.simpler is before.simpler
    assert model._stream.prior.least_noise == before.least_noise
