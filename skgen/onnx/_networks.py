"""Networks of autoencoders as ONNX graphs by torch's exporter, with data in their own units."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto
from onnx.compose import add_prefix
from onnxscript import opset18
from skl2onnx.common.data_types import guess_proto_type
from torch import Tensor, nn

from .._autoencoder.conditional import (
    LINEAR_RANGE,
    N_DRAWS,
    VAERegressor,
    codes_of,
    moments_over_draws,
    prior_noise,
)
from .._autoencoder.vae import VAETransformer
from .._validation import FloatArray
from ._regression import MEAN_AND_STD, Graph, register_converter


def _silu(x: Any) -> Any:
    one = opset18.CastLike(1.0, x)  # type: ignore[type-var]
    return opset18.Div(x, opset18.Add(one, opset18.Exp(opset18.Neg(x))))


SILU: dict[Callable[..., Any], Callable[..., Any]] = {torch.ops.aten.silu.default: _silu}
"""SiLU without the operator Sigmoid, because onnxruntime up to 1.30 fuses Sigmoid and Mul to an
operator that it has for float32 only."""

Autoencoder = VAETransformer | VAERegressor
OUTPUTS = ["first_output", "second_output"]
"""Names that no other tensor has; torch's exporter names tensors by functions, such as mean."""


class _Network(nn.Module):
    """One of the networks, with the transform of the likelihood that belongs to it."""

    def __init__(self, estimator: Autoencoder, *, double: bool, n_outputs: int = 1) -> None:
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
        return self._mean(z).to(z.dtype)

    def _mean(self, z: Tensor, context: Tensor | None = None) -> Tensor:
        # In float64, because onnxruntime's sigmoid in float32 has few digits for small values.
        outputs, likelihood = self.vae.outputs(z, context).double(), self.vae.likelihood
        x = likelihood.mean(outputs, self.vae.global_parameters.double())
        return likelihood.onnx_inverse_transform(x)


class _Inputs(nn.Module):
    """Layer that maps inputs of a regressor to those of its networks, and to its linear part."""

    def __init__(self, estimator: VAERegressor) -> None:
        super().__init__()
        self.location, self.factor = estimator._x_mean, estimator._x_factor
        self.ridge = estimator._ridge
        self.widening = 1.0 if self.ridge is None else self.ridge.widening

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """Return inputs of the networks, the linear map, and the spread of new rows."""
        standard = (x.double() - _constant(self.location)) * _constant(self.factor)
        within = standard.clamp(-LINEAR_RANGE, LINEAR_RANGE)
        # As in `compress`; the rest beyond the range has the sign of the value.
        beyond = standard - within
        seen = (within + beyond.sign() * torch.log1p(beyond.abs())).to(x.dtype)
        if self.ridge is None:
            return seen, 0.0, 1.0
        linear = standard @ _constant(self.ridge.coef) + _constant(self.ridge.intercept)
        return seen, linear, self._spread(standard)

    def _spread(self, standard: Tensor) -> Tensor | float:
        assert self.ridge is not None
        if (uncertainty := self.ridge.uncertainty) is None:
            return 1.0
        # Tensors, since the exporter rounds numbers to single precision.
        spread: Tensor = (1 + uncertainty.variance(standard, _constant)).sqrt()[:, None]
        return spread


class _ConditionalDecoder(_Decoder):
    """Network from latent codes and inputs to means of p(y | x, z)."""

    def __init__(self, estimator: VAERegressor, *, double: bool) -> None:
        super().__init__(estimator, double=double)
        self.inputs, self.noise = _Inputs(estimator), prior_noise(self.vae, N_DRAWS)

    def forward(self, z: Tensor, x: Tensor) -> Tensor:  # type: ignore[override]
        context, linear, spread = self.inputs(x)
        residual, widening = self._mean(z, context), self.inputs.widening
        if widening != 1:
            codes, likelihood = codes_of(self.vae, self.noise, context), self.vae.likelihood
            (mean,) = moments_over_draws(self.vae, self.vae.outputs(codes, context).double(), False)
            mean = likelihood.onnx_inverse_transform(mean)
            residual = mean + _constant(widening) * (residual - mean)
        return (spread * residual + linear).to(z.dtype)


class _Predictive(_Network):
    """Network from inputs to means, and perhaps standard deviations, as `predict` gives them."""

    def __init__(self, estimator: VAERegressor, *, double: bool, n_outputs: int) -> None:
        super().__init__(estimator, double=double, n_outputs=n_outputs)
        self.inputs = _Inputs(estimator)
        self.noise = prior_noise(self.vae, N_DRAWS)
        (self.std_factors,) = estimator._std_factors(np.zeros((1, estimator._n_outputs)))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        context, linear, spread = self.inputs(x)
        outputs = self.vae.outputs(codes_of(self.vae, self.noise, context), context).double()
        mean, *variance = moments_over_draws(self.vae, outputs, self.n_outputs == 2)
        factors = _constant(self.inputs.widening * self.std_factors)
        stds = [spread * value.sqrt() * factors for value in variance]
        total = spread * self.vae.likelihood.onnx_inverse_transform(mean) + linear
        return tuple(value.to(x.dtype) for value in (total, *stds))


def _constant(values: FloatArray | float) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float64))


def _check_likelihood(estimator: Autoencoder, method: str, *in_numpy: str) -> None:
    """Raise if the likelihood overrides one of the methods ``in_numpy`` but not ``method``."""
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


def _check_inputs(estimator: VAERegressor) -> None:
    """Raise if columns of X are categories."""
    if estimator._categories is not None:
        raise ValueError(
            "`estimator` must have been fitted to numbers to be exported; got a VAERegressor with "
            "columns of categories. Encode them before the fit, as 0 and 1."
        )


def decoder_model(estimator: Autoencoder, *, double: bool, opset: int) -> onnx.ModelProto:
    """Return the decoder as a model with inputs "Z" and, for a regressor, "X"."""
    _check_likelihood(estimator, "onnx_inverse_transform", "inverse_transform")
    n_columns = {"Z": estimator.module_.n_components}
    decoder: _Decoder
    if isinstance(estimator, VAERegressor):
        _check_inputs(estimator)
        decoder = _ConditionalDecoder(estimator, double=double)
        n_columns["X"] = estimator.n_features_in_
    else:
        decoder = _Decoder(estimator, double=double)
    model = _export(decoder, "decoder", n_columns, opset, 1)
    model = add_prefix(model, "decoder_", rename_inputs=False)
    (output,) = model.graph.output
    model.graph.node.append(onnx.helper.make_node("Identity", [output.name], ["mean"]))
    output.name = "mean"
    return model


def _export(
    network: _Network, name: str, n_columns: dict[str, int], opset: int, n_outputs: int
) -> onnx.ModelProto:
    """Export a network, whose inputs are tables, as a model for any number of rows."""
    tables = tuple(torch.zeros(2, n, dtype=network.vae.dtype) for n in n_columns.values())
    n_samples = torch.export.Dim("n_samples")
    with _silence_exporter():
        try:
            program = torch.onnx.export(
                network.eval(), tables, dynamo=True, verbose=False, opset_version=opset,
                input_names=[*n_columns], output_names=OUTPUTS[:n_outputs],
                dynamic_shapes=tuple({0: n_samples} for _ in tables),
                custom_translation_table=SILU if network.vae.dtype == torch.float64 else None,
            )  # fmt: skip
        except torch.onnx.OnnxExporterError as error:
            raise ValueError(
                f"`{name}` must be a network that torch.onnx.export can write, for any number of "
                f"rows; got {error.__cause__ or error}. Use other layers."
            ) from error
    assert program is not None
    model = program.model_proto
    graph = model.graph  # its metadata have paths of source files
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
            warnings.filterwarnings("ignore", ".*axis name", UserWarning)
            yield
    finally:
        logger.setLevel(level)


def _convert_encoder(scope: Any, operator: Any, container: Any) -> None:
    _check_likelihood(operator.raw_operator, "onnx_transform", "check_support", "transform")
    _add_network(_Encoder, "encoder", scope, operator, container)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    _check_inputs(operator.raw_operator)
    _check_likelihood(operator.raw_operator, "onnx_inverse_transform", "inverse_transform")
    _add_network(_Predictive, "decoder", scope, operator, container)


def _add_network(
    kind: Callable[..., _Network], name: str, scope: Any, operator: Any, container: Any
) -> None:
    """Add a network from rows of X to the model that skl2onnx is building."""
    estimator, outputs = operator.raw_operator, operator.outputs
    graph, opset = Graph(scope, container), container.target_opset
    precision = guess_proto_type(outputs[0].type)
    double = precision == TensorProto.DOUBLE
    network = kind(estimator, double=double, n_outputs=len(outputs))
    model = _export(network, name, {"X": estimator.n_features_in_}, opset, len(outputs))
    part = add_prefix(model, f"{graph.new(name)}_").graph
    _name_empty_inputs(part, graph.new("empty"))
    container.initializers.extend(part.initializer)
    container.nodes.extend(part.node)
    graph("Identity", graph.join(operator.inputs, precision), output=part.input[0].name)
    for tensor, variable in zip(part.output, outputs, strict=True):
        graph("Identity", tensor.name, output=variable.full_name)


def _name_empty_inputs(part: onnx.GraphProto, name: str) -> None:
    """Fill in empty tensors for missing inputs of Resize: skl2onnx cannot sort such nodes."""
    nodes = [node for node in part.node if node.op_type == "Resize" and "" in node.input]
    for node in nodes:
        inputs = [given or name for given in node.input]
        node.ClearField("input")
        node.input.extend(inputs)
    if nodes:
        part.initializer.append(onnx.helper.make_tensor(name, TensorProto.FLOAT, [0], []))


def register() -> None:
    """Register the converters of the autoencoders with skl2onnx."""
    register_converter(
        VAETransformer, _convert_encoder, lambda vae: vae.module_.n_components, **MEAN_AND_STD
    )
    register_converter(
        VAERegressor, _convert_regressor, lambda model: model._n_outputs, **MEAN_AND_STD
    )
