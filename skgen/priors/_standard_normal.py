"""Standard normal prior."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .._schema import store
from .._validation import FloatArray
from ._base import LOG_2_PI, LatentDistribution, PriorBuilder


@store(parameters={})
@dataclass(frozen=True)
class StandardNormal(PriorBuilder):
    """Builder of the standard normal prior, ``z ~ N(0, I)``.

    See Also
    --------
    Mixture : A prior that is learned.
    skgen.VAETransformer : Its latent codes have this prior by default.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import StandardNormal
    >>> prior = StandardNormal()(n_components=2)
    >>> prior().log_prob(torch.zeros(1, 2))
    tensor([-1.8379])
    """

    shortcut: ClassVar[str] = "standard_normal"

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

    def from_noise(self, noise: Tensor) -> Tensor:
        return noise

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
