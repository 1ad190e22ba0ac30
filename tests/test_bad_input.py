"""Law 8 for the regressor and the bases: a call that fails leaves them as they were.

Calls are made up at random, most of them wrong in one or two ways, and judged by `bad_calls`.
"""

import copy
import functools
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from bad_calls import Case, Law, assert_mixed, made, report, snapshot
from bad_values import JUNK, corrupted, junk, named, pick
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

import skgen
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis, SigmoidBasis
from skgen._regression.stream import Stream

N_FAST = 400
SEEDS, N_PER_SEED = range(10), 1500
"""15,000 calls: a fault that one call in 3000 shows is found in 99 of 100 such campaigns."""

# -- bad parameters ------------------------------------------------------------------------------

WORDS = (
    "evidence", "ard", "gamma", "auto", "even", "quantile", "kmeans", "gaussian", "polynomial",
    "sigmoid", "fourier", "identity", "qr", "cholesky", "rbf", "matern32", "matern52", "halton",
    "random", "constant", "log-linear",
)  # fmt: skip


def column_sums(X: np.ndarray) -> np.ndarray:
    return X.sum(axis=1)


def nothing(X: np.ndarray) -> None:
    return None


def no_columns(X: np.ndarray) -> np.ndarray:
    return X[:, :0]


class NotAnEstimator:
    """It has fit and transform, and cannot be cloned."""

    def fit(self, X: Any, y: Any = None) -> "NotAnEstimator":
        return self

    def transform(self, X: Any) -> Any:
        return X


def bad_parameters(rng: np.random.Generator, cls: type) -> dict[str, Any]:
    """One or two parameters of ``cls`` that most likely are impossible."""
    names = [pick(rng, cls().get_params(deep=False)) for _ in range(rng.integers(1, 3))]
    values = {name: junk(rng, WORDS, 0.2) for name in names}
    if "basis" in values and rng.random() < 0.7:
        values["basis"] = bad_basis(rng)
    return values


def bad_basis(rng: np.random.Generator) -> Any:
    if rng.random() < 0.5:
        cls = pick(rng, BASES)
        return cls(**bad_parameters(rng, cls))
    others: list[Callable[[], Any]] = [
        lambda: pick(rng, BASES),
        LinearRegression,
        NotAnEstimator,
        lambda: StandardScaler(with_mean="no"),
        lambda: FunctionTransformer(np.log),
        lambda: FunctionTransformer(np.exp),
        lambda: FunctionTransformer(column_sums),
        lambda: FunctionTransformer(nothing),
        lambda: FunctionTransformer(no_columns),
        lambda: SplineTransformer(n_knots=3),
        lambda: make_pipeline(StandardScaler(), GaussianBasis(n_basis=junk(rng))),
    ]
    return pick(rng, others)()


# -- bad calls -----------------------------------------------------------------------------------


BASES = (GaussianBasis, SigmoidBasis, FourierBasis)

LEARNABLE: tuple[Callable[[], Any], ...] = (
    lambda: GaussianBasis(4, width="evidence"),
    lambda: FourierBasis(4, kernel="matern52", sampling="random", random_state=0),
    lambda: FourierBasis(4, ranks=True, linear=True, random_state=0),
    lambda: make_pipeline(StandardScaler(), FourierBasis(4, random_state=0)),
)
GOOD_BASES: tuple[Callable[[], Any], ...] = (
    lambda: "identity",
    lambda: "polynomial",
    lambda: GaussianBasis(4, domain=(-3, 3)),
    lambda: GaussianBasis(5, linear=True),
    lambda: GaussianBasis(3, centers="even"),
    lambda: SigmoidBasis(3),
    lambda: SigmoidBasis(2, centers="quantile"),
    lambda: FourierBasis(4, length_scale=None, random_state=0),
    lambda: FourierBasis(4, length_scale=1.0, ranks=True, random_state=0),
    lambda: SplineTransformer(n_knots=3, include_bias=False),
    lambda: make_pipeline(StandardScaler(), SigmoidBasis(2, domain=(-3, 3))),
    *LEARNABLE,
)

GOOD_RULES: tuple[dict[str, Any], ...] = (
    {},
    {"prior_precision": "ard"},
    {"noise_precision": "gamma"},
    {"noise_precision": 25.0},
    {"prior_precision": 2.0},
    {"prior_precision": 2.0, "noise_precision": 25.0},
    {"prior_precision": 0.5, "noise_precision": "gamma", "noise_shape": 1.0, "noise_rate": 0.1},
    {"prior_precision": 0.0},
    {"prior_precision": 0.0, "noise_precision": "gamma", "fit_intercept": False},
    {"prior_precision": 2.0, "intercept_precision": 0.1, "prior_mean": 1.0},
    {"solver": "cholesky", "forgetting": 0.9},
    {"target_transformer": "yeo-johnson"},
)

MODELS = [(basis, rules) for basis in range(len(GOOD_BASES)) for rules in range(len(GOOD_RULES))]
N_ROWS = 12
OUTPUTS = (None, 1, 2)


def good_X(n_features: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(N_ROWS, n_features))


def good_y(n_outputs: int | None, seed: int = 1) -> np.ndarray:
    shape = (N_ROWS,) if n_outputs is None else (N_ROWS, n_outputs)
    return np.random.default_rng(seed).normal(size=shape)


def good_weights() -> np.ndarray:
    return np.random.default_rng(2).uniform(0.5, 2.0, size=N_ROWS)


@dataclass(frozen=True)
class Model:
    """Which regressor to build, and whether it has seen rows before."""

    basis: int
    rules: int
    n_features: int
    n_outputs: int | None
    fitted: str  # "", "fit", "frame" or "waiting"

    @classmethod
    def any(cls, rng: np.random.Generator, fitted: tuple[str, ...]) -> "Model":
        return cls(
            int(rng.integers(len(GOOD_BASES))), int(rng.integers(len(GOOD_RULES))),
            int(rng.integers(1, 3)), pick(rng, OUTPUTS), pick(rng, fitted),
        )  # fmt: skip

    def unfitted(self, **parameters: Any) -> BayesianBasisRegressor:
        basis, rules = GOOD_BASES[self.basis], GOOD_RULES[self.rules]
        if basis in LEARNABLE and rules.get("prior_precision") == 0:  # flat: nothing to learn by
            rules = {**rules, "prior_precision": 0.1}
        return BayesianBasisRegressor(**{"basis": basis(), **rules, **parameters})

    def build(self) -> BayesianBasisRegressor:
        if not self.fitted:
            return self.unfitted()
        model: BayesianBasisRegressor = copy.deepcopy(_once(self))
        if self.fitted == "waiting":  # a copy comes without the rows that wait in the buffer
            model.partial_fit(good_X(self.n_features, 3), good_y(self.n_outputs, 4))
        return model

    @property
    def X(self) -> np.ndarray:
        return good_X(self.n_features)

    @property
    def y(self) -> np.ndarray:
        return good_y(self.n_outputs)


@functools.cache
def _once(model: Model) -> BayesianBasisRegressor:
    X = named(model.X) if model.fitted == "frame" else model.X
    return model.unfitted().fit(X, model.y)


def learning(rng: np.random.Generator) -> Case:
    """fit or partial_fit on bad rows, of a model that is fitted or not."""
    model = Model.any(rng, ("", "fit", "frame", "waiting"))
    weights = good_weights() if rng.random() < 0.4 else None
    data = {"X": model.X, "y": model.y, "sample_weight": weights}
    if weights is None:
        del data["sample_weight"]
    if rng.random() < 0.2:
        data["noise_scale"] = good_weights()
    if rng.random() < 0.15:  # nothing is spoilt, but it may be another number of columns
        label = "other columns"
        data["X"], data["y"] = good_X(int(rng.integers(1, 4))), good_y(pick(rng, OUTPUTS))
    elif rng.random() < 0.05:
        label = "no y"
        data["y"] = None
    else:
        label, data = corrupted(rng, data)
    return Case(f"{model} {label}", model.build, pick(rng, ("fit", "partial_fit")), (), data)


def learning_with_bad_parameters(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "waiting"))
    parameters = bad_parameters(rng, BayesianBasisRegressor)

    def build() -> BayesianBasisRegressor:
        return model.build().set_params(**parameters)

    label = f"{model} {parameters}"
    method = pick(rng, ("fit", "partial_fit"))
    return Case(label, build, method, (), {"X": model.X, "y": model.y})


def predicting(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "frame", "waiting"))
    spreads = pick(rng, [{}, {"return_std": True}, {"return_cov": True}])
    if rng.random() < 0.05:
        spreads = {"return_std": True, "return_cov": True}
    label, values = corrupted(rng, {"X": model.X})
    return Case(f"{model} {label} {spreads}", model.build, "predict", (), {**values, **spreads})


def drawing(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "", "fit", "frame", "waiting"))
    label, values = corrupted(rng, {"X": model.X}) if rng.random() < 0.6 else ("", {"X": model.X})
    values["random_state"] = 0
    if not label or rng.random() < 0.2:
        values[pick(rng, ("n_samples", "random_state"))] = junk(rng)
    if rng.random() < 0.3:
        values["observation_noise"] = False
    return Case(f"{model} {label} {values}", model.build, "sample_y", (), values)


def scoring(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "frame", "waiting"))
    data = {"X": model.X, "y": model.y}
    if rng.random() < 0.3:
        data["noise_scale"] = good_weights()
    label, values = corrupted(rng, data)
    method = pick(rng, ("log_predictive_density", "predictive_cdf"))
    return Case(f"{model} {label}", model.build, method, (), values)


def weighing_evidence(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "waiting", "waiting"))
    names = {pick(rng, ("prior_precision", "noise_precision")) for _ in range(2)}
    values = {name: junk(rng, WORDS, 0.1) for name in sorted(names)}
    return Case(f"{model} {values}", model.build, "log_marginal_likelihood", (), values)


def merging(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "waiting"))
    if rng.random() < 0.3:
        other: Any = pick(rng, [LinearRegression(), BayesianBasisRegressor, *JUNK])
    elif rng.random() < 0.3:
        other = model.build()
    else:
        changes = {
            "basis": int(rng.integers(len(GOOD_BASES))),
            "n_features": int(rng.integers(1, 3)),
            "n_outputs": pick(rng, OUTPUTS),
            "fitted": pick(rng, ("", "fit", "waiting")),
        }
        name = pick(rng, changes)
        other = Model(**{**vars(model), name: changes[name]}).build()
    return Case(f"{model} {other!r}", model.build, "merge", (other,))


def basis_calls(rng: np.random.Generator) -> Case:
    """fit or transform of a basis alone."""
    cls, n_features = pick(rng, BASES), int(rng.integers(1, 3))
    before = pick(rng, [None, good_X(n_features), named(good_X(n_features))])
    how = pick(rng, ("X", "parameters", "both"))
    parameters = bad_parameters(rng, cls) if how != "X" else {}
    label, values = corrupted(rng, {"X": good_X(n_features)})
    X = values["X"] if how != "parameters" else good_X(n_features)

    def build() -> Any:
        basis = cls(**({"n_basis": 4} if cls is FourierBasis else {"n_basis": 5}))
        if before is not None:
            basis.fit(before)
        return basis.set_params(**parameters)

    method = "fit" if before is None or how != "X" else pick(rng, ("fit", "transform"))
    method = "transform" if before is None and rng.random() < 0.05 else method
    return Case(f"{cls.__name__} {parameters} {label}", build, method, (X,))


MAKERS = {
    learning: 6,
    learning_with_bad_parameters: 5,
    predicting: 2,
    drawing: 2,
    scoring: 2,
    weighing_evidence: 1,
    merging: 1,
    basis_calls: 4,
}
METHODS = {
    "fit", "partial_fit", "predict", "sample_y", "log_predictive_density", "merge",
    "log_marginal_likelihood", "transform", "predictive_cdf",
}  # fmt: skip


# -- the law -------------------------------------------------------------------------------------

ARGUMENTS = {
    "X", "y", "sample_weight", "noise_scale", "other", "n_samples", "random_state", "return_std",
    "return_cov", "observation_noise",
    *(name for cls in (BayesianBasisRegressor, *BASES) for name in cls().get_params()),
}  # fmt: skip

LEARNING = ("fit", "partial_fit", "merge")


@snapshot.register
def _(stream: Stream) -> Any:
    statistic, waiting, n_waiting = stream._state
    is_emptied = stream._emptied[0] is stream._state
    state = {**vars(stream), "_state": statistic, "_emptied": is_emptied, "_known": None}
    return (snapshot(state), snapshot(waiting[:n_waiting]) if n_waiting else None)


def is_finite(result: Any, *, heavy_tails: bool) -> bool:
    """Whether the arrays of a result are finite; a Student-t may have an infinite variance."""
    if isinstance(result, tuple):
        mean, spread = result
        no_number = np.isnan(spread) if heavy_tails else ~np.isfinite(spread)
        return is_finite(mean, heavy_tails=False) and not np.any(no_number)
    if isinstance(result, np.ndarray | float):
        return bool(np.all(np.isfinite(result)))
    return True


def fault_of_state(case: Case, estimator: Any, before: Any) -> str:
    if case.method in LEARNING and snapshot(estimator) != before:
        return "has another state"
    if isinstance(estimator, BayesianBasisRegressor) and "_stream" in vars(estimator):
        twin, X = case.build(), good_X(estimator.n_features_in_)
        fresh, _ = LAW.call(twin.predict, X, return_std=True)
        stale, _ = LAW.call(estimator.predict, X, return_std=True)
        if isinstance(fresh, Exception):
            return "" if repr(stale) == repr(fresh) else "fails to predict otherwise"
        if snapshot(stale) != snapshot(fresh):
            return "predicts otherwise"
        if case.method not in LEARNING and snapshot(estimator) != snapshot(twin):
            return "has another state"
    return ""


def fault_of_result(case: Case, estimator: Any, result: Any) -> str:
    heavy_tails = getattr(estimator, "noise_precision", None) == "gamma"
    if not is_finite(result, heavy_tails=heavy_tails):
        return f"gives {result!r}"
    if case.method not in LEARNING:
        return ""
    if result is not estimator:
        return "does not return the estimator"
    rows = case.kwargs.get("X", case.args[0] if case.args else None)
    if case.method == "merge":
        rows = good_X(estimator.n_features_in_)
    reader = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    spread = {"return_std": True} if hasattr(estimator, "predict") else {}
    read, fault = LAW.call(reader, rows, **spread)
    if fault:
        return f"then {reader.__name__} {fault}"
    if not isinstance(read, Exception) and not is_finite(read, heavy_tails=heavy_tails):
        return f"then {reader.__name__} gives {read!r}"
    return ""


LAW = Law(frozenset(ARGUMENTS), fault_of_state, fault_of_result, replaced=frozenset({"_stream"}))


def test_bad_calls():
    counts, faults = LAW.campaign(made(MAKERS, 1000, N_FAST))
    assert not faults, report(faults)
    assert_mixed(counts, METHODS, N_FAST)


@pytest.mark.parametrize("unit", [1e60, 1e-60])
@pytest.mark.parametrize("precisions", [{"noise_precision": 25.0}, {"prior_mean": 1e100}, {}])
def test_basis_is_learned_in_any_unit(precisions, unit):
    model = BayesianBasisRegressor(FourierBasis(4, random_state=0), **precisions)
    model.fit(good_X(2), unit * good_y(None))
    assert np.isfinite(model.predict(good_X(2))).all()


@pytest.mark.parametrize("kind", ["log", "yeo-johnson"])
def test_predictions_that_overflow_are_refused(kind):
    X = good_X(1)
    model = BayesianBasisRegressor("identity", target_transformer=kind).fit(X, np.exp(X[:, 0]))
    with pytest.raises(ValueError, match="`target_transformer` must give finite y"):
        model.predict([[1e60]])


def forget_to_restore(*estimators: object) -> nullcontext[None]:
    """`restore_on_error` that does nothing: a failed fit leaves n_features_in_ behind."""
    return nullcontext()


def flush_first(self: Any, *args: Any, reset: bool) -> Any:
    """`_check_data` that appends buffered rows before it has checked anything."""
    if not reset:
        _ = self._stream.statistic
    return CHECK_DATA(self, *args, reset=reset)


CHECK_DATA = BayesianBasisRegressor._check_data


def features_unchecked(self: Any, X: Any, *, reset: bool) -> Any:
    """`_check_features` without most checks."""
    X = np.asarray(X, dtype=np.float64)
    self.n_features_in_ = X.shape[1]
    return X


def terse(table: Any, name: str, columns: Any = None) -> None:
    """`check_size` with nothing to say."""
    if table.size and np.abs(table).max() > 1e100:
        raise ValueError(f"bad {name}")


def unchecked(table: Any, name: str, *columns: Any, **remedy: Any) -> None:
    """A check that finds everything good."""


FAULTS = {
    "a failed call leaves attributes behind": (
        skgen._regression.estimator,
        "restore_on_error",
        forget_to_restore,
    ),
    "a failed fit of a basis leaves attributes behind": (
        skgen.bases._base,
        "restore_on_error",
        forget_to_restore,
    ),
    "a failed call appends buffered rows": (BayesianBasisRegressor, "_check_data", flush_first),
    "an IndexError, and text taken for numbers": (
        BayesianBasisRegressor,
        "_check_features",
        features_unchecked,
    ),
    "a message without condition and remedy": (skgen._table, "check_size", terse),
    "values that overflow": (skgen._table, "check_size", unchecked),
    "dates taken for numbers": (skgen._table, "check_numeric", unchecked),
}


SLOW_FAULT = "values that overflow"  # most calls with them are valid, and take as long as a fit


@pytest.mark.parametrize(
    "fault",
    [pytest.param(f, marks=pytest.mark.slow if f == SLOW_FAULT else ()) for f in FAULTS],
)
def test_planted_faults_are_found(fault, monkeypatch):
    monkeypatch.setattr(*FAULTS[fault])
    cases = (case for seed in range(1000, 1005) for case in made(MAKERS, seed, N_FAST))
    assert any(fault for _, fault in map(LAW.judge, cases))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_bad_calls_at_length(seed):
    _, faults = LAW.campaign(made(MAKERS, seed, N_PER_SEED))
    assert not faults, report(faults)
