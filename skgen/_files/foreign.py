"""Schemas of the classes of scikit-learn, scipy and numpy that files may hold."""

import inspect
import numbers
from collections import UserList
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.random import MT19937, PCG64, Generator, RandomState, SeedSequence
from scipy.interpolate import BSpline
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

from .._schema import (
    FEATURES,
    FLAG,
    NONE,
    NOT_NEGATIVE,
    OPTIONS,
    SCHEMAS,
    Check,
    Schema,
    Sizes,
    Test,
    Values,
    array,
    each,
    exactly,
    integer,
    made_of,
    number,
    schema_of,
    text,
)

MOST_OUTPUTS = 20_000
"""Outputs that a transformer may have even if little in the file determines them."""

# -- estimators of scikit-learn -------------------------------------------------------------------


def is_plain(value: Any, sizes: Sizes) -> bool:
    """Return True for None, a number, a str, an array, a stored object, or nested ones of these."""
    if isinstance(value, UserList):  # of scikit-learn 1.6, which warns of a loop over it
        value = value.data
    if isinstance(value, list | tuple):
        return all(is_plain(item, sizes) for item in value)
    if isinstance(value, dict):
        return all(type(name) is str for name in value) and is_plain([*value.values()], sizes)
    known = bool | np.bool_ | numbers.Real | str | np.ndarray | slice | type
    return value is None or isinstance(value, known) or schema_of(type(value)) is not None


def _get_state(estimator: Any) -> Values:
    """Parameters, state and version, as scikit-learn itself pickles them."""
    _validate(estimator)
    return estimator.__getstate__()


def _set_state(cls: Any, values: Values) -> Any:
    estimator = cls.__new__(cls)
    parameters = inspect.signature(cls).parameters.values()  # of this version
    defaults = {p.name: p.default for p in parameters if p.default is not p.empty}
    estimator.__setstate__(defaults | values)  # warns of another version
    _validate(estimator)
    return estimator


def _validate(estimator: Any) -> None:
    """Raise unless all parameters are there and valid, as `fit` of the estimator would."""
    if estimator.get_params(deep=False).keys() - vars(estimator).keys():
        raise TypeError(f"{type(estimator).__name__} without a parameter cannot be in a file")
    if hasattr(estimator, "_validate_params"):
        estimator._validate_params()


def store_estimator(
    cls: Any, parameters: Mapping[str, Test] | None = None, *,
    options: Mapping[str, Test] | None = None,
    is_consistent: Callable[[Values], bool] = lambda values: True,
    **state: Test,
) -> None:  # fmt: skip
    """Register an estimator, which checks its own parameters, except those given."""
    plain = dict.fromkeys(cls._get_param_names(), Check(is_plain))
    tests: dict[str, Test] = {**plain, **(parameters or {})}
    if "n_jobs" in tests:
        tests["n_jobs"] = NONE  # a file may not choose the number of threads
    tests["_sklearn_version"] = text(100)
    SCHEMAS[cls.__name__] = Schema(
        cls,
        tests,
        FEATURES | state if cls is not Pipeline else {},
        {**OPTIONS, **(options or {})},
        to_record=_get_state,
        from_record=_set_state,
        is_consistent=is_consistent,
    )


FEATURE = array("n_features")
SPREAD = array("n_features", 0.0)
COUNT = integer(0, 2**53)
SOME = number(0.0, 2.0**53) | array("n_features", 0.0, kinds="fiu")
COMPONENTS = array("n_components n_features")
COMPONENT = array("n_components")
OUTPUT_COUNT = integer(1, size="n_components")
WIDTH = integer(0, MOST_OUTPUTS)


def _is_polynomial(values: Values) -> bool:
    """Return True if the number of outputs is that of the degrees."""
    if "n_output_features_" not in values:
        return True
    n_outputs = PolynomialFeatures._num_combinations(
        values["n_features_in_"],
        values["_min_degree"],
        values["_max_degree"],
        values["interaction_only"],
        values["include_bias"],
    )
    return bool(values["n_output_features_"] == n_outputs)


def _is_spline(values: Values) -> bool:
    """Return True if the number of outputs is that of the splines."""
    if "bsplines_" not in values:
        return True
    splines = values["bsplines_"]
    n_outputs = sum(spline.c.shape[1] - (not values["include_bias"]) for spline in splines)
    return (len(splines), n_outputs) == (values["n_features_in_"], values["n_features_out_"])


store_estimator(FunctionTransformer, {"func": NONE, "inverse_func": NONE})
store_estimator(MaxAbsScaler, max_abs_=SPREAD, scale_=SPREAD, n_samples_seen_=SOME)
store_estimator(
    MinMaxScaler, scale_=FEATURE, min_=FEATURE, data_min_=FEATURE, data_max_=FEATURE,
    data_range_=FEATURE, n_samples_seen_=SOME,
)  # fmt: skip
store_estimator(
    Nystroem,
    components_=COMPONENTS,
    normalization_=array("n_components n_components"),
    component_indices_=array("n_components", 0, 2**53, kinds="i"),
    _n_features_out=OUTPUT_COUNT,
)
store_estimator(
    PCA, components_=COMPONENTS, mean_=FEATURE, explained_variance_=COMPONENT,
    explained_variance_ratio_=COMPONENT, singular_values_=COMPONENT, noise_variance_=NOT_NEGATIVE,
    n_samples_=COUNT, n_components_=OUTPUT_COUNT, _fit_svd_solver=text(100),
)  # fmt: skip
store_estimator(
    PolynomialFeatures,
    _min_degree=integer(0, 1000),
    _max_degree=integer(0, 1000),
    _n_out_full=integer(0, 2 * MOST_OUTPUTS),
    n_output_features_=WIDTH,
    is_consistent=_is_polynomial,
)
store_estimator(
    QuantileTransformer,
    n_quantiles_=integer(1, size="n_quantiles"),
    references_=array("n_quantiles", 0.0, 1.0),
    quantiles_=array("n_quantiles n_features"),
)
store_estimator(
    RBFSampler,
    _gamma=number(),
    random_weights_=array("n_features n_components"),
    random_offset_=COMPONENT,
    _n_features_out=OUTPUT_COUNT,
)
store_estimator(RobustScaler, center_=NONE | FEATURE, scale_=NONE | SPREAD)
store_estimator(
    SplineTransformer, bsplines_=each(made_of(BSpline)), n_features_out_=WIDTH,
    is_consistent=_is_spline,
)  # fmt: skip
store_estimator(
    StandardScaler, n_samples_seen_=SOME, mean_=NONE | FEATURE, var_=NONE | SPREAD,
    scale_=NONE | SPREAD,
)  # fmt: skip
store_estimator(Pipeline, {"memory": NONE})
SCHEMAS["FrozenEstimator"] = Schema(
    FrozenEstimator, {"estimator": Check(lambda value, _: hasattr(value, "get_params"))}
)

# -- splines and random states --------------------------------------------------------------------


def _to_bits(bits: Any) -> Values:
    state = bits.state
    inner, _ = state.pop("state"), state.pop("bit_generator")
    return {"seed_seq": bits.seed_seq, **inner, **state}


def _from_bits(cls: Any, values: Values) -> Any:
    seed_seq = values.pop("seed_seq")
    legacy: Any = RandomState(0)
    bits = legacy._bit_generator if seed_seq is None else cls(seed_seq)
    inner = {name: values.pop(name) for name in bits.state["state"]}
    bits.state = {"bit_generator": cls.__name__, "state": inner, **values}
    return bits


def _to_random_state(random: Any) -> Values:
    state = random.get_state(legacy=False)
    values = {name: state[name] for name in ("has_gauss", "gauss")}
    return {"bit_generator": random._bit_generator, **values}


def _from_random_state(cls: Any, values: Values) -> Any:
    random = cls(values.pop("bit_generator"))
    random.set_state({**random.get_state(legacy=False), **values})
    return random


def _is_bspline(values: Values) -> bool:
    """Return True if knots, coefficients and degree fit each other; knots may coincide."""
    n_coefficients = len(values["t"]) - values["k"] - 1
    return (
        n_coefficients > values["k"]
        and len(values["c"]) >= n_coefficients
        and bool(np.all(np.diff(values["t"]) >= 0))
    )


ENTROPY = integer(0, 2**128)
SCHEMAS |= {
    "BSpline": Schema(
        BSpline,
        {
            "t": array("n_knots"),
            "c": array("n_coefficients n_splines"),
            "k": integer(0, 1000),
            "extrapolate": FLAG | exactly("periodic"),
        },
        # As scikit-learn does: the constructor refuses knots that coincide, of a constant feature.
        from_record=lambda cls, values: cls.construct_fast(**values),
        is_consistent=_is_bspline,
    ),
    "Generator": Schema(Generator, {"bit_generator": made_of(PCG64, MT19937)}),
    "RandomState": Schema(
        RandomState,
        {
            "bit_generator": made_of(MT19937),
            "has_gauss": integer(0, 1),
            "gauss": number(-100.0, 100.0),
        },
        to_record=_to_random_state,
        from_record=_from_random_state,
    ),
    "SeedSequence": Schema(
        SeedSequence,
        {
            "entropy": NONE | ENTROPY | each(ENTROPY),
            "spawn_key": each(integer(0, 2**32 - 1)),
            "pool_size": integer(4, 64),
            "n_children_spawned": integer(),
        },
    ),
    "PCG64": Schema(
        PCG64,
        {
            "seed_seq": made_of(SeedSequence),
            "state": integer(0, 2**128 - 1),
            "inc": integer(0, 2**128 - 1),
            "has_uint32": integer(0, 1),
            "uinteger": integer(0, 2**32 - 1),
        },
        to_record=_to_bits,
        from_record=_from_bits,
        is_consistent=lambda values: bool(values["inc"] % 2),
    ),
    "MT19937": Schema(
        MT19937,
        {
            "seed_seq": NONE | made_of(SeedSequence),
            "key": array("n_words", 0, 2**32 - 1, kinds="u"),
            "pos": integer(0, 624),
        },
        to_record=_to_bits,
        from_record=_from_bits,
        is_consistent=lambda values: values["key"].shape == (624,),
    ),
}
