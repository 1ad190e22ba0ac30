"""Digits of a class that is asked for: VAERegressor by its prior, beside a DCGAN that is told it.

    python tests/benchmarks/classes.py [--mnist FILE] [--rows 20000] [--epochs 40] [--components 16]

FILE is an npz with x_train, y_train, x_test and y_test, 28 x 28 grey levels from 0 to 255. Without
one, scikit-learn's small digits are taken, and no DCGAN.

Printed are the share of draws that a convolutional classifier of real digits names as asked, the
Frechet distance of draws (decoder means) and test images by its features, nats per test image
(importance-weighted bounds of minus log p(y | x), grey levels binarized; of 1000 evenly spaced
images), and seconds of training by process time. The DCGAN is trained for as long as the model
before it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import numpy as np
import torch
from priors import Classifier, Images, read, train_classifier
from subsets import evenly_spaced
from torch import Tensor, nn
from torch.nn import functional

from skgen import VAERegressor
from skgen.metrics import frechet_distance
from skgen.priors import ConditionalMixture

N_PER_CLASS, N_TEST, NOISE = 500, 1000, 64
WANTED = np.repeat(np.arange(10), N_PER_CLASS)


class Judge:
    """What a classifier of real digits says of draws."""

    def __init__(self, images: Images) -> None:
        self.classifier: Classifier = train_classifier(images)
        self.real = self.classifier.features(images.grey_test)
        print(f"{'model':24} {'right':>8} {'Frechet':>8} {'nats':>8} {'seconds':>8}")

    def show(self, name: str, draws: np.ndarray, nats: float, seconds: float) -> None:
        features = self.classifier.features(draws)
        with torch.no_grad():
            found = self.classifier.head(torch.from_numpy(features)).argmax(1).numpy()
        distance, right = frechet_distance(self.real, features), np.mean(found == WANTED)
        print(f"{name:24} {right:8.3f} {distance:8.2f} {nats:8.2f} {seconds:8.0f}", flush=True)


def dcgan(images: np.ndarray, labels: np.ndarray, seconds: float) -> Callable[[Tensor], Tensor]:
    """Train a DCGAN (Radford, Metz and Chintala 2016) whose networks are told the class."""
    torch.manual_seed(0)
    generate = nn.Sequential(
        nn.Linear(NOISE + 10, 64 * 49), nn.Unflatten(1, (64, 7, 7)), nn.BatchNorm2d(64), nn.ReLU(),
        nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.ConvTranspose2d(32, 1, 4, 2, 1), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Conv2d(11, 32, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(32, 64, 4, 2, 1),
        nn.BatchNorm2d(64), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(64 * 49, 1),
    )  # fmt: skip
    for module in (*generate.modules(), *judge.modules()):
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, 0.02)
    adams = [torch.optim.Adam(m.parameters(), 2e-4, (0.5, 0.999)) for m in (generate, judge)]
    x = torch.from_numpy(2 * images - 1).reshape(-1, 1, 28, 28)
    classes = functional.one_hot(torch.from_numpy(labels).long(), 10).float()

    def draw(told: Tensor) -> Tensor:
        return generate(torch.cat([torch.randn(len(told), NOISE), told], 1))

    def loss(rows: Tensor, told: Tensor, target: float) -> Tensor:
        planes = told[:, :, None, None].expand(-1, -1, 28, 28)
        logits = judge(torch.cat([rows, planes], 1))
        return functional.binary_cross_entropy_with_logits(logits, torch.full_like(logits, target))

    start = time.process_time()
    while time.process_time() - start < seconds:
        for rows in torch.randperm(len(x)).split(64):
            told, fake = classes[rows], draw(classes[rows])
            adams[1].zero_grad()
            (loss(x[rows], told, 1.0) + loss(fake.detach(), told, 0.0)).backward()
            adams[1].step()
            adams[0].zero_grad()
            loss(fake, told, 1.0).backward()
            adams[0].step()
            if time.process_time() - start > seconds:
                break
    return draw


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--components", type=int, default=16)
    parser.add_argument("--mixture", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    images = read(given.mnist)
    rows, labels = images.grey_train[: given.rows], images.y_train[: given.rows].astype(np.float32)
    judge = Judge(images)
    y_test, grey_test = (evenly_spaced(of, N_TEST) for of in (images.y_test, images.grey_test))
    test = y_test[:, None].astype(np.float32), grey_test
    classes = np.arange(10, dtype=np.float32)[:, None]
    priors = {
        "N(0, I)": "standard_normal", "ConditionalNormal()": "conditional_normal",
        f"ConditionalMixture({given.mixture})": ConditionalMixture(given.mixture),
    }  # fmt: skip
    seconds = 0.0
    for name, prior in priors.items():
        model = VAERegressor(
            given.components, prior=prior, likelihood="bernoulli", hidden_layer_sizes=(400,),
            categorical_features=[0], batch_size=128, early_stopping=False,
            learning_rate="one-cycle", learning_rate_init=0.003, max_iter=given.epochs,
            random_state=0,
        )  # fmt: skip
        start = time.process_time()
        model.fit(labels[:, None], rows)
        seconds = time.process_time() - start
        draws = model.sample_y(classes, N_PER_CLASS, observation_noise=False, random_state=0)
        nats = -model.log_predictive_density(*test).mean()
        judge.show(name, draws.transpose(0, 2, 1).reshape(len(WANTED), -1), nats, seconds)
    if given.mnist:
        draw = dcgan(rows, labels, seconds)
        with torch.no_grad():
            drawn = draw(functional.one_hot(torch.from_numpy(WANTED), 10).float())
        judge.show("DCGAN", (drawn.numpy().reshape(len(WANTED), -1) + 1) / 2, np.nan, seconds)


if __name__ == "__main__":
    main()
