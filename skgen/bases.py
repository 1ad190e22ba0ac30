"""Basis functions: scikit-learn transformers from features X to the design matrix Phi.

Any scikit-learn transformer is a basis; those here are the ones that scikit-learn lacks. Their
positions and widths follow from the *set* of rows they are fitted on, so that a repeated row and
an integer sample weight mean the same, and they are the same at every fit.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
from scipy.special import expit, ndtri
from scipy.stats import chi2, qmc
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures
from sklearn.utils.validation import check_is_fitted, validate_data

from ._documentation import DocumentationLink
from ._kernels import Kernel
from ._placement import (
    SMALLEST,
    Ranks,
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
from ._validation import (
    LARGEST,
    FloatArray,
    RandomState,
    check_choice,
    check_flag,
    check_number,
    check_numeric,
    check_size,
    check_vector,
    generator,
    shape_of,
    shown,
    unchanged_on_error,
)

__all__ = ["FourierBasis", "GaussianBasis", "SigmoidBasis"]

LECTURE_COUNT = 9
"""Basis functions for one feature, as in the figures of Bishop's chapter 3."""
DEFAULT_COUNT = 300
MOST = 1_000_000
ROWS_PER_CENTER, FEWEST_ROWS = 10, 1000
FEWEST_WAVES, SETTLED_ROWS = 600, 4000


def evaluate(basis: Any, X: FloatArray, out: FloatArray) -> None:
    """Write the basis functions of the rows of X, already validated, into ``out``."""
    if isinstance(basis, _Basis):
        if not float(np.abs(X).max()) <= basis._reach:
            raise ValueError(
                f"`X` must lie within {basis._reach:g} of zero for this basis; got "
                f"{np.abs(X).max():g}. Rescale X, or leave such rows out."
            )
        basis._write(X, out)
        return
    Phi = basis.transform(X)
    Phi = Phi.toarray() if hasattr(Phi, "toarray") else np.asarray(Phi, dtype=np.float64)
    if Phi.shape != out.shape:
        raise ValueError(
            f"`basis` must give as many columns as when it was fitted ({out.shape[1]}); got an "
            f"array of shape {Phi.shape}. Use a transformer with a fixed number of outputs."
        )
    out[...] = Phi


def understudy(basis: Any) -> Any:
    """A copy of a fitted basis to search with; random basis functions are drawn anew."""
    return basis._redrawn() if isinstance(basis, _Basis) else copy.deepcopy(basis)


def exact_kernel(basis: Any, X: FloatArray) -> Kernel | None:
    """The kernel between rows that random basis functions stand for, as a function of theta_."""
    return basis._kernel_of(X) if isinstance(basis, FourierBasis) else None


def is_total(basis: Any, X: FloatArray) -> bool:
    """Whether ``basis`` is sure to be finite on float64 X, whose rows may then wait; quickly."""
    reach = getattr(basis, "_reach", None)  # isinstance would cost a third of all else here
    return reach is not None and bool(np.vdot(X, X) <= reach * reach)


class _Basis(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC
):
    """What the bases share; each fills in ``_place`` and ``_write``."""

    _reach: float  # largest magnitude of X at which every basis function surely is finite
    _n_features_out: int

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Place the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows whose range, spread and density the basis functions follow.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The fitted basis.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is unfit; the basis is left as it was.
        """
        with unchanged_on_error(self):
            rows = self._validated(X, reset=True)
            check_size(rows, "X")
            self._place(rows)
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Evaluate the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to map.

        Returns
        -------
        Phi : ndarray of shape (n_samples, n_features_out)
            The design matrix.

        Raises
        ------
        ValueError, TypeError
            If X is unfit, or so far from the fitted rows that the basis functions overflow.
        """
        check_is_fitted(self)
        rows = self._validated(X, reset=False)
        Phi = np.empty((len(rows), self._n_features_out))
        evaluate(self, rows, Phi)
        return Phi

    def _validated(self, X: npt.ArrayLike, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            rows: FloatArray = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        return rows

    def _redrawn(self) -> Self:
        return copy.deepcopy(self)

    @abstractmethod
    def _place(self, X: FloatArray) -> None:
        """Set the fitted attributes, ``_reach`` and ``_n_features_out`` from rows X."""

    @abstractmethod
    def _write(self, X: FloatArray, out: FloatArray) -> None:
        """Write the basis functions of rows X, within reach, into ``out``."""


class GaussianBasis(_Basis):
    """Gaussian basis functions, and for several features their linear terms too.

    ``phi_j(x) = exp(-sum_d (x_d - c_jd)^2 / (2 s_d^2))`` (Bishop eq. 3.4, with one width s_d a
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
        "evidence" starts there, and BayesianBasisRegressor learns one width a feature.
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
        """Logarithms of the widths over ``scale_``, if they may be learnt."""
        check_is_fitted(self)
        return np.log(self.width_ / self.scale_) if isinstance(self.width, str) else np.empty(0)

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        self.width_ = self.scale_ * np.exp(theta)
        self._compile()

    def pull_back(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
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


class SigmoidBasis(_Basis):
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


class FourierBasis(_Basis):
    """Fourier features of a stationary Gaussian process.

    ``phi(x) = sqrt(2 / n_basis) [cos(w_j' x), sin(w_j' x)]`` with frequencies w_j drawn from the
    kernel's spectral density [1]_: under a prior of precision ``a`` on the weights, f(x) has
    variance ``1 / a`` everywhere, and approximates the Gaussian process of that kernel.

    Parameters
    ----------
    n_basis : int, default=None
        Number of waves, even: a cosine and a sine for each frequency. None takes 1200 for up to
        1000 rows, and fewer for more, down to 600 for 4000 and more, so that learning the length
        scales takes about as long.
    kernel : {"rbf", "matern32", "matern52"}, default="rbf"
        The kernel: squared exponential, or Matern with smoothness 3/2 or 5/2.
    length_scale : "evidence", float or array-like of shape (n_features,), default="evidence"
        Length scales of the kernel in the units of X. "evidence" starts at
        ``sqrt(n_inputs)`` standard deviations of each feature, and BayesianBasisRegressor learns
        one a feature; None stays at the start.
    ranks : bool, default=False
        Whether each feature enters twice, as it is and as its rank among the rows that the basis
        is fitted on (from 0 to 1), each with a length scale of its own. Then a skewed feature needs
        no transformation: the evidence chooses.
    linear : bool, default=False
        Whether each feature, and each rank, over its length scale is a basis function too, after
        the waves: a trend, which may lead beyond the data, and which waves are left to bend. The
        kernel is then the sum of theirs and a linear one, ``slope_**2`` times the inner product.
    sampling : {"halton", "random"}, default="halton"
        Frequencies from a scrambled Halton sequence, whose kernel error falls nearly as
        1 / n_basis, or independent draws, whose error falls as 1 / sqrt(n_basis).
    random_state : int, Generator, RandomState or None, default=None
        Seed of the frequencies; None draws afresh at each fit.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_features, n_basis // 2)
        Angular frequencies, in radians per unit of X.
    length_scale_ : ndarray of shape (n_features,)
        Length scales, in the units of X.
    rank_length_scale_ : ndarray of shape (n_features,)
        Length scales of the ranks, with ``ranks=True``.
    slope_ : float
        Prior standard deviation of a linear term's slope, per length scale, in units of that of
        all waves together; 0 without linear terms. It is learnt with the length scales, from 1 on.
    relevance_ : ndarray of shape (n_features,)
        ``scale_`` over the length scale of each feature, and the same of its rank, as a root sum of
        squares: near 0, the basis functions do not depend on that feature.
    theta_ : ndarray of shape (n_inputs,), (n_inputs + 1,) or (0,)
        What the evidence may choose: logarithms of the length scales over the spreads of the
        features, of their ranks, and of ``slope_`` if there are linear terms, or nothing.
    location_ : ndarray of shape (n_features,)
        Where all phases are zero.
    scale_ : ndarray of shape (n_features,)
        Spreads of the features, or the length scales if they are given.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    sklearn.kernel_approximation.RBFSampler : Random features with random phases.
    GaussianBasis : Local bumps, whose uncertainty does not grow away from the data.

    Notes
    -----
    Length scales are not learnt with the frequencies in use, lest they fit what is particular to
    one draw: for up to two rows a basis function it is with the kernel itself, for more with other
    frequencies, which with the same ``random_state`` are the same at every fit, too.

    References
    ----------
    .. [1] A. Rahimi and B. Recht, Random features for large-scale kernel machines, NIPS 2007.

    Examples
    --------
    >>> from skgen import FourierBasis
    >>> FourierBasis(4, random_state=0).fit_transform([[0.0], [1.0]]).shape
    (2, 4)
    """

    def __init__(
        self,
        n_basis: int | None = None,
        *,
        kernel: Literal["rbf", "matern32", "matern52"] = "rbf",
        length_scale: float | npt.ArrayLike | Literal["evidence"] | None = "evidence",
        ranks: bool = False,
        linear: bool = False,
        sampling: Literal["halton", "random"] = "halton",
        random_state: RandomState = None,
    ) -> None:
        self.n_basis = n_basis
        self.kernel = kernel
        self.length_scale = length_scale
        self.ranks = ranks
        self.linear = linear
        self.sampling = sampling
        self.random_state = random_state

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        remedy = "Give an even number: a cosine and a sine for each frequency."
        n_basis = self.n_basis
        if n_basis is None:
            n_basis = 2 * round(FEWEST_WAVES * max(1, min(2, np.sqrt(SETTLED_ROWS / len(X)))) / 2)
        check_number(n_basis, "n_basis", low=2, high=MOST, integer=True, remedy=remedy)
        if n_basis % 2:
            raise ValueError(f"`n_basis` must be even; got n_basis={n_basis}. {remedy}")
        rows = distinct_rows(X, FEWEST_ROWS)
        self._ranks = Ranks.of(rows) if check_flag(self.ranks, "ranks") else None
        n_inputs = n_features * (1 if self._ranks is None else 2)
        self.location_, self.scale_ = location_and_scale(rows)
        relative = np.full(n_inputs, np.sqrt(n_inputs))
        if isinstance(self.length_scale, str):
            check_choice(self.length_scale, "length_scale", ("evidence",))
        elif self.length_scale is not None:
            lengths = check_lengths(self.length_scale, "length_scale", n_features)
            self.location_, self.scale_ = np.zeros(n_features), lengths
            relative[:n_features] = 1.0
        check_choice(self.kernel, "kernel", ("rbf", "matern32", "matern52"))  # before any draw
        check_choice(self.sampling, "sampling", ("halton", "random"))
        self._seed = int(generator(self.random_state).integers(2**63))
        is_linear = check_flag(self.linear, "linear")
        self._n_features_out = n_basis + n_inputs * is_linear
        self._relative = relative
        self.slope_ = 1.0 if is_linear else 0.0
        self._draw(self._seed)

    def _draw(self, seed: int) -> None:
        n_inputs = len(self._relative)
        n_draws = (self._n_features_out - (n_inputs if self.slope_ else 0)) // 2
        rng = np.random.default_rng(seed)
        if self.sampling == "random":
            uniform = rng.random((n_draws, n_inputs + 1))
        else:
            uniform = qmc.Halton(n_inputs + 1, rng=rng).random(n_draws)
        self._spectrum = self._spectral(uniform).T
        self._stretch()

    def _spectral(self, uniform: FloatArray) -> FloatArray:
        """Frequencies of unit length scale: normal, or Student-t with 2 nu degrees of freedom."""
        normal: FloatArray = ndtri(uniform[:, :-1])
        if self.kernel == "rbf":
            return normal
        df = {"matern32": 3, "matern52": 5}[self.kernel]
        return normal * np.sqrt(df / chi2.ppf(uniform[:, -1:], df))

    def _stretch(self) -> None:
        """Set what follows from draws and length scales."""
        n_features = len(self.scale_)
        self.length_scale_ = self.scale_ * self._relative[:n_features]
        self.frequencies_ = self._spectrum[:n_features] / self.length_scale_[:, None]
        if self._ranks is not None:
            self.rank_length_scale_ = self._ranks.scale * self._relative[n_features:]
            self._rank_frequencies = self._spectrum[n_features:] / self.rank_length_scale_[:, None]
        self._reach = LARGEST * min(1.0, self.length_scale_.min())

    def _redrawn(self) -> Self:
        other = copy.deepcopy(self)
        other._draw(self._seed + 1)
        return other

    def _kernel_of(self, X: FloatArray) -> Kernel:
        return Kernel(self._inputs(X), self.kernel, self.slope_ > 0)

    @property
    def relevance_(self) -> FloatArray:
        """Spread over length scale, of each feature and its rank."""
        check_is_fitted(self)
        squares = self._relative.reshape(-1, len(self.scale_)) ** -2.0
        return np.sqrt(squares.sum(axis=0))

    @property
    def theta_(self) -> FloatArray:
        """Logarithms of the length scales over the spreads, and of the slope, if to be learnt."""
        check_is_fitted(self)
        if not isinstance(self.length_scale, str):
            return np.empty(0)
        slopes = [self.slope_] if self.slope_ else []
        return np.log(np.append(self._relative, slopes))

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        n_inputs = len(self._relative)
        self._relative = np.exp(theta[:n_inputs])
        if self.slope_:
            self.slope_ = float(np.exp(theta[n_inputs]))
        self._stretch()

    def pull_back(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
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
        pulled : ndarray of shape of ``theta_``
            The gradient.
        """
        half = self._spectrum.shape[1]
        by_phase = gradient[:, half : 2 * half] * Phi[:, :half]
        by_phase -= gradient[:, :half] * Phi[:, half : 2 * half]
        pulled: FloatArray = -np.einsum("df,df->d", self._inputs(X).T @ by_phase, self._spectrum)
        pulled /= self._relative
        if not self.slope_:
            return pulled
        by_slope = np.einsum("id,id->d", gradient[:, 2 * half :], Phi[:, 2 * half :])
        return np.append(pulled - by_slope, by_slope.sum())

    def _inputs(self, X: FloatArray) -> FloatArray:
        """Features, and ranks, in units of their spreads, (n_samples, n_inputs)."""
        return self._standard(*self._shifted(X))

    def _shifted(self, X: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Features and ranks from where all phases are zero."""
        ranks = None if self._ranks is None else self._ranks.of_rows(X)
        return X - self.location_, ranks

    def _standard(self, features: FloatArray, ranks: FloatArray | None) -> FloatArray:
        if self._ranks is None or ranks is None:
            return features / self.scale_
        return np.hstack([features / self.scale_, ranks / self._ranks.scale])

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        half = self._spectrum.shape[1]
        features, ranks = self._shifted(X)
        phase = features @ self.frequencies_
        if ranks is not None:
            phase += ranks @ self._rank_frequencies
        waves, linear = out[:, : 2 * half], out[:, 2 * half :]
        np.cos(phase, out=waves[:, :half])
        np.sin(phase, out=waves[:, half:])
        waves *= np.sqrt(1 / half)
        if self.slope_:
            inputs = self._standard(features, ranks)
            np.multiply(inputs, self.slope_ / self._relative, out=linear)


TABULAR = partial(FourierBasis, ranks=True, linear=True, random_state=0)
"""The basis of "auto" for several features."""

SHORTCUTS: dict[str, Callable[[], Any]] = {
    "gaussian": GaussianBasis,
    "sigmoid": SigmoidBasis,
    "fourier": partial(FourierBasis, random_state=0),
    "polynomial": partial(PolynomialFeatures, include_bias=False),
    "identity": partial(FunctionTransformer, feature_names_out="one-to-one"),
}


def resolve_basis(basis: Any, n_features: int) -> Any:
    """An unfitted copy of the basis that ``basis``, a shortcut or a transformer, stands for."""
    if isinstance(basis, str):
        if check_choice(basis, "basis", ("auto", *SHORTCUTS)) == "auto":
            return GaussianBasis() if n_features == 1 else TABULAR()
        return SHORTCUTS[basis]()
    needed = ("fit", "transform", "get_params")
    if isinstance(basis, type) or not all(hasattr(basis, method) for method in needed):
        raise TypeError(
            f"`basis` must be a str or a transformer instance with {', '.join(needed)}; got "
            f"basis={shown(basis)}. Choose one of {', '.join(map(repr, SHORTCUTS))}, or pass for "
            "example sklearn.preprocessing.SplineTransformer()."
        )
    return clone(basis)


def depends_on_data(basis: Any, X: FloatArray) -> bool:
    """Whether a fit of ``basis`` to other rows of the same width gives another basis."""
    fitted, other = clone(basis).fit(X, None), clone(basis).fit(2 * X + 1, None)
    return is_learnable(fitted) or joblib.hash(fitted) != joblib.hash(other)


def is_learnable(basis: Any) -> bool:
    """Whether a fitted basis, or the last step of a pipeline, has parameters to be learnt."""
    if isinstance(basis, Pipeline):
        return is_learnable(basis[-1])
    if isinstance(basis, FrozenEstimator) or not hasattr(basis, "pull_back"):
        return False
    return np.size(basis.theta_) > 0
