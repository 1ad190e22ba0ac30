"""Missing cells of x given the observed ones: conditional means and draws.

Cells are independent given z, so that p(missing | observed) is the mean of p(missing | z) over p(z
| observed). With a linear decoder, normal noise and the prior N(0, I), z given the observed cells
is normal in closed form (Tipping and Bishop 1999, eq. 7, for the observed cells of each row).
Otherwise codes are drawn around their posterior, as for the estimate of log p(x). Means weight them
(self-normalized importance sampling). Draws resample them in proportion to their weights (sampling
importance resampling, Rubin 1987). In many dimensions the codes are drawn around the mode of the
posterior, with the decoder linearized there.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._validation import FloatArray
from ..networks import MLP, PlusLinear
from ..priors import StandardNormal
from ..priors._base import LatentDistribution
from .batches import EVALUATION_ROWS, Batch, map_blocks
from .building import WithBias
from .importance import FEWEST_DRAWS, WIDER, Draws, log_mixture, map_draws, map_noise
from .model import VAE, hide

N_PROPOSALS = 512  # codes per row, for means or to resample from
DRAWS_AT_ONCE = 64  # draws per row that are resampled from the same proposals
FEWEST_DIMENSIONS = 4  # from which on pilot points over the prior are too sparse
N_NEWTON_STEPS = 6
STEP_LENGTHS = (1.0, 0.5, 0.2, 0.05, 0.0)  # relative to the full step; the best one is taken
AFFINE = (nn.Linear, nn.Identity, nn.Sequential, WithBias)


class LinearModel(NamedTuple):
    """The model x = W z + b + noise, with independent normal noise and z ~ N(0, I)."""

    weights: Tensor  # W, of shape (n_features, n_components), or one for each row
    bias: Tensor  # b, of shape (n_features,), or one for each row
    variance: Tensor  # of the noise, of shape (n_features,)

    def posterior(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of z given the observed cells, and Cholesky factors of the precisions."""
        share = (~mask).to(x.dtype) / self.variance
        precision = self.weights.mT @ (share[..., None] * self.weights)
        factor = torch.linalg.cholesky(precision + torch.eye(self.weights.shape[-1]).to(x))
        projected = self.weights.mT @ (hide(x - self.bias, mask) * share)[..., None]
        return torch.cholesky_solve(projected, factor)[..., 0], factor


def unwhiten(factor: Tensor, steps: Tensor) -> Tensor:
    """Turn standard normal steps into those of a normal distribution, by its precision's factor."""
    return torch.linalg.solve_triangular(factor.mT, steps[..., None], upper=True)[..., 0]


@torch.no_grad()
def linear_model(vae: VAE) -> LinearModel | None:
    """Return the networks as a `LinearModel` if they are linear and normal, else None."""
    variance = vae.likelihood.linear_variance(vae.global_parameters)
    is_standard = isinstance(vae.architecture.prior, StandardNormal)
    is_affine = all(isinstance(module, AFFINE) for module in vae.decoder.modules())
    if variance is None or not (is_standard and is_affine):
        return None
    codes = torch.cat([torch.zeros(1, vae.n_components), torch.eye(vae.n_components)])
    bias, *rows = vae.outputs(codes.to(vae.global_parameters))
    return LinearModel(torch.stack(rows, 1) - bias[:, None], bias, variance.expand_as(bias))


def has_modes(vae: VAE) -> bool:
    """Return True if codes are drawn around modes, in many dimensions and by `linearize`."""
    normal = vae.likelihood.linear_variance(vae.global_parameters) is not None
    prior, decoder = vae.architecture.prior, vae.architecture.decoder
    is_ours = isinstance(prior, StandardNormal) and isinstance(decoder, MLP)
    return normal and is_ours and vae.n_components >= FEWEST_DIMENSIONS


def linearize(vae: VAE, z: Tensor) -> LinearModel:
    """Return the linear model that agrees with the decoder near z, one for each row."""
    unit = torch.eye(vae.n_components).to(z).expand(len(z), -1, -1)
    outputs, slopes = differentiate(vae.decoder, z, unit)
    variance = vae.likelihood.linear_variance(vae.global_parameters)
    assert variance is not None  # by `has_modes`
    bias = outputs - (z[:, None] @ slopes)[:, 0]
    return LinearModel(slopes.mT, bias, variance.expand(outputs.shape[-1]))


def differentiate(module: nn.Module, x: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
    """Return outputs of a perceptron at x, and their derivatives, given those of x (chain rule)."""
    if isinstance(module, nn.Sequential):
        for layer in module:
            x, slopes = differentiate(layer, x, slopes)
        return x, slopes
    if isinstance(module, PlusLinear):
        pairs = [differentiate(part, x, slopes) for part in (module.body, module.linear)]
        return pairs[0][0] + pairs[1][0], pairs[0][1] + pairs[1][1]
    if isinstance(module, nn.Linear):
        return module(x), slopes @ module.weight.T
    with torch.enable_grad():  # an activation function
        inputs = x.detach().requires_grad_()
        outputs = module(inputs)
        (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    return outputs.detach(), slopes * slope[:, None]


def posterior_modes(vae: VAE, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return modes of p(z | observed), by Gauss-Newton, and factors of the precisions there."""
    z, _ = vae.moments(x, mask=mask)
    lengths = torch.tensor(STEP_LENGTHS).to(x)[:, None, None]
    for _ in range(N_NEWTON_STEPS):
        target, _ = linearize(vae, z).posterior(x, mask)
        tried = z + lengths * (target - z)
        log_joint = vae.log_weight(x, tried, vae.outputs(tried), torch.zeros(()).to(x), mask=mask)
        z = tried[log_joint.argmax(0), torch.arange(len(z))]
    return z, linearize(vae, z).posterior(x, mask)[1]


def draw_around_modes(vae: VAE, batch: Batch, noise: Tensor) -> Draws:
    """Draw codes around the modes; a tenth of them comes from a wider distribution."""
    mask = torch.zeros_like(batch.x, dtype=torch.bool) if batch.mask is None else batch.mask
    mode, factor = posterior_modes(vae, batch.x, mask)
    n_wide = len(noise) // FEWEST_DRAWS
    steps = noise.clone()
    steps[:n_wide] *= WIDER
    outputs = vae.outputs(z := mode + unwhiten(factor, steps))
    log_q = log_mixture(steps, n_wide / len(noise)) + factor.diagonal(0, -2, -1).log().sum(-1)
    return Draws(outputs, vae.log_weight(batch.x, z, outputs, log_q, mask=batch.mask))


def map_posterior(
    function: Callable[[Batch, Draws], Tensor], vae: VAE, views: Batch, X: FloatArray, seed: int,
    n_points: int = N_PROPOSALS,
) -> FloatArray:  # fmt: skip
    """Apply ``function`` to blocks of rows and weighted draws of their codes."""
    if not has_modes(vae):
        return map_draws(function, vae, views, [X], n_points, seed)

    def of_block(batch: Batch, noise: Tensor) -> Tensor:
        return function(batch, draw_around_modes(vae, batch, noise))

    return map_noise(of_block, vae, views, [X], n_points, seed)


def conditional_means(vae: VAE, views: Batch, X: FloatArray) -> FloatArray:
    """Return the means of all cells given the observed ones, as the networks see them."""
    if model := linear_model(vae):
        return map_blocks(
            lambda x, mask: vae.decode_mean(model.posterior(x, mask)[0]), *views.parts
        )

    def means(_: Batch, draws: Draws) -> Tensor:
        weights = torch.softmax(draws.log_weights, 0)
        return vae.likelihood.mixture_mean(draws.outputs, vae.global_parameters, weights)

    return map_posterior(means, vae, views, X, seed=0)


def conditional_draws(
    vae: VAE, views: Batch, X: FloatArray, n_draws: int, noisy: bool, rng: np.random.Generator
) -> FloatArray:
    """Draw all cells given the observed ones, of shape (n_draws, n_rows, n_features)."""
    noise, model = torch.Generator().manual_seed(int(rng.integers(2**63))), linear_model(vae)

    def decode(outputs: Tensor) -> Tensor:
        """Turn outputs of shape (n_draws, n_rows, n_outputs) into cells, rows first."""
        flat, parameters = outputs.flatten(0, 1), vae.global_parameters
        mean, draw = vae.likelihood.mean, vae.likelihood.draw
        cells = draw(flat, parameters, noise) if noisy else mean(flat, parameters)
        return cells.unflatten(0, outputs.shape[:2]).movedim(1, 0)

    def draw(n: int) -> FloatArray:
        if model:
            block = max(1, EVALUATION_ROWS // n)
            of_block = _exact_sampler(vae, model, n, decode, noise)
            return map_blocks(of_block, *views.parts, n_rows=block)
        seed = int(rng.integers(2**63))
        return map_posterior(_importance_resampler(vae, n, decode, noise, rng), vae, views, X, seed)

    starts = range(0, n_draws, DRAWS_AT_ONCE)
    parts = [draw(min(DRAWS_AT_ONCE, n_draws - start)) for start in starts]
    return np.moveaxis(np.concatenate(parts, axis=1), 1, 0)


def _exact_sampler(
    vae: VAE, model: LinearModel, n: int, decode: Callable[[Tensor], Tensor], noise: torch.Generator
) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function that draws a block of rows from the exact posterior of a linear model."""

    def draw(x: Tensor, mask: Tensor) -> Tensor:
        mean, factor = model.posterior(x, mask)
        steps = torch.randn((n, *mean.shape), generator=noise, dtype=mean.dtype).to(mean.device)
        return decode(vae.outputs(mean + unwhiten(factor, steps)))

    return draw


def _importance_resampler(
    vae: VAE, n: int, decode: Callable[[Tensor], Tensor], noise: torch.Generator,
    rng: np.random.Generator,
) -> Callable[[Batch, Draws], Tensor]:  # fmt: skip
    """Return a function that resamples codes; rows without observed cells draw from the prior."""

    def draw(batch: Batch, draws: Draws) -> Tensor:
        weights = torch.softmax(draws.log_weights, 0).T.cpu()
        chosen = torch.multinomial(weights, n, replacement=True, generator=noise).T
        rows = torch.arange(chosen.shape[1])
        outputs = draws.outputs[chosen.to(batch.x.device), rows.to(batch.x.device)]
        if n_empty := int((empty := batch.mask.all(1)).sum()):
            prior: LatentDistribution = vae.prior()
            z = prior.sample(n * n_empty, rng).to(batch.x).unflatten(0, (n, n_empty))
            outputs[:, empty] = vae.outputs(z)
        return decode(outputs)

    return draw
