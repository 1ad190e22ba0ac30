"""Files: what comes back is what went in, and what is no file of ours is refused by one error."""

import gc
import hashlib
import importlib
import importlib.util
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import sklearn
import skops.io
import torch
from peaks import found_by
from sklearn.base import clone
from sklearn.compose import ColumnTransformer, make_column_selector, make_column_transformer
from sklearn.decomposition import PCA
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.kernel_approximation import Nystroem, RBFSampler
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    QuantileTransformer,
    RobustScaler,
    SplineTransformer,
    StandardScaler,
)

import skgen
from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    ModelFileError,
    SigmoidBasis,
    VAETransformer,
)
from skgen._autoencoder.training import NORMS
from skgen._files import container
from skgen._files.container import read, write
from skgen._files.files import HOMES, find_schema
from skgen._schema import SCHEMAS
from skgen.bases import PARTS
from skgen.likelihoods import PARTS as LIKELIHOODS
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian
from skgen.networks import MLP, ConvolutionalDecoder, ConvolutionalEncoder
from skgen.priors import Flow, Mixture

for home in HOMES:
    importlib.import_module(home)
OURS = {
    name: schema
    for name, schema in SCHEMAS.items()
    if schema.cls.__module__.startswith("skgen") and hasattr(schema.cls, "get_params")
}

ROOT = Path(__file__).parents[2]
OLD = ROOT / "tests" / "data" / "files"

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"


@pytest.fixture
def data(rng):
    X = rng.normal(size=(40, 2))
    return X, np.sin(X[:, 0]) + 0.1 * rng.normal(size=40)


def through_file(estimator, path):
    skgen.save(estimator, path)
    return skgen.load(path)


def assert_same(actual, expected):
    """Equal, of the same types, bit for bit."""
    assert type(actual) is type(expected)
    if isinstance(expected, np.ndarray):
        assert (actual.dtype, actual.strides) == (expected.dtype, expected.strides)
        np.testing.assert_array_equal(actual, expected)
    elif isinstance(expected, dict):
        assert actual.keys() == expected.keys()
        for name in expected:
            assert_same(actual[name], expected[name])
    elif isinstance(expected, list | tuple):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected, strict=True):
            assert_same(*pair)
    elif isinstance(expected, np.random.Generator):
        assert_same(actual.bit_generator.state, expected.bit_generator.state)
    elif isinstance(expected, np.random.RandomState):
        assert_same(actual.get_state(legacy=False), expected.get_state(legacy=False))
    elif hasattr(expected, "get_params"):
        assert_same(actual.get_params(deep=False), expected.get_params(deep=False))
    else:
        assert actual == expected or (actual != actual and expected != expected)


# -- the regressor --------------------------------------------------------------------------------

FROZEN = np.random.default_rng(1).normal(size=(30, 2))
BASES = {
    "auto": "auto",
    "gaussian": "gaussian",
    "polynomial": "polynomial",
    "sigmoid": "sigmoid",
    "fourier": "fourier",
    "identity": "identity",
    "ranks": FourierBasis(20, ranks=True, random_state=np.random.default_rng(3)),
    "linear": FourierBasis(20, ranks=True, linear=True, random_state=4),
    "given lengths": FourierBasis(20, length_scale=[1.0, 2.0], kernel="matern32", random_state=1),
    "legacy random state": FourierBasis(
        10, length_scale=None, sampling="random", random_state=np.random.RandomState(1)
    ),
    "learned width": GaussianBasis(15, width="evidence"),
    "given centers": GaussianBasis(
        centers=np.asfortranarray(FROZEN[:5]), width=np.float32(0.5), linear=True
    ),
    "domain": GaussianBasis(9, domain=((-3, 3), (-4, 4)), overlap=1),
    "sigmoid quantiles": SigmoidBasis(4, centers="quantile", width=[1, 2]),
    "sigmoid centers": SigmoidBasis(centers=[0.0, 1.0]),
    "splines": SplineTransformer(extrapolation="linear"),
    "periodic splines": SplineTransformer(4, extrapolation="periodic", knots="quantile"),
    "polynomials": PolynomialFeatures(3, interaction_only=True),
    "splines of a constant feature": make_pipeline(
        FunctionTransformer(), PolynomialFeatures(0), SplineTransformer()
    ),
    "nystroem": Nystroem(gamma=0.5, n_components=10, random_state=0),
    "nystroem with parameters": Nystroem(
        "polynomial", degree=2, n_components=5, kernel_params=None, random_state=0
    ),
    "random features": RBFSampler(n_components=10, random_state=0),
    "pipeline": make_pipeline(StandardScaler(), PolynomialFeatures(2), PCA(3)),
    "nested": make_pipeline(make_pipeline(MinMaxScaler()), FourierBasis(10, random_state=0)),
    "frozen": FrozenEstimator(SplineTransformer().fit(FROZEN)),
    "scalers": make_pipeline(
        MaxAbsScaler(), RobustScaler(), QuantileTransformer(n_quantiles=10), FunctionTransformer()
    ),
}  # fmt: skip


def assert_same_model(arrived, model, X):
    assert_same(arrived.get_params(), model.get_params())
    for method, arguments in {
        "predict": {"return_std": True},
        "sample_y": {"n_samples": 3, "random_state": 0},
    }.items():
        assert_same(
            getattr(arrived, method)(X, **arguments), getattr(model, method)(X, **arguments)
        )
    for name in ("covariance_", "prior_precision_", "noise_precision_", "degrees_of_freedom_",
                 "log_marginal_likelihood_", "n_samples_seen_", "n_features_in_"):  # fmt: skip
        assert_same(getattr(arrived, name), getattr(model, name))


@pytest.mark.parametrize("basis", BASES)
def test_a_regressor_with_any_basis_comes_back(basis, data, path):
    X, y = data
    model = BayesianBasisRegressor(BASES[basis]).fit(X, y)
    arrived = through_file(model, path)
    assert vars(arrived).keys() == vars(model).keys()
    assert arrived.basis_ is arrived._stream.design.basis
    assert_same_model(arrived, model, X)
    for each in (arrived, model):
        each.partial_fit(X[:3], y[:3])
    assert_same_model(arrived, model, X)
    for each in (arrived, model):
        each.merge(through_file(model, path))
    assert_same_model(arrived, model, X)


SETTINGS = {
    "numbers": {"prior_precision": 2, "noise_precision": 3.0, "prior_mean": np.float64(0.5)},
    "one a basis function": {"prior_precision": [1.0, 2.0], "prior_mean": np.array([0, 1])},
    "ard": {"prior_precision": "ard", "solver": "cholesky"},
    "gamma": {"noise_precision": "gamma", "noise_shape": 2.0, "noise_rate": 0.5},
    "conjugate": {"noise_precision": "gamma", "prior_precision": 1.0, "intercept_precision": 0.0},
    "flat": {"prior_precision": 0.0},
    "no intercept": {"fit_intercept": False, "solver": "qr"},
    "forgetting": {"forgetting": 0.9},
    "numpy's bool": {"fit_intercept": np.bool_(True)},
    "transformed": {"target_transformer": "yeo-johnson"},
    "transformed by another": {"target_transformer": StandardScaler()},
}


@pytest.mark.parametrize("outputs", [(), (2,)])
def test_a_file_has_what_few_rows_determine(outputs, rng, path):
    """The rows of the statistic's factor, and one triangle of the root of the covariance."""
    X, y = rng.normal(size=(40, 3)), rng.normal(size=(40, *outputs))
    basis = FourierBasis(300, length_scale=1.0, random_state=0)
    model = BayesianBasisRegressor(basis, noise_precision=1.0, prior_precision=1.0).fit(X, y)
    arrived = through_file(model, path)
    n_weights = len(model._stream.statistic.factor)
    numbers = 40 * n_weights + n_weights * (n_weights + 1) / 2
    assert path.stat().st_size < 8 * numbers + 60_000  # bases, means and names
    assert_same_model(arrived, model, X)
    assert np.array_equal(arrived._stream.statistic.factor, model._stream.statistic.factor)
    assert_same_model(arrived.partial_fit(X, y), model.partial_fit(X, y), X)


@pytest.mark.parametrize("outputs", [(), (1,), (2,)])
@pytest.mark.parametrize("settings", SETTINGS)
def test_a_regressor_with_any_option_comes_back(settings, outputs, data, rng, path):
    X, _ = data
    y = rng.normal(size=(40, *outputs))
    model = BayesianBasisRegressor("identity", **SETTINGS[settings])
    assert_same(through_file(model, path).get_params(), model.get_params())
    arrived = through_file(model.fit(X, y), path)
    assert_same_model(arrived, model, X)
    assert_same_model(arrived.partial_fit(X, y), model.partial_fit(X, y), X)


@pytest.mark.parametrize("changed", [False, True])
def test_a_stream_with_waiting_rows_goes_on_alike(changed, rng, path):
    X = rng.normal(size=(3000, 2))
    y = X @ [1.0, 2.0]
    model = BayesianBasisRegressor("identity", prior_precision=1.0).partial_fit(X[:10], y[:10])
    for row in range(10, 60):
        model.partial_fit(X[row : row + 1], y[row : row + 1])
    if changed:
        model.set_params(prior_precision=5.0)
    arrived = through_file(model, path)
    assert arrived.n_samples_seen_ == 60
    for each in (model, arrived):
        for chunk in (slice(60, 100), slice(100, 800), slice(800, 3000)):
            each.partial_fit(X[chunk], y[chunk])
    assert_same_model(arrived, model, X[:50])


def test_names_of_features_come_back(data, path):
    pandas = pytest.importorskip("pandas")
    X = pandas.DataFrame(data[0], columns=["length", "größe"])
    model = BayesianBasisRegressor().fit(X, data[1])
    arrived = through_file(model, path)
    assert_same(arrived.feature_names_in_, model.feature_names_in_)
    with pytest.raises(ValueError, match="feature names"):
        arrived.predict(X[["größe", "length"]])


# -- the autoencoder ------------------------------------------------------------------------------

SMALL = {"hidden_layer_sizes": (5,), "max_iter": 3, "random_state": 0}
TWO_PIXELS = {"image_shape": (2, 1), "max_iter": 50, "beta": 0.1, "random_state": 0}
IMAGE = {"image_shape": (4, 4), "max_iter": 5, "beta": 0.1, "random_state": 0}
AUTOENCODERS = {
    "default": SMALL,
    "linear": SMALL | {"hidden_layer_sizes": []},
    "array of sizes": SMALL | {"hidden_layer_sizes": np.array([4, 3]), "activation": "tanh"},
    "feature": SMALL | {"likelihood": Gaussian("feature", min_scale=0.01)},
    "row": SMALL | {"likelihood": Gaussian("row")},
    "bernoulli": SMALL | {"likelihood": "bernoulli"},
    "clipped": SMALL | {"likelihood": Bernoulli(clip=True)},
    "continuous bernoulli": SMALL | {"likelihood": ContinuousBernoulli()},
    "mixture": SMALL | {"prior": Mixture(3), "beta": 0.01, "max_iter": 20},
    "vamp": SMALL | {"prior": "vamp"},
    "flow": SMALL | {"prior": Flow(2, 5)},
    "convolutional": IMAGE,
    "early stopping": SMALL | {"early_stopping": True, "validation_fraction": 0.3, "max_iter": 9},
    "builders": SMALL
    | {
        "encoder": ConvolutionalEncoder((4, 4), (2, 3), "relu"),
        "decoder": ConvolutionalDecoder((4, 4, 1), [2]),
    },
    "mixed": SMALL | {"encoder": "convolutional", "decoder": MLP((3,), "logistic")},
    "masking": SMALL | {"masking": 0.3},
    "masked images": IMAGE | {"masking": 0.1, "beta": 0.001, "max_iter": 20},
    "importance": SMALL | {"n_importance_samples": 3, "beta": 0.5, "kl_warmup": 2},
    "constant rate": SMALL | {"learning_rate": "constant", "batch_size": 7, "free_bits": 0.1},
    "generator": SMALL | {"random_state": np.random.default_rng(5)},
    "mersenne": SMALL | {"random_state": np.random.Generator(np.random.MT19937(5))},
    "no callbacks": SMALL | {"callbacks": [], "verbose": False, "device": "cpu"},
}  # fmt: skip


@pytest.mark.parametrize("name", AUTOENCODERS)
def test_an_autoencoder_with_any_option_comes_back(name, rng, path):
    X = rng.uniform(size=(30, 16))
    model = VAETransformer(2, **AUTOENCODERS[name])
    assert_same(through_file(model, path).get_params(), model.get_params())
    model.fit(X)
    before = torch.get_rng_state()
    arrived = through_file(model, path)
    assert torch.equal(torch.get_rng_state(), before)
    assert vars(arrived).keys() == vars(model).keys()
    assert not arrived.module_.training
    for _ in range(2):
        assert_same(arrived.get_params(), model.get_params())
        assert_same(arrived.history_, model.history_)
        for table in (X, X.astype(np.float32)):
            assert_same(arrived.transform(table, True), model.transform(table, True))
            assert_same(arrived.reconstruct(table), model.reconstruct(table))
        assert_same(arrived.sample(3, random_state=1), model.sample(3, random_state=1))
        assert_same(arrived.explained_kl_, model.explained_kl_)
        states = [each._optimizer_state["state"][NORMS] for each in (arrived, model)]
        assert states[0]["sums"] == states[1]["sums"] != (0.0, 0.0)
        for each in (arrived, model):
            each.partial_fit(X)
            each.history_["dur"] = []  # seconds differ
            each.history_["dur"] = [0.0] * each.n_iter_
    for each in (arrived, model):
        each.set_params(warm_start=True).fit(X)
    assert_same(arrived.transform(X), model.transform(X))


# -- around them ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OURS])
def test_unfitted_estimators_come_back(name, path):
    estimator = find_schema(name).cls()
    arrived = through_file(estimator, path)
    assert_same(vars(arrived), vars(estimator))


@pytest.mark.parametrize(
    "basis", [basis for cls in PARTS.values() for basis in cls._examples()], ids=str
)
def test_fitted_bases_come_back_with_their_output_set(basis, data, path):
    X, _ = data
    basis = clone(basis).set_output(transform="pandas").fit(X)
    arrived = through_file(basis, path)
    assert vars(arrived).keys() == vars(basis).keys()
    assert arrived.transform(X).equals(basis.transform(X))


@pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed")
@pytest.mark.parametrize(
    "likelihood", [part for cls in LIKELIHOODS.values() for part in cls._examples()], ids=str
)
def test_fitted_likelihoods_come_back_with_what_they_have_learned(likelihood, rng, path):
    """Values that have a probability under each of them, with a constant column."""
    X = rng.integers(2, size=(40, 4)).astype(float)
    X[:, 1] = 1
    model = VAETransformer(2, likelihood=likelihood, hidden_layer_sizes=(4,), max_iter=2).fit(X)
    arrived = through_file(model, path)
    assert_same(arrived.sample(9, random_state=0), model.sample(9, random_state=0))
    for each in (model, arrived):
        each.set_params(random_state=0)
    deviating = X if likelihood.categorical else np.where(np.arange(4) == 1, 0.0, X)
    assert_same(arrived.score_samples(deviating), model.score_samples(deviating))


def test_the_best_pipeline_of_a_search_comes_back(data, path):
    X, y = data
    pipeline = make_pipeline(StandardScaler(), PCA(), BayesianBasisRegressor("gaussian"))
    grid = {"bayesianbasisregressor__prior_precision": np.logspace(-1, 1, 3)}
    best = GridSearchCV(pipeline, grid, cv=2).fit(X, y).best_estimator_
    arrived = through_file(best, path)
    assert_same(arrived.get_params()["steps"], best.get_params()["steps"])
    assert_same(arrived.predict(X, return_std=True), best.predict(X, return_std=True))


def test_a_pipeline_with_an_autoencoder_comes_back(data, path):
    X, y = data
    pipeline = make_pipeline(
        RobustScaler(), VAETransformer(1, **SMALL), BayesianBasisRegressor("identity")
    ).fit(X, y)
    assert_same(through_file(pipeline, path).predict(X), pipeline.predict(X))


# -- tables of numbers, text and missing cells ----------------------------------------------------

NUMBERS, TEXTS = ["length", "age"], ["town", "kind"]
GROUPED = {"min_frequency": 6, "handle_unknown": "infrequent_if_exist"}
TABLES = {
    "one-hot": (OneHotEncoder(), TEXTS),
    "one-hot in single precision": (OneHotEncoder(dtype=np.float32, drop="if_binary"), TEXTS),
    "one-hot of numbers": (OneHotEncoder(handle_unknown="ignore"), NUMBERS),
    "one-hot of groups": (OneHotEncoder(drop="first", sparse_output=False, **GROUPED), TEXTS),
    "one-hot of the frequent": (OneHotEncoder(max_categories=3), ["town", "age"]),
    "one-hot of given categories": (OneHotEncoder(categories=[["a", "b", "c"]]), ["kind"]),
    "ordinal": (OrdinalEncoder(), TEXTS),
    "ordinal of integers": (OrdinalEncoder(dtype=int, encoded_missing_value=-1), TEXTS),
    "ordinal of groups": (OrdinalEncoder(max_categories=2), TEXTS),
    "means": (SimpleImputer(), NUMBERS),
    "modes": (SimpleImputer(strategy="most_frequent", add_indicator=True), ["age", "kind"]),
    "constants": (SimpleImputer(strategy="constant", fill_value="none"), TEXTS),
    "columns by name": (
        make_column_transformer(
            (make_pipeline(SimpleImputer(add_indicator=True), StandardScaler()), NUMBERS),
            (OneHotEncoder(sparse_output=False), TEXTS),
        ),
        NUMBERS + TEXTS,
    ),
    "columns of a data frame": (
        make_column_transformer(
            (SimpleImputer(add_indicator=True), ["age"]),
            (FunctionTransformer(feature_names_out="one-to-one"), ["length"]),
            (SimpleImputer(strategy="constant", fill_value="none"), TEXTS),
            verbose_feature_names_out=False,
        ).set_output(transform="pandas"),
        NUMBERS + TEXTS,
    ),
    "columns by type": (
        make_column_transformer(
            (OneHotEncoder(), make_column_selector(dtype_exclude=np.number)),
            remainder="passthrough",
        ),
        NUMBERS + TEXTS,
    ),
    "columns by number": (
        ColumnTransformer(
            [("a", SimpleImputer(), [0]), ("b", "passthrough", slice(1, 2)), ("c", "drop", [2])],
            remainder=OrdinalEncoder(),
            transformer_weights={"a": 2.0},
        ),
        NUMBERS + TEXTS,
    ),
    "columns by mask": (
        make_column_transformer(
            ("passthrough", [True, False]), (StandardScaler(), slice("age", None))
        ),
        NUMBERS,
    ),
}  # fmt: skip


@pytest.fixture
def frame(rng):
    pandas = pytest.importorskip("pandas")
    columns = {"length": rng.normal(size=40), "age": rng.integers(0, 9, size=40)}
    columns |= {"town": rng.choice([*"xyz", None], size=40), "kind": rng.choice([*"ab"], size=40)}
    frame = pandas.DataFrame(columns)
    frame.loc[::7, "length"] = np.nan
    return frame


@pytest.mark.filterwarnings(r"ignore:\nThe format of the columns:FutureWarning")  # of 1.6
@pytest.mark.parametrize("name", TABLES)
def test_what_prepares_a_table_comes_back(name, frame, path):
    transformer, columns = TABLES[name]
    X = frame[columns]
    transformer = clone(transformer)
    assert_same(through_file(transformer, path).get_params(deep=False).keys(),
                transformer.get_params(deep=False).keys())  # fmt: skip
    arrived = through_file(transformer.fit(X), path)
    assert vars(arrived).keys() == vars(transformer).keys()
    found, expected = arrived.transform(X), transformer.transform(X)
    assert type(found) is type(expected)
    if hasattr(expected, "toarray"):
        found, expected = found.toarray(), expected.toarray()
    if hasattr(expected, "columns"):
        assert found.equals(expected)
    else:
        assert_same(found, expected)
    assert_same(arrived.get_feature_names_out(), transformer.get_feature_names_out())


def test_an_encoder_of_an_array_of_text_comes_back(path):
    X = np.array([["a"], ["b"], ["größer"]])
    encoder = OneHotEncoder().fit(X)
    arrived = through_file(encoder, path)
    assert_same(arrived.categories_, encoder.categories_)
    assert_same(arrived.transform(X).toarray(), np.eye(3))


def test_a_pipeline_for_a_table_comes_back(frame, rng, path):
    X, y = frame, rng.normal(size=len(frame))
    encoder = make_column_transformer(
        (SimpleImputer(), NUMBERS), (OneHotEncoder(sparse_output=False), TEXTS)
    )
    model = make_pipeline(encoder, BayesianBasisRegressor("identity")).fit(X, y)
    arrived = through_file(model, path)
    assert_same(arrived.predict(X, return_std=True), model.predict(X, return_std=True))
    with pytest.raises(ValueError, match="unknown categories"):
        arrived.predict(X.assign(town="elsewhere"))


# -- what no file can hold ------------------------------------------------------------------------


class OwnBasis(StandardScaler):
    pass


class CallableEncoder:
    def __call__(self, n_inputs, n_outputs):
        return torch.nn.Linear(n_inputs, n_outputs)


UNFIT = {
    "basis": BayesianBasisRegressor(OwnBasis()),
    "basis.steps.0.1.func": BayesianBasisRegressor(make_pipeline(FunctionTransformer(np.exp))),
    "basis.kernel": BayesianBasisRegressor(Nystroem(kernel=lambda x, y: 1.0)),
    "memory": make_pipeline(StandardScaler(), memory="cache"),
    "encoder": VAETransformer(encoder=CallableEncoder()),
    "decoder": VAETransformer(decoder=torch.nn.Linear),
    "callbacks.0": VAETransformer(callbacks=[object()]),
    "estimator": GridSearchCV(BayesianBasisRegressor(), {}),
    "prior_precision": BayesianBasisRegressor(prior_precision="most"),
    "prior_mean": BayesianBasisRegressor(prior_mean=np.array([1 + 1j])),
    "checkpoint": VAETransformer(checkpoint="here"),
    "forgetting": BayesianBasisRegressor(forgetting=2.0),
    "beta": VAETransformer(beta="1"),
    "random_state.bit_generator": FourierBasis(
        random_state=np.random.Generator(np.random.SFC64(0))
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNFIT)
def test_what_no_file_can_hold_is_named(name, path):
    with pytest.raises(TypeError, match=f"`{name}`"):
        skgen.save(UNFIT[name], path)
    assert not path.exists()


def test_an_attribute_of_the_users_own_is_named(path):
    basis = GaussianBasis()
    basis.note = "mine"
    with pytest.raises(TypeError, match="GaussianBasis with `note`"):
        skgen.save(basis, path)


# -- the file -------------------------------------------------------------------------------------


def test_other_tools_read_the_arrays(data, path):
    model = BayesianBasisRegressor("identity").fit(*data)
    skgen.save(model, path)
    arrays = safetensors.numpy.load_file(path)
    assert_same(arrays["_stream.statistic.targets"][:, 0], model._stream.statistic.targets[:, 0])
    with safetensors.safe_open(path, "numpy") as file:
        text = file.metadata()
    assert (text["format"], text["skgen_version"]) == ("skgen", skgen.__version__)


def test_the_checksum_is_that_of_all_other_bytes(path):
    skgen.save(GaussianBasis(), path)
    content = path.read_bytes()
    assert content[-32:] == hashlib.sha256(content[:-32]).digest()


def test_loading_a_regressor_imports_no_torch(data, path):
    skgen.save(BayesianBasisRegressor(SplineTransformer()).fit(*data), path)
    code = (
        "import sys, skgen\n"
        f"skgen.load({str(path)!r}).predict([[0.0, 0.0]])\n"
        "assert not {'torch', 'skorch', 'matplotlib'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_save_that_fails_leaves_what_was_there(path, monkeypatch):
    skgen.save(GaussianBasis(3), path)
    before = path.read_bytes()

    def full(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        skgen.save(GaussianBasis(4), path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_link_stays_a_link(path):
    target = path.with_name("target")
    target.touch()
    path.symlink_to(target)
    skgen.save(GaussianBasis(3), path)
    assert path.is_symlink()
    assert skgen.load(target).n_basis == 3


def test_a_file_that_is_replaced_keeps_its_mode(path):
    skgen.save(GaussianBasis(3), path)
    path.chmod(0o640)
    skgen.save(GaussianBasis(4), path)
    assert path.stat().st_mode & 0o777 == 0o640
    assert skgen.load(path).n_basis == 4


def test_the_longest_name_that_the_system_allows(path):
    long = path.with_name("n" * 255)
    skgen.save(GaussianBasis(3), long)
    assert skgen.load(long).n_basis == 3
    assert os.listdir(path.parent) == [long.name]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names on this system")
def test_pipes_and_devices_are_refused_and_left_alone(path):
    os.mkfifo(path)
    for call in (lambda: skgen.load(path), lambda: skgen.save(GaussianBasis(), path)):
        with pytest.raises(OSError, match="must name a regular file"):
            call()
    assert path.is_fifo()
    with pytest.raises(IsADirectoryError):
        skgen.load(path.parent)
    with pytest.raises(OSError, match="must name a regular file"):
        skgen.load(os.devnull)


@pytest.mark.usefixtures("_traced")
def test_a_sparse_file_takes_no_memory(path):
    with open(path, "wb") as file:
        file.truncate(10**8)
    outcome, peak = measured(path, 10**7)
    assert type(outcome) is ModelFileError
    assert peak < 10**7


def test_a_file_that_begins_as_none_is_not_read_to_its_end(path):
    with open(path, "wb") as file:
        file.truncate(10**12)  # sparse; its checksum would take a quarter of an hour
    with pytest.raises(ModelFileError, match="the checksum is wrong"):
        skgen.load(path)


def available_memory():
    with open("/proc/meminfo") as lines:
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvail"))


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/meminfo").exists(), reason="cannot tell how much memory is left"
)
def test_a_file_of_more_than_2_gigabytes_comes_back(path):
    """One array is larger than what a single read returns; its zeros take no memory before."""
    if shutil.disk_usage(path.parent).free < 5e9 or available_memory() < 5e9:
        pytest.skip("less than 5 GB are left of memory or of the disk")
    features = RBFSampler(n_components=100, random_state=0).fit(np.zeros((1, 2_900_000)))
    features.random_weights_ = np.zeros((2_900_000, 100))
    features.random_weights_[[0, -1], [0, -1]] = 1.5, 2.5
    skgen.save(features, path)
    assert path.stat().st_size > 2.3e9
    try:
        arrived = skgen.load(path)
    finally:
        path.unlink()
    assert_same(arrived.random_weights_, features.random_weights_)


def test_arrays_are_read_in_pieces(data, path, monkeypatch):
    model = BayesianBasisRegressor("polynomial").fit(*data)
    skgen.save(model, path)
    monkeypatch.setattr(container, "PIECE_BYTES", 7)
    assert_same_model(skgen.load(path), model, data[0])


def test_a_missing_file_is_missing(path):
    with pytest.raises(FileNotFoundError):
        skgen.load(path)


def test_a_missing_folder_is_named(path):
    with pytest.raises(FileNotFoundError, match=r"in a folder that exists: .*nowhere"):
        skgen.save(BayesianBasisRegressor(), path.parent / "nowhere" / path.name)


# -- earlier versions -----------------------------------------------------------------------------

spec = importlib.util.spec_from_file_location("make", OLD / "make.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


@pytest.mark.parametrize(
    "file", sorted(OLD.glob("*/*.safetensors")), ids=lambda p: f"{p.parts[-2:]}"
)
def test_files_of_every_version_answer_as_they_did(file):
    known = json.loads((file.parent / "answers.json").read_text())[file.stem]
    estimator = skgen.load(file)
    assert_same(make.answers(estimator)[0][0].__class__, float)
    np.testing.assert_allclose(make.answers(estimator), known, rtol=1e-9, atol=1e-12)
    estimator.fit(make.X, make.Y)


def test_every_estimator_has_a_file():
    released = set(OURS) & set(skgen.__all__)  # further bases are public in skgen.bases only
    assert {file.stem for file in OLD.glob("*/*.safetensors")} == released == set(make.ESTIMATORS)


def test_a_parameter_that_an_earlier_version_lacks_has_its_default(path):
    path.write_bytes(holding({"class": "GaussianBasis", "values": {"n_basis": 4}}))
    assert_same(skgen.load(path).get_params(), GaussianBasis(4).get_params())


def test_every_parameter_has_a_check():
    for schema in OURS.values():
        assert schema.parameters.keys() == schema.cls().get_params().keys()


def test_a_later_version_is_refused_by_its_name(path):
    skgen.save(GaussianBasis(), path)
    text, arrays, _ = read(path)
    write(path, text | {"format_version": "2", "skgen_version": "9.1"}, arrays)
    with pytest.raises(ModelFileError, match=r"later version .*'9\.1'; update skgen"):
        skgen.load(path)


# -- hostile files --------------------------------------------------------------------------------


class Marker:
    """Pickled, it leaves a trace when it is unpickled."""

    def __reduce__(self):
        return os.system, ("touch HACKED",)


def signed(header, body=b""):
    """A file with any header, whose checksum is right."""
    header = header if isinstance(header, bytes) else json.dumps(header).encode()
    content = len(header).to_bytes(8, "little") + header + body
    return content + hashlib.sha256(content).digest()


def text_of(tree):
    tree = tree if isinstance(tree, str) else json.dumps(tree)
    return {"format": "skgen", "format_version": "1", "skgen_version": "0", "estimator": tree}


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def holding(tree, **arrays):
    """A file whose header is right, with any tree."""
    entries, end = {}, 0
    for name, array in arrays.items():
        dtype = {"f8": "F64", "f4": "F32", "i8": "I64", "u1": "U8"}[array.dtype.str[1:]]
        entries[name] = entry(dtype, array.shape, end, end := end + array.nbytes)
    entries["sha256"] = entry("U8", [32], end, end + 32)
    body = b"".join(array.tobytes() for array in arrays.values())
    return signed({"__metadata__": text_of(tree), **entries}, body)


SHA = {"sha256": entry("U8", [32], 0, 32)}
DEFAULTS = GaussianBasis().get_params()


def gaussian(**changes):
    return {"class": "GaussianBasis", "values": DEFAULTS | changes}


def regressor(basis):
    values = BayesianBasisRegressor().get_params() | {"basis": basis}
    return {"class": "BayesianBasisRegressor", "values": values}


def autoencoder(**module):
    params = {k: v for k, v in VAETransformer().get_params().items() if k != "hidden_layer_sizes"}
    mlp = {"class": "MLP", "values": {"hidden_layer_sizes": {"list": []}, "activation": "relu"}}
    gaussian = {"class": "Gaussian", "values": {"scale": "shared", "min_scale": 0.1}}
    parts = {"encoder": mlp, "decoder": mlp, "likelihood": gaussian, "n_features": 1,
             "n_components": 1, "weights": {"dict": {}}}  # fmt: skip
    vae = {"class": "VAE", "values": parts | module}
    return {
        "class": "VAETransformer",
        "values": params | {"hidden_layer_sizes": {"list": [1]}, "module_": vae},
    }


def wide(size):
    values = {"hidden_layer_sizes": {"list": [size] * 2}, "activation": "relu"}
    return {"class": "MLP", "values": values}


def placed(**changes):
    """A fitted GaussianBasis of one feature and two centers."""
    arrays = {"c": np.ones((2, 1)), "w": np.ones(1), "l": np.ones(1), "s": np.ones(1)} | changes
    names = {"centers_": "c", "width_": "w", "location_": "l", "scale_": "s"}
    state = {name: {"array": key} for name, key in names.items()}
    return holding(gaussian(n_features_in_=1, linear_=False, **state), **arrays)


MERSENNE = {"class": "MT19937", "values": {"key": {"array": "k"}, "pos": 10**6}}
PICKLE = pickle.dumps(Marker())
HOSTILE = {
    "empty": b"",
    "a pickle": PICKLE,
    "a signed pickle": PICKLE + hashlib.sha256(PICKLE).digest(),
    "a pickle as a header": signed(PICKLE),
    "a pickle as an array": signed({"__metadata__": text_of({"array": "p"}), "p": entry(
        "O", [1], 0, len(PICKLE))}, PICKLE),
    "only a checksum": hashlib.sha256(b"").digest(),
    "a header longer than the file": (2**63).to_bytes(8, "little") + hashlib.sha256(
        (2**63).to_bytes(8, "little")).digest(),
    "not JSON": signed(b"{"),
    "not text": signed(b"\xff\xfe"),
    "a list for a header": signed([1]),
    "no text": signed(SHA),
    "text that is a number": signed({"__metadata__": 1} | SHA),
    "text of numbers": signed({"__metadata__": {"format": 1}} | SHA),
    "another program's": signed({"__metadata__": {"format": "pt"}} | SHA),
    "no estimator": signed({"__metadata__": {"format": "skgen", "format_version": "1"}} | SHA),
    "no version": signed({"__metadata__": {"format": "skgen"}} | SHA),
    "a huge version": signed({"__metadata__": {"format": "skgen", "format_version": "9" * 99}}
        | SHA),
    "bytes at the end": signed({"__metadata__": text_of(gaussian())} | SHA, b"more"),
    "no checksum in the header": signed({"__metadata__": text_of(gaussian())}),
    "a checksum of another size": signed({"__metadata__": text_of(gaussian()),
        "sha256": entry("U8", [0], 0, 0), "more": entry("U8", [32], 0, 32)}),
    "two arrays of one name": signed(
        json.dumps({"__metadata__": text_of(gaussian())})[:-1].encode()
        + b',"sha256":{},"sha256":' + json.dumps(SHA["sha256"]).encode() + b"}"),
    "two parameters of one name": holding(
        json.dumps(gaussian()).replace('"n_basis": null', '"n_basis": null, "n_basis": 3')),
    "deep JSON": holding("[" * 100_000, zeros=np.zeros(10**6)),
    "deep JSON in the header": signed(b'{"a":' * 100_000 + b" " * 10**7),
    "deep lists": holding(gaussian(n_basis=json.loads('{"list":[' * 50 + "]}" * 50))),
    "many small values": holding("[" + "[]," * 100_000 + "[]]"),
    "a huge integer": holding(json.dumps(gaussian()).replace("null", "1" * 100_000, 1)),
    "a large integer": holding(gaussian(n_basis=10**30)),
    "a huge float": holding(json.dumps(gaussian()).replace("null", "1e999", 1)),
    "not a number": holding(json.dumps(gaussian()).replace("null", "NaN", 1)),
    "an unknown float": holding(gaussian(overlap={"float": "__import__('os')"})),
    "os.system": holding({"class": "os.system", "values": {"command": "touch HACKED"}}),
    "system": holding({"class": "system", "values": {"command": "touch HACKED"}}),
    "eval": holding(regressor({"class": "eval", "values": {"source": "1 / 0"}})),
    "a class that is a list": holding({"class": ["GaussianBasis"], "values": {}}),
    "values that are a list": holding({"class": "GaussianBasis", "values": []}),
    "a class of scikit-learn's": holding({"class": "GridSearchCV", "values": {}}),
    "a function in a transformer": holding(regressor({"class": "FunctionTransformer", "values": {
        "func": "os.system"}})),
    "a cache of pickles": holding({"class": "Pipeline", "values": {
        "steps": {"list": []}, "memory": "cache", "verbose": False, "transform_input": None,

        "_sklearn_version": sklearn.__version__}}),
    "steps that are none": holding({"class": "Pipeline", "values": {
        "steps": 3, "memory": None, "verbose": "x", "transform_input": None,
        "_sklearn_version": sklearn.__version__}}),
    "threads of the writer's choice": holding(regressor({"class": "Nystroem", "values": {
        **Nystroem(n_jobs=2000).get_params(), "_sklearn_version": sklearn.__version__}})),
    "outputs that the degrees do not give": holding(regressor({"class": "PolynomialFeatures",
        "values": {**PolynomialFeatures(2).get_params(), "_sklearn_version": sklearn.__version__,
            "n_features_in_": 1, "_min_degree": 0, "_max_degree": 2, "_n_out_full": 3,
            "n_output_features_": 10**6}})),
    "not an estimator": holding({"class": "Gamma", "values": {"shape": 1.0, "rate": 1.0}}),
    "a number for an estimator": holding(3),
    "an unknown kind": holding({"pickle": "gASVHA=="}),
    "two kinds at once": holding({"list": [], "tuple": []}),
    "a parameter too many": holding(gaussian(n=3)),
    "a parameter too few": holding({"class": "Gamma", "values": {"shape": 1.0}}),
    "a wrong type": holding(gaussian(n_basis="3")),
    "a wrong choice": holding(gaussian(centers="anywhere")),
    "a special method": holding(gaussian(__class__="os")),
    "a private attribute": holding(gaussian(_write={"class": "Gamma", "values": {}})),
    "state by half": holding(gaussian(n_features_in_=1)),
    "an array that is not there": placed().replace(b'array\\": \\"c', b'array\\": \\"d'),
    "an array twice": holding(gaussian(centers={"array": "a"}, width={"array": "a"}),
        a=np.ones((1, 1))),
    "an array for nobody": holding(gaussian(), a=np.ones(3)),
    "a name that is a list": holding(gaussian(centers={"array": ["a"]}), a=np.ones(3)),
    "shapes that differ": placed(w=np.ones(3)),
    "too many dimensions": placed(w=np.ones((1, 1))),
    "integers for floats": placed(c=np.ones((2, 1), dtype=np.int64)),
    "nan in an array": placed(c=np.full((2, 1), np.nan)),
    "a width of 0": placed(w=np.zeros(1)),
    "strings that are none": holding(gaussian(feature_names_in_={"strings": [1]},
        n_features_in_=1)),
    "networks beyond memory": holding(autoencoder(encoder=wide(10**6))),
    "networks of many layers": holding(autoencoder(encoder={"class": "MLP", "values": {
        "hidden_layer_sizes": {"list": [1] * 5000}, "activation": "relu"}}), z=np.zeros(10**5)),
    "networks without weights": holding(autoencoder()),
    "an unknown activation": holding(autoencoder(encoder={"class": "MLP", "values": {
        "hidden_layer_sizes": {"list": []}, "activation": "eval"}})),
    "an image of no size": holding(autoencoder(encoder={"class": "ConvolutionalEncoder", "values": {
        "image_shape": {"list": [0]}, "n_filters": {"list": []}, "activation": "relu"}})),
    "a generator beyond its words": holding({"class": "FourierBasis", "values": {
        **FourierBasis().get_params(), "random_state": {"class": "Generator", "values": {
            "bit_generator": MERSENNE}}}}, k=np.zeros(624)),
    **{f"an array of shape {shape}": signed({"__metadata__": text_of(gaussian()),
        "a": entry("F64", shape, 0, 8), "sha256": entry("U8", [32], 8, 40)}, bytes(8))
        for shape in ([], [2], [2**40, 2**40], [-1, -1], [1.0], ["1"], "11", None, [1] * 99,
                      [0, 2**47], [True], [2**63])},
    **{f"an array of dtype {dtype}": signed({"__metadata__": text_of(gaussian()),
        "a": entry(dtype, [1], 0, 8), "sha256": entry("U8", [32], 8, 40)}, bytes(8))
        for dtype in ("F32", "O", "object", "|O8", "U1000000000", ["F64"], None, 8)},
    **{f"an array at {place}": signed({"__metadata__": text_of(gaussian()),
        "a": {"dtype": "F64", "shape": [1], "data_offsets": place},
        "sha256": entry("U8", [32], 8, 40)}, bytes(8))
        for place in ([0, 2**60], [-8, 0], [8, 16], [0, 7], [0.0, 8.0], [0], None, "08")},
    "a bool of 2": signed({"__metadata__": text_of(gaussian()), "a": entry("BOOL", [1], 0, 1),
        "sha256": entry("U8", [32], 1, 33)}, b"\2"),
}  # fmt: skip

WATCHED = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "ctypes.dlopen",
           "pickle.find_class", "exec", "compile", "import", "socket.connect", "marshal.loads",
           "code.__new__")  # fmt: skip
seen: list[str] | None = None


def watch(event, arguments):
    if seen is not None and event in WATCHED:
        seen.append(f"{event} {arguments}")


sys.addaudithook(watch)  # for good, as hooks are; idle where `seen` is None


def measured(path, limit=np.inf):
    """Result of loading a file, and the largest number of bytes it had.

    What a file takes it takes each time. Caches that are filled once and the other threads of this
    process (of the test runner, of pools) do not, so a load above the limit is measured again.
    """
    for _ in range(3):
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        try:
            outcome = skgen.load(path)
        except ModelFileError as error:
            outcome = error
        peak = tracemalloc.get_traced_memory()[1] - before
        if peak < limit:
            break
        gc.collect()
    return outcome, peak


@pytest.fixture(scope="module")
def _imported(tmp_path_factory):
    """All that a file may lead to, imported, so that what is loaded next imports nothing."""
    file = tmp_path_factory.mktemp("files") / "vae"
    X = np.random.default_rng(0).normal(size=(9, 2))
    skgen.save(VAETransformer(1, **SMALL).fit(X), file)
    skgen.load(file)


@pytest.fixture
def _traced():
    tracemalloc.start()
    yield
    tracemalloc.stop()


PAGE = 4096
"""Bytes that an error and an open file may take, be the file as small as it will."""
ALLOWANCE = 65_536
"""Bytes that a forged file may take besides ten times its size: empty networks, errors."""


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.usefixtures("_imported", "_traced")
def test_hostile_files_run_nothing_and_are_refused(name, path, monkeypatch):
    global seen
    monkeypatch.chdir(path.parent)
    path.write_bytes(HOSTILE[name])
    limit = 10 * len(HOSTILE[name]) + ALLOWANCE
    skgen_error, _ = measured(path)
    assert type(skgen_error) is ModelFileError
    seen = []
    try:
        error, peak = measured(path, limit)
    finally:
        events, seen = seen, None
    assert type(error) is ModelFileError
    assert "`path` must be a file that skgen.save wrote" in str(error)
    assert len(str(error)) < 1000
    assert not events
    assert os.listdir() == [path.name]
    assert peak < limit


def test_the_forger_can_write_good_files(path):
    """Else what is hostile would be refused for another reason."""
    path.write_bytes(holding(gaussian(n_basis=4)))
    assert skgen.load(path).n_basis == 4
    path.write_bytes(placed())
    assert skgen.load(path).transform([[1.0]]).tolist() == [[1.0, 1.0]]
    path.write_bytes(holding(regressor(gaussian())))
    assert isinstance(skgen.load(path).basis, GaussianBasis)


# -- small files that would do harm when they are used --------------------------------------------


def find(tree, name):
    """Values of the first object of a class in a tree."""
    if isinstance(tree, dict) and tree.get("class") == name:
        return tree["values"]
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return next((found for part in parts if (found := find(part, name)) is not None), None)


def forge(estimator, path, edit):
    """Save an estimator, with its tree and arrays as ``edit`` changes them."""
    skgen.save(estimator, path)
    text, arrays, _ = read(path)
    tree = json.loads(text["estimator"])
    edit(tree, arrays)
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    write(path, text | {"estimator": json.dumps(tree)}, arrays)


def changed(kind, **values):
    return lambda tree, _: find(tree, kind).update(values)


def without_state(kind):
    def edit(tree, _):
        for name in ("n_features_in_", "n_output_features_", "_min_degree", "_max_degree",
                     "_n_out_full"):  # fmt: skip
            find(find(tree, "Stream"), kind).pop(name)

    return edit


def of_degree(degree):
    n_outputs = (degree + 1) * (degree + 2) // 2
    return changed("PolynomialFeatures", degree=degree, _max_degree=degree, _n_out_full=n_outputs,
                   n_output_features_=n_outputs)  # fmt: skip


def with_columns(n_columns):
    """A statistic of 3 rows for many basis functions, whose posterior is not in the file."""

    def edit(tree, arrays):
        stream = find(tree, "Stream")
        stream["posteriors"] = stream["design"]["values"]["calibration"] = None
        for name in [*arrays]:
            if "posteriors" in name or "calibration" in name:
                arrays.pop(name)
        noise = np.random.default_rng(0).normal(size=(n_columns, 3))
        factor = find(stream, "Statistic")["factor"] = {"array": "_stream.statistic.factor"}
        find(stream, "GaussianBasis")["centers_"] = {"array": "_stream.design.basis.centers_"}
        stream["design"]["values"]["n_basis"] = n_columns - 1
        arrays |= {
            factor["array"]: np.triu(noise.T),
            "_stream.statistic.targets": noise[:, :1],
            "_stream.prior.mean": np.zeros(n_columns),
            "_stream.design.basis.centers_": noise[1:, :2],
        }

    return edit


def infinite_targets(_, arrays):
    arrays["_stream.statistic.targets"] = np.full((6, 1), np.inf)


def out_of_bounds(tree, arrays):
    mappings = find(tree, "OneHotEncoder")["_default_to_infrequent_mappings"]["list"]
    arrays[mappings[0]["array"]] = np.full(6, 10**7)


def repeated(n_times):
    """A ColumnTransformer with one part many times over."""

    def edit(tree, _):
        parts = find(tree, "ColumnTransformer")["transformers_"]
        parts["list"] = [{"tuple": [f"part {n}", *parts["list"][0]["tuple"][1:]]}
            for n in range(n_times)]  # fmt: skip

    return edit


def doubled(n_times):
    """A pipeline of steps that each double the number of columns."""

    def edit(tree, _):
        steps = find(tree, "Pipeline")["steps"]["list"]
        for n in range(1, n_times):
            name, step = json.loads(json.dumps(steps[0]))["tuple"]
            step["values"]["n_features_in_"] = 2 ** (n + 1)
            steps.append({"tuple": [f"{name} {n}", step]})

    return edit


def without_first_step(tree, arrays):
    find(tree, "Pipeline")["steps"]["list"][0]["tuple"][1] = None
    for name in [*arrays]:
        if name.startswith("steps.0"):
            arrays.pop(name)


GAUSSIANS = BayesianBasisRegressor(GaussianBasis(4, linear=False))
POLYNOMIALS = make_pipeline(PolynomialFeatures(3))
TWICE = [("a", "passthrough", slice(0, None)), ("b", "passthrough", slice(0, None))]
REFUSED = {
    "2000 threads": (Nystroem(n_components=9, random_state=0), changed("Nystroem", n_jobs=2000)),
    "outputs of no polynomial": (
        POLYNOMIALS, changed("PolynomialFeatures", n_output_features_=10**4, _n_out_full=10**4)),
    "outputs without end": (POLYNOMIALS, of_degree(1000)),
    "outputs of no spline": (
        SplineTransformer(), changed("SplineTransformer", n_features_out_=10**4)),
    "a basis that is not fitted": (
        BayesianBasisRegressor(PolynomialFeatures()), without_state("PolynomialFeatures")),
    "infinite targets": (BayesianBasisRegressor("polynomial"), infinite_targets),
    "a factor of zeros": (GAUSSIANS, with_columns(30_000)),
    "features without end": (
        BayesianBasisRegressor(PolynomialFeatures(0)), changed(
            "BayesianBasisRegressor", n_features_in_=10**9)),
    "categories without end": (
        OneHotEncoder(), changed("OneHotEncoder", _n_features_outs={"list": [10**9, 40]})),
    "categories out of bounds": (OneHotEncoder(min_frequency=3), out_of_bounds),
    "columns 300 times": (
        ColumnTransformer([("a", PolynomialFeatures(60), slice(0, 2))]), repeated(300)),
    "columns doubled 24 times": (make_pipeline(ColumnTransformer(TWICE)), doubled(24)),
}  # fmt: skip
ANSWERED = {
    "a step that is None": (
        make_pipeline(StandardScaler(), BayesianBasisRegressor("identity")), without_first_step),
    "outputs up to the limit": (POLYNOMIALS, of_degree(190)),
    "columns up to the limit": (
        ColumnTransformer([("a", PolynomialFeatures(60), slice(0, 2))]), repeated(10)),
    "a factor up to the limit": (GAUSSIANS, with_columns(1000)),
    "one weight each": (clone(GAUSSIANS).set_params(prior_precision="ard"), with_columns(1000)),
    "a thousand doubles": (make_pipeline(ColumnTransformer(TWICE)), doubled(12)),
}  # fmt: skip


def forge_by_name(name, data, path):
    estimator, edit = (REFUSED | ANSWERED)[name]
    X, y = data
    if "categories" in name:
        X = np.repeat(np.arange(6.0), [1, 1, 5, 11, 11, 11])[:, None].repeat(2, axis=1)
    forge(clone(estimator).fit(X, y), path, edit)


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.usefixtures("_imported", "_traced")
def test_small_files_that_would_do_harm_are_refused(name, data, path):
    forge_by_name(name, data, path)
    limit = 10 * path.stat().st_size + ALLOWANCE
    outcome, peak = measured(path, limit)
    assert type(outcome) is ModelFileError
    assert peak < limit


USE = """
import time, warnings
import numpy as np, skgen, skgen._regression.estimator, skgen._files.tables

warnings.simplefilter("ignore")
start = time.process_time()
with watched():
    model = skgen.load(sys.argv[1])
    X = np.random.default_rng(0).normal(size=(1000, 2))
    getattr(model, "predict" if hasattr(model, "predict") else "transform")(X)
found["seconds"] = time.process_time() - start
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ANSWERED)
def test_small_files_take_little_memory_few_threads_and_seconds(name, data, path):
    forge_by_name(name, data, path)
    assert path.stat().st_size < 2e6
    found = found_by(USE, path)
    print(f"{name}: {found}")
    assert found["peak"] < 5e8
    assert found["threads"] <= 64
    assert found["seconds"] < 20


# -- damage ---------------------------------------------------------------------------------------


def small(data):
    return BayesianBasisRegressor("identity", prior_precision=1.0).fit(data[0][:, :1], data[1])


def damage_limit(content):
    """Bytes that loading damaged content may take: a buffer of 4 KiB and what opens it at least."""
    return max(10 * len(content), 2 * PAGE)


@pytest.fixture
def damaged(path):
    """Loads any content, quickly, from one file."""
    with open(path, "wb", buffering=0) as file:

        def load(content):
            file.seek(0)
            file.write(content)
            file.truncate()
            return measured(path, damage_limit(content))

        yield load


def flips(content):
    for position in range(len(content)):
        for bit in range(8):
            flipped = bytearray(content)
            flipped[position] ^= 1 << bit
            yield bytes(flipped)


def truncations(content):
    for length in range(len(content)):
        yield content[:length]


def mutations(content, rng, n_files):
    """Bytes changed, cut out, doubled, or moved elsewhere."""
    for _ in range(n_files):
        mutated = bytearray(content)
        for _ in range(rng.integers(1, 4)):
            start, stop, place = sorted(rng.integers(len(content), size=3))
            kind = rng.integers(4)
            if kind == 0:
                mutated[place % len(mutated)] = rng.integers(256)
            elif kind == 1:
                del mutated[start:stop]
            elif kind == 2:
                mutated[place:place] = mutated[start:stop]
            else:
                mutated[start:stop] = rng.bytes(int(stop - start))
            if not mutated:
                break
        if mutated != content:
            yield bytes(mutated)


def test_every_bit_counts(path, damaged):
    skgen.save(GaussianBasis(), path.with_name("other"))
    content = path.with_name("other").read_bytes()
    assert type(damaged(content)[0]) is GaussianBasis
    for files in (flips(content), truncations(content)):
        assert {type(damaged(file)[0]) for file in files} == {ModelFileError}


@pytest.mark.slow
@pytest.mark.usefixtures("_imported", "_traced")
@pytest.mark.parametrize("estimator", ["basis", "regressor", "autoencoder"])
def test_damage_of_any_kind_is_refused_in_little_memory(estimator, data, rng, path, damaged):
    made = {
        "basis": lambda: GaussianBasis(3).fit(data[0]),
        "regressor": lambda: small(data),
        "autoencoder": lambda: VAETransformer(1, **SMALL).fit(data[0]),
    }[estimator]()
    skgen.save(made, path.with_name("other"))
    content = path.with_name("other").read_bytes()
    n_files, worst_bytes = 0, 0.0
    for files in (flips(content), truncations(content), mutations(content, rng, 34_000)):
        for file in files:
            outcome, peak = damaged(file)
            assert type(outcome) is ModelFileError
            assert peak < damage_limit(file)
            n_files += 1
            worst_bytes = max(worst_bytes, 10 * peak / max(10 * len(file), PAGE))
    print(f"{n_files} files, at most {worst_bytes:.1f} x the size")


NASTY = (None, True, -1, 0, 3, 10**9, 2**64, -1.5, 1e300, "", "evidence", "__class__", [], {},
         {"list": []}, {"tuple": [1]}, {"float": "nan"}, {"float": "-inf"}, {"dict": {}},
         {"strings": ["a"]}, {"class": "Gamma", "values": {"shape": 1, "rate": 1}})  # fmt: skip


def forged(tree, arrays, rng):
    """The tree and the arrays with a node or an array changed."""
    if arrays and rng.random() < 0.3:
        name = str(rng.choice([*arrays]))
        array = arrays[name]
        changed = [
            array.astype(str(rng.choice(["f4", "f8", "i8", "u1", "?"]))),
            array.reshape(-1),
            np.repeat(array.reshape(1, -1), 2, axis=0),
            np.full_like(array, rng.choice([0, 1, np.nan, np.inf, -1, 1e99]) if array.dtype.kind
                         == "f" else 0),
            array[..., :0] if array.ndim else array,
            rng.permutation(array.reshape(-1)).reshape(array.shape),
        ]  # fmt: skip
        return tree, arrays | {name: np.ascontiguousarray(changed[rng.integers(len(changed))])}
    nodes = []

    def walk(node):
        for key, child in node.items() if isinstance(node, dict) else enumerate(node):
            nodes.append((node, key))
            if isinstance(child, dict | list):
                walk(child)

    walk(tree := json.loads(json.dumps(tree)))
    node, key = nodes[rng.integers(len(nodes))]
    node[key] = NASTY[rng.integers(len(NASTY))]
    return tree, arrays


def use(estimator, X):
    """Ask all that may be asked of a forged estimator: it may raise, and not crash."""
    with suppress(Exception), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        estimator.predict(X) if hasattr(estimator, "predict") else estimator.transform(X)


def forge_and_load(estimator, rng, path, n_files):
    """Forge files of an estimator; count those that are refused."""
    skgen.save(estimator, path)
    text, arrays, _ = read(path)
    tree, n_refused = json.loads(text["estimator"]), 0
    for _ in range(n_files):
        new, changed = tree, arrays
        with np.errstate(all="ignore"):
            for _ in range(rng.integers(1, 3)):
                new, changed = forged(new, changed, rng)
        entries, end = {}, 0
        for name, array in changed.items():
            code = {"?": "BOOL", "f": "F", "i": "I", "u": "U"}[array.dtype.char if array.dtype.char
                == "?" else array.dtype.kind]  # fmt: skip
            code += "" if code == "BOOL" else str(8 * array.itemsize)
            entries[name] = entry(code, array.shape, end, end := end + array.nbytes)
        entries["sha256"] = entry("U8", [32], end, end + 32)
        body = b"".join(array.tobytes() for array in changed.values())
        path.write_bytes(signed({"__metadata__": text_of(new), **entries}, body))
        limit = 10 * os.path.getsize(path) + ALLOWANCE
        outcome, peak = measured(path, limit)
        if type(outcome) is ModelFileError:
            n_refused += 1
            assert peak < limit
        else:
            use(outcome, rng.uniform(size=(5, 2)))
    return n_refused


def of_categories(X, y):
    """A regressor that was fitted to a data frame with a column of categories."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"length": X[:, 0], "kind": pandas.Categorical(X[:, 1].round())})
    return BayesianBasisRegressor(FourierBasis(4, ranks=True)).fit(frame, y)


FORGED = {
    "gaussian": lambda X, y: BayesianBasisRegressor(GaussianBasis(4)).fit(X, y),
    "fourier": lambda X, y: FourierBasis(4, ranks=True).fit(X),
    "sigmoid": lambda X, y: SigmoidBasis(4).fit(X),
    "table": lambda X, y: make_column_transformer(
        (OneHotEncoder(min_frequency=3, handle_unknown="infrequent_if_exist"), [0]),
        (make_pipeline(SimpleImputer(), OrdinalEncoder()), slice(1, 2)),
    ).fit(X.round()),
    "splines": lambda X, y: BayesianBasisRegressor(BASES["splines"], prior_precision="ard").fit(
        X, y
    ),
    "categories": of_categories,
    "scalers": lambda X, y: clone(BASES["scalers"]).fit(X, y),
    "pipeline": lambda X, y: clone(BASES["pipeline"]).fit(X, y),
    "generator": lambda X, y: FourierBasis(random_state=np.random.RandomState(0)),
    "autoencoder": lambda X, y: VAETransformer(1, **SMALL).fit(X),
    "images": lambda X, y: VAETransformer(1, **TWO_PIXELS).fit(X),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("name", FORGED)
@pytest.mark.usefixtures("_imported", "_traced")
def test_forged_files_are_refused_or_harmless(name, data, rng, path):
    n_refused = forge_and_load(FORGED[name](*data), rng, path, 60)
    assert n_refused > 10


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.InconsistentVersionWarning")
@pytest.mark.parametrize("name", FORGED)
@pytest.mark.usefixtures("_imported", "_traced")
def test_many_forged_files_are_refused_or_harmless(name, data, rng, path):
    assert forge_and_load(FORGED[name](*data), rng, path, 400) > 10


# -- kills ----------------------------------------------------------------------------------------

SAVES = """
import os, sys
import numpy as np, skgen
X = np.linspace(0, 1, 200)[:, None]
models = [skgen.BayesianBasisRegressor(skgen.GaussianBasis(n)).fit(X, X[:, 0]) for n in (100, 150)]
skgen.save(models[0], sys.argv[1])
for _ in sys.stdin:
    child = os.fork()
    while not child:
        for model in models:
            skgen.save(model, sys.argv[1])
    print(child, flush=True)
    os.waitpid(child, 0)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_a_kill_leaves_the_old_or_the_new_file(rng, path):
    command, sizes = [sys.executable, "-c", SAVES, str(path)], set()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
    ) as parent:
        for _ in range(40):
            parent.stdin.write(b"\n")
            child = int(parent.stdout.readline())
            time.sleep(rng.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            sizes.add(skgen.load(path).basis.n_basis)
        parent.stdin.close()
    assert sizes == {100, 150}


# -- pickles and skops ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "estimator",
    [
        BayesianBasisRegressor(),
        BayesianBasisRegressor("polynomial", noise_precision="gamma"),
        BayesianBasisRegressor("gaussian", prior_precision="ard"),
        VAETransformer(1, **SMALL),
        VAETransformer(1, **TWO_PIXELS),
    ],
    ids=str,
)
def test_skops_has_to_trust_classes_of_ours_only(estimator, data):
    X, y = data
    estimator = clone(estimator).fit(X, y)
    dumped = skops.io.dumps(estimator)
    untrusted = skops.io.get_untrusted_types(data=dumped)
    assert all(name.startswith("skgen.") for name in untrusted)
    arrived = skops.io.loads(dumped, trusted=untrusted)
    method = "predict" if hasattr(estimator, "predict") else "transform"
    assert_same(getattr(arrived, method)(X), getattr(estimator, method)(X))
