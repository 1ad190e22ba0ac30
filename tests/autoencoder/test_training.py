"""Training: compared with a plain loop; callbacks, schedules, early stopping."""

import copy
import math
import re

import numpy as np
import pytest
import torch
from conftest import without_addresses
from skorch.callbacks import (
    BatchScoring,
    Callback,
    Checkpoint,
    EpochScoring,
    EpochTimer,
    Freezer,
    GradientNormClipping,
    LRScheduler,
    PrintLog,
    ProgressBar,
)
from skorch.callbacks import EarlyStopping as SkorchsEarlyStopping
from small_vae import build_vae
from torch import nn

from skgen._autoencoder.batches import Batch
from skgen._autoencoder.model import VAE
from skgen._autoencoder.training import (
    LARGEST_RATIO,
    NORM_DECAY,
    EarlyStopping,
    TrainingSettings,
    VariationalObjective,
    check_callbacks,
    check_device,
    clip_on_cpu,
    clip_on_device,
    train,
)
from skgen.likelihoods import Bernoulli, Gaussian
from skgen.networks import MLP, seed_torch

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N_FEATURES, N_COMPONENTS = 3, 2


def generator(number):
    return torch.Generator().manual_seed(number)


def new_vae(likelihood=None):
    with seed_torch(0):
        return build_vae(MLP((5,)), MLP((5,)), likelihood or Gaussian(), N_FEATURES, N_COMPONENTS)


@pytest.fixture
def X(rng):
    """27 rows: with batches of 10, the last one is smaller."""
    return torch.from_numpy(rng.normal(size=(27, N_FEATURES)).astype(np.float32))


class Recorder(Callback):
    """Records all notifications in order, with copies of batches, losses and learning rates."""

    def initialize(self):
        self.events, self.batches, self.losses, self.rates = [], [], [], []
        return self

    def on_train_begin(self, net, X, y, **kwargs):
        self.events.append("train begins")

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.events.append("epoch begins")
        self.rows, self.rows_held_out = dataset_train, dataset_valid

    def on_batch_begin(self, net, batch, training, **kwargs):
        self.events.append("batch begins")

    def on_grad_computed(self, net, named_parameters, batch, training, **kwargs):
        self.events.append("gradient")

    def on_batch_end(self, net, batch, training, loss, **kwargs):
        assert training
        self.events.append("batch ends")
        self.batches.append(batch[0].clone())
        self.losses.append(float(loss))
        self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_end(self, net, **kwargs):
        self.events.append("epoch ends")

    def on_train_end(self, net, X, y, **kwargs):
        self.events.append("train ends")


def train_vae(X, *callbacks, vae=None, objective=None, seed=0, stopping=None, state=None, **more):
    """Train for four epochs with batches of 10 by default."""
    settings = TrainingSettings(
        objective or VariationalObjective(),
        **{
            "max_iter": 4, "batch_size": 10, "learning_rate": 0.01, "one_cycle": False,
            "callbacks": callbacks, **more,
        },
    )  # fmt: skip
    return train(vae or new_vae(), Batch(X), settings, generator(seed), stopping, state)


def weights(vae):
    return [value.clone() for value in vae.state_dict().values()]


def assert_same_weights(vae, other):
    for found, expected in zip(weights(vae), weights(other), strict=True):
        assert torch.equal(found, expected)


def split_by_epoch(values, n_epochs=4):
    """Values of the batches of each epoch."""
    n_batches = len(values) // n_epochs
    return [values[i * n_batches : (i + 1) * n_batches] for i in range(n_epochs)]


# -- result ---------------------------------------------------------------------------------------


@pytest.fixture
def elbo_calls(monkeypatch):
    """The arguments of each call of the ELBO in training."""
    calls, elbo = [], VAE.elbo

    def spy(self, x, noise, beta=1.0, free_bits=0.0, *others):
        if self.training:
            calls.append((x.clone(), noise.clone(), beta, free_bits))
        return elbo(self, x, noise, beta, free_bits, *others)

    monkeypatch.setattr(VAE, "elbo", spy)
    return calls


def train_by_plain_loop(vae, optimizer, calls, clip=lambda parameters: None):
    """Gradient descent on minus the ELBO, batch by batch, with random numbers that are given."""
    losses = []
    for x, noise, *_ in calls:
        optimizer.zero_grad()
        q = vae.encode(x)
        log_prob = vae.decode(q.mean + q.stddev * noise).log_prob(x).sum(1)
        loss = (vae.kl(x).sum(1) - log_prob).mean()
        loss.backward()
        clip(vae.parameters())
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


def test_training_equals_a_plain_loop(X, elbo_calls):
    vae, other = new_vae(), new_vae()
    result = train_vae(X, vae=vae)
    calls, elbo_calls[:] = list(elbo_calls), []
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    losses = train_by_plain_loop(other, optimizer, calls)
    assert len(losses) == 4 * 3
    for found, expected in zip(weights(vae), weights(other), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    sizes = [10, 10, 7]
    means = [np.average(part, weights=sizes) for part in split_by_epoch(losses)]
    np.testing.assert_allclose(result.history["train_loss"], means, rtol=1e-5)


def test_the_optimizer_continues_from_its_state(X, elbo_calls):
    vae, other = new_vae(), new_vae()
    state = train_vae(X, vae=vae, seed=1).optimizer_state
    train_vae(X, vae=vae, seed=2, state=state, learning_rate=0.02)
    calls = list(elbo_calls)
    optimizer = torch.optim.Adam(other.parameters(), lr=0.01)
    train_by_plain_loop(other, optimizer, calls[:12])
    optimizer.param_groups[0]["lr"] = 0.02
    train_by_plain_loop(other, optimizer, calls[12:])
    for found, expected in zip(weights(vae), weights(other), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


def test_a_given_optimizer_state_is_unchanged(X):
    state = train_vae(X).optimizer_state
    before = copy.deepcopy(state)
    train_vae(X, state=state)
    for name, values in before["state"].items():
        for key, value in values.items():
            np.testing.assert_array_equal(state["state"][name][key], value, key)


class Clipping:
    """Clipping as in training, with all norms kept; it lists how far norms exceed the limit."""

    def __init__(self):
        self.norms, self.excesses = [], []

    def __call__(self, parameters):
        gradients = [parameter.grad for parameter in parameters]
        tables = [gradient.flatten() for gradient in gradients if gradient.ndim > 1]
        norm = float(torch.cat(tables).norm())
        decays = NORM_DECAY ** np.arange(len(self.norms))[::-1] * np.sign(self.norms)
        limit = LARGEST_RATIO * np.average(self.norms, weights=decays) if self.norms else np.inf
        for gradient in gradients:
            gradient *= min(1.0, limit / norm) if norm else 1.0
        self.norms.append(min(norm, limit))
        self.excesses.append(norm / limit)


def with_outlier(X):
    X = X.clone()
    X[5] *= 30  # of another batch than the first, which sets the limit
    return X


def test_gradients_are_clipped_at_a_multiple_of_the_average_norm(X, elbo_calls):
    vae, other, plain = new_vae(), new_vae(), new_vae()
    train_vae(with_outlier(X), vae=vae)
    calls, elbo_calls[:] = list(elbo_calls), []
    for one, clip in ((other, clipping := Clipping()), (plain, lambda parameters: None)):
        train_by_plain_loop(one, torch.optim.Adam(one.parameters(), lr=0.01), calls, clip)
    assert 1 <= np.sum(np.array(clipping.excesses) > 1) <= 4
    for found, expected in zip(weights(vae), weights(other), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    differences = zip(weights(vae), weights(plain), strict=True)
    assert max(float((one - another).abs().max()) for one, another in differences) > 1e-4


def test_the_average_norm_continues_from_the_state_of_the_optimizer(X, elbo_calls):
    vae, other = new_vae(), new_vae()
    state = train_vae(X, vae=vae, seed=1).optimizer_state
    train_vae(with_outlier(X), vae=vae, seed=2, state=state, max_iter=1)
    calls, clipping = list(elbo_calls), Clipping()
    train_by_plain_loop(other, torch.optim.Adam(other.parameters(), lr=0.01), calls, clipping)
    assert max(clipping.excesses[12:]) > 2
    for found, expected in zip(weights(vae), weights(other), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("clip", [clip_on_cpu, clip_on_device])
def test_gradients_within_the_limit_are_unchanged_to_the_last_bit(clip, rng):
    state, clipping = {}, Clipping()
    for size in (1.0, 1.5, 0.0, 1e-6, 30.0, 1.5, 1e6, 1.5):
        parameters = [nn.Parameter(torch.zeros(shape)) for shape in ((5, 4), (4,))]
        for each in parameters:
            each.grad = torch.from_numpy(size * rng.normal(size=each.shape)).float()
        gradients = [each.grad.clone() for each in parameters]
        before = [each.clone() for each in gradients]
        clip(gradients, gradients[:1], state)
        clipping(parameters)
        for found, expected, start in zip(gradients, parameters, before, strict=True):
            torch.testing.assert_close(found, expected.grad)
            assert torch.equal(found, start) == (clipping.excesses[-1] <= 1 or size == 0)
    assert np.sum(np.array(clipping.excesses) > 1) == 2


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("clip", [clip_on_cpu, clip_on_device])
def test_gradients_that_are_not_finite_stay_so(clip, value):
    for state in ({}, {"sums": (0.02, 0.01)}):
        gradients = [torch.tensor([1.0, value]), torch.ones(3)]
        clip(gradients, gradients, state)
        assert not gradients[0].isfinite().all()


def test_training_is_reproducible_and_uses_no_global_generator(X):
    before = torch.get_rng_state()
    vaes = [new_vae() for _ in range(3)]
    for vae, seed in zip(vaes, (0, 0, 1), strict=True):
        train_vae(X, vae=vae, seed=seed)
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_weights(vaes[0], vaes[1])
    assert not torch.equal(vaes[0].global_parameters, vaes[2].global_parameters)


def test_networks_are_in_evaluation_mode_after_training(X):
    vae = new_vae()
    train_vae(X, vae=vae)
    assert not any(module.training for module in vae.modules())
    assert all(parameter.grad is None for parameter in vae.parameters())
    assert all(parameter.requires_grad for parameter in vae.parameters())


# -- batches --------------------------------------------------------------------------------------


def test_each_epoch_has_each_row_once_in_a_new_order(X):
    train_vae(X, seen := Recorder())
    epochs = [torch.cat(batches) for batches in split_by_epoch(seen.batches)]
    assert [len(batch) for batch in seen.batches] == 4 * [10, 10, 7]
    for rows in epochs:
        assert sorted(rows.tolist()) == sorted(X.tolist())
    assert len({tuple(rows.flatten().tolist()) for rows in epochs}) == 4
    assert not any(torch.equal(rows, X) for rows in epochs)


@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1] * 27), (27, [27]), (10**6, [27])])
def test_batches_have_at_most_batch_size_rows(batch_size, sizes, X):
    train_vae(X, seen := Recorder(), batch_size=batch_size, max_iter=1)
    assert [len(batch) for batch in seen.batches] == sizes


def test_the_loss_of_an_epoch_is_the_mean_over_rows(X):
    result = train_vae(X, seen := Recorder())
    sizes = [len(batch) for batch in seen.batches[:3]]
    means = [np.average(losses, weights=sizes) for losses in split_by_epoch(seen.losses)]
    np.testing.assert_allclose(result.history["train_loss"], means, rtol=1e-6)


def test_binary_batches_are_drawn_anew_in_each_epoch(rng):
    grey = torch.linspace(0, 1, 9).repeat_interleave(3).reshape(9, N_FEATURES)
    train_vae(
        grey, seen := Recorder(), vae=new_vae(Bernoulli()), max_iter=400, batch_size=9,
        learning_rate=1e-12,
    )  # fmt: skip
    passes = torch.stack(seen.batches)
    assert set(passes.unique().tolist()) == {0.0, 1.0}
    # Rows come in any order, but of all values the share of ones is their mean.
    means = passes.mean((1, 2)).double()
    error = math.sqrt(float((grey * (1 - grey)).mean()) / 27 / 400)
    assert abs(float(means.mean()) - 0.5) < 4.5 * error
    assert means.unique().numel() > 5


def test_binary_data_is_unchanged_by_drawing():
    binary = torch.eye(N_FEATURES).repeat(4, 1)
    train_vae(binary, seen := Recorder(), vae=new_vae(Bernoulli()), batch_size=12)
    for batch in seen.batches:
        assert sorted(batch.tolist()) == sorted(binary.tolist())


# -- schedules ------------------------------------------------------------------------------------


def test_the_one_cycle_rate_rises_then_falls(X):
    train_vae(X, seen := Recorder(), one_cycle=True, max_iter=40, learning_rate=0.05)
    rates = np.array(seen.rates)
    peak = rates.argmax()
    assert len(rates) == 120
    np.testing.assert_allclose(rates[0], 0.05 / 25, rtol=1e-12)
    np.testing.assert_allclose(rates[peak], 0.05, rtol=1e-12)
    assert 0.25 * 120 < peak < 0.35 * 120
    assert np.all(np.diff(rates[: peak + 1]) > 0)
    assert np.all(np.diff(rates[peak:]) < 0)
    assert rates[-1] < 0.001 * 0.05
    assert np.abs(np.diff(rates)).max() < 0.05 * 0.06


def test_the_one_cycle_rate_depends_on_epochs_not_on_batches(X):
    rates = {}
    for batch_size in (27, 3):
        train_vae(X, seen := Recorder(), one_cycle=True, max_iter=20, batch_size=batch_size)
        rates[batch_size] = seen.rates
    np.testing.assert_allclose(rates[3][::9], rates[27], rtol=1e-12)


def test_a_constant_rate_is_constant(X):
    train_vae(X, seen := Recorder(), learning_rate=0.03)
    assert seen.rates == [0.03] * 12


@pytest.mark.parametrize(
    ("beta", "kl_warmup", "weights_of_kl"),
    [
        (1.0, 0, [1, 1, 1, 1]),
        (4.0, 0, [4, 4, 4, 4]),
        (2.0, 1, [1, 2, 2, 2]),
        (1.0, 3, [0.25, 0.5, 0.75, 1]),
        (0.0, 2, [0, 0, 0, 0]),
    ],
)
def test_the_weight_of_the_kl_term_rises_to_beta(beta, kl_warmup, weights_of_kl, X, elbo_calls):
    train_vae(X, objective=VariationalObjective(beta, kl_warmup, free_bits=0.3))
    assert [call[2] for call in elbo_calls] == np.repeat(weights_of_kl, 3).tolist()
    assert {call[3] for call in elbo_calls} == {0.3}


def test_noise_is_standard_normal_and_new_in_each_batch(X, elbo_calls):
    train_vae(X, max_iter=200)
    noise = torch.cat([call[1] for call in elbo_calls])
    assert noise.shape == (200 * 27, N_COMPONENTS)
    n_values = noise.numel()
    assert len(noise.unique()) > 0.99 * n_values
    assert abs(float(noise.mean())) < 4.5 / math.sqrt(n_values)
    assert abs(float(noise.var()) - 1) < 4.5 * math.sqrt(2 / n_values)


def test_importance_samples_maximize_the_importance_weighted_bound(X):
    vae = new_vae()
    objective = VariationalObjective(n_importance_samples=300)
    result = train_vae(X, vae=vae, objective=objective, learning_rate=1e-12, max_iter=5)
    noise = torch.randn((300, 27, N_COMPONENTS), generator=generator(5))
    with torch.no_grad():
        expected = -float(vae.bound(X, noise).mean())
    np.testing.assert_allclose(np.mean(result.history["train_loss"]), expected, atol=0.05)
    elbo = -np.mean(train_vae(X, vae=vae, learning_rate=1e-12).history["train_loss"])
    assert -expected > elbo


# -- callbacks ------------------------------------------------------------------------------------


def test_callbacks_are_notified_in_order(X):
    train_vae(X, seen := Recorder(), max_iter=2)
    batch = ["batch begins", "gradient", "batch ends"]
    epoch = ["epoch begins", *3 * batch, "epoch ends"]
    assert seen.events == ["train begins", *2 * epoch, "train ends"]
    assert seen.rows is X
    assert seen.rows_held_out is None


def test_callbacks_may_be_objects_or_pairs(X):
    given = Recorder()
    train_vae(X, given, EpochTimer(), ("named", other := Recorder()))
    assert len(given.batches) == len(other.batches) == 12


def test_observing_callbacks_do_not_change_the_result(X):
    alone, watched = new_vae(), new_vae()
    train_vae(X, vae=alone)
    train_vae(X, Recorder(), vae=watched)
    assert_same_weights(alone, watched)


def test_values_recorded_by_callbacks_are_in_the_history(X):
    class Norm(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("norm", net.module_.global_parameters.item())
            if len(net.history) > 2:
                net.history.record("late", len(net.history))

    result = train_vae(X, Norm())
    assert result.n_epochs == 4
    assert result.history.keys() == {"train_loss", "dur", "norm", "late"}
    assert result.history["late"] == [None, None, 3, 4]
    assert len(set(result.history["norm"])) == 4


def test_callbacks_see_losses_and_best_flags(X):
    class Watch(Callback):
        def on_train_begin(self, net, **kwargs):
            self.losses, self.best = [], []

        def on_epoch_end(self, net, **kwargs):
            self.losses.append((net.history[-1, "train_loss"], net.history[-1, "valid_loss"]))
            self.best.append(
                (net.history[-1, "train_loss_best"], net.history[-1, "valid_loss_best"])
            )

    watch = Watch()
    stopping = EarlyStopping(Batch(X[:9]), 0.0, 100)
    result = train_vae(X[9:], watch, stopping=stopping, max_iter=30, learning_rate=0.02)
    assert result.history["train_loss"] == [train_loss for train_loss, _ in watch.losses]
    assert result.history["valid_loss"] == [valid_loss for _, valid_loss in watch.losses]
    for column in (0, 1):
        losses = [pair[column] for pair in watch.losses]
        best = [loss < min(losses[:i], default=np.inf) for i, loss in enumerate(losses)]
        assert [pair[column] for pair in watch.best] == best
        assert 1 < sum(best) < 30


def test_callbacks_may_change_gradients(X):
    class Stuck(Callback):
        def on_grad_computed(self, net, named_parameters, **kwargs):
            for name, parameter in named_parameters:
                assert parameter.grad.abs().sum() > 0
                if name != "free":
                    parameter.grad.zero_()

    vae, start = new_vae(), new_vae()
    train_vae(X, Stuck(), vae=vae)
    for (name, found), expected in zip(vae.named_parameters(), start.parameters(), strict=True):
        assert torch.equal(found, expected) == (name != "free")


def test_callbacks_may_change_the_rate(X):
    class Halve(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.optimizer_.param_groups[0]["lr"] /= 2

    train_vae(X, Halve(), seen := Recorder(), learning_rate=0.08)
    assert seen.rates == [0.08] * 3 + [0.04] * 3 + [0.02] * 3 + [0.01] * 3


def test_skorchs_schedulers_set_the_rate(X):
    scheduler = LRScheduler("StepLR", step_size=1, gamma=0.1)
    result = train_vae(X, scheduler, seen := Recorder(), learning_rate=0.1)
    np.testing.assert_allclose(seen.rates, np.repeat([0.1, 0.01, 0.001, 0.0001], 3))
    np.testing.assert_allclose(result.history["event_lr"], [0.1, 0.01, 0.001, 0.0001])


def test_skorchs_schedulers_may_step_with_each_batch(X):
    scheduler = LRScheduler("StepLR", step_size=3, gamma=0.1, step_every="batch")
    train_vae(X, scheduler, seen := Recorder(), learning_rate=0.1)
    np.testing.assert_allclose(seen.rates[::3], [0.1, 0.01, 0.001, 0.0001])


def test_skorchs_early_stopping_ends_training_without_an_error(X):
    stopping = SkorchsEarlyStopping("train_loss", patience=2, threshold=1e6, sink=lambda _: None)
    result = train_vae(X, stopping, max_iter=50)
    assert result.n_epochs == 3
    assert not result.interrupted


def test_skorchs_clipping_bounds_the_gradient(X):
    class Norms(Callback):
        def on_train_begin(self, net, **kwargs):
            self.norms = []

        def on_grad_computed(self, net, named_parameters, **kwargs):
            gradients = [parameter.grad.flatten() for _, parameter in named_parameters]
            self.norms.append(float(torch.cat(gradients).norm()))

    free, bound = Norms(), Norms()
    train_vae(X, free)
    train_vae(X, GradientNormClipping(0.01), bound)
    assert min(free.norms) > 0.01
    np.testing.assert_allclose(bound.norms, 0.01, rtol=1e-3)


def test_skorchs_freezer_freezes(X):
    vae, start = new_vae(), new_vae()
    train_vae(X, Freezer("decoder*"), vae=vae)
    assert torch.equal(vae.decoder[0].weight, start.decoder[0].weight)
    assert not torch.equal(vae.encoder[0].weight, start.encoder[0].weight)


def elbo_of_net(net, X, y=None):
    """A score that a user might define."""
    net.module_.eval()
    with torch.no_grad():
        value = float(net.module_.elbo(X, torch.zeros(len(X), N_COMPONENTS)))
    net.module_.train()
    return value


@pytest.mark.parametrize("use_caching", [True, False])
@pytest.mark.parametrize("on_train", [True, False])
def test_skorchs_epoch_scoring_scores_epochs(on_train, use_caching, X):
    scoring = EpochScoring(
        elbo_of_net, name="elbo", lower_is_better=False, on_train=on_train, use_caching=use_caching
    )
    vae = new_vae()
    stopping = EarlyStopping(Batch(X[:9]), 0.0, 100)
    result = train_vae(X[9:], scoring, vae=vae, stopping=stopping)
    values = result.history["elbo"]
    assert len(values) == len(set(values)) == 4
    best = int(np.argmin(result.history["valid_loss"]))
    with torch.no_grad():
        rows = X[9:] if on_train else X[:9]
        expected = float(vae.elbo(rows, torch.zeros(len(rows), N_COMPONENTS)))
    np.testing.assert_allclose(values[best], expected, rtol=1e-5)


@pytest.mark.parametrize("monitor", ["valid_loss_best", "train_loss_best"])
def test_skorchs_checkpoint_keeps_the_best_weights(monitor, X, tmp_path):
    checkpoint = Checkpoint(monitor=monitor, dirname=tmp_path, load_best=True)
    vae = new_vae()
    stopping = EarlyStopping(Batch(X[:9]), 0.0, 100)
    train_vae(X[9:], checkpoint, vae=vae, stopping=stopping, max_iter=30, learning_rate=0.02)
    saved = torch.load(tmp_path / "params.pt", weights_only=True)
    assert saved.keys() == vae.state_dict().keys()
    if monitor == "valid_loss_best":
        for name, value in vae.state_dict().items():
            assert torch.equal(saved[name], value)


@pytest.mark.parametrize(
    "callback",
    [
        PrintLog(sink=lambda *_: None),
        ProgressBar(),
        EpochTimer(),
        BatchScoring(elbo_of_net, name="elbo"),
    ],
    ids=lambda callback: type(callback).__name__,
)
def test_skorchs_other_callbacks_do_not_fail(callback, X):
    assert train_vae(X, callback).n_epochs == 4


# -- end ------------------------------------------------------------------------------------------


class Raising(Callback):
    """Raises in an epoch, at one of the times at which callbacks are called."""

    def __init__(self, error, when, epoch=3):
        self.error, self.when, self.epoch = error, when, epoch

    def raise_at(self, when, net):
        if when == self.when and len(net.history) == self.epoch:
            raise self.error

    def on_train_begin(self, net, **kwargs):
        self.raise_at("train begins", net)

    def on_epoch_begin(self, net, **kwargs):
        self.raise_at("epoch begins", net)

    def on_batch_begin(self, net, **kwargs):
        self.raise_at("batch begins", net)

    def on_batch_end(self, net, **kwargs):
        self.raise_at("batch ends", net)

    def on_epoch_end(self, net, **kwargs):
        self.raise_at("epoch ends", net)


@pytest.mark.parametrize(
    ("when", "n_epochs", "interrupted"),
    [("batch begins", 2, True), ("batch ends", 2, True), ("epoch ends", 3, False)],
)
def test_an_interrupt_differs_from_a_callback_that_stops_training(when, n_epochs, interrupted, X):
    vae = new_vae()
    result = train_vae(X, Raising(KeyboardInterrupt(), when), seen := Recorder(), vae=vae)
    assert result.n_epochs == n_epochs
    assert result.interrupted is interrupted
    assert {len(values) for values in result.history.values()} == {n_epochs}
    assert seen.events[-1] == "train ends"
    assert not vae.training


@pytest.mark.parametrize("when", ["epoch begins", "batch begins", "batch ends", "epoch ends"])
def test_errors_of_callbacks_are_raised(when, X):
    with pytest.raises(ZeroDivisionError, match="of the callback"):
        train_vae(X, Raising(ZeroDivisionError("of the callback"), when))


def test_a_nan_loss_names_epoch_and_likely_cause(X):
    with pytest.raises(ValueError, match=r"nan in epoch 2.*`learning_rate_init` \(=1e\+30\)"):
        train_vae(X, learning_rate=1e30, batch_size=27)


# -- early stopping -------------------------------------------------------------------------------


def run_early_stopping(losses, tol=0.0, n_iter_no_change=2):
    """Number of losses after which it stops, and the weight it keeps, which equals its loss."""
    stopping = EarlyStopping(Batch(torch.zeros(1, 1)), tol, n_iter_no_change)
    module = nn.Linear(1, 1)
    seen = []
    while not stopping.should_stop and len(seen) < len(losses):
        seen.append(losses[len(seen)])
        nn.init.constant_(module.weight, seen[-1])
        stopping.update(seen[-1], module)
    return len(seen), float(stopping.state["weight"])


@pytest.mark.parametrize(
    ("losses", "tol", "n_losses", "best"),
    [
        ([5, 4, 3, 2, 1], 0.0, 5, 1),
        ([5, 4, 6, 3, 6, 6, 1], 0.0, 6, 3),
        ([5, 4, 4, 4, 1], 0.0, 4, 4),
        ([5, 4, 3.75, 3.5, 1], 1.0, 3, 3.75),
        ([5, 3, 2.5, 1.5, 1, 0.75], 0.75, 6, 0.75),
        ([5, math.nan, math.nan, 1], 0.0, 3, 5),
    ],
)
def test_early_stopping_stops_and_keeps_the_best_weights(losses, tol, n_losses, best):
    assert run_early_stopping(losses, tol) == (n_losses, best)


def test_early_stopping_copies_the_weights():
    stopping = EarlyStopping(Batch(torch.zeros(1, 1)), 0.0, 2)
    module = nn.Linear(1, 1)
    stopping.update(1.0, module)
    before = float(stopping.state["weight"])
    nn.init.constant_(module.weight, 7.0)
    assert float(stopping.state["weight"]) == before


def test_the_validation_loss_uses_the_same_noise_in_each_epoch(X):
    stopping = EarlyStopping(Batch(X[:9]), 0.0, 100)
    vae = new_vae()
    result = train_vae(X[9:], seen := Recorder(), vae=vae, stopping=stopping, learning_rate=1e-12)
    losses = result.history["valid_loss"]
    assert len(losses) == 4
    assert len(set(losses)) == 1
    assert len(set(result.history["train_loss"])) == 4
    assert torch.equal(seen.rows_held_out, X[:9])
    noise = torch.randn((3000, 9, N_COMPONENTS), generator=generator(7))
    with torch.no_grad():
        elbos = torch.stack([vae.elbo(X[:9], draw) for draw in noise])
    assert abs(losses[0] + float(elbos.mean())) < 4.5 * float(elbos.std())


def test_training_with_early_stopping_ends_with_the_best_weights(X):
    class Weights(Callback):
        def on_train_begin(self, net, **kwargs):
            self.weights = []

        def on_epoch_end(self, net, **kwargs):
            self.weights.append(weights(net.module_))

    vae = new_vae()
    stopping = EarlyStopping(Batch(X[:9]), 0.0, 3)
    result = train_vae(
        X[9:], seen := Weights(), vae=vae, stopping=stopping, max_iter=500, learning_rate=0.1
    )
    best = int(np.argmin(result.history["valid_loss"]))
    assert result.n_epochs == best + 1 + 3 < 500
    for found, expected in zip(weights(vae), seen.weights[best], strict=True):
        assert torch.equal(found, expected)


# -- checks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "callbacks",
    [Recorder(), "early", [None], [Recorder(), 3], [("name", None)], {"a": Recorder()}, [Recorder]],
    ids=without_addresses,
)
def test_invalid_callbacks_raise(callbacks):
    with pytest.raises(TypeError, match=r"`callbacks` must be a list of skorch callbacks, .*; got"):
        check_callbacks(callbacks, "callbacks")


def test_valid_callbacks_are_returned():
    assert check_callbacks(None, "callbacks") == ()
    listed = [Recorder(), Recorder(), ("named", EpochTimer())]
    assert check_callbacks(listed, "callbacks") == tuple(listed)


@pytest.mark.parametrize(
    ("device", "error"),
    [
        ("abacus", ValueError), ("cpu:x", ValueError), ("meta", ValueError), ("", ValueError),
        (None, TypeError), (0, TypeError),
    ],
)  # fmt: skip
def test_an_unavailable_device_raises(device, error):
    with pytest.raises(error, match=re.escape(f"got device={device!r}. Give 'cpu'")):
        check_device(device, "device")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has CUDA")
def test_cuda_without_cuda_raises():
    with pytest.raises(ValueError, match="`device` must be an available device; got device='cuda'"):
        check_device("cuda", "device")


def test_the_cpu_is_available():
    for device in ("cpu", torch.device("cpu")):
        assert check_device(device, "device") == "cpu"


# -- progress -------------------------------------------------------------------------------------


@pytest.mark.parametrize("verbose", [0, 1])
def test_verbose_shows_epochs_and_loss_on_stderr(verbose, X, capsys):
    train_vae(X, verbose=verbose)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert ("4/4" in shown.err and "loss=" in shown.err) if verbose else shown.err == ""
