"""Likelihood of ordered categories."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .._schema import store
from .._validation import FloatArray
from ._base import COLUMNS
from ._choices import CATEGORIES, LOWEST, CategoryLikelihood

FAR = 1e4
"""Magnitude of a threshold that lies beyond all outputs of a decoder."""


@store(state=CATEGORIES, options=COLUMNS)
@dataclass(frozen=True)
class Ordinal(CategoryLikelihood):
    """Distribution of ordered categories by cumulative logits.

    ``P(x_d <= k | z) = sigmoid(c_dk - output_d(z))`` with thresholds ``c_d1 < c_d2 < ...`` that all
    rows share and that are learned with the networks (McCullagh [1]_, sec. 2). A feature has one
    output of the decoder for any number of categories. The distinct values of a column are its
    categories, in increasing order, or in the order of an ordered dtype. The encoder sees their
    normal scores.

    Parameters
    ----------
    handle_unknown : {"error", "ignore"}, default="error"
        Treatment of categories that `fit` did not see:

        - "error": a ValueError.
        - "ignore": they count as one further category. The encoder sees the first category, the
          probability is 1e-4, and it is never drawn.

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
    Categorical : For categories without an order.
    Mixed : For tables with columns of several kinds.

    Notes
    -----
    The mode, which is the most probable category, takes the place of the mean. The log density is a
    log probability.

    References
    ----------
    .. [1] P. McCullagh, Regression models for ordinal data, Journal of the Royal Statistical
       Society B 42, 1980.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.likelihoods import Ordinal
    >>> fitted = Ordinal().fit(np.array([[1.0], [2.0], [3.0], [2.0]]))
    >>> fitted.n_outputs(n_features=1), fitted.n_global_parameters(n_features=1)
    (1, 2)
    """

    shortcut: ClassVar[str] = "ordinal"

    def n_outputs(self, n_features: int) -> int:
        return n_features

    def n_global_parameters(self, n_features: int) -> int:
        return int((self.n_choices_ - 1).sum())

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        shares = self._shares()
        middles = torch.from_numpy(shares.cumsum(1) - shares / 2).to(x.device)
        feature = torch.arange(x.shape[-1], device=x.device)
        scores = torch.special.ndtri(middles)[feature, x.long().clamp(min=0)].to(x.dtype)
        return scores if mask is None else scores.masked_fill(mask, 0.0)

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        return np.zeros(len(mean))  # the thresholds start at the frequencies

    def _log_known(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        thresholds = self._thresholds(global_parameters)
        has = self._has_choice(outputs.device)
        margins = functional.pad(thresholds, (1, 0), value=-FAR) - outputs.unsqueeze(-1)
        ends = functional.pad(thresholds, (0, 1), value=FAR) - outputs.unsqueeze(-1)
        low, high = torch.where(has, margins, -1.0), torch.where(has, ends, 1.0)
        # log(sigmoid(high) - sigmoid(low)), without cancellation.
        log_share = functional.logsigmoid(high) + functional.logsigmoid(-low)
        return torch.where(has, log_share + torch.log(-torch.expm1(low - high)), LOWEST)

    def _thresholds(self, global_parameters: Tensor) -> Tensor:
        """Return thresholds of shape (n_features, most_choices - 1), FAR beyond the last.

        The first threshold is its value in the data plus a learned parameter. The logarithms of the
        gaps between thresholds are their values in the data plus learned parameters.
        """
        has = np.arange(1, self.counts_.shape[1]) < self.n_choices_[:, None]
        below = np.where(has, self._shares().cumsum(1)[:, :-1], 0.5)
        start = np.where(has, np.log(below) - np.log1p(-below), 0.0)
        gaps = np.where(has[:, 1:], np.diff(start, axis=1), 1.0)
        used = torch.from_numpy(has).to(global_parameters.device)
        steps = global_parameters.new_zeros(has.shape).masked_scatter(used, global_parameters)
        first = torch.from_numpy(start[:, :1]).to(steps) + steps[:, :1]
        rest = torch.from_numpy(gaps).to(steps) * steps[:, 1:].exp()
        return torch.where(used, torch.cat([first, rest], 1).cumsum(1), FAR)
