"""Entries that docstrings of displays share; their names stand in braces there."""

from inspect import cleandoc, getmembers_static, isfunction

ENTRIES = {
    "images": """image_shape : tuple (height, width) or (height, width, channels), default=None
    Shape of the images; None takes a square if there is one, else strips.
row_labels, column_labels : list of str, default=None
    Labels of the rows and of the columns.
xlabel, ylabel : str, default=""
    Labels of the axes.

Attributes
----------
{ax_}
image_ : matplotlib AxesImage
    All images in one.""",
    "drawing": """image_shape : tuple (height, width) or (height, width, channels), default=None
    Shape of the images. None takes the estimator's, else a square if there is one, else strips.
cmap : str or Colormap, default="gray"
    Colours of images with one channel.
{ax}

{returns}""",
    "ax": """ax : Axes, default=None
    Where to draw; None makes a figure.""",
    "axes": """ax : Axes or array of two Axes, default=None
    Where to draw: two panels, or one that is split. None makes a figure.""",
    "returns": """Returns
-------
display : instance of this class
    The display, drawn.""",
    "ax_": """ax_, figure_ : matplotlib Axes and Figure
    Axes of the display, and their figure.""",
    "random_state": """random_state : int, Generator, RandomState or None, default=None
    Seed; None draws afresh.""",
    "data": """x, y : ndarray of shape (n_samples,), default=None
    Values of the feature and the target in the data.
feature_name : str, default="x"
    Label of the feature.
target_name : str, default="y"
    Label of the target.""",
    "along": """X : array-like of shape (n_samples, n_features)
    Data, which give the range of the feature and the values at which others are held.
y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
    Targets, drawn as points.
feature : int or str, default=0
    The feature to draw along.
grid : array-like of shape (n_values,), default=None
    Its values; None is 200 over its range in X.
held : dict, default=None
    Values of other features, by index or name; the rest is held at the median, columns that are
    not numeric at the most frequent value.
target : int, default=0
    The output, of several.""",
    "histogram": """n_bins : int, default=10
    Bins of the histogram.
color : Color, default="#0072B2"
    Colour of histogram and line.""",
}


def fill_docstrings(cls: type) -> None:
    """Put the shared entries into the docstrings of a class and of its methods."""
    members = (getattr(member, "__func__", member) for _, member in getmembers_static(cls))
    for documented in (cls, *filter(isfunction, members)):
        if documented.__doc__:
            text = cleandoc(documented.__doc__)
            for name, entry in ENTRIES.items():
                text = text.replace(f"{{{name}}}", entry)
            documented.__doc__ = f"{text}\n"
