"""Outputs that are constant, beside others that vary."""

import numpy as np
import pytest

from skgen import BayesianBasisRegressor


def data(n_rows, seed, spread):
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, size=(n_rows, 2))
    noise = 0.2 * np.exp(spread * X[:, 0]) * rng.normal(size=n_rows)
    return X, np.sin(3 * X[:, 0]) + X[:, 1] + noise


@pytest.mark.parametrize("value", [0.0, 7.0, 1e9, 0.1 + 1e-17])
@pytest.mark.parametrize(("n_rows", "spread"), [(20, 0.0), (60, 0.0), (200, 1.5)])
def test_a_constant_output_changes_nothing_of_the_others(value, n_rows, spread):
    X, y = data(n_rows, 0, spread)
    Y = np.column_stack([np.full(n_rows, value), y, np.full(n_rows, -value)])
    alone, beside = BayesianBasisRegressor().fit(X, y), BayesianBasisRegressor().fit(X, Y)
    new = np.linspace(-2, 2, 30).reshape(15, 2)
    mean, std = beside.predict(new, return_std=True)
    expected_mean, expected_std = alone.predict(new, return_std=True)
    np.testing.assert_allclose(mean[:, 1], expected_mean, rtol=1e-9)
    np.testing.assert_allclose(std[:, 1], expected_std, rtol=1e-9)
    np.testing.assert_allclose(mean[:, [0, 2]], np.tile([value, -value], (15, 1)), rtol=1e-12)
    has_noise = alone._stream.design.noise is not None
    assert has_noise == (spread > 0) == (beside._stream.design.noise is not None)


def test_constant_outputs_alone_are_predicted_as_they_are():
    X, _ = data(30, 0, 0.0)
    model = BayesianBasisRegressor().fit(X, np.tile([3.0, -2.0], (30, 1)))
    mean, std = model.predict(X + 1, return_std=True)
    np.testing.assert_allclose(mean, np.tile([3.0, -2.0], (30, 1)), rtol=1e-12)
    assert std.max() < 1e-12


def test_a_model_with_a_constant_output_learns_on_after_a_file(tmp_path):
    import skgen

    X, y = data(200, 0, 1.5)
    Y = np.column_stack([y, np.ones(200)])
    model = BayesianBasisRegressor().fit(X[:150], Y[:150])
    skgen.save(model, tmp_path / "model")
    loaded = skgen.load(tmp_path / "model").partial_fit(X[150:], Y[150:])
    assert np.array_equal(loaded.predict(X), model.partial_fit(X[150:], Y[150:]).predict(X))
