"""Builders: the modules that they build are checked, and decoders start where they are told."""

import pytest
import torch
from small_vae import bounded, build_vae, normal, with_dropout, with_statistics, without_bias
from torch import nn

from skgen._autoencoder.building import build, build_prior, set_initial_outputs
from skgen.likelihoods import Bernoulli, Gaussian
from skgen.networks import MLP, ConvolutionalDecoder, seed_torch
from skgen.priors import LatentDistribution, StandardNormal

pytestmark = pytest.mark.usefixtures("one_torch_thread", "seeded_weights")

DECODERS = [
    MLP((4,)), MLP(()), nn.Linear, ConvolutionalDecoder((2, 2)), without_bias, bounded,
    with_statistics, with_dropout,
]  # fmt: skip


@pytest.mark.parametrize("scale", ["shared", "row"])
@pytest.mark.parametrize("decoder", DECODERS)
def test_the_decoder_starts_around_given_outputs(decoder, scale, rng):
    vae = build_vae(nn.Linear, decoder, Gaussian(scale), 4, 2).double().eval()
    one, other = normal(rng, 2, vae.likelihood.n_outputs(4))
    z = normal(rng, 5, 2)
    set_initial_outputs(vae.decoder, one)
    first = vae.outputs(z)
    set_initial_outputs(vae.decoder, other)
    torch.testing.assert_close(first - vae.outputs(z), (one - other).expand(5, -1))
    assert (first - one).abs().max() < 3
    assert sum(parameter.equal(other) for parameter in vae.parameters()) == 1, "it is learned"


@pytest.mark.parametrize("decoder", DECODERS)
def test_before_that_the_decoder_gives_what_its_builder_makes(decoder, rng):
    with seed_torch(0):
        encoder_first = nn.Linear(4, 4)
        expected = decoder(2, 4).eval()
    with seed_torch(0):
        vae = build_vae(nn.Linear, decoder, Bernoulli(), 4, 2).eval()
    z = normal(rng, 5, 2).float()
    assert torch.equal(vae.encoder.weight, encoder_first.weight)
    assert torch.equal(vae.outputs(z), expected(z))


@pytest.mark.parametrize("builder", DECODERS)
def test_a_module_is_built_ready_for_training(builder):
    module = build(builder, "encoder", 3, 4)
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
        build(builder, "encoder", 3, 4)


class Unsummed(nn.Module, LatentDistribution):
    """A prior that forgets to sum over dimensions."""

    def forward(self, context=None):
        return self

    def log_prob(self, z):
        return -z.square()

    def sample(self, n_samples, generator):
        return torch.zeros(n_samples, 2)


@pytest.mark.parametrize(
    ("builder", "message"),
    [
        (lambda n, n_context: 3, "got TypeError"),
        (lambda n, n_context: nn.Identity(), "NoneType"),
        (lambda n: StandardNormal()(n), "2 were given"),
        (
            lambda n, n_context: Unsummed(),
            r"got ValueError \(shape \(2, 2\) of `log_prob` for n=2\)",
        ),
        (lambda n, n_context: StandardNormal()(n).forward, "method and _StandardNormalModule"),
        (lambda n, n_context: StandardNormal()(n + 1), r"shape \(2, 3\) of `sample` for n=2"),
    ],
)
def test_what_is_no_prior_is_an_error_that_says_so(builder, message):
    with pytest.raises(TypeError, match=rf"`prior` must be a callable.*{message}"):
        build_prior(builder, 2, 0, 3, lambda rows: (rows, rows))


def test_noise_of_a_prior_with_inputs_becomes_codes_of_all_dimensions():
    class Short(type(StandardNormal()(2))):
        def from_noise(self, noise):
            return noise[..., 1:]

    with pytest.raises(TypeError, match=r"shape \(2, 1\) of `from_noise` for n=2"):
        build_prior(lambda n, n_context: Short(n), 2, 4, 3, lambda rows: (rows, rows))
