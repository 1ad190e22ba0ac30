"""Rows whose noise is known: a noise scale per row, against Gaussian processes and by laws."""

import numpy as np
import pytest
from conftest import assert_digits
from scipy import stats
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct

import skgen
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.basis_search import merge_duplicates
from skgen._regression.rows import Rows

OPTIONS = {
    "numbers": {"prior_precision": 2.0, "noise_precision": 25.0},
    "learned": {},
    "learned prior": {"noise_precision": 25.0},
    "learned noise": {"prior_precision": 2.0},
    "gamma": {"prior_precision": 2.0, "noise_precision": "gamma"},
    "ard": {"prior_precision": "ard"},
}
LOCAL = GaussianBasis(7, domain=(0, 1))
WAVES = FourierBasis(20, random_state=0)  # with a length scale that is learned


@pytest.fixture
def data(rng):
    """X, two outputs, and noise scales of 40 rows."""
    X, scale = rng.uniform(size=(40, 1)), rng.uniform(0.2, 2.0, size=40)
    Y = np.column_stack([np.sin(6 * X[:, 0]), X[:, 0] ** 2])
    return X, Y + 0.3 * scale[:, None] * rng.normal(size=(40, 2)), scale


def answers(model, X, Y, scale):
    mean, std = model.predict(X, return_std=True, noise_scale=scale)
    _, cov = model.predict(X, return_cov=True, noise_scale=scale)
    return {
        "mean": mean,
        "std": std,
        "cov": cov,
        "function": model.predict(X, return_std=True, observation_noise=False)[1],
        "interval": model.predict_interval(X, noise_scale=scale),
        "density": model.log_predictive_density(X, Y, noise_scale=scale),
        "evidence": model.log_marginal_likelihood_,
    }


def assert_same_answers(model, other, X, Y, scale, digits=10):
    expected = answers(other, X, Y, scale)
    for name, found in answers(model, X, Y, scale).items():
        assert_digits(found, expected[name], digits)


@pytest.mark.parametrize("solver", ["qr", "cholesky"])
def test_answers_are_those_of_a_gaussian_process_with_alpha(solver, data):
    X, Y, scale = data
    y, new, new_scale = Y[:, 0], np.linspace(-0.2, 1.2, 9)[:, None], np.linspace(0.1, 3, 9)
    model = BayesianBasisRegressor(LOCAL, prior_precision=2.0, noise_precision=1.0, solver=solver)
    model.fit(X, y, noise_scale=scale)
    kernel = ConstantKernel(0.5, "fixed") * DotProduct(1.0, "fixed")  # (1 + phi' phi) / 2
    process = GaussianProcessRegressor(kernel, alpha=scale**2)
    process.fit(model.basis_.transform(X), y)
    mean, std = model.predict(new, return_std=True, noise_scale=new_scale)
    their_mean, their_std = process.predict(model.basis_.transform(new), return_std=True)
    assert_digits(mean, their_mean, 8)
    assert_digits(std, np.sqrt(their_std**2 + new_scale**2), 8)
    _, smooth = model.predict(new, return_std=True, observation_noise=False, noise_scale=new_scale)
    assert_digits(smooth, their_std, 8)
    expected = process.log_marginal_likelihood_value_
    assert model.log_marginal_likelihood_ == pytest.approx(expected, abs=1e-8)


def test_answers_are_those_of_the_closed_form(data):
    X, Y, scale = data
    model = BayesianBasisRegressor(LOCAL, prior_precision=2.0, noise_precision=25.0)
    model.fit(X, Y, noise_scale=scale)
    Phi = np.column_stack([np.ones(40), model.basis_.transform(X)])
    K, noise = Phi @ Phi.T / 2, np.diag(scale**2 / 25)
    gain = np.linalg.solve(K + noise, K).T
    mean, cov = model.predict(X, return_cov=True, noise_scale=scale)
    assert_digits(mean, gain @ Y, 10)
    assert_digits(cov[:, :, 1], K - gain @ K + noise, 10)
    evidence = stats.multivariate_normal(cov=K + noise).logpdf(Y.T).sum()
    assert model.log_marginal_likelihood_ == pytest.approx(evidence, rel=1e-10)


@pytest.mark.parametrize("option", OPTIONS)
def test_a_fit_is_that_of_rows_over_their_noise_scales(option, data):
    """Of the features and targets themselves, with the Jacobian in the evidence."""
    X, Y, scale = data
    features = np.column_stack([np.ones(40), X, X**2])
    model = BayesianBasisRegressor("identity", fit_intercept=False, **OPTIONS[option])
    scaled = clone(model).fit(features / scale[:, None], Y / scale[:, None])
    model.fit(features, Y, noise_scale=scale)
    digits = 5 if option == "ard" else 9
    assert_digits(model.coef_, scaled.coef_, digits)
    assert_digits(model.covariance_, scaled.covariance_, digits)
    evidence = scaled.log_marginal_likelihood_ - 2 * np.log(scale).sum()
    assert model.log_marginal_likelihood_ == pytest.approx(evidence, rel=1e-9)
    _, std = model.predict(features, return_std=True, noise_scale=scale)
    _, expected = scaled.predict(features / scale[:, None], return_std=True)
    assert_digits(std, expected * scale[:, None], digits)


@pytest.mark.parametrize("basis", [LOCAL, WAVES], ids=["fixed", "learned"])
@pytest.mark.parametrize("option", ["learned", "learned noise"])
def test_a_common_noise_scale_is_in_the_learned_noise(basis, option, data):
    X, Y, _ = data
    model = BayesianBasisRegressor(basis, **OPTIONS[option]).fit(X, Y)
    other = clone(model).fit(X, Y, noise_scale=10.0)
    digits = 3 if basis is WAVES else 8  # a search ends within its tolerance
    assert_digits(other.predict(X), model.predict(X), digits)
    std = model.predict(X, return_std=True)[1]
    assert_digits(other.predict(X, return_std=True, noise_scale=10.0)[1], std, digits)
    assert_digits(other.noise_precision_, 100 * np.asarray(model.noise_precision_), digits)
    assert_digits(other.log_marginal_likelihood_, model.log_marginal_likelihood_, digits)


@pytest.mark.parametrize("option", OPTIONS)
def test_batches_and_merged_parts_give_the_fit_to_all_rows(option, data):
    X, Y, scale = data
    whole = BayesianBasisRegressor(LOCAL, **OPTIONS[option]).fit(X, Y, noise_scale=scale)
    rows = [slice(0, 1), slice(1, 13), slice(13, 40)]
    stream = clone(whole)
    for part in rows:
        stream.partial_fit(X[part], Y[part], noise_scale=scale[part])
    first, *others = (clone(whole).fit(X[p], Y[p], noise_scale=scale[p]) for p in rows)
    for other in others:
        first.merge(other)
    digits = 5 if option == "ard" else 9
    assert_same_answers(stream, whole, X, Y, scale, digits)
    assert_same_answers(first, whole, X, Y, scale, digits)


def test_rows_without_a_noise_scale_have_one_of_1(data):
    X, Y, scale = data
    scale = np.where(np.arange(40) < 20, 1.0, scale)
    stream = BayesianBasisRegressor(LOCAL)
    stream.partial_fit(X[:10], Y[:10]).partial_fit(X[10:20], Y[10:20])
    stream.partial_fit(X[20:], Y[20:], noise_scale=scale[20:])
    whole = BayesianBasisRegressor(LOCAL).fit(X, Y, noise_scale=scale)
    assert_same_answers(stream, whole, X, Y, scale, 9)


def test_forgetting_discounts_rows_and_their_noise_scales(data):
    X, Y, scale = data
    faded = BayesianBasisRegressor(LOCAL, forgetting=0.9)
    for part in (slice(0, 7), slice(7, 40)):
        faded.partial_fit(X[part], Y[part], noise_scale=scale[part])
    weighted = BayesianBasisRegressor(LOCAL)
    weighted.fit(X, Y, 0.9 ** np.arange(40)[::-1], noise_scale=scale)
    assert_same_answers(faded, weighted, X, Y, scale, 9)


@pytest.mark.parametrize("basis", [LOCAL, WAVES], ids=["fixed", "learned"])
def test_a_row_of_weight_k_counts_as_k_rows(basis, data, rng):
    X, Y, scale = data
    counts = rng.integers(0, 4, size=40)
    weighted = BayesianBasisRegressor(basis).fit(X, Y, counts, noise_scale=scale)
    repeated = [np.repeat(table, counts, axis=0) for table in (X, Y, scale)]
    other = BayesianBasisRegressor(basis).fit(*repeated[:2], noise_scale=repeated[2])
    assert_same_answers(weighted, other, X, Y, scale, 8)


def test_a_search_by_the_evidence_sees_the_noise_scales(rng):
    """Wiggles that are all noise where its scale says so leave the length scale long."""
    X = np.linspace(0, 1, 60)[:, None]
    scale = np.where(np.arange(60) % 2, 0.05, 1.0)
    y = np.sin(4 * X[:, 0]) + scale * np.where(np.arange(60) % 4 > 1, 1.5, -1.5)
    options = {"noise_precision": 1.0, "prior_precision": 1.0}
    model = BayesianBasisRegressor(FourierBasis(60, random_state=0), **options)
    blind = clone(model).fit(X, y).basis_.length_scale_[0]
    assert model.fit(X, y, noise_scale=scale).basis_.length_scale_[0] != pytest.approx(blind)
    precise = scale < 1
    error = model.predict(X[precise]) - np.sin(4 * X[precise, 0])
    assert np.abs(error).max() < 0.1


def test_equal_rows_of_different_noise_stay_apart():
    rows = Rows(np.ones((4, 1)), np.ones((4, 2)), None, np.array([1.0, 2.0, 1.0, 1.0]))
    merged = merge_duplicates(rows)
    assert_digits(merged.weights, [3, 1])
    assert_digits(merged.noise_scale, [1, 2])
    assert merged.Y.shape == (2, 2)


def test_draws_have_the_noise_of_their_rows(data):
    X, Y, scale = data
    model = BayesianBasisRegressor(LOCAL).fit(X, Y, noise_scale=scale)
    new, noise = X[:3], np.array([0.1, 1.0, 10.0])
    _, std = model.predict(new, return_std=True, noise_scale=noise)
    draws = model.sample_y(new, 20_000, random_state=0, noise_scale=noise)
    np.testing.assert_allclose(draws.std(axis=2), std, rtol=0.05)
    prior = BayesianBasisRegressor(LOCAL, prior_precision=1.0, noise_precision=1.0)
    draws = prior.sample_y(new, 20_000, random_state=0, noise_scale=100.0)
    np.testing.assert_allclose(draws.std(axis=1), 100, rtol=0.05)


def test_files_keep_what_noise_scales_did(data, tmp_path):
    X, Y, scale = data
    model = BayesianBasisRegressor(LOCAL).fit(X, Y, noise_scale=scale)
    skgen.save(model, tmp_path / "model.skgen")
    loaded = skgen.load(tmp_path / "model.skgen")
    assert_same_answers(loaded, model, X, Y, scale, 15)
    model.partial_fit(X, Y, noise_scale=scale)
    loaded.partial_fit(X, Y, noise_scale=scale)
    assert_same_answers(loaded, model, X, Y, scale, 15)


INVALID = [0.0, -1.0, np.nan, np.inf, 1e-200, [1.0, 2.0], np.ones((40, 1)), "one", [True] * 40]


@pytest.mark.parametrize("value", INVALID, ids=str)
@pytest.mark.parametrize(
    "method", ["fit", "partial_fit", "predict", "predict_interval", "sample_y", "density"]
)
def test_invalid_noise_scales_are_refused(method, value, data):
    X, Y, _ = data
    model = BayesianBasisRegressor(LOCAL).fit(X, Y)
    before = model.predict(X)
    method = method.replace("density", "log_predictive_density")
    args = (X,) if method.startswith(("predict", "sample")) else (X, Y)
    with pytest.raises((ValueError, TypeError), match=r"`noise_scale` must .+\. Give one positive"):
        getattr(model, method)(*args, noise_scale=value)
    assert np.array_equal(model.predict(X), before)


def test_dask_input_has_no_noise_scales(data):
    da = pytest.importorskip("dask.array")
    X, Y, scale = data
    lazy = da.from_array(X, chunks=(20, 1)), da.from_array(Y, chunks=(20, 2))
    model = BayesianBasisRegressor(LOCAL).fit(X, Y)
    for call in (model.fit, model.log_predictive_density):
        with pytest.raises(ValueError, match="`noise_scale` must be None for dask"):
            call(*lazy, noise_scale=scale)
    for call in (model.predict, model.predict_interval, model.sample_y):
        with pytest.raises(ValueError, match="`noise_scale` must be None for dask"):
            call(lazy[0], noise_scale=scale)
