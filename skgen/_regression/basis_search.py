"""Parameters of the basis functions from the evidence, by its gradient.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray to be
read and set, and a method ``vjp(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. The ratio of prior to noise precision is climbed along with them. Each
parameter has a normal prior around its start, of standard deviation 1: a logarithm may well be off
by a factor of three, and hardly by a hundred.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import numpy as np
from scipy.optimize import minimize

from .._pipelines import final_estimator, transform_before_final
from .._validation import FloatArray
from ..bases import is_learnable
from .conjugate import Posterior, Statistic
from .design import SEARCH_ROWS, Design, Rows, summarise
from .loo import calibrate
from .marginal_likelihood import Objective, objective_of
from .precisions import LinearModelSpec

MOST_STEPS = 40
SIGNAL_TO_NOISE = 20.0
FARTHEST, FARTHEST_RATIO = 5.0, 15.0  # from the start, for theta and the log ratio
ENOUGH = 1e-6  # of the gain so far: a thousandth of a nat where that is a nat per row


class Source(Protocol):
    """Rows, wherever they are."""

    def chosen(self, n_most: int) -> Rows: ...


def adapt(design: Design, source: Source, prior: LinearModelSpec) -> Design:
    """The design, its basis given the parameters of largest evidence, if it has any to learn."""
    basis = design.basis
    if not is_learnable(basis):
        return design
    rows = source.chosen(SEARCH_ROWS)  # before a pipeline transforms them all
    X, basis = transform_before_final(basis, rows.X), final_estimator(basis)
    rows = distinct(replace(rows, X=np.asarray(X, dtype=np.float64)))
    if rows.weight <= design.fit_intercept + 1:
        return design
    if isinstance(prior.precision, str):  # one per weight would search in each step of this search
        prior = replace(prior, precision="evidence")
    final = replace(design, basis=basis)
    start, (statistic, posteriors) = basis.theta_, _conditioned(final, rows, prior)
    # Random basis functions are not searched with as they are drawn, lest the length scales fit the
    # draw; which is why what was found is compared with the start once more.
    basis.theta_ = climbed(objective_of(final, rows, prior), start, posteriors)
    found = _conditioned(final, rows, prior)
    if _log_evidence(found[1]) > _log_evidence(posteriors):
        statistic, posteriors = found
    else:
        basis.theta_ = start
    return replace(design, calibration=calibrate(final, rows, prior, statistic, posteriors))


def _conditioned(
    design: Design, rows: Rows, prior: LinearModelSpec
) -> tuple[Statistic, list[Posterior]]:
    with np.errstate(all="ignore"):
        statistic = summarise(design, rows, "auto")
        return statistic, prior.best(statistic)


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


def climbed(function: Objective, start: FloatArray, posteriors: list[Posterior]) -> FloatArray:
    """Parameters of largest evidence and prior, from ``start`` and its posteriors on."""
    log_ratio, limits = _first_log_ratio(function, start, posteriors), (0.0, 0.0)
    if function.is_free:
        limits = (log_ratio - FARTHEST_RATIO, log_ratio + FARTHEST_RATIO)
    bounds = [(value - FARTHEST, value + FARTHEST) for value in start] + [limits]
    reference, slope = function.evaluate(start, log_ratio)
    unit = max(1.0, float(np.linalg.norm(slope)))

    def loss(position: FloatArray) -> tuple[float, FloatArray]:
        """What is lost against the start, in units of the first slope.

        Against the start, lest the unit of y set the precision; in these units, so that the first
        step has length 1: one by the slope itself would lead to a corner of the bounds, out of
        which there may be no way back.
        """
        value, slope = function.evaluate(position[:-1], position[-1])
        off = position[:-1] - start
        slope[:-1] -= off
        return (0.5 * float(off @ off) - (value - reference)) / unit, -slope / unit

    found = minimize(
        loss, np.append(start, log_ratio), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": MOST_STEPS, "maxcor": 20, "ftol": ENOUGH, "gtol": 1e-6},
    )  # fmt: skip
    theta: FloatArray = found.x[:-1]
    return theta


def _first_log_ratio(function: Objective, start: FloatArray, posteriors: list[Posterior]) -> float:
    """Where the search starts: a signal to be explained, lest all be taken for noise."""
    if not function.is_free:
        return 0.0
    if function.is_absolute:  # in the unit of y
        precisions = np.concatenate([posterior.noise_precision for posterior in posteriors])
        return -float(np.log(precisions).mean())
    signal = function.signal(start)
    return float(np.log((signal if signal > 0 else 1.0) / SIGNAL_TO_NOISE))
