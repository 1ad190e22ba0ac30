"""Leave-one-out calibration: by other fits, and by the model linear in weights and parameters."""

import numpy as np
import pytest
from conftest import assert_digits, representatives
from learnable import FITTED, GAMMA, SEARCHED, table, waves
from scipy import stats
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.loo import DualFit, fit_student_t, standardize
from skgen._regression.marginal_likelihood import DesignObjective
from skgen._regression.rows import Rows


@pytest.mark.parametrize(
    ("basis", "noise_precision", "weighted"),
    representatives(SEARCHED, [4.0, "evidence"], [False, True]),
)
def test_parameters_that_the_data_determine_are_counted(basis, noise_precision, weighted, rng):
    """By the covariance of weights and parameters together, of the model that is linear in both."""
    X = table(rng, 100, 2)
    Y = np.sin(X[:, :1] + X[:, 1:] / 3) + 0.2 * rng.normal(size=(100, 2))
    Y *= [1.0, 20.0]
    weights = rng.uniform(0.5, 3, size=100) if weighted else None
    model = BayesianBasisRegressor(SEARCHED[basis], noise_precision=noise_precision)
    stream = model.fit(X, Y, weights)._stream
    posteriors, design = stream.prior.best(stream.statistic), stream.design
    Phi = design.rows(X)
    n_columns, n_theta = Phi.shape[1], len(design.basis.theta_)
    information = np.zeros((2 * n_columns + n_theta, 2 * n_columns + n_theta))
    information[-n_theta:, -n_theta:] = np.eye(n_theta)
    for output, posterior in enumerate(posteriors):
        places = np.r_[output * n_columns : (output + 1) * n_columns, -n_theta:0]
        if hasattr(design.basis, "exact_kernel") and design.n_basis >= 100:
            moves = moves_by_kernel(design.basis, X, Y[:, [output]], Phi, posterior, weights)
        else:
            moves = [
                design.basis.vjp(X, Phi[:, 1:], np.outer(row, posterior.mean[1:, 0]))
                for row in np.eye(100)
            ]
        columns = np.hstack([Phi, moves]) * np.sqrt(posterior.noise_precision[0])
        if weighted:
            columns *= np.sqrt(weights)[:, None]
        part = columns.T @ columns
        diagonal = np.arange(n_columns)
        part[diagonal, diagonal] += posterior.precision * posterior.noise_precision[0]
        information[np.ix_(places, places)] += part
    own = np.linalg.inv(information)[-n_theta:, -n_theta:]
    fit = DualFit.of(design, Rows(X, Y, weights), stream.prior, design.basis.theta_.copy())
    found = fit.effective_number_of_basis_parameters()
    np.testing.assert_allclose(found, n_theta - np.trace(own), rtol=1e-4)
    assert 0 < found < n_theta
    np.testing.assert_allclose(design.calibration.n_params, found, rtol=1e-4)


def moves_by_kernel(basis, X, y, Phi, posterior, weights):
    """Half the changes of the kernel, the representer weights as they are, (n_rows, n_theta)."""
    dual = y - Phi @ posterior.mean
    if weights is not None:
        dual *= weights[:, None]
    dual *= 0.5 / posterior.precision[-1]
    kernel, theta = basis.exact_kernel(X), basis.theta_.copy()
    steps = 1e-5 * np.eye(len(theta))
    return np.column_stack([
        (kernel.at(theta + step)[0] - kernel.at(theta - step)[0]) @ dual / 2e-5 for step in steps
    ])  # fmt: skip


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


# -- rows that are left out -----------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("basis", SEARCHED)
def test_residuals_are_those_of_fits_to_all_other_rows(basis, weighted, rng):
    X, y = table(rng, 30, 2), rng.normal(size=30)
    weights = rng.uniform(0.5, 3, size=30) if weighted else np.ones(30)
    scales = rng.uniform(0.5, 3, size=30) if weighted else np.ones(30)
    frozen = FrozenEstimator(clone(SEARCHED[basis]).fit(X))
    model = BayesianBasisRegressor(frozen, prior_precision=2.0, noise_precision=4.0)
    stream = model.fit(X, y, weights, noise_scale=scales)._stream
    rows = Rows(X, y[:, None], weights, scales)
    fit = DualFit.of(stream.design, rows, stream.prior)
    found, _, their_weights = standardize(rows, *fit.residuals_and_leverage(), np.array([0.25]))
    assert np.array_equal(their_weights, weights)
    for row in range(30):
        others = np.arange(30) != row
        other = clone(model).fit(X[others], y[others], weights[others], noise_scale=scales[others])
        mean, std = other.predict(X[[row]], return_std=True, noise_scale=scales[row])
        assert found[row, 0] == pytest.approx((y[row] - mean[0]) / std[0], rel=1e-9)


def test_rows_that_determine_their_own_prediction_are_not_left_out(rng):
    X, y = rng.normal(size=(20, 2)), rng.normal(size=20)
    X[0] = 1e8
    model = BayesianBasisRegressor("identity", prior_precision=1e-9, noise_precision=1.0).fit(X, y)
    rows = Rows(X, y[:, None], np.ones(20))
    fit = DualFit.of(model._stream.design, rows, model._stream.prior)
    found, _, weights = standardize(rows, *fit.residuals_and_leverage(), np.ones(1))
    assert found.shape == (19, 1)
    assert len(weights) == 19


@pytest.mark.parametrize("n_rows", [15, 60])  # fewer and more than basis functions
@pytest.mark.parametrize("given", [{"noise_precision": 4.0}, {"prior_precision": 2.0}], ids=str)
def test_objective_and_fit_leave_out_the_same(given, n_rows, rng):
    X, Y = table(rng, n_rows, 2), rng.normal(size=(n_rows, 2)) * [1.0, 1.1]
    rows = Rows(X, Y, rng.uniform(0.5, 3, size=n_rows), rng.uniform(0.5, 3, size=n_rows))
    model = BayesianBasisRegressor(GaussianBasis(20, width="evidence"), **given).fit(X, Y)
    design, prior = model._stream.design, model._stream.prior
    fit = DualFit.of(design, rows, prior, design.basis.theta_.copy())
    objective = DesignObjective(design.basis, design, rows, prior)
    for output, ratio in enumerate(fit.ratios):
        residuals, leverage, _ = objective.fit_rows(fit.theta, np.log(ratio))
        expected, leverages = fit.residuals_and_leverage()
        np.testing.assert_allclose(residuals[:, output], expected[:, output], atol=1e-9)
        np.testing.assert_allclose(leverage[:, 0], leverages[:, output], atol=1e-9)


def narrowest(df, before):
    """Standard deviation of the Student-t whose 99 % interval is that of the one before."""
    return reach_of(before) / reach_of(df)


def reach_of(df):
    return stats.t.ppf(0.995, df) * np.sqrt(1 - 2 / df)


@pytest.mark.parametrize("df", [3.5, 5.0, 10.0, 1e9])
@pytest.mark.parametrize("scale", [0.7, 0.9, 1.3])
def test_student_t_is_that_of_the_residuals(df, scale, rng):
    residuals = scale * stats.t.rvs(df, size=20_000, random_state=rng)
    found, std = fit_student_t(residuals, np.ones(20_000), np.inf)
    expected = max(scale / np.sqrt(1 - 2 / df), narrowest(df, 1e9))
    assert 1 / found == pytest.approx(1 / df, abs=0.02)
    assert std == pytest.approx(expected, rel=0.05)


@pytest.mark.parametrize("scale", [0.5, 0.8, 2])
@pytest.mark.parametrize("before", [4.0, 30.0, 1e9])
def test_student_t_is_the_most_likely_one(before, scale, rng):
    """Given the residuals and 20 rows of the distribution before, by a search over a grid.

    If it is narrower than that one, its standard deviation counts in part.
    """
    residuals, weights = scale * rng.standard_t(3, size=60), rng.uniform(0.5, 2, size=60)
    own = stats.t.ppf((np.arange(1000) + 0.5) / 1000, before) * np.sqrt(1 - 2 / before)

    def log_likelihood(df, std):
        scale = std * np.sqrt(1 - 2 / df)
        likelihood = weights @ stats.t.logpdf(residuals, df, scale=scale)
        return likelihood + 20 * stats.t.logpdf(own, df, scale=scale).mean()

    grid = [
        (df, std)
        for df in 1 / np.linspace(1 / min(before, 1000), 1 / 3, 40)
        for std in np.exp(np.linspace(-1, 1.5, 84))
    ]
    best_df, best_std = max(grid, key=lambda values: log_likelihood(*values))
    if best_std < 1:
        best_std **= weights.sum() / (weights.sum() + 100)
        best_std = max(best_std, narrowest(best_df, before))
    df, std = fit_student_t(residuals, weights, before)
    assert 1 / df == pytest.approx(1 / best_df, abs=0.01)
    assert std == pytest.approx(best_std, rel=0.03)


def test_weighted_residuals_count_as_repeated_ones(rng):
    residuals, counts = rng.standard_t(4, size=200), rng.integers(1, 5, size=200)
    repeated = np.repeat(residuals, counts)
    expected = fit_student_t(repeated, np.ones(len(repeated)), 50.0)
    assert_digits(fit_student_t(residuals, counts * 1.0, 50.0), expected, 5)


@pytest.mark.parametrize("before", [3.5, 20.0, np.inf])
def test_without_residuals_the_distribution_stays_as_it_was(before):
    df, std = fit_student_t(np.empty(0), np.empty(0), before)
    assert std == pytest.approx(1, abs=1e-5)
    assert df == pytest.approx(before, rel=1e-5)


@pytest.mark.parametrize("residuals", [np.zeros(50), np.full(50, 0.5)], ids=["0", "0.5"])
def test_small_residuals_do_not_narrow_99_percent_intervals(residuals):
    df, std = fit_student_t(residuals, np.ones(50), 8.0)
    assert 3 <= df <= 8
    assert narrowest(df, 8.0) - 1e-9 <= std <= 1


def test_few_residuals_count_less_than_the_distribution_before(rng):
    residuals = 5 * rng.normal(size=400)
    stds = [fit_student_t(residuals[:n], np.ones(n), 20.0)[1] for n in (4, 40, 400)]
    assert 1 < stds[0] < stds[1] < stds[2]
    assert stds[2] > 4


def test_heavy_tails_are_learned(rng):
    """Student-t noise of 5 degrees of freedom: more density than a normal of the same spread."""
    X = rng.normal(size=(2000, 3))
    y = np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.standard_t(5, size=2000)
    model = BayesianBasisRegressor(FITTED["few fourier"]).fit(X[:1000], y[:1000])
    assert 3 <= model.degrees_of_freedom_ < 9
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
    model = BayesianBasisRegressor(FITTED["few fourier"], **prior).fit(X, y)
    calibration = model._stream.design.calibration
    assert calibration.df == np.inf
    assert calibration.std_ratio == 1


def test_a_basis_that_is_given_takes_nothing_from_the_data(rng):
    X, y = waves(rng)
    for basis in (FourierBasis(30, length_scale=1.0, random_state=0), "identity"):
        assert BayesianBasisRegressor(basis).fit(X, y)._stream.design.calibration is None


@pytest.mark.parametrize("rounding", [0.0, 1e-15])
def test_rows_of_equal_features_are_not_differentiated_one_by_one(rounding, rng, monkeypatch):
    """900 rows of 100 different features: the basis is its kernel there, whose slopes are known."""
    calls, vjp = [], FourierBasis.vjp
    monkeypatch.setattr(FourierBasis, "vjp", lambda *args: calls.append(1) or vjp(*args))
    X = np.repeat(rng.uniform(size=(100, 2)), 9, axis=0)
    X *= 1 + rounding * rng.standard_normal(X.shape)
    y = np.sin(6 * X[:, 0]) + 0.1 * rng.standard_normal(len(X))
    model = BayesianBasisRegressor(FourierBasis(random_state=0), noise="constant").fit(X, y)
    assert model._stream.design.n_basis < len(X)
    assert len(calls) < 10
    # Without the kernel, about as many basis parameters are found.
    rows = Rows(X, y[:, None], np.ones(len(X)))
    fit = DualFit.of(model._stream.design, rows, model._stream.prior, model.basis_.theta_)
    by_kernel = fit.effective_number_of_basis_parameters()
    monkeypatch.setattr(DesignObjective, "_kernel_slopes", lambda *args: None)
    by_design = fit.effective_number_of_basis_parameters()
    assert len(calls) > 800
    assert 0 < by_kernel < len(model.basis_.theta_)
    assert by_kernel == pytest.approx(by_design, rel=0.25)  # by another root of the kernel matrix
