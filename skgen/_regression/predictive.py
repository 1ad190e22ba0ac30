"""Predictive distribution of the regressor: a Student-t, normal for infinite degrees of freedom.

The only module that knows this family: another one takes its place by the same names. With the
noise variance integrated out, the squared scale of a new observation is ``s^2 (1 + h)``, for the
leverage ``h = |root' phi|^2`` of its basis functions (C. M. Bishop, Pattern Recognition and Machine
Learning, Springer 2006, eqs 3.58-3.59 and exercise 3.13).
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from .._validation import FloatArray


def variance_ratio(df: npt.ArrayLike) -> FloatArray:
    """Variance of a Student-t over its squared scale; infinite up to 2 degrees of freedom."""
    df = np.asarray(df, dtype=float)
    with np.errstate(all="ignore"):
        return np.where(df > 2, 1 / (1 - 2 / df), np.inf)


def draw_variances(df: float, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    """Variances of normal distributions whose mixture is the Student-t of scale 1."""
    return np.ones(shape) if np.isinf(df) else df / rng.chisquare(df, size=shape)


def joint_covariance(root: FloatArray, variance: FloatArray, noise: FloatArray) -> FloatArray:
    """Covariances of rows, shape (n_rows, n_rows, n_outputs).

    ``root`` holds ``root' phi`` of each row in a column, ``variance`` the noise variances, and
    ``noise`` their factors at each row, 0 for the function behind the observations.
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

        A ``noise`` of 0 is for the function behind the observations.
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
        return np.asarray(student_t.logpdf(y, self.df, self.mean, self.scale))

    def cdf(self, y: FloatArray) -> FloatArray:
        """Distribution functions at ``y``."""
        return np.asarray(student_t.cdf(y, self.df, self.mean, self.scale))

    def quantiles(self, probabilities: FloatArray) -> FloatArray:
        """Quantiles, one per probability along a new last axis."""
        standard = student_t.ppf(probabilities, self.df[..., None])
        return np.asarray(self.mean[..., None] + self.scale[..., None] * standard)
