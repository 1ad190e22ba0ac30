"""Parameters of the basis functions from the evidence, by its gradient.

With noise precision ``b``, posterior mean ``m`` and covariance ``S / b`` of the weights, row
weights ``W`` and residuals ``r = y - Phi m``, the log marginal likelihood changes with the design
matrix by

    d log p(y) / d Phi = W (b r m' - Phi S)

(the energy and the log determinant of Bishop eq. 3.86, differentiated), and each basis pulls that
back to parameters of its own. The ratio of prior to noise precision is climbed along with them.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray to be
read and set, and a method ``pull_back(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. Each parameter has a normal prior around its start, of standard deviation
1: a logarithm may well be off by a factor of three, and hardly by a hundred.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import OptimizeResult, minimize
from sklearn.pipeline import Pipeline

from ._blocks import in_threads, row_blocks
from ._design import GRAM_GROUPS, Design, Rows, summarise
from ._evidence import Data, FitTerm, Prior, fit_term, unit_prior_term
from ._validation import FloatArray
from .bases import is_learnable, understudy

SEARCH_ROWS = 4000
"""Rows that the search looks at: length scales need no more, and the posterior gets all."""
MOST_STEPS = 100
FARTHEST = 5.0
ENOUGH = 1e-5  # relative gain of log evidence: a hundredth of a nat for a thousand rows
SIGNAL_TO_NOISE = 20.0
SMALLEST_RATIO, LARGEST_RATIO = 1e-12, 1e6
HOPELESS = 1e100


def adapt(design: Design, rows: Rows, prior: Prior) -> None:
    """Give the basis of ``design`` the parameters of largest evidence, if it has any to learn."""
    basis = design.basis
    if isinstance(basis, Pipeline):
        rows = replace(rows, X=np.asarray(basis[:-1].transform(rows.X), dtype=np.float64))
        basis = basis[-1]
    if not is_learnable(basis):
        return
    rows = distinct(rows)
    if rows.weight <= design.fit_intercept + 1:
        return
    start, trial = basis.theta_, understudy(basis)
    search = _Search(replace(design, basis=trial), rows, prior)
    found = search.climbed(start, start)
    # Random basis functions are searched with other draws than they are used with, lest the length
    # scales fit the draw; which is why what was found is compared with the start once more.
    final = _Search(replace(design, basis=basis), rows, prior)
    learnt, initial = (final.best(theta) for theta in (found.x[:-1], start))
    basis.theta_ = found.x[:-1] if learnt > initial else start


def distinct(rows: Rows) -> Rows:
    """At most SEARCH_ROWS evenly chosen rows, equal ones joined into one of their weight.

    So the search sees the same numbers in the same order whether rows are repeated or weighted,
    and however they are sorted.
    """
    if len(rows) > SEARCH_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, SEARCH_ROWS).astype(int)]
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    table, which = np.unique(np.hstack([rows.X, rows.Y]), axis=0, return_inverse=True)
    n_features = rows.X.shape[1]
    total: FloatArray = np.bincount(which.ravel(), weights=weights).astype(np.float64)
    return Rows(np.ascontiguousarray(table[:, :n_features]), table[:, n_features:], total)


@dataclass(frozen=True, eq=False)
class _Point:
    """What the evidence at one ratio of precisions says of the weights."""

    value: float
    by_ratio: float
    mean: FloatArray  # (n_columns,), in the units of `Data`
    noise: float
    inverse: FloatArray  # inv(F'F + ratio I), or inv(FF' + ratio I) F if F has fewer rows


class _Search:
    """The log evidence as a function of the parameters of a basis, and of the log ratio."""

    def __init__(self, design: Design, rows: Rows, prior: Prior) -> None:
        self.design, self.rows, self.prior = design, rows, prior
        self.is_flat = bool(design.fit_intercept)
        self.weighting = np.ones(design.n_columns)
        self.is_free = True  # whether the ratio is
        weight = rows.weight
        if isinstance(prior.precision, str):
            self.weighting[0] = 0.0 if prior.flat_first else 1.0
            self.is_flat = prior.flat_first
            self.fit = fit_term(prior.noise, weight - self.is_flat)
            return
        self.weighting = prior.precision
        self.is_flat = bool(design.fit_intercept and self.weighting[0] == 0)
        if not np.all(self.weighting[self.is_flat :] > 0):
            raise ValueError(
                "`prior_precision` must be > 0 for a basis whose parameters are learnt; got a flat "
                "prior, which has no evidence to compare bases by. Give a positive number or "
                "'evidence', or a basis with fixed lengths."
            )
        if prior.noise == "evidence":
            self.fit = unit_prior_term(weight - self.is_flat)
            return
        self.is_free = False
        if isinstance(prior.noise, float):
            self.weighting = self.weighting / prior.noise
        self.fit = fit_term(prior.noise, weight - self.is_flat)

    def climbed(self, theta: FloatArray, center: FloatArray, fixed: bool = False) -> OptimizeResult:
        """Parameters and log ratio of largest evidence and prior, from ``theta`` on."""
        size = self._size(theta)
        log_ratio, ratio_bounds = 0.0, (0.0, 0.0)
        if self.is_free:
            log_ratio = float(np.log(size / SIGNAL_TO_NOISE))
            ratio_bounds = tuple(np.log([size * SMALLEST_RATIO, size * LARGEST_RATIO]))
        reach = 0.0 if fixed else FARTHEST
        bounds = [(value - reach, value + reach) for value in theta] + [ratio_bounds]

        start = np.append(theta, log_ratio)
        reference, _ = self.evaluate(theta, log_ratio)  # else the unit of y would set the precision

        def loss(position: FloatArray) -> tuple[float, FloatArray]:
            theta = position[:-1]
            value, slope = self.evaluate(theta, position[-1])
            if fixed:
                slope[:-1] = 0.0
            off = theta - center
            slope[:-1] -= off
            return 0.5 * float(off @ off) - (value - reference), -slope

        return minimize(
            loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": MOST_STEPS, "maxcor": 20, "ftol": ENOUGH, "gtol": 1e-6},
        )  # fmt: skip

    def best(self, theta: FloatArray) -> float:
        """The log evidence at theta and its best ratio, but for a constant."""
        if self.is_free:
            theta_and_ratio = self.climbed(theta, theta, fixed=True).x
            return self.evaluate(theta, theta_and_ratio[-1])[0]
        return self.evaluate(theta, 0.0)[0]

    def evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[float, FloatArray]:
        """The log evidence but for a constant, and its gradient by theta and the log ratio."""
        self.design.basis.theta_ = theta
        with np.errstate(all="ignore"):
            few = len(self.rows) <= self.design.n_columns
            value, slope = self._of_few_rows(log_ratio) if few else self._of_many_rows(log_ratio)
        if not (np.isfinite(value) and np.all(np.isfinite(slope))):
            return -HOPELESS, np.zeros(len(theta) + 1)
        return value, slope

    def _of_many_rows(self, log_ratio: float) -> tuple[float, FloatArray]:
        """From the statistic of all rows, and then from their blocks once more."""
        rows, flat = self.rows, int(self.is_flat)
        statistic = summarise(self.design, rows, "cholesky")
        outputs = [statistic.output(index) for index in range(rows.Y.shape[1])]
        data = [Data.of(output, self.weighting, self.prior.mean) for output in outputs]
        points = [_point(one, self.fit, log_ratio) for one in data]
        units = np.sqrt(self.weighting[flat:])
        means = np.stack([point.mean / units for point in points], axis=1)
        means += self.prior.mean[flat:, None]
        covariance = sum(point.inverse for point in points) / np.outer(units, units)
        noise = np.array([point.noise for point in points])
        column_means, target_means = np.zeros(len(units)), np.zeros(len(outputs))
        if flat:
            column_means = statistic.factor[0, 1:] / statistic.factor[0, 0]
            target_means = statistic.targets[0] / statistic.factor[0, 0]

        def pulled_back(group: slice) -> FloatArray:
            total = np.zeros(len(self.design.basis.theta_))
            with np.errstate(all="ignore"):  # here, because threads do not inherit it
                for part in row_blocks(group.start, group.stop):
                    block = rows[part]
                    table = self.design.rows(block.X)
                    Phi = table[:, flat:] - column_means
                    residuals = block.Y - target_means - Phi @ means
                    gradient = (residuals * noise) @ means.T - Phi @ covariance
                    if block.weights is not None:
                        gradient *= block.weights[:, None]
                    total += self._pull_back(block.X, table, gradient)
            return total

        edges = np.linspace(0, len(rows), GRAM_GROUPS + 1).astype(int)
        groups = [slice(start, stop) for start, stop in pairwise(edges)]
        return _summed(points, np.sum(in_threads(pulled_back, groups), axis=0))

    def _of_few_rows(self, log_ratio: float) -> tuple[float, FloatArray]:
        """From a matrix of as many rows and columns as there are rows of data."""
        rows, flat = self.rows, int(self.is_flat)
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        roots, units = np.sqrt(weights)[:, None], np.sqrt(self.weighting[flat:])
        table = self.design.rows(rows.X)
        Phi, Y = table[:, flat:], rows.Y
        if flat:
            Phi = Phi - np.average(Phi, axis=0, weights=weights)
            Y = Y - np.average(Y, axis=0, weights=weights)
        factor, mean = roots * Phi / units, self.prior.mean[flat:]
        points, gradient = [], np.zeros_like(Phi)
        for target in ((Y - (Phi @ mean)[:, None]) * roots).T:
            data = Data(factor, target, 1e-200, rows.weight - flat)
            point = _point(data, self.fit, log_ratio)
            residual = point.noise * (target - factor @ point.mean)
            gradient += np.outer(residual, point.mean / units + mean) - point.inverse / units
            points.append(point)
        return _summed(points, self._pull_back(rows.X, table, roots * gradient))

    def _pull_back(self, X: FloatArray, table: FloatArray, gradient: FloatArray) -> FloatArray:
        """The basis' own gradient, from that by the columns of the design matrix."""
        first = self.design.fit_intercept
        pulled: FloatArray = self.design.basis.pull_back(
            X, table[:, first:], gradient[:, first - self.is_flat :]
        )
        return pulled

    def _size(self, theta: FloatArray) -> float:
        """Mean square of a row of the design matrix about its mean, in units of the prior."""
        self.design.basis.theta_ = theta
        Phi = self.design.rows(self.rows.X)[:, self.is_flat :]
        square = float((Phi.var(axis=0) / self.weighting[self.is_flat :]).sum())
        return square if square > 0 and np.isfinite(square) else 1.0


def _point(data: Data, fit: FitTerm, log_ratio: float) -> _Point:
    """The evidence of one output; an inverse of the smaller of the two possible sizes."""
    factor, ratio = data.factor, np.exp(log_ratio)
    few = len(factor) < factor.shape[1]
    gram = factor @ factor.T if few else factor.T @ factor
    gram[np.diag_indices(len(gram))] += ratio
    upper, _ = lapack.dpotrf(gram)
    inverse, _ = lapack.dpotri(upper)
    inverse = np.triu(inverse) + np.triu(inverse, 1).T
    if few:
        dual, _ = lapack.dpotrs(upper, data.target)
        mean = factor.T @ dual
        energy = data.residual + ratio * float(data.target @ dual)
    else:
        mean, _ = lapack.dpotrs(upper, factor.T @ data.target)
        misfit = data.target - factor @ mean
        energy = data.residual + float(misfit @ misfit + ratio * (mean @ mean))
    value, by_energy, by_ratio = fit(energy, log_ratio)
    value += 0.5 * len(gram) * log_ratio - np.log(np.diag(upper)).sum()
    by_ratio += by_energy * ratio * (mean @ mean) + 0.5 * (len(gram) - ratio * np.trace(inverse))
    return _Point(value, by_ratio, mean, -2 * by_energy, inverse @ factor if few else inverse)


def _summed(points: list[_Point], by_theta: FloatArray) -> tuple[float, FloatArray]:
    """Value and gradient of the sum over outputs."""
    value = float(sum(point.value for point in points))
    return value, np.append(by_theta, sum(point.by_ratio for point in points))
