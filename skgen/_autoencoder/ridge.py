"""Ridge regression: the linear part of a conditional autoencoder.

With normal noise and a normal prior of the weights, y at a new x has the variance s^2 (1 + h(x)).
The leverage h(x) is the variance of the regression itself, in units of the noise variance s^2. A
residual e_i of a row that the regression was fitted to has the variance s^2 (1 - h_i). So residuals
that are divided by the root of the one or of the other all have the variance s^2.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self, cast

import numpy as np
import numpy.typing as npt
from scipy.stats import norm, t

from .._schema import NONE, Values, array, made_of, number, store
from .._validation import FloatArray
from .row_noise import Keys, row_keys

MAX_ROWS = 5000  # largest number of rows in the regression
PENALTIES = (*np.logspace(-5, 2, 15), np.inf)  # per row, on standardized features
UPPER = 0.975
"""Probability at which a normal distribution gets the quantile of a Student t."""
SMALLEST_WIDENING = 1.01
"""Ratio of these quantiles below which both count as equal: each use costs a mean of draws."""


@store(
    parameters={
        "center": array("n_features"), "directions": array("n_directions n_features"),
        "variances": array("n_directions", 0.0), "rest": number(0.0), "base": number(0.0),
        "df": number(0.0),
    }
)  # fmt: skip
@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Variance of a ridge regression, in units of the noise variance, and how well that is known.

    The posterior covariance of the weights is that of a normal prior: V diag(variances) V' along
    the directions V in which rows differ, and ``rest``, the variance of the prior, along others.
    """

    center: FloatArray  # mean of the rows, of shape (n_features,)
    directions: FloatArray  # orthonormal rows V', of shape (n_directions, n_features)
    variances: FloatArray  # of shape (n_directions,)
    rest: float
    base: float  # variance of the mean of the targets
    df: float  # degrees of freedom of the noise variance

    def leverage(self, X: FloatArray) -> FloatArray:
        """Return the variance at new rows of standardized features."""
        return cast(FloatArray, self.variance(X, lambda values: values))

    def variance(self, X: Any, constant: Callable[[Any], Any]) -> Any:
        """Return the variance at rows of an array, or of a tensor with tensors as constants."""
        deviations, V = X - constant(self.center), constant(self.directions.T)
        along = deviations @ V
        variance = constant(self.base) + (along * along * constant(self.variances)).sum(1)
        if self.rest == 0 or len(self.variances) == len(self.center):
            return variance
        across = deviations - along @ V.T
        return variance + constant(self.rest) * (across * across).sum(1)

    @property
    def widening(self) -> float:
        """Ratio of the widths of the 95 % intervals of a Student t and a normal distribution."""
        ratio = float(t.ppf(UPPER, max(self.df, 1.0)) / norm.ppf(UPPER))
        return ratio if ratio >= SMALLEST_WIDENING else 1.0


@store(
    parameters={
        "coef": array("n_features n_outputs"), "intercept": array("n_outputs"),
        "keys": array("n_rows", 0, 2.0**64, kinds="u"), "leverage": array("n_rows", 0.0, 1.0),
        "uncertainty": NONE | made_of(Uncertainty),
    }
)  # fmt: skip
@dataclass(frozen=True, eq=False)
class RidgePart:
    """Linear map from standardized features to targets, fitted by ridge regression."""

    coef: FloatArray  # of shape (n_features, n_outputs)
    intercept: FloatArray  # of shape (n_outputs,)
    keys: Keys  # of the rows that it was fitted to, sorted
    leverage: FloatArray  # of these rows
    uncertainty: Uncertainty | None = None  # of a single row, and in files of 0.1.0, it is unknown

    @classmethod
    def fit(cls, X: FloatArray, Y: FloatArray, location: FloatArray, scale: FloatArray) -> Self:
        """Fit to rows, with the penalty of least leave-one-out error of standardized targets."""
        keys = row_keys(np.hstack([X, Y]), 0)
        varies = Y.min(axis=0) < Y.max(axis=0)
        location = np.where(varies, location, Y[0])  # exact, so that constants have residual 0
        standard = np.where(varies, (Y - location) / scale, 0.0)
        x_mean, y_mean = X.mean(axis=0), standard.mean(axis=0)
        U, s, Vt = np.linalg.svd(X - x_mean, full_matrices=False)
        projected = U.T @ (standard - y_mean)
        penalty, shrinkage, leverage = _choose_penalty(standard - y_mean, U, s, projected)
        variances = np.divide(shrinkage, s**2, out=np.zeros_like(s), where=shrinkage > 0)
        coef = Vt.T @ ((variances * s)[:, None] * projected) * scale
        intercept = location + scale * y_mean - x_mean @ coef
        uncertainty = None
        if len(X) > 1:
            df, used = _degrees_of_freedom(U, shrinkage, leverage), shrinkage > 0
            directions = Vt[used], variances[used]
            uncertainty = Uncertainty(x_mean, *directions, 1 / penalty, 1 / len(X), df)
        order = np.argsort(keys)
        return cls(coef, intercept, keys[order], leverage[order], uncertainty)

    def predict(self, X: FloatArray) -> FloatArray:
        """Return the linear map of standardized features."""
        return X @ self.coef + self.intercept

    def spread(self, X: FloatArray) -> FloatArray:
        """Return standard deviations of new rows, in units of the noise, of shape (n_rows, 1)."""
        if self.uncertainty is None:
            return np.ones((len(X), 1))
        return np.sqrt(1 + self.uncertainty.leverage(X))[:, None]

    @property
    def widening(self) -> float:
        """Factor of the noise that stands for what is not known of its variance."""
        return 1.0 if self.uncertainty is None else self.uncertainty.widening

    def training_residuals(self, X: FloatArray, Y: FloatArray) -> FloatArray:
        """Return residuals in units in which all have the variance of the noise."""
        known, leverage = self._own_leverage(X, Y)
        residuals = Y - self.predict(X)
        if self.uncertainty is None:
            # The leave-one-out identity of linear smoothers.
            return residuals / (1 - leverage)[:, None]
        spread = self.spread(X)
        spread[known, 0] = np.sqrt(1 - leverage[known])
        return residuals / spread

    def with_new_rows(self, X: FloatArray, Y: FloatArray) -> Self:
        """Return a copy for networks that learn the noise from these rows, too."""
        if self.uncertainty is None:
            return self
        n_new = len(X) - int(self._own_leverage(X, Y)[0].sum())
        return replace(self, uncertainty=replace(self.uncertainty, df=self.uncertainty.df + n_new))

    def _own_leverage(
        self, X: FloatArray, Y: FloatArray
    ) -> tuple[npt.NDArray[np.bool_], FloatArray]:
        """Return which rows the regression was fitted to, and their leverages, 0 for others."""
        keys = row_keys(np.hstack([X, Y]), 0)
        index = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        known = self.keys[index] == keys
        return known, np.where(known, self.leverage[index], 0.0)

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        uncertainty = values.get("uncertainty")
        return uncertainty is None or len(uncertainty.center) == len(values["coef"])


class ResidualMap(NamedTuple):
    """Map from residuals to y, shift + factor * residual."""

    shift: FloatArray  # of shape (n_rows, n_outputs)
    factors: FloatArray  # of shape (n_rows, 1)

    def apply(self, residuals: FloatArray) -> FloatArray:
        """Return y."""
        return self.shift + self.factors * residuals

    def invert(self, Y: FloatArray) -> FloatArray:
        """Return residuals."""
        return (Y - self.shift) / self.factors


def _choose_penalty(
    Y: FloatArray, U: FloatArray, s: FloatArray, projected: FloatArray
) -> tuple[float, FloatArray, FloatArray]:
    """Return the penalty with the least leave-one-out error, its shrinkage and leverages."""
    penalties = [len(U) * penalty for penalty in PENALTIES]
    fits = [_shrink(U, s, penalty) for penalty in penalties]
    best = int(np.argmin([_loo_error(Y, U, projected, *shrunk) for shrunk in fits]))
    return penalties[best], *fits[best]


def _shrink(U: FloatArray, s: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Return factors of the singular directions, and leverages that include the intercept."""
    shrinkage = s**2 / (s**2 + penalty) if penalty < np.inf else np.zeros_like(s)
    shrinkage[s <= s.max(initial=0) * len(U) * np.finfo(np.float64).eps] = 0.0
    n_rows = len(U)
    return shrinkage, (U**2 @ shrinkage + (1 / n_rows if n_rows > 1 else 0.0)).clip(max=1.0)


def _degrees_of_freedom(U: FloatArray, shrinkage: FloatArray, leverage: FloatArray) -> float:
    """Return the degrees of freedom of the mean of the squares e_i^2 / (1 - h_i).

    If noise and weights are normal, it is n^2 / sum_ij R_ij^2 (Satterthwaite 1946), where R are the
    correlations of the residuals, whose covariance is I - H with the hat matrix H. That is n minus
    the number of weights for least squares with equal leverages.
    """
    n_rows, rest = len(U), 1 - leverage
    constant = np.full((n_rows, 1), n_rows**-0.5)
    factor = np.hstack([U * np.sqrt(shrinkage), constant]) / np.sqrt(rest)[:, None]
    squares = n_rows + np.square(factor.T @ factor).sum() - np.square(leverage / rest).sum()
    return float(n_rows**2 / squares)


def _loo_error(
    Y: FloatArray, U: FloatArray, projected: FloatArray, shrinkage: FloatArray, leverage: FloatArray
) -> float:
    if leverage.max() > 1 - 1e-6:
        return np.inf
    residuals = (Y - U @ (shrinkage[:, None] * projected)) / (1 - leverage)[:, None]
    return float(np.square(residuals).sum())
