"""
Missing values: means and multiple imputation
=============================================

A missing cell has no single right value. `skgen.VAETransformer` draws values from their
distribution given the rest of the row. So results that are computed from completed tables have the
right uncertainty.
"""

# %%
# Wine with missing cells
# -----------------------
# The data are thirteen measurements of 178 wines. Three cells in ten are hidden from the model, so
# the imputed values can be compared with the true ones.

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
# Imputation by means
# -------------------
# ``impute`` replaces each missing cell by its mean given the observed cells of the row. Errors are
# in standard deviations of the column; imputation by the column's mean has an error of about 1.

spread = wine.std().to_numpy()
guesses = {
    "mean of the column": SimpleImputer().fit_transform(holes),
    "VAETransformer.impute": vae.impute(holes),
}
for name, table in guesses.items():
    error = ((table - wine.to_numpy()) / spread)[hidden]
    print(f"{name:22} root mean square error {np.sqrt(np.mean(error**2)):.2f}")

# %%
# Multiple imputation
# -------------------
# ``sample`` with ``given`` draws a hundred completed tables. The figure shows, for each hidden cell
# of two columns, the true value, the imputed mean, and the range of 90 % of the draws.

draws = vae.sample(100, given=holes, random_state=0).reshape(100, *wine.shape)
low, high = np.quantile(draws, [0.05, 0.95], axis=0)
figure, axes = plt.subplots(1, 2, figsize=(7, 4), layout="constrained")
for ax, name in zip(axes, ("flavanoids", "proline"), strict=True):
    column = wine.columns.get_loc(name)
    rows = np.flatnonzero(hidden[:, column])
    rows = rows[np.argsort(guesses["VAETransformer.impute"][rows, column])]
    place = np.arange(len(rows))
    label = "90 % of the draws"
    ax.vlines(place, low[rows, column], high[rows, column], color="#56B4E9", lw=3, label=label)
    mean = guesses["VAETransformer.impute"][rows, column]
    ax.plot(place, mean, color="#0072B2", label="imputed mean")
    ax.plot(place, wine.to_numpy()[rows, column], "k.", label="true value")
    ax.set(xlabel="hidden cells, by imputed mean", ylabel=name)
axes[0].legend()
truth = wine.to_numpy()[hidden]
inside = (low[hidden] <= truth) & (truth <= high[hidden])
print(f"{inside.mean():.1%} of {hidden.sum()} hidden cells are in the range of 90 % of the draws")
