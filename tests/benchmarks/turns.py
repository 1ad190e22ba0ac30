"""Things timed in turns in one process, so that a machine's drift strikes them all alike."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np


def in_turns(tasks: dict[str, Callable[[], Any]], rounds: int) -> dict[str, np.ndarray]:
    """Seconds of each task in each round, the first of which does not count.

    Each round begins with another task, since what ran before leaves caches, clock and threads
    behind it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    order = list(tasks)
    for _ in range(rounds + 1):
        for name in order:
            start = time.perf_counter()
            tasks[name]()
            seconds[name].append(time.perf_counter() - start)
        order.append(order.pop(0))
    return {name: np.array(values[1:]) for name, values in seconds.items()}


def report(title: str, numerator: np.ndarray, denominator: np.ndarray) -> None:
    """The median of the rounds' ratios, and their range."""
    ratio = numerator / denominator
    print(
        f"  {title:58} {np.median(ratio):8.2f}   ({ratio.min():.2f} to {ratio.max():.2f})",
        flush=True,
    )
