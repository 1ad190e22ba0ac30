"""Batches and views of tables: the same rows from memory and from a file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import torch
from peaks import found_by
from sklearn.preprocessing import StandardScaler
from torch.utils.data import DataLoader, IterableDataset
from tqdm import tqdm

import skgen._autoencoder.batches
import skgen.likelihoods._base
from skgen import VAETransformer
from skgen._autoencoder.batches import Batch, TableView, fingerprint, row_blocks, select_rows

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few rows, so that small tables have several; and nothing is loaded."""
    monkeypatch.setattr(skgen._autoencoder.batches, "BLOCK_VALUES", 20)
    monkeypatch.setattr(skgen.likelihoods._base, "BLOCK_VALUES", 20)
    monkeypatch.setattr(skgen._autoencoder.batches, "MAX_LOADED_BYTES", 0)


def table(rng, dtype=np.float32, n_rows=47):
    return rng.normal(5, 3, size=(n_rows, 4)).astype(dtype)


def mapped(X, path: Path):
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def assert_same(vae, other):
    for found, expected in zip(
        vae.module_.state_dict().values(), other.module_.state_dict().values(), strict=True
    ):
        assert torch.equal(found, expected)
    np.testing.assert_array_equal(vae.explained_kl_, other.explained_kl_)
    assert vae.loss_curve_ == other.loss_curve_


def standardize(location, scale):
    return lambda X: (X - location) / scale


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("indices", [None, np.array([5, 1, 1, 40])])
def test_views_have_the_rows_of_the_transformed_table(dtype, indices, rng):
    X = table(rng, dtype)
    scaler = StandardScaler().fit(X)
    view = TableView(X, torch.float32, standardize(scaler.mean_, scaler.scale_))
    expected = torch.from_numpy((X - scaler.mean_) / scaler.scale_).float()
    if indices is not None:
        view, expected = view.subset(indices), expected[indices]
    index = torch.tensor([3, 0, 3])
    assert len(view) == len(expected)
    assert torch.equal(view[:], expected)
    assert torch.equal(view[1:3], expected[1:3])
    assert torch.equal(select_rows(view, index), expected[index])
    assert torch.equal(select_rows(expected, index), expected[index])
    assert torch.equal(view.load(), expected)


def test_the_largest_magnitude_is_that_of_the_transformed_table(rng):
    X, location, scale = table(rng), rng.normal(size=4), rng.uniform(1, 2, size=4)
    view = TableView(X, torch.float32, standardize(location, scale))
    assert np.array_equal(view.magnitudes, np.abs((X - location) / scale).max(axis=0))


def test_tables_without_a_transform_share_their_memory(rng):
    X = table(rng)
    assert TableView(X, torch.float32).load().data_ptr() == X.ctypes.data


def test_few_rows_are_loaded_and_many_are_not(rng, monkeypatch):
    view = TableView(table(rng), torch.float32, standardize(1, 1))
    for most, is_loaded in ((47 * 4 * 4, True), (47 * 4 * 4 - 1, False)):
        monkeypatch.setattr(skgen._autoencoder.batches, "MAX_LOADED_BYTES", most)
        assert isinstance(view.load(), torch.Tensor) == is_loaded


@pytest.mark.parametrize("is_transformed", [False, True])
def test_few_rows_are_loaded_to_the_device_and_many_are_not(is_transformed, rng, monkeypatch):
    """On a device that any machine has."""
    X = table(rng)
    transform = {"transform": standardize(1, 1)} if is_transformed else {}
    view = TableView(X, torch.float32, **transform)
    assert view.load("meta").device.type == "meta"
    monkeypatch.setattr(skgen._autoencoder.batches, "MAX_LOADED_BYTES", 47 * 4 * 4 - 1)
    if is_transformed:
        assert view.load("meta") is view
    else:
        assert view.load("meta").data_ptr() == X.ctypes.data


def test_batches_map_and_select_the_parts_that_are_there(rng):
    x, context = torch.from_numpy(table(rng)), torch.from_numpy(table(rng, float))
    batch = Batch(x, context)
    assert batch.n_rows == 47
    index = torch.tensor([7, 7, 0])
    assert torch.equal(batch.select(index).x, x[index])
    assert torch.equal(batch.select(index).context, context[index])
    assert batch.select(index).mask is None
    assert torch.equal(batch.map(torch.mul, 2).context, 2 * context)


def test_callbacks_are_given_a_batch_only_if_it_has_more_than_x():
    x = torch.zeros(3, 2)
    assert Batch(x).for_callbacks is x
    batch = Batch(x, mask=x.bool())
    assert batch.for_callbacks is batch


def test_blocks_cover_each_row_once():
    for n_rows, n_features in (
        (1, 1),
        (10, skgen._autoencoder.batches.BLOCK_VALUES // 3),
        (3, 10**9),
    ):
        blocks = [list(range(n_rows))[block] for block in row_blocks(n_rows, n_features)]
        assert [row for block in blocks for row in block] == list(range(n_rows))
        assert max(map(len, blocks)) * n_features <= max(
            skgen._autoencoder.batches.BLOCK_VALUES, n_features
        )


def test_fingerprints_of_different_tables_differ(rng, small_blocks):
    X = table(rng)
    others = [X + np.eye(47, 4), X[::-1], X[:, ::-1], X[1:], X.astype(float), X.reshape(4, 47)]
    prints = {fingerprint(other) for other in (X, *others)}
    assert len(prints) == 1 + len(others)
    assert fingerprint(np.asfortranarray(X)) == fingerprint(X.copy()) in prints


# -- files ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_fitting_a_memmap_equals_fitting_an_array(
    dtype, early_stopping, likelihood, rng, tmp_path, monkeypatch
):
    X = 1 / (1 + np.exp(-table(rng, dtype)))
    vae = VAETransformer(
        2, likelihood=likelihood, hidden_layer_sizes=(6,), max_iter=3, batch_size=10,
        early_stopping=early_stopping, random_state=0,
    )  # fmt: skip
    expected = vae.fit(X).partial_fit(X)
    Z, scores = expected.transform(X), expected.score_samples(X, 20)
    monkeypatch.setattr(skgen._autoencoder.batches, "MAX_LOADED_BYTES", 0)
    file = mapped(X, tmp_path / "X.npy")
    found = VAETransformer(**vae.get_params()).fit(file).partial_fit(file)
    assert_same(found, expected)
    np.testing.assert_array_equal(found.transform(file), Z)
    np.testing.assert_array_equal(found.score_samples(file, 20), scores)


def test_moments_by_blocks_equal_those_of_the_table(rng, small_blocks):
    X = table(rng) * np.float32([1, 1e-6, 1e6, 0]) + np.float32([0, 1e-3, 1e8, 7])
    vae = VAETransformer(2, hidden_layer_sizes=(6,), max_iter=1, random_state=0).fit(X)
    scaler = StandardScaler().fit(X.astype(float))
    np.testing.assert_allclose(vae.likelihood_.location_, scaler.mean_, rtol=1e-12)
    np.testing.assert_allclose(vae.likelihood_.scale_, scaler.scale_, rtol=1e-7)
    assert vae.likelihood_.scale_[3] == 1


PASSES = """
import warnings
import numpy as np
from skgen import VAETransformer

X = np.memmap(sys.argv[1], np.float32, "r").reshape(-1, 1024)
vae = VAETransformer(2, hidden_layer_sizes=(8,), batch_size=4096, max_iter=1, random_state=0)
if sys.argv[2] == "early_stopping":
    vae.set_params(early_stopping=True, checkpoint=sys.argv[1] + ".checkpoint", max_iter=2)
with watched(), warnings.catch_warnings():
    warnings.simplefilter("ignore")
    if sys.argv[2] == "transform":
        assert vae.fit(X[:5000]).transform(X).shape == (len(X), 2)
    elif sys.argv[2] == "partial_fit":
        vae.partial_fit(X)
    else:
        vae.fit(X)
found["location"] = vae.likelihood_.location_.tolist()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "n_rows"),
    [("fit", 2**19), ("partial_fit", 2**18), ("early_stopping", 2**18), ("transform", 2**18)],
)
def test_a_file_of_gigabytes_needs_less_than_one_of_memory(method, n_rows, tmp_path, rng):
    """2 GiB need no more than 1 GiB does: less than 0.9 GB, most of it for batches and code.

    The file is sparse: rows of zeros, but for a few thousand.
    """
    n_columns = 1024
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(n_rows, n_columns))
    some = np.linspace(0, n_rows - 1, 3000).astype(int)
    X[some] = rng.normal(3, 1, size=(len(some), n_columns))
    mean = X[some].sum(axis=0, dtype=float) / n_rows
    X.flush()
    assert (tmp_path / "X").stat().st_size == 4096 * n_rows
    found = found_by(PASSES, tmp_path / "X", method)
    print(f"{method}: {found['peak'] / 1e6:.0f} MB")
    assert 5e7 < found["peak"] < 9e8
    if method != "transform":
        np.testing.assert_allclose(found["location"], mean, rtol=1e-6)


# -- batches --------------------------------------------------------------------------------------


class Stream(IterableDataset):
    def __init__(self, X):
        self.X = X

    def __iter__(self):
        return iter(torch.from_numpy(self.X))


def batches_of(kind: str, X, folder: Path):
    """The rows of X, 20 a batch, out of parquet files or of a torch data set."""
    if kind == "torch":
        return DataLoader(Stream(X), batch_size=20)
    columns = {f"x{i}": column for i, column in enumerate(X.T)}
    pq.write_table(pa.table(columns), folder / "0.parquet")
    batches = ds.dataset(folder).to_batches(batch_size=20)
    return (batch.to_pandas() for batch in batches) if kind == "frames" else batches


@pytest.mark.parametrize("kind", ["torch", "record batches", "frames"])
def test_partial_fit_takes_batches_of_many_kinds(kind, rng, tmp_path, capsys):
    X = table(rng, n_rows=100)
    found, expected = (VAETransformer(2, hidden_layer_sizes=(6,), random_state=0) for _ in range(2))
    for _ in range(3):
        for batch in tqdm(batches_of(kind, X, tmp_path), unit="batch"):
            found.partial_fit(batch)
        for start in range(0, 100, 20):
            expected.partial_fit(X[start : start + 20])
    assert_same(found, expected)
    assert found.n_iter_ == 15
    assert "5batch" in capsys.readouterr().err.replace("/5", "")
