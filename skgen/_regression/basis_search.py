"""Parameters of the basis functions by maximizing the evidence.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray that
can be read and set, and a method ``vjp(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. The evidence is maximized by these and by the ratio of prior to noise
precision, with L-BFGS from several starts. Each parameter has a normal prior with mean at its
fitted value and standard deviation 1. For the logarithm of a length scale, a factor of three is
then plausible and a factor of a hundred is not.
"""

from __future__ import annotations

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
PILOT_ROWS, PILOT_STEPS = 250, 15  # of the search from each start
SHIFTS = (0.0, -2.0, 1.5)  # of all basis parameters at the starts
RATIO_OFFSETS = (3.0, 0.0, -5.0, -10.0, -15.0)  # of the log ratio there
THETA_RANGE, LOG_RATIO_RANGE = 5.0, 20.0  # distances from the start
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
    few = rows.select(PILOT_ROWS)
    tables = [rows] if len(few) == len(rows) else [few, rows]
    objectives = [make_objective(final, table, prior) for table in tables]
    basis.theta_ = maximize_evidence(objectives, start, posteriors)
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
    objectives: list[Objective], start: FloatArray, posteriors: list[Posterior]
) -> FloatArray:
    """Basis parameters of largest evidence times prior.

    The evidence has several maxima. So the search with the last objective, that of all rows, is
    repeated if the first one, that of few rows, leads from other starts to a better place.
    """
    log_ratio = _init_log_ratio(objectives[0], start, posteriors)
    pilot, final = (Ascent(objectives[index], start, log_ratio) for index in (0, -1))
    loss, position = final.climb(final.center, MAX_ITER)
    others = [pilot.climb(other, PILOT_STEPS)[1] for other in _starting_points(pilot)]
    better = min(others, key=lambda other: final.loss(other)[0])
    if final.loss(better)[0] < loss:
        _, position = final.climb(better, MAX_ITER)
    return position[:-1]


def _starting_points(ascent: Ascent) -> list[FloatArray]:
    """Positions at several scales of the basis, each with the best of several precision ratios."""
    offsets = RATIO_OFFSETS if ascent.objective.is_ratio_free else (0.0,)
    points = []
    for shift in SHIFTS:
        position = np.append(ascent.center[:-1] + shift, ascent.center[-1])
        last = np.arange(len(position)) == len(position) - 1
        trials = [position + offset * last for offset in offsets]
        points.append(min(trials, key=lambda trial: ascent.loss(trial)[0]))
    return points


class Ascent:
    """Search for the maximum of the log evidence plus the log prior of the basis parameters.

    A position holds the basis parameters, followed by the log ratio of precisions.
    """

    def __init__(self, objective: Objective, start: FloatArray, log_ratio: float) -> None:
        self.objective, self.center = objective, np.append(start, log_ratio)
        radius = np.full(len(self.center), THETA_RANGE)
        radius[-1] = LOG_RATIO_RANGE if objective.is_ratio_free else 0.0
        self.bounds = list(zip(self.center - radius, self.center + radius, strict=True))

    def loss(self, position: FloatArray) -> tuple[float, FloatArray]:
        """Negative log evidence plus log prior, and its gradient."""
        value, gradient = self.objective.evaluate(position[:-1], position[-1])
        offset = position[:-1] - self.center[:-1]
        gradient[:-1] -= offset
        return 0.5 * float(offset @ offset) - value, -gradient

    def climb(self, position: FloatArray, n_steps: int) -> tuple[float, FloatArray]:
        """Least loss that L-BFGS reaches from ``position``, and its position.

        L-BFGS is given the gain so far, because its tolerance is relative and the value depends on
        the unit of y. In units of the norm of the first gradient, the first step has length 1.
        Without them it would lead to a corner of the bounds, where the search may stay.
        """
        reference, gradient = self.loss(position)
        unit = max(1.0, float(np.linalg.norm(gradient)))

        def gain(position: FloatArray) -> tuple[float, FloatArray]:
            value, gradient = self.loss(position)
            return (value - reference) / unit, gradient / unit

        found = minimize(
            gain, position, jac=True, method="L-BFGS-B", bounds=self.bounds,
            options={"maxiter": n_steps, "maxcor": 20, "ftol": TOLERANCE, "gtol": 1e-6},
        )  # fmt: skip
        return reference + unit * float(found.fun), np.asarray(found.x)


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
