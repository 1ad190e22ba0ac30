"""Imputation of missing cells by a variational autoencoder, as a scikit-learn transformer."""

from math import ceil
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin, clone
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data

from .. import _schema as schema
from .._documentation import DocumentationLink
from .._parameters import NONE, Custom, Flag, Parameters, Seed, check_parameters
from .._schema import store
from .._table import Table, library_of
from .._validation import (
    MISSING,
    FloatArray,
    RandomState,
    check_numeric,
    error_message,
    generator,
    nan_for_missing,
    restore_on_error,
    shape_of,
)
from ..likelihoods import Gaussian
from ..networks import MLP
from .vae import VAETransformer

MOST_COMPONENTS = 30
N_STEPS, N_LONG_STEPS = 1000, 4000  # of training from a factor analysis, and from new weights
FEWEST_EPOCHS, MOST_EPOCHS = 100, 1000
MOST_ROWS = 10_000  # number of rows in which distinct values are counted


def default_estimator(X: Any) -> VAETransformer:
    """Return a model for imputation, whose number of training steps hardly depends on the rows."""
    n_rows, n_features = (*shape_of(X), 1, 1)[:2]
    likelihood, body = default_likelihood(X), MLP((128,), skip=True)
    vae = VAETransformer(
        max(1, min(n_features, MOST_COMPONENTS)), likelihood=likelihood, encoder=body,
        decoder=body, n_importance_samples=10, masking=0.2,
    )  # fmt: skip
    n_batches = max(1, ceil(n_rows / vae.batch_size))
    n_epochs = ceil((N_LONG_STEPS if isinstance(likelihood, str) else N_STEPS) / n_batches)
    return vae.set_params(max_iter=max(FEWEST_EPOCHS, min(n_epochs, MOST_EPOCHS)))


def default_likelihood(X: Any) -> str | Gaussian:
    """Return a likelihood for categories, for values that repeat, or for real values."""
    if library_of(X) and any(size for _, size in Table.of(X).columns):
        return "from_dtype"
    return "numeric" if mostly_repeats(X) else Gaussian("feature", min_scale=0.03)


def mostly_repeats(X: Any) -> bool:
    """Return True if most columns have fewer distinct values than the square root of the rows."""
    check_numeric(X, "X", missing=MISSING)
    try:
        table = np.asarray(nan_for_missing(X), dtype=np.float64)
    except (TypeError, ValueError):  # the model reports them
        return False
    if table.ndim != 2 or not table.size:
        return False
    rows = table[:: max(1, len(table) // MOST_ROWS)]
    sizes = [len(np.unique(column[~np.isnan(column)])) for column in rows.T]
    return bool(np.mean([size <= len(rows) ** 0.5 for size in sizes]) > 0.5)


def widen_noise(vae: VAETransformer, X: Any) -> None:
    """Multiply variances of normal noise by the ratio of errors of new rows to those of training.

    With n rows and k weights per feature it is (n + k) / (n - k), Akaike's final prediction error
    (Annals of the Institute of Statistical Mathematics 21, 1969). Here n is the number of observed
    cells of the feature. A latent dimension counts as a weight by the share of its variance that
    rows determine, as in the M-step of factor analysis.
    """
    if not isinstance(vae.likelihood_, Gaussian):
        return
    batch = vae._prepare(X)[0]
    n = (~np.isnan(batch.x)).sum(axis=0)
    latent_variance = np.exp(vae._latent_moments(X)[1].astype(np.float64)).clip(max=1).mean(axis=0)
    k = np.minimum(1 + (1 - latent_variance).sum(), n / 2)
    log_ratio = torch.from_numpy(np.log((n + k) / (n - k)))
    with torch.no_grad():  # they are logarithms of variances
        vae.module_.global_parameters.add_(log_ratio)


def check_vae(estimator: Any, name: str) -> VAETransformer:
    """Return ``estimator`` if it is a `VAETransformer`, or raise."""
    if not isinstance(estimator, VAETransformer):
        remedy = "Give VAETransformer(10, masking=0.3), or None for the default."
        raise TypeError(error_message(name, "be a VAETransformer or None", estimator, remedy))
    return estimator


@store(state={"estimator_": schema.made_of(VAETransformer)})
class VAEImputer(DocumentationLink, OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Imputation of missing cells by a variational autoencoder.

    A `VAETransformer` is fitted to rows with missing cells and learns the joint distribution of the
    columns. From it follows the distribution of the missing cells of a row, given its observed
    cells. `transform` replaces missing cells by the means of this distribution, or by a draw.

    Cells must be missing at random: whether a cell is missing may depend on the observed cells of
    its row, but not on its own value.

    Parameters
    ----------
    estimator : VAETransformer, default=None
        The model. None means a default model, whose likelihood depends on the columns:

        - "from_dtype" for a data frame with text, booleans or categories;
        - "numeric" if most columns have fewer distinct values than the square root of the number of
          rows;
        - otherwise ``Gaussian("feature")``, a normal distribution with a standard deviation per
          feature.

        The default model has one latent dimension per feature, at most 30. Its networks have 128
        hidden units and a linear map beside them. It is trained by the importance-weighted bound
        with 10 draws and with ``masking=0.2``, for 1000 steps, or 4000 steps with the first two
        likelihoods, but for at least 100 and at most 1000 epochs. Variances of normal noise are
        then multiplied by the expected ratio of squared errors of new rows to those of training
        rows, (n + k) / (n - k), for n observed cells of a feature and k - 1 latent dimensions that
        the rows determine.
    sample_posterior : bool, default=False
        If True, missing cells are replaced by a draw, so that the completed table varies as much as
        complete data. If False, they are replaced by their conditional means.
    random_state : int, Generator, RandomState or None, default=None
        Seed of the draws and of the model. An int or a generator replaces the ``random_state`` of
        the model; None keeps it.

    Attributes
    ----------
    estimator_ : VAETransformer
        The fitted model. ``estimator_.sample(n, given=X)`` draws n completed tables: a multiple
        imputation.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    VAETransformer : The model; its ``impute`` and ``sample`` fill in cells, too.
    sklearn.impute.IterativeImputer : Regression of each column on the others, in turn.

    Notes
    -----
    `fit` raises a ValueError that names the column if a column has no observed cell.

    Examples
    --------
    >>> import numpy as np
    >>> from skgen import VAEImputer, VAETransformer
    >>> X = np.column_stack([np.arange(20.0), 2 * np.arange(20.0)])
    >>> X[12, 1] = np.nan
    >>> vae = VAETransformer(1, hidden_layer_sizes=(), learning_rate_init=0.05, max_iter=500)
    >>> bool(abs(VAEImputer(vae, random_state=0).fit_transform(X)[12, 1] - 24) < 0.5)
    True
    """

    __module__ = "skgen"
    estimator_: VAETransformer

    _parameters: ClassVar[Parameters] = {
        "estimator": NONE | Custom(check_vae, lambda value: isinstance(value, VAETransformer)),
        "sample_posterior": Flag(),
        "random_state": Seed(),
    }

    def __init__(
        self, estimator: VAETransformer | None = None, *, sample_posterior: bool = False,
        random_state: RandomState = None,
    ) -> None:  # fmt: skip
        self.estimator = estimator
        self.sample_posterior = sample_posterior
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Fit the model to the observed cells of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, with NaN for missing cells.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The fitted imputer.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is invalid, or if a column has no observed cell. The imputer is then
            left as it was.
        """
        with restore_on_error(self):
            p = check_parameters(self)
            vae = clone(default_estimator(X) if p.estimator is None else p.estimator)
            if p.random_state is not None:
                vae.set_params(random_state=int(generator(p.random_state).integers(2**31)))
            self.estimator_ = vae.fit(X)
            if p.estimator is None:
                widen_noise(self.estimator_, X)
            validate_data(self, X, skip_check_array=True)
        return self

    def transform(self, X: npt.ArrayLike) -> FloatArray:
        """Replace missing cells by their means, or a draw, given the observed cells of the row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, with NaN for missing cells.

        Returns
        -------
        X_imputed : ndarray or data frame of shape (n_samples, n_features)
            Data without missing cells; observed cells are unchanged.
        """
        check_is_fitted(self)
        p = check_parameters(self)
        if len(shape_of(X)) == 2:  # the model reports others
            validate_data(self, X, reset=False, skip_check_array=True)
        if p.sample_posterior:
            return self.estimator_.sample(given=X, random_state=p.random_state)
        return self.estimator_.impute(X)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        of_model = (self.estimator or VAETransformer()).__sklearn_tags__().input_tags
        tags.input_tags.allow_nan = True
        tags.input_tags.positive_only = of_model.positive_only
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
