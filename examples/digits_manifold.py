"""
A plane of digits: two latent dimensions
========================================

A `skgen.VAETransformer` with two latent dimensions places each digit in a plane and decodes each
point of the plane to an image. Neighbours in the plane look alike, and between two kinds of digits
there are shapes that resemble both.
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
# Latent means of held-out digits
# -------------------------------
# Each point is a digit that the model was not fitted to. The model has not seen the labels.

LatentDisplay.from_estimator(vae, X_test, y_test)

# %%
# Images by place in the plane
# ----------------------------
# Each image is the decoder mean at one point of a grid; z0 grows to the right, z1 upward. The
# points are quantiles of the prior, so each image stands for the same probability.

ManifoldDisplay.from_estimator(vae, n_steps=10, cmap="gray_r")

# %%
# Reconstructions
# ---------------
# Below each held-out digit is its reconstruction from two numbers.

ReconstructionDisplay.from_estimator(vae, X_test[:10], cmap="gray_r")

# %%
# With more pixels
# ----------------
# The same on 30,000 images of MNIST, 28 x 28 pixels
# (``python docs/pictures.py plane --mnist FILE``; at left are 4000 others):
#
# .. image:: ../images/plane.png
#    :alt: Latent means of ten kinds of digits, and a plane of digits that change into one another
