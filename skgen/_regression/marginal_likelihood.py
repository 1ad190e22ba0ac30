"""Log marginal likelihood as a function of the parameters of a basis, with its gradient.

With noise precision ``b``, posterior mean ``m`` and covariance ``S / b`` of the weights, diagonal
matrix ``W`` of sample weights and residuals ``r = y - Phi m``, the gradient by the design matrix is

    d log p(y) / d Phi = W (b r m' - Phi S)

(from Bishop eq. 3.86), and the basis maps it to its own parameters by its method ``vjp``.

Random basis functions approximate a kernel. For few rows the exact kernel matrix ``K`` takes their
place, so that the length scales are not fitted to one random draw. The gradient is then (Rasmussen
and Williams, Gaussian Processes for Machine Learning, eq. 5.9)

    d log p(y) / d K = (b W r r' W / rho - inv(K + rho inv(W))) / 2

with the ratio ``rho`` of prior to noise precision. Both are functions of ``log(rho)``, too.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from .._threads import map_in_threads, row_blocks
from .._validation import FloatArray
from ..bases._kernels import Kernel
from .design import Design
from .newton import Point
from .precisions import LinearModelSpec
from .rows import Rows
from .spectrum import unit_prior_term

# Rows per basis function up to which the kernel matrix is no more expensive than the design.
KERNEL_ROWS_PER_FUNCTION = 2
SMALL = 1e-6  # relative step of the energy, for the derivative of a slope
N_KEPT = 16  # evaluations that may be asked for again
NO_MATRIX = np.zeros((0, 0))
INFEASIBLE = -1e100  # value of the objective where it cannot be computed


Slopes = Callable[[FloatArray], FloatArray]
"""Function from weights of rows to derivatives of the Gram matrix times them, by theta."""


class InfeasibleError(Exception):
    """The log evidence cannot be computed in floating point at these parameters."""


def make_objective(design: Design, rows: Rows, prior: LinearModelSpec) -> Objective:
    """Log evidence by parameters of a copy of the basis, by its kernel if that is possible."""
    are_few = len(rows) <= KERNEL_ROWS_PER_FUNCTION * design.n_basis
    basis = design.basis
    if are_few and hasattr(basis, "exact_kernel") and _is_isotropic(design, prior):
        return KernelObjective(basis.exact_kernel(rows.X), design, rows, prior)
    trial = basis.resample() if hasattr(basis, "resample") else copy.deepcopy(basis)
    return DesignObjective(trial, design, rows, prior)


def _is_isotropic(design: Design, prior: LinearModelSpec) -> bool:
    """True if all weights but the intercept have prior mean 0 and one prior precision."""
    if isinstance(prior.precision, str) or np.any(prior.mean):
        return not np.any(prior.mean)
    precisions = prior.precision[int(design.fit_intercept) :]
    return bool(np.all(precisions == precisions[0]))


class Objective(ABC):
    """Log evidence of ``rows``, up to a constant, by basis parameters and log precision ratio."""

    def __init__(self, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        weights = rows.precision_weights
        self.relative_precision, self.is_ratio_free = _relative_precision(prior, design)
        self.n_flat = int(self.relative_precision[0] == 0)
        self.root_weights, self.normalized_weights = np.sqrt(weights), weights / weights.sum()
        self.Y = rows.Y
        self._evaluations: dict[bytes, tuple[_Evaluation, FloatArray]] = {}
        self.weight = rows.weight - self.n_flat
        self.noise_variance = rows.weight / float(weights.sum())  # of the rows, relative to 1
        self.is_ratio_noise_variance = not isinstance(prior.precision, str) and self.is_ratio_free
        self.is_noise_known = prior.noise != "evidence"
        self.data_term = prior.data_term(self.weight)
        if self.is_ratio_noise_variance:
            self.data_term = unit_prior_term(self.weight)

    def evaluate(self, theta: FloatArray, log_ratio: float) -> Point:
        """Log evidence up to a constant, its gradient by (theta, log_ratio), and information."""
        with np.errstate(all="ignore"), suppress(InfeasibleError):
            evaluation, by_theta = self._evaluate_once(theta, log_ratio)
            gradient = np.append(by_theta, evaluation.by_log_ratio)
            if np.isfinite(evaluation.value) and np.isfinite(gradient).all():
                return Point(evaluation.value, gradient, evaluation.information)
        n_params = len(theta) + 1
        return Point(INFEASIBLE, np.zeros(n_params), np.zeros((n_params, n_params)))

    @property
    def target_variance(self) -> float:
        """Mean variance of the outputs over the rows, 1 if it is 0."""
        deviations = self.Y - self.normalized_weights @ self.Y
        variance = float((self.normalized_weights @ deviations**2).mean())
        return variance if variance > 0 else 1.0

    @property
    def flat_leverage(self) -> FloatArray:
        """Leverage of the rows in the intercept, times weight, if its prior is flat."""
        return self.normalized_weights * self.n_flat

    @abstractmethod
    def signal_variance(self, theta: FloatArray) -> float:
        """Expected variance over the rows of a function drawn from the prior of precision 1."""

    def _evaluate_once(self, theta: FloatArray, log_ratio: float) -> tuple[_Evaluation, FloatArray]:
        """The same as `_evaluate`, without the large matrix; the last ones are kept."""
        key = np.append(theta, log_ratio).tobytes()
        if key not in self._evaluations:
            found, by_theta = self._evaluate(theta, log_ratio)
            self._evaluations[key] = replace(found, by_matrix=NO_MATRIX), by_theta
            if len(self._evaluations) > N_KEPT:
                self._evaluations.pop(next(iter(self._evaluations)))
        return self._evaluations[key]

    @abstractmethod
    def _evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[_Evaluation, FloatArray]:
        """Value with its derivatives, and its gradient by theta."""

    def fit_rows(
        self, theta: FloatArray, log_ratio: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Residuals of the rows, their leverages (n_rows, 1), and the noise variances.

        The residuals are those of the best weights, not yet of weights without the row.
        """
        with np.errstate(all="ignore"):
            found, _ = self._evaluate_once(theta, log_ratio)
            variances = np.broadcast_to(1 / found.noise_precision, self.Y.shape[1])
            residuals = found.residual * variances / self.root_weights[:, None]
            return residuals, (found.leverage / self.root_weights**2)[:, None], variances

    def _center(self, table: FloatArray) -> FloatArray:
        """Subtract weighted column means if the intercept has a flat prior."""
        return table - self.normalized_weights @ table if self.n_flat else table

    def _center_rows(self, tables: FloatArray) -> FloatArray:
        """The same for tables stacked on the first axis, in place."""
        if self.n_flat:
            tables -= np.einsum("i,pik->pk", self.normalized_weights, tables)[:, None]
        return tables

    def _evaluate_gram(
        self, gram: FloatArray, Y: FloatArray, log_ratio: float, slopes: Slopes | None = None
    ) -> _Evaluation:
        """Value from the inner products of rows, shape (n_rows, n_rows), which are overwritten.

        ``slopes`` gives derivatives of their product with a matrix by theta, for the information.
        """
        ratio, n_outputs = np.exp(log_ratio), Y.shape[1]
        upper = _factorize(gram, ratio)
        dual, _ = lapack.dpotrs(upper, Y)
        explained = _column_products(Y, dual)
        tangents = None if slopes is None else self._tangents(upper, slopes(dual), dual, Y, ratio)
        energy = rounding_floor(Y) + ratio * explained
        squares = explained - ratio * _column_products(dual, dual)
        log_det, inverse = _invert(upper)
        value, slope, by_energy = self._sum_outputs(energy, squares, log_det, inverse, log_ratio)
        noise_precision = -2 * by_energy
        residual = noise_precision * ratio * dual
        leverage = 1 - ratio * np.diag(inverse) + self.flat_leverage
        inverse *= -0.5 * n_outputs
        by_gram = _add_product(inverse, 0.5 * residual, dual)
        information = tangents and self._average_information(*tangents, energy, log_ratio)
        return _Evaluation(value, slope, by_gram, residual, leverage, noise_precision, information)

    def _tangents(
        self, upper: FloatArray, by_theta: FloatArray, dual: FloatArray, Y: FloatArray, ratio: float
    ) -> tuple[FloatArray, FloatArray]:
        """Second-order parts of the energy by (theta, log_ratio), over the ratio, and its slopes.

        Their shapes are (n_params, n_params, n_outputs) and (n_params, n_outputs). ``by_theta`` are
        the derivatives of the Gram matrix times ``dual``.
        """
        by_ratio = ratio * dual - (0.0 if self.is_ratio_noise_variance else Y)
        tangents = np.concatenate([by_theta, by_ratio[None]])
        n_params, n_rows, n_outputs = tangents.shape
        flat = np.moveaxis(tangents, 1, 0).reshape(n_rows, -1)
        solved = lapack.dpotrs(upper, flat)[0].reshape(n_rows, n_params, n_outputs)
        curvatures = np.einsum("pik,iqk->pqk", tangents, solved, optimize=True)
        return curvatures, -ratio * np.einsum("pik,ik->pk", tangents, dual)

    def _average_information(
        self, curvatures: FloatArray, slopes: FloatArray, energy: Any, log_ratio: float
    ) -> FloatArray:
        """Average information by (theta, log_ratio).

        This is the mean of the observed and the expected information without terms that cancel in
        expectation (Gilmour, Thompson and Cullis, Biometrics 51, 1995). The arguments are those of
        `_tangents`.
        """
        step = SMALL * energy
        near, far = (self.data_term(at, log_ratio)[1] for at in (energy, energy + step))
        by_square = (np.broadcast_to(far, energy.shape) - near) / step
        information = curvatures @ np.broadcast_to(-np.exp(log_ratio) * near, energy.shape)
        return np.asarray(information - (slopes * by_square) @ slopes.T)

    def _evaluate_factor(self, factor: FloatArray, Y: FloatArray, log_ratio: float) -> _Evaluation:
        """Value from a scaled design matrix, by its smaller matrix of inner products."""
        n_columns, n_outputs = factor.shape[1], Y.shape[1]
        if len(factor) < n_columns:
            found = self._evaluate_gram(factor @ factor.T, Y, log_ratio)
            return replace(found, by_matrix=(factor.T @ (2 * found.by_matrix)).T)
        ratio = np.exp(log_ratio)
        upper = _factorize(factor.T @ factor, ratio)
        mean, _ = lapack.dpotrs(upper, factor.T @ Y)
        log_det, inverse = _invert(upper)
        residual = Y - factor @ mean
        squares = _column_products(mean, mean)
        energy = rounding_floor(Y) + _column_products(residual, residual) + ratio * squares
        value, slope, by_energy = self._sum_outputs(energy, squares, log_det, inverse, log_ratio)
        noise_precision = -2 * by_energy
        residual *= noise_precision
        inverse *= -n_outputs
        by_log_det = (inverse @ factor.T).T
        leverage = self.flat_leverage - np.einsum("ij,ij->i", by_log_det, factor) / n_outputs
        by_factor = _add_product(by_log_det, residual, mean)
        return _Evaluation(value, slope, by_factor, residual, leverage, noise_precision)

    def _sum_outputs(
        self, energy: Any, squares: Any, log_det: float, inverse: FloatArray, log_ratio: float
    ) -> tuple[float, float, Any]:
        """Value, its derivative by the log ratio, and the data terms' derivatives by energy.

        ``log_det`` is that of the matrix of which ``inverse`` is the inverse.
        """
        ratio, n, n_outputs = np.exp(log_ratio), len(inverse), len(energy)
        value, by_energy, by_ratio = self.data_term(energy, log_ratio)
        log_det_slope = 0.5 * (n - ratio * np.trace(inverse))
        total = float(np.sum(value)) + n_outputs * 0.5 * (n * log_ratio - log_det)
        slope = float(np.sum(by_ratio + ratio * by_energy * squares)) + n_outputs * log_det_slope
        return total, slope, by_energy


class DesignObjective(Objective):
    """Log evidence by the design matrix, which is held whole."""

    def __init__(self, basis: Any, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        super().__init__(design, rows, prior)
        self.X, self.design = rows.X, replace(design, basis=basis)
        self.mean = prior.mean[self.n_flat :]
        self.root_precision = np.sqrt(self.relative_precision[self.n_flat :])
        self.is_isotropic = _is_isotropic(design, prior)

    def signal_variance(self, theta: FloatArray) -> float:
        variances = self._design_matrix(theta)[:, self.n_flat :].var(axis=0)
        return float((variances / self.root_precision**2).sum())

    def scaled(self, theta: FloatArray | None) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Design matrix, and columns and targets scaled for prior and noise of precision 1."""
        Phi = self._design_matrix(theta)
        factor = self._center(Phi[:, self.n_flat :])
        factor = _scale(_scale(factor, self.root_weights[:, None]), 1 / self.root_precision)
        Y = self._center(self.Y - (Phi[:, self.n_flat :] @ self.mean)[:, None])
        return Phi, factor, Y * self.root_weights[:, None]

    def mean_slopes(self, theta: FloatArray, Phi: FloatArray, dual: FloatArray) -> FloatArray:
        """Derivatives of the mean function by the basis parameters, scaled as targets are.

        Shape (n_params, n_rows, n_outputs). ``Phi`` is the design matrix at ``theta``, and
        ``factor.T @ dual`` are the weights of the columns of `scaled`.
        """
        dual = dual * self.root_weights[:, None]  # of sum 0 where there is a flat intercept
        slopes = self._kernel_slopes(theta, dual)
        if slopes is None:
            slopes = self._design_slopes(theta, Phi, dual)
        return np.asarray(self._center_rows(slopes) * self.root_weights[:, None])

    def _kernel_slopes(self, theta: FloatArray, dual: FloatArray) -> FloatArray | None:
        """The derivatives where the basis functions approximate a kernel, else None.

        The basis functions are a root of the kernel matrix, of which any rotation is one, too. The
        symmetric root changes by half as much as the matrix.
        """
        basis = self.design.basis
        if not (self.is_isotropic and hasattr(basis, "exact_kernel")):
            return None
        # A basis with functions for rows has nearly its kernel, and a slow vector-Jacobian product.
        if len(self.X) > self.design.n_basis and not getattr(basis, "n_exact_rows", 0):
            return None
        variance = 0.5 / self.root_precision[-1] ** 2
        return np.asarray(basis.exact_kernel(self.X).terms(theta).derivatives(variance * dual))

    def _design_slopes(self, theta: FloatArray, Phi: FloatArray, dual: FloatArray) -> FloatArray:
        """The derivatives by a vector-Jacobian product for each row."""
        basis, first = self.design.basis, int(self.design.fit_intercept)
        columns = Phi[:, first:]
        precision = self.root_precision[first - self.n_flat :, None] ** 2
        weights = columns.T @ dual / precision + self.mean[first - self.n_flat :, None]
        basis.theta_ = theta
        by_row = [
            [basis.vjp(x, phi, weight[None]) for weight in weights.T]
            for x, phi in zip(self.X[:, None], columns[:, None], strict=True)
        ]
        return np.moveaxis(np.array(by_row), -1, 0)

    def _evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[_Evaluation, FloatArray]:
        Phi, factor, Y = self.scaled(theta)
        found = self._evaluate_factor(factor, Y, log_ratio)
        by_Phi = _scale(found.by_matrix, 1 / self.root_precision)
        if self.mean.any():
            residual = found.residual.sum(axis=1, keepdims=True)
            by_Phi = _add_product(by_Phi, residual, self.mean[:, None])
        by_Phi = _scale(by_Phi, self.root_weights[:, None])
        first = int(self.design.fit_intercept)
        by_theta: FloatArray = self.design.basis.vjp(
            self.X, Phi[:, first:], by_Phi[:, first - self.n_flat :]
        )
        return found, by_theta

    def _design_matrix(self, theta: FloatArray | None) -> FloatArray:
        if theta is not None:
            self.design.basis.theta_ = theta
        Phi = np.empty((len(self.X), self.design.n_columns), order="F")

        def fill(part: slice) -> None:
            with np.errstate(all="ignore"):  # here, because threads do not inherit it
                self.design.rows(self.X[part], Phi[part])

        try:
            map_in_threads(fill, list(row_blocks(0, len(Phi))))
        except ValueError as error:  # X over the length scales overflows
            raise InfeasibleError from error
        return Phi


class KernelObjective(Objective):
    """Log evidence by the kernel that random basis functions approximate."""

    def __init__(self, kernel: Kernel, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        super().__init__(design, rows, prior)
        self.kernel, self.variance = kernel, 1 / float(self.relative_precision[-1])
        has_proper_intercept = design.fit_intercept and not self.n_flat
        self.constant = 1 / float(self.relative_precision[0]) if has_proper_intercept else 0.0

    def signal_variance(self, theta: FloatArray) -> float:
        matrix = self.kernel.terms(theta).matrix()
        return self.variance * float(np.diag(matrix).mean() - matrix.mean())

    def _evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[_Evaluation, FloatArray]:
        terms, roots = self.kernel.terms(theta), self.root_weights
        matrix = terms.matrix()
        Y = self._center(self.Y) * roots[:, None]
        # Large: the matrix is changed in place, and becomes its own inverse and gradient.
        matrix *= self.variance
        matrix += self.constant
        if self.n_flat:
            matrix -= self.normalized_weights @ matrix
            matrix -= (matrix @ self.normalized_weights)[:, None]
        _scale_both(matrix, roots)

        def slopes(dual: FloatArray) -> FloatArray:
            weights = self.variance * roots[:, None] * dual  # of sum 0 with a flat intercept
            return np.asarray(self._center_rows(terms.derivatives(weights)) * roots[:, None])

        found = self._evaluate_gram(matrix, Y, log_ratio, slopes)
        by_matrix = _scale_both(found.by_matrix, roots)
        if self.n_flat:  # the adjoint of centering columns, then rows
            by_matrix -= self.normalized_weights[:, None] * by_matrix.sum(axis=0)
            by_matrix -= by_matrix.sum(axis=1)[:, None] * self.normalized_weights
        by_matrix *= self.variance
        by_theta = terms.vjp(by_matrix)
        self._add_gradient(found, terms.powers, by_theta)
        return found, by_theta

    def _add_gradient(self, found: _Evaluation, powers: FloatArray, by_theta: FloatArray) -> None:
        """Add the part of the observed information that is proportional to the gradient.

        It is due to the second derivatives of the kernel matrix. They are ``powers`` times the
        first ones, exactly in linear terms, and to first order in those that vary little. Negative
        parts are left out.
        """
        assert found.information is not None
        powers = np.append(powers, 1.0 if self.is_ratio_noise_variance else -1.0)
        gradient = np.append(by_theta, found.by_log_ratio)
        diagonal = np.diag_indices(len(gradient))
        found.information[diagonal] += np.maximum(-powers * gradient, 0.0)


@dataclass(frozen=True, eq=False)
class _Evaluation:
    """Value of an objective and its derivatives."""

    value: float
    by_log_ratio: float
    by_matrix: FloatArray  # by the Gram matrix or the scaled design matrix
    residual: FloatArray  # (n_rows, n_outputs), times root weight and noise precision
    leverage: FloatArray  # (n_rows,), times weight
    noise_precision: Any  # (n_outputs,)
    information: FloatArray | None = None  # (n_params, n_params)


def _factorize(gram: FloatArray, ratio: float) -> FloatArray:
    """Cholesky factor of ``gram + ratio I``, in the place of ``gram``."""
    gram[np.diag_indices(len(gram))] += ratio
    upper, failed = lapack.dpotrf(gram.T, overwrite_a=True)
    if failed:
        raise InfeasibleError
    return np.asarray(upper)


def _invert(upper: FloatArray) -> tuple[float, FloatArray]:
    """Logarithm of the determinant and inverse of ``upper' upper``, in the place of ``upper``."""
    log_det = 2 * float(np.log(np.diag(upper)).sum())
    inverse, _ = lapack.dpotri(upper, overwrite_c=True)  # zeros below the diagonal
    diagonal = np.diag(inverse).copy()
    inverse += inverse.T
    inverse[np.diag_indices(len(inverse))] = diagonal
    return log_det, inverse


def rounding_floor(Y: FloatArray) -> Any:
    """Residual sums of squares due to rounding; added to avoid division by zero."""
    return np.finfo(float).eps ** 2 * _column_products(Y, Y) + 1e-200


def _column_products(left: FloatArray, right: FloatArray) -> Any:
    """Inner products of corresponding columns."""
    return np.einsum("ij,ij->j", left, right)


def _add_product(table: FloatArray, left: FloatArray, right: FloatArray) -> Any:
    """``table + left @ right.T``, in place if the memory layout allows."""
    return blas.dgemm(1.0, left, right, 1.0, table, trans_b=True, overwrite_c=True)


def _scale(table: FloatArray, factors: FloatArray) -> FloatArray:
    """``table * factors``, without a copy in the usual case that all factors are 1."""
    return table if np.all(factors == 1) else table * factors


def _scale_both(table: FloatArray, factors: FloatArray) -> FloatArray:
    """``table``, its rows and columns multiplied by the factors in place."""
    if not np.all(factors == 1):
        table *= factors
        table *= factors[:, None]
    return table


def _relative_precision(prior: LinearModelSpec, design: Design) -> tuple[FloatArray, bool]:
    """Prior precisions of the columns up to a common factor; True if that is to be found."""
    if isinstance(prior.precision, str):
        is_proper = np.arange(design.n_columns) >= prior.flat_first
        return is_proper.astype(np.float64), True
    if not np.all(prior.precision[int(design.fit_intercept) :] > 0):
        raise ValueError(
            "`prior_precision` must be > 0 for a basis whose parameters are learned; got a flat "
            "prior, under which the evidence cannot compare bases. Give a positive number or "
            "'evidence', or a basis with fixed lengths."
        )
    if isinstance(prior.noise, float):
        return prior.precision / prior.noise, False
    return prior.precision, prior.noise == "evidence"
