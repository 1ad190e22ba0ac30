"""Checks that several rooms need: numbers, tables, random states, all-or-nothing updates."""

from __future__ import annotations

import copy
import datetime as dt
import numbers
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None

LARGEST = 1e100
"""Largest magnitude of a value that a model takes in: its square, summed, still is a float."""

RANDOM = (np.random.Generator, np.random.RandomState)
DATES = (np.datetime64, np.timedelta64, dt.date, dt.time, dt.timedelta)


@contextmanager
def restore_on_error(estimator: object) -> Iterator[None]:
    """Put every attribute of ``estimator`` back as it was if the block raises."""
    before = dict(vars(estimator))
    drawn_from = before.get("random_state")
    unmoved: Any = copy.deepcopy(drawn_from) if isinstance(drawn_from, RANDOM) else None
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        if isinstance(drawn_from, np.random.Generator):
            drawn_from.bit_generator.state = unmoved.bit_generator.state
        elif isinstance(drawn_from, np.random.RandomState):
            drawn_from.set_state(unmoved.get_state())
        raise


def short_repr(value: Any) -> str:
    """``repr(value)``, its middle left out if it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-50:]}"


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
    message = f"`{name}` must be {noun}{bound}; got {name}={short_repr(value)}. {remedy}"
    if not isinstance(value, kind) or isinstance(value, bool | np.bool_ | np.timedelta64):
        raise TypeError(message)
    try:
        number = int(value) if integer else float(value)
    except OverflowError as error:  # an integer or a fraction beyond the floats
        raise ValueError(message) from error
    inside = low < number <= high if open_low else low <= number <= high
    if not inside or abs(number) == np.inf:
        raise ValueError(message)
    return number


def check_flag(value: Any, name: str) -> bool:
    """Return ``value`` if it is a bool, else raise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(
            f"`{name}` must be a bool; got {name}={short_repr(value)}. Give True or False."
        )
    return bool(value)


def shape_of(value: Any) -> tuple[int, ...]:
    """The shape of an array-like; a ragged list counts as a vector."""
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        return shape
    try:
        return np.asarray(value).shape
    except ValueError:
        return (len(value),)


def check_vector(
    value: Any, name: str, shape: tuple[int, ...], *, low: float = -np.inf, remedy: str
) -> FloatArray:
    """Return ``value``, an array-like of numbers, as a float array of ``shape``, else raise."""
    check_numeric(value, name, remedy=remedy)
    try:
        array = np.asarray(value, dtype=np.float64)
        if np.asarray(value).dtype == bool:
            raise TypeError("bool")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"`{name}` must hold numbers only; got {name}={short_repr(value)}. {remedy}"
        ) from error
    if array.shape != shape:
        raise ValueError(
            f"`{name}` must have shape {shape}; got {name} of shape {array.shape}. {remedy}"
        )
    if not np.all(np.isfinite(array)) or np.any(array < low) or np.any(np.abs(array) > LARGEST):
        bound = f"at least {low:g}, " if low > -np.inf else ""
        raise ValueError(
            f"`{name}` must hold finite numbers, {bound}at most {LARGEST:g} in magnitude; "
            f"got {name}={short_repr(value)}. {remedy}"
        )
    return array


def check_size(table: npt.NDArray[np.floating], name: str) -> None:
    """Raise if a value of ``table`` is so large that sums of squares might overflow."""
    largest = max(float(table.max()), -float(table.min())) if table.size else 0.0
    if largest > LARGEST:
        raise ValueError(
            f"`{name}` must hold values of at most {LARGEST:g} in magnitude; got {largest:g}. "
            f"Rescale {name}."
        )


def check_choice(value: Any, name: str, choices: Sequence[str]) -> str:
    """Return ``value`` if it is one of ``choices``, else raise."""
    listed = ", ".join(repr(choice) for choice in choices)
    if not isinstance(value, str):
        raise TypeError(
            f"`{name}` must be a str; got {name}={short_repr(value)}. Choose one of {listed}."
        )
    if value not in choices:
        raise ValueError(
            f"`{name}` must be one of {listed}; got {name}={short_repr(value)}. Choose one."
        )
    return value


UNFIT = {
    "text": "Encode it first, for example with sklearn.preprocessing.OneHotEncoder.",
    "categories": "Encode them first, for example with sklearn.preprocessing.OneHotEncoder.",
    "dates or durations": "Give them as numbers, for example as seconds since a date.",
    "complex numbers": "Complex data not supported: give real and imaginary parts apart.",
    "records": "Give one column per field.",
    "nested values": "Give one number per cell.",
    "sparse columns": "Make it dense, or reduce it with sklearn.decomposition.TruncatedSVD.",
}
"""What a table must not hold, although numpy would convert much of it; and what to do."""

UNFIT_KINDS = {
    **dict.fromkeys("UST", "text"),
    **dict.fromkeys("mM", "dates or durations"),
    "c": "complex numbers",
    "V": "records",
}

# The dtypes of pandas, pyarrow and polars have no numpy dtype, but their names say enough.
UNFIT_NAMES = {
    ("interval", "list", "large_list", "array(", "struct", "map"): "nested values",
    ("str", "utf8", "large_string", "binary"): "text",
    ("categor", "enum", "dictionary"): "categories",
    ("date", "time", "duration", "period"): "dates or durations",
    ("sparse",): "sparse columns",
}


def check_numeric(table: Any, name: str, *, remedy: str = "") -> None:
    """Raise if ``table`` holds anything but real numbers, which numpy might quietly convert."""
    if _is_batched(table):
        raise TypeError(
            f"`{name}` must be a table; got a {type(table).__name__}, which has to be gone through "
            "batch by batch. Call `partial_fit` with each batch."
        )
    try:
        dtypes = _dtypes(table)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold one number per cell, in rows of equal length; got a "
            f"{type(table).__name__} that is no table. {remedy or 'Give a 2d array.'}"
        ) from error
    for dtype in dtypes:
        if found := _unfit(dtype):
            raise ValueError(f"`{name}` must hold numbers; got {found}. {remedy or UNFIT[found]}")
    if any(str(dtype).lower() == "object" for dtype in dtypes):
        _check_items(np.asarray(table, dtype=object), name, remedy)


def _is_batched(value: Any) -> bool:
    """Whether rows come out of ``value`` in batches only: iterators, loaders, sets of files."""
    if hasattr(value, "shape") or hasattr(value, "__array__"):
        return False
    once = isinstance(value, Iterable) and not isinstance(value, Collection)
    return once or hasattr(value, "to_batches")


def _dtypes(table: Any) -> list[Any]:
    """The dtypes of a data frame's columns, or that of an array-like."""
    dtypes = getattr(table, "dtypes", None)
    if np.iterable(dtypes):
        return list(dtypes)
    dtype = getattr(table, "dtype", None)
    return [np.asarray(table).dtype if dtype is None else dtype]


def _unfit(dtype: Any) -> str:
    if isinstance(dtype, np.dtype):
        return UNFIT_KINDS.get(dtype.kind, "")
    name = str(dtype).lower()
    return next((found for starts, found in UNFIT_NAMES.items() if name.startswith(starts)), "")


def _check_items(items: npt.NDArray[Any], name: str, remedy: str) -> None:
    for item in items.ravel():
        if isinstance(item, str | bytes):
            found = "text"
        elif isinstance(item, DATES):
            found = "dates or durations"
        else:
            try:
                item is None or float(item)  # None is NaN, of which scikit-learn speaks
            except (TypeError, ValueError, OverflowError) as error:
                raise TypeError(
                    f"`{name}` must hold numbers; got {short_repr(item)} ({error}). "
                    f"{remedy or 'Give one float per cell.'}"
                ) from error
            continue
        raise ValueError(
            f"`{name}` must hold numbers; got {found} ({short_repr(item)}). "
            f"{remedy or UNFIT[found]}"
        )


def generator(random_state: RandomState) -> np.random.Generator:
    """A numpy Generator; ``None`` gives a fresh one, and no global state is touched."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(check_seed(random_state))


def check_seed(random_state: RandomState) -> Any:
    """Raise unless ``random_state`` is one; nothing is drawn from it."""
    if random_state is None or isinstance(random_state, RANDOM):
        return random_state
    return check_number(
        random_state, "random_state", low=0, integer=True, remedy="Give an int, or None."
    )
