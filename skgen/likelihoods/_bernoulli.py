"""Bernoulli likelihood."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.distributions as td
from torch import Generator, Tensor
from torch.nn import functional

from .._schema import store
from .._validation import FloatArray
from ._base import UnitIntervalLikelihood

MEAN_MARGIN = 1e-3
"""Smallest distance from 0 and 1 of a mean that is turned into an initial logit."""


@store()
@dataclass(frozen=True)
class Bernoulli(UnitIntervalLikelihood):
    """Bernoulli distribution of each feature, for binary data.

    ``x_d ~ Bernoulli(sigmoid(output_d(z)))``. Grey levels in [0, 1] count as probabilities, from
    which binary data are drawn afresh whenever they are needed.

    Parameters
    ----------
    clip : bool, default=False
        If True, values below 0 and above 1 count as 0 and 1; otherwise they are an error.

    See Also
    --------
    ContinuousBernoulli : For grey levels as they are.

    Notes
    -----
    In other likelihoods, a constant feature counts as a point mass. Here a feature that is always 0
    or always 1 in the data does not: the other value has a small probability, which is learned.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import Bernoulli
    >>> Bernoulli().mean(torch.zeros(1, 3), torch.zeros(0))
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    shortcut: ClassVar[str] = "bernoulli"
    binary: ClassVar[bool] = True

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Bernoulli:
        return td.Bernoulli(logits=outputs, validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return x * outputs - functional.softplus(outputs)

    def mean_log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        nats = functional.binary_cross_entropy_with_logits(outputs, x, reduction="sum")
        return nats * (-1 / len(x))

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        return binarize(torch.sigmoid(outputs), generator)

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        inner = np.clip(mean, MEAN_MARGIN, 1 - MEAN_MARGIN)
        return np.log(inner / (1 - inner))


def binarize(probabilities: Tensor, generator: Generator) -> Tensor:
    """Draw zeros and ones; ``probabilities`` are those of a one."""
    shape, dtype = probabilities.shape, probabilities.dtype
    uniform = torch.rand(shape, generator=generator, dtype=dtype).to(probabilities.device)
    # With `out`, no array of booleans is made and converted, which saves a fifth of the time.
    return torch.lt(uniform, probabilities, out=torch.empty_like(uniform))
