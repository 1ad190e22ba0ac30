"""Bayesian linear regression over basis functions.

The algebra follows C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006,
sections 3.3 to 3.5; it is in ``conjugate`` and ``precisions``.
"""

from __future__ import annotations

import copy
import operator
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Self

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import (
    _check_sample_weight,
    check_array,
    check_is_fitted,
    validate_data,
)

from .._documentation import DocumentationLink
from .._parameters import NONE, Choice, Flag, Number, Parameters, Vector, check_parameters
from .._schema import FLAG, Values, from_record, integer, made_of, store, to_record
from .._validation import (
    LARGEST,
    FloatArray,
    RandomState,
    check_number,
    check_numeric,
    check_size,
    check_vector,
    generator,
    restore_on_error,
    shape_of,
    short_repr,
)
from ..bases import BASIS, depends_on_data, resolve_basis
from ..bases._base import is_finite_on
from .basis_search import learn_basis
from .conjugate import Gamma, Posterior, Statistic
from .dask import (
    DaskRows,
    as_arrays,
    block_numbers,
    check_collection,
    example_row,
    is_dask,
    map_blocks,
    r2_score,
)
from .design import QR_ROWS, Design, evaluate_rows, summarize
from .precisions import LinearModelSpec
from .predictive import Predictive, joint_covariance
from .rows import Rows
from .source import Source
from .stream import Stream

FLOAT64 = np.dtype(np.float64)


PER_BASIS = "Give a number, or one per basis function."
JEFFREYS = "Give both positive, or both 0 for Jeffreys' prior."


@store(
    state={
        "_is_1d": FLAG,
        "n_samples_seen_": integer(0, 2**63),
        "_stream": made_of(Stream),
        "settings_are_seen": FLAG,
    },
    derived=("basis_", "_seen_settings"),
)
class BayesianBasisRegressor(DocumentationLink, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Bayesian linear regression over basis functions.

    The model is ``y = w0 + w' phi(x) + noise`` with basis functions ``phi``, normal weights
    ``w ~ N(m, diag(1 / prior_precision))`` and normal noise ``N(0, 1 / noise_precision)`` (Bishop
    [1]_ eqs 3.8, 3.48). The posterior of the weights is normal (eqs 3.50-3.51), and it is the prior
    for the next batch of ``partial_fit``. The predictive distribution (eqs 3.57-3.59) gives the
    mean of y and its uncertainty. Precisions that are not given are those that maximize the
    evidence, the marginal likelihood (section 3.5). Their uncertainty widens the predictive
    distribution, which then is a Student-t.

    Several outputs are independent of each other given X: with fixed basis functions, each has the
    same fit as it would have alone. Length scales are learned from all outputs together.

    Parameters
    ----------
    basis : {"auto", "gaussian", "polynomial", "sigmoid", "fourier", "identity"} or transformer, \
            default="auto"
        Basis functions: `GaussianBasis`, scikit-learn's PolynomialFeatures of degree 2,
        `SigmoidBasis`, `FourierBasis` with a fixed seed, the features themselves, or any
        scikit-learn transformer. "auto" is "gaussian" for one feature, and
        ``FourierBasis(ranks=True, linear=True, random_state=0)`` for several. The basis is cloned,
        and fitted by ``fit`` or by the first ``partial_fit``. If it has a ``theta_``, such as
        length scales, that is learned by maximizing the evidence. To use a basis that is fitted
        already, wrap it in sklearn.frozen.FrozenEstimator.
    prior_precision : {"evidence", "ard"}, float or array-like of shape (n_basis,), \
            default="evidence"
        Prior precision of the weights, at least 0: one number for all, or one per basis function.
        0 is a flat prior, for weights that the data determine. "evidence" learns one precision for
        all weights. "ard" (automatic relevance determination) learns one per weight, at a local
        maximum of the evidence; weights of irrelevant basis functions become 0.
    noise_precision : {"evidence", "gamma"} or float, default="evidence"
        Precision of the noise, in units of 1 / y^2. "evidence" learns it. "gamma" gives it a Gamma
        prior and integrates it out; ``prior_precision`` is then in units of the noise precision,
        the conjugate form (Bishop exercise 3.12).
    prior_mean : float or array-like of shape (n_basis,), default=0.0
        Prior mean of the weights. The prior mean of the intercept is 0.
    fit_intercept : bool, default=True
        Whether to add a constant basis function, whose weight is the intercept.
    intercept_precision : float, default=None
        Prior precision of the intercept; 0 is flat. With None it is equal to ``prior_precision`` if
        that is one number, as in Bishop eq. 3.52, and 0 otherwise. It must be None or 0 if
        ``prior_precision`` is learned.
    noise_shape : float, default=0.0
        Shape of the Gamma prior of ``noise_precision="gamma"``. Shape 0 with rate 0 is Jeffreys'
        prior.
    noise_rate : float, default=0.0
        Rate of that prior, in units of y^2.
    forgetting : float, default=1.0
        Factor in (0, 1]. Each row passed to ``partial_fit`` multiplies the weights of all rows
        before it by this factor. The prior is not discounted, and ``fit`` weights its rows equally.
    solver : {"auto", "qr", "cholesky"}, default="auto"
        Method by which ``fit`` reduces the data to a triangular factor. "qr" is a QR decomposition
        and the most accurate. "cholesky" of the Gram matrix is about three times as fast, but its
        relative error grows with the square of the condition number. "auto" uses it for large
        problems that are well conditioned.

    Attributes
    ----------
    coef_ : ndarray of shape (n_basis,) or (n_outputs, n_basis)
        Posterior mean of the weights.
    intercept_ : float or ndarray of shape (n_outputs,)
        Posterior mean of the intercept; 0.0 if ``fit_intercept=False``.
    covariance_ : ndarray of shape (n_weights, n_weights) or (n_outputs, n_weights, n_weights)
        Posterior covariance of the weights. If there is an intercept, it comes first, and n_weights
        is n_basis + 1; otherwise n_weights is n_basis.
    prior_precision_ : float, ndarray of shape (n_basis,) or (n_outputs,) or (n_outputs, n_basis)
        Prior precision of the weights, given or learned.
    noise_precision_ : float or ndarray of shape (n_outputs,)
        Noise precision, given or learned; its posterior mean with ``noise_precision="gamma"``.
    log_marginal_likelihood_ : float
        Logarithm of the evidence, in nats, summed over outputs. Flat priors have density 1.
    degrees_of_freedom_ : float or ndarray of shape (n_outputs,)
        Degrees of freedom of the predictive Student-t distribution; infinite if it is normal.
    n_effective_params_ : float or ndarray of shape (n_outputs,)
        Effective number of weights, the intercept included, that the data determine (Bishop
        eq. 3.91).
    n_samples_seen_ : int
        Number of rows seen, without those of weight 0.
    basis_ : transformer
        The fitted basis.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.linear_model.BayesianRidge : The same model on the features themselves; its ``alpha_``
        is the noise precision (Bishop's beta) and its ``lambda_`` the prior precision (alpha).
    sklearn.gaussian_process.GaussianProcessRegressor : Infinitely many basis functions, at a cost
        of O(n_samples^3).

    Notes
    -----
    All that is kept of the data is the triangular factor of a QR decomposition of the design
    matrix. A fit takes O(n_samples n_basis^2) time and, in addition to the data, O(n_basis^2)
    memory. Fitting at once, in batches, row by row, or in parts that are merged gives the same
    posterior. A row of weight k counts as k rows.

    X, y and ``sample_weight`` may be dask arrays or data frames. Their blocks are then reduced on
    the workers that hold them, and ``predict``, ``sample_y`` and ``log_predictive_density`` return
    dask arrays.

    If precisions are learned, the predictive mean uses those of largest evidence, but the
    predictive variance is an average over their posterior: with few rows, the best values alone
    would give intervals that are too narrow. The average is a numerical integral over the ratio of
    prior to noise precision, whose logarithm has a uniform prior; the noise has Jeffreys' prior.
    The predictive Student-t distribution has this variance, and its degrees of freedom are those
    that match the kurtosis of the noise. They are more than 4, or 4 if the kurtosis is infinite.
    Data that leave fewer than 3 degrees of freedom for the noise count as leaving 3.

    Where both basis and noise are learned, the effective number of basis parameters adds to that of
    the weights, and rows are left out one by one, at the learned parameters and precisions: the
    Student-t is then the most likely one for their residuals, with the distribution above counted
    as 30 rows more, whose standard deviations it may increase and whose degrees of freedom it may
    reduce, to three at least. Of large data at most 4000 rows count.

    References
    ----------
    .. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, sections 3.3-3.5.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import BayesianBasisRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(size=(25, 1))
    >>> y = np.sin(2 * np.pi * X[:, 0]) + 0.2 * rng.normal(size=25)
    >>> model = BayesianBasisRegressor().fit(X, y)
    >>> mean, std = model.predict([[0.25], [3.0]], return_std=True)
    >>> mean.round(1), bool(std[0] < std[1])
    (array([ 1. , -0.2]), True)
    """

    __module__ = "skgen"

    _stream: Stream
    n_samples_seen_: int

    _parameters: ClassVar[Parameters] = {
        "basis": BASIS,
        "prior_precision": Choice("evidence", "ard")
        | Number(0.0, remedy=PER_BASIS)
        | Vector("n_basis", low=0.0, remedy=PER_BASIS),
        "noise_precision": Choice("evidence", "gamma")
        | Number(1 / LARGEST, remedy="Give a positive number, 'evidence' or 'gamma'."),
        "prior_mean": Number(remedy=PER_BASIS) | Vector("n_basis", remedy=PER_BASIS),
        "fit_intercept": Flag(),
        "intercept_precision": NONE | Number(0.0, remedy="0 is the flat prior."),
        "noise_shape": Number(0.0, remedy=JEFFREYS),
        "noise_rate": Number(0.0, remedy=JEFFREYS),
        "forgetting": Number(0.0, 1.0, open_low=True, remedy="1 forgets nothing."),
        "solver": Choice("auto", "qr", "cholesky"),
    }

    def _to_record(self) -> Values:
        values = to_record(self)
        if "_stream" in values:
            seen = self._seen_settings
            values["settings_are_seen"] = len(seen) == len(self._settings()) and all(
                map(operator.is_, self._settings(), seen)
            )
        return values

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        are_seen = values.pop("settings_are_seen", False)
        model: Self = from_record(cls, values)
        if "_stream" in values:
            model.basis_ = model._stream.design.basis
            model._seen_settings = model._settings() if are_seen else (object(),)
        return model

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        if "_stream" not in values:
            return True
        design, row = values["_stream"].design, np.zeros((1, values["n_features_in_"]))
        try:
            with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                shape = np.shape(design.basis.transform(row))
        except NotFittedError:
            return False
        except ValueError:  # zeros may be invalid for this basis
            shape = (1, design.n_basis)
        has_one_output = values["_stream"].n_outputs == 1
        return shape == (1, design.n_basis) and (has_one_output or not values["_is_1d"])

    def __init__(
        self,
        basis: Any = "auto",
        *,
        prior_precision: float | npt.ArrayLike | Literal["evidence", "ard"] = "evidence",
        noise_precision: float | Literal["evidence", "gamma"] = "evidence",
        prior_mean: float | npt.ArrayLike = 0.0,
        fit_intercept: bool = True,
        intercept_precision: float | None = None,
        noise_shape: float = 0.0,
        noise_rate: float = 0.0,
        forgetting: float = 1.0,
        solver: Literal["auto", "qr", "cholesky"] = "auto",
    ) -> None:
        self.basis = basis
        self.prior_precision = prior_precision
        self.noise_precision = noise_precision
        self.prior_mean = prior_mean
        self.fit_intercept = fit_intercept
        self.intercept_precision = intercept_precision
        self.noise_shape = noise_shape
        self.noise_rate = noise_rate
        self.forgetting = forgetting
        self.solver = solver

    # -- fitting ---------------------------------------------------------------------------------

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Fit the model to X and y; a previous fit is discarded.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0; None is 1 for each row.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If data or parameters are invalid, or if the prior is flat and the data do not determine
            the weights. The estimator is then unchanged.
        """
        with restore_on_error(self), np.errstate(all="ignore"):
            source = self._check_data(X, y, sample_weight, reset=True)
            design = self._fit_design(source)
            prior = self._prior(design)
            design = learn_basis(design, source, prior)
            statistic, n_rows = summarize(source, design, self.solver)
            stream = Stream(design, prior, statistic)
            _ = stream.posteriors  # computed now, so that this call raises their errors
            self._set_stream(stream, n_rows)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Update the fit with a batch of rows (Bishop eq. 3.50).

        Without ``forgetting``, batches of any size and order give the same posterior as one ``fit``
        to all rows with the same basis. Precisions are learned from all rows when next needed.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. The first call fits the basis; later calls keep it.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0; None is 1 for each row.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If data or parameters are invalid. The estimator is then unchanged.
        """
        if sample_weight is None and self._buffer_rows(X, y):
            return self
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self), np.errstate(all="ignore"):
            source = self._check_data(X, y, sample_weight, reset=first)
            design = self._fit_design(source) if first else self._stream.design
            prior, forgetting = self._prior(design), float(self.forgetting)
            if first:
                design = learn_basis(design, source, prior)
            empty = Statistic.empty(design.n_columns, source.n_outputs)
            before = Stream(design, prior, empty) if first else self._stream
            n_seen = 0 if first else self.n_samples_seen_
            stream, n_rows = before.extend(source, prior, forgetting)
            self._set_stream(stream, n_seen + n_rows)
        return self

    def merge(self, other: BayesianBasisRegressor) -> Self:
        """Update the fit with all rows that another model has seen.

        Parameters
        ----------
        other : BayesianBasisRegressor
            A model with the same fitted basis, fitted to other rows. It is not changed.

        Returns
        -------
        self : object
            The estimator. Its prior is unchanged.

        Raises
        ------
        ValueError, TypeError
            If the basis functions, intercepts or outputs of the models differ.
        """
        if not isinstance(other, BayesianBasisRegressor):
            raise TypeError(
                f"`other` must be a BayesianBasisRegressor; got {type(other).__name__}. "
                "Merge models of the same kind."
            )
        check_is_fitted(self)
        check_is_fitted(other)
        if self._signature() != other._signature():
            raise ValueError(
                "`other` must have the same fitted basis, intercept and outputs; got ones that "
                "differ. Fit both with a basis that does not depend on the data (give a `domain`), "
                "or share one by sklearn.frozen.FrozenEstimator(model.basis_)."
            )
        ours = self._stream
        self._stream = ours.merge(other._stream.statistic, ours.prior)
        self.n_samples_seen_ += other.n_samples_seen_
        return self

    def _signature(self) -> tuple[Any, ...]:
        """Properties in which models must agree to be merged."""
        stream = self._stream
        return (
            joblib.hash(self.basis_), stream.design.n_columns, stream.design.fit_intercept,
            self._is_1d, stream.n_outputs,
        )  # fmt: skip

    def _set_stream(self, stream: Stream, n_samples_seen: int) -> None:
        self._stream = stream
        self._seen_settings = self._settings()
        self.basis_ = stream.design.basis
        self.n_samples_seen_ = n_samples_seen

    def _buffer_rows(self, X: Any, y: Any) -> bool:
        """Buffer X and y and return True if a few cheap checks show them to be valid as they are.

        A fast path for streams of single rows. What it declines is checked in full.
        """
        stream = vars(self).get("_stream")
        is_valid = (
            stream is not None
            and type(X) is np.ndarray is type(y)
            and X.dtype is FLOAT64 is y.dtype
            and X.shape[1:] == (self.n_features_in_,)
            and 0 < len(X) <= QR_ROWS
            and y.shape == (X.shape[:1] if self._is_1d else (len(X), stream.n_outputs))
            and "feature_names_in_" not in vars(self)
            and all(map(operator.is_, self._settings(), self._seen_settings))
            and self.forgetting == 1
            and is_finite_on(stream.design.basis, X)
            and np.vdot(y, y) <= LARGEST**2
        )
        if is_valid:
            self._stream.buffer(X, y if y.ndim == 2 else y[:, None])
            self.n_samples_seen_ += len(X)
        return bool(is_valid)

    def _settings(self) -> tuple[Any, ...]:
        """Parameters that may be changed between calls of ``partial_fit``."""
        return (
            self.prior_precision, self.noise_precision, self.prior_mean, self.intercept_precision,
            self.noise_shape, self.noise_rate, self.forgetting,
        )  # fmt: skip

    # -- checking --------------------------------------------------------------------------------

    def _check_data(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Rows | DaskRows:
        """Validated rows without those of weight 0; ``reset`` sets the attributes of the input."""
        if is_dask(X, y, sample_weight):
            return self._check_dask_rows(X, y, sample_weight, reset=reset)
        return self._check_rows(X, y, sample_weight, reset=reset)

    def _check_dask_rows(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> DaskRows:
        for name, value in {"X": X, "y": y, "sample_weight": sample_weight}.items():
            if is_dask(value) or shape_of(value):  # neither None nor a number
                check_collection(value, name)
        self._check_rows(*map(example_row, (X, y, sample_weight)), reset=reset)
        check = partial(type(self)()._check_rows, reset=True, is_block=True)
        return DaskRows(X, y, sample_weight, check)

    def _check_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, is_block: bool = False
    ) -> Rows:
        """Validated rows in memory; sample weights of a block of the data may all be 0."""
        X = self._check_features(X, reset=reset)
        Y = self._check_targets(y, len(X), reset=reset)
        if sample_weight is None:
            return Rows(X, Y)
        remedy = "Give one weight per row."
        check_numeric(sample_weight, "sample_weight", remedy=remedy)
        if not shape_of(sample_weight):
            check_number(sample_weight, "sample_weight", low=0, high=LARGEST, remedy=remedy)
        elif is_block and len(sample_weight) == len(X) and not np.any(sample_weight):
            return Rows(X[:0], Y[:0], np.empty(0))
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not 0 < weights.max() <= LARGEST:
            raise ValueError(
                f"`sample_weight` must have a positive value, and none above {LARGEST:g}; got "
                f"{weights.max():g} for the largest. Give rows of positive weight."
            )
        rows = Rows(X, Y, weights)
        return rows if weights.min() > 0 else rows[weights > 0]

    def _check_features(self, X: Any, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        check_size(X, "X")
        features: FloatArray = X
        return features

    def _check_targets(self, y: Any, n_samples: int, *, reset: bool) -> FloatArray:
        """Targets of shape (n_samples, n_outputs)."""
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "`y` must hold one number per row of X."
            )
        check_numeric(y, "y")
        with np.errstate(all="ignore"):
            y = check_array(
                y, dtype=[np.float64, np.float32], ensure_2d=False, ensure_min_samples=0,
                input_name="y", estimator=self,
            )  # fmt: skip
        if y.ndim not in (1, 2) or len(y) != n_samples:
            raise ValueError(
                f"`y` must have shape (n_samples,) or (n_samples, n_outputs) with n_samples="
                f"{n_samples} as in X; got shape {y.shape}. Give one row of y per row of X."
            )
        check_size(y, "y")
        Y: FloatArray = y if y.ndim == 2 else y[:, None]
        if reset:
            self._is_1d = y.ndim == 1
        elif (y.ndim == 1) != self._is_1d or Y.shape[1] != self._stream.n_outputs:
            seen = "(n_samples,)" if self._is_1d else f"(n_samples, {self._stream.n_outputs})"
            raise ValueError(
                f"`y` must have shape {seen} as at the first call; got shape {y.shape}. "
                "Give the same outputs, or call fit to start again."
            )
        return Y

    def _fit_design(self, source: Source) -> Design:
        p = check_parameters(self)
        basis = resolve_basis(p.basis, source.n_features)
        return Design.of(basis, source.fit_basis(basis), p.fit_intercept)

    def _prior(self, design: Design) -> LinearModelSpec:
        """Prior of the columns of the design matrix, from the parameters."""
        p = check_parameters(self, n_basis=design.n_basis)
        noise, precision = p.noise_precision, p.prior_precision
        if noise == "gamma":
            noise = Gamma(p.noise_shape, p.noise_rate)
        means = np.zeros(design.n_columns)
        means[design.n_columns - design.n_basis :] = p.prior_mean
        if isinstance(precision, str):
            if p.intercept_precision:
                raise ValueError(
                    "`intercept_precision` must be None or 0 if `prior_precision` is learned; got "
                    f"intercept_precision={self.intercept_precision!r}. Give both as numbers."
                )
            rule: Any = precision
            return LinearModelSpec(rule, means, noise, design.fit_intercept)
        precisions = np.empty(design.n_columns)
        if design.fit_intercept:
            default = 0.0 if np.ndim(precision) else precision
            precisions[0] = default if p.intercept_precision is None else p.intercept_precision
        precisions[design.n_columns - design.n_basis :] = precision
        smallest = precisions[precisions > 0].min(initial=LARGEST)
        if smallest < 1 / LARGEST:
            raise ValueError(
                f"`prior_precision` and `intercept_precision` must be 0 or at least {1 / LARGEST:g}"
                f"; got {smallest:g}. Give 0 for a flat prior."
            )
        return LinearModelSpec(precisions, means, noise)

    # -- predicting ------------------------------------------------------------------------------

    def predict(
        self,
        X: npt.ArrayLike,
        return_std: bool = False,
        return_cov: bool = False,
        *,
        observation_noise: bool = True,
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Mean and spread of y given X (Bishop eqs 3.58-3.59).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        return_std : bool, default=False
            Whether to return standard deviations too.
        return_cov : bool, default=False
            Whether to return the joint covariance of the rows too.
        observation_noise : bool, default=True
            Whether the spread is that of observations, or of the function behind them.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictive means.
        y_std : ndarray of the same shape
            Predictive standard deviations, with ``return_std=True``.
        y_cov : ndarray of shape (n_samples, n_samples) or (n_samples, n_samples, n_outputs)
            Predictive covariances, with ``return_cov=True``.

        Raises
        ------
        ValueError, TypeError
            If X is invalid, or both spreads are asked for.
        """
        if return_std and return_cov:
            raise ValueError(
                "`return_std` and `return_cov` must not both be True; got both. The standard "
                "deviations are the roots of the covariance's diagonal."
            )
        if is_dask(X):
            return self._predict_dask(X, return_std, return_cov, observation_noise)
        stream, X = self._check_predict_input(X)
        if return_std:
            predictive = self._predictive(X, observation_noise)
            return self._drop_output_axis(predictive.mean), self._drop_output_axis(predictive.std)
        mean = self._drop_output_axis(evaluate_rows(stream.design, self._weights().T, [], X)[0])
        if not return_cov:
            return mean
        Phi = stream.design.rows(X)
        covariances = [
            joint_covariance(posterior.root.T @ Phi.T, posterior.noise_variance, observation_noise)
            for posterior in self._posteriors()
        ]
        return mean, self._drop_output_axis(np.concatenate(covariances, axis=-1))

    def _predictive(self, X: FloatArray, observation_noise: bool = True) -> Predictive:
        """Predictive distributions at validated rows X."""
        posteriors = self._posteriors()
        mean, leverage = evaluate_rows(self._stream.design, self._weights().T, posteriors, X)
        n_outputs = [len(posterior.squared_scale) for posterior in posteriors]
        return Predictive.from_leverage(
            mean,
            np.repeat(leverage, n_outputs, axis=1),
            np.concatenate([posterior.squared_scale for posterior in posteriors]),
            np.repeat([posterior.df for posterior in posteriors], n_outputs),
            observation_noise,
        )

    def predict_quantiles(
        self, X: npt.ArrayLike, quantiles: npt.ArrayLike, *, observation_noise: bool = True
    ) -> FloatArray:
        """Compute quantiles of y given X, by the Student-t distribution.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        quantiles : float or array-like of shape (n_quantiles,)
            Probabilities, above 0 and below 1.
        observation_noise : bool, default=True
            Whether the quantiles are those of observations, or of the function behind them.

        Returns
        -------
        y_quantiles : ndarray of shape (n_samples, n_quantiles) or \
                (n_samples, n_outputs, n_quantiles)
            The quantiles, in the units of y.

        Raises
        ------
        ValueError, TypeError
            If the arguments are invalid.
        """
        probabilities = np.atleast_1d(
            _check_probabilities(quantiles, "quantiles", shape_of(quantiles))
        )
        if is_dask(X):
            model, (X,) = self._copy_for_blocks(X), as_arrays(X)
            outputs = () if self._is_1d else (self._stream.n_outputs,)
            function = partial(_predict_block_quantiles, probabilities, observation_noise)
            return map_blocks(function, model, X, trailing=(*outputs, len(probabilities)))
        _, X = self._check_predict_input(X)
        table = self._predictive(X, observation_noise).quantiles(probabilities)
        return table[:, 0] if self._is_1d else table

    def predict_interval(
        self, X: npt.ArrayLike, coverage: float = 0.95, *, observation_noise: bool = True
    ) -> FloatArray:
        """Central intervals that hold y given X with probability ``coverage``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        coverage : float, default=0.95
            Probability, above 0 and below 1.
        observation_noise : bool, default=True
            Whether the intervals are for observations, or for the function behind them.

        Returns
        -------
        y_interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper ends, in the units of y.

        Raises
        ------
        ValueError, TypeError
            If the arguments are invalid.
        """
        coverage = _check_probabilities(coverage, "coverage", ())
        ends = [(1 - coverage) / 2, (1 + coverage) / 2]
        return self.predict_quantiles(X, ends, observation_noise=observation_noise)

    def _predict_dask(
        self, X: Any, return_std: bool, return_cov: bool, observation_noise: bool
    ) -> Any:
        if return_cov:
            raise ValueError(
                "`return_cov` must be False for dask input, of whose rows the covariance has one "
                "number a pair; got True. Ask for `return_std`, or for few rows in memory."
            )
        model = self._copy_for_blocks(X)
        trailing = () if self._is_1d else (self._stream.n_outputs,)
        (X,) = as_arrays(X)
        if not return_std:
            return map_blocks(_predict_block, model, X, trailing=trailing)
        predict = partial(_predict_block_with_std, observation_noise=observation_noise)
        both = map_blocks(predict, model, X, trailing=(2, *trailing))
        return both[:, 0], both[:, 1]

    def sample_y(
        self,
        X: npt.ArrayLike,
        n_samples: int = 1,
        *,
        observation_noise: bool = True,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Draw y given X jointly: each draw is one function, with noise of its own at each row.

        Before any ``fit``, the draws are from the prior, if it is proper, the noise is known or has
        a proper Gamma prior, and the basis does not follow the data.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.
        n_samples : int, default=1
            Number of draws.
        observation_noise : bool, default=True
            Whether to draw what would be observed, or the function behind it.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        y_samples : ndarray of shape (n_rows, n_samples) or (n_rows, n_outputs, n_samples)
            The draws.

        Raises
        ------
        ValueError, TypeError
            If the arguments are invalid, or there is no prior to draw from.
        """
        rng = generator(random_state)
        n_samples = check_number(
            n_samples, "n_samples", low=1, high=1e9, integer=True,
            remedy="Give the number of draws.",
        )  # fmt: skip
        shown = example_row(X)
        if self.__sklearn_is_fitted__():
            stream, shown = self._check_predict_input(shown)
            design, posteriors, is_1d = stream.design, self._posteriors(), self._is_1d
        else:
            design, posteriors, shown = self._prior_state(shown)
            is_1d = True
        draws = [posterior.draw(n_samples, rng) for posterior in posteriors]
        weights = np.concatenate([weights for weights, _ in draws], axis=1)
        scales = np.concatenate([scale for _, scale in draws]) if observation_noise else None
        function = _Draws(design, weights, scales)
        if is_dask(X):
            (X,) = as_arrays(X)
            check = partial(type(self)()._check_features, reset=True)
            model = (function, check, int(rng.integers(2**63)))
            samples = map_blocks(
                _draw_block, model, X, block_numbers(X), trailing=weights.shape[1:]
            )
        else:
            samples = function(shown, rng)
        return samples[:, 0] if is_1d else samples

    def _prior_state(self, X: Any) -> tuple[Design, list[Posterior], FloatArray]:
        """Design, posteriors without any rows, and validated X, of an unfitted model."""
        blank = clone(self)
        X = blank._check_features(X, reset=True)
        design = blank._fit_design(Rows(X, np.zeros((len(X), 1))))
        if depends_on_data(design.basis, X):
            raise NotFittedError(
                "This BayesianBasisRegressor has seen no data, and its basis depends on the data. "
                "Call fit first, or draw from the prior with a basis that has a `domain`."
            )
        prior = blank._prior(design)
        if isinstance(prior.precision, str) or prior.noise == "evidence":
            raise NotFittedError(
                "This BayesianBasisRegressor has seen no data, and its precisions are learned from "
                "them. Call fit first, or draw from the prior with `prior_precision` and "
                "`noise_precision` given as numbers."
            )
        return design, prior.posteriors(Statistic.empty(design.n_columns, 1)), X

    def log_predictive_density(self, X: npt.ArrayLike, y: npt.ArrayLike) -> FloatArray:
        """Logarithm of the predictive density of each row's y given its X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Log densities in nats, summed over outputs: Student-t, or normal where all precisions
            are given.
        """
        if is_dask(X, y):
            model = self._copy_for_blocks(X)
            self._check_targets(example_row(y), 1, reset=False)
            log_densities: FloatArray = map_blocks(
                _log_density_block, model, *as_arrays(X, y=y), trailing=()
            )
            return log_densities
        _, X = self._check_predict_input(X)
        Y = self._check_targets(y, len(X), reset=False)
        log_density: FloatArray = self._predictive(X).log_density(Y).sum(axis=1)
        return log_density

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Coefficient of determination R² of the predictive means, averaged over outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0; None is 1 for each row.

        Returns
        -------
        score : float
            1 minus the ratio of the mean squared error to the variance of y.
        """
        if not is_dask(X, y, sample_weight):
            return float(super().score(X, y, sample_weight))
        rows = self._check_dask_rows(X, y, sample_weight, reset=False)
        return r2_score(rows, self._copy_for_blocks(X))

    def log_marginal_likelihood(
        self,
        prior_precision: float | npt.ArrayLike | None = None,
        noise_precision: float | None = None,
    ) -> float:
        """Logarithm of the evidence of all rows seen, at given or at the fitted precisions.

        Parameters
        ----------
        prior_precision : float or array-like of shape (n_basis,), default=None
            Prior precision of the weights; None is the fitted one. A flat prior of the intercept
            is kept.
        noise_precision : float, default=None
            Noise precision; None is the fitted one, or integrates over its Gamma prior.

        Returns
        -------
        log_evidence : float
            ``log p(y | X)`` in nats, summed over outputs (Bishop eq. 3.86).
        """
        check_is_fitted(self)
        if noise_precision is not None:
            check_number(
                noise_precision, "noise_precision", low=1 / LARGEST, high=LARGEST,
                remedy="Give a positive number, or None for the fitted one.",
            )  # fmt: skip
        stream = self._stream
        total = 0.0
        for index, (posterior, precision) in enumerate(_each_output(stream.posteriors)):
            probe = clone(self)
            if noise_precision is not None:
                probe.noise_precision = noise_precision
            elif self.noise_precision == "evidence":
                probe.noise_precision = precision
            if prior_precision is not None:
                probe.prior_precision = prior_precision
            elif isinstance(self.prior_precision, str):
                noise = probe.noise_precision
                unit = 1.0 if noise == "gamma" else float(noise)
                weights = posterior.precision[-stream.design.n_basis :]
                probe.prior_precision = weights * unit
            if stream.design.fit_intercept and posterior.precision[0] == 0:
                probe.intercept_precision = 0.0
            prior = probe._prior(stream.design)
            total += float(prior.posteriors(stream.statistic.output(index))[0].log_evidence[0])
        return total

    # -- fitted attributes -----------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "_stream" in vars(self)

    def _check_predict_input(self, X: Any) -> tuple[Stream, FloatArray]:
        """Check that the model is fitted, and X; return the stream and X."""
        check_is_fitted(self)
        return self._stream, self._check_features(X, reset=False)

    def _copy_for_blocks(self, X: Any) -> Self:
        """Copy of the model for the blocks of X, which have no feature names."""
        self._check_predict_input(example_row(X))
        model = copy.deepcopy(self)
        if hasattr(model, "feature_names_in_"):
            del model.feature_names_in_
        return model

    def _drop_output_axis(self, table: FloatArray) -> FloatArray:
        """Drop the last axis of ``table``, that of outputs, if y was a vector."""
        return table[..., 0] if self._is_1d else table

    def _per_output(self, values: FloatArray) -> Any:
        """Drop the first axis of ``values``, that of outputs, if y was a vector."""
        if not self._is_1d:
            return values
        return float(values[0]) if values.ndim == 1 else values[0]

    def _posteriors(self) -> list[Posterior]:
        check_is_fitted(self)
        with np.errstate(all="ignore"):
            return self._stream.posteriors

    def _weights(self) -> FloatArray:
        """Posterior means, shape (n_outputs, n_weights)."""
        return np.vstack([posterior.mean.T for posterior in self._posteriors()])

    @property
    def coef_(self) -> FloatArray:
        """Posterior mean of the weights."""
        weights: FloatArray = self._per_output(self._weights())
        return weights[..., self._stream.design.fit_intercept :]

    @property
    def intercept_(self) -> float | FloatArray:
        """Posterior mean of the intercept."""
        weights = self._weights()
        has_one = self._stream.design.fit_intercept
        intercept: float | FloatArray = self._per_output(
            weights[:, 0] if has_one else np.zeros(len(weights))
        )
        return intercept

    @property
    def covariance_(self) -> FloatArray:
        """Posterior covariance of the weights, the intercept first."""
        blocks = [posterior.covariance for posterior in self._posteriors()]
        covariance: FloatArray = self._per_output(np.concatenate(blocks))
        return covariance

    @property
    def prior_precision_(self) -> float | FloatArray:
        """Prior precision of the weights, given or learned."""
        outputs = list(_each_output(self._posteriors()))
        if not isinstance(self._stream.prior.precision, str):
            n_basis = self._stream.design.n_basis
            precision = self._stream.prior.precision[-n_basis:]
            return float(precision[0]) if np.all(precision == precision[0]) else precision.copy()
        relative = isinstance(self._stream.prior.noise, Gamma)
        scale = [1.0 if relative else precision for _, precision in outputs]
        precisions = np.stack(
            [unit * p.precision for (p, _), unit in zip(outputs, scale, strict=True)]
        )
        if self._stream.prior.precision == "ard":
            precisions = precisions[:, self._stream.design.fit_intercept :]
        else:
            precisions = precisions[:, -1]
        learned: float | FloatArray = self._per_output(precisions)
        return learned

    @property
    def noise_precision_(self) -> float | FloatArray:
        """Noise precision, given or learned."""
        precisions = np.array([precision for _, precision in _each_output(self._posteriors())])
        precision: float | FloatArray = self._per_output(precisions)
        return precision

    @property
    def log_marginal_likelihood_(self) -> float:
        """Logarithm of the evidence, in nats."""
        return float(sum(posterior.log_evidence.sum() for posterior in self._posteriors()))

    @property
    def degrees_of_freedom_(self) -> float | FloatArray:
        """Degrees of freedom of the predictive distribution."""
        df = [posterior.df for posterior, _ in _each_output(self._posteriors())]
        degrees: float | FloatArray = self._per_output(np.array(df))
        return degrees

    @property
    def n_effective_params_(self) -> float | FloatArray:
        """Effective number of weights that the data determine."""
        counts = [posterior.n_effective_params for posterior, _ in _each_output(self._posteriors())]
        effective: float | FloatArray = self._per_output(np.array(counts))
        return effective


@dataclass(frozen=True, eq=False)
class _Draws:
    """Joint draws: weights (n_columns, n_outputs, n_draws), noise scales (n_outputs, n_draws)."""

    design: Design
    weights: FloatArray
    scales: FloatArray | None

    def __call__(self, X: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draws at the rows of X, (n_rows, n_outputs, n_draws)."""
        values, _ = evaluate_rows(self.design, self.weights.reshape(len(self.weights), -1), [], X)
        samples: FloatArray = values.reshape(len(values), *self.weights.shape[1:])
        if self.scales is not None:
            samples += self.scales * rng.standard_normal(samples.shape)
        return samples


def _check_probabilities(value: Any, name: str, shape: tuple[int, ...]) -> Any:
    """Return ``value`` as an array of probabilities, or raise."""
    remedy = "Give probabilities above 0 and below 1."
    array = check_vector(value, name, shape, remedy=remedy)
    if array.ndim > 1 or not array.size or not np.all((array > 0) & (array < 1)):
        raise ValueError(
            f"`{name}` must be above 0 and below 1; got {name}={short_repr(value)}. {remedy}"
        )
    return array


def _each_output(posteriors: list[Posterior]) -> Iterator[tuple[Posterior, float]]:
    """Posterior and noise precision of each output, in order."""
    for posterior in posteriors:
        for precision in posterior.noise_precision:
            yield posterior, float(precision)


# -- tasks on the blocks of dask input --------------------------------------------------------


def _predict_block(model: BayesianBasisRegressor, X: FloatArray) -> FloatArray:
    mean: Any = model.predict(X)
    return mean


def _predict_block_with_std(model: Any, X: FloatArray, observation_noise: bool) -> FloatArray:
    return np.stack(model.predict(X, return_std=True, observation_noise=observation_noise), axis=1)


def _predict_block_quantiles(
    probabilities: FloatArray, observation_noise: bool, model: Any, X: FloatArray
) -> FloatArray:
    quantiles: FloatArray = model.predict_quantiles(
        X, probabilities, observation_noise=observation_noise
    )
    return quantiles


def _draw_block(model: Any, X: FloatArray, number: npt.NDArray[np.intp]) -> FloatArray:
    draws, check, seed = model
    samples: FloatArray = draws(check(X), np.random.default_rng([seed, *number]))
    return samples


def _log_density_block(model: BayesianBasisRegressor, X: FloatArray, y: FloatArray) -> FloatArray:
    return model.log_predictive_density(X, y)
