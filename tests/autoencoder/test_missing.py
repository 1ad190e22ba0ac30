"""Missing cells: left out of training and densities, imputed and drawn given the others."""

import copy
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from conftest import assert_digits
from scipy import stats
from sklearn.datasets import load_digits, load_wine
from sklearn.exceptions import NotFittedError
from small_vae import FEW, LIKELIHOODS, draw_rows, grid_of_codes, log_joint, random_vae

from skgen import VAETransformer, networks
from skgen._autoencoder import fitting, missing
from skgen._autoencoder.batches import Batch, column_means
from skgen._validation import extremes, missing_cells, nan_for_missing
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skgen.likelihoods._base import location_and_scale
from skgen.priors import Mixture, VampPrior

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

WINE = load_wine().data
GREY = load_digits().data[:200, 18:30] / 16
HIDDEN = np.random.default_rng(0).random(WINE.shape) < 0.3
HIDDEN[0], HIDDEN[1] = True, False
HOLES = np.where(HIDDEN, np.nan, WINE)
SHORT = {
    "hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "batch_size": 50, "max_iter": 5,
    "random_state": 0,
}  # fmt: skip
LINEAR = {**SHORT, "hidden_layer_sizes": (), "likelihood": Gaussian("feature")}
N_DRAWS = 10_000


def holes_in(X, rng, share=0.3):
    return np.where(rng.random(X.shape) < share, np.nan, X)


@cache
def linear_model(max_iter, likelihood="feature"):
    rules = {**LINEAR, "max_iter": max_iter, "likelihood": Gaussian(likelihood)}
    return VAETransformer(3, **rules).fit(HOLES)


def moments_of_linear(model):
    """Mean and covariance of x by the weights of a linear model, in the units of the data."""
    decoder, likelihood = model.module_.decoder[-1], model.likelihood_
    W = decoder.weight.detach().double().numpy() * likelihood.scale_[:, None]
    mean = decoder.bias.detach().double().numpy() * likelihood.scale_ + likelihood.location_
    log_variance = model.module_.global_parameters.detach().double().numpy()
    noise = (np.exp(log_variance) + likelihood.min_scale**2) * likelihood.scale_**2
    return mean, W @ W.T + np.diag(noise)


def conditional(mean, cov, row):
    """Mean and covariance of the missing cells of a row, by the textbook's formula."""
    m = np.isnan(row)
    gain = cov[np.ix_(m, ~m)] @ np.linalg.pinv(cov[np.ix_(~m, ~m)], hermitian=True)
    rest = cov[np.ix_(m, m)] - gain @ cov[np.ix_(~m, m)]
    return mean[m] + gain @ (row[~m] - mean[~m]), rest


def log_density(mean, cov, X):
    """Exact log p(observed cells) of a normal distribution."""
    seen = [~np.isnan(row) for row in X]
    return np.array(
        [
            stats.multivariate_normal(mean[o], cov[np.ix_(o, o)]).logpdf(row[o]) if o.any() else 0.0
            for row, o in zip(X, seen, strict=True)
        ]
    )


# -- the linear model, whose answers are known ---------------------------------------------------


@pytest.fixture(params=["exact", "resampled"])
def way(request, monkeypatch):
    """The closed form, and in its place the way of all other models."""
    if request.param == "resampled":
        monkeypatch.setattr(missing, "linear_model", lambda vae: None)
    return request.param


@pytest.mark.parametrize("likelihood", ["feature", "shared"])
def test_modes_of_a_linear_model_are_means(likelihood):
    """One step of Gauss and Newton leads there from anywhere."""
    vae = copy.deepcopy(linear_model(1, likelihood).module_).double()
    rows, mask = torch.randn(20, 13, dtype=torch.float64), torch.from_numpy(HIDDEN[:20])
    with torch.no_grad():
        found = missing.posterior_modes(vae, rows, mask)
        expected = missing.linear_model(vae).posterior(rows, mask)
    for actual, value in zip(found, expected, strict=True):
        torch.testing.assert_close(actual, value)


@pytest.mark.parametrize("activation", networks.ACTIVATIONS)
def test_slopes_of_a_perceptron_are_those_of_autograd(activation):
    network = networks.MLP((7, 5), activation, skip=True)(3, 4).double()
    x, unit = torch.randn(6, 3, dtype=torch.float64), torch.eye(3, dtype=torch.float64)
    found = missing.differentiate(network, x, unit.expand(6, 3, 3))
    expected = torch.autograd.functional.jacobian(lambda x: network(x).sum(0), x)
    torch.testing.assert_close(found, (network(x), expected.permute(1, 2, 0)))


@pytest.mark.parametrize("likelihood", ["feature", "shared"])
def test_imputed_cells_are_means_of_the_conditional_gaussian(likelihood, way):
    model = linear_model(60, likelihood)
    mean, cov = moments_of_linear(model)
    imputed = model.impute(HOLES)
    assert np.array_equal(imputed[~HIDDEN], WINE[~HIDDEN])
    expected = [conditional(mean, cov, row)[0] for row in HOLES]
    error = (imputed - WINE.mean(axis=0))[HIDDEN] - np.concatenate(expected)
    error += np.broadcast_to(WINE.mean(axis=0), WINE.shape)[HIDDEN]
    scale = np.broadcast_to(WINE.std(axis=0), WINE.shape)[HIDDEN]
    assert np.abs(error / scale).max() < {"exact": 1e-6, "resampled": 0.1}[way]
    assert np.sqrt(np.mean((error / scale) ** 2)) < {"exact": 1e-6, "resampled": 0.01}[way]


@pytest.mark.parametrize("row", [0, 2, 7])
def test_draws_of_missing_cells_have_the_conditional_distribution(row, way):
    """The first row has no observed cell: its draws are those of new rows."""
    model, given = linear_model(60), HOLES[[row]]
    mean, rest = conditional(*moments_of_linear(model), given[0])
    draws = model.sample(N_DRAWS, given=given, random_state=1)
    assert draws.shape == (N_DRAWS, WINE.shape[1])
    drawn, m = draws[:, HIDDEN[row]], HIDDEN[row]
    assert np.array_equal(draws[:, ~m], np.tile(WINE[row, ~m], (N_DRAWS, 1)))
    root = np.linalg.cholesky(rest)
    whitened = np.linalg.solve(root, (drawn - mean).T)  # standard normal and independent
    p_values = [stats.kstest(column, "norm").pvalue for column in whitened]
    sums = whitened.sum(axis=0) / np.sqrt(len(whitened))
    assert min(*p_values, stats.kstest(sums, "norm").pvalue) > 1e-4


@pytest.mark.parametrize("max_iter", [1, 60])
def test_the_density_of_observed_cells_is_bounded_by_the_exact_one(max_iter):
    model = copy.deepcopy(linear_model(max_iter))
    exact = log_density(*moments_of_linear(model), HOLES)
    means = {}
    for n in (1, 10, 100):
        runs = [model.set_params(random_state=s).score_samples(HOLES, n).mean() for s in range(20)]
        means[n] = np.mean(runs)
        assert means[n] < exact.mean() + FEW * np.std(runs) / np.sqrt(len(runs)) + 1e-9
    assert means[1] < means[10] < means[100]
    assert abs(means[100] - exact.mean()) < 0.05
    assert model.score_samples(HOLES[:1])[0] == pytest.approx(0, abs=0.1)


def test_the_training_loss_of_rows_with_missing_cells_is_in_units_of_the_data():
    factor = 10.0 ** np.arange(-6, 7)
    first, second = (VAETransformer(2, **SHORT).fit(HOLES * f) for f in (1.0, factor))
    change = (~HIDDEN @ np.log(factor)).mean()
    assert np.subtract(second.loss_curve_, first.loss_curve_) == pytest.approx(change, abs=1e-2)
    difference = second.score_samples(HOLES * factor) - first.score_samples(HOLES)
    assert difference == pytest.approx(-(~HIDDEN @ np.log(factor)), abs=0.2)


# -- any model, by quadrature --------------------------------------------------------------------

MASK = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 1], [1, 1, 0]], dtype=torch.bool)


NORMAL = [name for name in LIKELIHOODS if "Gaussian" in name and "row" not in name]


@pytest.mark.parametrize("n_components", [1, 2])
@pytest.mark.parametrize(
    ("name", "fewest"), [*((name, 9) for name in LIKELIHOODS), *((name, 1) for name in NORMAL)]
)
def test_conditional_means_and_draws_are_those_by_quadrature(
    name, fewest, n_components, rng, monkeypatch
):
    """By pilot points, and around modes."""
    monkeypatch.setattr(missing, "FEWEST_DIMENSIONS", fewest)
    vae = random_vae(rng, LIKELIHOODS[name], n_components, sees_mask=True)
    x = draw_rows(rng, vae)
    z, log_weights = grid_of_codes(vae)
    posterior = torch.softmax(log_joint(vae, x, z, mask=MASK) + log_weights[:, None], 0)
    with torch.no_grad():
        of_codes = vae.decode(z)
        expected = (posterior.T @ of_codes.mean).numpy()
        second = (posterior.T @ (of_codes.variance + of_codes.mean**2)).numpy()
    std = np.sqrt(second - expected**2)
    X = np.where(MASK, np.nan, x)
    if vae.likelihood.linear_transform:  # modes, or means in other units, else
        found = missing.conditional_means(vae, Batch(x, mask=MASK), X)
        assert np.abs((found - expected) / std)[MASK].max() < 0.1
    draws = missing.conditional_draws(vae, Batch(x, mask=MASK), X, 4000, True, rng)
    assert draws.shape == (4000, *x.shape)
    z_scores = (draws.mean(axis=0) - expected) / std * np.sqrt(len(draws))
    assert np.abs(z_scores)[MASK].max() < 2 * FEW  # draws of the same proposals are alike


# -- the estimator -------------------------------------------------------------------------------

WAYS = {
    "default": {},
    "masking": {"masking": 0.4},
    "importance-weighted": {"n_importance_samples": 3, "masking": 0.2},
    "linear": LINEAR,
    "mixture": {"prior": Mixture(3)},
    "vamp": {"prior": VampPrior(3)},
    "stopping": {"early_stopping": True, "masking": 0.2, "free_bits": 0.1},
    "row": {"likelihood": Gaussian("row")},
    "bernoulli": {"likelihood": "bernoulli"},
    "continuous bernoulli": {"likelihood": "continuous_bernoulli", "masking": 0.2},
    "convolutional": {"likelihood": "bernoulli", "image_shape": (3, 4), "masking": 0.2},
}


@cache
def fitted(name):
    X = GREY if WAYS[name].get("likelihood") in ("bernoulli", "continuous_bernoulli") else WINE
    X = X[::5]
    holes = holes_in(X, np.random.default_rng(1))
    holes[0], holes[1] = np.nan, X[1]
    return VAETransformer(2, **{**SHORT, **WAYS[name]}).fit(holes), holes


@pytest.mark.parametrize("name", WAYS)
def test_every_method_takes_missing_cells(name):
    model, X = fitted(name)
    hidden = np.isnan(X)
    imputed = model.impute(X)
    draws = model.sample(3, given=X, random_state=0).reshape(3, *X.shape)
    smooth = model.sample(2, given=X, observation_noise=False, random_state=0)
    for found in (imputed, *draws, *smooth.reshape(2, *X.shape)):
        assert np.isfinite(found).all()
        assert np.array_equal(found[~hidden], X[~hidden])
    assert not np.isclose(draws[0], draws[1])[hidden].all()
    assert np.array_equal(draws[1:, 1], np.tile(X[1], (2, 1)))
    assert np.isfinite(model.transform(X)).all()
    assert np.isfinite(model.reconstruct(X)).all()
    assert np.isfinite(model.score_samples(X)).all()


ANSWERS = "transform", "score_samples", "reconstruct", "impute"


@pytest.mark.parametrize("name", WAYS)
def test_rows_do_not_depend_on_the_missing_cells_of_others(name):
    model, X = fitted(name)
    complete = ~np.isnan(X).any(axis=1)
    rows = X[complete]
    assert len(rows)
    whole = {name: getattr(model, name)(X) for name in ANSWERS}
    for name in ANSWERS:
        assert_digits(getattr(model, name)(rows), whole[name][complete], 9)
    assert np.array_equal(model.impute(X), whole["impute"])
    assert_digits(model.impute(X[5:9]), whole["impute"][5:9], 9)
    assert np.array_equal(model.sample(2, given=rows, random_state=0), np.tile(rows, (2, 1)))


def test_a_mask_that_hides_nothing_changes_nothing(monkeypatch):
    expected = VAETransformer(2, **SHORT).fit(WINE)
    nothing = np.zeros(WINE.shape, dtype=bool)
    views = fitting.BaseAutoencoder._views
    with monkeypatch.context() as patch:
        patch.setattr(
            VAETransformer,
            "_views",
            lambda model, batch, vae: views(model, batch._replace(mask=nothing), vae),
        )
        found = VAETransformer(2, **SHORT).fit(WINE)
    assert_digits(np.array(found.loss_curve_), np.array(expected.loss_curve_), 5)
    assert_digits(found.score_samples(WINE), expected.score_samples(WINE), 4)


def test_the_values_behind_missing_cells_play_no_part():
    """NaN of either sign, None and pandas.NA, in arrays, lists and frames."""
    expected = VAETransformer(2, **SHORT, masking=0.1).fit(HOLES)
    names = [f"x{i}" for i in range(WINE.shape[1])]
    with_none = np.where(HIDDEN, None, WINE)
    frame = pd.DataFrame(HOLES)
    for X in (
        np.where(HIDDEN, -np.nan, WINE),
        with_none,
        with_none.tolist(),
        pd.DataFrame(with_none),
        pd.DataFrame(np.where(HIDDEN, pd.NA, WINE)),
        frame.astype("Float64"),
        frame.astype("object").mask(frame.isna(), pd.NA).to_numpy(),
    ):
        found = VAETransformer(2, **SHORT, masking=0.1).fit(X)
        assert found.loss_curve_ == expected.loss_curve_
        for method in ("transform", "score_samples", "impute"):
            assert_digits(getattr(found, method)(X), getattr(expected, method)(HOLES), 9)
    polars = pl.DataFrame(with_none.tolist(), schema=names, orient="row")
    found = VAETransformer(2, **SHORT, masking=0.1).fit(polars)
    assert np.array_equal(found.impute(polars), expected.impute(HOLES))


def test_hidden_cells_follow_from_the_seed_and_are_predicted():
    """With a decoder that cannot change, only q learns: from fewer cells it knows less."""
    losses = {}
    for masking in (0.0, 0.5, 0.5, 0.9):
        model = VAETransformer(2, **{**SHORT, "max_iter": 40}, masking=masking).fit(WINE)
        losses.setdefault(masking, []).append(model.loss_curve_)
        assert model.module_.architecture.sees_mask == (masking > 0)
    assert losses[0.5][0] == losses[0.5][1]
    assert losses[0.0][0][-1] < losses[0.5][0][-1] < losses[0.9][0][-1]


def test_training_that_continues_keeps_what_the_encoder_sees():
    first = VAETransformer(2, **SHORT, warm_start=True).fit(WINE)
    assert not first.module_.architecture.sees_mask
    for X in (HOLES, WINE, HOLES[:1]):
        first.partial_fit(X)
    first.fit(HOLES).set_params(masking=0.3).fit(WINE)
    assert not first.module_.architecture.sees_mask
    second = VAETransformer(2, **SHORT).partial_fit(HOLES).partial_fit(WINE)
    assert second.module_.architecture.sees_mask
    for model in (first, second):
        assert np.isfinite(model.impute(HOLES)).all()


def test_a_mixture_is_fitted_to_codes_of_rows_with_missing_cells():
    model = VAETransformer(2, **{**SHORT, "max_iter": 60}).fit(HOLES)
    before = model.score(HOLES)
    model.fit_prior(HOLES, 5, random_state=0)
    assert model.score(HOLES) > before
    assert np.isfinite(model.impute(HOLES)).all()


def test_imputation_is_better_than_the_mean_of_the_column():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2)) @ rng.normal(size=(2, 8)) + 0.1 * rng.normal(size=(200, 8))
    holes = holes_in(X, rng)
    rules = {**SHORT, "likelihood": Gaussian("feature"), "masking": 0.1, "max_iter": 100}
    imputed = VAETransformer(4, **rules).fit(holes).impute(holes)
    hidden = np.isnan(holes)
    error = (imputed - X)[hidden] / np.broadcast_to(X.std(axis=0), X.shape)[hidden]
    assert np.sqrt(np.mean(error**2)) < 0.35


# -- errors --------------------------------------------------------------------------------------


def test_a_column_without_observed_cells_is_an_error_that_names_it():
    X = HOLES.copy()
    X[:, 3] = np.nan
    with pytest.raises(ValueError, match="observed cells in each column; got none in column 3"):
        VAETransformer().fit(X)
    model, frame = VAETransformer(2, **SHORT), pd.DataFrame(X).add_prefix("x")
    with pytest.raises(ValueError, match="none in column 'x3'"):
        model.partial_fit(frame)
    assert "n_features_in_" not in vars(model)
    model.fit(HOLES)
    for method in ("impute", "transform", "score_samples", "partial_fit"):
        getattr(model, method)(X)  # known by now
    assert np.isfinite(model.impute(X)).all()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinity_is_no_missing_cell(value):
    X = HOLES.copy()
    X[3, 3] = value
    model = VAETransformer(2, **SHORT).fit(HOLES)
    for call in (VAETransformer().fit, model.impute, lambda X: model.sample(given=X)):
        with pytest.raises(ValueError, match="infinity"):
            call(X)


def test_values_out_of_range_are_errors_beside_missing_cells():
    X = HOLES.copy()
    X[3, 3] = 1e101
    with pytest.raises(ValueError, match="1e\\+100"):
        VAETransformer().fit(X)
    with pytest.raises(ValueError, match=r"\[0, 1\] .* got values from 0.13 to 1680"):
        VAETransformer(likelihood="bernoulli").fit(HOLES)
    X[3, 3] = 1e17
    with pytest.raises(ValueError, match="standard deviations"):
        linear_model(1).impute(X.astype(np.float32))


def test_arguments_are_checked():
    model = linear_model(1)
    with pytest.raises(ValueError, match="features"):
        model.sample(given=HOLES[:, :3])
    with pytest.raises(ValueError, match="text"):
        model.sample(given=HOLES.astype(str))
    with pytest.raises(ValueError, match="`n_samples` must"):
        model.sample(0, given=HOLES)
    for method in (VAETransformer().impute, lambda X: VAETransformer().sample(given=X)):
        with pytest.raises(NotFittedError):
            method(HOLES)
    for masking in (-0.1, 1.0, np.nan):
        with pytest.raises(ValueError, match="`masking` must"):
            VAETransformer(masking=masking).fit(WINE)


def test_clipped_rows_come_back_as_they_were_given():
    X = 1.2 * GREY - 0.1
    X[::2, 3] = np.nan
    for likelihood in (Bernoulli(clip=True), ContinuousBernoulli(clip=True)):
        model = VAETransformer(2, likelihood=likelihood, **SHORT).fit(X)
        imputed = model.impute(X)
        assert np.array_equal(imputed[~np.isnan(X)], X[~np.isnan(X)])
        assert imputed[::2, 3].min() >= 0


# -- moments of what is observed -----------------------------------------------------------------


def test_moments_are_those_of_numpy_without_missing_cells(monkeypatch, rng):
    monkeypatch.setattr("skgen.likelihoods._base.BLOCK_VALUES", 100)
    monkeypatch.setattr("skgen._autoencoder.batches.BLOCK_VALUES", 100)
    X = np.column_stack([holes_in(1e6 + rng.normal(size=(300, 3)), rng), np.full(300, 7.0)])
    X[:40, 1] = np.nan  # nothing in the first blocks
    X[::3, 3] = np.nan
    location, scale = location_and_scale(X)
    assert_digits(location, np.nanmean(X, axis=0), 14)
    assert_digits(scale[:3], np.nanstd(X, axis=0)[:3], 9)
    assert scale[3] == 1
    assert_digits(column_means(X), np.nanmean(X, axis=0), 14)
    assert np.array_equal(extremes(X, axis=0), [np.nanmin(X, axis=0), np.nanmax(X, axis=0)])
    assert np.array_equal(missing_cells(X), np.isnan(X))
    assert missing_cells(WINE) is None


def test_tables_of_numbers_are_not_copied():
    for table in (WINE, pd.DataFrame(WINE), WINE.tolist()):
        assert nan_for_missing(table) is table
