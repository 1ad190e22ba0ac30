"""Normalizing flow as a prior that is learned: affine couplings."""

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from .._parameters import Integer, Parameters
from .._schema import store
from .._validation import FloatArray
from ._base import LOG_2_PI, LatentDistribution, PriorBuilder

LARGEST_LOG_SCALE = 2.0  # of one coupling, so that none can overflow
N_MOMENT_DRAWS = 2000
N_ROW_DRAWS = 64  # the same for each row of a context, where half of the draws have the other sign


@store()
@dataclass(frozen=True)
class Flow(PriorBuilder):
    """Builder of a normalizing flow of affine couplings, learned with the networks.

    Codes are an invertible function of standard normal numbers, ``z = f(e)``, so that ``log p(z) =
    log N(f^-1(z) | 0, I) + log |det df^-1/dz|``. Each coupling (Dinh et al. [1]_ eq. 4 and 5)
    shifts and scales one half of the dimensions by functions of the other half and of the context,
    if there is one. The next coupling has the dimensions in reverse order. At first, p(z) is
    N(0, I).

    Parameters
    ----------
    n_couplings : int, default=4
        Number of couplings, at least 1.
    n_units : int, default=64
        Number of units of the hidden layer of each coupling's network, at least 1.

    See Also
    --------
    Mixture : Mixture of Gaussians, for codes that form separate clusters.

    Notes
    -----
    The KL divergence has no closed form. Training estimates it from its draws of z. In
    ``explained_kl_`` each latent dimension has an equal share of it. Moments are estimated by 2000
    draws, or 128 for each row of a context.

    References
    ----------
    .. [1] L. Dinh, J. Sohl-Dickstein and S. Bengio, Density estimation using Real NVP, ICLR 2017.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import Flow
    >>> prior = Flow()(n_components=2)
    >>> prior().log_prob(torch.zeros(1, 2)).detach()
    tensor([-1.8379])
    """

    n_couplings: int = 4
    n_units: int = 64
    shortcut: ClassVar[str] = "flow"
    _parameters: ClassVar[Parameters] = {
        "n_couplings": Integer(1, 1000, remedy="Give a number of couplings."),
        "n_units": Integer(1, 100_000, remedy="Give a number of units."),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(1, 3), cls(3, 8)

    def __call__(self, n_components: int, n_context: int = 0) -> nn.Module:
        """Build the prior, a module that maps a context, or None, to a distribution."""
        return _FlowModule(self.n_couplings, self.n_units, n_components, n_context)


class _FlowModule(nn.Module):
    def __init__(self, n_couplings: int, n_units: int, n_components: int, n_context: int) -> None:
        super().__init__()
        self.n_components = n_components
        self.couplings = nn.ModuleList(
            _Coupling(n_components, n_context, n_units) for _ in range(n_couplings)
        )

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        return FlowDistribution(self.couplings, self.n_components, context)


class _Coupling(nn.Module):
    """Shift and scale of the later dimensions, given the earlier ones and the context."""

    def __init__(self, n_components: int, n_context: int, n_units: int) -> None:
        super().__init__()
        self.n_kept = n_components // 2
        n_changed = n_components - self.n_kept
        # A constant input, because one dimension alone leaves no other input.
        hidden = nn.Linear(self.n_kept + n_context + 1, n_units)
        last = nn.Linear(n_units, 2 * n_changed)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(hidden, nn.SiLU(), last)

    def forward(self, z: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """Return the earlier dimensions, and shift and log scale of the others."""
        kept = z[..., : self.n_kept]
        inputs = [kept, kept.new_ones(*kept.shape[:-1], 1)]
        if context is not None:
            inputs.append(context.expand(*kept.shape[:-1], -1))
        shift, log_scale = self.network(torch.cat(inputs, -1)).chunk(2, -1)
        return kept, shift, LARGEST_LOG_SCALE * torch.tanh(log_scale / LARGEST_LOG_SCALE)


class FlowDistribution(LatentDistribution):
    """Distribution of codes that couplings turn into standard normal numbers."""

    def __init__(self, couplings: nn.ModuleList, n_components: int, context: Tensor | None) -> None:
        self.couplings, self.n_components, self.context = couplings, n_components, context

    @cached_property
    def mean(self) -> Tensor:  # type: ignore[override]
        return self._draws.mean(0)

    @cached_property
    def stddev(self) -> Tensor:  # type: ignore[override]
        return self._draws.std(0)

    @cached_property
    def _draws(self) -> Tensor:
        """Draws for estimates of moments, for each row if there is a context."""
        rng, d = np.random.default_rng(0), self.n_components
        if self.context is None:
            return self._to_codes(rng.standard_normal((N_MOMENT_DRAWS, d)))
        noise = rng.standard_normal((N_ROW_DRAWS, 1, d))
        return self._to_codes(np.concatenate([noise, -noise]))

    def log_prob(self, z: Tensor) -> Tensor:
        return self.unnormalized_log_prob(z) - 0.5 * self.n_components * LOG_2_PI

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        log_det = torch.zeros_like(z[..., 0])
        for coupling in self.couplings:
            kept, shift, log_scale = coupling(z, self.context)
            changed = (z[..., kept.shape[-1] :] - shift) * torch.exp(-log_scale)
            log_det = log_det - log_scale.sum(-1)
            z = torch.cat([kept, changed], -1).flip(-1)
        return log_det - 0.5 * z.square().sum(-1)

    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        return self._to_codes(generator.standard_normal((n_samples, self.n_components)))

    @torch.no_grad()
    def _to_codes(self, noise: FloatArray) -> Tensor:
        return self.from_noise(torch.from_numpy(noise).to(next(self.couplings.parameters())))

    def from_noise(self, noise: Tensor) -> Tensor:
        """Map standard normal numbers to codes, by the inverse of the map in `log_prob`."""
        z = noise
        if self.context is not None:  # one code for each row
            z, _ = torch.broadcast_tensors(noise, self.context[..., :1])
        for coupling in reversed(self.couplings):
            z = z.flip(-1)
            kept, shift, log_scale = coupling(z, self.context)
            changed = z[..., kept.shape[-1] :] * torch.exp(log_scale) + shift
            z = torch.cat([kept, changed], -1)
        return z
