"""The variational autoencoder as a torch module, and its bounds on log p(x), in nats per row.

z ~ N(0, I),  x ~ p(x | z)                      the model, p(x | z) by decoder and likelihood
q(z | x) = N(mean(x), diag(std(x)^2))           the encoder
log p(x) >= E_q log p(x | z) - KL(q || prior)   the ELBO (Kingma and Welling 2013, eq. 3)
log p(x) >= E log 1/S sum_s w_s,  w = p(x, z_s) / q(z_s | x)
                                                the importance-weighted bound (Burda, Grosse
                                                and Salakhutdinov 2016, eq. 8)
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any, Self

import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Tensor, nn

from ..likelihoods import Likelihood
from ..networks import Builder, seed_torch
from .row_noise import points

State = dict[str, npt.NDArray[Any]]

LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE = -20.0, 10.0
WIDER = 4.0
"""How much wider than the others' the distribution of some draws of `VAE.estimate` is."""
SPREAD = 2.0
"""Standard deviation of the scouts of `VAE.estimate`: codes may lie far out in the prior."""


class VAE(nn.Module):
    """Encoder, prior and decoder.

    Parameters
    ----------
    encoder, decoder : builder
        From n_features to 2 * n_components values, the latent means and log variances, and from
        n_components to the likelihood's n_heads * n_features.
    likelihood : Likelihood
        What the decoder's outputs say of x.
    n_features, n_components : int
        Dimensions of x and z.
    """

    def __init__(
        self,
        encoder: Builder,
        decoder: Builder,
        likelihood: Likelihood,
        n_features: int,
        n_components: int,
    ) -> None:
        super().__init__()
        self.architecture = (encoder, decoder, likelihood, n_features, n_components)
        n_outputs = likelihood.n_heads * n_features
        self.encoder = built(encoder, "encoder", n_features, 2 * n_components)
        self.decoder = built(decoder, "decoder", n_components, n_outputs)
        self.free = nn.Parameter(torch.zeros(likelihood.n_free(n_features)))
        if not ends_in_bias(self.decoder, n_outputs):
            self.decoder = Shifted(self.decoder, n_outputs)
        self.likelihood = likelihood
        self.n_components = n_components

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickled as numpy arrays and how to build it again, so that no device is needed."""
        state = {name: value.cpu().numpy() for name, value in self.state_dict().items()}
        return restored, (self.architecture, state)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    def twin(self) -> Self:
        """A copy with parameters of its own, built by the same builders."""
        return copy.deepcopy(self, {id(self.architecture): self.architecture})

    @property
    def device(self) -> torch.device:
        return self.free.device

    @property
    def prior(self) -> td.Normal:
        """p(z)."""
        return td.Normal(self.free.new_zeros(self.n_components), 1.0)

    def encode(self, x: Tensor) -> td.Normal:
        """q(z | x)."""
        mean, log_variance = self.moments(x)
        return td.Normal(mean, torch.exp(0.5 * log_variance), validate_args=False)

    def decode(self, z: Tensor) -> td.Distribution:
        """p(x | z), feature by feature."""
        return self.likelihood.distribution(self.outputs(z), self.free)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latent means and log variances, each of shape (n_samples, n_components)."""
        mean, log_variance = self.encoder(x).chunk(2, -1)
        return mean, log_variance.clamp(LEAST_LOG_VARIANCE, GREATEST_LOG_VARIANCE)

    def outputs(self, z: Tensor) -> Tensor:
        """The decoder's outputs for z of shape (..., n_components)."""
        if z.ndim == 2:
            outputs: Tensor = self.decoder(z)
            return outputs
        return self.decoder(z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], -1)

    def kl(self, x: Tensor) -> Tensor:
        """KL(q(z | x) || p(z)) of each row and latent dimension (Kingma and Welling, app. B)."""
        mean, log_variance = self.moments(x)
        return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)

    def elbo(
        self,
        x: Tensor,
        noise: Tensor,
        beta: float = 1.0,
        free_bits: float = 0.0,
        over_batch: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Mean over rows of the ELBO, its expectation by one draw per row.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        noise : Tensor of shape (n_samples, n_components)
            Standard normal numbers.
        beta : float
            Weight of the KL term.
        free_bits : float
            Nats of KL a latent dimension, on average over the batch, that cost no more than these.
        over_batch : callable, default=None
            From means over x to means over the batch, if x is a part of one.
        """
        mean, log_variance = self.moments(x)
        std = torch.exp(0.5 * log_variance)
        z = torch.addcmul(mean, std, noise)  # the reparameterisation (Kingma and Welling, sec. 2.4)
        fit = self.likelihood.mean_log_prob(x, self.outputs(z), self.free)
        doubled = mean.square() + log_variance.exp() - log_variance  # 2 KL + 1, as in `kl`
        if free_bits:
            kl = 0.5 * (doubled.mean(0) - 1)
            costs = (over_batch(kl) if over_batch else kl) >= free_bits
            return fit - beta * torch.where(costs, kl, free_bits).sum()
        # As few operations as can be: in small networks they take as long as the products.
        half = 0.5 * beta
        return fit.sub(doubled.sum(), alpha=half / len(x)).add(half * self.n_components)

    def log_weights(self, x: Tensor, noise: Tensor, beta: float = 1.0) -> Tensor:
        """log w = log p(x | z) + beta (log p(z) - log q(z | x)).

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        noise : Tensor of shape (n_importance_samples, n_samples, n_components)
            Standard normal numbers.
        beta : float
            Weight of the latter two terms.

        Returns
        -------
        log_weights : Tensor of shape (n_importance_samples, n_samples)
            The logarithms of the importance weights.
        """
        mean, log_variance = self.moments(x)
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        log_q = -0.5 * (noise.square() + log_variance).sum(-1)
        return self.weighed(x, z, self.outputs(z), log_q, beta)

    def weighed(
        self, x: Tensor, z: Tensor, outputs: Tensor, log_q: Tensor, beta: float = 1.0
    ) -> Tensor:
        """log w of codes z, by the decoder's outputs for them and the density they are drawn from.

        ``log_q`` leaves out the constant that log p(z) has too: -1/2 log(2 pi) a dimension.
        """
        log_ratio = -0.5 * z.square().sum(-1) - log_q
        return self.likelihood.log_prob(x, outputs, self.free) + beta * log_ratio

    def bound(self, x: Tensor, noise: Tensor, beta: float = 1.0) -> Tensor:
        """The importance-weighted bound of each row; shapes as in `log_weights`."""
        log_weights = self.log_weights(x, noise, beta)
        return torch.logsumexp(log_weights, 0) - math.log(len(noise))

    def estimate(
        self, x: Tensor, noise: Tensor, n_wide: int, scouts: tuple[Tensor, Tensor]
    ) -> Tensor:
        """As `bound`, but the draws are from where the posterior is, for rows the encoder misses.

        They are from N(mean, std^2) by `posterior`, some from a wider one, lest its tails be too
        thin. The weights are those of draws from the mixture of both (the balance heuristic of
        Veach and Guibas 1995), and the mixture follows from x alone, not from the draws, so this
        too is a lower bound of log p(x) in expectation.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        noise : Tensor of shape (n_importance_samples, n_samples, n_components)
            Standard normal numbers.
        n_wide : int
            Number of draws from the wider distribution, at least 1 and less than all.
        scouts : tuple of Tensor
            What `scouts` returns.

        Returns
        -------
        estimate : Tensor of shape (n_samples,)
            Estimates of log p(x).
        """
        mean, std = self.posterior(x, scouts)
        steps = noise.clone()
        steps[:n_wide] *= WIDER
        z = torch.addcmul(mean, std, steps)
        share = n_wide / len(noise)
        log_narrow = -0.5 * steps.square().sum(-1)  # but for log std, which comes below
        log_wide = log_narrow / WIDER**2 - self.n_components * math.log(WIDER)
        log_mixture = torch.logaddexp(log_narrow + math.log1p(-share), log_wide + math.log(share))
        log_weights = self.weighed(x, z, self.outputs(z), log_mixture - std.log().sum(-1))
        return torch.logsumexp(log_weights, 0) - math.log(len(noise))

    @torch.no_grad()
    def scouts(self, n_scouts: int) -> tuple[Tensor, Tensor]:
        """Codes all over the prior, the same for all rows, and the decoder's outputs for them.

        Returns
        -------
        z : Tensor of shape (n_scouts, n_components)
            The first points of a low-discrepancy sequence of N(0, SPREAD^2).
        outputs : Tensor of shape (n_scouts, n_heads * n_features)
            What the decoder makes of them.
        """
        uniform = torch.from_numpy(points(n_scouts + 1, self.n_components)[1:])  # the first is 0
        z = SPREAD * torch.special.ndtri(uniform).to(self.free)
        return z, self.outputs(z)

    def posterior(self, x: Tensor, scouts: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of p(z | x), as the scouts and the encoder see it.

        Moments of the encoder's mean and the scouts, by the importance weights of draws from
        N(0, SPREAD^2); each stands for its surroundings, as wide as q(z | x). Where no scout comes
        near the posterior, as in many dimensions, q(z | x) is what is left.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        scouts : tuple of Tensor
            What `scouts` returns.

        Returns
        -------
        mean, std : Tensor of shape (n_samples, n_components)
            The moments.
        """
        q = self.encode(x)
        codes, outputs = scouts
        z = torch.cat([q.mean[None], codes[:, None].expand(-1, *q.mean.shape)])
        log_spread = -0.5 * (z / SPREAD).square().sum(-1)
        log_weights = torch.cat(
            [
                self.weighed(x, z[:1], self.outputs(z[:1]), log_spread[:1]),
                # Outputs of shape (n_scouts, 1, ...): decoded once, they serve all rows.
                self.weighed(x, z[1:], outputs[:, None], log_spread[1:]),
            ]
        )
        # Far from all data a decoder may overflow: such a scout has seen nothing.
        worst = torch.finfo(x.dtype).min
        weights = torch.softmax(log_weights.nan_to_num(nan=worst), 0)[..., None]
        mean = (weights * z).sum(0)
        variance = (weights * (z - mean).square()).sum(0)
        return mean, (variance + q.variance).sqrt()


class Shifted(nn.Module):
    """A module, plus a learned constant."""

    def __init__(self, module: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.module = module
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, z: Tensor) -> Tensor:
        outputs: Tensor = self.module(z) + self.bias
        return outputs


def last_module(network: nn.Module) -> nn.Module:
    *_, last = network.modules()
    return network if isinstance(network, Shifted) else last


def ends_in_bias(network: nn.Module, n_outputs: int) -> bool:
    """Whether the network's last layer is linear, with a bias to which each output is equal."""
    last = last_module(network)
    return isinstance(last, nn.Linear) and last.bias is not None and len(last.bias) == n_outputs


def start_at(vae: VAE, outputs: Tensor) -> None:
    """Let the decoder's outputs start around ``outputs``."""
    bias = last_module(vae.decoder).bias
    with torch.no_grad():
        bias.copy_(outputs)  # type: ignore[operator]


def restored(architecture: tuple[Any, ...], state: State) -> VAE:
    """The VAE of an architecture, with a state that was pickled."""
    with seed_torch(0):  # the weights drawn are overwritten
        vae = VAE(*architecture)
    vae.to(torch.from_numpy(state["free"]).dtype)
    vae.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return vae.eval()


def built(builder: Builder, name: str, n_inputs: int, n_outputs: int) -> nn.Module:
    """The module that a builder builds, if it does what a builder must."""
    try:
        module = builder(n_inputs, n_outputs)
    except Exception as error:
        raise TypeError(
            f"`{name}` must be a callable(n_inputs, n_outputs) that returns a torch module; got "
            f"{type(error).__name__} ({error}) for n_inputs={n_inputs}, n_outputs={n_outputs}. "
            "Return torch.nn.Sequential(...)."
        ) from error
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"`{name}` must be a callable(n_inputs, n_outputs) that returns a torch module; got "
            f"one that returns a {type(module).__name__}. Return torch.nn.Sequential(...)."
        )
    module.eval()
    with torch.no_grad():
        try:
            outputs = module(torch.zeros(2, n_inputs))
        except Exception as error:
            raise ValueError(
                f"`{name}` must map shape (n, {n_inputs}) to (n, {n_outputs}); got "
                f"{type(error).__name__} ({error}). Its builder is called with "
                f"n_inputs={n_inputs}, n_outputs={n_outputs}."
            ) from error
    module.train()
    if not isinstance(outputs, Tensor) or outputs.dtype != torch.float32:
        raise TypeError(
            f"`{name}` must return a float32 tensor; got {getattr(outputs, 'dtype', type(outputs))}"
            ". Return torch.nn.Sequential(...)."
        )
    reached = tuple(outputs.shape)
    if reached != (2, n_outputs):
        raise ValueError(
            f"`{name}` must map shape (n, {n_inputs}) to (n, {n_outputs}); got shape {reached} for "
            f"n=2. Its builder is called with n_inputs={n_inputs}, n_outputs={n_outputs}."
        )
    return module
