"""Predictive distribution of the regressor: a Student-t, normal for infinite degrees of freedom.

No other module depends on this family of distributions, so that another family could replace it.
With the noise variance integrated out, the squared scale of a new observation is ``s^2 (1 + h)``,
where ``h = |root' phi|^2`` is the leverage of its basis functions (C. M. Bishop, Pattern
Recognition and Machine Learning, Springer 2006, eqs 3.58-3.59 and exercise 3.13).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln
from scipy.stats import t as student_t

from .._validation import FloatArray
from .target import TargetTransform

NODES = np.arange(-84, 85) / 16  # of the sinh-sinh rule, whose relative error is about 1e-7 here
FAR = 1e100  # scales from the mean, beyond which squares overflow; a density is a power there
FARTHEST = 1e60  # largest node, in units of the scale
FEWEST_DF_LEFT = 0.1  # beyond those for a finite variance; with fewer, farther nodes would matter


def variance_ratio(df: npt.ArrayLike) -> FloatArray:
    """Variance of a Student-t over its squared scale; infinite up to 2 degrees of freedom."""
    df = np.asarray(df, dtype=float)
    with np.errstate(all="ignore"):
        return np.where(df > 2, 1 / (1 - 2 / df), np.inf)


def largest_log_density(df: float) -> float:
    """Log density of a Student-t with variance 1 at its mean; ``df`` must exceed 2."""
    return float(gammaln((df + 1) / 2) - gammaln(df / 2) - 0.5 * np.log(np.pi * (df - 2)))


def draw_variances(df: float, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Variances of normal distributions whose mixture is the Student-t of scale 1."""
    return np.ones(shape) if np.isinf(df) else df / rng.chisquare(df, size=shape)


def joint_covariance(root: FloatArray, variance: FloatArray, noise: FloatArray) -> FloatArray:
    """Covariances of rows, shape (n_rows, n_rows, n_outputs).

    Column i of ``root`` is ``root' phi`` of row i. ``variance`` has the noise variance of each
    output, and ``noise`` a factor of it for each row; 0 is the function without noise.
    """
    shape = np.diag(noise) + root.T @ root
    return np.asarray(shape[:, :, None] * variance)


@dataclass(frozen=True, eq=False)
class Predictive:
    """Predictive distributions of the outputs at each row.

    ``mean`` and ``scale`` have shape (n_rows, n_outputs), ``df`` broadcasts to it.
    """

    mean: FloatArray
    scale: FloatArray
    df: FloatArray

    @classmethod
    def from_leverage(
        cls, mean: FloatArray, leverage: FloatArray, squared_scale: FloatArray, df: Any,
        noise: Any = 1.0,
    ) -> Self:  # fmt: skip
        """Distributions of y, whose noise has variance ``noise`` relative to ``squared_scale``.

        With ``noise`` 0 they are distributions of the function without noise.
        """
        scale = np.sqrt(squared_scale * (noise + leverage))
        return cls(mean, scale, np.asarray(df, dtype=float))

    @classmethod
    def from_std(cls, mean: Any, std: Any, df: Any) -> Self:
        """Distributions of these means, standard deviations and degrees of freedom."""
        df = np.asarray(df, dtype=float)
        return cls(np.asarray(mean), std / np.sqrt(variance_ratio(df)), df)

    @property
    def std(self) -> FloatArray:
        """Standard deviations."""
        return np.asarray(self.scale * np.sqrt(variance_ratio(self.df)))

    def log_density(self, y: FloatArray) -> FloatArray:
        """Log densities at ``y``, in nats."""
        with np.errstate(all="ignore"):
            standard = np.abs(y - self.mean) / self.scale
            near = np.where(np.isinf(self.df), standard, np.minimum(standard, FAR))
            tail = np.where(near < standard, (self.df + 1) * np.log(standard / near), 0.0)
            return np.asarray(student_t.logpdf(near, self.df) - np.log(self.scale) - tail)

    @staticmethod
    def log_density_by_spread(
        y: FloatArray, log_std: float, inverse_df: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log densities of mean 0, and derivatives w.r.t. ``log_std`` and ``inverse_df``."""
        df = 1 / inverse_df
        square = y**2 * np.exp(-2 * log_std) / (df - 2)
        log, share = np.log1p(square), square / (1 + square)
        by_df = 0.5 * (digamma((df + 1) / 2) - digamma(df / 2) - log)
        by_df += 0.5 * ((df + 1) * share - 1) / (df - 2)
        values = largest_log_density(df) - log_std - 0.5 * (df + 1) * log
        return values, (df + 1) * share - 1, -(df**2) * by_df

    def cdf(self, y: FloatArray) -> FloatArray:
        """Distribution functions at ``y``."""
        return np.asarray(student_t.cdf(y, self.df, self.mean, self.scale))

    def quantiles(self, probabilities: FloatArray) -> FloatArray:
        """Quantiles, one per probability along a new last axis."""
        standard = student_t.ppf(probabilities, self.df[..., None])
        return np.asarray(self.mean[..., None] + self.scale[..., None] * standard)


@dataclass(frozen=True, eq=False)
class TransformedPredictive:
    """Predictive distributions of y, given those of its transform z."""

    base: Predictive
    target: TargetTransform

    @cached_property
    def median(self) -> FloatArray:
        """Medians."""
        return self.target.checked_inverse(self.base.mean)

    @property
    def mean(self) -> FloatArray:
        """Means where standard deviations are finite, and medians elsewhere."""
        mean, std = self._moments
        return np.where(np.isfinite(std), mean, self.median)

    @property
    def std(self) -> FloatArray:
        """Standard deviations; infinite where y has no finite one."""
        return self._moments[1]

    @cached_property
    def _moments(self) -> tuple[FloatArray, FloatArray]:
        """Means and standard deviations, by quadrature."""
        shape = self.median.shape
        df = np.broadcast_to(self.base.df, shape[1:])
        exists = np.isinf(df) | (2 * self.target.growth + FEWEST_DF_LEFT < df)
        if not exists.any():
            return self.median, np.full(shape, np.inf)
        sums, unit = np.zeros((2, *shape)), self._deviation(1.0) - self._deviation(-1.0)
        with np.errstate(all="ignore"):
            for node, weight in _student_t_rule(df):
                deviation = np.where(weight > 0, self._deviation(node) / unit, 0.0)
                sums += weight * np.array([deviation, deviation**2])
            mean, std = self.median + unit * sums[0], unit * np.sqrt(sums[1] - sums[0] ** 2)
        return mean, np.where(exists & np.isfinite(std) & np.isfinite(mean), std, np.inf)

    def _deviation(self, standard: float) -> FloatArray:
        """Differences of y from its median, for z at ``standard`` scales from its median."""
        return self.target.inverse(self.base.mean + standard * self.base.scale) - self.median

    def log_density(self, y: FloatArray) -> FloatArray:
        """Log densities at ``y``, in nats; minus infinity outside of the transform's domain."""
        z = self.target.transform(y)
        with np.errstate(all="ignore"):
            log_density = self.base.log_density(z) + self.target.log_derivative(y)
        return np.where(np.isfinite(z), log_density, -np.inf)

    def cdf(self, y: FloatArray) -> FloatArray:
        """Distribution functions at ``y``; 0 or 1 outside of the transform's domain."""
        z = self.target.transform(y)
        below = np.where(np.isnan(z), -np.inf, z)  # the domain may have a lower end, as for the log
        return self.base.cdf(below)

    def quantiles(self, probabilities: FloatArray) -> FloatArray:
        """Quantiles, one per probability along a new last axis."""
        return self.target.checked_inverse(self.base.quantiles(probabilities))


def _student_t_rule(df: FloatArray) -> Iterator[tuple[float, FloatArray]]:
    """Nodes and weights (n_outputs,) of the sinh-sinh rule for standard Student-t distributions.

    The rule is exact to rounding for smooth integrands that fall off by a power (H. Takahasi and
    M. Mori, Double exponential formulas for numerical integration, 1974).
    """
    for position in NODES:
        inner = np.pi / 2 * np.sinh(position)
        node = float(np.sinh(inner))
        if abs(node) <= FARTHEST:
            stretch = np.cosh(inner) * np.pi / 2 * np.cosh(position) * (NODES[1] - NODES[0])
            yield node, student_t.pdf(node, df) * stretch
