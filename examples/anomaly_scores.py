"""
Anomaly scores and a threshold
==============================

``score_samples`` estimates log p(x) of each row. Rows of low density are anomalies. Here the model
is fitted to benign tumours only, and malignant tumours have low densities.
"""

# %%
# Learn what is normal
# --------------------
# The data are thirty measurements of each tumour, in very different units. The model standardizes
# them itself. Half of the benign tumours are used to fit it, a quarter to choose the threshold, and
# a quarter, with all malignant ones, to test it.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import VAETransformer
from skgen.likelihoods import Gaussian

data = load_breast_cancer(as_frame=True)
X, malignant = data.data, data.target == 0
X_train, X_rest = train_test_split(X[~malignant], test_size=0.5, random_state=0)
X_threshold, X_benign = train_test_split(X_rest, test_size=0.5, random_state=0)
X_test = np.vstack([X_benign, X[malignant]])
is_malignant = np.repeat([False, True], [len(X_benign), malignant.sum()])

vae = VAETransformer(5, likelihood=Gaussian("feature"), max_iter=200, random_state=0)
vae.fit(X_train.to_numpy())

# %%
# Score, and choose a threshold
# -----------------------------
# Scores are log densities in nats, in the units of the data. A row counts as an anomaly if its
# score is lower than that of 90 % of further benign rows. The rows of ``fit`` would give too high a
# threshold, because the model knows them.

scores = vae.score_samples(X_test)
threshold = np.quantile(vae.score_samples(X_threshold.to_numpy()), 0.1)
for name, rows in (("benign", ~is_malignant), ("malignant", is_malignant)):
    print(f"{np.mean(scores[rows] < threshold):.0%} of the {name} tumours are below the threshold")

# %%
# The first bar holds all lower scores too.

figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
bins = np.linspace(-200, scores.max(), 40)
for kind, color, label in ((False, "#0072B2", "benign"), (True, "#E69F00", "malignant")):
    shown = np.maximum(scores[is_malignant == kind], bins[0])
    ax.hist(shown, bins.tolist(), color=color, alpha=0.7, label=label)
ax.axvline(threshold, color="black", ls="--", label="threshold")
ax.set(xlabel="log density, nats per row", ylabel="held-out tumours")
ax.legend()

# %%
# Area under the ROC curve
# ------------------------
# A mixture of Gaussians of the standardized columns is the comparison. Neither model has seen the
# labels.

mixture = make_pipeline(StandardScaler(), GaussianMixture(2, reg_covar=1e-3, random_state=0))
mixture.fit(X_train.to_numpy())
for name, log_density in (("VAE", scores), ("Gaussian mixture", mixture.score_samples(X_test))):
    print(f"{name:17}{roc_auc_score(is_malignant, -log_density):.3f}")
