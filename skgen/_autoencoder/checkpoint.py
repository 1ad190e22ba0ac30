"""The file that keeps an unfinished fit: what it is of, and its state after the last epoch.

It is torch's format, opened with ``weights_only=True``: no code in it can run.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from glob import escape
from pathlib import Path
from typing import Any

import torch
from torch import nn

from .._files.container import replacing
from .._validation import short_repr

FORMAT = "skgen checkpoint 2"

Identity = dict[str, str]


@dataclass
class Checkpoint:
    """The checkpoint of a fit.

    Attributes
    ----------
    path : Path or None
        Where it is; None where nothing is kept.
    identity : dict of str
        What the fit is of: parameters, data, first weights.
    seeds : list of int
        What the fit drew from its ``random_state``.
    epoch : dict or None
        The state after the last epoch that is in the file.
    """

    path: Path | None = None
    identity: Identity = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    epoch: dict[str, Any] | None = None

    @classmethod
    def at(cls, path: Path | None) -> Checkpoint:
        """What is at ``path``, be it nothing."""
        if path is None or not path.exists():
            return cls(path)
        try:
            with open(path, "rb") as file:
                kept = torch.load(file, map_location="cpu", weights_only=True)
            if kept.pop("format") != FORMAT:
                raise ValueError("another format")
            return cls(path, **kept)
        except Exception as error:  # torch raises what it likes over a file that is none of its own
            raise ValueError(
                "`checkpoint` must be the name of a checkpoint, or of no file yet; got "
                f"{short_repr(str(path))}, which is something else ({type(error).__name__}). Give "
                "another name, or delete the file."
            ) from error

    def must_be_of(self, identity: Identity) -> None:
        """Note what the fit is of; raise if the file is of another."""
        if self.path is not None and self.epoch is not None:
            for name, (kept, now) in differences(self.identity, identity).items():
                raise ValueError(
                    f"`checkpoint` must be of this same fit; got {short_repr(str(self.path))}, of "
                    f"one with {name}={kept}, where now it is {now}. Delete the file to start anew "
                    "or give another name."
                )
        self.identity |= identity

    def write(self, epoch: dict[str, Any]) -> None:
        """Put the state after an epoch in the place of the one before, whole or not at all."""
        if self.path is not None:
            kept = {"identity": self.identity, "seeds": self.seeds, "epoch": epoch}
            with replacing(self.path) as file:
                torch.save({"format": FORMAT, **kept}, file)

    def remove(self) -> None:
        """Delete the file, and what writers that were killed have left."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
            for torn in self.path.parent.glob(f".{escape(self.path.name)}.*.tmp"):
                torn.unlink(missing_ok=True)


def identified(parameters: Mapping[str, Any]) -> Identity:
    """Parameters as text that is the same in every process."""
    return {name: re.sub(r" at 0x\w+", "", short_repr(value)) for name, value in parameters.items()}


def digest(module: nn.Module) -> str:
    """What tells a module from others: layers and weights."""
    found = hashlib.blake2b(repr(module).encode(), digest_size=16)
    for value in module.state_dict().values():
        found.update(value.cpu().numpy().tobytes())
    return found.hexdigest()


def differences(one: Identity, other: Identity) -> dict[str, tuple[str, str]]:
    """What is not the same in both."""
    pairs = {name: (one.get(name, "unknown"), value) for name, value in other.items()}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def checked_path(path: Any) -> Path | None:
    """``path`` if a file can be written there, else an error."""
    remedy = "Give the name of a file in a folder that is there, or None."
    if path is None:
        return None
    if not isinstance(path, str | os.PathLike) or not isinstance(os.fspath(path), str):
        raise TypeError(f"`checkpoint` must be a str or path; got {short_repr(path)}. {remedy}")
    try:
        named = os.access(Path(path).parent, os.W_OK) and not Path(path).is_dir()
        with suppress(FileNotFoundError):
            os.stat(path)
    except (OSError, ValueError):  # no file can have this name
        named = False
    if not named:
        raise ValueError(f"`checkpoint` must name a file; got {short_repr(path)}. {remedy}")
    return Path(path)
