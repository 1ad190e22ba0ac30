"""Normal likelihoods."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.distributions as td
from torch import Tensor
from torch.nn import functional

from .._validation import check_choice, check_number
from ._base import Likelihood

LOG_2_PI = math.log(2 * math.pi)


GREATEST_LOG_VARIANCE = 15.0


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
