"""Conjugate algebra of Bayesian linear regression, on arrays.

The data enter through one additive statistic, the triangular factor of a QR decomposition; prior
and noise stay outside it. Everything is written in units of the noise: with relative precisions
``L = prior precision / noise precision``, the posterior of the weights is
``N(m, variance * inv(Phi' Phi + L))`` for known noise [1]_ (eqs 3.50-3.51) and the Student-t
distribution of the same shape when the noise has a Gamma prior [1]_ (exercises 3.12-3.13).

References
----------
.. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, sections 3.3-3.5.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.linalg import lapack
from scipy.special import gammaln

from .._schema import FINITE, NONE, array, number, store
from .._validation import FloatArray

QR_BLOCK = 16
LOG_2PI = float(np.log(2 * np.pi))


class UndeterminedError(ValueError):
    """The data and the prior together leave some weights without a finite variance."""


@store(
    parameters={
        "factor": array("n_columns n_columns"),
        "targets": array("n_columns n_outputs", -FINITE, FINITE),
        "residual": array("n_outputs", 0.0, FINITE),
        "weight": number(0.0, FINITE),
    }
)
@dataclass(frozen=True, eq=False)
class Statistic:
    """All that a Gaussian linear model needs to know of its rows; data only, no prior.

    With row-wise weights W, it is the QR decomposition ``sqrt(W) [Phi Y] = Q [[R, T], [0, E]]``,
    of which ``R``, ``T`` and the squared norms of E's columns are kept.
    """

    factor: FloatArray  # (n_columns, n_columns), upper triangular
    targets: FloatArray  # (n_columns, n_outputs)
    residual: FloatArray  # (n_outputs,), residual sums of squares of the least-squares fit
    weight: float  # sum of the rows' weights

    @classmethod
    def empty(cls, n_columns: int, n_outputs: int) -> Statistic:
        return cls(
            np.zeros((n_columns, n_columns), order="F"),
            np.zeros((n_columns, n_outputs), order="F"),
            np.zeros(n_outputs),
            0.0,
        )

    def updated(self, Phi: FloatArray, Y: FloatArray, weight: float) -> Statistic:
        """The statistic with further rows, already scaled by the roots of their weights."""
        factor, targets, remainder = _qr_append(self.factor, self.targets, Phi, Y, 0)
        residual = self.residual + np.einsum("ij,ij->j", remainder, remainder)
        return Statistic(factor, targets, residual, self.weight + weight)

    def merged(self, other: Statistic) -> Statistic:
        """The statistic of the rows of both."""
        factor, targets, remainder = _qr_append(
            self.factor, self.targets, other.factor, other.targets, len(other.factor)
        )
        residual = self.residual + other.residual + np.einsum("ij,ij->j", remainder, remainder)
        return Statistic(factor, targets, residual, self.weight + other.weight)

    def discounted(self, discount: float) -> Statistic:
        """The statistic with every row's weight multiplied by ``discount``."""
        root = np.sqrt(discount)
        return Statistic(
            self.factor * root, self.targets * root, self.residual * discount,
            self.weight * discount,
        )  # fmt: skip

    def output(self, index: int) -> Statistic:
        """The statistic of one output alone."""
        one = slice(index, index + 1)
        return replace(self, targets=self.targets[:, one], residual=self.residual[one])

    @property
    def total(self) -> FloatArray:
        """Weighted sum of squares of each output, shape (n_outputs,)."""
        total: FloatArray = np.einsum("ij,ij->j", self.targets, self.targets) + self.residual
        return total

    @property
    def mean_square(self) -> FloatArray:
        """Mean square of each output, and 1 where that is 0."""
        mean_square = self.total / self.weight
        return np.where(mean_square > 0, mean_square, 1.0)

    @property
    def negligible(self) -> FloatArray:
        """Residual sums of squares, one per output, below which there is only rounding."""
        negligible: FloatArray = np.finfo(float).eps ** 2 * self.total + 1e-200
        return negligible

    @property
    def is_finite(self) -> bool:
        arrays = (self.factor, self.targets, self.residual, self.weight)
        return all(bool(np.all(np.isfinite(array))) for array in arrays)


def _qr_append(
    factor: FloatArray, targets: FloatArray, Phi: FloatArray, Y: FloatArray, n_triangular: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """QR of ``factor`` over ``Phi``, whose last ``n_triangular`` rows are upper triangular."""
    block = min(QR_BLOCK, len(factor))
    factor, reflectors, coefficients, _ = lapack.dtpqrt(n_triangular, block, factor, Phi)
    targets, remainder, _ = lapack.dtpmqrt(
        n_triangular, reflectors, coefficients, targets, Y, side="L", trans="T"
    )
    return factor, targets, remainder


def from_gram(gram: FloatArray, n_columns: int, weight: float) -> Statistic:
    """The statistic from the Gram matrix of ``sqrt(W) [Phi Y]``, Phi having ``n_columns``.

    Half the work of a QR decomposition, and half its digits: see `condition_number`.
    Raises LinAlgError if ``Phi' W Phi`` is not positive definite.
    """
    design, others = np.s_[:n_columns], np.s_[n_columns:]
    scale = np.sqrt(np.diag(gram)[design])
    if not np.all(scale > 0):
        raise np.linalg.LinAlgError("a column of the design matrix is zero")
    lower = np.linalg.cholesky(gram[design, design] / np.outer(scale, scale))
    factor = np.asfortranarray(lower.T * scale)
    targets, _ = lapack.dtrtrs(factor, gram[design, others], trans=1)
    residual = np.diag(gram)[others] - np.einsum("ij,ij->j", targets, targets)
    return Statistic(factor, targets, np.maximum(residual, 0.0), weight)


def condition_number(factor: FloatArray) -> float:
    """Estimated condition number of a triangular factor after scaling its columns to length 1."""
    norms = np.linalg.norm(factor, axis=0)
    if not np.all(norms > 0):
        return np.inf
    rcond, _ = lapack.dtrcon(np.asfortranarray(factor / norms))
    return float(1 / rcond) if rcond > 0 else np.inf


@store(parameters={"shape": number(0.0), "rate": number(0.0)})
@dataclass(frozen=True)
class Gamma:
    """Gamma prior of the noise precision; zero shape and rate is Jeffreys' prior."""

    shape: float
    rate: float


@store(
    parameters={
        "mean": array("n_columns n_outputs", -np.inf, np.inf),
        "root": array("n_columns n_columns", -np.inf, np.inf),
        "noise_variance": array("n_outputs", 0.0, np.inf),
        "df": number(0.0, np.inf),
        "precision": array("n_columns", 0.0, np.inf),
        "log_evidence": array("n_outputs", -np.inf, np.inf),
        "wide_scale": NONE | array("n_outputs", 0.0, np.inf),
        "wide_root": NONE | array("n_columns n_columns", -np.inf, np.inf),
    }
)
@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of the weights of outputs that share one relative prior precision.

    Output k has weights ``t(df_k, mean[:, k], noise_variance_k * root root')`` and a new
    observation at phi has ``t(df_k, phi' mean[:, k], noise_variance_k * (1 + |root' phi|^2))``;
    infinite degrees of freedom make them normal (eqs 3.49 and 3.58 of Bishop). Where precisions are
    learned, ``noise_variance`` and ``root`` are those of the best ones, and ``df``, ``wide_scale``
    and ``wide_root`` say how uncertain they leave the rest: the last two take the places of the
    first two in all that is said of the weights and of new observations.
    """

    mean: FloatArray  # (n_columns, n_outputs)
    root: FloatArray  # (n_columns, n_columns), upper triangular
    noise_variance: FloatArray  # (n_outputs,)
    df: float
    precision: FloatArray  # (n_columns,), relative to the noise precision
    log_evidence: FloatArray  # (n_outputs,)
    wide_scale: FloatArray | None = None
    wide_root: FloatArray | None = None

    @property
    def squared_scale(self) -> FloatArray:
        """Squared scale of the noise's distribution, one per output."""
        return self.noise_variance if self.wide_scale is None else self.wide_scale

    @property
    def shape_root(self) -> FloatArray:
        """The root of the shape of the weights' distribution."""
        return self.root if self.wide_root is None else self.wide_root

    @property
    def spread(self) -> FloatArray:
        """Variance of the noise, its uncertainty included, one per output."""
        inflation = self.df / (self.df - 2) if self.df > 2 else np.inf
        variance: FloatArray = self.squared_scale * (1.0 if np.isinf(self.df) else inflation)
        return variance

    @property
    def covariance(self) -> FloatArray:
        """Covariance of each output's weights, shape (n_outputs, n_columns, n_columns)."""
        covariance: FloatArray = self.spread[:, None, None] * (self.shape_root @ self.shape_root.T)
        return covariance

    @property
    def n_effective_params(self) -> float:
        """Number of directions that the data determine (Bishop eq. 3.91)."""
        variances = np.einsum("ij,ij->i", self.root, self.root)
        return float(len(self.mean) - self.precision @ variances)

    def leverage(self, Phi: FloatArray) -> FloatArray:
        """``|shape_root' phi|^2`` for each row phi of ``Phi``, shape (n_rows,)."""
        leverage, root = np.zeros(len(Phi)), self.shape_root
        n_columns = Phi.shape[1]
        # Panels skip most of the triangle's zeros, and unlike dtrmm the products run unlocked.
        panel = max(32, -(-n_columns // 8))
        for start in range(0, n_columns, panel):
            stop = min(start + panel, n_columns)
            product = Phi[:, :stop] @ root[:stop, start:stop]
            leverage += np.einsum("ij,ij->i", product, product)
        return leverage

    def draw(self, n_draws: int, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Weights (n_columns, n_outputs, n_draws) and noise scales (n_outputs, n_draws)."""
        n_columns, n_outputs = self.mean.shape
        mixing = np.ones((n_outputs, n_draws))
        if np.isfinite(self.df):
            mixing = self.df / rng.chisquare(self.df, size=(n_outputs, n_draws))
        scale = np.sqrt(self.squared_scale[:, None] * mixing)
        normal = rng.standard_normal((n_columns, n_outputs * n_draws))
        deviation = (self.shape_root @ normal).reshape(n_columns, n_outputs, n_draws)
        return self.mean[:, :, None] + scale * deviation, scale


def condition(
    statistic: Statistic, precision: FloatArray, mean: FloatArray, noise: FloatArray | Gamma | None
) -> Posterior:
    """Posterior for a Gaussian prior with diagonal relative ``precision`` (0: flat) and ``mean``.

    ``noise`` is each output's known noise precision, shape (n_outputs,), or its Gamma prior, or
    None for the noise precision of largest evidence at these relative precisions.
    """
    n_columns, n_outputs = statistic.targets.shape
    root_precision = np.sqrt(precision)
    factor, projected, remainder = _qr_append(
        statistic.factor, statistic.targets,
        np.diag(root_precision), np.outer(root_precision * mean, np.ones(n_outputs)), n_columns,
    )  # fmt: skip
    if condition_number(factor) * n_columns * np.finfo(float).eps > 1:
        raise UndeterminedError(
            f"`prior_precision` must be > 0 for weights that the data do not determine; got a flat "
            f"prior, n_samples={statistic.weight:g} by weight, and {n_columns} weights whose "
            "columns of the design matrix are linearly dependent to rounding. Give more rows, "
            "fewer basis functions, or a positive `prior_precision`."
        )
    root, _ = lapack.dtrtri(factor)
    # Solved, not multiplied by the inverse: the last digits of ill-conditioned fits are here.
    weights, _ = lapack.dtrtrs(factor, projected)
    energy = statistic.residual + np.einsum("ij,ij->j", remainder, remainder)
    proper = precision > 0
    n_informative = statistic.weight - (n_columns - np.count_nonzero(proper))
    log_evidence = (
        0.5 * np.log(precision[proper]).sum()
        - np.log(np.abs(np.diag(factor))).sum()
        - 0.5 * n_informative * LOG_2PI
    )
    if isinstance(noise, Gamma):
        shape = noise.shape + n_informative / 2
        if shape <= 0:
            raise UndeterminedError(
                f"`noise_shape` must be > 0 for noise that the data do not determine; got "
                f"noise_shape={noise.shape:g} and n_samples={statistic.weight:g} by weight, for "
                f"{n_columns - np.count_nonzero(proper)} weights with a flat prior. Give more "
                "rows, or a positive `noise_shape` and `noise_rate`."
            )
        rate = noise.rate + np.maximum(energy, statistic.negligible) / 2
        log_evidence = log_evidence + _log_gamma_mass(shape, rate)
        if noise.shape > 0 and noise.rate > 0:
            log_evidence = log_evidence - _log_gamma_mass(noise.shape, noise.rate)
        return Posterior(weights, root, rate / shape, 2 * shape, precision, log_evidence)
    if noise is None:
        noise = _most_evident_noise(statistic, energy, n_informative)
    log_evidence = log_evidence + 0.5 * (n_informative * np.log(noise) - noise * energy)
    return Posterior(weights, root, 1 / noise, np.inf, precision, log_evidence)


def _most_evident_noise(
    statistic: Statistic, energy: FloatArray, n_informative: float
) -> FloatArray:
    """Degrees of freedom over energy (Bishop eq. 3.95, solved for the noise)."""
    if n_informative > 0:
        return n_informative / np.maximum(energy, statistic.negligible)
    # All rows went into the flat weights: the only scale at hand is the distance from zero.
    return 1 / statistic.mean_square


def _log_gamma_mass(shape: float, rate: FloatArray | float) -> FloatArray:
    """Log of the integral of ``b^(shape - 1) exp(-rate b)`` over b > 0."""
    mass: FloatArray = gammaln(shape) - shape * np.log(rate)
    return mass
