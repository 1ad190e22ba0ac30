"""scikit-learn's own checks, the ones it runs on itself included, and none excused."""

import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, SplineTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    GaussianBasis,
    VAETransformer,
)
from skgen.bases import PARTS, SHORTCUTS
from skgen.likelihoods import Bernoulli, ContinuousBernoulli, Gaussian

# scikit-learn draws from numpy's global generator in its checks.
pytestmark = [
    pytest.mark.draws_globally,
    pytest.mark.usefixtures("one_torch_thread"),
    pytest.mark.filterwarnings("ignore:n_components > n_samples:UserWarning"),  # Nystroem's own
    # Some checks fit on a frame and transform its numbers, or the other way round.
    pytest.mark.filterwarnings("ignore:X (has|does not have valid) feature names:UserWarning"),
    pytest.mark.filterwarnings(
        "ignore:All latent dimensions have collapsed:sklearn.exceptions.ConvergenceWarning"
    ),
]

LEARNED = FourierBasis(20, ranks=True, linear=True, random_state=0)
REGRESSORS = {
    "auto": BayesianBasisRegressor(),
    **{shortcut: BayesianBasisRegressor(shortcut) for shortcut in SHORTCUTS},
    "SplineTransformer": BayesianBasisRegressor(SplineTransformer()),
    "Nystroem": BayesianBasisRegressor(Nystroem(random_state=0)),
    "FourierBasis, learned": BayesianBasisRegressor(LEARNED),
    "GaussianBasis, learned": BayesianBasisRegressor(GaussianBasis(10, width="evidence")),
    # A MinMaxScaler, whose answer does not change when rows are repeated in place of weighted.
    "the last step, learned": BayesianBasisRegressor(make_pipeline(MinMaxScaler(), LEARNED)),
    "ard": BayesianBasisRegressor(GaussianBasis(10, width="evidence"), prior_precision="ard"),
    "gamma": BayesianBasisRegressor(LEARNED, noise_precision="gamma"),
    "prior known": BayesianBasisRegressor(LEARNED, prior_precision=2.0),
    "numbers": BayesianBasisRegressor(LEARNED, prior_precision=2.0, noise_precision=25.0),
    "numbers, gamma": BayesianBasisRegressor(
        LEARNED, prior_precision=2.0, noise_precision="gamma", noise_shape=1.0, noise_rate=1.0
    ),
    "forgetful": BayesianBasisRegressor("identity", forgetting=0.99),
    "without intercept": BayesianBasisRegressor("sigmoid", fit_intercept=False, solver="qr"),
}
BASES = {
    f"{cls.__name__} {index}": basis
    for cls in PARTS.values()
    for index, basis in enumerate(cls._examples())
}
VAE_RULES = {
    "gaussian": {},
    "Gaussian by feature": {"likelihood": Gaussian("feature")},
    "Gaussian by row": {"likelihood": Gaussian("row")},
    "Bernoulli": {"likelihood": Bernoulli(clip=True)},
    "ContinuousBernoulli": {"likelihood": ContinuousBernoulli(clip=True)},
    "convolutional": {"encoder": "convolutional", "decoder": "convolutional"},
    "importance-weighted": {"n_importance_samples": 3},
    "stopping early": {"early_stopping": True},
}
VAES = {
    f"{name}, batches of {batch_size}": VAETransformer(**rules, batch_size=batch_size, max_iter=5)
    for name, rules in VAE_RULES.items()
    for batch_size in (128, 8)
}
AT_LENGTH = {"VAETransformer": VAETransformer()}
ESTIMATORS = REGRESSORS | BASES | VAES
FURTHER = (
    "check_dataframe_column_names_consistency",
    "check_readonly_memmap_input",
    "check_n_features_in_after_fitting",
)
FURTHER_OF_TRANSFORMERS = (
    "check_transformer_get_feature_names_out",
    "check_transformer_get_feature_names_out_pandas",
    "check_set_output_transform",
    "check_set_output_transform_pandas",
    "check_set_output_transform_polars",
    "check_global_output_transform_pandas",
    "check_global_set_output_transform_polars",
)


@pytest.mark.parametrize("name", ESTIMATORS | AT_LENGTH)
def test_check_estimator(name):
    results = check_estimator(clone((ESTIMATORS | AT_LENGTH)[name]), on_fail=None)
    failed = [result for result in results if result["status"] not in ("passed", "skipped")]
    assert not failed, [(result["check_name"], result["exception"]) for result in failed]
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}  # run below, where SCIPY_ARRAY_API is set
    assert len(results) > 40


@pytest.mark.parametrize("check", FURTHER)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_further_checks(name, check):
    estimator = clone(ESTIMATORS[name])
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("check", FURTHER_OF_TRANSFORMERS)
@pytest.mark.parametrize("name", BASES | VAES)
def test_further_checks_of_transformers(name, check):
    estimator = clone(ESTIMATORS[name])
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize(
    "estimator",
    [
        "BayesianBasisRegressor(skgen.FourierBasis(20, ranks=True, linear=True, random_state=0))",
        "GaussianBasis()",
        "FourierBasis(20, ranks=True, linear=True, random_state=0)",
        "VAETransformer(max_iter=2)",
    ],
)
def test_with_the_array_api_no_check_is_skipped(estimator):
    code = (
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "import skgen\n"
        f"results = check_estimator(skgen.{estimator}, on_skip=None)\n"
        "assert {result['status'] for result in results} == {'passed'}\n"
        "assert 'check_array_api_input' in {result['check_name'] for result in results}\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_tags_say_what_the_regressor_does():
    tags = BayesianBasisRegressor().__sklearn_tags__()
    assert tags.target_tags.multi_output
    assert tags.target_tags.required
    assert not tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert not tags.non_deterministic
    X = np.arange(10.0)[:, None]
    assert BayesianBasisRegressor().fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
