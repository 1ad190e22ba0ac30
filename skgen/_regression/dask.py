"""Data in dask collections: each block becomes the statistic where it lies.

What reaches the client has the size of the model, not of the data: statistics, merged in a tree
where the blocks are, and for a basis that follows the data a few thousand rows. dask itself is
imported only once a collection is at hand.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import cached_property, partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .._threads import one_blas_thread
from .._validation import FloatArray, check_numeric
from ..bases import depends_on_data
from ..bases._base import Basis
from .conjugate import Statistic
from .design import SEARCH_ROWS, Design, Rows, Stream, evenly_spread, summarise
from .precisions import LinearModelSpec

FAN_IN = 8
"""Results that one task of a tree joins."""

CONSTANT = 1e-14
"""Spread of y over its root mean square, up to which it is rounding."""

Check = Callable[..., Rows]
"""From the X, y and weights of a block to rows, or to an error."""


def is_dask(*values: Any) -> bool:
    """Whether any of the values comes from dask, told by its name alone."""
    return any(type(value).__module__.partition(".")[0] == "dask" for value in values)


def example_row(value: Any) -> Any:
    """One row of ones of the type, names and width of a collection; other values as they are."""
    if not is_dask(value):
        return value
    if _is_frame(value):
        from dask.dataframe.utils import meta_nonempty

        return meta_nonempty(value._meta).iloc[:1]
    shape = getattr(value, "shape", ())
    return np.ones((1, *shape[1:]) if shape else (), dtype=getattr(value, "dtype", float))


def lazily(
    function: Callable[..., FloatArray], model: Any, X: Any, *others: Any, trailing: tuple[int, ...]
) -> Any:
    """A row of shape ``trailing`` for each row of X, by ``function(model, *blocks)``.

    X and the others are dask arrays of as many blocks of whole rows.
    """
    import dask
    import dask.array as da

    indexed = [(array, (0, -1 - i)[: array.ndim]) for i, array in enumerate((X, *others))]
    new_axes = dict(enumerate(trailing, start=1))
    return da.blockwise(
        partial(_on_block, function, trailing), (0, *new_axes), *chain.from_iterable(indexed),
        new_axes=new_axes, concatenate=True, align_arrays=False,
        dtype=np.float64, meta=np.empty((0,) * (1 + len(trailing))),
        model=dask.delayed(model, traverse=False),
    )  # fmt: skip


def _on_block(
    function: Callable[..., FloatArray], trailing: tuple[int, ...], *block: Any, model: Any
) -> FloatArray:
    if not len(block[0]):
        return np.empty((0, *trailing))
    with one_blas_thread():
        return function(model, *block)


def numbered(X: Any) -> Any:
    """The numbers of the blocks of X, one a block."""
    import dask.array as da

    return da.from_array(np.arange(X.numblocks[0]), chunks=1)


def arrays(X: Any, **others: Any) -> tuple[Any, ...]:
    """X and the others as dask arrays in the blocks of X."""
    X = _as_array(X, "X")
    return X, *(_in_blocks_of(X, _as_array(value, name), name) for name, value in others.items())


def _is_frame(value: Any) -> bool:
    return hasattr(value, "_meta") and hasattr(value, "divisions")


def _as_array(value: Any, name: str) -> Any:
    """A collection as a dask array whose blocks are whole rows."""
    if is_dask(value) and _is_frame(value):
        meta = np.empty((0, *np.shape(value._meta)[1:]))
        return value.map_partitions(partial(_numbers, name=name), meta=meta)
    check_collection(value, name)
    return value.rechunk(dict.fromkeys(range(1, value.ndim), -1))


def check_collection(value: Any, name: str) -> None:
    """Raise unless ``value`` is a dask array or data frame."""
    if not is_dask(value) or not (_is_frame(value) or hasattr(value, "numblocks")):
        raise TypeError(
            f"`{name}` must be a dask array or data frame, as other data of this call are; got "
            f"{type(value).__name__}. Use dask.array.from_array, or compute() those."
        )


def _numbers(part: Any, name: str) -> FloatArray:
    check_numeric(part, name)
    numbers: FloatArray = part.to_numpy(dtype=np.float64, na_value=np.nan)
    return numbers


def _in_blocks_of(X: Any, array: Any, name: str) -> Any:
    if _sizes_known(X) and _sizes_known(array):
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


def _sizes_known(array: Any) -> bool:
    return not np.isnan(array.chunks[0]).any()


class Survey(NamedTuple):
    """What may have to be known of rows before they are condensed."""

    counts: tuple[int, ...]  # rows of each block
    lows: FloatArray  # (2, n_features), smallest values of X and of -X
    places: npt.NDArray[np.intp]  # (2, n_features), the first rows where they are


class DaskRows:
    """Rows of data in dask arrays, which do for a fit what `Rows` do.

    ``check`` makes validated rows of a block, those of weight 0 left out.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, check: Check) -> None:
        import dask

        self.check = check
        self.weights = sample_weight  # None, a number, or a collection
        optional = {"sample_weight": sample_weight} if is_dask(sample_weight) else {}
        self.X, y, *weights = arrays(X, y=y, **optional)
        self.n_features = int(self.X.shape[1])
        self.n_outputs = int(y.shape[1]) if y.ndim == 2 else 1
        columns = [array.to_delayed().ravel() for array in (self.X, y, *weights)]
        constant = [] if weights else [sample_weight]
        self.blocks = [[*block, *constant] for block in zip(*columns, strict=True)]
        self._delayed = dask.delayed
        self._held: tuple[npt.NDArray[np.intp], Rows] | None = None

    # -- what a fit asks of rows -------------------------------------------------------------

    def design(self, basis: Any, fit_intercept: bool) -> Design:
        """The design of ``basis``, fitted as to all rows in memory: exactly so for our own bases.

        Other transformers that follow the data see SEARCH_ROWS rows, spread evenly, and those where
        each feature is smallest and largest.
        """
        probe = np.random.default_rng(0).uniform(size=(10, self.n_features))
        try:
            with warnings.catch_warnings(action="ignore"):
                if not depends_on_data(basis, probe):
                    return Rows(probe, np.zeros((10, 1))).design(basis, fit_intercept)
        except Exception:  # it needs y, or other numbers: let it see some
            pass
        if isinstance(basis, Basis):
            basis._validated(probe, reset=True)
            whole: Any = _Whole(self)
            basis._place(whole)
            return Design.of(basis, self[np.arange(1)].X, fit_intercept)
        sample = np.union1d(evenly_spread(len(self), SEARCH_ROWS), self._survey.places)
        return self[sample].design(basis, fit_intercept)

    def chosen(self, n_most: int) -> Rows:
        """At most ``n_most`` of these, spread evenly, brought to the client."""
        return self[evenly_spread(len(self), n_most)]

    def summarised(
        self, design: Design, solver: str, forgetting: float = 1.0
    ) -> tuple[Statistic, int]:
        """Their statistic, older rows discounted, and their number."""
        statistic, n_rows = self.reduced(
            _summary, partial(_joined, forgetting), design, solver, forgetting
        )
        return statistic, _some(n_rows)

    def added(
        self, stream: Stream, prior: LinearModelSpec, forgetting: float
    ) -> tuple[Stream, int]:
        """``stream`` after them, and their number."""
        statistic, n_rows = self.summarised(stream.design, "qr", forgetting)
        return stream.joined(statistic, prior, forgetting**n_rows), n_rows

    # -- where they are ------------------------------------------------------------------------

    def reduced(
        self, function: Callable[..., Any], join: Callable[[list[Any]], Any], *constants: Any
    ) -> Any:
        """``function(check, block, *constants)`` of all blocks, joined in order in a tree."""
        shared = [self._delayed(value, traverse=False) for value in (self.check, *constants)]
        task, joining = self._delayed(function), self._delayed(join, traverse=False)
        results = [task(shared[0], block, *shared[1:]) for block in self.blocks]
        while len(results) > 1:
            starts = range(0, len(results), FAN_IN)
            results = [joining(results[start : start + FAN_IN]) for start in starts]
        (result,) = _computed(results)
        return result

    @cached_property
    def _survey(self) -> Survey:
        survey: Survey = self.reduced(_surveyed, _surveys_joined)
        _some(sum(survey.counts))
        return survey

    @property
    def extent(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest values of each feature."""
        low, negative_high = self._survey.lows
        return low, -negative_high

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Rows of each block."""
        if _sizes_known(self.X) and not is_dask(self.weights):
            return tuple(map(int, self.X.chunks[0]))
        return self._survey.counts

    def __len__(self) -> int:
        return sum(self.counts)

    def __getitem__(self, index: npt.NDArray[np.intp]) -> Rows:
        """Rows in memory, by their place in the whole."""
        if self._held is None or not np.isin(index, self._held[0]).all():
            # One pass brings these and those that the search will ask for.
            wanted = np.union1d(index, evenly_spread(len(self), SEARCH_ROWS))
            self._held = wanted, self._fetched(wanted)
        held, rows = self._held
        return rows[np.searchsorted(held, index)]

    def _fetched(self, index: npt.NDArray[np.intp]) -> Rows:
        starts = np.cumsum([0, *self.counts])
        where = np.searchsorted(starts, index, side="right") - 1
        pick, check = self._delayed(_picked), self._delayed(self.check, traverse=False)
        picks = [
            pick(check, self.blocks[number], index[where == number] - starts[number])
            for number in np.unique(where)
        ]
        parts = _computed(picks)
        weights = [part.weights for part in parts]
        return Rows(
            np.concatenate([part.X for part in parts]),
            np.concatenate([part.Y for part in parts]),
            None if weights[0] is None else np.concatenate(weights),
        )


def _computed(delayed: list[Any]) -> Any:
    """Results of tasks; held here, the limit is that of all threads, should they run in ours."""
    import dask

    with one_blas_thread():
        return dask.compute(*delayed)


class _Whole:
    """X of all rows, as much of an array as our bases need to place themselves."""

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
        return self.rows.extent[0]

    def max(self, axis: int) -> FloatArray:
        return self.rows.extent[1]

    @property
    def T(self) -> FloatArray:  # noqa: N802
        return self.rows.chosen(SEARCH_ROWS).X.T


def _some(n_rows: int) -> int:
    if not n_rows:
        raise ValueError(
            "`X` must have rows, of positive `sample_weight`; got none in any block. Give some."
        )
    return n_rows


# -- tasks: what runs where the blocks are -----------------------------------------------------


def _checked(check: Check, block: list[Any]) -> Rows | None:
    """The rows of a block, if there are any."""
    rows = check(*block) if len(block[0]) or len(block[1]) else None
    return rows if rows is not None and len(rows) else None


def _summary(
    check: Check, block: list[Any], design: Design, solver: str, forgetting: float
) -> tuple[Statistic, int]:
    with one_blas_thread(), np.errstate(all="ignore"):
        rows = _checked(check, block)
        if rows is None:
            n_outputs = block[1].shape[1] if block[1].ndim == 2 else 1
            return Statistic.empty(design.n_columns, n_outputs), 0
        if forgetting < 1:
            rows = rows.aged(forgetting)
        return summarise(design, rows, solver), len(rows)


def _joined(forgetting: float, parts: list[tuple[Statistic, int]]) -> tuple[Statistic, int]:
    statistic, n_rows = parts[0]
    for later, n_later in parts[1:]:
        if forgetting < 1:
            statistic = statistic.discounted(forgetting**n_later)
        statistic = statistic.merged(later)
        n_rows += n_later
    return statistic, n_rows


def _surveyed(check: Check, block: list[Any]) -> Survey:
    rows = _checked(check, block)
    if rows is None:
        shape = (2, block[0].shape[1])
        return Survey((0,), np.full(shape, np.inf), np.zeros(shape, dtype=np.intp))
    X = rows.X
    lows, places = np.stack([X.min(0), -X.max(0)]), np.stack([X.argmin(0), X.argmax(0)])
    return Survey((len(rows),), lows, places)


def _surveys_joined(parts: list[Survey]) -> Survey:
    counts, lows, places = parts[0]
    for part in parts[1:]:
        places = np.where(part.lows < lows, part.places + sum(counts), places)
        counts, lows = counts + part.counts, np.minimum(lows, part.lows)
    return Survey(counts, lows, places)


def _picked(check: Check, block: list[Any], index: npt.NDArray[np.intp]) -> Rows:
    return check(*block)[index]


def r2_score(rows: DaskRows, model: Any) -> float:
    """R² of the predictions of ``model``, averaged over outputs."""
    level, error = rows.reduced(_errors, _errors_joined, model)
    _some(level.weight)
    varies = level.residual > CONSTANT**2 * level.total
    share = error / np.where(varies, level.residual, 1.0)
    return float(np.mean(np.where(varies, 1 - share, error == 0)))


def _errors(check: Check, block: list[Any], model: Any) -> tuple[Statistic, FloatArray]:
    """The statistic of y with nothing but an intercept, and the squared errors' sum."""
    rows = _checked(check, block)
    n_outputs = block[1].shape[1] if block[1].ndim == 2 else 1
    level, error = Statistic.empty(1, n_outputs), np.zeros(n_outputs)
    if rows is None:
        return level, error
    with one_blas_thread():
        residual = rows.weighted(rows.Y - model.predict(rows.X).reshape(rows.Y.shape))
    ones = rows.weighted(np.ones((len(rows), 1)))
    Y = rows.weighted(np.array(rows.Y, dtype=np.float64))
    return level.updated(ones, Y, rows.weight), np.einsum("ij,ij->j", residual, residual)


def _errors_joined(
    parts: list[tuple[Statistic, FloatArray]],
) -> tuple[Statistic, FloatArray]:
    level, error = parts[0]
    for other, more in parts[1:]:
        level, error = level.merged(other), error + more
    return level, error
