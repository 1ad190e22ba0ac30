"""Checks that several rooms need: numbers, tables, random states, all-or-nothing updates."""

from __future__ import annotations

import numbers
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None

LARGEST = 1e100
"""Largest magnitude of a value that a model takes in: its square, summed, still is a float."""


@contextmanager
def unchanged_on_error(estimator: object) -> Iterator[None]:
    """Put every attribute of ``estimator`` back as it was if the block raises."""
    before = dict(vars(estimator))
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


def check_number(
    value: Any,
    name: str,
    *,
    low: float = -np.inf,
    high: float = np.inf,
    open_low: bool = False,
    integer: bool = False,
    remedy: str,
) -> Any:
    """Return ``value`` as int or float if it is one within the bounds, else raise."""
    kind: Any = numbers.Integral if integer else numbers.Real
    noun = "an integer" if integer else "a finite number"
    bound = f" {'>' if open_low else '>='} {low:g}" if low > -np.inf else ""
    if high < np.inf:
        bound += f"{' and' if bound else ''} <= {high:g}"
    if not isinstance(value, kind) or isinstance(value, bool | np.bool_):
        raise TypeError(f"`{name}` must be {noun}{bound}; got {name}={value!r}. {remedy}")
    number = int(value) if integer else float(value)
    inside = low < number <= high if open_low else low <= number <= high
    if not inside or not np.isfinite(number):
        raise ValueError(f"`{name}` must be {noun}{bound}; got {name}={value!r}. {remedy}")
    return number


def check_vector(
    value: Any, name: str, shape: tuple[int, ...], *, low: float = -np.inf, remedy: str
) -> FloatArray:
    """Return ``value``, an array-like of numbers, as a float array of ``shape``, else raise."""
    check_numeric(value, name)
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must hold numbers only; got {name}={value!r}. {remedy}"
        ) from error
    if array.shape != shape:
        raise ValueError(
            f"`{name}` must have shape {shape}; got {name} of shape {array.shape}. {remedy}"
        )
    if not np.all(np.isfinite(array)) or np.any(array < low) or np.any(np.abs(array) > LARGEST):
        bound = f"at least {low:g}, " if low > -np.inf else ""
        raise ValueError(
            f"`{name}` must hold finite numbers, {bound}at most {LARGEST:g} in magnitude; "
            f"got {name}={value!r}. {remedy}"
        )
    return array


def check_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise."""
    listed = ", ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise TypeError(f"`{name}` must be a str; got {name}={value!r}. Choose one of {listed}.")
    if value not in choices:
        raise ValueError(f"`{name}` must be one of {listed}; got {name}={value!r}. Choose one.")
    return value


def check_numeric(table: Any, name: str) -> None:
    """Raise if ``table`` holds text, dates or complex numbers that numpy would quietly convert."""
    kinds = {np.dtype(dtype).kind for dtype in _numpy_dtypes(table)}
    if kinds & set("US"):
        found = "text"
    elif kinds & set("mM"):
        found = "dates or durations"
    elif kinds & set("V"):
        found = "records"
    elif kinds == {"O"} and not hasattr(table, "columns"):
        found = _first_unfit_object(np.asarray(table, dtype=object))
    else:
        return
    if found:
        raise ValueError(
            f"`{name}` must hold numbers; got {found}. Encode it first, for example with "
            "sklearn.preprocessing.OneHotEncoder, or as seconds since a date."
        )


def _numpy_dtypes(table: Any) -> list[Any]:
    """The numpy dtypes of an array-like or data frame; pandas' and polars' own are left out."""
    dtypes = getattr(table, "dtypes", None)
    if dtypes is None:
        dtypes = [getattr(table, "dtype", None)]
        if dtypes == [None] and isinstance(table, list | tuple):
            dtypes = [_dtype_of_nested(table)]
    elif isinstance(dtypes, np.dtype) or not np.iterable(dtypes):
        dtypes = [dtypes]
    return [_as_numpy_dtype(dtype) for dtype in dtypes if dtype is not None]


def _as_numpy_dtype(dtype: Any) -> Any:
    if isinstance(dtype, np.dtype):
        return dtype
    # polars' and pandas' extension types have no numpy dtype, but their names say enough.
    name = str(dtype).lower()
    if name.startswith(("date", "time", "duration")):
        return np.dtype("M8[s]")
    if name.startswith(("str", "utf8", "categor", "enum")):
        return np.dtype("U1")
    return np.dtype(float)


def _dtype_of_nested(rows: Sequence[Any]) -> Any:
    try:
        return np.asarray(rows).dtype
    except (TypeError, ValueError, OverflowError):
        return None  # ragged: scikit-learn's own check says so


def _first_unfit_object(objects: npt.NDArray[Any]) -> str:
    for item in objects.ravel():
        if isinstance(item, str | bytes):
            return f"text ({item!r})"
        if isinstance(item, np.datetime64 | np.timedelta64):
            return f"dates or durations ({item!r})"
    return ""


def generator(random_state: RandomState) -> np.random.Generator:
    """A numpy Generator; ``None`` gives a fresh one, and no global state is touched."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    if random_state is None or isinstance(random_state, np.random.Generator):
        return np.random.default_rng(random_state)
    seed = check_number(
        random_state, "random_state", low=0, integer=True, remedy="Give an int, or None."
    )
    return np.random.default_rng(seed)
