"""Gaussian basis functions."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from sklearn.utils.validation import check_is_fitted

from .._parameters import NONE, Choice, Flag, Integer, Parameters, Vector, check_parameters
from .._schema import FLAG, Values, array, from_record, store
from .._validation import LARGEST, FloatArray
from . import _placement
from ._base import FEWEST_ROWS, MOST, LearnableBasis

LECTURE_COUNT = 9  # for one feature, as in the figures of Bishop's chapter 3
DEFAULT_COUNT = 300
ROWS_PER_CENTER = 10


@store(
    state={
        "linear_": FLAG, "centers_": array("n_centers n_features"), "width_": _placement.POSITIVE,
        "location_": array("n_features"), "scale_": _placement.POSITIVE,
    },
    derived=("_exponent", "_inverse_squares", "_cancels", "_reach", "_n_features_out"),
)  # fmt: skip
class GaussianBasis(LearnableBasis):
    """Gaussian basis functions, with linear terms if X has several features.

    ``phi_j(x) = exp(-sum_d (x_d - c_jd)^2 / (2 s_d^2))``: C. M. Bishop, Pattern Recognition and
    Machine Learning, 2006, eq. 3.4 with one width s_d per feature. X needs no scaling: default
    widths follow the spread of each feature.

    Parameters
    ----------
    n_basis : int, default=None
        Number of basis functions, including linear terms. None means 9 for one feature, otherwise
        300 plus the linear terms. k-means gives at most one center per distinct row. It is not used
        if ``centers`` are given.
    centers : {"auto", "even", "quantile", "kmeans"} or array-like, default="auto"
        Centers of the Gaussians:

        - "even": spread evenly over the domain; for several features, the points of a Halton
          sequence.
        - "quantile": quantiles of the data, for one feature only.
        - "kmeans": the cluster centers of k-means.
        - "auto": "kmeans" for several features without a ``domain``, otherwise "even".
        - array-like of shape (n_centers, n_features): the centers themselves.
    width : float, array-like of shape (n_features,) or "evidence", default=None
        Standard deviations s_d of the Gaussians, above 0, in the units of X. None computes them
        from ``overlap``. With "evidence" they start there, and BayesianBasisRegressor learns one
        per feature.
    overlap : float, default=None
        Width divided by the median distance between neighbouring centers, from 1e-6 to 1e6; it is
        used if ``width`` is None or "evidence". None means 1 for one feature, as in Bishop's
        figures, and 2 for several.
    domain : tuple (low, high) or array-like of shape (n_features, 2), default=None
        Range of X over which the centers are spread. None means the range of the data. With a
        domain, the basis does not depend on the data, as streams, merging and draws from the prior
        need.
    linear : {"auto"} or bool, default="auto"
        If True, each standardized feature is a basis function, too. These linear terms describe a
        trend, which continues beyond the data. "auto" adds them for several features whose
        centers come from k-means, if ``n_basis`` leaves room for at least one Gaussian.

    Attributes
    ----------
    centers_ : ndarray of shape (n_centers, n_features)
        Centers c_j, in the units of X.
    width_ : ndarray of shape (n_features,)
        Widths s_d, in the units of X.
    location_, scale_ : ndarray of shape (n_features,)
        Value of each feature at which its linear term is 0, and change of the feature by which the
        term grows by 1.
    linear_ : bool
        True if the last n_features columns are linear terms.
    relevance_ : ndarray of shape (n_features,)
        ``scale_`` divided by the widths. Near 0, the Gaussians do not depend on that feature.
    theta_ : ndarray of shape (n_features,) or (0,)
        Parameters that BayesianBasisRegressor learns: logarithms of the widths divided by
        ``scale_``. Empty unless ``width="evidence"``.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    SigmoidBasis : Steps instead of bumps, feature by feature.
    FourierBasis : Waves, which approximate a stationary Gaussian process.

    Notes
    -----
    k-means runs on at most ``max(1000, 10 n_basis)`` evenly chosen rows for 5 iterations, which
    takes O(n_basis^2 n_features) operations. Evaluation takes O(n_samples n_basis n_features).

    Examples
    --------
    >>> from skgen import GaussianBasis
    >>> GaussianBasis(3, domain=(0, 1)).fit_transform([[0.0], [0.5]]).round(2)
    array([[1.  , 0.61, 0.14],
           [0.61, 1.  , 0.61]])
    """

    shortcut = "gaussian"

    _parameters: ClassVar[Parameters] = {
        "n_basis": NONE | Integer(1, MOST, remedy="Give the number, linear terms included."),
        "centers": Choice("auto", "even", "quantile", "kmeans")
        | Vector("n_centers n_features", remedy="Give a row per center and a column per feature."),
        "width": NONE | Choice("evidence") | _placement.LENGTHS,
        "overlap": NONE | _placement.OVERLAP,
        "domain": NONE | _placement.DOMAIN,
        "linear": Flag() | Choice("auto"),
    }

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        basis: Self = from_record(cls, values)
        if "centers_" in values:
            basis._compile()
        return basis

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

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(), cls(20, domain=(-5, 5), linear=True), cls(10, width="evidence"))

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        p = check_parameters(self, n_features=n_features)
        rule = _center_rule(p, n_features)
        self.linear_, n_centers = _count_columns(p, rule, n_features)
        rows = _placement.distinct_rows(X, max(FEWEST_ROWS, ROWS_PER_CENTER * n_centers))
        low, high = _placement.feature_range(X, p.domain)
        if p.domain is not None:
            self.location_, self.scale_ = (low + high) / 2, (high - low) / np.sqrt(12)
        elif rule == "given" and isinstance(p.width, np.ndarray) and not self.linear_:
            self.location_, self.scale_ = np.zeros(n_features), np.ones(n_features)
        else:
            self.location_, self.scale_ = _placement.location_and_scale(rows)
        if rule == "given":
            self.centers_ = p.centers
        elif rule == "kmeans":
            self.centers_ = self._k_means_centers(rows, n_centers)
        elif rule == "quantile":
            self.centers_ = np.quantile(rows, np.linspace(0, 1, n_centers), axis=0)
        else:
            self.centers_ = low + (high - low) * _placement.even_points(n_centers, n_features)
        self.width_ = self._widths(p)
        self._compile()

    def _k_means_centers(self, rows: FloatArray, n_centers: int) -> FloatArray:
        """Return the cluster centers of standardized rows, in the units of X."""
        standard = (rows - self.location_) / self.scale_
        _, distinct = np.unique(np.round(standard, 6), axis=0, return_index=True)
        centers = _placement.k_means_centers(standard[distinct], n_centers)
        return self.location_ + self.scale_ * centers

    def _widths(self, parameters: SimpleNamespace) -> FloatArray:
        """Return the given widths, or those that follow from the overlap of the centers."""
        n_features = len(self.scale_)
        if isinstance(parameters.width, np.ndarray):
            return np.broadcast_to(parameters.width, n_features).copy()
        overlap = parameters.overlap or (1.0 if n_features == 1 else 2.0)
        standard = (self.centers_ - self.location_) / self.scale_
        return overlap * _placement.neighbour_distance(standard) * self.scale_

    @property
    def relevance_(self) -> FloatArray:
        """Scale of each feature over its width."""
        check_is_fitted(self)
        return self.scale_ / self.width_

    @property
    def theta_(self) -> FloatArray:
        """Logarithms of the widths over ``scale_``, if learnable."""
        check_is_fitted(self)
        return np.log(self.width_ / self.scale_) if isinstance(self.width, str) else np.empty(0)

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        self.width_ = self.scale_ * np.exp(theta)
        self._compile()

    def vjp(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
        n_centers = len(self.centers_)
        share = gradient[:, :n_centers] * Phi[:, :n_centers]
        standard = (X - self.location_) / self.width_
        centers = (self.centers_ - self.location_) / self.width_
        squares = share.sum(axis=1) @ standard**2 + share.sum(axis=0) @ centers**2
        return squares - 2 * np.einsum("id,id->d", standard, share @ centers)

    def _compile(self) -> None:
        """Prepare the exponent as a matrix product of ``[z, |z / s|^2, 1]``, z standardized."""
        relative_width = self.width_ / self.scale_
        centers = (self.centers_ - self.location_) / self.width_
        squares = np.einsum("ij,ij->i", centers, centers)
        halves = np.full(len(centers), -0.5)
        self._exponent = np.vstack([(centers / relative_width).T, halves, halves * squares])
        self._inverse_squares = relative_width**-2
        self._cancels = squares.max() > 1e12  # the exponent may round above 0
        self._reach = LARGEST * min(1.0, self.width_.min(), self.scale_.min())
        self._n_features_out = len(centers) + self.linear_ * len(self.width_)

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        n_centers, n_features = self.centers_.shape
        bumps, linear = out[:, :n_centers], out[:, n_centers:]
        if n_features == 1:  # the squared difference itself, which does not cancel
            np.subtract(X / self.width_, (self.centers_ / self.width_).T, out=bumps)
            np.multiply(bumps, bumps, out=bumps)
            bumps *= -0.5
        else:
            extended = np.ones((len(X), n_features + 2), order="F")
            standard = extended[:, :n_features]
            np.subtract(X, self.location_, out=standard)
            standard /= self.scale_
            np.matmul(standard * standard, self._inverse_squares, out=extended[:, n_features])
            np.matmul(extended, self._exponent, out=bumps)
            if self._cancels:
                np.minimum(bumps, 0.0, out=bumps)
        np.exp(bumps, out=bumps)
        if self.linear_:
            linear[...] = (X - self.location_) / self.scale_

    def _to_onnx(self, graph: Callable[..., str], X: str) -> str:
        standard = graph("Sub", X, self.location_)
        scaled = graph("Div", standard, self.width_)
        centers = (self.centers_ - self.location_) / self.width_
        if centers.shape[1] == 1:  # no cancellation
            difference = graph("Sub", scaled, centers.T)
            distance = graph("Mul", difference, difference)
        else:
            product = graph("MatMul", scaled, -2 * centers.T)
            squares = graph("Mul", scaled, scaled)
            length = graph("ReduceSum", squares, np.array([1]), keepdims=1)
            length = graph("Add", length, np.einsum("ij,ij->i", centers, centers))
            distance = graph("Max", graph("Add", product, length), np.zeros(1))
        bumps = graph("Exp", graph("Mul", distance, np.array([-0.5])))
        if not self.linear_:
            return bumps
        return graph("Concat", bumps, graph("Div", standard, self.scale_), axis=1)


def _center_rule(parameters: SimpleNamespace, n_features: int) -> str:
    """Return the rule by which centers are placed, or "given"."""
    rule = parameters.centers
    if not isinstance(rule, str):
        return "given"
    if rule == "quantile" and n_features > 1:
        raise ValueError(
            f"`centers` must not be 'quantile' for several features; got {n_features} features. "
            "Use 'kmeans'."
        )
    if rule == "auto":
        return "kmeans" if n_features > 1 and parameters.domain is None else "even"
    return rule


def _count_columns(parameters: SimpleNamespace, rule: str, n_features: int) -> tuple[bool, int]:
    """Return a flag that is True if there are linear terms, and the number of centers."""
    n_basis, linear = parameters.n_basis, parameters.linear
    if linear == "auto":
        linear = rule == "kmeans" and 1 < n_features < (n_basis or np.inf)
    if n_basis is None:
        return linear, LECTURE_COUNT if n_features == 1 else DEFAULT_COUNT
    n_centers = n_basis - n_features * linear
    if n_centers < 1:
        raise ValueError(
            f"`n_basis` must be > n_features (={n_features}) with linear=True; got "
            f"n_basis={n_basis}. Ask for more basis functions, or set linear=False."
        )
    return linear, n_centers
