"""Networks built by builders, and checked."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from ..networks import Builder


class WithBias(nn.Module):
    """A module plus a learned constant."""

    def __init__(self, module: nn.Module, n_outputs: int) -> None:
        super().__init__()
        self.module = module
        self.bias = nn.Parameter(torch.zeros(n_outputs))

    def forward(self, z: Tensor) -> Tensor:
        outputs: Tensor = self.module(z) + self.bias
        return outputs


def build_encoder(builder: Builder, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build and check an encoder."""
    return build(builder, "encoder", n_inputs, n_outputs)


def build_decoder(builder: Builder, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build and check a decoder; add a bias to its outputs unless they have one."""
    decoder = build(builder, "decoder", n_inputs, n_outputs)
    return decoder if ends_in_bias(decoder, n_outputs) else WithBias(decoder, n_outputs)


def set_initial_outputs(decoder: nn.Module, outputs: Tensor) -> None:
    """Set the bias of a decoder, so that its outputs are around ``outputs``."""
    with torch.no_grad():
        cast(Tensor, last_module(decoder).bias).copy_(outputs)


def ends_in_bias(network: nn.Module, n_outputs: int) -> bool:
    """Return True if the last layer is linear, with one bias for each output."""
    last = last_module(network)
    return isinstance(last, nn.Linear) and last.bias is not None and len(last.bias) == n_outputs


def last_module(network: nn.Module) -> nn.Module:
    *_, last = network.modules()
    return network if isinstance(network, WithBias) else last


def build(builder: Builder, name: str, n_inputs: int, n_outputs: int) -> nn.Module:
    """Build the network of the parameter ``name`` and check its outputs."""
    module = _call(builder, name, n_inputs, n_outputs)
    _check_outputs(_outputs_of_zeros(module, name, n_inputs, n_outputs), name, n_inputs, n_outputs)
    return module


def _call(builder: Builder, name: str, n_inputs: int, n_outputs: int) -> nn.Module:
    condition = f"`{name}` must be a callable(n_inputs, n_outputs) that returns a torch module"
    try:
        module = builder(n_inputs, n_outputs)
    except Exception as error:
        raise TypeError(
            f"{condition}; got {type(error).__name__} ({error}) for n_inputs={n_inputs}, "
            f"n_outputs={n_outputs}. Return torch.nn.Sequential(...)."
        ) from error
    if not isinstance(module, nn.Module):
        raise TypeError(
            f"{condition}; got one that returns a {type(module).__name__}. Return "
            "torch.nn.Sequential(...)."
        )
    return module


def _outputs_of_zeros(module: nn.Module, name: str, n_inputs: int, n_outputs: int) -> Tensor:
    module.eval()
    with torch.no_grad():
        try:
            outputs: Tensor = module(torch.zeros(2, n_inputs))
        except Exception as error:
            raise _shape_error(
                name, n_inputs, n_outputs, f"{type(error).__name__} ({error})"
            ) from error
    module.train()
    return outputs


def _check_outputs(outputs: Tensor, name: str, n_inputs: int, n_outputs: int) -> None:
    if not isinstance(outputs, Tensor) or outputs.dtype != torch.float32:
        raise TypeError(
            f"`{name}` must return a float32 tensor; got {getattr(outputs, 'dtype', type(outputs))}"
            ". Return torch.nn.Sequential(...)."
        )
    if outputs.shape != (2, n_outputs):
        raise _shape_error(name, n_inputs, n_outputs, f"shape {tuple(outputs.shape)} for n=2")


def _shape_error(name: str, n_inputs: int, n_outputs: int, got: str) -> ValueError:
    return ValueError(
        f"`{name}` must map shape (n, {n_inputs}) to (n, {n_outputs}); got {got}. Its builder is "
        f"called with n_inputs={n_inputs}, n_outputs={n_outputs}."
    )
