"""Rows of a table as networks see them: transformed and in their precision, but only when taken.

So a table may be larger than memory: of one that is mapped from a file nothing but a batch is
copied.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from .._validation import FloatArray
from ..likelihoods import Likelihood

BLOCK_VALUES = 2**22
"""Values of a block of rows that is worked on at a time."""
HELD_BYTES = 2**28
"""Size to which rows are standardised once and held, rather than batch by batch."""


@dataclass(frozen=True, eq=False)
class Rows:
    """A table's rows, for which ``len``, slices and `index_select` are as for a Tensor.

    Parameters
    ----------
    table : ndarray of shape (n_samples, n_features)
        Data.
    likelihood : Likelihood
        Fitted likelihood, which transforms the rows that are taken.
    dtype : torch.dtype
        Their precision.
    device : torch.device, default=None
        Where they are wanted; None is the CPU.
    chosen : ndarray of int, default=None
        Indices of the rows that count; None is all.
    """

    table: FloatArray
    likelihood: Likelihood
    dtype: torch.dtype
    device: torch.device | None = None
    chosen: npt.NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return len(self.table if self.chosen is None else self.chosen)

    def __getitem__(self, rows: Any) -> Tensor:
        X = self.table[rows if self.chosen is None else self.chosen[rows]]
        return as_tensor(self.likelihood.transform(X)).to(self.device, self.dtype)

    def index_select(self, dim: int, index: Tensor) -> Tensor:
        """The rows of an index."""
        return self[index.numpy()]

    def only(self, chosen: npt.NDArray[np.intp]) -> Rows:
        """These of the rows."""
        return replace(self, chosen=chosen)

    @property
    def as_they_are(self) -> bool:
        """True if rows are not transformed."""
        return type(self.likelihood).transform is Likelihood.transform

    @property
    def farthest(self) -> float:
        """The largest magnitude of a transformed value of the table."""
        ends = np.stack([self.table.min(axis=0), self.table.max(axis=0)])
        return float(np.abs(self.likelihood.transform(ends)).max())

    def held(self, device: str = "cpu") -> Tensor | Rows:
        """The rows on ``device`` if they are few, in memory if they are there already, else these.

        A GPU that had to wait for the rows of each batch would idle for much of the time.
        """
        n_features = self.table.shape[1]
        are_few = len(self) * n_features * self.dtype.itemsize <= HELD_BYTES
        shared = as_shared(self.table) if self.chosen is None and self.as_they_are else None
        if shared is not None and shared.dtype == self.dtype:
            return shared.to(device) if are_few else shared
        if not are_few:
            return self
        rows = torch.empty((len(self), n_features), dtype=self.dtype)
        for block in row_blocks(len(self), n_features):
            rows[block] = self[block]
        return rows.to(device)


def taken(X: Tensor | Rows, index: Tensor) -> Tensor:
    """The rows of an index, where X has them."""
    return X.index_select(0, index.to(X.device) if isinstance(X, Tensor) else index)


def row_blocks(n_rows: int, n_features: int) -> Iterator[slice]:
    """Slices that cut rows into blocks of about `BLOCK_VALUES`."""
    step = max(1, BLOCK_VALUES // n_features)
    return (slice(start, start + step) for start in range(0, n_rows, step))


def fingerprint(table: npt.NDArray[Any]) -> str:
    """What tells a table from others: dtype, shape and a digest of its values."""
    digest = hashlib.blake2b(digest_size=16)
    for block in row_blocks(*table.shape):
        digest.update(np.ascontiguousarray(table[block]).data)
    n_rows, n_features = table.shape
    return f"{n_rows} x {n_features} {table.dtype} {digest.hexdigest()}"


def as_shared(table: npt.NDArray[Any]) -> Tensor | None:
    """A tensor over the array's memory, if torch can take it."""
    fit = table.flags.c_contiguous and table.flags.writeable
    return torch.from_numpy(table) if fit else None


def as_tensor(table: npt.NDArray[Any]) -> Tensor:
    """A tensor over the array's memory, or over a copy if torch cannot take it."""
    return torch.from_numpy(np.require(table, requirements=["C", "W"]))
