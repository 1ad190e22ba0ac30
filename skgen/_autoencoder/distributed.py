"""Training of one model by all ranks of a torch.distributed process group.

The fit opens its own groups. Of the group of the caller it uses only rank and size.
"""

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .checkpoint import Identity, differences

GRACE_S = 0.5
"""Seconds between an error and the end of the groups, in which pending sums fail on their own.
A group that is freed waits for pending sums while it holds the interpreter, which they need to
end."""


@dataclass
class ProcessGroup:
    """Processes that train one model, seen from one of them; a single process by default.

    All ranks must call the methods that exchange values, in the same order.
    """

    rank: int = 0
    size: int = 1
    group: Any = None  # gloo, for numbers and objects
    gradient_group: Any = None  # the same one on CPUs, nccl on GPUs

    @property
    def is_single(self) -> bool:
        """True if there is no other process."""
        return self.size == 1

    @property
    def is_first(self) -> bool:
        """True on the first rank, which alone writes files and shows progress."""
        return self.rank == 0

    def share(self, values: Tensor, dim: int = 0) -> Tensor:
        """Return this rank's rows of a batch, or the first row as a stand-in if it has none."""
        if self.is_single:
            return values
        n_rows = values.shape[dim]
        start = self.rank if self.rank < n_rows else 0
        own = torch.arange(start, n_rows, self.size, device=values.device)[: n_rows - start]
        return values.index_select(dim, own)

    def n_own_rows(self, n_rows: int) -> int:
        """Number of this rank's rows of a batch."""
        return len(range(self.rank, n_rows, self.size))

    def parallelize(self, module: nn.Module) -> nn.Module:
        """Wrap a module: gradients become means over ranks, and weights those of the first rank."""
        # A static graph may have parameters that are not used, such as those of no element.
        return nn.parallel.DistributedDataParallel(
            module, process_group=self.gradient_group, static_graph=True
        )

    def sum_on_device(self, values: Tensor) -> Tensor:
        """Sum values over ranks in place, on the device of the gradients."""
        if not self.is_single:
            dist.all_reduce(values, group=self.gradient_group)
        return values

    def mean(self, value: float) -> float:
        """Mean over ranks, the same on all ranks to the last bit."""
        if self.is_single:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total, group=self.group)
        return float(total) / self.size

    def broadcast(self, value: Any) -> Any:
        """Return the first rank's value."""
        if self.is_single:
            return value
        values = [value]
        dist.broadcast_object_list(values, group=self.group, group_src=0)
        return values[0]

    def gather(self, value: Any) -> list[Any]:
        """Return the values of all ranks."""
        values = [value] * self.size
        if not self.is_single:
            dist.all_gather_object(values, value, group=self.group)
        return values

    def check_identity(self, identity: Identity) -> None:
        """Raise on all ranks if the fit of one of them has other data or parameters."""
        first, *others = self.gather(identity)
        for rank, other in enumerate(others, start=1):
            for name, (of_first, of_rank) in differences(first, other).items():
                raise ValueError(
                    f"`{name}` must be the same on all ranks; got {of_first} on rank 0 and "
                    f"{of_rank} on rank {rank}. Give every rank the same parameters and all of X: "
                    "each takes its share itself."
                )

    def broadcast_buffers(self, module: nn.Module) -> None:
        """Give buffers, such as running means, the values of the first rank."""
        for buffer in () if self.is_single else module.buffers():
            dist.broadcast(buffer, group=self.gradient_group, group_src=0)

    def init_gradient_group(self, device: torch.device) -> None:
        """Open the group that averages gradients on a device."""
        if not self.is_single:
            is_cuda = device.type == "cuda"
            self.gradient_group = dist.new_group(backend="nccl") if is_cuda else self.group

    def close(self) -> None:
        """Close the groups, so that ranks that wait for this one get an error."""
        for group in {self.group, self.gradient_group} - {None}:
            dist.destroy_process_group(group)
        self.group = self.gradient_group = None


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Yield the ranks of the initialized process group; an error on one rank raises on all."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        yield ProcessGroup()
        return
    ranks = ProcessGroup(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))
    try:
        yield ranks
        dist.barrier(ranks.group)
    except BaseException as error:
        time.sleep(GRACE_S)
        _clear_frames(error)
        ranks.close()
        if isinstance(error, RuntimeError) and "gloo" in str(error):
            raise RuntimeError(
                "Training has ended on another rank, and so it ends on this one (rank "
                f"{ranks.rank} of {ranks.size}). See the error of that rank, if it was not killed."
            ) from error
        raise
    ranks.close()


def _clear_frames(error: BaseException | None) -> None:
    """Clear the frames of functions that have ended, whose references keep connections open."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
