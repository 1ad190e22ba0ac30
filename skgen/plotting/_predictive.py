"""Displays of regressors: weights, predictive distributions, and whether these hold."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.stats import binom, chi2, multivariate_normal, multivariate_t
from scipy.stats import f as f_distribution
from scipy.stats import t as student_t

from .._pipelines import transform_before_final
from .._validation import FloatArray, RandomState, check_number, check_vector, short_repr
from ._drawing import (
    COLORS,
    checked_index,
    checked_levels,
    checked_pair,
    final_step,
    ink,
    is_dark,
    make_room,
    panels,
    target_of,
    varied_rows,
)

SHADES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
"""Probabilities inside the edges of the posterior density's shades."""


class PosteriorDisplay:
    """Prior and posterior of two weights, and functions drawn from the posterior.

    The left panel has the density of two weights: the posterior in shades, its edges the regions
    of highest density that hold 10 to 99 % of it; of the prior two lines, around 50 and 95 %. The
    right panel has functions, one a draw of all weights. Make it by `from_estimator`.

    Parameters
    ----------
    weights : tuple of two ints
        The weights' indices, that of the intercept is 0 if there is one.
    posterior_mean : ndarray of shape (2,)
        Posterior mean of the weights.
    posterior_covariance : ndarray of shape (2, 2)
        Their posterior covariance.
    prior_mean : ndarray of shape (2,)
        Prior mean of the weights.
    prior_covariance : ndarray of shape (2, 2)
        Their prior covariance; not finite where the prior is flat.
    degrees_of_freedom : float
        Those of the posterior's Student-t distribution; infinite for a normal one.
    feature_values : ndarray of shape (n_values,)
        Where the functions are evaluated.
    draws : ndarray of shape (n_values, n_draws)
        Functions drawn from the posterior.
    x : ndarray of shape (n_samples,), default=None
        The feature's values in the data.
    y : ndarray of shape (n_samples,), default=None
        The data's targets.
    true_weights : array-like of shape (2,), default=None
        True values, marked by a cross.
    feature_name : str, default="x"
        Label of the feature.
    target_name : str, default="y"
        Label of the target.

    Attributes
    ----------
    axes_ : ndarray of shape (2,)
        The panels.
    figure_ : matplotlib Figure
        Their figure.
    density_ : matplotlib QuadContourSet
        The posterior's shades.
    prior_ : list of matplotlib Line2D
        The prior's lines; empty if it is flat.
    true_weights_ : matplotlib Line2D or None
        The cross.
    lines_ : list of matplotlib Line2D
        The functions.
    points_ : matplotlib Line2D or None
        The data.

    See Also
    --------
    PredictiveDisplay : Mean and intervals of what will be observed.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import BayesianBasisRegressor
    >>> from skgen.plotting import PosteriorDisplay
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(-1, 1, size=(20, 1))
    >>> y = -0.3 + 0.5 * X[:, 0] + 0.2 * rng.normal(size=20)
    >>> model = BayesianBasisRegressor("identity", prior_precision=2.0, noise_precision=25.0)
    >>> display = PosteriorDisplay.from_estimator(model.fit(X, y), X, y, true_weights=(-0.3, 0.5))
    >>> len(display.lines_)
    6
    """

    def __init__(
        self,
        *,
        weights: tuple[int, int],
        posterior_mean: FloatArray,
        posterior_covariance: FloatArray,
        prior_mean: FloatArray,
        prior_covariance: FloatArray,
        degrees_of_freedom: float,
        feature_values: FloatArray,
        draws: FloatArray,
        x: FloatArray | None = None,
        y: FloatArray | None = None,
        true_weights: npt.ArrayLike | None = None,
        feature_name: str = "x",
        target_name: str = "y",
    ) -> None:
        self.weights = weights
        self.posterior_mean = posterior_mean
        self.posterior_covariance = posterior_covariance
        self.prior_mean = prior_mean
        self.prior_covariance = prior_covariance
        self.degrees_of_freedom = degrees_of_freedom
        self.feature_values = feature_values
        self.draws = draws
        self.x = x
        self.y = y
        self.true_weights = true_weights
        self.feature_name = feature_name
        self.target_name = target_name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike | None = None,
        *,
        weights: tuple[int, int] = (0, 1),
        true_weights: npt.ArrayLike | None = None,
        feature: int | str = 0,
        grid: npt.ArrayLike | None = None,
        held: dict[Any, Any] | None = None,
        target: int = 0,
        n_draws: int = 6,
        random_state: RandomState = None,
        ax: Any = None,
    ) -> Self:
        """Draw two weights of a `BayesianBasisRegressor`, fitted or not.

        Before any data, it must be able to draw from its prior: precisions are numbers, and the
        basis does not follow the data.

        Parameters
        ----------
        estimator : BayesianBasisRegressor, or Pipeline or search that ends in one
            The model.
        X : array-like of shape (n_samples, n_features)
            Data, which give the range of the feature and the values at which others are held.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Targets, drawn as points.
        weights : tuple of two ints, default=(0, 1)
            Indices of the weights; the intercept comes first if there is one.
        true_weights : array-like of shape (2,), default=None
            True values of the two, to be marked.
        feature : int or str, default=0
            The feature along which functions are drawn.
        grid : array-like of shape (n_values,), default=None
            Its values; None is 200 over its range in X.
        held : dict, default=None
            Values of other features, by index or name; the rest is held at medians, and columns
            that are not numeric at their most frequent value.
        target : int, default=0
            The output, of several.
        n_draws : int, default=6
            Number of functions.
        random_state : int, Generator, RandomState or None, default=None
            Seed of the draws.
        ax : Axes or array of two Axes, default=None
            Where to draw: two panels, or one that is split. None makes a figure.

        Returns
        -------
        display : PosteriorDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "sample_y")
        rows, values, data, name = varied_rows(X, feature, grid, held)
        draws = model.sample_y(
            transform_before_final(estimator, rows), n_draws, observation_noise=False,
            random_state=random_state,
        )  # fmt: skip
        if draws.ndim == 3:
            draws = draws[:, checked_index(target, "target", draws.shape[1], "outputs")]
        target_values, target_name = (None, "y") if y is None else target_of(y, target)
        display = cls(
            **_moments(model, weights, target),
            feature_values=values,
            draws=draws,
            x=data,
            y=target_values,
            true_weights=true_weights,
            feature_name=name,
            target_name=target_name,
        )
        return display.plot(ax)

    def plot(
        self,
        ax: Any = None,
        *,
        cmap: Any = None,
        line_kw: dict[str, Any] | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes or array of two Axes, default=None
            Where to draw: two panels, or one that is split. None makes a figure.
        cmap : str or Colormap, default=None
            Colours of the posterior density; None is "Blues", reversed on a dark background.
        line_kw : dict, default=None
            Keywords of ``Axes.plot`` for the functions.
        scatter_kw : dict, default=None
            Keywords of ``Axes.plot`` for the data.

        Returns
        -------
        display : PosteriorDisplay
            The display.
        """
        left, right = panels(ax, 2, "PosteriorDisplay.plot")
        self.axes_ = np.array([left, right])
        self.figure_ = left.figure
        self._draw_density(left, cmap)
        line = {"color": COLORS[0], "lw": 1.2, "alpha": 0.8, **(line_kw or {})}
        self.lines_ = right.plot(self.feature_values, self.draws, **line)
        self.points_ = None
        if self.y is not None:
            (self.points_,) = right.plot(self.x, self.y, **_points(scatter_kw))
        right.set(xlabel=self.feature_name, ylabel=self.target_name)
        return self

    def _draw_density(self, ax: Any, cmap: Any) -> None:
        mean = self.posterior_mean
        posterior = _Weights(mean, self.posterior_covariance, self.degrees_of_freedom)
        cmap = ("Blues_r" if is_dark(ax) else "Blues") if cmap is None else cmap
        reach = posterior.radius(SHADES[-1]) * np.sqrt(np.diag(posterior.shape))
        w0, w1 = (np.linspace(m - r, m + r, 201) for m, r in zip(mean, reach, strict=True))
        edges = [posterior.density.pdf(posterior.ellipse(p, 1)[:, 0]) for p in SHADES[::-1]]
        peak = posterior.density.pdf(mean) * (1 + 1e-9)
        heights = posterior.density.pdf(np.stack(np.meshgrid(w0, w1), axis=-1))
        self.density_ = ax.contourf(w0, w1, heights, levels=[*edges, peak], cmap=cmap)
        window = posterior.ellipse(SHADES[-1])
        self.prior_ = []
        if np.isfinite(self.prior_covariance).all():
            prior = _Weights(self.prior_mean, self.prior_covariance)
            style = {"color": ink(), "lw": 1, "alpha": 0.6}
            for level, dashes in ((0.5, "--"), (0.95, ":")):
                label = f"prior, {level:.0%}"
                self.prior_ += ax.plot(*prior.ellipse(level), dashes, label=label, **style)
            window = prior.ellipse(SHADES[-1])  # the same from the prior onward
            ax.update_datalim(window.T)
            ax.autoscale_view()
        self.true_weights_ = None
        if self.true_weights is not None:
            remedy = "Give the values of two weights."
            true = check_vector(self.true_weights, "true_weights", (2,), remedy=remedy)
            cross = {"color": COLORS[4], "ms": 9, "mew": 2.5, "label": "true weights"}
            (self.true_weights_,) = ax.plot(*true, "x", **cross)
        first, second = self.weights
        ax.set(xlabel=f"$w_{{{first}}}$", ylabel=f"$w_{{{second}}}$")
        if ax.get_legend_handles_labels()[0]:
            make_room(ax.legend(fontsize="small", loc="upper right"), window)


class _Weights:
    """A normal or Student-t distribution of two weights, by its covariance."""

    def __init__(self, mean: FloatArray, covariance: FloatArray, df: Any = np.inf) -> None:
        self.mean = mean
        self.df = df
        self.shape = covariance if df == np.inf else covariance * (1 - 2 / df)
        self.density = (
            multivariate_normal(mean, covariance)
            if df == np.inf
            else multivariate_t(mean, self.shape, df)
        )

    def radius(self, level: float) -> float:
        """Mahalanobis distance within which there is ``level`` of the probability."""
        if self.df == np.inf:
            return float(np.sqrt(chi2.ppf(level, 2)))
        return float(np.sqrt(2 * f_distribution.ppf(level, 2, self.df)))

    def ellipse(self, level: float, n_points: int = 181) -> FloatArray:
        """Points around the region of highest density that holds ``level``, shape (2, n)."""
        angles = np.linspace(0, 2 * np.pi, n_points)
        circle = self.radius(level) * np.stack([np.cos(angles), np.sin(angles)])
        around: FloatArray = self.mean[:, None] + np.linalg.cholesky(self.shape) @ circle
        return around


def _moments(model: Any, weights: tuple[int, int], target: int) -> dict[str, Any]:
    """Prior and posterior moments of two weights of a regressor, fitted or not."""
    fitted = model.__sklearn_is_fitted__()
    n_weights = model.covariance_.shape[-1] if fitted else 10**6
    pair = checked_pair(weights, "weights", n_weights, "weights, the intercept's first")
    prior_mean, prior_covariance = _prior_moments(model, pair, target, fitted)
    prior = {"prior_mean": prior_mean, "prior_covariance": prior_covariance}
    if not fitted:
        return {
            "weights": pair,
            "posterior_mean": prior_mean,
            "posterior_covariance": prior_covariance,
            "degrees_of_freedom": np.inf,
            **prior,
        }
    coef = np.atleast_2d(model.coef_)
    checked_index(target, "target", len(coef), "outputs")
    if model.fit_intercept:
        coef = np.column_stack([np.atleast_1d(model.intercept_), coef])
    covariance = model.covariance_.reshape(-1, n_weights, n_weights)[target]
    if not np.isfinite(covariance).all():
        raise ValueError(
            "`estimator` must have seen enough rows for a covariance of its weights; got one that "
            f"is not finite after {model.n_samples_seen_}. Give more rows, or a firmer noise prior."
        )
    return {
        "weights": pair,
        "posterior_mean": coef[target, list(pair)],
        "posterior_covariance": covariance[np.ix_(pair, pair)],
        "degrees_of_freedom": float(np.atleast_1d(model.degrees_of_freedom_)[target]),
        **prior,
    }


def _prior_moments(
    model: Any, pair: tuple[int, int], target: int, fitted: bool
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of the prior of two weights; infinite where it is flat."""
    learnt = isinstance(model.prior_precision, str)
    precision = np.asarray(model.prior_precision_ if learnt else model.prior_precision, dtype=float)
    if learnt and np.ndim(model.intercept_) == 1:
        precision = precision[target]
    intercept = model.intercept_precision
    if intercept is None:
        intercept = 0.0 if learnt or precision.ndim else float(precision)
    means, precisions = [], []
    for index in pair:
        column = index - bool(model.fit_intercept)
        means.append(0.0 if column < 0 else _of_one(model.prior_mean, column))
        precisions.append(intercept if column < 0 else _of_one(precision, column))
    unit = 1.0  # with "gamma", prior precisions are relative to that of the noise
    if fitted and model.noise_precision == "gamma":
        unit = float(np.atleast_1d(model.noise_precision_)[target])
    with np.errstate(divide="ignore"):
        variances = 1 / (unit * np.array(precisions, dtype=float))
    return np.array(means), np.diag(variances)


def _of_one(values: Any, column: int) -> float:
    """The value of one basis function, of one for all or one for each."""
    return float(values if np.ndim(values) == 0 else np.asarray(values)[column])


def _points(keywords: dict[str, Any] | None) -> dict[str, Any]:
    return {"ls": "", "marker": "o", "ms": 4, "color": ink(), "alpha": 0.8, **(keywords or {})}


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
        Those of the predictive Student-t distributions; infinite for normal ones.
    draws : ndarray of shape (n_values, n_draws), default=None
        Functions drawn.
    x : ndarray of shape (n_samples,), default=None
        The feature's values in the data.
    y : ndarray of shape (n_samples,), default=None
        The data's targets.
    feature_name : str, default="x"
        Label of the feature.
    target_name : str, default="y"
        Label of the target.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes.
    figure_ : matplotlib Figure
        Its figure.
    mean_ : matplotlib Line2D
        The mean.
    bands_ : list of matplotlib FillBetweenPolyCollection
        The intervals, the widest first.
    draws_ : list of matplotlib Line2D
        The functions.
    points_ : matplotlib Line2D or None
        The data.

    See Also
    --------
    CalibrationDisplay : Whether the intervals hold.
    sklearn.inspection.PartialDependenceDisplay : Averages over the other features, of the mean.

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

    def __init__(
        self,
        *,
        feature_values: FloatArray,
        mean: FloatArray,
        std: FloatArray,
        coverage: npt.ArrayLike = (0.5, 0.95),
        degrees_of_freedom: float | FloatArray = np.inf,
        draws: FloatArray | None = None,
        x: FloatArray | None = None,
        y: FloatArray | None = None,
        feature_name: str = "x",
        target_name: str = "y",
    ) -> None:
        self.feature_values = feature_values
        self.mean = mean
        self.std = std
        self.coverage = coverage
        self.degrees_of_freedom = degrees_of_freedom
        self.draws = draws
        self.x = x
        self.y = y
        self.feature_name = feature_name
        self.target_name = target_name

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
        """Draw what a regressor predicts along one feature.

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
            Values of other features, by index or name; the rest is held at medians, and columns
            that are not numeric at their most frequent value.
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
        rows, values, data, name = varied_rows(X, feature, grid, held)
        rows = transform_before_final(estimator, rows)
        mean, std = (_output(table, target) for table in _with_std(model, rows))
        df = _degrees_of_freedom(model)
        draws = None
        if n_draws:
            drawn = model.sample_y(
                rows, n_draws, observation_noise=False, random_state=random_state
            )
            draws = drawn if drawn.ndim == 2 else drawn[:, target]
        target_values, target_name = (None, "y") if y is None else target_of(y, target)
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
        """Draw it.

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
        levels = checked_levels(self.coverage)
        (self.ax_,) = panels(ax, 1, "PredictiveDisplay.plot")
        self.figure_ = self.ax_.figure
        at = self.feature_values
        self.bands_ = []
        alphas = 0.25 + 0.3 * np.arange(len(levels)) / len(levels)  # told apart in the legend
        for level, alpha in zip(levels[::-1], alphas, strict=True):
            half = _half_width(self.std, level, self.degrees_of_freedom)
            style = {"color": COLORS[0], "alpha": alpha, "lw": 0, "label": f"{level:.0%} interval"}
            self.bands_.append(
                self.ax_.fill_between(
                    at, self.mean - half, self.mean + half, **{**style, **(band_kw or {})}
                )
            )
        self.draws_ = []
        if self.draws is not None:
            style = {"color": COLORS[1], "lw": 1, "alpha": 0.8, **(draw_kw or {})}
            self.draws_ = self.ax_.plot(at, self.draws, **style)
            self.draws_[0].set_label("draws")
        style = {"color": COLORS[0], "lw": 2, "label": "mean", **(line_kw or {})}
        (self.mean_,) = self.ax_.plot(at, self.mean, **style)
        self.points_ = None
        if self.y is not None:
            (self.points_,) = self.ax_.plot(
                self.x, self.y, **{"label": "data", **_points(scatter_kw)}
            )
        self.ax_.set(xlabel=self.feature_name, ylabel=self.target_name)
        self.ax_.legend(fontsize="small")
        return self


class CalibrationDisplay:
    """Whether predictive distributions hold: PIT histogram, and coverage of intervals.

    The probability integral transform (PIT) of a target is the predictive probability of values
    below it. If the predictive distributions hold, PITs are uniform: a U shape tells of too narrow
    ones, a hump of too wide ones, a slope of a bias. The right panel has the share of targets
    inside the central interval, for each probability. The grey bands hold 95 % of what
    independent rows would give by chance. Make it by `from_estimator` or `from_predictions`.

    Parameters
    ----------
    pit : ndarray of shape (n_values,)
        Probability integral transforms.
    name : str, default=None
        Label of the model.

    Attributes
    ----------
    axes_ : ndarray of shape (2,)
        The panels.
    figure_ : matplotlib Figure
        Their figure.
    histogram_ : matplotlib StepPatch
        The histogram, as a density.
    line_ : matplotlib Line2D
        Share inside, by probability.

    See Also
    --------
    sklearn.calibration.CalibrationDisplay : The same question for classifiers.
    skgen.mean_log_predictive_density : One number that rewards narrow intervals that hold.

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

    def __init__(self, *, pit: FloatArray, name: str | None = None) -> None:
        self.pit = pit
        self.name = name

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: npt.ArrayLike,
        y: npt.ArrayLike,
        *,
        n_bins: int = 10,
        name: str | None = None,
        color: Any = COLORS[0],
        ax: Any = None,
    ) -> Self:
        """Draw how well a regressor's predictive distributions hold on rows it has not seen.

        Parameters
        ----------
        estimator : regressor, or Pipeline or search that ends in one
            Fitted, with ``predict(X, return_std=True)``.
        X : array-like of shape (n_samples, n_features)
            Features that it was not fitted to.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Their targets; outputs count one by one.
        n_bins : int, default=10
            Bins of the histogram.
        name : str, default=None
            Label; None is the estimator's class.
        color : Color, default="#0072B2"
            Colour of histogram and line.
        ax : Axes or array of two Axes, default=None
            Where to draw: two panels, or one that is split. None makes a figure.

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        model = final_step(estimator, "predict")
        mean, std = _with_std(model, transform_before_final(estimator, X))
        return cls.from_predictions(
            y, mean, std, degrees_of_freedom=_degrees_of_freedom(model), n_bins=n_bins,
            name=type(model).__name__ if name is None else name, color=color, ax=ax,
        )  # fmt: skip

    @classmethod
    def from_predictions(
        cls,
        y_true: npt.ArrayLike,
        y_mean: npt.ArrayLike,
        y_std: npt.ArrayLike,
        *,
        degrees_of_freedom: npt.ArrayLike = np.inf,
        n_bins: int = 10,
        name: str | None = None,
        color: Any = COLORS[0],
        ax: Any = None,
    ) -> Self:
        """Draw how well predictive means and standard deviations hold.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        y_mean : array-like of the same shape
            Predictive means.
        y_std : array-like of the same shape
            Predictive standard deviations.
        degrees_of_freedom : float or array-like of shape (n_outputs,) or that of y, default=inf
            Those of the predictive Student-t distributions, above 2; infinite for normal ones.
        n_bins : int, default=10
            Bins of the histogram.
        name : str, default=None
            Label.
        color : Color, default="#0072B2"
            Colour of histogram and line.
        ax : Axes or array of two Axes, default=None
            Where to draw: two panels, or one that is split. None makes a figure.

        Returns
        -------
        display : CalibrationDisplay
            The display, drawn.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        y = np.asarray(y_true, dtype=float)
        mean, std = np.asarray(y_mean, dtype=float), np.asarray(y_std, dtype=float)
        if not y.shape == mean.shape == std.shape or not y.size:
            raise ValueError(
                "`y_true`, `y_mean` and `y_std` must have the same shape, with at least one row; "
                f"got {y.shape}, {mean.shape} and {std.shape}. Give one prediction a target."
            )
        if not (np.isfinite(y) & np.isfinite(mean) & (std > 0)).all():
            raise ValueError(
                "`y_true` and `y_mean` must be finite, `y_std` positive; got some that are not. "
                "Leave such rows out."
            )
        df = np.asarray(degrees_of_freedom, dtype=float)
        if not (df > 2).all():
            raise ValueError(
                "`degrees_of_freedom` must be above 2, where there is a standard deviation; got "
                f"degrees_of_freedom={short_repr(degrees_of_freedom)}. Give np.inf for normal ones."
            )
        pit = np.ravel(student_t.cdf((y - mean) / (std * _shrinkage(df)), df))
        return cls(pit=pit, name=name).plot(ax, n_bins=n_bins, color=color)

    def plot(self, ax: Any = None, *, n_bins: int = 10, color: Any = COLORS[0]) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : Axes or array of two Axes, default=None
            Where to draw: two panels, or one that is split. None makes a figure. Those of another
            `CalibrationDisplay`, ``display.axes_``, compare two models.
        n_bins : int, default=10
            Bins of the histogram.
        color : Color, default="#0072B2"
            Colour of histogram and line.

        Returns
        -------
        display : CalibrationDisplay
            The display.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        n_bins = check_number(
            n_bins, "n_bins", low=1, high=10_000, integer=True, remedy="Give a number of bins."
        )
        left, right = panels(ax, 2, "CalibrationDisplay.plot")
        self.axes_ = np.array([left, right])
        self.figure_ = left.figure
        grey = {"color": "grey", "alpha": 0.25, "lw": 0}
        n = len(self.pit)
        low, high = np.asarray(binom.ppf([0.025, 0.975], n, 1 / n_bins)) * n_bins / n
        left.axhspan(low, high, **grey)
        left.axhline(1, color="grey", lw=1)
        density, edges = np.histogram(self.pit, n_bins, (0, 1), density=True)
        self.histogram_ = left.stairs(density, edges, color=color, lw=2, label=self.name)
        left.set(xlabel="PIT", ylabel="density", xlim=(0, 1), ylim=(0, None))
        levels = np.linspace(0, 1, 101)
        low, high = np.asarray(binom.ppf([[0.025], [0.975]], n, levels)) / n
        right.fill_between(levels, low, high, **grey)
        right.plot([0, 1], [0, 1], color="grey", lw=1)
        inside = np.sort(np.abs(2 * self.pit - 1))
        shares = np.searchsorted(inside, levels, side="right") / n
        (self.line_,) = right.plot(levels, shares, color=color, lw=2, label=self.name)
        right.set(
            xlabel="probability of the interval",
            ylabel="share of targets inside",
            xlim=(0, 1),
            ylim=(0, 1),
        )
        if self.name is not None:
            right.legend(fontsize="small", loc="best")
        return self


def _with_std(model: Any, X: Any) -> tuple[FloatArray, FloatArray]:
    try:
        mean, std = model.predict(X, return_std=True)
    except TypeError as error:
        raise TypeError(
            "`estimator` must have predict(X, return_std=True); got "
            f"{type(model).__name__}. Give a regressor that says how sure it is."
        ) from error
    return np.asarray(mean), np.asarray(std)


def _output(table: FloatArray, target: int) -> FloatArray:
    if table.ndim == 1:
        return table
    output: FloatArray = table[:, checked_index(target, "target", table.shape[1], "outputs")]
    return output


def _degrees_of_freedom(model: Any) -> Any:
    """Those of the predictive distributions, one per output; other models' are taken as normal."""
    return getattr(model, "degrees_of_freedom_", np.inf)


def _shrinkage(df: npt.ArrayLike) -> Any:
    """Scale of a Student-t distribution of standard deviation 1."""
    return np.sqrt(1 - 2 / np.asarray(df, dtype=float))


def _half_width(std: FloatArray, level: float, df: float | FloatArray) -> FloatArray:
    """From the mean to the end of the central interval of probability ``level``."""
    half: FloatArray = std * _shrinkage(df) * student_t.ppf((1 + level) / 2, df)
    return half
