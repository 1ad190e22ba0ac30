"""Likelihoods: densities by quadrature and by torch's distributions, draws by their moments."""

import copy
import pickle
import warnings
from dataclasses import FrozenInstanceError

import mpmath
import numpy as np
import pytest
import torch
import torch.distributions as td
from scipy import stats
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from small_vae import EXAMPLES, FEW, build_vae, ready, table_of
from torch.distributions.constraints import boolean, real

from skgen import VAERegressor, VAETransformer
from skgen.likelihoods import (
    PARTS,
    Bernoulli,
    Categorical,
    ContinuousBernoulli,
    Gaussian,
    Likelihood,
    Mixed,
    NegativeBinomial,
    Numeric,
    Ordinal,
    StandardizedLikelihood,
    resolve_likelihood,
)
from skgen.likelihoods import Poisson as Counts
from skgen.likelihoods._base import LOG_DEVIATION, location_and_scale
from skgen.likelihoods._continuous_bernoulli import log_normalizer
from skgen.likelihoods._numeric import _Positions
from skgen.networks import MLP, seed_torch

pytestmark = pytest.mark.usefixtures("one_torch_thread")

N_FEATURES = 3

MEMBERS = {name: ready(part, N_FEATURES) for name, part in EXAMPLES.items()}
LINEAR = [name for name, part in EXAMPLES.items() if part.linear_transform]
OF_TABLES = [name for name in EXAMPLES if name not in LINEAR]
ON_UNIT_INTERVAL = [Bernoulli, ContinuousBernoulli]

LOGITS = [0.0, 1e-3, -1e-3, 0.19, -0.21, 0.5, -0.5, 8.0, -8.0, 30.0, -30.0, 100.0]
# Of one feature: the likelihood, a decoder's outputs and the free parameters.
ONE_FEATURE = [
    (Gaussian(), [0.3], [-1.0]),
    (Gaussian(), [-40.0], [3.0]),
    (Gaussian(min_scale=0.5), [0.3], [-1.0]),
    (Gaussian("feature"), [2.0], [-5.0]),
    (Gaussian("row"), [0.3, -1.0], []),
    (Gaussian("row"), [-2.0, -50.0], []),
    *[(Bernoulli(), [logit], []) for logit in LOGITS],
    *[(ContinuousBernoulli(), [logit], []) for logit in LOGITS],
]
FAR_OUT = [
    (likelihood, [logit], [])
    for likelihood in (Bernoulli(), ContinuousBernoulli())
    for logit in (-100.0, -30.0, 30.0, 100.0)
]


def doubles(values):
    return torch.tensor(values, dtype=torch.float64)


def seed(number):
    return torch.Generator().manual_seed(number)


def example(likelihood, rng, n_rows=7, n_before=()):
    """Data that the likelihood draws itself, outputs and global parameters, all of them random."""
    n_outputs = likelihood.n_outputs(N_FEATURES)
    outputs = doubles(rng.normal(size=(*n_before, n_rows, n_outputs)))
    free = doubles(rng.normal(size=likelihood.n_global_parameters(N_FEATURES)))
    x = likelihood.draw(doubles(rng.normal(size=(n_rows, n_outputs))), free, seed(0))
    return x, outputs, free


def nodes_and_weights(distribution):
    """Nodes of a sum over a discrete support, or of quadrature over a continuous one."""
    support = distribution.support
    if isinstance(distribution, _Positions):
        return positions_and_weights(int(distribution.likelihood.tables_.n_intervals))
    if support is boolean:
        return doubles([0.0, 1.0]), doubles([1.0, 1.0])
    mean, std = distribution.mean.item(), distribution.stddev.item()
    low = float(getattr(support, "lower_bound", mean - 40 * std))
    high = float(getattr(support, "upper_bound", mean + 40 * std))
    if support.is_discrete:
        high = high if hasattr(support, "upper_bound") else mean + 400 * std
        nodes = torch.arange(np.floor(low), np.ceil(high) + 1, dtype=torch.float64)
        return nodes, torch.ones_like(nodes)
    line, weights = np.polynomial.legendre.leggauss(200)
    halves = [((low + mean) / 2, (mean - low) / 2), ((mean + high) / 2, (high - mean) / 2)]
    nodes = np.concatenate([middle + half * line for middle, half in halves])
    return doubles(nodes), doubles(np.concatenate([half * weights for _, half in halves]))


def positions_and_weights(n_intervals):
    """Nodes for densities that are flat in unit intervals and like 1 / d^2 at a distance d."""
    share, weights = np.polynomial.legendre.leggauss(5)
    share, weights = (1 + share) / 2, weights / 2
    distance = share / (1 - share)
    nodes = [np.arange(n_intervals) + 0.5, -distance, n_intervals + distance]
    tail = weights / (1 - share) ** 2
    return doubles(np.concatenate(nodes)), doubles(np.r_[np.ones(n_intervals), tail, tail])


def expectation(function, likelihood, outputs, free):
    """E of function(x) under exp(log_prob), of one feature, by a sum or by quadrature."""
    outputs, free = doubles(np.array([outputs])), doubles(free)
    x, weights = nodes_and_weights(likelihood.distribution(outputs, free))
    log_prob = likelihood.log_prob(x[:, None], outputs.expand(len(x), -1), free)[:, 0]
    return float((weights * function(x) * log_prob.exp()).sum())


@pytest.mark.parametrize("name", MEMBERS)
def test_each_density_integrates_to_1(name, rng):
    likelihood = ready(EXAMPLES[name], 1)
    if isinstance(likelihood, Mixed):
        ((likelihood, _),) = likelihood._groups
    for _ in range(5):
        outputs = rng.normal(size=likelihood.n_outputs(1))
        free = rng.normal(size=likelihood.n_global_parameters(1))
        total = expectation(torch.ones_like, likelihood, outputs, free)
        assert total == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize(("likelihood", "outputs", "free"), ONE_FEATURE + FAR_OUT, ids=str)
def test_the_density_integrates_to_1(likelihood, outputs, free):
    assert expectation(torch.ones_like, likelihood, outputs, free) == pytest.approx(1, rel=1e-11)


@pytest.mark.parametrize(("likelihood", "outputs", "free"), ONE_FEATURE, ids=str)
def test_the_moments_of_the_distribution_are_those_of_the_density(likelihood, outputs, free):
    distribution = likelihood.distribution(doubles([outputs]), doubles(free))
    mean = expectation(lambda x: x, likelihood, outputs, free)
    variance = expectation(lambda x: (x - mean) ** 2, likelihood, outputs, free)
    assert distribution.mean.item() == pytest.approx(mean, rel=1e-9)
    assert distribution.variance.item() == pytest.approx(variance, rel=1e-9)


@pytest.mark.parametrize("n_before", [(), (4,), (2, 3)])
@pytest.mark.parametrize("name", MEMBERS)
def test_the_log_density_is_that_of_the_distribution(name, n_before, rng):
    likelihood = MEMBERS[name]
    x, outputs, free = example(likelihood, rng, n_before=n_before)
    close = {"rtol": 1e-10, "atol": 1e-10}
    log_prob = likelihood.log_prob(x, outputs, free)
    assert log_prob.shape == (*n_before, 7, N_FEATURES)
    expected = likelihood.distribution(outputs, free).log_prob(x)
    torch.testing.assert_close(log_prob, expected, **close)
    torch.testing.assert_close(likelihood.sum_log_prob(x, outputs, free), expected.sum(-1), **close)
    mask = doubles(rng.uniform(size=x.shape)) < 0.5
    observed = likelihood.sum_log_prob(x, outputs, free, mask)
    torch.testing.assert_close(observed, torch.where(mask, 0.0, expected).sum(-1), **close)
    everything = likelihood.sum_log_prob(x, outputs, free, torch.zeros_like(mask))
    torch.testing.assert_close(everything, expected.sum(-1), **close)
    assert likelihood.distribution(outputs, free).batch_shape == (*n_before, 7, N_FEATURES)


@pytest.mark.parametrize("name", MEMBERS)
def test_the_mean_log_density_and_its_gradient_are_those_of_the_mean(name, rng):
    likelihood = MEMBERS[name]
    x, outputs, free = example(likelihood, rng)
    variables = [variable for variable in (outputs, free) if variable.numel()]
    for variable in variables:
        variable.requires_grad_()
    mean = likelihood.mean_log_prob(x, outputs, free)
    expected = likelihood.sum_log_prob(x, outputs, free).mean()
    assert mean.shape == ()
    torch.testing.assert_close(mean, expected, rtol=1e-13, atol=0)
    for one, other in zip(
        torch.autograd.grad(mean, variables), torch.autograd.grad(expected, variables), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", MEMBERS)
def test_log_densities_have_right_gradients(name, rng):
    likelihood = MEMBERS[name]
    x, outputs, free = example(likelihood, rng)
    assert torch.autograd.gradcheck(
        lambda *parameters: (
            likelihood.log_prob(x, *parameters),
            likelihood.sum_log_prob(x, *parameters),
        ),
        (outputs.requires_grad_(), free.requires_grad_()),
    )


def margins(draws, mean):
    """How many standard errors the mean of draws lies from what it should be, by column."""
    return (draws.mean(0) - mean).abs() / (draws.std(0) / len(draws) ** 0.5)


@pytest.mark.parametrize("name", MEMBERS)
def test_draws_have_the_moments_of_the_distribution(name, rng):
    likelihood = MEMBERS[name]
    _, outputs, free = example(likelihood, rng, n_rows=1)
    distribution = likelihood.distribution(outputs, free)
    if name in LINEAR:
        assert torch.equal(likelihood.mean(outputs, free), distribution.mean)
    draws = likelihood.draw(outputs.expand(40_000, -1), free, seed(1))
    assert margins(draws, distribution.mean).max() < FEW
    squares = (draws - distribution.mean).square()
    assert margins(squares, distribution.variance).max() < FEW
    products = torch.stack([squares[:, 0] / squares[:, 0].mean(), squares[:, 1]], 1).prod(1)
    assert margins(products[:, None], distribution.variance[:, 1]).max() < FEW


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", MEMBERS)
def test_draws_repeat_with_the_seed_and_leave_torchs_generator_alone(name, dtype, rng):
    likelihood = MEMBERS[name]
    _, outputs, free = (values.to(dtype) for values in example(likelihood, rng))
    before = torch.get_rng_state()
    one, same, other = (likelihood.draw(outputs, free, seed(number)) for number in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert one.shape == (7, N_FEATURES)
    assert one.dtype == dtype


def data_of(likelihood, rng, n_rows=7):
    """Rows in the support of the likelihood; features of different size if that is the line."""
    _, outputs, free = example(likelihood, rng, n_rows)
    X = likelihood.draw(outputs, free, seed(0)).numpy()
    if not likelihood.linear_transform:
        return likelihood.inverse_transform(X)
    on_the_line = likelihood.distribution(outputs, free).support is real
    return 3 + X * 10.0 ** np.arange(N_FEATURES) if on_the_line else X


@pytest.mark.parametrize("name", LINEAR)
def test_at_the_initial_outputs_the_distribution_has_the_given_mean(name, rng):
    likelihood = MEMBERS[name]
    _, outputs, free = example(likelihood, rng, n_rows=1)
    mean = likelihood.mean(outputs, free)[0].numpy()
    outputs = likelihood.initial_outputs(mean)
    assert outputs.shape == (likelihood.n_outputs(N_FEATURES),)
    reached = likelihood.mean(torch.from_numpy(outputs)[None], torch.zeros_like(free))[0]
    np.testing.assert_allclose(reached, mean, rtol=1e-9, atol=1e-12)


# -- the transform -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MEMBERS)
def test_a_fitted_likelihood_is_a_copy_that_compares_alike(name, rng):
    likelihood = EXAMPLES[name]
    before = dict(vars(likelihood))
    fitted = likelihood.fit(data_of(MEMBERS[name], rng))
    assert vars(likelihood) == before
    assert fitted == likelihood
    assert hash(fitted) == hash(likelihood)
    again = pickle.loads(pickle.dumps(fitted))
    assert repr(vars(again)) == repr(vars(fitted))


@pytest.mark.parametrize("name", MEMBERS)
def test_the_inverse_transform_undoes_the_transform(name, rng):
    X = data_of(MEMBERS[name], rng)
    likelihood = MEMBERS[name].fit(X)
    transformed = likelihood.transform(X)
    assert transformed.shape == X.shape
    np.testing.assert_allclose(likelihood.inverse_transform(transformed), X, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_the_log_jacobian_is_that_of_finite_differences(name, rng):
    X = data_of(MEMBERS[name], rng)
    likelihood = MEMBERS[name].fit(X)
    step = 1e-6 * np.maximum(np.abs(X), 1)
    slopes = (likelihood.transform(X + step) - likelihood.transform(X - step)) / (2 * step)
    log_jacobian = likelihood.log_jacobian(X)
    assert log_jacobian.shape in {X.shape, (1, N_FEATURES)}
    expected = np.log(np.abs(slopes))
    np.testing.assert_allclose(np.broadcast_to(log_jacobian, X.shape), expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", LINEAR)
def test_densities_are_those_of_the_units_of_the_data(name, rng):
    """Law 10: other units of a real column add their logarithm to its density."""
    likelihood = MEMBERS[name]
    _, outputs, free = example(likelihood, rng)
    X = data_of(likelihood, rng)
    is_real = likelihood.distribution(outputs, free).support is real
    factor = np.array([1e-6, 1.0, 1e6]) if is_real else np.ones(N_FEATURES)
    shift = np.array([0.0, -5.0, 1.0]) if is_real else np.zeros(N_FEATURES)

    def log_density(X):
        fitted = likelihood.fit(X)
        x = torch.from_numpy(fitted.transform(X))
        return likelihood.log_prob(x, outputs, free).numpy() + fitted.log_jacobian(X)

    expected = log_density(X) - np.log(factor)
    np.testing.assert_allclose(log_density(X * factor + shift), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_location_and_scale_are_those_of_scikit_learn(dtype, rng, monkeypatch):
    X = (rng.normal(size=(1000, 5)) * 10.0 ** np.arange(5) + 3).astype(dtype)
    X[:, 1], X[:, 2] = 0.1, 1e9
    scaler = StandardScaler().fit(X)
    location, scale = location_and_scale(X)
    np.testing.assert_array_equal(location, scaler.mean_)
    np.testing.assert_array_equal(scale, scaler.scale_)
    assert np.array_equal(scale[1:3], [1, 1])
    monkeypatch.setattr("skgen.likelihoods._base.BLOCK_VALUES", 5 * 130)
    for found, expected in zip(location_and_scale(X), (location, scale), strict=True):
        assert found.dtype == np.float64
        np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize("name", LINEAR)
def test_the_transform_for_onnx_is_that_of_numpy(name, rng):
    X = data_of(MEMBERS[name], rng)
    likelihood = MEMBERS[name].fit(X)
    expected = likelihood.transform(likelihood.check_support(X))
    found = likelihood.onnx_transform(torch.from_numpy(X))
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-14)
    values = likelihood.onnx_inverse_transform(found).numpy()
    np.testing.assert_allclose(values, likelihood.inverse_transform(expected), rtol=1e-14)


# -- likelihoods of tables -----------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_TABLES)
def test_draws_in_the_units_of_the_data_have_the_transformed_mean(name, rng):
    """The mean of numbers, the mode of categories."""
    likelihood = MEMBERS[name]
    _, outputs, free = example(likelihood, rng, n_rows=1)
    mean = likelihood.inverse_transform(likelihood.mean(outputs, free).numpy())[0]
    draws = likelihood.inverse_transform(
        likelihood.draw(outputs.expand(40_000, -1), free, seed(1)).numpy()
    )
    for column, values in enumerate(draws.T):
        if has_categories(likelihood, column):
            _, counts = np.unique(values, return_counts=True)
            margin = FEW * counts.max() ** 0.5  # of two categories that are next to equal
            assert np.sum(values == mean[column]) >= counts.max() - margin
        else:
            assert abs(values.mean() - mean[column]) < FEW * values.std() / 200


def has_categories(likelihood, column):
    if isinstance(likelihood, Mixed):
        part = next(part for part, indices in likelihood._groups if column in indices)
        return part.categorical
    return likelihood.categorical


@pytest.mark.parametrize("name", OF_TABLES)
def test_the_mean_of_a_mixture_is_that_of_its_draws(name, rng):
    likelihood = MEMBERS[name]
    _, outputs, free = example(likelihood, rng, n_rows=1, n_before=(2,))
    weights = doubles([[0.3], [0.7]])
    mean = likelihood.inverse_transform(likelihood.mixture_mean(outputs, free, weights).numpy())[0]
    parts = zip(outputs, (12_000, 28_000), strict=True)
    x = torch.cat([likelihood.draw(of.expand(n, -1), free, seed(n)) for of, n in parts])
    for column, values in enumerate(likelihood.inverse_transform(x.numpy()).T):
        if has_categories(likelihood, column):
            _, counts = np.unique(values, return_counts=True)
            margin = FEW * counts.max() ** 0.5  # of two categories that are next to equal
            assert np.sum(values == mean[column]) >= counts.max() - margin
        else:
            assert abs(values.mean() - mean[column]) < FEW * values.std() / 200


@pytest.mark.parametrize("name", OF_TABLES)
def test_at_the_initial_outputs_choices_have_their_frequencies(name, rng):
    likelihood = ready(EXAMPLES[name], N_FEATURES)
    X = table_of(likelihood, N_FEATURES)
    x = torch.from_numpy(likelihood.transform(X))
    mean = likelihood.transform(X.mean(0)[None])[0]
    outputs = torch.from_numpy(likelihood.initial_outputs(mean))[None]
    free = doubles(np.zeros(likelihood.n_global_parameters(N_FEATURES)))
    found = likelihood.log_prob(x, outputs, free) + torch.from_numpy(likelihood.log_jacobian(X))
    for column in range(1, N_FEATURES):  # the first may be continuous
        values, index, counts = np.unique(X[:, column], return_inverse=True, return_counts=True)
        shares = (counts + 0.5) / (counts.sum() + 0.5 * len(values))
        np.testing.assert_allclose(found[:, column], np.log(shares)[index], atol=2e-4)


@pytest.mark.parametrize("name", [name for name in OF_TABLES if "Gaussian" not in name])
def test_missing_cells_stay_missing_and_are_left_out_of_what_is_learned(name):
    likelihood = EXAMPLES[name]
    X = table_of(likelihood, N_FEATURES)
    holes = np.vstack([X, np.where(np.eye(N_FEATURES), X[:N_FEATURES], np.nan)])
    expected, fitted = likelihood.fit(np.vstack([X, X[:N_FEATURES]])), likelihood.fit(holes)
    assert np.isnan(fitted.transform(holes)[len(X) :]).sum() == N_FEATURES * (N_FEATURES - 1)
    assert np.isfinite(fitted.log_jacobian(holes)).all()
    assert fitted.check_support(holes) is holes
    counts = [part.counts_.sum(1) for part in parts_of(fitted) if hasattr(part, "counts_")]
    assert {*np.concatenate(counts)} == {len(X) + 1}
    assert fitted == expected
    empty = np.where([False, True, False], np.nan, X)
    with pytest.raises(ValueError, match=r"`X` must hold an observed cell in column [01] "):
        likelihood.fit(empty)


def parts_of(likelihood):
    return (
        [part for part, _ in likelihood._groups] if isinstance(likelihood, Mixed) else [likelihood]
    )


@pytest.mark.parametrize("name", OF_TABLES)
def test_the_encoder_sees_zeros_for_missing_cells(name):
    likelihood = MEMBERS[name]
    x = torch.from_numpy(likelihood.transform(table_of(likelihood, N_FEATURES)))
    inputs = likelihood.encoder_inputs(x)
    assert inputs.shape == (len(x), likelihood.n_inputs(N_FEATURES))
    mask = torch.arange(N_FEATURES) != 1
    hidden = likelihood.encoder_inputs(x.masked_fill(mask, 0.0), mask.expand(x.shape))
    of_column = (inputs == hidden).all(0)  # inputs of the column that is not hidden
    assert of_column.any()
    assert torch.all(hidden[:, ~of_column] == 0)
    nothing = likelihood.encoder_inputs(x, torch.zeros_like(x, dtype=torch.bool))
    assert torch.equal(nothing, inputs)


def test_the_encoder_sees_categories_as_columns():
    X = np.array([[7.0, 1.0], [3.0, 1.0], [9.0, 1.0]])
    likelihood = Categorical().fit(X)
    inputs = likelihood.encoder_inputs(torch.from_numpy(likelihood.transform(X)))
    assert inputs.tolist() == [[0, 1, 0, 1], [1, 0, 0, 1], [0, 0, 1, 1]]


def test_the_encoder_sees_numbers_as_normal_scores(rng):
    X = rng.lognormal(size=(4000, 1))
    likelihood = Numeric().fit(X)
    scores = likelihood.encoder_inputs(torch.from_numpy(likelihood.transform(X)))[:, 0]
    ranks = stats.rankdata(X[:, 0])
    np.testing.assert_allclose(scores, stats.norm.ppf((ranks - 0.5) / 4000), atol=0.15)


def test_an_unknown_category_is_an_error_that_names_column_and_value():
    likelihood = Categorical().for_columns((("a", 0), ("b", 0))).fit(np.eye(2))
    with pytest.raises(ValueError, match=r"column 'b' .* the unknown category 2"):
        likelihood.check_support(np.array([[0.0, 1.0], [1.0, 2.0]]))


def test_thresholds_of_ordered_categories_are_cumulative_logits(rng):
    X = rng.integers(0, [4, 2, 1], size=(100, 3)).astype(float)
    likelihood = Ordinal().fit(X)
    assert likelihood.n_global_parameters(3) == 3 + 1
    free, outputs = doubles(rng.normal(size=4)), doubles(rng.normal(size=(1, 3)))
    known = likelihood.distribution(outputs, free).probs[0].numpy()
    shares = (np.bincount(X[:, 0].astype(int)) + 0.5) / 102
    start = np.log(shares.cumsum()[:3] / (1 - shares.cumsum()[:3]))
    step = free[:3].numpy()
    thresholds = start[0] + step[0] + np.cumsum(np.r_[0, np.diff(start) * np.exp(step[1:])])
    below = 1 / (1 + np.exp(outputs[0, 0].numpy() - thresholds))
    np.testing.assert_allclose(known[0], np.diff(np.r_[0, below, 1]), rtol=1e-9)
    np.testing.assert_allclose(known[2], [1, 0, 0, 0], atol=1e-12)
    far = likelihood.log_prob(doubles([[3.0, 1.0, 0.0]]), doubles([[-500.0, 500.0, 0.0]]), free)
    assert far.isfinite().all()
    np.testing.assert_allclose(far[0, 0], -500 - thresholds[2], rtol=1e-9)


@pytest.mark.parametrize("log_mean", [-3.0, 0.0, 5.0])
@pytest.mark.parametrize("log_shape", [-2.0, 0.0, 4.0])
def test_counts_have_the_probabilities_of_scipy(log_mean, log_shape):
    counts = np.array([0.0, 1.0, 2.0, 7.0, 150.0, 1000.0])
    outputs, mean, shape = doubles([[log_mean]]), np.exp(log_mean), np.exp(log_shape)
    found = Counts().log_prob(doubles(counts[:, None]), outputs, doubles([]))[:, 0]
    np.testing.assert_allclose(found, stats.poisson(mean).logpmf(counts), rtol=1e-9, atol=1e-11)
    found = NegativeBinomial().log_prob(doubles(counts[:, None]), outputs, doubles([log_shape]))
    expected = stats.nbinom(shape, shape / (shape + mean)).logpmf(counts)
    np.testing.assert_allclose(found[:, 0], expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("mean", "shape"), [(5.0, 0.05), (0.2, 0.3), (100.0, 30.0), (1e5, 200.0)])
def test_shapes_of_counts_start_at_the_variance_of_the_data(mean, shape):
    rng = np.random.default_rng(0)
    X = stats.nbinom(shape, shape / (shape + mean)).rvs((1000, 2), random_state=rng).astype(float)
    hidden = np.where(rng.random(X.shape) < 0.1, np.nan, X)
    fitted = NegativeBinomial().fit(hidden)
    start = doubles(fitted.initial_outputs(np.nanmean(hidden, axis=0))[None])
    variance = fitted.distribution(start, doubles([0.0, 0.0])).variance
    np.testing.assert_allclose(variance[0], np.nanvar(hidden, axis=0), rtol=1e-9)


def test_shapes_start_at_numbers_where_the_data_have_no_shape():
    X = np.column_stack([np.zeros(6), np.full(6, 3.0), [1, 2, 2, 2, 2, 3], [0, 0, 0, 0, 0, 999]])
    log_shape = NegativeBinomial().fit(X).log_shape_
    assert np.isfinite(log_shape).all()
    assert log_shape[0] == 0
    assert (log_shape[1:3] == log_shape.max()).all()  # varies less than a Poisson distribution


@pytest.mark.parametrize(("mean", "shape"), [(100.0, np.inf), (3000.0, 50.0), (2.0, 0.05)])
def test_a_negative_binomial_model_learns_counts_of_any_spread(mean, shape):
    truth = stats.poisson(mean) if np.isinf(shape) else stats.nbinom(shape, shape / (shape + mean))
    X, new = truth.rvs((2, 300, 2), random_state=np.random.default_rng(0)).astype(float)
    vae = VAETransformer(
        1, likelihood=NegativeBinomial(), hidden_layer_sizes=(8,), max_iter=100, random_state=0
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        vae.fit(X)
    assert vae.score(new) > truth.logpmf(new).sum(axis=1).mean() - 0.4


def test_outputs_of_a_poisson_likelihood_are_in_units_of_the_variation_of_the_data():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.poisson([1e6, 40.0, 0.01], (2000, 3)), np.zeros(2000)])
    X[::10, 0] = np.nan
    fitted, mean = Counts().fit(X), np.nanmean(X, axis=0)
    start = fitted.initial_outputs(mean)
    means = [fitted.mean(doubles((start + step)[None]), doubles([]))[0] for step in (0, 1)]
    np.testing.assert_allclose(means[0][:3], mean[:3], rtol=1e-9)
    ratio = np.asarray(means[1] / means[0])
    np.testing.assert_allclose(ratio[:2] - 1, np.nanstd(X[:, :2], axis=0) / mean[:2], rtol=0.1)
    np.testing.assert_allclose(ratio[2:], np.e, rtol=1e-9)  # at most by a factor of e


@pytest.mark.parametrize("mean", [2.0, 1e4, 1e6])
def test_a_poisson_model_learns_means_of_any_size(mean):
    truth = stats.poisson(mean)
    X, new = truth.rvs((2, 300, 3), random_state=np.random.default_rng(0)).astype(float)
    vae = VAETransformer(
        2, likelihood=Counts(), hidden_layer_sizes=(8,), max_iter=100, random_state=0
    )
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        vae.fit(X)
    draws = vae.sample(3000, random_state=0)
    np.testing.assert_allclose(draws.std(axis=0), np.sqrt(mean), rtol=0.12)
    assert vae.score(new) > truth.logpmf(new).sum(axis=1).mean() - 0.2


@pytest.mark.parametrize("likelihood", [Counts(), NegativeBinomial()])
@pytest.mark.parametrize("value", [-1.0, 0.5])
def test_what_is_no_count_is_an_error_that_names_its_column(likelihood, value):
    named = likelihood.for_columns((("a", 0), ("visits", 0)))
    with pytest.raises(
        ValueError, match=rf"`X` must hold counts .* column 'visits'.* got {value:g}"
    ):
        named.check_support(np.array([[3.0, value]]))
    with pytest.raises(ValueError, match="an observed cell in column 'a'"):
        named.fit(np.array([[np.nan, 1.0]]))


# -- bins and atoms --------------------------------------------------------------------------------

COLUMNS = {
    "normal": lambda rng: rng.normal(size=1000),
    "skewed, with zeros": lambda rng: (
        rng.lognormal(sigma=2, size=1000) * rng.integers(2, size=1000)
    ),
    "integers": lambda rng: rng.poisson(1000, size=1000).astype(float),
    "few integers": lambda rng: rng.poisson(2.0, size=1000).astype(float),
    "cents": lambda rng: np.round(rng.gamma(2.0, size=1000), 2),
    "one far out": lambda rng: np.append(rng.normal(size=999), 1e6),
    "constant": lambda rng: np.full(1000, 0.1),
    "two values": lambda rng: rng.choice([-3.5, 8.25], size=1000),
}


@pytest.fixture(params=COLUMNS)
def column(request, rng):
    return COLUMNS[request.param](rng)[:, None]


def draws_of(likelihood, n_rows=20_000):
    """Draws at the initial outputs, which are near the frequencies of the data."""
    outputs = torch.from_numpy(likelihood.initial_outputs(np.zeros(1)))
    draws = likelihood.draw(outputs.expand(n_rows, -1), torch.zeros(0), seed(0))
    return likelihood.inverse_transform(draws.numpy())[:, 0]


def test_draws_of_bins_have_the_distribution_of_the_data(column):
    draws = draws_of(Numeric().fit(column))
    assert column.min() <= draws.min()
    assert draws.max() <= column.max()
    data = column[:, 0]
    distance = stats.ks_2samp(draws, data).statistic
    assert distance < 0.04  # half a bin, and what chance does to 20 000 draws
    values, counts = np.unique(data, return_counts=True)
    for value in values[counts > 50]:  # atoms
        share = np.mean(data == value)
        assert abs(np.mean(draws == value) - share) < 0.01 + FEW * (share / 20_000) ** 0.5


def test_draws_lie_on_the_grid_of_the_data(rng):
    for name, decimals in (("integers", 0), ("few integers", 0), ("cents", 2)):
        draws = draws_of(Numeric().fit(COLUMNS[name](rng)[:, None]))
        assert np.array_equal(np.round(draws, decimals), draws)


def log_density(likelihood, X):
    """Log density of each cell at the initial outputs, in the units of the data."""
    outputs = torch.from_numpy(likelihood.initial_outputs(np.zeros(X.shape[1])))[None]
    x = torch.from_numpy(likelihood.transform(X))
    log_prob = likelihood.log_prob(x, outputs, torch.zeros(0)).numpy()
    return log_prob + likelihood.log_jacobian(X) + likelihood.log_masses(X)


@pytest.mark.parametrize("factor", [1e-6, 1e6])
def test_bins_are_the_same_in_all_units(column, factor):
    """Law 10: a density gets the logarithm of the unit, the mass of a point does not."""
    likelihood, other = Numeric().fit(column), Numeric().fit(column * factor)
    np.testing.assert_allclose(draws_of(other), draws_of(likelihood) * factor, rtol=1e-6)
    values, counts = np.unique(column, return_counts=True)
    before, after = log_density(likelihood, column), log_density(other, column * factor)
    steps = before - after
    is_density = np.abs(steps - np.log(factor)) < 1e-6
    assert np.all(is_density | (np.abs(steps) < 1e-6))
    if counts.max() == 1:
        assert is_density.all()
    if len(values) < 20:
        assert not is_density.any()


def test_bins_and_points_have_a_total_mass_of_1(column):
    """The density by quadrature over the linear pieces, in the units of the data."""
    likelihood = Numeric().fit(column)
    (bins,) = likelihood.bins_
    middles = (bins.knots[1:] + bins.knots[:-1]) / 2
    widths = np.where(bins.is_atom[bins.positions[:-1].astype(int)], 1.0, np.diff(bins.knots))
    inside = np.exp(log_density(likelihood, middles[:, None])[:, 0]) @ widths
    tails = 2 * likelihood.tables_.log_outside.exp().item()
    assert inside + tails == pytest.approx(1, rel=1e-9)
    if bins.scale:
        far = np.abs(column).max() + bins.scale * np.array([1e-9, 1e3, 1e6])
        assert np.all(np.diff(log_density(likelihood, far[:, None])[:, 0]) < -2)


@pytest.mark.parametrize("unit", [1.0, 16.0, 1 / 16000])
def test_a_constant_is_a_point_and_a_deviation_costs_many_nats(unit):
    likelihood = Numeric().fit(np.zeros((100, 1)) * unit)
    assert np.all(draws_of(likelihood) == 0)
    same, half = log_density(likelihood, np.array([[0.0], [0.5 * unit]]))[:, 0]
    assert same == pytest.approx(0, abs=1e-9)
    assert half == LOG_DEVIATION < -20


def test_the_slope_of_positions_is_that_of_finite_differences(rng):
    X = COLUMNS["skewed, with zeros"](rng)[:, None]
    likelihood = Numeric().fit(X)
    inner = X[X > 0.01][:, None] + 1e-7
    step = 1e-9
    slopes = likelihood.transform(inner + step) - likelihood.transform(inner - step)
    close = np.isclose(np.log(slopes / (2 * step)), likelihood.log_jacobian(inner), atol=1e-4)
    assert close.mean() > 0.99  # all but those next to a knot
    beyond = X.max() + np.array([[0.5], [3.0]])
    assert likelihood.log_jacobian(beyond) == pytest.approx(-np.log(X.std()))


# -- groups of columns -----------------------------------------------------------------------------

NAMES = ("age", "sex", "height", "visits", "weight")
KINDS = tuple(zip(NAMES, (0, 2, 0, 0, 0), strict=True))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ("height", [2]),
        (2, [2]),
        (-1, [4]),
        (["weight", "age"], [4, 0]),
        (np.array([3, 0]), [3, 0]),
        (slice("height", "weight"), [2, 3, 4]),
        (slice(None, "age"), [0]),
        (slice(2, 4), [2, 3]),
        (slice(None, None, 4), [0, 4]),
        ([], []),
    ],
)
def test_columns_are_named_as_by_a_column_transformer(selection, expected):
    likelihood = Mixed([("some", Gaussian(), selection)]).for_columns(KINDS)
    groups = {type(part): indices.tolist() for part, indices in likelihood._groups}
    assert groups.get(Gaussian, []) == expected
    assert groups[Categorical] == [1]
    assert groups.get(Numeric, []) == [i for i in (0, 2, 3, 4) if i not in expected]


def test_a_mixed_density_is_that_of_its_parts(rng):
    X = table_of(Mixed(), 4)
    likelihood = Mixed([("last", Gaussian("row"), [3, 0])], Categorical()).fit(X)
    numbers, codes = Gaussian("row").fit(X[:, [3, 0]]), Categorical().fit(X[:, [1, 2]])
    outputs = doubles(rng.normal(size=(len(X), likelihood.n_outputs(4))))
    of_numbers, of_codes = outputs[:, :4], outputs[:, 4:]
    found = likelihood.log_prob(torch.from_numpy(likelihood.transform(X)), outputs, doubles([]))
    x = torch.from_numpy(numbers.transform(X[:, [3, 0]]))
    expected = numbers.log_prob(x, of_numbers, doubles([]))
    torch.testing.assert_close(found[:, [3, 0]], expected)
    x = torch.from_numpy(codes.transform(X[:, [1, 2]]))
    torch.testing.assert_close(found[:, [1, 2]], codes.log_prob(x, of_codes, doubles([])))
    np.testing.assert_allclose(likelihood.log_jacobian(X)[:, 3], np.log(1 / X[:, 3].std()))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Mixed("numeric"), TypeError, "`likelihoods` must be a list"),
        (lambda: Mixed([("a", Gaussian())]), TypeError, "`likelihoods` must be a list of tuples"),
        (lambda: Mixed([("a", "gaussian", 0)]), TypeError, "`a` must be a likelihood"),
        (lambda: Mixed([("a", Bernoulli(), 0)]), ValueError, "Take 'categorical'"),
        (lambda: Mixed(remainder=Mixed()), ValueError, "`remainder` must be a likelihood of"),
        (lambda: Mixed([("a", Gaussian(), 1.5)]), TypeError, "`a` must have columns by name"),
        (
            lambda: Mixed([("a", Gaussian(), "shoe")]).for_columns(KINDS),
            ValueError, "`columns of a` must be in `X`.*'shoe'.*'height'",
        ),
        (
            lambda: Mixed([("a", Gaussian(), 7)]).for_columns(KINDS),
            ValueError, "`columns of a` must be in `X`; got .*7",
        ),
        (
            lambda: Mixed([("a", Gaussian(), [0, "age"])]).for_columns(KINDS),
            ValueError, "disjoint columns.*'age'",
        ),
        (
            lambda: Mixed([("a", Gaussian(), "sex")]).for_columns(KINDS),
            ValueError, "one of categories for column 'sex'",
        ),
        (lambda: Numeric(0), ValueError, "`max_bins` must be an integer >= 1"),
    ],
)  # fmt: skip
def test_errors_about_groups_of_columns(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -- constant features of a Gaussian ---------------------------------------------------------------


@pytest.mark.parametrize("scale", ["shared", "feature", "row"])
def test_a_constant_feature_is_a_point_in_a_gaussian(scale, rng):
    X = rng.normal(size=(50, 3))
    X[:, 1] = 0.1
    likelihood = Gaussian(scale).fit(X)
    assert likelihood.is_constant_.tolist() == [False, True, False]
    outputs = doubles(rng.normal(size=(50, likelihood.n_outputs(3))))
    free = doubles(rng.normal(size=likelihood.n_global_parameters(3)))
    others = [0, 2] + [3, 5] * (scale == "row")
    global_parameters = free[[0, 2]] if scale == "feature" else free
    expected = Gaussian(scale).log_prob(
        torch.from_numpy(likelihood.transform(X)[:, [0, 2]]), outputs[:, others], global_parameters
    )
    deviating = X.copy()
    deviating[:3, 1] = [0.0, 0.2, np.float32(0.1)]
    x, other = (torch.from_numpy(likelihood.transform(table)) for table in (X, deviating))
    assert torch.equal(x, other)
    log_prob = likelihood.log_prob(x, outputs, free)
    torch.testing.assert_close(log_prob[:, [0, 2]], expected)
    assert torch.all(log_prob[:, 1] == 0)
    expected = np.zeros((50, 3))
    expected[:2, 1] = LOG_DEVIATION
    np.testing.assert_array_equal(likelihood.log_masses(deviating), expected)
    total = likelihood.sum_log_prob(x, outputs, free)
    torch.testing.assert_close(total, log_prob.sum(-1))
    mean = likelihood.mean_log_prob(x, outputs, free)
    torch.testing.assert_close(mean, total.mean(), rtol=1e-12, atol=0)
    draws = likelihood.inverse_transform(likelihood.draw(outputs, free, seed(0)).numpy())
    assert np.all(draws[:, 1] == 0.1)
    for function, table in (("transform", deviating), ("inverse_transform", draws)):
        found = getattr(likelihood, f"onnx_{function}")(torch.from_numpy(table))
        np.testing.assert_allclose(found, getattr(likelihood, function)(table), rtol=1e-14)
    assert np.all(likelihood.log_jacobian(X)[:, 1] == 0)
    assert torch.all(likelihood.without_constants().log_prob(x, outputs, free)[:, 1] != 0)


def rows_with_constants(likelihood, unit):
    """Rows of counts with constant columns, 0 and 3, in a unit that the likelihood allows."""
    X = np.tile(np.random.default_rng(0).integers(0, 4, size=(20, 1)), (1, 5)).astype(float)
    X[:, 1], X[:, 4] = 0, 3
    if isinstance(likelihood, ContinuousBernoulli):
        return X / 4
    return X if likelihood.positive_only else X * unit


KNOW_CONSTANTS = [
    name
    for name, part in EXAMPLES.items()
    if not isinstance(part, Bernoulli) and getattr(part, "handle_unknown", "") != "error"
]


@pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed")
@pytest.mark.parametrize("unit", [1.0, 16.0, 1 / 16000])
@pytest.mark.parametrize("name", KNOW_CONSTANTS)
def test_a_constant_is_drawn_adds_nothing_and_costs_the_same_in_any_unit(name, unit):
    """Law 10: what a deviation costs depends neither on weights nor on draws of codes."""
    X = rows_with_constants(EXAMPLES[name], unit)
    vae = VAETransformer(2, likelihood=EXAMPLES[name], max_iter=5, random_state=0).fit(X)
    for rows in (vae.sample(50, random_state=0), vae.reconstruct(X)):
        np.testing.assert_array_equal(rows[:, [1, 4]], np.tile(X[0, [1, 4]], (len(rows), 1)))
    one, two, none = X.copy(), X.copy(), X.copy()
    one[:, 1] = two[:, 1] = X[:, 0].max()
    two[:, 4], none[:, [1, 4]] = 0, np.nan
    np.testing.assert_array_equal(vae.transform(two), vae.transform(X))
    np.testing.assert_array_equal(vae.impute(none), X)
    for n_draws in (1, 10):
        score = vae.score_samples(X, n_draws)
        for n_deviations, rows in enumerate((one, two), 1):
            cost = score - vae.score_samples(rows, n_draws)
            np.testing.assert_allclose(cost, -n_deviations * LOG_DEVIATION, rtol=1e-12)
    if vae.likelihood_.linear_transform:  # others cannot be exported
        x = vae.likelihood_.onnx_transform(torch.from_numpy(two))
        np.testing.assert_allclose(x, vae.likelihood_.transform(two), rtol=1e-14)
        np.testing.assert_allclose(vae.likelihood_.onnx_inverse_transform(x), X, rtol=1e-14)
    x, module = torch.from_numpy(vae.likelihood_.transform(X)), vae.module_.twin().double()
    outputs, parameters = module.outputs(torch.zeros(1, 2).double()), module.global_parameters
    masks = None, torch.from_numpy(np.isnan(none))
    sums = [vae.likelihood_.sum_log_prob(x, outputs, parameters, mask) for mask in masks]
    torch.testing.assert_close(*sums)


def test_blank_pixels_of_digits_are_constants_in_any_unit():
    X = load_digits().data[:300] / 16
    blank = np.flatnonzero(X.max(axis=0) == 0)
    half = X[:20].copy()
    half[:, blank[1]] = 0.5
    for unit in (1.0, 16.0, 1 / 16000):
        vae = VAETransformer(2, max_iter=2, random_state=0).fit(X * unit)
        assert np.all(vae.sample(50, random_state=0)[:, blank] == 0)
        assert np.all(vae.reconstruct(X * unit)[:, blank] == 0)
        costs = vae.score_samples(X[:20] * unit) - vae.score_samples(half * unit)
        np.testing.assert_allclose(costs, -LOG_DEVIATION, rtol=1e-12)
        assert -LOG_DEVIATION > 20


def test_a_stream_takes_no_feature_for_a_constant(rng):
    X = rng.normal(size=(40, 2))
    vae = VAETransformer(1, random_state=0).partial_fit(np.c_[X[:20], np.ones(20)])
    vae.partial_fit(np.c_[X[20:], rng.normal(size=20)])
    assert np.ptp(vae.sample(50, random_state=0)[:, 2]) > 0.1


# -- Bernoulli and Gaussian ----------------------------------------------------------------------


@pytest.mark.parametrize("likelihood", ON_UNIT_INTERVAL)
def test_features_that_are_always_0_or_1_have_finite_initial_outputs(likelihood):
    low, high = likelihood().initial_outputs(np.array([0.0, 1.0]))
    assert -100 < low < -5
    assert 5 < high < 100


def test_initial_outputs_follow_the_mean_from_0_to_1():
    grid = np.linspace(0, 1, 101)
    for likelihood in ON_UNIT_INTERVAL:
        outputs = likelihood().initial_outputs(grid)
        assert np.all(np.diff(outputs) >= 0)
        np.testing.assert_allclose(outputs, -outputs[::-1], rtol=1e-11, atol=1e-9)


@pytest.mark.parametrize("min_scale", [1e-6, 1e-3, 1.0])
@pytest.mark.parametrize("scale", ["shared", "feature", "row"])
def test_the_standard_deviation_of_a_gaussian_has_a_floor(scale, min_scale):
    likelihood = Gaussian(scale, min_scale)
    outputs = torch.full((1, likelihood.n_outputs(1)), -1e4, dtype=torch.float64).requires_grad_()
    free = torch.full(
        (likelihood.n_global_parameters(1),), -1e4, dtype=torch.float64
    ).requires_grad_()
    assert likelihood.distribution(outputs, free).stddev.item() == pytest.approx(min_scale)
    highest = likelihood.log_prob(doubles([[-1e4]]), outputs, free)
    assert highest.item() == pytest.approx(-np.log(min_scale) - np.log(2 * np.pi) / 2)
    highest.sum().backward()
    assert outputs.grad.isfinite().all()


def test_the_floor_adds_to_the_variance():
    distribution = Gaussian(min_scale=0.5).distribution(torch.zeros(1, 1), torch.zeros(1))
    assert distribution.variance.item() == pytest.approx(1.25)


@pytest.mark.parametrize("log_variance", [20.0, 1e4, 1e30])
def test_the_variance_of_a_gaussian_by_row_stays_finite(log_variance):
    outputs = torch.tensor([[0.0, log_variance]])
    assert 1e3 < Gaussian("row").distribution(outputs, torch.zeros(0)).stddev.item() < 1e4


def test_the_log_density_of_one_bernoulli_is_finite_at_any_logit():
    outputs = torch.tensor([[1e4], [-1e4]])
    log_prob = Bernoulli().log_prob(torch.tensor([[1.0], [1.0]]), outputs, torch.zeros(0))
    torch.testing.assert_close(log_prob, torch.tensor([[0.0], [-1e4]]))


def exact_log_normalizer(logit):
    with mpmath.workdps(50):
        logit = mpmath.mpf(float(logit))
        return float(mpmath.log(mpmath.expm1(logit) / logit)) if logit else 0.0


def exact_mean(logit):
    """The derivative of the log normalizer."""
    with mpmath.workdps(50):
        logit = mpmath.mpf(float(logit))
        return float(1 / (1 - mpmath.exp(-logit)) - 1 / logit) if logit else 0.5


MAGNITUDES = [*np.geomspace(1e-12, 700, 80), *np.linspace(0.19, 0.21, 21), 0.2]
MANY_LOGITS = np.concatenate([np.negative(MAGNITUDES), [-0.0, 0.0], MAGNITUDES])


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_the_log_normalizer_is_that_of_50_digits(dtype, tolerance):
    logits = torch.tensor(MANY_LOGITS, dtype=dtype)
    found = log_normalizer(logits).double()
    exact = doubles([exact_log_normalizer(logit) for logit in logits])
    assert ((found - exact).abs() / exact.abs().clamp(min=1)).max() < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_the_gradient_of_the_log_normalizer_is_the_mean(dtype, tolerance):
    logits = torch.tensor(MANY_LOGITS, dtype=dtype).requires_grad_()
    (gradient,) = torch.autograd.grad(log_normalizer(logits).sum(), logits)
    exact = doubles([exact_mean(logit) for logit in logits.detach()])
    assert (gradient.double() - exact).abs().max() < tolerance


def test_the_log_normalizer_has_right_gradients():
    logits = doubles([0.0, 1e-8, -1e-3, 0.15, 0.25, -0.25, 1.0, -8.0, 40.0])
    assert torch.autograd.gradcheck(log_normalizer, logits.requires_grad_())


@pytest.mark.parametrize("likelihood", ON_UNIT_INTERVAL)
@pytest.mark.parametrize(
    ("X", "values"), [([[-0.25, 1.0]], "-0.25 to 1"), ([[0.0, 2.0], [7.0, 255.0]], "0 to 255")]
)
def test_values_outside_the_unit_interval_are_an_error_with_a_remedy(likelihood, X, values):
    with pytest.raises(ValueError, match=r"`X` must hold values in \[0, 1\]") as error:
        likelihood().check_support(np.array(X))
    for part in (values, f"{likelihood.__name__}(clip=False)", "X / 255", "clip=True"):
        assert part in str(error.value)


@pytest.mark.parametrize("likelihood", ON_UNIT_INTERVAL)
def test_clip_takes_values_outside_for_0_and_1(likelihood):
    X = np.array([[-0.25, 0.5, 255.0]])
    assert np.array_equal(likelihood(clip=True).check_support(X), [[0.0, 0.5, 1.0]])
    assert X[0, 0] == -0.25
    assert not likelihood(clip=True).positive_only
    assert likelihood().positive_only


@pytest.mark.parametrize("name", MEMBERS)
def test_data_within_the_support_is_taken_as_it_is(name):
    of_counts = isinstance(EXAMPLES[name], NegativeBinomial | Counts)
    X = np.array([[0.0, 2.0 if of_counts else 0.5, 1.0]])
    assert EXAMPLES[name].check_support(X) is X


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: Gaussian("rows"), ValueError, "`scale` .* 'shared', 'feature', 'row'.*'rows'"),
        (lambda: Gaussian(1.0), TypeError, r"`scale` must be a str; got scale=1\.0"),
        (lambda: Gaussian(min_scale=0), ValueError, "`min_scale` .* >= 1e-06 .* min_scale=0"),
        (lambda: Gaussian(min_scale=2.0), ValueError, r"`min_scale` .* <= 1; got min_scale=2\.0"),
        (lambda: Gaussian(min_scale=np.nan), ValueError, "`min_scale` .* min_scale=nan"),
        (lambda: Gaussian(min_scale="0.1"), TypeError, "`min_scale` .* min_scale='0.1'"),
        (lambda: Bernoulli(clip=1), TypeError, "`clip` must be a bool; got clip=1"),
        (lambda: ContinuousBernoulli("yes"), TypeError, "`clip` must be a bool; got clip='yes'"),
        (lambda: resolve_likelihood("cauchy"), ValueError, "`likelihood` .* likelihood='cauchy'"),
        (lambda: resolve_likelihood(None), TypeError, "`likelihood` .*; got likelihood=None"),
        (lambda: resolve_likelihood(Gaussian), TypeError, r"`likelihood` .*Gaussian\('feature'\)"),
    ],
)
def test_errors_name_argument_condition_and_value(call, error, message):
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("name", PARTS)
def test_a_shortcut_stands_for_a_likelihood_with_its_defaults(name):
    assert resolve_likelihood(name) == PARTS[name]()
    spelled = "Mixed" if name == "from_dtype" else name.replace("_", " ").title().replace(" ", "")
    assert repr(PARTS[name]()).startswith(f"{spelled}(")


@pytest.mark.parametrize("name", MEMBERS)
def test_a_likelihood_is_a_value(name):
    likelihood = EXAMPLES[name]
    assert resolve_likelihood(likelihood) is likelihood
    for twin in (pickle.loads(pickle.dumps(likelihood)), copy.deepcopy(likelihood)):
        assert twin == likelihood
        assert hash(twin) == hash(likelihood)
    assert [other for other in EXAMPLES.values() if other == likelihood] == [likelihood]
    with pytest.raises(FrozenInstanceError):
        likelihood.clip = True


class Laplace(StandardizedLikelihood):
    """A likelihood of one's own on standardized data, with no more than must be."""

    def distribution(self, outputs, global_parameters):
        return td.Laplace(outputs, 1.0)

    def draw(self, outputs, global_parameters, generator):
        uniform = torch.rand(outputs.shape, generator=generator, dtype=outputs.dtype)
        return self.distribution(outputs, global_parameters).icdf(uniform)


class Poisson(Likelihood):
    """Counts, with a global factor for each feature."""

    def n_global_parameters(self, n_features):
        return n_features

    def distribution(self, outputs, global_parameters):
        return td.Poisson((outputs + global_parameters).exp())

    def draw(self, outputs, global_parameters, generator):
        return torch.poisson((outputs + global_parameters).exp(), generator)

    def initial_outputs(self, mean):
        return np.log(mean)

    def check_support(self, X):
        if np.any(X < 0):
            raise ValueError("counts must not be negative")
        return X


def test_a_check_of_ones_own_needs_no_name_of_the_data(rng):
    X, y = rng.normal(size=(60, 2)), 1.0 * rng.poisson(3.0, (60, 2))
    regressor = VAERegressor(1, likelihood=Poisson(), max_iter=2, random_state=0).fit(X, y)
    assert np.isfinite(regressor.log_predictive_density(X, y)).all()
    with pytest.raises(ValueError, match="counts must not be negative"):
        regressor.fit(X, -y)
    mixed = Mixed([("counts", Poisson(), [0, 1])])
    vae = VAETransformer(1, likelihood=mixed, max_iter=2, random_state=0).fit(y)
    with pytest.raises(ValueError, match="counts must not be negative"):
        vae.score_samples(-y)


@pytest.mark.parametrize("likelihood", [Laplace(), Poisson()])
def test_a_likelihood_of_ones_own_has_an_elbo(likelihood, rng):
    with seed_torch(0), torch.no_grad():
        vae = build_vae(MLP((4,)), MLP((4,)), likelihood, N_FEATURES, 2).double()
        vae.global_parameters.copy_(doubles(rng.normal(size=len(vae.global_parameters))))
    x, noise = doubles(rng.poisson(2.0, (5, N_FEATURES))), doubles(rng.normal(size=(5, 2)))
    q = vae.encode(x)
    expected = vae.decode(q.mean + q.stddev * noise).log_prob(x).sum(-1)
    expected = expected - td.kl_divergence(q, td.Normal(torch.zeros_like(q.mean), 1.0)).sum(-1)
    torch.testing.assert_close(vae.elbo(x, noise), expected.mean(), rtol=1e-12, atol=0)


@pytest.mark.parametrize("likelihood", [Laplace(), Poisson()])
def test_a_likelihood_of_ones_own_goes_through_the_estimator(likelihood, rng):
    X = 1.0 * rng.poisson(np.exp(rng.normal(size=(60, 1))) * [1, 2, 3])
    vae = VAETransformer(1, likelihood=likelihood, max_iter=2, batch_size=20, random_state=0)
    again = pickle.loads(pickle.dumps(vae.fit(X)))
    assert np.isfinite(vae.score(X))
    assert np.array_equal(again.score_samples(X), vae.score_samples(X))
    again.partial_fit(X)  # of the same architecture, though the likelihood is another object
    draws = vae.sample(200, random_state=0)
    assert draws.shape == (200, N_FEATURES)
    assert np.all(draws == draws.round()) == isinstance(likelihood, Poisson)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_continuous_bernoulli_holds_at_any_logit(dtype):
    logits = torch.tensor(MANY_LOGITS, dtype=dtype)
    distribution = ContinuousBernoulli().distribution(logits[:, None], torch.zeros(0))
    eps = torch.finfo(dtype).eps
    exact = doubles([exact_mean(logit) for logit in logits])
    torch.testing.assert_close(distribution.mean[:, 0].double(), exact, rtol=1e4 * eps, atol=0)
    chance = torch.tensor([[0.01, 0.3, 0.5, 0.99]], dtype=dtype).expand(len(logits), -1)
    x = distribution.icdf(chance)
    torch.testing.assert_close(distribution.cdf(x), chance, rtol=0, atol=1e3 * eps)
    log_prob = ContinuousBernoulli().log_prob(x[..., None], logits[:, None, None], torch.zeros(0))
    torch.testing.assert_close(distribution.log_prob(x), log_prob[..., 0])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("logit", [-1000.0, -50.0, -0.005, 0.005, 20.0, 1000.0])
def test_draws_of_the_continuous_bernoulli_follow_its_density(logit, dtype):
    outputs = torch.full((20_000, 1), logit, dtype=dtype)
    draws = ContinuousBernoulli().draw(outputs, torch.zeros(0), seed(0))[:, 0].double()
    tail = draws if logit < 0 else 1 - draws

    def cdf(x):
        return np.expm1(-abs(logit) * x) / np.expm1(-abs(logit))

    assert stats.kstest(tail, cdf).pvalue > 1e-4
