"""The base class of basis functions, and their evaluation."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from .._documentation import DocumentationLink
from .._validation import FloatArray, check_numeric, check_size, restore_on_error

MOST = 1_000_000
FEWEST_ROWS = 1000


def evaluate(basis: Any, X: FloatArray, out: FloatArray) -> None:
    """Write the basis functions at the rows of X, already validated, into ``out``."""
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


def is_finite_on(basis: Any, X: FloatArray) -> bool:
    """Return True if a cheap test shows that ``basis`` is finite on float64 X."""
    reach = getattr(basis, "_reach", None)  # isinstance would take a third of the other time
    return reach is not None and bool(np.vdot(X, X) <= reach * reach)


class Basis(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator, ABC
):
    """Base class of the bases; a subclass implements ``_place`` and ``_write``.

    A basis with random functions may have the methods ``exact_kernel(X)``, the kernel that they
    approximate, and ``resample()``, a copy with other draws.
    """

    shortcut: ClassVar[str]  # name of the basis as a parameter of BayesianBasisRegressor
    _reach: float  # magnitude of X up to which every basis function is known to be finite
    _n_features_out: int

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        """Instances, for any number of features, for the tests of all bases."""
        return (cls(),)

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
            If X or a parameter is invalid. The basis is then left as it was.
        """
        with restore_on_error(self):
            rows = self._validate(X, reset=True)
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
            If X is invalid, or so far from the fitted rows that basis functions would overflow.
        """
        check_is_fitted(self)
        rows = self._validate(X, reset=False)
        Phi = np.empty((len(rows), self._n_features_out))
        evaluate(self, rows, Phi)
        return Phi

    def _validate(self, X: npt.ArrayLike, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            return validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])

    @abstractmethod
    def _place(self, X: FloatArray) -> None:
        """Set the fitted attributes, ``_reach`` and ``_n_features_out`` from rows X."""

    @abstractmethod
    def _write(self, X: FloatArray, out: FloatArray) -> None:
        """Write the basis functions at rows X, within reach, into ``out``."""


class LearnableBasis(Basis):
    """Base class of bases with parameters ``theta_`` that BayesianBasisRegressor learns."""

    theta_: FloatArray

    @abstractmethod
    def vjp(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
        """Vector-Jacobian product: gradient of ``sum(gradient * Phi)`` with respect to ``theta_``.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows.
        Phi, gradient : ndarray of shape (n_samples, n_features_out)
            Basis functions of the rows, ``transform(X)``, and the gradient of a scalar with respect
            to them.

        Returns
        -------
        by_theta : ndarray of shape of ``theta_``
            Gradient of the scalar with respect to ``theta_``.
        """
