"""
Which rows are unlike the rest?
===============================

``score_samples`` is an estimate of log p(x) for each row. Rows of low density are anomalies: cells
of malignant tumours, to a model that has seen benign ones only.
"""

# %%
# Learn what is normal
# --------------------
# Thirty measurements a tumour, of very different size. They are standardised inside, so they go in
# as they are. Half of the benign ones are held out.

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
X_train, X_benign = train_test_split(X[~malignant], test_size=0.5, random_state=0)
X_test = np.vstack([X_benign, X[malignant]])
is_malignant = np.repeat([False, True], [len(X_benign), malignant.sum()])

vae = VAETransformer(5, likelihood=Gaussian("feature"), max_iter=200, random_state=0)
vae.fit(X_train.to_numpy())

# %%
# Score
# -----
# Log densities in nats, in the units of the data. The further left, the stranger.

scores = vae.score_samples(X_test)
figure, ax = plt.subplots(figsize=(6.5, 4), layout="constrained")
low, high = np.quantile(scores, [0.02, 1])
bins = np.linspace(low, high, 40).tolist()
for kind, color, label in ((False, "#0072B2", "benign"), (True, "#E69F00", "malignant")):
    ax.hist(scores[is_malignant == kind], bins, color=color, alpha=0.7, label=label)
ax.set(xlabel="log density, nats per row", ylabel="held-out tumours")
ax.legend()

# %%
# How well does it tell them apart?
# ---------------------------------
# Area under the ROC curve, beside a mixture of Gaussians on standardised columns. Labels were not
# used by either.

mixture = make_pipeline(StandardScaler(), GaussianMixture(2, reg_covar=1e-3, random_state=0))
mixture.fit(X_train.to_numpy())
for name, log_density in (("VAE", scores), ("Gaussian mixture", mixture.score_samples(X_test))):
    print(f"{name:17}{roc_auc_score(is_malignant, -log_density):.3f}")
