"""Likelihoods of values in [0, 1]."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
import torch.distributions as td
from torch import Tensor
from torch.nn import functional

from .._validation import FloatArray, check_flag
from ._base import Likelihood

GREY_MARGIN = 1e-3
"""How far from 0 and 1 a mean grey level is kept when it is turned into a logit."""


@dataclass(frozen=True)
class _OnUnitInterval(Likelihood):
    """What likelihoods of values in [0, 1] share."""

    clip: bool = False

    def __post_init__(self) -> None:
        check_flag(self.clip, "clip")

    @property
    def positive_only(self) -> bool:
        return not self.clip

    def prepared(self, X: FloatArray) -> FloatArray:
        if X.min() >= 0 and X.max() <= 1:
            return X
        if self.clip:
            return X.clip(0, 1)
        raise ValueError(
            f"`X` must hold values in [0, 1] for likelihood={self}; got values from {X.min():g} to "
            f"{X.max():g}. Negative values in data, or values above 1, have no probability: divide "
            "grey levels by the largest one (X / 255), or take clip=True or a Gaussian likelihood."
        )


@dataclass(frozen=True)
class Bernoulli(_OnUnitInterval):
    """Bernoulli distribution of each feature, for binary data.

    ``x_d ~ Bernoulli(sigmoid(output_d(z)))``. Grey levels in [0, 1] count as probabilities, from
    which binary data is drawn afresh whenever it is needed.

    Parameters
    ----------
    clip : bool, default=False
        Whether values below 0 and above 1 count as 0 and 1; else they are an error.

    Attributes
    ----------
    n_heads : int
        Number of decoder outputs for each feature: 1, the logit.
    standardized, binary, positive_only : bool
        What data it is for: binary, or probabilities in [0, 1].

    See Also
    --------
    ContinuousBernoulli : For grey levels as they are.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import Bernoulli
    >>> Bernoulli().distribution(torch.zeros(1, 3), torch.zeros(0)).mean
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    binary: ClassVar[bool] = True

    def distribution(self, outputs: Tensor, free: Tensor) -> td.Bernoulli:
        return td.Bernoulli(logits=outputs, validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        return (x * outputs - functional.softplus(outputs)).sum(-1)

    def mean_log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        nats = functional.binary_cross_entropy_with_logits(outputs, x, reduction="sum")
        return nats * (-1 / len(x))

    def draw(self, outputs: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
        return binarized(torch.sigmoid(outputs), generator)

    def starting_outputs(self, mean: FloatArray) -> FloatArray:
        inner = np.clip(mean, GREY_MARGIN, 1 - GREY_MARGIN)
        logits: FloatArray = np.log(inner / (1 - inner))
        return logits


@dataclass(frozen=True)
class ContinuousBernoulli(_OnUnitInterval):
    """Continuous Bernoulli distribution of each feature, for grey levels in [0, 1] as they are.

    ``p(x_d | z) = C(l) l^x (1 - l)^(1 - x)`` with ``l = sigmoid(output_d(z))`` and the constant
    C(l) that makes it a density [1]_: what a Bernoulli likelihood of grey levels leaves out.

    Parameters
    ----------
    clip : bool, default=False
        Whether values below 0 and above 1 count as 0 and 1; else they are an error.

    Attributes
    ----------
    n_heads : int
        Number of decoder outputs for each feature: 1, the logit of l.
    standardized, binary, positive_only : bool
        What data it is for: values in [0, 1].

    See Also
    --------
    Bernoulli : For binary data.

    References
    ----------
    .. [1] G. Loaiza-Ganem and J. P. Cunningham, The continuous Bernoulli: fixing a pervasive error
       in variational autoencoders, NeurIPS 2019.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import ContinuousBernoulli
    >>> ContinuousBernoulli().distribution(torch.zeros(1, 3), torch.zeros(0)).mean
    tensor([[0.5000, 0.5000, 0.5000]])
    """

    def distribution(self, outputs: Tensor, free: Tensor) -> td.ContinuousBernoulli:
        return _ContinuousBernoulli(logits=outputs, validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        return (x * outputs - log_normalizer(outputs)).sum(-1)

    def draw(self, outputs: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
        uniform = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype)
        x: Tensor = self.distribution(outputs, free).icdf(uniform.to(outputs.device))
        return x

    def starting_outputs(self, mean: FloatArray) -> FloatArray:
        # By bisection: the mean rises with the logit.
        low, high = np.full(len(mean), -30.0), np.full(len(mean), 30.0)
        for _ in range(50):
            middle = (low + high) / 2
            reached = self.distribution(torch.from_numpy(middle), torch.empty(0)).mean.numpy()
            low, high = (
                np.where(reached < mean, middle, low),
                np.where(reached < mean, high, middle),
            )
        return (low + high) / 2


class _ContinuousBernoulli(td.ContinuousBernoulli):
    """torch's, by formulas in the logits: its own hold probabilities off 0 and 1, and so off 1/2.

    With a = |logit|, what is said below is of logit -a; of logit a it holds for 1 - x.
    """

    def expand(self, batch_shape: Any, _instance: Any = None) -> _ContinuousBernoulli:
        return _ContinuousBernoulli(self.logits.expand(batch_shape), validate_args=False)

    @property
    def mean(self) -> Tensor:
        size = self.logits.abs()
        small = size < 0.3
        safe, square = torch.where(small, 1.0, size), torch.where(small, size, 0.0).square()
        # 1 / a - 1 / (exp(a) - 1), by its series where that would cancel.
        series = 1 / 12 - square * (1 / 720 - square * (1 / 30240 - square / 1209600))
        mean = torch.where(small, 0.5 - size * series, 1 / safe - 1 / torch.expm1(safe))
        return torch.where(self.logits > 0, 1 - mean, mean)

    @property
    def variance(self) -> Tensor:
        size = self.logits.abs()
        small = size < 0.6
        safe, square = torch.where(small, 1.0, size), torch.where(small, size, 0.0).square()
        # 1 / a^2 - 1 / (4 sinh(a / 2)^2), likewise.
        series = 1 / 172800 - square * (1 / 5322240 - square * 691 / 118879488000)
        series = 1 / 12 - square * (1 / 240 - square * (1 / 6048 - square * series))
        return torch.where(small, series, safe**-2 - (-safe).exp() / torch.expm1(-safe).square())

    def log_prob(self, value: Tensor) -> Tensor:
        return value * self.logits - log_normalizer(self.logits)

    def entropy(self) -> Tensor:
        return log_normalizer(self.logits) - self.logits * self.mean

    def cdf(self, value: Tensor) -> Tensor:
        size, rises = self.logits.abs(), self.logits > 0
        x = torch.where(rises, 1 - value, value).clamp(0, 1)
        safe = torch.where(size == 0, 1.0, size)
        chance = torch.where(size == 0, x, torch.expm1(-safe * x) / torch.expm1(-safe))
        return torch.where(rises, 1 - chance, chance)

    def icdf(self, value: Tensor) -> Tensor:
        size, rises = self.logits.abs(), self.logits > 0
        chance = torch.where(rises, 1 - value, value)
        safe = torch.where(size == 0, 1.0, size)
        x = torch.where(size == 0, chance, -torch.log1p(chance * torch.expm1(-safe)) / safe)
        return torch.where(rises, 1 - x, x)


def log_normalizer(logits: Tensor) -> Tensor:
    """log of the integral over x in [0, 1] of exp(x * logit): log((exp(logit) - 1) / logit)."""
    size = logits.abs()
    small = size < 0.2
    safe, square = torch.where(small, 1.0, size), torch.where(small, logits, 0.0).square() / 4
    # log(sinh(h) / h) with h = logit / 2: by its series where the quotient would cancel.
    series = square / 6 - square * square / 180 + square**3 / 2835
    direct = logits.clamp(min=0) + torch.log(-torch.expm1(-safe)) - torch.log(safe)
    return torch.where(small, logits / 2 + series, direct)


def binarized(probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """Draw 0 or 1 with the given probabilities of 1."""
    uniform = torch.rand(probabilities.shape, generator=generator, dtype=probabilities.dtype)
    uniform = uniform.to(probabilities.device)
    # With `out`, no array of booleans is made and converted: a fifth of the time.
    return torch.lt(uniform, probabilities, out=torch.empty_like(uniform))
