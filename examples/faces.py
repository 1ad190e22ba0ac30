"""
Faces, and the direction of an attribute
========================================

An autoencoder reconstructs faces and draws new ones. Faces lose their glasses when their codes move
along a direction in latent space. The pictures on this page are made by

``python examples/faces.py FILE --out FOLDER``

FILE is an npz file with images ``x``, (n, height, width) of grey levels 0 to 255, here the faces of
AT&T Laboratories Cambridge, and if it has them, labels ``glasses`` of 0 and 1. Without a file,
scikit-learn downloads these faces, which have no such labels.

.. image:: ../images/faces_new.png
   :alt: Ten faces, the same as the model restores them, and forty that it draws

.. image:: ../images/faces_glasses.png
   :alt: Five faces with glasses, which fade from left to right
"""

# %%
# Data
# ----

import argparse
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import fetch_olivetti_faces

from skgen import VAETransformer
from skgen.plotting import ReconstructionDisplay, SamplesDisplay

# sphinx_gallery_thumbnail_path = "images/faces_new.png"
parser = argparse.ArgumentParser(description="Faces, and the direction of an attribute.")
parser.add_argument("file", type=Path, nargs="?", help="npz with x, and perhaps glasses")
parser.add_argument("--out", type=Path, default=Path())
options = parser.parse_args()
file = np.load(options.file) if options.file else {"x": 255 * fetch_olivetti_faces().images}
images = file["x"] / 255
shape = images.shape[1:]
X = images.reshape(len(images), -1)
print(f"{len(X)} images of {shape[0]} x {shape[1]} pixels")

# %%
# Fit
# ---
# The continuous Bernoulli is a density of grey levels between 0 and 1. A mixture is fitted to the
# codes and replaces the prior, so that draws look more like faces.

vae = VAETransformer(
    32, likelihood="continuous_bernoulli", max_iter=150, batch_size=64, random_state=0
).fit(X)
vae.fit_prior(X, n_components=10, random_state=0)
used = int(np.sum(vae.explained_kl_ > 0.1))
print(f"{used} of 32 dimensions are used, {vae.explained_kl_.sum():.1f} nats in all")

# %%
# Reconstructions, and new faces
# ------------------------------

figure, axes = plt.subplots(2, 1, figsize=(8, 5.4), layout="constrained", height_ratios=(2, 4))
ReconstructionDisplay.from_estimator(vae, X[:: len(X) // 10][:10], image_shape=shape, ax=axes[0])
drawn = vae.sample(40, observation_noise=False, random_state=1).reshape(4, 10, -1)
SamplesDisplay(images=drawn, image_shape=shape).plot(axes[1], vmin=0, vmax=1)
axes[1].set_title("new")
figure.savefig(options.out / "faces_new.png", dpi=100)

# %%
# Without glasses
# ---------------
# The direction is the mean code of faces with glasses, less that of faces without. Each row starts
# from a face with glasses, whose code moves in the opposite direction.

if "glasses" in file:
    glasses = file["glasses"]
    Z = vae.transform(X)
    direction = Z[glasses == 1].mean(axis=0) - Z[glasses == 0].mean(axis=0)
    with_it = np.flatnonzero(glasses)[:: max(1, glasses.sum() // 5)][:5]
    steps = np.linspace(0, 2, 7)
    walks = [vae.inverse_transform(Z[row] - steps[:, None] * direction) for row in with_it]
    rows = np.stack([np.vstack([X[[row]], walk]) for row, walk in zip(with_it, walks, strict=True)])
    labels = ["data", *(f"-{step:.1f}" if step else "code" for step in steps)]
    figure, ax = plt.subplots(figsize=(8, 5.6), layout="constrained")
    display = SamplesDisplay(
        images=rows, image_shape=shape, column_labels=labels, xlabel="multiples of the direction"
    )
    display.plot(ax, vmin=0, vmax=1)
    ax.set_title("away from glasses")
    figure.savefig(options.out / "faces_glasses.png", dpi=100)
