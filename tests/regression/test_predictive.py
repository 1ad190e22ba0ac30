"""The predictive distribution: its std, density, quantiles and covariance agree with each other."""

import numpy as np
import pytest
from scipy import stats

from skgen import BayesianBasisRegressor, FourierBasis
from skgen._regression.predictive import Predictive, draw_variances, variance_ratio

DF = [2.5, 3.0, 8.0, 200.0, np.inf]
PROBABILITIES = np.array([1e-6, 0.01, 0.05, 0.5, 0.8, 0.975, 0.999])


@pytest.fixture
def rows(rng):
    X = rng.normal(size=(40, 2))
    return X, np.column_stack([X[:, 0], np.sin(X[:, 1])]) + 0.2 * rng.normal(size=(40, 2))


MODELS = {
    "evidence": BayesianBasisRegressor("identity"),
    "known": BayesianBasisRegressor("identity", prior_precision=1.0, noise_precision=4.0),
    "gamma": BayesianBasisRegressor("identity", prior_precision=1.0, noise_precision="gamma"),
    "learned": BayesianBasisRegressor(FourierBasis(20, random_state=0)),
}


@pytest.mark.parametrize("df", DF)
def test_quantiles_invert_the_distribution_function(df, rng):
    predictive = Predictive(rng.normal(size=(4, 2)), rng.uniform(1, 2, (4, 2)), np.full(2, df))
    quantiles = predictive.quantiles(PROBABILITIES)
    found = [predictive.cdf(quantiles[..., index]) for index in range(len(PROBABILITIES))]
    expected = np.broadcast_to(PROBABILITIES[:, None, None], np.shape(found))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("df", [2.5, 3.0, 8.0, 200.0, 1000.0])
def test_the_density_by_its_spread_has_right_derivatives(df, rng):
    y, log_std, step = 3 * rng.normal(size=20), 0.3, 1e-5
    values, by_log_std, by_inverse_df = Predictive.log_density_by_spread(y, log_std, 1 / df)
    expected = Predictive.from_std(0.0, np.exp(log_std), df).log_density(y)
    np.testing.assert_allclose(values, expected, rtol=1e-9, atol=1e-9)

    def density(log_std, inverse_df):
        return Predictive.from_std(0.0, np.exp(log_std), 1 / inverse_df).log_density(y)

    by_std = (density(log_std + step, 1 / df) - density(log_std - step, 1 / df)) / (2 * step)
    np.testing.assert_allclose(by_log_std, by_std, rtol=1e-5, atol=1e-7)
    step = 1e-4 / df
    by_df = (density(log_std, 1 / df + step) - density(log_std, 1 / df - step)) / (2 * step)
    np.testing.assert_allclose(by_inverse_df, by_df, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("df", DF)
def test_variance_is_that_of_scipy(df):
    distribution = stats.norm() if np.isinf(df) else stats.t(df)
    assert variance_ratio(df) == pytest.approx(distribution.var())
    predictive = Predictive.from_std(np.zeros(1), np.array([3.0]), df)
    assert predictive.std == pytest.approx(3.0)
    assert predictive.scale == pytest.approx(3 / distribution.std())


def test_variance_is_infinite_for_few_degrees_of_freedom():
    assert np.all(np.isinf(variance_ratio([0.5, 1.0, 2.0])))


def test_mixture_of_normal_draws_is_a_student_t(rng):
    draws = np.sqrt(draw_variances(3.0, (100_000,), rng)) * rng.normal(size=100_000)
    assert stats.kstest(draws, stats.t(3.0).cdf).pvalue > 1e-3
    assert np.all(draw_variances(np.inf, (3,), rng) == 1)


@pytest.mark.parametrize("noise", [True, False])
@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_spreads_quantiles_intervals_and_draws_agree(model, noise, rows, rng):
    X, Y = rows
    model.fit(X, Y)
    options = {"observation_noise": noise}
    mean, std = model.predict(X[:5], return_std=True, **options)
    _, cov = model.predict(X[:5], return_cov=True, **options)
    np.testing.assert_allclose(np.sqrt(np.einsum("iik->ik", cov)), std, rtol=1e-9)
    predictive = Predictive.from_std(mean, std, model.degrees_of_freedom_)
    quantiles = model.predict_quantiles(X[:5], PROBABILITIES, **options)
    np.testing.assert_allclose(quantiles, predictive.quantiles(PROBABILITIES), rtol=1e-9)
    interval = model.predict_interval(X[:5], 0.9, **options)
    np.testing.assert_allclose(interval, model.predict_quantiles(X[:5], [0.05, 0.95], **options))
    draws = model.sample_y(X[:5], 20_000, random_state=0, **options)
    shares = (draws[..., None] < interval[:, :, None]).mean(axis=2)
    np.testing.assert_allclose(shares, np.broadcast_to([0.05, 0.95], shares.shape), atol=0.01)


def test_noise_adds_its_variance(rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y[:, 0])
    _, std = model.predict(X, return_std=True)
    _, smooth = model.predict(X, return_std=True, observation_noise=False)
    (posterior,) = model._stream.posteriors
    np.testing.assert_allclose(std**2 - smooth**2, posterior.noise_variance[0], rtol=1e-9)


def test_one_output_has_quantiles_without_an_axis_for_it(rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y[:, 0])
    median = model.predict_quantiles(X, 0.5)
    assert median.shape == (40, 1)
    np.testing.assert_allclose(median[:, 0], model.predict(X))
    assert model.predict_interval(X).shape == (40, 2)


@pytest.mark.parametrize("quantiles", [0.0, 1.0, -0.1, [0.5, 1.5], [], [[0.5]], np.nan, None])
def test_invalid_quantiles_are_refused(quantiles, rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y)
    with pytest.raises(ValueError, match="`quantiles` must"):
        model.predict_quantiles(X, quantiles)


@pytest.mark.parametrize("quantiles", ["median", ["a"], [True], [object()]])
def test_quantiles_of_another_type_are_refused(quantiles, rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y)
    with pytest.raises((TypeError, ValueError), match="`quantiles` must"):
        model.predict_quantiles(X, quantiles)


FLAGS = [
    ("predict", "return_std"), ("predict", "return_cov"), ("predict", "observation_noise"),
    ("predict_interval", "observation_noise"), ("sample_y", "observation_noise"),
]  # fmt: skip


@pytest.mark.parametrize("value", ["no", "", 1, None, 0.0, [True]], ids=str)
@pytest.mark.parametrize(("method", "flag"), FLAGS)
def test_flags_are_bools(method, flag, value, rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y)
    with pytest.raises(TypeError, match=f"`{flag}` must be a bool; got"):
        getattr(model, method)(X, **{flag: value})
    assert np.array_equal(
        model.predict(X, return_std=np.bool_(True))[1], model.predict(X, return_std=True)[1]
    )


@pytest.mark.parametrize("coverage", [0.0, 1.0, 2.0, -1])
def test_invalid_coverage_is_refused(coverage, rows):
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y)
    with pytest.raises(ValueError, match="`coverage` must"):
        model.predict_interval(X, coverage)


def test_quantiles_of_dask_rows_are_the_same(rows):
    da = pytest.importorskip("dask.array")
    X, Y = rows
    model = BayesianBasisRegressor("identity").fit(X, Y)
    found = model.predict_quantiles(da.from_array(X, chunks=(15, 2)), [0.1, 0.9])
    np.testing.assert_allclose(found.compute(), model.predict_quantiles(X, [0.1, 0.9]))
    smooth = {"return_std": True, "observation_noise": False}
    _, std = model.predict(da.from_array(X, chunks=(15, 2)), **smooth)
    np.testing.assert_allclose(std.compute(), model.predict(X, **smooth)[1])
