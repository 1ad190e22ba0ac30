"""Inputs of displays: steps of pipelines, predictions, rows along one feature, and checks."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student_t

from .._pipelines import final_estimator
from .._validation import FloatArray, RandomState, check_number, check_vector, short_repr


def final_step(estimator: Any, method: str) -> Any:
    """Last step of nested pipelines and searches, which must have ``method``."""
    last = final_estimator(estimator)
    if not hasattr(last, method):
        raise TypeError(
            f"`estimator` must have the method {method}, or be a pipeline or a search that ends in "
            f"such an estimator; got {type(last).__name__}. Give a fitted model of skgen."
        )
    return last


def predict_with_std(model: Any, X: Any) -> tuple[FloatArray, FloatArray, Any]:
    """Predictive means, standard deviations and degrees of freedom, normal for other models."""
    try:
        mean, std = model.predict(X, return_std=True)
    except TypeError as error:
        raise TypeError(
            "`estimator` must have predict(X, return_std=True); got "
            f"{type(model).__name__}. Give a regressor that returns standard deviations."
        ) from error
    return np.asarray(mean), np.asarray(std), getattr(model, "degrees_of_freedom_", np.inf)


def draw_functions(
    model: Any, X: Any, n_draws: int, target: int, random_state: RandomState
) -> FloatArray:
    """Draws of one output without noise at the rows of X, shape (n_samples, n_draws)."""
    draws = model.sample_y(X, n_draws, observation_noise=False, random_state=random_state)
    if draws.ndim == 3:
        draws = draws[:, check_index(target, "target", draws.shape[1], "outputs")]
    functions: FloatArray = draws
    return functions


def standard_student_t(df: Any) -> Any:
    """Student-t distribution of standard deviation 1, by scipy; normal if ``df`` is infinite."""
    return student_t(df, scale=np.sqrt(1 - 2 / np.asarray(df, dtype=float)))


def check_index(value: Any, name: str, size: int, what: str) -> int:
    index: int = check_number(
        value, name, low=0, high=size - 1, integer=True,
        remedy=f"Give the index of one of the {size} {what}.",
    )  # fmt: skip
    return index


def check_pair(value: Any, name: str, size: int, what: str) -> tuple[int, int]:
    """Two different indices."""
    pair = list(value) if np.iterable(value) and not isinstance(value, str) else [value]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(
            f"`{name}` must be two different indices; got {name}={short_repr(value)}. "
            f"Give two of the {size} {what}, such as (0, 1)."
        )
    first, second = (check_index(index, name, size, what) for index in pair)
    return first, second


def check_coverage(coverage: Any) -> FloatArray:
    """Probabilities in increasing order."""
    levels = np.sort(np.atleast_1d(np.asarray(coverage, dtype=float)).ravel())
    remedy = "Give probabilities between 0 and 1, such as (0.5, 0.95)."
    check_vector(levels, "coverage", levels.shape, low=0, remedy=remedy)
    if not levels.size or levels[0] <= 0 or levels[-1] >= 1:
        raise ValueError(
            f"`coverage` must lie between 0 and 1; got coverage={short_repr(coverage)}. {remedy}"
        )
    return levels


class Columns:
    """Columns of an array or a data frame, from which rows of the same kind are made."""

    def __init__(self, X: Any) -> None:
        self.frame_type: type | None = type(X) if hasattr(X, "columns") else None
        table = X if self.frame_type else np.asarray(X)
        if not self.frame_type and np.ndim(table) != 2:
            raise ValueError(
                f"`X` must be 2d; got shape {np.shape(table)}. Use reshape(-1, 1) for one feature."
            )
        self.names: list[Any] = list(X.columns) if self.frame_type else list(range(table.shape[1]))
        self.values = {
            name: np.asarray(X[name]) if self.frame_type else table[:, name] for name in self.names
        }

    def find(self, feature: Any, name: str) -> Any:
        """Name of the column that is given by name or index."""
        if feature in self.names and not isinstance(feature, bool):
            return feature
        if isinstance(feature, str):
            raise ValueError(
                f"`{name}` must be a feature of X; got {name}={feature!r}. Choose one of "
                f"{short_repr(self.names)}."
            )
        return self.names[check_index(feature, name, len(self.names), "features")]

    def typical_value(self, name: Any) -> Any:
        """Median of a numeric column, most frequent value of another."""
        column = self.values[name]
        if np.issubdtype(column.dtype, np.number):
            return np.median(column)
        values, counts = np.unique(column.astype(object), return_counts=True)
        return values[np.argmax(counts)]

    def rows_along(self, feature: Any, grid: FloatArray, held: dict[Any, Any]) -> Any:
        """Rows in which one feature takes the values of ``grid`` and the others are held."""
        columns = {
            name: grid if name == feature else np.full(len(grid), held[name]) for name in self.names
        }
        return self.frame_type(columns) if self.frame_type else np.column_stack([*columns.values()])


def rows_along(
    X: Any, feature: Any, grid: npt.ArrayLike | None, held: dict[Any, Any] | None
) -> tuple[Any, FloatArray, FloatArray, str]:
    """Rows along one feature, its values in them, its values in X, and its name."""
    columns = Columns(X)
    name = columns.find(feature, "feature")
    data = np.asarray(columns.values[name], dtype=float)
    if grid is None:
        values = np.linspace(data.min(), data.max(), 200)
    else:
        values = np.asarray(grid, dtype=float).ravel()
        check_vector(values, "grid", values.shape, remedy="Give values of the feature.")
    given = {columns.find(key, "held"): value for key, value in (held or {}).items()}
    others = {
        key: given.get(key, columns.typical_value(key)) for key in columns.names if key != name
    }
    label = str(name) if columns.frame_type else f"$x_{{{name}}}$" if others else "x"
    return columns.rows_along(name, values, others), values, data, label


def select_target(y: Any, target: int) -> tuple[FloatArray | None, str]:
    """Values and name of one output; None and "y" without targets."""
    if y is None:
        return None, "y"
    name = getattr(y, "name", None)
    table = np.asarray(y, dtype=float)
    if table.ndim == 1:
        return table, str(name) if name is not None else "y"
    target = check_index(target, "target", table.shape[1], "outputs")
    names = getattr(y, "columns", None)
    return table[:, target], "y" if names is None else str(list(names)[target])
