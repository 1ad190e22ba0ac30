"""Categorical likelihood."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from .._schema import store
from ._base import COLUMNS
from ._choices import CATEGORIES, CategoryLikelihood


@store(state=CATEGORIES, options=COLUMNS)
@dataclass(frozen=True)
class Categorical(CategoryLikelihood):
    """Categorical distribution of each feature.

    ``P(x_d = k | z) = softmax(outputs_d(z))_k``, with one output of the decoder for each category.
    The distinct values of a column are its categories. The encoder sees a one-hot encoding: one
    column for each category, which is 1 in rows of the category and 0 elsewhere.

    Parameters
    ----------
    handle_unknown : {"error", "ignore"}, default="error"
        Treatment of categories that `fit` did not see:

        - "error": a ValueError.
        - "ignore": they count as one further category. The encoder sees zeros, the probability is
          1e-4, and it is never drawn.

    Attributes
    ----------
    categories_ : ndarray of shape (n_features, most_choices)
        Categories of each feature in increasing order. The last one is repeated for features with
        fewer categories than others.
    n_choices_ : ndarray of int of shape (n_features,)
        Number of categories of each feature.
    counts_ : ndarray of shape (n_features, most_choices)
        Number of rows in each category.

    See Also
    --------
    Ordinal : For categories that have an order.
    Mixed : For tables with columns of several kinds.

    Notes
    -----
    The mode, which is the most probable category, takes the place of the mean. The log density is a
    log probability.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.likelihoods import Categorical
    >>> fitted = Categorical().fit(np.array([[3.0], [5.0], [9.0], [5.0]]))
    >>> fitted.transform(np.array([[9.0]])), fitted.n_outputs(n_features=1)
    (array([[2.]]), 3)
    """

    shortcut: ClassVar[str] = "categorical"

    def n_inputs(self, n_features: int) -> int:
        return self.n_outputs(n_features)

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        choices = torch.arange(self.counts_.shape[1], device=x.device, dtype=x.dtype)
        inputs = x.unsqueeze(-1) == choices
        if mask is not None:
            inputs = inputs & ~mask.unsqueeze(-1)
        return inputs[..., self._has_choice(x.device)].to(x.dtype)

    def _log_known(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._log_probabilities(outputs)
