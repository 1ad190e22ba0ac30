"""Speed of BayesianBasisRegressor in units of the products that nobody can do without.

    python tests/benchmarks/regression.py [--threads 1 2] [--rounds 5] [--peers] [--memory]

The unit of a fit is BLAS' dsyrk of the whole design matrix plus one Cholesky factorization. Each
round measures everything in turn, in one process; printed is the median over rounds of each
round's ratio. --peers adds scikit-learn, bayesianbandits and river where installed, fitted to the
same basis functions, and --memory the peak memory of a fit and a prediction of 10^6 rows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.linalg import blas, lapack
from sklearn.base import clone
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import ARDRegression, BayesianRidge
from threadpoolctl import threadpool_limits
from turns import in_turns, report

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.design import Design
from skgen._regression.marginal_likelihood import DesignObjective
from skgen._regression.rows import Rows
from skgen._threads import map_in_threads, row_blocks

N_ROWS, N_FEATURES, BATCH = 100_000, 10, 100
SIZES = (100, 300, 500)
FEW_ROWS = 2000  # for the peers that cost O(n_rows^3), or a day


def data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, N_FEATURES))
    y = np.sin(X[:, 0]) + X[:, 1] * X[:, 2] + 0.2 * rng.normal(size=n_rows)
    return X, y


def known(n_basis: int) -> BayesianBasisRegressor:
    basis = GaussianBasis(n_basis)
    return BayesianBasisRegressor(basis, prior_precision=1.0, noise_precision=25.0)


def limit_of(Phi: np.ndarray) -> Callable[[], Any]:
    gram = Phi.T @ Phi

    def limit() -> None:
        blas.dsyrk(1.0, Phi.T)
        lapack.dpotrf(gram)

    return limit


def batch_fits(rounds: int) -> None:
    X, y = data(N_ROWS)
    for n_basis in SIZES:
        model, learner = known(n_basis), BayesianBasisRegressor(GaussianBasis(n_basis))
        fitted = known(n_basis).fit(X, y)
        design, basis = fitted._stream.design, fitted.basis_

        def evaluate(design: Any = design) -> None:
            map_in_threads(lambda block: design.rows(X[block]), list(row_blocks(0, N_ROWS)))

        times = in_turns(
            {
                "limit": limit_of(basis.transform(X)),
                "fit": lambda model=model: model.fit(X, y),
                "evidence": lambda learner=learner: learner.fit(X, y),
                "predict": lambda fitted=fitted: fitted.predict(X, return_std=True),
                "basis": evaluate,
            },
            rounds,
        )
        limit = times["limit"]
        print(f" {N_ROWS} rows, {n_basis} basis functions: limit {np.median(limit) * 1e3:.0f} ms")
        report("fit, known precisions, basis included / limit", times["fit"], limit)
        report("evidence maximization / limit", times["evidence"] - times["fit"], limit)
        report(
            "predict(return_std), basis excluded / limit", times["predict"] - times["basis"], limit
        )


def gradients(rounds: int, n_rows: int = 10_000) -> None:
    """One evaluation of the evidence and its gradient by the length scales."""
    X, y = data(n_rows)
    print(f" {n_rows} rows")
    for basis in (FourierBasis(600, random_state=0), GaussianBasis(600, width="evidence")):
        model = BayesianBasisRegressor(basis)
        design = Design.of(clone(basis).fit(X), X, fit_intercept=True)
        search = DesignObjective(design.basis, design, Rows(X, y[:, None]), model._prior(design))
        Phi, theta = design.basis.transform(X), design.basis.theta_
        times = in_turns(
            {
                "dsyrk": lambda Phi=Phi: blas.dsyrk(1.0, Phi.T),
                "gradient": lambda search=search, theta=theta: search.evaluate(theta, -1.0),
            },
            rounds,
        )
        name = type(basis).__name__
        report(f"{name}(600): evidence and gradient / dsyrk", times["gradient"], times["dsyrk"])


def streams(rounds: int, n_basis: int = 300, n_rows: int = 10_000) -> None:
    X, y = data(n_rows)
    started = known(n_basis).fit(X, y)
    Phi = started.basis_.transform(X[:BATCH])

    def stream(size: int) -> Callable[[], Any]:
        batches = [(X[i : i + size], y[i : i + size]) for i in range(0, n_rows, size)]

        def run() -> None:
            model = known(n_basis).fit(X, y)  # the same centers for all
            start = time.perf_counter()
            for rows, targets in batches:
                model.partial_fit(rows, targets)
            _ = model.coef_
            seconds[size].append(time.perf_counter() - start)

        return run

    seconds: dict[int, list[float]] = {1: [], BATCH: []}
    repeats = n_rows // BATCH
    times = in_turns(
        {
            "limit": lambda: [blas.dsyrk(1.0, Phi.T) for _ in range(repeats)],
            "batches": stream(BATCH),
            "rows": stream(1),
        },
        rounds,
    )
    batches, rows = np.array(seconds[BATCH][1:]), np.array(seconds[1][1:])
    print(f" {n_rows} rows by partial_fit, {n_basis} basis functions, one read at the end")
    report(f"{BATCH}-row batches / dsyrk of each batch", batches, times["limit"])
    report(f"single rows / {BATCH}-row batches", rows, batches)


def peers(rounds: int) -> None:
    """Others' own fits after the same basis, which they are given for nothing but its time."""
    X, y = data(N_ROWS)
    for n_basis in SIZES:
        basis = GaussianBasis(n_basis).fit(X)
        tasks: dict[str, Callable[[], Any]] = {
            "skgen": lambda n_basis=n_basis: known(n_basis).fit(X, y),
            "skgen, evidence": lambda n=n_basis: BayesianBasisRegressor(GaussianBasis(n)).fit(X, y),
            "BayesianRidge": lambda basis=basis: BayesianRidge().fit(basis.transform(X), y),
        }
        try:
            from bayesianbandits import NormalRegressor

            tasks["bayesianbandits"] = lambda basis=basis: NormalRegressor(1.0, 25.0).fit(
                basis.transform(X), y
            )
        except ImportError:
            print("  bayesianbandits is not installed: left out")
        times = in_turns(tasks, max(1, rounds // 2))
        print(f" {N_ROWS} rows, {n_basis} basis functions, each with the basis")
        if "bayesianbandits" in times:
            report("bayesianbandits / skgen, known", times["bayesianbandits"], times["skgen"])
        report("BayesianRidge / skgen, known", times["BayesianRidge"], times["skgen"])
        report("BayesianRidge / skgen, evidence", times["BayesianRidge"], times["skgen, evidence"])
    few(rounds)


def few(rounds: int, n_basis: int = 100) -> None:
    X, y = data(FEW_ROWS)
    basis = GaussianBasis(n_basis).fit(X)
    Phi = basis.transform(X)
    kernel = RBF(np.full(N_FEATURES, 3.0)) + WhiteKernel()
    tasks: dict[str, Callable[[], Any]] = {
        "skgen": lambda: BayesianBasisRegressor(GaussianBasis(n_basis)).fit(X, y),
        "skgen, ard": lambda: BayesianBasisRegressor(
            GaussianBasis(n_basis), prior_precision="ard"
        ).fit(X, y),
        "ARDRegression": lambda: ARDRegression().fit(basis.transform(X), y),
        "GaussianProcessRegressor": lambda: GaussianProcessRegressor(
            kernel, optimizer=None, normalize_y=True
        ).fit(X, y),
        "skgen, rows": lambda: by_rows(known(n_basis).fit(X, y), X, y),
    }
    try:
        from river.linear_model import BayesianLinearRegression

        named = [dict(enumerate(row)) for row in Phi[:200].tolist()]

        def river() -> None:
            model = BayesianLinearRegression()
            for row, target in zip(named, y.tolist(), strict=False):
                model.learn_one(row, target)

        tasks["river"] = river
    except ImportError:
        print("  river is not installed: left out")
    times = in_turns(tasks, max(1, rounds // 2))
    print(f" {FEW_ROWS} rows, {n_basis} basis functions")
    report("ARDRegression / skgen, ard", times["ARDRegression"], times["skgen, ard"])
    report(
        "GaussianProcessRegressor, kernel given / skgen, evidence",
        times["GaussianProcessRegressor"],
        times["skgen"],
    )
    if "river" in times:
        scaled = times["river"] * FEW_ROWS / len(named)
        report("river, row by row / skgen, fit and row by row", scaled, times["skgen, rows"])


def by_rows(model: BayesianBasisRegressor, X: np.ndarray, y: np.ndarray) -> None:
    for row in range(len(X)):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
    _ = model.coef_


def peak_growth(action: str, queue: Any) -> None:
    X, y = data(10**6)
    model = known(300)
    model.fit(X[:1000], y[:1000]).predict(X[:1000], return_std=True)
    if action == "predict":
        model.fit(X[:5000], y[:5000])
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    if action == "fit":
        model.fit(X, y)
    else:
        model.predict(X, return_std=True)
    queue.put(status("VmHWM") - before)


def status(field: str) -> float:
    """A field of this process's memory status, in MB."""
    lines: Iterable[str] = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def memory() -> None:
    context = multiprocessing.get_context("spawn")
    for action in ("fit", "predict"):
        queue: Any = context.Queue()
        process = context.Process(target=peak_growth, args=(action, queue))
        process.start()
        print(f"  {action}, 10^6 rows, 300 basis functions: {queue.get():.0f} MB above its input")
        process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    for threads in options.threads:
        with threadpool_limits(threads):
            print(f"BLAS and OpenMP threads: {threads}; medians of {options.rounds} ratios (range)")
            batch_fits(options.rounds)
            gradients(options.rounds)
            streams(options.rounds)
            if options.peers:
                peers(options.rounds)
    if options.memory:
        memory()


if __name__ == "__main__":
    main()
