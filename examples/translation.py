"""
Translation without pairs
=========================

Plain digits on the one side, slanted and thick ones on the other, and no digit is on both sides.
Yet each plain digit has one slanted version, and a model that knows both sides can find it: encode
an image of one domain, move its code to where the other domain's codes lie, and decode it.
"""

# %%
# Data
# ----
# Half of the handwritten digits as they are. The other half is slanted and thickened, so that no
# image is in both domains. A fifth is kept for tests: of these the hidden truth is known.

from collections.abc import Callable

import matplotlib.pyplot as plt
import numpy as np
from scipy.linalg import sqrtm
from scipy.ndimage import affine_transform, generate_binary_structure, grey_dilation
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.svm import SVC

from skgen import VAETransformer

Map = Callable[[np.ndarray], np.ndarray]


def slant(images: np.ndarray) -> np.ndarray:
    """Thicken by dilation, and shear by 0.5 pixels per row."""
    cross = generate_binary_structure(2, 1)
    size = int(np.sqrt(images.shape[1]))
    changed = [
        affine_transform(
            grey_dilation(image.reshape(size, size), footprint=cross, mode="constant") * 0.5
            + image.reshape(size, size) * 0.5,
            np.array([[1.0, 0.0], [0.5, 1.0]]), offset=[0.0, -0.25 * (size - 1)], order=1,
        ).ravel()
        for image in images
    ]  # fmt: skip
    return np.array(changed)


images, labels = load_digits(return_X_y=True)
images, test, labels, test_labels = train_test_split(
    images / 16, labels, test_size=0.2, random_state=0
)
middle = len(images) // 2
plain, slanted, truth = images[:middle], slant(images[middle:]), slant(test)

# %%
# One autoencoder for both domains
# --------------------------------
# The domain is no input of the model, so the code contains it and can be changed.

vae = VAETransformer(
    16, likelihood="bernoulli", hidden_layer_sizes=(200,), max_iter=100, random_state=0
).fit(np.vstack([plain, slanted]))
codes, targets = vae.transform(plain), vae.transform(slanted)

# %%
# From one cloud of codes to the other
# ------------------------------------
# There are three maps. The first adds the difference of the means. The optimal transport between
# two normal distributions maps covariances too, but only up to a rotation, and may turn one digit
# into another. The third starts with it, and then finds pairs: a moved code and a code of the other
# domain which are each other's nearest neighbours. A ridge regression of the steps from such codes
# to their partners is the next map, and so on: the pairs become better with the map (in
# registration, the iterative closest point).


def transport(codes: np.ndarray, targets: np.ndarray) -> Map:
    """Optimal transport between normal distributions."""
    start, end = (np.cov(of.T) + 1e-6 * np.eye(of.shape[1]) for of in (codes, targets))
    root = sqrtm(start).real
    inverse = np.linalg.inv(root)
    slopes = inverse @ sqrtm(root @ end @ root).real @ inverse
    return lambda z: (z - codes.mean(axis=0)) @ slopes + targets.mean(axis=0)


PENALTY = 0.3  # per pair; 0.01 with thousands of pairs


def match(codes: np.ndarray, targets: np.ndarray, n_iter: int = 30) -> Map:
    """Linear map by pairs that are each other's nearest neighbours."""
    move = transport(codes, targets)
    of_targets = NearestNeighbors(n_neighbors=1).fit(targets)
    for _ in range(n_iter):
        moved = move(codes)
        partner = of_targets.kneighbors(moved, return_distance=False)[:, 0]
        of_moved = NearestNeighbors(n_neighbors=1).fit(moved)
        back = of_moved.kneighbors(targets, return_distance=False)[:, 0]
        paired = np.flatnonzero(back[partner] == np.arange(len(codes)))
        steps = targets[partner[paired]] - codes[paired]
        move = move_by(Ridge(PENALTY * len(paired)).fit(codes[paired], steps))
    return move


def move_by(steps: Ridge) -> Map:
    return lambda z: z + steps.predict(z)


maps: dict[str, Map] = {
    "difference of means": lambda z: z - codes.mean(axis=0) + targets.mean(axis=0),
    "transport of codes": transport(codes, targets),
    "matched codes": match(codes, targets),
}
answers = {
    "as it is": test,
    "transport of pixels": np.clip(transport(plain, slanted)(test), 0, 1),
    **{name: vae.inverse_transform(move(vae.transform(test))) for name, move in maps.items()},
}

# %%
# How good they are
# -----------------
# The distance to the hidden truth, whether it looks like the other domain, and whether it is still
# the same digit, the latter by a classifier of slanted digits and one of domains.

names_digit = SVC(random_state=0).fit(slant(images), labels)
names_domain = SVC(random_state=0).fit(
    np.vstack([images, slant(images)]), np.repeat([0, 1], len(images))
)
scores = {
    name: (
        np.sqrt(np.mean((answer - truth) ** 2)),
        np.mean(names_domain.predict(answer)),
        np.mean(names_digit.predict(answer) == test_labels),
    )
    for name, answer in answers.items()
}
print(f"{'':20s} {'RMSE':>6s} {'right domain':>13s} {'same digit':>11s}")
for name, (rmse, domain, digit) in scores.items():
    print(f"{name:20s} {rmse:6.3f} {domain:13.0%} {digit:11.0%}")

# %%
# What they look like
# -------------------

shown = [np.flatnonzero(test_labels == digit)[0] for digit in range(10)]
rows = {**answers, "truth": truth}
fig, axes = plt.subplots(len(rows), len(shown), figsize=(7, 4.5), layout="constrained")
for line, (name, row) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, image in zip(line, row[shown], strict=True):
        ax.imshow(image.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
        ax.set(xticks=[], yticks=[])
plt.show()
