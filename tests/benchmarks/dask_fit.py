"""A fit to dask input on one and on two worker processes, and what the client holds meanwhile.

    python tests/benchmarks/dask_fit.py [--rows 4000000] [--columns 100] [--rounds 5]

Each worker process has one thread. The rows are made on the workers, and kept there or, with
``--fresh``, made anew in each fit, as rows are that a worker reads from a disk. Fits take turns;
the ratio is that of the seconds of a round.
"""

from __future__ import annotations

import argparse
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import dask
import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait
from turns import in_turns, report

from skgen import BayesianBasisRegressor

ROWS_PER_BLOCK = 50_000


def blocks(n_rows: int, n_columns: int, n_blocks: int) -> tuple[Any, Any]:
    random = da.random.default_rng(0)
    size = n_rows // n_blocks
    X = random.uniform(-1, 1, size=(n_rows, n_columns), chunks=(size, n_columns))
    noise = random.standard_normal(size=n_rows, chunks=size)
    return X, X.sum(axis=1) + 0.1 * noise


def private_megabytes() -> float:
    """Anonymous memory of this process, which no other shares."""
    with open("/proc/self/status") as status:
        line = next(line for line in status if line.startswith("RssAnon"))
    return int(line.split()[1]) / 1024


@contextmanager
def peak_of(name: str) -> Iterator[None]:
    """Print the largest private memory of this process inside, beyond that before."""
    before, done = private_megabytes(), threading.Event()
    peaks = [before]

    def watch() -> None:
        while not done.wait(0.01):
            peaks.append(private_megabytes())

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    done.set()
    thread.join()
    print(f"  {name:58} {max(peaks) - before:8.1f}", flush=True)


@contextmanager
def workers(n_workers: int) -> Iterator[Client]:
    with (
        LocalCluster(n_workers=n_workers, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


def fit_on(client: Client, n_rows: int, n_columns: int, *, fresh: bool) -> Callable[[], Any]:
    X, y = blocks(n_rows, n_columns, n_rows // ROWS_PER_BLOCK)
    if not fresh:
        with client.as_current():
            X, y = dask.persist(X, y)
            wait([X, y])

    def fit() -> Any:
        with client.as_current():
            return BayesianBasisRegressor("identity").fit(X, y)

    return fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--columns", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fresh", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    print(f"N = {options.rows}, M = {options.columns}; load before: {load:.2f}")
    with workers(1) as one, workers(2) as two:
        tasks = {
            name: fit_on(client, options.rows, options.columns, fresh=options.fresh)
            for name, client in {"one": one, "two": two}.items()
        }
        seconds = in_turns(tasks, options.rounds)
        for name, values in seconds.items():
            print(f"  {name + ': seconds a fit':58} {np.median(values):8.2f}")
        report("one worker's seconds over two workers'", seconds["one"], seconds["two"])
    with workers(2) as client, client.as_current():
        print("private memory of the client beyond that before, MB")
        for n_blocks in (10, 100):
            for n_rows in (10**5, 10**6):
                X, y = blocks(n_rows, options.columns, n_blocks)
                BayesianBasisRegressor("identity").fit(X, y)
                with peak_of(f"{n_rows} rows in {n_blocks} blocks"):
                    BayesianBasisRegressor("identity").fit(X, y)
                time.sleep(1)


if __name__ == "__main__":
    main()
