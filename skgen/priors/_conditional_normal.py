"""Normal prior whose moments a network gives."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from .._parameters import NONE, Custom, Parameters
from .._schema import store
from .._validation import FloatArray
from ._base import LatentDistribution, PriorBuilder, bound, check_network

SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -15.0, 4.0


@store()
@dataclass(frozen=True)
class ConditionalNormal(PriorBuilder):
    """Builder of a normal prior whose moments depend on a context.

    ``z ~ N(mean(c), diag(std(c)^2))``, where a network computes means and log variances. It is
    trained with encoder and decoder. Without a context, the means and variances themselves are
    learned. Standard deviations are at most e^2 = 7.4; otherwise the prior could be stretched to
    reach a single distant code, and most of its draws would lie where no codes are.

    Parameters
    ----------
    network : callable, default=None
        ``network(n_inputs, n_outputs)`` that returns a torch module, such as an object of
        `skgen.networks`. The module maps n_inputs values of a context to means and log variances.
        None means a linear map.

    See Also
    --------
    StandardNormal : The prior that ignores its context.
    skgen.VAERegressor : Its latent codes have this prior by default, with x as the context.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import ConditionalNormal
    >>> prior = ConditionalNormal()(n_components=2, n_context=3)
    >>> prior(torch.zeros(5, 3)).mean.shape
    torch.Size([5, 2])
    """

    network: Callable[[int, int], nn.Module] | None = None
    shortcut: ClassVar[str] = "conditional_normal"
    _parameters: ClassVar[Parameters] = {"network": NONE | Custom(check_network, callable)}

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(),)

    def __call__(self, n_components: int, n_context: int = 0) -> nn.Module:
        """Build the prior: a network from contexts to moments."""
        network = self.network or nn.Linear
        return _ConditionalNormalModule(network(max(1, n_context), 2 * n_components))


class _ConditionalNormalModule(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        if context is None:
            (moments,) = self.network(next(self.parameters()).new_ones(1, 1))
        else:
            moments = self.network(context)
        return DiagonalNormal(*moments.chunk(2, -1))


class DiagonalNormal(LatentDistribution):
    """Normal distributions with diagonal covariances, one for each row of a context."""

    mean: Tensor

    def __init__(self, mean: Tensor, log_variance: Tensor) -> None:
        self.n_components = mean.shape[-1]
        self.mean = mean
        self.log_variance = bound(log_variance, SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)

    @property
    def stddev(self) -> Tensor:  # type: ignore[override]
        return torch.exp(0.5 * self.log_variance)

    def log_prob(self, z: Tensor) -> Tensor:
        return self.unnormalized_log_prob(z) - 0.5 * self.n_components * np.log(2 * np.pi)

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        squares = (z - self.mean).square() * torch.exp(-self.log_variance)
        return -0.5 * (squares + self.log_variance).sum(-1)

    def from_noise(self, noise: Tensor) -> Tensor:
        return self.mean + self.stddev * noise

    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        noise = torch.from_numpy(generator.standard_normal((n_samples, self.n_components)))
        return self.from_noise(noise.to(self.mean.device, self.mean.dtype))

    def quantiles(self, p: FloatArray) -> FloatArray:
        standard = torch.special.ndtri(torch.from_numpy(p))[:, None].to(self.mean)
        return (self.mean + self.stddev * standard).detach().cpu().numpy()

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        # Of two normal distributions; with N(0, I), Kingma and Welling 2013, appendix B.
        log_ratio = log_variance - self.log_variance
        squares = (mean - self.mean).square() * torch.exp(-self.log_variance)
        return 0.5 * (squares + log_ratio.exp() - 1 - log_ratio)
