"""Factor analysis: the model in closed form at which an autoencoder starts.

The model is x = mean + W z + noise with z ~ N(0, I) and noise ~ N(0, diag(variance)), so that x has
the covariance W W^T + diag(variance). With one variance for all features it is probabilistic
principal component analysis, whose maximum of the likelihood has a closed form (Tipping and Bishop
1999, eqs 7 and 8). Otherwise W and the variances are optimized in turn, each in closed form
(Barber, Bayesian reasoning and machine learning, algorithm 21.1). If cells are missing, EM replaces
the mean and the covariance of the rows by their expectations under the model.
"""

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from .._validation import FloatArray

Mask = npt.NDArray[np.bool_]

ROWS_PER_FACTOR = 10  # fewer rows determine fewer factors
N_STEPS, N_EM_STEPS = 300, 100
TOLERANCE = 1e-3  # relative change of the variances at which the steps end
MOST_CELLS = 10**8  # entries of the covariances of all rows, above which missing cells count as 0


class Factors(NamedTuple):
    """The model, of n_features, with n_components factors."""

    mean: FloatArray  # of shape (n_features,)
    weights: FloatArray  # W, of shape (n_features, n_components)
    variance: FloatArray  # of the noise, of shape (n_features,)

    @classmethod
    def fit(
        cls, X: FloatArray, mask: Mask | None, n_components: int, shared: bool, floor: float
    ) -> Self:
        """Fit to standardized rows, with 0 in missing cells; variances are at least ``floor``."""
        n_rows, n_features = X.shape
        mean, covariance = moments(X)
        n_varying = int((covariance.diagonal() > floor).sum())
        n_factors = max(0, min(n_components, n_varying - 1, n_rows // ROWS_PER_FACTOR))
        factors = cls(mean, *decompose(covariance, n_factors, shared, floor))
        if mask is None or n_rows * n_features**2 > MOST_CELLS:
            return factors
        for _ in range(N_EM_STEPS):
            before = factors.variance
            mean, covariance = factors.expected_moments(X, mask)
            factors = cls(mean, *decompose(covariance, n_factors, shared, floor, before, 1))
            if has_converged(before, factors.variance):
                break
        return factors

    @property
    def precision(self) -> FloatArray:
        """Precision of z given a row, of shape (n_components, n_components)."""
        return np.eye(self.weights.shape[1]) + self.scaled_weights.T @ self.weights

    @property
    def scaled_weights(self) -> FloatArray:
        """Weights over variances of the noise."""
        return self.weights / self.variance[:, None]

    def rotate(self) -> Self:
        """Return the same model with factors that are independent given a row, strongest first.

        The largest weight of each factor is positive, so that rounding does not change signs.
        """
        _, rotation = np.linalg.eigh(self.precision)
        weights = self.weights @ rotation[:, ::-1]
        largest = np.take_along_axis(weights, np.abs(weights).argmax(axis=0)[None], axis=0)
        return self._replace(weights=weights * np.where(largest < 0, -1.0, 1.0))

    def extend(self, n_components: int, rng: np.random.Generator, size: float = 0.1) -> Self:
        """Return the model with further factors, which are small compared with the noise."""
        n_features, n_factors = self.weights.shape
        steps = rng.standard_normal((n_features, n_components - n_factors)) / np.sqrt(n_features)
        further = size * np.sqrt(self.variance)[:, None] * steps
        return self._replace(weights=np.hstack([self.weights, further]))

    def posterior(self, X: FloatArray, mask: Mask) -> tuple[FloatArray, FloatArray]:
        """Return means and covariances of z given the cells that are not masked."""
        share = ~mask / self.variance
        n_features, n = self.weights.shape  # there may be no factor
        products = (self.weights[:, :, None] * self.weights[:, None]).reshape(n_features, n * n)
        precision = (share @ products).reshape(len(X), n, n)
        covariance = np.linalg.inv(precision + np.eye(n)).astype(np.float64, copy=False)
        projected = np.where(mask, 0.0, (X - self.mean) * share) @ self.weights
        return (covariance @ projected[..., None])[..., 0], covariance

    def expected_moments(self, X: FloatArray, mask: Mask) -> tuple[FloatArray, FloatArray]:
        """Return mean and covariance of rows; missing cells enter by their expectations."""
        n_features = X.shape[1]
        total = np.zeros((n_features, n_features))
        filled = X.copy()
        step = max(1, MOST_CELLS // 25 // n_features**2)
        for rows in np.split(np.arange(len(X)), range(step, len(X), step)):
            missing = mask[rows]
            z, covariance = self.posterior(X[rows], missing)
            filled[rows] = np.where(missing, self.mean + z @ self.weights.T, X[rows])
            spread = self.weights @ covariance @ self.weights.T + np.diag(self.variance)
            total += (spread * missing[:, :, None] * missing[:, None]).sum(axis=0)
        mean, covariance = moments(filled)
        return mean, covariance + total / len(X)


def moments(X: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return mean and covariance of rows."""
    mean = X.mean(axis=0)
    return mean, (X - mean).T @ (X - mean) / len(X)


def has_converged(before: FloatArray, after: FloatArray) -> bool:
    """Return True if variances change by less than the tolerance."""
    return bool(np.abs(after / before - 1).max() < TOLERANCE)


def decompose(
    covariance: FloatArray, n_factors: int, shared: bool, floor: float,
    variance: FloatArray | None = None, n_steps: int = N_STEPS,
) -> tuple[FloatArray, FloatArray]:  # fmt: skip
    """Return weights and variances for a covariance, by steps from given initial variances."""
    total = covariance.diagonal()
    varies = total > floor
    if shared:
        variance = np.full_like(
            total, max(floor, _mean_remaining_variance(covariance, varies, n_factors))
        )
        return _best_weights(covariance, variance, n_factors), variance
    variance = np.where(varies, total, 1.0) if variance is None else variance
    for _ in range(n_steps):
        before, weights = variance, _best_weights(covariance, variance, n_factors)
        rest = total - np.square(weights).sum(axis=1)
        variance = np.where(varies, rest.clip(min=floor), 1.0)
        if has_converged(before, variance):
            break
    return weights, variance


def _mean_remaining_variance(covariance: FloatArray, varies: Mask, n_factors: int) -> float:
    """Return the mean variance of features that vary, in directions without factors."""
    values = np.linalg.eigvalsh(covariance[np.ix_(varies, varies)])[::-1][n_factors:]
    return float(values.mean()) if values.size else 1.0


def _best_weights(covariance: FloatArray, variance: FloatArray, n_factors: int) -> FloatArray:
    """Return the best weights for noise of given variances."""
    root = np.sqrt(variance)
    values, vectors = np.linalg.eigh(covariance / root / root[:, None])
    excess = (values[::-1][:n_factors] - 1).clip(min=0)
    leading: FloatArray = root[:, None] * vectors[:, ::-1][:, :n_factors] * np.sqrt(excess)
    return leading
