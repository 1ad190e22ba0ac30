"""The autoencoder on a CUDA device: the same as on the CPU. Skipped without one."""

import copy
import pickle

import joblib
import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from torch import nn

import skgen
from skgen import VAERegressor, VAETransformer
from skgen._autoencoder import training
from skgen._autoencoder.fitting import BaseAutoencoder
from skgen._autoencoder.graphs import GraphRecorder
from skgen.likelihoods import ContinuousBernoulli, Gaussian, Mixed
from skgen.networks import ConvolutionalDecoder, ConvolutionalEncoder
from skgen.priors import PARTS as PRIORS

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]

N_FEATURES = 16
WAYS = {
    "gaussian": {},
    "a standard deviation each": {"likelihood": Gaussian("feature")},
    "one from the decoder": {"likelihood": Gaussian("row")},
    "bernoulli": {"likelihood": "bernoulli"},
    "continuous bernoulli": {"likelihood": "continuous_bernoulli"},
    "free bits": {"free_bits": 0.2, "beta": 2.0, "kl_warmup": 2},
    "importance": {"n_importance_samples": 3},
    "linear": {"hidden_layer_sizes": ()},
    "stopping": {
        "early_stopping": True,
        "n_iter_no_change": 2,
        "learning_rate": "constant",
        "learning_rate_init": 2.0**-8,
    },
    "masking": {"masking": 0.3},
    **{f"{name} prior": {"prior": name} for name in PRIORS if name != "conditional_normal"},
    "mixed": {
        "likelihood": Mixed([("levels", ContinuousBernoulli(), [0, 1])], remainder=Gaussian())
    },
}


def with_dropout(n_inputs, n_outputs):
    return nn.Sequential(nn.Linear(n_inputs, 16), nn.Dropout(0.3), nn.Linear(16, n_outputs))


def data(n_rows=203):
    rng = np.random.default_rng(0)
    return 1 / (1 + np.exp(-rng.normal(size=(n_rows, 3)) @ rng.normal(size=(3, N_FEATURES))))


def model(device="cuda", **parameters):
    defaults = {"hidden_layer_sizes": (16,), "max_iter": 6, "batch_size": 50, "random_state": 0}
    return VAETransformer(2, device=device, **{**defaults, **parameters})


def weights(vae):
    return {name: value.cpu().numpy() for name, value in vae.module_.state_dict().items()}


def assert_same(vae, other):
    found, expected = weights(vae), weights(other)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)
    assert vae.loss_curve_ == other.loss_curve_


@pytest.fixture
def double_precision(monkeypatch):
    """Networks are trained in float64, so that sums in another order are all that differs.

    Learning rates are numbers of float32, as a recorded step takes them.
    """
    plain, set_rate = BaseAutoencoder._new_module, training._Net._set_learning_rate

    def set_rounded_rate(net, progress):
        set_rate(net, progress)
        (group,) = net.optimizer_.param_groups
        group["lr"] = float(np.float32(group["lr"]))

    monkeypatch.setattr(training._Net, "_set_learning_rate", set_rounded_rate)
    monkeypatch.setattr(BaseAutoencoder, "_new_module", lambda *given: plain(*given).double())


@pytest.mark.usefixtures("double_precision")
@pytest.mark.parametrize("way", WAYS)
def test_training_equals_that_on_the_cpu(way):
    X = data()
    there, here = model(**WAYS[way]).fit(X), model("cpu", **WAYS[way]).fit(X)
    assert there.module_.device.type == "cuda"
    for name, value in weights(here).items():
        np.testing.assert_allclose(weights(there)[name], value, rtol=0, atol=1e-9, err_msg=name)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(there.explained_kl_, here.explained_kl_, rtol=0, atol=1e-9)


@pytest.mark.usefixtures("double_precision")
def test_training_on_missing_cells_equals_that_on_the_cpu():
    X = data()
    X[::3, 0] = np.nan
    there, here = model(masking=0.2).fit(X), model("cpu", masking=0.2).fit(X)
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-10)


@pytest.mark.usefixtures("double_precision")
def test_conditional_training_equals_that_on_the_cpu():
    X, y = data()[:, :5], data()[:, 5:]
    there, here = (
        VAERegressor(
            2, hidden_layer_sizes=(16,), max_iter=6, batch_size=50, learning_rate="one-cycle",
            device=device, random_state=0,
        ).fit(X, y)
        for device in ("cuda", "cpu")
    )  # fmt: skip
    np.testing.assert_allclose(there.loss_curve_, here.loss_curve_, rtol=1e-10)
    np.testing.assert_allclose(there.predict(X), here.predict(X), rtol=0, atol=1e-6)


def test_steps_are_recorded_and_replayed(monkeypatch):
    replays, plain = [], GraphRecorder._replay
    monkeypatch.setattr(
        GraphRecorder,
        "_replay",
        lambda self, *given: replays.append(self.key) or plain(self, *given),
    )
    model(kl_warmup=1).fit(data())  # in each epoch four batches of 50 rows and one of 3
    assert len(replays) == 1 + 1 + 4 * 4
    model(kl_warmup=1, callbacks=[WatchesBatches()]).fit(data())
    assert len(replays) == 18


def test_steps_that_cannot_be_recorded_are_run_as_they_are(monkeypatch):
    plain = GraphRecorder.run

    def run(self, step, *given):
        def copies(batch, noise, n_rows):
            return step(batch, noise, n_rows) + float(batch.x[0, 0]) * 0

        return plain(self, copies, *given)

    expected = model().fit(data())
    monkeypatch.setattr(GraphRecorder, "run", run)
    for found, value in zip(
        weights(model().fit(data())).values(), weights(expected).values(), strict=True
    ):
        np.testing.assert_allclose(found, value, rtol=0, atol=1e-5)


class WatchesBatches(Callback):
    """Is called with each batch, so that steps are not recorded."""

    def on_batch_end(self, net, **kwargs):
        pass


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("way", WAYS)
def test_methods_return_the_same_as_on_the_cpu(way, dtype):
    X = data().astype(dtype)
    there = model(**WAYS[way]).fit(X)
    here = pickle.loads(pickle.dumps(there))
    assert here.module_.device.type == "cpu"
    codes = here.transform(X)
    for of in (
        lambda vae: vae.transform(X),
        lambda vae: vae.inverse_transform(codes),
        lambda vae: vae.reconstruct(X),
        lambda vae: vae.sample(20, random_state=1),
        lambda vae: vae.score_samples(X),
        lambda vae: [vae.score(X)],
    ):
        found, expected = of(there), of(here)
        assert isinstance(found, np.ndarray | list)
        atol = (1e-9 if dtype == np.float64 else 1e-3) * np.abs(expected).max()
        np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


def test_convolutional_networks_learn(rng):
    X = rng.uniform(size=(60, 64))
    networks = {"encoder": ConvolutionalEncoder((8, 8)), "decoder": ConvolutionalDecoder((8, 8))}
    for given in (networks, {"image_shape": (8, 8)}):
        vae = model(likelihood="continuous_bernoulli", **given).fit(X)
        assert vae.loss_curve_[-1] < vae.loss_curve_[0]
        here = pickle.loads(pickle.dumps(vae))
        np.testing.assert_allclose(vae.transform(X), here.transform(X), rtol=0, atol=1e-9)


def test_dropout_is_seeded_and_leaves_global_generators_unchanged():
    X, before = data(), torch.cuda.get_rng_state()
    first, second = (model(decoder=with_dropout).fit(X) for _ in range(2))
    assert torch.equal(torch.cuda.get_rng_state(), before)
    assert_same(first, second)
    other = model(decoder=with_dropout, random_state=1).fit(X)
    assert other.loss_curve_ != first.loss_curve_


class Breaks(Callback):
    """Raises an error at the end of the fourth epoch."""

    def on_epoch_end(self, net, **kwargs):
        if len(net.history) == 4:
            raise ZeroDivisionError


@pytest.mark.parametrize("parameters", [{}, {"decoder": with_dropout}], ids=["plain", "dropout"])
def test_a_resumed_fit_equals_an_uninterrupted_one(parameters, tmp_path):
    X, path = data(), tmp_path / "fit.checkpoint"
    vae = model(checkpoint=path, callbacks=[Breaks()], **parameters)
    with pytest.raises(ZeroDivisionError):
        vae.fit(X)
    assert path.exists()
    assert_same(vae.set_params(callbacks=None).fit(X), model(**parameters).fit(X))


def test_a_fit_can_be_resumed_without_cuda(tmp_path):
    X, path = data(), tmp_path / "fit.checkpoint"
    vae = model(checkpoint=path, callbacks=[Breaks()], decoder=with_dropout)
    with pytest.raises(ZeroDivisionError):
        vae.fit(X)
    vae.set_params(callbacks=None, device="cpu").fit(X)
    assert vae.n_iter_ == 6
    assert vae.module_.device.type == "cpu"


@pytest.mark.parametrize("devices", [("cuda", "cuda"), ("cpu", "cuda"), ("cuda", "cpu")])
def test_training_continues_on_either_device(devices):
    X, vae = data(), model(learning_rate="constant", warm_start=True)
    vae.set_params(device=devices[0]).fit(X)
    fresh = copy.deepcopy(vae)
    for one in (vae, fresh):
        one.set_params(device=devices[1]).partial_fit(X)
        assert one.module_.device.type == devices[1]
        one.fit(X)
        assert one.n_iter_ == 13
    assert np.isfinite(vae.transform(X)).all()


@pytest.mark.parametrize("carrier", ["pickle", "joblib", "skgen", "deepcopy"])
def test_a_fitted_model_loads_without_cuda(carrier, tmp_path):
    X = data()
    vae = model().fit(X)
    expected = pickle.loads(pickle.dumps(vae)).transform(X)
    path = tmp_path / "model"
    if carrier == "joblib":
        joblib.dump(vae, path)
        found = joblib.load(path)
    elif carrier == "skgen":
        skgen.save(vae, path)
        found = skgen.load(path)
    elif carrier == "deepcopy":
        found = copy.deepcopy(vae)
    else:
        found = pickle.loads(pickle.dumps(vae))
    assert found.module_.device.type == "cpu"
    np.testing.assert_array_equal(found.transform(X), expected)
    assert found.set_params(device="cpu").partial_fit(X).n_iter_ == 7


def test_a_model_on_the_device_is_exported_to_onnx():
    onnx, runtime = pytest.importorskip("skgen.onnx"), pytest.importorskip("onnxruntime")
    pytest.importorskip("skl2onnx")
    X = data().astype(np.float32)
    vae = model().fit(X)
    session = runtime.InferenceSession(onnx.to_onnx(vae, X).SerializeToString())
    (codes,) = session.run(None, {session.get_inputs()[0].name: X})[:1]
    np.testing.assert_allclose(codes, vae.transform(X), rtol=0, atol=1e-4)


def test_rows_of_a_file_are_copied_batch_by_batch(tmp_path):
    X = data().astype(np.float32)
    np.save(tmp_path / "rows.npy", X)
    rows = np.load(tmp_path / "rows.npy", mmap_mode="r")
    assert_same(model().fit(rows), model().fit(X))
    np.testing.assert_array_equal(model().fit(X).transform(rows), model().fit(X).transform(X))
