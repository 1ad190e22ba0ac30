"""Priors of z: densities by quadrature, draws by their moments, KL by Monte Carlo."""

import copy
import pickle
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import stats
from sklearn.base import clone
from small_vae import BODY, FEW, N_FEATURES, NormalByContext, build_vae, grid, normal, unit

from skgen._autoencoder.row_noise import sobol_points
from skgen.likelihoods import Gaussian
from skgen.priors import (
    PARTS,
    ConditionalMixture,
    ConditionalNormal,
    Flow,
    LatentDistribution,
    Mixture,
    StandardNormal,
    VampPrior,
)
from skgen.priors._conditional_mixture import RowMixture
from skgen.priors._diagonal_mixture import DiagonalMixture

pytestmark = pytest.mark.usefixtures("one_torch_thread")

PRIORS = {repr(part): part for cls in PARTS.values() for part in cls._examples()}
N_CONTEXT = 2
DOUBLE = torch.float64


@pytest.fixture(params=[*PRIORS.values(), NormalByContext()], ids=str)
def builder(request):
    return request.param


def vae_of(builder, n_components, n_context=0):
    """A VAE with the prior: there may be no prior without an encoder."""
    sizes = {"n_features": N_FEATURES, "n_components": n_components, "n_context": n_context}
    return build_vae(BODY, BODY, Gaussian(), prior=builder, **sizes)


def assert_equal_in_float64(one, other):
    torch.testing.assert_close(one, other, rtol=1e-13, atol=1e-10)  # values up to 1e5


@pytest.fixture(params=[1, 2])
def prior(request, builder, rng):
    """A prior with random parameters, given one context."""
    module = vae_of(builder, request.param, N_CONTEXT).double().prior
    scale = 0.3 / unit(builder)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(scale * normal(rng, *parameter.shape))
        return module(normal(rng, 1, N_CONTEXT))


@pytest.fixture
def mixture(rng):
    """A mixture of three components in four dimensions, and the same one by torch."""
    logits, means, log_scales = normal(rng, 3), 2 * normal(rng, 3, 4), 0.5 * normal(rng, 3, 4)
    components = td.Independent(td.Normal(means, log_scales.exp()), 1)
    expected = td.MixtureSameFamily(td.Categorical(logits=logits), components)
    return DiagonalMixture(logits.log_softmax(0), means, log_scales), expected


def wide_grid(prior):
    return grid(prior.n_components, 35, {1: 2800, 2: 700}[prior.n_components])


def moments_of_grid(prior):
    """Integral, means and variances of the density on a wide grid."""
    z, log_weights = wide_grid(prior)
    weights = (prior.log_prob(z).detach() + log_weights).exp()[:, None]
    mean = (weights * z).sum(0)
    return weights.sum().item(), mean, (weights * (z - mean).square()).sum(0)


def test_the_density_integrates_to_1_and_has_the_moments_stated(prior, builder):
    total, mean, variance = moments_of_grid(prior)
    assert total == pytest.approx(1, abs=1e-10)
    atol = 0.1 * float(variance.max()) ** 0.5 if isinstance(builder, Flow) else 1e-9
    for found, stated in ((mean, prior.mean), (variance.sqrt(), prior.stddev)):
        expected = torch.as_tensor(stated, dtype=DOUBLE).expand(1, len(mean))[0]
        torch.testing.assert_close(found, expected, rtol=0, atol=atol)


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
    prior = vae_of(builder, 2).to(dtype).prior()
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
    for twin in (pickle.loads(pickle.dumps(builder)), copy.deepcopy(builder), clone(builder)):
        assert twin == builder
        assert hash(twin) == hash(builder)
    with pytest.raises(FrozenInstanceError):
        builder.name = True
    assert type(builder)(**builder.get_params()) == builder
    with pytest.raises(ValueError, match=r"`params` must be parameters of .*n_cats"):
        builder.set_params(n_cats=3)
    vae = vae_of(builder, 2)
    for twin in (pickle.loads(pickle.dumps(vae)), copy.deepcopy(vae), vae.twin()):
        z = torch.ones(3, 2)
        assert torch.equal(twin.prior().log_prob(z), vae.prior().log_prob(z))


def test_the_mixture_is_that_of_torch(mixture, rng):
    prior, expected = mixture
    z = 3 * normal(rng, 5, 6, 4)
    assert_equal_in_float64(prior.log_prob(z), expected.log_prob(z))
    assert_equal_in_float64(prior.mean, expected.mean)
    assert_equal_in_float64(prior.stddev, expected.stddev)


def test_single_precision_is_enough_for_narrow_components_far_out(rng):
    means, log_scales = 20 + 3 * normal(rng, 50, 20), torch.full((50, 20), -2.5, dtype=DOUBLE)
    exact = DiagonalMixture(torch.full((50,), -np.log(50.0), dtype=DOUBLE), means, log_scales)
    single = DiagonalMixture(exact.log_weights.float(), means.float(), log_scales.float())
    z = exact.sample(1000, rng)
    error = single.log_prob(z.float()).double() - exact.log_prob(z.float().double())
    assert error.abs().max() < 0.02


def test_quantiles_of_a_mixture_invert_its_distribution_function(mixture):
    prior, _ = mixture
    p = np.array([1e-6, 0.2, 0.5, 0.99])
    quantiles = torch.from_numpy(prior.quantiles(p))
    of_components = td.Normal(prior.means, prior.log_scales.exp()).cdf(quantiles[:, None])
    found = (prior.log_weights.exp()[:, None] * of_components).sum(1)
    torch.testing.assert_close(found, torch.from_numpy(p)[:, None].expand(4, 4), rtol=1e-9, atol=0)


def test_draws_of_a_mixture_are_in_no_order(rng):
    means = torch.tensor([[-100.0], [100.0]], dtype=DOUBLE)
    prior = DiagonalMixture(torch.full((2,), -np.log(2.0), dtype=DOUBLE), means, 0 * means)
    is_first = prior.sample(1000, rng)[:, 0].numpy() < 0
    n_changes = np.count_nonzero(np.diff(is_first))
    assert abs(n_changes - 999 / 2) < FEW * 999**0.5 / 2


def test_terms_of_the_kl_of_a_mixture_follow_the_chain_rule(mixture, rng):
    prior, _ = mixture
    mean, log_variance, noise = normal(rng, 3, 5, 4)
    z = mean + (0.5 * log_variance).exp() * noise
    terms = prior.kl_of_draws(mean, log_variance, noise)
    for d in range(1, 5):  # the first d dimensions have a mixture, too
        marginal = DiagonalMixture(
            prior.log_weights, prior.means[:, :d], prior.log_scales[:, :d]
        ).log_prob(z[:, :d])
        q = td.Normal(mean, (0.5 * log_variance).exp()).log_prob(z)[:, :d].sum(-1)
        assert_equal_in_float64(terms[:, :d].sum(-1), q - marginal)


def test_a_mixture_starts_apart_and_close_to_the_standard_normal():
    prior = vae_of(Mixture(2000), 3).prior()
    torch.testing.assert_close(prior.mean, torch.zeros(3), rtol=0, atol=0.1)
    torch.testing.assert_close(prior.stddev, torch.ones(3), rtol=0, atol=0.05)
    assert torch.cdist(prior.means, prior.means).fill_diagonal_(1).min() > 0


@pytest.fixture
def row_mixture(rng):
    """Mixtures of three components in two dimensions for each of five rows, and torch's."""
    logits, means = normal(rng, 5, 3), 2 * normal(rng, 5, 3, 2)
    log_scales = 0.5 * normal(rng, 5, 3, 2)
    components = td.Independent(td.Normal(means, log_scales.exp()), 1)
    expected = td.MixtureSameFamily(td.Categorical(logits=logits), components)
    return RowMixture(logits.log_softmax(-1), means, log_scales), expected


def test_mixtures_of_rows_are_those_of_torch(row_mixture, rng):
    prior, expected = row_mixture
    for z in (3 * normal(rng, 5, 2), 3 * normal(rng, 6, 5, 2)):
        assert_equal_in_float64(prior.log_prob(z), expected.log_prob(z))
    assert_equal_in_float64(prior.mean, expected.mean)
    assert_equal_in_float64(prior.stddev, expected.stddev)


def test_mixtures_of_rows_have_the_kl_of_each(row_mixture, rng):
    prior, _ = row_mixture
    mean, log_variance, noise = normal(rng, 3, 5, 2)
    found = prior.kl_of_draws(mean, log_variance, noise)
    parameters = zip(prior.log_weights, prior.means, prior.log_scales, strict=True)
    for row, of_row in enumerate(parameters):
        moments = (value[[row]] for value in (mean, log_variance, noise))
        assert_equal_in_float64(found[[row]], DiagonalMixture(*of_row).kl_of_draws(*moments))


def test_draws_of_rows_follow_the_mixture_of_each(row_mixture, rng):
    prior, expected = row_mixture
    draws = torch.stack([prior.sample(5, rng) for _ in range(4000)])
    for values, exact in (
        (draws, expected.mean),
        ((draws - expected.mean).square(), expected.variance),
        ((draws[..., 0] * draws[..., 1])[..., None], product_moment(prior)),
    ):
        error = values.std(0) / len(draws) ** 0.5
        assert ((values.mean(0) - exact).abs() / error).max() < FEW


def product_moment(prior):
    """E z_1 z_2 of each row: within a component the dimensions are independent."""
    return (prior.log_weights.exp() * prior.means.prod(-1)).sum(-1, keepdim=True)


def quasi_random_codes(prior, n=2**14):
    points = torch.from_numpy(sobol_points(n, prior.n_noise) + 0.5 / n)
    return prior.from_noise(torch.special.ndtri(points)[:, None]).detach()


def test_quasi_random_noise_gives_codes_with_the_moments_of_the_density(prior):
    z = quasi_random_codes(prior)[:, 0]
    _, mean, variance = moments_of_grid(prior)
    std = variance.sqrt()
    assert ((z.mean(0) - mean).abs() / std).max() < 0.01
    torch.testing.assert_close(z.std(0).double(), std.double(), rtol=0.01, atol=0)


def test_codes_from_noise_depend_on_the_context_of_their_row_only(builder, rng):
    module = vae_of(builder, 2, N_CONTEXT).double().prior
    contexts = normal(rng, 3, N_CONTEXT)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter += 0.3 * normal(rng, *parameter.shape) / unit(builder)
        together = quasi_random_codes(module(contexts), 64).expand(64, 3, 2)
        alone = [quasi_random_codes(module(contexts[row : row + 1]), 64) for row in range(3)]
    torch.testing.assert_close(together, torch.cat(alone, 1), rtol=1e-12, atol=1e-12)


def test_a_conditional_mixture_starts_apart_and_around_the_standard_normal(rng):
    """Around what the network gives, here 0."""
    module = vae_of(ConditionalMixture(2000), 3, N_CONTEXT).prior
    context = normal(rng, 4, N_CONTEXT).float()
    assert torch.pdist(module(context).means[0]).min() > 0
    with torch.no_grad():
        for parameter in module.network.parameters():
            parameter.zero_()
    prior = module(context)
    torch.testing.assert_close(prior.mean, torch.zeros(4, 3), rtol=0, atol=0.1)
    torch.testing.assert_close(prior.stddev, torch.ones(4, 3), rtol=0, atol=0.05)


def test_a_conditional_mixture_finds_the_clusters_of_each_context(rng):
    """Within 400 steps at the learning rate of the networks."""
    contexts = torch.eye(2).double()
    centers = 3 * normal(rng, 2, 5, 4)  # five clusters of each context, in four dimensions
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = ConditionalMixture(20)(4, 2).double()
    adam = torch.optim.Adam(module.parameters(), lr=0.004)
    for _ in range(400):
        adam.zero_grad()
        codes = draw_of_clusters(centers, rng)
        (-module(contexts).log_prob(codes).mean()).backward()
        adam.step()
    log_scales = torch.full((2, 5, 4), float(np.log(0.5))).double()
    truth = RowMixture(torch.full((2, 5), -float(np.log(5))).double(), centers, log_scales)
    codes = draw_of_clusters(centers, rng)
    found, expected = (prior.log_prob(codes).mean() for prior in (module(contexts), truth))
    assert abs(found - expected) < 0.3


def draw_of_clusters(centers, rng):
    """Codes (200, 2, 4): of each context, from clusters with a standard deviation of 0.5."""
    picked = centers[torch.arange(2), torch.from_numpy(rng.integers(5, size=(200, 2)))]
    return picked + 0.5 * normal(rng, *picked.shape)


@pytest.mark.parametrize("builder", [ConditionalNormal(), ConditionalMixture(2)])
def test_scales_beyond_their_bound_are_cut_and_learned_all_the_same(builder, rng):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = builder(3, 0).double()
    n_scales = 3 * getattr(builder, "n_components", 1)
    codes = torch.from_numpy(1.5 * rng.standard_normal((500, 3)))
    with torch.no_grad():
        prior.network.bias[-n_scales:] = 40.0 / unit(builder)
        assert np.log(prior().stddev.numpy()).max() < 3
    adam = torch.optim.Adam(prior.parameters(), lr=0.3 / unit(builder))
    for _ in range(400):
        adam.zero_grad()
        (-prior().log_prob(codes).mean()).backward()
        adam.step()
    np.testing.assert_allclose(prior().stddev.detach(), codes.std(0), rtol=0.05)


def test_a_flow_starts_at_the_standard_normal_and_depends_on_its_context(rng):
    module = vae_of(Flow(), 3, N_CONTEXT).double().prior
    z, context = normal(rng, 5, 3), normal(rng, 5, N_CONTEXT)
    expected = StandardNormal()(3)().log_prob(z)
    assert_equal_in_float64(module(context).log_prob(z), expected)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * normal(rng, *parameter.shape))
    distribution = module(context)
    assert_equal_in_float64(distribution.log_prob(z[None])[0], distribution.log_prob(z))
    assert_equal_in_float64(module(context[:1]).log_prob(z[:1]), distribution.log_prob(z)[:1])
    assert (distribution.log_prob(z) - module(context + 1).log_prob(z)).abs().min() > 1e-6
    assert distribution.mean.shape == distribution.stddev.shape == (5, 3)
    draws = np.stack([distribution.sample(5, rng) for _ in range(2000)])
    error = draws.std(axis=0) / 2000**0.5
    assert (np.abs(draws.mean(axis=0) - distribution.mean.numpy()) / error).max() < FEW * 2**0.5


def test_the_vamp_prior_is_the_mixture_of_posteriors_of_its_pseudo_inputs(rng):
    vae = vae_of(VampPrior(5), 2, N_CONTEXT).double()
    rows, z = normal(rng, 5, N_FEATURES), normal(rng, 7, 2)
    vae.prior.initialize(rows)
    q = vae.encode(rows, vae.prior.pseudo_context)
    each = td.Independent(q, 1).log_prob(z[:, None])
    assert_equal_in_float64(vae.prior().log_prob(z), each.exp().mean(1).log())
    vae.prior().log_prob(z).sum().backward()
    assert all(parameter.grad.any() for parameter in vae.encoder.parameters())
    assert vae.prior.pseudo_inputs.grad.any()


@pytest.mark.parametrize("part", [ConditionalMixture, Mixture, VampPrior])
@pytest.mark.parametrize("value", [0, 1.5, "many", None])
def test_a_number_of_components_that_is_none_is_refused(part, value):
    with pytest.raises((TypeError, ValueError), match=r"`n_.*Give a number of"):
        part(value)
