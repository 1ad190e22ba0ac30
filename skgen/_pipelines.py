"""Pipelines, searches and frozen estimators: the estimator at their end, and the way to it."""

from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


def best_of(estimator: Any) -> Any:
    """The best estimator of a search, or the estimator itself."""
    if isinstance(estimator, FrozenEstimator):  # it passes on all attributes of the one inside
        return estimator
    return getattr(estimator, "best_estimator_", estimator)


def final_estimator(estimator: Any) -> Any:
    """The last step of nested pipelines and searches."""
    estimator = best_of(estimator)
    return final_estimator(estimator[-1]) if isinstance(estimator, Pipeline) else estimator


def transform_before_final(estimator: Any, X: Any) -> Any:
    """X as the last step of nested pipelines and searches sees it."""
    estimator = best_of(estimator)
    if not isinstance(estimator, Pipeline):
        return X
    return transform_before_final(estimator[-1], _apply_first_steps(estimator, "transform", X))


def inverse_transform_from_final(estimator: Any, X: Any) -> Any:
    """X, as the last step of nested pipelines and searches sees it, as it was before the first."""
    estimator = best_of(estimator)
    if not isinstance(estimator, Pipeline):
        return X
    X = inverse_transform_from_final(estimator[-1], X)
    return _apply_first_steps(estimator, "inverse_transform", X)


def _apply_first_steps(pipeline: Pipeline, method: str, X: Any) -> Any:
    """Return X after all steps but the last."""
    return getattr(pipeline[:-1], method)(X) if len(pipeline) > 1 else X
