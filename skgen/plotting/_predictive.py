"""Predictive mean and intervals."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._validation import FloatArray, RandomState, check_number
from . import _inputs as inputs
from ._drawing import COLORS, draw_data, panels


@dataclass(kw_only=True, eq=False, repr=False)
class PredictiveDisplay:
    """Predictive mean and intervals along one feature, with data and draws of functions.

    If X has several features, the others are held at values that the legend gives. The points are
    then partial residuals: the target, minus the mean at its own row, plus the mean at the same
    value of the feature with the others held. So the bands cover about the stated shares of the
    points.

    The regressor must have ``predict_quantiles``, or ``predict(X, return_std=True)`` for normal
    distributions. Draws need ``sample_y``. Create the display by `from_estimator`.

    Parameters
    ----------
    feature_values : ndarray of shape (n_values,)
        Values of the feature.
    mean : ndarray of shape (n_values,)
        Predictive mean.
    lower, upper : ndarray of shape (n_values, n_intervals)
        Ends of central intervals of new observations.
    coverage : array-like of shape (n_intervals,)
        Probabilities of the intervals, in increasing order.
    draws : ndarray of shape (n_values, n_draws), default=None
        Draws of functions. None draws no lines for them.
    {data}
    held : str, default=""
        Values at which other features are held, as text for the legend. If it is not empty, the
        targets are partial residuals.

    Attributes
    ----------
    {ax_}
    mean_ : matplotlib Line2D
        The mean.
    bands_ : list of matplotlib FillBetweenPolyCollection
        The intervals, the widest first.
    draws_ : list of matplotlib Line2D
        The draws of functions.
    points_ : matplotlib Line2D or None
        The data, or partial residuals.

    See Also
    --------
    CalibrationDisplay : Calibration of the intervals.
    sklearn.inspection.PartialDependenceDisplay : The mean, averaged over the other features.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from skgen import BayesianBasisRegressor
    >>> from skgen.plotting import PredictiveDisplay
    >>> X, y = load_diabetes(return_X_y=True, as_frame=True, scaled=False)
    >>> model = BayesianBasisRegressor("polynomial").fit(X, y)
    >>> display = PredictiveDisplay.from_estimator(model, X, y, feature="bmi")
    >>> display.ax_.get_xlabel()
    'bmi'
    """

    feature_values: FloatArray
    mean: FloatArray
    lower: FloatArray
    upper: FloatArray
    coverage: npt.ArrayLike
    draws: FloatArray | None = None
    x: FloatArray | None = None
    y: FloatArray | None = None
    feature_name: str = "x"
    target_name: str = "y"
    held: str = ""

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
        feature: int | str = 0, grid: npt.ArrayLike | None = None,
        held: dict[Any, Any] | None = None, target: int = 0,
        coverage: npt.ArrayLike = (0.5, 0.95), n_draws: int = 0,
        random_state: RandomState = None, ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw the predictive distribution along one feature.

        Parameters
        ----------
        estimator : regressor, or Pipeline or search that ends in one
            A fitted estimator.
        {along}
        coverage : float or array-like of float, default=(0.5, 0.95)
            Probabilities of the central intervals, above 0 and below 1.
        n_draws : int, default=0
            Number of draws of functions, without noise.
        {random_state}
        {ax}

        {returns}
        """
        remedy = "Give a number of functions."
        n_draws = check_number(n_draws, "n_draws", low=0, integer=True, remedy=remedy)
        levels = inputs.check_coverage(coverage)
        model = inputs.final_step(estimator, "sample_y" if n_draws else "predict")
        rows, data = inputs.rows_along(estimator, X, y, feature, grid, held, target, True)
        ends = np.concatenate([1 - levels, 1 + levels]) / 2
        mean, quantiles = inputs.predict_with_quantiles(model, rows, ends, target)
        lower, upper = np.split(quantiles, 2, axis=1)
        draws = None
        if n_draws:
            draws = inputs.draw_functions(model, rows, n_draws, target, random_state)
        display = cls(mean=mean, lower=lower, upper=upper, coverage=levels, draws=draws, **data)
        return display.plot(ax)

    def plot(
        self, ax: Any = None, *, line_kw: dict[str, Any] | None = None,
        draw_kw: dict[str, Any] | None = None, scatter_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
    ) -> Self:  # fmt: skip
        """Draw the display.

        Parameters
        ----------
        {ax}
        line_kw, draw_kw, scatter_kw : dict, default=None
            Keywords of ``Axes.plot`` for the mean, for the draws and for the data.
        band_kw : dict, default=None
            Keywords of ``Axes.fill_between`` for the intervals.

        {returns}
        """
        (self.ax_,) = panels(ax, 1, "PredictiveDisplay.plot")
        self.figure_ = self.ax_.figure
        values, levels = self.feature_values, np.atleast_1d(self.coverage)
        self.bands_ = []
        alphas = 0.25 + 0.3 * np.arange(len(levels)) / len(levels)  # distinguishable in the legend
        bands = zip(levels, self.lower.T, self.upper.T, alphas[::-1], strict=True)
        for level, lower, upper, alpha in reversed(list(bands)):
            style = {"color": COLORS[0], "alpha": alpha, "lw": 0, "label": f"{level:.0%} interval"}
            band = self.ax_.fill_between(values, lower, upper, **(style | (band_kw or {})))
            self.bands_.append(band)
        self.draws_ = []
        if self.draws is not None:
            style = {"color": COLORS[1], "lw": 1, "alpha": 0.8, **(draw_kw or {})}
            self.draws_ = self.ax_.plot(values, self.draws, **style)
            self.draws_[0].set_label("draws")
        style = {"color": COLORS[0], "lw": 2, "label": "mean", **(line_kw or {})}
        (self.mean_,) = self.ax_.plot(values, self.mean, **style)
        label = {"label": "partial residuals" if self.held else "data"}
        self.points_ = draw_data(self.ax_, self.x, self.y, label | (scatter_kw or {}))
        self.ax_.set(xlabel=self.feature_name, ylabel=self.target_name)
        self.ax_.legend(fontsize="small", title=self.held or None, title_fontsize="small")
        return self
