"""Draws of images by VAETransformer with each prior, beside a DCGAN and flow matching in pixels.

    python tests/benchmarks/draws.py --mnist FILE [--minutes 9] [--epochs 50] [--rows N]
        [--only mixture beta normal dcgan flow vamp] [--save FILE]

FILE is an npz with x_train, y_train, x_test and y_test, 28 x 28 grey levels from 0 to 255, such as
MNIST or Fashion-MNIST. Networks are 784-500-500-32 with a Bernoulli likelihood; draws are decoder
means. The DCGAN and the flow are trained for the given minutes of process time on one thread;
minutes of all are printed, draws included.

Printed are, of 5000 draws beside the test images, the Frechet distance and the coverage by features
of a convolutional classifier that the script trains first; the accuracy of a small convolutional
network that is trained to tell draws from test images, on a held-out half; and the mean norm of the
gradients of the draws, which is small if they are blurred. The first row is that of 5000 training
images.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from image_networks import SIDE, dcgan, flow_matching
from priors import Classifier, read, train_classifier
from torch import nn
from torch.nn import functional

from skgen import VAETransformer
from skgen.metrics import frechet_distance, precision_recall_density_coverage
from skgen.priors import Mixture, VampPrior

N_DRAWS = 5000
MODELS = ("mixture", "beta", "normal", "dcgan", "flow", "vamp")

Draws = Iterator[tuple[str, np.ndarray]]
"""Names of models, and their draws."""


def tell_apart(real: np.ndarray, drawn: np.ndarray, n_epochs: int = 15) -> float:
    """Accuracy of a convolutional network that tells real rows from drawn ones, held-out half."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Unflatten(1, (1, SIDE, SIDE)), nn.Conv2d(1, 16, 3, 2, 1), nn.SiLU(),
        nn.Conv2d(16, 32, 3, 2, 1), nn.SiLU(), nn.Flatten(), nn.Linear(32 * 49, 1),
    )  # fmt: skip
    x = torch.from_numpy(np.concatenate([real, drawn]).astype(np.float32))
    y = torch.arange(len(x)).lt(len(real)).float()
    order = torch.randperm(len(x))
    fitted, held_out = order.chunk(2)
    adam = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(n_epochs):
        for rows in fitted[torch.randperm(len(fitted))].split(64):
            adam.zero_grad()
            functional.binary_cross_entropy_with_logits(model(x[rows])[:, 0], y[rows]).backward()
            adam.step()
    with torch.no_grad():
        found = model(x[held_out])[:, 0] > 0
    return float((found == y[held_out].bool()).float().mean())


def mean_gradient(rows: np.ndarray) -> float:
    images = rows.reshape(-1, SIDE, SIDE)
    squares = np.diff(images, axis=1)[:, :, :-1] ** 2 + np.diff(images, axis=2)[:, :-1] ** 2
    return float(np.sqrt(squares).sum(axis=(1, 2)).mean())


class Judge:
    """Scores of draws beside test images."""

    def __init__(self, classifier: Classifier, test: np.ndarray) -> None:
        self.classifier, self.test, self.features = classifier, test, classifier.features(test)
        print(
            f"{'draws of':24} {'Frechet':>8} {'coverage':>9} {'told apart':>11} {'gradient':>9} "
            f"{'minutes':>8}"
        )

    def show(self, name: str, draws: np.ndarray, seconds: float = 0.0) -> None:
        features = self.classifier.features(draws)
        distance = frechet_distance(self.features, features)
        half = slice(None, None, len(self.test) // N_DRAWS)  # coverage depends on both numbers
        *_, coverage = precision_recall_density_coverage(self.features[half], features)
        accuracy = tell_apart(self.test[half], draws)
        print(
            f"{name:24} {distance:8.2f} {coverage:9.2f} {accuracy:11.3f} "
            f"{mean_gradient(draws):9.1f} {seconds / 60:8.1f}",
            flush=True,
        )


def models(images: np.ndarray, given: argparse.Namespace) -> dict[str, Callable[[], Draws]]:
    """Functions that train each model and draw from it, by name."""

    def fit(prior: Any, **parameters: Any) -> VAETransformer:
        vae = VAETransformer(
            32, likelihood="bernoulli", hidden_layer_sizes=(500, 500), prior=prior,
            learning_rate_init=0.002, max_iter=given.epochs, random_state=0,
        )  # fmt: skip
        return vae.set_params(**parameters).fit(images)

    def draw(vae: VAETransformer) -> np.ndarray:
        return vae.sample(N_DRAWS, observation_noise=False, random_state=0)

    def fixed_and_fitted() -> Draws:
        vae = fit("standard_normal")
        yield "N(0, I)", draw(vae)
        yield "N(0, I), fit_prior(50)", draw(vae.fit_prior(images, 50, random_state=0))

    def learned(name: str, prior: Any, **parameters: Any) -> Callable[[], Draws]:
        return lambda: iter([(name, draw(fit(prior, **parameters)))])

    def peer(name: str, train: Callable[..., Callable[[int], np.ndarray]]) -> Callable[[], Draws]:
        return lambda: iter([(name, train(images, 60 * given.minutes)(N_DRAWS))])

    return {
        "mixture": learned("Mixture(500)", Mixture(500)),
        "beta": learned("Mixture(500), beta=0.2", Mixture(500), beta=0.2),
        "normal": fixed_and_fitted,
        "dcgan": peer("DCGAN", dcgan),
        "flow": peer("flow matching", flow_matching),
        "vamp": learned("VampPrior(200)", VampPrior(200)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", required=True)
    parser.add_argument("--rows", type=int)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--only", nargs="*", choices=MODELS)
    parser.add_argument("--save", help="npz file for the draws")
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = read(given.mnist)
    judge = Judge(train_classifier(images), images.grey_test)
    judge.show("training images", images.grey_train[:N_DRAWS])
    trained = models(images.grey_train[: given.rows], given)
    kept: dict[str, Any] = {}
    for model in given.only or MODELS:
        start = time.process_time()
        for name, draws in trained[model]():
            seconds = time.process_time() - start
            judge.show(name, draws, seconds)
            kept[name] = draws
            if given.save:
                np.savez_compressed(given.save, **kept)
            start = time.process_time() - seconds  # of the model alone


if __name__ == "__main__":
    main()
