"""Missing cells of x given the observed ones: conditional means and draws.

p(missing | observed) = E p(missing | z) over p(z | observed), since cells are independent given z.
With a linear decoder, normal noise and the prior N(0, I), z given the observed cells is normal in
closed form (Tipping and Bishop 1999, eq. 7, by rows and features). Otherwise codes are drawn from
around their posterior, as for the estimate of log p(x), and weighted (self-normalised importance
sampling) or drawn anew in proportion to their weights (sampling importance resampling, Rubin 1987).
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from .._validation import FloatArray
from ..priors import StandardNormal
from ..priors._base import LatentDistribution
from .batches import EVALUATION_ROWS, Batch, map_blocks
from .building import WithBias
from .importance import Draws, map_draws
from .model import VAE, hide

N_PROPOSALS = 512  # codes per row, of which means are taken or some are drawn
DRAWS_AT_ONCE = 64  # of the same proposals
AFFINE = (nn.Linear, nn.Identity, nn.Sequential, WithBias)


class LinearModel(NamedTuple):
    """The model x = W z + b + noise of independent normal noise, with z ~ N(0, I)."""

    weights: Tensor  # W, of shape (n_features, n_components)
    bias: Tensor  # b, of shape (n_features,)
    variance: Tensor  # of the noise, of shape (n_features,)

    def posterior(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Return means of z given the observed cells, and Cholesky factors of the precisions."""
        share = (~mask).to(x.dtype) / self.variance
        precision = torch.einsum("nd,di,dj->nij", share, self.weights, self.weights)
        factor = torch.linalg.cholesky(precision + torch.eye(self.weights.shape[1]).to(x))
        projected = (hide(x - self.bias, mask) * share) @ self.weights
        return torch.cholesky_solve(projected[..., None], factor)[..., 0], factor


@torch.no_grad()
def linear_model(vae: VAE) -> LinearModel | None:
    """Return the model in closed form if it is linear and normal, else None."""
    variance = vae.likelihood.linear_variance(vae.global_parameters)
    is_standard = isinstance(vae.architecture.prior, StandardNormal)
    is_affine = all(isinstance(module, AFFINE) for module in vae.decoder.modules())
    if variance is None or not (is_standard and is_affine):
        return None
    codes = torch.cat([torch.zeros(1, vae.n_components), torch.eye(vae.n_components)])
    bias, *rows = vae.outputs(codes.to(vae.global_parameters))
    return LinearModel(torch.stack(rows, 1) - bias[:, None], bias, variance.expand_as(bias))


def conditional_means(vae: VAE, views: Batch, X: FloatArray) -> FloatArray:
    """Return the means of all cells given the observed ones, as the networks see them."""
    if model := linear_model(vae):
        return map_blocks(
            lambda x, mask: vae.decode_mean(model.posterior(x, mask)[0]), *views.parts
        )

    def means(_: Batch, draws: Draws) -> Tensor:
        weights = torch.softmax(draws.log_weights, 0)
        return vae.likelihood.mixture_mean(draws.outputs, vae.global_parameters, weights)

    return map_draws(means, vae, views, [X], N_PROPOSALS, seed=0)


def conditional_draws(
    vae: VAE, views: Batch, X: FloatArray, n_draws: int, noisy: bool, rng: np.random.Generator
) -> FloatArray:
    """Draw all cells given the observed ones, of shape (n_draws, n_rows, n_features)."""
    noise, model = torch.Generator().manual_seed(int(rng.integers(2**63))), linear_model(vae)

    def decode(outputs: Tensor) -> Tensor:
        """From outputs of shape (n_draws, n_rows, n_outputs) to cells, rows first."""
        flat, parameters = outputs.flatten(0, 1), vae.global_parameters
        mean, draw = vae.likelihood.mean, vae.likelihood.draw
        cells = draw(flat, parameters, noise) if noisy else mean(flat, parameters)
        return cells.unflatten(0, outputs.shape[:2]).movedim(1, 0)

    def draw(n: int) -> FloatArray:
        if model:
            block = max(1, EVALUATION_ROWS // n)
            of_block = _exact(vae, model, n, decode, noise)
            return map_blocks(of_block, *views.parts, n_rows=block)
        seed = int(rng.integers(2**63))
        return map_draws(_resampled(vae, n, decode, noise, rng), vae, views, [X], N_PROPOSALS, seed)

    starts = range(0, n_draws, DRAWS_AT_ONCE)
    parts = [draw(min(DRAWS_AT_ONCE, n_draws - start)) for start in starts]
    return np.moveaxis(np.concatenate(parts, axis=1), 1, 0)


def _exact(
    vae: VAE, model: LinearModel, n: int, decode: Callable[[Tensor], Tensor], noise: torch.Generator
) -> Callable[[Tensor, Tensor], Tensor]:
    """Draws of a block of rows by the exact posterior of a linear model."""

    def draw(x: Tensor, mask: Tensor) -> Tensor:
        mean, factor = model.posterior(x, mask)
        steps = torch.randn((n, *mean.shape, 1), generator=noise, dtype=mean.dtype).to(mean.device)
        z = mean + torch.linalg.solve_triangular(factor.mT, steps, upper=True)[..., 0]
        return decode(vae.outputs(z))

    return draw


def _resampled(
    vae: VAE, n: int, decode: Callable[[Tensor], Tensor], noise: torch.Generator,
    rng: np.random.Generator,
) -> Callable[[Batch, Draws], Tensor]:  # fmt: skip
    """Draws of a block of rows by resampling; rows without observed cells are from the prior."""

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
