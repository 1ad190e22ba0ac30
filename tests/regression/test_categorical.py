"""Data frames with columns of categories, text and booleans: what the model makes of them."""

import pickle

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.inspection import partial_dependence, permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

import skgen
import skgen.onnx
from skgen import BayesianBasisRegressor, FourierBasis, mean_log_predictive_density
from skgen.plotting import CalibrationDisplay, PredictiveDisplay

N_ROWS = 60
TOWNS = ["Bonn", "Kiel", "Ulm"]


def flats(n_rows=N_ROWS, seed=0):
    """Area, town, floor, lift; and the rent, in which each of them has a part."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "area": 30 + rng.exponential(40, n_rows),
            "town": pd.Series(rng.choice(TOWNS, n_rows), dtype="str"),
            "lift": rng.integers(2, size=n_rows) == 1,
            "floor": pd.Categorical(rng.choice(["low", "high"], n_rows), ["low", "middle", "high"]),
            "rooms": rng.integers(1, 5, n_rows),
        }
    )
    y = 0.1 * X["area"] + 2 * (X["town"] == "Ulm") + X["lift"] - (X["floor"] == "low")
    return X, (y + 0.1 * rng.normal(size=n_rows)).to_numpy()


def by_hand(X):
    """The columns of zeros and ones that stand for a data frame of flats."""
    towns = [X["town"] == town for town in TOWNS]
    floors = [X["floor"] == floor for floor in ("low", "middle", "high")]
    none = np.zeros(len(X))
    columns = [X["area"], *towns, none, X["lift"], *floors, none, X["rooms"]]
    return np.column_stack(columns).astype(float)


def as_polars(X):
    floor = pl.Enum(["low", "middle", "high"])
    data = {name: X[name].tolist() for name in X}
    return pl.DataFrame(data, schema_overrides={"floor": floor})


def make(basis="identity", **parameters):
    return BayesianBasisRegressor(basis, noise="constant", **parameters)


SMALL = FourierBasis(20, ranks=True, linear=True, random_state=0)
BASES = ("identity", "polynomial", "sigmoid")


@pytest.fixture(scope="module")
def data():
    return flats()


@pytest.fixture(scope="module")
def fitted(data):
    return make(SMALL).fit(*data)


# -- the encoding ----------------------------------------------------------------------------------


@pytest.mark.parametrize("basis", BASES)
def test_categories_are_columns_of_zeros_and_ones(data, basis):
    X, y = data
    model, expected = make(basis).fit(X, y), make(basis).fit(by_hand(X), y)
    for given, numbers in zip(
        model.predict(X, return_std=True),
        expected.predict(by_hand(X), return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(given, numbers, rtol=1e-10)
    assert model.log_marginal_likelihood_ == pytest.approx(
        expected.log_marginal_likelihood_, rel=1e-10
    )


GROUPS = np.array([-1, 1, 1, 1, 1, -1, 3, 3, 3, 3, -1])


def test_one_length_scale_for_each_feature(fitted):
    """Those of features, of the ranks of three of them, and a slope."""
    assert np.array_equal(fitted.basis_._groups, GROUPS)
    assert len(fitted.basis_.theta_) == 5 + 3 + 1
    assert [len(set(fitted.basis_.length_scale_[group == GROUPS])) for group in (1, 3)] == [1, 1]
    assert fitted.basis_.rank_length_scale_.shape == (3,)


def test_the_kernel_of_shared_length_scales(data):
    """By distances of features and, of numbers alone, of ranks."""
    X, rng = data[0], np.random.default_rng(0)
    rows = by_hand(X)
    basis = FourierBasis(20, ranks=True, random_state=0)
    basis._groups = GROUPS
    basis.fit(rows)
    basis.theta_ = basis.theta_ + rng.normal(size=8)
    ranks = np.column_stack([X[name].rank() / len(X) for name in ("area", "lift", "rooms")])
    inputs = np.hstack([rows, ranks])
    lengths = np.append(basis.length_scale_, basis.rank_length_scale_)
    squares = (((inputs[:, None] - inputs) / lengths) ** 2).sum(axis=2)
    kernel, _ = basis.exact_kernel(rows).at(basis.theta_)
    np.testing.assert_allclose(kernel, np.exp(-0.5 * squares), atol=1e-10)


def test_gradients_of_shared_length_scales(data):
    X, _ = data
    rows, rng = by_hand(X), np.random.default_rng(1)
    for kernel in ("rbf", "rational_quadratic"):
        basis = FourierBasis(20, kernel=kernel, ranks=True, linear=True, random_state=0)
        basis._groups = GROUPS
        basis.fit(rows)
        theta = basis.theta_ + 0.1 * rng.normal(size=len(basis.theta_))
        steps = 1e-5 * np.eye(len(theta))

        def table(theta, basis=basis):
            basis.theta_ = theta
            return basis.transform(rows)

        def matrix(theta, basis=basis):
            return basis.exact_kernel(rows).at(theta)[0]

        for function in (table, matrix):
            weights = rng.normal(size=function(theta).shape)
            if function is matrix:
                weights += weights.T
            numeric = [
                np.vdot(weights, function(theta + step) - function(theta - step)) / 2e-5
                for step in steps
            ]
            if function is matrix:
                exact = basis.exact_kernel(rows).at(theta)[1](weights)
            else:
                exact = basis.vjp(rows, table(theta), weights)
            np.testing.assert_allclose(exact, numeric, rtol=1e-5, atol=1e-6)


def test_names_and_order_of_categories_do_not_matter(data):
    X, y = data
    renamed = X.assign(town=X["town"].map({"Bonn": "c", "Kiel": "a", "Ulm": "b"}).astype("str"))
    given, other = make("identity").fit(X, y), make("identity").fit(renamed, y)
    np.testing.assert_allclose(given.predict(X), other.predict(renamed), rtol=1e-9)


def test_libraries_and_dtypes_give_one_model(fitted, data):
    X, y = data
    frames = as_polars(X), X.astype({"town": "category"}), X.astype({"town": "string"})
    for frame in frames:
        same = make(SMALL).fit(frame, y)
        np.testing.assert_array_equal(same.predict(frame), fitted.predict(X))
        np.testing.assert_array_equal(fitted.predict(frame), fitted.predict(X))


def test_attributes_are_those_of_the_data_frame(fitted, data):
    X, _ = data
    assert fitted.n_features_in_ == 5
    assert list(fitted.feature_names_in_) == list(X.columns)
    assert len(fitted.coef_) == fitted.basis_.transform(by_hand(X)).shape[1]


@pytest.mark.parametrize("name", ["lift", "rooms", "area"])
def test_frames_of_numbers_and_booleans_are_arrays_of_numbers(data, name):
    X, y = data
    model = make(SMALL).fit(X[[name]], y)
    expected = make(SMALL).fit(X[[name]].to_numpy(dtype=float), y)
    np.testing.assert_array_equal(
        model.predict(X[[name]]), expected.predict(X[[name]].to_numpy(dtype=float))
    )


# -- categories that are numbers -------------------------------------------------------------------


def coded_flats():
    X, y = flats()
    codes = X["town"].map({"Bonn": -2.0, "Kiel": 7.5, "Ulm": 9.0}).astype(float)
    return X[["area", "town"]], np.column_stack([X["area"], codes]), y


@pytest.mark.parametrize("selection", [[1], (1,), np.array([False, True]), pd.Series([1])], ids=str)
def test_numbers_may_be_categories(selection):
    frame, matrix, y = coded_flats()
    model = make(SMALL, categorical_features=selection).fit(matrix, y)
    expected = make(SMALL).fit(frame, y)
    for given, other in zip(
        model.predict(matrix, return_std=True),
        expected.predict(frame, return_std=True),
        strict=True,
    ):
        np.testing.assert_allclose(given, other, rtol=1e-5)
    new = np.array([[50.0, 0.0], [50.0, -2.0]])
    std = model.predict(new, return_std=True)[1]
    assert std[0] > 1.5 * std[1]


@pytest.mark.parametrize("as_frame", [pd.DataFrame, pl.DataFrame], ids=["pandas", "polars"])
def test_columns_of_numbers_are_categories_by_name(as_frame, tmp_path):
    _, matrix, y = coded_flats()
    frame = as_frame({"area": matrix[:, 0], "code": matrix[:, 1]})
    model = make(categorical_features=["code"]).fit(frame, y)
    by_index = make(categorical_features=[1]).fit(matrix, y)
    np.testing.assert_array_equal(model.predict(frame), by_index.predict(matrix))
    skgen.save(model, path := tmp_path / "model.skgen")
    np.testing.assert_array_equal(skgen.load(path).predict(frame), model.predict(frame))


def test_selected_columns_are_searched_and_merged():
    _, matrix, y = coded_flats()
    grid = {"categorical_features": [None, [1]]}
    search = GridSearchCV(make(), grid, cv=3).fit(matrix, y)
    assert search.best_params_ == {"categorical_features": [1]}
    model, first, second = (make(categorical_features=[1]) for _ in range(3))
    first.fit(matrix[:40], y[:40])
    first.merge(second.fit(matrix[20:], y[20:]).fit(matrix[40:], y[40:]))
    np.testing.assert_allclose(first.predict(matrix), model.fit(matrix, y).predict(matrix))


def test_none_takes_no_categories():
    frame, matrix, y = coded_flats()
    with pytest.raises(ValueError, match=r"must hold numbers; got text in column 'town'"):
        make(categorical_features=None).fit(frame, y)
    plain = make(categorical_features=None).fit(matrix, y)
    np.testing.assert_array_equal(plain.predict(matrix), make().fit(matrix, y).predict(matrix))


@pytest.mark.parametrize("selection", [[2], ["town"], "by_name", [0.5], 1])
def test_selections_of_no_column(selection):
    _, matrix, y = coded_flats()
    with pytest.raises((ValueError, TypeError), match="`categorical_features` must"):
        make(categorical_features=selection).fit(matrix, y)


@pytest.mark.slow  # it imports torch's exporter
def test_onnx_models_of_numbers_as_categories():
    runtime = pytest.importorskip("onnxruntime")
    _, matrix, y = coded_flats()
    model = make(SMALL, categorical_features=[1]).fit(matrix, y)
    written = skgen.onnx.to_onnx(model, matrix, return_std=True).SerializeToString()
    rows = np.vstack([matrix[:5], [[50.0, 0.0]]])
    found = runtime.InferenceSession(written).run(["mean", "std"], {"X": rows})
    for given, expected in zip(found, model.predict(rows, return_std=True), strict=True):
        np.testing.assert_allclose(given[:, 0], expected, rtol=1e-9)


# -- categories that no row had --------------------------------------------------------------------


def test_the_effects_of_categories_are_shrunk_and_unknown_ones_keep_the_prior():
    """A random-effects model: means and variances in closed form."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"k": pd.Series(rng.choice(list("abcd"), 40), dtype="str")})
    y = rng.normal(size=40) + 2 * (X["k"] == "a").to_numpy()
    model = make("identity", prior_precision=0.5, noise_precision=2.0, intercept_precision=0.1)
    model.fit(X, y)
    new = pd.DataFrame({"k": ["a", "d", "new"]})
    cells = pd.concat([X, new])["k"].to_numpy()
    K = (cells[:, None] == cells) / 0.5 + 1 / 0.1  # the covariance of the function
    C = K[:40, :40] + np.eye(40) / 2.0
    expected = K[40:, :40] @ np.linalg.solve(C, y)
    variance = np.diag(K[40:, 40:] - K[40:, :40] @ np.linalg.solve(C, K[:40, 40:])) + 1 / 2.0
    mean, std = model.predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected, rtol=1e-9)
    np.testing.assert_allclose(std, np.sqrt(variance), rtol=1e-9)


def test_a_category_that_was_listed_and_not_seen_is_as_an_unknown_one(fitted, data):
    X, _ = data
    rows = X[:5].assign(floor=pd.Categorical(["middle"] * 5, ["low", "middle", "high"]))
    unknown = X[:5].assign(floor=pd.Series(["cellar"] * 5, dtype="str", index=X.index[:5]))
    for given, other in zip(
        fitted.predict(rows, return_std=True), fitted.predict(unknown, return_std=True), strict=True
    ):
        np.testing.assert_allclose(given, other, rtol=0.05)
    known = fitted.predict(X[:5], return_std=True)[1]
    assert np.all(fitted.predict(unknown, return_std=True)[1] > 1.5 * known)


def test_unknown_categories_of_a_later_batch_are_one_more(data):
    X, y = data
    model = make("identity").fit(X, y)
    more = X[:30].assign(town=pd.Series(["Jena"] * 30, dtype="str"))
    before = model.predict(more[:1], return_std=True)[1]
    model.partial_fit(more, y[:30] + 5)
    mean, std = model.predict(more, return_std=True)
    assert abs(mean - y[:30] - 5).mean() < 1.0
    assert std[0] < before[0]


# -- the protocol ----------------------------------------------------------------------------------


def test_batches_and_shards_are_one_fit(data):
    X, y = data
    X = X.astype({"town": pd.CategoricalDtype(TOWNS)})
    whole = make("identity").fit(X, y)
    stream, shard = (make("identity").partial_fit(X[:9], y[:9]) for _ in range(2))
    for start in range(9, len(X), 17):
        stream.partial_fit(X[start : start + 17], y[start : start + 17])
    shard.merge(make("identity").fit(X[9:], y[9:]))
    for model in (stream, shard):
        np.testing.assert_allclose(model.predict(X), whole.predict(X), rtol=1e-9)
        assert model.n_samples_seen_ == N_ROWS


def test_shards_of_other_categories_are_not_merged(data):
    X, y = data
    ulm = (X["town"] == "Ulm").to_numpy()
    model = make("identity").fit(X[~ulm], y[~ulm])
    with pytest.raises(ValueError, match=r"`other` must have the same .*categories"):
        model.merge(make("identity").fit(X, y))


def test_weights_are_repetitions(data):
    X, y = data
    weights = np.arange(N_ROWS) % 3
    repeated = np.repeat(np.arange(N_ROWS), weights)
    model = make(SMALL).fit(X, y, sample_weight=weights)
    expected = make(SMALL).fit(X.iloc[repeated], y[repeated])
    np.testing.assert_allclose(model.predict(X), expected.predict(X), rtol=1e-5)


def test_every_reader_takes_the_frame(fitted, data):
    X, y = data
    mean, std = fitted.predict(X, return_std=True)
    draws = fitted.sample_y(X, 2000, random_state=0)
    np.testing.assert_allclose(draws.mean(axis=1), mean, atol=5 * std.max() / np.sqrt(2000))
    low, high = fitted.predict_interval(X).T
    assert np.mean((low < y) & (y < high)) > 0.9
    cdf = fitted.predictive_cdf(X, y)
    np.testing.assert_allclose(fitted.predict_quantiles(X, cdf[:1])[0], y[:1], rtol=1e-8)
    assert fitted.log_predictive_density(X, y).shape == (N_ROWS,)
    assert fitted.score(X, y) > 0.95
    assert fitted.predict(X, return_cov=True)[1].shape == (N_ROWS, N_ROWS)
    frozen = make(FrozenEstimator(fitted.basis_)).fit(X, y)
    np.testing.assert_allclose(frozen.predict(X), fitted.predict(X), rtol=0.05)


def test_copies_pickles_and_files_predict_alike(fitted, data, tmp_path):
    X, y = data
    path = tmp_path / "model.skgen"
    skgen.save(fitted, path)
    for copy in (skgen.load(path), pickle.loads(pickle.dumps(fitted))):
        np.testing.assert_array_equal(copy.predict(X), fitted.predict(X))
        assert list(copy.feature_names_in_) == list(X.columns)
        copy.partial_fit(X[:3], y[:3])
    assert not hasattr(clone(fitted), "n_features_in_")
    assert joblib.hash(clone(fitted).fit(X, y).predict(X)) == joblib.hash(fitted.predict(X))


def test_a_refit_to_numbers_forgets_the_frame(data):
    X, y = data
    model = make("identity").fit(X, y).fit(by_hand(X), y)
    assert model.n_features_in_ == 11
    assert model._categories is None
    assert not hasattr(model, "feature_names_in_")
    assert model.partial_fit(by_hand(X), y).n_samples_seen_ == 2 * N_ROWS


@pytest.mark.parametrize("frame_of", [lambda X: X, as_polars], ids=["pandas", "polars"])
def test_tools_of_scikit_learn(data, frame_of):
    X, y = data
    frame = frame_of(X)
    model = make("identity")
    assert cross_val_score(model, frame, y, cv=3).min() > 0.8
    assert cross_val_predict(model, frame, y, cv=3).shape == y.shape
    scoring = mean_log_predictive_density
    search = GridSearchCV(model, {"basis": ["identity", "sigmoid"]}, scoring=scoring, cv=2)
    search.fit(frame, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    piped = make_pipeline(FunctionTransformer(), model).fit(frame, y)
    np.testing.assert_array_equal(piped.predict(frame), clone(model).fit(frame, y).predict(frame))


@pytest.mark.slow  # it starts two processes
def test_scores_do_not_depend_on_jobs(data):
    X, y = data
    one, two = (cross_val_score(make("identity"), X, y, cv=2, n_jobs=jobs) for jobs in (1, 2))
    np.testing.assert_array_equal(one, two)


def test_inspection_by_scikit_learn(fitted, data):
    X, y = data
    found = permutation_importance(fitted, X, y, random_state=0).importances_mean
    assert np.all(found[[0, 1, 2, 3]] > 5 * abs(found[4]))
    kinds = {"categorical_features": ["town", "floor", "lift"]}
    for name in X:
        result = partial_dependence(fitted, X.astype({"rooms": float}), [name], **kinds)
        values, average = result["grid_values"][0], result["average"][0]
        expected = [fitted.predict(X.assign(**{name: value})).mean() for value in values]
        np.testing.assert_allclose(average, expected, rtol=1e-10)


@pytest.mark.parametrize("frame_of", [lambda X: X, as_polars], ids=["pandas", "polars"])
def test_displays(data, frame_of):
    import matplotlib.pyplot as plt

    X, y = data
    model = make("identity").fit(frame_of(X), y)
    held = {"town": "Ulm", "floor": "high", "lift": True}
    display = PredictiveDisplay.from_estimator(
        model, frame_of(X), y, feature="area", held=held, grid=[50.0]
    )
    row = X[:1].assign(area=50.0, **held, rooms=X["rooms"].median())
    row = row.astype({"floor": X["floor"].dtype})
    np.testing.assert_allclose(display.mean, model.predict(row))
    PredictiveDisplay.from_estimator(model, frame_of(X), y, feature="rooms")
    CalibrationDisplay.from_estimator(model, frame_of(X), y)
    with pytest.raises(ValueError, match=r"`feature` must be a feature of numbers; got .*'town'"):
        PredictiveDisplay.from_estimator(model, frame_of(X), y, feature="town")
    plt.close("all")


def test_noise_and_targets_follow(data, tmp_path):
    X, y = data
    rng = np.random.default_rng(0)
    X = pd.concat([X] * 4, ignore_index=True)
    y = np.tile(y, 4) + np.where(X["town"] == "Ulm", 1.0, 0.02) * rng.normal(size=len(X))
    model = BayesianBasisRegressor(SMALL, noise="log-linear").fit(X, y)
    std = model.predict(X, return_std=True)[1]
    ulm = (X["town"] == "Ulm").to_numpy()
    assert np.median(std[ulm]) > 3 * np.median(std[~ulm])
    assert np.array_equal(model._stream.design.noise.basis._groups, [*GROUPS, -1])
    skgen.save(model, path := tmp_path / "model.skgen")
    np.testing.assert_array_equal(skgen.load(path).predict(X, return_std=True)[1], std)
    log = make("identity", target_transformer="log").fit(X, np.exp(y / 10))
    assert log.predict(X).min() > 0


def test_draws_from_the_prior(data):
    X, _ = data
    prior = make("identity", prior_precision=1.0, noise_precision=1.0)
    assert prior.sample_y(X, 3, random_state=0).shape == (N_ROWS, 3)


@pytest.mark.slow  # it imports torch's exporter
def test_onnx_models_take_the_columns_of_the_frame(data):
    """Strings, integers, booleans and numbers; unknown categories, too."""
    runtime = pytest.importorskip("onnxruntime")
    X, y = data
    X = X.assign(zip=pd.Categorical(X["rooms"] + 7000), one=pd.Series(["same"] * N_ROWS))
    model = make(SMALL).fit(X, y)
    session = runtime.InferenceSession(
        skgen.onnx.to_onnx(model, X, return_std=True).SerializeToString()
    )
    rows = X[:6].astype({"floor": "str", "zip": "int64"})
    rows = rows.assign(zip=[7001, 7002, 7003, 7004, 7099, 7001], one=[*["same"] * 4, "new", "new"])
    rows = rows.assign(town=[*TOWNS, "Jena", *TOWNS[:2]], floor=["low", "high", "middle"] * 2)
    kinds = {"tensor(string)": object, "tensor(double)": float, "tensor(bool)": bool}
    feed = {
        each.name: rows[each.name].to_numpy().astype(kinds.get(each.type, np.int64))[:, None]
        for each in session.get_inputs()
    }
    for given, expected in zip(
        session.run(["mean", "std"], feed), model.predict(rows, return_std=True), strict=True
    ):
        np.testing.assert_allclose(given[:, 0], expected, rtol=1e-9)
    floats = make("identity").fit(X.assign(zip=pd.Categorical(X["area"])), y)
    with pytest.raises(ValueError, match=r"categories that are text or integers; .*'zip'"):
        skgen.onnx.to_onnx(floats, X.assign(zip=pd.Categorical(X["area"])))


# -- errors ----------------------------------------------------------------------------------------

NAMES = r"column 'town'"


def bad_frames():
    X, _ = flats()
    town = X["town"]
    return {
        "missing text": (X.assign(town=town.where(town != "Ulm")), rf"`X` .*missing.*{NAMES}"),
        "missing number": (X.assign(area=X["area"].where(X["area"] > 50)), "missing.*'area'"),
        "missing category": (X.assign(floor=X["floor"].where(X["lift"])), "missing.*'floor'"),
        "all missing": (X.assign(town=pd.Series([None] * N_ROWS, dtype="str")), NAMES),
        "objects": (X.astype({"town": "object"}), rf"object.*{NAMES}.*astype"),
        "dates": (X.assign(area=pd.date_range("2020-01-01", periods=N_ROWS)), "dates.*'area'"),
        "lists": (X.assign(area=[[1]] * N_ROWS), "'area'"),
        "complex": (X.assign(area=X["area"] * 1j), "complex numbers in column 'area'"),
        "infinite": (X.assign(area=np.inf), "infinity"),
        "large": (X.assign(area=1e200), "at most"),
        "keys": (
            pd.concat([X] * 5).assign(town=pd.Series(map(str, range(300)), dtype="str").to_numpy()),
            rf"`X` must have at most 255 categories.*300 in {NAMES}",
        ),
        "twice": (X.set_axis(["area", "town", "town", "floor", "rooms"], axis=1), "'town' 2 times"),
        "no rows": (X[:0], "`X`|0 sample"),
    }  # fmt: skip


BAD = bad_frames()


@pytest.mark.parametrize("kind", BAD)
def test_frames_that_cannot_be_fitted(kind):
    X, message = BAD[kind]
    model = make("identity")
    with pytest.raises((ValueError, TypeError), match=rf"(?s){message}"):
        model.fit(X, np.resize(flats()[1], len(X)))
    assert not hasattr(model, "n_features_in_")


@pytest.mark.parametrize("kind", sorted(set(BAD) - {"keys", "twice"}))
def test_frames_that_cannot_be_predicted(fitted, kind):
    X, message = BAD[kind]
    with pytest.raises((ValueError, TypeError), match=rf"(?s){message}"):
        fitted.predict(X)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (lambda X: X.to_numpy(dtype=object), TypeError, "`X` must be a data frame.*ndarray"),
        (lambda X: by_hand(X), TypeError, "`X` must be a data frame.*ndarray"),
        (lambda X: X.drop(columns="town"), ValueError, "feature names"),
        (lambda X: X[[*X.columns[::-1]]], ValueError, "feature names"),
        (lambda X: X.assign(town=3), ValueError, rf"{NAMES}; got the unknown 3\."),
        (lambda X: X.assign(lift=2), ValueError, "column 'lift'; got the unknown 2"),
        (lambda X: X.assign(area=X["town"]), ValueError, "text in column 'area'"),
        (lambda X: X.assign(town=pd.Timestamp(0)), ValueError, NAMES),
    ],
)
def test_other_tables_than_that_of_the_fit(fitted, data, change, error, message):
    with pytest.raises(error, match=message):
        fitted.predict(change(data[0]))


def test_a_failed_fit_leaves_the_model_as_it_was(fitted, data):
    X, y = data
    model = clone(fitted).fit(X, y)
    before = joblib.hash(model.predict(X))
    with pytest.raises(ValueError, match="missing"):
        model.fit(BAD["missing text"][0], y)
    assert joblib.hash(model.predict(X)) == before


def test_categories_in_dask_frames_are_refused(fitted, data):
    dd = pytest.importorskip("dask.dataframe")
    X, y = data
    collection, targets = (dd.from_pandas(table, npartitions=2) for table in (X, pd.Series(y)))
    for call in (
        lambda: make("identity").fit(collection, targets),
        lambda: fitted.predict(collection),
        lambda: fitted.sample_y(collection),
    ):
        with pytest.raises(ValueError, match=r"`X` must hold numbers; got .* in column 'town'\."):
            call()
    with pytest.raises(ValueError, match="`categorical_features` must be 'from_dtype' or None"):
        make(categorical_features=["town"]).fit(collection, targets)
