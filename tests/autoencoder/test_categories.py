"""Categorical columns of X against the same columns encoded by scikit-learn's OneHotEncoder."""

import copy
import pickle
from functools import cache

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import load_digits
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import SVC

import skgen
from skgen import VAERegressor

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

N_ROWS = 120
SHORT = VAERegressor(2, hidden_layer_sizes=(8,), max_iter=2, early_stopping=False, random_state=0)
KINDS = ["town", "grade", "old", "stars"]


@cache
def data():
    """A frame with a column of each kind, and two outputs that depend on all of them."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "town": pd.Series(rng.choice(["Bonn", "Jena", "Ulm"], N_ROWS), dtype="str"),
            "area": rng.uniform(30, 150, N_ROWS),
            "grade": pd.Categorical(rng.choice(["b", "c"], N_ROWS), ["a", "b", "c"]),
            "old": rng.integers(2, size=N_ROWS) == 1,
            "rooms": rng.integers(1, 6, N_ROWS),
            "stars": pd.Categorical(rng.integers(1, 4, N_ROWS)),
        }
    )
    rent = frame["area"] * (1 + (frame["town"] == "Ulm")) + 100 * frame["old"]
    heat = frame["area"] * (1 + 0.3 * (frame["grade"] == "b"))
    return frame, np.column_stack([rent, heat]) + rng.normal(size=(N_ROWS, 2))


def as_polars(frame):
    values = {name: frame[name].tolist() for name in frame}
    values["stars"] = [str(value) for value in values["stars"]]
    grade = pl.col("grade").cast(pl.Enum(["a", "b", "c"]))
    return pl.DataFrame(values).with_columns(grade, pl.col("stars").cast(pl.Categorical))


FRAMES = {"pandas": lambda frame: frame, "polars": as_polars}


def encoded(frame):
    """The frame as an array: columns in their order, categories by scikit-learn."""
    known = [frame[name].dtype.categories if name in ("grade", "stars") else None for name in KINDS]
    known = [np.unique(frame[n]) if k is None else k for n, k in zip(KINDS, known, strict=True)]
    steps = [
        (
            OneHotEncoder(
                categories=[known[KINDS.index(name)]], sparse_output=False, drop="if_binary"
            ),
            [name],
        )
        if name in KINDS
        else ("passthrough", [name])
        for name in frame
    ]
    return np.asarray(make_column_transformer(*steps).fit_transform(frame), dtype=float)


@cache
def _fitted(library="pandas"):
    frame, targets = data()
    return clone(SHORT).fit(FRAMES[library](frame), targets)


def fitted(library="pandas"):
    return copy.deepcopy(_fitted(library))


def answers(model, rows, targets):
    codes = model.transform(rows, targets)
    return [
        *model.predict(rows, return_std=True), model.sample_y(rows, 2, random_state=0), codes,
        model.transform(rows), model.inverse_transform(codes), model.inverse_transform(codes, rows),
        model.log_predictive_density(rows, targets), np.array(model.loss_curve_),
    ]  # fmt: skip


def assert_same(one, other):
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "parameters",
    [{}, {"linear": False}, {"early_stopping": True}, {"prior": "standard_normal"}],
    ids=str,
)
@pytest.mark.parametrize("library", FRAMES)
def test_a_frame_is_as_its_encoding_by_scikit_learn(library, parameters):
    frame, targets = data()
    model = clone(SHORT).set_params(**parameters)
    rows = FRAMES[library](frame)
    found = answers(clone(model).fit(rows, targets), rows, targets)
    assert_same(found, answers(model.fit(encoded(frame), targets), encoded(frame), targets))


LABELS = np.random.default_rng(1).choice([2, 3, 7], size=(N_ROWS, 1))
LABEL_FORMS = {
    "index": (LABELS, {"categorical_features": [0]}),
    "mask": (LABELS.tolist(), {"categorical_features": np.array([True])}),
    "floats": (LABELS * 1.0, {"categorical_features": (0,)}),
    "name": (pd.DataFrame(LABELS, columns=["digit"]), {"categorical_features": ["digit"]}),
    "category": (pd.DataFrame(LABELS, columns=["digit"]).astype("category"), {}),
    "text": (pd.DataFrame(LABELS, columns=["digit"]).astype("str"), {}),
    "polars": (pl.DataFrame(LABELS.astype(str), schema=["digit"]), {}),
    "polars, name": (pl.DataFrame(LABELS, schema=["digit"]), {"categorical_features": ["digit"]}),
}


@pytest.mark.parametrize("form", LABEL_FORMS)
def test_labels_of_any_form_are_categories(form):
    targets = data()[1]
    rows, parameters = LABEL_FORMS[form]
    found = answers(clone(SHORT).set_params(**parameters).fit(rows, targets), rows, targets)
    one_hot = OneHotEncoder(sparse_output=False).fit_transform(LABELS)
    assert_same(found, answers(clone(SHORT).fit(one_hot, targets), one_hot, targets))


def test_labels_beside_numbers_of_an_array(tmp_path):
    """By index, and mapped from a file."""
    targets = data()[1]
    rows = np.hstack([data()[0][["area"]], LABELS, data()[0][["rooms"]]]).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    one_hot = np.hstack([rows[:, :1], LABELS == [2, 3, 7], rows[:, 2:]]).astype(np.float32)
    expected = answers(clone(SHORT).fit(one_hot, targets), one_hot, targets)
    for table in (rows, np.load(tmp_path / "rows.npy", mmap_mode="r")):
        model = clone(SHORT).set_params(categorical_features=[1]).fit(table, targets)
        assert_same(answers(model, table, targets), expected)
        assert model.predict(rows).dtype == np.float32


@pytest.mark.parametrize("selection", [None, "from_dtype", [], [False, False]])
def test_numbers_stay_numbers(selection):
    frame, targets = data()
    numbers = frame[["area", "rooms"]]
    expected = clone(SHORT).fit(numbers.to_numpy(), targets).predict(numbers.to_numpy())
    for rows in (numbers, numbers.to_numpy(), as_polars(frame)[["area", "rooms"]]):
        model = clone(SHORT).set_params(categorical_features=selection).fit(rows, targets)
        np.testing.assert_array_equal(model.predict(rows), expected)


def test_columns_that_are_not_selected_are_numbers():
    frame, targets = data()
    rows = frame[["area", "old", "stars"]].astype({"stars": int})
    model = clone(SHORT).set_params(categorical_features=["stars"]).fit(rows, targets)
    stars = OneHotEncoder(sparse_output=False).fit_transform(rows[["stars"]])
    one_hot = np.hstack([rows[["area", "old"]].astype(float), stars])
    np.testing.assert_array_equal(
        model.predict(rows), clone(SHORT).fit(one_hot, targets).predict(one_hot)
    )


ROUND_TRIPS = {
    "pickle": lambda model, path: pickle.loads(pickle.dumps(model)),
    "file": lambda model, path: skgen.save(model, path) or skgen.load(path),
    "clone": lambda model, path: clone(model).fit(*data()),
}


@pytest.mark.parametrize("trip", ROUND_TRIPS)
def test_round_trips_are_exact(trip, tmp_path):
    (frame, targets), model = data(), fitted()
    other = ROUND_TRIPS[trip](model, tmp_path / "model")
    assert_same(answers(model, frame, targets), answers(other, frame, targets))
    assert list(other.feature_names_in_) == [*frame]
    assert other.n_features_in_ == 6
    with pytest.raises(ValueError, match="in column 'town'; got the unknown 'Kiel'"):
        other.partial_fit(frame.assign(town="Kiel"), targets)


@pytest.mark.parametrize("selection", [[0], ["digit"], np.array([True]), None])
def test_files_hold_the_selection(selection, tmp_path):
    rows = pd.DataFrame(LABELS, columns=["digit"])
    model = clone(SHORT).set_params(categorical_features=selection).fit(rows, data()[1])
    skgen.save(model, tmp_path / "model")
    other = skgen.load(tmp_path / "model")
    np.testing.assert_array_equal(other.categorical_features, selection)
    np.testing.assert_array_equal(other.predict(rows), model.predict(rows))


def test_a_file_whose_categories_do_not_fit_the_networks_is_refused(tmp_path):
    model = fitted()
    model._categories = fitted_to_labels()._categories
    with pytest.raises(TypeError, match="do not fit each other"):
        skgen.save(model, tmp_path / "model")


def fitted_to_labels():
    return clone(SHORT).set_params(categorical_features=[0]).fit(LABELS, data()[1])


@pytest.mark.parametrize("library", FRAMES)
def test_frames_of_another_library_are_the_same_rows(library):
    frame = data()[0].astype({"stars": "int64"}).astype({"stars": "str"})
    model = clone(SHORT).fit(FRAMES[library](frame), data()[1])
    found = [model.predict(rows) for rows in (frame, as_polars(frame))]
    np.testing.assert_array_equal(*found)


def test_later_batches_may_lack_categories():
    frame, targets = data()
    model = clone(SHORT).partial_fit(frame, targets)
    one = frame[frame["town"] == "Ulm"]
    model.partial_fit(one, targets[one.index])
    expected = clone(SHORT).partial_fit(encoded(frame), targets)
    expected.partial_fit(encoded(frame)[one.index], targets[one.index])
    np.testing.assert_array_equal(model.predict(frame), expected.predict(encoded(frame)))


def test_a_category_that_no_row_had_moves_no_network_out_of_range():
    frame, _ = data()
    mean, std = fitted().predict(frame.assign(grade=pd.Categorical(["a"] * N_ROWS)), True)
    assert np.isfinite([mean, std]).all()


@pytest.mark.draws_globally
def test_searches_split_frames_and_latent_means_keep_their_index():
    frame, targets = data()
    assert np.isfinite(cross_val_score(clone(SHORT), frame, targets, cv=3)).all()
    model = clone(SHORT).set_output(transform="pandas").fit(frame, targets)
    codes = model.transform(frame[::-1], targets[::-1])
    assert list(codes.index) == list(frame.index[::-1])
    assert list(codes) == ["vaeregressor0", "vaeregressor1"]


def test_a_fit_that_fails_leaves_the_categories_as_they_were():
    (frame, targets), model = data(), fitted()
    before = model.predict(frame)
    with pytest.raises(ValueError, match="one row for each"):
        model.fit(frame[["area"]], targets[:5])
    np.testing.assert_array_equal(model.predict(frame), before)


def without(frame, name, value):
    changed = frame.astype({name: "object"} if name == "rooms" else {}).copy()
    changed.loc[3, name] = value
    return changed


BAD_ROWS = {
    "unknown text": (lambda X: X.assign(town="Kiel"), "column 'town'; got the unknown 'Kiel'"),
    "unknown level": (lambda X: X.assign(stars=9), "column 'stars'; got the unknown 9"),
    "missing text": (lambda X: without(X, "town", None), "missing cells .*'town'"),
    "missing level": (lambda X: without(X, "grade", None), "missing cells .*'grade'"),
    "missing number": (lambda X: without(X, "area", np.nan), "missing cells .*'area'"),
    "None": (lambda X: without(X, "rooms", None), "missing cells .*'rooms'"),
    "objects": (lambda X: X.assign(town=X["town"].astype(object)), "dtype object.*'town'"),
    "text for numbers": (lambda X: X.assign(area="big"), "hold numbers; got text in column 'area'"),
    "fewer columns": (lambda X: X.drop(columns="town"), "feature names should match"),
    "another order": (lambda X: X[[*X][::-1]], "must be in the same order"),
    "infinity": (lambda X: X.assign(area=np.inf), "infinity"),
    "array": (lambda X: np.full((3, 6), 7.0), "`X` must be a data frame .*got ndarray"),
    "one axis": (lambda X: X["area"], "`X` must be a data frame .*got Series"),
}


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_rows_are_errors_that_name_the_column(case):
    (frame, targets), model = data(), fitted()
    change, message = BAD_ROWS[case]
    rows = change(frame)
    for call in (
        lambda: model.predict(rows), lambda: model.sample_y(rows),
        lambda: model.partial_fit(rows, targets[: len(rows)]),
    ):  # fmt: skip
        with pytest.raises((ValueError, TypeError), match=message):
            call()
    assert_same(answers(model, frame, targets), answers(fitted(), frame, targets))


def test_frames_whose_names_are_no_text_are_compared_too():
    frame, targets = data()
    rows = frame.set_axis(range(6), axis=1)
    model = clone(SHORT).fit(rows, targets)
    np.testing.assert_array_equal(model.predict(rows), fitted().predict(frame))
    with pytest.raises(ValueError, match="the columns that `fit` saw"):
        model.predict(rows.rename(columns={1: 10}))


BAD_FITS = {
    "objects": ({}, lambda X: X.assign(town=X["town"].astype(object)), "dtype object.*'town'"),
    "missing": ({}, lambda X: without(X, "town", None), "missing cells .*'town'"),
    "text not selected": ({"categorical_features": ["town"]}, lambda X: X, "got .* in column"),
    "None": ({"categorical_features": None}, lambda X: X, "got text in column 'town'"),
    "text in arrays": ({}, lambda X: X.to_numpy(), "must hold numbers; got text"),
    "twice": ({}, lambda X: pd.concat([X, X], axis=1), "columns of different names"),
    "images": ({"input_shape": (2, 3)}, lambda X: X, "`input_shape` must be None"),
}
BAD_SELECTIONS = [
    "by_name", 0, [0.5], [[0]], [None], {"town"}, [0, "town"], [6], [-1], ["city"], [True] * 7,
    [10**30], np.array(["town", None]), pd.Series([0.5]),
]  # fmt: skip


@pytest.mark.parametrize("case", BAD_FITS)
def test_bad_frames_are_refused(case):
    parameters, change, message = BAD_FITS[case]
    with pytest.raises((ValueError, TypeError), match=message):
        clone(SHORT).set_params(**parameters).fit(change(data()[0]), data()[1])


@pytest.mark.parametrize("selection", BAD_SELECTIONS, ids=repr)
def test_bad_selections_are_refused(selection):
    for rows in (data()[0], LABELS):
        with pytest.raises((ValueError, TypeError), match="`categorical_features` must"):
            clone(SHORT).set_params(categorical_features=selection).fit(rows, data()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:`y` has values in column")
@pytest.mark.parametrize(
    ("prior", "options", "seed"),
    [
        *[("conditional_normal", {"linear": False, "n_components": 16}, k) for k in range(3)],
        ("conditional_mixture", {}, 0),
    ],
)
def test_draws_of_digits_are_of_the_class_asked_for_and_as_varied_as_real_ones(
    prior, options, seed
):
    """A long training, in which a code may run far out: the prior must not stretch to it."""
    images, classes = load_digits(return_X_y=True)
    images = images / 16
    judge = SVC(gamma=0.25, C=10, random_state=0).fit(images[::2], classes[::2])
    assert judge.score(images[1::2], classes[1::2]) > 0.98
    model = VAERegressor(
        prior=prior, categorical_features=[0], batch_size=64, early_stopping=False, max_iter=300,
        learning_rate="one-cycle", learning_rate_init=0.003, random_state=seed, **options,
    ).fit(classes[:, None], images)  # fmt: skip
    draws = model.sample_y(np.arange(10)[:, None], 200, random_state=0).transpose(0, 2, 1)
    named = judge.predict(draws.reshape(2000, -1)).reshape(10, 200)
    assert np.mean(named == np.arange(10)[:, None]) > 0.95
    farthest = np.linalg.norm(images - images.mean(axis=0), axis=1).max()
    distances = np.linalg.norm(draws - images.mean(axis=0), axis=-1)
    assert np.mean(distances > 2 * farthest) < 0.002
    for drawn, of_class in zip(draws, (images[classes == c] for c in range(10)), strict=True):
        assert 0.5 < drawn.var(axis=0).sum() / of_class.var(axis=0).sum() < 2
        offset = np.abs(drawn.mean(axis=0) - of_class.mean(axis=0)).mean()
        assert offset < 0.25 * of_class.std(axis=0).mean()
