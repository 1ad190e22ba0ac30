"""
Faces, and the direction of an attribute
========================================

Draws new images, and moves images along the direction in latent space that tells those with an
attribute from those without: faces lose their glasses.

``python examples/faces.py FILE`` takes an npz file with images ``x``, (n, height, width) of grey
levels 0 to 255, such as Frey's or Olivetti's faces, and if it has them, labels ``glasses`` of 0 and
1. Without a file, digits stand in for faces, and heavy strokes for glasses.
"""

# %%
# Data
# ----

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skgen import VAETransformer
from skgen.plotting import ReconstructionDisplay, SamplesDisplay

if len(sys.argv) > 1:
    file = np.load(Path(sys.argv[1]))
    images = file["x"] / 255
    attribute, name = (file["glasses"], "glasses") if "glasses" in file else (None, "")
else:
    images = load_digits().images / 16
    ink = images.mean(axis=(1, 2))
    attribute, name = (ink > np.quantile(ink, 0.7)).astype(int), "heavy strokes"
shape = images.shape[1:]
X = images.reshape(len(images), -1)
print(f"{len(X)} images of {shape[0]} x {shape[1]} pixels")

# %%
# Fit
# ---
# Grey levels between 0 and 1 as they are, each with a distribution of its own.

vae = VAETransformer(
    32, likelihood="continuous_bernoulli", max_iter=150, batch_size=64,
    random_state=0,
)  # fmt: skip
vae.fit(X)
used = int(np.sum(vae.explained_kl_ > 0.1))
print(f"{used} of 32 dimensions are used, {vae.explained_kl_.sum():.1f} nats in all")

# %%
# Restored, and new
# -----------------

look = {"image_shape": shape, "cmap": "gray"}
_, axes = plt.subplots(2, 1, figsize=(8, 6.5), layout="constrained", height_ratios=(2, 4))
ReconstructionDisplay.from_estimator(vae, X[:: len(X) // 10][:10], ax=axes[0], **look)
SamplesDisplay.from_estimator(vae, n_rows=4, random_state=1, ax=axes[1], **look)
axes[1].set_title("new")

# %%
# Without glasses
# ---------------
# The direction is the difference of two means of latent codes: with the attribute, less without.
# Each row starts from an image that has it and walks against it; much of the rest stays.

if attribute is not None:
    Z = vae.transform(X)
    direction = Z[attribute == 1].mean(axis=0) - Z[attribute == 0].mean(axis=0)
    with_it = np.flatnonzero(attribute)[:: max(1, attribute.sum() // 5)][:5]
    steps = np.linspace(0, 2, 7)
    walks = [vae.inverse_transform(Z[row] - steps[:, None] * direction) for row in with_it]
    rows = np.stack([np.vstack([X[[row]], walk]) for row, walk in zip(with_it, walks, strict=True)])
    labels = ["data", *(f"-{step:.1f}" if step else "code" for step in steps)]
    _, ax = plt.subplots(figsize=(8, 5.9), layout="constrained")
    display = SamplesDisplay(
        images=rows, image_shape=shape, column_labels=labels, xlabel="multiples of the direction"
    )
    display.plot(ax, vmin=0, vmax=1)
    ax.set_title(f"away from {name}")
plt.show()
