"""Carbon dioxide at Mauna Loa: the evidence chooses trend and seasons, and finds the year
=======================================================================================

The trend and the seasons of weekly measurements, and a forecast. With a file of the measurements::

    python examples/mauna_loa.py [FILE] [--out PICTURE]

FILE is a csv with the columns date (19580329 or 1958-03-29) and co2 (ppm, gaps allowed); without
one, as on this page, the data are simulated. The last five years are held out. The script finds the
period of the seasons from starts that are off by a tenth. The log marginal likelihood of the other
years chooses the degree of the trend, the number of harmonics of the year, the drift of their
amplitudes, and whether there are slow deviations from all that. Then the script forecasts the
held-out years and saves a picture. Half a minute on one core.
"""

from __future__ import annotations

import argparse
import csv
from datetime import date
from pathlib import Path
from typing import Any, Self

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MultipleLocator
from numpy.polynomial.legendre import legvander
from scipy.signal import lfilter
from scipy.stats import norm
from sklearn.base import BaseEstimator, TransformerMixin

from skgen import BayesianBasisRegressor

YEAR = 365.2425  # days
HELD_OUT = 5.0  # years
N_SLOW = 300
BLUE, ORANGE, BLACK = "#0072B2", "#D55E00", "#000000"  # Okabe and Ito's


class TrendAndSeasons(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Basis functions of time, in years, with parameters to be learned from the evidence.

    Legendre polynomials up to ``degree``; cosines and sines of ``harmonics`` of the period, times
    polynomials of time up to degree ``drift``; and ``n_slow`` functions for departures from both:
    a Gaussian process of covariance size^2 exp(-|t - t'| / length) in the basis of Solin and
    Sarkka (2020), which are sines on an interval longer by ``margin`` years at each end.

    ``theta_`` has logarithms of period, size of the trend, and size and length of the departures,
    from where they start and in units of ``doubt``, since its prior has standard deviation 1.
    """

    def __init__(
        self, degree: int = 2, harmonics: int = 4, drift: int = 1, n_slow: int = 0, *,
        period: float = 1.0, period_doubt: float = 0.01, margin: float = 10,
    ) -> None:  # fmt: skip
        self.degree = degree
        self.harmonics = harmonics
        self.drift = drift
        self.n_slow = n_slow
        self.period = period
        self.period_doubt = period_doubt
        self.margin = margin

    def fit(self, X: np.ndarray, y: np.ndarray | None = None) -> Self:
        self.middle_, self.half_ = (X.max() + X.min()) / 2, (X.max() - X.min()) / 2
        self.start_ = np.array([self.period, 3.0, 0.1, 1.0])
        self.doubt_ = np.array([self.period_doubt, 1.0, 1.0, 1.0])
        self.theta_ = np.zeros(4)
        return self

    @property
    def values_(self) -> np.ndarray:
        """Period, size of the trend, size and length of the departures."""
        return self.start_ * np.exp(self.doubt_ * self.theta_)

    def transform(self, X: np.ndarray) -> np.ndarray:
        _, trend_size, slow_size, length = self.values_
        time, end = X[:, 0] - self.middle_, self.half_ + self.margin
        powers = legvander(time / self.half_, max(self.degree, self.drift))
        drifts = powers[:, None, : self.drift + 1]
        phase = self._phase(X)[:, :, None]
        cosines = (np.cos(phase) * drifts).reshape(len(X), -1)
        sines = (np.sin(phase) * drifts).reshape(len(X), -1)
        density = 2 * length / (1 + (length * self._frequencies()) ** 2)
        slow = np.sin(np.outer(time + end, self._frequencies())) * np.sqrt(density / end)
        return np.hstack(
            [trend_size * powers[:, 1 : self.degree + 1], cosines, sines, slow_size * slow]
        )

    def vjp(self, X: np.ndarray, Phi: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Gradient by ``theta_`` of ``sum(gradient * Phi)``."""
        n_seasons = self.harmonics * (self.drift + 1)
        cuts = self.degree + n_seasons * np.arange(3)
        _, cosines, sines, _ = np.split(Phi, cuts, axis=1)
        _, by_cosines, by_sines, _ = np.split(gradient, cuts, axis=1)
        turned = (by_cosines * sines - by_sines * cosines).reshape(len(X), self.harmonics, -1)
        by_period = np.sum(turned.sum(axis=2) * self._phase(X))
        shares = np.einsum("ij,ij->j", gradient, Phi)
        slow = shares[cuts[-1] :]
        squares = (self.values_[3] * self._frequencies()) ** 2
        by_length = slow @ (0.5 * (1 - squares) / (1 + squares))
        by_logarithms = [by_period, shares[: self.degree].sum(), slow.sum(), by_length]
        return np.asarray(self.doubt_ * np.array(by_logarithms))

    def _phase(self, X: np.ndarray) -> np.ndarray:
        multiples = 2 * np.pi / self.values_[0] * np.arange(1, self.harmonics + 1)
        return np.outer(X[:, 0] - self.middle_, multiples)

    def _frequencies(self) -> np.ndarray:
        return np.asarray(np.pi / 2 * np.arange(1, self.n_slow + 1) / (self.half_ + self.margin))


def read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Decimal years and ppm of the weeks that have a value."""
    with path.open(newline="") as file:
        rows = [
            (date.fromisoformat(row["date"]), float(row["co2"]))
            for row in csv.DictReader(file)
            if row["co2"].strip().lower() not in ("", "na", "nan")
        ]
    days, co2 = zip(*((day.toordinal(), value) for day, value in rows), strict=True)
    return np.array(days) / YEAR + 1, np.array(co2)  # ordinals count from the start of year 1


def simulated() -> tuple[np.ndarray, np.ndarray]:
    """Trend, seasons that grow, slow departures and noise: weekly, 1958 to 2001."""
    rng = np.random.default_rng(0)
    t = np.arange(1958.25, 2002.0, 7 / YEAR)
    trend = 337 + 1.35 * (t - 1980) + 0.012 * (t - 1980) ** 2
    phase = 2 * np.pi * t
    seasons = 2.7 * np.sin(phase) + 0.8 * np.cos(2 * phase - 1) + 0.1 * np.sin(3 * phase)
    keep = np.exp(-7 / YEAR / 1.5)
    departures = 0.6 * lfilter([np.sqrt(1 - keep**2)], [1, -keep], rng.normal(size=len(t)))
    noise = 0.3 * rng.normal(size=len(t))
    return t, trend + seasons * (1 + 0.008 * (t - 1980)) + departures + noise


def find_period(t: np.ndarray, y: np.ndarray) -> float:
    """The period by the evidence: from a few years, and from there by all."""
    print("\nThe period of the seasons, in years, by the evidence:")
    few = t < t[0] + 3
    print(f"  {'start':6}{'all years at once':>30}{'first 3 years':>18}{'from there, all':>28}")
    found = []
    for start in (0.9, 1.1):
        lost = learnt_period(t, y, start)
        near = learnt_period(t[few], y[few], start, degree=1)
        found.append(learnt_period(t, y, near[0]))
        (p1, e1), (p2, _), (p3, e3) = lost, near, found[-1]
        print(f"  {start:<6}{p1:13.4f} ({e1:8.0f} nats){p2:18.4f}{p3:13.4f} ({e3:8.0f} nats)")
    return max(found, key=lambda pair: pair[1])[0]


def learnt_period(
    t: np.ndarray, y: np.ndarray, start: float, degree: int = 3
) -> tuple[float, float]:
    basis = TrendAndSeasons(degree, 2, 0, period=start, period_doubt=0.1)
    model = BayesianBasisRegressor(basis).fit(t[:, None], y)
    return model.basis_.values_[0], model.log_marginal_likelihood_


class Forecasts:
    """Fits to the years before the last, of which the evidence chooses, and their forecasts."""

    def __init__(self, t: np.ndarray, y: np.ndarray, period: float) -> None:
        future = t > t[-1] - HELD_OUT
        self.past, self.y_past = t[~future, None], y[~future]
        self.future, self.y_future = t[future, None], y[future]
        self.period = period
        self.fitted: dict[str, BayesianBasisRegressor] = {}

    def fit(self, precision: str = "evidence", **settings: Any) -> BayesianBasisRegressor:
        basis = TrendAndSeasons(period=self.period, **settings)
        model = BayesianBasisRegressor(basis, prior_precision=precision)
        key = repr(model)
        if key not in self.fitted:
            self.fitted[key] = model.fit(self.past, self.y_past)
        return self.fitted[key]

    def check(self, model: BayesianBasisRegressor) -> str:
        """Evidence, and what the held-out years say."""
        mean, std = model.predict(self.future, return_std=True)
        errors = self.y_future - mean
        half, most = (
            np.mean(np.abs(errors) <= norm.ppf((1 + level) / 2) * std) for level in (0.5, 0.95)
        )
        rmse = np.sqrt(np.mean(errors**2))
        return f"{model.log_marginal_likelihood_:10.1f}{rmse:10.2f}{half:11.0%}{most:11.0%}"

    def best(self, precision: str, candidates: list[dict[str, Any]]) -> dict[str, Any]:
        """Print each candidate; the one of largest evidence."""
        evidence = []
        for settings in candidates:
            model = self.fit(precision, **settings)
            evidence.append(model.log_marginal_likelihood_)
            numbers = [settings[name] for name in ("degree", "harmonics", "drift")]
            print("  {:6}{:11}{:7}".format(*numbers) + self.check(model), flush=True)
        return candidates[int(np.argmax(evidence))]


HEAD = "  degree  harmonics  drift  evidence      RMSE   50 % has   95 % has   (last 3: held out)"


def choose(forecasts: Forecasts) -> BayesianBasisRegressor:
    """Trend, seasons and departures of largest evidence."""
    print("\nEvidence (nats) of trend and seasons with independent noise, one prior precision:")
    print(HEAD)
    plain = [
        dict(degree=degree, harmonics=4, drift=1, n_slow=0) for degree in (1, 2, 3, 4, 6, 8, 10)
    ]
    forecasts.best("evidence", plain)
    print('\nThe same, one prior precision a weight ("ard"):')
    forecasts.best("ard", plain)

    print("\nWith slow departures, one prior precision: the degree, then the seasons:")
    print(HEAD)
    base = dict(degree=2, harmonics=4, drift=1, n_slow=N_SLOW)
    chosen = forecasts.best("evidence", [base | {"degree": degree} for degree in (1, 2, 3, 4, 6)])
    chosen = forecasts.best("evidence", [chosen | {"harmonics": number} for number in range(2, 6)])
    chosen = forecasts.best("evidence", [chosen | {"drift": drift} for drift in (0, 1, 2)])
    print('\nThe chosen one, one prior precision a weight ("ard", more to maximize over):')
    forecasts.best("ard", [chosen])
    model = forecasts.fit(**chosen)
    period, _, size, length = model.basis_.values_
    size /= np.sqrt(model.prior_precision_)
    noise = model.noise_precision_**-0.5
    rest = forecasts.y_past - model.predict(forecasts.past)
    print(
        f"\nChosen by evidence: degree {chosen['degree']}, {chosen['harmonics']} harmonics, "
        f"drift {chosen['drift']}."
        f"\nPeriod {period:.4f} years; departures {size:.2f} ppm, forgotten over {length:.1f} "
        f"years; noise {noise:.2f} ppm;"
        f"\n{model.n_effective_params_:.0f} of {len(model.coef_) + 1} weights determined; "
        f"autocorrelation of residuals {np.corrcoef(rest[1:], rest[:-1])[0, 1]:.2f}."
        f"\nHeld-out years:  evidence      RMSE   50 % has   95 % has"
        f"\n               {forecasts.check(model)}"
    )
    return model


def draw(path: Path, model: BayesianBasisRegressor, forecasts: Forecasts, title: str) -> None:
    """The whole series, and the forecast beside what came."""
    plt.rcParams["font.size"] = 13
    figure, axes = plt.subplots(2, 1, figsize=(7.6, 8.2), layout="constrained")
    first, last = forecasts.past[-1, 0], forecasts.future[-1, 0]
    ahead = np.linspace(first, last, 600)
    mean, std = model.predict(ahead[:, None], return_std=True)
    for axis, since, size in zip(axes, (-np.inf, first - 2), (1.5, 3.5), strict=True):
        for level, alpha in ((0.95, 0.2), (0.5, 0.4)):
            half = norm.ppf((1 + level) / 2) * std
            axis.fill_between(
                ahead, mean - half, mean + half, color=BLUE, alpha=alpha, lw=0,
                label=f"{level:.0%} band",
            )  # fmt: skip
        axis.plot(ahead, mean, color=BLUE, lw=1.5, label="forecast")
        seen = forecasts.past[:, 0] > since
        axis.plot(
            forecasts.past[seen, 0], forecasts.y_past[seen], ".", ms=size, color=BLACK,
            label="learned from",
        )  # fmt: skip
        axis.plot(
            forecasts.future[:, 0], forecasts.y_future, "^", ms=size + 0.5, color=ORANGE,
            mew=0, label="held out",
        )  # fmt: skip
        axis.set(xlabel="year", ylabel="CO$_2$ (ppm)")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_title(title)
    axes[1].set_title("The forecast, and the years that came")
    low = forecasts.y_past[forecasts.past[:, 0] > first - 2].min()
    axes[1].set(ylim=(low - 1, None), xlim=(first - 2.1, last + 0.1))
    axes[1].yaxis.set_major_locator(MultipleLocator(5))
    axes[1].legend(frameon=False, ncols=2, loc="upper left", markerscale=2, fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, facecolor="white")


def main() -> None:
    parser = argparse.ArgumentParser(
        description="The evidence chooses trend and seasons, and finds the year."
    )
    parser.add_argument("file", type=Path, nargs="?", help="csv with the columns date and co2")
    parser.add_argument("--out", "--output", type=Path, default=Path("mauna_loa.png"))
    options = parser.parse_args()
    t, y = read(options.file) if options.file else simulated()
    source = f"from {options.file.name}" if options.file else "SIMULATED, no file was given"
    print(f"{len(y)} weeks from {t[0]:.1f} to {t[-1]:.1f}, {source}; the last {HELD_OUT:g} years")
    print("are held out, and no choice looks at them.")
    past = t <= t[-1] - HELD_OUT
    forecasts = Forecasts(t, y, find_period(t[past], y[past]))
    model = choose(forecasts)
    title = "Carbon dioxide at Mauna Loa" if options.file else "Simulated data, not Mauna Loa's"
    draw(options.out, model, forecasts, title)
    print(f"\nPicture: {options.out.resolve()}")


if __name__ == "__main__":
    main()
