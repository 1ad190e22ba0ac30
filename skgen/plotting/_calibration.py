"""Calibration of predictive distributions."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binom
from scipy.stats import t as student_t

from .._pipelines import transform_before_final
from .._validation import FloatArray, check_number, short_repr
from ._drawing import COLORS, panels
from ._inputs import final_step, predict_with_std

GREY: dict[str, Any] = {"color": "grey", "alpha": 0.25, "lw": 0}
"""Style of the bands in which calibrated predictions lie."""


@dataclass(kw_only=True, eq=False, repr=False)
class CalibrationDisplay:
    """Calibration of predictive distributions: PIT histogram, and coverage of intervals.

    The probability integral transform (PIT) of a target is the predictive probability of values
    below it. If the predictive distributions are calibrated, PITs are uniform (Gneiting et al.
    [1]_). A histogram with the shape of a U means that the distributions are too narrow, one with a
    hump that they are too wide, and one with a slope that they are biased. The right panel shows
    the share of targets inside the central interval for each probability. The grey bands hold 95 %
    of the values that calibrated predictions of independent rows would give. Create the display by
    `from_estimator` or `from_predictions`.

    Parameters
    ----------
    pit : ndarray of shape (n_values,)
        Probability integral transforms, from 0 to 1.
    name : str, default=None
        Label of the model in the legend. None means no legend.

    Attributes
    ----------
    axes_, figure_ : ndarray of shape (2,) of matplotlib Axes, and Figure
        The two panels, and their figure.
    histogram_ : matplotlib StepPatch
        The histogram, as a density.
    line_ : matplotlib Line2D
        Share of targets inside the interval, by its probability.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : Calibration of classifiers.
    skgen.mean_log_predictive_density : One number that rewards narrow, calibrated intervals.

    References
    ----------
    .. [1] T. Gneiting, F. Balabdaoui and A. E. Raftery, Probabilistic forecasts, calibration and
       sharpness, Journal of the Royal Statistical Society B 69 (2007) 243-268.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from skgen import BayesianBasisRegressor
    >>> from skgen.plotting import CalibrationDisplay
    >>> X, X_test, y, y_test = train_test_split(*load_diabetes(return_X_y=True), random_state=0)
    >>> model = BayesianBasisRegressor("identity").fit(X, y)
    >>> display = CalibrationDisplay.from_estimator(model, X_test, y_test)
    >>> display.pit.shape
    (111,)
    """

    pit: FloatArray
    name: str | None = None

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike, *, name: str | None = None,
        n_bins: int = 10, color: Any = COLORS[0], ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw the calibration of a regressor on rows that it was not fitted to.

        Parameters
        ----------
        estimator : regressor, or Pipeline or search that ends in one
            A fitted estimator with ``predictive_cdf(X, y)``, or with ``predict(X,
            return_std=True)`` for normal distributions.
        X : array-like of shape (n_samples, n_features)
            Features of rows that the estimator was not fitted to.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets of these rows. Each output counts separately.
        name : str, default=None
            Label of the model. None means the name of its class.
        {histogram}
        {axes}

        {returns}
        """
        model, features = final_step(estimator, "predict"), transform_before_final(estimator, X)
        name = type(model).__name__ if name is None else name
        if hasattr(model, "predictive_cdf"):
            pit = np.ravel(model.predictive_cdf(features, y))
            return cls(pit=pit, name=name).plot(ax, n_bins=n_bins, color=color)
        mean, std = predict_with_std(model, features)
        return cls.from_predictions(y, mean, std, name=name, n_bins=n_bins, color=color, ax=ax)

    @classmethod
    def from_predictions(
        cls, y_true: npt.ArrayLike, y_mean: npt.ArrayLike, y_std: npt.ArrayLike, *,
        degrees_of_freedom: npt.ArrayLike = np.inf, name: str | None = None,
        n_bins: int = 10, color: Any = COLORS[0], ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw the calibration of predictive means and standard deviations.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        y_mean, y_std : array-like of the same shape
            Predictive means and standard deviations.
        degrees_of_freedom : float or array-like of shape (n_outputs,) or that of y, default=inf
            Degrees of freedom of the predictive Student-t distributions, above 2; infinite for
            normal distributions.
        name : str, default=None
            Label of the model. None means no legend.
        {histogram}
        {axes}

        {returns}
        """
        y = np.asarray(y_true, dtype=float)
        mean, std = np.asarray(y_mean, dtype=float), np.asarray(y_std, dtype=float)
        if not y.shape == mean.shape == std.shape or not y.size:
            raise ValueError(
                "`y_true`, `y_mean` and `y_std` must have the same shape, with at least one row; "
                f"got {y.shape}, {mean.shape} and {std.shape}. Give one prediction per target."
            )
        if not (np.isfinite(y) & np.isfinite(mean) & (std > 0)).all():
            raise ValueError(
                "`y_true` and `y_mean` must be finite, `y_std` positive; got some that are not. "
                "Leave such rows out."
            )
        df = np.asarray(degrees_of_freedom, dtype=float)
        if not (df > 2).all():
            raise ValueError(
                "`degrees_of_freedom` must be above 2, or there is no standard deviation; got "
                f"degrees_of_freedom={short_repr(degrees_of_freedom)}. Give np.inf for normal ones."
            )
        pit = student_t.cdf(y, df, mean, std * np.sqrt(1 - 2 / df))
        return cls(pit=np.ravel(pit), name=name).plot(ax, n_bins=n_bins, color=color)

    def plot(self, ax: Any = None, *, n_bins: int = 10, color: Any = COLORS[0]) -> Self:
        """Draw the display.

        Parameters
        ----------
        {axes}
            Give ``display.axes_`` of another `CalibrationDisplay` to compare two models.
        {histogram}

        {returns}
        """
        remedy = "Give a number of bins."
        n_bins = check_number(n_bins, "n_bins", low=1, high=10_000, integer=True, remedy=remedy)
        left, right = panels(ax, 2, "CalibrationDisplay.plot")
        self.axes_ = np.array([left, right])
        self.figure_ = left.figure
        self._draw_histogram(left, n_bins, color)
        self._draw_coverage(right, color)
        return self

    def _draw_histogram(self, ax: Any, n_bins: int, color: Any) -> None:
        n = len(self.pit)
        low, high = np.asarray(binom.ppf([0.025, 0.975], n, 1 / n_bins)) * n_bins / n
        ax.axhspan(low, high, **GREY)
        ax.axhline(1, color="grey", lw=1)
        density, edges = np.histogram(self.pit, n_bins, (0, 1), density=True)
        self.histogram_ = ax.stairs(density, edges, color=color, lw=2, label=self.name)
        ax.set(xlabel="probability integral transform (PIT)", ylabel="density")
        ax.set(xlim=(0, 1), ylim=(0, None))

    def _draw_coverage(self, ax: Any, color: Any) -> None:
        n, levels = len(self.pit), np.linspace(0, 1, 101)
        low, high = np.asarray(binom.ppf([[0.025], [0.975]], n, levels)) / n
        ax.fill_between(levels, low, high, **GREY)
        ax.plot([0, 1], [0, 1], color="grey", lw=1)
        inside = np.sort(np.abs(2 * self.pit - 1))
        shares = np.searchsorted(inside, levels, side="right") / n
        (self.line_,) = ax.plot(levels, shares, color=color, lw=2, label=self.name)
        xlabel, ylabel = "probability of the interval", "share of targets inside"
        ax.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, 1), ylim=(0, 1))
        if self.name is not None:
            ax.legend(fontsize="small", loc="best")
