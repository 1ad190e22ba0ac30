"""The VampPrior: a mixture of the encoder's posteriors of learned pseudo-inputs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Self

import torch
from torch import Tensor, nn

from .._parameters import Integer, Parameters
from .._schema import store
from ._base import LatentDistribution, PriorBuilder
from ._diagonal_mixture import MOST_COMPONENTS, DiagonalMixture, uniform_log_weights


@store()
@dataclass(frozen=True)
class VampPrior(PriorBuilder):
    """Builder of the variational mixture of posteriors prior, learned with the networks.

    ``p(z) = 1/K sum_k q(z | u_k)``, where q is the encoder and the K pseudo-inputs ``u_k`` are
    learned (Tomczak and Welling [1]_ eq. 9). They start at randomly drawn rows of the training data
    as the networks see them: with a Gaussian likelihood, these are standardized. In
    `skgen.VAERegressor` each pseudo-input has inputs x of its own, and p(z) is the same for all x.

    Parameters
    ----------
    n_pseudo_inputs : int, default=100
        Number K of pseudo-inputs, at least 1.

    See Also
    --------
    Mixture : Mixture with means and scales of its own, which takes less time.

    Notes
    -----
    In each step, the encoder is applied to the pseudo-inputs as well as to the rows of the batch.

    References
    ----------
    .. [1] J. M. Tomczak and M. Welling, VAE with a VampPrior, AISTATS 2018.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from skgen import VAETransformer
    >>> from skgen.priors import VampPrior
    >>> X = load_iris().data
    >>> vae = VAETransformer(2, prior=VampPrior(20), max_iter=5, random_state=0).fit(X)
    >>> vae.module_.prior.pseudo_inputs.shape
    torch.Size([20, 4])
    """

    n_pseudo_inputs: int = 100
    shortcut: ClassVar[str] = "vamp"
    sees_encoder: ClassVar[bool] = True
    _parameters: ClassVar[Parameters] = {
        "n_pseudo_inputs": Integer(1, MOST_COMPONENTS, remedy="Give a number of pseudo-inputs."),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(1), cls(3)

    def __call__(
        self, n_components: int, n_context: int = 0, *,
        n_features: int, moments: Callable[..., tuple[Tensor, Tensor]],
    ) -> nn.Module:  # fmt: skip
        """Build the prior, which ignores its context, because pseudo-inputs have their own."""
        return _VampModule(self.n_pseudo_inputs, n_features, n_context, moments)


class _VampModule(nn.Module):
    def __init__(
        self, n: int, n_features: int, n_context: int,
        moments: Callable[..., tuple[Tensor, Tensor]],
    ) -> None:  # fmt: skip
        super().__init__()
        self.pseudo_inputs = nn.Parameter(torch.zeros(n, n_features))
        self.pseudo_context = nn.Parameter(torch.randn(n, n_context)) if n_context else None
        self.moments = moments

    @property
    def n_initial_rows(self) -> int:
        """Number of rows of data from which the prior starts."""
        return len(self.pseudo_inputs)

    def initialize(self, rows: Tensor, context: Tensor | None = None) -> None:
        """Start from rows of data and their context, as the networks see them."""
        with torch.no_grad():
            self.pseudo_inputs.copy_(rows)
            if self.pseudo_context is not None and context is not None:
                self.pseudo_context.copy_(context)

    def forward(self, context: Tensor | None = None) -> LatentDistribution:
        mean, log_variance = self.moments(self.pseudo_inputs, self.pseudo_context)
        return DiagonalMixture(uniform_log_weights(len(mean), mean), mean, 0.5 * log_variance)
