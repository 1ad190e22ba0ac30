"""Streams: rows added in any portions give the statistic and the posterior of one batch."""

import pickle
from dataclasses import replace

import joblib
import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray
from test_design import assert_same_statistic

import skgen
from skgen import BayesianBasisRegressor, GaussianBasis
from skgen._regression.conjugate import Statistic, condition
from skgen._regression.design import QR_ROWS, Design, statistic_of
from skgen._regression.precisions import LinearModelSpec
from skgen._regression.rows import Rows
from skgen._regression.stream import Stream

Array = NDArray[np.float64]

ALPHA, BETA = 2.0, 25.0


@pytest.mark.parametrize("n_rows", [3000, pytest.param(10**6, marks=pytest.mark.slow)])
def test_single_rows_keep_13_digits(n_rows: int, rng: np.random.Generator) -> None:
    """Nine Gaussians and intercept, row by row, against the batch and against exact arithmetic.

    Digits are those of the error's Euclidean (Frobenius) norm relative to that of the reference.
    """
    X = rng.uniform(size=(n_rows, 1))
    y = np.sin(2 * np.pi * X[:, 0]) + rng.normal(scale=0.2, size=n_rows)
    grid = np.linspace(0, 1, 101)[:, None]
    basis = GaussianBasis(9, domain=(0, 1))
    settings = {"prior_precision": ALPHA, "noise_precision": BETA}
    stream = BayesianBasisRegressor(basis, **settings)
    for row in range(n_rows):
        stream.partial_fit(X[row : row + 1], y[row : row + 1])
    batch = BayesianBasisRegressor(basis, **settings, solver="qr").fit(X, y)

    assert stream.n_samples_seen_ == n_rows
    exact = exact_posterior(design(stream, X), y, design(stream, grid))
    for name, found in posterior(stream, grid).items():
        assert relative_error(found, posterior(batch, grid)[name]) < 1e-13, name
        assert relative_error(found, exact[name]) < 1e-13, name


def design(model: BayesianBasisRegressor, X: Array) -> Array:
    return np.column_stack([np.ones(len(X)), model.basis_.transform(X)])


def posterior(model: BayesianBasisRegressor, grid: Array) -> dict[str, Array]:
    mean, std = model.predict(grid, return_std=True)
    return {
        "weights": np.r_[model.intercept_, model.coef_],
        "covariance": model.covariance_,
        "predictive mean": mean,
        "predictive standard deviation": std,
        "log evidence": np.array([model.log_marginal_likelihood_]),
    }


def relative_error(found: Array, reference: Array) -> float:
    return float(np.linalg.norm(found - reference) / np.linalg.norm(reference))


def exact_posterior(Phi: Array, y: Array, grid: Array) -> dict[str, Array]:
    """The same quantities by the normal equations (Bishop eqs 3.53, 3.54, 3.59, 3.86)."""
    n_rows, n_columns = Phi.shape
    with mpmath.workdps(50):
        gram = BETA * exact_gram(np.column_stack([Phi, y]))
        precision = gram[:n_columns, :n_columns] + ALPHA * mpmath.eye(n_columns)
        covariance = precision**-1
        weights = covariance * gram[:n_columns, n_columns]
        rows = mpmath.matrix(grid.tolist())
        shape = rows * covariance
        variances = [
            1 / mpmath.mpf(BETA) + mpmath.fdot(shape[row, :], rows[row, :])
            for row in range(len(grid))
        ]
        energy = gram[n_columns, n_columns] - (weights.T * precision * weights)[0]
        log_evidence = 0.5 * (
            n_columns * mpmath.log(ALPHA) - mpmath.log(mpmath.det(precision))
            + n_rows * mpmath.log(BETA / (2 * mpmath.pi)) - energy
        )  # fmt: skip
        return {
            "weights": as_floats(weights),
            "covariance": as_floats(covariance).reshape(n_columns, n_columns),
            "predictive mean": as_floats(rows * weights),
            "predictive standard deviation": as_floats(map(mpmath.sqrt, variances)),
            "log evidence": as_floats([log_evidence]),
        }


def exact_gram(table: Array) -> mpmath.matrix:
    """``table' table`` without rounding, but for entries below 2^-58 of the columns of ``table``.

    Three integers of 20 bits make a number; products of 1024 rows of them are exact in floats.
    """
    assert np.abs(table).max() < 4
    n_columns = table.shape[1]
    total = np.zeros((3 * n_columns, 3 * n_columns), dtype=np.int64)
    for start in range(0, len(table), 1024):
        rest, digits = table[start : start + 1024] / 4, []
        for _ in range(3):
            digits.append(np.rint(rest * 2.0**20))
            rest = rest * 2.0**20 - digits[-1]
        block = np.hstack(digits)
        total += (block.T @ block).astype(np.int64)
    parts = total.astype(object).reshape(3, n_columns, 3, n_columns)
    gram = sum(parts[i, :, j] * 2 ** (20 * (4 - i - j)) for i in range(3) for j in range(3))
    return mpmath.matrix(gram.tolist()) * mpmath.mpf(2) ** (4 - 120)


def as_floats(numbers: object) -> Array:
    return np.array([float(number) for number in numbers])


@pytest.fixture
def rows(rng):
    return Rows(rng.uniform(size=(3000, 2)), rng.normal(size=(3000, 2)))


@pytest.fixture
def weighted(rows, rng):
    return replace(rows, weights=rng.gamma(1.0, size=len(rows)))


def gaussian_design(rows):
    return Design.of(GaussianBasis(9, domain=(0, 1)).fit(rows.X), rows.X, True)


def empty_stream(design, n_outputs=2):
    n_columns = design.n_columns
    prior = LinearModelSpec(np.ones(n_columns), np.zeros(n_columns), 1.0)
    return Stream(design, prior, Statistic.empty(n_columns, n_outputs))


@pytest.mark.parametrize("size", [1, 3, 100, QR_ROWS // 2, QR_ROWS])
@pytest.mark.parametrize("read_every", [1, 7, None])
def test_statistic_is_that_of_all_rows_however_often_it_is_read(read_every, size, rows):
    rows = rows[: min(len(rows), 40 * size)]
    design = gaussian_design(rows)
    stream = empty_stream(design)
    for count, start in enumerate(range(0, len(rows), size), 1):
        stream.buffer(rows[start : start + size])
        if read_every and count % read_every == 0:
            assert stream.statistic.weight == min(start + size, len(rows))
    assert_same_statistic(stream.statistic, statistic_of(design, rows, "qr"))
    assert stream.statistic is stream.statistic


def test_posteriors_include_rows_added_after_they_were_read(rows):
    design = gaussian_design(rows)
    stream = empty_stream(design)
    stream.buffer(rows[:10])
    before = stream.posteriors[0]
    assert stream.posteriors[0] is before
    stream.buffer(rows[10:20])
    after = condition(statistic_of(design, rows[:20], "qr"), np.ones(10), np.zeros(10), np.ones(2))
    np.testing.assert_allclose(stream.posteriors[0].mean, after.mean, rtol=1e-11)


def test_buffer_copies_rows(rows):
    design = gaussian_design(rows)
    stream = empty_stream(design)
    mine = Rows(rows.X[:5].copy(), rows.Y[:5].copy())
    stream.buffer(mine)
    mine.X[:], mine.Y[:] = 0.0, 0.0
    assert_same_statistic(stream.statistic, statistic_of(design, rows[:5], "qr"))


def test_pickle_has_buffered_rows_in_the_statistic_and_no_buffer(rows):
    design = gaussian_design(rows)
    stream = empty_stream(design)
    stream.buffer(rows[:50])
    pickled = pickle.dumps(stream)
    assert len(pickled) < 8 * QR_ROWS
    copy = pickle.loads(pickled)
    for one in (stream, copy):
        one.buffer(rows[50:60])
        assert_same_statistic(one.statistic, statistic_of(design, rows[:60], "qr"))


READ = {
    "standard deviations": lambda model, X: model.predict(X, return_std=True),
    "covariances": lambda model, X: model.predict(X, return_cov=True),
    "intervals": lambda model, X: model.predict_interval(X),
    "draws": lambda model, X: model.sample_y(X, 2, random_state=0),
    "densities": lambda model, X: model.log_predictive_density(X, X[:, 0]),
    "weights": lambda model, X: model.coef_,
    "precisions": lambda model, X: model.prior_precision_,
}


@pytest.mark.parametrize("name", READ)
def test_a_call_reads_one_state_while_rows_arrive(name, rows, monkeypatch):
    """Whenever the state was read, the other thread has added a row before it is read again."""
    X, y = rows.X[:40], rows.Y[:40, 0]
    model = BayesianBasisRegressor(GaussianBasis(4, domain=[(0, 1)] * 2)).fit(X, y)
    expected, read_state = READ[name](model, X[:3]), Stream.read

    def read_and_be_overtaken(stream):
        found = read_state(stream)
        model.partial_fit(X[:1], 100 + y[:1])
        return found

    monkeypatch.setattr(Stream, "read", read_and_be_overtaken)
    assert joblib.hash(READ[name](model, X[:3])) == joblib.hash(expected)
    monkeypatch.undo()
    assert model.n_samples_seen_ == 41


def test_rows_that_arrive_while_others_are_read_are_not_lost(rows, monkeypatch):
    design = gaussian_design(rows)
    stream = empty_stream(design)
    stream.buffer(rows[:10])
    append = skgen._regression.stream.append_rows
    later = iter([rows[10:11]])

    def append_and_be_overtaken(*args):
        for row in later:
            stream.buffer(row)
        return append(*args)

    monkeypatch.setattr(skgen._regression.stream, "append_rows", append_and_be_overtaken)
    assert stream.read()[0].weight == 10
    statistic, posteriors = stream.read()
    assert_same_statistic(statistic, statistic_of(design, rows[:11], "qr"))
    expected = condition(statistic, np.ones(10), np.zeros(10), np.ones(2))
    np.testing.assert_allclose(posteriors[0].mean, expected.mean, rtol=1e-11)


@pytest.mark.parametrize("forgetting", [1.0, 0.9])
@pytest.mark.parametrize("kind", ["rows", "weighted"])
@pytest.mark.parametrize("size", [1, 100, 1500])
def test_extend_discounts_each_row_by_its_age(size, kind, forgetting, request):
    rows = request.getfixturevalue(kind)[: 20 * size]
    design = gaussian_design(rows)
    stream = empty_stream(design)
    for start in range(0, len(rows), size):
        stream, _ = stream.extend(rows[start : start + size], stream.prior, forgetting)
    ages = np.arange(len(rows))[::-1]
    weights = forgetting**ages * (1.0 if rows.weights is None else rows.weights)
    expected = statistic_of(design, replace(rows, weights=weights), "qr")
    assert_same_statistic(stream.statistic, expected, digits=11)
