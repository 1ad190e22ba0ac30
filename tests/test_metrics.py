"""Scores against scipy's densities, closed forms and definitions written out."""

import numpy as np
import pytest
from scipy import linalg, stats
from scipy.spatial.distance import cdist
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skgen import BayesianBasisRegressor, GaussianBasis, mean_log_predictive_density
from skgen.metrics import (
    classifier_two_sample_test,
    frechet_distance,
    precision_recall_density_coverage,
)

NORMAL = {
    "ours": BayesianBasisRegressor("gaussian", prior_precision=1.0, noise_precision=10.0),
    "BayesianRidge": BayesianRidge(),
    "GaussianProcessRegressor": GaussianProcessRegressor(
        RBF(1.0, "fixed") + WhiteKernel(0.1, "fixed"), optimizer=None
    ),
}


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 2))
    return X, np.sin(X[:, 0]) + X[:, 1] + 0.3 * rng.normal(size=40)


@pytest.mark.parametrize("name", NORMAL)
def test_the_score_is_the_mean_log_density_of_scipys_normal(name, data):
    X, y = data
    estimator = NORMAL[name].fit(X[:30], y[:30])
    mean, std = estimator.predict(X[30:], return_std=True)
    expected = np.mean(stats.norm(mean, std).logpdf(y[30:]))
    assert mean_log_predictive_density(estimator, X[30:], y[30:]) == pytest.approx(expected)


def test_unknown_noise_scores_by_scipys_student_t(data):
    X, y = data
    shape, rate = 1.5, 0.4
    model = BayesianBasisRegressor(
        "identity", prior_precision=2.0, noise_precision="gamma", noise_shape=shape, noise_rate=rate
    ).fit(X[:30], y[:30])
    Phi, Phi_new = (np.column_stack([np.ones(len(rows)), rows]) for rows in (X[:30], X[30:]))
    joint = np.eye(40) + np.vstack([Phi, Phi_new]) @ np.vstack([Phi, Phi_new]).T / 2.0

    def log_density(rows):
        marginal = stats.multivariate_t(
            shape=rate / shape * joint[np.ix_(rows, rows)], df=2 * shape
        )
        return marginal.logpdf(y[rows])

    seen = list(range(30))
    expected = np.mean([log_density([*seen, row]) - log_density(seen) for row in range(30, 40)])
    assert mean_log_predictive_density(model, X[30:], y[30:]) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", NORMAL)
def test_a_pipeline_scores_as_its_last_step_on_what_comes_before(name, data):
    X, y = data
    pipeline = make_pipeline(PolynomialFeatures(2), StandardScaler(), NORMAL[name]).fit(X, y)
    features = StandardScaler().fit_transform(PolynomialFeatures(2).fit_transform(X))
    alone = NORMAL[name].fit(features, y)
    assert mean_log_predictive_density(pipeline, X, y) == pytest.approx(
        mean_log_predictive_density(alone, features, y), rel=1e-12
    )
    assert mean_log_predictive_density(make_pipeline(pipeline), X, y) == pytest.approx(
        mean_log_predictive_density(pipeline, X, y), rel=1e-12
    )


@pytest.mark.parametrize("name", ["ours", "GaussianProcessRegressor"])
def test_outputs_add_up(name, data):
    X, y = data
    Y = np.column_stack([y, 2 - 3 * y**2])
    together = mean_log_predictive_density(NORMAL[name].fit(X, Y), X, Y)
    apart = [mean_log_predictive_density(NORMAL[name].fit(X, column), X, column) for column in Y.T]
    assert together == pytest.approx(sum(apart), rel=1e-9)


POINT_ESTIMATORS = {
    "Ridge": Ridge(),
    "PCA": PCA(),
    "MultiOutputRegressor": MultiOutputRegressor(BayesianRidge()),
    "TransformedTargetRegressor": TransformedTargetRegressor(BayesianBasisRegressor("identity")),
}


@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: make_pipeline(StandardScaler(), e)])
@pytest.mark.parametrize("name", POINT_ESTIMATORS)
def test_an_estimator_without_a_predictive_distribution_is_refused(name, wrap, data):
    X, y = data
    y = y[:, None] if name == "MultiOutputRegressor" else y
    estimator = wrap(clone(POINT_ESTIMATORS[name])).fit(X, y)
    with pytest.raises(TypeError, match=rf"`estimator` must have log_predictive.*{name}\. "):
        mean_log_predictive_density(estimator, X, y)


def test_targets_in_one_column_score_as_a_vector(data):
    X, y = data
    for estimator in NORMAL.values():
        column = y[:, None]
        fitted = estimator.fit(X, column if estimator is NORMAL["ours"] else y)
        found = mean_log_predictive_density(fitted, X, column)
        expected = mean_log_predictive_density(estimator.fit(X, y), X, y)
        assert found == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match=r"`y` must have one number per prediction"):
        mean_log_predictive_density(estimator, X, np.column_stack([y, y]))


def test_an_estimator_that_is_certain_is_refused(data):
    X, y = data
    process = GaussianProcessRegressor(RBF(1.0, "fixed"), alpha=1e-15, optimizer=None).fit(X, 0 * y)
    process.predict = lambda X, return_std: (np.zeros(len(X)), np.zeros(len(X)))
    with pytest.raises(ValueError, match=r"`estimator` must predict .* positive, finite"):
        mean_log_predictive_density(process, X, y)


def test_a_transformed_target_scores_in_its_own_units(data):
    X, y = data
    model = BayesianBasisRegressor("identity", target_transformer="log").fit(X, np.exp(y))
    inside = BayesianBasisRegressor("identity").fit(X, y)
    expected = mean_log_predictive_density(inside, X, y) - y.mean()
    assert mean_log_predictive_density(model, X, np.exp(y)) == pytest.approx(expected)


def test_a_grid_search_by_the_scorer_finds_the_basis_that_fits(rng):
    X = rng.uniform(size=(60, 1))
    y = np.sin(2 * np.pi * X[:, 0]) + 0.1 * rng.normal(size=60)
    search = GridSearchCV(
        BayesianBasisRegressor(),
        {"basis": ["identity", GaussianBasis(9)]},
        scoring=mean_log_predictive_density,
    ).fit(X, y)
    by_hand = cross_val_score(
        BayesianBasisRegressor("identity"), X, y, scoring=mean_log_predictive_density
    ).mean()
    assert search.cv_results_["mean_test_score"][0] == pytest.approx(by_hand, rel=1e-12)
    assert isinstance(search.best_params_["basis"], GaussianBasis)
    assert search.best_score_ > by_hand + 0.5


# -- two sets of rows -----------------------------------------------------------------------------


def with_moments(rng, mean, covariance, n=50):
    """Rows of which mean and covariance are exactly these."""
    noise = rng.normal(size=(n, len(mean)))
    noise -= noise.mean(axis=0)
    white = noise @ np.linalg.inv(np.linalg.cholesky(np.cov(noise.T))).T
    return mean + white @ np.linalg.cholesky(covariance).T


def random_covariance(rng, n_features):
    root = rng.normal(size=(n_features, n_features))
    return root @ root.T + 0.1 * np.eye(n_features)


def test_the_frechet_distance_is_that_of_gaussians(rng):
    means, (S, S_) = rng.normal(size=(2, 4)), (random_covariance(rng, 4) for _ in range(2))
    X, Y = with_moments(rng, means[0], S), with_moments(rng, means[1], S_, n=70)
    expected = np.sum((means[0] - means[1]) ** 2) + np.trace(S + S_ - 2 * linalg.sqrtm(S @ S_).real)
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(Y, X) == pytest.approx(expected, rel=1e-9)
    assert frechet_distance(X, X) == pytest.approx(0, abs=1e-10)
    assert frechet_distance(X, 3 * X) == pytest.approx(
        4 * np.sum(X.mean(axis=0) ** 2) + 4 * np.trace(S), rel=1e-9
    )


def test_the_frechet_distance_takes_fewer_rows_than_features(rng):
    X, Y = rng.normal(size=(5, 20)), rng.normal(size=(8, 20))
    S, S_ = np.cov(X.T), np.cov(Y.T)
    overlap = np.sqrt(np.linalg.eigvals(S @ S_).real.clip(0)).sum()
    shift = np.sum((X.mean(axis=0) - Y.mean(axis=0)) ** 2)
    expected = shift + np.trace(S) + np.trace(S_) - 2 * overlap
    assert frechet_distance(X, Y) == pytest.approx(expected, rel=1e-4)


def test_precision_recall_density_and_coverage_follow_their_definitions(rng):
    X, Y, k = rng.normal(size=(60, 3)), 0.3 + 0.8 * rng.normal(size=(45, 3)), 4
    radii = np.sort(cdist(X, X))[:, k]
    generated_radii = np.sort(cdist(Y, Y))[:, k]
    distances = cdist(X, Y)
    within = distances <= radii[:, None]
    expected = (
        within.any(axis=0).mean(), (distances <= generated_radii).any(axis=1).mean(),
        within.sum() / k / len(Y), within.any(axis=1).mean(),
    )  # fmt: skip
    assert precision_recall_density_coverage(X, Y, n_neighbors=k) == pytest.approx(expected)


def test_identical_sets_are_covered_and_distant_ones_not():
    X = load_iris().data  # with rows that are the same
    assert precision_recall_density_coverage(X, X)[::3] == (1.0, 1.0)
    assert precision_recall_density_coverage(X, X)[1] == 1.0
    assert precision_recall_density_coverage(X, X + 100) == (0.0, 0.0, 0.0, 0.0)


def test_density_and_coverage_of_equal_distributions_have_their_expectation(rng):
    """Naeem et al. 2020, lemmas 1 and 2."""
    n, m, k = 400, 300, 3
    found = np.array(
        [
            precision_recall_density_coverage(
                rng.normal(size=(n, 2)), rng.normal(size=(m, 2)), n_neighbors=k
            )[2:]
            for _ in range(40)
        ]
    )
    steps = np.arange(1, k + 1)
    coverage = 1 - np.prod((n - steps) / (n + m - steps))
    error = found.std(axis=0) / len(found) ** 0.5
    assert np.all(np.abs(found.mean(axis=0) - [1, coverage]) < 4.5 * error)


@pytest.mark.parametrize("classifier", [None, LogisticRegression(), RandomForestClassifier(50)])
def test_a_classifier_cannot_tell_equal_sets_apart(classifier, rng):
    if isinstance(classifier, RandomForestClassifier):
        classifier.set_params(random_state=0)
    X, Y = rng.normal(size=(2, 1000, 3))
    accuracy, auc, p_value = classifier_two_sample_test(X, Y, classifier, random_state=0)
    assert abs(accuracy - 0.5) < 4.5 * 0.5 / 1000**0.5
    assert abs(auc - 0.5) < 4.5 * (1 / 12 * 2 / 500) ** 0.5
    assert p_value > 1e-5


def test_a_linear_classifier_reaches_the_auc_of_shifted_gaussians(rng):
    """By scores whose difference is N(d^2, 2 d^2): the AUC is Phi(d / sqrt(2))."""
    shift = np.array([0.6, 0.8])
    X, Y = rng.normal(size=(4000, 2)), shift + rng.normal(size=(6000, 2))
    accuracy, auc, p_value = classifier_two_sample_test(
        X, Y, LogisticRegression(class_weight="balanced"), random_state=0
    )
    assert auc == pytest.approx(stats.norm.cdf(1 / 2**0.5), abs=0.02)
    assert accuracy == pytest.approx(stats.norm.cdf(0.5), abs=0.02)
    assert p_value < 1e-10


def test_p_values_are_uniform_where_both_sets_are_alike(rng):
    p_values = [
        classifier_two_sample_test(
            *rng.normal(size=(2, 60, 2)), LogisticRegression(), random_state=rng
        )[2]
        for _ in range(100)
    ]
    assert stats.kstest(p_values, "uniform").pvalue > 1e-4


def test_a_test_repeats_by_its_seed(rng):
    X, Y = rng.normal(size=(2, 100, 3))
    one, same, other = (classifier_two_sample_test(X, Y, random_state=seed) for seed in (0, 0, 1))
    assert one == same != other


TWO_SETS = {
    "frechet_distance": frechet_distance,
    "precision_recall_density_coverage": precision_recall_density_coverage,
    "classifier_two_sample_test": classifier_two_sample_test,
}


@pytest.mark.parametrize("name", TWO_SETS)
def test_sets_that_cannot_be_compared_are_refused(name, rng):
    score, X = TWO_SETS[name], rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match=r"`X_generated` must have the 3 features of X"):
        score(X, X[:, :2])
    with pytest.raises(ValueError, match="NaN"):
        score(X * np.nan, X)
    with pytest.raises(ValueError, match="minimum of"):
        score(X, X[:1])
    with pytest.raises(ValueError, match="`X_generated` must hold numbers"):
        score(X, X.astype(str))


def test_options_of_scores_are_checked(rng):
    X = rng.normal(size=(20, 3))
    with pytest.raises(ValueError, match="`n_neighbors` must"):
        precision_recall_density_coverage(X, X, n_neighbors=0)
    with pytest.raises(ValueError, match="`test_size` must"):
        classifier_two_sample_test(X, X, test_size=1)
