"""Schemas of scikit-learn's transformers of tables: encoders, imputers, ColumnTransformer."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.frozen import FrozenEstimator
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder

from .._schema import (
    FLAG,
    NONE,
    SCHEMAS,
    Check,
    Schema,
    Sizes,
    Values,
    array,
    each,
    exactly,
    integer,
    made_of,
    names_of,
    text,
)
from .foreign import MOST_OUTPUTS, is_plain, store_estimator

# -- encoders -------------------------------------------------------------------------------------


def _is_sorted(value: Any, _: Sizes) -> bool:
    """Return True for sorted categories, in which an encoder finds numbers by bisection."""
    if type(value) is not np.ndarray or value.ndim != 1:
        return False
    if value.dtype == object:
        return True
    known = (
        value[:-1] if value.dtype.kind == "f" and len(value) and value[-1] != value[-1] else value
    )
    return bool(np.all(known[:-1] < known[1:])) and bool(np.all(known == known))


def _n_outputs_by_feature(values: Values) -> list[int] | None:
    """Number of categories of each feature after grouping; None if the groups are invalid."""
    counts = [len(categories) for categories in values["categories_"]]
    if not values["_infrequent_enabled"]:
        return counts
    groups, mappings = values["_infrequent_indices"], values["_default_to_infrequent_mappings"]
    for feature, (n, group, mapping) in enumerate(zip(counts, groups, mappings, strict=True)):
        if group is not None:
            counts[feature] = n - len(group) + 1
            if not _is_mapping(mapping, n, group):
                return None
    return counts


def _is_mapping(mapping: Any, n_categories: int, group: npt.NDArray[np.int64]) -> bool:
    """Return True if categories are renumbered by ``mapping``, those in the group the last one."""
    others = np.setdiff1d(np.arange(n_categories), group)
    expected = np.full(n_categories, len(others))
    expected[others] = np.arange(len(others))
    return len(others) + len(group) == n_categories and np.array_equal(mapping, expected)


def _is_one_hot(values: Values) -> bool:
    """Return True if the numbers of outputs are those of the categories that are not dropped.

    Otherwise the encoder would write beyond the end of its sparse matrix.
    """
    if "categories_" not in values:
        return True
    counts, found = _n_outputs_by_feature(values), values["_drop_idx_after_grouping"]
    if counts is None or len(counts) != values["n_features_in_"]:
        return False
    drops = [None] * len(counts) if found is None else [*found]
    outputs = [n - (drop is not None) for n, drop in zip(counts, drops, strict=True)]
    return outputs == [*values["_n_features_outs"]] and all(
        drop is None or 0 <= drop < n for n, drop in zip(counts, drops, strict=True)
    )


INDICES = Check(lambda value, _: array("n", 0, 2**53, kinds="i").holds(value, {}))
CATEGORIES = each(Check(_is_sorted), list)
GROUPS = {
    "_infrequent_indices": each(NONE | INDICES, list),
    "_default_to_infrequent_mappings": each(NONE | INDICES, list),
}
DROPS = NONE | Check(
    lambda value, _: (
        type(value) is np.ndarray
        and value.ndim == 1
        and all(item is None or isinstance(item, int | np.integer) for item in value)
    )
)
store_estimator(
    OneHotEncoder,
    options=GROUPS,
    is_consistent=_is_one_hot,
    drop_idx_=DROPS,
    _drop_idx_after_grouping=DROPS,
    _n_features_outs=each(integer()),
    categories_=CATEGORIES,
    _infrequent_enabled=FLAG,
)
store_estimator(
    OrdinalEncoder,
    options=GROUPS,
    _missing_indices=Check(
        lambda value, _: (
            isinstance(value, dict) and all(type(n) is int for pair in value.items() for n in pair)
        )
    ),
    categories_=CATEGORIES,
    _infrequent_enabled=FLAG,
)

# -- missing cells --------------------------------------------------------------------------------

DTYPE = Check(lambda value, _: isinstance(value, np.dtype))
store_estimator(
    SimpleImputer,
    options={"_fill_dtype": DTYPE},  # of later versions of scikit-learn
    statistics_=Check(
        lambda value, sizes: (
            type(value) is np.ndarray
            and value.shape == (sizes.setdefault("n_features", len(value)),)
        )
    ),
    indicator_=NONE | made_of(MissingIndicator),
    _fit_dtype=DTYPE,
)
store_estimator(
    MissingIndicator,
    features_=INDICES,
    _precomputed=FLAG,
    _n_features=integer(),
)

# -- columns --------------------------------------------------------------------------------------


def _n_outputs(transformer: Any, n_inputs: int) -> int:
    """Number of outputs of a fitted transformer, or of a step of a pipeline, for some inputs."""
    if isinstance(transformer, str) or transformer is None:  # "drop" or "passthrough"
        return n_inputs
    if isinstance(transformer, FrozenEstimator):
        return _n_outputs(transformer.estimator, n_inputs)
    if isinstance(transformer, Pipeline):
        for _, step in transformer.steps:
            n_inputs = _n_outputs(step, n_inputs)
        return n_inputs
    if isinstance(transformer, ColumnTransformer):
        return _n_outputs_of_columns(vars(transformer))
    if isinstance(transformer, OneHotEncoder):
        return sum(vars(transformer).get("_n_features_outs", ()))
    names = ("n_output_features_", "n_features_out_", "_n_features_out")
    return next((n for name in names if (n := getattr(transformer, name, None))), n_inputs)


def _n_selected(columns: Any, n_features: int) -> int:
    if isinstance(columns, slice):
        is_by_number = all(not isinstance(part, str) for part in (columns.start, columns.stop))
        return len(range(n_features)[columns]) if is_by_number else n_features
    return 1 if isinstance(columns, str | int) else len(columns)


def _n_outputs_of_columns(values: Values) -> int:
    parts: Iterable[tuple[str, Any, Any]] = values.get("transformers_", ())
    n_features = values.get("n_features_in_", 0)
    return sum(
        _n_outputs(transformer, _n_selected(columns, n_features))
        for _, transformer, columns in parts
    )


COLUMNS = Check(is_plain)
ColumnTransformerPart = Check(
    lambda value, sizes: (
        isinstance(value, tuple)
        and len(value) == 3
        and isinstance(value[0], str)
        and is_plain(value, sizes)
    )
)
store_estimator(
    ColumnTransformer,
    options={
        "force_int_remainder_cols": FLAG | exactly("deprecated"),  # until scikit-learn 1.8
        "_transformers_feature_names_out": names_of("n_names"),  # where it returns data frames
    },
    is_consistent=lambda values: _n_outputs_of_columns(values) <= MOST_OUTPUTS,
    transformers_=each(ColumnTransformerPart, list),
    output_indices_=COLUMNS,
    sparse_output_=FLAG,
    _columns=COLUMNS,
    _remainder=COLUMNS,
    _transformer_to_input_indices=COLUMNS,
)
TYPES = Check(is_plain)
SCHEMAS["make_column_selector"] = Schema(
    make_column_selector,
    {"pattern": NONE | text(100), "dtype_include": TYPES, "dtype_exclude": TYPES},
)
