"""Law 8 for the conditional autoencoder: a call that fails leaves it as it was.

Calls are made up at random, most of them wrong in one or two ways, and judged by `bad_calls`.
"""

import copy
import functools
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import test_bad_input_vae as of_vae
from bad_calls import Campaign, Case, FittedModels, Law, assert_mixed
from bad_values import corrupted, junk, pick
from skorch.callbacks import EpochTimer
from small_vae import with_dropout, without_bias
from torch import nn

import skgen
from skgen import VAERegressor
from skgen._autoencoder.batches import Batch
from skgen._autoencoder.model import VAE
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skgen.networks import MLP, ConditionalDecoder, ConditionalEncoder
from skgen.priors import (
    ConditionalMixture,
    ConditionalNormal,
    Flow,
    Mixture,
    StandardNormal,
    VampPrior,
)

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings(f"ignore:{of_vae.COLLAPSE}:sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(autouse=True)
def _checkpoints_are_written_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


N_FAST = 250
SEEDS, N_PER_SEED = range(20), 300
N_ROWS, N_FEATURES, N_OUTPUTS = 8, 3, 2

# -- bad parameters ------------------------------------------------------------------------------

WORDS = (
    *of_vae.WORDS, "conditional_normal", "conditional_mixture", "standard_normal", "from_dtype",
)  # fmt: skip
SHAPES = (
    (1, 3), (3, 1), (1, 2), (2, 1), (1, 2, 1), (1, 1, 3), (2, 2), (3,), (0, 3), (1.0, 3.0), "13",
    np.array([1, 3]), {1, 3},
)  # fmt: skip
PROBABILITIES = (
    0.5, 0.0, 1.0, 1e-300, 1 - 1e-16, -0.1, 2, True, "0.5", [0.5], None, np.float32(0.25),
)  # fmt: skip
PARTICULAR: dict[str, tuple[Any, ...]] = {
    **of_vae.PARTICULAR,
    "n_components": (20_001, 5, np.int64(3)),
    "prior": (
        *of_vae.PARTICULAR["prior"], ConditionalNormal, ConditionalNormal(MLP((2,))),
        ConditionalMixture(2), ConditionalNormal(of_vae.too_wide), ConditionalMixture,
        ConditionalNormal(of_vae.no_module), ConditionalMixture(2, with_dropout), Mixture(2),
        VampPrior(2), Flow(1, 2),
    ),
    "encoder": (
        *of_vae.BUILDERS, ConditionalEncoder((1, 2), (3,)), ConditionalEncoder((1, 2), (9,)),
    ),
    "decoder": (
        *of_vae.BUILDERS, ConditionalDecoder((1, 2), (3,)), ConditionalDecoder((1, 3), (3,)),
    ),
    "image_shape": SHAPES,
    "input_shape": SHAPES,
    "categorical_features": (
        [0], [0, 1, 2], [-1], [3], [0, 0], ["x0"], ["x9"], [True, False, False], [True], [0.0],
        (0,), np.array([0]), np.array([[0]]), slice(1), "x0", 0, [], [None], {0},
    ),
    "n_draws": (1, 3, 64, 1000, np.int64(5), 2.0, 10**9 + 1),
    "coverage": PROBABILITIES,
    "quantiles": (*PROBABILITIES, [0.1, 0.9], (0.5,), [0.0, 0.5], [0.5, 1.5], [], [[0.5]], [None]),
}  # fmt: skip


def unfit(rng: np.random.Generator, name: str) -> Any:
    if name in PARTICULAR and rng.random() < 0.6:
        return pick(rng, PARTICULAR[name])
    return junk(rng, WORDS, 0.2)


def bad_parameters(rng: np.random.Generator) -> dict[str, Any]:
    """One or two parameters that most likely are impossible."""
    names = [pick(rng, VAERegressor().get_params(deep=False)) for _ in range(rng.integers(1, 3))]
    return {name: unfit(rng, name) for name in names}


# -- good models ---------------------------------------------------------------------------------

GOOD_RULES: tuple[dict[str, Any], ...] = (
    {},
    {"linear": False},
    {"likelihood": Gaussian("feature")},
    {"likelihood": Gaussian("row"), "max_iter": 2},
    {"likelihood": Bernoulli(clip=True)},
    {"likelihood": ContinuousBernoulli(clip=True)},
    {"likelihood": "bernoulli"},
    {"prior": "conditional_mixture"},
    {"prior": ConditionalNormal(MLP((2,), "tanh"))},
    {"prior": ConditionalMixture(2, nn.Linear)},
    {"prior": StandardNormal()},
    {"prior": Mixture(2)},
    {"prior": VampPrior(2)},
    {"prior": Flow(1, 2)},
    {"hidden_layer_sizes": (), "n_components": 1},
    {"image_shape": (1, 2), "input_shape": (1, 3)},
    {"image_shape": (2, 1)},
    {"encoder": nn.Linear, "decoder": without_bias},
    {"decoder": with_dropout},
    {"prior": ConditionalNormal(with_dropout)},
    {"encoder": of_vae.with_batch_norm, "batch_size": 3, "early_stopping": False},
    {"n_importance_samples": 3, "beta": 0.5},
    {"early_stopping": False, "learning_rate": "one-cycle"},
    {"free_bits": 0.1, "kl_warmup": 2},
    {"warm_start": True, "batch_size": 3},
    {"callbacks": [EpochTimer()], "activation": "tanh"},
    {"categorical_features": [0]},
    {"random_state": np.random.default_rng(0)},
)
BEFORE = ("", "fit", "partial_fit", "frame")


@dataclass(frozen=True)
class Model:
    """Which model to build, of which data, and what it has learnt before."""

    rules: int
    inputs: str
    outputs: str
    is_1d: bool
    before: str

    @classmethod
    def any(cls, rng: np.random.Generator) -> "Model":
        rules = int(rng.integers(len(GOOD_RULES)))
        parameters = GOOD_RULES[rules]
        has_categories = "categorical_features" in parameters
        inputs = "usual" if has_categories else pick(rng, of_vae.DATA)
        on_unit_interval = parameters.get("likelihood") == "bernoulli"
        outputs = "usual" if on_unit_interval else pick(rng, of_vae.DATA)
        is_1d = "image_shape" not in parameters and rng.random() < 0.3
        return cls(rules, inputs, outputs, is_1d, pick(rng, BEFORE))

    def unfitted(self) -> VAERegressor:
        small = {
            "n_components": 2, "hidden_layer_sizes": (3,), "max_iter": 1, "batch_size": 8,
            "random_state": 0,
        }  # fmt: skip
        return VAERegressor(**{**small, **copy.deepcopy(GOOD_RULES[self.rules])})

    def build(self, **parameters: Any) -> VAERegressor:
        return FITTED.build(self, **parameters)

    @property
    def X(self) -> np.ndarray:
        return of_vae.good_X(self.inputs, N_FEATURES, seed=2)

    @property
    def y(self) -> np.ndarray:
        Y = of_vae.good_X(self.outputs, N_OUTPUTS)
        return Y[:, 1] if self.is_1d else Y

    @property
    def tables(self) -> dict[str, np.ndarray]:
        return {"X": self.X, "y": self.y}

    @property
    def Z(self) -> np.ndarray:
        n_components = GOOD_RULES[self.rules].get("n_components", 2)
        return np.random.default_rng(1).normal(size=(N_ROWS, n_components)).astype(self.y.dtype)


FITTED = FittedModels()

# -- bad calls -----------------------------------------------------------------------------------


def learning(rng: np.random.Generator) -> Case:
    """fit or partial_fit on bad rows, of a model that is fitted or not."""
    model = Model.any(rng)
    if rng.random() < 0.15:  # nothing is spoilt, but there may be another number of columns
        X, Y = (of_vae.good_X(n_features=int(rng.integers(1, 5)), seed=seed) for seed in (2, 3))
        label, data = "other columns", {"X": X, "y": Y}
    else:
        label, data = corrupted(rng, model.tables)
    method = pick(rng, ("fit", "partial_fit", "partial_fit"))
    return Case(f"{model} {label}", model.build, method, (), data)


def learning_with_bad_parameters(rng: np.random.Generator) -> Case:
    model, parameters = Model.any(rng), bad_parameters(rng)
    build = functools.partial(model.build, **parameters)
    return Case(f"{model} {parameters}", build, pick(rng, ("fit", "partial_fit")), (), model.tables)


READERS: dict[str, tuple[str, ...]] = {
    "predict": ("X",), "sample_y": ("X",), "log_predictive_density": ("X", "y"),
    "transform": ("X", "y"), "inverse_transform": ("Z", "X"), "predict_quantiles": ("X",),
    "predict_interval": ("X",),
}  # fmt: skip
OPTIONS: dict[str, tuple[str, ...]] = {
    "predict": ("return_std", "n_draws"),
    "sample_y": ("n_samples", "observation_noise", "random_state"),
    "predict_quantiles": ("quantiles", "observation_noise", "n_draws", "random_state"),
    "predict_interval": ("coverage", "observation_noise", "n_draws", "random_state"),
    "log_predictive_density": ("n_importance_samples",),
    "transform": ("return_std",),
}


def good_arguments(rng: np.random.Generator, method: str) -> dict[str, Any]:
    """Arguments of a method other than tables, few draws among them."""
    few_draws, seed = {"n_draws": 4}, {"random_state": 0}
    given: dict[str, dict[str, Any]] = {
        "predict": {"return_std": bool(rng.integers(2)), **few_draws},
        "sample_y": seed,
        "transform": {"return_std": bool(rng.integers(2))},
        "predict_quantiles": {
            "quantiles": pick(rng, (0.5, [0.1, 0.9], np.array([0.2]))), **few_draws, **seed,
        },
        "predict_interval": {**few_draws, **seed},
    }  # fmt: skip
    return given.get(method, {})


def reading(rng: np.random.Generator) -> Case:
    """What a model that is fitted, most often, says of bad rows, or with bad parameters."""
    model, method = Model.any(rng), pick(rng, READERS)
    parameters = bad_parameters(rng) if rng.random() < 0.15 else {}
    tables: dict[str, Any] = {name: getattr(model, name) for name in READERS[method]}
    if len(tables) == 2 and method != "log_predictive_density" and rng.random() < 0.3:
        tables.popitem()
    label, values = ("good rows", tables) if rng.random() < 0.25 else corrupted(rng, tables)
    values.update(good_arguments(rng, method))
    build = functools.partial(model.build, **parameters)
    return Case(f"{model} {parameters} {label}", build, method, (), values)


def reading_with_bad_arguments(rng: np.random.Generator) -> Case:
    model, method = Model.any(rng), pick(rng, OPTIONS)
    values: dict[str, Any] = {name: getattr(model, name) for name in READERS[method]}
    values.update(good_arguments(rng, method))
    chosen = {pick(rng, OPTIONS[method]) for _ in range(2)}
    values.update({name: unfit(rng, name) for name in sorted(chosen)})
    return Case(f"{model} {sorted(chosen)}", model.build, method, (), values)


MAKERS = {learning: 5, learning_with_bad_parameters: 6, reading: 7, reading_with_bad_arguments: 3}
METHODS = {"fit", "partial_fit", *READERS}

# -- the law -------------------------------------------------------------------------------------

ARGUMENTS = {"y", "Z", "X", *itertools.chain(*OPTIONS.values()), *VAERegressor().get_params()}


def fault_of_result(case: Case, model: Any, result: Any) -> str:
    if case.method in ("fit", "partial_fit"):
        return _fault_of_learning(case, model, result)
    return "" if of_vae.is_finite(result) else f"gives {result!r}"


def _fault_of_learning(case: Case, model: Any, result: Any) -> str:
    if result is not model:
        return "does not return the estimator"
    weights = [value.numpy() for value in model.module_.state_dict().values()]
    ridge = [] if model._ridge is None else [model._ridge.coef, model._ridge.intercept]
    learned = [*weights, *ridge, model._x_mean, model.explained_kl_, model.loss_curve_]
    if not of_vae.is_finite(tuple(learned)):
        return f"learns {learned}"
    X, y = case.kwargs["X"], case.kwargs["y"]
    readers: dict[str, Callable[[], Any]] = {
        "predict": lambda: model.predict(X, return_std=True, n_draws=4),
        "sample_y": lambda: model.sample_y(X, 2, random_state=0),
        "predict_interval": lambda: model.predict_interval(X, n_draws=4, random_state=0),
        "transform": lambda: model.transform(X, y, return_std=True),
        "log_predictive_density": lambda: model.log_predictive_density(X, y, 2),
    }
    for name, read in readers.items():
        found, fault = LAW.call(read)
        if str(found).startswith(("`X` must", "`y` must")):  # wild rates lead beyond floats
            continue
        if fault or isinstance(found, Exception):
            return f"then {name} {fault or repr(found)}"
        if not of_vae.is_finite(found):
            return f"then {name} gives {found!r}"
    return ""


LAW = Law(
    frozenset(ARGUMENTS), of_vae.fault_of_state, fault_of_result,
    also_says=of_vae.LAW.also_says, also_warns=of_vae.COLLAPSE,
)  # fmt: skip


CAMPAIGN = Campaign(LAW, MAKERS, FITTED)


def test_bad_calls():
    assert_mixed(CAMPAIGN.check(1004, N_FAST), METHODS, N_FAST)


def unvalidated(self: Any, data: Any, likelihood: Any, reset: bool) -> Any:
    """`_validate_batch` of a beginner."""
    X, Y = (np.asarray(table, dtype=np.float64).reshape(len(table), -1) for table in data)
    self.n_features_in_, self._is_1d, self._ridge = X.shape[1], np.ndim(data[1]) == 1, None
    self._x_mean, self._x_factor = X.mean(axis=0), 1 / X.std(axis=0)
    return Batch(likelihood.check_support(Y), X)


CONDITIONAL = skgen._autoencoder.conditional
FAULTS = {
    "a failed call leaves attributes behind": (
        skgen._autoencoder.fitting, "restore_on_error", of_vae.forget_to_restore,
    ),
    "a failed call has trained the module": (VAE, "twin", of_vae.the_same),
    "an IndexError, and text taken for numbers": (VAERegressor, "_validate_batch", unvalidated),
    "a message without condition and remedy": (skgen._table, "check_numeric", of_vae.terse),
    "values that overflow": (skgen._table, "check_size", of_vae.unchecked),
    "flags that are not checked": (CONDITIONAL, "check_flag", of_vae.unchecked),
    "probabilities that are not checked": (CONDITIONAL, "check_probabilities", of_vae.unchecked),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault, monkeypatch):
    monkeypatch.setattr(*FAULTS[fault])
    monkeypatch.setattr(FITTED, "by_description", {})
    assert CAMPAIGN.finds_fault(range(1004, 1009), N_FAST)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_bad_calls_at_length(seed):
    CAMPAIGN.check(seed, N_PER_SEED)
