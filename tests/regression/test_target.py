"""Transformed targets: the change of variables, moments, and the transformations themselves."""

import pickle

import mpmath
import numpy as np
import pytest
from conftest import assert_digits, representatives
from scipy import integrate, stats
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import r2_score
from sklearn.preprocessing import FunctionTransformer, PowerTransformer, QuantileTransformer

import skgen
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression.predictive import Predictive, TransformedPredictive
from skgen._regression.rows import Rows
from skgen._regression.target import Logarithm, TargetTransform, YeoJohnson, weighted_quantiles


def falling(y):
    return -np.arcsinh(y)


def rising(z):
    return np.sinh(-z)


ARCSINH = FunctionTransformer(np.arcsinh, np.sinh)
FALLING = FunctionTransformer(falling, rising)
TRANSFORMERS = {
    "log": "log",
    "yeo-johnson": "yeo-johnson",
    "arcsinh": ARCSINH,
    "falling": FALLING,
    "power": PowerTransformer(),
}
KNOWN = {"prior_precision": 2.0, "noise_precision": 25.0}
LOCAL = GaussianBasis(6, domain=(0, 1))
DF = [4.0, 8.0, 100.0, np.inf]


@pytest.fixture
def data(rng):
    """X, and two skewed, positive outputs, of 60 rows."""
    X = rng.uniform(size=(60, 1))
    Z = np.column_stack([np.sin(4 * X[:, 0]), X[:, 0]]) + 0.2 * rng.normal(size=(60, 2))
    return X, np.exp(Z)


def transform_of(transformers):
    ones = np.ones(len(transformers))
    return TargetTransform(transformers, ones, ones)


# -- the change of variables ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, KNOWN, {"basis": FourierBasis(20, random_state=0)}], ids=str
)
@pytest.mark.parametrize("name", TRANSFORMERS)
def test_answers_are_those_of_a_fit_to_transformed_targets(name, options, data, rng):
    X, Y = data
    weights, scale = rng.integers(1, 3, size=60), rng.uniform(0.5, 2, size=60)
    rows = {"sample_weight": weights, "noise_scale": scale}
    options = {"basis": LOCAL, **options}
    model = BayesianBasisRegressor(**options, target_transformer=TRANSFORMERS[name])
    model.fit(X, Y, **rows)
    target = model._stream.design.target
    inside = BayesianBasisRegressor(**options).fit(X, target.transform(Y), **rows)
    new, new_scale = X[:7], scale[:7]
    for noise in (True, False):
        kind = {"observation_noise": noise, "noise_scale": new_scale}
        quantiles = inside.predict_quantiles(new, [0.1, 0.5, 0.8], **kind)
        assert_digits(
            model.predict_quantiles(new, [0.1, 0.5, 0.8], **kind), target.inverse(quantiles), 10
        )
        draws = inside.sample_y(new, 4, random_state=0, **kind)
        assert_digits(model.sample_y(new, 4, random_state=0, **kind), target.inverse(draws), 10)
    log_derivative = target.log_derivative(Y)
    expected = inside.log_predictive_density(new, target.transform(Y[:7]), noise_scale=new_scale)
    expected += log_derivative[:7].sum(axis=1)
    assert_digits(model.log_predictive_density(new, Y[:7], noise_scale=new_scale), expected, 10)
    evidence = inside.log_marginal_likelihood_ + (weights @ log_derivative).sum()
    assert model.log_marginal_likelihood_ == pytest.approx(evidence, rel=1e-10)
    assert model.log_marginal_likelihood() == pytest.approx(evidence, rel=1e-7)


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_densities_integrate_to_the_distribution_function(name, data):
    X, Y = data
    y = Y[:, 0]
    model = BayesianBasisRegressor(LOCAL, target_transformer=TRANSFORMERS[name]).fit(X, y)
    low, high = model.predict_quantiles(X[:1], [0.05, 0.9])[0]
    grid = np.linspace(low, high, 2001)
    density = np.exp(model.log_predictive_density(np.repeat(X[:1], 2001, axis=0), grid))
    assert integrate.simpson(density, x=grid) == pytest.approx(0.85, abs=1e-6)
    assert_digits(model.predictive_cdf(X[[0, 0]], [low, high]), [0.05, 0.9], 9)


def test_batches_merged_parts_and_files_give_the_fit_to_all_rows(data, tmp_path):
    X, Y = data
    for name in ("log", "arcsinh"):  # which do not depend on the first batch
        kind = None if name == "arcsinh" else TRANSFORMERS[name]
        kind = ARCSINH if kind is None else kind
        whole = BayesianBasisRegressor(LOCAL, target_transformer=kind).fit(X, Y)
        stream = clone(whole).partial_fit(X[:20], Y[:20])
        for row in range(20, 60):
            stream.partial_fit(X[row : row + 1], Y[row : row + 1])
        parts = [clone(whole).fit(X[rows], Y[rows]) for rows in (slice(0, 30), slice(30, 60))]
        copies = [stream, pickle.loads(pickle.dumps(whole))]
        if name == "log":  # functions are not for files
            skgen.save(whole, tmp_path / "model")
            copies += [skgen.load(tmp_path / "model"), parts[0].merge(parts[1])]
        for other in copies:
            assert_digits(other.predict_interval(X), whole.predict_interval(X), 9)
            expected = whole.log_marginal_likelihood_
            assert other.log_marginal_likelihood_ == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("kind", ["log", "yeo-johnson"])
def test_files_keep_the_transformation(kind, data, tmp_path):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer=kind).fit(X, Y)
    skgen.save(model, tmp_path / "model")
    loaded = skgen.load(tmp_path / "model")
    assert loaded.target_transformer_ == model.target_transformer_
    assert np.array_equal(loaded.predict_interval(X), model.predict_interval(X))


def test_the_first_batch_fixes_the_transformation(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="yeo-johnson")
    first = model.partial_fit(X[:30], Y[:30]).target_transformer_
    assert model.partial_fit(X[30:], Y[30:] + 5).target_transformer_ == first


def test_models_of_other_transformations_are_not_merged(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL).fit(X, Y)
    other = BayesianBasisRegressor(LOCAL, target_transformer="log").fit(X, Y)
    with pytest.raises(ValueError, match="transformation of y"):
        model.merge(other)


def test_the_evidence_finds_the_transformation_that_made_the_data(rng):
    X = rng.uniform(size=(200, 1))
    z = 2 * X[:, 0] + 0.5 * rng.normal(size=200)
    makers = {"log": np.exp(z), None: z + 20}
    for kind, y in makers.items():
        found = {
            name: BayesianBasisRegressor("identity", target_transformer=name)
            .fit(X, y)
            .log_marginal_likelihood_
            for name in (None, "log")
        }
        assert max(found, key=found.get) == kind
        assert abs(found[None] - found["log"]) > (20 if kind else 0)


@pytest.mark.parametrize(
    ("made_by", "basis"), representatives(["log", "yeo-johnson", None], ["identity", "waves"])
)
def test_auto_is_the_transformation_of_largest_evidence(made_by, basis, rng):
    X, weights = rng.uniform(size=(80, 1)), rng.uniform(0.5, 2, size=80)
    Z = np.column_stack([2 * X[:, 0], 1 - X[:, 0]]) + 0.5 * rng.normal(size=(80, 2))
    makers = {"log": np.exp, "yeo-johnson": YeoJohnson(0.0, 0.0, 1.0).inverse_transform}
    Y = makers.get(made_by, lambda z: z)(Z)
    basis = FourierBasis(20, random_state=0) if basis == "waves" else basis
    model = BayesianBasisRegressor(basis, target_transformer="auto").fit(X, Y, weights)
    kinds = [None, "yeo-johnson", *(["log"] if Y.min() > 0 else [])]
    each = {kind: clone(model).set_params(target_transformer=kind) for kind in kinds}
    evidence = {k: m.fit(X, Y, weights).log_marginal_likelihood_ for k, m in each.items()}
    best = max(evidence, key=evidence.get)
    assert made_by in (None, best)  # a power near 1 may be as good as none
    assert model.log_marginal_likelihood_ == evidence[best]
    assert np.array_equal(model.predict_interval(X), each[best].predict_interval(X))
    stream = clone(model).partial_fit(X, Y, weights)
    assert stream.target_transformer_ == each[best].target_transformer_


@pytest.mark.parametrize("unit", [1e-6, 1e6])
@pytest.mark.parametrize(
    "options", [{}, {"prior_precision": 0.0}, {"noise_precision": "gamma"}], ids=str
)
def test_auto_does_not_depend_on_the_unit_of_y(options, unit):
    """The flat prior of the intercept once had density 1 per unit, which favoured large units."""
    for seed in range(4):
        rng = np.random.default_rng(seed)
        x = rng.uniform(size=30)
        y = np.exp(x + (0.05 + 0.1 * seed) * rng.normal(size=30))
        models = [
            BayesianBasisRegressor("identity", target_transformer="auto", **options).fit(
                x[:, None], k * y
            )
            for k in (1.0, unit)
        ]
        medians = [model.predict_quantiles([[0.5], [2.0]], 0.5) for model in models]
        np.testing.assert_allclose(medians[1], unit * medians[0], rtol=1e-6)


def test_auto_takes_a_first_row_that_determines_nothing():
    model = BayesianBasisRegressor("identity", prior_precision=0.0, target_transformer="auto")
    model.partial_fit([[1.0]], [2.0])
    assert model.partial_fit([[2.0], [3.0]], [3.0, 5.0]).target_transformer_ is None


# -- means and standard deviations ----------------------------------------------------------------


def test_a_known_log_normal_has_the_moments_of_the_books(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, **KNOWN, target_transformer="log").fit(X, Y)
    inside = BayesianBasisRegressor(LOCAL, **KNOWN).fit(X, np.log(Y))
    for noise in (True, False):
        location, scale = inside.predict(X, return_std=True, observation_noise=noise)
        mean, std = model.predict(X, return_std=True, observation_noise=noise)
        expected = np.exp(location + scale**2 / 2)
        assert_digits(mean, expected, 9)
        assert_digits(std, expected * np.sqrt(np.expm1(scale**2)), 9)
        assert np.array_equal(model.predict(X, observation_noise=noise), mean)


def test_a_log_student_t_has_only_a_median(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="log").fit(X, Y)
    assert np.isfinite(model.degrees_of_freedom_).all()
    assert_digits(model.predict(X), model.predict_quantiles(X, 0.5)[..., 0], 12)
    with pytest.raises(ValueError, match=r"`return_std` must be False .+ `predict_interval`"):
        model.predict(X, return_std=True)
    with pytest.raises(ValueError, match=r"`return_cov` must be False .+ `sample_y`"):
        model.predict(X, return_cov=True)


@pytest.mark.parametrize("df", DF)
@pytest.mark.parametrize("power", [0.7, 1.0, 1.2])
def test_moments_are_those_of_an_integral_over_quantiles(power, df):
    transformer = YeoJohnson(power, 1.0, 2.0)
    base = Predictive(np.array([[0.3], [-2.0]]), np.array([[1.2], [0.4]]), np.array([df]))
    predictive = TransformedPredictive(base, transform_of([transformer]))
    for row in range(2):
        distribution = stats.t(df, base.mean[row, 0], base.scale[row, 0])
        if np.isinf(df):
            distribution = stats.norm(base.mean[row, 0], base.scale[row, 0])

        def moment(order, distribution=distribution):
            def integrand(log_tail):  # both tails at a time, by the log of their probability
                tail = np.exp(log_tail)
                ends = distribution.ppf(tail), distribution.isf(tail)
                return tail * sum(transformer.inverse_transform(z) ** order for z in ends)

            return integrate.quad(integrand, -200, np.log(0.5), limit=1000, epsrel=1e-10)[0]

        mean = moment(1)
        assert predictive.mean[row, 0] == pytest.approx(mean, rel=1e-6, abs=1e-6)
        std = np.sqrt(moment(2) - mean**2)
        assert predictive.std[row, 0] == pytest.approx(std, rel=1e-5)


@pytest.mark.parametrize(("power", "df"), [(0.5, 4.0), (0.25, 8.0), (1.75, 8.0), (0.0, 100.0)])
def test_no_moments_where_the_tails_are_too_heavy(power, df):
    """The inverse grows with the power 1 / 0.5 = 2 and so on: squares have no mean."""
    target = transform_of([YeoJohnson(power, 1.0, 2.0)])
    base = Predictive(np.array([[0.3]]), np.array([[1.2]]), np.array([df]))
    predictive = TransformedPredictive(base, target)
    assert np.isinf(predictive.std)
    assert np.array_equal(predictive.mean, target.inverse(base.mean))


def test_each_output_has_its_own_moments(rng):
    target = transform_of([YeoJohnson(1.0, 0.0, 1.0), Logarithm()])
    base = Predictive(rng.normal(size=(3, 2)), np.ones((3, 2)), np.array([8.0, 8.0]))
    predictive = TransformedPredictive(base, target)
    assert_digits(predictive.mean, np.column_stack([base.mean[:, 0], np.exp(base.mean[:, 1])]), 8)
    assert_digits(predictive.std[:, 0], base.std[:, 0], 8)
    assert np.isinf(predictive.std[:, 1]).all()


def test_the_score_is_that_of_predict(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="log").fit(X, Y[:, 0])
    assert model.score(X, Y[:, 0]) == pytest.approx(r2_score(Y[:, 0], model.predict(X)))


# -- the transformations --------------------------------------------------------------------------


@pytest.mark.parametrize("power", [0.0, 0.3, 1.0, 1.6, 2.0])
def test_yeo_johnson_is_that_of_scipy_and_has_an_inverse(power, rng):
    y = rng.normal(size=50) * 10
    transformer = YeoJohnson(power, 0.0, 1.0)
    z = transformer.transform(y)
    assert_digits(z, stats.yeojohnson(y, power), 12)
    assert_digits(transformer.inverse_transform(z), y, 12)
    scaled = YeoJohnson(power, 3.0, 7.0)
    assert_digits(scaled.transform(3 + 7 * y), z, 12)


def test_the_power_is_that_of_largest_likelihood(rng):
    y = rng.gamma(2.0, size=300)
    found = YeoJohnson.fit(y, np.ones(300))
    standard = (y - found.center) / found.unit
    assert found.power == pytest.approx(stats.yeojohnson_normmax(standard), abs=0.006)
    low, high = np.quantile(y, [0.25, 0.75], method="inverted_cdf")
    assert found.unit == pytest.approx(high - low)


@pytest.mark.parametrize(("factor", "shift"), [(1e-6, 0.0), (1e6, 0.0), (3.0, 40.0), (2.0, -1e4)])
def test_yeo_johnson_knows_no_unit_and_no_origin(factor, shift, data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="yeo-johnson").fit(X, Y)
    other = clone(model).fit(X, factor * Y + shift)
    expected = factor * model.predict_interval(X) + shift
    assert_digits(other.predict_interval(X), expected, 6)


def test_a_weight_counts_as_so_many_rows(rng):
    y, counts = rng.gamma(2.0, size=40), rng.integers(1, 5, size=40)
    repeated = np.repeat(y, counts)
    assert YeoJohnson.fit(y, counts.astype(float)) == YeoJohnson.fit(
        repeated, np.ones(len(repeated))
    )
    shares = np.array([0.1, 0.25, 0.5, 0.75])
    found = weighted_quantiles(y, counts, shares)
    assert np.array_equal(found, np.quantile(repeated, shares, method="inverted_cdf"))


@pytest.mark.parametrize("y", [np.full(5, 3.0), np.array([0.0, 0.0, 0.0, 0.0, 9.0])], ids=str)
def test_targets_without_an_interquartile_range_are_fitted(y):
    model = BayesianBasisRegressor("identity", target_transformer="yeo-johnson")
    model.fit(np.arange(5.0)[:, None], y)
    assert np.isfinite(model.predict_interval([[1.0]])).all()


@pytest.mark.parametrize(
    ("transformer", "derivative"),
    [
        (FunctionTransformer(np.log, np.exp), lambda y: 1 / y),
        (ARCSINH, lambda y: 1 / np.sqrt(1 + y**2)),
        (FALLING, lambda y: 1 / np.sqrt(1 + y**2)),
        (FunctionTransformer(np.cbrt, lambda z: z**3), lambda y: y ** (-2 / 3) / 3),
    ],
    ids=["log", "arcsinh", "falling", "cube root"],
)
def test_numerical_derivatives_have_six_digits(transformer, derivative, rng):
    Y = rng.gamma(3.0, size=(50, 2)) + 0.1
    target = TargetTransform.fit(transformer, Rows(Y, Y))
    np.testing.assert_allclose(np.exp(target.log_derivative(Y)), derivative(Y), rtol=1e-6)
    assert np.all(np.diff(target.transform(np.sort(Y, axis=0)), axis=0) > 0)


class WithDerivative(FunctionTransformer):
    """The logarithm, with a derivative of its own that is easy to tell from it."""

    def log_derivative(self, y):
        return np.full(y.shape, 7.0)


def test_a_transformer_may_have_its_derivative(data):
    X, Y = data
    transformer = WithDerivative(np.log, np.exp)
    model = BayesianBasisRegressor(LOCAL, target_transformer=transformer).fit(X, Y)
    other = BayesianBasisRegressor(LOCAL).fit(X, np.log(Y))
    density = other.log_predictive_density(X, np.log(Y)) + 2 * 7
    assert_digits(model.log_predictive_density(X, Y), density, 12)


def test_targets_outside_of_the_domain_have_density_0(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="log").fit(X, Y[:, 0])
    assert np.array_equal(model.log_predictive_density(X[:2], [0.0, -1.0]), [-np.inf, -np.inf])
    assert np.array_equal(model.predictive_cdf(X[:2], [0.0, -1.0]), [0.0, 0.0])


def far_transform(y, power):
    """The Yeo-Johnson transform of a number, in as many digits as it needs."""
    power = power if y > 0 else 2 - power
    x = mpmath.mpf(abs(y))
    z = mpmath.log1p(x) if power == 0 else ((1 + x) ** power - 1) / power
    return mpmath.sign(y) * z, (power - 1) * mpmath.log1p(x)


@pytest.mark.parametrize(
    ("y", "power"), representatives([-1e100, -1e76, -3.0, 1e52, 1e100], [0.0, 0.4, 2.0])
)
def test_log_densities_are_finite_far_out(y, power):
    """Squares of z, and probabilities, have no floating point number there."""
    df, mean, scale = 6.5, 0.3, 1e-3
    base = Predictive(*(np.array([[value]]) for value in (mean, scale, df)))
    target = transform_of([YeoJohnson(power, 0.0, 1.0)])
    with mpmath.workdps(500):
        z, log_derivative = far_transform(y, power)
        half, u = mpmath.mpf(df + 1) / 2, (z - mean) / scale
        constant = mpmath.loggamma(half) - mpmath.loggamma(mpmath.mpf(df) / 2)
        constant -= mpmath.log(mpmath.pi * df) / 2 + mpmath.log(scale)
        expected = float(constant - half * mpmath.log1p(u**2 / df) + log_derivative)
    found = TransformedPredictive(base, target).log_density(np.array([[y]]))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


# -- draws from the prior, refusals ---------------------------------------------------------------


def test_draws_from_the_prior_are_transformed():
    model = BayesianBasisRegressor("identity", **KNOWN)
    draws = model.sample_y([[0.5]], 5, random_state=0)
    model.set_params(target_transformer="log")
    assert_digits(model.sample_y([[0.5]], 5, random_state=0), np.exp(draws), 12)
    with pytest.raises(NotFittedError, match="target_transformer"):
        model.set_params(target_transformer="yeo-johnson").sample_y([[0.5]])
    with pytest.raises(TypeError, match="`target_transformer` must be None"):
        model.set_params(target_transformer=np.ones(2)).sample_y([[0.5]])


INVALID = {
    "no inverse": (FunctionTransformer(np.log1p), "undoes"),
    "not monotone": (FunctionTransformer(np.sqrt, np.square), "strictly monotone"),
    "with ends": (QuantileTransformer(n_quantiles=20), "strictly monotone"),
    "unknown": ("logarithm", "`target_transformer` must be one of"),
    "a class": (PowerTransformer, "`target_transformer` must be None"),
    "a basis": (GaussianBasis(), "`target_transformer` must be None"),
    "a number": (1.0, "`target_transformer` must be None"),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid_transformers_are_refused(name, data):
    X, Y = data
    value, message = INVALID[name]
    model = BayesianBasisRegressor(LOCAL, target_transformer=value)
    with pytest.raises((ValueError, TypeError), match=message):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")


def test_a_logarithm_needs_positive_targets(data):
    X, Y = data
    model = BayesianBasisRegressor(LOCAL, target_transformer="log").fit(X, Y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"`y` must be positive .+ got -1\. "):
        clone(model).fit(X, Y - 1 - Y.min(axis=0))
    with pytest.raises(ValueError, match=r"`y` must be in the domain"):
        model.partial_fit(X, -Y)
    assert np.array_equal(model.predict(X), before)


def test_draws_that_belong_to_no_target_are_refused(data):
    """The Box-Cox transform of power 0.5 has an end, here six standard deviations below."""
    X, _ = data
    model = BayesianBasisRegressor(LOCAL, target_transformer=PowerTransformer("box-cox"))
    model.fit(X, stats.norm.ppf(np.linspace(0.01, 0.99, 60), loc=6) ** 2)
    with pytest.raises(ValueError, match="`target_transformer` must have a y for each real number"):
        model.predict_quantiles(X, [1e-300, 1 - 1e-16])


def test_dask_targets_are_not_transformed(data):
    da = pytest.importorskip("dask.array")
    X, Y = data
    lazy = da.from_array(X, chunks=(20, 1)), da.from_array(Y, chunks=(20, 2))
    model = BayesianBasisRegressor(LOCAL, target_transformer="log")
    with pytest.raises(ValueError, match="`target_transformer` must be None for dask"):
        model.fit(*lazy)
    model.fit(X, Y)
    assert_digits(model.predict(lazy[0]).compute(), model.predict(X))
    assert_digits(model.predict_interval(lazy[0]).compute(), model.predict_interval(X))
    density = model.log_predictive_density(*lazy).compute()
    assert_digits(density, model.log_predictive_density(X, Y))
    assert model.sample_y(lazy[0], 3, random_state=0).compute().min() > 0
    assert model.score(*lazy) == pytest.approx(model.score(X, Y))


@pytest.mark.parametrize("y", [[0.2676], [5000.0], [7.0] * 20, [1.0, 2.0, 9.0] * 5])
def test_few_values_choose_no_transformation(y):
    y = np.array(y)
    X = np.linspace(0, 1, len(y))[:, None]
    auto = BayesianBasisRegressor(target_transformer="auto").fit(X, y)
    assert auto.target_transformer_ is None
    power = BayesianBasisRegressor(target_transformer="yeo-johnson").fit(X, y)
    assert power.target_transformer_.power == 1
    np.testing.assert_allclose(power.predict(X), auto.predict(X), rtol=1e-6)


def test_a_stream_may_start_with_one_row(rng):
    """Its transformation is kept, so one row must not choose an extreme one."""
    X = rng.uniform(size=(300, 1))
    y = 1000 + 200 * np.sin(5 * X[:, 0]) + 20 * rng.normal(size=300)
    basis = GaussianBasis(9, domain=(0, 1))
    plain = BayesianBasisRegressor(basis).fit(X[1:200], y[1:200])
    expected = plain.log_predictive_density(X[200:], y[200:]).mean()
    for kind in ("yeo-johnson", "auto"):
        model = BayesianBasisRegressor(basis, target_transformer=kind)
        model.partial_fit(X[:1], y[:1]).partial_fit(X[1:200], y[1:200])
        assert model.log_predictive_density(X[200:], y[200:]).mean() > expected - 0.05
