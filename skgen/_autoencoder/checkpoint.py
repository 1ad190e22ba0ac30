"""Checkpoint files: the identity of an unfinished fit, and its state after the last epoch.

They have torch's format and are read with ``weights_only=True``, so that no code in them can run.
"""

import hashlib
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from types import CodeType, FunctionType
from typing import Any

import numpy as np
import torch
from torch import nn

from .._files.container import replace_file, temporary_prefix
from .._validation import short_repr

FORMAT = "skgen checkpoint 2"
ATOMS = (bool, int, float, complex, str, bytes, np.generic, type(None))
"""Types whose values are equal if their texts are equal."""

Identity = dict[str, str]
"""Everything that the result of a fit depends on, as text: parameters, data, initial weights."""


@dataclass
class Checkpoint:
    """Checkpoint of a fit: the path of its file, or None, and the content of the file."""

    path: Path | None = None
    identity: Identity = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)  # drawn by the fit from its random_state
    epoch: dict[str, Any] | None = None  # state after the last epoch

    @classmethod
    def read(cls, path: Path | None) -> "Checkpoint":
        """Read the checkpoint at ``path``, if there is one."""
        if path is None or not path.exists():
            return cls(path)
        try:
            with open(path, "rb") as file:
                content = torch.load(file, map_location="cpu", weights_only=True)
            if content.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(path, **content)
        except Exception as error:  # torch raises many kinds for files of another format
            raise ValueError(
                "`checkpoint` must be the name of a checkpoint, or of no file yet; got "
                f"{short_repr(str(path))}, which is another file ({type(error).__name__}). Give "
                "another name, or delete the file."
            ) from error

    def check_identity(self, identity: Identity) -> None:
        """Set the identity of the fit; raise if the file belongs to another fit."""
        if self.path is not None and self.epoch is not None:
            for name, (before, now) in differences(self.identity, identity).items():
                raise ValueError(
                    f"`checkpoint` must belong to this fit; got {short_repr(str(self.path))} of a "
                    f"fit with {name}={before}, where now it is {now}. Delete the file to start "
                    "anew, or give another name."
                )
        self.identity |= identity

    def write(self, epoch: dict[str, Any]) -> None:
        """Replace the state in the file by that after an epoch; a failure leaves the old state."""
        if self.path is not None:
            content = {"identity": self.identity, "seeds": self.seeds, "epoch": epoch}
            with replace_file(self.path) as file:
                torch.save({"format": FORMAT, **content}, file)

    def remove(self) -> None:
        """Delete the file, and temporary files of processes that were killed while writing."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            for temporary in self.path.parent.glob(f"{escape(temporary_prefix(self.path))}*.tmp"):
                temporary.unlink(missing_ok=True)


def describe(parameters: Mapping[str, Any]) -> Identity:
    """Describe parameters by text that is the same in every process, for equal values only."""
    return {name: _describe(name, value) for name, value in parameters.items()}


def _describe(name: str, value: Any) -> str:
    text = re.sub(r" at 0x\w+", "", short_repr(value))
    if isinstance(value, ATOMS) and text == repr(value):
        return text
    digest = hashlib.blake2b(digest_size=8)
    try:
        for part in _content(value):
            digest.update(part)
    except Exception as error:  # classes raise many kinds if they cannot be copied
        raise ValueError(
            f"`{name}` must be something that can be compared with that of an earlier fit, or of "
            f"another rank; got {text}, whose content cannot be read ({error}). Give it plain "
            "attributes, or leave out `checkpoint`."
        ) from error
    if "{" in text:  # because the order of a set differs between processes
        text = type(value).__qualname__
    return f"{text} {digest.hexdigest()}"


def _content(value: Any, above: tuple[int, ...] = ()) -> Iterator[bytes]:
    """Yield bytes that are the same for equal values only; ``above`` are ids of its containers."""
    kind = type(value)
    yield f"{kind.__module__}.{kind.__qualname__}(".encode()
    if isinstance(value, ATOMS) or id(value) in above:
        yield repr(value).encode() if isinstance(value, ATOMS) else b"itself"
    elif isinstance(value, np.ndarray | torch.Tensor) and value.dtype != object:
        array = np.asarray(value.detach().cpu() if isinstance(value, torch.Tensor) else value)
        yield f"{array.dtype} {array.shape}".encode() + array.tobytes()
    else:
        for part in _parts(value):
            yield from _content(part, (*above, id(value)))
    yield b")"


def _parts(value: Any) -> Iterable[Any]:
    """Return the parts of an object: its items, its code, or the arguments to copy it."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, dict):
        return [*value.items()]
    if isinstance(value, set | frozenset):
        return sorted(b"".join(_content(item)) for item in value)
    if isinstance(value, type):
        return value.__module__, value.__qualname__
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        return value.__qualname__, value.__code__, value.__defaults__, value.__kwdefaults__, cells
    if isinstance(value, CodeType):
        return value.co_code, value.co_consts, value.co_names
    state = value.__reduce_ex__(4)
    return (
        [state]
        if isinstance(state, str)
        else [*state[:3], *([*part] for part in state[3:5] if part)]
    )


def digest(module: nn.Module) -> str:
    """Digest of a module's layers and weights."""
    digest = hashlib.blake2b(repr(module).encode(), digest_size=16)
    for value in module.state_dict().values():
        digest.update(value.cpu().numpy().tobytes())
    return digest.hexdigest()


def differences(one: Identity, other: Identity) -> dict[str, tuple[str, str]]:
    """Values that differ between the two, in pairs by name."""
    pairs = {name: (one.get(name, "unknown"), value) for name, value in other.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def check_path(path: Any) -> Path | None:
    """Return ``path`` if a file can be written there, else raise."""
    remedy = "Give the name of a file in an existing folder, or None."
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"`checkpoint` must be a str or path; got {short_repr(path)}. {remedy}")
    try:
        is_writable = os.access(Path(path).parent, os.W_OK) and not Path(path).is_dir()
        with suppress(FileNotFoundError):
            os.stat(path)
    except (OSError, ValueError):  # no file can have this name
        is_writable = False
    if not is_writable:
        raise ValueError(f"`checkpoint` must name a file; got {short_repr(path)}. {remedy}")
    return Path(path)
