"""
The lower half of a face, given the upper half
==============================================

`Face completion <https://scikit-learn.org/stable/auto_examples/miscellaneous/plot_multioutput_face_completion.html>`_
is scikit-learn's example of regression with many outputs: half of an image is x, the other half is
y. A regression answers with the mean of what may come, which looks like nobody; nearest neighbours
answer with the chin of another person. `skgen.VAERegressor` draws lower halves, each as a whole.

The picture shows four draws for each of five persons whom the models have not seen (faces of AT&T
Laboratories Cambridge). It is made by ``python examples/face_completion.py FILE --out FOLDER``;
FILE is an npz file with images ``x``, (n, height, width) of grey levels 0 to 255, and ``y``, the
persons. With ``--fetch`` scikit-learn downloads these faces. With neither, as on this page, the
images are scikit-learn's digits.

.. image:: ../images/face_completion.png
   :alt: For each upper half of a face: the truth, nearest neighbour, ridge, the mean and four draws
"""

# sphinx_gallery_thumbnail_path = "images/face_completion.png"

# %%
# Data
# ----
# Of the faces, thirty persons are there to learn from, and ten others to test.

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import numpy.typing as npt
from sklearn.datasets import fetch_olivetti_faces, load_digits
from sklearn.linear_model import Ridge, RidgeCV
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import NearestNeighbors

from skgen import VAERegressor
from skgen.plotting import SamplesDisplay

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
shape = images.shape[1:]
half = shape[0] // 2, shape[1]
X, Y = (part.reshape(len(images), -1) for part in (images[:, : half[0]], images[:, half[0] :]))
X, X_test, Y, Y_test = X[learned], X[~learned], Y[learned], Y[~learned]
print(f"{len(X)} images of {shape[0]} x {shape[1]} to learn from, {len(X_test)} to test")

# %%
# Four answers
# ------------
# The lower halves of the rows with the most similar upper halves, a ridge regression, and the
# conditional autoencoder. With only hundreds of rows a prior of z that is the same for all x is
# enough: what x says of y is in the linear part and in the decoder.

n_draws = 20
search = NearestNeighbors(n_neighbors=n_draws).fit(X)
near = Y[search.kneighbors(X_test, return_distance=False)].transpose(0, 2, 1)
ridge = RidgeCV(np.logspace(-3, 3, 13)).fit(X, Y)
cvae = VAERegressor(
    16, prior="standard_normal", input_shape=half, batch_size=16, random_state=0
).fit(X, Y)
mean, draws = cvae.predict(X_test), cvae.sample_y(X_test, n_draws, random_state=0)

# %%
# How good they are
# -----------------
# The energy score: the mean distance from draws to the truth, less half of that between two draws.
# For a single answer it is the distance. Draws of the ridge regression are its mean and what it
# leaves of another row, left out of the fit; draws of nearest neighbours are the twenty of them.


def energy_score(draws: npt.NDArray[np.float64]) -> float:
    to_truth = np.linalg.norm(draws - Y_test[..., None], axis=1).mean()
    between = np.linalg.norm(draws[..., 1:] - draws[..., :-1], axis=1)
    return float(to_truth - (between.mean() / 2 if between.size else 0))


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
# A log density, in nats per row, is what the others do not give for so many outputs: here of the
# true lower halves, and of those of other images under the same upper halves.

own = cvae.log_predictive_density(X_test, Y_test)
others = cvae.log_predictive_density(X_test, np.roll(Y_test, len(Y_test) // 2, axis=0))
print(f"the true half is more probable than another one for {np.mean(own > others):.0%} of rows")

# %%
# What they look like
# -------------------
# Each column has the same upper halves. The mean is smooth and the neighbour does not fit; draws
# fit, and differ in mouth, chin and beard. ``observation_noise=False`` leaves out the noise of
# single pixels.

shown = np.linspace(0, len(X_test) - 1, 5).astype(int) if options.file else np.arange(5)
smooth = cvae.sample_y(X_test[shown], 4, observation_noise=False, random_state=1)
columns = {
    "truth": Y_test[shown], "neighbour": near[shown, :, 0], "ridge": of_ridge[shown],
    "mean": mean[shown], **{f"draw {index + 1}": smooth[..., index] for index in range(4)},
}  # fmt: skip
rows = np.stack([np.hstack([X_test[shown], lower]) for lower in columns.values()], axis=1)
figure, ax = plt.subplots(figsize=(8, 5.4), layout="constrained")
display = SamplesDisplay(images=rows, image_shape=shape, column_labels=list(columns))
display.plot(ax, cmap="gray" if options.file or options.fetch else "gray_r", vmin=0, vmax=1)
if options.out:
    figure.savefig(options.out / "face_completion.png", dpi=100)
plt.show()
