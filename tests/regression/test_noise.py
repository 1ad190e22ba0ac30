"""Noise that depends on the features: by finite differences, other optimizers, and by laws."""

import copy
import pickle

import numpy as np
import pytest
from conftest import assert_digits, representatives
from scipy import stats
from scipy.optimize import minimize
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

import skgen
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis
from skgen._regression import noise as noise_module
from skgen._regression.noise import Errors, cross_validate, fit_log_variance, log_density

WAVES = FourierBasis(40, ranks=True, linear=True, random_state=0)
LOCAL = GaussianBasis(7, domain=(0, 1))


def fan(rng, n_rows=250):
    """Rows of a sine whose noise grows from 0.1 to 0.5, and the standard deviations."""
    X = rng.uniform(size=(n_rows, 1))
    std = 0.1 + 0.4 * X[:, 0]
    return X, np.sin(2 * np.pi * X[:, 0]) + std * rng.normal(size=n_rows), std


@pytest.fixture
def data(rng):
    return fan(rng)[:2]


@pytest.fixture
def errors(rng):
    """Three columns of which the log variance is linear, and errors of two outputs."""
    columns = np.column_stack([np.ones(120), rng.normal(size=(120, 2))])
    leverages = rng.uniform(0, 0.5, size=(120, 2))
    variance = np.exp(columns @ [0.2, 0.8, -0.5])[:, None] + leverages
    values = np.sqrt(variance) * rng.standard_t(6, size=(120, 2))
    return columns, Errors(values, leverages, rng.integers(1, 4, size=120).astype(float))


def answers(model, X, y):
    _, cov = model.predict(X[:20], return_cov=True)
    return {
        "mean": model.predict(X),
        "std": model.predict(X, return_std=True)[1],
        "cov": cov,
        "interval": model.predict_interval(X),
        "density": model.log_predictive_density(X, y),
        "cdf": model.predictive_cdf(X, y),
        "draws": model.sample_y(X, 3, random_state=0),
        "evidence": model.log_marginal_likelihood_,
    }


def assert_same_answers(model, other, X, y, digits=10):
    expected = answers(other, X, y)
    for name, found in answers(model, X, y).items():
        assert_digits(found, expected[name], digits)


def noise_scales(model, X):
    return np.sqrt(model._stream.design.noise_variance(X, np.ones(len(X))))


def has_noise_model(model):
    return model._stream.design.noise is not None


# -- the regression of log variances --------------------------------------------------------------


@pytest.mark.parametrize("df", [3.0, 7.0, np.inf])
def test_log_densities_are_those_of_scipy_with_their_derivatives(df, errors):
    columns, errors = errors
    f = columns @ [0.3, 0.5, 0.1]
    found, step = log_density(f, errors, df), 1e-6
    std = np.sqrt(np.exp(f)[:, None] + errors.leverages)
    scale = std if np.isinf(df) else std * np.sqrt((df - 2) / df)
    assert_digits(found.values, stats.t.logpdf(errors.values, df, 0, scale).sum(axis=1))
    up, down = (log_density(f + d, errors, df).values for d in (step, -step))
    assert_digits(found.slopes, (up - down) / (2 * step), 7)


@pytest.mark.parametrize("df", [4.0, np.inf])
def test_information_is_the_mean_square_of_the_slope(df, rng):
    n_rows, f = 400_000, 0.4
    errors = Errors(np.zeros((n_rows, 1)), np.full((n_rows, 1), 0.3), np.ones(n_rows))
    std = np.sqrt(np.exp(f) + 0.3)
    scale = std if np.isinf(df) else std * np.sqrt((df - 2) / df)
    standard = rng.normal(size=n_rows) if np.isinf(df) else rng.standard_t(df, size=n_rows)
    errors.values[:, 0] = scale * standard
    found = log_density(np.full(n_rows, f), errors, df)
    assert np.mean(found.slopes**2) == pytest.approx(found.information[0], rel=0.02)


@pytest.mark.parametrize("precision", [0.0, 5.0])
def test_weights_are_the_most_probable_ones(precision, errors):
    columns, errors = errors
    found = fit_log_variance(columns, errors, precision)

    def loss(weights):
        value = errors.weights @ log_density(columns @ weights, errors, found.df).values
        return 0.5 * precision * weights[1:] @ weights[1:] - value

    other = minimize(
        loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-9}
    )
    assert loss(found.weights) <= other.fun + 2e-3
    assert np.abs(found.weights - other.x).max() < 0.02
    likely = [errors.weights @ log_density(columns @ found.weights, errors, df).values
              for df in noise_module.DFS]  # fmt: skip
    assert noise_module.DFS[np.argmax(likely)] == found.df


def test_a_row_has_no_part_in_its_own_left_out_variance(errors, monkeypatch):
    columns, errors = errors
    monkeypatch.setattr(noise_module, "PRECISIONS", np.array([1.0]))
    _, variances, _ = cross_validate(columns, errors)
    changed = Errors(errors.values.copy(), errors.leverages, errors.weights)
    changed.values[7] *= 50
    _, other, _ = cross_validate(columns, changed)
    same = np.arange(120) % noise_module.FOLDS == 7 % noise_module.FOLDS
    assert np.array_equal(variances[same], other[same])
    assert not np.any(variances[~same] == other[~same])


# -- the model ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "basis", [WAVES, LOCAL, SplineTransformer()], ids=["waves", "local", "splines"]
)
def test_the_fit_is_that_to_rows_of_these_noise_scales(basis, data):
    X, y = data
    model = BayesianBasisRegressor(basis, noise="log-linear").fit(X, y)
    scale = noise_scales(model, X)
    assert np.mean(scale**-2) == pytest.approx(1, abs=1e-9)
    fixed = BayesianBasisRegressor(FrozenEstimator(model.basis_)).fit(X, y, noise_scale=scale)
    assert_digits(model.coef_, fixed.coef_, 10)
    assert model.log_marginal_likelihood_ == pytest.approx(
        fixed.log_marginal_likelihood_, rel=1e-10
    )
    assert model.noise_precision_ == pytest.approx(fixed.noise_precision_, rel=1e-10)
    assert scale[X[:, 0] > 0.8].mean() > 2 * scale[X[:, 0] < 0.2].mean()


def test_predictions_agree_with_each_other(data):
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    new = np.linspace(-0.1, 1.1, 7)[:, None]
    mean, std = model.predict(new, return_std=True)
    _, cov = model.predict(new, return_cov=True)
    smooth = model.predict(new, return_std=True, observation_noise=False)[1]
    assert_digits(np.sqrt(np.diag(cov)), std)
    noise = noise_scales(model, new) * np.sqrt(model._posteriors()[0].noise_variance)
    assert_digits(np.hypot(smooth, noise), std)
    draws = model.sample_y(new, 40_000, random_state=0)
    np.testing.assert_allclose(draws.std(axis=1), std, rtol=0.05)
    quantiles = model.predict_quantiles(new, [0.1, 0.7])
    assert_digits(model.predictive_cdf(new, quantiles[:, 1]), np.full(7, 0.7), 9)
    twice = model.predict(new, return_std=True, noise_scale=2.0)[1]
    assert_digits(np.hypot(smooth, 2 * noise), twice)
    grid = mean[2] + np.linspace(-12, 12, 4001) * std[2]
    density = np.exp(model.log_predictive_density(np.repeat(new[2:3], 4001, axis=0), grid))
    assert np.trapezoid(density, grid) == pytest.approx(1, abs=1e-3)


def test_batches_keep_what_the_first_one_chose(data):
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="log-linear").partial_fit(X[:150], y[:150])
    fixed = BayesianBasisRegressor(FrozenEstimator(model.basis_))
    fixed.fit(X, y, noise_scale=noise_scales(model, X))
    whole = copy.deepcopy(model).partial_fit(X[150:], y[150:])
    for row in range(150, 250):
        model.partial_fit(X[[row]], y[[row]])
    assert_same_answers(model, whole, X, y)
    assert_digits(model.coef_, fixed.coef_, 9)
    assert model.n_samples_seen_ == 250


def test_merged_models_have_the_same_noise(data):
    X, y = data
    model = BayesianBasisRegressor(LOCAL, noise="log-linear").fit(X, y)
    same = copy.deepcopy(model)
    twice = copy.deepcopy(model).partial_fit(X, y)
    assert_same_answers(same.merge(model), twice, X, y, 9)
    for other in (clone(model).fit(X[:200], y[:200]), BayesianBasisRegressor(LOCAL).fit(X, y)):
        with pytest.raises(ValueError, match=r"`other` must have the same .+ noise .+Fit both"):
            model.merge(other)


def test_files_and_pickles_keep_the_noise(data, tmp_path):
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    skgen.save(model, tmp_path / "model.skgen")
    for other in (skgen.load(tmp_path / "model.skgen"), pickle.loads(pickle.dumps(model))):
        assert_same_answers(other, model, X, y, 15)
        more = copy.deepcopy(model).partial_fit(X, y)
        assert_same_answers(other.partial_fit(X, y), more, X, y, 15)


def test_dask_input_is_as_in_memory(data):
    da = pytest.importorskip("dask.array")
    X, y = data
    lazy = da.from_array(X, chunks=(60, 1)), da.from_array(y, chunks=60)
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    other = clone(model).fit(*lazy)
    assert has_noise_model(other)
    assert_same_answers(other, model, X, y, 8)
    assert_digits(other.predict(lazy[0], return_std=True)[1].compute(),
                  model.predict(X, return_std=True)[1], 8)  # fmt: skip
    assert_digits(other.log_predictive_density(*lazy).compute(),
                  model.log_predictive_density(X, y), 8)  # fmt: skip
    draws = other.sample_y(lazy[0][:3], 20_000, random_state=0).compute()
    np.testing.assert_allclose(
        draws.std(axis=1), model.predict(X[:3], return_std=True)[1], rtol=0.05
    )


EXPORTED = {"waves": WAVES, "local": LOCAL, "pipeline": make_pipeline(StandardScaler(), WAVES)}


@pytest.mark.parametrize(("n_outputs", "basis"), representatives([1, 2], EXPORTED))
def test_onnx_has_the_standard_deviations(n_outputs, basis, data):
    onnxruntime = pytest.importorskip("onnxruntime")
    from skgen.onnx import to_onnx

    X, y = data
    Y = y if n_outputs == 1 else np.column_stack([y, 2 * y + X[:, 0]])
    model = BayesianBasisRegressor(EXPORTED[basis], noise="log-linear").fit(X, Y)
    assert has_noise_model(model)
    exported = to_onnx(model, X, return_std=True)
    session = onnxruntime.InferenceSession(exported.SerializeToString())
    new = np.linspace(-0.2, 1.2, 30)[:, None]
    mean, std = session.run(None, {session.get_inputs()[0].name: new})
    expected = model.predict(new, return_std=True)
    assert_digits(mean.reshape(expected[0].shape), expected[0], 8)
    assert_digits(std.reshape(expected[1].shape), expected[1], 8)


# -- what must change nothing ---------------------------------------------------------------------


def test_units_change_answers_by_the_same_map(data):
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    other = clone(model).fit(1e3 * X - 7e3, 1e-4 * y + 2.0)
    for found, expected in zip(
        other.predict(1e3 * X - 7e3, return_std=True),
        model.predict(X, return_std=True),
        strict=True,
    ):
        shift = 2.0 if found.mean() > 1 else 0.0
        np.testing.assert_allclose((found - shift) * 1e4, expected, atol=2e-3)
    mirrored = clone(model).fit(-X, -y)
    assert_digits(mirrored.predict(-X, return_std=True)[1], model.predict(X, return_std=True)[1], 2)


def test_an_offset_of_y_is_the_intercept(data):
    """Noise below a millionth of y once counted as rounding, and stayed constant."""
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    other = clone(model).fit(X, y + 1e6)
    assert has_noise_model(other)
    for found, expected, shift in zip(
        other.predict(X, return_std=True), model.predict(X, return_std=True), (1e6, 0), strict=True
    ):
        np.testing.assert_allclose(found - shift, expected, rtol=1e-3, atol=1e-3)


def test_the_order_of_rows_changes_nothing(data, rng):
    X, y = data
    order = rng.permutation(len(X))
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y)
    assert_same_answers(clone(model).fit(X[order], y[order]), model, X, y, 6)


def test_a_row_of_weight_k_counts_as_k_rows(data, rng):
    X, y = data
    counts = rng.integers(1, 4, size=len(X))
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y, counts)
    repeated = clone(model).fit(np.repeat(X, counts, axis=0), np.repeat(y, counts))
    assert has_noise_model(model)
    assert_same_answers(repeated, model, X, y, 6)


# -- the choice -----------------------------------------------------------------------------------


def test_auto_takes_log_linear_noise_where_left_out_rows_gain(data):
    X, y = data
    model = BayesianBasisRegressor(WAVES, noise="auto").fit(X, y)
    assert_same_answers(model, clone(model).set_params(noise="log-linear").fit(X, y), X, y, 15)


def cases():
    rng = np.random.default_rng(0)
    X, wide = rng.uniform(size=(100, 1)), rng.normal(size=(45, 50))
    waves, scale = np.sin(6 * X[:, 0]), rng.uniform(0.1, 1.0, size=100)
    noisy = waves + 0.3 * np.random.default_rng(1).normal(size=100)
    X_fan, y_fan, _ = fan(rng, 200)
    return {
        "constant noise": (WAVES, X, noisy, {}, {}),
        "few rows": (WAVES, X[:8], noisy[:8], {}, {}),
        "more columns than rows": (WAVES, wide, wide[:, 0] + rng.normal(size=45), {}, {}),
        "no noise": (WAVES, X, waves, {}, {}),
        "constant y": (WAVES, X, np.ones(100), {}, {}),
        "a basis that learns nothing": (LOCAL, X_fan, y_fan, {}, {}),
        "a given noise precision": (WAVES, X_fan, y_fan, {"noise_precision": 9.0}, {}),
        "noise with a prior": (WAVES, X_fan, y_fan, {"noise_precision": "gamma"}, {}),
        "given noise scales": (WAVES, X, waves + scale * rng.normal(size=100), {},
                               {"noise_scale": scale}),
    }  # fmt: skip


@pytest.mark.parametrize("case", cases())
def test_auto_is_constant_noise_bit_for_bit(case):
    basis, X, y, options, given = cases()[case]
    model = BayesianBasisRegressor(basis, noise="auto", **options).fit(X, y, **given)
    constant = clone(model).set_params(noise="constant").fit(X, y, **given)
    expected = answers(constant, X, y)
    assert all(
        np.array_equal(found, expected[name]) for name, found in answers(model, X, y).items()
    )


@pytest.mark.parametrize("case", ["few rows", "more columns than rows", "constant y"])
def test_log_linear_noise_is_constant_where_rows_say_nothing_of_it(case):
    basis, X, y, _, _ = cases()[case]
    model = BayesianBasisRegressor(basis, noise="log-linear").fit(X, y)
    assert not has_noise_model(model)
    assert np.isfinite(model.log_predictive_density(X, y)).all()


def test_given_noise_scales_multiply_those_of_the_model(rng):
    X, y, std = fan(rng, 300)
    given = rng.choice([0.5, 2.0], size=300)
    y = y + (given - 1) * (y - np.sin(2 * np.pi * X[:, 0]))
    model = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, y, noise_scale=given)
    expected = std / np.sqrt(1 / np.mean(std**-2.0))
    assert np.abs(np.log(noise_scales(model, X) / expected)).mean() < 0.2


@pytest.mark.parametrize("precision", [25.0, "gamma"])
def test_log_linear_noise_has_a_precision_to_learn(precision, data):
    model = BayesianBasisRegressor(noise="log-linear", noise_precision=precision)
    with pytest.raises(ValueError, match=r"`noise` must be 'constant' or 'auto' unless"):
        model.fit(*data)
    assert not hasattr(model, "basis_")


def test_a_transformed_target_has_noise_of_its_own(rng):
    X, z, _ = fan(rng)
    model = BayesianBasisRegressor(WAVES, noise="log-linear", target_transformer="log")
    model.fit(X, np.exp(z))
    plain = BayesianBasisRegressor(WAVES, noise="log-linear").fit(X, z)
    # To as many digits as the search finds the maximum of the evidence.
    assert_digits(noise_scales(model, X), noise_scales(plain, X), 5)
    ends = plain.predict_interval(X)
    assert_digits(np.log(model.predict_interval(X)), ends, 5)


# -- what it is worth -----------------------------------------------------------------------------


def losses(seeds):
    """Mean nats above the truth, with log-linear and constant noise; coverage in thirds of x."""
    found, covered = [], []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        X, y, _ = fan(rng)
        X_new, y_new, std = fan(rng, 2000)
        truth = stats.norm.logpdf(y_new, np.sin(2 * np.pi * X_new[:, 0]), std)
        models = [BayesianBasisRegressor(noise=noise).fit(X, y) for noise in ("auto", "constant")]
        found.append([np.mean(truth - m.log_predictive_density(X_new, y_new)) for m in models])
        low, high = models[0].predict_interval(X_new).T
        third = np.minimum(3 * X_new[:, 0], 2).astype(int)
        inside = (low < y_new) & (y_new < high)
        covered.append([inside[third == number].mean() for number in range(3)])
    return np.mean(found, axis=0), np.mean(covered, axis=0)


def test_noise_that_grows_is_found():
    (auto, constant), _ = losses(range(2))
    assert auto < 0.06 < constant


@pytest.mark.slow
def test_noise_that_grows_is_found_and_covered_in_each_third():
    (auto, constant), covered = losses(range(20))
    assert auto < 0.05 < 0.12 < constant
    assert np.all((covered > 0.93) & (covered < 0.97))


@pytest.mark.slow
def test_constant_noise_loses_next_to_nothing():
    lost = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        X, new = rng.uniform(size=(2, 200, 1))
        y, y_new = (np.sin(6 * x[:, 0]) + 0.3 * rng.normal(size=200) for x in (X, new))
        models = [BayesianBasisRegressor(noise=noise).fit(X, y) for noise in ("auto", "constant")]
        auto, constant = (model.log_predictive_density(new, y_new).mean() for model in models)
        lost.append(constant - auto)
    assert np.mean(lost) < 0.01
