"""The evidence as a function of one ratio of precisions, by a singular value decomposition.

Given the ratio of prior to noise precision, the best noise precision is known in closed form. So
one precision for all weights is a smooth problem in one unknown, and after one singular value
decomposition each evaluation takes O(n_columns) (C. M. Bishop, Pattern Recognition and Machine
Learning, Springer 2006, section 3.5; D. J. C. MacKay, Bayesian interpolation, Neural Computation
4(3), 1992).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import lapack, svd
from scipy.optimize import brentq
from scipy.special import softmax

from .._validation import FloatArray
from .conjugate import Statistic
from .relevance import EnergyTerm, SparseModel

# Beyond these multiples of the largest eigenvalue of Phi' Phi, prior or data have no influence.
SMALLEST_RATIO, LARGEST_RATIO = 1e-14, 1e8
SMALLEST_COLUMN = 1e-150  # below, squares vanish and their inverses overflow
GRID_POINTS = 120
NEGLIGIBLE = 20.0  # nats below the best, at which a ratio of precisions has no influence
WELL_CONDITIONED = 100
MOST_SIGNAL = 10.0  # see `Spectrum.log_prior`
FEWEST_DF = 4.0  # with fewer, a Student-t of given variance is nearly all tails
LEAST_ENERGY = 1e-18  # share of the energy of y, below which rounding would choose the weights

DataTerm = Callable[[Any, Any], tuple[Any, Any, Any]]
"""(energy, log ratio) -> the data term of the evidence, and its two derivatives."""


@dataclass(frozen=True, eq=False)
class NoiseTerm:
    """Posterior of the noise given the ratio of precisions."""

    variances: Callable[[FloatArray, FloatArray], FloatArray]
    """(energies, log ratios) -> the expected noise variances."""
    df: float = np.inf
    """Degrees of freedom of a new observation; infinite where the noise is known."""


@dataclass(frozen=True, eq=False)
class ProjectedData:
    """Statistic of one output without the flat columns, which are projected out.

    The other columns are scaled, and the target is shifted, so that the prior of each remaining
    weight is N(0, 1 / ratio).
    """

    factor: FloatArray  # (n_proper, n_proper)
    target: FloatArray  # (n_proper,)
    residual: float
    weight: float  # degrees of freedom that the flat columns leave

    @classmethod
    def of(cls, statistic: Statistic, weighting: FloatArray, mean: FloatArray) -> ProjectedData:
        flat = weighting == 0
        n_flat = int(flat.sum())
        factor, target = statistic.factor, statistic.targets[:, 0] - statistic.factor @ mean
        if np.any(flat[n_flat:]):
            order = np.argsort(~flat, kind="stable")
            rotation, factor = np.linalg.qr(factor[:, order])
            target, weighting = rotation.T @ target, weighting[order]
        residual = float(statistic.residual[0] + statistic.negligible[0])
        factor = factor[n_flat:, n_flat:] / np.sqrt(weighting[n_flat:])
        factor[:, np.abs(factor).max(axis=0, initial=0.0) < SMALLEST_COLUMN] = 0.0
        return cls(factor, target[n_flat:], residual, statistic.weight - n_flat)

    def sparse_model(self, noise: EnergyTerm, precision: float, energy: float) -> SparseModel:
        """The model with one precision per weight, given a common one and the energy there."""
        some = _above_rounding(self.factor)
        residual = self.residual + float(self.target[~some] @ self.target[~some])
        residual += LEAST_ENERGY * float(self.target @ self.target)
        variance = float(-0.5 / noise.slope(energy)) / precision
        factor, target = self.factor[some], self.target[some]
        return SparseModel(factor, target, residual, noise, precision, variance)

    def select(self, columns: Any, precision: FloatArray) -> ProjectedData:
        """Data of some columns alone, which have these precisions relative to the common one."""
        orthogonal, factor = np.linalg.qr(self.factor[:, columns] / np.sqrt(precision))
        target = orthogonal.T @ self.target
        rest = self.target - orthogonal @ target
        return replace(
            self, factor=factor, target=target, residual=self.residual + float(rest @ rest)
        )

    def spectrum(self) -> Spectrum:
        """The singular value decomposition of the factor."""
        if not len(self.factor):
            return Spectrum(np.zeros(0), np.zeros((0, 0)), np.zeros(0), self.residual)
        inverse_condition, _ = lapack.dtrcon(self.factor)
        if inverse_condition * WELL_CONDITIONED > 1:
            values, vectors = np.linalg.eigh(self.factor.T @ self.factor)
            components = vectors.T @ (self.factor.T @ self.target) / np.sqrt(values)
        else:  # because it gives small values twice the digits
            singular, vectors, components = _decompose(self.factor, self.target)
            values = singular**2
        return Spectrum(values, vectors, components, self.residual)


def _decompose(factor: FloatArray, target: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Singular values, right singular vectors, and ``target`` along the left ones.

    Rows of the triangular ``factor`` that are only rounding count as zero, and take almost no time.
    Most rows are, if the data have fewer rows than the design has columns.
    """
    n_columns, some = len(factor), _above_rounding(factor)
    n_rows = int(some.sum())
    if n_rows == n_columns:
        left, singular, right = _svd(factor)
        return singular, right.T, left.T @ target
    vectors, triangle = np.linalg.qr(factor[some].T, mode="complete")
    left, nonzero, right = _svd(triangle[:n_rows].T)
    vectors[:, :n_rows] = vectors[:, :n_rows] @ right.T
    singular = np.zeros(n_columns)
    singular[:n_rows] = nonzero
    return singular, vectors, np.concatenate([left.T @ target[some], target[~some]])


def _above_rounding(factor: FloatArray) -> Any:
    """Mask of the rows of a triangular factor that exceed rounding."""
    rounding = len(factor) * np.finfo(float).eps * np.linalg.norm(factor, axis=0)
    return (np.abs(factor) > rounding).any(axis=1)


def _svd(matrix: FloatArray) -> Any:
    """The singular value decomposition of a square matrix."""
    try:
        return svd(matrix)
    except np.linalg.LinAlgError:  # "divide and conquer" can fail where most values are rounding
        return svd(matrix, lapack_driver="gesvd")


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Singular value decomposition of the factor of `ProjectedData`, and the target along it.

    Energy and log determinant, and so the evidence, are sums over singular values. `DualFit` has
    left singular vectors in place of the right ones, and uses only what does not depend on them.
    """

    values: FloatArray  # squared singular values of the factor
    vectors: FloatArray  # right singular vectors, in columns
    components: FloatArray  # of the target along the left singular vectors
    residual: float

    def terms(self, log_ratio: Any) -> tuple[Any, Any, Any, Any]:
        """Energy and log determinant, each followed by its derivative w.r.t. the log ratio."""
        ratio = np.exp(np.asarray(log_ratio))[..., None]
        shrinkage = ratio / (ratio + self.values)
        squares = self.components**2
        energy = self.residual + (squares * shrinkage).sum(-1)
        energy_slope = (squares * shrinkage * (1 - shrinkage)).sum(-1)
        return energy, energy_slope, 0.5 * np.log(shrinkage).sum(-1), 0.5 * (1 - shrinkage).sum(-1)

    def ratio_limits(self) -> tuple[float, float]:
        """Logarithms of the least and the greatest ratio of prior to noise precision."""
        largest = float(self.values.max(initial=0.0))
        if largest == 0:
            return 0.0, 0.0
        return float(np.log(largest * SMALLEST_RATIO)), float(np.log(largest * LARGEST_RATIO))

    def variance_limits(self, weight: float) -> tuple[float, float]:
        """Logarithms of the least and the greatest noise variance for a prior precision of 1."""
        total = self.residual + float((self.components**2).sum())
        largest = float(self.values.max(initial=0.0))
        smallest = max(1e-3 * self.residual / weight, largest * SMALLEST_RATIO)
        return float(np.log(smallest)), float(np.log(max(1e3 * total, 10 * smallest)))

    def best_ratio(self, data_term: DataTerm, limits: tuple[float, float]) -> float:
        """The ratio of largest evidence."""
        grid = np.linspace(*limits, GRID_POINTS)
        best = int(np.argmax(self.evidence(data_term, grid)[0]))
        left, right = grid[max(best - 1, 0)], grid[min(best + 1, GRID_POINTS - 1)]

        def slope(log_ratio: float) -> float:
            return float(self.evidence(data_term, log_ratio)[1])

        # A root of the derivative, because a maximum itself is known to half the digits only.
        if slope(left) > 0 > slope(right):
            return float(np.exp(brentq(slope, left, right, xtol=1e-15)))
        return float(np.exp(grid[best]))

    def quadrature(
        self, data_term: DataTerm, limits: tuple[float, float]
    ) -> tuple[FloatArray, FloatArray]:
        """Log ratios within the limits and their posterior probabilities; see `log_prior`."""

        def log_posterior(log_ratios: FloatArray) -> FloatArray:
            evidence: FloatArray = self.evidence(data_term, log_ratios)[0]
            return evidence + self.log_prior(data_term, log_ratios)

        grid = np.linspace(*limits, GRID_POINTS)
        found = log_posterior(grid)
        likely = np.flatnonzero(found >= found.max() - NEGLIGIBLE)
        first, last = max(likely[0] - 1, 0), min(likely[-1] + 1, GRID_POINTS - 1)
        log_ratios = np.linspace(grid[first], grid[last], GRID_POINTS)
        found = log_posterior(log_ratios)
        found[[0, -1]] -= np.log(2)  # the trapezoidal rule
        return log_ratios, softmax(found)

    def log_prior(self, data_term: DataTerm, log_ratio: FloatArray) -> FloatArray:
        """Return the log density of log ratios before the data, up to a constant.

        It is uniform, but falls where the prior variance of the function would be more than
        `MOST_SIGNAL` times the variance of the target. With few weights that the data determine,
        the evidence hardly falls there, and the expected variance of other weights would be
        infinite.
        """
        total = self.residual + float((self.components**2).sum())
        if total == 0:
            return np.zeros_like(log_ratio)
        _, by_energy, _ = data_term(self.terms(log_ratio)[0], log_ratio)
        weight_variance = -0.5 / by_energy * np.exp(-log_ratio)
        return -np.log1p(self.values.sum() * weight_variance / (MOST_SIGNAL * total))

    def mean(self, ratio: float) -> FloatArray:
        """Expected weights."""
        return self.vectors @ (np.sqrt(self.values) * self.components / (self.values + ratio))

    def deviations(
        self, best: float, log_ratios: FloatArray, shares: FloatArray, variances: FloatArray
    ) -> FloatArray:
        """Root of the covariance of the weights about their mean at the best ratio.

        The weights are those of `ProjectedData`. The first columns are along the singular vectors;
        the others are the shifts of the mean at each ratio.
        """
        precisions = self.values[:, None] + np.exp(log_ratios)
        products = np.sqrt(self.values) * self.components
        shifts = products[:, None] / precisions - (products / (self.values + best))[:, None]
        spreads = self.vectors * np.sqrt((variances / precisions) @ shares)
        return np.hstack([spreads, self.vectors @ (shifts * np.sqrt(shares))])

    def evidence(self, data_term: DataTerm, log_ratio: Any) -> tuple[Any, Any]:
        """The log evidence up to a constant, and its derivative w.r.t. the log ratio."""
        energy, energy_slope, log_det, log_det_slope = self.terms(log_ratio)
        value, by_energy, by_ratio = data_term(energy, log_ratio)
        return value + log_det, by_energy * energy_slope + by_ratio + log_det_slope


@dataclass(frozen=True, eq=False)
class RatioChoice:
    """The best ratio of precisions, and the terms that give its posterior."""

    ratio: float
    limits: tuple[float, float]  # of its logarithm
    terms: Callable[[float], tuple[DataTerm, NoiseTerm]]
    """Degrees of freedom of the noise -> the data term and the noise term."""

    def noise(self, spectrum: Spectrum, df: float) -> tuple[float, float]:
        """Noise variance and degrees of freedom, averaged over the posterior of the ratio."""
        data_term, noise = self.terms(df)
        log_ratios, shares = spectrum.quadrature(data_term, self.limits)
        return mixture(noise.df, noise.variances(spectrum.terms(log_ratios)[0], log_ratios), shares)


def unit_prior_term(weight: float) -> DataTerm:
    """Data term of the evidence for prior precision 1, where the ratio is the noise variance."""

    def data_term(energy: Any, log_variance: Any) -> tuple[Any, Any, Any]:
        scaled = energy * np.exp(-log_variance)
        by_energy = -0.5 * np.exp(-log_variance)
        return -0.5 * (weight * log_variance + scaled), by_energy, -0.5 * (weight - scaled)

    return data_term


def mixture(df: float, variances: FloatArray, shares: FloatArray) -> tuple[float, float]:
    """Variance and degrees of freedom of a mixture of Student-t distributions."""
    variance = float(shares @ variances)
    return variance, degrees_of_freedom(df, float(shares @ (variances / variance) ** 2))


def degrees_of_freedom(df: float, square: float) -> float:
    """Degrees of freedom of the Student-t with the kurtosis of a mixture of such; at least 4.

    ``df`` are the degrees of freedom of the components, infinite if they are normal. ``square`` is
    the mean of their squared variances over the square of their mean variance.
    """
    if df <= 4:
        return FEWEST_DF
    own = 1.0 if np.isinf(df) else (df - 2) / (df - 4)
    excess = own * square - 1
    return max(FEWEST_DF, 4 + 2 / excess) if excess > 1e-12 else np.inf
