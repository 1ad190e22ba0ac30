"""Decoder means as images: over two latent dimensions, and along each of them."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._validation import FloatArray, check_number
from ._images import ImagesDisplay, check_n_images
from ._inputs import final_step, latent_label, latent_pair


class ManifoldDisplay(ImagesDisplay):
    """Decoder means over a grid of two latent dimensions.

    The grid consists of quantiles of the prior, so that each image stands for the same probability.
    Other dimensions are at the median of the prior. Create the display by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_steps, n_steps, n_features)
        Decoder means. The first row has the largest value of the second dimension.
    {images}

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
        cls, estimator: Any, *, dimensions: tuple[int, int] | None = None, n_steps: int = 15,
        image_shape: tuple[int, ...] | None = None, cmap: Any = "gray", ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw decoder means over a grid of two latent dimensions.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            A fitted estimator. Steps before the model need ``inverse_transform``.
        dimensions : tuple of two ints, default=None
            Indices of the latent dimensions: the first varies to the right, the second upward. None
            means the two of largest KL.
        n_steps : int, default=15
            Number of images in each direction, at least 2.
        {drawing}
        """
        model = final_step(estimator, "explained_kl_")
        kl = model.explained_kl_
        first, second = latent_pair(dimensions, len(kl), kl)
        median, steps = _prior_quantiles(model, n_steps)
        codes = np.tile(median, (len(steps), len(steps), 1))
        codes[..., first] = steps[:, first]
        codes[..., second] = steps[::-1, second, None]
        return cls(
            images=_decode(estimator, codes), image_shape=image_shape or model.image_shape,
            row_labels=_step_labels(steps[:, second])[::-1],
            column_labels=_step_labels(steps[:, first]),
            xlabel=latent_label(first, kl[first]), ylabel=latent_label(second, kl[second]),
        ).plot(ax, cmap=cmap)  # fmt: skip


class TraversalDisplay(ImagesDisplay):
    """Decoder means along each latent dimension, one row of images each, sorted by KL.

    The other dimensions stay at the code of one row of data, or at the median of the prior. The
    first rows of images belong to the dimensions with most information about x. Dimensions near 0
    nats have collapsed: the images of their rows are equal. Create the display by `from_estimator`.

    Parameters
    ----------
    images : ndarray of shape (n_dimensions, n_steps, n_features)
        Decoder means.
    {images}
    order_ : ndarray of shape (n_dimensions,)
        The latent dimension of each row of images.

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
        cls, estimator: Any, X: npt.ArrayLike | None = None, *,
        n_dimensions: int | None = None, n_steps: int = 9,
        image_shape: tuple[int, ...] | None = None, cmap: Any = "gray", ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw decoder means along each latent dimension.

        Parameters
        ----------
        estimator : VAETransformer, or Pipeline or search that ends in one
            A fitted estimator. Steps before the model need ``inverse_transform``.
        X : array-like of shape (1, n_features), default=None
            One row of data. The other dimensions stay at its latent means; None means the median of
            the prior.
        n_dimensions : int, default=None
            Number of dimensions to draw, those of largest KL. None draws all.
        n_steps : int, default=9
            Number of values of each dimension, at least 2. They are quantiles of the prior.
        {drawing}
        """
        model = final_step(estimator, "explained_kl_")
        kl = model.explained_kl_
        n_rows = check_number(
            len(kl) if n_dimensions is None else n_dimensions, "n_dimensions", low=1,
            high=len(kl), integer=True, remedy="Give a number of latent dimensions.",
        )  # fmt: skip
        order = np.argsort(-kl, kind="stable")[:n_rows]
        median, steps = _prior_quantiles(model, n_steps)
        start = median if X is None else np.asarray(estimator.transform(X))
        if len(start) != 1:
            raise ValueError(f"`X` must have one row; got {len(start)}. Give X[:1], for example.")
        codes = np.tile(start, (n_rows, len(steps), 1))
        for row, dimension in enumerate(order):
            codes[row, :, dimension] = steps[:, dimension]
        display = cls(
            images=_decode(estimator, codes), image_shape=image_shape or model.image_shape,
            row_labels=[f"$z_{{{i}}}$  {kl[i]:.2f} nats" for i in order],
            column_labels=_step_labels(steps[:, order[0]]), xlabel="latent value",
        )  # fmt: skip
        display.order_ = order
        return display.plot(ax, cmap=cmap)


def _prior_quantiles(model: Any, n_steps: Any) -> tuple[FloatArray, FloatArray]:
    """Median of the prior, shape (1, n_components), and quantiles in steps of equal probability."""
    n_steps = check_n_images(n_steps, "n_steps", low=2)
    prior = model.module_.prior()
    return prior.quantiles(np.array([0.5])), prior.quantiles((np.arange(n_steps) + 0.5) / n_steps)


def _step_labels(steps: FloatArray) -> list[str]:
    """Labels of the first, last and, if there is one, middle step; the rest is empty."""
    labels = [""] * len(steps)
    for index in {0, len(steps) - 1, (len(steps) - 1) // 2 if len(steps) % 2 else 0}:
        labels[index] = f"{steps[index] + 0.0:.1f}"
    return labels


def _decode(estimator: Any, codes: FloatArray) -> FloatArray:
    """Decoder means of codes of shape (..., n_components), in the units of the data."""
    rows = np.asarray(estimator.inverse_transform(codes.reshape(-1, codes.shape[-1])))
    return rows.reshape(*codes.shape[:-1], -1)
