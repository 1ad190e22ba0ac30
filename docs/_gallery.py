"""What the gallery's worker processes import: the order of the examples, and no warnings."""

import warnings
from pathlib import Path

ORDER = [
    "quickstart.py",
    "bayes_rule.py",
    "line_after_points.py",
    "nine_gaussians.py",
    "which_degree.py",
    "relevance.py",
    "intervals_that_hold.py",
    "growing_noise.py",
    "drifting_stream.py",
    "mauna_loa.py",
    "autoencoder_or_vae.py",
    "training_length.py",
    "digits_manifold.py",
    "digits_traversal.py",
    "learned_prior.py",
    "latent_walk.py",
    "faces.py",
    "anomaly_scores.py",
    "latent_features.py",
    "table_draws.py",
    "missing_cells.py",
    "super_resolution.py",
    "face_completion.py",
    "colour_from_grey.py",
    "translation.py",
    "digits_by_class.py",
]
"""The regressor's before the autoencoder's; a script not named here comes after these."""


class Order:
    """Sort key of the scripts."""

    def __init__(self, src_dir):
        pass

    def __call__(self, path):
        name = Path(path).name
        return ORDER.index(name) if name in ORDER else len(ORDER), name


def raise_on_warnings(gallery_conf, path):
    """Make a warning in an example an error, which ends the build."""
    warnings.simplefilter("error")
