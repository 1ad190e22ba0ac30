"""Normal likelihood."""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal, Self

import numpy as np
import torch
import torch.distributions as td
from torch import Generator, Tensor
from torch.nn import functional

from .._parameters import Choice, Number, Parameters, check_fields
from .._schema import store
from .._validation import FloatArray
from ._base import IS_CONSTANT, STANDARDIZED, StandardizedLikelihood

LOG_2_PI = math.log(2 * math.pi)
LARGEST_LOG_VARIANCE = 15.0


@store(state=STANDARDIZED, options=IS_CONSTANT)
@dataclass(frozen=True)
class Gaussian(StandardizedLikelihood):
    """Normal distribution of each feature around the decoder's mean.

    ``x_d ~ N(mean_d(z), scale_d^2)``, on standardized data: means and scales are in units of each
    feature's standard deviation.

    Parameters
    ----------
    scale : {"shared", "feature", "row"}, default="shared"
        Standard deviation of the noise:

        - "shared": one for all features.
        - "feature": one for each feature.
        - "row": one for each feature and row, by a second output of the decoder.
    min_scale : float, default=0.001
        Smallest standard deviation, in units of each feature's own, between 1e-6 and 1. Without
        this limit, the density of data near a manifold would grow without bound.

    See Also
    --------
    StandardizedLikelihood : Base class, which has the fitted attributes.
    ContinuousBernoulli : For grey levels in [0, 1].

    Notes
    -----
    A constant feature counts as a point mass. It adds 0 to the log density; a value that differs
    from the constant adds -25.03 nats, whatever the units. Draws of the feature are the constant,
    and networks see the constant in place of any value.

    If the decoder is linear, the model with ``scale="shared"`` is probabilistic principal component
    analysis, and that with ``scale="feature"`` is factor analysis (Bishop [1]_ section 12.2). With
    ``scale="row"`` the gradients have more variance: ``min_scale=0.01`` and a
    ``learning_rate_init`` of 0.001 help.

    References
    ----------
    .. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006.

    Examples
    --------
    >>> from skgen.likelihoods import Gaussian
    >>> Gaussian("row").n_outputs(n_features=3)
    6
    """

    scale: Literal["shared", "feature", "row"] = "shared"
    min_scale: float = 1e-3
    shortcut: ClassVar[str] = "gaussian"
    _parameters: ClassVar[Parameters] = {
        "scale": Choice("shared", "feature", "row"),
        "min_scale": Number(
            1e-6, 1.0, remedy="It is in units of each feature's standard deviation."
        ),
    }

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(), cls("feature"), cls("row"), cls("feature", min_scale=0.5)

    def __post_init__(self) -> None:
        check_fields(self)

    def n_outputs(self, n_features: int) -> int:
        return 2 * n_features if self.scale == "row" else n_features

    def n_global_parameters(self, n_features: int) -> int:
        return {"shared": 1, "feature": n_features, "row": 0}[self.scale]

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Normal:
        mean, variance = self._moments(outputs, global_parameters)
        return td.Normal(mean, variance.sqrt().expand_as(mean), validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        mean, variance = self._moments(outputs, global_parameters)
        log_prob = -0.5 * ((x - mean).square() / variance + (variance.log() + LOG_2_PI))
        return self._leave_out_constants(log_prob)

    def sum_log_prob(
        self, x: Tensor, outputs: Tensor, global_parameters: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        if mask is not None or self._is_constant is not None:
            return super().sum_log_prob(x, outputs, global_parameters, mask)
        mean, variance = self._moments(outputs, global_parameters)
        squares, n_features = (x - mean).square(), x.shape[-1]
        if self.scale == "shared":
            log_det, distance = n_features * variance.log(), squares.sum(-1) / variance
        else:
            log_det, distance = variance.log().sum(-1), (squares / variance).sum(-1)
        return -0.5 * (distance + (log_det + n_features * LOG_2_PI))

    def mean_log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        if self.scale != "shared":
            return super().mean_log_prob(x, outputs, global_parameters)
        mean, variance = self._moments(outputs, global_parameters)
        n_varying = x.shape[-1]
        if (constant := self._is_constant) is not None:  # x is 0 there
            mean = mean * torch.from_numpy(~constant).to(mean)
            n_varying -= int(constant.sum())
        squares = functional.mse_loss(mean, x) * (x.shape[-1] / max(1, n_varying))
        return -0.5 * n_varying * (squares / variance + variance.log() + LOG_2_PI).squeeze()

    def linear_variance(self, global_parameters: Tensor) -> Tensor | None:
        if self.scale == "row":
            return None
        variance = global_parameters.exp() + self.min_scale**2
        if (constant := self._is_constant) is None:
            return variance
        # A constant feature carries no information about z.
        return torch.where(torch.from_numpy(constant).to(variance.device), torch.inf, variance)

    def parameters_at(self, variance: FloatArray) -> FloatArray:
        smallest = self.min_scale**2
        log_variance = np.log((variance - smallest).clip(min=smallest))
        if self.scale == "shared":
            return log_variance.mean(keepdims=True)
        return log_variance[: self.n_global_parameters(len(variance))]

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        mean, variance = self._moments(outputs, global_parameters)
        noise = torch.randn(mean.shape, generator=generator, dtype=mean.dtype).to(mean.device)
        return mean + variance.sqrt() * noise

    def _moments(self, outputs: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        if self.scale == "row":
            outputs, log_variance = outputs.chunk(2, -1)
            log_variance = log_variance.clamp(max=LARGEST_LOG_VARIANCE)
        return outputs, log_variance.exp() + self.min_scale**2
