"""Bayesian linear regression over basis functions.

The algebra follows C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006,
sections 3.3 to 3.5; it lives in ``_posterior`` and ``_evidence``.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Self

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
from .._validation import (
    LARGEST,
    FloatArray,
    RandomState,
    check_choice,
    check_flag,
    check_number,
    check_numeric,
    check_size,
    check_vector,
    generator,
    restore_on_error,
    shape_of,
    short_repr,
)
from ..bases import depends_on_data, resolve_basis
from ..bases._base import is_finite_on
from .basis_search import adapt
from .conjugate import Gamma, Posterior, Statistic
from .dask import (
    DaskRows,
    arrays,
    check_collection,
    example_row,
    is_dask,
    lazily,
    numbered,
    r2_score,
)
from .design import QR_ROWS, Design, Rows, Stream, evaluate_rows
from .precisions import LinearModelSpec
from .predictive import Predictive, joint_covariance

FLOAT64 = np.dtype(np.float64)


class BayesianBasisRegressor(DocumentationLink, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Bayesian linear regression over basis functions.

    Weights ``w ~ N(m, diag(1 / prior_precision))`` and observations
    ``y = w0 + w' phi(x) + noise``, with noise ``N(0, 1 / noise_precision)`` (Bishop [1]_
    eqs 3.8, 3.48). The posterior of the weights is normal (eqs 3.50-3.51), it is the prior for the
    next batch, and the predictive distribution (eqs 3.57-3.59) says how sure it is. Precisions
    that are not given are those of largest evidence (section 3.5); how uncertain they are widens
    the predictive distribution, which then is a Student-t.

    Several outputs are independent given X: with the same basis functions, a fit of each alone
    gives the same. Length scales are learned from all outputs together.

    Parameters
    ----------
    basis : {"auto", "gaussian", "polynomial", "sigmoid", "fourier", "identity"} or transformer, \
            default="auto"
        Basis functions: `GaussianBasis`, scikit-learn's PolynomialFeatures of degree 2,
        `SigmoidBasis`, `FourierBasis` with a fixed seed, the features as they are, or any
        scikit-learn transformer. "auto" is "gaussian" for one feature, and for several
        ``FourierBasis(ranks=True, linear=True, random_state=0)``. It is cloned, and learned at
        ``fit`` or at the first ``partial_fit``, its length scales from the evidence if it has a
        ``theta_``; sklearn.frozen.FrozenEstimator passes on a fitted one.
    prior_precision : {"evidence", "ard"}, float or array-like of shape (n_basis,), \
            default="evidence"
        Prior precision of the weights, at least 0: one for all or one per basis function; 0 is the
        flat prior, for weights that the data determine. "evidence" finds one for all weights,
        "ard" one for each, which switches off the irrelevant; its maximum is a local one.
    noise_precision : {"evidence", "gamma"} or float, default="evidence"
        Precision of the noise, in units of 1 / y^2. "gamma" integrates it out under a Gamma prior,
        and ``prior_precision`` is then in units of the noise precision, the conjugate form (Bishop
        exercise 3.12).
    prior_mean : float or array-like of shape (n_basis,), default=0.0
        Prior mean of the weights; the intercept's is 0.
    fit_intercept : bool, default=True
        Whether to add the constant basis function, whose weight is the intercept.
    intercept_precision : float, default=None
        Prior precision of the intercept; 0 is flat. None takes ``prior_precision`` if that is one
        number, as Bishop's eq. 3.52 does, and else a flat prior. It must be None or 0 if
        ``prior_precision`` is learned.
    noise_shape : float, default=0.0
        Shape of the Gamma prior of ``noise_precision="gamma"``. Shape 0 with rate 0 is Jeffreys'
        prior.
    noise_rate : float, default=0.0
        Rate of that prior, in units of y^2.
    forgetting : float, default=1.0
        Factor in (0, 1] by which each row that ``partial_fit`` sees discounts the weight of all
        rows before it; the prior is never forgotten. ``fit`` counts its rows alike.
    solver : {"auto", "qr", "cholesky"}, default="auto"
        How ``fit`` condenses the data. "qr" keeps all digits; "cholesky" of the Gram matrix is
        about three times as fast and loses digits as the square of the condition number. "auto"
        takes it for large problems whose conditioning allows it.

    Attributes
    ----------
    coef_ : ndarray of shape (n_basis,) or (n_outputs, n_basis)
        Posterior mean of the weights.
    intercept_ : float or ndarray of shape (n_outputs,)
        Posterior mean of the intercept; 0.0 without one.
    covariance_ : ndarray of shape (n_weights, n_weights) or (n_outputs, n_weights, n_weights)
        Posterior covariance of the weights; the intercept comes first, if there is one, so
        n_weights is n_basis or n_basis + 1.
    prior_precision_ : float, ndarray of shape (n_basis,) or (n_outputs,) or (n_outputs, n_basis)
        Prior precision of the weights, given or learned.
    noise_precision_ : float or ndarray of shape (n_outputs,)
        Noise precision, given or learned; with "gamma" its posterior mean.
    log_marginal_likelihood_ : float
        Logarithm of the evidence, in nats, summed over outputs. A flat prior counts with density 1.
    degrees_of_freedom_ : float or ndarray of shape (n_outputs,)
        Degrees of freedom of the predictive Student-t distribution; infinite where it is normal.
    n_effective_params_ : float or ndarray of shape (n_outputs,)
        Number of weights, the intercept included, that the data determine (Bishop eq. 3.91).
    n_samples_seen_ : int
        Number of rows learned from, those of weight 0 not counted.
    basis_ : transformer
        The fitted basis.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    sklearn.linear_model.BayesianRidge : The same model over given features; its ``alpha_`` is the
        noise precision and its ``lambda_`` the prior precision, Bishop's beta and alpha.
    sklearn.gaussian_process.GaussianProcessRegressor : Infinitely many basis functions, at a cost
        of O(n_samples^3).

    Notes
    -----
    What is kept of the data is the triangular factor of a QR decomposition of the design matrix,
    so that a fit costs O(n_samples n_basis^2) time and O(n_basis^2) memory beside the data, and
    batches, streams and merged models give the same posterior. A row of weight k counts as k rows.

    X, y and ``sample_weight`` may be dask arrays or data frames: the rows are condensed where they
    lie, and ``predict``, ``sample_y`` and ``log_predictive_density`` give dask arrays.

    Where precisions are learned, the mean is that of the best ones, and spreads are averaged over
    the posterior of the ratio of prior to noise precision, uniform beforehand in its logarithm, by
    quadrature, with Jeffreys' prior of the noise: the average of ``(y - mean)^2`` has no plug-in.
    The Student-t has that variance, and the noise's kurtosis, so more than four degrees of freedom,
    or four where there is none; fewer than three that the data leave count as three.

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

    # -- learning --------------------------------------------------------------------------------

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Learn from X and y, and forget what was learned before.

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
            the weights; the estimator is left as it was.
        """
        with restore_on_error(self), np.errstate(all="ignore"):
            rows = self._validated_rows(X, y, sample_weight, reset=True)
            design = self._fitted_design(rows)
            prior = self._prior(design)
            solver = check_choice(self.solver, "solver", ("auto", "qr", "cholesky"))
            self._checked_forgetting()
            design = adapt(design, rows, prior)
            statistic, n_rows = rows.summarised(design, solver)
            stream = Stream(design, prior, statistic)
            _ = stream.posteriors  # what they have to complain of belongs to this call
            self._learnt(stream, n_rows)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> Self:
        """Go on learning: the posterior so far is the prior for these rows (Bishop eq. 3.50).

        In any order and chunks, the same rows give the same posterior as one ``fit`` with the same
        basis (without ``forgetting``). Precisions are learned anew from all rows when next read.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. A basis that follows the data is learned at the first call, and then kept.
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
            If data or parameters are invalid; the estimator is left as it was.
        """
        if sample_weight is None and self._takes_quickly(X, y):
            return self
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self), np.errstate(all="ignore"):
            rows = self._validated_rows(X, y, sample_weight, reset=first)
            design = self._fitted_design(rows) if first else self._stream.design
            prior = self._prior(design)
            forgetting = self._checked_forgetting()
            if first:
                design = adapt(design, rows, prior)
            empty = Statistic.empty(design.n_columns, rows.n_outputs)
            before = Stream(design, prior, empty) if first else self._stream
            seen = 0 if first else self.n_samples_seen_
            stream, n_rows = rows.added(before, prior, forgetting)
            self._learnt(stream, seen + n_rows)
        return self

    def merge(self, other: BayesianBasisRegressor) -> Self:
        """Learn all that another model has learned, as if its rows had been seen here.

        Parameters
        ----------
        other : BayesianBasisRegressor
            A model fitted with the same basis, on other rows. It is left as it is.

        Returns
        -------
        self : object
            The estimator, with its own prior.

        Raises
        ------
        ValueError, TypeError
            If the models' basis functions, intercepts or outputs differ.
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
                "differ. Fit both with a basis that does not follow the data (a `domain`), or "
                "share one by sklearn.frozen.FrozenEstimator(model.basis_)."
            )
        ours = self._stream
        self._stream = ours.joined(other._stream.statistic, ours.prior)
        self.n_samples_seen_ += other.n_samples_seen_
        return self

    def _signature(self) -> tuple[Any, ...]:
        stream = self._stream
        return (
            joblib.hash(self.basis_), stream.design.n_columns, stream.design.fit_intercept,
            self._is_1d, stream.n_outputs,
        )  # fmt: skip

    def _learnt(self, stream: Stream, n_samples_seen: int) -> None:
        self._stream = stream
        self._seen_settings = self._settings()
        self.basis_ = stream.design.basis
        self.n_samples_seen_ = n_samples_seen

    def _takes_quickly(self, X: Any, y: Any) -> bool:
        """Let X and y wait if it is quickly seen that they need no conversion, warning or error."""
        stream = vars(self).get("_stream")
        fits = (
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
        if fits:
            self._stream.wait(X, y if y.ndim == 2 else y[:, None])
            self.n_samples_seen_ += len(X)
        return bool(fits)

    def _settings(self) -> tuple[Any, ...]:
        """Parameters that may change in the middle of a stream."""
        return (
            self.prior_precision, self.noise_precision, self.prior_mean, self.intercept_precision,
            self.noise_shape, self.noise_rate, self.forgetting,
        )  # fmt: skip

    # -- checking --------------------------------------------------------------------------------

    def _validated_rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool
    ) -> Rows | DaskRows:
        """Rows to learn from, those of weight 0 left out; sets what ``reset`` asks for."""
        if is_dask(X, y, sample_weight):
            return self._dask_rows(X, y, sample_weight, reset=reset)
        return self._rows(X, y, sample_weight, reset=reset)

    def _dask_rows(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> DaskRows:
        for name, value in {"X": X, "y": y, "sample_weight": sample_weight}.items():
            if is_dask(value) or shape_of(value):  # else None or a number
                check_collection(value, name)
        self._rows(*map(example_row, (X, y, sample_weight)), reset=reset)
        check = partial(type(self)()._rows, reset=True, is_part=True)
        return DaskRows(X, y, sample_weight, check)

    def _rows(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool, is_part: bool = False
    ) -> Rows:
        """Rows in memory; those of a part of the data may all weigh nothing."""
        X = self._validated_features(X, reset=reset)
        Y = self._validated_targets(y, len(X), reset=reset)
        if sample_weight is None:
            return Rows(X, Y)
        remedy = "Give one weight per row."
        check_numeric(sample_weight, "sample_weight", remedy=remedy)
        if not shape_of(sample_weight):
            check_number(sample_weight, "sample_weight", low=0, high=LARGEST, remedy=remedy)
        elif is_part and len(sample_weight) == len(X) and not np.any(sample_weight):
            return Rows(X[:0], Y[:0], np.empty(0))
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if not 0 < weights.max() <= LARGEST:
            raise ValueError(
                f"`sample_weight` must have a positive value, and none above {LARGEST:g}; got "
                f"{weights.max():g} for the largest. Give rows of positive weight."
            )
        rows = Rows(X, Y, weights)
        return rows if weights.min() > 0 else rows[weights > 0]

    def _validated_features(self, X: Any, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            X = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        check_size(X, "X")
        features: FloatArray = X
        return features

    def _validated_targets(self, y: Any, n_samples: int, *, reset: bool) -> FloatArray:
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
                f"{n_samples} as in X; got shape {y.shape}. Give `y` one row per row of X."
            )
        check_size(y, "y")
        Y: FloatArray = y if y.ndim == 2 else y[:, None]
        if reset:
            self._is_1d = y.ndim == 1
        elif (y.ndim == 1) != self._is_1d or Y.shape[1] != self._stream.n_outputs:
            seen = "(n_samples,)" if self._is_1d else f"(n_samples, {self._stream.n_outputs})"
            raise ValueError(
                f"`y` must have shape {seen} as at the first call; got shape {y.shape}. "
                "Give the same outputs, or call fit to start anew."
            )
        return Y

    def _fitted_design(self, rows: Rows | DaskRows) -> Design:
        fit_intercept = check_flag(self.fit_intercept, "fit_intercept")
        return rows.design(resolve_basis(self.basis, rows.n_features), fit_intercept)

    def _prior(self, design: Design) -> LinearModelSpec:
        """The prior that the parameters describe, for the columns of a design matrix."""
        noise = self._noise()
        means = np.zeros(design.n_columns)
        means[design.n_columns - design.n_basis :] = self._per_basis(
            self.prior_mean, "prior_mean", design.n_basis, -np.inf
        )
        if isinstance(self.prior_precision, str):
            rule = check_choice(self.prior_precision, "prior_precision", ("evidence", "ard"))
            if self.intercept_precision is not None and self._known_intercept_precision() > 0:
                raise ValueError(
                    "`intercept_precision` must be None or 0 if `prior_precision` is learned; got "
                    f"intercept_precision={self.intercept_precision!r}. Give both as numbers."
                )
            return LinearModelSpec(rule, means, noise, design.fit_intercept)  # type: ignore[arg-type]
        precisions = np.empty(design.n_columns)
        precisions[design.n_columns - design.n_basis :] = self._per_basis(
            self.prior_precision, "prior_precision", design.n_basis, 0.0
        )
        if design.fit_intercept:
            precisions[0] = self._known_intercept_precision()
        smallest = precisions[precisions > 0].min(initial=LARGEST)
        if smallest < 1 / LARGEST:
            raise ValueError(
                f"`prior_precision` and `intercept_precision` must be 0 or at least {1 / LARGEST:g}"
                f"; got {smallest:g}. Give 0 for a flat prior."
            )
        return LinearModelSpec(precisions, means, noise)

    def _noise(self) -> float | Gamma | Literal["evidence"]:
        if not isinstance(self.noise_precision, str):
            noise: float = check_number(
                self.noise_precision, "noise_precision", low=1 / LARGEST, high=LARGEST,
                remedy="Give a positive number, 'evidence' or 'gamma'.",
            )  # fmt: skip
            return noise
        if check_choice(self.noise_precision, "noise_precision", ("evidence", "gamma")) == "gamma":
            remedy = "Give both positive, or both 0 for Jeffreys' prior."
            return Gamma(
                check_number(self.noise_shape, "noise_shape", low=0, high=LARGEST, remedy=remedy),
                check_number(self.noise_rate, "noise_rate", low=0, high=LARGEST, remedy=remedy),
            )
        return "evidence"

    def _per_basis(self, value: Any, name: str, n_basis: int, low: float) -> FloatArray | float:
        remedy = f"Give a number, or one for each of the {n_basis} basis functions."
        if not shape_of(value):
            number: float = check_number(
                value, name, low=max(low, -LARGEST), high=LARGEST, remedy=remedy
            )
            return number
        return check_vector(value, name, (n_basis,), low=low, remedy=remedy)

    def _known_intercept_precision(self) -> float:
        if self.intercept_precision is None:
            return float(self.prior_precision) if np.ndim(self.prior_precision) == 0 else 0.0  # type: ignore[arg-type]
        precision: float = check_number(
            self.intercept_precision, "intercept_precision", low=0, high=LARGEST,
            remedy="0 is the flat prior.",
        )  # fmt: skip
        return precision

    def _checked_forgetting(self) -> float:
        forgetting: float = check_number(
            self.forgetting, "forgetting", low=0, high=1, open_low=True,
            remedy="1 forgets nothing.",
        )  # fmt: skip
        return forgetting

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
            return self._predicted_lazily(X, return_std, return_cov, observation_noise)
        stream, X = self._readable(X)
        if return_std:
            predictive = self._predictive(X, observation_noise)
            return self._shaped(predictive.mean), self._shaped(predictive.std)
        mean = self._shaped(evaluate_rows(stream.design, self._weights().T, [], X)[0])
        if not return_cov:
            return mean
        Phi = stream.design.rows(X)
        covariances = [
            joint_covariance(posterior.root.T @ Phi.T, posterior.noise_variance, observation_noise)
            for posterior in self._posteriors()
        ]
        return mean, self._shaped(np.concatenate(covariances, axis=-1))

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
        """Quantiles of y given X, by the Student-t distribution.

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
        probabilities = _check_probabilities(quantiles)
        if is_dask(X):
            model, (X,) = self._reader(X), arrays(X)
            outputs = () if self._is_1d else (self._stream.n_outputs,)
            function = partial(_quantiles, probabilities, observation_noise)
            return lazily(function, model, X, trailing=(*outputs, len(probabilities)))
        _, X = self._readable(X)
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
        check_number(
            coverage, "coverage", low=0, high=1, open_low=True,
            remedy="Give a probability above 0 and below 1.",
        )  # fmt: skip
        ends = [(1 - coverage) / 2, (1 + coverage) / 2]
        return self.predict_quantiles(X, ends, observation_noise=observation_noise)

    def _predicted_lazily(
        self, X: Any, return_std: bool, return_cov: bool, observation_noise: bool
    ) -> Any:
        if return_cov:
            raise ValueError(
                "`return_cov` must be False for dask input, of whose rows the covariance has one "
                "number a pair; got True. Ask for `return_std`, or for few rows in memory."
            )
        model = self._reader(X)
        trailing = () if self._is_1d else (self._stream.n_outputs,)
        (X,) = arrays(X)
        if not return_std:
            return lazily(_predicted, model, X, trailing=trailing)
        predict = partial(_predicted_twice, observation_noise=observation_noise)
        both = lazily(predict, model, X, trailing=(2, *trailing))
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
            stream, shown = self._readable(shown)
            design, posteriors, is_1d = stream.design, self._posteriors(), self._is_1d
        else:
            design, posteriors, shown = self._before_data(shown)
            is_1d = True
        draws = [posterior.draw(n_samples, rng) for posterior in posteriors]
        weights = np.concatenate([weights for weights, _ in draws], axis=1)
        scales = np.concatenate([scale for _, scale in draws]) if observation_noise else None
        function = _Draws(design, weights, scales)
        if is_dask(X):
            (X,) = arrays(X)
            check = partial(type(self)()._validated_features, reset=True)
            model = (function, check, int(rng.integers(2**63)))
            samples = lazily(_drawn, model, X, numbered(X), trailing=weights.shape[1:])
        else:
            samples = function(shown, rng)
        return samples[:, 0] if is_1d else samples

    def _before_data(self, X: Any) -> tuple[Design, list[Posterior], FloatArray]:
        """The prior as a posterior of no rows, with X checked on a copy."""
        blank = clone(self)
        X = blank._validated_features(X, reset=True)
        design = blank._fitted_design(Rows(X, np.zeros((len(X), 1))))
        if depends_on_data(design.basis, X):
            raise NotFittedError(
                "This BayesianBasisRegressor has seen no data, and its basis follows the data. "
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
            model = self._reader(X)
            self._validated_targets(example_row(y), 1, reset=False)
            log_densities: FloatArray = lazily(_log_densities, model, *arrays(X, y=y), trailing=())
            return log_densities
        _, X = self._readable(X)
        Y = self._validated_targets(y, len(X), reset=False)
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
            1 less the mean squared error over the variance of y.
        """
        if not is_dask(X, y, sample_weight):
            return float(super().score(X, y, sample_weight))
        rows = self._dask_rows(X, y, sample_weight, reset=False)
        return r2_score(rows, self._reader(X))

    def log_marginal_likelihood(
        self,
        prior_precision: float | npt.ArrayLike | None = None,
        noise_precision: float | None = None,
    ) -> float:
        """Logarithm of the evidence of all rows seen, at these or at the fitted precisions.

        Parameters
        ----------
        prior_precision : float or array-like of shape (n_basis,), default=None
            Prior precision of the weights; None is the fitted one. A flat intercept stays flat.
        noise_precision : float, default=None
            Noise precision; None is the fitted one, or its Gamma prior integrated out.

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
                noise = probe._noise()
                unit = 1.0 if isinstance(noise, Gamma) else noise
                weights = posterior.precision[-stream.design.n_basis :]
                probe.prior_precision = weights * unit
            if stream.design.fit_intercept and posterior.precision[0] == 0:
                probe.intercept_precision = 0.0
            prior = probe._prior(stream.design)
            total += float(prior.posteriors(stream.statistic.output(index))[0].log_evidence[0])
        return total

    # -- reading ---------------------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "_stream" in vars(self)

    def _readable(self, X: Any) -> tuple[Stream, FloatArray]:
        """The stream and the validated features that a prediction needs."""
        check_is_fitted(self)
        return self._stream, self._validated_features(X, reset=False)

    def _reader(self, X: Any) -> Self:
        """A copy to send to the blocks of X, which have lost the names that X may have."""
        self._readable(example_row(X))
        model = copy.deepcopy(self)
        if hasattr(model, "feature_names_in_"):
            del model.feature_names_in_
        return model

    def _shaped(self, table: FloatArray) -> FloatArray:
        """``table`` with outputs along the last axis, which a single target's y has not."""
        return table[..., 0] if self._is_1d else table

    def _per_output(self, values: FloatArray) -> Any:
        """``values`` with outputs along the first axis; a single target's as it is, or a float."""
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
        """Posterior covariance of the weights, the intercept's first."""
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
        learnt: float | FloatArray = self._per_output(precisions)
        return learnt

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
        """Number of weights that the data determine."""
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


def _check_probabilities(quantiles: Any) -> FloatArray:
    """Return ``quantiles`` as an array of shape (n_quantiles,), or raise."""
    remedy = "Give one probability, or a list of them."
    array = np.atleast_1d(check_vector(quantiles, "quantiles", shape_of(quantiles), remedy=remedy))
    if array.ndim > 1 or not array.size or not np.all((array > 0) & (array < 1)):
        raise ValueError(
            "`quantiles` must hold numbers above 0 and below 1; got "
            f"quantiles={short_repr(quantiles)}. {remedy}"
        )
    return array


def _each_output(posteriors: list[Posterior]) -> Iterator[tuple[Posterior, float]]:
    """Each output's posterior and noise precision, in order."""
    for posterior in posteriors:
        for precision in posterior.noise_precision:
            yield posterior, float(precision)


# -- what runs on the blocks of dask input -----------------------------------------------------


def _predicted(model: BayesianBasisRegressor, X: FloatArray) -> FloatArray:
    mean: Any = model.predict(X)
    return mean


def _predicted_twice(model: Any, X: FloatArray, observation_noise: bool) -> FloatArray:
    return np.stack(model.predict(X, return_std=True, observation_noise=observation_noise), axis=1)


def _quantiles(
    probabilities: FloatArray, observation_noise: bool, model: Any, X: FloatArray
) -> FloatArray:
    quantiles: FloatArray = model.predict_quantiles(
        X, probabilities, observation_noise=observation_noise
    )
    return quantiles


def _drawn(model: Any, X: FloatArray, number: npt.NDArray[np.intp]) -> FloatArray:
    draws, check, seed = model
    samples: FloatArray = draws(check(X), np.random.default_rng([seed, *number]))
    return samples


def _log_densities(model: BayesianBasisRegressor, X: FloatArray, y: FloatArray) -> FloatArray:
    return model.log_predictive_density(X, y)
