"""Training with skorch's optimizer, callbacks and history, and with a loop over batches of its own.

The loop draws one permutation per epoch and selects whole batches, without collating single rows.
Each rank of a process group takes its share of each batch and of the noise that is drawn for it.
"""

import copy
import math
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.nn.utils import get_total_norm
from tqdm.auto import tqdm

from .._validation import short_repr
from ..likelihoods import PARTS as LIKELIHOODS
from ..networks import PARTS, generator_states, seed_torch, set_generator_states
from ..priors import PARTS as PRIORS
from .batches import EVALUATION_ROWS, Batch
from .checkpoint import Checkpoint
from .distributed import ProcessGroup
from .graphs import GraphRecorder, Step, compute_ahead
from .model import VAE

RISING_SHARE = 0.3  # share of a one-cycle schedule in which the learning rate rises
INITIAL_RATE, FINAL_RATE = 1 / 25, 1 / 1e4  # at both ends of the cycle, in units of its peak
LARGEST_RATIO = 3.0  # of the norm of a gradient to the running average of earlier norms
NORM_DECAY = 0.99  # factor per step of the weight of a norm in that average
NORMS = "gradient_norms"
"""Key of that average in the state of the optimizer, which checkpoints and files hold."""

CHECK_ROWS = 100  # number of rows for which the loss is checked after the last step
SKORCH_COLUMNS = {"batches", "epoch", "train_loss_best", "valid_loss_best"}
"""Columns that skorch keeps in its history for itself and its callbacks."""


@dataclass(frozen=True)
class VariationalObjective:
    """Objective to maximize: the ELBO or the importance-weighted bound, with its KL weight."""

    beta: float = 1.0
    kl_warmup: int = 0
    free_bits: float = 0.0
    n_importance_samples: int = 1

    def kl_weight(self, epoch: int) -> float:
        """Weight of the KL term in an epoch, counted from 0."""
        return self.beta * min(1.0, (epoch + 1) / (self.kl_warmup + 1))

    def draw_noise(self, n_rows: int, n_components: int, generator: torch.Generator) -> Tensor:
        """Draw standard normal numbers for ``n_rows`` rows, which are the last axis but one."""
        n_draws = self.n_importance_samples
        shape = (n_rows, n_components) if n_draws == 1 else (n_draws, n_rows, n_components)
        return torch.randn(shape, generator=generator)

    def value(
        self, vae: VAE, batch: Batch, noise: Tensor, kl_weight: float,
        mean_over_batch: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:  # fmt: skip
        """Mean of the objective over the rows of a batch."""
        if self.n_importance_samples == 1:
            return vae.elbo(batch.x, noise, kl_weight, self.free_bits, mean_over_batch, *batch[1:])
        return vae.trainable_bound(batch.x, noise, kl_weight, *batch[1:]).mean()


class RandomNumbers(NamedTuple):
    """Random numbers of a batch: noise of z, thresholds that binarize x, and cells to hide."""

    noise: Tensor
    levels: Tensor | None = None
    cells: Tensor | None = None

    def map(self, function: Callable[..., Tensor], *arguments: Any) -> "RandomNumbers":
        """Apply ``function`` to the numbers that are not None."""
        parts: Any = [None if part is None else function(part, *arguments) for part in self]
        return RandomNumbers(*parts)


class RankObjective(nn.Module):
    """Share of a rank in the objective of a batch, which is the mean of the shares of all ranks."""

    def __init__(self, net: "_Net") -> None:
        super().__init__()
        self.vae, self.objective, self.ranks = net.module_, net.settings.objective, net.ranks

    def forward(self, batch: Batch, noise: Tensor, kl_weight: float, n_rows: int) -> Tensor:
        """Return the share of this rank for its part of the ``n_rows``; 0 if it has no row."""
        share = self.ranks.n_own_rows(n_rows) / n_rows
        value = self.objective.value(
            self.vae, batch, noise, kl_weight,
            lambda mean: self.ranks.sum_on_device(mean.detach() * share),
        )  # fmt: skip
        return value * (share * self.ranks.size)


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training."""

    objective: VariationalObjective
    max_iter: int
    batch_size: int
    learning_rate: float
    one_cycle: bool
    n_epochs_before: int = 0  # earlier epochs that count in the warm-up of the KL weight
    masking: float = 0.0  # share of the observed cells to hide from the encoder
    loss_offset: float = 0.0  # added to recorded losses, for the units of the data
    callbacks: Sequence[Any] = ()
    verbose: int = 0
    device: str = "cpu"


@dataclass
class EarlyStopping:
    """Validation rows, the best loss on them so far, and the weights that reached it."""

    data: Batch
    tol: float
    n_iter_no_change: int
    best: float = math.inf
    n_stale: int = 0
    state: dict[str, Tensor] = field(default_factory=dict)

    def update(self, loss: float, module: nn.Module) -> None:
        """Count an epoch, and store the weights if its loss is the best so far."""
        self.n_stale = 0 if loss < self.best - self.tol else self.n_stale + 1
        if loss < self.best:
            self.best = loss
            self.state = {name: value.clone() for name, value in module.state_dict().items()}

    @property
    def should_stop(self) -> bool:
        """True after `n_iter_no_change` epochs without progress."""
        return self.n_stale >= self.n_iter_no_change


@dataclass
class TrainingResult:
    """Result of a training."""

    history: dict[str, list[Any]]
    optimizer_state: dict[str, Any]
    interrupted: bool  # by Ctrl-C

    @property
    def n_epochs(self) -> int:
        """Number of completed epochs."""
        return len(self.history["train_loss"])


def train(
    vae: VAE, data: Batch, settings: TrainingSettings, generator: torch.Generator,
    early_stopping: EarlyStopping | None = None, optimizer_state: dict[str, Any] | None = None,
    ranks: ProcessGroup | None = None, checkpoint: Checkpoint | None = None,
) -> TrainingResult:  # fmt: skip
    """Train ``vae`` in place on rows that are already transformed and in its precision.

    Ctrl-C ends the training early, and the result says so; with several ranks it raises. A loss
    that is not finite raises a ValueError. The state after each epoch except the last is written to
    ``checkpoint``. If the checkpoint has a state already, training continues from there.
    """
    ranks, checkpoint = ranks or ProcessGroup(), checkpoint or Checkpoint()
    net = _Net(vae, data, settings, generator, early_stopping, ranks, checkpoint).initialize()
    if optimizer_state:
        net.optimizer_.load_state_dict(copy.deepcopy(optimizer_state))
        net.optimizer_.param_groups[0]["lr"] = settings.learning_rate
    vae.train()
    ranks.init_gradient_group(vae.device)
    net.notify("on_train_begin", X=data.for_callbacks, y=None)
    seed = int(torch.randint(2**62, (), generator=generator))
    with seed_torch(seed + ranks.rank, vae.device) if net.draws_globally else nullcontext():
        interrupted = net.run()
        net.notify("on_train_end", X=data.for_callbacks, y=None)
        if early_stopping is not None and early_stopping.state:
            vae.load_state_dict(early_stopping.state)
        first_rows = data.select(torch.arange(min(CHECK_ROWS, data.n_rows)))
        net.check_finite(net.evaluate(first_rows, seed), "after the last step")
    vae.eval().zero_grad()
    vae.requires_grad_(True)  # callbacks may have frozen some
    return TrainingResult(net.completed_epochs(), net.optimizer_.state_dict(), interrupted)


@contextmanager
def watch_ctrl_c() -> Iterator[list[bool]]:
    """Yield a list to which Ctrl-C adds an item, unlike a KeyboardInterrupt of a callback."""
    presses: list[bool] = []

    def press(*_: Any) -> None:
        presses.append(True)
        raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, press)
        try:
            yield presses
        finally:
            signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        yield presses


class _Net(NeuralNet):
    """skorch's net, with its own loop over whole batches and its own random generator."""

    def __init__(
        self, vae: VAE, data: Batch, settings: TrainingSettings, generator: torch.Generator,
        early_stopping: EarlyStopping | None, ranks: ProcessGroup, checkpoint: Checkpoint,
    ) -> None:  # fmt: skip
        super().__init__(
            vae, criterion=nn.Identity, optimizer=torch.optim.Adam, optimizer__fused=True,
            optimizer__maximize=True, lr=settings.learning_rate, max_epochs=settings.max_iter,
            batch_size=settings.batch_size, train_split=None, device=settings.device,
            callbacks=list(settings.callbacks) or "disable",
            verbose=settings.verbose if ranks.is_first else 0,
        )  # fmt: skip
        self.data, self.settings, self.generator = data, settings, generator
        self.early_stopping, self.ranks, self.checkpoint = early_stopping, ranks, checkpoint
        # Networks that are not of skgen may draw from torch's global generators, as dropout does.
        known = tuple(PARTS.values())
        prior_network = getattr(vae.architecture.prior, "network", None)
        bodies = [body for body in (*vae.architecture[:2], prior_network) if body is not None]
        self.draws_globally = not all(isinstance(body, known) for body in bodies)
        self.best: dict[str, float] = {}

    @cached_property
    def recorder(self) -> GraphRecorder:
        """Recorder of the steps on a GPU."""
        return GraphRecorder(self.optimizer_, min(self.batch_size, self.data.n_rows))

    @property
    def is_on_gpu(self) -> bool:
        return self.module_.device.type == "cuda"

    @property
    def is_recordable(self) -> bool:
        """True on a GPU if a step runs only code of skgen."""
        vae = self.module_
        parts = ((vae.likelihood, LIKELIHOODS), (vae.architecture.prior, PRIORS))
        is_ours = all(type(part) in kinds.values() for part, kinds in parts)
        others = self.draws_globally or self.watches_batches or not self.ranks.is_single
        return self.is_on_gpu and is_ours and not others

    @property
    def watches_batches(self) -> bool:
        """True if a callback has a method that is called with each batch."""
        events = ("on_batch_begin", "on_grad_computed", "on_batch_end")
        kinds = [type(callback) for _, callback in self.callbacks_]
        return any(
            getattr(k, name) is not getattr(Callback, name) for k in kinds for name in events
        )

    def get_default_callbacks(self) -> list[Any]:
        return []

    def run(self) -> bool:
        """Train until the last epoch, early stopping, a callback or Ctrl-C; True after Ctrl-C."""
        with watch_ctrl_c() as presses:
            try:
                self._train_epochs(presses)
            except KeyboardInterrupt:
                if not self.ranks.is_single:  # because the other ranks wait for this one
                    raise
                return True
        return False

    def _train_epochs(self, presses: list[bool]) -> None:
        n_epochs, stopping = self.settings.max_iter, self.early_stopping
        validation_data = stopping and stopping.data.for_callbacks
        datasets = {"dataset_train": self.data.for_callbacks, "dataset_valid": validation_data}
        validation_seed = int(torch.randint(2**62, (), generator=self.generator))
        writes = self.ranks.broadcast(self.checkpoint.path is not None)
        if self.checkpoint.epoch is not None:
            self._restore(self.checkpoint.epoch)
        n_before = len(self.history)
        with tqdm(total=n_epochs, initial=n_before, unit="epoch", disable=not self.verbose) as bar:
            for epoch in range(n_before, n_epochs):
                start = time.perf_counter()
                self.notify("on_epoch_begin", **datasets)
                self._record_loss("train_loss", self._train_epoch(epoch))
                if stopping is not None:
                    valid_loss = self.evaluate(stopping.data, validation_seed)
                    self._record_loss("valid_loss", valid_loss)
                    stopping.update(valid_loss, self.module_)
                self.history.record("dur", self.ranks.mean(time.perf_counter() - start))
                bar.set_postfix(loss=self.history[-1, "train_loss"], refresh=False)
                bar.update()
                if self._callbacks_stop(datasets, presses) or (stopping and stopping.should_stop):
                    break
                if writes and epoch + 1 < n_epochs:
                    self.checkpoint.write(self._state())

    def _callbacks_stop(self, datasets: dict[str, Any], presses: list[bool]) -> bool:
        """Notify callbacks that an epoch ends; True if one of them, on any rank, asks to stop."""
        stops = False
        try:
            self.notify("on_epoch_end", **datasets)
        except KeyboardInterrupt:  # by which skorch's callbacks ask to stop
            if presses:
                raise
            stops = True
        return self.ranks.mean(stops) != 0

    def _record_loss(self, name: str, loss: float) -> None:
        loss += self.settings.loss_offset
        best = self.best.get(name, math.inf)
        self.history.record(name, loss)
        self.history.record(f"{name}_best", loss < best)
        self.best[name] = min(loss, best)

    def completed_epochs(self) -> dict[str, list[Any]]:
        """Columns of the history for completed epochs."""
        epochs = [epoch for epoch in self.history if "dur" in epoch]
        names = {name: None for epoch in epochs for name in epoch if name not in SKORCH_COLUMNS}
        return {
            name: [epoch.get(name) for epoch in epochs] for name in {"train_loss": None, **names}
        }

    def _state(self) -> dict[str, Any]:
        """Everything that the coming epochs depend on."""
        stopping, states = self.early_stopping, []
        if self.draws_globally:
            states = self.ranks.gather(generator_states(self.module_.device))
        return {
            "weights": self.module_.state_dict(),
            "optimizer": self.optimizer_.state_dict(),
            "generator": self.generator.get_state(),
            "global_generators": states,
            "history": [
                {name: _plain_value(value) for name, value in epoch.items() if name != "batches"}
                for epoch in self.history
            ],
            "best": self.best,
            "stopping": stopping and (stopping.best, stopping.n_stale, stopping.state),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        """Continue from a state."""
        self.module_.load_state_dict(state["weights"])
        self.optimizer_.load_state_dict(state["optimizer"])
        self.generator.set_state(state["generator"])
        if self.draws_globally:
            states = state["global_generators"]
            set_generator_states(states[self.ranks.rank % len(states)], self.module_.device)
        self.history.extend({"batches": [], **epoch} for epoch in state["history"])
        self.best = state["best"]
        if self.callbacks_:
            warnings.warn(
                "`callbacks` have not seen the epochs before the checkpoint: they start anew.",
                stacklevel=2,
            )
        if (stopping := self.early_stopping) is not None:
            stopping.best, stopping.n_stale, stopping.state = state["stopping"]

    def _train_epoch(self, epoch: int) -> float:
        """Pass once over the rows in random order, and return their mean loss."""
        settings, data = self.settings, self.data
        kl_weight = settings.objective.kl_weight(settings.n_epochs_before + epoch)
        batches = torch.randperm(data.n_rows, generator=self.generator).split(self.batch_size)
        sizes = [len(rows) for rows in batches]
        step, watched = self._step(kl_weight), self.watches_batches
        # One tensor for all values, because many small tensors would fragment the heap.
        values = self.module_.global_parameters.new_empty(len(batches))
        numbers = zip(sizes, self._iterate_numbers(sizes), strict=True)
        for index, (rows, (n_rows, drawn)) in enumerate(zip(batches, numbers, strict=True)):
            if settings.one_cycle:
                self._set_learning_rate((epoch + index / len(batches)) / settings.max_iter)
            batch, noise = self._draw(data, rows, drawn)
            if watched:
                self._notify_batch("on_batch_begin", batch)
            values[index] = step(batch, noise, n_rows)
            if watched:
                self.history.record_batch("train_loss", settings.loss_offset - float(values[index]))
                self.history.record_batch("train_batch_size", batch.n_rows)
                self._notify_batch("on_batch_end", batch, loss=-values[index], y_pred=None)
        if not watched:
            self.history.new_batch()  # because skorch's Checkpoint reads the last one
        total = values.cpu().double() @ torch.tensor(sizes, dtype=torch.float64)
        mean = self.ranks.mean(-float(total) / data.n_rows)
        self.ranks.broadcast_buffers(self.module_)
        self.check_finite(mean, f"in epoch {epoch + 1}")
        return mean

    def _step(self, kl_weight: float) -> Step:
        """Return the function of one step in an epoch; on a GPU it is recorded if possible."""
        parameters, objective = list(self.module_.parameters()), self._objective()
        watched = self.watches_batches

        def step(batch: Batch, noise: Tensor, n_rows: int) -> Tensor:
            for parameter in parameters:
                parameter.grad = None
            value = objective(batch, noise, kl_weight, n_rows)
            value.backward()
            if watched:
                named = list(self.module_.named_parameters())
                self._notify_batch("on_grad_computed", batch, named_parameters=named)
            clip_gradients(parameters, self.optimizer_)
            self.optimizer_.step()
            return value.detach()

        if not self.is_recordable:
            return step
        key = (kl_weight, *[parameter.requires_grad for parameter in parameters])
        return partial(self.recorder.run, step, key)

    def _objective(self) -> Callable[[Batch, Tensor, float, int], Tensor]:
        """Objective of a batch, made anew in each epoch because callbacks may freeze parameters."""
        if not self.ranks.is_single:
            return self.ranks.parallelize(RankObjective(self))
        value, vae = self.settings.objective.value, self.module_
        return lambda batch, noise, kl_weight, _: value(vae, batch, noise, kl_weight)

    def _iterate_numbers(self, n_rows: Sequence[int]) -> Iterator[RandomNumbers]:
        """Yield the random numbers of batches; for a GPU, a thread draws them ahead."""
        if not self.is_on_gpu:
            return (self._draw_numbers(n, self.generator) for n in n_rows)
        return compute_ahead(
            lambda n: self._draw_numbers(n, self.generator).map(Tensor.pin_memory), n_rows
        )

    def _draw_numbers(self, n_rows: int, generator: torch.Generator) -> RandomNumbers:
        """Draw the random numbers of a batch on the CPU, so that all devices get the same."""
        vae, masking = self.module_, self.settings.masking
        shape = (n_rows, vae.architecture.n_features)
        levels = cells = None
        if vae.likelihood.binary:
            levels = torch.rand(shape, generator=generator, dtype=vae.dtype)
        if masking:
            cells = torch.rand(shape, generator=generator) < masking
        noise = self.settings.objective.draw_noise(n_rows, vae.n_components, generator)
        return RandomNumbers(noise.to(vae.dtype), levels, cells)

    def _draw(self, data: Batch, rows: Tensor, numbers: RandomNumbers) -> tuple[Batch, Tensor]:
        """Select this rank's share of a batch of rows, with its random numbers."""
        batch = data.select(self.ranks.share(rows))
        if not self.ranks.is_single:
            numbers = numbers.map(self.ranks.share, -2)
        if self.device != "cpu":  # because each of these calls takes time on the CPU, too
            batch, numbers = batch.map(Tensor.to, self.device), numbers.map(self._send)
        noise, levels, cells = numbers
        if levels is not None:
            # With `out`, no array of booleans is made and converted, which saves a fifth of time.
            batch = batch._replace(x=torch.lt(levels, batch.x, out=torch.empty_like(levels)))
        if cells is not None:
            hidden = cells if batch.mask is None else cells | batch.mask
            batch = batch._replace(hidden=hidden)
        return batch, noise

    def _send(self, values: Tensor) -> Tensor:
        return values.to(self.device, non_blocking=True)

    def evaluate(self, data: Batch, seed: int) -> float:
        """Mean loss of held-out rows, with the same random numbers in each epoch."""
        generator = torch.Generator().manual_seed(seed)
        objective, kl_weight = RankObjective(self), self.settings.objective.beta
        self.module_.eval()
        total = 0.0
        with torch.no_grad():
            for rows in torch.arange(data.n_rows).split(EVALUATION_ROWS):
                batch, noise = self._draw(data, rows, self._draw_numbers(len(rows), generator))
                total -= float(objective(batch, noise, kl_weight, len(rows))) * len(rows)
        self.module_.train()
        return self.ranks.mean(total) / data.n_rows

    def _notify_batch(self, event: str, batch: Batch, **arguments: Any) -> None:
        self.notify(event, batch=(batch.for_callbacks, None), training=True, **arguments)

    def check_finite(self, loss: float, when: str) -> None:
        """Raise if a loss is not finite."""
        if not math.isfinite(loss):
            raise ValueError(
                f"The loss became {loss} {when}. Most likely `learning_rate_init` "
                f"(={self.settings.learning_rate:g}) is too large: divide it by ten. Other causes "
                "are outliers in `X`, or an `encoder`, `decoder` or `prior` that returns nan."
            )

    def _set_learning_rate(self, progress: float) -> None:
        """Set the rate of a one-cycle schedule (Smith and Topin 2018), by cosines up and down."""
        if progress < RISING_SHARE:
            start, end, share = INITIAL_RATE, 1.0, progress / RISING_SHARE
        else:
            start, end, share = 1.0, FINAL_RATE, (progress - RISING_SHARE) / (1 - RISING_SHARE)
        factor = end + (start - end) * (1 + math.cos(math.pi * share)) / 2
        self.optimizer_.param_groups[0]["lr"] = factor * self.settings.learning_rate


def clip_gradients(parameters: Sequence[nn.Parameter], optimizer: torch.optim.Optimizer) -> None:
    """Clip the gradient to a norm of `LARGEST_RATIO` times the average norm of earlier steps.

    In long trainings, a batch may have a gradient a hundred times as large as the others, for
    example if the code of a row has moved far away. Adam follows it for many steps, from which
    networks may not recover. AutoClip (Seetharaman, Wichern, Pardo and Le Roux 2020) uses a
    quantile of all norms in place of the average. A gradient below the limit is unchanged to the
    last bit, and one that is not finite stays so. To save time, the norm leaves out the biases,
    which are half of all tensors.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    tables = [gradient for gradient in gradients if gradient.ndim > 1] or gradients
    if tables:
        states: dict[Any, dict[str, Any]] = optimizer.state
        clip = clip_on_cpu if tables[0].device.type == "cpu" else clip_on_device
        clip(gradients, tables, states[NORMS])


def clip_on_cpu(gradients: list[Tensor], tables: list[Tensor], state: dict[str, Any]) -> None:
    """Clip gradients on the CPU, and update the decayed sums of norms and of their weights."""
    total, weight = map(float, state.get("sums", (0.0, 0.0)))
    norm = math.hypot(*[norm.item() for norm in torch._foreach_norm(tables)])
    limit = LARGEST_RATIO * total / weight if weight else math.inf
    if limit < norm < math.inf:
        torch._foreach_mul_(gradients, limit / norm)
    cut, share = min(norm, limit), 1 - NORM_DECAY
    if not 0 < cut < math.inf:  # a gradient of 0, of frozen layers, tells nothing of later ones
        cut = share = 0.0
    state["sums"] = NORM_DECAY * total + share * cut, NORM_DECAY * weight + share


def clip_on_device(gradients: list[Tensor], tables: list[Tensor], state: dict[str, Any]) -> None:
    """Clip gradients as `clip_on_cpu` does, without copies to the CPU, for recorded steps."""
    like = tables[0]
    sums = torch.as_tensor(state.get("sums", (0.0, 0.0)), dtype=like.dtype, device=like.device)
    state["sums"] = sums
    norm = get_total_norm(tables)
    limit = LARGEST_RATIO * sums[0] / sums[1]  # NaN in the first step, which has no limit
    excess = (norm / limit).nan_to_num(0.0, posinf=0.0)
    torch._foreach_mul_(gradients, excess.clamp(min=1.0).reciprocal())
    cut = torch.fmin(norm, limit).nan_to_num(0.0, posinf=0.0)
    sums.lerp_(torch.stack([cut, cut.sign()]), 1 - NORM_DECAY)


def _plain_value(value: Any) -> Any:
    """Return a recorded number or text as a type of Python, and None for anything else."""
    if isinstance(value, np.generic) or (isinstance(value, Tensor) and value.numel() == 1):
        value = value.item()
    return value if isinstance(value, bool | int | float | str) else None


def check_callbacks(callbacks: Any, name: str) -> tuple[Any, ...]:
    """Return the callbacks if skorch can call them, else raise."""
    if callbacks is None:
        return ()
    entries: Any = callbacks if isinstance(callbacks, list | tuple) else [None]
    for entry in entries:
        is_pair = isinstance(entry, tuple) and len(entry) == 2 and isinstance(entry[0], str)
        if not isinstance(entry[1] if is_pair else entry, Callback):
            raise TypeError(
                f"`{name}` must be a list of skorch callbacks, or of pairs (name, callback); got "
                f"{name}={short_repr(callbacks)}. Derive them from skorch.callbacks.Callback."
            )
    names = [entry[0] for entry in callbacks if isinstance(entry, tuple)]
    if len(set(names)) < len(names):
        raise ValueError(
            f"`{name}` must have distinct names; got {short_repr(names)}. Leave names out."
        )
    return tuple(callbacks)


def check_device(device: Any, name: str) -> str:
    """Return the name of ``device`` if torch can compute there, else raise."""
    remedy = "Give 'cpu', or the name of a device that this machine has, such as 'cuda'."
    if not isinstance(device, str | torch.device):
        raise TypeError(f"`{name}` must be a str; got {name}={short_repr(device)}. {remedy}")
    try:
        torch.zeros(1, device=device).cpu()
    except Exception as error:  # torch's backends raise many kinds
        raise ValueError(
            f"`{name}` must be an available device; got {name}={short_repr(device)}. {remedy}"
        ) from error
    return str(device)
