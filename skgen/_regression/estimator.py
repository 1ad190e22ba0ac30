"""Bayesian linear regression over basis functions; the algebra is in ``conjugate``."""

import copy
import operator
import warnings
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar, Literal, Self, overload

import joblib
import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.utils import Tags, validation
from sklearn.utils.validation import check_is_fitted

from .._documentation import DocumentationLink
from .._parameters import NONE, Choice, Flag, Integer, Number, Parameters, Vector, check_parameters
from .._schema import FLAG, Values, from_record, integer, made_of, store
from .._table import CATEGORICAL_FEATURES, Categories, read_features, read_targets
from .._validation import (
    LARGEST,
    FloatArray,
    RandomState,
    central_probabilities,
    check_flag,
    check_numeric,
    check_probabilities,
    check_size,
    check_vector,
    error_message,
    generator,
    restore_on_error,
    shape_of,
    short_repr,
)
from ..bases import BASIS, FourierBasis, depends_on_data, is_learnable, resolve_basis
from ..bases._base import is_finite_on
from . import dask
from .basis_search import learn_basis
from .conjugate import Gamma, Posterior, Statistic, UndeterminedError
from .design import QR_ROWS, Design, evaluate_rows, summarize
from .noise import learn_noise
from .precisions import LinearModelSpec
from .predictive import Predictive, TransformedPredictive, joint_covariance
from .rows import SEARCH_ROWS, Rows
from .source import Source
from .stream import Stream
from .target import TARGET_TRANSFORMER, TargetTransform, candidates

FLOAT64 = np.dtype(np.float64)
PER_BASIS = "Give a number, or one per basis function."
JEFFREYS = "Give both positive, or both 0 for Jeffreys' prior."


@store(
    state={"_is_1d": FLAG, "n_samples_seen_": integer(0, 2**63), "_stream": made_of(Stream)},
    options={
        "_categories": made_of(type(None), Categories),
        "settings_are_seen": FLAG,  # of files of 0.1.0
    },
    derived=("basis_", "_seen_settings"),
)
class BayesianBasisRegressor(DocumentationLink, MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Bayesian linear regression over basis functions.

    The model is ``y = w0 + w' phi(x) + noise`` with basis functions ``phi``. The weights have the
    normal prior ``w ~ N(m, diag(1 / prior_precision))``, and the noise is normal,
    ``N(0, 1 / noise_precision)`` (Bishop [1]_ eqs 3.8, 3.48). Given the precisions, the posterior
    of the weights is normal (eqs 3.50-3.51); ``partial_fit`` uses it as the prior of the next
    batch. Predictions come from the predictive distribution of y (eqs 3.57-3.59), which has a mean
    and a spread at each x.

    By default, the two precisions are learned: they maximize the evidence, also called the marginal
    likelihood (section 3.5). The predictive distribution allows for their uncertainty and is then
    a Student-t.

    Several outputs are independent of each other given X. With fixed basis functions each output
    has the same fit as it would have alone. Length scales are learned from all outputs together;
    constant ones do not count.

    Parameters
    ----------
    basis : {"auto", "gaussian", "polynomial", "sigmoid", "fourier", "identity"} or transformer, \
            default="auto"
        Basis functions:

        - "auto": ``FourierBasis(n_kernels="auto", ranks=True, linear=True, random_state=0)``;
        - "gaussian": `GaussianBasis`;
        - "polynomial": scikit-learn's PolynomialFeatures of degree 2;
        - "sigmoid": `SigmoidBasis`;
        - "fourier": `FourierBasis` with a fixed seed;
        - "identity": the features themselves;
        - any scikit-learn transformer.

        The basis is cloned, and fitted by ``fit`` or by the first ``partial_fit``. To use a basis
        that is fitted already, wrap it in sklearn.frozen.FrozenEstimator. If the basis has an
        attribute ``theta_``, such as the logarithms of length scales, it is learned by maximizing
        the evidence.
    prior_precision : {"evidence", "ard"}, float or array-like of shape (n_basis,), \
            default="evidence"
        Prior precision of the weights, at least 0: one number for all weights, or one per basis
        function. 0 is a flat prior, for weights that the data determine.

        - "evidence" learns one precision for all weights.
        - "ard" (automatic relevance determination) learns one precision per weight, at a local
          maximum of the evidence, under a prior that expects few relevant weights. All other
          weights are set to their prior mean. If a single precision for all weights is more
          probable or has more evidence, it is used instead.
    noise_precision : {"evidence", "gamma"} or float, default="evidence"
        Precision of the noise, in units of 1 / y^2. A number must be above 0.

        - "evidence" learns it.
        - "gamma" gives it a Gamma prior and integrates it out. ``prior_precision`` is then in units
          of the noise precision, the conjugate form (Bishop exercise 3.12).
    prior_mean : float or array-like of shape (n_basis,), default=0.0
        Prior mean of the weights. The prior mean of the intercept is 0.
    fit_intercept : bool, default=True
        If True, a constant basis function is added, whose weight is the intercept.
    intercept_precision : float, default=None
        Prior precision of the intercept, at least 0; 0 is a flat prior. None means
        ``prior_precision`` if that is one number, as in Bishop eq. 3.52, and 0 otherwise. If
        ``prior_precision`` is learned, ``intercept_precision`` must be None or 0.
    noise_shape : float, default=0.0
        Shape a of the Gamma prior of the noise precision with ``noise_precision="gamma"`` (Bishop
        eq. 2.146), at least 0. Shape 0 with rate 0 is Jeffreys' prior.
    noise_rate : float, default=0.0
        Rate b of the same Gamma prior, at least 0, in units of y^2.
    forgetting : float, default=1.0
        Factor in (0, 1] by which ``partial_fit`` reduces the influence of past rows: each new row
        multiplies the sample weights of all rows before it by this factor. The prior keeps its
        influence. ``fit`` gives the same weight to old and new rows.
    solver : {"auto", "qr", "cholesky"}, default="auto"
        Method by which ``fit`` reduces the data to a triangular factor:

        - "qr": a QR decomposition, the most accurate method.
        - "cholesky": a Cholesky decomposition of the Gram matrix, about three times as fast. Its
          relative error grows with the square of the condition number.
        - "auto": "cholesky" for large problems that are well conditioned, by themselves or with
          the learned prior; otherwise "qr".
    target_transformer : {"auto", "log", "yeo-johnson"}, transformer or None, default=None
        Strictly monotone transformation z of y. The model is fitted to z; predictions, quantiles,
        draws and densities are in the units of y.

        - "log": the logarithm, for positive y.
        - "yeo-johnson": a Yeo-Johnson power of ``(y - median) / interquartile_range``, chosen so
          that z is closest to normal; 1 for fewer than ten different values of y.
        - "auto": the one with the largest evidence among these and None, if a flat prior counts as
          density 1 per standard deviation of z. Each of them is fitted. It is None for fewer than
          ten different values of y.
        - A transformer with ``inverse_transform``. It is cloned, and fitted to each output by
          ``fit`` or by the first ``partial_fit``. Its derivative is computed numerically, unless
          it has a method ``log_derivative(y)`` that returns the logarithm of ``|dz / dy|``.
        - None: y itself.
    noise : {"auto", "constant", "log-linear"}, default="auto"
        Dependence of the noise variance on the features.

        - "constant": all rows of the same ``noise_scale`` have the same noise variance.
        - "log-linear": the logarithm of the variance is linear in waves and linear terms of the
          features, of the predicted means, and of the ranks of both. It is learned from the errors
          of left-out rows, and needs ``noise_precision="evidence"``.
        - "auto": "log-linear" if the log density of left-out rows is then larger, "constant"
          otherwise. It is always "constant" if the basis has no parameters to learn, or if a
          ``noise_precision`` or ``noise_scale`` is given.

        The noise is constant with fewer than 40 rows, and if the effective number of weights and
        basis parameters is more than 0.7 times the number of rows. ``fit`` or the first
        ``partial_fit`` learns it; later ones keep it.
    categorical_features : {"from_dtype"}, array-like or None, default="from_dtype"
        Columns of X that are categories, at most 255 per column:

        - "from_dtype": those columns of a pandas or polars data frame that hold categories or text.
        - None: no column.
        - array-like: the names of the columns, their indices, or a bool per column.

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
        Logarithm of the evidence, in nats, summed over outputs. A flat prior counts as density 1
        per unit of y, or of the transformed y. With a ``target_transformer`` it is still the
        density of y itself; to compare transformations under a flat prior of the intercept,
        subtract the logarithm of the standard deviation of the transformed y.
    degrees_of_freedom_ : float or ndarray of shape (n_outputs,)
        Degrees of freedom of the predictive Student-t distribution; infinite if it is normal. With
        a ``target_transformer``, they belong to the distribution of the transformed y.
    n_effective_params_ : float or ndarray of shape (n_outputs,)
        Effective number of weights that the data determine, the intercept included (Bishop
        eq. 3.91).
    n_samples_seen_ : int
        Number of rows seen; rows of weight 0 do not count.
    basis_ : transformer
        The fitted basis.
    target_transformer_ : transformer, list of one per output, or None
        The fitted transformation of y.
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
    **Time and memory.** A fit takes O(n_samples n_basis^2) time and, beyond the data, O(n_basis^2)
    memory. The model keeps the triangular factor of a QR decomposition of the design matrix. The
    default basis also keeps the features of up to 2000 rows. Fitting at once, in batches, row by
    row, or in parts that are merged gives the same posterior.

    **Sample weights and noise scales.** A row with ``sample_weight`` k counts as k rows. A row with
    ``noise_scale`` k is one row, whose noise has k times the standard deviation; the evidence is
    that of a Gaussian process with a noise variance per row. ``noise_precision`` belongs to rows of
    noise scale 1: with ``noise_precision=1``, ``noise_scale`` is the standard deviation of the
    noise in the units of y. Log-linear noise multiplies the given noise scales by its own. The mean
    of its inverse square over the rows of the fit is 1, so that ``noise_precision_`` is their
    average precision. Several outputs share these noise scales.

    **dask.** X, y and ``sample_weight`` may be dask arrays or data frames. Each block is reduced on
    the worker that holds it. The predicting methods, ``sample_y`` and ``log_predictive_density``
    then return dask arrays.

    **Learned precisions.** The predictive mean uses the precisions of largest evidence. The
    predictive variance is an average over their posterior, because with few rows the best
    precisions alone would give intervals that are too narrow. The average is a numerical integral
    over the ratio of prior to noise precision. The logarithm of the ratio has a uniform prior,
    except that functions with more than ten times the variance of y are less probable; otherwise
    two values of x would give infinite variances between them. The noise has Jeffreys' prior. The
    predictive Student-t distribution has this variance, and degrees of freedom that match the
    kurtosis of the noise: more than 4, or 4 if the kurtosis is infinite. If the data leave fewer
    than 3 degrees of freedom for the noise, 3 are used. With ``prior_precision="ard"`` the average
    also includes the model with one precision for all weights, and the models with one relevant
    weight more or less.

    **Learned basis.** If basis, prior and noise are learned, and the basis has linear terms, the
    posterior is an average of two models: all basis functions, and the linear terms of the features
    alone. Their odds are even if the first has more log evidence by one nat for each basis
    parameter. `prior_precision_`, `noise_precision_`, `n_effective_params_` and
    `log_marginal_likelihood_` are those of the first.

    If both basis and noise are learned, the effective number of basis parameters is added to that
    of the weights. The Student-t is then corrected by leave-one-out residuals at
    the learned parameters and precisions, of at most 2000 rows: it is the most likely one for these
    residuals, where the distribution above counts as 30 further rows. The correction can only
    increase the standard deviations and reduce the degrees of freedom, to 3 at least. The chapter
    "The evidence chooses the basis" of the user guide has the formulas.

    **Categories.** The basis gets each column of ``categorical_features`` as one column of zeros
    and ones per category, and one more for unknown categories; a column of booleans remains one
    column. The prior shrinks the weights of categories with few rows most. The weight of an unknown
    category keeps its prior, so that its predictions are those of an average category with a
    larger spread. `FourierBasis` has one length scale for all categories of a feature: any two are
    equally far apart. Categories that first occur after the first ``partial_fit`` count as one
    unknown category, unless the dtype lists them.

    **Constant columns.** If the prior of the intercept is flat, a column of the design matrix whose
    values differ by less than 1e-13 of their size counts as constant. The data then say nothing
    about the weight of this column, which keeps its prior.

    **Errors.** All methods raise a ValueError or TypeError if an argument is invalid, and a
    NotFittedError if the model must be fitted first.

    References
    ----------
    .. [1] C. M. Bishop, Pattern Recognition and Machine Learning, Springer 2006, sections 3.3-3.5
       and 7.2.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import BayesianBasisRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.uniform(size=(25, 1))
    >>> y = np.sin(2 * np.pi * X[:, 0]) + 0.2 * rng.normal(size=25)
    >>> model = BayesianBasisRegressor().fit(X, y)
    >>> mean, std = model.predict([[0.25], [3.0]], return_std=True)
    >>> round(float(mean[0]), 1), bool(std[0] < std[1])
    (0.9, True)
    """

    __module__ = "skgen"

    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]
    n_samples_seen_: int
    _stream: Stream
    _categories: Categories | None = None  # of the categorical columns of X, if any

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
        "target_transformer": TARGET_TRANSFORMER,
        "noise": Choice("auto", "constant", "log-linear"),
        "categorical_features": CATEGORICAL_FEATURES,
    }

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        values.pop("settings_are_seen", None)
        model: Self = from_record(cls, values)
        if "_stream" in values:
            model.basis_ = model._stream.design.basis
            model._seen_settings = [object()]  # the next batch is checked in full
        return model

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        if "_stream" not in values:
            return True
        design, categories = values["_stream"].design, values.get("_categories")
        n_features = values["n_features_in_"]
        n_given, n_inputs = categories.shape if categories else (n_features, n_features)
        row = np.zeros((1, n_inputs))
        try:
            with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                shape = np.shape(design.basis.transform(row))
        except NotFittedError:
            return False
        except ValueError:  # zeros may be invalid for this basis
            shape = (1, design.n_basis)
        n_outputs = values["_stream"].n_outputs
        return (
            shape == (1, design.n_basis)
            and n_given == n_features
            and (n_outputs == 1 or not values["_is_1d"])
            and (design.target is None or len(design.target.transformers) == n_outputs)
            and (design.noise is None or design.noise.matches(design.n_columns, n_outputs, row))
        )

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
        target_transformer: Any = None,
        noise: Literal["auto", "constant", "log-linear"] = "auto",
        categorical_features: npt.ArrayLike | None = "from_dtype",
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
        self.target_transformer = target_transformer
        self.noise = noise
        self.categorical_features = categorical_features

    # -- fitting ---------------------------------------------------------------------------------

    def fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
        noise_scale: npt.ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Fit the model to X and y; a previous fit is discarded.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. A data frame may have columns of categories, text and booleans.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0: a row of weight k counts as k rows. None means 1 for each row.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If data or parameters are invalid, or if the prior is flat and the data do not determine
            the weights. The estimator is then left as it was.
        """
        with restore_on_error(self), np.errstate(all="ignore"):
            source = self._check_data(X, y, sample_weight, noise_scale, reset=True)
            empty = self._empty_stream(source)
            source = _transform_targets(source, empty.design.target)
            ratio = empty.prior.expected_ratio
            statistic, n_rows = summarize(source, empty.design, self.solver, ratio=ratio)
            stream = Stream(empty.design, empty.prior, statistic)
            _ = stream.posteriors  # computed now, so that this call raises their errors
            self._set_stream(stream, n_rows)
        return self

    def partial_fit(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None, *,
        noise_scale: npt.ArrayLike | None = None,
    ) -> Self:  # fmt: skip
        """Update the fit with a batch of rows (Bishop eq. 3.50).

        Without ``forgetting``, batches of any size and order give the same posterior as one ``fit``
        to all rows with the same basis. Precisions are learned again, from all rows seen, when a
        prediction or a fitted attribute next needs them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features. The first call fits the basis and the ``target_transformer``; later calls
            keep them.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0: a row of weight k counts as k rows. None means 1 for each row.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If data or parameters are invalid. The estimator is then left as it was.
        """
        if sample_weight is None and noise_scale is None and self._buffer_rows(X, y):
            return self
        first = not self.__sklearn_is_fitted__()
        with restore_on_error(self), np.errstate(all="ignore"):
            source = self._check_data(X, y, sample_weight, noise_scale, reset=first)
            before = self._empty_stream(source) if first else self._stream
            source = _transform_targets(source, before.design.target)
            prior = self._prior(before.design).keep_learned(before.prior)
            stream, n_rows = before.extend(source, prior, float(self.forgetting))
            self._set_stream(stream, n_rows + (0 if first else self.n_samples_seen_))
        return self

    def merge(self, other: "BayesianBasisRegressor") -> Self:
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
            If the two models differ in basis functions, intercept, outputs, transformation of y,
            model of the noise, or categories of columns.
        """
        if not isinstance(other, BayesianBasisRegressor):
            raise TypeError(
                f"`other` must be a BayesianBasisRegressor; got {type(other).__name__}. "
                "Merge models of the same kind."
            )
        check_is_fitted(self)
        check_is_fitted(other, msg="`other` must be fitted; got one that is not. Call its `fit`.")
        if self._signature() != other._signature():
            raise ValueError(
                "`other` must have the same fitted basis, intercept, outputs, transformation of y, "
                "noise model and categories of columns; got ones that differ. Fit both with "
                "noise='constant' and a basis that does not depend on the data (give a `domain`), "
                "or share one by sklearn.frozen.FrozenEstimator(model.basis_). Give columns of "
                "text a dtype that lists their categories."
            )
        self._stream = self._stream.merge(other._stream.statistic, self._stream.prior)
        self.n_samples_seen_ += other.n_samples_seen_
        return self

    def _signature(self) -> tuple[Any, ...]:
        """Properties that two models must share to be merged."""
        design, shape = self._stream.design, (self._is_1d, self._stream.n_outputs)
        target = design.target and design.target.transformers
        fitted = joblib.hash((design.basis, target, design.noise, self._categories))
        return fitted, design.n_columns, design.fit_intercept, shape

    def _set_stream(self, stream: Stream, n_samples_seen: int) -> None:
        self._stream, self.basis_ = stream, stream.design.basis
        self.n_samples_seen_, self._seen_settings = n_samples_seen, self._settings()

    def _buffer_rows(self, X: Any, y: Any) -> bool:
        """Return True if X and y could be added to the buffer of the stream without a full check.

        This is a fast path for streams of single rows: a few cheap checks must show that X and y
        are valid as they are. If it returns False, the caller checks them in full.
        """
        stream = vars(self).get("_stream")
        is_valid = (
            stream is not None
            and stream.design.target is None
            and type(X) is np.ndarray is type(y)
            and X.dtype is FLOAT64 is y.dtype
            and self._categories is None
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
            rows = Rows(X, y if y.ndim == 2 else y[:, None])
            self._stream.buffer(self._stream.design.with_noise(rows))
            self.n_samples_seen_ += len(X)
        return bool(is_valid)

    def _settings(self) -> list[Any]:
        """Parameters, which may be changed between calls of ``partial_fit``."""
        return [getattr(self, name) for name in self._parameters]

    # -- checking --------------------------------------------------------------------------------

    def _check_data(
        self, X: Any, y: Any, sample_weight: Any, noise_scale: Any = None, *, reset: bool
    ) -> Rows | dask.DaskRows:
        """Validated rows, without those of weight 0; with ``reset``, set `n_features_in_` etc."""
        if not dask.is_dask(X, y, sample_weight, noise_scale):
            return self._check_rows(X, y, sample_weight, noise_scale, reset=reset)
        _check_no_noise_scale(noise_scale)
        if reset and not isinstance(self.categorical_features, str | None):
            condition = "be 'from_dtype' or None if data are dask collections"
            remedy = "Encode these columns first, for example with dask_ml.preprocessing."
            value = self.categorical_features
            raise ValueError(error_message("categorical_features", condition, value, remedy))
        for name, value in {"X": X, "y": y, "sample_weight": sample_weight}.items():
            if dask.is_dask(value) or shape_of(value):  # neither None nor a number
                dask.check_collection(value, name)
        example = dask.example_features(X), *map(dask.example_row, (y, sample_weight))
        self._check_rows(*example, reset=reset)
        check = partial(type(self)()._check_rows, reset=True, is_block=True)
        return dask.DaskRows(X, y, sample_weight, check)

    def _check_rows(
        self, X: Any, y: Any, sample_weight: Any, noise_scale: Any = None, *, reset: bool,
        is_block: bool = False,
    ) -> Rows:  # fmt: skip
        """Validated rows in memory; sample weights of a block of the data may all be 0."""
        X = self._check_features(X, reset=reset)
        Y = self._check_targets(y, len(X), reset=reset)
        noise_scale = _check_noise_scale(noise_scale, len(X))
        if sample_weight is None:
            return Rows(X, Y, None, noise_scale)
        remedy = "Give one weight per row."
        check_numeric(sample_weight, "sample_weight", remedy=remedy)
        if not shape_of(sample_weight):
            Number(0.0, remedy=remedy).check(sample_weight, "sample_weight")
        elif is_block and len(sample_weight) == len(X) and not np.any(sample_weight):
            return Rows(X[:0], Y[:0], np.empty(0))
        weights = validation._check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not 0 < weights.max() <= LARGEST:
            raise ValueError(
                f"`sample_weight` must have a positive value, and none above {LARGEST:g}; got "
                f"{weights.max():g} for the largest. Give rows of positive weight."
            )
        rows = Rows(X, Y, weights, noise_scale)
        return rows if weights.min() > 0 else rows[weights > 0]

    def _check_features(self, X: Any, *, reset: bool) -> FloatArray:
        if not reset:
            check_is_fitted(self)
        return read_features(self, X, reset=reset, accepts_unknown=True)

    def _check_targets(self, y: Any, n_samples: int, *, reset: bool) -> FloatArray:
        """Targets of shape (n_samples, n_outputs)."""
        y = read_targets(self, y)
        if y.ndim not in (1, 2) or len(y) != n_samples:
            raise ValueError(
                f"`y` must have shape (n_samples,) or (n_samples, n_outputs) with n_samples="
                f"{n_samples} as in X; got shape {y.shape}. Give one row of y per row of X."
            )
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
        basis = resolve_basis(p.basis)
        if self._categories and isinstance(basis, FourierBasis):
            basis._groups = self._categories.groups
        try:
            row = source.fit_basis(basis)
        except ValueError as error:
            if "only supported for dataframes" not in str(error):
                raise
            raise ValueError(
                "`basis` must name columns by index, because it is fitted to arrays; got "
                f"{short_repr(basis)} with names. Give indices, or put it before the regressor in "
                "a pipeline."
            ) from error
        return Design.of(basis, row, p.fit_intercept)

    def _empty_stream(self, source: Source) -> Stream:
        """Stream without rows, whose basis, noise and transformation are fitted to ``source``."""
        kind = TARGET_TRANSFORMER.check(self.target_transformer, "target_transformer")
        if kind is None:
            return self._stream_for(source, None)
        if not isinstance(source, Rows):
            raise ValueError(
                "`target_transformer` must be None for dask input; got "
                f"target_transformer={short_repr(kind)}. Transform y itself, or pass each block to "
                "`partial_fit` in memory."
            )
        if isinstance(kind, str) and kind == "auto":
            streams = [self._stream_for(source, each) for each in candidates(source.Y)]
            return max(streams, key=partial(self._comparable_log_evidence, source))
        return self._stream_for(source, kind)

    def _comparable_log_evidence(self, source: Rows, empty: Stream) -> float:
        """Log evidence of the rows of ``source`` for the design of a stream.

        A flat prior has a density of 1 per standard deviation of the transformed targets here, as
        a density of 1 per unit would make the choice depend on the unit of y.
        """
        rows = _transform_targets(source, empty.design.target)
        ratio = empty.prior.expected_ratio
        statistic, _ = summarize(rows, empty.design, self.solver, ratio=ratio)
        try:
            best = empty.prior.best(statistic)
        except UndeterminedError:  # by so few rows with a flat prior
            return -np.inf
        log_evidence = sum(float(posterior.log_evidence.sum()) for posterior in best)
        return log_evidence - empty.prior.n_flat * float(np.log(rows.spreads).sum())

    def _stream_for(self, source: Any, kind: Any) -> Stream:
        """Stream without rows, for one kind of transformation of y."""
        target = None if kind is None else TargetTransform.fit(kind, source)
        source = _transform_targets(source, target)
        design = replace(self._fit_design(source), target=target)
        design, prior = self._learn_design(design, source)
        empty = Statistic.empty(design.n_columns, source.n_outputs)
        return Stream(design, prior, empty)

    def _learn_design(self, design: Design, source: Any) -> tuple[Design, LinearModelSpec]:
        """Learn the basis and the noise from outputs that vary: constant ones tell nothing."""
        prior, n_outputs = self._prior(design), source.n_outputs
        index = np.arange(n_outputs)
        if n_outputs > 1 and is_learnable(design.basis):
            source = source.select(SEARCH_ROWS)
            index = source.varying_outputs
            source = source.outputs(index)
        learned = learn_basis(design, source, prior)
        design = learn_noise(learned, source, self._noise_kind(learned.prior))
        if design.calibration is not None:
            design = replace(design, calibration=design.calibration.spread(index, n_outputs))
        return design, learned.prior

    def _noise_kind(self, prior: LinearModelSpec) -> str:
        """The parameter ``noise``, or raise if it needs a noise precision that is not learned."""
        kind: str = check_parameters(self).noise
        if kind == "log-linear" and prior.noise != "evidence":
            raise ValueError(
                "`noise` must be 'constant' or 'auto' unless noise_precision='evidence'; got "
                f"noise={kind!r} with noise_precision={short_repr(self.noise_precision)}. Learn "
                "the noise precision, or give a `noise_scale` for each row."
            )
        return kind

    def _prior(self, design: Design) -> LinearModelSpec:
        """Prior of the columns of the design matrix, from the parameters."""
        p = check_parameters(self, n_basis=design.n_basis)
        gamma = Gamma(p.noise_shape, p.noise_rate)
        noise = gamma if p.noise_precision == "gamma" else p.noise_precision
        first, is_learned = int(design.fit_intercept), isinstance(p.prior_precision, str)
        means, precisions = np.zeros((2, design.n_columns))
        means[first:] = p.prior_mean
        if is_learned and p.intercept_precision:
            raise ValueError(
                "`intercept_precision` must be None or 0 if `prior_precision` is learned; got "
                f"intercept_precision={self.intercept_precision!r}. Give both as numbers."
            )
        if is_learned:
            return LinearModelSpec(p.prior_precision, means, noise, design.fit_intercept)
        if p.intercept_precision is not None:
            precisions[:first] = p.intercept_precision
        elif not np.ndim(p.prior_precision):
            precisions[:first] = p.prior_precision
        precisions[first:] = p.prior_precision
        smallest = precisions[precisions > 0].min(initial=LARGEST)
        if smallest < 1 / LARGEST:
            raise ValueError(
                f"`prior_precision` and `intercept_precision` must be 0 or at least {1 / LARGEST:g}"
                f"; got {smallest:g}. Give 0 for a flat prior."
            )
        return LinearModelSpec(precisions, means, noise)

    # -- predicting ------------------------------------------------------------------------------

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[False] = False,
        return_cov: Literal[False] = False, *, observation_noise: bool = True,
        noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray: ...  # fmt: skip

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[True], return_cov: Literal[False] = False, *,
        observation_noise: bool = True, noise_scale: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]: ...  # fmt: skip

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[False] = False, *, return_cov: Literal[True],
        observation_noise: bool = True, noise_scale: npt.ArrayLike | None = None,
    ) -> tuple[FloatArray, FloatArray]: ...  # fmt: skip

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: bool = False, return_cov: bool = False, *,
        observation_noise: bool = True, noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...  # fmt: skip

    def predict(
        self, X: npt.ArrayLike, return_std: bool = False, return_cov: bool = False, *,
        observation_noise: bool = True, noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray | tuple[FloatArray, FloatArray]:  # fmt: skip
        """Mean and spread of y given X (Bishop eqs 3.58-3.59).

        With a ``target_transformer``, y may have no finite standard deviation; with "log" and a
        learned precision, it has no finite mean either. ``predict`` then returns medians.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        return_std : bool, default=False
            If True, standard deviations are returned too.
        return_cov : bool, default=False
            If True, the joint covariance of the rows is returned too.
        observation_noise : bool, default=True
            If True, the spread is that of observations; if False, that of the function without
            noise.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Predictive means; medians if standard deviations are not finite.
        y_std : ndarray of the same shape
            Predictive standard deviations, with ``return_std=True``.
        y_cov : ndarray of shape (n_samples, n_samples) or (n_samples, n_samples, n_outputs)
            Predictive covariances, with ``return_cov=True``.

        Raises
        ------
        ValueError
            If both ``return_std`` and ``return_cov`` are True, if a standard deviation is not
            finite, or if ``return_cov=True`` with a ``target_transformer``.
        """
        flags = {"return_std": return_std, "return_cov": return_cov}
        _check_flags(**flags, observation_noise=observation_noise)
        if return_std and return_cov:
            raise ValueError(
                "`return_std` and `return_cov` must not both be True; got both. The standard "
                "deviations are the roots of the covariance's diagonal."
            )
        if dask.is_dask(X):
            _check_no_noise_scale(noise_scale)
            return self._predict_dask(X, return_std, return_cov, observation_noise)
        X = self._check_features(X, reset=False)
        noise = observation_noise * _noise_variance(noise_scale, len(X))
        stream, posteriors = self._read()
        if return_std or stream.design.target is not None:
            _check_no_covariance(return_cov)
            predictive = _predictive(stream.design, posteriors, X, noise)
            mean = self._drop_output_axis(predictive.mean)
            if not return_std:
                return mean
            return mean, self._drop_output_axis(_check_finite_std(predictive.std))
        checked = posteriors if return_cov else []  # their leverages must be finite
        mean, _ = evaluate_rows(stream.design, _weights(posteriors).T, checked, X)
        mean = self._drop_output_axis(mean)
        if not return_cov:
            return mean
        Phi, relative = stream.design.rows(X), stream.design.noise_variance(X, noise)
        covariances = [
            joint_covariance(p.root.T @ Phi.T, p.noise_variance, relative) for p in posteriors
        ]
        return mean, self._drop_output_axis(np.concatenate(covariances, axis=-1))

    def _predictive(self, X: FloatArray, noise: FloatArray) -> Predictive | TransformedPredictive:
        """Predictive distributions at validated rows X; ``noise`` has their relative variances."""
        stream, posteriors = self._read()
        return _predictive(stream.design, posteriors, X, noise)

    def predict_quantiles(
        self, X: npt.ArrayLike, quantiles: npt.ArrayLike, *, observation_noise: bool = True,
        noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray:  # fmt: skip
        """Compute quantiles of the predictive distribution of y given X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        quantiles : float or array-like of shape (n_quantiles,)
            Probabilities, above 0 and below 1.
        observation_noise : bool, default=True
            If True, the quantiles are those of observations; if False, those of the function
            without noise.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        y_quantiles : ndarray of shape (n_samples, n_quantiles) or \
                (n_samples, n_outputs, n_quantiles)
            The quantiles, in the units of y.
        """
        _check_flags(observation_noise=observation_noise)
        quantiles = check_probabilities(quantiles, "quantiles", shape_of(quantiles))
        probabilities = np.atleast_1d(quantiles)
        if dask.is_dask(X):
            _check_no_noise_scale(noise_scale)
            options = {"quantiles": probabilities, "observation_noise": observation_noise}
            return self._map_blocks("predict_quantiles", X, (len(probabilities),), options)
        X = self._check_features(X, reset=False)
        noise = observation_noise * _noise_variance(noise_scale, len(X))
        table = self._predictive(X, noise).quantiles(probabilities)
        return table[:, 0] if self._is_1d else table

    def predict_interval(
        self, X: npt.ArrayLike, coverage: float = 0.95, *, observation_noise: bool = True,
        noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray:  # fmt: skip
        """Central intervals that hold y given X with probability ``coverage``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        coverage : float, default=0.95
            Probability, above 0 and below 1.
        observation_noise : bool, default=True
            If True, the intervals hold observations; if False, the function without noise.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        y_interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper ends, in the units of y.
        """
        ends = central_probabilities(coverage)
        return self.predict_quantiles(
            X, ends, observation_noise=observation_noise, noise_scale=noise_scale
        )

    def _predict_dask(
        self, X: Any, return_std: bool, return_cov: bool, observation_noise: bool
    ) -> Any:
        if return_cov:
            raise ValueError(
                "`return_cov` must be False for dask input, because the covariance has one number "
                "per pair of rows; got True. Ask for `return_std`, or for few rows in memory."
            )
        options = {"return_std": return_std, "observation_noise": observation_noise}
        if not return_std:
            return self._map_blocks("predict", X, (), options)
        both = self._map_blocks("predict", X, (2,), options)
        return both[..., 0], both[..., 1]

    def _map_blocks(
        self, method: str, X: Any, last: tuple[int, ...] = (), options: Any = None
    ) -> FloatArray:
        """Lazy result of a method on the blocks of X; ``last`` are the axes after the outputs."""
        function = partial(getattr(self._copy_for_blocks(X), method), **(options or {}))
        outputs = () if self._is_1d else (self._stream.n_outputs,)
        return dask.map_blocks(function, *dask.as_arrays(X), trailing=(*outputs, *last))

    def sample_y(
        self, X: npt.ArrayLike, n_samples: int = 1, *, observation_noise: bool = True,
        random_state: RandomState = None, noise_scale: npt.ArrayLike | None = None,
    ) -> FloatArray:  # fmt: skip
        """Draw y given X jointly: each draw is one function plus independent noise at each row.

        Before any ``fit``, the draws are from the prior. This needs a proper prior of the weights,
        a noise precision that is a number or has a proper Gamma prior, and a basis that does not
        depend on the data.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Features.
        n_samples : int, default=1
            Number of draws.
        observation_noise : bool, default=True
            If True, draw observations; if False, draw the function without noise.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.
        noise_scale : float or array-like of shape (n_rows,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        y_samples : ndarray of shape (n_rows, n_samples) or (n_rows, n_outputs, n_samples)
            The draws, in the units of y.

        Raises
        ------
        NotFittedError
            If the model is not fitted and its prior cannot be drawn from.
        """
        _check_flags(observation_noise=observation_noise)
        rng = generator(random_state)
        n_samples = Integer(1, 1e9, remedy="Give the number of draws.").check(
            n_samples, "n_samples"
        )
        shown, is_1d = dask.example_features(X), True
        if self.__sklearn_is_fitted__():
            shown = self._check_features(shown, reset=False)
            (stream, posteriors), is_1d = self._read(), self._is_1d
            design = stream.design
        else:
            design, posteriors, shown = self._prior_state(shown)
        weights, scales = zip(*(p.draw(n_samples, rng) for p in posteriors), strict=True)
        joined = np.concatenate(weights, axis=1)
        scale = np.concatenate(scales) if observation_noise else None
        draw = partial(_draw, design, joined, scale)
        if dask.is_dask(X):
            _check_no_noise_scale(noise_scale)
            (X,) = dask.as_arrays(X)
            check = partial(type(self)()._check_features, reset=True)
            function = partial(_draw_block, draw, check, int(rng.integers(2**63)))
            samples = dask.map_blocks(function, X, dask.block_numbers(X), trailing=joined.shape[1:])
        else:
            samples = draw(shown, rng, _noise_variance(noise_scale, len(shown)))
        return samples[:, 0] if is_1d else samples

    def _prior_state(self, X: Any) -> tuple[Design, list[Posterior], FloatArray]:
        """Design, posteriors without any rows, and validated X, of an unfitted model."""
        blank = clone(self)
        X = blank._check_features(X, reset=True)
        rows = Rows(X, np.ones((len(X), 1)))
        kind = TARGET_TRANSFORMER.check(self.target_transformer, "target_transformer")
        if kind is not None and not (isinstance(kind, str) and kind == "log"):
            raise NotFittedError(
                "This BayesianBasisRegressor has seen no data, to which its target_transformer "
                "could be fitted. Call fit first, or draw from the prior with 'log' or None."
            )
        target = None if kind is None else TargetTransform.fit(kind, rows)
        design = replace(blank._fit_design(rows), target=target)
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

    def log_predictive_density(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, noise_scale: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Logarithm of the predictive density of each row's y given its X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Log densities in nats, summed over outputs. The density is that of a Student-t
            distribution, or of a normal one if all precisions are given. With a
            ``target_transformer``, it is the density of y in its own units.
        """
        if dask.is_dask(X, y):
            _check_no_noise_scale(noise_scale)
            model = self._copy_for_blocks(X)
            self._check_targets(dask.example_row(y), 1, reset=False)
            function = model.log_predictive_density
            return dask.map_blocks(function, *dask.as_arrays(X, y=y), trailing=())
        X = self._check_features(X, reset=False)
        Y = self._check_targets(y, len(X), reset=False)
        predictive = self._predictive(X, _noise_variance(noise_scale, len(X)))
        return np.asarray(predictive.log_density(Y).sum(axis=1))

    def predictive_cdf(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, noise_scale: npt.ArrayLike | None = None
    ) -> FloatArray:
        """Probability that a new target is at most y, given its X.

        This is the probability integral transform of y. It is uniform on [0, 1] if the targets come
        from the model.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        noise_scale : float or array-like of shape (n_samples,), default=None
            Relative standard deviation of each row's noise: the noise variance of the row is
            ``noise_scale**2 / noise_precision``. None means 1 for each row.

        Returns
        -------
        probabilities : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            The predictive distribution function at each target.
        """
        if dask.is_dask(X, y):
            _check_no_noise_scale(noise_scale)
            model = self._copy_for_blocks(X)
            self._check_targets(dask.example_row(y), 1, reset=False)
            outputs = () if self._is_1d else (self._stream.n_outputs,)
            arrays = dask.as_arrays(X, y=y)
            return dask.map_blocks(model.predictive_cdf, *arrays, trailing=outputs)
        X = self._check_features(X, reset=False)
        Y = self._check_targets(y, len(X), reset=False)
        predictive = self._predictive(X, _noise_variance(noise_scale, len(X)))
        return self._drop_output_axis(predictive.cdf(Y))

    def score(
        self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None
    ) -> float:
        """Compute the coefficient of determination R² of the means, averaged over outputs.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Features.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, at least 0; None means 1 for each row.

        Returns
        -------
        score : float
            1 minus the mean squared error divided by the variance of y; 1 is best.
        """
        rows: Any = self._check_data(X, y, sample_weight, reset=False)
        if isinstance(rows, Rows):
            return float(super().score(X, y, sample_weight))
        return dask.r2_score(rows, self._copy_for_blocks(X))

    def log_marginal_likelihood(
        self, prior_precision: npt.ArrayLike | None = None, noise_precision: float | None = None
    ) -> float:
        """Logarithm of the evidence of all rows seen, at given or fitted precisions.

        Parameters
        ----------
        prior_precision : float or array-like of shape (n_basis,), default=None
            Prior precision of the weights, at least 0; None means the fitted one. A flat prior of
            the intercept is kept.
        noise_precision : float, default=None
            Noise precision, above 0. None means the fitted one; with ``noise_precision="gamma"``,
            it means the integral over the Gamma prior.

        Returns
        -------
        log_evidence : float
            ``log p(y | X)`` in nats, summed over outputs (Bishop eq. 3.86).
        """
        stream, _ = self._read()
        if noise_precision is not None:
            remedy = "Give a positive number, or None for the fitted one."
            Number(1 / LARGEST, remedy=remedy).check(noise_precision, "noise_precision")
        design, total = stream.design, 0.0
        statistic, posteriors = stream.read()
        for index, (posterior, precision) in enumerate(_outputs(posteriors)):
            noise: Any = self.noise_precision if noise_precision is None else noise_precision
            noise = precision if noise == "evidence" else noise
            changes = {"noise_precision": noise}
            if prior_precision is not None:
                changes["prior_precision"] = prior_precision
            elif isinstance(self.prior_precision, str):
                unit = 1.0 if noise == "gamma" else float(noise)
                changes["prior_precision"] = posterior.precision[-design.n_basis :] * unit
            if design.fit_intercept and posterior.precision[0] == 0:
                changes["intercept_precision"] = 0.0
            prior = clone(self).set_params(**changes)._prior(design)
            one = statistic.output(index)
            total += float(prior.posteriors(one)[0].log_evidence[0])
        return total

    # -- fitted attributes -----------------------------------------------------------------------

    def __sklearn_is_fitted__(self) -> bool:
        return "_stream" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        kind = self.target_transformer
        tags.target_tags.positive_only = isinstance(kind, str) and kind == "log"
        return tags

    def _copy_for_blocks(self, X: Any) -> Self:
        """Copy of the model for the blocks of X, which have no feature names."""
        self._check_features(dask.example_features(X), reset=False)
        model = copy.deepcopy(self)
        model.__dict__.pop("feature_names_in_", None)
        return model

    def _drop_output_axis(self, table: FloatArray) -> FloatArray:
        """Return ``table`` without its last axis, that of the outputs, if y was a vector."""
        return table[..., 0] if self._is_1d else table

    def _number_per_output(self, values: npt.ArrayLike) -> float | FloatArray:
        """One number per output as an array, or as a float if y was a vector."""
        array = np.array(values, dtype=np.float64)
        return float(array[0]) if self._is_1d else array

    def _read(self) -> tuple[Stream, list[Posterior]]:
        """Return the stream and its posteriors of one moment: another thread may add rows."""
        check_is_fitted(self)
        stream = self._stream
        with np.errstate(all="ignore"):
            return stream, stream.posteriors

    def _posteriors(self) -> list[Posterior]:
        return self._read()[1]

    @property
    def coef_(self) -> FloatArray:
        """Posterior mean of the weights."""
        stream, posteriors = self._read()
        weights = _weights(posteriors)[:, stream.design.fit_intercept :]
        return weights[0, :] if self._is_1d else weights

    @property
    def intercept_(self) -> float | FloatArray:
        """Posterior mean of the intercept."""
        stream, posteriors = self._read()
        weights, has_one = _weights(posteriors), stream.design.fit_intercept
        return self._number_per_output(weights[:, 0] if has_one else np.zeros(len(weights)))

    @property
    def covariance_(self) -> FloatArray:
        """Posterior covariance of the weights, the intercept first."""
        covariances = np.concatenate([posterior.covariance for posterior in self._posteriors()])
        return covariances[0, :] if self._is_1d else covariances

    @property
    def prior_precision_(self) -> float | FloatArray:
        """Prior precision of the weights, given or learned."""
        stream, posteriors = self._read()
        outputs, prior = _outputs(posteriors), stream.prior
        first = int(stream.design.fit_intercept)
        if not isinstance(prior.precision, str):
            precision = prior.precision[first:]
            return float(precision[0]) if np.all(precision == precision[0]) else precision.copy()
        is_relative = isinstance(prior.noise, Gamma)
        precisions = np.stack([p.precision * (1 if is_relative else noise) for p, noise in outputs])
        if prior.precision == "evidence":
            return self._number_per_output(precisions[:, -1])
        return precisions[0, first:] if self._is_1d else precisions[:, first:]

    @property
    def noise_precision_(self) -> float | FloatArray:
        """Noise precision, given or learned."""
        return self._number_per_output([noise for _, noise in _outputs(self._posteriors())])

    @property
    def log_marginal_likelihood_(self) -> float:
        """Logarithm of the evidence, in nats."""
        return float(sum(posterior.log_evidence.sum() for posterior in self._posteriors()))

    @property
    def target_transformer_(self) -> Any:
        """The fitted transformation of y."""
        check_is_fitted(self)
        if (target := self._stream.design.target) is None:
            return None
        return target.transformers[0] if self._is_1d else list(target.transformers)

    @property
    def degrees_of_freedom_(self) -> float | FloatArray:
        """Degrees of freedom of the predictive distribution."""
        return self._number_per_output([p.df for p, _ in _outputs(self._posteriors())])

    @property
    def n_effective_params_(self) -> float | FloatArray:
        """Effective number of weights that the data determine."""
        outputs = _outputs(self._posteriors())
        return self._number_per_output([p.n_effective_params for p, _ in outputs])


def _outputs(posteriors: list[Posterior]) -> list[tuple[Posterior, float]]:
    """Posterior and noise precision of each output."""
    return [(p, float(noise)) for p in posteriors for noise in p.noise_precision]


def _weights(posteriors: list[Posterior]) -> FloatArray:
    """Posterior means, shape (n_outputs, n_weights)."""
    return np.vstack([posterior.mean.T for posterior in posteriors])


def _predictive(
    design: Design, posteriors: list[Posterior], X: FloatArray, noise: FloatArray
) -> Predictive | TransformedPredictive:
    """Predictive distributions at validated rows X; ``noise`` has their relative variances."""
    mean, leverage = evaluate_rows(design, _weights(posteriors).T, posteriors, X)
    n_outputs = [len(posterior.squared_scale) for posterior in posteriors]
    leverage = np.repeat(leverage, n_outputs, axis=1)
    scales = np.concatenate([posterior.squared_scale for posterior in posteriors])
    df = np.repeat([posterior.df for posterior in posteriors], n_outputs)
    noise = design.noise_variance(X, noise)
    base = Predictive.from_leverage(mean, leverage, scales, df, noise[:, None])
    return base if design.target is None else TransformedPredictive(base, design.target)


def _transform_targets(source: Any, target: TargetTransform | None) -> Any:
    """The rows of ``source`` with transformed targets."""
    if target is None:
        return source
    Y = target.transform(source.Y)
    if not np.isfinite(Y).all():
        raise ValueError(
            "`y` must be in the domain of `target_transformer`; got values that are not finite "
            "after it. Choose another transformer, or leave such rows out."
        )
    check_size(Y, "y")
    return replace(source, Y=Y, log_derivative=target.log_derivative(source.Y))


def _draw(
    design: Design, weights: FloatArray, scales: FloatArray | None, X: FloatArray,
    rng: np.random.Generator, noise: npt.ArrayLike = 1.0,
) -> FloatArray:  # fmt: skip
    """Draws at the rows of X, shape (n_rows, n_outputs, n_draws).

    ``weights`` has shape (n_columns, n_outputs, n_draws), ``scales``, the standard deviations of
    the noise, (n_outputs, n_draws). ``noise`` has the relative noise variance of each row.
    """
    values, _ = evaluate_rows(design, weights.reshape(len(weights), -1), [], X)
    samples: FloatArray = values.reshape(len(values), *weights.shape[1:])
    if scales is not None:
        row_scales = np.sqrt(design.noise_variance(X, np.asarray(noise)))[..., None, None]
        samples += row_scales * (scales * rng.standard_normal(samples.shape))
    return samples if design.target is None else design.target.checked_inverse(samples)


def _check_finite_std(std: FloatArray) -> FloatArray:
    """Return standard deviations of y, or raise if one is not finite."""
    if not np.isfinite(std).all():
        raise ValueError(
            "`return_std` must be False where y has no finite standard deviation, as with some "
            "values of `target_transformer`, or after very few rows with noise_precision='gamma'; "
            "got True. Ask for `predict_interval` or `predict_quantiles`."
        )
    return std


def _check_no_covariance(return_cov: bool) -> None:
    """Raise if covariances of transformed targets are asked for."""
    if return_cov:
        raise ValueError(
            "`return_cov` must be False with a `target_transformer`, as covariances are those of "
            "the transformed y; got True. Ask for joint draws by `sample_y`."
        )


def _draw_block(draw: Any, check: Any, seed: int, X: Any, number: npt.NDArray[np.intp]) -> Any:
    """Draws at the rows of a dask block, whose number makes its random numbers its own."""
    return draw(check(X), np.random.default_rng([seed, *number]))


def _check_flags(**flags: Any) -> None:
    """Raise if one of ``flags`` is not a bool, because a str such as "no" would count as True."""
    for name, value in flags.items():
        check_flag(value, name)


def _check_noise_scale(value: Any, n_rows: int) -> FloatArray | None:
    """Return ``value`` as one positive number per row, or None, or raise."""
    if value is None:
        return None
    remedy = "Give one positive number per row."
    shape = (n_rows,) if shape_of(value) else ()
    with np.errstate(all="ignore"):  # wider floats may become inf
        array = check_vector(value, "noise_scale", shape, remedy=remedy)
    if not np.all((array >= 1 / LARGEST) & (array <= LARGEST)):
        condition = f"be positive, from {1 / LARGEST:g} to {LARGEST:g}"
        raise ValueError(error_message("noise_scale", condition, value, remedy))
    return np.broadcast_to(array, (n_rows,))


def _noise_variance(noise_scale: Any, n_rows: int) -> FloatArray:
    """Relative variances of the noise of rows, from their noise scales."""
    checked = _check_noise_scale(noise_scale, n_rows)
    return np.ones(n_rows) if checked is None else checked**2


def _check_no_noise_scale(value: Any) -> None:
    """Raise if noise scales are given, which are not supported for dask input."""
    if value is not None:
        raise ValueError(
            f"`noise_scale` must be None for dask input; got a {type(value).__name__}. Pass each "
            "block to `partial_fit` in memory, with its noise scales."
        )
