"""Base classes of likelihoods p(x | z)."""

import copy
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from inspect import signature
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
import torch.distributions as td
from torch import Generator, Tensor, from_numpy

from .._parameters import Flag, Parameters, check_fields
from .._schema import Check, array
from .._validation import FloatArray, extremes, missing_cells, short_repr

STANDARDIZED = {"location_": array("n_features"), "scale_": array("n_features", 1e-300)}
"""State of a fitted `StandardizedLikelihood` in files."""
IS_CONSTANT = {"is_constant_": array("n_features", kinds="b")}
"""Mask of the constant features, which files of 0.1.0 lack."""
CONSTANTS = {**IS_CONSTANT, "constants_": array("n_features")}
"""Mask of the constant features, and their values, if there are any; 0 for other features."""
CONSTANT_DIGITS = 1e-6
"""Largest relative deviation from a constant that counts as rounding to single precision."""
LOG_DEVIATION = math.log(1e-10) - 2
"""Log probability of any other value of a constant feature, in nats."""
Columns = tuple[tuple[Any, int], ...]
"""Columns of a table: the name and the number of categories of each, 0 for numbers."""


def _are_columns(value: Any, _: Any) -> bool:
    return isinstance(value, tuple) and all(
        isinstance(column, tuple) and len(column) == 2 and type(column[1]) is int and column[1] >= 0
        for column in value
    )


COLUMNS = {"columns_": Check(_are_columns)}
"""Columns of a likelihood in files, if it has any."""
BLOCK_VALUES = 2**18
"""Number of values of X that are processed at a time."""


class Likelihood(ABC):
    """Distribution of x given a decoder's outputs.

    Likelihoods are immutable. `fit` returns a copy that has learned how data are transformed
    before the networks see them; densities, means and draws are those of transformed data. A
    subclass must define `distribution` and `draw`.

    A feature that was constant in the data of `fit` may count as a point mass. Networks then see
    the constant in place of any value, `log_prob` is 0, and `log_masses` is the log probability of
    a deviation.

    Attributes
    ----------
    shortcut : str
        Name by which an estimator takes this likelihood with its defaults.
    binary : bool
        True if data are binary. Grey levels are then probabilities, from which data are drawn.
    positive_only : bool
        True if negative values are an error.
    categorical : bool
        True if columns of text and categories can be modelled, as integer codes.
    handle_unknown : {"error", "ignore"}
        Treatment of categories that `fit` did not see: an error, or a rare category.
    linear_transform : bool
        True if each feature is transformed linearly, so that moments of transformed data give those
        of the data.

    See Also
    --------
    StandardizedLikelihood : Base class of likelihoods of standardized data.
    skgen.VAETransformer : Takes a likelihood.

    Notes
    -----
    Several methods have the same arguments: transformed data ``x``, a Tensor of shape (n_samples,
    n_features); a decoder's ``outputs``, of shape (..., n_samples, n_outputs), or (..., 1,
    n_outputs) if all rows have the same; and ``global_parameters``, of shape
    (n_global_parameters,), which all rows share and which are learned with the networks.

    Examples
    --------
    >>> from skgen.likelihoods import Bernoulli, Likelihood
    >>> isinstance(Bernoulli(), Likelihood)
    True
    """

    shortcut: ClassVar[str]
    binary: ClassVar[bool] = False
    positive_only: ClassVar[bool] = False
    categorical: ClassVar[bool] = False
    handle_unknown: str = "ignore"
    linear_transform: ClassVar[bool] = True

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        """Instances for the tests of all likelihoods."""
        return (cls(),)

    def __eq__(self, other: object) -> bool:
        """Compare by type and parameters; what `fit` learns does not count."""
        return type(self) is type(other) and self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values().items()))

    def _values(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.endswith("_")}

    def for_columns(self, columns: Columns) -> Self:
        """Return the likelihood for a table with these columns, before `fit`.

        Parameters
        ----------
        columns : tuple of (name, n_categories)
            Names of the columns, each with its number of categories, or 0 for numbers.

        Returns
        -------
        likelihood : Likelihood
            By default the likelihood itself.
        """
        return self

    def _with_columns(self, columns: Columns) -> Self:
        """Return a copy whose error messages name the columns."""
        likelihood = copy.copy(self)
        vars(likelihood)["columns_"] = columns
        return likelihood

    def _support_error(
        self, column: int, condition: str, value: Any, remedy: str, name: str = "X"
    ) -> ValueError:
        """Return the error for a value outside the support, which names its column."""
        columns = vars(self).get("columns_")
        label = columns[column][0] if columns else column
        return ValueError(
            f"`{name}` must hold {condition} in column {label!r} for likelihood="
            f"{short_repr(self)}; got {value}. {remedy}"
        )

    def _check_observed(self, X: FloatArray) -> None:
        """Raise unless each column has an observed cell."""
        empty = np.flatnonzero(np.isnan(X).all(axis=0))
        if len(empty):
            raise self._support_error(
                int(empty[0]), "an observed cell", "missing cells only", "Leave the column out."
            )

    def n_inputs(self, n_features: int) -> int:
        """Return the number of values per row that the encoder sees.

        Parameters
        ----------
        n_features : int
            Number of features.

        Returns
        -------
        n_inputs : int
            Number of values, by default one for each feature.
        """
        return n_features

    def encoder_inputs(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return what the encoder sees of transformed data.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Transformed data, 0 in missing cells.
        mask : Tensor of bool of shape (n_samples, n_features), default=None
            True for missing cells, whose inputs are all 0.

        Returns
        -------
        inputs : Tensor of shape (n_samples, n_inputs)
            By default x.
        """
        return x

    def n_outputs(self, n_features: int) -> int:
        """Return the number of decoder outputs.

        Parameters
        ----------
        n_features : int
            Number of features.

        Returns
        -------
        n_outputs : int
            Number of outputs, by default one for each feature.
        """
        return n_features

    def n_global_parameters(self, n_features: int) -> int:
        """Return the number of parameters that all rows share, learned with the networks.

        Parameters
        ----------
        n_features : int
            Number of features.

        Returns
        -------
        n_global_parameters : int
            Number of parameters, by default 0; they start at 0.
        """
        return 0

    def check_support(self, X: FloatArray, name: str = "X") -> FloatArray:
        """Raise a ValueError if a value lies outside the support.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.
        name : str, default="X"
            Name of the data in the message: the argument of the method that was called.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The same data, or a clipped copy.
        """
        return X

    def fit(self, X: FloatArray) -> Self:
        """Learn the transform from data.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        likelihood : Likelihood
            Fitted copy, or the likelihood itself if there is nothing to learn.
        """
        return self

    def without_constants(self) -> Self:
        """Return the fitted likelihood without constants, for a stream where they may vary later.

        Returns
        -------
        likelihood : Likelihood
            Copy without constant features, or the likelihood itself if it has none.
        """
        if "is_constant_" not in vars(self):
            return self
        varying = copy.copy(self)  # changed by `vars`, since subclasses may be frozen
        for name in CONSTANTS:
            vars(varying).pop(name, None)
        return varying

    @property
    def _is_constant(self) -> npt.NDArray[np.bool_] | None:
        """Mask of the constant features, or None if there are none."""
        constant = vars(self).get("is_constant_")
        return constant if constant is not None and constant.any() else None

    @property
    def _constants(self) -> FloatArray:
        """Values of the constant features; those of other features have no meaning."""
        constants: FloatArray = vars(self)["constants_"]
        return constants

    def _with_constants(self, X: FloatArray) -> Self:
        """Return a copy with the constant features of X, or `without_constants` if X has none."""
        constant, values = find_constants(X)
        if not constant.any():
            return self.without_constants()
        fitted = copy.copy(self)
        vars(fitted).update(is_constant_=constant, constants_=np.where(constant, values, 0.0))
        return fitted

    def _leave_out_constants(self, log_prob: Tensor) -> Tensor:
        """Return log densities with 0 for constant features."""
        if (constant := self._is_constant) is None:
            return log_prob
        return log_prob.masked_fill(from_numpy(constant).to(log_prob.device), 0.0)

    def hide_deviations(self, X: FloatArray) -> FloatArray:
        """Return data with the constant in place of all observed values of a constant feature.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The same data, or a copy.
        """
        if (constant := self._is_constant) is None:
            return X
        return np.where(constant & ~np.isnan(X), self._constants, X).astype(X.dtype, copy=False)

    def log_masses(self, X: FloatArray) -> FloatArray:
        """Return the log probability of each cell under the point masses of constant features.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_masses : ndarray of shape (n_samples, n_features) or (1, n_features)
            0; about -25 nats, whatever the units, where a value differs from the constant.
        """
        if (constant := self._is_constant) is None:
            return np.zeros((1, X.shape[1]))
        steps = np.abs(X - self._constants)
        deviates = constant & (steps > CONSTANT_DIGITS * np.abs(self._constants))
        return np.where(deviates, LOG_DEVIATION, 0.0)

    def transform(self, X: FloatArray) -> FloatArray:
        """Transform data to the values that the networks see; `inverse_transform` is the inverse.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data, or transformed values such as means and draws.

        Returns
        -------
        X_transformed : ndarray of shape (n_samples, n_features)
            By default `hide_deviations` of X. Each column is a monotone function of the same column
            of X.
        """
        return self.hide_deviations(X)

    inverse_transform = transform

    def log_jacobian(self, X: FloatArray) -> FloatArray:
        """Return log abs(d transform(x) / dx), for log densities in the units of the data.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        log_jacobian : ndarray of shape (n_samples, n_features) or (1, n_features)
            Logarithms of the derivatives, in nats; one row if they are the same for all rows.
        """
        return np.zeros((1, X.shape[1]))

    def onnx_transform(self, x: Tensor) -> Tensor:
        """Apply `check_support` and `transform` by torch's operators, for ONNX models.

        `onnx_inverse_transform` is the same for `inverse_transform`.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data, or transformed values.

        Returns
        -------
        x : Tensor of shape (n_samples, n_features)
            Transformed data, or values in the units of the data, in the same precision.
        """
        if (constant := self._is_constant) is None:
            return x
        return torch.where(from_numpy(constant), from_numpy(self._constants).to(x.dtype), x)

    onnx_inverse_transform = onnx_transform

    @abstractmethod
    def distribution(self, outputs: Tensor, global_parameters: Tensor) -> td.Distribution:
        """Return the distribution of x, of batch shape (..., n_features), independent by feature.

        Parameters
        ----------
        outputs, global_parameters : Tensor
            A decoder's outputs and parameters that all rows share.
        """

    def log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        """Return the log density of each feature, in nats.

        Parameters
        ----------
        x, outputs, global_parameters : Tensor
            Data, a decoder's outputs and parameters that all rows share.

        Returns
        -------
        log_prob : Tensor of shape (..., n_samples, n_features)
            Log densities.
        """
        log_prob = self.distribution(outputs, global_parameters).log_prob(x)
        return self._leave_out_constants(log_prob)

    def sum_log_prob(
        self, x: Tensor, outputs: Tensor, global_parameters: Tensor, mask: Tensor | None = None
    ) -> Tensor:
        """Return the sum of `log_prob` over the features that are not masked.

        Parameters
        ----------
        x, outputs, global_parameters : Tensor
            Data, a decoder's outputs and parameters that all rows share.
        mask : Tensor of bool of shape (n_samples, n_features), default=None
            True for missing cells, where x may have any finite values. None means that no cell is
            missing.

        Returns
        -------
        sum_log_prob : Tensor of shape (..., n_samples)
            Log densities per row.
        """
        log_prob = self.log_prob(x, outputs, global_parameters)
        return (log_prob if mask is None else log_prob.masked_fill(mask, 0.0)).sum(-1)

    def mean_log_prob(self, x: Tensor, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        """Return the mean of `sum_log_prob` over rows, the data term of the objective in training.

        Parameters
        ----------
        x, outputs, global_parameters : Tensor
            Data, a decoder's outputs and parameters that all rows share.

        Returns
        -------
        mean_log_prob : Tensor of shape ()
            Mean log density per row.
        """
        return self.sum_log_prob(x, outputs, global_parameters).mean()

    def mean(self, outputs: Tensor, global_parameters: Tensor) -> Tensor:
        """Return the mean of x.

        Parameters
        ----------
        outputs, global_parameters : Tensor
            A decoder's outputs and parameters that all rows share.

        Returns
        -------
        mean : Tensor of shape (..., n_features)
            Means of transformed data. `inverse_transform` converts them to the units of the data.
        """
        return self.distribution(outputs, global_parameters).mean

    def mixture_mean(self, outputs: Tensor, global_parameters: Tensor, weights: Tensor) -> Tensor:
        """Return the weighted mean of x over several draws of z for each row, for imputation.

        Parameters
        ----------
        outputs, global_parameters : Tensor
            A decoder's outputs, of shape (n_draws, n_samples, n_outputs), and parameters that all
            rows share.
        weights : Tensor of shape (n_draws, n_samples)
            Weights of the draws, which add up to 1 for each row.

        Returns
        -------
        mixture_mean : Tensor of shape (n_samples, n_features)
            Weighted means of `mean`; a likelihood of categories returns the most probable ones.
        """
        return (weights[..., None] * self.mean(outputs, global_parameters)).sum(0)

    def linear_variance(self, global_parameters: Tensor) -> Tensor | None:
        """Return the variance of x if x given z is normal with the outputs as its mean.

        If also the decoder is linear and the prior is standard normal, z given x is normal, and
        missing cells are imputed and drawn in closed form.

        Parameters
        ----------
        global_parameters : Tensor
            Parameters that all rows share.

        Returns
        -------
        variance : Tensor of shape (n_features,) or (1,), or None
            Variances. None, the default, means that x has another distribution.
        """
        return None

    def parameters_at(self, variance: FloatArray) -> FloatArray:
        """Return global parameters for which `linear_variance` is near given variances.

        Parameters
        ----------
        variance : ndarray of shape (n_features,)
            Variances, at least 0.

        Returns
        -------
        global_parameters : ndarray of shape (n_global_parameters,)
            Parameters, by default zeros. They are needed only if `linear_variance` is not None.
        """
        return np.zeros(self.n_global_parameters(len(variance)))

    @abstractmethod
    def draw(self, outputs: Tensor, global_parameters: Tensor, generator: Generator) -> Tensor:
        """Draw x for each row of outputs, of shape (n_samples, n_features).

        Parameters
        ----------
        outputs, global_parameters : Tensor
            A decoder's outputs and parameters that all rows share.
        generator : torch.Generator
            Source of randomness, on the CPU.
        """

    def initial_outputs(self, mean: FloatArray) -> FloatArray:
        """Return outputs for which the distribution has a given mean; the decoder starts there.

        Parameters
        ----------
        mean : ndarray of shape (n_features,)
            Mean of the transformed data.

        Returns
        -------
        outputs : ndarray of shape (n_outputs,)
            Outputs, by default the mean and then zeros.
        """
        return np.concatenate([mean, np.zeros(self.n_outputs(len(mean)) - len(mean))])


class StandardizedLikelihood(Likelihood):
    """Base class of likelihoods of data that are standardized feature by feature.

    Attributes
    ----------
    location_ : ndarray of shape (n_features,)
        Means of the features, which are subtracted.
    scale_ : ndarray of shape (n_features,)
        Standard deviations, by which features are divided; 1 for a constant feature.
    is_constant_ : ndarray of bool of shape (n_features,)
        True for constant features. All values are transformed to 0, and back to the constant.

    See Also
    --------
    Gaussian : A likelihood of standardized data.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.likelihoods import Gaussian
    >>> X = np.array([[1.0, 5.0], [3.0, 5.0]])
    >>> Gaussian().fit(X).transform(X)
    array([[-1.,  0.],
           [ 1.,  0.]])
    """

    location_: FloatArray
    scale_: FloatArray

    def fit(self, X: FloatArray) -> Self:
        location, scale = location_and_scale(X)
        constant, values = find_constants(X)
        fitted = copy.copy(self)
        vars(fitted).update(
            location_=np.where(constant, values, location),
            scale_=np.where(constant, 1.0, scale),
            is_constant_=constant,
        )
        return fitted

    @property
    def _constants(self) -> FloatArray:
        return self.location_

    @property
    def _widths(self) -> FloatArray:
        """Scales of the features; 0 for a constant feature, so that it comes back unchanged."""
        constant = self._is_constant
        return self.scale_ if constant is None else np.where(constant, 0.0, self.scale_)

    def transform(self, X: FloatArray) -> FloatArray:
        standard = X - self.location_
        if (constant := self._is_constant) is not None:
            standard[constant & ~np.isnan(X)] = 0.0
        standard /= self.scale_
        return standard

    def inverse_transform(self, X: FloatArray) -> FloatArray:
        return X * self._widths + self.location_

    def log_jacobian(self, X: FloatArray) -> FloatArray:
        return -np.log(self.scale_)[None]

    def onnx_transform(self, x: Tensor) -> Tensor:
        steps = x.double() - from_numpy(self.location_)
        if (constant := self._is_constant) is not None:
            steps = torch.where(from_numpy(constant), 0.0, steps)
        return (steps / from_numpy(self.scale_)).to(x.dtype)

    def onnx_inverse_transform(self, x: Tensor) -> Tensor:
        return (x.double() * from_numpy(self._widths) + from_numpy(self.location_)).to(x.dtype)


@dataclass(frozen=True)
class UnitIntervalLikelihood(Likelihood):
    """Base class of likelihoods of values in [0, 1]."""

    clip: bool = False

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return cls(), cls(clip=True)

    _parameters: ClassVar[Parameters] = {"clip": Flag()}

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def positive_only(self) -> bool:  # type: ignore[override]
        return not self.clip

    def check_support(self, X: FloatArray, name: str = "X") -> FloatArray:
        low, high = extremes(X)
        if not (low < 0 or high > 1):
            return X
        if self.clip:
            return X.clip(0, 1)
        raise ValueError(
            f"`{name}` must hold values in [0, 1] for likelihood={self}; got values from {low:g} "
            f"to {high:g}. Negative values in data, or values above 1, have no probability: divide "
            f"grey levels by the largest one ({name} / 255), or take clip=True or a Gaussian "
            "likelihood."
        )

    def onnx_transform(self, x: Tensor) -> Tensor:
        return super().onnx_transform(x.clamp(0, 1) if self.clip else x)


def check_support(likelihood: Likelihood, X: FloatArray, name: str) -> FloatArray:
    """Call the method of this name, with the name of the data if it takes one."""
    takes_name = "name" in signature(likelihood.check_support).parameters
    return likelihood.check_support(X, name) if takes_name else likelihood.check_support(X)


def find_constants(X: FloatArray) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Return a mask of the features that are constant up to rounding, and the lowest values."""
    low, high = extremes(X, axis=0)
    width = np.subtract(high, low, dtype=np.float64)  # differences may overflow in float32
    return width <= 4 * np.finfo(X.dtype).eps * np.abs(low), low


def location_and_scale(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and standard deviation of each feature's observed cells; 1 for a constant.

    X may be larger than memory: moments of blocks are combined by the update of Chan, Golub and
    LeVeque (Algorithms for computing the sample variance, The American Statistician 37, 1983, eq.
    1.5). The moments of each block are corrected for the rounding of its mean (eq. 1.7).
    """
    n, total, squares = np.zeros((3, X.shape[1]))
    step = max(1, BLOCK_VALUES // X.shape[1])
    for start in range(0, len(X), step):
        # In memory row by row: sums then ignore its order.
        m, block_total, block_squares = _moments(np.ascontiguousarray(X[start : start + step]))
        with np.errstate(divide="ignore", invalid="ignore"):
            between = n / m / (n + m) * (total / (n / m) - block_total) ** 2
        squares = squares + block_squares + np.where(n * m > 0, between, 0.0)
        n, total = n + m, total + block_total
    mean, variance = total / n, squares / n
    eps = np.finfo(np.float64).eps
    rounding = n * eps * variance + (n * mean * eps) ** 2  # in the variance of a constant
    return mean, np.where(variance <= rounding, 1.0, np.sqrt(variance.clip(0)))


def _moments(block: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return number, sum and sum of squared deviations of the observed cells of each column."""
    n = np.full(block.shape[1], len(block), dtype=np.float64)
    if (missing := missing_cells(block)) is not None:
        n -= missing.sum(axis=0)
        block = np.where(missing, 0.0, block)
    total = block.sum(axis=0, dtype=np.float64)
    deviations = block - total / n.clip(1)
    if missing is not None:
        deviations[missing] = 0.0
    correction = deviations.sum(axis=0) ** 2 / n.clip(1)
    deviations **= 2
    return n, total, deviations.sum(axis=0) - correction
