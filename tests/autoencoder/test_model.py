"""Bounds on log p(x) against quadrature over z, torch's distributions and closed forms."""

import copy
import pickle
import pickletools
from itertools import product
from math import log

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import special, stats
from torch import nn
from torch.func import functional_call

from skgen._autoencoder.model import VAE, built, start_at
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skgen.networks import MLP, ConvolutionalDecoder, ConvolutionalEncoder, seed_torch

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N_FEATURES, N_ROWS = 3, 4
FEW = 4.5
"""Standard errors that a mean of draws is allowed: by chance it strays farther once in 150 000."""

LIKELIHOODS = {
    "gaussian, shared": Gaussian(min_scale=0.4),
    "gaussian, feature": Gaussian("feature", min_scale=0.4),
    "gaussian, row": Gaussian("row", min_scale=0.4),
    "bernoulli": Bernoulli(),
    "continuous bernoulli": ContinuousBernoulli(),
}
BODY = MLP((3,), "tanh")


@pytest.fixture(autouse=True)
def _first_weights_are_the_same_in_any_order():
    with seed_torch(0):
        yield


def normal(rng, *shape):
    return torch.from_numpy(rng.normal(size=shape))


@pytest.fixture(params=product(LIKELIHOODS, [1, 2]), ids=lambda param: f"{param[0]}, {param[1]}")
def vae(request, rng):
    """A VAE with random parameters; each q is wide, so that weights have a finite variance."""
    likelihood, n_components = request.param
    vae = VAE(BODY, BODY, LIKELIHOODS[likelihood], N_FEATURES, n_components).double()
    with torch.no_grad():
        for name, parameter in vae.named_parameters():
            scale = 0.3 if name.startswith("encoder") else 0.7
            parameter.copy_(scale * normal(rng, *parameter.shape))
        vae.encoder[-1].bias[n_components:] += 0.5
    return vae


@pytest.fixture
def x(vae, rng):
    """Rows that the VAE draws itself."""
    with torch.no_grad():
        outputs = vae.outputs(normal(rng, N_ROWS, vae.n_components))
        return vae.likelihood.draw(outputs, vae.free, torch.Generator().manual_seed(0))


def grid(n_components, end, n):
    """Nodes of the trapezoidal rule over a cube, and the logarithm of their weight."""
    line = torch.linspace(-end, end, n, dtype=torch.float64)
    nodes = torch.cartesian_prod(*[line] * n_components).reshape(-1, n_components)
    return nodes, n_components * log(2 * end / (n - 1))


def log_marginal(vae, x):
    """log p(x) as the integral over z of p(x | z) p(z)."""
    z, log_weight = grid(vae.n_components, 9, {1: 1001, 2: 151}[vae.n_components])
    prior = td.Normal(0.0, 1.0).log_prob(z).sum(-1)
    with torch.no_grad():
        joint = vae.decode(z[:, None]).log_prob(x).sum(-1) + prior[:, None]
    return torch.logsumexp(joint, 0) + log_weight


def hermite(n_components, n):
    """Nodes and weights for expectations over standard normal numbers."""
    line, weights = np.polynomial.hermite_e.hermegauss(n)
    nodes = np.stack(np.meshgrid(*[line] * n_components), -1).reshape(-1, n_components)
    tensor = np.stack(np.meshgrid(*[weights / weights.sum()] * n_components), -1)
    return torch.from_numpy(nodes), torch.from_numpy(tensor.prod(-1).ravel())


def mean_elbo(vae, x):
    """E of `elbo` over its noise, by quadrature."""
    nodes, weights = hermite(vae.n_components, 20)
    with torch.no_grad():
        values = [vae.elbo(x, node.expand(len(x), -1)) for node in nodes]
    return float(torch.stack(values) @ weights)


# -- law 5 ---------------------------------------------------------------------------------------


def test_the_bounds_rise_from_the_elbo_to_the_log_density(vae, x, rng):
    means, errors = [mean_elbo(vae, x)], [0.0]
    for n_importance_samples, n_repeats in ((5, 2000), (50, 300)):
        noise = normal(rng, n_importance_samples, n_repeats * N_ROWS, vae.n_components)
        with torch.no_grad():
            bounds = vae.bound(x.repeat(n_repeats, 1), noise).view(n_repeats, N_ROWS).mean(1)
        means.append(float(bounds.mean()))
        errors.append(float(bounds.std()) / n_repeats**0.5)
    elbo, few, many = means
    log_p = float(log_marginal(vae, x).mean())
    assert elbo < few + FEW * errors[1]
    assert few < many + FEW * (errors[1] + errors[2])
    assert many < log_p + FEW * errors[2]
    assert log_p - many < (log_p - elbo) / 2, "the bound closes in"


def test_the_bound_converges_to_the_log_density(vae, x, rng):
    n = 20_000
    with torch.no_grad():
        noise = normal(rng, n, N_ROWS, vae.n_components)
        bound, log_weights = vae.bound(x, noise), vae.log_weights(x, noise)
    expected = log_marginal(vae, x)
    error = (log_weights - expected).exp().std(0) / n**0.5  # of the mean weight, relative
    assert error.max() < 0.1
    assert ((bound - expected).abs() / error).max() < FEW


def test_the_mean_of_the_weights_is_the_density(vae, x):
    """As an integral over the noise, which spans all z that matter."""
    std = vae.encode(x).stddev.min().item()
    noise, log_weight = grid(vae.n_components, 12 / min(std, 1), 201)
    with torch.no_grad():
        log_weights = vae.log_weights(x, noise[:, None].expand(-1, N_ROWS, -1))
    log_noise = td.Normal(0.0, 1.0).log_prob(noise).sum(-1, keepdim=True)
    found = torch.logsumexp(log_weights + log_noise, 0) + log_weight
    torch.testing.assert_close(found, log_marginal(vae, x), rtol=0, atol=1e-4)


def test_the_elbo_is_the_mean_of_the_log_weights(vae, x):
    nodes, weights = hermite(vae.n_components, 20)
    with torch.no_grad():
        log_weights = vae.log_weights(x, nodes[:, None].expand(-1, N_ROWS, -1))
    expected = float((weights @ log_weights).mean())
    assert mean_elbo(vae, x) == pytest.approx(expected, rel=1e-7)


def test_the_elbo_and_the_bound_have_right_gradients(vae, x, rng):
    class Value(nn.Module):
        def __init__(self, vae):
            super().__init__()
            self.vae = vae

        def forward(self, name, *arguments):
            return getattr(self.vae, name)(x, *arguments)

    value = Value(vae)
    names, parameters = zip(*value.named_parameters(), strict=True)
    calls = [
        ("elbo", normal(rng, N_ROWS, vae.n_components)),
        ("elbo", normal(rng, N_ROWS, vae.n_components), 0.7, 0.05),
        ("bound", normal(rng, 3, N_ROWS, vae.n_components), 0.7),
    ]
    for call in calls:

        def of_parameters(*values, call=call):
            return functional_call(value, dict(zip(names, values, strict=True)), call)

        assert torch.autograd.gradcheck(of_parameters, parameters)


# -- the estimate --------------------------------------------------------------------------------


def estimates(vae, x, n_draws, rng, n_repeats=1, n_scouts=200):
    """Of each row, again and again: shape (n_repeats, N_ROWS)."""
    noise = normal(rng, n_draws, n_repeats * N_ROWS, vae.n_components)
    with torch.no_grad():
        found = vae.estimate(x.repeat(n_repeats, 1), noise, n_draws // 10, vae.scouts(n_scouts))
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
    ratios = (estimates(vae, x, 20, rng, n_repeats=2000) - log_marginal(vae, x)).exp()
    error = ratios.std(0) / len(ratios) ** 0.5
    assert error.max() < 0.1
    assert ((ratios.mean(0) - 1).abs() / error).max() < FEW


def test_the_estimate_finds_what_the_encoder_misses(vae, x, rng):
    mislead(vae)
    expected = log_marginal(vae, x)
    noise = normal(rng, 500, N_ROWS, vae.n_components)
    with torch.no_grad():
        assert (vae.bound(x, noise) - expected).mean() < -1
    assert (estimates(vae, x, 500, rng) - expected).abs().max() < 0.2


def test_scouts_see_the_moments_of_the_posterior(vae, x):
    z, log_weight = grid(vae.n_components, 9, {1: 1001, 2: 151}[vae.n_components])
    prior = td.Normal(0.0, 1.0).log_prob(z).sum(-1)
    with torch.no_grad():
        log_p = vae.decode(z[:, None]).log_prob(x).sum(-1) + prior[:, None] + log_weight
        weights = torch.softmax(log_p, 0)[..., None]
        expected = (weights * z[:, None]).sum(0)
        variance = (weights * (z[:, None] - expected).square()).sum(0)
        mean, std = vae.posterior(x, vae.scouts(4096))
        own = vae.encode(x).variance
    torch.testing.assert_close(mean, expected, rtol=0, atol=0.02)
    torch.testing.assert_close(std.square() - own, variance, rtol=0.05, atol=0)


@pytest.mark.parametrize("n_components", [1, 2, 20_000])
def test_scouts_are_spread_evenly_whatever_the_seed(n_components):
    vae = VAE(nn.Linear, MLP(()), Gaussian(), N_FEATURES, n_components).double()
    generator = torch.get_rng_state()
    z, outputs = vae.scouts(255)
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


def test_scouts_that_see_nothing_count_for_nothing(rng):
    vae = VAE(BODY, Undefined, Gaussian(), N_FEATURES, 2).double()
    x = normal(rng, N_ROWS, N_FEATURES)
    codes, outputs = vae.scouts(50)
    assert 0 < outputs.isnan().any(-1).sum() < 50
    with torch.no_grad():
        defined = outputs.isfinite().all(-1)
        some = vae.posterior(x, (codes[defined], outputs[defined]))
        torch.testing.assert_close(vae.posterior(x, (codes, outputs)), some)
        q = vae.encode(x)
        blind = vae.posterior(x, (codes, torch.full_like(outputs, torch.nan)))
    torch.testing.assert_close(blind, (q.mean, q.stddev))


@pytest.mark.parametrize("n_components", [8, 50])
def test_in_many_dimensions_a_good_encoder_is_left_alone(n_components, rng):
    n_features, variance = 2 * n_components, 0.01 + 1e-6
    W = torch.linalg.qr(normal(rng, n_features, n_components)).Q  # then q(z | x) can be exact
    vae = VAE(MLP(()), MLP(()), Gaussian(), n_features, n_components).double()
    with torch.no_grad():
        vae.free.fill_(log(0.01))
        vae.decoder[0].weight.copy_(W)
        vae.decoder[0].bias.zero_()
        vae.encoder[0].weight.copy_(torch.cat([W.T / (1 + variance), torch.zeros_like(W.T)]))
        vae.encoder[0].bias[:n_components] = 0
        vae.encoder[0].bias[n_components:] = log(variance / (1 + variance))
    x = normal(rng, N_ROWS, n_components) @ W.T + 0.1 * normal(rng, N_ROWS, n_features)
    with torch.no_grad():
        mean, std = vae.posterior(x, vae.scouts(500))
        q = vae.encode(x)
    torch.testing.assert_close((mean, std), (q.mean, q.stddev))
    covariance = (W @ W.T).numpy() + variance * np.eye(n_features)
    log_p = stats.multivariate_normal(np.zeros(n_features), covariance).logpdf(x.numpy())
    np.testing.assert_allclose(estimates(vae, x, 500, rng)[0], log_p, atol=0.3)


# -- the parts of the bounds ---------------------------------------------------------------------


def test_the_log_weights_are_those_of_the_distributions(vae, x, rng):
    noise = normal(rng, 6, N_ROWS, vae.n_components)
    q = vae.encode(x)
    z = q.mean + q.stddev * noise
    fit = vae.decode(z).log_prob(x).sum(-1)
    ratio = (vae.prior.log_prob(z) - q.log_prob(z)).sum(-1)
    for beta in (0.0, 0.5, 1.0, 4.0):
        found = vae.log_weights(x, noise, beta)
        assert found.shape == (6, N_ROWS)
        torch.testing.assert_close(found, fit + beta * ratio, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("n_importance_samples", [1, 2, 30])
def test_the_bound_is_the_log_of_the_mean_weight(n_importance_samples, vae, x, rng):
    noise = normal(rng, n_importance_samples, N_ROWS, vae.n_components)
    log_weights = vae.log_weights(x, noise, 0.7).detach().numpy()
    expected = special.logsumexp(log_weights, axis=0, b=1 / n_importance_samples)
    found = vae.bound(x, noise, 0.7)
    np.testing.assert_allclose(found.detach(), expected, rtol=1e-12, atol=1e-12)


def test_the_bound_is_finite_where_every_weight_is_zero(rng):
    vae = VAE(BODY, BODY, Gaussian(), N_FEATURES, 2).double()
    x, noise = 1e3 + normal(rng, N_ROWS, N_FEATURES), normal(rng, 5, N_ROWS, 2)
    assert not vae.log_weights(x, noise).exp().any()
    assert vae.bound(x, noise).isfinite().all()


def test_the_kl_is_that_of_torch_and_of_draws(vae, x):
    q = vae.encode(x)
    kl = vae.kl(x)
    torch.testing.assert_close(kl, td.kl_divergence(q, vae.prior), rtol=1e-12, atol=1e-14)
    z = q.sample((20_000,))
    ratio = q.log_prob(z) - td.Normal(0.0, 1.0).log_prob(z)
    assert ((ratio.mean(0) - kl).abs() / (ratio.std(0) / len(z) ** 0.5)).max() < FEW


@pytest.mark.parametrize("free_bits", [0.0, 0.2, 100.0])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_the_elbo_is_fit_minus_beta_times_the_kl_above_the_free_bits(beta, free_bits, vae, x, rng):
    noise = normal(rng, N_ROWS, vae.n_components)
    q = vae.encode(x)
    fit = vae.decode(q.mean + q.stddev * noise).log_prob(x).sum(-1).mean()
    by_dimension = td.kl_divergence(q, vae.prior).mean(0).tolist()
    expected = fit - beta * sum(max(kl, free_bits) for kl in by_dimension)
    found = vae.elbo(x, noise, beta, free_bits)
    assert found.shape == ()
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_free_bits_stop_the_gradient_of_the_kl(vae, x, rng):
    noise = normal(rng, N_ROWS, vae.n_components)
    fit = torch.autograd.grad(vae.elbo(x, noise, 0.0), list(vae.encoder.parameters()))
    free = torch.autograd.grad(vae.elbo(x, noise, 1.0, 100.0), list(vae.encoder.parameters()))
    for one, other in zip(fit, free, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("log_variance", [-1e6, 1e6])
def test_standard_deviations_stay_within_bounds(log_variance):
    vae = VAE(nn.Linear, nn.Linear, Gaussian(), N_FEATURES, 2)
    with torch.no_grad():
        vae.encoder.bias.copy_(torch.tensor([0.0, 0.0, log_variance, log_variance]))
    std = vae.encode(torch.zeros(5, N_FEATURES)).stddev
    assert ((std > 1e-5) & (std < 1e3)).all()
    assert vae.elbo(torch.zeros(5, N_FEATURES), torch.ones(5, 2)).isfinite()


@pytest.mark.parametrize("shape", [(5, 2), (4, 5, 2), (3, 4, 5, 2)])
def test_codes_of_any_shape_are_decoded_one_by_one(shape, rng):
    image = (3, 3)
    for decoder in (BODY, ConvolutionalDecoder(image)):
        vae = VAE(MLP(()), decoder, Bernoulli(), 9, 2).double()
        z = normal(rng, *shape)
        flat = torch.cat([vae.decode(row[None]).mean for row in z.reshape(-1, 2)])
        torch.testing.assert_close(vae.decode(z).mean, flat.view(*shape[:-1], 9))


# -- the linear Gaussian case, in closed form ----------------------------------------------------


def linear_vae(rng, n_components):
    vae = VAE(MLP(()), MLP(()), Gaussian(), N_FEATURES, n_components).double()
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.copy_(0.7 * normal(rng, *parameter.shape))
    decoder = vae.decoder[0]
    W, b = decoder.weight.detach(), decoder.bias.detach()
    return vae, W, b, vae.free.exp().item() + 1e-6


def exact_posterior(W, b, variance, x):
    """N(z | M^-1 W^T (x - b), variance M^-1) with M = W^T W + variance I (Bishop eq. 12.42)."""
    M = W.T @ W + variance * torch.eye(W.shape[1], dtype=W.dtype)
    mean = torch.linalg.solve(M, W.T @ (x - b).T).T
    return td.MultivariateNormal(mean, variance * torch.linalg.inv(M))


@pytest.mark.parametrize("n_components", [1, 2, 3])
def test_the_linear_elbo_is_the_log_density_minus_the_kl_to_the_posterior(n_components, rng):
    vae, W, b, variance = linear_vae(rng, n_components)
    x = normal(rng, N_ROWS, N_FEATURES)
    covariance = (W @ W.T).numpy() + variance * np.eye(N_FEATURES)
    log_p = stats.multivariate_normal(b.numpy(), covariance).logpdf(x.numpy())
    q = td.MultivariateNormal(vae.encode(x).mean, torch.diag_embed(vae.encode(x).variance))
    gap = td.kl_divergence(q, exact_posterior(W, b, variance, x)).detach().numpy()
    nodes, weights = hermite(n_components, 3)  # exact for quadratics
    with torch.no_grad():
        elbo = sum(
            float(weight) * float(vae.elbo(x, node.expand(N_ROWS, -1)))
            for node, weight in zip(nodes, weights, strict=True)
        )
    assert gap.min() > 1e-3
    assert elbo == pytest.approx((log_p - gap).mean(), rel=1e-11)


def test_with_the_exact_posterior_every_weight_is_the_density(rng):
    vae, W, b, variance = linear_vae(rng, 1)
    M = (W.T @ W).item() + variance
    with torch.no_grad():
        vae.encoder[0].weight.copy_(torch.cat([W.T / M, torch.zeros_like(W.T)]))
        vae.encoder[0].bias[0] = -(W.T @ b) / M
        vae.encoder[0].bias[1] = log(variance / M)
    x = 3 * normal(rng, N_ROWS, N_FEATURES)
    covariance = (W @ W.T).numpy() + variance * np.eye(N_FEATURES)
    log_p = stats.multivariate_normal(b.numpy(), covariance).logpdf(x.numpy())
    log_weights = vae.log_weights(x, 3 * normal(rng, 10, N_ROWS, 1)).detach()
    np.testing.assert_allclose(log_weights, np.tile(log_p, (10, 1)), rtol=1e-10)


# -- the module ----------------------------------------------------------------------------------


def without_bias(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs, bias=False)


def bounded(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, n_outputs), nn.Tanh())


def with_statistics(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 5), nn.BatchNorm1d(5), nn.Linear(5, n_outputs))


def with_dropout(n_inputs, n_outputs):
    return nn.Sequential(nn.Dropout(0.5), nn.Linear(n_inputs, n_outputs))


DECODERS = [
    MLP((4,)), MLP(()), nn.Linear, ConvolutionalDecoder((2, 2)), without_bias, bounded,
    with_statistics, with_dropout,
]  # fmt: skip


@pytest.mark.parametrize("scale", ["shared", "row"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_the_decoder_starts_around_given_outputs(decoder, scale, rng):
    vae = VAE(nn.Linear, decoder, Gaussian(scale), 4, 2).double().eval()
    one, other = normal(rng, 2, vae.likelihood.n_heads * 4)
    z = normal(rng, 5, 2)
    start_at(vae, one)
    first = vae.outputs(z)
    start_at(vae, other)
    torch.testing.assert_close(first - vae.outputs(z), (one - other).expand(5, -1))
    assert (first - one).abs().max() < 3
    assert sum(parameter.equal(other) for parameter in vae.parameters()) == 1, "it is learnt"


@pytest.mark.parametrize("decoder", DECODERS)
def test_before_that_the_decoder_gives_what_its_builder_makes(decoder, rng):
    with seed_torch(0):
        encoder_first = nn.Linear(4, 4)
        expected = decoder(2, 4).eval()
    with seed_torch(0):
        vae = VAE(nn.Linear, decoder, Bernoulli(), 4, 2).eval()
    z = normal(rng, 5, 2).float()
    assert torch.equal(vae.encoder.weight, encoder_first.weight)
    assert torch.equal(vae.outputs(z), expected(z))


@pytest.mark.parametrize("builder", DECODERS)
def test_a_module_is_built_ready_for_training(builder):
    module = built(builder, "encoder", 3, 4)
    assert all(part.training for part in module.modules())
    if builder is with_statistics:
        assert module[1].num_batches_tracked == 0


@pytest.mark.parametrize(
    ("builder", "error", "message"),
    [
        (lambda a, b: 3, TypeError, "`encoder` .* returns a torch module; got .* a int"),
        (lambda a, b: nn.Linear, TypeError, "`encoder` .* returns a torch module; got .* a type"),
        (lambda a, b: nn.Linear(a, 1), ValueError, r"\(n, 3\) to \(n, 4\); got shape \(2, 1\)"),
        (lambda a, b: nn.Flatten(0), ValueError, r"`encoder` must map .* got shape \(6,\)"),
        (lambda a, b: nn.Identity(), ValueError, "called with n_inputs=3, n_outputs=4"),
    ],
)
def test_what_is_no_encoder_is_an_error_that_says_so(builder, error, message):
    with pytest.raises(error, match=message):
        built(builder, "encoder", 3, 4)


def state_of(vae):
    return {name: value.clone() for name, value in vae.state_dict().items()}


ARCHITECTURES = [
    (BODY, BODY, Gaussian("feature"), 9, 2),
    (nn.Linear, without_bias, Bernoulli(), 9, 1),
    (ConvolutionalEncoder((3, 3)), ConvolutionalDecoder((3, 3)), Gaussian("row"), 9, 2),
    (with_statistics, bounded, ContinuousBernoulli(), 9, 3),
]
WAYS = {
    "pickle": lambda vae: pickle.loads(pickle.dumps(vae)),
    "deepcopy": copy.deepcopy,
    "twin": VAE.twin,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_copy_computes_the_same_and_lives_for_itself(architecture, way, rng):
    vae = VAE(*architecture)
    with torch.no_grad():
        vae.free.copy_(normal(rng, *vae.free.shape))
    x = torch.from_numpy(rng.uniform(size=(20, 9)).astype(np.float32))
    vae.moments(x)  # for what keeps statistics
    vae.eval()
    before, generator = state_of(vae), torch.get_rng_state()
    twin = WAYS[way](vae)
    assert torch.equal(torch.get_rng_state(), generator)
    assert twin.architecture == vae.architecture
    noise = normal(rng, 20, vae.n_components).float()
    assert torch.equal(twin.elbo(x, noise), vae.elbo(x, noise))
    assert torch.equal(twin.outputs(noise), vae.outputs(noise))
    with torch.no_grad():
        for value in twin.state_dict().values():
            value.add_(1)
    for name, value in state_of(vae).items():
        assert torch.equal(value, before[name]), name


def test_a_twin_keeps_its_builders():
    class Builder:
        def __call__(self, n_inputs, n_outputs):
            return nn.Linear(n_inputs, n_outputs)

    vae = VAE(Builder(), Builder(), Bernoulli(), 3, 2)
    assert vae.twin().architecture is vae.architecture
    assert copy.deepcopy(vae).architecture != vae.architecture


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pickle_holds_arrays_not_tensors(architecture):
    vae = VAE(*architecture)
    parts = [part for _, part, _ in pickletools.genops(pickle.dumps(vae)) if isinstance(part, str)]
    assert not [part for part in parts if "torch._" in part or "_rebuild" in part]
    assert "numpy" in {part.split(".")[0] for part in parts}


def test_networks_for_double_precision_stay_single_themselves():
    vae = VAE(BODY, BODY, Gaussian(), 3, 2)
    assert vae.twin().double().free.dtype == torch.float64
    assert vae.free.dtype == torch.float32
