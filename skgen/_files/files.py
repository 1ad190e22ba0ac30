"""Estimators to files and back, without pickle: a file holds data, and loading it runs no code.

An object becomes a tree of JSON and named arrays (`container`). Each class declares a schema
(`_schema`). Values are checked against the schema before an object is made of them.
"""

import json
import math
import os
import sys
from collections import UserList
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .._schema import SCHEMAS, Schema, schema_of
from .._validation import short_repr
from .._versions import import_module
from .container import DTYPES, NAMES, Arrays, ModelFileError, parse_json, read, write

FORMAT, FORMAT_VERSION = "skgen", 1
LARGEST_INT, DEEPEST = 10**39, 40
TYPES = {
    kind.__name__: kind
    for kind in (bool, int, float, str, object, np.number, np.integer, np.floating,
                 np.float64, np.float32, np.int64, np.int32)
}  # fmt: skip
"""Types that scikit-learn takes for a ``dtype``, by their names in files."""
SCALARS = (bool, int, float, str, np.generic)
DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, AttributeError, RecursionError,
          RuntimeError)  # fmt: skip
"""Errors that numpy, scipy, torch and json may raise for values that have passed all checks."""


def save(estimator: Any, path: str | os.PathLike[str]) -> None:
    """Save an estimator, fitted or not, to a file that is safe to open.

    The file holds numbers and text only: no pickle, no code. It replaces an older file only when it
    is complete and on disk.

    Parameters
    ----------
    estimator : estimator
        A `BayesianBasisRegressor`, `VAETransformer`, `VAERegressor` or `VAEImputer`, a basis, or a
        scikit-learn Pipeline of these and of transformers such as StandardScaler and
        ColumnTransformer.
    path : str or path-like
        Path of the file, which has the safetensors format.

    Raises
    ------
    TypeError
        If the estimator contains something that no file can hold, such as a function, a callback,
        or an object of a class of your own.
    OSError
        If the file cannot be written. An older file is then left as it was.

    See Also
    --------
    load : Load the estimator from the file.

    Examples
    --------
    >>> import os, tempfile, skgen
    >>> path = os.path.join(tempfile.mkdtemp(), "basis.safetensors")
    >>> skgen.save(skgen.GaussianBasis(5, domain=(0, 1)), path)
    >>> skgen.load(path)
    GaussianBasis(domain=(0, 1), n_basis=5)
    """
    schema = _schema_of_value(estimator)
    if schema is None or not hasattr(estimator, "get_params"):
        raise TypeError(
            "`estimator` must be an estimator of skgen, or a scikit-learn Pipeline that holds one; "
            f"got {short_repr(estimator)}. Of a search, save its best_estimator_."
        )
    arrays: Arrays = {}
    tree = _encode(estimator, "", arrays)
    text = {
        "format": FORMAT,
        "format_version": str(FORMAT_VERSION),
        "skgen_version": sys.modules["skgen"].__version__,
        "estimator": json.dumps(tree, separators=(",", ":"), allow_nan=False),
    }
    write(path, text, arrays)


def load(path: str | os.PathLike[str]) -> Any:
    """Load an estimator from a file that `save` wrote, in this or in an earlier version.

    Nothing in the file is run. Classes, types, ranges, shapes and a checksum are verified first.

    Parameters
    ----------
    path : str or path-like
        Path of the file.

    Returns
    -------
    estimator : estimator
        The estimator as it was saved: it makes the same predictions and continues to learn in the
        same way. Autoencoders are on the CPU.

    Raises
    ------
    ModelFileError
        If the file is damaged, forged, not of skgen, or of a later version.
    OSError
        If the file cannot be read.
    ImportError
        If the file holds an autoencoder and torch or skorch is not installed.

    See Also
    --------
    save : Save an estimator to a file.

    Examples
    --------
    >>> import os, tempfile, skgen
    >>> path = os.path.join(tempfile.mkdtemp(), "model.safetensors")
    >>> model = skgen.BayesianBasisRegressor().fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> skgen.save(model, path)
    >>> bool(skgen.load(path).coef_[0] == model.coef_[0])
    True
    """
    try:
        text, arrays, room = read(path)
        _check_version(text)
        tree = parse_json(text["estimator"], room)
        with np.errstate(all="ignore"):
            estimator = _decode(tree, arrays, DEEPEST)
        if arrays:
            raise ModelFileError("some of its arrays belong to no object")
        if not hasattr(estimator, "get_params"):
            raise ModelFileError("what it holds is not an estimator")
    except DAMAGE as error:
        raise ModelFileError(
            f"`path` must be a file that skgen.save wrote, undamaged; got {short_repr(str(path))}: "
            f"{short_repr(str(error))}. Save the estimator again, or get another copy of the file."
        ) from error
    return estimator


def _check_version(text: dict[str, str]) -> None:
    if text.get("format") != FORMAT:
        raise ModelFileError("it is not a file of skgen's")
    version = text.get("format_version", "")
    if not version.isdecimal() or len(version) > 9:
        raise ModelFileError("its version is not a number")
    if int(version) > FORMAT_VERSION:
        by = short_repr(text.get("skgen_version"))
        raise ModelFileError(
            f"it is of a later version ({version}, this is {FORMAT_VERSION}), written by skgen "
            f"{by}; update skgen to read it"
        )


HOMES = (
    "skgen._files.tables",
    "skgen.bases",
    "skgen._regression.estimator",
    "skgen.likelihoods",
    "skgen.networks",
    "skgen.priors",
    "skgen._autoencoder.vae",
    "skgen._autoencoder.imputer",
    "skgen._autoencoder.conditional",
)
"""Modules that register classes when they are imported, those without torch first."""


def find_schema(name: str) -> Schema | None:
    """Return the schema of a class by its name in files; import modules until it is found."""
    for home in HOMES:
        if name in SCHEMAS:
            break
        import_module(home)
    return SCHEMAS.get(name)


def _schema_of_value(value: Any) -> Schema | None:
    """Return the schema of the class of ``value``, which is imported already."""
    import_module(HOMES[0])
    return schema_of(type(value))


# -- objects to trees -----------------------------------------------------------------------------


def _encode(value: Any, name: str, arrays: Arrays) -> Any:
    """Return the JSON tree of a value, and add its arrays, by names that begin with ``name``."""
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is int and abs(value) < LARGEST_INT):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"float": repr(value)}
    if isinstance(value, UserList):  # of columns, in scikit-learn 1.6
        return _encode(value.data, name, arrays)
    if kind in (list, tuple):
        named = {str(index): item for index, item in enumerate(value)}
        return {kind.__name__: [*_encode_members(named, name, arrays).values()]}
    if kind is dict and all(type(key) is str for key in value):
        return {"dict": _encode_members(value, name, arrays)}
    if kind in (dict, slice, type) or isinstance(value, np.dtype):
        return _encode_rare(value, name, arrays)
    if kind is np.ndarray and value.dtype.kind in "OU" and value.ndim == 1:
        return _encode_texts(value, name, arrays)
    if kind is np.ndarray or isinstance(value, np.generic):
        return _encode_array(value, name, arrays)
    return _encode_object(value, name, arrays)


def _encode_rare(value: Any, name: str, arrays: Arrays) -> dict[str, Any]:
    """Return the tree of a value of a type that is rare in estimators of scikit-learn."""
    if isinstance(value, slice):
        return {"slice": [_encode(n, name, arrays) for n in (value.start, value.stop, value.step)]}
    if isinstance(value, dict):
        return {"pairs": _encode([*value.items()], name, arrays)}
    if isinstance(value, np.dtype) and (value.kind == "O" or value in NAMES):
        return {"dtype": value.str}
    names = [name for name, kind in TYPES.items() if kind is value]
    if names:
        return {"type": names[0]}
    raise _type_error(value, name)


def _encode_texts(value: npt.NDArray[Any], name: str, arrays: Arrays) -> dict[str, Any]:
    """Return the tree of a vector of str, or of str, numbers and None."""
    if value.dtype.kind == "U":
        points = np.ascontiguousarray(value).view(np.uint32)  # one per character
        return {"unicode": _encode_array(points.reshape(len(value), -1), name, arrays)}
    if all(type(item) is str for item in value):
        return {"strings": list(value)}
    return {"objects": _encode([*value], name, arrays)["list"]}


def _encode_members(values: dict[str, Any], name: str, arrays: Arrays) -> dict[str, Any]:
    return {key: _encode(item, f"{name}.{key}", arrays) for key, item in values.items()}


def _encode_array(value: Any, name: str, arrays: Arrays) -> dict[str, Any]:
    array: npt.NDArray[Any] = np.asarray(value)
    if array.dtype not in NAMES:
        raise _type_error(value, name)
    key = name.removeprefix(".")
    is_transposed = array.flags.f_contiguous and not array.flags.c_contiguous
    arrays[key] = np.ascontiguousarray(array.T) if is_transposed else np.ascontiguousarray(array)
    if array.ndim == 0:  # ascontiguousarray makes a vector of it
        arrays[key] = arrays[key].reshape(())
    kind = "array" if isinstance(value, np.ndarray) else "scalar"
    return {"transposed" if is_transposed else kind: key}


def _encode_object(value: Any, name: str, arrays: Arrays) -> dict[str, Any]:
    schema = _schema_of_value(value)
    if schema is None:
        raise _type_error(value, name)
    values = schema.to_record(value)
    tree = _encode_members(values, name, arrays)
    schema.check(values)
    return {"class": next(key for key in SCHEMAS if SCHEMAS[key] is schema), "values": tree}


def _type_error(value: Any, name: str) -> TypeError:
    return TypeError(
        f"`{name.removeprefix('.') or 'estimator'}` must be something that a file can hold: "
        "numbers, text, arrays, and objects of skgen and some of scikit-learn; got "
        f"{short_repr(value)}. Leave it out, or save the estimator by skops.io or pickle, for "
        "readers who trust you."
    )


# -- trees to objects -----------------------------------------------------------------------------


def _decode(tree: Any, arrays: Arrays, depth: int) -> Any:
    """Return the value of a JSON tree, and remove its arrays from ``arrays``."""
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree
    if depth == 0:
        raise ModelFileError("it is nested too deeply")
    if isinstance(tree, dict) and tree.keys() == {"class", "values"}:
        return _build(tree["class"], tree["values"], arrays, depth)
    if not isinstance(tree, dict) or len(tree) != 1:
        raise ModelFileError("a value is of no known kind")
    ((kind, content),) = tree.items()
    return DECODERS[kind](content, arrays, depth - 1)


def _build(kind: Any, values: Any, arrays: Arrays, depth: int) -> Any:
    schema = find_schema(kind) if isinstance(kind, str) else None
    if schema is None:
        raise ModelFileError(f"it contains a {short_repr(kind)}, which no file may hold")
    parts = _decode_members(values, arrays, depth - 1)
    schema.check(parts)
    return schema.from_record(schema.cls, parts)


def _decode_members(content: Any, arrays: Arrays, depth: int) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ModelFileError("an object's values must have names")
    return {key: _decode(item, arrays, depth) for key, item in content.items()}


def _decode_items(content: Any, arrays: Arrays, depth: int) -> list[Any]:
    if not isinstance(content, list):
        raise ModelFileError("a list must be one")
    return [_decode(item, arrays, depth) for item in content]


def _decode_strings(content: Any, *_: Any) -> npt.NDArray[Any]:
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise ModelFileError("strings must be strings")
    return np.array(content, dtype=object)


def _decode_objects(content: Any, arrays: Arrays, depth: int) -> npt.NDArray[Any]:
    items = _decode_items(content, arrays, depth)
    if not all(item is None or isinstance(item, SCALARS) for item in items):
        raise ModelFileError("an item of a table must be a number or text")
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def _decode_unicode(content: Any, arrays: Arrays, depth: int) -> npt.NDArray[Any]:
    points = _decode(content, arrays, depth)
    if type(points) is not np.ndarray or points.dtype != np.uint32 or points.ndim != 2:
        raise ModelFileError("text must be made of characters")
    if not points.shape[1] or points.max(initial=0) > sys.maxunicode:
        raise ModelFileError("a character must be one of Unicode")
    return np.ascontiguousarray(points).view(f"<U{points.shape[1]}")[:, 0]


def _decode_pairs(content: Any, arrays: Arrays, depth: int) -> dict[int, Any]:
    pairs = _decode(content, arrays, depth)
    if not isinstance(pairs, list) or any(type(key) is not int for key, _ in pairs):
        raise ModelFileError("a key must be an integer")
    return dict(pairs)


def _decode_slice(content: Any, *_: Any) -> slice:
    if any(part is not None and type(part) not in (int, str) for part in content):
        raise ModelFileError("a slice must be from one column to another")
    start, stop, step = content
    return slice(start, stop, step)


def _decode_dtype(content: Any, *_: Any) -> np.dtype[Any]:
    if content not in ("|O", *DTYPES.values()):
        raise ModelFileError("a dtype must be a known one")
    return np.dtype(content)


def _decode_float(content: Any, *_: Any) -> float:
    return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[content]


DECODERS: dict[str, Callable[[Any, Arrays, int], Any]] = {
    "float": _decode_float,
    "list": _decode_items,
    "tuple": lambda content, arrays, depth: tuple(_decode_items(content, arrays, depth)),
    "dict": _decode_members,
    "strings": _decode_strings,
    "objects": _decode_objects,
    "unicode": _decode_unicode,
    "pairs": _decode_pairs,
    "slice": _decode_slice,
    "dtype": _decode_dtype,
    "type": lambda content, *_: TYPES[content],
    "array": lambda content, arrays, _: arrays.pop(content),
    "transposed": lambda content, arrays, _: arrays.pop(content).T,
    "scalar": lambda content, arrays, _: arrays.pop(content)[()],
}
