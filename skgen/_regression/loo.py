"""Leave-one-out calibration of the predictive distribution, where its basis was learned.

The best parameters of the basis are plugged in. Their effective number says how much spreads owe
to that, and the residuals of rows that are left out one by one how heavy the tails are
(S. Sundararajan and S. S. Keerthi, Predictive approaches for choosing hyperparameters in Gaussian
processes, Neural Computation 13(5), 2001).
"""

import numpy as np
from scipy.optimize import minimize

from .._validation import FloatArray
from .conjugate import Posterior, Statistic
from .design import Design
from .precisions import LinearModelSpec, LooCalibration
from .predictive import Predictive
from .rows import Rows

STEP = 1e-6  # of a logarithm, for the derivative of the mean function
ROUNDING = 1e-6  # share of the others in the fit of a row, below which it is mostly rounding
FEWEST_DF = 3.0
MOST_DF = 1e3  # next to normal
PRIOR_ROWS = 30.0  # what the distribution before calibration counts for
MIDPOINTS = (np.arange(100) + 0.5) / 100


def calibrate(
    design: Design,
    rows: Rows,
    prior: LinearModelSpec,
    statistic: Statistic,
    posteriors: list[Posterior],
) -> LooCalibration:
    """Calibration for the basis of ``design``, learned from ``rows``.

    ``posteriors`` are those of the rows at the best precisions.
    """
    n_params = effective_number_of_basis_parameters(design, rows, posteriors)
    return calibrate_spreads(n_params, design, rows, prior, statistic, posteriors)


def calibrate_spreads(
    n_params: float, design: Design, rows: Rows, prior: LinearModelSpec, statistic: Statistic,
    posteriors: list[Posterior], noise_variance: FloatArray | None = None,
) -> LooCalibration:  # fmt: skip
    """Calibration for so many basis parameters, with the noise of left-out rows if given."""
    calibration = LooCalibration.neutral(n_params, rows.n_outputs)
    if prior.noise != "evidence":  # then its distribution is given
        return calibration
    with np.errstate(all="ignore"):
        averages = prior.posteriors(statistic, calibration)
        variances = np.concatenate([average.noise_variance for average in averages])
        residuals, _, weights = loo_residuals(design, rows, posteriors, variances, noise_variance)
        for output, average in enumerate(averages):
            calibration.df[output], calibration.std_ratio[output] = fit_student_t(
                residuals[:, output], weights, average.df
            )
    return calibration


def effective_number_of_basis_parameters(
    design: Design, rows: Rows, posteriors: list[Posterior]
) -> float:
    """Number of basis parameters that the data determine, beyond the weights.

    MacKay's effective number in the model that is linear in weights and basis parameters alike (the
    Gauss-Newton approximation): the derivatives of the mean function by the parameters, less what
    the weights can make of them, squared in units of the noise, against the prior precision of 1.
    """
    basis, start = design.basis, design.basis.theta_
    mean = np.hstack([posterior.mean for posterior in posteriors])
    noise = np.concatenate([posterior.noise_precision for posterior in posteriors])
    Phi = design.rows(rows.X)
    tangents = np.empty((len(start), *rows.Y.shape))
    for index, tangent in enumerate(tangents):
        basis.theta_ = start + STEP * (np.arange(len(start)) == index)
        # First the tables' difference, so that rounding of a large intercept takes no part.
        tangent[:] = (design.rows(rows.X) - Phi) @ mean / STEP
    basis.theta_ = start
    rows.scale_by_root_weights(Phi)
    information = np.eye(len(start))
    for output, precision in enumerate(noise):
        columns = rows.scale_by_root_weights(tangents[:, :, output].T * np.sqrt(precision))
        posterior = posteriors[output % len(posteriors)]
        weights = posterior.root @ (posterior.root.T @ (Phi.T @ columns))
        # A sum of squares, because the difference of the two that it equals may cancel.
        columns -= Phi @ weights
        weights *= np.sqrt(posterior.precision)[:, None]
        information += columns.T @ columns + weights.T @ weights
    if not np.isfinite(information).all():  # no noise to speak of
        return float(len(start))
    return float(len(start) - np.trace(np.linalg.inv(information)))


def loo_residuals(
    design: Design, rows: Rows, posteriors: list[Posterior], variances: FloatArray,
    noise_variance: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:  # fmt: skip
    """Standardized residuals of rows, each left out of the fit that predicts it.

    With them the standard deviations, both of shape (n_rows, n_outputs), and the weights of the
    rows, shape (n_rows,). ``variances`` (n_outputs,) are the noise's.
    Precisions and basis stay as all rows have them. ``noise_variance`` (n_rows,) is the noise of
    the left-out rows relative to ``variances``, by default that of the fit. Rows that determine
    their own prediction, but for rounding, are left out of the result.
    """
    Phi, weights, precision_weights = design.rows(rows.X), rows.weights, rows.precision_weights
    assert weights is not None
    residuals, stds = np.empty((2, *rows.Y.shape))
    valid = np.ones(len(rows), dtype=bool)
    noise = rows.noise_variance if noise_variance is None else noise_variance
    for output, posterior in enumerate(posteriors):
        leverage = posterior.leverage(Phi)
        share = 1 - precision_weights * leverage  # of the others in the fit of the row
        valid &= share > ROUNDING
        residual = (rows.Y[:, output] - Phi @ posterior.mean[:, 0]) / share
        zero = np.zeros_like(residual)
        predictive = Predictive.from_leverage(
            zero, leverage / share, variances[output], np.inf, noise
        )
        stds[:, output] = predictive.std
        residuals[:, output] = residual / predictive.std
    valid &= np.isfinite(residuals).all(axis=1)
    return residuals[valid], stds[valid], weights[valid]


def loo_log_density(
    design: Design, rows: Rows, posteriors: list[Posterior],
    noise_variance: FloatArray | None = None,
) -> float:  # fmt: skip
    """Sum of the log densities of rows, each left out, by the Student-t that suits them best.

    Rows that determine their own prediction count as the others on average. There is no density,
    minus infinity, if they are half of all.
    """
    variances = np.concatenate([1 / posterior.noise_precision for posterior in posteriors])
    residuals, stds, weights = loo_residuals(design, rows, posteriors, variances, noise_variance)
    if weights.sum() <= rows.weight / 2:
        return -np.inf
    log_densities = -np.log(stds)
    for output, column in enumerate(residuals.T):
        df, std = fit_student_t(column, weights, np.inf)
        log_densities[:, output] += Predictive.from_std(0.0, std, df).log_density(column)
    return float(rows.weight * (weights @ log_densities.sum(axis=1)) / weights.sum())


def fit_student_t(residuals: FloatArray, weights: FloatArray, df: float) -> tuple[float, float]:
    """Degrees of freedom and standard deviation of the most likely Student-t for ``residuals``.

    ``df`` are those before calibration, where the standard deviation is 1. That distribution counts
    as `PRIOR_ROWS` rows more, and can only get wider, because parameters were chosen so that the
    residuals are small: the standard deviation is at least 1, the degrees of freedom from 3 to
    ``df``.
    """
    own = Predictive.from_std(0.0, 1.0, df).quantiles(MIDPOINTS)
    residuals = np.append(residuals, own)
    weights = np.append(weights, np.full(len(own), PRIOR_ROWS / len(own)))
    weights = weights / weights.sum()

    def loss(position: FloatArray) -> float:
        log_std, inverse_df = position
        predictive = Predictive.from_std(0.0, np.exp(log_std), 1 / inverse_df)
        return -float(weights @ predictive.log_density(residuals))

    least = 1 / min(df, MOST_DF)
    start = [0.5 * np.log(np.maximum(1.0, weights @ residuals**2)), np.sqrt(least / FEWEST_DF)]
    found = minimize(
        loss, start, method="L-BFGS-B", bounds=[(0, None), (least, 1 / FEWEST_DF)],
        options={"ftol": 1e-13, "gtol": 1e-8},
    )  # fmt: skip
    log_std, inverse_df = found.x
    return (float(1 / inverse_df) if inverse_df > least else df), float(np.exp(log_std))
