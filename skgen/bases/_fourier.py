"""Fourier features."""

from __future__ import annotations

import copy
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri
from scipy.stats import chi2, qmc
from sklearn.utils.validation import check_is_fitted

from .._validation import (
    LARGEST,
    FloatArray,
    RandomState,
    check_choice,
    check_flag,
    check_number,
    generator,
)
from ._base import FEWEST_ROWS, MOST, Basis
from ._kernels import Kernel
from ._placement import (
    Ranks,
    check_lengths,
    distinct_rows,
    location_and_scale,
)

FEWEST_WAVES, SETTLED_ROWS = 600, 4000


class FourierBasis(Basis):
    """Fourier features of a stationary Gaussian process.

    ``phi(x) = sqrt(2 / n_basis) [cos(w_j' x), sin(w_j' x)]`` with frequencies w_j drawn from the
    kernel's spectral density [1]_: under a prior of precision ``a`` on the weights, f(x) has
    variance ``1 / a`` everywhere, and approximates the Gaussian process of that kernel.

    Parameters
    ----------
    n_basis : int, default=None
        Number of waves, even: a cosine and a sine for each frequency. None takes 1200 for up to
        1000 rows, and fewer for more, down to 600 for 4000 and more, so that learning the length
        scales takes about as long.
    kernel : {"rbf", "matern32", "matern52"}, default="rbf"
        The kernel: squared exponential, or Matern with smoothness 3/2 or 5/2.
    length_scale : "evidence", float or array-like of shape (n_features,), default="evidence"
        Length scales of the kernel in the units of X. "evidence" starts at
        ``sqrt(n_inputs)`` standard deviations of each feature, and BayesianBasisRegressor learns
        one per feature; None stays at the start.
    ranks : bool, default=False
        Whether each feature enters twice, as it is and as its rank among the rows that the basis
        is fitted on (from 0 to 1), each with a length scale of its own. Then a skewed feature needs
        no transformation: the evidence chooses.
    linear : bool, default=False
        Whether each feature, and each rank, over its length scale is a basis function too, after
        the waves: a trend, which may lead beyond the data, and which waves are left to bend. The
        kernel is then the sum of theirs and a linear one, ``slope_**2`` times the inner product.
    sampling : {"halton", "random"}, default="halton"
        Frequencies from a scrambled Halton sequence, whose kernel error falls nearly as
        1 / n_basis, or independent draws, whose error falls as 1 / sqrt(n_basis).
    random_state : int, Generator, RandomState or None, default=None
        Seed of the frequencies; None draws afresh at each fit.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_features, n_basis // 2)
        Angular frequencies, in radians per unit of X.
    length_scale_ : ndarray of shape (n_features,)
        Length scales, in the units of X.
    rank_length_scale_ : ndarray of shape (n_features,)
        Length scales of the ranks, with ``ranks=True``.
    slope_ : float
        Prior standard deviation of a linear term's slope, per length scale, in units of that of
        all waves together; 0 without linear terms. It is learned with the length scales, from 1 on.
    relevance_ : ndarray of shape (n_features,)
        ``scale_`` over the length scale of each feature, and the same of its rank, as a root sum of
        squares: near 0, the basis functions do not depend on that feature.
    theta_ : ndarray of shape (n_inputs,), (n_inputs + 1,) or (0,)
        What the evidence may choose: logarithms of the length scales over the spreads of the
        features, of their ranks, and of ``slope_`` if there are linear terms, or nothing.
    location_ : ndarray of shape (n_features,)
        Where all phases are zero.
    scale_ : ndarray of shape (n_features,)
        Spreads of the features, or the length scales if they are given.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    sklearn.kernel_approximation.RBFSampler : Random features with random phases.
    GaussianBasis : Local bumps, whose uncertainty does not grow away from the data.

    Notes
    -----
    Length scales are not learned with the frequencies in use, so that they do not fit what is
    particular to one draw. For up to two rows per basis function they are learned with the kernel
    itself, for more with other frequencies; with an int as ``random_state`` these are the same at
    every fit, too.

    References
    ----------
    .. [1] A. Rahimi and B. Recht, Random features for large-scale kernel machines, NIPS 2007.

    Examples
    --------
    >>> from skgen import FourierBasis
    >>> FourierBasis(4, random_state=0).fit_transform([[0.0], [1.0]]).shape
    (2, 4)
    """

    def __init__(
        self,
        n_basis: int | None = None,
        *,
        kernel: Literal["rbf", "matern32", "matern52"] = "rbf",
        length_scale: float | npt.ArrayLike | Literal["evidence"] | None = "evidence",
        ranks: bool = False,
        linear: bool = False,
        sampling: Literal["halton", "random"] = "halton",
        random_state: RandomState = None,
    ) -> None:
        self.n_basis = n_basis
        self.kernel = kernel
        self.length_scale = length_scale
        self.ranks = ranks
        self.linear = linear
        self.sampling = sampling
        self.random_state = random_state

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        remedy = "Give an even number: a cosine and a sine for each frequency."
        n_basis = self.n_basis
        if n_basis is None:
            n_basis = 2 * round(FEWEST_WAVES * max(1, min(2, np.sqrt(SETTLED_ROWS / len(X)))) / 2)
        check_number(n_basis, "n_basis", low=2, high=MOST, integer=True, remedy=remedy)
        if n_basis % 2:
            raise ValueError(f"`n_basis` must be even; got n_basis={n_basis}. {remedy}")
        rows = distinct_rows(X, FEWEST_ROWS)
        self._ranks = Ranks.of(rows) if check_flag(self.ranks, "ranks") else None
        n_inputs = n_features * (1 if self._ranks is None else 2)
        self.location_, self.scale_ = location_and_scale(rows)
        relative = np.full(n_inputs, np.sqrt(n_inputs))
        if isinstance(self.length_scale, str):
            check_choice(self.length_scale, "length_scale", ("evidence",))
        elif self.length_scale is not None:
            lengths = check_lengths(self.length_scale, "length_scale", n_features)
            self.location_, self.scale_ = np.zeros(n_features), lengths
            relative[:n_features] = 1.0
        check_choice(self.kernel, "kernel", ("rbf", "matern32", "matern52"))  # before any draw
        check_choice(self.sampling, "sampling", ("halton", "random"))
        self._seed = int(generator(self.random_state).integers(2**63))
        is_linear = check_flag(self.linear, "linear")
        self._n_features_out = n_basis + n_inputs * is_linear
        self._relative = relative
        self.slope_ = 1.0 if is_linear else 0.0
        self._draw(self._seed)

    def _draw(self, seed: int) -> None:
        n_inputs = len(self._relative)
        n_draws = (self._n_features_out - (n_inputs if self.slope_ else 0)) // 2
        rng = np.random.default_rng(seed)
        if self.sampling == "random":
            uniform = rng.random((n_draws, n_inputs + 1))
        else:
            uniform = qmc.Halton(n_inputs + 1, rng=rng).random(n_draws)
        self._spectrum = self._spectral(uniform).T
        self._stretch()

    def _spectral(self, uniform: FloatArray) -> FloatArray:
        """Frequencies of unit length scale: normal, or Student-t with 2 nu degrees of freedom."""
        normal: FloatArray = ndtri(uniform[:, :-1])
        if self.kernel == "rbf":
            return normal
        df = {"matern32": 3, "matern52": 5}[self.kernel]
        return normal * np.sqrt(df / chi2.ppf(uniform[:, -1:], df))

    def _stretch(self) -> None:
        """Set what follows from draws and length scales."""
        n_features = len(self.scale_)
        self.length_scale_ = self.scale_ * self._relative[:n_features]
        self.frequencies_ = self._spectrum[:n_features] / self.length_scale_[:, None]
        if self._ranks is not None:
            self.rank_length_scale_ = self._ranks.scale * self._relative[n_features:]
            self._rank_frequencies = self._spectrum[n_features:] / self.rank_length_scale_[:, None]
        self._reach = LARGEST * min(1.0, self.length_scale_.min())

    def _redrawn(self) -> Self:
        other = copy.deepcopy(self)
        other._draw(self._seed + 1)
        return other

    def _kernel_of(self, X: FloatArray) -> Kernel:
        return Kernel(self._inputs(X), self.kernel, self.slope_ > 0)

    @property
    def relevance_(self) -> FloatArray:
        """Spread over length scale, of each feature and its rank."""
        check_is_fitted(self)
        squares = self._relative.reshape(-1, len(self.scale_)) ** -2.0
        return np.sqrt(squares.sum(axis=0))

    @property
    def theta_(self) -> FloatArray:
        """Logarithms of the length scales over the spreads, and of the slope, if to be learned."""
        check_is_fitted(self)
        if not isinstance(self.length_scale, str):
            return np.empty(0)
        slopes = [self.slope_] if self.slope_ else []
        return np.log(np.append(self._relative, slopes))

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        n_inputs = len(self._relative)
        self._relative = np.exp(theta[:n_inputs])
        if self.slope_:
            self.slope_ = float(np.exp(theta[n_inputs]))
        self._stretch()

    def vjp(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
        """Gradient by ``theta_`` of ``sum(gradient * Phi)``.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows.
        Phi : ndarray of shape (n_samples, n_features_out)
            Their basis functions, ``transform(X)``.
        gradient : ndarray of shape (n_samples, n_features_out)
            Weight of each of these.

        Returns
        -------
        pulled : ndarray of shape of ``theta_``
            The gradient.
        """
        half = self._spectrum.shape[1]
        by_phase = gradient[:, half : 2 * half] * Phi[:, :half]
        by_phase -= gradient[:, :half] * Phi[:, half : 2 * half]
        pulled: FloatArray = -np.einsum("df,df->d", self._inputs(X).T @ by_phase, self._spectrum)
        pulled /= self._relative
        if not self.slope_:
            return pulled
        by_slope = np.einsum("id,id->d", gradient[:, 2 * half :], Phi[:, 2 * half :])
        return np.append(pulled - by_slope, by_slope.sum())

    def _inputs(self, X: FloatArray) -> FloatArray:
        """Features, and ranks, in units of their spreads, (n_samples, n_inputs)."""
        return self._standard(*self._shifted(X))

    def _shifted(self, X: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Features and ranks from where all phases are zero."""
        ranks = None if self._ranks is None else self._ranks.of_rows(X)
        return X - self.location_, ranks

    def _standard(self, features: FloatArray, ranks: FloatArray | None) -> FloatArray:
        if self._ranks is None or ranks is None:
            return features / self.scale_
        return np.hstack([features / self.scale_, ranks / self._ranks.scale])

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        half = self._spectrum.shape[1]
        features, ranks = self._shifted(X)
        phase = features @ self.frequencies_
        if ranks is not None:
            phase += ranks @ self._rank_frequencies
        waves, linear = out[:, : 2 * half], out[:, 2 * half :]
        np.cos(phase, out=waves[:, :half])
        np.sin(phase, out=waves[:, half:])
        waves *= np.sqrt(1 / half)
        if self.slope_:
            inputs = self._standard(features, ranks)
            np.multiply(inputs, self.slope_ / self._relative, out=linear)
