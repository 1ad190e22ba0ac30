"""Two networks for p(y | x) of tables, to compare VAERegressor with: normal, and a spline flow.

The flow is autoregressive: p(y | x) = prod_d p(y_d | x, y_1 ... y_{d-1}), each factor a
rational-quadratic spline of a standard normal number (Durkan et al., Neural spline flows, NeurIPS
2019, eq. 4), whose knots a network gives.
"""

import copy
import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional

N_BINS = 8
EDGE = 5.0  # the spline is the identity beyond
SMALLEST = 1e-3  # width, height and slope


def network(n_inputs, n_outputs, n_units=64):
    return nn.Sequential(
        nn.Linear(n_inputs, n_units), nn.SiLU(), nn.Linear(n_units, n_units), nn.SiLU(),
        nn.Linear(n_units, n_outputs),
    )  # fmt: skip


class NormalNetwork(nn.Module):
    """Independent normal outputs; means and standard deviations by one network."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        self.moments = network(n_inputs, 2 * n_outputs)

    def log_prob(self, X, Y):
        mean, log_std = self.moments(X).chunk(2, -1)
        log_std = log_std.clamp(min=math.log(SMALLEST))
        return torch.distributions.Normal(mean, log_std.exp()).log_prob(Y).sum(-1)


class SplineFlow(nn.Module):
    """Autoregressive spline flow, with a network for each output."""

    def __init__(self, n_inputs, n_outputs):
        super().__init__()
        sizes = range(n_inputs, n_inputs + n_outputs)
        self.knots = nn.ModuleList(network(size, 3 * N_BINS - 1) for size in sizes)

    def log_prob(self, X, Y):
        terms = [
            log_density_of_spline(Y[:, d], knots(torch.cat([X, Y[:, :d]], -1)))
            for d, knots in enumerate(self.knots)
        ]
        return torch.stack(terms).sum(0)


def knot_positions(logits):
    shares = SMALLEST + (1 - SMALLEST * N_BINS) * logits.softmax(-1)
    return functional.pad(2 * EDGE * shares.cumsum(-1), (1, 0)) - EDGE


def log_density_of_spline(y, parameters):
    """Log density of y whose spline is standard normal."""
    widths, heights, slopes = parameters.split([N_BINS, N_BINS, N_BINS - 1], -1)
    x_knots, y_knots = knot_positions(widths), knot_positions(heights)
    at_one = math.log(math.expm1(1 - SMALLEST))  # zero parameters give the identity
    slopes = functional.pad(SMALLEST + functional.softplus(slopes + at_one), (1, 1), value=1.0)
    is_inside = y.abs() < EDGE
    inner = torch.where(is_inside, y, 0.0)
    bins = torch.searchsorted(x_knots, inner[:, None]).clamp(1, N_BINS)
    left, right = (
        [values.gather(-1, index)[:, 0] for values in (x_knots, y_knots, slopes)]
        for index in (bins - 1, bins)
    )
    width, height = right[0] - left[0], right[1] - left[1]
    t, secant = (inner - left[0]) / width, height / width
    bend = secant + (left[2] + right[2] - 2 * secant) * t * (1 - t)
    e = left[1] + height * (secant * t**2 + left[2] * t * (1 - t)) / bend
    slope = right[2] * t**2 + 2 * secant * t * (1 - t) + left[2] * (1 - t) ** 2
    log_slope = torch.where(is_inside, 2 * (secant / bend).log() + slope.log(), 0.0)
    e = torch.where(is_inside, e, y)
    return log_slope - 0.5 * (e**2 + math.log(2 * math.pi))


def nats_of(kind, X, Y, X_test, Y_test, batch_size, max_iter=400, patience=30):
    """Mean of minus log p(y | x) over test rows, the network trained with early stopping."""
    torch.manual_seed(0)
    mean, scale = X.mean(axis=0), X.std(axis=0)
    X, X_test = (torch.from_numpy((table - mean) / scale).float() for table in (X, X_test))
    Y, Y_test = (torch.from_numpy(table).float() for table in (Y, Y_test))
    held_out, train = torch.randperm(len(X)).tensor_split([len(X) // 10])
    module = kind(X.shape[1], Y.shape[1])
    optimizer = torch.optim.Adam(module.parameters(), 0.002)
    best, state, n_stale = np.inf, None, 0
    for _ in range(max_iter):
        for batch in train[torch.randperm(len(train))].split(batch_size):
            optimizer.zero_grad()
            (-module.log_prob(X[batch], Y[batch]).mean()).backward()
            nn.utils.clip_grad_norm_(module.parameters(), 5.0)
            optimizer.step()
        with torch.no_grad():
            loss = -module.log_prob(X[held_out], Y[held_out]).mean().item()
        n_stale += 1
        if loss < best:
            best, state, n_stale = loss, copy.deepcopy(module.state_dict()), 0
        if n_stale == patience:
            break
    module.load_state_dict(state)
    with torch.no_grad():
        return -module.log_prob(X_test, Y_test).mean().item()
