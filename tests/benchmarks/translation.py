"""Translation between domains without pairs: plain digits of MNIST to slanted and thick ones.

    python tests/benchmarks/translation.py FILE

FILE is an npz with x_train, x_test of shape (n, 28, 28) in 0..255, y_train and y_test. Plain are
10,000 training images, slanted and thick 10,000 others: dilated by a cross of three pixels and
sheared by 0.3 pixels per row. The hidden truth is the same change of 2000 evenly spaced test
images. One line for each map of the codes: root mean squared error, share that a classifier takes
for the other domain, share whose digit is kept, and seconds of the process.
"""

import sys
import time

import numpy as np
from scipy.linalg import sqrtm
from scipy.ndimage import affine_transform, generate_binary_structure, grey_dilation
from sklearn.linear_model import Ridge
from sklearn.neighbors import NearestNeighbors
from sklearn.neural_network import MLPClassifier
from subsets import evenly_spaced

from skgen import VAERegressor, VAETransformer

N, N_TESTS, SHEAR = 10_000, 2000, 0.3
SETTINGS = {
    "n_components": 32, "likelihood": "bernoulli", "hidden_layer_sizes": (500,), "batch_size": 128,
    "max_iter": 15, "learning_rate": "one-cycle", "learning_rate_init": 0.003, "random_state": 0,
}  # fmt: skip


def plain(images):
    return images.reshape(len(images), -1).astype(np.float32) / 255


def slant(images):
    cross, matrix = generate_binary_structure(2, 1), [[1, 0], [SHEAR, 1]]
    thick = [grey_dilation(image.astype(np.float32) / 255, footprint=cross) for image in images]
    offset = [0, -SHEAR * 13.5]
    return np.stack([affine_transform(image, matrix, offset, order=1).ravel() for image in thick])


def difference(codes, targets):
    return lambda z: z - codes.mean(axis=0) + targets.mean(axis=0)


def transport(codes, targets):
    """Optimal transport between normal distributions."""
    start, end = (np.cov(of.T) + 1e-6 * np.eye(of.shape[1]) for of in (codes, targets))
    root = sqrtm(start).real
    inverse = np.linalg.inv(root)
    slopes = inverse @ sqrtm(root @ end @ root).real @ inverse
    return lambda z: (z - codes.mean(axis=0)) @ slopes + targets.mean(axis=0)


def match(codes, targets, n_iter=40, penalty=0.01):
    """Linear map by pairs that are each other's nearest neighbours."""
    move = transport(codes, targets)
    of_targets = NearestNeighbors(n_neighbors=1).fit(targets)
    for _ in range(n_iter):
        moved = move(codes)
        partner = of_targets.kneighbors(moved, return_distance=False)[:, 0]
        of_moved = NearestNeighbors(n_neighbors=1).fit(moved)
        back = of_moved.kneighbors(targets, return_distance=False)[:, 0]
        paired = np.flatnonzero(back[partner] == np.arange(len(codes)))
        ridge = Ridge(penalty * len(paired)).fit(codes[paired], targets[partner[paired]])
        move = ridge.predict
    return move


MAPS = {"difference of means": difference, "transport": transport, "matched pairs": match}


def classifiers(images, labels):
    """Names of domains, and of slanted digits, from images that no model has seen."""
    A, B = plain(images[:N]), slant(images[N:])
    settings = {"hidden_layer_sizes": (256,), "max_iter": 15, "random_state": 0}
    of_domain = MLPClassifier(**settings).fit(np.vstack([A, B]), np.repeat([0, 1], N))
    return of_domain, MLPClassifier(**settings).fit(B, labels[N:])


def main():
    file = np.load(sys.argv[1])
    images, labels = file["x_train"], file["y_train"]
    A, B = plain(images[:N]), slant(images[N : 2 * N])
    test, truth = (change(evenly_spaced(file["x_test"], N_TESTS)) for change in (plain, slant))
    digits = evenly_spaced(file["y_test"], N_TESTS)
    of_domain, of_digit = classifiers(images[2 * N : 4 * N], labels[2 * N : 4 * N])

    def show(name, answer, start):
        rmse = np.sqrt(np.mean((answer - truth) ** 2))
        kept = np.mean(of_digit.predict(answer) == digits)
        scores = f"{rmse:6.4f} {of_domain.predict(answer).mean():8.3f} {kept:8.3f}"
        print(f"{name:36s} {scores} {time.process_time() - start:6.0f} s", flush=True)

    print(f"{'':36s} {'RMSE':>6s} {'domain':>8s} {'digit':>8s}")
    start = time.process_time()
    show("as it is", test, start)
    show("the truth", truth, start)
    show("transport of pixels", transport(A, B)(test).clip(0, 1), start)
    both = np.vstack([A, B])
    vae = VAETransformer(**SETTINGS).fit(both)
    codes = [vae.transform(table) for table in (A, B, test)]
    for name, build in MAPS.items():
        start = time.process_time()
        show(f"autoencoder, {name}", vae.inverse_transform(build(*codes[:2])(codes[2])), start)
    domain = np.repeat(np.eye(2), N, axis=0)
    told = VAERegressor(**SETTINGS, prior="standard_normal", early_stopping=False).fit(domain, both)
    pairs = (domain[:N], A), (domain[N:], B), (domain[:N_TESTS], test)
    codes = [told.transform(*pair) for pair in pairs]
    for name, build in {"same code": lambda *_: np.asarray, **MAPS}.items():
        start = time.process_time()
        answer = told.inverse_transform(build(*codes[:2])(codes[2]), domain[N : N + N_TESTS])
        show(f"told the domain, {name}", answer, start)


if __name__ == "__main__":
    main()
