"""What it costs VAETransformer to train from a file, with a checkpoint, in batches, on ranks.

    python tests/benchmarks/vae_at_scale.py [--rounds 5]
    python -m torch.distributed.run --nproc-per-node 2 tests/benchmarks/vae_at_scale.py

Seconds of an epoch: the difference of fits of four epochs and of one. Everything is measured in
turn, on one thread. Of the first, the median over rounds; with torchrun, the least, of one process
while the others wait and of all ranks.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import torch.distributed as dist

from skgen import VAETransformer

SIZES = {"30000 x 784, 256 units": (30_000, 784, 256), "60000 x 100, 64 units": (60_000, 100, 64)}


def seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def fits(X: np.ndarray, n_units: int, **parameters: Any) -> list[float]:
    """Seconds of a fit of one epoch and of one of four."""
    vae = VAETransformer(8, hidden_layer_sizes=(n_units,), random_state=0, **parameters)
    return [seconds(partial(vae.set_params(max_iter=n).fit, X)) for n in (1, 4)]


def epoch(X: np.ndarray, n_units: int, **parameters: Any) -> float:
    """Seconds of an epoch."""
    one, four = fits(X, n_units, **parameters)
    return (four - one) / 3


def batchwise(X: np.ndarray, n_units: int) -> float:
    """As `epoch`, but no rows are held."""
    with patch("skgen._autoencoder.batches.MAX_LOADED_BYTES", 0):
        return epoch(X, n_units)


def calls(X: np.ndarray, n_units: int, n_rows: int) -> float:
    """Seconds of an epoch by calls of partial_fit."""
    vae = VAETransformer(8, hidden_layer_sizes=(n_units,), random_state=0).partial_fit(X[:n_rows])
    return seconds(lambda: [vae.partial_fit(X[i : i + n_rows]) for i in range(0, len(X), n_rows)])


def in_turn(ways: dict[str, Callable[[], float]], n_rounds: int) -> None:
    rounds = [{name: way() for name, way in ways.items()} for _ in range(n_rounds)]
    first = next(iter(ways))
    for name in ways:
        ratio = np.median([found[name] / found[first] for found in rounds])
        print(f"  {name:28} {np.median([found[name] for found in rounds]):7.3f} s  {ratio:5.2f}")


def costs(n_rounds: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for title, (n_rows, n_features, n_units) in SIZES.items():
            print(title)
            X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
            np.save(Path(folder) / "X.npy", X)
            file = np.load(Path(folder) / "X.npy", mmap_mode="r")
            ways = {
                "rows held": partial(epoch, X, n_units),
                "batch by batch": partial(batchwise, X, n_units),
                "batch by batch, from a file": partial(batchwise, file, n_units),
                "with a checkpoint": partial(
                    epoch, X, n_units, checkpoint=Path(folder) / "checkpoint"
                ),
                "partial_fit, 128 rows": partial(calls, X, n_units, 128),
                "partial_fit, 1280 rows": partial(calls, X, n_units, 1280),
            }
            in_turn(ways, n_rounds)


def ranks(n_rounds: int) -> None:
    dist.init_process_group("gloo")
    first = dist.get_rank() == 0
    for title, (n_rows, n_features, n_units) in SIZES.items():
        X = np.random.default_rng(0).normal(size=(n_rows, n_features)).astype(np.float32)
        for batch_size in (128, 1024):
            found = []
            for _ in range(n_rounds):
                alone = [0.0, 0.0]
                if first:
                    with patch("torch.distributed.is_initialized", return_value=False):
                        alone = fits(X, n_units, batch_size=batch_size)
                dist.barrier()
                found.append(alone + fits(X, n_units, batch_size=batch_size))
            if first:
                one, together = np.diff(np.min(found, axis=0))[[0, 2]] / 3
                print(f"{title}, batches of {batch_size}", flush=True)
                print(f"  one process {one:.3f} s, all ranks {together:.3f} s", flush=True)
                print(f"  {one / together:.2f} times as fast")
    dist.destroy_process_group()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    n_rounds = parser.parse_args().rounds
    warnings.simplefilter("ignore")  # data without structure: all dimensions collapse
    torch.set_num_threads(1)
    (ranks if "RANK" in os.environ else costs)(n_rounds)
