"""What files cost beside pickles: bytes, and milliseconds to write and to read.

``python tests/benchmarks/files.py``
"""

import pickle
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from sklearn.datasets import load_diabetes, load_digits

import skgen

X, y = load_diabetes(return_X_y=True)
DIGITS = load_digits().data / 16
MODELS = {
    'BayesianBasisRegressor("identity")': skgen.BayesianBasisRegressor("identity").fit(X, y),
    "BayesianBasisRegressor()": skgen.BayesianBasisRegressor().fit(X, y),
    'VAETransformer(likelihood="bernoulli")': skgen.VAETransformer(
        likelihood="bernoulli", max_iter=3, random_state=0
    ).fit(DIGITS),
}


def milliseconds(call: Callable[[], object]) -> float:
    def once() -> float:
        start = time.perf_counter()
        call()
        return time.perf_counter() - start

    return 1e3 * min(once() for _ in range(15))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        for name, model in MODELS.items():
            skgen.save(model, path)
            pickled = pickle.dumps(model)
            print(
                f"| `{name}` | {path.stat().st_size / 1e3:.0f} | {len(pickled) / 1e3:.0f} "
                f"| {milliseconds(lambda model=model: skgen.save(model, path)):.1f} "
                f"| {milliseconds(lambda: skgen.load(path)):.1f} "
                f"| {milliseconds(lambda data=pickled: pickle.loads(data)):.1f} |"
            )


if __name__ == "__main__":
    main()
