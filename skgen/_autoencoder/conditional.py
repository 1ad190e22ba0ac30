"""The conditional variational autoencoder as a scikit-learn regressor."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from math import prod
from os import PathLike
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import (
    ClassNamePrefixFeaturesOutMixin,
    MultiOutputMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from .. import networks
from .._documentation import DocumentationLink
from .._parameters import Choice, Custom, Flag, Integer, Parameters
from .._schema import FLAG, MOST, NONE, Values, array, made_of, store
from .._table import CATEGORICAL_FEATURES, Categories, read_features
from .._validation import (
    FloatArray,
    RandomState,
    check_flag,
    check_numeric,
    check_probabilities,
    check_size,
    error_message,
    generator,
    shape_of,
)
from ..likelihoods import Likelihood, StandardizedLikelihood, resolve_likelihood
from ..likelihoods._base import location_and_scale
from ..priors import ConditionalMixture, ConditionalNormal, StandardNormal, resolve_prior
from ..priors._base import LatentDistribution, Prior
from .batches import EVALUATION_ROWS, Batch, TableView, as_tensor, map_blocks
from .fitting import (
    FIT_OPTIONS,
    FIT_PARAMETERS,
    FIT_STATE,
    BaseAutoencoder,
    check_finite,
    check_magnitude,
)
from .importance import estimate_log_probs
from .model import VAE, Architecture
from .ridge import MAX_ROWS, RidgePart
from .row_noise import sobol_points

LINEAR_RANGE = 4.0  # standard deviations within which networks see inputs as they are
FLOATS = [np.float64, np.float32]
STATE = {
    **FIT_STATE,
    "_is_1d": FLAG,
    "_x_mean": array("n_inputs"),
    "_x_factor": array("n_inputs", 0.0),
    "_ridge": NONE | made_of(RidgePart),
}
OPTIONS = {
    **{name: FIT_OPTIONS[name] for name in ("_split_seed", "adam")},
    "_categories": NONE | made_of(Categories),
}


def check_prior(prior: Any, name: str) -> Prior:
    """Return ``prior`` if it is one of those that `predict` has points of, or raise."""
    if not isinstance(prior, PRIORS):
        condition = "be a str, or a conditional or standard normal prior of skgen.priors"
        remedy = "Choose 'conditional_normal', 'conditional_mixture' or 'standard_normal'."
        raise TypeError(error_message(name, condition, prior, remedy))
    return prior


PRIORS = (ConditionalNormal, ConditionalMixture, StandardNormal)
PRIOR = Choice(*(prior.shortcut for prior in PRIORS)) | Custom(
    check_prior, lambda value: isinstance(value, PRIORS)
)


@store(state=STATE, options=OPTIONS)
class VAERegressor(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, MultiOutputMixin,
    RegressorMixin, BaseAutoencoder,
):  # fmt: skip
    """Conditional variational autoencoder: the joint distribution of many outputs given inputs.

    The model has latent codes ``z ~ p(z | x)`` and outputs ``y ~ p(y | x, z)``, given by a prior
    network, a decoder network and a likelihood. An encoder network gives the approximate posterior
    ``q(z | x, y) = N(mean(x, y), diag(std(x, y)^2))``. All are trained to maximise the evidence
    lower bound of log p(y | x), ``E_q log p(y | x, z) - KL(q || p(z | x))`` (Sohn, Lee and Yan
    [1]_ eq. 4), in nats per row. Outputs are independent given x and z, and dependent given x
    alone: a draw of y is a whole image, or a whole row of a table, rather than a mean of several.

    Parameters
    ----------
    n_components : int, default=8
        Number of latent dimensions. Those that are of no use collapse onto the prior and cost
        nothing.
    prior : {"conditional_normal", "conditional_mixture", "standard_normal"} or ConditionalNormal \
            or ConditionalMixture, default="conditional_normal"
        Prior of z given x. "conditional_normal" is a normal distribution whose means and variances
        a network gives, with the hidden layers of the encoder, or another network as in
        ``ConditionalNormal(network)``. "conditional_mixture" is a mixture of 10 of them, or n in
        ``ConditionalMixture(n)``: for draws of y that all look like y, such as images of a class.
        "standard_normal" is N(0, I) for all x.
    linear : bool, default=True
        If True, and the likelihood is one of real values, the networks model what a ridge
        regression of y on x leaves: ``y = A x + b + r``, r given x by the networks. In training r
        is what is left of a row by the regression on all others, so that few rows do not make it
        look small. Its penalty minimises the leave-one-out error. The residuals take as much memory
        as y.
    likelihood : {"gaussian", "bernoulli", "continuous_bernoulli"} or Likelihood, \
            default="gaussian"
        Distribution of y given the decoder's outputs, as in `VAETransformer`.
    hidden_layer_sizes : tuple of int, default=(256,)
        Number of units of each hidden layer of the encoder and of the prior network; the decoder
        has them in reverse order. With the empty tuple all are linear.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function of the hidden layers.
    encoder : {"mlp", "convolutional"} or callable, default=None
        Body of the encoder, ``encoder(n_inputs, n_outputs)``, whose inputs are y and then x. None
        is "mlp", or "convolutional" if ``image_shape`` is given.
    decoder : {"mlp", "convolutional"} or callable, default=None
        Body of the decoder, likewise, whose inputs are z and then x.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images in the rows of y, for convolutional networks. None is a square if the
        number of outputs is a square number, else a strip of height 1.
    input_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images in the rows of X, if they are images. Pixels are then standardised by
        one standard deviation for all, and convolutional networks see them at their own scale.
    categorical_features : {"from_dtype"}, array-like or None, default="from_dtype"
        Columns of X that are categories, of which the model sees a column of 0 and 1 for each, or
        one column for two of them. "from_dtype" takes the columns of a data frame of pandas or
        polars that hold categories or text, None takes none; or their names, their indices, or a
        bool per column, as in ``categorical_features=[0]`` for labels of shape (n_samples, 1). At
        most 255 categories a column. Unknown categories are an error, since networks learn nothing
        of them; those that a dtype lists are known.
    beta : float, default=1.0
        Weight of the KL term; 1 is the ELBO.
    kl_warmup : int, default=0
        Number of epochs over which the weight of the KL term rises to ``beta``. In `partial_fit`,
        all earlier epochs count.
    free_bits : float, default=0.0
        KL in nats per latent dimension that costs nothing, against the collapse of dimensions.
        Only with ``n_importance_samples=1``.
    n_importance_samples : int, default=1
        Number of draws of z per row in training. Above 1, the importance-weighted bound [2]_ is
        maximised instead of the ELBO.
    learning_rate : {"one-cycle", "constant"}, default="constant"
        Schedule of Adam's learning rate: constant, or over ``max_iter`` epochs up to
        ``learning_rate_init`` and down to nearly 0, which suits fits without early stopping.
    learning_rate_init : float, default=0.001
        Learning rate: the peak of the cycle, or the constant.
    batch_size : int, default=32
        Largest number of rows per step. With 10,000 rows and more, 128 and more are faster.
    max_iter : int, default=200
        Number of epochs: passes over the data.
    early_stopping : bool, default=True
        If True, rows are held out, training stops when their loss makes no progress, and the best
        weights are kept: networks that are given x can learn few rows by heart.
    validation_fraction : float, default=0.1
        Share of rows that are held out for early stopping.
    n_iter_no_change : int, default=20
        Number of epochs without progress after which training stops.
    tol : float, default=0.0001
        Smallest decrease of the loss that counts as progress, in nats per row.
    warm_start : bool, default=False
        If True, ``fit`` continues from the weights of the last fit.
    callbacks : list of skorch callbacks, default=None
        Called in each epoch, and with each batch if they define methods for it. Data are batches
        with members ``x``, which is y as the networks see it, and ``context``, which is x.
    checkpoint : str or path-like, default=None
        File to which ``fit`` writes its state after each epoch, as in `VAETransformer`.
    verbose : int, default=0
        1 shows a progress bar with the loss.
    device : str, default="cpu"
        Device of the networks, such as "cuda".
    random_state : int, Generator, RandomState or None, default=None
        Seed of weights, batches, held-out rows and noise, and of the draws in
        `log_predictive_density`; None draws a new one.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted networks; y and x are standardised before they see them.
    likelihood_ : Likelihood
        Fitted likelihood of y, or of what the linear part leaves of it.
    explained_kl_ : ndarray of shape (n_components,)
        Mean KL(q(z | x, y) || p(z | x)) of each latent dimension over training rows, in nats: what
        y says of z beyond x. A dimension with a value near 0 is not used.
    loss_curve_ : list of float
        Minus the objective of each epoch, in nats per row and in the units of y.
    history_ : dict of lists
        Values recorded in each epoch, as in `VAETransformer`.
    n_iter_ : int
        Number of completed epochs.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    BayesianBasisRegressor : For few outputs, independent given x, with error bars for the mean.
    VAETransformer : The same model without x.
    sklearn.linear_model.Ridge : The linear part alone.

    Notes
    -----
    With linear networks and the Gaussian likelihood, y given x is normal with linear means and a
    covariance that is a multiple of the identity plus one of rank ``n_components``.

    Networks are trained in single precision. Other methods compute in the precision of X. All
    methods raise a ValueError or TypeError if an argument is invalid.

    References
    ----------
    .. [1] K. Sohn, H. Lee and X. Yan, Learning structured output representation using deep
       conditional generative models, NeurIPS 2015.
    .. [2] Y. Burda, R. Grosse and R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016.

    Examples
    --------
    The lower half of digits, given the upper half.

    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAERegressor
    >>> images = load_digits().data / 16
    >>> upper, lower = images[:, :32], images[:, 32:]
    >>> cvae = VAERegressor(max_iter=5, random_state=0).fit(upper, lower)
    >>> cvae.predict(upper[:2]).shape, cvae.sample_y(upper[:2], 3).shape
    ((2, 32), (2, 32, 3))
    """

    __module__ = "skgen"
    _is_1d: bool
    _ridge: RidgePart | None
    _categories: Categories | None = None  # of the categorical columns of X, if any
    _x_mean: FloatArray
    _x_factor: FloatArray

    _data_names: ClassVar[Batch] = Batch("y", "X", "mask")
    _parameters: ClassVar[Parameters] = {
        "n_components": Integer(1, 20_000, remedy="Give the number of latent dimensions."),
        "linear": Flag(),
        "categorical_features": CATEGORICAL_FEATURES,
        **networks.PARAMETERS,
        "input_shape": networks.PARAMETERS["image_shape"],
        **FIT_PARAMETERS,
        "prior": PRIOR,
    }

    def __init__(
        self,
        n_components: int = 8,
        *,
        prior: str | Prior = "conditional_normal",
        linear: bool = True,
        likelihood: str | Likelihood = "gaussian",
        hidden_layer_sizes: Sequence[int] = (256,),
        activation: str = "silu",
        encoder: str | networks.Builder | None = None,
        decoder: str | networks.Builder | None = None,
        image_shape: tuple[int, ...] | None = None,
        input_shape: tuple[int, ...] | None = None,
        categorical_features: npt.ArrayLike | None = "from_dtype",
        beta: float = 1.0, kl_warmup: int = 0, free_bits: float = 0.0,
        n_importance_samples: int = 1,
        learning_rate: Literal["one-cycle", "constant"] = "constant",
        learning_rate_init: float = 0.001,
        batch_size: int = 32,
        max_iter: int = 200,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 20,
        tol: float = 0.0001,
        warm_start: bool = False,
        callbacks: Sequence[Any] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        verbose: int = 0,
        device: str = "cpu",
        random_state: RandomState = None,
    ) -> None:  # fmt: skip
        self.n_components = n_components
        self.prior = prior
        self.linear = linear
        self.likelihood = likelihood
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
        self.input_shape = input_shape
        self.categorical_features = categorical_features
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.n_importance_samples = n_importance_samples
        self.learning_rate = learning_rate
        self.learning_rate_init = learning_rate_init
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.tol = tol
        self.warm_start = warm_start
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.device = device
        self.random_state = random_state

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Fit the model, from new weights or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Outputs.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If data or a parameter are invalid, if the loss becomes nan, or if the file
            ``checkpoint`` is of another fit; the estimator is left as it was.
        RuntimeError
            If another rank of the process group fails; the estimator is left as it was.
        KeyboardInterrupt
            After Ctrl-C; the estimator keeps what it has learned and can be used.
        """
        return self._fit(X, y)

    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train for one epoch on X and y, at the constant learning rate ``learning_rate_init``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Outputs. The first call determines the linear part, and how data are standardised.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError, RuntimeError, KeyboardInterrupt
            As in `fit`.
        """
        return self._partial_fit(X, y)

    # -- checking --------------------------------------------------------------------------------

    def _validate_batch(self, data: tuple[Any, ...], likelihood: Likelihood, reset: bool) -> Batch:
        X, y = data
        if not likelihood.linear_transform:
            remedy = "Take a likelihood of numbers or counts, or VAETransformer for whole tables."
            raise ValueError(
                error_message("likelihood", "have a linear transform of y", likelihood, remedy)
            )
        X, Y = self._check_rows(X, y, likelihood, reset=reset)
        if reset:
            self._x_mean, self._x_factor = self._input_moments(X)
            has_linear_part = self.linear and isinstance(likelihood, StandardizedLikelihood)
            self._ridge = self._fit_ridge(X, Y) if has_linear_part else None
        return Batch(self._residuals(X, Y), X)

    def _input_moments(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and factors that standardise; 0 for a constant, one for all of an image."""
        varies = X.min(axis=0) < X.max(axis=0)
        mean, scale = location_and_scale(X)
        if self.input_shape is not None and varies.any():
            scale = np.full_like(scale, np.sqrt(np.mean(scale[varies] ** 2)))
        return mean, np.where(varies, 1 / scale, 0.0)

    def _fit_ridge(self, X: FloatArray, Y: FloatArray) -> RidgePart:
        """Fit the linear part to evenly spaced rows."""
        index = np.linspace(0, len(X) - 1, min(len(X), MAX_ROWS)).astype(int)
        return RidgePart.fit(self._standardize(X[index]), Y[index], *location_and_scale(Y[index]))

    def _check_rows(
        self, X: Any, y: Any, likelihood: Likelihood, *, reset: bool
    ) -> tuple[FloatArray, FloatArray]:
        """Return X, and y of shape (n_samples, n_outputs)."""
        X = self._check_inputs(X, reset=reset)
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None. "
                "`y` must hold one row for each row of X."
            )
        check_numeric(y, "y")
        with np.errstate(all="ignore"):
            y = check_array(
                y, dtype=FLOATS, ensure_2d=False, ensure_min_samples=0, input_name="y",
                estimator=self,
            )  # fmt: skip
        n_outputs = y.shape[1:] if reset else () if self._is_1d else (self._n_outputs,)
        if y.shape != (len(X), *n_outputs) or y.ndim > 2:
            expected = "(n_samples,) or (n_samples, n_outputs)" if reset else (len(X), *n_outputs)
            raise ValueError(
                f"`y` must have shape {expected}, with one row for each of the {len(X)} rows of X; "
                f"got shape {y.shape}. Give the same outputs as at the first call, or fit anew."
            )
        check_size(y, "y")
        if reset:
            self._is_1d = y.ndim == 1
        with _errors_about_y():
            return X, likelihood.check_support(y.reshape(len(y), -1))

    def _check_inputs(self, X: Any, *, reset: bool) -> FloatArray:
        """Return X as a matrix, in which categories are columns of 0 and 1."""
        if not reset:
            check_is_fitted(self)
        return read_features(self, X, reset=reset)

    def _architecture(self, p: Any, likelihood: Likelihood, batch: Batch) -> Architecture:
        n_outputs, n_context = batch.x.shape[1], batch.context.shape[1]
        if p.input_shape is not None and self._categories:
            condition = "be None if columns of X are categories"
            remedy = "Leave it out, or leave out these columns."
            raise ValueError(error_message("input_shape", condition, p.input_shape, remedy))
        if p.input_shape is not None and prod(p.input_shape) != n_context:
            raise ValueError(
                f"`input_shape` must have as many values as X has features ({n_context}); got "
                f"input_shape={p.input_shape}. Give the shape of the images in the rows of X."
            )
        with _errors_about_y():
            shape = (n_context,) if p.input_shape is None else p.input_shape
            builders = networks.resolve_builders(p, n_outputs, shape)
        body = networks.MLP(p.hidden_layer_sizes, p.activation)
        prior: Any = resolve_prior(p.prior)
        if isinstance(prior, ConditionalNormal | ConditionalMixture) and prior.network is None:
            prior = replace(prior, network=body)
        return Architecture(*builders, likelihood, prior, n_outputs, p.n_components, n_context)

    def _views(self, batch: Batch, vae: VAE) -> Batch:
        return super()._views(batch, vae)._replace(context=self._view_inputs(batch.context, vae))

    def _view_inputs(self, X: FloatArray, vae: VAE) -> TableView:
        view = TableView(X, vae.dtype, lambda X: compress(self._standardize(X)), vae.device)
        return check_magnitude(view, self._data_names.context)

    def _standardize(self, X: FloatArray) -> FloatArray:
        standard = np.subtract(X, self._x_mean, dtype=np.float64)
        standard *= self._x_factor
        return standard

    def _residuals(self, X: FloatArray, Y: FloatArray) -> FloatArray:
        """Return what the linear part leaves of y; of rows that it was fitted to, out of sample."""
        if self._ridge is None:
            return Y
        residuals = self._ridge.out_of_sample_residuals(self._standardize(X), Y)
        return check_finite(residuals, Y.dtype, self._data_names.x)

    # -- reading ---------------------------------------------------------------------------------

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[False] = False, *, n_draws: int = 128
    ) -> FloatArray: ...

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[True], *, n_draws: int = 128
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: bool, *, n_draws: int = 128
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...

    def predict(
        self, X: npt.ArrayLike, return_std: bool = False, *, n_draws: int = 128
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Mean and standard deviation of y given x, over draws of z from p(z | x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        return_std : bool, default=False
            If True, standard deviations are returned too, those of observations.
        n_draws : int, default=128
            Number of draws of z, the same quasi-random ones for all rows; powers of 2 are best.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Means.
        y_std : ndarray of the same shape
            Standard deviations, with ``return_std=True``.
        """
        return_std = check_flag(return_std, "return_std")
        n_draws = Integer(1, MOST, remedy="Give a number of draws of z.").check(n_draws, "n_draws")
        table, x, module = self._prepare_inputs(X)
        noise = prior_noise(module, n_draws)

        def moments(context: Tensor) -> Tensor:
            outputs = module.outputs(codes_of(module, noise, context), context)
            found = moments_over_draws(module, outputs, return_std)
            return torch.stack(found, 1)

        found = map_blocks(moments, x, n_rows=max(1, EVALUATION_ROWS // n_draws))
        residual = self._to_data_units(found[:, 0])
        mean = self._shape_outputs(self._add_linear_part(table, residual))
        if not return_std:
            return mean
        return mean, self._shape_outputs(np.sqrt(found[:, 1]) * self._std_factors(residual))

    def sample_y(
        self, X: npt.ArrayLike, n_samples: int = 1, *,
        observation_noise: bool = True, random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Draw y given X: z from p(z | x), then all outputs of a row given x and z.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.
        n_samples : int, default=1
            Number of draws for each row.
        observation_noise : bool, default=True
            If True, draws are as y would be observed; if False, they are decoder means.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        y_samples : ndarray of shape (n_rows, n_samples) or (n_rows, n_outputs, n_samples)
            The draws.
        """
        n_samples = Integer(1, MOST, remedy="Give a number of draws.").check(n_samples, "n_samples")
        noisy = check_flag(observation_noise, "observation_noise")
        rng = generator(random_state)
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        table, x, module = self._prepare_inputs(X)

        def draw(context: Tensor) -> Tensor:
            z = module.prior(context).sample(len(context), rng).to(context)
            return module.draw(z, noise, context) if noisy else module.decode_mean(z, context)

        samples = np.empty((len(table), self._n_outputs, n_samples), table.dtype)
        for index in range(n_samples):
            residual = self._to_data_units(map_blocks(draw, x))
            samples[..., index] = self._add_linear_part(table, residual)
        return samples[:, 0] if self._is_1d else samples

    def predict_quantiles(
        self, X: npt.ArrayLike, quantiles: npt.ArrayLike, *, observation_noise: bool = True,
        n_draws: int = 1000, random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Estimate quantiles of each output given X, by draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        quantiles : float or array-like of shape (n_quantiles,)
            Probabilities, above 0 and below 1.
        observation_noise : bool, default=True
            If True, quantiles are those of observations; if False, of decoder means.
        n_draws : int, default=1000
            Number of draws of y for each row, all in memory at once. With 1000 an interval of 95 %
            holds y with a probability of 0.95 with a standard deviation of 0.01.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        y_quantiles : ndarray of shape (n_samples, n_quantiles) or \
                (n_samples, n_outputs, n_quantiles)
            Quantiles of the distribution of each output alone, in the units of y.
        """
        quantiles = check_probabilities(quantiles, "quantiles", shape_of(quantiles))
        n_draws = Integer(1, MOST, remedy="Give a number of draws.").check(n_draws, "n_draws")
        draws = self.sample_y(
            X, n_draws, observation_noise=observation_noise, random_state=random_state
        )
        found = np.quantile(draws, np.atleast_1d(quantiles), axis=-1)
        return np.moveaxis(found, 0, -1).astype(draws.dtype, copy=False)

    def predict_interval(
        self, X: npt.ArrayLike, coverage: float = 0.95, *, observation_noise: bool = True,
        n_draws: int = 1000, random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Central intervals that hold each output given X with probability ``coverage``, by draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        coverage : float, default=0.95
            Probability, above 0 and below 1, for each output alone.
        observation_noise : bool, default=True
            If True, intervals are for observations; if False, for decoder means.
        n_draws : int, default=1000
            Number of draws of y for each row, as in `predict_quantiles`.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        y_interval : ndarray of shape (n_samples, 2) or (n_samples, n_outputs, 2)
            Lower and upper ends, in the units of y.
        """
        coverage = check_probabilities(coverage, "coverage", ())
        ends = [(1 - coverage) / 2, (1 + coverage) / 2]
        return self.predict_quantiles(
            X, ends, observation_noise=observation_noise, n_draws=n_draws,
            random_state=random_state,
        )  # fmt: skip

    def log_predictive_density(
        self, X: npt.ArrayLike, y: npt.ArrayLike, n_importance_samples: int = 100
    ) -> FloatArray:
        """Estimate log p(y | x) of each row by importance weighting, in nats.

        The expectation of the estimate is a lower bound that rises to log p(y | x) with the number
        of draws (Burda, Grosse and Salakhutdinov 2016, theorem 1); with one draw it is the ELBO.
        The log density is in the units of y. Draws are as in `VAETransformer.score_samples`. For a
        Bernoulli likelihood, grey levels of y are binarised first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Outputs.
        n_importance_samples : int, default=100
            Number of draws of z per row. They depend on ``random_state`` and on the values of the
            row, not on other rows.

        Returns
        -------
        log_density : ndarray of shape (n_samples,)
            Estimates of log p(y | x), in nats.
        """
        name = "n_importance_samples"
        n_points = FIT_PARAMETERS[name].check(n_importance_samples, name)
        tables, views, module = self._prepare(X, y)
        seed = int(generator(self.random_state).integers(2**63))
        bounds = estimate_log_probs(module, views, [*tables[:2]], n_points, seed)
        log_jacobian = module.likelihood.log_jacobian(tables.x).sum(axis=1)
        return bounds + log_jacobian.astype(bounds.dtype)

    def transform(self, X: npt.ArrayLike, y: npt.ArrayLike | None = None) -> FloatArray:
        """Return latent means: of q(z | x, y), or of the prior p(z | x) if y is None.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Outputs.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latent means.
        """
        if y is not None:
            _, views, module = self._prepare(X, y)
            return map_blocks(lambda *rows: module.moments(*rows)[0], *views[:2])
        _, x, module = self._prepare_inputs(X)

        def prior_mean(context: Tensor) -> Tensor:
            prior: LatentDistribution = module.prior(context)
            return (
                torch.as_tensor(prior.mean).to(context).expand(len(context), self._n_features_out)
            )

        return map_blocks(prior_mean, x)

    def inverse_transform(self, Z: npt.ArrayLike, X: npt.ArrayLike | None = None) -> FloatArray:
        """Return decoder means: the means of p(y | x, z), in the units of y.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latent codes.
        X : array-like of shape (n_samples, n_features), default=None
            Inputs: those of the codes, or any others; None is their mean in training, of
            categories their shares.

        Returns
        -------
        y : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Decoder means.
        """
        codes = self._check_codes(Z)
        if X is None:
            table, module = np.tile(self._x_mean, (len(codes), 1)), self._module_of(codes.dtype)
            x = self._view_inputs(table, module)
        else:
            table, x, module = self._prepare_inputs(X)
        if len(codes) != len(table):
            raise ValueError(
                f"`Z` must have one row for each of the {len(table)} rows of X; got {len(codes)} "
                "rows. Repeat the rows of the shorter one."
            )
        z = as_tensor(codes).to(module.device, module.dtype)
        residual = self._to_data_units(map_blocks(module.decode_mean, z, x))
        return self._shape_outputs(self._add_linear_part(table, residual))

    def _prepare_inputs(self, X: Any) -> tuple[FloatArray, TableView, VAE]:
        """Return X validated, X as the networks see it, and the networks in its precision."""
        table = self._check_inputs(X, reset=False)
        module = self._module_of(table.dtype)
        return table, self._view_inputs(table, module), module

    def _prepare(self, X: Any, y: Any) -> tuple[Batch, Batch, VAE]:
        """Return tables validated, with residuals of y, views of them, and the networks."""
        check_is_fitted(self)
        X, Y = self._check_rows(X, y, self.likelihood_, reset=False)
        if self._ridge is not None:
            residuals = Y - self._ridge.predict(self._standardize(X))
            Y = check_finite(residuals, Y.dtype, self._data_names.x)
        module = self._module_of(np.result_type(X, Y))
        tables = Batch(Y, X)
        views = self._views(tables, module)
        return tables, views._replace(x=replace(views.x, device=module.device)), module

    def _add_linear_part(self, X: FloatArray, residual: FloatArray) -> FloatArray:
        if self._ridge is None:
            return residual
        total = self._ridge.predict(self._standardize(X)) + residual
        return check_finite(total, residual.dtype, self._data_names.x)

    def _std_factors(self, residual: FloatArray) -> FloatArray:
        """Return factors from standard deviations of the networks to those of y."""
        # Exact, since the transform of the likelihood is linear.
        return np.exp(-self.likelihood_.log_jacobian(residual)).astype(residual.dtype)

    def _shape_outputs(self, table: FloatArray) -> FloatArray:
        return table[:, 0] if self._is_1d else table

    def _warn_if_collapsed(self) -> None:
        if self._n_outputs > 1:  # one output needs no latent code to depend on others
            super()._warn_if_collapsed()

    @property
    def _n_outputs(self) -> int:
        return self.module_.architecture.n_features

    @staticmethod
    def _n_columns(values: Values) -> tuple[int, int]:
        ridge, categories = values["_ridge"], values.get("_categories")
        n_features, n_inputs = values["n_features_in_"], len(values["_x_mean"])
        n_outputs = values["module_"].architecture.n_features
        fits_ridge = ridge is None or ridge.coef.shape == (n_inputs, n_outputs)
        expected = categories.shape if categories else (n_features, n_features)
        return n_outputs if fits_ridge and expected == (n_features, n_inputs) else -1, n_inputs

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        with suppress(ValueError, TypeError):  # fit reports an invalid likelihood
            is_real = isinstance(resolve_likelihood(self.likelihood), StandardizedLikelihood)
            tags.regressor_tags.poor_score = not is_real  # of values that it has to clip
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


@torch.no_grad()
def prior_noise(module: VAE, n_draws: int) -> Tensor:
    """Return quasi-random normal numbers, shape (n_draws, 1, n_noise), of which codes are made."""
    context = module.global_parameters.new_zeros(1, module.architecture.n_context)
    uniform = sobol_points(n_draws, module.prior(context).n_noise) + 0.5 / n_draws
    noise: Tensor = torch.special.ndtri(as_tensor(uniform % 1))
    return noise.to(module.global_parameters)[:, None]


def codes_of(module: VAE, noise: Tensor, context: Tensor) -> Tensor:
    """Return codes of p(z | x), shape (n_draws, n_samples, n_components)."""
    prior: LatentDistribution = module.prior(context)
    # No `len`, which would be a constant for torch.onnx.export.
    shape = len(noise), context.shape[0], module.n_components
    return prior.from_noise(noise).expand(shape)


def moments_over_draws(module: VAE, outputs: Tensor, return_variance: bool) -> list[Tensor]:
    """Return means, and perhaps variances, of y given x from the decoder's outputs for draws."""
    likelihood, parameters = module.likelihood, module.global_parameters.to(outputs.dtype)
    means = likelihood.mean(outputs, parameters)
    if not return_variance:
        return [means.mean(0)]
    variance = likelihood.distribution(outputs, parameters).variance.mean(0)
    # The law of total variance.
    return [means.mean(0), variance + means.var(0, unbiased=False)]


def compress(X: FloatArray) -> FloatArray:
    """Return standardised inputs, of which values far out are replaced by logarithms.

    A column that is nearly always constant, as pixels at the border of images are, would otherwise
    have a few values of a hundred standard deviations, which rule the networks.
    """
    if X.min(initial=0) >= -LINEAR_RANGE and X.max(initial=0) <= LINEAR_RANGE:
        return X
    beyond = np.abs(X) - LINEAR_RANGE
    return np.where(beyond > 0, np.sign(X) * (LINEAR_RANGE + np.log1p(beyond.clip(0))), X)


@contextmanager
def _errors_about_y() -> Iterator[None]:
    """Turn errors about the features of a model without inputs into errors about y."""
    try:
        yield
    except ValueError as error:
        message = str(error).replace("`X`", "`y`").replace(" X ", " y ").replace("of X", "of y")
        raise ValueError(message.replace("features", "outputs")) from error
