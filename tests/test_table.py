"""Data frames in and out of VAETransformer: columns, dtypes, categories, and their errors."""

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone

import skgen
from skgen import VAEImputer, VAETransformer
from skgen._table import Categories, Table
from skgen.likelihoods import Categorical, Gaussian, Mixed

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

N_ROWS = 60


def patients(rng, n_rows=N_ROWS):
    """A table with a column of each kind."""
    grade = pd.Categorical(
        rng.choice(["low", "high"], n_rows), ["low", "middle", "high"], ordered=True
    )
    return pd.DataFrame(
        {
            "age": rng.integers(20, 80, n_rows),
            "dose": rng.lognormal(size=n_rows) * rng.integers(2, size=n_rows),
            "grade": grade,
            "sex": pd.Series(rng.choice(["f", "m"], n_rows), dtype="str"),
            "treated": rng.integers(2, size=n_rows) == 1,
            "stage": pd.Categorical(rng.integers(1, 4, n_rows)),
            "visits": pd.Series(rng.poisson(2.0, n_rows), dtype="UInt8"),
            "weight": rng.normal(70, 10, n_rows).astype(np.float32),
            "relapse": pd.Series(rng.choice([True, False], n_rows), dtype="boolean"),
            "ward": pd.Series(rng.choice(["a", "b"], n_rows), dtype="string"),
            "constant": 7,
        }
    )


def as_polars(X):
    kinds = {"grade": pl.Enum(["low", "middle", "high"]), "stage": pl.String, "weight": pl.Float32}
    data = {name: [None if pd.isna(v) else v for v in X[name].tolist()] for name in X}
    data["stage"] = [str(value) for value in data["stage"]]
    frame = pl.DataFrame(data, schema_overrides=kinds)
    return frame.with_columns(pl.col("ward").cast(pl.Categorical), pl.col("visits").cast(pl.UInt8))


FRAMES = {"pandas": patients, "polars": lambda rng, n=N_ROWS: as_polars(patients(rng, n))}


def fit(X, **parameters):
    rules = {"likelihood": "from_dtype", "max_iter": 3, "random_state": 0} | parameters
    return VAETransformer(3, **rules).fit(X)


def dtypes_of(X):
    return [*zip(X.columns, X.dtypes, strict=True)]


@pytest.fixture(params=FRAMES)
def frame(request, rng):
    return FRAMES[request.param](rng)


def test_frames_come_back_as_they_were(frame):
    table = Table.of(frame)
    again = table.to_frame(table.to_matrix(frame))
    assert type(again) is type(frame)
    assert dtypes_of(again) == dtypes_of(frame)
    assert again.equals(frame)


def test_missing_cells_are_nan_and_come_back(rng):
    X = patients(rng)
    X["dose"], X.loc[3, "dose"] = X["dose"].astype(float), np.nan
    for name in ("grade", "sex", "visits", "relapse", "ward"):
        X.loc[5, name] = None
    for frame in (X, as_polars(X)):
        table = Table.of(frame)
        matrix = table.to_matrix(frame)
        assert np.isnan(matrix).sum() == 6
        assert table.to_frame(matrix).equals(frame)


@pytest.mark.parametrize("call", ["sample", "inverse_transform", "reconstruct"])
def test_what_comes_back_has_the_columns_dtypes_and_categories_of_fit(call, frame):
    model = fit(frame)
    calls = {
        "sample": lambda: model.sample(50, random_state=0),
        "inverse_transform": lambda: model.inverse_transform(model.transform(frame)),
        "reconstruct": lambda: model.reconstruct(frame),
    }
    found = calls[call]()
    assert type(found) is type(frame)
    assert dtypes_of(found) == dtypes_of(frame)
    assert set(found["constant"].to_list()) == {7}
    assert set(found["sex"].to_list()) <= {"f", "m"}
    assert set(found["grade"].to_list()) <= {"low", "middle", "high"}
    if call == "sample":
        dose = found["dose"].to_numpy()
        assert 0.2 < np.mean(dose == 0) < 0.8
        assert dose.min() >= 0
        assert dose.max() <= frame["dose"].max()
    assert model.transform(frame).shape == (N_ROWS, 3)
    assert np.isfinite(model.score_samples(frame)).all()


def test_columns_of_several_levels_come_back(rng):
    columns = pd.MultiIndex.from_tuples([("size", "length"), ("size", "width"), ("kind", "a")])
    X = pd.DataFrame(rng.normal(size=(N_ROWS, 3)), columns=columns)
    vae = VAETransformer(1, likelihood="from_dtype", max_iter=1, random_state=0).fit(X)
    assert vae.sample(3).columns.equals(columns)
    assert list(vae.impute(X.mask(X > 1))["size"].columns) == ["length", "width"]


def test_frames_of_both_libraries_are_one_table(rng):
    X = patients(rng).drop(columns="stage")
    model, other = fit(X), fit(as_polars(X.assign(stage=0)).drop("stage"))
    np.testing.assert_array_equal(
        model.transform(X), other.transform(as_polars(X.assign(stage=0)).drop("stage"))
    )
    np.testing.assert_array_equal(model.transform(X), other.transform(X))


def test_arrays_give_arrays(rng):
    X = np.column_stack([rng.integers(3, size=50), rng.normal(size=50)])
    model = fit(X, likelihood=Mixed([("kind", Categorical(), 0)]))
    draws = model.sample(20, random_state=0)
    assert type(draws) is np.ndarray
    assert set(draws[:, 0]) <= {0.0, 1.0, 2.0}
    with pytest.raises(ValueError, match=r"categories that `fit` saw in column 0 .* category 5"):
        model.transform([[5.0, 0.0]])
    with pytest.raises(ValueError, match="in column 0 "):
        model.partial_fit([[5.0, 0.0]])
    assert type(fit(pd.DataFrame(X), likelihood="gaussian").sample()) is np.ndarray


def test_a_model_of_a_frame_is_stored_whole(frame, tmp_path):
    likelihood = Mixed(
        [
            ("sizes", Gaussian("feature"), ["age", "weight"]),
            ("kinds", Categorical(), slice("grade", "sex")),
        ]
    )
    model = fit(frame, likelihood=likelihood)
    skgen.save(model, tmp_path / "model.safetensors")
    twins = skgen.load(tmp_path / "model.safetensors"), pickle.loads(pickle.dumps(model))
    for twin in twins:
        assert twin.likelihood_ == likelihood
        assert twin.sample(9, random_state=1).equals(model.sample(9, random_state=1))
        assert np.array_equal(twin.score_samples(frame), model.score_samples(frame))
        assert dtypes_of(twin.partial_fit(frame).sample()) == dtypes_of(frame)


def test_draws_follow_the_marginals_of_a_table(rng):
    X = patients(rng, 1000)
    X["dose"] = np.where(X["sex"] == "f", X["dose"], 0.0)
    model = fit(X, max_iter=60)
    draws = model.sample(4000, random_state=0)
    for name in ("grade", "sex", "treated", "stage", "visits"):
        shares = [frame[name].astype("object").value_counts(normalize=True) for frame in (X, draws)]
        assert shares[1].sub(shares[0], fill_value=0).abs().max() < 0.06, name
    assert (draws.loc[draws["sex"] == "m", "dose"] == 0).mean() > 0.9


def with_holes(X, rng):
    """The table without some cells, of columns whose dtype has missing ones."""
    holes = X.copy()
    for name in ("grade", "sex", "stage", "visits", "relapse", "ward"):
        holes.loc[rng.uniform(size=len(X)) < 0.3, name] = None
    holes["dose"] = holes["dose"].where(rng.uniform(size=len(X)) > 0.3)
    return holes


@pytest.mark.parametrize("library", FRAMES)
def test_missing_cells_of_a_frame_are_imputed_and_drawn(library, rng):
    X = patients(rng)
    holes = with_holes(X, rng)
    frame = holes if library == "pandas" else as_polars(holes)
    missing = holes.isna().to_numpy()
    model = fit(frame, masking=0.3)
    assert np.isfinite(model.score_samples(frame)).all()
    imputed, drawn = model.impute(frame), model.sample(3, given=frame, random_state=0)
    assert dtypes_of(imputed) == dtypes_of(drawn) == dtypes_of(frame)
    assert len(drawn) == 3 * len(frame)
    for found in (imputed, drawn[: len(frame)]):
        matrix = Table.of(found).to_matrix(found)
        assert np.isfinite(matrix).all()
        assert np.array_equal(matrix[~missing], Table.of(frame).to_matrix(frame)[~missing])
        assert set(found["sex"].to_list()) <= {"f", "m"}


def test_imputed_cells_are_those_that_the_others_imply(rng):
    """Sex implies a dose of zero, and the ward the sex."""
    X = patients(rng, 1000)
    X["ward"] = X["sex"].map({"f": "a", "m": "b"}).astype("string")
    X["dose"] = np.where(X["sex"] == "f", 5.0 + X["dose"], 0.0)
    model = fit(X[["sex", "ward", "dose", "grade"]], masking=0.4, max_iter=40)
    holes = X[["sex", "ward", "dose", "grade"]].copy()
    holes.loc[:299, "sex"], holes.loc[300:599, "dose"] = None, np.nan
    imputed = model.impute(holes)
    assert (imputed["sex"] == X["sex"]).mean() > 0.99
    males = X["sex"] == "m"
    assert imputed["dose"][males].mean() < 0.2
    assert abs(imputed["dose"][~males].mean() - X["dose"][~males].mean()) < 0.5


def test_a_clone_is_not_fitted_and_fits_alike(frame):
    model = fit(frame)
    twin = clone(model).fit(frame)
    assert twin.sample(5, random_state=0).equals(model.sample(5, random_state=0))
    arrays = clone(model).fit(np.random.default_rng(0).normal(size=(20, 2)))
    assert (
        type(model.set_params(likelihood="from_dtype").fit(arrays.sample(20)).sample())
        is np.ndarray
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda X: X.assign(sex="x"),
            "categories that `fit` saw in column 'sex'; got the unknown 'x'",
        ),
        (lambda X: X.assign(treated="yes"), "column 'treated'; got the unknown 'yes'"),
        (lambda X: X.assign(sex=X["sex"].astype(object)), r"dtype object; .* 'sex'.*\.astype\("),
        (lambda X: X.assign(age="old"), "must hold numbers; got text in column 'age'"),
        (lambda X: X.assign(age=pd.Timestamp("2020")), "dates or durations in column 'age'"),
        (lambda X: X.assign(dose=np.inf), "infinity in column 'dose'"),
        (lambda X: X.assign(dose=-1e120), r"1e\+120 in column 'dose'"),
        (lambda X: X.drop(columns="sex"), "feature names should match"),
        (lambda X: X[[*X][::-1]], "must be in the same order"),
        (lambda X: X.iloc[:0], "0 sample"),
        (lambda X: X.to_numpy(), "must be a data frame of pandas or polars, as in `fit`"),
        (lambda X: as_polars(X).lazy(), "must be a data frame"),
    ],
)
def test_other_frames_are_errors_that_name_the_column(change, message, rng):
    X = patients(rng)
    model = fit(X)
    before = model.transform(X)
    for method in ("transform", "partial_fit", "score_samples"):
        with pytest.raises((ValueError, TypeError), match=message):
            getattr(model, method)(change(X))
    assert np.array_equal(model.transform(X), before)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda X: X.assign(sex=X["sex"].astype(object)),
            "must not hold text in a column of dtype object",
        ),
        (
            lambda X: X.assign(sex=pd.Series([None] * N_ROWS, dtype="str")),
            "an observed cell in column 'sex'",
        ),
        (lambda X: X.assign(age=pd.Timestamp("2020")), "dates or durations in column 'age'"),
        (lambda X: pd.concat([X, X], axis=1), "columns of different names; got 'age' 2 times"),
        (lambda X: X.assign(age=X["age"].astype(complex)), "complex numbers in column 'age'"),
        (lambda X: X.assign(dose=np.inf), "infinity in column 'dose'"),
        (lambda X: X.iloc[:0], r"rows and columns; got a data frame of shape \(0, 11\)"),
        (lambda X: X[[]], "must have rows and columns"),
        (
            lambda X: as_polars(X).lazy(),
            r"in memory; got a LazyFrame. Call its collect\(\)",
        ),
        (
            lambda X: as_polars(X).with_columns(pl.col("age").cast(pl.Int128)),
            "integers of 128 bits in column 'age'",
        ),
    ],
)
def test_bad_frames_are_errors_that_name_the_column(change, message, rng):
    with pytest.raises((ValueError, TypeError), match=message):
        fit(change(patients(rng)))


def test_unknown_categories_may_be_ignored(frame):
    model = fit(frame, likelihood=Mixed(handle_unknown="ignore"))
    other = patients(np.random.default_rng(0)).assign(sex="x")
    other = other if type(other) is type(frame) else as_polars(other)
    assert np.isfinite(model.score_samples(other)).all()
    assert np.isfinite(model.partial_fit(other).transform(other)).all()
    assert set(model.sample(50, random_state=0)["sex"].to_list()) <= {"f", "m"}


def test_codes_of_a_category_that_no_row_has_are_known(rng):
    X = patients(rng)
    model = fit(X)
    assert np.isfinite(
        model.score_samples(X.assign(grade=pd.Categorical(["middle"] * N_ROWS)))
    ).all()


def arrow(kind, values):
    return pd.Series(values, dtype=pd.ArrowDtype(kind))


ODD_COLUMNS = {
    "booleans as objects": lambda: pd.Series([True, None, False, True], dtype=object),
    "booleans of pyarrow": lambda: arrow(pa.bool_(), [True, None, False, True]),
    "integers of pyarrow": lambda: arrow(pa.int64(), [3, None, 1, 3]),
    "text of pyarrow": lambda: arrow(pa.string(), ["b", None, "a", "b"]),
    "long text of pyarrow": lambda: arrow(pa.large_string(), ["b", None, "a", "b"]),
    "categories of pyarrow": lambda: arrow(
        pa.dictionary(pa.int32(), pa.string()), ["b", None, "a", "b"]
    ),
    "decimals of pyarrow": lambda: arrow(
        pa.decimal128(5, 2), [Decimal("1.25"), None, Decimal("-0.5"), Decimal("1.25")]
    ),
    "decimals of polars": lambda: pl.Series(
        [Decimal("1.25"), None, Decimal("-0.5"), Decimal("1.25")], dtype=pl.Decimal(10, 2)
    ),
    "short integers of polars": lambda: pl.Series([3, None, 1, 3], dtype=pl.Int8),
}


@pytest.mark.parametrize("kind", ODD_COLUMNS)
def test_columns_of_less_usual_dtypes_come_back_as_they_were(kind, tmp_path):
    column = ODD_COLUMNS[kind]()
    library = pl if isinstance(column, pl.Series) else pd
    X = library.DataFrame({"y": [0.0, 1.0, 2.0, 3.0], "column": column})
    cells = [None if pd.isna(value) else value for value in X["column"].to_list()]
    again = Table.of(X).to_frame(Table.of(X).to_matrix(X))
    assert dtypes_of(again) == dtypes_of(X)
    assert [None if pd.isna(value) else value for value in again["column"].to_list()] == cells
    observed = {*cells} - {None}
    model = fit(X)
    skgen.save(model, tmp_path / "model.safetensors")
    for drawn in (model.sample(50, random_state=0), model.impute(X)):
        assert dtypes_of(drawn) == dtypes_of(X)
        assert {type(value) for value in drawn["column"].to_list()} == {*map(type, observed)}
        assert min(observed) <= min(drawn["column"]) <= max(drawn["column"]) <= max(observed)
    again = skgen.load(tmp_path / "model.safetensors").sample(50, random_state=0)
    assert again.equals(model.sample(50, random_state=0))


def test_decimals_stay_within_their_digits():
    X = pl.DataFrame(
        {"price": pl.Series([Decimal("99.5"), Decimal("-99.5")], dtype=pl.Decimal(4, 2))}
    )
    beyond = Table.of(X).to_frame(np.array([[123.0], [-1e9], [1.004]]))
    assert beyond["price"].to_list() == [Decimal("99.99"), Decimal("-99.99"), Decimal("1.00")]


def test_completed_rows_keep_their_index(rng):
    X = with_holes(patients(rng), rng)
    X.index = [f"patient {i}" for i in range(len(X))]
    model = fit(X)
    codes = pd.DataFrame(model.transform(X), index=X.index)
    completed = model.impute(X), model.sample(given=X), VAEImputer(model).fit_transform(X)
    for found in (*completed, model.reconstruct(X), model.inverse_transform(codes)):
        assert found.index.equals(X.index)
    assert X.fillna(completed[0]).notna().all(axis=None)
    assert model.sample(3).index.equals(pd.RangeIndex(3))


def test_text_elsewhere_is_an_error_that_leads_to_data_frames(rng):
    X = patients(rng)[["age", "sex"]]
    for parameters, table in (
        ({"likelihood": None}, X),
        ({"likelihood": None}, X.assign(sex=X["sex"].astype("category"))),
        ({}, X.to_numpy()),
        ({}, pa.Table.from_pandas(X)),
    ):
        with pytest.raises(ValueError, match=r"data frame .* with likelihood='from_dtype'"):
            fit(table, **parameters)
    with pytest.raises(ValueError, match=r"text in column 'age'\. Give numbers"):
        fit(X).transform(X.assign(age="old"))


def test_integers_stay_within_their_dtype():
    X = pd.DataFrame(
        {
            "a": np.array([-128, 127, 3] * 5, np.int8),
            "b": np.array([0, 2**64 - 1, 5] * 5, np.uint64),
        }
    )
    table = Table.of(X)
    beyond = table.to_frame(table.to_matrix(X) * 2.0)
    assert beyond["a"].agg(["min", "max"]).tolist() == [-128, 127]
    assert dtypes_of(beyond) == dtypes_of(X)
    assert beyond["b"].max() > 2**63


@pytest.mark.parametrize("accepts_unknown", [True, False])
def test_columns_of_zeros_and_ones_for_categories(frame, accepts_unknown):
    table = Table.of(frame)
    matrix = np.nan_to_num(table.to_matrix(frame))
    chosen = np.array([size > 0 for _, size in table.columns])
    categories = Categories.of(matrix, chosen, table.names, table, accepts_unknown)
    encoded = categories.encode(matrix)
    assert encoded.dtype == matrix.dtype
    assert (matrix.shape[1], encoded.shape[1]) == categories.shape
    for index, (name, size) in enumerate(table.columns):
        block = encoded[:, categories.groups == index] if size else None
        if block is None:
            continue
        codes, n_categories = matrix[:, index], size + accepts_unknown
        assert block.shape[1] == (1 if n_categories == 2 else n_categories), name
        if n_categories == 2:
            assert np.array_equal(block[:, 0], codes)
        else:
            assert np.array_equal(block.argmax(axis=1), codes)
            assert np.array_equal(block.sum(axis=1), np.ones(len(codes)))
            assert set(block.ravel()) == {0.0, 1.0}
    numbers = encoded[:, categories.groups == -1]
    assert np.array_equal(numbers, matrix[:, ~chosen])


def test_unknown_categories_are_one_more_or_an_error():
    matrix = np.array([[7.0, 0.5], [3.0, 0.1], [7.0, 2.0]])
    new = np.array([[5.0, 1.0], [-1.0, 1.0], [3.0, 1.0]])
    chosen, names = np.array([True, False]), ["code", "x"]
    open_ones = Categories.of(matrix, chosen, names, None, True)
    assert open_ones.encode(new).tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [1, 0, 0, 1]]
    with pytest.raises(ValueError, match=r"column 'code'; got the unknown 5\. Known are \[3"):
        Categories.of(matrix, chosen, names, None, False).encode(new)


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_values_beyond_the_precision_of_a_column_are_its_largest(dtype, rng):
    frame = pd.DataFrame(rng.normal(size=(30, 2)), columns=["a", "b"]).astype({"a": dtype})
    vae = VAETransformer(1, likelihood="from_dtype", max_iter=1, random_state=0).fit(frame)
    found = vae.impute(frame.astype({"a": float}).assign(a=-1e39, b=np.nan))
    assert found["a"].dtype == dtype
    assert np.all(found["a"] == np.finfo(dtype).min)
