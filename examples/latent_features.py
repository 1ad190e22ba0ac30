"""
Latent means as features of a classifier
========================================

The autoencoder is a transformer, so a pipeline can pass its latent means to a classifier, and a
grid search can choose the number of dimensions by the accuracy. This helps where labels are few.
"""

# %%
# Many digits, few labels
# -----------------------
# The autoencoder is fitted to all digits; only a hundred of them have labels.

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline

from skgen import VAETransformer

X, y = load_digits(return_X_y=True)
X = X / 16
X_labelled, X_rest, y_labelled, y_rest = train_test_split(
    X, y, train_size=100, stratify=y, random_state=0
)

# %%
# Choose the dimensions
# ---------------------
# Each model is fitted to all digits once, and frozen: cross-validation fits the classifier only.

dimensions = [2, 4, 8, 16]
models: dict[str, Callable[[int], Any]] = {
    "latent means": lambda k: VAETransformer(
        k, likelihood="continuous_bernoulli", max_iter=40, random_state=0
    ),
    "PCA": lambda k: PCA(k, random_state=0),
}
accuracy = {}
for name, build in models.items():
    search = GridSearchCV(
        Pipeline([("features", None), ("classifier", KNeighborsClassifier(3))]),
        {"features": [FrozenEstimator(build(k).fit(X)) for k in dimensions]},
        cv=5,
    ).fit(X_labelled, y_labelled)
    accuracy[name] = [
        search.estimator.set_params(features=features)
        .fit(X_labelled, y_labelled)
        .score(X_rest, y_rest)
        for features in search.param_grid["features"]
    ]
    chosen = dimensions[int(np.argmax(search.cv_results_["mean_test_score"]))]
    print(f"{name}: {chosen} dimensions, accuracy on the others {search.score(X_rest, y_rest):.1%}")

# %%
# Comparison with PCA
# -------------------
# The figure shows the accuracy on the digits whose labels were not used. Two or four latent means
# give a better accuracy than as many principal components; with sixteen, PCA is better.

figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for (name, values), color, style in zip(
    accuracy.items(), ("#0072B2", "#E69F00"), ("o-", "s--"), strict=True
):
    ax.plot(dimensions, values, style, color=color, label=name)
ax.set(xlabel="dimensions", ylabel="accuracy on other digits", xscale="log", xticks=dimensions)
ax.set_xticks(dimensions, [str(k) for k in dimensions])
ax.minorticks_off()
ax.legend()
