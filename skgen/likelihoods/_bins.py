"""Bins of a numeric column, and the piecewise-linear map from its values to positions in them.

The range of a column is divided into intervals, numbered from 0. An interval is a bin, an atom or a
gap. A value that occurs often is an atom: a value with a probability of its own. Bins hold about
equally many rows each; gaps lie between atoms and hold none. A value in interval i has a position
between i and i + 1. Within a bin, positions follow the quantiles of the data, so that the density
in a bin with a long tail is not flat.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from .._schema import array, integer, number, store
from .._validation import FloatArray

ATOM_WIDTH = 5e-7
"""Half the width of the interval of values that count as an atom, relative to the atom."""
ROWS_PER_PIECE = 8
"""Smallest number of rows in a linear piece of the map, except at the ends of the range."""
MOST_DECIMALS = 12
DIVISORS = (1, 2, 3, 4, 5, 10)
"""The step of a grid is the smallest distance of two values, divided by one of these."""


class _Interval(NamedTuple):
    """An interval of the range, with the part of the map that belongs to it."""

    knots: FloatArray  # ends of the linear pieces
    shares: FloatArray  # of the interval's rows below each knot
    n_rows: int
    atom: float = np.nan  # NaN for a bin or a gap


@store(
    parameters={
        "knots": array("n_knots"), "positions": array("n_knots", 0.0),
        "counts": array("n_intervals", 0.0), "atoms": array("n_intervals"),
        "is_atom": array("n_intervals", kinds="b"), "scale": number(0.0),
        "origin": number(), "step": number(0.0), "decimals": integer(-1, MOST_DECIMALS),
    }
)  # fmt: skip
@dataclass(frozen=True, eq=False)
class Bins:
    """Intervals of one column, and its map from values to positions."""

    knots: FloatArray  # increasing values
    positions: FloatArray  # of the knots; between them the map is linear
    counts: FloatArray  # rows in each interval, 0 for a gap
    atoms: FloatArray  # values of the atoms, 0 for other intervals
    is_atom: npt.NDArray[np.bool_]
    scale: float  # unit of the distance from the range of a value outside
    origin: float
    step: float  # of the grid of values origin + k * step; 0 if there is none
    decimals: int  # to which values on the grid are rounded, if not negative

    @classmethod
    def fit(cls, values: FloatArray, max_bins: int) -> Self:
        """Fit to the values of a column, at least one, all finite."""
        distinct, counts = np.unique(values, return_counts=True)
        scale = float(values.std())
        if is_constant(distinct):
            distinct, counts, scale = distinct[:1], np.array([len(values)]), 0.0
        n_bins = max(1, min(max_bins, int(len(values) ** 0.5)))
        step = find_step(distinct)
        is_atom = find_atoms(distinct, counts, n_bins)
        intervals = fill_gaps(_intervals(distinct, counts, is_atom, n_bins, step))
        knots = np.concatenate([interval.knots for interval in intervals])
        positions = [i + interval.shares for i, interval in enumerate(intervals)]
        first = np.append(True, np.diff(knots) > 0)
        atoms = np.array([interval.atom for interval in intervals])
        n_rows = np.array([float(interval.n_rows) for interval in intervals])
        grid = float(distinct[0]), step, find_decimals(distinct)
        is_atom = ~np.isnan(atoms)
        return cls(
            knots[first], np.concatenate(positions)[first], n_rows, np.nan_to_num(atoms), is_atom,
            scale, *grid,
        )  # fmt: skip

    @property
    def n_intervals(self) -> int:
        return len(self.counts)

    def to_positions(self, values: FloatArray) -> FloatArray:
        """Return positions of values; beyond the range they grow by 1 per ``scale``."""
        inside = np.interp(values, self.knots, self.positions)
        low, high = self.knots[0] - values, values - self.knots[-1]
        distance = np.maximum(np.maximum(low, high), 0.0)
        steps = distance / self.scale if self.scale else np.sign(distance)
        return inside + np.where(low > 0, -steps, steps)

    def to_values(self, positions: FloatArray) -> FloatArray:
        """Return the values at positions: the atom within an atom, else rounded to the grid."""
        values = np.interp(positions, self.positions, self.knots)
        steps = positions - positions.clip(0, self.n_intervals)
        values = self._round(values + steps * self.scale)
        interval = np.nan_to_num(positions).clip(0, self.n_intervals - 1).astype(int)
        return np.where(self.is_atom[interval] & (steps == 0), self.atoms[interval], values)

    def _round(self, values: FloatArray) -> FloatArray:
        if self.step:
            values = self.origin + self.step * np.round((values - self.origin) / self.step)
        return values if self.decimals < 0 or not self.step else np.round(values, self.decimals)

    def log_slopes(self, values: FloatArray) -> FloatArray:
        """Return the log derivative of the map to positions; 0 in atoms, which are point masses."""
        pieces = np.diff(self.positions) / np.diff(self.knots)
        interval = self.positions[:-1].astype(int)  # of each piece
        slopes = np.where(self.is_atom[interval], 1.0, pieces)
        outside = 1 / self.scale if self.scale else 1.0
        index = np.searchsorted(self.knots, values, side="right") - 1
        index = np.where(values == self.knots[-1], len(slopes) - 1, index)
        return np.log(np.append(slopes, [outside])[np.where(np.isnan(values), -1, index)])


def is_constant(distinct: FloatArray) -> bool:
    """Return True if sorted distinct values are equal up to rounding."""
    largest = np.abs(distinct).max()
    return bool(distinct[-1] - distinct[0] <= 4 * np.finfo(np.float64).eps * largest)


def find_step(distinct: FloatArray) -> float:
    """Return the step of the grid that values lie on, or 0 if there is none."""
    if len(distinct) < 5:
        return 0.0
    smallest = float(np.diff(distinct).min())
    for divisor in DIVISORS:
        step = smallest / divisor
        index = (distinct - distinct[0]) / step
        if np.abs(index - np.round(index)).max() < 0.01 and index[-1] < 1e6:
            return float((distinct[-1] - distinct[0]) / np.round(index[-1]))
    return 0.0


def find_decimals(distinct: FloatArray) -> int:
    """Return the smallest number of decimals that all values have, or -1."""
    for decimals in range(MOST_DECIMALS + 1):
        if np.array_equal(np.round(distinct, decimals), distinct):
            return decimals
    return -1


def find_atoms(
    distinct: FloatArray, counts: npt.NDArray[np.int64], n_bins: int
) -> npt.NDArray[np.bool_]:
    """Return a mask of the atoms: all of few values, else those with as many rows as half a bin."""
    n_rows = counts.sum()
    if len(distinct) == 1 or (len(distinct) <= n_bins and 2 * len(distinct) <= n_rows):
        return np.ones(len(distinct), dtype=bool)
    found: npt.NDArray[np.bool_] = counts >= max(3, n_rows / (2 * n_bins))
    return found


def _intervals(
    distinct: FloatArray, counts: npt.NDArray[np.int64], is_atom: npt.NDArray[np.bool_],
    n_bins: int, step: float,
) -> list[_Interval]:  # fmt: skip
    """Return atoms and bins in increasing order."""
    atoms, half_widths = distinct[is_atom], _half_widths(distinct)[is_atom]
    lows, highs = atoms - half_widths, atoms + half_widths
    shares = np.array([0.0, 1.0])
    intervals = [
        _Interval(np.array(ends), shares, n, atom)
        for *ends, n, atom in zip(lows, highs, counts[is_atom].tolist(), atoms, strict=True)
    ]
    rest, group = distinct[~is_atom], np.searchsorted(atoms, distinct[~is_atom])
    bounds = np.append(-np.inf, highs), np.append(lows, np.inf)
    for index in np.unique(group):
        members = group == index
        values = np.repeat(rest[members], counts[~is_atom][members])
        ends = _ends(values, bounds[0][index], bounds[1][index], step)
        n = max(1, round(n_bins * len(values) / counts.sum()))
        intervals += _bins(values, *ends, n, bool(index == 0), bool(index == len(atoms)))
    return sorted(intervals, key=lambda interval: interval.knots[0])


def _half_widths(distinct: FloatArray) -> FloatArray:
    """Return half the width of the interval that counts as each distinct value."""
    if len(distinct) == 1:
        return np.maximum(ATOM_WIDTH * np.abs(distinct), 1e-100)
    gaps = np.diff(distinct)
    nearest = np.minimum(np.append(gaps, np.inf), np.append(np.inf, gaps))
    widths = np.maximum(ATOM_WIDTH * np.abs(distinct), 1e-9 * (distinct[-1] - distinct[0]))
    return np.minimum(widths, nearest / 4)


def _ends(values: FloatArray, low: float, high: float, step: float) -> tuple[float, float]:
    """Return the ends of a group of values between two atoms: the atoms, or its own extreme values.

    On a grid, the ends lie half a step beyond the extreme values instead.
    """
    first, last = float(values[0]), float(values[-1])
    if step:
        return max(first - step / 2, low), min(last + step / 2, high)
    return (first if low == -np.inf else low), (last if high == np.inf else high)


def _bins(
    values: FloatArray, low: float, high: float, n_bins: int, is_first: bool, is_last: bool
) -> list[_Interval]:
    """Cut sorted values into bins of equally many rows."""
    index = np.round(np.linspace(0, len(values), n_bins + 1)).astype(int)[1:-1]
    edges, below = _cut(values, index, low, high)
    bins: list[_Interval] = []
    for ends, (start, stop) in zip(pairwise(edges), pairwise(below.tolist()), strict=True):
        tails = is_first and start == 0, is_last and stop == len(values)
        pieces = _pieces(values[start:stop], *ends, *tails)
        bins.append(_Interval(*pieces, stop - start))
    return bins


def _cut(
    values: FloatArray, index: npt.NDArray[np.int64], low: float, high: float
) -> tuple[FloatArray, npt.NDArray[np.int64]]:
    """Cut sorted values before the positions ``index``, so that no part is empty.

    Return the ends of the parts, midway between values, and the number of values below each end.
    """
    inner = (values[index - 1] + values[index]) / 2
    below = np.searchsorted(values, inner)
    keep = (low < inner) & (inner < high) & (np.diff(below, prepend=0) > 0)
    ends = np.concatenate([[low], inner[keep], [high]])
    return ends, np.concatenate([[0], below[keep], [len(values)]])


def _pieces(
    values: FloatArray, low: float, high: float, is_low_tail: bool, is_high_tail: bool
) -> tuple[FloatArray, FloatArray]:
    """Return ends of the linear pieces of a bin, short ones in tails, and shares of rows below."""
    n = len(values)
    cuts = [np.round(np.linspace(0, n, n // ROWS_PER_PIECE + 1)).astype(int)[1:-1]]
    tail = 2 ** np.arange(int(np.log2(ROWS_PER_PIECE)))
    tail = tail[2 * tail < n]
    cuts += [tail] if is_low_tail else []
    cuts += [n - tail] if is_high_tail else []
    knots, below = _cut(values, np.unique(np.concatenate(cuts)), low, high)
    return knots, below / n


def fill_gaps(intervals: list[_Interval]) -> list[_Interval]:
    """Insert gaps between intervals that do not touch."""
    filled = intervals[:1]
    for interval in intervals[1:]:
        low, high = filled[-1].knots[-1], interval.knots[0]
        if high > low:
            filled.append(_Interval(np.array([low, high]), np.array([0.0, 1.0]), 0))
        filled.append(interval)
    return filled
