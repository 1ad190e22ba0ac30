"""Estimates of log p(x) against quadrature over z."""

from math import log

import numpy as np
import pytest
import torch
from scipy import stats
from small_vae import (
    BODY,
    CASES,
    FEW,
    LIKELIHOODS,
    N_FEATURES,
    N_ROWS,
    NormalByContext,
    build_vae,
    draw_rows,
    grid_of_codes,
    log_joint,
    log_marginal,
    normal,
    random_vae,
)  # fmt: skip
from torch import nn

from skgen._autoencoder.importance import (
    PilotPoints,
    estimate_log_prob,
    pilot_points,
    posterior_moments,
)
from skgen.likelihoods import Gaussian
from skgen.networks import MLP

pytestmark = pytest.mark.usefixtures("one_torch_thread", "seeded_weights")


@pytest.fixture(params=CASES)
def vae(request, rng):
    likelihood, n_components = request.param
    return random_vae(rng, LIKELIHOODS[likelihood], n_components)


@pytest.fixture
def x(vae, rng):
    """Rows that the VAE draws itself."""
    return draw_rows(rng, vae)


def estimates(vae, x, n_draws, rng, n_repeats=1, **more):
    """Repeated estimates for each row, of shape (n_repeats, N_ROWS)."""
    noise = normal(rng, n_draws, n_repeats * N_ROWS, vae.n_components)
    more = {name: rows.repeat(n_repeats, 1) for name, rows in more.items()}
    pilot = pilot_points(vae, 200, more.get("context"))
    with torch.no_grad():
        found = estimate_log_prob(vae, x.repeat(n_repeats, 1), noise, n_draws // 10, pilot, **more)
    return found.view(n_repeats, N_ROWS)


def mislead(vae):
    """Let the encoder be sure of codes that are far from the posterior."""
    with torch.no_grad():
        vae.encoder[-1].bias[: vae.n_components] += 6
        vae.encoder[-1].bias[vae.n_components :] -= 3


@pytest.mark.parametrize("misled", [False, True])
def test_the_mean_of_the_estimated_densities_is_the_density(misled, vae, x, rng):
    """So the mean of their logarithms, the estimates, is a lower bound."""
    if misled:
        mislead(vae)
    assert_mean_is_1((estimates(vae, x, 20, rng, n_repeats=2000) - log_marginal(vae, x)).exp())


def assert_mean_is_1(ratios):
    error = ratios.std(0) / len(ratios) ** 0.5
    assert error.max() < 0.1
    assert ((ratios.mean(0) - 1).abs() / error).max() < FEW


@pytest.mark.slow
def test_so_it_is_with_context_mask_and_another_prior(vae, x, rng):
    more = {"n_context": 2, "sees_mask": True, "prior": NormalByContext()}
    vae = random_vae(rng, vae.likelihood, vae.n_components, **more)
    given = {"context": normal(rng, N_ROWS, 2), "mask": torch.rand(x.shape) < 0.5}
    expected = log_marginal(vae, x, **given)
    unknown = torch.where(given["mask"], torch.nan, x)
    assert_mean_is_1((estimates(vae, unknown, 20, rng, n_repeats=2000, **given) - expected).exp())


def test_the_estimate_finds_what_the_encoder_misses(vae, x, rng):
    mislead(vae)
    expected = log_marginal(vae, x)
    noise = normal(rng, 500, N_ROWS, vae.n_components)
    with torch.no_grad():
        assert (vae.bound(x, noise) - expected).mean() < -1
    assert (estimates(vae, x, 500, rng) - expected).abs().max() < 0.2


def test_pilot_points_give_the_moments_of_the_posterior(vae, x):
    z, _ = grid_of_codes(vae)
    with torch.no_grad():
        weights = torch.softmax(log_joint(vae, x, z), 0)[..., None]
        expected = (weights * z[:, None]).sum(0)
        variance = (weights * (z[:, None] - expected).square()).sum(0)
        mean, std = posterior_moments(vae, x, pilot_points(vae, 4096))
        own = vae.encode(x).variance
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.02)
    torch.testing.assert_close(std.square() - own, variance, rtol=0.05, atol=0)


@pytest.mark.parametrize("n_components", [1, 2, 20_000])
def test_pilot_points_are_spread_evenly_whatever_the_seed(n_components):
    vae = build_vae(nn.Linear, MLP(()), Gaussian(), N_FEATURES, n_components).double()
    generator = torch.get_rng_state()
    z, outputs = (values[:, 0] for values in pilot_points(vae, 255))
    assert torch.equal(torch.get_rng_state(), generator)
    assert torch.equal(outputs, vae.outputs(z))
    assert z.isfinite().all()
    torch.testing.assert_close(z.mean(0), torch.zeros_like(z[0]), rtol=0, atol=0.1)
    torch.testing.assert_close(z.std(0), torch.full_like(z[0], 2), rtol=0, atol=0.1)


class Undefined(nn.Module):
    """nan for large codes."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.linear = nn.Linear(n_inputs, n_outputs)

    def forward(self, z):
        return self.linear(z) + 0 * torch.log(4 - z.abs().sum(-1, keepdim=True))


def test_pilot_points_without_outputs_count_for_nothing(rng):
    vae = build_vae(BODY, Undefined, Gaussian(), N_FEATURES, 2).double()
    x = normal(rng, N_ROWS, N_FEATURES)
    z, outputs = pilot = pilot_points(vae, 50)
    assert 0 < outputs.isnan().any(-1).sum() < 50
    with torch.no_grad():
        defined = outputs.isfinite().all(-1)[:, 0]
        some = posterior_moments(vae, x, PilotPoints(z[defined], outputs[defined]))
        torch.testing.assert_close(posterior_moments(vae, x, pilot), some)
        q = vae.encode(x)
        blind = posterior_moments(vae, x, PilotPoints(z, torch.full_like(outputs, torch.nan)))
    torch.testing.assert_close(blind, (q.mean, q.stddev))


@pytest.mark.parametrize("n_components", [8, 50])
def test_in_many_dimensions_a_good_encoder_is_left_alone(n_components, rng):
    n_features, variance = 2 * n_components, 0.01 + 1e-6
    W = torch.linalg.qr(normal(rng, n_features, n_components)).Q  # then q(z | x) can be exact
    vae = build_vae(MLP(()), MLP(()), Gaussian(), n_features, n_components).double()
    with torch.no_grad():
        vae.global_parameters.fill_(log(0.01))
        vae.decoder[0].weight.copy_(W)
        vae.decoder[0].bias.zero_()
        vae.encoder[0].weight.copy_(torch.cat([W.T / (1 + variance), torch.zeros_like(W.T)]))
        vae.encoder[0].bias[:n_components] = 0
        vae.encoder[0].bias[n_components:] = log(variance / (1 + variance))
    x = normal(rng, N_ROWS, n_components) @ W.T + 0.1 * normal(rng, N_ROWS, n_features)
    with torch.no_grad():
        mean, std = posterior_moments(vae, x, pilot_points(vae, 500))
        q = vae.encode(x)
    torch.testing.assert_close((mean, std), (q.mean, q.stddev))
    covariance = (W @ W.T).numpy() + variance * np.eye(n_features)
    log_p = stats.multivariate_normal(np.zeros(n_features), covariance).logpdf(x.numpy())
    np.testing.assert_allclose(estimates(vae, x, 500, rng)[0], log_p, atol=0.3)
