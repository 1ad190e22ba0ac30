"""Ranks: compared with scipy's rankdata, and their invariances."""

import numpy as np
import pytest
from scipy.stats import rankdata

from skgen import FourierBasis
from skgen.bases._placement import EmpiricalCDF, are_evenly_spread, distinct_rows

N_ROWS = 60


@pytest.fixture(params=["continuous", "ties", "binary and constant", "one row"])
def rows(request, rng):
    """Distinct rows whose columns have no ties, many, and nothing else."""
    columns = {
        "continuous": [rng.normal(size=N_ROWS), rng.gamma(0.3, size=N_ROWS)],
        "ties": [rng.integers(5, size=N_ROWS), rng.normal(size=N_ROWS).round(1)],
        "binary and constant": [
            rng.integers(2, size=N_ROWS), np.full(N_ROWS, 7.0), rng.normal(size=N_ROWS)
        ],
        "one row": [[3.0], [-1.0]],
    }  # fmt: skip
    return distinct_rows(np.column_stack(columns[request.param]), N_ROWS)


def mapped(X, rows):
    return EmpiricalCDF.fit(rows).centered_ranks(X)


def test_ranks_are_scipys_average_ranks(rows):
    expected = (rankdata(rows, method="average", axis=0) - 0.5) / len(rows)
    np.testing.assert_allclose(mapped(rows, rows), expected - 0.5, rtol=0, atol=1e-14)


def test_the_scale_of_ranks_is_their_standard_deviation(rows):
    ranks = rankdata(rows, axis=0) / len(rows)
    spread = ranks.std(axis=0)
    expected = np.where(np.ptp(rows, axis=0) > 0, spread, 1.0)
    np.testing.assert_allclose(EmpiricalCDF.fit(rows).scale, expected, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_values_that_differ_by_rounding_are_ties(rows, scale, rng):
    rounding = 1 + 1e-15 * rng.normal(size=rows.shape)
    blurred = distinct_rows(
        scale * np.repeat(rows, 2, axis=0) * np.tile(rounding, (2, 1)), 2 * N_ROWS
    )
    assert blurred.shape == rows.shape
    expected = mapped(rows, rows)
    np.testing.assert_allclose(mapped(scale * rows, blurred), expected, rtol=0, atol=1e-9)


def test_values_that_are_next_to_each_other_are_no_ties():
    times = 1.6e9 + 1e-3 * np.arange(50.0)
    assert len(distinct_rows(times[:, None], 50)) == 50


def test_ranks_are_linear_between_two_values(rows):
    for column in range(rows.shape[1]):
        values = np.unique(rows[:, column])
        between = np.tile(rows[:1], (len(values) - 1, 1))
        low, high = between.copy(), between.copy()
        low[:, column], high[:, column] = values[:-1], values[1:]
        between[:, column] = 0.75 * values[:-1] + 0.25 * values[1:]
        expected = 0.75 * mapped(low, rows) + 0.25 * mapped(high, rows)
        np.testing.assert_allclose(mapped(between, rows), expected, rtol=0, atol=1e-12)


def test_ranks_are_constant_outside_the_range(rows):
    low, high = rows.min(axis=0), rows.max(axis=0)
    ends = mapped(np.stack([low, high]), rows)
    for far in (1e-9, 1.0, 1e50):
        assert np.array_equal(mapped(np.stack([low - far, high + far]), rows), ends)
    assert np.all(np.abs(ends) < 0.5)


def test_ranks_of_a_constant_feature_are_zero(rng):
    rows = np.column_stack([np.full(9, 4.0), rng.normal(size=9)])
    assert np.all(mapped(np.array([[4.0, 0.0], [-1.0, 0.0], [9.0, 0.0]]), rows)[:, 0] == 0)


INCREASING = {"exp": np.exp, "cube": lambda x: x**3, "line": lambda x: 1e3 * x - 7}


@pytest.mark.parametrize("name", INCREASING)
def test_ranks_do_not_change_with_an_increasing_transformation(name, rng):
    rows = rng.normal(size=(N_ROWS, 3))
    transform = INCREASING[name]
    assert np.array_equal(mapped(transform(rows), transform(rows)), mapped(rows, rows))


def test_a_decreasing_transformation_reverses_ranks(rng):
    rows = rng.normal(size=(N_ROWS, 3))
    np.testing.assert_allclose(mapped(-rows, -rows), -mapped(rows, rows), rtol=0, atol=1e-15)


# -- the same through FourierBasis ----------------------------------------------------------------


def rank_part(X, rows):
    """Basis functions of X that depend on its ranks only."""
    basis = FourierBasis(12, ranks=True, length_scale=1e90, random_state=0)
    return basis.fit(rows).transform(X)


@pytest.mark.parametrize("name", INCREASING)
def test_the_rank_part_of_a_basis_does_not_change_either(name, rng):
    rows, transform = rng.laplace(size=(N_ROWS, 2)), INCREASING[name]
    expected = rank_part(rows, rows)
    assert np.ptp(expected, axis=0).max() > 0.1
    np.testing.assert_allclose(
        rank_part(transform(rows), transform(rows)), expected, rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("length_scale", ["evidence", None, 2.0, [2.0, 0.5]])
@pytest.mark.parametrize("kernel", ["rbf", "matern32", "matern52"])
def test_ranks_are_further_inputs_of_the_kernel(kernel, length_scale, rng):
    """Twice as many inputs without ranks give the same waves, up to a shift of all phases."""
    X = rng.gamma(0.5, size=(30, 2))
    basis = FourierBasis(
        40, kernel=kernel, ranks=True, length_scale=length_scale, random_state=0
    ).fit(X)
    lengths = np.r_[basis.length_scale_, basis.rank_length_scale_]
    plain = FourierBasis(40, kernel=kernel, length_scale=lengths, random_state=0)
    inputs = np.hstack([X, (rankdata(X, axis=0) - 0.5) / 30])
    Phi, expected = basis.transform(X), plain.fit_transform(inputs)
    np.testing.assert_allclose(Phi @ Phi.T, expected @ expected.T, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length_scale", [None, "evidence", 3.0])
def test_the_first_length_scales_of_ranks_are_roots_of_n_inputs_deviations(length_scale, rng):
    X = rng.gamma(0.5, size=(30, 2))
    basis = FourierBasis(8, ranks=True, length_scale=length_scale, random_state=0).fit(X)
    expected = np.sqrt(4) * (rankdata(X, axis=0) / 30).std(axis=0)
    np.testing.assert_allclose(basis.rank_length_scale_, expected, rtol=1e-12)


def test_ranks_follow_the_set_of_rows(rng):
    X = rng.normal(size=(N_ROWS, 2)).round(1)
    again = np.vstack([X, X[rng.integers(N_ROWS, size=40)]])[rng.permutation(N_ROWS + 40)]
    one, other = (
        FourierBasis(12, ranks=True, random_state=0).fit(rows).transform(X) for rows in (X, again)
    )
    assert np.array_equal(one, other)


@pytest.mark.parametrize(
    ("column", "has_rank"),
    [
        (np.linspace(1990, 2000, 60), False),
        (np.random.default_rng(0).uniform(size=60), False),
        (np.arange(60) % 2, True),
        (np.arange(60) // 6, True),
        (np.random.default_rng(0).gamma(0.5, size=60), True),
        (np.random.default_rng(0).standard_t(2.0, size=60), True),
    ],
    ids=["grid", "uniform", "binary", "ties", "skewed", "heavy tails"],
)
@pytest.mark.parametrize("unit", [1.0, -1e-8, 1e90])
def test_features_that_are_spread_evenly_have_no_ranks(column, has_rank, unit):
    X = np.column_stack([unit * column, np.arange(60.0)])
    basis = FourierBasis(20, ranks=True, random_state=0).fit(X)
    assert basis.ranked_features_.tolist() == [0] * has_rank
    assert basis.rank_length_scale_.shape == (has_rank,)


@pytest.mark.parametrize("n_rows", [20, 60, 300])
def test_one_of_a_hundred_uniform_features_has_a_rank(n_rows, rng):
    even = are_evenly_spread(rng.uniform(size=(n_rows, 3000)))
    assert np.mean(even) == pytest.approx(0.99, abs=0.006)
    assert not are_evenly_spread(rng.normal(size=(100, 300))).mean() > 0.5
