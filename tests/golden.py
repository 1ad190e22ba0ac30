"""Answers of a dozen fitted models, to be compared between two commits on one machine.

``python tests/golden.py FILE.npz`` writes the answers of the present code, and
``python tests/golden.py BEFORE.npz AFTER.npz`` compares two such files bit for bit. Other
processors round differently, so that tests compare with `KEPT`, a copy to six digits, instead;
``python tests/golden.py tests/data/golden.json`` writes it anew.
"""

import json
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes, load_digits, load_iris, load_linnerud
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer, StandardScaler

from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis, SigmoidBasis, VAETransformer
from skgen.likelihoods import Gaussian

KEPT = Path(__file__).parent / "data" / "golden.json"
DIGITS = 6

Answers = dict[str, np.ndarray]

REGRESSORS = {
    "default": BayesianBasisRegressor(),
    "gaussian": BayesianBasisRegressor(GaussianBasis(40, width="evidence")),
    "sigmoid, known precisions": BayesianBasisRegressor(
        SigmoidBasis(5), prior_precision=0.01, noise_precision=0.001
    ),
    "polynomial, gamma": BayesianBasisRegressor("polynomial", noise_precision="gamma"),
    "matern, known prior": BayesianBasisRegressor(
        FourierBasis(40, kernel="matern52", random_state=1), prior_precision=0.001
    ),
    "ard": BayesianBasisRegressor("identity", prior_precision="ard"),
    "pipeline": BayesianBasisRegressor(
        make_pipeline(StandardScaler(), SplineTransformer(4)), intercept_precision=0.0
    ),
}
AUTOENCODERS = {
    "gaussian": VAETransformer(max_iter=5, random_state=0),
    "gaussian by row": VAETransformer(
        3, likelihood=Gaussian("row", min_scale=0.01), hidden_layer_sizes=(20, 10), beta=0.5,
        kl_warmup=2, free_bits=0.1, early_stopping=True, max_iter=5, random_state=0,
    ),
    "bernoulli, importance-weighted": VAETransformer(
        2, likelihood="bernoulli", n_importance_samples=3, hidden_layer_sizes=(30,), max_iter=20,
        batch_size=32, random_state=0,
    ),
    "continuous bernoulli, convolutional": VAETransformer(
        2, likelihood="continuous_bernoulli", image_shape=(8, 8), max_iter=10, batch_size=32,
        random_state=0,
    ),
}  # fmt: skip


def regressor_answers(model: BayesianBasisRegressor, X: np.ndarray, y: np.ndarray) -> Answers:
    train, test = np.arange(len(X)) % 4 > 0, np.arange(len(X)) % 4 == 0
    model.fit(X[train], y[train])
    mean, std = model.predict(X[test], return_std=True)
    _, covariance = model.predict(X[test][:5], return_cov=True)
    return {
        "mean": mean,
        "std": std,
        "covariance": covariance,
        "log density": model.log_predictive_density(X[test], y[test]),
        "draws": model.sample_y(X[test][:5], n_samples=3, random_state=0),
        "coef": np.asarray(model.coef_),
        "evidence": np.asarray(model.log_marginal_likelihood_),
        "noise precision": np.asarray(model.noise_precision_),
        "degrees of freedom": np.asarray(model.degrees_of_freedom_),
    }


def stream_answers() -> Answers:
    """A stream in batches, and a merge."""
    X, y = load_diabetes(return_X_y=True)
    models = [BayesianBasisRegressor(GaussianBasis(9, domain=(-0.2, 0.2))) for _ in range(2)]
    for start in range(0, len(X), 30):
        part = slice(start, start + 30)
        models[start // 30 % 2].partial_fit(X[part, 2:3], y[part])
    mean, std = models[0].merge(models[1]).predict(X[:20, 2:3], return_std=True)
    return {"mean": mean, "std": std}


def autoencoder_answers(model: VAETransformer, X: np.ndarray) -> Answers:
    model.fit(X[::2])
    codes, spread = model.transform(X[1::20], return_std=True)
    return {
        "codes": codes,
        "spread of codes": spread,
        "reconstruction": model.reconstruct(X[1::20]),
        "draws": model.sample(5, random_state=0),
        "means": model.sample(5, observation_noise=False, random_state=0),
        "scores": model.score_samples(X[1::20]),
        "few draws": model.score_samples(X[1::20], n_importance_samples=3),
        "loss": np.array(model.loss_curve_),
        "explained kl": model.explained_kl_,
    }


def golden_answers() -> dict[str, np.ndarray]:
    """All answers, under names such as "regressor, ard: mean"."""
    X, y = load_diabetes(return_X_y=True)
    X, y = X[:200], y[:200]
    found = {f"regressor, {name}": regressor_answers(model, X, y)
             for name, model in REGRESSORS.items()}  # fmt: skip
    several = BayesianBasisRegressor(FourierBasis(30, random_state=0))
    found["regressor, several outputs"] = regressor_answers(
        several, *load_linnerud(return_X_y=True)
    )
    found["regressor, one feature"] = regressor_answers(BayesianBasisRegressor(), X[:, 2:3], y)
    found["regressor, stream"] = stream_answers()
    iris, digits = load_iris().data, load_digits().data[:600] / 16
    for name, model in AUTOENCODERS.items():
        table = iris if name.startswith("gaussian") else digits
        found[f"autoencoder, {name}"] = autoencoder_answers(model, table)
    return {
        f"{model}: {name}": np.asarray(values)
        for model, answers in found.items()
        for name, values in answers.items()
    }


def main(*files: str) -> int:
    if len(files) == 1:
        answers = golden_answers()
        if files[0].endswith(".json"):
            rounded = {
                name: [float(f"{value:.{DIGITS + 2}g}") for value in values.ravel()[:20]]
                for name, values in answers.items()
            }
            Path(files[0]).write_text(json.dumps(rounded, indent=0) + "\n")
        else:
            np.savez(files[0], **answers)
        print(f"{len(answers)} arrays written")
        return 0
    before, after = (dict(np.load(file)) for file in files)
    differ = [name for name in before if name not in after
              or before[name].tobytes() != after[name].tobytes()]  # fmt: skip
    for name in differ:
        largest = np.abs(before[name] - after[name]).max() if name in after else np.nan
        print(f"{name}: differs by up to {largest:.3g}")
    print(f"{len(before) - len(differ)} of {len(before)} arrays equal bit for bit")
    return int(bool(differ))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
