"""What a type checker knows of the public interface, by a program such as users write."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"

PROGRAM = """
from typing import assert_type

import numpy as np
import numpy.typing as npt

from skgen import BayesianBasisRegressor, VAERegressor, VAETransformer

Table = npt.NDArray[np.float64]
X, y, flag = np.zeros((3, 1)), np.zeros(3), bool(np.ones(1).all())
model = BayesianBasisRegressor("identity").fit(X, y, noise_scale=y + 1)
assert_type(model, BayesianBasisRegressor)
assert_type(model.predict(X), Table)
assert_type(model.predict(X, return_std=False, observation_noise=False), Table)
assert_type(model.predict(X, return_std=True), tuple[Table, Table])
assert_type(model.predict(X, True, noise_scale=2.0), tuple[Table, Table])
assert_type(model.predict(X, return_cov=True), tuple[Table, Table])
assert_type(model.predict(X, flag), Table | tuple[Table, Table])
assert_type(model.predict(X, return_cov=flag), Table | tuple[Table, Table])
assert_type(model.predict_quantiles(X, [0.1, 0.9]), Table)
assert_type(model.predict_interval(X), Table)
assert_type(model.sample_y(X, 2), Table)
assert_type(model.log_predictive_density(X, y), Table)
assert_type(model.predictive_cdf(X, y), Table)
assert_type(model.score(X, y), float)
model.predict(X, return_std=True).sum()  # type: ignore[attr-defined]
assert_type(model.coef_, Table)
assert_type(model.n_features_in_, int)

vae = VAETransformer(2).fit(X)
assert_type(vae, VAETransformer)
assert_type(vae.transform(X), Table)
assert_type(vae.transform(X, return_std=True), tuple[Table, Table])
assert_type(vae.transform(X, flag), Table | tuple[Table, Table])
assert_type(vae.inverse_transform(X), Table)
assert_type(vae.score_samples(X), Table)
assert_type(vae.score(X), float)
assert_type(vae.sample(3), Table)
assert_type(vae.explained_kl_, Table)
assert_type(vae.loss_curve_, list[float])
assert_type(vae.n_iter_, int)

conditional = VAERegressor().fit(X, y)
assert_type(conditional.predict(X), Table)
assert_type(conditional.predict(X, return_std=True, n_draws=9), tuple[Table, Table])
assert_type(conditional.predict(X, flag), Table | tuple[Table, Table])
assert_type(conditional.transform(X, y), Table)
assert_type(conditional.transform(X, return_std=True), tuple[Table, Table])
assert_type(conditional.transform(X, y, return_std=flag), Table | tuple[Table, Table])
"""


@pytest.mark.slow
def test_a_strict_type_checker_passes_what_users_write(tmp_path, monkeypatch):
    """The program above, the snippets of the README and the examples, in one run of the checker.

    Unused "type: ignore" comments are errors, too. What has no types, as scikit-learn has none,
    counts as Any.
    """
    api = pytest.importorskip("mypy.api")
    (tmp_path / "program.py").write_text(PROGRAM)
    snippets = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)
    assert snippets
    for number, snippet in enumerate(snippets):
        (tmp_path / f"snippet_{number}.py").write_text(snippet)
    programs = [*tmp_path.glob("*.py"), *(ROOT / "examples").glob("*.py")]
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    options = ["--strict", "--follow-imports=silent", "--config-file=", "--ignore-missing-imports"]
    report, errors, status = api.run([*options, *map(str, programs)])
    assert status == 0, report + errors
