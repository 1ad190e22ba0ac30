"""Gaussian basis functions."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from .._validation import (
    LARGEST,
    FloatArray,
    check_choice,
    check_number,
)
from ._base import FEWEST_ROWS, MOST, Basis
from ._placement import (
    check_centers,
    check_lengths,
    check_overlap,
    distinct_rows,
    evenly,
    k_means,
    location_and_scale,
    neighbour_distance,
    span,
)

LECTURE_COUNT = 9
"""Basis functions for one feature, as in the figures of Bishop's chapter 3."""


DEFAULT_COUNT = 300


ROWS_PER_CENTER = 10


class GaussianBasis(Basis):
    """Gaussian basis functions, and for several features their linear terms too.

    ``phi_j(x) = exp(-sum_d (x_d - c_jd)^2 / (2 s_d^2))`` (Bishop eq. 3.4, with one width s_d per
    feature). Scales are handled inside: distances are taken in units of each feature's spread.

    Parameters
    ----------
    n_basis : int, default=None
        Number of basis functions, linear terms included. None means 9 for one feature, and for
        several 300 Gaussians beside the linear terms. Centers that follow the data by k-means are
        at most as many as there are distinct rows.
    centers : {"auto", "even", "quantile", "kmeans"} or array-like, default="auto"
        Where the Gaussians sit: evenly over the domain (for several features, the points of a
        Halton sequence), at quantiles (one feature only), at k-means centers, or at the rows of an
        array of shape (n_centers, n_features). "auto" is "kmeans" for several features without a
        ``domain``, else "even".
    width : float, array-like of shape (n_features,) or "evidence", default=None
        Standard deviations s_d of the Gaussians, in the units of X. None takes ``overlap``;
        "evidence" starts there, and BayesianBasisRegressor learns one width per feature.
    overlap : float, default=None
        Width in units of the median distance between neighbouring centers, used if ``width`` is
        not a number. None is 1 for one feature, as in Bishop's figures, and 2 for several.
    domain : tuple (low, high) or array-like of shape (n_features, 2), default=None
        Range of X over which the centers are spread. None takes the range of the data. A basis
        with a domain depends on no data, so it suits streams, merging, and draws from the prior.
    linear : {"auto"} or bool, default="auto"
        Whether each feature, standardised, is a basis function too, which carries a trend beyond
        the data. "auto" adds them for several features whose centers follow the data, if they
        leave room for a Gaussian.

    Attributes
    ----------
    centers_ : ndarray of shape (n_centers, n_features)
        Centers, in the units of X.
    width_ : ndarray of shape (n_features,)
        Widths, in the units of X.
    location_ : ndarray of shape (n_features,)
        Zero of the linear terms.
    scale_ : ndarray of shape (n_features,)
        Unit of the linear terms.
    linear_ : bool
        Whether the last n_features columns are linear terms.
    relevance_ : ndarray of shape (n_features,)
        Spread of each feature over its width: near 0, the Gaussians do not depend on it.
    theta_ : ndarray of shape (n_features,) or (0,)
        What the evidence may choose: logarithms of the widths over ``scale_``, or nothing.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    SigmoidBasis : Steps instead of bumps, feature by feature.
    FourierBasis : Waves, which approximate a stationary Gaussian process.
    sklearn.kernel_approximation.Nystroem : Kernels at data points, whitened.

    Notes
    -----
    k-means runs on at most ``max(1000, 10 n_basis)`` evenly chosen rows and for 5 rounds, which
    costs O(n_basis^2 n_features); evaluation costs O(n_samples n_basis n_features).

    References
    ----------
    .. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, section 3.1.

    Examples
    --------
    >>> from skgen import GaussianBasis
    >>> GaussianBasis(3, domain=(0, 1)).fit_transform([[0.0], [0.5]]).round(2)
    array([[1.  , 0.61, 0.14],
           [0.61, 1.  , 0.61]])
    """

    def __init__(
        self,
        n_basis: int | None = None,
        *,
        centers: Literal["auto", "even", "quantile", "kmeans"] | npt.ArrayLike = "auto",
        width: float | npt.ArrayLike | Literal["evidence"] | None = None,
        overlap: float | None = None,
        domain: npt.ArrayLike | None = None,
        linear: Literal["auto"] | bool = "auto",
    ) -> None:
        self.n_basis = n_basis
        self.centers = centers
        self.width = width
        self.overlap = overlap
        self.domain = domain
        self.linear = linear

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        how = self._center_rule(n_features)
        self.linear_, n_centers = self._share_out(how, n_features)
        rows = distinct_rows(X, max(FEWEST_ROWS, ROWS_PER_CENTER * n_centers))
        if self.domain is not None:
            low, high = span(X, self.domain)
            self.location_, self.scale_ = (low + high) / 2, (high - low) / np.sqrt(12)
        elif how == "given" and not self._is_rule() and not self.linear_:
            self.location_, self.scale_ = np.zeros(n_features), np.ones(n_features)
        else:
            self.location_, self.scale_ = location_and_scale(rows)
        if how == "given":
            self.centers_ = check_centers(self.centers, n_features)
        elif how == "kmeans":
            standard = (rows - self.location_) / self.scale_
            _, distinct = np.unique(np.round(standard, 6), axis=0, return_index=True)
            self.centers_ = self.location_ + self.scale_ * k_means(standard[distinct], n_centers)
        elif how == "quantile":
            self.centers_ = np.quantile(rows, np.linspace(0, 1, n_centers), axis=0)
        else:
            low, high = span(X, self.domain)
            self.centers_ = low + (high - low) * evenly(n_centers, n_features)
        self.width_ = self._chosen_width(n_features)
        self._compile()

    def _center_rule(self, n_features: int) -> str:
        if not isinstance(self.centers, str):
            return "given"
        rule = check_choice(self.centers, "centers", ("auto", "even", "quantile", "kmeans"))
        if rule == "quantile" and n_features > 1:
            raise ValueError(
                f"`centers` must not be 'quantile' for several features; got {n_features} "
                "features. Use 'kmeans'."
            )
        if rule == "auto":
            return "kmeans" if n_features > 1 and self.domain is None else "even"
        return rule

    def _share_out(self, rule: str, n_features: int) -> tuple[bool, int]:
        """Whether there are linear terms, and how many centers."""
        remedy = "Give the number of basis functions, linear terms included."
        n_basis = self.n_basis
        if n_basis is not None:
            n_basis = check_number(
                n_basis, "n_basis", low=1, high=MOST, integer=True, remedy=remedy
            )
        if not isinstance(self.linear, bool):
            check_choice(self.linear, "linear", ("auto",))
            room = n_basis is None or n_basis > n_features
            linear = rule == "kmeans" and n_features > 1 and room
        else:
            linear = self.linear
        if n_basis is None:
            return linear, LECTURE_COUNT if n_features == 1 else DEFAULT_COUNT
        n_centers = n_basis - n_features * linear
        if n_centers < 1:
            raise ValueError(
                f"`n_basis` must be > n_features (={n_features}) with linear=True; got "
                f"n_basis={n_basis}. Ask for more basis functions, or set linear=False."
            )
        return linear, n_centers

    def _is_rule(self) -> bool:
        """Whether ``width`` is not a number."""
        if isinstance(self.width, str):
            check_choice(self.width, "width", ("evidence",))
        return self.width is None or isinstance(self.width, str)

    def _chosen_width(self, n_features: int) -> FloatArray:
        if self._is_rule():
            overlap = 1.0 if n_features == 1 else 2.0
            if self.overlap is not None:
                overlap = check_overlap(self.overlap)
            standard = (self.centers_ - self.location_) / self.scale_
            return overlap * neighbour_distance(standard) * self.scale_
        return check_lengths(self.width, "width", n_features)

    @property
    def relevance_(self) -> FloatArray:
        """Spread of each feature over its width."""
        check_is_fitted(self)
        return self.scale_ / self.width_

    @property
    def theta_(self) -> FloatArray:
        """Logarithms of the widths over ``scale_``, if they may be learned."""
        check_is_fitted(self)
        return np.log(self.width_ / self.scale_) if isinstance(self.width, str) else np.empty(0)

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        self.width_ = self.scale_ * np.exp(theta)
        self._compile()

    def vjp(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
        """Gradient by ``theta_`` of ``sum(gradient * Phi)``.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows.
        Phi : ndarray of shape (n_samples, n_features_out)
            Their basis functions, ``transform(X)``.
        gradient : ndarray of shape (n_samples, n_features_out)
            Weight of each of these.

        Returns
        -------
        pulled : ndarray of shape (n_features,)
            The gradient.
        """
        n_centers = len(self.centers_)
        share = gradient[:, :n_centers] * Phi[:, :n_centers]
        standard = (X - self.location_) / self.width_
        centers = (self.centers_ - self.location_) / self.width_
        squares = share.sum(axis=1) @ standard**2 + share.sum(axis=0) @ centers**2
        pulled: FloatArray = squares - 2 * np.einsum("id,id->d", standard, share @ centers)
        return pulled

    def _compile(self) -> None:
        """Prepare the exponent as one matrix product of ``[z, |z / s|^2, 1]``, z standardised."""
        relative_width = self.width_ / self.scale_
        centers = (self.centers_ - self.location_) / self.width_
        squares = np.einsum("ij,ij->i", centers, centers)
        self._exponent = np.vstack(
            [(centers / relative_width).T, np.full(len(centers), -0.5), -0.5 * squares]
        )
        self._sharpness = relative_width**-2
        self._cancels = squares.max() > 1e12  # widths so small that the exponent may round above 0
        self._reach = LARGEST * min(1.0, self.width_.min(), self.scale_.min())
        self._n_features_out = len(centers) + self.linear_ * len(self.width_)

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        n_centers, n_features = self.centers_.shape
        bumps, linear = out[:, :n_centers], out[:, n_centers:]
        if n_features == 1:  # no cancellation, and no slower
            np.subtract(X / self.width_, (self.centers_ / self.width_).T, out=bumps)
            np.multiply(bumps, bumps, out=bumps)
            bumps *= -0.5
        else:
            extended = np.ones((len(X), n_features + 2), order="F")
            standard = extended[:, :n_features]
            np.subtract(X, self.location_, out=standard)
            standard /= self.scale_
            np.matmul(standard * standard, self._sharpness, out=extended[:, n_features])
            np.matmul(extended, self._exponent, out=bumps)
            if self._cancels:
                np.minimum(bumps, 0.0, out=bumps)
            linear[...] = standard[:, : linear.shape[1]]
        np.exp(bumps, out=bumps)
        if n_features == 1 and self.linear_:
            linear[...] = (X - self.location_) / self.scale_
