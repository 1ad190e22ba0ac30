"""
Calibration: how often intervals hold
=====================================

A 95 % interval should contain 95 % of new observations. This example counts how many held-out
patients lie in their intervals, for skgen and for scikit-learn's ``BayesianRidge``, after fits to
several hundred rows and to eight.
"""

# %%
# Diabetes
# --------
# The data are 442 patients with ten features; the target is the progression of the disease a year
# later.

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import t
from sklearn.datasets import load_diabetes
from sklearn.linear_model import BayesianRidge
from sklearn.model_selection import KFold, ShuffleSplit

from skgen import BayesianBasisRegressor
from skgen.plotting import CalibrationDisplay

X, y = load_diabetes(return_X_y=True)

# %%
# Every patient is held out once
# ------------------------------
# Ten folds, each predicted by a model that was fitted to the other nine. What is kept of each
# patient are the target, the predictive mean and standard deviation, and the degrees of freedom of
# the predictive distribution: our model's is a Student-t, BayesianRidge's a normal one, for which
# they are infinite.


def predictions(model: Any, X: np.ndarray, splits: KFold | ShuffleSplit) -> np.ndarray:
    """Targets, means, standard deviations and degrees of freedom of the rows held out."""
    parts = []
    for train, test in splits.split(X):
        mean, std = model.fit(X[train], y[train]).predict(X[test], return_std=True)
        df = getattr(model, "degrees_of_freedom_", np.inf)
        parts.append((y[test], mean, std, np.full(len(test), df)))
    return np.hstack(parts)


def coverage(rows: np.ndarray, level: float) -> float:
    """Share of targets inside the central interval of probability ``level``."""
    target, mean, std, df = rows
    half = std * np.sqrt(1 - 2 / df) * t.ppf((1 + level) / 2, df)  # a Student-t of deviation std
    return float(np.mean(np.abs(target - mean) <= half))


def draw(held_out: dict[str, np.ndarray]) -> None:
    """Calibration of each model, one a row of panels."""
    _, axes = plt.subplots(2, 2, figsize=(7, 6.6), layout="constrained")
    for (name, rows), panels in zip(held_out.items(), axes, strict=True):
        target, mean, std, df = rows
        CalibrationDisplay.from_predictions(
            target, mean, std, degrees_of_freedom=df, name=name, ax=panels
        )


models = {"skgen": BayesianBasisRegressor(), "BayesianRidge": BayesianRidge()}
folds = KFold(10, shuffle=True, random_state=0)
held_out = {name: predictions(model, X, folds) for name, model in models.items()}
print(f"{'intervals of':15}" + "".join(f"{level:8.0%}" for level in (0.5, 0.8, 0.95)))
for name, rows in held_out.items():
    shares = [coverage(rows, level) for level in (0.5, 0.8, 0.95)]
    print(f"{name:15}" + "".join(f"{share:8.1%}" for share in shares))

# %%
# The probability integral transform (PIT) of a target is the predictive probability of values below
# it. The histogram of PITs is flat if all quantiles are right. The curve beside it follows the
# diagonal if intervals contain the share of targets that they should. Calibrated models stay in the
# grey bands with a probability of 95 %. With 400 rows both models are calibrated, except that the
# middle intervals of ``BayesianRidge`` are a little too short.

draw(held_out)

# %%
# Eight rows
# ----------
# Both models now have the same four features and straight lines in them, and learn from eight
# patients that were drawn by chance. Eight rows say little about the precisions of noise and
# weights. ``BayesianRidge`` takes the best ones as if they were known, and leaves the intercept out
# of its standard deviation. `skgen.BayesianBasisRegressor` averages over the precisions.

few = X[:, [2, 3, 8, 9]]  # body mass index, blood pressure, triglycerides, blood sugar
models = {"skgen, lines": BayesianBasisRegressor("identity"), "BayesianRidge": BayesianRidge()}


def drawn(n_rows: int) -> ShuffleSplit:
    return ShuffleSplit(200, train_size=n_rows, test_size=50, random_state=0)


held_out = {name: predictions(model, few, drawn(8)) for name, model in models.items()}
draw(held_out)

# %%
# The U shape shows that the intervals of ``BayesianRidge`` are too narrow. Those of skgen hold.
# (The 200 draws share their patients, so the grey bands, which count them as independent, are too
# narrow here.)
#
# The table has more rows, too, and all ten features. Eleven weights from eight rows are too
# many for either.

print("features  rows  " + "".join(f"{name + ', 50% and 95%':>32}" for name in models))
for table in (few, X):
    for n_rows in (8, 16, 30):
        line = f"{table.shape[1]:8}{n_rows:6}  "
        for model in models.values():
            rows = predictions(model, table, drawn(n_rows))
            line += f"{coverage(rows, 0.5):22.1%} and {coverage(rows, 0.95):.1%}"
        print(line)
