"""Newton's method with approximate second derivatives, and the information that it uses."""

import numpy as np
import pytest
from scipy.optimize import minimize, rosen, rosen_der

from skgen import BayesianBasisRegressor, FourierBasis
from skgen._regression.design import Design
from skgen._regression.marginal_likelihood import KernelObjective
from skgen._regression.newton import Point, minimize_by_newton
from skgen._regression.rows import Rows

# -- the search -----------------------------------------------------------------------------------


def rosenbrock(x):
    """Rosenbrock's function, with the part of its second derivatives that is never negative."""
    jacobian = np.array([[1.0, 0.0], [-20 * x[0], 10.0]])
    return Point(rosen(x), rosen_der(x), 2 * jacobian.T @ jacobian)


@pytest.mark.parametrize("start", [(-1.2, 1.0), (2.0, 2.0), (0.0, -1.5)])
def test_it_finds_the_minimum_between_limits(start):
    for low, high in (((-2, -2), (2, 2)), ((-2, -2), (0.5, 2)), ((-2, -2), (0.5, 0.1))):
        low, high, x = np.array(low, float), np.array(high, float), np.minimum(start, high)
        found = minimize_by_newton(rosenbrock, x, low, high, 1e-12, 200)
        expected = minimize(rosen, x, jac=rosen_der, bounds=list(zip(low, high, strict=True)))
        assert np.all((low <= found) & (found <= high))
        np.testing.assert_allclose(found, expected.x, atol=1e-4)


def test_wrong_second_derivatives_cost_steps_and_not_the_minimum():
    """Steps that lose are damped, and steps that gain correct the curvature."""
    matrix = np.diag([1.0, 10.0, 100.0])
    wide = np.full(3, 50.0)
    for factor in (0.1, 1.0, 10.0):
        n_calls = []

        def bowl(x, factor=factor, n_calls=n_calls):
            n_calls.append(x)
            return Point(0.5 * x @ matrix @ x, matrix @ x, factor * matrix)

        found = minimize_by_newton(bowl, np.array([3.0, -2.0, 1.0]), -wide, wide, 1e-12, 100)
        assert np.abs(found).max() < 1e-5
        assert len(n_calls) < 40


def test_a_function_that_cannot_be_computed_everywhere_has_a_minimum_elsewhere():
    def wall(x):
        if x[0] < -1:
            return Point(1e100, np.zeros(1), np.zeros((1, 1)))
        return Point(float((x[0] + 0.9) ** 4), 4 * (x + 0.9) ** 3, 12 * (x[:, None] + 0.9) ** 2)

    found = minimize_by_newton(wall, np.array([3.0]), np.array([-9.0]), np.array([9.0]), 1e-12, 100)
    assert abs(found[0] + 0.9) < 0.01


# -- the information ------------------------------------------------------------------------------

PRIORS = {
    "learned": {},
    "noise known": {"noise_precision": 20.0},
    "prior known": {"prior_precision": 2.0},
    "gamma": {"noise_precision": "gamma", "noise_shape": 2.0, "noise_rate": 0.1},
}
BASES = {
    "two kernels": FourierBasis(n_kernels=2, ranks=True, linear=True, random_state=0),
    "rational quadratic": FourierBasis(kernel="rational_quadratic", linear=True, random_state=0),
}


def objective_of(basis, given, rng, n_outputs=1, intercept=True):
    X = rng.uniform(size=(30, 2))
    Y = np.sin(6 * X[:, :1]) + 0.2 * rng.normal(size=(30, n_outputs))
    model = BayesianBasisRegressor(basis, fit_intercept=intercept, **given)
    design = Design.of(basis.fit(X), X[:1], intercept)
    rows = Rows(X, Y, rng.uniform(0.5, 2.0, size=30))
    return KernelObjective(basis.exact_kernel(X), design, rows, model._prior(design))


def covariance_of(objective, position):
    """Covariance of the scaled targets, in units of the noise variance if that is learned."""
    matrix = objective.variance * objective.kernel.at(position[:-1])[0] + objective.constant
    roots, weights = objective.root_weights, objective.normalized_weights
    if objective.n_flat:
        matrix = matrix - weights @ matrix
        matrix = matrix - (matrix @ weights)[:, None]
    ratio = np.exp(position[-1])
    matrix = matrix * np.outer(roots, roots) + ratio * np.eye(len(matrix))
    return matrix if objective.is_ratio_noise_variance else matrix / ratio


@pytest.mark.parametrize("n_outputs", [1, 2])
@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("basis", BASES)
def test_the_information_is_the_average_of_the_observed_and_the_expected_one(
    basis, prior, intercept, n_outputs, rng
):
    """With derivatives C_i of the covariance, it is y' P C_i P C_j P y / 2."""
    objective = objective_of(BASES[basis], PRIORS[prior], rng, n_outputs, intercept)
    theta = BASES[basis].theta_
    position = np.append(theta, -2.0) + 0.1 * rng.normal(size=len(theta) + 1)
    point = objective.evaluate(position[:-1], position[-1])
    steps = 1e-5 * np.eye(len(position))
    slopes = [
        (covariance_of(objective, position + h) - covariance_of(objective, position - h)) / 2e-5
        for h in steps
    ]
    inverse = np.linalg.inv(covariance_of(objective, position))
    Y = objective._center(objective.Y) * objective.root_weights[:, None]
    expected = np.zeros((len(position), len(position)))
    for y in Y.T:
        dual = inverse @ y
        tangents = np.column_stack([slope @ dual for slope in slopes])
        curvature, along = tangents.T @ inverse @ tangents, tangents.T @ dual
        energy = y @ dual
        if objective.is_ratio_noise_variance:
            by_energy, by_square = -0.5, 0.0
        else:
            h = 1e-4 * energy
            by_energy = objective.data_term(energy, 0.0)[1]
            others = [objective.data_term(energy + sign * h, 0.0)[1] for sign in (1, -1)]
            by_square = (others[0] - others[1]) / (2 * h)
        expected += -by_energy * curvature - by_square * np.outer(along, along)
    powers = np.append(objective.kernel.terms(theta).powers, 0.0)
    powers[-1] = 1.0 if objective.is_ratio_noise_variance else -1.0
    expected += np.diag(np.maximum(-powers * point.gradient, 0.0))
    np.testing.assert_allclose(point.information, expected, rtol=1e-4, atol=1e-5)
