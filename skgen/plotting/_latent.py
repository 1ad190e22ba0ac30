"""Latent means of data as points."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.multiclass import type_of_target

from .._validation import FloatArray
from ._drawing import COLORS, MARKERS, panels, separate_labels, text_color
from ._inputs import final_step, is_missing, latent_label, latent_pair


@dataclass(kw_only=True, eq=False, repr=False)
class LatentDisplay:
    """Latent means in two dimensions, coloured by a label or a number.

    It works with any transformer. Each class has a colour and a marker. Its name is at its median,
    or beside the median where names would overlap. Create the display by `from_estimator`.

    Parameters
    ----------
    codes : ndarray of shape (n_samples, 2)
        Latent means.
    y : ndarray of shape (n_samples,), default=None
        Labels or numbers.
    dimensions : tuple of two ints, default=(0, 1)
        Indices of these latent dimensions.
    name : str, default=None
        Name of y.
    explained_kl : tuple of two floats, default=None
        Mean KL divergence of each of the two dimensions, in nats, for the labels of the axes.

    Attributes
    ----------
    {ax_}
    scatter_ : list of matplotlib PathCollection
        The points of each class, in the order of ``numpy.unique``; one collection without classes.
    labels_ : list of matplotlib Annotation
        Names of the classes.
    colorbar_ : matplotlib Colorbar or None
        Scale of the colours if y has numbers.

    See Also
    --------
    ManifoldDisplay : Decoder means over the same two dimensions.

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

    codes: FloatArray
    y: npt.NDArray[Any] | None = None
    dimensions: tuple[int, int] = (0, 1)
    name: str | None = None
    explained_kl: tuple[float, float] | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
        dimensions: tuple[int, int] | None = None, ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw the latent means of data.

        Parameters
        ----------
        estimator : transformer, or Pipeline or search that ends in one
            A fitted estimator.
        X : array-like of shape (n_samples, n_features)
            Data.
        y : array-like of shape (n_samples,), default=None
            Labels of classes, or numbers.
        dimensions : tuple of two ints, default=None
            Indices of the latent dimensions to draw. None means the two of largest
            ``explained_kl_``, or (0, 1) if the transformer has no such attribute. The labels of the
            axes name them.
        {ax}

        {returns}
        """
        kl = getattr(final_step(estimator, "transform"), "explained_kl_", None)
        codes = np.asarray(estimator.transform(X))
        first, second = latent_pair(dimensions, codes.shape[1], kl)
        labels = None if y is None else np.asarray(y)
        if labels is not None and labels.shape != (len(codes),):
            raise ValueError(
                f"`y` must have one value per row of X, shape ({len(codes)},); got shape "
                f"{labels.shape}. Give one column."
            )
        if labels is not None and (n_missing := sum(map(is_missing, labels.tolist()))):
            raise ValueError(
                f"`y` must have no missing values; got {n_missing}. Leave these rows out, or give "
                "them a label of their own."
            )
        name = getattr(y, "name", None)
        name = None if name is None else str(name)
        return cls(
            codes=codes[:, [first, second]], y=labels, dimensions=(first, second), name=name,
            explained_kl=None if kl is None else (float(kl[first]), float(kl[second])),
        ).plot(ax)  # fmt: skip

    def plot(self, ax: Any = None, *, cmap: Any = "viridis", **scatter_kw: Any) -> Self:
        """Draw the display.

        Parameters
        ----------
        {ax}
        cmap : str or Colormap, default="viridis"
            Colours of numbers.
        **scatter_kw : dict
            Keywords of ``Axes.scatter``.

        {returns}
        """
        (self.ax_,) = panels(ax, 1, "LatentDisplay.plot")
        self.figure_ = self.ax_.figure
        self.labels_: list[Any] = []
        self.colorbar_ = None
        kl = self.explained_kl or (None, None)
        xlabel, ylabel = map(latent_label, self.dimensions, kl)
        self.ax_.set(xlabel=xlabel, ylabel=ylabel)
        style = {"s": 10, "alpha": 0.8, "linewidths": 0, **scatter_kw}
        if self.y is None:
            self.scatter_ = [self.ax_.scatter(*self.codes.T, **{"color": COLORS[0], **style})]
        elif type_of_target(self.y) in ("binary", "multiclass"):
            self._draw_classes(self.y, style)
        else:
            self.scatter_ = [self.ax_.scatter(*self.codes.T, c=self.y, cmap=cmap, **style)]
            label = self.name or "y"
            self.colorbar_ = self.figure_.colorbar(self.scatter_[0], ax=self.ax_, label=label)
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
                    ha="center", va="center", weight="bold", color=text_color(),
                    path_effects=[withStroke(linewidth=3, foreground=background)],
                )
            )  # fmt: skip
        separate_labels(self.labels_)
