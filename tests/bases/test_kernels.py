"""Kernels: matrices compared with scikit-learn's, gradients with finite differences."""

import numpy as np
import pytest
from conftest import assert_digits
from learnable import slopes
from sklearn.gaussian_process.kernels import (
    RBF,
    ConstantKernel,
    DotProduct,
    Matern,
    RationalQuadratic,
)

from skgen.bases._kernels import Kernel, KernelSum, Lengths

PEERS = {
    "rbf": lambda lengths: RBF(lengths),
    "matern32": lambda lengths: Matern(lengths, nu=1.5),
    "matern52": lambda lengths: Matern(lengths, nu=2.5),
}
SLOPE = 0.7


def peer(name, theta, inputs):
    """The kernel matrix by scikit-learn, which has no rational quadratic of several lengths."""
    if name == "rational_quadratic":
        return RationalQuadratic(1.0, np.exp(theta[-1]))(inputs / np.exp(theta[:4]))
    return PEERS[name](np.exp(theta[:4]))(inputs)


def parameters(name, theta, is_linear):
    """The part of ``theta`` that a kernel has."""
    mixture = theta[-1:] if name == "rational_quadratic" else []
    return np.hstack([theta[:4], theta[4:5] if is_linear else [], mixture])


def slope_factors(theta):
    """Inverse length scales over the root of their mean square."""
    inverse = np.exp(-theta[:4])
    return inverse / np.sqrt(np.mean(inverse**2))


NAMES = [*PEERS, "rational_quadratic"]


@pytest.fixture
def inputs(rng):
    """Rows, two of them in one place."""
    rows = rng.normal(size=(30, 4))
    rows[7] = rows[3]
    return rows


@pytest.fixture
def theta(rng):
    return np.append(rng.normal(0.5, scale=0.5, size=4), [np.log(SLOPE), np.log(0.6)])


@pytest.mark.parametrize("is_linear", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_matrix_is_that_of_scikit_learn(name, is_linear, inputs, theta):
    theta = parameters(name, theta, is_linear)
    expected = peer(name, theta, inputs)
    lines = np.roll(inputs, 1, axis=0) if is_linear else None
    if is_linear:
        expected += (ConstantKernel(SLOPE**2) * DotProduct(0.0))(lines * slope_factors(theta))
    matrix, _ = Kernel(inputs, name, lines).at(theta)
    assert_digits(matrix, expected, 13)
    assert np.array_equal(matrix, matrix.T)
    if not is_linear:
        assert np.all(np.diag(matrix) == 1)


@pytest.mark.parametrize("is_linear", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_differences(name, is_linear, inputs, theta, rng):
    lines = np.roll(inputs, 1, axis=0) if is_linear else None
    kernel, theta = Kernel(inputs, name, lines), parameters(name, theta, is_linear)
    share = rng.normal(size=(30, 30))
    share += share.T
    _, vjp = kernel.at(theta)
    expected = slopes(lambda position: float((share * kernel.at(position)[0]).sum()), theta)
    assert_digits(vjp(share), expected, 9)


def test_two_kernels_add_up_by_their_shares(inputs, theta, rng):
    second, odds = rng.normal(size=4), 0.8
    both = np.hstack([theta[:4], second, odds])
    share = 1 / (1 + np.exp(-odds))
    expected = share * RBF(np.exp(theta[:4]))(inputs) + (1 - share) * RBF(np.exp(second))(inputs)
    assert_digits(Kernel(inputs, "rbf").at(both)[0], expected, 13)
    terms = KernelSum("rbf", np.exp([theta[:4], second]), np.array([share, 1 - share]))
    assert_digits(terms.between(inputs[:5], inputs), expected[:5], 13)


@pytest.mark.parametrize("n_kernels", [1, 2])
@pytest.mark.parametrize("is_linear", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_derivatives_of_products_are_those_of_differences(
    name, is_linear, n_kernels, inputs, theta, rng
):
    """Their inner products with other weights are the gradient of a sum over the matrix, too."""
    lengths = Lengths(np.array([0, 0, 1, 2]))  # two inputs share one
    kernel = Kernel(inputs, name, inputs if is_linear else None, lengths)
    others = parameters(name, theta, is_linear)[4:]
    position = np.hstack([theta[:3], [1.0, 0.5, -0.3, 0.8] if n_kernels == 2 else [], others])
    weights, left = rng.normal(size=(2, 30, 2))
    found = kernel.terms(position).derivatives(weights)
    expected = slopes(lambda at: float(np.vdot(left, kernel.at(at)[0] @ weights)), position)
    assert_digits(np.einsum("pnk,nk->p", found, left), expected, 8)
    both = left @ weights.T
    assert_digits(kernel.at(position)[1](0.5 * (both + both.T)), expected, 8)


@pytest.mark.parametrize("name", NAMES)
def test_extreme_length_scales_give_finite_values(name, inputs):
    for log_length in (-300.0, 300.0):
        theta = parameters(name, np.append(np.full(4, log_length), [-300.0, 0.0]), True)
        matrix, vjp = Kernel(inputs, name, inputs).at(theta)
        assert np.isfinite(matrix[3, 7])
        if log_length > 0:
            np.testing.assert_allclose(matrix, 1.0, rtol=0, atol=1e-12)
            np.testing.assert_allclose(vjp(np.ones((30, 30))), 0.0, atol=1e-12)
