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
