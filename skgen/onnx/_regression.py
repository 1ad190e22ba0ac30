"""The regressor and its basis as ONNX nodes, added to the model that skl2onnx is building.

Between inputs and outputs, all numbers have double precision, as in the estimators, because the
weights of many basis functions cancel. The nodes of skgen's bases are defined in their classes,
those of scikit-learn's transformers here.
"""

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

from .. import bases
from .._regression.conjugate import Posterior
from .._regression.design import Design
from .._regression.estimator import BayesianBasisRegressor
from .._table import Categories, Table
from .._validation import short_repr


class Graph:
    """Adds nodes with one output each. Tensors are given by name; arrays become constants."""

    def __init__(self, scope: Any, container: Any) -> None:
        self.scope = scope
        self.container = container

    def __call__(
        self, op_type: str, *inputs: str | npt.NDArray[Any], output: str | None = None,
        **attributes: Any,
    ) -> str:  # fmt: skip
        """Add a node, and return its output: the tensor ``output`` or a new one."""
        names = [given if isinstance(given, str) else self.constant(given) for given in inputs]
        name = self.new(op_type) if output is None else output
        self.container.add_node(
            op_type, names, [name], op_version=self.container.target_opset,
            name=self.scope.get_unique_operator_name(op_type), **attributes,
        )  # fmt: skip
        return name

    def new(self, name: str) -> str:
        return self.scope.get_unique_variable_name(name)

    def constant(self, value: npt.NDArray[Any]) -> str:
        name = self.new("constant")
        kind = TensorProto.INT64 if value.dtype == np.int64 else TensorProto.DOUBLE
        self.container.add_initializer(name, kind, value.shape, value.ravel())
        return name

    def join(self, variables: list[Any], kind: int) -> str:
        """Return the columns of all variables in one table, with elements of one kind."""
        tables = [self("Cast", variable.full_name, to=kind) for variable in variables]
        return tables[0] if len(tables) == 1 else self("Concat", *tables, axis=1)

    def lookup(self, variable: Any, known: tuple[Any, ...]) -> str:
        """Return positions of a variable's values in ``known``; its length for unknown values."""
        kinds = {type(value) for value in known}
        if kinds not in ({str}, {int}):
            raise ValueError(
                f"`estimator` must have categories that are text or integers; got {kinds} in "
                f"column {variable.raw_name!r}. Convert them, and fit again."
            )
        values, kind = variable.full_name, "keys_strings"
        if kinds == {int}:
            values, kind = self("Cast", values, to=TensorProto.INT64), "keys_int64s"
        name = self.new("codes")
        self.container.add_node(
            "LabelEncoder", [values], [name], op_domain="ai.onnx.ml", op_version=2,
            name=self.scope.get_unique_operator_name("LabelEncoder"),
            values_floats=np.arange(len(known), dtype=np.float32),
            default_float=float(len(known)), **{kind: [*known]},
        )  # fmt: skip
        return self("Cast", name, to=TensorProto.DOUBLE)

    def write(self, tensor: str, variable: Any) -> None:
        self("Cast", tensor, to=guess_proto_type(variable.type), output=variable.full_name)

    def transform(self, transformer: Any, X: str) -> str:
        """Return the output of a transformer for which skl2onnx has a converter."""
        kind = DoubleTensorType([None, transformer.n_features_in_])
        table = self.scope.declare_local_variable("table", kind)
        self("Identity", X, output=table.full_name)
        (result,) = _parse_sklearn(self.scope, transformer, [table])
        return self("Cast", result.full_name, to=TensorProto.DOUBLE)


def _convert_regressor(scope: Any, operator: Any, container: Any) -> None:
    model: BayesianBasisRegressor = operator.raw_operator
    if model.target_transformer_ is not None:
        raise ValueError(
            "`estimator` must have target_transformer=None; got a BayesianBasisRegressor with "
            f"target_transformer={short_repr(model.target_transformer)}. Transform y before the "
            "fit, and predictions after the ONNX model."
        )
    graph = Graph(scope, container)
    X = _read_features(graph, model._categories, operator.inputs)
    Phi = _design_matrix(graph, model.basis_, X)
    coef = np.atleast_2d(model.coef_)
    mean, *std = operator.outputs
    intercept = np.broadcast_to(model.intercept_, len(coef))
    graph.write(graph("Add", graph("MatMul", Phi, coef.T), intercept), mean)
    if std:
        stream, posteriors = model._read()
        noise = _noise_variance(graph, stream.design, X, Phi)
        variances = [_variance(graph, each, Phi, coef.shape[1], noise) for each in posteriors]
        graph.write(graph("Sqrt", graph("Concat", *variances, axis=1)), std[0])


def _read_features(graph: Graph, categories: Categories | None, inputs: list[Any]) -> str:
    """Return features as numbers; those of categories become columns of zeros and ones."""
    if categories is None:
        return graph.join(inputs, TensorProto.DOUBLE)
    if categories.table:
        numbers = _encode_frame(graph, categories.table, inputs)
    else:
        numbers = graph.join(inputs, TensorProto.DOUBLE)
    columns = []
    pairs = zip(categories.categories, categories.sizes, strict=True)
    for index, (known, size) in enumerate(pairs):
        column = graph("Gather", numbers, np.array([index]), axis=1)
        columns.append(column if known is None else _indicators(graph, column, known, size))
    return graph("Concat", *columns, axis=1)


def _encode_frame(graph: Graph, table: Table, inputs: list[Any]) -> str:
    """Return the columns of a data frame as numbers; text becomes codes."""
    if len(inputs) != len(table.names):
        raise ValueError(
            f"`X` must be a data frame with {len(table.names)} columns, as in `fit`; got "
            f"{len(inputs)} inputs. Give rows of the data frame."
        )
    columns = [
        graph("Cast", variable.full_name, to=TensorProto.DOUBLE)
        if known in (None, (False, True))
        else graph.lookup(variable, known)
        for variable, known in zip(inputs, table.categories, strict=True)
    ]
    return graph("Concat", *columns, axis=1)


def _indicators(graph: Graph, column: str, known: tuple[float, ...], size: int) -> str:
    """Columns of zeros and ones of one column, as `Categories.encode` makes them."""
    found = graph("Cast", graph("Equal", column, np.array(known)), to=TensorProto.DOUBLE)
    ones = graph("ReduceSum", found, np.array([1]), keepdims=1)
    unknown = graph("Sub", np.ones(1), ones)
    return unknown if size == 2 else graph("Concat", found, unknown, axis=1)


def _noise_variance(graph: Graph, design: Design, X: str, Phi: str) -> Any:
    """Relative variances of the noise, shape (n_rows, 1) or (1,)."""
    if (noise := design.noise) is None:
        return np.ones(1)
    intercept, weights = np.split(noise.mean_weights, [int(design.fit_intercept)])
    means = graph("Add", graph("MatMul", Phi, weights), intercept.sum(axis=0))
    values = noise.basis._to_onnx(graph, graph("Concat", X, means, axis=1))
    log_variance = graph("MatMul", values, noise.weights[:, None])
    within = graph("Min", graph("Max", log_variance, np.array([noise.low])), np.array([noise.high]))
    return graph("Exp", graph("Sub", within, np.array([noise.offset])))


def _variance(graph: Graph, posterior: Posterior, Phi: str, n_basis: int, noise: Any) -> str:
    """Predictive variances of the outputs that share a posterior (Bishop eq. 3.59)."""
    intercept, weights = np.split(posterior.root, [len(posterior.mean) - n_basis])
    product = graph("Add", graph("MatMul", Phi, weights), intercept.sum(axis=0))
    squares = graph("Mul", product, product)
    leverage = graph("ReduceSum", squares, np.array([1]), keepdims=1)
    return graph("Mul", graph("Add", leverage, noise), posterior.noise_variance)


def _design_matrix(graph: Graph, basis: Any, X: str) -> str:
    """Basis functions, without intercept, of rows X in double precision."""
    if isinstance(basis, FrozenEstimator):
        return _design_matrix(graph, basis.estimator, X)
    if isinstance(basis, Pipeline):
        for step in basis:
            if step not in (None, "passthrough"):
                X = _design_matrix(graph, step, X)
        return X
    if type(basis) is PolynomialFeatures:
        return _polynomial(graph, basis, X)
    if hasattr(basis, "_to_onnx"):
        return basis._to_onnx(graph, X)
    return graph.transform(basis, X)


def _polynomial(graph: Graph, basis: PolynomialFeatures, X: str) -> str:
    """Return products of columns; skl2onnx's converter fails with a bias in float64."""
    columns = graph("Pad", X, np.array([0, 0, 0, 1]), np.array(1.0))
    n_features, degree = basis.n_features_in_, basis.powers_.sum(axis=1).max()
    factors = np.full((max(degree, 1), len(basis.powers_)), n_features)
    for column, powers in enumerate(basis.powers_):
        factors[: powers.sum(), column] = np.repeat(np.arange(n_features), powers)
    product, *others = (graph("Gather", columns, factor, axis=1) for factor in factors)
    for other in others:
        product = graph("Mul", product, other)
    return product


def _parse(scope: Any, model: Any, inputs: list[Any], custom_parsers: Any = None) -> list[Any]:
    """Outputs of an estimator: the means, and standard deviations if they are asked for."""
    operator = scope.declare_local_operator(f"Skgen{type(model).__name__}", model)
    operator.inputs = inputs
    return_std = scope.get_options(model, {"return_std": False})["return_std"]
    for name in ("mean", "std") if return_std else ("mean",):
        kind = guess_tensor_type(_first_double(inputs).type)
        operator.outputs.append(scope.declare_local_variable(name, kind))
    return operator.outputs


def _first_double(inputs: list[Any]) -> Any:
    """An input of double precision if there is one, else the first."""
    doubles = (each for each in inputs if isinstance(each.type, DoubleTensorType))
    return next(doubles, inputs[0])


MEAN_AND_STD = {"parser": _parse, "options": {"return_std": [False, True]}}
"""Keywords of `register_converter` for estimators with standard deviations, by default without."""


def _convert_basis(scope: Any, operator: Any, container: Any) -> None:
    graph = Graph(scope, container)
    X = graph.join(operator.inputs, TensorProto.DOUBLE)
    graph.write(_design_matrix(graph, operator.raw_operator, X), operator.outputs[0])


def register_converter(
    cls: type, convert: Callable[..., None], n_columns: Callable[[Any], int], **keywords: Any
) -> None:
    """Register a converter, whose outputs have ``n_columns(estimator)`` columns."""

    def set_shapes(operator: Any) -> None:
        for variable in operator.outputs:
            n_rows = operator.inputs[0].get_first_dimension()
            variable.type.shape = [n_rows, n_columns(operator.raw_operator)]

    update_registered_converter(cls, f"Skgen{cls.__name__}", set_shapes, convert, **keywords)


def register() -> None:
    """Register converters of the regressor and the bases with skl2onnx."""
    register_converter(
        BayesianBasisRegressor, _convert_regressor,
        lambda model: len(np.atleast_2d(model.coef_)), **MEAN_AND_STD,
    )  # fmt: skip
    for basis in bases.PARTS.values():
        if hasattr(basis, "_to_onnx"):
            register_converter(basis, _convert_basis, lambda fitted: fitted._n_features_out)
