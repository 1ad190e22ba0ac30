"""Random numbers that are determined by the values of a row, and not by its position.

So a Monte Carlo estimate for a row depends neither on the order of rows nor on other rows. The
errors of different rows are independent, and cancel in their mean.
"""

import numpy as np
import numpy.typing as npt
from scipy.stats import qmc

from .._validation import FloatArray

Keys = npt.NDArray[np.uint64]

# The finalizer of splitmix64 (Steele, Lea and Flood, Fast splittable pseudorandom number
# generators, OOPSLA 2014): each bit of the input changes half the bits of the output.
INCREMENT = np.uint64(0x9E3779B97F4A7C15)
FACTORS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))
SHIFTS = (np.uint64(30), np.uint64(27), np.uint64(31))


def row_keys(X: FloatArray, seed: int) -> Keys:
    """Return one key per row, a hash of its values and the seed."""
    values = np.asarray(X, dtype=np.float64) + 0.0  # -0.0 + 0.0 is 0.0
    values[np.isnan(values)] = np.nan  # of one sign
    bits = values.view(np.uint64)
    columns = _mix(np.arange(X.shape[1], dtype=np.uint64) + np.uint64(seed)) | np.uint64(1)
    return _mix((_mix(bits + columns) * columns).sum(axis=1, dtype=np.uint64))


def uniforms(keys: Keys, n_columns: int) -> FloatArray:
    """Return uniform numbers in (0, 1) of shape (n_rows, n_columns), functions of the keys."""
    columns = _mix(np.arange(1, n_columns + 1, dtype=np.uint64))
    top_bits = _mix(keys[:, None] + columns) >> np.uint64(12)
    return (top_bits.astype(np.float64) + 0.5) / 2.0**52


def sobol_points(n_points: int, n_columns: int) -> FloatArray:
    """Return the first points of the Sobol sequence in the unit cube."""
    sobol = qmc.Sobol(n_columns, scramble=False)
    return sobol.random_base2(max(0, (n_points - 1).bit_length()))[:n_points]


def _mix(values: Keys) -> Keys:
    with np.errstate(over="ignore"):
        mixed = values + INCREMENT
        for shift, factor in zip(SHIFTS[:2], FACTORS, strict=True):
            mixed = (mixed ^ (mixed >> shift)) * factor
    return mixed ^ (mixed >> SHIFTS[2])
