"""Base class of likelihoods of one of several choices for each feature, by a softmax."""

from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Generator, Tensor
from torch.nn import functional

from .._schema import array
from .._validation import FloatArray
from ._base import Columns, Likelihood

LOWEST = -1e30
"""Logit of a choice that a feature does not have."""
PRIOR_COUNT = 0.5
"""Rows that are added to each choice when initial probabilities are taken from the data."""
CHOICES = {
    "counts_": array("n_features most_choices", 0.0),
    "n_choices_": array("n_features", 1, kinds="i"),
}


class ChoiceLikelihood(Likelihood):
    """Base class of likelihoods with one output, a logit, for each choice of each feature.

    Fitted, it has ``n_choices_``, of shape (n_features,), and ``counts_``, of shape
    (n_features, most_choices), the numbers of rows of each choice, 0 beyond ``n_choices_``.
    """

    n_choices_: npt.NDArray[np.int64]
    counts_: FloatArray
    categories_: FloatArray

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

    def _log_probability(self, choice: Tensor, outputs: Tensor) -> Tensor:
        """Return the log probability of a choice, an index of shape (n_samples, n_features)."""
        log_probabilities = self._log_probabilities(outputs)
        shape = torch.broadcast_shapes(choice.shape, log_probabilities.shape[:-1])
        every = log_probabilities.expand(*shape, -1)
        return every.gather(-1, choice.expand(shape).unsqueeze(-1)).squeeze(-1)

    def _draw_choices(self, outputs: Tensor, generator: Generator) -> Tensor:
        """Draw a choice for each feature, by the inverse of the distribution function."""
        cumulative = self._log_probabilities(outputs).exp().cumsum(-1)
        shape, dtype = cumulative.shape[:-1], cumulative.dtype
        uniform = torch.rand(shape, generator=generator, dtype=dtype).to(outputs.device)
        chosen = torch.searchsorted(cumulative, (uniform.unsqueeze(-1) * cumulative[..., -1:]))
        most = torch.from_numpy(self.n_choices_ - 1).to(outputs.device)
        return torch.minimum(chosen.squeeze(-1), most)

    def _has_choice(self, device: Any = None) -> Tensor:
        """Return the choices that features have, of bool and shape (n_features, most_choices)."""
        has = np.arange(self.counts_.shape[1]) < self.n_choices_[:, None]
        return torch.from_numpy(has).to(device)

    def _check_observed(self, observed: list[FloatArray]) -> None:
        """Raise unless each column has an observed cell."""
        for column, values in enumerate(observed):
            if not len(values):
                raise self._support_error(
                    column, "an observed cell", "missing cells only", "Leave the column out."
                )

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        # Logarithms of the frequencies of the choices, whatever the mean.
        has = self._has_choice().numpy()
        shares = (self.counts_ + PRIOR_COUNT) / (
            self.counts_.sum(1) + PRIOR_COUNT * self.n_choices_
        )[:, None]
        return np.log(shares[has])


def pad_rows(rows: list[npt.NDArray[Any]], last: bool = False) -> npt.NDArray[Any]:
    """Stack vectors of different lengths, filled up with 0 or with their last value."""
    longest = max(map(len, rows))
    mode: Any = "edge" if last else "constant"
    return np.stack([np.pad(row, (0, longest - len(row)), mode) for row in rows])
