"""Data frames as matrices and back, with the names, dtypes and categories that `fit` saw.

`Table` encodes categories as codes, `Categories` as columns of zeros and ones. Frames are those of
pandas and polars; a library is imported only if a frame of it is used.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_array, validate_data

from ._parameters import NONE, Choice, Custom
from ._schema import FLAG, Check, Values, array, each, exactly, made_of, number, store, text
from ._validation import (
    MISSING,
    FloatArray,
    check_names,
    check_numeric,
    check_size,
    error_message,
    shape_of,
    short_repr,
)

LIBRARIES = ("pandas", "polars")
CATEGORICAL = (
    "category", "bool", "str", "enum", "categorical", "utf8", "large_string", "dictionary",
)  # fmt: skip
"""First letters of the lowercase names of dtypes of categories, booleans and text."""
BOOLEANS = ("bool",)
FLOATS = (np.float64, np.float32)
ARROW = "[arrow]"
"""End of the name of a dtype of pyarrow in pandas."""
LARGEST_FLOATS = {
    **dict.fromkeys(("float16", "halffloat"), float(np.finfo(np.float16).max)),
    **dict.fromkeys(("float32", "float"), float(np.finfo(np.float32).max)),
}
"""Largest values of columns of half and single precision, by lowercase names of dtypes."""


def library_of(X: Any) -> str:
    """Return the library of a data frame, or ""."""
    library = type(X).__module__.split(".")[0]
    is_frame = (hasattr(X, "iloc") or hasattr(X, "get_columns")) and hasattr(X, "columns")
    return library if library in LIBRARIES and is_frame else ""


def is_categorical(dtype: Any) -> bool:
    """Return True for a dtype of categories, text or booleans, in pandas or polars."""
    name = str(dtype).lower()
    return name.startswith(CATEGORICAL) and not name.startswith("struct")


def is_boolean(dtype: Any) -> bool:
    """Return True for a dtype of booleans, in pandas or polars."""
    return str(dtype).lower().startswith(BOOLEANS)


PLAIN = Check(lambda value, _: type(value) in (str, int, float, bool))
CATEGORIES = exactly(None) | each(PLAIN, tuple)


@store(
    parameters={
        "library": exactly(*LIBRARIES), "names": each(text() | number(), tuple),
        "dtypes": each(text(), tuple), "categories": each(CATEGORIES, tuple),
        "ordered": each(exactly(True, False), tuple),
    }
)  # fmt: skip
@dataclass(frozen=True)
class Table:
    """Columns of a data frame."""

    library: str
    names: tuple[Any, ...]
    dtypes: tuple[str, ...]
    categories: tuple[tuple[Any, ...] | None, ...]  # None for a column of numbers
    ordered: tuple[bool, ...]  # True for categories that have an order

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        columns = (values[key] for key in ("dtypes", "categories", "ordered"))
        return all(len(column) == len(values["names"]) for column in columns)

    @classmethod
    def of(cls, X: Any) -> Self:
        """Learn the columns of a frame."""
        if 0 in X.shape:
            raise ValueError(
                f"`X` must have rows and columns; got a data frame of shape {X.shape}. Give at "
                "least one of each."
            )
        names = tuple(X.columns)
        check_names([*names], "X")
        check_text(X)
        columns = [column for _, column in _columns(X)]
        return cls(
            library_of(X),
            names,
            tuple(_name_of(column.dtype) for column in columns),
            tuple(map(_categories, columns)),
            tuple(bool(getattr(column.dtype, "ordered", False)) for column in columns),
        )

    @property
    def columns(self) -> tuple[tuple[Any, int], ...]:
        """Names of the columns, and their numbers of categories, 0 for numbers."""
        sizes = [0 if known is None else len(known) for known in self.categories]
        return tuple(zip(self.names, sizes, strict=True))

    @property
    def has_categories(self) -> bool:
        """True if there is a column of categories other than False and True."""
        return any(known not in (None, (False, True)) for known in self.categories)

    def to_matrix(self, X: Any, handle_unknown: str = "error") -> FloatArray:
        """Return a frame as floats: codes for categories, NaN for missing cells.

        Unknown categories are an error, except that with ``handle_unknown="ignore"`` those of the
        type of a known one become -1.
        """
        if (names := tuple(X.columns)) != self.names:  # scikit-learn compares str names only
            raise ValueError(
                f"`X` must have the columns that `fit` saw, {short_repr([*self.names])}; got "
                f"{short_repr([*names])}. Give the same columns in the same order."
            )
        unknown = -1.0 if handle_unknown == "ignore" else None
        numbers = [
            name for name, known in zip(self.names, self.categories, strict=True) if known is None
        ]
        check_text(X)
        _check_numbers(X, numbers)
        columns = [
            _numbers(column) if known is None else self._codes(name, column, known, unknown)
            for (name, column), known in zip(_columns(X), self.categories, strict=True)
        ]
        dtype = np.result_type(np.float32, *columns)
        return np.stack(columns, 1).astype(dtype, copy=False)

    @staticmethod
    def _codes(name: Any, column: Any, known: tuple[Any, ...], unknown: float | None) -> FloatArray:
        """Return positions among the known categories."""
        codes = {category: float(code) for code, category in enumerate(known)}
        missing = _is_missing(column)
        values = column.to_list()
        kinds = {type(category) for category in known}
        if unknown is not None:
            codes = {**{v: unknown for v in values if type(v) in kinds}, **codes}
        try:
            found = [np.nan if m else codes[v] for m, v in zip(missing, values, strict=True)]
        except (KeyError, TypeError) as error:
            cells = zip(missing, values, strict=True)
            value = next(v for m, v in cells if not m and not _is_in(v, codes))
            raise ValueError(
                f"`X` must hold categories that `fit` saw in column {name!r}; got the unknown "
                f"{value!r}. Known are {short_repr([*known])}. Leave out such rows, or fit to data "
                "that have it, or to a dtype that lists it."
            ) from error
        return np.array(found, dtype=np.float64)

    def to_frame(self, X: FloatArray, like: Any = None) -> Any:
        """Return a matrix as a frame with the columns, dtypes and categories of `fit`.

        It also has the index of ``like``, if that is a frame of pandas.
        """
        module = sys.modules.get(self.library) or __import__(self.library)
        restore = _pandas_column if self.library == "pandas" else _polars_column
        columns = [
            restore(module, values, dtype, known, ordered)
            for values, dtype, known, ordered in zip(
                X.T, self.dtypes, self.categories, self.ordered, strict=True
            )
        ]
        if self.library == "polars":
            return module.DataFrame(dict(zip(self.names, columns, strict=True)))
        frame = module.DataFrame(dict(enumerate(columns)))
        frame.columns = module.Index([*self.names])  # of several levels if names are tuples
        return frame.set_axis(like.index) if library_of(like) == "pandas" else frame


def _columns(X: Any) -> Any:
    """Yield names and columns of a frame."""
    return X.items() if library_of(X) == "pandas" else zip(X.columns, X.get_columns(), strict=True)


def _is_in(value: Any, known: Mapping[Any, Any]) -> bool:
    """Return True for a known value; a value that has no hash is unknown."""
    return isinstance(value, Hashable) and value in known


def _name_of(dtype: Any) -> str:
    """Return the name of a dtype, from which it can be created again."""
    if arrow := getattr(dtype, "pyarrow_dtype", None):
        return f"{arrow}{ARROW}"
    storage = getattr(dtype, "storage", "")
    if storage and str(dtype) == "string":  # pandas' text with pd.NA
        return f"string[{storage}]"
    return str(dtype).split("(")[0] if is_categorical(dtype) else str(dtype)


def _is_missing(column: Any) -> npt.NDArray[np.bool_]:
    missing = column.isna() if hasattr(column, "isna") else column.is_null()
    return np.asarray(missing, dtype=bool)


def _categories(column: Any) -> tuple[Any, ...] | None:
    """Return the categories of a column: those of its dtype, or its distinct values."""
    if is_boolean(column.dtype) or _holds_booleans(column):
        return False, True
    if not is_categorical(column.dtype):
        return None
    listed = getattr(column.dtype, "categories", None)
    if listed is not None and str(column.dtype) != "Categorical":  # which grows, in polars
        return tuple(listed.to_list() if hasattr(listed, "to_list") else listed)
    missing = _is_missing(column)
    values = {v for m, v in zip(missing, column.to_list(), strict=True) if not m}
    if not values:
        raise ValueError(
            f"`X` must hold an observed cell in column {column.name!r}; got missing cells only. "
            "Leave the column out."
        )
    return tuple(sorted(values))


def _holds_booleans(column: Any) -> bool:
    """Return True for a column of Python objects whose observed cells are booleans."""
    if str(column.dtype).lower() != "object":
        return False
    cells = zip(_is_missing(column), column.to_list(), strict=True)
    return {type(cell) for missing, cell in cells if not missing} == {bool}


def _numbers(column: Any) -> npt.NDArray[np.floating]:
    """Return a column of numbers as floats."""
    dtype = np.float32 if str(column.dtype).lower() in ("float32", "float16") else np.float64
    if hasattr(column, "isna"):
        return np.asarray(column.to_numpy(dtype=dtype, na_value=np.nan))
    return np.asarray(column.to_numpy(), dtype=dtype)


def _check_numbers(X: Any, names: list[Any]) -> None:
    """Raise if columns of a frame hold anything but numbers."""
    if names:  # because polars returns all rows for no names
        remedy = "Give numbers, or fit to data in which it has a dtype of text or categories."
        check_numeric(X[names], "X", encode=remedy, missing=MISSING)


def check_text(X: Any) -> None:
    """Raise for text in a column of Python objects, which may be text or anything else."""
    for name, column in _columns(X):
        if str(column.dtype).lower() == "object":
            found = next((item for item in column.to_list() if isinstance(item, str | bytes)), None)
            if found is not None:
                raise ValueError(
                    f"`X` must not hold text in a column of dtype object; got {found!r} in column "
                    f"{name!r}. Give it the dtype 'category' or 'str', for example by "
                    f"X.astype({{{name!r}: 'category'}})."
                )


def _pandas_column(
    pandas: Any, values: FloatArray, dtype: str, known: tuple[Any, ...] | None, ordered: bool
) -> Any:
    if known is None:
        return pandas.Series(_round_to(values, dtype)).astype(_pandas_dtype(pandas, dtype))
    codes = np.nan_to_num(values, nan=-1.0).astype(np.int64)
    kind = pandas.CategoricalDtype([*known], ordered=ordered)
    series = pandas.Series(pandas.Categorical.from_codes(codes, dtype=kind))
    return series if dtype == "category" else series.astype(_pandas_dtype(pandas, dtype))


def _pandas_dtype(pandas: Any, name: str) -> Any:
    """Return the dtype of a name: an object for pyarrow's dtypes, else the name itself."""
    if not name.endswith(ARROW):
        return name
    pyarrow = __import__("pyarrow")
    kind, *rest = re.findall(r"\w+", name.removesuffix(ARROW))
    if kind == "dictionary":  # values=..., indices=..., ordered=...
        found = pyarrow.dictionary(*map(pyarrow.type_for_alias, (rest[3], rest[1])))
    elif kind in ("decimal128", "decimal256"):
        found = getattr(pyarrow, kind)(*map(int, rest))
    else:
        found = pyarrow.type_for_alias(kind)
    return pandas.ArrowDtype(found)


def _polars_column(
    polars: Any, values: FloatArray, dtype: str, known: tuple[Any, ...] | None, ordered: bool
) -> Any:
    if known is None:
        kind, *sizes = re.findall(r"[A-Za-z]+\w*|\d+", re.sub(r"\w+=", "", dtype))
        found = getattr(polars, kind)(*map(int, sizes))
        return polars.Series(_round_to(values, dtype)).fill_nan(None).cast(found)
    items = [known[int(code)] if code >= 0 else None for code in values]
    kind = polars.Enum([*known]) if dtype == "Enum" else getattr(polars, dtype)
    return polars.Series(items, dtype=kind)


def _round_to(values: FloatArray, dtype: str) -> FloatArray:
    """Round values to the integers or decimals of a dtype, and clip them to its range."""
    name = dtype.lower()
    if largest_float := LARGEST_FLOATS.get(name.split("[")[0]):
        return values.clip(-largest_float, largest_float)
    if name.startswith("decimal"):
        precision, scale = map(int, re.findall(r"\d+", name)[-2:])
        bound = (10.0**precision - 1) / 10.0**scale
        if precision > np.finfo(float).precision:  # the bound may be rounded up
            bound = float(np.nextafter(bound, 0))
        return values.round(scale).clip(-bound, bound)
    if not name.startswith(("int", "uint")):
        return values
    info = np.iinfo(name.split("[")[0])
    largest = float(info.max)
    if int(largest) > info.max:  # rounded up for 64 bits, and then it cannot be converted
        largest = float(np.nextafter(largest, 0))
    return np.round(values.astype(np.float64)).clip(info.min, largest)


# -- selected columns as categories ---------------------------------------------------------------


def check_selection(selection: Any, name: str) -> npt.NDArray[Any]:
    """Return names, indices or a mask of columns as an array, or raise."""
    is_list = isinstance(selection, list | tuple | range) or hasattr(selection, "__array__")
    items = [*selection] if is_list and len(shape_of(selection)) == 1 else [None]
    kinds: tuple[Any, ...] = (str, bool | np.bool_, int | np.integer)
    if not any(all(isinstance(item, kind) for item in items) for kind in kinds):
        condition = "be 'from_dtype', None, or a list of names, of indices, or of a bool per column"
        remedy = "Give for example categorical_features=[0] or ['town']."
        raise TypeError(error_message(name, condition, selection, remedy))
    return np.array(items)


SELECTION = each(PLAIN) | array("n_selected", kinds="biu")
CATEGORICAL_FEATURES = (
    NONE | Choice("from_dtype") | Custom(check_selection, lambda value: SELECTION.holds(value, {}))
)
"""Kind of parameter: the columns of X that are categories."""


def select_columns(
    selection: Any, names: Sequence[Any], dtypes: Sequence[Any] = ()
) -> npt.NDArray[np.bool_]:
    """Return True for the columns that a value of `CATEGORICAL_FEATURES` stands for.

    ``dtypes`` are given for the columns of a frame only. Booleans are numbers, 0 and 1.
    """
    found = np.zeros(len(names), dtype=bool)
    if selection is None or isinstance(selection, str):
        if selection and len(dtypes):
            found[:] = [is_categorical(dtype) and not is_boolean(dtype) for dtype in dtypes]
        return found
    chosen = check_selection(selection, "categorical_features")
    items = [*np.flatnonzero(chosen)] if chosen.dtype == bool else chosen.tolist()
    known = {
        name: j for j, name in enumerate(names if chosen.dtype.kind == "U" else range(len(names)))
    }
    unknown = [item for item in items if item not in known]
    if unknown or (chosen.dtype == bool and len(chosen) != len(names)):
        condition = f"stand for columns of X, which are {short_repr([*names])}"
        remedy = "Give names, indices from 0 on, or a bool for each column."
        raise ValueError(error_message("categorical_features", condition, selection, remedy))
    found[[known[item] for item in items]] = True
    return found


MOST_CATEGORIES = 255


@store(
    parameters={
        "names": each(text() | number(), tuple),
        "categories": each(exactly(None) | each(number(), tuple), tuple),
        "table": exactly(None) | made_of(Table),
        "accepts_unknown": FLAG,
    }
)
@dataclass(frozen=True)
class Categories:
    """Values of the categorical columns of X, each of which becomes a column of zeros and ones.

    The values of a frame, which has a ``table``, are codes. If unknown values are accepted, all
    unknown values of a column form one further category.
    """

    names: tuple[Any, ...]
    categories: tuple[tuple[float, ...] | None, ...]  # in increasing order, None for numbers
    table: Table | None = None
    accepts_unknown: bool = False

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        names, listed, table = (values[key] for key in ("names", "categories", "table"))
        if len(names) != len(listed) or (table and table.names != names):
            return False
        by_frame = table.categories if table else [None] * len(names)
        return all(
            known is None
            or (
                0 < len(known) <= MOST_CATEGORIES
                and bool(np.all(np.diff(known) > 0))
                and (codes is None or known == tuple(range(len(codes))))
            )
            for known, codes in zip(listed, by_frame, strict=True)
        )

    @classmethod
    def of(
        cls, X: FloatArray, is_category: npt.NDArray[np.bool_], names: Sequence[Any],
        table: Table | None, accepts_unknown: bool,
    ) -> Self | None:  # fmt: skip
        """Learn the categories of a matrix; None if there is no categorical column."""
        if not is_category.any():
            return None
        sizes = [size for _, size in table.columns] if table else [0] * len(names)
        found = [
            (np.arange(size) if size else np.unique(column)) if chosen else None
            for column, size, chosen in zip(X.T, sizes, is_category, strict=True)
        ]
        for name, known in zip(names, found, strict=True):
            if known is not None and len(known) > MOST_CATEGORIES:
                raise ValueError(
                    f"`X` must have at most {MOST_CATEGORIES} categories in a column; got "
                    f"{len(known)} in column {name!r}. Leave it out if it is a name or a key, give "
                    "it as numbers if it holds numbers, or encode it with "
                    "sklearn.preprocessing.TargetEncoder."
                )
        categories = [None if known is None else tuple(map(float, known)) for known in found]
        return cls(tuple(names), tuple(categories), table, accepts_unknown)

    @property
    def sizes(self) -> list[int]:
        """Numbers of categories, including one for unknown values; 0 for columns of numbers."""
        more = int(self.accepts_unknown)
        return [0 if known is None else len(known) + more for known in self.categories]

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of columns of a matrix, and of its encoding."""
        return len(self.names), sum(map(n_indicators, self.sizes))

    @property
    def groups(self) -> npt.NDArray[np.intp]:
        """Number of the feature that each column of the encoding belongs to, -1 for a number."""
        features = [index if size else -1 for index, size in enumerate(self.sizes)]
        return np.repeat(features, [n_indicators(size) for size in self.sizes])

    def encode(self, X: FloatArray) -> FloatArray:
        """Return the matrix with columns of 0 and 1 in the places of categorical columns."""
        blocks = [
            column[:, None] if known is None else self._indicators(column, known, name)
            for column, known, name in zip(X.T, self.categories, self.names, strict=True)
        ]
        return np.hstack(blocks).astype(X.dtype, copy=False)

    def _indicators(self, column: FloatArray, known: tuple[float, ...], name: Any) -> FloatArray:
        """Return columns of 0 and 1 for a column, which is a single one for two categories."""
        values = np.array(known, column.dtype)
        codes = np.searchsorted(values, column).clip(max=len(known) - 1)
        is_unknown = values[codes] != column
        if is_unknown.any() and not self.accepts_unknown:
            raise ValueError(
                f"`X` must hold categories that `fit` saw in column {name!r}; got the unknown "
                f"{column[is_unknown][0]:g}. Known are {short_repr(values.tolist())}. Leave out "
                "such rows, or fit to data that have it."
            )
        codes = np.where(is_unknown, len(known), codes)[:, None]
        size = len(known) + self.accepts_unknown
        return codes if size == 2 else codes == np.arange(size)


def n_indicators(size: int) -> int:
    """Return the number of columns that encode a column with ``size`` categories, 0 for numbers."""
    return 1 if size in (0, 2) else size


def read_features(
    estimator: Any, X: Any, *, reset: bool, accepts_unknown: bool = False
) -> FloatArray:
    """Return X as a matrix, in which categories are columns of zeros and ones.

    With ``reset``, the estimator learns the columns of X. Its ``_categories`` is None if none of
    them holds categories.
    """
    known = estimator._categories
    table = _find_table(X, estimator.categorical_features) if reset else known and known.table
    if table:
        handle_unknown = "ignore" if accepts_unknown else "error"
        matrix = read_frame(estimator, X, table, handle_unknown=handle_unknown, reset=reset)
        _check_no_missing(table, matrix)
    else:
        matrix = _read(estimator, X, reset)
    if reset:
        names = [*X.columns] if library_of(X) else range(matrix.shape[1])
        dtypes = [column.dtype for _, column in _columns(X)] if library_of(X) else []
        is_category = select_columns(estimator.categorical_features, names, dtypes)
        known = Categories.of(matrix, is_category, names, table, accepts_unknown)
        estimator._categories = known
    return known.encode(matrix) if known else matrix


def _find_table(X: Any, selection: Any) -> Table | None:
    """Return the columns of a frame if a categorical one holds text or categories, else None."""
    if not library_of(X):
        return None
    check_text(X)
    dtypes = [column.dtype for _, column in _columns(X)]
    is_category = select_columns(selection, [*X.columns], dtypes)
    is_text = np.array([is_categorical(dtype) and not is_boolean(dtype) for dtype in dtypes], bool)
    if not np.any(is_category & is_text):
        return None
    _check_numbers(X, [*np.array([*X.columns], object)[is_text & ~is_category]])
    return Table.of(X)


def _read(estimator: Any, X: Any, reset: bool) -> FloatArray:
    """Return a table of numbers as a matrix."""
    check_numeric(X, "X")
    with np.errstate(all="ignore"):  # wider floats may become inf
        matrix = np.asarray(validate_data(estimator, X, reset=reset, dtype=FLOATS))
    check_size(matrix, "X")
    return matrix


def read_targets(estimator: Any, y: Any) -> FloatArray:
    """Return targets as a float array of at most two axes; their number is not checked."""
    if y is None:
        raise ValueError(
            f"{type(estimator).__name__} requires y to be passed, but the target y is None. "
            "`y` must hold one value, or one row of values, per row of X."
        )
    check_numeric(y, "y")
    with np.errstate(all="ignore"):  # wider floats may become inf
        targets: FloatArray = check_array(
            y, dtype=FLOATS, ensure_2d=False, ensure_min_samples=0, ensure_min_features=0,
            input_name="y", estimator=estimator,
        )  # fmt: skip
    if targets.shape[1:] == (0,):
        raise ValueError(
            f"`y` must have at least one output; got shape {targets.shape}. Give one column per "
            "output."
        )
    check_size(targets, "y")
    return targets


def read_frame(
    estimator: Any, X: Any, table: Table, *, handle_unknown: str, reset: bool
) -> FloatArray:
    """Return a frame of known columns as a matrix of numbers and codes, as `Table.to_matrix`."""
    if not library_of(X):
        raise TypeError(
            "`X` must be a data frame of pandas or polars, as in `fit`, because it has columns of "
            f"categories; got {type(X).__name__}. Give a data frame with the same columns."
        )
    check_names([*X.columns], "X")
    validate_data(estimator, X, reset=reset, skip_check_array=True)  # names of the columns
    matrix = table.to_matrix(X, handle_unknown)
    with np.errstate(all="ignore"):  # wider floats may become inf
        matrix = check_array(
            matrix, dtype=FLOATS, ensure_all_finite=False, input_name="X", estimator=estimator
        )
    check_size(matrix, "X", table.names)
    return matrix


def _check_no_missing(table: Table, matrix: FloatArray) -> None:
    """Raise if a cell of a matrix from a frame is missing."""
    missing = np.isnan(matrix)
    if missing.any():
        index = int(missing.any(axis=0).argmax())
        name = table.names[index]
        remedy = "Put an imputer before the regressor, for example sklearn.impute.SimpleImputer"
        if table.categories[index] is not None and not is_boolean(table.dtypes[index]):
            fill = {"pandas": "astype('str').fillna", "polars": "cast(str).fill_null"}
            example = f"X[{name!r}].{fill[table.library]}('missing')"
            remedy = f"Make them a category, for example by {example}"
        raise ValueError(
            f"`X` must not have missing cells (NaN); got {missing[:, index].sum()} in column "
            f"{name!r}. {remedy}, or leave out such rows."
        )
