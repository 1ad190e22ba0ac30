"""The ranks of a torch.distributed process group that train one model together.

Numbers and objects are exchanged over a gloo group of the fit's own; gradients over the same one on
CPUs, over an nccl group of its own on GPUs. Both last as long as the fit. The group of the caller
is only asked who is there.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from .checkpoint import Identity, differences

Thing = TypeVar("Thing")


@dataclass
class Ranks:
    """The processes that train one model together, as one of them sees it; by default it is alone.

    Whatever exchanges something is to be called by all ranks, in the same order.
    """

    rank: int = 0
    size: int = 1
    talking: Any = None
    averaging: Any = None

    @property
    def alone(self) -> bool:
        return self.size == 1

    @property
    def first(self) -> bool:
        return self.rank == 0

    # -- one batch -------------------------------------------------------------------------------

    def share(self, values: Tensor, dim: int = 0) -> Tensor:
        """This rank's rows of what a batch has; where there is none, the first one stands in."""
        if self.size == 1:
            return values
        n_rows = values.shape[dim]
        start = self.rank if self.rank < n_rows else 0
        mine = torch.arange(start, n_rows, self.size, device=values.device)[: n_rows - start]
        return values.index_select(dim, mine)

    def n_mine(self, n_rows: int) -> int:
        """Number of this rank's rows of a batch."""
        return len(range(self.rank, n_rows, self.size))

    def parallel(self, module: nn.Module) -> nn.Module:
        """The module with gradients that are means over ranks, from weights of the first rank."""
        # A static graph may have parameters that are not used, such as those of no element.
        return nn.parallel.DistributedDataParallel(
            module, process_group=self.averaging, static_graph=True
        )

    def sum_on_device(self, values: Tensor) -> Tensor:
        """Sum over ranks of values where gradients are, written over them."""
        if not self.alone:
            dist.all_reduce(values, group=self.averaging)
        return values

    # -- now and then ----------------------------------------------------------------------------

    def mean(self, value: float) -> float:
        """Mean over ranks, the same on all to the last bit."""
        if self.alone:
            return value
        total = torch.tensor(value, dtype=torch.float64)
        dist.all_reduce(total, group=self.talking)
        return float(total) / self.size

    def of_first(self, thing: Thing) -> Thing:
        """What the first rank has."""
        if self.alone:
            return thing
        things = [thing]
        dist.broadcast_object_list(things, group=self.talking, group_src=0)
        return things[0]

    def of_all(self, thing: Thing) -> list[Thing]:
        """What each rank has."""
        things = [thing] * self.size
        if not self.alone:
            dist.all_gather_object(things, thing, group=self.talking)
        return things

    def must_agree(self, identity: Identity) -> None:
        """Raise on all ranks if one is about to do something else."""
        first, *others = self.of_all(identity)
        for rank, other in enumerate(others, start=1):
            for name, (one, another) in differences(first, other).items():
                raise ValueError(
                    f"`{name}` must be the same on all ranks; got {one} on rank 0 and {another} on "
                    f"rank {rank}. Give every rank the same parameters and all of X: each takes "
                    "its share itself."
                )

    def align(self, module: nn.Module) -> None:
        """Give buffers, such as running means, the values of the first rank."""
        for buffer in () if self.alone else module.buffers():
            dist.broadcast(buffer, group=self.averaging, group_src=0)

    # -- beginning and end -----------------------------------------------------------------------

    def meet_on(self, device: torch.device) -> None:
        """Make ready to average gradients on a device."""
        if not self.alone:
            cuda = device.type == "cuda"
            self.averaging = dist.new_group(backend="nccl") if cuda else self.talking

    def part(self) -> None:
        """Leave the groups; ranks that wait for this one get an error."""
        for group in {self.talking, self.averaging} - {None}:
            dist.destroy_process_group(group)
        self.talking = self.averaging = None


@contextmanager
def together() -> Iterator[Ranks]:
    """All ranks of the process group there is; if the block raises on one, it does so on all."""
    if not (dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1):
        yield Ranks()
        return
    ranks = Ranks(dist.get_rank(), dist.get_world_size(), dist.new_group(backend="gloo"))
    try:
        yield ranks
        dist.barrier(ranks.talking)
    except BaseException as error:
        _forget_frames(error)
        ranks.part()
        if isinstance(error, RuntimeError) and "gloo" in str(error):
            raise RuntimeError(
                "Training has ended on another rank, and so it ends on this one "
                f"(rank {ranks.rank} of {ranks.size}). See the error of that rank, if it was not "
                "killed."
            ) from error
        raise
    ranks.part()


def _forget_frames(error: BaseException | None) -> None:
    """Let go of what the functions held that have ended: connections close with the last holder."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        error = error.__cause__ or error.__context__
