"""Regression with error bars, and new digits
==========================================

On scikit-learn's data::

    python examples/quickstart.py [--output PICTURE]

Diabetes: the script chooses basis functions by held-out log predictive density, learns the same
model once more from batches, and compares the default settings with scikit-learn's Bayesian
regressors by ten-fold cross-validation. Digits: it chooses the number of latent dimensions by
held-out likelihood, compares the latent means with principal components as features of a
classifier, and draws new digits. It saves a picture. About a minute on two cores.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.stats import norm
from sklearn.datasets import load_diabetes, load_digits
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import GridSearchCV, KFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    VAETransformer,
    mean_log_predictive_density,
)
from skgen.plotting import LatentDisplay

BATCH = 30
SIDE = 8  # pixels of a digit
COLORS = ("#0072B2", "#E69F00", "#009E73")


def choose_basis(X: np.ndarray, y: np.ndarray) -> GridSearchCV:
    """A grid search over bases, scored by how probable held-out targets are."""
    search = GridSearchCV(
        make_pipeline(StandardScaler(), BayesianBasisRegressor(noise="constant")),
        {
            "bayesianbasisregressor__basis": [
                "identity",
                "polynomial",
                SplineTransformer(n_knots=4),
                FourierBasis(200, random_state=0),
                GaussianBasis(100),
                GaussianBasis(300),
            ]
        },
        scoring=mean_log_predictive_density,
        cv=5,
    )
    search.fit(X, y)
    print("Held-out log predictive density, nats per row:")
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        (basis,) = params.values()
        print(f"  {score:7.3f}  {basis}")
    return search


def learn_from_batches(
    pipeline: Any, X: np.ndarray, y: np.ndarray, X_test: np.ndarray
) -> tuple[list[float], list[float]]:
    """The pipeline's regressor once more, batch by batch.

    After each batch: how far its held-out means are from those of the pipeline, root mean square,
    and how unsure it is of them.
    """
    scaler, whole = pipeline[0], pipeline[-1]
    rows, test = scaler.transform(X), scaler.transform(X_test)
    streamed = BayesianBasisRegressor(FrozenEstimator(whole.basis_))
    distances, doubts = [], []
    for start in range(0, len(rows), BATCH):
        streamed.partial_fit(rows[start : start + BATCH], y[start : start + BATCH])
        mean, std = streamed.predict(test, return_std=True)
        distances.append(float(np.sqrt(np.mean((mean - whole.predict(test)) ** 2))))
        doubts.append(float(np.sqrt(np.mean(std**2) - 1 / streamed.noise_precision_)))
    difference = np.abs(streamed.coef_ - whole.coef_).max() / np.abs(whole.coef_).max()
    print(f"\nLearned again from {len(distances)} batches: the weights differ by {difference:.0e}.")
    if difference > 1e-12:
        raise SystemExit("They should agree to 12 digits.")
    return distances, doubts


def compare(X: np.ndarray, y: np.ndarray) -> dict[str, np.ndarray]:
    """Print what ten-fold cross-validation says of each model; returns its standardized errors."""
    print(f"\nTen-fold{'':18}{'R2':>7}{'log density':>13}{'50 % covers':>13}{'95 % covers':>13}")
    errors = {}
    for name, build in PEERS.items():
        scores, folds = [], []
        for train, test in KFold(10, shuffle=True, random_state=0).split(X):
            model = build().fit(X[train], y[train])
            mean, std = model.predict(X[test], return_std=True)
            density = mean_log_predictive_density(model, X[test], y[test])
            scores.append((model.score(X[test], y[test]), density))
            folds.append((y[test] - mean) / std)
        errors[name] = np.concatenate(folds)
        r2, density = np.mean(scores, axis=0)
        half, most = (coverage(errors[name], level) for level in (0.5, 0.95))
        print(f"{name:26}{r2:7.3f}{density:13.3f}{half:12.0%} {most:12.0%}")
    return errors


def gaussian_process() -> Any:
    kernel = ConstantKernel() * RBF(5.0) + WhiteKernel()
    return make_pipeline(StandardScaler(), GaussianProcessRegressor(kernel, normalize_y=True))


PEERS = {
    "skgen, default": BayesianBasisRegressor,
    "BayesianRidge": lambda: make_pipeline(StandardScaler(), BayesianRidge()),
    "GaussianProcessRegressor": gaussian_process,
}


def coverage(errors: np.ndarray, level: float) -> float:
    """Share of standardized errors inside the central interval of probability ``level``."""
    return float(np.mean(np.abs(errors) <= norm.ppf((1 + level) / 2)))


def to_unit_interval(X: np.ndarray) -> np.ndarray:
    return X / 16


def autoencoder(n_components: int = 2) -> Any:
    """Digits, grey levels 0 to 16, to latent means."""
    return make_pipeline(
        FunctionTransformer(to_unit_interval),
        VAETransformer(n_components, likelihood="bernoulli", max_iter=100, random_state=0),
    )


def choose_dimensions(X: np.ndarray) -> int:
    """A grid search over latent dimensions, scored by the likelihood of held-out digits."""
    search = GridSearchCV(
        autoencoder(), {"vaetransformer__n_components": [2, 4, 8, 16]}, cv=3, refit=False
    ).fit(X)
    print("\nDigits: held-out log likelihood by latent dimensions, nats an image:")
    for params, score in zip(
        search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
    ):
        print(f"  {score:7.2f}  {params['vaetransformer__n_components']}")
    return int(search.best_params_["vaetransformer__n_components"])


def classify(X: np.ndarray, y: np.ndarray, X_test: np.ndarray, y_test: np.ndarray) -> None:
    """Nearest neighbours in latent space, beside those in the space of PCA."""
    print("\nDigits: accuracy of 5 nearest neighbours   latent means      PCA")
    for n_components in (2, 4, 8):
        scores = [
            make_pipeline(reducer, KNeighborsClassifier(5)).fit(X, y).score(X_test, y_test)
            for reducer in (autoencoder(n_components), PCA(n_components))
        ]
        print(f"  {n_components} dimensions{scores[0]:41.1%}{scores[1]:9.1%}")


def draw(path: Path, *rows: list[Callable[[Any], None]]) -> None:
    """A picture of rows of panels."""
    shape = len(rows), len(rows[0])
    layout = ConstrainedLayoutEngine(h_pad=0.1)  # inches between the rows
    figure, axes = plt.subplots(*shape, figsize=(9.6, 3.4 * len(rows)), layout=layout)
    for axis, panel in zip(axes.flat, chain.from_iterable(rows), strict=True):
        axis.spines[["top", "right"]].set_visible(False)
        panel(axis)
        axis.title.set_fontsize("medium")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")


def draw_intervals(axis: Any, model: Any, X: np.ndarray, y: np.ndarray) -> None:
    mean, std = model.predict(X, return_std=True)
    order = np.argsort(mean)
    rank = np.arange(len(order))
    for level, alpha in ((0.95, 0.2), (0.5, 0.4)):
        half = norm.ppf((1 + level) / 2) * std[order]
        low, high = mean[order] - half, mean[order] + half
        axis.fill_between(
            rank, low, high, color=COLORS[0], alpha=alpha, lw=0, label=f"{level:.0%} interval"
        )
    axis.plot(rank, mean[order], color=COLORS[0], label="mean")
    axis.plot(rank, y[order], ".", color="black", ms=4, label="held-out patient")
    axis.set(
        title="Every prediction has an interval",
        xlabel="held-out patients, by predicted mean",
        ylabel="disease progression",
        ylim=(None, 1.4 * y.max()),  # room for the legend
    )
    axis.legend(frameon=False, fontsize=8, loc="upper left", ncols=2)


def draw_stream(axis: Any, distances: list[float], doubts: list[float]) -> None:
    batches = np.arange(1, len(distances) + 1)
    axis.plot(batches, doubts, "s--", ms=4, color=COLORS[1], label="standard deviation of the mean")
    axis.plot(batches, distances, "o-", ms=4, color=COLORS[0], label="distance to the fit to all")
    axis.set(
        title="Learning from batches",
        xlabel=f"batches of {BATCH} patients seen",
        xticks=batches[1::2],
        ylabel="root mean square, held-out patients",
        ylim=(-1, None),
    )
    axis.legend(frameon=False, fontsize=8, loc="upper right")


def draw_coverage(axis: Any, errors: dict[str, np.ndarray]) -> None:
    levels = (0.5, 0.8, 0.95)
    places = np.arange(len(levels))
    for shift, (name, values), color in zip((-0.27, 0, 0.27), errors.items(), COLORS, strict=True):
        shares = [coverage(values, level) for level in levels]
        axis.bar(places + shift, shares, 0.25, color=color, label=name)
    axis.hlines(levels, places - 0.42, places + 0.42, color="black", label="nominal")
    axis.set(
        title="Coverage of the intervals",
        xlabel="nominal coverage",
        ylabel="share of patients inside",
        ylim=(0, 1.5),  # room for the legend
        yticks=np.linspace(0, 1, 6),
    )
    axis.set_xticks(places, [f"{level:.0%}" for level in levels])
    axis.legend(frameon=False, fontsize=8, loc="upper left")


def draw_latent_means(axis: Any, plane: Any, X: np.ndarray, y: np.ndarray) -> None:
    LatentDisplay.from_estimator(plane, X, y, ax=axis)
    axis.set_title("Held-out digits by their latent means")


def draw_images(
    axis: Any, images: np.ndarray, title: str, xlabel: str = "", ylabel: str = ""
) -> None:
    """Images in a square, the first at the lower left."""
    side = int(len(images) ** 0.5)
    tiles = np.pad(images.reshape(side, side, SIDE, SIDE)[::-1], [(0, 0), (0, 0), (1, 1), (1, 1)])
    axis.imshow(tiles.swapaxes(1, 2).reshape(side * (SIDE + 2), -1), cmap="gray_r")
    axis.set(title=title, xticks=[], yticks=[], xlabel=xlabel, ylabel=ylabel)
    axis.spines[:].set_visible(False)


def manifold(vae: VAETransformer, n_steps: int = 8) -> np.ndarray:
    """Decoder means over a grid of quantiles of the prior, z_0 to the right and z_1 upward."""
    quantiles = norm.ppf(np.linspace(0.03, 0.97, n_steps))
    z_1, z_0 = np.meshgrid(quantiles, quantiles, indexing="ij")
    return vae.inverse_transform(np.column_stack([z_0.ravel(), z_1.ravel()]))


def diabetes() -> list[Callable[[Any], None]]:
    X, y = load_diabetes(return_X_y=True, scaled=False)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    best = choose_basis(X_train, y_train).best_estimator_
    stream = learn_from_batches(best, X_train, y_train, X_test)
    errors = compare(X, y)
    return [
        lambda axis: draw_intervals(axis, best, X_test, y_test),
        lambda axis: draw_stream(axis, *stream),
        lambda axis: draw_coverage(axis, errors),
    ]


def digits() -> list[Callable[[Any], None]]:
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=0)
    n_components = choose_dimensions(X_train)
    classify(X_train, y_train, X_test, y_test)
    plane = autoencoder(2).fit(X_train)
    drawn = (
        autoencoder(n_components)
        .fit(X_train)[-1]
        .sample(64, observation_noise=False, random_state=0)
    )
    return [
        lambda axis: draw_latent_means(axis, plane, X_test, y_test),
        lambda axis: draw_images(
            axis, manifold(plane[-1]), "Decoder means in latent space", "$z_0$", "$z_1$"
        ),
        lambda axis: draw_images(axis, drawn, f"New digits, {n_components} latent dimensions"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description="A regression with error bars, and new digits.")
    parser.add_argument("--output", type=Path, default=Path("quickstart.png"))
    options = parser.parse_args()
    draw(options.output, diabetes(), digits())
    print(f"\nPicture: {options.output.resolve()}")


if __name__ == "__main__":
    main()
