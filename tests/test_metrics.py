"""The scorer against scipy's densities, on our regressor and on others'."""

import numpy as np
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.compose import TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skgen import BayesianBasisRegressor, GaussianBasis, mean_log_predictive_density

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
