"""Likelihoods p(x | z): what the outputs of a decoder say of the data.

A likelihood is a small immutable object that turns a decoder's outputs, and free parameters where
it has any, into a torch Distribution. A likelihood of one's own is a subclass of `Likelihood`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.distributions as td
from torch import Tensor
from torch.nn import functional

from ._validation import FloatArray, check_choice, check_flag, check_number, shown

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Likelihood"]

LOG_2_PI = math.log(2 * math.pi)
GREATEST_LOG_VARIANCE = 15.0
GREY_MARGIN = 1e-3
"""How far from 0 and 1 a mean grey level is kept when it is turned into a logit."""


class Likelihood(ABC):
    """What all likelihoods have: the distribution of x given a decoder's outputs.

    A subclass gives `distribution` and `draw`, and whatever of the rest differs from what is here.

    Attributes
    ----------
    n_heads : int
        Number of decoder outputs for each feature.
    standardized : bool
        Whether data is standardised, feature by feature, before this likelihood sees it.
    binary : bool
        Whether data is binary, so that grey levels are drawn from as probabilities.
    positive_only : bool
        Whether negative values are an error.

    See Also
    --------
    skgen.VAETransformer : Takes a likelihood.

    Examples
    --------
    >>> from skgen.likelihoods import Bernoulli, Likelihood
    >>> isinstance(Bernoulli(), Likelihood)
    True
    """

    standardized: ClassVar[bool] = False
    binary: ClassVar[bool] = False

    @property
    def n_heads(self) -> int:
        """Number of decoder outputs for each feature."""
        return 1

    @property
    def positive_only(self) -> bool:
        """Whether negative values are an error."""
        return False

    def n_free(self, n_features: int) -> int:
        """Number of free parameters, learnt beside the networks.

        Parameters
        ----------
        n_features : int
            Number of features.

        Returns
        -------
        n_free : int
            Number of free parameters; they start at 0.
        """
        return 0

    @abstractmethod
    def distribution(self, outputs: Tensor, free: Tensor) -> td.Distribution:
        """The distribution of x, feature by feature.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        distribution : torch.distributions.Distribution
            Of batch shape (..., n_features).
        """

    def log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        """Log density of each row, in nats: a sum over features.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        outputs : Tensor of shape (..., n_samples, n_heads * n_features)
            A decoder's outputs; or of one row, shape (..., 1, n_heads * n_features), for all.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        log_prob : Tensor of shape (..., n_samples)
            The log density.
        """
        log_prob: Tensor = self.distribution(outputs, free).log_prob(x).sum(-1)
        return log_prob

    def mean_log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        """Mean over rows of `log_prob`: what training differentiates, worth making fast.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        outputs : Tensor of shape (n_samples, n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        mean_log_prob : Tensor of shape ()
            The mean.
        """
        return self.log_prob(x, outputs, free).mean()

    @abstractmethod
    def draw(self, outputs: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x.

        Parameters
        ----------
        outputs : Tensor of shape (n_samples, n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        x : Tensor of shape (n_samples, n_features)
            One draw for each row of outputs.
        """

    def starting_outputs(self, mean: FloatArray) -> FloatArray:
        """Find outputs at which the distribution has a given mean: where a decoder starts.

        Parameters
        ----------
        mean : ndarray of shape (n_features,)
            Mean of the data, standardised if it is for this likelihood.

        Returns
        -------
        outputs : ndarray of shape (n_heads * n_features,)
            The outputs.
        """
        return np.concatenate([mean, np.zeros((self.n_heads - 1) * len(mean))])

    def prepared(self, X: FloatArray) -> FloatArray:
        """X as this likelihood takes it.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The same, or what it takes in its place.

        Raises
        ------
        ValueError
            If a value lies outside the support.
        """
        return X


@dataclass(frozen=True)
class Gaussian(Likelihood):
    """Normal distribution of each feature around the decoder's mean.

    ``x_d ~ N(mean_d(z), scale_d^2)``, on standardised data: means and scales are in units of each
    feature's standard deviation.

    Parameters
    ----------
    scale : {"shared", "feature", "row"}, default="shared"
        The standard deviation: one for all features, one for each, or one for each feature and row
        as a second output of the decoder.
    min_scale : float, default=0.001
        Floor under the standard deviation, in units of each feature's own, between 1e-6 and 1.
        Without one the density of data near a manifold grows without bound.

    Attributes
    ----------
    n_heads : int
        Number of decoder outputs for each feature: 1, or 2 with ``scale="row"``.
    standardized, binary, positive_only : bool
        What data it is for: standardised.

    See Also
    --------
    ContinuousBernoulli : For grey levels in [0, 1].

    Notes
    -----
    With one shared standard deviation and a linear decoder, the model is probabilistic principal
    component analysis; with one for each feature, it is factor analysis. With one for each row the
    gradients are wilder: ``min_scale=0.01`` and a ``learning_rate_init`` of 0.001 tame them.

    Examples
    --------
    >>> from skgen.likelihoods import Gaussian
    >>> Gaussian("row").n_heads
    2
    """

    scale: Literal["shared", "feature", "row"] = "shared"
    min_scale: float = 1e-3

    standardized: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_choice(self.scale, "scale", ("shared", "feature", "row"))
        check_number(
            self.min_scale, "min_scale", low=1e-6, high=1,
            remedy="It is in units of each feature's standard deviation.",
        )  # fmt: skip

    @property
    def n_heads(self) -> int:
        return 2 if self.scale == "row" else 1

    def n_free(self, n_features: int) -> int:
        return {"shared": 1, "feature": n_features, "row": 0}[self.scale]

    def distribution(self, outputs: Tensor, free: Tensor) -> td.Normal:
        mean, variance = self._moments(outputs, free)
        return td.Normal(mean, variance.sqrt().expand_as(mean), validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        mean, variance = self._moments(outputs, free)
        squares = (x - mean).square()
        n_features = x.shape[-1]
        if self.scale == "shared":
            log_det = n_features * variance.log()
            distance = squares.sum(-1) / variance
        else:
            log_det = variance.log().sum(-1)
            distance = (squares / variance).sum(-1)
        return -0.5 * (distance + (log_det + n_features * LOG_2_PI))

    def mean_log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        if self.scale != "shared":
            return super().mean_log_prob(x, outputs, free)
        mean, variance = self._moments(outputs, free)
        squares = functional.mse_loss(mean, x)
        return -0.5 * x.shape[-1] * (squares / variance + variance.log() + LOG_2_PI).squeeze()

    def draw(self, outputs: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
        mean, variance = self._moments(outputs, free)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        return mean + variance.sqrt() * noise

    def _moments(self, outputs: Tensor, free: Tensor) -> tuple[Tensor, Tensor]:
        log_variance = free
        if self.scale == "row":
            outputs, log_variance = outputs.chunk(2, -1)
            log_variance = log_variance.clamp(max=GREATEST_LOG_VARIANCE)
        return outputs, log_variance.exp() + self.min_scale**2


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


SHORTCUTS: dict[str, Callable[[], Likelihood]] = {
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
}


def resolve_likelihood(likelihood: Any) -> Likelihood:
    """The likelihood that ``likelihood``, a shortcut or a `Likelihood`, stands for."""
    if isinstance(likelihood, str):
        return SHORTCUTS[check_choice(likelihood, "likelihood", tuple(SHORTCUTS))]()
    if not isinstance(likelihood, Likelihood):
        raise TypeError(
            f"`likelihood` must be a str or a Likelihood; got likelihood={shown(likelihood)}. "
            f"Choose one of {', '.join(map(repr, SHORTCUTS))}, or pass for example "
            "skgen.likelihoods.Gaussian('feature')."
        )
    return likelihood
