"""Laws of all bases that are registered, over their examples.

A basis that is new is tested here by its class attribute ``shortcut`` and its ``_examples()``.
"""

import pickle

import numpy as np
import pytest
from bad_calls import snapshot
from conftest import assert_digits
from learnable import slopes, with_theta
from sklearn.base import clone

from skgen.bases import PARTS, SHORTCUTS, is_learnable, resolve_basis
from skgen.bases._inducing import JITTER

EXAMPLES = {
    f"{shortcut} {index}": basis
    for shortcut, cls in PARTS.items()
    for index, basis in enumerate(cls._examples())
}
LEARNABLE = [name for name, basis in EXAMPLES.items() if is_learnable(clone(basis).fit(np.eye(2)))]
APPROXIMATE = [name for name in LEARNABLE if hasattr(EXAMPLES[name], "exact_kernel")]
N_DRAWS = 60


@pytest.fixture
def X(rng):
    return np.column_stack([rng.normal(size=40), 3 + rng.gamma(2.0, size=40)])


@pytest.fixture(params=EXAMPLES)
def basis(request):
    return clone(EXAMPLES[request.param])


def test_every_part_has_a_shortcut_and_examples_of_its_own_class():
    for shortcut, cls in PARTS.items():
        assert type(resolve_basis(shortcut)) is cls
        assert cls.__module__ == "skgen.bases"
        assert all(type(example) is cls for example in cls._examples())
    assert set(SHORTCUTS) - set(PARTS) == {"auto", "polynomial", "identity"}


@pytest.mark.parametrize("n_features", [1, 3])
def test_values_are_finite_named_and_the_same_at_every_call(basis, n_features, rng):
    X = rng.normal(size=(20, n_features))
    Phi = basis.fit_transform(X)
    assert Phi.shape == (20, len(basis.get_feature_names_out()))
    assert np.isfinite(Phi).all()
    assert np.array_equal(basis.transform(X), Phi)
    assert np.array_equal(clone(basis).fit(X).transform(X), Phi)


def test_rows_are_mapped_one_by_one(basis, X):
    basis.fit(X)
    expected = np.vstack([basis.transform(x[None]) for x in X])
    # Triangular systems of condition 3e4, where a kernel is exact at the rows.
    rounding = 1e-14 if getattr(basis, "_points", None) is None else 1e-10
    np.testing.assert_allclose(basis.transform(X), expected, rtol=1e-12, atol=rounding)


def test_repeated_and_reordered_rows_change_nothing(basis, X, rng):
    again = np.vstack([X, X[rng.integers(len(X), size=15)]])[rng.permutation(len(X) + 15)]
    expected = clone(basis).fit(X).transform(X)
    np.testing.assert_allclose(basis.fit(again).transform(X), expected, rtol=1e-10, atol=1e-10)


def test_a_fitted_basis_is_pickled_and_a_clone_is_not_fitted(basis, X):
    basis.fit(X)
    arrived = pickle.loads(pickle.dumps(basis))
    assert np.array_equal(arrived.transform(X), basis.transform(X))
    assert not [name for name in vars(clone(basis)) if name.endswith("_")]


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("name", LEARNABLE)
def test_vjp_is_the_gradient_and_changes_nothing(name, n_features, rng):
    X = rng.normal(size=(30, n_features))
    basis = clone(EXAMPLES[name]).fit(X)
    basis.theta_ = basis.theta_ + rng.normal(scale=0.3, size=basis.theta_.shape)
    Phi = basis.transform(X)
    gradient = rng.normal(size=Phi.shape)
    before = snapshot((basis, X, Phi, gradient))
    found = basis.vjp(X, Phi, gradient)
    assert snapshot((basis, X, Phi, gradient)) == before
    expected = slopes(
        lambda theta: (gradient * with_theta(basis, theta).transform(X)).sum(), basis.theta_
    )
    # Where a kernel is exact at the rows, its matrix has condition numbers up to 1e10.
    assert_digits(found, expected, 8 if getattr(basis, "_points", None) is None else 5)


@pytest.mark.parametrize("name", APPROXIMATE)
def test_the_mean_of_inner_products_over_draws_is_the_exact_kernel(name, X):
    bases = [clone(EXAMPLES[name]).set_params(random_state=seed).fit(X) for seed in range(N_DRAWS)]
    products = np.array([Phi @ Phi.T for Phi in (basis.transform(X) for basis in bases)])
    expected, _ = bases[0].exact_kernel(X).at(bases[0].theta_)
    error = np.abs(products.mean(axis=0) - expected)
    rounding = 1e-12 if bases[0]._points is None else 2 * JITTER
    assert np.all(error < 5 * products.std(axis=0) / np.sqrt(N_DRAWS) + rounding)


@pytest.mark.parametrize("name", [name for name in EXAMPLES if hasattr(EXAMPLES[name], "resample")])
def test_a_resampled_basis_has_other_functions_of_the_same_distribution(name, X):
    basis = clone(EXAMPLES[name]).fit(X)
    before, other = snapshot(basis), basis.resample()
    assert snapshot(basis) == before
    assert other.transform(X).shape == basis.transform(X).shape
    assert not np.allclose(other.transform(X), basis.transform(X))
    assert np.array_equal(basis.resample().transform(X), other.transform(X))
    np.testing.assert_array_equal(other.theta_, basis.theta_)
