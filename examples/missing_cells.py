"""
Missing values, filled in many times
====================================

A hole in a table has no single right value. `skgen.VAETransformer` draws values for it from their
distribution given the rest of the row, so that what is computed from completed tables has the
right uncertainty.
"""

# %%
# Wine with holes
# ---------------
# Thirteen measurements of 178 wines, of which three in ten are hidden. What is hidden is known
# here, so what is filled in can be compared with it.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_wine
from sklearn.impute import SimpleImputer

from skgen import VAETransformer

wine = load_wine(as_frame=True).data
hidden = np.random.default_rng(0).random(wine.shape) < 0.3
holes = wine.mask(hidden)
vae = VAETransformer(
    3, hidden_layer_sizes=(64,), masking=0.1, max_iter=150, random_state=0
).fit(holes)  # fmt: skip

# %%
# One guess
# ---------
# ``impute`` gives the mean of each missing cell given the observed ones of its row. Errors are in
# standard deviations of each column; those of the column's mean are about 1.

spread = wine.std().to_numpy()
guesses = {
    "mean of the column": SimpleImputer().fit_transform(holes),
    "VAETransformer.impute": vae.impute(holes),
}
for name, table in guesses.items():
    error = ((table - wine.to_numpy()) / spread)[hidden]
    print(f"{name:22} root mean square error {np.sqrt(np.mean(error**2)):.2f}")

# %%
# Many imputations
# ----------------
# A hundred completed tables. For each hidden cell of one column: the truth, the mean, and the range
# that holds 90 % of the draws, by the mean.

draws = vae.sample(100, given=holes, random_state=0).reshape(100, *wine.shape)
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
figure, axes = plt.subplots(1, 2, figsize=(8, 4), layout="constrained")
for ax, name in zip(axes, ("flavanoids", "proline"), strict=True):
    column = wine.columns.get_loc(name)
    rows = np.flatnonzero(hidden[:, column])
    rows = rows[np.argsort(guesses["VAETransformer.impute"][rows, column])]
    place = np.arange(len(rows))
    ax.vlines(place, low[rows, column], high[rows, column], color="#56B4E9", lw=3, label="90 %")
    mean = guesses["VAETransformer.impute"][rows, column]
    ax.plot(place, mean, color="#0072B2", label="imputed mean")
    ax.plot(place, wine.to_numpy()[rows, column], "k.", label="what was hidden")
    ax.set(xlabel="hidden cells, by imputed mean", ylabel=name)
axes[0].legend()
truth = wine.to_numpy()[hidden]
inside = (low[hidden] <= truth) & (truth <= high[hidden])
print(f"of all {hidden.sum()} hidden cells {inside.mean():.1%} are inside")
