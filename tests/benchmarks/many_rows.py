"""The default regressor on many rows: time and memory of a fit.

    python tests/benchmarks/many_rows.py [--rows 100000 1000000] [--features 10] [--threads 2]

Each size is fitted in a process of its own. Printed are seconds, CPU seconds, CPU microseconds a
row, and the peak of memory above that of the input, with the coverage of 95 % intervals and the
root mean square error of the means on 10,000 further rows, against their noiseless values.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import time

import numpy as np
from threadpoolctl import threadpool_limits

from skgen import BayesianBasisRegressor

N_TEST, NOISE = 10_000, 0.3


def data(n_rows: int, n_features: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows, and noiseless targets."""
    X = np.random.default_rng(seed).normal(size=(n_rows, n_features))
    return X, np.sin(2 * X[:, 0]) + X[:, 1] * X[:, 2] + 0.5 * X[:, 3]


def peak() -> float:
    """Largest memory of this process so far, in megabytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def measure(n_rows: int, n_features: int, n_threads: int) -> None:
    X, mean = data(n_rows, n_features, 0)
    y = mean + NOISE * np.random.default_rng(1).normal(size=n_rows)
    before, wall, cpu = peak(), time.perf_counter(), time.process_time()
    with threadpool_limits(n_threads):
        model = BayesianBasisRegressor().fit(X, y)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    X, mean = data(N_TEST, n_features, 2)
    y = mean + NOISE * np.random.default_rng(3).normal(size=N_TEST)
    low, high = model.predict_interval(X).T
    rmse = np.sqrt(np.mean((model.predict(X) - mean) ** 2))
    print(
        f"{n_rows:9,d} rows: {wall:5.0f} s, {cpu:5.0f} CPU s, {1e6 * cpu / n_rows:6.0f} us a row, "
        f"{peak() - before:5.0f} MB; coverage {np.mean((low < y) & (y < high)):.1%}, "
        f"error of the means {rmse:.4f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--features", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    print(f"{options.features} features, {options.threads} threads")
    for n_rows in options.rows:
        arguments = n_rows, options.features, options.threads
        process = multiprocessing.get_context("spawn").Process(target=measure, args=arguments)
        process.start()
        process.join()


if __name__ == "__main__":
    main()
