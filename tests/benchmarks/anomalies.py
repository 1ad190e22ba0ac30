"""Rows unlike the others, told by the log density of VAETransformer's default.

    python tests/benchmarks/anomalies.py DIRECTORY [--sets NAME ...] [--seeds N]
        [--set PARAMETER=VALUE ...]

DIRECTORY holds tables of ADBench (Han et al. 2022), NAME.npz with X and y, 1 for an anomaly.
Semi-supervised: models are fitted to half of the normal rows and score all others. Unsupervised:
they are fitted to all rows, anomalies included, and score the same rows. One line a set: numbers of
rows and columns, share of anomalies, areas under the ROC curve of VAETransformer, by default with
no argument but the seed, of IsolationForest, of the distance to the fifth neighbour, and of a
Gaussian with a full covariance, semi-supervised and then unsupervised, and CPU seconds of
VAETransformer for both. --set changes a parameter of VAETransformer.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import settings
from sklearn.covariance import EmpiricalCovariance
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skgen import VAETransformer

N_NEIGHBORS = 5
Scores = Callable[[np.ndarray, np.ndarray, int], np.ndarray]  # of test rows, high for normal ones


def by_forest(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    return IsolationForest(random_state=seed).fit(train).score_samples(test)


def by_neighbors(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    n_neighbors = N_NEIGHBORS + (train is test)  # of which the row itself is one
    model = NearestNeighbors(n_neighbors=n_neighbors).fit(scaler.transform(train))
    distances, _ = model.kneighbors(scaler.transform(test))
    return -distances[:, -1]


def by_gaussian(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(train)
    return -EmpiricalCovariance().fit(scaler.transform(train)).mahalanobis(scaler.transform(test))


def measure(
    X: np.ndarray, y: np.ndarray, seed: int, models: dict[str, Scores]
) -> tuple[np.ndarray, float]:
    """Areas under the ROC curve, of shape (2, n_models), and CPU seconds of the first model."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    rest = np.setdiff1d(np.arange(len(y)), normal[: len(normal) // 2])
    train = X[normal[: len(normal) // 2]]
    areas, seconds = np.empty((2, len(models))), 0.0
    for column, scores in enumerate(models.values()):
        start = time.process_time()
        areas[0, column] = roc_auc_score(y[rest], -scores(train, X[rest], seed))
        areas[1, column] = roc_auc_score(y, -scores(X, X, seed))
        seconds = seconds if column else time.process_time() - start
    return areas, seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", type=Path)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--seeds", type=int, default=1)
    settings.add_option(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    params = settings.read(options)

    def by_vae(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        return VAETransformer(random_state=seed, **params).fit(train).score_samples(test)

    models: dict[str, Scores] = {
        "VAE": by_vae, "forest": by_forest, "neighbor": by_neighbors, "Gaussian": by_gaussian,
    }  # fmt: skip
    header = "".join(f"{name:>9}" for name in models)
    print(f"{'':22}{'':11}{'':>7}{header}  {header}{'seconds':>9}")
    every = []
    for path in sorted(options.directory.glob("*.npz")):
        if options.sets and path.stem not in options.sets:
            continue
        with np.load(path) as data:
            X, y = data["X"].astype(float), data["y"]
        runs = [measure(X, y, seed, models) for seed in range(options.seeds)]
        areas = np.mean([run[0] for run in runs], axis=0)
        every.append(areas)
        seconds = np.mean([run[1] for run in runs])
        sizes = f"{X.shape[0]} x {X.shape[1]}"
        print(f"{path.stem:22}{sizes:11}{y.mean():7.1%}{_row(areas)}{seconds:9.1f}", flush=True)
    print(f"{'mean':40}{_row(np.mean(every, axis=0))}")


def _row(areas: np.ndarray) -> str:
    return "  ".join("".join(f"{area:9.3f}" for area in row) for row in areas)


if __name__ == "__main__":
    main()
