"""Features of data frames: each column of categories becomes columns of zeros and ones.

A category that no row had is one column more, the same for all that are unknown. Its weights keep
their prior, so that predictions for it are those for an average category, with the uncertainty of
one that was never seen.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from .._table import (
    Table,
    check_text,
    is_boolean,
    is_categorical,
    library_of,
    n_columns_of,
    one_hot,
)
from .._validation import FloatArray

MOST_CATEGORIES = 255


def table_of(X: Any) -> Table | None:
    """Columns of a data frame with categories or text, else None."""
    if not library_of(X):
        return None
    check_text(X)
    if not any(is_categorical(dtype) and not is_boolean(dtype) for dtype in X.dtypes):
        return None  # booleans are numbers
    table = Table.of(X)
    for name, size in table.columns:
        if size > MOST_CATEGORIES:
            raise ValueError(
                f"`X` must have at most {MOST_CATEGORIES} categories in a column; got {size} in "
                f"column {name!r}. Leave it out if it is a name or a key, give it a numeric dtype "
                "if it holds numbers, or encode it with sklearn.preprocessing.TargetEncoder."
            )
    return table


def check_frame(X: Any) -> None:
    """Raise unless X is a data frame."""
    if not library_of(X):
        raise TypeError(
            "`X` must be a data frame of pandas or polars, as in `fit`, because it has columns of "
            f"categories; got {type(X).__name__}. Give a data frame with the same columns."
        )


def encode(table: Table, X: Any) -> FloatArray:
    """Rows of a data frame as numbers, shape (n_rows, `n_columns`)."""
    matrix = table.to_matrix(X, "ignore")
    _check_no_missing(table, matrix)
    sizes = sizes_of(table)
    last = np.array(sizes) - 1
    codes = np.where((matrix < 0) & (last >= 0), last, matrix)  # unknown categories are the last
    return one_hot(codes, sizes)


def n_columns(table: Table) -> int:
    """Number of columns of encoded rows."""
    return sum(map(n_columns_of, sizes_of(table)))


def groups(table: Table) -> npt.NDArray[np.intp]:
    """Number of the feature that each encoded column belongs to, and -1 for a number."""
    sizes = sizes_of(table)
    features = [index if size else -1 for index, size in enumerate(sizes)]
    return np.repeat(features, [n_columns_of(size) for size in sizes])


def sizes_of(table: Table) -> list[int]:
    """Numbers of categories, with one more for the unknown, and 0 for numbers."""
    known = zip(table.categories, table.dtypes, strict=True)
    return [
        0 if listed is None else len(listed) + (not is_boolean(dtype)) for listed, dtype in known
    ]


def _check_no_missing(table: Table, matrix: FloatArray) -> None:
    """Raise if a cell is missing."""
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
