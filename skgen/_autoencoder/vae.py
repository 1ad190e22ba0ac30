"""The variational autoencoder as a scikit-learn transformer.

The model and its bounds are in ``_elbo``, training is in ``_training``; here data comes in, is
checked and standardised, and what was learned goes out in the data's own units.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Tags
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch import Tensor

from .._documentation import DocumentationLink
from .._parameters import check_parameters
from .._validation import (
    FloatArray,
    RandomState,
    check_choice,
    check_flag,
    check_number,
    check_numeric,
    check_seed,
    check_size,
    generator,
    restore_on_error,
    short_repr,
)
from ..likelihoods import Likelihood, resolve_likelihood
from ..networks import PARAMETERS, Builder, resolve_builders, seed_torch
from .batches import Rows, as_tensor, fingerprint, row_blocks, taken
from .checkpoint import Checkpoint, checked_path, digest, identified
from .distributed import Ranks, together
from .model import VAE, restored, start_at
from .row_noise import points, row_keys, uniforms
from .training import (
    Course,
    EarlyStopping,
    Objective,
    Settings,
    checked_callbacks,
    checked_device,
    train,
)

EVALUATED_ROWS = 4096
"""Rows of latent codes that are decoded at a time."""
MOST, MOST_COMPONENTS = 10**9, 20_000
KL_ROWS = 10_000
"""Training rows from which `explained_kl_` is taken, at most."""
COLLAPSED = 0.01
"""Nats below which a latent dimension says nothing of the data."""
MOST_SCOUTS = 512
"""Points at which the posteriors of all rows are looked for before draws are made, at most."""
ANOTHER = np.uint64(0x5DEECE66D)
"""Turns a row's key into one for numbers that have nothing to do with the first."""
FARTHEST = {torch.float32: 1e15, torch.float64: 1e100}
"""Largest standardised value that networks of each precision are given."""
NO_MATTER = {"checkpoint", "callbacks", "verbose", "device"}
"""Parameters of which what is learned does not depend, or not in a way that can be told."""


class VAETransformer(
    DocumentationLink, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
):
    """Variational autoencoder.

    Latent codes ``z ~ N(0, I)`` and data ``x ~ p(x | z)``, given by a decoder network and a
    likelihood; an encoder network gives ``q(z | x) = N(mean(x), diag(std(x)^2))``, and both learn
    by the evidence lower bound ``E_q log p(x | z) - KL(q || p(z))`` of log p(x) (Kingma and
    Welling [1]_ eq. 3), in nats per row. The latent means are features; decoded draws of z are new
    data.

    Parameters
    ----------
    n_components : int, default=2
        Number of latent dimensions.
    likelihood : {"gaussian", "bernoulli", "continuous_bernoulli"} or Likelihood, \
            default="gaussian"
        What the decoder's outputs say of x. "gaussian" suits real values: they are standardised
        inside, and one standard deviation is learned for all features;
        `skgen.likelihoods.Gaussian` has one for each, or for each feature and row. "bernoulli"
        suits binary data; grey levels in [0, 1] count as probabilities, binarised afresh at each
        pass. "continuous_bernoulli" suits grey levels in [0, 1] as they are.
    hidden_layer_sizes : tuple of int, default=(256,)
        Units of each hidden layer of the encoder; the decoder has them in reverse order. The empty
        tuple makes both linear.
    activation : {"identity", "logistic", "tanh", "relu", "silu"}, default="silu"
        Activation function of the hidden layers.
    encoder : {"mlp", "convolutional"} or callable, default=None
        Body of the encoder: a multilayer perceptron, a small convolutional network, or
        ``encoder(n_inputs, n_outputs)`` that returns a torch module, be it a function, a class or
        an object of `skgen.networks`; for pickling it must be importable. None is "mlp", or
        "convolutional" if ``image_shape`` is given.
    decoder : {"mlp", "convolutional"} or callable, default=None
        Body of the decoder, likewise.
    image_shape : tuple (height, width) or (height, width, channels), default=None
        Shape of the images that are the rows of X, for convolutional networks. None takes a square
        if the number of features is one, else a strip of height 1.
    beta : float, default=1.0
        Weight of the KL term; 1 is the ELBO. More presses latent dimensions to be independent and
        few (beta-VAE [2]_), less lets them carry more.
    kl_warmup : int, default=0
        Number of epochs over which the weight of the KL term rises to ``beta``; each call of
        `partial_fit` is one, and all before it count.
    free_bits : float, default=0.0
        Nats of KL for each latent dimension that cost nothing, against dimensions that collapse.
        With ``n_importance_samples=1`` only.
    n_importance_samples : int, default=1
        Number of draws of z for each row in training. Above 1, the importance-weighted bound [3]_
        takes the place of the ELBO.
    learning_rate : {"one-cycle", "constant"}, default="one-cycle"
        Schedule of Adam's learning rate over ``max_iter`` epochs: up to ``learning_rate_init`` and
        down to nearly nothing, or constant.
    learning_rate_init : float, default=0.004
        Learning rate: the peak of the cycle, or the constant.
    batch_size : int, default=128
        Rows a step, at most.
    max_iter : int, default=200
        Number of passes over the data.
    early_stopping : bool, default=False
        Whether to hold rows out, stop when their loss makes no progress, and keep the best weights.
    validation_fraction : float, default=0.1
        Share of rows held out for it.
    n_iter_no_change : int, default=10
        Epochs without progress after which it stops.
    tol : float, default=0.0001
        Least progress, in nats per row.
    warm_start : bool, default=False
        Whether ``fit`` goes on from the weights of the last fit.
    callbacks : list of skorch callbacks, default=None
        They see each epoch, and each batch if they ask. One that raises KeyboardInterrupt, as
        skorch's EarlyStopping does, ends the training.
    checkpoint : str or path-like, default=None
        File in which ``fit`` keeps its state after each epoch, lest hours be lost if the process
        is killed: the same ``fit``, called again, goes on from there and ends bit for bit where it
        would have ended. The file is deleted when ``fit`` is done. `partial_fit` keeps none.
    verbose : int, default=0
        1 shows a progress bar with the loss.
    device : str, default="cpu"
        Where to compute, such as "cuda".
    random_state : int, Generator, RandomState or None, default=None
        Seed of weights, batches, held-out rows and noise, and of the draws in `score_samples`; None
        draws afresh.

    Attributes
    ----------
    module_ : torch.nn.Module
        The fitted networks, with ``encode`` and ``decode`` as torch distributions. With a Gaussian
        likelihood they see standardised data.
    location_ : ndarray of shape (n_features,)
        What is subtracted from X first: the means for a Gaussian likelihood, else 0.
    scale_ : ndarray of shape (n_features,)
        What X is divided by then: the standard deviations, 1 for a constant feature, else 1.
    explained_kl_ : ndarray of shape (n_components,)
        Mean KL(q(z | x) || p(z)) of each latent dimension over training rows, in nats. Near 0, a
        dimension has collapsed: it says nothing of x.
    loss_curve_ : list of float
        Minus the objective of each epoch, in nats per row and in the data's own units.
    history_ : dict of lists
        All that was recorded of each epoch: "train_loss", "valid_loss" with early stopping, "dur"
        in seconds, and what callbacks add. ``pandas.DataFrame(history_)`` is a table.
    n_iter_ : int
        Number of completed epochs.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the features, when X has them.

    See Also
    --------
    sklearn.decomposition.PCA : With linear networks (``hidden_layer_sizes=()``) and the Gaussian
        likelihood the model is probabilistic PCA of the standardised data.
    sklearn.decomposition.FactorAnalysis : With ``Gaussian("feature")`` besides.
    sklearn.mixture.GaussianMixture : Another generative model with ``sample`` and
        ``score_samples``.

    Notes
    -----
    Networks are trained in single precision. What is computed afterwards has the precision of the
    X that is given.

    In an initialised process group of torch.distributed, `fit` and `partial_fit` are to be called
    by all ranks with the same data, and train one model on all of them; each ends up with it.

    Ctrl-C during ``fit`` keeps what was learned so far, so that the estimator can be used, and
    raises a KeyboardInterrupt that says how far it came.

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

    module_: VAE
    history_: dict[str, list[Any]]
    n_iter_: int
    n_features_in_: int
    _seed: int
    _split_seed: int

    def __init__(
        self,
        n_components: int = 2,
        *,
        likelihood: str | Likelihood = "gaussian",
        hidden_layer_sizes: Sequence[int] = (256,),
        activation: str = "silu",
        encoder: str | Builder | None = None,
        decoder: str | Builder | None = None,
        image_shape: tuple[int, ...] | None = None,
        beta: float = 1.0,
        kl_warmup: int = 0,
        free_bits: float = 0.0,
        n_importance_samples: int = 1,
        learning_rate: Literal["one-cycle", "constant"] = "one-cycle",
        learning_rate_init: float = 0.004,
        batch_size: int = 128,
        max_iter: int = 200,
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
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.encoder = encoder
        self.decoder = decoder
        self.image_shape = image_shape
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

    # -- learning --------------------------------------------------------------------------------

    def fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Learn from X; with ``warm_start``, go on from what was learned before.

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
            is of another fit; the estimator is left as it was.
        RuntimeError
            If another rank of the process group fails; the estimator is left as it was.
        KeyboardInterrupt
            After Ctrl-C; the estimator keeps what it has learned.

        Warns
        -----
        ConvergenceWarning
            If all latent dimensions have collapsed.
        """
        with restore_on_error(self), together() as ranks:
            again = check_flag(self.warm_start, "warm_start") and self.__sklearn_is_fitted__()
            settings = self._settings()
            path = checked_path(self.checkpoint) if ranks.first else None
            checkpoint = Checkpoint.at(path)
            course = self._learn(X, again, settings, ranks, checkpoint)
            if self.explained_kl_.max() < COLLAPSED and not course.interrupted:
                warnings.warn(
                    "All latent dimensions have collapsed: the latent means say nothing of X "
                    f"(explained_kl_ is below {COLLAPSED} nats in each). Try a smaller `beta` or "
                    "`learning_rate_init`, some `kl_warmup` or `free_bits`, or more `max_iter`.",
                    ConvergenceWarning,
                    stacklevel=2,
                )
            if not course.interrupted:
                checkpoint.remove()
        if course.interrupted:
            raise KeyboardInterrupt(
                f"Training was interrupted after {course.n_epochs} of {self.max_iter} epochs. The "
                "estimator keeps what it learned until then; with warm_start=True, fit goes on."
            )
        return self

    def partial_fit(self, X: npt.ArrayLike, y: Any = None) -> Self:
        """Make one more pass, over X, at the constant rate ``learning_rate_init``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data. What standardises it follows from the first call, and is then kept.
        y : None, default=None
            Ignored.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError, TypeError
            If X or a parameter is invalid, or if the loss becomes nan; the estimator is left as it
            was.
        KeyboardInterrupt
            After Ctrl-C; the estimator keeps what it has learned.
        """
        with restore_on_error(self), together() as ranks:
            again = self.__sklearn_is_fitted__()
            settings = self._settings(one_pass=True)
            course = self._learn(X, again, settings, ranks, Checkpoint())
        if course.interrupted:
            raise KeyboardInterrupt("The pass was interrupted; what it learned so far is kept.")
        return self

    def _learn(
        self,
        X: npt.ArrayLike,
        again: bool,
        settings: Settings,
        ranks: Ranks,
        checkpoint: Checkpoint,
    ) -> Course:
        """Train a new module, or a copy of the one there is, and take over what came of it."""
        likelihood = resolve_likelihood(self.likelihood)
        table = self._validated(X, likelihood, reset=not again)
        rng = np.random.default_rng(self._seed if again else generator(self.random_state))
        drawn = rng.integers(2**63, size=4).tolist()
        checkpoint.seeds, checkpoint.epoch = ranks.of_first(
            (checkpoint.seeds or drawn, checkpoint.epoch)
        )
        seeds = iter(checkpoint.seeds)
        if not again:
            self._standardize(table, likelihood)
        architecture = self._architecture(likelihood, table.shape[1])
        if not again:
            vae = self._new_module(architecture, table, next(seeds))
        elif architecture == self.module_.architecture:
            vae = self.module_.twin()
        else:
            raise _other_architecture(self.module_.architecture, architecture)
        rows, stopping = self._standardized(table, vae.free.dtype), None
        if settings.stops_early:
            if not again or "_split_seed" not in vars(self):
                self._split_seed = next(seeds)
            held_out, kept = (
                rows.only(part).held(settings.device) for part in self._split(len(rows))
            )
            stopping = EarlyStopping(held_out, settings.tol, settings.n_iter_no_change)
        else:
            kept = rows.held(settings.device)
        if checkpoint.path or not ranks.alone:
            identity = self._identity(table, vae)
            ranks.must_agree(identity)
            checkpoint.must_be_of(identity)
        course = train(
            vae,
            kept,
            replace(settings, log_volume=self._log_volume),
            torch.Generator().manual_seed(next(seeds)),
            stopping,
            vars(self).get("_optimizer_state") if again and not settings.one_cycle else None,
            ranks,
            checkpoint,
        )
        self._take_over(vae, course, again)
        self.explained_kl_ = self._mean_kl(kept)
        self._seed = next(seeds)
        return course

    def _identity(self, X: FloatArray, vae: VAE) -> dict[str, str]:
        """What the outcome of a fit depends on, as text."""
        parameters = self.get_params(deep=False)
        counted = {name: parameters[name] for name in parameters if name not in NO_MATTER}
        return {**identified(counted), "X": fingerprint(X), "networks": digest(vae)}

    def _standardize(self, X: FloatArray, likelihood: Likelihood) -> None:
        self.location_, self.scale_ = np.zeros(X.shape[1]), np.ones(X.shape[1])
        if likelihood.standardized:
            scaler = StandardScaler()
            for block in row_blocks(*X.shape):
                scaler.partial_fit(X[block])
            self.location_ = np.asarray(scaler.mean_, dtype=np.float64)
            self.scale_ = np.asarray(scaler.scale_, dtype=np.float64)

    def _architecture(self, likelihood: Likelihood, n_features: int) -> tuple[Any, ...]:
        n_components = check_number(
            self.n_components, "n_components", low=1, high=MOST_COMPONENTS, integer=True,
            remedy="Give the number of latent dimensions.",
        )  # fmt: skip
        builders = resolve_builders(check_parameters(self, PARAMETERS), n_features)
        return (*builders, likelihood, n_features, n_components)

    def _new_module(self, architecture: tuple[Any, ...], X: FloatArray, seed: int) -> VAE:
        with seed_torch(seed):
            vae = VAE(*architecture)
        mean = (X.mean(axis=0, dtype=np.float64) - self.location_) / self.scale_
        start_at(vae, torch.from_numpy(vae.likelihood.starting_outputs(mean)))
        return vae

    def _split(self, n_rows: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
        """Indices of rows held out, and of those kept: the same for fits that go on."""
        fraction = check_number(
            self.validation_fraction, "validation_fraction", low=0, high=0.99, open_low=True,
            remedy="0.1 suits most data.",
        )  # fmt: skip
        n_held_out = max(1, round(fraction * n_rows))
        if n_held_out >= n_rows:
            raise ValueError(
                f"`X` must have at least 2 rows for early stopping; got n_samples={n_rows}. Give "
                "more rows, or early_stopping=False."
            )
        order = np.random.default_rng(self._split_seed).permutation(n_rows)
        held_out, kept = np.split(order, [n_held_out])
        return held_out, kept

    def _take_over(self, vae: VAE, course: Course, again: bool) -> None:
        before = self.history_ if again else {}
        n_before = self.n_iter_ if again else 0
        self.history_ = {
            name: before.get(name, [None] * n_before)
            + course.history.get(name, [None] * course.n_epochs)
            for name in {**before, **course.history}
        }
        self.module_ = vae
        self.n_iter_ = n_before + course.n_epochs
        self._optimizer_state = course.optimizer_state

    def _mean_kl(self, X: Tensor | Rows) -> FloatArray:
        def kl_of(rows: Tensor) -> Tensor:
            return self.module_.kl(taken(X, rows).to(self.module_.device))

        kl = in_blocks(kl_of, torch.linspace(0, len(X) - 1, min(len(X), KL_ROWS)).long())
        mean: FloatArray = kl.mean(axis=0, dtype=np.float64)
        return mean

    @property
    def loss_curve_(self) -> list[float]:
        """Minus the objective of each epoch, in nats per row and in the data's own units."""
        check_is_fitted(self)
        return self.history_["train_loss"]

    # -- checking --------------------------------------------------------------------------------

    def _settings(self, *, one_pass: bool = False) -> Settings:
        """How to train, by the parameters, all of them checked."""
        check_seed(self.random_state)
        schedule = check_choice(self.learning_rate, "learning_rate", ("one-cycle", "constant"))
        stops_early = check_flag(self.early_stopping, "early_stopping")
        patience = self._number("n_iter_no_change", low=1, integer=True, remedy="10 is usual.")
        tol = self._number("tol", low=0, remedy="It is in nats per row.")
        n_epochs = self._number("max_iter", low=1, integer=True, remedy="Give a number of epochs.")
        return Settings(
            self._objective(),
            max_iter=1 if one_pass else n_epochs,
            batch_size=self._number(
                "batch_size", low=1, integer=True, remedy="Give a number of rows."
            ),
            learning_rate=self._number(
                "learning_rate_init", low=0, open_low=True, remedy="0.001 to 0.01 suits most data."
            ),
            one_cycle=schedule == "one-cycle" and not one_pass,
            n_epochs_before=vars(self).get("n_iter_", 0) if one_pass else 0,
            stops_early=stops_early and not one_pass,
            n_iter_no_change=patience,
            tol=tol,
            callbacks=checked_callbacks(self.callbacks),
            verbose=int(self.verbose)
            if isinstance(self.verbose, bool | np.bool_)
            else self._number("verbose", low=0, integer=True, remedy="1 shows progress."),
            device=checked_device(self.device),
        )

    def _objective(self) -> Objective:
        remedy = "Give a number of draws per row."
        n_importance_samples = self._number(
            "n_importance_samples", low=1, integer=True, remedy=remedy
        )
        free_bits = self._number("free_bits", low=0, remedy="0.1 to 1 nat is usual.")
        if free_bits > 0 and n_importance_samples > 1:
            raise ValueError(
                "`free_bits` must be 0 with n_importance_samples > 1, whose bound has no KL term; "
                f"got free_bits={free_bits}. Set one of them back."
            )
        beta = self._number("beta", low=0, remedy="1 is the ELBO.")
        kl_warmup = self._number(
            "kl_warmup", low=0, integer=True, remedy="Give a number of epochs; 0 is none."
        )
        return Objective(beta, kl_warmup, free_bits, n_importance_samples)

    def _number(self, name: str, **conditions: Any) -> Any:
        return check_number(getattr(self, name), name, **{"high": MOST, **conditions})

    def _validated(self, X: Any, likelihood: Likelihood, *, reset: bool) -> FloatArray:
        check_numeric(X, "X")
        with np.errstate(all="ignore"):  # wider floats may become inf
            table: FloatArray = validate_data(self, X, reset=reset, dtype=[np.float64, np.float32])
        check_size(table, "X")
        return likelihood.prepared(table)

    def _standardized(self, X: FloatArray, dtype: torch.dtype) -> Rows:
        """What the networks see of X."""
        rows = Rows(X, self.location_, self.scale_, dtype)
        if not (farthest := rows.farthest) <= FARTHEST[dtype]:
            raise ValueError(
                f"`X` must lie within {FARTHEST[dtype]:g} standard deviations of the data that the "
                f"model was fitted to; got {farthest:g}. Leave out such rows."
            )
        return rows

    # -- reading ---------------------------------------------------------------------------------

    def transform(
        self, X: npt.ArrayLike, return_std: bool = False
    ) -> FloatArray | tuple[FloatArray, FloatArray]:
        """Latent means: those of q(z | x).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        return_std : bool, default=False
            Whether to return standard deviations too.

        Returns
        -------
        Z : ndarray of shape (n_samples, n_components)
            Latent means.
        Z_std : ndarray of shape (n_samples, n_components)
            Standard deviations of q(z | x), with ``return_std=True``.

        Raises
        ------
        ValueError, TypeError
            If X is invalid.
        """
        return_std = check_flag(return_std, "return_std")
        mean, log_variance = self._moments(X)
        return (mean, np.exp(0.5 * log_variance)) if return_std else mean

    def inverse_transform(self, Z: npt.ArrayLike) -> FloatArray:
        """Decoder means: those of p(x | z), in the units of the data.

        Parameters
        ----------
        Z : array-like of shape (n_samples, n_components)
            Latent codes.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            Decoder means.

        Raises
        ------
        ValueError, TypeError
            If Z is invalid.
        """
        check_is_fitted(self)
        check_numeric(Z, "Z")
        with np.errstate(all="ignore"):
            codes = check_array(Z, dtype=[np.float64, np.float32], input_name="Z", estimator=self)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"`Z` must have one column for each of the {self._n_features_out} latent "
                f"dimensions; got Z of shape {codes.shape}. Give what transform returns."
            )
        if not np.abs(codes).max() <= FARTHEST[torch.float32]:
            raise ValueError(
                f"`Z` must hold values of at most {FARTHEST[torch.float32]:g} in magnitude; got "
                f"{np.abs(codes).max():g}. Most latent codes lie within 4 of zero."
            )
        module = self._module(codes.dtype)
        z = as_tensor(codes).to(module.device)
        return self._in_units(in_blocks(lambda rows: module.decode(rows).mean, z))

    def reconstruct(self, X: npt.ArrayLike) -> FloatArray:
        """What comes back of X from its latent means.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X_reconstructed : ndarray of shape (n_samples, n_features)
            Decoder means, ``inverse_transform(transform(X))``.

        Raises
        ------
        ValueError, TypeError
            If X is invalid.
        """
        return self.inverse_transform(self._moments(X)[0])

    def sample(
        self,
        n_samples: int = 1,
        *,
        observation_noise: bool = True,
        random_state: RandomState = None,
    ) -> FloatArray:
        """Draw new data: z from the prior, then x given z.

        Parameters
        ----------
        n_samples : int, default=1
            Number of rows to draw.
        observation_noise : bool, default=True
            Whether to draw what would be observed, or to return the decoder's means.
        random_state : int, Generator, RandomState or None, default=None
            Seed; None draws afresh at each call.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            New rows, in the units of the data.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        check_is_fitted(self)
        n_samples = check_number(
            n_samples, "n_samples", low=1, high=MOST, integer=True, remedy="Give a number of rows."
        )
        noisy = check_flag(observation_noise, "observation_noise")
        rng = generator(random_state)
        noise = torch.Generator().manual_seed(int(rng.integers(2**63)))
        module = self._module(np.dtype(np.float64))

        def drawn(z: Tensor) -> Tensor:
            if not noisy:
                return module.decode(z).mean
            return module.likelihood.draw(module.outputs(z), module.free, noise)

        codes = as_tensor(rng.standard_normal((n_samples, self._n_features_out)))
        return self._in_units(in_blocks(drawn, codes.to(module.device)))

    def score_samples(self, X: npt.ArrayLike, n_importance_samples: int = 100) -> FloatArray:
        """Importance-weighted estimate of log p(x) for each row, in nats.

        Its expectation is a lower bound that rises to log p(x) with the number of draws (Burda,
        Grosse and Salakhutdinov 2016, theorem 1); with one draw it is the ELBO. It is the log
        density in the units of the data. For a Bernoulli likelihood, grey levels are binarised
        first.

        Fewer than ten draws are from q(z | x). Ten and more are from around the posterior, lest a
        row that the encoder misses count for too little: its mean and standard deviations are
        estimated first, at fixed points spread over the prior and at the encoder's mean. A tenth
        of the draws are from a distribution four times as wide; the weights account for it.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Data.
        n_importance_samples : int, default=100
            Number of draws of z for each row. They follow from ``random_state`` and from the row
            itself, not from its place among the others.

        Returns
        -------
        log_likelihood : ndarray of shape (n_samples,)
            Estimates of log p(x), in nats.

        Raises
        ------
        ValueError, TypeError
            If an argument is invalid.
        """
        table, x, module = self._readable(X)
        n_points = check_number(
            n_importance_samples, "n_importance_samples", low=1, high=MOST, integer=True,
            remedy="Give a number of draws per row.",
        )  # fmt: skip
        seed = int(generator(self.random_state).integers(2**63))
        n_components = self._n_features_out
        base = as_tensor(points(n_points, n_components))[:, None]
        n_wide = n_points // 10
        scouts = module.scouts(min(2 * n_points, MOST_SCOUTS))

        def bound(x: Tensor, rows: FloatArray) -> Tensor:
            keys = row_keys(rows, seed)
            shift = as_tensor(uniforms(keys, n_components))
            if module.likelihood.binary:
                chance = as_tensor(uniforms(keys ^ ANOTHER, x.shape[1]))
                x = (chance.to(x.device) < x).to(x.dtype)
            noise = torch.special.ndtri(((base + shift) % 1).clamp(1e-16, 1 - 1e-16)).to(x)
            return module.estimate(x, noise, n_wide, scouts) if n_wide else module.bound(x, noise)

        bounds = in_blocks(bound, x, table, n_rows=max(1, EVALUATED_ROWS // n_points))
        return bounds - bounds.dtype.type(self._log_volume)

    def score(self, X: npt.ArrayLike, y: Any = None) -> float:
        """Mean over rows of `score_samples`: the greater the better.

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

        Raises
        ------
        ValueError, TypeError
            If X is invalid.
        """
        return float(self.score_samples(X).mean())

    def _readable(self, X: Any) -> tuple[FloatArray, Rows, VAE]:
        """X validated, what the networks see of it, and the networks in its precision."""
        check_is_fitted(self)
        table = self._validated(X, self.module_.likelihood, reset=False)
        module = self._module(table.dtype)
        rows = replace(self._standardized(table, module.free.dtype), device=module.device)
        return table, rows, module

    def _module(self, dtype: np.dtype[Any]) -> VAE:
        """The networks in the precision of the data: rows then count alike in any company."""
        if dtype == np.float32:
            return self.module_
        return self.module_.twin().double()

    def _moments(self, X: Any) -> tuple[FloatArray, FloatArray]:
        """Latent means and log variances."""
        _, x, module = self._readable(X)
        mean, log_variance = np.split(
            in_blocks(lambda rows: torch.cat(module.moments(rows), -1), x), 2, axis=1
        )
        return mean, log_variance

    def _in_units(self, X: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            values: FloatArray = (X * self.scale_ + self.location_).astype(X.dtype, copy=False)
        if not np.isfinite(values).all():
            raise ValueError(
                f"`X` must be within {X.dtype}; got decoder means beyond it. Give float64, or "
                "rescale the data."
            )
        return values

    @property
    def _log_volume(self) -> float:
        """log |dx / dx'| for standardised x', in nats."""
        return float(np.log(self.scale_).sum())

    # -- for scikit-learn ------------------------------------------------------------------------

    @property
    def _n_features_out(self) -> int:
        return self.module_.n_components

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in vars(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        with suppress(ValueError, TypeError):  # of an invalid likelihood, fit will speak
            tags.input_tags.positive_only = resolve_likelihood(self.likelihood).positive_only
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def __getstate__(self) -> dict[str, Any]:
        """With the networks as arrays and how to build them; without the optimiser's state.

        So skops meets classes of ours only. After unpickling, partial_fit starts Adam anew.
        """
        state: dict[str, Any] = super().__getstate__()
        state = {name: value for name, value in state.items() if name != "_optimizer_state"}
        if "module_" in state:
            _, state["module_"] = self.module_.__reduce__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "module_" in state:
            state = {**state, "module_": restored(*state["module_"])}
        super().__setstate__(state)


def _other_architecture(before: tuple[Any, ...], now: tuple[Any, ...]) -> ValueError:
    names = ("encoder", "decoder", "likelihood", "n_features", "n_components")
    name, old, new = next(
        (name, old, new) for name, old, new in zip(names, before, now, strict=True) if old != new
    )
    return ValueError(
        f"`{name}` must be as in the last fit to go on learning; got {name}={short_repr(new)} "
        f"after {short_repr(old)}. Call fit with warm_start=False to start anew."
    )


def in_blocks(
    function: Callable[..., Tensor], *tables: Any, n_rows: int = EVALUATED_ROWS
) -> FloatArray:
    """``function`` of blocks of rows of the tables, put together again."""
    blocks = [slice(start, start + n_rows) for start in range(0, len(tables[0]), n_rows)]
    # One array: small tensors, if kept, would pin what is freed between them in the heap.
    together: FloatArray | None = None
    with torch.no_grad():
        for block in blocks:
            found = function(*(table[block] for table in tables)).cpu().numpy()
            if together is None:
                together = np.empty((len(tables[0]), *found.shape[1:]), found.dtype)
            together[block] = found
    assert together is not None  # tables have rows
    return together
