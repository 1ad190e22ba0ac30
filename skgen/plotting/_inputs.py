"""Inputs of displays: steps of pipelines, predictions, rows along one feature, and checks."""

from collections import Counter
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from .._pipelines import final_estimator, transform_before_final
from .._validation import (
    MISSING,
    FloatArray,
    RandomState,
    check_number,
    check_vector,
    short_repr,
)


def final_step(estimator: Any, method: str) -> Any:
    """Last step of nested pipelines and searches, which must have ``method``."""
    last = final_estimator(estimator)
    if not hasattr(last, method):
        raise TypeError(
            f"`estimator` must have the method {method}, or be a pipeline or a search that ends in "
            f"such an estimator; got {type(last).__name__}. Give a fitted model of skgen."
        )
    return last


def predict_with_std(model: Any, X: Any) -> tuple[FloatArray, FloatArray]:
    """Predictive means and standard deviations, or raise if the model has none."""
    try:
        mean, std = model.predict(X, return_std=True)
    except TypeError as error:
        raise TypeError(
            "`estimator` must have predict(X, return_std=True); got "
            f"{type(model).__name__}. Give a regressor that returns standard deviations."
        ) from error
    return np.asarray(mean), np.asarray(std)


def predict_with_quantiles(
    model: Any, X: Any, probabilities: FloatArray, target: int
) -> tuple[FloatArray, FloatArray]:
    """Predictive means and quantiles of one output; normal ones if a model has no quantiles."""
    if hasattr(model, "predict_quantiles"):
        mean, quantiles = model.predict(X)[..., None], model.predict_quantiles(X, probabilities)
    else:
        mean, std = (table[..., None] for table in predict_with_std(model, X))
        quantiles = mean + std * norm.ppf(probabilities)
    return select_output(mean, target)[:, 0], select_output(quantiles, target)


def draw_functions(
    model: Any, X: Any, n_draws: int, target: int, random_state: RandomState
) -> FloatArray:
    """Draws of one output without noise at the rows of X, shape (n_samples, n_draws)."""
    draws = model.sample_y(X, n_draws, observation_noise=False, random_state=random_state)
    return select_output(draws, target)


def select_output(table: FloatArray, target: int) -> FloatArray:
    """Values of one output, shape (n_samples, n_values); a table may have no axis of outputs."""
    if table.ndim == 2:
        return table
    return table[:, check_index(target, "target", table.shape[1], "outputs")]


def check_index(value: Any, name: str, size: int, what: str) -> int:
    """Return ``value`` as an index from 0 to ``size - 1``, or raise."""
    remedy = f"Give the index of one of the {size} {what}."
    return check_number(value, name, low=0, high=size - 1, integer=True, remedy=remedy)


def check_pair(value: Any, name: str, size: int, what: str) -> tuple[int, int]:
    """Return ``value`` as two different indices below ``size``, or raise."""
    pair = list(value) if np.iterable(value) and not isinstance(value, str) else [value]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(
            f"`{name}` must be two different indices; got {name}={short_repr(value)}. "
            f"Give two of the {size} {what}, such as (0, 1)."
        )
    first, second = (check_index(index, name, size, what) for index in pair)
    return first, second


def latent_pair(dimensions: Any, n_components: int, kl: FloatArray | None) -> tuple[int, int]:
    """Two latent dimensions: the given ones, or those of largest KL, or the first two."""
    if dimensions is None:
        informative = [0, 1] if kl is None else np.argsort(-kl, kind="stable")[:2]
        dimensions = sorted(int(index) for index in informative)
    return check_pair(dimensions, "dimensions", n_components, "latent dimensions")


def latent_label(dimension: int, kl: float | None) -> str:
    """Label of the axis of a latent dimension, with its KL where it is known."""
    return f"$z_{{{dimension}}}$" + ("" if kl is None else f" ({kl:.2f} nats)")


def check_coverage(coverage: Any) -> FloatArray:
    """Return probabilities in increasing order, or raise."""
    remedy = "Give probabilities between 0 and 1, such as (0.5, 0.95)."
    levels = np.ravel(coverage)
    levels = np.sort(check_vector(levels, "coverage", levels.shape, remedy=remedy))
    if not levels.size or levels[0] <= 0 or levels[-1] >= 1:
        raise ValueError(
            f"`coverage` must lie between 0 and 1; got coverage={short_repr(coverage)}. {remedy}"
        )
    return levels


def as_columns(X: Any) -> dict[Any, npt.NDArray[Any]]:
    """Columns of a data frame by name, or of an array by index."""
    if hasattr(X, "columns"):
        return {name: np.asarray(X[name]) for name in X.columns}
    if np.ndim(X) != 2:
        raise ValueError(
            f"`X` must be 2d; got shape {np.shape(X)}. Use reshape(-1, 1) for one feature."
        )
    return dict(enumerate(np.asarray(X).T))


def find_column(names: list[Any], feature: Any, name: str) -> Any:
    """Name of the column that is given by name or index."""
    if feature in names and not isinstance(feature, bool):
        return feature
    if isinstance(feature, str):
        raise ValueError(
            f"`{name}` must be a feature of X; got {name}={feature!r}. Choose one of "
            f"{short_repr(names)}."
        )
    return names[check_index(feature, name, len(names), "features")]


def typical_value(column: npt.NDArray[Any]) -> Any:
    """Median of a numeric column, most frequent value of any other, without missing cells."""
    if np.issubdtype(column.dtype, np.number):
        return np.nanmedian(column)
    counts = Counter(value for value in column.tolist() if not is_missing(value))
    return max(counts, key=lambda value: (counts[value], str(value)), default=None)


def is_missing(value: Any) -> bool:
    """Return True for None, NaN, pandas.NA and pandas.NaT."""
    return type(value).__name__ in MISSING or bool(value != value)


def rows_along(
    estimator: Any, X: Any, y: Any, feature: Any, grid: npt.ArrayLike | None,
    held: dict[Any, Any] | None, target: int, partial: bool = False,
) -> tuple[Any, dict[str, Any]]:  # fmt: skip
    """Rows along one feature, as the last step sees them, and the fields of a display for the data.

    With ``partial``, targets become partial residuals if other features are held: the residuals of
    the model, plus its mean with the others held.
    """
    columns = as_columns(X)
    name = find_column(list(columns), feature, "feature")
    data = _numbers(columns[name], name)
    values = np.linspace(data.min(), data.max(), 200)
    if grid is not None:
        values = np.ravel(grid)
        values = check_vector(values, "grid", values.shape, remedy="Give values of the feature.")
    rows = {key: typical_value(column) for key, column in columns.items() if key != name}
    rows |= {find_column(list(columns), key, "held"): value for key, value in (held or {}).items()}

    def at(feature_values: Any) -> Any:
        rows[name] = feature_values
        table = {key: np.full(len(feature_values), rows[key]) for key in columns}
        made = _as_frame(table, X) if hasattr(X, "columns") else np.column_stack([*table.values()])
        return transform_before_final(estimator, made)

    fields: dict[str, Any] = {"feature_values": values, "x": data, "feature_name": str(name)}
    if not hasattr(X, "columns"):
        fields["feature_name"] = f"$x_{{{name}}}$" if len(columns) > 1 else "x"
    fields |= select_target(y, target)
    if partial and len(columns) > 1:
        fields["held"] = _describe_held(held)
        if y is not None:
            fields["y"] = fields["y"] + _shift_to_slice(estimator, X, at(data), target)
    return at(values), fields


def _numbers(column: npt.NDArray[Any], name: Any) -> FloatArray:
    """Values of the feature on the horizontal axis as floats, or raise."""
    try:
        return np.asarray(column, dtype=float)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"`feature` must be a feature of numbers; got feature={name!r} of {column.dtype}. "
            "Choose another, and hold this one by `held`."
        ) from error


def _as_frame(table: dict[Any, npt.NDArray[Any]], like: Any) -> Any:
    """Data frame of the columns; those of ``like`` that hold no numbers keep their dtypes."""
    made = type(like)(table)
    kinds = {
        name: like[name].dtype
        for name, values in table.items()
        if not np.issubdtype(values.dtype, np.number)
    }
    return made.astype(kinds) if hasattr(made, "astype") else made.cast(kinds)


def _shift_to_slice(estimator: Any, X: Any, rows: Any, target: int) -> FloatArray:
    """Means at ``rows``, as the last step sees them, minus those at the rows of X."""
    model = final_estimator(estimator)
    means = (model.predict(each) for each in (rows, transform_before_final(estimator, X)))
    held, own = (select_output(np.asarray(mean)[..., None], target)[:, 0] for mean in means)
    return np.asarray(held - own)


def _describe_held(held: dict[Any, Any] | None) -> str:
    """Return the title of the legend, with the values at which other features are held."""
    given = [f"{key} = {value}" for key, value in (held or {}).items()]
    return ", ".join([*given, "others held at medians"])


def select_target(y: Any, target: int) -> dict[str, Any]:
    """Fields of a display for one output; none without targets."""
    if y is None:
        return {}
    values = select_output(np.asarray(y, dtype=float)[..., None], target)[:, 0]
    name = list(y.columns)[target] if hasattr(y, "columns") else getattr(y, "name", None)
    return {"y": values, "target_name": "y" if name is None else str(name)}
