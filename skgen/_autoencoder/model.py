"""The variational autoencoder as a torch module, and its bounds on log p(x), in nats per row.

z ~ p(z),  x ~ p(x | z)                         the model, p(x | z) by decoder and likelihood
q(z | x) = N(mean(x), diag(std(x)^2))           the encoder
log p(x) >= E_q log p(x | z) - KL(q || prior)   the ELBO (Kingma and Welling 2013, eq. 3)
log p(x) >= E log 1/S sum_s w_s,  w = p(x, z_s) / q(z_s | x)
                                                the importance-weighted bound (Burda, Grosse
                                                and Salakhutdinov 2016, eq. 8)

A context c, if there is one, is an input of encoder, decoder and prior, and all distributions above
are conditional on c. A mask is True for missing cells of x: the encoder sees 0 there, and the
likelihood leaves them out. If cells are hidden from the encoder only, the bounds still hold.
"""

import copy
import math
from collections.abc import Callable
from typing import Any, NamedTuple, Self, cast

import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Tensor, nn
from torch.nn import functional

from .._schema import FLAG, Check, Sizes, Values, integer, is_float32, made_of, store
from ..likelihoods import Likelihood
from ..networks import PARTS as BUILDERS
from ..networks import Builder, seed_torch
from ..priors import PARTS as PRIORS
from ..priors import StandardNormal
from ..priors._base import LatentDistribution, Prior
from .batches import BLOCK_VALUES, row_blocks
from .building import build, build_decoder, build_prior

State = dict[str, npt.NDArray[Any]]

N_KL_DRAWS = 4096  # for all rows together, where the KL has no closed form
SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE = -20.0, 10.0


class Architecture(NamedTuple):
    """Builders of a VAE, and the numbers of dimensions of x, z and c.

    The encoder maps n_features + n_context values to 2 * n_components latent means and log
    variances; with ``sees_mask`` it has n_features more inputs, the mask. The decoder maps
    n_components + n_context values to the ``n_outputs`` of the likelihood.
    """

    encoder: Builder
    decoder: Builder
    likelihood: Likelihood
    prior: Prior
    n_features: int
    n_components: int
    n_context: int = 0
    sees_mask: bool = False


def _are_weights(value: Any, _: Sizes) -> bool:
    return isinstance(value, dict) and all(map(is_float32, value.values()))


NETWORK = made_of(*BUILDERS.values())
CHECKS = {
    "encoder": NETWORK, "decoder": NETWORK, "likelihood": made_of(Likelihood),
    "prior": made_of(*PRIORS.values()), "n_features": integer(1), "n_components": integer(1),
    "n_context": integer(), "sees_mask": FLAG, "weights": Check(_are_weights),
}  # fmt: skip
"""Values of a VAE in files."""


@store(parameters=CHECKS)
class VAE(nn.Module):
    """Encoder, prior and decoder.

    Arguments of its methods are x of shape (n_samples, n_features), z of shape (..., n_samples,
    n_components), a context of shape (n_samples, n_context), and a mask of bool of the shape of x.
    Methods that draw z from the encoder need standard normal numbers ``noise`` of the shape of z.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        encoder, decoder, likelihood, prior = architecture[:4]
        n_features, n_components, n_context, sees_mask = architecture[4:]
        self.architecture, self.likelihood = architecture, likelihood
        n_seen, n_outputs = likelihood.n_inputs(n_features), likelihood.n_outputs(n_features)
        n_inputs = n_seen + n_features * sees_mask + n_context
        self.encoder = build(encoder, "encoder", n_inputs, 2 * n_components)
        self.decoder = build_decoder(decoder, n_components + n_context, n_outputs)
        self.prior = build_prior(prior, n_components, n_context, n_seen, self.moments_of_inputs)
        n_global_parameters = likelihood.n_global_parameters(n_features)
        self.global_parameters = nn.Parameter(torch.zeros(n_global_parameters))
        self.n_components = n_components

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the architecture and weights as numpy arrays, so that no device is needed."""
        return restore, (self.architecture, self._weights())

    def _weights(self) -> State:
        return {name: value.cpu().numpy() for name, value in self.state_dict().items()}

    def _to_record(self) -> Values:
        return {**self.architecture._asdict(), "weights": self._weights()}

    @classmethod
    def _from_record(cls, values: Values) -> "VAE":
        """Build the module without memory, because sizes may be wrong, and assign its weights."""
        weights = values.pop("weights")
        if "free" in weights:  # files of 0.1.0
            weights["global_parameters"] = weights.pop("free")
        fields = (vars(values[name]) for name in ("encoder", "decoder"))
        n_layers = sum(
            len(f.get("hidden_layer_sizes", f.get("n_filters", ()))) * (1 + f.get("n_blocks", 0))
            for f in fields
        )
        if n_layers > len(weights):
            raise ValueError("the networks have more layers than weights")
        with seed_torch(0), torch.device("meta"):
            vae = cls(Architecture(**{"prior": StandardNormal(), **values}))
        expected = {name: tuple(value.shape) for name, value in vae.state_dict().items()}
        if expected != {name: value.shape for name, value in weights.items()}:
            raise ValueError("the weights do not fit the networks")
        state = {name: torch.from_numpy(value) for name, value in weights.items()}
        vae.load_state_dict(state, assign=True)
        return vae.eval()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        twin = memo[id(self)] = type(self).__new__(type(self))
        twin.__dict__ = copy.deepcopy(self.__dict__, memo)
        return twin

    def twin(self) -> Self:
        """Return a copy with its own parameters and the same builders."""
        return copy.deepcopy(self, {id(self.architecture): self.architecture})

    @property
    def device(self) -> torch.device:
        return self.global_parameters.device

    @property
    def dtype(self) -> torch.dtype:
        return self.global_parameters.dtype

    def encode(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> td.Normal:
        """Return q(z | x)."""
        mean, log_variance = self.moments(x, context, mask)
        return td.Normal(mean, torch.exp(0.5 * log_variance), validate_args=False)

    def decode(self, z: Tensor, context: Tensor | None = None) -> td.Distribution:
        """Return p(x | z), independent by feature."""
        return self.likelihood.distribution(self.outputs(z, context), self.global_parameters)

    def decode_mean(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the mean of p(x | z)."""
        return self.likelihood.mean(self.outputs(z, context), self.global_parameters)

    def draw(self, z: Tensor, generator: torch.Generator, context: Tensor | None = None) -> Tensor:
        """Draw x from p(x | z)."""
        outputs = self.outputs(z, context)
        return self.likelihood.draw(outputs, self.global_parameters, generator)

    def moments(
        self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return latent means and log variances, each of shape (n_samples, n_components)."""
        inputs = self.likelihood.encoder_inputs(hide(x, mask), mask)
        return self.moments_of_inputs(inputs, context, mask)

    def moments_of_inputs(
        self, inputs: Tensor, context: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return `moments` for encoder inputs that the likelihood has computed from x."""
        parts = [inputs]
        if self.architecture.sees_mask:
            shape = (*inputs.shape[:-1], self.architecture.n_features)
            parts.append(inputs.new_zeros(shape) if mask is None else mask.to(inputs.dtype))
        if context is not None:
            parts.append(context)
        rows = parts[0] if len(parts) == 1 else torch.cat(parts, -1)
        mean, log_variance = self._map_rows(self.encoder, rows).chunk(2, -1)
        # Equal to `clamp`, whose gradient would take 3 % of a step of small networks.
        return mean, functional.hardtanh(log_variance, SMALLEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE)

    def outputs(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        """Return the decoder's outputs for z of shape (..., n_components)."""
        if context is not None:
            z = torch.cat([z, context.expand(*z.shape[:-1], -1)], -1)
        if z.ndim == 2:
            return self._map_rows(self.decoder, z)
        return self._map_rows(self.decoder, z.reshape(-1, z.shape[-1])).reshape(*z.shape[:-1], -1)

    def _map_rows(self, network: nn.Module, rows: Tensor) -> Tensor:
        """Apply a network to rows, outside training in blocks that fit into the cache of a CPU."""
        n_features = self.architecture.n_features
        is_training = torch.is_grad_enabled()
        # A graph that is exported must not depend on the number of rows.
        if is_training or torch.compiler.is_exporting() or rows.device.type != "cpu":
            return cast(Tensor, network(rows))
        if len(rows) * n_features <= BLOCK_VALUES:
            return cast(Tensor, network(rows))
        blocks = row_blocks(len(rows), n_features)
        return torch.cat([network(rows[block]) for block in blocks])

    def kl(self, x: Tensor, context: Tensor | None = None, mask: Tensor | None = None) -> Tensor:
        """Return KL(q(z | x) || p(z)) of each row and latent dimension."""
        mean, log_variance = self.moments(x, context, mask)
        prior: LatentDistribution = self.prior(context)
        kl = prior.kl(mean, log_variance)
        if kl is None:
            shape = (max(1, N_KL_DRAWS // len(mean)), *mean.shape)
            noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
            kl = prior.kl_of_draws(mean, log_variance, noise.to(mean)).mean(0)
        return kl

    def elbo(
        self, x: Tensor, noise: Tensor, beta: float = 1.0, free_bits: float = 0.0,
        mean_over_batch: Callable[[Tensor], Tensor] | None = None,
        context: Tensor | None = None, mask: Tensor | None = None, hidden: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the mean over rows of the ELBO, its expectation estimated by one draw per row.

        The KL term has the weight ``beta``. The KL of each latent dimension, averaged over the
        batch, counts as at least ``free_bits``. If x is a part of a batch, ``mean_over_batch``
        turns means over x into means over the batch.
        """
        x = hide(x, mask)
        mean, log_variance = self.moments(x, context, mask if hidden is None else hidden)
        std = torch.exp(0.5 * log_variance)
        z = torch.addcmul(mean, std, noise)  # the reparameterization (Kingma and Welling, sec. 2.4)
        outputs = self.outputs(z, context)
        if mask is None:
            data_term = self.likelihood.mean_log_prob(x, outputs, self.global_parameters)
        else:
            data_term = self._sum_log_prob(x, outputs, mask).mean()
        prior: LatentDistribution = self.prior(context)
        if not free_bits:
            return prior.subtract_kl(data_term, beta, mean, log_variance, noise)
        kl = prior.mean_kl(mean, log_variance, noise)
        costs = (mean_over_batch(kl) if mean_over_batch else kl) >= free_bits
        return data_term - beta * torch.where(costs, kl, free_bits).sum()

    def log_weights(
        self, x: Tensor, noise: Tensor, beta: float = 1.0,
        context: Tensor | None = None, mask: Tensor | None = None, hidden: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return log w = log p(x | z) + beta (log p(z) - log q(z | x)) of draws from q.

        The shape is (n_importance_samples, n_samples), that of ``noise`` without its last axis.
        """
        mean, log_variance = self.moments(x, context, mask if hidden is None else hidden)
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        log_q = -0.5 * (noise.square() + log_variance).sum(-1)
        return self.log_weight(x, z, self.outputs(z, context), log_q, beta, context, mask)

    def log_weight(
        self, x: Tensor, z: Tensor, outputs: Tensor, log_q: Tensor, beta: float = 1.0,
        context: Tensor | None = None, mask: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return log w of codes z, given the decoder's outputs and the density of z.

        ``log_q`` leaves out the constant of normal densities, -1/2 log(2 pi) per dimension.
        """
        prior: LatentDistribution = self.prior(context)
        log_ratio = prior.unnormalized_log_prob(z) - log_q
        return self._sum_log_prob(hide(x, mask), outputs, mask) + beta * log_ratio

    def bound(
        self, x: Tensor, noise: Tensor, beta: float = 1.0,
        context: Tensor | None = None, mask: Tensor | None = None, hidden: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return the importance-weighted bound per row; shapes as in `log_weights`."""
        log_weights = self.log_weights(x, noise, beta, context, mask, hidden)
        return torch.logsumexp(log_weights, 0) - math.log(len(noise))

    def trainable_bound(
        self, x: Tensor, noise: Tensor, beta: float = 1.0,
        context: Tensor | None = None, mask: Tensor | None = None, hidden: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """Return `bound`, with the doubly reparameterized gradient for the encoder.

        This gradient has the same expectation (Tucker, Lawson, Gu and Maddison 2019, eq. 8, here
        for any ``beta``). The signal-to-noise ratio of the plain gradient falls with the number of
        draws, so that an encoder hardly learns with twenty draws. The gradients of decoder and
        prior do not change.
        """
        mean, log_variance = self.moments(x, context, mask if hidden is None else hidden)
        std = torch.exp(0.5 * log_variance)
        z = torch.addcmul(mean, std, noise)
        # `path` is 0; it has the gradient of log q along the path through z only.
        path = ((z - z.detach()) * (noise / std.detach())).sum(-1)
        log_q = -0.5 * (noise.square() + log_variance.detach()).sum(-1) - path
        log_weights = self.log_weight(x, z, self.outputs(z, context), log_q, beta, context, mask)
        if z.requires_grad:
            shares = torch.softmax(log_weights.detach(), 0)[..., None]
            z.register_hook(lambda gradient: gradient * (1 - beta + beta * shares))
        return torch.logsumexp(log_weights, 0) - math.log(len(noise))

    def _sum_log_prob(self, x: Tensor, outputs: Tensor, mask: Tensor | None) -> Tensor:
        return self.likelihood.sum_log_prob(x, outputs, self.global_parameters, mask)


def hide(x: Tensor, mask: Tensor | None) -> Tensor:
    """Return x with 0 in missing cells."""
    return x if mask is None else x.masked_fill(mask, 0.0)


def restore(architecture: Architecture, state: State) -> VAE:
    """Return the VAE of an architecture with a pickled state."""
    with seed_torch(0):  # the weights drawn are overwritten
        vae = VAE(architecture)
    vae.to(torch.from_numpy(state["global_parameters"]).dtype)
    vae.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in state.items()})
    return vae.eval()
