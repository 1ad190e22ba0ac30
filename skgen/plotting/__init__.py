"""Displays, in scikit-learn's convention: ``from_estimator``, ``plot(ax=...)``, artists kept.

They need matplotlib (the extra "plot"), and use only public methods of fitted estimators. Colours
of text and points follow matplotlib's style, so that dark backgrounds work.
"""

from ._calibration import CalibrationDisplay
from ._docstrings import fill_docstrings
from ._images import ReconstructionDisplay, SamplesDisplay
from ._latent import LatentDisplay
from ._manifold import ManifoldDisplay, TraversalDisplay
from ._posterior import PosteriorDisplay
from ._predictive import PredictiveDisplay

__all__ = [
    "CalibrationDisplay", "LatentDisplay", "ManifoldDisplay", "PosteriorDisplay",
    "PredictiveDisplay", "ReconstructionDisplay", "SamplesDisplay", "TraversalDisplay",
]  # fmt: skip

for _name in __all__:
    globals()[_name].__module__ = __name__  # pickles and pages name the public path
    fill_docstrings(globals()[_name])
