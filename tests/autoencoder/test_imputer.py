"""VAEImputer: a transformer for pipelines, searches and frames."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skgen
from skgen import VAEImputer, VAETransformer
from skgen._autoencoder import imputer as module
from skgen.likelihoods import Gaussian

pytestmark = pytest.mark.usefixtures("one_torch_thread")

X, y = load_wine(return_X_y=True)
HIDDEN = np.random.default_rng(0).random(X.shape) < 0.3
HOLES = np.where(HIDDEN, np.nan, X)
VAE = VAETransformer(3, hidden_layer_sizes=(16,), masking=0.2, max_iter=10, random_state=0)


def test_cells_are_those_of_the_model():
    imputer = VAEImputer(VAE).fit(HOLES)
    model = clone(VAE).fit(HOLES)
    assert np.array_equal(imputer.transform(HOLES), model.impute(HOLES))
    drawn = VAEImputer(VAE, sample_posterior=True, random_state=3).fit(HOLES)
    first = drawn.transform(HOLES)
    assert np.array_equal(first, drawn.transform(HOLES))
    assert np.array_equal(first, drawn.estimator_.sample(given=HOLES, random_state=3))
    assert np.array_equal(first[~HIDDEN], X[~HIDDEN])
    assert not np.isclose(first, imputer.transform(HOLES))[HIDDEN].all()


def test_the_seed_is_that_of_the_model():
    plain = clone(VAE).set_params(random_state=None)
    first, second, other = (
        VAEImputer(plain, random_state=s).fit_transform(HOLES) for s in (0, 0, 1)
    )
    assert np.array_equal(first, second)
    assert not np.allclose(first, other)
    assert plain.random_state is None


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_come_back_as_frames(library):
    names = [f"x{i}" for i in range(X.shape[1])]
    frame = pd.DataFrame(HOLES, columns=names)
    table = frame if library == "pandas" else pl.from_pandas(frame)
    imputer = VAEImputer(VAE).set_output(transform=library).fit(table)
    found = imputer.transform(table)
    assert type(found).__module__.startswith(library)
    assert list(found.columns) == names == imputer.get_feature_names_out().tolist()
    assert np.array_equal(found.to_numpy(), imputer.estimator_.impute(table))
    with pytest.raises(ValueError, match="feature names"):
        imputer.transform(frame.add_prefix("z"))
    frame["x3"] = np.nan
    with pytest.raises(ValueError, match="none in column 'x3'"):
        imputer.fit(frame)
    assert imputer.n_features_in_ == 13


def test_a_search_finds_its_parameters_inside_a_pipeline():
    pipeline = make_pipeline(
        VAEImputer(VAE, random_state=0), StandardScaler(), LogisticRegression()
    )
    grid = {"vaeimputer__estimator__masking": [0.0, 0.4]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(HOLES, y)
    assert search.best_score_ > 0.8
    best = search.best_estimator_[0]
    assert best.estimator_.masking == search.best_params_["vaeimputer__estimator__masking"]


def test_the_default_model_takes_as_many_steps_for_few_rows():
    for n_rows, n_features in ((1, 1), (100, 5), (10_000, 40), (10**5, 3)):
        vae = module.default_estimator(np.random.default_rng(0).normal(size=(n_rows, n_features)))
        n_batches = -(-n_rows // vae.batch_size)
        assert 100 <= vae.max_iter <= 1000
        assert vae.max_iter == 1000 or vae.max_iter * n_batches >= module.N_STEPS
        assert vae.n_components <= n_features
        assert vae.masking > 0


def test_the_default_model_goes_by_the_columns():
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    steps = pd.DataFrame(rng.integers(4, size=(60, 3)).astype(float), columns=["a", "b", "c"])
    steps.iloc[::4, 0] = np.nan
    for table, likelihood in (
        (numbers, Gaussian("feature", min_scale=0.03)),
        (numbers.assign(a=steps["a"]), Gaussian("feature", min_scale=0.03)),
        (numbers.assign(a=steps["a"], b=steps["b"]), "numeric"),
        (pl.from_pandas(steps), "numeric"),
        (steps.to_numpy(), "numeric"),
        (numbers.assign(d=pd.Categorical(["x", "y"] * 30)), "from_dtype"),
        (pl.from_pandas(numbers).with_columns(d=pl.lit("x")), "from_dtype"),
    ):
        assert module.default_estimator(table).likelihood == likelihood


def test_the_default_model_has_the_noise_of_new_rows(monkeypatch):
    """It is that of training rows times Akaike's ratio; with many rows both are the same."""
    monkeypatch.setattr(module, "MOST_EPOCHS", 5)
    monkeypatch.setattr(module, "FEWEST_EPOCHS", 5)
    for table in (HOLES, X, HOLES[:3], np.column_stack([HOLES, np.ones(len(X))])):
        seed = int(np.random.default_rng(0).integers(2**31))  # that the imputer gives its model
        trained = module.default_estimator(table).set_params(random_state=seed).fit(table)
        found = VAEImputer(random_state=0).fit(table).estimator_
        std = trained.transform(table, return_std=True)[1]
        k = 1 + (1 - np.minimum(std**2, 1)).mean(axis=0).sum()
        n = np.count_nonzero(~np.isnan(table), axis=0)
        k = np.minimum(k, n / 2)
        log_variances = (v.module_.global_parameters.detach().numpy() for v in (found, trained))
        np.testing.assert_allclose(
            np.subtract(*log_variances), np.log((n + k) / (n - k)), rtol=1e-4, atol=1e-6
        )
        assert np.isfinite(found.sample(2, given=table)).all()


@pytest.mark.slow
def test_intervals_of_default_draws_cover_what_they_say():
    """In 90 % intervals of draws are 85 to 95 % of the missing cells of a small table."""
    shares = []
    for seed in range(3):
        hidden = np.random.default_rng(seed).random(X.shape) < 0.3
        holes = np.where(hidden, np.nan, X)
        model = VAEImputer(random_state=seed).fit(holes).estimator_
        draws = model.sample(50, given=holes, random_state=seed).reshape(50, *X.shape)
        low, high = np.quantile(draws[:, hidden], [0.05, 0.95], axis=0, method="weibull")
        shares.append(((low <= X[hidden]) & (X[hidden] <= high)).mean())
    assert 0.85 < np.mean(shares) < 0.95


def test_frames_of_any_kind_are_imputed_by_default(monkeypatch):
    """Cells that are missing become values of their column, as text, whole numbers and booleans."""
    monkeypatch.setattr(module, "MOST_EPOCHS", 100)
    rng = np.random.default_rng(0)
    sex = rng.choice(["f", "m"], 80)
    frame = pd.DataFrame(
        {"sex": pd.array(sex, dtype="str"), "ward": pd.Categorical(sex), "n": rng.poisson(3, 80)}
    ).astype({"n": "Int64"})
    holes = frame.mask(rng.random(frame.shape) < 0.2)
    found = VAEImputer(random_state=0).fit_transform(holes)
    assert found.dtypes.equals(frame.dtypes)
    assert found.notna().all(axis=None)
    known = holes["ward"].notna()
    assert (found["sex"] == frame["sex"])[known].mean() > 0.95


def test_a_saved_imputer_imputes_the_same(tmp_path):
    path = tmp_path / "imputer.safetensors"
    for imputer in (VAEImputer(VAE, random_state=0), VAEImputer(sample_posterior=True)):
        skgen.save(imputer, path)
        assert str(skgen.load(path)) == str(imputer)
    imputer = VAEImputer(VAE, random_state=0).fit(HOLES)
    skgen.save(imputer, path)
    assert np.array_equal(skgen.load(path).transform(HOLES), imputer.transform(HOLES))


def test_errors_name_the_argument():
    with pytest.raises(TypeError, match="`estimator` must be a VAETransformer"):
        VAEImputer(LogisticRegression()).fit(HOLES)
    with pytest.raises(TypeError, match="`sample_posterior` must"):
        VAEImputer(VAE, sample_posterior="yes").fit(HOLES)
    with pytest.raises(NotFittedError):
        VAEImputer().transform(HOLES)
