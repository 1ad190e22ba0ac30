"""Training steps on a GPU, recorded as CUDA graphs.

A step of small networks is a hundred kernels of a few microseconds each, and the GPU waits for
their launches. A graph launches them at once.
"""

import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor

from .batches import Batch

Step = Callable[[Batch, Tensor, int], Tensor]
"""Step of the optimizer: (batch, noise, number of rows on all ranks) -> objective."""

Item = TypeVar("Item")

WARM_UP = 3
"""Steps before a recording, in which libraries allocate memory, which a graph must not do."""
N_AHEAD = 4  # tasks that `compute_ahead` computes in advance


class GraphRecorder:
    """Runner of steps, which are first run as they are, then recorded, and then replayed.

    A recording is for batches of ``n_rows`` rows and for one ``key``, which contains everything
    else that a step depends on, except the learning rate. Smaller batches are not recorded, nor are
    steps that CUDA cannot record, such as those that copy from the CPU.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, n_rows: int) -> None:
        self.optimizer, self.n_rows, self.n_steps = optimizer, n_rows, 0
        self.key: tuple[Any, ...] = ()
        self.graph: torch.cuda.CUDAGraph | None = None
        self.is_refused = False

    def run(
        self, step: Step, key: tuple[Any, ...], batch: Batch, noise: Tensor, n_rows: int
    ) -> Tensor:
        """Run a step, and return its value, which the next step overwrites."""
        if key != self.key:
            self.key, self.n_steps, self.graph = key, 0, None
        self.n_steps += 1
        is_full = n_rows == self.n_rows
        if self.graph is None and is_full and self.n_steps > WARM_UP and not self.is_refused:
            self._record(step, batch, noise)
        if self.graph is None or not is_full:
            return step(batch, noise, n_rows)
        return self._replay(batch, noise)

    def _record(self, step: Step, batch: Batch, noise: Tensor) -> None:
        """Record a step without running it."""
        self.batch, self.noise = batch.map(torch.clone), noise.clone()
        self.rate = torch.zeros((), device=noise.device)  # float32, as fused Adam demands
        graph, mode = torch.cuda.CUDAGraph(), "thread_local"  # another thread pins memory meanwhile
        try:
            with (
                warnings.catch_warnings(action="ignore"),  # of an empty graph
                _allow_capture(self.optimizer, self.rate),
                torch.cuda.graph(graph, capture_error_mode=mode),
            ):
                self.value = step(self.batch, self.noise, len(batch.x))
        except RuntimeError:
            self.is_refused = True
        else:
            self.graph = graph

    def _replay(self, batch: Batch, noise: Tensor) -> Tensor:
        assert self.graph is not None
        for own, new in zip([*self.batch.parts, self.noise], [*batch.parts, noise], strict=True):
            own.copy_(new)
        self.rate.fill_(self.optimizer.param_groups[0]["lr"])
        self.graph.replay()
        return self.value


@contextmanager
def _allow_capture(optimizer: torch.optim.Optimizer, rate: Tensor) -> Iterator[None]:
    """Allow a recording of the optimizer within the block; each replay reads the learning rate."""
    group = optimizer.param_groups[0]
    before = {name: group[name] for name in ("lr", "capturable")}
    group.update(lr=rate, capturable=True)
    try:
        yield
    finally:
        group.update(before)


def compute_ahead(function: Callable[[Any], Item], tasks: Iterable[Any]) -> Iterator[Item]:
    """Yield ``function`` of each task, in order, computed by a thread some tasks ahead."""
    results: deque[Future[Item]] = deque()
    with ThreadPoolExecutor(1) as pool:
        try:
            for task in tasks:
                results.append(pool.submit(function, task))
                if len(results) > N_AHEAD:
                    yield results.popleft().result()
            while results:
                yield results.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)
