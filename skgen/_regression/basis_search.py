"""Parameters of the basis functions by maximizing the evidence.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray that
can be read and set, and a method ``vjp(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. The evidence is maximized by these and by the ratio of prior to noise
precision, with L-BFGS from several starts. Each parameter has a normal prior with mean at its
fitted value and standard deviation 1. For the logarithm of a length scale, a factor of three is
then plausible and a factor of a hundred is not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from typing import Any
from scipy.optimize import minimize

from .._pipelines import final_estimator, transform_before_final
from .._validation import FloatArray
from ..bases import is_learnable
from .conjugate import Posterior, Statistic
from .design import Design, statistic_of
from .loo import calibrate, loo_log_density
from .marginal_likelihood import InfeasibleError, Objective, make_objective
from .precisions import LinearModelSpec
from .rows import SEARCH_ROWS, Rows
from .source import Source

MAX_ITER = 40
TOLERANCE = 1e-6  # relative to the gain so far
STAGES = (400, 1000, 2000, 4000)
"""Rows of the stages of the search, the first of which has several starts."""
STARTS = ((0.0, 0.0), (0.0, -4.0), (-1.0, -4.0), (-2.0, -3.0), (1.0, -4.0), (2.0, -4.0))
"""Shifts of all basis parameters, and of the log ratio of precisions, from where they start."""
THETA_RANGE, LOG_RATIO_RANGE = 5.0, 20.0  # distances from the start
PILOT_RANGE = 6.0  # of the log ratio: few rows may be explained without noise in many ways
TOL1 = 1e-5
SIGNAL_TO_NOISE = 20.0  # ratio of variances at the start


@dataclass(frozen=True, eq=False)
class Fit:
    """Fit of the weights at some basis parameters."""

    theta: FloatArray
    statistic: Statistic
    posteriors: list[Posterior]

    @property
    def log_evidence(self) -> float:
        """Sum over the outputs."""
        return float(sum(posterior.log_evidence.sum() for posterior in self.posteriors))


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
    final, start = replace(design, basis=basis), basis.theta_
    # The search uses the kernel or other random functions than the basis, to avoid fitting length
    # scales to one draw. So its result is compared with the start on the basis itself.
    found = search(final, rows, prior)
    fits = [_fit_weights(final, rows, prior, theta) for theta in (start, found)]
    best = max(fits, key=lambda fit: fit.log_evidence)
    basis.theta_ = best.theta
    calibration = calibrate(final, rows, prior, best.statistic, best.posteriors)
    return replace(design, calibration=calibration)


def _fit_weights(design: Design, rows: Rows, prior: LinearModelSpec, theta: FloatArray) -> Fit:
    """Fit of the weights after the basis of ``design`` is set to ``theta``."""
    design.basis.theta_ = theta
    with np.errstate(all="ignore"):
        statistic = statistic_of(design, rows, "auto")
        return Fit(theta, statistic, prior.best(statistic))


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


def search(design: Design, rows: Rows, prior: LinearModelSpec) -> FloatArray:
    """Basis parameters at a maximum of the evidence times the prior.

    The evidence has several maxima, so the search has several starts, and continues with more and
    more rows from the best maximum of few.
    """
    start = design.basis.theta_
    few = rows.select(STAGES[0])
    precisions = [posterior.noise_precision for posterior in _fit_weights(design, few, prior, start).posteriors]
    noise_variance = -float(np.log(np.concatenate(precisions)).mean())
    pilot = Ascent(make_objective(design, few, prior), few, prior, start, noise_variance, PILOT_RANGE)
    maxima = [pilot.climb(pilot.shift(*shift)) for shift in STARTS]
    import os
    if os.environ.get("DBG"):
        for m in maxima: print("   ", pilot.score(m), -pilot.loss(m)[0], m.round(2))
    best = max(maxima, key=pilot.score)
    for n_rows in STAGES:
        if len(few) < len(rows) or n_rows == STAGES[0] >= len(rows):
            few = rows.select(n_rows)
            stage = Ascent(make_objective(design, few, prior), few, prior, start, noise_variance)
            best = max([best, stage.climb(best)], key=stage.score)
            if os.environ.get("DBG"):
                print("   ", len(few), stage.score(best), -stage.loss(best)[0], best.round(2))
    return best[:-1]


class Ascent:
    """Search for the maximum of the log evidence plus the log prior of the basis parameters.

    A position holds the basis parameters, followed by the log ratio of precisions.
    """

    def __init__(self, objective: Objective, rows: Rows, prior: Any, start: FloatArray, noise: float, log_ratio_range: float = LOG_RATIO_RANGE) -> None:
        log_ratio = _init_log_ratio(objective, start, noise)
        self.objective, self.center = objective, np.append(start, log_ratio)
        self.rows, self.prior = rows, prior
        radius = np.full(len(self.center), THETA_RANGE)
        radius[-1] = log_ratio_range if objective.is_ratio_free else 0.0
        self.bounds = list(zip(self.center - radius, self.center + radius, strict=True))

    def loss(self, position: FloatArray) -> tuple[float, FloatArray]:
        """Negative log evidence plus log prior, and its gradient."""
        value, gradient = self.objective.evaluate(position[:-1], position[-1])
        offset = position[:-1] - self.center[:-1]
        gradient[:-1] -= offset
        return 0.5 * float(offset @ offset) - value, -gradient

    def score(self, position: FloatArray) -> tuple[bool, float]:
        """Log evidence, log prior and leave-one-out log density, by which maxima are compared.

        Maxima of the evidence may be a few nats apart although they predict very differently, above
        all where the noise is not normal. Fits that determine as many weights as there are rows
        have no such density, and come after all others.
        """
        value = -self.loss(position)[0]
        if self.prior.noise != "evidence":
            return True, value
        try:
            density = loo_log_density(self.rows, *self.objective.fit_rows(position[:-1], position[-1]))
        except InfeasibleError:
            density = -np.inf
        return bool(np.isfinite(density)), value + (density if np.isfinite(density) else 0.0)

    def shift(self, shift: float, log_ratio_shift: float) -> FloatArray:
        """Position at a distance from the center."""
        return self.center + np.append(np.full(len(self.center) - 1, shift), log_ratio_shift)

    def climb(self, position: FloatArray) -> FloatArray:
        """Position of the maximum that L-BFGS reaches from ``position``.

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
            options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": TOL1, "gtol": 1e-6},
        )  # fmt: skip
        return np.asarray(found.x)


def _init_log_ratio(objective: Objective, start: FloatArray, noise_variance: float) -> float:
    """Log ratio at the start, where most of y is signal, to avoid fitting noise."""
    if not objective.is_ratio_free:
        return 0.0
    if objective.is_ratio_noise_variance:  # in the unit of y
        return noise_variance
    signal = objective.signal_variance(start)
    noise = (signal if signal > 0 else 1.0) / SIGNAL_TO_NOISE
    return float(np.log(noise / objective.noise_variance))
