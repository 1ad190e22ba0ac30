"""Random waves, completed by functions that make their kernel exact at given points."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from .._validation import FloatArray
from ._kernels import KernelName, stationary, stationary_to_onnx

JITTER = 1e-9  # added to the variances at the points, 1, which leaves the rest to the waves


@dataclass(frozen=True, eq=False)
class InducingPoints:
    """Points at which a stationary kernel is exact, beside waves that approximate it elsewhere.

    The functions ``L^-1 k(points, x)``, with ``L L' = k(points, points)``, are those of the
    Gaussian process given its values at the points. Of the waves, what these functions predict from
    their values at the points is taken away; the rest is 0 there (Wilson et al., Efficiently
    sampling functions from Gaussian process posteriors, ICML 2020). The sum of both has the
    variance of the kernel in expectation everywhere, and its values exactly at the points.
    """

    points: FloatArray  # (n_points, n_inputs), in units of the length scales
    waves: FloatArray  # (n_points, n_waves), at the points
    kernel: KernelName
    mixture: float  # of the rational quadratic kernel

    @cached_property
    def root(self) -> FloatArray:
        """Lower Cholesky factor of the kernel matrix between the points, (n_points, n_points)."""
        matrix = self._kernel(self.points)
        matrix[np.diag_indices_from(matrix)] += JITTER
        return np.asarray(cholesky(matrix, lower=True, overwrite_a=True))

    @cached_property
    def weights(self) -> FloatArray:
        """Weights of the functions that give the waves at the points, (n_points, n_waves)."""
        return self._solve(self.waves)

    def write(self, x: FloatArray, waves: FloatArray, out: FloatArray) -> None:
        """Write the functions at x into ``out``, and take what they predict out of ``waves``."""
        out[...] = self._solve(self._kernel(x).T).T
        waves -= out @ self.weights

    def multiply(self, x: FloatArray, by_waves: FloatArray, by_values: FloatArray) -> FloatArray:
        """Return the change of ``waves @ by_waves`` at x plus ``values @ by_values`` of `write`."""
        weights = by_values - self._solve(self.waves @ by_waves)
        return np.asarray(self._kernel(x) @ self._solve(weights, trans=True))

    def vjp(
        self, values: FloatArray, by_waves: FloatArray, by_values: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Return gradients by the kernel between rows and points, stacked, and by `waves`.

        ``values`` are those of the functions at the rows; ``by_waves`` and ``by_values`` are the
        gradients by what `write` gives.
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
        norms = graph("ReduceSum", graph("Mul", x, x), np.array([1]), keepdims=1)
        products = graph("MatMul", x, 2 * self.points.T)
        squares = graph("Add", graph("Sub", norms, products), (self.points**2).sum(axis=1))
        squares = graph("Max", squares, np.zeros(1))
        kernel = stationary_to_onnx(graph, self.kernel, squares, self.mixture)
        functions = graph("MatMul", kernel, self._solve(np.eye(len(self.points))).T)
        return graph("Sub", waves, graph("MatMul", functions, self.weights)), functions

    def _kernel(self, x: FloatArray) -> FloatArray:
        """Return the kernel between rows x and the points, (n_rows, n_points)."""
        squares: Any = -2 * x @ self.points.T
        squares += (x**2).sum(axis=1)[:, None]
        squares += (self.points**2).sum(axis=1)
        np.maximum(squares, 0.0, out=squares)
        return stationary(self.kernel, squares, self.mixture).values

    def _solve(self, right: FloatArray, trans: bool = False) -> FloatArray:
        """Return the solution of a system with the root, or with its transpose."""
        return np.asarray(solve_triangular(self.root, right, lower=True, trans=1 if trans else 0))
