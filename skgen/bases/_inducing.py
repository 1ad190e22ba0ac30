"""Random waves, completed by functions that make their kernel exact at given points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from .._validation import FloatArray
from ._kernels import KernelSum

JITTER = 1e-9  # added to the variances at the points, 1, which leaves the rest to the waves


@dataclass(frozen=True, eq=False)
class InducingPoints:
    """Points at which a stationary kernel is exact, beside waves that approximate it elsewhere.

    The functions ``L^-1 k(points, x)``, with ``L L' = k(points, points)``, are those of the
    Gaussian process given its values at the points. What these functions predict of the waves, from
    the values of the waves at the points, is subtracted; the rest of the waves is 0 there (Wilson
    et al., Efficiently sampling functions from Gaussian process posteriors, ICML 2020). The sum of
    both has the variance of the kernel in expectation everywhere, and its values exactly at the
    points.
    """

    points: FloatArray  # (n_points, n_inputs)
    waves: FloatArray  # (n_points, n_waves), at the points
    kernel: KernelSum

    @cached_property
    def root(self) -> FloatArray:
        """Lower Cholesky factor of the kernel matrix between the points, (n_points, n_points)."""
        matrix = self.kernel.between(self.points, self.points)
        matrix[np.diag_indices_from(matrix)] += JITTER
        return np.asarray(cholesky(matrix, lower=True, overwrite_a=True))

    @cached_property
    def weights(self) -> FloatArray:
        """Weights of the functions that give the waves at the points, (n_points, n_waves)."""
        return self._solve(self.waves)

    def write(self, x: FloatArray, waves: FloatArray, out: FloatArray) -> None:
        """Write the functions at x into ``out``, and subtract what they predict from ``waves``."""
        out[...] = self._solve(self.kernel.between(x, self.points).T).T
        waves -= out @ self.weights

    def vjp(
        self, values: FloatArray, by_waves: FloatArray, by_values: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return gradients w.r.t. the kernel between rows and points, stacked, and `waves`.

        ``values`` are the values of the functions at the rows. ``by_waves`` and ``by_values`` are
        the gradients with respect to the results of `write`.
        """
        by_values = by_values - by_waves @ self.weights.T
        by_points = self._solve(-values.T @ by_waves, trans=True)
        by_cross = self._solve(by_values.T, trans=True)  # transposed
        by_root = -by_points @ self.weights.T - by_cross @ values
        lower = np.tril(self.root.T @ by_root)
        lower[np.diag_indices_from(lower)] *= 0.5
        by_matrix = self._solve(self._solve(lower + lower.T, trans=True).T, trans=True)
        n_rows = len(values)
        by_kernel = np.zeros((n_rows + len(self.points),) * 2)
        by_kernel[n_rows:, n_rows:] = 0.5 * by_matrix
        by_kernel[n_rows:, :n_rows] = 0.5 * by_cross
        by_kernel[:n_rows, n_rows:] = 0.5 * by_cross.T
        return by_kernel, by_points

    def to_onnx(self, graph: Callable[..., str], x: str, waves: str) -> tuple[str, str]:
        """Add ONNX nodes of `write`: the waves, and the functions."""
        kernel = self.kernel.to_onnx(graph, x, self.points)
        functions = graph("MatMul", kernel, self._solve(np.eye(len(self.points))).T)
        return graph("Sub", waves, graph("MatMul", functions, self.weights)), functions

    def _solve(self, right: FloatArray, trans: bool = False) -> FloatArray:
        """Return the solution of a system with the root, or with its transpose."""
        return np.asarray(solve_triangular(self.root, right, lower=True, trans=1 if trans else 0))
