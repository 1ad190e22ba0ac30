"""
How long to train an autoencoder
================================

``max_iter`` is the number of passes over the data. The learning rate falls to nearly zero at the
last pass, so the first ten passes of a longer training differ from a training of ten passes. The
score of held-out rows shows when more passes no longer help, and ``early_stopping=True`` stops
there.
"""

# %%
# Three lengths
# -------------
# A quarter of the digits is held out. ``history_`` has the losses of each pass: minus the ELBO, in
# nats per row.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skgen import VAETransformer

X, X_test = train_test_split(load_digits().data / 16, random_state=0)
models = {
    f"max_iter={length}": VAETransformer(
        8, likelihood="bernoulli", max_iter=length, random_state=0
    ).fit(X)
    for length in (10, 40, 160)
}
models["early_stopping=True"] = VAETransformer(
    8, likelihood="bernoulli", early_stopping=True, random_state=0
).fit(X)
for name, model in models.items():
    print(f"{name:20} {model.n_iter_:4} passes, held out {model.score(X_test):.2f} nats per row")

# %%
# Losses
# ------

figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
styles = zip(("#56B4E9", "#0072B2", "#000000", "#D55E00"), (":", "--", "-", "-."), strict=True)
for (name, model), (color, style) in zip(models.items(), styles, strict=True):
    passes = np.arange(1, model.n_iter_ + 1)
    ax.plot(passes, model.loss_curve_, style, color=color, label=name)
ax.set(xlabel="passes over the data", ylabel="loss (nats per row)", xscale="log")
ax.set_xticks([1, 10, 40, 100, 160], ["1", "10", "40", "100", "160"])
_ = ax.legend()
