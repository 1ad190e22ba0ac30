"""The default Fourier basis of few rows: a Gaussian process that is exact at the rows."""

import pickle

import joblib
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Matern, RationalQuadratic

import skgen
from skgen import BayesianBasisRegressor, FourierBasis
from skgen.bases._inducing import JITTER

KERNELS = {
    "rbf": RBF(1.5),
    "matern32": Matern(1.5, nu=1.5),
    "matern52": Matern(1.5, nu=2.5),
    "rational_quadratic": RationalQuadratic(1.5, alpha=1.0),
}


@pytest.fixture
def X(rng):
    return rng.normal(size=(60, 3))


@pytest.fixture
def far(rng):
    return np.vstack([rng.normal(size=(20, 3)), 100 + rng.normal(size=(5, 3))])


@pytest.mark.parametrize("kernel", KERNELS)
def test_predictions_are_those_of_a_gaussian_process(kernel, X, far, rng):
    """Mean, evidence, and far from all rows the variance; in between, it is random."""
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.1 * rng.normal(size=60)
    models = [
        BayesianBasisRegressor(
            FourierBasis(kernel=kernel, length_scale=1.5, random_state=seed),
            prior_precision=0.5, noise_precision=100.0, fit_intercept=False,
        ).fit(X, y)
        for seed in range(8)
    ]  # fmt: skip
    process = GaussianProcessRegressor(
        ConstantKernel(2.0) * KERNELS[kernel], alpha=0.01, optimizer=None
    ).fit(X, y)
    model, (expected, spread) = models[0], process.predict(far, return_std=True)
    np.testing.assert_allclose(model.predict(far), expected, atol=1e-5)
    stds = [each.predict(far, return_std=True, observation_noise=False)[1] for each in models]
    np.testing.assert_allclose(stds[0][-5:], spread[-5:], rtol=1e-4)
    ratios = np.mean(np.square(stds), axis=0) / spread**2
    assert abs(np.log(ratios).mean()) < 0.1  # where 1200 waves alone lose a fifth of the variance
    evidence = process.log_marginal_likelihood_value_
    assert model.log_marginal_likelihood_ == pytest.approx(evidence, abs=1e-4)


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_kernel_is_exact_at_the_rows(kernel, X, rng):
    basis = FourierBasis(kernel=kernel, ranks=True, linear=True, random_state=0).fit(X)
    basis.theta_ = basis.theta_ + 0.3 * rng.normal(size=len(basis.theta_))
    Phi = basis.transform(X)
    n_lines = 3 + len(basis.ranked_features_)
    assert Phi.shape[1] == 600 + n_lines + 6 + 60  # waves, lines, edges, rows
    np.testing.assert_allclose(
        Phi @ Phi.T, basis.exact_kernel(X).at(basis.theta_)[0], atol=2 * JITTER
    )
    assert np.abs(Phi[:, :600]).max() < 1e-4


@pytest.mark.parametrize("n_features", [1, 2])
def test_many_rows_have_functions_at_some(n_features, rng):
    basis = FourierBasis(random_state=0).fit(rng.normal(size=(2001, n_features)))
    assert basis._n_features_out == [600, 2600][n_features - 1]
    assert FourierBasis(20, random_state=0).fit(rng.normal(size=(40, 2)))._points is None


def test_equal_rows_are_one_point(X):
    basis = FourierBasis(random_state=0).fit(np.vstack([X, X, X[:1] * (1 + 1e-15)]))
    assert basis._n_features_out == 600 + 60


def test_copies_are_equal_whether_used_or_not(X, far, tmp_path):
    """Merging models compares their bases."""
    used, new = (FourierBasis(random_state=0).fit(X) for _ in range(2))
    expected = used.transform(far)
    skgen.save(used, tmp_path / "basis")
    for copy in (pickle.loads(pickle.dumps(used)), skgen.load(tmp_path / "basis"), new):
        assert joblib.hash(copy) == joblib.hash(used)
        assert np.array_equal(copy.transform(far), expected)
