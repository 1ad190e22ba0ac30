"""Rows of data in memory."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import has_fit_parameter

from .._validation import FloatArray

SEARCH_ROWS = 4000
"""Number of rows that a search for basis parameters uses; the posterior uses all."""


@dataclass(eq=False)
class Rows:
    """Validated X (n_rows, n_features) and Y (n_rows, n_outputs), with weights and noise scales.

    One of the two implementations of `Source`.
    """

    X: FloatArray
    Y: FloatArray
    weights: FloatArray | None = None  # (n_rows,), sample weights: weight k counts as k rows
    noise_scale: FloatArray | None = None  # (n_rows,), relative standard deviations of the noise
    log_derivative: FloatArray | None = None  # (n_rows, n_outputs), log |dY / dy| of targets y

    def __len__(self) -> int:
        return len(self.X)

    @property
    def n_features(self) -> int:
        return int(self.X.shape[1])

    @property
    def n_outputs(self) -> int:
        return int(self.Y.shape[1])

    def __getitem__(self, index: Any) -> "Rows":
        columns = vars(self).values()
        some: Any = (None if column is None else column[index] for column in columns)
        return Rows(*some)

    def outputs(self, index: npt.NDArray[np.intp]) -> "Rows":
        """The rows with some of the outputs."""
        logs = self.log_derivative
        logs = None if logs is None else logs[:, index]
        return replace(self, Y=self.Y[:, index], log_derivative=logs)

    @property
    def varying_outputs(self) -> npt.NDArray[np.intp]:
        """Indices of the outputs that are not constant, or of all outputs if all are constant."""
        rounding = 4 * np.finfo(np.float64).eps * np.abs(self.Y).max(axis=0, initial=0.0)
        varies = np.ptp(self.Y, axis=0) > rounding if len(self) else np.ones(self.n_outputs, bool)
        return np.flatnonzero(varies | ~varies.any())

    @property
    def spreads(self) -> FloatArray:
        """Weighted standard deviations (n_outputs,) of the outputs; 1 for constant ones."""
        deviations = self.Y - np.average(self.Y, axis=0, weights=self.weights)
        variances = np.average(deviations**2, axis=0, weights=self.weights)
        rounding = 4 * np.finfo(np.float64).eps * np.abs(self.Y).max(axis=0, initial=0.0)
        return np.where(variances > rounding**2, np.sqrt(variances), 1.0)

    @property
    def weight(self) -> float:
        """Sum of the sample weights."""
        return float(len(self.X) if self.weights is None else self.weights.sum())

    @property
    def precision_weights(self) -> FloatArray:
        """Factors of the noise precision in the likelihood: weights over squared noise scales."""
        weights = np.ones(len(self)) if self.weights is None else self.weights
        return weights / self.noise_variance

    @property
    def noise_variance(self) -> FloatArray:
        """Squared noise scale of each row."""
        return np.ones(len(self)) if self.noise_scale is None else self.noise_scale**2

    @property
    def log_jacobian(self) -> FloatArray:
        """Weighted sums (n_outputs,) of log |d (Y / noise_scale) / dy| for given targets y."""
        logs = np.zeros(self.Y.shape)
        if self.log_derivative is not None:
            logs += self.log_derivative
        if self.noise_scale is not None:
            logs -= np.log(self.noise_scale)[:, None]
        return np.asarray(logs.sum(axis=0) if self.weights is None else self.weights @ logs)

    def scale_by_root_weights(self, table: FloatArray) -> FloatArray:
        """Multiply the rows of ``table`` by the roots of `precision_weights`, in place."""
        if self.weights is not None:
            table *= np.sqrt(self.weights)[:, None]
        if self.noise_scale is not None:
            table /= self.noise_scale[:, None]
        return table

    def discount_by_age(self, forgetting: float) -> "Rows":
        """Rows with weights that are multiplied by ``forgetting`` once for every later row."""
        if forgetting == 1:
            return self
        weights = np.power(forgetting, np.arange(len(self))[::-1])
        return replace(self, weights=weights if self.weights is None else weights * self.weights)

    def select(self, n_rows: int) -> "Rows":
        """At most ``n_rows`` rows, evenly spaced."""
        return self if len(self) <= n_rows else self[evenly_spaced_indices(len(self), n_rows)]

    def fit_basis(self, basis: Any) -> FloatArray:
        """Fit ``basis``; return one row of X to evaluate it on."""
        y = self.Y[:, 0] if self.n_outputs == 1 else self.Y
        is_weighted = self.weights is not None and has_fit_parameter(basis, "sample_weight")
        basis.fit(self.X, y, **({"sample_weight": self.weights} if is_weighted else {}))
        return self.X[:1]

    def reduce(self, function: Callable[..., Any], merge: Callable[..., Any], *args: Any) -> Any:
        """Call ``function(self, *args)``: rows in memory are one block, with nothing to merge."""
        return function(self, *args)


def evenly_spaced_indices(n_rows: int, n_most: int) -> npt.NDArray[np.intp]:
    """Indices of at most ``n_most`` of ``n_rows`` rows, the first and the last among them."""
    return np.linspace(0, n_rows - 1, min(n_rows, n_most)).astype(np.intp)


def check_not_empty(n_rows: int) -> None:
    """Raise if there are no rows."""
    if not n_rows:
        raise ValueError(
            "`X` must have rows of positive `sample_weight`; got none in any block. Give some."
        )
