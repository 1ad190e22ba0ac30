"""p(y | x) of images: VAERegressor beside nearest neighbours and a ridge regression.

    python tests/benchmarks/conditional.py super-resolution --mnist FILE
    python tests/benchmarks/conditional.py halves --mnist FILE
    python tests/benchmarks/conditional.py faces --olivetti FILE

FILE is an npz: of MNIST with x_train, x_test of shape (n, 28, 28) in 0..255; of the Olivetti faces
with x of shape (400, 64, 64) in 0..255 and y, the person.

Digits: 7x7 block means to 28x28, or the upper half to the lower half, 20,000 rows to learn from and
1000 to test, y binarised with seed 0, x grey. Faces: 8x8 block means to 32x32, thirty persons to
learn from and ten others. The energy score is unbiased, of 50 joint draws (smaller is better); nats
per row are of minus log p(y | x), of faces in grey levels from 0 to 1.
"""

import argparse
import time

import numpy as np
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from skgen import VAERegressor

N_DRAWS = 50
DIGITS = {
    "likelihood": "bernoulli", "batch_size": 128, "early_stopping": False, "kl_warmup": 5,
    "learning_rate": "one-cycle", "learning_rate_init": 0.004, "random_state": 0,
}  # fmt: skip
SETTINGS = {
    "super-resolution": {
        **DIGITS, "n_components": 16, "image_shape": (28, 28), "input_shape": (7, 7),
        "max_iter": 20,
    },
    "halves": {
        **DIGITS, "n_components": 24, "hidden_layer_sizes": (512,), "input_shape": (14, 28),
        "n_importance_samples": 10, "max_iter": 12,
    },
    "faces": {"n_components": 16, "batch_size": 16, "input_shape": (8, 8), "random_state": 0},
}  # fmt: skip


def block_means(images, size):
    n, height, width = images.shape
    return images.reshape(n, height // size, size, width // size, size).mean(axis=(2, 4))


def rows(images):
    return images.reshape(len(images), -1)


def digits(task, path):
    """Inputs and targets of the rows to learn from, then of those to test."""
    file = np.load(path)
    grey = np.concatenate([file["x_train"][:20_000], file["x_test"][:1000]]) / np.float32(255)
    binary = (np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32)
    if task == "halves":
        X, Y = rows(grey[:, :14]), rows(binary[:, 14:])
    else:
        X, Y = rows(block_means(grey, 4)), rows(binary)
    return X[:20_000], Y[:20_000], X[20_000:], Y[20_000:]


def faces(path):
    file = np.load(path)
    small = block_means(file["x"] / 255, 2)
    X, Y, known = rows(block_means(small, 4)), rows(small), file["y"] < 30
    return X[known], Y[known], X[~known], Y[~known]


def energy_score(draws, Y):
    """Unbiased energy score, draws of shape (n_rows, n_outputs, n_draws) (Gneiting and Raftery)."""
    scores = []
    for of_row, y in zip(draws, Y, strict=True):
        products = of_row.T @ of_row
        squares = np.diag(products)
        distances = np.sqrt(np.maximum(squares[:, None] + squares - 2 * products, 0))
        n = len(squares)
        to_y = np.linalg.norm(of_row - y[:, None], axis=0).mean()
        scores.append(to_y - distances.sum() / (2 * n * (n - 1)))
    return np.mean(scores)


def nats_of_pixels(probability, Y, margin):
    p = probability.clip(margin, 1 - margin)
    return -np.mean(np.sum(Y * np.log(p) + (1 - Y) * np.log1p(-p), axis=1))


def best_margin(probability, Y):
    """The distance from 0 and 1 that suits training targets best."""
    return min(np.logspace(-3, -1, 9), key=lambda margin: nats_of_pixels(probability, Y, margin))


def show(name, nats, draws, Y, seconds):
    print(f"{name:28s} {nats:10.2f} {energy_score(draws, Y):8.3f} {seconds:8.0f} s", flush=True)


def peers(X, Y, X_test, Y_test, binary):
    rng = np.random.default_rng(1)
    start = time.perf_counter()
    search = NearestNeighbors(n_neighbors=N_DRAWS).fit(X)
    near = Y[search.kneighbors(X_test, return_distance=False)].transpose(0, 2, 1)
    nats = np.nan
    if binary:
        inner = search.kneighbors(X[:1000], return_distance=False)[:, 1:]
        margin = best_margin(Y[inner].mean(axis=1), Y[:1000])
        nats = nats_of_pixels(near.mean(axis=2), Y_test, margin)
    show("nearest neighbours (50)", nats, near, Y_test, time.perf_counter() - start)
    start = time.perf_counter()
    ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X, Y)
    mean = ridge.predict(X_test)
    if binary:
        nats = nats_of_pixels(mean, Y_test, best_margin(ridge.predict(X), Y))
        uniform = rng.random((*mean.shape, N_DRAWS))
        draws = (uniform < mean[..., None]).astype(np.float32)
    else:
        left_out = Y - cross_val_predict(Ridge(ridge.alpha_), X, Y, cv=LeaveOneOut())
        picked = rng.integers(len(Y), size=(len(mean), N_DRAWS))
        draws = mean[..., None] + left_out[picked].transpose(0, 2, 1)
    show("ridge", nats, draws, Y_test, time.perf_counter() - start)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=SETTINGS)
    parser.add_argument("--mnist")
    parser.add_argument("--olivetti")
    parser.add_argument("--epochs", type=int)
    arguments = parser.parse_args()
    path = arguments.olivetti if arguments.task == "faces" else arguments.mnist
    if path is None:
        parser.error("give the file of the data: --mnist FILE, or --olivetti FILE")
    tables = faces(path) if arguments.task == "faces" else digits(arguments.task, path)
    X, Y, X_test, Y_test = tables
    print(f"{arguments.task:28s} {'nats':>10s} {'energy':>8s} {'time':>10s}")
    peers(*tables, binary=arguments.task != "faces")
    model = VAERegressor(**SETTINGS[arguments.task])
    if arguments.epochs:
        model.set_params(max_iter=arguments.epochs)
    start = time.perf_counter()
    model.fit(X, Y)
    seconds = time.perf_counter() - start
    nats = -model.log_predictive_density(X_test, Y_test).mean()
    draws = model.sample_y(X_test, N_DRAWS, random_state=0)
    show("VAERegressor", nats, draws, Y_test, seconds)


if __name__ == "__main__":
    main()
