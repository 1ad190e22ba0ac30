"""Where basis functions sit and how wide they are, from the set of rows and from parameters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import qmc
from sklearn.cluster import KMeans

from .._threads import one_blas_thread
from .._validation import LARGEST, FloatArray, check_number, check_vector, shape_of, short_repr

SMALLEST = 1e-290  # as a scale: well above the numbers that lose their digits
K_MEANS_ROUNDS = 5


def distinct_rows(X: FloatArray, n_most: int) -> FloatArray:
    """The set of rows of X, or of evenly chosen ones if they are more than ``n_most``."""
    if len(X) > n_most:
        X = X[np.linspace(0, len(X) - 1, n_most).astype(int)]
    return np.unique(np.asarray(X, dtype=np.float64), axis=0)


@dataclass(frozen=True, eq=False)
class Ranks:
    """The empirical distribution functions of the features, joined by lines between values.

    A value's rank is the share of distinct rows below it and half of those equal to it; outside
    the range of the rows it stays as it is at the end.
    """

    knots: list[tuple[FloatArray, FloatArray]]  # values in ascending order, and their ranks
    scale: FloatArray  # (n_features,), standard deviations of the ranks

    @classmethod
    def of(cls, rows: FloatArray) -> Ranks:
        knots, scale = [], []
        for column in rows.T:
            values, counts = np.unique(column, return_counts=True)
            ranks = (np.cumsum(counts) - 0.5 * counts) / len(column)
            spread = float(np.sqrt(np.average((ranks - 0.5) ** 2, weights=counts)))
            knots.append((values, ranks))
            scale.append(spread if len(values) > 1 else 1.0)
        return cls(knots, np.array(scale))

    def of_rows(self, X: FloatArray) -> FloatArray:
        """Ranks less one half, of the shape of X."""
        columns = [np.interp(x, *knot) for x, knot in zip(X.T, self.knots, strict=True)]
        return np.stack(columns, axis=1) - 0.5


def location_and_scale(rows: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Means and standard deviations; a constant feature gets its magnitude, or 1, for a scale."""
    location, scale = rows.mean(axis=0), rows.std(axis=0)
    magnitude = np.abs(location)
    rounding = np.maximum(10 * np.finfo(float).eps * magnitude, 1 / LARGEST)
    constant = np.where(magnitude > SMALLEST, magnitude, 1.0)
    return location, np.where(scale > rounding, scale, constant)


def evenly(n_points: int, n_features: int) -> FloatArray:
    """Points spread over the unit cube, shape (n_points, n_features), ends included for one."""
    if n_features == 1:
        return np.linspace(0, 1, n_points)[:, None] if n_points > 1 else np.full((1, 1), 0.5)
    points: FloatArray = qmc.Halton(n_features, scramble=False).random(n_points + 1)[1:]
    return points


def k_means(rows: FloatArray, n_centers: int) -> FloatArray:
    if n_centers >= len(rows):
        return rows
    start = rows[np.linspace(0, len(rows) - 1, n_centers).astype(int)]
    with one_blas_thread():  # else the order of the threads would be in the last digits
        found = KMeans(n_centers, init=start, n_init=1, max_iter=K_MEANS_ROUNDS, tol=0.0).fit(rows)
    centers: FloatArray = found.cluster_centers_
    return centers


def neighbour_distance(centers: FloatArray) -> float:
    """Median distance of a center to the nearest other one; 1 if all coincide."""
    distinct = np.unique(centers, axis=0)
    if len(distinct) == 1:
        return 1.0
    nearest, _ = cKDTree(distinct).query(distinct, k=[2])
    median = float(np.median(nearest))
    return median if median > 1 / LARGEST else 1.0


def span(X: FloatArray, domain: Any) -> tuple[FloatArray, FloatArray]:
    """Low and high end of each feature: the domain's, or the data's."""
    if domain is None:
        return np.asarray(X.min(axis=0), float), np.asarray(X.max(axis=0), float)
    return check_domain(domain, X.shape[1])


def check_domain(domain: Any, n_features: int) -> tuple[FloatArray, FloatArray]:
    remedy = "Give (low, high), or one such pair per feature."
    pairs = len(shape_of(domain)) == 2
    shape = (n_features, 2) if pairs else (2,)
    bounds = check_vector(domain, "domain", shape, remedy=remedy)
    low, high = np.broadcast_to(bounds.T[:, None] if not pairs else bounds.T, (2, n_features))
    if not np.all(low < high):
        raise ValueError(
            f"`domain` must have low < high; got domain={short_repr(domain)}. {remedy}"
        )
    return low, high


def check_centers(centers: Any, n_features: int) -> FloatArray:
    remedy = "Give one row per center and one column per feature."
    n_centers = max([1, *shape_of(centers)[:1]])
    return check_vector(centers, "centers", (n_centers, n_features), remedy=remedy)


def check_overlap(overlap: Any) -> float:
    remedy = "0.5 to 3 suits most data."
    checked: float = check_number(overlap, "overlap", low=1e-6, high=1e6, remedy=remedy)
    return checked


def check_lengths(value: Any, name: str, n_features: int) -> FloatArray:
    remedy = "Give a positive length in the units of X, or one per feature."
    shape = (n_features,) if shape_of(value) else ()
    lengths = check_vector(value, name, shape, remedy=remedy)
    if not np.all(lengths > 1 / LARGEST):
        raise ValueError(
            f"`{name}` must be > {1 / LARGEST:g}; got {name}={short_repr(value)}. {remedy}"
        )
    return np.broadcast_to(lengths, (n_features,)).copy()
