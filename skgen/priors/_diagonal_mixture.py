"""Mixture of normal distributions with diagonal covariances."""

import math
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .._validation import FloatArray
from ._base import LOG_2_PI, LatentDistribution

MOST_COMPONENTS = 1_000_000
INITIAL_SPREAD = 0.3  # initial standard deviation of the means
INITIAL_SCALE = math.sqrt(1 - INITIAL_SPREAD**2)
STEP = 10.0  # unit of the parameters, so that a step of Adam changes them by 10 learning rates
N_HALVINGS = 60  # of the interval that holds a quantile, for all bits of a float64


class DiagonalMixture(LatentDistribution):
    """Mixture ``p(z) = sum_k w_k N(z | m_k, diag(s_k^2))``.

    ``log_weights``, of shape (n,), are normalized; ``means`` and ``log_scales`` are of shape
    (n, n_components).
    """

    def __init__(self, log_weights: Tensor, means: Tensor, log_scales: Tensor) -> None:
        self.log_weights, self.means, self.log_scales = log_weights, means, log_scales
        self.n_components = means.shape[-1]

    @cached_property
    def mean(self) -> Tensor:  # type: ignore[override]
        return self.log_weights.exp() @ self.means

    @cached_property
    def stddev(self) -> Tensor:  # type: ignore[override]
        spread = (self.means - self.mean).square() + (2 * self.log_scales).exp()
        return (self.log_weights.exp() @ spread).sqrt()

    def log_prob(self, z: Tensor) -> Tensor:
        return self.unnormalized_log_prob(z) - 0.5 * self.n_components * LOG_2_PI

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        # Squares are expanded, so that matrix products over (z, component) compute them. Centering
        # the components at 0 keeps the rounding error small.
        center = self.mean
        centered, means = z - center, self.means - center
        precisions = (-2 * self.log_scales).exp()
        scaled = means * precisions
        constants = self.log_weights - self.log_scales.sum(-1) - 0.5 * (means * scaled).sum(-1)
        squares = centered.square() @ (-0.5 * precisions).T
        return torch.logsumexp(squares + (centered @ scaled.T + constants), -1)

    def kl_of_draws(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Estimate the divergence by draws, with terms by the chain rule.

        The term of dimension d is log q(z_d | x) - log p(z_d | z_1 ... z_{d-1}). It is 0 if x
        carries no information about z_d beyond that in the dimensions before it.
        """
        std = torch.exp(0.5 * log_variance)
        log_joint: Tensor = self.log_weights  # of component and z_1 ... z_d
        before, terms = torch.zeros_like(noise[..., 0]), []
        for d, z in enumerate(torch.addcmul(mean, std, noise).unbind(-1)):
            steps = (z[..., None] - self.means[..., d]) * (-self.log_scales[..., d]).exp()
            log_joint = log_joint - 0.5 * steps.square() - self.log_scales[..., d]
            log_p = torch.logsumexp(log_joint, -1)
            terms.append(log_p - before)
            before = log_p
        return -0.5 * (noise.square() + log_variance) - torch.stack(terms, -1)

    @property
    def n_noise(self) -> int:
        return self.n_components + 1

    def from_noise(self, noise: Tensor) -> Tensor:
        means, log_scales = self._pick(self._components(noise[..., :1]))
        return means + log_scales.exp() * noise[..., 1:]

    def _components(self, noise: Tensor) -> Tensor:
        """Draw components by inversion; the last axis of ``noise``, of length 1, is left out."""
        shares = self.log_weights.exp().cumsum(-1)[..., :-1]
        return (torch.special.ndtr(noise) > shares).sum(-1)

    def _pick(self, component: Tensor) -> tuple[Tensor, Tensor]:
        """Return means and log scales of components, which have the shape of ``component``."""
        return self.means[component], self.log_scales[component]

    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        weights = self.log_weights.detach().double().exp().cpu().numpy()
        component = torch.from_numpy(
            generator.choice(len(weights), n_samples, p=weights / weights.sum())
        )
        noise = torch.from_numpy(generator.standard_normal((n_samples, self.n_components)))
        means, log_scales = self.means.detach().cpu(), self.log_scales.detach().cpu()
        return means[component] + log_scales[component].double().exp() * noise

    def quantiles(self, p: FloatArray) -> FloatArray:
        """Return quantiles of each dimension, by bisection.

        A quantile of the mixture lies between the smallest and the largest of its components.
        """
        weights = self.log_weights.detach().double().cpu().exp()
        means, scales = (t.detach().double().cpu() for t in (self.means, self.log_scales.exp()))
        levels = torch.from_numpy(p)[:, None]
        of_components = means + scales * torch.special.ndtri(levels)[..., None]
        low, high = of_components.amin(1), of_components.amax(1)  # (n_quantiles, n_components)
        for _ in range(N_HALVINGS):
            middle = (low + high) / 2
            steps = (middle[:, None] - means) / scales  # (n_quantiles, n, n_components)
            is_below = (weights[:, None] * torch.special.ndtr(steps)).sum(1) < levels
            low, high = torch.where(is_below, middle, low), torch.where(is_below, high, middle)
        return ((low + high) / 2).numpy()


def uniform_log_weights(n: int, like: Tensor) -> Tensor:
    """Log weights of n components that are equally probable."""
    return like.new_full((n,), -math.log(n))
