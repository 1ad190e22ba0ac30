"""
Nine Gaussians after 1, 2, 4 and 25 points
==========================================

A curve from nine basis functions: the predictive distribution is narrow where there are points and
wide where there are none, and functions drawn from the posterior agree at the points and differ
between them (Bishop, Pattern Recognition and Machine Learning, figures 3.8 and 3.9).
"""

# %%
# A noisy sine
# ------------
# Twenty-five points of a sine, with noise of standard deviation 0.2.

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen.plotting import PredictiveDisplay

rng = np.random.default_rng(1)
X = rng.uniform(size=(25, 1))
y = np.sin(2 * np.pi * X[:, 0]) + 0.2 * rng.normal(size=25)
grid = np.linspace(0, 1, 200)

# %%
# The basis
# ---------
# Nine Gaussians, evenly over the unit interval. A basis with a ``domain`` does not depend on
# the data, so it is the same for every batch.

basis = GaussianBasis(9, domain=(0, 1))
figure, ax = plt.subplots(figsize=(6.4, 3), layout="constrained")
ax.plot(grid, basis.fit(X).transform(grid[:, None]), color="#0072B2")
_ = ax.set(xlabel="x", ylabel="basis functions")

# %%
# Predictive distribution
# -----------------------
# ``partial_fit`` adds the points; the precisions of prior and noise are given. The bands contain a
# new observation with a probability of 50 % and 95 %.


def draw(**keywords: Any) -> BayesianBasisRegressor:
    """What is predicted after 1, 2, 4 and 25 points; the model after all of them."""
    figure, axes = plt.subplots(
        2, 2, figsize=(7, 6.6), layout="constrained", sharex=True, sharey=True
    )
    model = BayesianBasisRegressor(basis, prior_precision=2.0, noise_precision=25.0)
    seen = 0
    for n_points, ax in zip((1, 2, 4, 25), axes.flat, strict=True):
        model.partial_fit(X[seen:n_points], y[seen:n_points])
        seen = n_points
        PredictiveDisplay.from_estimator(
            model, X[:n_points], y[:n_points], grid=grid, ax=ax, **keywords
        )
        ax.plot(grid, np.sin(2 * np.pi * grid), "--", color="#009E73", label="truth")
        ax.set(title=f"points: {n_points}", ylim=(-2.6, 2.6))
        ax.label_outer()
        ax.get_legend().remove()
    figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return model


model = draw()

# %%
# Draws of functions
# ------------------
# ``sample_y`` draws all weights jointly, so each draw is one smooth function; ``n_draws`` adds
# some to the picture. They are draws of the function behind the points, without noise.

model = draw(coverage=0.95, n_draws=6, random_state=0)

# %%
# Between the points, and beyond them
# -----------------------------------
# The standard deviation of the mean is small near the points. Far beyond the unit interval all
# Gaussians are zero, so only the uncertainty of the intercept is left, which is too small (Bishop,
# page 159). Functions of `skgen.FourierBasis` have the same prior variance everywhere, so their
# standard deviation grows again away from the points.

waves = BayesianBasisRegressor(
    FourierBasis(length_scale=0.2, random_state=0), prior_precision=1.0, noise_precision=25.0
).fit(X, y)
places = np.array([[0.0], [0.25], [0.5], [1.0], [1.25], [1.5], [2.0]])
print("  x    Gaussians     waves   (standard deviations of the mean, without noise)")
for place in places:
    doubts = [
        np.sqrt(fitted.predict([place], return_std=True)[1][0] ** 2 - 0.2**2)
        for fitted in (model, waves)
    ]
    print("{:4.2f}{:11.2f}{:11.2f}".format(place[0], *doubts))

# %%
# Precisions from the data
# ------------------------
# By default both precisions are those of largest evidence, and how uncertain they are widens the
# bands: the predictive distribution is a Student-t.

learned = BayesianBasisRegressor(basis).fit(X, y)
print(
    f"noise: {learned.noise_precision_**-0.5:.2f}, weights: {learned.prior_precision_**-0.5:.2f}\n"
    f"weights determined by the data: {learned.n_effective_params_:.1f} of "
    f"{len(learned.coef_) + 1}\n"
    f"evidence: {learned.log_marginal_likelihood_:.1f} nats, "
    f"{learned.log_marginal_likelihood(2.0, 25.0):.1f} at the precisions given above"
)
PredictiveDisplay.from_estimator(learned, X, y, grid=grid)
