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
    Ordinal : For categories that have an order.
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
