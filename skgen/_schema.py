"""Schemas of files: the values that a stored object consists of, declared with its class.

A class is registered by `store`. Only objects of registered classes are written and read, and each
value is tested before an object is made of it. The kinds of `_parameters` are used as tests, too.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from ._validation import LARGEST, short_repr

Values = dict[str, Any]
Sizes = dict[str, int]
Class = TypeVar("Class", bound=type)

MOST = 10**9
SEEDS = 2**63
FINITE = float(np.finfo(np.float64).max)


# -- tests of values ------------------------------------------------------------------------------


class Test(Protocol):
    """A test of a value in a file; it may record sizes that other values must share."""

    def holds(self, value: Any, sizes: Sizes) -> bool: ...


@dataclass(frozen=True)
class Check:
    """A test by a function of the value and the sizes known so far."""

    holds: Callable[[Any, Sizes], bool]

    def __or__(self, other: Test) -> Check:
        return Check(
            lambda value, sizes: self.holds(value, sizes) or other.holds(value, sizes),
        )


def exactly(*choices: Any) -> Check:
    """One of a few values, with the same type."""
    return Check(lambda value, _: any(type(value) is type(c) and value == c for c in choices))


def number(low: float = -LARGEST, high: float = LARGEST) -> Check:
    """A number in [low, high]."""
    return Check(lambda value, _: _is(value, numbers.Real) and low <= float(value) <= high)


def integer(low: int = 0, high: int = MOST, size: str = "") -> Check:
    """An integer in [low, high], which may be a length of arrays, named ``size``."""
    return Check(
        lambda value, sizes: (
            _is(value, numbers.Integral)
            and bool(low <= value <= high)
            and (not size or sizes.setdefault(size, int(value)) == value)
        )
    )


def _is(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool | np.bool_)


def text(longest: int = 1000) -> Check:
    """A str of at most ``longest`` characters."""
    return Check(lambda value, _: isinstance(value, str) and len(value) <= longest)


def array(shape: str, low: float = -LARGEST, high: float = LARGEST, kinds: str = "f") -> Check:
    """An array with values in [low, high]; axes of one name in ``shape`` have one length."""
    names = shape.split()

    def holds(value: Any, sizes: Sizes) -> bool:
        if type(value) is not np.ndarray or value.dtype.kind not in kinds:
            return False
        if value.ndim != len(names):
            return False
        fits = all(
            sizes.setdefault(name, length) == length
            for name, length in zip(names, value.shape, strict=True)
        )
        # Scalars of numpy: Python's would be converted to single precision and overflow.
        least, greatest = np.float64(low), np.float64(high)
        return fits and bool(np.all(value >= least) and np.all(value <= greatest))

    return Check(holds)


def names_of(size: str) -> Check:
    """An array of str, as scikit-learn keeps the names of features."""
    return Check(
        lambda value, sizes: (
            type(value) is np.ndarray
            and value.dtype == object
            and value.shape == (sizes.setdefault(size, value.size),)
            and all(type(name) is str for name in value)
        )
    )


def each(check: Test, *kinds: type) -> Check:
    """A list or tuple, or a sequence of one of ``kinds``, of values that pass ``check``."""
    return Check(
        lambda value, sizes: (
            type(value) in (kinds or (list, tuple))
            and all(check.holds(item, sizes) for item in value)
        )
    )


def made_of(*classes: type) -> Check:
    """An object of one of the classes, or of a class derived from one."""
    return Check(lambda value, _: isinstance(value, classes))


def is_float32(value: Any) -> bool:
    """Return True for a finite array of single precision."""
    return (
        type(value) is np.ndarray and value.dtype == np.float32 and bool(np.isfinite(value).all())
    )


FLAG = Check(lambda value, _: isinstance(value, bool | np.bool_))
NONE = exactly(None)
NOT_NEGATIVE = number(0.0)
TRANSFORMER = Check(
    lambda value, _: (
        not isinstance(value, type)
        and all(hasattr(value, name) for name in ("fit", "transform", "get_params"))
    )
)


# -- schemas of classes ---------------------------------------------------------------------------

SCHEMAS: dict[str, Schema] = {}
"""Schemas of the classes that are imported, by the names of the classes in files."""

FEATURES = {"n_features_in_": integer(1, 10**7, size="n_features")}
OPTIONS = {
    "feature_names_in_": names_of("n_features"),
    "_sklearn_output_config": Check(
        lambda value, _: (
            value in [{"transform": kind} for kind in ("default", "pandas", "polars", None)]
        )
    ),
}


def schema_of(cls: type) -> Schema | None:
    """The schema of a class, or None if no file may hold an object of it."""
    return next((schema for schema in SCHEMAS.values() if schema.cls is cls), None)


def to_record(stored: Any) -> Values:
    """The values of an object: its parameters and, if it is fitted, all that are not derived."""
    schema = schema_of(type(stored))
    assert schema is not None
    values = {name: getattr(stored, name) for name in schema.parameters}
    rest = vars(stored) if schema.state or schema.options else {}
    return values | {
        name: value for name, value in rest.items() if name not in (*values, *schema.derived)
    }


def from_record(cls: Any, values: Values) -> Any:
    """An object made of its values: parameters are passed to the constructor, others are set."""
    schema = schema_of(cls)
    assert schema is not None
    stored = cls(**{name: values.pop(name) for name in schema.parameters if name in values})
    if values:
        vars(stored).update(values)
    return stored


@dataclass(frozen=True)
class Schema:
    """The values of an object of a class in a file, and the conversion to them and back."""

    cls: type
    parameters: Mapping[str, Test]
    """Arguments of the constructor; a file of an earlier version may lack some."""
    state: Mapping[str, Test] = field(default_factory=dict)
    """Attributes of a fitted object: all of them, or none."""
    options: Mapping[str, Test] = field(default_factory=dict)
    """Attributes that an object may have or lack."""
    derived: tuple[str, ...] = ()
    """Attributes that follow from the others."""
    to_record: Callable[[Any], Values] = to_record
    from_record: Callable[[Any, Values], Any] = from_record
    is_consistent: Callable[[Values], bool] = lambda values: True
    """True if values, each of which is valid, are consistent with each other."""

    def check(self, values: Values) -> None:
        """Raise TypeError unless an object can be made of ``values``."""
        name, tests = self.cls.__name__, {**self.options, **self.state, **self.parameters}
        unknown = values.keys() - tests.keys()
        needed = self.state.keys() if values.keys() & self.state.keys() else set()
        if unknown or not needed <= values.keys():
            wrong = ", ".join(sorted(unknown or needed - values.keys()))
            raise TypeError(f"{name} with{' ' if unknown else 'out '}`{wrong}` cannot be in a file")
        sizes: Sizes = {}
        for key, test in tests.items():
            if key in values and not test.holds(values[key], sizes):
                raise TypeError(
                    f"`{key}` of {name} must be valid, and plain data or objects of skgen; got "
                    f"{_describe(values[key])}. Change it before you save."
                )
        if not self.is_consistent(values):
            raise TypeError(f"the values of {name} do not fit each other")


def _describe(value: Any) -> str:
    """Return a number or text as it is, and only the type of what may be large."""
    is_small = value is None or isinstance(value, bool | numbers.Real | str)
    return short_repr(value) if is_small else f"a {type(value).__name__}"


def store(
    name: str = "",
    *,
    parameters: Mapping[str, Test] | None = None,
    state: Mapping[str, Test] | None = None,
    options: Mapping[str, Test] | None = None,
    derived: tuple[str, ...] = (),
) -> Callable[[Class], Class]:
    """Register a class under ``name``, by default its own name.

    ``parameters`` are by default those that the class declares. To override the functions of
    `Schema`, a class defines ``_to_record``, ``_from_record`` (a class method) or
    ``_is_consistent`` (a static or class method).
    """

    def register(cls: Class) -> Class:
        shared = (FEATURES, OPTIONS) if hasattr(cls, "get_params") else ({}, {})
        hooks = {"to_record", "from_record", "is_consistent"}
        own = {hook: getattr(cls, f"_{hook}") for hook in hooks if hasattr(cls, f"_{hook}")}
        if from_own := own.get("from_record"):  # bound to the class, which is passed as well
            own["from_record"] = lambda _, values: from_own(values)
        SCHEMAS[name or cls.__name__] = Schema(
            cls,
            getattr(cls, "_parameters", {}) if parameters is None else parameters,
            {**shared[0], **(state or {})},
            {**shared[1], **(options or {})},
            derived,
            **own,
        )
        return cls

    return register
