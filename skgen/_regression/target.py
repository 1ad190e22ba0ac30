"""Transformation of targets: models are fitted to ``z = transform(y)``, and results are for y.

The Yeo-Johnson transformation (I.-K. Yeo and R. A. Johnson, A new family of power transformations
to improve normality or symmetry, Biometrika 87(4), 2000) is a power of ``1 + y`` above zero and
another one of ``1 - y`` below. Here y is first centered at its median and divided by its
interquartile range, so that the unit and the origin of y do not matter. The power is in [0, 2],
where each real z has a y.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import boxcox1p, inv_boxcox1p
from sklearn.base import clone
from sklearn.utils.validation import has_fit_parameter

from .._parameters import NONE, Choice, Custom
from .._schema import TRANSFORMER, array, each, made_of, number, store
from .._validation import LARGEST, FloatArray, error_message
from .rows import Rows

POWER_DIGITS = 2  # data do not determine more, and rounding gives equal fits equal powers
STEP = 1e-3  # of finite differences, in standard deviations of z; their error is of order step^4
TAILS = (1e6, 1e12)  # distances, in standard deviations of z, between which growth is measured
FEWEST_VALUES = 10  # different values of y, which say something about its transformation
ROUNDING = 1e-13  # spread relative to the values, below which it is rounding
ROUND_TRIP = 1e-6  # largest relative error of the inverse
BEYOND, GRID_POINTS = 3.0, 21  # standard deviations beyond the data where it must be monotone
REMEDY = "Choose 'log' or 'yeo-johnson', whose z are all real numbers, or another transformer."


@store(parameters={})
@dataclass(frozen=True)
class Logarithm:
    """``z = log(y)`` of positive y."""

    @classmethod
    def fit(cls, y: FloatArray, weights: FloatArray) -> Self:
        """The logarithm, or raise if a y is not positive."""
        if not np.all(y > 0):
            raise ValueError(
                f"`y` must be positive for target_transformer='log'; got {y.min():g}. Choose "
                "'yeo-johnson', or add a constant to y."
            )
        return cls()

    def transform(self, y: FloatArray) -> FloatArray:
        return np.log(y)

    def inverse_transform(self, z: FloatArray) -> FloatArray:
        return np.exp(z)

    def log_derivative(self, y: FloatArray) -> FloatArray:
        return -np.log(y)


@store(parameters={"power": number(0.0, 2.0), "center": number(), "unit": number(1 / LARGEST)})
@dataclass(frozen=True)
class YeoJohnson:
    """The Yeo-Johnson transformation of ``(y - center) / unit``."""

    power: float
    center: float
    unit: float

    @classmethod
    def fit(cls, y: FloatArray, weights: FloatArray) -> Self:
        """The power of largest likelihood for normal z, as in scikit-learn."""
        low, center, high = weighted_quantiles(y, weights, np.array([0.25, 0.5, 0.75]))
        unit = high - low if high > low else np.sqrt(np.average((y - center) ** 2, weights=weights))
        if unit <= ROUNDING * np.abs(center) or unit == 0:  # a constant y
            return cls(1.0, float(center), 1.0)
        center, unit = float(center), float(unit)
        if len(np.unique(y[weights > 0])) < FEWEST_VALUES:
            return cls(1.0, center, unit)

        def loss(power: float) -> float:
            trial = cls(power, center, unit)
            z, weight = trial.transform(y), weights.sum()
            variance = np.average((z - np.average(z, weights=weights)) ** 2, weights=weights)
            by_density = float(weights @ trial.log_derivative(y))
            return 0.5 * weight * float(np.log(max(variance, 1 / LARGEST))) - by_density

        found = minimize_scalar(loss, bounds=(0.0, 2.0), method="bounded", options={"xatol": 1e-4})
        return cls(round(float(found.x), POWER_DIGITS), center, unit)

    def transform(self, y: FloatArray) -> FloatArray:
        return self._apply(boxcox1p, (y - self.center) / self.unit)

    def inverse_transform(self, z: FloatArray) -> FloatArray:
        return self.center + self.unit * self._apply(inv_boxcox1p, z)

    def log_derivative(self, y: FloatArray) -> FloatArray:
        x = (y - self.center) / self.unit
        return np.asarray((self.power - 1) * np.sign(x) * np.log1p(np.abs(x)) - np.log(self.unit))

    def _apply(self, function: Callable[..., Any], x: FloatArray) -> FloatArray:
        """Apply a function to ``|x|`` and the power for the sign of x; keep the sign."""
        power = np.where(x < 0, 2 - self.power, self.power)
        return np.asarray(np.copysign(function(np.abs(x), power), x))


BUILT_IN: dict[str, Any] = {"log": Logarithm, "yeo-johnson": YeoJohnson}


def candidates(Y: FloatArray) -> list[str | None]:
    """The transformations that "auto" compares for targets Y."""
    if min(len(np.unique(y)) for y in Y.T) < FEWEST_VALUES:
        return [None]
    return [None, "yeo-johnson", *(["log"] if np.all(Y > 0) else [])]


def check_target_transformer(value: Any, name: str) -> Any:
    """Return ``value`` if it is a transformer with an inverse, else raise."""
    if not TRANSFORMER.holds(value, {}) or not hasattr(value, "inverse_transform"):
        condition = "be None, a str or a transformer instance with an inverse_transform"
        raise TypeError(error_message(name, condition, value, REMEDY))
    return value


TARGET_TRANSFORMER = (
    NONE
    | Choice("auto", *BUILT_IN)
    | Custom(check_target_transformer, lambda value: TRANSFORMER.holds(value, {}))
)
"""Kind of parameter: the name of a transformation of y, a transformer, or None."""


@store(
    parameters={
        "transformers": each(made_of(*BUILT_IN.values()) | TRANSFORMER, list),
        "signs": array("n_outputs", -1.0, 1.0),
        "spreads": array("n_outputs", 1 / LARGEST),
    }
)
@dataclass(frozen=True, eq=False)
class TargetTransform:
    """An increasing map from each output y to the z to which the model is fitted."""

    transformers: list[Any]
    """One per output, strictly monotone."""
    signs: FloatArray  # (n_outputs,), -1 for transformers that decrease
    spreads: FloatArray  # (n_outputs,), standard deviations of z at the fit

    @classmethod
    def fit(cls, kind: Any, rows: Rows) -> Self:
        """Transformers of this ``kind``, fitted to the outputs of ``rows``."""
        Y = np.asarray(rows.Y, dtype=np.float64)
        weights = np.ones(len(rows)) if rows.weights is None else rows.weights
        transformers, ones = [_fit(kind, y, weights) for y in Y.T], np.ones(Y.shape[1])
        unsigned = cls(transformers, ones, ones)
        Z = unsigned.transform(Y)
        if not np.isfinite(Z).all():
            raise ValueError(
                "`y` must be in the domain of `target_transformer`; got values that are not finite "
                f"after it. {REMEDY}"
            )
        spreads = Z.std(axis=0)
        spreads = np.where(spreads > ROUND_TRIP * np.abs(Z).max(axis=0), spreads, 1.0)
        margin = BEYOND * spreads
        grid = np.linspace(Z.min(axis=0) - margin, Z.max(axis=0) + margin, GRID_POINTS)
        error = np.abs(unsigned.inverse(Z) - Y)
        if not np.all(error <= ROUND_TRIP * (Y.std(axis=0) + np.abs(Y))):
            raise ValueError(
                "`target_transformer` must have an inverse_transform that undoes its transform; "
                f"got an error of {np.max(error):g} in y. {REMEDY}"
            )
        return cls(transformers, _directions(unsigned.inverse(grid)), spreads)

    def transform(self, Y: FloatArray) -> FloatArray:
        """Return z of the targets Y, shape (n_rows, n_outputs)."""
        return self._map("transform", np.asarray(Y, dtype=np.float64)) * self.signs

    def inverse(self, Z: FloatArray) -> FloatArray:
        """Return y of z, shape (n_rows, n_outputs, ...)."""
        signs = self.signs.reshape(-1, *[1] * (Z.ndim - 2))
        return self._map("inverse_transform", Z * signs)

    def checked_inverse(self, Z: FloatArray) -> FloatArray:
        """Return y of z, or raise if a z has no y, or one that overflows."""
        Y = self.inverse(Z)
        is_beyond = np.isinf(Y) & np.isfinite(Z)
        if is_beyond.any():
            raise ValueError(
                "`target_transformer` must give finite y; got infinite y from transformed values "
                f"like {Z[is_beyond][0]:g}. Predict nearer to the data, or choose None or a "
                "transformer whose inverse grows less."
            )
        if np.isnan(Y).any():
            raise ValueError(
                "`target_transformer` must have a y for each real number; got NaN from its "
                f"inverse_transform of values from {Z.min():g} to {Z.max():g}. {REMEDY}"
            )
        return Y

    def _map(self, method: str, table: FloatArray) -> FloatArray:
        result = np.empty_like(table)
        with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):
            for output, transformer in enumerate(self.transformers):
                column = table[:, output].reshape(-1, 1)
                mapped = np.asarray(getattr(transformer, method)(column))
                result[:, output] = mapped.reshape(result[:, output].shape)
        return result

    def log_derivative(self, Y: FloatArray) -> FloatArray:
        """Return ``log(dz / dy)`` at the targets Y, shape (n_rows, n_outputs)."""
        Y = np.asarray(Y, dtype=np.float64)
        result = np.empty_like(Y)
        with np.errstate(all="ignore"):
            for output, transformer in enumerate(self.transformers):
                if hasattr(transformer, "log_derivative"):
                    result[:, output] = np.ravel(transformer.log_derivative(Y[:, [output]]))
                else:
                    result[:, output] = -np.log(self._slope_of_inverse(Y)[:, output])
        return result

    def _slope_of_inverse(self, Y: FloatArray) -> FloatArray:
        """Return ``dy / dz`` by central differences of fourth order."""
        Z, step = self.transform(Y), STEP * self.spreads
        near, far = (self.inverse(Z + k * step) - self.inverse(Z - k * step) for k in (1, 2))
        return (8 * near - far) / (12 * step)

    @property
    def growth(self) -> FloatArray:
        """Power of ``|z|`` with which ``|y|`` grows in the tails, for each output."""
        near, far = (np.abs(self.inverse(np.outer([-1, 1], tail * self.spreads))) for tail in TAILS)
        with np.errstate(all="ignore"):
            growth = np.log(far / near).max(axis=0) / np.log(TAILS[1] / TAILS[0])
        return np.where(np.isfinite(growth), growth, np.inf)


def _fit(kind: Any, y: FloatArray, weights: FloatArray) -> Any:
    """Transformer that is fitted to one output."""
    if isinstance(kind, str):
        return BUILT_IN[kind].fit(y, weights)
    transformer = clone(kind)
    is_weighted = has_fit_parameter(transformer, "sample_weight")
    return transformer.fit(y[:, None], **({"sample_weight": weights} if is_weighted else {}))


def _directions(Y: FloatArray) -> FloatArray:
    """Return 1 for columns that increase, -1 for those that decrease; raise for any other."""
    steps = np.diff(Y, axis=0)
    signs = np.sign(steps[0])
    if not (np.isfinite(Y).all() and np.all(signs * steps > 0)):
        raise ValueError(
            "`target_transformer` must have an inverse_transform that is strictly monotone and "
            "finite, somewhat beyond the transformed y too; got one that gives equal, unordered or "
            f"infinite y there. {REMEDY}"
        )
    return np.asarray(signs)


def weighted_quantiles(y: FloatArray, weights: FloatArray, shares: FloatArray) -> FloatArray:
    """Smallest values with at least these shares of the weights at or below them."""
    order = np.argsort(y)
    cumulative = np.cumsum(weights[order])
    places = np.searchsorted(cumulative, shares * cumulative[-1] * (1 - 1e-12))
    return np.asarray(y[order][places])
