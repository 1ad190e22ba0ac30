"""Interface of priors of the latent codes."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from .._parameters import Parameters, check_fields
from .._validation import FloatArray, error_message

LOG_2_PI = math.log(2 * math.pi)
N_QUANTILE_DRAWS = 10_000

Prior = Callable[..., nn.Module]
"""Builder ``prior(n_components, n_context)`` of a module that maps a context, or None, to p(z)."""


def check_network(network: object, name: str) -> object:
    """Return ``network`` if it is a builder, or raise."""
    if not callable(network) or isinstance(network, nn.Module):
        condition = "be None or a callable(n_inputs, n_outputs) that returns a module"
        remedy = "Pass an object of skgen.networks, a function or a class."
        raise TypeError(error_message(name, condition, network, remedy))
    return network


def bound(values: Tensor, low: float, high: float) -> Tensor:
    """Return values clipped to bounds, with a gradient of 1 everywhere, so that they can return."""
    return values + (values.clamp(low, high) - values).detach()


class PriorBuilder(ABC):
    """Base class of the builders of priors: frozen dataclasses with scikit-learn's parameters."""

    _parameters: ClassVar[Parameters] = {}

    @classmethod
    def _examples(cls) -> tuple[Self, ...]:
        """Instances for the tests of all priors."""
        return (cls(),)

    def __post_init__(self) -> None:
        check_fields(self)

    @abstractmethod
    def __call__(self, *args: Any, **kwargs: Any) -> nn.Module:
        """Build the prior for numbers of latent dimensions and of values of the context."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, for scikit-learn's `clone` and names such as ``prior__name``.

        Parameters
        ----------
        deep : bool, default=True
            Ignored.

        Returns
        -------
        params : dict
            Values by name.
        """
        return dict(vars(self))

    def set_params(self, **params: Any) -> Self:
        """Set parameters in place, as scikit-learn's searches do; fitted models keep theirs.

        Parameters
        ----------
        **params : dict
            Values by name.

        Returns
        -------
        self : object
            The prior.

        Raises
        ------
        ValueError, TypeError
            If a name is unknown or a value is invalid. The prior is then left as it was.
        """
        if unknown := params.keys() - vars(self).keys():
            raise ValueError(
                f"`params` must be parameters of {type(self).__name__}, "
                f"{', '.join(vars(self)) or 'none'}; got {min(unknown)}. Leave it out."
            )
        changed: Any = replace(self, **params)  # type: ignore[type-var]
        vars(self).update(vars(changed))
        return self


class LatentDistribution(ABC):
    """Distribution of latent codes z; all log densities are in nats.

    A subclass must define `log_prob` and `sample`, and `kl` if it has a closed form. The other
    methods have default implementations by these, and may be overridden for speed.

    Attributes
    ----------
    n_components : int
        Number of latent dimensions.
    mean, stddev : Tensor of shape (n_components,) or (n_samples, n_components), or float
        Mean and standard deviation of each dimension, for each row if there is a context. A float
        stands for all dimensions. They may be estimates: importance sampling only starts from them.

    See Also
    --------
    StandardNormal : Builder of a prior whose KL divergence has a closed form.
    Mixture : Builder of one whose KL divergence is estimated by draws.

    Notes
    -----
    Several methods have the same arguments: codes ``z`` of shape (..., n_components); ``mean`` and
    ``log_variance`` of q(z | x), each of shape (n_samples, n_components); and standard normal
    numbers ``noise``, usually of the same shape: one draw per row.

    Examples
    --------
    >>> import torch
    >>> from skgen.priors import LatentDistribution, StandardNormal
    >>> prior = StandardNormal()(n_components=2)()
    >>> isinstance(prior, LatentDistribution), prior.log_prob(torch.zeros(3, 2)).shape
    (True, torch.Size([3]))
    """

    n_components: int
    mean: Tensor | float
    stddev: Tensor | float

    @abstractmethod
    def log_prob(self, z: Tensor) -> Tensor:
        """Return log p(z).

        Parameters
        ----------
        z : Tensor of shape (..., n_components)
            Codes.

        Returns
        -------
        log_prob : Tensor of shape (...)
            Log densities.
        """

    @abstractmethod
    def sample(self, n_samples: int, generator: np.random.Generator) -> Tensor:
        """Draw codes, all randomness from the generator.

        Parameters
        ----------
        n_samples : int
            Number of codes. If there is a context, it must be the number of its rows.
        generator : numpy.random.Generator
            Source of randomness.

        Returns
        -------
        z : Tensor of shape (n_samples, n_components)
            Independent draws; one for each row of the context, if there is one.
        """

    def quantiles(self, p: FloatArray) -> FloatArray:
        """Return quantiles of each dimension, for displays.

        Parameters
        ----------
        p : ndarray of shape (n_quantiles,)
            Probabilities between 0 and 1.

        Returns
        -------
        quantiles : ndarray of shape (n_quantiles, n_components)
            Quantiles, by default those of 10 000 draws.
        """
        draws = self.sample(N_QUANTILE_DRAWS, np.random.default_rng(0))
        return np.quantile(draws.detach().cpu().numpy(), p, axis=0)

    @property
    def n_noise(self) -> int:
        """Number of values of noise per code in `from_noise`."""
        return self.n_components

    def from_noise(self, noise: Tensor) -> Tensor:
        """Map standard normal noise to draws of z, for `VAERegressor.predict` and its like.

        A prior of `VAERegressor` must define it. `VAETransformer` does not need it.

        Parameters
        ----------
        noise : Tensor of shape (..., n_samples, n_noise)
            Standard normal numbers, or normal quantiles of quasi-random points.

        Returns
        -------
        z : Tensor of shape (..., n_samples, n_components)
            Codes. For a prior without a context, the axis of the rows may have length 1.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define `from_noise`, which VAERegressor needs"
        )

    def unnormalized_log_prob(self, z: Tensor) -> Tensor:
        """Return `log_prob` without the constant -1/2 log(2 pi) per dimension.

        Parameters
        ----------
        z : Tensor of shape (..., n_components)
            Codes.

        Returns
        -------
        log_prob : Tensor of shape (...)
            Log densities plus n_components / 2 * log(2 pi).
        """
        return self.log_prob(z) + 0.5 * self.n_components * LOG_2_PI

    def kl(self, mean: Tensor, log_variance: Tensor) -> Tensor | None:
        """Return KL(N(mean, diag(exp(log_variance))) || p(z)) in closed form.

        Parameters
        ----------
        mean, log_variance : Tensor of shape (n_samples, n_components)
            Moments of q(z | x).

        Returns
        -------
        kl : Tensor of shape (n_samples, n_components) or None
            Terms that add up to the divergence of each row. None, the default, means that there is
            no closed form, and `kl_of_draws` is used.
        """
        return None

    def kl_of_draws(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Estimate the KL divergence by draws.

        Parameters
        ----------
        mean, log_variance : Tensor of shape (n_samples, n_components)
            Moments of q(z | x).
        noise : Tensor of shape (..., n_samples, n_components)
            Standard normal numbers.

        Returns
        -------
        kl : Tensor of shape (..., n_samples, n_components)
            Terms that add up to log q(z | x) - log p(z), by default equal shares.
        """
        total = self._log_ratio(mean, log_variance, noise)[..., None]
        return (total / self.n_components).expand_as(noise)

    def mean_kl(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Return the mean over rows of `kl`, or of `kl_of_draws` where `kl` is None.

        Parameters
        ----------
        mean, log_variance, noise : Tensor of shape (n_samples, n_components)
            Moments of q(z | x), and standard normal numbers.

        Returns
        -------
        mean_kl : Tensor of shape (n_components,)
            Mean of each term.
        """
        kl = self.kl(mean, log_variance)
        return (self.kl_of_draws(mean, log_variance, noise) if kl is None else kl).mean(0)

    def subtract_kl(
        self, value: Tensor, weight: float, mean: Tensor, log_variance: Tensor, noise: Tensor
    ) -> Tensor:
        """Return a value minus the weighted mean KL divergence, which is the objective in training.

        Parameters
        ----------
        value : Tensor of shape ()
            The data term of the ELBO.
        weight : float
            Weight of the divergence.
        mean, log_variance, noise : Tensor of shape (n_samples, n_components)
            Moments of q(z | x), and standard normal numbers.

        Returns
        -------
        objective : Tensor of shape ()
            The objective of a batch.
        """
        kl = self.kl(mean, log_variance)
        total = self._log_ratio(mean, log_variance, noise) if kl is None else kl.sum(-1)
        return value - weight * total.mean()

    def _log_ratio(self, mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
        """Return log q(z | x) - log p(z) of one draw per row."""
        z = torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        log_q = -0.5 * (noise.square() + log_variance).sum(-1)
        return log_q - self.unnormalized_log_prob(z)
