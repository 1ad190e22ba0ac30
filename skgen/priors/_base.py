"""Interface of priors of the latent codes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from .._validation import FloatArray

LOG_2_PI = math.log(2 * math.pi)
N_QUANTILE_DRAWS = 10_000

Prior = Callable[[int, int], nn.Module]
"""Immutable builder of a torch module from a context, or None, to a `LatentDistribution`."""


class LatentDistribution(ABC):
    """Distribution of latent codes z of shape (..., n_components); all densities are in nats.

    A subclass must define `log_prob` and `sample`, and `kl` where it has a closed form; the other
    methods follow from these, and may be overridden for speed. Moments ``mean`` and ``stddev`` are
    of shape (n_components,), with a context (n_samples, n_components), or a number for all.
    """

    n_components: int
    mean: Tensor | float
    stddev: Tensor | float

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z), of shape (...)."""

    @abstractmethod
    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        """Draw codes, of shape (n_samples, n_components): with a context, one for each row."""

    def quantiles(self, p: FloatArray) -> FloatArray:
        """Return quantiles of each dimension, shape (len(p), n_components), by default of draws."""
        draws = self.sample(N_QUANTILE_DRAWS, np.random.default_rng(0))
        return np.quantile(draws.detach().cpu().numpy(), p, axis=0)

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        """Return `log_prob` without -1/2 log(2 pi) per dimension, which cancels in log weights."""
        return self.log_prob(z) + 0.5 * self.n_components * LOG_2_PI

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """Return KL(N(mean, diag(exp(log_variance))) || p(z)) by row and dimension, or None."""
        return None

    def kl_of_draws(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Estimate the KL divergence by one draw per row, from standard normal numbers.

        Each latent dimension has an equal share of the estimate of its row.
        """
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        log_q = -0.5 * (noise.square() + log_variance).sum(-1, keepdim=True)
        total = log_q - self.unnormalized_log_prob(z)[..., None]
        return (total / self.n_components).expand_as(z)

    def mean_kl(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Return the mean over rows of `kl`, or of `kl_of_draws` where `kl` is None."""
        kl = self.kl(mean, log_variance)
        return (self.kl_of_draws(mean, log_variance, noise) if kl is None else kl).mean(0)

    def subtract_kl(
        self, value: Tensor, weight: float, mean: Tensor, log_variance: Tensor, noise: Tensor
    ) -> Tensor:
        """Return a value minus the weighted sum of `mean_kl`: what training differentiates."""
        return value - weight * self.mean_kl(mean, log_variance, noise).sum()
