"""The base class of likelihoods p(x | z)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import torch
import torch.distributions as td
from torch import Tensor

from .._validation import FloatArray


class Likelihood(ABC):
    """What all likelihoods have: the distribution of x given a decoder's outputs.

    A subclass gives `distribution` and `draw`, and whatever of the rest differs from what is here.

    Attributes
    ----------
    n_heads : int
        Number of decoder outputs for each feature.
    standardized : bool
        Whether data is standardised, feature by feature, before this likelihood sees it.
    binary : bool
        Whether data is binary, so that grey levels are drawn from as probabilities.
    positive_only : bool
        Whether negative values are an error.

    See Also
    --------
    skgen.VAETransformer : Takes a likelihood.

    Examples
    --------
    >>> from skgen.likelihoods import Bernoulli, Likelihood
    >>> isinstance(Bernoulli(), Likelihood)
    True
    """

    standardized: ClassVar[bool] = False
    binary: ClassVar[bool] = False

    @property
    def n_heads(self) -> int:
        """Number of decoder outputs for each feature."""
        return 1

    @property
    def positive_only(self) -> bool:
        """Whether negative values are an error."""
        return False

    def n_free(self, n_features: int) -> int:
        """Number of free parameters, learned beside the networks.

        Parameters
        ----------
        n_features : int
            Number of features.

        Returns
        -------
        n_free : int
            Number of free parameters; they start at 0.
        """
        return 0

    @abstractmethod
    def distribution(self, outputs: Tensor, free: Tensor) -> td.Distribution:
        """The distribution of x, feature by feature.

        Parameters
        ----------
        outputs : Tensor of shape (..., n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        distribution : torch.distributions.Distribution
            Of batch shape (..., n_features).
        """

    def log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        """Log density of each row, in nats: a sum over features.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        outputs : Tensor of shape (..., n_samples, n_heads * n_features)
            A decoder's outputs; or of one row, shape (..., 1, n_heads * n_features), for all.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        log_prob : Tensor of shape (..., n_samples)
            The log density.
        """
        log_prob: Tensor = self.distribution(outputs, free).log_prob(x).sum(-1)
        return log_prob

    def mean_log_prob(self, x: Tensor, outputs: Tensor, free: Tensor) -> Tensor:
        """Mean over rows of `log_prob`: what training differentiates, worth making fast.

        Parameters
        ----------
        x : Tensor of shape (n_samples, n_features)
            Data.
        outputs : Tensor of shape (n_samples, n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.

        Returns
        -------
        mean_log_prob : Tensor of shape ()
            The mean.
        """
        return self.log_prob(x, outputs, free).mean()

    @abstractmethod
    def draw(self, outputs: Tensor, free: Tensor, generator: torch.Generator) -> Tensor:
        """Draw x.

        Parameters
        ----------
        outputs : Tensor of shape (n_samples, n_heads * n_features)
            A decoder's outputs.
        free : Tensor of shape (n_free,)
            Free parameters.
        generator : torch.Generator
            Source of randomness.

        Returns
        -------
        x : Tensor of shape (n_samples, n_features)
            One draw for each row of outputs.
        """

    def starting_outputs(self, mean: FloatArray) -> FloatArray:
        """Find outputs at which the distribution has a given mean: where a decoder starts.

        Parameters
        ----------
        mean : ndarray of shape (n_features,)
            Mean of the data, standardised if it is for this likelihood.

        Returns
        -------
        outputs : ndarray of shape (n_heads * n_features,)
            The outputs.
        """
        return np.concatenate([mean, np.zeros((self.n_heads - 1) * len(mean))])

    def prepared(self, X: FloatArray) -> FloatArray:
        """X as this likelihood takes it.

        Parameters
        ----------
        X : ndarray of shape (n_samples, n_features)
            Data.

        Returns
        -------
        X : ndarray of shape (n_samples, n_features)
            The same, or what it takes in its place.

        Raises
        ------
        ValueError
            If a value lies outside the support.
        """
        return X
