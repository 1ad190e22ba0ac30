"""Priors p(z) of the latent codes: builders of torch modules, learned with the networks."""

import copy
from typing import Any

from torch import nn

from .._documentation import register_parts
from .._parameters import Choice, Custom
from .._validation import short_repr
from ._base import LatentDistribution as LatentDistribution
from ._base import Prior, PriorBuilder
from ._conditional_mixture import ConditionalMixture as ConditionalMixture
from ._conditional_normal import ConditionalNormal as ConditionalNormal
from ._flow import Flow as Flow
from ._mixture import Mixture as Mixture
from ._standard_normal import StandardNormal as StandardNormal
from ._vamp import VampPrior as VampPrior

PARTS: dict[str, Any] = register_parts(globals())
"""Priors by the names that estimators take."""
LatentDistribution.__module__ = __name__

__all__ = ["LatentDistribution", *(part.__name__ for part in PARTS.values())]


def check_prior(prior: Any, name: str) -> Prior:
    """Return ``prior`` if it is a builder, and not a module already built, or raise."""
    if not callable(prior) or isinstance(prior, nn.Module):
        raise TypeError(
            f"`{name}` must be a str or a callable(n_components, n_context) that returns a module; "
            f"got {name}={short_repr(prior)}. Choose one of {', '.join(map(repr, PARTS))}, or pass "
            "for example skgen.priors.Mixture(50)."
        )
    checked: Prior = prior
    return checked


PRIOR = Choice(*PARTS) | Custom(check_prior, lambda value: isinstance(value, PriorBuilder))
"""Kind of parameter: the shortcut of a prior, or a builder of one."""


def resolve_prior(prior: Any) -> Prior:
    """Return the builder that ``prior`` stands for, a copy that `set_params` does not change."""
    found: Any = PRIOR.check(prior, "prior")
    builder: Any = PARTS[found]() if isinstance(found, str) else found
    is_ours = isinstance(builder, PriorBuilder)
    resolved: Prior = copy.copy(builder) if is_ours else builder
    return resolved
