"""
New rows of a table
===================

A table has numbers, categories, columns that are 0 in most rows, and missing cells.
`skgen.VAETransformer` is fitted to the data frame and draws new rows with the same columns and
categories, which also keep the dependences between the columns.
"""

# %%
# A table of patients
# -------------------
# The table is simulated, so its dependences are known: only smokers have cigarettes, and their
# bilirubin is higher. A tenth of the cells is missing.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skgen import VAETransformer

NAMES, COLORS = ("data", "draws"), ("#0072B2", "#E69F00")
rng = np.random.default_rng(0)
n_rows = 1500
smoker = rng.random(n_rows) < 0.3
X = pd.DataFrame(
    {
        "age": rng.integers(20, 80, n_rows),
        "smoker": pd.Categorical(np.where(smoker, "yes", "no")),
        "cigarettes": np.where(smoker, rng.poisson(12, n_rows), 0),
        "bilirubin": np.round(rng.lognormal(0.3 + smoker, 0.5), 1),
    }
)
X = X.mask(rng.random(X.shape) < 0.1)

# %%
# Fit, and draw
# -------------
# ``likelihood="from_dtype"`` gives each column a distribution of its kind; the prior of the latent
# codes is a mixture that is learned.

vae = VAETransformer(4, likelihood="from_dtype", prior="mixture", max_iter=60, random_state=0)
draws = vae.fit(X).sample(n_rows, random_state=0)
assert isinstance(draws, pd.DataFrame)
print(draws.head(4))

# %%
# Distributions of single columns
# -------------------------------

figure, axes = plt.subplots(2, 2, figsize=(7, 5.6), layout="constrained")
for ax, name in zip(axes.flat, X, strict=True):
    column = X[name].dropna()
    if name == "smoker":
        shares = [table[name].value_counts(normalize=True)[["no", "yes"]] for table in (X, draws)]
        for shift, share, color, label in zip((-0.2, 0.2), shares, COLORS, NAMES, strict=True):
            ax.bar(np.arange(2) + shift, share, 0.4, color=color, label=label)
        ax.set_xticks([0, 1], ["no", "yes"])
    else:
        bins = np.linspace(column.min(), column.quantile(0.995), 16)
        ax.hist([column, draws[name]], bins, density=True, color=COLORS)
    ax.set_xlabel(name)
axes[0, 0].set_ylabel("density")
axes[1, 0].set_ylabel("density")
axes[0, 1].set_ylabel("share")
_ = axes[0, 1].legend()

# %%
# Dependences between columns
# ---------------------------
# In the data non-smokers have no cigarettes, and smokers have nearly three times the bilirubin of
# others.

for name, table in zip(NAMES, (X, draws), strict=True):
    by = table.groupby("smoker", observed=True)
    with_cigarettes = (table.loc[table["smoker"] == "no", "cigarettes"] > 0).mean()
    ratio = by["bilirubin"].median()["yes"] / by["bilirubin"].median()["no"]
    print(f"{name:6} not smokers, with cigarettes {with_cigarettes:.1%}; ", end="")
    print(f"bilirubin of smokers over that of others {ratio:.1f}")
