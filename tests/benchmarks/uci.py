"""Held-out error and log predictive density on the standard UCI splits, beside BayesianRidge.

    python tests/benchmarks/uci.py DIRECTORY [--splits N] [set ...]

DIRECTORY holds NAME.npz with X, y, n and test_mask (bits, one row a split) for each set: the 20
random 90/10 splits of Hernandez-Lobato and Adams (ICML 2015). One line a set and model: root mean
squared error, mean test negative log likelihood in nats, each with its standard error over splits,
coverage of the central 95 % intervals, and the median seconds a split. All models are measured in
turns, split by split.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_info

from skgen import BayesianBasisRegressor

SETS = ("boston", "concrete", "energy", "power", "wine")


def ridge(degree: int) -> Any:
    polynomial = PolynomialFeatures(degree, include_bias=False)
    return make_pipeline(StandardScaler(), polynomial, StandardScaler(), BayesianRidge())


MODELS: dict[str, Callable[[], Any]] = {
    "skgen, default": BayesianBasisRegressor,
    "BayesianRidge, linear": lambda: ridge(1),
    "BayesianRidge, quadratic": lambda: ridge(2),
}


def load(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not path.exists():
        raise SystemExit(f"{path} is missing: give the folder that holds the UCI sets as .npz")
    with np.load(path) as data:
        masks = np.unpackbits(data["test_mask"], axis=1)[:, : int(data["n"])].astype(bool)
        return data["X"].astype(float), data["y"].astype(float).ravel(), masks


def measure(model: Any, X: np.ndarray, y: np.ndarray, test: np.ndarray) -> np.ndarray:
    """RMSE, mean negative log likelihood, 95 % coverage and seconds of one split."""
    start = time.perf_counter()
    # BayesianRidge's hyperpriors want a target of order one; ours does not care.
    scaler = StandardScaler().fit(y[~test, None])
    target = scaler.transform(y[:, None])[:, 0]
    model.fit(X[~test], target[~test])
    mean, std = model.predict(X[test], return_std=True)
    seconds = time.perf_counter() - start
    mean, std = mean * scaler.scale_ + scaler.mean_, std * scaler.scale_
    error = y[test] - mean
    nll = 0.5 * np.log(2 * np.pi * std**2) + 0.5 * (error / std) ** 2
    covered = np.abs(error) < 1.959964 * std
    return np.array([np.sqrt(np.mean(error**2)), nll.mean(), covered.mean(), seconds])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--splits", type=int, default=20)
    options = parser.parse_args()
    threads = {info["user_api"]: info["num_threads"] for info in threadpool_info()}
    print(f"threads: {threads}")
    print(f"{'set':9}{'model':26}{'RMSE':>16}{'NLL':>16}{'95 %':>8}{'s/split':>9}")
    for name in options.sets:
        X, y, masks = load(options.directory / f"{name}.npz")
        figures: dict[str, list[np.ndarray]] = {label: [] for label in MODELS}
        for test in masks[: options.splits]:
            for label, build in MODELS.items():
                figures[label].append(measure(build(), X, y, test))
        for label, rows in figures.items():
            table = np.array(rows)
            mean, error = table.mean(axis=0), table.std(axis=0) / np.sqrt(len(table))
            print(
                f"{name:9}{label:26}{mean[0]:9.3f} ±{error[0]:5.3f}{mean[1]:9.3f} ±{error[1]:5.3f}"
                f"{100 * mean[2]:7.1f}{np.median(table[:, 3]):9.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
