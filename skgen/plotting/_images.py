"""Images: data and their reconstructions, and samples."""

from dataclasses import dataclass
from math import prod
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._pipelines import inverse_transform_from_final
from .._validation import (
    FloatArray,
    RandomState,
    check_image_shape,
    check_number,
    guess_image_shape,
)
from ._drawing import PANEL, panels
from ._inputs import final_step

GAP = 1
"""Pixels between two tiles."""


def check_n_images(number: Any, name: str, low: int = 1) -> int:
    """Return ``number`` as a number of images from ``low`` to 1000, or raise."""
    remedy = "Give a number of images."
    return check_number(number, name, low=low, high=1000, integer=True, remedy=remedy)


@dataclass(kw_only=True, eq=False, repr=False)
class ImagesDisplay:
    """Base class of the displays of images, which are drawn in rows on one axes."""

    images: FloatArray
    image_shape: tuple[int, ...] | None = None
    row_labels: list[str] | None = None
    column_labels: list[str] | None = None
    xlabel: str = ""
    ylabel: str = ""

    def plot(self, ax: Any = None, *, cmap: Any = "gray", **imshow_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        {ax}
        cmap : str or Colormap, default="gray"
            Colours of images with one channel. Images with three channels are drawn in their own
            colours, divided by 255 if a value is above 1.
        **imshow_kw : dict
            Keywords of ``Axes.imshow``, such as ``vmin`` and ``vmax``.

        {returns}
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
        style = {"cmap": cmap, "interpolation": "nearest", **imshow_kw}
        self.image_ = self.ax_.imshow(whole, **style)
        self._label(shape)
        if ax is None:  # cut the figure to the height of the images, which keep their aspect
            self.figure_.draw_without_rendering()
            self.figure_.set_figheight(self.ax_.get_tightbbox().height / self.figure_.dpi + 0.15)
        return self

    def _label(self, shape: tuple[int, int, int]) -> None:
        height, width, _ = shape
        self.ax_.spines[:].set_visible(False)
        self.ax_.tick_params(length=0)
        self.ax_.set(xlabel=self.xlabel, ylabel=self.ylabel)
        for labels, size, axis in (
            (self.column_labels, width, self.ax_.xaxis), (self.row_labels, height, self.ax_.yaxis),
        ):  # fmt: skip
            ticks = {i: text for i, text in enumerate(labels or []) if text}
            centres = [i * (size + GAP) + (size - 1) / 2 for i in ticks]
            axis.set_ticks(centres, list(ticks.values()))


class ReconstructionDisplay(ImagesDisplay):
    """Rows of data above their reconstructions from latent means.

    Create the display by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (2, n_samples, n_features)
        Data and their reconstructions.
    {images}

    See Also
    --------
    SamplesDisplay : New data.

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
        cls, estimator: Any, X: npt.ArrayLike, *, image_shape: tuple[int, ...] | None = None,
        cmap: Any = "gray", ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw rows of data and their reconstructions.

        Parameters
        ----------
        estimator : transformer with ``inverse_transform``, or Pipeline or search that ends in one
            A fitted estimator.
        X : array-like of shape (n_samples, n_features)
            The rows to draw. All of them are drawn, so give few.
        {drawing}
        """
        model = final_step(estimator, "inverse_transform")
        reconstructions = np.asarray(estimator.inverse_transform(estimator.transform(X)))
        return cls(
            images=np.stack([np.asarray(X, dtype=float), reconstructions]),
            image_shape=image_shape or getattr(model, "image_shape", None),
            row_labels=["data", "reconstruction"],
        ).plot(ax, cmap=cmap)


class SamplesDisplay(ImagesDisplay):
    """New data drawn from a model, as images.

    Create the display by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_rows, n_columns, n_features)
        The draws.
    {images}

    See Also
    --------
    ManifoldDisplay : Decoder means over a grid of latent codes.

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
        cls, estimator: Any, *, n_rows: int = 5, n_columns: int = 10,
        observation_noise: bool = False, random_state: RandomState = None,
        image_shape: tuple[int, ...] | None = None, cmap: Any = "gray", ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw new data.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            A fitted estimator. Steps before the model need ``inverse_transform``.
        n_rows : int, default=5
            Number of rows of images, from 1 to 1000.
        n_columns : int, default=10
            Number of columns of images, from 1 to 1000.
        observation_noise : bool, default=False
            If True, draw data as they would be observed; if False, draw decoder means.
        {random_state}
        {drawing}
        """
        model = final_step(estimator, "sample")
        shape = check_n_images(n_rows, "n_rows"), check_n_images(n_columns, "n_columns")
        drawn = model.sample(
            prod(shape), observation_noise=observation_noise, random_state=random_state
        )
        rows = np.asarray(inverse_transform_from_final(estimator, drawn))
        images = rows.reshape(*shape, -1)
        return cls(images=images, image_shape=image_shape or model.image_shape).plot(ax, cmap=cmap)


def tile_images(
    rows: npt.NDArray[np.floating], shape: tuple[int, int, int]
) -> npt.NDArray[np.floating]:
    """Return one image made of a grid of images, (n_down, n_across, n_values), with gaps of nan.

    It has shape (height, width). For images of three channels it has shape (height, width, 4), with
    an alpha channel that is 0 in the gaps.
    """
    height, width, channels = shape
    down, across, _ = rows.shape
    images = rows.reshape(down, across, height, width, channels)
    if channels == 3:
        images = np.concatenate([images, np.ones_like(images[..., :1])], axis=-1)
    gaps = [(0, 0), (0, 0), (0, GAP), (0, GAP), (0, 0)]
    padded = np.pad(images, gaps, constant_values=0.0 if channels == 3 else np.nan)
    grid = padded.swapaxes(1, 2).reshape(down * (height + GAP), across * (width + GAP), -1)
    grid = grid[:-GAP, :-GAP]
    return grid.squeeze(-1) if channels == 1 else grid
