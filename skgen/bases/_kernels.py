"""Kernels of Gaussian processes between given rows, as functions of the length scales."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from .._validation import FloatArray

MATERN_DF = {"matern32": 3, "matern52": 5}
"""Twice the smoothness of Matern kernels: degrees of freedom of their spectral densities."""

KernelName = Literal["rbf", "matern32", "matern52", "rational_quadratic"]

VJP = Callable[[FloatArray], FloatArray]
"""Vector-Jacobian product, from a gradient by a matrix to one by theta."""


@dataclass(frozen=True, eq=False)
class Lengths:
    """Length scales of inputs, some of which may share one."""

    of_input: npt.NDArray[np.intp]  # (n_inputs,), the number of the length scale of each

    @property
    def number(self) -> int:
        """Number of length scales."""
        return int(self.of_input.max()) + 1

    @property
    def first(self) -> npt.NDArray[np.intp]:
        """First input of each length scale."""
        return np.unique(self.of_input, return_index=True)[1]

    def sum(self, by_input: FloatArray) -> FloatArray:
        """Return sums over the inputs of each length scale."""
        return np.bincount(self.of_input, by_input).astype(np.float64, copy=False)


@dataclass(frozen=True, eq=False)
class Kernel:
    """Sum of a stationary kernel of variance 1 and, optionally, a linear one, between given rows.

    Its parameters ``theta`` are the logarithms of the length scales, which both kernels share, of
    the prior standard deviation of the slopes if there is a linear kernel, and of the scale mixture
    of the rational quadratic kernel.
    """

    inputs: FloatArray  # (n_rows, n_inputs)
    name: KernelName
    lines: FloatArray | None = None  # (n_rows, n_inputs), those of the linear kernel
    lengths: Lengths | None = None  # None is one for each input

    def at(self, theta: FloatArray) -> tuple[FloatArray, VJP]:
        """Return the kernel matrix, and a function from its symmetric gradient to that by theta.

        The caller may change the matrix in place.
        """
        lengths = self.lengths or Lengths(np.arange(self.inputs.shape[1]))
        log_lengths, of = theta[: lengths.number], lengths.of_input
        scaled = self.inputs / np.exp(log_lengths)[of]
        products = scaled @ scaled.T
        norms = np.diag(products).copy()
        squares = norms[:, None] + norms
        products *= 2
        squares -= products
        del products  # one of these may take 100 MB
        np.maximum(squares, 0.0, out=squares)
        np.fill_diagonal(squares, 0.0)
        mixture = float(np.exp(theta[-1])) if self.name == "rational_quadratic" else 0.0
        found = stationary(self.name, squares, mixture)
        lines = None
        if self.lines is not None:
            shares = relevance_shares(log_lengths)
            slopes = np.exp(theta[len(shares)]) * np.sqrt(shares * len(shares))
            lines = self.lines * slopes[of]
        matrix = np.zeros_like(squares) if lines is None else lines @ lines.T
        matrix += found.values

        def vjp(gradient: FloatArray) -> FloatArray:
            by_length = _gradient_by_lengths(found.by_square(), scaled, gradient)
            parts: list[Any] = [lengths.sum(by_length)]
            if lines is not None:
                by_line = lengths.sum(2 * _quadratic(gradient, lines))
                parts = [parts[0] + shares * by_line.sum() - by_line, by_line.sum()]
            if mixture:
                parts.append(np.vdot(gradient, found.by_log_mixture()))
            return np.hstack(parts)

        return matrix, vjp


def relevance_shares(log_lengths: FloatArray) -> FloatArray:
    """Return inverse squared length scales, divided by their sum."""
    return np.asarray(softmax(-2 * log_lengths))


@dataclass(frozen=True, eq=False)
class Stationary:
    """Values of a stationary kernel at squared distances.

    The derivatives are computed when they are needed, because they are large, and may be changed.
    """

    values: FloatArray
    by_square: Callable[[], FloatArray]
    by_log_mixture: Callable[[], FloatArray] = lambda: np.zeros(0)
    """Derivatives by the logarithm of the scale mixture."""


def _gradient_by_lengths(
    by_square: FloatArray, scaled: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return the gradient by the logarithms of the length scales; ``by_square`` is overwritten."""
    by_square *= gradient  # in place
    return 4 * _quadratic(by_square, scaled) - 4 * (by_square.sum(axis=0) @ scaled**2)


def stationary(name: KernelName, squares: FloatArray, mixture: float) -> Stationary:
    """Return the kernel at squared distances, which may be overwritten, with its derivatives."""
    if name == "rbf":
        squares *= -0.5
        values = np.exp(squares, out=squares)
        return Stationary(values, lambda: -0.5 * values)
    if name == "rational_quadratic":
        log_base = np.log1p(squares * (0.5 / mixture))
        values = np.exp(-mixture * log_base)

        def by_square() -> FloatArray:
            return np.asarray(-0.5 * values / (1 + squares * (0.5 / mixture)))

        return Stationary(
            values, by_square, lambda: -mixture * log_base * values - squares * by_square()
        )
    distances = np.sqrt(MATERN_DF[name] * squares)
    decay = np.exp(-distances)
    if name == "matern32":
        return Stationary((1 + distances) * decay, lambda: -1.5 * decay)
    return Stationary(
        (1 + distances + distances**2 / 3) * decay, lambda: -5 / 6 * (1 + distances) * decay
    )


def stationary_to_onnx(
    graph: Callable[..., str], name: KernelName, squares: str, mixture: float
) -> str:
    """Add ONNX nodes of a stationary kernel at squared distances."""
    if name == "rbf":
        return graph("Exp", graph("Mul", squares, np.array([-0.5])))
    if name == "rational_quadratic":
        base = graph("Add", graph("Mul", squares, np.array([0.5 / mixture])), np.ones(1))
        return graph("Exp", graph("Mul", graph("Log", base), np.array([-mixture])))
    distances = graph("Sqrt", graph("Mul", squares, np.array([float(MATERN_DF[name])])))
    factor = graph("Add", distances, np.ones(1))
    if name == "matern52":
        square = graph("Mul", graph("Mul", distances, distances), np.array([1 / 3]))
        factor = graph("Add", factor, square)
    return graph("Mul", factor, graph("Exp", graph("Neg", distances)))


def _quadratic(matrix: FloatArray, columns: FloatArray) -> FloatArray:
    """Return ``c' matrix c`` for each column c."""
    return np.einsum("id,id->d", columns, matrix @ columns)
