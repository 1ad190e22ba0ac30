"""Scorers of predictive distributions, for ``scoring=`` of GridSearchCV and its like."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import norm

from ._pipelines import final_estimator, transform_before_final

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
        If the estimator has no predictive distribution.

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
    X, estimator = transform_before_final(estimator, X), final_estimator(estimator)
    if hasattr(estimator, "log_predictive_density"):
        return float(np.mean(estimator.log_predictive_density(X, y)))
    try:
        mean, std = estimator.predict(X, return_std=True)
    except TypeError as error:
        raise TypeError(
            "`estimator` must have log_predictive_density(X, y) or predict(X, return_std=True); "
            f"got {type(estimator).__name__}. Score it with a point score, such as 'r2'."
        ) from error
    log_density = norm.logpdf(np.asarray(y), mean, std)
    return float(log_density.reshape(len(log_density), -1).sum(axis=1).mean())
