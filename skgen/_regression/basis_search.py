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
from scipy.optimize import minimize

from .._pipelines import final_estimator, transform_before_final
from .._validation import FloatArray
from ..bases import is_learnable
from .conjugate import Posterior, Statistic
from .design import Design, statistic_of
from .loo import calibrate, loo_log_density
from .marginal_likelihood import Objective, make_objective
from .precisions import LinearModelSpec
from .rows import SEARCH_ROWS, Rows
from .source import Source

MAX_ITER = 40
TOLERANCE = 1e-6  # relative to the gain so far
PILOT_ROWS = 800  # of the search from several starts
STARTS = ((0.0, 0.0), (0.0, -6.0), (-2.0, -3.0))
"""Shifts of all basis parameters, and of the log ratio of precisions, from where they start."""
SAME = 0.05  # difference of basis parameters below which two maxima are one
THETA_RANGE, LOG_RATIO_RANGE = 5.0, 20.0  # distances from the start
SIGNAL_TO_NOISE = 20.0  # ratio of variances at the start


@dataclass(frozen=True, eq=False)
class Fit:
    """Fit of the weights at some basis parameters."""

    theta: FloatArray
    statistic: Statistic
    posteriors: list[Posterior]
    log_evidence: float
    loo_log_density: float

    def score(self, start: FloatArray) -> tuple[bool, float]:
        """Log evidence, log prior and leave-one-out log density, by which fits are compared.

        Maxima of the evidence may be a few nats apart although they predict very differently, above
        all where the noise is not normal. Fits that determine as many weights as there are rows
        have no such density, and come after all others.
        """
        offset, has_density = self.theta - start, np.isfinite(self.loo_log_density)
        value = self.log_evidence - 0.5 * float(offset @ offset)
        return bool(has_density), value + (self.loo_log_density if has_density else 0.0)


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
    start = _fit_weights(final, rows, prior, basis.theta_)
    # The search uses the kernel or other random functions than the basis, to avoid fitting length
    # scales to one draw. So its results are compared with the start on the basis itself.
    found = [_fit_weights(final, rows, prior, theta) for theta in search(final, rows, prior, start)]
    better = [fit for fit in found if fit.log_evidence > start.log_evidence]
    best = max([start, *better], key=lambda fit: fit.score(start.theta))
    basis.theta_ = best.theta
    calibration = calibrate(final, rows, prior, best.statistic, best.posteriors)
    return replace(design, calibration=calibration)


def _fit_weights(design: Design, rows: Rows, prior: LinearModelSpec, theta: FloatArray) -> Fit:
    """Fit of the weights after the basis of ``design`` is set to ``theta``."""
    design.basis.theta_ = theta
    with np.errstate(all="ignore"):
        statistic = statistic_of(design, rows, "auto")
        posteriors = prior.best(statistic)
        log_evidence = float(sum(posterior.log_evidence.sum() for posterior in posteriors))
        is_known = prior.noise != "evidence"
        loo = 0.0 if is_known else loo_log_density(design, rows, posteriors)
    return Fit(theta, statistic, posteriors, log_evidence, loo)


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


def search(design: Design, rows: Rows, prior: LinearModelSpec, start: Fit) -> list[FloatArray]:
    """Basis parameters at maxima of the evidence times the prior.

    The evidence has several maxima, so the search has several starts. With many rows it takes few
    of them, and continues with all from the best maximum.
    """
    few = rows.select(PILOT_ROWS)
    pilot = Ascent(make_objective(design, few, prior), start)
    maxima: list[FloatArray] = []
    for shift in STARTS:
        maximum = pilot.climb(pilot.shift(*shift))
        if not any(np.allclose(maximum[:-1], other[:-1], 0, SAME) for other in maxima):
            maxima.append(maximum)
    if len(few) < len(rows):
        fits = [_fit_weights(design, few, prior, maximum[:-1]) for maximum in maxima]
        best = max(range(len(fits)), key=lambda index: fits[index].score(start.theta))
        maxima = [Ascent(make_objective(design, rows, prior), start).climb(maxima[best])]
    return [maximum[:-1] for maximum in maxima]


class Ascent:
    """Search for the maximum of the log evidence plus the log prior of the basis parameters.

    A position holds the basis parameters, followed by the log ratio of precisions.
    """

    def __init__(self, objective: Objective, start: Fit) -> None:
        log_ratio = _init_log_ratio(objective, start.theta, start.posteriors)
        self.objective, self.center = objective, np.append(start.theta, log_ratio)
        radius = np.full(len(self.center), THETA_RANGE)
        radius[-1] = LOG_RATIO_RANGE if objective.is_ratio_free else 0.0
        self.bounds = list(zip(self.center - radius, self.center + radius, strict=True))

    def loss(self, position: FloatArray) -> tuple[float, FloatArray]:
        """Negative log evidence plus log prior, and its gradient."""
        value, gradient = self.objective.evaluate(position[:-1], position[-1])
        offset = position[:-1] - self.center[:-1]
        gradient[:-1] -= offset
        return 0.5 * float(offset @ offset) - value, -gradient

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
            options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": TOLERANCE, "gtol": 1e-6},
        )  # fmt: skip
        return np.asarray(found.x)


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
