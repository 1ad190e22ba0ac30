"""
Images of a given class
=======================

X is a label, y an image: `skgen.VAERegressor` draws images of the class. A classifier of real
digits counts how many of them show the class.
"""

# %%
# Data
# ----
# 8 x 8 images of 17 grey levels, to each of which a random part of a step is added: values that can
# only lie in a few places have no finite density. The classifier learns from other images than the
# model that draws.

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from skgen import VAERegressor
from skgen.metrics import frechet_distance
from skgen.priors import ConditionalMixture

images, labels = load_digits(return_X_y=True)
images = (images + np.random.default_rng(0).random(images.shape)) / 17
Y, Y_other, labels, labels_other = train_test_split(images, labels, random_state=0)
judge = SVC(C=10).fit(Y_other, labels_other)
print(f"The classifier names {judge.score(Y, labels):.1%} of real digits right.")

# %%
# One column of categories
# ------------------------
# A column of dtype category needs no encoder. With a mixture as prior, the codes of a class may lie
# in several places, with a normal distribution in one. Draws should show the given class and be as
# varied as real digits. The Frechet distance to digits that the model has not seen measures both.

X = pd.DataFrame({"digit": labels}).astype("category")
settings: dict[str, Any] = {
    "likelihood": "continuous_bernoulli", "batch_size": 64, "max_iter": 60, "early_stopping": False,
    "learning_rate": "one-cycle", "learning_rate_init": 0.004, "random_state": 0,
}  # fmt: skip
models = {
    "N(0, I)": VAERegressor(16, prior="standard_normal", **settings),
    "normal": VAERegressor(16, prior="conditional_normal", **settings),
    "mixture": VAERegressor(16, prior=ConditionalMixture(10), **settings),
}
classes = X.iloc[:10].assign(digit=pd.Categorical(range(10)))
draws = {}
for name, model in models.items():
    drawn = model.fit(X, Y).sample_y(classes, 100, observation_noise=False, random_state=0)
    draws[name] = drawn.transpose(0, 2, 1)  # class, draw, pixel
    rows = draws[name].reshape(-1, 64)
    right = np.mean(judge.predict(rows) == np.repeat(np.arange(10), 100))
    distance = frechet_distance(Y_other, rows)
    print(f"{name:8s} {right:.1%} of the draws show the class, Frechet distance {distance:.2f}")

# %%
# What they look like
# -------------------
# Ten draws of each class, in rows, beside ten images of it.

real = np.stack([Y[labels == digit][:10] for digit in range(10)])
fig, axes = plt.subplots(1, 3, figsize=(7, 2.8), layout="constrained")
shown = {"normal": draws["normal"], "mixture": draws["mixture"], "real digits": real}
for ax, (name, rows) in zip(axes, shown.items(), strict=True):
    tiles = np.pad(rows[:, :10].reshape(10, 10, 8, 8), [(0, 0), (0, 0), (1, 1), (1, 1)])
    ax.imshow(tiles.transpose(0, 2, 1, 3).reshape(100, 100), cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(name)
    ax.set_axis_off()
plt.show()

# %%
# The class determines most of an image of 8 x 8 pixels, and any of the priors is good enough. With
# 28 x 28 pixels the prior matters: 84 % of the draws show the given class with N(0, I), 90 % with a
# normal prior, and 96 % with a mixture (``python tests/benchmarks/classes.py --mnist FILE``).
