"""Learned basis parameters: maxima by other searches, and invariances of the search."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from bad_calls import snapshot
from conftest import assert_digits, representatives
from learnable import FITTED, GAMMA, LEARNABLE, SEARCHED, waves, with_theta
from scipy.spatial.distance import cdist
from scipy.stats import norm
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.datasets import load_diabetes, load_iris, make_friedman1
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel
from sklearn.linear_model import LinearRegression
from sklearn.metrics import root_mean_squared_error
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.basis_search import MOST_COST, SEARCH_ROWS, merge_duplicates, prior_cost
from skgen._regression.rows import Rows
from skgen.bases import resolve_basis

# -- what the search finds ------------------------------------------------------------------------


def two_scales(X):
    return 3 * np.sin(3 * X[:, 0]) * np.cos(2 * X[:, 1]) + 0.5 * np.sin(40 * X[:, 1])


@pytest.mark.parametrize("seed", range(3))
def test_two_kernels_are_taken_where_a_feature_has_two_scales(seed):
    """One kernel needs the short length scale for the smooth part, too."""
    rng = np.random.default_rng(seed)
    X, new = rng.uniform(size=(300, 2)), rng.uniform(size=(500, 2))
    y = two_scales(X) + 0.1 * rng.normal(size=300)
    errors = []
    for n_kernels in (1, "auto"):
        basis = FourierBasis(n_kernels=n_kernels, linear=True, random_state=0)
        model = BayesianBasisRegressor(basis).fit(X, y)
        errors.append(root_mean_squared_error(two_scales(new), model.predict(new)))
    fast, slow = sorted(model.basis_.length_scale_[:, 1])
    assert fast < 0.1 < slow
    assert errors[1] < 0.85 * errors[0]


def test_one_kernel_is_kept_where_one_is_enough(rng):
    basis = FourierBasis(n_kernels="auto", ranks=True, linear=True, random_state=0)
    X = rng.uniform(size=(200, 3))
    for y in (X[:, 0], np.sin(6 * X[:, 0]) + X[:, 1], np.zeros(200)):
        model = BayesianBasisRegressor(basis).fit(X, y + 0.1 * rng.normal(size=200))
        assert model.basis_.kernel_shares_.tolist() == [1.0]


def at_start(basis):
    """Basis with the length scales at which the search starts."""
    name = "width" if isinstance(basis, GaussianBasis) else "length_scale"
    return clone(basis).set_params(**{name: None})


def of_iris(rng):
    columns = load_iris().data
    return columns[:, :3], columns[:, 3]


def of_one_feature(rng):
    X = rng.normal(size=(40, 1))
    return X, np.sin(5 * X[:, 0]) + 0.1 * rng.normal(size=40)


def of_duplicates(rng):
    X, y = waves(rng, 20)
    return np.repeat(X, 4, axis=0), np.repeat(y, 4) + 0.1 * rng.normal(size=80)


def of_one_place(rng):
    return np.ones((10, 3)), rng.normal(size=10)


def of_a_constant_feature(rng):
    X, y = waves(rng)
    X[:, 1] = 5.0
    return X, y


def of_two_outputs(rng):
    X, y = waves(rng)
    return X, np.column_stack([y, 5 * X[:, 1] ** 2 + rng.normal(size=60)])


DATA = {
    "diabetes": lambda rng: load_diabetes(return_X_y=True),
    "iris": of_iris,
    "friedman": lambda rng: make_friedman1(80, noise=0.5, random_state=0),
    "waves": waves,
    "one feature": of_one_feature,
    "noise": lambda rng: (rng.normal(size=(60, 3)), rng.normal(size=60)),
    "a line": lambda rng: ((X := rng.normal(size=(30, 3))), X @ [1.0, 2.0, 3.0]),
    "one row": lambda rng: (np.ones((1, 3)), np.ones(1)),
    "two rows": lambda rng: (np.eye(3)[:2], np.array([1.0, 3.0])),
    "three rows": lambda rng: (np.eye(3), np.array([1.0, 3.0, 2.0])),
    "duplicates": of_duplicates,
    "one place": of_one_place,
    "a constant feature": of_a_constant_feature,
    "two outputs": of_two_outputs,
}
PRIORS = {
    "learnt": {},
    "proper gamma": GAMMA,
    "noise given": {"noise_precision": 4.0},
    "prior given": {"prior_precision": 2.0},
    "both given": {"prior_precision": 2.0, "noise_precision": 4.0},
}


@pytest.mark.parametrize(("data", "basis", "prior"), representatives(DATA, SEARCHED, PRIORS))
def test_learned_parameters_have_at_least_the_evidence_of_the_start(data, basis, prior, rng):
    X, y = DATA[data](rng)
    basis, prior = SEARCHED[basis], PRIORS[prior]
    learnt = BayesianBasisRegressor(basis, **prior).fit(X, y)
    start = BayesianBasisRegressor(at_start(basis), **prior).fit(X, y)
    assert learnt.log_marginal_likelihood_ >= start.log_marginal_likelihood_ - 1e-6
    assert np.all(np.isfinite(learnt.basis_.theta_))
    assert np.all(np.isfinite(learnt.predict(X)))


@pytest.mark.parametrize("basis", SEARCHED)
@pytest.mark.parametrize("data", ["diabetes", "friedman", "waves", "one feature"])
def test_learning_increases_the_evidence(data, basis):
    X, y = DATA[data](np.random.default_rng(0))  # some draws leave little to gain
    learnt = BayesianBasisRegressor(SEARCHED[basis]).fit(X, y)
    start = BayesianBasisRegressor(at_start(SEARCHED[basis])).fit(X, y)
    assert learnt.log_marginal_likelihood_ > start.log_marginal_likelihood_ + 1


@pytest.mark.parametrize("basis", SEARCHED)
@pytest.mark.parametrize("value", [0.0, 2.5])
def test_constant_target(value, basis, rng):
    X = rng.normal(size=(30, 3))
    model = BayesianBasisRegressor(SEARCHED[basis]).fit(X, np.full(30, value))
    np.testing.assert_allclose(model.predict(rng.normal(size=(9, 3))), value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("basis", "factor"), representatives(SEARCHED, [1e-3, 1e3]))
def test_search_does_not_depend_on_the_unit_of_y(basis, factor, rng):
    X, y = waves(rng)
    plain = BayesianBasisRegressor(SEARCHED[basis]).fit(X, y).basis_.theta_
    scaled = BayesianBasisRegressor(SEARCHED[basis]).fit(factor * X + 1, factor * y - 7)
    assert_digits(scaled.basis_.theta_, plain, 4)


@pytest.mark.parametrize(("prior", "unit"), representatives([1.0, 100.0], [0.1, 1.0, 10.0]))
def test_search_with_a_given_prior_in_other_units_of_y(prior, unit):
    """The best noise variance may be far from the variance of the basis functions."""
    X, y = make_friedman1(100, n_features=5, noise=0.5, random_state=0)
    basis = FourierBasis(60, random_state=0)
    free = BayesianBasisRegressor(basis).fit(X, unit * y).basis_
    model = BayesianBasisRegressor(basis, prior_precision=prior).fit(X, unit * y)
    other = BayesianBasisRegressor(FrozenEstimator(free), prior_precision=prior).fit(X, unit * y)
    penalty = 0.5 * np.sum((free.theta_ - np.log(np.sqrt(5))) ** 2)
    assert model.log_marginal_likelihood_ > other.log_marginal_likelihood_ - penalty - 1


def objective(basis, theta, X, y, **prior):
    """Log evidence at theta with the best precisions, plus the log prior of theta."""
    frozen = FrozenEstimator(with_theta(basis, theta))
    model = BayesianBasisRegressor(frozen, **prior).fit(X, y)
    off = theta - clone(basis).fit(X).theta_
    costs = np.where(off < 0, 0.5 * off**2, MOST_COST * -np.expm1(-(off**2) / (2 * MOST_COST)))
    return model.log_marginal_likelihood_ - costs.sum()


def test_the_prior_is_normal_below_and_flat_far_above_its_center():
    offset = np.linspace(-3, 6, 400)
    costs, slopes, curvatures = zip(*[prior_cost(np.array([each])) for each in offset], strict=True)
    slope = np.gradient(costs, offset)
    np.testing.assert_allclose(np.ravel(slopes)[1:-1], slope[1:-1], atol=1e-3)
    curvature = np.maximum(np.gradient(np.ravel(slopes), offset), 0)
    inner = np.abs(offset[1:-1]) > 0.1  # the third derivative jumps at 0
    np.testing.assert_allclose(np.ravel(curvatures)[1:-1][inner], curvature[1:-1][inner], atol=0.02)
    normal = norm.logpdf(0) - norm.logpdf(offset[offset < 0])
    np.testing.assert_allclose(np.array(costs)[offset < 0], normal)
    assert abs(costs[-1] - MOST_COST) < 1e-12 > abs(slopes[-1][0])


def test_features_that_tell_nothing_are_left_out(rng):
    """Of fifty features five matter: nearly as good a fit as to these alone."""
    X, y = make_friedman1(500, n_features=50, noise=1.0, random_state=0)
    rows, others = slice(0, 300), slice(300, None)
    r2 = [
        BayesianBasisRegressor().fit(table[rows], y[rows]).score(table[others], y[others])
        for table in (X, X[:, :5])
    ]
    assert r2[1] - 0.02 < r2[0]


@pytest.mark.parametrize("prior", [{}, GAMMA, {"noise_precision": 100.0}], ids=str)
@pytest.mark.parametrize("n_features", [1, 3])
def test_learned_widths_are_a_local_maximum_of_the_evidence(n_features, prior, rng):
    """Gaussians are the same in the search and after it, so no value nearby is better.

    Farther off there may be: the evidence has several maxima.
    """
    X, y = waves(rng, 80, n_features)
    basis = GaussianBasis(15, width="evidence")
    found = BayesianBasisRegressor(basis, **prior).fit(X, y).basis_
    best = objective(found, found.theta_, X, y, **prior)
    for scale in (0.01, 0.03, 0.1):
        for _ in range(8):
            theta = found.theta_ + rng.normal(scale=scale, size=found.theta_.shape)
            assert objective(found, theta, X, y, **prior) < best + 0.05


def test_no_grid_point_has_much_more_evidence(rng):
    """Over wide grids the evidence has several maxima, about a nat apart."""
    X, y = waves(rng, 80, 1)
    found = BayesianBasisRegressor(GaussianBasis(15, width="evidence")).fit(X, y).basis_
    grid = found.theta_ + np.linspace(-2, 2, 41)[:, None]
    most = max(objective(found, theta, X, y) for theta in grid)
    assert most < objective(found, found.theta_, X, y) + 2


def test_search_avoids_overflow(rng):
    """Shorter length scales lower the largest valid X; at the start all rows are valid."""
    X = rng.normal(size=(50, 2)) * [1e-38, 1e61]
    y = np.sin(4e38 * X[:, 0])
    basis = FourierBasis(100, random_state=0)
    BayesianBasisRegressor(at_start(basis)).fit(X, y)
    model = BayesianBasisRegressor(basis).fit(X, y)
    assert np.all(np.isfinite(model.predict(X)))


# -- one feature, and beyond the data -------------------------------------------------------------


@pytest.mark.parametrize("n_waves", [1, pytest.param(4, marks=pytest.mark.slow), 8])
def test_the_default_finds_waves_of_one_feature(n_waves, rng):
    x = rng.random((600, 1))
    signal = np.sin(2 * np.pi * n_waves * x[:, 0])
    model = BayesianBasisRegressor().fit(x[:300], signal[:300] + 0.1 * rng.normal(size=300))
    error = root_mean_squared_error(signal[300:], model.predict(x[300:]))
    assert 1 - error**2 / signal.var() > 0.98


def test_the_default_continues_a_line():
    x = np.linspace(80, 100, 30)[:, None]
    mean, std = BayesianBasisRegressor().fit(x, x[:, 0]).predict([[75.0]], return_std=True)
    assert abs(mean[0] - 75) < 0.01
    assert std[0] < 0.01


def test_the_default_continues_a_trend_with_seasons(rng):
    """Short waves about a long trend must not carry the trend: ranks end with the data."""
    time = np.arange(0, 20, 1 / 24)
    X = np.column_stack([time, np.sin(2 * np.pi * time), np.cos(2 * np.pi * time)])
    slow = np.convolve(rng.normal(size=len(time) + 23), np.full(24, 24**-0.5), "valid")
    y = 340 + 1.5 * time + 3 * X[:, 1] + 0.4 * slow + 0.2 * rng.normal(size=len(time))
    known, future = time < 16, time >= 16
    model = BayesianBasisRegressor().fit(X[known], y[known])
    low, high = model.predict_interval(X[future]).T
    assert np.mean((low < y[future]) & (y[future] < high)) > 0.85
    assert root_mean_squared_error(y[future], model.predict(X[future])) < 1.0


@pytest.mark.slow
def test_intervals_beyond_a_line_cover():
    """One fit of each of 100 sets, asked at three places."""
    hits, x_new = [], np.array([[-0.1], [1.1], [1.2]])
    for seed in range(100):
        rng = np.random.default_rng(seed)
        x = rng.random((31, 1))[:30]
        noise = 0.3 * rng.normal(size=31)
        model = BayesianBasisRegressor().fit(x, 1 + 2 * x[:, 0] + noise[:30])
        low, high = model.predict_interval(x_new).T
        y_new = 1 + 2 * x_new[:, 0] + noise[30]
        hits.append((low < y_new) & (y_new < high))
    shares = np.mean(hits, axis=0)
    assert np.all((shares > 0.88) & (shares <= 1))


@pytest.mark.parametrize("n_rows", [pytest.param(4, marks=pytest.mark.slow), 12])
def test_known_noise_has_the_evidence_of_the_best_length_scale(n_rows, rng):
    x = np.sort(rng.random((n_rows, 1)), axis=0)
    y = np.sin(6 * x[:, 0]) + 1e-4 * rng.normal(size=n_rows)
    prior = {"noise_precision": 1e8}
    basis = FourierBasis(600, random_state=0)
    found = BayesianBasisRegressor(basis, **prior).fit(x, y).basis_
    grid = np.linspace(-4, 3, 29)[:, None]
    most = max(objective(found, theta, x, y, **prior) for theta in grid)
    assert objective(found, found.theta_, x, y, **prior) > most - 1


# -- relevance ------------------------------------------------------------------------------------


@pytest.mark.parametrize("ranks", [pytest.param(False, marks=pytest.mark.slow), True])
def test_the_five_features_that_matter_are_the_five_most_relevant(ranks):
    basis = FourierBasis(200, ranks=ranks, random_state=0)
    X, y = make_friedman1(400, noise=0.5, random_state=0)
    relevance = BayesianBasisRegressor(basis).fit(X, y).basis_.relevance_
    assert relevance[:5].min() > 1.3 * relevance[5:].max()


@pytest.mark.parametrize(
    "basis", [FourierBasis(100, random_state=0), GaussianBasis(60, width="evidence")], ids=str
)
def test_the_relevance_of_what_does_not_matter_shrinks(basis, rng):
    X, y = waves(rng, 150)
    learnt = BayesianBasisRegressor(basis).fit(X, y).basis_.relevance_
    start = clone(basis).fit(X).relevance_
    assert np.all(learnt[1:] < start[1:] / 2)
    assert learnt[0] > 3 * learnt[1:].max()


LENGTHS = np.array([0.4, 2.0])
NOISE = 0.1


@pytest.fixture(scope="module")
def draw_of_a_process():
    """Rows of a Gaussian process with a length scale for each of two features, and noise."""
    rng = np.random.default_rng(5)
    X = rng.uniform(-1.5, 1.5, size=(200, 2))
    kernel = np.exp(-0.5 * cdist(X / LENGTHS, X / LENGTHS, "sqeuclidean"))
    values = np.linalg.cholesky(kernel + 1e-9 * np.eye(200)) @ rng.normal(size=200)
    return X, values + NOISE * rng.normal(size=200)


@pytest.fixture(scope="module")
def learnt_of_a_process(draw_of_a_process):
    return BayesianBasisRegressor(FourierBasis(400, random_state=0)).fit(*draw_of_a_process)


def test_the_length_scales_of_a_process_are_found(learnt_of_a_process):
    assert np.all(np.abs(np.log(learnt_of_a_process.basis_.length_scale_ / LENGTHS)) < np.log(1.4))
    assert learnt_of_a_process.noise_precision_**-0.5 == pytest.approx(NOISE, rel=0.2)


def test_the_length_scales_of_a_process_are_those_of_scikit_learn(
    draw_of_a_process, learnt_of_a_process
):
    """scikit-learn has no prior of length scales, so results differ by a few percent."""
    kernel = ConstantKernel(1.0) * RBF([1.0, 1.0]) + WhiteKernel(0.01)
    exact = GaussianProcessRegressor(kernel, normalize_y=True).fit(*draw_of_a_process)
    lengths = exact.kernel_.k1.k2.length_scale
    assert np.all(np.abs(np.log(learnt_of_a_process.basis_.length_scale_ / lengths)) < np.log(1.15))


# -- weights, order, repetition -------------------------------------------------------------------


def fitted(basis, *data, **prior):
    return BayesianBasisRegressor(FITTED[basis], **prior).fit(*data)


@pytest.mark.parametrize("basis", FITTED)
def test_row_of_weight_k_equals_k_rows(basis, rng):
    X, y = waves(rng)
    counts = rng.integers(0, 4, size=60)
    weighted = fitted(basis, X, y, counts)
    repeated = fitted(basis, np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert np.array_equal(weighted.basis_.theta_, repeated.basis_.theta_)
    assert joblib.hash(weighted.basis_) == joblib.hash(repeated.basis_)
    X_new = rng.normal(size=(9, 3))
    assert_digits(weighted.predict(X_new), repeated.predict(X_new), 7)


@pytest.mark.parametrize("basis", FITTED)
def test_the_order_of_rows_does_not_matter(basis, rng):
    X, y = waves(rng, 100)
    order = rng.permutation(100)
    one, other = fitted(basis, X, y), fitted(basis, X[order], y[order])
    assert np.array_equal(one.basis_.theta_, other.basis_.theta_)
    assert joblib.hash(one.basis_) == joblib.hash(other.basis_)


@pytest.mark.parametrize("basis", FITTED)
def test_every_fit_learns_the_same(basis, rng):
    X, y = waves(rng)
    one, other = (fitted(basis, X, y) for _ in range(2))
    assert joblib.hash(one.basis_) == joblib.hash(other.basis_)
    again = one.fit(X, y)  # what was learnt before is forgotten
    assert np.array_equal(again.basis_.theta_, other.basis_.theta_)
    assert np.array_equal(one.predict(X), other.predict(X))


@pytest.mark.parametrize(
    ("basis", "convert"),
    representatives(FITTED, [np.float32, np.asfortranarray, np.ndarray.tolist]),
)
def test_same_result_for_other_types_of_X(basis, convert, rng):
    X, y = waves(rng)
    X = X.astype(np.float32).astype(np.float64)
    assert np.array_equal(
        fitted(basis, X, y).basis_.theta_, fitted(basis, convert(X), y).basis_.theta_
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
@pytest.mark.parametrize("basis", FITTED)
def test_a_copy_of_a_fitted_model_predicts_the_same_and_learns_on(basis, copied, rng):
    X, y = waves(rng)
    model = fitted(basis, X, y)
    other = copied(model)
    for _ in range(2):
        for one, two in zip(
            model.predict(X, return_std=True), other.predict(X, return_std=True), strict=True
        ):
            assert np.array_equal(one, two)
        model.partial_fit(X[:9], y[:9])
        other.partial_fit(X[:9], y[:9])


@pytest.mark.parametrize("basis", FITTED)
def test_a_clone_is_unfitted_and_learns_the_same(basis, rng):
    X, y = waves(rng)
    model = fitted(basis, X, y)
    other = clone(model)
    with pytest.raises(NotFittedError):
        other.predict(X)
    assert np.array_equal(other.fit(X, y).basis_.theta_, model.basis_.theta_)


def test_parallel_fits_equal_sequential_fits(rng):
    X, y = waves(rng, 90)
    model = BayesianBasisRegressor(make_pipeline(StandardScaler(), FITTED["few fourier"]))
    one = cross_val_score(model, X, y, cv=3)
    with joblib.parallel_config("threading"):
        assert np.array_equal(cross_val_score(model, X, y, cv=3, n_jobs=3), one)


@pytest.mark.parametrize("n_rows", [60, pytest.param(300, marks=pytest.mark.slow)])
def test_linear_function_is_learned(n_rows, rng):
    """Errors are near those of least squares, and beyond the data well below those of waves."""
    X = rng.normal(size=(n_rows + 200, 12))
    X[-100:] *= 3
    signal = X @ rng.normal(size=12)
    y = signal + 0.01 * rng.normal(size=len(X))
    waves = BayesianBasisRegressor(FourierBasis(ranks=True, random_state=0))
    models = LinearRegression(), BayesianBasisRegressor(), waves
    errors = [
        [root_mean_squared_error(signal[part], model.predict(X[part]))
         for part in (slice(n_rows, n_rows + 100), slice(n_rows + 100, None))]
        for model in (model.fit(X[:n_rows], y[:n_rows]) for model in models)
    ]  # fmt: skip
    line, ours, without = np.array(errors)
    assert ours[0] < 4 * line[0]
    assert ours[1] < min(4 * line[1], without[1] / 2)


def test_search_uses_some_rows_and_the_posterior_all(rng):
    n_rows = SEARCH_ROWS + 500
    X, y = waves(rng, n_rows)
    model = fitted("gaussian", X, y)
    assert len(merge_duplicates(Rows(X, y[:, None]))) <= SEARCH_ROWS
    assert model.n_samples_seen_ == n_rows
    twin = BayesianBasisRegressor(FrozenEstimator(model.basis_)).fit(X, y)
    assert twin.log_marginal_likelihood_ == model.log_marginal_likelihood_
    assert not np.array_equal(model.basis_.theta_, clone(FITTED["gaussian"]).fit(X).theta_)


def test_merge_duplicates_sorts_rows_and_adds_weights(rng):
    X, Y = rng.integers(3, size=(50, 2)) / 2, rng.integers(2, size=(50, 2)) * 1.0
    weights = rng.integers(1, 4, size=50) * 1.0
    found = merge_duplicates(Rows(X, Y, weights))
    both = np.hstack([found.X, found.Y])
    expected, counts = np.unique(
        np.repeat(np.hstack([X, Y]), weights.astype(int), axis=0), axis=0, return_counts=True
    )
    assert np.array_equal(both, expected)
    assert np.array_equal(found.weights, counts)


# -- any basis with theta_ and vjp ----------------------------------------------------------


class Waves(TransformerMixin, BaseEstimator):
    """A sine and a cosine, and a log period to be learned."""

    def __init__(self, period=1.0):
        self.period = period

    def fit(self, X, y=None):
        self.theta_ = np.log([self.period])
        return self

    def transform(self, X):
        phase = 2 * np.pi * np.asarray(X) / np.exp(self.theta_)
        return np.hstack([np.sin(phase), np.cos(phase)])

    def vjp(self, X, Phi, gradient):
        phase = 2 * np.pi * X[:, 0] / np.exp(self.theta_)
        return np.array([phase @ (gradient[:, 1] * Phi[:, 0] - gradient[:, 0] * Phi[:, 1])])


@pytest.fixture
def periodic():
    rng = np.random.default_rng(1)  # of 12 rows of some other draws a local maximum is found
    X = rng.uniform(0, 4, size=(60, 1))
    return X, 3 + np.sin(2 * np.pi * X[:, 0] / 1.7 + 0.4) + 0.05 * rng.normal(size=60)


@pytest.mark.parametrize("n_rows", [12, 60])
@pytest.mark.parametrize("start", [1.4, 2.1])
def test_custom_basis_is_learned(start, n_rows, periodic):
    X, y = periodic
    model = BayesianBasisRegressor(Waves(start)).fit(X[:n_rows], y[:n_rows])
    assert np.exp(model.basis_.theta_).item() == pytest.approx(1.7, rel=0.02)
    assert model.noise_precision_**-0.5 == pytest.approx(0.05, rel=0.5)


def test_custom_basis_in_a_pipeline_is_learned(periodic):
    X, y = periodic
    model = BayesianBasisRegressor(make_pipeline(StandardScaler(), Waves(1.7 / X.std() * 1.2)))
    period = np.exp(model.fit(X, y).basis_[-1].theta_).item() * X.std()
    assert period == pytest.approx(1.7, rel=0.02)


def test_frozen_custom_basis_is_not_learned(periodic):
    basis = Waves(1.4).fit(None)
    BayesianBasisRegressor(FrozenEstimator(basis)).fit(*periodic)
    assert basis.theta_.tolist() == [np.log(1.4)]


IN_PIPELINES = {
    "after a scaler": lambda basis: make_pipeline(StandardScaler(), basis),
    "after nothing": lambda basis: make_pipeline("passthrough", basis),
    "alone": make_pipeline,
    "nested": lambda basis: make_pipeline(StandardScaler(), make_pipeline("passthrough", basis)),
    "alone and nested": lambda basis: make_pipeline(make_pipeline(basis)),
    "with frames": lambda basis: make_pipeline(StandardScaler(), basis).set_output(
        transform="pandas"
    ),
}


@pytest.mark.parametrize("name", IN_PIPELINES)
def test_last_step_of_a_pipeline_is_learned(name, rng):
    """Rows are standardized, so that every pipeline gives the same result."""
    X, y = waves(rng)
    X = StandardScaler().fit_transform(X)
    basis = FourierBasis(20, random_state=0)
    alone = BayesianBasisRegressor(basis).fit(X, y)
    piped = BayesianBasisRegressor(IN_PIPELINES[name](basis)).fit(X, y)
    last = piped.basis_
    while hasattr(last, "steps"):
        last = last[-1]
    np.testing.assert_allclose(last.theta_, alone.basis_.theta_, rtol=0, atol=1e-6)
    assert_digits(piped.predict(X), alone.predict(X), 6)


# -- what is left alone, and what goes on ---------------------------------------------------------


@pytest.mark.parametrize("name", LEARNABLE)
def test_frozen_basis_is_unchanged(name, rng):
    X, y = waves(rng)
    basis = clone(LEARNABLE[name]).fit(X)
    before = joblib.hash(basis)
    for frozen in (FrozenEstimator(basis), make_pipeline("passthrough", FrozenEstimator(basis))):
        model = BayesianBasisRegressor(frozen)
        assert model.fit(X, y) is model.partial_fit(X, y)
    assert joblib.hash(basis) == before


@pytest.mark.parametrize("fit_first", [False, True])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_basis_parameter_is_unchanged(method, fit_first, rng):
    X, y = waves(rng)
    basis = FourierBasis(20, random_state=0)
    if fit_first:
        basis.fit(X)
    before = snapshot(basis)
    model = BayesianBasisRegressor(basis)
    getattr(model, method)(X, y)
    assert snapshot(basis) == before
    assert model.basis is basis
    assert model.basis_ is not basis


@pytest.mark.parametrize("basis", FITTED)
def test_partial_fit_learns_at_the_first_call_and_then_keeps(basis, rng):
    X, y = waves(rng, 90)
    model = BayesianBasisRegressor(FITTED[basis]).partial_fit(X[:60], y[:60])
    learnt = model.basis_.theta_
    assert np.array_equal(learnt, fitted(basis, X[:60], y[:60]).basis_.theta_)
    model.partial_fit(X[60:], y[60:], sample_weight=np.full(30, 2.0))
    assert np.array_equal(model.basis_.theta_, learnt)
    assert model.n_samples_seen_ == 90


def test_models_merge_only_if_they_share_a_frozen_basis(rng):
    X, y = waves(rng, 90)
    whole = BayesianBasisRegressor(FITTED["few fourier"], noise="constant").fit(X, y)
    frozen = FrozenEstimator(whole.basis_)
    left, right = (
        BayesianBasisRegressor(frozen).fit(X[rows], y[rows]) for rows in (np.s_[:40], np.s_[40:])
    )
    assert_digits(left.merge(right).predict(X), whole.predict(X), 9)
    left, right = (fitted("few fourier", X[rows], y[rows]) for rows in (np.s_[:40], np.s_[40:]))
    with pytest.raises(ValueError, match="`other`"):
        left.merge(right)


FREE_PRIOR = {"prior_precision": 1.0, "noise_precision": 4.0}


@pytest.mark.parametrize(
    "basis",
    ["auto", "fourier", GaussianBasis(9, domain=(-2, 2), width="evidence"),
     FourierBasis(20, random_state=0), FourierBasis(20, ranks=True, length_scale=1.0)],
    ids=str,
)  # fmt: skip
def test_no_prior_draws_with_a_basis_to_be_learned(basis, rng):
    model = BayesianBasisRegressor(basis, **FREE_PRIOR)
    with pytest.raises(NotFittedError, match="depends on the data"):
        model.sample_y(rng.normal(size=(5, 2)), random_state=0)
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize(
    "basis",
    [GaussianBasis(9, domain=(-2, 2)), FourierBasis(20, length_scale=1.0, random_state=0)],
    ids=str,
)
def test_prior_draws_with_a_fixed_basis(basis, rng):
    model = BayesianBasisRegressor(basis, **FREE_PRIOR)
    assert model.sample_y(rng.normal(size=(5, 2)), 3, random_state=0).shape == (5, 3)


# -- a flat prior ---------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", ["evidence", "gamma", 4.0])
@pytest.mark.parametrize("precision", [0, 0.0, np.r_[0.0, np.ones(7)]], ids=str)
@pytest.mark.parametrize("basis", [*FITTED, "in a pipeline"])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_error_for_a_flat_prior_with_a_basis_to_be_learned(method, basis, precision, noise, rng):
    X, y = waves(rng, 30)
    basis = FITTED.get(basis, make_pipeline(StandardScaler(), FourierBasis(8, random_state=0)))
    if np.ndim(precision):
        basis = FourierBasis(8, random_state=0)
    model = BayesianBasisRegressor(basis, prior_precision=precision, noise_precision=noise)
    before = dict(vars(model))
    with pytest.raises(ValueError, match="`prior_precision` must be > 0"):
        getattr(model, method)(X, y)
    assert vars(model) == before


def test_failed_fit_leaves_the_model_unchanged(rng):
    X, y = waves(rng)
    model = fitted("few fourier", X, y)
    expected = model.predict(X)
    model.set_params(prior_precision=0.0)
    with pytest.raises(ValueError, match="`prior_precision` must be > 0"):
        model.fit(X[:, :2], y)
    assert model.n_features_in_ == 3
    assert np.array_equal(model.predict(X), expected)


def test_flat_prior_with_fixed_length_scales(rng):
    X, y = waves(rng)
    basis = FourierBasis(8, length_scale=None, random_state=0)
    model = BayesianBasisRegressor(basis, prior_precision=0.0).fit(X, y)
    Phi = np.column_stack([np.ones(60), model.basis_.transform(X)])
    expected = Phi @ np.linalg.lstsq(Phi, y, rcond=None)[0]
    np.testing.assert_allclose(model.predict(X), expected, rtol=0, atol=1e-9)


# -- the default, and scikit-learn's tools --------------------------------------------------------


@pytest.mark.parametrize("n_features", [1, 2])
def test_default_basis(n_features, rng):
    X, y = waves(rng, 40, n_features)
    named = BayesianBasisRegressor(resolve_basis("auto")).fit(X, y)
    assert np.array_equal(BayesianBasisRegressor().fit(X, y).predict(X), named.predict(X))


def test_a_grid_search_chooses_kernel_and_ranks(rng):
    X = rng.lognormal(sigma=2, size=(80, 2))
    y = np.sin(2 * np.log(X[:, 0])) + 0.1 * rng.normal(size=80)
    model = make_pipeline(
        StandardScaler(), BayesianBasisRegressor(FourierBasis(40, random_state=0))
    )
    name = "bayesianbasisregressor__basis__"
    grid = {name + "kernel": ["rbf", "matern52"], name + "ranks": [False, True]}
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert search.best_params_[name + "ranks"]
    assert search.predict(X).shape == (80,)


@pytest.mark.parametrize("step", [0.1, 1.0])
def test_copies_of_rows_do_not_hide_the_noise(step, rng):
    """Copies agree without noise, and evidence would be largest where there is none."""

    def observe(n_rows):
        X = np.round(rng.normal(size=(n_rows, 3)), 1)
        y = 2 * np.sin(X[:, 0]) + 0.6 * rng.normal(size=n_rows)
        return X, np.round(y / step) * step

    X, y = observe(150)
    copied = np.r_[0:150, 0:40]
    model = BayesianBasisRegressor().fit(X[copied], y[copied])
    assert 0.4 < model.noise_precision_**-0.5 < 0.8
    X, y = observe(500)
    lower, upper = model.predict_interval(X).T
    assert 0.88 < np.mean((lower <= y) & (y <= upper)) < 0.99


def test_the_least_noise_variance_is_that_of_rounding():
    """With copies and as many functions as rows, nothing else limits the noise."""
    X, y = np.arange(12.0)[:, None], np.array([0.0, 3, 1, 2, 0, 3, 3, 0, 1, 3, 0, 2])
    copied = np.r_[0:12, 0:12, 0:12]
    basis = FourierBasis(200, length_scale=0.2, random_state=0)
    free = BayesianBasisRegressor(basis).fit(X[copied], y[copied])
    assert free.noise_precision_ > 1e6
    learnable = FourierBasis(200, random_state=0)
    assert BayesianBasisRegressor(learnable).fit(X[copied], y[copied]).noise_precision_ <= 12.0001
