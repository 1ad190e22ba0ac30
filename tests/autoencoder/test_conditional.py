"""The regressor against exact conditional distributions, quadrature, and the laws of estimators."""

import copy
import pickle
from dataclasses import replace
from functools import cache

import numpy as np
import pandas as pd
import pytest
import torch
from conftest import representatives
from scipy.stats import multivariate_normal, norm
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_vae import NormalByContext, grid

import skgen
from skgen import VAERegressor, VAETransformer, mean_log_predictive_density, priors
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian, Poisson
from skgen.likelihoods._base import LOG_DEVIATION
from skgen.networks import MLP
from skgen.priors import ConditionalMixture, ConditionalNormal, Mixture, VampPrior

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

IRIS = load_iris().data
X, Y = IRIS[:, :2], IRIS[:, 2:] + np.random.default_rng(0).uniform(-0.05, 0.05, (150, 2))
GREY = (IRIS[:, 2:] - IRIS[:, 2:].min(0)) / np.ptp(IRIS[:, 2:], axis=0)
LIKELIHOODS = {
    "gaussian": (Gaussian(min_scale=0.1), Y),
    "gaussian, row": (Gaussian("row", min_scale=0.1), Y),
    "bernoulli": (Bernoulli(), (GREY > 0.5).astype(float)),
    "continuous bernoulli": (ContinuousBernoulli(), GREY.clip(0.01, 0.99)),
}
TWO_BY_DEFAULT = [
    pytest.param(name, marks=() if name in ("gaussian", "bernoulli") else pytest.mark.slow)
    for name in LIKELIHOODS
]
SHORT = VAERegressor(
    2, hidden_layer_sizes=(16,), max_iter=30, batch_size=50, early_stopping=False,
    learning_rate="one-cycle", learning_rate_init=0.004, random_state=0,
)  # fmt: skip


@cache
def _fitted(name, **parameters):
    likelihood, targets = LIKELIHOODS[name]
    return clone(SHORT).set_params(likelihood=likelihood, **parameters).fit(X, targets)


def fitted(name="gaussian", **parameters):
    return copy.deepcopy(_fitted(name, **parameters))


def answers(model, targets=Y):
    return [
        *model.predict(X, return_std=True), model.sample_y(X, 3, random_state=0),
        model.log_predictive_density(X, targets), model.transform(X, targets),
        model.transform(X), np.array(model.loss_curve_),
    ]  # fmt: skip


def assert_same_answers(model, other, targets=Y):
    for one, two in zip(answers(model, targets), answers(other, targets), strict=True):
        np.testing.assert_array_equal(one, two)


# -- exact answers --------------------------------------------------------------------------------


@cache
def linear_case(linear, prior):
    """A linear model, inputs, targets, and the most likely conditional normal distribution."""
    rng = np.random.default_rng(5)
    inputs = rng.normal(size=(1000, 3))
    mixed = rng.normal(size=(1000, 3)) @ [[1.0, 0.5, 0.2], [0, 1, -0.6], [0, 0, 0.3]]
    targets = inputs @ rng.normal(size=(3, 3)) + mixed + 4
    model = clone(SHORT).set_params(
        hidden_layer_sizes=(), linear=linear, prior=prior, max_iter=80,
        learning_rate_init=0.02,
    )  # fmt: skip
    ols = LinearRegression().fit(inputs, targets)
    residuals = targets - ols.predict(inputs)
    return model.fit(inputs, targets), inputs, targets, ols, residuals.T @ residuals / 1000


# Two latent dimensions and a shared variance leave a covariance of three outputs free.
LINEAR_CASES = [
    (True, "conditional_normal"), (False, "standard_normal"),
    pytest.param(False, "conditional_normal", marks=pytest.mark.slow),
    pytest.param(True, "standard_normal", marks=pytest.mark.slow),
]  # fmt: skip


@pytest.mark.parametrize(("linear", "prior"), LINEAR_CASES)
def test_a_linear_model_reaches_the_density_of_the_exact_conditional_normal(linear, prior):
    model, inputs, targets, ols, covariance = linear_case(linear, prior)
    residuals = targets - ols.predict(inputs)
    exact = multivariate_normal(cov=covariance).logpdf(residuals).mean()
    found = model.log_predictive_density(inputs, targets).mean()
    assert exact - 0.05 < found < exact + 0.01


@pytest.mark.parametrize(("linear", "prior"), LINEAR_CASES)
def test_draws_of_a_linear_model_have_the_exact_joint_covariance(linear, prior):
    model, inputs, _, ols, covariance = linear_case(linear, prior)
    draws = model.sample_y(inputs, 20, random_state=0)
    deviations = (draws - ols.predict(inputs)[..., None]).transpose(0, 2, 1).reshape(-1, 3)
    scale = np.sqrt(np.diag(covariance))
    error = (deviations.T @ deviations / len(deviations) - covariance) / np.outer(scale, scale)
    assert np.abs(error).max() < 0.05


@pytest.mark.parametrize(("linear", "prior"), LINEAR_CASES)
def test_quantiles_of_a_linear_model_are_those_of_the_exact_normal(linear, prior):
    model, inputs, _, ols, covariance = linear_case(linear, prior)
    levels, scale = [0.1, 0.5, 0.8], np.sqrt(np.diag(covariance))
    found = model.predict_quantiles(inputs[:100], levels, n_draws=4000, random_state=0)
    exact = ols.predict(inputs[:100])[..., None] + scale[:, None] * norm.ppf(levels)
    assert (np.abs(found - exact) / scale[:, None]).mean() < 0.05
    ends = model.predict_interval(inputs, 0.9, n_draws=200, random_state=0)
    low, high = norm.cdf((np.moveaxis(ends, 2, 0) - ols.predict(inputs)) / scale)
    # Between quantiles of 200 draws lie 199/201 of what is asked for, in the mean.
    np.testing.assert_allclose(np.mean(high - low, axis=0), 0.9 * 199 / 201, atol=0.02)


@pytest.mark.parametrize(("linear", "prior"), LINEAR_CASES)
def test_the_predictive_cdf_of_a_linear_model_is_that_of_the_exact_normal(linear, prior):
    model, inputs, targets, ols, covariance = linear_case(linear, prior)
    inputs, targets = inputs[:200], targets[:200]
    found = model.predictive_cdf(inputs, targets, n_draws=2000, random_state=0)
    exact = norm.cdf((targets - ols.predict(inputs)) / np.sqrt(np.diag(covariance)))
    assert found.shape == targets.shape
    assert np.abs(found - exact).mean() < 0.02


def test_the_predictive_cdf_inverts_quantiles():
    model = clone(SHORT).fit(X, Y[:, 0])
    median = model.predict_quantiles(X, 0.5, n_draws=99, random_state=0)[:, 0]
    found = model.predictive_cdf(X, median, n_draws=99, random_state=0)
    np.testing.assert_allclose(found, 50 / 99)
    with pytest.raises(ValueError, match="`n_draws` must"):
        model.predictive_cdf(X, median, n_draws=0)
    with pytest.raises(ValueError, match="`y` must have shape"):
        model.predictive_cdf(X, median[1:])


def test_standard_deviations_without_noise_are_those_of_draws_without_noise():
    model = fitted()
    mean, std = model.predict(X[:20], return_std=True, observation_noise=False, n_draws=1024)
    np.testing.assert_array_equal(mean, model.predict(X[:20], n_draws=1024))
    draws = model.sample_y(X[:20], 2000, observation_noise=False, random_state=0)
    np.testing.assert_allclose(std, draws.std(axis=2), rtol=0.15)
    _, noisy = model.predict(X[:20], return_std=True, n_draws=1024)
    assert (noisy > std).all()
    with pytest.raises(TypeError, match="`observation_noise` must"):
        model.predict(X, return_std=True, observation_noise="no")


def test_intervals_repeat_with_the_seed_and_have_the_shapes_stated():
    model = fitted()
    ends = model.predict_interval(X[:5], n_draws=50, random_state=1)
    assert ends.shape == (5, Y.shape[1], 2)
    levels = [0.025, 0.975]
    again = model.predict_quantiles(X[:5], levels, n_draws=50, random_state=1)
    np.testing.assert_allclose(ends, again, rtol=1e-12)
    draws = model.sample_y(X[:5], 50, random_state=1)
    median = model.predict_quantiles(X[:5], 0.5, n_draws=50, random_state=1)
    np.testing.assert_allclose(np.quantile(draws, 0.5, axis=2)[..., None], median)
    one = clone(SHORT).fit(X, Y[:, 0])
    smooth = one.predict_interval(X[:5], 0.5, n_draws=20, observation_noise=False)
    assert smooth.shape == (5, 2)
    for quantiles in (0, 1.0, [0.5, np.nan], [], "a"):
        with pytest.raises((ValueError, TypeError), match="`quantiles` must"):
            model.predict_quantiles(X, quantiles)
    with pytest.raises(ValueError, match="`coverage` must"):
        model.predict_interval(X, 1.0)
    with pytest.raises(ValueError, match="`n_draws` must"):
        model.predict_interval(X, n_draws=0)


def by_quadrature(model, rows, targets):
    """log p(y | x) of each row, by a sum over a grid of z around the prior of the row."""
    module = copy.deepcopy(model.module_).double()
    nodes, log_weights = grid(module.n_components, 8, {1: 1000, 2: 160}[module.n_components])
    batch = model._prepare(rows, targets)[2]
    found = []
    with torch.no_grad():
        for x, context in zip(batch.x[:], batch.context[:], strict=True):
            prior = module.prior(context[None])
            spread = torch.as_tensor(prior.stddev).expand(1, module.n_components)
            z = prior.mean + spread * nodes
            log_joint = module.decode(z, context[None]).log_prob(x).sum(1) + prior.log_prob(z)
            found.append((torch.logsumexp(log_joint + log_weights, 0) + spread.log().sum()).item())
    residuals = model._prepare(rows, targets)[1].x
    log_ratios = model.likelihood_.log_jacobian(residuals).sum(axis=1)
    if model._ridge is not None:
        spread = model._ridge.spread(model._standardize(rows))[:, 0]
        log_ratios = log_ratios - targets.shape[1] * np.log(model._ridge.widening * spread)
    return np.array(found) + log_ratios


@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize("name", TWO_BY_DEFAULT)
def test_the_estimate_is_the_log_density_by_quadrature(name, n_components):
    model, (_, targets) = fitted(name, n_components=n_components), LIKELIHOODS[name]
    rows, targets = X[::3], targets[::3]
    found = model.log_predictive_density(rows, targets, n_importance_samples=500)
    assert abs(found.mean() - by_quadrature(model, rows, targets).mean()) < 0.02


@pytest.mark.parametrize("prior", [*priors.PARTS, NormalByContext()], ids=str)
@pytest.mark.parametrize("n_components", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_with_any_prior_the_estimate_is_the_log_density_by_quadrature(prior, n_components):
    model = fitted(n_components=n_components, prior=prior)
    found = model.log_predictive_density(X[::3], Y[::3], n_importance_samples=500)
    assert abs(found.mean() - by_quadrature(model, X[::3], Y[::3]).mean()) < 0.02


@pytest.mark.parametrize("prior", [*priors.PARTS, NormalByContext()], ids=str)
def test_with_any_prior_draws_have_the_moments_of_predict(prior):
    model = fitted(prior=prior)
    mean, std = model.predict(X, return_std=True, n_draws=1024)
    draws = model.sample_y(X, 2000, random_state=1)
    assert np.abs((draws.mean(axis=2) - mean) / std).max() < 5.5 / np.sqrt(2000)
    np.testing.assert_allclose(draws.std(axis=2), std, rtol=0.15)
    np.testing.assert_allclose(model.predict(X[7:9]), model.predict(X)[7:9], rtol=1e-5)


def test_a_vamp_prior_starts_at_rows_and_their_inputs():
    model = clone(SHORT).set_params(prior=VampPrior(4), linear=False, learning_rate_init=1e-12)
    model.set_params(max_iter=1).fit(X, Y)
    module, inputs = model.module_.prior, standardize(X).float()
    index = np.array([(row - inputs).abs().sum(1).argmin() for row in module.pseudo_context])
    torch.testing.assert_close(module.pseudo_context, inputs[index], rtol=0, atol=1e-5)
    torch.testing.assert_close(module.pseudo_inputs, standardize(Y).float()[index])


def test_the_density_of_one_output_integrates_to_1():
    model = clone(SHORT).fit(X, Y[:, 0])
    line = np.linspace(-5, 15, 2001)
    rows = np.repeat(X[:3], len(line), axis=0)
    density = np.exp(model.log_predictive_density(rows, np.tile(line, 3)))
    np.testing.assert_allclose(density.reshape(3, -1).sum(1) * (line[1] - line[0]), 1, atol=0.01)


@cache
def mixed_case():
    """A linear model whose prior is a mixture: y given x is one of normal distributions."""
    model = clone(SHORT).set_params(
        hidden_layer_sizes=(), linear=False, prior=ConditionalMixture(3), learning_rate_init=0.02,
        n_importance_samples=5, max_iter=60,
    )  # fmt: skip
    _, inputs, targets, _ = two_branches()
    return model.fit(inputs, targets), inputs, targets


def mixture_by_hand(model, inputs):
    """Weights, means and covariances of the components, for each row."""
    module, (_, x, _) = model.module_.twin().double(), model._prepare_inputs(inputs)
    with torch.no_grad():
        prior, n = module.prior(x[:]), module.n_components
        zero = torch.zeros(len(x), n, dtype=torch.float64)
        bias = module.outputs(zero, x[:])
        W = (module.outputs(torch.eye(n).double(), x[:1].expand(n, -1)) - bias[0]).numpy()
        noise = module.decode(zero, x[:]).variance.numpy()[0]
    scale = model.likelihood_.scale_
    means = (prior.means.numpy() @ W + bias.numpy()[:, None]) * scale + model.likelihood_.location_
    variances = (2 * prior.log_scales).exp().numpy()
    covariances = np.einsum("rnk,ki,kj->rnij", variances, W, W) + np.diag(noise)
    return prior.log_weights.exp().numpy(), means, covariances * np.outer(scale, scale)


def test_with_a_linear_decoder_the_density_is_that_of_a_mixture_of_normals():
    model, inputs, targets = mixed_case()
    rows = slice(0, 60)
    found = model.log_predictive_density(inputs[rows], targets[rows], 2000)
    expected = [
        np.log(sum(w * multivariate_normal(m, S).pdf(y) for w, m, S in zip(*parts, strict=True)))
        for y, *parts in zip(targets[rows], *mixture_by_hand(model, inputs[rows]), strict=True)
    ]
    assert abs(np.mean(found - np.array(expected))) < 0.02


def test_with_a_linear_decoder_moments_are_those_of_a_mixture_of_normals():
    model, inputs, _ = mixed_case()
    weights, means, covariances = mixture_by_hand(model, inputs)
    mean = np.einsum("rn,rni->ri", weights, means)
    variance = np.einsum("rn,rni->ri", weights, covariances.diagonal(0, 2, 3) + means**2) - mean**2
    found, found_std = model.predict(inputs, return_std=True, n_draws=4096)
    np.testing.assert_allclose(found, mean, atol=0.02)
    np.testing.assert_allclose(found_std, np.sqrt(variance), rtol=0.02)
    np.testing.assert_allclose(model.transform(inputs), prior_means(model, inputs), rtol=1e-6)


def prior_means(model, inputs):
    module, (_, x, _) = model.module_.twin().double(), model._prepare_inputs(inputs)
    with torch.no_grad():
        return module.prior(x[:]).mean.numpy()


def test_a_mixture_has_the_two_branches_that_a_normal_prior_has_not():
    """With a linear decoder, which can only shift codes, against the density of the data."""
    model, inputs, targets = mixed_case()
    normal = clone(model).set_params(prior="conditional_normal").fit(inputs, targets)
    of_mixture, of_normal = (
        m.log_predictive_density(inputs, targets).mean() for m in (model, normal)
    )
    branches = [np.hstack([inputs + side, np.full_like(inputs, -side)]) for side in (1, -1)]
    exact = np.mean(
        np.logaddexp(*(norm(mean, 0.05).logpdf(targets).sum(1) for mean in branches)) - np.log(2)
    )
    assert exact - 0.1 < of_mixture < exact + 0.05
    assert of_normal < exact - 2


def test_a_prior_has_the_hidden_layers_of_the_encoder_unless_it_has_a_network():
    for part in (ConditionalNormal, ConditionalMixture):
        network = MLP((4,), "tanh")
        models = [
            clone(SHORT).set_params(max_iter=1, prior=prior).fit(X, Y)
            for prior in (part.shortcut, part(), part(network=network))
        ]
        networks = [model.module_.architecture.prior.network for model in models]
        assert networks == [MLP((16,), "silu")] * 2 + [network]
        np.testing.assert_array_equal(models[0].predict(X), models[1].predict(X))


# -- few rows -----------------------------------------------------------------------------------


def few_rows(name="gaussian", **parameters):
    """A fit to ten rows, after which intervals are wider than those of the networks."""
    model = clone(SHORT).set_params(likelihood=LIKELIHOODS[name][0], **parameters)
    return model.fit(X[::15], Y[::15])


@pytest.mark.parametrize("name", ["gaussian", "gaussian, row"])
def test_after_few_rows_draws_have_the_moments_of_predict(name):
    model = few_rows(name)
    assert model._ridge.widening > 1.1
    mean, std = model.predict(X, return_std=True, n_draws=1024)
    draws = model.sample_y(X, 2000, random_state=1)
    assert np.abs((draws.mean(axis=2) - mean) / std).max() < 5.5 / np.sqrt(2000)
    np.testing.assert_allclose(draws.std(axis=2), std, rtol=0.15)


@pytest.mark.parametrize("n_components", [1, 2])
def test_after_few_rows_the_estimate_is_the_log_density_by_quadrature(n_components):
    model = few_rows(n_components=n_components)
    found = model.log_predictive_density(X[::5], Y[::5], n_importance_samples=500)
    assert abs(found.mean() - by_quadrature(model, X[::5], Y[::5]).mean()) < 0.02


def test_after_few_rows_the_density_of_one_output_integrates_to_1_and_has_the_mean_and_std():
    model = clone(SHORT).fit(X[::15], Y[::15, 0])
    line = np.linspace(-50, 60, 20_001)
    mean, std = model.predict(X[:3], return_std=True, n_draws=1024)
    for row in range(3):
        rows = np.repeat(X[[row]], len(line), axis=0)
        density = np.exp(model.log_predictive_density(rows, line)) * (line[1] - line[0])
        moments = [density.sum(), density @ line, np.sqrt(density @ (line - mean[row]) ** 2)]
        np.testing.assert_allclose(moments, [1, mean[row], std[row]], rtol=0.02)


def test_after_few_rows_smooth_draws_are_decoded_codes_of_the_prior():
    model = few_rows(prior="standard_normal")
    codes = np.random.default_rng(0).normal(size=(2000, 2))
    decoded = model.inverse_transform(codes, np.repeat(X[:1], 2000, axis=0))
    draws = model.sample_y(X[:1], 2000, observation_noise=False, random_state=1)[0]
    np.testing.assert_allclose(draws.mean(axis=1), decoded.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(draws.std(axis=1), decoded.std(axis=0), rtol=0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_after_few_rows_answers_have_the_precision_of_the_inputs(dtype):
    model, rows = few_rows(), X.astype(dtype)
    for found in (*model.predict(rows, return_std=True), model.sample_y(rows)):
        assert found.dtype == dtype
    assert model.log_predictive_density(rows, Y.astype(dtype)).dtype == dtype


def test_far_from_the_rows_the_spread_grows_as_that_of_a_line():
    """Far out the networks' answers hardly change, and the weights' uncertainty rules."""
    model = few_rows()
    away = np.array([[1e4, 0.0]])
    near, far = (model.predict(X[:1] + step, return_std=True)[1] for step in (away, 2 * away))
    np.testing.assert_allclose(far, 2 * near, rtol=0.1)


def test_a_stream_with_a_small_first_batch_forgets_that_it_was_small():
    model = clone(SHORT).partial_fit(X[::15], Y[::15])
    assert model._ridge.widening > 1.1
    model.partial_fit(X[::15], Y[::15])
    assert model._ridge.widening > 1.1
    assert model.partial_fit(X, Y)._ridge.widening == 1


COVERAGES = {5: 0.90, 12: 0.93, 40: 0.94}


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", COVERAGES)
def test_intervals_after_few_rows_hold(n_rows):
    """Of 95 %, by default, for two outputs that are linear in three inputs."""
    holds = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(n_rows + 50, 3))
        targets = rows @ rng.normal(size=(3, 2)) + 0.3 * rng.normal(size=(n_rows + 50, 2))
        model = VAERegressor(random_state=seed).fit(rows[:n_rows], targets[:n_rows])
        low, high = np.moveaxis(model.predict_interval(rows[n_rows:], random_state=seed), 2, 0)
        holds.append(np.mean((low <= targets[n_rows:]) & (targets[n_rows:] <= high)))
    assert np.mean(holds) + 2 * np.std(holds) / np.sqrt(len(holds)) > COVERAGES[n_rows]
    assert np.mean(holds) - 2 * np.std(holds) / np.sqrt(len(holds)) < 0.97


# -- draws and moments ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWO_BY_DEFAULT)
def test_draws_have_the_moments_of_predict(name):
    model = fitted(name)
    mean, std = model.predict(X, return_std=True, n_draws=1024)
    draws = model.sample_y(X, 2000, random_state=1)
    assert np.abs((draws.mean(axis=2) - mean) / std).max() < 5.5 / np.sqrt(2000)
    np.testing.assert_allclose(draws.std(axis=2), std, rtol=0.15, atol=0.01)
    np.testing.assert_allclose(model.predict(X), model.predict(X, return_std=True)[0])


@pytest.mark.parametrize("name", TWO_BY_DEFAULT)
def test_smooth_draws_are_decoder_means(name):
    model = fitted(name)
    draws = model.sample_y(X, 2000, observation_noise=False, random_state=1)
    mean, std = model.predict(X, return_std=True, n_draws=1024)
    assert np.abs((draws.mean(axis=2) - mean) / std).max() < 5.5 / np.sqrt(2000)
    assert (draws.std(axis=2) <= std * 1.1 + 1e-6).all()


@cache
def two_branches():
    """A model of y = x + 1 or x - 1 at random, in the first output, and the other sign next."""
    rng = np.random.default_rng(3)
    inputs, branch = rng.uniform(-1, 1, size=(500, 1)), rng.choice([-1.0, 1.0], size=(500, 1))
    targets = np.hstack([inputs + branch, -branch]) + 0.05 * rng.normal(size=(500, 2))
    model = clone(SHORT).set_params(max_iter=60, learning_rate_init=0.01)
    return model.fit(inputs, targets), inputs, targets, branch


def test_two_branches_are_drawn_and_not_their_mean():
    model, inputs, *_ = two_branches()
    draws = model.sample_y(inputs, 5, random_state=0)
    branches = np.stack([draws[:, 0] - inputs, -draws[:, 1]])
    assert np.mean(np.abs(np.abs(branches) - 1) < 0.4) > 0.8
    assert np.mean(np.sign(branches[0]) == np.sign(branches[1])) > 0.97
    assert abs(branches.mean()) < 0.2


def test_codes_are_decoded_under_any_input():
    model, inputs, targets, branch = two_branches()
    codes = model.transform(inputs, targets)
    for others in (inputs, inputs[::-1]):
        found = model.inverse_transform(codes, others)
        np.testing.assert_allclose(found, np.hstack([others + branch, -branch]), atol=0.3)


def test_codes_without_inputs_are_decoded_under_their_mean():
    model = fitted()
    codes, mean = model.transform(X, Y), np.tile(X.mean(axis=0), (150, 1))
    found = model.inverse_transform(codes)
    np.testing.assert_allclose(found, model.inverse_transform(codes, mean), rtol=1e-10)


def test_without_inputs_codes_have_a_standard_normal_prior():
    np.testing.assert_array_equal(fitted(prior="standard_normal").transform(X), 0)


@pytest.mark.parametrize("shape", [(), (1,), (2,)])
def test_outputs_have_the_shape_of_y(shape):
    targets = Y[:, 0] if shape == () else Y[:, : shape[0]]
    model = clone(SHORT).set_params(max_iter=2).fit(X, targets)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == targets.shape
    assert model.sample_y(X, 4).shape == (*targets.shape, 4)
    assert model.inverse_transform(model.transform(X, targets), X).shape == targets.shape
    assert model.log_predictive_density(X, targets).shape == (150,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_answers_have_the_precision_of_the_inputs(dtype):
    model = fitted()
    rows = X.astype(dtype)
    found = [model.predict(rows), model.sample_y(rows), model.transform(rows)]
    assert {answer.dtype for answer in found} == {np.dtype(dtype)}
    assert model.log_predictive_density(rows, Y.astype(dtype)).dtype == dtype
    np.testing.assert_allclose(model.predict(rows), model.predict(X), rtol=1e-4)


# -- laws -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TWO_BY_DEFAULT)
def test_fits_and_draws_repeat_by_seed(name):
    targets, model = LIKELIHOODS[name][1], fitted(name)
    assert_same_answers(model, clone(model).fit(X, targets), targets)
    other = clone(model).set_params(random_state=1).fit(X, targets)
    assert other.loss_curve_ != model.loss_curve_
    assert (model.sample_y(X, random_state=1) != model.sample_y(X, random_state=2)).any()


def test_no_method_touches_torchs_global_generator():
    before = torch.get_rng_state()
    answers(clone(SHORT).set_params(max_iter=2).fit(X, Y).partial_fit(X, Y))
    assert torch.equal(torch.get_rng_state(), before)


def test_a_row_does_not_depend_on_the_others():
    model, rows = fitted(), [7, 100, 3]
    for whole, part in (
        (model.predict(X), model.predict(X[rows])),
        (model.log_predictive_density(X, Y), model.log_predictive_density(X[rows], Y[rows])),
        (model.transform(X, Y), model.transform(X[rows], Y[rows])),
    ):
        np.testing.assert_allclose(whole[rows], part, rtol=1e-9)


@pytest.mark.parametrize("linear", [True, False])
def test_log_densities_depend_neither_on_other_rows_nor_on_memory_order(linear):
    """BLAS rounds a product of many columns in its own way for each number of rows and layout."""
    inputs, targets = load_diabetes(return_X_y=True)
    inputs, targets = inputs[:60], targets[:60]
    model = clone(SHORT).set_params(max_iter=2, linear=linear).fit(inputs, targets)
    whole = model.log_predictive_density(inputs, targets)
    by_row = [
        model.log_predictive_density(inputs[i : i + 1], targets[i : i + 1]) for i in range(60)
    ]
    np.testing.assert_allclose(np.concatenate(by_row), whole, rtol=1e-9)
    by_columns = model.log_predictive_density(np.asfortranarray(inputs), targets)
    np.testing.assert_allclose(by_columns, whole, rtol=1e-9)


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize(("scale", "shift"), [(1e6, 0), (1e-6, 0), (1, 1e6)])
def test_units_and_origins_do_not_matter(scale, shift, linear):
    """Up to the rounding of what networks are given: training doubles it many times."""
    model = clone(SHORT).set_params(max_iter=3, linear=linear)
    one = clone(model).fit(X, Y)
    other = clone(model).fit(X * scale + shift, Y * scale + shift)
    mean, std = one.predict(X, return_std=True)
    found, found_std = other.predict(X * scale + shift, return_std=True)
    np.testing.assert_allclose((found - shift) / scale, mean, rtol=1e-4)
    np.testing.assert_allclose(found_std / scale, std, rtol=1e-4)
    density = other.log_predictive_density(X * scale + shift, Y * scale + shift, 500)
    expected = one.log_predictive_density(X, Y, 500) - 2 * np.log(scale)
    assert density.mean() == pytest.approx(expected.mean(), abs=0.005)


def test_a_constant_input_moves_no_prediction():
    rows = np.column_stack([X, np.full(150, 0.3)])
    model = clone(SHORT).set_params(max_iter=3).fit(rows, Y)
    np.testing.assert_array_equal(model.predict(rows + np.array([0, 0, 5])), model.predict(rows))


@pytest.mark.parametrize("value", [0.3, 0.0, -7e6])
@pytest.mark.parametrize("linear", [False, True])
def test_a_constant_output_comes_back_and_a_deviation_has_the_same_cost_in_any_unit(linear, value):
    targets = np.column_stack([Y, np.full(150, value)])
    model = clone(SHORT).set_params(linear=linear).fit(X, targets)
    mean, std = model.predict(X, return_std=True)
    draws = model.sample_y(X, 3, random_state=0)[:, 2]
    assert np.all(mean[:, 2] == value)
    assert np.all(draws == value)
    assert np.all(std[:, 2] == 0)
    density = model.log_predictive_density(X, targets)
    deviating = model.log_predictive_density(X, targets + np.array([0, 0, 100]))
    np.testing.assert_allclose(density - deviating, -LOG_DEVIATION, rtol=1e-9)
    assert abs(density.mean() - clone(model).fit(X, Y).log_predictive_density(X, Y).mean()) < 1


def test_an_input_that_is_nearly_always_constant_does_not_rule(rng):
    rare = np.zeros((150, 1))
    rare[0] = 1.0
    model = clone(SHORT).fit(np.hstack([X, rare]), Y)
    others = np.hstack([X, np.ones((150, 1))])[1:]
    assert model.log_predictive_density(others, Y[1:]).mean() > -20


ROUND_TRIPS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "file": lambda model, path: skgen.save(model, path) or skgen.load(path),
    "copy": lambda model, path: copy.deepcopy(model),
}


@pytest.mark.parametrize("trip", ROUND_TRIPS)
@pytest.mark.parametrize("name", LIKELIHOODS)
def test_round_trips_are_exact(name, trip, tmp_path):
    model = fitted(name)
    other = ROUND_TRIPS[trip](model, tmp_path / "model.safetensors")
    assert_same_answers(model, other, LIKELIHOODS[name][1])
    if trip == "file":  # a pickle starts Adam anew
        targets = LIKELIHOODS[name][1]
        model.partial_fit(X, targets)
        assert_same_answers(model, other.partial_fit(X, targets), targets)


def test_files_hold_what_few_rows_tell(tmp_path):
    model = few_rows()
    skgen.save(model, tmp_path / "model")
    assert_same_answers(model, skgen.load(tmp_path / "model"))


def test_an_uncertainty_of_other_inputs_is_not_stored(tmp_path):
    model = few_rows()
    other = replace(model._ridge.uncertainty, center=np.zeros(5), directions=np.zeros((2, 5)))
    model._ridge = replace(model._ridge, uncertainty=other)
    with pytest.raises(TypeError, match="do not fit each other"):
        skgen.save(model, tmp_path / "model")


@pytest.mark.parametrize(("prior", "linear"), representatives([*priors.PARTS], [True, False]))
def test_files_hold_convolutional_networks_and_any_prior(prior, linear, tmp_path):
    model = clone(SHORT).set_params(
        max_iter=1, prior=prior, linear=linear, image_shape=(2, 1),
        input_shape=(1, 2),
    ).fit(X, Y)  # fmt: skip
    skgen.save(model, tmp_path / "model")
    assert_same_answers(model, skgen.load(tmp_path / "model"))
    assert_same_answers(model, pickle.loads(pickle.dumps(model)))


def test_memory_mapped_tables_give_the_same_bits(tmp_path):
    paths = [tmp_path / "X.npy", tmp_path / "y.npy"]
    for path, table in zip(paths, (X, Y), strict=True):
        np.save(path, table)
    mapped = [np.load(path, mmap_mode="r") for path in paths]
    assert_same_answers(fitted(), clone(fitted()).fit(*mapped))


def test_a_warm_start_sees_the_same_residuals():
    model = fitted(warm_start=True, learning_rate="constant", max_iter=20)
    before = model.loss_curve_[-1]
    model.set_params(learning_rate_init=1e-9).fit(X, Y)
    assert np.mean(model.loss_curve_[20:]) == pytest.approx(before, abs=0.15)


def test_partial_fit_improves():
    model = clone(SHORT)
    scores = [model.partial_fit(X, Y).log_predictive_density(X, Y).mean() for _ in range(10)]
    assert scores[-1] > scores[0]
    assert model.n_iter_ == 10


@pytest.mark.parametrize(
    "parameters",
    [{"early_stopping": True}, {"n_importance_samples": 3}, {"free_bits": 0.1}, {"kl_warmup": 5}],
    ids=str,
)
def test_options_of_training_learn_too(parameters):
    start = clone(SHORT).set_params(max_iter=1, **parameters).fit(X, Y)
    assert fitted(**parameters).log_predictive_density(X, Y).mean() > (
        start.log_predictive_density(X, Y).mean()
    )


def test_a_checkpoint_is_of_both_tables(tmp_path):
    path = tmp_path / "checkpoint"
    model = clone(SHORT).set_params(max_iter=3, checkpoint=path).fit(X, Y)
    assert not path.exists()
    assert model.loss_curve_ == clone(model).set_params(checkpoint=None).fit(X, Y).loss_curve_


@pytest.mark.draws_globally
def test_searches_and_pipelines_take_it():
    pipeline = make_pipeline(StandardScaler(), clone(SHORT).set_params(max_iter=3))
    search = GridSearchCV(
        pipeline, {"vaeregressor__n_components": [1, 2]}, cv=2, scoring=mean_log_predictive_density
    ).fit(X, Y)
    assert search.predict(X).shape == (150, 2)
    serial = search.cv_results_["mean_test_score"]
    threads = clone(search).set_params(n_jobs=2)
    import joblib

    with joblib.parallel_backend("threading"):
        np.testing.assert_array_equal(threads.fit(X, Y).cv_results_["mean_test_score"], serial)


def test_latent_means_and_standard_deviations_may_be_frames():
    model = clone(SHORT).set_params(max_iter=1)
    frame = pd.DataFrame(X, columns=["length", "width"], index=range(150, 0, -1))
    arrays = model.fit(frame, Y).transform(frame, Y, return_std=True)
    assert all(type(array) is np.ndarray for array in arrays)
    model.set_output(transform="pandas")
    frames = model.transform(frame, Y), *model.transform(frame, Y, return_std=True)
    for codes, expected in zip(frames, (arrays[0], *arrays), strict=True):
        assert list(codes.columns) == ["vaeregressor0", "vaeregressor1"]
        assert codes.index.equals(frame.index)
        np.testing.assert_array_equal(codes, expected)


def standardize(table):
    return torch.from_numpy((table - table.mean(axis=0)) / table.std(axis=0))


@pytest.mark.parametrize("y", [None, Y], ids=["prior", "posterior"])
@pytest.mark.parametrize("prior", priors.PARTS)
def test_latent_moments_are_those_of_the_networks(y, prior):
    """Computed from the networks and data that are standardized by hand."""
    model = fitted(linear=False, prior=prior)
    module, context = model.module_.double(), standardize(X)
    with torch.no_grad():
        latent = module.prior(context) if y is None else module.encode(standardize(y), context)
    found = model.transform(X, y, return_std=True)
    np.testing.assert_array_equal(found[0], model.transform(X, y))
    for values, expected in zip(found, (latent.mean, latent.stddev), strict=True):
        assert values.shape == (150, 2)
        np.testing.assert_allclose(values, np.broadcast_to(expected, (150, 2)), rtol=1e-6)


# -- errors ---------------------------------------------------------------------------------------

BAD_CALLS = {
    "no y": (lambda: clone(SHORT).fit(X, None), "requires y to be passed"),
    "text": (lambda: clone(SHORT).fit(X, np.full((150, 2), "a")), "`y` must hold numbers"),
    "fewer rows": (lambda: clone(SHORT).fit(X, Y[:9]), r"`y` must have shape .*150 rows of X"),
    "three axes": (lambda: clone(SHORT).fit(X, Y[..., None]), "`y` must have shape|dim 3"),
    "grey above 1": (
        lambda: fitted("bernoulli").fit(X, GREY + 1), r"`y` must hold values in \[0.*\(y / 255\)"
    ),
    "no counts": (
        lambda: clone(SHORT).set_params(likelihood=Poisson()).fit(X, Y + 0.5),
        "`y` must hold counts 0, 1, 2, .* in column 0",
    ),
    "huge": (lambda: clone(SHORT).fit(X, Y * 1e101), "`y` must hold values of at most 1e"),
    "other outputs": (lambda: fitted().partial_fit(X, Y[:, :1]), r"`y` must have shape \(150, 2\)"),
    "one output": (lambda: fitted().log_predictive_density(X, Y[:, 0]), "`y` must have shape"),
    "images": (
        lambda: clone(SHORT).set_params(image_shape=(3, 3)).fit(X, Y),
        r"`image_shape` must have as many values as each row of y \(2\)",
    ),
    "context": (
        lambda: clone(SHORT).set_params(image_shape=(1, 2), input_shape=(3, 3)).fit(X, Y),
        r"`input_shape` must have as many values as X has features \(2\)",
    ),
    "draws": (lambda: fitted().sample_y(X, 0), "`n_samples` must be an integer >= 1"),
    "draws of z": (lambda: fitted().predict(X, n_draws=0), "`n_draws` must be an integer >= 1"),
    "far": (
        lambda: clone(SHORT).fit(X, Y * 1e35).predict(np.float32(X * 1e5)),
        "`y` must be within float32; got means or residuals beyond it",
    ),
    "codes": (lambda: fitted().inverse_transform(np.zeros((150, 3)), X), "`Z` must have one col"),
    "rows of codes": (lambda: fitted().inverse_transform(np.zeros((3, 2)), X), "`Z` must have one"),
    "flag": (lambda: clone(SHORT).set_params(linear=1).fit(X, Y), "`linear` must be a bool"),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_CALLS)
def test_errors_name_argument_condition_and_value(name):
    call, message = BAD_CALLS[name]
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("way", ["fit", "partial_fit"])
def test_a_failing_call_leaves_the_estimator_as_it_was(way):
    model = fitted()
    before = dict(vars(model))
    with pytest.raises(ValueError, match="NaN"):
        getattr(model, way)(X * 2, np.full_like(Y, np.nan))
    with pytest.raises(ValueError, match="learning_rate_init"):
        getattr(model.set_params(learning_rate_init=1e9), way)(X * 3, Y)
    model.set_params(learning_rate_init=before["learning_rate_init"])
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before if name.endswith("_"))
    assert model._x_mean is before["_x_mean"]


@pytest.mark.parametrize("prior", [None, "normal", Mixture(3)(2)])
def test_a_prior_that_builds_none_is_an_error(prior):
    with pytest.raises((ValueError, TypeError), match="`prior` must be"):
        clone(SHORT).set_params(prior=prior).fit(X, Y)


def test_a_prior_without_a_map_from_noise_is_an_error(monkeypatch):
    """`VAETransformer` does not need the map."""
    monkeypatch.delattr(type(NormalByContext()(1)()), "from_noise")
    VAETransformer(2, prior=NormalByContext(), max_iter=1).fit(X)
    with pytest.raises(TypeError, match=r"`prior` must be .* does not define `from_noise`"):
        clone(SHORT).set_params(prior=NormalByContext()).fit(X, Y)
