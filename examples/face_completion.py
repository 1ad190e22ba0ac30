"""
The lower half of a face, given the upper half
==============================================

`Face completion <https://scikit-learn.org/stable/auto_examples/miscellaneous/plot_multioutput_face_completion.html>`_
is scikit-learn's example of regression with many outputs: half of an image is x, the other half is
y. A regression predicts the mean of all lower halves that are possible, which looks like nobody;
nearest neighbours have the chin of another person. `skgen.VAERegressor` draws whole lower halves.

The picture shows four draws for each of five persons whom the models have not seen (faces of AT&T
Laboratories Cambridge). It is made by ``python examples/face_completion.py FILE --out FOLDER``;
FILE is an npz file with images ``x``, (n, height, width) of grey levels 0 to 255, and ``y``, the
persons. With ``--fetch`` scikit-learn downloads these faces. With neither, as on this page, the
images are scikit-learn's digits.

With the digits, draws are nearer to the truth than those of a ridge regression, by the energy score
below, and as near as nearest neighbours. Three hundred faces of thirty persons are too few for
that: the score of the draws is 2.00, that of the ridge regression plus leave-one-out residuals
1.92, and that of twenty nearest neighbours 1.87.

.. image:: ../images/face_completion.png
   :alt: For each upper half of a face: the truth, nearest neighbour, ridge, the mean and four draws
"""

# %%
# Data
# ----
# The models are fitted to four fifths of the images. Of the faces, at 32 x 32 pixels, they are
# fitted to thirty persons and tested on ten others.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from scipy.spatial.distance import pdist
from sklearn.datasets import fetch_olivetti_faces, load_digits
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from skgen import VAERegressor
from skgen.plotting import SamplesDisplay

# sphinx_gallery_thumbnail_path = "images/face_completion.png"
parser = argparse.ArgumentParser(description="The lower half of a face, given the upper half.")
parser.add_argument("file", type=Path, nargs="?", help="npz with x and y")
parser.add_argument("--fetch", action="store_true", help="download the Olivetti faces")
parser.add_argument("--out", type=Path, help="folder for the picture")
options = parser.parse_args()
if options.file:
    file = np.load(options.file)
    images, learned = file["x"] / 255, file["y"] < 30
elif options.fetch:
    faces = fetch_olivetti_faces()
    images, learned = faces.images, faces.target < 30
else:
    images = load_digits().images / 16
    learned = np.random.default_rng(0).random(len(images)) < 0.8
if images.shape[1:] == (64, 64):
    images = images.reshape(-1, 32, 2, 32, 2).mean(axis=(2, 4))
shape = images.shape[1:]
half = shape[0] // 2, shape[1]
X, Y = (part.reshape(len(images), -1) for part in (images[:, : half[0]], images[:, half[0] :]))
X, X_test, Y, Y_test = X[learned], X[~learned], Y[learned], Y[~learned]
print(f"{len(X)} images of {shape[0]} x {shape[1]} to learn from, {len(X_test)} to test")

# %%
# Four answers
# ------------
# The lower halves of the rows with the most similar upper halves, a ridge regression, and the
# conditional autoencoder. Its linear part helps with few images, such as the faces. It is left out
# with the digits.

n_draws = 20
search = NearestNeighbors(n_neighbors=n_draws).fit(X)
near = Y[search.kneighbors(X_test, return_distance=False)].transpose(0, 2, 1)
ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X, Y)
few = len(X) < 1000
cvae = VAERegressor(
    16, linear=few, hidden_layer_sizes=(256,) if few else (256, 256), input_shape=half,
    batch_size=16 if few else 32, random_state=0,
).fit(X, Y)  # fmt: skip
mean, draws = cvae.predict(X_test), cvae.sample_y(X_test, n_draws, random_state=0)

# %%
# How good they are
# -----------------
# The energy score: the mean distance from draws to the truth, less half of that between two draws.
# For a single answer it is the distance. Draws of the ridge regression are its mean plus the
# leave-one-out residuals of other rows; draws of nearest neighbours are the twenty neighbours.


def energy_score(draws: npt.NDArray[np.float64]) -> float:
    to_truth = np.linalg.norm(draws - Y_test[..., None], axis=1).mean()
    between = [pdist(of_row.T).mean() for of_row in draws] if draws.shape[2] > 1 else 0.0
    return float(to_truth - np.mean(between) / 2)


rng = np.random.default_rng(0)
left_out = Y - cross_val_predict(Ridge(ridge.alpha_), X, Y, cv=LeaveOneOut())
residuals = left_out[rng.integers(len(Y), size=(len(X_test), n_draws))].transpose(0, 2, 1)
of_ridge = ridge.predict(X_test)
answers = {
    "nearest neighbour": near[..., :1],
    "nearest neighbours, draws": near,
    "ridge, its mean": of_ridge[..., None],
    "ridge, draws": of_ridge[..., None] + residuals,
    "VAERegressor, its mean": mean[..., None],
    "VAERegressor, draws": draws,
}
for name, answer in answers.items():
    print(f"{name:26s} energy score {energy_score(answer):.3f}")

# %%
# The other models have no log density of so many outputs. That of the autoencoder, in nats per row,
# is compared for the true lower halves and for those of other images, given the same upper halves.

own = cvae.log_predictive_density(X_test, Y_test)
others = cvae.log_predictive_density(X_test, np.roll(Y_test, len(Y_test) // 2, axis=0))
print(f"the true half is more probable than another one for {np.mean(own > others):.0%} of rows")

# %%
# What they look like
# -------------------
# Each column has the same upper halves. The neighbour's half may not fit, and means are blurred;
# draws differ where x leaves it open. ``observation_noise=False`` leaves out the noise of single
# pixels.

shown = np.linspace(0, len(X_test) - 1, 5).astype(int) if few else np.arange(5)
smooth = cvae.sample_y(X_test[shown], 4, observation_noise=False, random_state=1)
columns = {
    "truth": Y_test[shown], "neighbour": near[shown, :, 0], "ridge": of_ridge[shown],
    "mean": mean[shown], **{f"draw {index + 1}": smooth[..., index] for index in range(4)},
}  # fmt: skip
rows = np.stack([np.hstack([X_test[shown], lower]) for lower in columns.values()], axis=1)
figure, ax = plt.subplots(figsize=(7, 4.9), layout="constrained")
display = SamplesDisplay(images=rows, image_shape=shape, column_labels=list(columns))
display.plot(ax, cmap="gray" if options.file or options.fetch else "gray_r", vmin=0, vmax=1)
if options.out:
    figure.savefig(options.out / "face_completion.png", dpi=100)
plt.show()
