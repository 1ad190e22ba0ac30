"""Likelihoods of counts."""

import copy
from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
import torch
import torch.distributions as td
from torch import Generator, Tensor, from_numpy
from torch.nn import functional

from .._schema import array, store
from .._validation import FloatArray
from ._base import COLUMNS, CONSTANTS, Columns, Likelihood, location_and_scale

LARGEST_LOG_MEAN = 30.0
SMALLEST_MEAN = 1e-3
"""Smallest mean that is turned into an initial output."""
LARGEST_LOG_SHAPE = 8.0
"""Logarithm of the shape from which on a negative binomial distribution counts as Poisson."""
LARGEST_INITIAL_LOG_SHAPE = 6.0
"""Largest magnitude of the logarithm of a shape at which training starts."""
SHAPE_STEP = 4.0
"""Change of a log shape per unit of its parameter, so that it can move far in a few steps."""

LOG_MEANS = {"log_location_": array("n_features"), "log_scale_": array("n_features", 0.0)}
"""Units of a Poisson likelihood's outputs in files."""


class CountLikelihood(Likelihood):
    """Base class of likelihoods of counts, whose outputs stand for logarithms of the means.

    A feature that is constant in the data is a point mass, as in `Gaussian`.
    """

    positive_only: ClassVar[bool] = True

    def for_columns(self, columns: Columns) -> Self:
        return self._with_columns(columns)

    def check_support(self, X: FloatArray, name: str = "X") -> FloatArray:
        invalid = (X < 0) | (np.round(X) != X) & ~np.isnan(X)
        if invalid.any():
            row, column = np.argwhere(invalid)[0]
            remedy = (
                "Negative values in data, and fractions, have no probability: take a Numeric or a "
                "Gaussian likelihood."
            )
            value = f"{X[row, column]:g}"
            raise self._support_error(int(column), "counts 0, 1, 2, ...", value, remedy, name)
        return X

    def fit(self, X: FloatArray) -> Self:
        self._check_observed(X)
        return self._with_constants(X)

    def onnx_transform(self, x: Tensor) -> Tensor:
        # Defined here, beside `check_support`, to state that it needs nothing else: see
        # `skgen.onnx`, which requires both of one class.
        return super().onnx_transform(x)

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        # Logarithms, because counts may be of any size; missing cells, which are 0, remain 0.
        return torch.log1p(x)

    def _log_mean(self, outputs: Tensor) -> Tensor:
        """Return logarithms of the means."""
        return outputs.clamp(max=LARGEST_LOG_MEAN)

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self._log_mean(outputs).exp()

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        return np.log(np.maximum(mean, SMALLEST_MEAN))

    @abstractmethod
    def _draw_rates(self, mean: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        """Draw the rates of Poisson distributions, on the CPU."""

    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        mean = self.mean(outputs, global_parameters).cpu()
        rates = self._draw_rates(mean, global_parameters.cpu(), generator)
        return torch.poisson(rates, generator).to(outputs.device)


@store(options={**COLUMNS, **CONSTANTS, **LOG_MEANS}, parameters={})
@dataclass(frozen=True)
class Poisson(CountLikelihood):
    """Poisson distribution of each feature, for counts.

    ``x_d ~ Poisson(exp(log_location_d + log_scale_d * output_d(z)))``. So outputs are in units of
    the variation of the data, as those of `Gaussian`: large means, whose logarithms must be
    accurate, are learned like small ones. The encoder sees logarithms, log(1 + x).

    Attributes
    ----------
    log_location_ : ndarray of shape (n_features,)
        Logarithms of the means of the data.
    log_scale_ : ndarray of shape (n_features,)
        Standard deviations of the data relative to their means, as those of logarithms, at least
        that of a Poisson distribution, and at most 1.

    See Also
    --------
    NegativeBinomial : For counts that vary more.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import Poisson
    >>> Poisson().mean(torch.zeros(1, 3), torch.zeros(0))
    tensor([[1., 1., 1.]])
    """

    shortcut: ClassVar[str] = "poisson"

    def fit(self, X: FloatArray) -> Self:
        fitted = copy.copy(super().fit(X))
        mean, scale = location_and_scale(X)
        mean = np.where(mean > 0, mean, SMALLEST_MEAN)  # of zeros, which may vary in a stream
        # Of a lognormal distribution with these moments; given z, the variance is the mean.
        log_scale = np.sqrt(np.log1p(np.maximum(scale**2, mean) / mean**2))
        vars(fitted).update(log_location_=np.log(mean), log_scale_=log_scale.clip(max=1.0))
        return fitted

    def _units(self) -> tuple[FloatArray, FloatArray]:
        """Return location and scale of the logarithms, or those of outputs before `fit`."""
        fitted = vars(self)
        return fitted.get("log_location_", np.zeros(1)), fitted.get("log_scale_", np.ones(1))

    def _log_mean(self, outputs: Tensor) -> Tensor:
        location, scale = (from_numpy(units).to(outputs) for units in self._units())
        return super()._log_mean(location + scale * outputs)

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        location, scale = self._units()
        return (super().initial_outputs(mean) - location) / scale

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Poisson:
        return td.Poisson(self.mean(outputs, global_parameters), validate_args=False)

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        log_mean = self._log_mean(outputs)
        log_prob = x * log_mean - log_mean.exp() - torch.lgamma(x + 1)
        return self._leave_out_constants(log_prob)

    def _draw_rates(self, mean: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        return mean


@store(options={**COLUMNS, **CONSTANTS, "log_shape_": array("n_features")}, parameters={})
@dataclass(frozen=True)
class NegativeBinomial(CountLikelihood):
    """Negative binomial distribution of each feature, for counts that vary more than Poisson's.

    ``x_d ~ Poisson(r)``, where the rate r has a gamma distribution with mean ``exp(output_d(z))``
    and a shape that is learned for each feature. The variance is mean + mean^2 / shape. The encoder
    sees logarithms, log(1 + x). Training starts at the shapes that fit the data without a latent
    code.

    Attributes
    ----------
    log_shape_ : ndarray of shape (n_features,)
        Logarithms of the shapes at which training starts, between -6 and 6.

    See Also
    --------
    Poisson : For counts whose variance given z is their mean.

    Examples
    --------
    >>> import torch
    >>> from skgen.likelihoods import NegativeBinomial
    >>> NegativeBinomial().distribution(torch.zeros(1, 2), torch.zeros(2)).variance
    tensor([[2., 2.]])
    """

    shortcut: ClassVar[str] = "negative_binomial"

    def fit(self, X: FloatArray) -> Self:
        fitted = copy.copy(super().fit(X))
        mean, scale = location_and_scale(X)
        with np.errstate(divide="ignore"):
            log_shape = 2 * np.log(mean) - np.log((scale**2 - mean).clip(0))
        log_shape = log_shape.clip(-LARGEST_INITIAL_LOG_SHAPE, LARGEST_INITIAL_LOG_SHAPE)
        vars(fitted)["log_shape_"] = np.where(mean > 0, log_shape, 0.0)
        return fitted

    def n_global_parameters(self, n_features: int) -> int:
        return n_features

    def _log_shape(self, global_parameters: Tensor) -> Tensor:
        """Return the logarithms of the shapes; before `fit` they are the parameters themselves."""
        start = vars(self).get("log_shape_")
        log_shape = global_parameters
        if start is not None:
            log_shape = from_numpy(start).to(log_shape) + SHAPE_STEP * log_shape
        return log_shape.clamp(-LARGEST_LOG_SHAPE, LARGEST_LOG_SHAPE)

    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.NegativeBinomial:
        log_shape = self._log_shape(global_parameters)
        logits = outputs.clamp(max=LARGEST_LOG_MEAN) - log_shape
        shape = log_shape.exp().expand_as(logits)
        return td.NegativeBinomial(shape, logits=logits, validate_args=False)

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        return self.distribution(outputs, global_parameters).mean

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        log_shape = self._log_shape(global_parameters)
        logits, shape = outputs.clamp(max=LARGEST_LOG_MEAN) - log_shape, log_shape.exp()
        log_binomial = torch.lgamma(x + shape) - torch.lgamma(shape) - torch.lgamma(x + 1)
        return self._leave_out_constants(
            log_binomial
            + x * functional.logsigmoid(logits)
            + shape * functional.logsigmoid(-logits)
        )

    def _draw_rates(self, mean: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        shape = self._log_shape(global_parameters).exp().expand_as(mean)
        return torch._standard_gamma(shape.contiguous(), generator) * mean / shape
