"""What it means for spreads that a basis was learned from the same rows.

The best parameters are plugged in. How many the data determine says what spreads owe to that, and
rows that are left out one by one say how far the noise is from normal [1]_.

References
----------
.. [1] S. Sundararajan and S. S. Keerthi, Predictive approaches for choosing hyperparameters in
   Gaussian processes, Neural Computation 13(5), 2001.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import t as student_t

from .._validation import FloatArray
from .conjugate import Posterior, Statistic
from .design import Design
from .precisions import FEWEST_DF, LinearModelSpec, LooCalibration
from .rows import Rows

STEP = 1e-6  # of a logarithm, to see how the mean function moves
ROUNDING = 1e-6  # share of the others in the fit of a row, below which it is mostly rounding
LEVEL = 0.95  # of the interval that is to hold as many of the rows that were left out
LEAST_INVERSE = 1e-3  # of degrees of freedom: next to normal


def calibrate(
    design: Design,
    rows: Rows,
    prior: LinearModelSpec,
    statistic: Statistic,
    posteriors: list[Posterior],
) -> LooCalibration:
    """Of the basis of ``design``, from ``rows``, of which the other two tell."""
    n_outputs = rows.n_outputs
    n_params = effective_number_of_basis_parameters(design, rows, posteriors)
    learnt = LooCalibration(n_params, np.full(n_outputs, np.inf), np.ones(n_outputs))
    if prior.noise != "evidence":  # then its distribution is given
        return learnt
    with np.errstate(all="ignore"):
        posteriors = prior.posteriors(statistic, learnt)
    deviations, weights = loo_residuals(design, rows, posteriors)
    for output, deviation in enumerate(deviations.T):
        learnt.df[output], learnt.widening[output] = fit_student_t(np.abs(deviation), weights)
    return learnt


def effective_number_of_basis_parameters(
    design: Design, rows: Rows, posteriors: list[Posterior]
) -> float:
    """Number of parameters of the basis that the data determine, beyond the weights.

    As many as of a model that is linear in both (the Gauss-Newton approximation of MacKay's
    effective number of parameters): how the mean function moves with each parameter, less what the
    weights can make of it, squared in units of the noise, against the prior precision of 1.
    """
    basis, start = design.basis, design.basis.theta_
    mean = np.hstack([posterior.mean for posterior in posteriors])
    noise = np.concatenate([posterior.noise_variance for posterior in posteriors])
    Phi = design.rows(rows.X)
    tangents = np.empty((len(start), *rows.Y.shape))
    for index, tangent in enumerate(tangents):
        basis.theta_ = start + STEP * (np.arange(len(start)) == index)
        # First the tables' difference, lest rounding of a large intercept take part.
        tangent[:] = (design.rows(rows.X) - Phi) @ mean / STEP
    basis.theta_ = start
    rows.scale_by_root_weights(Phi)
    information = np.eye(len(start))
    for output, variance in enumerate(noise):
        moves = rows.scale_by_root_weights(tangents[:, :, output].T / np.sqrt(variance))
        root = posteriors[output % len(posteriors)].root
        made = root.T @ (Phi.T @ moves)
        information += moves.T @ moves - made.T @ made
    if not np.isfinite(information).all():  # no noise to speak of
        return float(len(start))
    return float(len(start) - np.trace(np.linalg.inv(information)))


def loo_residuals(
    design: Design, rows: Rows, posteriors: list[Posterior]
) -> tuple[FloatArray, FloatArray]:
    """Deviations of rows from what the others predict of them, over its spread; their weights.

    Their shapes are (n_left_out, n_outputs) and (n_left_out,). Precisions and basis stay as all
    rows have them. Rows that determine their own prediction, but for rounding, are not among them.
    """
    Phi, weights = design.rows(rows.X), rows.weights
    assert weights is not None
    deviations = np.empty(rows.Y.shape)
    certain = np.ones(len(rows), dtype=bool)
    with np.errstate(all="ignore"):
        for output, posterior in enumerate(posteriors):
            kept = 1 - weights * replace(posterior, wide_root=None).leverage(Phi)
            certain &= kept > ROUNDING
            misfit = (rows.Y[:, output] - Phi @ posterior.mean[:, 0]) / kept
            variance = posterior.spread[0] * (1 + posterior.leverage(Phi) / kept)
            deviations[:, output] = misfit / np.sqrt(variance)
    certain &= np.isfinite(deviations).all(axis=1)
    return deviations[certain], weights[certain]


def fit_student_t(deviations: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Degrees of freedom of a Student-t for deviations >= 0, and its standard deviation, if > 1.

    The scale is such that the central 95 % interval holds as much of them, and the degrees of
    freedom, of those above 4, are the most likely for that. Few rows say nothing of tails.
    """
    order, total = np.argsort(deviations), weights.sum()
    if total * (1 - LEVEL) < 1:
        return np.inf, 1.0
    inside = np.searchsorted(np.cumsum(weights[order]), LEVEL * total)
    reach = deviations[order[min(inside, len(order) - 1)]]
    if not reach > 0:
        return np.inf, 1.0

    def scale(df: float) -> float:
        return float(reach / student_t.ppf((1 + LEVEL) / 2, df))

    def loss(inverse: float) -> float:
        df = 1 / inverse
        return -float(weights @ student_t.logpdf(deviations, df, scale=scale(df)))

    found = minimize_scalar(
        loss, bounds=(LEAST_INVERSE, 1 / FEWEST_DF), method="bounded", options={"xatol": 1e-9}
    )
    df = max(FEWEST_DF, 1 / float(found.x))
    return df, max(1.0, scale(df) / np.sqrt(1 - 2 / df))
