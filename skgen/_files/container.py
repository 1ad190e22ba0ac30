"""Named arrays and text in one file: safetensors, with a checksum at its end.

The format is that of safetensors, which other tools can read, too. The first 8 bytes are the length
n of a JSON header, the next n bytes are the header, and the rest are the arrays in the order of the
header. Here the last array, named "sha256", is the digest of all bytes before it, so that any
change of a bit is detected.

A file may come from an untrusted source. So everything in it is checked before it is used, and the
memory allocated is at most a small multiple of its size.
"""

import errno
import hashlib
import json
import math
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
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
PIECE_BYTES = 2**20
LONGEST_NAME = 200
"""Length in bytes up to which a temporary name contains the name of the file; 255 is the limit."""
MOST_DIGITS = 40
VALUE_BYTES = 64
"""Bytes in memory of a value in JSON, without its text, as an estimate."""
JSON_SHARE, JSON_ALLOWANCE = 6, 8192
"""Bytes in memory that JSON may take: a multiple of the size of the file, plus a constant."""


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
    """Write text and C-contiguous arrays of `DTYPES`; a failure leaves the old file."""
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)  # so that all are aligned
    header = _header(text, ordered)
    with replace_file(path) as file:
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
    # Spaces, which the format allows at the end, raise the limit for many small values.
    missing = _json_bytes(header.decode()) - _json_limit(LENGTH_BYTES + len(header) + sums)
    length = len(header) + max(0, -(-missing // JSON_SHARE))
    length += -length % LENGTH_BYTES
    return length.to_bytes(LENGTH_BYTES, "little") + header.ljust(length)


@contextmanager
def replace_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Open a file that replaces the one at ``path``, its mode kept, if the block succeeds."""
    target = Path(os.path.realpath(path))  # so that a link remains a link
    if not target.parent.exists():
        raise FileNotFoundError(errno.ENOENT, "`path` must be in a folder that exists", str(path))
    mode = _check_regular(target).st_mode if os.path.lexists(target) else None
    temporary = target.with_name(f"{temporary_prefix(target)}{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, stat.S_IMODE(mode))
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with suppress(FileNotFoundError):
            temporary.unlink()
        raise
    _sync(target.parent)


def temporary_prefix(target: Path) -> str:
    """Return the start of the names of temporary files for ``target``, whose name may be long."""
    name = target.name
    if len(os.fsencode(name)) > LONGEST_NAME:
        name = hashlib.sha256(os.fsencode(name)).hexdigest()
    return f".{name}."


def _check_regular(path: str | os.PathLike[str]) -> os.stat_result:
    """Return the status of a regular file; raise OSError for a device, a pipe, a directory."""
    status = os.stat(path)
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, "`path` must name a regular file, not a device, pipe or folder", path)
    return status


def _sync(folder: Path) -> None:
    """Write the folder's entries to disk, on systems that let folders be opened."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


# -- reading --------------------------------------------------------------------------------------


def read(path: str | os.PathLike[str]) -> tuple[dict[str, str], Arrays, int]:
    """Return text and arrays of a file, and the bytes that its JSON may take in memory.

    The file is read twice: first in pieces, for its checksum, and then for its content.
    """
    size = _check_regular(path).st_size
    with open(path, "rb") as file:
        _check_digest(file, size)
        start = LENGTH_BYTES + int.from_bytes(file.read(LENGTH_BYTES), "little")
        if start > size - DIGEST_BYTES:
            raise ModelFileError("the header is longer than the file")
        entries = parse_json(file.read(start - LENGTH_BYTES).decode("ascii"), _json_limit(size))
        if not isinstance(entries, dict):
            raise ModelFileError("the header is not an object")
        text = entries.pop("__metadata__", None)
        if not isinstance(text, dict) or not all(isinstance(part, str) for part in text.values()):
            raise ModelFileError("the header has no text")
        position, arrays = 0, {}
        for name, entry in entries.items():
            arrays[name] = _read_array(file, entry, position, size - start)
            position += arrays[name].nbytes
    if position != size - start or arrays.pop("sha256", np.empty(0)).nbytes != DIGEST_BYTES:
        raise ModelFileError("the arrays do not fill the file")
    return text, arrays, _json_limit(size)


def _check_digest(file: BinaryIO, size: int) -> None:
    """Raise unless the last bytes of the file are the digest of all others, then go to the start.

    The file is read in pieces, because a single read returns at most 2^31 - 4096 bytes on Linux. A
    file without the start of a header, such as a large file of zeros, is not read to its end.
    """
    begins_well = file.read(LENGTH_BYTES + 1)[LENGTH_BYTES:] == b"{"
    file.seek(0)
    digest = hashlib.sha256()
    for position in range(0, size - DIGEST_BYTES if begins_well else 0, PIECE_BYTES):
        digest.update(file.read(min(PIECE_BYTES, size - DIGEST_BYTES - position)))
    if digest.digest() != file.read(DIGEST_BYTES) or file.read(1):
        raise ModelFileError(
            "the checksum is wrong: the file is damaged, or not one that skgen.save wrote"
        )
    file.seek(0)


def _read_array(file: BufferedReader, entry: Any, position: int, n_bytes: int) -> npt.NDArray[Any]:
    """Read the array of a header's entry, at ``position`` among the ``n_bytes`` of all arrays."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ModelFileError("an entry of the header is not one of an array")
    shape, code = entry["shape"], DTYPES.get(str(entry["dtype"]))
    if code is None or not _are_lengths(shape):
        raise ModelFileError("an array must have a known dtype and a shape")
    end = position + math.prod(shape) * np.dtype(code).itemsize
    if entry["data_offsets"] != [position, end] or end > n_bytes:
        raise ModelFileError("the arrays must follow each other, and fill their places")
    array: npt.NDArray[Any] = np.empty(shape, code)
    buffer = array.reshape(-1).view(np.uint8).data
    for start in range(0, len(buffer), PIECE_BYTES):
        piece = buffer[start : start + PIECE_BYTES]
        if file.readinto(piece) != len(piece):
            raise ModelFileError("the file has changed while it was read")
    if array.dtype == bool and array.size and array.view(np.uint8).max() > 1:
        raise ModelFileError("a bool must be 0 or 1")
    return array


def _are_lengths(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(type(length) is int and 0 <= length < 2**48 for length in value)
    )


def parse_json(text: str, room: int) -> Any:
    """Parse JSON, or raise for duplicate names, infinite numbers, or too many values."""
    if _json_bytes(text) > room:
        raise ModelFileError("it holds more JSON values than a file of this size may")
    return json.loads(
        text,
        object_pairs_hook=_unique_members,
        parse_int=_parse_int,
        parse_float=_parse_float,
        parse_constant=_parse_float,
    )


def _json_bytes(text: str) -> int:
    return VALUE_BYTES * sum(map(text.count, "{[:,"))


def _json_limit(size: int) -> int:
    """Return the most bytes of JSON that a file of a size may hold."""
    return JSON_SHARE * size + JSON_ALLOWANCE


def _unique_members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    named = dict(pairs)
    if len(named) < len(pairs):
        raise ModelFileError("a JSON object has two members of one name")
    return named


def _parse_int(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ModelFileError(f"an integer has {len(digits)} digits")
    return int(digits)


def _parse_float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ModelFileError("a number is not finite")
    return number
