"""Builders of networks: shapes, the order of pixels, gradients, and weights that follow a seed."""

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from math import prod
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from skgen._parameters import check_parameters
from skgen._validation import guess_image_shape
from skgen.networks import (
    ACTIVATIONS,
    MLP,
    PARAMETERS,
    PARTS,
    ConditionalDecoder,
    ConvolutionalDecoder,
    ConvolutionalEncoder,
    _ResidualBlock,
    _ToImages,
    _ToRows,
    resolve_builders,
    seed_torch,
)

pytestmark = pytest.mark.usefixtures("one_torch_thread")

IMAGE_SHAPES = [
    (8, 8), (7, 7), (7, 4), (4, 7), (1, 9), (1, 6), (5, 1), (1, 1), (2, 2), (28, 28),
    (8, 8, 1), (5, 4, 3), (1, 7, 2), (3, 3, 4),
]  # fmt: skip
FILTERS = [(), (3,), (3, 4), (2, 3, 4)]
EXAMPLES = [builder for cls in PARTS.values() for builder in cls._examples()]
IMAGE_BODIES = (ConvolutionalEncoder, ConvolutionalDecoder)

FORMULAS = {
    "identity": lambda a: a,
    "logistic": lambda a: 1 / (1 + torch.exp(-a)),
    "tanh": lambda a: torch.sinh(a) / torch.cosh(a),
    "relu": lambda a: a * (a > 0),
    "silu": lambda a: a / (1 + torch.exp(-a)),
}


def images(rng, image_shape, n_images=5):
    """Images as numpy has them, channels last, and the flat rows that they are."""
    height, width, *channels = image_shape
    table = rng.normal(size=(n_images, height, width, *(channels or [1])))
    return table, torch.from_numpy(table.reshape(n_images, -1))


def assert_every_parameter_has_a_gradient(network, outputs):
    outputs.square().sum().backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@pytest.mark.parametrize("builder", EXAMPLES, ids=repr)
def test_a_registered_network_maps_rows_and_draws_nothing_once_built(builder, rng):
    """Of each builder, with the numbers of inputs and outputs for which it is meant."""
    n_features = prod(getattr(builder, "image_shape", (12,)))
    n_inputs, n_outputs = n_features, 2
    if isinstance(builder, ConvolutionalDecoder | ConditionalDecoder):
        n_inputs, n_outputs = 2, n_features
    n_inputs += prod(getattr(builder, "context_shape", (0,)))
    networks = []
    for _ in range(2):
        with seed_torch(0):
            networks.append(builder(n_inputs, n_outputs))
    x = torch.from_numpy(rng.normal(size=(5, n_inputs)).astype(np.float32))
    before = torch.get_rng_state()
    outputs = networks[0](x)
    assert torch.equal(torch.get_rng_state(), before)
    assert outputs.shape == (5, n_outputs)
    assert torch.equal(networks[1](x), outputs)
    assert_every_parameter_has_a_gradient(networks[0], outputs)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("sizes", [(), (3,), (4, 3, 2), [5, 1]])
def test_a_perceptron_is_linear_maps_with_activations_between(sizes, activation):
    with seed_torch(0):
        network = MLP(sizes, activation)(6, 2)
    x = torch.linspace(-1, 1, 30).reshape(5, 6)
    expected = x
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [*sizes, 2]
    for index, layer in enumerate(linear):
        expected = expected @ layer.weight.T + layer.bias
        if index < len(sizes):
            expected = FORMULAS[activation](expected)
    torch.testing.assert_close(network(x), expected)


def test_a_perceptron_without_hidden_layers_is_one_linear_map():
    (layer,) = MLP(())(6, 2)
    assert isinstance(layer, nn.Linear)
    assert layer.weight.shape == (2, 6)


@pytest.mark.parametrize("sizes", [(), (3,), (4, 3, 2)])
def test_gradients_reach_every_parameter_of_a_perceptron(sizes):
    with seed_torch(0):
        network = MLP(sizes)(6, 2)
    assert_every_parameter_has_a_gradient(network, network(torch.linspace(-1, 1, 30).view(5, 6)))


@pytest.mark.parametrize("n_blocks", [0, 2])
@pytest.mark.parametrize("n_filters", FILTERS)
@pytest.mark.parametrize("image_shape", IMAGE_SHAPES)
def test_the_convolutional_encoder_takes_images_of_any_shape(image_shape, n_filters, n_blocks, rng):
    builder = ConvolutionalEncoder(image_shape, n_filters, n_blocks=n_blocks)
    with seed_torch(0):
        network = builder(prod(image_shape), 6).double()
    _, rows = images(rng, image_shape)
    outputs = network(rows.requires_grad_())
    assert outputs.shape == (5, 6)
    assert_every_parameter_has_a_gradient(network, outputs)
    assert rows.grad.any(0).all(), "each pixel counts"


@pytest.mark.parametrize(("n_heads", "n_blocks"), [(1, 0), (2, 0), (1, 2)])
@pytest.mark.parametrize("n_filters", FILTERS)
@pytest.mark.parametrize("image_shape", IMAGE_SHAPES)
def test_the_convolutional_decoder_gives_images_of_any_shape(
    image_shape, n_filters, n_heads, n_blocks, rng
):
    n_outputs = n_heads * prod(image_shape)
    builder = ConvolutionalDecoder(image_shape, n_filters, n_blocks=n_blocks)
    with seed_torch(0):
        network = builder(3, n_outputs).double()
    outputs = network(torch.from_numpy(rng.normal(size=(5, 3))))
    assert outputs.shape == (5, n_outputs)
    assert_every_parameter_has_a_gradient(network, outputs)
    assert (outputs.std(0) > 1e-9).all(), "each pixel depends on the code"


def test_a_residual_block_adds_a_small_function_at_first(rng):
    with seed_torch(0):
        block = _ResidualBlock(6, nn.SiLU()).double()
    maps = torch.from_numpy(rng.normal(size=(4, 6, 5, 5)))
    first, last = block.layers[1], block.layers[3]
    inside = functional.conv2d(functional.silu(maps), first.weight, first.bias, padding=1)
    added = functional.conv2d(functional.silu(inside), last.weight, last.bias, padding=1)
    torch.testing.assert_close(block(maps), maps + added)
    assert first.out_channels == 3
    assert 0 < added.std() < 0.1


def test_without_residual_blocks_networks_have_the_layers_of_earlier_versions():
    """Files of models hold weights by these names."""
    names = [*ConvolutionalDecoder((8, 8))(2, 64).state_dict()]
    assert names == ["0.weight", "0.bias", "3.weight", "3.bias", "5.weight", "5.bias"]
    pyramid = ConditionalDecoder((8, 8), (4, 4))(2 + 16, 64).state_dict()
    assert {name.split(".")[1] for name in pyramid} == {"start", "steps", "last"}


@pytest.mark.parametrize("image_shape", [(4, 7), (1, 9), (5, 4, 3), (3, 3, 4)])
def test_pixels_of_flat_rows_are_in_numpys_order(image_shape, rng):
    table, rows = images(rng, image_shape)
    found = _ToImages(table.shape[1:])(rows)
    assert np.array_equal(found, np.moveaxis(table, 3, 1))  # x[n, h, w, c] at [n, c, h, w]
    assert torch.equal(_ToRows(1)(found), rows)


def test_heads_come_one_after_the_other(rng):
    first, second = (images(rng, (5, 4, 3))[1] for _ in range(2))
    to_images = _ToImages((5, 4, 3))
    stacked = torch.cat([to_images(first), to_images(second)], 1)
    assert torch.equal(_ToRows(2)(stacked), torch.cat([first, second], 1))


INNER = (slice(None), slice(None), slice(2, -2), slice(2, -2))


@pytest.mark.parametrize(("axis", "steps"), [(2, 1), (2, -1), (3, 1), (3, -1)])
def test_the_encoder_sees_a_shift_of_the_image_as_a_shift_of_its_maps(axis, steps, rng):
    with seed_torch(0):
        network = ConvolutionalEncoder((28, 28, 2), (3, 4))(28 * 28 * 2, 2)
    maps_of = network[:-2]  # without what flattens, and the last layer
    image = np.zeros((1, 28, 28, 2), dtype=np.float32)
    image[:, 13:15, 13:15] = rng.normal(size=(2, 2, 2))
    one = maps_of(torch.from_numpy(image.reshape(1, -1)))
    other = maps_of(torch.from_numpy(np.roll(image, 4 * steps, axis - 1).reshape(1, -1)))
    assert one.shape == (1, 4, 7, 7)
    assert one[INNER].std() > 1e-3
    torch.testing.assert_close(other.roll(-steps, axis)[INNER], one[INNER])


@pytest.mark.parametrize(("axis", "steps"), [(2, 1), (2, -1), (3, 1), (3, -1)])
def test_the_decoder_draws_a_shift_of_its_maps_as_a_shift_of_the_image(axis, steps, rng):
    with seed_torch(0):
        network = ConvolutionalDecoder((28, 28, 2), (3, 4))(2, 28 * 28 * 2)
    image_of = network[2:-1]  # from the smallest maps to the image, channels first
    maps = torch.zeros(1, 4, 7, 7)
    maps[:, :, 3, 3] = torch.from_numpy(rng.normal(size=4).astype(np.float32))
    one, other = image_of(maps), image_of(maps.roll(steps, axis))
    assert one.shape == (1, 2, 28, 28)
    inner = (slice(None), slice(None), slice(8, -8), slice(8, -8))
    assert one[inner].std() > 1e-3
    torch.testing.assert_close(other.roll(-4 * steps, axis)[inner], one[inner])


@pytest.mark.parametrize(
    ("builder", "n_inputs", "n_outputs"),
    [
        (ConvolutionalEncoder((8, 8)), 63, 2),
        (ConvolutionalEncoder((4, 4)), 64, 2),
        (ConvolutionalEncoder((4, 4, 3)), 16, 2),
        (ConvolutionalDecoder((8, 8)), 2, 63),
        (ConvolutionalDecoder((4, 4, 3)), 2, 16),
    ],
)
def test_an_image_shape_must_fit_the_number_of_features(builder, n_inputs, n_outputs):
    n_features = max(n_inputs, n_outputs)
    with pytest.raises(ValueError, match=rf"`image_shape` .*\({n_features}\); got image_shape="):
        builder(n_inputs, n_outputs)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: MLP(5), TypeError, "`hidden_layer_sizes` .* got hidden_layer_sizes=5"),
        (lambda: MLP("32"), TypeError, "`hidden_layer_sizes` .* got hidden_layer_sizes='32'"),
        (lambda: MLP(None), TypeError, "`hidden_layer_sizes` .* got hidden_layer_sizes=None"),
        (lambda: MLP((5.0,)), TypeError, r"`hidden_layer_sizes` .* got hidden_layer_sizes=5\.0"),
        (lambda: MLP((5, True)), TypeError, "`hidden_layer_sizes` .* got hidden_layer_sizes=True"),
        (lambda: MLP((5, 0)), ValueError, "`hidden_layer_sizes` .*>= 1.* hidden_layer_sizes=0"),
        (lambda: MLP((10**9,)), ValueError, "`hidden_layer_sizes` .*<= 1e.06; got"),
        (lambda: MLP((5,), "gelu"), ValueError, "`activation` .*'relu'.*got activation='gelu'"),
        (lambda: MLP((5,), nn.ReLU), TypeError, "`activation` must be a str; got activation="),
        (lambda: ConvolutionalEncoder(8), TypeError, "`image_shape` .* got image_shape=8"),
        (lambda: ConvolutionalEncoder((8,)), ValueError, "`image_shape` must have 2 or 3 elements"),
        (lambda: ConvolutionalDecoder((8, 8, 3, 1)), ValueError, r"image_shape=\(8, 8, 3, 1\)"),
        (lambda: ConvolutionalDecoder((8, 0)), ValueError, "`image_shape` .* image_shape=0"),
        (lambda: ConvolutionalDecoder((8, 8.0)), TypeError, r"`image_shape` .* image_shape=8\.0"),
        (lambda: ConvolutionalEncoder((8, 8), 3), TypeError, "`n_filters` .* got n_filters=3"),
        (lambda: ConvolutionalEncoder((8, 8), (0,)), ValueError, "`n_filters` .* n_filters=0"),
        (lambda: ConvolutionalEncoder((8, 8), (3,), "ReLU"), ValueError, "activation='ReLU'"),
    ],
)
def test_errors_of_builders_name_argument_condition_and_value(call, error, message):
    with pytest.raises(error, match=message):
        call()


def resolved(
    encoder=None, decoder=None, sizes=(7, 5), activation="relu", image_shape=None, n_features=64
):
    parameters = SimpleNamespace(
        encoder=encoder, decoder=decoder, hidden_layer_sizes=sizes, activation=activation,
        image_shape=image_shape,
    )  # fmt: skip
    return resolve_builders(check_parameters(parameters, PARAMETERS), n_features)


def test_builders_follow_from_the_parameters_of_the_estimator():
    mlps = (MLP((7, 5), "relu"), MLP((5, 7), "relu"))
    square = [body((8, 8), activation="relu") for body in IMAGE_BODIES]
    oblong = [body((4, 16), activation="relu") for body in IMAGE_BODIES]
    assert resolved() == mlps
    assert resolved(sizes=[7, 5]) == mlps
    assert resolved("mlp", "mlp", image_shape=(4, 16)) == mlps
    assert resolved("convolutional", "mlp") == (square[0], mlps[1])
    assert resolved(None, "convolutional") == (mlps[0], square[1])
    assert resolved(image_shape=(4, 16)) == tuple(oblong)
    assert resolved(nn.Linear, make) == (nn.Linear, make)


def make(n_inputs, n_outputs):
    return nn.Linear(n_inputs, n_outputs)


@pytest.mark.parametrize("n_values", [1, 2, 3, 4, 49, 50, 784, 1000**2])
def test_the_guessed_shape_is_a_square_or_has_height_1(n_values):
    height, width = guess_image_shape(n_values)
    assert height * width == n_values
    assert height in (1, width)
    assert (height == width) == (n_values in (1, 4, 49, 784, 1000**2))


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"encoder": 3}, TypeError, "`encoder` must be a str or a callable.*got encoder=3"),
        ({"decoder": nn.Linear(2, 2)}, TypeError, r"`decoder` .*decoder=Linear\(.*already built"),
        ({"encoder": "conv"}, ValueError, "`encoder` .*'convolutional'; got encoder='conv'"),
        ({"decoder": "MLP"}, ValueError, "`decoder` .*'mlp'.* got decoder='MLP'"),
        ({"sizes": 3}, TypeError, "`hidden_layer_sizes` must .* got hidden_layer_sizes=3"),
        ({"activation": "gelu"}, ValueError, "`activation` .* got activation='gelu'"),
        ({"image_shape": 8}, TypeError, "`image_shape` .* got image_shape=8"),
        ({"image_shape": (2, 2, 2, 8)}, ValueError, r"`image_shape` .* image_shape=\(2, 2, 2, 8\)"),
    ],
)
def test_errors_name_the_parameter_of_the_estimator(parameters, error, message):
    with pytest.raises(error, match=message):
        resolved(**parameters)


@pytest.mark.parametrize("builder", EXAMPLES, ids=repr)
def test_a_builder_is_a_value(builder):
    twin = pickle.loads(pickle.dumps(builder))
    assert twin == builder
    assert hash(twin) == hash(builder)
    assert type(builder)(*vars(builder).values()) == builder
    assert builder != MLP((4,))


def weights(seed):
    with seed_torch(seed):
        network = MLP((5,))(4, 3)
    return torch.cat([parameter.detach().flatten() for parameter in network.parameters()])


def test_the_same_seed_gives_the_same_weights_and_other_seeds_others():
    seeds = [0, 1, 2**31, 2**63 - 1]
    drawn = [weights(seed) for seed in seeds]
    for seed, expected in zip(seeds, drawn, strict=True):
        assert torch.equal(weights(seed), expected)
    assert len({tuple(values.tolist()) for values in drawn}) == len(seeds)


def test_the_global_generator_is_left_as_it_was():
    before = torch.get_rng_state()
    weights(3)
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(ValueError, match="n_inputs"), seed_torch(3):
        raise ValueError(f"n_inputs {torch.rand(1)}")
    assert torch.equal(torch.get_rng_state(), before)


def test_a_seed_within_a_seed_leaves_the_outer_numbers_as_they_are():
    with seed_torch(0):
        expected = torch.rand(4)
    with seed_torch(0):
        first = torch.rand(2)
        with seed_torch(1):
            torch.rand(7)
        assert torch.equal(torch.cat([first, torch.rand(2)]), expected)


def test_seeds_of_several_threads_do_not_interfere():
    before = torch.get_rng_state()
    start = threading.Barrier(4, timeout=20)

    def drawn(seed):
        start.wait()
        with seed_torch(seed):
            for _ in range(5):
                yield torch.rand(3)
                time.sleep(1e-3)  # lets the others run

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda seed: list(drawn(seed)), range(4)))
    for seed, numbers in enumerate(found):
        with seed_torch(seed):
            assert all(torch.equal(torch.rand(3), values) for values in numbers)
    assert torch.equal(torch.get_rng_state(), before)
