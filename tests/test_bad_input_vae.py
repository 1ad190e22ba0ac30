"""Law 8 for the VAE, its likelihoods and networks: a call that fails leaves them as they were.

Calls are made up at random, most of them wrong in one or two ways, and judged by `bad_calls`.
"""

import copy
import functools
import re
import types
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from bad_calls import Campaign, Case, FittedModels, Law, assert_mixed, made, report, snapshot
from bad_values import (
    BAD_COLUMNS,
    GOOD_COLUMNS,
    MISSING_COLUMNS,
    corrupted,
    frame_of,
    junk,
    other_frame,
    pick,
)
from skorch.callbacks import Callback, EpochTimer
from small_vae import with_dropout, without_bias
from torch import nn

import skgen
from skgen import VAETransformer, likelihoods, networks, priors
from skgen._autoencoder.batches import Batch
from skgen._autoencoder.model import VAE
from skgen._table import Table, library_of
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Likelihood
from skgen.networks import MLP, ConvolutionalDecoder, ConvolutionalEncoder
from skgen.priors import Flow, Mixture, StandardNormal, VampPrior

COLLAPSE = "All latent dimensions have collapsed"

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings(f"ignore:{COLLAPSE}:sklearn.exceptions.ConvergenceWarning"),
]


@pytest.fixture(autouse=True)
def _checkpoints_are_written_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


N_FAST, N_FAST_FRAMES = 300, 150
SEEDS, N_PER_SEED = range(10), 1500
"""15,000 calls: a fault that one call in 3000 shows is found in 99 of 100 such campaigns."""
N_ROWS, N_FEATURES = 8, 3

# -- networks and callbacks, good and bad --------------------------------------------------------


def with_batch_norm(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(n_inputs), nn.Linear(n_inputs, n_outputs))


def no_module(n_inputs: int, n_outputs: int) -> None:
    return None


def too_wide(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Linear(n_inputs, n_outputs + 1)


def other_inputs(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Linear(n_inputs + 1, n_outputs)


def without_arguments() -> nn.Module:
    return nn.Linear(3, 4)


def in_double(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Linear(n_inputs, n_outputs).double()


class Of(nn.Module):
    """A linear map, and a function of its outputs."""

    def __init__(self, n_inputs: int, n_outputs: int, function: Callable[[Any], Any]) -> None:
        super().__init__()
        self.linear, self.function = nn.Linear(n_inputs, n_outputs), function

    def forward(self, x: torch.Tensor) -> Any:
        return self.function(self.linear(x))


def pair(outputs: torch.Tensor) -> Any:
    return outputs, outputs


def whole(outputs: torch.Tensor) -> Any:
    return outputs.long()


def nan(outputs: torch.Tensor) -> Any:
    return outputs * torch.nan


def cut_off(outputs: torch.Tensor) -> Any:
    return outputs.detach()


def as_numpy(outputs: torch.Tensor) -> Any:
    return outputs.detach().numpy()


def doubled(outputs: torch.Tensor) -> Any:
    return torch.cat([outputs, outputs])


ODD_OUTPUTS = {
    function.__name__: functools.partial(Of, function=function)
    for function in (pair, whole, nan, cut_off, as_numpy, doubled)
}


def stop(*args: Any, **kwargs: Any) -> None:
    raise ValueError("`callbacks` must go on; got one that does not. Leave it out.")


class BreaksEpochs(Callback):
    on_epoch_end = stop


class BreaksBatches(Callback):
    on_batch_end = stop


class BreaksTheEnd(Callback):
    on_train_end = stop


class NeedsArguments(Callback):
    def __init__(self, what: Any) -> None:
        self.what = what


# -- bad parameters ------------------------------------------------------------------------------

WORDS = (
    "gaussian", "bernoulli", "continuous_bernoulli", "shared", "feature", "row", "mlp",
    "convolutional", "identity", "logistic", "tanh", "relu", "silu", "one-cycle", "constant", "cpu",
    "cuda", "meta",
)  # fmt: skip

BUILDERS = (
    without_bias, with_dropout, with_batch_norm, no_module, too_wide, other_inputs,
    without_arguments, in_double, *ODD_OUTPUTS.values(), nn.Linear, nn.Identity, nn.ReLU, nn.Module,
    nn.BatchNorm1d, nn.Bilinear, nn.Linear(3, 4), MLP, MLP(), MLP((2,), "tanh"), MLP((2, 2)),
    ConvolutionalEncoder, ConvolutionalEncoder((1, 3)), ConvolutionalEncoder((3, 1), n_filters=()),
    ConvolutionalEncoder((2, 2)), ConvolutionalDecoder, ConvolutionalDecoder((1, 3)),
    ConvolutionalDecoder((1, 3), n_filters=(2, 2, 2)), ConvolutionalDecoder((1, 1, 3)),
    ConvolutionalDecoder((1, 4)), "mlp", "convolutional", "MLP", None,
)  # fmt: skip

SIZES = (
    (), (2,), (2, 2), [2], np.array([2, 2]), range(1, 3), {2}, {2: 3}, (3, 0), (-3,), (True,),
    ((3,),), (2.0,), (None,), ("2",), "22", b"22", 3, 10**6 + 1, (10**6 + 1,), (10**400,),
    iter((2,)), list, np.array(2), np.array([2.0]), np.array([[2]]), torch.tensor([2]),
    torch.tensor(2), torch.Size([2]),
)  # fmt: skip

DEVICES = (
    "cpu", "cpu:0", "cpu:1", "cpu:-1", "cuda", "cuda:99", "CPU", "meta", "mps", "xla", "opencl",
    "vulkan", "hip", "xpu", "hpu", "ipu", "lazy", "privateuseone", "gpu", "auto", " cpu", "", ":",
    "cpu:", "cuda:x", "\0", torch.device("cpu"), torch.device("meta"), 0, nn.Linear,
)  # fmt: skip

PARTICULAR: dict[str, tuple[Any, ...]] = {
    "n_components": (20_000, 20_001, 5, np.int64(3), torch.tensor(2)),
    "likelihood": (
        Gaussian, Bernoulli, Likelihood, ContinuousBernoulli(), Bernoulli(), Gaussian("row"),
        Gaussian(min_scale=1.0), Gaussian(min_scale=1e-6), Bernoulli(clip=True), "bernoulli",
        "normal", "Gaussian", torch.distributions.Normal, nn.BCELoss(),
    ),
    "prior": (
        Mixture, Mixture(2), VampPrior(2), VampPrior, "mixture", "flow", "normal", Gaussian(),
        torch.distributions.Normal(0.0, 1.0), StandardNormal(), StandardNormal()(2), print, dict,
    ),
    "hidden_layer_sizes": SIZES,
    "activation": ("gelu", "ReLU", nn.ReLU, nn.ReLU(), torch.relu),
    "encoder": BUILDERS,
    "decoder": BUILDERS,
    "image_shape": (
        (1, 3), (3, 1), [1, 3], (1, 3, 1), (1, 1, 3), np.array([1, 3]), (3,), (1, 3, 1, 1), (2, 2),
        (1, 4), (0, 3), (-1, -3), (1.0, 3.0), ("1", "3"), "13", {1, 3}, {1: 2, 3: 4}, *SIZES,
    ),
    "beta": (1e9, 2e9, 1e-9),
    "kl_warmup": (10**9, 10**9 + 1),
    "free_bits": (1e9, 2e9),
    "n_importance_samples": (10**9 + 1,),
    "learning_rate": ("onecycle", "adaptive", "invscaling", 0.1),
    "learning_rate_init": (1e9, 2e9, 1e6, 1e3, 10.0, 1e-300),
    "batch_size": (10**9, 10**9 + 1, "auto"),
    "max_iter": (10**9 + 1,),
    "validation_fraction": (0.99, 0.999, 1.0, 1e-9),
    "n_iter_no_change": (10**9, 10**9 + 1),
    "tol": (1e9, 2e9),
    "callbacks": (
        [], (), [Callback()], [Callback], (Callback(),), [("name", Callback())], [EpochTimer()],
        Callback(), Callback, [None], [("name", None)], [("name",)], [()], [(Callback(),)],
        [(1, Callback())], [("a", "b", Callback())], [("a", Callback()), ("a", Callback())],
        [["name", Callback()]], [NeedsArguments], [NeedsArguments(1)], [BreaksEpochs()],
        [BreaksBatches], [BreaksTheEnd()],
        {"name": Callback()}, {Callback}, iter([Callback()]), "early_stopping", [print], [[]],
    ),
    "checkpoint": (
        "file", Path("file"), "", ".", "/", "no/such/folder/file", "file/file", "\0", "a" * 1000,
        b"file", 1, ["file"], Path,
    ),
    "verbose": (10**9, 10**9 + 1),
    "device": DEVICES,
    "random_state": (2**63, 2**64, 10**30, np.random.PCG64(0), torch.Generator()),
}  # fmt: skip


def bad_parameters(rng: np.random.Generator) -> dict[str, Any]:
    """One or two parameters that most likely are impossible."""
    names = [pick(rng, VAETransformer().get_params(deep=False)) for _ in range(rng.integers(1, 3))]
    return {name: unfit(rng, name) for name in names}


def unfit(rng: np.random.Generator, name: str) -> Any:
    if name in PARTICULAR and rng.random() < 0.6:
        return pick(rng, PARTICULAR[name])
    return junk(rng, WORDS, 0.2)


# -- good models ---------------------------------------------------------------------------------

GOOD_RULES: tuple[dict[str, Any], ...] = (
    {},
    {"likelihood": Gaussian("feature")},
    {"likelihood": Gaussian("row"), "max_iter": 2},
    {"likelihood": Bernoulli(clip=True)},
    {"likelihood": ContinuousBernoulli(clip=True)},
    {"likelihood": "bernoulli"},
    {"likelihood": "continuous_bernoulli"},
    {"prior": Mixture(3)},
    {"prior": VampPrior(3)},
    {"prior": Flow(2, 3)},
    {"hidden_layer_sizes": (), "n_components": 1},
    {"encoder": "convolutional", "decoder": "convolutional"},
    {"encoder": nn.Linear, "decoder": without_bias},
    {"decoder": with_dropout},
    {"encoder": with_batch_norm, "batch_size": 3},
    {"n_importance_samples": 3, "beta": 0.5},
    {"early_stopping": True, "max_iter": 2},
    {"free_bits": 0.1, "kl_warmup": 2},
    {"learning_rate": "constant", "warm_start": True},
    {"warm_start": True, "batch_size": 3},
    {"callbacks": [EpochTimer()], "activation": "tanh"},
    {"random_state": np.random.default_rng(0)},
    {"random_state": np.random.RandomState(0)},
)
DATA = ("usual", "usual", "usual", "float32", "constant", "far", "tiny", "large")
BEFORE = ("", "fit", "partial_fit", "frame")


def good_X(data: str = "usual", n_features: int = N_FEATURES, seed: int = 0) -> np.ndarray:
    """Values in [0, 1], so that every likelihood can have them, unless they are far out."""
    X = np.random.default_rng(seed).random((N_ROWS, n_features))
    if data == "constant":
        X[:, 0] = 0.5
    if data in ("float32", "far"):
        X = X.astype(np.float32)
    return X * {"tiny": 1e-200, "large": 1e90, "far": np.float32(3e38)}.get(data, 1)


@dataclass(frozen=True)
class Model:
    """Which VAE to build, and what it has learnt before."""

    rules: int
    data: str
    before: str

    @classmethod
    def any(cls, rng: np.random.Generator) -> "Model":
        rules = int(rng.integers(len(GOOD_RULES)))
        likelihood = GOOD_RULES[rules].get("likelihood", "")
        on_unit_interval = likelihood in ("bernoulli", "continuous_bernoulli")
        return cls(rules, "usual" if on_unit_interval else pick(rng, DATA), pick(rng, BEFORE))

    def unfitted(self) -> VAETransformer:
        small = {"hidden_layer_sizes": (3,), "max_iter": 1, "batch_size": 8, "random_state": 0}
        return VAETransformer(**{**small, **copy.deepcopy(GOOD_RULES[self.rules])})

    def build(self, **parameters: Any) -> VAETransformer:
        return FITTED.build(self, **parameters)

    @property
    def X(self) -> np.ndarray:
        return good_X(self.data)

    @property
    def tables(self) -> dict[str, np.ndarray]:
        return {"X": self.X}

    @property
    def Z(self) -> np.ndarray:
        n_components = GOOD_RULES[self.rules].get("n_components", 2)
        return np.random.default_rng(1).normal(size=(N_ROWS, n_components)).astype(self.X.dtype)


FITTED = FittedModels()

# -- bad calls -----------------------------------------------------------------------------------


def learning(rng: np.random.Generator) -> Case:
    """fit or partial_fit on bad rows, of a model that is fitted or not."""
    model = Model.any(rng)
    if rng.random() < 0.15:  # nothing is spoilt, but it may be another number of columns
        label, data = "other columns", {"X": good_X(n_features=int(rng.integers(1, 5)))}
    else:
        label, data = corrupted(rng, {"X": model.X})
    method = pick(rng, ("fit", "partial_fit", "partial_fit"))
    return Case(f"{model} {label}", model.build, method, (), data)


def learning_with_bad_parameters(rng: np.random.Generator) -> Case:
    model, parameters = Model.any(rng), bad_parameters(rng)
    build = functools.partial(model.build, **parameters)
    method = pick(rng, ("fit", "partial_fit"))
    return Case(f"{model} {parameters}", build, method, (), {"X": model.X})


def reading(rng: np.random.Generator) -> Case:
    """What a model that is fitted, most often, says of bad rows, or with bad parameters."""
    model = Model.any(rng)
    parameters = bad_parameters(rng) if rng.random() < 0.15 else {}
    build = functools.partial(model.build, **parameters)
    method = pick(rng, ("transform", "reconstruct", "score_samples", "score"))
    label, values = corrupted(rng, {"X": model.X})
    if method == "transform" and rng.random() < 0.5:
        label, values["return_std"] = f"{label} return_std", True
    return Case(f"{model} {parameters} {label}", build, method, (), values)


# -- data frames ---------------------------------------------------------------------------------

LIBRARIES = ("pandas", "polars")
HEAVY = "10^4 categories"


def frame_model() -> VAETransformer:
    rules = {"hidden_layer_sizes": (3,), "max_iter": 1, "random_state": 0}
    return VAETransformer(2, likelihood="from_dtype", **rules)


@functools.cache
def good_frame(library: str) -> tuple[dict[str, Any], VAETransformer, Any]:
    """A column of each kind, a model that has learnt from them, and a snapshot of it."""
    rng = np.random.default_rng(0)
    makers = {name: make for name, make in GOOD_COLUMNS[library].items() if name != HEAVY}
    columns = {f"of {name}": make(rng, N_ROWS) for name, make in makers.items()}
    vae = frame_model().fit(frame_of(library, columns))
    return columns, vae, snapshot(vae)


def copy_of(vae: VAETransformer) -> VAETransformer:
    """Another estimator that shares what the first holds."""
    twin = frame_model()
    vars(twin).update(vars(vae))
    return twin


def named_by(names: Iterable[str]) -> str:
    return f"column ({'|'.join(re.escape(repr(name)) for name in names)})"


def learning_from_a_frame(rng: np.random.Generator) -> Case:
    """fit or partial_fit on a frame of mixed columns, some of which no model takes."""
    library, n_rows = pick(rng, LIBRARIES), int(rng.integers(4, 12))
    good, bad = GOOD_COLUMNS[library], {**BAD_COLUMNS[library], **MISSING_COLUMNS[library]}
    n_bad = int(rng.integers(3))
    kinds = [*rng.choice([*good], rng.integers(1, 4)), *rng.choice([*bad], n_bad)]
    columns = {f"{i}: {kinds[i]}": kinds[i] for i in rng.permutation(len(kinds))}
    wrong = [name for name, kind in columns.items() if kind in bad]
    makers = {**good, **bad}
    frame = frame_of(library, {name: makers[kind](rng, n_rows) for name, kind in columns.items()})
    method, label = pick(rng, ("fit", "fit", "partial_fit")), f"{library} {[*columns]}"
    says = named_by(wrong) if wrong else ""
    return Case(label, frame_model, method, (), {"X": frame}, says, must_fail=bool(wrong))


def reading_a_frame(rng: np.random.Generator) -> Case:
    """What a model of a frame says of one in which a column, or all of it, is another."""
    library = pick(rng, LIBRARIES)
    columns, vae, _ = good_frame(library)
    build = functools.partial(copy_of, vae)
    method = pick(rng, ("transform", "score_samples", "impute", "reconstruct", "partial_fit"))
    if rng.random() < 0.2:
        X = other_frame(rng, frame_of(library, columns))
        return Case(f"{library} another frame", build, method, (), {"X": X})
    bad, name = BAD_COLUMNS[library], pick(rng, columns)
    makers = {**GOOD_COLUMNS[library], **MISSING_COLUMNS[library], **bad}
    kind = pick(rng, [*makers])
    X = frame_of(library, {**columns, name: makers[kind](rng, N_ROWS)})
    label = f"{library} {name!r} replaced by {kind}"
    return Case(label, build, method, (), {"X": X}, named_by([name]), must_fail=kind in bad)


def decoding(rng: np.random.Generator) -> Case:
    model = Model.any(rng)
    label, values = corrupted(rng, {"Z": model.Z})
    return Case(f"{model} {label}", model.build, "inverse_transform", (), values)


def drawing(rng: np.random.Generator) -> Case:
    model = Model.any(rng)
    values = {"random_state": 0}
    for name in ("n_samples", "random_state", "observation_noise"):
        if rng.random() < 0.4:
            values[name] = unfit(rng, name)
    return Case(f"{model} {values}", model.build, "sample", (), values)


def reading_with_bad_arguments(rng: np.random.Generator) -> Case:
    model = Model.any(rng)
    arguments = {"transform": "return_std", "score_samples": "n_importance_samples"}
    method = pick(rng, arguments)
    values = {arguments[method]: unfit(rng, arguments[method])}
    return Case(f"{model} {values}", model.build, method, (model.X,), values)


PIECES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "Gaussian": (likelihoods, ("scale", "min_scale")),
    "Bernoulli": (likelihoods, ("clip",)),
    "ContinuousBernoulli": (likelihoods, ("clip",)),
    "Mixture": (priors, ("n_components",)),
    "VampPrior": (priors, ("n_pseudo_inputs",)),
    "Flow": (priors, ("n_couplings", "n_units")),
    "MLP": (networks, ("hidden_layer_sizes", "activation")),
    "ConvolutionalEncoder": (networks, ("image_shape", "n_filters", "activation", "n_blocks")),
    "ConvolutionalDecoder": (networks, ("image_shape", "n_filters", "activation", "n_blocks")),
}


def building(rng: np.random.Generator) -> Case:
    """A likelihood or a network's builder made of bad parameters."""
    method = pick(rng, PIECES)
    module, names = PIECES[method]
    values: dict[str, Any] = {"image_shape": (1, 3)} if "image_shape" in names else {}
    for name in {pick(rng, names) for _ in names}:
        values[name] = pick(rng, SIZES) if name == "n_filters" else unfit(rng, name)
    return Case(f"{values}", lambda: module, method, (), values)


MAKERS = {
    learning: 5,
    learning_with_bad_parameters: 6,
    reading: 4,
    decoding: 2,
    drawing: 2,
    reading_with_bad_arguments: 1,
    building: 5,
}
MAKERS_OF_FRAMES = {learning_from_a_frame: 1, reading_a_frame: 1}
METHODS = {
    "fit", "partial_fit", "transform", "inverse_transform", "reconstruct", "sample",
    "score_samples", "score", *PIECES,
}  # fmt: skip

# -- the law -------------------------------------------------------------------------------------

ARGUMENTS = {
    "X", "Z", "n_samples", "observation_noise", "return_std", *VAETransformer().get_params(),
    *(name for _, names in PIECES.values() for name in names),
}  # fmt: skip


@snapshot.register
def _(module: nn.Module) -> Any:
    return (type(module), module.training, snapshot(dict(module.state_dict())))


@snapshot.register
def _(tensor: torch.Tensor) -> Any:
    return (tensor.dtype, snapshot(tensor.detach().cpu().numpy()))


def fault_of_state(case: Case, vae: Any, before: Any) -> str:
    return "has another state" if snapshot(vae) != before else ""


def fault_of_result(case: Case, vae: Any, result: Any) -> str:
    if case.method in PIECES:
        return ""
    if case.method in ("fit", "partial_fit"):
        return _fault_of_learning(case, vae, result)
    return "" if is_finite(result) else f"gives {result!r}"


def is_finite(result: Any) -> bool:
    tables = result if isinstance(result, tuple) else (result,)
    arrays = (Table.of(X).to_matrix(X) if library_of(X) else X for X in tables)
    return all(np.isfinite(array).all() for array in arrays)


def _fault_of_learning(case: Case, vae: Any, result: Any) -> str:
    if result is not vae:
        return "does not return the estimator"
    weights = [value.numpy() for value in vae.module_.state_dict().values()]
    transform = [v for v in vars(vae.likelihood_).values() if isinstance(v, np.ndarray)]
    learnt = [*transform, vae.explained_kl_, vae.loss_curve_, *weights]
    if not is_finite(tuple(learnt)):
        return f"learns {learnt}"
    X = case.kwargs["X"]
    readers: dict[str, Callable[[], Any]] = {
        "transform": lambda: vae.transform(X, return_std=True),
        "reconstruct": lambda: vae.reconstruct(X),
        "score_samples": lambda: vae.score_samples(X, 2),
        "sample": lambda: vae.sample(2, random_state=0),
    }
    for name, read in readers.items():
        found, fault = LAW.call(read)
        is_error = isinstance(found, Exception)
        if is_error and str(found).startswith("`X` must"):  # wild rates lead beyond floats
            continue
        if fault or isinstance(found, Exception):
            return f"then {name} {fault or repr(found)}"
        if not is_finite(found):
            return f"then {name} gives {found!r}"
    return ""


LAW = Law(
    frozenset(ARGUMENTS),
    fault_of_state,
    fault_of_result,
    also_says=r"The loss became \S+ (in epoch \d+|after the last step)\. Most likely `learning_rate"
    r"|Expected more than 1 value per channel when training",  # torch's, of batch normalization
    also_warns=COLLAPSE,
)


CAMPAIGN = Campaign(LAW, MAKERS, FITTED)


def test_bad_calls():
    assert_mixed(CAMPAIGN.check(1003, N_FAST), METHODS, N_FAST)


def test_bad_frames():
    counts, faults = LAW.campaign(made(MAKERS_OF_FRAMES, 1003, N_FAST_FRAMES))
    assert not faults, report(faults)
    assert all(snapshot(vae) == before for _, vae, before in map(good_frame, LIBRARIES))
    assert_mixed(counts, set(), N_FAST_FRAMES)


def forget_to_restore(*estimators: object) -> nullcontext[None]:
    """`restore_on_error` that does nothing."""
    return nullcontext()


def the_same(value: Any) -> Any:
    """`twin` and `deepcopy` of a beginner, who trains what there is."""
    return value


def unvalidated(self: Any, data: Any, likelihood: Any, reset: bool) -> Any:
    """`_validate_batch` of a beginner."""
    X = np.asarray(data[0], dtype=np.float64)
    self.n_features_in_ = X.shape[1]
    return Batch(likelihood.check_support(X))


def terse(table: Any, name: str, **more: Any) -> None:
    """`check_numeric` with nothing to say."""
    if not np.issubdtype(np.asarray(table).dtype, np.number):
        raise ValueError(f"bad {name}")


def unchecked(value: Any, name: str, *choices: Any, **conditions: Any) -> Any:
    """A check that finds everything good."""
    return value


def unchecked_kind(kind: Any, value: Any, name: str, **sizes: int) -> Any:
    """`check` of a kind of parameters that finds everything good."""
    return value


FAULTS = {
    "a failed call leaves attributes behind": (
        skgen._autoencoder.fitting,
        "restore_on_error",
        forget_to_restore,
    ),
    "a failed call has trained the module": (VAE, "twin", the_same),
    "a failed call has moved the optimizer on": (
        skgen._autoencoder.training,
        "copy",
        types.SimpleNamespace(deepcopy=the_same),
    ),
    "an IndexError, and text taken for numbers": (VAETransformer, "_validate_batch", unvalidated),
    "a message without condition and remedy": (skgen._autoencoder.vae, "check_numeric", terse),
    "values that overflow": (skgen._autoencoder.vae, "check_size", unchecked),
    "flags that are not checked": (skgen._autoencoder.vae, "check_flag", unchecked),
    "words that are not checked": (skgen._parameters.Choice, "check", unchecked_kind),
    "sizes that are not checked": (skgen._parameters.Sequence, "check", unchecked_kind),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault, monkeypatch):
    monkeypatch.setattr(*FAULTS[fault])
    monkeypatch.setattr(FITTED, "by_description", {})
    assert CAMPAIGN.finds_fault(range(1003, 1008), N_FAST)


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_bad_calls_at_length(seed):
    CAMPAIGN.check(seed, N_PER_SEED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_bad_frames_at_length(seed):
    _, faults = LAW.campaign(made(MAKERS_OF_FRAMES, seed, 1000))
    assert not faults, report(faults)
    assert all(snapshot(vae) == before for _, vae, before in map(good_frame, LIBRARIES))
