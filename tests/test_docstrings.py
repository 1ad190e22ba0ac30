"""Docstrings keep their promises: complete, and true to the signature and to the fitted object."""

import ast
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from operator import attrgetter

import numpy as np
import pandas as pd
import pytest
from numpydoc.docscrape import NumpyDocString
from numpydoc.validate import validate
from sklearn.base import BaseEstimator

import skgen

IGNORED = {
    "GL01",  # the summary starts on the line of the opening quotes, as PEP 257 has it
    "ES01",  # a summary that says all needs no second paragraph
    "RT02",  # a returned value may have a name, as in scikit-learn
}
IGNORED_IN_METHODS = {
    "SA01",  # the class has the See Also
    "EX01",  # and the example
}


def public_modules() -> Iterator[object]:
    yield skgen
    for info in pkgutil.iter_modules(skgen.__path__):
        if not info.name.startswith("_"):
            yield importlib.import_module(f"skgen.{info.name}")


def members(cls: type) -> Iterator[object]:
    """Public methods and properties of a class that are written in skgen."""
    for name, member in inspect.getmembers_static(cls):
        function = next(
            (getattr(member, a) for a in ("fget", "func", "fn", "__func__") if hasattr(member, a)),
            member,
        )
        if (
            inspect.isfunction(function)
            and function.__module__.startswith("skgen")
            and not name.startswith("_")
        ):
            yield function


def dotted(obj: object) -> str:
    return f"{obj.__module__}.{obj.__qualname__}"


PUBLIC = {
    dotted(obj): obj
    for module in public_modules()
    for obj in (getattr(module, name) for name in module.__all__)
    if callable(obj)
}
CLASSES = {name: obj for name, obj in PUBLIC.items() if inspect.isclass(obj)}
METHODS = {dotted(obj): obj for cls in CLASSES.values() for obj in members(cls)}
ESTIMATORS = {name: cls for name, cls in CLASSES.items() if issubclass(cls, BaseEstimator)}

# pytest finds examples where objects say that they live; those of `skgen` itself are loaded lazily.
__test__ = {name: str(obj.__doc__) for name, obj in PUBLIC.items() if obj.__module__ == "skgen"}


def docstring(obj: object) -> str:
    """A docstring, which may be inherited, that of a property too."""
    return inspect.getdoc(attrgetter(obj.__qualname__)(sys.modules[obj.__module__])) or ""


def section(obj: object, title: str) -> dict[str, str]:
    """Documented names of a section, each with what stands on its type line."""
    doc = NumpyDocString(docstring(obj))
    return {name: entry.type for entry in doc[title] for name in entry.name.split(", ")}


@pytest.mark.parametrize("name", PUBLIC | METHODS)
def test_numpydoc(name):
    ignored = IGNORED | (IGNORED_IN_METHODS if name in METHODS else set())
    if docstring((PUBLIC | METHODS)[name]):
        ignored |= {"GL08"}  # there is one, be it inherited
    errors = [f"{code}: {text}" for code, text in validate(name)["errors"] if code not in ignored]
    assert not errors, "\n".join([name, *errors])


@pytest.mark.parametrize("name", PUBLIC | METHODS)
def test_documented_defaults_are_those_of_the_signature(name):
    obj = (PUBLIC | METHODS)[name]
    documented = {
        parameter: np.inf if match[1] == "inf" else ast.literal_eval(match[1])
        for parameter, type_line in section(obj, "Parameters").items()
        if (match := re.search(r"default=(.+)$", type_line))
    }
    actual = {
        parameter.name: parameter.default
        for parameter in inspect.signature(obj).parameters.values()
        if parameter.default is not parameter.empty
    }
    assert {key: repr(value) for key, value in documented.items()} == {
        key: repr(value) for key, value in actual.items()
    }


@pytest.mark.parametrize("name", PUBLIC | METHODS)
def test_each_name_is_documented_once(name):
    doc = NumpyDocString(docstring((PUBLIC | METHODS)[name]))
    for title in ("Parameters", "Attributes", "Returns"):
        names = [name for entry in doc[title] for name in entry.name.split(", ") if name]
        assert len(names) == len(set(names)), title


@pytest.mark.parametrize("name", ESTIMATORS)
def test_fitted_attributes_are_documented(name):
    X = pd.DataFrame({"a": np.linspace(0, 1, 20), "b": np.linspace(1, 3, 20) ** 2})
    estimator = ESTIMATORS[name]().fit(X, X["a"] + X["b"])
    fitted = {
        attribute
        for attribute in dir(estimator)
        if attribute.endswith("_")
        and not attribute.startswith("_")
        and hasattr(estimator, attribute)
    }
    assert fitted == section(ESTIMATORS[name], "Attributes").keys()
