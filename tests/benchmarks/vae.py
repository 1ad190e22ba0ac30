"""Speed and quality of VAETransformer.

    python tests/benchmarks/vae.py speed [--mnist FILE] [--threads 1 2] [--rounds 5] [--peers]
        [--device cuda]
    python tests/benchmarks/vae.py quality --mnist FILE [--long] [--device cuda]
    python tests/benchmarks/vae.py record [--binarized FILE] [--mnist FILE] [--epochs 120]
        [--encoder mlp] [--decoder convolutional] [--blocks 0]
    python tests/benchmarks/vae.py digits

FILE of --mnist is an npz with x_train and x_test, arrays of 28 x 28 grey levels from 0 to 255; that
of --binarized has train and test, pixels of the binarization by Larochelle and Murray (2011),
packed by numpy.packbits.

speed: seconds in units of the best loop that we can write by hand for the same networks (one
permutation an epoch, slices, fused Adam). Each round measures everything in turn, in one process;
printed is the median over rounds of each round's ratio, and its range. The floor is the matrix
products alone. --peers adds pythae and pyod where installed. With --device the loops have all of
X there from the start, and ours is given it where numpy has it.

quality: negative log likelihood of 2000 evenly spaced test images in nats, importance-weighted
with 500 draws, after binarizing all once with seed 0. --long trains for 100 epochs and takes all
test images.

record: negative log likelihood of all test images, importance-weighted with 1000 draws, with 40
latent dimensions and a mixture of 500 Gaussians as prior; perceptrons have two hidden layers of 300
units. With --binarized, of the published binarization, fitted to its 50,000 training images;
otherwise of grey levels that are binarized in each epoch (test images once with seed 0). With
--blocks the decoder is convolutional, with that many residual blocks at each resolution.

digits: held-out log likelihood and reconstruction error of each likelihood, beside PCA.
"""

from __future__ import annotations

import argparse
import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from skorch import NeuralNet
from subsets import evenly_spaced
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset
from turns import in_turns, report

from skgen import VAETransformer
from skgen.likelihoods import Gaussian
from skgen.networks import ConvolutionalDecoder
from skgen.priors import Mixture

BATCH, RATE = 128, 1e-3


# -- speed ---------------------------------------------------------------------------------------


class Plain(nn.Module):
    """The networks of the comparison, and minus their ELBO as people write it by hand."""

    def __init__(self, n_features: int, n_hidden: int, n_components: int) -> None:
        super().__init__()
        sizes = (n_features, n_hidden, n_components)
        self.encoder = nn.Sequential(
            nn.Linear(sizes[0], sizes[1]), nn.SiLU(), nn.Linear(sizes[1], 2 * sizes[2])
        )
        self.decoder = nn.Sequential(
            nn.Linear(sizes[2], sizes[1]), nn.SiLU(), nn.Linear(sizes[1], sizes[0])
        )

    def forward(self, probabilities: Tensor) -> Tensor:
        x = (torch.rand_like(probabilities) < probabilities).float()
        mean, log_variance = self.encoder(x).chunk(2, 1)
        z = mean + torch.randn_like(mean) * torch.exp(0.5 * log_variance)
        misfit = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = 0.5 * (mean * mean + log_variance.exp() - 1 - log_variance).sum()
        return (misfit + kl) / len(x)


def train_on(module: Plain, batches: Callable[[], Iterator[Tensor]], n_epochs: int) -> None:
    optimizer = torch.optim.Adam(module.parameters(), lr=RATE, fused=True)
    for _ in range(n_epochs):
        for x in batches():
            optimizer.zero_grad()
            loss = module(x)
            loss.backward()
            optimizer.step()


def loop(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    def batches() -> Iterator[Tensor]:
        order = torch.randperm(len(X), device=X.device)
        for start in range(0, len(X), BATCH):
            yield X[order[start : start + BATCH]]

    train_on(Plain(X.shape[1], *sizes).to(X.device), batches, n_epochs)


def loader_loop(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    loader = DataLoader(TensorDataset(X), batch_size=BATCH, shuffle=True)
    module = Plain(X.shape[1], *sizes).to(X.device)
    train_on(module, lambda: (x for (x,) in loader), n_epochs)


class SkorchNet(NeuralNet):
    def get_loss(self, y_pred: Tensor, *_: Any, **__: Any) -> Tensor:
        return y_pred


def skorch_defaults(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    net = SkorchNet(
        Plain(X.shape[1], *sizes), nn.Identity, optimizer=torch.optim.Adam, lr=RATE,
        max_epochs=n_epochs, batch_size=BATCH, train_split=None, verbose=0,
        iterator_train__shuffle=True, device=X.device,
    )  # fmt: skip
    net.fit(X)


def ours(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> VAETransformer:
    n_hidden, n_components = sizes
    return VAETransformer(
        n_components, likelihood="bernoulli", hidden_layer_sizes=(n_hidden,), max_iter=n_epochs,
        batch_size=BATCH, random_state=0, device=str(X.device),
    ).fit(X.cpu().numpy())  # fmt: skip


def floor(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    """The matrix products of all layers, forward and backward, and nothing else."""
    n_hidden, n_components = sizes
    shapes = [
        (X.shape[1], n_hidden), (n_hidden, 2 * n_components), (n_components, n_hidden),
        (n_hidden, X.shape[1]),
    ]  # fmt: skip
    inputs = [torch.randn(BATCH, shape[0], device=X.device) for shape in shapes]
    weights = [torch.randn(shape[1], shape[0], device=X.device) for shape in shapes]
    outputs = [torch.randn(BATCH, shape[1], device=X.device) for shape in shapes]
    for _ in range(n_epochs * -(-len(X) // BATCH)):
        for layer, (x, weight, output) in enumerate(zip(inputs, weights, outputs, strict=True)):
            x @ weight.T
            output.T @ x
            if layer:
                output @ weight


def pythae_fit(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    from pythae.models import VAE, VAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    logging.disable(logging.INFO)
    plain = Plain(X.shape[1], *sizes)

    class Encoder(BaseEncoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = plain.encoder

        def forward(self, x: Tensor) -> Any:
            mean, log_variance = self.body(x).chunk(2, 1)
            return ModelOutput(embedding=mean, log_covariance=log_variance)

    class Decoder(BaseDecoder):
        def __init__(self) -> None:
            super().__init__()
            self.body = plain.decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=torch.sigmoid(self.body(z)))

    config = VAEConfig(
        input_dim=(X.shape[1],), latent_dim=sizes[1], reconstruction_loss="bce",
    )  # fmt: skip
    training = BaseTrainerConfig(
        output_dir=None, num_epochs=n_epochs, per_device_train_batch_size=BATCH,
        learning_rate=RATE, no_cuda=True,
    )  # fmt: skip
    trainer = BaseTrainer(VAE(config, Encoder(), Decoder()), _as_dataset(X), None, training)
    trainer.prepare_training()
    with redirect_stderr(io.StringIO()):  # its progress bars
        for epoch in range(1, n_epochs + 1):  # without the checkpoints that train() writes
            trainer.train_step(epoch)


def _as_dataset(X: Tensor) -> Any:
    from pythae.data.datasets import BaseDataset

    return BaseDataset(X, torch.zeros(len(X)))


def pyod_fit(X: Tensor, sizes: tuple[int, int], n_epochs: int) -> None:
    from pyod.models.vae import VAE

    n_hidden, n_components = sizes
    VAE(
        preprocessing=False, epoch_num=n_epochs, batch_size=BATCH, lr=RATE, device="cpu", verbose=0,
        encoder_neuron_list=[n_hidden], decoder_neuron_list=[n_hidden], latent_dim=n_components,
        dropout_rate=0.0, capacity=1e9,
    ).fit(X.numpy())  # fmt: skip


def compare(
    title: str, X: Tensor, sizes: tuple[int, int], n_epochs: int, options: argparse.Namespace
) -> None:
    runs: dict[str, Callable[..., Any]] = {
        "floor: matrix products alone": floor,
        "loop by hand": loop,
        "skgen, fit": ours,
        "loop over a DataLoader": loader_loop,
        "skorch, its defaults": skorch_defaults,
    }
    if options.peers:
        runs |= {"pythae": pythae_fit, "pyod": pyod_fit}
    alone: list[float] = []  # the seconds of our epochs, without what fit does beside them

    def task(name: str) -> None:
        model = runs[name](X, sizes, n_epochs)
        if X.device.type == "cuda":
            torch.cuda.synchronize()
        if isinstance(model, VAETransformer):
            alone.append(sum(model.history_["dur"]))

    times = in_turns({name: partial(task, name) for name in runs}, options.rounds)
    epochs = np.array(alone[1:])
    base = times["loop by hand"]
    print(f" {title}: the loop takes {np.median(base) * 1e3:.0f} ms", flush=True)
    for name, values in times.items():
        report(f"{name} / loop", values, base)
    report("skgen, epochs of fit / loop", epochs, base)
    ours_called, our_times = ("fit", times["skgen, fit"]) if n_epochs > 1 else ("epoch", epochs)
    for name in list(runs)[3:]:
        report(f"{name} / skgen, {ours_called}", times[name], our_times)


def overhead(rounds: int) -> None:
    X = load_iris().data
    beyond = []
    for _ in range(rounds + 1):
        start = time.perf_counter()
        model = VAETransformer(max_iter=10, random_state=0).fit(X)
        beyond.append(time.perf_counter() - start - sum(model.history_["dur"]))
    print(f" iris: fit takes {np.median(beyond[1:]) * 1e3:.1f} ms beyond its epochs")


def speed(options: argparse.Namespace) -> None:
    digits = torch.tensor(load_digits().data / 16, dtype=torch.float32, device=options.device)
    for threads in options.threads:
        torch.set_num_threads(threads)
        print(f"{threads} thread(s), medians over {options.rounds} rounds (range)")
        compare("digits 64-64-8, 10 epochs, construction included", digits, (64, 8), 10, options)
        overhead(options.rounds)
        if options.mnist:
            X = torch.from_numpy(images(options.mnist, "x_train")[: options.rows])
            X = X.to(options.device)
            compare(f"MNIST 784-500-20, {len(X)} rows, 1 epoch", X, (500, 20), 1, options)


# -- quality -------------------------------------------------------------------------------------


def images(path: Path, name: str) -> np.ndarray:
    if not path.exists():
        raise SystemExit(f"{path} is missing: give an npz file with x_train and x_test.")
    grey: np.ndarray = np.load(path)[name]
    return grey.reshape(len(grey), -1) / np.float32(255)


def quality(options: argparse.Namespace) -> None:
    X, grey = images(options.mnist, "x_train"), images(options.mnist, "x_test")
    test = (np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32)
    settings: list[dict[str, Any]] = [
        {"n_components": 20, "hidden_layer_sizes": (500,), "max_iter": 10},
        {"n_components": 20, "hidden_layer_sizes": (500,), "max_iter": 20},
    ]
    if options.long:
        settings = [{"n_components": 40, "hidden_layer_sizes": (500, 500), "max_iter": 100}]
    else:
        test = evenly_spaced(test, 2000)
    for setting in settings:
        start = time.perf_counter()
        model = VAETransformer(
            likelihood="bernoulli", device=options.device, random_state=0, verbose=1, **setting
        ).fit(X)
        seconds = time.perf_counter() - start
        scores = model.score_samples(test, 500)
        error = scores.std() / np.sqrt(len(scores))
        print(
            f"{setting}: NLL {-scores.mean():.2f} +- {error:.2f} nats on {len(test)} test images, "
            f"fit in {seconds:.0f} s on {options.device} with {torch.get_num_threads()} threads",
            flush=True,
        )


def record(options: argparse.Namespace) -> None:
    if options.binarized:
        with np.load(options.binarized) as file:
            X, test = (np.unpackbits(file[name], axis=1)[:, :784] for name in ("train", "test"))
        X, test = X.astype(np.float32), test.astype(np.float32)
    else:
        X, grey = images(options.mnist, "x_train"), images(options.mnist, "x_test")
        test = (np.random.default_rng(0).random(grey.shape) < grey).astype(np.float32)
    decoder: Any = options.decoder
    if options.blocks:
        decoder = ConvolutionalDecoder((28, 28), n_blocks=options.blocks)
    start, process = time.perf_counter(), time.process_time()
    model = VAETransformer(
        40, likelihood="bernoulli", prior=Mixture(500), hidden_layer_sizes=(300, 300),
        encoder=options.encoder, decoder=decoder, learning_rate_init=0.002,
        max_iter=options.epochs, random_state=0, verbose=1,
    ).fit(X)  # fmt: skip
    seconds = time.perf_counter() - start, time.process_time() - process
    print("fit in {:.0f} s, process time {:.0f} s".format(*seconds), flush=True)
    scores: list[float] = []
    for first in range(20):  # evenly spaced rows, because the first ones are less probable
        scores += model.score_samples(test[first::20], 1000).tolist()
        print(f"{len(scores)} test images: NLL {-np.mean(scores):.2f} nats", flush=True)


def digits(_: argparse.Namespace) -> None:
    X, X_test = train_test_split(load_digits().data / 16, test_size=0.25, random_state=0)
    print("digits, 8 latent dimensions       log likelihood (nats per row)   reconstruction (RMS)")
    pca = PCA(8).fit(X)
    restored = pca.inverse_transform(pca.transform(X_test))
    report_digits("PCA, as a density", pca.score(X_test), restored, X_test)
    for likelihood in (
        "gaussian", Gaussian("feature"), Gaussian("row", 0.01), "continuous_bernoulli", "bernoulli",
    ):  # fmt: skip
        rate = 1e-3 if likelihood == Gaussian("row", 0.01) else 4e-3  # as its docstring advises
        model = VAETransformer(
            8, likelihood=likelihood, learning_rate_init=rate, random_state=0
        ).fit(X)
        report_digits(str(likelihood), model.score(X_test), model.reconstruct(X_test), X_test)
    print(
        "bernoulli's is a probability of binarized digits, the others are densities of grey levels"
    )


def report_digits(name: str, score: float, restored: np.ndarray, X: np.ndarray) -> None:
    print(f"  {name:40} {score:14.2f} {np.sqrt(np.mean((restored - X) ** 2)):22.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("what", choices=("speed", "quality", "record", "digits"))
    parser.add_argument("--mnist", type=Path)
    parser.add_argument("--binarized", type=Path)
    parser.add_argument("--epochs", type=int, default=120)
    parser.add_argument("--encoder", choices=("mlp", "convolutional"), default="mlp")
    parser.add_argument("--decoder", choices=("mlp", "convolutional"), default="convolutional")
    parser.add_argument("--blocks", type=int, default=0, help="residual blocks of the decoder")
    parser.add_argument("--rows", type=int, default=60_000, help="MNIST rows of an epoch")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", action="store_true")
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.what == "quality" and not options.mnist:
        parser.error("quality needs --mnist FILE")
    if options.what == "record" and not (options.mnist or options.binarized):
        parser.error("record needs --mnist FILE or --binarized FILE")
    {"speed": speed, "quality": quality, "record": record, "digits": digits}[options.what](options)


if __name__ == "__main__":
    main()
