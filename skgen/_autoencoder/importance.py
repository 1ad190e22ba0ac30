"""Estimate of log p(x) by importance sampling, with draws around the posterior of each row.

The encoder may miss the posterior of a row. So the mean and standard deviations of the posterior
are estimated first, from the encoder's mean and from pilot points spread over the prior. The draws
come from a mixture of N(mean, std^2) and a wider normal distribution, so that the tails are thick
enough. The importance weights are those of draws from the mixture (the balance heuristic of Veach
and Guibas 1995). The mixture depends on x, and not on the draws, so that the expectation of the
estimate is a lower bound of log p(x).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .._validation import FloatArray
from ..priors._base import LatentDistribution
from .batches import EVALUATION_ROWS, Batch, as_tensor, map_blocks
from .model import VAE
from .row_noise import row_keys, sobol_points, uniforms

MAX_PILOT_POINTS = 512  # by which posteriors are located before codes are drawn
SECOND_STREAM = np.uint64(0x5DEECE66D)  # turns the key of a row into that of an independent stream
FEWEST_DRAWS = 10  # for the mixture, so that one of them is from its wide part
WIDER = 4.0
"""Standard deviation of the wide part of the mixture, relative to the other part."""
PILOT_SPREAD = 2.0
"""Standard deviation of the pilot points, relative to the prior: codes may lie far out in it."""


class PilotPoints(NamedTuple):
    """Codes spread over the prior, and the decoder's outputs for them.

    Both have shape (n_points, n_samples, ...) with a context. Without one they are the same for all
    rows and have shape (n_points, 1, ...).
    """

    z: Tensor
    outputs: Tensor


class Draws(NamedTuple):
    """Draws of codes around the posteriors of rows, with the decoder's outputs for them."""

    outputs: Tensor  # of shape (n_importance_samples, n_samples, n_outputs)
    log_weights: Tensor  # of shape (n_importance_samples, n_samples)


def estimate_log_probs(
    vae: VAE, views: Batch, tables: list[FloatArray], n_points: int, seed: int
) -> FloatArray:
    """Estimate log p(x) of each row of views on the device of ``vae``, in nats.

    Random numbers follow from the seed and from the values of the row in ``tables``. Fewer than ten
    draws come from the encoder's q(z | x).
    """
    if n_points >= FEWEST_DRAWS:
        return map_draws(lambda _, draws: mean_weight(draws), vae, views, tables, n_points, seed)

    def bound(batch: Batch, noise: Tensor) -> Tensor:
        return vae.bound(batch.x, noise, 1.0, batch.context, batch.mask)

    return map_noise(bound, vae, views, tables, n_points, seed)


def map_draws(
    function: Callable[[Batch, Draws], Tensor], vae: VAE, views: Batch, tables: list[FloatArray],
    n_points: int, seed: int,
) -> FloatArray:  # fmt: skip
    """Apply ``function`` to blocks of rows and draws for them, as for `estimate_log_probs`."""
    n_wide, n_pilot = n_points // FEWEST_DRAWS, min(2 * n_points, MAX_PILOT_POINTS)
    shared_pilot = None if views.context is not None else pilot_points(vae, n_pilot)

    def of_block(batch: Batch, noise: Tensor) -> Tensor:
        pilot = shared_pilot or pilot_points(vae, n_pilot, batch.context)
        draws = draw_codes(vae, batch.x, noise, n_wide, pilot, batch.context, batch.mask)
        return function(batch, draws)

    return map_noise(of_block, vae, views, tables, n_points, seed)


def map_noise(
    function: Callable[[Batch, Tensor], Tensor], vae: VAE, views: Batch, tables: list[FloatArray],
    n_points: int, seed: int,
) -> FloatArray:  # fmt: skip
    """Apply ``function`` to blocks of rows and their noise; grey levels are binarized first."""
    base = as_tensor(sobol_points(n_points, vae.n_components))[:, None]

    def of_block(*blocks: Tensor | FloatArray) -> Tensor:
        given = iter(blocks)
        batch = views.map(lambda _: next(given))
        keys = row_keys(np.hstack([*given]), seed)
        shift = as_tensor(uniforms(keys, vae.n_components))
        if vae.likelihood.binary:
            chance = as_tensor(uniforms(keys ^ SECOND_STREAM, batch.x.shape[1]))
            batch = batch._replace(x=(chance.to(batch.x.device) < batch.x).to(batch.x.dtype))
        noise = torch.special.ndtri(((base + shift) % 1).clamp(1e-16, 1 - 1e-16)).to(batch.x)
        return function(batch, noise)

    return map_blocks(of_block, *views.parts, *tables, n_rows=max(1, EVALUATION_ROWS // n_points))


@torch.no_grad()
def pilot_points(vae: VAE, n_points: int, context: Tensor | None = None) -> PilotPoints:
    """Return the first points of a low-discrepancy sequence, spread more widely than the prior."""
    uniform = torch.from_numpy(sobol_points(n_points + 1, vae.n_components)[1:])  # the first is 0
    standard = torch.special.ndtri(uniform).to(vae.global_parameters)[:, None]
    prior: LatentDistribution = vae.prior(context)
    z = prior.mean + PILOT_SPREAD * prior.stddev * standard
    if context is not None:
        z = z.expand(-1, len(context), -1)
    return PilotPoints(z, vae.outputs(z, context))


def estimate_log_prob(
    vae: VAE, x: Tensor, noise: Tensor, n_wide: int, pilot: PilotPoints,
    context: Tensor | None = None, mask: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Estimate log p(x), or log p(observed cells of x), in nats per row; see `draw_codes`."""
    return mean_weight(draw_codes(vae, x, noise, n_wide, pilot, context, mask))


def mean_weight(draws: Draws) -> Tensor:
    """Return the logarithm of the mean importance weight of draws."""
    return torch.logsumexp(draws.log_weights, 0) - math.log(len(draws.log_weights))


def draw_codes(
    vae: VAE, x: Tensor, noise: Tensor, n_wide: int, pilot: PilotPoints,
    context: Tensor | None = None, mask: Tensor | None = None,
) -> Draws:  # fmt: skip
    """Draw codes around the posteriors of rows.

    Parameters
    ----------
    vae, x, context, mask
        As in `VAE`.
    noise : Tensor of shape (n_importance_samples, n_samples, n_components)
        Standard normal numbers.
    n_wide : int
        Number of draws from the wide part of the mixture, at least 1 and less than all.
    pilot : PilotPoints
        Pilot points, of the same context.
    """
    mean, std = posterior_moments(vae, x, pilot, context, mask)
    steps = noise.clone()
    steps[:n_wide] *= WIDER
    z = torch.addcmul(mean, std, steps)
    log_q = log_mixture(steps, n_wide / len(noise)) - std.log().sum(-1)
    outputs = vae.outputs(z, context)
    log_weights = vae.log_weight(x, z, outputs, log_q, context=context, mask=mask)
    return Draws(outputs, log_weights)


def log_mixture(steps: Tensor, wide_share: float) -> Tensor:
    """Return the log density of steps, draws minus mean in units of the standard deviation.

    It leaves out the constant of normal densities, -1/2 log(2 pi) per dimension.
    """
    log_narrow = -0.5 * steps.square().sum(-1)
    log_wide = log_narrow / WIDER**2 - steps.shape[-1] * math.log(WIDER)
    return torch.logaddexp(log_narrow + math.log1p(-wide_share), log_wide + math.log(wide_share))


def posterior_moments(
    vae: VAE, x: Tensor, pilot: PilotPoints,
    context: Tensor | None = None, mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Estimate mean and standard deviation of p(z | x), each of shape (n_samples, n_components).

    The points are the encoder's mean and the pilot points. Their importance weights are those of
    draws from the distribution of the pilot points. Each point stands for a neighbourhood as wide
    as q(z | x). If no pilot point is near the posterior, as in many dimensions, the result is about
    q(z | x).
    """
    q = vae.encode(x, context, mask)
    prior: LatentDistribution = vae.prior(context)
    z = torch.cat([q.mean[None], pilot.z.expand(-1, *q.mean.shape)])
    log_q = -0.5 * ((z - prior.mean) / (PILOT_SPREAD * prior.stddev)).square().sum(-1)

    def log_weight(points: slice, outputs: Tensor) -> Tensor:
        return vae.log_weight(x, z[points], outputs, log_q[points], context=context, mask=mask)

    of_mean = log_weight(slice(1), vae.outputs(z[:1], context))
    of_pilot = log_weight(slice(1, None), pilot.outputs)  # decoded once, for all rows
    # A decoder may overflow far from all data; such a point gets the weight 0.
    log_weights = torch.cat([of_mean, of_pilot]).nan_to_num(nan=torch.finfo(x.dtype).min)
    weights = torch.softmax(log_weights, 0)[..., None]
    mean = (weights * z).sum(0)
    variance = (weights * (z - mean).square()).sum(0)
    return mean, (variance + q.variance).sqrt()
