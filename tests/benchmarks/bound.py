"""Accuracy of score_samples: differences to log p(x) by a sum over a grid of z, in nats per row.

``python tests/benchmarks/bound.py``
"""

import copy

import numpy as np
import torch
from sklearn.datasets import load_digits

from skgen import VAETransformer

DIGITS = load_digits().data / 16
N_ROWS, N_DRAWS, SEEDS = 200, 500, range(3)
POINTS = {1: 2001, 2: 161}
"""Points of the grid along each dimension, by the number of dimensions."""


def log_likelihood_by_quadrature(model: VAETransformer, X: np.ndarray) -> np.ndarray:
    module = copy.deepcopy(model.module_).double()
    n_dimensions = module.n_components
    axis = torch.linspace(-8, 8, POINTS[n_dimensions], dtype=torch.float64)
    z = torch.cartesian_prod(*[axis] * n_dimensions).reshape(-1, n_dimensions)
    log_prior = module.prior().log_prob(z) + n_dimensions * torch.log(axis[1] - axis[0])
    rows = torch.from_numpy(model.likelihood_.transform(X))
    with torch.no_grad():
        outputs, shared = module.outputs(z), module.global_parameters
        joint = (module.likelihood.sum_log_prob(row, outputs, shared) + log_prior for row in rows)
        found = np.array([torch.logsumexp(row, 0) for row in joint])
    return found + model.likelihood_.log_jacobian(X).sum(axis=1)


def differences(likelihood: str, n_components: int, seed: int) -> np.ndarray:
    model = VAETransformer(
        n_components, likelihood=likelihood, encoder="mlp", decoder="mlp", random_state=seed
    ).fit(DIGITS)
    X = DIGITS[:N_ROWS]
    if likelihood == "bernoulli":
        X = (X > 0.5).astype(float)
    return model.score_samples(X, N_DRAWS) - log_likelihood_by_quadrature(model, X)


def main() -> None:
    for likelihood in ("gaussian", "bernoulli", "continuous_bernoulli"):
        for n_components in POINTS:
            found = [differences(likelihood, n_components, seed) for seed in SEEDS]
            mean = max(abs(difference.mean()) for difference in found)
            farthest = max(abs(difference).max() for difference in found)
            print(f"| {likelihood} | {n_components} | {mean:.1g} | {farthest:.1g} |", flush=True)


if __name__ == "__main__":
    main()
