"""Work on blocks of rows in Python threads, each with one BLAS thread.

OpenBLAS' own threads gain nothing on blocks of a few hundred rows. Since numpy's matrix products
and ufuncs release the interpreter lock, several blocks at a time keep every core busy.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

Task = TypeVar("Task")
Result = TypeVar("Result")

BLOCK_ROWS = 2000
"""Rows of a block of the design matrix; columns of a power of two would collide in the cache."""


def row_blocks(start: int, stop: int) -> Iterator[slice]:
    """Yield slices that divide the rows from ``start`` to ``stop`` into blocks."""
    for first in range(start, stop, BLOCK_ROWS):
        yield slice(first, min(first + BLOCK_ROWS, stop))


def map_in_threads(function: Callable[[Task], Result], tasks: Sequence[Task]) -> list[Result]:
    """Return ``function`` of each task, in order, computed on as many threads as BLAS may use."""
    return list(_iterate(function, tasks))


def sum_in_threads(function: Callable[[Task], Any], tasks: Sequence[Task]) -> Any:
    """Return the sum over the tasks of the arrays that ``function`` returns, added in order."""
    results = _iterate(function, tasks)
    total = next(results)
    for result in results:
        total += result
    return total


def _iterate(function: Callable[[Task], Result], tasks: Sequence[Task]) -> Iterator[Result]:
    """Yield ``function`` of each task, in order."""
    if len(tasks) == 1:
        yield function(tasks[0])
        return
    with one_blas_thread() as n_threads:
        if n_threads == 1:
            yield from map(function, tasks)
            return
        with ThreadPoolExecutor(n_threads) as pool:
            yield from pool.map(function, tasks)


@cache
def _controller() -> ThreadpoolController:
    return ThreadpoolController()


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Limit BLAS and OpenMP to one thread within the block; yield the former number for BLAS."""
    blas = _controller().select(user_api="blas").lib_controllers
    n_threads = min((library.num_threads for library in blas), default=1)
    with _controller().limit(limits=1):
        yield n_threads
