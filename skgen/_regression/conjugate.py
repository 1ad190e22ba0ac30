"""Conjugate algebra of Bayesian linear regression, on arrays.

The data enter through one additive statistic, the triangular factor of a QR decomposition; prior
and noise stay outside it. Everything is written in units of the noise, with relative precisions ``L
= prior precision / noise precision``. For known noise the posterior of the weights is ``N(m,
variance * inv(Phi' Phi + L))``. If the noise has a Gamma prior, it is the Student-t distribution
with the same matrix (C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, eqs
3.50-3.51 and exercises 3.12-3.13).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import numpy as np
from scipy.linalg import lapack
from scipy.special import gammaln

from .._schema import FINITE, NONE, Values, array, number, store
from .._validation import FloatArray
from .predictive import draw_variances, variance_ratio

QR_BLOCK = 16
SMALLEST_REMAINDER = 1e-13
"""Share of a column that the first column must leave unexplained, or the column is constant: 1000
times the rounding of a float."""
MOST_FREE_COLUMNS, STORED_SHARE = 1000, 8
"""A file may leave out any rows of a factor with at most so many columns; of a larger factor, it
must have one row per so many columns."""
LOG_2PI = float(np.log(2 * np.pi))


def _fewest_stored_rows(n_columns: int) -> int:
    """Least number of rows of a factor in a file, so that a small file cannot take much memory."""
    return 0 if n_columns <= MOST_FREE_COLUMNS else -(-n_columns // STORED_SHARE)


class UndeterminedError(ValueError):
    """Error for weights or noise that data and prior together do not determine."""


@store(
    parameters={
        "factor": array("n_factor_rows n_columns"),
        "targets": array("n_columns n_outputs", -FINITE, FINITE),
        "residual": array("n_outputs", 0.0, FINITE),
        "weight": number(0.0, FINITE),
        "log_jacobian": array("n_outputs", -FINITE, FINITE),
    }
)
@dataclass(frozen=True, eq=False)
class Statistic:
    """Sufficient statistic of rows for a Gaussian linear model: data only, no prior.

    It comes from the QR decomposition ``sqrt(W) [Phi Y] = Q [[R, T], [0, E]]``. The diagonal matrix
    W has the sample weights of the rows divided by their squared noise scales. ``R``, ``T`` and the
    squared norms of the columns of E are kept.
    """

    factor: FloatArray  # (n_columns, n_columns), upper triangular
    targets: FloatArray  # (n_columns, n_outputs)
    residual: FloatArray  # (n_outputs,), residual sums of squares of the least-squares fit
    weight: float  # sum of the rows' weights
    log_jacobian: FloatArray  # (n_outputs,), of the map from given to scaled targets

    @classmethod
    def empty(cls, n_columns: int, n_outputs: int) -> Statistic:
        """The statistic of no rows."""
        factor, targets = (np.zeros((n_columns, n), order="F") for n in (n_columns, n_outputs))
        return cls(factor, targets, np.zeros(n_outputs), 0.0, np.zeros(n_outputs))

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        values.setdefault("log_jacobian", np.zeros(len(values["residual"])))  # of files of 0.1.0
        factor, (n_columns, _) = values["factor"], values["targets"].shape
        values["factor"] = np.zeros((n_columns, n_columns), order="F")
        values["factor"][: len(factor)] = factor
        return cls(**values)

    def _to_record(self) -> Values:
        """Values to store; rows of zeros at the end of the factor are left out."""
        (some,) = np.nonzero(self.factor.any(axis=1))
        n_rows = max(some.max(initial=-1) + 1, _fewest_stored_rows(len(self.factor)))
        return vars(self) | {"factor": self.factor[:n_rows]}

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        n_rows, n_columns = len(values["factor"]), len(values["targets"])
        return _fewest_stored_rows(n_columns) <= n_rows <= n_columns

    def append(
        self, Phi: FloatArray, Y: FloatArray, weight: float, log_jacobian: FloatArray | float = 0.0
    ) -> Statistic:
        """The statistic with further rows, which are scaled by the roots of their weights."""
        factor, targets, remainder = _qr_append(self.factor, self.targets, Phi, Y, 0)
        residual = self.residual + np.einsum("ij,ij->j", remainder, remainder)
        sums = self.weight + weight, self.log_jacobian + log_jacobian
        return Statistic(factor, targets, residual, *sums)

    def merge(self, other: Statistic) -> Statistic:
        """The statistic of the rows of both."""
        factor, targets, remainder = _qr_append(
            self.factor, self.targets, other.factor, other.targets, len(other.factor)
        )
        residual = self.residual + other.residual + np.einsum("ij,ij->j", remainder, remainder)
        sums = self.weight + other.weight, self.log_jacobian + other.log_jacobian
        return Statistic(factor, targets, residual, *sums)

    def discount(self, discount: float) -> Statistic:
        """The statistic with every row's weight multiplied by ``discount``."""
        if discount == 1:
            return self
        sums = (self.residual, self.weight, self.log_jacobian)
        roots = (np.sqrt(discount) * table for table in (self.factor, self.targets))
        return Statistic(*roots, *(discount * each for each in sums))

    def output(self, index: int) -> Statistic:
        """The statistic of one output alone."""
        one = slice(index, index + 1)
        return replace(
            self, targets=self.targets[:, one], residual=self.residual[one],
            log_jacobian=self.log_jacobian[one],
        )  # fmt: skip

    def without_rounding(self) -> Statistic:
        """The statistic with 0 in columns that the first column explains up to rounding.

        If the prior of the first column, the intercept, is flat, constant columns carry no
        information. Their rounding errors would look like a very small column with a very large
        weight.
        """
        remainder, whole = (np.linalg.norm(self.factor[n:], axis=0) for n in (1, 0))
        constant = (remainder > 0) & (remainder <= SMALLEST_REMAINDER * whole)
        if not constant.any():
            return self
        factor = self.factor.copy(order="F")
        factor[1:, constant] = 0.0
        return replace(self, factor=factor)

    @property
    def total(self) -> FloatArray:
        """Weighted sum of squares of each output, shape (n_outputs,)."""
        return np.asarray(np.einsum("ij,ij->j", self.targets, self.targets) + self.residual)

    @property
    def mean_square(self) -> FloatArray:
        """Mean square of each output; 1 if it is 0."""
        mean_square = self.total / self.weight
        return np.where(mean_square > 0, mean_square, 1.0)

    @property
    def negligible(self) -> FloatArray:
        """Largest residual sum of squares that counts as rounding, one per output."""
        return np.asarray(np.finfo(float).eps ** 2 * self.total + 1e-200)

    @property
    def is_finite(self) -> bool:
        return all(np.isfinite(value).all() for value in vars(self).values())


def _qr_append(
    factor: FloatArray, targets: FloatArray, Phi: FloatArray, Y: FloatArray, n_triangular: int
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Add rows to a QR decomposition; the last ``n_triangular`` rows of ``Phi`` are triangular."""
    block = min(QR_BLOCK, len(factor))
    factor, reflectors, coefficients, _ = lapack.dtpqrt(n_triangular, block, factor, Phi)
    targets, remainder, _ = lapack.dtpmqrt(
        n_triangular, reflectors, coefficients, targets, Y, side="L", trans="T"
    )
    return factor, targets, remainder


def of_few_rows(
    Phi: FloatArray, Y: FloatArray, weight: float, log_jacobian: FloatArray
) -> Statistic:
    """The statistic of fewer rows than columns; the other rows of its factor are zero."""
    n_rows, n_columns = Phi.shape
    triangle = np.asarray(np.linalg.qr(np.hstack([Phi, Y]), mode="r"))
    triangle *= np.where(np.diag(triangle) > 0, -1.0, 1.0)[:, None]  # the signs of `_qr_append`
    empty = Statistic.empty(n_columns, Y.shape[1])
    factor, empty.targets[:n_rows] = np.split(triangle, [n_columns], axis=1)
    # A constant column must have exact zeros here, or a scale would be learned from rounding.
    rounding = n_rows * np.finfo(float).eps * np.linalg.norm(factor, axis=0)
    empty.factor[:n_rows] = np.where(np.abs(factor) > rounding, factor, 0.0)
    return replace(empty, weight=weight, log_jacobian=log_jacobian)


def from_gram(
    gram: FloatArray, n_columns: int, weight: float, log_jacobian: FloatArray | float = 0.0
) -> Statistic:
    """The statistic from the Gram matrix of ``sqrt(W) [Phi Y]``, Phi having ``n_columns``.

    This takes half the work of a QR decomposition and loses half the digits, see
    `condition_number`. It raises LinAlgError if ``Phi' W Phi`` is not positive definite.
    """
    design, others = np.s_[:n_columns], np.s_[n_columns:]
    scale = np.sqrt(np.diag(gram)[design])
    if not np.all(scale > 0):
        raise np.linalg.LinAlgError("a column of the design matrix is zero")
    lower = np.linalg.cholesky(gram[design, design] / np.outer(scale, scale))
    factor = np.asfortranarray(lower.T * scale)
    targets, _ = lapack.dtrtrs(factor, gram[design, others], trans=1)
    residual = np.diag(gram)[others] - np.einsum("ij,ij->j", targets, targets)
    log_jacobian = log_jacobian + np.zeros(len(residual))
    return Statistic(factor, targets, np.maximum(residual, 0.0), weight, log_jacobian)


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
        "root": array("n_columns n_columns", -np.inf, np.inf) | array("n", -np.inf, np.inf),
        "squared_scale": array("n_outputs", 0.0, np.inf),
        "df": number(0.0, np.inf),
        "precision": array("n_columns", 0.0, np.inf),
        "noise_precision": array("n_outputs", 0.0, np.inf),
        "n_effective_params": number(-np.inf, np.inf),
        "log_evidence": array("n_outputs", -np.inf, np.inf),
    },
    options={  # of files of 0.1.0
        "noise_variance": array("n_outputs", 0.0, np.inf),
        "wide_scale": NONE | array("n_outputs", 0.0, np.inf),
        "wide_root": NONE | array("n_columns n_columns", -np.inf, np.inf),
    },
)
@dataclass(frozen=True, eq=False)
class Posterior:
    """Posterior of the weights of outputs that share one relative prior precision.

    Output k has weights ``t(df, mean[:, k], squared_scale[k] * root root')`` and a new observation
    at phi has ``t(df, phi' mean[:, k], squared_scale[k] * (1 + |root' phi|^2))``; infinite degrees
    of freedom make them normal (eqs 3.49 and 3.58 of Bishop). Where precisions are learned, mean,
    ``noise_precision``, ``precision`` and ``n_effective_params`` are those of the best ones, and
    ``root``, ``squared_scale`` and ``df`` include the uncertainty of the precisions.
    """

    mean: FloatArray  # (n_columns, n_outputs)
    root: FloatArray  # (n_columns, n_columns), upper triangular
    squared_scale: FloatArray  # (n_outputs,)
    df: float
    precision: FloatArray  # (n_columns,), relative to the noise precision
    noise_precision: FloatArray  # (n_outputs,)
    n_effective_params: float
    log_evidence: FloatArray  # (n_outputs,)

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        if "noise_variance" in values:  # in files of 0.1.0, ``root`` is that at the best precisions
            variance, root = values.pop("noise_variance"), values["root"]
            wide_scale, wide_root = values.pop("wide_scale", None), values.pop("wide_root", None)
            values |= {
                "root": root if wide_root is None else wide_root,
                "squared_scale": variance if wide_scale is None else wide_scale,
                "noise_precision": 1 / variance,
                "n_effective_params": effective_number_of_weights(root, values["precision"]),
            }
        if values["root"].ndim == 1:
            packed, n_columns = values["root"], len(values["mean"])
            values["root"] = np.zeros((n_columns, n_columns), order="F")
            values["root"][np.triu_indices(n_columns)] = packed
        return cls(**values)

    def _to_record(self) -> Values:
        """Values with the upper triangle of the root as a vector."""
        return vars(self) | {"root": self.root[np.triu_indices(len(self.root))]}

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        n_columns = len(values["mean"])
        return values["root"].ndim == 2 or len(values["root"]) == n_columns * (n_columns + 1) // 2

    @property
    def noise_variance(self) -> FloatArray:
        """Expected variance of the noise, shape (n_outputs,)."""
        return np.asarray(self.squared_scale * variance_ratio(self.df))

    @property
    def covariance(self) -> FloatArray:
        """Covariance of each output's weights, shape (n_outputs, n_columns, n_columns)."""
        return np.asarray(self.noise_variance[:, None, None] * (self.root @ self.root.T))

    def leverage(self, Phi: FloatArray) -> FloatArray:
        """``|root' phi|^2`` for each row phi of ``Phi``, shape (n_rows,)."""
        leverage, root = np.zeros(len(Phi)), self.root
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
        variances = draw_variances(self.df, (n_outputs, n_draws), rng)
        scale = np.sqrt(self.squared_scale[:, None] * variances)
        normal = rng.standard_normal((n_columns, n_outputs * n_draws))
        deviation = (self.root @ normal).reshape(n_columns, n_outputs, n_draws)
        return self.mean[:, :, None] + scale * deviation, scale


def condition(
    statistic: Statistic, precision: FloatArray, mean: FloatArray, noise: FloatArray | Gamma | None
) -> Posterior:
    """Posterior for a Gaussian prior with diagonal relative ``precision`` (0: flat) and ``mean``.

    ``noise`` is the known noise precision of each output, shape (n_outputs,), or its Gamma prior,
    or None for the noise precision of largest evidence at these relative precisions.
    """
    n_columns, n_outputs = statistic.targets.shape
    root_precision = np.sqrt(precision)
    factor, projected, remainder = _qr_append(
        statistic.factor, statistic.targets,
        np.diag(root_precision), np.outer(root_precision * mean, np.ones(n_outputs)), n_columns,
    )  # fmt: skip
    # Without a flat intercept, which only shifts the other columns to their means.
    first = int(precision[0] == 0 and factor[0, 0] != 0 and n_columns > 1)
    _check_determined(factor[first:, first:], statistic)
    root = with_positive_diagonal(lapack.dtrtri(factor)[0])
    n_effective = effective_number_of_weights(root, precision)
    # By solving, because the product with the inverse loses digits of ill-conditioned fits.
    weights, _ = lapack.dtrtrs(factor, projected)
    energy = statistic.residual + np.einsum("ij,ij->j", remainder, remainder)
    proper = precision > 0
    n_flat = n_columns - np.count_nonzero(proper)
    n_informative = statistic.weight - n_flat
    log_det = np.log(np.abs(np.diag(factor))).sum()
    log_evidence = 0.5 * np.log(precision[proper]).sum() - log_det - 0.5 * n_informative * LOG_2PI
    log_evidence = log_evidence + statistic.log_jacobian
    if isinstance(noise, Gamma):
        fit = _integrate_noise(noise, energy, n_flat, statistic)
    else:
        fit = _fix_noise(noise, energy, n_informative, statistic)
    log_evidence = log_evidence + fit.log_mass - fit.log_prior_mass
    return Posterior(
        weights, root, fit.squared_scale, fit.df, precision, fit.precision, n_effective,
        log_evidence,
    )  # fmt: skip


class _NoiseFit(NamedTuple):
    """Noise of each output given its energy, and its part of the log evidence."""

    squared_scale: FloatArray  # (n_outputs,), of a new observation
    df: float
    precision: FloatArray  # (n_outputs,)
    log_mass: FloatArray  # (n_outputs,), integral of the likelihood over the noise, or its value
    log_prior_mass: FloatArray | float = 0.0


def _integrate_noise(
    prior: Gamma, energy: FloatArray, n_flat: int, statistic: Statistic
) -> _NoiseFit:
    """Integrate out a noise precision with a Gamma prior (Bishop exercises 3.12-3.13)."""
    shape = prior.shape + (statistic.weight - n_flat) / 2
    if shape <= 0:
        raise UndeterminedError(
            f"`noise_shape` must be > 0 for noise that the data do not determine; got "
            f"noise_shape={prior.shape:g} and n_samples={statistic.weight:g} by weight, for "
            f"{n_flat} weights with a flat prior. Give more rows, or a positive `noise_shape` and "
            "`noise_rate`."
        )
    rate = prior.rate + np.maximum(energy, statistic.negligible) / 2
    is_proper = prior.shape > 0 and prior.rate > 0
    log_prior_mass = _log_gamma_mass(prior.shape, prior.rate) if is_proper else 0.0
    log_mass = _log_gamma_mass(shape, rate)
    return _NoiseFit(rate / shape, 2 * shape, shape / rate, log_mass, log_prior_mass)


def _fix_noise(
    precision: FloatArray | None, energy: FloatArray, n_informative: float, statistic: Statistic
) -> _NoiseFit:
    """Take a known noise precision, or that of largest evidence if it is None."""
    if precision is None:  # Bishop eq. 3.95, solved for the noise
        precision = np.asarray(n_informative / np.maximum(energy, statistic.negligible))
        if n_informative <= 0:  # flat weights fit all rows exactly, so that only y has a scale
            precision = 1 / statistic.mean_square
    log_mass = 0.5 * (n_informative * np.log(precision) - precision * energy)
    return _NoiseFit(1 / precision, np.inf, precision, log_mass)


def _check_determined(factor: FloatArray, statistic: Statistic) -> None:
    """Raise if the posterior's triangular factor is singular to rounding."""
    n_columns = len(factor)
    if condition_number(factor) * n_columns * np.finfo(float).eps > 1:
        raise UndeterminedError(
            f"`prior_precision` must be > 0 for weights that the data do not determine; got a flat "
            f"prior, n_samples={statistic.weight:g} by weight, and {n_columns} weights whose "
            "columns of the design matrix are linearly dependent to rounding. Give more rows, "
            "fewer basis functions, or a positive `prior_precision`."
        )


def with_positive_diagonal(root: FloatArray) -> FloatArray:
    """The unique triangular root with positive diagonal; ``root`` is changed in place."""
    root *= np.where(np.diag(root) < 0, -1.0, 1.0)
    return root


def effective_number_of_weights(root: FloatArray, precision: FloatArray) -> float:
    """Number of weights that the data determine (Bishop eq. 3.91)."""
    return float(len(root) - precision @ np.einsum("ij,ij->i", root, root))


def _log_gamma_mass(shape: float, rate: FloatArray | float) -> FloatArray:
    """Log of the integral of ``b^(shape - 1) exp(-rate b)`` over b > 0."""
    return np.asarray(gammaln(shape) - shape * np.log(rate))
