"""Seconds of VAERegressor in units of the best loop that we can write by hand.

    python tests/benchmarks/conditional_speed.py [--threads 1 2] [--rounds 5]

Both train the same networks, of 392 binary outputs given 392 inputs, 512 hidden units and 24 latent
dimensions, for two epochs of 20,000 rows, on made-up data. The loop has one permutation an epoch,
slices and fused Adam. Each round measures both in turn, in one process; printed is the median over
rounds of each round's ratio, and its range: of the whole of `fit`, checks of data and what is
computed after training included, and of its epochs alone.
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from turns import in_turns, report

from skgen import VAERegressor

N_ROWS, N_INPUTS, N_OUTPUTS, N_HIDDEN, N_COMPONENTS = 20_000, 392, 392, 512, 24
BATCH, RATE, N_EPOCHS = 128, 1e-3, 2


def network(n_inputs: int, n_outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(n_inputs, N_HIDDEN), nn.SiLU(), nn.Linear(N_HIDDEN, n_outputs)
    )  # fmt: skip


class Plain(nn.Module):
    """The networks, and minus their ELBO as people write it by hand."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = network(N_OUTPUTS + N_INPUTS, 2 * N_COMPONENTS)
        self.prior = network(N_INPUTS, 2 * N_COMPONENTS)
        self.decoder = network(N_COMPONENTS + N_INPUTS, N_OUTPUTS)

    def forward(self, x: Tensor, probabilities: Tensor) -> Tensor:
        y = (torch.rand_like(probabilities) < probabilities).float()
        mean, log_variance = self.encoder(torch.cat([y, x], 1)).chunk(2, 1)
        prior_mean, prior_log_variance = self.prior(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        logits = self.decoder(torch.cat([z, x], 1))
        misfit = functional.binary_cross_entropy_with_logits(logits, y, reduction="sum")
        log_ratio = log_variance - prior_log_variance
        squares = (mean - prior_mean) ** 2 * torch.exp(-prior_log_variance)
        kl = 0.5 * (squares + log_ratio.exp() - 1 - log_ratio).sum()
        return (misfit + kl) / len(y)


def loop(X: Tensor, Y: Tensor) -> None:
    module = Plain()
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=True)
    for _ in range(N_EPOCHS):
        order = torch.randperm(len(X))
        for start in range(0, len(X), BATCH):
            rows = order[start : start + BATCH]
            optimizer.zero_grad()
            loss = module(X[rows], Y[rows])
            loss.backward()
            optimizer.step()


def made_up(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Values in (0, 1) of eight causes, and probabilities of these and of eight others."""
    shared, own = rng.normal(size=(2, N_ROWS, 8))
    inputs = shared @ rng.normal(size=(8, N_INPUTS))
    outputs = shared @ rng.normal(size=(8, N_OUTPUTS)) + own @ rng.normal(size=(8, N_OUTPUTS))
    X, Y = ((1 / (1 + np.exp(-values))).astype(np.float32) for values in (inputs, outputs))
    return X, Y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    X, Y = made_up(rng)
    alone: list[float] = []  # the seconds of our epochs, without what fit does beside them

    def ours() -> None:
        model = VAERegressor(
            N_COMPONENTS, likelihood="bernoulli", hidden_layer_sizes=(N_HIDDEN,), batch_size=BATCH,
            max_iter=N_EPOCHS, early_stopping=False, random_state=0,
        ).fit(X, Y)  # fmt: skip
        alone.append(sum(model.history_["dur"]))

    def by_hand() -> None:
        loop(torch.from_numpy(X), torch.from_numpy(Y))

    for n_threads in options.threads:
        torch.set_num_threads(n_threads)
        alone.clear()
        times = in_turns({"loop": by_hand, "fit": ours}, options.rounds)
        print(f" threads {n_threads}: the loop takes {np.median(times['loop']):.2f} s")
        report("fit / loop", times["fit"], times["loop"])
        report("epochs of fit / loop", np.array(alone[1:]), times["loop"])


if __name__ == "__main__":
    main()
