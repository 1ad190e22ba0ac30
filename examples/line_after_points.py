"""
The line after 0, 1, 2 and 20 points
====================================

A line has two weights, an intercept and a slope. Before any data the prior says which values are
probable; each point multiplies it by a likelihood, and the posterior narrows around the truth
(Bishop, Pattern Recognition and Machine Learning, figure 3.7).
"""

# %%
# Points on a line
# ----------------
# Twenty points on the line of intercept -0.3 and slope 0.5, with noise of standard deviation 0.2,
# which is a precision of 25.

import matplotlib.pyplot as plt
import numpy as np

from skgen import BayesianBasisRegressor
from skgen.plotting import PosteriorDisplay

true_weights = np.array([-0.3, 0.5])
rng = np.random.default_rng(8)
X = rng.uniform(-1, 1, size=(20, 1))
y = true_weights[0] + true_weights[1] * X[:, 0] + 0.2 * rng.normal(size=20)

# %%
# One batch after the other
# -------------------------
# Both precisions are given, so the model can draw lines before it has seen a point.
# ``partial_fit`` then takes the points as they come: the posterior of one batch is the prior of
# the next.

model = BayesianBasisRegressor("identity", prior_precision=2.0, noise_precision=25.0)
figure, axes = plt.subplots(4, 2, figsize=(7, 12), layout="constrained")
spreads = {}
seen = 0
for n_points, row in zip((0, 1, 2, 20), axes, strict=True):
    if n_points:
        model.partial_fit(X[seen:n_points], y[seen:n_points])
        spreads[n_points] = np.sqrt(np.diag(model.covariance_))
    seen = n_points
    PosteriorDisplay.from_estimator(
        model,
        X[:n_points] if n_points else X,
        y[:n_points] if n_points else None,
        true_weights=true_weights,
        grid=np.linspace(-1, 1, 50),
        random_state=0,
        ax=row,
    )
    row[0].set(xlim=(-1.5, 1.5), ylim=(-1.5, 1.5), xlabel="intercept $w_0$", ylabel="slope $w_1$")
    row[1].set(ylim=(-1.5, 1.5), title=f"{n_points} point" + "s" * (n_points != 1))
    row[0].get_legend().remove()
_ = figure.legend(*row[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)

# %%
# Left is the density of the two weights, with the true ones as a cross; right are six lines drawn
# from it. One point fixes the height of the line at one place, so intercept and slope become
# correlated: a ridge. Two points that are apart determine the line, twenty determine it well.

for n_points, (intercept, slope) in spreads.items():
    print(f"after {n_points:2}: intercept ± {intercept:.2f}, slope ± {slope:.2f}")

# %%
# By hand, and all at once
# ------------------------
# With precisions ``a`` and ``b`` the posterior has the covariance ``S = (a I + b Phi' Phi)^-1``
# and the mean ``b S Phi' y`` (Bishop eqs 3.53-3.54). The twenty points at once give the same as
# three batches.

Phi = np.column_stack([np.ones(len(X)), X])
S = np.linalg.inv(2.0 * np.eye(2) + 25.0 * Phi.T @ Phi)
by_hand = 25.0 * S @ Phi.T @ y
at_once = BayesianBasisRegressor("identity", prior_precision=2.0, noise_precision=25.0).fit(X, y)

for name, intercept, slope in (
    ("in batches", model.intercept_, model.coef_[0]),
    ("at once", at_once.intercept_, at_once.coef_[0]),
    ("by hand", *by_hand),
    ("true", *true_weights),
):
    print(f"{name:10}  intercept {intercept:.12f}  slope {slope:.12f}")

assert np.allclose(model.covariance_, S, rtol=1e-10)
