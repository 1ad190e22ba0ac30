"""Priors p(z) of the latent codes, as builders of torch modules, which are learned as well."""

from typing import Any

from .._documentation import register_parts
from ._conditional_normal import ConditionalNormal as ConditionalNormal
from ._standard_normal import StandardNormal as StandardNormal

PARTS: dict[str, Any] = register_parts(globals())
"""Priors by name."""

__all__ = [part.__name__ for part in PARTS.values()]
