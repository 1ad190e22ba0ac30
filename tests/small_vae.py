"""Small VAEs with random parameters, and log p(x) by quadrature over z."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.distributions as td
from torch import nn

from skgen._autoencoder.model import VAE, Architecture
from skgen.likelihoods import PARTS, Bernoulli, ContinuousBernoulli, Gaussian, Mixed, Numeric
from skgen.networks import MLP
from skgen.priors import ConditionalMixture, Flow, LatentDistribution, Mixture, StandardNormal
from skgen.priors._mixture import STEP

N_FEATURES, N_ROWS = 3, 4
FEW = 4.5
"""Standard errors that a mean of draws is allowed: by chance it strays farther once in 150 000."""
BODY = MLP((3,), "tanh")

EXAMPLES = {repr(part): part for cls in PARTS.values() for part in cls._examples()}


def table_of(likelihood, n_features):
    """Rows that any likelihood of tables can be fitted to: numbers, zeros among them, and codes."""
    rng = np.random.default_rng(0)
    X = rng.integers(0, 3, size=(200, n_features)).astype(float)
    if isinstance(likelihood, Mixed | Numeric):
        X[:, 0] *= rng.lognormal(size=200)
    return X


def ready(likelihood, n_features):
    """The likelihood; one whose numbers of outputs are those of the data, fitted."""
    if likelihood.linear_transform:
        return likelihood
    return likelihood.fit(table_of(likelihood, n_features))


def _kind(part):
    sizes = (part.n_outputs(2), part.n_global_parameters(2)) if part.linear_transform else ()
    return type(part), sizes


_OF_A_KIND = {_kind(part): (name, part) for name, part in reversed(EXAMPLES.items())}
LIKELIHOODS = {name: ready(part, N_FEATURES) for name, part in reversed(_OF_A_KIND.values())}
"""One likelihood of each kind and number of parameters."""
OFTEN = {Bernoulli, ContinuousBernoulli, Gaussian, Mixed}
"""Likelihoods of the default suite; others are slow cases, Mixed has parts of each nature."""
CASES = [
    pytest.param(
        (name, n_components),
        id=f"{name}, {n_components}",
        marks=() if type(part) in OFTEN else pytest.mark.slow,
    )
    for name, part in LIKELIHOODS.items()
    for n_components in (1, 2)
]
"""Names of likelihoods, with numbers of latent dimensions."""


@dataclass(frozen=True)
class NormalByContext:
    """Builder of a normal prior with learned moments; its KL is taken from draws."""

    def __call__(self, n_components, n_context=0):
        return _NormalByContext(n_components, n_context)


class _NormalByContext(nn.Module):
    def __init__(self, n_components, n_context):
        super().__init__()
        self.location = nn.Linear(n_context, n_components) if n_context else None
        self.log_scale = nn.Parameter(torch.full((n_components,), 0.1))

    def forward(self, context=None):
        mean = self.location(context) if self.location else torch.zeros_like(self.log_scale)
        return _Normal(len(self.log_scale), mean, self.log_scale.exp())


@dataclass(frozen=True, eq=False)
class _Normal(LatentDistribution):
    n_components: int
    mean: torch.Tensor
    stddev: torch.Tensor

    def log_prob(self, z):
        return td.Normal(self.mean, self.stddev).log_prob(z).sum(-1)

    def from_noise(self, noise):
        return self.mean + self.stddev * noise

    def sample(self, n_samples, generator):
        noise = torch.from_numpy(generator.standard_normal((n_samples, self.n_components)))
        return self.mean + self.stddev * noise.to(self.stddev)


# Bodies of networks.


def without_bias(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs, bias=False)


def bounded(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), nn.Tanh())


def with_statistics(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 5), nn.BatchNorm1d(5), nn.Linear(5, n_outputs))


def with_dropout(n_inputs, n_outputs):
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(n_inputs, n_outputs))


def normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


def build_vae(encoder, decoder, likelihood, n_features, n_components, *, prior=None, **more):
    prior = prior or StandardNormal()
    return VAE(Architecture(encoder, decoder, likelihood, prior, n_features, n_components, **more))


def unit(prior):
    """Unit of a prior's parameters."""
    fast = isinstance(prior, Mixture | ConditionalMixture)
    return STEP if fast else 2 if isinstance(prior, Flow) else 1


def random_vae(rng, likelihood, n_components, **more):
    """A VAE whose q is wide, so that importance weights have a finite variance."""
    vae = build_vae(BODY, BODY, likelihood, N_FEATURES, n_components, **more).double()
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            scale = 0.3 if name.startswith("encoder") else 0.7
            scale /= unit(vae.architecture.prior) if name.startswith("prior") else 1
            parameter.copy_(scale * normal(rng, *parameter.shape))
        vae.encoder[-1].bias[n_components:] += 0.5
        if len(vae.global_parameters):  # no density much narrower than the grid over z
            vae.global_parameters.clamp_(min=-1.8)
    return vae


def draw_rows(rng, vae, n_rows=N_ROWS, context=None):
    with torch.no_grad():
        z = normal(rng, n_rows, vae.n_components)
        return vae.draw(z, torch.Generator().manual_seed(0), context)


def grid(n_components, end, n):
    """About n^n_components nodes of a quadrature over a cube, and logarithms of their weights.

    Gauss and Legendre's in panels, of which two meet at 0: a density may have a kink there.
    """
    n_panels = 2 * (n // 10)
    inner, inner_weights = np.polynomial.legendre.leggauss(5)
    half = end / n_panels
    middles = (2 * np.arange(n_panels) + 1 - n_panels) * half
    line = torch.from_numpy((middles[:, None] + half * inner).ravel())
    log_weights = torch.from_numpy(np.log(half * np.tile(inner_weights, n_panels)))
    nodes = torch.cartesian_prod(*[line] * n_components).reshape(-1, n_components)
    products = torch.cartesian_prod(*[log_weights] * n_components).reshape(-1, n_components)
    return nodes, products.sum(1)


def grid_of_codes(vae):
    return grid(vae.n_components, 9, {1: 2000, 2: 240}[vae.n_components])


def log_joint(vae, x, z, context=None, mask=None):
    """log p(x, z), of shape (n_codes, n_rows), by torch's distributions."""
    z = z[:, None].expand(-1, len(x), -1)
    with torch.no_grad():
        log_prob = vae.decode(z, context).log_prob(x)
        if mask is not None:
            log_prob = torch.where(mask, 0.0, log_prob)
        return log_prob.sum(-1) + vae.prior(context).log_prob(z)


def log_marginal(vae, x, context=None, mask=None):
    """log p(x) as the integral over z of p(x | z) p(z)."""
    z, log_weights = grid_of_codes(vae)
    return torch.logsumexp(log_joint(vae, x, z, context, mask) + log_weights[:, None], 0)


def hermite(n_components, n):
    """Nodes and weights for expectations over standard normal numbers."""
    line, weights = np.polynomial.hermite_e.hermegauss(n)
    nodes = np.stack(np.meshgrid(*[line] * n_components), -1).reshape(-1, n_components)
    tensor = np.stack(np.meshgrid(*[weights / weights.sum()] * n_components), -1)
    return torch.from_numpy(nodes), torch.from_numpy(tensor.prod(-1).ravel())


def mean_elbo(vae, x, **more):
    """Expectation of `elbo` over its noise, by quadrature."""
    nodes, weights = hermite(vae.n_components, 20)
    with torch.no_grad():
        values = [vae.elbo(x, node.expand(len(x), -1), **more) for node in nodes]
    return float(torch.stack(values) @ weights)
