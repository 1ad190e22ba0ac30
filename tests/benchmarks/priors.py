"""Priors of VAETransformer beside each other: densities and draws.

    python tests/benchmarks/priors.py [--mnist FILE] [--rows N] [--epochs 20] [--n-test 1000]
        [--draws 100]
    python tests/benchmarks/priors.py --speed [--mnist FILE] [--rounds 5]

FILE is an npz with x_train, y_train, x_test and y_test, 28 x 28 grey levels from 0 to 255, which
are binarized once with seed 0; or with train, y_train, test and y_test, binary pixels packed by
numpy.packbits. Without one, scikit-learn's small digits are taken.

Printed are negative log likelihoods of --n-test evenly spaced test images in nats,
importance-weighted; and of decoder means of draws, beside test images (grey levels, where the file
has them), the Frechet distance and the coverage by features of a convolutional classifier that the
script trains first. With --speed, seconds of an epoch in units of that with N(0, I), measured in
turns: the median over rounds of each round's ratio, and its range; networks 784-500-20, the first
12 800 grey images.
"""

from __future__ import annotations

import argparse
import time
from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from subsets import evenly_spaced
from torch import nn
from torch.nn import functional
from turns import report

from skgen import VAETransformer
from skgen.metrics import frechet_distance, precision_recall_density_coverage
from skgen.priors import Flow, Mixture, VampPrior

N_DRAWS = 5000


class Images(NamedTuple):
    """Binary images and grey ones, and their labels."""

    train: np.ndarray
    test: np.ndarray
    grey_train: np.ndarray
    grey_test: np.ndarray
    y_train: np.ndarray
    y_test: np.ndarray


def read(path: str | None) -> Images:
    if path is None:
        digits = load_digits()
        grey, y = (digits.data / 16).astype(np.float32), digits.target
        return binarize(grey[:1300], grey[1300:], y[:1300], y[1300:])
    with np.load(path) as file:
        labels = file["y_train"], file["y_test"]
        if "train" in file:
            train, test = (np.unpackbits(file[name], axis=1) for name in ("train", "test"))
            train, test = train.astype(np.float32), test.astype(np.float32)
            return Images(train, test, train, test, *labels)
        grey = [(file[name].reshape(-1, 784) / 255).astype(np.float32)
                for name in ("x_train", "x_test")]  # fmt: skip
        return binarize(*grey, *labels)


def binarize(
    train: np.ndarray, test: np.ndarray, y_train: np.ndarray, y_test: np.ndarray
) -> Images:
    rng = np.random.default_rng(0)
    binary = [(rng.random(grey.shape) < grey).astype(np.float32) for grey in (train, test)]
    return Images(*binary, train, test, y_train, y_test)


class Classifier(nn.Module):
    """Convolutional network for digits; its last hidden layer gives the features."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side
        n_flat = 32 * ((side + 3) // 4) ** 2
        self.body = nn.Sequential(
            nn.Unflatten(1, (1, side, side)), nn.Conv2d(1, 16, 3, 2, 1), nn.SiLU(),
            nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Dropout(0.3),
            nn.Linear(n_flat, 64), nn.SiLU(),
        )  # fmt: skip
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(64, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)

    @torch.no_grad()
    def features(self, X: np.ndarray) -> np.ndarray:
        return self(torch.from_numpy(X.astype(np.float32))).numpy()


def train_classifier(images: Images, n_epochs: int = 8) -> Classifier:
    """Train on images that are shifted by up to a fourteenth of their side."""
    side = round(images.train.shape[1] ** 0.5)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = Classifier(side)
        _fit_classifier(model, images, n_epochs)
    model.eval()
    with torch.no_grad():
        found = model.head(model(torch.from_numpy(images.grey_test))).argmax(1).numpy()
    print(f"classifier: {np.mean(found == images.y_test):.3f} of test images right")
    return model


def _fit_classifier(model: Classifier, images: Images, n_epochs: int) -> None:
    x, y = torch.from_numpy(images.grey_train), torch.from_numpy(images.y_train).long()
    adam = torch.optim.AdamW(model.parameters(), 4e-3)
    n_steps = n_epochs * len(range(0, len(x), 64))
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 4e-3, total_steps=n_steps)
    side, farthest = model.side, model.side // 14
    for _ in range(n_epochs):
        for rows in torch.randperm(len(x)).split(64):
            shift = torch.randint(-farthest, farthest + 1, (2,)).tolist()
            shifted = x[rows].reshape(-1, side, side).roll(shift, (1, 2)).flatten(1)
            adam.zero_grad()
            functional.cross_entropy(model.head(model(shifted)), y[rows]).backward()
            adam.step()
            schedule.step()


def time_epochs(X: np.ndarray, priors: dict[str, object], rounds: int) -> None:
    """Print seconds of an epoch with each prior, relative to the first one's."""
    seconds: dict[str, list[float]] = {name: [] for name in priors}
    for _ in range(rounds):
        for name, prior in priors.items():
            vae = VAETransformer(
                20, likelihood="bernoulli", hidden_layer_sizes=(500,), prior=prior, max_iter=1,
                random_state=0,
            ).fit(X)  # fmt: skip
            seconds[name].append(vae.history_["dur"][0])
    first, *_ = seconds.values()
    for name, values in seconds.items():
        report(name, np.array(values), np.array(first))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist")
    parser.add_argument("--rows", type=int, help="number of training images; all by default")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--n-test", type=int, default=1000)
    parser.add_argument("--draws", type=int, default=100)
    parser.add_argument("--hidden", type=int, nargs="*", default=[300, 300])
    parser.add_argument("--components", type=int, default=40)
    parser.add_argument("--mixture", type=int, default=200)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--speed", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = read(given.mnist)
    n, train = given.mixture, images.train[: given.rows]
    priors = {
        "N(0, I)": "standard_normal", f"Mixture({n})": Mixture(n), f"VampPrior({n})": VampPrior(n),
        "Flow()": Flow(),
    }  # fmt: skip
    if given.speed:
        time_epochs(images.grey_train[:12_800], priors, given.rounds)
        return
    classifier = train_classifier(images)
    real = classifier.features(images.grey_test)
    test = evenly_spaced(images.test, given.n_test)

    def show(name: str, vae: VAETransformer, seconds: float) -> None:
        nats = -vae.score_samples(test, given.draws).mean()
        draws = vae.sample(N_DRAWS, observation_noise=False, random_state=0)
        generated = classifier.features(draws)
        distance = frechet_distance(real, generated)
        *_, coverage = precision_recall_density_coverage(real, generated)
        print(f"{name:24} {nats:8.2f} {distance:8.2f} {coverage:8.2f} {seconds:8.0f}", flush=True)

    print(f"{'prior':24} {'nats':>8} {'Frechet':>8} {'coverage':>8} {'seconds':>8}", flush=True)
    for name, prior in priors.items():
        if given.only and name not in given.only:
            continue
        start = time.perf_counter()
        vae = VAETransformer(
            given.components, likelihood="bernoulli", hidden_layer_sizes=tuple(given.hidden),
            prior=prior, max_iter=given.epochs, random_state=0,
        ).fit(train)  # fmt: skip
        show(name, vae, time.perf_counter() - start)
        if prior == "standard_normal":
            start = time.perf_counter()
            vae.fit_prior(train, 50, random_state=0)
            show("N(0, I), fit_prior(50)", vae, time.perf_counter() - start)


if __name__ == "__main__":
    main()
