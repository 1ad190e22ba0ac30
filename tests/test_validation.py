"""Every check says "`name` must <condition>; got <value>. <What to do>.", word for word."""

import datetime as dt
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pytest

from skgen._parameters import Choice
from skgen._validation import (
    LARGEST,
    check_number,
    check_numeric,
    check_size,
    check_vector,
    generator,
    restore_on_error,
    shape_of,
    short_repr,
)


def message_of(kind, function, *args, **kwargs):
    with pytest.raises(kind) as caught:
        function(*args, **kwargs)
    assert caught.type is kind
    return str(caught.value)


# -- restore_on_error ------------------------------------------------------------------------


class Thing:
    def __init__(self):
        self.kept = self.gone = self.changed = "before"


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_attributes_come_back_if_the_block_raises(error):
    thing = Thing()
    with pytest.raises(error), restore_on_error(thing):  # noqa: PT012
        thing.new = "after"
        thing.changed = "after"
        del thing.gone
        raise error
    assert vars(thing) == vars(Thing())


def test_attributes_stay_if_the_block_does_not_raise():
    thing = Thing()
    with restore_on_error(thing):
        thing.changed = "after"
    assert thing.changed == "after"


# -- check_number --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value", [2, 2.0, np.float32(2), np.int8(2), np.uint64(2), Fraction(2)], ids=repr
)
def test_real_numbers_become_floats(value):
    number = check_number(value, "width", low=0, remedy="Help.")
    assert number == 2
    assert type(number) is float


@pytest.mark.parametrize("value", [2, np.int8(2), np.uint64(2)], ids=repr)
def test_integers_become_ints(value):
    number = check_number(value, "n_basis", low=1, integer=True, remedy="Help.")
    assert number == 2
    assert type(number) is int


@pytest.mark.parametrize(
    "value",
    [None, True, np.True_, "1", b"1", 1j, [1.0], np.array(1.0), Decimal(1), np.timedelta64(1, "s"),
     pd.NA, float],
    ids=repr,
)  # fmt: skip
def test_what_is_no_number_is_a_type_error(value):
    message = message_of(TypeError, check_number, value, "width", low=0, remedy="Help.")
    assert message == f"`width` must be a finite number >= 0; got width={value!r}. Help."


@pytest.mark.parametrize("value", [2.0, "2", True, np.timedelta64(2, "s"), Fraction(2)], ids=repr)
def test_what_is_no_integer_is_a_type_error(value):
    message = message_of(
        TypeError, check_number, value, "n_basis", low=1, integer=True, remedy="Help."
    )
    assert message == f"`n_basis` must be an integer >= 1; got n_basis={value!r}. Help."


@pytest.mark.parametrize(
    ("value", "bounds", "condition"),
    [
        (np.nan, {}, "a finite number"),
        (np.inf, {}, "a finite number"),
        (-np.inf, {"high": 1}, "a finite number <= 1"),
        (np.inf, {"low": 0}, "a finite number >= 0"),
        (-1, {"low": 0}, "a finite number >= 0"),
        (0, {"low": 0, "open_low": True}, "a finite number > 0"),
        (1.5, {"low": 0, "high": 1}, "a finite number >= 0 and <= 1"),
        (1e101, {"low": 1 / LARGEST, "high": LARGEST}, "a finite number >= 1e-100 and <= 1e+100"),
        (0, {"low": 1, "integer": True}, "an integer >= 1"),
        (2, {"high": 1, "integer": True}, "an integer <= 1"),
        (np.float32("nan"), {"low": 0}, "a finite number >= 0"),
    ],
)
def test_numbers_outside_the_bounds(value, bounds, condition):
    message = message_of(ValueError, check_number, value, "rate", remedy="Give less.", **bounds)
    assert message == f"`rate` must be {condition}; got rate={value!r}. Give less."


@pytest.mark.parametrize("value", [10**400, Fraction(10**400)], ids=["int", "fraction"])
def test_a_number_beyond_the_floats(value):
    message = message_of(ValueError, check_number, value, "rate", low=0, remedy="Give less.")
    assert message.startswith("`rate` must be a finite number >= 0; got rate=")
    assert message.endswith("Give less.")


@pytest.mark.parametrize("bounds", [{"low": 2}, {"high": 2}, {"low": 2, "high": 2}])
def test_bounds_belong_to_the_range(bounds):
    assert check_number(2, "rate", remedy="", **bounds) == 2


def test_a_huge_integer_is_one():
    assert check_number(10**400, "seed", low=0, integer=True, remedy="") == 10**400


# -- check_vector --------------------------------------------------------------------------------

VECTORS = [
    [1, 2.5],
    (1.0, 2.5),
    np.array([1, 2.5], dtype=np.float32),
    np.array([1, 2.5], dtype=object),
    [Fraction(1), Decimal("2.5")],
    pd.Series([1, 2.5]),
    pd.Series([1, 2.5], dtype=object),
    pd.array([1.0, 2.5], dtype="Float64"),
    pl.Series([1.0, 2.5]),
]


@pytest.mark.parametrize("value", VECTORS, ids=lambda value: type(value).__name__)
def test_vectors_become_float_arrays(value):
    vector = check_vector(value, "width", (2,), low=0, remedy="Help.")
    assert type(vector) is np.ndarray
    assert vector.dtype == np.float64
    assert vector.tolist() == [1.0, 2.5]


@pytest.mark.parametrize("value", [[1.0], [[1.0, 2.0]], 1.0, [], np.zeros((2, 1))], ids=repr)
def test_vectors_of_another_shape(value):
    message = message_of(ValueError, check_vector, value, "width", (2,), remedy="Give two.")
    shape = np.shape(value)
    assert message == f"`width` must have shape (2,); got width of shape {shape}. Give two."


@pytest.mark.parametrize(
    ("value", "low", "bound"),
    [
        ([np.nan, 1.0], -np.inf, ""),
        ([np.inf, 1.0], 0.0, "at least 0, "),
        ([-1.0, 1.0], 0.0, "at least 0, "),
        ([1e101, 1.0], -np.inf, ""),
        ([-1e101, 1.0], -np.inf, ""),
        ([None, 1.0], -np.inf, ""),
    ],
)
def test_vectors_with_values_out_of_bounds(value, low, bound):
    message = message_of(ValueError, check_vector, value, "width", (2,), low=low, remedy="Help.")
    assert message == (
        f"`width` must hold finite numbers, {bound}at most 1e+100 in magnitude; "
        f"got width={value!r}. Help."
    )


def test_vectors_of_bools():
    message = message_of(TypeError, check_vector, [True, False], "width", (2,), remedy="Help.")
    assert message == "`width` must hold numbers only; got width=[True, False]. Help."


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("1.0", "text"),
        (b"1.0", "text"),
        (["1.0", "2.0"], "text"),
        (np.array([1j, 2]), "complex numbers"),
        (np.zeros(2, "M8[D]"), "dates or durations"),
        (np.timedelta64(1, "s"), "dates or durations"),
    ],
    ids=repr,
)
def test_vectors_of_something_else_keep_the_remedy(value, found):
    message = message_of(ValueError, check_vector, value, "width", (2,), remedy="Give two.")
    assert message == f"`width` must hold numbers; got {found}. Give two."


def test_ragged_vectors():
    message = message_of(ValueError, check_vector, [[1], [1, 2]], "width", (2,), remedy="Give two.")
    assert message == (
        "`width` must hold one number per cell, in rows of equal length; got a list that is no "
        "table. Give two."
    )


# -- Choice --------------------------------------------------------------------------------------

SOLVER = Choice("qr", "cholesky")


def test_a_choice_comes_back():
    assert SOLVER.check("qr", "solver") == "qr"


@pytest.mark.parametrize("value", [None, 1, b"qr", ["qr"], str], ids=repr)
def test_a_choice_that_is_no_str(value):
    message = message_of(TypeError, SOLVER.check, value, "solver")
    assert (
        message == f"`solver` must be a str; got solver={value!r}. Choose one of 'qr', 'cholesky'."
    )


@pytest.mark.parametrize("value", ["", "QR", "svd"])
def test_a_choice_that_is_none_of_them(value):
    message = message_of(ValueError, SOLVER.check, value, "solver")
    assert message == f"`solver` must be one of 'qr', 'cholesky'; got solver={value!r}. Choose one."


# -- check_numeric -------------------------------------------------------------------------------

NUMERIC = {
    "list": [[1, 2.5], [3, 4]],
    "empty": [],
    "None in a list": [[1.0, None]],
    "float32": np.ones((2, 2), np.float32),
    "bool": np.ones((2, 2), bool),
    "object": np.array([[1, 2.5], [Decimal(1), None]], dtype=object),
    "pandas": pd.DataFrame({"a": [1, 2], "b": [0.5, np.nan]}),
    "pandas with NA": pd.DataFrame({"a": pd.array([1, None], dtype="Int64")}),
    "pandas of objects": pd.DataFrame({"a": [1, 2], "b": [0.5, None]}, dtype=object),
    "pandas series": pd.Series([1.0, 2.0]),
    "pandas arrow": pd.Series([1.0, 2.0], dtype="float64[pyarrow]"),
    "polars": pl.DataFrame({"a": [1, 2], "b": [0.5, None], "c": [True, False]}),
    "polars decimal": pl.Series([Decimal("1.5")]),
    "polars series": pl.Series([1.0, 2.0]),
    "a number": 1.0,
}


@pytest.mark.parametrize("table", NUMERIC.values(), ids=NUMERIC)
def test_numbers_pass(table):
    check_numeric(table, "X")


def test_masked_cells_are_an_error():
    table = np.ma.masked_greater(np.arange(6.0).reshape(3, 2), 3)
    message = message_of(ValueError, check_numeric, table, "X")
    assert "`X` must have no masked cells; got a MaskedArray with 2" in message
    assert np.isnan(table.astype(float).filled(np.nan)).sum() == 2
    check_numeric(np.ma.asarray([[1.0]]), "X")


ENCODE = "Encode it first, for example with sklearn.preprocessing.OneHotEncoder."
CATEGORIES = "Encode them first, for example with sklearn.preprocessing.OneHotEncoder."
SECONDS = "Give them as numbers, for example as seconds since a date."
PARTS = "Complex data not supported: give real and imaginary parts apart."
DAY, SECOND = dt.date(2020, 1, 1), dt.timedelta(seconds=1)
STAMPS = pd.date_range("2020-01-01", periods=2)

NON_NUMERIC_DTYPES = {
    "str": ("abc", "text", ENCODE),
    "bytes": (b"abc", "text", ENCODE),
    "list of str": ([["1", "2"]], "text", ENCODE),
    "list of mixed": ([[1.0, "2"]], "text", ENCODE),
    "numpy str": (np.array([["1.5"]]), "text", ENCODE),
    "numpy bytes": (np.array([[b"1.5"]]), "text", ENCODE),
    "numpy variable str": (np.array(["1.5"], np.dtypes.StringDType()), "text", ENCODE),
    "numpy datetime": (np.zeros((2, 2), "M8[s]"), "dates or durations", SECONDS),
    "numpy timedelta": (np.zeros((2, 2), "m8[s]"), "dates or durations", SECONDS),
    "numpy scalar": (np.datetime64("2020-01-01"), "dates or durations", SECONDS),
    "numpy complex": (np.ones((2, 2)) * 1j, "complex numbers", PARTS),
    "list of complex": ([[1j]], "complex numbers", PARTS),
    "numpy records": (np.zeros(2, [("a", float)]), "records", "Give one column per field."),
    "pandas str": (pd.DataFrame({"a": [1, 2], "b": ["1", "2"]}), "text", ENCODE),
    "pandas arrow str": (pd.Series(["1"], dtype="string[pyarrow]"), "text", ENCODE),
    "pandas datetime": (pd.DataFrame({"a": [1, 2], "b": STAMPS}), "dates or durations", SECONDS),
    "pandas zone": (pd.Series(STAMPS.tz_localize("UTC")), "dates or durations", SECONDS),
    "pandas timedelta": (pd.Series(STAMPS - STAMPS[0]), "dates or durations", SECONDS),
    "pandas period": (pd.Series(STAMPS.to_period("D")), "dates or durations", SECONDS),
    "pandas arrow date": (pd.Series([DAY], dtype="date32[pyarrow]"), "dates or durations", SECONDS),
    "pandas category": (pd.Series(["a"], dtype="category"), "categories", CATEGORIES),
    "pandas complex": (pd.DataFrame({"a": [1j]}), "complex numbers", PARTS),
    "pandas interval": (
        pd.Series(pd.interval_range(0, 2)), "nested values", "Give one number per cell.",
    ),
    "pandas sparse": (
        pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 1.0])}), "sparse columns",
        "Make it dense, or reduce it with sklearn.decomposition.TruncatedSVD.",
    ),
    "polars str": (pl.DataFrame({"a": [1, 2], "b": ["1", "2"]}), "text", ENCODE),
    "polars bytes": (pl.DataFrame({"a": [b"1"]}), "text", ENCODE),
    "polars category": (pl.Series(["a"], dtype=pl.Categorical), "categories", CATEGORIES),
    "polars enum": (pl.Series(["a"], dtype=pl.Enum(["a"])), "categories", CATEGORIES),
    "polars date": (pl.DataFrame({"a": [DAY]}), "dates or durations", SECONDS),
    "polars datetime": (
        pl.DataFrame({"a": [dt.datetime(2020, 1, 1)]}), "dates or durations", SECONDS,
    ),
    "polars duration": (pl.Series([SECOND]), "dates or durations", SECONDS),
    "polars time": (pl.Series([dt.time(1)]), "dates or durations", SECONDS),
    "polars list": (pl.DataFrame({"a": [[1.0]]}), "nested values", "Give one number per cell."),
    "polars array": (
        pl.Series([[1.0]], dtype=pl.Array(pl.Float64, 1)), "nested values",
        "Give one number per cell.",
    ),
    "polars struct": (
        pl.DataFrame({"a": [{"b": 1.0}]}), "nested values", "Give one number per cell.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ["X", "y"])
@pytest.mark.parametrize("case", NON_NUMERIC_DTYPES)
def test_dtypes_that_are_no_numbers(case, name):
    table, found, remedy = NON_NUMERIC_DTYPES[case]
    if name == "y" and found in ("text", "categories"):
        remedy = "Give numbers; for classes use a classifier."
    message = message_of(ValueError, check_numeric, table, name)
    column = f" in column {table.columns[-1]!r}" if hasattr(table, "columns") else ""
    assert message == f"`{name}` must hold numbers; got {found}{column}. {remedy}"


NON_NUMERIC_OBJECTS = [
    ("1.5", "text", ENCODE),
    (b"1.5", "text", ENCODE),
    (DAY, "dates or durations", SECONDS),
    (dt.datetime(2020, 1, 1), "dates or durations", SECONDS),
    (dt.time(1), "dates or durations", SECONDS),
    (SECOND, "dates or durations", SECONDS),
    (np.datetime64("2020-01-01"), "dates or durations", SECONDS),
    (np.timedelta64(1, "s"), "dates or durations", SECONDS),
    (pd.Timestamp(0), "dates or durations", SECONDS),
    (pd.NaT, "dates or durations", SECONDS),
]

CONTAINERS = {
    "numpy": lambda cell: np.array([1.0, None, cell], dtype=object),
    "pandas": lambda cell: pd.DataFrame({"a": [1, 2], "b": pd.Series([1.0, cell], dtype=object)}),
    "polars": lambda cell: pl.DataFrame({"a": pl.Series([cell, cell], dtype=pl.Object)}),
}


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("cell", "found", "remedy"), NON_NUMERIC_OBJECTS, ids=repr)
def test_objects_that_are_no_numbers(cell, found, remedy, container):
    message = message_of(ValueError, check_numeric, table := CONTAINERS[container](cell), "X")
    column = f" in column {table.columns[-1]!r}" if hasattr(table, "columns") else ""
    assert message == f"`X` must hold numbers; got {found}{column} ({cell!r}). {remedy}"


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("cell", [{"a": 1}, object(), int, 1j, pd.NA, 10**400], ids=type)
def test_objects_without_a_float(cell, container):
    kind = ValueError if type(cell) is int else TypeError
    message = message_of(kind, check_numeric, table := CONTAINERS[container](cell), "X")
    column = f" in column {table.columns[-1]!r}" if hasattr(table, "columns") else ""
    try:
        float(cell)
    except (TypeError, OverflowError) as error:
        said = str(error)
    assert message == (
        f"`X` must hold numbers; got {short_repr(cell)}{column} ({said}). Give one float per cell."
    )


@pytest.mark.parametrize("column", ["a", 3])
def test_repeated_column_names(column):
    table = pd.DataFrame(np.eye(3), columns=["b", column, column])
    message = message_of(ValueError, check_numeric, table, "X")
    assert message == (
        f"`X` must have columns of different names; got {column!r} 2 times. Rename them."
    )


@pytest.mark.parametrize("table", [{"a": [1.0]}, {1.0}, object(), len], ids=type)
def test_what_is_no_table(table):
    message = message_of(TypeError, check_numeric, table, "X")
    assert message.startswith("`X` must hold numbers; got ")
    assert message.endswith(". Give one float per cell.")


class Loader:
    """Neither an array nor a collection, as torch's loaders and data sets are."""

    def __iter__(self):
        return iter([np.eye(2)])

    def __len__(self):
        return 1


BATCHES = [iter([1.0]), (row for row in np.eye(2)), Loader(), ds.dataset(pa.table({"a": [1.0]}))]


@pytest.mark.parametrize("batches", BATCHES, ids=lambda batches: type(batches).__name__)
def test_what_comes_in_batches_is_for_partial_fit(batches):
    message = message_of(TypeError, check_numeric, batches, "X")
    assert message == (
        f"`X` must be a table; got a {type(batches).__name__}, which yields its rows in batches. "
        "Call `partial_fit` with each batch."
    )


def itself():
    loop: list = []
    loop.append(loop)
    return loop


@pytest.mark.parametrize("table", [[[1.0], [1.0, 2.0]], [1.0, [2.0]], itself()], ids=repr)
def test_ragged_tables(table):
    message = message_of(ValueError, check_numeric, table, "X")
    assert message == (
        "`X` must hold one number per cell, in rows of equal length; got a list that is no table. "
        "Give a 2d array."
    )


# -- check_size, shape_of, short_repr, generator --------------------------------------------------


@pytest.mark.parametrize("largest", [1e100, -1e100, 0.0, np.float32(1e38)])
def test_sizes_that_pass(largest):
    check_size(np.array([[1.0, largest]], dtype=np.asarray(largest).dtype), "X")
    check_size(np.empty((0, 2)), "X")


@pytest.mark.parametrize("largest", [1.1e100, -1e308, np.inf])
def test_sizes_that_do_not(largest):
    message = message_of(ValueError, check_size, np.array([1.0, largest]), "y")
    assert message == (
        f"`y` must hold values of at most 1e+100 in magnitude; got {abs(largest):g}. Rescale y."
    )


@pytest.mark.parametrize(
    ("value", "shape"),
    [(1.0, ()), ("ab", ()), ([1, 2], (2,)), (np.zeros((3, 2)), (3, 2)), ([[1], [1, 2], 3], (3,)),
     (pl.DataFrame({"a": [1, 2]}), (2, 1))],
)  # fmt: skip
def test_shapes(value, shape):
    assert shape_of(value) == shape


def test_long_values_are_shortened():
    assert short_repr([1.0]) == "[1.0]"
    text = short_repr(list(range(1000)))
    assert len(text) < 200
    assert text.startswith("[0, 1, 2, ")
    assert text.endswith(" 998, 999]")


def test_generators_repeat_by_seed():
    def draw(seed):
        return generator(seed).random()

    assert draw(3) == draw(np.int64(3)) == draw(3) != draw(4)
    assert draw(None) != draw(None)
    assert draw(10**400) == draw(10**400)
    given = np.random.default_rng(3)
    assert generator(given) is given
    states = [np.random.RandomState(3) for _ in range(2)]
    assert draw(states[0]) == draw(states[1]) != draw(states[1])


@pytest.mark.parametrize(
    ("seed", "kind"), [(-1, ValueError), (1.5, TypeError), ("1", TypeError), (True, TypeError)]
)
def test_seeds_that_are_none(seed, kind):
    message = message_of(kind, generator, seed)
    assert message == (
        f"`random_state` must be an integer >= 0; got random_state={seed!r}. Give an int, or None."
    )
