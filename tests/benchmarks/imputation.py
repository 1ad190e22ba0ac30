"""Draws of missing cells, scored beside scikit-learn's imputers and a Gaussian fitted by EM.

    python tests/benchmarks/imputation.py [set ...] [--share S] [--seeds N] [--alone]
        [--energy FILE]

Sets are breast_cancer, diabetes and wine of scikit-learn, and, given its file NAME.npz with X and
y, energy of UCI. A share S of the cells (default 0.3) goes missing at random; models are fitted to
what is left and draw each missing cell 50 times, IterativeImputer 20 times. One line a set and
model: the continuous ranked probability score (CRPS) of the draws in units of the standard
deviation of the column, unbiased in the number of draws, its standard error over seeds, the share
of missing cells in the central 90 % of the draws, and CPU seconds. A single imputation is scored as
equal draws: by its error.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer
from sklearn.preprocessing import StandardScaler

from skgen import VAEImputer

N_DRAWS, N_CHAINS = 50, 20
SETS = {"breast_cancer": load_breast_cancer, "diabetes": load_diabetes, "wine": load_wine}
Draws = Callable[[np.ndarray, int], np.ndarray]


def crps(draws: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Score of draws of shape (n_draws, n), without the bias of few draws (Ferro 2014)."""
    n = len(draws)
    ordered = np.sort(draws, axis=0)
    rank = 2 * np.arange(n)[:, None] - n + 1
    spread = (rank * ordered).sum(axis=0) / (n * (n - 1))  # half the mean distance of two draws
    return np.abs(draws - truth).mean(axis=0) - spread


def by_vae(X: np.ndarray, seed: int) -> np.ndarray:
    model = VAEImputer(random_state=seed).fit(X).estimator_
    return model.sample(N_DRAWS, given=X, random_state=seed).reshape(N_DRAWS, *X.shape)


def by_neighbours(X: np.ndarray, seed: int) -> np.ndarray:
    scaler = StandardScaler().fit(X)
    filled = KNNImputer(n_neighbors=10, weights="distance").fit_transform(scaler.transform(X))
    return np.repeat(scaler.inverse_transform(filled)[None], N_DRAWS, axis=0)


def by_chains(X: np.ndarray, seed: int) -> np.ndarray:
    chains = (
        IterativeImputer(sample_posterior=True, random_state=seed * N_CHAINS + index)
        for index in range(N_CHAINS)
    )
    return np.stack([chain.fit_transform(X) for chain in chains])


def by_gaussian(X: np.ndarray, seed: int, n_steps: int = 200, ridge: float = 1e-3) -> np.ndarray:
    """Draws of a Gaussian with a full covariance, fitted by EM (Little and Rubin, chapter 11)."""
    scaler = StandardScaler().fit(X)
    Z, rng = scaler.transform(X), np.random.default_rng(seed)
    n, d = Z.shape
    mean, cov = np.zeros(d), np.eye(d)
    draws = np.repeat(Z[None], N_DRAWS, axis=0)
    for step in range(n_steps + 1):
        filled, spread = Z.copy(), np.zeros((d, d))
        for row, m in zip(range(n), np.isnan(Z), strict=True):
            if not m.any():
                continue
            gain = np.linalg.solve(cov[np.ix_(~m, ~m)], cov[np.ix_(~m, m)]).T
            centre = mean[m] + gain @ (Z[row, ~m] - mean[~m])
            rest = cov[np.ix_(m, m)] - gain @ cov[np.ix_(~m, m)]
            filled[row, m] = centre
            spread[np.ix_(m, m)] += rest
            if step == n_steps:
                draws[:, row, m] = rng.multivariate_normal(centre, rest, N_DRAWS, method="eigh")
        mean = filled.mean(axis=0)
        cov = ((filled - mean).T @ (filled - mean) + spread) / n + ridge * np.eye(d)
    return draws * scaler.scale_ + scaler.mean_


MODELS: dict[str, Draws] = {
    "skgen, VAEImputer": by_vae,
    "KNNImputer": by_neighbours,
    "IterativeImputer": by_chains,
    "Gaussian by EM": by_gaussian,
}


def measured(draw: Draws, X: np.ndarray, share: float, seed: int) -> tuple[float, float, float]:
    """Mean CRPS, coverage of 90 % intervals, and CPU seconds."""
    mask = np.random.default_rng(seed).random(X.shape) < share
    start = time.process_time()
    draws = draw(np.where(mask, np.nan, X), seed)
    seconds = time.process_time() - start
    scale = np.broadcast_to(X.std(axis=0), X.shape)[mask]
    low, high = np.quantile(draws[:, mask], [0.05, 0.95], axis=0, method="weibull")
    covered = (low <= X[mask]) & (X[mask] <= high)
    return (crps(draws[:, mask], X[mask]) / scale).mean(), covered.mean(), seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="*")
    parser.add_argument("--share", type=float, default=0.3)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="only skgen")
    parser.add_argument("--energy", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    sets = {name: load().data for name, load in SETS.items()}
    if options.energy:
        energy = np.load(options.energy)
        sets["energy"] = np.column_stack([energy["X"], energy["y"]])
    print(f"{'':16}{'':20}{'CRPS':>8}{'':11}{'90 %':>6}{'seconds':>9}")
    for name, X in sets.items():
        for model, draw in MODELS.items():
            wanted = not options.sets or name in options.sets
            if wanted and not (options.alone and draw is not by_vae):
                runs = [measured(draw, X, options.share, seed) for seed in range(options.seeds)]
                score, coverage, seconds = np.mean(runs, axis=0)
                error = np.std([run[0] for run in runs], ddof=1) / np.sqrt(len(runs))
                print(
                    f"{name:16}{model:20}{score:8.4f} +- {error:.4f}{coverage:8.1%}{seconds:8.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
