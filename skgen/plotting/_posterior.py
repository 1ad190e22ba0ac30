"""Prior and posterior of weights."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import boxcox
from scipy.stats import multivariate_t

from .._validation import FloatArray, RandomState, check_vector
from . import _inputs as inputs
from ._drawing import COLORS, draw_data, is_dark, make_room, panels, text_color

SHADES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)  # probabilities inside the edges of the shades


@dataclass(kw_only=True, eq=False, repr=False)
class PosteriorDisplay:
    """Prior and posterior of two weights, and functions drawn from the posterior.

    The left panel shows the density of two weights. The shades are the posterior; their edges
    enclose 10 to 99 % of its probability. Two lines enclose 50 and 95 % of that of the prior. The
    right panel shows functions, one per draw of all weights. Create the display by
    `from_estimator`.

    Parameters
    ----------
    weights : tuple of two ints
        Indices of the weights; the intercept, if there is one, has index 0.
    posterior_mean, prior_mean : ndarray of shape (2,)
        Means of the weights.
    posterior_covariance, prior_covariance : ndarray of shape (2, 2)
        Covariances of the weights. That of the prior is not finite if the prior is flat.
    degrees_of_freedom : float
        Degrees of freedom of the posterior's Student-t distribution; infinite for a normal one.
    feature_values : ndarray of shape (n_values,)
        Values of the feature at which the functions are evaluated.
    draws : ndarray of shape (n_values, n_draws)
        Functions drawn from the posterior.
    true_weights : array-like of shape (2,), default=None
        True values of the weights, drawn as a cross. None draws no cross.
    {data}

    Attributes
    ----------
    axes_, figure_ : ndarray of shape (2,) of matplotlib Axes, and Figure
        The two panels, and their figure.
    density_ : matplotlib QuadContourSet
        Shades of the posterior.
    prior_ : list of matplotlib Line2D
        Lines of the prior; empty if it is flat.
    true_weights_ : matplotlib Line2D or None
        The cross.
    lines_ : list of matplotlib Line2D
        The functions.
    points_ : matplotlib Line2D or None
        The data.

    See Also
    --------
    PredictiveDisplay : Mean and intervals of new observations.

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

    weights: tuple[int, int]
    posterior_mean: FloatArray
    prior_mean: FloatArray
    posterior_covariance: FloatArray
    prior_covariance: FloatArray
    degrees_of_freedom: float
    feature_values: FloatArray
    draws: FloatArray
    true_weights: npt.ArrayLike | None = None
    x: FloatArray | None = None
    y: FloatArray | None = None
    feature_name: str = "x"
    target_name: str = "y"

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
        feature: int | str = 0, grid: npt.ArrayLike | None = None,
        held: dict[Any, Any] | None = None, target: int = 0,
        weights: tuple[int, int] = (0, 1), true_weights: npt.ArrayLike | None = None,
        n_draws: int = 6, random_state: RandomState = None, ax: Any = None,
    ) -> Self:  # fmt: skip
        """Draw two weights of a `BayesianBasisRegressor`, fitted or not.

        A model that is not fitted must be able to draw from its prior: the precisions must be
        numbers, and the basis must not depend on the data.

        Parameters
        ----------
        estimator : BayesianBasisRegressor, or Pipeline or search that ends in one
            The model.
        {along}
        weights : tuple of two ints, default=(0, 1)
            Indices of the weights; the intercept comes first if there is one.
        true_weights : array-like of shape (2,), default=None
            True values of the two weights, drawn as a cross. None draws no cross.
        n_draws : int, default=6
            Number of functions to draw.
        {random_state}
        {axes}

        {returns}
        """
        model = inputs.final_step(estimator, "sample_y")
        rows, data = inputs.rows_along(estimator, X, y, feature, grid, held, target)
        draws = inputs.draw_functions(model, rows, n_draws, target, random_state)
        fitted = model.__sklearn_is_fitted__()
        n_weights = model.covariance_.shape[-1] if fitted else 10**6
        pair = inputs.check_pair(weights, "weights", n_weights, "weights, the intercept's first")
        prior = _prior_moments(model, pair, target, fitted)
        mean, covariance = _posterior_moments(model, pair, target) if fitted else prior
        df = np.atleast_1d(model.degrees_of_freedom_)[target] if fitted else np.inf
        return cls(
            weights=pair, posterior_mean=mean, posterior_covariance=covariance,
            prior_mean=prior[0], prior_covariance=prior[1],
            degrees_of_freedom=df, draws=draws, true_weights=true_weights, **data,
        ).plot(ax)  # fmt: skip

    def plot(
        self, ax: Any = None, *, cmap: Any = None, line_kw: dict[str, Any] | None = None,
        scatter_kw: dict[str, Any] | None = None,
    ) -> Self:  # fmt: skip
        """Draw the display.

        Parameters
        ----------
        {axes}
        cmap : str or Colormap, default=None
            Colours of the posterior density. None means "Blues", reversed on a dark background.
        line_kw, scatter_kw : dict, default=None
            Keywords of ``Axes.plot`` for the functions and for the data.

        {returns}
        """
        left, right = panels(ax, 2, "PosteriorDisplay.plot")
        self.axes_ = np.array([left, right])
        self.figure_ = left.figure
        self._draw_density(left, cmap)
        line = {"color": COLORS[0], "lw": 1.2, "alpha": 0.8, **(line_kw or {})}
        self.lines_ = right.plot(self.feature_values, self.draws, **line)
        self.points_ = draw_data(right, self.x, self.y, scatter_kw)
        right.set(xlabel=self.feature_name, ylabel=self.target_name)
        return self

    def _draw_density(self, ax: Any, cmap: Any) -> None:
        mean, df = self.posterior_mean, self.degrees_of_freedom
        posterior = _Weights(mean, self.posterior_covariance, df)
        cmap = ("Blues_r" if is_dark(ax) else "Blues") if cmap is None else cmap
        window = posterior.ellipse(SHADES[-1])
        w0, w1 = np.linspace(window.min(axis=1), window.max(axis=1), 201, axis=1)
        edges = [posterior.density.pdf(posterior.ellipse(p, 1)[:, 0]) for p in SHADES[::-1]]
        peak = posterior.density.pdf(mean) * (1 + 1e-9)
        heights = posterior.density.pdf(np.stack(np.meshgrid(w0, w1), axis=-1))
        self.density_ = ax.contourf(w0, w1, heights, levels=[*edges, peak], cmap=cmap)
        self.prior_: list[Any] = []
        if np.isfinite(self.prior_covariance).all():
            window = self._draw_prior(ax)  # the same before and after a fit
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

    def _draw_prior(self, ax: Any) -> FloatArray:
        """Draw the prior's lines, and return an outline of the whole prior."""
        prior = _Weights(self.prior_mean, self.prior_covariance)
        style = {"color": text_color(), "lw": 1, "alpha": 0.6}
        for level, dashes in ((0.5, "--"), (0.95, ":")):
            label = f"prior, {level:.0%}"
            self.prior_ += ax.plot(*prior.ellipse(level), dashes, label=label, **style)
        outline = prior.ellipse(SHADES[-1])
        ax.update_datalim(outline.T)
        ax.autoscale_view()
        return outline


class _Weights:
    """Student-t distribution of two weights, by its covariance; normal with infinite ``df``."""

    def __init__(self, mean: FloatArray, covariance: FloatArray, df: Any = np.inf) -> None:
        self.mean = mean
        self.df = df
        self.shape = covariance * (1 - 2 / df)
        self.density = multivariate_t(mean, self.shape, df)

    def ellipse(self, level: float, n_points: int = 181) -> FloatArray:
        """Outline of the region of highest density of probability ``level``, shape (2, n)."""
        # squared radius df ((1 - level)^(-2/df) - 1), of a normal distribution -2 log(1 - level)
        radius = np.sqrt(-2 * boxcox(1 - level, -2 / self.df))
        angles = np.linspace(0, 2 * np.pi, n_points)
        circle = radius * np.stack([np.cos(angles), np.sin(angles)])
        return self.mean[:, None] + np.linalg.cholesky(self.shape) @ circle


def _posterior_moments(
    model: Any, pair: tuple[int, int], target: int
) -> tuple[FloatArray, FloatArray]:
    """Posterior mean and covariance of two weights."""
    coef = np.atleast_2d(model.coef_)
    inputs.check_index(target, "target", len(coef), "outputs")
    if model.fit_intercept:
        coef = np.column_stack([np.atleast_1d(model.intercept_), coef])
    covariance = model.covariance_.reshape(-1, coef.shape[1], coef.shape[1])[target]
    if not np.isfinite(covariance).all():
        raise ValueError(
            "`estimator` must have a finite covariance of its weights; got an infinite one after "
            f"{model.n_samples_seen_} rows. Give more rows, or a narrower noise prior."
        )
    return coef[target, list(pair)], covariance[np.ix_(pair, pair)]


def _prior_moments(
    model: Any, pair: tuple[int, int], target: int, fitted: bool
) -> tuple[FloatArray, FloatArray]:
    """Mean and covariance of the prior of two weights; infinite where it is flat."""
    learned = isinstance(model.prior_precision, str)
    precision = model.prior_precision_ if learned else model.prior_precision
    if learned and np.ndim(model.intercept_) == 1:
        precision = precision[target]
    intercept = model.intercept_precision
    if intercept is None:
        intercept = 0.0 if learned or np.ndim(precision) else precision
    columns = np.array(pair) - bool(model.fit_intercept)  # -1 is the intercept

    def values(of_basis: Any, of_intercept: float) -> FloatArray:
        table = np.asarray(of_basis, dtype=float)
        return np.where(columns < 0, of_intercept, table[columns] if table.ndim else table)

    precisions = values(precision, intercept)
    if fitted and model.noise_precision == "gamma":  # they are relative to that of the noise
        precisions *= np.atleast_1d(model.noise_precision_)[target]
    with np.errstate(divide="ignore"):
        return values(model.prior_mean, 0.0), np.diag(1 / precisions)
