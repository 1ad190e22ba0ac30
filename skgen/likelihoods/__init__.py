"""Likelihoods p(x | z): what the outputs of a decoder say of the data.

A likelihood is a small immutable object that turns a decoder's outputs, and free parameters where
it has any, into a torch Distribution. A likelihood of one's own is a subclass of `Likelihood`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._validation import check_choice, short_repr
from ._base import Likelihood
from ._bernoulli import Bernoulli, ContinuousBernoulli
from ._gaussian import Gaussian

__all__ = ["Bernoulli", "ContinuousBernoulli", "Gaussian", "Likelihood"]

for _name in __all__:  # pickles and pages name the public path
    globals()[_name].__module__ = __name__


SHORTCUTS: dict[str, Callable[[], Likelihood]] = {
    "gaussian": Gaussian,
    "bernoulli": Bernoulli,
    "continuous_bernoulli": ContinuousBernoulli,
}


def resolve_likelihood(likelihood: Any) -> Likelihood:
    """The likelihood that ``likelihood``, a shortcut or a `Likelihood`, stands for."""
    if isinstance(likelihood, str):
        return SHORTCUTS[check_choice(likelihood, "likelihood", tuple(SHORTCUTS))]()
    if not isinstance(likelihood, Likelihood):
        raise TypeError(
            f"`likelihood` must be a str or a Likelihood; got likelihood={short_repr(likelihood)}. "
            f"Choose one of {', '.join(map(repr, SHORTCUTS))}, or pass for example "
            "skgen.likelihoods.Gaussian('feature')."
        )
    return likelihood
