"""Bad values, made up at random: what is passed to estimators to see how they take it."""

import copy
import datetime as dt
import functools
import types
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import scipy.sparse

# -- tables --------------------------------------------------------------------------------------
# Each function takes a generator and a good float array, and gives what is passed in its place.

Corruption = Callable[[np.random.Generator, np.ndarray], Any]

NUMBERS = (
    np.nan, np.inf, -np.inf, 1e308, -1e308, 1e200, -1e155, 1e100, 1e60, 1e-60, 1e-200, 1e-310,
    5e-324, 0.0, -1.0,
)  # fmt: skip

THINGS = (
    None, "text", "1.5", b"1.5", dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.timedelta(1),
    np.datetime64("2020-01-01"), np.timedelta64(1, "s"), pd.Timestamp(0), pd.NA, pd.NaT, 1 + 2j,
    {"a": 1}, [1.0, 2.0], (), np.ones(2), object(), int, 10**400, Decimal("1.5"), Decimal("nan"),
    Fraction(1, 2), True,
)  # fmt: skip


def itself() -> list[Any]:
    """A list that contains itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


def pick(rng: np.random.Generator, options: Any) -> Any:
    """One of ``options``, which numpy must not convert."""
    options = list(options)
    return options[rng.integers(len(options))]


def cells(rng: np.random.Generator, array: np.ndarray) -> Any:
    """An index of one cell, one row, one column, or everything."""
    if not array.size:
        return ...
    cell = tuple(int(rng.integers(length)) for length in array.shape)
    return pick(rng, [cell, cell[:1], (..., cell[-1]), ...])


def with_number(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.copy()
    bad[cells(rng, bad)] = pick(rng, NUMBERS)
    return bad


def with_thing(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.astype(object)
    cell = tuple(int(rng.integers(length)) for length in bad.shape)
    bad[cell] = pick(rng, THINGS)
    if rng.random() < 0.3:
        return bad.tolist()
    return pd.DataFrame(bad) if bad.ndim == 2 and rng.random() < 0.4 else bad


def rescaled(rng: np.random.Generator, good: np.ndarray) -> Any:
    return good * pick(rng, [1e-310, 1e-200, 1e-100, 1e-9, 1e9, 1e90, 1e99, 1e120])


def reshaped(rng: np.random.Generator, good: np.ndarray) -> Any:
    shapes: list[Callable[[], Any]] = [
        lambda: float(good.flat[0]),
        lambda: np.array(1.0),
        lambda: good.ravel(),
        lambda: good[..., None],
        lambda: good[None],
        lambda: good[:-1],
        lambda: np.concatenate([good, good[:1]]),
        lambda: good[:1],
        lambda: good[:0],
        lambda: good[..., :0],
        lambda: good.T,
        lambda: np.column_stack([good, good]),
        lambda: np.column_stack([good, good])[:, :1],
        lambda: [[1.0, 2.0], [3.0]],
        lambda: [*good.tolist()[:-1], [[1.0]]],
        lambda: [],
        lambda: [[]],
        lambda: [[], []],
    ]
    return pick(rng, shapes)()


def retyped(rng: np.random.Generator, good: np.ndarray) -> Any:
    count = np.arange(good.size).reshape(good.shape)
    types_: list[Callable[[], Any]] = [
        lambda: good.astype(str),
        lambda: good.astype("S"),
        lambda: good.astype(str).astype(object),
        lambda: good.astype(str).tolist(),
        lambda: count.astype("M8[D]"),
        lambda: count.astype("m8[s]"),
        lambda: count.astype("M8[D]").astype(object),
        lambda: good + 1j,
        lambda: (good + 1j).tolist(),
        lambda: good.astype(bool),
        lambda: count,
        lambda: good.astype(np.float16),
        lambda: good.astype(np.longdouble) * np.longdouble("1e4000"),
        lambda: good.astype(object),
        lambda: np.zeros(good.shape, dtype=[("a", float), ("b", int)]),
        lambda: np.zeros(good.shape, dtype="V8"),
    ]
    return pick(rng, types_)()


def framed(rng: np.random.Generator, good: np.ndarray) -> Any:
    """A pandas or polars frame or series, most often with a column that holds no numbers."""
    table = good if good.ndim == 2 else good[:, None]
    n = len(table)
    stamps = pd.date_range("2020-01-01", periods=n)
    odd_pandas: list[Callable[[], Any]] = [
        lambda: stamps,
        lambda: stamps.tz_localize("UTC"),
        lambda: stamps - stamps[0],
        lambda: stamps.to_period("D"),
        lambda: pd.interval_range(0, n),
        lambda: pd.Categorical(list("ab" * n)[:n]),
        lambda: pd.Categorical(np.arange(n)),
        lambda: pd.Series(["a"] * n),
        lambda: pd.Series(["1.5"] * n, dtype=object),
        lambda: pd.Series([pick(rng, THINGS) for _ in range(n)], dtype=object),
        lambda: pd.array([1, None] * n, dtype="Int64")[:n],
        lambda: pd.array([1.0, 2.0] * n, dtype="Float64")[:n],
        lambda: pd.array([True, False] * n, dtype="boolean")[:n],
        lambda: pd.array(["a", "b"] * n, dtype="string[pyarrow]")[:n],
        lambda: pd.arrays.SparseArray(table[:, 0]),
        lambda: table[:, 0] + 1j,
        lambda: table[:, 0],
    ]
    odd_polars: list[Callable[[], Any]] = [
        lambda: ["a"] * n,
        lambda: ["1.5"] * n,
        lambda: [dt.date(2020, 1, 1)] * n,
        lambda: [dt.datetime(2020, 1, 1)] * n,
        lambda: [dt.timedelta(1)] * n,
        lambda: [dt.time(1)] * n,
        lambda: [b"1"] * n,
        lambda: [[1.0, 2.0]] * n,
        lambda: [{"a": 1.0}] * n,
        lambda: [None] * n,
        lambda: [1.0, None] * (n // 2) + [1.0] * (n % 2),
        lambda: pl.Series(["a"] * n, dtype=pl.Categorical),
        lambda: pl.Series([object()] * n, dtype=pl.Object),
        lambda: pl.Series([Decimal(1)] * n, dtype=pl.Decimal(10, 2)),
        lambda: [True] * n,
        lambda: table[:, 0],
    ]
    if rng.random() < 0.5:
        frame = pd.DataFrame(table, columns=[f"x{i}" for i in range(table.shape[1])])
        frame[pick(rng, frame.columns)] = pick(rng, odd_pandas)()
        names = pick(rng, [None, None, [f"z{i}" for i in frame], [*frame.columns[::-1]]])
        if names is not None:
            frame.columns = names
        if rng.random() < 0.1:
            frame.columns = [0, *frame.columns[1:]]
        return frame if good.ndim == 2 or rng.random() < 0.3 else frame.iloc[:, 0]
    columns = {f"x{i}": table[:, i] for i in range(table.shape[1])}
    columns[pick(rng, columns)] = pick(rng, odd_polars)()
    polars = pl.DataFrame(columns)
    return polars if good.ndim == 2 or rng.random() < 0.3 else polars[:, 0]


def foreign(rng: np.random.Generator, good: np.ndarray) -> Any:
    """No table at all, or one in a container that is not taken."""
    table = np.atleast_2d(good)
    others: list[Callable[[], Any]] = [
        lambda: scipy.sparse.csr_matrix(table),
        lambda: scipy.sparse.coo_array(table),
        lambda: np.asmatrix(table),
        lambda: dict(enumerate(good.tolist())),
        lambda: set(good.ravel().tolist()),
        lambda: iter(good.tolist()),
        lambda: memoryview(good),
        itself,
        *(functools.partial(lambda thing: thing, thing) for thing in THINGS),
    ]
    return pick(rng, others)()


def healthy(rng: np.random.Generator, good: np.ndarray) -> Any:
    """The good array, or the same in another container that is taken."""
    read_only = good.copy()
    read_only.flags.writeable = False
    forms = [good, good.tolist(), np.asfortranarray(good), good.astype(np.float32), read_only,
             good.astype(object), good[::-1]]  # fmt: skip
    return pick(rng, forms)


TABLES: dict[str, Corruption] = {
    function.__name__: function
    for function in (with_number, with_thing, rescaled, reshaped, retyped, framed, foreign)
}


def negative(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.copy()
    bad[cells(rng, bad)] *= -1
    return bad


def sparse_weights(rng: np.random.Generator, good: np.ndarray) -> Any:
    """Most or all weights zero."""
    return good * (rng.random(len(good)) < pick(rng, [0.0, 0.1, 0.5]))


WEIGHTS = {**TABLES, "negative": negative, "sparse_weights": sparse_weights}

# -- data frames of mixed columns ----------------------------------------------------------------
# A column is made by a generator and a number of rows, at least 4.

Column = Callable[[np.random.Generator, int], Any]


def some(rng: np.random.Generator, cells: Sequence[Any], n: int) -> list[Any]:
    """A list of cells at random, which begins with the first two."""
    return [*cells[:2], *(pick(rng, cells) for _ in range(n - 2))]


def of_arrow(kind: pa.DataType, cells: Sequence[Any]) -> Column:
    return lambda rng, n: pd.Series(some(rng, cells, n), dtype=pd.ArrowDtype(kind))


def of_pandas(dtype: Any, cells: Sequence[Any]) -> Column:
    return lambda rng, n: pd.Series(some(rng, cells, n), dtype=dtype)


def of_polars(dtype: Any, cells: Sequence[Any]) -> Column:
    return lambda rng, n: pl.Series(some(rng, cells, n), dtype=dtype)


PRICES = [Decimal("1.25"), Decimal("0.5"), None]
MANY = [f"k{i}" for i in range(10_000)]
GOOD_COLUMNS: dict[str, dict[str, Column]] = {
    "pandas": {
        "numbers": lambda rng, n: rng.normal(size=n),
        "single precision": lambda rng, n: rng.normal(size=n).astype(np.float32),
        "half precision": lambda rng, n: rng.normal(size=n).astype(np.float16),
        "holes": of_pandas(float, [1.5, 2.5, np.nan]),
        "zeros and a tail": lambda rng, n: rng.exponential(size=n) * rng.integers(2, size=n),
        "far out": lambda rng, n: np.where(np.arange(n) == 1, 1e9, rng.normal(size=n)),
        "constant": lambda rng, n: np.full(n, 2.5),
        "next to constant": lambda rng, n: np.where(np.arange(n) == 1, 2.6, 2.5),
        "tiny": lambda rng, n: 1e-200 * rng.normal(size=n),
        "large": lambda rng, n: 1e90 * rng.normal(size=n),
        "integers": lambda rng, n: rng.integers(-3, 4, size=n),
        "long integers": of_pandas("uint64", [0, 2**64 - 1, 7]),
        "integers with holes": of_pandas("Int8", [1, 2, None]),
        "integers as objects": of_pandas(object, [1, 2.5, None]),
        "booleans": lambda rng, n: rng.integers(2, size=n) == 1,
        "booleans with holes": of_pandas("boolean", [True, False, None]),
        "booleans as objects": of_pandas(object, [True, False, None]),
        "one boolean": lambda rng, n: np.ones(n, dtype=bool),
        "text": of_pandas("str", ["u", "", None]),
        "text with pd.NA": of_pandas("string", ["u", "v", None]),
        "one text": of_pandas("str", ["u", "u"]),
        "names": lambda rng, n: pd.Series([f"name {i}" for i in range(n)], dtype="str"),
        "categories": of_pandas(pd.CategoricalDtype(["a", "b", "c"]), ["a", "b", None]),
        "ordered": of_pandas(pd.CategoricalDtype(["lo", "hi"], ordered=True), ["hi", "lo"]),
        "categories of numbers": of_pandas("category", [5, 1.5, None]),
        "categories of kinds": of_pandas("category", ["a", 1, True]),
        "categories of dates": of_pandas("category", [pd.Timestamp(0), pd.Timestamp(1)]),
        "bins": lambda rng, n: pd.cut(np.arange(n), 3),
        "one category": of_pandas("category", ["a", "a"]),
        "10^4 categories": of_pandas(pd.CategoricalDtype(MANY), ["k0", "k9999"]),
        "text of pyarrow": of_arrow(pa.string(), ["u", "v", None]),
        "categories of pyarrow": of_arrow(pa.dictionary(pa.int32(), pa.string()), ["u", "v", None]),
        "integers of pyarrow": of_arrow(pa.int16(), [1, 2, None]),
        "decimals of pyarrow": of_arrow(pa.decimal128(6, 2), PRICES),
        "decimals": of_pandas(object, PRICES),
    },
    "polars": {
        "numbers": lambda rng, n: pl.Series(rng.normal(size=n)),
        "NaN": of_polars(pl.Float64, [1.0, 2.0, np.nan]),
        "holes": of_polars(pl.Float32, [1.0, 2.0, None]),
        "constant": of_polars(pl.Int64, [7, 7]),
        "integers": of_polars(pl.UInt8, [1, 255, None]),
        "booleans": of_polars(pl.Boolean, [True, False, None]),
        "text": of_polars(pl.String, ["u", "", None]),
        "categories": of_polars(pl.Categorical, ["u", "v", None]),
        "enumeration": of_polars(pl.Enum(["u", "v", "w"]), ["u", "v", None]),
        "10^4 categories": of_polars(pl.Enum(MANY), ["k0", "k9999"]),
        "decimals": of_polars(pl.Decimal(10, 2), PRICES),
    },
}
MISSING_COLUMNS: dict[str, dict[str, Column]] = {
    "pandas": {
        "all NaN": lambda rng, n: np.full(n, np.nan),
        "all None": lambda rng, n: pd.Series([None] * n, dtype=object),
        "no category": lambda rng, n: pd.Categorical([None] * n),
        "no text": lambda rng, n: pd.Series([None] * n, dtype="str"),
        "no integer": lambda rng, n: pd.array([None] * n, dtype="Int64"),
        "no boolean": lambda rng, n: pd.array([None] * n, dtype="boolean"),
        "nothing of pyarrow": lambda rng, n: pd.Series([None] * n, dtype=pd.ArrowDtype(pa.null())),
    },
    "polars": {
        "nothing": lambda rng, n: pl.Series([None] * n),
        "no number": lambda rng, n: pl.Series([None] * n, dtype=pl.Float64),
        "no text": lambda rng, n: pl.Series([None] * n, dtype=pl.String),
        "no category": lambda rng, n: pl.Series([None] * n, dtype=pl.Categorical),
        "no boolean": lambda rng, n: pl.Series([None] * n, dtype=pl.Boolean),
    },
}
DAYS = [dt.date(2020, 1, 1), dt.date(2020, 1, 2), None]
BAD_COLUMNS: dict[str, dict[str, Column]] = {
    "pandas": {
        "infinity": of_pandas(float, [1.0, np.inf, np.nan]),
        "minus infinity": of_pandas(np.float32, [1.0, -np.inf]),
        "too large": of_pandas(float, [1.0, -1e120, np.nan]),
        "text as objects": of_pandas(object, ["1.5", "a", None]),
        "bytes": of_pandas(object, [b"1.5", None]),
        "things": lambda rng, n: pd.Series([pick(rng, [[1.0], {}, object])] * n, dtype=object),
        "too large objects": of_pandas(object, [1, 10**400]),
        "dates": lambda rng, n: pd.date_range("2020-01-01", periods=n),
        "dates as objects": of_pandas(object, DAYS),
        "durations": lambda rng, n: pd.to_timedelta(np.arange(n), unit="s"),
        "periods": lambda rng, n: pd.period_range("2020-01-01", periods=n, freq="D"),
        "intervals": lambda rng, n: pd.interval_range(0, n),
        "complex": lambda rng, n: rng.normal(size=n) + 1j,
        "sparse": lambda rng, n: pd.arrays.SparseArray(rng.normal(size=n)),
        "dates of pyarrow": of_arrow(pa.date32(), DAYS),
        "lists of pyarrow": of_arrow(pa.list_(pa.float64()), [[1.0], [2.0], None]),
        "bytes of pyarrow": of_arrow(pa.binary(), [b"1", b"2", None]),
    },
    "polars": {
        "infinity": of_polars(pl.Float64, [1.0, np.inf, None]),
        "too large": of_polars(pl.Float64, [1.0, 1e120, None]),
        "dates": of_polars(pl.Date, DAYS),
        "times": of_polars(pl.Time, [dt.time(1), dt.time(2), None]),
        "durations": of_polars(pl.Duration, [dt.timedelta(1), None]),
        "lists": of_polars(pl.List(pl.Float64), [[1.0], [2.0], None]),
        "structs": of_polars(pl.Struct({"a": pl.Float64}), [{"a": 1.0}, None]),
        "bytes": of_polars(pl.Binary, [b"1", b"2", None]),
        "objects": lambda rng, n: pl.Series([object()] * n, dtype=pl.Object),
        "128 bits": of_polars(pl.Int128, [1, 2, None]),
    },
}


def frame_of(library: str, columns: dict[str, Any]) -> Any:
    """A data frame, of pandas with an index of its own."""
    if library == "polars":
        return pl.DataFrame(columns)
    frame = pd.DataFrame({name: pd.Series(column) for name, column in columns.items()})
    return frame.set_axis([f"row {i}" for i in range(len(frame))])


def other_frame(rng: np.random.Generator, frame: Any) -> Any:
    """What is no data frame, or one of other columns or without rows."""
    names = [*frame.columns]
    if isinstance(frame, pl.DataFrame):
        others: list[Callable[[], Any]] = [
            lambda: frame[:0],
            lambda: frame[:, :-1],
            lambda: frame[:, ::-1],
            lambda: frame.with_columns(more=1),
            lambda: frame.rename({names[0]: "renamed"}),
            frame.lazy,
            frame.to_numpy,
            frame.to_dicts,
            lambda: frame[names[0]],
        ]
        return pick(rng, others)()
    others = [
        lambda: frame.iloc[:0],
        lambda: frame.iloc[:, :-1],
        lambda: frame.iloc[:, ::-1],
        lambda: frame[[]],
        lambda: frame.assign(more=1),
        lambda: frame.rename(columns={names[0]: "renamed"}),
        lambda: frame.set_axis([*names[:-1], names[0]], axis=1),
        lambda: frame.set_axis([*names[:-1], 7], axis=1),
        lambda: frame.set_axis(range(len(names)), axis=1),
        frame.to_numpy,
        frame.to_dict,
        lambda: frame.to_dict("records"),
        lambda: frame.to_numpy().tolist(),
        lambda: frame[names[0]],
        lambda: None,
    ]
    return pick(rng, others)()


# -- bad parameters ------------------------------------------------------------------------------

JUNK = (
    None, True, False, np.True_, np.nan, np.inf, -np.inf, -1, 0, 1, 2, 3, 7, -1.0, 0.0, 0.5, 2.5,
    1e308, -1e308, 1e200, 1e100, -1e100, 1e90, 1e-90, 1e-100, 1e-200, 5e-324, 10**12, 10**400,
    np.float32(0.5), np.int8(2), np.float64("nan"), np.array(1.5), Fraction(1, 2), Decimal(1),
    1 + 0j, "", "nonsense", "1.0", b"gaussian", [], [[]], [1.0], [1.0, 2.0], (0.0, 1.0), (1.0, 0.0),
    (0.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (-1e100, 1e100), (-1e308, 1e308), (1e-320, 2e-320),
    (0.0, 1e-300), [[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0], [2.0, 3.0]],
    ["a", "b"], ["1.0", "2.0"], [True, False], [None, 1.0], [1e-100, 1e100], [1e200, 1.0],
    np.ones(3), np.full(3, np.nan), np.ones((2, 3)), np.zeros((3, 2)), np.eye(2) * 1e99,
    np.ones((2, 2, 2)), np.ones(2) * 1j, np.array(["a"]), np.array([object()]), -np.ones(2),
    np.array([[0.0, 0.0], [1e-200, 0.0], [1.0, 1.0]]), np.array([1.0, 2.0], dtype=object),
    np.datetime64("2020-01-01"), np.timedelta64(1, "s"), np.zeros(2, "M8[D]"), dt.timedelta(1),
    pd.NA, pd.NaT, pd.Series([1.0, 2.0]), pd.DataFrame([[0.0, 1.0]]), pl.Series([1.0, 2.0]),
    scipy.sparse.eye(2).tocsr(), {}, {"a": 1}, {1.0}, object(), int, len,
    types.SimpleNamespace(), np.random.default_rng(0), np.random.RandomState(0),
)  # fmt: skip


def junk(rng: np.random.Generator, words: Sequence[str] = (), share: float = 0.0) -> Any:
    """A value that suits few parameters, with a chance ``share`` one of ``words``.

    It is a copy, because generators among the values change with use.
    """
    return pick(rng, words) if rng.random() < share else copy.deepcopy(pick(rng, JUNK))


# -- arguments -----------------------------------------------------------------------------------


def named(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


def corrupted(
    rng: np.random.Generator, arguments: dict[str, np.ndarray | None]
) -> tuple[str, dict[str, Any]]:
    """The arguments, one or two of them spoilt, and what was done to them."""
    spoilt = {pick(rng, arguments) for _ in range(rng.integers(1, 3))}
    labels, values = [], {}
    for name, good in arguments.items():
        if good is None:
            continue
        if name not in spoilt:
            values[name] = healthy(rng, good) if rng.random() < 0.2 else good
            continue
        how = pick(rng, WEIGHTS if name == "sample_weight" else TABLES)
        values[name] = WEIGHTS[how](rng, good)
        labels.append(f"{name} {how}")
    return ", ".join(labels), values
