"""Start of an autoencoder whose networks have linear parts, at a factor analysis of its data.

With normal noise and the prior N(0, I), the best linear model is a factor analysis. The linear part
of the decoder starts at this model, the linear part of the encoder at its means of z given a row,
and hidden layers start with outputs of zero. The ELBO is then the log density under that model.
Training adds what is not linear.
"""

import numpy as np
import torch

from .._validation import FloatArray
from ..likelihoods import Likelihood
from ..networks import linear_part, set_linear_part
from ..priors import StandardNormal
from .batches import Batch
from .factors import ROWS_PER_FACTOR, Factors, Mask
from .model import VAE, hide

MAX_ROWS = 5000  # number of rows from which the factors are learned
RIDGE = 0.01  # penalty per row in the regression of moments of z on encoder inputs


def is_normal(likelihood: Likelihood, n_features: int) -> bool:
    """Return True if x given z is normal, with variances that do not depend on z."""
    parameters = likelihood.parameters_at(np.ones(n_features))
    return likelihood.linear_variance(torch.from_numpy(parameters)) is not None


def can_start_linear(vae: VAE, n_rows: int) -> bool:
    """Return True if networks have linear parts, x and z are normal, and rows are enough."""
    normal = is_normal(vae.likelihood, vae.architecture.n_features)
    is_standard = isinstance(vae.architecture.prior, StandardNormal)
    parts = linear_part(vae.encoder), linear_part(vae.decoder)
    is_possible = normal and is_standard and not vae.architecture.n_context
    return is_possible and None not in parts and n_rows >= ROWS_PER_FACTOR


def start_at_factors(vae: VAE, rows: Batch, masking: float, seed: int) -> None:
    """Set the weights of networks that have linear parts by a factor analysis of rows."""
    rng = np.random.default_rng(seed)
    X, mask = some_rows(rows, rng)
    floor, shared = smallest_variance(vae), len(vae.global_parameters) == 1
    found = Factors.fit(X, mask, vae.n_components, shared=shared, floor=floor)
    factors = found.extend(vae.n_components, rng).rotate()
    hidden = None
    if vae.architecture.sees_mask:
        hidden = rng.random(X.shape) < masking
        hidden = hidden if mask is None else hidden | mask
    set_linear_part(vae.decoder, factors.weights, factors.mean)
    set_linear_part(vae.encoder, *encoder_weights(factors, X, hidden))
    parameters = vae.likelihood.parameters_at(factors.variance)
    with torch.no_grad():
        vae.global_parameters.copy_(torch.from_numpy(parameters))


def smallest_variance(vae: VAE) -> float:
    """Return the smallest variance of the noise at which training may start."""
    likelihood = vae.likelihood.without_constants()  # whose variances are infinite
    parameters = likelihood.parameters_at(np.zeros(vae.architecture.n_features))
    variance = likelihood.linear_variance(torch.from_numpy(parameters))
    assert variance is not None  # by `can_start_linear`
    return float(variance.min())


def some_rows(rows: Batch, rng: np.random.Generator) -> tuple[FloatArray, Mask | None]:
    """Return up to `MAX_ROWS` rows as arrays, with 0 in missing cells, and their mask."""
    index = np.arange(rows.n_rows)
    if rows.n_rows > MAX_ROWS:
        index = np.sort(rng.choice(index, MAX_ROWS, replace=False))
    batch = rows.select(torch.from_numpy(index))
    X = np.ascontiguousarray(hide(batch.x, batch.mask).double().cpu().numpy())
    return X, None if batch.mask is None else batch.mask.cpu().numpy()


def encoder_weights(
    factors: Factors, X: FloatArray, mask: Mask | None
) -> tuple[FloatArray, FloatArray]:
    """Return weights and bias of an encoder for means and log variances of z.

    They are exact for complete rows. For an encoder that gets a mask, they come from a regression
    of the means of z on the observed cells and the mask.
    """
    variance = 1 / factors.precision.diagonal()
    slopes = variance[:, None] * factors.scaled_weights.T
    weights = np.vstack([slopes, np.zeros_like(slopes)])
    bias = np.concatenate([-slopes @ factors.mean, np.log(variance)])
    if mask is None:
        return weights, bias
    mean, covariance = factors.posterior(X, mask)
    moments = np.hstack([mean, np.log(covariance.diagonal(0, 1, 2))])
    seen = np.where(mask, 0.0, X)
    inputs = np.hstack([seen, mask, np.ones((len(X), 1))])
    penalty = RIDGE * len(X) * np.eye(inputs.shape[1])
    rest = moments - seen @ weights.T - bias
    further = np.linalg.solve(inputs.T @ inputs + penalty, inputs.T @ rest).T
    n_features = X.shape[1]
    weights = np.hstack([weights + further[:, :n_features], further[:, n_features:-1]])
    return weights, bias + further[:, -1]
