"""Pipelines, searches and frozen estimators: their last step, and the steps before it."""

from typing import Any

from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline


def best_of(estimator: Any) -> Any:
    """The best estimator of a search, or the estimator itself."""
    if isinstance(estimator, FrozenEstimator):  # whose attributes are those of the one inside
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
    """X before the first step, given X as the last step of nested pipelines sees it."""
    estimator = best_of(estimator)
    if not isinstance(estimator, Pipeline):
        return X
    X = inverse_transform_from_final(estimator[-1], X)
    return _apply_first_steps(estimator, "inverse_transform", X)


def _apply_first_steps(pipeline: Pipeline, method: str, X: Any) -> Any:
    """Apply a method of all steps except the last."""
    return getattr(pipeline[:-1], method)(X) if len(pipeline) > 1 else X
