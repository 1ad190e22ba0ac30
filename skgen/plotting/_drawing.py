"""What displays share: axes to draw on, colours, and what is asked of an estimator."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from .._pipelines import final_estimator
from .._validation import FloatArray, check_number, check_vector, short_repr

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00", "#56B4E9", "#8C6D31", "#7F7F7F")
"""Told apart by all kinds of colour vision (after Okabe and Ito), on white and on black."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")
PANEL = (5.0, 4.0)
"""Width and height of one panel of a new figure, in inches."""


def panels(ax: Any, n_panels: int, caller: str, *, size: tuple[float, float] = PANEL) -> list[Any]:
    """Axes to draw on: new ones, those given, or a single one split into columns."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib. Install it, for example as the extra skgen[plot]."
        ) from error

    if ax is None:
        whole = size[0] * n_panels, size[1]
        _, axes = plt.subplots(1, n_panels, figsize=whole, layout="constrained", squeeze=False)
        return list(axes.flat)
    if isinstance(ax, Axes):
        return [ax] if n_panels == 1 else _split(ax, n_panels)
    given = list(np.ravel(np.asarray(ax, dtype=object)))
    if not all(isinstance(one, Axes) for one in given):
        raise TypeError(
            f"`ax` must be a matplotlib Axes or an array of them; got ax={short_repr(ax)}. "
            "Give what matplotlib.pyplot.subplots returns."
        )
    if len(given) != n_panels:
        raise ValueError(
            f"`ax` must have {n_panels} Axes, one a panel; got {len(given)}. "
            "Give one a panel, or a single one that is split."
        )
    return given


def _split(ax: Any, n_panels: int) -> list[Any]:
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    if spec is None:
        width = 1 / n_panels
        boxes = [(i * width, 0, 0.8 * width, 1) for i in range(n_panels)]
        return [ax.inset_axes(box) for box in boxes]
    grid = spec.subgridspec(1, n_panels)
    return [ax.figure.add_subplot(cell) for cell in grid]


def make_room(legend: Any, drawn: FloatArray) -> None:
    """Raise the upper limit until points, shape (2, n), end below a legend at the top."""
    ax = legend.axes
    share = legend.get_window_extent().height / ax.get_window_extent().height
    low, high = drawn[1].min(), drawn[1].max()
    if share < 0.5:  # else the axes are too small for both
        ax.update_datalim([(drawn[0, 0], high + (high - low) * share / (1 - share))])
        ax.autoscale_view()


def keep_apart(labels: list[Any], n_rounds: int = 20) -> None:
    """Push annotations that overlap apart, each pair along the shorter way."""
    labels[0].figure.canvas.figure.draw_without_rendering()  # places the axes
    boxes = [label.get_window_extent() for label in labels]
    sizes = np.array([box.size for box in boxes]) + labels[0].figure.dpi / 24  # 3 points between
    start = np.array([(box.min + box.max) / 2 for box in boxes])
    centres = start.copy()
    for _ in range(n_rounds):
        before = centres.copy()
        for i, j in combinations(range(len(labels)), 2):
            apart = centres[j] - centres[i]
            overlap = (sizes[i] + sizes[j]) / 2 - np.abs(apart)
            if (overlap > 0).all():
                axis = overlap.argmin()
                step = np.copysign(overlap[axis] / 2, apart[axis])
                centres[i, axis] -= step
                centres[j, axis] += step
        if np.array_equal(centres, before):
            break
    for label, shift in zip(labels, centres - start, strict=True):
        label.xyann = shift * 72 / label.figure.dpi


def ink() -> Any:
    """The colour of text, which is legible on the style's background."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]


def is_dark(ax: Any) -> bool:
    """Whether the background is darker than a middle grey."""
    from matplotlib.colors import to_rgb

    return float(np.mean(to_rgb(ax.get_facecolor()))) < 0.5


def final_step(estimator: Any, method: str) -> Any:
    """The last step of nested pipelines, which must have ``method``."""
    last = final_estimator(estimator)
    if not hasattr(last, method):
        raise TypeError(
            f"`estimator` must have the method {method}, or be a pipeline or a search that ends in "
            f"such an estimator; got {type(last).__name__}. Give a fitted model of skgen."
        )
    return last


def checked_index(value: Any, name: str, size: int, what: str) -> int:
    index: int = check_number(
        value, name, low=0, high=size - 1, integer=True,
        remedy=f"Give the index of one of the {size} {what}.",
    )  # fmt: skip
    return index


def checked_pair(value: Any, name: str, size: int, what: str) -> tuple[int, int]:
    """Two different indices."""
    pair = list(value) if np.iterable(value) and not isinstance(value, str) else [value]
    if len(pair) != 2 or pair[0] == pair[1]:
        raise ValueError(
            f"`{name}` must be two different indices; got {name}={short_repr(value)}. "
            f"Give two of the {size} {what}, such as (0, 1)."
        )
    first, second = (checked_index(index, name, size, what) for index in pair)
    return first, second


def checked_levels(coverage: Any) -> FloatArray:
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
    """The columns of an array or a data frame, and frames of the same kind."""

    def __init__(self, X: Any) -> None:
        self.kind: type | None = type(X) if hasattr(X, "columns") else None
        table = X if self.kind else np.asarray(X)
        if not self.kind and np.ndim(table) != 2:
            raise ValueError(
                f"`X` must be 2d; got shape {np.shape(table)}. Use reshape(-1, 1) for one feature."
            )
        self.names: list[Any] = list(X.columns) if self.kind else list(range(table.shape[1]))
        self.values = {
            name: np.asarray(X[name]) if self.kind else table[:, name] for name in self.names
        }

    def find(self, feature: Any, name: str) -> Any:
        """The column's name, of a name or an index."""
        if feature in self.names and not isinstance(feature, bool):
            return feature
        if isinstance(feature, str):
            raise ValueError(
                f"`{name}` must be a feature of X; got {name}={feature!r}. Choose one of "
                f"{short_repr(self.names)}."
            )
        return self.names[checked_index(feature, name, len(self.names), "features")]

    def typical(self, name: Any) -> Any:
        """The median of a column of numbers, the most frequent value of another."""
        column = self.values[name]
        if np.issubdtype(column.dtype, np.number):
            return np.median(column)
        found, counts = np.unique(column.astype(object), return_counts=True)
        return found[np.argmax(counts)]

    def varied(self, feature: Any, grid: FloatArray, held: dict[Any, Any]) -> Any:
        """Rows in which one feature takes the values of ``grid`` and the others are held."""
        columns = {
            name: grid if name == feature else np.full(len(grid), held[name]) for name in self.names
        }
        return self.kind(columns) if self.kind else np.column_stack(list(columns.values()))


def varied_rows(
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
    others = {key: given.get(key, columns.typical(key)) for key in columns.names if key != name}
    label = str(name) if columns.kind else ("x" if len(columns.names) == 1 else f"$x_{{{name}}}$")
    return columns.varied(name, values, others), values, data, label


def target_of(y: Any, target: int) -> tuple[FloatArray, str]:
    """One output's values, and its name."""
    name = getattr(y, "name", None)
    table = np.asarray(y, dtype=float)
    if table.ndim == 1:
        return table, str(name) if name is not None else "y"
    target = checked_index(target, "target", table.shape[1], "outputs")
    names = getattr(y, "columns", None)
    return table[:, target], "y" if names is None else str(list(names)[target])
