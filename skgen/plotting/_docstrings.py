"""Entries that several docstrings of displays share; there, their names stand in braces."""

from inspect import cleandoc, getmembers_static, isfunction

ENTRIES = {
    "images": """image_shape : tuple (height, width) or (height, width, channels), default=None
    Shape of the images. None means a square if the number of features is a square number, otherwise
    a strip of height 1.
row_labels, column_labels : list of str, default=None
    Labels of the rows and of the columns of images. None means no labels.
xlabel, ylabel : str, default=""
    Labels of the axes.

Attributes
----------
{ax_}
image_ : matplotlib AxesImage
    One image that contains all images.""",
    "drawing": """image_shape : tuple (height, width) or (height, width, channels), default=None
    Shape of the images. None means that of the estimator. If it has none either, it is a square if
    the number of features is a square number, otherwise a strip of height 1.
cmap : str or Colormap, default="gray"
    Colours of images with one channel.
{ax}

{returns}""",
    "ax": """ax : Axes, default=None
    Axes to draw on. None creates a figure.""",
    "axes": """ax : Axes or array of two Axes, default=None
    Axes to draw on: two panels, or one that is split into two. None creates a figure.""",
    "returns": """Returns
-------
display : instance of this class
    The display, after it was drawn.""",
    "ax_": """ax_, figure_ : matplotlib Axes and Figure
    Axes of the display, and their figure.""",
    "random_state": """random_state : int, Generator, RandomState or None, default=None
    Seed; None draws afresh at each call.""",
    "data": """x, y : ndarray of shape (n_samples,), default=None
    Values of the feature and the target in the data.
feature_name : str, default="x"
    Label of the feature.
target_name : str, default="y"
    Label of the target.""",
    "along": """X : array-like of shape (n_samples, n_features)
    Data. They determine the range of the feature, and the values at which others are held.
y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
    Targets, drawn as points. None draws no points.
feature : int or str, default=0
    Index or name of the feature on the horizontal axis.
grid : array-like of shape (n_values,), default=None
    Values of the feature. None means 200 evenly spaced values over its range in X.
held : dict, default=None
    Values at which other features are held, by index or name. All others are held at their median,
    or at their most frequent value if they are not numeric.
target : int, default=0
    Index of the output to draw, if there are several.""",
    "histogram": """n_bins : int, default=10
    Number of bins of the histogram, at least 1.
color : Color, default="#0072B2"
    Colour of the histogram and the line.""",
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
