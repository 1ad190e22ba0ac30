"""Noise that depends on the features: the logarithm of its variance is linear in basis functions.

The basis functions are waves and linear terms of the features, of the predicted means, and of the
ranks of both. Their weights have a normal prior, and are those of largest posterior density given
leave-one-out errors: the errors of predicting each row from all others. An error is normal or
Student-t, and its variance is that of the noise plus that of the function at its row (H. White,
Econometrica 48(4), 1980, regresses squared residuals in the same way). The weights are found by the
scoring algorithm of generalized linear models (P. McCullagh and J. A. Nelder, Generalized Linear
Models, 1989, chapter 10). The prior precision is the one under which held-out errors are most
probable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._validation import FloatArray
from ..bases import FourierBasis
from .basis_search import LearnedBasis, merge_duplicates
from .design import Design, LogLinearNoise, evaluate_table
from .loo import DualFit, standardize
from .precisions import LinearModelSpec
from .predictive import largest_log_density
from .rows import SEARCH_ROWS
from .source import Source

FEWEST_ROWS, MOST_ROWS = 40, 2000
MOST_PARAMS_PER_ROW = 0.7  # above which left-out rows say little about the noise
N_WAVES = 40
MOST_DIRECTIONS = 60  # principal components of the basis functions that are used
PRECISIONS = np.array([0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0])
FOLDS = 5
DFS = (3.0, 4.0, 5.0, 7.0, 10.0, 20.0, np.inf)  # candidates for degrees of freedom of the errors
OUTSIDE = 0.1  # share of rows at each end whose log variances are clipped
MAX_STEPS, MAX_HALVINGS = 30, 20
LONGEST_STEP = 3.0  # of a log variance
LEAST_INFORMATION = 1e-9  # as a share of the largest, to avoid a division by zero
TOLERANCE = 1e-3  # gain of the last step over all rows, in nats


def learn_noise(learned: LearnedBasis, source: Source, kind: str) -> Design:
    """Design with log-linear noise, if ``kind`` or the errors of left-out rows call for it."""
    design, prior, fit = learned
    if kind == "constant" or prior.noise != "evidence":
        return design
    if kind == "auto" and design.calibration is None:  # because the basis was not learned
        return design
    rows = source.select(SEARCH_ROWS)
    if kind == "auto" and rows.noise_scale is not None:
        return design
    rows = merge_duplicates(rows).select(MOST_ROWS)
    common = replace(prior, precision="evidence") if isinstance(prior.precision, str) else prior
    with np.errstate(all="ignore"):
        if fit is None or not np.array_equal(fit.rows.X, rows.X):  # a pipeline transformed them
            fit = DualFit.of(design, rows, common)
        return _learn(design, fit, common, kind == "auto")


def _learn(
    design: Design, constant: DualFit | None, prior: LinearModelSpec, is_choice: bool
) -> Design:
    """Design with log-linear noise, or ``design`` if the noise cannot be learned.

    ``constant`` is the fit with constant noise. If ``is_choice``, the log-linear noise must also
    predict better than constant noise.
    """
    n_params = 0.0 if design.calibration is None else design.calibration.n_params
    errors = None if constant is None else _errors(constant, n_params)
    if constant is None or errors is None:
        return design
    rows, weights = constant.rows, constant.mean_weights
    groups = getattr(design.basis, "_groups", None)
    learned = fit_noise(rows.X, constant.Phi @ weights, weights, errors, groups)
    if is_choice and not _exceeds_error(learned.gains, errors.weights):
        return design
    varying = replace(design, noise=learned.noise)
    fit = DualFit.of(design, varying.with_noise(rows), prior)
    variance = learned.left_out_variance * rows.noise_variance
    if fit is None or (
        is_choice and not fit.loo_log_density(variance) > constant.loo_log_density()
    ):
        return design
    return replace(varying, calibration=fit.calibration(n_params, variance))


def _errors(fit: DualFit, n_params: float) -> Errors | None:
    """Errors of left-out rows in units of their noise, or None if there are too few."""
    rows, variances = fit.rows, 1 / fit.noise_precisions
    n_rows = min(len(rows), rows.weight)
    if n_rows < FEWEST_ROWS or fit.n_effective_params + n_params > MOST_PARAMS_PER_ROW * n_rows:
        return None
    residuals, stds, weights = standardize(rows, *fit.residuals_and_leverage(), variances)
    if len(residuals) < len(rows) or not np.all(variances > _rounding(fit)):
        return None
    unit = np.sqrt(np.outer(rows.noise_variance, variances))
    return Errors(residuals * stds / unit, (stds / unit) ** 2 - 1, weights)


def _rounding(fit: DualFit) -> Any:
    """Variance of each output that may be due to rounding or to the approximation of the basis.

    The basis need not approximate the part that a flat intercept explains.
    """
    Y = fit.rows.Y
    deviations = Y - Y.mean(axis=0) if fit.objective.n_flat else Y
    sizes = (np.abs(table).max(axis=0) for table in (deviations, Y))
    return sum((share * size) ** 2 for share, size in zip((1e-6, 1e-12), sizes, strict=True))


def _exceeds_error(gains: FloatArray, weights: FloatArray) -> bool:
    """True if the summed gain of left-out rows exceeds its standard error."""
    mean = np.average(gains, weights=weights)
    return bool(mean * weights.sum() > np.sqrt(weights @ (gains - mean) ** 2))


@dataclass(frozen=True, eq=False)
class Errors:
    """Errors of rows, each predicted from all others, in units of constant noise."""

    values: FloatArray  # (n_rows, n_outputs)
    leverages: FloatArray  # (n_rows, n_outputs), variances of the function in the same unit
    weights: FloatArray  # (n_rows,)

    def __getitem__(self, index: Any) -> Errors:
        return Errors(self.values[index], self.leverages[index], self.weights[index])


class LearnedNoise(NamedTuple):
    """Learned noise, and its cross-validated variances and gains."""

    noise: LogLinearNoise
    left_out_variance: FloatArray  # (n_rows,), relative variances, learned from the other folds
    gains: FloatArray  # (n_rows,), in log density over constant noise


def fit_noise(
    X: FloatArray, mean: FloatArray, mean_weights: FloatArray, errors: Errors,
    groups: npt.NDArray[np.intp] | None = None,
) -> LearnedNoise:  # fmt: skip
    """Log-linear noise of rows X with these means, fitted to leave-one-out errors.

    ``groups`` has the number of the group of each feature; the features of a group share a length
    scale, as in `FourierBasis`.
    """
    table = np.hstack([X, mean])
    basis = FourierBasis(N_WAVES, ranks=True, linear=True, random_state=0)
    if groups is not None:
        basis._groups = np.append(groups, np.full(mean.shape[1], -1))
    basis.fit(table)
    theta = basis.theta_.copy()
    theta[-1] = -0.5 * np.log(len(theta) - 1)  # so that waves and linear terms vary equally
    basis.theta_ = theta
    values = evaluate_table(basis, table)
    shares = errors.weights / errors.weights.sum()
    directions = principal_directions(values - shares @ values, shares)
    columns = np.column_stack([np.ones(len(X)), (values - shares @ values) @ directions])
    precision, left_out, gains = cross_validate(columns, errors)
    weights = directions @ fit_log_variance(columns, errors, precision).weights[1:]
    log_variance = values @ weights
    low, high = limits(log_variance)
    offset = -log_mean_exp(-np.clip(log_variance, low, high), shares)
    left_out -= -log_mean_exp(-left_out, shares)
    noise = LogLinearNoise(basis, mean_weights, weights, low, high, offset)
    return LearnedNoise(noise, np.exp(left_out), gains)


def principal_directions(values: FloatArray, shares: FloatArray) -> FloatArray:
    """Orthonormal directions of largest variance over the rows, in columns."""
    _, vectors = np.linalg.eigh(values.T @ (shares[:, None] * values))
    return np.asarray(vectors[:, ::-1][:, :MOST_DIRECTIONS])


def limits(log_variance: FloatArray) -> tuple[float, float]:
    """Quantiles of log variances between which there are enough rows to learn from."""
    low, high = np.quantile(log_variance, [OUTSIDE, 1 - OUTSIDE])
    return float(low), float(high)


def log_mean_exp(values: FloatArray, shares: FloatArray) -> float:
    """Logarithm of the mean of the exponentials."""
    largest = values.max()
    return float(largest + np.log(shares @ np.exp(values - largest)))


def cross_validate(columns: FloatArray, errors: Errors) -> tuple[float, FloatArray, FloatArray]:
    """Prior precision that makes left-out errors most probable, their log variances and gains."""
    n_rows = len(columns)
    fold = np.arange(n_rows) % FOLDS
    densities, constant = np.empty((len(PRECISIONS), n_rows)), np.empty(n_rows)
    log_variances = np.empty_like(densities)
    for held_out in range(FOLDS):
        rest, out = fold != held_out, fold == held_out
        fit = fit_log_variance(columns[rest, :1], errors[rest], 0.0)
        f = columns[out, :1] @ fit.weights
        constant[out] = log_density(f, errors[out], fit.df).values
        start = np.pad(fit.weights, (0, columns.shape[1] - 1))
        for index in reversed(range(len(PRECISIONS))):
            fit = fit_log_variance(columns[rest], errors[rest], PRECISIONS[index], start, fit.df)
            f = np.clip(columns[out] @ fit.weights, *limits(columns[rest] @ fit.weights))
            log_variances[index, out], start = f, fit.weights
            densities[index, out] = log_density(f, errors[out], fit.df).values
    best = int(np.argmax(densities @ errors.weights))
    return float(PRECISIONS[best]), log_variances[best], densities[best] - constant


class LogVarianceFit(NamedTuple):
    """Weights of the columns, and degrees of freedom of the errors."""

    weights: FloatArray
    df: float


def fit_log_variance(
    columns: FloatArray, errors: Errors, precision: float, start: FloatArray | None = None,
    df: float = 10.0,
) -> LogVarianceFit:  # fmt: skip
    """Most probable weights and degrees of freedom; the first weight has a flat prior."""
    weights = np.zeros(columns.shape[1]) if start is None else start
    for _ in range(len(DFS)):
        weights = climb(columns, errors, precision, weights, df)
        f = columns @ weights
        likely = max(DFS, key=lambda df: errors.weights @ log_density(f, errors, df).values)
        if likely == df:
            break
        df = likely
    return LogVarianceFit(weights, df)


def climb(
    columns: FloatArray, errors: Errors, precision: float, weights: FloatArray, df: float
) -> FloatArray:
    """Most probable weights at given degrees of freedom, by Fisher's scoring."""
    prior = np.full(len(weights), precision)
    prior[0] = 0.0

    def value_at(weights: FloatArray) -> float:
        values = log_density(columns @ weights, errors, df).values
        return float(errors.weights @ values - 0.5 * prior @ weights**2)

    value = value_at(weights)
    for _ in range(MAX_STEPS):
        step = scoring_step(columns, errors, prior, weights, df)
        halved = (step / 2**power for power in range(MAX_HALVINGS))
        step = next((each for each in halved if value_at(weights + each) >= value), 0 * step)
        weights = weights + step
        before, value = value, value_at(weights)
        if value - before < TOLERANCE:
            break
    return weights


def scoring_step(
    columns: FloatArray, errors: Errors, prior: FloatArray, weights: FloatArray, df: float
) -> FloatArray:
    """Step of Newton's method with expected second derivatives (Fisher's scoring)."""
    density = log_density(columns @ weights, errors, df)
    slope = columns.T @ (errors.weights * density.slopes) - prior * weights
    information = columns.T @ ((errors.weights * density.information)[:, None] * columns)
    diagonal = np.diag_indices(len(prior))
    information[diagonal] += prior + LEAST_INFORMATION * information[diagonal].max()
    step = np.linalg.solve(information, slope)
    return np.asarray(step * min(1.0, LONGEST_STEP / max(np.abs(columns @ step).max(), 1e-300)))


class Density(NamedTuple):
    """Log densities of rows, and their derivatives w.r.t. the log variance of the noise."""

    values: FloatArray
    slopes: FloatArray
    information: FloatArray
    """Fisher's information, the mean of the squared slope."""


def log_density(log_variance: FloatArray, errors: Errors, df: float) -> Density:
    """Log densities of errors: Student-t with variance ``exp(log_variance)`` plus leverage."""
    noise = np.exp(log_variance)[:, None]
    variance = noise + errors.leverages
    share = noise / variance
    square = errors.values**2 / variance
    if np.isinf(df):
        values = -0.5 * (np.log(2 * np.pi * variance) + square)
        slopes, information = 0.5 * (square - 1), 0.5
    else:
        excess, largest = square / (df - 2), largest_log_density(df)
        values = largest - 0.5 * np.log(variance) - 0.5 * (df + 1) * np.log1p(excess)
        slopes = 0.5 * ((df + 1) * excess / (1 + excess) - 1)
        information = 0.5 * df / (df + 3)
    return Density(
        values.sum(axis=1), (slopes * share).sum(axis=1), (information * share**2).sum(axis=1)
    )
