"""Log density of held-out rows of tables, beside Gaussian mixtures.

    python tests/benchmarks/density.py [DIRECTORY] [--sets NAME ...] [--seeds N] [--draws N]
        [--set PARAMETER=VALUE ...]

Sets are iris, wine, breast_cancer and diabetes of scikit-learn, and, given the folder that holds
NAME.npz with X and y, five of UCI: X and y together. A column with repeated values is jittered
within its rounding step, since a density makes of repeated values what it likes. 20 % of the rows
are held out, and columns are standardized by the others. One line a set: numbers of rows and
columns, the mean log density of held-out rows in nats, and its standard error over seeds, of
VAETransformer, by default with no argument but the seed, of GaussianMixture with one component,
and of the best of 1 to 10, chosen by the held-out rows; the same of rows that were fitted; and CPU
seconds of fit and of scores. --set changes a parameter of VAETransformer.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import settings
from sklearn import datasets
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skgen import VAETransformer

SETS = ("iris", "wine", "breast_cancer", "diabetes")
UCI = ("boston", "concrete", "energy", "power", "wine")
SMALLEST_STEP = 1e-6  # between values, in units of the range: smaller ones are errors of rounding


def load(name: str, directory: Path | None) -> np.ndarray:
    if directory is None or not name.startswith("uci_"):
        table: np.ndarray = getattr(datasets, f"load_{name}")().data
        return table
    with np.load(directory / f"{name.removeprefix('uci_')}.npz") as data:
        return np.column_stack([data["X"], data["y"]]).astype(float)


def jitter(X: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Spread repeated values over their rounding step, the smallest between values of a column."""
    X = X.copy()
    for column in X.T:
        values = np.unique(column)
        if len(values) < len(column):
            steps = np.diff(values)
            step = steps[steps > SMALLEST_STEP * np.ptp(values)].min()
            column += rng.uniform(-step / 2, step / 2, len(column))
    return X


def split(X: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    train, test = train_test_split(
        jitter(X, np.random.default_rng(seed)), test_size=0.2, random_state=seed
    )
    scaler = StandardScaler().fit(train)
    return scaler.transform(train), scaler.transform(test)


def measure(X: np.ndarray, seed: int, n_draws: int, params: dict[str, Any]) -> list[float]:
    train, test = split(X, seed)
    start = time.process_time()
    model = VAETransformer(random_state=seed, **params).fit(train)
    fitted = time.process_time()
    scores = [model.score_samples(rows, n_draws).mean() for rows in (test, train)]
    scored = time.process_time()
    mixtures = [GaussianMixture(k, random_state=seed).fit(train).score(test) for k in range(1, 11)]
    return [
        scores[0], mixtures[0], max(mixtures), scores[1], fitted - start, scored - fitted
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("directory", nargs="?", type=Path)
    parser.add_argument("--sets", nargs="*")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=200)
    settings.add_option(parser)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    params = settings.read(options)
    names = options.sets or [*SETS, *(f"uci_{name}" for name in UCI if options.directory)]
    print(f"{'':15}{'':10}{'VAE':>15}{'Gaussian':>9}{'best of 10':>11}{'on train':>9}{'fit':>7}")
    for name in names:
        X = load(name, options.directory)
        runs = [measure(X, seed, options.draws, params) for seed in range(options.seeds)]
        ours, one, best, train, fit, score = np.mean(runs, axis=0)
        error = np.std([run[0] for run in runs], ddof=1) / np.sqrt(len(runs)) if runs[1:] else 0
        sizes = f"{X.shape[0]} x {X.shape[1]}"
        print(
            f"{name:15}{sizes:10}{ours:8.2f} +- {error:.2f}{one:8.2f}{best:11.2f}{train:9.2f}"
            f"{fit:7.1f}{score:7.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
