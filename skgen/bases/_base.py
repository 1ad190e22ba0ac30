"""The base class of basis functions, and their evaluation."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._documentation import DocumentationLink
from .._validation import (
    FloatArray,
    check_numeric,
    check_size,
    restore_on_error,
)

MOST = 1_000_000
FEWEST_ROWS = 1000


def evaluate(basis: Any, X: FloatArray, out: FloatArray) -> None:
    """Write the basis functions of the rows of X, already validated, into ``out``."""
    if isinstance(basis, Basis):
        if not float(np.abs(X).max()) <= basis._reach:
            raise ValueError(
                f"`X` must lie within {basis._reach:g} of zero for this basis; got "
                f"{np.abs(X).max():g}. Rescale X, or leave such rows out."
            )
        basis._write(X, out)
        return
    Phi = basis.transform(X)
    Phi = Phi.toarray() if hasattr(Phi, "toarray") else np.asarray(Phi, dtype=np.float64)
    if Phi.shape != out.shape:
        raise ValueError(
            f"`basis` must give as many columns as when it was fitted ({out.shape[1]}); got an "
            f"array of shape {Phi.shape}. Use a transformer with a fixed number of outputs."
        )
    out[...] = Phi


def resample(basis: Any) -> Any:
    """A copy of a fitted basis to search with; random basis functions are drawn anew."""
    return basis._redrawn() if isinstance(basis, Basis) else copy.deepcopy(basis)


def is_finite_on(basis: Any, X: FloatArray) -> bool:
    """Whether ``basis`` is sure to be finite on float64 X, whose rows may then wait; quickly."""
    reach = getattr(basis, "_reach", None)  # isinstance would cost a third of all else here
    return reach is not None and bool(np.vdot(X, X) <= reach * reach)


class Basis(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC
):
    """What the bases share; each fills in ``_place`` and ``_write``."""

    _reach: float  # largest magnitude of X at which every basis function surely is finite
    _n_features_out: int

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Place the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows whose range, spread and density the basis functions follow.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The fitted basis.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is invalid; the basis is left as it was.
        """
        with restore_on_error(self):
            rows = self._validated(X, reset=True)
            check_size(rows, "X")
            self._place(rows)
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Evaluate the basis functions.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows to map.

        Returns
        -------
        Phi : ndarray of shape (n_samples, n_features_out)
            The design matrix.

        Raises
        ------
        ValueError, TypeError
            If X is invalid, or so far from the fitted rows that the basis functions overflow.
        """
        check_is_fitted(self)
        rows = self._validated(X, reset=False)
        Phi = np.empty((len(rows), self._n_features_out))
        evaluate(self, rows, Phi)
        return Phi

    def _validated(self, X: npt.ArrayLike, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            rows: FloatArray = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        return rows

    def _redrawn(self) -> Self:
        return copy.deepcopy(self)

    @abstractmethod
    def _place(self, X: FloatArray) -> None:
        """Set the fitted attributes, ``_reach`` and ``_n_features_out`` from rows X."""

    @abstractmethod
    def _write(self, X: FloatArray, out: FloatArray) -> None:
        """Write the basis functions of rows X, within reach, into ``out``."""
