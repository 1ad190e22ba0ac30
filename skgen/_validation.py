"""Checks of numbers, tables, images and random states; restoring of objects after errors."""

import copy
import datetime as dt
import itertools
import numbers
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
RandomState = int | np.random.Generator | np.random.RandomState | None

LARGEST = 1e100
"""Largest magnitude of a value of X or y, so that sums of squares do not overflow."""
GENERATORS = (np.random.Generator, np.random.RandomState)
DATES = (np.datetime64, np.timedelta64, dt.date, dt.time, dt.timedelta)


@contextmanager
def restore_on_error(estimator: object) -> Iterator[None]:
    """Restore every attribute of ``estimator``, and its generator, if the block raises."""
    before, random = dict(vars(estimator)), vars(estimator).get("random_state")
    random_before = copy_generator(random)
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        rewind(random, random_before)
        raise


def copy_generator(random: Any) -> Any:
    """Return a copy of a generator for `rewind`, or None for a seed."""
    return copy.deepcopy(random) if isinstance(random, GENERATORS) else None


def rewind(random: Any, before: Any) -> None:
    """Set a generator to the state of ``before``, an earlier copy; do nothing for a seed."""
    if isinstance(random, np.random.Generator):
        random.bit_generator.state = before.bit_generator.state
    elif isinstance(random, np.random.RandomState):
        random.set_state(before.get_state())


def short_repr(value: Any) -> str:
    """Return ``repr(value)``; its middle is left out if it is long."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:100]} ... {text[-50:]}"


def error_message(name: str, condition: str, value: Any, remedy: str) -> str:
    """Return the message of an error: argument, condition, value and remedy."""
    return f"`{name}` must {condition}; got {name}={short_repr(value)}. {remedy}"


def check_number(
    value: Any, name: str, *, low: float = -np.inf, high: float = np.inf, open_low: bool = False,
    integer: bool = False, remedy: str,
) -> Any:  # fmt: skip
    """Return ``value`` as an int or float within the bounds, or raise."""
    kind: Any = numbers.Integral if integer else numbers.Real
    noun = "an integer" if integer else "a finite number"
    bound = f" {'>' if open_low else '>='} {low:g}" if low > -np.inf else ""
    if high < np.inf:
        bound += f"{' and' if bound else ''} <= {high:g}"
    message = error_message(name, f"be {noun}{bound}", value, remedy)
    if not isinstance(value, kind) or isinstance(value, bool | np.bool_ | np.timedelta64):
        raise TypeError(message)
    try:
        number = int(value) if integer else float(value)
    except OverflowError as error:  # an integer or a fraction beyond the floats
        raise ValueError(message) from error
    if not low <= number <= high or (open_low and number == low) or abs(number) == np.inf:
        raise ValueError(message)
    return number


def check_flag(value: Any, name: str) -> bool:
    """Return ``value`` if it is a bool, or raise."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(error_message(name, "be a bool", value, "Give True or False."))
    return bool(value)


def shape_of(value: Any) -> tuple[int, ...]:
    """Return the shape of an array-like; a ragged list counts as a vector."""
    if isinstance(getattr(value, "shape", None), tuple):
        return value.shape
    try:
        return np.asarray(value).shape
    except ValueError:
        return (len(value),)


def check_vector(
    value: Any, name: str, shape: tuple[int, ...], *, low: float = -np.inf, remedy: str
) -> FloatArray:
    """Return ``value``, an array-like of numbers, as a float array of ``shape``, or raise."""
    check_numeric(value, name, remedy=remedy)
    try:
        array = np.asarray(value, dtype=np.float64)
        if np.asarray(value).dtype == bool:
            raise TypeError("bool")
    except (TypeError, ValueError) as error:
        raise TypeError(error_message(name, "hold numbers only", value, remedy)) from error
    if array.shape != shape:
        raise ValueError(
            f"`{name}` must have shape {shape}; got {name} of shape {array.shape}. {remedy}"
        )
    if not np.all((array >= low) & (np.abs(array) <= LARGEST)):
        bound = f"at least {low:g}, " if low > -np.inf else ""
        condition = f"hold finite numbers, {bound}at most {LARGEST:g} in magnitude"
        raise ValueError(error_message(name, condition, value, remedy))
    return array


def check_size(
    table: npt.NDArray[np.floating], name: str, columns: Sequence[Any] | None = None
) -> None:
    """Raise if ``table`` has a value so large that sums of squares may overflow."""
    low, high = extremes(table) if table.size else (0.0, 0.0)
    largest = max(float(high), -float(low))
    if largest > LARGEST:
        found, remedy = f"{largest:g}", f"Rescale {name}."
        if columns is not None:
            column = columns[int(np.argwhere(np.abs(table) == largest)[0, 1])]
            is_infinite = largest == np.inf
            found = f"{'infinity' if is_infinite else found} in column {column!r}"
            remedy = "Correct it, or give NaN if it is missing." if is_infinite else remedy
        raise ValueError(
            f"`{name}` must hold values of at most {LARGEST:g} in magnitude; got {found}. {remedy}"
        )


def extremes(table: npt.NDArray[np.floating], axis: int | None = None) -> tuple[Any, Any]:
    """Return least and greatest values; NaN only where all values are NaN."""
    low, high = table.min(axis), table.max(axis)
    if np.isnan(low).any():
        return np.fmin.reduce(table, axis=axis), np.fmax.reduce(table, axis=axis)
    return low, high


def missing_cells(table: npt.NDArray[np.floating]) -> npt.NDArray[np.bool_] | None:
    """Return a mask of the cells that are NaN, or None if there are none."""
    return np.isnan(table) if table.size and np.isnan(table.min()) else None


MISSING = ("NoneType", "NAType")
"""Types of None and pandas.NA, which stand for missing cells in tables of objects."""

ENCODE = "Encode {} first, for example with sklearn.preprocessing.OneHotEncoder."
SECONDS = "Give them as numbers, for example as seconds since a date."
NARROWER = "Cast them to a dtype of 64 bits."
PARTS = "Complex data not supported: give real and imaginary parts apart."
DENSE = "Make it dense, or reduce it with sklearn.decomposition.TruncatedSVD."

NESTED = ("interval", "list", "large_list", "array(", "struct", "map")
NON_NUMERIC: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "nested values": ("Give one number per cell.", "", NESTED),
    "text": (ENCODE.format("it"), "UST", ("str", "utf8", "large_string", "binary")),
    "categories": (ENCODE.format("them"), "", ("categor", "enum", "dictionary")),
    "dates or durations": (SECONDS, "mM", ("date", "time", "duration", "period")),
    "complex numbers": (PARTS, "c", ()),
    "records": ("Give one column per field.", "V", ()),
    "sparse columns": (DENSE, "", ("sparse",)),
    "integers of 128 bits": (NARROWER, "", ("int128", "uint128")),
}
"""Contents that a table must not have, although numpy converts some of them.

For each, the tuple has a remedy, the kinds of its dtypes in numpy, and the first letters of the
names of its dtypes in pandas, pyarrow and polars.
"""


def check_numeric(
    table: Any, name: str, *, remedy: str = "", encode: str = "",
    missing: Collection[str] = ("NoneType",),
) -> None:  # fmt: skip
    """Raise if ``table`` holds anything but real numbers, even if numpy would convert it.

    ``remedy`` is the remedy for all contents, ``encode`` that for text and categories. Items whose
    types have a name in ``missing`` are accepted. They become NaN, which other checks may reject.
    """
    columns, dtypes = _check_table(table, name, remedy)
    places = [f" in column {column!r}" for column in columns] or [""]
    for index, dtype in enumerate(dtypes):
        if found := _non_numeric(dtype):
            raise ValueError(
                f"`{name}` must hold numbers; got {found}{places[index]}. "
                f"{remedy or _remedy(found, name, encode)}"
            )
    if any(str(dtype).lower() == "object" for dtype in dtypes):
        _check_items(np.asarray(table, dtype=object), name, remedy, encode, places, missing)


def _check_table(table: Any, name: str, remedy: str) -> tuple[list[Any], list[Any]]:
    """Return names and dtypes of the columns of a whole table in memory, or raise."""
    _check_whole(table, name)
    try:
        columns, dtypes = _columns_and_dtypes(table)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`{name}` must hold one number per cell, in rows of equal length; got a "
            f"{type(table).__name__} that is no table. {remedy or 'Give a 2d array.'}"
        ) from error
    check_names(columns, name)
    return columns, dtypes


def _check_whole(table: Any, name: str) -> None:
    """Raise if rows of ``table`` are not in memory, or if cells are masked."""
    if hasattr(table, "collect") and hasattr(table, "lazy"):
        raise TypeError(
            f"`{name}` must be a table in memory; got a {type(table).__name__}. Call its collect()."
        )
    if _is_batched(table):
        raise TypeError(
            f"`{name}` must be a table; got a {type(table).__name__}, which yields its rows in "
            "batches. Call `partial_fit` with each batch."
        )
    if np.ma.is_masked(table):  # because numpy would use the values under the mask
        raise ValueError(
            f"`{name}` must have no masked cells; got a {type(table).__name__} with "
            f"{np.ma.count_masked(table)}. Give {name}.astype(float).filled(numpy.nan), in which "
            "they are missing."
        )


def check_names(columns: list[Any], name: str) -> None:
    """Raise if two columns of the table ``name`` have the same name."""
    if len(set(columns)) < len(columns):
        repeated = next(column for column in columns if columns.count(column) > 1)
        raise ValueError(
            f"`{name}` must have columns of different names; got {repeated!r} "
            f"{columns.count(repeated)} times. Rename them."
        )


def check_flat(table: Any, name: str) -> None:
    """Raise for an array of more than two axes, such as one of images."""
    shape = shape_of(table)
    if len(shape) > 2:
        raise ValueError(
            f"`{name}` must have two axes, rows and features; got {name} of shape {shape}. "
            f"Give one row per image, {name}.reshape(len({name}), -1), and say by `image_shape` "
            "how its values are arranged."
        )


def nan_for_missing(table: Any) -> Any:
    """Return ``table``; if it holds objects, with NaN in place of None and pandas.NA."""
    if not any(str(dtype).lower() == "object" for dtype in _columns_and_dtypes(table)[1]):
        return table
    if hasattr(table, "isna"):
        return table.mask(table.isna(), np.nan)
    items = np.asarray(table, dtype=object)
    is_missing = np.frompyfunc(lambda item: type(item).__name__ in MISSING, 1, 1)
    return np.where(np.asarray(is_missing(items), dtype=bool), np.nan, items)


def _is_batched(value: Any) -> bool:
    """Return True if ``value`` yields batches of rows: an iterator, a loader, a set of files."""
    if hasattr(value, "shape") or hasattr(value, "__array__"):
        return False
    yields_once = isinstance(value, Iterable) and not isinstance(value, Collection)
    return yields_once or hasattr(value, "to_batches")


def _columns_and_dtypes(table: Any) -> tuple[list[Any], list[Any]]:
    """Return names and dtypes of a data frame's columns, or no names and one dtype."""
    dtypes = getattr(table, "dtypes", None)
    if np.iterable(dtypes):
        return list(getattr(table, "columns", ())), list(dtypes)
    dtype = getattr(table, "dtype", None)
    return [], [np.asarray(table).dtype if dtype is None else dtype]


def _non_numeric(dtype: Any) -> str:
    """Return the key of `NON_NUMERIC` for the contents of a dtype, or ""."""
    name, kind = str(dtype).lower(), dtype.kind if isinstance(dtype, np.dtype) else ""
    for found, (_, kinds, starts) in NON_NUMERIC.items():
        if kind in kinds if kind else name.startswith(starts):
            return found
    return ""


def _remedy(found: str, name: str, encode: str) -> str:
    """Return what to do about contents that a table must not have."""
    if name == "y":
        encode = "Give numbers; for classes use a classifier."
    return (found in ("text", "categories") and encode) or NON_NUMERIC[found][0]


def _check_items(
    items: npt.NDArray[Any], name: str, remedy: str, encode: str, places: list[str],
    missing: Collection[str],
) -> None:  # fmt: skip
    """Raise if an item of a table of objects is not a real number."""
    start = f"`{name}` must hold numbers; got "
    for item, place in zip(items.ravel(), itertools.cycle(places), strict=False):
        is_text = isinstance(item, str | bytes)
        if is_text or isinstance(item, DATES):
            found = "text" if is_text else "dates or durations"
            raise ValueError(
                f"{start}{found}{place} ({short_repr(item)}). "
                f"{remedy or _remedy(found, name, encode)}"
            )
        try:
            type(item).__name__ in missing or float(item)
        except (TypeError, ValueError, OverflowError) as error:
            kind = ValueError if isinstance(error, OverflowError) else TypeError
            raise kind(
                f"{start}{short_repr(item)}{place} ({error}). "
                f"{remedy or 'Give one float per cell.'}"
            ) from error


def generator(random_state: RandomState) -> np.random.Generator:
    """Return a numpy Generator, a new one for None; the global generator is not used."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    return np.random.default_rng(check_seed(random_state))


def check_seed(random_state: RandomState) -> Any:
    """Return ``random_state`` if it is valid, or raise; nothing is drawn from it."""
    if random_state is None or isinstance(random_state, GENERATORS):
        return random_state
    remedy = "Give an int, or None."
    return check_number(random_state, "random_state", low=0, integer=True, remedy=remedy)


def guess_image_shape(n_values: int) -> tuple[int, int]:
    """Return a square shape if ``n_values`` is a square number, else (1, n_values)."""
    side = round(n_values**0.5)
    return (side, side) if side * side == n_values else (1, n_values)


def check_image_shape(
    image_shape: tuple[int, ...], n_values: int, name: str = "X"
) -> tuple[int, int, int]:
    """Return (height, width, channels) of the rows of ``name``, of ``n_values`` each, or raise."""
    if prod(image_shape) != n_values:
        raise ValueError(
            f"`image_shape` must have as many values as each row of {name} ({n_values}); got "
            f"image_shape={image_shape} with {prod(image_shape)}. Give (height, width) or "
            f"(height, width, channels) of the images that are the rows of {name}."
        )
    height, width, *channels = map(int, image_shape)
    return height, width, channels[0] if channels else 1


def check_probabilities(value: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return ``value`` as an array of probabilities, or raise."""
    remedy = "Give probabilities above 0 and below 1."
    array = check_vector(value, name, shape, remedy=remedy)
    if not array.size:
        raise ValueError(f"`{name}` must have at least one value; got {name}=[]. {remedy}")
    if array.ndim > 1 or not np.all((array > 0) & (array < 1)):
        raise ValueError(
            f"`{name}` must be above 0 and below 1; got {name}={short_repr(value)}. {remedy}"
        )
    return array


def central_probabilities(coverage: float) -> list[float]:
    """Return the probabilities of the ends of a central interval, or raise."""
    coverage = check_probabilities(coverage, "coverage", ())
    return [(1 - coverage) / 2, (1 + coverage) / 2]
