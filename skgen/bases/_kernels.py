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
"""Vector-Jacobian product: from a gradient w.r.t. a matrix to one w.r.t. theta."""


@dataclass(frozen=True, eq=False)
class Lengths:
    """Length scales of inputs, some of which may share one."""

    of_input: npt.NDArray[np.intp]  # (n_inputs,), index of the length scale of each input

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

    def sum_rows(self, by_input: FloatArray) -> FloatArray:
        """Return sums over the inputs, on the first axis, of each length scale."""
        total = np.zeros((self.number, *by_input.shape[1:]))
        np.add.at(total, self.of_input, by_input)
        return total


@dataclass(frozen=True, eq=False)
class KernelParameters:
    """Parameters of a sum of one or two kernels, as their vector theta holds them.

    These are the logarithms of the length scales of each kernel, the log odds of the first of two
    kernels in the variance, and others: the logarithms of the prior standard deviation of the
    slopes, if there is a linear kernel, and of the scale mixture of a rational quadratic kernel.
    """

    log_lengths: FloatArray  # (n_kernels, n_lengths)
    log_odds: FloatArray  # (n_kernels - 1,)
    others: FloatArray

    @classmethod
    def of(cls, theta: FloatArray, n_lengths: int, n_others: int) -> KernelParameters:
        """Split theta, whose size tells the number of kernels."""
        n_kernels = 1 + (len(theta) > n_lengths + n_others)
        lengths, log_odds, others = np.split(theta, [n_kernels * n_lengths, len(theta) - n_others])
        return cls(lengths.reshape(n_kernels, n_lengths), log_odds, others)

    @property
    def shares(self) -> FloatArray:
        """Shares of the kernels in the variance, (n_kernels,)."""
        return np.asarray(softmax(np.append(self.log_odds, 0.0)))

    def join(self) -> FloatArray:
        """Return theta."""
        return np.hstack([self.log_lengths.ravel(), self.log_odds, self.others])


@dataclass(frozen=True, eq=False)
class KernelSum:
    """Sum of stationary kernels of one name, of variance 1 in all, at any rows."""

    name: KernelName
    lengths: FloatArray  # (n_kernels, n_inputs), length scales
    shares: FloatArray  # (n_kernels,), in the variance
    mixture: float = 0.0  # of the rational quadratic kernel

    def between(self, x: FloatArray, points: FloatArray) -> FloatArray:
        """Return the kernel between rows x and points, (n_rows, n_points)."""
        matrix = np.zeros((len(x), len(points)))
        for share, lengths in zip(self.shares, self.lengths, strict=True):
            x_k, points_k = x / lengths, points / lengths
            squares: Any = -2 * x_k @ points_k.T
            squares += (x_k**2).sum(axis=1)[:, None]
            squares += (points_k**2).sum(axis=1)
            np.maximum(squares, 0.0, out=squares)
            matrix += share * stationary(self.name, squares, self.mixture).values
        return matrix

    def to_onnx(self, graph: Callable[..., str], x: str, points: FloatArray) -> str:
        """Add ONNX nodes of `between`."""
        total = ""
        for share, lengths in zip(self.shares, self.lengths, strict=True):
            x_k, points_k = graph("Div", x, lengths), points / lengths
            norms = graph("ReduceSum", graph("Mul", x_k, x_k), np.array([1]), keepdims=1)
            products = graph("MatMul", x_k, 2 * points_k.T)
            squares = graph("Add", graph("Sub", norms, products), (points_k**2).sum(axis=1))
            squares = graph("Max", squares, np.zeros(1))
            values = _stationary_to_onnx(graph, self.name, squares, self.mixture)
            term = graph("Mul", values, np.array([share]))
            total = graph("Add", total, term) if total else term
        return total


@dataclass(frozen=True, eq=False)
class Kernel:
    """Sum of stationary kernels of variance 1 and, optionally, a linear one, between given rows.

    Its parameters are `KernelParameters`. The linear kernel has the length scales of the first.
    """

    inputs: FloatArray  # (n_rows, n_inputs)
    name: KernelName
    lines: FloatArray | None = None  # (n_rows, n_inputs), those of the linear kernel
    lengths: Lengths | None = None  # None is one for each input

    def at(self, theta: FloatArray) -> tuple[FloatArray, VJP]:
        """Return the kernel matrix, and a function from its symmetric gradient to that of theta.

        The caller may change the matrix in place.
        """
        terms = self.terms(theta)
        return terms.matrix(), terms.vjp

    def terms(self, theta: FloatArray) -> KernelTerms:
        """Return the terms of the kernel matrix, from which it and its derivatives follow."""
        lengths = self.lengths or Lengths(np.arange(self.inputs.shape[1]))
        has_mixture = self.name == "rational_quadratic"
        n_others = (self.lines is not None) + has_mixture
        p = KernelParameters.of(theta, lengths.number, n_others)
        mixture = float(np.exp(p.others[-1])) if has_mixture else 0.0
        scaled = [self.inputs / np.exp(row)[lengths.of_input] for row in p.log_lengths]
        values = [stationary(self.name, _square_distances(table), mixture) for table in scaled]
        lines = None
        if self.lines is not None:
            shares = relevance_shares(p.log_lengths[0])
            slopes = np.exp(p.others[0]) * np.sqrt(shares * len(shares))
            lines = self.lines * slopes[lengths.of_input]
        return KernelTerms(p, lengths, scaled, values, lines)


@dataclass(frozen=True, eq=False)
class KernelTerms:
    """Terms of a kernel matrix at given parameters."""

    p: KernelParameters
    lengths: Lengths
    scaled: list[FloatArray]  # of each kernel the inputs in units of its length scales
    values: list[Stationary]
    lines: FloatArray | None  # (n_rows, n_inputs), times prior standard deviations of the slopes

    def matrix(self) -> FloatArray:
        """Return the kernel matrix, which may be changed."""
        n_rows, lines = len(self.scaled[0]), self.lines
        matrix = np.zeros((n_rows, n_rows)) if lines is None else lines @ lines.T
        for share, values in zip(self.p.shares, self.values, strict=True):
            matrix += values.values if share == 1.0 else share * values.values
        return matrix

    def vjp(self, gradient: FloatArray) -> FloatArray:
        """Return the gradient w.r.t. theta, given a symmetric one w.r.t. the matrix."""
        products = [np.vdot(gradient, values.values) for values in self.values]
        by_mixture = [np.vdot(gradient, values.by_log_mixture()) for values in self._mixtures]
        by_length = [
            _gradient_by_lengths(values.by_square(), scaled, gradient)
            for scaled, values in zip(self.scaled, self.values, strict=True)
        ]
        by_line = None if self.lines is None else 2 * _quadratic(gradient, self.lines)
        return self._join(by_length, products, by_line, by_mixture)

    @property
    def powers(self) -> FloatArray:
        """Ratio of second to first derivative of the matrix, about, for each entry of theta.

        An entry that enters the matrix by a factor ``exp(k theta)`` alone has the ratio k.
        """
        others = [2.0] * (self.lines is not None) + [0.0] * bool(self._mixtures)
        p = self.p
        log_odds = np.zeros_like(p.log_odds)
        return KernelParameters(
            np.full_like(p.log_lengths, -2.0), log_odds, np.array(others)
        ).join()

    def derivatives(self, weights: FloatArray) -> FloatArray:
        """Return derivatives of ``matrix @ weights`` w.r.t. theta, (n_theta, n_rows, n_outputs)."""
        products = [values.values @ weights for values in self.values]
        by_mixture = [values.by_log_mixture() @ weights for values in self._mixtures]
        by_length = [
            _products_by_lengths(values.by_square(), scaled, weights)
            for scaled, values in zip(self.scaled, self.values, strict=True)
        ]
        by_line = None
        if self.lines is not None:
            by_line = 2 * self.lines.T[:, :, None] * (self.lines.T @ weights)[:, None]
        return self._join(by_length, products, by_line, by_mixture)

    @property
    def _mixtures(self) -> list[Stationary]:
        """Kernels that depend on a scale mixture."""
        has_mixture = len(self.p.others) > (self.lines is not None)
        return self.values if has_mixture else []

    def _join(
        self, by_length: list[FloatArray], products: list[Any], by_line: Any, by_mixture: list[Any]
    ) -> FloatArray:
        """Return derivatives of a linear function of the matrix w.r.t. theta, on the first axis.

        Given are its derivatives w.r.t. the length scales of each kernel's inputs, the logarithms
        of lines, and the scale mixture. ``products`` are the values of the function at each kernel.
        """
        shares, sums = self.p.shares, self.lengths.sum_rows
        parts = [
            share * sums(np.asarray(table)) for share, table in zip(shares, by_length, strict=True)
        ]
        if len(products) == 2:
            parts.append(shares.prod() * np.asarray(products[0] - products[1])[None])
        if by_line is not None:
            by_group = sums(np.asarray(by_line))
            total = by_group.sum(axis=0)
            relevance = relevance_shares(self.p.log_lengths[0])
            parts[0] = parts[0] + np.multiply.outer(relevance, total) - by_group
            parts.append(total[None])
        if by_mixture:
            parts.append(
                sum(s * np.asarray(t) for s, t in zip(shares, by_mixture, strict=True))[None]
            )
        return np.concatenate(parts)


def _square_distances(scaled: FloatArray) -> FloatArray:
    """Return squared distances between rows, (n_rows, n_rows)."""
    products = scaled @ scaled.T
    norms = np.diag(products).copy()
    squares: FloatArray = norms[:, None] + norms
    products *= 2
    squares -= products
    np.maximum(squares, 0.0, out=squares)
    np.fill_diagonal(squares, 0.0)
    return squares


def relevance_shares(log_lengths: FloatArray) -> FloatArray:
    """Return inverse squared length scales, divided by their sum."""
    return np.asarray(softmax(-2 * log_lengths))


@dataclass(frozen=True, eq=False)
class Stationary:
    """Values of a stationary kernel at squared distances.

    Because the derivatives are large, they are computed only when they are needed. The caller may
    change them in place.
    """

    values: FloatArray
    by_square: Callable[[], FloatArray]
    by_log_mixture: Callable[[], FloatArray] = lambda: np.zeros(0)
    """Derivatives with respect to the logarithm of the scale mixture."""


def _gradient_by_lengths(
    by_square: FloatArray, scaled: FloatArray, gradient: FloatArray
) -> FloatArray:
    """Return the gradient w.r.t. logarithms of length scales; ``by_square`` is overwritten."""
    by_square *= gradient  # in place
    return 4 * _quadratic(by_square, scaled) - 4 * (by_square.sum(axis=0) @ scaled**2)


def _products_by_lengths(
    by_square: FloatArray, scaled: FloatArray, weights: FloatArray
) -> FloatArray:
    """Return derivatives of ``kernel @ weights``, shape (n_inputs, n_rows, n_outputs).

    They are with respect to the logarithms of the length scales.
    """
    n_rows, n_inputs = scaled.shape
    x = scaled.T[:, :, None]
    right = np.concatenate([weights[None], x * weights, x**2 * weights])
    products = by_square @ np.moveaxis(right, 1, 0).reshape(n_rows, -1)
    flat, first, second = np.split(
        np.moveaxis(products.reshape(n_rows, -1, weights.shape[1]), 1, 0), [1, 1 + n_inputs]
    )
    return np.asarray(-2 * (x**2 * flat - 2 * x * first + second))


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


def _stationary_to_onnx(
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
