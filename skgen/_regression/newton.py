"""Minimization by damped steps of Newton's method with approximate second derivatives."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np

from .._validation import FloatArray

FIRST_DAMPING, LEAST_DAMPING, DAMPING_FACTOR = 0.1, 1e-4, 4.0
GOOD_SHARE = 0.25  # of the expected gain, below which the damping grows
LEAST_CURVATURE = 1e-3
LONGEST_STEP = 1.0  # of a coordinate
N_PAIRS, LONGEST_OF_PAIRS = 2, 1.0  # steps whose change of the gradient corrects the curvature
LEAST_CORRECTION = 0.05  # of the curvature along a step


class Point(NamedTuple):
    """Value of a function at a position, with its derivatives."""

    value: float
    gradient: FloatArray
    information: FloatArray | None
    """Approximate second derivatives, positive semidefinite; None if they are not known."""


Pair = tuple[FloatArray, FloatArray]
"""A step, and the change of the gradient along it."""


def minimize_by_newton(
    function: Callable[[FloatArray], Point],
    position: FloatArray,
    low: FloatArray,
    high: FloatArray,
    tolerance: float,
    max_iter: int,
) -> FloatArray:
    """Return the position of a minimum between ``low`` and ``high``.

    The steps are those of Levenberg and Marquardt. The information is corrected by the BFGS
    formula, so that it has the changes of the gradient along the last steps. The search ends when
    a step is expected to gain less than ``tolerance``, and does.
    """
    here, damping = function(position), FIRST_DAMPING
    pairs: deque[Pair] = deque(maxlen=N_PAIRS)
    for _ in range(max_iter):
        assert here.information is not None
        curvature = _correct(here.information, pairs)
        step = _damped_step(here.gradient, curvature, position, low, high, damping)
        there = function(position + step)
        expected = float(-(here.gradient + 0.5 * curvature @ step) @ step)
        gain = here.value - there.value
        if gain > 0 and np.abs(step).max() < LONGEST_OF_PAIRS:
            pairs.append((step, there.gradient - here.gradient))
        else:
            pairs.clear()
        if gain > 0:
            position, here = position + step, there
        if max(expected, abs(gain)) < tolerance * min(1.0, 1 / damping):
            break
        is_good = gain > max(0.0, GOOD_SHARE * expected)
        damping *= 1 / DAMPING_FACTOR if is_good else DAMPING_FACTOR
        damping = max(damping, LEAST_DAMPING)
    return position


def _correct(information: FloatArray, pairs: Iterable[Pair]) -> FloatArray:
    """Return the information after BFGS updates, which keep it positive definite."""
    matrix = information
    for step, change in pairs:
        product = matrix @ step
        curvature = float(step @ product)
        if 0 < LEAST_CORRECTION * curvature < (along := float(change @ step)):
            matrix = matrix + np.outer(change, change) / along
            matrix -= np.outer(product, product) / curvature
    return matrix


def _damped_step(
    gradient: FloatArray,
    curvature: FloatArray,
    position: FloatArray,
    low: FloatArray,
    high: FloatArray,
    damping: float,
) -> FloatArray:
    """Return a step within the limits; coordinates at a limit that it would leave stay."""
    is_free = ((position > low) | (gradient < 0)) & ((position < high) | (gradient > 0))
    free = np.flatnonzero(is_free)
    matrix = curvature[np.ix_(free, free)]
    diagonal = np.diag_indices(len(free))
    matrix[diagonal] += damping * (matrix[diagonal] + 1.0) + LEAST_CURVATURE
    step = np.zeros_like(position)
    step[free] = np.clip(-np.linalg.solve(matrix, gradient[free]), -LONGEST_STEP, LONGEST_STEP)
    return np.clip(position + step, low, high) - position
