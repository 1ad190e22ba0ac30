"""One precision per weight (automatic relevance determination), by the evidence.

Most weights are out of the model: their precision is infinite. As a function of the precision of
one weight, with the others fixed, the evidence has its maximum in closed form. So single weights
are added, changed or removed, whichever increases the evidence most (M. E. Tipping and A. C. Faul,
Fast marginal likelihood maximisation for sparse Bayesian models, AISTATS 2003; A. C. Faul and M. E.
Tipping, Analysis of sparse Bayesian learning, NIPS 14, 2002). Here each such step optimizes the
noise, too. Newton's method then improves all finite precisions together.

The number of weights in the model has a uniform prior up to half of all, and sets of the same
number are equally likely. This accounts for the number of weights to choose from (J. G. Scott and
J. O. Berger, Bayes and empirical-Bayes multiplicity adjustment in the variable-selection problem,
Annals of Statistics 38(5), 2010). Without this prior, about a third of all irrelevant weights would
be in the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack
from scipy.special import expit, gammaln

from .._validation import FloatArray
from .conjugate import Gamma

SMALLEST_GAIN = 1e-7  # in nats; no weight is added or removed for less
SMALLEST_SHARE = 1e-14  # smallest share of the energy of a column that is left to the prior
GROWTH = 0.25  # weights added before all are improved, as a share of those in the model
MOST_COLUMNS = 100  # up to which a second search starts from all columns
ROUGH, EXACT = 1e-2, 1e-15  # gains of a Newton step at which to stop, in nats
NEWTON_STEPS, LONGEST_STEP = 50, 2.0
CERTAIN = 1e6  # added to the gain of removing a weight that must be out
NEGLIGIBLE = 1e-8  # probability below which a change of the model has no influence


@dataclass(frozen=True)
class EnergyTerm:
    """Data term of the evidence given the energy; noise is known, at its best or integrated out.

    The energy is the least sum of squared residuals and prior terms, in units of the noise
    variance.
    """

    count: float  # degrees of freedom, infinite where the noise is known
    offset: float = 0.0
    precision: float = 0.0  # of known noise
    least: float = 0.0  # energy below which the noise has its least variance

    @classmethod
    def of(cls, noise: float | Gamma | str, weight: float, least_noise: float = 0.0) -> EnergyTerm:
        """The term for this noise, of variance ``least_noise`` or more, and rows of this weight."""
        if isinstance(noise, Gamma):
            return cls(2 * noise.shape + weight, 2 * noise.rate)
        if isinstance(noise, float):
            return cls(np.inf, precision=noise)
        return cls(weight, least=least_noise * weight)

    def value(self, energy: Any) -> Any:
        if np.isinf(self.count):
            return -0.5 * self.precision * energy
        whole = np.maximum(self.offset + energy, self.least)
        below = np.minimum(energy / self.least - 1, 0.0) if self.least else 0.0
        return -0.5 * self.count * (np.log(whole) + below)

    def slope(self, energy: Any) -> Any:
        """Derivative of `value`."""
        if np.isinf(self.count):
            return -0.5 * self.precision
        return -0.5 * self.count / np.maximum(self.offset + energy, self.least)

    def best_share(self, explained: FloatArray, rest: FloatArray) -> FloatArray:
        """Shares of the explained energy that stay unexplained at the best precision of one weight.

        ``explained`` is the energy that the weight explains under a flat prior, and ``rest`` is the
        remaining energy.
        """
        if np.isinf(self.count):
            return 1 / (self.precision * explained)
        return (self.offset + rest) / (explained * max(self.count - 1, 0.0))


@dataclass(frozen=True, eq=False)
class SparseModel:
    """Columns and target of a sparse Bayesian model, its noise, and the prior of its precisions."""

    factor: FloatArray  # (n_rows, n_columns)
    target: FloatArray  # (n_rows,)
    residual: float
    noise: EnergyTerm
    common_precision: float  # relative
    common_variance: float  # of each weight

    def set_cost(self, n_in: int) -> float:
        """Negative log prior of a set of ``n_in`` columns, relative to the empty set."""
        n_columns = self.factor.shape[1]
        n_in = min(n_in, n_columns // 2)
        return float(gammaln(n_columns + 1) - gammaln(n_in + 1) - gammaln(n_columns - n_in + 1))

    def cost_of_one_more(self, n_in: int) -> float:
        """Cost that one more column adds to ``n_in``."""
        return self.set_cost(n_in + 1) - self.set_cost(n_in)

    @cached_property
    def typical_variance(self) -> float:
        """Largest variance of a weight that costs nothing in `precision_cost`.

        It is the variance under a common precision, or, if that is larger, the variance with which
        a single column of average size explains the whole target.
        """
        size = float(np.einsum("ij,ij->", self.factor, self.factor)) / self.factor.shape[1]
        alone = float(self.target @ self.target) / size if size > 0 else 0.0
        return max(self.common_variance, alone)

    def precision_cost(self, precision: FloatArray, energy: float) -> FloatArray:
        """Negative log priors of relative precisions, in addition to `set_cost`.

        For weights that are larger than typical, the prior of the log precision has the tail of a
        Cauchy distribution. So a column that is almost zero at the data, but may be large
        elsewhere, is not chosen by chance.
        """
        with np.errstate(all="ignore"):
            variance = -0.5 / self.noise.slope(energy) / precision
            return np.log1p(np.fmax(np.log(variance / self.typical_variance), 0.0) ** 2)


@dataclass(frozen=True, eq=False)
class Relevances:
    """One relative precision per column, infinite for those that are out of the model."""

    model: SparseModel
    precision: FloatArray  # (n_columns,)

    @cached_property
    def indices(self) -> Any:
        """Indices of the columns that are in the model."""
        return np.flatnonzero(np.isfinite(self.precision))

    @cached_property
    def _decomposition(self) -> tuple[FloatArray, FloatArray]:
        roots = np.diag(np.sqrt(self.precision[self.indices]))
        return np.linalg.qr(np.vstack([self.model.factor[:, self.indices], roots]))

    @cached_property
    def root(self) -> FloatArray:
        """Triangular root of the covariance of the weights that are in, in units of the noise."""
        triangle = self._decomposition[1]
        return np.asarray(lapack.dtrtri(triangle)[0]) if len(triangle) else triangle

    @cached_property
    def _coordinates(self) -> FloatArray:
        """Target along the orthonormal columns of the decomposition."""
        orthogonal = self._decomposition[0]
        return np.asarray(self.model.target @ orthogonal[: len(self.model.target)])

    @cached_property
    def weights(self) -> FloatArray:
        """Posterior mean of the weights that are in."""
        return np.asarray(self.root @ self._coordinates)

    @cached_property
    def energy(self) -> float:
        residual = -self._decomposition[0] @ self._coordinates
        residual[: len(self.model.target)] += self.model.target
        return self.model.residual + float(residual @ residual)

    @cached_property
    def log_evidence(self) -> float:
        """The log evidence up to a constant."""
        log_det = 0.5 * np.log(self.precision[self.indices]).sum()
        log_det -= np.log(np.abs(np.diag(self._decomposition[1]))).sum()
        return float(self.model.noise.value(self.energy) + log_det)

    @property
    def log_posterior(self) -> float:
        """The log evidence plus the log prior of the set of columns that are in."""
        costs = self.model.precision_cost(self.precision[self.indices], self.energy)
        return self.log_evidence - self.model.set_cost(len(self.indices)) - float(costs.sum())

    @property
    def mean(self) -> FloatArray:
        """Posterior mean of all weights."""
        mean = np.zeros(len(self.precision))
        mean[self.indices] = self.weights
        return mean

    def residuals(self) -> FloatArray:
        """Residuals of columns and target after a fit of the weights that are in the model."""
        model, orthogonal = self.model, self._decomposition[0]
        n_rows = len(model.factor)
        table = np.zeros((len(orthogonal), len(self.precision) + 1), order="F")
        table[:n_rows] = np.column_stack([model.factor, model.target])
        if len(self.indices):
            table -= orthogonal @ (orthogonal[:n_rows].T @ table[:n_rows])
        return table

    def removal_gains(self) -> FloatArray:
        """Gains in the log posterior by the removal of each of the weights that are in."""
        precision = self.precision[self.indices]
        share = precision * np.einsum("ij,ij->i", self.root, self.root)  # left to the prior
        sparsity, quality = precision * (1 - share) / share, precision * self.weights / share
        without = self.energy + quality * self.weights
        alone = _SingleWeight(self.model, sparsity, quality, without)
        gains = self.model.cost_of_one_more(len(precision) - 1) - alone.gains(precision)
        gains += self.model.precision_cost(precision, self.energy)
        return np.where(np.isfinite(alone.best_precision), gains, CERTAIN + gains)

    def deviations(self) -> FloatArray:
        """Root of the covariance that uncertain membership of single weights adds, in columns.

        Each weight that is in may be out, and each that is out may be in, with its probability
        given the others. A weight that is added has the variance under a common precision.
        """
        covariance = self.root @ self.root.T
        probability = expit(self.removal_gains())
        removals = covariance * (self.weights / np.diag(covariance)) * np.sqrt(probability)
        noise_variance = -0.5 / self.model.noise.slope(self.energy)
        alone = _SingleWeight.outside(self.model, self.residuals())
        precision = np.full(len(self.precision), noise_variance / self.model.common_variance)
        mean, spread = alone.moments(precision)
        probability = expit(alone.gains(precision) - self.model.cost_of_one_more(len(self.indices)))
        squares = probability * (mean**2 + noise_variance * spread)
        squares[self.indices] = 0.0
        added = np.flatnonzero(squares > NEGLIGIBLE * squares.max(initial=0.0))
        additions = np.zeros((len(precision), len(added)))
        additions[added, np.arange(len(added))] = 1.0
        orthogonal = self._decomposition[0][: len(self.model.factor)]
        additions[self.indices] = -self.root @ (orthogonal.T @ self.model.factor[:, added])
        additions *= np.sqrt(squares[added])
        own = np.zeros((len(precision), len(self.indices)))
        own[self.indices] = removals
        return np.hstack([own, additions])

    def newton_step(self) -> tuple[FloatArray, float]:
        """Step of the logarithms of the precisions that are in, and its expected gain."""
        noise, precision = self.model.noise, self.precision[self.indices]
        covariance = self.root @ self.root.T
        shares = precision * self.weights**2
        slope = noise.slope(self.energy)
        own = 0.5 - 0.5 * precision * np.diag(covariance) + slope * shares
        products = np.outer(precision, precision) * covariance
        # The root of the slope comes first, because squares of large weights may overflow.
        weights = np.sqrt(-slope) * self.weights
        hessian = np.diag(own - 0.5) + 0.5 * products * covariance
        hessian += 2 * products * np.outer(weights, weights)
        hessian += np.outer(slope * shares, slope * shares) * 2 / noise.count
        if not np.isfinite(hessian).all():
            return np.zeros(len(own)), 0.0
        values, vectors = np.linalg.eigh(hessian)
        along = vectors.T @ own / np.maximum(np.abs(values), 1e-8)
        step = vectors @ along
        return np.clip(step, -LONGEST_STEP, LONGEST_STEP), float(own @ step)

    def improve(self, tolerance: float) -> Relevances:
        """All precisions that are in at a maximum of the evidence, by Newton's method.

        It stops early if a weight must be out, or if the expected gain of the next step is less
        than ``tolerance``, in nats.
        """
        best = self
        for _ in range(NEWTON_STEPS * bool(len(self.indices))):
            step, expected_gain = best.newton_step()
            length, moved = 1.0, best.move(step)
            while not moved.log_evidence >= best.log_evidence and length > 1e-3:
                length /= 4
                moved = best.move(length * step)
            if not moved.log_evidence >= best.log_evidence - 1e-9:
                break
            best = moved
            if expected_gain < tolerance or np.any(best.removal_gains() > CERTAIN / 2):
                break
        return best

    def move(self, step: FloatArray) -> Relevances:
        """Precisions whose logarithms are changed by ``step``, for those that are in."""
        precision = self.precision.copy()
        precision[self.indices] *= np.exp(step)
        return replace(self, precision=precision)


@dataclass(frozen=True, eq=False)
class _SingleWeight:
    """The evidence as a function of the precision of each weight, with the others fixed.

    It depends on three numbers of the model without this weight: the energy, and the sparsity and
    quality factors of Tipping and Faul, in units of the noise. These are the squared norm of the
    column, and its product with the target, in the metric of the inverse covariance of the target.
    """

    model: SparseModel
    sparsity: FloatArray  # (n_columns,), s of Tipping and Faul, over the noise precision
    quality: FloatArray  # (n_columns,), q of theirs, over the noise precision
    without: Any  # energy, a number or one per column

    @classmethod
    def outside(cls, model: SparseModel, table: FloatArray) -> _SingleWeight:
        """For weights that are out; ``table`` has the residuals of columns and target."""
        columns, target = table[:, :-1], table[:, -1]
        sparsity = np.einsum("ij,ij->j", columns, columns)
        return cls(model, sparsity, columns.T @ target, model.residual + target @ target)

    @property
    def explained(self) -> FloatArray:
        """Energy that each weight explains under a flat prior."""
        with np.errstate(all="ignore"):
            return np.where(self.sparsity > 0, self.quality**2 / self.sparsity, 0.0)

    @property
    def best_precision(self) -> FloatArray:
        """Precisions of largest evidence; infinite for weights that are better out of the model."""
        rest = np.maximum(self.without - self.explained, self.model.residual)
        with np.errstate(all="ignore"):
            share = self.model.noise.best_share(self.explained, rest)
            share = np.maximum(share, SMALLEST_SHARE)
            return np.where(share < 1, self.sparsity * share / (1 - share), np.inf)

    def gains(self, precision: FloatArray) -> FloatArray:
        """Gains in log evidence over the absence of a weight, in nats."""
        with np.errstate(all="ignore"):
            share = np.where(np.isfinite(precision), precision / (precision + self.sparsity), 1.0)
        energy = np.maximum(self.without - (1 - share) * self.explained, self.model.residual)
        value = self.model.noise.value
        return np.asarray(value(energy) - value(self.without) + 0.5 * np.log(share))

    def moments(self, precision: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean of each weight that is in, and its variance over that of the noise."""
        total = precision + self.sparsity
        return self.quality / total, 1 / total


def search(model: SparseModel, weight: float) -> Relevances:
    """Precisions at a maximum of the evidence times the prior of the set of weights.

    The search starts without columns. If rows of this ``weight`` determine all weights, a second
    search starts from all columns with the common precision.
    """
    n_columns = model.factor.shape[1]
    starts = [np.inf]
    if n_columns <= min(weight / 2, MOST_COLUMNS):
        starts.append(model.common_precision)
    found = [_climb(Relevances(model, np.full(n_columns, start))) for start in starts]
    return max(found, key=lambda relevances: relevances.log_posterior)


def _climb(found: Relevances) -> Relevances:
    """The maximum that the search reaches from here; weights that it removes stay out."""
    removed = np.zeros(len(found.precision), dtype=bool)
    tolerance = ROUGH
    while True:
        found = found.improve(tolerance)
        precision = _remove_worst(found)
        if precision is not None:
            removed |= np.isfinite(found.precision) & np.isinf(precision)
        else:
            precision = _add_best(found, removed)
        if precision is not None:
            found, tolerance = Relevances(found.model, precision), ROUGH
        elif tolerance == EXACT:
            return found
        else:
            tolerance = EXACT


def _remove_worst(found: Relevances) -> FloatArray | None:
    """Precisions after the removal with the largest gain; None if no removal has a gain."""
    gains = found.removal_gains()
    if gains.max(initial=0.0) <= SMALLEST_GAIN:
        return None
    precision = found.precision.copy()
    precision[found.indices[int(np.argmax(gains))]] = np.inf
    return precision


def _add_best(found: Relevances, barred: Any) -> FloatArray | None:
    """Precisions after adding the weights of largest gain, one by one; None if none is added."""
    precision, table = found.precision.copy(), found.residuals()
    n_before = len(found.indices)
    for n_in in range(n_before, n_before + 1 + int(GROWTH * n_before)):
        alone = _SingleWeight.outside(found.model, table)
        best = alone.best_precision
        gains = alone.gains(best) - found.model.cost_of_one_more(n_in)
        gains -= found.model.precision_cost(best, float(alone.without))
        gains[barred | np.isfinite(precision) | np.isinf(best)] = -np.inf
        most = gains.max()
        if most <= SMALLEST_GAIN:
            break
        index = int(np.argmax(gains >= most - SMALLEST_GAIN))  # so that rounding decides no tie
        precision[index] = best[index]
        _deflate(table, index, precision[index])
    return precision if np.isfinite(precision).sum() > n_before else None


def _deflate(table: FloatArray, index: int, precision: float) -> None:
    """Subtract from the residuals ``table`` the part that one column explains."""
    column = table[:, index].copy()
    square = float(column @ column)
    column /= np.sqrt(square)
    table -= np.outer((1 - np.sqrt(precision / (precision + square))) * column, column @ table)
