"""Draws the committed pictures that need data which scikit-learn does not bring.

    python docs/pictures.py PICTURE ... [--mnist FILE] [--olivetti FILE] [--out FOLDER]

PICTURE is one of "bands" (no file), "models" (both files), "draws", "priors", "plane" (MNIST) and
"faces" (Olivetti); FILE is an npz, of MNIST with x_train, x_test of shape (n, 28, 28) in 0..255 and
y_test, of the Olivetti faces with x of shape (400, 64, 64) in 0..255 and y, the person. A picture
takes up to ten minutes on one core, "priors" twenty.
"""

import argparse
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt

from skgen import BayesianBasisRegressor, VAERegressor, VAETransformer
from skgen.plotting import LatentDisplay, ManifoldDisplay, PredictiveDisplay, SamplesDisplay
from skgen.priors import Mixture

Array = npt.NDArray[Any]
Prior = str | Mixture
FACE, SMALL = (32, 32), (8, 8)
LEARNED = Mixture(500)


@cache
def mnist(path: Path) -> tuple[Array, Array, Array]:
    """All training images, all test images and their labels."""
    file = np.load(path)
    train, test = (
        (file[name].reshape(-1, 784) / 255).astype(np.float32) for name in ("x_train", "x_test")
    )
    return train, test, file["y_test"]


@cache
def drawn_digits(path: Path, prior: Prior = LEARNED) -> Array:
    """Draws of an autoencoder, by default with a prior that is learned with it."""
    train, _, _ = mnist(path)
    vae = VAETransformer(
        32, likelihood="bernoulli", hidden_layer_sizes=(500, 500), prior=prior,
        learning_rate_init=0.002, max_iter=50, random_state=0,
    ).fit(train)  # fmt: skip
    return vae.sample(120, observation_noise=False, random_state=0)


@cache
def super_resolution(path: Path) -> dict[str, Array]:
    """Faces of ten persons that the model has not seen: low resolution, four draws, the truth."""
    file = np.load(path)
    sharp = block_means(file["x"] / 255, 2)
    X, Y = block_means(sharp, 4).reshape(-1, 64), sharp.reshape(-1, 1024)
    known = file["y"] < 30
    model = VAERegressor(16, batch_size=16, input_shape=SMALL, random_state=0)
    model.fit(X[known], Y[known])
    shown = np.flatnonzero(~known)[[2, 45, 66, 91, 23]]
    draws = model.sample_y(X[shown], 4, observation_noise=False, random_state=0)
    columns = {f"draw {index + 1}": draws[..., index] for index in range(4)}
    return {"x, 8 x 8": enlarged(X[shown]), **columns, "truth": Y[shown]}


def block_means(images: Array, size: int) -> Array:
    n, height, width = images.shape
    blocks = images.reshape(n, height // size, size, width // size, size)
    return np.asarray(blocks.mean(axis=(2, 4)))


def enlarged(rows: Array) -> Array:
    """Images of 8 x 8 as images of 32 x 32."""
    return rows.reshape(-1, *SMALL).repeat(4, axis=1).repeat(4, axis=2).reshape(-1, 1024)


def draw_regression(axis: Any) -> None:
    """Noise that grows, a gap in the data, and what the model says of both."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(0, 5, 150), rng.uniform(7, 10, 90)])[:, None]
    y = np.sin(1.5 * x[:, 0]) + (0.05 + 0.06 * x[:, 0]) * rng.normal(size=len(x))
    model = BayesianBasisRegressor().fit(x, y)
    grid = np.linspace(0, 12, 300)
    display = PredictiveDisplay.from_estimator(model, x, y, grid=grid, ax=axis)
    display.points_.set_markersize(2.5)
    axis.set(xlabel="x", ylabel="y")


def draw_faces(axis: Any, path: Path, n_rows: int) -> None:
    columns = super_resolution(path)
    rows = np.stack(list(columns.values()), axis=1)[:n_rows]
    SamplesDisplay(images=rows, image_shape=FACE, column_labels=list(columns)).plot(axis)


def draw_bands(options: argparse.Namespace) -> None:
    """A regression, for a card of five to four, which shows it at three fifths of its size."""
    plt.rcParams["font.size"] = 12.5
    _, axis = plt.subplots(figsize=(5, 4), layout="constrained")
    draw_regression(axis)
    axis.legend(loc="lower left", ncols=2, fontsize=11, handlelength=1.2, columnspacing=1)


def draw_models(options: argparse.Namespace) -> None:
    """One panel a model."""
    _, axes = plt.subplots(1, 3, figsize=(9.6, 3.6), layout="constrained", width_ratios=(5, 4, 5))
    draw_regression(axes[0])
    axes[0].set_title("BayesianBasisRegressor\nintervals follow the noise")
    axes[0].get_legend().remove()
    digits = drawn_digits(options.mnist)[:100].reshape(10, 10, 784)
    SamplesDisplay(images=digits).plot(axes[1], cmap="gray_r")
    axes[1].set_title("VAETransformer\ndigits that nobody wrote")
    draw_faces(axes[2], options.olivetti, 4)
    axes[2].set_title("VAERegressor\nfour faces for one of 8 x 8 pixels")


def draw_draws(options: argparse.Namespace) -> None:
    """New digits, for a card of five to four."""
    _, axis = plt.subplots(figsize=(5, 4), layout="constrained")
    digits = drawn_digits(options.mnist)[:80].reshape(8, 10, 784)
    SamplesDisplay(images=digits).plot(axis, cmap="gray_r")


def draw_priors(options: argparse.Namespace) -> None:
    """Draws with a fixed and a learned prior, beside test images."""
    _, axes = plt.subplots(1, 3, figsize=(9.6, 3.5), layout="constrained")
    columns = {
        "N(0, I)": drawn_digits(options.mnist, "standard_normal"),
        "Mixture(500)": drawn_digits(options.mnist),
        "test images": mnist(options.mnist)[1][::83],
    }
    for axis, (name, rows) in zip(axes, columns.items(), strict=True):
        SamplesDisplay(images=rows[:100].reshape(10, 10, 784)).plot(axis, cmap="gray_r")
        axis.set_title(name)


def draw_plane(options: argparse.Namespace) -> None:
    """Where test images of MNIST lie in two dimensions, and what lies where."""
    train, test, labels = mnist(options.mnist)
    vae = VAETransformer(
        2, likelihood="bernoulli", hidden_layer_sizes=(300, 300), max_iter=25, random_state=0
    ).fit(train[:30_000])
    _, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
    LatentDisplay.from_estimator(vae, test[:4000], labels[:4000], ax=axes[0])
    ManifoldDisplay.from_estimator(vae, n_steps=18, ax=axes[1])


def draw_all_faces(options: argparse.Namespace) -> None:
    """Five persons that the model has not seen, also for a card, of two fifths of its size."""
    plt.rcParams["font.size"] = 16
    _, axis = plt.subplots(figsize=(7, 6), layout="constrained")
    draw_faces(axis, options.olivetti, 5)


PICTURES: dict[str, Callable[[argparse.Namespace], None]] = {
    "bands": draw_bands, "models": draw_models, "draws": draw_draws, "priors": draw_priors,
    "plane": draw_plane, "faces": draw_all_faces,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description="Draws the committed pictures of the pages.")
    parser.add_argument("pictures", nargs="+", choices=PICTURES)
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--olivetti", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "images")
    options = parser.parse_args()
    for name in options.pictures:
        with matplotlib.rc_context():
            PICTURES[name](options)
            plt.savefig(options.out / f"{name}.png", dpi=100, facecolor="white")
        plt.close()


if __name__ == "__main__":
    main()
