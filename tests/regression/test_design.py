"""The design matrix in blocks: every solver gives the same statistic."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures, SplineTransformer
from threadpoolctl import threadpool_limits

from skgen import GaussianBasis, SigmoidBasis
from skgen._regression import design as design_module
from skgen._regression.conjugate import Statistic, condition
from skgen._regression.design import (
    QR_ROWS,
    Buffer,
    Design,
    append_rows,
    evaluate_rows,
    statistic_of,
)
from skgen._regression.rows import Rows

BASES = {
    "gaussian": GaussianBasis(9, domain=(0, 1)),
    "sigmoid": SigmoidBasis(5, domain=(0, 1)),
    "polynomial": PolynomialFeatures(3, include_bias=False),
    "sparse spline": SplineTransformer(include_bias=False, sparse_output=True),
}
N_ROWS = 3000


@pytest.fixture
def rows(rng):
    return Rows(rng.uniform(size=(N_ROWS, 2)), rng.normal(size=(N_ROWS, 2)))


@pytest.fixture
def weighted(rows, rng):
    return replace(rows, weights=rng.gamma(1.0, size=N_ROWS))


def design_of(basis, rows, fit_intercept=True):
    return Design.of(BASES[basis].fit(rows.X), rows.X, fit_intercept)


def full(design, X):
    """Design matrix by scikit-learn alone."""
    Phi = design.basis.transform(X)
    Phi = Phi.toarray() if hasattr(Phi, "toarray") else Phi
    return np.column_stack([np.ones(len(X)), Phi]) if design.fit_intercept else Phi


def assert_same_statistic(one, other, digits=12):
    for a, b in (
        (one.factor.T @ one.factor, other.factor.T @ other.factor),
        (one.factor.T @ one.targets, other.factor.T @ other.targets),
        (one.residual, other.residual),
    ):
        np.testing.assert_allclose(a, b, rtol=0, atol=10.0**-digits * np.abs(b).max())
    assert one.weight == pytest.approx(other.weight, rel=1e-13)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("basis", BASES)
def test_design_matrix_is_intercept_column_and_basis_functions(basis, fit_intercept, rows):
    design = design_of(basis, rows, fit_intercept)
    Phi = full(design, rows.X)
    assert design.n_columns == Phi.shape[1]
    assert design.n_basis == Phi.shape[1] - fit_intercept
    np.testing.assert_allclose(design.rows(rows.X), Phi, rtol=1e-15)
    out = np.empty_like(Phi)
    assert design.rows(rows.X, out) is out
    np.testing.assert_allclose(out, Phi, rtol=1e-15)


def test_error_for_a_basis_without_functions(rows):
    basis = FunctionTransformer(lambda X: X[:, :0]).fit(rows.X)
    with pytest.raises(ValueError, match="basis"):
        Design.of(basis, rows.X, True)


def test_error_for_a_basis_that_changes_its_number_of_functions(rows):
    basis = FunctionTransformer(lambda X: X[:, : len(X)])
    design = Design.of(basis, rows.X, True)
    with pytest.raises(ValueError, match="basis"):
        design.rows(rows.X)


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e200])
@pytest.mark.parametrize("solver", ["qr", "cholesky", "auto"])
def test_error_for_a_basis_that_overflows(solver, value, rows):
    basis = FunctionTransformer(lambda X: np.where(X.max() - 1e-9 < X, value, X)).fit(rows.X)
    with np.errstate(all="ignore"), pytest.raises(ValueError, match="basis"):
        statistic_of(Design.of(basis, rows.X, True), rows, solver)


@pytest.mark.parametrize("kind", ["rows", "weighted"])
@pytest.mark.parametrize("solver", ["qr", "cholesky", "auto"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("basis", BASES)
def test_every_solver_solves_the_normal_equations(basis, fit_intercept, solver, kind, request):
    rows = request.getfixturevalue(kind)
    design = design_of(basis, rows, fit_intercept)
    Phi = full(design, rows.X)
    weights = np.ones(N_ROWS) if rows.weights is None else rows.weights
    W = weights[:, None]
    statistic = statistic_of(design, rows, solver)
    gram, products = Phi.T @ (W * Phi), Phi.T @ (W * rows.Y)
    weights_hat = np.linalg.lstsq(np.sqrt(W) * Phi, np.sqrt(W) * rows.Y)[0]
    residual = (W * (rows.Y - Phi @ weights_hat) ** 2).sum(axis=0)
    np.testing.assert_allclose(
        statistic.factor.T @ statistic.factor, gram, rtol=0, atol=1e-12 * gram.max()
    )
    np.testing.assert_allclose(
        statistic.factor.T @ statistic.targets, products, rtol=0, atol=1e-12 * np.abs(gram).max()
    )
    np.testing.assert_allclose(statistic.residual, residual, rtol=1e-9)
    assert statistic.weight == pytest.approx(weights.sum(), rel=1e-13)


def test_auto_uses_the_gram_matrix_for_large_well_conditioned_problems(monkeypatch, rows):
    design = design_of("sigmoid", rows)
    monkeypatch.setattr(design_module, "QR_WORK", 0)
    factors = {
        solver: statistic_of(design, rows, solver).factor for solver in ("auto", "qr", "cholesky")
    }
    assert np.array_equal(factors["auto"], factors["cholesky"])
    assert not np.array_equal(factors["auto"], factors["qr"])


ILL_CONDITIONED = FunctionTransformer(lambda X: np.hstack([X, X[:, :1] + 1e-7 * X[:, 1:]]))


@pytest.mark.parametrize("exact", [True, False])
def test_auto_uses_qr_if_the_gram_matrix_is_inaccurate(exact, monkeypatch, rows):
    basis = FunctionTransformer() if exact else ILL_CONDITIONED
    design = Design.of(basis.fit(rows.X), rows.X, True)
    if exact:
        rows = replace(rows, Y=1 + rows.X @ [[1.0, 2.0], [3.0, 4.0]])
    monkeypatch.setattr(design_module, "QR_WORK", 0)
    auto, qr = (statistic_of(design, rows, solver) for solver in ("auto", "qr"))
    assert np.array_equal(auto.factor, qr.factor)
    assert np.array_equal(auto.residual, qr.residual)


@pytest.mark.parametrize("ratio", [0.0, 1e-9, 1e-3])
def test_a_prior_makes_an_ill_conditioned_gram_matrix_accurate(ratio, monkeypatch, rows):
    design = Design.of(ILL_CONDITIONED.fit(rows.X), rows.X, True)
    monkeypatch.setattr(design_module, "QR_WORK", 0)
    found, qr = statistic_of(design, rows, "auto", ratio), statistic_of(design, rows, "qr")
    assert np.array_equal(found.factor, qr.factor) == (ratio < 1e-6)
    precision = np.append(0.0, np.full(design.n_basis, 1e-3))
    prior = precision, np.zeros(design.n_columns), None
    found, qr = condition(found, *prior), condition(qr, *prior)
    np.testing.assert_allclose(found.mean, qr.mean, rtol=0, atol=1e-9)
    np.testing.assert_allclose(
        found.covariance, qr.covariance, rtol=0, atol=1e-7 * np.abs(qr.covariance).max()
    )
    np.testing.assert_allclose(found.log_evidence, qr.log_evidence, rtol=0, atol=1e-7)


@pytest.mark.parametrize("solver", ["auto", "cholesky", "qr"])
def test_statistic_of_a_singular_design_matrix(solver, rows):
    basis = FunctionTransformer(lambda X: np.hstack([X, X, 0 * X])).fit(rows.X)
    design = Design.of(basis, rows.X, True)
    precision, mean = np.ones(design.n_columns), np.zeros(design.n_columns)
    posterior = condition(statistic_of(design, rows, solver), precision, mean, np.ones(2))
    Phi = full(design, rows.X)
    expected = np.linalg.solve(Phi.T @ Phi + np.eye(design.n_columns), Phi.T @ rows.Y)
    np.testing.assert_allclose(posterior.mean, expected, rtol=0, atol=1e-9)


@pytest.mark.parametrize("solver", ["qr", "cholesky"])
def test_statistic_is_the_same_with_any_number_of_threads(solver, weighted):
    design = design_of("gaussian", weighted)
    found = []
    for n_threads in (1, 2):
        with threadpool_limits(n_threads, user_api="blas"):
            found.append(statistic_of(design, weighted, solver))
    if solver == "cholesky":
        assert np.array_equal(found[0].factor, found[1].factor)
    assert_same_statistic(*found, digits=14)


@pytest.mark.parametrize("n_rows", [1, QR_ROWS - 1, QR_ROWS, QR_ROWS + 1, 2500])
def test_appended_rows_give_the_statistic_of_all_rows(n_rows, weighted):
    design = design_of("gaussian", weighted)
    once = statistic_of(design, weighted, "qr")
    first = append_rows(Statistic.empty(design.n_columns, 2), design, weighted[:n_rows])
    assert_same_statistic(append_rows(first, design, weighted[n_rows:]), once)


@pytest.mark.parametrize("n_threads", [1, 2])
@pytest.mark.parametrize("n_rows", [1, 700, 2048])
def test_values_and_leverages_in_blocks_equal_those_of_the_whole_matrix(n_rows, n_threads, rows):
    design = design_of("gaussian", rows)
    statistic = statistic_of(design, rows, "qr")
    posteriors = [
        condition(statistic, np.full(10, p), np.zeros(10), np.ones(2)) for p in (1.0, 50.0)
    ]
    weights = np.hstack([posterior.mean for posterior in posteriors])
    X = rows.X[:n_rows]
    with threadpool_limits(n_threads, user_api="blas"):
        values, leverage = evaluate_rows(design, weights, posteriors, X)
    Phi = full(design, X)
    np.testing.assert_allclose(values, Phi @ weights, rtol=0, atol=1e-12)
    for column, posterior in zip(leverage.T, posteriors, strict=True):
        shape = posterior.root @ posterior.root.T
        np.testing.assert_allclose(column, np.sum(Phi @ shape * Phi, axis=1), rtol=1e-11)


def test_tables_of_a_buffer_share_memory_in_fortran_order():
    buffer = Buffer(7)
    small, large = buffer.table(3), buffer.table(100)
    assert small.shape == (3, 7)
    assert large.shape == (100, 7)
    assert small.flags.f_contiguous
    assert large.flags.f_contiguous
    assert np.shares_memory(small, large)
