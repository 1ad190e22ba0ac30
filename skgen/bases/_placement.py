"""Positions and widths of basis functions, computed from the set of rows and from parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.stats import qmc
from sklearn.cluster import KMeans

from .._parameters import Number, Vector
from .._schema import NONE, Check, Sizes, array, each, store
from .._threads import one_blas_thread
from .._validation import LARGEST, FloatArray, error_message

SMALLEST = 1e-290  # scale, well above the subnormal numbers, which lose digits
K_MEANS_ROUNDS = 5
UNIFORM = 2.6  # 99 % quantile, for uniform samples, of the statistic of `are_evenly_spread`
FEWEST_VALUES = 0.5  # different values per row, of a feature with few ties
ROUNDING = 1e-13  # relative to the largest magnitude, below which values are equal

# Kinds of parameters of several bases, and of lengths of fitted bases in files.
SHORTEST = np.nextafter(1 / LARGEST, 1)
REMEDY = "Give a positive length in the units of X, or one per feature."
LENGTHS = Vector("n_features", "", low=SHORTEST, remedy=REMEDY)
OVERLAP = Number(1e-6, 1e6, remedy="0.5 to 3 suits most data.")
DOMAIN = Vector("2", "n_features 2", remedy="Give (low, high), or one such pair per feature.")
POSITIVE = array("n_features", 1e-300)


def distinct_rows(X: FloatArray, n_most: int) -> FloatArray:
    """Return the set of rows of X, or of ``n_most`` evenly chosen ones if X has more."""
    if len(X) > n_most:
        X = X[np.linspace(0, len(X) - 1, n_most).astype(int)]
    columns = [merge_ties(column) for column in np.asarray(X, dtype=np.float64).T]
    return np.unique(np.column_stack(columns), axis=0)


def merge_ties(values: FloatArray) -> FloatArray:
    """Return ``values``, of which those that differ only by rounding become the least of them."""
    order = np.argsort(values, kind="stable")
    ascending = values[order]
    starts = np.diff(ascending, prepend=-np.inf) > ROUNDING * np.abs(values).max()
    merged = np.empty_like(values)
    merged[order] = ascending[starts][np.cumsum(starts) - 1]
    return merged


def _are_knots(value: Any, _: Sizes) -> bool:
    sizes: Sizes = {}
    is_pair = each(array("n"), tuple).holds(value, sizes) and len(value) == 2 and sizes["n"] > 0
    return is_pair and bool((np.diff(value[0]) > 0).all() and value[1].min() >= 0)


@store(
    "Ranks",
    parameters={
        "knots": each(Check(_are_knots), list),
        "scale": array("n_ranked", 1e-300),
        "features": NONE | array("n_ranked", 0, kinds="i"),
    },
)
@dataclass(frozen=True, eq=False)
class EmpiricalCDF:
    """Empirical distribution function of each feature, linear between the observed values.

    The rank of a value is the share of distinct rows below it plus half the share of those equal
    to it; it is constant outside the range of the rows.
    """

    knots: list[tuple[FloatArray, FloatArray]]  # values in ascending order, and their ranks
    scale: FloatArray  # (n_features,), standard deviations of the ranks
    features: npt.NDArray[np.intp] | None = None
    """Indices of the features in a wider table."""

    @classmethod
    def fit(cls, rows: FloatArray) -> "EmpiricalCDF":
        """Return the distribution functions of distinct rows."""
        knots, variances = [], []
        for column in rows.T:
            values, counts = np.unique(column, return_counts=True)
            ranks = (np.cumsum(counts) - 0.5 * counts) / len(column)
            knots.append((values, ranks))
            variances.append(np.average((ranks - 0.5) ** 2, weights=counts) or 1.0)
        return cls(knots, np.sqrt(variances))

    def centered_ranks(self, X: FloatArray) -> FloatArray:
        """Return ranks less one half, of the shape of X."""
        columns = [np.interp(x, *knot) for x, knot in zip(X.T, self.knots, strict=True)]
        return np.stack(columns, axis=1) - 0.5

    def without_lines(self) -> "EmpiricalCDF":
        """Return the functions minus the straight line through each; they stay constant outside."""
        knots = [(values, ranks - _line(values, ranks)) for values, ranks in self.knots]
        return EmpiricalCDF(knots, self.scale)

    def to_onnx(self, graph: Callable[..., str], X: str) -> str:
        """Add ONNX nodes of `centered_ranks`: a binary search in all features at once."""
        size = 2 ** max(len(values) for values, _ in self.knots).bit_length()
        knots, heights, slopes = np.full((3, len(self.knots), size), np.inf)
        for feature, (values, shares) in enumerate(self.knots):
            knots[feature, : len(values)] = values
            heights[feature, : len(values)] = shares - 0.5
            slopes[feature, : len(values)] = np.append(np.diff(shares) / np.diff(values), 0.0)
        low, high = knots[:, 0], np.array([values[-1] for values, _ in self.knots])
        x = graph("Min", graph("Max", X, low), high)
        # Index of the knot at or below x in the flat tables; at first, the feature's first knot.
        index: Any = size * np.arange(len(knots))
        step = size // 2
        while step:
            further = graph("Add", index, np.array([step]))
            reached = graph("GreaterOrEqual", x, graph("Gather", knots.ravel(), further))
            index = graph("Where", reached, further, index)
            step //= 2
        distance = graph("Sub", x, graph("Gather", knots.ravel(), index))
        rise = graph("Mul", graph("Gather", slopes.ravel(), index), distance)
        return graph("Add", graph("Gather", heights.ravel(), index), rise)


def _line(x: FloatArray, y: FloatArray) -> FloatArray:
    """Return values at x of the line of best fit to y, minus the value at the mean of x."""
    deviations = x - x.mean()
    deviations /= np.abs(deviations).max() or 1.0
    return deviations * (deviations @ y) / (deviations @ deviations or 1.0)


def are_evenly_spread(rows: FloatArray) -> npt.NDArray[np.bool_]:
    """Return True for each feature that could be a uniform sample, or a grid, without many ties.

    Its ranks are then nearly a linear function of its values. The rows times the share of variance
    of the ranks that a line does not explain are compared with a quantile for uniform samples,
    which hardly depends on their size.
    """
    n_rows, n_features = rows.shape
    if not n_features:
        return np.zeros(0, dtype=bool)
    ranks = EmpiricalCDF.fit(rows).centered_ranks(rows)
    values = rows - rows.mean(axis=0)
    values /= np.abs(values).max(axis=0, initial=1e-300)
    ranks -= ranks.mean(axis=0)
    norms = np.linalg.norm(values, axis=0) * np.linalg.norm(ranks, axis=0)
    correlations = np.einsum("if,if->f", values, ranks) / np.maximum(norms, 1e-300)
    n_values = np.array([len(np.unique(column)) for column in rows.T])
    return (n_rows * (1 - correlations**2) < UNIFORM) & (n_values > FEWEST_VALUES * n_rows)


def location_and_scale(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return means and standard deviations, or for a constant feature its magnitude or 1."""
    location, scale = rows.mean(axis=0), rows.std(axis=0)
    magnitude = np.abs(location)
    rounding = np.maximum(10 * np.finfo(float).eps * magnitude, 1 / LARGEST)
    constant = np.where(magnitude > SMALLEST, magnitude, 1.0)
    return location, np.where(scale > rounding, scale, constant)


def even_points(n_points: int, n_features: int) -> FloatArray:
    """Return points spread over the unit cube, (n_points, n_features); a line includes its ends."""
    if n_features == 1:
        return np.linspace(0, 1, n_points)[:, None] if n_points > 1 else np.full((1, 1), 0.5)
    return qmc.Halton(n_features, scramble=False).random(n_points + 1)[1:]


def k_means_centers(rows: FloatArray, n_centers: int) -> FloatArray:
    """Return the cluster centers of distinct rows, or the rows if they are not more."""
    if n_centers >= len(rows):
        return rows
    start = rows[np.linspace(0, len(rows) - 1, n_centers).astype(int)]
    k_means = KMeans(n_centers, init=start, n_init=1, max_iter=K_MEANS_ROUNDS, tol=0.0)
    with one_blas_thread():  # otherwise the last digits would depend on the number of threads
        return k_means.fit(rows).cluster_centers_


def neighbour_distance(centers: FloatArray) -> float:
    """Return the median distance of a center to the nearest other one, or 1 if all coincide."""
    distinct = np.unique(centers, axis=0)
    if len(distinct) == 1:
        return 1.0
    nearest, _ = cKDTree(distinct).query(distinct, k=[2])
    median = float(np.median(nearest))
    return median if median > 1 / LARGEST else 1.0


def feature_range(X: FloatArray, domain: FloatArray | None) -> tuple[FloatArray, FloatArray]:
    """Return low and high end of each feature, of the domain if there is one, else of the data."""
    if domain is None:
        return np.asarray(X.min(axis=0), float), np.asarray(X.max(axis=0), float)
    low, high = np.broadcast_to(domain.T if domain.ndim == 2 else domain[:, None], (2, X.shape[1]))
    if not np.all(low < high):
        condition = "have low < high"
        raise ValueError(error_message("domain", condition, domain.tolist(), DOMAIN.remedy))
    return low, high
