"""Fourier features."""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit, gammaincinv, ndtri
from scipy.stats import chi2, qmc
from sklearn.utils.validation import check_is_fitted

from .._parameters import NONE, Choice, Flag, Integer, Parameters, Seed, check_parameters
from .._schema import SEEDS, Values, array, from_record, integer, made_of, number, store
from .._validation import LARGEST, FloatArray, RandomState, generator
from ._base import FEWEST_ROWS, MOST, LearnableBasis
from ._edges import Edges
from ._inducing import InducingPoints
from ._kernels import (
    MATERN_DF,
    Kernel,
    KernelName,
    KernelParameters,
    KernelSum,
    Lengths,
    relevance_shares,
)
from ._placement import (
    LENGTHS,
    POSITIVE,
    EmpiricalCDF,
    are_evenly_spread,
    distinct_rows,
    feature_range,
    location_and_scale,
)

MOST_POINTS, N_WAVES = 2000, 600
"""Rows at which the kernel is exact, at most, and the waves beside them, by default."""
STEP = 2e-3  # of a logarithm, for the derivative of a quantile
TWO_KERNELS = (0.0, -1.0, np.log(4.0)), (1.0, 0.0, 0.0)
"""Logarithms: length scales of two kernels relative to those of one, and odds of the first."""


@store(
    state={
        "_seed": integer(0, SEEDS), "_ranks": made_of(type(None), EmpiricalCDF),
        "location_": array("n_features"), "scale_": POSITIVE,
        "_relative": array("n_inputs", 1e-300), "_spectrum": array("n_inputs n_draws"),
    },
    options={
        "slope_": number(0.0), "scale_mixture_": number(0.0),
        "_uniform": array("n_draws", 0.0, 1.0),
        "_groups": array("n_features", -1, kinds="i"), "_edges": made_of(type(None), Edges),
        "_points": made_of(type(None)) | array("n_points n_inputs"),
        "_second": made_of(type(None)) | array("n_inputs", 1e-300),
        "kernel_shares_": array("n_kernels", 0.0, 1.0),
    },
    derived=(
        "length_scale_", "frequencies_", "_rank_frequencies", "_scales",
        "_bends", "_reach", "_unit_frequencies", "_n_features_out", "_lengths", "_inducing",
        "_amplitudes",
    ),
)  # fmt: skip
class FourierBasis(LearnableBasis):
    """Random Fourier features of a stationary Gaussian process.

    The basis functions are ``phi(x) = sqrt(2 / n_waves) [cos(w_j' x), sin(w_j' x)]``, with
    frequencies w_j drawn from the spectral density of the kernel [1]_. If the weights have prior
    precision ``a``, the function f(x) has variance ``1 / a`` at every x. As the number of waves
    grows, it tends to a Gaussian process with this kernel. Further basis functions make the kernel
    exact at up to 2000 rows of the fit [2]_.

    Parameters
    ----------
    n_basis : int, default=None
        Number of waves, a cosine and a sine for each frequency; an odd number is rounded up. None
        means 600 waves, and one function per distinct row of the fit, which makes the kernel exact
        at these rows. If there are more than 2000 rows, 2000 evenly spaced ones have a function;
        with one feature, none has.
    kernel : {"rbf", "matern32", "matern52", "rational_quadratic"}, default="rbf"
        The kernel: squared exponential, Matern with smoothness 3/2 or 5/2, or rational quadratic: a
        mixture of squared exponentials of longer and shorter length scales. How different these
        are is learned with them.
    n_kernels : {1, 2, "auto"}, default=1
        2 is a sum of two such kernels, each with its own length scales and its own share of half of
        the waves: a smooth function plus one that varies faster, or in other features. With "auto",
        BayesianBasisRegressor starts from one kernel, and takes two if the log evidence is then
        larger by one nat or more for each further parameter.
    length_scale : "evidence", float or array-like of shape (n_features,), default="evidence"
        Length scales of the kernel, in the units of X. "evidence" starts at
        ``sqrt(n_inputs)`` standard deviations of each feature, and BayesianBasisRegressor then
        learns one length scale per feature. None keeps the starting values.
    ranks : bool, default=False
        If True, each feature enters twice: as it is, and as its rank from 0 to 1 among the rows of
        the fit. Both have their own length scale, and a long length scale switches off the one that
        is not useful. So a skewed feature needs no transformation. A feature that is spread
        evenly, such as a time, is nearly its own rank, and enters only as it is.
    linear : bool, default=False
        If True, each feature in units of ``scale_`` is a further basis function, after the waves.
        It describes a trend that continues beyond the data. With ``ranks=True``, the rank of the
        feature is one, too, minus the straight line through the ranks of all rows; it describes a
        trend that bends. The prior standard deviations of the slopes are proportional to the
        inverse length scales, so that a long length scale switches off the linear term, too. The
        root of their mean square is ``slope_``. The kernel is then the sum of the stationary kernel
        and a linear one. Each end of a feature's range has a further function, which is 0 at the
        rows of the fit: beyond them the trend may turn, and the uncertainty grows.
    sampling : {"halton", "random"}, default="halton"
        Source of the frequencies. With "halton", a scrambled Halton sequence, the error of the
        kernel falls nearly as 1 / n_basis. With "random", independent draws, it falls as 1 /
        sqrt(n_basis).
    random_state : int, Generator, RandomState or None, default=None
        Seed of the frequencies. None draws new frequencies at each fit.

    Attributes
    ----------
    frequencies_ : ndarray of shape (n_features, n_frequencies)
        Angular frequencies, in radians per unit of X; there are two waves for each.
    length_scale_, rank_length_scale_ : ndarray of shape (n_features,), (n_ranked,), or 2 rows
        Length scales, in the units of X, and those of the ranks of ``ranked_features_``, with
        ``ranks=True``; of two kernels one row each.
    ranked_features_ : ndarray of shape (n_ranked,)
        Indices of the features that enter as ranks, too.
    kernel_shares_ : ndarray of shape (1,) or (2,)
        Shares of the kernels in the variance of the waves.
    slope_ : float
        Prior standard deviation of the slopes of the linear terms: of the change of y per
        ``scale_`` of a feature, relative to the prior standard deviation of all waves together. It
        is the root of the mean square over features and ranks. It starts at 1 and is learned with
        the length scales; 0 without linear terms.
    scale_mixture_ : float
        Parameter ``a`` of the rational quadratic kernel ``(1 + r^2 / (2 a))^-a``, for the distance
        r in units of the length scales. A larger value means a narrower mixture. It starts at 1 and
        is learned with the length scales; 0 with other kernels.
    relevance_ : ndarray of shape (n_features,)
        ``scale_`` divided by the length scales, combined with the same ratio of the ranks as the
        root of the sum of squares, and of two kernels as the root of the mean square by their
        shares. Near 0, the waves do not depend on that feature. It says how
        fast the function may vary along a feature, not by how much: a feature whose effect is a
        straight line may have a value near 0. sklearn.inspection.permutation_importance ranks
        features by what they are worth for prediction, and the two orders may differ.
    theta_ : ndarray of shape (n_theta,)
        Parameters that BayesianBasisRegressor learns: logarithms of the length scales divided by
        the standard deviations of the features, then of the ranks; of two kernels those of the
        second and the log odds of the first kernel's share; and the logarithms of ``slope_`` and
        ``scale_mixture_`` unless they are 0. Empty unless ``length_scale="evidence"``.
    location_, scale_ : ndarray of shape (n_features,)
        Point at which the phases of all waves are zero, and standard deviations of the features,
        or the length scales if they are given.
    n_features_in_, feature_names_in_ : int, ndarray of shape (n_features,)
        Number of features, and their names if X has them.

    See Also
    --------
    GaussianBasis : Local bumps, whose uncertainty does not grow away from the data.

    Notes
    -----
    With the kernel matrix ``L L' = k(Z, Z)`` of the rows Z of the fit, the functions that make the
    kernel exact at these rows are ``L^-1 k(Z, x)``. They come last, after the linear terms. The
    part of the waves that they predict is subtracted from the waves. So the waves are 0 at Z, up to
    rounding, and provide the variance elsewhere.

    BayesianBasisRegressor turns a feature of categories into columns of zeros and ones. These share
    one length scale, in units of the root of their summed variances, and have no ranks.

    BayesianBasisRegressor does not learn the length scales with the frequencies of the fitted
    basis, because it would overfit them. For up to two rows per basis function, it uses the kernel
    itself (``exact_kernel``). For more rows, it uses other frequencies (``resample``), which also
    follow from ``random_state``.

    References
    ----------
    .. [1] A. Rahimi and B. Recht, Random features for large-scale kernel machines, NIPS 2007.
    .. [2] J. T. Wilson, V. Borovitskiy, A. Terenin, P. Mostowsky and M. P. Deisenroth, Efficiently
       sampling functions from Gaussian process posteriors, ICML 2020.

    Examples
    --------
    >>> from skgen import FourierBasis
    >>> FourierBasis(4, random_state=0).fit_transform([[0.0], [1.0]]).shape
    (2, 4)
    """

    shortcut = "fourier"
    _groups: npt.NDArray[np.intp] | None = None
    """Set before a fit: features of one number, such as a category's columns of zeros and ones, \
    share one length scale and have no ranks; -1 is a feature of its own."""
    _points: FloatArray | None = None  # inputs of the rows at which the kernel is exact, if any
    _second: FloatArray | None = None  # relative length scales of a second kernel, if any
    _edges: Edges | None = None  # of the features that are no categories, with linear terms

    _parameters: ClassVar[Parameters] = {
        "n_basis": NONE | Integer(1, MOST, remedy="Give the number of waves."),
        "kernel": Choice("rbf", "matern32", "matern52", "rational_quadratic"),
        "n_kernels": Choice("auto") | Integer(1, 2, remedy="Give 1, 2 or 'auto'."),
        "length_scale": NONE | Choice("evidence") | LENGTHS,
        "ranks": Flag(), "linear": Flag(),
        "sampling": Choice("halton", "random"), "random_state": Seed(),
    }  # fmt: skip

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        if "_spectrum" not in values:
            return True
        ranks, n_features = values["_ranks"], values["n_features_in_"]
        n_inputs = len(values["_relative"])
        exact = values.get("_points")
        if exact is not None and not 0 < len(exact) <= MOST_POINTS:
            return False
        numeric = _find_numeric(values.get("_groups"), n_features)
        edges = values.get("_edges")
        if edges is not None and not (len(edges.low) == len(numeric) and values.get("slope_")):
            return False
        if len(values.get("kernel_shares_", [1.0])) != 1 + (values.get("_second") is not None):
            return False
        if ("_uniform" in values) != (values.get("scale_mixture_", 0.0) > 0):
            return False
        if ranks is None:
            return n_inputs == n_features
        ranked = numeric if ranks.features is None else ranks.features
        if len(np.unique(ranked)) < len(ranked) or not np.isin(ranked, numeric).all():
            return False
        return n_inputs - n_features == len(ranks.knots) == len(ranked)

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        if "_spectrum" in values:
            absent = {"slope_": 0.0, "scale_mixture_": 0.0, "kernel_shares_": np.ones(1)}
            values = {**absent, **values}  # files of 0.1.0 have none of these
        basis: Self = from_record(cls, values)
        if "_spectrum" in values:
            if basis._ranks is not None and basis._ranks.features is None:  # in files of 0.1.0
                basis._ranks = replace(basis._ranks, features=basis._numeric)
            basis._lengths = basis._find_lengths(len(basis.scale_))
            basis._stretch()
        return basis

    def __init__(
        self,
        n_basis: int | None = None,
        *,
        kernel: KernelName = "rbf",
        n_kernels: Literal[1, 2, "auto"] = 1,
        length_scale: float | npt.ArrayLike | Literal["evidence"] | None = "evidence",
        ranks: bool = False,
        linear: bool = False,
        sampling: Literal["halton", "random"] = "halton",
        random_state: RandomState = None,
    ) -> None:
        self.n_basis = n_basis
        self.kernel = kernel
        self.n_kernels = n_kernels
        self.length_scale = length_scale
        self.ranks = ranks
        self.linear = linear
        self.sampling = sampling
        self.random_state = random_state

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        return (
            cls(random_state=0),
            cls(20, kernel="matern32", sampling="random", random_state=0),
            cls(21, kernel="matern52", length_scale=2.0, random_state=0),
            cls(20, ranks=True, linear=True, random_state=0),
            cls(20, kernel="rational_quadratic", linear=True, random_state=0),
            cls(20, n_kernels=2, ranks=True, linear=True, random_state=0),
            cls(kernel="rational_quadratic", n_kernels=2, random_state=0),
        )

    def _place(self, X: FloatArray) -> None:
        n_features = X.shape[1]
        p = check_parameters(self, n_features=n_features)
        has_points = p.n_basis is None and (n_features > 1 or len(X) <= MOST_POINTS)
        n_basis = p.n_basis or N_WAVES
        rows = distinct_rows(X, FEWEST_ROWS)
        self._ranks = self._find_ranks(rows) if p.ranks else None
        self._lengths = self._find_lengths(n_features)
        self.location_, self.scale_ = self._location_and_scale(rows)
        n_lengths = self._lengths.number
        self._relative = np.full(len(self._lengths.of_input), np.sqrt(n_lengths))
        if isinstance(p.length_scale, np.ndarray):
            self.location_ = np.zeros(n_features)
            self.scale_ = np.broadcast_to(p.length_scale, n_features).copy()
            self._relative[:n_features] = 1.0
        self._scales = self._find_scales()
        self._second, self.kernel_shares_ = None, np.ones(1)
        if p.n_kernels == 2:
            _, log_ratio, log_odds = TWO_KERNELS[0]
            self._second = self._relative * np.exp(log_ratio)
            self.kernel_shares_ = expit([log_odds, -log_odds])
        self._points = self._inputs(distinct_rows(X, MOST_POINTS)) if has_points else None
        self._seed = int(generator(p.random_state).integers(2**63))
        self.slope_ = float(p.linear)
        low, high = feature_range(X, None)
        numeric = self._numeric
        self._edges = Edges(low[numeric], high[numeric]) if p.linear and numeric.size else None
        self.scale_mixture_ = float(p.kernel == "rational_quadratic")
        self._draw(self._seed, (n_basis + 1) // 2)

    @property
    def _numeric(self) -> npt.NDArray[np.intp]:
        """Indices of the features that are not columns of categories."""
        return _find_numeric(self._groups, self.n_features_in_)

    @property
    def ranked_features_(self) -> npt.NDArray[np.intp]:
        """Indices of the features that enter as ranks, too."""
        check_is_fitted(self)
        found = None if self._ranks is None else self._ranks.features
        return np.arange(0) if found is None else found

    def _find_ranks(self, rows: FloatArray) -> EmpiricalCDF | None:
        """Return the ranks of the features that are not spread evenly, if there are any."""
        features = self._numeric[~are_evenly_spread(rows[:, self._numeric])]
        if not features.size:
            return None
        return replace(EmpiricalCDF.fit(rows[:, features]), features=features)

    def _find_lengths(self, n_features: int) -> Lengths:
        """Return the length scales of features, then of ranks."""
        labels = n_features + np.arange(n_features)
        if self._groups is not None:
            labels = np.where(self._groups < 0, labels, self._groups)
        if self._ranks is not None:
            labels = np.append(labels, labels[self.ranked_features_] + n_features)
        return Lengths(np.unique(labels, return_inverse=True)[1])

    def _find_scales(self) -> FloatArray:
        """Return the standard deviations of features, then of ranks."""
        return np.append(self.scale_, [] if self._ranks is None else self._ranks.scale)

    def _location_and_scale(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and standard deviations; a group has a common standard deviation."""
        location, scale = location_and_scale(rows)
        if self._groups is not None:
            scale[self._groups >= 0] = rows.std(axis=0)[self._groups >= 0]
            for group in np.unique(self._groups[self._groups >= 0]):
                together = self._groups == group
                scale[together] = np.linalg.norm(scale[together]) or 1.0
        return location, scale

    def _draw(self, seed: int, n_draws: int) -> None:
        rng, n_numbers = np.random.default_rng(seed), len(self._relative) + 1
        if self.sampling == "random":
            uniform = rng.random((n_draws, n_numbers))
        else:
            uniform = qmc.Halton(n_numbers, rng=rng).random(n_draws)
        self._spectrum = self._spectral(uniform).T
        if self.scale_mixture_:
            self._uniform = uniform[:, -1].copy()
        self._stretch()

    def _spectral(self, uniform: FloatArray) -> FloatArray:
        """Return frequencies of unit length scale: normal, or Student-t with 2 nu df."""
        normal = ndtri(uniform[:, :-1])
        if self.kernel not in MATERN_DF:
            return normal
        df = MATERN_DF[self.kernel]
        return normal * np.sqrt(df / chi2.ppf(uniform[:, -1:], df))

    def _radii(self, log_shift: float = 0.0) -> Any:
        """Return inverse length scales of the mixture: the roots of gamma-distributed numbers.

        The logarithm of `scale_mixture_` is taken to be larger by ``log_shift``.
        """
        if not self.scale_mixture_:
            return 1.0
        shape = self.scale_mixture_ * np.exp(log_shift)
        return np.sqrt(gammaincinv(shape, self._uniform) / shape)

    def _radius_slopes(self) -> FloatArray:
        """Return derivatives of `_radii` by the logarithm of `scale_mixture_`."""
        near, far = ((self._radii(h) - self._radii(-h)) / (2 * h) for h in (STEP, 2 * STEP))
        return np.asarray((4 * near - far) / 3)  # Richardson's extrapolation

    def _stretch(self) -> None:
        """Set the attributes that follow from draws and length scales."""
        n_features = len(self.scale_)
        self._scales = self._find_scales()
        n_inputs, n_draws = self._spectrum.shape
        self._unit_frequencies = self._over_lengths(self._spectrum * self._radii())
        counts = [draws.stop - draws.start for draws in self._draws_of_kernels]
        self._amplitudes = np.repeat(np.sqrt(self.kernel_shares_ / np.maximum(counts, 1)), counts)
        frequencies = self._unit_frequencies / self._scales[:, None]
        self.length_scale_ = self._all_lengths[..., :n_features]
        self.frequencies_ = frequencies[:n_features]
        if self._ranks is not None:
            self._bends = self._ranks.without_lines()
            self._rank_frequencies = frequencies[n_features:]
        self._reach = LARGEST * min(1.0, self.length_scale_.min())
        self._n_features_out = 2 * n_draws + (n_inputs if self.slope_ else 0) + self._n_edges
        if self._points is not None:
            self._n_features_out += len(self._points)
        self._inducing = self._find_inducing()

    @property
    def rank_length_scale_(self) -> FloatArray:
        """Length scales of the ranks."""
        check_is_fitted(self)
        return self._all_lengths[..., len(self.scale_) :]

    @property
    def _all_lengths(self) -> FloatArray:
        """Length scales of the features, then of the ranks; of two kernels one row each."""
        relative = self._relative if self._second is None else self._relatives
        return np.asarray(self._scales * relative)

    @property
    def _relatives(self) -> FloatArray:
        """Length scales of inputs in units of their scales, (n_kernels, n_inputs)."""
        return np.stack(
            [self._relative] if self._second is None else [self._relative, self._second]
        )

    @property
    def _draws_of_kernels(self) -> list[slice]:
        """Frequencies of each kernel: all, or those of the first and of the second half."""
        n_draws = self._spectrum.shape[1]
        if self._second is None:
            return [slice(0, n_draws)]
        middle = (n_draws + 1) // 2
        return [slice(0, middle), slice(middle, n_draws)]

    @property
    def _n_edges(self) -> int:
        """Number of functions that are 0 within the range of the rows of the fit."""
        return 0 if self._edges is None else 2 * len(self._edges.low)

    @property
    def _edge_lengths(self) -> FloatArray:
        """Length scales of the features that have edges, (n_kernels, n_edges / 2)."""
        n_features = len(self.scale_)
        return (self._relatives[:, :n_features] * self.scale_)[:, self._numeric]

    def _over_lengths(self, frequencies: FloatArray) -> FloatArray:
        """Return frequencies, (n_inputs, n_draws), divided by the length scales of their kernel."""
        parts = [
            frequencies[:, draws] / relative[:, None]
            for draws, relative in zip(self._draws_of_kernels, self._relatives, strict=True)
        ]
        return np.hstack(parts)

    def _find_inducing(self) -> InducingPoints | None:
        """Return the points at which the kernel is exact, None if all basis functions are waves."""
        if self._points is None:
            return None
        waves = self._waves(self._points @ self._unit_frequencies)
        kernel = KernelSum(self.kernel, self._relatives, self.kernel_shares_, self.scale_mixture_)
        return InducingPoints(self._points, waves, kernel)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the inducing points, which are large and whose last digits depend on BLAS."""
        return {key: value for key, value in super().__getstate__().items() if key != "_inducing"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if "_spectrum" in state:
            self._inducing = self._find_inducing()

    def exact_kernel(self, X: FloatArray) -> Kernel:
        """Return the kernel that the basis functions approximate.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        kernel : Kernel
            Its ``terms(theta)`` has the kernel matrix between the rows at ``theta_ = theta``,
            and the derivatives by ``theta_`` that the search for length scales needs.
        """
        lines = self._lines(X) if self.slope_ else None
        return Kernel(self._inputs(X), self.kernel, lines, self._lengths)

    def resample(self) -> Self:
        """Return a copy of the fitted basis with other frequencies.

        Returns
        -------
        basis : FourierBasis
            The copy; its frequencies are the same at each call.
        """
        other = copy.deepcopy(self)
        other._draw(self._seed + 1, self._spectrum.shape[1])
        return other

    @property
    def n_exact_rows(self) -> int:
        """Number of distinct rows at which the kernel is exact."""
        return 0 if self._points is None else len(self._points)

    @property
    def relevance_(self) -> FloatArray:
        """Standard deviation over length scale, of each feature and its rank."""
        check_is_fitted(self)
        squares = self.kernel_shares_ @ self._relatives**-2.0
        squares, of_ranks = np.split(squares, [len(self.scale_)])
        if self._ranks is not None:
            squares[self.ranked_features_] += of_ranks
        return np.sqrt(squares)

    @property
    def theta_(self) -> FloatArray:
        """Logarithms of the relative length scales, and further parameters, if learnable."""
        check_is_fitted(self)
        if not isinstance(self.length_scale, str):
            return np.empty(0)
        log_lengths = np.log(self._relatives[:, self._lengths.first])
        log_odds = np.log(self.kernel_shares_[:-1] / self.kernel_shares_[1:])
        others = np.log([value for value in (self.slope_, self.scale_mixture_) if value])
        return KernelParameters(log_lengths, log_odds, others).join()

    @theta_.setter
    def theta_(self, theta: FloatArray) -> None:
        p = self._split(theta)
        self._relative, *second = np.exp(p.log_lengths)[:, self._lengths.of_input]
        self._second, self.kernel_shares_ = second[0] if second else None, p.shares
        if self.slope_:
            self.slope_ = float(np.exp(p.others[0]))
        if self.scale_mixture_:
            self.scale_mixture_ = float(np.exp(p.others[-1]))
        self._stretch()

    def _split(self, theta: FloatArray) -> KernelParameters:
        n_others = bool(self.slope_) + bool(self.scale_mixture_)
        return KernelParameters.of(theta, self._lengths.number, n_others)

    def with_second_kernel(self, theta: FloatArray) -> tuple[FloatArray, FloatArray] | None:
        """Return parameters of two kernels from which to search, given those of one.

        Parameters
        ----------
        theta : ndarray of shape of ``theta_``
            Parameters of one kernel.

        Returns
        -------
        thetas : tuple of ndarray, or None
            First, the kernel and one of shorter length scales and of the smaller share; second, a
            smoother kernel and this one. None unless ``n_kernels="auto"``.
        """
        if self.n_kernels != "auto":
            return None
        one = self._split(theta)
        faster, smoother = (
            replace(
                one,
                log_lengths=np.vstack([one.log_lengths + first, one.log_lengths + second]),
                log_odds=np.array([log_odds]),
            ).join()
            for first, second, log_odds in TWO_KERNELS
        )
        return faster, smoother

    def vjp(self, X: FloatArray, Phi: FloatArray, gradient: FloatArray) -> FloatArray:
        inputs, n_waves = self._inputs(X), 2 * self._spectrum.shape[1]
        waves, by_waves = Phi[:, :n_waves], gradient[:, :n_waves]
        others: Any = 0.0
        if self._inducing is not None:
            points = self._inducing.points
            values, by_values = (table[:, -len(points) :] for table in (Phi, gradient))
            by_kernel, by_points = self._inducing.vjp(values, by_waves, by_values)
            waves = waves + values @ self._inducing.weights
            kernel = Kernel(np.vstack([inputs, points]), self.kernel, None, self._lengths)
            others = kernel.at(self._stationary_theta)[1](by_kernel)
            others += self._waves_vjp(points, self._inducing.waves, by_points)
        found = others + self._waves_vjp(inputs, waves, by_waves)
        if not self.slope_:
            return np.asarray(found)
        lines = slice(n_waves, n_waves + len(self._relative))
        if self._edges is not None:
            edges = slice(lines.stop, lines.stop + self._n_edges)
            found += self._edges_vjp(self._edges, X, gradient[:, edges])
        by_line = self._lengths.sum(np.einsum("id,id->d", gradient[:, lines], Phi[:, lines]))
        found[: len(by_line)] += self._shares * by_line.sum() - by_line
        return np.insert(found, self._slope_index, by_line.sum())

    @property
    def _slope_index(self) -> int:
        """Position of the logarithm of `slope_` in `theta_`."""
        n_kernels = len(self.kernel_shares_)
        return n_kernels * self._lengths.number + n_kernels - 1

    @property
    def _stationary_theta(self) -> FloatArray:
        """`theta_` without the logarithm of `slope_`."""
        return np.delete(self.theta_, self._slope_index) if self.slope_ else self.theta_

    def _waves_vjp(self, inputs: FloatArray, waves: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the gradient by `_stationary_theta`."""
        half, shares = self._spectrum.shape[1], self.kernel_shares_
        by_phase = gradient[:, half:] * waves[:, :half] - gradient[:, :half] * waves[:, half:]
        by_frequency = inputs.T @ by_phase
        parts = [
            self._lengths.sum(-np.einsum("df,df->d", by_frequency[:, draws], frequencies))
            for draws, frequencies in self._frequencies_of_kernels
        ]
        if len(shares) == 2:
            by_wave = np.einsum("if,if->f", gradient, waves).reshape(2, half).sum(axis=0)
            first, second = (by_wave[draws].sum() for draws in self._draws_of_kernels)
            parts.append(np.array([0.5 * (shares[1] * first - shares[0] * second)]))
        if self.scale_mixture_:
            parts.append(np.array([np.vdot(by_frequency, self._mixture_frequencies)]))
        return np.hstack(parts)

    def _edges_vjp(self, edges: Edges, X: FloatArray, gradient: FloatArray) -> FloatArray:
        """Return the gradient by `_stationary_theta`."""
        shares = self.kernel_shares_
        by_length, by_share = edges.vjp(X[:, self._numeric], self._edge_lengths, shares, gradient)
        by_input = np.zeros((len(shares), len(self._relative)))
        by_input[:, self._numeric] = by_length
        by_lengths = np.stack([self._lengths.sum(row) for row in by_input])
        by_odds = shares[1:] * by_share[:-1] - shares[:-1] * by_share[1:]
        by_mixture = np.zeros(int(self.scale_mixture_ > 0))
        return KernelParameters(by_lengths, by_odds, by_mixture).join()

    @property
    def _frequencies_of_kernels(self) -> list[tuple[slice, FloatArray]]:
        """Frequencies of each kernel: their places and their values."""
        return [(draws, self._unit_frequencies[:, draws]) for draws in self._draws_of_kernels]

    @property
    def _mixture_frequencies(self) -> FloatArray:
        """Derivatives of the frequencies by the logarithm of `scale_mixture_`."""
        return self._over_lengths(self._spectrum * self._radius_slopes())

    def _inputs(self, X: FloatArray) -> FloatArray:
        """Return features, and ranks, over their standard deviations, (n_samples, n_inputs)."""
        return np.hstack(self._center(X)) / self._scales

    def _lines(self, X: FloatArray) -> FloatArray:
        """Return the inputs of the linear terms, (n_samples, n_inputs).

        A line is subtracted from ranks. Otherwise a linear trend could be described by ranks, which
        stay the same beyond the data.
        """
        lines = (X - self.location_) / self.scale_
        if self._ranks is None:
            return lines
        bends = self._bends.centered_ranks(X[:, self.ranked_features_])
        return np.hstack([lines, bends / self._ranks.scale])

    def _center(self, X: FloatArray) -> list[FloatArray]:
        """Return features, and ranks, minus their values where all phases are zero."""
        if self._ranks is None:
            return [X - self.location_]
        return [X - self.location_, self._ranks.centered_ranks(X[:, self.ranked_features_])]

    def _write(self, X: FloatArray, out: FloatArray) -> None:
        n_waves, n_lines = 2 * self._spectrum.shape[1], len(self._relative) * bool(self.slope_)
        ends = np.cumsum([n_waves, n_lines, self._n_edges])
        waves, lines, edges, others = np.split(out, ends, axis=1)
        features, *ranks = self._center(X)
        phase = features @ self.frequencies_
        if ranks:
            phase += ranks[0] @ self._rank_frequencies
        self._waves(phase, waves)
        if n_lines:
            np.multiply(self._lines(X), self._slopes, out=lines)
        if self._edges is not None:
            edges[...] = self._edges.functions(
                X[:, self._numeric], self._edge_lengths, self.kernel_shares_
            )
        if self._inducing is not None:
            self._inducing.write(self._inputs(X), waves, others)

    def _waves(self, phase: FloatArray, out: FloatArray | None = None) -> FloatArray:
        """Return cosines and sines of phases, (n_samples, 2 n_draws), whose squares sum to 1."""
        half = phase.shape[1]
        waves = np.empty((len(phase), 2 * half)) if out is None else out
        np.cos(phase, out=waves[:, :half])
        np.sin(phase, out=waves[:, half:])
        waves *= np.tile(self._amplitudes, 2)
        return waves

    @property
    def _slopes(self) -> FloatArray:
        """Factors of the linear terms, (n_inputs,): irrelevant features have none."""
        slopes = self.slope_ * np.sqrt(self._lengths.number * self._shares)
        return np.asarray(slopes[self._lengths.of_input])

    @property
    def linear_factors(self) -> FloatArray:
        """Factors of the features, in units of ``scale_``, in their linear terms; 0 elsewhere.

        The shape is (n_basis,), one per basis function.
        """
        factors = np.zeros(self._n_features_out)
        if self.slope_:
            first, n_features = 2 * self._spectrum.shape[1], len(self.scale_)
            factors[first : first + n_features] = self._slopes[:n_features]
        return factors

    @property
    def _shares(self) -> FloatArray:
        """Shares of the length scales in the variance of the slopes."""
        return relevance_shares(np.log(self._relative[self._lengths.first]))

    def _to_onnx(self, graph: Callable[..., str], X: str) -> str:
        lines = inputs = graph("Div", graph("Sub", X, self.location_), self.scale_)
        if self._ranks is not None:
            ranked = graph("Gather", X, self.ranked_features_, axis=1)
            ranks = graph("Div", self._ranks.to_onnx(graph, ranked), self._ranks.scale)
            if self.slope_:
                bends = graph("Div", self._bends.to_onnx(graph, ranked), self._ranks.scale)
                lines = graph("Concat", inputs, bends, axis=1)
            inputs = graph("Concat", inputs, ranks, axis=1)
        phase = graph("MatMul", inputs, self._unit_frequencies)
        # Sines only, because older releases of onnxruntime have no cosine in double precision.
        phases = graph("Concat", graph("Add", phase, np.array([np.pi / 2])), phase, axis=1)
        waves = graph("Mul", graph("Sin", phases), np.tile(self._amplitudes, 2))
        tables = [waves, graph("Mul", lines, self._slopes)] if self.slope_ else [waves]
        if self._edges is not None:
            numeric, lengths = graph("Gather", X, self._numeric, axis=1), self._edge_lengths
            tables.append(self._edges.to_onnx(graph, numeric, lengths, self.kernel_shares_))
        if self._inducing is not None:
            tables[0], functions = self._inducing.to_onnx(graph, inputs, waves)
            tables.append(functions)
        return graph("Concat", *tables, axis=1)


def _find_numeric(groups: npt.NDArray[np.intp] | None, n_features: int) -> npt.NDArray[np.intp]:
    """Return the indices of the features that are not columns of categories."""
    return np.arange(n_features) if groups is None else np.flatnonzero(groups < 0)
