"""Sigmoid basis functions."""

from collections.abc import Callable
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from .._parameters import NONE, Choice, Integer, Parameters, Vector, check_parameters
from .._schema import Values, array, integer, number, store
from .._validation import LARGEST, FloatArray
from . import _placement
from ._base import MOST, Basis


@store(
    state={
        "centers_": array("n_features n_basis"), "width_": _placement.POSITIVE,
        "_reach": number(0.0), "_n_features_out": integer(1),
    }
)  # fmt: skip
class SigmoidBasis(Basis):
    """Logistic sigmoids of each feature.

    ``phi_dj(x) = 1 / (1 + exp(-(x_d - c_dj) / s_d))``: C. M. Bishop, Pattern Recognition and
    Machine Learning, 2006, eqs 3.5-3.6. Each sigmoid depends on one feature, so the effects of the
    features add up.

    Parameters
    ----------
    n_basis : int, default=9
        Number of sigmoids for each feature, at least 1; not used if ``centers`` are given.
    centers : {"even", "quantile"} or array-like of shape (n_centers,), default="even"
        Values of x_d at which the sigmoids are 1/2:

        - "even": spread evenly over the domain.
        - "quantile": quantiles of each feature.
        - array-like: the centers themselves, the same for each feature.
    width : float or array-like of shape (n_features,), default=None
        Lengths s_d over which a sigmoid rises, above 0, in the units of X. None computes them from
        ``overlap``.
    overlap : float, default=0.5
        Length s_d divided by the median distance between neighbouring centers, from 1e-6 to 1e6; it
        is used if ``width`` is None.
    domain : tuple (low, high) or array-like of shape (n_features, 2), default=None
        Range of X over which the centers are spread. None means the range of the data. With a
        domain and even centers, the basis does not depend on the data.

    Attributes
    ----------
    centers_ : ndarray of shape (n_features, n_basis)
        Centers c_dj, in the units of X.
    width_ : ndarray of shape (n_features,)
        Lengths s_d, in the units of X.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    GaussianBasis : Bumps instead of steps, in all features at once.
    sklearn.preprocessing.SplineTransformer : Piecewise polynomials of each feature.

    Examples
    --------
    >>> from skgen import SigmoidBasis
    >>> SigmoidBasis(3, domain=(0, 1)).fit_transform([[0.0], [0.5]]).round(2)
    array([[0.5 , 0.12, 0.02],
           [0.88, 0.5 , 0.12]])
    """

    shortcut = "sigmoid"

    _parameters: ClassVar[Parameters] = {
        "n_basis": Integer(1, MOST, remedy="Give the number of sigmoids."),
        "centers": Choice("even", "quantile") | Vector("n_basis", remedy="Give a list of values."),
        "width": NONE | _placement.LENGTHS,
        "overlap": _placement.OVERLAP,
        "domain": NONE | _placement.DOMAIN,
    }

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        return "centers_" not in values or values["centers_"].size == values["_n_features_out"]

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

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(), cls(5, centers="quantile"))

    def _place(self, X: FloatArray) -> None:
        p = check_parameters(self, n_features=X.shape[1])
        low, high = _placement.feature_range(X, p.domain)
        if not isinstance(p.centers, str):
            self.centers_ = np.tile(p.centers, (len(low), 1))
        elif p.centers == "even":
            points = _placement.even_points(p.n_basis, 1)
            self.centers_ = low[:, None] + np.outer(high - low, points)
        else:
            probabilities = np.linspace(0, 1, p.n_basis)
            self.centers_ = np.stack([np.quantile(np.unique(x), probabilities) for x in X.T])
        if p.width is None:
            scale = np.where(high - low > _placement.SMALLEST, high - low, 1.0)
            gaps = [_placement.neighbour_distance(row[:, None] / unit) for row, unit in
                    zip(self.centers_, scale, strict=True)]  # fmt: skip
            self.width_ = p.overlap * scale * np.array(gaps)
        else:
            self.width_ = np.broadcast_to(p.width, len(low)).copy()
        self._reach = LARGEST * min(1.0, self.width_.min())
        self._n_features_out = self.centers_.size

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        n_basis = self.centers_.shape[1]
        for feature, (centers, width) in enumerate(zip(self.centers_, self.width_, strict=True)):
            part = out[:, feature * n_basis : (feature + 1) * n_basis]
            np.subtract(X[:, [feature]] / width, centers / width, out=part)
            expit(part, out=part)

    def _to_onnx(self, graph: Callable[..., str], X: str) -> str:
        n_features, n_basis = self.centers_.shape
        columns = graph("Gather", X, np.repeat(np.arange(n_features), n_basis), axis=1)
        distance = graph("Sub", columns, self.centers_.ravel())
        return graph("Sigmoid", graph("Div", distance, np.repeat(self.width_, n_basis)))
