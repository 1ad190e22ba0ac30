"""Kinds of constructor parameters: the values that `fit` accepts and a file may hold.

A class declares its parameters once, ``_parameters: ClassVar[Parameters]``, for `check_parameters`
in `fit`, `check_fields` in the ``__post_init__`` of a dataclass, and `Kind.holds` in `skgen.load`.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from ._validation import (
    LARGEST,
    check_flag,
    check_number,
    check_seed,
    check_vector,
    error_message,
    shape_of,
)  # fmt: skip


class Kind(ABC):
    """A set of valid values."""

    def claims(self, value: Any) -> bool:
        """Return True if this alternative of ``a | b`` is the one that checks ``value``."""
        return True

    @abstractmethod
    def check(self, value: Any, name: str, **sizes: int) -> Any:
        """Return the checked value, or raise an error that calls it ``name``.

        ``sizes`` are lengths of axes, such as ``n_features``; others may have any length.
        """

    def holds(self, value: Any, sizes: Mapping[str, int] | None = None) -> bool:
        """Return True if a file may hold ``value``, which is plain data or a stored object."""
        try:
            self.check(value, "value")
        except (TypeError, ValueError):
            return False
        return True

    def __or__(self, other: "Kind") -> "Kind":
        return Either((self, other))


Parameters = Mapping[str, Kind]


@dataclass(frozen=True)
class Either(Kind):
    """Alternatives: the first kind that claims a value checks it, or the last if none does."""

    kinds: tuple[Kind, ...]

    def claims(self, value: Any) -> bool:
        return any(kind.claims(value) for kind in self.kinds)

    def check(self, value: Any, name: str, **sizes: int) -> Any:
        return self._kind_of(value).check(value, name, **sizes)

    def holds(self, value: Any, sizes: Mapping[str, int] | None = None) -> bool:
        return self._kind_of(value).holds(value, sizes)

    def _kind_of(self, value: Any) -> Kind:
        return next((kind for kind in self.kinds if kind.claims(value)), self.kinds[-1])


class Nothing(Kind):
    """None."""

    def claims(self, value: Any) -> bool:
        return value is None

    def check(self, value: Any, name: str, **sizes: int) -> None:
        if value is not None:
            raise TypeError(error_message(name, "be None", value, "Give None."))


NONE = Nothing()


@dataclass(frozen=True)
class Number(Kind):
    """A finite number in [low, high], or in (low, high]; `check` returns a float."""

    low: float = -LARGEST
    high: float = LARGEST
    open_low: bool = False
    remedy: str = "Give a number."
    integer: ClassVar[bool] = False

    def claims(self, value: Any) -> bool:
        return not shape_of(value)

    def check(self, value: Any, name: str, **sizes: int) -> Any:
        return check_number(value, name, integer=self.integer, **vars(self))


class Integer(Number):
    """An integer in [low, high]; `check` returns an int."""

    integer = True


class Flag(Kind):
    """True or False."""

    def claims(self, value: Any) -> bool:
        return isinstance(value, bool | np.bool_)

    def check(self, value: Any, name: str, **sizes: int) -> bool:
        return check_flag(value, name)


class Choice(Kind):
    """One of several strings."""

    def __init__(self, *choices: str) -> None:
        self.choices = choices

    def claims(self, value: Any) -> bool:
        return isinstance(value, str)

    def check(self, value: Any, name: str, **sizes: int) -> str:
        listed = ", ".join(map(repr, self.choices))
        if not isinstance(value, str):
            raise TypeError(error_message(name, "be a str", value, f"Choose one of {listed}."))
        if value not in self.choices:
            raise ValueError(error_message(name, f"be one of {listed}", value, "Choose one."))
        return value


class Vector(Kind):
    """An array-like of finite numbers, at least ``low``; `check` returns a float array.

    Its shape is one of ``shapes``: names or lengths of axes, as in "n_features 2".
    """

    def __init__(self, *shapes: str, low: float = -np.inf, remedy: str) -> None:
        self.shapes, self.low, self.remedy = [shape.split() for shape in shapes], low, remedy

    def check(self, value: Any, name: str, **sizes: int) -> Any:
        found = shape_of(value)
        axes = next((axes for axes in self.shapes if len(axes) == len(found)), self.shapes[0])
        lengths = [max(1, length) for length in found] + [1] * len(axes)
        shape = tuple(
            int(axis) if axis.isdecimal() else sizes.get(axis, length)
            for axis, length in zip(axes, lengths, strict=False)
        )
        return check_vector(value, name, shape, low=self.low, remedy=self.remedy)


@dataclass(frozen=True)
class Sequence(Kind):
    """A sequence of values of one kind, with one of ``lengths``; `check` returns a tuple."""

    kind: Kind
    noun: str
    lengths: tuple[int, ...] = ()
    remedy: str = "Give a tuple."

    def check(self, value: Any, name: str, **sizes: int) -> tuple[Any, ...]:
        is_other = isinstance(value, str | bytes | dict | set | frozenset | type)
        if is_other or len(shape_of(value)) != 1:
            raise TypeError(error_message(name, f"be a tuple of {self.noun}", value, self.remedy))
        items = tuple(self.kind.check(item, name) for item in value)
        if self.lengths and len(items) not in self.lengths:
            condition = f"have {' or '.join(map(str, self.lengths))} elements"
            raise ValueError(error_message(name, condition, value, self.remedy))
        return items


class Seed(Kind):
    """A `random_state`: an int, a numpy Generator or RandomState, or None."""

    def check(self, value: Any, name: str, **sizes: int) -> Any:
        return check_seed(value)


@dataclass(frozen=True)
class Custom(Kind):
    """Values that a function checks; a file may hold those for which ``plain`` is true."""

    function: Callable[[Any, str], Any]
    plain: Callable[[Any], bool]

    def check(self, value: Any, name: str, **sizes: int) -> Any:
        return self.function(value, name)

    def holds(self, value: Any, sizes: Mapping[str, int] | None = None) -> bool:
        return self.plain(value)


def check_parameters(owner: Any, kinds: Parameters | None = None, **sizes: int) -> Any:
    """Return the checked parameters of an object, by default all, as attributes of a namespace."""
    kinds = owner._parameters if kinds is None else kinds
    values = {name: kind.check(getattr(owner, name), name, **sizes) for name, kind in kinds.items()}
    return SimpleNamespace(**values)


def check_fields(part: Any) -> None:
    """Check the fields of a frozen dataclass, and replace them by their checked values."""
    for name, value in vars(check_parameters(part)).items():
        object.__setattr__(part, name, value)
