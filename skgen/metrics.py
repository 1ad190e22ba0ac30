"""Scores of predictive distributions, and of generated data beside real data.

Scores of generated data compare two sets of rows, which may also be features of images. Distances
are Euclidean, so columns must have comparable scales.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import mannwhitneyu, norm
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score, pairwise_distances_chunked, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.utils.validation import check_array

from ._pipelines import final_estimator, transform_before_final
from ._validation import FloatArray, RandomState, check_number, check_numeric, generator

__all__ = [
    "classifier_two_sample_test",
    "frechet_distance",
    "mean_log_predictive_density",
    "precision_recall_density_coverage",
]


def mean_log_predictive_density(estimator: Any, X: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean log predictive density of y given X, a proper score; higher is better.

    Pass it as ``scoring=`` to GridSearchCV or cross_val_score.

    Parameters
    ----------
    estimator : estimator or Pipeline
        A fitted regressor with ``log_predictive_density(X, y)``, or with ``predict(X,
        return_std=True)``, whose predictive distribution is then taken to be normal; or a Pipeline
        whose last step is such a regressor.
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
        If the estimator has no predictive distribution: a transformer, or a regressor without
        standard deviations, such as a TransformedTargetRegressor.
    ValueError
        If standard deviations are not positive and finite, or if y does not have the shape of the
        predictions.

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
    """Return predictive means and positive standard deviations, or raise if there are none.

    TransformedTargetRegressor passes ``return_std`` to its regressor, and raises an AttributeError
    when it gets a pair back.
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


def frechet_distance(X: npt.ArrayLike, X_generated: npt.ArrayLike) -> float:
    """Frechet distance of two sets of rows, as if both were normally distributed.

    It is ``|m - m'|^2 + tr(S + S' - 2 (S S')^(1/2))`` for sets with means m, m' and covariances S,
    S' (Dowson and Landau [1]_ eq. 4), which is the square of a distance. For features that a
    network computes from images, it is known as the Frechet inception distance [2]_. 0 is best.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Real rows, at least 2.
    X_generated : array-like of shape (n_generated, n_features)
        Generated rows, at least 2.

    Returns
    -------
    distance : float
        The distance, in squared units of the features.

    See Also
    --------
    precision_recall_density_coverage : Numbers for rows unlike the data and for missing rows.

    Notes
    -----
    Only means and covariances count. Even for draws of the same distribution the distance is
    positive: by about ``tr(S) (1/n + 1/n')`` due to the means, and by more due to the covariances.
    So give each set many more rows than there are features, and compare distances of equal n.

    References
    ----------
    .. [1] D. C. Dowson and B. V. Landau, The Frechet distance between multivariate normal
       distributions, Journal of Multivariate Analysis 12, 1982.
    .. [2] M. Heusel et al., GANs trained by a two time-scale update rule converge to a local Nash
       equilibrium, NeurIPS 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.metrics import frechet_distance
    >>> X = np.array([[0.0, 0.0], [1.0, 2.0], [2.0, 0.0]])
    >>> round(frechet_distance(X, X + [3, 4]), 6)
    25.0
    """
    real, generated = _check_sets(X, X_generated, n_rows=2)
    mean, generated_mean = real.mean(axis=0), generated.mean(axis=0)
    root, generated_root = _covariance_root(real), _covariance_root(generated)
    total = np.square(root).sum() + np.square(generated_root).sum()
    # With S = R^T R, the singular values of R R'^T are the square roots of the eigenvalues of S S'.
    overlap = np.linalg.norm(root @ generated_root.T, "nuc")
    return float(np.square(mean - generated_mean).sum() + max(0.0, total - 2 * overlap))


def precision_recall_density_coverage(
    X: npt.ArrayLike, X_generated: npt.ArrayLike, *, n_neighbors: int = 5
) -> tuple[float, float, float, float]:
    """Precision, recall, density and coverage of generated rows, by nearest neighbours.

    Around each row is a ball whose radius is the distance to the k-th nearest neighbour of the row
    in its own set (Naeem et al. [1]_ eq. 3 to 7).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Real rows, more than ``n_neighbors``.
    X_generated : array-like of shape (n_generated, n_features)
        Generated rows, more than ``n_neighbors``.
    n_neighbors : int, default=5
        Number k of neighbours, at least 1.

    Returns
    -------
    precision : float
        Share of generated rows within a ball of a real one.
    recall : float
        Share of real rows within a ball of a generated one.
    density : float
        Mean number of balls of real rows that contain a generated row, divided by k. It is about 1
        for draws of the same distribution, and larger if generated rows crowd into dense places.
    coverage : float
        Share of balls of real rows that contain a generated row. It is about ``1 - 2^-k`` for as
        many draws of the same distribution as there are real rows.

    See Also
    --------
    frechet_distance : One number, by means and covariances.

    Notes
    -----
    Outliers have large balls, so they increase precision and recall; density and coverage are
    robust to them. All four depend on the numbers of rows and on k. Compare values of equal n and
    k, with 1000 rows or more. The time is O(n_samples * n_generated * n_features).

    References
    ----------
    .. [1] M. F. Naeem et al., Reliable fidelity and diversity metrics for generative models, ICML
       2020.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen.metrics import precision_recall_density_coverage
    >>> X, far = np.arange(20.0)[:, None], np.arange(100.0, 120.0)[:, None]
    >>> precision_recall_density_coverage(X, far)
    (0.0, 0.0, 0.0, 0.0)
    """
    remedy = "5 is usual."
    k = check_number(n_neighbors, "n_neighbors", low=1, integer=True, remedy=remedy)
    real, generated = _check_sets(X, X_generated, n_rows=k + 1)
    radii, generated_radii = (_radii(rows, k) for rows in (real, generated))
    n_balls = np.zeros(len(generated))
    is_recalled = np.empty(len(real), dtype=bool)
    is_covered = np.empty(len(real), dtype=bool)
    start = 0
    for distances in pairwise_distances_chunked(real, generated):
        rows = slice(start, start := start + len(distances))
        is_within = distances <= radii[rows, None]
        n_balls += is_within.sum(axis=0)
        is_covered[rows] = is_within.any(axis=1)
        is_recalled[rows] = (distances <= generated_radii).any(axis=1)
    precision, density = np.mean(n_balls > 0), np.mean(n_balls) / k
    return float(precision), float(is_recalled.mean()), float(density), float(is_covered.mean())


def classifier_two_sample_test(
    X: npt.ArrayLike, X_generated: npt.ArrayLike, classifier: Any = None, *,
    test_size: float = 0.5, random_state: RandomState = None,
) -> tuple[float, float, float]:  # fmt: skip
    """Test whether a classifier distinguishes generated from real rows.

    The classifier is fitted to a part of both sets, and tested on the rest (Lopez-Paz and Oquab
    [1]_).

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        Real rows.
    X_generated : array-like of shape (n_generated, n_features)
        Generated rows.
    classifier : classifier, default=None
        Classifier of scikit-learn, which is cloned. None means HistGradientBoostingClassifier.
    test_size : float, default=0.5
        Share of the rows of both sets that are held out, above 0 and at most 0.99.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the split, and of the default classifier. None draws a new seed.

    Returns
    -------
    accuracy : float
        Balanced accuracy on held-out rows: 0.5 for random guesses, 1 if all are classified right.
    auc : float
        Probability that a generated row gets a higher score than a real one, on held-out rows.
    p_value : float
        Probability of an AUC at least as large if both sets had the same distribution
        (Mann-Whitney test).

    See Also
    --------
    precision_recall_density_coverage : Numbers that tell how the sets differ.

    Notes
    -----
    An accuracy of 0.5 does not prove that the distributions are the same. The standard error of the
    accuracy is about ``0.5 / sqrt(n)`` for n held-out rows: with 1000 rows, 0.53 differs from 0.5
    by two standard errors.

    References
    ----------
    .. [1] D. Lopez-Paz and M. Oquab, Revisiting classifier two-sample tests, ICLR 2017.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skgen.metrics import classifier_two_sample_test
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> accuracy, auc, p_value = classifier_two_sample_test(
    ...     X, X + 1, LogisticRegression(), random_state=0
    ... )
    >>> accuracy > 0.7, p_value < 0.001
    (True, True)
    """
    real, generated = _check_sets(X, X_generated, n_rows=4)
    remedy = "0.5 is usual."
    share = check_number(test_size, "test_size", low=0, high=0.99, open_low=True, remedy=remedy)
    seeds = generator(random_state).integers(2**31, size=2).tolist()
    if classifier is None:
        classifier = HistGradientBoostingClassifier(random_state=seeds[1])
    rows, labels = np.concatenate([real, generated]), np.repeat([0, 1], [len(real), len(generated)])
    train, test, train_labels, test_labels = train_test_split(
        rows, labels, test_size=share, stratify=labels, random_state=seeds[0]
    )
    fitted = clone(classifier).fit(train, train_labels)
    accuracy = balanced_accuracy_score(test_labels, fitted.predict(test))
    if hasattr(fitted, "decision_function"):
        scores = fitted.decision_function(test)
    else:
        scores = fitted.predict_proba(test)[:, 1]
    by_set = scores[test_labels == 1], scores[test_labels == 0]
    p_value = mannwhitneyu(*by_set, alternative="greater").pvalue
    return float(accuracy), float(roc_auc_score(test_labels, scores)), float(p_value)


def _check_sets(X: Any, X_generated: Any, n_rows: int) -> tuple[FloatArray, FloatArray]:
    """Return two sets of rows with the same features as arrays, or raise."""
    sets = []
    for name, rows in (("X", X), ("X_generated", X_generated)):
        check_numeric(rows, name)
        table = check_array(rows, dtype=np.float64, input_name=name, ensure_min_samples=n_rows)
        sets.append(table)
    real, generated = sets
    if real.shape[1] != generated.shape[1]:
        raise ValueError(
            f"`X_generated` must have the {real.shape[1]} features of X; got shape "
            f"{generated.shape}. Give rows of the same features."
        )
    return real, generated


def _covariance_root(rows: FloatArray) -> FloatArray:
    """Return a matrix R such that R^T R is the covariance of the rows."""
    centered = (rows - rows.mean(axis=0)) / np.sqrt(len(rows) - 1)
    return np.asarray(np.linalg.qr(centered, mode="r"))


def _radii(rows: FloatArray, k: int) -> FloatArray:
    """Return the distance of each row to its k-th nearest neighbour among the other rows."""
    distances, _ = NearestNeighbors(n_neighbors=k).fit(rows).kneighbors()
    return np.asarray(distances[:, -1])
