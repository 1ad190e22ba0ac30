"""
Heteroscedastic noise: intervals that follow the noise
======================================================

Noise is seldom the same everywhere. With constant noise, 95 % intervals are right on average, too
wide where the noise is small and too narrow where it is large. `skgen.BayesianBasisRegressor`
learns the noise as a function of the features, where that makes left-out rows more probable.
"""

# %%
# Noise that grows, and a gap
# ---------------------------
# The standard deviation of the noise rises from 0.05 to 0.65, and there is no point between 5 and
# 7, nor beyond 10.

import matplotlib.pyplot as plt
import numpy as np

from skgen import BayesianBasisRegressor
from skgen.plotting import PredictiveDisplay


def measure(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.sin(1.5 * x) + (0.05 + 0.06 * x) * rng.normal(size=x.shape)


rng = np.random.default_rng(0)
x = np.concatenate([rng.uniform(0, 5, 150), rng.uniform(7, 10, 90)])
X, y = x[:, None], measure(x, rng)

# %%
# Constant, and learned
# ---------------------
# ``noise="auto"``, the default, compares both, and chooses the noise that depends on x here. In the
# gap and beyond the data the bands show how uncertain the function is.

models = {name: BayesianBasisRegressor(noise=name).fit(X, y) for name in ("constant", "auto")}
figure, axes = plt.subplots(1, 2, figsize=(7, 3.9), layout="constrained", sharey=True)
for ax, (name, model) in zip(axes, models.items(), strict=True):
    display = PredictiveDisplay.from_estimator(model, X, y, grid=np.linspace(0, 12, 300), ax=ax)
    display.points_.set_markersize(2.5)
    ax.set_title(f'noise="{name}"')
    ax.get_legend().remove()
axes[1].set_ylabel("")
_ = figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %%
# Coverage where the noise is small, and where it is large
# --------------------------------------------------------
# Shares of 10,000 new points inside their 95 % intervals, by where they are.

new = np.concatenate([rng.uniform(0, 5, 5000), rng.uniform(7, 10, 5000)])
target = measure(new, rng)
print("noise=       " + "".join(f"{place:>12}" for place in ("0 to 2", "2 to 5", "7 to 10", "all")))
for name, model in models.items():
    low, high = model.predict_interval(new[:, None]).T
    inside = (low < target) & (target < high)
    places = [new < 2, (new >= 2) & (new < 5), new >= 7, new >= 0]
    print(f"{name:13}" + "".join(f"{inside[place].mean():12.1%}" for place in places))
for name, model in models.items():
    density = model.log_predictive_density(new[:, None], target).mean()
    print(f"log density of a new point, {name} noise: {density:.3f} nats")
