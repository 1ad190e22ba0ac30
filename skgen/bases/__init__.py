"""Basis functions: scikit-learn transformers from features X to the design matrix Phi.

Any scikit-learn transformer is a basis. The bases of this package are the same at every fit, and
depend on the *set* of rows only, so that a repeated row and an integer sample weight mean the same.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

from .._documentation import register_parts
from .._parameters import Choice, Custom
from .._pipelines import final_estimator
from .._schema import TRANSFORMER
from .._validation import FloatArray, error_message
from ._base import Basis
from ._fourier import FourierBasis as FourierBasis
from ._gaussian import GaussianBasis as GaussianBasis
from ._sigmoid import SigmoidBasis as SigmoidBasis

PARTS: dict[str, type[Basis]] = register_parts(globals())
__all__ = sorted(cls.__name__ for cls in PARTS.values())


def _reproducible(cls: type[Basis]) -> Callable[[], Basis]:
    """Return a constructor of the basis with its defaults, and a fixed seed if it takes one."""
    is_random = "random_state" in cls._get_param_names()
    return partial(cls, random_state=0) if is_random else cls


SHORTCUTS: dict[str, Callable[[], Any]] = {
    **{name: _reproducible(cls) for name, cls in PARTS.items()},
    "auto": partial(FourierBasis, n_kernels="auto", ranks=True, linear=True, random_state=0),
    "polynomial": partial(PolynomialFeatures, include_bias=False),
    "identity": partial(FunctionTransformer, feature_names_out="one-to-one"),
}


def check_transformer(basis: Any, name: str) -> Any:
    """Return ``basis`` if it is a transformer, else raise."""
    if not TRANSFORMER.holds(basis, {}):
        condition = "be a str or a transformer instance with fit, transform, get_params"
        listed = ", ".join(map(repr, SHORTCUTS))
        example = "sklearn.preprocessing.SplineTransformer()"
        remedy = f"Choose one of {listed}, or pass for example {example}."
        raise TypeError(error_message(name, condition, basis, remedy))
    return basis


BASIS = Choice(*SHORTCUTS) | Custom(check_transformer, lambda b: TRANSFORMER.holds(b, {}))
"""Kind of parameter: the shortcut of a basis, or a transformer."""


def resolve_basis(basis: Any) -> Any:
    """Return the unfitted basis that a shortcut names, or a copy of a transformer."""
    if not isinstance(basis, str):
        return clone(basis)
    return SHORTCUTS[basis]()


def depends_on_data(basis: Any, X: FloatArray) -> bool:
    """Return True if a fit of ``basis`` to other rows, of the same width, gives another basis."""
    fitted, other = clone(basis).fit(X, None), clone(basis).fit(2 * X + 1, None)
    return is_learnable(fitted) or joblib.hash(fitted) != joblib.hash(other)


def is_learnable(basis: Any) -> bool:
    """Return True if a fitted basis, or the last step of a pipeline, has parameters to learn."""
    final = final_estimator(basis)
    is_frozen = isinstance(final, FrozenEstimator)
    return not is_frozen and hasattr(final, "vjp") and np.size(final.theta_) > 0
