"""The data of a fit, in memory or on a cluster."""

from collections.abc import Callable
from typing import Any, Protocol

from .._validation import FloatArray
from .rows import Rows


class Source(Protocol):
    """Data to learn from: `Rows` in memory, or `DaskRows` in the blocks of a dask collection."""

    @property
    def n_features(self) -> int:
        """Number of columns of X."""

    @property
    def n_outputs(self) -> int:
        """Number of columns of Y."""

    def select(self, n_rows: int) -> Rows:
        """At most ``n_rows`` rows, evenly spaced, in memory."""

    def fit_basis(self, basis: Any) -> FloatArray:
        """Fit ``basis``, and return one row of X, at which it can be evaluated."""

    def reduce(self, function: Callable[..., Any], merge: Callable[..., Any], *args: Any) -> Any:
        """Call ``function(rows, *args)`` on every block of rows; merge results in order."""
