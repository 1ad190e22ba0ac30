"""Networks built by builders, and checked."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor, nn

from ..networks import Builder

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
    """Set the bias of a decoder, so that its outputs are around ``outputs``."""
    with torch.no_grad():
        cast(Tensor, last_module(decoder).bias).copy_(outputs)


def last_module(network: nn.Module) -> nn.Module:
    """Return the module that has the bias of the outputs, if any has."""
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
