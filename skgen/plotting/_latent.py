"""Displays of autoencoders: codes, what they decode to, and data that nobody has observed."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.utils.multiclass import type_of_target

from .._images import GAP, check_image_shape, guess_image_shape, tile_images
from .._pipelines import inverse_transform_from_final
from .._validation import FloatArray, RandomState, check_number
from ._drawing import (
    COLORS,
    MARKERS,
    PANEL,
    checked_pair,
    final_step,
    ink,
    keep_apart,
    panels,
)

DIMENSIONS = "latent dimensions"


class LatentDisplay:
    """Latent means in two dimensions, coloured by a label or a number.

    Works with any transformer. Classes have a colour and a marker each, and their name at their
    median, or beside it where names would overlap. Make it by `from_estimator`.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, 2)
        Latent means.
    y : ndarray of shape (n_samples,), default=None
        Labels or numbers.
    dimensions : tuple of two ints, default=(0, 1)
        Which latent dimensions these are.
    name : str, default=None
        What y is called.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    scatter_ : list of matplotlib PathCollection
        The points of each class in the order of ``numpy.unique``; a single one without classes.
    labels_ : list of matplotlib Annotation
        The classes' names.
    colorbar_ : matplotlib Colorbar or None
        What colours mean where y has numbers.

    See Also
    --------
    ManifoldDisplay : What lies where among them.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import VAETransformer
    >>> from skgen.plotting import LatentDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> vae = VAETransformer(2, max_iter=20, random_state=0).fit(X)
    >>> len(LatentDisplay.from_estimator(vae, X, y).scatter_)
    3
    """

    def __init__(
        self,
        *,
        codes: FloatArray,
        y: npt.NDArray[Any] | None = None,
        dimensions: tuple[int, int] = (0, 1),
        name: str | None = None,
    ) -> None:
        self.codes = codes
        self.y = y
        self.dimensions = dimensions
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        dimensions: tuple[int, int] = (0, 1),
        ax: Any = None,
    ) -> Self:
        """Draw the latent means of data.

        Parameters
        ----------
        estimator : transformer, or Pipeline or search that ends in one
            Fitted, with ``transform``.
        X : array-like of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,), default=None
            Labels, or numbers of many values.
        dimensions : tuple of two ints, default=(0, 1)
            The latent dimensions to draw.
        ax : Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : LatentDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        final_step(estimator, "transform")
        codes = np.asarray(estimator.transform(X))
        pair = checked_pair(dimensions, "dimensions", codes.shape[1], DIMENSIONS)
        labels = None if y is None else np.asarray(y)
        if labels is not None and labels.shape != (len(codes),):
            raise ValueError(
                f"`y` must have one value per row of X, shape ({len(codes)},); got shape "
                f"{labels.shape}. Give one column."
            )
        name = getattr(y, "name", None)
        display = cls(
            codes=codes[:, list(pair)],
            y=labels,
            dimensions=pair,
            name=None if name is None else str(name),
        )
        return display.plot(ax)

    def plot(self, ax: Any = None, *, cmap: Any = "viridis", **scatter_kw: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="viridis"
            Colours of numbers.
        **scatter_kw : dict
            Keywords of ``Axes.scatter``.

        Returns
        -------
        display : LatentDisplay
            The display.
        """
        (self.ax_,) = panels(ax, 1, "LatentDisplay.plot")
        self.figure_ = self.ax_.figure
        self.labels_: list[Any] = []
        self.colorbar_ = None
        first, second = self.dimensions
        self.ax_.set(xlabel=f"$z_{{{first}}}$", ylabel=f"$z_{{{second}}}$")
        style = {"s": 10, "alpha": 0.8, "linewidths": 0, **scatter_kw}
        if self.y is None:
            self.scatter_ = [self.ax_.scatter(*self.codes.T, **{"color": COLORS[0], **style})]
        elif type_of_target(self.y) in ("binary", "multiclass"):
            self._draw_classes(self.y, style)
        else:
            self.scatter_ = [self.ax_.scatter(*self.codes.T, c=self.y, cmap=cmap, **style)]
            self.colorbar_ = self.figure_.colorbar(
                self.scatter_[0], ax=self.ax_, label=self.name or "y"
            )
        return self

    def _draw_classes(self, y: npt.NDArray[Any], style: dict[str, Any]) -> None:
        from matplotlib.patheffects import withStroke

        self.ax_.set_title(self.name or "")
        self.scatter_ = []
        background = self.ax_.get_facecolor()
        for index, label in enumerate(np.unique(y)):
            rows = self.codes[y == label]
            look = {
                "color": COLORS[index % len(COLORS)], "marker": MARKERS[index % len(MARKERS)],
                "label": str(label), **style,
            }  # fmt: skip
            self.scatter_.append(self.ax_.scatter(*rows.T, **look))
            self.labels_.append(
                self.ax_.annotate(
                    str(label), np.median(rows, axis=0), (0, 0), textcoords="offset points",
                    ha="center", va="center", weight="bold", color=ink(),
                    path_effects=[withStroke(linewidth=3, foreground=background)],
                )
            )  # fmt: skip
        keep_apart(self.labels_)


class _ImagesDisplay:
    """Rows of images in one axes."""

    def __init__(
        self,
        *,
        images: FloatArray,
        image_shape: tuple[int, ...] | None = None,
        row_labels: list[str] | None = None,
        column_labels: list[str] | None = None,
        xlabel: str = "",
        ylabel: str = "",
    ) -> None:
        self.images = images
        self.image_shape = image_shape
        self.row_labels = row_labels
        self.column_labels = column_labels
        self.xlabel = xlabel
        self.ylabel = ylabel

    def plot(self, ax: Any = None, *, cmap: Any = "gray", **imshow_kw: Any) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="gray"
            Colours of images with one channel. Those with three are drawn as they are, divided by
            255 if a value is above 1.
        **imshow_kw : dict
            Keywords of ``Axes.imshow``, such as ``vmin`` and ``vmax``.

        Returns
        -------
        display : object
            The display.

        Raises
        ------
        ValueError, TypeError
            If ``image_shape`` or ``ax`` is invalid.
        """
        n_values = self.images.shape[-1]
        shape = check_image_shape(self.image_shape or guess_image_shape(n_values), n_values)
        if shape[-1] not in (1, 3):
            raise ValueError(
                f"`image_shape` must have 1 or 3 channels; got {shape[-1]}. Draw channels one by "
                "one, from the display's `images`."
            )
        rows = self.images
        if shape[-1] == 3:
            rows = np.clip(rows / (255 if rows.max() > 1 else 1), 0, 1)
        whole = tile_images(rows, shape)
        width = 1.4 * PANEL[0]
        height = min(width, width * len(whole) / len(whole[0])) + 0.7  # room for labels
        (self.ax_,) = panels(ax, 1, f"{type(self).__name__}.plot", size=(width, height))
        self.figure_ = self.ax_.figure
        self.image_ = self.ax_.imshow(
            whole, **{"cmap": cmap, "interpolation": "nearest", **imshow_kw}
        )
        self._label(shape)
        if ax is None:
            self._fit_height()
        return self

    def _fit_height(self) -> None:
        """Cut a new figure to what is drawn in it: images keep their aspect, so room is left."""
        self.figure_.draw_without_rendering()
        drawn = self.ax_.get_tightbbox().height / self.figure_.dpi
        self.figure_.set_figheight(drawn + 0.15)

    def _label(self, shape: tuple[int, int, int]) -> None:
        height, width, _ = shape
        self.ax_.spines[:].set_visible(False)
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel)
        for labels, size, axis in (
            (self.column_labels, width, self.ax_.xaxis), (self.row_labels, height, self.ax_.yaxis),
        ):  # fmt: skip
            shown_ones = {i: text for i, text in enumerate(labels or []) if text}
            centres = [i * (size + GAP) + (size - 1) / 2 for i in shown_ones]
            axis.set_ticks(centres, list(shown_ones.values()))


class ManifoldDisplay(_ImagesDisplay):
    """Decoder means over a grid of two latent dimensions: what lies where.

    The grid has quantiles of the prior, so that each image stands for the same share of it; other
    dimensions are 0. Make it by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_steps, n_steps, n_features)
        Decoder means, the second dimension's largest value first.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images; None takes a square if there is one, else strips.
    row_labels : list of str, default=None
        Labels of the rows.
    column_labels : list of str, default=None
        Labels of the columns.
    xlabel : str, default=""
        Label of the first dimension.
    ylabel : str, default=""
        Label of the second dimension.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All images in one.

    See Also
    --------
    TraversalDisplay : One dimension at a time, for more than two.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAETransformer
    >>> from skgen.plotting import ManifoldDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, likelihood="bernoulli", max_iter=5, random_state=0).fit(X)
    >>> ManifoldDisplay.from_estimator(vae, n_steps=10).images.shape
    (10, 10, 64)
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        dimensions: tuple[int, int] = (0, 1),
        n_steps: int = 15,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        cmap: Any = "gray",
    ) -> Self:
        """Draw what a fitted autoencoder decodes over a grid of two latent dimensions.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            Fitted, with ``inverse_transform``.
        dimensions : tuple of two ints, default=(0, 1)
            The latent dimensions, the first to the right, the second upward.
        n_steps : int, default=15
            Images in each direction.
        image_shape : tuple (height, width) or (height, width, channels), default=None
            Shape of the images. None takes the estimator's, else a square if there is one, else
            strips.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="gray"
            Colours of images with one channel.

        Returns
        -------
        display : ManifoldDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "explained_kl_")
        n_components = len(model.explained_kl_)
        first, second = checked_pair(dimensions, "dimensions", n_components, DIMENSIONS)
        steps = _prior_quantiles(n_steps)
        codes = np.zeros((len(steps), len(steps), n_components))
        codes[..., first] = steps
        codes[..., second] = steps[::-1, None]
        labels = _ends_and_middle(steps)
        display = cls(
            images=_decoded(estimator, codes),
            image_shape=image_shape or model.image_shape,
            row_labels=labels[::-1],
            column_labels=labels,
            xlabel=f"$z_{{{first}}}$",
            ylabel=f"$z_{{{second}}}$",
        )
        return display.plot(ax, cmap=cmap)


class TraversalDisplay(_ImagesDisplay):
    """What changes along each latent dimension, one row each, sorted by its KL.

    Others stay at the code of one row of data, or at 0. The first rows are the dimensions that say
    most of x; those near 0 nats have collapsed and change nothing. Make it by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_dimensions, n_steps, n_features)
        Decoder means.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images; None takes a square if there is one, else strips.
    row_labels : list of str, default=None
        Labels of the rows.
    column_labels : list of str, default=None
        Labels of the columns.
    xlabel : str, default=""
        What columns are.
    ylabel : str, default=""
        What rows are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All images in one.
    order_ : ndarray of shape (n_dimensions,)
        The latent dimension of each row.

    See Also
    --------
    ManifoldDisplay : Two dimensions at a time.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAETransformer
    >>> from skgen.plotting import TraversalDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(4, likelihood="bernoulli", max_iter=5, random_state=0).fit(X)
    >>> TraversalDisplay.from_estimator(vae, X[:1], n_steps=7).images.shape
    (4, 7, 64)
    """

    order_: npt.NDArray[np.intp]

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike | None = None,
        *,
        n_dimensions: int | None = None,
        n_steps: int = 9,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        cmap: Any = "gray",
    ) -> Self:
        """Draw what a fitted autoencoder decodes along each latent dimension.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            Fitted, with ``inverse_transform``.
        X : array-like of shape (1, n_features), default=None
            The row at whose latent means the other dimensions stay. None is the prior's mean.
        n_dimensions : int, default=None
            Number of rows, those of the largest KL; None draws all.
        n_steps : int, default=9
            Values of each dimension: quantiles of the prior.
        image_shape : tuple (height, width) or (height, width, channels), default=None
            Shape of the images. None takes the estimator's, else a square if there is one, else
            strips.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="gray"
            Colours of images with one channel.

        Returns
        -------
        display : TraversalDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "explained_kl_")
        kl = model.explained_kl_
        n_rows = check_number(
            len(kl) if n_dimensions is None else n_dimensions, "n_dimensions", low=1,
            high=len(kl), integer=True, remedy="Give a number of latent dimensions.",
        )  # fmt: skip
        order = np.argsort(-kl, kind="stable")[:n_rows]
        start = np.zeros((1, len(kl))) if X is None else np.asarray(estimator.transform(X))
        if len(start) != 1:
            raise ValueError(f"`X` must have one row; got {len(start)}. Give X[:1], for example.")
        steps = _prior_quantiles(n_steps)
        codes = np.tile(start, (n_rows, len(steps), 1))
        for row, dimension in enumerate(order):
            codes[row, :, dimension] = steps
        display = cls(
            images=_decoded(estimator, codes),
            image_shape=image_shape or model.image_shape,
            row_labels=[f"$z_{{{i}}}$  {kl[i]:.2f} nats" for i in order],
            column_labels=_ends_and_middle(steps),
            xlabel="latent value",
        )
        display.order_ = order
        return display.plot(ax, cmap=cmap)


class ReconstructionDisplay(_ImagesDisplay):
    """Rows of data above what comes back of them from their latent means.

    Make it by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (2, n_samples, n_features)
        Data, and their reconstructions.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images; None takes a square if there is one, else strips.
    row_labels : list of str, default=None
        Labels of the rows.
    column_labels : list of str, default=None
        Labels of the columns.
    xlabel : str, default=""
        What columns are.
    ylabel : str, default=""
        What rows are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All images in one.

    See Also
    --------
    SamplesDisplay : Data that are no one's reconstruction.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAETransformer
    >>> from skgen.plotting import ReconstructionDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, likelihood="bernoulli", max_iter=5, random_state=0).fit(X)
    >>> ReconstructionDisplay.from_estimator(vae, X[:8]).images.shape
    (2, 8, 64)
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike,
        *,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        cmap: Any = "gray",
    ) -> Self:
        """Draw rows of data and their reconstructions.

        Parameters
        ----------
        estimator : transformer with ``inverse_transform``, or Pipeline or search that ends in one
            Fitted.
        X : array-like of shape (n_samples, n_features)
            The rows to draw, all of them: give a few.
        image_shape : tuple (height, width) or (height, width, channels), default=None
            Shape of the images. None takes the estimator's, else a square if there is one, else
            strips.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="gray"
            Colours of images with one channel.

        Returns
        -------
        display : ReconstructionDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "inverse_transform")
        back = np.asarray(estimator.inverse_transform(estimator.transform(X)))
        display = cls(
            images=np.stack([np.asarray(X, dtype=float), back]),
            image_shape=image_shape or getattr(model, "image_shape", None),
            row_labels=["data", "reconstruction"],
        )
        return display.plot(ax, cmap=cmap)


class SamplesDisplay(_ImagesDisplay):
    """New data drawn from a model, as images.

    Make it by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_down, n_across, n_features)
        The draws.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images; None takes a square if there is one, else strips.
    row_labels : list of str, default=None
        Labels of the rows.
    column_labels : list of str, default=None
        Labels of the columns.
    xlabel : str, default=""
        What columns are.
    ylabel : str, default=""
        What rows are.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    image_ : matplotlib AxesImage
        All images in one.

    See Also
    --------
    ManifoldDisplay : What lies where in latent space.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAETransformer
    >>> from skgen.plotting import SamplesDisplay
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, likelihood="bernoulli", max_iter=5, random_state=0).fit(X)
    >>> SamplesDisplay.from_estimator(vae, n_rows=3, n_columns=8).images.shape
    (3, 8, 64)
    """

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        *,
        n_rows: int = 5,
        n_columns: int = 10,
        observation_noise: bool = False,
        random_state: RandomState = None,
        image_shape: tuple[int, ...] | None = None,
        ax: Any = None,
        cmap: Any = "gray",
    ) -> Self:
        """Draw new data.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            Fitted, with ``sample``. Steps before it need ``inverse_transform``.
        n_rows : int, default=5
            Images downward.
        n_columns : int, default=10
            Images across.
        observation_noise : bool, default=False
            Whether to draw what would be observed, or the decoder's means.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh.
        image_shape : tuple (height, width) or (height, width, channels), default=None
            Shape of the images. None takes the estimator's, else a square if there is one, else
            strips.
        ax : Axes, default=None
            Where to draw; None makes a figure.
        cmap : str or Colormap, default="gray"
            Colours of images with one channel.

        Returns
        -------
        display : SamplesDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "sample")
        n_down, n_across = (
            check_number(n, name, low=1, high=1000, integer=True, remedy="Give a number of images.")
            for n, name in ((n_rows, "n_rows"), (n_columns, "n_columns"))
        )
        drawn = model.sample(
            n_down * n_across, observation_noise=observation_noise, random_state=random_state
        )
        rows = np.asarray(inverse_transform_from_final(estimator, drawn))
        display = cls(
            images=rows.reshape(n_down, n_across, -1),
            image_shape=image_shape or model.image_shape,
        )
        return display.plot(ax, cmap=cmap)


def _prior_quantiles(n_steps: Any) -> FloatArray:
    """Codes that cut the prior of one dimension into equal shares."""
    n_steps = check_number(
        n_steps, "n_steps", low=2, high=1000, integer=True, remedy="Give a number of images."
    )
    return np.asarray(norm.ppf((np.arange(n_steps) + 0.5) / n_steps))


def _ends_and_middle(steps: FloatArray) -> list[str]:
    """Labels at the ends and, if there is one, the middle; the rest is empty."""
    labels = [""] * len(steps)
    for index in {0, len(steps) - 1, (len(steps) - 1) // 2 if len(steps) % 2 else 0}:
        labels[index] = f"{steps[index] + 0.0:.1f}"
    return labels


def _decoded(estimator: Any, codes: FloatArray) -> FloatArray:
    """What codes of shape (..., n_components) decode to, in the units of the data."""
    rows = np.asarray(estimator.inverse_transform(codes.reshape(-1, codes.shape[-1])))
    return rows.reshape(*codes.shape[:-1], -1)
