"""Conjugate algebra against 50 digits, explicit inverses and scipy's distributions."""

import mpmath
import numpy as np
import pytest
from conftest import assert_digits
from scipy import stats

from skgen._regression.conjugate import (
    Gamma,
    Statistic,
    UndeterminedError,
    condition,
    condition_number,
    from_gram,
)

N_ROWS, N_COLUMNS = 12, 4

PRECISIONS = {
    "equal": np.full(N_COLUMNS, 0.3),
    "each its own": np.array([0.1, 1.0, 10.0, 100.0]),
    "first flat": np.array([0.0, 1.0, 2.0, 0.5]),
    "last flat": np.array([1.0, 2.0, 0.5, 0.0]),
    "flat": np.zeros(N_COLUMNS),
}
NOISES = {
    "known": np.array([25.0]),
    "gamma": Gamma(2.5, 0.7),
    "jeffreys": Gamma(0.0, 0.0),
    "most evident": None,
}
MEANS = {"zero": np.zeros(N_COLUMNS), "given": np.array([1.0, -2.0, 0.5, 3.0])}


def data(rng, n_rows=N_ROWS, n_columns=N_COLUMNS, n_outputs=1):
    return rng.normal(size=(n_rows, n_columns)), rng.normal(size=(n_rows, n_outputs))


def statistic_of(Phi, Y, weights=None):
    root = np.ones(len(Phi)) if weights is None else np.sqrt(weights)
    empty = Statistic.empty(Phi.shape[1], Y.shape[1])
    if len(Phi) == 0:
        return empty
    return empty.append(root[:, None] * Phi, root[:, None] * Y, float(root @ root))


def assert_same_statistic(actual, expected, digits=12):
    """The same up to the signs of rows, of which no posterior takes notice."""
    for one, other in ((actual.factor, expected.factor), (actual.targets, expected.targets)):
        assert_digits(actual.factor.T @ one, expected.factor.T @ other, digits)
    assert_digits(actual.residual, expected.residual, digits)
    assert actual.weight == pytest.approx(expected.weight, rel=1e-14)


def exact(Phi, y, precision, mean, noise):
    """Weights, shape matrix, noise variance, degrees of freedom, log evidence: with 50 digits."""
    with mpmath.workdps(50):
        Phi, y, mean = mpmath.matrix(Phi.tolist()), mpmath.matrix(y), mpmath.matrix(mean)
        L = mpmath.diag([mpmath.mpf(float(value)) for value in precision])
        shape = (Phi.T * Phi + L) ** -1
        weights = shape * (Phi.T * y + L * mean)
        misfit, deviation = y - Phi * weights, weights - mean
        energy = (misfit.T * misfit)[0] + (deviation.T * L * deviation)[0]
        proper = [L[i, i] for i in range(L.rows) if L[i, i] > 0]
        n = Phi.rows - (L.rows - len(proper))
        log_evidence = (mpmath.log(mpmath.fprod(proper)) + mpmath.log(mpmath.det(shape))) / 2
        log_evidence -= n * mpmath.log(2 * mpmath.pi) / 2
        if isinstance(noise, Gamma):
            a, b = noise.shape + mpmath.mpf(n) / 2, noise.rate + energy / 2
            log_evidence += mpmath.loggamma(a) - a * mpmath.log(b)
            if noise.shape:
                log_evidence += noise.shape * mpmath.log(noise.rate) - mpmath.loggamma(noise.shape)
            variance, df = b / a, 2 * a
        else:
            precision = n / energy if noise is None else mpmath.mpf(noise[0])
            log_evidence += (n * mpmath.log(precision) - precision * energy) / 2
            variance, df = 1 / precision, mpmath.inf
        return weights, shape, variance, df, log_evidence


@pytest.mark.parametrize("mean", MEANS)
@pytest.mark.parametrize("noise", NOISES)
@pytest.mark.parametrize("prior", PRECISIONS)
def test_the_posterior_is_that_of_50_digits(prior, noise, mean, rng):
    Phi, Y = data(rng)
    precision, noise, mean = PRECISIONS[prior], NOISES[noise], MEANS[mean]
    posterior = condition(statistic_of(Phi, Y), precision, mean, noise)
    weights, shape, variance, df, log_evidence = exact(Phi, Y[:, 0], precision, mean, noise)
    assert_digits(posterior.mean[:, 0], list(weights))
    assert_digits(posterior.root @ posterior.root.T, shape.tolist())
    assert_digits(1 / posterior.noise_precision, [variance])
    assert posterior.df == pytest.approx(float(df), rel=1e-14)
    assert_digits(posterior.log_evidence, [log_evidence])


def test_the_statistic_is_cross_products_and_residual_sums_of_squares(rng):
    Phi, Y = data(rng, n_outputs=2)
    weights = rng.uniform(0.1, 3, N_ROWS)
    statistic = statistic_of(Phi, Y, weights)
    W = np.diag(weights)
    misfit = Y - Phi @ np.linalg.solve(Phi.T @ W @ Phi, Phi.T @ W @ Y)
    assert_digits(statistic.factor.T @ statistic.factor, Phi.T @ W @ Phi)
    assert_digits(statistic.factor.T @ statistic.targets, Phi.T @ W @ Y)
    assert_digits(statistic.residual, np.diag(misfit.T @ W @ misfit))
    assert_digits(statistic.total, np.diag(Y.T @ W @ Y))
    assert_digits(statistic.mean_square, np.diag(Y.T @ W @ Y) / weights.sum())
    assert statistic.weight == pytest.approx(weights.sum())


def test_the_factor_is_triangular(rng):
    factor = statistic_of(*data(rng)).factor
    assert np.array_equal(factor, np.triu(factor))


@pytest.mark.parametrize("sizes", [(30,), (1,) * 30, (7, 1, 20, 2), (29, 1)])
def test_any_chunks_give_the_statistic_of_all_rows(sizes, rng):
    Phi, Y = data(rng, 30, n_outputs=2)
    statistic = Statistic.empty(N_COLUMNS, 2)
    for part in np.split(np.arange(30), np.cumsum(sizes)[:-1]):
        statistic = statistic.append(Phi[part].copy(), Y[part].copy(), float(len(part)))
    assert_same_statistic(statistic, statistic_of(Phi, Y))


@pytest.mark.parametrize("cut", [0, 1, 3, 15, 30])
def test_a_merge_is_the_statistic_of_the_rows_of_both(cut, rng):
    Phi, Y = data(rng, 30, n_outputs=2)
    first, second = statistic_of(Phi[:cut], Y[:cut]), statistic_of(Phi[cut:], Y[cut:])
    assert_same_statistic(first.merge(second), statistic_of(Phi, Y))
    assert_same_statistic(second.merge(first), statistic_of(Phi, Y))


def test_a_discount_is_a_weight_of_every_row(rng):
    Phi, Y = data(rng, n_outputs=2)
    discounted = statistic_of(Phi, Y).discount(0.3)
    assert_same_statistic(discounted, statistic_of(Phi, Y, np.full(N_ROWS, 0.3)))


def test_an_update_leaves_the_statistic_before_as_it_was(rng):
    statistic = statistic_of(*data(rng))
    before = statistic.factor.copy(), statistic.targets.copy()
    statistic.append(*data(rng), 1.0)
    statistic.merge(statistic_of(*data(rng)))
    condition(statistic, np.ones(N_COLUMNS), np.zeros(N_COLUMNS), np.ones(1))
    assert np.array_equal(statistic.factor, before[0])
    assert np.array_equal(statistic.targets, before[1])


def test_an_output_of_the_statistic_is_the_statistic_of_the_output(rng):
    Phi, Y = data(rng, n_outputs=3)
    for index in range(3):
        assert_same_statistic(
            statistic_of(Phi, Y).output(index), statistic_of(Phi, Y[:, [index]]), 14
        )


def test_the_gram_matrix_gives_the_statistic_of_the_rows(rng):
    Phi, Y = data(rng, 50, n_outputs=2)
    table = np.hstack([Phi, Y])
    assert_same_statistic(from_gram(table.T @ table, N_COLUMNS, 50.0), statistic_of(Phi, Y))


@pytest.mark.parametrize("column", [np.zeros(5), np.arange(5.0)])
def test_a_singular_gram_matrix_is_refused(column):
    table = np.column_stack([np.arange(5.0), column, np.ones(5)])
    with pytest.raises(np.linalg.LinAlgError):
        from_gram(table.T @ table, 2, 5.0)


@pytest.mark.parametrize("scale", [1.0, 1e6])
@pytest.mark.parametrize("n_columns", [1, 3, 20])
def test_the_condition_number_is_that_of_the_inverse_with_columns_of_length_1(
    n_columns, scale, rng
):
    factor = np.triu(rng.normal(size=(n_columns, n_columns))) + 2 * np.eye(n_columns)
    unit = factor / np.linalg.norm(factor, axis=0)
    expected = np.linalg.cond(unit, 1)
    estimate = condition_number(factor * scale ** np.linspace(-1, 1, n_columns))
    assert expected / 3 <= estimate <= expected * (1 + 1e-9)


def test_a_factor_with_an_empty_column_has_infinite_condition_number():
    assert condition_number(np.diag([1.0, 0.0])) == np.inf


@pytest.mark.parametrize("n_rows", [0, 3])
def test_a_flat_prior_needs_data_that_determine_the_weights(n_rows, rng):
    with pytest.raises(UndeterminedError, match="prior_precision"):
        condition(
            statistic_of(*data(rng, n_rows)), PRECISIONS["flat"], MEANS["zero"], NOISES["known"]
        )


@pytest.mark.parametrize("prior", ["flat", "equal"])
def test_jeffreys_noise_needs_degrees_of_freedom(prior, rng):
    n_rows = {"flat": N_COLUMNS, "equal": 0}[prior]
    with pytest.raises(UndeterminedError, match="noise_shape"):
        condition(
            statistic_of(*data(rng, n_rows)),
            PRECISIONS[prior], MEANS["zero"], NOISES["jeffreys"],
        )  # fmt: skip


@pytest.mark.parametrize("n_columns", [1, 4, 33, 100])
def test_leverage_is_the_quadratic_form_of_the_shape_matrix(n_columns, rng):
    posterior = condition(
        statistic_of(*data(rng, 2 * n_columns, n_columns)),
        np.ones(n_columns), np.zeros(n_columns), np.ones(1),
    )  # fmt: skip
    Phi = rng.normal(size=(7, n_columns))
    shape = posterior.root @ posterior.root.T
    assert_digits(posterior.leverage(Phi), np.diag(Phi @ shape @ Phi.T))


@pytest.mark.parametrize("prior", PRECISIONS)
def test_effective_parameters_are_the_trace_of_the_hat_matrix(prior, rng):
    Phi, Y = data(rng)
    precision = PRECISIONS[prior]
    posterior = condition(statistic_of(Phi, Y), precision, MEANS["zero"], NOISES["known"])
    hat = Phi @ np.linalg.inv(Phi.T @ Phi + np.diag(precision)) @ Phi.T
    assert posterior.n_effective_params == pytest.approx(np.trace(hat), rel=1e-12)


@pytest.mark.parametrize("noise", ["known", "gamma", "jeffreys"])
def test_draws_have_the_posteriors_distribution(noise, rng):
    posterior = condition(
        statistic_of(*data(rng)), PRECISIONS["equal"], MEANS["given"], NOISES[noise]
    )
    weights, scale = posterior.draw(20_000, rng)
    df, scales = posterior.df, np.sqrt(np.diag(posterior.covariance[0]))
    if np.isfinite(df):
        scales = scales * np.sqrt((df - 2) / df)
    for mean, deviation, draws in zip(posterior.mean[:, 0], scales, weights[:, 0], strict=True):
        assert stats.kstest((draws - mean) / deviation, stats.t(df).cdf).pvalue > 1e-4
    covariance = posterior.covariance[0]
    root = np.sqrt(np.diag(covariance))
    assert np.abs((np.cov(weights[:, 0]) - covariance) / np.outer(root, root)).max() < 0.06
    assert np.mean(scale**2) == pytest.approx(posterior.noise_variance[0], rel=0.05)


def test_draws_of_outputs_are_independent(rng):
    posterior = condition(
        statistic_of(*data(rng, n_outputs=2)), PRECISIONS["equal"], MEANS["zero"], np.full(2, 9.0)
    )
    weights, _ = posterior.draw(20_000, rng)
    correlation = np.corrcoef(weights[0])
    assert abs(correlation[0, 1]) < 5 / np.sqrt(20_000)


def test_few_degrees_of_freedom_have_no_variance(rng):
    posterior = condition(
        statistic_of(*data(rng, 2)), np.ones(N_COLUMNS), MEANS["zero"], NOISES["jeffreys"]
    )
    assert posterior.df == 2
    assert np.all(np.isinf(posterior.covariance[0].diagonal()))
