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

import numpy as np
from scipy.linalg import lapack
from scipy.optimize import OptimizeResult, minimize
from sklearn.pipeline import Pipeline

from ._blocks import in_threads, row_blocks
from ._design import Design, Rows
from ._evidence import Data, FitTerm, Prior, fit_term, unit_prior_term
from ._validation import FloatArray
from .bases import is_learnable, understudy

SEARCH_ROWS = 4000
"""Rows that the search looks at: length scales need no more, and the posterior gets all."""
MOST_STEPS = 40
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
    search = Search(replace(design, basis=trial), rows, prior)
    found = search.climbed(start, start)
    # Random basis functions are searched with other draws than they are used with, lest the length
    # scales fit the draw; which is why what was found is compared with the start once more.
    final = Search(replace(design, basis=basis), rows, prior)
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
    """What the evidence at one ratio of precisions says, in the units of `Data`."""

    value: float
    by_ratio: float
    mean: FloatArray  # (n_columns,)
    noise: float
    spread: FloatArray  # F inv(F'F + ratio I), shape (n_rows, n_columns)


class Search:
    """The log evidence as a function of the parameters of a basis, and of the log ratio.

    It sets ``theta_`` of the basis of ``design``.
    """

    def __init__(self, design: Design, rows: Rows, prior: Prior) -> None:
        self.design, self.prior = design, prior
        self.X, self.Y = rows.X, rows.Y
        self.weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        self.weighting, self.is_free = _relative_precisions(prior, design)
        self.n_flat = int(self.weighting[0] == 0)
        self.weight = float(self.weights.sum()) - self.n_flat
        given = not isinstance(prior.precision, str)
        absolute = given and prior.noise == "evidence"  # then the ratio is the noise variance
        self.fit = unit_prior_term(self.weight) if absolute else fit_term(prior.noise, self.weight)

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
            table = self._table()
            points, gradient = self._by_columns(table, log_ratio)
            value = float(sum(point.value for point in points))
            first = int(self.design.fit_intercept)
            by_theta = self.design.basis.pull_back(
                self.X, table[:, first:], gradient[:, first - self.n_flat :]
            )
            slope = np.append(by_theta, sum(point.by_ratio for point in points))
        if not (np.isfinite(value) and np.all(np.isfinite(slope))):
            return -HOPELESS, np.zeros(len(theta) + 1)
        return value, slope

    def _table(self) -> FloatArray:
        """The design matrix of all rows, of which there are few enough to hold it whole."""
        table = np.empty((len(self.X), self.design.n_columns), order="F")

        def fill(part: slice) -> None:
            with np.errstate(all="ignore"):  # here, because threads do not inherit it
                self.design.rows(self.X[part], table[part])

        in_threads(fill, list(row_blocks(0, len(table))))
        return table

    def _by_columns(self, table: FloatArray, log_ratio: float) -> tuple[list[_Point], FloatArray]:
        """Each output's point, and the sum of their gradients by the columns that are not flat."""
        Phi, Y = table[:, self.n_flat :], self.Y
        prior_mean, units = self.prior.mean[self.n_flat :], np.sqrt(self.weighting[self.n_flat :])
        roots = np.sqrt(self.weights)[:, None]
        if self.n_flat:
            shares = self.weights / self.weights.sum()
            Phi, Y = Phi - shares @ Phi, Y - shares @ Y
        factor = Phi * roots
        factor /= units
        gradient = np.zeros_like(factor)
        points = []
        for y in (Y * roots).T:
            target = y - factor @ (prior_mean * units)
            negligible = np.finfo(float).eps ** 2 * float(y @ y) + 1e-200
            point = _point(Data(factor, target, negligible, self.weight), self.fit, log_ratio)
            residual = point.noise * (target - factor @ point.mean)
            gradient += np.outer(residual, point.mean / units + prior_mean)
            gradient -= point.spread / units
            points.append(point)
        gradient *= roots
        return points, gradient

    def _size(self, theta: FloatArray) -> float:
        """Mean square of a row of the design matrix about its mean, in units of the prior."""
        self.design.basis.theta_ = theta
        columns = self._table()[:, self.n_flat :]
        square = float((columns.var(axis=0) / self.weighting[self.n_flat :]).sum())
        return square if square > 0 and np.isfinite(square) else 1.0


def _relative_precisions(prior: Prior, design: Design) -> tuple[FloatArray, bool]:
    """Prior precisions of the columns but for a common factor, and whether that is to be found."""
    if isinstance(prior.precision, str):
        weighting = np.ones(design.n_columns)
        weighting[0] = 0.0 if prior.flat_first else 1.0
        return weighting, True
    if not np.all(prior.precision[int(design.fit_intercept) :] > 0):
        raise ValueError(
            "`prior_precision` must be > 0 for a basis whose parameters are learnt; got a flat "
            "prior, under which the evidence cannot compare bases. Give a positive number or "
            "'evidence', or a basis with fixed lengths."
        )
    if isinstance(prior.noise, float):
        return prior.precision / prior.noise, False
    return prior.precision, prior.noise == "evidence"


def _point(data: Data, fit: FitTerm, log_ratio: float) -> _Point:
    """The evidence of one output, by a matrix of the smaller of the two possible sizes."""
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
    spread = inverse @ factor if few else factor @ inverse
    return _Point(value, by_ratio, mean, -2 * by_energy, spread)
