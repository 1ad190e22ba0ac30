"""Parameters of the basis functions by maximizing the evidence.

A learnable basis has, once fitted, an attribute ``theta_``, its free parameters as an ndarray that
can be read and set, and a method ``vjp(X, Phi, gradient)``, the gradient by ``theta_`` of
``sum(gradient * Phi)``. The evidence is maximized by these and by the ratio of prior to noise
precision, by Newton's method or L-BFGS, from several starts. Each parameter has a normal prior
with mean at its fitted value and standard deviation 1, but for larger values, where its density
soon falls no more. For the logarithm of a length scale, a third is then plausible and a hundredth
is not; any longer one is, so that inputs that tell nothing of y are left out.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize

from .._pipelines import final_estimator, transform_before_final
from .._validation import LARGEST, FloatArray
from ..bases import is_learnable
from .design import Design
from .loo import DualFit, loo_log_density
from .marginal_likelihood import InfeasibleError, KernelObjective, Objective, make_objective
from .newton import Point, minimize_by_newton
from .precisions import LinearModelSpec, SimplerModel
from .rows import SEARCH_ROWS, Rows
from .source import Source

STAGES = (400, 1000, 2000)
"""Rows of the stages of the search, the first of which has several starts."""
START_ROWS = 200  # on which starts that lead to the same maximum are recognized
WORTH_A_STAGE = 1.5  # ratio of rows, below which a stage is left out
STARTS = ((0.0, 0.0), (0.0, -4.0), (-1.0, -4.0), (-2.0, -3.0))
"""Shifts of all basis parameters, and of the log ratio of precisions, from where they start."""
COMPARED_ROWS = 1000  # on which the basis itself is compared with that of the start
CALIBRATION_ROWS = 2000
MAX_ITER = 40
ROUGH, FINE, FINAL = 0.1, 1e-9, 1e-2
"""Tolerances in nats, of the starts, of the best of them, of more or fewer rows."""
SLOW = 0.01  # gain of a step of L-BFGS at the end, relative to one of Newton's
SAME = 0.05  # difference in nats that counts for nothing
MOST_BELOW, MOST_ABOVE = 8.0, 5.0  # distances of basis parameters from the start
LOG_RATIO_RANGE = 20.0  # distance of the log ratio of precisions
FIRST_LOG_RATIO_RANGE = 6.0  # in the first stage: few rows can be explained without noise
MOST_COST = 0.5  # nats that a length scale costs which is longer by any factor
RECALLED = 2.0  # largest distance above the start where a search goes on with more rows
SIGNAL_TO_NOISE = 20.0  # ratio of variances at the start


class LearnedBasis(NamedTuple):
    """Design and prior for the parameters of a basis that were found."""

    design: Design
    prior: LinearModelSpec
    fit: DualFit | None = None
    """Fit of some rows, which calibrates the design; None if no parameters were learned."""


def learn_basis(design: Design, source: Source, prior: LinearModelSpec) -> LearnedBasis:
    """Set the parameters of a learnable basis to those of largest evidence, and calibrate.

    The design has the calibration, and the prior, if rows are equal, the least noise variance: the
    density of equal rows, and so the evidence, would be largest without noise.
    """
    basis = design.basis
    if not is_learnable(basis):
        return LearnedBasis(design, prior)
    rows = source.select(SEARCH_ROWS)  # before a pipeline transforms them all
    X, basis = transform_before_final(basis, rows.X), final_estimator(basis)
    rows = merge_duplicates(replace(rows, X=np.asarray(X, dtype=np.float64)))
    if rows.weight <= design.fit_intercept + 1:
        return LearnedBasis(design, prior)
    if rows.weight > len(rows):
        prior = replace(prior, least_noise=_rounding_variance(rows.Y))
    # "ard" would need a search in each step of this one.
    common = replace(prior, precision="evidence") if isinstance(prior.precision, str) else prior
    final, start = replace(design, basis=basis), basis.theta_
    theta = search(final, rows, common)
    best = _better_fit(final, rows, common, start, theta)
    if best is None:
        basis.theta_ = start
        return LearnedBasis(design, prior)
    basis.theta_ = best.theta
    if isinstance(prior.precision, str) and prior.precision == "evidence":
        simpler = _linear_model(final)
        prior = replace(prior, expected_ratio=float(best.ratios.min()), simpler=simpler)
    return LearnedBasis(replace(design, calibration=best.calibration()), prior, best)


def _linear_model(design: Design) -> SimplerModel | None:
    """The model of the linear terms alone, or None if the basis has none."""
    squares = getattr(design.basis, "linear_factors", np.zeros(0)) ** 2
    (functions,) = np.nonzero(squares >= 1 / LARGEST)
    if not functions.size:
        return None
    columns = functions + design.fit_intercept
    return SimplerModel(columns, squares[functions], len(design.basis.theta_))


def _rounding_variance(Y: FloatArray) -> float:
    """Variance due to rounding, if values are multiples of the smallest difference between two."""
    steps = [np.diff(np.unique(column)).min(initial=np.inf) for column in Y.T]
    return min(steps) ** 2 / 12 if np.isfinite(steps).all() else 0.0


def _better_fit(
    design: Design, rows: Rows, prior: LinearModelSpec, start: FloatArray, found: FloatArray
) -> DualFit | None:
    """Fit of some rows at what the search found, unless the start has clearly more evidence.

    None if neither can be computed.

    The search uses the kernel or other random functions than the basis, to avoid fitting length
    scales to one draw. So its result is compared with the start on the basis itself, unless that is
    the kernel at these rows.
    """
    if getattr(design.basis, "n_exact_rows", 0) >= len(np.unique(rows.X, axis=0)):
        best = DualFit.of(design, rows, prior, found)
        if best is not None:
            return best
    few = rows.select(COMPARED_ROWS)
    at_start, best = (DualFit.of(design, few, prior, theta) for theta in (start, found))
    if best is None or (at_start and at_start.log_evidence > best.log_evidence + SAME):
        best = at_start
    if best is None or len(few) == len(rows):
        return best
    return DualFit.of(design, rows.select(CALIBRATION_ROWS), prior, best.theta) or best


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

    The evidence has several maxima, so the search has several starts, and goes on from the best
    maximum with more and more rows.
    """
    if prior.noise == "evidence":
        rows = _normalize(rows)
    first, *later = stages(len(rows))
    stage = SearchStage(design, rows.select(first), prior, design.basis.theta_)
    starts = stage.select_starts([stage.shift(*shift) for shift in STARTS])
    one = stage, stage.search(starts)
    maxima = [one, *_search_two_kernels(design.basis, *one)]
    for n_stages, n_rows in enumerate(later, start=1):
        chosen = _choose_number_of_kernels(maxima)
        if n_stages > 1 or chosen is not one:  # the first rows may be too few for two kernels
            maxima = [chosen]
        maxima = [stage.continue_on(best, rows.select(n_rows)) for stage, best in maxima]
    return _choose_number_of_kernels(maxima)[1][:-1]


def _search_two_kernels(basis: Any, stage: SearchStage, best: FloatArray) -> list[Maximum]:
    """The maximum with a second kernel, in a list; none if the basis cannot have one."""
    starts = basis.with_second_kernel(stage.start) if hasattr(basis, "with_second_kernel") else None
    if starts is None:
        return []
    two = SearchStage(stage.design, stage.rows, stage.prior, starts[0])
    _, smoother = basis.with_second_kernel(best[:-1])
    return [(two, two.search([two.center, two.recall(np.append(smoother, best[-1]))]))]


def _choose_number_of_kernels(maxima: list[Maximum]) -> Maximum:
    """The maximum with one kernel, or that with two for a larger score and clearly more evidence.

    Clearly is by more than one nat for each further parameter.
    """
    (stage, position), (other, last) = maxima[0], maxima[-1]
    gain = stage.loss(position).value - other.loss(last).value
    is_clear = gain > len(last) - len(position)
    return maxima[-1] if is_clear and other.score(last) > stage.score(position) else maxima[0]


def _normalize(rows: Rows) -> Rows:
    """Rows of mean squared noise scale 1, and of a mean weight of at most 1.

    A common scale is in the learned noise, of which copies of rows say nothing.
    """
    weights, scale = rows.weights, rows.noise_scale
    if weights is not None and rows.weight > len(rows):
        weights = weights * (len(rows) / rows.weight)
    if scale is not None:
        scale = scale / np.sqrt(np.mean(scale**2))
    return replace(rows, weights=weights, noise_scale=scale)


def stages(n_rows: int) -> list[int]:
    """Numbers of rows of the stages of a search with so many rows in all."""
    last = min(n_rows, STAGES[-1])
    return [some for some in STAGES if WORTH_A_STAGE * some <= last] + [last]


class SearchStage:
    """Search on some rows for the basis parameters of largest evidence times prior.

    A position holds the basis parameters, followed by the log ratio of precisions. The center is
    the position of the fitted basis, at which the prior has its mean.
    """

    def __init__(
        self, design: Design, rows: Rows, prior: LinearModelSpec, start: FloatArray
    ) -> None:
        self.design, self.rows, self.prior, self.start = design, rows, prior, start
        self.objective = make_objective(design, rows, prior)
        self.center = np.append(start, _init_log_ratio(self.objective, start))

    def continue_on(self, best: FloatArray, rows: Rows) -> Maximum:
        """The search on more rows, from the maximum on fewer, and its maximum."""
        stage = SearchStage(self.design, rows, self.prior, self.start)
        return stage, stage.best([best, stage.maximize(stage.recall(best), stage.bounds(), FINAL)])

    def recall(self, position: FloatArray) -> FloatArray:
        """A maximum on fewer rows, where a parameter that was left out can be taken up again.

        Far above the center, the evidence does not depend on it any more.
        """
        return np.append(np.minimum(position[:-1], self.center[:-1] + RECALLED), position[-1])

    def select_starts(self, starts: list[FloatArray]) -> list[FloatArray]:
        """Different maxima that some starts lead to on fewer rows, or the starts, if rows are few.

        Values that are nearly equal are taken to be of one maximum.
        """
        if len(self.rows) < WORTH_A_STAGE * START_ROWS:
            return starts
        few = SearchStage(self.design, self.rows.select(START_ROWS), self.prior, self.start)
        limits, maxima = self.bounds(FIRST_LOG_RATIO_RANGE), dict[float, FloatArray]()
        for start in starts:
            maximum = few.maximize(start, limits, FINAL)
            value = few.loss(maximum).value
            if all(abs(value - other) > SAME for other in maxima):
                maxima[value] = self.recall(maximum)
        return list(maxima.values())

    def search(self, starts: list[FloatArray]) -> FloatArray:
        """The best maximum that is reached from some starts, on few rows."""
        narrow = self.bounds(FIRST_LOG_RATIO_RANGE)
        best = self.best(self.maximize(start, narrow, ROUGH) for start in starts)
        best = self.maximize(best, narrow, FINE)
        if narrow[-1][0] < best[-1] < narrow[-1][1]:
            return best
        return self.best([best, self.maximize(best, self.bounds(), FINE)])

    def bounds(self, log_ratio_range: float = LOG_RATIO_RANGE) -> list[tuple[float, float]]:
        """Limits of a position."""
        ranges = np.full((len(self.center), 2), (-MOST_BELOW, MOST_ABOVE))
        radius = log_ratio_range if self.objective.is_ratio_free else 0.0
        ranges[-1] = -radius, radius
        return [(low, high) for low, high in self.center[:, None] + ranges]

    def loss(self, position: FloatArray) -> Point:
        """Negative sum of log evidence and log prior, with its gradient and information."""
        value, gradient, information = self.objective.evaluate(position[:-1], position[-1])
        cost, slope, curvature = prior_cost(position[:-1] - self.center[:-1])
        gradient[:-1] -= slope
        if information is not None:
            information = information + np.diag(np.append(curvature, 0.0))
        return Point(cost - value, -gradient, information)

    def score(self, position: FloatArray) -> tuple[bool, float]:
        """Sum of log evidence, log prior and leave-one-out log density, to compare maxima by.

        Maxima of the evidence may be a few nats apart although they predict very differently, above
        all where the noise is not normal. Fits that determine as many weights as there are rows
        have no leave-one-out density, and come after all others: the first member is then False,
        and the second the sum of the other two.
        """
        value = -self.loss(position).value
        if np.isnan(value):
            return False, -np.inf
        if self.objective.is_noise_known:
            return True, value
        density = -np.inf
        with suppress(InfeasibleError):
            density = loo_log_density(
                self.rows, *self.objective.fit_rows(position[:-1], position[-1])
            )
        has_density = bool(np.isfinite(density))
        return has_density, value + (density if has_density else 0.0)

    def best(self, positions: Iterable[FloatArray]) -> FloatArray:
        """The position of the largest score, the first of those whose scores are nearly equal.

        Several starts may lead to one maximum, up to the tolerance of the search.
        """
        scores = [(self.score(position), position) for position in positions]
        has_density, most = max(score for score, _ in scores)
        return next(
            position
            for (has, value), position in scores
            if has is has_density and value >= most - SAME
        )

    def shift(self, shift: float, log_ratio_shift: float) -> FloatArray:
        """Position at a distance from the center."""
        return self.center + np.append(np.full(len(self.center) - 1, shift), log_ratio_shift)

    def maximize(
        self, position: FloatArray, bounds: list[tuple[float, float]], tolerance: float
    ) -> FloatArray:
        """Position of the maximum that is reached from ``position``, to a tolerance in nats."""
        if not isinstance(self.objective, KernelObjective):
            return self._maximize_by_gradients(position, bounds, tolerance)
        low, high = np.transpose(bounds)
        return minimize_by_newton(self.loss, position, low, high, tolerance, MAX_ITER)

    def _maximize_by_gradients(
        self, position: FloatArray, bounds: list[tuple[float, float]], tolerance: float
    ) -> FloatArray:
        """Position of the maximum, by L-BFGS.

        L-BFGS is given the gain so far, because its tolerance is relative and the value depends on
        the unit of y. In units of the norm of the first gradient, the first step has length 1.
        Without them it would lead to a corner of the bounds, where the search may stay.
        """
        reference, gradient, _ = self.loss(position)
        unit = max(1.0, float(np.linalg.norm(gradient)))

        def gain(position: FloatArray) -> tuple[float, FloatArray]:
            value, gradient, _ = self.loss(position)
            return (value - reference) / unit, gradient / unit

        ftol = SLOW * tolerance / unit
        found = minimize(
            gain, position, jac=True, method="L-BFGS-B", bounds=bounds,
            options={"maxiter": MAX_ITER, "maxcor": 20, "ftol": ftol, "gtol": 1e-9},
        )  # fmt: skip
        return np.asarray(found.x)


def prior_cost(offset: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Negative log prior of parameters at a distance from the center, with its derivatives.

    They are the gradient, and the diagonal of the second derivatives where these are positive.
    """
    below, above = np.minimum(offset, 0.0), np.maximum(offset, 0.0)
    density = np.exp(-(above**2) / (2 * MOST_COST))
    cost = 0.5 * below @ below + MOST_COST * np.sum(1 - density)
    curvature = (1 - above**2 / MOST_COST) * density
    return float(cost), below + above * density, np.maximum(curvature, 0.0)


Maximum = tuple[SearchStage, FloatArray]
"""A stage of the search, and the position of the maximum that it found."""


def _init_log_ratio(objective: Objective, start: FloatArray) -> float:
    """Log ratio at the start, where most of y is signal, to avoid fitting noise."""
    if not objective.is_ratio_free:
        return 0.0
    if objective.is_ratio_noise_variance:  # in the unit of y
        return float(np.log(objective.target_variance / SIGNAL_TO_NOISE))
    signal = objective.signal_variance(start)
    noise = (signal if signal > 0 else 1.0) / SIGNAL_TO_NOISE
    return float(np.log(noise / objective.noise_variance))
