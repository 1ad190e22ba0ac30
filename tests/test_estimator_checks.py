"""scikit-learn's own checks, those for its own estimators included, with no expected failures.

By default they run over a few estimators of several kinds, with `-m slow` over all others.
"""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import examples
from sklearn.base import clone
from sklearn.kernel_approximation import Nystroem
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, SplineTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.estimator_checks import check_estimator

from skgen import (
    BayesianBasisRegressor,
    FourierBasis,
    VAEImputer,
    VAERegressor,
    VAETransformer,
    bases,
    likelihoods,
    priors,
)
from skgen.bases import SHORTCUTS

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
BASES = examples(bases.PARTS)
REGRESSORS = {
    "auto": BayesianBasisRegressor(),
    **{name: BayesianBasisRegressor(name) for name in SHORTCUTS},
    # The last example of each; others do not suit the data of all checks of regressors.
    **{f"of {name}": BayesianBasisRegressor(BASES[name]) for name in bases.PARTS},
    "SplineTransformer": BayesianBasisRegressor(SplineTransformer()),
    "Nystroem": BayesianBasisRegressor(Nystroem(random_state=0)),
    # A MinMaxScaler, whose answer does not change when rows are repeated in place of weighted.
    "pipeline": BayesianBasisRegressor(make_pipeline(MinMaxScaler(), LEARNED)),
    "ard": BayesianBasisRegressor(bases.GaussianBasis(10, width="evidence"), prior_precision="ard"),
    "ard, features": BayesianBasisRegressor("identity", prior_precision="ard"),
    "ard, fourier": BayesianBasisRegressor(LEARNED, prior_precision="ard"),
    "gamma": BayesianBasisRegressor(LEARNED, noise_precision="gamma"),
    "chosen noise": BayesianBasisRegressor(LEARNED, noise="auto"),
    "log-linear noise": BayesianBasisRegressor(LEARNED, noise="log-linear"),
    "log-linear noise, features": BayesianBasisRegressor("identity", noise="log-linear"),
    "prior known": BayesianBasisRegressor(LEARNED, prior_precision=2.0),
    "numbers": BayesianBasisRegressor(LEARNED, prior_precision=2.0, noise_precision=25.0),
    "numbers, gamma": BayesianBasisRegressor(
        LEARNED, prior_precision=2.0, noise_precision="gamma", noise_shape=1.0, noise_rate=1.0
    ),
    "forgetful": BayesianBasisRegressor("identity", forgetting=0.99),
    "of chosen transforms": BayesianBasisRegressor("identity", target_transformer="auto"),
    "of powers": BayesianBasisRegressor(LEARNED, target_transformer="yeo-johnson"),
    "of scaled targets": BayesianBasisRegressor("identity", target_transformer=MinMaxScaler()),
    "numbers only": BayesianBasisRegressor("identity", categorical_features=None),
    "without intercept": BayesianBasisRegressor("sigmoid", fit_intercept=False, solver="qr"),
}
VAE_RULES = {
    **{
        name: {"likelihood": likelihood}
        for name, likelihood in examples(likelihoods.PARTS).items()
        # scikit-learn's data have any sign, and rows that were not there to be fitted.
        if not likelihood.positive_only and likelihood.handle_unknown == "ignore"
    },
    **{f"prior {name}": {"prior": prior} for name, prior in examples(priors.PARTS).items()},
    "convolutional": {"encoder": "convolutional", "decoder": "convolutional"},
    "importance-weighted": {"n_importance_samples": 3},
    "stopping early": {"early_stopping": True},
    "prior vamp of bins": {"likelihood": "from_dtype", "prior": priors.VampPrior(3)},
    "masking": {"masking": 0.3},
}
# Several batches an epoch for one likelihood that is transformed and one that is not.
VAES = {
    f"{name}, batches of {batch_size}": VAETransformer(**rules, batch_size=batch_size, max_iter=5)
    for name, rules in VAE_RULES.items()
    for batch_size in ((128, 8) if name in ("gaussian", "bernoulli") else (128,))
}
CONDITIONAL = {
    **{
        f"conditional, {name}": VAERegressor(**rules, max_iter=5)
        for name, rules in VAE_RULES.items()
        if "masking" not in rules
        and rules.get("likelihood") != "from_dtype"  # of columns of X, not of y
        and getattr(rules.get("likelihood"), "linear_transform", True)
    },
    "conditional, without ridge and prior network": VAERegressor(
        prior="standard_normal", linear=False, learning_rate_init=0.01, max_iter=50
    ),
    "conditional, numbers only": VAERegressor(categorical_features=None, max_iter=5),
}
AT_LENGTH = {"VAETransformer": VAETransformer(max_iter=200), "VAERegressor": VAERegressor()}
IMPUTERS = {"imputer": VAEImputer(VAETransformer(masking=0.3, max_iter=5))}
ESTIMATORS = (
    REGRESSORS
    | {f"basis {name}": basis for name, basis in BASES.items()}
    | VAES
    | CONDITIONAL
    | IMPUTERS
)

ONE_OF_EACH_KIND = {
    "of fourier", "pipeline", "ard", "forgetful",
    *(f"basis {name}" for name in bases.PARTS),
    *(f"{name}, batches of 128" for name in VAE_RULES if name in likelihoods.PARTS),
    *(f"prior {name}, batches of 128" for name in priors.PARTS if name != "standard_normal"),
    "gaussian, batches of 8", "convolutional, batches of 128",
    "importance-weighted, batches of 128", "stopping early, batches of 128",
    "masking, batches of 128", "imputer",
    "conditional, gaussian", "conditional, bernoulli",
}  # fmt: skip
ONE_OF_EACH_CLASS = {
    "forgetful", "gaussian, batches of 128", "conditional, gaussian", "imputer",
    *(f"basis {name}" for name in bases.PARTS),
}  # fmt: skip
CHECKED_BY_DEFAULT = ONE_OF_EACH_CLASS | {
    "ard", "from_dtype, batches of 128", "prior mixture, batches of 128",
    "convolutional, batches of 128", "masking, batches of 128",
}  # fmt: skip


def slow_except(names, default):
    """Names as parameters, slow unless they are among those of the default suite."""
    assert default <= set(names)
    return [pytest.param(name, marks=() if name in default else pytest.mark.slow) for name in names]


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


@pytest.mark.parametrize("name", slow_except(ESTIMATORS | AT_LENGTH, CHECKED_BY_DEFAULT))
def test_check_estimator(name):
    results = check_estimator(clone((ESTIMATORS | AT_LENGTH)[name]), on_fail=None)
    failed = [result for result in results if result["status"] not in ("passed", "skipped")]
    assert not failed, [(result["check_name"], result["exception"]) for result in failed]
    skipped = {result["check_name"] for result in results if result["status"] == "skipped"}
    assert skipped <= {"check_array_api_input"}  # run below, where SCIPY_ARRAY_API is set
    assert len(results) > 40


# Names and containers are handled by the class, whatever its options.
@pytest.mark.parametrize("check", FURTHER)
@pytest.mark.parametrize("name", slow_except(sorted(ONE_OF_EACH_KIND), ONE_OF_EACH_CLASS))
def test_further_checks(name, check):
    estimator = clone(ESTIMATORS[name])
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


@pytest.mark.parametrize("check", FURTHER_OF_TRANSFORMERS)
@pytest.mark.parametrize(
    "name",
    slow_except(
        sorted(ONE_OF_EACH_KIND - REGRESSORS.keys()), ONE_OF_EACH_CLASS - REGRESSORS.keys()
    ),
)
def test_further_checks_of_transformers(name, check):
    estimator = clone(ESTIMATORS[name])
    getattr(estimator_checks, check)(type(estimator).__name__, estimator)


WITH_THE_ARRAY_API = """
from sklearn.utils import estimator_checks
from skgen import (
    BayesianBasisRegressor, FourierBasis, GaussianBasis, VAEImputer, VAERegressor, VAETransformer
)

fourier = FourierBasis(20, ranks=True, linear=True, random_state=0)
for estimator in (
    BayesianBasisRegressor(fourier), GaussianBasis(), fourier, VAETransformer(max_iter=2),
    VAERegressor(max_iter=2), VAEImputer(VAETransformer(max_iter=2)),
):
    done = set()
    for estimator, check in estimator_checks.estimator_checks_generator(estimator):
        check(estimator)
        done.add(getattr(check, "func", check).__name__)
    assert "check_array_api_input" in done
"""


@pytest.mark.slow
def test_with_the_array_api_no_check_is_skipped():
    """A skipped check raises SkipTest."""
    done = subprocess.run(
        [sys.executable, "-c", WITH_THE_ARRAY_API],
        env={**os.environ, "SCIPY_ARRAY_API": "1", "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_regressor_of_logarithms_passes_on_positive_targets():
    """All checks heed the tag positive_only but the one for several outputs."""
    regressor = BayesianBasisRegressor(LEARNED, target_transformer="log")
    results = check_estimator(regressor, on_fail=None)
    failed = {r["check_name"] for r in results if r["status"] not in ("passed", "skipped")}
    assert failed == {"check_regressor_multioutput"}
    assert not BayesianBasisRegressor().__sklearn_tags__().target_tags.positive_only


def test_tags_say_what_the_regressor_does():
    tags = BayesianBasisRegressor().__sklearn_tags__()
    assert tags.target_tags.multi_output
    assert tags.target_tags.required
    assert not tags.input_tags.allow_nan
    assert not tags.input_tags.sparse
    assert not tags.non_deterministic
    X = np.arange(10.0)[:, None]
    assert BayesianBasisRegressor().fit(X, X[:, 0]).score(X, X[:, 0]) > 0.9
