"""Numbers that belong to rows: the same in any company, and as good as independent."""

import numpy as np
import pytest
from scipy import stats

from skgen._autoencoder.row_noise import row_keys, sobol_points, uniforms

N_ROWS, N_COLUMNS = 2000, 4

TABLES = {
    "normal": lambda rng: rng.normal(size=(N_ROWS, 3)),
    "one column of integers": lambda rng: np.arange(float(N_ROWS))[:, None],
    "integers and constants": lambda rng: np.column_stack(
        [np.ones(N_ROWS), np.arange(float(N_ROWS)), np.zeros(N_ROWS)]
    ),
    "one-hot rows": lambda rng: np.eye(500),
    "equal columns": lambda rng: np.repeat(np.arange(float(N_ROWS))[:, None], 2, axis=1),
    "a grid": lambda rng: np.stack(np.divmod(np.arange(float(N_ROWS)), 40), axis=1),
    "binary rows": lambda rng: np.array(np.unravel_index(range(N_ROWS), (2,) * 11)).T + 0.0,
    "tiny steps": lambda rng: 1 + np.arange(N_ROWS)[:, None] * np.finfo(float).eps,
}


@pytest.fixture(params=TABLES)
def X(request, rng):
    return TABLES[request.param](rng)


def few(rng):
    return rng.normal(size=(30, 5))


@pytest.mark.parametrize("rows", [np.s_[::-1], np.s_[3:4], np.s_[::7], [5, 5, 0]])
def test_a_key_depends_on_its_own_row_alone(rows, rng):
    X = few(rng)
    assert np.array_equal(row_keys(X[rows], 1), row_keys(X, 1)[rows])
    assert np.array_equal(
        uniforms(row_keys(X[rows], 1), 3), uniforms(row_keys(X, 1), 3)[np.arange(30)[rows]]
    )


def test_a_key_depends_on_values_not_on_how_they_are_stored(rng):
    X = few(rng).astype(np.float32)
    expected = row_keys(X.astype(np.float64), 1)
    stored = {
        "float32": X,
        "column by column": np.asfortranarray(X),
        "apart in memory": np.repeat(X, 2, axis=1)[:, ::2],
        "big-endian": X.astype(">f8"),
    }
    for kind, table in stored.items():
        assert np.array_equal(row_keys(table, 1), expected), kind


def test_negative_zero_counts_as_zero():
    assert row_keys(np.array([[-0.0, 1.0]]), 1) == row_keys(np.array([[0.0, 1.0]]), 1)


def test_the_table_is_left_as_it_was(rng):
    X = few(rng)
    X[0, 0] = -0.0
    before = X.tobytes()
    row_keys(X, 1)
    assert X.tobytes() == before


@pytest.mark.parametrize("bit", [0, 1, 7, 28, 29, 30, 40, 51, 52, 55, 60, 62, 63])
def test_one_bit_of_a_value_changes_half_the_bits_of_the_key(bit, rng):
    X = rng.uniform(2, 4, (200, 2))  # of which no other exponent makes inf or nan
    other = X.copy()
    other.view(np.uint64)[:, 1] ^= np.uint64(1) << np.uint64(bit)
    changed = np.bitwise_count(row_keys(X, 1) ^ row_keys(other, 1))
    assert changed.min() > 0
    assert abs(changed.mean() - 32) < 5 * 4 / np.sqrt(200)  # Binomial(64, 1 / 2) has deviation 4


def test_swapped_columns_change_the_key(rng):
    X = few(rng)
    for order in ([1, 0, 2, 3, 4], [4, 3, 2, 1, 0], [1, 2, 3, 4, 0]):
        assert not np.any(row_keys(X[:, order], 1) == row_keys(X, 1))


def test_a_further_column_changes_the_key_even_if_it_is_zero(rng):
    X = few(rng)
    assert not np.any(row_keys(np.pad(X, ((0, 0), (0, 1))), 1) == row_keys(X, 1))


@pytest.mark.parametrize("seeds", [(0, 1), (1, 2), (5, 2**63 - 1)])
def test_seeds_change_the_numbers(seeds, X):
    one, other = (uniforms(row_keys(X, seed), N_COLUMNS) for seed in seeds)
    for column in range(N_COLUMNS):
        assert abs(np.corrcoef(one[:, column], other[:, column])[0, 1]) < 5 / np.sqrt(len(X))


def test_rows_that_differ_have_keys_that_differ(X):
    assert len(np.unique(row_keys(X, 1))) == len(np.unique(X, axis=0)) == len(X)


def test_the_numbers_are_uniform(X):
    U = uniforms(row_keys(X, 1), N_COLUMNS)
    assert U.shape == (len(X), N_COLUMNS)
    assert U.min() > 0
    assert U.max() < 1
    assert stats.kstest(U, "uniform", axis=0).pvalue.min() > 1e-4


@pytest.mark.parametrize("lag", [1, 2, 40, 64])
def test_the_numbers_of_different_rows_are_uncorrelated(lag, X):
    U = uniforms(row_keys(X, 1), N_COLUMNS)
    correlations = np.corrcoef(U[:-lag], U[lag:], rowvar=False)[:N_COLUMNS, N_COLUMNS:]
    assert np.abs(correlations).max() < 5 / np.sqrt(len(X))


def test_the_columns_are_uncorrelated_and_so_are_their_squares(X):
    U = uniforms(row_keys(X, 1), N_COLUMNS) - 0.5
    for table in (U, U**2):
        correlations = np.corrcoef(table, rowvar=False) - np.eye(N_COLUMNS)
        assert np.abs(correlations).max() < 5 / np.sqrt(len(X))


def test_further_columns_leave_the_first_as_they_are(rng):
    keys = row_keys(few(rng), 1)
    assert np.array_equal(uniforms(keys, 7)[:, :3], uniforms(keys, 3))


def test_the_numbers_are_centers_of_cells_so_that_none_is_0_or_1():
    U = uniforms(np.array([0, 1, 2**63, 2**64 - 1], dtype=np.uint64), 1000)
    assert np.all(U * 2.0**52 % 1 == 0.5)


@pytest.mark.parametrize("n_columns", [1, 2, 5, 100])
@pytest.mark.parametrize("exponent", [0, 1, 4, 9])
def test_each_column_of_points_has_one_in_each_interval(exponent, n_columns):
    n = 2**exponent
    found = sobol_points(n, n_columns)
    assert found.shape == (n, n_columns)
    assert found.min() >= 0
    assert found.max() < 1
    cells = np.sort(np.floor(n * found).astype(int), axis=0)
    assert np.array_equal(cells, np.repeat(np.arange(n)[:, None], n_columns, axis=1))


@pytest.mark.parametrize("exponent", [3, 6])
def test_two_columns_of_points_have_one_in_each_box_of_a_kind(exponent):
    found = sobol_points(2**exponent, 2)
    for split in range(exponent + 1):
        rows, columns = np.floor(found * [2**split, 2 ** (exponent - split)]).astype(int).T
        assert len(set(zip(rows, columns, strict=True))) == 2**exponent


@pytest.mark.parametrize("n_points", [1, 2, 3, 5, 100])
def test_fewer_points_are_the_first_of_more(n_points):
    assert np.array_equal(sobol_points(n_points, 3), sobol_points(128, 3)[:n_points])
