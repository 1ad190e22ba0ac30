"""Data in dask collections: each block is reduced to a statistic on the worker that holds it.

Only objects of the size of the model reach the client: statistics, merged in a tree on the workers,
and a few thousand rows for a basis that depends on the data. dask itself is imported only when a
collection is passed.
"""

import warnings
from collections.abc import Callable, Iterable
from functools import cached_property, partial, reduce
from itertools import chain
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt

from .._threads import one_blas_thread
from .._validation import FloatArray, check_numeric
from ..bases import depends_on_data
from ..bases._base import Basis
from .conjugate import Statistic
from .rows import SEARCH_ROWS, Rows, check_not_empty, evenly_spaced_indices

FAN_IN = 8  # number of results that one task merges
CONSTANT = 1e-14  # standard deviation of y over its root mean square; below, y is constant
Check = Callable[..., Rows]  # validates the X, y and sample weights of a block


def is_dask(*values: Any) -> bool:
    """True if the class of any of the values is one of dask, which is not imported for this."""
    return any(type(value).__module__.partition(".")[0] == "dask" for value in values)


def example_row(value: Any) -> Any:
    """One row of ones with type, names and width of a collection; any other value unchanged."""
    if not is_dask(value):
        return value
    if _is_frame(value):
        from dask.dataframe.utils import meta_nonempty

        return meta_nonempty(value._meta).iloc[:1]
    shape = getattr(value, "shape", ())
    return np.ones((1, *shape[1:]) if shape else (), dtype=getattr(value, "dtype", float))


def example_features(X: Any) -> Any:
    """One row like those of a collection X, or X itself if it is in memory; check its dtypes."""
    if is_dask(X) and _is_frame(X):
        remedy = "Encode it first, for example with dask.dataframe.get_dummies."
        check_numeric(X._meta, "X", remedy=remedy)
    return example_row(X)


def map_blocks(function: Callable[..., Any], *arrays: Any, trailing: tuple[int, ...]) -> FloatArray:
    """Lazy dask array of shape (n_rows, *trailing) from ``function(*blocks)``.

    The arrays have the same number of blocks of whole rows. Tuples are stacked along the last axis.
    """
    import dask
    import dask.array as da

    indexed = [(array, (0, -1 - i)[: array.ndim]) for i, array in enumerate(arrays)]
    new_axes = dict(enumerate(trailing, start=1))
    lazy: FloatArray = da.blockwise(
        partial(_on_block, trailing), (0, *new_axes), *chain.from_iterable(indexed),
        new_axes=new_axes, concatenate=True, align_arrays=False,
        dtype=np.float64, meta=np.empty((0,) * (1 + len(trailing))),
        function=dask.delayed(function, traverse=False),
    )  # fmt: skip
    return lazy


def _on_block(trailing: tuple[int, ...], *block: Any, function: Callable[..., Any]) -> FloatArray:
    if not len(block[0]):
        return np.empty((0, *trailing))
    with one_blas_thread():
        result = function(*block)
    return np.stack(result, axis=-1) if isinstance(result, tuple) else np.asarray(result)


def block_numbers(X: Any) -> Any:
    """dask array of the numbers of the blocks of X, one number per block."""
    import dask.array as da

    return da.from_array(np.arange(X.numblocks[0]), chunks=1)


def as_arrays(X: Any, **others: Any) -> tuple[Any, ...]:
    """X and the others as dask arrays with the blocks of X."""
    X = _as_array(X, "X")
    return X, *(_align_blocks(X, _as_array(value, name), name) for name, value in others.items())


def _is_frame(value: Any) -> bool:
    return hasattr(value, "_meta") and hasattr(value, "divisions")


def _as_array(value: Any, name: str) -> Any:
    """Collection as a dask array whose blocks are whole rows."""
    if is_dask(value) and _is_frame(value):
        meta = np.empty((0, *np.shape(value._meta)[1:]))
        return value.map_partitions(partial(_to_numpy, name=name), meta=meta)
    check_collection(value, name)
    return value.rechunk(dict.fromkeys(range(1, value.ndim), -1))


def check_collection(value: Any, name: str) -> None:
    """Raise unless ``value`` is a dask array or data frame."""
    if not is_dask(value) or not (_is_frame(value) or hasattr(value, "numblocks")):
        raise TypeError(
            f"`{name}` must be a dask array or data frame, as other data of this call are; got "
            f"{type(value).__name__}. Use dask.array.from_array, or compute() the other data."
        )


def _to_numpy(part: Any, name: str) -> FloatArray:
    check_numeric(part, name)
    return part.to_numpy(dtype=np.float64, na_value=np.nan)


def _align_blocks(X: Any, array: Any, name: str) -> Any:
    """Return ``array`` with the blocks of X, or raise if they cannot be aligned."""
    if _has_known_sizes(X) and _has_known_sizes(array):
        if len(array) != len(X):
            raise ValueError(
                f"`{name}` must have one row for each of the {len(X)} rows of X; got {len(array)}. "
                "Give as many."
            )
        return array.rechunk({0: X.chunks[0]})
    if array.numblocks[0] != X.numblocks[0]:
        raise ValueError(
            f"`{name}` must have the partitions of X, because their sizes are unknown; got "
            f"{array.numblocks[0]} for {X.numblocks[0]}. Take both from one data frame, or call "
            "compute_chunk_sizes() of the arrays."
        )
    return array


def _has_known_sizes(array: Any) -> bool:
    return not np.isnan(array.chunks[0]).any()


class Extremes(NamedTuple):
    """Numbers of rows, and smallest values of X and -X, with the rows in which they occur."""

    counts: tuple[int, ...]  # rows of each block
    lows: FloatArray  # (2, n_features)
    places: npt.NDArray[np.intp]  # (2, n_features), the first such row of all


class DaskRows:
    """Rows of data in dask arrays; one of the two implementations of `Source`.

    ``check`` validates the X, y and sample weights of a block and drops rows of weight 0.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, check: Check) -> None:
        import dask

        self.check = check
        self.weights = sample_weight  # None, a number, or a collection
        optional = {"sample_weight": sample_weight} if is_dask(sample_weight) else {}
        self.X, y, *weights = as_arrays(X, y=y, **optional)
        self.n_features = int(self.X.shape[1])
        self.n_outputs = int(y.shape[1]) if y.ndim == 2 else 1
        columns = [array.to_delayed().ravel() for array in (self.X, y, *weights)]
        constant = [] if weights else [sample_weight]
        self.blocks = [[*block, *constant] for block in zip(*columns, strict=True)]
        self._delayed = dask.delayed
        self._fetched: tuple[npt.NDArray[np.intp], Rows] | None = None

    def fit_basis(self, basis: Any) -> FloatArray:
        """Fit ``basis``; return one row of X to evaluate it on.

        A basis of skgen is fitted to all rows. Any other transformer that depends on the data is
        fitted to SEARCH_ROWS evenly spaced rows and to those with the extremes of each feature.
        """
        probe = np.random.default_rng(0).uniform(size=(10, self.n_features))
        try:
            with warnings.catch_warnings(action="ignore"):
                if not depends_on_data(basis, probe):
                    return Rows(probe, np.zeros((10, 1))).fit_basis(basis)
        except Exception:  # it may need y, or other values of X: it is fitted to real rows below
            pass
        if isinstance(basis, Basis):
            basis._validate(probe, reset=True)
            basis._place(cast(Any, _Features(self)))
            return self.select(1).X
        sample = np.union1d(evenly_spaced_indices(len(self), SEARCH_ROWS), self.extremes.places)
        return self[sample].fit_basis(basis)

    def select(self, n_rows: int) -> Rows:
        """At most ``n_rows`` rows, evenly spaced, fetched to the client."""
        return self[evenly_spaced_indices(len(self), n_rows)]

    def reduce(self, function: Callable[..., Any], merge: Callable[..., Any], *args: Any) -> Any:
        """Call ``function(rows, *args)`` on every block; merge results in order, in a tree."""
        shared = [self._delayed(value, traverse=False) for value in (self.check, *args)]
        task, merging = self._delayed(_call), self._delayed(merge, traverse=False)
        results = [task(function, shared[0], block, *shared[1:]) for block in self.blocks]
        while len(results) > 1:
            starts = range(0, len(results), FAN_IN)
            results = [merging(results[start : start + FAN_IN]) for start in starts]
        (result,) = _compute(results)
        return result

    @cached_property
    def extremes(self) -> Extremes:
        """Extremes of X over all blocks."""
        extremes: Extremes = self.reduce(_find_extremes, _merge_extremes)
        check_not_empty(sum(extremes.counts))
        return extremes

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Number of rows of each block."""
        if _has_known_sizes(self.X) and not is_dask(self.weights):
            return tuple(map(int, self.X.chunks[0]))
        return self.extremes.counts

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Rows:
        """Rows of these numbers, in memory."""
        if self._fetched is None or not np.isin(index, self._fetched[0]).all():
            # The rows of the basis search are fetched in the same pass.
            wanted = np.union1d(index, evenly_spaced_indices(len(self), SEARCH_ROWS))
            self._fetched = wanted, self._fetch(wanted)
        fetched, rows = self._fetched
        return rows[np.searchsorted(fetched, index)]

    def _fetch(self, index: npt.NDArray[np.intp]) -> Rows:
        starts = np.cumsum([0, *self.counts])
        block_of = np.searchsorted(starts, index, side="right") - 1
        task, check = self._delayed(_call), self._delayed(self.check, traverse=False)
        picks = [(block, index[block_of == block] - starts[block]) for block in np.unique(block_of)]
        parts = _compute(
            task(Rows.__getitem__, check, self.blocks[block], some) for block, some in picks
        )
        columns = zip(*((part.X, part.Y, part.weights) for part in parts), strict=True)
        merged: Any = (None if some[0] is None else np.concatenate(some) for some in columns)
        return Rows(*merged)


def _compute(delayed: Iterable[Any]) -> Any:
    """Compute tasks; the limit of BLAS threads is set here for tasks in threads of this process."""
    import dask

    with one_blas_thread():
        return dask.compute(*delayed)


class _Features:
    """X of all rows, with the methods of an array that bases need to place centers."""

    def __init__(self, rows: DaskRows) -> None:
        self.rows = rows
        self.shape = (len(rows), rows.n_features)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: npt.NDArray[np.intp]) -> FloatArray:
        return self.rows[index].X

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> FloatArray:
        return np.asarray(self[np.arange(len(self))], dtype=dtype)

    def min(self, axis: int) -> FloatArray:
        return self.rows.extremes.lows[0]

    def max(self, axis: int) -> FloatArray:
        return -self.rows.extremes.lows[1]

    @property
    def T(self) -> FloatArray:  # noqa: N802
        return self.rows.select(SEARCH_ROWS).X.T


def r2_score(rows: DaskRows, model: Any) -> float:
    """R² of the predictions of ``model``, averaged over outputs."""
    total, error = rows.reduce(_squares, _merge_squares, model)
    check_not_empty(total.weight > 0)
    varies = total.residual > CONSTANT**2 * total.total
    share = error / np.where(varies, total.residual, 1.0)
    return float(np.mean(np.where(varies, 1 - share, error == 0)))


def _call(function: Callable[..., Any], check: Check, block: list[Any], *args: Any) -> Any:
    """Call ``function(rows, *args)`` with the rows of a block, of which there may be none."""
    with one_blas_thread(), np.errstate(all="ignore"):
        X, y = block[:2]
        if len(X) or len(y):
            return function(check(*block), *args)
        return function(Rows(X, y if y.ndim == 2 else y[:, None]), *args)


def _find_extremes(rows: Rows) -> Extremes:
    X = rows.X
    if not len(X):
        shape = (2, X.shape[1])
        return Extremes((0,), np.full(shape, np.inf), np.zeros(shape, dtype=np.intp))
    lows, places = np.stack([X.min(0), -X.max(0)]), np.stack([X.argmin(0), X.argmax(0)])
    return Extremes((len(X),), lows, places)


def _merge_extremes(blocks: list[Extremes]) -> Extremes:
    counts, lows, places = blocks[0]
    for later in blocks[1:]:
        places = np.where(later.lows < lows, later.places + sum(counts), places)
        counts, lows = counts + later.counts, np.minimum(lows, later.lows)
    return Extremes(counts, lows, places)


def _squares(rows: Rows, model: Any) -> tuple[Statistic, FloatArray]:
    """Statistic of y with an intercept only, and the sums of squared errors of the model."""
    total = Statistic.empty(1, rows.n_outputs)
    if not len(rows):
        return total, np.zeros(rows.n_outputs)
    residual = rows.scale_by_root_weights(rows.Y - model.predict(rows.X).reshape(rows.Y.shape))
    ones = rows.scale_by_root_weights(np.ones((len(rows), 1)))
    Y = rows.scale_by_root_weights(np.array(rows.Y, dtype=np.float64))
    return total.append(ones, Y, rows.weight), np.einsum("ij,ij->j", residual, residual)


def _merge_squares(blocks: list[tuple[Statistic, FloatArray]]) -> tuple[Statistic, FloatArray]:
    totals, errors = zip(*blocks, strict=True)
    return reduce(Statistic.merge, totals), sum(errors[1:], errors[0])
