"""Precisions from the evidence (type II maximum likelihood).

One precision for all weights maximizes the evidence in closed form, up to one unknown. One
precision per weight (automatic relevance determination, C. M. Bishop, Pattern Recognition and
Machine Learning, Springer 2006, section 7.2) is found by ``search``. The best precisions give the
posterior mean. The posterior covariance is averaged over the posterior of their ratio and of the
noise.

If parameters of the basis were learned, the posterior is also averaged over two models, all basis
functions and the linear ones alone. The evidence of the first is that of the best of many models,
and favours it where rows are few.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.special import softmax

from .._schema import (
    FLAG,
    MOST,
    NONE,
    Values,
    array,
    exactly,
    integer,
    made_of,
    number,
    store,
)
from .._threads import one_blas_thread
from .._validation import LARGEST, FloatArray
from .conjugate import (
    SMALLEST_REMAINDER,
    Gamma,
    Posterior,
    Statistic,
    condition,
    with_positive_diagonal,
)
from .predictive import variance_ratio
from .relevance import EnergyTerm, Relevances, search
from .spectrum import (
    DataTerm,
    NoiseTerm,
    ProjectedData,
    RatioChoice,
    Spectrum,
    mixture,
    unit_prior_term,
)

LOG_ODDS = float(np.log(3))
"""Prior log odds of one precision per weight, which the user chose, against a common one."""
NEGLIGIBLE_SHARE = 1e-10  # probability below which a model has no influence
IRRELEVANT = 1e12  # precision of a weight that is out, over the squared norm of its column


@store(
    "Learnt",
    parameters={
        "n_params": number(0.0),
        "df": array("n_outputs", 2.0, np.inf),
        "std_ratio": array("n_outputs", 1 / LARGEST),
    },
)
@dataclass(frozen=True, eq=False)
class LooCalibration:
    """Calibration of predictive distributions for a learned basis, by leave-one-out residuals."""

    n_params: float
    """Effective number of basis parameters, beyond the weights."""
    df: FloatArray  # (n_outputs,), largest degrees of freedom
    std_ratio: FloatArray  # (n_outputs,), factors of the standard deviations

    @classmethod
    def neutral(cls, n_params: float, n_outputs: int) -> LooCalibration:
        """Calibration that changes neither scale nor degrees of freedom."""
        return cls(n_params, np.full(n_outputs, np.inf), np.ones(n_outputs))

    def output(self, index: int) -> LooCalibration:
        """Calibration of one output alone."""
        one = slice(index, index + 1)
        return replace(self, df=self.df[one], std_ratio=self.std_ratio[one])

    def spread(self, index: npt.NDArray[np.intp], n_outputs: int) -> LooCalibration:
        """Calibration of ``n_outputs`` outputs, of which those at ``index`` have this one."""
        whole = self.neutral(self.n_params, n_outputs)
        whole.df[index], whole.std_ratio[index] = self.df, self.std_ratio
        return whole


@store(
    parameters={
        "columns": array("n_inside", 0, MOST, kinds="i"),
        "precision": array("n_inside", 1 / LARGEST),
        "n_params": integer(0),
    }
)
@dataclass(frozen=True, eq=False)
class SimplerModel:
    """A model of some of the weights, over which the posterior is averaged, too."""

    columns: npt.NDArray[np.intp]  # (n_inside,), of the design matrix, in order
    precision: FloatArray  # (n_inside,), relative prior precisions
    n_params: int  # number of basis parameters that were learned for the model of all weights

    def log_odds(self, gain: float) -> float:
        """Log odds of the model of all weights, given its gain in log evidence over this one.

        They are even where the gain is one nat for each basis parameter, and rise by one for each
        further nat per parameter: the evidence of learned parameters is that of the best ones.
        """
        return gain / (1 + self.n_params) - 1


@store(
    "Prior",
    parameters={
        "precision": exactly("evidence", "ard") | array("n_columns", 0.0),
        "mean": array("n_columns"),
        "noise": exactly("evidence") | number(1 / LARGEST) | made_of(Gamma),
        "flat_first": FLAG,
        "least_noise": number(0.0),
        "simpler": NONE | made_of(SimplerModel),
    },
    options={"expected_ratio": number(0.0)},
)
@dataclass(frozen=True, eq=False)
class LinearModelSpec:
    """Prior of weights and noise, or the rules by which the evidence chooses their precisions.

    ``precision`` is "evidence" (one for all weights), "ard" (one per weight) or known values, one
    per column of the design matrix. Known values are absolute; if ``noise`` is a Gamma prior, they
    are relative to the noise precision. With ``flat_first``, the first column, the intercept, keeps
    a flat prior while the precision of the others is learned. ``least_noise`` is the smallest noise
    variance that the evidence may choose. ``expected_ratio`` is the ratio of prior to noise
    precision that the evidence chose for some of the rows; 0 if it is unknown. ``simpler`` is a
    second model for the average, if parameters of the basis were learned.
    """

    precision: FloatArray | Literal["evidence", "ard"]
    mean: FloatArray  # (n_columns,)
    noise: float | Gamma | Literal["evidence"]
    flat_first: bool = False
    least_noise: float = 0.0
    expected_ratio: float = 0.0
    simpler: SimplerModel | None = None

    @staticmethod
    def _is_consistent(values: Values) -> bool:
        simpler = values.get("simpler")
        if simpler is None:
            return True
        inside = simpler.columns >= values["flat_first"]
        ends = np.append(simpler.columns, len(values["mean"]))
        return bool(inside.all() and np.all(np.diff(ends) > 0))

    @property
    def n_flat(self) -> int:
        """Number of weights of an output with a flat prior."""
        if isinstance(self.precision, str):
            return int(self.flat_first)
        return int(np.count_nonzero(self.precision == 0))

    def keep_learned(self, other: LinearModelSpec) -> LinearModelSpec:
        """This prior, with what was learned together with the basis for ``other``."""
        learned = ("least_noise", "expected_ratio", "simpler")
        return replace(self, **{name: getattr(other, name) for name in learned})

    def best(self, statistic: Statistic) -> list[Posterior]:
        """Posteriors at the best precisions: one per output, or one for all if all are given."""
        return [posterior for posterior, _ in self._fits(statistic)]

    def posteriors(
        self, statistic: Statistic, calibration: LooCalibration | None = None
    ) -> list[Posterior]:
        """Posteriors of `best`, widened by the uncertainty of the precisions."""
        if calibration is None:
            calibration = LooCalibration.neutral(0.0, statistic.targets.shape[1])
        fits = self._fits(statistic)
        with one_blas_thread():
            return [
                average.posterior(best, calibration.output(index)) if average else best
                for index, (best, average) in enumerate(fits)
            ]

    def _fits(self, statistic: Statistic) -> list[tuple[Posterior, _Average | None]]:
        """Posteriors at the best precisions, each with its average over precisions, or None."""
        if self.flat_first or (not isinstance(self.precision, str) and self.precision[0] == 0):
            statistic = statistic.without_rounding()
        if not isinstance(self.precision, str) and self.noise != "evidence":
            return [(self._given(statistic, self.precision, self.noise), None)]
        fit = self._fit_noise if not isinstance(self.precision, str) else self._fit_precision
        with one_blas_thread():  # decompositions of this size take longer on several
            return [fit(statistic.output(index)) for index in range(statistic.targets.shape[1])]

    def _given(self, statistic: Statistic, precision: FloatArray, noise: Any) -> Posterior:
        if isinstance(noise, Gamma):
            return condition(statistic, precision, self.mean, noise)
        noise_precisions = np.full(statistic.targets.shape[1], noise)
        return condition(statistic, precision / noise, self.mean, noise_precisions)

    def _fit_precision(self, statistic: Statistic) -> tuple[Posterior, _Average | None]:
        weighting = (np.arange(len(self.mean)) >= self.flat_first).astype(np.float64)
        data = ProjectedData.of(statistic, weighting, self.mean)
        spectrum = data.spectrum()
        choice = self.choose_ratio(spectrum, data.weight)
        common = _Common(spectrum, choice, data.weight)
        models: list[_Common | _Sparse] = [common]
        if self.precision == "ard" and data.weight > 0:
            noise_term = EnergyTerm.of(self.noise, data.weight)
            sparse_model = data.sparse_model(noise_term, common.precision, common.energy)
            sparse = _Sparse(data, search(sparse_model, data.weight), choice.terms)
            models.insert(0 if sparse.is_better_than(common) else 1, sparse)
        precision = weighting.copy()
        precision[weighting > 0] = models[0].precision
        noise: Any = None if self.noise == "evidence" else self.noise
        if noise is None and models[0] is common and common.energy < self.least_noise * data.weight:
            noise = 1 / self.least_noise
        noise = np.array([noise]) if isinstance(noise, float) else noise
        posterior = condition(statistic, precision, self.mean, noise)
        irrelevant = np.flatnonzero(weighting)[models[0].irrelevant]
        _set_weights(posterior.mean, irrelevant, self.mean[irrelevant], statistic, self.flat_first)
        if data.weight <= 0 or not np.all(precision[weighting > 0] > 1 / LARGEST):
            return posterior, None  # nothing to average over
        parts = self._simpler_models(data, common)
        return posterior, _Average(statistic, weighting, [*models, *parts], data.weight)

    def _simpler_models(self, data: ProjectedData, common: _Common) -> list[_Part]:
        """The simpler model, if there is one and all precisions are learned, in a list.

        It has no least noise, because it has too few weights to fit the noise itself.
        """
        if self.simpler is None or not self.precision == self.noise == "evidence":
            return []
        inside, precision = self.simpler.columns - self.flat_first, self.simpler.precision
        spectrum = data.select(inside, precision).spectrum()
        choice = replace(self, least_noise=0.0).choose_ratio(spectrum, data.weight)
        part = _Common(spectrum, choice, data.weight)
        log_odds = self.simpler.log_odds(common.log_posterior - part.log_posterior)
        n_weights, log_posterior = data.factor.shape[1], common.log_posterior - log_odds
        return [_Part(part, inside, precision, n_weights, log_posterior)]

    def _fit_noise(self, statistic: Statistic) -> tuple[Posterior, _Average | None]:
        precision = self.precision
        assert not isinstance(precision, str)
        if not np.any(precision):
            return condition(statistic, precision, self.mean, None), None
        data = ProjectedData.of(statistic, precision, self.mean)
        if data.weight <= 0:
            return self._given(statistic, precision, float(1 / statistic.mean_square[0])), None
        spectrum = data.spectrum()
        choice = self.choose_ratio(spectrum, data.weight)
        posterior = self._given(statistic, precision, 1 / choice.ratio)
        if not np.all(precision[1:] > 0):
            return posterior, None
        models = [_Common(spectrum, choice, data.weight)]
        return posterior, _Average(statistic, precision, models, data.weight)

    def choose_ratio(self, spectrum: Spectrum, weight: float) -> RatioChoice:
        """Choose the ratio of prior to noise precision of largest evidence."""
        if not isinstance(self.precision, str) and self.noise != "evidence":
            limits, best = (0.0, 0.0), 1.0
        elif not isinstance(self.precision, str):  # the ratio is the noise variance
            noise = NoiseTerm(lambda _, log_variance: np.exp(log_variance))
            limits = spectrum.variance_limits(weight)
            best = spectrum.best_ratio(unit_prior_term(weight), limits)
            return RatioChoice(best, limits, lambda df: (unit_prior_term(df), noise))
        else:
            limits = spectrum.ratio_limits()
            best = spectrum.best_ratio(self.data_term(weight), limits)
        return RatioChoice(best, limits, lambda df: (self.data_term(df), self.noise_term(df)))

    def data_term(self, weight: float) -> DataTerm:
        """Data term of the evidence given the energy; noise is at its best or integrated out."""
        term = EnergyTerm.of(self.noise, weight, self.least_noise)
        return lambda energy, _: (term.value(energy), term.slope(energy), 0.0)

    def noise_term(self, weight: float) -> NoiseTerm:
        """Posterior of the noise given the energy; a learned precision has Jeffreys' prior.

        Fewer than three degrees of freedom would leave it almost undetermined, and count as three.
        """
        if isinstance(self.noise, float):
            known = 1 / self.noise
            return NoiseTerm(lambda energy, _: np.full_like(energy, known))
        prior = self.noise if isinstance(self.noise, Gamma) else Gamma(0.0, 0.0)
        df, least = 2 * prior.shape + weight, self.least_noise
        return NoiseTerm(
            lambda energy, _: np.maximum(least, (2 * prior.rate + energy) / max(df - 2, df / 3)), df
        )


class Moments(NamedTuple):
    """Posterior of noise and weights, as a mixture over a grid of ratios of precisions."""

    variances: FloatArray  # of the noise
    probabilities: FloatArray
    root: FloatArray  # of the covariance of the weights, about their mean
    df: float  # degrees of freedom of a new observation in each component


@dataclass(frozen=True, eq=False)
class _Common:
    """Model with one precision for all weights of `ProjectedData`."""

    spectrum: Spectrum
    choice: RatioChoice
    weight: float  # degrees of freedom that flat columns leave

    irrelevant: ClassVar[slice] = slice(0)

    @property
    def precision(self) -> float:
        return self.choice.ratio

    @property
    def log_posterior(self) -> float:
        """Log evidence up to a constant."""
        data_term, _ = self.choice.terms(self.weight)
        return float(self.spectrum.evidence(data_term, np.log(self.precision))[0])

    @property
    def mean(self) -> FloatArray:
        return self.spectrum.mean(self.precision)

    @property
    def energy(self) -> float:
        return float(self.spectrum.terms(np.log(self.precision))[0])

    def moments(self, df: float) -> Moments:
        """Moments, given the degrees of freedom that all other parameters leave to the noise."""
        data_term, noise = self.choice.terms(df)
        log_ratios, shares = self.spectrum.quadrature(data_term, self.choice.limits)
        variances = noise.variances(self.spectrum.terms(log_ratios)[0], log_ratios)
        root = self.spectrum.deviations(self.precision, log_ratios, shares, variances)
        return Moments(variances, shares, root, noise.df)


@dataclass(frozen=True, eq=False)
class _Part:
    """Model of some of the weights, which has one precision for all of them."""

    model: _Common
    inside: Any  # indices of its weights
    relative_precision: FloatArray  # of its weights
    n_weights: int
    log_posterior: float

    @property
    def mean(self) -> FloatArray:
        return self._embed(self.model.mean[:, None])[:, 0]

    def moments(self, df: float) -> Moments:
        """Moments; see `_Common`."""
        found = self.model.moments(df)
        return found._replace(root=self._embed(found.root))

    def _embed(self, table: FloatArray) -> FloatArray:
        """Rows for all weights, from those of its own in units of their prior's spread."""
        whole = np.zeros((self.n_weights, table.shape[1]))
        whole[self.inside] = table / np.sqrt(self.relative_precision)[:, None]
        return whole


@dataclass(frozen=True, eq=False)
class _Sparse:
    """Model with one precision per weight, infinite for most."""

    data: ProjectedData
    found: Relevances
    terms: Callable[[float], tuple[DataTerm, NoiseTerm]]  # by the degrees of freedom left

    @property
    def irrelevant(self) -> Any:
        """Mask of the weights that are out of the model."""
        return np.isinf(self.found.precision)

    @property
    def log_posterior(self) -> float:
        return self.found.log_posterior + LOG_ODDS

    @property
    def mean(self) -> FloatArray:
        return self.found.mean

    def is_better_than(self, common: _Common) -> bool:
        """True if this model is more probable than ``common`` and has at least its evidence."""
        return (
            self.log_posterior >= common.log_posterior
            and self.found.log_evidence >= common.log_posterior
        )

    @property
    def precision(self) -> FloatArray:
        """Precisions, with finite ones for weights that are out, so large that these become 0."""
        squares = np.einsum("ij,ij->j", self.data.factor, self.data.factor)
        return np.minimum(self.found.precision, IRRELEVANT * np.where(squares > 0, squares, 1.0))

    def moments(self, df: float) -> Moments:
        """Moments over a common factor of all precisions, and over changes of single weights."""
        inside, precision = self.found.indices, self.found.precision[self.found.indices]
        spectrum = self.data.select(inside, precision).spectrum()
        choice = RatioChoice(1.0, spectrum.ratio_limits(), self.terms)
        common, n_weights = _Common(spectrum, choice, df), self.data.factor.shape[1]
        found = _Part(common, inside, precision, n_weights, 0.0).moments(df)
        return found._replace(root=np.hstack([found.root, self.found.deviations()]))


@dataclass(frozen=True, eq=False)
class _Average:
    """Average of an output's posterior over models and, in each, over the ratio of precisions."""

    statistic: Statistic
    weighting: FloatArray  # (n_columns,)
    models: Sequence[_Common | _Sparse | _Part]  # the best first
    weight: float  # degrees of freedom that flat columns leave

    def posterior(self, posterior: Posterior, calibration: LooCalibration) -> Posterior:
        """Average over models and precisions, where ``posterior`` is that of the best ones.

        Basis parameters are integrated out in the model that is linear in weights and basis
        parameters (Laplace's approximation). Their effective number is subtracted from the degrees
        of freedom of the noise. The leverages of all rows sum to the effective number of weights,
        or of weights and basis parameters together. So in a model that has basis parameters, all
        leverages are multiplied by the ratio of these two sums; in a `_Part`, which has none, they
        stay as they are.
        """
        average = self._moments(calibration, posterior.n_effective_params)
        variance, own_df = mixture(average.df, average.variances, average.probabilities)
        df = min(own_df, float(calibration.df[0]))
        return replace(
            posterior,
            mean=posterior.mean + self._with_intercept(self._center - self.models[0].mean),
            root=self._root(average.root / np.sqrt(variance)),
            df=df,
            squared_scale=np.array([variance / variance_ratio(df)]),
        )

    def _moments(self, calibration: LooCalibration, n_effective_params: float) -> Moments:
        """Moments of the mixture of all models, about its mean."""
        df_left = remaining_df(self.weight, calibration.n_params)
        spread = float(calibration.std_ratio[0])
        growth = spread * np.sqrt(1 + calibration.n_params / max(1.0, n_effective_params))
        parts = []
        for model, probability in zip(self.models, self._probabilities(), strict=True):
            if probability > NEGLIGIBLE_SHARE:
                variances, shares, root, df = model.moments(df_left)
                if not isinstance(model, _Part):  # whose weights have no basis parameters
                    variances, root = variances * spread**2, root * growth
                root = np.column_stack([root, model.mean - self._center])
                parts.append((variances, probability * shares, np.sqrt(probability) * root))
        variances, shares, root = (np.hstack(part) for part in zip(*parts, strict=True))
        return Moments(variances, shares, root, df)

    @cached_property
    def _center(self) -> FloatArray:
        """Mean over all models; with a sparse one, that of the best, whose zeros it keeps."""
        if not any(isinstance(model, _Part) for model in self.models):
            return self.models[0].mean
        means = [model.mean for model in self.models]
        return np.asarray(self._probabilities() @ means)

    def _probabilities(self) -> FloatArray:
        """Posterior probabilities of the models, equal before the data."""
        return np.asarray(softmax([model.log_posterior for model in self.models]))

    def _with_intercept(self, shift: FloatArray) -> FloatArray:
        """Shift of all weights, (n_columns, 1), given that of the proper ones in their units."""
        proper = self.weighting > 0
        whole = np.zeros((len(proper), 1))
        whole[proper, 0] = shift / np.sqrt(self.weighting[proper])
        if not proper[0]:
            factor = self.statistic.factor
            whole[0] = -factor[:1, 1:] @ whole[1:] / factor[0, 0]
        return whole

    def _root(self, deviations: FloatArray) -> FloatArray:
        """Triangular root of the covariance of all weights, given deviations of proper ones."""
        proper = self.weighting > 0
        deviations = deviations / np.sqrt(self.weighting[proper])[:, None]
        if not proper[0]:  # the intercept, given the other weights
            corner, row = self.statistic.factor[0, 0], self.statistic.factor[:1, 1:]
            deviations *= self._limits_by_rounding(deviations)[:, None]
            own = np.zeros((len(proper), 1))
            own[0] = 1 / corner
            deviations = np.hstack([own, np.vstack([-row @ deviations / corner, deviations])])
        missing = max(0, len(deviations) - deviations.shape[1])
        deviations = np.pad(deviations, ((0, 0), (0, missing)))
        reverse = np.asarray(np.linalg.qr(deviations[::-1].T, mode="r"))
        return with_positive_diagonal(np.asfortranarray(reverse.T[::-1, ::-1]))

    def _limits_by_rounding(self, deviations: FloatArray) -> FloatArray:
        """Factors of at most 1 for the deviations of weights, so that rounding has no effect.

        Weights of constant columns have the variance of the prior, which is large if other columns
        are small. Rounding errors in a constant column must not be multiplied by it.
        """
        constant = ~self.statistic.factor[1:, 1:].any(axis=0)
        sizes = np.linalg.norm(deviations, axis=1) * np.abs(self.statistic.factor[0, 1:])
        return np.where(constant, 1 / np.maximum(1.0, SMALLEST_REMAINDER * sizes), 1.0)


def _set_weights(
    mean: FloatArray, index: Any, values: FloatArray, statistic: Statistic, flat_first: bool
) -> None:
    """Set the weights at ``index`` of an output in place; a flat intercept makes up for them.

    Weights that are next to 0 may have columns that are large beside their own spread.
    """
    changes = values - mean[index, 0]
    mean[index, 0] = values
    if flat_first and statistic.factor[0, 0] != 0:
        mean[0, 0] -= statistic.factor[0, index] @ changes / statistic.factor[0, 0]


def remaining_df(weight: float, n_params: float) -> float:
    """Degrees of freedom that parameters of the basis leave; at least half of them.

    The limit matters if rows have small weights, or if most rows were forgotten.
    """
    return max(weight - n_params, weight / 2)
