"""The design matrix, evaluated in blocks of rows: its statistic, and predictions from it."""

from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .._schema import (
    FLAG,
    NONE,
    TRANSFORMER,
    Values,
    array,
    integer,
    made_of,
    number,
    store,
)
from .._threads import BLOCK_ROWS, map_in_threads, row_blocks, sum_in_threads
from .._validation import LARGEST, FloatArray
from ..bases import FourierBasis
from ..bases._base import evaluate
from .conjugate import Posterior, Statistic, condition_number, from_gram, of_few_rows
from .precisions import LooCalibration
from .rows import Rows, check_not_empty
from .source import Source
from .target import TargetTransform

# The relative error of weights from the Gram matrix is about 1e-16 times the squared condition
# number, and that of predictions about its root. So the Gram matrix is used for large problems that
# are well conditioned, or in which the prior adds far more to its diagonal than its error.
QR_WORK = 2e8  # operations, above which a problem is large
LARGEST_CONDITION = 5e5
GRAM_ERROR = 2 * np.finfo(float).eps  # relative to the trace
LARGEST_RELATIVE_ERROR = 1e-5  # of the diagonal, relative to what the prior adds
SMALLEST_RESIDUAL = 1e-6  # share of the explained sum of squares, below which it is rounding
GRAM_GROUPS = 8
SHIFT_ROWS = 500
QR_ROWS = 1024

Summary = tuple[Statistic, int]  # of rows, and their number


@store(
    parameters={
        "basis": made_of(FourierBasis),
        "mean_weights": array("n_columns n_means"),
        "weights": array("n_basis"),
        "low": number(),
        "high": number(),
        "offset": number(),
    }
)
@dataclass(frozen=True, eq=False)
class LogLinearNoise:
    """Relative variance of the noise at each row, as a function of its features."""

    basis: FourierBasis
    """Functions of the features, followed by the means of all outputs."""
    mean_weights: FloatArray
    """(n_columns, n_outputs), weights of the design matrix that give these means."""
    weights: FloatArray  # (n_basis,)
    low: float
    high: float
    """Limits of the log variance, beyond which there were too few rows to learn from."""
    offset: float
    """Log variance at which the noise scale is 1."""

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        basis = values["basis"]
        n_features_out = getattr(basis, "_n_features_out", None)  # None before a fit
        return n_features_out == len(values["weights"]) and values["low"] <= values["high"]

    def matches(self, n_columns: int, n_outputs: int, X: FloatArray) -> bool:
        """Return True if this noise has the shapes of a design with rows like X."""
        n_inputs: int = self.basis.n_features_in_
        n_rows, n_means = self.mean_weights.shape  # constant outputs are not among the means
        fits = n_rows == n_columns and n_means <= n_outputs
        return fits and n_inputs == X.shape[1] + n_means

    def variance(self, X: FloatArray, mean: FloatArray) -> FloatArray:
        """Relative variances (n_rows,) at rows X with predicted means ``mean`` (n_rows, n_outputs).

        The mean of their inverses over the rows of the fit is 1.
        """
        log_variance = np.empty(len(X))
        for block in row_blocks(0, len(X)):
            values = evaluate_table(self.basis, np.hstack([X[block], mean[block]]))
            log_variance[block] = values @ self.weights
        return np.exp(np.clip(log_variance, self.low, self.high) - self.offset)


def evaluate_table(basis: FourierBasis, table: FloatArray) -> FloatArray:
    """Basis functions at the rows of ``table``, whose columns may have very different units."""
    values = np.empty((len(table), basis._n_features_out))
    with np.errstate(all="ignore"):
        basis._write(table, values)
    return np.nan_to_num(values)


@store(
    parameters={
        "basis": TRANSFORMER,
        "n_basis": integer(1),
        "fit_intercept": FLAG,
        "calibration": NONE | made_of(LooCalibration),
        "target": NONE | made_of(TargetTransform),
        "noise": NONE | made_of(LogLinearNoise),
    }
)
@dataclass(frozen=True, eq=False)
class Design:
    """Map from rows of X to rows of the design matrix ``[1 phi(x)]``; the 1 is the intercept."""

    basis: Any
    n_basis: int
    fit_intercept: bool
    calibration: LooCalibration | None = None
    """Calibration of the predictive distribution if parameters of the basis were learned."""
    target: TargetTransform | None = None
    """Transformation of y; the model is fitted to transformed targets."""
    noise: LogLinearNoise | None = None
    """Relative variances of the noise of rows; None for constant noise."""

    @classmethod
    def of(cls, basis: Any, X: FloatArray, fit_intercept: bool) -> "Design":
        """Design of a fitted basis, whose functions are counted on the first row of X."""
        shape = np.shape(basis.transform(X[:1]))
        if len(shape) != 2 or shape[1] == 0:
            raise ValueError(
                f"`basis` must map a row of X to a row of basis functions; got shape {shape} from "
                f"{basis!r}. Choose another."
            )
        return cls(basis, shape[1], fit_intercept)

    @property
    def n_columns(self) -> int:
        return self.n_basis + self.fit_intercept

    def rows(self, X: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Design matrix of the rows of X, shape (n_rows, n_columns), in Fortran order."""
        Phi = np.empty((len(X), self.n_columns), order="F") if out is None else out
        if self.fit_intercept:
            Phi[:, 0] = 1.0
        evaluate(self.basis, X, Phi[:, self.fit_intercept :])
        return Phi

    def noise_variance(self, X: FloatArray, given: FloatArray) -> FloatArray:
        """Relative variances of the noise at rows X: ``given`` times those of this design."""
        if self.noise is None:
            return given
        mean, _ = evaluate_rows(self, self.noise.mean_weights, [], X)
        return self.noise.variance(X, mean) * given

    def with_noise(self, rows: Rows) -> Rows:
        """Rows with noise scales that are multiplied by those of this design."""
        if self.noise is None or not len(rows):
            return rows
        scale = np.sqrt(self.noise_variance(rows.X, rows.noise_variance))
        return replace(rows, noise_scale=scale)


def summarize(
    source: Source, design: Design, solver: str, forgetting: float = 1.0, ratio: float = 0.0
) -> Summary:
    """Statistic and number of the rows of ``source``; each row is discounted once per later row.

    ``ratio`` is an estimate of the ratio of prior to noise precision, 0 if it is not known.
    """
    statistic, n_rows = source.reduce(
        _summarize_block, partial(_merge_blocks, forgetting), design, solver, forgetting, ratio
    )
    check_not_empty(n_rows)
    return statistic, n_rows


def _summarize_block(
    rows: Rows, design: Design, solver: str, forgetting: float, ratio: float
) -> Summary:
    rows = design.with_noise(rows).discount_by_age(forgetting)
    return statistic_of(design, rows, solver, ratio), len(rows)


def _merge_blocks(forgetting: float, blocks: list[Summary]) -> Summary:
    statistic, n_rows = blocks[0]
    for later, n_later in blocks[1:]:
        statistic = statistic.discount(forgetting**n_later).merge(later)
        n_rows += n_later
    return statistic, n_rows


def statistic_of(design: Design, rows: Rows, solver: str, ratio: float = 0.0) -> Statistic:
    """Statistic of rows in memory, by QR or from the Gram matrix; see `summarize`."""
    are_enough = len(rows) >= 2 * design.n_columns  # the Gram matrix of fewer is nearly singular
    by_gram = solver == "cholesky" or len(rows) * design.n_columns**2 > QR_WORK
    if solver != "qr" and are_enough and by_gram:
        statistic = _statistic_by_gram(design, rows, solver == "cholesky", ratio)
        if statistic is not None:
            return _check_finite(statistic)
    return append_rows(Statistic.empty(design.n_columns, rows.n_outputs), design, rows)


def append_rows(statistic: Statistic, design: Design, rows: Rows) -> Statistic:
    """Statistic of the rows so far and ``rows``, by QR."""
    if statistic.weight == 0 and 0 < len(rows) < design.n_columns:
        Phi = rows.scale_by_root_weights(design.rows(rows.X))
        Y = rows.scale_by_root_weights(np.array(rows.Y, dtype=np.float64))
        return _check_finite(of_few_rows(Phi, Y, rows.weight, rows.log_jacobian))
    for start in range(0, len(rows), QR_ROWS):
        block = rows[start : start + QR_ROWS]
        Phi = block.scale_by_root_weights(design.rows(block.X))
        Y = block.scale_by_root_weights(np.array(block.Y, dtype=np.float64))
        statistic = statistic.append(Phi, Y, block.weight, block.log_jacobian)
    return _check_finite(statistic)


def _statistic_by_gram(
    design: Design, rows: Rows, may_be_rough: bool, ratio: float
) -> Statistic | None:
    """Statistic from the Gram matrix, or None if the matrix is not accurate enough."""
    n_columns, sums = design.n_columns, (rows.weight, rows.log_jacobian)
    shift = _column_means(design, rows)
    gram = _gram(design, rows, shift)
    with suppress(np.linalg.LinAlgError):
        statistic = from_gram(gram, n_columns, *sums)
        if may_be_rough or (_is_well_conditioned(statistic) and _has_accurate_residual(statistic)):
            return _shift_back(statistic, shift)
    weights = np.arange(n_columns)
    error = GRAM_ERROR * gram[weights, weights].sum()
    if error < LARGEST_RELATIVE_ERROR * ratio:
        gram[weights, weights] += error  # otherwise it may not be positive definite
        with suppress(np.linalg.LinAlgError):
            statistic = from_gram(gram, n_columns, *sums)
            if _has_accurate_residual(statistic):
                return _shift_back(statistic, shift)
    return None


def _shift_back(statistic: Statistic, shift: FloatArray) -> Statistic:
    """Turn the statistic of columns minus ``shift`` into that of the columns, in place."""
    n_columns = len(statistic.factor)
    statistic.factor[0] += statistic.factor[0, 0] * shift[:n_columns]
    statistic.targets[0] += statistic.factor[0, 0] * shift[n_columns:]
    return statistic


def _gram(design: Design, rows: Rows, shift: FloatArray) -> FloatArray:
    """Gram matrix of ``[Phi Y]`` minus ``shift``; rows are scaled by roots of their weights."""

    def gram_of(group: slice) -> FloatArray:
        gram, product = (np.zeros((len(shift), len(shift))) for _ in range(2))
        buffer = Buffer(len(shift))
        with np.errstate(all="ignore"):  # within the task, because threads do not inherit it
            for part in row_blocks(group.start, group.stop):
                block = rows[part]
                table = buffer.table(len(block))
                design.rows(block.X, table[:, : design.n_columns])
                table[:, design.n_columns :] = block.Y
                table -= shift
                block.scale_by_root_weights(table)
                gram += np.matmul(table.T, table, out=product)
        return gram

    # The groups do not depend on the number of threads, so that sums are rounded in the same way.
    edges = np.linspace(0, len(rows), GRAM_GROUPS + 1).astype(int)
    total: FloatArray = sum_in_threads(gram_of, [slice(*edge) for edge in pairwise(edges)])
    return total


def _column_means(design: Design, rows: Rows) -> FloatArray:
    """Approximate means of the columns of ``[Phi Y]``, to subtract; zeros without an intercept.

    With an intercept, shifted columns have the same weights and are far better conditioned.
    """
    shift = np.zeros(design.n_columns + rows.n_outputs)
    if design.fit_intercept:
        sample = rows.select(SHIFT_ROWS)
        shift[1 : design.n_columns] = design.rows(sample.X)[:, 1:].mean(axis=0)
        shift[design.n_columns :] = sample.Y.mean(axis=0, dtype=np.float64)
    return shift


class Buffer:
    """Memory that is reused from block to block, because allocation takes longer than filling."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self.memory = np.empty(BLOCK_ROWS * n_columns)

    def table(self, n_rows: int) -> FloatArray:
        """Uninitialized table of shape (n_rows, n_columns) in Fortran order."""
        size = n_rows * self.n_columns
        return self.memory[:size].reshape((n_rows, self.n_columns), order="F")


def _is_well_conditioned(statistic: Statistic) -> bool:
    first = int(len(statistic.factor) > 1)  # the other rows are deviations from the mean
    return condition_number(statistic.factor[first:, first:]) < LARGEST_CONDITION


def _has_accurate_residual(statistic: Statistic) -> bool:
    explained = np.einsum("ij,ij->j", statistic.targets[1:], statistic.targets[1:])
    return bool(np.all(statistic.residual > SMALLEST_RESIDUAL * explained))


def _check_finite(statistic: Statistic) -> Statistic:
    """Return ``statistic`` if its numbers can be squared without overflow, else raise."""
    check_columns(statistic.factor)
    if not statistic.is_finite:
        raise ValueError(
            f"`y` and `sample_weight` must keep sums of squares finite; got a sum of weights of "
            f"{statistic.weight:g} and more than a float holds. Rescale them."
        )
    return statistic


def check_columns(table: FloatArray) -> None:
    """Raise if values of basis functions are not finite or too large to be squared."""
    if not np.abs(table).max() <= LARGEST:
        raise ValueError(
            f"`basis` must map X to finite values of at most {LARGEST:g} in magnitude; got larger "
            "ones or NaN. Rescale X, or put a sklearn.preprocessing.StandardScaler before it."
        )


def evaluate_rows(
    design: Design, weights: FloatArray, posteriors: list[Posterior], X: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``Phi @ weights`` and the leverages (n_rows, n_posteriors) at the rows of X."""
    values = np.empty((len(X), weights.shape[1]))
    leverage = np.empty((len(X), len(posteriors)))

    def fill(block: slice) -> None:
        with np.errstate(all="ignore"):  # within the task, because threads do not inherit it
            Phi = design.rows(X[block])
            values[block] = Phi @ weights
            for column, posterior in enumerate(posteriors):
                leverage[block, column] = posterior.leverage(Phi)

    map_in_threads(fill, list(row_blocks(0, len(X))))
    if not (np.all(np.isfinite(values)) and np.all(np.isfinite(leverage))):
        raise ValueError(
            f"`X` must lie where the basis functions and their squares are finite; got values of "
            f"up to {np.abs(X).max():g}. Rescale X, or leave such rows out."
        )
    return values, leverage
