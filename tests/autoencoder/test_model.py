"""Bounds on log p(x) against quadrature over z, torch's distributions and closed forms."""

import copy
import pickle
import pickletools
from math import log

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import special, stats
from small_vae import (
    BODY,
    CASES,
    FEW,
    LIKELIHOODS,
    N_FEATURES,
    N_ROWS,
    NormalByContext,
    bounded,
    build_vae,
    draw_rows,
    grid_of_codes,
    hermite,
    log_marginal,
    mean_elbo,
    normal,
    random_vae,
    with_statistics,
    without_bias,
)  # fmt: skip
from torch import nn
from torch.func import functional_call

from skgen._autoencoder import batches, model
from skgen._autoencoder.model import VAE
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skgen.networks import MLP, ConvolutionalDecoder, ConvolutionalEncoder

pytestmark = pytest.mark.usefixtures("one_torch_thread", "seeded_weights")

STANDARD = td.Normal(torch.tensor(0.0, dtype=torch.float64), 1.0)


@pytest.fixture(params=CASES)
def vae(request, rng):
    likelihood, n_components = request.param
    return random_vae(rng, LIKELIHOODS[likelihood], n_components)


@pytest.fixture
def x(vae, rng):
    """Rows that the VAE draws itself."""
    return draw_rows(rng, vae)


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
    """As an integral over the noise, at the nodes that lead to a grid of z."""
    z, log_volumes = grid_of_codes(vae)
    with torch.no_grad():
        q = vae.encode(x)
        noise = (z[:, None] - q.mean) / q.stddev
        log_weights = vae.log_weights(x, noise)
    log_noise = (td.Normal(0.0, 1.0).log_prob(noise) - q.stddev.log()).sum(-1)
    found = torch.logsumexp(log_weights + log_noise + log_volumes[:, None], 0)
    torch.testing.assert_close(found, log_marginal(vae, x), rtol=0, atol=1e-8)


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


def gradients(vae, values):
    """Gradients of the mean of values by the name of a parameter, 0 where it depends on none."""
    named = dict(vae.named_parameters())
    found = torch.autograd.grad(values.mean(), list(named.values()), materialize_grads=True)
    return dict(zip(named, found, strict=True))


@pytest.mark.parametrize("beta", [0.5, 1.0])
def test_the_gradient_in_training_is_on_average_that_of_the_bound(beta, vae, x, rng):
    differences = {name: [] for name, _ in vae.named_parameters()}
    rows = x.repeat(100, 1)
    for _ in range(40):
        noise = normal(rng, 5, len(rows), vae.n_components)
        bound, value = (of(rows, noise, beta) for of in (vae.bound, vae.trainable_bound))
        torch.testing.assert_close(value, bound, rtol=1e-12, atol=1e-12)
        plain, found = gradients(vae, bound), gradients(vae, value)
        for name, values in differences.items():
            values.append((found[name] - plain[name]).numpy())
    for name, values in differences.items():
        error = np.std(values, axis=0) / len(values) ** 0.5
        limit = FEW * error if name.startswith("encoder") else 0.0
        assert (abs(np.mean(values, axis=0)) <= limit + 1e-12).all(), name


def test_the_gradient_in_training_has_no_noise_at_the_posterior(rng):
    """Of one normal feature, whose posterior the encoder gives: all weights are equal."""
    vae = build_vae(nn.Linear, nn.Linear, Gaussian(), 1, 1).double()
    variance = float(vae.global_parameters.detach().exp()) + vae.likelihood.min_scale**2
    slope, x = 0.8, normal(rng, N_ROWS, 1)
    gain = slope / (slope**2 + variance)
    with torch.no_grad():
        vae.decoder.weight.fill_(slope)
        vae.decoder.bias.zero_()
        vae.encoder.weight.copy_(torch.tensor([[gain], [0.0]]))
        vae.encoder.bias.copy_(torch.tensor([0.0, log(1 - gain * slope)]))
    noise = normal(rng, 20, N_ROWS, 1)
    plain = gradients(vae, vae.bound(x, noise))
    trained = gradients(vae, vae.trainable_bound(x, noise))
    for name in ("encoder.weight", "encoder.bias"):
        assert plain[name].abs().max() > 1e-3
        assert trained[name].abs().max() < 1e-8


# -- the parts of the bounds ---------------------------------------------------------------------


def test_the_log_weights_are_those_of_the_distributions(vae, x, rng):
    noise = normal(rng, 6, N_ROWS, vae.n_components)
    q = vae.encode(x)
    z = q.mean + q.stddev * noise
    fit = vae.decode(z).log_prob(x).sum(-1)
    ratio = vae.prior().log_prob(z) - q.log_prob(z).sum(-1)
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
    vae = build_vae(BODY, BODY, Gaussian(), N_FEATURES, 2).double()
    x, noise = 1e3 + normal(rng, N_ROWS, N_FEATURES), normal(rng, 5, N_ROWS, 2)
    assert not vae.log_weights(x, noise).exp().any()
    assert vae.bound(x, noise).isfinite().all()


def test_the_kl_is_that_of_torch_and_of_draws(vae, x):
    q = vae.encode(x)
    kl = vae.kl(x)
    torch.testing.assert_close(kl, td.kl_divergence(q, STANDARD), rtol=1e-12, atol=1e-14)
    z = q.sample((20_000,))
    ratio = q.log_prob(z) - td.Normal(0.0, 1.0).log_prob(z)
    assert ((ratio.mean(0) - kl).abs() / (ratio.std(0) / len(z) ** 0.5)).max() < FEW


@pytest.mark.parametrize("free_bits", [0.0, 0.2, 100.0])
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0, 4.0])
def test_the_elbo_is_fit_minus_beta_times_the_kl_above_the_free_bits(beta, free_bits, vae, x, rng):
    noise = normal(rng, N_ROWS, vae.n_components)
    q = vae.encode(x)
    fit = vae.decode(q.mean + q.stddev * noise).log_prob(x).sum(-1).mean()
    by_dimension = td.kl_divergence(q, STANDARD).mean(0).tolist()
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
    vae = build_vae(nn.Linear, nn.Linear, Gaussian(), N_FEATURES, 2)
    with torch.no_grad():
        vae.encoder.bias.copy_(torch.tensor([0.0, 0.0, log_variance, log_variance]))
    std = vae.encode(torch.zeros(5, N_FEATURES)).stddev
    assert ((std > 1e-5) & (std < 1e3)).all()
    assert vae.elbo(torch.zeros(5, N_FEATURES), torch.ones(5, 2)).isfinite()


@pytest.mark.parametrize("shape", [(5, 2), (4, 5, 2), (3, 4, 5, 2)])
def test_codes_of_any_shape_are_decoded_one_by_one(shape, rng):
    image = (3, 3)
    for decoder in (BODY, ConvolutionalDecoder(image)):
        vae = build_vae(MLP(()), decoder, Bernoulli(), 9, 2).double()
        z = normal(rng, *shape)
        flat = torch.cat([vae.decode(row[None]).mean for row in z.reshape(-1, 2)])
        torch.testing.assert_close(vae.decode(z).mean, flat.view(*shape[:-1], 9))


@torch.no_grad()
def test_blocks_of_rows_give_the_outputs_of_all_rows(vae, x, rng, monkeypatch):
    z = normal(rng, len(x), vae.n_components)
    whole = vae.outputs(z), *vae.moments(x)
    monkeypatch.setattr(batches, "BLOCK_VALUES", 3 * N_FEATURES)
    monkeypatch.setattr(model, "BLOCK_VALUES", 3 * N_FEATURES)
    sizes = []
    vae.decoder.register_forward_pre_hook(lambda _, rows: sizes.append(len(rows[0])))
    torch.testing.assert_close((vae.outputs(z), *vae.moments(x)), whole)
    assert sum(sizes) == len(x)
    assert max(sizes) == 3


# -- missing cells and context -------------------------------------------------------------------


MASK = torch.tensor([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 0]], dtype=torch.bool)


def bounds(vae, x, rng, **more):
    """Whatever depends on x, with the same noise at each call."""
    state = rng.bit_generator.state
    noise = normal(rng, 6, N_ROWS, vae.n_components)
    rng.bit_generator.state = state
    return {
        "elbo": vae.elbo(x, noise[0], 0.7, **more),
        "with free bits": vae.elbo(x, noise[0], 0.7, 0.05, **more),
        "bound": vae.bound(x, noise, **more),
        "log weights": vae.log_weights(x, noise, 0.7, **more),
        "kl": vae.kl(x, **more),
    }


def masked_vae(vae, rng, sees_mask):
    return random_vae(rng, vae.likelihood, vae.n_components, sees_mask=sees_mask)


@pytest.mark.parametrize("sees_mask", [False, True])
def test_a_mask_that_hides_nothing_changes_nothing(sees_mask, vae, x, rng):
    vae = masked_vae(vae, rng, sees_mask)
    without, with_mask = (bounds(vae, x, rng, mask=mask) for mask in (None, torch.zeros_like(MASK)))
    for name, values in without.items():
        torch.testing.assert_close(with_mask[name], values, rtol=1e-13, atol=1e-13, msg=name)


@pytest.mark.parametrize("sees_mask", [False, True])
def test_the_content_of_missing_cells_does_not_matter(sees_mask, vae, x, rng):
    vae = masked_vae(vae, rng, sees_mask)
    expected = bounds(vae, x, rng, mask=MASK)
    other = torch.where(MASK, torch.nan, x).requires_grad_()
    found = bounds(vae, other, rng, mask=MASK)
    for name, values in found.items():
        assert torch.equal(values, expected[name]), name
        gradients = torch.autograd.grad(
            values.sum(), [other, *vae.parameters()], allow_unused=True, retain_graph=True
        )
        assert gradients[0] is None or not gradients[0][MASK].any(), name
        assert all(gradient is None or gradient.isfinite().all() for gradient in gradients), name


def test_the_encoder_sees_which_cells_are_missing(vae, x, rng):
    vae = masked_vae(vae, rng, sees_mask=True)
    zeros = x.masked_fill(MASK, 0.0)
    hidden, seen = vae.moments(zeros, mask=MASK)[0], vae.moments(zeros)[0]
    rows = MASK.any(1)
    assert (hidden != seen)[rows].all()
    assert torch.equal(hidden[~rows], seen[~rows])


@pytest.mark.parametrize("sees_mask", [False, True])
def test_masked_bounds_are_bounds_of_the_density_of_observed_cells(sees_mask, vae, x, rng):
    vae = masked_vae(vae, rng, sees_mask)
    log_p = log_marginal(vae, x, mask=MASK)
    assert mean_elbo(vae, x, mask=MASK) < log_p.mean() - 1e-6
    noise = normal(rng, 20_000, N_ROWS, vae.n_components)
    with torch.no_grad():
        ratios = (vae.log_weights(x, noise, mask=MASK) - log_p).exp()
    error = ratios.std(0) / len(ratios) ** 0.5
    assert error.max() < 0.1
    assert ((ratios.mean(0) - 1).abs() / error).max() < FEW


def test_of_a_row_without_observed_cells_the_density_is_1(vae, x):
    everything = torch.ones_like(MASK)
    torch.testing.assert_close(
        log_marginal(vae, x, mask=everything), torch.zeros(N_ROWS, dtype=x.dtype)
    )
    noise = torch.zeros(1, N_ROWS, vae.n_components, dtype=x.dtype)
    q = vae.encode(torch.zeros_like(x), mask=everything)
    expected = vae.prior().log_prob(q.mean) - q.log_prob(q.mean).sum(-1)
    torch.testing.assert_close(vae.bound(x, noise, mask=everything), expected)


@pytest.fixture
def vae_of_context(vae, rng):
    more = {"n_context": 2, "sees_mask": True, "prior": NormalByContext()}
    return random_vae(rng, vae.likelihood, vae.n_components, **more)


def test_a_context_reaches_encoder_decoder_and_prior(vae_of_context, x, rng):
    vae, context = vae_of_context, normal(rng, N_ROWS, 2).requires_grad_()
    z = normal(rng, 5, N_ROWS, vae.n_components)
    values = [
        *vae.moments(x, context),
        vae.outputs(z, context),
        vae.outputs(z[0], context),
        vae.prior(context).log_prob(z),
    ]
    for value in values:
        (gradient,) = torch.autograd.grad(value.sum(), context, retain_graph=True)
        assert gradient.all()
    torch.testing.assert_close(values[2][0], values[3])


def test_bounds_given_a_context_are_those_of_the_distributions(vae_of_context, x, rng):
    vae, context = vae_of_context, normal(rng, N_ROWS, 2)
    noise = normal(rng, 6, N_ROWS, vae.n_components)
    q = vae.encode(x, context, MASK)
    z = q.mean + q.stddev * noise
    log_prob = torch.where(MASK, 0.0, vae.decode(z, context).log_prob(x)).sum(-1)
    ratio = vae.prior(context).log_prob(z) - q.log_prob(z).sum(-1)
    close = {"rtol": 1e-11, "atol": 1e-11}
    found = vae.log_weights(x, noise, 0.5, context, MASK)
    torch.testing.assert_close(found, log_prob + 0.5 * ratio, **close)
    # Without a closed form the KL is that of the draws at hand.
    elbo = vae.elbo(x, noise[0], 0.5, context=context, mask=MASK)
    torch.testing.assert_close(elbo, (log_prob + 0.5 * ratio)[0].mean(), **close)
    free = vae.elbo(x, noise[0], 0.5, 1e3, context=context, mask=MASK)
    expected = log_prob[0].mean() - 0.5 * 1e3 * vae.n_components
    torch.testing.assert_close(free, expected, **close)


def test_the_elbo_of_a_learned_prior_is_a_bound(vae_of_context, x, rng):
    vae, context = vae_of_context, normal(rng, N_ROWS, 2)
    elbo = mean_elbo(vae, x, context=context)
    assert elbo < log_marginal(vae, x, context).mean()
    sum(vae.kl(x, context)).sum().backward()
    assert all(parameter.grad.any() for parameter in vae.prior.parameters())


# -- the linear Gaussian case, in closed form ----------------------------------------------------


def linear_vae(rng, n_components):
    vae = build_vae(MLP(()), MLP(()), Gaussian(), N_FEATURES, n_components).double()
    with torch.no_grad():
        for parameter in vae.parameters():
            parameter.copy_(0.7 * normal(rng, *parameter.shape))
    decoder = vae.decoder[0]
    W, b = decoder.weight.detach(), decoder.bias.detach()
    return vae, W, b, vae.global_parameters.exp().item() + 1e-6


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
    vae = build_vae(*architecture)
    with torch.no_grad():
        vae.global_parameters.copy_(normal(rng, *vae.global_parameters.shape))
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

    vae = build_vae(Builder(), Builder(), Bernoulli(), 3, 2)
    assert vae.twin().architecture is vae.architecture
    assert copy.deepcopy(vae).architecture != vae.architecture


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_pickle_holds_arrays_not_tensors(architecture):
    vae = build_vae(*architecture)
    parts = [part for _, part, _ in pickletools.genops(pickle.dumps(vae)) if isinstance(part, str)]
    assert not [part for part in parts if "torch._" in part or "_rebuild" in part]
    assert "numpy" in {part.split(".")[0] for part in parts}


def test_networks_for_double_precision_stay_single_themselves():
    vae = build_vae(BODY, BODY, Gaussian(), 3, 2)
    assert vae.twin().double().global_parameters.dtype == torch.float64
    assert vae.global_parameters.dtype == torch.float32
