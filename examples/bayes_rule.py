"""
Bayes' rule for a coin and for fifty flowers
============================================

The posterior is the prior times the likelihood, divided by the evidence. Here it is worked out by
hand for one unknown number, after 0, 1, 5 and 50 observations: first the probability of heads of
a coin, then the mean length of a petal, for which `skgen.BayesianBasisRegressor` does the same.
"""

# %%
# A coin
# ------
# How probable are heads? Before any flip, the prior is Beta(2, 2): a half is likely, 0 and 1 are
# not. The coin is a bent one, which falls on heads three times in ten.

from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import beta, norm, t
from sklearn.datasets import load_iris

from skgen import BayesianBasisRegressor

flips = np.random.default_rng(0).random(50) < 0.3
counts = (0, 1, 5, 50)

# %%
# By hand, on a grid of 1001 values: multiply the prior by the probability of each flip, and divide
# by the sum. What is divided by is the evidence, the probability of the flips whatever the coin.

heads = np.linspace(0, 1, 1001)
prior = beta.pdf(heads, 2, 2)
prior /= prior.sum()


def posterior_of_coin(flips: np.ndarray) -> np.ndarray:
    likelihood = np.prod([heads if flip else 1 - heads for flip in flips], axis=0)
    joint = prior * likelihood
    return np.asarray(joint / joint.sum())


# %%
# The integral has a closed form: after h heads and t tails, Beta(2 + h, 2 + t). The Beta prior is
# conjugate to flips.

figure, axes = plt.subplots(2, 2, figsize=(7, 6), layout="constrained", sharex=True)
print("flips  heads  probability of heads next  95 % interval  largest error of the grid")
for n, ax in zip(counts, axes.flat, strict=True):
    n_heads = int(flips[:n].sum())
    exact = beta(2 + n_heads, 2 + n - n_heads)
    density = posterior_of_coin(flips[:n]) * 1000  # a density: the values are 1/1000 apart
    error = np.abs(density - exact.pdf(heads)).max()
    low, high = exact.interval(0.95)
    print(f"{n:5}{n_heads:7}{exact.mean():20.2f}{low:16.2f} to {high:.2f}{error:19.0e}")
    ax.fill_between(heads, density, color="#0072B2", alpha=0.35, lw=0)
    ax.plot(heads, density, color="#0072B2", lw=2, label="posterior")
    ax.axvline(0.3, color="#D55E00", ls="--", label="true")
    ax.set(title=f"flips: {n}, heads: {n_heads}", ylim=(0, None), xlim=(0, 1))
for ax in axes[1]:
    ax.set_xlabel("probability of heads")
for ax in axes[:, 0]:
    ax.set_ylabel("density")
_ = axes[1, 1].legend()

# %%
# Five flips, three of them heads, do not tell that this coin is bent, and the posterior is wide.
# Fifty do.

# %%
# Each posterior is the next prior
# --------------------------------
# One flip at a time gives the same as all fifty at once, in whatever order they come. This is what
# ``partial_fit`` does.

belief = prior
for flip in flips[::-1]:
    belief = belief * (heads if flip else 1 - heads)
    belief = belief / belief.sum()
print(f"largest difference: {np.abs(belief - posterior_of_coin(flips)).max():.0e}")

# %%
# One constant: the petal of a setosa
# -----------------------------------
# Fifty flowers of *Iris setosa* were measured (Anderson 1935). Let a petal be ``y = w + noise``,
# where the noise, the spread from flower to flower, has a known standard deviation of 0.2 cm, and
# the mean w is not known: 3 cm, give or take 1 cm. Noise and prior are normal, and so is the
# posterior. Its precision is the sum of the precisions of prior and data, its mean their average
# by precision (Bishop eqs 2.141-2.142).

petals = load_iris().data[:50, 2]
prior_mean, prior_precision, noise_precision = 3.0, 1.0, 1 / 0.2**2


def posterior_of_mean(y: np.ndarray) -> tuple[float, float]:
    precision = prior_precision + len(y) * noise_precision
    mean = (prior_precision * prior_mean + noise_precision * y.sum()) / precision
    return mean, precision**-0.5


# %%
# A constant is a regression on a column of ones. With the same precisions the regressor has the
# same posterior. ``predict`` gives the distribution of the next flower, which includes its noise.

model = BayesianBasisRegressor(
    "identity",
    fit_intercept=False,
    prior_mean=prior_mean,
    prior_precision=prior_precision,
    noise_precision=noise_precision,
)
learned = {0: posterior_of_mean(petals[:0])}
print("flowers  mean, by hand    by the regressor   next flower")
print("      0  {:.3f} ± {:.3f}".format(*learned[0]))
for before, n in pairwise(counts):
    model.partial_fit(np.ones((n - before, 1)), petals[before:n])
    learned[n] = model.coef_[0], model.covariance_[0, 0] ** 0.5
    (mean,), (std,) = model.predict([[1.0]], return_std=True)
    rows = (*posterior_of_mean(petals[:n]), *learned[n], mean, std)
    print("{:7}  {:.3f} ± {:.3f}    {:.3f} ± {:.3f}      {:.3f} ± {:.3f}".format(n, *rows))

# %%
# The precision of one flower is 25 times that of the prior, so a prior mean that is 1.5 cm off has
# little influence after a few flowers.

length = np.linspace(0.5, 5, 901)
figure, ax = plt.subplots(figsize=(6.4, 4), layout="constrained")
styles = zip((":", "-.", "--", "-"), ("#7F7F7F", "#E69F00", "#009E73", "#0072B2"), strict=True)
for (n, (mean, std)), (dashes, color) in zip(learned.items(), styles, strict=True):
    label = f"flowers: {n}" if n else "prior"
    ax.plot(length, norm.pdf(length, mean, std), dashes, color=color, lw=2, label=label)
ax.plot(petals, np.full(50, -0.6), "|", color=plt.rcParams["text.color"], label="flowers")
ax.set(xlabel="mean length of a petal (cm)", ylabel="density (1/cm)", xlim=(0.5, 5))
_ = ax.legend()

# %%
# Unknown noise
# -------------
# With a flat prior, and noise whose precision is not known and integrated out, the posterior of
# the mean is a Student-t distribution: its 95 % interval is the t interval of the textbooks.

flat = BayesianBasisRegressor(
    "identity", fit_intercept=False, prior_precision=0, noise_precision="gamma"
)
print("flowers  regressor       t interval of the textbooks")
for n in counts[2:]:
    y = petals[:n]
    flat.fit(np.ones((n, 1)), y)
    df = flat.degrees_of_freedom_
    scale = np.sqrt(flat.covariance_[0, 0] * (1 - 2 / df))  # covariance_ counts the tails in
    interval = t.interval(0.95, df, flat.coef_[0], scale)
    textbook = t.interval(0.95, n - 1, y.mean(), y.std(ddof=1) / np.sqrt(n))
    assert np.allclose(np.array(interval), np.array(textbook), rtol=1e-9)
    print("{:7}  {:.3f} to {:.3f}  {:.3f} to {:.3f}".format(n, *interval, *textbook))
