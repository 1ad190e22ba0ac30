"""Continuous Bernoulli likelihood."""

from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.distributions as td
from torch import Generator, Tensor

from .._schema import store
from .._validation import FloatArray
from ._base import CONSTANTS, UnitIntervalLikelihood


@store(options=CONSTANTS)
@dataclass(frozen=True)
class ContinuousBernoulli(UnitIntervalLikelihood):
    """Continuous Bernoulli distribution of each feature, for grey levels in [0, 1] as they are.

    ``p(x_d | z) = C(l) l^x (1 - l)^(1 - x)`` with ``l = sigmoid(output_d(z))`` and the constant
    C(l) that makes it a density [1]_, which a Bernoulli likelihood of grey levels lacks.

    Parameters
    ----------
    clip : bool, default=False
        If True, values below 0 and above 1 count as 0 and 1; otherwise they are an error.

    See Also
    --------
    Bernoulli : For binary data.

    Notes
    -----
    A feature that is constant in the data counts as a point mass, as in `Gaussian`.

    References
    ----------
    .. [1] G. Loaiza-Ganem and J. P. Cunningham, The continuous Bernoulli: fixing a pervasive error
       in variational autoencoders, NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import ContinuousBernoulli
    >>> ContinuousBernoulli().mean(torch.zeros(1, 3), torch.zeros(0))
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    shortcut: ClassVar[str] = "continuous_bernoulli"

    def fit(self, X: FloatArray) -> Self:
        return self._with_constants(X)

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.ContinuousBernoulli:
        return _ContinuousBernoulli(logits=outputs, validate_args=False)

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        uniform = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype)
        return self.distribution(outputs, global_parameters).icdf(uniform.to(outputs.device))

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        # By bisection: the mean rises with the logit.
        low, high = np.full(len(mean), -30.0), np.full(len(mean), 30.0)
        for _ in range(50):
            middle = (low + high) / 2
            is_low = self.mean(torch.from_numpy(middle), torch.empty(0)).numpy() < mean
            low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
        return (low + high) / 2


class _ContinuousBernoulli(td.ContinuousBernoulli):
    """torch's distribution, by formulas in the logits that are accurate at any logit.

    torch's own formulas, in the probabilities, are inaccurate near 0, 1/2 and 1. With a = |logit|,
    comments below are about logit -a; for logit a they hold with 1 - x in place of x.
    """

    @property
    def mean(self) -> Tensor:
        size = self.logits.abs()
        small = size < 0.3
        safe, square = torch.where(small, 1.0, size), torch.where(small, size, 0.0).square()
        # 1 / a - 1 / (exp(a) - 1), by its series where the difference would cancel.
        series = 1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600))
        mean = torch.where(small, 0.5 - size * series, 1 / safe - 1 / torch.expm1(safe))
        return torch.where(self.logits > 0, 1 - mean, mean)

    @property
    def variance(self) -> Tensor:
        size = self.logits.abs()
        small = size < 0.6
        safe, square = torch.where(small, 1.0, size), torch.where(small, size, 0.0).square()
        # 1 / a^2 - 1 / (4 sinh(a / 2)^2), by its series where the difference would cancel.
        series = 1 / 172800 - square * (1 / 5322240 - square * 691 / 118879488000)
        series = 1 / 12 - square * (1 / 240 - square * (1 / 6048 - square * series))
        return torch.where(small, series, safe**-2 - (-safe).exp() / torch.expm1(-safe).square())

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - log_normalizer(self.logits)

    def entropy(self) -> Tensor:
        return log_normalizer(self.logits) - self.logits * self.mean

    def cdf(self, value: Tensor) -> Tensor:
        size, is_positive = self.logits.abs(), self.logits > 0
        x = torch.where(is_positive, 1 - value, value).clamp(0, 1)
        safe = torch.where(size == 0, 1.0, size)
        probability = torch.where(size == 0, x, torch.expm1(-safe * x) / torch.expm1(-safe))
        return torch.where(is_positive, 1 - probability, probability)

    def icdf(self, value: Tensor) -> Tensor:
        size, is_positive = self.logits.abs(), self.logits > 0
        probability = torch.where(is_positive, 1 - value, value)
        safe = torch.where(size == 0, 1.0, size)
        direct = -torch.log1p(probability * torch.expm1(-safe)) / safe
        x = torch.where(size == 0, probability, direct)
        return torch.where(is_positive, 1 - x, x)


def log_normalizer(logits: Tensor) -> Tensor:
    """Return log((exp(logit) - 1) / logit), the log integral of exp(x * logit) over [0, 1]."""
    size = logits.abs()
    small = size < 0.2
    safe, square = torch.where(small, 1.0, size), torch.where(small, logits, 0.0).square() / 4
    # log(sinh(h) / h) with h = logit / 2: by its series where the quotient would cancel.
    series = square / 6 - square * square / 180 + square**3 / 2835
    direct = logits.clamp(min=0) + torch.log(-torch.expm1(-safe)) - torch.log(safe)
    return torch.where(small, logits / 2 + series, direct)
