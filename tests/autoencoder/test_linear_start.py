"""Start of autoencoders at a factor analysis, against scikit-learn and the normal density."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import multivariate_normal, norm
from sklearn.datasets import load_iris, load_wine
from sklearn.decomposition import PCA, FactorAnalysis
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler

from skgen import VAETransformer
from skgen._autoencoder.factors import Factors
from skgen.likelihoods import Gaussian
from skgen.networks import MLP

IRIS, WINE = (StandardScaler().fit_transform(load().data) for load in (load_iris, load_wine))
AT_START = {"max_iter": 1, "learning_rate_init": 1e-12, "random_state": 0}


def covariance(factors):
    return factors.weights @ factors.weights.T + np.diag(factors.variance)


def log_density(factors, X):
    return multivariate_normal(factors.mean, covariance(factors)).logpdf(X).mean()


@pytest.mark.parametrize("n_components", [1, 4, 8])
def test_factors_are_those_of_scikit_learn(n_components):
    found = Factors.fit(WINE, None, n_components, shared=False, floor=1e-6)
    expected = FactorAnalysis(n_components, max_iter=5000).fit(WINE).score(WINE)
    assert abs(log_density(found, WINE) - expected) < 0.01


def test_with_one_variance_factors_are_principal_components():
    found = Factors.fit(WINE, None, 4, shared=True, floor=1e-6)
    pca = PCA(4).fit(WINE)
    pca.noise_variance_ *= (len(WINE) - 1) / len(WINE)
    pca.explained_variance_ *= (len(WINE) - 1) / len(WINE)
    assert_allclose(covariance(found), pca.get_covariance(), atol=1e-10)


def test_factors_are_found_behind_missing_cells():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(6, 2))
    X = rng.normal(size=(4000, 2)) @ weights.T + 0.5 * rng.normal(size=(4000, 6))
    mask = rng.random(X.shape) < 0.3
    found = Factors.fit(np.where(mask, 0.0, X), mask, 2, shared=False, floor=1e-6)
    true = weights @ weights.T + 0.25 * np.eye(6)
    complete = Factors.fit(X, None, 2, shared=False, floor=1e-6)
    assert abs(log_density(found, X) - log_density(complete, X)) < 0.01
    assert np.abs(covariance(found) - true).max() < 0.05 * np.abs(true).max()


def test_the_posterior_of_observed_cells_is_that_of_the_joint_normal_distribution():
    factors = Factors.fit(WINE, None, 3, shared=False, floor=1e-6)
    mask = np.random.default_rng(0).random(WINE.shape) < 0.4
    mean, spread = factors.posterior(WINE, mask)
    for row in range(3):
        seen = ~mask[row]
        gain = factors.weights[seen].T @ np.linalg.inv(covariance(factors)[np.ix_(seen, seen)])
        assert_allclose(mean[row], gain @ (WINE[row] - factors.mean)[seen], atol=1e-8)
        assert_allclose(spread[row], np.eye(3) - gain @ factors.weights[seen], atol=1e-8)


@pytest.mark.parametrize("networks", [{}, {"hidden_layer_sizes": ()}, {"encoder": MLP(skip=True)}])
def test_a_dimension_fewer_than_features_starts_at_the_full_gaussian(networks):
    model = VAETransformer(3, **networks, **AT_START).fit(IRIS)
    normal = multivariate_normal(IRIS.mean(axis=0), np.cov(IRIS.T, bias=True))
    assert abs(model.score(IRIS) - normal.logpdf(IRIS).mean()) < 0.01
    elbo = model.score_samples(IRIS, n_importance_samples=1)
    assert_allclose(elbo, normal.logpdf(IRIS), atol=0.1)


def test_one_factor_of_few_rows_is_found_in_few_steps():
    """The case in which training from random weights was far from converged."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 1)) @ rng.normal(size=(1, 6)) + 0.5 * rng.normal(size=(400, 6))
    train, test = X[:200], X[200:]
    model = VAETransformer(
        1, likelihood="gaussian", hidden_layer_sizes=(), max_iter=100, random_state=0
    )
    scaler = StandardScaler().fit(train)
    pca = PCA(1).fit(scaler.transform(train))
    expected = pca.score(scaler.transform(test)) - np.log(scaler.scale_).sum()
    assert abs(model.fit(train).score(test) - expected) < 0.03


@pytest.mark.parametrize("n_rows", [30, 60])
def test_few_rows_are_not_memorized(n_rows):
    """The default density of new rows is about as good as one normal distribution, or better."""
    rng = np.random.default_rng(n_rows)
    weights = rng.normal(size=(3, 8))
    X = rng.normal(size=(n_rows + 2000, 3)) @ weights + rng.normal(size=(n_rows + 2000, 8))
    train, test = X[:n_rows], X[n_rows:]
    normal = multivariate_normal(train.mean(axis=0), np.cov(train.T, bias=True))
    model = VAETransformer(random_state=0).fit(train)
    assert model.n_iter_ == 100
    assert model.score(test) > normal.logpdf(test).mean() - 0.1
    assert VAETransformer(random_state=0).fit(train[:, :2]).n_iter_ == 1000


def test_with_missing_cells_the_encoder_starts_near_the_posterior():
    mask = np.random.default_rng(1).random(WINE.shape) < 0.3
    model = VAETransformer(4, **AT_START).fit(np.where(mask, np.nan, WINE))
    factors = Factors.fit(np.where(mask, 0.0, WINE), mask, 4, shared=False, floor=2e-6)
    found = model.transform(np.where(mask, np.nan, WINE))
    expected, _ = factors.rotate().posterior(WINE, mask)
    fit = [np.corrcoef(*pair)[0, 1] for pair in zip(found.T, expected.T, strict=True)]
    assert np.abs(fit[:3]).min() > 0.8


def test_perceptrons_by_name_start_at_random():
    model = VAETransformer(3, encoder="mlp", decoder="mlp", **AT_START).fit(IRIS)
    normal = multivariate_normal(IRIS.mean(axis=0), np.cov(IRIS.T, bias=True))
    assert model.score(IRIS) < normal.logpdf(IRIS).mean() - 1


@pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed")
@pytest.mark.parametrize("likelihood", ["gaussian", Gaussian("feature")])
@pytest.mark.parametrize("others", [0, 2])
def test_a_single_column_that_varies_starts_at_the_moments_of_its_observed_cells(
    likelihood, others
):
    """It has no factor, with columns beside it that are constant, too."""
    rng = np.random.default_rng(0)
    values = rng.normal(3, 2, size=200)
    values[::3] = np.nan
    X = np.column_stack([values, *[np.full(200, 5.0)] * others])
    model = VAETransformer(1, likelihood=likelihood, **AT_START).fit(X)
    seen = values[~np.isnan(values)]
    expected = norm(seen.mean(), seen.std()).logpdf(seen).mean()
    assert abs(model.score(X[~np.isnan(values)]) - expected) < 0.02
    assert abs(model.impute(X)[0, 0] - seen.mean()) < 0.1
    assert np.all(model.impute(X)[:, 1:] == 5)


@pytest.mark.parametrize("likelihood", ["gaussian", Gaussian("feature"), Gaussian("row")])
@pytest.mark.parametrize("n_missing", [0, 7])
def test_a_table_of_constants_is_a_point(likelihood, n_missing):
    X = np.full((30, 3), 7.0)
    X[:n_missing, 1] = np.nan
    model = VAETransformer(2, likelihood=likelihood, max_iter=20, random_state=0)
    with pytest.warns(ConvergenceWarning, match="collapsed"):  # there is nothing to encode
        model.fit(X)
    assert np.all(model.sample(20, random_state=0) == 7)
    assert np.all(model.impute(X) == 7)
    assert abs(model.score(X)) < 0.1
