"""Functions that are zero at the rows of a fit, and let a trend turn beyond them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .._schema import Values, array, store
from .._validation import LARGEST, FloatArray


@store("Edges", parameters={"low": array("n"), "high": array("n")})
@dataclass(frozen=True, eq=False)
class Edges:
    """Ends of the range of each feature, and functions of the distances beyond them.

    Each end has a function ``(sum_k p_k d^2 / (l_k^2 + d^2))^(1/2)`` of the distance d beyond it,
    where the kernels have length scales l_k and shares p_k in the variance. With a weight of
    variance 1, its slope at the end has the variance of the slopes of the kernels' Gaussian
    process, and far away its variance tends to that of the process.
    """

    low: FloatArray  # (n_features,)
    high: FloatArray  # (n_features,)

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        return bool((values["low"] <= values["high"]).all())

    def functions(self, X: FloatArray, lengths: FloatArray, shares: FloatArray) -> FloatArray:
        """Return the functions at rows X, (n_samples, 2 n_features): those of low ends first.

        ``lengths`` (n_kernels, n_features) are the length scales in the units of X.
        """
        if self._contain(X):
            return np.zeros((len(X), 2 * len(self.low)))
        return np.sqrt(np.tensordot(shares, self._variances(X, lengths), axes=1))

    def vjp(
        self, X: FloatArray, lengths: FloatArray, shares: FloatArray, gradient: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return the gradients by the logarithms of length scales and of shares, given that by \
        the functions.

        Their shapes are (n_kernels, n_features) and (n_kernels,).
        """
        if self._contain(X):
            return np.zeros_like(lengths), np.zeros_like(shares)
        variances, values = self._variances(X, lengths), self.functions(X, lengths, shares)
        by_square = np.divide(0.5 * gradient, values, out=np.zeros_like(values), where=values > 0)
        by_end = -2 * np.einsum("k,if,kif->kf", shares, by_square, variances * (1 - variances))
        of_low, of_high = np.split(by_end, 2, axis=1)
        return of_low + of_high, shares * np.einsum("if,kif->k", by_square, variances)

    def to_onnx(
        self, graph: Callable[..., str], X: str, lengths: FloatArray, shares: FloatArray
    ) -> str:
        """Add ONNX nodes of `functions`."""
        distances = graph("Concat", graph("Sub", self.low, X), graph("Sub", X, self.high), axis=1)
        distances = graph("Min", graph("Max", distances, np.zeros(1)), np.array([LARGEST]))
        squares, total = graph("Mul", distances, distances), ""
        for share, squared_lengths in zip(shares, np.tile(lengths, 2) ** 2, strict=True):
            term = graph("Div", squares, graph("Add", squares, squared_lengths))
            term = graph("Mul", term, np.array([share]))
            total = graph("Add", total, term) if total else term
        return graph("Sqrt", total)

    def _contain(self, X: FloatArray) -> bool:
        """Return True if no row is beyond an end, so that all functions are zero.

        In a search this is so for all rows, and tables for each kernel need not be made.
        """
        return bool(((self.low <= X) & (self.high >= X)).all())

    def _variances(self, X: FloatArray, lengths: FloatArray) -> FloatArray:
        """Return ``d^2 / (l_k^2 + d^2)``, (n_kernels, n_samples, 2 n_features)."""
        distances = np.maximum(np.hstack([self.low - X, X - self.high]), 0.0)
        return np.asarray((distances / np.hypot(distances, np.tile(lengths, 2)[:, None])) ** 2)
