"""Scorers of predictive distributions, for ``scoring=`` of GridSearchCV and its like."""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm
from sklearn.compose import TransformedTargetRegressor

from ._pipelines import final_estimator, transform_before_final
from ._validation import FloatArray

__all__ = ["mean_log_predictive_density"]


def mean_log_predictive_density(estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean log predictive density of y given X, a proper score; greater is better.

    Pass it as ``scoring=`` to GridSearchCV or cross_val_score.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted regressor with ``log_predictive_density(X, y)``, or one with
        ``predict(X, return_std=True)``, whose predictive distribution is then taken to be normal;
        or a Pipeline whose last step is such a regressor.
    X : array-like of shape (n_samples, n_features)
        Features.
    y : array-like of shape (n_samples,) or (n_samples, n_outputs)
        Targets.

    Returns
    -------
    score : float
        Mean over rows of log p(y | x), in nats.

    Raises
    ------
    TypeError
        If the estimator has no predictive distribution, such as a regressor without standard
        deviations, a transformer, or a TransformedTargetRegressor, which returns none.
    ValueError
        If standard deviations are not positive and finite, or y has another shape than predictions.

    See Also
    --------
    skgen.BayesianBasisRegressor.log_predictive_density : The log density of each row.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import cross_val_score
    >>> from skgen import BayesianBasisRegressor, mean_log_predictive_density
    >>> X, y = load_diabetes(return_X_y=True)
    >>> scores = cross_val_score(
    ...     BayesianBasisRegressor("identity"), X, y, scoring=mean_log_predictive_density
    ... )
    >>> round(float(scores.mean()), 1)
    -5.4
    """
    X, final = transform_before_final(estimator, X), final_estimator(estimator)
    if hasattr(final, "log_predictive_density"):
        return float(np.mean(final.log_predictive_density(X, y)))
    mean, std = _mean_and_std(final, X)
    targets = np.asarray(y)
    if targets.size != mean.size or len(targets) != len(mean):
        raise ValueError(
            f"`y` must have one number per prediction; got shape {targets.shape} for predictions "
            f"of shape {mean.shape}. Give the outputs that the estimator was fitted to."
        )
    log_density = np.asarray(norm.logpdf(targets.reshape(mean.shape), mean, std))
    return float(log_density.reshape(len(log_density), -1).sum(axis=1).mean())


def _mean_and_std(estimator: Any, X: Any) -> tuple[FloatArray, FloatArray]:
    """Predictive means and positive standard deviations, or an error that says why there are none.

    TransformedTargetRegressor passes ``return_std`` on, and has an AttributeError when a pair comes
    back.
    """
    name = type(estimator).__name__
    try:
        mean, std = (np.asarray(table) for table in estimator.predict(X, return_std=True))
    except (AttributeError, TypeError) as error:
        remedy = "Score it with a point score, such as 'r2'."
        if isinstance(estimator, TransformedTargetRegressor):
            remedy = "Use BayesianBasisRegressor(target_transformer=...), or a point score."
        raise TypeError(
            "`estimator` must have log_predictive_density(X, y) or predict(X, return_std=True); "
            f"got {name}. {remedy}"
        ) from error
    if not (np.isfinite(mean) & (std > 0) & np.isfinite(std)).all():
        raise ValueError(
            "`estimator` must predict finite means and positive, finite standard deviations; got "
            f"{name} with others. A fit without noise has no density: give it some."
        )
    return mean, std
