"""Priors of z: densities by quadrature, draws by their moments, KL by Monte Carlo."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import stats
from small_vae import FEW, NormalByContext, grid, normal

from skgen.priors import PARTS, StandardNormal
from skgen.priors._base import LatentDistribution

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PRIORS = {repr(part): part for cls in PARTS.values() for part in cls._examples()}
N_CONTEXT = 2
DOUBLE = torch.float64


@pytest.fixture(params=[*PRIORS.values(), NormalByContext()], ids=str)
def builder(request):
    return request.param


@pytest.fixture(params=[1, 2])
def prior(request, builder, rng):
    """A prior with random parameters, given one context."""
    module = builder(request.param, N_CONTEXT).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.3 * normal(rng, *parameter.shape))
        return module(normal(rng, 1, N_CONTEXT))


def wide_grid(prior):
    return grid(prior.n_components, 25, {1: 2000, 2: 500}[prior.n_components])


def moments_of_grid(prior):
    """Integral, means and variances of the density on a wide grid."""
    z, log_weights = wide_grid(prior)
    weights = (prior.log_prob(z) + log_weights).exp()[:, None]
    mean = (weights * z).sum(0)
    return weights.sum().item(), mean, (weights * (z - mean).square()).sum(0)


def test_the_density_integrates_to_1_and_has_the_moments_stated(prior):
    total, mean, variance = moments_of_grid(prior)
    assert total == pytest.approx(1, abs=1e-10)
    stated = torch.as_tensor(prior.mean, dtype=DOUBLE), torch.as_tensor(prior.stddev, dtype=DOUBLE)
    torch.testing.assert_close(mean, stated[0].expand(1, len(mean))[0], rtol=0, atol=1e-9)
    stated_std = stated[1].expand(1, len(mean))[0]
    torch.testing.assert_close(variance.sqrt(), stated_std, rtol=0, atol=1e-9)


def test_draws_have_the_moments_of_the_density(prior, rng):
    _, mean, variance = moments_of_grid(prior)
    z = prior.sample(40_000, rng)
    assert z.shape == (40_000, prior.n_components)
    for values, expected in ((z, mean), ((z - mean).square(), variance)):
        error = values.std(0) / len(z) ** 0.5
        assert ((values.mean(0) - expected).abs() / error).max() < FEW
    log_prob = prior.log_prob(z)
    nodes, log_weights = wide_grid(prior)
    on_grid = prior.log_prob(nodes)
    negative_entropy = ((on_grid + log_weights).exp() * on_grid).sum()
    assert abs(log_prob.mean() - negative_entropy) < FEW * log_prob.std() / len(z) ** 0.5


def test_draws_repeat_with_the_generators_seed(prior):
    one, same, other = (prior.sample(5, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_the_kl_is_that_of_draws(prior, rng):
    mean, log_variance = normal(rng, 3, prior.n_components), normal(rng, 3, prior.n_components)
    q = td.Normal(mean, (0.5 * log_variance).exp())
    noise = normal(rng, 40_000, 3, prior.n_components)
    z = mean + q.stddev * noise
    ratios = q.log_prob(z).sum(-1) - prior.log_prob(z)
    error = ratios.std(0) / len(ratios) ** 0.5
    kl = prior.kl(mean, log_variance)
    if kl is not None:
        assert kl.shape == mean.shape
        assert ((ratios.mean(0) - kl.sum(-1)).abs() / error).max() < FEW
        assert (kl >= 0).all()
    by_draws = prior.kl_of_draws(mean, log_variance, noise[0])
    assert by_draws.shape == mean.shape
    torch.testing.assert_close(by_draws.sum(-1), ratios[0])


def test_sums_for_training_are_those_of_the_kl(prior, rng):
    arguments = normal(rng, 7, prior.n_components), normal(rng, 7, prior.n_components)
    noise = normal(rng, 7, prior.n_components)
    kl = prior.kl(*arguments)
    expected = (prior.kl_of_draws(*arguments, noise) if kl is None else kl).mean(0)
    torch.testing.assert_close(prior.mean_kl(*arguments, noise), expected)
    found = prior.subtract_kl(torch.tensor(2.0, dtype=DOUBLE), 0.3, *arguments, noise)
    torch.testing.assert_close(found, 2 - 0.3 * expected.sum())


def test_the_unnormalized_density_lacks_the_constant_of_normal_densities(prior, rng):
    z = normal(rng, 4, 5, prior.n_components)
    constant = 0.5 * prior.n_components * np.log(2 * np.pi)
    torch.testing.assert_close(prior.unnormalized_log_prob(z) - constant, prior.log_prob(z))


def test_quantiles_invert_the_distribution_function(prior, rng):
    p = np.array([0.05, 0.3, 0.5, 0.9])
    quantiles = prior.quantiles(p)
    assert quantiles.shape == (4, prior.n_components)
    draws = prior.sample(40_000, rng).numpy()
    shares = np.mean(draws[:, None] < quantiles, axis=0)
    # Those by default are of 10 000 draws themselves.
    np.testing.assert_allclose(shares, np.tile(p[:, None], shares.shape[1]), atol=0.03)


def test_quantiles_of_the_standard_normal():
    p = np.linspace(0.01, 0.99, 7)
    np.testing.assert_allclose(
        StandardNormal()(2)().quantiles(p), stats.norm.ppf(p)[:, None].repeat(2, 1), atol=1e-14
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_precision_is_that_of_the_codes(builder, dtype, rng):
    prior = builder(2).to(dtype)()
    z = normal(rng, 5, 2).to(dtype)
    assert isinstance(prior, LatentDistribution)
    for values in (
        prior.log_prob(z), prior.unnormalized_log_prob(z), prior.mean_kl(z, z, z),
        prior.subtract_kl(z[0, 0], 1.0, z, z, z),
    ):  # fmt: skip
        assert values.dtype == dtype


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_is_a_value(name):
    builder = PRIORS[name]
    for twin in (pickle.loads(pickle.dumps(builder)), copy.deepcopy(builder)):
        assert twin == builder
        assert hash(twin) == hash(builder)
    with pytest.raises(FrozenInstanceError):
        builder.name = True
    module = builder(2)
    assert isinstance(pickle.loads(pickle.dumps(module))(), LatentDistribution)
