"""Parameters of the basis functions by maximizing the evidence.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray that
can be read and set, and a method ``vjp(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. The evidence is maximized by these and by the ratio of prior to noise
precision, with L-BFGS. Each parameter has a normal prior with mean at its start and standard
deviation 1. For the logarithm of a length scale, a factor of three is then plausible and a factor
of a hundred is not.
"""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize

from .._pipelines import final_estimator, transform_before_final
from .._validation import FloatArray
from ..bases import is_learnable
from .conjugate import Posterior, Statistic
from .design import Design, statistic_of
from .loo import calibrate
from .marginal_likelihood import Objective, make_objective
from .precisions import LinearModelSpec
from .rows import SEARCH_ROWS, Rows
from .source import Source

MAX_ITER = 40
TOLERANCE = 1e-6  # relative to the gain so far
THETA_RANGE, LOG_RATIO_RANGE = 5.0, 15.0  # distances from the start
SIGNAL_TO_NOISE = 20.0  # ratio of variances at the start

Fit = tuple[Statistic, list[Posterior]]


def learn_basis(design: Design, source: Source, prior: LinearModelSpec) -> Design:
    """Set the parameters of a learnable basis to those of largest evidence, and calibrate."""
    basis = design.basis
    if not is_learnable(basis):
        return design
    rows = source.select(SEARCH_ROWS)  # before a pipeline transforms them all
    X, basis = transform_before_final(basis, rows.X), final_estimator(basis)
    rows = merge_duplicates(replace(rows, X=np.asarray(X, dtype=np.float64)))
    if rows.weight <= design.fit_intercept + 1:
        return design
    if isinstance(prior.precision, str):  # "ard" would need a search in each step of this one
        prior = replace(prior, precision="evidence")
    final = replace(design, basis=basis)
    start, (statistic, posteriors) = basis.theta_, _fit_weights(final, rows, prior)
    # The search uses the kernel or other random functions than the basis, to avoid fitting length
    # scales to one draw. So the result is compared with the start on the basis itself.
    basis.theta_ = maximize_evidence(make_objective(final, rows, prior), start, posteriors)
    found = _fit_weights(final, rows, prior)
    if _log_evidence(found[1]) > _log_evidence(posteriors):
        statistic, posteriors = found
    else:
        basis.theta_ = start
    return replace(design, calibration=calibrate(final, rows, prior, statistic, posteriors))


def _fit_weights(design: Design, rows: Rows, prior: LinearModelSpec) -> Fit:
    with np.errstate(all="ignore"):
        statistic = statistic_of(design, rows, "auto")
        return statistic, prior.best(statistic)


def _log_evidence(posteriors: list[Posterior]) -> float:
    return float(sum(posterior.log_evidence.sum() for posterior in posteriors))


def merge_duplicates(rows: Rows) -> Rows:
    """At most SEARCH_ROWS evenly spaced rows, sorted; equal rows are merged and weights added.

    The search then gives the same result for repeated and for weighted rows, in any order.
    """
    rows = rows.select(SEARCH_ROWS)
    weights = np.ones(len(rows)) if rows.weights is None else rows.weights
    columns = [rows.X, rows.Y, *([] if rows.noise_scale is None else [rows.noise_scale[:, None]])]
    table = np.hstack(columns).astype(np.float64, copy=False)
    table, which = np.unique(table, axis=0, return_inverse=True)
    X, Y, scales = np.split(table, [rows.n_features, rows.n_features + rows.n_outputs], axis=1)
    total: FloatArray = np.bincount(which.ravel(), weights=weights).astype(np.float64)
    noise_scale = None if rows.noise_scale is None else scales[:, 0]
    return Rows(np.ascontiguousarray(X), Y, total, noise_scale)


def maximize_evidence(
    objective: Objective, start: FloatArray, posteriors: list[Posterior]
) -> FloatArray:
    """Basis parameters of largest evidence times prior, by L-BFGS from ``start``."""
    log_ratio = _init_log_ratio(objective, start, posteriors)
    radius = LOG_RATIO_RANGE if objective.is_ratio_free else 0.0
    bounds = [(value - THETA_RANGE, value + THETA_RANGE) for value in start]
    bounds.append((log_ratio - radius, log_ratio + radius))
    reference, gradient = objective.evaluate(start, log_ratio)
    unit = max(1.0, float(np.linalg.norm(gradient)))

    def loss(position: FloatArray) -> tuple[float, FloatArray]:
        """Negative gain over the start, in units of the norm of the first gradient.

        The gain, because the tolerance is relative and the value depends on the unit of y. In
        these units the first step has length 1. Without them it would lead to a corner of the
        bounds, where the search may stay.
        """
        value, gradient = objective.evaluate(position[:-1], position[-1])
        offset = position[:-1] - start
        gradient[:-1] -= offset
        return (0.5 * float(offset @ offset) - (value - reference)) / unit, -gradient / unit

    found = minimize(
        loss, np.append(start, log_ratio), jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": TOLERANCE, "gtol": 1e-6},
    )  # fmt: skip
    return np.asarray(found.x[:-1])


def _init_log_ratio(objective: Objective, start: FloatArray, posteriors: list[Posterior]) -> float:
    """Log ratio of precisions at the start, where most of y is signal, to avoid fitting noise."""
    if not objective.is_ratio_free:
        return 0.0
    if objective.is_ratio_noise_variance:  # in the unit of y
        precisions = np.concatenate([posterior.noise_precision for posterior in posteriors])
        return -float(np.log(precisions).mean())
    signal = objective.signal_variance(start)
    noise = (signal if signal > 0 else 1.0) / SIGNAL_TO_NOISE
    return float(np.log(noise / objective.noise_variance))
