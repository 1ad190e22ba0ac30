"""Axes, colours, labels and legends of displays."""

from itertools import combinations
from typing import Any

import numpy as np

from .._validation import FloatArray, short_repr

COLORS = (
    "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#D55E00",
    "#56B4E9", "#8C6D31", "#7F7F7F", "#7722CC", "#9FBF3F",
)  # fmt: skip
"""Colours that are distinct for all kinds of colour vision (Okabe and Ito), on white and black."""
MARKERS = ("o", "^", "s", "D", "v", "P", "X", "<", ">", "*")
PANEL = (5.0, 4.0)  # width and height of one panel of a new figure, in inches


def panels(ax: Any, n_panels: int, caller: str, *, size: tuple[float, float] = PANEL) -> list[Any]:
    """Axes to draw on: new ones, the given ones, or a single one split into columns."""
    try:
        import matplotlib.pyplot as plt
        from matplotlib.axes import Axes
    except ImportError as error:
        raise ImportError(
            f"{caller} needs matplotlib. Install it, for example as the extra skgen[plot]."
        ) from error

    if ax is None:
        figsize = size[0] * n_panels, size[1]
        _, axes = plt.subplots(1, n_panels, figsize=figsize, layout="constrained", squeeze=False)
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
            f"`ax` must have {n_panels} Axes, one per panel; got {len(given)}. "
            "Give one per panel, or a single one to be split."
        )
    return given


def _split(ax: Any, n_panels: int) -> list[Any]:
    """Return axes side by side in the place of ``ax``."""
    ax.set_axis_off()
    spec = ax.get_subplotspec()
    if spec is None:
        return [ax.inset_axes((i / n_panels, 0, 0.8 / n_panels, 1)) for i in range(n_panels)]
    return [ax.figure.add_subplot(cell) for cell in spec.subgridspec(1, n_panels)]


def make_room(legend: Any, points: FloatArray) -> None:
    """Raise the upper limit of the axes, so that points, shape (2, n), end below the legend."""
    ax = legend.axes
    share = legend.get_window_extent().height / ax.get_window_extent().height
    low, high = points[1].min(), points[1].max()
    if share < 0.5:  # otherwise the axes are too small for both
        ax.update_datalim([(points[0, 0], high + (high - low) * share / (1 - share))])
        ax.autoscale_view()


def separate_labels(labels: list[Any], n_rounds: int = 20) -> None:
    """Push overlapping annotations apart, each pair along the shorter way."""
    labels[0].figure.canvas.figure.draw_without_rendering()  # places the axes
    boxes = [label.get_window_extent() for label in labels]
    sizes = np.array([box.size for box in boxes]) + labels[0].figure.dpi / 24  # 3 points between
    start = np.array([(box.min + box.max) / 2 for box in boxes])
    centres = start.copy()
    for _ in range(n_rounds):
        before = centres.copy()
        for i, j in combinations(range(len(labels)), 2):
            difference = centres[j] - centres[i]
            overlap = (sizes[i] + sizes[j]) / 2 - np.abs(difference)
            if (overlap > 0).all():
                axis = overlap.argmin()
                step = np.copysign(overlap[axis] / 2, difference[axis])
                centres[i, axis] -= step
                centres[j, axis] += step
        if np.array_equal(centres, before):
            break
    for label, shift in zip(labels, centres - start, strict=True):
        label.xyann = shift * 72 / label.figure.dpi


def text_color() -> Any:
    """Colour of text, legible on the style's background."""
    import matplotlib as mpl

    return mpl.rcParams["text.color"]


def is_dark(ax: Any) -> bool:
    """Return True if the background is darker than a middle grey."""
    from matplotlib.colors import to_rgb

    return float(np.mean(to_rgb(ax.get_facecolor()))) < 0.5


def draw_data(ax: Any, x: Any, y: Any, keywords: dict[str, Any] | None) -> Any:
    """Draw data as points, if there are targets, and return the artist or None."""
    if y is None:
        return None
    style = {"ls": "", "marker": "o", "ms": 4, "color": text_color(), "alpha": 0.8, "label": "data"}
    return ax.plot(x, y, **{**style, **(keywords or {})})[0]
