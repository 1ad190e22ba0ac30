"""Bases whose parameters are learned, data for them, and gradients by finite differences."""

import copy

import numpy as np
from sklearn.base import clone

from skgen import FourierBasis, GaussianBasis

N_COLUMNS = 8
FOURIER = {
    f"{kernel}, {sampling}{', ranks' * ranks}": FourierBasis(
        N_COLUMNS, kernel=kernel, ranks=ranks, sampling=sampling, random_state=0
    )
    for kernel in ("rbf", "matern32", "matern52")
    for sampling in ("halton", "random")
    for ranks in (False, True)
}
GAUSSIAN = {
    "gaussian": GaussianBasis(N_COLUMNS, width="evidence"),
    "gaussian with linear": GaussianBasis(N_COLUMNS, width="evidence", linear=True),
    "gaussian without linear": GaussianBasis(N_COLUMNS, width="evidence", linear=False),
    "gaussian, even": GaussianBasis(N_COLUMNS, width="evidence", centers="even", overlap=1.5),
    "gaussian, domain": GaussianBasis(N_COLUMNS, width="evidence", domain=(-2, 3), linear=True),
}
LINEAR = {
    f"fourier, linear{', ranks' * ranks}": FourierBasis(
        N_COLUMNS, ranks=ranks, linear=True, random_state=0
    )
    for ranks in (False, True)
}
MIXED = {
    f"rational quadratic{', linear' * linear}": FourierBasis(
        N_COLUMNS, kernel="rational_quadratic", linear=linear, random_state=0
    )
    for linear in (False, True)
}
LEARNABLE = FOURIER | LINEAR | MIXED | GAUSSIAN


def table(rng, n_rows, n_features):
    """Features of several spreads, with some equal values."""
    return np.round(rng.normal(size=(n_rows, n_features)) * [1.0, 3.0, 0.5][:n_features], 1)


def moved(basis, X, rng):
    """The basis fitted, at parameters of no special kind."""
    basis = clone(basis).fit(X)
    basis.theta_ = basis.theta_ + rng.normal(scale=0.3, size=basis.theta_.shape)
    return basis


def with_theta(basis, theta):
    basis = copy.deepcopy(basis)
    basis.theta_ = theta
    return basis


def slopes(function, x, step=1e-3):
    """Central differences of fourth order, one for each element of x."""
    return np.array(
        [
            (8 * (function(x + d) - function(x - d)) - function(x + 2 * d) + function(x - 2 * d))
            / (12 * step)
            for d in step * np.eye(len(x))
        ]
    )


SEARCHED = {
    "fourier": FourierBasis(30, random_state=0),
    "fourier, ranks": FourierBasis(100, ranks=True, random_state=0),
    "gaussian": GaussianBasis(20, width="evidence"),
}
GAMMA = {"noise_precision": "gamma", "noise_shape": 2.0, "noise_rate": 0.3}
FITTED = {
    "default": "auto",
    "gaussian": GaussianBasis(12, width="evidence"),
    "few fourier": FourierBasis(20, kernel="matern32", random_state=0),
}


def waves(rng, n_rows=60, n_features=3):
    X = rng.normal(size=(n_rows, n_features))
    return X, np.sin(2 * X[:, 0]) + 0.1 * rng.normal(size=n_rows)
