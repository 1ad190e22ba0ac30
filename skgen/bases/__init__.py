"""Basis functions: scikit-learn transformers from features X to the design matrix Phi.

Any scikit-learn transformer is a basis; those here are the ones that scikit-learn lacks. Their
positions and widths follow from the *set* of rows they are fitted on, so that a repeated row and
an integer sample weight mean the same, and they are the same at every fit.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.preprocessing import FunctionTransformer, PolynomialFeatures

from .._pipelines import final_estimator, is_frozen
from .._validation import FloatArray, check_choice, short_repr
from ._fourier import FourierBasis
from ._gaussian import GaussianBasis
from ._kernels import Kernel
from ._sigmoid import SigmoidBasis

__all__ = ["FourierBasis", "GaussianBasis", "SigmoidBasis"]

for _name in __all__:  # pickles and pages name the public path
    globals()[_name].__module__ = __name__


def exact_kernel(basis: Any, X: FloatArray) -> Kernel | None:
    """The kernel between rows that random basis functions stand for, as a function of theta_."""
    return basis._kernel_of(X) if isinstance(basis, FourierBasis) else None


TABULAR = partial(FourierBasis, ranks=True, linear=True, random_state=0)
"""The basis of "auto" for several features."""


SHORTCUTS: dict[str, Callable[[], Any]] = {
    "gaussian": GaussianBasis,
    "sigmoid": SigmoidBasis,
    "fourier": partial(FourierBasis, random_state=0),
    "polynomial": partial(PolynomialFeatures, include_bias=False),
    "identity": partial(FunctionTransformer, feature_names_out="one-to-one"),
}


def resolve_basis(basis: Any, n_features: int) -> Any:
    """An unfitted copy of the basis that ``basis``, a shortcut or a transformer, stands for."""
    if isinstance(basis, str):
        if check_choice(basis, "basis", ("auto", *SHORTCUTS)) == "auto":
            return GaussianBasis() if n_features == 1 else TABULAR()
        return SHORTCUTS[basis]()
    needed = ("fit", "transform", "get_params")
    if isinstance(basis, type) or not all(hasattr(basis, method) for method in needed):
        raise TypeError(
            f"`basis` must be a str or a transformer instance with {', '.join(needed)}; got "
            f"basis={short_repr(basis)}. Choose one of {', '.join(map(repr, SHORTCUTS))}, or pass "
            "for example sklearn.preprocessing.SplineTransformer()."
        )
    return clone(basis)


def depends_on_data(basis: Any, X: FloatArray) -> bool:
    """Whether a fit of ``basis`` to other rows of the same width gives another basis."""
    fitted, other = clone(basis).fit(X, None), clone(basis).fit(2 * X + 1, None)
    return is_learnable(fitted) or joblib.hash(fitted) != joblib.hash(other)


def is_learnable(basis: Any) -> bool:
    """Return True if a fitted basis, or the last step of a pipeline, has parameters to learn."""
    final = final_estimator(basis)
    return not is_frozen(final) and hasattr(final, "vjp") and np.size(final.theta_) > 0
