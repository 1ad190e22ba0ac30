"""Ridge regression with leave-one-out residuals: the linear part of a conditional autoencoder."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from .._schema import array, store
from .._validation import FloatArray
from .row_noise import Keys, row_keys

MAX_ROWS = 5000  # largest number of rows in the regression
PENALTIES = (*np.logspace(-5, 2, 15), np.inf)  # per row, on standardized features


@store(
    parameters={
        "coef": array("n_features n_outputs"), "intercept": array("n_outputs"),
        "keys": array("n_rows", 0, 2.0**64, kinds="u"), "leverage": array("n_rows", 0.0, 1.0),
    }
)  # fmt: skip
@dataclass(frozen=True, eq=False)
class RidgePart:
    """Linear map from standardized features to targets, fitted by ridge regression."""

    coef: FloatArray  # of shape (n_features, n_outputs)
    intercept: FloatArray  # of shape (n_outputs,)
    keys: Keys  # of the rows that it was fitted to, sorted
    leverage: FloatArray  # of these rows

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
        fits = [_shrink(U, s, len(X) * penalty) for penalty in PENALTIES]
        errors = [_loo_error(standard - y_mean, U, projected, *shrunk) for shrunk in fits]
        shrinkage, leverage = fits[int(np.argmin(errors))]
        inverse = np.divide(shrinkage, s, out=np.zeros_like(s), where=shrinkage > 0)
        coef = Vt.T @ (inverse[:, None] * projected) * scale
        order = np.argsort(keys)
        intercept = location + scale * y_mean - x_mean @ coef
        return cls(coef, intercept, keys[order], leverage[order])

    def predict(self, X: FloatArray) -> FloatArray:
        """Return the linear map of standardized features."""
        return X @ self.coef + self.intercept

    def out_of_sample_residuals(self, X: FloatArray, Y: FloatArray) -> FloatArray:
        """Return residuals, as if each row had been left out of the fit."""
        keys = row_keys(np.hstack([X, Y]), 0)
        index = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        leverage = np.where(self.keys[index] == keys, self.leverage[index], 0.0)
        # The leave-one-out identity of linear smoothers.
        return (Y - self.predict(X)) / (1 - leverage)[:, None]


def _shrink(U: FloatArray, s: FloatArray, penalty: float) -> tuple[FloatArray, FloatArray]:
    """Return factors of the singular directions, and leverages that include the intercept."""
    shrinkage = s**2 / (s**2 + penalty) if penalty < np.inf else np.zeros_like(s)
    shrinkage[s <= s.max(initial=0) * len(U) * np.finfo(np.float64).eps] = 0.0
    n_rows = len(U)
    return shrinkage, (U**2 @ shrinkage + (1 / n_rows if n_rows > 1 else 0.0)).clip(max=1.0)


def _loo_error(
    Y: FloatArray, U: FloatArray, projected: FloatArray, shrinkage: FloatArray, leverage: FloatArray
) -> float:
    if leverage.max() > 1 - 1e-6:
        return np.inf
    residuals = (Y - U @ (shrinkage[:, None] * projected)) / (1 - leverage)[:, None]
    return float(np.square(residuals).sum())
