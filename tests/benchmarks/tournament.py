"""The default regressor among its peers: scores of predictive distributions on many tables.

    pip install xgboost-distribution xgboost-cpu catboost ngboost
    python tests/benchmarks/tournament.py DIRECTORY [--methods NAME ...] [--tables TEXT ...]
        [--rows N] [--seed N] [--threads N] [--out FILE] [--again]

DIRECTORY holds NAME.npz with X and y for each regression problem. There is one split a table: the
first N (3000) of its rows in an order that the seed (0) draws, the last fifth of them held out;
targets are standardized by the training rows. One line a table and method: mean negative log
likelihood in nats, CRPS, root mean squared error, interval score (Gneiting and Raftery 2007, eq.
43) and coverage of central 95 % intervals, and CPU seconds of fit and prediction. All scores are in
closed form, of each method's own predictive distribution: a Student-t of skgen, normal ones of the
others. Below them stand the mean ranks over the tables that all methods finished.

All methods have the parameters of their defaults, but: the three boosted ones stop by a fifth of
the training rows (at most 2000 trees); the Gaussian process has a length scale for each feature, at
most 1500 training rows and 100 iterations. Methods that are not installed are left out, with the
reason.

--methods and --tables take some of them (a table whose name has one of the texts). --out appends
each line to a file of JSON lines, from which the next run takes what it holds for the same rows and
seed; so a long run can be resumed, and the ranks are among all methods in the file. --again
measures anew, and the file's last line of a table and method counts.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import minimize
from scipy.special import betaln
from scipy.stats import norm, rankdata
from scipy.stats import t as student_t
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_limits

from skgen import BayesianBasisRegressor

RANKED = ("NLL", "CRPS", "RMSE", "interval")
SCORES = (*RANKED, "coverage")
LEVEL = 0.95
GP_ROWS, GP_ITERATIONS = 1500, 100
MOST_TREES, PATIENCE = 2000, 50
Key = tuple[str, str]
Record = dict[str, Any]


class Split(NamedTuple):
    """Rows to fit and to predict; targets standardized by the former."""

    X: np.ndarray
    y: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    def for_early_stopping(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training rows in two parts; they are in random order."""
        last = max(1, len(self.y) // 5)
        return self.X[:-last], self.y[:-last], self.X[-last:], self.y[-last:]


class StudentT(NamedTuple):
    """Predictive distributions of rows; normal where ``df`` is infinite."""

    mean: np.ndarray
    scale: np.ndarray
    df: float = np.inf


def skgen_default(split: Split, threads: int) -> StudentT:
    model = BayesianBasisRegressor().fit(split.X, split.y)
    mean, df = model.predict(split.X_test), float(model.degrees_of_freedom_)
    low, high = model.predict_interval(split.X_test, LEVEL).T
    found = StudentT(mean, (high - low) / 2 / student_t.ppf((1 + LEVEL) / 2, df), df)
    log_density = model.log_predictive_density(split.X_test, split.y_test)
    np.testing.assert_allclose(log_density, student_t.logpdf(split.y_test, df, *found[:2]), 1e-6)
    return found


def ridge(degree: int) -> Callable[[Split, int], StudentT]:
    def fitted(split: Split, threads: int) -> StudentT:
        polynomial = PolynomialFeatures(degree, include_bias=False)
        model = make_pipeline(StandardScaler(), polynomial, StandardScaler(), BayesianRidge())
        return StudentT(*model.fit(split.X, split.y).predict(split.X_test, return_std=True))

    return fitted


def gaussian_process(split: Split, threads: int) -> StudentT:
    def optimize(loss: Any, start: Any, bounds: Any) -> tuple[np.ndarray, float]:
        options = {"maxiter": GP_ITERATIONS}
        found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options=options)
        return found.x, found.fun

    lengths = RBF(np.full(split.X.shape[1], np.sqrt(split.X.shape[1])), (1e-2, 1e3))
    kernel = ConstantKernel() * lengths + WhiteKernel(0.1, (1e-8, 1e1))
    process = GaussianProcessRegressor(kernel, optimizer=optimize, normalize_y=True)
    model = make_pipeline(StandardScaler(), process).fit(split.X[:GP_ROWS], split.y[:GP_ROWS])
    return StudentT(*model.predict(split.X_test, return_std=True))


def xgb_distribution(split: Split, threads: int) -> StudentT:
    from xgboost_distribution import XGBDistribution

    X, y, *held_out = split.for_early_stopping()
    model = XGBDistribution(
        n_estimators=MOST_TREES, early_stopping_rounds=PATIENCE, n_jobs=threads, random_state=0
    )
    model.fit(X, y, eval_set=[tuple(held_out)], verbose=False)
    predicted = model.predict(split.X_test)
    return StudentT(np.asarray(predicted.loc, float), np.asarray(predicted.scale, float))


def catboost(split: Split, threads: int) -> StudentT:
    from catboost import CatBoostRegressor

    X, y, *held_out = split.for_early_stopping()
    model = CatBoostRegressor(
        loss_function="RMSEWithUncertainty", iterations=MOST_TREES, random_seed=0, verbose=False,
        thread_count=threads, allow_writing_files=False,
    )  # fmt: skip
    model.fit(X, y, eval_set=tuple(held_out), early_stopping_rounds=PATIENCE)
    mean, variance = model.predict(split.X_test, prediction_type="RMSEWithUncertainty").T
    return StudentT(mean, np.sqrt(variance))


def ngboost(split: Split, threads: int) -> StudentT:
    from ngboost import NGBRegressor

    X, y, *held_out = split.for_early_stopping()
    model = NGBRegressor(n_estimators=MOST_TREES, random_state=0, verbose=False)
    model.fit(X, y, *held_out, early_stopping_rounds=PATIENCE)
    predicted = model.pred_dist(split.X_test).params
    return StudentT(predicted["loc"], predicted["scale"])


METHODS: dict[str, Callable[[Split, int], StudentT]] = {
    "skgen": skgen_default,
    "linear": ridge(1),
    "quadratic": ridge(2),
    "xgb-distribution": xgb_distribution,
    "catboost": catboost,
    "ngboost": ngboost,
    "gp": gaussian_process,
}


def crps(distribution: StudentT, y: np.ndarray) -> np.ndarray:
    """Continuous ranked probability scores (Jordan, Krueger and Lerch 2019, appendix A)."""
    mean, scale, df = distribution
    z = (y - mean) / scale
    if np.isinf(df):
        return scale * (z * (2 * norm.cdf(z) - 1) + 2 * norm.pdf(z) - 1 / np.sqrt(np.pi))
    within = 2 * student_t.pdf(z, df) * (df + z**2) / (df - 1)
    spread = 2 * np.sqrt(df) / (df - 1) * np.exp(betaln(0.5, df - 0.5) - 2 * betaln(0.5, df / 2))
    return scale * (z * (2 * student_t.cdf(z, df) - 1) + within - spread)


def scores(distribution: StudentT, y: np.ndarray) -> dict[str, float]:
    mean, scale, df = distribution
    half = scale * student_t.ppf((1 + LEVEL) / 2, df)
    error = np.abs(y - mean)
    means = (
        -student_t.logpdf(y, df, mean, scale).mean(),
        crps(distribution, y).mean(),
        np.sqrt(np.mean(error**2)),
        np.mean(2 * half + 2 / (1 - LEVEL) * np.maximum(error - half, 0)),
        np.mean(error <= half),
    )
    return dict(zip(SCORES, map(float, means), strict=True))


def load(path: Path, n_rows: int, seed: int) -> Split:
    with np.load(path) as data:
        X, y = data["X"].astype(float), data["y"].astype(float).ravel()
    order = np.random.default_rng(seed).permutation(len(y))[:n_rows]
    train, test = np.split(order, [len(order) * 4 // 5])
    y = (y - y[train].mean()) / (y[train].std() or 1.0)
    return Split(X[train], y[train], X[test], y[test])


def measured(method: str, split: Split, threads: int) -> Record:
    """Scores and CPU seconds, or the reason why there are none."""
    start = time.process_time()
    try:
        with threadpool_limits(threads):
            distribution = METHODS[method](split, threads)
        record: Record = scores(distribution, split.y_test)
    except Exception as error:  # a peer may raise anything, and the others go on
        record = {"reason": f"{type(error).__name__}: {error}".splitlines()[0]}
    return {**record, "seconds": time.process_time() - start}


def is_installed(method: str, split: Split) -> bool:
    """Whether the method can be imported; the reason is printed if not."""
    few = Split(*(rows[:20] for rows in split))
    with warnings.catch_warnings(action="ignore"):
        reason = measured(method, few, 1).get("reason", "")
    if reason.startswith(("ImportError", "ModuleNotFoundError")):
        print(f"{method} is left out: {reason}")
        return False
    return True


def stored(path: Path | None, protocol: Record) -> dict[Key, Record]:
    """The last record of each table and method in the file, of the same rows and seed."""
    if path is None or not path.exists():
        return {}
    records = map(json.loads, path.read_text().splitlines())
    same = [record for record in records if protocol.items() <= record.items()]
    return {(record["table"], record["method"]): record for record in same}


def line(record: Record) -> str:
    start = f"{record['table'][:34]:34}{record['method']:18}"
    if "reason" in record:
        return f"{start}failed: {record['reason']}"
    figures = "".join(f"{record[score]:9.3f}" for score in RANKED)
    return f"{start}{figures}{100 * record['coverage']:9.1f}{record['seconds']:9.1f}"


def print_ranks(records: dict[Key, Record]) -> None:
    """Mean ranks by method over the tables that all methods finished."""
    finished = {key: record for key, record in records.items() if "reason" not in record}
    methods = [name for name in METHODS if any(method == name for _, method in finished)]
    names = sorted({table for table, _ in finished})
    whole = [name for name in names if all((name, method) in finished for method in methods)]
    print(f"\nmean ranks over the {len(whole)} of {len(names)} tables that all methods finished")
    if not whole:
        return
    print(f"{'method':18}{''.join(f'{score:>9}' for score in SCORES)}{'CPU s':>9}")
    ranks = {
        score: rankdata([[finished[name, m][score] for m in methods] for name in whole], axis=1)
        for score in RANKED
    }
    for place, method in enumerate(methods):
        own = [finished[name, method] for name in whole]
        figures = "".join(f"{ranks[score].mean(axis=0)[place]:9.2f}" for score in RANKED)
        coverage = 100 * np.mean([record["coverage"] for record in own])
        seconds = np.sum([record["seconds"] for record in own])
        print(f"{method:18}{figures}{coverage:9.1f}{seconds:9.0f}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--tables", nargs="+", default=[""])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--again", action="store_true")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    paths = sorted(options.directory.glob("*.npz"), key=lambda path: (path.stat().st_size, path))
    paths = [path for path in paths if any(text in path.stem for text in options.tables)]
    if not paths:
        raise SystemExit(f"{options.directory} holds no NAME.npz of that name: give a folder")
    protocol = {"rows": options.rows, "seed": options.seed}
    records = stored(options.out, protocol)
    warnings.simplefilter("ignore")
    first = load(paths[0], options.rows, options.seed)
    methods = [method for method in options.methods if is_installed(method, first)]
    header = "".join(f"{score:>9}" for score in SCORES)
    print(f"{'table':34}{'method':18}{header}{'CPU s':>9}")
    for path in paths:
        split = load(path, options.rows, options.seed)
        for method in methods:
            key = path.stem, method
            if options.again or key not in records:
                record = measured(method, split, options.threads)
                records[key] = {"table": path.stem, "method": method, **protocol, **record}
                if options.out:
                    with options.out.open("a") as file:
                        file.write(json.dumps(records[key]) + "\n")
            print(line(records[key]), flush=True)
    print_ranks(records)


if __name__ == "__main__":
    main()
