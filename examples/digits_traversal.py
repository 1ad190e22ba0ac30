"""
Latent dimensions, one at a time
================================

A latent space of twelve dimensions cannot be shown as a plane. The figures here vary one dimension
at a time, move from one digit to another, and show new digits.
"""

# %%
# Fit
# ---
# The model has twelve latent dimensions. The KL of each says how much it is used.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skgen import VAETransformer
from skgen.plotting import SamplesDisplay, TraversalDisplay

X, y = load_digits(return_X_y=True)
X = X / 16
vae = VAETransformer(12, likelihood="continuous_bernoulli", max_iter=80, random_state=0).fit(X)
print("Nats by dimension:", np.sort(vae.explained_kl_)[::-1].round(2))

# %%
# Traversal
# ---------
# Each row starts from the code of one digit, a three, and varies one dimension over the prior. Rows
# are in the order of the KL: a dimension whose KL is near 0 changes nothing.

three = X[np.flatnonzero(y == 3)[:1]]
TraversalDisplay.from_estimator(vae, three, n_dimensions=6, n_steps=7, cmap="gray_r")

# %%
# From one digit to another
# -------------------------
# The points on a straight line between two latent means decode to digits. The points on a straight
# line between two images, below, show both digits on top of each other.

pairs = [(0, 1), (3, 8), (4, 9)]
steps = np.linspace(0, 1, 7)[:, None]
rows = []
for first, second in pairs:
    ends = X[[np.flatnonzero(y == first)[1], np.flatnonzero(y == second)[1]]]
    z_first, z_second = vae.transform(ends)
    rows.append(vae.inverse_transform((1 - steps) * z_first + steps * z_second))
    rows.append((1 - steps) * ends[0] + steps * ends[1])

labels = [text for a, b in pairs for text in (f"{a} to {b}, codes", "pixels")]
SamplesDisplay(images=np.stack(rows), row_labels=labels).plot(cmap="gray_r")

# %%
# New digits
# ----------
# Codes are drawn from the prior. The upper images are decoder means; the lower ones are draws,
# which include the noise of each pixel. The continuous Bernoulli is a density of grey levels in [0,
# 1].

_, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained")
for ax, noise, title in zip(axes, (False, True), ("decoder means", "draws"), strict=True):
    SamplesDisplay.from_estimator(
        vae, n_rows=3, n_columns=12, observation_noise=noise, random_state=0, cmap="gray_r", ax=ax
    )
    ax.set_title(title)
