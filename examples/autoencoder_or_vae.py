"""
Autoencoder and variational autoencoder
=======================================

An autoencoder learns codes from which data can be reconstructed. Nothing determines where the codes
lie, so a random code decodes to no image of the data. The KL term of the ELBO, KL(q(z | x) ||
p(z)), keeps the codes near the prior: the same network, trained with it, is a generative model.
"""

# %%
# The same network, with and without the KL
# -----------------------------------------
# ``beta`` is the weight of the KL term, in nats like the rest of the objective. With 0 the network
# is an autoencoder: nothing keeps the noise of its encoder from shrinking.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgen import VAETransformer
from skgen.plotting import LatentDisplay, SamplesDisplay

X, y = load_digits(return_X_y=True)
X_train, X_test, _, y_test = train_test_split(X / 16, y, test_size=0.25, random_state=0)
models = {
    f"{name} (beta={beta})": VAETransformer(
        8, likelihood="bernoulli", beta=beta, max_iter=100, random_state=0
    ).fit(X_train)
    for name, beta in (("autoencoder", 0), ("variational autoencoder", 1))
}

# %%
# New digits
# ----------
# Codes are drawn from the prior and decoded. The autoencoder has not learned to decode such codes,
# and nearly all of its images have the same shape.

figure, axes = plt.subplots(2, 1, figsize=(7, 4.6), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    SamplesDisplay.from_estimator(
        model, n_rows=3, n_columns=12, random_state=0, cmap="gray_r", ax=ax
    )
    ax.set_title(name)

# %%
# Where codes lie
# ---------------
# The figure shows the codes of held-out digits in the two dimensions of largest KL. Without the KL
# term nothing limits their spread; with it they stay within a few standard deviations of the prior,
# which are 1. The scales of the axes differ.

figure, axes = plt.subplots(1, 2, figsize=(7, 3.7), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    LatentDisplay.from_estimator(model, X_test, y_test, ax=ax)
    ax.set_title(name)

# %%
# Reconstruction error and log likelihood
# ---------------------------------------
# The autoencoder reconstructs held-out digits with a smaller error. As a model of digits it is
# worse: its log likelihood of held-out digits is several nats lower per image.

for name, model in models.items():
    restored = np.mean((model.reconstruct(X_test) - X_test) ** 2) ** 0.5
    spread = model.transform(X_test).std()
    print(f"{name}: error of a pixel {restored:.3f}, standard deviation of codes {spread:.1f},")
    print(f"    log likelihood {model.score(X_test):.1f} nats")
