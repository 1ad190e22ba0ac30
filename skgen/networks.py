"""Encoder and decoder bodies.

A builder is any callable ``builder(n_inputs, n_outputs)`` that returns a torch module, which maps
rows of n_inputs values to rows of n_outputs values. A class such as ``torch.nn.Linear`` is a
builder, too.
"""

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from math import prod
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from ._parameters import NONE, Choice, Custom, Flag, Integer, Parameters, Sequence, check_fields
from ._schema import store
from ._validation import FloatArray, check_image_shape, error_message, guess_image_shape

__all__ = [
    "MLP",
    "ConditionalDecoder",
    "ConditionalEncoder",
    "ConvolutionalDecoder",
    "ConvolutionalEncoder",
]

Builder = Callable[[int, int], nn.Module]

MOST_UNITS = 1_000_000
CPU = torch.device("cpu")
_global_generators = threading.RLock()

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "identity": nn.Identity, "logistic": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU,
    "silu": nn.SiLU,
}  # fmt: skip

REMEDY = "Give a tuple of positive ints."
SIZES = Sequence(Integer(1, MOST_UNITS, remedy=REMEDY), "ints", remedy=REMEDY)
IMAGE_SHAPE = replace(SIZES, lengths=(2, 3))
CONTEXT_SHAPE = replace(SIZES, lengths=(1, 2, 3))
ACTIVATION = Choice(*ACTIVATIONS)
N_BLOCKS = Integer(0, 100, remedy="Give a number of blocks, such as 1.")


@contextmanager
def seed_torch(seed: int, device: torch.device = CPU) -> Iterator[None]:
    """Seed torch's global generators within the block, one thread at a time; then restore them.

    Modules draw their first weights from the CPU's generator, dropout from that of ``device``.
    """
    devices = [device] if device.type == "cuda" else []
    with _global_generators, torch.random.fork_rng(devices):
        torch.default_generator.manual_seed(seed)  # torch.manual_seed seeds every device
        if device.type == "cuda":
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def generator_states(device: torch.device) -> list[Tensor]:
    """Return states of torch's global generators: the CPU's, and that of ``device`` if on a GPU."""
    on_gpu = [torch.cuda.get_rng_state(device)] if device.type == "cuda" else []
    return [torch.get_rng_state(), *on_gpu]


def set_generator_states(states: list[Tensor], device: torch.device) -> None:
    """Restore ``states``; that of the GPU only if ``device`` is a GPU."""
    torch.set_rng_state(states[0])
    for state in states[1:] if device.type == "cuda" else []:
        torch.cuda.set_rng_state(state, device)


class _NetworkBuilder(ABC):
    """Base class of the builders."""

    activation: str

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        """Build the network.

        Parameters
        ----------
        n_inputs, n_outputs : int
            Widths of the first and the last layer. The width of an image is its number of values;
            the output of a decoder has this width times the number of outputs per value.

        Returns
        -------
        network : torch.nn.Sequential
            Network from shape (n_samples, n_inputs) to (n_samples, n_outputs).
        """

    def _activate(self) -> nn.Module:
        return ACTIVATIONS[self.activation]()


class _ConvolutionalBuilder(_NetworkBuilder):
    """Base class of the builders of convolutional networks, with or without a context."""

    n_blocks: int

    def _blocks(self, n_maps: int) -> list[nn.Module]:
        """Return the residual blocks at one resolution."""
        return [_ResidualBlock(n_maps, self._activate()) for _ in range(self.n_blocks)]


@dataclass(frozen=True)
class _ImageNetworkBuilder(_ConvolutionalBuilder):
    """Base class of the builders of convolutional networks."""

    image_shape: tuple[int, ...]
    n_filters: tuple[int, ...] = (32, 64)
    activation: str = "silu"
    n_blocks: int = 0

    _parameters: ClassVar[Parameters] = {
        "image_shape": IMAGE_SHAPE, "n_filters": SIZES, "activation": ACTIVATION,
        "n_blocks": N_BLOCKS,
    }  # fmt: skip

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls((8, 8)), cls((3, 5, 2), (4,), "relu"), cls((4, 3), (4, 2), n_blocks=2))


@store()
@dataclass(frozen=True)
class MLP(_NetworkBuilder):
    """Builder of a multilayer perceptron.

    Parameters
    ----------
    hidden_layer_sizes : tuple of int, default=(256,)
        Number of units of each hidden layer. With the empty tuple the network is a linear map.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function after each hidden layer.
    skip : bool, default=False
        If True, a linear map of the inputs is added to the outputs, so that hidden layers learn
        only what is not linear.

    See Also
    --------
    ConvolutionalEncoder, ConvolutionalDecoder : For images.

    Examples
    --------
    >>> from skgen.networks import MLP
    >>> MLP((32,), "relu")(64, 2)
    Sequential(
      (0): Linear(in_features=64, out_features=32, bias=True)
      (1): ReLU()
      (2): Linear(in_features=32, out_features=2, bias=True)
    )
    """

    hidden_layer_sizes: tuple[int, ...] = (256,)
    activation: str = "silu"
    skip: bool = False

    _parameters: ClassVar[Parameters] = {
        "hidden_layer_sizes": SIZES, "activation": ACTIVATION, "skip": Flag(),
    }  # fmt: skip

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(), cls((), "identity"), cls((20, 10), "tanh"), cls((5,), skip=True))

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        layers: list[nn.Module] = []
        n_units = n_inputs
        for size in self.hidden_layer_sizes:
            layers += [nn.Linear(n_units, size), self._activate()]
            n_units = size
        body = nn.Sequential(*layers, nn.Linear(n_units, n_outputs))
        return nn.Sequential(PlusLinear(body, n_inputs, n_outputs)) if self.skip else body


class PlusLinear(nn.Module):
    """Sum of a linear map and a network, whose outputs are small at first."""

    def __init__(self, body: nn.Sequential, n_inputs: int, n_outputs: int) -> None:
        super().__init__()
        self.body, self.linear = body, nn.Linear(n_inputs, n_outputs)
        with torch.no_grad():
            for parameter in body[-1].parameters():
                parameter.mul_(0.1)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) + self.linear(x)


def linear_part(network: nn.Module) -> nn.Linear | None:
    """Return the linear map that a network is or has beside its hidden layers, or None."""
    only = network[0] if isinstance(network, nn.Sequential) and len(network) == 1 else network
    only = only.linear if isinstance(only, PlusLinear) else only
    return only if isinstance(only, nn.Linear) else None


@torch.no_grad()
def set_linear_part(network: nn.Module, weights: FloatArray, bias: FloatArray) -> None:
    """Make a network with a linear part equal to a linear map."""
    layer = linear_part(network)
    assert layer is not None
    for module in network.modules():
        if isinstance(module, PlusLinear):
            for parameter in module.body[-1].parameters():
                parameter.zero_()
    layer.weight.copy_(torch.from_numpy(weights))
    layer.bias.copy_(torch.from_numpy(bias))


@store()
class ConvolutionalEncoder(_ImageNetworkBuilder):
    """Builder of a small convolutional encoder of images given as flat rows.

    Parameters
    ----------
    image_shape : tuple (height, width) or (height, width, channels)
        Shape of the images.
    n_filters : tuple of int, default=(32, 64)
        Number of filters of each 3 x 3 convolution. Each halves height and width.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function after each convolution.
    n_blocks : int, default=0
        Number of residual blocks [1]_ at each resolution below that of the images. A block adds to
        its input two 3 x 3 convolutions of it, with half as many filters in between.

    See Also
    --------
    ConvolutionalDecoder : From codes to images.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR
       2016.

    Examples
    --------
    >>> import torch
    >>> from skgen.networks import ConvolutionalEncoder
    >>> ConvolutionalEncoder((8, 8))(64, 2)(torch.zeros(5, 64)).shape
    torch.Size([5, 2])
    """

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        height, width, channels = check_image_shape(self.image_shape, n_inputs)
        layers: list[nn.Module] = [_ToImages((height, width, channels))]
        for n_filters in self.n_filters:
            convolution = nn.Conv2d(channels, n_filters, 3, stride=2, padding=1)
            layers += [convolution, *self._blocks(n_filters), self._activate()]
            height, width, channels = _halve(height), _halve(width), n_filters
        last = nn.Linear(height * width * channels, n_outputs)
        return nn.Sequential(*layers, nn.Flatten(), last)


@store()
class ConvolutionalDecoder(_ImageNetworkBuilder):
    """Builder of a small convolutional decoder to images as flat rows.

    Parameters
    ----------
    image_shape : tuple (height, width) or (height, width, channels)
        Shape of the images.
    n_filters : tuple of int, default=(32, 64)
        Number of input channels of each 3 x 3 transposed convolution, from the last layer to the
        first. Each doubles height and width.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function between the layers.
    n_blocks : int, default=0
        Number of residual blocks [1]_ at each resolution below that of the images. A block adds to
        its input two 3 x 3 convolutions of it, with half as many filters in between. With one block
        a step takes about twice as long, and networks learn more in the same time.

    See Also
    --------
    ConvolutionalEncoder : From images to codes.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR
       2016.

    Examples
    --------
    >>> import torch
    >>> from skgen.networks import ConvolutionalDecoder
    >>> ConvolutionalDecoder((8, 8))(2, 64)(torch.zeros(5, 2)).shape
    torch.Size([5, 64])
    """

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        (height, width, channels), n_heads = _shape_of_heads(self.image_shape, n_outputs)
        sizes = _sizes_of_levels(height, width, len(self.n_filters))
        n_maps = [n_heads * channels, *self.n_filters]
        smallest = (n_maps[-1], *sizes[-1])
        layers: list[nn.Module] = [nn.Linear(n_inputs, prod(smallest)), nn.Unflatten(1, smallest)]
        for level in range(len(self.n_filters), 0, -1):
            padding = _padding(sizes[level - 1])
            n_in, n_out = n_maps[level], n_maps[level - 1]
            convolution = nn.ConvTranspose2d(n_in, n_out, 3, 2, padding=1, output_padding=padding)
            layers += [*self._blocks(n_in), self._activate(), convolution]
        return nn.Sequential(*layers, _ToRows(n_heads))


@dataclass(frozen=True)
class _ConditionalBuilder(_ConvolutionalBuilder):
    """Base class of the builders of convolutional networks with a context."""

    image_shape: tuple[int, ...]
    context_shape: tuple[int, ...]
    n_filters: tuple[int, ...] = (32, 64)
    activation: str = "silu"
    n_blocks: int = 0

    _parameters: ClassVar[Parameters] = {
        "image_shape": IMAGE_SHAPE, "context_shape": CONTEXT_SHAPE, "n_filters": SIZES,
        "activation": ACTIVATION, "n_blocks": N_BLOCKS,
    }  # fmt: skip

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        plain = cls((8, 8), (4, 4)), cls((3, 5, 2), (7,), (4,), "relu")
        return (*plain, cls((4, 3), (2, 2), (4, 2), n_blocks=2))

    def _check_inputs(self, n_inputs: int, n_others: int) -> None:
        if n_inputs != n_others + prod(self.context_shape):
            raise ValueError(
                f"`context_shape` must have as many values as the context ({n_inputs - n_others}); "
                f"got context_shape={self.context_shape} with {prod(self.context_shape)}. Give "
                "(height, width), (height, width, channels) or (n_features,) of the rows of X."
            )


@store()
class ConditionalEncoder(_ConditionalBuilder):
    """Builder of a convolutional encoder of images, given a context.

    Each row is an image followed by its context. A context that is an image is resized to the first
    image, and appended to it as further channels. A linear map turns any other context into one
    further channel.

    Parameters
    ----------
    image_shape : tuple (height, width) or (height, width, channels)
        Shape of the images.
    context_shape : tuple (height, width), (height, width, channels) or (n_features,)
        Shape of the context, which may be an image of another size.
    n_filters : tuple of int, default=(32, 64)
        Number of filters of each 3 x 3 convolution. Each halves height and width.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function after each convolution.
    n_blocks : int, default=0
        Number of residual blocks [1]_ at each resolution below that of the images. A block adds to
        its input two 3 x 3 convolutions of it, with half as many filters in between.

    See Also
    --------
    ConditionalDecoder : From codes and contexts to images.
    ConvolutionalEncoder : The encoder of images without a context.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR
       2016.

    Examples
    --------
    >>> import torch
    >>> from skgen.networks import ConditionalEncoder
    >>> ConditionalEncoder((8, 8), (4, 4))(64 + 16, 2)(torch.zeros(5, 80)).shape
    torch.Size([5, 2])
    """

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        n_values = prod(self.image_shape)
        self._check_inputs(n_inputs, n_values)
        height, width, channels = check_image_shape(self.image_shape, n_values)
        join = _JoinContext((height, width, channels), self.context_shape)
        shape = (height, width, join.n_channels)
        body = ConvolutionalEncoder(shape, self.n_filters, self.activation, self.n_blocks)
        return nn.Sequential(join, *list(body(prod(shape), n_outputs))[1:])


@store()
class ConditionalDecoder(_ConditionalBuilder):
    """Builder of a convolutional decoder to images as flat rows, given a context.

    Each row is a code followed by its context. A context that is an image is an input of each
    layer, resized to the feature maps of the layer, so that an image of low resolution is also used
    at its own scale. Any other context is an input of the first layer, with the code.

    Parameters
    ----------
    image_shape : tuple (height, width) or (height, width, channels)
        Shape of the images.
    context_shape : tuple (height, width), (height, width, channels) or (n_features,)
        Shape of the context, which may be an image of another size.
    n_filters : tuple of int, default=(32, 64)
        Number of input channels of each 3 x 3 transposed convolution, from the last layer to the
        first. Each doubles height and width. A convolution at the size of the images follows.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function between the layers.
    n_blocks : int, default=0
        Number of residual blocks [1]_ at each resolution, that of the images included. A block adds
        to its input two 3 x 3 convolutions of it, with half as many filters in between.

    See Also
    --------
    ConditionalEncoder : From images and contexts to codes.
    ConvolutionalDecoder : The decoder to images without a context.

    References
    ----------
    .. [1] K. He, X. Zhang, S. Ren and J. Sun, Deep residual learning for image recognition, CVPR
       2016.

    Examples
    --------
    >>> import torch
    >>> from skgen.networks import ConditionalDecoder
    >>> ConditionalDecoder((8, 8), (4, 4))(2 + 16, 64)(torch.zeros(5, 18)).shape
    torch.Size([5, 64])
    """

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Sequential:
        n_context = prod(self.context_shape)
        self._check_inputs(n_inputs, max(0, n_inputs - n_context))
        shape, n_heads = _shape_of_heads(self.image_shape, n_outputs)
        pyramid = _Pyramid(self, n_inputs, shape, n_heads)
        return nn.Sequential(pyramid, _ToRows(n_heads))


PARTS: dict[str, type] = {name: globals()[name] for name in __all__}
"""Builders of networks that draw no random numbers after they are built."""


class _ResidualBlock(nn.Module):
    """Feature maps plus a function of them, which is small at first."""

    def __init__(self, n_maps: int, activation: nn.Module) -> None:
        super().__init__()
        n_inside = max(1, n_maps // 2)
        first, last = (
            nn.Conv2d(n_maps, n_inside, 3, padding=1),
            nn.Conv2d(n_inside, n_maps, 3, padding=1),
        )
        with torch.no_grad():
            for parameter in last.parameters():
                parameter.mul_(0.1)
        self.layers = nn.Sequential(activation, first, activation, last)

    def forward(self, maps: Tensor) -> Tensor:
        return maps + self.layers(maps)


class _ToImages(nn.Module):
    """Layer that maps flat rows to images, channels first."""

    def __init__(self, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, self.shape).movedim(-1, -3)  # (n, c, h, w)


class _ToRows(nn.Module):
    """Layer that maps images of several heads, channels first, to flat rows, head by head."""

    def __init__(self, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads

    def forward(self, images: Tensor) -> Tensor:
        heads = images.unflatten(-3, (self.n_heads, -1))  # (n, heads, c, h, w)
        return heads.movedim(-3, -1).flatten(1)


class _JoinContext(nn.Module):
    """Layer that maps rows, an image and then its context, to images with further channels."""

    def __init__(self, shape: tuple[int, int, int], context_shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape, self.context_shape = shape, context_shape
        height, width, channels = shape
        if len(context_shape) == 1:
            self.to_channel = nn.Linear(context_shape[0], height * width)
        self.n_channels = channels + _n_channels(context_shape, of_vector=1)

    def forward(self, rows: Tensor) -> Tensor:
        height, width, channels = self.shape
        x, context = rows.split([height * width * channels, prod(self.context_shape)], -1)
        images = x.unflatten(-1, self.shape).movedim(-1, -3)  # (n, c, h, w)
        if len(self.context_shape) == 1:
            maps = self.to_channel(context).unflatten(-1, (1, height, width))
        else:
            maps = _resize(_context_images(context, self.context_shape), height, width)
        return torch.cat([images, maps], 1)


class _Pyramid(nn.Module):
    """Transposed convolutions from codes to images, each of which is given the context."""

    def __init__(
        self, builder: ConditionalDecoder, n_inputs: int, shape: tuple[int, int, int], n_heads: int
    ) -> None:
        super().__init__()
        self.context_shape, self.activation = builder.context_shape, builder._activate()
        filters, added = builder.n_filters, _n_channels(builder.context_shape, of_vector=0)
        height, width, channels = shape
        sizes = _sizes_of_levels(height, width, len(filters))[::-1]
        n_maps = [*filters[::-1], max(1, filters[0] // 2) if filters else 1]
        self.start_shape = (n_maps[0], *sizes[0])
        self.start = nn.Linear(n_inputs, prod(self.start_shape))
        self.steps = nn.ModuleList(
            nn.ConvTranspose2d(n_in + added, n_out, 3, 2, 1, output_padding=_padding(size))
            for (n_in, n_out), size in zip(pairwise(n_maps), sizes[1:], strict=True)
        )
        self.blocks = nn.ModuleList(nn.Sequential(*builder._blocks(n)) for n in n_maps)
        self.last = nn.Conv2d(n_maps[-1] + added, n_heads * channels, 3, padding=1)

    def forward(self, rows: Tensor) -> Tensor:
        context = rows[:, rows.shape[1] - prod(self.context_shape) :]
        maps = self.start(rows).unflatten(-1, self.start_shape)
        for step, blocks in zip([*self.steps, self.last], self.blocks, strict=True):
            maps = self.activation(blocks(maps))
            if len(self.context_shape) > 1:
                images = _context_images(context, self.context_shape)
                maps = torch.cat([maps, _resize(images, *maps.shape[-2:])], 1)
            maps = step(maps)
        return maps


def _n_channels(context_shape: tuple[int, ...], of_vector: int) -> int:
    """Return the number of channels of a context, which is ``of_vector`` for a vector."""
    return of_vector if len(context_shape) == 1 else (*context_shape, 1)[2]


def _context_images(context: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return flat rows as images, channels first."""
    height, width, channels = (*shape, 1)[:3]
    return context.unflatten(-1, (height, width, channels)).movedim(-1, -3)


def _resize(images: Tensor, height: int, width: int) -> Tensor:
    """Return images resized bilinearly; reduced images are averaged to avoid aliasing."""
    if images.shape[-2:] == (height, width):
        return images
    return functional.interpolate(images, (height, width), mode="bilinear", antialias=True)


def _shape_of_heads(
    image_shape: tuple[int, ...], n_outputs: int
) -> tuple[tuple[int, int, int], int]:
    """Return (height, width, channels) of images, and the number of outputs per value."""
    n_heads, rest = divmod(n_outputs, prod(image_shape))
    n_values = n_outputs if rest or not n_heads else n_outputs // n_heads
    return check_image_shape(image_shape, n_values), n_heads


def _sizes_of_levels(height: int, width: int, n_levels: int) -> list[tuple[int, int]]:
    """Return (height, width) of images before and after each of ``n_levels`` halvings."""
    sizes = [(height, width)]
    for _ in range(n_levels):
        sizes.append((_halve(sizes[-1][0]), _halve(sizes[-1][1])))
    return sizes


def _padding(size: tuple[int, int]) -> tuple[int, int]:
    """Return the output padding with which a transposed convolution gives images of a size."""
    # Stride 2 maps ceil(size / 2) to an odd size; an even size needs one line of padding.
    return 1 - size[0] % 2, 1 - size[1] % 2


def _halve(size: int) -> int:
    """Return the size of an image after a convolution of stride 2."""
    return (size + 1) // 2


def check_builder(builder: Any, name: str) -> Builder:
    """Return ``builder`` if it is callable and not a module already built, or raise."""
    if not callable(builder) or isinstance(builder, nn.Module):
        condition = "be a str or a callable(n_inputs, n_outputs) that returns a module"
        remedy = "Pass a function or a class, not a module already built."
        raise TypeError(error_message(name, condition, builder, remedy))
    return builder


BUILDER = NONE | Choice("mlp", "convolutional") | Custom(
    check_builder, lambda value: isinstance(value, _NetworkBuilder)
)  # fmt: skip
PARAMETERS: Parameters = {
    "hidden_layer_sizes": SIZES, "activation": ACTIVATION, "encoder": BUILDER, "decoder": BUILDER,
    "image_shape": NONE | IMAGE_SHAPE,
}  # fmt: skip
"""Parameters of an estimator from which `resolve_builders` makes its networks."""


def resolve_builders(
    parameters: Any, n_features: int, context_shape: tuple[int, ...] | None = None,
    skip: bool = False, name: str = "X",
) -> tuple[Builder, Builder]:  # fmt: skip
    """Return the builders of encoder and decoder that checked `PARAMETERS` describe.

    With ``context_shape``, the networks have a context of this shape as a further input. With
    ``skip``, perceptrons that are chosen by default have a linear part. ``name`` is that of the
    rows, for error messages.
    """
    sizes, activation = parameters.hidden_layer_sizes, parameters.activation
    shape = parameters.image_shape or guess_image_shape(n_features)
    check_image_shape(shape, n_features, name)
    default = "convolutional" if parameters.image_shape else "skip" if skip else "mlp"
    shortcuts: dict[str, tuple[Builder, Builder]] = {
        "mlp": (MLP(sizes, activation), MLP(sizes[::-1], activation)),
        "skip": (MLP(sizes, activation, bool(sizes)), MLP(sizes[::-1], activation, bool(sizes))),
        "convolutional": (
            ConvolutionalEncoder(shape, activation=activation),
            ConvolutionalDecoder(shape, activation=activation),
        )
        if context_shape is None
        else (
            ConditionalEncoder(shape, context_shape, activation=activation),
            ConditionalDecoder(shape, context_shape, activation=activation),
        ),
    }

    def resolve(builder: Any, index: int) -> Builder:
        builder = default if builder is None else builder
        return shortcuts[builder][index] if isinstance(builder, str) else builder

    return resolve(parameters.encoder, 0), resolve(parameters.decoder, 1)
