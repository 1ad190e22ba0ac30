"""Batches of rows, and views of tables whose rows are transformed only when they are selected.

A table may be larger than memory: if it is mapped from a file, only batches are copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .._validation import FloatArray, extremes, missing_cells

BLOCK_VALUES = 2**18  # values of a block of rows, which fits into the cache
EVALUATION_ROWS = 4096  # rows that networks evaluate at a time outside training
MAX_LOADED_BYTES = 2**28  # size up to which rows are transformed once and kept


class Batch(NamedTuple):
    """Rows of data, of a context (inputs of a conditional model) and of a mask."""

    x: Any  # of shape (n_samples, n_features)
    context: Any = None  # of shape (n_samples, n_context)
    mask: Any = None  # bool of shape (n_samples, n_features), True for missing cells of x
    # bool of the same shape, True for cells hidden from the encoder, the missing ones included
    hidden: Any = None

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return len(self.x)

    @property
    def for_callbacks(self) -> Any:
        """x if there is no context or mask, as skorch's callbacks expect, else the batch."""
        return self.x if self.context is None and self.mask is None else self

    def map(self, function: Callable[..., Any], *arguments: Any) -> Batch:
        """Apply ``function`` to each part that is not None."""
        return Batch(*[None if part is None else function(part, *arguments) for part in self])

    @property
    def parts(self) -> list[Any]:
        """The parts that are not None."""
        return [part for part in self if part is not None]

    def select(self, index: Tensor) -> Batch:
        """Return the rows of an index as tensors."""
        return self.map(select_rows, index)


@dataclass(frozen=True, eq=False)
class TableView:
    """Rows of a table as networks see them, with ``len`` and indexing as for a Tensor."""

    table: npt.NDArray[Any]  # of shape (n_samples, n_features)
    dtype: torch.dtype
    # Maps rows of the table to what networks see; each column is a monotone function of itself.
    transform: Callable[[FloatArray], FloatArray] = lambda X: X
    device: torch.device | None = None  # the CPU
    indices: npt.NDArray[np.intp] | None = None  # all rows

    def __len__(self) -> int:
        return len(self.table if self.indices is None else self.indices)

    def __getitem__(self, rows: Any) -> Tensor:
        X = self.transform(self.table[rows if self.indices is None else self.indices[rows]])
        return as_tensor(X).to(self.device, self.dtype)

    def subset(self, indices: npt.NDArray[np.intp]) -> TableView:
        """Return a view of these rows of the table."""
        return replace(self, indices=indices)

    @property
    def magnitudes(self) -> FloatArray:
        """Largest magnitude of a transformed value of each column of the table."""
        ends = np.stack(extremes(self.table, axis=0))
        magnitudes = np.abs(self.transform(ends))
        return np.where(np.isnan(ends), 0.0, magnitudes).max(axis=0)

    def load(self, device: str = "cpu") -> Tensor | TableView:
        """Return the rows as a tensor on ``device`` if they are few or need no copy, else the view.

        A GPU that has to wait for the rows of each batch idles for much of the time.
        """
        n_features = self.table.shape[1]
        are_few = len(self) * n_features * self.dtype.itemsize <= MAX_LOADED_BYTES
        row, flags = self.table[:1], self.table.flags
        is_unchanged = self.indices is None and self.transform(row) is row
        if is_unchanged and flags.c_contiguous and flags.writeable:  # as torch requires
            shared = torch.from_numpy(self.table)
            if shared.dtype == self.dtype:
                return shared.to(device) if are_few else shared
        if not are_few:
            return self
        rows = torch.empty((len(self), n_features), dtype=self.dtype)
        for block in row_blocks(len(self), n_features):
            rows[block] = self[block]
        return rows.to(device)


def select_rows(X: Tensor | TableView, index: Tensor) -> Tensor:
    """Return the rows of an index."""
    if isinstance(X, Tensor):
        return X.index_select(0, index.to(X.device))
    return X[index.numpy()]


def map_blocks(
    function: Callable[..., Tensor], *tables: Any, n_rows: int = EVALUATION_ROWS
) -> FloatArray:
    """Apply ``function`` to blocks of rows of the tables, and concatenate its values."""
    values: FloatArray | None = None
    with torch.no_grad():
        for start in range(0, len(tables[0]), n_rows):
            block = slice(start, start + n_rows)
            of_block = function(*(table[block] for table in tables)).cpu().numpy()
            # One array for all values, because many small tensors would fragment the heap.
            if values is None:
                values = np.empty((len(tables[0]), *of_block.shape[1:]), of_block.dtype)
            values[block] = of_block
    assert values is not None  # tables have rows
    return values


def row_blocks(n_rows: int, n_features: int) -> Iterator[slice]:
    """Slices that cut rows into blocks of about `BLOCK_VALUES`."""
    step = max(1, BLOCK_VALUES // n_features)
    return (slice(start, start + step) for start in range(0, n_rows, step))


def column_means(table: FloatArray) -> FloatArray:
    """Means of the observed cells of columns, NaN for a column without any.

    They do not depend on the order of the values in memory.
    """
    total, n_missing = np.zeros(table.shape[1]), np.zeros(table.shape[1])
    for block in row_blocks(*table.shape):
        rows = np.ascontiguousarray(table[block])
        if (missing := missing_cells(rows)) is not None:
            n_missing += missing.sum(axis=0)
            rows = np.where(missing, 0.0, rows)
        total += rows.sum(axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        return total / (len(table) - n_missing)


def fingerprint(table: npt.NDArray[Any]) -> str:
    """Shape, dtype and a digest of the values of a table."""
    digest = hashlib.blake2b(digest_size=16)
    for block in row_blocks(*table.shape):
        digest.update(np.ascontiguousarray(table[block]).data)
    n_rows, n_features = table.shape
    return f"{n_rows} x {n_features} {table.dtype} {digest.hexdigest()}"


def as_tensor(table: npt.NDArray[Any]) -> Tensor:
    """Tensor over the array's memory, or over a copy if torch cannot take it."""
    return torch.from_numpy(np.require(table, requirements=["C", "W"]))
