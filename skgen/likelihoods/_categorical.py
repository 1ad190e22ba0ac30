"""Categorical likelihood."""

import copy
import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
import torch
import torch.distributions as td
from torch import Generator, Tensor
from torch.distributions import constraints

from .._parameters import Choice, Parameters, check_fields
from .._schema import array, store
from .._validation import FloatArray, short_repr
from ._base import COLUMNS
from ._choices import CHOICES, ChoiceLikelihood, pad_rows

UNKNOWN = -1
"""Code of a category that `fit` did not see."""
LOG_UNKNOWN, LOG_KNOWN = math.log(1e-4), math.log1p(-1e-4)


@store(state={**CHOICES, "categories_": array("n_features most_choices")}, options=COLUMNS)
@dataclass(frozen=True)
class Categorical(ChoiceLikelihood):
    """Categorical distribution of each feature.

    ``P(x_d = k | z) = softmax(outputs_d(z))_k``, with one output of the decoder for each category.
    The distinct values of a column are its categories; the encoder sees one column for each of
    them, which is 1 in rows of the category and 0 elsewhere.

    Parameters
    ----------
    handle_unknown : {"error", "ignore"}, default="error"
        Categories that `fit` did not see: an error, or a choice that the encoder sees as zeros,
        whose probability is 1e-4 and which is never drawn.

    Attributes
    ----------
    categories_ : ndarray of shape (n_features, most_choices)
        Categories of each feature in increasing order; the last is repeated in features with fewer.
    n_choices_ : ndarray of int of shape (n_features,)
        Numbers of categories.
    counts_ : ndarray of shape (n_features, most_choices)
        Numbers of rows in each category.

    See Also
    --------
    Mixed : For tables with columns of several kinds.

    Notes
    -----
    Means are modes: the most probable categories. The log density is a log probability.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.likelihoods import Categorical
    >>> fitted = Categorical().fit(np.array([[3.0], [5.0], [9.0], [5.0]]))
    >>> fitted.transform(np.array([[9.0]])), fitted.n_outputs(n_features=1)
    (array([[2.]]), 3)
    """

    handle_unknown: str = "error"
    shortcut: ClassVar[str] = "categorical"
    categorical: ClassVar[bool] = True
    linear_transform: ClassVar[bool] = False
    _parameters: ClassVar[Parameters] = {"handle_unknown": Choice("error", "ignore")}

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(), cls("ignore")

    def __post_init__(self) -> None:
        check_fields(self)

    def fit(self, X: FloatArray) -> Self:
        fitted, columns = copy.copy(self), vars(self).get("columns_", ())
        known = [np.arange(float(n)) for _, n in columns] or [np.empty(0)] * X.shape[1]
        observed = [values[~np.isnan(values)] for values in X.T.astype(np.float64)]
        self._check_observed(observed)
        categories = [np.union1d(*pair) for pair in zip(known, observed, strict=True)]
        counts = [
            np.bincount(np.searchsorted(of, values), minlength=len(of)).astype(np.float64)
            for of, values in zip(categories, observed, strict=True)
        ]
        vars(fitted).update(
            categories_=pad_rows(categories, last=True),
            n_choices_=np.array([len(of) for of in categories]),
            counts_=pad_rows(counts),
        )
        return fitted

    def check_support(self, X: FloatArray) -> FloatArray:
        if self.handle_unknown == "ignore" or "categories_" not in vars(self):
            return X
        unknown = self.transform(X) == UNKNOWN
        if unknown.any():
            row, column = np.argwhere(unknown)[0]
            known = short_repr(self.categories_[column, : self.n_choices_[column]].tolist())
            remedy = (
                f"Leave out such rows, or fit to data that have the category; known are {known}."
            )
            value = f"the unknown category {X[row, column]:g}"
            raise self._support_error(column, "categories that `fit` saw", value, remedy)
        return X

    def transform(self, X: FloatArray) -> FloatArray:
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

    def n_inputs(self, n_features: int) -> int:
        return self.n_outputs(n_features)

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        choices = torch.arange(self.counts_.shape[1], device=x.device, dtype=x.dtype)
        inputs = x.unsqueeze(-1) == choices
        if mask is not None:
            inputs = inputs & ~mask.unsqueeze(-1)
        return inputs[..., self._has_choice(x.device)].to(x.dtype)

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Distribution:
        known = self._log_probabilities(outputs)
        if self.handle_unknown == "error":
            return _Codes(logits=known, validate_args=False)
        unknown = torch.full_like(known[..., :1], LOG_UNKNOWN)
        return _Codes(
            first=UNKNOWN, logits=torch.cat([unknown, known + LOG_KNOWN], -1), validate_args=False
        )

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        log_known = self._log_probability(x.long().clamp(min=0), outputs)
        if self.handle_unknown == "error":
            return log_known
        return torch.where(x == UNKNOWN, LOG_UNKNOWN, log_known + LOG_KNOWN)

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._log_probabilities(outputs).argmax(-1).to(outputs.dtype)

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        return self._draw_choices(outputs, generator).to(outputs.dtype)


class _Codes(td.Categorical):
    """torch's categorical distribution, with the moments of its codes, of which one is first."""

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
