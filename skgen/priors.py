"""Priors p(z) of the latent codes, as builders of torch modules, which are learned as well."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from ._documentation import register_parts
from ._schema import store
from ._validation import FloatArray

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


@store(parameters={})
@dataclass(frozen=True)
class StandardNormal:
    """Builder of the standard normal prior, ``z ~ N(0, I)``.

    See Also
    --------
    skgen.VAETransformer : Its latent codes have this prior.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import StandardNormal
    >>> prior = StandardNormal()(n_components=2)
    >>> prior().log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    shortcut: ClassVar[str] = "standard_normal"

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(),)

    def __call__(self, n_components: int, n_context: int = 0) -> nn.Module:
        """Build the prior, a module without parameters that ignores its context."""
        return _StandardNormalModule(n_components)


class _StandardNormalModule(nn.Module, LatentDistribution):
    mean, stddev = 0.0, 1.0

    def __init__(self, n_components: int) -> None:
        super().__init__()
        self.n_components = n_components

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        return self

    def log_prob(self, z: Tensor) -> Tensor:
        return self.unnormalized_log_prob(z) - 0.5 * self.n_components * LOG_2_PI

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        return -0.5 * z.square().sum(-1)

    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        return torch.from_numpy(generator.standard_normal((n_samples, self.n_components)))

    def quantiles(self, p: FloatArray) -> FloatArray:
        quantiles = torch.special.ndtri(torch.from_numpy(p)).numpy()
        return np.tile(quantiles[:, None], (1, self.n_components))

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        # Kingma and Welling 2013, appendix B.
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def mean_kl(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        return 0.5 * (self._twice_kl_plus_1(mean, log_variance).mean(0) - 1)

    def subtract_kl(
        self, value: Tensor, weight: float, mean: Tensor, log_variance: Tensor, noise: Tensor
    ) -> Tensor:
        # As few operations as possible: in small networks they take as long as the products.
        half, doubled = 0.5 * weight, self._twice_kl_plus_1(mean, log_variance)
        return value.sub(doubled.sum(), alpha=half / len(mean)).add(half * self.n_components)

    @staticmethod
    def _twice_kl_plus_1(mean: Tensor, log_variance: Tensor) -> Tensor:
        return mean.square() + log_variance.exp() - log_variance


PARTS: dict[str, Any] = register_parts(globals())
"""Priors by name."""

__all__ = [part.__name__ for part in PARTS.values()]
