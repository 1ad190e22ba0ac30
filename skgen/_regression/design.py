"""From rows to the statistic: the design matrix in blocks, never whole."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import has_fit_parameter

from .._threads import BLOCK_ROWS, map_in_threads, row_blocks
from .._validation import LARGEST, FloatArray
from ..bases._base import evaluate
from .conjugate import Posterior, Statistic, condition_number, from_gram
from .precisions import LinearModelSpec, LooCalibration

# Gram matrices are for work that is worth it and conditioning that allows it: their relative error
# is about the square of the condition number times 1e-16, and predictions feel its root.
QR_WORK = 2e8
LARGEST_CONDITION = 5e5
# Below this share of unexplained variation the residual would drown in the Gram matrix's rounding.
SMALLEST_RESIDUAL = 1e-6
GRAM_GROUPS = 8
SHIFT_ROWS = 500
QR_ROWS = 1024
SEARCH_ROWS = 4000
"""Rows that a search for basis parameters looks at: it needs no more, the posterior gets all."""


@dataclass(frozen=True, eq=False)
class Design:
    """Rows of the design matrix ``[1 phi(x)]``, or ``phi(x)`` without an intercept."""

    basis: Any
    n_basis: int
    fit_intercept: bool
    calibration: LooCalibration | None = None
    """Calibration of the predictive distribution, for a basis that was learned from the data."""

    @classmethod
    def of(cls, basis: Any, X: FloatArray, fit_intercept: bool) -> Design:
        """The design of a fitted basis, whose outputs are counted on the first row of X."""
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
        """The design matrix of the rows of X, (n_rows, n_columns), column by column in memory."""
        Phi = np.empty((len(X), self.n_columns), order="F") if out is None else out
        if self.fit_intercept:
            Phi[:, 0] = 1.0
        evaluate(self.basis, X, Phi[:, self.fit_intercept :])
        return Phi


@dataclass(eq=False)
class Rows:
    """Validated rows of data: X (n, n_features), Y (n, n_outputs), weights (n,) or None."""

    X: FloatArray
    Y: FloatArray
    weights: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.X)

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def n_outputs(self) -> int:
        return int(self.Y.shape[1])

    def __getitem__(self, index: Any) -> Rows:
        weights = None if self.weights is None else self.weights[index]
        return Rows(self.X[index], self.Y[index], weights)

    @property
    def weight(self) -> float:
        return float(len(self.X) if self.weights is None else self.weights.sum())

    def weighted(self, table: FloatArray) -> FloatArray:
        """``table``, one row for each of these, in place times the roots of their weights."""
        if self.weights is not None:
            table *= np.sqrt(self.weights)[:, None]
        return table

    def chosen(self, n_most: int) -> Rows:
        """At most ``n_most`` of these, spread evenly."""
        return self if len(self) <= n_most else self[evenly_spread(len(self), n_most)]

    def aged(self, forgetting: float) -> Rows:
        """These, each discounted once for every row after it."""
        weights = np.power(forgetting, np.arange(len(self))[::-1])
        return Rows(self.X, self.Y, weights if self.weights is None else weights * self.weights)

    def design(self, basis: Any, fit_intercept: bool) -> Design:
        """The design of ``basis``, which is fitted to these rows."""
        y = self.Y[:, 0] if self.n_outputs == 1 else self.Y
        if self.weights is not None and has_fit_parameter(basis, "sample_weight"):
            basis.fit(self.X, y, sample_weight=self.weights)
        else:
            basis.fit(self.X, y)
        return Design.of(basis, self.X, fit_intercept)

    def summarised(self, design: Design, solver: str) -> tuple[Statistic, int]:
        """Their statistic and their number."""
        return summarise(design, self, solver), len(self)

    def added(
        self, stream: Stream, prior: LinearModelSpec, forgetting: float
    ) -> tuple[Stream, int]:
        """``stream`` after them, and their number."""
        return stream.extended(self, prior, forgetting), len(self)


def evenly_spread(n_rows: int, n_most: int) -> npt.NDArray[np.intp]:
    """Indices of all rows, or of ``n_most`` from the first to the last."""
    return np.linspace(0, n_rows - 1, min(n_rows, n_most)).astype(np.intp)


class Buffer:
    """Memory for one block after the other, because fresh pages cost more than what is in them."""

    def __init__(self, n_columns: int) -> None:
        self.n_columns = n_columns
        self.memory = np.empty(BLOCK_ROWS * n_columns)

    def table(self, n_rows: int) -> FloatArray:
        """An uninitialised table of shape (n_rows, n_columns), column by column in memory."""
        size = n_rows * self.n_columns
        return self.memory[:size].reshape((n_rows, self.n_columns), order="F")


def summarise(design: Design, rows: Rows, solver: str) -> Statistic:
    """The statistic of ``rows``."""
    many = len(rows) >= 2 * design.n_columns  # the Gram matrix of fewer is next to singular
    by_gram = solver == "cholesky" or len(rows) * design.n_columns**2 > QR_WORK
    if solver != "qr" and many and by_gram:
        statistic = _by_gram(design, rows)
        if statistic is not None and (solver == "cholesky" or _keeps_its_digits(statistic)):
            return _finite(statistic)
    empty = Statistic.empty(design.n_columns, rows.Y.shape[1])
    return update(empty, design, rows)


def update(statistic: Statistic, design: Design, rows: Rows) -> Statistic:
    """The statistic with ``rows`` appended, by QR."""
    for start in range(0, len(rows), QR_ROWS):
        block = rows[start : start + QR_ROWS]
        Phi = block.weighted(design.rows(block.X))
        Y = block.weighted(np.array(block.Y, dtype=np.float64))
        statistic = statistic.updated(Phi, Y, block.weight)
    return _finite(statistic)


def _by_gram(design: Design, rows: Rows) -> Statistic | None:
    """The statistic from the Gram matrix, or None if that is not positive definite."""
    n_columns, n_outputs = design.n_columns, rows.Y.shape[1]
    shift = np.zeros(n_columns + n_outputs)
    if design.fit_intercept:  # columns near their means: the same weights, far better conditioned
        sample = rows.chosen(SHIFT_ROWS)
        shift[1:n_columns] = design.rows(sample.X)[:, 1:].mean(axis=0)
        shift[n_columns:] = sample.Y.mean(axis=0, dtype=np.float64)

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
                block.weighted(table)
                gram += np.matmul(table.T, table, out=product)
        return gram

    # As many groups on any number of threads, so that the sums round alike.
    edges = np.linspace(0, len(rows), GRAM_GROUPS + 1).astype(int)
    groups = [slice(start, stop) for start, stop in pairwise(edges)]
    gram = np.sum(map_in_threads(gram_of, groups), axis=0)
    try:
        statistic = from_gram(gram, n_columns, rows.weight)
    except np.linalg.LinAlgError:
        return None
    statistic.factor[0] += statistic.factor[0, 0] * shift[:n_columns]
    statistic.targets[0] += statistic.factor[0, 0] * shift[n_columns:]
    return statistic


def _keeps_its_digits(statistic: Statistic) -> bool:
    """Whether a statistic from the Gram matrix is as good as one from QR."""
    about_mean = np.s_[1:] if len(statistic.factor) > 1 else np.s_[:]
    centred = condition_number(statistic.factor[about_mean, about_mean])
    explained = np.einsum("ij,ij->j", statistic.targets[1:], statistic.targets[1:])
    residual_counts = statistic.residual > SMALLEST_RESIDUAL * explained
    return centred < LARGEST_CONDITION and bool(np.all(residual_counts))


def _finite(statistic: Statistic) -> Statistic:
    """``statistic``, if its numbers can be squared without overflow."""
    _check_size(statistic.factor)
    if not statistic.is_finite:
        raise ValueError(
            f"`y` and `sample_weight` must keep sums of squares finite; got a sum of weights of "
            f"{statistic.weight:g} and more than a float holds. Rescale them."
        )
    return statistic


def _check_size(table: FloatArray) -> None:
    if not np.abs(table).max() <= LARGEST:
        raise ValueError(
            f"`basis` must map X to finite values of at most {LARGEST:g} in magnitude; got larger "
            "ones or NaN. Rescale X, or put a sklearn.preprocessing.StandardScaler before it."
        )


def evaluate_rows(
    design: Design, weights: FloatArray, posteriors: list[Posterior], X: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """``Phi @ weights`` and each posterior's leverages, (n_rows, n_posteriors), for rows X."""
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


class Stream:
    """A model on its way through a stream: what it has seen, and its posterior when asked.

    A few rows at a time wait in a buffer, so that a single row costs little more than its share of
    a batch, and rounds no worse; whatever reads the model first lets them in.
    """

    def __init__(self, design: Design, prior: LinearModelSpec, statistic: Statistic) -> None:
        self.design = design
        self.prior = prior
        self._posteriors: list[Posterior] | None = None
        self._waiting: Rows | None = None
        # Together, so that of two threads that read at once none counts the waiting rows twice.
        self._seen: tuple[Statistic, int] = (statistic, 0)

    @property
    def statistic(self) -> Statistic:
        """The statistic of all rows."""
        statistic, n_waiting = self._seen
        if n_waiting and self._waiting is not None:
            statistic = update(statistic, self.design, self._waiting[:n_waiting])
            self._seen = (statistic, 0)
        return statistic

    @property
    def n_outputs(self) -> int:
        return int(self._seen[0].targets.shape[1])

    @property
    def posteriors(self) -> list[Posterior]:
        """Posteriors of the outputs, in order: one for all, or one for each."""
        if self._posteriors is None:
            self._posteriors = self.prior.posteriors(self.statistic, self.design.calibration)
        return self._posteriors

    def wait(self, X: FloatArray, Y: FloatArray, weights: FloatArray | float = 1.0) -> None:
        """Take at most QR_ROWS rows, on which the basis is surely finite, for later; quickly."""
        if self._waiting is None:
            self._waiting = Rows(
                np.empty((QR_ROWS, X.shape[1])), np.empty((QR_ROWS, Y.shape[1])), np.empty(QR_ROWS)
            )
        n_rows, waiting = len(X), self._waiting
        if self._seen[1] + n_rows > QR_ROWS:
            _ = self.statistic
        statistic, start = self._seen
        part = slice(start, start + n_rows)
        waiting.X[part], waiting.Y[part] = X, Y
        assert waiting.weights is not None
        waiting.weights[part] = weights
        self._seen = (statistic, start + n_rows)
        self._posteriors = None

    def extended(self, rows: Rows, prior: LinearModelSpec, forgetting: float) -> Stream:
        """The stream with ``rows`` seen too, older ones discounted row by row."""
        successor = Stream(self.design, prior, self._seen[0])
        successor._waiting, successor._seen = self._waiting, self._seen
        if forgetting == 1 and len(rows) <= QR_ROWS // 2:
            _check_size(rows.weighted(self.design.rows(rows.X)))
            successor.wait(rows.X, rows.Y, 1.0 if rows.weights is None else rows.weights)
            return successor
        statistic = successor.statistic  # not ours, which stays as it is if what follows raises
        if forgetting < 1:
            rows = rows.aged(forgetting)
            statistic = statistic.discounted(forgetting ** len(rows))
        return Stream(self.design, prior, update(statistic, self.design, rows))

    def joined(self, statistic: Statistic, prior: LinearModelSpec, discount: float = 1.0) -> Stream:
        """The stream with the rows of ``statistic`` seen too, after a discount of older ones."""
        older = self.statistic if discount == 1 else self.statistic.discounted(discount)
        return Stream(self.design, prior, older.merged(statistic))

    def __getstate__(self) -> dict[str, Any]:
        """Without the buffer: a pickle holds what was seen, once."""
        return {**vars(self), "_seen": (self.statistic, 0), "_waiting": None}
