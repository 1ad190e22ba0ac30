"""Named arrays and text in one file: safetensors, with a checksum at its end.

The first 8 bytes are the length n of a JSON header, the next n the header, the rest the arrays in
the order of the header: the safetensors format, which other tools read too. Here the last array,
named "sha256", is the digest of all bytes before it, so that no bit can change unnoticed.

What is read may come from a stranger: nothing is believed before it is checked, and what is
allocated is a small multiple of the file's size.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

Arrays = dict[str, npt.NDArray[Any]]

DTYPES = {
    "F64": "<f8", "I64": "<i8", "U64": "<u8", "F32": "<f4", "I32": "<i4", "U32": "<u4",
    "F16": "<f2", "I16": "<i2", "U16": "<u2", "I8": "|i1", "U8": "|u1", "BOOL": "|b1",
}  # fmt: skip
"""The dtypes that a file holds, by their names in safetensors."""
NAMES = {np.dtype(code): name for name, code in DTYPES.items()}

LENGTH_BYTES, DIGEST_BYTES = 8, 32
MOST_DIGITS = 40
VALUE_BYTES = 64
"""About what a value in a JSON text, its quotes and comma aside, takes in memory."""
JSON_SHARE, JSON_ALLOWANCE = 6, 8192
"""What JSON may take in memory: so many times the size of the file, and so many bytes besides."""


class ModelFileError(ValueError):
    """A file that `skgen.load` refuses: damaged, forged, or of a later version.

    Parameters
    ----------
    reason : str
        What is wrong.

    See Also
    --------
    skgen.load : Raises it.

    Examples
    --------
    >>> import skgen
    >>> issubclass(skgen.ModelFileError, ValueError)
    True
    """

    __module__ = "skgen"

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


# -- writing --------------------------------------------------------------------------------------


def write(path: str | os.PathLike[str], text: dict[str, str], arrays: Arrays) -> None:
    """Write arrays, C-contiguous and of `DTYPES`, and text; the file is replaced whole or not."""
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)  # all are then aligned
    header = _header(text, ordered)
    with replacing(path) as file:
        digest = hashlib.sha256()
        parts: list[Any] = [header, *(array for _, array in ordered)]
        for part in parts:
            digest.update(part)
            file.write(part)
        file.write(digest.digest())


def _header(text: dict[str, str], arrays: list[tuple[str, npt.NDArray[Any]]]) -> bytes:
    sums, entries = 0, {}
    digest = ("sha256", np.empty(DIGEST_BYTES, np.uint8))
    for name, array in (*arrays, digest):
        entries[name] = {
            "dtype": NAMES[array.dtype],
            "shape": array.shape,
            "data_offsets": (sums, sums := sums + array.nbytes),
        }
    header = json.dumps({"__metadata__": text, **entries}, separators=(",", ":")).encode()
    # Spaces, which the format allows at the end, make room for many small values.
    missing = _json_bytes(header.decode()) - _room(LENGTH_BYTES + len(header) + sums)
    length = len(header) + max(0, -(-missing // JSON_SHARE))
    length += -length % LENGTH_BYTES
    return length.to_bytes(LENGTH_BYTES, "little") + header.ljust(length)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A file to write that takes the place of ``path`` at the end, on disk, or leaves it alone."""
    target = Path(os.path.realpath(path))  # a link stays one
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync(target.parent)


def _sync(folder: Path) -> None:
    """Have the folder's new entry on disk, where the system lets folders be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- reading --------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> tuple[dict[str, str], Arrays, int]:
    """The text and the arrays of a file, and what parsing the text may take in memory."""
    with open(path, "rb", buffering=0) as file:
        data = file.read(os.fstat(file.fileno()).st_size)
    if hashlib.sha256(memoryview(data)[:-DIGEST_BYTES]).digest() != data[-DIGEST_BYTES:]:
        raise ModelFileError(
            "the checksum is wrong: the file is damaged, or not one that skgen.save wrote"
        )
    start = LENGTH_BYTES + int.from_bytes(data[:LENGTH_BYTES], "little")
    if start > len(data) - DIGEST_BYTES:
        raise ModelFileError("the header is longer than the file")
    entries = parsed(data[LENGTH_BYTES:start].decode("ascii"), _room(len(data)))
    if not isinstance(entries, dict):
        raise ModelFileError("the header is not an object")
    text = entries.pop("__metadata__", None)
    if not isinstance(text, dict) or not all(isinstance(part, str) for part in text.values()):
        raise ModelFileError("the header has no text")
    body, position, arrays = memoryview(data)[start:], 0, {}
    for name, entry in entries.items():
        arrays[name] = _array(entry, body, position)
        position += arrays[name].nbytes
    if position != len(body) or arrays.pop("sha256", body).nbytes != DIGEST_BYTES:
        raise ModelFileError("the arrays do not fill the file")
    return text, arrays, _room(len(data))


def _array(entry: Any, body: memoryview, position: int) -> npt.NDArray[Any]:
    """The array that an entry of the header describes, which must begin at ``position``."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError("an entry of the header is not one of an array")
    shape, code = entry["shape"], DTYPES.get(str(entry["dtype"]))
    if code is None or not _are_lengths(shape):
        raise ModelFileError("an array must have a known dtype and a shape")
    end = position + math.prod(shape) * np.dtype(code).itemsize
    if entry["data_offsets"] != [position, end] or end > len(body):
        raise ModelFileError("the arrays must follow each other, and fill their places")
    array: npt.NDArray[Any] = np.ndarray(shape, code, body, position).copy()
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise ModelFileError("a bool must be 0 or 1")
    return array


def _are_lengths(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(type(length) is int and 0 <= length < 2**48 for length in value)
    )


def parsed(text: str, room: int) -> Any:
    """JSON, without duplicate names, numbers beyond the floats, or more values than have room."""
    if _json_bytes(text) > room:
        raise ModelFileError("it holds more JSON values than a file of this size may")
    return json.loads(
        text,
        object_pairs_hook=_distinct,
        parse_int=_integer,
        parse_float=_finite,
        parse_constant=_finite,
    )


def _json_bytes(text: str) -> int:
    return VALUE_BYTES * sum(map(text.count, "{[:,"))


def _room(size: int) -> int:
    return JSON_SHARE * size + JSON_ALLOWANCE


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ModelFileError("a JSON object has two members of one name")
    return named


def _integer(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ModelFileError(f"an integer has {len(digits)} digits")
    return int(digits)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ModelFileError("a number is not finite")
    return number
