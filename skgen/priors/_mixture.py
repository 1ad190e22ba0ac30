"""Mixture of Gaussians as a prior that is learned."""

import math
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from .._parameters import Integer, Parameters
from .._schema import store
from .._validation import FloatArray
from ._base import LatentDistribution, PriorBuilder
from ._diagonal_mixture import (
    INITIAL_SCALE,
    INITIAL_SPREAD,
    MOST_COMPONENTS,
    STEP,
    DiagonalMixture,
)


@store()
@dataclass(frozen=True)
class Mixture(PriorBuilder):
    """Builder of a mixture of Gaussians with diagonal covariances, learned with the networks.

    ``p(z) = sum_k w_k N(z | m_k, diag(s_k^2))``. Weights, means and scales are trained together
    with encoder and decoder, at ten times their learning rate. At first, p(z) is close to N(0, I):
    all weights are equal, means are drawn from N(0, 0.3^2 I), and all variances are 1 - 0.3^2.

    Parameters
    ----------
    n_components : int, default=100
        Number K of Gaussians, at least 1.

    See Also
    --------
    VampPrior : Mixture whose components are posteriors of learned pseudo-inputs.
    skgen.VAETransformer.fit_prior : Fits a mixture to the codes of a finished model.

    Notes
    -----
    The KL divergence has no closed form. Training estimates it from its draws of z. A step takes
    O(batch_size * K * n_dimensions) time, in matrix products.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.priors import Mixture
    >>> prior = Mixture(10)(n_components=2)
    >>> prior().sample(3, np.random.default_rng(0)).shape
    torch.Size([3, 2])
    """

    n_components: int = 100
    shortcut: ClassVar[str] = "mixture"
    _parameters: ClassVar[Parameters] = {
        "n_components": Integer(1, MOST_COMPONENTS, remedy="Give a number of Gaussians."),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(1), cls(3)

    def __call__(self, n_components: int, n_context: int = 0) -> nn.Module:
        """Build the prior of ``n_components`` latent dimensions, which ignores its context."""
        return _MixtureModule(self.n_components, n_components)

    def _restore(self, weights: FloatArray, means: FloatArray, scales: FloatArray) -> nn.Module:
        """Build the prior with given parameters."""
        module = _MixtureModule(*means.shape)
        values = {"logits": np.log(weights), "means": means, "log_scales": np.log(scales)}
        state = {name: torch.from_numpy(value / STEP) for name, value in values.items()}
        module.load_state_dict(state)
        return module


class _MixtureModule(nn.Module):
    def __init__(self, n: int, n_components: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(n))
        self.means = nn.Parameter(INITIAL_SPREAD / STEP * torch.randn(n, n_components))
        log_scale = math.log(INITIAL_SCALE) / STEP
        self.log_scales = nn.Parameter(torch.full((n, n_components), log_scale))

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        log_weights = (STEP * self.logits).log_softmax(0)
        return DiagonalMixture(log_weights, STEP * self.means, STEP * self.log_scales)
