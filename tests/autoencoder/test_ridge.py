"""The ridge regression against scikit-learn's, and its residuals against refits without a row."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import norm, t
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


def leverages(X, penalty, new):
    """Variances of regressions at new rows, in units of the noise variance, by normal equations."""
    design, rows = (np.column_stack([np.ones(len(table)), table]) for table in (X, new))
    precision = design.T @ design + penalty * np.diag([0.0] + [1.0] * X.shape[1])
    return np.einsum("ij,ji->i", rows, np.linalg.solve(precision, rows.T))


def test_residuals_of_its_own_rows_are_those_of_refits_without_the_row_in_their_spread(X, Y):
    ridge = by_sklearn(X, Y)
    left_out = cross_val_predict(ridge, X, Y, cv=LeaveOneOut())
    without = [np.delete(X, row, axis=0) for row in range(N_ROWS)]
    spread = [
        np.sqrt(1 + leverages(rows, ridge.alpha, X[[row]])) for row, rows in enumerate(without)
    ]
    order = np.random.default_rng(0).permutation(N_ROWS)
    found = fit(X, Y).training_residuals(X[order], Y[order])
    np.testing.assert_allclose(found, ((Y - left_out) / spread)[order], rtol=1e-7)


def test_residuals_of_other_rows_are_those_of_the_fit_in_their_spread(X, Y):
    part, others = fit(X, Y), X + 0.1
    spread = np.sqrt(1 + leverages(X, by_sklearn(X, Y).alpha, others))[:, None]
    np.testing.assert_allclose(part.spread(others), spread, rtol=1e-7)
    found = part.training_residuals(others, Y)
    np.testing.assert_allclose(found, (Y - part.predict(others)) / spread, rtol=1e-7)


def test_residuals_of_a_regression_from_an_old_file_are_those_of_refits(X, Y):
    old = replace(fit(X, Y), uncertainty=None)
    left_out = cross_val_predict(by_sklearn(X, Y), X, Y, cv=LeaveOneOut())
    np.testing.assert_allclose(old.training_residuals(X, Y), Y - left_out, rtol=1e-8)
    assert old.widening == 1
    assert (old.spread(X) == 1).all()


def test_degrees_of_freedom_are_those_of_the_correlations_of_residuals(X, Y):
    penalty = by_sklearn(X, Y).alpha
    centered = X - X.mean(axis=0)
    hat = centered @ np.linalg.solve(
        centered.T @ centered + penalty * np.eye(X.shape[1]), centered.T
    )
    covariance = np.eye(N_ROWS) - hat - 1 / N_ROWS
    scale = np.sqrt(np.diag(covariance))
    correlations = covariance / np.outer(scale, scale)
    found = fit(X, Y).uncertainty.df
    np.testing.assert_allclose(found, N_ROWS**2 / np.square(correlations).sum(), rtol=1e-8)


@pytest.mark.parametrize("n_rows", [5, 12, 40])
def test_intervals_of_a_linear_model_hold_by_simulation(n_rows, rng):
    """Of normal distributions with the spread and the widening, from 400 data sets."""
    holds = []
    for _ in range(400):
        weights = rng.normal(size=(3, 2))
        rows = rng.normal(size=(n_rows + 20, 3))
        targets = rows @ weights + 0.3 * rng.normal(size=(n_rows + 20, 2))
        part = fit(rows[:n_rows], targets[:n_rows])
        residuals = part.training_residuals(rows[:n_rows], targets[:n_rows])
        noise = np.sqrt(np.square(residuals).mean(axis=0))
        std = part.widening * part.spread(rows[n_rows:]) * noise
        deviations = np.abs(targets[n_rows:] - part.predict(rows[n_rows:]))
        holds.append(np.mean(deviations < norm.ppf(0.975) * std))
    assert np.mean(holds) == pytest.approx(0.95, abs=0.015)


def test_many_rows_need_no_widening_and_few_have_that_of_a_student_t(X, Y):
    uncertainty = fit(X, Y).uncertainty
    expected = t(uncertainty.df).ppf(0.975) / norm.ppf(0.975)
    assert uncertainty.widening == pytest.approx(expected)
    assert replace(uncertainty, df=1000.0).widening == 1


def test_rows_that_come_later_count_once_they_are_new(X, Y):
    part = fit(X, Y)
    assert part.with_new_rows(X[::-1], Y[::-1]).uncertainty.df == part.uncertainty.df
    later = part.with_new_rows(np.vstack([X, X + 1]), np.vstack([Y, Y]))
    assert later.uncertainty.df == part.uncertainty.df + N_ROWS


def test_targets_without_a_relation_to_the_features_are_met_by_their_mean(rng):
    X, Y = rng.normal(size=(20, 40)), rng.normal(size=(20, 30))
    part = fit(X, Y)
    assert np.abs(part.coef).max() < 0.02
    np.testing.assert_allclose(part.predict(X).mean(axis=0), Y.mean(axis=0))


def test_units_do_not_matter(X, Y):
    scale = np.array([1e-6, 1e6, 3.0, 1.0])
    found = fit(X, Y * scale + 5).training_residuals(X, Y * scale + 5)
    expected = fit(X, Y).training_residuals(X, Y)
    np.testing.assert_allclose(found / scale, expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("n_rows", [1, 2, 3])
def test_a_few_rows_have_finite_residuals(n_rows, X, Y):
    part = fit(X[:n_rows], Y[:n_rows])
    assert np.isfinite(part.predict(X)).all()
    assert np.isfinite(part.training_residuals(X[:n_rows], Y[:n_rows])).all()


def test_constant_targets_are_predicted_as_they_are(X, Y):
    Y[:, 1] = 0.1
    np.testing.assert_allclose(fit(X, Y).predict(X + 1)[:, 1], 0.1, rtol=1e-14)
