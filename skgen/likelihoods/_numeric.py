"""Likelihood of numeric columns by bins and atoms."""

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Generator, Tensor
from torch.distributions import constraints

from .._parameters import Integer, Parameters, check_fields
from .._schema import each, made_of, store
from .._validation import FloatArray
from ._base import COLUMNS
from ._bins import Bins
from ._choices import CHOICES, ChoiceLikelihood, pad_rows

OUTSIDE = 1e-4
"""Probability of all values outside atoms and bins together."""


@store(
    state={**CHOICES, "bins_": each(made_of(Bins), tuple)}, options=COLUMNS, derived=("tables_",)
)
@dataclass(frozen=True)
class Numeric(ChoiceLikelihood):
    """Distribution of each feature over bins, and over values that occur often.

    The range of a feature is divided into bins that hold about equally many rows. A value that many
    rows have, such as 0, becomes an atom: a value with a probability of its own. The decoder has
    one output for each bin and atom, the logit of a softmax. Within a bin, the density does not
    depend on z: it is that of all rows, by a piecewise-linear distribution function. So draws have
    the zeros, the skewed tails and the range of the data, and a constant comes back as it is. If
    all values lie on a grid, such as integers or multiples of 0.01, draws lie on it, too.

    Parameters
    ----------
    max_bins : int, default=64
        Largest number of bins of a feature, from 1 to 1000, not counting atoms. A feature has at
        most as many bins as the square root of the number of rows.

    Attributes
    ----------
    bins_ : tuple of Bins
        Bins and atoms of each feature.
    n_choices_ : ndarray of int of shape (n_features,)
        Number of bins and atoms of each feature.
    counts_ : ndarray of shape (n_features, most_choices)
        Number of rows in each of them.

    See Also
    --------
    Mixed : For tables with columns of several kinds.
    Gaussian : For features that are continuous.

    Notes
    -----
    Transformed data are positions: k + s in bin k, where s is the share of the bin's rows below the
    value. An atom is a point mass, so that its log probability takes the place of a log density.
    Values outside all bins and atoms have the probability 1e-4 together, spread over gaps and thick
    tails, so that their density is small but not 0; they are never drawn. A constant feature is
    treated as in `Gaussian`. A feature takes O(max_bins) time per row.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.likelihoods import Numeric
    >>> rng = np.random.default_rng(0)
    >>> X = rng.lognormal(size=(1000, 1)) * rng.integers(2, size=(1000, 1))
    >>> fitted = Numeric().fit(X)
    >>> int(fitted.counts_[0, 0]) == int(np.sum(X == 0))
    True
    """

    max_bins: int = 64
    shortcut: ClassVar[str] = "numeric"
    linear_transform: ClassVar[bool] = False
    _parameters: ClassVar[Parameters] = {
        "max_bins": Integer(1, 1000, remedy="Give a number of bins."),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (cls(5),)

    def __post_init__(self) -> None:
        check_fields(self)

    def fit(self, X: FloatArray) -> Self:
        self._check_observed(X)
        observed = [values[~np.isnan(values)] for values in X.T.astype(np.float64)]
        bins = tuple(Bins.fit(values, self.max_bins) for values in observed)
        fitted = copy.copy(self)
        vars(fitted).pop("tables_", None)
        counts = [each.counts[each.counts > 0] for each in bins]
        vars(fitted).update(
            bins_=bins, n_choices_=np.array([*map(len, counts)]), counts_=pad_rows(counts)
        )
        return fitted

    def transform(self, X: FloatArray) -> FloatArray:
        return self._map_columns(Bins.to_positions, self.hide_deviations(X))

    def inverse_transform(self, X: FloatArray) -> FloatArray:
        return self._map_columns(Bins.to_values, X)

    def log_jacobian(self, X: FloatArray) -> FloatArray:
        return self._map_columns(Bins.log_slopes, X)

    def _map_columns(self, function: Any, X: FloatArray) -> FloatArray:
        columns = zip(self._bins, X.T.astype(np.float64), strict=True)
        return np.stack([function(bins, values) for bins, values in columns], 1)

    @property
    def _is_constant(self) -> npt.NDArray[np.bool_] | None:
        constant = np.array([bins.scale == 0 for bins in self._bins])
        return constant if constant.any() else None

    @property
    def _constants(self) -> FloatArray:
        return np.array([bins.atoms[0] for bins in self._bins])

    @property
    def _bins(self) -> tuple[Bins, ...]:
        bins: tuple[Bins, ...] = vars(self)["bins_"]
        return bins

    @cached_property
    def tables_(self) -> "_Tables":
        """Tables of the bins of all features, for lookups by torch."""
        return _Tables.of(self._bins)

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # Normal scores: normal quantiles of the share of rows that have a lower value.
        tables = self.tables_.to(x.device)
        interval = tables.interval_of(x)
        feature = torch.arange(x.shape[-1], device=x.device)
        below, share = tables.below[feature, interval], tables.share[feature, interval]
        scores = torch.special.ndtri(below + share * (x - interval).clamp(0, 1)).to(x.dtype)
        return scores if mask is None else scores.masked_fill(mask, 0.0)

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Distribution:
        return _Positions(self, outputs)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        tables = self.tables_.to(outputs.device)
        interval = tables.interval_of(x)
        feature = torch.arange(x.shape[-1], device=x.device)
        choice = tables.choice[feature, interval]
        distance = (x - x.clamp(min=0).minimum(tables.n_intervals.to(x.dtype))).abs()
        log_outside = tables.log_outside.to(x.dtype) - 2 * torch.log1p(distance)
        log_inside = self._select(choice.clamp(min=0), self._log_probabilities(outputs))
        log_inside = log_inside + tables.log_total.to(x.dtype)
        return torch.where((distance > 0) | (choice < 0), log_outside, log_inside)

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        weights = outputs.new_ones(1, *outputs.shape[:-1])
        return self.mixture_mean(outputs[None], global_parameters, weights)

    def mixture_mean(self, outputs: Tensor, global_parameters: Tensor, weights: Tensor) -> Tensor:
        # The position of the mean in the units of the data.
        tables = self.tables_.to(outputs.device)
        probabilities = self._log_probabilities(outputs.double()).exp()
        means = (probabilities * tables.means).sum(-1)
        mean = (weights[..., None] * means).sum(0)
        return tables.position_of(mean).to(outputs.dtype)

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        choice = self._draw_choices(self._log_probabilities(outputs), generator)
        shape, dtype = choice.shape, outputs.dtype
        uniform = torch.rand(shape, generator=generator, dtype=dtype).to(outputs.device)
        feature = torch.arange(shape[-1], device=outputs.device)
        return self.tables_.to(outputs.device).interval[feature, choice] + uniform


class _Tables(NamedTuple):
    """Tables of the bins of all features, padded to the feature with most bins."""

    n_intervals: Tensor  # of shape (n_features,)
    choice: Tensor  # of an interval, -1 for a gap, of shape (n_features, most_intervals)
    interval: Tensor  # of a choice, of shape (n_features, most_choices)
    below: Tensor  # share of rows below an interval, plus half a row
    share: Tensor  # of rows in it, of all rows plus one
    means: Tensor  # of values, of shape (n_features, most_choices), in units of the range
    knots: Tensor  # of the map to positions, of shape (n_features, most_knots), likewise
    positions: Tensor
    log_outside: Tensor  # log probability of a gap or tail, of shape (n_features,)
    log_total: Tensor  # log probability of all choices, of shape (n_features,)

    @classmethod
    def of(cls, bins: tuple[Bins, ...]) -> "_Tables":
        has_rows = [each.counts > 0 for each in bins]
        shares = [each.counts / (each.counts.sum() + 1) for each in bins]
        below = [
            s.cumsum() - s + 0.5 / (each.counts.sum() + 1)
            for s, each in zip(shares, bins, strict=True)
        ]
        ranges = [each.knots[-1] - each.knots[0] if each.scale else 1.0 for each in bins]
        means = [(_means(each) - each.knots[0]) / r for each, r in zip(bins, ranges, strict=True)]
        knots = [(each.knots - each.knots[0]) / r for each, r in zip(bins, ranges, strict=True)]
        outside = np.array([OUTSIDE if each.scale else 0.0 for each in bins])
        n_outside = np.array([2 + np.sum(each.counts == 0) for each in bins])
        tables = (
            np.array([each.n_intervals for each in bins]),
            pad_rows([np.where(mask, mask.cumsum() - 1, -1) for mask in has_rows]),
            pad_rows([*map(np.flatnonzero, has_rows)]),
            pad_rows(below),
            pad_rows(shares),
            pad_rows(means),
            pad_rows(knots, last=True),
            pad_rows([each.positions for each in bins], last=True),
            np.log(outside.clip(min=1e-300) / n_outside),
            np.log1p(-outside),
        )
        return cls(*map(torch.from_numpy, tables))

    def to(self, device: torch.device) -> "_Tables":
        """Return the tables on a device."""
        return self if device.type == "cpu" else _Tables(*(table.to(device) for table in self))

    def interval_of(self, x: Tensor) -> Tensor:
        """Return the interval of each position; the first or the last one for positions outside."""
        return x.floor().long().clamp(min=0).minimum(self.n_intervals - 1)

    def position_of(self, values: Tensor) -> Tensor:
        """Return positions of values in units of the range, of shape (..., n_features)."""
        columns = values.movedim(-1, 0).flatten(1).contiguous()
        upper = torch.searchsorted(self.knots, columns).clamp(1, self.knots.shape[1] - 1)
        low, high = self.knots.gather(1, upper - 1), self.knots.gather(1, upper)
        start, end = self.positions.gather(1, upper - 1), self.positions.gather(1, upper)
        share = ((columns - low) / (high - low).clamp(min=1e-300)).clamp(0, 1)
        found = start + share * (end - start)
        return found.reshape(values.movedim(-1, 0).shape).movedim(0, -1)


def _means(bins: Bins) -> FloatArray:
    """Return the means of atoms and bins, by the linear pieces of the map."""
    middles, shares = (bins.knots[1:] + bins.knots[:-1]) / 2, np.diff(bins.positions)
    interval = ((bins.positions[1:] + bins.positions[:-1]) / 2).astype(int)
    means = np.bincount(interval, middles * shares, minlength=bins.n_intervals)
    return np.where(bins.is_atom, bins.atoms, means)[bins.counts > 0]


class _Positions(td.Distribution):
    """Distribution of positions: uniform within atoms, bins and gaps, with tails like 1 / d^2.

    The tails have no moments, so mean and variance leave out the values outside.
    """

    support = constraints.real
    arg_constraints: ClassVar[dict[str, Any]] = {}

    def __init__(self, likelihood: Numeric, outputs: Tensor) -> None:
        self.likelihood, self.outputs = likelihood, outputs
        shape = (*outputs.shape[:-1], len(likelihood.n_choices_))
        super().__init__(torch.Size(shape), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return self.likelihood.log_prob(value, self.outputs, self.outputs[:0])

    @property
    def mean(self) -> Tensor:
        probabilities, middles = self._choices()
        return (probabilities * middles).sum(-1)

    @property
    def variance(self) -> Tensor:
        probabilities, middles = self._choices()
        steps = middles - self.mean[..., None]
        return (probabilities * (steps.square() + 1 / 12)).sum(-1)

    def _choices(self) -> tuple[Tensor, Tensor]:
        """Return the probabilities of the choices, and the middles of their intervals."""
        tables = self.likelihood.tables_.to(self.outputs.device)
        return self.likelihood._log_probabilities(self.outputs).exp(), tables.interval + 0.5
