"""Calls of the builders of networks and priors, with checks of what they return."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from ..networks import Builder
from ..priors._base import LatentDistribution, Prior

REMEDY = "Return torch.nn.Sequential(...)."


class WithBias(nn.Module):
    """A module plus a learned constant."""

    def __init__(self, module: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.module = module
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, z: Tensor) -> Tensor:
        return self.module(z) + self.bias


def build_decoder(builder: Builder, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build and check a decoder; add a bias to its outputs unless they have one."""
    decoder = build(builder, "decoder", n_inputs, n_outputs)
    last = last_module(decoder)
    has_bias = isinstance(last, nn.Linear) and last.bias is not None and len(last.bias) == n_outputs
    return decoder if has_bias else WithBias(decoder, n_outputs)


def set_initial_outputs(decoder: nn.Module, outputs: Tensor) -> None:
    """Set the bias of a decoder to ``outputs``."""
    with torch.no_grad():
        cast(Tensor, last_module(decoder).bias).copy_(outputs)


def build_prior(
    builder: Prior, n_components: int, n_context: int, n_features: int,
    moments: Callable[..., tuple[Tensor, Tensor]],
) -> nn.Module:  # fmt: skip
    """Build and check a prior; ``moments`` of q(z | x) are passed if it ``sees_encoder``."""
    encoder = {"n_features": n_features, "moments": moments}
    sees_encoder = getattr(builder, "sees_encoder", False)
    try:
        module: Any = builder(n_components, n_context, **(encoder if sees_encoder else {}))
        with torch.no_grad():
            distribution: Any = module(torch.zeros(2, n_context) if n_context else None)
        if not (isinstance(module, nn.Module) and isinstance(distribution, LatentDistribution)):
            raise TypeError(f"{type(module).__name__} and {type(distribution).__name__}")
        _check_distribution(distribution, n_components, for_context=bool(n_context))
    except Exception as error:
        raise TypeError(
            "`prior` must be a callable(n_components, n_context) that returns a torch module, "
            "which from a context, or None, returns a skgen.priors.LatentDistribution with "
            f"draws of shape (n, {n_components}) and log_prob from this shape to (n,); got "
            f"{type(error).__name__} ({error}). Compare it with skgen.priors.Mixture(10)."
        ) from error
    return module


@torch.no_grad()
def _check_distribution(prior: LatentDistribution, n_components: int, for_context: bool) -> None:
    """Raise if densities or draws of a prior for two rows have not the shapes that they must."""
    zeros = torch.zeros(2, n_components)
    log_prob = prior.log_prob(zeros)
    if log_prob.shape != (2,):
        raise ValueError(f"shape {tuple(log_prob.shape)} of `log_prob` for n=2")
    codes = {}
    if not zeros.is_meta:  # `load` builds networks without memory, which cannot draw
        codes["sample"] = prior.sample(2, np.random.default_rng(0))
    if for_context:
        codes["from_noise"] = prior.from_noise(torch.zeros(1, 2, prior.n_noise))[0]
    for name, z in codes.items():
        if z.shape[-1:] != (n_components,):
            raise ValueError(f"shape {tuple(z.shape)} of `{name}` for n=2")


@contextmanager
def memory_errors(name: str) -> Iterator[None]:
    """Raise a MemoryError in place of torch's errors about lack of memory."""
    try:
        yield
    except (RuntimeError, TypeError, ValueError) as error:
        cause: Any = error
        while cause is not None:
            if isinstance(cause, torch.OutOfMemoryError) or "can't allocate memory" in str(cause):
                raise MemoryError(
                    f"`{name}` needs more memory than there is: {cause}. Choose smaller networks "
                    "or a smaller `batch_size`, or give X in single precision."
                ) from error
            cause = cause.__cause__
        raise


def last_module(network: nn.Module) -> nn.Module:
    """Return the module that has the bias of the outputs."""
    *_, last = network.modules()
    return network if isinstance(network, WithBias) else last


def build(builder: Builder, name: str, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build the network of the parameter ``name`` and check its outputs."""
    sizes = f"n_inputs={n_inputs}, n_outputs={n_outputs}"
    condition = f"`{name}` must be a callable(n_inputs, n_outputs) that returns a torch module"
    try:
        module: Any = builder(n_inputs, n_outputs)
    except Exception as error:
        got = f"{type(error).__name__} ({error}) for {sizes}"
        raise TypeError(f"{condition}; got {got}. {REMEDY}") from error
    if not isinstance(module, nn.Module):
        got = f"one that returns a {type(module).__name__}"
        raise TypeError(f"{condition}; got {got}. {REMEDY}")
    _check_outputs(module, name, n_inputs, n_outputs, f"Its builder is called with {sizes}.")
    return module


def _check_outputs(
    module: nn.Module, name: str, n_inputs: int, n_outputs: int, remedy: str
) -> None:
    condition = f"`{name}` must map shape (n, {n_inputs}) to (n, {n_outputs})"
    module.eval()
    try:
        with torch.no_grad():
            outputs: Any = module(torch.zeros(2, n_inputs))
    except Exception as error:
        got = f"{type(error).__name__} ({error})"
        raise ValueError(f"{condition}; got {got}. {remedy}") from error
    module.train()
    if not isinstance(outputs, Tensor) or outputs.dtype != torch.float32:
        found = getattr(outputs, "dtype", type(outputs))
        raise TypeError(f"`{name}` must return a float32 tensor; got {found}. {REMEDY}")
    if outputs.shape != (2, n_outputs):
        raise ValueError(f"{condition}; got shape {tuple(outputs.shape)} for n=2. {remedy}")
