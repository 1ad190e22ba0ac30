"""The regressor and its bases as ONNX nodes, written into the model that skl2onnx is building.

Between inputs and outputs all is in double precision, as it is in the estimators: the weights of
many basis functions cancel, and single precision would show it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from onnx import TensorProto
from skl2onnx import update_registered_converter
from skl2onnx._parse import _parse_sklearn
from skl2onnx.common.data_types import DoubleTensorType, guess_proto_type, guess_tensor_type
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import PolynomialFeatures

from .._regression.conjugate import Posterior
from .._regression.estimator import BayesianBasisRegressor
from ..bases import FourierBasis, GaussianBasis, SigmoidBasis
from ..bases._placement import Ranks

Operand = str | npt.NDArray[Any]

ONE, ZERO = np.array([1.0]), np.array([0.0])
ROWWISE = np.array([1])  # the axes of a sum over columns
STD = {"return_std": [False, True]}
"""What skl2onnx may be asked for besides the mean, and what it is by default."""


class Graph:
    """Nodes with one output each; a tensor is a name, an array becomes a constant."""

    def __init__(self, scope: Any, container: Any) -> None:
        self.scope = scope
        self.container = container

    def __call__(
        self, op_type: str, *inputs: Operand, output: str | None = None, **attributes: Any
    ) -> str:
        """Add a node, whose output is the tensor ``output`` or a new one."""
        names = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        name = self.new(op_type) if output is None else output
        self.container.add_node(
            op_type, names, [name], op_version=self.container.target_opset,
            name=self.scope.get_unique_operator_name(op_type), **attributes,
        )  # fmt: skip
        return name

    def new(self, name: str) -> str:
        unique: str = self.scope.get_unique_variable_name(name)
        return unique

    def constant(self, value: npt.NDArray[Any]) -> str:
        name = self.new("constant")
        kind = TensorProto.INT64 if value.dtype == np.int64 else TensorProto.DOUBLE
        self.container.add_initializer(name, kind, value.shape, value.ravel())
        return name

    def joined(self, variables: list[Any], kind: int) -> str:
        """Columns of variables, one table or several, as elements of one kind."""
        tables = [self("Cast", variable.full_name, to=kind) for variable in variables]
        return tables[0] if len(tables) == 1 else self("Concat", *tables, axis=1)

    def write(self, tensor: str, variable: Any) -> None:
        self("Cast", tensor, to=guess_proto_type(variable.type), output=variable.full_name)

    def estimator(self, transformer: Any, X: str) -> str:
        """What a transformer that skl2onnx knows makes of X."""
        table = self.scope.declare_local_variable(
            "table", DoubleTensorType([None, transformer.n_features_in_])
        )
        self("Identity", X, output=table.full_name)
        (result,) = _parse_sklearn(self.scope, transformer, [table])
        return self("Cast", result.full_name, to=TensorProto.DOUBLE)


# -- the regressor -----------------------------------------------------------------------------


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model: BayesianBasisRegressor = operator.raw_operator
    graph = Graph(scope, container)
    Phi = _basis_functions(graph, model.basis_, graph.joined(operator.inputs, TensorProto.DOUBLE))
    coef = np.atleast_2d(model.coef_)
    mean, *std = operator.outputs
    intercept = np.broadcast_to(model.intercept_, len(coef))
    graph.write(graph("Add", graph("MatMul", Phi, coef.T), intercept), mean)
    if std:
        variances = [
            _variance(graph, posterior, Phi, coef.shape[1]) for posterior in model._posteriors()
        ]
        graph.write(graph("Sqrt", graph("Concat", *variances, axis=1)), std[0])


def _variance(graph: Graph, posterior: Posterior, Phi: str, n_basis: int) -> str:
    """Predictive variances of the outputs that share a posterior (Bishop eq. 3.59)."""
    intercept, weights = np.split(posterior.root, [len(posterior.mean) - n_basis])
    product = graph("Add", graph("MatMul", Phi, weights), intercept.sum(axis=0))
    squares = graph("Mul", product, product)
    leverage = graph("ReduceSum", squares, ROWWISE, keepdims=1)
    return graph("Mul", graph("Add", leverage, ONE), posterior.noise_variance)


# -- the bases ---------------------------------------------------------------------------------


def _basis_functions(graph: Graph, basis: Any, X: str) -> str:
    """The design matrix, without intercept, of rows X in double precision."""
    write = WRITERS.get(type(basis), Graph.estimator)
    return write(graph, basis, X)


def _frozen(graph: Graph, basis: FrozenEstimator, X: str) -> str:
    return _basis_functions(graph, basis.estimator, X)


def _pipeline(graph: Graph, basis: Pipeline, X: str) -> str:
    for step in basis:
        if step not in (None, "passthrough"):
            X = _basis_functions(graph, step, X)
    return X


def _polynomial(graph: Graph, basis: PolynomialFeatures, X: str) -> str:
    """Products of columns, to which one of ones is added; skl2onnx' fail with a bias in float64."""
    columns = graph("Pad", X, np.array([0, 0, 0, 1]), np.array(1.0))
    n_features, degree = basis.n_features_in_, basis.powers_.sum(axis=1).max()
    factors = np.full((max(degree, 1), len(basis.powers_)), n_features)
    for column, powers in enumerate(basis.powers_):
        factors[: powers.sum(), column] = np.repeat(np.arange(n_features), powers)
    product, *others = (graph("Gather", columns, factor, axis=1) for factor in factors)
    for other in others:
        product = graph("Mul", product, other)
    return product


def _gaussian(graph: Graph, basis: GaussianBasis, X: str) -> str:
    standard = graph("Sub", X, basis.location_)
    scaled = graph("Div", standard, basis.width_)
    centers = (basis.centers_ - basis.location_) / basis.width_
    if centers.shape[1] == 1:
        difference = graph("Sub", scaled, centers.T)
        distance = graph("Mul", difference, difference)
    else:
        product = graph("MatMul", scaled, -2 * centers.T)
        squares = graph("Mul", scaled, scaled)
        length = graph("ReduceSum", squares, ROWWISE, keepdims=1)
        length = graph("Add", length, np.einsum("ij,ij->i", centers, centers))
        distance = graph("Max", graph("Add", product, length), ZERO)
    bumps = graph("Exp", graph("Mul", distance, np.array([-0.5])))
    if not basis.linear_:
        return bumps
    return graph("Concat", bumps, graph("Div", standard, basis.scale_), axis=1)


def _sigmoid(graph: Graph, basis: SigmoidBasis, X: str) -> str:
    n_features, n_basis = basis.centers_.shape
    columns = graph("Gather", X, np.repeat(np.arange(n_features), n_basis), axis=1)
    distance = graph("Sub", columns, basis.centers_.ravel())
    return graph("Sigmoid", graph("Div", distance, np.repeat(basis.width_, n_basis)))


def _fourier(graph: Graph, basis: FourierBasis, X: str) -> str:
    inputs = graph("Div", graph("Sub", X, basis.location_), basis.scale_)
    if basis._ranks is not None:
        ranks = graph("Div", _ranked(graph, basis._ranks, X), basis._ranks.scale)
        inputs = graph("Concat", inputs, ranks, axis=1)
    inputs = graph("Div", inputs, basis._relative)
    phase = graph("MatMul", inputs, basis._spectrum)
    # As sines, because onnxruntime has had a cosine in double precision for a short time only.
    phases = graph("Concat", graph("Add", phase, np.array([np.pi / 2])), phase, axis=1)
    waves = graph("Mul", graph("Sin", phases), np.array([basis._spectrum.shape[1] ** -0.5]))
    if not basis.slope_:
        return waves
    return graph("Concat", waves, graph("Mul", inputs, np.array([basis.slope_])), axis=1)


def _ranked(graph: Graph, ranks: Ranks, X: str) -> str:
    """Ranks less one half: a binary search among the knots of all features at once."""
    size = 2 ** max(len(values) for values, _ in ranks.knots).bit_length()
    knots, heights, slopes = np.full((3, len(ranks.knots), size), np.inf)
    for feature, (values, shares) in enumerate(ranks.knots):
        knots[feature, : len(values)] = values
        heights[feature, : len(values)] = shares - 0.5
        slopes[feature, : len(values)] = np.append(np.diff(shares) / np.diff(values), 0.0)
    low, high = knots[:, 0], np.array([values[-1] for values, _ in ranks.knots])
    x = graph("Min", graph("Max", X, low), high)
    # Where in the flat tables the knot at or below x is; at first, that of the feature's first.
    place: Operand = size * np.arange(len(knots))
    step = size // 2
    while step:
        further = graph("Add", place, np.array([step]))
        reached = graph("GreaterOrEqual", x, graph("Gather", knots.ravel(), further))
        place = graph("Where", reached, further, place)
        step //= 2
    beyond = graph("Sub", x, graph("Gather", knots.ravel(), place))
    rise = graph("Mul", graph("Gather", slopes.ravel(), place), beyond)
    return graph("Add", graph("Gather", heights.ravel(), place), rise)


OURS = (GaussianBasis, SigmoidBasis, FourierBasis)
WRITERS: dict[type, Callable[[Graph, Any, str], str]] = {
    GaussianBasis: _gaussian,
    SigmoidBasis: _sigmoid,
    FourierBasis: _fourier,
    PolynomialFeatures: _polynomial,
    FrozenEstimator: _frozen,
    Pipeline: _pipeline,
}


# -- skl2onnx ----------------------------------------------------------------------------------


def mean_and_std(alias: str) -> Callable[..., list[Any]]:
    """A parser for estimators with one output, or two if standard deviations are asked for."""

    def parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
        operator = scope.declare_local_operator(alias, model)
        operator.inputs = inputs
        wanted = scope.get_options(model, {"return_std": False})["return_std"]
        for name in ("mean", "std") if wanted else ("mean",):
            kind = guess_tensor_type(inputs[0].type)
            operator.outputs.append(scope.declare_local_variable(name, kind))
        outputs: list[Any] = operator.outputs
        return outputs

    return parse


def set_width(operator: Any, n_columns: int) -> None:
    """Give each output its shape: as many rows as the input, and ``n_columns``."""
    for variable in operator.outputs:
        variable.type.shape = [operator.inputs[0].get_first_dimension(), n_columns]


def _convert_basis(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    X = graph.joined(operator.inputs, TensorProto.DOUBLE)
    graph.write(_basis_functions(graph, operator.raw_operator, X), operator.outputs[0])


def register() -> None:
    """Let skl2onnx know the regressor and the bases."""
    alias = "SkgenBayesianBasisRegressor"
    update_registered_converter(
        BayesianBasisRegressor, alias,
        lambda operator: set_width(operator, len(np.atleast_2d(operator.raw_operator.coef_))),
        _convert_regressor, parser=mean_and_std(alias), options=STD,
    )  # fmt: skip
    for basis in OURS:
        update_registered_converter(
            basis, f"Skgen{basis.__name__}",
            lambda operator: set_width(operator, operator.raw_operator._n_features_out),
            _convert_basis,
        )  # fmt: skip
