"""Dask input: same results as in memory, from blocks that stay on their workers."""

import os
import subprocess
import sys
import tracemalloc
import warnings

import dask
import dask.array as da
import dask.dataframe as dd
import joblib
import numpy as np
import pandas as pd
import pytest
from conftest import assert_digits, representatives
from distributed import Client, LocalCluster
from scipy.stats import norm
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler
from threadpoolctl import threadpool_info

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    SigmoidBasis,
    mean_log_predictive_density,
)
from skgen._regression.rows import SEARCH_ROWS

N_ROWS = SEARCH_ROWS + 1500


def data(rng, n_rows=N_ROWS, n_features=2):
    X = rng.uniform(-2, 2, size=(n_rows, n_features))
    return X, np.sin(2 * X[:, 0]) + X[:, -1] + 0.2 * rng.normal(size=n_rows)


def in_blocks(array, chunks):
    return None if array is None else da.from_array(array, chunks=(chunks, *array.shape[1:]))


def frame(X, y, n_partitions, **columns):
    """A data frame of unknown sizes, some of its partitions empty."""
    table = pd.DataFrame({"a": X[:, 0], "b": X[:, -1], "y": y, **columns})
    table["keep"] = np.arange(len(table)) >= len(table) // 5
    return dd.from_pandas(table, npartitions=n_partitions), table[table.keep]


def weights_of(model):
    return np.column_stack([np.atleast_1d(model.intercept_), np.atleast_2d(model.coef_)])


def assert_same_model(found, expected, digits=12):
    assert found.n_samples_seen_ == expected.n_samples_seen_
    assert_digits(weights_of(found), weights_of(expected), digits)
    for name in ("covariance_", "noise_precision_"):
        assert_digits(getattr(found, name), getattr(expected, name), digits)
    # A sum of one term per row, which may cancel: digits are those of a nat per row.
    difference = found.log_marginal_likelihood_ - expected.log_marginal_likelihood_
    size = max(abs(expected.log_marginal_likelihood_), expected.n_samples_seen_)
    assert abs(difference) <= 10.0**-digits * size


@pytest.fixture(scope="module")
def client():
    """Client of single-threaded worker processes: one, until a test scales up."""
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        yield client


# -- the same answers -----------------------------------------------------------------------------

FEW_WAVES = FourierBasis(20, ranks=True, linear=True, random_state=0)
"""The default with fewer waves, whose search at all rows takes less time."""

EXACT = {
    "as the default": FEW_WAVES,
    "identity": "identity",
    "polynomial": "polynomial",
    "domain": GaussianBasis(10, domain=(-2, 2)),
    "k-means": GaussianBasis(12),
    "even": GaussianBasis(10, centers="even"),
    "learnt widths": GaussianBasis(12, width="evidence"),
    "waves": FourierBasis(20, random_state=0),
    "fixed waves": FourierBasis(20, length_scale=1.0, random_state=np.random.RandomState(3)),
    "sigmoids": SigmoidBasis(4),
    "splines": SplineTransformer(4),
    "frozen": FrozenEstimator(make_pipeline(StandardScaler(), GaussianBasis(5)).fit(np.eye(2))),
}


@pytest.mark.parametrize(("basis", "weighted"), representatives(EXACT, [False, True]))
def test_fit_is_that_in_memory(basis, weighted, rng):
    X, y = data(rng)
    weights = rng.integers(0, 3, size=len(y)) * 0.7 if weighted else None
    model = BayesianBasisRegressor(EXACT[basis])
    expected = clone(model).fit(X, y, weights)
    found = model.fit(
        da.from_array(X, chunks=(701, 1)), in_blocks(y, 640), in_blocks(weights, 1000)
    )
    assert_same_model(found, expected)


@pytest.mark.parametrize("n_rows", [150, pytest.param(N_ROWS, marks=pytest.mark.slow)])
def test_the_default_is_that_in_memory_too(n_rows, rng):
    X, y = data(rng, n_rows)
    # With more rows the default would be by the Gram matrix in memory, to half the digits.
    waves = FourierBasis(100, ranks=True, linear=True, random_state=0)
    model = BayesianBasisRegressor("auto" if n_rows < SEARCH_ROWS else waves)
    expected = clone(model).fit(X, y)
    found = clone(model).fit(in_blocks(X, n_rows // 3), in_blocks(y, n_rows // 4))
    assert np.array_equal(found.basis_.theta_, expected.basis_.theta_)
    assert_same_model(found, expected)


@pytest.mark.parametrize("solver", ["auto", "qr", "cholesky"])
@pytest.mark.parametrize("chunks", [1, 7, (3, 150, 47), (199, 1), 200])
def test_any_chunks_give_the_same_fit(chunks, solver, rng):
    X, y = data(rng, 200)
    Y = np.stack([y, y**2], axis=1)
    model = BayesianBasisRegressor(GaussianBasis(6, domain=(-2, 2)), solver=solver)
    expected = clone(model).fit(X, Y)
    X, Y = (da.from_array(table, chunks=(chunks, 1)) for table in (X, Y))
    assert_same_model(model.fit(X, Y), expected)


@pytest.mark.parametrize("dtype", ["float64", "float32", "int16"])
def test_large_blocks_use_the_gram_matrix(dtype, rng):
    X = rng.integers(-100, 100, size=(60_000, 80)).astype(dtype)
    y = X @ rng.normal(size=80) + 200 * rng.normal(size=len(X))
    model = BayesianBasisRegressor("identity")
    expected = clone(model).fit(X, y)
    assert_same_model(model.fit(in_blocks(X, 31_000), in_blocks(y, 31_000)), expected)


@pytest.mark.parametrize("basis", [FEW_WAVES, GaussianBasis(6), StandardScaler()], ids=str)
def test_partitions_of_unknown_sizes_some_of_them_empty(basis, rng):
    X, y = data(rng)
    collection, table = frame(X, y, 9, weight=rng.integers(0, 2, size=len(y)) * 1.0)
    kept = collection[collection.keep]
    names = ["a", "b"]
    expected = BayesianBasisRegressor(basis).fit(table[names], table.y, table.weight)
    found = BayesianBasisRegressor(basis).fit(kept[names], kept.y, kept.weight)
    assert_same_model(found, expected)
    assert list(found.feature_names_in_) == names
    assert_digits(found.predict(kept[names]).compute(), expected.predict(table[names]))
    arrays = kept[names].to_dask_array(), kept.y.to_dask_array(), kept.weight.to_dask_array()
    assert_same_model(clone(found).fit(*arrays), expected)


def test_a_frame_and_an_array_of_the_same_partitions(rng):
    X, y = data(rng, 300)
    collection, _ = frame(X, y, 4)
    lengths = collection.y.to_dask_array(lengths=True)
    expected = BayesianBasisRegressor("identity").fit(X, y)
    found = BayesianBasisRegressor("identity").fit(collection[["a", "b"]], lengths)
    assert_same_model(found, expected)


@pytest.mark.parametrize("forgetting", [1.0, 0.999])
def test_partial_fit_goes_on_from_memory_to_dask_and_back(forgetting, rng):
    X, y = data(rng, 900)
    weights = rng.uniform(0.5, 2, size=900)
    weights[100:200] = 0  # whole blocks of them
    model = BayesianBasisRegressor(GaussianBasis(8), forgetting=forgetting)
    expected = clone(model)
    for part in (slice(0, 300), slice(300, 700), slice(700, 900)):
        expected.partial_fit(X[part], y[part], weights[part])
        dasked = (in_blocks(table[part], 90) for table in (X, y, weights))
        inside = (table[part] for table in (X, y, weights))
        model.partial_fit(*(inside if part.start == 300 else dasked))
    assert_same_model(model, expected)


def test_one_weight_for_all_may_be_a_number(rng):
    X, y = data(rng, 100)
    model = BayesianBasisRegressor("identity", noise_precision=25.0)
    expected = clone(model).fit(X, y, 2.0)
    assert_same_model(model.fit(in_blocks(X, 30), in_blocks(y, 30), 2.0), expected)


@pytest.mark.parametrize(
    "basis", [StandardScaler(), SelectKBest(f_regression, k=1)], ids=["scaler", "selection"]
)
def test_rows_that_transformers_which_depend_on_the_data_are_fitted_to(basis, rng):
    X, y = data(rng)
    chosen = np.linspace(0, N_ROWS - 1, SEARCH_ROWS).astype(int)
    chosen = np.union1d(chosen, [X.argmin(axis=0), X.argmax(axis=0)])
    fitted = clone(basis).fit(X[chosen], y[chosen])
    expected = BayesianBasisRegressor(FrozenEstimator(fitted)).fit(X, y)
    found = BayesianBasisRegressor(basis).fit(in_blocks(X, 800), in_blocks(y, 800))
    assert np.array_equal(found.basis_.transform(X), fitted.transform(X))
    assert_same_model(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("numbers", [(1, 2), (2, 4)])
def test_any_number_of_workers(numbers, client, rng):
    X, y = data(rng)
    model = BayesianBasisRegressor(FourierBasis(20, random_state=0))
    expected = clone(model).fit(X, y)
    for n_workers in numbers:
        client.cluster.scale(n_workers)
        client.wait_for_workers(n_workers)
        assert len(client.scheduler_info(n_workers=-1)["workers"]) == n_workers
        with client.as_current():
            found = clone(model).fit(in_blocks(X, 500), in_blocks(y, 500))
        assert_same_model(found, expected)


# -- the data stay where they are -----------------------------------------------------------------


def made_elsewhere(seed, n_rows, client_pid):
    """Rows made in a worker process; an error in the process of the client."""
    assert os.getpid() != client_pid, "rows were made in the client's process"
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n_rows, 4))
    return np.hstack([X, X.sum(axis=1, keepdims=True) + 0.1 * rng.normal(size=(n_rows, 1))])


def rows_elsewhere(n_rows, n_blocks=6):
    make = dask.delayed(made_elsewhere)
    blocks = [
        da.from_delayed(make(seed, n_rows // n_blocks, os.getpid()), (n_rows // n_blocks, 5), float)
        for seed in range(n_blocks)
    ]
    table = da.concatenate(blocks)
    return table[:, :4], table[:, 4]


def clients_peak(job):
    """Largest number of bytes allocated in this process, beyond those at the start."""
    tracemalloc.start()
    try:
        job()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "basis",
    [
        "identity",
        FourierBasis(20, random_state=0),
        StandardScaler(),
    ],
    ids=str,
)
@pytest.mark.slow
def test_only_objects_of_the_models_size_reach_the_client(basis, client):
    """With ten times the rows, 12 MB, the client needs no more memory."""
    model = BayesianBasisRegressor(basis)

    def fit_and_score(n_rows):
        X, y = rows_elsewhere(n_rows)
        assert 0.9 < model.fit(X, y).score(X, y) < 1

    with client.as_current():
        few, many = (
            clients_peak(lambda n_rows=n_rows: fit_and_score(n_rows))
            for n_rows in (30_000, 300_000)
        )
        assert many < few + 1e6
        X, y = rows_elsewhere(300_000)  # what the peak would be: the measurement notices
        assert clients_peak(lambda: clone(model).set_params(basis="identity").fit(
            np.asarray(X), np.asarray(y))) > 1e7  # fmt: skip


def test_rows_made_in_the_clients_process_would_be_noticed():
    X, y = rows_elsewhere(60)
    with pytest.raises(AssertionError, match="client's process"):
        BayesianBasisRegressor("identity").fit(X, y)


class Serial(TransformerMixin, BaseEstimator):
    """Identity that raises unless BLAS has one thread."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        threads = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
        if len(X) > 1:  # beyond the row on which the client counts columns
            assert threads == {1}
        return X


def test_tasks_keep_blas_to_one_thread(rng):
    X, y = data(rng, 900)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(2, user_api="blas"):
        model = BayesianBasisRegressor(Serial()).fit(in_blocks(X, 50), in_blocks(y, 50))
        model.predict(in_blocks(X, 50)).compute(scheduler="synchronous")
        assert {
            pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
        } == {2}


def test_numpy_users_never_import_dask():
    code = (
        "import sys, numpy as np, skgen\n"
        "X = np.linspace(0, 1, 20)[:, None]\n"
        "model = skgen.BayesianBasisRegressor().fit(X, X[:, 0]).partial_fit(X, X[:, 0])\n"
        "model.predict(X, return_std=True), model.sample_y(X), model.score(X, X[:, 0])\n"
        "assert not {'dask', 'distributed'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# -- predictions stay lazy ------------------------------------------------------------------------


def never(block):
    raise AssertionError("evaluated")


@pytest.mark.parametrize("n_outputs", [None, 1, 3])
def test_predictions_are_lazy_and_those_in_memory(n_outputs, rng):
    X, y = data(rng, 300)
    Y = y if n_outputs is None else np.stack([y, -y + 1, y**2][:n_outputs], axis=1)
    model = BayesianBasisRegressor(GaussianBasis(8)).fit(X, Y)
    expected = *model.predict(X, return_std=True), model.log_predictive_density(X, Y)
    rows, targets = in_blocks(X, 70), in_blocks(Y, 90)
    mean, std = model.predict(rows, return_std=True)
    log_density = model.log_predictive_density(rows, targets)
    model.partial_fit(X, 0 * Y)  # what is asked later is answered as of then
    for lazy, known in zip((mean, std, log_density), expected, strict=True):
        assert isinstance(lazy, da.Array)
        assert (lazy.chunks[0], lazy.shape, lazy.dtype) == ((70,) * 4 + (20,), known.shape, float)
        assert_digits(lazy.compute(), known)
    assert_digits(model.predict(rows).compute(), model.predict(X))
    rows = rows.map_blocks(never, dtype=float, meta=np.empty((0, 0)))
    model.predict(rows, return_std=True)
    model.sample_y(rows)
    model.log_predictive_density(rows, targets)


def test_predictions_of_a_frame_keep_its_partitions(rng):
    X, y = data(rng, 300)
    collection, table = frame(X, y, 7)
    kept, names = collection[collection.keep], ["a", "b"]
    model = BayesianBasisRegressor(GaussianBasis(8)).fit(table[names], table.y)
    mean, std = model.predict(kept[names], return_std=True)
    found = kept.assign(mean=mean, std=std, log_density=model.log_predictive_density(
        kept[names], kept.y)).compute()  # fmt: skip
    expected = model.predict(table[names], return_std=True)
    assert_digits(found["mean"], expected[0])
    assert_digits(found["std"], expected[1])
    assert_digits(found["log_density"], model.log_predictive_density(table[names], table.y))
    assert model.sample_y(kept[names], 3).compute().shape == (len(table), 3)


def test_draws_are_joint_and_those_in_memory_but_for_the_noise(rng):
    X, y = data(rng, 400)
    Y = np.stack([y, y + X[:, 0]], axis=1)
    for targets in (y, Y):
        model = BayesianBasisRegressor(GaussianBasis(6), noise_precision="gamma").fit(X, targets)
        rows = in_blocks(X, 90)
        smooth = {"observation_noise": False, "random_state": 5}
        draws = model.sample_y(rows, 7, **smooth)
        assert isinstance(draws, da.Array)
        assert draws.shape == (400, *targets.shape[1:], 7)
        assert_digits(draws.compute(), model.sample_y(X, 7, **smooth))


def test_noise_is_its_own_in_each_block_and_repeats(rng):
    X, y = data(rng, 400)
    model = BayesianBasisRegressor("identity", prior_precision=1.0, noise_precision=4.0).fit(X, y)
    rows = in_blocks(np.repeat(X[:1], 4000, axis=0), 1000)
    draws = model.sample_y(rows, 2, random_state=1)
    function = model.sample_y(rows, 2, random_state=1, observation_noise=False).compute()
    noise = draws.compute() - function
    assert np.array_equal(draws.compute(), draws.compute())
    assert not np.array_equal(draws.compute(), model.sample_y(rows, 2).compute())
    assert len(np.unique(noise)) == noise.size
    deviation = (noise / 0.5).ravel()
    assert abs(deviation.mean()) * np.sqrt(noise.size) < norm.isf(1e-6)
    assert abs(np.mean(deviation**2) - 1) * np.sqrt(noise.size / 2) < norm.isf(1e-6)


def test_draws_from_the_prior(rng):
    model = BayesianBasisRegressor(
        GaussianBasis(5, domain=(0, 1)), prior_precision=2.0, noise_precision=9.0
    )
    X = rng.uniform(size=(30, 1))
    options = {"n_samples": 4, "random_state": 0, "observation_noise": False}
    assert_digits(
        model.sample_y(in_blocks(X, 8), **options).compute(), model.sample_y(X, **options)
    )


@pytest.mark.parametrize("kind", ["one output", "two", "constant", "weighted", "frame"])
def test_score_is_that_in_memory(kind, rng):
    X, y = data(rng, 300)
    weights = rng.integers(0, 3, size=300) * 1.0 if kind == "weighted" else None
    if kind == "two":
        y = np.stack([y, 1 + y**2], axis=1)
    model = BayesianBasisRegressor(GaussianBasis(8)).fit(X, y)
    if kind == "constant":
        y = np.ones(300)
    expected = model.score(X, y, weights)
    if kind == "frame":
        collection, table = frame(X, y, 4)
        model.fit(table[["a", "b"]], table.y)
        found = model.score(collection[["a", "b"]], collection.y)
        expected = model.score(collection[["a", "b"]].compute(), collection.y.compute())
    else:
        found = model.score(*(in_blocks(table, 77) for table in (X, y, weights)))
    assert isinstance(found, float)
    assert_digits(found, expected)


def test_the_mean_log_density_is_that_in_memory(rng):
    X, y = data(rng, 300)
    collection, table = frame(X, y, 4)
    kept, names = collection[collection.keep], ["a", "b"]
    model = BayesianBasisRegressor("identity").fit(table[names], table.y)
    expected = mean_log_predictive_density(model, table[names], table.y)
    assert_digits(mean_log_predictive_density(model, kept[names], kept.y), expected)


# -- bad input ------------------------------------------------------------------------------------


def with_nan(block):
    block = block.copy()
    block[-1] = np.nan
    return block


def spoilt(call):
    """The error that ``call`` raises."""
    with pytest.raises((ValueError, TypeError)) as caught:
        call()
    return caught.value


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("basis", ["identity", GaussianBasis(4), StandardScaler()], ids=str)
@pytest.mark.parametrize("spoil", ["nan in X", "nan in y", "negative weight", "huge X"])
def test_an_error_in_a_block_is_that_in_memory_and_changes_nothing(spoil, basis, method, rng):
    X, y = data(rng, 100)
    model = BayesianBasisRegressor(basis).fit(X, y)
    before = dict(vars(model))
    X, y, weights = X.copy(), y.copy(), np.ones(100)
    if spoil == "nan in X":
        X[60, 1] = np.nan
    elif spoil == "nan in y":
        y[60] = np.nan
    elif spoil == "huge X":
        X[60, 1] = 1e150
    else:
        weights[60] = -1
    rows = [in_blocks(table, 40) for table in (X, y, weights)]
    expected = spoilt(lambda: getattr(model, method)(X, y, weights))
    found = spoilt(lambda: getattr(model, method)(*rows))
    assert (type(found), str(found)) == (type(expected), str(expected))
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


def test_text_is_refused_before_any_block_is_made(rng):
    table = pd.DataFrame({"a": ["x", "y", "z"], "y": [1.0, 2, 3]})
    collection = dd.from_pandas(table, npartitions=2)
    with pytest.raises(ValueError, match="`X` must hold numbers; got text"):
        BayesianBasisRegressor().fit(collection[["a"]], collection.y)


def test_text_that_its_partition_hides_is_refused(rng):
    table = pd.DataFrame({"a": [1.0, 2, 3, 4], "y": [1.0, 2, 3, 4]})
    collection = dd.from_pandas(table, npartitions=2)
    liar = collection[["a"]].map_partitions(lambda part: part.astype(str), meta=table[["a"]])
    with pytest.raises(ValueError, match="`X` must hold numbers; got text"):
        BayesianBasisRegressor().fit(liar, collection.y)


def test_errors_for_mixed_input(rng):
    X, y = data(rng, 60)
    rows, targets = in_blocks(X, 20), in_blocks(y, 20)
    model = BayesianBasisRegressor("identity").fit(X, y)
    unknown = rows[da.from_array(np.ones(60, dtype=bool), chunks=20)]
    cases = [
        ("`y` must be a dask array", lambda: model.fit(rows, y)),
        ("`X` must be a dask array", lambda: model.fit(X, targets)),
        ("`X` must be a dask array", lambda: model.fit(X, y, in_blocks(np.ones(60), 20))),
        ("`X` must be a dask array", lambda: model.score(X, targets)),
        ("`X` must be a dask array", lambda: model.log_predictive_density(X, targets)),
        ("requires y to be passed", lambda: model.fit(rows, None)),
        (
            "`y` must have one row for each of the 60 rows of X",
            lambda: model.fit(rows, targets[1:]),
        ),
        ("`y` must have the partitions of X", lambda: model.fit(unknown, in_blocks(y, 30))),
        (
            "with n_samples=20 as in X",
            lambda: model.fit(unknown, da.from_array(y, ((10, 30, 20),))),
        ),
        ("Expected 2D array, got 1D", lambda: model.fit(targets, targets)),
        ("`return_cov` must be False", lambda: model.predict(rows, return_cov=True)),
        ("is expecting 2 features", lambda: model.predict(rows[:, :1])),
        ("`y` must have shape (n_samples,)", lambda: model.partial_fit(rows, rows)),
        ("must have rows", lambda: model.fit(rows, targets, da.zeros(60, chunks=20))),
        ("must have rows", lambda: model.fit(rows[:0], targets[:0])),
        ("`X` must hold numbers; got text", lambda: model.predict(rows.astype(str))),
    ]
    for message, call in cases:
        assert message in str(spoilt(call)), message


def test_feature_names_must_be_those_of_fit(rng):
    X, y = data(rng, 60)
    collection, _ = frame(X, y, 3)
    model = BayesianBasisRegressor("identity").fit(collection[["a", "b"]], collection.y)
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(collection[["b", "a"]])
    with pytest.raises(ValueError, match="feature names should match"):
        model.partial_fit(collection[["b", "a"]], collection.y)


def test_lazy_prediction_checks_its_block(rng):
    X, y = data(rng, 60)
    model = BayesianBasisRegressor("identity").fit(X, y)
    lazy = model.predict(in_blocks(X, 20).map_blocks(with_nan, dtype=float))
    with pytest.raises(ValueError, match="contains NaN"):
        lazy.compute()


# -- joblib ---------------------------------------------------------------------------------------


def test_a_grid_search_on_a_cluster(rng):
    X, y = data(rng, 120)
    search = GridSearchCV(
        BayesianBasisRegressor(), {"basis": ["identity", "gaussian"]}, scoring="r2", cv=3
    )
    expected = clone(search).fit(X, y)
    with (
        LocalCluster(
            n_workers=1, threads_per_worker=2, processes=False, dashboard_address=":0"
        ) as cluster,
        Client(cluster),
        warnings.catch_warnings(),
        joblib.parallel_config(backend="dask"),
    ):
        search.fit(X, y)
    assert search.best_params_ == expected.best_params_
    assert_digits(search.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"])
