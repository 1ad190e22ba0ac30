"""
The digits' manifold
====================

Two latent dimensions of 64 pixels: where digits lie, and what lies where. Neighbours in the plane
look alike, and between two kinds of digit there are shapes that are a bit of both.
"""

# %%
# Fit
# ---
# Grey levels count as probabilities of ink. Training takes some seconds.

from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgen import VAETransformer
from skgen.plotting import LatentDisplay, ManifoldDisplay, ReconstructionDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X / 16, y, test_size=0.25, random_state=0)
vae = VAETransformer(2, likelihood="bernoulli", max_iter=100, random_state=0).fit(X_train)
print(f"Held out: {vae.score(X_test):.1f} nats an image; the KL by dimension, in nats:")
print(vae.explained_kl_.round(2))

# %%
# Where digits lie
# ----------------
# Latent means of digits that it was not fitted to; labels were never used.

LatentDisplay.from_estimator(vae, X_test, y_test)

# %%
# What lies where
# ---------------
# Decoder means over quantiles of the prior, so that each picture stands for the same share of it:
# vary z0 to the right, z1 upward.

ManifoldDisplay.from_estimator(vae, n_steps=10, cmap="gray_r")

# %%
# What gets lost
# --------------
# Held-out digits, and what comes back of them from two numbers each.

ReconstructionDisplay.from_estimator(vae, X_test[:10], cmap="gray_r")

# %%
# With more pixels
# ----------------
# The same on 30,000 images of MNIST, 28 x 28 pixels
# (``python docs/pictures.py plane --mnist FILE``; at left are 4000 others):
#
# .. image:: ../images/plane.png
#    :alt: Latent means of ten kinds of digits, and a plane of digits that change into one another
