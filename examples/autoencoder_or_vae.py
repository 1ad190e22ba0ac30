"""
Autoencoder or variational autoencoder?
=======================================

An autoencoder learns codes from which data can be restored. Nothing says where codes lie, so what a
random code decodes to is anyone's guess. The KL term of the ELBO, KL(q(z | x) || p(z)), keeps them
near the prior: the same network, trained with it, is a generative model.
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
    "autoencoder (beta=0)": VAETransformer(
        2, likelihood="continuous_bernoulli", beta=0.0, max_iter=60, random_state=0
    ),
    "variational (beta=1)": VAETransformer(
        2, likelihood="continuous_bernoulli", beta=1.0, max_iter=60, random_state=0
    ),
}
for model in models.values():
    model.fit(X_train)

# %%
# Where codes lie
# ---------------
# The codes of held-out digits. Without the KL they spread as far as the network likes; with it they
# stay within a few standard deviations of the prior, which are 1. Mind the axes.

figure, axes = plt.subplots(1, 2, figsize=(7, 3.6), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    LatentDisplay.from_estimator(model, X_test, y_test, ax=ax)
    ax.set_title(name)

# %%
# New digits
# ----------
# What draws from the prior decode to. The autoencoder was never asked about that part of its code
# space, and has one blurred shape for all of it.

figure, axes = plt.subplots(2, 1, figsize=(8, 6), layout="constrained")
for ax, (name, model) in zip(axes, models.items(), strict=True):
    SamplesDisplay.from_estimator(model, n_rows=4, n_columns=12, random_state=0, ax=ax)
    ax.set_title(name)

# %%
# What it costs, and what it buys
# -------------------------------
# The log likelihood of held-out digits, in nats an image, says which is the better model of digits.
# Here the KL also keeps two dimensions from learning the training digits by heart: what it has not
# seen comes back better too.

for name, model in models.items():
    restored = np.mean((model.reconstruct(X_test) - X_test) ** 2) ** 0.5
    spread = model.transform(X_test).std()
    print(f"{name}: error of a pixel {restored:.3f}, codes spread over {spread:.1f}, ", end="")
    print(f"log likelihood {model.score(X_test):.1f} nats")
