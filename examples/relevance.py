"""
Relevance of features, and permutation importance
=================================================

The regressor learns one length scale for each feature from the evidence. A feature that the
function does not depend on gets a long length scale. This needs no held-out rows and no grid
search, because the evidence has a gradient.
"""

# %%
# Five relevant features, and five that have no effect
# ----------------------------------------------------
# Friedman's function is ``10 sin(pi x0 x1) + 20 (x2 - 0.5)^2 + 10 x3 + 5 x4`` and noise of standard
# deviation 1; x5 to x9 do nothing. Half of the rows are held out, to check.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_friedman1
from sklearn.inspection import permutation_importance
from sklearn.model_selection import train_test_split

from skgen import BayesianBasisRegressor, FourierBasis, mean_log_predictive_density
from skgen.plotting import PredictiveDisplay

X, y = make_friedman1(n_samples=1000, n_features=10, noise=1.0, random_state=1)
X, X_test, y, y_test = train_test_split(X, y, test_size=0.5, random_state=0)

# %%
# Length scales from the evidence
# -------------------------------
# With one fixed length scale for all features, the evidence is far smaller and predictions are
# worse.

model = BayesianBasisRegressor(FourierBasis(300, random_state=0)).fit(X, y)
fixed = FourierBasis(300, length_scale=None, random_state=0)
blind = BayesianBasisRegressor(fixed).fit(X, y)
print("length scales      evidence (nats)   R² held out   log density held out (nats each)")
for name, fitted in (("from the evidence", model), ("given, all equal", blind)):
    print(
        f"{name:17}{fitted.log_marginal_likelihood_:15.0f}{fitted.score(X_test, y_test):15.3f}"
        f"{mean_log_predictive_density(fitted, X_test, y_test):18.3f}"
    )
print(f"noise: standard deviation {model.noise_precision_**-0.5:.2f}")
print(f"weights determined by the data: {model.n_effective_params_:.0f} of {len(model.coef_) + 1}")

# %%
# Relevance, and importance
# -------------------------
# ``relevance_`` is the standard deviation of a feature over its length scale. It measures how much
# the function bends along the feature, so it is near 0 if the effect is linear or if there is none.
# Permutation importance tells these apart: it is the fall of R² of held-out rows when the feature
# is shuffled.

importance = permutation_importance(model, X_test, y_test, n_repeats=10, random_state=0)
names = [f"$x_{index}$" for index in range(X.shape[1])]
figure, axes = plt.subplots(1, 2, figsize=(7, 4), layout="constrained", sharey=True)
axes[0].barh(names, model.basis_.relevance_, color="#0072B2")
axes[0].set(xlabel="relevance", ylabel="feature")
axes[1].barh(names, importance.importances_mean, color="#E69F00")
axes[1].set(xlabel="permutation importance\n(fall of R²)")
axes[0].invert_yaxis()

for index, (relevance, fall) in enumerate(
    zip(model.basis_.relevance_, importance.importances_mean, strict=True)
):
    print(f"x{index}  relevance {relevance:.2f}  importance {fall:z5.2f}")

# %%
# The function itself
# -------------------
# The figure shows predictions along four features, with the others at their medians: the effect of
# two is curved, of one linear, and one has none. The bands are intervals of new observations.


def friedman(x: np.ndarray) -> np.ndarray:
    sines = 10 * np.sin(np.pi * x[:, 0] * x[:, 1])
    return np.asarray(sines + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4])


grid = np.linspace(0, 1, 100)
figure, axes = plt.subplots(2, 2, figsize=(7, 6.4), layout="constrained", sharey=True)
for index, ax in zip((0, 2, 3, 7), axes.flat, strict=True):
    PredictiveDisplay.from_estimator(model, X, feature=index, grid=grid, ax=ax)
    rows = np.tile(np.median(X, axis=0), (len(grid), 1))
    rows[:, index] = grid
    ax.plot(grid, friedman(rows), "--", color="#009E73", lw=2, label="truth")
    ax.get_legend().remove()
for ax in axes[:, 1]:
    ax.set_ylabel("")  # that of the left column
_ = figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)
