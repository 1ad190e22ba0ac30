"""The ridge regression against scikit-learn's, and its residuals against refits without a row."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from skgen._autoencoder.ridge import PENALTIES, RidgePart
from skgen.likelihoods._base import location_and_scale

N_ROWS = 30


@pytest.fixture(params=[5, 60], ids=["few features", "many features"])
def X(request, rng):
    return rng.normal(size=(N_ROWS, request.param))


@pytest.fixture
def Y(X, rng):
    return X[:, :3] @ rng.normal(size=(3, 4)) + rng.normal(size=(N_ROWS, 4)) * [1, 10, 0.1, 1] + 7


def fit(X, Y):
    return RidgePart.fit(X, Y, *location_and_scale(Y))


def by_sklearn(X, Y):
    """The penalty with the least leave-one-out error of standardized targets, by refits."""
    scale = Y.std(axis=0)
    finite = [N_ROWS * penalty for penalty in PENALTIES[:-1]]
    search = RidgeCV(finite, scoring="neg_mean_squared_error").fit(X, Y / scale)
    return Ridge(search.alpha_).fit(X, Y)


def test_it_is_the_ridge_regression_of_least_leave_one_out_error(X, Y):
    part, expected = fit(X, Y), by_sklearn(X, Y)
    np.testing.assert_allclose(part.predict(X), expected.predict(X), rtol=1e-8)


def test_residuals_of_its_own_rows_are_those_of_refits_without_the_row(X, Y):
    left_out = cross_val_predict(by_sklearn(X, Y), X, Y, cv=LeaveOneOut())
    order = np.random.default_rng(0).permutation(N_ROWS)
    found = fit(X, Y).out_of_sample_residuals(X[order], Y[order])
    np.testing.assert_allclose(found, (Y - left_out)[order], rtol=1e-8)


def test_residuals_of_other_rows_are_those_of_the_fit(X, Y):
    part, others = fit(X, Y), X + 0.1
    found = part.out_of_sample_residuals(others, Y)
    np.testing.assert_allclose(found, Y - part.predict(others))


def test_targets_without_a_relation_to_the_features_are_met_by_their_mean(rng):
    X, Y = rng.normal(size=(20, 40)), rng.normal(size=(20, 30))
    part = fit(X, Y)
    assert np.abs(part.coef).max() < 0.02
    np.testing.assert_allclose(part.predict(X).mean(axis=0), Y.mean(axis=0))


def test_units_do_not_matter(X, Y):
    scale = np.array([1e-6, 1e6, 3.0, 1.0])
    found = fit(X, Y * scale + 5).out_of_sample_residuals(X, Y * scale + 5)
    expected = fit(X, Y).out_of_sample_residuals(X, Y)
    np.testing.assert_allclose(found / scale, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_few_rows_have_finite_residuals(n_rows, X, Y):
    part = fit(X[:n_rows], Y[:n_rows])
    assert np.isfinite(part.predict(X)).all()
    assert np.isfinite(part.out_of_sample_residuals(X[:n_rows], Y[:n_rows])).all()


def test_constant_targets_are_predicted_as_they_are(X, Y):
    Y[:, 1] = 0.1
    np.testing.assert_allclose(fit(X, Y).predict(X + 1)[:, 1], 0.1, rtol=1e-14)
