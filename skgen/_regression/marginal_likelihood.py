"""The log evidence as a function of the parameters of a basis, and its gradient.

With noise precision ``b``, posterior mean ``m`` and covariance ``S / b`` of the weights, row
weights ``W`` and residuals ``r = y - Phi m``, the log marginal likelihood changes with the design
matrix by

    d log p(y) / d Phi = W (b r m' - Phi S)

(the energy and the log determinant of Bishop eq. 3.86, differentiated), and each basis pulls that
back to parameters of its own. Random basis functions stand for a kernel; where rows are few, that
itself takes their place, and with it the chance of their draw goes. Then the gradient is that by
the kernel matrix ``K`` (Rasmussen and Williams, Gaussian Processes for Machine Learning, eq. 5.9),

    d log p(y) / d K = (b W r r' W / rho - inv(K + rho inv(W))) / 2

with the ratio ``rho`` of prior to noise precision, of which either is a function, too.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack

from .._threads import map_in_threads, row_blocks
from .._validation import FloatArray
from ..bases import exact_kernel
from ..bases._base import resample
from ..bases._kernels import Kernel
from .design import Design, Rows
from .precisions import LinearModelSpec, data_term, unit_prior_term

ROWS_PER_WAVE = 2
"""Rows, of each basis function, up to which a kernel matrix costs no more than they do."""
HOPELESS = -1e100


class OutOfReachError(Exception):
    """Parameters at which rounding leaves no evidence to speak of."""


def objective_of(design: Design, rows: Rows, prior: LinearModelSpec) -> Objective:
    """The log evidence by parameters of the basis of ``design``, which is left as it is."""
    are_few = len(rows) <= ROWS_PER_WAVE * design.n_basis
    kernel = exact_kernel(design.basis, rows.X) if are_few else None
    if kernel is not None and _is_of_one_size(design, prior):
        return ByKernel(kernel, design, rows, prior)
    return ByColumns(resample(design.basis), design, rows, prior)


def _is_of_one_size(design: Design, prior: LinearModelSpec) -> bool:
    """Whether weights of basis functions are alike before the data, so that only K matters."""
    if np.any(prior.mean):
        return False
    if isinstance(prior.precision, str):
        return True
    precisions = prior.precision[int(design.fit_intercept) :]
    return bool(np.all(precisions == precisions[0]))


class Objective(ABC):
    """The log evidence, but for a constant, of ``rows`` under a design and a prior."""

    def __init__(self, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        self.weighting, self.is_free = _relative_precisions(prior, design)
        self.n_flat = int(self.weighting[0] == 0)
        self.roots, self.shares = np.sqrt(weights), weights / weights.sum()
        self.Y = rows.Y
        self.weight = float(weights.sum()) - self.n_flat
        given = not isinstance(prior.precision, str)
        self.is_absolute = given and self.is_free  # then the ratio is the noise variance
        term = data_term(prior.noise, self.weight)
        self.fit = unit_prior_term(self.weight) if self.is_absolute else term

    def evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[float, FloatArray]:
        """The value, and its gradient by theta and the log ratio."""
        with np.errstate(all="ignore"):
            try:
                point, by_theta = self._evaluated(theta, log_ratio)
            except OutOfReachError:
                return HOPELESS, np.zeros(len(theta) + 1)
        slope = np.append(by_theta, point.by_ratio)
        if not (np.isfinite(point.value) and np.isfinite(slope).all()):
            return HOPELESS, np.zeros(len(theta) + 1)
        return point.value, slope

    @abstractmethod
    def signal(self, theta: FloatArray) -> float:
        """Variance over the rows that the prior expects of a function if its precision is 1."""

    @abstractmethod
    def _evaluated(self, theta: FloatArray, log_ratio: float) -> tuple[_Point, FloatArray]:
        """The point, and the gradient of its value by theta."""

    def _centred(self, table: FloatArray) -> FloatArray:
        """``table`` less the part of a flat column, the intercept's."""
        return table - self.shares @ table if self.n_flat else table

    def _by_gram(self, gram: FloatArray, Y: FloatArray, log_ratio: float) -> _Point:
        """At the products of rows with each other."""
        ratio, (n_rows, n_outputs) = np.exp(log_ratio), Y.shape
        upper, inverse = _factored(gram, ratio)
        dual, _ = lapack.dpotrs(upper, Y)
        explained = _products(Y, dual)
        value, by_energy, by_ratio = self.fit(_negligible(Y) + ratio * explained, log_ratio)
        log_det = 0.5 * n_rows * log_ratio - np.log(np.diag(upper)).sum()
        shrunk = 0.5 * (n_rows - ratio * np.trace(inverse))
        squares = explained - ratio * _products(dual, dual)
        residual = -2 * by_energy * ratio * dual
        return _Point(
            float(np.sum(value)) + n_outputs * log_det,
            float(np.sum(by_ratio + ratio * by_energy * squares)) + n_outputs * shrunk,
            0.5 * (residual @ dual.T - n_outputs * inverse),
            residual,
        )

    def _by_factor(self, factor: FloatArray, Y: FloatArray, log_ratio: float) -> _Point:
        """At ``factor``, by a matrix of the smaller of the two possible sizes."""
        n_columns, n_outputs = factor.shape[1], Y.shape[1]
        if len(factor) < n_columns:
            point = self._by_gram(factor @ factor.T, Y, log_ratio)
            return replace(point, gradient=(factor.T @ (2 * point.gradient)).T)
        ratio = np.exp(log_ratio)
        upper, inverse = _factored(factor.T @ factor, ratio)
        mean, _ = lapack.dpotrs(upper, factor.T @ Y)
        residual = Y - factor @ mean
        squares = _products(mean, mean)
        energy = _negligible(Y) + _products(residual, residual) + ratio * squares
        value, by_energy, by_ratio = self.fit(energy, log_ratio)
        log_det = 0.5 * n_columns * log_ratio - np.log(np.diag(upper)).sum()
        shrunk = 0.5 * (n_columns - ratio * np.trace(inverse))
        residual *= -2 * by_energy
        inverse *= -n_outputs
        spread = (inverse @ factor.T).T
        return _Point(
            float(np.sum(value)) + n_outputs * log_det,
            float(np.sum(by_ratio + ratio * by_energy * squares)) + n_outputs * shrunk,
            _plus_product(spread, residual, mean),
            residual,
        )


class ByColumns(Objective):
    """By the design matrix, of which rows are few enough to hold it whole."""

    def __init__(self, basis: Any, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        super().__init__(design, rows, prior)
        self.X, self.design = rows.X, replace(design, basis=basis)
        self.mean, self.units = prior.mean[self.n_flat :], np.sqrt(self.weighting[self.n_flat :])

    def signal(self, theta: FloatArray) -> float:
        variances = self._table(theta)[:, self.n_flat :].var(axis=0)
        return float((variances / self.units**2).sum())

    def _evaluated(self, theta: FloatArray, log_ratio: float) -> tuple[_Point, FloatArray]:
        table = self._table(theta)
        factor = self._centred(table[:, self.n_flat :])
        factor = _times(_times(factor, self.roots[:, None]), 1 / self.units)
        Y = self._centred(self.Y - (table[:, self.n_flat :] @ self.mean)[:, None])
        point = self._by_factor(factor, Y * self.roots[:, None], log_ratio)
        by_table = _times(point.gradient, 1 / self.units)
        if self.mean.any():
            residual = point.residual.sum(axis=1, keepdims=True)
            by_table = _plus_product(by_table, residual, self.mean[:, None])
        by_table = _times(by_table, self.roots[:, None])
        first = int(self.design.fit_intercept)
        by_theta: FloatArray = self.design.basis.vjp(
            self.X, table[:, first:], by_table[:, first - self.n_flat :]
        )
        return point, by_theta

    def _table(self, theta: FloatArray) -> FloatArray:
        self.design.basis.theta_ = theta
        table = np.empty((len(self.X), self.design.n_columns), order="F")

        def fill(part: slice) -> None:
            with np.errstate(all="ignore"):  # here, because threads do not inherit it
                self.design.rows(self.X[part], table[part])

        try:
            map_in_threads(fill, list(row_blocks(0, len(table))))
        except ValueError as error:  # lengths so short that X is too large for them
            raise OutOfReachError from error
        return table


class ByKernel(Objective):
    """By the kernel that the basis functions stand for, where their weights are alike a priori."""

    def __init__(self, kernel: Kernel, design: Design, rows: Rows, prior: LinearModelSpec) -> None:
        super().__init__(design, rows, prior)
        self.kernel, self.variance = kernel, 1 / float(self.weighting[-1])
        has_proper_intercept = design.fit_intercept and not self.n_flat
        self.constant = 1 / float(self.weighting[0]) if has_proper_intercept else 0.0

    def signal(self, theta: FloatArray) -> float:
        matrix, _ = self.kernel.at(theta)
        return self.variance * float(np.diag(matrix).mean() - matrix.mean())

    def _evaluated(self, theta: FloatArray, log_ratio: float) -> tuple[_Point, FloatArray]:
        matrix, vjp = self.kernel.at(theta)
        matrix = self._centred(self._centred(self.variance * matrix + self.constant).T)
        gram = matrix * self.roots * self.roots[:, None]
        Y = self._centred(self.Y) * self.roots[:, None]
        point = self._by_gram(gram, Y, log_ratio)
        gradient = self.variance * point.gradient * self.roots * self.roots[:, None]
        if self.n_flat:  # twice what centring becomes for a gradient
            for _ in range(2):
                gradient = (gradient - np.outer(self.shares, gradient.sum(axis=0))).T
        return point, vjp(gradient)


@dataclass(frozen=True, eq=False)
class _Point:
    """The value, and what it changes by."""

    value: float
    by_ratio: float
    gradient: FloatArray  # by the matrix that the rows went in with
    residual: FloatArray  # (n_rows, n_outputs), weighted, times the noise precision


def _factored(gram: FloatArray, ratio: float) -> tuple[FloatArray, FloatArray]:
    """Cholesky factor and inverse of ``gram + ratio I``; ``gram`` is overwritten."""
    gram[np.diag_indices(len(gram))] += ratio
    upper, failed = lapack.dpotrf(gram)
    if failed:
        raise OutOfReachError
    half, _ = lapack.dpotri(upper)  # nothing but zeros below the diagonal
    inverse = half + half.T
    inverse[np.diag_indices(len(inverse))] /= 2
    return upper, inverse


def _negligible(Y: FloatArray) -> FloatArray:
    """Residual sums of squares that are none, lest an exact fit be a division by zero."""
    floors: FloatArray = np.finfo(float).eps ** 2 * _products(Y, Y) + 1e-200
    return floors


def _products(left: FloatArray, right: FloatArray) -> FloatArray:
    """Inner products of the columns."""
    products: FloatArray = np.einsum("ij,ij->j", left, right)
    return products


def _plus_product(table: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """``table + left @ right.T``, in place where memory allows."""
    total: FloatArray = blas.dgemm(1.0, left, right, 1.0, table, trans_b=True, overwrite_c=True)
    return total


def _times(table: FloatArray, factors: FloatArray) -> FloatArray:
    """Their product; mostly all factors are 1, and a pass over the table counts."""
    return table if np.all(factors == 1) else table * factors


def _relative_precisions(prior: LinearModelSpec, design: Design) -> tuple[FloatArray, bool]:
    """Prior precisions of the columns but for a common factor, and whether that is to be found."""
    if isinstance(prior.precision, str):
        weighting = np.ones(design.n_columns)
        weighting[0] = 0.0 if prior.flat_first else 1.0
        return weighting, True
    if not np.all(prior.precision[int(design.fit_intercept) :] > 0):
        raise ValueError(
            "`prior_precision` must be > 0 for a basis whose parameters are learned; got a flat "
            "prior, under which the evidence cannot compare bases. Give a positive number or "
            "'evidence', or a basis with fixed lengths."
        )
    if isinstance(prior.noise, float):
        return prior.precision / prior.noise, False
    return prior.precision, prior.noise == "evidence"
