"""The variational autoencoder as a scikit-learn transformer."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from math import ceil
from os import PathLike
from typing import Any, ClassVar, Literal, Self, overload

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.mixture import GaussianMixture
from sklearn.utils import Tags
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from .. import _schema as schema
from .. import networks
from .._documentation import DocumentationLink
from .._parameters import NONE, Integer, Number, Parameters
from .._schema import MOST, store
from .._table import Table, library_of, read_frame
from .._validation import (
    MISSING,
    FloatArray,
    RandomState,
    check_flag,
    check_flat,
    check_numeric,
    check_size,
    generator,
    missing_cells,
    nan_for_missing,
    restore_on_error,
)
from ..likelihoods import Gaussian, Likelihood, resolve_likelihood
from ..likelihoods._base import Columns
from ..likelihoods._bernoulli import binarize
from ..networks import seed_torch
from ..priors import Mixture, resolve_prior
from ..priors._base import Prior
from .batches import Batch, TableView, as_tensor, map_blocks
from .fitting import (
    FIT_OPTIONS,
    FIT_PARAMETERS,
    FIT_STATE,
    BaseAutoencoder,
    in_frame,
    sum_log_ratio,
)
from .importance import FEWEST_DRAWS, Draws, estimate_log_probs, mean_weight
from .linear_start import is_normal
from .missing import conditional_draws, conditional_means, has_modes, map_posterior
from .model import VAE, Architecture

FLOATS = [np.float64, np.float32]
ENCODE = (
    "Encode it first, or fit to a data frame of pandas or polars with likelihood='from_dtype', "
    "which models text and categories as they are."
)
# Of the mixture that `fit_prior` fits.
MAX_EM_STEPS = 1000
N_GAUSSIANS, ROWS_PER_GAUSSIAN = 50, 10  # by default, and fewest rows for each by default
CODES_PER_GAUSSIAN = 100
MOST_COMPONENTS = 15  # latent dimensions if `n_components` is None
# If `max_iter` is None: limits of the epochs, and the steps that few rows should have.
FEWEST_EPOCHS, MOST_EPOCHS, FEWEST_STEPS = 200, 1000, 2000
ROWS_PER_FEATURE, EPOCHS_OF_FEW_ROWS = 10, 100
# From a linear start, networks memorize fewer rows per feature in more epochs.


@store(state=FIT_STATE, options={**FIT_OPTIONS, "_table": schema.NONE | schema.made_of(Table)})
class VAETransformer(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseAutoencoder
):
    """Variational autoencoder.

    The model has latent codes ``z ~ p(z)``, by default N(0, I), and data ``x ~ p(x | z)``, given by
    a decoder network and a likelihood. An encoder network gives the approximate posterior
    ``q(z | x) = N(mean(x), diag(std(x)^2))``. Both networks are trained to maximize the evidence
    lower bound (ELBO) of log p(x), ``E_q log p(x | z) - KL(q || p(z))`` (Kingma and Welling [1]_
    eq. 3), in nats per row. The latent means are features; decoded draws of z are new data.

    X may have missing cells (NaN, None or pandas.NA). The likelihood leaves them out, so that
    densities are those of the observed cells. `impute` and `sample` fill them in. The encoder gets
    a mask that marks missing cells, if the first fit has any or hides cells by ``masking``.

    Parameters
    ----------
    n_components : int, default=None
        Number of latent dimensions. None means one per feature, at most 15. Dimensions that are not
        needed carry no information (see ``explained_kl_``). With two dimensions, the latent means
        can be plotted in a plane.
    likelihood : {"gaussian", "bernoulli", "continuous_bernoulli", "categorical", "numeric", \
            "from_dtype"} or Likelihood, default=None
        Distribution of x given the decoder's outputs, an object of `skgen.likelihoods` or its name:

        - None: real values. It means ``Gaussian("feature")``, which standardizes the data before
          the networks see them, and learns a standard deviation for each feature.
        - "gaussian": real values, with one standard deviation for all standardized features.
        - "bernoulli": binary data. Grey levels in [0, 1] count as probabilities, and are binarized
          anew in each epoch.
        - "continuous_bernoulli": grey levels in [0, 1].
        - "categorical": codes of categories.
        - "numeric": numbers with any distribution. Their range is divided into bins, and values
          that occur often get a probability of their own.
        - "from_dtype": tables with columns of several kinds. Columns of text, booleans and dtype
          category get a `skgen.likelihoods.Categorical`, others a `skgen.likelihoods.Numeric`. If
          X is a pandas or polars data frame, draws and decoder means are data frames with the same
          columns.

        `skgen.likelihoods.Mixed` gives each column a likelihood of its own.
    prior : {"standard_normal", "mixture", "vamp", "flow"} or callable, default="standard_normal"
        Distribution p(z) of the latent codes: N(0, I), or one that is learned with the networks,
        such as ``skgen.priors.Mixture(200)``, which gives better densities and draws. It can also
        be any ``prior(n_components, n_context)`` that returns a torch module; see the chapter
        "Extending" of the documentation.
    hidden_layer_sizes : tuple of int, default=(256,)
        Number of units of each hidden layer of the encoder; the decoder has them in reverse order.
        The empty tuple makes both networks linear. With a Gaussian likelihood whose standard
        deviations do not depend on the row, both networks get a linear map beside their hidden
        layers, as ``skgen.networks.MLP(skip=True)`` has; see Notes.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function of the hidden layers.
    encoder : {"mlp", "convolutional"} or callable, default=None
        Body of the encoder:

        - "mlp": a multilayer perceptron.
        - "convolutional": a small convolutional network.
        - callable: ``encoder(n_inputs, n_outputs)`` returns a torch module. It is a function, a
          class or an object of `skgen.networks`, and must be importable to be pickled.
        - None: "convolutional" if ``image_shape`` is given, otherwise "mlp".

        If the encoder gets a mask, its inputs are the row, with 0 in place of missing cells, and
        then one number per feature: 1 for a missing cell, 0 for an observed one.
    decoder : {"mlp", "convolutional"} or callable, default=None
        Body of the decoder, chosen in the same way.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images in the rows of X, for convolutional networks. None means a square if the
        number of features is a square number, otherwise a strip of height 1.
    beta : float, default=1.0
        Weight of the KL term, at least 0; 1 is the ELBO. A larger weight favours few and
        independent latent dimensions (beta-VAE [2]_). A smaller weight lets them carry more
        information.
    kl_warmup : int, default=0
        Number of epochs over which the weight of the KL term rises to ``beta``. In `partial_fit`,
        all earlier epochs count.
    free_bits : float, default=0.0
        KL per latent dimension that is not penalized, in nats, at least 0. It prevents dimensions
        from collapsing, and needs ``n_importance_samples=1``.
    n_importance_samples : int, default=1
        Number of draws of z per row in training. Above 1, the importance-weighted bound [3]_ is
        maximized instead of the ELBO.
    masking : float, default=0.0
        Share of the observed cells, between 0 and 0.99, that each training step hides from the
        encoder at random, so that it learns to work with missing cells. The bound is still one of
        the density of all observed cells, including the hidden ones. With the ELBO, masking makes
        the decoder overestimate the noise; ``n_importance_samples=10`` avoids this.
    learning_rate : {"one-cycle", "constant"}, default="one-cycle"
        Schedule of Adam's learning rate. "one-cycle" raises it to ``learning_rate_init`` and lowers
        it to nearly 0 over ``max_iter`` epochs.
    learning_rate_init : float, default=0.004
        Learning rate, above 0: the peak of the cycle, or the constant.
    batch_size : int, default=128
        Largest number of rows per step.
    max_iter : int, default=None
        Number of epochs, which are passes over the data. None means 200. If 200 epochs are fewer
        than 2000 steps, it means as many epochs as make 2000 steps, at most 1000. It means 100 if
        networks start at a factor analysis (see Notes) of fewer than ten rows per feature, which
        they would memorize in more epochs.
    early_stopping : bool, default=False
        If True, some rows are held out, training stops when their loss makes no progress, and the
        best weights are kept.
    validation_fraction : float, default=0.1
        Share of rows that are held out for early stopping, above 0 and at most 0.99.
    n_iter_no_change : int, default=10
        Number of epochs without progress after which training stops.
    tol : float, default=0.0001
        Smallest decrease of the loss that counts as progress, at least 0, in nats per row.
    warm_start : bool, default=False
        If True, ``fit`` continues from the weights of the last fit.
    callbacks : list of skorch callbacks, default=None
        Objects that are called in each epoch, and in each batch if they define methods for it. A
        callback that raises KeyboardInterrupt, as skorch's EarlyStopping does, ends the training.
    checkpoint : str or path-like, default=None
        File to which ``fit`` writes its state after each epoch. If the process is killed, the same
        call of ``fit`` continues from there, with the same result bit for bit. The file is deleted
        at the end of ``fit``. `partial_fit` writes no file.
    verbose : int, default=0
        0 shows nothing, 1 a progress bar with the loss.
    device : str, default="cpu"
        Device of the networks, such as "cuda".
    random_state : int, Generator, RandomState or None, default=None
        Seed of weights, batches, held-out rows and noise, and of the draws in `score_samples`. None
        draws a new seed.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted networks. The methods ``encode`` and ``decode`` return torch distributions. With
        a Gaussian likelihood, the networks see standardized data.
    likelihood_ : Likelihood
        The fitted likelihood, which transforms X for the networks. A Gaussian likelihood has the
        means and standard deviations of the features, ``location_`` and ``scale_``.
    explained_kl_ : ndarray of shape (n_components,)
        Mean KL(q(z | x) || p(z)) of each latent dimension over training rows, in nats. A dimension
        with a value near 0 has collapsed: it carries no information about x. With a mixture as
        prior, the value of a dimension is that given the dimensions before it (chain rule of the KL
        divergence). With a flow, all values are equal shares of the sum.
    loss_curve_ : list of float
        Minus the objective of each epoch, in nats per row and in the units of the data.
    history_ : dict of lists
        Values recorded in each epoch: "train_loss", "valid_loss" with early stopping, "dur" in
        seconds, and those that callbacks add. ``pandas.DataFrame(history_)`` is a table.
    n_iter_ : int
        Number of completed epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, if X has names that are all strings.

    See Also
    --------
    sklearn.decomposition.PCA : With linear networks (``hidden_layer_sizes=()``) and
        ``likelihood="gaussian"`` the model is probabilistic PCA of the standardized data.
    sklearn.decomposition.FactorAnalysis : The same model with ``Gaussian("feature")``.

    Notes
    -----
    **Data frames.** After ``set_output(transform="pandas")`` or "polars", decoder means and draws
    are data frames, too, with the names of the features.

    **Linear start.** Networks with a linear part start at the factor analysis of up to 5000 rows,
    fitted by EM if cells are missing. Training then adds what is not linear. Networks have a linear
    part with ``hidden_layer_sizes=()``, with ``MLP(skip=True)`` and, if the likelihood is Gaussian,
    by default. This start needs the prior N(0, I), normal noise whose standard deviations do not
    depend on the row, and at least 10 rows.

    **Precision.** Networks are trained in single precision. Other methods compute in the precision
    of X.

    **Large gradients.** Gradients are clipped: the norm of the weights' gradient is at most three
    times the running average of earlier norms, so that a batch with outliers does not throw the
    networks off in a long training.

    **Several processes.** In an initialized process group of torch.distributed, all ranks must call
    `fit` and `partial_fit` with the same data. They train one model together, and each of them has
    it afterwards.

    **Errors.** All methods raise a ValueError or TypeError if an argument is invalid, and a
    NotFittedError if the model must be fitted first.

    References
    ----------
    .. [1] D. P. Kingma and M. Welling, Auto-encoding variational Bayes, ICLR 2014.
    .. [2] I. Higgins et al., beta-VAE: learning basic visual concepts with a constrained
       variational framework, ICLR 2017.
    .. [3] Y. Burda, R. Grosse and R. Salakhutdinov, Importance weighted autoencoders, ICLR 2016.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skgen import VAETransformer
    >>> X = load_digits().data / 16
    >>> vae = VAETransformer(2, likelihood="bernoulli", max_iter=5, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.sample(3).shape
    ((1797, 2), (3, 64))
    """

    __module__ = "skgen"
    _table: Table | None = None  # of the data frame that `fit` saw, if any

    _parameters: ClassVar[Parameters] = {
        "n_components": NONE | Integer(1, 20_000, remedy="Give the number of latent dimensions."),
        **networks.PARAMETERS,
        **FIT_PARAMETERS,
        "likelihood": NONE | FIT_PARAMETERS["likelihood"],
        "max_iter": NONE | FIT_PARAMETERS["max_iter"],
        "masking": Number(0.0, 0.99, remedy="0 hides nothing; 0.3 to 0.5 suits imputation."),
    }

    def __init__(
        self,
        n_components: int | None = None,
        *,
        likelihood: str | Likelihood | None = None,
        prior: str | Prior = "standard_normal",
        hidden_layer_sizes: Sequence[int] = (256,),
        activation: str = "silu",
        encoder: str | networks.Builder | None = None,
        decoder: str | networks.Builder | None = None,
        image_shape: tuple[int, ...] | None = None,
        beta: float = 1.0,
        kl_warmup: int = 0,
        free_bits: float = 0.0,
        n_importance_samples: int = 1,
        masking: float = 0.0,
        learning_rate: Literal["one-cycle", "constant"] = "one-cycle",
        learning_rate_init: float = 0.004,
        batch_size: int = 128,
        max_iter: int | None = None,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        tol: float = 0.0001,
        warm_start: bool = False,
        callbacks: Sequence[Any] | None = None,
        checkpoint: str | PathLike[str] | None = None,
        verbose: int = 0,
        device: str = "cpu",
        random_state: RandomState = None,
    ) -> None:
        self.n_components = n_components
        self.likelihood = likelihood
        self.prior = prior
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
        self.beta = beta
        self.kl_warmup = kl_warmup
        self.free_bits = free_bits
        self.n_importance_samples = n_importance_samples
        self.masking = masking
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

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Fit the model to X, from new weights or, with ``warm_start``, from those of the last fit.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is invalid, if the loss becomes nan, or if the file ``checkpoint``
            belongs to another fit. The estimator is then left as it was.
        RuntimeError
            If another rank of the process group fails. The estimator is then left as it was.
        KeyboardInterrupt
            After Ctrl-C. The estimator keeps the weights learned so far and can be used.

        Warns
        -----
        ConvergenceWarning
            If all latent dimensions have collapsed.
        """
        return self._fit(X)

    def partial_fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Train for one epoch on X, at the constant learning rate ``learning_rate_init``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. The first call fixes the means and standard deviations that standardize them.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError, RuntimeError, KeyboardInterrupt
            As in `fit`.
        """
        return self._partial_fit(X)

    def fit_prior(
        self, X: npt.ArrayLike, n_components: int | None = None, *,
        random_state: RandomState = None,
    ) -> Self:  # fmt: skip
        """Replace the prior by a mixture of Gaussians, fitted to the codes of X.

        Encoder and decoder stay as they are. Codes are drawn from q(z | x): one for each row, or
        more if there are fewer than 100 rows per Gaussian, so that Gaussians do not become much
        narrower than q. scikit-learn's GaussianMixture, with diagonal covariances, is fitted to
        these codes by maximum likelihood. New draws of z then lie where codes of the data lie, so
        that draws of x are more like the data. From then on, `sample`, `score_samples`, displays
        and files use the new prior. To continue training, call
        ``set_params(prior=skgen.priors.Mixture(n_components))`` first.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, such as those that the model was fitted to.
        n_components : int, default=None
            Number of Gaussians, at most the number of rows. None means 50, or one for each ten rows
            if there are fewer than 500.
        random_state : int, Generator, RandomState or None, default=None
            Seed of the codes and of the mixture. None draws a new seed.

        Returns
        -------
        self : object
            The estimator. Its ``explained_kl_`` is now that of X under the new prior.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid. The estimator is then left as it was.

        Warns
        -----
        ConvergenceWarning
            If the mixture has not converged.
        """
        with restore_on_error(self):
            rng = generator(random_state)
            _, views, module = self._prepare(X)
            n_rows = views.n_rows
            if n_components is None:
                n_components = min(N_GAUSSIANS, max(1, n_rows // ROWS_PER_GAUSSIAN))
            remedy = "Give a number of Gaussians, at most that of the rows of X."
            n = Integer(1, n_rows, remedy=remedy).check(n_components, "n_components")
            codes = draw_from_encoder(module, views, rng, ceil(CODES_PER_GAUSSIAN * n / n_rows))
            seed = int(rng.integers(2**31))
            found = GaussianMixture(
                n, covariance_type="diag", max_iter=MAX_EM_STEPS, random_state=seed
            ).fit(codes)
            self.module_ = self._replace_prior(found)
            self.__dict__.pop("_optimizer_state", None)
            x = replace(views.x, dtype=self.module_.dtype)
            self.explained_kl_ = self._mean_kl(views._replace(x=x))
        return self

    def _check_parameters(self) -> Any:
        p = super()._check_parameters()
        if p.likelihood is None:
            p.likelihood = Gaussian("feature")
        return p

    def _choose_sizes(self, p: Any, n_rows: int, n_features: int) -> None:
        if p.n_components is None:
            default = min(n_features, MOST_COMPONENTS)
            p.n_components = self.module_.n_components if p.warm else default

    def _choose_epochs(self, p: Any, shape: tuple[int, ...], is_linear: bool) -> None:
        if p.max_iter is not None:
            return
        n_rows, n_features = shape
        n_epochs = ceil(FEWEST_STEPS / ceil(n_rows / p.batch_size))
        p.max_iter = max(FEWEST_EPOCHS, min(n_epochs, MOST_EPOCHS))
        if is_linear and n_rows < ROWS_PER_FEATURE * n_features:
            p.max_iter = EPOCHS_OF_FEW_ROWS

    def _replace_prior(self, mixture: GaussianMixture) -> VAE:
        """Return a copy of the networks with a mixture as prior."""
        vae, prior = self.module_.twin(), Mixture(len(mixture.weights_))
        vae.architecture = vae.architecture._replace(prior=prior)
        moments = mixture.means_, np.sqrt(mixture.covariances_)
        with seed_torch(0):
            vae.prior = prior._restore(mixture.weights_, *moments).to(vae.global_parameters)
        return vae.eval()

    def _validate_batch(self, data: tuple[Any, ...], likelihood: Likelihood, reset: bool) -> Batch:
        (X,) = data
        check_flat(X, "X")
        if reset:
            self._table = Table.of(X) if likelihood.categorical and library_of(X) else None
        table = self._check_table(X, reset=reset)
        mask = missing_cells(table)
        if reset and mask is not None:
            self._check_columns(mask)
        named = likelihood.for_columns(self._columns) if reset else likelihood
        return Batch(named.check_support(table), mask=mask)

    def _check_table(self, X: Any, *, reset: bool) -> FloatArray:
        if self._table and (library_of(X) or self._table.has_categories):
            handle_unknown = "error" if reset else self.likelihood_.handle_unknown
            return read_frame(self, X, self._table, handle_unknown=handle_unknown, reset=reset)
        check_numeric(X, "X", encode=ENCODE, missing=MISSING)
        with np.errstate(all="ignore"):  # wider floats may become inf
            table: FloatArray = validate_data(
                self, nan_for_missing(X), reset=reset, dtype=FLOATS, ensure_all_finite=False
            )
        check_size(table, "X", [name for name, _ in self._columns])
        return table

    @property
    def _columns(self) -> Columns:
        if self._table:
            return self._table.columns
        names = vars(self).get("feature_names_in_", range(self.n_features_in_))
        return tuple((name, 0) for name in names)

    def _to_frame(self, X: FloatArray, like: Any = None) -> Any:
        """Return data as a frame like the one that `fit` saw, or as `set_output` asks."""
        if self._table:
            return self._table.to_frame(X, like)
        names = getattr(self, "feature_names_in_", [f"x{n}" for n in range(self.n_features_in_)])
        return in_frame(self, X, names, like)

    def _check_columns(self, mask: npt.NDArray[np.bool_]) -> None:
        """Raise if a column has no observed cell."""
        if (empty := np.flatnonzero(mask.all(axis=0))).size:
            names = [name for name, _ in self._columns]
            raise ValueError(
                f"`X` must have observed cells in each column; got none in column "
                f"{names[empty[0]]!r}. Leave such columns out."
            )

    def _architecture(self, p: Any, likelihood: Likelihood, batch: Batch) -> Architecture:
        n_features = batch.x.shape[1]
        sees_mask = p.masking > 0 or batch.mask is not None
        if p.warm:  # decided at the first call
            sees_mask = self.module_.architecture.sees_mask
        skip = is_normal(likelihood, n_features)
        if p.warm:  # as they were
            builders = self.module_.architecture[:2]
            skip = any(getattr(builder, "skip", False) for builder in builders)
        encoder, decoder = networks.resolve_builders(p, n_features, skip=skip)
        if sees_mask and isinstance(encoder, networks.ConvolutionalEncoder):
            shape = encoder.image_shape
            encoder = networks.ConditionalEncoder(
                shape, shape, encoder.n_filters, encoder.activation, encoder.n_blocks
            )
        prior = resolve_prior(p.prior)
        return Architecture(
            encoder, decoder, likelihood, prior, n_features, p.n_components, sees_mask=sees_mask
        )

    @overload
    def transform(self, X: npt.ArrayLike, return_std: Literal[False] = False) -> FloatArray: ...

    @overload
    def transform(
        self, X: npt.ArrayLike, return_std: Literal[True]
    ) -> tuple[FloatArray, FloatArray]: ...

    @overload
    def transform(
        self, X: npt.ArrayLike, return_std: bool
    ) -> FloatArray | tuple[FloatArray, FloatArray]: ...

    def transform(
        self, X: npt.ArrayLike, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Return latent means: the means of q(z | x), given the observed cells of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        return_std : bool, default=False
            If True, standard deviations are returned too.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latent means.
        Z_std : ndarray of shape (n_samples, n_components)
            Standard deviations of q(z | x), with ``return_std=True``.
        """
        return_std = check_flag(return_std, "return_std")
        mean, log_variance = self._latent_moments(X)
        if not return_std:  # `set_output` makes a data frame of it, or of the first of two
            return mean
        return mean, in_frame(self, np.exp(0.5 * log_variance), self.get_feature_names_out(), X)

    def inverse_transform(self, Z: npt.ArrayLike) -> FloatArray:
        """Return decoder means: the means of p(x | z), in the units of the data.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latent codes.

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features)
            Decoder means; for categories, the most probable one.
        """
        return self._decode(Z, like=Z)

    def _decode(self, Z: npt.ArrayLike, like: Any) -> FloatArray:
        """Return decoder means, with the index of ``like`` if both are data frames."""
        codes = self._check_codes(Z)
        module = self._module_of(codes.dtype)
        z = as_tensor(codes).to(module.device)
        return self._to_frame(self._to_data_units(map_blocks(module.decode_mean, z)), like)

    def reconstruct(self, X: npt.ArrayLike) -> FloatArray:
        """Return the decoder means of the latent means of X.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X_reconstructed : ndarray or data frame of shape (n_samples, n_features)
            Decoder means, ``inverse_transform(transform(X))``.
        """
        mean, _ = self._latent_moments(X)
        return self._decode(mean, like=X)

    def sample(
        self, n_samples: int = 1, *, observation_noise: bool = True,
        given: npt.ArrayLike | None = None, random_state: RandomState = None,
    ) -> FloatArray:  # fmt: skip
        """Draw new data, or the missing cells of rows given their observed cells.

        For a new row, z is drawn from the prior, then x given z. With ``given``, z is drawn from
        its posterior given the observed cells of a row, then the missing cells given z. Rows
        without observed cells are drawn as new rows.

        The posterior is exact if the decoder is linear, the prior N(0, I), and the likelihood
        Gaussian with standard deviations that do not depend on the row. Otherwise 512 codes are
        drawn around the posterior, as in `score_samples`, and resampled by their importance
        weights; each 64 draws of a row use 512 new codes.

        Parameters
        ----------
        n_samples : int, default=1
            Number of new rows; with ``given``, number of completed tables (multiple imputation).
        observation_noise : bool, default=True
            If True, draw x from p(x | z); if False, return decoder means, without the noise.
        given : array-like of shape (n_rows, n_features), default=None
            Rows with missing cells (NaN).
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        X : ndarray or data frame of shape (n_samples, n_features), or (n_samples * n_rows, \
                n_features)
            New rows, in the units of the data; or ``n_samples`` completed tables, one below the
            other, with the observed cells of ``given`` unchanged.
        """
        check_is_fitted(self)
        n_samples = Integer(1, MOST, remedy="Give a number of rows.").check(n_samples, "n_samples")
        noisy = check_flag(observation_noise, "observation_noise")
        rng = generator(random_state)
        if given is not None:

            def draws(vae: VAE, views: Batch, X: FloatArray) -> FloatArray:
                return conditional_draws(vae, views, X, n_samples, noisy, rng)

            return self._complete(given, draws, n_samples)
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        module = self._module_of(np.dtype(np.float64))
        draw = partial(module.draw, generator=noise) if noisy else module.decode_mean
        codes = module.prior().sample(n_samples, rng)
        rows = map_blocks(draw, codes.to(module.device, module.dtype))
        return self._to_frame(self._to_data_units(rows))

    def impute(self, X: npt.ArrayLike) -> FloatArray:
        """Replace missing cells by their conditional means given the observed cells of the row.

        For categories, modes take the place of means. The means are exact where `sample` is exact.
        Otherwise they are weighted means over 512 draws of z around its posterior (self-normalized
        importance sampling); each call uses the same draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data, with NaN for missing cells.

        Returns
        -------
        X_imputed : ndarray or data frame of shape (n_samples, n_features)
            Data without missing cells; observed cells are unchanged.
        """

        def means(vae: VAE, views: Batch, X: FloatArray) -> FloatArray:
            return conditional_means(vae, views, X)[None]

        return self._complete(X, means)

    def _complete(
        self, X: Any, conditional: Callable[[VAE, Batch, FloatArray], FloatArray], n_tables: int = 1
    ) -> FloatArray:
        """Return copies of X, one below the other, whose missing cells come from a function."""
        check_is_fitted(self)
        table = self._check_table(X, reset=False)
        batch, views, module = self._view(table)
        tables = np.tile(table, (n_tables, 1, 1))
        if batch.mask is not None:
            rows = np.flatnonzero(batch.mask.any(axis=1))
            of_rows = views.map(TableView.subset, rows)
            found = conditional(module, of_rows, batch.x[rows])
            values = self._to_data_units(found.reshape(-1, table.shape[1]))
            missing = batch.mask[rows]
            tables[:, rows] = np.where(missing, values.reshape(found.shape), table[rows])
        return self._to_frame(tables.reshape(-1, table.shape[1]), X if n_tables == 1 else None)

    def score_samples(self, X: npt.ArrayLike, n_importance_samples: int = 100) -> FloatArray:
        """Estimate log p(x) of each row by importance weighting, in nats.

        The log density belongs to the data in their own units. For a row with missing cells, it is
        the log density of the observed cells. For a Bernoulli likelihood, grey levels are binarized
        first.

        The estimate is below log p(x) on average. Its expectation rises to log p(x) with the number
        of draws (Burda, Grosse and Salakhutdinov 2016, theorem 1); with one draw it is the ELBO.

        Fewer than 10 draws come from q(z | x). With 10 or more, the posterior of z is located
        first, because the estimate would be far too low for rows where q(z | x) misses it. Its mean
        and standard deviations are estimated from fixed points spread over the prior and from the
        encoder's mean. In 4 or more dimensions with Gaussian noise, they come instead from the mode
        of the posterior, found by Newton's method, and the decoder's derivatives there. Nine tenths
        of the draws come from a normal distribution with these moments, and one tenth from one four
        times as wide. The importance weights account for this.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        n_importance_samples : int, default=100
            Number of draws of z per row. They depend on ``random_state`` and on the values of the
            row, not on other rows.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Estimates of log p(x), in nats.
        """
        batch, views, module = self._prepare(X)
        n_points = self._check_n_draws(n_importance_samples)
        seed = int(generator(self.random_state).integers(2**63))
        rows = module.likelihood.hide_deviations(batch.x)  # on which the draws depend
        if n_points >= FEWEST_DRAWS and has_modes(module):

            def log_probs(_: Batch, draws: Draws) -> Tensor:
                return mean_weight(draws)

            bounds = map_posterior(log_probs, module, views, rows, seed, n_points)
        else:
            bounds = estimate_log_probs(module, views, [rows], n_points, seed)
        return bounds + sum_log_ratio(module.likelihood, batch).astype(bounds.dtype)

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:
        """Return the mean of `score_samples` over rows; higher is better.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        y : None, default=None
            Ignored.

        Returns
        -------
        score : float
            Mean estimate of log p(x), in nats per row.
        """
        return float(self.score_samples(X).mean())

    @staticmethod
    def _check_n_draws(n_importance_samples: Any) -> int:
        name = "n_importance_samples"
        n_draws: int = FIT_PARAMETERS[name].check(n_importance_samples, name)
        return n_draws

    def _prepare(self, X: Any) -> tuple[Batch, Batch, VAE]:
        """Return validated X, views of it for the networks, and the networks in its precision."""
        check_is_fitted(self)
        return self._view(self._check_table(X, reset=False))

    def _view(self, table: FloatArray) -> tuple[Batch, Batch, VAE]:
        """Return a checked table as a batch, views of it, and the networks in its precision."""
        batch = Batch(self.likelihood_.check_support(table), mask=missing_cells(table))
        module = self._module_of(table.dtype)
        views = self._views(batch, module).map(partial(replace, device=module.device))
        return batch, views, module

    def _latent_moments(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Return latent means and log variances."""
        _, views, module = self._prepare(X)

        def moments(x: Tensor, mask: Tensor | None = None) -> Tensor:
            return torch.cat(module.moments(x, mask=mask), -1)

        mean, log_variance = np.split(map_blocks(moments, *views.parts), 2, axis=1)
        return mean, log_variance

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        with suppress(ValueError, TypeError):  # fit reports an invalid likelihood
            tags.input_tags.positive_only = resolve_likelihood(self.likelihood).positive_only
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def draw_from_encoder(vae: VAE, views: Batch, rng: np.random.Generator, n_draws: int) -> FloatArray:
    """Draw ``n_draws`` codes from q(z | x) of each row; grey levels are binarized first."""
    noise = torch.Generator().manual_seed(int(rng.integers(2**63)))

    def draw(rows: Tensor, mask: Tensor | None = None) -> Tensor:
        if vae.likelihood.binary:
            rows = binarize(rows, noise)
        q = vae.encode(rows, mask=mask)
        steps = torch.randn(q.mean.shape, generator=noise, dtype=rows.dtype)
        return q.mean + q.stddev * steps.to(rows.device)

    return np.concatenate([map_blocks(draw, *views.parts) for _ in range(n_draws)])
