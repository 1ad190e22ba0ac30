"""
Colour from grey
================

A grey patch can be sky or stone, petal or leaf. A regression gives it the mean of their colours, a
grey brown; `skgen.VAERegressor` draws several colourings, each of which fits the whole patch.
"""

# %%
# Data
# ----
# Patches of 8 x 8 pixels of scikit-learn's two photographs. x is how bright the pixels are, y how
# much bluer and redder than grey, so that both together are the colours. Levels come in steps of
# one, so a random part of a step is added: values that lie in a few places have no finite density.
# The right quarter of each photograph is for tests.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import multivariate_normal
from sklearn.datasets import load_sample_images
from sklearn.linear_model import RidgeCV

from skgen import VAERegressor
from skgen.likelihoods import Gaussian

SIZE, EDGE = 8, 480
rng = np.random.default_rng(0)
photographs = [(image + rng.random(image.shape)) / 256 for image in load_sample_images().images]


def split(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Brightness, and the differences of blue and red from it, of each patch."""
    grey = patches @ [0.299, 0.587, 0.114]
    colours = np.stack([patches[..., 2] - grey, patches[..., 0] - grey], axis=-1)
    return grey.reshape(len(patches), -1), colours.reshape(len(patches), -1)


def join(grey: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Red, green and blue: the inverse of `split`."""
    grey = grey.reshape(-1, SIZE, SIZE)
    blue, red = np.moveaxis(colours.reshape(-1, SIZE, SIZE, 2), -1, 0)
    green = -(0.299 * red + 0.114 * blue) / 0.587
    return np.asarray(np.clip(np.stack([red, green, blue], axis=-1) + grey[..., None], 0, 1))


def random_patches(part: np.ndarray, n: int) -> np.ndarray:
    corners = rng.integers(0, np.array(part.shape[:2]) - SIZE + 1, size=(n, 2))
    return np.stack([part[i : i + SIZE, j : j + SIZE] for i, j in corners])


X, Y = split(np.concatenate([random_patches(image[:, :EDGE], 3000) for image in photographs]))
tests = [random_patches(image[:, EDGE:], 400) for image in photographs]
X_test, Y_test = split(np.concatenate(tests))

# %%
# Two models
# ----------
# A ridge regression, with the full covariance of its residuals, and the conditional autoencoder.

ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X, Y)
residuals = Y - ridge.predict(X)
cvae = VAERegressor(
    64, likelihood=Gaussian("row", min_scale=0.01), hidden_layer_sizes=(256, 256),
    input_shape=(SIZE, SIZE), batch_size=128, learning_rate="one-cycle", learning_rate_init=0.003,
    max_iter=40, n_iter_no_change=40, random_state=0,
).fit(X, Y)  # fmt: skip

normal = multivariate_normal(cov=np.cov(residuals.T))
of_ridge = normal.logpdf(Y_test - ridge.predict(X_test)).mean()
of_cvae = cvae.log_predictive_density(X_test, Y_test).mean()
print(f"log density: ridge {of_ridge:.0f}, VAERegressor {of_cvae:.0f} nats per patch")

# %%
# What they look like
# -------------------
# Five patches of each photograph, from the brightest ones of high contrast.

clear = (X_test.mean(axis=1) * X_test.std(axis=1)).reshape(2, -1)
shown = np.concatenate([np.argsort(-c)[:150:30] + 400 * k for k, c in enumerate(clear)])
draws = cvae.sample_y(X_test[shown], 5, observation_noise=False, random_state=0)
rows = {
    "x": np.zeros_like(Y_test[shown]), "ridge": ridge.predict(X_test[shown]),
    "mean": cvae.predict(X_test[shown]),
    **{f"draw {k + 1}": draws[..., k] for k in range(5)}, "truth": Y_test[shown],
}  # fmt: skip
fig, axes = plt.subplots(len(rows), len(shown), figsize=(7, 6.2), layout="constrained")
for line, (name, colours) in zip(axes, rows.items(), strict=True):
    line[0].set_ylabel(name, rotation=0, ha="right", va="center")
    for ax, image in zip(line, join(X_test[shown], colours), strict=True):
        ax.imshow(image)
        ax.set(xticks=[], yticks=[])
plt.show()
