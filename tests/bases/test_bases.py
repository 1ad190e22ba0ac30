"""Bases: formulas by loops, positions and widths, and conventions of scikit-learn."""

import math

import numpy as np
import pandas as pd
import polars as pl
import pytest
from conftest import assert_digits
from learnable import LEARNABLE, N_COLUMNS, moved, slopes, table, with_theta
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process.kernels import RBF, Matern
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    PolynomialFeatures,
    SplineTransformer,
    StandardScaler,
)

from skgen import FourierBasis, GaussianBasis, SigmoidBasis
from skgen.bases import BASIS, SHORTCUTS, depends_on_data, is_learnable, resolve_basis

DOMAIN = (-2.0, 3.0)

DATA_FREE = {
    "gaussian": GaussianBasis(9, domain=DOMAIN),
    "gaussian with linear": GaussianBasis(9, domain=DOMAIN, linear=True),
    "gaussian, given": GaussianBasis(
        centers=[[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]], width=[0.3, 2.0], domain=DOMAIN, linear=False
    ),
    "sigmoid": SigmoidBasis(7, domain=DOMAIN),
    "sigmoid, one": SigmoidBasis(1, domain=DOMAIN),
    "sigmoid, given": SigmoidBasis(centers=[0.0, 1.0], width=[0.3, 2.0]),
    "fourier": FourierBasis(20, length_scale=[0.5, 2.0], random_state=0),
}
FOLLOWING = {
    "gaussian": GaussianBasis(),
    "gaussian, few": GaussianBasis(20),
    "gaussian, even": GaussianBasis(15, centers="even"),
    "gaussian without linear": GaussianBasis(15, linear=False),
    "gaussian, learnable": GaussianBasis(15, width="evidence", overlap=1.5),
    "sigmoid": SigmoidBasis(),
    "sigmoid, quantile": SigmoidBasis(5, centers="quantile"),
    "fourier": FourierBasis(20, random_state=0),
    "fourier, matern": FourierBasis(20, kernel="matern32", sampling="random", random_state=0),
    "fourier, fixed": FourierBasis(20, length_scale=None, random_state=0),
    "fourier, ranks": FourierBasis(20, ranks=True, random_state=0),
    "fourier, linear": FourierBasis(20, linear=True, random_state=0),
    "fourier, ranks, linear": FourierBasis(20, ranks=True, linear=True, random_state=0),
}
PARTLY_FOLLOWING = {
    "fourier, given, ranks": FourierBasis(20, length_scale=[1.0, 9.0], ranks=True, random_state=0),
}
ALL = (
    {f"{name}, data-free": basis for name, basis in DATA_FREE.items()}
    | FOLLOWING
    | PARTLY_FOLLOWING
)


@pytest.fixture
def X(rng):
    return np.column_stack([rng.normal(size=80), 3 + rng.gamma(2.0, size=80)])


def gaussian(basis, X):
    """Bishop eq. 3.4, term by term."""
    rows = []
    for x in X:
        row = [
            math.exp(
                -sum(
                    (a - c) ** 2 / (2 * s**2)
                    for a, c, s in zip(x, center, basis.width_, strict=True)
                )
            )
            for center in basis.centers_
        ]
        if basis.linear_:
            row += [(a - m) / s for a, m, s in zip(x, basis.location_, basis.scale_, strict=True)]
        rows.append(row)
    return rows


def sigmoid(basis, X):
    """Bishop eqs 3.5-3.6, feature by feature."""
    return [
        [
            1 / (1 + math.exp(-(a - c) / s))
            for a, centers, s in zip(x, basis.centers_, basis.width_, strict=True)
            for c in centers
        ]
        for x in X
    ]


def fourier(basis, X):
    """Rahimi and Recht's features, wave by wave; ranks are further features.

    Linear terms are features in units of their standard deviations, and what ranks deviate from
    the line through those of the values that occur, times factors that follow the length scales.
    """
    X, frequencies, n_features = X - basis.location_, basis.frequencies_, X.shape[1]
    ranked = basis.ranked_features_
    if ranked.size:
        X = np.hstack([X, basis._ranks.centered_ranks((X + basis.location_)[:, ranked])])
        frequencies = np.vstack([frequencies, basis._rank_frequencies])
    rows = []
    for x in X:
        phases = [sum(w * a for w, a in zip(column, x, strict=True)) for column in frequencies.T]
        waves = [math.cos(p) for p in phases] + [math.sin(p) for p in phases]
        row = [math.sqrt(2 / len(waves)) * wave for wave in waves]
        if basis.linear:
            factors = slope_factors(basis)
            row += [f * a for f, a in zip(factors, x[:n_features] / basis.scale_, strict=False)]
        if basis.linear and ranked.size:
            for k, (feature, (values, ranks)) in enumerate(
                zip(ranked, basis._ranks.knots, strict=True)
            ):
                inside = np.clip(x[feature] + basis.location_[feature], values[0], values[-1])
                line = np.polyfit(values, ranks, 1)[0] * (inside - values.mean())
                bend = x[n_features + k] - line
                row.append(factors[n_features + k] * bend / basis._ranks.scale[k])
        if basis.linear:
            row += beyond_the_ends(basis, x[:n_features] + basis.location_)
        rows.append(row)
    return rows


def beyond_the_ends(basis, x):
    """Functions of the distances below the smallest and above the largest rows."""
    ends = [basis._edges.low, x], [x, basis._edges.high]
    distances = [max(a - b, 0.0) for first, last in ends for a, b in zip(first, last, strict=True)]
    lengths = [*basis.length_scale_, *basis.length_scale_]
    return [d / math.hypot(d, length) for d, length in zip(distances, lengths, strict=True)]


def slope_factors(basis):
    """The slope, by relevance: in proportion to inverse length scales, 1 in the mean square."""
    inverse = basis.scale_ / basis.length_scale_
    if basis.ranked_features_.size:
        inverse = np.append(inverse, basis._ranks.scale / basis.rank_length_scale_)
    return basis.slope_ * inverse / np.sqrt(np.mean(inverse**2))


FORMULAS = {GaussianBasis: gaussian, SigmoidBasis: sigmoid, FourierBasis: fourier}


@pytest.mark.parametrize("name", ALL)
def test_the_design_matrix_is_the_formula(name, X):
    basis = clone(ALL[name]).fit(X)
    rows = 1.5 * X[:20]  # some are beyond those of the fit
    expected = FORMULAS[type(basis)](basis, rows)
    np.testing.assert_allclose(basis.transform(rows), expected, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", ["gaussian", "gaussian with linear", "sigmoid"])
def test_the_design_matrix_of_one_feature_is_the_formula(name, rng):
    basis = clone(DATA_FREE[name]).fit(x := rng.uniform(-3, 4, (15, 1)))
    np.testing.assert_allclose(basis.transform(x), FORMULAS[type(basis)](basis, x), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_basis_depends_on_the_set_of_rows_not_on_their_count_or_order(name, X, rng):
    again = np.vstack([X, X[rng.integers(80, size=30)]])[rng.permutation(110)]
    np.testing.assert_allclose(
        clone(ALL[name]).fit(again).transform(X), clone(ALL[name]).fit(X).transform(X), rtol=1e-12
    )


@pytest.mark.parametrize("scale", [1e-6, 1e6, [1e-3, 1e3]])
@pytest.mark.parametrize("shift", [0.0, 1e4])
@pytest.mark.parametrize("name", FOLLOWING)
def test_a_basis_that_follows_the_data_does_not_depend_on_units_and_origin(name, shift, scale, X):
    expected = clone(FOLLOWING[name]).fit(X).transform(X)
    mapped = (X + shift) * scale
    Phi = clone(FOLLOWING[name]).fit(mapped).transform(mapped)
    np.testing.assert_allclose(Phi, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis])
def test_a_domain_scales_with_the_unit(cls, scale, X):
    expected = cls(9, domain=DOMAIN).fit_transform(X)
    mapped = cls(9, domain=np.multiply(scale, DOMAIN)).fit_transform(scale * X)
    np.testing.assert_allclose(mapped, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", DATA_FREE)
def test_a_basis_with_a_domain_does_not_depend_on_the_data(name, X):
    one, other = (clone(DATA_FREE[name]).fit(rows).transform(X) for rows in (X, 5 - 2 * X))
    assert np.array_equal(one, other)
    assert not depends_on_data(DATA_FREE[name], X)


SKLEARN_FREE = [
    PolynomialFeatures(3),
    FunctionTransformer(np.cos),
    SplineTransformer(knots=np.linspace(-5, 5, 5)[:, None] * [1, 1]),
    RBFSampler(random_state=0),
    make_pipeline(FunctionTransformer(np.cos), PolynomialFeatures(2)),
    FrozenEstimator(GaussianBasis().fit(np.arange(10.0)[:, None] * [1, 2])),
]
SKLEARN_FOLLOWING = [
    SplineTransformer(),
    Nystroem(n_components=5, random_state=0),
    make_pipeline(StandardScaler(), GaussianBasis(domain=DOMAIN)),
]


@pytest.mark.parametrize("basis", SKLEARN_FREE, ids=str)
def test_depends_on_data_is_false_for_transformers_without_state(basis, X):
    assert not depends_on_data(basis, X)


@pytest.mark.parametrize(
    "basis", [*FOLLOWING.values(), *PARTLY_FOLLOWING.values(), *SKLEARN_FOLLOWING], ids=str
)
def test_depends_on_data_is_true_for_bases_that_follow_the_data(basis, X):
    assert depends_on_data(basis, X)


# -- centers --------------------------------------------------------------------------------------


def test_even_centers_divide_the_domain(rng):
    x = rng.uniform(size=(30, 1))
    gaussian = GaussianBasis(5, domain=(-1, 3)).fit(x)
    sigmoid = SigmoidBasis(5, domain=(-1, 3)).fit(x)
    assert gaussian.centers_[:, 0].tolist() == [-1, 0, 1, 2, 3]
    assert sigmoid.centers_[0].tolist() == [-1, 0, 1, 2, 3]


@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis])
def test_even_centers_without_a_domain_divide_the_range_of_the_data(cls):
    basis = cls(3, centers="even").fit([[4.0], [10.0], [5.0]])
    assert basis.centers_.ravel().tolist() == [4, 7, 10]


@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis])
def test_a_single_center_is_the_middle(cls):
    assert cls(1, domain=(2, 6)).fit([[0.0], [1.0]]).centers_.item() == 4


def test_even_centers_of_several_features_fill_the_box(X):
    domain = np.array([[-1.0, 1.0], [10.0, 50.0]])
    unit = (GaussianBasis(64, domain=domain).fit(X).centers_ - domain[:, 0]) / [2, 40]
    assert unit.shape == (64, 2)
    counts, *_ = np.histogram2d(*unit.T, bins=4, range=[[0, 1], [0, 1]])
    assert counts.min() >= 2
    assert counts.sum() == 64


@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis])
def test_quantile_centers_have_as_many_distinct_values_between_each_two(cls, rng):
    x = np.repeat(rng.gamma(1.0, size=101), 2)[:, None]
    centers = np.sort(cls(5, centers="quantile").fit(x).centers_.ravel())
    assert centers.tolist() == pytest.approx(np.unique(x)[[0, 25, 50, 75, 100]].tolist())


def test_k_means_centers_are_the_means_of_clusters(rng):
    means = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 1.0], [100.0, 1.0]])
    X = np.repeat(means, 25, axis=0) + rng.normal(size=(100, 2)) * [1, 0.01]
    basis = GaussianBasis(4, centers="kmeans", linear=False).fit(X)
    expected = X.reshape(4, 25, 2).mean(axis=1)
    order = np.lexsort(np.round(basis.centers_, 1).T)
    np.testing.assert_allclose(basis.centers_[order], expected, rtol=1e-10, atol=1e-10)


def test_k_means_centers_are_at_most_the_distinct_rows(rng):
    rows = rng.normal(size=(6, 2))
    basis = GaussianBasis(50).fit(np.repeat(rows, 10, axis=0))
    np.testing.assert_allclose(basis.centers_[np.argsort(basis.centers_[:, 0])],
                               rows[np.argsort(rows[:, 0])], rtol=1e-12)  # fmt: skip


def test_given_centers_are_the_centers(X):
    assert GaussianBasis(centers=[[1.0, 2.0]], width=1).fit(X).centers_.tolist() == [[1, 2]]
    assert SigmoidBasis(centers=[1.0, 2.0]).fit(X).centers_.tolist() == [[1, 2], [1, 2]]


@pytest.mark.parametrize("n_features", [1, 2, 5])
@pytest.mark.parametrize("n_basis", [None, 3, 12])
def test_n_basis_counts_all_columns(n_basis, n_features, rng):
    X = rng.normal(size=(400, n_features))
    default = 9 if n_features == 1 else 300 + n_features
    assert GaussianBasis(n_basis).fit_transform(X).shape[1] == (n_basis or default)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("n_features", [1, 3])
def test_linear_terms_are_standard_scores(n_features, linear, rng):
    X = rng.normal(3, 2, size=(50, n_features))
    Phi = GaussianBasis(20, linear=linear).fit_transform(X)
    assert Phi.shape[1] == 20
    same = np.allclose(Phi[:, -n_features:], StandardScaler().fit_transform(X))
    assert same == linear


# -- widths ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlap", [0.5, 1.5, 3.0])
def test_the_width_is_overlap_times_the_gap_between_centers(overlap, rng):
    x = rng.uniform(size=(20, 1))
    gap = 5 / 8
    gaussian = GaussianBasis(9, domain=DOMAIN, overlap=overlap).fit(x)
    sigmoid = SigmoidBasis(9, domain=DOMAIN, overlap=overlap).fit(x)
    np.testing.assert_allclose(gaussian.width_, [overlap * gap], rtol=1e-13)
    np.testing.assert_allclose(sigmoid.width_, [overlap * gap], rtol=1e-13)


def test_the_width_of_several_features_is_the_median_distance_of_nearest_centers(X):
    basis = GaussianBasis(30, overlap=2.0).fit(X)
    centers = basis.centers_ / X.std(axis=0)
    distances = np.linalg.norm(centers[:, None] - centers, axis=2)
    np.fill_diagonal(distances, np.inf)
    expected = 2.0 * np.median(distances.min(axis=1)) * X.std(axis=0)
    np.testing.assert_allclose(basis.width_, expected, rtol=1e-12)


@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis])
def test_a_given_width_is_the_width(cls, X):
    assert cls(5, width=0.7).fit(X).width_.tolist() == [0.7, 0.7]
    assert cls(5, width=[0.7, 2.0]).fit(X).width_.tolist() == [0.7, 2.0]


@pytest.mark.parametrize("name", FOLLOWING)
def test_a_constant_feature_and_a_single_row_are_mapped_to_finite_values(name, X):
    constant = np.column_stack([X[:, 0], np.full(len(X), 7.0)])
    for rows in (constant, X[:1], np.zeros((3, 2))):
        assert np.all(np.isfinite(clone(FOLLOWING[name]).fit_transform(rows)))


# -- Fourier features -----------------------------------------------------------------------------

KERNELS = {"rbf": RBF(1.0), "matern32": Matern(1.0, nu=1.5), "matern52": Matern(1.0, nu=2.5)}


def kernel_error(basis, kernel, X):
    Phi = basis.fit_transform(X)
    return np.sqrt(np.mean((Phi @ Phi.T - kernel(X / basis.length_scale_)) ** 2))


@pytest.mark.parametrize("sampling", ["halton", "random"])
@pytest.mark.parametrize("length_scale", [1.0, [0.5, 2.0]])
@pytest.mark.parametrize("kernel", KERNELS)
def test_fourier_features_approximate_the_kernel(kernel, length_scale, sampling, rng):
    X = rng.uniform(-1, 1, size=(60, 2))
    errors = [
        np.mean(
            [
                kernel_error(
                    FourierBasis(
                        n_basis, kernel=kernel, length_scale=length_scale, sampling=sampling,
                        random_state=seed,
                    ),
                    KERNELS[kernel], X,
                )
                for seed in range(12)
            ]
        )
        for n_basis in (50, 500, 5000)
    ]  # fmt: skip
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 2
    assert errors[2] < 0.02


@pytest.mark.parametrize("kernel", KERNELS)
def test_halton_frequencies_have_a_smaller_error_than_random_ones(kernel, rng):
    X = rng.uniform(-1, 1, size=(60, 2))
    quasi, random = (
        np.mean([kernel_error(FourierBasis(400, kernel=kernel, length_scale=1.0, sampling=sampling,
                                           random_state=seed), KERNELS[kernel], X)
                 for seed in range(20)])
        for sampling in ("halton", "random")
    )  # fmt: skip
    assert quasi < random / 2


def test_fourier_features_have_norm_1(X):
    Phi = FourierBasis(50, random_state=0).fit_transform(1e3 * X)
    np.testing.assert_allclose(np.linalg.norm(Phi, axis=1), 1, rtol=1e-13)


@pytest.mark.parametrize("length_scale", ["evidence", None])
@pytest.mark.parametrize("ranks", [False, True])
def test_the_first_length_scales_are_roots_of_n_inputs_standard_deviations(ranks, length_scale, X):
    basis = FourierBasis(8, length_scale=length_scale, ranks=ranks, random_state=0).fit(X)
    n_inputs = 2 + len(basis.ranked_features_)
    np.testing.assert_allclose(basis.length_scale_, np.sqrt(n_inputs) * X.std(axis=0), rtol=1e-13)


def test_linear_terms_do_not_change_the_waves(X):
    waves = FourierBasis(20, ranks=True, random_state=0).fit_transform(X)
    both = FourierBasis(20, ranks=True, linear=True, random_state=0).fit(X)
    assert np.array_equal(both.transform(X)[:, :20], waves)
    assert both.slope_ == 1
    assert FourierBasis(20, random_state=0).fit(X).slope_ == 0


@pytest.mark.parametrize("options", [{}, {"ranks": True, "linear": True}])
@pytest.mark.parametrize("n_basis", [1, 7])
def test_an_odd_number_of_waves_is_rounded_up(n_basis, options, X):
    odd, even = (FourierBasis(n, random_state=0, **options) for n in (n_basis, n_basis + 1))
    assert np.array_equal(odd.fit_transform(X), even.fit_transform(X))
    assert len(odd.get_feature_names_out()) == odd.transform(X).shape[1]


def test_frequencies_repeat_by_seed_and_differ_without():
    X = np.zeros((2, 3))
    draw = {
        seed: [FourierBasis(random_state=seed).fit(X).frequencies_ for _ in range(2)]
        for seed in (0, 1, None)
    }
    assert np.array_equal(*draw[0])
    assert not np.array_equal(draw[0][0], draw[1][0])
    assert not np.array_equal(*draw[None])
    rng = np.random.default_rng(0)
    advancing = [FourierBasis(random_state=rng).fit(X).frequencies_ for _ in range(2)]
    assert not np.array_equal(*advancing)


# -- scikit-learn's conventions -------------------------------------------------------------------


@pytest.mark.parametrize("cls", [GaussianBasis, SigmoidBasis, FourierBasis])
def test_columns_are_named_after_the_class(cls):
    basis = cls(4).fit(np.arange(10.0)[:, None])
    expected = [f"{cls.__name__.lower()}{index}" for index in range(4)]
    assert basis.get_feature_names_out().tolist() == expected


@pytest.mark.parametrize(
    ("name", "frame"),
    [("pandas", pd.DataFrame), ("polars", pl.DataFrame)],
    ids=["pandas", "polars"],
)
@pytest.mark.parametrize("basis", ALL)
def test_set_output_gives_a_frame_of_the_same_numbers(basis, name, frame, X):
    basis = clone(ALL[basis])
    expected = basis.fit(X).transform(X)
    rows = frame({"a": X[:, 0], "b": X[:, 1]})
    found = basis.set_output(transform=name).fit(rows).transform(rows)
    assert isinstance(found, frame)
    assert list(found.columns) == basis.get_feature_names_out().tolist()
    assert np.array_equal(found.to_numpy(), expected)
    assert basis.feature_names_in_.tolist() == ["a", "b"]


@pytest.mark.parametrize("name", ALL)
def test_a_basis_must_be_fitted_first(name, X):
    with pytest.raises(NotFittedError):
        clone(ALL[name]).transform(X)


def test_shortcuts_are_the_documented_bases():
    x = np.linspace(-1, 1, 12)[:, None]
    expected = {
        "gaussian": GaussianBasis().fit_transform(x),
        "sigmoid": SigmoidBasis().fit_transform(x),
        "fourier": FourierBasis(random_state=0).fit_transform(x),
        "auto": FourierBasis(ranks=True, linear=True, random_state=0).fit_transform(x),
        "polynomial": np.hstack([x, x**2]),
        "identity": x,
    }
    assert SHORTCUTS.keys() == expected.keys()
    for shortcut, Phi in expected.items():
        assert np.allclose(resolve_basis(shortcut).fit_transform(x), Phi, rtol=1e-15)


def test_a_given_basis_is_cloned_unless_frozen():
    basis = GaussianBasis().fit([[0.0], [1.0]])
    assert resolve_basis(basis) is not basis
    assert not hasattr(resolve_basis(basis), "centers_")
    assert resolve_basis(FrozenEstimator(basis)).estimator is basis


@pytest.mark.parametrize("basis", [3, None, GaussianBasis, object(), np.cos])
def test_an_object_that_is_no_transformer_is_an_error(basis):
    with pytest.raises(TypeError, match="basis"):
        BASIS.check(basis, "basis")


INVALID = [
    (GaussianBasis(0), ValueError, "n_basis"),
    (GaussianBasis(2.5), TypeError, "n_basis"),
    (GaussianBasis(2, linear=True), ValueError, "n_basis"),
    (GaussianBasis(centers="quantile"), ValueError, "centers"),
    (GaussianBasis(centers="random"), ValueError, "centers"),
    (GaussianBasis(centers=[[1.0]]), ValueError, "centers"),
    (GaussianBasis(width=0.0), ValueError, "width"),
    (GaussianBasis(width=[1.0, 2.0, 3.0]), ValueError, "width"),
    (GaussianBasis(width="nonsense"), ValueError, "width"),
    (GaussianBasis(width=["evidence", 1.0]), ValueError, "width"),
    (GaussianBasis(width="evidence", overlap=-1.0), ValueError, "overlap"),
    (GaussianBasis(overlap=0), ValueError, "overlap"),
    (GaussianBasis(overlap="evidence"), TypeError, "overlap"),
    (GaussianBasis(domain=(1, 0)), ValueError, "domain"),
    (GaussianBasis(domain=[(0, 1)]), ValueError, "domain"),
    (GaussianBasis(linear="yes"), ValueError, "linear"),
    (SigmoidBasis(0), ValueError, "n_basis"),
    (SigmoidBasis(width=-1.0), ValueError, "width"),
    (SigmoidBasis(width="evidence"), ValueError, "width"),
    (SigmoidBasis(centers="kmeans"), ValueError, "centers"),
    (FourierBasis(0), ValueError, "n_basis"),
    (FourierBasis(kernel="cubic"), ValueError, "kernel"),
    (FourierBasis(sampling="sobol"), ValueError, "sampling"),
    (FourierBasis(length_scale=np.nan), ValueError, "length_scale"),
    (FourierBasis(length_scale="nonsense"), ValueError, "length_scale"),
    (FourierBasis(length_scale=0.0), ValueError, "length_scale"),
    (FourierBasis(length_scale=[1.0, 2.0, 3.0]), ValueError, "length_scale"),
    (FourierBasis(length_scale=[1.0, 2.0, 3.0, 4.0], ranks=True), ValueError, "length_scale"),
    (FourierBasis(ranks="yes"), TypeError, "ranks"),
    (FourierBasis(ranks=None), TypeError, "ranks"),
    (FourierBasis(ranks=2), TypeError, "ranks"),
    (FourierBasis(linear="auto"), TypeError, "linear"),
    (FourierBasis(linear=None), TypeError, "linear"),
    (FourierBasis(random_state=-1), ValueError, "random_state"),
    (FourierBasis(random_state="seed"), TypeError, "random_state"),
]


@pytest.mark.parametrize(("basis", "error", "argument"), INVALID, ids=str)
def test_an_invalid_parameter_is_named_and_leaves_the_basis_as_it_was(basis, error, argument, X):
    before = dict(vars(basis))
    with pytest.raises(error, match=f"`{argument}`"):
        basis.fit(X)
    assert vars(basis) == before


# -- parameters that can be learned --------------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 3])
@pytest.mark.parametrize("name", LEARNABLE)
def test_vjp_is_the_gradient_of_the_basis_functions(name, n_features, rng):
    basis = moved(LEARNABLE[name], X := table(rng, 40, n_features), rng)
    X = 1.5 * X  # some rows are beyond those of the fit
    Phi = basis.transform(X)
    share = rng.normal(size=Phi.shape)
    found = basis.vjp(X, Phi, share)
    expected = slopes(lambda t: (share * with_theta(basis, t).transform(X)).sum(), basis.theta_)
    assert_digits(found, expected, 9)


@pytest.mark.parametrize("name", LEARNABLE)
def test_theta_is_set_and_set_back(name, rng):
    basis = clone(LEARNABLE[name]).fit(X := table(rng, 40, 2))
    theta = rng.normal(size=basis.theta_.shape)
    other = with_theta(basis, theta)
    np.testing.assert_allclose(other.theta_, theta, rtol=0, atol=1e-14)
    assert not np.allclose(other.transform(X), basis.transform(X))
    back = with_theta(other, basis.theta_).transform(X)
    np.testing.assert_allclose(back, basis.transform(X), rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", LEARNABLE)
def test_theta_relevances_and_lengths_agree(name, rng):
    basis = moved(LEARNABLE[name], table(rng, 40, 2), rng)
    length = basis.width_ if isinstance(basis, GaussianBasis) else basis.length_scale_
    np.testing.assert_allclose(length, basis.scale_ * np.exp(basis.theta_[:2]), rtol=1e-13)
    ranked = getattr(basis, "ranked_features_", np.arange(0))
    lengths, of_ranks, others = np.split(basis.theta_, [2, 2 + len(ranked)])
    expected = [getattr(basis, name, 0.0) for name in ("slope_", "scale_mixture_")]
    np.testing.assert_allclose(np.exp(others), [value for value in expected if value], rtol=1e-14)
    squares = np.exp(-2 * lengths)
    squares[ranked] += np.exp(-2 * of_ranks)
    np.testing.assert_allclose(basis.relevance_, np.sqrt(squares), rtol=1e-12)


FIXED = [
    FourierBasis(N_COLUMNS, length_scale=None, ranks=True),
    FourierBasis(N_COLUMNS, length_scale=2.0),
    GaussianBasis(N_COLUMNS),
    GaussianBasis(N_COLUMNS, width=[0.5, 2.0]),
    FrozenEstimator(GaussianBasis(N_COLUMNS, width="evidence").fit(np.eye(2))),
    make_pipeline(StandardScaler(), GaussianBasis(N_COLUMNS)),
    make_pipeline(FourierBasis(N_COLUMNS), StandardScaler()),
]


@pytest.mark.parametrize("basis", FIXED, ids=str)
def test_fixed_lengths_are_not_learnable(basis, rng):
    assert not is_learnable(clone(basis).fit(table(rng, 20, 2), None))


@pytest.mark.parametrize("name", LEARNABLE)
def test_lengths_by_evidence_are_learnable(name, rng):
    X = table(rng, 20, 2)
    for basis in (clone(LEARNABLE[name]), make_pipeline(StandardScaler(), clone(LEARNABLE[name]))):
        assert is_learnable(basis.fit(X))


def test_a_resampled_basis_has_other_frequencies_that_are_the_same_at_every_fit(rng):
    X = table(rng, 20, 2)
    first, second = (FourierBasis(N_COLUMNS, random_state=0).fit(X) for _ in range(2))
    trial = first.resample()
    assert not np.allclose(trial.frequencies_, first.frequencies_)
    assert np.array_equal(trial.frequencies_, second.resample().frequencies_)
    assert np.array_equal(first.frequencies_, second.frequencies_)
