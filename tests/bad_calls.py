"""The law that calls are judged by, good ones and bad ones (law 8).

A call must either succeed, with finite results and no warning, or raise a ValueError or TypeError
in the form of the house, or in scikit-learn's words where its own checks speak; an estimator whose
call failed must be as it was.
"""

import functools
import itertools
import re
import types
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from bad_values import named, pick
from sklearn.exceptions import NotFittedError

HOUSE_FORM = re.compile(r"`(?P<name>\w+)` (and `\w+` )?must .+; got .+\. [A-Z0-9'].+\.", re.DOTALL)

SCIKIT_LEARN_SAYS = re.compile(
    "|".join(
        [
            r"Input (X|Z|y|sample_weight) contains (NaN|infinity)",
            r"Found array with (\d+ sample|0 feature|dim \d)",
            r"Expected (2D array, got (scalar|1D) array|a 2-dimensional container but got)",
            r"X has \d+ features, but \w+ is expecting \d+ features",
            r"Sparse data was passed for (X|Z|y|sample_weight)",
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

SCIKIT_LEARN_WARNS = r"X (does not have valid feature names|has feature names), but"


@dataclass
class Case:
    """A call of ``method`` of what ``build`` gives.

    If it fails, the message must match the pattern ``says``, and with ``must_fail`` it must fail.
    """

    label: str
    build: Callable[[], Any]
    method: str
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = field(default_factory=dict)
    says: str = ""
    must_fail: bool = False


Maker = Callable[[np.random.Generator], Case]


def made(makers: dict[Maker, int], seed: int, n_cases: int) -> Iterator[Case]:
    """Cases, each from a generator of its own, so that a label says how to make it again."""
    shares = [maker for maker, share in makers.items() for _ in range(share)]
    for index in range(n_cases):
        rng = np.random.default_rng([seed, index])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what makes the case
            case = pick(rng, shares)(rng)
        case.label = f"[{seed}, {index}] {case.method}: {case.label}"
        yield case


# -- what an estimator holds ---------------------------------------------------------------------


@functools.singledispatch
def snapshot(value: Any) -> Any:
    """All that ``value`` holds, down to the bits of its arrays, as something to compare."""
    if type(value).__module__.split(".")[0] in ("skgen", "sklearn"):
        return (type(value), snapshot(vars(value)))
    return type(value)


@snapshot.register
def _(value: np.ndarray) -> Any:
    if value.dtype == object:
        return ("array", value.shape, [snapshot(item) for item in value.ravel()])
    return ("array", value.dtype.str, value.shape, value.tobytes())


@snapshot.register
def _(value: dict) -> Any:  # type: ignore[type-arg]
    return [(key, snapshot(item)) for key, item in value.items()]


@snapshot.register(list)
@snapshot.register(tuple)
def _(value: Any) -> Any:
    if any(item is value for item in value):
        return type(value)
    return (type(value), [snapshot(item) for item in value])


@snapshot.register
def _(value: float) -> Any:
    return value.hex()


@snapshot.register(int)
@snapshot.register(str)
@snapshot.register(bytes)
@snapshot.register(types.NoneType)
def _(value: Any) -> Any:
    return (type(value), value)


@snapshot.register
def _(value: np.generic) -> Any:
    return (type(value), value.tobytes())


@snapshot.register
def _(value: np.random.Generator) -> Any:
    return snapshot(value.bit_generator.state)


@snapshot.register
def _(value: np.random.RandomState) -> Any:
    return snapshot(value.get_state())


# -- judging -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Law:
    """How calls are judged: the same for all, but for what an estimator has of its own.

    ``arguments`` are the names that messages may give. ``fault_of_state(case, estimator, before)``
    looks at an estimator whose call failed, and at the `snapshot` of it from before;
    ``fault_of_result(case, estimator, result)`` at one whose call succeeded. Both return what is
    wrong, or nothing.
    """

    arguments: frozenset[str]
    fault_of_state: Callable[[Case, Any, Any], str]
    fault_of_result: Callable[[Case, Any, Any], str]
    replaced: frozenset[str] = frozenset()
    """Attributes that reading may put another object in the place of."""
    also_says: str = r"(?!)"
    also_warns: str = r"(?!)"

    def call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> tuple[Any, str]:
        """The result, or the error, of a call that keeps the law, and what is wrong if not."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result: Any = function(*args, **kwargs)
            except Exception as error:  # whatever it is, it is judged
                result = error
        for warning in caught:
            if not re.match(f"{SCIKIT_LEARN_WARNS}|{self.also_warns}", str(warning.message)):
                return result, f"warns {warning.category.__name__}: {warning.message}"
        if isinstance(result, NotFittedError):
            said = str(result)
            return result, "" if "fit" in said else f"says no remedy: {said}"
        if isinstance(result, Exception):
            return result, self._fault_of_error(result)
        return result, ""

    def _fault_of_error(self, error: Exception) -> str:
        said = f"{type(error).__name__}: {error}"
        if not isinstance(error, ValueError | TypeError):
            return f"raises {said}"
        if SCIKIT_LEARN_SAYS.match(str(error)) or re.match(self.also_says, str(error)):
            return ""
        form = HOUSE_FORM.match(str(error))
        if form is None:
            return f"does not say argument, condition, value and remedy: {said}"
        return "" if form["name"] in self.arguments else f"names no argument: {said}"

    def judge(self, case: Case) -> tuple[str, str]:
        """How the call ended, "succeeds" or "fails", and how it breaks the law, if it does."""
        estimator = case.build()
        inputs = [i for i in [*case.args, *case.kwargs.values()] if isinstance(i, np.ndarray)]
        before, own, inputs_before = snapshot(estimator), self._own(estimator), snapshot(inputs)
        result, fault = self.call(getattr(estimator, case.method), *case.args, **case.kwargs)
        if not fault and snapshot(inputs) != inputs_before:
            fault = "changes its input"
        if fault:
            return "", f"{case.label}: {fault}"
        if isinstance(result, Exception):
            fault = (
                "has other attributes"
                if self._own(estimator) != own
                else self.fault_of_state(case, estimator, before)
            )
            if not fault and not re.search(case.says, str(result)):
                fault = f"does not say {case.says}"
            return "fails", f"{case.label}: {fault} after {result!r}" if fault else ""
        fault = "succeeds" if case.must_fail else self.fault_of_result(case, estimator, result)
        return "succeeds", f"{case.label}: {fault}" if fault else ""

    def _own(self, estimator: Any) -> dict[str, int]:
        """The identities of what the estimator holds."""
        held = vars(estimator).items()
        return {name: id(value) for name, value in held if name not in self.replaced}

    def campaign(self, cases: Iterable[Case]) -> tuple[Counter[tuple[str, str]], list[str]]:
        """How many calls of each method succeed and fail, and all that breaks the law."""
        counts: Counter[tuple[str, str]] = Counter()
        faults = []
        for case in cases:
            outcome, fault = self.judge(case)
            counts[case.method, outcome] += 1
            if fault:
                faults.append(fault)
        return counts, faults


def report(faults: list[str]) -> str:
    return f"{len(faults)} calls break the law:\n" + "\n".join(faults[:20])


def assert_mixed(counts: Counter[tuple[str, str]], methods: set[str], n_cases: int) -> None:
    """Every method fails at least three times, and some calls, but not most, succeed."""
    seldom = {method for method in methods if counts[method, "fails"] < 3}
    assert not seldom, f"hardly any bad call of {seldom}"
    n_good = sum(count for (_, outcome), count in counts.items() if outcome == "succeeds")
    assert 0.1 * n_cases < n_good < 0.7 * n_cases


# -- estimators that share a fitted state --------------------------------------------------------


class FittedModels:
    """Autoencoders that are fitted once per description of a model, and snapshots of them.

    A description has ``unfitted()``, ``tables`` to fit to, and ``before``: "fit", "partial_fit",
    "frame" (a fit to a data frame), or "" for an estimator that is not fitted. Built estimators
    share the state of the fitted one, so that a change in place shows in it.
    """

    def __init__(self) -> None:
        self.by_description: dict[Any, tuple[Any, Any]] = {}

    def build(self, description: Any, **parameters: Any) -> Any:
        """An estimator as described, with other parameters."""
        model = description.unfitted()
        if description.before:
            own = model.random_state, model.callbacks
            vars(model).update(vars(self._fitted(description)))
            model.random_state, model.callbacks = own
        return model.set_params(**parameters)

    def _fitted(self, description: Any) -> Any:
        if description not in self.by_description:
            model, tables = description.unfitted(), dict(description.tables)
            if description.before == "frame":
                tables["X"] = named(tables["X"])
            learn = model.partial_fit if description.before == "partial_fit" else model.fit
            learn(**tables)
            self.by_description[description] = model, snapshot(model)
        return self.by_description[description][0]

    def changed_in_place(self) -> list[Any]:
        return [
            description
            for description, (fitted, before) in self.by_description.items()
            if snapshot(fitted) != before
        ]


@dataclass(frozen=True)
class Campaign:
    """Calls made up by ``makers``, of estimators that share states, judged by a law."""

    law: Law
    makers: dict[Maker, int]
    models: FittedModels

    def check(self, seed: int, n_cases: int) -> Counter[tuple[str, str]]:
        """Assert that no call breaks the law or changes a shared state; return their counts."""
        counts, faults = self.law.campaign(made(self.makers, seed, n_cases))
        assert not faults, report(faults)
        assert not self.models.changed_in_place()
        return counts

    def finds_fault(self, seeds: Iterable[int], n_cases: int) -> bool:
        """Return True if some call breaks the law or changes a shared state."""
        cases = (case for seed in seeds for case in made(self.makers, seed, n_cases))
        parts = iter(lambda: list(itertools.islice(cases, 100)), [])
        return any(
            any(fault for _, fault in map(self.law.judge, part)) or self.models.changed_in_place()
            for part in parts
        )
