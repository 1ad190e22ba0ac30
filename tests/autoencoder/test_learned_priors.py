"""Priors that are learned: bounds by quadrature, exact mixtures of Gaussians, and the estimator."""

import copy
import pickle

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import kstest, multivariate_normal
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import NotFittedError
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV
from small_vae import FEW, NormalByContext, draw_rows, log_marginal, mean_elbo, normal, random_vae

from skgen import VAETransformer, load, save
from skgen._autoencoder.importance import estimate_log_prob, pilot_points
from skgen.likelihoods import Gaussian
from skgen.priors import PARTS, Mixture, StandardNormal, VampPrior

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

IRIS = load_iris().data
LEARNED = {name: cls._examples()[-1] for name, cls in PARTS.items() if name != "standard_normal"}


def short(**parameters):
    defaults = {"hidden_layer_sizes": (8,), "max_iter": 5, "random_state": 0}
    return VAETransformer(2, **{**defaults, **parameters})


@pytest.fixture(params=LEARNED)
def prior(request):
    return LEARNED[request.param]


@pytest.fixture(params=[1, 2])
def vae(request, prior, rng):
    return random_vae(rng, Gaussian(), request.param, prior=prior)


# -- bounds ---------------------------------------------------------------------------------------


def test_bounds_are_in_order(vae, rng):
    x = draw_rows(rng, vae)
    exact = float(log_marginal(vae, x).mean())
    noise = normal(rng, 40, 4000 * len(x), vae.n_components)
    with torch.no_grad():
        bounds = vae.bound(x.repeat(4000, 1), noise).view(4000, -1).mean(1)
    error = float(bounds.std()) / len(bounds) ** 0.5
    assert mean_elbo(vae, x) < float(bounds.mean()) + FEW * error
    assert float(bounds.mean()) < exact + FEW * error
    assert error < 0.02


def test_the_mean_of_the_estimated_densities_is_the_density(vae, rng):
    x, n_repeats = draw_rows(rng, vae), 2000
    noise = normal(rng, 20, n_repeats * len(x), vae.n_components)
    pilot = pilot_points(vae, 200)
    with torch.no_grad():
        found = estimate_log_prob(vae, x.repeat(n_repeats, 1), noise, 2, pilot)
    ratios = (found.view(n_repeats, -1) - log_marginal(vae, x)).exp()
    error = ratios.std(0) / len(ratios) ** 0.5
    assert error.max() < 0.1
    assert ((ratios.mean(0) - 1).abs() / error).max() < FEW


def test_free_bits_act_on_each_dimension(vae, rng):
    x = draw_rows(rng, vae)
    noise = normal(rng, len(x), vae.n_components)
    kl = vae.prior().mean_kl(*vae.moments(x), noise)
    data_term = vae.elbo(x, noise) + kl.sum()
    for free_bits in (0.0, float(kl.detach().mean()), 1e3):
        expected = data_term - kl.clamp(min=free_bits).sum() if free_bits else data_term - kl.sum()
        torch.testing.assert_close(vae.elbo(x, noise, free_bits=free_bits), expected)


# -- a linear decoder -----------------------------------------------------------------------------


def log_density(model, X):
    """Density of a model with a linear decoder and a mixture as prior: a mixture of Gaussians."""
    module = model.module_.twin().double()
    with torch.no_grad():
        prior, bias = module.prior(), module.outputs(torch.zeros(1, model.n_components).double())
        W = module.outputs(torch.eye(model.n_components).double()) - bias
        variance = module.decode(prior.means[:1]).variance[0].diag()
        means = (prior.means @ W + bias).numpy()
        scales = prior.log_scales.exp()
        covariances = [(W.T * scale.square() @ W + variance).numpy() for scale in scales]
    rows = model.likelihood_.transform(X)
    moments = zip(means, covariances, strict=True)
    parts = [multivariate_normal(*moment).logpdf(rows) for moment in moments]
    joint = np.array(parts) + prior.log_weights.detach().numpy()[:, None]
    return logsumexp(joint, axis=0) + model.likelihood_.log_jacobian(X).sum(axis=1)


@pytest.fixture(scope="module")
def linear(one_torch_thread):
    model = VAETransformer(
        2, prior=Mixture(3), hidden_layer_sizes=(), learning_rate_init=0.02, random_state=0
    )
    return model.fit(IRIS)


def test_with_a_linear_decoder_scores_are_those_of_a_mixture_of_gaussians(linear):
    exact = log_density(linear, IRIS)
    assert np.abs(linear.score_samples(IRIS, 1000) - exact).max() < 0.05
    elbo = linear.score_samples(IRIS, 1)
    assert elbo.mean() < exact.mean()


def test_draws_have_the_density_of_the_score(linear, rng):
    X = linear.sample(20_000, random_state=0)
    draws, moments = log_density(linear, X), np.mean(log_density(linear, X))
    again = log_density(linear, linear.sample(20_000, random_state=1))
    assert kstest(draws, again).pvalue > 1e-5
    assert abs(moments - again.mean()) < FEW * draws.std() * (2 / 20_000) ** 0.5


# -- the estimator --------------------------------------------------------------------------------


def test_the_standard_normal_is_the_default_to_the_bit():
    default = short().fit(IRIS)
    for same in ("standard_normal", StandardNormal()):
        other = short(prior=same).fit(IRIS)
        np.testing.assert_array_equal(other.transform(IRIS), default.transform(IRIS))
        np.testing.assert_array_equal(
            other.sample(5, random_state=0), default.sample(5, random_state=0)
        )


def test_a_shortcut_is_the_prior_with_its_defaults(prior):
    one, other = short(prior=prior.shortcut).fit(IRIS), short(prior=type(prior)()).fit(IRIS)
    np.testing.assert_array_equal(one.transform(IRIS), other.transform(IRIS))


def test_the_prior_is_learned_and_what_is_learned_is_kept(prior, tmp_path):
    model = short(prior=prior, max_iter=1, warm_start=True).fit(IRIS)
    first = {name: value.clone() for name, value in model.module_.prior.state_dict().items()}
    model.fit(IRIS).partial_fit(IRIS)
    for name, value in model.module_.prior.state_dict().items():
        assert not torch.equal(value, first[name]), name
    save(model, tmp_path / "model.skgen")
    for twin in (
        pickle.loads(pickle.dumps(model)), copy.deepcopy(model), load(tmp_path / "model.skgen"),
    ):  # fmt: skip
        assert twin.prior == prior
        np.testing.assert_array_equal(twin.score_samples(IRIS), model.score_samples(IRIS))
        draws = twin.sample(5, random_state=1)
        np.testing.assert_array_equal(draws, model.sample(5, random_state=1))
    with pytest.raises(ValueError, match=r"`prior` must be as in the last fit"):
        clone(model).fit(IRIS).set_params(prior="standard_normal").partial_fit(IRIS)


def test_a_fit_is_reproducible_to_the_bit(prior):
    before = torch.get_rng_state()
    one, other = (short(prior=prior).fit(IRIS) for _ in range(2))
    assert torch.equal(torch.get_rng_state(), before)
    np.testing.assert_array_equal(one.score_samples(IRIS), other.score_samples(IRIS))
    np.testing.assert_array_equal(one.explained_kl_, other.explained_kl_)


def test_the_vamp_prior_starts_at_rows_of_the_data():
    model = short(prior=VampPrior(30), learning_rate_init=1e-12).fit(IRIS)
    rows = model.likelihood_.inverse_transform(model.module_.prior.pseudo_inputs.detach().numpy())
    distances = np.abs(rows[:, None] - IRIS).max(axis=2).min(axis=1)
    assert distances.max() < 1e-5
    assert len(np.unique(rows.round(3), axis=0)) > 10


def test_explained_kl_adds_up_to_the_divergence(prior):
    model = short(prior=prior, max_iter=20).fit(IRIS)
    q, p = model.module_.encode(standardized(model)), model.module_.prior()
    with torch.no_grad():
        z = q.sample((2000,))
        ratios = q.log_prob(z).sum(-1) - p.log_prob(z)
    error = float(ratios[0].std()) / len(IRIS) ** 0.5
    assert abs(model.explained_kl_.sum() - float(ratios.mean())) < FEW * error


def standardized(model):
    return torch.from_numpy(model.likelihood_.transform(IRIS).astype(np.float32))


def test_a_search_sets_parameters_of_the_prior_and_fitted_models_keep_theirs():
    search = GridSearchCV(short(prior=Mixture(3)), {"prior__n_components": [1, 5]}, cv=2).fit(IRIS)
    best = search.best_estimator_
    assert len(best.module_.prior.means) == best.prior.n_components
    assert search.estimator.prior == Mixture(3)
    before = best.module_.architecture.prior
    best.set_params(prior__n_components=7)
    assert best.prior == Mixture(7)
    assert before == best.module_.architecture.prior != best.prior
    assert best.get_params()["prior__n_components"] == 7
    with pytest.raises(ValueError, match="must be"):
        best.set_params(prior__n_components=0)
    assert clone(best).prior == Mixture(7)


def test_a_prior_of_ones_own(tmp_path):
    model = short(prior=NormalByContext()).fit(IRIS)
    first = model.module_.prior.log_scale.clone()
    twin = pickle.loads(pickle.dumps(model.partial_fit(IRIS)))
    assert not torch.equal(model.module_.prior.log_scale, first)
    np.testing.assert_array_equal(twin.score_samples(IRIS), model.score_samples(IRIS))
    with pytest.raises(TypeError, match="`prior` must be something that a file can hold"):
        save(model, tmp_path / "model.skgen")


# -- a mixture that is fitted afterwards ----------------------------------------------------------


@pytest.fixture(scope="module")
def clustered(one_torch_thread):
    """Linear networks, whose codes of iris have two clusters."""
    model = VAETransformer(
        2, hidden_layer_sizes=(), learning_rate_init=0.02, max_iter=100, random_state=0
    )
    return model.fit(IRIS)


def test_fit_prior_is_scikit_learns_mixture_of_draws_from_the_encoder(clustered):
    rows = np.repeat(IRIS, 200, axis=0)
    model = copy.deepcopy(clustered).fit_prior(rows, 2, random_state=0)
    prior = model.module_.prior()
    mean, std = clustered.transform(rows, return_std=True)
    codes = mean + std * np.random.default_rng(0).normal(size=mean.shape)
    expected = GaussianMixture(2, covariance_type="diag", random_state=0).fit(codes)
    found = prior.log_weights.exp(), prior.means, prior.log_scales.exp()
    order = np.argsort(found[0].detach().numpy()), np.argsort(expected.weights_)
    sought = expected.weights_, expected.means_, np.sqrt(expected.covariances_)
    for one, two in zip(found, sought, strict=True):
        np.testing.assert_allclose(one.detach().numpy()[order[0]], two[order[1]], atol=0.05)
    assert np.abs(model.score_samples(IRIS, 1000) - log_density(model, IRIS)).max() < 0.05


@pytest.mark.parametrize("n_components", [None, 10, 50])
def test_after_fit_prior_to_few_rows_scores_are_still_those_of_the_model(n_components, clustered):
    """No Gaussian is so narrow that importance sampling would miss it."""
    rows = IRIS[::3]
    model = copy.deepcopy(clustered).fit_prior(rows, n_components, random_state=0)
    assert len(model.module_.prior.means) == (n_components or 5)
    assert np.abs(model.score_samples(rows, 1000) - log_density(model, rows)).max() < 0.05
    _, std = model.transform(rows, return_std=True)
    scales = model.module_.prior().log_scales.exp().detach().numpy()
    assert (scales > 0.2 * std[0]).all()


def test_fit_prior_takes_one_row(clustered):
    model = copy.deepcopy(clustered).fit_prior(IRIS[:1], random_state=0)
    mean, std = model.transform(IRIS[:1], return_std=True)
    prior = model.module_.prior()
    np.testing.assert_allclose(prior.means.detach().numpy(), mean, atol=4 * std.max() / 10)
    np.testing.assert_allclose(prior.log_scales.exp().detach().numpy(), std, rtol=0.3)


def test_fit_prior_raises_the_score_and_leaves_the_networks(clustered, tmp_path):
    model = copy.deepcopy(clustered).fit_prior(IRIS, 3, random_state=0)
    assert model.score(IRIS) > clustered.score(IRIS) + 0.1
    np.testing.assert_array_equal(model.transform(IRIS), clustered.transform(IRIS))
    assert model.explained_kl_.sum() < clustered.explained_kl_.sum()
    save(model, tmp_path / "model.skgen")
    for twin in (load(tmp_path / "model.skgen"), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin.score_samples(IRIS), model.score_samples(IRIS))
        draws = twin.sample(9, random_state=0)
        np.testing.assert_array_equal(draws, model.sample(9, random_state=0))


def test_after_fit_prior_training_goes_on_with_the_mixture_only(clustered):
    model = copy.deepcopy(clustered).fit_prior(IRIS, 3, random_state=0)
    with pytest.raises(ValueError, match=r"`prior` must be as in the last fit .*Mixture"):
        model.partial_fit(IRIS)
    means = model.module_.prior().means.detach()
    model.set_params(prior=Mixture(3)).partial_fit(IRIS)
    change = (model.module_.prior().means - means).abs().max()
    assert 0 < change < 0.5


def test_fit_prior_repeats_by_its_seed(clustered):
    one, same, other = (
        copy.deepcopy(clustered).fit_prior(IRIS, 2, random_state=seed).module_.prior.means
        for seed in (0, 0, 1)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_fit_prior_binarises_grey_levels_as_training_does(rng):
    X = rng.uniform(size=(60, 5))
    model = short(likelihood="bernoulli", max_iter=30).fit(X)
    whole = copy.deepcopy(model).fit_prior(np.repeat(X, 50, axis=0), 1, random_state=0)
    binary = (rng.uniform(size=(3000, 5)) < np.repeat(X, 50, axis=0)).astype(float)
    mean, std = model.transform(binary, return_std=True)
    prior = whole.module_.prior()
    total = np.sqrt(mean.var(axis=0) + np.square(std).mean(axis=0))
    np.testing.assert_allclose(prior.stddev.detach().numpy(), total, rtol=0.1)


@pytest.mark.parametrize(
    ("X", "n_components", "error", "message"),
    [
        (IRIS, 151, ValueError, "`n_components` must be an integer >= 1 and <= 150"),
        (IRIS, 0, ValueError, "`n_components` must"),
        (IRIS, 1.5, TypeError, "`n_components` must"),
        (IRIS[:, :2], 2, ValueError, "2 features"),
        (IRIS + np.inf, 2, ValueError, "infinity"),
    ],
)
def test_fit_prior_refuses_what_makes_no_sense(X, n_components, error, message, clustered):
    before = vars(clustered).copy()
    with pytest.raises(error, match=message):
        clustered.fit_prior(X, n_components)
    assert vars(clustered) == before


def test_fit_prior_wants_a_fitted_model():
    with pytest.raises(NotFittedError):
        short().fit_prior(IRIS)
