"""Checkpoints: a fit that was interrupted continues, with the same result bit for bit."""

import math
import multiprocessing
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

import skgen._files.container
from skgen import VAETransformer
from skgen._autoencoder import training
from skgen._autoencoder.checkpoint import FORMAT, describe
from skgen.likelihoods import StandardizedLikelihood
from skgen.priors import Flow, Mixture, VampPrior

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]


def with_dropout(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_inputs, 16), nn.Dropout(0.2), nn.Linear(16, n_outputs))


def with_batch_norm(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.BatchNorm1d(n_inputs), nn.Linear(n_inputs, n_outputs))


WAYS: dict[str, dict[str, Any]] = {
    "default": {},
    "constant": {"learning_rate": "constant"},
    "bernoulli": {"likelihood": "bernoulli", "n_importance_samples": 2, "kl_warmup": 5},
    "missing cells": {"masking": 0.3, "early_stopping": True},
    "mixture": {"prior": Mixture(3)},
    "vamp": {"prior": VampPrior(3)},
    "flow": {"prior": Flow(2, 5)},
    "stopping": {"early_stopping": True, "n_iter_no_change": 2, "learning_rate": "constant",
                 "learning_rate_init": 0.03, "max_iter": 40},
    "own networks": {"encoder": with_batch_norm, "decoder": with_dropout},
    "generator": {"random_state": "generator"},
}  # fmt: skip


def data(n_rows: int = 43) -> np.ndarray:
    rng = np.random.default_rng(0)
    return 1 / (1 + np.exp(-rng.normal(size=(n_rows, 2)) @ rng.normal(size=(2, 6))))


def with_holes(X: np.ndarray) -> np.ndarray:
    return np.where(np.random.default_rng(1).random(X.shape) < 0.2, np.nan, X)


def model(path: Path | None = None, **parameters: Any) -> VAETransformer:
    if parameters.get("random_state") == "generator":
        parameters["random_state"] = np.random.default_rng(5)
    defaults = {"max_iter": 8, "batch_size": 10, "random_state": 0}
    return VAETransformer(
        2, hidden_layer_sizes=(8,), checkpoint=path, **{**defaults, **parameters}
    )  # fmt: skip


class Breaks(Callback):
    """Raises an error in an epoch, after some batches or at its end."""

    def __init__(self, epoch: int, n_batches: int | None = None, error: Any = ZeroDivisionError):
        self.epoch, self.n_batches, self.error = epoch, n_batches, error

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.left = self.n_batches

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch and self.n_batches is not None:
            self.left -= 1
            if self.left < 0:
                raise self.error

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        if len(net.history) == self.epoch:
            raise self.error


def interrupt_fit(
    vae: VAETransformer, X: np.ndarray, epoch: int, n_batches: int | None = 2
) -> None:
    vae.set_params(callbacks=[Breaks(epoch, n_batches)])
    with pytest.raises(ZeroDivisionError):
        vae.fit(X)
    vae.set_params(callbacks=None)


def assert_same(vae: VAETransformer, other: VAETransformer) -> None:
    """Results are the same to the last bit, and so are those of the next fit."""
    for found, expected in zip(states(vae), states(other), strict=True):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            np.testing.assert_array_equal(found[name], value, name)
    assert without_dur(vae) == without_dur(other)
    assert vae._seed == other._seed
    assert vars(vae).get("_split_seed") == vars(other).get("_split_seed")
    np.testing.assert_array_equal(vae.explained_kl_, other.explained_kl_)
    for name, value in vars(vae.likelihood_).items():
        np.testing.assert_array_equal(value, vars(other.likelihood_)[name])


def states(vae: VAETransformer) -> list[dict[str, torch.Tensor]]:
    return [vae.module_.state_dict(), *vae._optimizer_state["state"].values()]


def without_dur(vae: VAETransformer) -> dict[str, Any]:
    return {name: values for name, values in vae.history_.items() if name != "dur"}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "fit.checkpoint"


# -- resuming -------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_a_resumed_fit_equals_an_uninterrupted_one(way, path):
    X = with_holes(data()) if "masking" in WAYS[way] else data()
    expected = model(**WAYS[way]).fit(X)
    for epoch in {1, 2, expected.n_iter_}:
        interrupt_fit(model(path, **WAYS[way]), X, epoch)
        assert path.exists() == (epoch > 1)
        before = torch.get_rng_state()
        assert_same(model(path, **WAYS[way]).fit(X), expected)
        assert torch.equal(torch.get_rng_state(), before)
        assert os.listdir(path.parent) == []


def test_a_resumed_fit_clips_gradients_as_an_uninterrupted_one(path, monkeypatch):
    X = data()
    X[7] *= 30
    expected = model().fit(X)
    interrupt_fit(model(path), X, 5)
    assert_same(model(path).fit(X), expected)
    monkeypatch.setattr(training, "LARGEST_RATIO", math.inf)
    free = model().fit(X)
    assert np.abs(free.transform(X) - expected.transform(X)).max() > 1e-3


@pytest.mark.filterwarnings("ignore:`callbacks` have not seen")
def test_a_fit_may_be_resumed_repeatedly(path):
    X = data()
    for epoch in (2, 3, 3, 6, 8):
        interrupt_fit(model(path), X, epoch)
    assert_same(model(path).fit(X), model().fit(X))


def test_a_resumed_fit_trains_only_the_missing_epochs(path):
    epochs = []

    class Count(Callback):
        def on_epoch_begin(self, net, **kwargs):
            epochs.append(len(net.history))

    interrupt_fit(model(path), data(), epoch=6)
    with pytest.warns(UserWarning, match="`callbacks` have not seen the epochs before"):
        model(path, callbacks=[Count()]).fit(data())
    assert epochs == [6, 7, 8]


def test_a_random_seed_is_in_the_checkpoint(path):
    X = data()
    interrupt_fit(model(path, random_state=None), X, epoch=4)
    kept = path.read_bytes()
    vae = model(path, random_state=None).fit(X)
    path.write_bytes(kept)
    assert_same(model(path, random_state=None).fit(X), vae)
    assert not torch.equal(
        model(path, random_state=None).fit(X).module_.global_parameters,
        vae.module_.global_parameters,
    )


def test_a_warm_start_can_be_resumed(path):
    X = data()
    expected, vae = (model(warm_start=True).fit(X) for _ in range(2))
    expected.fit(X)
    vae.set_params(checkpoint=path)
    interrupt_fit(vae, X, epoch=5)
    assert_same(vae.fit(X), expected)
    assert vae.n_iter_ == 16


def test_a_fit_can_be_resumed_after_ctrl_c(path, monkeypatch):
    X = data()
    vae = model(path, callbacks=[Breaks(5, 2, KeyboardInterrupt)])
    with pytest.raises(KeyboardInterrupt, match="after 4 of 8 epochs"):
        vae.fit(X)
    assert vae.n_iter_ == 4
    assert_same(vae.set_params(callbacks=None).fit(X), model().fit(X))


def test_numbers_and_texts_recorded_by_callbacks_are_kept(path):
    class Record(Callback):
        def on_epoch_end(self, net, **kwargs):
            for name, value in (("number", np.float32(1.5)), ("tensor", torch.tensor(2.5)),
                                ("text", "a"), ("list", [1]), ("none", None)):  # fmt: skip
                net.history.record(name, value)

    vae = model(path, callbacks=[Record(), Breaks(3, 0)])
    with pytest.raises(ZeroDivisionError):
        vae.fit(data())
    history = vae.set_params(callbacks=None, max_iter=8).fit(data()).history_
    assert history["number"] == [1.5, 1.5] + 6 * [None]
    assert history["tensor"][:2] == [2.5, 2.5]
    assert history["text"][:2] == ["a", "a"]
    assert history["list"] == history["none"] == 8 * [None]


def test_partial_fit_writes_no_checkpoint(path):
    vae = model(path)
    for _ in range(2):
        vae.partial_fit(data())
    assert os.listdir(path.parent) == []


def test_a_finished_fit_starts_anew(path):
    vae = model(path)
    first = vae.fit(data()).module_
    assert vae.fit(data()).module_ is not first
    assert vae.n_iter_ == 8


# -- other fits and files -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"max_iter": 9}, "max_iter=8, where now it is 9"),
        ({"random_state": 1}, "random_state=0, where now it is 1"),
        ({"encoder": with_dropout}, "encoder=None, where now it is <function with_dropout>"),
        ({"n_components": 3}, "n_components=2, where now it is 3"),
    ],
)
def test_other_parameters_raise(parameters, said, path):
    interrupt_fit(model(path), data(), epoch=4)
    kept = path.read_bytes()
    vae = model(path).set_params(**parameters)
    with pytest.raises(ValueError, match=f"`checkpoint` must belong to this fit; got .* {said}"):
        vae.fit(data())
    assert not vars(vae).keys() - vae.get_params().keys()
    assert path.read_bytes() == kept


class Scale:
    """A function with an attribute, which its name does not show."""

    def __init__(self, scale: Any) -> None:
        self.scale = scale

    def __call__(self, n_inputs: int, n_outputs: int) -> nn.Module:
        return nn.Linear(n_inputs, n_outputs)

    def __repr__(self) -> str:
        return "Scale()"


@dataclass(frozen=True, repr=False)
class Laplace(StandardizedLikelihood):
    floor: Any = 1e-3

    def distribution(self, outputs, global_parameters):
        return torch.distributions.Laplace(outputs, 1.0, validate_args=False)

    def draw(self, outputs, global_parameters, generator):
        raise NotImplementedError


def builder(rate: float, n_layers: int = 1) -> Any:
    return lambda n_inputs, n_outputs: nn.Sequential(
        nn.Dropout(rate), *(nn.Linear(n_inputs, n_inputs) for _ in range(n_layers - 1)),
        nn.Linear(n_inputs, n_outputs),
    )  # fmt: skip


LONG = (3,) * 200
CHANGES: dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]] = {
    "generator": ("random_state", lambda: np.random.default_rng(5),
        lambda: np.random.default_rng(6)),
    "random state": ("random_state", lambda: np.random.RandomState(5),
        lambda: np.random.RandomState(6)),
    "attribute": ("encoder", lambda: Scale(1.0), lambda: Scale(2.0)),
    "array": ("encoder", lambda: Scale(np.zeros(2000)), lambda: Scale(np.eye(2000)[0])),
    "tensor": ("encoder", lambda: Scale(torch.zeros(3)), lambda: Scale(torch.ones(3))),
    "nested": ("encoder", lambda: Scale([Scale({1.0})]), lambda: Scale([Scale({2.0})])),
    "likelihood": ("likelihood", lambda: Laplace(), lambda: Laplace(1e-2)),
    "closure": ("encoder", lambda: builder(0.1), lambda: builder(0.2)),
    "partial": ("encoder", lambda: partial(nn.Linear, bias=True),
        lambda: partial(nn.Linear, bias=False)),
    "middle": ("hidden_layer_sizes", lambda: LONG, lambda: (*LONG[:99], 4, *LONG[100:])),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_parameters_are_compared_by_content(name):
    parameter, one, other = CHANGES[name]
    (before, same, now) = (describe({parameter: make()}) for make in (one, one, other))
    assert before == same
    assert before != now


@pytest.mark.parametrize("name", ["generator", "random state", "attribute", "likelihood"])
def test_other_contents_raise(name, path):
    parameter, one, other = CHANGES[name]
    interrupt_fit(model(path, **{parameter: one()}), data(), epoch=4)
    with pytest.raises(ValueError, match=f"this fit; got .* with {parameter}="):
        model(path, **{parameter: other()}).fit(data())
    expected = model(**{parameter: one()}).fit(data())
    assert_same(model(path, **{parameter: one()}).fit(data()), expected)


DESCRIBE = """
from functools import partial
import numpy as np
from skgen._autoencoder import training
from skgen._autoencoder.checkpoint import describe
from skgen.likelihoods import Gaussian
made = {"a": np.random.default_rng(3), "b": partial(max, key=abs), "c": Gaussian("feature"),
        "d": {"x", "y", "z"}, "e": np.random.RandomState(1), "f": lambda x, y=2: {x: y}}
print(describe(made))
"""


def test_contents_are_the_same_in_every_process():
    outputs = {
        subprocess.run(
            [sys.executable, "-c", DESCRIBE], capture_output=True, check=True,
            cwd=Path(__file__).parents[2], env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in "12"
    }  # fmt: skip
    assert len(outputs) == 1


def test_a_content_that_holds_itself_has_an_end():
    one, other = Scale(1), Scale(2)
    one.scale, other.scale = [one], [other, 1]
    assert describe({"encoder": one}) != describe({"encoder": other})


def test_what_cannot_be_compared_is_refused(path):
    with open(os.devnull) as file, pytest.raises(ValueError, match=r"`encoder` must be .* compare"):
        model(path, encoder=Scale(file)).fit(data())
    assert os.listdir(path.parent) == []


def test_a_generator_continues_after_ctrl_c(path):
    random = np.random.default_rng(5)
    vae = model(path, random_state=random, callbacks=[Breaks(5, 2, KeyboardInterrupt)])
    with pytest.raises(KeyboardInterrupt):
        vae.fit(data())
    expected = model(random_state="generator").fit(data())
    assert_same(vae.set_params(callbacks=None).fit(data()), expected)
    assert random.random() == expected.random_state.random()


def test_other_data_raise(path):
    interrupt_fit(model(path), data(), epoch=4)
    changed = data()
    changed[7, 3] += 1e-9
    for X in (changed, data()[::-1], data()[1:], data().astype(np.float32)):
        with pytest.raises(ValueError, match=r"with X=43 x 6 float64 \w+, where now it is 4"):
            model(path).fit(X)
    model(path).fit(np.asfortranarray(data()))


def test_other_initial_weights_raise(path):
    vae = model(path, warm_start=True)
    interrupt_fit(vae, data(), epoch=4)
    started = model(None, warm_start=True).fit(data()).set_params(checkpoint=path)
    with pytest.raises(ValueError, match="with networks="):
        started.fit(data())


@pytest.mark.parametrize("parameters", [{"verbose": 1}, {"device": "cpu:0"}])
def test_parameters_without_effect_may_change(parameters, path, capsys):
    interrupt_fit(model(path), data(), epoch=4)
    assert_same(model(path, **parameters).fit(data()), model().fit(data()))


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kept", [b"", b"a text", pickle.dumps(Bomb()), "bomb", "torn", "other"])
def test_another_file_raises_and_is_unchanged(kept, path, monkeypatch):
    monkeypatch.chdir(path.parent)
    if kept == "bomb":
        torch.save({"format": FORMAT, "epoch": Bomb()}, path)
    elif kept == "other":
        torch.save({"weights": torch.zeros(2)}, path)
    elif kept == "torn":
        interrupt_fit(model(path), data(), epoch=4)
        path.write_bytes(path.read_bytes()[:-100])
    else:
        path.write_bytes(kept)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="`checkpoint` must be the name of a checkpoint, or of"):
        model(path).fit(data())
    assert path.read_bytes() == before
    assert os.listdir() == [path.name]


@pytest.mark.parametrize("name", ["", ".", "/", "no/such/folder/file", "\0", "a" * 1000])
def test_invalid_file_names_raise(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="`checkpoint` must "):
        model(name).fit(data())


@pytest.mark.parametrize("name", [0, True, b"file", ["file"], open])
def test_invalid_types_of_file_names_raise(name):
    with pytest.raises(TypeError, match="`checkpoint` must be a str or path"):
        model(name).fit(data())


# -- failures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", ["fsync", "replace"])
def test_a_failed_write_leaves_the_previous_checkpoint(function, path, monkeypatch):
    def no_room(*given):
        raise OSError(28, "No space left on device")

    interrupt_fit(model(path), data(), epoch=4)
    kept = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(skgen._files.container.os, function, no_room)
        with pytest.raises(OSError, match="No space left"):
            model(path).fit(data())
    assert path.read_bytes() == kept
    assert_same(model(path).fit(data()), model().fit(data()))


KILLED = {"max_iter": 25, "likelihood": "bernoulli", "early_stopping": True,
          "n_iter_no_change": 25, "decoder": with_dropout}  # fmt: skip
N_ROWS = 250


def fit_until_killed(path: Path, told: Any) -> None:
    torch.set_num_threads(1)
    X, vae = data(N_ROWS), model(path, **KILLED)
    model(None, **KILLED | {"max_iter": 1}).fit(X)  # what the first fit alone imports takes longer
    told.send("begins")
    vae.fit(X)
    told.send("ends")


@pytest.mark.slow
@pytest.mark.parametrize("n_kills", [12])
def test_a_killed_fit_can_be_resumed(n_kills, path, rng):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["skgen._autoencoder.vae"])
    expected = model(path, **KILLED).fit(data(N_ROWS))
    n_early, duration = 0, math.inf
    for kill in range(10 * n_kills):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=fit_until_killed, args=(path, sender))
        process.start()
        receiver.recv()
        start = time.perf_counter()
        if kill == 0:  # the first is left alone, to see how long it takes
            receiver.recv()
            duration = time.perf_counter() - start
        time.sleep(rng.uniform(0, duration) if kill else 0)
        process.kill()
        process.join()
        n_early += path.exists()  # else it was over, or in its first epoch
        assert_same(model(path, **KILLED).fit(data(N_ROWS)), expected)
        assert os.listdir(path.parent) == []
        if n_early == n_kills:
            break
    assert n_early == n_kills
