"""Law 8: a call that fails leaves the estimator as it was and says how to mend the call.

Calls are made up at random, most of them wrong in one or two ways. Each must either succeed, with
finite results and no warning, or raise a ValueError or TypeError in the form of the house, or in
scikit-learn's words where its own checks speak.
"""

import copy
import datetime as dt
import functools
import re
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, SplineTransformer, StandardScaler

import skgen
from skgen import BayesianBasisRegressor, FourierBasis, GaussianBasis, SigmoidBasis
from skgen._design import Stream

N_FAST = 600
SEEDS, N_PER_SEED = range(20), 5000

# -- bad values ----------------------------------------------------------------------------------
# Each function takes a generator and a good float array, and gives what is passed in its place.

Corruption = Callable[[np.random.Generator, np.ndarray], Any]

NUMBERS = (
    np.nan, np.inf, -np.inf, 1e308, -1e308, 1e200, -1e155, 1e100, 1e60, 1e-60, 1e-200, 1e-310,
    5e-324, 0.0, -1.0,
)  # fmt: skip

THINGS = (
    None, "text", "1.5", b"1.5", dt.date(2020, 1, 1), dt.datetime(2020, 1, 1), dt.timedelta(1),
    np.datetime64("2020-01-01"), np.timedelta64(1, "s"), pd.Timestamp(0), pd.NA, pd.NaT, 1 + 2j,
    {"a": 1}, [1.0, 2.0], (), np.ones(2), object(), int, 10**400, Decimal("1.5"), Decimal("nan"),
    Fraction(1, 2), True,
)  # fmt: skip


def itself() -> list[Any]:
    """A list that contains itself."""
    loop: list[Any] = []
    loop.append(loop)
    return loop


def pick(rng: np.random.Generator, options: Any) -> Any:
    """One of ``options``, which numpy must not convert."""
    options = list(options)
    return options[rng.integers(len(options))]


def cells(rng: np.random.Generator, array: np.ndarray) -> Any:
    """An index of one cell, one row, one column, or everything."""
    if not array.size:
        return ...
    cell = tuple(int(rng.integers(length)) for length in array.shape)
    return pick(rng, [cell, cell[:1], (..., cell[-1]), ...])


def with_number(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.copy()
    bad[cells(rng, bad)] = pick(rng, NUMBERS)
    return bad


def with_thing(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.astype(object)
    cell = tuple(int(rng.integers(length)) for length in bad.shape)
    bad[cell] = pick(rng, THINGS)
    if rng.random() < 0.3:
        return bad.tolist()
    return pd.DataFrame(bad) if bad.ndim == 2 and rng.random() < 0.4 else bad


def rescaled(rng: np.random.Generator, good: np.ndarray) -> Any:
    return good * pick(rng, [1e-310, 1e-200, 1e-100, 1e-9, 1e9, 1e90, 1e99, 1e120])


def reshaped(rng: np.random.Generator, good: np.ndarray) -> Any:
    shapes: list[Callable[[], Any]] = [
        lambda: float(good.flat[0]),
        lambda: np.array(1.0),
        lambda: good.ravel(),
        lambda: good[..., None],
        lambda: good[None],
        lambda: good[:-1],
        lambda: np.concatenate([good, good[:1]]),
        lambda: good[:1],
        lambda: good[:0],
        lambda: good[..., :0],
        lambda: good.T,
        lambda: np.column_stack([good, good]),
        lambda: np.column_stack([good, good])[:, :1],
        lambda: [[1.0, 2.0], [3.0]],
        lambda: [*good.tolist()[:-1], [[1.0]]],
        lambda: [],
        lambda: [[]],
        lambda: [[], []],
    ]
    return pick(rng, shapes)()


def retyped(rng: np.random.Generator, good: np.ndarray) -> Any:
    count = np.arange(good.size).reshape(good.shape)
    types_: list[Callable[[], Any]] = [
        lambda: good.astype(str),
        lambda: good.astype("S"),
        lambda: good.astype(str).astype(object),
        lambda: good.astype(str).tolist(),
        lambda: count.astype("M8[D]"),
        lambda: count.astype("m8[s]"),
        lambda: count.astype("M8[D]").astype(object),
        lambda: good + 1j,
        lambda: (good + 1j).tolist(),
        lambda: good.astype(bool),
        lambda: count,
        lambda: good.astype(np.float16),
        lambda: good.astype(np.longdouble) * np.longdouble("1e4000"),
        lambda: good.astype(object),
        lambda: np.zeros(good.shape, dtype=[("a", float), ("b", int)]),
        lambda: np.zeros(good.shape, dtype="V8"),
    ]
    return pick(rng, types_)()


def framed(rng: np.random.Generator, good: np.ndarray) -> Any:
    """A pandas or polars frame or series, most often with a column that holds no numbers."""
    table = good if good.ndim == 2 else good[:, None]
    n = len(table)
    stamps = pd.date_range("2020-01-01", periods=n)
    odd_pandas: list[Callable[[], Any]] = [
        lambda: stamps,
        lambda: stamps.tz_localize("UTC"),
        lambda: stamps - stamps[0],
        lambda: stamps.to_period("D"),
        lambda: pd.interval_range(0, n),
        lambda: pd.Categorical(list("ab" * n)[:n]),
        lambda: pd.Categorical(np.arange(n)),
        lambda: pd.Series(["a"] * n),
        lambda: pd.Series(["1.5"] * n, dtype=object),
        lambda: pd.Series([pick(rng, THINGS) for _ in range(n)], dtype=object),
        lambda: pd.array([1, None] * n, dtype="Int64")[:n],
        lambda: pd.array([1.0, 2.0] * n, dtype="Float64")[:n],
        lambda: pd.array([True, False] * n, dtype="boolean")[:n],
        lambda: pd.array(["a", "b"] * n, dtype="string[pyarrow]")[:n],
        lambda: pd.arrays.SparseArray(table[:, 0]),
        lambda: table[:, 0] + 1j,
        lambda: table[:, 0],
    ]
    odd_polars: list[Callable[[], Any]] = [
        lambda: ["a"] * n,
        lambda: ["1.5"] * n,
        lambda: [dt.date(2020, 1, 1)] * n,
        lambda: [dt.datetime(2020, 1, 1)] * n,
        lambda: [dt.timedelta(1)] * n,
        lambda: [dt.time(1)] * n,
        lambda: [b"1"] * n,
        lambda: [[1.0, 2.0]] * n,
        lambda: [{"a": 1.0}] * n,
        lambda: [None] * n,
        lambda: [1.0, None] * (n // 2) + [1.0] * (n % 2),
        lambda: pl.Series(["a"] * n, dtype=pl.Categorical),
        lambda: pl.Series([object()] * n, dtype=pl.Object),
        lambda: pl.Series([Decimal(1)] * n, dtype=pl.Decimal(10, 2)),
        lambda: [True] * n,
        lambda: table[:, 0],
    ]
    if rng.random() < 0.5:
        frame = pd.DataFrame(table, columns=[f"x{i}" for i in range(table.shape[1])])
        frame[pick(rng, frame.columns)] = pick(rng, odd_pandas)()
        names = pick(rng, [None, None, [f"z{i}" for i in frame], [*frame.columns[::-1]]])
        if names is not None:
            frame.columns = names
        if rng.random() < 0.1:
            frame.columns = [0, *frame.columns[1:]]
        return frame if good.ndim == 2 or rng.random() < 0.3 else frame.iloc[:, 0]
    columns = {f"x{i}": table[:, i] for i in range(table.shape[1])}
    columns[pick(rng, columns)] = pick(rng, odd_polars)()
    polars = pl.DataFrame(columns)
    return polars if good.ndim == 2 or rng.random() < 0.3 else polars[:, 0]


def foreign(rng: np.random.Generator, good: np.ndarray) -> Any:
    """No table at all, or one in a container that is not taken."""
    table = np.atleast_2d(good)
    others: list[Callable[[], Any]] = [
        lambda: scipy.sparse.csr_matrix(table),
        lambda: scipy.sparse.coo_array(table),
        lambda: np.asmatrix(table),
        lambda: dict(enumerate(good.tolist())),
        lambda: set(good.ravel().tolist()),
        lambda: iter(good.tolist()),
        lambda: memoryview(good),
        itself,
        *(functools.partial(lambda thing: thing, thing) for thing in THINGS),
    ]
    return pick(rng, others)()


def healthy(rng: np.random.Generator, good: np.ndarray) -> Any:
    """The good array, or the same in another container that is taken."""
    read_only = good.copy()
    read_only.flags.writeable = False
    forms = [good, good.tolist(), np.asfortranarray(good), good.astype(np.float32), read_only,
             good.astype(object), good[::-1]]  # fmt: skip
    return pick(rng, forms)


TABLES: dict[str, Corruption] = {
    function.__name__: function
    for function in (with_number, with_thing, rescaled, reshaped, retyped, framed, foreign)
}


def negative(rng: np.random.Generator, good: np.ndarray) -> Any:
    bad = good.copy()
    bad[cells(rng, bad)] *= -1
    return bad


def sparse_weights(rng: np.random.Generator, good: np.ndarray) -> Any:
    """Most or all weights zero."""
    return good * (rng.random(len(good)) < pick(rng, [0.0, 0.1, 0.5]))


WEIGHTS = {**TABLES, "negative": negative, "sparse_weights": sparse_weights}

# -- bad parameters ------------------------------------------------------------------------------

JUNK = (
    None, True, False, np.True_, np.nan, np.inf, -np.inf, -1, 0, 1, 2, 3, 7, -1.0, 0.0, 0.5, 2.5,
    1e308, -1e308, 1e200, 1e100, -1e100, 1e90, 1e-90, 1e-100, 1e-200, 5e-324, 10**12, 10**400,
    np.float32(0.5), np.int8(2), np.float64("nan"), np.array(1.5), Fraction(1, 2), Decimal(1),
    1 + 0j, "", "nonsense", "1.0", b"gaussian", [], [[]], [1.0], [1.0, 2.0], (0.0, 1.0), (1.0, 0.0),
    (0.0, 0.0), (0.0, np.inf), (np.nan, 1.0), (-1e100, 1e100), (-1e308, 1e308), (1e-320, 2e-320),
    (0.0, 1e-300), [[0.0, 1.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]], [[1.0], [2.0, 3.0]],
    ["a", "b"], ["1.0", "2.0"], [True, False], [None, 1.0], [1e-100, 1e100], [1e200, 1.0],
    np.ones(3), np.full(3, np.nan), np.ones((2, 3)), np.zeros((3, 2)), np.eye(2) * 1e99,
    np.ones((2, 2, 2)), np.ones(2) * 1j, np.array(["a"]), np.array([object()]), -np.ones(2),
    np.array([[0.0, 0.0], [1e-200, 0.0], [1.0, 1.0]]), np.array([1.0, 2.0], dtype=object),
    np.datetime64("2020-01-01"), np.timedelta64(1, "s"), np.zeros(2, "M8[D]"), dt.timedelta(1),
    pd.NA, pd.NaT, pd.Series([1.0, 2.0]), pd.DataFrame([[0.0, 1.0]]), pl.Series([1.0, 2.0]),
    scipy.sparse.eye(2).tocsr(), {}, {"a": 1}, {1.0}, object(), int, len,
    types.SimpleNamespace(), np.random.default_rng(0), np.random.RandomState(0),
)  # fmt: skip

WORDS = (
    "evidence", "ard", "gamma", "auto", "even", "quantile", "kmeans", "gaussian", "polynomial",
    "sigmoid", "fourier", "identity", "qr", "cholesky", "rbf", "matern32", "matern52", "halton",
    "random",
)  # fmt: skip


def junk(rng: np.random.Generator, words: float = 0.0) -> Any:
    """A value that suits few parameters; a copy, because generators among them change with use."""
    return pick(rng, WORDS) if rng.random() < words else copy.deepcopy(pick(rng, JUNK))


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
    values = {name: junk(rng, words=0.2) for name in names}
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


@dataclass
class Case:
    """A call of ``method`` of the estimator that ``build`` gives."""

    label: str
    build: Callable[[], Any]
    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)

    @property
    def learns(self) -> bool:
        return self.method in ("fit", "partial_fit", "merge")


BASES = (GaussianBasis, SigmoidBasis, FourierBasis)

GOOD_BASES: tuple[Callable[[], Any], ...] = (
    lambda: "identity",
    lambda: "polynomial",
    lambda: GaussianBasis(4, domain=(-3, 3)),
    lambda: GaussianBasis(5, linear=True),
    lambda: GaussianBasis(3, centers="even"),
    lambda: SigmoidBasis(3),
    lambda: SigmoidBasis(2, centers="quantile"),
    lambda: FourierBasis(4, random_state=0),
    lambda: FourierBasis(4, kernel="matern52", sampling="random", random_state=0),
    lambda: SplineTransformer(n_knots=3, include_bias=False),
    lambda: make_pipeline(StandardScaler(), SigmoidBasis(2, domain=(-3, 3))),
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


def named(X: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])])


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
        return BayesianBasisRegressor(
            **{"basis": GOOD_BASES[self.basis](), **GOOD_RULES[self.rules], **parameters}
        )

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


def corrupted(
    rng: np.random.Generator, arguments: dict[str, np.ndarray | None]
) -> tuple[str, dict[str, Any]]:
    """The arguments, one or two of them spoilt, and what was done to them."""
    spoilt = {pick(rng, arguments) for _ in range(rng.integers(1, 3))}
    labels, values = [], {}
    for name, good in arguments.items():
        if good is None:
            continue
        if name not in spoilt:
            values[name] = healthy(rng, good) if rng.random() < 0.2 else good
            continue
        how = pick(rng, WEIGHTS if name == "sample_weight" else TABLES)
        values[name] = WEIGHTS[how](rng, good)
        labels.append(f"{name} {how}")
    return ", ".join(labels), values


def learning(rng: np.random.Generator) -> Case:
    """fit or partial_fit on bad rows, of a model that is fitted or not."""
    model = Model.any(rng, ("", "fit", "frame", "waiting"))
    weights = good_weights() if rng.random() < 0.4 else None
    data = {"X": model.X, "y": model.y, "sample_weight": weights}
    if weights is None:
        del data["sample_weight"]
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
    label, values = corrupted(rng, {"X": model.X, "y": model.y})
    return Case(f"{model} {label}", model.build, "log_predictive_density", (), values)


def weighing_evidence(rng: np.random.Generator) -> Case:
    model = Model.any(rng, ("", "fit", "waiting", "waiting"))
    names = {pick(rng, ("prior_precision", "noise_precision")) for _ in range(2)}
    values = {name: junk(rng, words=0.1) for name in names}
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
    "log_marginal_likelihood", "transform",
}  # fmt: skip


def cases(seed: int, n_cases: int) -> Iterator[Case]:
    """Cases, each from a generator of its own, so that a label says how to make it again."""
    makers = [maker for maker, share in MAKERS.items() for _ in range(share)]
    for index in range(n_cases):
        rng = np.random.default_rng([seed, index])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what makes the case
            case = pick(rng, makers)(rng)
        case.label = f"[{seed}, {index}] {case.method}: {case.label}"
        yield case


# -- the law -------------------------------------------------------------------------------------

ARGUMENTS = {
    "X", "y", "sample_weight", "other", "n_samples", "random_state", "return_std",
    *(name for cls in (BayesianBasisRegressor, *BASES) for name in cls().get_params()),
}  # fmt: skip

HOUSE_FORM = re.compile(r"`(?P<name>\w+)` (and `\w+` )?must .+; got .+\. [A-Z0-9'].+\.", re.DOTALL)

SCIKIT_LEARN_SAYS = re.compile(
    "|".join(
        [
            r"Input (X|y|sample_weight) contains (NaN|infinity)",
            r"Found array with (\d+ sample|0 feature|dim \d)",
            r"Expected 2D array, got (scalar|1D) array instead",
            r"X has \d+ features, but \w+ is expecting \d+ features",
            r"Sparse data was passed for (X|y|sample_weight)",
            r"The feature names should match those that were passed during fit",
            r"Feature names are only supported if all input features have string names",
            r"Sample weights must (be 1D array or scalar|contain at least one non-zero number)",
            r"sample_weight\.shape == ",
            r"Negative values in data passed to `sample_weight`",
            r"np\.matrix is not supported",
            r"\w+ requires y to be passed, but the target y is None",
            r"The '\w+' parameter of \w+ must be",  # of a basis that is scikit-learn's
        ]
    )
)

SCIKIT_LEARN_WARNS = re.compile(r"X (does not have valid feature names|has feature names), but")


def snapshot(value: Any) -> Any:
    """All that ``value`` holds, down to the bits of its arrays, as something to compare."""
    if isinstance(value, np.ndarray):
        if value.dtype == object:
            return ("array", value.shape, [snapshot(item) for item in value.ravel()])
        return ("array", value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, dict):
        return [(key, snapshot(item)) for key, item in value.items()]
    if isinstance(value, list | tuple) and not any(item is value for item in value):
        return (type(value), [snapshot(item) for item in value])
    if isinstance(value, float):
        return value.hex()
    if isinstance(value, int | str | bytes | np.generic | None):
        return (type(value), value if value == value else "nan")
    if isinstance(value, np.random.Generator):
        return snapshot(value.bit_generator.state)
    if isinstance(value, np.random.RandomState):
        return snapshot(value.get_state())
    if isinstance(value, Stream):
        state = dict(vars(value))
        waiting, (_, n_waiting) = state.pop("_waiting"), state["_seen"]
        return (snapshot(state), snapshot(waiting[:n_waiting]) if n_waiting else None)
    if type(value).__module__.startswith(("skgen.", "sklearn.")):
        return (type(value), snapshot(vars(value)))
    return type(value)


def identities(estimator: Any) -> dict[str, int]:
    return {name: id(value) for name, value in vars(estimator).items() if name != "_stream"}


def is_finite(result: Any, *, heavy_tails: bool) -> bool:
    """Whether the arrays of a result are finite; a Student-t may have an infinite variance."""
    if isinstance(result, tuple):
        mean, spread = result
        no_number = np.isnan(spread) if heavy_tails else ~np.isfinite(spread)
        return is_finite(mean, heavy_tails=False) and not np.any(no_number)
    if isinstance(result, np.ndarray | float):
        return bool(np.all(np.isfinite(result)))
    return True


def call(function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
    """The result, or the error, of a call that keeps the law, and what is wrong if it does not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result: Any = function(*args, **kwargs)
        except Exception as error:  # whatever it is, it is judged
            result = error
    for warning in caught:
        if not SCIKIT_LEARN_WARNS.match(str(warning.message)):
            return result, f"warns {warning.category.__name__}: {warning.message}"
    if isinstance(result, NotFittedError):
        said = str(result)
        return result, "" if "fit" in said else f"says no remedy: {said}"
    if isinstance(result, Exception):
        return result, _fault_of_error(result)
    return result, ""


def _fault_of_error(error: Exception) -> str:
    said = f"{type(error).__name__}: {error}"
    if not isinstance(error, ValueError | TypeError):
        return f"raises {said}"
    if SCIKIT_LEARN_SAYS.match(str(error)):
        return ""
    form = HOUSE_FORM.match(str(error))
    if form is None:
        return f"does not say argument, condition, value and remedy: {said}"
    return "" if form["name"] in ARGUMENTS else f"names no argument: {said}"


def judge(case: Case) -> tuple[str, str]:
    """How the call ended, "succeeds" or "fails", and how it breaks the law, if it does."""
    estimator = case.build()
    inputs = [*case.args, *case.kwargs.values()]
    before, own = snapshot(estimator), identities(estimator)
    inputs_before = snapshot([i for i in inputs if isinstance(i, np.ndarray)])
    result, fault = call(getattr(estimator, case.method), *case.args, **case.kwargs)
    if not fault and snapshot([i for i in inputs if isinstance(i, np.ndarray)]) != inputs_before:
        fault = "changes its input"
    if fault:
        return "", f"{case.label}: {fault}"
    if isinstance(result, Exception):
        fault = _fault_of_state(case, estimator, before, own)
        return "fails", f"{case.label}: {fault} after {result!r}" if fault else ""
    fault = _fault_of_result(case, estimator, result)
    return "succeeds", f"{case.label}: {fault}" if fault else ""


def _fault_of_state(case: Case, estimator: Any, before: Any, own: dict[str, int]) -> str:
    if identities(estimator) != own:
        return "has other attributes"
    if case.learns and snapshot(estimator) != before:
        return "has another state"
    if isinstance(estimator, BayesianBasisRegressor) and "_stream" in vars(estimator):
        twin, X = case.build(), good_X(estimator.n_features_in_)
        fresh, _ = call(twin.predict, X, return_std=True)
        stale, _ = call(estimator.predict, X, return_std=True)
        if isinstance(fresh, Exception):
            return "" if repr(stale) == repr(fresh) else "fails to predict otherwise"
        if snapshot(stale) != snapshot(fresh):
            return "predicts otherwise"
        if not case.learns and snapshot(estimator) != snapshot(twin):
            return "has another state"
    return ""


def _fault_of_result(case: Case, estimator: Any, result: Any) -> str:
    heavy_tails = getattr(estimator, "noise_precision", None) == "gamma"
    if not is_finite(result, heavy_tails=heavy_tails):
        return f"gives {result!r}"
    if not case.learns:
        return ""
    if result is not estimator:
        return "does not return the estimator"
    rows = case.kwargs.get("X", case.args[0] if case.args else None)
    if case.method == "merge":
        rows = good_X(estimator.n_features_in_)
    reader = estimator.predict if hasattr(estimator, "predict") else estimator.transform
    spread = {"return_std": True} if hasattr(estimator, "predict") else {}
    read, fault = call(reader, rows, **spread)
    if fault:
        return f"then {reader.__name__} {fault}"
    if not isinstance(read, Exception) and not is_finite(read, heavy_tails=heavy_tails):
        return f"then {reader.__name__} gives {read!r}"
    return ""


def campaign(seed: int, n_cases: int) -> tuple[Counter[tuple[str, str]], list[str]]:
    """How many calls of each method succeed and fail, and all that breaks the law."""
    counts: Counter[tuple[str, str]] = Counter()
    faults = []
    for case in cases(seed, n_cases):
        outcome, fault = judge(case)
        counts[case.method, outcome] += 1
        if fault:
            faults.append(fault)
    return counts, faults


def report(faults: list[str]) -> str:
    return f"{len(faults)} calls break the law:\n" + "\n".join(faults[:20])


def test_bad_calls():
    counts, faults = campaign(seed=1000, n_cases=N_FAST)
    assert not faults, report(faults)
    seldom = {method for method in METHODS if counts[method, "fails"] < 3}
    assert not seldom, f"hardly any bad call of {seldom}"
    n_good = sum(count for (_, outcome), count in counts.items() if outcome == "succeeds")
    assert 0.1 * N_FAST < n_good < 0.7 * N_FAST


def forget_to_restore(*estimators: object) -> nullcontext[None]:
    """`unchanged_on_error` that does nothing: a failed fit leaves n_features_in_ behind."""
    return nullcontext()


def flush_first(self: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Any:
    """`_validated_rows` that lets waiting rows in before it has checked anything."""
    if not reset:
        _ = self._stream.statistic
    return VALIDATED_ROWS(self, X, y, sample_weight, reset=reset)


VALIDATED_ROWS = BayesianBasisRegressor._validated_rows


def features_unchecked(self: Any, X: Any, *, reset: bool) -> Any:
    """`_validated_features` of a beginner."""
    X = np.asarray(X, dtype=np.float64)
    self.n_features_in_ = X.shape[1]
    return X


def terse(table: Any, name: str) -> None:
    """`check_size` with nothing to say."""
    if table.size and np.abs(table).max() > 1e100:
        raise ValueError(f"bad {name}")


def unchecked(table: Any, name: str, **remedy: str) -> None:
    """A check that finds everything good."""


FAULTS = {
    "a failed call leaves attributes behind": (
        skgen._regressor,
        "unchanged_on_error",
        forget_to_restore,
    ),
    "a failed fit of a basis leaves attributes behind": (
        skgen.bases,
        "unchanged_on_error",
        forget_to_restore,
    ),
    "a failed call lets waiting rows in": (BayesianBasisRegressor, "_validated_rows", flush_first),
    "an IndexError, and text taken for numbers": (
        BayesianBasisRegressor,
        "_validated_features",
        features_unchecked,
    ),
    "a message without condition and remedy": (skgen._regressor, "check_size", terse),
    "values that overflow": (skgen._regressor, "check_size", unchecked),
    "dates taken for numbers": (skgen._regressor, "check_numeric", unchecked),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_planted_faults_are_found(fault, monkeypatch):
    monkeypatch.setattr(*FAULTS[fault])
    assert any(fault for _, fault in map(judge, cases(seed=1000, n_cases=N_FAST)))


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_bad_calls_at_length(seed):
    _, faults = campaign(seed, N_PER_SEED)
    assert not faults, report(faults)
