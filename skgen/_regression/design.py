"""The design matrix, evaluated in blocks of rows: its statistic, and predictions from it."""

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .._schema import FLAG, NONE, TRANSFORMER, integer, made_of, store
from .._threads import BLOCK_ROWS, map_in_threads, row_blocks
from .._validation import LARGEST, FloatArray
from ..bases._base import evaluate
from .conjugate import Posterior, Statistic, condition_number, from_gram
from .precisions import LooCalibration
from .rows import Rows, check_not_empty
from .source import Source
from .target import TargetTransform

# The relative error of a Gram matrix is about 1e-16 times the square of the condition number, and
# that of predictions about its root. So it is used for large and well-conditioned problems only.
QR_WORK = 2e8
LARGEST_CONDITION = 5e5
# Residual sums of squares below this share of the explained ones are lost to rounding.
SMALLEST_RESIDUAL = 1e-6
GRAM_GROUPS = 8
SHIFT_ROWS = 500
QR_ROWS = 1024

Summary = tuple[Statistic, int]  # of rows, and their number


@store(
    parameters={
        "basis": TRANSFORMER,
        "n_basis": integer(1),
        "fit_intercept": FLAG,
        "calibration": NONE | made_of(LooCalibration),
        "target": NONE | made_of(TargetTransform),
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
    """Transformation of y, of which the design matrix is the model."""

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


def summarize(source: Source, design: Design, solver: str, forgetting: float = 1.0) -> Summary:
    """Statistic and number of the rows of ``source``, each discounted once per later row."""
    statistic, n_rows = source.reduce(
        _summarize_block, partial(_merge_blocks, forgetting), design, solver, forgetting
    )
    check_not_empty(n_rows)
    return statistic, n_rows


def _summarize_block(rows: Rows, design: Design, solver: str, forgetting: float) -> Summary:
    return statistic_of(design, rows.discount_by_age(forgetting), solver), len(rows)


def _merge_blocks(forgetting: float, blocks: list[Summary]) -> Summary:
    statistic, n_rows = blocks[0]
    for later, n_later in blocks[1:]:
        statistic = statistic.discounted(forgetting**n_later).merged(later)
        n_rows += n_later
    return statistic, n_rows


def statistic_of(design: Design, rows: Rows, solver: str) -> Statistic:
    """Statistic of rows in memory, by QR or from the Gram matrix."""
    enough = len(rows) >= 2 * design.n_columns  # the Gram matrix of fewer is nearly singular
    by_gram = solver == "cholesky" or len(rows) * design.n_columns**2 > QR_WORK
    if solver != "qr" and enough and by_gram:
        statistic = _statistic_by_gram(design, rows)
        if statistic is not None and (solver == "cholesky" or _is_accurate(statistic)):
            return _check_finite(statistic)
    return append_rows(Statistic.empty(design.n_columns, rows.n_outputs), design, rows)


def append_rows(statistic: Statistic, design: Design, rows: Rows) -> Statistic:
    """Statistic of the rows so far and ``rows``, by QR."""
    for start in range(0, len(rows), QR_ROWS):
        block = rows[start : start + QR_ROWS]
        Phi = block.scale_by_root_weights(design.rows(block.X))
        Y = block.scale_by_root_weights(np.array(block.Y, dtype=np.float64))
        statistic = statistic.updated(Phi, Y, block.weight, block.log_jacobian)
    return _check_finite(statistic)


def _statistic_by_gram(design: Design, rows: Rows) -> Statistic | None:
    """Statistic from the Gram matrix, or None if that is not positive definite."""
    n_columns = design.n_columns
    shift = _column_means(design, rows)

    def gram_of(group: slice) -> FloatArray:
        gram, product = np.zeros((2, len(shift), len(shift)))
        buffer = Buffer(len(shift))
        with np.errstate(all="ignore"):  # here, because threads do not inherit it
            for part in row_blocks(group.start, group.stop):
                block = rows[part]
                table = buffer.table(len(block))
                design.rows(block.X, table[:, :n_columns])
                table[:, n_columns:] = block.Y
                table -= shift
                block.scale_by_root_weights(table)
                gram += np.matmul(table.T, table, out=product)
        return gram

    # The same groups for any number of threads, so that sums are rounded in the same way.
    edges = np.linspace(0, len(rows), GRAM_GROUPS + 1).astype(int)
    groups = [slice(start, stop) for start, stop in pairwise(edges)]
    gram = np.sum(map_in_threads(gram_of, groups), axis=0)
    try:
        statistic = from_gram(gram, n_columns, rows.weight, rows.log_jacobian)
    except np.linalg.LinAlgError:
        return None
    statistic.factor[0] += statistic.factor[0, 0] * shift[:n_columns]
    statistic.targets[0] += statistic.factor[0, 0] * shift[n_columns:]
    return statistic


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
    """Memory for one block after the other: allocating takes longer than filling."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self.memory = np.empty(BLOCK_ROWS * n_columns)

    def table(self, n_rows: int) -> FloatArray:
        """Uninitialized table of shape (n_rows, n_columns) in Fortran order."""
        size = n_rows * self.n_columns
        return self.memory[:size].reshape((n_rows, self.n_columns), order="F")


def _is_accurate(statistic: Statistic) -> bool:
    """True if a statistic from the Gram matrix is as accurate as one by QR."""
    first = int(len(statistic.factor) > 1)  # the rest is about the mean
    condition = condition_number(statistic.factor[first:, first:])
    explained = np.einsum("ij,ij->j", statistic.targets[1:], statistic.targets[1:])
    is_residual_accurate = statistic.residual > SMALLEST_RESIDUAL * explained
    return condition < LARGEST_CONDITION and bool(np.all(is_residual_accurate))


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
        with np.errstate(all="ignore"):  # here, because threads do not inherit it
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
