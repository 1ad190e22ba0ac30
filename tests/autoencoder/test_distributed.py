"""Training on several ranks: the same result as on one process; an error ends all ranks.

The ranks run this file too: ``python tests/autoencoder/test_distributed.py SCENARIO FOLDER``.
"""

import contextlib
import io
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.distributed as dist
from skorch.callbacks import Callback
from torch import nn

from skgen import VAETransformer
from skgen._autoencoder import training
from skgen.priors import Flow, Mixture, VampPrior

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

N_ROWS, BATCH_SIZE = 41, 10
"""The last batch has one row, so that the other ranks have none."""
LIMIT_S = 120


def data() -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.normal(size=(N_ROWS, 3)) @ rng.normal(size=(3, 5)) + rng.normal(size=(N_ROWS, 5))


class Net(nn.Sequential):
    """With parameters that are not used, and without a bias at the end."""

    def __init__(self, n_inputs: int, n_outputs: int) -> None:
        super().__init__(nn.Linear(n_inputs, 8), nn.SiLU(), nn.Linear(8, n_outputs, bias=False))
        self.unused = nn.Parameter(torch.zeros(3))


def with_dropout(n_inputs: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_inputs, 8), nn.Dropout(0.2), nn.Linear(8, n_outputs))


EXACT: dict[str, dict[str, Any]] = {
    "gaussian": {},
    "bernoulli": {"likelihood": "bernoulli"},
    "free bits": {"free_bits": 0.8, "beta": 2.0, "kl_warmup": 2},
    # Not Gaussian: there the encoder starts at the exact posterior, and its gradient is rounding.
    "importance": {"n_importance_samples": 3, "likelihood": "bernoulli"},
    "missing cells": {"masking": 0.3},
    "stopping": {"early_stopping": True, "max_iter": 60, "n_iter_no_change": 3,
                 "learning_rate": "constant"},
    "mixture": {"prior": Mixture(3)},
    "vamp": {"prior": VampPrior(3), "batch_size": 20},
    "flow": {"prior": Flow(2, 5)},
    "own network": {"decoder": Net},
    "few rows": {"batch_size": 1},
}  # fmt: skip


def model(**parameters: Any) -> VAETransformer:
    defaults = {"max_iter": 5, "batch_size": BATCH_SIZE, "random_state": 3}
    return VAETransformer(2, hidden_layer_sizes=(8,), **{**defaults, **parameters})


def X_of(parameters: dict[str, Any]) -> np.ndarray:
    X = 1 / (1 + np.exp(-data())) if parameters.get("likelihood") else data()
    return np.where(X > 1, np.nan, X) if "masking" in parameters else X


def outcome(vae: VAETransformer) -> dict[str, Any]:
    weights = {name: value.numpy() for name, value in vae.module_.state_dict().items()}
    return {"weights": weights, "history": vae.history_, "kl": vae.explained_kl_}


@contextlib.contextmanager
def double_precision():
    """Networks are trained in float64, so that sums in another order are all that differs."""
    plain = VAETransformer._new_module
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(VAETransformer, "_new_module", lambda *given: plain(*given).double())
        yield


class At(Callback):
    """Does something at the end of the third epoch, or in it, on one rank or on all."""

    def __init__(self, do: Any, rank: int | None = None, batch: bool = False) -> None:
        self.do, self.rank, self.batch = do, rank, batch

    def act_at(self, net: Any, batch: bool) -> None:
        mine = self.rank is None or dist.get_rank() == self.rank
        if len(net.history) == 3 and mine and batch == self.batch:
            self.do()

    def on_grad_computed(self, net: Any, **kwargs: Any) -> None:
        self.act_at(net, True)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        self.act_at(net, False)


def fail() -> None:
    raise ZeroDivisionError("of the callback")


def stop() -> None:
    raise KeyboardInterrupt


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


# -- scenarios that ranks run ---------------------------------------------------------------------


def learn_exactly(folder: Path) -> dict[str, Any]:
    with double_precision():
        found = {
            name: outcome(model(**parameters).fit(X_of(parameters)))
            for name, parameters in EXACT.items()
        }
        vae = model(checkpoint=folder / "checkpoint", callbacks=[At(fail)])
        with pytest.raises(ZeroDivisionError):
            vae.fit(data())
        vae.set_params(callbacks=None)
        found["resumed"] = outcome(vae.fit(data()))
    return found


def learn(folder: Path) -> dict[str, Any]:
    vae = model(random_state=None).fit(data())
    went_on = [vae.partial_fit(data())] and outcome(vae)
    with contextlib.redirect_stderr(io.StringIO()) as shown:
        alike = outcome(model(verbose=1, max_iter=2).fit(data()))
    stopped = outcome(model(callbacks=[At(stop, rank=1)]).fit(data()))
    whole = outcome(model(decoder=with_dropout).fit(data()))
    vae = model(decoder=with_dropout, checkpoint=folder / "checkpoint", callbacks=[At(fail)])
    with pytest.raises(ZeroDivisionError):
        vae.fit(data())
    resumed = outcome(vae.set_params(callbacks=None).fit(data()))
    again = outcome(pickle.loads(pickle.dumps(vae)).fit(data()))
    return {"drawn": went_on, "alike": alike, "shown": shown.getvalue(), "stopped": stopped,
            "again": again, "whole": whole, "resumed": resumed}  # fmt: skip


def error_of(vae: VAETransformer, X: np.ndarray) -> str:
    before = pickle.dumps(vars(vae))
    start = time.monotonic()
    try:
        vae.fit(X)
    except Exception as error:
        assert pickle.dumps(vars(vae)) == before
        assert time.monotonic() - start < 20
        return f"{type(error).__name__}: {error}"
    return "none"


def go_wrong(folder: Path) -> dict[str, Any]:
    rank, X = dist.get_rank(), data()
    bad = np.where(rank == 1, np.nan, X)
    found = {
        "bad X": error_of(model(), bad),
        "bad parameter": error_of(model(beta=-rank), X),
        "other X": error_of(model(), X + rank),
        "other parameter": error_of(model(max_iter=5 + rank), X),
        "callback": error_of(model(callbacks=[At(fail, rank=1)]), X),
        "within a batch": error_of(model(callbacks=[At(fail, rank=0, batch=True)]), X),
        "interrupt": error_of(model(callbacks=[At(fail, rank=1, batch=True)]), X),
        "diverging": error_of(model(learning_rate_init=1e9, max_iter=50), X),
    }
    total = torch.ones(1)
    dist.all_reduce(total)  # the caller's group is as it was
    found |= {"afterwards": error_of(model(), X), "ranks": float(total)}
    report(found, folder)  # for the last time, of rank 1
    return {**found, "killed": error_of(model(callbacks=[At(kill, rank=1, batch=True)]), X)}


SCENARIOS = {function.__name__: function for function in (learn_exactly, learn, go_wrong)}


def report(found: dict[str, Any], folder: Path) -> None:
    (folder / f"{dist.get_rank()}.pickle").write_bytes(pickle.dumps(found))


def main(scenario: str, folder: Path) -> None:
    torch.set_num_threads(1)
    if "RANK" in os.environ and "MASTER_PORT" in os.environ:
        dist.init_process_group("gloo")
    else:
        rank, size = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
        meeting = f"file://{folder}/meeting"
        dist.init_process_group("gloo", init_method=meeting, rank=rank, world_size=size)
    report(SCENARIOS[scenario](folder), folder)
    os._exit(0)  # a group that has lost a rank would wait for it


# -- starting ranks -------------------------------------------------------------------------------


def run_ranks(scenario: str, n_ranks: int, folder: Path) -> list[Any]:
    """Run a scenario on ranks and return their reports."""
    command = [sys.executable, __file__, scenario, str(folder)]
    env = {key: value for key, value in os.environ.items() if key != "MASTER_PORT"}
    ranks = [
        subprocess.Popen(command, env={**env, "RANK": str(rank), "WORLD_SIZE": str(n_ranks)})
        for rank in range(n_ranks)
    ]
    try:
        for rank in ranks:
            rank.wait(LIMIT_S)
    finally:
        for rank in ranks:
            rank.kill()
    return reports(n_ranks, folder)


def reports(n_ranks: int, folder: Path) -> list[Any]:
    return [pickle.loads((folder / f"{rank}.pickle").read_bytes()) for rank in range(n_ranks)]


def assert_same_weights(found, expected, rtol):
    for name, value in expected["weights"].items():
        error = np.linalg.norm(found["weights"][name] - value)
        assert error <= rtol * np.linalg.norm(value), (name, error)


def without_dur(history):
    return {name: values for name, values in history.items() if name != "dur"}


# -- tests ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_ranks", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_ranks_and_one_process_learn_the_same(n_ranks, tmp_path):
    found = run_ranks("learn_exactly", n_ranks, tmp_path)
    with double_precision():
        alone = {name: outcome(model(**more).fit(X_of(more))) for name, more in EXACT.items()}
    alone["resumed"] = alone["gaussian"]
    for name, expected in alone.items():
        for rank in found:
            assert_same_weights(rank[name], expected, 1e-12)
            assert rank[name]["history"] == found[0][name]["history"]
            np.testing.assert_allclose(rank[name]["kl"], expected["kl"], rtol=1e-10)
        for column, values in without_dur(expected["history"]).items():
            np.testing.assert_allclose(found[0][name]["history"][column], values, rtol=1e-12)
    assert 3 < len(alone["stopping"]["history"]["train_loss"]) < 60
    with double_precision(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "LARGEST_RATIO", np.inf)  # the limit counts: it has been met
        free = outcome(model(**EXACT["few rows"]).fit(data()))
    difference = free["kl"] - alone["few rows"]["kl"]
    assert np.abs(difference).max() > 1e-4
    assert not (tmp_path / "checkpoint").exists()


@pytest.mark.slow
def test_ranks_started_by_torchrun_agree(tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command = [*torchrun, __file__, "learn", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, check=False)
    assert done.returncode == 0, done.stderr
    first, second = reports(2, tmp_path)
    for name in ("drawn", "stopped", "again", "alike", "whole", "resumed"):
        assert_same_weights(first[name], second[name], 0.0)
        assert first[name]["history"] == second[name]["history"]
    assert "2/2" in first["shown"]
    assert second["shown"] == ""
    assert len(first["stopped"]["history"]["train_loss"]) == 3
    assert_same_weights(first["resumed"], first["whole"], 0.0)
    assert_same_weights(first["alike"], outcome(model(max_iter=2).fit(data())), 1e-5)


@pytest.mark.slow
def test_an_error_on_one_rank_ends_all(tmp_path):
    first, second = run_ranks("go_wrong", 2, tmp_path)
    other = "RuntimeError: Training has ended on another rank"
    assert first["bad X"].startswith(other)
    assert second["bad X"].startswith("ValueError: `X` must have observed cells")
    assert first["bad parameter"].startswith(other)
    assert second["bad parameter"].startswith("ValueError: `beta` must be")
    for rank in (first, second):
        assert rank["other X"].startswith("ValueError: `X` must be the same on all ranks; got 41 x")
        assert rank["other parameter"].startswith("ValueError: `max_iter` must be the same on all")
        assert rank["diverging"].startswith("ValueError: The loss became ")
        assert rank["afterwards"] == "none"
        assert rank["ranks"] == 2
    for name, failing, waiting in (
        ("callback", second, first),
        ("within a batch", first, second),
        ("interrupt", second, first),
    ):
        assert failing[name] == "ZeroDivisionError: of the callback"
        assert waiting[name].startswith(other)
    assert first["killed"].startswith(other)
    assert "killed" not in second


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
