"""Exported models, run by onnxruntime, give what the estimators give."""

import sys

import numpy as np
import onnx.reference
import onnxruntime
import pytest
import skl2onnx
import torch
from conftest import examples
from sklearn.compose import ColumnTransformer
from sklearn.datasets import (
    load_breast_cancer,
    load_diabetes,
    load_digits,
    load_iris,
    load_linnerud,
    load_wine,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    PolynomialFeatures,
    PowerTransformer,
    SplineTransformer,
    StandardScaler,
)

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    SigmoidBasis,
    VAERegressor,
    VAETransformer,
    bases,
    likelihoods,
    priors,
)
from skgen.bases import SHORTCUTS
from skgen.likelihoods import Bernoulli, Gaussian
from skgen.onnx import decoder_to_onnx, register, to_onnx

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

LARGEST_DIFFERENCE = {np.float32: 1e-5, np.float64: 1e-9}
PRECISIONS = list(LARGEST_DIFFERENCE)


def slow(*values):
    return pytest.param(*values, marks=pytest.mark.slow)


def parameters_of(parts, default):
    """Examples of registered parts by name, slow unless they are among those of the default."""
    return [
        pytest.param(example, id=name, marks=() if name in default else pytest.mark.slow)
        for name, example in examples(parts).items()
    ]


def in_turns(cases):
    """Cases in single and double precision by turns; other tests have their parts in both."""
    precisions = np.float32, np.float64
    return [
        pytest.param(*case.values, precisions[index % 2], id=case.id, marks=case.marks)
        for index, case in enumerate(cases)
    ]


X, y = load_diabetes(return_X_y=True)
GREY = load_digits().data / 16


def run(model, rows):
    session = onnxruntime.InferenceSession(model.SerializeToString())
    if isinstance(rows, dict):
        return session.run(None, rows)
    if hasattr(rows, "columns"):
        return session.run(None, {name: rows[[name]].to_numpy() for name in rows})
    (only,) = session.get_inputs()
    return session.run(None, {only.name: rows})


def difference(actual, expected):
    """The largest difference, relative to the largest magnitude of the column that it is in."""
    expected = expected.reshape(len(expected), -1)
    assert actual.shape == expected.shape
    largest = np.abs(expected).max(axis=0)
    return np.max(np.abs(actual - expected).max(axis=0) / np.where(largest > 0, largest, 1.0))


def assert_same(model, rows, expected, largest=None):
    """Check the outputs for all rows at once and for one, in precision and value."""
    precision = rows.to_numpy().dtype.type if hasattr(rows, "columns") else rows.dtype.type
    largest = LARGEST_DIFFERENCE[precision] if largest is None else largest
    outputs = run(model, rows)
    assert len(outputs) == len(expected)
    for output, one_row, wanted in zip(outputs, run(model, rows[:1]), expected, strict=True):
        assert output.dtype == precision
        assert difference(output, wanted) < largest
        np.testing.assert_allclose(one_row, output[:1], rtol=largest, atol=largest)


# -- the regressor -----------------------------------------------------------------------------

BASES = {
    **{name: name for name in SHORTCUTS if name not in bases.PARTS},
    "given scales": FourierBasis(100, length_scale=0.1, ranks=True, random_state=0),
    "linear": FourierBasis(50, linear=True, random_state=0),
    "without linear terms": GaussianBasis(30, linear=False),
    "cubic with bias": PolynomialFeatures(3, interaction_only=True),
    "pipeline": make_pipeline(StandardScaler(), None, PolynomialFeatures(2)),
    "pipeline with a Gaussian basis": make_pipeline(MinMaxScaler(), GaussianBasis(50)),
    "union": FeatureUnion([("linear", StandardScaler()), ("steps", SigmoidBasis(4))]),
    "columns": ColumnTransformer([("bumps", GaussianBasis(9), [2])], remainder="passthrough"),
    "frozen": FrozenEstimator(SigmoidBasis(5).fit(X)),
}
WITH_NODES = {name: cls for name, cls in bases.PARTS.items() if hasattr(cls, "_to_onnx")}


@pytest.mark.parametrize(
    "basis",
    [
        *(pytest.param(basis, id=name) for name, basis in BASES.items()),
        *parameters_of(WITH_NODES, WITH_NODES),
        slow("auto"),
    ],
)
def test_mean_and_standard_deviation(basis):
    regressor = BayesianBasisRegressor(basis).fit(X, y)
    for precision in PRECISIONS:
        rows = X.astype(precision)
        # Between input and output the model computes in float64, unlike scikit-learn.
        mean, std = regressor.predict(rows.astype(float), return_std=True)
        model = to_onnx(regressor, rows, return_std=True)
        assert [output.name for output in model.graph.output] == ["mean", "std"]
        assert_same(model, rows, [mean, std])
        largest = LARGEST_DIFFERENCE[precision]
        np.testing.assert_allclose(run(model, rows)[1][:, 0], std, rtol=largest)  # no cancellation
        assert_same(to_onnx(regressor, rows), rows, [mean])


@pytest.mark.parametrize(
    "load",
    [
        load_linnerud,
        *map(slow, (load_breast_cancer, load_diabetes, load_digits, load_iris, load_wine)),
    ],
)
def test_default_regressor_on_bundled_data(load):
    rows, targets = load(return_X_y=True)
    regressor = BayesianBasisRegressor(FourierBasis(100, ranks=True, random_state=0))
    regressor.fit(rows[:300], targets[:300])
    for precision in PRECISIONS:
        table = rows.astype(precision)
        model = to_onnx(regressor, table, return_std=True)
        assert_same(model, table, regressor.predict(table, return_std=True))


PRIORS = [
    {"prior_precision": "ard"},
    {"noise_precision": "gamma"},
    {"noise_precision": "gamma", "prior_precision": 2.0, "noise_shape": 1.0, "noise_rate": 1.0},
    {"noise_precision": 0.01, "prior_precision": 1e-3, "prior_mean": 5.0},
    {"fit_intercept": False},
]


@pytest.mark.parametrize("prior", PRIORS, ids=str)
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_priors_and_outputs(prior, n_outputs, rng):
    Y = np.column_stack([y, 100 * X[:, 0] + rng.normal(size=len(X)), 1e6 * y**2])[:, :n_outputs]
    regressor = BayesianBasisRegressor(GaussianBasis(20), **prior).fit(X, Y)
    model = to_onnx(regressor, X, return_std=True)
    assert_same(model, X, regressor.predict(X, return_std=True))


def test_one_feature_far_from_all_others():
    x = 1e6 + np.linspace(0, 1, 30)[:, None]
    regressor = BayesianBasisRegressor(GaussianBasis(linear=True)).fit(x, np.sin(6 * x[:, 0]))
    model = to_onnx(regressor, x, return_std=True)
    assert_same(model, x, regressor.predict(x, return_std=True))


def test_ranks_at_between_and_beyond_the_knots(rng):
    rows = np.column_stack(
        [
            rng.exponential(size=64),
            rng.integers(3, size=64),
            np.full(64, 7.0),
            rng.normal(size=64) ** 3,
        ]
    )
    basis = FourierBasis(50, ranks=True, random_state=0).fit(rows)
    seen = np.concatenate([rows, rows - 1e-9, rows + 1e-9, rng.normal(size=(50, 4)), 100 * rows])
    (Phi,) = run(to_onnx(basis, seen), seen)
    np.testing.assert_allclose(Phi, basis.transform(seen), rtol=0, atol=1e-12)


def test_integers_and_columns_of_a_data_frame():
    counts = np.arange(60).reshape(20, 3) % 7
    regressor = BayesianBasisRegressor("gaussian").fit(counts, counts[:, 0] ** 2)
    (mean,) = run(to_onnx(regressor, counts), counts)
    assert difference(mean, regressor.predict(counts)) < 1e-5

    frame = load_diabetes(as_frame=True).data
    regressor = BayesianBasisRegressor("sigmoid").fit(frame, y)
    model = to_onnx(regressor, frame, return_std=True)
    assert [entry.name for entry in model.graph.input] == list(frame.columns)
    assert_same(model, frame, regressor.predict(frame, return_std=True))


# -- the autoencoder -----------------------------------------------------------------------------


def network_with_norm(n_inputs, n_outputs):
    return torch.nn.Sequential(
        torch.nn.Linear(n_inputs, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(),
        torch.nn.Dropout(0.5), torch.nn.Linear(8, n_outputs),
    )  # fmt: skip


def branching_network(n_inputs, n_outputs):
    class Branching(torch.nn.Linear):
        def forward(self, x):
            return super().forward(x) if x.sum() > -1e30 else super().forward(-x)

    return Branching(n_inputs, n_outputs)


AUTOENCODERS = {
    "iris": (load_iris().data, {"activation": "identity"}),
    "wine": (load_wine().data, {"encoder": network_with_norm, "activation": "logistic"}),
    "cancer": (
        load_breast_cancer().data,
        {"likelihood": Gaussian("row", min_scale=0.01), "activation": "tanh"},
    ),
    "digits": (GREY * 1.5 - 0.2, {"likelihood": Bernoulli(clip=True), "activation": "relu"}),
}
SINGLE_AND_DOUBLE = [
    ("wine", np.float32),
    *map(slow, ("iris", "cancer", "digits"), [np.float32] * 3),
    *map(slow, ("iris", "cancer"), [np.float64] * 2),
]


def fit_autoencoder(rows, **parameters):
    max_iter = 1 + 2000 // len(rows)
    return VAETransformer(2, max_iter=max_iter, random_state=0, **parameters).fit(rows)


def check_encoder_and_decoder(vae, rows, largest=None):
    Z, Z_std = vae.transform(rows, return_std=True)
    encoder, decoder = to_onnx(vae, rows, return_std=True), decoder_to_onnx(vae, Z)
    assert_same(encoder, rows, [Z, Z_std])
    assert_same(decoder, Z, [vae.inverse_transform(Z)], largest)
    assert np.array_equal(vae.transform(rows), Z)  # the networks are unchanged
    for model in encoder, decoder:
        assert b".py" not in model.SerializeToString()  # no paths of the machine that made it


def test_missing_cells(rng):
    rows = load_wine().data.astype(np.float32)
    rows[rng.random(rows.shape) < 0.3] = np.nan
    check_encoder_and_decoder(fit_autoencoder(rows, masking=0.2), rows)


@pytest.mark.parametrize(("name", "precision"), SINGLE_AND_DOUBLE)
def test_encoder_and_decoder(name, precision):
    rows, parameters = AUTOENCODERS[name]
    check_encoder_and_decoder(fit_autoencoder(rows, **parameters), rows.astype(precision))


@pytest.mark.parametrize(
    ("precision", "largest"),
    # torch's exporter rounds constants of the continuous Bernoulli distribution to float32.
    [(np.float32, 1e-5), slow(np.float64, 1e-8)],
    ids=["float32", "float64"],
)
@pytest.mark.parametrize(
    "likelihood",
    [
        case
        for case in parameters_of(likelihoods.PARTS, {"gaussian", "continuous_bernoulli"})
        if case.values[0].linear_transform
    ],
)
def test_likelihoods(likelihood, precision, largest):
    rows = np.round(GREY) if likelihood.positive_only else GREY * 1.5 - 0.2
    vae = fit_autoencoder(rows, likelihood=likelihood)
    check_encoder_and_decoder(vae, rows.astype(precision), largest)


@pytest.mark.parametrize("name", ["categorical", "numeric", "from_dtype"])
def test_likelihoods_whose_transform_has_no_nodes_are_refused(name):
    vae = fit_autoencoder(np.round(GREY), likelihood=name)
    with pytest.raises(TypeError, match="`likelihood` must define `onnx_transform`"):
        to_onnx(vae, GREY)
    with pytest.raises(TypeError, match="`likelihood` must define `onnx_inverse_transform`"):
        decoder_to_onnx(vae, np.zeros((2, 2)))


@pytest.mark.parametrize("prior", [slow("mixture"), slow("vamp"), slow("flow")])
def test_networks_with_a_learned_prior(prior):
    rows = load_iris().data.astype(np.float32)
    check_encoder_and_decoder(fit_autoencoder(rows, prior=prior), rows)


def test_convolutional_networks():
    vae, rows = fit_autoencoder(GREY, image_shape=(8, 8)), GREY.astype(np.float32)
    Z = vae.transform(rows)
    assert_same(to_onnx(vae, rows), rows, [Z])
    assert_same(decoder_to_onnx(vae, Z), Z, [vae.inverse_transform(Z)])


@pytest.mark.slow
def test_convolutional_networks_in_double_precision():
    vae = fit_autoencoder(GREY, image_shape=(8, 8))
    # onnxruntime has no convolution of float64 on a CPU; the interpreter of onnx has.
    Z = vae.transform(GREY[:3])
    decoder = onnx.reference.ReferenceEvaluator(decoder_to_onnx(vae, Z))
    assert difference(decoder.run(None, {"Z": Z})[0], vae.inverse_transform(Z)) < 1e-9


# -- the conditional autoencoder -----------------------------------------------------------------

WINE = load_wine().data
UPPER, LOWER = GREY[:, :32], GREY[:, 32:]
IMAGES = {"image_shape": (4, 8), "input_shape": (4, 8)}


def fit_conditional(rows, outputs, **parameters):
    parameters = {"hidden_layer_sizes": (16,), "batch_size": 64, "max_iter": 3, **parameters}
    return VAERegressor(2, random_state=0, **parameters).fit(rows, outputs)


def check_conditional(vae, rows, largest=None):
    """Compare predictions, and decoded codes that are far from those of the rows."""
    rows = rows[:50]
    model = to_onnx(vae, rows, return_std=True)
    assert [output.name for output in model.graph.output] == ["mean", "std"]
    assert_same(model, rows, vae.predict(rows, return_std=True), largest)
    Z = 2 * vae.transform(rows)[::-1]
    decoder = decoder_to_onnx(vae, Z)
    (mean,) = run(decoder, {"Z": Z, "X": rows})
    expected = vae.inverse_transform(Z, rows)
    assert mean.dtype == rows.dtype
    assert difference(mean, expected) < (largest or LARGEST_DIFFERENCE[rows.dtype.type])
    (one,) = run(decoder, {"Z": Z[:1], "X": rows[:1]})
    np.testing.assert_allclose(one, mean[:1], rtol=1e-5, atol=1e-5 * np.abs(mean).max())


@pytest.mark.parametrize(
    ("parameters", "precision"),
    [
        ({}, np.float32),
        slow({}, np.float64),
        slow({"linear": False, "hidden_layer_sizes": ()}, np.float64),
        slow({"encoder": network_with_norm, "decoder": network_with_norm}, np.float64),
        slow({"likelihood": Gaussian("row", min_scale=0.01), "activation": "tanh"}, np.float32),
    ],
    ids=["default", "double", "linear", "norm", "row"],
)
def test_predictions_of_the_conditional_autoencoder(parameters, precision):
    rows = WINE.copy()
    rows[::7, 0] *= 100  # the networks see logarithms of values far out
    vae = fit_conditional(rows[:, :6], rows[:, 6:], **parameters)
    check_conditional(vae, rows[:, :6].astype(precision))


@pytest.mark.parametrize("precision", [np.float32, slow(np.float64)])
@pytest.mark.parametrize("n_features", [3, 11])
def test_predictions_after_a_fit_to_few_rows(n_features, precision):
    """The spread of new rows, in fewer and in more directions than rows differ in."""
    vae = fit_conditional(WINE[::20, :n_features], WINE[::20, n_features:], max_iter=20)
    assert vae._ridge.widening > 1.1
    check_conditional(vae, WINE[:, :n_features].astype(precision))


@pytest.mark.parametrize(
    ("prior", "precision"),
    in_turns(parameters_of(priors.PARTS, ())),
)
def test_priors_of_the_conditional_autoencoder(prior, precision):
    vae = fit_conditional(WINE[:, :6], WINE[:, 6:], prior=prior)
    check_conditional(vae, WINE[:, :6].astype(precision))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("likelihood", "precision"),
    in_turns(
        case for case in parameters_of(likelihoods.PARTS, ()) if case.values[0].linear_transform
    ),
)
def test_likelihoods_of_the_conditional_autoencoder(likelihood, precision):
    # As above; standard deviations are differences of such numbers, which costs digits.
    largest = {np.float32: 1e-5, np.float64: 1e-6}[precision]
    outputs = np.round(LOWER) if likelihood.positive_only else LOWER * 1.5 - 0.2
    vae = fit_conditional(UPPER, outputs, likelihood=likelihood)
    check_conditional(vae, UPPER.astype(precision), largest)


@pytest.mark.slow
@pytest.mark.parametrize("parameters", [IMAGES, {"image_shape": (4, 8)}], ids=str)
def test_conditional_convolutional_networks(parameters):
    vae = fit_conditional(UPPER, LOWER, **parameters)
    check_conditional(vae, UPPER.astype(np.float32))


def test_one_output_given_columns_of_a_data_frame():
    frame = load_diabetes(as_frame=True).data
    vae = VAERegressor(1, max_iter=2, random_state=0).fit(frame, y)
    assert_same(to_onnx(vae, frame), frame, [vae.predict(frame)])


@pytest.mark.slow
def test_conditional_autoencoder_in_a_pipeline():
    vae = VAERegressor(1, max_iter=2, random_state=0)
    pipeline = make_pipeline(StandardScaler(), vae).fit(X, np.column_stack([y, y**2]))
    assert_same(to_onnx(pipeline, X, return_std=True), X, pipeline.predict(X, return_std=True))


def test_a_regressor_of_categories_is_refused():
    vae = VAERegressor(2, max_iter=1, categorical_features=[0], random_state=0)
    vae.fit(np.column_stack([np.arange(20) % 3, np.arange(20)]), np.arange(40.0).reshape(20, 2))
    with pytest.raises(ValueError, match="`estimator` must have been fitted to numbers"):
        to_onnx(vae, np.zeros((1, 2)))
    with pytest.raises(ValueError, match="`estimator` must have been fitted to numbers"):
        decoder_to_onnx(vae, np.zeros((1, 2)))


# -- pipelines -----------------------------------------------------------------------------------


@pytest.mark.parametrize("precision", [np.float32, slow(np.float64)])
def test_pipeline_of_autoencoder_and_regressor(precision):
    frame = load_diabetes(as_frame=True).data.astype(precision)
    columns = ColumnTransformer(
        [
            ("scaled", StandardScaler(), ["age", "bmi"]),
            ("bumps", GaussianBasis(9), ["bp"]),
            ("latent", VAETransformer(2, max_iter=5, random_state=0), ["s1", "s2", "s3"]),
            ("rest", "passthrough", ["sex", "s4", "s5", "s6"]),
        ]
    )
    pipeline = make_pipeline(columns, BayesianBasisRegressor("identity")).fit(frame, y)
    model = to_onnx(pipeline, frame, return_std=True)
    assert_same(model, frame, pipeline.predict(frame, return_std=True))


@pytest.mark.parametrize(
    "step",
    [GaussianBasis(9), slow(VAETransformer(2, max_iter=5, random_state=0))],
    ids=["basis functions", "latent means"],
)
def test_classifier_on(step):
    rows, labels = load_iris(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), step, LogisticRegression()).fit(rows, labels)
    found, probabilities = run(to_onnx(pipeline, rows.astype(np.float32)), rows.astype(np.float32))
    assert np.array_equal(found, pipeline.predict(rows))
    np.testing.assert_allclose(probabilities, pipeline.predict_proba(rows), rtol=1e-5)


def test_basis_before_another_regressor():
    for basis in GaussianBasis(20), SigmoidBasis(4), FourierBasis(20, random_state=0):
        pipeline = make_pipeline(MinMaxScaler(), basis, Ridge()).fit(X, y)
        assert_same(to_onnx(pipeline, X), X, [pipeline.predict(X)])


def test_best_of_a_grid():
    pipeline = make_pipeline(StandardScaler(), BayesianBasisRegressor())
    grid = {"bayesianbasisregressor__basis": ["identity", "polynomial"]}
    search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)
    expected = search.best_estimator_.predict(X, return_std=True)
    assert_same(to_onnx(search, X, return_std=True), X, expected)


def test_registered_converters_in_a_call_of_skl2onnx():
    register()
    pipeline = make_pipeline(StandardScaler(), BayesianBasisRegressor("sigmoid")).fit(X, y)
    assert_same(skl2onnx.to_onnx(pipeline, X[:1]), X, [pipeline.predict(X)])
    options = {BayesianBasisRegressor: {"return_std": True}}
    both = skl2onnx.to_onnx(pipeline, X[:1], options=options)
    assert_same(both, X, pipeline.predict(X, return_std=True))


def test_version_of_the_operators():
    rows = load_iris().data
    pipeline = make_pipeline(
        VAETransformer(2, max_iter=5, random_state=0), BayesianBasisRegressor("gaussian")
    ).fit(rows, rows[:, 0])
    model = to_onnx(pipeline, rows, target_opset=18)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 18)]
    assert_same(model, rows, [pipeline.predict(rows)])


# -- errors --------------------------------------------------------------------------------------


class Halving(Gaussian):
    def check_support(self, X):
        return X / 2


@pytest.mark.parametrize("basis", [FunctionTransformer(np.sin), SplineTransformer()], ids=str)
def test_transformers_that_skl2onnx_cannot_convert_are_named(basis):
    for estimator in (
        BayesianBasisRegressor(basis),
        make_pipeline(basis, BayesianBasisRegressor("identity")),
    ):
        with pytest.raises(ValueError, match=rf"`estimator`.*\(.*{type(basis).__name__}"):
            to_onnx(estimator.fit(X, y), X)


def test_transformers_that_skl2onnx_cannot_convert_in_float64():
    regressor = BayesianBasisRegressor(PowerTransformer()).fit(X, y)
    with pytest.raises(ValueError, match=r"`estimator` must .* in the precision of X"):
        to_onnx(regressor, X)


@pytest.mark.parametrize("name", ["encoder", slow("decoder")])
def test_networks_that_cannot_be_exported_are_named(name):
    rows = load_iris().data
    vae = VAETransformer(2, max_iter=1, random_state=0, **{name: branching_network}).fit(rows)
    with pytest.raises(ValueError, match=f"`{name}` must be a network that torch"):
        to_onnx(vae, rows) if name == "encoder" else decoder_to_onnx(vae, np.zeros((1, 2)))


def test_a_likelihood_that_changes_data_without_nodes_for_it():
    rows = load_iris().data
    vae = VAETransformer(2, likelihood=Halving(), max_iter=1, random_state=0).fit(rows)
    with pytest.raises(TypeError, match=r"`likelihood` must .*Halving"):
        to_onnx(vae, rows)
    Z = np.zeros((1, 2))
    assert_same(decoder_to_onnx(vae, Z), Z, [vae.inverse_transform(Z)])


def test_bad_arguments():
    ridge = Ridge().fit(X, y)
    regressor = BayesianBasisRegressor("identity").fit(X, y)
    vae = VAETransformer(2, max_iter=1, random_state=0).fit(load_iris().data)
    with pytest.raises(TypeError, match="`return_std` must be False for Ridge"):
        to_onnx(ridge, X, return_std=True)
    with pytest.raises(TypeError, match="`return_std` must be a bool"):
        to_onnx(regressor, X, return_std=1)
    with pytest.raises(ValueError, match="`target_opset` must be an integer >= 18"):
        to_onnx(regressor, X, target_opset=11)
    passing = make_pipeline("passthrough", BayesianBasisRegressor("identity")).fit(X, y)
    with pytest.raises(ValueError, match="`estimator` must be made of"):  # skl2onnx cannot
        to_onnx(passing, X)
    for rows in X[0], X[:, :9]:
        with pytest.raises(ValueError, match=r"`X` must be a table .* of the 10 features"):
            to_onnx(regressor, rows)
    with pytest.raises(NotFittedError):
        to_onnx(BayesianBasisRegressor(), X)
    with pytest.raises(NotFittedError):
        decoder_to_onnx(VAETransformer(), np.zeros((1, 2)))
    with pytest.raises(TypeError, match="`estimator` must be a VAETransformer or a VAERegressor"):
        decoder_to_onnx(regressor, np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"`Z` must be a table .* of the 2 latent"):
        decoder_to_onnx(vae, np.zeros((1, 3)))


@pytest.mark.parametrize("package", ["skl2onnx", "onnxscript"])
def test_without_the_extra(package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ImportError, match=r"extra skgen\[onnx\]"):
        register()


def test_a_regressor_of_transformed_targets_is_refused():
    regressor = BayesianBasisRegressor("identity", target_transformer="yeo-johnson").fit(X, y)
    with pytest.raises(ValueError, match="`estimator` must have target_transformer=None"):
        to_onnx(regressor, X)
