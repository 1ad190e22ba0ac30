"""
A stream with drift, and forgetting
===================================

``partial_fit`` gives all rows the same weight, however old they are. If the relation changes, old
rows mislead. With ``forgetting`` below 1 each new row discounts the weight of all rows before it,
and the intervals are right again. The stream itself shows which value is best, because each batch
is predicted before it is learned.
"""

# %%
# A sine that starts to move
# --------------------------
# The data arrive in batches of ten readings. In the first hundred batches they follow a fixed sine;
# after that the sine moves by half a period per hundred batches.

import matplotlib.pyplot as plt
import numpy as np

from skgen import BayesianBasisRegressor, GaussianBasis
from skgen.plotting import PredictiveDisplay

N_BATCHES, N_ROWS, START = 300, 10, 100


def truth(x: np.ndarray | float, batch: np.ndarray | int) -> np.ndarray:
    moved = np.maximum(0, batch - START) / 200  # periods
    return np.sin(2 * np.pi * (x - moved))


rng = np.random.default_rng(0)
X = rng.uniform(size=(N_BATCHES, N_ROWS, 1))
y = np.array([truth(x[:, 0], batch) for batch, x in enumerate(X)])
y += 0.2 * rng.normal(size=y.shape)

# %%
# Predict, then learn
# -------------------
# Each batch is predicted before it is learned, so every row is a held-out row. The precisions of
# prior and noise are learned along the way.

PLACE = 0.25


def run(forgetting: float) -> tuple[BayesianBasisRegressor, np.ndarray, np.ndarray, np.ndarray]:
    """Learn the stream: the last model, and what it said of each batch before it learned it."""
    model = BayesianBasisRegressor(GaussianBasis(9, domain=(0, 1)), forgetting=forgetting)
    model.partial_fit(X[0], y[0])
    densities, inside, at_place = [], [], []
    for rows, targets in zip(X[1:], y[1:], strict=True):
        densities.append(model.log_predictive_density(rows, targets).sum())
        low, high = model.predict_interval(rows, 0.95).T
        inside.append((low < targets) & (targets < high))
        at_place.append((*model.predict([[PLACE]]), *model.predict_interval([[PLACE]], 0.95)[0]))
        model.partial_fit(rows, targets)
    return model, np.array(densities), np.array(inside), np.array(at_place)


runs = {forgetting: run(forgetting) for forgetting in (1.0, 0.997, 0.99, 0.98, 0.97, 0.95, 0.9)}

# %%
# The score of a model is the sum of the log densities of all batches. Before the drift, forgetting
# lowers it. During the drift, forgetting raises it, most with a factor of 0.97, which halves the
# weight of a row within 23 rows. With much smaller factors too few rows are left for the weights.
# Coverage alone cannot compare the models, because intervals that are wide enough cover everything.

print("            half the     log density (nats)          95 % intervals have")
print("forgetting  weight in    before drift   in drift     before drift   in drift")
for forgetting, (_model, densities, inside, _at_place) in runs.items():
    half = f"{np.log(0.5) / np.log(forgetting):.0f} rows" if forgetting < 1 else "never"
    print(
        f"{forgetting:10}{half:>11}{densities[:START].sum():15.0f}{densities[START:].sum():12.0f}"
        f"{inside[:START].mean():15.1%}{inside[START:].mean():13.1%}"
    )
best = max(runs, key=lambda forgetting: runs[forgetting][1].sum())
print(f"largest sum: forgetting={best}")

# %%
# Through time
# ------------
# The figure shows intervals at one value of x. Without forgetting the mean follows the average of
# all sines so far; the intervals widen, as the noise seems to grow, and still miss the readings.

batches = np.arange(1.0, N_BATCHES)
batch, row = np.nonzero(np.abs(X[..., 0] - PLACE) < 0.03)
figure, axes = plt.subplots(
    2, 1, figsize=(6.4, 6.6), layout="constrained", sharex=True, sharey=True
)
for forgetting, ax in zip((1.0, best), axes, strict=True):
    mean, low, high = runs[forgetting][3].T
    PredictiveDisplay(
        feature_values=batches,
        mean=mean,
        lower=low[:, None],
        upper=high[:, None],
        coverage=[0.95],
        x=batch.astype(float),
        y=y[batch, row],
        target_name=f"y at x = {PLACE}",
    ).plot(ax, scatter_kw={"ms": 2, "label": "readings"})
    ax.plot(batches, truth(PLACE, batches), "--", color="#009E73", label="truth")
    ax.set(xlabel="batch", title=f"forgetting = {forgetting}")
    ax.label_outer()
    ax.get_legend().remove()
_ = figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=4)

# %%
# At the end
# ----------
# Both models after the last batch, with the last fifty readings.

grid = np.linspace(0, 1, 200)
figure, axes = plt.subplots(1, 2, figsize=(7, 3.9), layout="constrained", sharey=True)
for forgetting, ax in zip((1.0, best), axes, strict=True):
    PredictiveDisplay.from_estimator(
        runs[forgetting][0], X[-5:].reshape(-1, 1), y[-5:].ravel(), grid=grid, ax=ax
    )
    ax.plot(grid, truth(grid, N_BATCHES), "--", color="#009E73", label="truth")
    ax.set_title(f"forgetting = {forgetting}")
    ax.label_outer()
    ax.get_legend().remove()
_ = figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=3)
