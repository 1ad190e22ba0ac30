"""The conditional variational autoencoder as a scikit-learn regressor."""

from collections.abc import Sequence
from contextlib import suppress
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
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from .. import networks
from .._documentation import DocumentationLink
from .._parameters import Flag, Integer, Parameters
from .._schema import FLAG, MOST, NONE, Values, array, made_of, store
from .._table import CATEGORICAL_FEATURES, Categories, read_features, read_targets
from .._validation import (
    FloatArray,
    RandomState,
    central_probabilities,
    check_flag,
    check_probabilities,
    error_message,
    generator,
    shape_of,
)
from ..likelihoods import Likelihood, StandardizedLikelihood, resolve_likelihood
from ..likelihoods._base import check_support, location_and_scale
from ..priors import ConditionalMixture, ConditionalNormal, resolve_prior
from ..priors._base import LatentDistribution, Prior
from .batches import EVALUATION_ROWS, Batch, TableView, as_tensor, map_blocks
from .fitting import (
    FIT_OPTIONS,
    FIT_PARAMETERS,
    FIT_STATE,
    BaseAutoencoder,
    check_finite,
    check_magnitude,
    in_frame,
    sum_log_ratio,
)
from .importance import estimate_log_probs
from .model import VAE, Architecture
from .ridge import MAX_ROWS, ResidualMap, RidgePart
from .row_noise import sobol_points
from .training import NORMS

N_DRAWS = 128  # of z, of which means are made
LINEAR_RANGE = 4.0  # standard deviations within which networks see inputs as they are
STATE = {
    **FIT_STATE,
    "_is_1d": FLAG,
    "_x_mean": array("n_inputs"),
    "_x_factor": array("n_inputs", 0.0),
    "_ridge": NONE | made_of(RidgePart),
}
OPTIONS = {
    **{name: FIT_OPTIONS[name] for name in ("_split_seed", "adam", NORMS)},
    "_categories": NONE | made_of(Categories),
}


@store(state=STATE, options=OPTIONS)
class VAERegressor(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, MultiOutputMixin,
    RegressorMixin, BaseAutoencoder,
):  # fmt: skip
    """Conditional variational autoencoder: the joint distribution of many outputs given inputs.

    The model has latent codes ``z ~ p(z | x)`` and outputs ``y ~ p(y | x, z)``, given by a prior
    network, a decoder network and a likelihood. An encoder network gives the approximate posterior
    ``q(z | x, y) = N(mean(x, y), diag(std(x, y)^2))``. All networks are trained to maximize the
    evidence lower bound (ELBO) of log p(y | x), ``E_q log p(y | x, z) - KL(q || p(z | x))`` (Sohn,
    Lee and Yan [1]_ eq. 4), in nats per row.

    Given x and z, the outputs are independent. Given x alone, they are dependent. So a draw of y is
    a whole image, or a whole row of a table, and not a mean of several.

    Parameters
    ----------
    n_components : int, default=8
        Number of latent dimensions. Dimensions that are not needed collapse onto the prior and do
        no harm.
    likelihood : {"gaussian", "bernoulli", "continuous_bernoulli"} or Likelihood, \
            default="gaussian"
        Distribution of y given the decoder's outputs, as in `VAETransformer`.
    prior : {"conditional_normal", "conditional_mixture", "standard_normal", "mixture", "vamp", \
            "flow"} or callable, default="conditional_normal"
        Prior p(z | x) of the latent codes:

        - "conditional_normal": a normal distribution whose means and variances come from a network
          with the hidden layers of the encoder. ``ConditionalNormal(network)`` has another network.
        - "conditional_mixture": a mixture of 10 of these, or of n with ``ConditionalMixture(n)``.
          It suits data in which each draw of y should look real, such as images of a class.
        - "flow": a normalizing flow that sees x. ``Flow(n_couplings, n_units)`` sets its size.
        - "standard_normal", "mixture" and "vamp": N(0, I), or a learned distribution, for all x.
        - Any ``prior(n_components, n_context)`` that returns a torch module, which maps x to a
          `skgen.priors.LatentDistribution` that defines ``from_noise``.

    linear : bool, default=True
        If True, and if the likelihood is one of real values, a ridge regression of y on x is fitted
        first. The networks model the residual r of ``y = A x + b + r``, given x. The penalty of the
        ridge regression minimizes its leave-one-out error. In training, residuals are divided by
        ``(1 - h_i)^(1/2)``, with the leverage h_i of the row, so that those of few rows are not too
        small. For a new row r is multiplied by ``(1 + h(x))^(1/2)``, since A and b are not known
        exactly. The residuals need as much memory as y.
    hidden_layer_sizes : tuple of int, default=(256,)
        Number of units of each hidden layer of the encoder and of the prior network. The decoder
        has them in reverse order. The empty tuple makes all networks linear.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function of the hidden layers.
    encoder : {"mlp", "convolutional"} or callable, default=None
        Body of the encoder, or ``encoder(n_inputs, n_outputs)`` that returns a torch module. Its
        inputs are y and then x. None means "convolutional" if ``image_shape`` is given, otherwise
        "mlp".
    decoder : {"mlp", "convolutional"} or callable, default=None
        Body of the decoder, chosen in the same way. Its inputs are z and then x.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images in the rows of y, for convolutional networks. None means a square if the
        number of outputs is a square number, otherwise a strip of height 1.
    input_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images in the rows of X, if these are images. All pixels are then standardized
        by a common standard deviation, and convolutional networks see x as an image of this size.
    categorical_features : {"from_dtype"}, array-like or None, default="from_dtype"
        Columns of X that are categories, at most 255 per column:

        - "from_dtype": those columns of a pandas or polars data frame that hold categories or text.
        - None: no column.
        - array-like: the names of the columns, their indices, or a bool per column, such as
          ``categorical_features=[0]`` for labels of shape (n_samples, 1).

        The networks get a column of 0 and 1 for each category, or a single one for two categories.
        A category that is not in the data of the first fit is an error, because networks learn
        nothing about it; categories that a dtype lists are known.
    beta : float, default=1.0
        Weight of the KL term, at least 0; 1 is the ELBO.
    kl_warmup : int, default=0
        Number of epochs over which the weight of the KL term rises to ``beta``. In `partial_fit`,
        all earlier epochs count.
    free_bits : float, default=0.0
        KL per latent dimension that is not penalized, in nats, at least 0. It prevents dimensions
        from collapsing, and needs ``n_importance_samples=1``.
    n_importance_samples : int, default=1
        Number of draws of z per row in training. Above 1, the importance-weighted bound [2]_ is
        maximized instead of the ELBO.
    learning_rate : {"one-cycle", "constant"}, default="constant"
        Schedule of Adam's learning rate. "one-cycle" raises it to ``learning_rate_init`` and lowers
        it to nearly 0 over ``max_iter`` epochs, which suits fits without early stopping.
    learning_rate_init : float, default=0.001
        Learning rate, above 0: the peak of the cycle, or the constant.
    batch_size : int, default=32
        Largest number of rows per step. From 10,000 rows on, 128 or more is faster.
    max_iter : int, default=200
        Number of epochs, which are passes over the data.
    early_stopping : bool, default=True
        If True, some rows are held out, training stops when their loss makes no progress, and the
        best weights are kept. This prevents networks that are given x from memorizing a small
        number of rows.
    validation_fraction : float, default=0.1
        Share of rows that are held out for early stopping, above 0 and at most 0.99.
    n_iter_no_change : int, default=20
        Number of epochs without progress after which training stops.
    tol : float, default=0.0001
        Smallest decrease of the loss that counts as progress, at least 0, in nats per row.
    warm_start : bool, default=False
        If True, ``fit`` continues from the weights of the last fit.
    callbacks : list of skorch callbacks, default=None
        Objects that are called in each epoch, and in each batch if they define methods for it.
        Batches have two members: ``x`` holds y, and ``context`` holds X, both as the networks see
        them.
    checkpoint : str or path-like, default=None
        File to which ``fit`` writes its state after each epoch, as in `VAETransformer`.
    verbose : int, default=0
        0 shows nothing, 1 a progress bar with the loss.
    device : str, default="cpu"
        Device of the networks, such as "cuda".
    random_state : int, Generator, RandomState or None, default=None
        Seed of weights, batches, held-out rows and noise, and of the draws in
        `log_predictive_density`. None draws a new seed.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted networks, which see standardized x and y.
    likelihood_ : Likelihood
        The fitted likelihood of y, or of the residuals of the linear part.
    explained_kl_ : ndarray of shape (n_components,)
        Mean KL(q(z | x, y) || p(z | x)) of each latent dimension over training rows, in nats: the
        information that z carries about y beyond that in x. A dimension with a value near 0 is not
        used.
    loss_curve_ : list of float
        Minus the objective of each epoch, in nats per row and in the units of y.
    history_ : dict of lists
        Values recorded in each epoch, as in `VAETransformer`.
    n_iter_ : int
        Number of completed epochs.
    n_features_in_ : int
        Number of features of X.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    BayesianBasisRegressor : For few outputs, independent given x, with error bars for the mean.
    VAETransformer : The same model without x.
    sklearn.linear_model.Ridge : The linear part alone.

    Notes
    -----
    **Linear networks.** With linear networks and the Gaussian likelihood, y given x is normal. Its
    means are linear in x, and its covariance is a multiple of the identity plus a matrix of rank
    ``n_components``.

    **Precision.** Networks are trained in single precision. Other methods compute in the precision
    of X.

    **Few rows.** With ``linear=True`` and a likelihood of real values, the distribution of y is
    wider where the linear part is less certain. After fits to few rows it is wider still, since
    these do not tell the variance of the noise well: the 95 % interval of a normal distribution
    becomes that of a Student t distribution. Means are not changed. So for two outputs that are
    linear in three inputs, 95 % intervals cover 95 % of new observations after fits to 5, 12 and 40
    rows. The uncertainty of the networks themselves is not known, nor that of any parameter with
    ``linear=False`` or other likelihoods. So intervals may be too narrow if rows are few and y is
    far from linear in x. Intervals of :class:`BayesianBasisRegressor` have their coverage there,
    too.

    **Large gradients.** Gradients are clipped: the norm of the weights' gradient is at most three
    times the running average of earlier norms, so that a batch with outliers does not throw the
    networks off in a long training.

    **Errors.** All methods raise a ValueError or TypeError if an argument is invalid, and a
    NotFittedError if the model must be fitted first.

    References
    ----------
    .. [1] K. Sohn, H. Lee and X. Yan, Learning structured output representation using deep
       conditional generative models, NeurIPS 2015.
    .. [2] Y. Burda, R. Grosse and R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016.

    Examples
    --------
    Draw the lower half of digits, given the upper half:

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
    }

    def __init__(
        self,
        n_components: int = 8,
        *,
        likelihood: str | Likelihood = "gaussian",
        prior: str | Prior = "conditional_normal",
        linear: bool = True,
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
        self.likelihood = likelihood
        self.prior = prior
        self.linear = linear
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
            If the data or a parameter is invalid, if the loss becomes nan, or if the file
            ``checkpoint`` belongs to another fit. The estimator is then left as it was.
        RuntimeError
            If another rank of the process group fails. The estimator is then left as it was.
        KeyboardInterrupt
            After Ctrl-C. The estimator keeps the weights learned so far and can be used.
        """
        return self._fit(X, y)

    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> Self:
        """Train for one epoch on X and y, at the constant learning rate ``learning_rate_init``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Outputs. The first call fits the linear part, and fixes the means and standard
            deviations that standardize the data.

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
        elif self._ridge is not None:
            self._ridge = self._ridge.with_new_rows(self._standardize(X), Y)
        return Batch(self._residuals(X, Y), X)

    def _input_moments(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return means and factors to standardize X: 0 for a constant, all equal for an image."""
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
        y = read_targets(self, y)
        n_outputs = y.shape[1:] if reset else () if self._is_1d else (self._n_outputs,)
        if y.shape != (len(X), *n_outputs) or y.ndim > 2:
            expected = "(n_samples,) or (n_samples, n_outputs)" if reset else (len(X), *n_outputs)
            raise ValueError(
                f"`y` must have shape {expected}, with one row for each of the {len(X)} rows of X; "
                f"got shape {y.shape}. Give the same outputs as at the first call, or fit anew."
            )
        if reset:
            self._is_1d = y.ndim == 1
        return X, check_support(likelihood, y.reshape(len(y), -1), "y")

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
        shape = (n_context,) if p.input_shape is None else p.input_shape
        builders = networks.resolve_builders(p, n_outputs, shape, name="y")
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
        """Return residuals of the linear part, in units in which all rows have the same noise."""
        if self._ridge is None:
            return Y
        residuals = self._ridge.training_residuals(self._standardize(X), Y)
        return check_finite(residuals, Y.dtype, self._data_names.x)

    def _log_ratios(self, likelihood: Likelihood, batch: Batch) -> FloatArray:
        log_ratios = super()._log_ratios(likelihood, batch)
        if self._ridge is None:
            return log_ratios
        spread = self._ridge.spread(self._standardize(batch.context))
        return log_ratios - count_varying(likelihood, batch.x) * np.log(spread[:, 0])

    # -- reading ---------------------------------------------------------------------------------

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[False] = False, *,
        observation_noise: bool = True, n_draws: int = 128,
    ) -> FloatArray: ...  # fmt: skip

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: Literal[True], *,
        observation_noise: bool = True, n_draws: int = 128,
    ) -> tuple[FloatArray, FloatArray]: ...  # fmt: skip

    @overload
    def predict(
        self, X: npt.ArrayLike, return_std: bool, *,
        observation_noise: bool = True, n_draws: int = 128,
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...  # fmt: skip

    def predict(
        self, X: npt.ArrayLike, return_std: bool = False, *,
        observation_noise: bool = True, n_draws: int = 128,
    ) -> FloatArray | tuple[FloatArray, FloatArray]:  # fmt: skip
        """Mean and standard deviation of y given X, computed from draws of z from p(z | x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        return_std : bool, default=False
            If True, standard deviations are returned too.
        observation_noise : bool, default=True
            If True, standard deviations are those of observations; if False, of decoder means. The
            means are the same.
        n_draws : int, default=128
            Number of quasi-random draws of z, at least 1. All rows use the same sequence; powers of
            2 are best.

        Returns
        -------
        y_mean : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Means.
        y_std : ndarray of the same shape
            Standard deviations, with ``return_std=True``.
        """
        return_std = check_flag(return_std, "return_std")
        noisy = check_flag(observation_noise, "observation_noise")
        n_draws = Integer(1, MOST, remedy="Give a number of draws of z.").check(n_draws, "n_draws")
        table, x, module = self._prepare_inputs(X)
        noise = prior_noise(module, n_draws)

        def moments(context: Tensor) -> Tensor:
            outputs = module.outputs(codes_of(module, noise, context), context)
            found = moments_over_draws(module, outputs, return_std, noisy)
            return torch.stack(found, 1)

        found = map_blocks(moments, x, n_rows=max(1, EVALUATION_ROWS // n_draws))
        residual = self._to_data_units(found[:, 0])
        mean = self._shape_outputs(self._add_linear_part(table, residual))
        if not return_std:
            return mean
        std = np.sqrt(found[:, 1]) * self._std_factors(residual) * self._std_ratios(table)
        return mean, self._shape_outputs(check_finite(std, residual.dtype, self._data_names.x))

    def sample_y(
        self, X: npt.ArrayLike, n_samples: int = 1, *,
        observation_noise: bool = True, random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Draw y given X: first z from p(z | x), then all outputs of a row given x and z.

        Parameters
        ----------
        X : array-like of shape (n_rows, n_features)
            Inputs.
        n_samples : int, default=1
            Number of draws for each row.
        observation_noise : bool, default=True
            If True, draw y from p(y | x, z); if False, return decoder means, without the noise.
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
        to_y = self._residual_map(table, x, module)
        for index in range(n_samples):
            samples[..., index] = self._from_residuals(
                self._to_data_units(map_blocks(draw, x)), to_y
            )
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
            Number of draws of y for each row, all in memory at once. With 1000 draws, the coverage
            of a 95 % interval has a standard deviation of 0.01 because the draws are random.
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
        ends = central_probabilities(coverage)
        return self.predict_quantiles(
            X, ends, observation_noise=observation_noise, n_draws=n_draws,
            random_state=random_state,
        )  # fmt: skip

    def predictive_cdf(
        self, X: npt.ArrayLike, y: npt.ArrayLike, *, n_draws: int = 1000,
        random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Estimate the probability that a new output is at most y, given its X, by draws.

        This is the probability integral transform of each output alone. It is uniform on [0, 1] if
        the outputs come from the model and are continuous.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            Outputs.
        n_draws : int, default=1000
            Number of draws of y for each row, as in `predict_quantiles`.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        probabilities : ndarray of shape (n_samples,) or (n_samples, n_outputs)
            Shares of the draws that are at most y.
        """
        n_draws = Integer(1, MOST, remedy="Give a number of draws.").check(n_draws, "n_draws")
        check_is_fitted(self)
        Y = self._check_rows(X, y, self.likelihood_, reset=False)[1]
        draws = self.sample_y(X, n_draws, random_state=random_state)
        return np.mean(draws <= self._shape_outputs(Y)[..., None], axis=-1)

    def log_predictive_density(
        self, X: npt.ArrayLike, y: npt.ArrayLike, n_importance_samples: int = 100
    ) -> FloatArray:
        """Estimate log p(y | x) of each row by importance weighting, in nats.

        The log density is in the units of y. For a Bernoulli likelihood, grey levels of y are
        binarized first.

        The estimate is below log p(y | x) on average. Its expectation rises to log p(y | x) with
        the number of draws (Burda, Grosse and Salakhutdinov 2016, theorem 1); with one draw it is
        the ELBO. The draws are as in `VAETransformer.score_samples`.

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
        given, residuals, views, module, log_factors = self._prepare(X, y)
        seed = int(generator(self.random_state).integers(2**63))
        rows = [module.likelihood.hide_deviations(given.x), given.context]
        bounds = estimate_log_probs(module, views, rows, n_points, seed)
        log_ratios = sum_log_ratio(module.likelihood, residuals) - log_factors
        return bounds + log_ratios.astype(bounds.dtype)

    @overload
    def transform(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *,
        return_std: Literal[False] = False,
    ) -> FloatArray: ...  # fmt: skip

    @overload
    def transform(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def transform(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *, return_std: bool
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...

    def transform(
        self, X: npt.ArrayLike, y: npt.ArrayLike | None = None, *, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return latent means: those of q(z | x, y), or of the prior p(z | x) if y is None.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Inputs.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
            Outputs.
        return_std : bool, default=False
            If True, standard deviations are returned too.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latent means.
        Z_std : ndarray of shape (n_samples, n_components)
            Standard deviations of q(z | x, y), or of p(z | x), with ``return_std=True``.
        """
        return_std = check_flag(return_std, "return_std")
        mean, std = self._latent_moments(X, y)
        if not return_std:  # `set_output` makes a data frame of it, or of the first of two
            return mean
        return mean, in_frame(self, std, self.get_feature_names_out(), X)

    def _latent_moments(self, X: Any, y: Any) -> tuple[FloatArray, FloatArray]:
        """Return means and standard deviations of q(z | x, y), or of p(z | x) if y is None."""
        if y is None:
            _, x, module = self._prepare_inputs(X)

            def moments(context: Tensor) -> Tensor:
                prior: LatentDistribution = module.prior(context)
                shape = len(context), module.n_components
                of_rows = (torch.as_tensor(of).to(context) for of in (prior.mean, prior.stddev))
                return torch.cat([of.expand(shape) for of in of_rows], -1)

            found = map_blocks(moments, x)
        else:
            _, _, views, module, _ = self._prepare(X, y)

            def moments_given_y(rows: Tensor, context: Tensor) -> Tensor:
                q = module.encode(rows, context)
                return torch.cat([q.mean, q.stddev], -1)

            found = map_blocks(moments_given_y, *views[:2])
        mean, std = np.split(found, 2, axis=1)
        return mean, std

    def inverse_transform(self, Z: npt.ArrayLike, X: npt.ArrayLike | None = None) -> FloatArray:
        """Return decoder means: the means of p(y | x, z), in the units of y.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latent codes.
        X : array-like of shape (n_samples, n_features), default=None
            Inputs, one row per code. None means the mean of the training inputs for all codes; for
            categories, that is their shares.

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
        to_y = self._residual_map(table, x, module)
        return self._shape_outputs(self._from_residuals(residual, to_y))

    def _prepare_inputs(self, X: Any) -> tuple[FloatArray, TableView, VAE]:
        """Return validated X, the view of it for the networks, and the networks."""
        table = self._check_inputs(X, reset=False)
        module = self._module_of(table.dtype)
        return table, self._view_inputs(table, module), module

    def _prepare(self, X: Any, y: Any) -> tuple[Batch, Batch, Batch, VAE, FloatArray]:
        """Return validated rows, those with residuals of y, views, networks, and log factors.

        The factors turn log densities of what the networks see into those of the residuals.
        """
        check_is_fitted(self)
        X, Y = self._check_rows(X, y, self.likelihood_, reset=False)
        module = self._module_of(np.result_type(X, Y))
        given = with_residuals = seen = Batch(Y, X)
        log_factors = np.zeros(len(X))
        to_y = self._residual_map(X, self._view_inputs(X, module), module)
        if self._ridge is not None and to_y is not None:
            residuals = Y - self._ridge.predict(self._standardize(X))
            with_residuals = Batch(check_finite(residuals, Y.dtype, self._data_names.x), X)
            seen = Batch(check_finite(to_y.invert(Y), Y.dtype, self._data_names.x), X)
            log_factors = count_varying(module.likelihood, Y) * np.log(to_y.factors[:, 0])
        views = self._views(seen, module)
        views = views._replace(x=replace(views.x, device=module.device))
        return given, with_residuals, views, module, log_factors

    def _add_linear_part(self, X: FloatArray, mean: FloatArray) -> FloatArray:
        """Return means of y by means of its residuals."""
        if self._ridge is None:
            return mean
        standard = self._standardize(X)
        total = self._ridge.predict(standard) + self._ridge.spread(standard) * mean
        return check_finite(total, mean.dtype, self._data_names.x)

    def _residual_map(self, X: FloatArray, x: TableView, module: VAE) -> ResidualMap | None:
        """Return the map from residuals as the networks give them to y, None if both are equal.

        It leaves the mean where it is, and widens the distribution around it by what is not known
        of its variance.
        """
        if self._ridge is None:
            return None
        standard = self._standardize(X)
        shift, factors = self._ridge.predict(standard), self._ridge.spread(standard)
        widening = self._ridge.widening
        if widening == 1:
            return ResidualMap(shift, factors)
        noise = prior_noise(module, N_DRAWS)

        def mean(context: Tensor) -> Tensor:
            outputs = module.outputs(codes_of(module, noise, context), context)
            return moments_over_draws(module, outputs, False)[0]

        means = map_blocks(mean, x, n_rows=EVALUATION_ROWS // N_DRAWS)
        shift = shift + (1 - widening) * factors * self._to_data_units(means)
        return ResidualMap(shift, widening * factors)

    def _from_residuals(self, residuals: FloatArray, to_y: ResidualMap | None) -> FloatArray:
        if to_y is None:
            return residuals
        return check_finite(to_y.apply(residuals), residuals.dtype, self._data_names.x)

    def _std_ratios(self, X: FloatArray) -> FloatArray:
        """Return ratios of standard deviations of y to those of residuals, for each row."""
        if self._ridge is None:
            return np.ones((1, 1))
        return self._ridge.widening * self._ridge.spread(self._standardize(X))

    def _std_factors(self, residual: FloatArray) -> FloatArray:
        """Return factors from standard deviations of the networks to those of y."""
        # Exact, since the transform of the likelihood is linear.
        factors = np.exp(-self.likelihood_.log_jacobian(residual)).astype(residual.dtype)
        if (constant := self.likelihood_._is_constant) is not None:
            factors[:, constant] = 0.0
        return factors

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
    """Return quasi-random normal numbers to make codes from, shape (n_draws, 1, n_noise)."""
    context = module.global_parameters.new_zeros(1, module.architecture.n_context)
    uniform = sobol_points(n_draws, module.prior(context).n_noise) + 0.5 / n_draws
    noise: Tensor = torch.special.ndtri(as_tensor(uniform % 1))
    return noise.to(module.global_parameters)[:, None]


def codes_of(module: VAE, noise: Tensor, context: Tensor) -> Tensor:
    """Return draws of p(z | x), shape (n_draws, n_samples, n_components)."""
    prior: LatentDistribution = module.prior(context)
    # No `len`, which would be a constant for torch.onnx.export.
    shape = len(noise), context.shape[0], module.n_components
    return prior.from_noise(noise).expand(shape)


def moments_over_draws(
    module: VAE, outputs: Tensor, return_variance: bool, observation_noise: bool = True
) -> list[Tensor]:
    """Return means of y given x, and variances if asked for, from decoder outputs of draws.

    Without observation noise, the variances are those of decoder means.
    """
    likelihood, parameters = module.likelihood, module.global_parameters.to(outputs.dtype)
    means = likelihood.mean(outputs, parameters)
    if not return_variance:
        return [means.mean(0)]
    of_means = means.var(0, unbiased=False)
    if not observation_noise:
        return [means.mean(0), of_means]
    # The law of total variance.
    variance = likelihood.distribution(outputs, parameters).variance.mean(0)
    return [means.mean(0), variance + of_means]


def count_varying(likelihood: Likelihood, Y: FloatArray) -> int:
    """Return the number of outputs that are not constant."""
    constant = likelihood._is_constant
    return Y.shape[1] - (0 if constant is None else int(constant.sum()))


def compress(X: FloatArray) -> FloatArray:
    """Return standardized inputs, with values far from 0 compressed by a logarithm.

    In a column that is nearly constant, such as a pixel at the border of images, a few values may
    lie a hundred standard deviations from the mean. They would dominate the networks.
    """
    if X.min(initial=0) >= -LINEAR_RANGE and X.max(initial=0) <= LINEAR_RANGE:
        return X
    beyond = np.abs(X) - LINEAR_RANGE
    return np.where(beyond > 0, np.sign(X) * (LINEAR_RANGE + np.log1p(beyond.clip(0))), X)
