"""Write one file an estimator, with what it answers, into the folder of the present version.

Run it once before a release: ``python tests/data/files/make.py``. Later versions must read them.
"""

import json
from pathlib import Path

import numpy as np

import skgen

X = np.stack([np.linspace(-1, 1, 12), np.cos(np.arange(12.0))], axis=1)
Y = np.sin(3 * X[:, 0]) + 0.1 * X[:, 1]

ESTIMATORS = {
    "BayesianBasisRegressor": skgen.BayesianBasisRegressor(
        skgen.FourierBasis(6, ranks=True, random_state=0), prior_precision="ard"
    ),
    "FourierBasis": skgen.FourierBasis(4, ranks=True, random_state=0),
    "GaussianBasis": skgen.GaussianBasis(5, centers="kmeans"),
    "SigmoidBasis": skgen.SigmoidBasis(3, domain=(-1, 1)),
    "VAEImputer": skgen.VAEImputer(
        skgen.VAETransformer(1, hidden_layer_sizes=(3,), max_iter=3, masking=0.1), random_state=0
    ),
    "VAERegressor": skgen.VAERegressor(1, hidden_layer_sizes=(3,), max_iter=3, random_state=0),
    "VAETransformer": skgen.VAETransformer(
        1, hidden_layer_sizes=(3,), max_iter=3, early_stopping=True, random_state=0
    ),
}


def answers(estimator: object) -> list[list[float]]:
    """What a fitted estimator says of X."""
    if hasattr(estimator, "predict"):
        return np.stack(estimator.predict(X, return_std=True)).tolist()
    if isinstance(estimator, skgen.VAEImputer):
        return estimator.transform(np.where(np.eye(12, 2) > 0, np.nan, X)).tolist()
    return estimator.transform(X).tolist()


if __name__ == "__main__":
    folder = Path(__file__).parent / skgen.__version__
    folder.mkdir(exist_ok=True)
    known = {}
    for name, estimator in ESTIMATORS.items():
        skgen.save(estimator.fit(X, Y), folder / f"{name}.safetensors")
        known[name] = answers(estimator)
    (folder / "answers.json").write_text(json.dumps(known) + "\n")
