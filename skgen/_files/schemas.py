"""What a file may hold, class by class: the types, ranges and shapes of parameters and state.

A class that is not in `SCHEMAS` is neither written nor read, and what is read is put together by
the functions here alone. Classes are imported when they are met: a regressor needs no torch.
"""

from __future__ import annotations

import importlib
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .._validation import LARGEST

Values = dict[str, Any]
Sizes = dict[str, int]

MOST = 10**9
SEEDS = 2**63


# -- checks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What a value must be: in words, and as a test that may learn sizes, such as n_features."""

    words: str
    holds: Callable[[Any, Sizes], bool]

    def __or__(self, other: Check) -> Check:
        return Check(
            f"{self.words} or {other.words}",
            lambda value, sizes: self.holds(value, sizes) or other.holds(value, sizes),
        )


def exactly(*choices: Any) -> Check:
    """One of a few values, of their very types."""
    return Check(
        " or ".join(map(repr, choices)),
        lambda value, _: any(type(value) is type(c) and value == c for c in choices),
    )


def number(low: float = -LARGEST, high: float = LARGEST) -> Check:
    return Check(
        f"a number from {low:g} to {high:g}",
        lambda value, _: _is(value, numbers.Real) and low <= float(value) <= high,
    )


def integer(low: int = 0, high: int = MOST, size: str = "") -> Check:
    """An integer, which may be the ``size`` of arrays."""
    return Check(
        f"an integer from {low:g} to {high:g}",
        lambda value, sizes: (
            _is(value, numbers.Integral)
            and bool(low <= value <= high)
            and (not size or sizes.setdefault(size, int(value)) == value)
        ),
    )


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def text(longest: int = 1000) -> Check:
    return Check("a str", lambda value, _: isinstance(value, str) and len(value) <= longest)


def array(shape: str, low: float = -LARGEST, high: float = LARGEST, kinds: str = "f") -> Check:
    """An array; ``shape`` names its lengths, and a name that is met again is the same length."""
    names = shape.split()

    def holds(value: Any, sizes: Sizes) -> bool:
        if type(value) is not np.ndarray or value.dtype.kind not in kinds:
            return False
        if value.ndim != len(names):
            return False
        fits = all(
            sizes.setdefault(name, length) == length
            for name, length in zip(names, value.shape, strict=True)
        )
        # numpy's scalars, since single precision would take Python's to be its own and overflow.
        least, greatest = np.float64(low), np.float64(high)
        return fits and bool(np.all(value >= least) and np.all(value <= greatest))

    words = f"an array of shape ({', '.join(names)}) with values from {low:g} to {high:g}"
    return Check(words, holds)


def names_of(size: str) -> Check:
    """An array of str, as scikit-learn keeps the names of features."""
    return Check(
        "an array of str",
        lambda value, sizes: (
            type(value) is np.ndarray
            and value.dtype == object
            and value.shape == (sizes.setdefault(size, value.size),)
            and all(type(name) is str for name in value)
        ),
    )


def each(check: Check, kinds: tuple[type, ...] = (list, tuple)) -> Check:
    return Check(
        f"a sequence, each {check.words}",
        lambda value, sizes: (
            type(value) in kinds and all(check.holds(item, sizes) for item in value)
        ),
    )


def made_of(*names: str) -> Check:
    """An object of one of the classes of these names."""
    return Check(
        f"a {' or '.join(names)}",
        lambda value, _: file_name(value) in names and file_name(value) in SCHEMAS,
    )


def _is_plain(value: Any, sizes: Sizes) -> bool:
    if isinstance(value, list | tuple):
        return all(_is_plain(item, sizes) for item in value)
    if isinstance(value, dict):
        return all(type(name) is str for name in value) and _is_plain([*value.values()], sizes)
    known = value is None or isinstance(value, bool | np.bool_ | numbers.Real | str | np.ndarray)
    return known or file_name(value) in SCHEMAS


def transformer() -> Check:
    return Check(
        f"a transformer of skgen or one of {', '.join(TRANSFORMERS)}",
        lambda value, _: type(value).__name__ in (*OURS, *TRANSFORMERS),
    )


FLAG = Check("a bool", lambda value, _: isinstance(value, bool | np.bool_))
NONE = exactly(None)
NOT_NEGATIVE = number(0.0)
ANY_ARRAY = Check(
    "an array-like of numbers",
    lambda value, _: (
        isinstance(value, np.ndarray | list | tuple)
        and np.asarray(value).dtype.kind in "fiu"
        and bool(np.all(np.isfinite(value)))
    ),
)
NUMBERS = number() | ANY_ARRAY
PLAIN = Check("None, a number, a str, an array, or a sequence or dict of these", _is_plain)
SEED = integer(0, 2**128)
RANDOM_STATE = NONE | SEED | made_of("Generator", "RandomState")
SIZES = each(integer(1, 10**6)) | array("n_layers", 1, 10**6, kinds="iu")
EPOCHS = each(NONE | FLAG | number(-np.inf, np.inf) | text())


# -- classes --------------------------------------------------------------------------------------


def attributes(obj: Any, schema: Schema) -> Values:
    return {name: getattr(obj, name) for name in schema.params}


def constructed(cls: Any, values: Values, _: Schema) -> Any:
    return cls(**values)


@dataclass(frozen=True)
class Schema:
    """How the objects of a class are taken apart, checked, and put together."""

    home: str
    params: Mapping[str, Check]
    """What the constructor takes; a file of an earlier version may have less."""
    state: Mapping[str, Check] = field(default_factory=dict)
    """What learning adds: all of it, or nothing."""
    options: Mapping[str, Check] = field(default_factory=dict)
    """What there may be besides."""
    derived: tuple[str, ...] = ()
    """Attributes that follow from the others."""
    apart: Callable[[Any, Schema], Values] = attributes
    together: Callable[[Any, Values, Schema], Any] = constructed
    agree: Callable[[Values], bool] = lambda values: True
    """Whether the values, each of them right, fit each other."""

    def check(self, name: str, values: Values) -> None:
        """Raise unless the values are what an object of the class ``name`` is made of."""
        checks = {**self.options, **self.state, **self.params}
        unknown = values.keys() - checks.keys()
        needed = self.state.keys() if values.keys() & self.state.keys() else set()
        if unknown or not needed <= values.keys():
            wrong = ", ".join(sorted(unknown or needed - values.keys()))
            raise TypeError(f"{name} with{' ' if unknown else 'out '}`{wrong}` cannot be in a file")
        sizes: Sizes = {}
        for key, check in checks.items():
            if key in values and not check.holds(values[key], sizes):
                raise TypeError(
                    f"`{key}` of {name} must be {check.words} in a file; got a "
                    f"{type(values[key]).__name__}. Set it so before you save."
                )
        if not self.agree(values):
            raise TypeError(f"the parts of {name} do not fit each other")


CLASS_NAMES = {"Prior": "LinearModelSpec", "Learnt": "LooCalibration", "Ranks": "EmpiricalCDF"}
"""Classes that stand in files under another name, which they had once."""

FILE_NAMES = {class_name: name for name, class_name in CLASS_NAMES.items()}


def class_of(name: str) -> Any:
    """The class of a name in `SCHEMAS`."""
    return getattr(importlib.import_module(SCHEMAS[name].home), CLASS_NAMES.get(name, name))


def file_name(value: Any) -> str:
    """The name in files of the class of ``value``."""
    name = type(value).__name__
    return FILE_NAMES.get(name, name)


def fitted(estimator: Any, schema: Schema) -> Values:
    """Parameters and state of an estimator, all that it has but what is derived."""
    state = {**vars(estimator), **estimator.get_params(deep=False)}
    return {name: value for name, value in state.items() if name not in schema.derived}


def restored(cls: Any, values: Values, schema: Schema) -> Any:
    estimator = cls(**{name: values.pop(name) for name in schema.params if name in values})
    vars(estimator).update(values)
    return estimator


OUTPUTS = ("default", "pandas", "polars", None)
FEATURES = {"n_features_in_": integer(1, MOST, size="n_features")}
OPTIONS = {
    "feature_names_in_": names_of("n_features"),
    "_sklearn_output_config": Check(
        "a dict", lambda value, _: value in [{"transform": t} for t in OUTPUTS]
    ),
}


# -- the regressor --------------------------------------------------------------------------------


def _regressor(estimator: Any, schema: Schema) -> Values:
    values = fitted(estimator, schema)
    if "_stream" in values:
        seen = vars(estimator)["_seen_settings"]
        values["settings_are_seen"] = len(seen) == len(estimator._settings()) and all(
            now is then for now, then in zip(estimator._settings(), seen, strict=True)
        )
    return values


def _restored_regressor(cls: Any, values: Values, schema: Schema) -> Any:
    are_seen = values.pop("settings_are_seen", None)
    estimator = restored(cls, values, schema)
    if are_seen is not None:
        estimator.basis_ = estimator._stream.design.basis
        estimator._seen_settings = estimator._settings() if are_seen else (object(),)
    return estimator


def _stream(stream: Any, _: Schema) -> Values:
    return {
        "design": stream.design,
        "prior": stream.prior,
        "statistic": stream.statistic,
        "posteriors": stream._posteriors,
    }


def _restored_stream(cls: Any, values: Values, _: Schema) -> Any:
    posteriors = values.pop("posteriors")
    stream = cls(**values)
    stream._posteriors = posteriors
    return stream


def _restored_posterior(cls: Any, values: Values, _: Schema) -> Any:
    return (cls.from_earlier if "noise_variance" in values else cls)(**values)


def _stream_agrees(values: Values) -> bool:
    n_columns, n_outputs = values["statistic"].targets.shape
    prior, posteriors = values["prior"], values["posteriors"]
    shapes = [posterior.mean.shape for posterior in posteriors or ()]
    return (
        values["design"].n_columns == n_columns == len(prior.mean)
        and (posteriors is None or sum(shape[1] for shape in shapes) == n_outputs)
        and all(shape == (n_columns, n_outputs // len(shapes)) for shape in shapes)
    )


def _regressor_agrees(values: Values) -> bool:
    n_outputs = values["_stream"].n_outputs if "_stream" in values else 1
    return n_outputs == 1 or not values["_is_1d"]


# -- bases ----------------------------------------------------------------------------------------


def _compiled(cls: Any, values: Values, schema: Schema) -> Any:
    basis = restored(cls, values, schema)
    if "centers_" in vars(basis):
        basis._compile()
    return basis


def _stretched(cls: Any, values: Values, schema: Schema) -> Any:
    basis = restored(cls, values, schema)
    if "_spectrum" in vars(basis):
        vars(basis).setdefault("slope_", 0.0)  # in files of 0.1.0 there is none
        n_inputs, n_draws = basis._spectrum.shape
        basis._n_features_out = 2 * n_draws + (n_inputs if basis.slope_ else 0)
        basis._stretch()
    return basis


def _fourier_agrees(values: Values) -> bool:
    if "_spectrum" not in values:
        return True
    ranks, n_features = values["_ranks"], values["n_features_in_"]
    n_inputs = n_features if ranks is None else 2 * n_features
    return len(values["_relative"]) == n_inputs and (
        ranks is None or len(ranks.knots) == len(ranks.scale) == n_features
    )


def _are_knots(value: Any, _: Sizes) -> bool:
    return (
        type(value) is tuple
        and len(value) == 2
        and all(array("n", 0 if i else -LARGEST).holds(part, {}) for i, part in enumerate(value))
        and value[0].shape == value[1].shape
        and value[0].size > 0
        and bool(np.all(np.diff(value[0]) > 0))
    )


# -- the autoencoder ------------------------------------------------------------------------------


def _autoencoder(estimator: Any, schema: Schema) -> Values:
    values = fitted(estimator, schema)
    state = values.pop("_optimizer_state", None)
    if state is not None:
        moments = state["state"]
        values["adam"] = [
            {name: moment.cpu().numpy() for name, moment in moments[index].items()}
            if index in moments
            else None
            for index in state["param_groups"][0]["params"]
        ]
    return values


def _restored_autoencoder(cls: Any, values: Values, schema: Schema) -> Any:
    import torch

    moments = values.pop("adam", None)
    estimator = restored(cls, values, schema)
    if moments is not None:
        parameters = list(estimator.module_.parameters())
        if [m is None or m["exp_avg"].shape for m in moments] != [
            m is None or tuple(p.shape) for m, p in zip(moments, parameters, strict=True)
        ]:
            raise ValueError("Adam's moments do not fit the networks")
        # As `_training` has it; the learning rate is set by who goes on.
        adam = torch.optim.Adam(parameters, fused=True, maximize=True).state_dict()
        adam["state"] = {
            index: {name: torch.from_numpy(value) for name, value in moment.items()}
            for index, moment in enumerate(moments)
            if moment is not None
        }
        estimator._optimizer_state = adam
    return estimator


def _are_moments(value: Any, _: Sizes) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() == {"step", "exp_avg", "exp_avg_sq"}
        and all(_is_float32(moment) for moment in value.values())
        and value["step"].shape == ()
        and value["exp_avg"].shape == value["exp_avg_sq"].shape
        and bool(np.all(value["exp_avg_sq"] >= 0))
        and bool(value["step"] >= 1)
    )


def _is_float32(value: Any) -> bool:
    return (
        type(value) is np.ndarray and value.dtype == np.float32 and bool(np.isfinite(value).all())
    )


def _vae(module: Any, _: Schema) -> Values:
    names = ("encoder", "decoder", "likelihood", "n_features", "n_components")
    state = {name: value.cpu().numpy() for name, value in module.state_dict().items()}
    return {**dict(zip(names, module.architecture, strict=True)), "weights": state}


def _restored_vae(cls: Any, values: Values, _: Schema) -> Any:
    """Built without memory first, so that sizes may lie; the weights then take their places."""
    import torch

    from ..networks import seed_torch

    weights = values.pop("weights")
    layers = (vars(values[name]) for name in ("encoder", "decoder"))
    n_layers = sum(len(of.get("hidden_layer_sizes", of.get("n_filters", ()))) for of in layers)
    if n_layers > len(weights):
        raise ValueError("the networks have more layers than weights")
    with seed_torch(0), torch.device("meta"):
        vae = cls(*values.values())
    expected = {name: tuple(value.shape) for name, value in vae.state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise ValueError("the weights do not fit the networks")
    state = {name: torch.from_numpy(value) for name, value in weights.items()}
    vae.load_state_dict(state, assign=True)
    return vae.eval()


def _autoencoder_agrees(values: Values) -> bool:
    if "module_" not in values:
        return True
    *_, n_features, n_components = values["module_"].architecture
    return (
        "train_loss" in values["history_"]
        and all(len(epochs) == values["n_iter_"] for epochs in values["history_"].values())
        and n_features == values["n_features_in_"]
        and n_components == len(values["explained_kl_"])
    )


# -- random states --------------------------------------------------------------------------------


def _bits(bits: Any, _: Schema) -> Values:
    state = bits.state
    inner, _ = state.pop("state"), state.pop("bit_generator")
    return {"seed_seq": bits.seed_seq, **inner, **state}


def _restored_bits(cls: Any, values: Values, schema: Schema) -> Any:
    seed_seq = values.pop("seed_seq")
    legacy: Any = np.random.RandomState(0)
    bits = legacy._bit_generator if seed_seq is None else cls(seed_seq)
    inner = {name: values.pop(name) for name in bits.state["state"]}
    bits.state = {"bit_generator": cls.__name__, "state": inner, **values}
    return bits


def _random_state(random: Any, _: Schema) -> Values:
    state = random.get_state(legacy=False)
    values = {name: state[name] for name in ("has_gauss", "gauss")}
    return {"bit_generator": random._bit_generator, **values}


def _restored_random_state(cls: Any, values: Values, _: Schema) -> Any:
    random = cls(values.pop("bit_generator"))
    random.set_state({**random.get_state(legacy=False), **values})
    return random


# -- scikit-learn's -------------------------------------------------------------------------------


def _foreign(estimator: Any, _: Schema) -> Values:
    """Parameters, state and version, as scikit-learn itself pickles them."""
    _validate(estimator)
    values: Values = estimator.__getstate__()
    return values


def _restored_foreign(cls: Any, values: Values, _: Schema) -> Any:
    estimator = cls.__new__(cls)
    estimator.__setstate__(values)  # warns if it is of another version
    _validate(estimator)
    return estimator


def _validate(estimator: Any) -> None:
    if estimator.get_params(deep=False).keys() - vars(estimator).keys():
        raise TypeError(f"{type(estimator).__name__} without a parameter cannot be in a file")
    if hasattr(estimator, "_validate_params"):
        estimator._validate_params()  # types and ranges, as its `fit` would


class _Foreign(Schema):
    """A class of scikit-learn, which checks its own parameters."""

    def check(self, name: str, values: Values) -> None:
        params = dict.fromkeys(class_of(name)._get_param_names(), PLAIN) | dict(self.params)
        params["_sklearn_version"] = text(100)
        Schema(self.home, params, self.state, OPTIONS).check(name, values)


def sklearn(home: str, params: Mapping[str, Check] | None = None, **state: Check) -> Schema:
    learnt = FEATURES | state if home != "sklearn.pipeline" else {}
    return _Foreign(
        home, params or {}, learnt, apart=_foreign, together=_restored_foreign
    )  # fmt: skip


FEATURE = array("n_features")
SPREAD = array("n_features", 0.0)
COUNT = integer(0, 2**53)
SOME = number(0.0, 2.0**53) | array("n_features", 0.0, kinds="fiu")
COMPONENTS = array("n_components n_features")
COMPONENT = array("n_components")
OUTPUT_COUNT = integer(1, size="n_components")

TRANSFORMERS = {
    "FunctionTransformer": sklearn("sklearn.preprocessing", {"func": NONE, "inverse_func": NONE}),
    "MaxAbsScaler": sklearn(
        "sklearn.preprocessing", max_abs_=SPREAD, scale_=SPREAD, n_samples_seen_=SOME
    ),
    "MinMaxScaler": sklearn(
        "sklearn.preprocessing", scale_=FEATURE, min_=FEATURE, data_min_=FEATURE,
        data_max_=FEATURE, data_range_=FEATURE, n_samples_seen_=SOME,
    ),
    "Nystroem": sklearn(
        "sklearn.kernel_approximation", components_=COMPONENTS,
        normalization_=array("n_components n_components"),
        component_indices_=array("n_components", 0, 2**53, kinds="i"),
        _n_features_out=OUTPUT_COUNT,
    ),
    "PCA": sklearn(
        "sklearn.decomposition", components_=COMPONENTS, mean_=FEATURE,
        explained_variance_=COMPONENT, explained_variance_ratio_=COMPONENT,
        singular_values_=COMPONENT, noise_variance_=NOT_NEGATIVE, n_samples_=COUNT,
        n_components_=OUTPUT_COUNT, _fit_svd_solver=text(100),
    ),
    "PolynomialFeatures": sklearn(
        "sklearn.preprocessing", _min_degree=integer(0, 1000), _max_degree=integer(0, 1000),
        _n_out_full=integer(0, 10**7), n_output_features_=integer(0, 10**7),
    ),
    "QuantileTransformer": sklearn(
        "sklearn.preprocessing", n_quantiles_=integer(1, size="n_quantiles"),
        references_=array("n_quantiles", 0.0, 1.0), quantiles_=array("n_quantiles n_features"),
    ),
    "RBFSampler": sklearn(
        "sklearn.kernel_approximation", _gamma=number(),
        random_weights_=array("n_features n_components"), random_offset_=COMPONENT,
        _n_features_out=OUTPUT_COUNT,
    ),
    "RobustScaler": sklearn(
        "sklearn.preprocessing", center_=NONE | FEATURE, scale_=NONE | SPREAD
    ),
    "SplineTransformer": sklearn(
        "sklearn.preprocessing", bsplines_=each(made_of("BSpline")), n_features_out_=integer()
    ),
    "StandardScaler": sklearn(
        "sklearn.preprocessing", n_samples_seen_=SOME, mean_=NONE | FEATURE, var_=NONE | SPREAD,
        scale_=NONE | SPREAD,
    ),
    "Pipeline": sklearn("sklearn.pipeline", {"memory": NONE}),
    "FrozenEstimator": Schema("sklearn.frozen", {"estimator": Check(
        "an estimator", lambda value, _: hasattr(value, "get_params"))}),
}  # fmt: skip

OURS = {
    "BayesianBasisRegressor": Schema(
        "skgen",
        {
            "basis": text() | transformer(),
            "prior_precision": exactly("evidence", "ard") | NUMBERS,
            "noise_precision": exactly("evidence", "gamma") | number(1 / LARGEST),
            "prior_mean": NUMBERS,
            "fit_intercept": FLAG,
            "intercept_precision": NONE | NOT_NEGATIVE,
            "noise_shape": NOT_NEGATIVE,
            "noise_rate": NOT_NEGATIVE,
            "forgetting": number(0.0, 1.0),
            "solver": exactly("auto", "qr", "cholesky"),
        },
        {
            **FEATURES,
            "_is_1d": FLAG,
            "n_samples_seen_": integer(0, 2**63),
            "_stream": made_of("Stream"),
            "settings_are_seen": FLAG,
        },
        OPTIONS,
        ("basis_", "_seen_settings"),
        _regressor,
        _restored_regressor,
        _regressor_agrees,
    ),
    "GaussianBasis": Schema(
        "skgen",
        {
            "n_basis": NONE | integer(1),
            "centers": exactly("auto", "even", "quantile", "kmeans") | ANY_ARRAY,
            "width": NONE | exactly("evidence") | NUMBERS,
            "overlap": NONE | NOT_NEGATIVE,
            "domain": NONE | ANY_ARRAY,
            "linear": exactly("auto") | FLAG,
        },
        {
            **FEATURES,
            "linear_": FLAG,
            "centers_": array("n_centers n_features"),
            "width_": array("n_features", 1e-300),
            "location_": FEATURE,
            "scale_": array("n_features", 1e-300),
        },
        OPTIONS,
        ("_exponent", "_sharpness", "_cancels", "_reach", "_n_features_out"),
        fitted,
        _compiled,
    ),
    "SigmoidBasis": Schema(
        "skgen",
        {
            "n_basis": integer(1),
            "centers": exactly("even", "quantile") | ANY_ARRAY,
            "width": NONE | NUMBERS,
            "overlap": NOT_NEGATIVE,
            "domain": NONE | ANY_ARRAY,
        },
        {
            **FEATURES,
            "centers_": array("n_features n_basis"),
            "width_": array("n_features", 1e-300),
            "_reach": NOT_NEGATIVE,
            "_n_features_out": integer(1),
        },
        OPTIONS,
        apart=fitted,
        together=restored,
        agree=lambda values: (
            "centers_" not in values or values["centers_"].size == values["_n_features_out"]
        ),
    ),
    "FourierBasis": Schema(
        "skgen",
        {
            "n_basis": NONE | integer(2),
            "kernel": exactly("rbf", "matern32", "matern52"),
            "length_scale": NONE | exactly("evidence") | NUMBERS,
            "ranks": FLAG,
            "linear": FLAG,
            "sampling": exactly("halton", "random"),
            "random_state": RANDOM_STATE,
        },
        {
            **FEATURES,
            "_seed": integer(0, SEEDS),
            "_ranks": NONE | made_of("Ranks"),
            "location_": FEATURE,
            "scale_": array("n_features", 1e-300),
            "_relative": array("n_inputs", 1e-300),
            "_spectrum": array("n_inputs n_draws"),
        },
        {**OPTIONS, "slope_": NOT_NEGATIVE},
        ("length_scale_", "frequencies_", "rank_length_scale_", "_rank_frequencies", "_reach",
         "_n_features_out"),
        fitted,
        _stretched,
        _fourier_agrees,
    ),
    "VAETransformer": Schema(
        "skgen",
        {
            "n_components": integer(1),
            "likelihood": exactly("gaussian", "bernoulli", "continuous_bernoulli")
            | made_of("Gaussian", "Bernoulli", "ContinuousBernoulli"),
            "hidden_layer_sizes": SIZES,
            "activation": text(100),
            "encoder": NONE | text(100) | made_of("MLP", "ConvolutionalEncoder"),
            "decoder": NONE | text(100) | made_of("MLP", "ConvolutionalDecoder"),
            "image_shape": NONE | SIZES,
            "beta": NOT_NEGATIVE,
            "kl_warmup": integer(),
            "free_bits": NOT_NEGATIVE,
            "n_importance_samples": integer(1),
            "learning_rate": exactly("one-cycle", "constant"),
            "learning_rate_init": NOT_NEGATIVE,
            "batch_size": integer(1),
            "max_iter": integer(1),
            "early_stopping": FLAG,
            "validation_fraction": number(0.0, 1.0),
            "n_iter_no_change": integer(1),
            "tol": NOT_NEGATIVE,
            "warm_start": FLAG,
            "callbacks": exactly(None, [], ()),
            "checkpoint": NONE,  # a file's place to write to is the reader's to choose
            "verbose": FLAG | integer(),
            "device": text(100),
            "random_state": RANDOM_STATE,
        },
        {
            **FEATURES,
            "module_": made_of("VAE"),
            "location_": FEATURE,
            "scale_": array("n_features", 1e-300),
            "explained_kl_": array("n_components", -1.0),
            "history_": Check("a dict of sequences", lambda value, sizes: (
                isinstance(value, dict)
                and all(EPOCHS.holds(epochs, sizes) for epochs in value.values())
            )),
            "n_iter_": integer(),
            "_seed": integer(0, SEEDS),
        },
        {
            **OPTIONS,
            "_split_seed": integer(0, SEEDS),
            "adam": each(Check("Adam's moments", _are_moments)),
        },
        apart=_autoencoder,
        together=_restored_autoencoder,
        agree=_autoencoder_agrees,
    ),
}  # fmt: skip

PARTS = {
    "Stream": Schema(
        "skgen._regression.stream",
        {
            "design": made_of("Design"),
            "prior": made_of("Prior"),
            "statistic": made_of("Statistic"),
            "posteriors": NONE | each(made_of("Posterior"), (list,)),
        },
        apart=_stream,
        together=_restored_stream,
        agree=_stream_agrees,
    ),
    "Design": Schema(
        "skgen._regression.design",
        {
            "basis": transformer(),
            "n_basis": integer(1),
            "fit_intercept": FLAG,
            "calibration": NONE | made_of("Learnt"),
        },
    ),
    "Learnt": Schema(
        "skgen._regression.precisions",
        {
            "n_params": NOT_NEGATIVE,
            "df": array("n_outputs", 2.0, np.inf),
            "std_ratio": array("n_outputs", 1.0),
        },
    ),
    "Statistic": Schema(
        "skgen._regression.conjugate",
        {
            "factor": array("n_columns n_columns"),
            "targets": array("n_columns n_outputs", -np.inf, np.inf),
            "residual": array("n_outputs", 0.0, np.inf),
            "weight": number(0.0, np.inf),
        },
    ),
    "Prior": Schema(
        "skgen._regression.precisions",
        {
            "precision": exactly("evidence", "ard") | array("n_columns", 0.0),
            "mean": array("n_columns"),
            "noise": exactly("evidence") | number(1 / LARGEST) | made_of("Gamma"),
            "flat_first": FLAG,
        },
    ),
    "Gamma": Schema("skgen._regression.conjugate", {"shape": NOT_NEGATIVE, "rate": NOT_NEGATIVE}),
    "Posterior": Schema(
        "skgen._regression.conjugate",
        {
            "mean": array("n_columns n_outputs", -np.inf, np.inf),
            "root": array("n_columns n_columns", -np.inf, np.inf),
            "squared_scale": array("n_outputs", 0.0, np.inf),
            "df": number(0.0, np.inf),
            "precision": array("n_columns", 0.0, np.inf),
            "noise_precision": array("n_outputs", 0.0, np.inf),
            "n_effective_params": number(-np.inf, np.inf),
            "log_evidence": array("n_outputs", -np.inf, np.inf),
        },
        options={  # of files of 0.1.0
            "noise_variance": array("n_outputs", 0.0, np.inf),
            "wide_scale": NONE | array("n_outputs", 0.0, np.inf),
            "wide_root": NONE | array("n_columns n_columns", -np.inf, np.inf),
        },
        together=_restored_posterior,
    ),
    "Ranks": Schema(
        "skgen.bases._placement",
        {
            "knots": each(Check("values and their ranks", _are_knots), (list,)),
            "scale": array("n_features", 1e-300),
        },
    ),
    "VAE": Schema(
        "skgen._autoencoder.model",
        {
            "encoder": made_of("MLP", "ConvolutionalEncoder"),
            "decoder": made_of("MLP", "ConvolutionalDecoder"),
            "likelihood": made_of("Gaussian", "Bernoulli", "ContinuousBernoulli"),
            "n_features": integer(1),
            "n_components": integer(1),
            "weights": Check("a dict of float32 arrays", lambda value, _: (
                isinstance(value, dict) and all(map(_is_float32, value.values()))
            )),
        },
        apart=_vae,
        together=_restored_vae,
    ),
    "Gaussian": Schema("skgen.likelihoods", {"scale": text(100), "min_scale": NOT_NEGATIVE}),
    "Bernoulli": Schema("skgen.likelihoods", {"clip": FLAG}),
    "ContinuousBernoulli": Schema("skgen.likelihoods", {"clip": FLAG}),
    "MLP": Schema("skgen.networks", {"hidden_layer_sizes": SIZES, "activation": text(100)}),
    **{
        name: Schema(
            "skgen.networks", {"image_shape": SIZES, "n_filters": SIZES, "activation": text(100)}
        )
        for name in ("ConvolutionalEncoder", "ConvolutionalDecoder")
    },
    "BSpline": Schema(
        "scipy.interpolate",
        {
            "t": array("n_knots"),
            "c": array("n_coefficients n_splines"),
            "k": integer(0, 1000),
            "extrapolate": FLAG | exactly("periodic"),
        },
    ),
    "Generator": Schema(
        "numpy.random", {"bit_generator": made_of("PCG64", "MT19937")}
    ),
    "RandomState": Schema(
        "numpy.random",
        {
            "bit_generator": made_of("MT19937"),
            "has_gauss": integer(0, 1),
            "gauss": number(-100.0, 100.0),
        },
        apart=_random_state,
        together=_restored_random_state,
    ),
    "SeedSequence": Schema(
        "numpy.random",
        {
            "entropy": NONE | SEED | each(SEED),
            "spawn_key": each(integer(0, 2**32 - 1)),
            "pool_size": integer(4, 64),
            "n_children_spawned": integer(),
        },
    ),
    "PCG64": Schema(
        "numpy.random",
        {
            "seed_seq": made_of("SeedSequence"),
            "state": integer(0, 2**128 - 1),
            "inc": integer(0, 2**128 - 1),
            "has_uint32": integer(0, 1),
            "uinteger": integer(0, 2**32 - 1),
        },
        apart=_bits,
        together=_restored_bits,
        agree=lambda values: bool(values["inc"] % 2),
    ),
    "MT19937": Schema(
        "numpy.random",
        {
            "seed_seq": NONE | made_of("SeedSequence"),
            "key": array("n_words", 0, 2**32 - 1, kinds="u"),
            "pos": integer(0, 624),
        },
        apart=_bits,
        together=_restored_bits,
        agree=lambda values: values["key"].shape == (624,),
    ),
}  # fmt: skip

SCHEMAS: dict[str, Schema] = {**OURS, **TRANSFORMERS, **PARTS}
