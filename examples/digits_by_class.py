"""
Digits of a class that is asked for
===================================

X is a label, y an image: `skgen.VAERegressor` draws images of the class. A classifier that knows
real digits only says how many are what was asked for.
"""

# %%
# Data
# ----
# 8 x 8 images. The classifier learns from other images than the model that draws.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from skgen import VAERegressor
from skgen.priors import ConditionalMixture

images, labels = load_digits(return_X_y=True)
Y, Y_other, labels, labels_other = train_test_split(images / 16, labels, random_state=0)
judge = SVC(C=10).fit(Y_other, labels_other)
print(f"The classifier names {judge.score(Y, labels):.1%} of real digits right.")

# %%
# One column of categories
# ------------------------
# A column of dtype category is taken as it is. The codes of the images of a class lie in several
# places, by a mixture, or in one, by a normal distribution.

X = pd.DataFrame({"digit": labels}).astype("category")
settings = {
    "likelihood": "bernoulli", "batch_size": 64, "max_iter": 60, "early_stopping": False,
    "learning_rate": "one-cycle", "learning_rate_init": 0.004, "random_state": 0,
}  # fmt: skip
models = {
    "N(0, I)": VAERegressor(16, prior="standard_normal", **settings),
    "normal": VAERegressor(16, prior="conditional_normal", **settings),
    "mixture": VAERegressor(16, prior=ConditionalMixture(20), **settings),
}
classes = X.iloc[:10].assign(digit=pd.Categorical(range(10)))
draws = {}
for name, model in models.items():
    drawn = model.fit(X, Y).sample_y(classes, 100, observation_noise=False, random_state=0)
    draws[name] = drawn.transpose(0, 2, 1)  # class, draw, pixel
    found = judge.predict(draws[name].reshape(-1, 64)).reshape(10, 100)
    print(f"{name:8s} {np.mean(found == np.arange(10)[:, None]):.1%} of the draws are as asked")

# %%
# What they look like
# -------------------
# Ten draws of each class, in rows, beside ten images of it: they differ as real digits do.

real = np.stack([Y[labels == digit][:10] for digit in range(10)])
fig, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
shown = {"normal": draws["normal"], "mixture": draws["mixture"], "real digits": real}
for ax, (name, rows) in zip(axes, shown.items(), strict=True):
    tiles = rows[:, :10].reshape(10, 10, 8, 8).transpose(0, 2, 1, 3).reshape(80, 80)
    ax.imshow(tiles, cmap="gray_r", vmin=0, vmax=1)
    ax.set_title(name)
    ax.set_axis_off()
plt.show()

# %%
# On 28 x 28 digits the prior decides more: ``python tests/benchmarks/classes.py --mnist FILE``.
