"""Base class of likelihoods of one of several choices for each feature, by a softmax."""

import copy
import math
from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Generator, Tensor
from torch.distributions import constraints
from torch.nn import functional

from .._parameters import Choice, Parameters, check_fields
from .._schema import array
from .._validation import FloatArray, short_repr
from ._base import Columns, Likelihood

LOWEST = -1e30
"""Logit of a choice that a feature does not have."""
UNKNOWN = -1
"""Code of a category that `fit` did not see."""
LOG_UNKNOWN, LOG_KNOWN = math.log(1e-4), math.log1p(-1e-4)
PRIOR_COUNT = 0.5
"""Rows that are added to each choice when initial probabilities are taken from the data."""
CHOICES = {
    "counts_": array("n_features most_choices", 0.0),
    "n_choices_": array("n_features", 1, kinds="i"),
}
CATEGORIES = {**CHOICES, "categories_": array("n_features most_choices")}


class ChoiceLikelihood(Likelihood):
    """Base class of likelihoods with one output, a logit, for each choice of each feature.

    After `fit`, ``n_choices_`` of shape (n_features,) has the number of choices of each feature,
    and ``counts_`` of shape (n_features, most_choices) the number of rows of each choice, 0 beyond
    ``n_choices_``.
    """

    n_choices_: npt.NDArray[np.int64]
    counts_: FloatArray
    categories_: FloatArray  # of likelihoods of categories

    def for_columns(self, columns: Columns) -> Self:
        return self._with_columns(columns)

    def n_outputs(self, n_features: int) -> int:
        return int(self.n_choices_.sum())

    def _log_probabilities(self, outputs: Tensor) -> Tensor:
        """Return log probabilities of shape (..., n_features, most_choices)."""
        n_features, most = self.counts_.shape
        if np.all(self.n_choices_ == most):
            return outputs.unflatten(-1, (n_features, most)).log_softmax(-1)
        choice, ends = np.arange(most), self.n_choices_.cumsum()
        index = np.where(
            choice < self.n_choices_[:, None], choice + (ends - self.n_choices_)[:, None], ends[-1]
        )
        padded = functional.pad(outputs, (0, 1), value=LOWEST)
        return padded[..., torch.from_numpy(index).to(outputs.device)].log_softmax(-1)

    @staticmethod
    def _select(choice: Tensor, log_probabilities: Tensor) -> Tensor:
        """Return the log probability of a choice, an index of shape (n_samples, n_features)."""
        shape = torch.broadcast_shapes(choice.shape, log_probabilities.shape[:-1])
        every = log_probabilities.expand(*shape, -1)
        return every.gather(-1, choice.expand(shape).unsqueeze(-1)).squeeze(-1)

    def _draw_choices(self, log_probabilities: Tensor, generator: Generator) -> Tensor:
        """Draw a choice for each feature, by the inverse of the distribution function."""
        cumulative = log_probabilities.exp().cumsum(-1)
        shape, dtype = cumulative.shape[:-1], cumulative.dtype
        uniform = torch.rand(shape, generator=generator, dtype=dtype).to(cumulative.device)
        chosen = torch.searchsorted(cumulative, (uniform.unsqueeze(-1) * cumulative[..., -1:]))
        most = torch.from_numpy(self.n_choices_ - 1).to(cumulative.device)
        return torch.minimum(chosen.squeeze(-1), most)

    def _has_choice(self, device: Any = None) -> Tensor:
        """Return a mask of the choices that features have, shape (n_features, most_choices)."""
        has = np.arange(self.counts_.shape[1]) < self.n_choices_[:, None]
        return torch.from_numpy(has).to(device)

    def _shares(self) -> FloatArray:
        """Return the share of each choice in the data, after adding `PRIOR_COUNT` rows to it."""
        counts = np.where(self._has_choice().numpy(), self.counts_ + PRIOR_COUNT, 0.0)
        return counts / counts.sum(1, keepdims=True)

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        # The logarithms of the frequencies of the choices; ``mean`` is not needed.
        return np.log(self._shares()[self._has_choice().numpy()])


@dataclass(frozen=True)
class CategoryLikelihood(ChoiceLikelihood):
    """Base class of likelihoods of categories: the distinct values of each column."""

    handle_unknown: str = "error"
    categorical: ClassVar[bool] = True
    linear_transform: ClassVar[bool] = False
    _parameters: ClassVar[Parameters] = {"handle_unknown": Choice("error", "ignore")}

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(), cls("ignore")

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def _log_known(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        """Return log probabilities of the known categories, (..., n_features, most_choices)."""

    def fit(self, X: FloatArray) -> Self:
        fitted, columns = copy.copy(self), vars(self).get("columns_", ())
        known = [np.arange(float(n)) for _, n in columns] or [np.empty(0)] * X.shape[1]
        self._check_observed(X)
        observed = [values[~np.isnan(values)] for values in X.T.astype(np.float64)]
        categories = [np.union1d(*pair) for pair in zip(known, observed, strict=True)]
        counts = [
            np.bincount(np.searchsorted(found, values), minlength=len(found)).astype(np.float64)
            for found, values in zip(categories, observed, strict=True)
        ]
        vars(fitted).update(
            categories_=pad_rows(categories, last=True),
            n_choices_=np.array([*map(len, categories)]),
            counts_=pad_rows(counts),
        )
        return fitted

    def check_support(self, X: FloatArray, name: str = "X") -> FloatArray:
        if self.handle_unknown == "ignore" or "categories_" not in vars(self):
            return X
        unknown = self._codes(X) == UNKNOWN
        if unknown.any():
            row, column = np.argwhere(unknown)[0].tolist()
            known = short_repr(self.categories_[column, : self.n_choices_[column]].tolist())
            remedy = (
                f"Leave out such rows, or fit to data that have the category; known are {known}."
            )
            value = f"the unknown category {X[row, column]:g}"
            raise self._support_error(column, "categories that `fit` saw", value, remedy, name)
        return X

    @property
    def _is_constant(self) -> npt.NDArray[np.bool_] | None:
        constant = self.n_choices_ == 1
        return constant if constant.any() else None

    @property
    def _constants(self) -> FloatArray:
        return self.categories_[:, 0]

    def transform(self, X: FloatArray) -> FloatArray:
        return self._codes(self.hide_deviations(X))

    def _codes(self, X: FloatArray) -> FloatArray:
        """Return the positions of values among the categories, `UNKNOWN` for others."""
        codes = np.empty(X.shape, X.dtype)
        for column, values in enumerate(X.T):
            known = self.categories_[column, : self.n_choices_[column]]
            codes[:, column] = np.searchsorted(known, values).clip(max=len(known) - 1)
        codes[self._categories(codes) != X] = UNKNOWN
        codes[np.isnan(X)] = np.nan
        return codes

    def inverse_transform(self, X: FloatArray) -> FloatArray:
        return self._categories(X).astype(X.dtype)

    def _categories(self, codes: FloatArray) -> FloatArray:
        """Return categories by their positions, NaN for NaN."""
        index = np.nan_to_num(codes).clip(0, self.n_choices_ - 1).round().astype(int)
        return np.where(np.isnan(codes), np.nan, self.categories_[np.arange(codes.shape[1]), index])

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Distribution:
        known = self._log_known(outputs, global_parameters)
        if self.handle_unknown == "error":
            return Codes(logits=known, validate_args=False)
        unknown = torch.full_like(known[..., :1], LOG_UNKNOWN)
        logits = torch.cat([unknown, known + LOG_KNOWN], -1)
        return Codes(first=UNKNOWN, logits=logits, validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        known = self._log_known(outputs, global_parameters)
        log_known = self._select(x.long().clamp(min=0), known)
        if self.handle_unknown == "error":
            return log_known
        log_prob = torch.where(x == UNKNOWN, LOG_UNKNOWN, log_known + LOG_KNOWN)
        return self._leave_out_constants(log_prob)

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._log_known(outputs, global_parameters).argmax(-1).to(outputs.dtype)

    def mixture_mean(self, outputs: Tensor, global_parameters: Tensor, weights: Tensor) -> Tensor:
        known = self._log_known(outputs, global_parameters).exp()
        return (weights[..., None, None] * known).sum(0).argmax(-1).to(outputs.dtype)

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        known = self._log_known(outputs, global_parameters)
        return self._draw_choices(known, generator).to(outputs.dtype)


class Codes(td.Categorical):
    """torch's categorical distribution over the integers from ``first`` on, with their moments."""

    def __init__(self, first: int = 0, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.first = first

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> constraints.Constraint:
        return constraints.integer_interval(self.first, self.first + self.probs.shape[-1] - 1)

    def log_prob(self, value: Tensor) -> Tensor:
        return super().log_prob(value - self.first)

    @property
    def mean(self) -> Tensor:
        return (self.probs * self._codes).sum(-1)

    @property
    def variance(self) -> Tensor:
        return (self.probs * (self._codes - self.mean[..., None]).square()).sum(-1)

    @property
    def _codes(self) -> Tensor:
        return self.first + torch.arange(self.probs.shape[-1], device=self.probs.device)


def pad_rows(rows: list[npt.NDArray[Any]], last: bool = False) -> npt.NDArray[Any]:
    """Stack vectors of different lengths, padded with 0 or, with ``last``, their last value."""
    longest = max(map(len, rows))
    mode: Any = "edge" if last else "constant"
    return np.stack([np.pad(row, (0, longest - len(row)), mode) for row in rows])
