"""Fitting of autoencoders: everything that `fit` and `partial_fit` of the estimators share."""

import warnings
from abc import abstractmethod
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, ClassVar, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils._set_output import ADAPTERS_MANAGER, _get_output_config
from sklearn.utils.validation import check_array, check_is_fitted
from torch import Tensor

from .. import _schema as schema
from .._parameters import Choice, Custom, Flag, Integer, Number, Parameters, Seed, check_parameters
from .._schema import MOST, Sizes, Values
from .._validation import (
    FloatArray,
    check_numeric,
    copy_generator,
    extremes,
    generator,
    restore_on_error,
    rewind,
    short_repr,
)
from ..likelihoods import LIKELIHOOD, Likelihood, StandardizedLikelihood, resolve_likelihood
from ..likelihoods._base import STANDARDIZED, Columns
from ..networks import seed_torch
from ..priors import PRIOR
from . import training
from .batches import Batch, TableView, column_means, fingerprint, map_blocks
from .building import memory_errors, set_initial_outputs
from .checkpoint import Checkpoint, check_path, describe, digest
from .distributed import ProcessGroup, process_group
from .linear_start import can_start_linear, start_at_factors
from .model import VAE, Architecture, restore
from .training import EarlyStopping, TrainingResult, TrainingSettings, VariationalObjective

MAX_KL_ROWS = 2048  # rows for `explained_kl_`: more would take 5 % of two epochs
COLLAPSE_THRESHOLD = 0.01  # nats below which a latent dimension has collapsed
FAR_OUT, STRETCH = 30.0, 50.0
"""Limits beyond which `fit` warns of outliers: distance of a value from the mean, in standard
deviations, and standard deviation, in units of the interquartile range."""
MOST_KL = 1e20  # nats of a latent dimension; its codes are then 1e10 times those of the prior
MAX_MAGNITUDE = {torch.float32: 1e15, torch.float64: 1e100}  # of an input of networks
NOT_IN_IDENTITY = {"checkpoint", "callbacks", "verbose", "device"}
"""Parameters that do not change the result of a fit, or whose effect cannot be compared."""

FIT_PARAMETERS: Parameters = {
    "likelihood": LIKELIHOOD,
    "prior": PRIOR,
    "beta": Number(0.0, MOST, remedy="1 is the ELBO."),
    "kl_warmup": Integer(0, MOST, remedy="Give a number of epochs; 0 is none."),
    "free_bits": Number(0.0, MOST, remedy="0.1 to 1 nat is usual."),
    "n_importance_samples": Integer(1, MOST, remedy="Give a number of draws per row."),
    "learning_rate": Choice("one-cycle", "constant"),
    "learning_rate_init": Number(0.0, MOST, open_low=True, remedy="0.001 to 0.01 suits most data."),
    "batch_size": Integer(1, MOST, remedy="Give a number of rows."),
    "max_iter": Integer(1, MOST, remedy="Give a number of epochs."),
    "early_stopping": Flag(),
    "validation_fraction": Number(0.0, 0.99, open_low=True, remedy="0.1 suits most data."),
    "n_iter_no_change": Integer(1, MOST, remedy="10 is usual."),
    "tol": Number(0.0, MOST, remedy="It is in nats per row."),
    "warm_start": Flag(),
    "callbacks": Custom(training.check_callbacks, lambda value: value is None or value in ([], ())),
    # Only the rank that writes the checkpoint checks its path; a file may not choose one.
    "checkpoint": Custom(lambda value, _: value, lambda value: value is None),
    "verbose": Flag() | Integer(0, MOST, remedy="1 shows progress."),
    "device": Custom(training.check_device, lambda value: isinstance(value, str)),
    "random_state": Seed(),
}
"""Parameters that all autoencoders have."""


def _is_history(value: Any, sizes: Sizes) -> bool:
    epochs = schema.each(schema.NONE | schema.FLAG | schema.number(-np.inf, np.inf) | schema.text())
    return isinstance(value, dict) and all(epochs.holds(column, sizes) for column in value.values())


def _are_moments(value: Any, _: Sizes) -> bool:
    return value is None or (
        isinstance(value, dict)
        and value.keys() == {"step", "exp_avg", "exp_avg_sq"}
        and all(map(schema.is_float32, value.values()))
        and value["step"].shape == ()
        and value["exp_avg"].shape == value["exp_avg_sq"].shape
        and bool(np.all(value["exp_avg_sq"] >= 0))
        and bool(value["step"] >= 1)
    )


def _are_norm_sums(value: Any, _: Sizes) -> bool:
    return (
        type(value) is np.ndarray
        and (value.dtype, value.shape) == (np.float64, (2,))
        and bool(np.all((value >= 0) & (value < np.inf)))
    )


FIT_STATE = {
    "module_": schema.made_of(VAE),
    "explained_kl_": schema.array("n_components", -MOST),
    "history_": schema.Check(_is_history),
    "n_iter_": schema.integer(),
    "_seed": schema.integer(0, schema.SEEDS),
}
FIT_OPTIONS = {
    "_split_seed": schema.integer(0, schema.SEEDS),
    "adam": schema.each(schema.Check(_are_moments)),
    training.NORMS: schema.Check(_are_norm_sums),
    **STANDARDIZED,  # in files of 0.1.0 they belong to the estimator
}


class BaseAutoencoder(BaseEstimator):
    """Base class of autoencoders.

    A subclass has the parameters `FIT_PARAMETERS`, and defines `_validate_batch` and
    `_architecture`. A conditional model also extends `_views` by its context.
    """

    _data_names: ClassVar[Batch] = Batch("X", "context", "mask")  # in errors and checkpoints
    module_: VAE
    explained_kl_: FloatArray
    history_: dict[str, list[Any]]
    n_iter_: int
    n_features_in_: int
    feature_names_in_: npt.NDArray[np.object_]

    @abstractmethod
    def _validate_batch(self, data: tuple[Any, ...], likelihood: Likelihood, reset: bool) -> Batch:
        """Check the data of `fit`, and return arrays of x, context and mask."""

    @abstractmethod
    def _architecture(self, p: Any, likelihood: Likelihood, batch: Batch) -> Architecture:
        """Return the architecture of the networks for checked parameters and data."""

    def _fit(self, *data: Any) -> Self:
        """Train for ``max_iter`` epochs."""
        random_before = copy_generator(self.random_state)
        with restore_on_error(self), memory_errors(type(self).__name__), process_group() as ranks:
            p = self._check_parameters()
            p.warm = p.warm_start and self.__sklearn_is_fitted__()
            checkpoint = Checkpoint.read(check_path(p.checkpoint) if ranks.is_first else None)
            result = self._train(data, p, ranks, checkpoint)
            if not result.interrupted:
                self._warn_if_collapsed()
                checkpoint.remove()
        if result.interrupted:
            if checkpoint.path is not None:  # the same call continues from there
                rewind(self.random_state, random_before)
            raise KeyboardInterrupt(
                f"Training was interrupted after {result.n_epochs} of {p.max_iter} epochs. The "
                "estimator keeps what it has learned; with warm_start=True, fit continues."
            )
        return self

    def _partial_fit(self, *data: Any) -> Self:
        """Train for one epoch at a constant learning rate."""
        with restore_on_error(self), memory_errors(type(self).__name__), process_group() as ranks:
            p = self._check_parameters()
            p.max_iter, p.learning_rate, p.early_stopping = 1, "constant", False
            p.streams = True
            p.warm = self.__sklearn_is_fitted__()
            p.n_epochs_before = self.n_iter_ if p.warm else 0
            result = self._train(data, p, ranks, Checkpoint())
        if result.interrupted:
            raise KeyboardInterrupt("The pass was interrupted; what has been learned is kept.")
        return self

    def _check_parameters(self) -> SimpleNamespace:
        p = check_parameters(self)
        if p.free_bits > 0 and p.n_importance_samples > 1:
            raise ValueError(
                "`free_bits` must be 0 with n_importance_samples > 1, whose bound has no KL term; "
                f"got free_bits={p.free_bits}. Set free_bits=0 or n_importance_samples=1."
            )
        p.n_epochs_before, p.streams = 0, False
        return p

    def _train(
        self, data: tuple[Any, ...], p: Any, ranks: ProcessGroup, checkpoint: Checkpoint
    ) -> TrainingResult:
        """Train new networks, or a copy of the present ones if ``p.warm``; store the result."""
        likelihood = self._known_likelihood(p)
        batch = self._validate_batch(data, likelihood, reset=not p.warm)
        self._choose_sizes(p, *batch.x.shape)
        seeds = self._seeds(p, ranks, checkpoint)
        vae = self._build(p, batch, likelihood, seeds)
        rows, stopping = self._split(p, self._views(batch, vae), seeds)
        if checkpoint.path or not ranks.is_single:
            identity = self._identity(batch, vae)
            ranks.check_identity(identity)
            checkpoint.check_identity(identity)
        is_linear = can_start_linear(vae, rows.n_rows)
        if is_linear and not (p.warm or p.streams):
            start_at_factors(vae, rows, getattr(p, "masking", 0.0), checkpoint.seeds[0])
        self._choose_epochs(p, batch.x.shape, is_linear)
        settings = _settings(p, -float(self._log_ratios(vae.likelihood, batch).mean()))
        continues = p.warm and not settings.one_cycle
        adam_state = vars(self).get("_optimizer_state") if continues else None
        rng = torch.Generator().manual_seed(next(seeds))
        result = training.train(vae, rows, settings, rng, stopping, adam_state, ranks, checkpoint)
        self._store(vae, result, p.warm)
        self.explained_kl_ = self._mean_kl(rows)
        self._check_converged(p)
        self._seed = next(seeds)
        return result

    def _choose_sizes(self, p: Any, n_rows: int, n_features: int) -> None:
        """Replace parameters that are None by numbers that suit the data; by default do nothing."""

    def _choose_epochs(self, p: Any, shape: tuple[int, ...], is_linear: bool) -> None:
        """Replace ``max_iter`` if it is None, by the kind of the start; by default do nothing."""

    def _known_likelihood(self, p: Any) -> Likelihood:
        """Return the likelihood, which is the fitted one if the fit continues."""
        likelihood = resolve_likelihood(p.likelihood)
        return self.likelihood_ if p.warm and likelihood == self.likelihood_ else likelihood

    def _seeds(self, p: Any, ranks: ProcessGroup, checkpoint: Checkpoint) -> Iterator[int]:
        """Seeds of weights, split, training and the next fit; if possible, from the checkpoint."""
        rng = np.random.default_rng(self._seed if p.warm else generator(p.random_state))
        seeds = rng.integers(2**63, size=4).tolist()
        start = checkpoint.seeds or seeds, checkpoint.epoch
        checkpoint.seeds, checkpoint.epoch = ranks.broadcast(start)
        return iter(checkpoint.seeds)

    def _build(self, p: Any, batch: Batch, likelihood: Likelihood, seeds: Iterator[int]) -> VAE:
        """Build new networks, or copy the present ones if ``p.warm``."""
        fitted = likelihood if p.warm else likelihood.for_columns(self._columns).fit(batch.x)
        if not p.warm:
            self._warn_if_stretched(fitted, batch.x)
        if p.streams:
            fitted = fitted.without_constants()
        architecture = self._architecture(p, fitted, batch)
        if not p.warm:
            return self._new_module(architecture, batch, next(seeds))
        if architecture != self.module_.architecture:
            raise _architecture_error(self.module_.architecture, architecture)
        return self.module_.twin()

    def _new_module(self, architecture: Architecture, batch: Batch, seed: int) -> VAE:
        """Build networks; the decoder starts at the mean of the data, a VampPrior at its rows."""
        with seed_torch(seed):
            vae = VAE(architecture)
        (mean,) = vae.likelihood.transform(column_means(batch.x)[None])
        set_initial_outputs(vae.decoder, torch.from_numpy(vae.likelihood.initial_outputs(mean)))
        if n_rows := getattr(vae.prior, "n_initial_rows", 0):
            index = np.random.default_rng(seed).integers(len(batch.x), size=n_rows)
            self._initialize_prior(vae, batch.map(lambda part: part[index]), mean)
        return vae

    def _initialize_prior(self, vae: VAE, batch: Batch, mean: FloatArray) -> None:
        """Start the prior at rows of data as the networks see them, ``mean`` in missing cells."""
        rows, prior = vae.likelihood.transform(batch.x), cast(Any, vae.prior)
        filled = rows if batch.mask is None else np.where(batch.mask, mean, rows)
        inputs = vae.likelihood.encoder_inputs(torch.from_numpy(filled))
        context = self._views(batch, vae).context
        prior.initialize(*([inputs] if context is None else [inputs, context[:]]))

    def _views(self, batch: Batch, vae: VAE) -> Batch:
        """Views of a batch of arrays as networks see them; a conditional model adds its context."""
        view = TableView(batch.x, vae.dtype, vae.likelihood.transform)
        mask = None if batch.mask is None else TableView(batch.mask, torch.bool)
        return Batch(check_magnitude(view, self._data_names.x, self._columns), mask=mask)

    def _log_ratios(self, likelihood: Likelihood, batch: Batch) -> FloatArray:
        """Return differences of log densities of data and of what networks see, for each row."""
        return sum_log_ratio(likelihood, batch)

    def _split(
        self, p: Any, views: Batch, seeds: Iterator[int]
    ) -> tuple[Batch, EarlyStopping | None]:
        """Split rows into those for training and those for early stopping, if any."""
        if not p.early_stopping:
            return views.map(TableView.load, p.device), None
        n_rows = views.n_rows
        if n_rows < 2:
            raise ValueError(
                f"`X` must have at least 2 rows for early stopping; got n_samples={n_rows}. Give "
                "more rows, or early_stopping=False."
            )
        n_validation = min(max(1, round(p.validation_fraction * n_rows)), n_rows - 1)
        if not p.warm or "_split_seed" not in vars(self):  # a fit that continues keeps its split
            self._split_seed = next(seeds)
        order = np.random.default_rng(self._split_seed).permutation(n_rows)
        validation, rows = (
            views.map(TableView.subset, indices).map(TableView.load, p.device)
            for indices in np.split(order, [n_validation])
        )
        return rows, EarlyStopping(validation, p.tol, p.n_iter_no_change)

    def _identity(self, batch: Batch, vae: VAE) -> dict[str, str]:
        """Everything that the result of a fit depends on, as text."""
        parameters = self.get_params(deep=False).items()
        tables = zip(self._data_names, batch, strict=True)
        return {
            **describe({name: value for name, value in parameters if name not in NOT_IN_IDENTITY}),
            **{name: fingerprint(table) for name, table in tables if table is not None},
            "networks": digest(vae),
        }

    def _store(self, vae: VAE, result: TrainingResult, warm: bool) -> None:
        """Store networks, history and the optimizer's state."""
        before, n_before = (self.history_, self.n_iter_) if warm else ({}, 0)
        self.history_ = {
            name: before.get(name, [None] * n_before)
            + result.history.get(name, [None] * result.n_epochs)
            for name in {**before, **result.history}
        }
        self.module_ = vae
        self.n_iter_ = n_before + result.n_epochs
        self._optimizer_state = result.optimizer_state

    def _mean_kl(self, data: Batch) -> FloatArray:
        """Mean KL divergence of each latent dimension over evenly spaced rows."""

        def kl(rows: Tensor) -> Tensor:
            x, context, mask, _ = data.select(rows).map(Tensor.to, self.module_.device)
            return self.module_.kl(x, context, mask)

        index = torch.linspace(0, data.n_rows - 1, min(data.n_rows, MAX_KL_ROWS)).long()
        return map_blocks(kl, index).mean(axis=0, dtype=np.float64)

    def _check_converged(self, p: Any) -> None:
        """Raise if codes are far too large, which a finite loss does not exclude."""
        if not self.explained_kl_.max() <= MOST_KL:
            raise ValueError(
                "`learning_rate_init` must be small enough for training to converge; got "
                f"{p.learning_rate_init:g}, after which a latent dimension has a KL divergence of "
                f"{self.explained_kl_.max():g} nats. Divide it by ten, or remove outliers."
            )

    def _warn_if_stretched(self, likelihood: Likelihood, X: FloatArray) -> None:
        """Warn if a few outliers dominate the standard deviation of a feature."""
        if not isinstance(likelihood, StandardizedLikelihood):
            return
        largest = np.abs(likelihood.transform(np.stack(extremes(X, axis=0)))).max(axis=0)
        for column in np.flatnonzero(largest > FAR_OUT):
            low, high = np.nanpercentile(X[:, column], [25, 75])
            if 0 < STRETCH * (high - low) < likelihood.scale_[column]:
                name = self._columns[column][0] if self._columns else column
                warnings.warn(
                    f"`{self._data_names.x}` has values in column {name!r} so far from all others "
                    f"that its standard deviation is {likelihood.scale_[column]:g}, while the "
                    f"middle half of the values spans {high - low:g}: draws will follow them. "
                    "Leave out such rows, or transform the column; with likelihood='numeric', "
                    "VAETransformer is not affected by them.",
                    stacklevel=6,
                )
                return

    def _warn_if_collapsed(self) -> None:
        if self.explained_kl_.max() < COLLAPSE_THRESHOLD:
            warnings.warn(
                "All latent dimensions have collapsed: the latent means say nothing about X "
                f"(explained_kl_ is below {COLLAPSE_THRESHOLD} nats in each). Try a smaller `beta` "
                "or `learning_rate_init`, some `kl_warmup` or `free_bits`, or more `max_iter`.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def _module_of(self, dtype: np.dtype[Any]) -> VAE:
        """Return the networks in the precision of the data."""
        if dtype == np.float32:
            return self.module_
        return self.module_.twin().double()

    @property
    def _columns(self) -> Columns:
        """Columns from which a likelihood may select by name or kind; by default none."""
        return ()

    def _to_data_units(self, X: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            values = self.likelihood_.inverse_transform(X)
        return check_finite(values, X.dtype, self._data_names.x)

    def _check_codes(self, Z: Any) -> FloatArray:
        check_is_fitted(self)
        check_numeric(Z, "Z")
        with np.errstate(all="ignore"):
            codes = check_array(Z, dtype=[np.float64, np.float32], input_name="Z", estimator=self)
        if codes.shape[1] != self._n_features_out:
            raise ValueError(
                f"`Z` must have one column for each of the {self._n_features_out} latent "
                f"dimensions; got Z of shape {codes.shape}. Give what transform returns."
            )
        if not np.abs(codes).max() <= MAX_MAGNITUDE[torch.float32]:
            raise ValueError(
                f"`Z` must hold values of at most {MAX_MAGNITUDE[torch.float32]:g} in magnitude; "
                f"got {np.abs(codes).max():g}. Most latent codes lie within 4 of zero."
            )
        return cast(FloatArray, codes)

    @property
    def _n_features_out(self) -> int:
        return self.module_.n_components

    @property
    def likelihood_(self) -> Likelihood:
        """Fitted likelihood."""
        return self.module_.likelihood

    @property
    def loss_curve_(self) -> list[float]:
        """Minus the objective of each epoch, in nats per row and in the units of the data."""
        check_is_fitted(self)
        return self.history_["train_loss"]

    def _to_record(self) -> Values:
        values = schema.to_record(self)
        if state := values.pop("_optimizer_state", None):
            moments = [state["state"].get(index) for index in state["param_groups"][0]["params"]]
            values["adam"] = [
                m and {name: value.cpu().numpy() for name, value in m.items()} for m in moments
            ]
            if norms := state["state"].get(training.NORMS):
                values[training.NORMS] = np.array(list(map(float, norms["sums"])))
        return values

    @classmethod
    def _from_record(cls, values: Values) -> Self:
        moments, norms = values.pop("adam", None), values.pop(training.NORMS, None)
        transform = {name: values.pop(name) for name in STANDARDIZED if name in values}
        model: Self = schema.from_record(cls, values)
        if transform and isinstance(model.likelihood_, StandardizedLikelihood):
            vars(model.likelihood_).update(transform)
        if moments is not None:
            model._optimizer_state = _optimizer_state(model.module_, moments, norms)
        return model

    @classmethod
    def _is_consistent(cls, values: Values) -> bool:
        if "module_" not in values:
            return True
        architecture, history = values["module_"].architecture, values["history_"]
        likelihood, (n_features, n_context) = architecture.likelihood, cls._n_columns(values)
        location = vars(likelihood).get("location_", values.get("location_", ()))
        return (
            (len(location) == n_features or not isinstance(likelihood, StandardizedLikelihood))
            and ("location_" in values) == ("scale_" in values)
            and "train_loss" in history
            and all(len(epochs) == values["n_iter_"] for epochs in history.values())
            and (architecture.n_features, architecture.n_context) == (n_features, n_context)
            and architecture.n_components == len(values["explained_kl_"])
        )

    @staticmethod
    def _n_columns(values: Values) -> tuple[int, int]:
        """Numbers of features and of columns of the context, according to the values of a file."""
        return values["n_features_in_"], 0

    def __sklearn_is_fitted__(self) -> bool:
        return "module_" in vars(self)

    def __getstate__(self) -> dict[str, Any]:
        """State with networks as arrays and builders, and without the optimizer's state.

        So skops finds classes of skgen only. After unpickling, partial_fit starts Adam anew.
        """
        state = {**super().__getstate__()}
        state.pop("_optimizer_state", None)
        if "module_" in state:
            _, state["module_"] = self.module_.__reduce__()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        if "module_" in state:
            state = {**state, "module_": restore(*state["module_"])}
        super().__setstate__(state)


def check_magnitude(view: TableView, name: str, columns: Columns = ()) -> TableView:
    """Return ``view`` if networks can compute with its values, or raise and name the column."""
    largest, magnitudes = MAX_MAGNITUDE[view.dtype], view.magnitudes
    if not float(magnitudes.max()) <= largest:  # as float: `largest` may overflow in float32
        column = int(magnitudes.argmax())
        place = f" in column {columns[column][0]!r}" if columns else ""
        raise ValueError(
            f"`{name}` must lie within {largest:g} standard deviations of the data that the model "
            f"was fitted to; got {magnitudes[column]:g}{place}. Leave out such rows."
        )
    return view


def in_frame(estimator: Any, table: FloatArray, names: Any, like: Any) -> Any:
    """Return a table in the container that `set_output` chose, with the index of ``like``."""
    kind = _get_output_config("transform", estimator)["dense"]
    if kind == "default":
        return table
    return ADAPTERS_MANAGER.adapters[kind].create_container(table, like, columns=names)


def sum_log_ratio(likelihood: Likelihood, batch: Batch) -> FloatArray:
    """Return the log density of data minus that of transformed data, for each row or all at once.

    It is the sum of `Likelihood.log_jacobian` and `Likelihood.log_masses` over the observed cells.
    """
    log_ratio = likelihood.log_jacobian(batch.x) + likelihood.log_masses(batch.x)
    if batch.mask is not None:
        log_ratio = np.where(batch.mask, 0.0, log_ratio)
    return log_ratio.sum(axis=1)


def check_finite(values: FloatArray, dtype: np.dtype[Any], name: str) -> FloatArray:
    """Return values in the precision ``dtype``, or raise if they exceed its range."""
    with np.errstate(over="ignore"):
        values = values.astype(dtype, copy=False)
    if not np.isfinite(values).all():
        raise ValueError(
            f"`{name}` must be within {dtype}; got means or residuals beyond it. Give float64, or "
            "rescale the data."
        )
    return values


def _settings(p: Any, loss_offset: float) -> TrainingSettings:
    """Settings of the training by checked parameters."""
    return TrainingSettings(
        VariationalObjective(p.beta, p.kl_warmup, p.free_bits, p.n_importance_samples),
        max_iter=p.max_iter, batch_size=p.batch_size, learning_rate=p.learning_rate_init,
        one_cycle=p.learning_rate == "one-cycle", n_epochs_before=p.n_epochs_before,
        masking=getattr(p, "masking", 0.0), loss_offset=loss_offset, callbacks=p.callbacks,
        verbose=int(p.verbose), device=p.device,
    )  # fmt: skip


def _optimizer_state(vae: VAE, moments: list[Any], norms: FloatArray | None) -> dict[str, Any]:
    """State of the optimizer with given moments of each parameter, and given sums of norms."""
    # As in `training`; the learning rate is set when training continues.
    adam = torch.optim.Adam(vae.parameters(), fused=True, maximize=True).state_dict()
    for index, (moment, parameter) in enumerate(zip(moments, vae.parameters(), strict=True)):
        if moment is not None:
            if moment["exp_avg"].shape != parameter.shape:
                raise ValueError("Adam's moments do not fit the networks")
            adam["state"][index] = {name: torch.from_numpy(value) for name, value in moment.items()}
    if norms is not None:
        adam["state"][training.NORMS] = {"sums": tuple(norms.tolist())}
    return adam


def _architecture_error(before: Architecture, now: Architecture) -> ValueError:
    fields = zip(before._fields, before, now, strict=True)
    name, old, new = next((name, old, new) for name, old, new in fields if old != new)
    return ValueError(
        f"`{name}` must be as in the last fit to continue training; got {name}={short_repr(new)} "
        f"after {short_repr(old)}. Set it to what the fitted model has, or call fit with "
        "warm_start=False to start anew."
    )
