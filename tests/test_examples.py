"""Scripts in examples/ that hold a recipe: its answers are better than the simple ones."""

import runpy
from pathlib import Path

import matplotlib.pyplot as plt
import pytest


@pytest.mark.slow
def test_translation_comes_nearer_to_the_hidden_truth_than_simpler_maps() -> None:
    script = Path(__file__).parents[1] / "examples" / "translation.py"
    scores = runpy.run_path(str(script))["scores"]
    plt.close("all")
    rmse, domain, digit = scores["matched codes"]
    for name in ("as it is", "transport of pixels", "transport of codes"):
        assert rmse < scores[name][0]
        assert digit > scores[name][2]
    assert domain > 0.97
