"""Rows that are standardised when they are taken: the same rows, from memory or from a file."""

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
from skgen._autoencoder.batches import Rows, fingerprint, row_blocks
from skgen.likelihoods import Bernoulli, Gaussian

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]


@pytest.fixture
def small_blocks(monkeypatch):
    """A few rows a block, so that small tables have several; and nothing is held."""
    monkeypatch.setattr(skgen._autoencoder.batches, "BLOCK_VALUES", 20)
    monkeypatch.setattr(skgen.likelihoods._base, "BLOCK_VALUES", 20)
    monkeypatch.setattr(skgen._autoencoder.batches, "HELD_BYTES", 0)


def gaussian(location, scale):
    likelihood = Gaussian().fit(np.zeros((2, 4)))
    vars(likelihood).update(location_=np.array(location), scale_=np.array(scale))
    return likelihood


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


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chosen", [None, np.array([5, 1, 1, 40])])
def test_rows_are_those_standardised_all_at_once(dtype, chosen, rng):
    X = table(rng, dtype)
    scaler = StandardScaler().fit(X)
    rows = Rows(X, Gaussian().fit(X), torch.float32)
    expected = torch.from_numpy((X - scaler.mean_) / scaler.scale_).float()
    if chosen is not None:
        rows, expected = rows.only(chosen), expected[chosen]
    index = torch.tensor([3, 0, 3])
    assert len(rows) == len(expected)
    assert torch.equal(rows[:], expected)
    assert torch.equal(rows[1:3], expected[1:3])
    assert torch.equal(rows.index_select(0, index), expected[index])
    assert torch.equal(rows.held(), expected)


def test_the_farthest_value_is_the_largest_after_standardising(rng):
    X, location, scale = table(rng), rng.normal(size=4), rng.uniform(1, 2, size=4)
    rows = Rows(X, gaussian(location, scale), torch.float32)
    assert rows.farthest == np.abs((X - location) / scale).max()


def test_rows_that_need_nothing_are_shared(rng):
    X = table(rng)
    as_they_are = Rows(X, Bernoulli(), torch.float32)
    assert as_they_are.held().data_ptr() == X.ctypes.data


def test_few_rows_are_held_and_many_are_not(rng, monkeypatch):
    rows = Rows(table(rng), gaussian(np.ones(4), np.ones(4)), torch.float32)
    for most, held in ((47 * 4 * 4, True), (47 * 4 * 4 - 1, False)):
        monkeypatch.setattr(skgen._autoencoder.batches, "HELD_BYTES", most)
        assert isinstance(rows.held(), torch.Tensor) == held


@pytest.mark.parametrize("is_transformed", [False, True])
def test_few_rows_wait_on_the_device_and_many_do_not(is_transformed, rng, monkeypatch):
    """On a device that any machine has."""
    X = table(rng).astype(np.float32)
    likelihood = gaussian(np.ones(4), np.ones(4)) if is_transformed else Bernoulli()
    rows = Rows(X, likelihood, torch.float32)
    assert rows.held("meta").device.type == "meta"
    monkeypatch.setattr(skgen._autoencoder.batches, "HELD_BYTES", 47 * 4 * 4 - 1)
    if is_transformed:
        assert rows.held("meta") is rows
    else:
        assert rows.held("meta").data_ptr() == X.ctypes.data


def test_blocks_are_all_rows_once():
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


def test_fingerprints_tell_tables_apart(rng, small_blocks):
    X = table(rng)
    others = [X + np.eye(47, 4), X[::-1], X[:, ::-1], X[1:], X.astype(float), X.reshape(4, 47)]
    prints = {fingerprint(other) for other in (X, *others)}
    assert len(prints) == 1 + len(others)
    assert fingerprint(np.asfortranarray(X)) == fingerprint(X.copy()) in prints


# -- files -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("likelihood", ["gaussian", "bernoulli"])
def test_a_mapped_file_trains_as_an_array(
    dtype, early_stopping, likelihood, rng, tmp_path, monkeypatch
):
    X = 1 / (1 + np.exp(-table(rng, dtype)))
    vae = VAETransformer(
        2, likelihood=likelihood, hidden_layer_sizes=(6,), max_iter=3, batch_size=10,
        early_stopping=early_stopping, random_state=0,
    )  # fmt: skip
    expected = vae.fit(X).partial_fit(X)
    Z, scores = expected.transform(X), expected.score_samples(X, 20)
    monkeypatch.setattr(skgen._autoencoder.batches, "HELD_BYTES", 0)
    file = mapped(X, tmp_path / "X.npy")
    found = VAETransformer(**vae.get_params()).fit(file).partial_fit(file)
    assert_same(found, expected)
    np.testing.assert_array_equal(found.transform(file), Z)
    np.testing.assert_array_equal(found.score_samples(file, 20), scores)


def test_moments_by_blocks_are_those_of_the_whole(rng, small_blocks):
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
@pytest.mark.parametrize("method", ["fit", "partial_fit", "early_stopping", "transform"])
def test_a_file_of_4_gigabytes_goes_through_in_less_than_1(method, tmp_path, rng):
    """The file is sparse: rows of zeros, but for a few thousand."""
    n_rows, n_columns = 2**20, 1024
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(n_rows, n_columns))
    some = np.linspace(0, n_rows - 1, 3000).astype(int)
    X[some] = rng.normal(3, 1, size=(len(some), n_columns))
    mean = X[some].sum(axis=0, dtype=float) / n_rows
    X.flush()
    assert (tmp_path / "X").stat().st_size == 2**32
    found = found_by(PASSES, tmp_path / "X", method)
    print(f"{method}: {found['peak'] / 1e6:.0f} MB")
    assert 5e7 < found["peak"] < 1e9
    if method != "transform":
        np.testing.assert_allclose(found["location"], mean, rtol=1e-6)


# -- batches ---------------------------------------------------------------------------------------


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
def test_batches_may_come_from_anywhere(kind, rng, tmp_path, capsys):
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
