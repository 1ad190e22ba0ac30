"""Training: the only room that knows skorch.

skorch gives the optimiser, the callbacks and the history; the loop over batches is our own: one
permutation an epoch, slices of whole batches, no collation of single rows. Among the ranks of a
process group, each takes its share of each batch, and of the noise that is drawn for all of it.
"""

from __future__ import annotations

import copy
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn
from tqdm.auto import tqdm

from .._validation import short_repr
from ..likelihoods._bernoulli import binarized
from ..networks import OURS, generator_states, seed_torch, set_generator_states
from .batches import Rows, taken
from .checkpoint import Checkpoint
from .distributed import Ranks
from .model import VAE

WARM_UP = 0.3
"""Share of a one-cycle schedule in which the learning rate rises."""
FIRST_RATE, LAST_RATE = 1 / 25, 1 / 1e4
"""Learning rates at both ends of the cycle, in units of its peak."""
EVALUATED_ROWS = 4096
CHECKED_ROWS = 100
SKORCHS_OWN = {"batches", "epoch", "train_loss_best", "valid_loss_best"}


@dataclass(frozen=True)
class Objective:
    """What is maximised: the ELBO or the importance-weighted bound, and the weight of its KL."""

    beta: float = 1.0
    kl_warmup: int = 0
    free_bits: float = 0.0
    n_importance_samples: int = 1

    def weight(self, epoch: int) -> float:
        """Weight of the KL term in an epoch, counted from 0."""
        return self.beta * min(1.0, (epoch + 1) / (self.kl_warmup + 1))

    def noise(self, n_rows: int, n_components: int, generator: torch.Generator) -> Tensor:
        """What the objective of a batch of so many rows takes, rows last but one."""
        n_draws = self.n_importance_samples
        shape = (n_rows, n_components) if n_draws == 1 else (n_draws, n_rows, n_components)
        return torch.randn(shape, generator=generator)

    def value(
        self,
        vae: VAE,
        x: Tensor,
        noise: Tensor,
        weight: float,
        over_batch: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """The objective, a mean over the rows of x."""
        if self.n_importance_samples == 1:
            return vae.elbo(x, noise, weight, self.free_bits, over_batch)
        return vae.bound(x, noise, weight).mean()


class Shared(nn.Module):
    """A rank's part of the objective of a batch: its mean over ranks is that of the batch."""

    def __init__(self, vae: VAE, objective: Objective, ranks: Ranks) -> None:
        super().__init__()
        self.vae, self.objective, self.ranks = vae, objective, ranks

    def forward(self, x: Tensor, noise: Tensor, weight: float, n_rows: int) -> Tensor:
        """The part, by this rank's rows of a batch of ``n_rows``; 0 if the row is a stand-in."""
        share = self.ranks.n_mine(n_rows) / n_rows

        def over_batch(mean: Tensor) -> Tensor:
            return self.ranks.sum_on_device(mean.detach() * share)

        value = self.objective.value(self.vae, x, noise, weight, over_batch)
        return value * (share * self.ranks.size)


@dataclass(frozen=True)
class Settings:
    """How to train."""

    objective: Objective
    max_iter: int
    batch_size: int
    learning_rate: float
    one_cycle: bool
    n_epochs_before: int = 0
    """Epochs that the warm-up of the KL counts too."""
    log_volume: float = 0.0
    """What is added to recorded losses, for units in which the data is not standardised."""
    stops_early: bool = False
    n_iter_no_change: int = 10
    tol: float = 0.0
    callbacks: Sequence[Any] = ()
    verbose: int = 0
    device: str = "cpu"


@dataclass
class EarlyStopping:
    """Rows held out, and the patience with them."""

    X: Tensor | Rows
    tol: float
    n_iter_no_change: int
    best: float = math.inf
    n_stale: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def heed(self, loss: float, module: nn.Module) -> None:
        """Take note of the loss of an epoch; keep the weights if they are the best so far."""
        self.n_stale = 0 if loss < self.best - self.tol else self.n_stale + 1
        if loss < self.best:
            self.best = loss
            self.state = {name: value.clone() for name, value in module.state_dict().items()}

    @property
    def is_over(self) -> bool:
        return self.n_stale >= self.n_iter_no_change


@dataclass
class Course:
    """What came of a training."""

    history: dict[str, list[Any]]
    optimizer_state: dict[str, Any]
    interrupted: bool

    @property
    def n_epochs(self) -> int:
        return len(self.history["train_loss"])


def train(
    vae: VAE,
    X: Tensor | Rows,
    settings: Settings,
    generator: torch.Generator,
    early_stopping: EarlyStopping | None = None,
    optimizer_state: dict[str, Any] | None = None,
    ranks: Ranks | None = None,
    checkpoint: Checkpoint | None = None,
) -> Course:
    """Train ``vae`` in place on the rows of X, in its precision and standardised.

    Ctrl-C ends the training early, and the course says so; among ranks it raises. A loss that is
    no number any more raises a ValueError. After each epoch but the last the state is written to
    ``checkpoint``; one that has a state is gone on from.
    """
    net = _Net(vae, settings, generator, ranks or Ranks(), checkpoint or Checkpoint()).initialize()
    if optimizer_state:
        net.optimizer_.load_state_dict(copy.deepcopy(optimizer_state))
        net.optimizer_.param_groups[0]["lr"] = settings.learning_rate
    vae.train()
    net.ranks.meet_on(vae.device)
    net.notify("on_train_begin", X=X, y=None)
    seed = int(torch.randint(2**62, (), generator=generator))
    with seed_torch(seed + net.ranks.rank, vae.device) if net.draws else nullcontext():
        interrupted = net.run(X, early_stopping)
        net.notify("on_train_end", X=X, y=None)
        if early_stopping is not None and early_stopping.state:
            vae.load_state_dict(early_stopping.state)
        last_loss = net.loss_of(X[:CHECKED_ROWS], seed)
    net.check_finite(last_loss, "after the last step")
    vae.eval().zero_grad()
    vae.requires_grad_(True)  # whatever callbacks have frozen
    return Course(net.epochs(), net.optimizer_.state_dict(), interrupted)


@contextmanager
def ctrl_c() -> Iterator[list[bool]]:
    """A list that is no longer empty after Ctrl-C, which a callback's KeyboardInterrupt is not."""
    pressed: list[bool] = []

    def press(*_: Any) -> None:
        pressed.append(True)
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return
    signal.signal(signal.SIGINT, press)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Net(NeuralNet):
    """skorch's net, over slices of whole batches, with a generator of its own."""

    def __init__(
        self,
        vae: VAE,
        settings: Settings,
        generator: torch.Generator,
        ranks: Ranks,
        checkpoint: Checkpoint,
    ) -> None:
        super().__init__(
            vae,
            criterion=nn.Identity,
            optimizer=torch.optim.Adam,
            optimizer__fused=True,
            optimizer__maximize=True,
            lr=settings.learning_rate,
            max_epochs=settings.max_iter,
            batch_size=settings.batch_size,
            train_split=None,
            callbacks=list(settings.callbacks) or "disable",
            verbose=settings.verbose if ranks.first else 0,
            device=settings.device,
        )
        self.settings = settings
        self.generator = generator
        self.ranks = ranks
        self.checkpoint = checkpoint
        # Networks of others may draw from torch's global generators: dropout.
        self.draws = not all(isinstance(builder, OURS) for builder in vae.architecture[:2])
        self.best: dict[str, float] = {}

    def get_default_callbacks(self) -> list[Any]:
        return []

    def run(self, X: Tensor | Rows, early_stopping: EarlyStopping | None) -> bool:
        """Train until the last epoch, early stopping, a callback or Ctrl-C; True if the latter."""
        with ctrl_c() as pressed:
            try:
                self._train_epochs(X, early_stopping, pressed)
            except KeyboardInterrupt:
                if not self.ranks.alone:  # the others wait
                    raise
                return True
        return False

    def _train_epochs(
        self, X: Tensor | Rows, early_stopping: EarlyStopping | None, pressed: list[bool]
    ) -> None:
        n_epochs = self.settings.max_iter
        data = {"dataset_train": X, "dataset_valid": early_stopping and early_stopping.X}
        validation_seed = int(torch.randint(2**62, (), generator=self.generator))
        is_kept = self.ranks.of_first(self.checkpoint.path is not None)
        if self.checkpoint.epoch is not None:
            self._go_on_from(self.checkpoint.epoch, early_stopping)
        n_before = len(self.history)
        with tqdm(total=n_epochs, initial=n_before, unit="epoch", disable=not self.verbose) as bar:
            for epoch in range(n_before, n_epochs):
                start = time.perf_counter()
                self.notify("on_epoch_begin", **data)
                self._record("train_loss", self._train_epoch(X, epoch))
                if early_stopping is not None:
                    valid_loss = self.loss_of(early_stopping.X, validation_seed)
                    self._record("valid_loss", valid_loss)
                    early_stopping.heed(valid_loss, self.module_)
                self.history.record("dur", self.ranks.mean(time.perf_counter() - start))
                bar.set_postfix(loss=self.history[-1, "train_loss"], refresh=False)
                bar.update()
                if not self._callbacks_go_on(data, pressed) or (
                    early_stopping and early_stopping.is_over
                ):
                    break
                if is_kept and epoch + 1 < n_epochs:
                    state = self._state(early_stopping)
                    if self.ranks.first:
                        self.checkpoint.write(state)

    def _state(self, early_stopping: EarlyStopping | None) -> dict[str, Any]:
        """All that the coming epochs depend on."""
        stopping = early_stopping and (
            early_stopping.best, early_stopping.n_stale, early_stopping.state
        )  # fmt: skip
        return {
            "weights": self.module_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "generator": self.generator.get_state(),
            "global_generators": self.ranks.of_all(generator_states(self.module_.device))
            if self.draws
            else [],
            "history": [
                {name: _plain(value) for name, value in epoch.items() if name != "batches"}
                for epoch in self.history
            ],
            "best": self.best,
            "stopping": stopping,
        }

    def _go_on_from(self, state: dict[str, Any], early_stopping: EarlyStopping | None) -> None:
        self.module_.load_state_dict(state["weights"])
        self.optimizer_.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if self.draws:
            of_ranks = state["global_generators"]
            states = of_ranks[self.ranks.rank % len(of_ranks)]
            set_generator_states(states, self.module_.device)
        for epoch in state["history"]:
            self.history.new_epoch()
            for name, value in epoch.items():
                self.history.record(name, value)
        self.best = state["best"]
        if self.callbacks_:
            warnings.warn(
                "`callbacks` do not know of the epochs before the checkpoint: they begin anew.",
                stacklevel=2,
            )
        if early_stopping is not None:
            early_stopping.best, early_stopping.n_stale, early_stopping.state = state["stopping"]

    def epochs(self) -> dict[str, list[Any]]:
        """What was recorded of each completed epoch."""
        completed = [epoch for epoch in self.history if "dur" in epoch]
        names = {name: None for epoch in completed for name in epoch if name not in SKORCHS_OWN}
        return {
            name: [epoch.get(name) for epoch in completed] for name in {"train_loss": None, **names}
        }

    def _train_epoch(self, X: Tensor | Rows, epoch: int) -> float:
        """One pass over the rows in random order; returns their mean loss."""
        objective, n_epochs = self.settings.objective, self.settings.max_iter
        weight = objective.weight(self.settings.n_epochs_before + epoch)
        batches = torch.randperm(len(X), generator=self.generator).split(self.batch_size)
        parameters = list(self.module_.parameters())
        watched = any(_minds_batches(callback) for _, callback in self.callbacks_)
        # Made anew each epoch, because callbacks may have frozen parameters, or freed them.
        shared = None if self.ranks.alone else self.ranks.parallel(self._shared())
        # One tensor: small ones, if kept, would pin what is freed between them in the heap.
        values = self.module_.free.new_empty(len(batches))
        for index, rows in enumerate(batches):
            if self.settings.one_cycle:
                self._set_rate((epoch + index / len(batches)) / n_epochs)
            x, noise = self._drawn(X, rows, self.generator)
            if watched:
                self.notify("on_batch_begin", batch=(x, None), training=True)
            for parameter in parameters:
                parameter.grad = None
            if shared is None:
                value = objective.value(self.module_, x, noise, weight)
            else:
                value = shared(x, noise, weight, len(rows))
            value.backward()
            if watched:
                named = list(self.module_.named_parameters())
                self.notify(
                    "on_grad_computed", named_parameters=named, batch=(x, None), training=True
                )
            self.optimizer_.step()
            values[index] = value.detach()
            if watched:
                self._end_batch(x, -values[index])
        if not watched:
            self.history.new_batch()  # Checkpoint asks for the last one
        sizes = torch.tensor([len(rows) for rows in batches], dtype=torch.float64)
        mean = self.ranks.mean(-float(values.cpu().double() @ sizes) / len(X))
        self.ranks.align(self.module_)
        self.check_finite(mean, f"in epoch {epoch + 1}")
        return mean

    def _end_batch(self, x: Tensor, loss: Tensor) -> None:
        self.history.record_batch("train_loss", float(loss) + self.settings.log_volume)
        self.history.record_batch("train_batch_size", len(x))
        self.notify("on_batch_end", batch=(x, None), training=True, loss=loss, y_pred=None)

    def check_finite(self, loss: float, when: str) -> None:
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} {when}. Most likely `learning_rate_init` "
                f"(={self.settings.learning_rate:g}) is too large: divide it by ten. Other causes "
                "are outliers in `X`, or an `encoder` or `decoder` that returns nan."
            )

    def _set_rate(self, progress: float) -> None:
        """The learning rate of a one-cycle schedule (Smith and Topin 2018), cosine up and down."""
        if progress < WARM_UP:
            start, end, share = FIRST_RATE, 1.0, progress / WARM_UP
        else:
            start, end, share = 1.0, LAST_RATE, (progress - WARM_UP) / (1 - WARM_UP)
        factor = end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        self.optimizer_.param_groups[0]["lr"] = factor * self.settings.learning_rate

    def loss_of(self, X: Tensor | Rows, seed: int) -> float:
        """Loss of rows held out, by the same random numbers at each epoch."""
        generator = torch.Generator().manual_seed(seed)
        shared, weight = self._shared(), self.settings.objective.beta
        self.module_.eval()
        total = 0.0
        with torch.no_grad():
            for rows in torch.arange(len(X)).split(EVALUATED_ROWS):
                x, noise = self._drawn(X, rows, generator)
                total -= float(shared(x, noise, weight, len(rows))) * len(rows)
        self.module_.train()
        return self.ranks.mean(total) / len(X)

    def _shared(self) -> Shared:
        return Shared(self.module_, self.settings.objective, self.ranks)

    def _drawn(
        self, X: Tensor | Rows, rows: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """This rank's share of a batch of rows, and of the noise drawn for all of it."""
        if self.module_.likelihood.binary:
            x = self.ranks.share(binarized(taken(X, rows), generator))
        else:
            x = taken(X, self.ranks.share(rows))
        noise = self.settings.objective.noise(len(rows), self.module_.n_components, generator)
        return x.to(self.device), self.ranks.share(noise, dim=-2).to(self.device, x.dtype)

    def _record(self, name: str, loss: float) -> None:
        loss += self.settings.log_volume
        self.history.record(name, loss)
        self.history.record(f"{name}_best", loss < self.best.get(name, math.inf))
        self.best[name] = min(loss, self.best.get(name, math.inf))

    def _callbacks_go_on(self, data: dict[str, Any], pressed: list[bool]) -> bool:
        """Tell callbacks of the epoch's end; False if one of them, on any rank, asks to stop."""
        stops = False
        try:
            self.notify("on_epoch_end", **data)
        except KeyboardInterrupt:  # skorch's way to ask for it
            if pressed:
                raise
            stops = True
        return self.ranks.mean(stops) == 0


def _plain(value: Any) -> Any:
    """A number or a text that callbacks record, as Python's own; None for what is neither."""
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else None


def _minds_batches(callback: Callback) -> bool:
    names = ("on_batch_begin", "on_grad_computed", "on_batch_end")
    return any(getattr(type(callback), name) is not getattr(Callback, name) for name in names)


def checked_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """The callbacks, if skorch can call them, else a TypeError."""
    if callbacks is None:
        return ()
    listed: Any = callbacks if isinstance(callbacks, list | tuple) else [None]
    for named in listed:
        paired = isinstance(named, tuple) and len(named) == 2 and isinstance(named[0], str)
        if not isinstance(named[1] if paired else named, Callback):
            raise TypeError(
                "`callbacks` must be a list of skorch callbacks, or of pairs (name, callback); got "
                f"callbacks={short_repr(callbacks)}. Derive them from skorch.callbacks.Callback."
            )
    names = [named[0] for named in callbacks if isinstance(named, tuple)]
    if len(set(names)) < len(names):
        raise ValueError(
            f"`callbacks` must have names of their own; got {short_repr(names)}. Leave names out."
        )
    return tuple(callbacks)


def checked_device(device: Any) -> str:
    """``device``, if torch can compute there, else an error."""
    remedy = "Give 'cpu', or the name of a device that this machine has, such as 'cuda'."
    if not isinstance(device, str | torch.device):
        raise TypeError(f"`device` must be a str; got device={short_repr(device)}. {remedy}")
    try:
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # whatever torch's backends raise where they are not at hand
        raise ValueError(
            f"`device` must be a device at hand; got device={short_repr(device)}. {remedy}"
        ) from error
    return str(device)
