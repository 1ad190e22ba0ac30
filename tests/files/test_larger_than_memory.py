"""Rows that are not in memory: files mapped into it, and batches that come out of files."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from conftest import assert_digits
from peaks import found_by

from skgen import BayesianBasisRegressor, GaussianBasis

PASSES = """
import numpy as np
from skgen import BayesianBasisRegressor

X = np.memmap(sys.argv[1], np.float32, "r").reshape(-1, 64)
y = np.memmap(sys.argv[2], np.float32, "r")
model, method = BayesianBasisRegressor("identity"), sys.argv[3]
with watched():
    if method == "predict":
        mean, std = model.fit(X[:5000], y[:5000]).predict(X, return_std=True)
    else:
        getattr(model, method)(X, y)
found |= {"coef": model.coef_.tolist(), "n": model.n_samples_seen_}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "n_rows"), [("fit", 2**24), ("partial_fit", 2**22), ("predict", 2**22)]
)
def test_a_file_of_gigabytes_goes_through_in_less_than_one(
    method: str, n_rows: int, tmp_path: Path, rng
) -> None:
    """4 GiB need less than 1 GB, and 1 GiB less than half of that.

    The file is sparse: rows of zeros, but for a few thousand.
    """
    n_columns = 64
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(n_rows, n_columns))
    y = np.memmap(tmp_path / "y", np.float32, "w+", shape=n_rows)
    some = np.linspace(0, n_rows - 1, 3000).astype(int)
    X[some] = rng.normal(size=(len(some), n_columns))
    y[some] = X[some].sum(axis=1)
    X.flush()
    assert (tmp_path / "X").stat().st_size == 256 * n_rows
    found = found_by(PASSES, tmp_path / "X", tmp_path / "y", method)
    print(f"{method}: {found['peak'] / 1e6:.0f} MB")
    assert 5e7 < found["peak"] < (1e9 if n_rows == 2**24 else 5e8)
    if method != "predict":
        assert found["n"] == n_rows
        assert_digits(found["coef"], np.ones(n_columns), 5)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_a_mapped_file_is_an_array(method: str, tmp_path: Path, rng) -> None:
    X = rng.uniform(size=(6000, 2)).astype(np.float32)
    y = (np.sin(6 * X[:, 0]) + 0.1 * rng.normal(size=6000)).astype(np.float32)
    for name, table in {"X": X, "y": y}.items():
        np.save(tmp_path / f"{name}.npy", table)
    mapped = (np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in ("X", "y"))
    found = getattr(BayesianBasisRegressor(GaussianBasis(12, width="evidence")), method)(*mapped)
    expected = getattr(BayesianBasisRegressor(GaussianBasis(12, width="evidence")), method)(
        X.astype(float), y.astype(float)
    )
    assert_digits(found.basis_.width_, expected.basis_.width_, 6)  # those of X in single precision
    assert_digits(found.predict(X), expected.predict(X), 6)


@pytest.mark.parametrize("kind", ["record batches", "tables", "frames"])
def test_batches_of_a_parquet_file_are_the_whole(kind: str, tmp_path: Path, rng) -> None:
    columns = {"a": rng.uniform(size=2500), "b": rng.integers(0, 3, size=2500)}
    columns["y"] = np.cos(3 * columns["a"]) + columns["b"] + 0.1 * rng.normal(size=2500)
    table = pa.table(columns)
    for part in range(2):
        rows = table.slice(part * 1300, 1300)
        pq.write_table(rows, tmp_path / f"{part}.parquet", row_group_size=400)
    whole = BayesianBasisRegressor(GaussianBasis(20, domain=[(0, 1), (0, 2)]), solver="qr")
    whole.fit(table.select(["a", "b"]), table["y"])
    assert list(whole.feature_names_in_) == ["a", "b"]
    model = BayesianBasisRegressor(GaussianBasis(20, domain=[(0, 1), (0, 2)]))
    for batch in ds.dataset(tmp_path).to_batches(batch_size=270):
        if kind == "tables":
            batch = pa.Table.from_batches([batch])
        elif kind == "frames":
            batch = batch.to_pandas()
        X = batch[["a", "b"]] if kind == "frames" else batch.select(["a", "b"])
        model.partial_fit(X, batch["y"])
    has_names = hasattr(model, "feature_names_in_")
    if kind != "record batches":  # whose names not every version of scikit-learn reads
        assert list(model.feature_names_in_) == ["a", "b"]
    assert model.n_samples_seen_ == 2500
    X = np.column_stack([columns["a"], columns["b"]])
    X = table.select(["a", "b"]) if has_names else X
    for found, expected in zip(
        model.predict(X, return_std=True),
        whole.predict(table.select(["a", "b"]), return_std=True),
        strict=True,
    ):
        assert_digits(found, expected)
    assert_digits(model.log_marginal_likelihood_, whole.log_marginal_likelihood_)


def test_what_a_table_must_not_hold_is_refused() -> None:
    y = pa.array([1.0, 2.0])
    unfit = {"text": ["a", "b"], "dates": pa.array([1, 2], pa.timestamp("s"))}
    for found, column in unfit.items():
        with pytest.raises(ValueError, match=f"`X` must hold numbers; got {found}"):
            BayesianBasisRegressor().fit(pa.table({"x": column}), y)
