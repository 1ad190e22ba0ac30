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
from functools import reduce
from typing import Protocol

import numpy as np
from scipy.linalg import blas, lapack
from scipy.optimize import minimize
from sklearn.pipeline import Pipeline

from ._blocks import in_threads, row_blocks
from ._design import SEARCH_ROWS, Design, Rows, summarise
from ._evidence import Data, FitTerm, Prior, fit_term, unit_prior_term
from ._posterior import Posterior, Statistic
from ._spreads import what_is_learnt
from ._validation import FloatArray
from .bases import is_learnable, understudy

MOST_STEPS = 40
SIGNAL_TO_NOISE = 20.0
FARTHEST, FARTHEST_RATIO = 5.0, 15.0  # from the start, for theta and the log ratio
ENOUGH = 1e-6  # of the gain so far: a thousandth of a nat where that is a nat a row
HOPELESS = 1e100


class Source(Protocol):
    """Rows, wherever they are."""

    def chosen(self, n_most: int) -> Rows: ...


def adapt(design: Design, source: Source, prior: Prior) -> Design:
    """The design, its basis given the parameters of largest evidence, if it has any to learn."""
    basis = design.basis
    if not is_learnable(basis):
        return design
    rows = source.chosen(SEARCH_ROWS)  # before a pipeline transforms them all
    while isinstance(basis, Pipeline):
        if len(basis) > 1:
            X = np.asarray(basis[:-1].transform(rows.X), dtype=np.float64)
            rows = replace(rows, X=X)
        basis = basis[-1]
    rows = distinct(rows)
    if rows.weight <= design.fit_intercept + 1:
        return design
    if isinstance(prior.precision, str):  # one a weight would be a search in each step of this one
        prior = replace(prior, precision="evidence")
    final, trial = replace(design, basis=basis), replace(design, basis=understudy(basis))
    start, (statistic, posteriors) = basis.theta_, _conditioned(final, rows, prior)
    learnt = Search(trial, rows, prior).climbed(start, posteriors)
    # Random basis functions are searched with other draws than they are used with, lest the length
    # scales fit the draw; which is why what was found is compared with the start once more.
    basis.theta_ = learnt
    found = _conditioned(final, rows, prior)
    if _log_evidence(found[1]) > _log_evidence(posteriors):
        statistic, posteriors = found
    else:
        basis.theta_ = start
    return replace(design, learnt=what_is_learnt(final, rows, prior, statistic, posteriors))


def _conditioned(design: Design, rows: Rows, prior: Prior) -> tuple[Statistic, list[Posterior]]:
    with np.errstate(all="ignore"):
        statistic = summarise(design, rows, "auto")
        return statistic, prior.posteriors(statistic)


def _log_evidence(posteriors: list[Posterior]) -> float:
    return float(sum(posterior.log_evidence.sum() for posterior in posteriors))


def distinct(rows: Rows) -> Rows:
    """At most SEARCH_ROWS evenly chosen rows, equal ones joined into one of their weight.

    So the search sees the same numbers in the same order whether rows are repeated or weighted,
    and however they are sorted.
    """
    rows = rows.chosen(SEARCH_ROWS)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    table = np.hstack([rows.X, rows.Y]).astype(np.float64, copy=False)
    table, which = np.unique(table, axis=0, return_inverse=True)
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
    spread: FloatArray  # -F inv(F'F + ratio I), shape (n_rows, n_columns), column by column


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
        self.is_absolute = given and self.is_free  # then the ratio is the noise variance
        term = fit_term(prior.noise, self.weight)
        self.fit = unit_prior_term(self.weight) if self.is_absolute else term

    def climbed(self, start: FloatArray, posteriors: list[Posterior]) -> FloatArray:
        """Parameters of largest evidence and prior, from ``start`` and its posteriors on."""
        self.design.basis.theta_ = start
        log_ratio, limits = self._log_ratio(posteriors), (0.0, 0.0)
        if self.is_free:
            limits = (log_ratio - FARTHEST_RATIO, log_ratio + FARTHEST_RATIO)
        bounds = [(value - FARTHEST, value + FARTHEST) for value in start] + [limits]
        reference, slope = self.evaluate(start, log_ratio)
        unit = max(1.0, float(np.linalg.norm(slope)))

        def loss(position: FloatArray) -> tuple[float, FloatArray]:
            """What is lost against the start, in units of the first slope.

            Against the start, lest the unit of y set the precision; in these units, so that the
            first step has length 1: one by the slope itself would lead to a corner of the bounds,
            out of which there may be no way back.
            """
            value, slope = self.evaluate(position[:-1], position[-1])
            off = position[:-1] - start
            slope[:-1] -= off
            return (0.5 * float(off @ off) - (value - reference)) / unit, -slope / unit

        found = minimize(
            loss, np.append(start, log_ratio), jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": MOST_STEPS, "maxcor": 20, "ftol": ENOUGH, "gtol": 1e-6},
        )  # fmt: skip
        theta: FloatArray = found.x[:-1]
        return theta

    def _log_ratio(self, posteriors: list[Posterior]) -> float:
        """Where the search starts: a signal to be explained, lest all be taken for noise."""
        if not self.is_free:
            return 0.0
        if self.is_absolute:  # in the unit of y
            variances = np.concatenate([posterior.noise_variance for posterior in posteriors])
            return float(np.log(variances).mean())
        columns = self._table()[:, self.n_flat :]
        square = float((columns.var(axis=0) / self.weighting[self.n_flat :]).sum())
        return float(np.log((square if square > 0 else 1.0) / SIGNAL_TO_NOISE))

    def evaluate(self, theta: FloatArray, log_ratio: float) -> tuple[float, FloatArray]:
        """The log evidence but for a constant, and its gradient by theta and the log ratio."""
        hopeless = -HOPELESS, np.zeros(len(theta) + 1)
        self.design.basis.theta_ = theta
        with np.errstate(all="ignore"):
            try:
                table = self._table()
            except ValueError:  # lengths so short that X is out of reach
                return hopeless
            points, gradient = self._by_columns(table, log_ratio)
            value = float(sum(point.value for point in points))
            first = int(self.design.fit_intercept)
            by_theta = self.design.basis.pull_back(
                self.X, table[:, first:], gradient[:, first - self.n_flat :]
            )
            slope = np.append(by_theta, sum(point.by_ratio for point in points))
        return (value, slope) if np.isfinite(value) and np.isfinite(slope).all() else hopeless

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
        Y, roots = self.Y, np.sqrt(self.weights)[:, None]
        prior_mean, units = self.prior.mean[self.n_flat :], np.sqrt(self.weighting[self.n_flat :])
        factor = table[:, self.n_flat :]
        if self.n_flat:
            shares = self.weights / self.weights.sum()
            factor, Y = factor - shares @ factor, Y - shares @ Y
        factor = _times(_times(factor, roots), 1 / units)
        gradients, points = [], []
        for y in (Y * roots).T:
            target = y - factor @ (prior_mean * units)
            negligible = np.finfo(float).eps ** 2 * float(y @ y) + 1e-200
            point = _point(Data(factor, target, negligible, self.weight), self.fit, log_ratio)
            residual = point.noise * (target - factor @ point.mean)
            spread, mean = _times(point.spread, 1 / units), point.mean / units + prior_mean
            gradients.append(blas.dger(1.0, residual, mean, a=spread, overwrite_a=True))
            points.append(point)
        return points, _times(reduce(np.add, gradients), roots)


def _times(table: FloatArray, factors: FloatArray) -> FloatArray:
    """Their product; mostly all factors are 1, and a pass over the table counts."""
    return table if np.all(factors == 1) else table * factors


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
    np.negative(inverse, out=inverse)
    spread = (factor.T @ inverse if few else inverse @ factor.T).T
    return _Point(value, by_ratio, mean, -2 * by_energy, spread)
