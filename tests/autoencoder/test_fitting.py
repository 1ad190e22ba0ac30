"""The base class of autoencoders: fitting of a conditional model with a context."""

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback

from skgen import VAETransformer
from skgen._autoencoder.batches import Batch, TableView
from skgen._autoencoder.fitting import FIT_PARAMETERS, BaseAutoencoder
from skgen._autoencoder.model import Architecture
from skgen.networks import MLP
from skgen.priors import StandardNormal

pytestmark = [
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:All latent dimensions have collapsed"),
]


class Conditional(BaseAutoencoder):
    """The least that a conditional autoencoder defines."""

    _data_names = Batch("Y", "X", "mask")

    _parameters = FIT_PARAMETERS

    def __init__(self, max_iter=20, early_stopping=False, checkpoint=None, callbacks=None):
        vars(self).update(
            VAETransformer(2, likelihood="gaussian", batch_size=20, n_iter_no_change=100,
                           learning_rate_init=0.01, validation_fraction=0.2, random_state=0,
                           ).get_params(deep=False)
        )  # fmt: skip
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.checkpoint = checkpoint
        self.callbacks = callbacks

    def fit(self, X, Y):
        return self._fit(X, Y)

    def partial_fit(self, X, Y):
        return self._partial_fit(X, Y)

    def _validate_batch(self, data, likelihood, reset):
        X, Y = data
        return Batch(likelihood.check_support(Y), X)

    def _architecture(self, p, likelihood, batch):
        sizes = batch.x.shape[1], 2, batch.context.shape[1]
        return Architecture(MLP((8,)), MLP((8,)), likelihood, StandardNormal(), *sizes)

    def _views(self, batch, vae):
        return super()._views(batch, vae)._replace(context=TableView(batch.context, vae.dtype))


@pytest.fixture
def X(rng):
    return rng.normal(size=(103, 3))


@pytest.fixture
def Y(X, rng):
    return X @ rng.normal(size=(3, 4)) + 0.1 * rng.normal(size=(103, 4))


class Rows(Callback):
    """Records the rows of each batch, and the data that callbacks are given."""

    def initialize(self):
        self.batches = []
        return self

    def on_epoch_begin(self, net, dataset_train, dataset_valid, **kwargs):
        self.training, self.validation = dataset_train, dataset_valid

    def on_batch_begin(self, net, batch, **kwargs):
        self.batches.append(batch[0])


def test_the_context_is_learned_from(X, Y):
    informed = Conditional(max_iter=60).fit(X, Y)
    assert informed.loss_curve_[-1] < Conditional(max_iter=60).fit(X[::-1], Y).loss_curve_[-1] - 1
    assert informed.partial_fit(X, Y).n_iter_ == 61


def test_rows_of_data_and_context_stay_together(X, Y):
    seen = Rows()
    model = Conditional(3, early_stopping=True, callbacks=[seen]).fit(X, Y)
    assert seen.training.n_rows + seen.validation.n_rows == 103
    for batch in [*seen.batches, seen.training, seen.validation]:
        rows = np.abs(batch.context.numpy()[:, None] - X).sum(2).argmin(1)
        expected = model.likelihood_.transform(Y[rows]).astype(np.float32)
        assert torch.equal(batch.x, torch.from_numpy(expected))


def test_a_checkpoint_is_of_data_and_context(X, Y, tmp_path):
    class Failing(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 3:
                raise ZeroDivisionError

    path = tmp_path / "checkpoint"
    with pytest.raises(ZeroDivisionError):
        Conditional(5, checkpoint=path, callbacks=[Failing()]).fit(X, Y)
    with pytest.raises(ValueError, match=r"must belong to this fit; got .* with X="):
        Conditional(5, checkpoint=path).fit(X + 1, Y)
    resumed = Conditional(5, checkpoint=path).fit(X, Y)
    assert resumed.loss_curve_ == Conditional(5).fit(X, Y).loss_curve_
    assert not path.exists()


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_too_little_memory_is_a_memory_error(method):
    vae = VAETransformer(hidden_layer_sizes=(900_000, 900_000))  # 3 TB of weights
    with pytest.raises(MemoryError, match="`VAETransformer` needs more memory than there is"):
        getattr(vae, method)(np.zeros((5, 2)))
    assert not vars(vae).keys() - vae.get_params().keys()
