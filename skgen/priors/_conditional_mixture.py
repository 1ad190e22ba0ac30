"""Mixture of Gaussians as a prior whose parameters a network gives."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from .._parameters import NONE, Custom, Integer, Parameters
from .._schema import store
from .._validation import FloatArray
from ._base import LatentDistribution, PriorBuilder, bound, check_network
from ._diagonal_mixture import (
    INITIAL_SCALE,
    INITIAL_SPREAD,
    MOST_COMPONENTS,
    STEP,
    DiagonalMixture,
)

SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE = -7.5, 2.0


@store()
@dataclass(frozen=True)
class ConditionalMixture(PriorBuilder):
    """Builder of a mixture of Gaussians whose parameters depend on a context.

    ``p(z | c) = sum_k w_k(c) N(z | m_k(c), diag(s_k(c)^2))``, where a network computes weights,
    means and scales (a mixture density network, Bishop [1]_). The network is trained with encoder
    and decoder. The codes of one context may form several clusters, as those of a class of images
    do.

    Parameters
    ----------
    n_components : int, default=10
        Number of Gaussians for each context, at least 1.
    network : callable, default=None
        ``network(n_inputs, n_outputs)`` that returns a torch module, such as an object of
        `skgen.networks`. None means a linear map, which starts at 0 and is trained at ten times
        the learning rate.

    See Also
    --------
    ConditionalNormal : The same with one Gaussian, whose KL divergence has a closed form.
    Mixture : A mixture that ignores its context.

    Notes
    -----
    The KL divergence has no closed form. Training estimates it from its draws of z. So that no two
    components are alike at first, a vector drawn from N(0, 0.3^2 I) is added to the network's
    output for each mean, and variances are 1 - 0.3^2 times the output. The vectors are
    trained at ten times the learning rate, as the means of `Mixture` are. If they follow the codes
    too slowly, one Gaussian takes all codes of a context, and the others are never used. Standard
    deviations are at most e^2 = 7.4, so that no Gaussian is stretched to reach a distant code.

    References
    ----------
    .. [1] C. M. Bishop, Mixture density networks, technical report NCRG/94/004, Aston University,
       1994.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import ConditionalMixture
    >>> prior = ConditionalMixture(5)(n_components=2, n_context=3)
    >>> prior(torch.zeros(4, 3)).log_prob(torch.zeros(4, 2)).shape
    torch.Size([4])
    """

    n_components: int = 10
    network: Callable[[int, int], nn.Module] | None = None
    shortcut: ClassVar[str] = "conditional_mixture"
    _parameters: ClassVar[Parameters] = {
        "n_components": Integer(1, MOST_COMPONENTS, remedy="Give a number of Gaussians."),
        "network": NONE | Custom(check_network, callable),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(1), cls(3)

    def __call__(self, n_components: int, n_context: int = 0) -> nn.Module:
        """Build the prior: a network from contexts to parameters of a mixture."""
        network = self.network or _FastLinear
        n_outputs = self.n_components * (1 + 2 * n_components)
        return _ConditionalMixtureModule(
            network(max(1, n_context), n_outputs), self.n_components, n_components
        )


class _FastLinear(nn.Linear):
    """Linear map that starts at 0; an Adam step changes its weights by ten learning rates."""

    def reset_parameters(self) -> None:
        nn.init.zeros_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, x: Tensor) -> Tensor:
        return STEP * super().forward(x)


class _ConditionalMixtureModule(nn.Module):
    def __init__(self, network: nn.Module, n: int, n_components: int) -> None:
        super().__init__()
        self.network = network
        self.means = nn.Parameter(INITIAL_SPREAD / STEP * torch.randn(n, n_components))

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        rows = next(self.parameters()).new_ones(1, 1) if context is None else context
        n, n_components = self.means.shape
        logits, moments = self.network(rows).split([n, 2 * n * n_components], -1)
        means, log_scales = moments.unflatten(-1, (2, n, n_components)).unbind(-3)
        log_scales = log_scales + float(np.log(INITIAL_SCALE))
        parameters = (
            logits.log_softmax(-1), means + STEP * self.means,
            bound(log_scales, SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE),
        )  # fmt: skip
        if context is None:
            return DiagonalMixture(*(value[0] for value in parameters))
        return RowMixture(*parameters)


class RowMixture(DiagonalMixture):
    """Mixtures of normal distributions with diagonal covariances, one for each row of a context.

    Shapes are those of `DiagonalMixture` after a first axis for the rows.
    """

    @cached_property
    def mean(self) -> Tensor:  # type: ignore[override]
        return (self.log_weights.exp()[..., None] * self.means).sum(-2)

    @cached_property
    def stddev(self) -> Tensor:  # type: ignore[override]
        spread = (self.means - self.mean[..., None, :]).square() + (2 * self.log_scales).exp()
        return (self.log_weights.exp()[..., None] * spread).sum(-2).sqrt()

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        # By matrix products, as in `DiagonalMixture`, for many z of each row.
        center = self.mean
        centered, means = z - center, self.means - center[..., None, :]
        precisions = (-2 * self.log_scales).exp()
        scaled = means * precisions
        constants = self.log_weights - self.log_scales.sum(-1) - 0.5 * (means * scaled).sum(-1)
        squares = torch.einsum("...rd,rnd->...rn", centered.square(), -0.5 * precisions)
        products = torch.einsum("...rd,rnd->...rn", centered, scaled)
        return torch.logsumexp(squares + products + constants, -1)

    def _pick(self, component: Tensor) -> tuple[Tensor, Tensor]:
        index = component[..., None, None].expand(*component.shape, 1, self.n_components)
        means, log_scales = (
            values.expand(*component.shape, *values.shape[-2:]).gather(-2, index).squeeze(-2)
            for values in (self.means, self.log_scales)
        )
        return means, log_scales

    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        noise = torch.from_numpy(generator.standard_normal((n_samples, self.n_noise)))
        return self.from_noise(noise.to(self.means.device, self.means.dtype))

    def quantiles(self, p: FloatArray) -> FloatArray:
        """Return quantiles of the first row."""
        first = self.log_weights[0], self.means[0], self.log_scales[0]
        return DiagonalMixture(*first).quantiles(p)
