"""Likelihoods p(x | z): distributions of the data given the outputs of a decoder."""

from typing import Any

from .._documentation import register_parts
from .._parameters import Choice, Custom
from .._validation import short_repr
from ._base import Likelihood as Likelihood
from ._base import StandardizedLikelihood as StandardizedLikelihood
from ._bernoulli import Bernoulli as Bernoulli
from ._categorical import Categorical as Categorical
from ._continuous_bernoulli import ContinuousBernoulli as ContinuousBernoulli
from ._counts import NegativeBinomial as NegativeBinomial
from ._counts import Poisson as Poisson
from ._gaussian import Gaussian as Gaussian
from ._mixed import Mixed as Mixed
from ._numeric import Numeric as Numeric
from ._ordinal import Ordinal as Ordinal

PARTS: dict[str, type[Likelihood]] = register_parts(globals())
"""Likelihoods by the names that estimators take."""
Likelihood.__module__ = StandardizedLikelihood.__module__ = __name__

__all__ = ["Likelihood", "StandardizedLikelihood", *(part.__name__ for part in PARTS.values())]


def check_likelihood(likelihood: Any, name: str) -> Likelihood:
    """Return ``likelihood`` if it is a `Likelihood`, else raise."""
    if not isinstance(likelihood, Likelihood):
        raise TypeError(
            f"`{name}` must be a str or a Likelihood; got {name}={short_repr(likelihood)}. "
            f"Choose one of {', '.join(map(repr, PARTS))}, or pass for example "
            "skgen.likelihoods.Gaussian('feature')."
        )
    return likelihood


LIKELIHOOD = Choice(*PARTS) | Custom(check_likelihood, lambda value: isinstance(value, Likelihood))
"""Kind of parameter: the shortcut of a likelihood, or a likelihood."""


def resolve_likelihood(likelihood: Any) -> Likelihood:
    """Return the likelihood that ``likelihood``, a shortcut or a `Likelihood`, stands for."""
    found: Any = LIKELIHOOD.check(likelihood, "likelihood")
    return PARTS[found]() if isinstance(found, str) else found
