"""Sigmoid basis functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from .._validation import (
    LARGEST,
    FloatArray,
    check_choice,
    check_number,
    check_vector,
    shape_of,
)
from ._base import MOST, Basis
from ._placement import (
    SMALLEST,
    check_lengths,
    check_overlap,
    evenly,
    neighbour_distance,
    span,
)


class SigmoidBasis(Basis):
    """Logistic sigmoids of each feature.

    ``phi_dj(x) = 1 / (1 + exp(-(x_d - c_dj) / s_d))`` (Bishop eqs 3.5-3.6). Several features are
    treated one by one, so their effects add up.

    Parameters
    ----------
    n_basis : int, default=9
        Number of sigmoids for each feature.
    centers : {"even", "quantile"} or array-like of shape (n_centers,), default="even"
        Where the sigmoids rise: evenly over the domain, at quantiles of each feature, or at given
        values, the same for each feature.
    width : float or array-like of shape (n_features,), default=None
        Lengths s_d, in the units of X; None takes ``overlap``.
    overlap : float, default=0.5
        Length in units of the median distance between neighbouring centers, used if ``width`` is
        None.
    domain : tuple (low, high) or array-like of shape (n_features, 2), default=None
        Range of X over which the centers are spread; None takes the range of the data.

    Attributes
    ----------
    centers_ : ndarray of shape (n_features, n_basis)
        Centers, in the units of X.
    width_ : ndarray of shape (n_features,)
        Lengths, in the units of X.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    GaussianBasis : Bumps instead of steps, in all features at once.
    sklearn.preprocessing.SplineTransformer : Piecewise polynomials of each feature.

    References
    ----------
    .. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 3.1.

    Examples
    --------
    >>> from skgen import SigmoidBasis
    >>> SigmoidBasis(3, domain=(0, 1)).fit_transform([[0.0], [0.5]]).round(2)
    array([[0.5 , 0.12, 0.02],
           [0.88, 0.5 , 0.12]])
    """

    def __init__(
        self,
        n_basis: int = 9,
        *,
        centers: Literal["even", "quantile"] | npt.ArrayLike = "even",
        width: float | npt.ArrayLike | None = None,
        overlap: float = 0.5,
        domain: npt.ArrayLike | None = None,
    ) -> None:
        self.n_basis = n_basis
        self.centers = centers
        self.width = width
        self.overlap = overlap
        self.domain = domain

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        low, high = span(X, self.domain)
        self.centers_ = self._placed_centers(X, low, high)
        if self.width is None:
            overlap = check_overlap(self.overlap)
            scale = np.where(high - low > SMALLEST, high - low, 1.0)
            gaps = [neighbour_distance(row[:, None] / unit) for row, unit in
                    zip(self.centers_, scale, strict=True)]  # fmt: skip
            self.width_ = overlap * scale * np.array(gaps)
        else:
            self.width_ = check_lengths(self.width, "width", n_features)
        self._reach = LARGEST * min(1.0, self.width_.min())
        self._n_features_out = self.centers_.size

    def _placed_centers(self, X: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
        if not isinstance(self.centers, str):
            n_centers = max([1, *shape_of(self.centers)[:1]])
            given = check_vector(
                self.centers, "centers", (n_centers,), remedy="Give a list of values."
            )
            return np.tile(given, (len(low), 1))
        n_basis = check_number(
            self.n_basis, "n_basis", low=1, high=MOST, integer=True,
            remedy="Give the number of sigmoids.",
        )  # fmt: skip
        if check_choice(self.centers, "centers", ("even", "quantile")) == "even":
            return low[:, None] + np.outer(high - low, evenly(n_basis, 1))
        probabilities = np.linspace(0, 1, n_basis)
        return np.stack([np.quantile(np.unique(column), probabilities) for column in X.T])

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        n_basis = self.centers_.shape[1]
        for feature, (centers, width) in enumerate(zip(self.centers_, self.width_, strict=True)):
            part = out[:, feature * n_basis : (feature + 1) * n_basis]
            np.subtract(X[:, [feature]] / width, centers / width, out=part)
            expit(part, out=part)

    def _to_onnx(self, graph: Callable[..., str], X: str) -> str:
        """Add ONNX nodes of the basis functions, as in ``transform``; return their output."""
        n_features, n_basis = self.centers_.shape
        columns = graph("Gather", X, np.repeat(np.arange(n_features), n_basis), axis=1)
        distance = graph("Sub", columns, self.centers_.ravel())
        return graph("Sigmoid", graph("Div", distance, np.repeat(self.width_, n_basis)))
