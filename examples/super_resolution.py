"""
Many sharp images for one of low resolution
===========================================

Many digits of 8 x 8 pixels look the same at 4 x 4. A regression predicts their mean, which is
blurred; `skgen.VAERegressor` draws whole digits and estimates the log density of each.
"""

# %%
# Data
# ----
# y is the image, x the mean of blocks of 2 x 2 pixels, as a cheap camera sees it, with noise. Grey
# levels come in steps of one, so a random part of a step is added to each pixel: values that can
# only lie in a few places have no finite density. Nor have images whose block means are exactly x,
# so x has noise.

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors

from skgen import VAERegressor

images = load_digits().images
rng = np.random.default_rng(0)
X = images.reshape(-1, 4, 2, 4, 2).mean(axis=(2, 4)).reshape(-1, 16)
X += rng.normal(scale=2, size=X.shape)
Y = (images + rng.uniform(size=images.shape)).reshape(-1, 64)
X, X_test, Y, Y_test = train_test_split(X, Y, test_size=400, random_state=0)

# %%
# Three answers
# -------------
# The most similar training image, a ridge regression, and the conditional autoencoder.

nearest = Y[NearestNeighbors(n_neighbors=1).fit(X).kneighbors(X_test, return_distance=False)[:, 0]]
ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X, Y)
cvae = VAERegressor(16, input_shape=(4, 4), batch_size=64, random_state=0).fit(X, Y)
mean, draws = cvae.predict(X_test), cvae.sample_y(X_test, 50, random_state=0)

# %%
# How good they are
# -----------------
# Log densities per row, in nats: of the ridge regression with the full covariance of its residuals,
# and of the autoencoder. And the energy score, the mean distance between draws and the truth less
# half of that between two draws: it is small if draws are near the truth, and no nearer to each
# other. For a single answer it is the distance.

residuals = Y - ridge.predict(X)
of_ridge = multivariate_normal(cov=np.cov(residuals.T)).logpdf(Y_test - ridge.predict(X_test))
of_cvae = cvae.log_predictive_density(X_test, Y_test)
print(f"log density: ridge {of_ridge.mean():.1f}, VAERegressor {of_cvae.mean():.1f} nats per row")


def energy_score(draws: np.ndarray) -> float:
    to_truth = np.linalg.norm(draws - Y_test[..., None], axis=1).mean()
    between = np.linalg.norm(draws[..., 1:] - draws[..., :-1], axis=1)
    return float(to_truth - (between.mean() / 2 if between.size else 0))


noise = rng.multivariate_normal(np.zeros(64), np.cov(residuals.T), (len(X_test), 50))
answers = {
    "nearest neighbour": nearest[..., None],
    "ridge, its mean": ridge.predict(X_test)[..., None],
    "ridge, draws": ridge.predict(X_test)[..., None] + noise.transpose(0, 2, 1),
    "VAERegressor, its mean": mean[..., None],
    "VAERegressor, draws": draws,
}
for name, answer in answers.items():
    print(f"{name:24s} energy score {energy_score(answer):.2f}")

# %%
# What they look like
# -------------------
# Draws differ where x leaves it open, and each is a digit; `observation_noise=False` leaves the
# noise of single pixels out. The mean of all draws is as blurred as the ridge regression's.

shown = [0, 1, 2, 3]
smooth = cvae.sample_y(X_test[shown], 4, observation_noise=False, random_state=1)
blocks = X_test[shown].reshape(-1, 4, 4).repeat(2, axis=1).repeat(2, axis=2).reshape(-1, 64)
columns = {
    "x": blocks, "truth": Y_test[shown], "nearest": nearest[shown],
    "ridge": ridge.predict(X_test)[shown], "mean": mean[shown],
    **{f"draw {index + 1}": smooth[..., index] for index in range(4)},
}  # fmt: skip
fig, axes = plt.subplots(len(shown), len(columns), figsize=(7, 3.5), layout="constrained")
for column, (name, rows) in enumerate(columns.items()):
    axes[0, column].set_title(name)
    for ax, row in zip(axes[:, column], rows, strict=True):
        ax.imshow(row.reshape(8, 8), cmap="gray_r", vmin=0, vmax=17)
        ax.set_axis_off()
plt.show()

# %%
# Faces
# -----
# Four draws for each of five persons whom the model has not seen, from 8 x 8 pixels
# (``python docs/pictures.py faces --olivetti FILE``; faces of AT&T Laboratories Cambridge):
#
# .. image:: ../images/faces.png
#    :alt: For each face of 8 x 8 pixels four faces of 32 x 32, which differ, and the true one
