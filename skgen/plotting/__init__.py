"""Displays, in scikit-learn's convention: ``from_estimator``, ``plot(ax=...)``, artists kept.

They need matplotlib (the extra "plot"), and see public methods of fitted estimators only. Colours
of text and points follow matplotlib's style, so dark backgrounds do.
"""

from ._latent import (
    LatentDisplay,
    ManifoldDisplay,
    ReconstructionDisplay,
    SamplesDisplay,
    TraversalDisplay,
)
from ._predictive import CalibrationDisplay, PosteriorDisplay, PredictiveDisplay

__all__ = [
    "CalibrationDisplay",
    "LatentDisplay",
    "ManifoldDisplay",
    "PosteriorDisplay",
    "PredictiveDisplay",
    "ReconstructionDisplay",
    "SamplesDisplay",
    "TraversalDisplay",
]

for _name in __all__:  # pickles and pages name the public path
    globals()[_name].__module__ = __name__
