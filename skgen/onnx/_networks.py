"""Encoder and decoder as ONNX graphs by torch's exporter, with data in their own units."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnx import TensorProto
from onnx.compose import add_prefix
from onnxscript import opset18
from skl2onnx.common.data_types import guess_proto_type
from torch import Tensor, nn

from .._autoencoder.vae import VAETransformer
from ._regression import MEAN_AND_STD, Graph, register_converter


def _silu(x: Any) -> Any:
    one = opset18.CastLike(1.0, x)  # type: ignore[type-var]
    return opset18.Div(x, opset18.Add(one, opset18.Exp(opset18.Neg(x))))


SILU: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.aten.silu.default: _silu}
"""SiLU without a sigmoid, which onnxruntime up to 1.30 fuses with the product, for float32 only."""


class _Network(nn.Module):
    """One of the two networks, with the transform of the likelihood that belongs to it."""

    def __init__(self, estimator: VAETransformer, *, double: bool, n_outputs: int = 1) -> None:
        super().__init__()
        self.vae = estimator.module_.twin().cpu().to(torch.float64 if double else torch.float32)
        self.n_outputs = n_outputs


class _Encoder(_Network):
    """Network from rows of data to the means, and perhaps standard deviations, of q(z | x)."""

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        mask = torch.isnan(x) if self.vae.architecture.sees_mask else None
        mean, log_variance = self.vae.moments(self.vae.likelihood.onnx_transform(x), mask=mask)
        return (mean, torch.exp(0.5 * log_variance))[: self.n_outputs]


class _Decoder(_Network):
    """Network from latent codes to means of p(x | z)."""

    def forward(self, z: Tensor) -> Tensor:
        # In float32, onnxruntime's sigmoid has few digits of a small probability.
        outputs, likelihood = self.vae.outputs(z).double(), self.vae.likelihood
        x = likelihood.mean(outputs, self.vae.global_parameters.double())
        return likelihood.onnx_inverse_transform(x).to(z.dtype)


def _check_likelihood(estimator: VAETransformer, method: str, *in_numpy: str) -> None:
    """Raise if the likelihood overrides one of the methods ``in_numpy`` without ``method``."""
    likelihood = estimator.module_.likelihood
    for cls in type(likelihood).__mro__:
        if method in vars(cls):
            return
        overridden = [name for name in in_numpy if name in vars(cls)]
        if overridden:
            raise TypeError(
                f"`likelihood` must define `{method}` with `{overridden[0]}` to be exported; got "
                f"likelihood={likelihood}. Define it, or transform the data before the estimator."
            )


def decoder_model(estimator: VAETransformer, *, double: bool, opset: int) -> onnx.ModelProto:
    """Return the decoder as a model from "Z" to "mean"."""
    _check_likelihood(estimator, "onnx_inverse_transform", "inverse_transform")
    decoder = _Decoder(estimator, double=double)
    return _export(decoder, "decoder", decoder.vae.n_components, opset, "Z", ["mean"])


def _export(
    network: _Network, name: str, n_inputs: int, opset: int, source: str, outputs: list[str]
) -> onnx.ModelProto:
    """Export a network as a model that takes any number of rows."""
    rows = torch.zeros(2, n_inputs, dtype=network.vae.dtype)
    with _silence_exporter():
        try:
            program = torch.onnx.export(
                network.eval(), (rows,), dynamo=True, verbose=False, opset_version=opset,
                input_names=[source], output_names=outputs,
                dynamic_shapes=({0: torch.export.Dim("n_samples")},),
                custom_translation_table=SILU if rows.dtype == torch.float64 else None,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise ValueError(
                f"`{name}` must be a network that torch.onnx.export can write, for any number of "
                f"rows; got {error.__cause__ or error}. Use other layers."
            ) from error
    assert program is not None
    model = program.model_proto
    graph = model.graph  # the exporter's notes hold paths of source files
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        part.ClearField("metadata_props")
    graph.ClearField("value_info")
    return model


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Silence warnings of torch's exporter about torch itself."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)  # it warns of operators of packages that are not installed
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*LeafSpec", FutureWarning)
            yield
    finally:
        logger.setLevel(level)


def _convert(scope: Any, operator: Any, container: Any) -> None:
    estimator, outputs = operator.raw_operator, operator.outputs
    graph, opset = Graph(scope, container), container.target_opset
    kind = guess_proto_type(outputs[0].type)
    _check_likelihood(estimator, "onnx_transform", "check_support", "transform")
    encoder = _Encoder(estimator, double=kind == TensorProto.DOUBLE, n_outputs=len(outputs))
    names = [variable.raw_name for variable in outputs]
    model = _export(encoder, "encoder", estimator.n_features_in_, opset, "X", names)
    part = add_prefix(model, f"{graph.new('encoder')}_").graph
    container.initializers.extend(part.initializer)
    container.nodes.extend(part.node)
    graph("Identity", graph.join(operator.inputs, kind), output=part.input[0].name)
    for tensor, variable in zip(part.output, outputs, strict=True):
        graph("Identity", tensor.name, output=variable.full_name)


def register() -> None:
    """Register the converter of VAETransformer with skl2onnx."""
    register_converter(
        VAETransformer, _convert, lambda vae: vae.module_.n_components, **MEAN_AND_STD
    )
