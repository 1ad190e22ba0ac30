"""Leave-one-out calibration of the predictive distribution, for a learned basis.

Predictions use the best parameters of the basis as if they were known. The effective number of
these parameters determines how much wider predictions must be. The residuals of rows that are left
out one by one determine how heavy the tails are (S. Sundararajan and S. S. Keerthi, Predictive
approaches for choosing hyperparameters in Gaussian processes, Neural Computation 13(5), 2001).
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import ndtr

from .._validation import FloatArray
from .design import Design
from .marginal_likelihood import DesignObjective, InfeasibleError, rounding_floor
from .precisions import LinearModelSpec, LooCalibration, remaining_df
from .predictive import Predictive
from .rows import Rows
from .spectrum import RatioChoice, Spectrum

ROUNDING = 1e-6  # share of other rows in the fit of a row, below which it is mostly rounding
FEWEST_DF = 3.0
MOST_DF = 1e3  # next to normal
FEWEST_PARAMS = 1e-6  # of the basis; below, such as with constant features, nothing was learned
PRIOR_ROWS = 20.0  # number of rows for which the distribution before calibration counts
NARROWING_ROWS = 100.0  # further ones, where residuals say that it is too wide
NORMAL_NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(40)
LEVELS, SHARES = ndtr(-np.abs(NORMAL_NODES)), NODE_WEIGHTS / NODE_WEIGHTS.sum()
"""Probabilities and weights, so that means over quantiles are those over the distribution."""


@dataclass(frozen=True, eq=False)
class DualFit:
    """Fit of the weights to rows in dual form: one coefficient per row, in place of one per weight.

    It is computed by eigenvectors of the matrix of inner products of rows, and takes less time than
    a `Posterior`, especially with fewer rows than basis functions.
    """

    rows: Rows
    objective: DesignObjective
    theta: FloatArray | None  # of the basis, if they are learned
    Phi: FloatArray
    factor: FloatArray  # (n_rows, n_proper), scaled columns of Phi
    left: FloatArray  # (n_rows, n), eigenvectors
    Y: FloatArray  # (n_rows, n_outputs), scaled
    spectra: list[Spectrum]  # one per output
    choices: list[RatioChoice]

    @classmethod
    def of(
        cls, design: Design, rows: Rows, prior: LinearModelSpec, theta: FloatArray | None = None
    ) -> DualFit | None:
        """Return the fit for the basis of ``design``, with parameters ``theta`` if given.

        The result is None if the fit cannot be computed in floating point.
        """
        objective = DesignObjective(design.basis, design, rows, prior)
        with np.errstate(all="ignore"), suppress(InfeasibleError, np.linalg.LinAlgError):
            Phi, factor, Y = objective.scaled(theta)
            values, left = _left_eigenvectors(factor)
            components = left.T @ Y
            rest = Y - left @ components if left.shape[1] < len(left) else np.zeros_like(Y)
            residuals = np.einsum("ij,ij->j", rest, rest) + rounding_floor(Y)
            spectra = [
                Spectrum(values, left, column, float(residual))
                for column, residual in zip(components.T, residuals, strict=True)
            ]
            choices = [prior.choose_ratio(spectrum, objective.weight) for spectrum in spectra]
            return cls(rows, objective, theta, Phi, factor, left, Y, spectra, choices)
        return None

    @property
    def log_evidence(self) -> float:
        """Sum over the outputs, up to a constant."""
        return sum(
            float(
                spectrum.evidence(choice.terms(self.objective.weight)[0], np.log(choice.ratio))[0]
            )
            for spectrum, choice in zip(self.spectra, self.choices, strict=True)
        )

    @property
    def ratios(self) -> FloatArray:
        """Ratios of prior to noise precision, one per output."""
        return np.array([choice.ratio for choice in self.choices])

    @property
    def values(self) -> FloatArray:
        """Eigenvalues, in a column."""
        return self.spectra[0].values[:, None]

    @property
    def components(self) -> FloatArray:
        """Targets along the eigenvectors, (n, n_outputs)."""
        return np.column_stack([spectrum.components for spectrum in self.spectra])

    @property
    def dual(self) -> FloatArray:
        """Weights of the scaled rows, (n_rows, n_outputs)."""
        return self.left @ (self.components / (self.values + self.ratios))

    @property
    def mean_weights(self) -> FloatArray:
        """Best weights of the columns of the design matrix, (n_columns, n_outputs)."""
        objective = self.objective
        weights = (
            objective.mean[:, None]
            + (self.factor.T @ self.dual) / objective.root_precision[:, None]
        )
        if not objective.n_flat:
            return np.asarray(weights)
        residuals = objective.Y - self.Phi[:, 1:] @ weights
        return np.vstack([objective.normalized_weights @ residuals, weights])

    @property
    def n_effective_params(self) -> float:
        """Effective number of weights of the output that has most."""
        shares = self.values / (self.values + self.ratios)
        return float(shares.sum(axis=0).max()) + self.objective.n_flat

    def loo_log_density(self, noise_variance: FloatArray | None = None) -> float:
        """Sum of the log densities of left-out rows; see `standardize` for ``noise_variance``."""
        variances = 1 / self.noise_precisions
        return loo_log_density(self.rows, *self.residuals_and_leverage(), variances, noise_variance)

    def calibration(
        self, n_params: float | None = None, noise_variance: FloatArray | None = None
    ) -> LooCalibration:
        """Calibration of the predictive distribution by the residuals of rows left out.

        ``n_params`` is the effective number of basis parameters, if known. ``noise_variance`` is
        that of left-out rows, if it differs from that of the fit.
        """
        if n_params is None:
            n_params = self.effective_number_of_basis_parameters()
        calibration = LooCalibration.neutral(n_params, self.rows.n_outputs)
        if self.objective.is_noise_known or n_params < FEWEST_PARAMS:
            return calibration
        df = remaining_df(self.objective.weight, n_params)
        noise = [c.noise(s, df) for s, c in zip(self.spectra, self.choices, strict=True)]
        variances, dfs = np.array(noise).T
        residuals, _, weights = standardize(
            self.rows, *self.residuals_and_leverage(), variances, noise_variance
        )
        for output, column in enumerate(residuals.T):
            calibration.df[output], calibration.std_ratio[output] = fit_student_t(
                column, weights, float(dfs[output])
            )
        return calibration

    def residuals_and_leverage(self) -> tuple[FloatArray, FloatArray]:
        """Residuals of the fit of all rows, and their leverages, both (n_rows, n_outputs)."""
        roots = self.objective.root_weights[:, None]
        shares = self.values / (self.values + self.ratios)
        fitted = self.left @ (shares * self.components)
        leverage = (self.left**2 @ shares + self.objective.flat_leverage[:, None]) / roots**2
        return (self.Y - fitted) / roots, leverage

    def effective_number_of_basis_parameters(self) -> float:
        """Number of basis parameters that the data determine, beyond the weights.

        This is MacKay's effective number of parameters, in the model that is linear in weights and
        basis parameters (Gauss-Newton approximation). It uses the derivatives of the mean function
        by the parameters, minus the part that changes of the weights could produce. Their
        information, in units of the noise, is compared with the prior precision of 1.
        """
        assert self.theta is not None
        n_params = len(self.theta)
        tangents = self.objective.mean_slopes(self.theta, self.Phi, self.dual)
        information = np.zeros((n_params, n_params))
        for output, (ratio, precision) in enumerate(
            zip(self.ratios, self.noise_precisions, strict=True)
        ):
            columns = tangents[:, :, output].T
            # The part that weights can produce, by penalized least squares.
            along = self.left.T @ columns
            rest = columns - self.left @ (self.values / (self.values + ratio) * along)
            kept = np.sqrt(ratio * self.values) / (self.values + ratio) * along
            information += precision * (rest.T @ rest + kept.T @ kept)
        if not np.isfinite(information).all():  # because there is almost no noise
            return float(n_params)
        values = np.maximum(np.linalg.eigvalsh(information), 0.0)
        return float(np.sum(values / (values + 1)))

    @property
    def noise_precisions(self) -> FloatArray:
        """Best noise precision of each output."""
        precisions = []
        for spectrum, choice in zip(self.spectra, self.choices, strict=True):
            energy = spectrum.terms(np.log(choice.ratio))[0]
            by_energy = choice.terms(self.objective.weight)[0](energy, np.log(choice.ratio))[1]
            precisions.append(-2 * float(by_energy))
        return np.array(precisions)


def _left_eigenvectors(factor: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Eigenvalues and eigenvectors of ``factor factor'``, without eigenvalues that must be 0."""
    n_rows, n_columns = factor.shape
    if n_rows <= n_columns:
        values, left = np.linalg.eigh(factor @ factor.T)
        return np.where(values > n_rows * np.finfo(float).eps * values[-1], values, 0.0), left
    values, right = np.linalg.eigh(factor.T @ factor)
    positive = values > len(values) * np.finfo(float).eps * values[-1]
    return values[positive], factor @ (right[:, positive] / np.sqrt(values[positive]))


def standardize(
    rows: Rows,
    residuals: FloatArray,
    leverage: FloatArray,
    variances: FloatArray,
    noise_variance: FloatArray | None = None,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Standardized residuals of rows, each left out of the fit that predicts it.

    Also return the standard deviations, both of shape (n_rows, n_outputs), and the weights of the
    rows, shape (n_rows,). ``residuals`` and ``leverage``, (n_rows, 1) or (n_rows, n_outputs), are
    those of the fit to all rows, whose precisions and basis are kept. ``variances`` (n_outputs,)
    are those of the noise. ``noise_variance`` (n_rows,) is the noise of the left-out rows relative
    to ``variances``, by default that of the fit. Rows that determine their own prediction up to
    rounding are left out of the result.
    """
    assert rows.weights is not None
    share = 1 - rows.precision_weights[:, None] * leverage  # of other rows in the fit of the row
    noise = (rows.noise_variance if noise_variance is None else noise_variance)[:, None]
    zero = np.zeros_like(residuals)
    stds = Predictive.from_leverage(zero, leverage / share, variances, np.inf, noise).std
    standard = residuals / share / stds
    valid = (share > ROUNDING).all(axis=1) & np.isfinite(standard).all(axis=1)
    return standard[valid], stds[valid], rows.weights[valid]


def loo_log_density(
    rows: Rows,
    residuals: FloatArray,
    leverage: FloatArray,
    variances: FloatArray,
    noise_variance: FloatArray | None = None,
) -> float:
    """Sum of the log densities of left-out rows, under the Student-t that fits them best.

    The arguments are those of `standardize`. Rows that determine their own prediction get the mean
    log density of the others. If they are half of all rows, the result is minus infinity.
    """
    standard, stds, weights = standardize(rows, residuals, leverage, variances, noise_variance)
    if weights.sum() <= rows.weight / 2:
        return -np.inf
    log_densities = -np.log(stds)
    for output, column in enumerate(standard.T):
        df, std = fit_student_t(column, weights, np.inf)
        log_densities[:, output] += Predictive.from_std(0.0, std, df).log_density(column)
    return float(rows.weight * (weights @ log_densities.sum(axis=1)) / weights.sum())


def fit_student_t(residuals: FloatArray, weights: FloatArray, df: float) -> tuple[float, float]:
    """Degrees of freedom and standard deviation of the most likely Student-t of ``residuals``.

    Before calibration the standard deviation is 1 and the degrees of freedom are ``df``. This
    distribution counts as `PRIOR_ROWS` further rows. Tails can only become heavier: the degrees of
    freedom are from 3 to ``df``. The standard deviation may fall below 1, since a few far residuals
    have widened the distribution before calibration for all rows. But parameters were chosen so
    that the residuals are small. So its logarithm is then multiplied by n / (n + `NARROWING_ROWS`),
    where n is the sum of the weights, and 99 % intervals do not become narrower.
    """
    n = weights.sum()
    residuals = np.append(residuals, Predictive.from_std(0.0, 1.0, df).quantiles(LEVELS))
    weights = np.append(weights, PRIOR_ROWS * SHARES)
    weights = weights / weights.sum()

    def loss(position: FloatArray) -> tuple[float, FloatArray]:
        values = np.column_stack(Predictive.log_density_by_spread(residuals, *position))
        value, *slopes = -weights @ values
        return float(value), np.array(slopes)

    least = 1 / min(df, MOST_DF)
    start = [0.5 * np.log(weights @ residuals**2), np.sqrt(least / FEWEST_DF)]
    found = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None), (least, 1 / FEWEST_DF)],
        options={"ftol": 1e-13, "gtol": 1e-8},
    )  # fmt: skip
    log_std, inverse_df = found.x
    found_df = float(1 / inverse_df) if inverse_df > least else df
    if log_std < 0:
        log_std = max(n / (n + NARROWING_ROWS) * log_std, log_reach(df) - log_reach(found_df))
    return found_df, float(np.exp(log_std))


def log_reach(df: float) -> float:
    """Logarithm of half the 99 % interval of a Student-t of standard deviation 1."""
    return float(np.log(Predictive.from_std(0.0, 1.0, df).quantiles(np.array([0.995])).item()))
