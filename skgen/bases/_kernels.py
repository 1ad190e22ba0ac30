"""Kernels of Gaussian processes between given rows, as functions of the length scales."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from .._validation import FloatArray

MATERN_DF = {"matern32": 3, "matern52": 5}
"""Twice the smoothness of Matern kernels: degrees of freedom of their spectral densities."""

VJP = Callable[[FloatArray], FloatArray]
"""Vector-Jacobian product, from a gradient by a matrix to one by theta."""


@dataclass(frozen=True, eq=False)
class Kernel:
    """Sum of a stationary kernel of variance 1 and, optionally, a linear one, between given rows.

    Its parameters ``theta`` are the logarithms of one length scale per input and, if there is a
    linear kernel, of the prior standard deviation of its slopes.
    """

    inputs: FloatArray  # (n_rows, n_inputs)
    name: Literal["rbf", "matern32", "matern52"]
    lines: FloatArray | None = None  # (n_rows, n_lines), inputs of the linear kernel

    def at(self, theta: FloatArray) -> tuple[FloatArray, VJP]:
        """Return the kernel matrix, and a function from its symmetric gradient to that by theta."""
        n_inputs = self.inputs.shape[1]
        scaled = self.inputs / np.exp(theta[:n_inputs])
        products = scaled @ scaled.T
        norms = np.diag(products)
        matrix, by_square = _stationary(self.name, norms[:, None] + norms - 2 * products)
        if self.lines is None:
            return matrix, partial(_gradient_by_lengths, by_square, scaled)
        lines = self.lines * np.exp(theta[n_inputs])
        matrix += lines @ lines.T

        def vjp(gradient: FloatArray) -> FloatArray:
            by_slope = 2 * _quadratic(gradient, lines).sum()
            return np.append(_gradient_by_lengths(by_square, scaled, gradient), by_slope)

        return matrix, vjp


def _gradient_by_lengths(
    by_square: FloatArray, scaled: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return the gradient by the logarithms of the length scales."""
    shares = gradient * by_square
    return 4 * _quadratic(shares, scaled) - 4 * (shares.sum(axis=0) @ scaled**2)


def _stationary(name: str, squares: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the kernel at squared distances, and its derivative by these."""
    np.maximum(squares, 0.0, out=squares)
    np.fill_diagonal(squares, 0.0)
    if name == "rbf":
        values = np.exp(-0.5 * squares)
        return values, -0.5 * values
    distances = np.sqrt(MATERN_DF[name] * squares)
    decay = np.exp(-distances)
    if name == "matern32":
        return (1 + distances) * decay, -1.5 * decay
    return (1 + distances + distances**2 / 3) * decay, -5 / 6 * (1 + distances) * decay


def _quadratic(matrix: FloatArray, columns: FloatArray) -> FloatArray:
    """Return ``c' matrix c`` for each column c."""
    return np.einsum("id,id->d", columns, matrix @ columns)
