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

import numpy as np
import torch
from image_networks import dcgan
from priors import Classifier, Images, read, train_classifier
from subsets import evenly_spaced

from skgen import VAERegressor
from skgen.metrics import frechet_distance
from skgen.priors import ConditionalMixture

N_PER_CLASS, N_TEST = 500, 1000
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
        draws = dcgan(rows, seconds, labels)(len(WANTED), WANTED)
        judge.show("DCGAN", draws, np.nan, seconds)


if __name__ == "__main__":
    main()
