"""Predictive mean and intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from .._pipelines import transform_before_final
from .._validation import FloatArray, RandomState, check_number
from ._drawing import COLORS, draw_data, panels
from ._inputs import (
    check_coverage,
    check_index,
    draw_functions,
    final_step,
    predict_with_std,
    rows_along,
    select_target,
    standard_student_t,
)


@dataclass(kw_only=True, eq=False, repr=False)
class PredictiveDisplay:
    """Predictive mean and intervals along one feature, with data and functions drawn.

    Works with any regressor that has ``predict(X, return_std=True)``; draws need ``sample_y``.
    Make it by `from_estimator`.

    Parameters
    ----------
    feature_values : ndarray of shape (n_values,)
        Values of the feature.
    mean : ndarray of shape (n_values,)
        Predictive mean.
    std : ndarray of shape (n_values,)
        Predictive standard deviation, noise included.
    coverage : array-like of float, default=(0.5, 0.95)
        Probabilities of the central intervals.
    degrees_of_freedom : float or ndarray of shape (n_values,), default=inf
        Degrees of freedom of the predictive Student-t distributions; infinite for normal ones.
    draws : ndarray of shape (n_values, n_draws), default=None
        Functions drawn.
    x, y : ndarray of shape (n_samples,), default=None
        Values of the feature and the target in the data.
    feature_name : str, default="x"
        Label of the feature.
    target_name : str, default="y"
        Label of the target.

    Attributes
    ----------
    ax_, figure_ : matplotlib Axes and Figure
        Axes of the display, and their figure.
    mean_ : matplotlib Line2D
        The mean.
    bands_ : list of matplotlib FillBetweenPolyCollection
        The intervals, the widest first.
    draws_ : list of matplotlib Line2D
        The functions drawn.
    points_ : matplotlib Line2D or None
        The data.

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
    std: FloatArray
    coverage: npt.ArrayLike = (0.5, 0.95)
    degrees_of_freedom: float | FloatArray = np.inf
    draws: FloatArray | None = None
    x: FloatArray | None = None
    y: FloatArray | None = None
    feature_name: str = "x"
    target_name: str = "y"

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        feature: int | str = 0,
        grid: npt.ArrayLike | None = None,
        held: dict[Any, Any] | None = None,
        target: int = 0,
        coverage: npt.ArrayLike = (0.5, 0.95),
        n_draws: int = 0,
        random_state: RandomState = None,
        ax: Any = None,
    ) -> Self:
        """Draw the predictive distribution along one feature.

        Parameters
        ----------
        estimator : regressor, or Pipeline or search that ends in one
            Fitted, with ``predict(X, return_std=True)``.
        X : array-like of shape (n_samples, n_features)
            Data, which give the range of the feature and the values at which others are held.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, drawn as points.
        feature : int or str, default=0
            The feature.
        grid : array-like of shape (n_values,), default=None
            Its values; None is 200 over its range in X.
        held : dict, default=None
            Values of other features, by index or name; the rest is held at the median, columns
            that are not numeric at the most frequent value.
        target : int, default=0
            The output, of several.
        coverage : float or array-like of float, default=(0.5, 0.95)
            Probabilities of the central intervals.
        n_draws : int, default=0
            Number of functions drawn, without noise.
        random_state : int, Generator, RandomState or None, default=None
            Seed of the draws.
        ax : Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : PredictiveDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        n_draws = check_number(
            n_draws, "n_draws", low=0, integer=True, remedy="Give a number of functions."
        )
        model = final_step(estimator, "sample_y" if n_draws else "predict")
        rows, values, data, name = rows_along(X, feature, grid, held)
        rows = transform_before_final(estimator, rows)
        mean, std, df = predict_with_std(model, rows)
        if mean.ndim == 2:
            target = check_index(target, "target", mean.shape[1], "outputs")
            mean, std = mean[:, target], std[:, target]
        draws = draw_functions(model, rows, n_draws, target, random_state) if n_draws else None
        target_values, target_name = select_target(y, target)
        display = cls(
            feature_values=values,
            mean=mean,
            std=std,
            coverage=coverage,
            degrees_of_freedom=float(df if np.ndim(df) == 0 else df[target]),
            draws=draws,
            x=data,
            y=target_values,
            feature_name=name,
            target_name=target_name,
        )
        return display.plot(ax)

    def plot(
        self,
        ax: Any = None,
        *,
        line_kw: dict[str, Any] | None = None,
        band_kw: dict[str, Any] | None = None,
        draw_kw: dict[str, Any] | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw the display.

        Parameters
        ----------
        ax : Axes, default=None
            Where to draw; None makes a figure.
        line_kw : dict, default=None
            Keywords of ``Axes.plot`` for the mean.
        band_kw : dict, default=None
            Keywords of ``Axes.fill_between`` for the intervals.
        draw_kw : dict, default=None
            Keywords of ``Axes.plot`` for functions drawn.
        scatter_kw : dict, default=None
            Keywords of ``Axes.plot`` for the data.

        Returns
        -------
        display : PredictiveDisplay
            The display.
        """
        levels = check_coverage(self.coverage)
        (self.ax_,) = panels(ax, 1, "PredictiveDisplay.plot")
        self.figure_ = self.ax_.figure
        unit = standard_student_t(self.degrees_of_freedom)
        values = self.feature_values
        self.bands_ = []
        alphas = 0.25 + 0.3 * np.arange(len(levels)) / len(levels)  # distinguishable in the legend
        for level, alpha in zip(levels[::-1], alphas, strict=True):
            half = self.std * unit.ppf((1 + level) / 2)
            style = {"color": COLORS[0], "alpha": alpha, "lw": 0, "label": f"{level:.0%} interval"}
            style |= band_kw or {}
            band = self.ax_.fill_between(values, self.mean - half, self.mean + half, **style)
            self.bands_.append(band)
        self.draws_ = []
        if self.draws is not None:
            style = {"color": COLORS[1], "lw": 1, "alpha": 0.8, **(draw_kw or {})}
            self.draws_ = self.ax_.plot(values, self.draws, **style)
            self.draws_[0].set_label("draws")
        style = {"color": COLORS[0], "lw": 2, "label": "mean", **(line_kw or {})}
        (self.mean_,) = self.ax_.plot(values, self.mean, **style)
        self.points_ = draw_data(self.ax_, self.x, self.y, scatter_kw)
        self.ax_.set(xlabel=self.feature_name, ylabel=self.target_name)
        self.ax_.legend(fontsize="small")
        return self
