"""Held-out error, log predictive density and calibration on the standard UCI splits.

    python tests/benchmarks/uci.py DIRECTORY [set ...] [--splits N] [--alone] [--seed N]
        [--restarts N] [--pit FILE]

DIRECTORY holds NAME.npz with X, y, n and test_mask (bits, one row a split) for each set: the 20
random 90/10 splits of Hernandez-Lobato and Adams (ICML 2015). One line a set and model: root mean
squared error, mean test negative log likelihood in nats, each with its standard error over splits,
coverage of the central 50, 90 and 95 % intervals, and the median seconds a split. All models are
measured in turns, split by split, with the same call for every set; --alone leaves the others out.
Below them stand published figures on the same splits: probabilistic back-propagation and deep
ensembles (Lakshminarayanan, Pritzel and Blundell 2017, table 1) and MC dropout (Gal and Ghahramani
2016). --seed N draws other frequencies than the default's; --restarts N searches for length scales
from N more places too, each a factor of e^0.5 or so off, and keeps what has most evidence; --pit
draws the histograms of the probability integral transform.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import t as student_t
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from threadpoolctl import threadpool_info

from skgen import BayesianBasisRegressor, FourierBasis
from skgen._regression import basis_search

SETS = ("boston", "concrete", "energy", "power", "wine")
LEVELS = (0.5, 0.9, 0.95)
OURS = "skgen, default"
GP_ROWS = 500  # O(n_rows^3) for each of some hundred evaluations
PUBLISHED = {
    "boston": {"PBP": (3.01, 2.57), "MC dropout": (2.97, 2.46), "deep ensembles": (3.28, 2.41)},
    "concrete": {"PBP": (5.67, 3.16), "MC dropout": (5.23, 3.04), "deep ensembles": (6.03, 3.06)},
    "energy": {"PBP": (1.80, 2.04), "MC dropout": (1.66, 1.99), "deep ensembles": (2.09, 1.38)},
    "power": {"PBP": (4.12, 2.84), "MC dropout": (4.02, 2.80), "deep ensembles": (4.11, 2.79)},
    "wine": {"PBP": (0.64, 0.97), "MC dropout": (0.62, 0.93), "deep ensembles": (0.64, 0.94)},
}
Figures = tuple[np.ndarray, np.ndarray]


def ridge(degree: int) -> Any:
    polynomial = PolynomialFeatures(degree, include_bias=False)
    return make_pipeline(StandardScaler(), polynomial, StandardScaler(), BayesianRidge())


class SubsetProcess(GaussianProcessRegressor):
    """scikit-learn's Gaussian process, fitted to the first GP_ROWS rows."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> SubsetProcess:
        fitted: SubsetProcess = super().fit(X[:GP_ROWS], y[:GP_ROWS])
        return fitted


def process() -> Any:
    lengths = RBF(np.ones(1), (1e-2, 1e3))
    kernel = ConstantKernel() * lengths + WhiteKernel(0.1)
    return make_pipeline(StandardScaler(), SubsetProcess(kernel))


def ours(seed: int = 0) -> BayesianBasisRegressor:
    """The default, or the same with other frequencies."""
    if seed == 0:
        return BayesianBasisRegressor()
    return BayesianBasisRegressor(
        FourierBasis(n_kernels="auto", ranks=True, linear=True, random_state=seed)
    )


MODELS: dict[str, Callable[[], Any]] = {
    OURS: ours,
    "BayesianRidge, linear": lambda: ridge(1),
    "BayesianRidge, quadratic": lambda: ridge(2),
    f"Gaussian process, {GP_ROWS} rows": process,
}


def restart(n_restarts: int) -> None:
    """Start each search for length scales at so many more points; keep the best result."""
    search, rng = basis_search.minimize, np.random.default_rng(0)

    def minimize(loss: Any, start: np.ndarray, **options: Any) -> Any:
        starts = [start]
        for _ in range(n_restarts):
            off = rng.normal(scale=0.5, size=len(start))
            off[-1] = 0  # the ratio of precisions
            starts.append(start + off)
        ends = [search(loss, start, **options) for start in starts]
        return min(ends, key=lambda end: float(end.fun))

    basis_search.minimize = minimize


def load(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    if not path.exists():
        raise SystemExit(f"{path} is missing: give the folder that holds the UCI sets as .npz")
    with np.load(path) as data:
        masks = np.unpackbits(data["test_mask"], axis=1)[:, : int(data["n"])].astype(bool)
        return data["X"].astype(float), data["y"].astype(float).ravel(), masks


def measure(model: Any, X: np.ndarray, y: np.ndarray, test: np.ndarray) -> Figures:
    """RMSE, mean negative log likelihood, coverages and seconds of one split; and its PIT."""
    start = time.perf_counter()
    # The others want a target of order one; ours does not care.
    scaler = StandardScaler().fit(y[~test, None])
    target = scaler.transform(y[:, None])[:, 0]
    model.fit(X[~test], target[~test])
    mean, std = model.predict(X[test], return_std=True)
    seconds = time.perf_counter() - start
    mean, std = mean * scaler.scale_ + scaler.mean_, std * scaler.scale_
    df = getattr(model, "degrees_of_freedom_", np.inf)  # ours is a Student-t, the others are normal
    predictive = student_t(df, mean, std * np.sqrt(1 - 2 / df))
    pit = predictive.cdf(y[test])
    covered = [np.mean(np.abs(pit - 0.5) < level / 2) for level in LEVELS]
    error = np.sqrt(np.mean((y[test] - mean) ** 2))
    row = np.array([error, -predictive.logpdf(y[test]).mean(), *covered, seconds])
    return row, pit


def line(name: str, label: str, rows: list[np.ndarray]) -> str:
    table = np.array(rows)
    mean, error = table.mean(axis=0), table.std(axis=0) / np.sqrt(len(table))
    coverages = "".join(f"{100 * coverage:7.1f}" for coverage in mean[2:5])
    return (
        f"{name:9}{label:27}{mean[0]:9.3f} ±{error[0]:5.3f}{mean[1]:9.3f} ±{error[1]:5.3f}"
        f"{coverages}{np.median(table[:, 5]):9.2f}"
    )


def draw(pits: dict[str, np.ndarray], path: Path) -> None:
    """Histograms of PIT values, flat for a model whose distributions are right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.4 * len(pits), 2.6), layout="constrained")
    axes = figure.subplots(1, len(pits), sharey=True, squeeze=False)[0]
    for axis, (name, pit) in zip(axes, pits.items(), strict=True):
        axis.hist(pit, bins=20, range=(0, 1), density=True, color="#0072b2")
        axis.axhline(1, color="#d55e00")
        axis.set(title=name, xlabel="PIT", xlim=(0, 1), xticks=(0, 0.5, 1))
    axes[0].set_ylabel("density")
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("sets", nargs="*", default=SETS)
    parser.add_argument("--splits", type=int, default=20)
    parser.add_argument("--alone", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--restarts", type=int, default=0)
    parser.add_argument("--pit", type=Path)
    options = parser.parse_args()
    restart(options.restarts)
    models = {OURS: MODELS[OURS]} if options.alone else MODELS
    models = {**models, OURS: lambda: ours(options.seed)}
    warnings.simplefilter("ignore", ConvergenceWarning)  # of the Gaussian processes
    threads = {info["user_api"]: info["num_threads"] for info in threadpool_info()}
    print(f"threads: {threads}")
    coverages = "".join(f"{100 * level:5.0f} %" for level in LEVELS)
    print(f"{'set':9}{'model':27}{'RMSE':>16}{'NLL':>16}{coverages}{'s/split':>9}")
    pits = {}
    for name in options.sets:
        X, y, masks = load(options.directory / f"{name}.npz")
        figures: dict[str, list[Figures]] = {label: [] for label in models}
        for test in masks[: options.splits]:
            for label, build in models.items():
                figures[label].append(measure(build(), X, y, test))
        for label, results in figures.items():
            print(line(name, label, [row for row, _ in results]), flush=True)
        for label, (rmse, nll) in PUBLISHED.get(name, {}).items():
            print(f"{name:9}{label + ' (published)':27}{rmse:9.2f}{nll:16.2f}")
        pits[name] = np.concatenate([pit for _, pit in figures[OURS]])
    if options.pit:
        draw(pits, options.pit)


if __name__ == "__main__":
    main()
